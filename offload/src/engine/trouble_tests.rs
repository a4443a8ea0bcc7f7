//! Each trouble that a device can make, its reason, and the way back.

use super::fake::{Chaos, Fake};
use super::{DeviceHealth, Engine, EngineConfig, FlowRate, HitSink, Placement};
use crate::backend::{Cookie, DeviceErrorKind};
use crate::refusal::Refusal;
use crate::testing::{from, world};
use crate::world::World;
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, FlowListener, HardwareFence, Hits};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;

/// Hits, and until when hardware's are known.
#[derive(Default)]
struct Sink(Mutex<HashMap<FlowId, (u64, Option<Time>)>>);

impl HitSink for Sink {
    fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: Hits) {
        self.0.lock().unwrap().entry(flow.id).or_default().0 += hits.packets;
    }

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}

    fn hardware_read(&self, flow: &Arc<DpFlow>, until: Option<Time>) {
        self.0.lock().unwrap().entry(flow.id).or_default().1 = until;
    }
}

struct Rig {
    fake: Fake,
    engine: Arc<Engine>,
    sink: Arc<Sink>,
    now: u64,
    /// Of each flow, packets that came to software.
    software: HashMap<u64, u64>,
}

fn flow(id: u64) -> Arc<DpFlow> {
    from(1).ipv4().field(FieldId::Ipv4Dst, 1 + id as u32).output(4).build(id)
}

fn config() -> EngineConfig {
    EngineConfig { query_interval: std::time::Duration::from_millis(100), ..EngineConfig::default() }
}

impl Rig {
    fn new(flows: u64) -> Rig {
        let (fake, sink) = (Fake::new(1, 1000, Chaos::default()), Arc::new(Sink::default()));
        let engine = Engine::new(config(), world("connectx"), Box::new(fake.clone()), sink.clone());
        (0..flows).for_each(|id| engine.flow_added(&flow(id)));
        let mut rig = Rig { fake, engine, sink, now: 0, software: HashMap::new() };
        rig.run(20, |_| 0);
        rig
    }

    /// Time passes; so many packets of each flow every 10 ms.
    fn run(&mut self, ms: u64, packets: impl Fn(u64) -> u64) {
        let flows: Vec<u64> = self.engine.top(1000).iter().map(|r| r.flow.id.0).collect();
        for _ in 0..ms / 10 {
            self.now += 10 * MS;
            let mut rates = Vec::new();
            for id in flows.iter().copied().filter(|id| packets(*id) > 0) {
                let there = flow(id);
                let place = self.engine.rules(there.id).last().map(|r| r.rule.matches);
                let works = self.fake.with(|s| s.rules.values().any(|(r, _)| Some(r.matches) == place));
                if works && !self.fake.with(|s| s.dead) {
                    self.fake.hit(|rule| Some(rule.matches) == place, packets(id));
                } else {
                    let count = self.software.entry(id).or_default();
                    *count += packets(id);
                    rates.push(FlowRate { flow: there.id, packets: *count });
                }
            }
            if self.now.is_multiple_of(50 * MS) || !rates.is_empty() {
                self.engine.rates(Time(self.now), rates);
            }
            self.engine.settle(Time(self.now), 1000);
        }
    }

    fn placement(&self, id: u64) -> Placement {
        self.engine.explain(FlowId(id)).unwrap().placement
    }

    fn reasons(&self, id: u64) -> Vec<&'static str> {
        self.engine.explain(FlowId(id)).unwrap().refusals.iter().map(Refusal::name).collect()
    }

    fn health(&self) -> DeviceHealth {
        self.engine.status().tables[0].health.clone()
    }
}

#[test]
fn a_busy_device_is_asked_less_and_less_and_serves_all_when_it_has_time() {
    let mut rig = Rig::new(0);
    rig.fake.with(|state| state.refuses = Some(DeviceErrorKind::Busy));
    (0..100).for_each(|id| rig.engine.flow_added(&flow(id)));
    rig.run(2000, |_| 0);
    assert!(matches!(rig.health(), DeviceHealth::Busy { .. }));
    assert!((0..100).all(|id| rig.reasons(id) == ["DeviceBusy"]));
    let early = rig.fake.with(|state| state.submitted);
    rig.run(60_000, |_| 0);
    let late = rig.fake.with(|state| state.submitted) - early;
    assert!(late < 3 * early, "{late} in a minute, {early} in two seconds");
    rig.fake.with(|state| state.refuses = None);
    rig.run(60_000, |_| 0);
    assert_eq!((rig.engine.status().full, rig.health()), (100, DeviceHealth::Works));
}

