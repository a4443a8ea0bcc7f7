//! Actions one by one where a little more or less makes another plan: tags, TTLs, meters, limits.

use super::tests::{able, full, planned, refusals};
use super::*;
use crate::caps::{Capabilities, DecTtl, MaskCap, VlanAbsent};
use crate::rule::{Bits, L3Match, L4Match, VlanMatch};
use crate::testing::{FlowMaker, from, world, world_of};
use crate::world::EthdevId;
use flow::dp::*;
use flow::{FieldId, Value, VlanTag};
use std::sync::Arc;

fn able_but(change: impl FnOnce(&mut TransferCaps)) -> World {
    let mut caps = able();
    change(caps.transfer.as_mut().unwrap());
    world_of(caps)
}

fn refused_in(flow: FlowMaker, world: &World) -> Refusals {
    match planned(flow, world) {
        Plan::Full(program) => panic!("{program:?}"),
        Plan::Partial { refused, .. } | Plan::Software(refused) => refused,
    }
}

fn push() -> DpAction {
    DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() })
}

/// Software counts tags as it goes, and drops a third and what it cannot remove: hardware does not look.
#[test]
fn tags_are_counted_from_the_match_on() {
    let untagged = || from(1).field(FieldId::VlanTci, 0u16);
    let some = || from(1).masked(FieldId::VlanTci, 0x1000, 0x1000);
    let one = || some().field(FieldId::Vlan1Tci, 0u16);
    let needs = |action, field| [Refusal::ActionNeedsMatch { action, field }];
    let (pop, vid) = (DpActionKind::PopVlan, DpActionKind::Set(FieldId::VlanVid));
    let actions = |flow: FlowMaker| full(flow).rules.pop().unwrap().actions.to_vec();
    let (added, out) = (HwAction::PushVlan { tpid: 0x8100, vid: 7, pcp: 0 }, HwAction::Output(EthdevId(11)));
    assert_eq!(actions(untagged().then(push()).output(2)), [added, out]);
    assert_eq!(actions(untagged().then(push()).then(DpAction::PopVlan).output(2)), [added, HwAction::PopVlan, out]);
    let set = HwAction::Set { field: FieldId::VlanVid, value: Value(9) };
    assert_eq!(actions(untagged().then(push()).set(FieldId::VlanVid, 0x1009u16).output(2)), [added, set, out]);
    assert_eq!(refusals(untagged().set(FieldId::VlanVid, 0x1009u16).output(2))[..], needs(vid, FieldId::VlanTci));
    assert_eq!(refusals(untagged().then(DpAction::PopVlan).output(2))[..], needs(pop, FieldId::VlanTci));
    let twice = untagged().then(push()).then(push()).output(2);
    assert_eq!(refusals(twice)[..], [Refusal::Repeated(DpActionKind::PushVlan)]);
    let gone = untagged().then(push()).then(DpAction::PopVlan).then(DpAction::PopVlan).output(2);
    assert_eq!(refusals(gone)[..], needs(pop, FieldId::VlanTci));

    assert_eq!(actions(one().then(DpAction::PopVlan).output(2)), [HwAction::PopVlan, out]);
    let gone = one().then(DpAction::PopVlan).then(DpAction::PopVlan).output(2);
    assert_eq!(refusals(gone)[..], needs(pop, FieldId::VlanTci));
    let both = one().then(push()).then(DpAction::PopVlan).then(DpAction::PopVlan).output(2);
    assert_eq!(actions(both), [added, HwAction::PopVlan, HwAction::PopVlan, out]);
    assert_eq!(actions(one().then(DpAction::PopVlan).then(push()).output(2)), [HwAction::PopVlan, added, out]);

    assert_eq!(actions(some().then(DpAction::PopVlan).output(2)), [HwAction::PopVlan, out]);
    let gone = some().then(DpAction::PopVlan).then(DpAction::PopVlan).output(2);
    assert_eq!(refusals(gone)[..], needs(pop, FieldId::VlanTci));
    assert_eq!(refusals(some().then(push()).output(2))[..], needs(DpActionKind::PushVlan, FieldId::Vlan1Tci));
    assert_eq!(refusals(from(1).then(push()).output(2))[..], needs(DpActionKind::PushVlan, FieldId::VlanTci));
}

