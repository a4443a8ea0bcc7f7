//! Tables that are too small, under traffic that is meant to make the engine thrash.

use super::eviction::most_in_a_second;
use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, EngineStatus, FlowRate, HitSink, Hot, Placement, Policy};
use crate::caps::{Capabilities, CounterKind};
use crate::refusal::Refusal;
use crate::testing::{from, world_of};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, FlowListener, Hits};
use flow::port::DpPort;
use std::sync::Arc;

const TICK: u64 = 50_000_000;
const TICKS_A_SECOND: u64 = 20;

struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

/// Flows 0, 1, 2.. to one table of `room` rules.
struct Rig {
    fake: Fake,
    engine: Arc<Engine>,
    tick: u64,
    software: Vec<u64>,
    hits: u64,
    packets: u64,
    worst_second: u64,
    evictions: Vec<u64>,
}

impl Rig {
    fn new(room: u32, flows: u64) -> Rig {
        let fake = Fake::new(1, room as usize, Chaos::default());
        let mut caps = Capabilities::preset("connectx").unwrap();
        caps.max_rules = Some(room);
        let config = EngineConfig::default();
        let engine = Engine::new(config, world_of(caps), Box::new(fake.clone()), Arc::new(NoSink));
        for id in 0..flows {
            engine.flow_added(&flow(id, 1 + id as u32 % 2));
        }
        engine.settle(Time(0), 1000);
        let software = vec![0; flows as usize];
        Rig { fake, engine, tick: 0, software, hits: 0, packets: 0, worst_second: 0, evictions: vec![0] }
    }

    fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    fn is_in(&self, id: u64) -> bool {
        self.engine.explain(FlowId(id)).unwrap().placement == Placement::Full
    }

    /// So many packets of each flow within one tick.
    fn tick(&mut self, packets: impl Fn(u64) -> u64) {
        self.tick += 1;
        let now = Time(self.tick * TICK);
        let mut rates = Vec::new();
        for id in 0..self.software.len() as u64 {
            let n = packets(id);
            self.packets += n;
            if n == 0 {
                continue;
            }
            if self.is_in(id) {
                self.hits += n;
                self.fake.hit(|rule| rule.matches == rule_of(&self.engine, id), n);
            } else {
                self.software[id as usize] += n;
                rates.push(FlowRate { flow: FlowId(id), packets: self.software[id as usize] });
            }
        }
        self.engine.rates(now, rates);
        assert!(self.engine.settle(now, 1000));
        if self.tick.is_multiple_of(TICKS_A_SECOND) {
            let total = self.status().tables.iter().map(|t| t.evictions).sum();
            let before = self.evictions.last().copied().unwrap_or(0);
            self.worst_second = self.worst_second.max(total - before);
            self.evictions.push(total);
        }
    }

    fn seconds(&mut self, n: u64, packets: impl Fn(u64, u64) -> u64) {
        for _ in 0..n * TICKS_A_SECOND {
            let tick = self.tick;
            self.tick(|id| packets(tick, id));
        }
    }

    /// So many a second, and twice as many where a bucket that was full is emptied.
    fn is_bounded(&self, room: u32) {
        let most = u64::from(most_in_a_second(room));
        assert!(self.worst_second <= 2 * most, "{} evictions in a second", self.worst_second);
        assert!(self.evictions.last().unwrap() <= &(most * self.evictions.len() as u64));
    }

    /// The share of packets that hardware switched, in percent, of those since the last question.
    fn share(&mut self) -> u64 {
        let share = self.hits * 100 / self.packets.max(1);
        (self.hits, self.packets) = (0, 0);
        share
    }
}

fn rule_of(engine: &Engine, id: u64) -> crate::rule::HwMatch {
    engine.rules(FlowId(id)).last().unwrap().rule.matches
}

fn flow(id: u64, port: u32) -> Arc<DpFlow> {
    from(port).ipv4().field(FieldId::Ipv4Dst, 1 + id as u32).output(4).build(id)
}

