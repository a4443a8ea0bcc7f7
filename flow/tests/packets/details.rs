//! Single packets at the edges of the rules.

use crate::build::{Fragment, Net, Shape, Transport, packet};
use crate::check::key_of;
use flow::dp::DpAction;
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, apply, layout_of, set_field};
use flow::wire::checksum::{self, Delta};
use flow::{FieldId, FlowKey, Value};

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
        payload: Vec::new(),
        padding: Vec::new(),
    }
}

fn key(net: Net) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.eth_type = if net == Net::Ipv4 { 0x0800 } else { 0x86dd }.into();
    key.nw_ttl = 64;
    key.ipv4_src = 0x0a00_0001.into();
    key.ipv4_dst = 0x0a00_0002.into();
    key.ipv6_src = [6; 16];
    key.ipv6_dst = [7; 16];
    key
}

/// Set a field of `bytes` to `value`; the packet afterwards.
fn set(bytes: &[u8], field: FieldId, value: u128) -> Vec<u8> {
    let mut pkt = FrameBuf::new(bytes);
    assert!(set_field(&mut pkt, field, Value(value), field.def().ones()), "{field}");
    pkt.into_packet()
}

#[test]
fn the_example_of_rfc_1624() {
    // Section 4: HC 0xdd2f, m 0x5555 becomes 0x3285, and equation 3 gives 0x0000.
    assert_eq!(Delta::between(&[0x55, 0x55], &[0x32, 0x85]).apply(0xdd2f), 0);
}

#[test]
fn words_that_stay_leave_every_checksum_as_it_is() {
    for sum in [0, 1, 0x8000, 0xfffe, 0xffff] {
        for word in [[0, 0], [0xff, 0xff], [0x12, 0x34]] {
            assert_eq!(Delta::between(&word, &word).apply(sum), sum);
        }
        // Minus zero becomes plus zero: the sum is the same.
        assert_eq!(Delta::between(&[0xff, 0xff], &[0, 0]).apply(sum), sum);
    }
    // A TCP checksum of 0xffff is never right, and stays when a field gets the value that it has.
    let mut bytes = packet(&shape(Net::Ipv4, Transport::Tcp { options: 0 }), &key(Net::Ipv4));
    bytes[50..52].fill(0xff);
    assert_eq!(set(&bytes, FieldId::TcpDst, 0), bytes);
    assert_eq!(set(&bytes, FieldId::Ipv4Dst, 0x0a00_0002), bytes);
}

#[test]
fn a_udp_checksum_that_comes_to_zero_is_written_as_ffff() {
    for net in [Net::Ipv4, Net::Ipv6] {
        let bytes = packet(&shape(net, Transport::Udp), &key(net));
        let sum_at = bytes.len() - 2;
        let sum = u16::from_be_bytes([bytes[sum_at], bytes[sum_at + 1]]);
        // The source port was 0: with the checksum as port, nothing is left for the checksum.
        let changed = set(&bytes, FieldId::UdpSrc, u128::from(sum));
        assert_eq!(changed[sum_at..], [0xff, 0xff]);
        assert_eq!(set(&changed, FieldId::UdpSrc, 0), bytes);
    }
}

#[test]
fn other_checksums_that_come_to_zero_are_written_as_zero() {
    let bytes = packet(&shape(Net::Ipv4, Transport::Tcp { options: 0 }), &key(Net::Ipv4));
    let sum = u16::from_be_bytes([bytes[50], bytes[51]]);
    let changed = set(&bytes, FieldId::TcpSrc, u128::from(sum));
    assert_eq!(changed[50..52], [0, 0]);
    assert_eq!(checksum::of(&changed[14..34]), 0);
}

#[test]
fn a_wrong_checksum_stays_wrong_by_as_much() {
    let mut bytes = packet(&shape(Net::Ipv4, Transport::Udp), &key(Net::Ipv4));
    bytes[40] ^= 0x10;
    bytes[24] ^= 0x01;
    let there = set(&bytes, FieldId::Ipv4Src, 0xc0a8_0001);
    assert_ne!(there, bytes);
    assert_ne!(checksum::of(&there[14..34]), 0);
    assert_eq!(set(&there, FieldId::Ipv4Src, 0x0a00_0001), bytes);
}

