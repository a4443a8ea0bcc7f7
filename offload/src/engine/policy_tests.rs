//! Policies, switches and demotions, by what is in hardware.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, FlowRate, HitSink, Hot, Placement, Policy, Which};
use crate::refusal::Refusal;
use crate::testing::{from, world};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, FlowListener, HardwareFence, Hits};
use flow::port::DpPort;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;

/// Packets that hardware reported.
#[derive(Default)]
struct Sink(Mutex<u64>);

impl HitSink for Sink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, hits: Hits) {
        *self.0.lock().unwrap() += hits.packets;
    }

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

fn start(profile: &str) -> (Fake, Arc<Engine>, Arc<Sink>) {
    let (fake, sink) = (Fake::new(1, 10_000, Chaos::default()), Arc::new(Sink::default()));
    let engine = Engine::new(EngineConfig::default(), world(profile), Box::new(fake.clone()), sink.clone());
    (fake, engine, sink)
}

fn to(id: u64, port: u32) -> Arc<DpFlow> {
    from(port).ipv4().field(FieldId::Ipv4Dst, id as u32).output(4).build(id)
}

fn placement(engine: &Engine, id: u64) -> Placement {
    engine.explain(FlowId(id)).unwrap().placement
}

fn refusals(engine: &Engine, id: u64) -> Vec<Refusal> {
    engine.explain(FlowId(id)).unwrap().refusals.to_vec()
}

#[test]
fn a_hot_flow_goes_in_within_100_ms_and_comes_out_when_it_is_clearly_cold() {
    let (_fake, engine, _) = start("connectx");
    let hot = Hot { rate_pps: 1000, cool_pps: 500, ..Hot::default() };
    engine.set_policy(Policy::Hot(hot));
    for id in 1..=2 {
        engine.flow_added(&to(id, 1));
    }
    engine.settle(Time(0), 10);
    assert_eq!(refusals(&engine, 1), [Refusal::Cold { needs: 1000 }]);
    // 1200 and 800 packets a second, told every 25 ms.
    let mut went_in = None;
    for n in 1..=40 {
        let at = Time(n * 25 * MS);
        let rates = [(1, 30), (2, 20)].map(|(id, each)| FlowRate { flow: FlowId(id), packets: n * each });
        engine.rates(at, rates.to_vec());
        engine.settle(at, 10);
        if went_in.is_none() && placement(&engine, 1) == Placement::Full {
            went_in = Some(at);
        }
    }
    assert!(went_in.is_some_and(|at| at <= Time(100 * MS)), "{went_in:?}");
    assert_eq!(refusals(&engine, 2), [Refusal::Cold { needs: 1000 }], "800 are too few to go in");
    assert_eq!(engine.explain(FlowId(2)).unwrap().pps, 800);
    // No packet any more: the estimate sinks to half within a second.
    for n in 1000..3500 {
        engine.settle(Time(n * MS), 10);
    }
    assert_eq!(refusals(&engine, 1), [Refusal::Cold { needs: 1000 }]);
}

#[test]
fn a_rate_around_the_threshold_moves_the_flow_once() {
    let (fake, engine, _) = start("connectx");
    engine.set_policy(Policy::Hot(Hot { rate_pps: 1000, cool_pps: 500, ..Hot::default() }));
    engine.flow_added(&to(1, 1));
    engine.settle(Time(0), 10);
    let mut total = 0;
    for n in 1..=4000u64 {
        let at = Time(n * 25 * MS);
        let packets = if n % 80 < 40 { 30 } else { 18 };
        if placement(&engine, 1) == Placement::Software {
            total += packets;
            engine.rates(at, vec![FlowRate { flow: FlowId(1), packets: total }]);
        } else {
            fake.with(|state| {
                for (_, counters) in state.rules.values_mut() {
                    counters.packets += packets;
                    counters.bytes += packets * 100;
                }
            });
        }
        engine.settle(at, 10);
    }
    let table = engine.status().tables.into_iter().find(|t| t.inserts > 0).unwrap();
    assert_eq!((table.inserts, table.removes), (1, 0));
}

#[test]
fn under_all_a_flow_is_in_within_the_step_that_hears_of_it() {
    let (_fake, engine, _) = start("connectx");
    engine.flow_added(&to(1, 1));
    engine.step(Time(0));
    assert_eq!(placement(&engine, 1), Placement::Full);
}

