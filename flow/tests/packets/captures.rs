//! Real traffic, when there is some beside the project: ../shared/captures.

use crate::check::{check, key_of};
use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use flow::field::datapath_fields;
use flow::rewrite::{FrameBuf, dec_ttl, pop_vlan, push_vlan, set_field};
use flow::{FlowKey, Value, VlanTag};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

/// Call `f` with each frame of each capture; `false` when there are none.
fn frames(mut f: impl FnMut(&str, usize, &[u8])) -> bool {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no ../shared");
        return false;
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "pcap")) {
        let mut reader = PcapReader::new(File::open(file).unwrap()).unwrap();
        if reader.header().datalink != DataLink::ETHERNET {
            continue;
        }
        let mut number = 0;
        while let Some(frame) = reader.next_packet() {
            number += 1;
            f(&file.display().to_string(), number, &frame.unwrap().data);
        }
    }
    true
}

#[test]
fn every_cut_of_every_frame_keeps_the_invariants() {
    let mut seen = HashSet::new();
    frames(|_, number, frame| {
        check(frame);
        for cut in 0..frame.len().min(200) {
            let cut = &frame[..cut];
            // All invariants on some frames of long captures, on the others that nothing panics.
            if number <= 100 {
                if seen.insert(cut.to_vec()) {
                    check(cut);
                }
            } else {
                change_everything(cut);
            }
        }
    });
}

fn change_everything(packet: &[u8]) {
    let _ = key_of(packet);
    let mut pkt = FrameBuf::new(packet);
    for def in datapath_fields() {
        set_field(&mut pkt, def.id, Value(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), def.ones());
    }
    let _ = dec_ttl(&mut pkt);
    pop_vlan(&mut pkt);
    let _ = push_vlan(&mut pkt, VlanTag { tpid: 0x8100.into(), tci: 0x1001.into() });
    let _ = key_of(pkt.packet());
}

#[test]
fn frames_that_another_parser_takes_have_its_fields() {
    let mut compared = 0;
    let found = frames(|file, number, frame| {
        let Ok(sliced) = SlicedPacket::from_ethernet(frame) else { return };
        compared += 1;
        compare(&key_of(frame), &sliced, &format!("{file} {number}"));
    });
    assert!(!found || compared > 1000, "{compared} compared");
}

fn compare(key: &FlowKey, sliced: &SlicedPacket<'_>, at: &str) {
    for (tag, ext) in key.vlans.iter().zip(&sliced.link_exts) {
        let LinkExtSlice::Vlan(vlan) = ext else { return };
        assert_eq!(tag.vid(), vlan.vlan_identifier().value(), "{at}");
        assert_eq!((tag.tci.get() >> 13) as u8, vlan.priority_code_point().value(), "{at}");
    }
    let later = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let offset = header.fragments_offset().value();
            assert_eq!(key.ipv4_src.to_bytes(), header.source(), "{at}");
            assert_eq!(key.ipv4_dst.to_bytes(), header.destination(), "{at}");
            assert_eq!(key.nw_ttl, header.ttl(), "{at}");
            assert_eq!(key.nw_tos, header.dcp().value() << 2 | header.ecn().value(), "{at}");
            assert_eq!(key.nw_proto, header.protocol().0, "{at}");
            let frag = u8::from(header.is_fragmenting_payload()) | u8::from(offset != 0) << 1;
            assert_eq!(key.nw_frag, frag, "{at}");
            offset != 0
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            assert_eq!(key.ipv6_src, header.source(), "{at}");
            assert_eq!(key.ipv6_dst, header.destination(), "{at}");
            assert_eq!(key.nw_ttl, header.hop_limit(), "{at}");
            assert_eq!(key.nw_tos, header.traffic_class(), "{at}");
            assert_eq!(key.ipv6_label.get(), header.flow_label().value(), "{at}");
            assert_eq!(key.nw_frag & 1 != 0, ip.is_payload_fragmented(), "{at}");
            if key.nw_frag & 2 == 0 {
                assert_eq!(key.nw_proto, ip.payload().ip_number.0, "{at}");
            }
            key.nw_frag & 2 != 0
        }
        Some(NetSlice::Arp(arp)) => {
            if let Ok(arp) = arp.to_packet().try_eth_ipv4() {
                assert_eq!(u16::from(key.nw_proto), arp.operation.0, "{at}");
                assert_eq!(key.arp_sha, arp.sender_mac, "{at}");
                assert_eq!(key.arp_tha, arp.target_mac, "{at}");
                assert_eq!(key.ipv4_src.to_bytes(), arp.sender_ipv4, "{at}");
                assert_eq!(key.ipv4_dst.to_bytes(), arp.target_ipv4, "{at}");
            }
            return;
        }
        None => return,
    };
    if later {
        assert_eq!((key.tp_src.get(), key.tp_dst.get(), key.tcp_flags.get()), (0, 0, 0), "{at}");
        return;
    }
    let ports = (key.tp_src.get(), key.tp_dst.get());
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => assert_eq!(ports, (tcp.source_port(), tcp.destination_port()), "{at}"),
        Some(TransportSlice::Udp(udp)) => assert_eq!(ports, (udp.source_port(), udp.destination_port()), "{at}"),
        Some(TransportSlice::Icmpv4(icmp)) => {
            assert_eq!(ports, (u16::from(icmp.type_u8()), u16::from(icmp.code_u8())), "{at}");
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            assert_eq!(ports, (u16::from(icmp.type_u8()), u16::from(icmp.code_u8())), "{at}");
        }
        _ => {}
    }
}