#[test]
fn the_hottest_get_the_room_and_then_nothing_moves() {
    let mut rig = Rig::new(8, 40);
    // The last eight carry ten times as much, and came last.
    let rate = |_, id| if id >= 32 { 100 } else { 10 };
    rig.seconds(20, rate);
    assert!((32..40).all(|id| rig.is_in(id)));
    let evictions = *rig.evictions.last().unwrap();
    assert_eq!(evictions, 8);
    rig.share();
    rig.seconds(60, rate);
    assert_eq!(*rig.evictions.last().unwrap(), evictions);
    // 800 of 1120 packets is the most that eight flows can have.
    assert_eq!(rig.share(), 71);
}

#[test]
fn a_scan_over_one_flow_more_than_fits_evicts_next_to_nothing() {
    // One packet each in turn: all are equally hot.
    let mut rig = Rig::new(8, 9);
    rig.seconds(120, |tick, id| u64::from(tick % 9 == id) * 50);
    let total = *rig.evictions.last().unwrap();
    assert!(total <= 9, "{total} evictions");
    rig.is_bounded(8);
    let share = rig.share();
    assert!(share >= 85, "{share} % of at most 88 %");
}

#[test]
fn a_slow_scan_is_learned_from() {
    // Each flow has its second of fame: whoever goes is the next to be wanted.
    let mut rig = Rig::new(8, 9);
    rig.seconds(60, |tick, id| u64::from(tick / TICKS_A_SECOND % 9 == id) * 50);
    let early = *rig.evictions.last().unwrap();
    rig.share();
    rig.seconds(240, |tick, id| u64::from(tick / TICKS_A_SECOND % 9 == id) * 50);
    let late = *rig.evictions.last().unwrap() - early;
    rig.is_bounded(8);
    assert!(late <= 60, "{late} evictions in 240 s");
    let share = rig.share();
    assert!(share >= 80, "{share} % of at most 88 %");
}

#[test]
fn hot_sets_that_alternate_fast_are_left_alone_and_slow_ones_are_followed() {
    let room = 32u64;
    // Two sets of the table's size, a second each: changing all of the table each time would cost more than it brings.
    let mut fast = Rig::new(room as u32, 2 * room);
    fast.seconds(30, |tick, id| u64::from(tick / TICKS_A_SECOND % 2 == id / room) * 20);
    let early = *fast.evictions.last().unwrap();
    fast.share();
    fast.seconds(60, |tick, id| u64::from(tick / TICKS_A_SECOND % 2 == id / room) * 20);
    let late = *fast.evictions.last().unwrap() - early;
    assert!(late <= 60, "{late} evictions in 60 s");
    let share = fast.share();
    assert!(share >= 45, "{share} %: a table that never changes has 50 %");
    // A minute each.
    let mut slow = Rig::new(room as u32, 2 * room);
    let minute = 60 * TICKS_A_SECOND;
    slow.seconds(120, |tick, id| u64::from(tick / minute % 2 == id / room) * 20);
    slow.share();
    slow.seconds(120, |tick, id| u64::from(tick / minute % 2 == id / room) * 20);
    let share = slow.share();
    assert!(share >= 70, "{share} %");
    for rig in [&fast, &slow] {
        rig.is_bounded(room as u32);
    }
}

#[test]
fn one_packet_flows_push_nobody_out() {
    let mut rig = Rig::new(8, 200);
    rig.seconds(10, |_, id| if id < 8 { 20 } else { 0 });
    rig.seconds(20, |tick, id| if id < 8 { 20 } else { u64::from(id == 8 + tick % 192) });
    assert!((0..8).all(|id| rig.is_in(id)));
    assert_eq!(*rig.evictions.last().unwrap(), 0);
}

#[test]
fn idle_rules_make_room_for_anything_that_moves() {
    let mut rig = Rig::new(8, 16);
    rig.seconds(10, |_, id| if id >= 8 { 5 } else { 0 });
    assert!((8..16).all(|id| rig.is_in(id)));
}

#[test]
fn ports_of_higher_priority_go_first() {
    let mut rig = Rig::new(8, 40);
    let priorities = [(DpPort(2), 7)].into();
    rig.engine.set_policy(Policy::Hot(Hot { rate_pps: 50, cool_pps: 25, priorities }));
    // Odd flows come in on port 2. They carry less, but enough to be hot.
    rig.seconds(20, |_, id| if id < 20 { if id % 2 == 1 { 5 } else { 100 } } else { 0 });
    let inside: Vec<u64> = (0..40).filter(|id| rig.is_in(*id)).collect();
    assert_eq!(inside.len(), 8);
    assert!(inside.iter().all(|id| id % 2 == 1), "{inside:?}");
}

