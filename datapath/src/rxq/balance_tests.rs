//! Automatic load balancing: thresholds, prerequisites, intervals.

use super::*;
use flow::DpPort;
use std::collections::BTreeMap;
use std::time::Duration;

const ON: AutoLoadBalance = AutoLoadBalance { on: true, load: 95, improvement: 25, interval: Duration::from_secs(60) };

fn queue(queue: u16, cycles: u64) -> RxqUse {
    RxqUse { port: DpPort(1), queue, numa: 0, cycles, pinned: None }
}

fn pmds(n: u32) -> Vec<PmdPlace> {
    (0..n).map(|pmd| PmdPlace { pmd, cpu: Some(pmd as usize), numa: 0 }).collect()
}

/// All queues on the first PMD.
fn crowded(queues: &[RxqUse], pmds: &[PmdPlace]) -> Plan {
    let mut made = plan(queues, pmds, Policy::default());
    made.placements.iter_mut().for_each(|p| p.pmd = Some(0));
    made.load = pmds.iter().map(|p| (p.pmd, 0)).collect();
    made.load.insert(0, queues.iter().map(|q| q.cycles).sum());
    made
}

fn loads(loads: &[u64]) -> BTreeMap<u32, u64> {
    loads.iter().enumerate().map(|(pmd, load)| (pmd as u32, *load)).collect()
}

/// Look so many times at two PMDs, the first of which has both queues.
fn look(balance: &mut AutoBalance, config: AutoLoadBalance, load: u64, times: usize) -> Verdict {
    let (queues, pmds) = ([queue(0, 50), queue(1, 46)], pmds(2));
    let now = crowded(&queues, &pmds);
    let look = |_| balance.look(config, Policy::default(), &loads(&[load, 0]), &now, &queues, &pmds, 100);
    (0..times).map(look).last().unwrap()
}

#[test]
fn a_minute_above_the_threshold_rebalances() {
    let mut balance = AutoBalance::default();
    assert_eq!(look(&mut balance, ON, 96, 5), Verdict::Dropped(Dropped::NotLoaded));
    let Verdict::Rebalance { before, after, plan } = look(&mut balance, ON, 96, 1) else { panic!() };
    // 96 and 0 percent; 50 and 46 percent.
    assert_eq!((before, after), (48 * 48, 4));
    assert_eq!(plan.placements.iter().map(|p| p.pmd).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn one_look_below_begins_anew() {
    let mut balance = AutoBalance::default();
    look(&mut balance, ON, 96, 5);
    look(&mut balance, ON, 94, 1);
    assert_eq!(look(&mut balance, ON, 99, 5), Verdict::Dropped(Dropped::NotLoaded));
    assert!(matches!(look(&mut balance, ON, 95, 1), Verdict::Rebalance { .. }));
}

#[test]
fn an_improvement_rebalances_and_none_changes_nothing() {
    let (queues, pmds) = ([queue(0, 50), queue(1, 10), queue(2, 41)], pmds(2));
    let mut now = crowded(&queues, &pmds);
    now.placements[2].pmd = Some(1);
    now.load = loads(&[60, 40]);
    let mut balance = AutoBalance::default();
    let mut last = None;
    for _ in 0..6 {
        last = Some(balance.look(ON, Policy::default(), &loads(&[99, 41]), &now, &queues, &pmds, 100));
    }
    // By cycles: 50 | 41, 10.
    assert!(matches!(last, Some(Verdict::Rebalance { before: 100, after: 0, .. })), "{last:?}");
    // By cycles: 51 | 46, 3, which is what there is.
    now.load = loads(&[51, 49]);
    let queues = [queue(0, 51), queue(1, 3), queue(2, 46)];
    let mut balance = AutoBalance::default();
    for _ in 0..6 {
        last = Some(balance.look(ON, Policy::default(), &loads(&[99, 41]), &now, &queues, &pmds, 100));
    }
    assert_eq!(last, Some(Verdict::Stay { before: 1, after: 1 }));
}

#[test]
fn dry_runs_keep_their_distance() {
    let mut balance = AutoBalance::default();
    let rare = AutoLoadBalance { interval: Duration::from_secs(180), ..ON };
    assert!(matches!(look(&mut balance, rare, 99, 6), Verdict::Rebalance { .. }));
    assert_eq!(look(&mut balance, rare, 99, 17), Verdict::Dropped(Dropped::TooSoon));
    assert!(matches!(look(&mut balance, rare, 99, 1), Verdict::Rebalance { .. }));
}

#[test]
fn prerequisites_are_those_of_the_manual() {
    let verdict = |config, policy, now: &Plan, pmds: &[PmdPlace]| {
        let mut balance = AutoBalance::default();
        let queues = [queue(0, 50), queue(1, 46)];
        let all = loads(&[99, 0]);
        (0..6).map(|_| balance.look(config, policy, &all, now, &queues, pmds, 100)).last().unwrap()
    };
    let (two, queues) = (pmds(2), [queue(0, 50), queue(1, 46)]);
    let now = crowded(&queues, &two);
    let dropped = Verdict::Dropped;
    assert_eq!(verdict(AutoLoadBalance::default(), Policy::default(), &now, &two), dropped(Dropped::Off));
    let roundrobin = Policy { assign: Assign::RoundRobin, isolate: true };
    assert_eq!(verdict(ON, roundrobin, &now, &two), dropped(Dropped::RoundRobin));
    assert_eq!(verdict(ON, Policy::default(), &now, &two[..1]), dropped(Dropped::OnePmd));
    let isolated = Plan { isolated: [1].into(), ..now.clone() };
    assert_eq!(verdict(ON, Policy::default(), &isolated, &two), dropped(Dropped::OnePmd));
    let apart = plan(&queues, &two, Policy::default());
    assert_eq!(verdict(ON, Policy::default(), &apart, &two), dropped(Dropped::OneQueueEach));
    let nodes = [PmdPlace { numa: 0, ..two[0] }, PmdPlace { numa: 1, ..two[1] }];
    let mut foreign = now.clone();
    foreign.placements[0].crosses_numa = true;
    assert_eq!(verdict(ON, Policy::default(), &foreign, &nodes), dropped(Dropped::CrossNuma));
    assert!(matches!(verdict(ON, Policy::default(), &foreign, &two), Verdict::Rebalance { .. }), "one node");
    assert!(matches!(verdict(ON, Policy::default(), &now, &two), Verdict::Rebalance { .. }));
}

#[test]
fn an_isolated_pmd_calls_for_nothing() {
    let (queues, three) = ([queue(0, 50), queue(1, 46)], pmds(3));
    let now = Plan { isolated: [2].into(), ..crowded(&queues, &three) };
    let mut balance = AutoBalance::default();
    for _ in 0..10 {
        let verdict = balance.look(ON, Policy::default(), &loads(&[50, 0, 99]), &now, &queues, &three, 100);
        assert_eq!(verdict, Verdict::Dropped(Dropped::NotLoaded));
    }
}

#[test]
fn variance_is_that_of_the_population() {
    assert_eq!(variance(&[]), 0);
    assert_eq!(variance(&[7]), 0);
    assert_eq!(variance(&[100, 0]), 2500);
    assert_eq!(variance(&[2, 4, 4, 4, 5, 5, 7, 9]), 4);
}
