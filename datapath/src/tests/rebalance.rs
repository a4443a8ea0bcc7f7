//! Dry runs, automatic load balancing on real PMDs, what tables hold, and misses by cause.

use super::*;
use crate::{Assign, AutoLoadBalance, Dropped, PmdSpot, Policy, PortError, Verdict};

fn spot(cpu: usize) -> PmdSpot {
    PmdSpot { cpu: Some(cpu), numa: 0 }
}

/// Four ports whose queues are all on PMD 0 and busy, and a second PMD that has nothing.
fn crowded() -> (Rig, Pmd) {
    let mut rig = Rig::new(4, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(4)]));
    for step in 0..4u64 {
        rig.clock.advance_to(Time(step * 5_000_000_000));
        for port in 1..=4 {
            rig.inject(port, &frame(1, 2, 3, 0));
        }
        rig.poll();
    }
    // What few packets take is chance: as if each queue had taken an eighth of the time.
    const EIGHTH: u64 = 1 << 40;
    for rxq in rig.dp.shared.rxqs.read().iter() {
        rxq.usage.add(EIGHTH);
        rxq.usage.roll();
    }
    let cycles = &rig.pmd.shared_part().cycles;
    cycles.count_busy(4 * EIGHTH);
    cycles.count_idle(4 * EIGHTH);
    cycles.roll();
    let second = rig.dp.add_pmd_at(spot(7)).unwrap();
    (rig, second)
}

fn pmds(rig: &Rig) -> Vec<Option<u32>> {
    rig.dp.rxqs().iter().map(|q| q.pmd).collect()
}

#[test]
fn a_dry_run_tells_what_assigning_does_and_does_nothing() {
    let (rig, _second) = crowded();
    let before = pmds(&rig);
    let estimate = rig.dp.estimate(None);
    assert_eq!(pmds(&rig), before);
    assert_eq!(estimate.moves.len(), 2, "{estimate:?}");
    assert!(estimate.moves.iter().all(|m| (m.from, m.to) == (Some(0), Some(1))), "{estimate:?}");
    assert_eq!(estimate.loads[&1].0, 0);
    assert_eq!(estimate.obstacle, None);
    assert!(estimate.after <= estimate.before);
    let turns = Policy { assign: Assign::RoundRobin, isolate: true };
    assert_eq!(rig.dp.estimate(Some(turns)).obstacle, Some(Dropped::RoundRobin));
    let told: Vec<_> = estimate.moves.iter().map(|m| m.port).collect();
    assert_eq!(rig.dp.assign(), 2);
    let moved: Vec<_> = rig.dp.rxqs().iter().filter(|q| q.pmd == Some(1)).map(|q| q.port).collect();
    assert_eq!(moved, told);
    assert!(rig.dp.estimate(None).moves.is_empty());
}

#[test]
fn six_looks_at_a_loaded_pmd_move_its_queues() {
    let (rig, _second) = crowded();
    let config = AutoLoadBalance { on: true, load: 0, improvement: 1, ..AutoLoadBalance::default() };
    assert_eq!(rig.dp.balance(AutoLoadBalance { on: false, ..config }), Verdict::Dropped(Dropped::Off));
    for _ in 0..5 {
        assert_eq!(rig.dp.balance(config), Verdict::Dropped(Dropped::NotLoaded));
    }
    match rig.dp.balance(config) {
        Verdict::Rebalance { before, after, .. } => {
            // Loads of 50 % and 0 %, then of 25 % each.
            assert!(before > 500 && after <= 1, "{before} {after}");
            assert_eq!(pmds(&rig).iter().filter(|p| **p == Some(1)).count(), 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_are_shown_by_port() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    let [(0, Some(tables))] = &rig.dp.tables()[..] else { panic!() };
    let [table] = &tables[..] else { panic!("{tables:?}") };
    assert_eq!((table.port, table.flows, table.masks), (Some(DpPort(1)), 1, 1));
    assert!(table.sole && !table.deep, "{table:?}");
}

#[test]
fn every_miss_has_a_cause() {
    let mut mask = Mask::ANY;
    mask.require(flow::FieldId::UdpDst);
    let rule = |actions| Rule { id: 1, mask, key: FlowKey::ZERO, actions };
    let mut rig = Rig::new(2, Config { flow_limit: 3, ..Config::default() });
    let other = Rule { id: 2, mask: Mask::ANY, key: FlowKey::ZERO, actions: vec![out(2)] };
    rig.slowpath.set_rules(vec![rule(vec![out(2)]), other]);
    for port in 1..=5 {
        rig.inject(1, &frame(1, 2, port, 0));
        rig.poll();
    }
    let c = rig.dp.counters();
    assert_eq!((c.miss, c.installed, c.refused_limit), (5, 3, 2), "{c:?}");
    assert_eq!((c.cache_filled, c.cache_replaced, c.untranslatable), (3, 0, 0), "{c:?}");
    rig.slowpath.set_rules(FakeSlowpath::all(vec![DpAction::Drop(DropReason::NoBridge)]));
    rig.run();
    rig.inject(1, &frame(1, 2, 9, 0));
    rig.poll();
    let c = rig.dp.counters();
    let causes =
        [c.installed, c.adopted, c.uncacheable, c.refused_limit, c.refused_marks, c.refused_masks, c.refused_stale];
    assert_eq!((causes.iter().sum::<u64>(), c.untranslatable), (c.miss, 1), "{c:?}");
}

#[test]
fn a_pmd_that_is_late_to_end_gets_no_queues_and_is_removed_later() {
    let (rig, second) = crowded();
    rig.dp.assign();
    // Whoever holds its worker keeps it from reading its mail; its queues cannot go.
    let held = second.hold();
    let error = rig.dp.remove_pmd(1).unwrap_err().to_string();
    assert!(error.starts_with("PMD 1 cannot be removed, since it or another PMD does not answer; "), "{error}");
    drop(held);
    rig.dp.remove_pmd(1).unwrap();
    assert_eq!(pmds(&rig), [Some(0); 4]);
    assert!(rig.dp.rxqs().iter().all(|q| !q.moving));
}

/// A PMD that is asked for its queues and late may be the one that is to keep them by the time it reads its mail.
#[test]
fn queues_that_their_pmd_is_yet_to_hand_on_come_back() {
    let mut rig = Rig::new(4, Config::default());
    let second = rig.dp.add_pmd_at(spot(7)).unwrap();
    let first = rig.pmd.clone();
    let held = first.hold();
    // The mails wait at the first PMD: its queues are to go to the second.
    assert!(matches!(rig.dp.remove_pmd(0), Err(PortError::PmdLate { pmd: 0 })));
    // They are to stay, by now.
    assert!(matches!(rig.dp.remove_pmd(second.id()), Err(PortError::PmdLate { pmd: 1 })));
    assert!(rig.dp.rxqs().iter().all(|q| q.moving));
    drop(held);
    rig.dp.remove_pmd(second.id()).unwrap();
    assert_eq!(pmds(&rig), [Some(0); 4]);
    assert!(rig.dp.rxqs().iter().all(|q| !q.moving));
    rig.inject(1, &frame(1, 2, 3, 0));
    assert_eq!(rig.poll(), 1);
}
