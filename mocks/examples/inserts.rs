//! How many rules a second go into the model on one thread.
//!
//! `cargo run --release -p mocks --example inserts [RULES [WAY]]` prints a line of JSON a way, of three runs: from flows through the offload engine (planned, put
//! in by templates), and of the backend alone with rules made before, by templates and by single calls.

#[path = "../../offload/examples/common/mod.rs"]
mod common;

use common::{NoSink, flow, world};
use flow::clock::Time;
use flow::dp::FlowListener;
use mocks::nic::{Eswitch, Faults, MockRteFlow, Profile};
use offload::{
    Backend, Bits, Done, Engine, EngineConfig, EthdevId, HwAction, HwMatch, HwRule, L3Match, L4Match, Op, OpId,
    RteFlowBackend, RuleKey, RuleRole, Table,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ETHDEVS: [u16; 2] = [10, 11];
const BATCH: usize = 256;
/// Rules a second.
const GOAL: f64 = 500_000.0;

fn rule(n: u32) -> HwRule {
    let exact = |value| Bits { value, mask: u16::MAX };
    let l3 = L3Match::Ipv4 {
        src: Bits { value: 0x0a00_0000 | n >> 4, mask: u32::MAX },
        dst: Bits { value: 0x0b00_0000 | n, mask: u32::MAX },
        proto: Some(6),
        tos: Bits::default(),
        ttl: Bits::default(),
        fragment: Bits { value: 0, mask: 0x3fff },
    };
    HwRule {
        role: RuleRole::Main,
        table: Table::Transfer { group: 0, priority: 1 },
        port: EthdevId(ETHDEVS[0]),
        matches: HwMatch {
            eth_dst: Bits { value: [2, 0, 0, 0, 0, 1], mask: [0xff; 6] },
            eth_type: Some(0x0800),
            l3,
            l4: L4Match::Tcp { src: exact(n as u16), dst: exact(443), flags: Bits::default() },
            ..HwMatch::default()
        },
        actions: [HwAction::Output(EthdevId(ETHDEVS[1]))].into_iter().collect(),
        encap: None,
        count: true,
    }
}

fn device(rules: u32) -> Result<MockRteFlow, String> {
    let mut profile = Profile::named("full").map_err(|e| e.to_string())?;
    profile.max_rules = rules as usize;
    Ok(MockRteFlow::of(Eswitch::new(profile, ETHDEVS.to_vec(), Faults::none(), 0)))
}

fn rate(rules: u32, took: Duration, nic: &MockRteFlow) -> Result<f64, String> {
    match nic.with(|nic| nic.rule_count()) {
        all if all == rules as usize => Ok(f64::from(rules) / took.as_secs_f64()),
        some => Err(format!("{some} of {rules} rules are in")),
    }
}

fn engine(rules: u32) -> Result<f64, String> {
    let nic = device(rules)?;
    let world = world(nic.with(|nic| nic.profile().capabilities()), &ETHDEVS);
    let backend = Box::new(RteFlowBackend::new(Box::new(nic.clone())));
    let engine = Engine::new(EngineConfig::default(), world, backend, Arc::new(NoSink));
    let numbers: Vec<u32> = (0..rules).collect();
    let mut took = Duration::ZERO;
    // As they come from misses: some at a time, and just made.
    for some in numbers.chunks(BATCH) {
        let flows: Vec<_> = some.iter().map(|n| flow(*n, 2)).collect();
        let start = Instant::now();
        flows.iter().for_each(|flow| engine.flow_added(flow));
        while engine.step(Time(0)) || !engine.is_quiet() {}
        took += start.elapsed();
    }
    rate(rules, took, &nic)
}

fn run(rules: u32, templates: bool) -> Result<f64, String> {
    let nic = device(rules)?;
    let backend = RteFlowBackend::new(Box::new(nic.clone()));
    let mut backend = if templates { backend } else { backend.without_templates() };
    let ops: Vec<Op> = (0..rules)
        .map(|n| Op::Insert { id: OpId(u64::from(n) + 1), key: RuleKey(n.into()), rule: Arc::new(rule(n)) })
        .collect();
    let (mut taken, mut done, mut ends) = (0, Vec::new(), 0);
    let start = Instant::now();
    while ends < ops.len() {
        let end = (taken + BATCH).min(ops.len());
        taken += backend.submit(&ops[taken..end]);
        backend.poll(&mut done);
        for completion in done.drain(..) {
            match completion.result {
                Ok(Done::Inserted) => ends += 1,
                other => return Err(format!("{other:?}")),
            }
        }
    }
    rate(rules, start.elapsed(), &nic)
}

fn main() -> Result<(), String> {
    let rules = std::env::args().nth(1).map_or(Ok(200_000), |n| n.parse()).map_err(|e| format!("RULES: {e}"))?;
    type Way<'a> = &'a dyn Fn() -> Result<f64, String>;
    let ways: [(&str, Way<'_>); 3] =
        [("engine", &|| engine(rules)), ("templates", &|| run(rules, true)), ("single", &|| run(rules, false))];
    let only = std::env::args().nth(2);
    for (name, way) in ways.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let mut rates = (0..3).map(|_| way()).collect::<Result<Vec<f64>, String>>()?;
        rates.sort_by(f64::total_cmp);
        let (middle, best) = (rates[1], rates[2]);
        let goal = match name {
            "engine" => format!(r#","goal":">= {GOAL:.0} a second from flow to rule","pass":{}"#, middle >= GOAL),
            _ => String::new(),
        };
        println!(
            r#"{{"bench":"offload inserts","way":"{name}","rules":{rules},"per_second":{middle:.0},"best":{best:.0}{goal}}}"#
        );
    }
    Ok(())
}