#[test]
fn icmp_belongs_to_its_ip_version() {
    for (net, proto) in [(Net::Ipv4, 58), (Net::Ipv6, 1)] {
        let mut shape = shape(net, Transport::Other(proto));
        shape.payload = vec![8; 16];
        let key = key_of(&packet(&shape, &key(net)));
        assert_eq!((key.nw_proto, key.tp_src.get(), key.tp_dst.get()), (proto, 0, 0));
    }
}

#[test]
fn reserved_bits_of_an_ipv6_fragment_header_make_a_fragment() {
    let mut bytes = packet(&shape(Net::Ipv6, Transport::Udp), &key(Net::Ipv6));
    // A fragment header before UDP.
    bytes.splice(54..54, [17, 0, 0, 0, 0, 0, 0, 1]);
    bytes[20] = 44;
    bytes[19] += 8;
    let frag = |bits: u8| {
        let mut bytes = bytes.clone();
        bytes[57] = bits;
        let key = key_of(&bytes);
        (key.nw_frag, key.nw_proto)
    };
    assert_eq!(frag(0), (0, 17));
    assert_eq!(frag(1), (1, 17));
    assert_eq!(frag(6), (1, 17));
    assert_eq!(frag(8), (3, 44));
}

/// A neighbour solicitation for `[9; 16]` with these options.
fn solicitation(options: &[u8]) -> Vec<u8> {
    let mut shape = shape(Net::Ipv6, Transport::Other(58));
    shape.payload = vec![135, 0, 0, 0, 0, 0, 0, 0];
    shape.payload.extend([9; 16]);
    shape.payload.extend(options);
    packet(&shape, &key(Net::Ipv6))
}

fn nd(options: &[u8]) -> ([u8; 16], [u8; 6], [u8; 6]) {
    let key = key_of(&solicitation(options));
    (key.nd_target, key.arp_sha, key.arp_tha)
}

#[test]
fn options_of_neighbour_discovery_that_do_not_count() {
    let none = ([9; 16], [0; 6], [0; 6]);
    assert_eq!(nd(&[1, 1, 3, 3, 3, 3, 3, 3]), ([9; 16], [3; 6], [0; 6]));
    assert_eq!(nd(&[1, 1, 3, 3, 3, 3, 3]), none, "7 bytes");
    assert_eq!(nd(&[1, 0, 3, 3, 3, 3, 3, 3]), none, "length 0");
    assert_eq!(nd(&[1, 2, 3, 3, 3, 3, 3, 3]), none, "beyond the end");
    assert_eq!(nd(&[[2, 2], [3; 2], [3; 2], [3; 2], [3; 2], [3; 2], [3; 2], [3; 2]].concat()), none, "16 bytes");
    let (a, b) = ([2, 1, 3, 3, 3, 3, 3, 3], [2, 1, 4, 4, 4, 4, 4, 4]);
    assert_eq!(nd(&a), ([9; 16], [0; 6], [3; 6]));
    assert_eq!(nd(&[a, b].concat()), ([0; 16], [0; 6], [0; 6]), "twice");
    assert_eq!(nd(&[[2, 1, 0, 0, 0, 0, 0, 0], b].concat()), ([9; 16], [0; 6], [4; 6]), "twice, the first of zeros");
}

#[test]
fn the_option_that_counts_is_the_one_that_is_set() {
    let bytes = solicitation(&[[1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 4, 4, 4, 4, 4, 4]].concat());
    let changed = set(&bytes, FieldId::NdSll, 0x0505_0505_0505);
    assert_eq!(key_of(&changed).arp_sha, [5; 6]);
    assert_eq!(changed[changed.len() - 14..changed.len() - 8], [0; 6]);
}

#[test]
fn nothing_is_changed_while_headers_are_beyond_the_head() {
    let action = DpAction::Set { field: FieldId::Ipv4Src, value: Value(1), mask: FieldId::Ipv4Src.def().ones() };
    let bytes = packet(&shape(Net::Ipv4, Transport::Tcp { options: 3 }), &key(Net::Ipv4));
    for head in 0..bytes.len() {
        let mut pkt = FrameBuf::new(&bytes).split_at(head);
        // Of TCP 20 bytes are needed, not its options.
        let short = head < 54;
        assert_eq!(layout_of(&pkt).short_head, short, "{head}");
        assert_eq!(apply(&mut pkt, &action) == Outcome::ShortHead, short, "{head}");
        assert_eq!(pkt.packet() == bytes, short, "{head}");
    }
    let solicitation = solicitation(&[1, 1, 3, 3, 3, 3, 3, 3]);
    let pkt = FrameBuf::new(&solicitation).split_at(solicitation.len() - 1);
    assert!(layout_of(&pkt).short_head && pkt.head().len() < pkt.total_len());
}

