//! Every field and every action, by profile; single cases; plans against packets.

use super::*;
use crate::caps::{Capabilities, DecTtl};
use crate::refusal::PortRefusal;
use crate::rule::{InnerTag, L3Match, SharedObject, VlanMatch};
use crate::testing::{FlowMaker, from, world, world_of};
use crate::world::{Admission, EthdevId};
use flow::dp::*;
use flow::field::{FIELDS, FieldDef, Prereq};
use flow::{FieldId, VlanTag};
use std::fmt::Write;
use std::sync::Arc;

fn with_prereq(def: &FieldDef) -> FlowMaker {
    let ip = |proto: u8| from(1).ipv4().field(FieldId::IpProto, proto).field(FieldId::IpFrag, 0u8);
    let ip6 = || from(1).field(FieldId::EthType, 0x86ddu16);
    match def.prereq {
        Prereq::None => from(1),
        Prereq::VlanVid => from(1).masked(FieldId::VlanTci, 0x1000, 0x1000),
        Prereq::Arp => from(1).field(FieldId::EthType, 0x0806u16),
        Prereq::Ip | Prereq::Ipv4 => from(1).ipv4(),
        Prereq::Ipv6 => ip6(),
        Prereq::Tcp => ip(6),
        Prereq::Udp => ip(17),
        Prereq::Sctp => ip(132),
        Prereq::Icmp => ip(1),
        Prereq::Icmpv6 => ip6().field(FieldId::IpProto, 58u8),
        Prereq::Nd | Prereq::NdSolicit => ip6().field(FieldId::IpProto, 58u8).field(FieldId::Icmpv6Type, 135u8),
        Prereq::NdAdvert => ip6().field(FieldId::IpProto, 58u8).field(FieldId::Icmpv6Type, 136u8),
        Prereq::Mpls => from(1).field(FieldId::EthType, 0x8847u16),
        Prereq::CtIp | Prereq::CtIpv4 => from(1).ipv4().field(FieldId::CtState, 0x20u32),
        Prereq::CtIpv6 => ip6().field(FieldId::CtState, 0x20u32),
    }
}

/// A value that a packet can have.
fn sample(id: FieldId) -> u128 {
    match id {
        FieldId::InPort => 1,
        FieldId::EthType => 0x88b5,
        FieldId::VlanTpid => 0x8100,
        FieldId::VlanTci => 0x7005,
        FieldId::VlanVid => 0x1005,
        FieldId::Vlan1Tci => 0x1000,
        FieldId::IpProto | FieldId::ArpOp | FieldId::IpTtl => 2,
        FieldId::IpFrag => 0,
        FieldId::RecircId | FieldId::CtZone | FieldId::DpHash => 1,
        FieldId::EthDst | FieldId::EthSrc => 0x0200_0000_0007,
        _ => 1,
    }
}

fn say(plan: &Plan) -> String {
    let list = |r: &Refusals| r.iter().map(|r| format!("{}({r})", r.name())).collect::<Vec<_>>().join(", ");
    match plan {
        Plan::Full(program) => format!("full, {} rules", program.rules.len()),
        Plan::Partial { refused, .. } => format!("partial: {}", list(refused)),
        Plan::Software(refused) => format!("software: {}", list(refused)),
    }
}

#[test]
fn every_field_is_supported_or_refused_by_a_reason() {
    let mut out = String::new();
    for profile in Capabilities::PRESETS {
        for def in FIELDS.iter().filter(|def| def.is_in_key()) {
            let flow = with_prereq(def).masked(def.id, sample(def.id), def.ones().0).output(2).build(1);
            let plan = plan(&flow, &world(profile));
            assert!(!matches!(&plan, Plan::Software(r) if r.is_empty()), "{}", def.name);
            writeln!(out, "{profile:9} {:12} {}", def.name, say(&plan)).unwrap();
        }
    }
    insta::assert_snapshot!("fields", out);
}

pub(crate) fn every_action() -> Vec<DpAction> {
    let mut all: Vec<DpAction> = FIELDS
        .iter()
        .map(|def| DpAction::Set { field: def.id, value: flow::Value(sample(def.id)), mask: def.ones() })
        .collect();
    all.extend([
        DpAction::Output(DpPort(2)),
        DpAction::DecTtl,
        DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() }),
        DpAction::PopVlan,
        DpAction::Meter(MeterId(3)),
        DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 0 }),
        DpAction::Ct(Box::default()),
        DpAction::CtClear,
        DpAction::TunnelPush(Encap { header: Box::new([]), port: DpPort(2) }),
        DpAction::TunnelPop(DpPort(2)),
        DpAction::Recirc(RecircId(1)),
        DpAction::Clone(Box::new([])),
        DpAction::Sample(SampleSpec { probability: 1, actions: Box::new([]) }),
        DpAction::CheckLen(LenSpec { len: 1, greater: Box::new([]), rest: Box::new([]) }),
        DpAction::Truncate(64),
        DpAction::Punt(PuntReason::Reserved),
        DpAction::Drop(DropReason::RuleDrop),
    ]);
    all
}

