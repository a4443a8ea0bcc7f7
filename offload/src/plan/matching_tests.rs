//! Matches one by one where a bit more or less is another pattern, on a device that matches all fields.

use super::matching::{busy_words, translate, words_of};
use super::*;
use crate::caps::{FieldCaps, MaskCap, VlanAbsent};
use crate::rule::{Bits, InnerTag, L3Match, L4Match, VlanMatch};
use crate::testing::{FlowMaker, from};
use flow::field::{FIELDS, datapath_fields};
use flow::key::frag;
use flow::{FieldId, Mask};

fn any_field() -> FieldCaps {
    let all: Vec<FieldId> = datapath_fields().map(|def| def.id).collect();
    FieldCaps::default().with(MaskCap::Any, &all)
}

fn with(caps: &FieldCaps, absent: VlanAbsent, flow: FlowMaker) -> (HwMatch, Refusals) {
    let flow = flow.build(1);
    translate(&flow.key, &flow.mask, caps, absent)
}

fn said(flow: FlowMaker) -> HwMatch {
    let (matches, refused) = with(&any_field(), VlanAbsent::HasVlanBit, flow);
    assert_eq!(refused[..], []);
    matches
}

fn refused(flow: FlowMaker) -> Refusals {
    with(&any_field(), VlanAbsent::HasVlanBit, flow).1
}

fn inexact(field: FieldId) -> [Refusal; 1] {
    [Refusal::Inexact { field }]
}

fn ip6() -> FlowMaker {
    from(1).field(FieldId::EthType, 0x86ddu16)
}

/// The words that a field is looked for in are those that a mask of it fills: one too few would refuse the field.
#[test]
fn a_field_is_looked_for_where_its_bits_are() {
    for def in FIELDS {
        let mut mask = Mask::ANY;
        if def.is_in_key() {
            mask.require(def.id);
        }
        assert_eq!(words_of(def.id), busy_words(&mask), "{}", def.name);
    }
}

#[test]
fn ethertypes_are_types_from_0x600_on() {
    let flow = |ty: u16| from(1).field(FieldId::EthType, ty);
    assert_eq!(said(flow(0x0600)).eth_type, Some(0x0600));
    assert_eq!(refused(flow(0x05ff))[..], inexact(FieldId::EthType));
    assert_eq!(
        refused(from(1).masked(FieldId::EthType, 0x0800, 0xff00))[..],
        [Refusal::PartialMask { field: FieldId::EthType }]
    );
    // RARP is ARP's own pattern nowhere.
    assert_eq!(said(flow(0x8035)).l3, L3Match::None);
    assert_eq!(refused(flow(0x8035).field(FieldId::ArpOp, 3u8))[..], [Refusal::MatchField { field: FieldId::ArpOp }]);
}

#[test]
fn of_a_tag_is_matched_what_the_flow_looks_at() {
    let tagged = |value, mask| from(1).masked(FieldId::VlanTci, value, mask);
    let tci = |flow| match said(flow).vlan {
        VlanMatch::Tagged { tci, tpid: None, inner: InnerTag::Any } => (tci.value, tci.mask),
        other => panic!("{other:?}"),
    };
    assert_eq!(tci(tagged(0x1005, 0x1fff)), (5, 0x0fff));
    assert_eq!(tci(tagged(0x0005, 0x0fff)), (5, 0x0fff), "only a tag has bits");
    assert_eq!(tci(tagged(0xf005, 0xffff)), (0xe005, 0xefff));
    assert_eq!(refused(tagged(0x0005, 0x1fff))[..], inexact(FieldId::VlanTci));
    let none = refused(tagged(0x1005, 0x1fff).field(FieldId::VlanTpid, 0u16));
    assert_eq!(none[..1], inexact(FieldId::VlanTci), "a tag of no type");
    let part = |field| [Refusal::PartialMask { field }];
    assert_eq!(refused(tagged(0, 0x0fff))[..], part(FieldId::VlanTci), "no tag, or VLAN 0");
    assert_eq!(refused(tagged(0x1000, 0x1000).masked(FieldId::VlanTpid, 0x8100, 0xff00))[..], part(FieldId::VlanTpid));
    assert_eq!(said(tagged(0, 0x1000)).vlan, VlanMatch::Absent { by_pattern: false });
    assert_eq!(said(from(1).field(FieldId::VlanTpid, 0u16)).vlan, VlanMatch::Absent { by_pattern: false });
    for (tpid, exactly) in [(0x8100u16, true), (0x88a8, true), (0x9100, true), (0x9200, false), (0x1234, false)] {
        let refused = refused(tagged(0x1000, 0x1000).field(FieldId::VlanTpid, tpid));
        assert_eq!(refused.is_empty(), exactly, "{tpid:#x}: {refused:?}");
    }
    let behind = tagged(0, 0xffff).masked(FieldId::Vlan1Tci, 0x1000, 0x1000);
    let on = [Refusal::Prerequisite { field: FieldId::Vlan1Tci, on: FieldId::VlanTci }];
    assert_eq!(refused(behind)[..], on);
    assert_eq!(refused(from(1).masked(FieldId::Vlan1Tci, 0x1000, 0x1000))[..], on);
    let two = tagged(0x1000, 0x1000).masked(FieldId::Vlan1Tci, 0x1000, 0x1000);
    assert_eq!(refused(two)[..], [Refusal::MatchField { field: FieldId::Vlan1Tci }]);
}