#[test]
fn a_ttl_that_is_set_is_known_after_each_decrement() {
    let set = |ttl: u8| from(1).ipv4().set(FieldId::IpTtl, ttl).then(DpAction::DecTtl);
    assert_eq!(refusals(set(1).output(2))[..], [Refusal::TtlExpires]);
    assert_eq!(full(set(2).output(2)).rules.len(), 1);
    assert_eq!(refusals(set(2).then(DpAction::DecTtl).output(2))[..], [Refusal::TtlExpires]);
    assert_eq!(full(set(3).then(DpAction::DecTtl).output(2)).rules.len(), 1);
    assert_eq!(refusals(set(0).output(2))[..], [Refusal::TtlExpires]);
}

#[test]
fn a_device_that_drops_what_expires_needs_no_guard() {
    let drops = able_but(|t| (t.dec_ttl, t.priorities) = (DecTtl::DropsExpired, 1));
    let Plan::Full(program) = planned(from(1).ipv4().then(DpAction::DecTtl).output(2), &drops) else { panic!() };
    assert_eq!(program.rules.len(), 1);
}

#[test]
fn a_main_rule_is_below_the_guards_where_there_are_priorities() {
    for (priorities, wanted) in [(1, 0), (2, 1), (16, 1)] {
        let Plan::Full(program) = planned(from(1).output(2), &able_but(|t| t.priorities = priorities)) else {
            panic!()
        };
        assert_eq!(program.rules[0].table, Table::Transfer { group: 0, priority: wanted }, "{priorities}");
    }
}

/// A device that tells tags by the pattern matches untagged packets only, and software meters the others.
#[test]
fn a_meter_is_split_by_packets_with_tags_and_a_drop_behind_it_is_counted_apart() {
    let meter = MeterId(7);
    let mut by_pattern = able_but(|t| t.vlan_absent = VlanAbsent::ByPattern);
    by_pattern.meters.insert(meter, by_pattern.ports[&DpPort(1)].device());
    let metered = || from(1).ipv4().then(DpAction::Meter(meter));
    assert_eq!(refused_in(metered().output(2), &by_pattern)[..], [Refusal::MeterSplit { meter }]);
    let untagged = metered().field(FieldId::VlanTci, 0u16).output(2);
    assert!(matches!(planned(untagged, &by_pattern), Plan::Full(_)));
    let dropped = || metered().then(DpAction::Drop(DropReason::RuleDrop));
    assert_eq!(refused_in(dropped(), &by_pattern)[..1], [Refusal::DropAfter(DpActionKind::Meter)]);
    let elsewhere = refusals(dropped());
    assert_eq!(elsewhere[..], [Refusal::Action(DpActionKind::Meter), Refusal::DropAfter(DpActionKind::Meter)]);
    let after_output = from(1).output(2).then(DpAction::Drop(DropReason::RuleDrop));
    assert_eq!(refusals(after_output)[..], [Refusal::DropAfter(DpActionKind::Output)]);
}

#[test]
fn the_pass_after_a_hash_is_no_reason_of_its_own() {
    let hash = DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 0 });
    let flow = || from(1).tcp().then(DpAction::Recirc(RecircId(1)));
    assert_eq!(refusals(flow().first(hash))[..], [Refusal::HashDiffers]);
    assert_eq!(refusals(flow())[..], [Refusal::SecondPass(DpActionKind::Recirc)]);
}