#[test]
fn every_action_is_supported_or_refused_by_a_reason() {
    let mut out = String::new();
    for profile in Capabilities::PRESETS {
        for action in every_action() {
            let base = match &action {
                DpAction::Set { field, .. } if field.def().is_in_key() => with_prereq(field.def()),
                DpAction::PopVlan => from(1).masked(FieldId::VlanTci, 0x1000, 0x1000),
                _ => from(1).ipv4().field(FieldId::VlanTci, 0u16),
            };
            let base = match &action {
                DpAction::Set { field: FieldId::VlanTci | FieldId::VlanVid, .. } => {
                    base.masked(FieldId::VlanTci, 0x1000, 0x1000)
                }
                DpAction::Set { field: FieldId::Ipv6Src | FieldId::Ipv6Dst, .. } => base.field(FieldId::IpProto, 17u8),
                _ => base,
            };
            let kind = action.kind();
            let ends = matches!(action, DpAction::Output(_) | DpAction::Drop(_));
            let flow = base.then(action);
            let flow = if ends { flow } else { flow.output(2) }.build(1);
            let plan = plan(&flow, &world(profile));
            assert!(!matches!(&plan, Plan::Software(r) if r.is_empty()), "{kind}");
            writeln!(out, "{profile:9} {kind:20} {}", say(&plan)).unwrap();
        }
    }
    insta::assert_snapshot!("actions", out);
}

