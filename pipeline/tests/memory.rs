//! How much memory a rule needs, all in: match, actions, counters, tables, ids; and that looking one up needs none.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{Effect, Resume, Slowpath};
use flow::rule::RuleSpec;
use flow::text::{NoPorts, parse_flow};
use flow::{DpPort, FlowKey};
use pipeline::testing::Rng;
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange, Select};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocator counts for all threads.
static ALONE: Mutex<()> = Mutex::new(());

const RULES: u32 = 20_000;
/// The limit for a simple rule.
const BYTES: usize = 600;
/// What malloc itself needs for each allocation, and loses by rounding up, at most.
const OVERHEAD: usize = 16;

/// One of many rules that differ.
type Form = fn(u32) -> String;

const FORMS: [(&str, Form); 5] = [
    ("a station", |i| format!("dl_dst=02:00:00:{:02x}:{:02x}:{:02x},actions=output:2", i >> 16, i >> 8 & 255, i & 255)),
    ("a route", |i| {
        let net = Ipv4Addr::from(0x0a00_0000 | i.wrapping_mul(0x9e37_79b1) & 0x00ff_ff00);
        format!("priority={},ip,nw_dst={net}/24,actions=dec_ttl,output:2", 1 + i % 1000)
    }),
    ("a service", |i| {
        let host = Ipv4Addr::from(0x0b00_0000 + i.wrapping_mul(0x9e37_79b1) % (1 << 24));
        format!("in_port=1,tcp,nw_dst={host},tp_dst={},actions=output:2", i % 1000)
    }),
    ("a policy", |i| {
        let net = Ipv4Addr::from(0x0a00_0000 + i * 16);
        format!("priority={},udp,nw_src={net}/28,nw_dst=10.0.0.0/{},actions=drop", i % 60_000, 8 + i % 17)
    }),
    ("an IPv6 connection", |i| {
        let (src, dst) =
            (Ipv6Addr::from(0xfd00 << 112 | u128::from(i)), Ipv6Addr::from(0xfd01 << 112 | u128::from(i / 7)));
        format!("tcp6,ipv6_src={src},ipv6_dst={dst},tp_src={},tp_dst=443,actions=output:2", i % 60_000)
    }),
];

fn rule(form: Form, i: u32) -> RuleSpec {
    parse_flow(&form(i), &NoPorts).unwrap()
}

#[test]
fn a_simple_rule_takes_at_most_600_bytes() {
    let _alone = ALONE.lock().unwrap();
    for (name, form) in FORMS {
        let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
        let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
        let changes: Vec<_> = (0..RULES).map(|i| RuleChange::Add { bridge, rule: rule(form, i) }).collect();
        let region = Region::new(ALLOCATOR);
        let added = pipeline.apply(&changes).unwrap().added;
        let used = region.change();
        let blocks = used.allocations - used.deallocations;
        let bytes = (used.bytes_allocated - used.bytes_deallocated + OVERHEAD * blocks) / added;
        println!("{name}: {bytes} bytes, {:.1} allocations", blocks as f64 / added as f64);
        assert!(added as u32 > RULES / 2, "{added}");
        assert!(bytes <= BYTES, "{name}: {bytes} bytes");
        // What was counted was not dropped meanwhile.
        assert_eq!(pipeline.dump(bridge, &Select::default()).unwrap().len(), added);
    }
}

/// Wide and narrow rules of one table, most of which a packet has to be kept from.
fn mixed(i: u32) -> String {
    let net = Ipv4Addr::from(0x0a00_0000 | i.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff);
    let len = 12 + i % 21;
    match i % 3 {
        0 => format!("priority={},ip,nw_dst={net}/{len},actions=drop", 1 + i % 100),
        1 => format!("priority={},udp,nw_src={net}/{len},tp_dst={},actions=drop", 1 + i % 100, 1 + i % 500),
        _ => format!(
            "priority={},udp6,ipv6_dst=fd00::{i:x}/{},tp_src={},actions=drop",
            1 + i % 100,
            len * 4,
            1 + i % 500
        ),
    }
}

#[test]
fn a_lookup_allocates_nothing() {
    let _alone = ALONE.lock().unwrap();
    let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
    pipeline.add_port(bridge, PortSpec::new("p1", DpPort(1))).unwrap();
    let changes: Vec<_> = (0..3000).map(|i| RuleChange::Add { bridge, rule: rule(mixed, i) }).collect();
    pipeline.apply(&changes).unwrap();
    let mut rng = Rng::new(1);
    let mut key = FlowKey::ZERO;
    key.in_port = 1.into();
    key.nw_proto = 17;
    let (mut hits, mut bits) = (0, 0);
    for _ in 0..1000 {
        let v6 = rng.percent(30);
        key.eth_type = if v6 { 0x86dd } else { 0x0800 }.into();
        key.ipv4_src = (0x0a00_0000 | rng.number() as u32 & 0xff_ffff).into();
        key.ipv4_dst = (0x0a00_0000 | rng.number() as u32 & 0xff_ffff).into();
        key.ipv6_dst = (0xfd00 << 112 | u128::from(rng.number() % 0xfff)).to_be_bytes();
        key.tp_dst = (rng.number() as u16 % 500).into();
        let region = Region::new(ALLOCATOR);
        let t = pipeline.translate(&Resume::default(), &key);
        assert_eq!(region.change().allocations, 0, "{key:?}");
        hits += usize::from(t.effects.iter().any(|e| matches!(e, Effect::Rule(_))));
        bits += t.mask.bits();
    }
    assert!(hits > 300 && bits > 0, "{hits} {bits}");
}
