//! How long a translation takes, how fast rules load, and how much memory they need: one line of JSON each.
//!
//! Times are CPU time, the best of several rounds over packets in random order, each looked up from scratch. The
//! rules of `pipeline` are those of `bench/traffic.py`, drawn from another generator of random numbers.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{BridgeId, Resume, Slowpath};
use flow::rule::RuleSpec;
use flow::text::{NoPorts, parse_flow};
use flow::{DpPort, FlowKey, Mask};
use pipeline::testing::Rng;
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::{BTreeSet, HashSet};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: usize = 20_000;
const ROUNDS: usize = 15;

fn below(rng: &mut Rng, n: usize) -> u32 {
    rng.below(n) as u32
}

/// A switch with ports 1 and 2.
fn switch() -> (Pipeline, BridgeId) {
    let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
    for number in [1, 2] {
        let spec = PortSpec {
            number: Some(flow::OfPort(number)),
            ..PortSpec::new(format!("p{number}"), DpPort(number.into()))
        };
        pipeline.add_port(bridge, spec).unwrap();
    }
    (pipeline, bridge)
}

fn rules(text: &[String]) -> Vec<RuleSpec> {
    text.iter().map(|line| parse_flow(line, &NoPorts).unwrap()).collect()
}

fn load(pipeline: &Pipeline, bridge: BridgeId, rules: Vec<RuleSpec>) {
    let changes: Vec<_> = rules.into_iter().map(|rule| RuleChange::Add { bridge, rule }).collect();
    pipeline.apply(&changes).unwrap();
}

/// Destination prefixes of /12 to /28 in 11.0.0.0/8.
fn prefixes(rng: &mut Rng, count: usize) -> BTreeSet<(u32, u32)> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let len = 12 + below(rng, 17);
        seen.insert(((0x0b00_0000 | below(rng, 1 << 24)) & u32::MAX << (32 - len), len));
    }
    seen
}

/// Five tables: port security, ACL, route, rewrite, egress.
fn pipeline_rules(rng: &mut Rng) -> Vec<String> {
    let mut rules = vec![
        "table=0,priority=10,in_port=1,dl_src=02:00:00:00:00:01,actions=set_field:0x1->reg0,resubmit(,1)".to_owned(),
        "table=0,priority=1,actions=drop".to_owned(),
    ];
    for _ in 0..200 {
        let (priority, net, port) = (100 + below(rng, 100), below(rng, 16), 1 + below(rng, 1023));
        rules.push(format!("table=1,priority={priority},udp,nw_src=10.{net}.0.0/16,tp_dst={port},actions=drop"));
    }
    rules.push("table=1,priority=1,actions=resubmit(,2)".to_owned());
    for (i, (net, len)) in prefixes(rng, 512).into_iter().enumerate() {
        let (net, reg) = (Ipv4Addr::from(net), i % 64);
        rules.push(format!(
            "table=2,priority={len},ip,nw_dst={net}/{len},actions=dec_ttl,set_field:{reg}->reg1,resubmit(,3)"
        ));
    }
    rules.push("table=2,priority=1,ip,actions=set_field:0->reg1,resubmit(,3)".to_owned());
    for i in 0..64 {
        rules.push(format!(
            "table=3,priority=10,reg1={i},actions=mod_dl_src:02:00:00:00:02:01,mod_dl_dst:02:00:00:00:03:{i:02x},resubmit(,4)"
        ));
    }
    rules.push("table=4,priority=10,reg0=0x1,actions=output:2".to_owned());
    rules
}

/// Drops by source prefix and destination port over forwards by destination prefix.
fn acl(rng: &mut Rng) -> Vec<String> {
    let mut rules = Vec::new();
    for i in 0..64 {
        let net = i * 3 % 256;
        rules.push(format!(
            "priority=200,ip,in_port=1,nw_dst=11.0.{net}.0/24,actions=mod_dl_dst:02:00:00:00:01:{i:02x},dec_ttl,output:2"
        ));
    }
    for _ in 0..100 {
        let (port, len) = (1 + below(rng, 1023), 13 + below(rng, 8));
        rules.push(format!("priority=300,udp,in_port=1,tp_dst={port},nw_src=10.0.0.0/{len},actions=drop"));
    }
    rules.push("priority=100,ip,in_port=1,nw_dst=11.0.0.0/8,actions=output:2".to_owned());
    rules.push("priority=10,in_port=1,actions=output:2".to_owned());
    rules
}

/// A UDP packet of the kind that `bench/traffic.py` makes.
fn udp(rng: &mut Rng) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.in_port = 1.into();
    key.eth_dst = [2, 0, 0, 0, 0, 2];
    key.eth_src = [2, 0, 0, 0, 0, 1];
    key.eth_type = 0x0800.into();
    key.nw_proto = 17;
    key.nw_ttl = 64;
    key.ipv4_src = (0x0a00_0000 + below(rng, 1 << 20)).into();
    key.ipv4_dst = (0x0b00_0000 + below(rng, 1 << 24)).into();
    key.tp_src = (1024 + below(rng, 64_000) as u16).into();
    key.tp_dst = (1 + below(rng, 1023) as u16).into();
    key
}

