//! How much memory a rule needs, all in: match, actions, counters, tables, ids.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::rule::RuleSpec;
use flow::text::{NoPorts, parse_flow};
use pipeline::{Config, FailMode, Pipeline, RuleChange, Select};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

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