#[test]
fn a_refusal_that_may_pass_is_tried_again() {
    let mut rig = Rig::new(0);
    rig.fake.with(|state| state.refuses = Some(DeviceErrorKind::Other(71)));
    rig.engine.flow_added(&flow(1));
    rig.run(100, |_| 0);
    assert_eq!(rig.reasons(1), ["DeviceError"]);
    rig.fake.with(|state| state.refuses = None);
    rig.run(3000, |_| 0);
    assert_eq!(rig.placement(1), Placement::Full);
}

#[test]
fn a_dead_device_gets_its_flows_back_when_it_answers() {
    let mut rig = Rig::new(50);
    rig.fake.with(|state| state.dead = true);
    rig.run(5000, |_| 1);
    assert!((0..50).all(|id| rig.reasons(id) == ["DeviceDead"]));
    assert!(matches!(rig.health(), DeviceHealth::Dead { .. }));
    let early = rig.fake.with(|state| state.revivals);
    rig.run(60_000, |_| 1);
    let late = rig.fake.with(|state| state.revivals) - early;
    assert!((2..=early).contains(&late), "asked {early} times in 5 s, then {late} times in 60 s");
    rig.fake.with(|state| state.dead = false);
    rig.run(40_000, |_| 1);
    assert_eq!((rig.engine.status().full, rig.health()), (50, DeviceHealth::Works));
}

#[test]
fn a_reset_that_nobody_told_of_is_found_by_reading_and_mended() {
    let mut rig = Rig::new(50);
    rig.fake.with(super::fake::State::reset);
    rig.run(300, |_| 1);
    assert!((0..50).all(|id| rig.reasons(id) == ["DeviceRuleLost"]));
    rig.run(3000, |_| 1);
    assert_eq!((rig.engine.status().full, rig.engine.status().lost_rules), (50, 50));
}

#[test]
fn a_rule_that_is_not_there_is_found_by_the_packets_that_come_to_software() {
    let mut rig = Rig::new(0);
    rig.fake.with(|state| state.chaos.pretend = 100);
    rig.engine.flow_added(&flow(1));
    rig.run(20, |_| 0);
    assert_eq!(rig.placement(1), Placement::Full, "so it seems");
    rig.run(1500, |_| 1);
    assert_eq!(rig.reasons(1), ["DeviceRuleLost"]);
    rig.fake.with(|state| state.chaos.pretend = 0);
    rig.run(30_000, |_| 1);
    assert_eq!((rig.placement(1), rig.engine.status().missed_rules > 0), (Placement::Full, true));
}

#[test]
fn a_counter_that_stands_still_is_found_out_and_forgiven() {
    let mut rig = Rig::new(5);
    rig.run(2000, |_| 3);
    assert!((0..5).all(|id| rig.placement(id) == Placement::Full));
    rig.fake.with(|state| state.stick(true));
    rig.run(3500, |_| 3);
    assert!((0..5).all(|id| rig.reasons(id) == ["CounterStuck"]), "{:?}", rig.reasons(0));
    assert_eq!(rig.engine.status().stuck_counters, 5);
    rig.run(20_000, |_| 3);
    assert!(rig.engine.status().stuck_counters > 5, "tried again, in vain");
    rig.fake.with(|state| state.stick(false));
    rig.run(60_000, |_| 3);
    assert!((0..5).all(|id| rig.placement(id) == Placement::Full));
}

#[test]
fn a_flow_that_falls_silent_is_looked_for_once_and_not_accused() {
    let mut rig = Rig::new(1);
    rig.run(2000, |_| 3);
    let inserts = |rig: &Rig| rig.engine.status().tables[0].inserts;
    rig.run(30_000, |_| 0);
    assert_eq!((rig.placement(0), rig.engine.status().stuck_counters, inserts(&rig)), (Placement::Full, 0, 2));
}