#[test]
fn a_limit_that_only_the_device_knows_is_found_and_kept_to() {
    let fake = Fake::new(1, 10, Chaos::default());
    let mut caps = Capabilities::preset("connectx").unwrap();
    caps.max_rules = None;
    let engine = Engine::new(EngineConfig::default(), world_of(caps), Box::new(fake.clone()), Arc::new(NoSink));
    for id in 0..500 {
        engine.flow_added(&flow(id, 1));
        engine.settle(Time(id * 1_000_000), 100);
    }
    assert_eq!(engine.status().full, 10);
    let asked = fake.with(|state| state.submitted);
    assert!(asked < 20, "{asked}: a device that said it was full is not asked 490 times");
    // Some time later it may have grown.
    fake.with(|state| state.capacity = 20);
    for ms in 1..30_000 {
        engine.step(Time((500 + ms) * 1_000_000));
    }
    assert_eq!(engine.status().full, 20);
}

#[test]
fn where_counters_end_with_their_rules_one_place_stays_free() {
    for (counter, inside) in [(CounterKind::PerRule, 7), (CounterKind::Indirect, 8)] {
        let fake = Fake::new(1, 8, Chaos::default());
        let mut caps = Capabilities::preset("connectx").unwrap();
        caps.max_rules = Some(8);
        caps.transfer.as_mut().unwrap().counter = counter;
        let engine = Engine::new(EngineConfig::default(), world_of(caps), Box::new(fake), Arc::new(NoSink));
        for id in 0..20 {
            engine.flow_added(&flow(id, 1));
        }
        engine.settle(Time(0), 100);
        assert_eq!(engine.status().full, inside, "{counter:?}");
        let refused = engine.explain(FlowId(19)).unwrap().refusals;
        let wanted = Refusal::TableFull { used: inside as u32, limit: inside as u32 };
        assert_eq!(refused[..], [wanted], "{counter:?}");
    }
}

#[test]
fn a_flow_that_needs_a_counter_has_one_go_that_has_one() {
    let fake = Fake::new(1, 100, Chaos::default());
    let mut caps = Capabilities::preset("connectx").unwrap();
    caps.limits.counters = Some(4);
    let engine = Engine::new(EngineConfig::default(), world_of(caps), Box::new(fake.clone()), Arc::new(NoSink));
    // Four that count, idle; six that only mark, idle since longer; one that comes.
    let marked =
        |id| from(1).ipv4().field(FieldId::Ipv4Dst, 1 + id as u32).then(DpAction::Ct(Box::default())).build(id);
    (10..16).for_each(|id| engine.flow_added(&marked(id)));
    engine.settle(Time(0), 1000);
    (0..5).for_each(|id| engine.flow_added(&flow(id, 1)));
    engine.settle(Time(TICK), 1000);
    let table = |engine: &Engine| engine.status().tables.iter().find(|t| t.used > 0).cloned().unwrap();
    assert_eq!((table(&engine).counters, table(&engine).counter_limit, table(&engine).used), (4, Some(4), 10));
    let reasons = engine.explain(FlowId(4)).unwrap().refusals;
    assert_eq!(reasons[..], [Refusal::CounterTableFull { used: 4, limit: 4 }]);
    for tick in 2..400 {
        engine.rates(Time(tick * TICK), vec![FlowRate { flow: FlowId(4), packets: tick * 100 }]);
        assert!(engine.settle(Time(tick * TICK), 1000));
        if engine.explain(FlowId(4)).unwrap().placement == Placement::Full {
            break;
        }
    }
    assert_eq!(engine.explain(FlowId(4)).unwrap().placement, Placement::Full);
    let status = engine.status();
    assert_eq!((status.full, status.partial, status.software), (4, 6, 1), "one that counts went for it");
    assert_eq!((table(&engine).counters, table(&engine).evictions), (4, 1));
}