#[test]
fn a_device_is_asked_for_the_parts_of_a_tag_that_count() {
    let caps = |cap, fields: &[FieldId]| any_field().with(cap, fields);
    let tagged = |value, mask| from(1).masked(FieldId::VlanTci, value, mask);
    let refused = |caps: &FieldCaps, flow| with(caps, VlanAbsent::HasVlanBit, flow).1;
    let exact = caps(MaskCap::Exact, &[FieldId::VlanVid, FieldId::VlanPcp]);
    assert_eq!(refused(&exact, tagged(0x1005, 0x1fff))[..], []);
    assert_eq!(refused(&exact, tagged(0xf005, 0xffff))[..], []);
    assert_eq!(refused(&exact, tagged(0x1005, 0x10ff))[..], [Refusal::PartialMask { field: FieldId::VlanVid }]);
    assert_eq!(refused(&exact, tagged(0x7000, 0x7000))[..], [Refusal::PartialMask { field: FieldId::VlanPcp }]);
    let no_pcp = caps(MaskCap::No, &[FieldId::VlanPcp]);
    assert_eq!(refused(&no_pcp, tagged(0x1005, 0x1fff))[..], []);
    assert_eq!(refused(&no_pcp, tagged(0x7000, 0xf000))[..], [Refusal::MatchField { field: FieldId::VlanPcp }]);
    let no_tags = caps(MaskCap::No, &[FieldId::VlanTci]);
    assert_eq!(refused(&no_tags, tagged(0x1000, 0x1000))[..], [Refusal::MatchField { field: FieldId::VlanTci }]);
    let no_tpid = caps(MaskCap::No, &[FieldId::VlanTpid]);
    let typed = tagged(0x1000, 0x1000).field(FieldId::VlanTpid, 0x8100u16);
    assert_eq!(refused(&no_tpid, typed)[..], [Refusal::MatchField { field: FieldId::VlanTpid }]);
    let no_inner = caps(MaskCap::No, &[FieldId::Vlan1Tci]);
    let one = || tagged(0x1000, 0x1000).field(FieldId::Vlan1Tci, 0u16);
    assert_eq!(refused(&no_inner, one())[..], [Refusal::MatchField { field: FieldId::Vlan1Tci }]);
    // By the ethertype behind the tag, where patterns say what they do not have.
    let (matches, refused) = with(&no_inner, VlanAbsent::ByPattern, one().ipv4());
    assert_eq!(refused[..], []);
    assert!(matches!(matches.vlan, VlanMatch::Tagged { inner: InnerTag::Absent { by_pattern: true }, .. }));
    assert!(matches.is_by_pattern());
    let untagged = || from(1).field(FieldId::VlanTci, 0u16);
    let by = |absent, flow| with(&any_field(), absent, flow);
    assert_eq!(by(VlanAbsent::ByPattern, untagged().ipv4()).0.vlan, VlanMatch::Absent { by_pattern: true });
    assert!(by(VlanAbsent::ByPattern, untagged().ipv4()).0.is_by_pattern());
    assert!(!by(VlanAbsent::HasVlanBit, untagged().ipv4()).0.is_by_pattern());
    let cannot = [Refusal::MatchField { field: FieldId::VlanTci }];
    assert_eq!(by(VlanAbsent::ByPattern, untagged()).1[..], cannot, "no ethertype says it");
    assert_eq!(by(VlanAbsent::No, untagged().ipv4()).1[..], cannot);
}

