//! What is said of a flow stands where it belongs, under the name that its packets give it.

use super::help::Change;
use super::*;
use crate::refusal::PortRefusal;
use crate::testing::{FlowMaker, from, world};
use flow::FieldId;
use flow::dp::*;

/// Steps that have reasons, and the names of these.
fn blamed(flow: FlowMaker, profile: &str) -> Vec<(String, Vec<&'static str>)> {
    let explained = explain(&flow.build(1), &world(profile), &[]);
    let steps = explained.steps.iter().filter(|step| !step.refused.is_empty());
    steps.map(|step| (step.of.to_string(), step.refused.iter().map(Refusal::name).collect())).collect()
}

fn matched(flow: FlowMaker) -> Vec<String> {
    let explained = explain(&flow.build(1), &world("connectx"), &[]);
    explained.steps.iter().filter(|step| matches!(step.of, StepOf::Match { .. })).map(|s| s.of.to_string()).collect()
}

#[test]
fn ports_types_and_addresses_have_the_name_of_their_protocol() {
    let transport = |proto: u8| {
        let flow = from(1).ipv4().field(FieldId::IpProto, proto);
        let flow = flow.field(FieldId::TcpSrc, 3u16).field(FieldId::TcpDst, 1u16).output(2);
        let all = matched(flow);
        all[all.len() - 2..].join(", ")
    };
    assert_eq!(transport(6), "match tcp_src=3, match tcp_dst=1");
    assert_eq!(transport(17), "match udp_src=3, match udp_dst=1");
    assert_eq!(transport(132), "match sctp_src=3, match sctp_dst=1");
    assert_eq!(transport(1), "match icmp_type=3, match icmp_code=1");
    assert_eq!(transport(58), "match icmpv6_type=3, match icmpv6_code=1");
    let addresses = |ethertype: u16| {
        let flow = from(1).field(FieldId::EthType, ethertype).field(FieldId::IpProto, 1u8);
        matched(flow.field(FieldId::Ipv4Src, 7u32).field(FieldId::Ipv4Dst, 8u32).output(2))
    };
    let ip = addresses(0x0800);
    assert!(ip.contains(&"match nw_src=0.0.0.7".into()) && ip.contains(&"match nw_dst=0.0.0.8".into()), "{ip:?}");
    assert!(ip.iter().any(|step| step.starts_with("match nw_proto")), "{ip:?}");
    let arp = addresses(0x0806);
    assert!(arp.contains(&"match arp_spa=0.0.0.7".into()) && arp.contains(&"match arp_tpa=0.0.0.8".into()), "{arp:?}");
    assert!(arp.iter().any(|step| step.starts_with("match arp_op")), "{arp:?}");
}

#[test]
fn a_reason_stands_at_its_own_field_and_at_no_other() {
    let flow = from(1).ipv4().field(FieldId::IpFrag, 3u8).field(FieldId::Ipv4Dst, 7u32).output(2);
    assert_eq!(blamed(flow, "connectx"), [("match ip_frag=later".to_owned(), vec!["Inexact"])]);
    // One name for the whole tag, another for the part that is refused.
    let tagged = from(1).masked(FieldId::VlanTci, 0x1005, 0x1fff).masked(FieldId::VlanTpid, 0x9200, 0xffff).output(2);
    let said = blamed(tagged, "connectx");
    assert!(said.iter().all(|(step, _)| step.starts_with("match")), "{said:?}");
}

