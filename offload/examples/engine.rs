//! How fast the engine is by itself, over a backend that does everything at once:
//!
//! ```text
//! cargo run --release -p offload --example engine
//! ```
//!
//! Prints one JSON line: plans, inserts, readings and removals a second on one thread.

mod common;

use common::{NoSink, flow, world};
use flow::clock::Time;
use flow::dp::FlowListener;
use offload::{Adopted, Backend, Capabilities, Completion, Cookie, Counters, Done, Engine, EngineConfig, Op};
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

fn run(engine: &Engine, now: Time) -> Duration {
    let start = Instant::now();
    while engine.step(now) || !engine.is_quiet() {}
    start.elapsed()
}

fn rate(took: Duration) -> u64 {
    (f64::from(FLOWS) / took.as_secs_f64()) as u64
}

fn main() {
    let caps = Capabilities { max_rules: None, ..Capabilities::preset("connectx").unwrap_or_default() };
    let world = world(caps, &[1, 2, 3, 4]);
    let flows: Vec<_> = (0..FLOWS).map(|n| flow(n, 2 + n % 3)).collect();
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