#[test]
fn fragments_are_told_by_bits_or_not_at_all() {
    let fragment = |value: u8, mask: u8| {
        let flow = from(1).ipv4().masked(FieldId::IpFrag, value.into(), mask.into());
        match said(flow).l3 {
            L3Match::Ipv4 { fragment, .. } => (fragment.value, fragment.mask),
            other => panic!("{other:?}"),
        }
    };
    let both = frag::ANY | frag::LATER;
    assert_eq!(fragment(0, 0), (0, 0));
    assert_eq!(fragment(0, both), (0, 0x3fff));
    assert_eq!(fragment(0, frag::ANY), (0, 0x3fff));
    assert_eq!(fragment(0, frag::LATER), (0, 0x1fff));
    assert_eq!(fragment(frag::ANY, both), (0x2000, 0x3fff));
    let ip = |value: u8, mask: u8| from(1).ipv4().masked(FieldId::IpFrag, value.into(), mask.into());
    for (value, mask) in [(frag::ANY, frag::ANY), (both, both), (frag::LATER, frag::LATER)] {
        assert_eq!(refused(ip(value, mask))[..], inexact(FieldId::IpFrag), "{value} {mask}");
    }
    let six = |value: u8, mask: u8| ip6().masked(FieldId::IpFrag, value.into(), mask.into());
    for (mask, wanted) in [(0, false), (frag::ANY, true), (both, true)] {
        let L3Match::Ipv6 { no_fragment, .. } = said(six(0, mask)).l3 else { panic!() };
        assert_eq!(no_fragment, wanted);
    }
    assert_eq!(refused(six(frag::ANY, both))[..], inexact(FieldId::IpFrag));
    let blind = any_field().with(MaskCap::No, &[FieldId::IpFrag]);
    let cannot = [Refusal::MatchField { field: FieldId::IpFrag }];
    for flow in [ip(0, both), six(0, both)] {
        assert_eq!(with(&blind, VlanAbsent::HasVlanBit, flow).1[..], cannot);
    }
    assert_eq!(with(&blind, VlanAbsent::HasVlanBit, from(1).ipv4()).1[..], []);
}

#[test]
fn a_transport_header_is_asked_for_where_a_field_of_it_counts() {
    let v4 = |proto: u8| from(1).ipv4().field(FieldId::IpProto, proto);
    let v6 = |proto: u8| ip6().field(FieldId::IpProto, proto);
    for proto in [6u8, 17, 132, 1, 58, 47] {
        assert_eq!((said(v4(proto)).l4, said(v6(proto)).l4), (L4Match::None, L4Match::None), "{proto}");
    }
    let (seven, none) = (Bits { value: 7u16, mask: 0xffff }, Bits::default());
    let (one, no) = (Bits { value: 7u8, mask: 0xff }, Bits::default());
    let flags = Bits { value: 2, mask: 0xfff };
    let port = |proto, field| said(v4(proto).field(field, 7u16)).l4;
    assert_eq!(port(6, FieldId::TcpSrc), L4Match::Tcp { src: seven, dst: none, flags: none });
    assert_eq!(port(6, FieldId::TcpDst), L4Match::Tcp { src: none, dst: seven, flags: none });
    assert_eq!(said(v4(6).field(FieldId::TcpFlags, 2u16)).l4, L4Match::Tcp { src: none, dst: none, flags });
    assert_eq!(port(17, FieldId::UdpSrc), L4Match::Udp { src: seven, dst: none });
    assert_eq!(port(17, FieldId::UdpDst), L4Match::Udp { src: none, dst: seven });
    assert_eq!(port(132, FieldId::SctpSrc), L4Match::Sctp { src: seven, dst: none });
    assert_eq!(port(132, FieldId::SctpDst), L4Match::Sctp { src: none, dst: seven });
    assert_eq!(port(1, FieldId::IcmpType), L4Match::Icmp { kind: one, code: no });
    assert_eq!(port(1, FieldId::IcmpCode), L4Match::Icmp { kind: no, code: one });
    let six = |field| said(v6(58).field(field, 7u16)).l4;
    assert_eq!(six(FieldId::Icmpv6Type), L4Match::Icmpv6 { kind: one, code: no });
    assert_eq!(six(FieldId::Icmpv6Code), L4Match::Icmpv6 { kind: no, code: one });
    // ICMP in IPv6, or ICMPv6 in IPv4, has no fields to software: they are zero in every key.
    for flow in [v6(1), v4(58), v4(47)] {
        assert_eq!(said(flow.field(FieldId::TcpSrc, 0u16)).l4, L4Match::None);
    }
    for flow in [v6(1), v4(58), v4(47)] {
        assert_eq!(refused(flow.field(FieldId::TcpSrc, 7u16))[..], [Refusal::MatchField { field: FieldId::TcpSrc }]);
    }
    assert_eq!(said(v4(17).field(FieldId::TcpFlags, 0u16)).l4, L4Match::None);
    assert_eq!(refused(v4(17).field(FieldId::TcpFlags, 2u16))[..], [Refusal::MatchField { field: FieldId::TcpFlags }]);
    let on = |field, on| [Refusal::Prerequisite { field, on }];
    assert_eq!(refused(from(1).ipv4().field(FieldId::TcpDst, 7u16))[..], on(FieldId::TcpDst, FieldId::IpProto));
    assert_eq!(refused(ip6().field(FieldId::NdTarget, 0u8))[..], on(FieldId::NdTarget, FieldId::IpProto));
    assert_eq!(refused(from(1).field(FieldId::IpProto, 6u8))[..], on(FieldId::IpProto, FieldId::EthType));
    let some = from(1).ipv4().masked(FieldId::IpProto, 6, 0x0f);
    assert_eq!(refused(some)[..], [Refusal::PartialMask { field: FieldId::IpProto }]);
}

