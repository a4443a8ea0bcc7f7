//! Whatever the device does: nothing leaks, nothing counts twice, nobody waits for ever.

use super::fake::{Chaos, Fake};
use super::{DemotionId, Engine, EngineConfig, HitSink, Placement, Policy, Which};
use crate::caps::Capabilities;
use crate::testing::{from, world_of};
use crate::world::{Admission, World};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, Encap, FlowId, FlowListener, HardwareFence, Hits, MeterId};
use flow::port::DpPort;
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
    trouble: bool,
    demotions: Vec<DemotionId>,
}

/// Different outer headers that devices hold.
const HEADERS: usize = 2;

fn world(room: u32) -> World {
    let mut caps = Capabilities::preset("connectx").unwrap();
    caps.max_rules = Some(room);
    caps.limits.encap_headers = Some(HEADERS as u32);
    if let Some(transfer) = &mut caps.transfer {
        transfer.encap = 64;
    }
    world_of(caps)
}

impl Run {
    fn new(seed: u64, chaos: Chaos) -> Run {
        let fake = Fake::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 10, chaos);
        fake.with(|state| state.header_room = HEADERS);
        let sink = Arc::new(Sink::default());
        let config = EngineConfig { batch: 7, ..EngineConfig::default() };
        let engine = Engine::new(config, world(12), Box::new(fake.clone()), sink.clone());
        Run {
            fake,
            sink,
            engine,
            now: Time(0),
            alive: Vec::new(),
            removed: Vec::new(),
            packets: 0,
            next: 0,
            trouble: false,
            demotions: Vec::new(),
        }
    }

    fn random(&self, below: u64) -> u64 {
        self.fake.with(|state| state.random(below))
    }

    fn tick(&mut self) {
        self.now = Time(self.now.0 + 40_000_000);
        self.engine.step(self.now);
        let (violations, refused) = self.fake.with(|state| (state.violations.clone(), state.headers_refused));
        assert_eq!((violations, refused), (vec![], 0));
        for flow in self.engine.top(usize::MAX) {
            assert_eq!(flow.placement == Placement::Full, flow.refusals.is_empty(), "{flow:?}");
        }
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
            _ if place.is_multiple_of(2) => {
                let header = [place % 10; 50];
                base.then(DpAction::TunnelPush(Encap { header: header[..].into(), port: DpPort(3) }))
            }
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
                6 if self.trouble && self.random(6) == 0 => self.befall(),
                6 if self.random(12) == 0 => {
                    let mut world = world(12);
                    if self.random(3) == 0 {
                        world.admission = Admission::off();
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

    /// Trouble of any kind, and wishes of any kind, or the end of it.
    fn befall(&mut self) {
        match self.random(8) {
            0 => self.fake.with(|state| state.dead = true),
            1 => self.fake.with(super::fake::State::reset),
            2 => self.fake.with(|state| state.stick(true)),
            3 => self.engine.set_policy([Policy::All, Policy::Off][self.random(2) as usize].clone()),
            4 => self.engine.set_port(DpPort(1 + self.random(4) as u32), self.random(2) == 0),
            5 if !self.alive.is_empty() => {
                let one = self.random(self.alive.len() as u64) as usize;
                self.demotions.push(self.engine.demote(Which::Flows([self.alive[one].id].into())));
            }
            6 => self.demotions.drain(..).for_each(|id| assert!(self.engine.restore(id))),
            _ => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.fake.with(|state| {
            state.dead = false;
            state.stick(false);
        });
        self.engine.set_policy(Policy::All);
        (1..=5).for_each(|port| self.engine.set_port(DpPort(port), true));
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
        assert_eq!(status.tables.iter().map(|t| t.used + t.encap_headers).sum::<u32>(), 0);
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
        let mut run =
            Run::new(seed, Chaos { slow: 40, refuse: 15, lose: 10, resist: 20, choke: 30, ..Chaos::default() });
        run.go(300);
        run.end();
    }
}

#[test]
fn a_device_that_dies_takes_its_rules_and_nothing_else() {
    for seed in 1..100 {
        let mut run = Run::new(seed, Chaos { slow: 30, refuse: 5, lose: 0, resist: 10, choke: 20, ..Chaos::default() });
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
fn whatever_befalls_a_device_and_its_operator_all_is_well_when_it_is_over() {
    let mut offloaded = 0;
    for seed in 1..200 {
        let chaos = Chaos { slow: 30, refuse: 5, lose: 3, resist: 10, choke: 20, pretend: 3, unreadable: 20 };
        let mut run = Run::new(seed, chaos);
        run.trouble = true;
        run.go(500);
        run.fake.with(|state| state.chaos = Chaos::default());
        run.heal();
        run.demotions.drain(..).for_each(|id| assert!(run.engine.restore(id)));
        run.engine.set_world(world(12));
        // The longest of all waits is over, and counters are read.
        for _ in 0..4 {
            run.now = Time(run.now.0 + 20_000_000_000);
            run.rest();
        }
        let status = run.engine.status();
        assert_eq!(status.dead, Vec::<String>::new());
        assert!(status.tables.iter().all(|table| table.used <= 12 && table.encap_headers <= HEADERS as u32));
        offloaded += status.full;
        let rules: usize = run.alive.iter().map(|flow| run.engine.explain(flow.id).unwrap().rules).sum();
        let there = run.fake.with(|state| state.rules.len() + state.ghosts());
        // Nobody reads rules that only mark: their loss shows when they are taken out.
        assert!(there <= rules && rules <= there + status.partial, "seed {seed}: {rules}, {there} there, {status:?}");
        run.remove_if(|_| true);
        let ticket = run.engine.fence();
        run.rest();
        assert_eq!(run.engine.pending(&ticket), HardwareFence::Fenced);
        assert_eq!(run.fake.with(|state| state.rules.len() + state.ghosts()), 0, "leaked rules");
        let ledger = run.sink.0.lock().unwrap();
        assert!(run.removed.iter().all(|id| ledger.gone.get(id) == Some(&1)));
        assert_eq!(ledger.gone.len(), run.removed.len());
        assert!(ledger.hits.values().sum::<u64>() <= run.packets);
    }
    assert!(offloaded > 500, "{offloaded}");
}

#[test]
fn a_run_repeats_by_its_seed() {
    let trace = |seed| {
        let mut run =
            Run::new(seed, Chaos { slow: 40, refuse: 15, lose: 5, resist: 10, choke: 30, ..Chaos::default() });
        run.go(300);
        run.rest();
        let flows: Vec<_> = run.alive.iter().map(|flow| run.engine.explain(flow.id)).collect();
        (run.engine.status(), flows, run.fake.with(|state| state.submitted))
    };
    assert_eq!(trace(5), trace(5));
}
