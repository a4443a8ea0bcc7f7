//! Conjunctive matches, from rules as text to translations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{BridgeId, Effect, Resume, Slowpath, Translation};
use flow::text::{NoPorts, parse_flow};
use flow::{DpPort, FlowKey, OfPort};
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange, Select};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Two sets of addresses and one of ports, after the example of ovs-fields(7), and rules above and below.
const RULES: &str = "\
    cookie=1,priority=100,ip,nw_src=10.0.0.1,actions=conjunction(1234,1/2)
    cookie=2,priority=100,ip,nw_src=10.0.0.4/31,actions=conjunction(1234,1/2),conjunction(99,1/3)
    cookie=3,priority=100,ip,nw_dst=10.0.0.2,actions=conjunction(1234,2/2)
    cookie=4,priority=100,ip,nw_dst=10.0.0.7,actions=note:01.02,conjunction(1234,2/2),conjunction(99,2/3)
    cookie=5,priority=100,tcp,tp_dst=80,actions=conjunction(99,3/3)
    cookie=6,priority=100,conj_id=1234,ip,actions=output:2
    cookie=7,priority=10,conj_id=99,ip,actions=output:3
    cookie=8,priority=50,ip,nw_src=10.0.0.1,actions=output:4
    cookie=9,priority=200,ip,nw_tos=32,actions=output:5
    cookie=10,priority=0,actions=drop";

fn switch() -> (Pipeline, BridgeId) {
    let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
    for n in 1..=5 {
        let spec = PortSpec { number: Some(OfPort(n)), ..PortSpec::new(format!("p{n}"), DpPort(n.into())) };
        pipeline.add_port(bridge, spec).unwrap();
    }
    let add = |line: &str| RuleChange::Add { bridge, rule: parse_flow(line.trim(), &NoPorts).unwrap() };
    pipeline.apply(&RULES.lines().map(add).collect::<Vec<_>>()).unwrap();
    (pipeline, bridge)
}

fn tcp(src: u8, dst: u8, port: u16) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.in_port = 1.into();
    key.eth_type = 0x0800.into();
    key.nw_proto = 6;
    key.nw_ttl = 64;
    key.ipv4_src = Ipv4Addr::new(10, 0, 0, src).to_bits().into();
    key.ipv4_dst = Ipv4Addr::new(10, 0, 0, dst).to_bits().into();
    key.tp_dst = port.into();
    key
}

fn cookies(pipeline: &Pipeline, bridge: BridgeId, t: &Translation) -> Vec<u64> {
    let rules = pipeline.dump(bridge, &Select::default()).unwrap();
    let cookie = |e: &Effect| match e {
        Effect::Rule(id) => rules.iter().find(|r| r.id == *id).map(|r| r.spec.cookie),
        _ => None,
    };
    t.effects.iter().filter_map(cookie).collect()
}

#[test]
fn dimensions_of_one_priority_make_a_match() {
    let (pipeline, bridge) = switch();
    for (src, dst, port, want) in [
        // Both dimensions of 1234.
        (1, 2, 81, 6),
        (5, 7, 81, 6),
        // One of them: hard rules of lower priority.
        (1, 3, 80, 8),
        (9, 2, 80, 10),
        (5, 9, 80, 10),
        // All three of 99, and both of 1234 too: the first that is fulfilled, among rules with the same match but conj_id.
        (4, 7, 80, 6),
        (6, 7, 80, 10),
    ] {
        let t = pipeline.translate(&Resume::default(), &tcp(src, dst, port));
        assert_eq!(cookies(&pipeline, bridge, &t), [want], "{src} {dst} {port}");
    }
    let mut urgent = tcp(1, 2, 80);
    urgent.nw_tos = 32;
    let t = pipeline.translate(&Resume::default(), &urgent);
    assert_eq!(cookies(&pipeline, bridge, &t), [9]);
}

#[test]
fn a_conjunction_is_not_fulfilled_across_priorities_and_follows_changes() {
    let (pipeline, bridge) = switch();
    let change = |line: &str| {
        let rule = parse_flow(line, &NoPorts).unwrap();
        pipeline.apply(&[RuleChange::Add { bridge, rule }]).unwrap();
    };
    let hit = |src, dst| cookies(&pipeline, bridge, &pipeline.translate(&Resume::default(), &tcp(src, dst, 81)));
    change("cookie=20,priority=101,ip,nw_src=10.0.0.9,actions=conjunction(1234,1/2)");
    assert_eq!(hit(9, 2), [10]);
    // Beside the first, at the priority of the other dimension: what a soft rule hides is found.
    change("cookie=21,priority=100,ip,nw_src=10.0.0.9,actions=conjunction(1234,1/2)");
    assert_eq!(hit(9, 2), [6]);
    // Without a rule for it, a conjunction finds other hard rules.
    let rule = parse_flow("priority=100,conj_id=1234,ip,actions=drop", &NoPorts).unwrap();
    pipeline.apply(&[RuleChange::Delete { bridge, select: Select::exactly(&rule) }]).unwrap();
    assert_eq!(hit(9, 2), [10]);
    // As Open vSwitch: what a soft rule hides stays hidden in the lookup for the conjunction, here rule 8.
    assert_eq!(hit(1, 2), [10]);
}

#[test]
fn masks_of_conjunctions_say_what_was_looked_at() {
    let (pipeline, _) = switch();
    let t = pipeline.translate(&Resume::default(), &tcp(1, 2, 81));
    let (src, dst) = (t.mask.0.ipv4_src.get(), t.mask.0.ipv4_dst.get());
    assert_eq!((src, dst), (u32::MAX, u32::MAX), "both dimensions");
    assert_eq!(t.mask.0.tp_src.get(), 0);
    for (other_src, other_dst) in [(1, 2), (1, 3), (4, 2), (9, 9)] {
        let other = tcp(other_src, other_dst, 81);
        let same = pipeline.translate(&Resume::default(), &other) == t;
        assert_eq!(same, other.masked(&t.mask) == tcp(1, 2, 81).masked(&t.mask));
    }
}