/// An Ethernet header with these ethertypes and tags, and what follows it.
fn frame_of(types: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[2; 12], types, rest].concat()
}

#[test]
fn of_a_label_stack_the_outermost_entry_is_read_and_nothing_behind_it() {
    // RFC 3032, section 2.1: label 20 bits, class 3, bottom 1, TTL 8. Behind the stack is an IPv4 packet.
    let stack = [0x00, 0x01, 0x66, 0x40, 0x00, 0x02, 0x0f, 0x3f];
    let ip = packet(&shape(Net::Ipv4, Transport::Udp), &key(Net::Ipv4))[14..].to_vec();
    let behind = [&stack[..], &ip].concat();
    for types in
        [&[0x88, 0x47][..], &[0x88, 0x48], &[0x81, 0, 0, 5, 0x88, 0x47], &[0x88, 0xa8, 0, 6, 0x81, 0, 0, 5, 0x88, 0x47]]
    {
        let bytes = frame_of(types, &behind);
        let key = key_of(&bytes);
        let get = |id| key.get(id).unwrap().0;
        assert_eq!(get(FieldId::MplsLabel), 0x16);
        assert_eq!((get(FieldId::MplsTc), get(FieldId::MplsBos), get(FieldId::MplsTtl)), (3, 0, 64));
        assert_eq!((key.nw_proto, key.ipv4_src.get(), key.nw_ttl), (0, 0, 0));
        assert_eq!(key.vlans[0].is_present(), types.len() > 2);

        let changed = set(&bytes, FieldId::MplsLabel, 0xabcde);
        let at = 12 + types.len();
        assert_eq!(changed[at..at + 4], [0xab, 0xcd, 0xe6, 0x40]);
        assert_eq!(changed[at + 4..], bytes[at + 4..]);
        assert_eq!(set(&bytes, FieldId::MplsTc, 0)[at..at + 4], [0x00, 0x01, 0x60, 0x40]);
        assert_eq!(set(&bytes, FieldId::MplsTtl, 1)[at..at + 4], [0x00, 0x01, 0x66, 0x01]);
        assert!(layout_of(&FrameBuf::new(&bytes).split_at(at + 3)).short_head);
    }
    let cut = key_of(&frame_of(&[0x88, 0x47], &stack[..3]));
    assert_eq!((cut.eth_type.get(), cut.mpls_lse.get()), (0x8847, 0));
    assert!(!set_field(
        &mut FrameBuf::new(&frame_of(&[0x88, 0x47], &stack[..3])),
        FieldId::MplsTtl,
        Value(1),
        Value(255)
    ));
    // Whether it is the bottom of the stack is not for an action to say.
    assert!(!set_field(&mut FrameBuf::new(&frame_of(&[0x88, 0x47], &stack)), FieldId::MplsBos, Value(1), Value(1)));
}

#[test]
fn flags_and_first_option_of_neighbour_discovery() {
    let of = |options: &[u8]| {
        let mut bytes = solicitation(options);
        bytes[58..62].copy_from_slice(&[0xe0, 1, 2, 3]);
        let key = key_of(&bytes);
        (key.nd_reserved.get(), key.nd_options_type)
    };
    let (a, b) = ([1, 1, 3, 3, 3, 3, 3, 3], [2, 1, 4, 4, 4, 4, 4, 4]);
    assert_eq!(of(&[]), (0xe001_0203, 0));
    assert_eq!(of(&a), (0xe001_0203, 1));
    assert_eq!(of(&[b, a].concat()), (0xe001_0203, 2));
    assert_eq!(of(&[[14, 1, 0, 0, 0, 0, 0, 0], b].concat()), (0xe001_0203, 2), "behind one that does not count");
    // OVS keeps it when the same option comes again.
    assert_eq!(of(&[b, b].concat()), (0xe001_0203, 2));
}
