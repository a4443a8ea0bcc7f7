//! Single stories of the engine.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, HitSink, Placement};
use crate::backend::DeviceErrorKind;
use crate::caps::Capabilities;
use crate::refusal::Refusal;
use crate::rule::RuleRole;
use crate::testing::{from, world, world_of};
use crate::world::Admission;
use flow::FieldId;
use flow::clock::{MonotonicClock, Time};
use flow::dp::{DpAction, DpFlow, FlowListener, HardwareFence, Hits};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Sink(Mutex<Vec<String>>);

impl HitSink for Sink {
    fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: Hits) {
        self.0.lock().unwrap().push(format!("{} +{} at {}", flow.id.0, hits.packets, hits.used.0));
    }

    fn hardware_gone(&self, flow: &Arc<DpFlow>) {
        self.0.lock().unwrap().push(format!("{} gone", flow.id.0));
    }
}

fn start(fake: &Fake, world: crate::World) -> (Arc<Engine>, Arc<Sink>) {
    let sink = Arc::new(Sink::default());
    (Engine::new(EngineConfig::default(), world, Box::new(fake.clone()), sink.clone()), sink)
}

fn told(sink: &Sink) -> Vec<String> {
    std::mem::take(&mut *sink.0.lock().unwrap())
}

fn to(id: u64, addr: u32) -> Arc<DpFlow> {
    from(1).ipv4().field(FieldId::Ipv4Dst, addr).output(3).build(id)
}

fn hit(fake: &Fake, packets: u64) {
    fake.with(|state| {
        for (rule, counters) in state.rules.values_mut().filter(|(rule, _)| rule.count) {
            assert_eq!(rule.role, RuleRole::Main);
            counters.packets += packets;
            counters.bytes += packets * 60;
        }
    });
}

#[test]
fn hits_are_told_with_the_time_of_reading_and_the_last_ones_before_gone() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, sink) = start(&fake, world("connectx"));
    let flow = to(1, 7);
    engine.flow_added(&flow);
    assert!(engine.settle(Time(0), 10));
    hit(&fake, 3);
    assert!(engine.settle(Time(499_999_999), 10));
    assert_eq!(told(&sink), Vec::<String>::new(), "not due");
    assert!(engine.settle(Time(500_000_000), 10));
    assert_eq!(told(&sink), ["1 +3 at 500000000"]);
    hit(&fake, 2);
    engine.refresh();
    assert!(engine.settle(Time(600_000_000), 10));
    assert_eq!(told(&sink), ["1 +2 at 600000000"]);
    hit(&fake, 1);
    engine.flow_removed(&flow);
    assert!(engine.settle(Time(700_000_000), 10));
    assert_eq!(told(&sink), ["1 +1 at 700000000", "1 gone"]);
    assert_eq!(engine.explain(flow.id), None);
}

#[test]
fn a_guard_goes_in_first_comes_out_last_and_its_hits_are_nobodys() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, sink) = start(&fake, world("connectx"));
    let flow = from(1).ipv4().then(DpAction::DecTtl).output(3).build(1);
    engine.flow_added(&flow);
    engine.settle(Time(0), 10);
    let roles: Vec<_> = fake.with(|state| state.rules.values().map(|(rule, _)| rule.role).collect());
    assert_eq!(roles, [RuleRole::TtlGuard, RuleRole::Main]);
    fake.with(|state| state.rules.values_mut().for_each(|(_, c)| c.packets += 5));
    engine.flow_removed(&flow);
    fake.with(|state| state.chaos.resist = 100);
    engine.settle(Time(1), 10);
    let ticket = engine.fence();
    engine.settle(Time(1), 10);
    assert!(matches!(engine.pending(&ticket), HardwareFence::Failed(_)));
    assert_eq!(told(&sink), Vec::<String>::new());
    fake.with(|state| {
        state.chaos.resist = 0;
        state.rules.values_mut().for_each(|(_, c)| c.bytes += 500);
    });
    engine.settle(Time(1_000_000_000), 10);
    assert_eq!(engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!(told(&sink), ["1 +5 at 1000000000", "1 gone"]);
}

#[test]
fn a_refusal_is_learned_by_shape_and_forgotten_with_the_world() {
    let fake = Fake::new(3, 1000, Chaos { refuse: 100, ..Chaos::default() });
    let (engine, _) = start(&fake, {
        let mut world = world("connectx");
        world.partial = false;
        world
    });
    for id in 0..500 {
        engine.flow_added(&to(id, id as u32));
        engine.settle(Time(0), 20);
    }
    let asked = fake.with(|state| state.submitted);
    assert!(asked < 50, "{asked} inserts for 500 flows of one shape");
    assert_eq!(engine.status().refused_shapes, 1);
    let status = engine.explain(flow::dp::FlowId(499)).unwrap();
    assert!(matches!(&status.refusals[..], [Refusal::Device(e)] if e.kind == DeviceErrorKind::NotSupported));
    fake.with(|state| state.chaos.refuse = 0);
    engine.set_world(world("connectx"));
    engine.settle(Time(1_000_000_000), 1000);
    assert_eq!(engine.status().full, 500);
}