#[test]
fn ports_are_let_in_by_the_policy_and_by_their_own_switches() {
    let (_fake, engine, _) = start("connectx");
    for port in 1..=3 {
        engine.flow_added(&to(port.into(), port));
    }
    let full = |engine: &Engine| (1..=3).filter(|id| placement(engine, *id) == Placement::Full).collect::<Vec<u64>>();
    engine.set_policy(Policy::Ports([DpPort(1), DpPort(2)].into()));
    engine.settle(Time(0), 10);
    assert_eq!(full(&engine), [1, 2]);
    engine.set_port(DpPort(2), false);
    engine.settle(Time(0), 10);
    assert_eq!(full(&engine), [1]);
    assert_eq!(refusals(&engine, 2), [Refusal::PortDisabled { port: DpPort(2), name: "p2".into() }]);
    let (name, ports) = ("p3".into(), "p1,p2,p3".into());
    assert_eq!(refusals(&engine, 3), [Refusal::PolicyPorts { port: DpPort(3), name, ports }]);
    let status = engine.status();
    assert_eq!((status.ports[&DpPort(1)].rules, status.ports[&DpPort(2)].rules), (1, 0));
    assert!(status.ports[&DpPort(1)].admitted && !status.ports[&DpPort(2)].admitted);
    engine.set_policy(Policy::All);
    engine.settle(Time(0), 10);
    assert_eq!(full(&engine), [1, 3]);
    engine.set_port(DpPort(2), true);
    engine.settle(Time(0), 10);
    assert_eq!(full(&engine), [1, 2, 3]);
    engine.set_policy(Policy::Off);
    let ticket = engine.fence();
    engine.settle(Time(0), 10);
    assert_eq!(engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!((full(&engine), refusals(&engine, 3)), (vec![], vec![Refusal::PolicyOff]));
}

#[test]
fn a_switch_touches_the_flows_of_its_port_only() {
    let (fake, engine, _) = start("connectx");
    for id in 0..100 {
        engine.flow_added(&to(id, 1 + id as u32 % 2));
    }
    engine.settle(Time(0), 100);
    let before = fake.with(|state| state.submitted);
    engine.set_port(DpPort(1), false);
    engine.set_port(DpPort(1), false);
    engine.settle(Time(0), 100);
    assert_eq!(fake.with(|state| state.submitted) - before, 50);
    engine.set_policy(Policy::Ports([DpPort(2)].into()));
    engine.settle(Time(0), 100);
    assert_eq!(fake.with(|state| state.submitted) - before, 50, "nothing changes for port 2");
}

#[test]
fn a_thousand_toggles_lose_no_count_and_leave_the_last_wish() {
    let (fake, engine, sink) = start("connectx");
    for id in 0..50 {
        engine.flow_added(&to(id, 1 + id as u32 % 3));
    }
    let mut packets = 0;
    for n in 0..1000u64 {
        match n % 4 {
            0 => engine.set_policy(Policy::Off),
            1 => engine.set_policy(Policy::All),
            2 => engine.set_port(DpPort(1 + (n / 4 % 3) as u32), n % 8 < 4),
            _ => engine.set_policy(Policy::Ports([DpPort(1 + (n % 3) as u32)].into())),
        }
        for _ in 0..n % 3 {
            engine.step(Time(n * MS));
            packets += fake.with(super::fake::State::traffic);
        }
    }
    (1..=3).for_each(|port| engine.set_port(DpPort(port), true));
    engine.set_policy(Policy::All);
    assert!(engine.settle(Time(2000 * MS), 1000));
    assert_eq!(engine.status().full, 50);
    engine.refresh();
    assert!(engine.settle(Time(2000 * MS), 1000));
    assert!(packets > 100);
    assert_eq!(*sink.0.lock().unwrap(), packets);
    assert_eq!(fake.with(|state| (state.rules.len(), state.violations.clone())), (50, vec![]));
}

#[test]
fn demoted_flows_come_to_software_and_go_back() {
    let (fake, engine, _) = start("connectx");
    for id in 0..10 {
        engine.flow_added(&to(id, 1));
    }
    engine.settle(Time(0), 100);
    let one = to(3, 1);
    let by_match = engine.demote(Which::Match { key: Box::new(one.key), mask: Box::new(one.mask) });
    let by_id = engine.demote(Which::Flows([FlowId(3), FlowId(5)].into()));
    assert_eq!(engine.demotion(by_id).map(|d| (d.flows, d.pending)), Some((2, 2)));
    engine.settle(Time(0), 100);
    assert_eq!(engine.demotion(by_id).map(|d| (d.flows, d.pending)), Some((2, 0)));
    assert_eq!(engine.demotion(by_match).map(|d| (d.flows, d.pending)), Some((1, 0)));
    assert_eq!(fake.with(|state| state.rules.len()), 8);
    assert_eq!(refusals(&engine, 3), [Refusal::Captured]);
    // A new flow under the match stays out too.
    engine.flow_removed(&one);
    engine.flow_added(&from(1).ipv4().field(FieldId::Ipv4Dst, 3u32).field(FieldId::IpProto, 6u8).output(4).build(20));
    engine.settle(Time(0), 100);
    assert_eq!(refusals(&engine, 20), [Refusal::Captured]);
    assert!(engine.restore(by_match) && engine.restore(by_id) && !engine.restore(by_id));
    engine.settle(Time(0), 100);
    assert_eq!(engine.status().full, 10);
    assert_eq!(engine.demotion(by_id), None);
}

#[test]
fn the_top_are_the_fastest_wherever_they_are() {
    let (_fake, engine, _) = start("tiny");
    for id in 0..20 {
        engine.flow_added(&to(id, 1));
    }
    engine.settle(Time(0), 100);
    let rates = (0..20).map(|id| FlowRate { flow: FlowId(id), packets: id * 100 }).collect();
    engine.rates(Time(1000 * MS), rates);
    engine.settle(Time(1000 * MS), 100);
    let top: Vec<_> = engine.top(3).into_iter().map(|r| (r.flow.id.0, r.pps)).collect();
    assert_eq!(top, [(19, 1900), (18, 1800), (17, 1700)]);
    assert_eq!(engine.top(100).len(), 20);
    assert_eq!(engine.top(0).len(), 0);
}

#[test]
fn flush_takes_everything_out_for_good() {
    let (fake, engine, _) = start("connectx");
    for id in 0..1000 {
        engine.flow_added(&to(id, 1));
    }
    engine.settle(Time(0), 100);
    let ticket = engine.flush();
    engine.set_policy(Policy::All);
    engine.flow_added(&to(2000, 1));
    engine.settle(Time(0), 100);
    assert_eq!(engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!(fake.with(|state| state.rules.len()), 0);
}