#[test]
fn limits_hold_to_the_last_byte_and_the_last_copy() {
    let outer = |len: usize| DpAction::TunnelPush(Encap { header: vec![5; len].into(), port: DpPort(1) });
    let world = world_of(able());
    assert!(matches!(planned(from(2).then(outer(64)), &world), Plan::Full(_)));
    assert_eq!(refused_in(from(2).then(outer(65)), &world)[..], [Refusal::EncapTooLong { have: 65, max: 64 }]);
    assert!(matches!(planned(from(1).output(2).output(3).output(4).output(1), &world), Plan::Full(_)));
    let five = from(1).output(2).output(3).output(4).output(1).output(2);
    assert_eq!(refused_in(five, &world)[..], [Refusal::TooManyOutputs { have: 5, max: 4 }]);
    // A device that puts headers in front and sends nowhere: the tunnel's packet would go nowhere too.
    let mute = able_but(|t| t.max_outputs = 0);
    assert_eq!(refused_in(from(2).then(outer(50)), &mute)[..1], [Refusal::TooManyOutputs { have: 1, max: 0 }]);
    assert_eq!(refused_in(from(2).output(1), &mute)[..1], [Refusal::Action(DpActionKind::Output)]);
}

#[test]
fn a_port_without_a_device_takes_no_rules_whatever_is_said_of_it() {
    let mut world = world("connectx");
    let caps = Arc::new(Capabilities::preset("connectx").unwrap());
    world.ports.get_mut(&DpPort(6)).unwrap().caps = caps;
    let none = Plan::Software(smallvec![Refusal::NotOffloadCapable { port: DpPort(6) }]);
    assert_eq!(planned(from(6).output(2), &world), none, "neither whole nor marked");
}

/// Which bits of a tag, of the traffic class and of addresses a device can be told to set.
#[test]
fn parts_of_fields_are_set_where_an_action_says_exactly_that() {
    let bits = |field, value: u128, mask: u128| DpAction::Set { field, value: Value(value), mask: Value(mask) };
    let actions = |flow: FlowMaker| full(flow).rules.pop().unwrap().actions.to_vec();
    let (out, set) = (HwAction::Output(EthdevId(11)), |field, value| HwAction::Set { field, value: Value(value) });
    let tagged = || from(1).masked(FieldId::VlanTci, 0x1000, 0x1000);
    let both = [set(FieldId::VlanVid, 5), set(FieldId::VlanPcp, 3), out];
    assert_eq!(actions(tagged().then(bits(FieldId::VlanTci, 0x7005, 0xffff)).output(2)), both);
    assert_eq!(
        actions(tagged().then(bits(FieldId::VlanTci, 0xf005, 0xe000)).output(2)),
        [set(FieldId::VlanPcp, 7), out]
    );
    assert_eq!(actions(tagged().then(bits(FieldId::VlanVid, 0x1005, 0x1fff)).output(2)), [both[0], out]);
    assert_eq!(actions(tagged().then(bits(FieldId::VlanPcp, 3, 7)).output(2)), [both[1], out]);
    let (tci, vid) = (FieldId::VlanTci, DpActionKind::Set(FieldId::VlanTci));
    assert_eq!(refusals(tagged().then(bits(tci, 5, 0x1fff)).output(2))[..], [Refusal::Action(vid)], "no tag at all");
    for mask in [0x0ffe, 0x6000, 0x7fff] {
        let part = tagged().then(bits(tci, 0x1005, mask)).output(2);
        assert_eq!(refusals(part)[..], [Refusal::PartialSet { field: tci }], "{mask:#x}");
    }
    // The bit that software does not keep is left to it, by the match.
    let program = full(tagged().then(bits(FieldId::VlanPcp, 3, 7)).output(2));
    let VlanMatch::Tagged { tci: narrowed, .. } = program.rules[0].matches.vlan else { panic!() };
    assert_eq!((narrowed.value, narrowed.mask), (0, 0x1000));
    let behind = tagged().then(DpAction::PopVlan).then(bits(FieldId::VlanPcp, 3, 7)).output(2);
    let pcp = DpActionKind::Set(FieldId::VlanPcp);
    assert_eq!(refusals(behind)[..], [Refusal::ActionNeedsMatch { action: pcp, field: FieldId::VlanTci }]);
    let inner = tagged().masked(FieldId::Vlan1Tci, 0, 0xffff).then(push()).then(DpAction::PopVlan);
    assert_eq!(
        refusals(inner.then(bits(FieldId::VlanPcp, 3, 7)).output(2))[..],
        [Refusal::ActionNeedsMatch { action: pcp, field: FieldId::Vlan1Tci }]
    );
    let no_pcp = able_but(|t| t.set = crate::caps::FieldSet::of(&[FieldId::VlanVid]));
    let flow = tagged().then(bits(FieldId::VlanTci, 0x7005, 0xffff)).output(2);
    assert_eq!(refused_in(flow, &no_pcp)[..], [Refusal::Action(pcp)]);
    assert!(matches!(planned(tagged().then(bits(tci, 0x1005, 0x1fff)).output(2), &no_pcp), Plan::Full(_)));

    let tos = |value, mask| from(1).ipv4().then(bits(FieldId::IpTos, value, mask)).output(2);
    assert_eq!(actions(tos(0xb8, 0xfc)), [set(FieldId::IpDscp, 0x2e), out]);
    assert_eq!(actions(tos(0xbb, 0xfc)), [set(FieldId::IpDscp, 0x2e), out]);
    assert_eq!(actions(tos(0xb8, 0)), [out]);
    for mask in [1, 2, 0xff] {
        assert_eq!(refusals(tos(0, mask))[..], [Refusal::Action(DpActionKind::Set(FieldId::IpEcn))], "{mask:#x}");
    }
    for mask in [0xf0, 0x7c] {
        assert_eq!(refusals(tos(0, mask))[..], [Refusal::PartialSet { field: FieldId::IpTos }], "{mask:#x}");
    }
    let half = from(1).then(bits(FieldId::EthSrc, 7, 0xff)).output(2);
    assert_eq!(refusals(half)[..], [Refusal::PartialSet { field: FieldId::EthSrc }]);
}