#[test]
fn a_full_table_is_a_reason_and_room_is_used() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake, world("tiny"));
    let flows: Vec<_> = (0..10).map(|id| to(id, id as u32)).collect();
    flows.iter().for_each(|flow| engine.flow_added(flow));
    engine.settle(Time(0), 100);
    let status = engine.status();
    assert_eq!((status.full, status.software), (8, 2));
    assert_eq!(engine.explain(flows[9].id).unwrap().refusals[..], [Refusal::TableFull { used: 8, limit: 8 }]);
    engine.flow_removed(&flows[0]);
    engine.settle(Time(0), 100);
    assert_eq!(engine.explain(flows[8].id).unwrap().placement, Placement::Full);
    assert_eq!(engine.explain(flows[9].id).unwrap().placement, Placement::Software);
}

#[test]
fn a_flow_that_replaces_another_waits_until_the_other_is_out() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake, world("connectx"));
    let old = to(1, 9);
    engine.flow_added(&old);
    engine.settle(Time(0), 10);
    let new = from(1).ipv4().field(FieldId::Ipv4Dst, 9u32).output(4).build(2);
    engine.flow_added(&new);
    engine.settle(Time(0), 10);
    assert_eq!(fake.with(|state| state.rules.len()), 1);
    engine.flow_removed(&old);
    engine.settle(Time(0), 10);
    assert_eq!(engine.explain(new.id).unwrap().placement, Placement::Full);
    assert_eq!(fake.with(|state| (state.rules.len(), state.violations.clone())), (1, vec![]));
}

#[test]
fn off_takes_everything_out_and_on_puts_it_back() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, sink) = start(&fake, world("connectx"));
    let flow = to(1, 9);
    engine.flow_added(&flow);
    engine.settle(Time(0), 10);
    let mut off = world("connectx");
    off.admission = Admission::off();
    engine.set_world(off);
    let ticket = engine.fence();
    engine.settle(Time(0), 10);
    assert_eq!(engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!(fake.with(|state| state.rules.len()), 0);
    assert_eq!(engine.explain(flow.id).unwrap().refusals[..], [Refusal::Disabled]);
    assert_eq!(told(&sink), Vec::<String>::new(), "the flow lives on: its mark is in use");
    engine.set_world(world("connectx"));
    engine.settle(Time(0), 10);
    assert_eq!(engine.status().full, 1);
}

#[test]
fn a_world_that_changes_nothing_for_a_flow_leaves_its_rules_alone() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake, world("connectx"));
    engine.flow_added(&to(1, 9));
    engine.settle(Time(0), 10);
    let before = fake.with(|state| state.submitted);
    engine.set_world(world("connectx"));
    engine.settle(Time(0), 10);
    assert_eq!(fake.with(|state| state.submitted), before);
}

#[test]
fn a_counter_that_goes_backwards_is_an_anomaly_and_no_hit() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, sink) = start(&fake, world("connectx"));
    engine.flow_added(&to(1, 9));
    engine.settle(Time(0), 10);
    hit(&fake, 5);
    engine.settle(Time(1_000_000_000), 10);
    fake.with(|state| state.rules.values_mut().for_each(|(_, c)| *c = Default::default()));
    engine.settle(Time(2_000_000_000), 10);
    hit(&fake, 1);
    engine.settle(Time(3_000_000_000), 10);
    assert_eq!(told(&sink), ["1 +5 at 1000000000", "1 +1 at 3000000000"]);
    assert_eq!(engine.status().counter_anomalies, 1);
}

#[test]
fn rules_of_an_earlier_run_that_nobody_asks_for_are_taken_out() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake, world("connectx"));
    engine.flow_added(&to(1, 9));
    engine.settle(Time(0), 10);
    drop(engine);
    assert_eq!(fake.with(|state| state.rules.len()), 1);
    let (engine, _) = start(&fake, world("connectx"));
    engine.settle(Time(0), 10);
    assert_eq!((fake.with(|state| state.rules.len()), engine.status().orphans), (1, 1), "there is some time for it");
    engine.settle(Time(3_000_000_000), 10);
    assert_eq!((fake.with(|state| state.rules.len()), engine.status().orphans), (0, 0));
    assert_eq!(engine.status().unknown_completions, 0);
}

#[test]
fn partial_flows_say_what_keeps_them_from_full() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake, world_of(Capabilities::preset("connectx").unwrap()));
    let flow = from(1).ipv4().output(6).build(1);
    engine.flow_added(&flow);
    engine.settle(Time(0), 10);
    let status = engine.explain(flow.id).unwrap();
    assert_eq!((status.placement, status.rules), (Placement::Partial, 1));
    assert_eq!(engine.status().by_reason.into_iter().collect::<Vec<_>>(), [("OutputPort", 1)]);
}

#[test]
fn the_thread_does_it_all_by_itself() {
    let fake = Fake::new(1, 5000, Chaos::default());
    let (engine, _) = start(&fake, world("connectx"));
    let thread = engine.spawn(Arc::new(MonotonicClock::default())).unwrap();
    let flows: Vec<_> = (0..1000).map(|id| to(id, id as u32)).collect();
    flows.iter().for_each(|flow| engine.flow_added(flow));
    wait(|| engine.status().full == 1000);
    flows.iter().for_each(|flow| engine.flow_removed(flow));
    let ticket = engine.fence();
    wait(|| engine.pending(&ticket) == HardwareFence::Fenced);
    assert_eq!(fake.with(|state| state.rules.len()), 0);
    drop(thread);
}

fn wait(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}
