//! Which datapath actions come out, word for word, and how wide their masks are.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Bench, bench, drop_reason, ports};
use flow::dp::{ActionList, DropReason};
use flow::rule::RuleSpec;
use flow::{Action, FieldId, FlowKey, Match, OfPort, Value, VlanTag};

fn switch(actions: &[Action]) -> Bench {
    bench(vec![RuleSpec { actions: actions.to_vec(), ..RuleSpec::default() }], ports())
}

fn udp(tags: &[u16]) -> FlowKey {
    let mut key = FlowKey::ZERO;
    (key.eth_dst, key.eth_src, key.eth_type) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], 0x0800.into());
    (key.nw_proto, key.nw_ttl) = (17, 64);
    (key.ipv4_src, key.ipv4_dst) = (0x0a00_0001.into(), 0x0a00_0002.into());
    (key.tp_src, key.tp_dst) = (1000.into(), 53.into());
    for (place, tci) in key.vlans.iter_mut().zip(tags) {
        *place = VlanTag { tpid: 0x8100.into(), tci: (VlanTag::PRESENT | tci).into() };
    }
    key
}

fn set(field: FieldId, value: u128) -> Action {
    Action::SetField { field, value: Value(value), mask: field.def().ones() }
}

fn list(actions: &[Action], key: &FlowKey) -> String {
    ActionList(&switch(actions).translate(OfPort(1), key).actions).to_string()
}

const OUT: Action = Action::Output(OfPort(2));
const OUT3: Action = Action::Output(OfPort(3));

#[test]
fn changes_are_made_late_once_and_only_for_outputs() {
    let key = udp(&[]);
    let ttl = |v| set(FieldId::IpTtl, v);
    assert_eq!(list(&[ttl(9), Action::DecTtl, OUT, OUT3], &key), "set(nw_ttl=8),102,103");
    assert_eq!(list(&[ttl(1), Action::DecTtl, OUT], &key), "set(nw_ttl=1),dec_ttl,102");
    assert_eq!(list(&[Action::DecTtl, OUT, Action::DecTtl, Action::PopVlan], &key), "dec_ttl,102");
    assert_eq!(list(&[OUT, ttl(3), OUT3], &key), "102,set(nw_ttl=3),103");
    assert_eq!(list(&[ttl(3), ttl(4), OUT], &key), "set(nw_ttl=4),102");
    // Fields that the packet does not have.
    assert_eq!(list(&[set(FieldId::TcpDst, 9), set(FieldId::Ipv6Label, 9), OUT], &key), "102");
    assert_eq!(list(&[set(FieldId::VlanVid, 0x1005), OUT], &key), "102");
}

#[test]
fn tags_are_pushed_popped_or_changed_in_place() {
    let (none, one, two) = (udp(&[]), udp(&[5]), udp(&[5, 6]));
    let push = Action::PushVlan(0x8100);
    assert_eq!(
        list(&[push.clone(), set(FieldId::VlanVid, 0x1007), OUT], &none),
        "push_vlan(tpid=0x8100,vid=7,pcp=0),102"
    );
    assert_eq!(
        list(&[Action::ModVlanVid(7), Action::ModVlanPcp(3), OUT], &none),
        "push_vlan(tpid=0x8100,vid=7,pcp=3),102"
    );
    assert_eq!(list(&[Action::ModVlanVid(7), OUT], &one), format!("set(vlan_vid={}),102", vid_text(7)));
    assert_eq!(list(&[push.clone(), Action::PopVlan, OUT], &one), "102");
    assert_eq!(list(&[Action::PopVlan, push.clone(), Action::ModVlanVid(7), OUT], &one).matches("vlan").count(), 2);
    assert_eq!(list(&[Action::PopVlan, OUT], &two), "pop_vlan,102");
    let t = switch(&[OUT, push, OUT3]).translate(OfPort(1), &two);
    assert_eq!(drop_reason(&t), Some(DropReason::VlanTooDeep));
    let tci = |value, mask| Action::SetField { field: FieldId::VlanTci, value: Value(value), mask: Value(mask) };
    assert_eq!(list(&[tci(0, 0xffff), OUT], &one), "pop_vlan,102");
    assert_eq!(list(&[tci(0x3009, 0xffff), OUT], &none), "push_vlan(tpid=0x8100,vid=9,pcp=1),102");
    assert_eq!(list(&[tci(9, 0xfff), OUT], &none), "102");
}

/// How a VLAN id is written in a set.
fn vid_text(vid: u128) -> String {
    flow::text::field_value(FieldId::VlanVid, Value(vid), Value(0xfff))
}

