//! Packets built from keys: extraction gives the key, and changing a packet gives the packet of the changed key.

use crate::build::{Extension, Fragment, Net, Shape, Transport, frame, packet};
use crate::check::{check, key_of};
use flow::dp::DpAction;
use flow::field::datapath_fields;
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, apply, layout_of, pop_vlan, push_vlan, set_field};
use flow::{FieldId, FlowKey, Value, VlanTag};
use proptest::prelude::*;

/// Whether a packet of that shape has the field, as a field that actions may change.
fn has(shape: &Shape, key: &FlowKey, field: FieldId) -> bool {
    let v4 = shape.net == Net::Ipv4;
    let v6 = shape.net == Net::Ipv6;
    let l4 = |want: fn(&Transport) -> bool| (v4 || v6) && shape.fragment != Fragment::Later && want(&shape.l4);
    match field {
        FieldId::EthSrc | FieldId::EthDst => true,
        FieldId::VlanTci | FieldId::VlanVid | FieldId::VlanPcp => !shape.tags.is_empty(),
        FieldId::Ipv4Src | FieldId::Ipv4Dst => v4,
        FieldId::Ipv6Src | FieldId::Ipv6Dst | FieldId::Ipv6Label => v6,
        FieldId::IpTos | FieldId::IpDscp | FieldId::IpEcn | FieldId::IpTtl => v4 || v6,
        FieldId::ArpOp | FieldId::ArpSpa | FieldId::ArpTpa | FieldId::ArpSha | FieldId::ArpTha => {
            matches!(shape.net, Net::Arp | Net::Rarp)
        }
        FieldId::TcpSrc | FieldId::TcpDst => l4(|l4| matches!(l4, Transport::Tcp { .. })),
        FieldId::UdpSrc | FieldId::UdpDst => l4(|l4| *l4 == Transport::Udp),
        FieldId::SctpSrc | FieldId::SctpDst => l4(|l4| *l4 == Transport::Sctp),
        FieldId::IcmpType | FieldId::IcmpCode => v4 && l4(|l4| *l4 == Transport::Icmp),
        FieldId::Icmpv6Type | FieldId::Icmpv6Code => {
            v6 && l4(|l4| matches!(l4, Transport::Icmp | Transport::Nd { .. }))
        }
        FieldId::MplsLabel | FieldId::MplsTc | FieldId::MplsTtl => matches!(shape.net, Net::Mpls { .. }),
        FieldId::NdTarget | FieldId::NdReserved => v6 && l4(|l4| matches!(l4, Transport::Nd { .. })),
        FieldId::NdSll => v6 && l4(|l4| matches!(l4, Transport::Nd { source: true, .. })) && key.tp_src.get() == 135,
        FieldId::NdTll => v6 && l4(|l4| matches!(l4, Transport::Nd { target: true, .. })) && key.tp_src.get() == 136,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_packet_built_from_a_key_has_that_key((shape, key) in frame()) {
        let bytes = packet(&shape, &key);
        prop_assert_eq!(key_of(&bytes), key);
        let layout = layout_of(&FrameBuf::new(&bytes));
        let routed = shape.extensions.iter().any(|e| matches!(e, Extension::Routing { left: 1.. }));
        prop_assert_eq!(layout.routed, routed && shape.net == Net::Ipv6);
        prop_assert!(!layout.short_head);
    }

    #[test]
    fn a_changed_packet_is_the_packet_of_the_changed_key((shape, key) in frame(), value: u128, mask: u128, exact: bool) {
        let bytes = packet(&shape, &key);
        for def in datapath_fields() {
            let mut mask = if exact { def.ones().0 } else { mask & def.ones().0 };
            let mut pkt = FrameBuf::new(&bytes);
            let there = set_field(&mut pkt, def.id, Value(value), Value(mask));
            prop_assert_eq!(there, has(&shape, &key, def.id), "{}", def.name);
            let mut want = key;
            if there {
                if matches!(def.id, FieldId::VlanTci | FieldId::VlanVid) {
                    mask &= !u128::from(VlanTag::PRESENT);
                }
                want.set(def.id, Value(key.get(def.id).unwrap().0 & !mask | value & mask));
            }
            prop_assert_eq!(pkt.packet(), packet(&shape, &want), "{}", def.name);
        }
    }

    #[test]
    fn ttl_is_decremented_or_expired((shape, key) in frame()) {
        let mut pkt = FrameBuf::new(&packet(&shape, &key));
        let outcome = apply(&mut pkt, &DpAction::DecTtl);
        let mut want = key;
        if !matches!(shape.net, Net::Ipv4 | Net::Ipv6) {
            prop_assert_eq!(outcome, Outcome::Absent);
        } else if key.nw_ttl <= 1 {
            prop_assert_eq!(outcome, Outcome::Expired);
        } else {
            prop_assert_eq!(outcome, Outcome::Done);
            want.nw_ttl -= 1;
        }
        prop_assert_eq!(pkt.packet(), packet(&shape, &want));
    }

    #[test]
    fn tags_pushed_and_popped_are_those_of_the_key((mut shape, mut key) in frame(), tci: u16) {
        let before = packet(&shape, &key);
        let mut pkt = FrameBuf::new(&before);
        if shape.tags.is_empty() {
            prop_assert!(!pop_vlan(&mut pkt));
        } else {
            prop_assert!(pop_vlan(&mut pkt));
            shape.tags.remove(0);
            key.vlans = [key.vlans[1], VlanTag::default()];
            prop_assert_eq!(pkt.packet(), packet(&shape, &key));
        }
        let tag = VlanTag { tpid: 0x88a8.into(), tci: (tci | VlanTag::PRESENT).into() };
        prop_assert_eq!(push_vlan(&mut pkt, tag), Outcome::Done);
        shape.tags.insert(0, 0x88a8);
        key.vlans = [tag, key.vlans[0]];
        prop_assert_eq!(pkt.packet(), packet(&shape, &key));
    }

    #[test]
    fn a_packet_cut_anywhere_keeps_its_invariants((shape, key) in frame(), cut: prop::sample::Index) {
        let bytes = packet(&shape, &key);
        check(&bytes);
        check(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn any_bytes_keep_the_invariants(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn broken_packets_keep_the_invariants((shape, key) in frame(), at: prop::sample::Index, bits: u8) {
        let mut bytes = packet(&shape, &key);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        check(&bytes);
    }
}

#[test]
fn a_tag_needs_headroom() {
    let mut pkt = FrameBuf::with_headroom(&[0; 14], 3);
    let tag = VlanTag { tpid: 0x8100.into(), tci: 0x1001.into() };
    assert_eq!(push_vlan(&mut pkt, tag), Outcome::NoRoom);
    assert_eq!(pkt.packet(), [0; 14]);
    assert_eq!(push_vlan(&mut FrameBuf::new(&[0; 13]), tag), Outcome::Absent);
}

#[test]
fn a_buffer_pulls_what_it_has_only() {
    let mut pkt = FrameBuf::new(&[1, 2, 3]).split_at(2);
    assert_eq!(pkt.head(), [1, 2]);
    assert!(!pkt.pull_front(3));
    assert!(pkt.pull_front(1));
    assert_eq!((pkt.head(), pkt.total_len()), (&[2][..], 2));
    assert!(pkt.push_front(1));
    assert_eq!(pkt.head(), [1, 2]);
    assert_eq!(pkt.into_packet(), [1, 2, 3]);
}

#[test]
fn actions_that_are_not_for_bytes_say_so() {
    assert_eq!(apply(&mut FrameBuf::new(&[0; 60]), &DpAction::Truncate(20)), Outcome::NotRewrite);
}