/// What is set must be in every packet that the rule takes, with no byte of a checksum elsewhere.
#[test]
fn what_is_set_is_there_in_every_packet_of_the_rule() {
    let ip6 = || from(1).field(FieldId::EthType, 0x86ddu16);
    let needs = |field, on| [Refusal::ActionNeedsMatch { action: DpActionKind::Set(field), field: on }];
    for (field, value) in [(FieldId::IpDscp, 3u8), (FieldId::IpTtl, 9)] {
        assert_eq!(refusals(from(1).set(field, value).output(2))[..], needs(field, FieldId::EthType));
        assert_eq!(full(from(1).ipv4().set(field, value).output(2)).rules.len(), 1);
        assert_eq!(full(ip6().set(field, value).output(2)).rules.len(), 1);
    }
    for field in [FieldId::Ipv4Src, FieldId::Ipv4Dst] {
        assert_eq!(refusals(ip6().set(field, 7u32).output(2))[..], needs(field, FieldId::EthType));
        let first = from(1).ipv4().field(FieldId::IpFrag, 1u8).set(field, 7u32).output(2);
        assert_eq!(refusals(first)[..], needs(field, FieldId::IpFrag));
    }
    for field in [FieldId::Ipv6Src, FieldId::Ipv6Dst] {
        assert_eq!(refusals(from(1).ipv4().set(field, 7u32).output(2))[..], needs(field, FieldId::EthType));
        assert_eq!(refusals(ip6().set(field, 7u32).output(2))[..], needs(field, FieldId::IpProto));
        let icmp = ip6().field(FieldId::IpProto, 58u8).set(field, 7u32).output(2);
        assert_eq!(refusals(icmp)[..], [Refusal::Inexact { field: FieldId::IpProto }]);
        assert_eq!(full(ip6().field(FieldId::IpProto, 6u8).set(field, 7u32).output(2)).rules.len(), 1);
    }
    let no_bits = Bits::default();
    let tcp = L4Match::Tcp { src: no_bits, dst: no_bits, flags: Bits::default() };
    let udp = L4Match::Udp { src: no_bits, dst: no_bits };
    for (field, proto, other, l4) in [(FieldId::TcpSrc, 6u8, 17u8, tcp), (FieldId::UdpDst, 17, 6, udp)] {
        for ip in [from(1).ipv4(), ip6()] {
            let rule = full(ip.field(FieldId::IpProto, proto).set(field, 7u16).output(2)).rules.pop().unwrap();
            assert_eq!(rule.matches.l4, l4, "the header has to be there");
            match rule.matches.l3 {
                L3Match::Ipv4 { fragment, .. } => assert_eq!((fragment.value, fragment.mask), (0, 0x3fff)),
                L3Match::Ipv6 { no_fragment, .. } => assert!(no_fragment),
                other => panic!("{other:?}"),
            }
        }
        let wrong = from(1).ipv4().field(FieldId::IpProto, other).set(field, 7u16).output(2);
        assert_eq!(refusals(wrong)[..], needs(field, FieldId::IpProto));
        let wrong = ip6().field(FieldId::IpProto, other).set(field, 7u16).output(2);
        assert_eq!(refusals(wrong)[..], needs(field, FieldId::IpProto));
        // A match on ports that is there stays.
        let ported = from(1).ipv4().field(FieldId::IpProto, proto).field(FieldId::TcpDst, 80u16).set(field, 7u16);
        let rule = full(ported.output(2)).rules.pop().unwrap();
        let (L4Match::Tcp { dst, .. } | L4Match::Udp { dst, .. }) = rule.matches.l4 else { panic!("{rule:?}") };
        assert_eq!((dst.value, dst.mask), (80, 0xffff));
    }
    let blind = able_but(|t| t.fields = t.fields.clone().with(MaskCap::No, &[FieldId::IpFrag]));
    let flow = from(1).ipv4().set(FieldId::Ipv4Src, 7u32).output(2);
    assert_eq!(refused_in(flow, &blind)[..], needs(FieldId::Ipv4Src, FieldId::IpFrag));
}

