use super::super::headers::{Headers, L3, L4, ParserLimits, ext};
use super::super::item::{IMAGE, ItemKind};
use super::*;
use proptest::prelude::*;
use rte_flow_rs::layout;

fn parse(frame: &[u8]) -> Headers {
    Headers::parse(frame, ParserLimits::default()).unwrap()
}

/// Ethernet header with this type, then the bytes.
fn ether(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    let mut out = [&MAC_B[..], &MAC_A[..]].concat();
    out.extend(ether_type.to_be_bytes());
    out.extend(rest);
    out
}

/// An IPv6 header for `payload`, with this next header.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    out.extend([IP6_A, IP6_B].concat());
    out.extend(payload);
    ether(0x86dd, &out)
}

#[test]
fn headers_are_found_where_they_are() {
    let found = parse(&tcp4());
    assert_eq!((found.l3, found.l4), (Some((L3::Ipv4, 14)), Some((L4::Tcp, 34))));
    let found = parse(&tagged(5));
    assert_eq!((found.tags(), found.ether_type), (&[14][..], 0x0800));
    assert_eq!((found.l3, found.l4), (Some((L3::Ipv4, 18)), Some((L4::Tcp, 38))));
    let found = parse(&udp6());
    assert_eq!((found.l3, found.l4), (Some((L3::Ipv6 { extensions: 0 }, 14)), Some((L4::Udp, 54))));
}

#[test]
fn frames_without_ethernet_header_have_nothing() {
    for len in 0..14 {
        assert_eq!(Headers::parse(&tcp4()[..len], ParserLimits::default()), None);
    }
}

#[test]
fn a_third_tag_hides_the_network_header() {
    let ip = &tcp4()[14..];
    let tags = |n: usize| {
        let mut rest = Vec::new();
        for i in 0..n {
            let next: u16 = if i + 1 == n { 0x0800 } else { 0x8100 };
            rest.extend([0, 1]);
            rest.extend(next.to_be_bytes());
        }
        ether(if n == 0 { 0x0800 } else { 0x88a8 }, &[&rest[..], ip].concat())
    };
    for (n, has_l3) in [(0, true), (1, true), (2, true), (3, false)] {
        let found = parse(&tags(n));
        assert_eq!(found.l3.is_some(), has_l3, "{n} tags");
        assert_eq!(found.tags().len(), n.min(2));
    }
}

#[test]
fn lengths_that_lie_end_the_parse() {
    let change = |at: usize, value: u8| {
        let mut frame = tcp4();
        frame[at] = value;
        parse(&frame)
    };
    assert_eq!(change(14, 0x44).l3, None, "header of 16 bytes");
    assert_eq!(change(14, 0x55).l3, None, "version 5");
    assert_eq!(change(17, 200).l3, None, "total length beyond the frame");
    assert_eq!(change(17, 19).l3, None, "total length within the header");
    assert_eq!(change(17, 30).l4, None, "total length within the TCP header");
    assert_eq!(change(46, 0x40).l4, None, "TCP header of 16 bytes");
    assert_eq!(change(46, 0xf0).l4, None, "TCP header beyond the packet");
    assert!(change(46, 0x40).l3.is_some());
    let mut udp = udp4();
    udp[39] = 7;
    assert_eq!(parse(&udp).l4, None, "UDP length 7");
    udp[39] = 200;
    assert_eq!(parse(&udp).l4, None, "UDP length beyond the packet");
}

#[test]
fn every_truncation_is_shallower_not_wrong() {
    for whole in [tcp4(), udp6(), tagged(7)] {
        for len in 14..whole.len() {
            // The IP length is beyond what is there.
            let found = parse(&whole[..len]);
            assert_eq!((found.l3, found.l4), (None, None), "{len} of {}", whole.len());
        }
    }
}

#[test]
fn fragments() {
    let mut first = tcp4();
    first[20] = 0x20;
    assert_eq!(parse(&first).l4, Some((L4::Tcp, 34)));
    let mut later = tcp4();
    later[21] = 1;
    assert_eq!((parse(&later).l3, parse(&later).l4, parse(&later).pseudo), (Some((L3::Ipv4, 14)), None, None));
}