/// 10,000 rules of 30 masks, none of which decides by its priority alone.
fn shapes(rng: &mut Rng) -> Vec<String> {
    let sources = [0, 8, 12, 16, 20, 24];
    let destinations = [12, 16, 20, 24, 28];
    let mut rules = vec!["priority=0,actions=drop".to_owned()];
    for i in 0..10_000 {
        let shape = i % 30;
        let (src, dst) = (sources[shape % 6], destinations[shape / 6]);
        let net =
            |base: u32, len: u32, r: u32| Ipv4Addr::from((base | r) & u32::MAX.checked_shl(32 - len).unwrap_or(0));
        let mut text = format!(
            "priority={},in_port=1,udp,nw_dst={}/{dst}",
            100 + below(rng, 100),
            net(0x0b00_0000, dst, below(rng, 1 << 24))
        );
        if src != 0 {
            text += &format!(",nw_src={}/{src}", net(0x0a00_0000, src, below(rng, 1 << 20)));
        }
        if shape % 2 == 0 {
            text += &format!(",tp_dst={}", 1 + below(rng, 1023));
        }
        rules.push(text + ",actions=output:2");
    }
    rules
}

/// Nanoseconds that this thread has run: other programs on the machine do not count.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds a translation.
fn translate(pipeline: &Pipeline, keys: &[FlowKey]) -> f64 {
    let at = Resume::default();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = cpu_time();
        for key in keys {
            black_box(pipeline.translate(&at, black_box(key)));
        }
        best = best.min((cpu_time() - start) as f64 / keys.len() as f64);
    }
    best
}

fn report_translation(name: &str, text: &[String]) {
    let (pipeline, bridge) = switch();
    load(&pipeline, bridge, rules(text));
    let mut rng = Rng::new(1);
    let keys: Vec<_> = (0..PACKETS).map(|_| udp(&mut rng)).collect();
    let ns = translate(&pipeline, &keys);
    let masks: Vec<Mask> = keys.iter().map(|key| pipeline.translate(&Resume::default(), key).mask).collect();
    let bits = masks.iter().map(|m| f64::from(m.bits())).sum::<f64>() / keys.len() as f64;
    let flows = keys.iter().zip(&masks).map(|(key, mask)| (key.masked(mask), mask)).collect::<HashSet<_>>().len();
    let masks = masks.iter().collect::<HashSet<_>>().len();
    println!(
        "{{\"bench\":\"translate\",\"scenario\":\"{name}\",\"rules\":{},\"ns\":{ns:.0},\"packets\":{PACKETS},\
         \"flows\":{flows},\"masks\":{masks},\"mask_bits\":{bits:.1}}}",
        text.len()
    );
}

/// What `make gate` counts, by callgrind's switch of this name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Translations of packets of the scenario `pipeline`.
fn count_instructions(packets: usize) {
    let (pipeline, bridge) = switch();
    load(&pipeline, bridge, rules(&pipeline_rules(&mut Rng::new(7))));
    let mut rng = Rng::new(1);
    let keys: Vec<_> = (0..packets).map(|_| udp(&mut rng)).collect();
    let at = Resume::default();
    measured(&mut || {
        for key in &keys {
            black_box(pipeline.translate(&at, black_box(key)));
        }
    });
    println!("translate: {packets} packets");
}

/// Rules that differ in their destination only.
fn simple(n: u32) -> Vec<RuleSpec> {
    let text: Vec<_> = (0..n)
        .map(|i| {
            let dst = Ipv4Addr::from(0x0b00_0000 + i.wrapping_mul(0x9e37_79b1) % (1 << 24));
            format!("table={},priority=100,in_port=1,tcp,nw_dst={dst},tp_dst={},actions=output:2", i % 2, i % 1000)
        })
        .collect();
    rules(&text)
}

fn report_load(n: u32) {
    let (pipeline, bridge) = switch();
    let changes: Vec<_> = simple(n).into_iter().map(|rule| RuleChange::Add { bridge, rule }).collect();
    let region = Region::new(ALLOCATOR);
    let (start, wall) = (cpu_time(), Instant::now());
    pipeline.apply(&changes).unwrap();
    let (took, wall) = (cpu_time() - start, wall.elapsed());
    let used = region.change();
    let bytes = (used.bytes_allocated - used.bytes_deallocated) / n as usize;
    let one = pipeline.dump(bridge, &pipeline::Select::default()).unwrap().len();
    assert_eq!(one, n as usize);
    let extra: Vec<_> = simple(n + 1000).into_iter().skip(n as usize).collect();
    let start = cpu_time();
    for rule in &extra {
        pipeline.apply(&[RuleChange::Add { bridge, rule: rule.clone() }]).unwrap();
    }
    let single = (cpu_time() - start) / extra.len() as u64;
    println!(
        "{{\"bench\":\"load\",\"rules\":{n},\"cpu_seconds\":{:.3},\"seconds\":{:.3},\"bytes_per_rule\":{bytes},\"single_add_ns\":{single}}}",
        took as f64 / 1e9,
        wall.as_secs_f64()
    );
}

/// Runs what its arguments name, or everything; `instructions N` is for `make gate` and is not part of that.
fn main() {
    let named: Vec<_> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let [name, packets] = named.as_slice()
        && name == "instructions"
    {
        return count_instructions(packets.parse().unwrap());
    }
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    if wanted("pipeline") {
        report_translation("pipeline", &pipeline_rules(&mut Rng::new(7)));
    }
    if wanted("acl") {
        report_translation("acl", &acl(&mut Rng::new(7)));
    }
    if wanted("shapes") {
        report_translation("shapes", &shapes(&mut Rng::new(7)));
    }
    if wanted("load") {
        report_load(100_000);
    }
}