pub(super) fn full(flow: FlowMaker) -> HwProgram {
    match plan(&flow.build(1), &world("connectx")) {
        Plan::Full(program) => program,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refusals(flow: FlowMaker) -> Refusals {
    match plan(&flow.build(1), &world("connectx")) {
        Plan::Full(program) => panic!("{program:?}"),
        Plan::Partial { refused, .. } | Plan::Software(refused) => refused,
    }
}

#[test]
fn a_decrement_is_guarded_unless_the_match_says_enough() {
    let flow = || from(1).ipv4().then(DpAction::DecTtl).output(2);
    let program = full(flow());
    assert_eq!(program.rules[0].role, RuleRole::TtlGuard);
    assert_eq!(program.rules[0].table, Table::Transfer { group: 0, priority: 0 });
    assert_eq!(program.rules[1].table, Table::Transfer { group: 0, priority: 1 });
    assert!(!program.rules[0].count && program.rules[1].count);
    let L3Match::Ipv4 { ttl, .. } = program.rules[0].matches.l3 else { panic!() };
    assert_eq!((ttl.value, ttl.mask), (0, 0xfe));
    assert_eq!(full(flow().field(FieldId::IpTtl, 64u8)).rules.len(), 1);
    assert_eq!(refusals(flow().field(FieldId::IpTtl, 1u8))[..], [Refusal::TtlExpires]);
    let set = from(1).ipv4().set(FieldId::IpTtl, 9u8).then(DpAction::DecTtl).output(2);
    assert_eq!(full(set).rules.len(), 1);
    let twice = from(1).ipv4().then(DpAction::DecTtl).then(DpAction::DecTtl).output(2);
    assert_eq!(refusals(twice)[..], [Refusal::Repeated(DpActionKind::DecTtl)]);
}

#[test]
fn reserved_addresses_are_kept_out_of_hardware() {
    let wide = FlowMaker::bare(1).output(2);
    let program = full(wide);
    assert_eq!(program.rules[0].role, RuleRole::ReservedGuard);
    assert_eq!(program.rules[0].matches.eth_dst.value, [1, 0x80, 0xc2, 0, 0, 0]);
    assert_eq!(program.rules[0].actions[..], [HwAction::ToRepresentor(crate::EthdevId(10))]);
    let lldp = FlowMaker::bare(1).field(FieldId::EthDst, [1, 0x80, 0xc2, 0, 0, 0xe]).output(2);
    assert_eq!(refusals(lldp)[..], [Refusal::Reserved]);
    assert_eq!(full(from(1).output(2)).rules.len(), 1);
}

#[test]
fn no_tag_and_one_tag() {
    let untagged = full(from(1).field(FieldId::VlanTci, 0u16).output(2));
    assert_eq!(untagged.rules[0].matches.vlan, VlanMatch::Absent { by_pattern: false });
    let tagged = from(1).masked(FieldId::VlanTci, 0x1064, 0x1fff).field(FieldId::Vlan1Tci, 0u16).output(2);
    let VlanMatch::Tagged { tpid: None, tci, inner } = full(tagged).rules[0].matches.vlan else { panic!() };
    assert_eq!((tci.value, tci.mask, inner), (0x64, 0xfff, InnerTag::Absent { by_pattern: false }));
    let vague = from(1).masked(FieldId::VlanTci, 0, 0x0fff).output(2);
    assert_eq!(refusals(vague)[..], [Refusal::PartialMask { field: FieldId::VlanTci }]);
}

#[test]
fn what_rte_flow_cannot_say_exactly_is_refused() {
    let ip6 = || from(1).field(FieldId::EthType, 0x86ddu16).output(2);
    let inexact = |field| [Refusal::Inexact { field }];
    for proto in [0u8, 43, 44, 51, 60] {
        assert_eq!(refusals(ip6().field(FieldId::IpProto, proto))[..], inexact(FieldId::IpProto));
    }
    assert_eq!(refusals(ip6().field(FieldId::IpFrag, 1u8))[..], inexact(FieldId::IpFrag));
    assert_eq!(refusals(from(1).ipv4().field(FieldId::IpFrag, 3u8).output(2))[..], inexact(FieldId::IpFrag));
    assert_eq!(refusals(from(1).field(FieldId::EthType, 0x05ffu16).output(2))[..], inexact(FieldId::EthType));
    assert_eq!(refusals(from(1).field(FieldId::EthType, 0x8100u16).output(2))[..], inexact(FieldId::EthType));
}

#[test]
fn outputs_and_changes_between_them() {
    let meter = from(1).ipv4().then(DpAction::Meter(MeterId(1))).output(2);
    assert_eq!(refusals(meter)[..], [Refusal::Action(DpActionKind::Meter)]);
    let three = from(1).output(2).output(3).output(4);
    assert_eq!(refusals(three)[..], [Refusal::TooManyOutputs { have: 3, max: 2 }]);
    let mirrored = full(from(1).output(2).output(3));
    assert_eq!(mirrored.rules[0].actions[..], [HwAction::Mirror(EthdevId(11)), HwAction::Output(EthdevId(12))]);
    let between = refusals(from(1).output(2).set(FieldId::EthSrc, 7u64).output(3));
    assert!(between.contains(&Refusal::RewriteAfterOutput(DpActionKind::Set(FieldId::EthSrc))));
    for (port, why) in [(5, PortRefusal::OtherEswitch), (6, PortRefusal::NotRepresentor), (7, PortRefusal::Unknown)] {
        assert_eq!(refusals(from(1).output(port))[..], [Refusal::OutputPort { port: DpPort(port), why }]);
    }
    let dead = full(from(1).set(FieldId::EthSrc, 7u64).then(DpAction::Drop(DropReason::RuleDrop)));
    assert_eq!(dead.rules[0].actions[..], [HwAction::Drop]);
    assert_eq!(refusals(from(1))[..], [Refusal::NoActions]);
}

#[test]
fn a_rewrite_takes_what_makes_it_certain_into_the_match() {
    let program = full(from(1).ipv4().set(FieldId::Ipv4Src, 9u32).output(2));
    let L3Match::Ipv4 { fragment, .. } = program.rules[0].matches.l3 else { panic!() };
    assert_eq!((fragment.value, fragment.mask), (0, 0x3fff));
    let port = refusals(from(1).ipv4().set(FieldId::TcpDst, 80u16).output(2));
    let action = DpActionKind::Set(FieldId::TcpDst);
    assert_eq!(port[..], [Refusal::ActionNeedsMatch { action, field: FieldId::IpProto }]);
    assert_eq!(full(from(1).tcp().set(FieldId::TcpDst, 80u16).output(2)).rules.len(), 1);
}

/// A device that does all that a plan can ask for.
pub(crate) fn able() -> Capabilities {
    let mut caps = Capabilities::preset("connectx").unwrap();
    let transfer = caps.transfer.as_mut().unwrap();
    (transfer.max_outputs, transfer.rewrite_after_output) = (4, true);
    (transfer.meter, transfer.encap, transfer.mark) = (true, 64, true);
    caps
}

pub(super) fn planned(flow: FlowMaker, world: &World) -> Plan {
    plan(&flow.build(1), world)
}

#[test]
fn copies_are_mirrored_and_the_last_output_takes_the_packet() {
    let world = world_of(able());
    let list = |n| DpAction::Clone([DpAction::Output(DpPort(n))].into());
    let flow = from(1).then(list(2)).set(FieldId::EthSrc, 7u64).output(3).then(list(4));
    let Plan::Full(program) = planned(flow, &world) else { panic!() };
    let set = HwAction::Set { field: FieldId::EthSrc, value: flow::Value(7) };
    let [a, b, c] = [11, 12, 13].map(EthdevId);
    assert_eq!(program.rules[0].actions[..], [HwAction::Mirror(a), set, HwAction::Mirror(b), HwAction::Output(c)]);
    // What a copy has gone through does not show in the packet, unless nobody looks at the packet any more.
    let changed = || DpAction::Clone([DpAction::PopVlan, DpAction::Output(DpPort(2))].into());
    let tagged = || from(1).masked(FieldId::VlanTci, 0x1000, 0x1000);
    let Plan::Partial { refused, .. } = planned(tagged().then(changed()).output(3), &world) else { panic!() };
    assert_eq!(refused[0], Refusal::Action(DpActionKind::Clone));
    assert!(matches!(planned(tagged().output(3).then(changed()), &world), Plan::Full(_)));
    let Plan::Full(program) = planned(from(1).output(2).set(FieldId::EthSrc, 7u64), &world) else { panic!() };
    assert_eq!(program.rules[0].actions[..], [HwAction::Output(a)], "what is done after the last output is unseen");
}

#[test]
fn a_meter_is_in_hardware_where_its_place_is_and_only_whole() {
    let mut world = world_of(able());
    let (meter, device) = (MeterId(7), world.ports[&DpPort(1)].device());
    let metered = || from(1).ipv4().then(DpAction::Meter(meter));
    let refused = |flow, world: &World| match planned(flow, world) {
        Plan::Full(program) => panic!("{program:?}"),
        Plan::Partial { refused, .. } | Plan::Software(refused) => refused,
    };
    let split = [Refusal::MeterSplit { meter }];
    assert_eq!(refused(metered().output(2), &world)[..], split);
    world.meters.insert(meter, device);
    let Plan::Full(program) = planned(metered().output(2), &world) else { panic!() };
    assert_eq!(program.rules[0].actions[..], [HwAction::Meter(meter), HwAction::Output(EthdevId(11))]);
    assert_eq!(program.shared, [SharedObject::Meter(meter)]);
    assert_eq!(refused(from(5).then(DpAction::Meter(meter)).output(5), &world)[..], split, "another eswitch");
    // Expiring packets and fragments are software's: the meter would see some of the flow only.
    assert_eq!(refused(metered().then(DpAction::DecTtl).output(2), &world)[..], split);
    assert_eq!(refused(metered().set(FieldId::Ipv4Src, 7u32).output(2), &world)[..], split);
    let whole = metered().field(FieldId::IpFrag, 0u8).set(FieldId::Ipv4Src, 7u32).output(2);
    assert!(matches!(planned(whole, &world), Plan::Full(_)));
    let first = from(1).ipv4().then(DpAction::DecTtl).then(DpAction::Meter(meter)).output(2);
    assert!(matches!(planned(first, &world), Plan::Full(_)), "what expires never comes to the meter");
    let twice = metered().then(DpAction::Meter(meter)).output(2);
    assert_eq!(refused(twice, &world)[..], [Refusal::Repeated(DpActionKind::Meter)]);
    // It counts what came to it, though nothing is sent any more.
    let behind = from(1).ipv4().output(2).then(DpAction::Meter(meter));
    assert_eq!(refused(behind, &world)[..], [Refusal::RewriteAfterOutput(DpActionKind::Meter)]);
}

#[test]
fn an_outer_header_goes_with_its_rule() {
    let mut world = world_of(able());
    let push = |len: usize| DpAction::TunnelPush(Encap { header: vec![5; len].into(), port: DpPort(1) });
    let Plan::Full(program) = planned(from(2).then(push(50)), &world) else { panic!() };
    assert_eq!(program.rules[0].actions[..], [HwAction::Encap, HwAction::Output(EthdevId(10))]);
    assert_eq!(program.rules[0].encap.as_deref(), Some(&[5; 50][..]));
    let refused = |flow, world: &World| match planned(flow, world) {
        Plan::Partial { refused, .. } => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(from(2).then(push(65)), &world)[..], [Refusal::EncapTooLong { have: 65, max: 64 }]);
    let after = from(2).then(push(50)).set(FieldId::EthSrc, 7u64).output(3);
    assert_eq!(refused(after, &world)[..], [Refusal::RewriteAfterOutput(DpActionKind::Set(FieldId::EthSrc))]);
    let caps = Arc::make_mut(&mut world.ports.get_mut(&DpPort(2)).unwrap().caps);
    caps.limits.rewrites = Some(1);
    let two = from(2).set(FieldId::EthSrc, 7u64).then(push(50));
    assert_eq!(refused(two, &world)[0], Refusal::TooManyRewrites { have: 2, max: 1 });
}

#[test]
fn hardware_does_the_first_changes_where_software_can_go_on_after_them() {
    let mut world = world_of(able());
    let flow =
        || from(1).ipv4().set(FieldId::EthSrc, 7u64).then(DpAction::DecTtl).then(DpAction::Truncate(64)).output(2);
    let Plan::Partial { program, done: 0, refused, .. } = planned(flow(), &world) else { panic!() };
    assert_eq!(refused[..], [Refusal::Action(DpActionKind::Truncate), Refusal::NoResume { done: 2 }]);
    assert!(matches!(program.rules[0].table, Table::Ingress { .. }));
    world.resume = true;
    let Plan::Partial { program, done: 2, refused, .. } = planned(flow(), &world) else { panic!() };
    assert_eq!(refused[..], [Refusal::Action(DpActionKind::Truncate)]);
    let [guard, main] = &program.rules[..] else { panic!() };
    assert_eq!(guard.role, RuleRole::TtlGuard);
    let set = HwAction::Set { field: FieldId::EthSrc, value: flow::Value(7) };
    let (mark, up) = (HwAction::Mark(Mark(0x10_0001)), HwAction::ToRepresentor(EthdevId(10)));
    assert_eq!(main.actions[..], [set, HwAction::DecTtl, mark, up]);
    assert!(!main.count, "the worker counts");
    // Nothing to change first: marked in the same place, as a rule behind it could write over the marks of changed packets.
    let plain = || from(1).then(DpAction::Truncate(64)).output(2);
    let Plan::Partial { program, done: 0, .. } = planned(plain(), &world) else { panic!() };
    assert_eq!(program.rules.len(), 1);
    assert_eq!(program.rules[0].table, Table::Transfer { group: 0, priority: 1 });
    assert_eq!(program.rules[0].actions[..], [mark, up]);
    // Where the embedded switch does not mark, all is as without.
    let alone = World { resume: true, ..crate::testing::world("connectx") };
    let Plan::Partial { program, done: 0, .. } = planned(flow(), &alone) else { panic!() };
    assert!(matches!(program.rules[0].table, Table::Ingress { .. }));
}

#[test]
fn what_hardware_drops_uncounted_is_left_to_software() {
    let mut caps = able();
    caps.transfer.as_mut().unwrap().dec_ttl = DecTtl::DropsExpired;
    let world = World { resume: true, ..world_of(caps) };
    let dec = || from(1).ipv4().then(DpAction::DecTtl);
    let Plan::Full(program) = planned(dec().output(2), &world) else { panic!() };
    assert_eq!(program.rules.len(), 1, "the rule counts them");
    let Plan::Partial { program, done: 1, .. } = planned(dec().then(DpAction::Truncate(64)).output(2), &world) else {
        panic!()
    };
    assert_eq!(program.rules[0].role, RuleRole::TtlGuard);
}

#[test]
fn after_a_prefix_was_refused_there_is_a_mark_at_most() {
    let flow = from(1).tcp().output(2).build(1);
    let refused: Refusals = smallvec![Refusal::NoCounter];
    let marks = world("connectx");
    let Plan::Partial { program, done: 0, refused: kept, .. } = only_mark(&flow, &marks, refused.clone()) else {
        panic!("no mark")
    };
    assert_eq!((program.rules[0].actions[0], &kept), (HwAction::Mark(flow.mark), &refused));
    // Nobody wants marks any more, or anything.
    let none = World { partial: false, ..marks.clone() };
    assert_eq!(only_mark(&flow, &none, refused.clone()), Plan::Software(refused.clone()));
    let off = World { admission: Admission::off(), ..marks };
    assert_eq!(only_mark(&flow, &off, refused), Plan::Software(smallvec![Refusal::NoCounter, Refusal::Disabled]));
}
