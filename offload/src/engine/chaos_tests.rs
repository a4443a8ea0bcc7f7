//! Whatever the device does: nothing leaks, nothing counts twice, nobody waits for ever.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, HitSink};
use crate::caps::Capabilities;
use crate::testing::{from, world_of};
use crate::world::{Admission, World};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, FlowListener, HardwareFence, Hits, MeterId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Ledger {
    hits: HashMap<FlowId, u64>,
    gone: HashMap<FlowId, u64>,
}

#[derive(Default)]
struct Sink(Mutex<Ledger>);

impl HitSink for Sink {
    fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: Hits) {
        let mut ledger = self.0.lock().unwrap();
        assert!(!ledger.gone.contains_key(&flow.id), "hits after the flow was gone");
        assert_eq!(hits.bytes, hits.packets * 100);
        *ledger.hits.entry(flow.id).or_default() += hits.packets;
    }

    fn hardware_gone(&self, flow: &Arc<DpFlow>) {
        *self.0.lock().unwrap().gone.entry(flow.id).or_default() += 1;
    }
}

struct Run {
    fake: Fake,
    sink: Arc<Sink>,
    engine: Arc<Engine>,
    now: Time,
    alive: Vec<Arc<DpFlow>>,
    removed: Vec<FlowId>,
    packets: u64,
    next: u64,
}

fn world(room: u32) -> World {
    let mut caps = Capabilities::preset("connectx").unwrap();
    caps.max_rules = Some(room);
    world_of(caps)
}

impl Run {
    fn new(seed: u64, chaos: Chaos) -> Run {
        let fake = Fake::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 10, chaos);
        let sink = Arc::new(Sink::default());
        let config = EngineConfig { batch: 7, ..EngineConfig::default() };
        let engine = Engine::new(config, world(12), Box::new(fake.clone()), sink.clone());
        Run { fake, sink, engine, now: Time(0), alive: Vec::new(), removed: Vec::new(), packets: 0, next: 0 }
    }

    fn random(&self, below: u64) -> u64 {
        self.fake.with(|state| state.random(below))
    }

    fn tick(&mut self) {
        self.now = Time(self.now.0 + 40_000_000);
        self.engine.step(self.now);
        assert_eq!(self.fake.with(|state| state.violations.clone()), Vec::<String>::new());
    }

    /// A match is used by one live flow at a time, as in the datapath; a successor has the same match.
    fn add(&mut self) {
        self.next += 1;
        let id = self.next;
        let place = self.random(30) as u8;
        let addr = u32::from_be_bytes([10, 0, 0, place]);
        self.remove_if(|flow| flow.key.ipv4_dst.get() == addr);
        let base = from(1 + u32::from(place) % 4).ipv4().field(FieldId::Ipv4Dst, addr);
        let flow = match self.random(5) {
            0 => base.then(DpAction::DecTtl).output(2),
            1 => base.then(DpAction::Meter(MeterId(1))).output(3),
            2 => base.output(6),
            _ => base.output(3),
        };
        let flow = flow.build(id);
        self.engine.flow_added(&flow);
        self.alive.push(flow);
    }

    fn remove_if(&mut self, which: impl Fn(&DpFlow) -> bool) {
        for flow in self.alive.extract_if(.., |flow| which(flow)) {
            self.engine.flow_removed(&flow);
            self.removed.push(flow.id);
        }
    }

    fn go(&mut self, events: u64) {
        for _ in 0..events {
            match self.random(10) {
                0..=3 => self.add(),
                4 | 5 if !self.alive.is_empty() => {
                    let victim = self.alive[self.random(self.alive.len() as u64) as usize].id;
                    self.remove_if(|flow| flow.id == victim);
                }
                6 if self.random(12) == 0 => {
                    let mut world = world(12);
                    if self.random(3) == 0 {
                        world.admission = Admission::Off;
                    }
                    world.partial = self.random(2) == 0;
                    self.engine.set_world(world);
                }
                _ => self.packets += self.fake.with(super::fake::State::traffic),
            }
            if self.random(3) > 0 {
                self.tick();
            }
        }
    }

    fn rest(&mut self) {
        for _ in 0..2000 {
            self.tick();
            if self.engine.is_quiet() && self.engine.status().moving == 0 {
                return;
            }
        }
        panic!("never quiet: {:?}", self.engine.status());
    }

    fn end(&mut self) {
        self.rest();
        let status = self.engine.status();
        let rules: usize = self.alive.iter().map(|flow| self.engine.explain(flow.id).unwrap().rules).sum();
        let used: u32 = status.tables.iter().map(|t| t.used).sum();
        assert_eq!(rules, used as usize, "{status:?}");
        let lost = self.fake.with(|state| state.lost);
        let (dead, kept) = self.fake.with(|state| (state.dead, state.rules.len()));
        assert!(dead || kept <= rules && rules <= kept + lost, "{kept} rules, the engine knows {rules}");
        self.remove_if(|_| true);
        let ticket = self.engine.fence();
        self.rest();
        assert_eq!(self.engine.pending(&ticket), HardwareFence::Fenced);
        assert_eq!(self.fake.with(|state| if state.dead { 0 } else { state.rules.len() }), 0, "leaked rules");
        let status = self.engine.status();
        assert_eq!(status.tables.iter().map(|t| t.used).sum::<u32>(), 0);
        assert_eq!((status.unknown_completions, status.counter_anomalies, status.stuck_rules), (0, 0, 0));
        let ledger = self.sink.0.lock().unwrap();
        for id in &self.removed {
            assert_eq!(ledger.gone.get(id), Some(&1), "{id:?}");
        }
        assert_eq!(ledger.gone.len(), self.removed.len());
        let reported: u64 = ledger.hits.values().sum();
        assert!(reported <= self.packets);
        assert!(dead || reported == self.packets, "{reported} of {} packets reported", self.packets);
    }
}

#[test]
fn a_good_device_leaks_nothing_and_every_packet_is_reported_once() {
    for seed in 1..60 {
        let mut run = Run::new(seed, Chaos::default());
        run.go(300);
        run.end();
        assert!(run.packets > 0);
    }
}

#[test]
fn a_slow_refusing_losing_resisting_device_leaks_nothing() {
    for seed in 1..150 {
        let mut run = Run::new(seed, Chaos { slow: 40, refuse: 15, lose: 10, resist: 20, choke: 30 });
        run.go(300);
        run.end();
    }
}

#[test]
fn a_device_that_dies_takes_its_rules_and_nothing_else() {
    for seed in 1..100 {
        let mut run = Run::new(seed, Chaos { slow: 30, refuse: 5, lose: 0, resist: 10, choke: 20 });
        run.go(100 + seed);
        run.fake.with(|state| state.dead = true);
        run.go(100);
        run.rest();
        let status = run.engine.status();
        assert_eq!((status.full, status.partial, status.moving), (0, 0, 0), "{status:?}");
        run.end();
        run.fake.with(|state| state.dead = false);
    }
}

#[test]
fn a_run_repeats_by_its_seed() {
    let trace = |seed| {
        let mut run = Run::new(seed, Chaos { slow: 40, refuse: 15, lose: 5, resist: 10, choke: 30 });
        run.go(300);
        run.rest();
        let flows: Vec<_> = run.alive.iter().map(|flow| run.engine.explain(flow.id)).collect();
        (run.engine.status(), flows, run.fake.with(|state| state.submitted))
    };
    assert_eq!(trace(5), trace(5));
}
