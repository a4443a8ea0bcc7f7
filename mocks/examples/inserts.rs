//! How many rules a second go into the model on one thread.
//!
//! `cargo run --release -p mocks --example inserts [RULES [WAY]]` prints a line of JSON a way, of three runs: from flows through the offload engine (planned, put
//! in by templates), and of the backend alone with rules made before, by templates and by single calls.

use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, FlowListener, Hits, Mark};
use flow::{DpPort, FieldId, FlowKey, Mask, Value};
use mocks::nic::{Eswitch, Faults, MockRteFlow, Profile};
use offload::{
    Backend, Bits, Done, Engine, EngineConfig, EswitchDomain, EthdevId, HitSink, HwAction, HwMatch, HwRule, L3Match,
    L4Match, Op, OpId, PortInfo, PortKind, RteFlowBackend, RuleKey, RuleRole, Table, World,
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

struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

/// A connection from one port to the other.
fn flow(n: u32) -> Arc<DpFlow> {
    let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
    let fields: [(FieldId, u128); 10] = [
        (FieldId::InPort, 1),
        (FieldId::RecircId, 0),
        (FieldId::EthDst, 0x0200_0000_0001),
        (FieldId::EthType, 0x0800),
        (FieldId::IpProto, 6),
        (FieldId::IpFrag, 0),
        (FieldId::Ipv4Src, u128::from(0x0a00_0000 | n >> 4)),
        (FieldId::Ipv4Dst, u128::from(0x0b00_0000 | n)),
        (FieldId::TcpSrc, u128::from(n as u16)),
        (FieldId::TcpDst, 443),
    ];
    for (field, value) in fields {
        key.set(field, Value(value));
        mask.require(field);
    }
    Arc::new(DpFlow {
        id: FlowId(n.into()),
        key,
        mask,
        actions: [DpAction::Output(DpPort(2))].into_iter().collect(),
        deps: Default::default(),
        effects: Default::default(),
        mark: Mark(1 + n),
    })
}

fn world(caps: offload::Capabilities) -> World {
    let caps = Arc::new(caps);
    let ports = [(1, PortKind::Uplink), (2, PortKind::VfRepresentor(0))];
    ports.into_iter().zip(ETHDEVS).fold(World::new(), |world, ((port, kind), ethdev)| {
        let info = PortInfo {
            name: format!("p{port}"),
            kind,
            ethdev: EthdevId(ethdev),
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.with_port(DpPort(port), info)
    })
}

fn engine(rules: u32) -> Result<f64, String> {
    let nic = device(rules)?;
    let world = world(nic.with(|nic| nic.profile().capabilities()));
    let backend = Box::new(RteFlowBackend::new(Box::new(nic.clone())));
    let engine = Engine::new(EngineConfig::default(), world, backend, Arc::new(NoSink));
    let numbers: Vec<u32> = (0..rules).collect();
    let mut took = Duration::ZERO;
    // As they come from misses: some at a time, and just made.
    for some in numbers.chunks(BATCH) {
        let flows: Vec<_> = some.iter().map(|n| flow(*n)).collect();
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
