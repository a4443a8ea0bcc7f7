//! Hardware does a flow's first actions: with which mark, and what is left when it may not or will not.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, HitSink, Placement};
use crate::plan::tests::able;
use crate::refusal::Refusal;
use crate::rule::{HwAction, HwRule, RuleRole, Table};
use crate::testing::{from, world_of};
use crate::world::World;
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpAction, DpActionKind, DpFlow, FlowListener, Hits, Mark};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A datapath that has marks for rests, or none.
#[derive(Default)]
struct Marks {
    none: AtomicBool,
}

fn mark_of(flow: &DpFlow, done: usize) -> Mark {
    Mark(Mark::CHANGED | (flow.id.0 as u32) << 4 | done as u32)
}

impl HitSink for Marks {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}

    fn rest_mark(&self, flow: &Arc<DpFlow>, done: usize) -> Option<Mark> {
        (!self.none.load(Ordering::Relaxed)).then(|| mark_of(flow, done))
    }
}

fn resuming(rewrites: Option<u32>) -> World {
    let mut caps = able();
    caps.limits.rewrites = rewrites;
    World { resume: true, ..world_of(caps) }
}

fn start(fake: &Fake) -> (Arc<Engine>, Arc<Marks>) {
    let sink = Arc::<Marks>::default();
    (Engine::new(EngineConfig::default(), resuming(None), Box::new(fake.clone()), sink.clone()), sink)
}

/// Two changes that hardware can make, and a cut that it cannot.
fn cut(id: u64) -> Arc<DpFlow> {
    let flow = from(1).ipv4().field(FieldId::Ipv4Dst, id as u32).set(FieldId::EthSrc, 7u64).set(FieldId::EthDst, 8u64);
    flow.then(DpAction::Truncate(64)).output(2).build(id)
}

fn rules(fake: &Fake) -> Vec<Arc<HwRule>> {
    fake.with(|state| state.rules.values().map(|(rule, _)| Arc::clone(rule)).collect())
}

/// How many changes each rule makes, and its mark.
fn done(fake: &Fake) -> Vec<(usize, Mark)> {
    let of = |rule: Arc<HwRule>| {
        assert_eq!((rule.role, rule.count), (RuleRole::Main, false));
        assert!(matches!(rule.table, Table::Transfer { .. }), "behind it a mark could be written over");
        let mark = rule.actions.iter().find_map(|action| match action {
            HwAction::Mark(mark) => Some(*mark),
            _ => None,
        });
        (rule.actions.iter().filter(|action| action.is_rewrite()).count(), mark.unwrap())
    };
    rules(fake).into_iter().map(of).collect()
}

#[test]
fn hardware_marks_what_it_changes_with_a_mark_of_its_own() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake);
    let (flow, whole) =
        (cut(1), from(1).ipv4().field(FieldId::Ipv4Dst, 9u32).then(DpAction::Truncate(64)).output(2).build(2));
    engine.flow_added(&flow);
    engine.flow_added(&whole);
    assert!(engine.settle(Time(0), 10));
    assert_eq!(done(&fake), [(2, mark_of(&flow, 2)), (0, whole.mark)]);
    let status = engine.explain(flow.id).unwrap();
    assert_eq!(
        (status.placement, &status.refusals[..]),
        (Placement::Partial, &[Refusal::Action(DpActionKind::Truncate)][..])
    );
    // Planned again, it is the same.
    engine.set_world(resuming(None));
    assert!(engine.settle(Time(0), 10));
    assert_eq!(fake.with(|state| (state.submitted, state.updates)), (2, 0));
}

#[test]
fn without_a_mark_for_the_rest_packets_come_as_they_are() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, marks) = start(&fake);
    marks.none.store(true, Ordering::Relaxed);
    let flow = cut(1);
    engine.flow_added(&flow);
    assert!(engine.settle(Time(0), 10));
    assert_eq!(done(&fake), [(0, flow.mark)]);
    assert!(engine.explain(flow.id).unwrap().refusals.contains(&Refusal::NoResume { done: 2 }));
}

#[test]
fn a_device_that_changes_nothing_marks() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake);
    fake.with(|state| state.refuses_rewrites = true);
    for id in 1..=2 {
        let flow = cut(id);
        engine.flow_added(&flow);
        assert!(engine.settle(Time(0), 20));
        assert_eq!(done(&fake).last(), Some(&(0, flow.mark)));
        let status = engine.explain(flow.id).unwrap();
        assert_eq!(status.placement, Placement::Partial);
        assert!(status.refusals.iter().any(|refusal| matches!(refusal, Refusal::Device(_))), "{:?}", status.refusals);
        // The shape that was refused is not tried again.
        assert_eq!(fake.with(|state| state.submitted as u64), id + 1);
    }
    // What was learned is forgotten with the world.
    fake.with(|state| state.refuses_rewrites = false);
    engine.set_world(resuming(None));
    assert!(engine.settle(Time(0), 20));
    assert_eq!(done(&fake), [(2, mark_of(&cut(1), 2)), (2, mark_of(&cut(2), 2))]);
}

/// What hardware does first changes: another mark, and no moment without a rule.
#[test]
fn a_rule_that_does_more_is_put_in_place_of_one_that_does_less() {
    let fake = Fake::new(1, 100, Chaos::default());
    let (engine, _) = start(&fake);
    let flow = cut(1);
    engine.set_world(resuming(Some(1)));
    engine.flow_added(&flow);
    assert!(engine.settle(Time(0), 10));
    assert_eq!(done(&fake), [(1, mark_of(&flow, 1))]);
    engine.set_world(resuming(None));
    assert!(engine.settle(Time(0), 10));
    assert_eq!(done(&fake), [(2, mark_of(&flow, 2))]);
    assert_eq!(fake.with(|state| (state.submitted, state.updates, state.violations.len())), (2, 1, 0));
}
