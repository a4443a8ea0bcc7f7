//! Headers that claim what is not there: which fields are left.

use crate::build::{Extension, Fragment, Net, Shape, Transport, packet};
use crate::check::key_of;
use flow::FlowKey;

fn shape(net: Net, l4: Transport) -> Shape {
    Shape {
        net,
        options: 0,
        extensions: Vec::new(),
        l4,
        fragment: Fragment::No,
        snap: false,
        udp_sum: true,
        tags: Vec::new(),
        payload: vec![0x55; 10],
        padding: vec![0xee; 30],
    }
}

fn key(net: Net) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.in_port = 1.into();
    key.eth_dst = [2; 6];
    key.eth_src = [4; 6];
    key.nw_ttl = 64;
    key.tp_src = 1000.into();
    key.tp_dst = 2000.into();
    if net == Net::Ipv4 {
        key.eth_type = 0x0800.into();
        key.ipv4_src = 0x0a00_0001.into();
        key.ipv4_dst = 0x0a00_0002.into();
    } else {
        key.eth_type = 0x86dd.into();
        key.ipv6_src = [6; 16];
        key.ipv6_dst = [7; 16];
    }
    key
}

/// L2 only.
fn l2(key: &FlowKey) -> FlowKey {
    FlowKey {
        in_port: key.in_port,
        eth_dst: key.eth_dst,
        eth_src: key.eth_src,
        eth_type: key.eth_type,
        ..FlowKey::ZERO
    }
}

/// All but L4 fields.
fn l3(key: &FlowKey, proto: u8) -> FlowKey {
    FlowKey { nw_proto: proto, tp_src: 0.into(), tp_dst: 0.into(), tcp_flags: 0.into(), ..*key }
}

#[test]
fn lengths_of_ipv4_that_cannot_be_leave_l2_only() {
    let key = key(Net::Ipv4);
    let good = packet(&shape(Net::Ipv4, Transport::Udp), &key);
    assert_eq!(key_of(&good), FlowKey { nw_proto: 17, ..key });
    let total = good.len() - 14;
    let lie = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        key_of(&bad)
    };
    assert_eq!(lie(14, &[0x44]), l2(&key), "header of 16 bytes");
    assert_eq!(lie(14, &[0x4f]), l2(&key), "header of 60 bytes, longer than the packet");
    assert_eq!(lie(16, &[0, 19]), l2(&key), "total length shorter than the header");
    assert_eq!(lie(16, &(total as u16 + 1).to_be_bytes()), l2(&key), "total length beyond the packet");
    assert_eq!(lie(16, &(total as u16).to_be_bytes()), FlowKey { nw_proto: 17, ..key }, "all of the packet");
    assert_eq!(lie(16, &[0, 27]), l3(&key, 17), "7 bytes of UDP, and padding that is none of it");
    assert_eq!(lie(14, &[0x65]), FlowKey { nw_proto: 17, ..key }, "the version is not looked at");
}

#[test]
fn headers_of_tcp_that_cannot_be_leave_l3() {
    let key = key(Net::Ipv4);
    let good = packet(&shape(Net::Ipv4, Transport::Tcp { options: 0 }), &key);
    let lie = |offset: u8| {
        let mut bad = good.clone();
        bad[14 + 20 + 12] = offset << 4;
        key_of(&bad)
    };
    assert_eq!(lie(5), FlowKey { nw_proto: 6, ..key });
    assert_eq!(lie(7), FlowKey { nw_proto: 6, ..key }, "10 bytes follow");
    assert_eq!(lie(4), l3(&key, 6));
    assert_eq!(lie(8), l3(&key, 6), "padding is no TCP option");
}

#[test]
fn payload_of_ipv6_that_is_not_there_leaves_l2_only() {
    let key = key(Net::Ipv6);
    let mut bytes = packet(&shape(Net::Ipv6, Transport::Udp), &key);
    assert_eq!(key_of(&bytes), FlowKey { nw_proto: 17, ..key });
    let room = (bytes.len() - 54) as u16;
    bytes[18..20].copy_from_slice(&room.to_be_bytes());
    assert_eq!(key_of(&bytes), FlowKey { nw_proto: 17, ..key });
    bytes[18..20].copy_from_slice(&(room + 1).to_be_bytes());
    assert_eq!(key_of(&bytes), l2(&key));
}

#[test]
fn extension_headers_that_do_not_fit_leave_the_addresses() {
    let key = key(Net::Ipv6);
    let mut shape = shape(Net::Ipv6, Transport::Udp);
    shape.extensions = vec![Extension::Destination(0), Extension::HopByHop(1)];
    let mut bytes = packet(&shape, &key);
    assert_eq!(key_of(&bytes), FlowKey { nw_proto: 17, ..key });
    // 8 + 16 + 18 bytes of payload: the second header may claim 34 bytes, which leaves 0 or 1 for UDP.
    bytes[54 + 8 + 1] = 3;
    assert_eq!(key_of(&bytes), l3(&key, 17));
    bytes[54 + 8 + 1] = 4;
    let addresses = FlowKey { ipv6_src: key.ipv6_src, ipv6_dst: key.ipv6_dst, ..l2(&key) };
    assert_eq!(key_of(&bytes), addresses);
}

#[test]
fn an_arp_opcode_above_255_is_none() {
    let mut arp = vec![2; 12];
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 1, 1]);
    arp.extend([9; 20]);
    assert_eq!(key_of(&arp).nw_proto, 0);
    assert_eq!(key_of(&arp).arp_sha, [9; 6]);
    for at in 14..20 {
        let mut bad = arp.clone();
        bad[at] ^= 0x10;
        assert_eq!(key_of(&bad).arp_sha, [0; 6], "byte {at}");
    }
}

#[test]
fn a_length_is_an_ethertype_only_behind_snap_of_oui_0() {
    let mut frame = vec![2; 12];
    frame.extend([0, 40, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0xcc, 1, 2, 3]);
    assert_eq!(key_of(&frame).eth_type.get(), 0x88cc);
    for at in 14..20 {
        let mut other = frame.clone();
        other[at] ^= 1;
        assert_eq!(key_of(&other).eth_type.get(), 0x05ff, "byte {at}");
    }
    assert_eq!(key_of(&frame[..21]).eth_type.get(), 0x05ff);
    frame[20] = 5;
    assert_eq!(key_of(&frame).eth_type.get(), 0x05ff, "an inner type below 0x600");
}

#[test]
fn a_tag_counts_with_the_type_behind_it() {
    let mut frame = vec![2; 12];
    frame.extend([0x88, 0xa8, 0, 1, 8, 0]);
    assert_eq!((key_of(&frame).vlans[0].vid(), key_of(&frame).eth_type.get()), (1, 0x0800));
    let cut = key_of(&frame[..17]);
    assert_eq!((cut.vlans[0].is_present(), cut.eth_type.get()), (false, 0x88a8));
    frame[12..14].copy_from_slice(&[0x91, 0]);
    assert_eq!(key_of(&frame).eth_type.get(), 0x9100);
}