#[test]
fn a_reason_stands_at_its_own_action_and_at_no_other() {
    let ecn = DpAction::Set { field: FieldId::IpTos, value: flow::Value(1), mask: flow::Value(3) };
    let flow = from(1).ipv4().set(FieldId::EthSrc, 7u64).then(ecn).output(2);
    let said = blamed(flow, "connectx");
    assert_eq!((said.len(), said[0].1[..] == ["Action"]), (1, true), "{said:?}");
    assert!(said[0].0.contains("nw_tos") || said[0].0.contains("tos"), "{said:?}");
    let metered = from(1).ipv4().set(FieldId::EthSrc, 7u64).then(DpAction::Meter(MeterId(7))).output(2).build(1);
    let explained = explain(&metered, &crate::testing::world_of(super::tests::able()), &[]);
    let said: Vec<_> = explained.steps.iter().filter(|s| !s.refused.is_empty()).map(|s| s.of.to_string()).collect();
    assert_eq!(said, ["action meter(7)", "the flow"], "{explained}");
    let three = from(1).output(2).output(3).output(6);
    let said = blamed(three, "connectx");
    let many = || vec!["TooManyOutputs"];
    let wanted = [("action 2", many()), ("action 3", many()), ("action 6", vec!["OutputPort", "TooManyOutputs"])];
    assert_eq!(said, wanted.map(|(step, names)| (step.to_owned(), names)));
    let outer = |port| DpAction::TunnelPush(Encap { header: vec![5; 50].into(), port: DpPort(port) });
    let cloned = DpAction::Clone([DpAction::Output(DpPort(6))].into());
    let mut world = crate::testing::world_of(super::tests::able());
    world.partial = false;
    for (action, port) in [(outer(5), 5), (cloned, 6)] {
        let flow = from(2).then(action.clone()).output(3).build(1);
        let explained = explain(&flow, &world, &[]);
        let said: Vec<_> = explained.steps.iter().filter(|s| !s.refused.is_empty()).collect();
        let why = if port == 5 { PortRefusal::OtherEswitch } else { PortRefusal::NotRepresentor };
        let wanted = Refusal::OutputPort { port: DpPort(port), why };
        assert_eq!(said.len(), 1, "{explained}");
        assert!(said[0].of.to_string() == format!("action {action}") && said[0].refused[..] == [wanted], "{explained}");
    }
}

/// A flow of which hardware does the first actions, or only the match.
#[test]
fn what_hardware_does_of_a_part_is_said_step_by_step() {
    let mut world = crate::testing::world_of(super::tests::able());
    let flow = from(1).ipv4().set(FieldId::EthSrc, 7u64).then(DpAction::Truncate(64)).output(2).build(1);
    let places = |world: &World| {
        let explained = explain(&flow, world, &[]);
        assert!(!explained.help.is_empty(), "{explained}");
        let places: Vec<_> = explained.steps.iter().map(|step| step.at).collect();
        places
    };
    let (hard, soft) = (Where::Hardware, Where::Software);
    // Of the match: input port, pass, destination and ethertype. Then the actions, and why not all of them.
    assert_eq!(places(&world), [hard, hard, hard, hard, soft, soft, soft, soft]);
    world.resume = true;
    assert_eq!(places(&world), [hard, hard, hard, hard, hard, soft, soft]);
}

#[test]
fn a_change_touches_what_it_says_and_nothing_else() {
    let world = world("connectx");
    let flow = from(1).field(FieldId::EthDst, [2, 0, 0, 0, 0, 9]).output(2).build(1);
    let also = Change::MatchAlso { field: FieldId::EthDst, value: flow::Value(0xff), mask: flow::Value(0x0f) };
    let (changed, _) = also.apply(&flow, &world).unwrap();
    assert_eq!(changed.key.eth_dst, [2, 0, 0, 0, 0, 15]);
    assert_eq!(changed.mask.0.eth_dst, [0xff; 6]);
    let without = |number| Change::WithoutAction { number, kind: DpActionKind::Output }.apply(&flow, &world);
    assert!(without(0).is_some_and(|(flow, _)| flow.actions.is_empty()) && without(1).is_none());
    // Packets have a tag, or have none: either would do.
    let popped = from(1).then(DpAction::PopVlan).output(2).build(1);
    let present = flow::Value(0x1000);
    let tagged = Change::MatchAlso { field: FieldId::VlanTci, value: present, mask: present };
    assert_eq!(what_would_help(&popped, &world)[0], tagged);
    let tag = flow::VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() };
    let pushed = from(1).then(DpAction::PushVlan(tag)).output(2).build(1);
    let untagged = Change::MatchAlso { field: FieldId::VlanTci, value: flow::Value(0), mask: flow::Value(0xffff) };
    assert_eq!(what_would_help(&pushed, &world)[0], untagged);
}