#[test]
fn a_watch_ends_when_the_world_puts_the_flow_back() {
    let mut rig = Rig::new(1);
    rig.run(2000, |_| 3);
    rig.run(3200, |_| 0);
    assert_eq!(rig.reasons(0), ["CounterStuck"]);
    rig.engine.set_world(world("connectx"));
    rig.engine.settle(Time(rig.now), 10);
    assert_eq!(rig.placement(0), Placement::Full);
    // Told late: they came while the flow was watched.
    rig.engine.rates(Time(rig.now), vec![FlowRate { flow: FlowId(0), packets: 100 }]);
    rig.run(100, |_| 0);
    assert_eq!((rig.placement(0), rig.engine.status().tables[0].used), (Placement::Full, 1));
    rig.engine.flow_removed(&flow(0));
    rig.run(20, |_| 0);
    assert_eq!(rig.fake.with(|state| state.rules.len()), 0);
}

#[test]
fn readings_that_fail_say_nothing_and_are_no_idle_time() {
    let mut rig = Rig::new(1);
    rig.run(500, |_| 1);
    rig.fake.with(|state| state.chaos.unreadable = 100);
    rig.run(100, |_| 1);
    let known = rig.sink.0.lock().unwrap()[&FlowId(0)].1.unwrap();
    rig.run(20_000, |_| 1);
    let read = |rig: &Rig| rig.engine.explain(FlowId(0)).unwrap().read.unwrap();
    assert_eq!(rig.sink.0.lock().unwrap()[&FlowId(0)].1, Some(known), "nothing is known of 20 seconds");
    assert_eq!((read(&rig), rig.placement(0)), (known, Placement::Full));
    rig.fake.with(|state| state.chaos.unreadable = 0);
    rig.run(200, |_| 1);
    assert!(read(&rig).0 > known.0 + 20_000 * MS);
    rig.engine.refresh();
    rig.run(10, |_| 0);
    assert_eq!(rig.sink.0.lock().unwrap()[&FlowId(0)].0, 50 + 10 + 2000 + 20, "and no packet is missing");
    rig.engine.set_policy(super::Policy::Off);
    rig.run(10, |_| 0);
    assert_eq!(rig.sink.0.lock().unwrap()[&FlowId(0)].1, None, "software sees all of its packets now");
}

/// The world with meanwhile other capabilities, under which flows to port 4 set another field.
fn retargeted(profile: &str) -> World {
    let mut world = world(profile);
    // Port 4 is now behind another ethdev: the rule's action changes and its match does not.
    if let Some(info) = world.ports.get_mut(&flow::port::DpPort(4)) {
        info.ethdev = crate::world::EthdevId(30);
    }
    world
}