/// Whatever narrows a rule leaves packets to software, and those would pass a second meter.
#[test]
fn a_meter_sees_all_of_a_flow_or_none() {
    let meter = MeterId(7);
    let mut world = world_of(able());
    world.meters.insert(meter, world.ports[&DpPort(1)].device());
    let split = |flow: FlowMaker| match planned(flow.first(DpAction::Meter(meter)).output(2), &world) {
        Plan::Full(_) => false,
        other => {
            assert_eq!(other.refused(), [Refusal::MeterSplit { meter }]);
            true
        }
    };
    let tagged = || from(1).masked(FieldId::VlanTci, 0x1000, 0x1000);
    assert!(!split(tagged()) && split(tagged().set(FieldId::VlanPcp, 3u8)));
    let ip6 = || from(1).field(FieldId::EthType, 0x86ddu16).field(FieldId::IpProto, 17u8);
    assert!(split(ip6().set(FieldId::UdpDst, 7u16)));
    assert!(!split(ip6().field(FieldId::IpFrag, 0u8).set(FieldId::UdpDst, 7u16)));
    assert!(split(from(1).ipv4().set(FieldId::Ipv4Dst, 7u32)));
    assert!(!split(from(1).tcp().set(FieldId::Ipv4Dst, 7u32)));
    assert!(!split(from(1).ipv4().set(FieldId::IpDscp, 7u8)));
}

#[test]
fn a_guard_goes_in_only_where_the_device_matches_what_it_needs() {
    let with = |cap, field| able_but(|t| t.fields = t.fields.clone().with(cap, &[field]));
    let roles = |plan: Plan| match plan {
        Plan::Full(program) => program.rules.iter().map(|rule| rule.role).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let wide = || FlowMaker::bare(1).output(2);
    let guarded = [RuleRole::ReservedGuard, RuleRole::Main];
    assert_eq!(roles(planned(wide(), &with(MaskCap::Prefix, FieldId::EthDst))), guarded);
    assert_eq!(refused_in(wide(), &with(MaskCap::Exact, FieldId::EthDst))[..], [Refusal::Reserved]);
    let routed = || from(1).ipv4().then(DpAction::DecTtl).output(2);
    let guarded = [RuleRole::TtlGuard, RuleRole::Main];
    assert_eq!(roles(planned(routed(), &with(MaskCap::Prefix, FieldId::IpTtl))), guarded);
    assert_eq!(refused_in(routed(), &with(MaskCap::Exact, FieldId::IpTtl))[..], [Refusal::NoGuard]);
}