#[test]
fn neighbour_discovery_has_fields_that_no_device_matches_and_other_messages_have_none() {
    let icmp = |kind: u8| ip6().field(FieldId::IpProto, 58u8).field(FieldId::Icmpv6Type, kind);
    for field in [FieldId::NdTarget, FieldId::NdSll, FieldId::NdTll] {
        let cannot = [Refusal::MatchField { field }];
        for kind in [135, 136] {
            assert_eq!(refused(icmp(kind))[..], []);
            assert_eq!(refused(icmp(kind).field(field, 0u8))[..], cannot, "{field} of {kind}");
        }
        assert_eq!(refused(icmp(128).field(field, 0u8))[..], []);
        assert_eq!(refused(icmp(128).field(field, 1u8))[..], cannot);
        let unknown = ip6().field(FieldId::IpProto, 58u8).field(field, 0u8);
        assert_eq!(refused(unknown)[..], cannot, "it may be such a message");
        assert_eq!(refused(ip6().field(FieldId::IpProto, 6u8).field(field, 0u8))[..], []);
    }
}

#[test]
fn arp_opcodes_are_told_apart_as_far_as_keys_do() {
    let arp = || from(1).field(FieldId::EthType, 0x0806u16);
    let op = |value: u128, mask: u128| arp().masked(FieldId::ArpOp, value, mask);
    assert_eq!(said(arp()).l3, L3Match::None);
    let L3Match::Arp { op: Some(2), .. } = said(op(2, 0xff)).l3 else { panic!() };
    assert_eq!(refused(op(0, 0xff))[..], inexact(FieldId::ArpOp), "0, or more than 255");
    assert_eq!(refused(op(2, 0x0f))[..], inexact(FieldId::ArpOp));
    assert_eq!(refused(arp().field(FieldId::IpTtl, 1u8))[..], [Refusal::MatchField { field: FieldId::IpTtl }]);
    assert_eq!(refused(arp().field(FieldId::IpTtl, 0u8))[..], []);
}

#[test]
fn what_no_layer_takes_is_refused_by_its_name() {
    let mark = from(1).field(FieldId::PktMark, 1u32);
    assert_eq!(refused(mark)[..], [Refusal::MatchField { field: FieldId::PktMark }]);
    assert_eq!(refused(from(1).field(FieldId::PktMark, 0u32))[..], []);
    assert_eq!(refused(from(1).field(FieldId::CtState, 0u32).field(FieldId::TunId, 0u64))[..], []);
    for field in [FieldId::TunId, FieldId::CtState, FieldId::TunIpv6Dst, FieldId::CtLabel] {
        assert_eq!(refused(from(1).field(field, 1u8))[..], [Refusal::MatchField { field }]);
    }
    let label = from(1).field(FieldId::EthType, 0x8847u16).field(FieldId::MplsLabel, 0u32);
    assert_eq!(refused(label)[..], [Refusal::MatchField { field: FieldId::MplsLabel }]);
    let options = ip6().field(FieldId::NdOptionsType, 0u8);
    assert_eq!(refused(options)[..], [Refusal::MatchField { field: FieldId::NdOptionsType }]);
    let mut never = from(1);
    never.contradict();
    assert_eq!(refused(never)[..], [Refusal::NeverMatches]);
    // Bits of no field that are asked to be zero are so in every key.
    let mut flow = std::sync::Arc::into_inner(from(1).build(1)).unwrap();
    flow.mask.0.pad4 = u16::MAX.into();
    assert_eq!(translate(&flow.key, &flow.mask, &any_field(), VlanAbsent::HasVlanBit).1[..], []);
}

#[test]
fn prefixes_are_leading_bits() {
    let caps = any_field().with(MaskCap::Prefix, &[FieldId::Ipv4Dst]);
    for (mask, prefix) in
        [(0, true), (1 << 31, true), (0xffff_0000, true), (0xffff_ffff, true), (1, false), (0x7fff_0000, false)]
    {
        let flow = from(1).ipv4().masked(FieldId::Ipv4Dst, 0, mask);
        let refused = with(&caps, VlanAbsent::HasVlanBit, flow).1;
        assert_eq!(refused.is_empty(), prefix, "{mask:#x}: {refused:?}");
    }
}