#[test]
fn a_plan_that_changes_replaces_the_rule_without_a_gap_and_keeps_its_count() {
    let mut rig = Rig::new(10);
    rig.run(200, |_| 2);
    rig.engine.set_world(retargeted("connectx"));
    let ticket = rig.engine.fence();
    rig.run(10, |_| 0);
    assert_eq!(rig.engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!(rig.fake.with(|state| (state.updates, state.rules.len())), (10, 10));
    rig.run(200, |_| 2);
    rig.engine.refresh();
    rig.run(10, |_| 0);
    assert_eq!(rig.software.len(), 0, "no packet came to software");
    assert!(rig.sink.0.lock().unwrap().values().all(|(packets, _)| *packets == 80));
    assert_eq!(rig.engine.status().tables[0].updates, 10);
}

#[test]
fn a_device_that_cannot_replace_rules_is_asked_once_for_it() {
    let mut rig = Rig::new(10);
    rig.fake.with(|state| state.replaces = false);
    rig.engine.set_world(retargeted("connectx"));
    rig.run(20, |_| 0);
    assert_eq!((rig.engine.status().full, rig.engine.status().tables[0].updates), (10, 0));
    assert_eq!(rig.fake.with(|state| state.violations.clone()), Vec::<String>::new());
}

#[test]
fn a_restart_adopts_equal_rules_replaces_others_and_deletes_what_is_left() {
    let rig = Rig::new(10);
    let (fake, before) = (rig.fake.clone(), rig.fake.with(|state| state.submitted));
    // Killed in the middle of a batch: some rules are in that no engine knows of.
    rig.engine.flow_added(&flow(20));
    rig.engine.step(Time(rig.now));
    drop(rig);
    let submitted = fake.with(|state| state.submitted);
    assert_eq!((before, submitted, fake.with(|state| state.rules.len())), (10, 11, 11));
    fake.hit(|_| true, 7);
    let sink = Arc::new(Sink::default());
    let cookie = Cookie { instance: 0, generation: 2 };
    let engine =
        Engine::new(EngineConfig { cookie, ..config() }, world("connectx"), Box::new(fake.clone()), sink.clone());
    (0..5).for_each(|id| engine.flow_added(&flow(id)));
    // The same match, other actions.
    engine.flow_added(&from(1).ipv4().field(FieldId::Ipv4Dst, 6u32).output(3).build(5));
    engine.settle(Time(0), 100);
    let status = engine.status();
    assert_eq!((status.full, status.adopted, status.orphans), (6, 5, 5));
    let ops = fake.with(|state| state.submitted) - submitted;
    assert_eq!(ops, 2, "one rule out and one in");
    fake.hit(|_| true, 3);
    engine.settle(Time(1000 * MS), 100);
    let ledger = |id: u64| sink.0.lock().unwrap().get(&FlowId(id)).map(|(packets, _)| *packets);
    assert_eq!((ledger(1), ledger(5)), (Some(3), Some(3)), "what came before the restart is not counted twice");
    engine.settle(Time(3000 * MS), 100);
    assert_eq!((fake.with(|state| state.rules.len()), engine.status().orphans), (6, 0));
    let ticket = engine.flush();
    engine.settle(Time(3000 * MS), 100);
    assert_eq!((engine.pending(&ticket), fake.with(|state| state.rules.len())), (HardwareFence::Fenced, 0));
}

#[test]
fn a_port_with_ten_thousand_rules_goes_and_leaves_nothing() {
    let fake = Fake::new(1, 20_000, Chaos { slow: 20, choke: 20, ..Chaos::default() });
    let sink = Arc::new(Sink::default());
    let engine = Engine::new(config(), world("connectx"), Box::new(fake.clone()), sink);
    let flows: Vec<_> = (0..10_000).map(flow).collect();
    flows.iter().for_each(|flow| engine.flow_added(flow));
    for n in 0..2000 {
        engine.step(Time(n));
    }
    assert_eq!(engine.status().full, 10_000);
    let mut without = world("connectx");
    without.ports.remove(&flow::port::DpPort(1));
    engine.set_world(without);
    let ticket = engine.fence();
    flows.iter().step_by(2).for_each(|flow| engine.flow_removed(flow));
    for n in 0..4000 {
        engine.step(Time(2000 + n));
    }
    assert_eq!(engine.pending(&ticket), HardwareFence::Fenced);
    let status = engine.status();
    assert_eq!((status.software, fake.with(|state| state.rules.len())), (5000, 0));
    assert_eq!(status.tables.iter().map(|table| table.used).sum::<u32>(), 0);
}

/// What was under way when a device died may still be done: a new world does not make the device one that works.
#[test]
fn a_dead_device_is_asked_before_it_serves_a_new_world() {
    let mut rig = Rig::new(2);
    // A device that takes its time, and dies meanwhile.
    rig.fake.with(|state| state.chaos = Chaos { slow: 100, ..Chaos::default() });
    (2..40).for_each(|id| rig.engine.flow_added(&flow(id)));
    rig.engine.step(Time(rig.now));
    rig.fake.with(|state| state.dead = true);
    while !matches!(rig.health(), DeviceHealth::Dead { .. }) {
        rig.engine.step(Time(rig.now));
    }
    rig.fake.with(|state| (state.dead, state.chaos) = (false, Chaos::default()));
    rig.engine.set_world(world("connectx"));
    rig.run(20, |_| 0);
    assert_eq!((rig.health(), rig.fake.with(|state| state.revivals)), (DeviceHealth::Works, 1));
    assert!((0..40).all(|id| rig.placement(id) == Placement::Full));
    assert_eq!(rig.fake.with(|state| (state.rules.len(), state.violations.clone())), (40, Vec::new()));
    assert_eq!(rig.engine.status().unknown_completions, 0);
}
