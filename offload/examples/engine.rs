//! How fast the engine is by itself, over a backend that does everything at once:
//!
//! ```text
//! cargo run --release -p offload --example engine
//! ```
//!
//! Prints one JSON line: plans, inserts, readings and removals a second on one thread.

use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, FlowListener, Hits, Mark};
use flow::port::DpPort;
use flow::{FieldId, FlowKey, Mask, Value};
use offload::{
    Adopted, Backend, Capabilities, Completion, Cookie, Counters, Done, Engine, EngineConfig, EswitchDomain, EthdevId,
    HitSink, Op, PortInfo, PortKind, World,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FLOWS: u32 = 100_000;

/// Answers at once.
#[derive(Default)]
struct AtOnce(Vec<Completion>);

impl Backend for AtOnce {
    fn submit(&mut self, ops: &[Op]) -> usize {
        self.0.extend(ops.iter().map(|op| {
            let done = match op {
                Op::Insert { .. } => Done::Inserted,
                Op::Query { .. } => Done::Counted(Counters { packets: 1, bytes: 64 }),
                Op::Remove { .. } | Op::Update { .. } => {
                    Done::Removed { last: Some(Counters { packets: 2, bytes: 128 }), exact: true }
                }
            };
            Completion { id: op.id(), result: Ok(done) }
        }));
        ops.len()
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        done.append(&mut self.0);
    }

    fn adopt(&mut self, _: Cookie) -> Vec<Adopted> {
        Vec::new()
    }
}

struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

fn world() -> World {
    let caps = Arc::new(Capabilities { max_rules: None, ..Capabilities::preset("connectx").unwrap_or_default() });
    (1..=4u16).fold(World::new(), |world, n| {
        let kind = if n == 1 { PortKind::Uplink } else { PortKind::VfRepresentor(n) };
        let info = PortInfo {
            name: format!("p{n}"),
            kind,
            ethdev: EthdevId(n),
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.with_port(DpPort(n.into()), info)
    })
}

/// A five-tuple to another port.
fn flow(n: u32) -> Arc<DpFlow> {
    let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
    let fields: [(FieldId, u128); 9] = [
        (FieldId::InPort, 1),
        (FieldId::RecircId, 0),
        (FieldId::EthDst, 0x0200_0000_0001),
        (FieldId::EthType, 0x0800),
        (FieldId::IpProto, 6),
        (FieldId::IpFrag, 0),
        (FieldId::Ipv4Src, u128::from(0x0a00_0000 + n)),
        (FieldId::Ipv4Dst, 0x0b00_0001),
        (FieldId::TcpDst, 80),
    ];
    for (field, value) in fields {
        key.set(field, Value(value));
        mask.require(field);
    }
    Arc::new(DpFlow {
        id: FlowId(n.into()),
        key,
        mask,
        actions: [DpAction::Output(DpPort(2 + n % 3))].into_iter().collect(),
        deps: Default::default(),
        effects: Default::default(),
        mark: Mark(1 + n),
    })
}

fn run(engine: &Engine, now: Time) -> Duration {
    let start = Instant::now();
    while engine.step(now) || !engine.is_quiet() {}
    start.elapsed()
}

fn rate(took: Duration) -> u64 {
    (f64::from(FLOWS) / took.as_secs_f64()) as u64
}

fn main() {
    let world = world();
    let flows: Vec<_> = (0..FLOWS).map(flow).collect();
    let start = Instant::now();
    for flow in &flows {
        black_box(offload::plan(flow, &world));
    }
    let plans = rate(start.elapsed());
    let engine = Engine::new(EngineConfig::default(), world, Box::new(AtOnce::default()), Arc::new(NoSink));
    flows.iter().for_each(|flow| engine.flow_added(flow));
    let inserts = rate(run(&engine, Time(0)));
    let full = engine.status().full;
    let now = Time(1_000_000_000);
    let readings = rate(run(&engine, now));
    flows.iter().for_each(|flow| engine.flow_removed(flow));
    let removals = rate(run(&engine, now));
    println!(
        "{{\"bench\":\"engine\",\"flows\":{FLOWS},\"full\":{full},\"plans_per_second\":{plans},\
         \"inserts_per_second\":{inserts},\"readings_per_second\":{readings},\"removals_per_second\":{removals}}}"
    );
}