#[test]
fn the_input_port_is_left_out_unless_meant() {
    let key = udp(&[]);
    assert_eq!(list(&[Action::Output(OfPort(1))], &key), "drop(output_to_input)");
    assert_eq!(list(&[Action::Output(OfPort::IN_PORT)], &key), "101");
    assert_eq!(list(&[set(FieldId::InPort, 9), Action::Output(OfPort(1))], &key), "101");
    assert_eq!(list(&[Action::Output(OfPort(77))], &key), "drop(no_such_port)");
    assert_eq!(list(&[], &key), "drop(rule_drop)");
    assert_eq!(list(&[Action::Output(OfPort::FLOOD)], &key), "102,103,107");
    assert_eq!(list(&[Action::Output(OfPort::ALL)], &key), "102,103,104,107");
    assert_eq!(list(&[Action::Controller(Box::new(flow::action::Controller::new(9)))], &key), "userspace");
}

#[test]
fn a_resubmit_with_a_port_matches_it_and_sends_from_the_real_one() {
    let mut from_3 = Match::default();
    from_3.set_exact(FieldId::InPort, Value(3));
    let resubmit = Action::Resubmit { port: Some(OfPort(3)), table: Some(1), ct: false };
    let to_1_and_3 = vec![Action::Output(OfPort(1)), OUT3];
    let b = bench(
        vec![
            RuleSpec { actions: vec![resubmit, OUT], ..RuleSpec::default() },
            RuleSpec { table: 1, matching: from_3, actions: to_1_and_3, ..RuleSpec::default() },
        ],
        ports(),
    );
    assert_eq!(ActionList(&b.translate(OfPort(1), &udp(&[])).actions).to_string(), "103,102");
}

#[test]
fn what_an_action_wrote_is_not_looked_at() {
    let matches = |field: FieldId, value: u128, mask: u128| {
        let mut m = Match::default();
        m.set(field, Value(value), Value(mask));
        m
    };
    let goto = Action::GotoTable(1);
    let rules = |first: Action, second: Match| {
        let first = RuleSpec { actions: vec![first, goto.clone()], ..RuleSpec::default() };
        bench(vec![first, RuleSpec { table: 1, matching: second, actions: vec![OUT], ..RuleSpec::default() }], ports())
    };
    let all = u128::from(u32::MAX);
    let seen = |b: &Bench, field| {
        let t = b.translate(OfPort(1), &udp(&[5]));
        assert_eq!(drop_reason(&t), None);
        t.mask.get(field).0
    };
    let b = rules(set(FieldId::Ipv4Dst, 0x0b00_0001), matches(FieldId::Ipv4Dst, 0x0b00_0001, all));
    assert_eq!(seen(&b, FieldId::Ipv4Dst), 0);
    let half = Action::SetField { field: FieldId::Ipv4Dst, value: Value(0x0b00_0000), mask: Value(0xffff_0000) };
    let b = rules(half, matches(FieldId::Ipv4Dst, 0x0b00_0002, all));
    assert_eq!(seen(&b, FieldId::Ipv4Dst), 0xffff);
    let b = rules(Action::ModVlanVid(9), matches(FieldId::VlanTci, 0x1009, 0x1fff));
    assert_eq!(seen(&b, FieldId::VlanTci), 0x1000);
    let b = rules(Action::DecTtl, matches(FieldId::IpTtl, 63, 0xff));
    assert_eq!(seen(&b, FieldId::IpTtl), 0xff);
    // Part of a TTL after a decrement is a function of all of it.
    let b = rules(Action::DecTtl, matches(FieldId::IpTtl, 63, 1));
    assert_eq!(seen(&b, FieldId::IpTtl), 0xff);
}

#[test]
fn rules_that_cannot_match_cost_little_of_the_mask() {
    let l4 = |eth_type: u128, proto: u128, dst: u128| {
        let mut m = Match::default();
        m.set_exact(FieldId::EthType, Value(eth_type));
        m.set_exact(FieldId::IpProto, Value(proto));
        m.set_exact(FieldId::TcpDst, Value(dst));
        m.set_exact(if eth_type == 0x0800 { FieldId::Ipv4Dst } else { FieldId::Ipv6Dst }, Value(1));
        RuleSpec { matching: m, ..RuleSpec::default() }
    };
    let rest = RuleSpec { priority: 1, actions: vec![OUT], ..RuleSpec::default() };
    let seen = |rule: RuleSpec| {
        let t = bench(vec![rule, rest.clone()], ports()).translate(OfPort(1), &udp(&[]));
        [FieldId::IpProto, FieldId::Ipv4Dst, FieldId::Ipv6Dst, FieldId::TcpDst].map(|f| t.mask.get(f).0 != 0)
    };
    assert_eq!(seen(l4(0x86dd, 17, 53)), [false, false, false, false]);
    assert_eq!(seen(l4(0x0800, 6, 53)), [true, false, false, false]);
    assert_eq!(seen(l4(0x0800, 17, 53)), [true, true, false, false], "no rule has the address");
}