#[test]
fn extension_headers_hide_the_transport_header_from_rules_but_not_from_checksums() {
    let udp = &udp6()[54..];
    let hop = [&[17, 0, 1, 4, 0, 0, 0, 0][..], udp].concat();
    let found = parse(&ipv6(0, &hop));
    assert_eq!((found.l3, found.l4), (Some((L3::Ipv6 { extensions: ext::HOP }, 14)), None));
    assert_eq!(found.pseudo.map(|s| s.at), Some(54 + 8 + 6));
    let fragment = [&[17, 0, 0, 1, 0, 0, 0, 9][..], udp].concat();
    let found = parse(&ipv6(44, &fragment));
    assert_eq!(found.l3, Some((L3::Ipv6 { extensions: ext::FRAG }, 14)));
    assert!(found.pseudo.is_some());
    let later = [&[17, 0, 0, 8, 0, 0, 0, 9][..], udp].concat();
    assert_eq!(parse(&ipv6(44, &later)).pseudo, None);
    let cut = ipv6(0, &[17, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(parse(&cut).l3, None, "extension header beyond the packet");
    let routed = [&[17, 0, 0, 1, 0, 0, 0, 0][..], udp].concat();
    assert!(parse(&ipv6(43, &routed)).pseudo.unwrap().dst_elsewhere);
}

#[test]
fn arp_for_ethernet_and_ipv4_only() {
    let mut arp = ether(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([0; 20]);
    assert_eq!(parse(&arp).l3, Some((L3::Arp, 14)));
    assert_eq!(parse(&arp[..arp.len() - 1]).l3, None);
    arp[18] = 8;
    assert_eq!(parse(&arp).l3, None);
}

#[test]
fn structures_are_as_the_c_compiler_lays_them_out() {
    for (kind, size) in [
        (ItemKind::Eth, layout::ITEM_ETH_SIZE),
        (ItemKind::Vlan, layout::ITEM_VLAN_SIZE),
        (ItemKind::Ipv4, layout::ITEM_IPV4_SIZE),
        (ItemKind::Ipv6, layout::ITEM_IPV6_SIZE),
        (ItemKind::Arp, layout::ITEM_ARP_SIZE),
        (ItemKind::Tcp, layout::ITEM_TCP_SIZE),
        (ItemKind::Udp, layout::ITEM_UDP_SIZE),
        (ItemKind::Sctp, layout::ITEM_SCTP_SIZE),
        (ItemKind::Icmp, layout::ITEM_ICMP_SIZE),
        (ItemKind::Icmp6, layout::ITEM_ICMP6_SIZE),
    ] {
        assert_eq!(kind.size(), size, "{kind:?}");
        assert!(size <= IMAGE);
    }
    let at = |kind: ItemKind, name: &str| kind.fields().iter().find(|f| f.name == name).unwrap().at;
    assert_eq!(at(ItemKind::Arp, "spa"), layout::ITEM_ARP_SPA);
    assert_eq!(at(ItemKind::Arp, "tha"), layout::ITEM_ARP_THA);
    assert_eq!(at(ItemKind::Arp, "tpa"), layout::ITEM_ARP_TPA);
    assert_eq!(at(ItemKind::Ipv6, "dst"), layout::ITEM_IPV6_DST);
    assert_eq!(at(ItemKind::Tcp, "flags"), layout::ITEM_TCP_FLAGS);
    assert_eq!((at(ItemKind::Eth, "has_vlan"), 1), layout::ITEM_ETH_HAS_VLAN);
    assert_eq!((at(ItemKind::Vlan, "has_more_vlan"), 1), layout::ITEM_VLAN_HAS_MORE_VLAN);
    assert_eq!((at(ItemKind::Ipv6, "has_frag_ext"), 4), layout::ITEM_IPV6_HAS_FRAG_EXT);
}

/// Frames that are mostly right: a whole one with some bytes changed and the end cut off.
pub fn bent_frame() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![tcp4(), udp4(), udp6(), tagged(3)]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (whole, changes, any::<prop::sample::Index>()).prop_map(|(mut frame, changes, cut)| {
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let keep = frame.len() - cut.index(frame.len() + 1).saturating_sub(frame.len() / 2);
        frame.truncate(keep.max(1));
        frame
    })
}

proptest! {
    #[test]
    fn any_bytes_are_parsed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Headers::parse(&bytes, ParserLimits::default());
    }

    #[test]
    fn what_is_found_lies_in_the_frame(frame in bent_frame()) {
        if let Some(found) = Headers::parse(&frame, ParserLimits::default()) {
            let ends = [found.l3.map(|(_, at)| at + 20), found.l4.map(|(_, at)| at + 4), found.pseudo.map(|s| s.at + 2)];
            prop_assert!(ends.into_iter().flatten().all(|end| end <= frame.len()), "{found:?}");
        }
    }

    /// Where etherparse, which is another parser, is content with the whole packet, the transport header is at the same place.
    #[test]
    fn another_parser_agrees(frame in bent_frame()) {
        let Ok(sliced) = etherparse::SlicedPacket::from_ethernet(&frame) else { return Ok(()) };
        let Some(found) = Headers::parse(&frame, ParserLimits::default()) else { return Ok(()) };
        let base = frame.as_ptr() as usize;
        let theirs = match &sliced.transport {
            Some(etherparse::TransportSlice::Tcp(tcp)) => Some((L4::Tcp, tcp.slice().as_ptr() as usize - base)),
            Some(etherparse::TransportSlice::Udp(udp)) => Some((L4::Udp, udp.slice().as_ptr() as usize - base)),
            _ => None,
        };
        if let (Some(ours), Some(theirs)) = (found.l4, theirs) {
            prop_assert_eq!(ours, theirs);
        }
    }
}
