//! The tables of the Open vSwitch manual, chapter "PMD Threads", and what they leave open.

use super::*;
use flow::DpPort;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Queues of port 0: number and percent.
fn queues(use_: &[(u16, u64)]) -> Vec<RxqUse> {
    let queue = |&(queue, cycles)| RxqUse { port: DpPort(0), queue, numa: 0, cycles, pinned: None };
    use_.iter().map(queue).collect()
}

/// PMDs on cores 3, 7 and 8, which are numbers 0, 1 and 2.
fn cores() -> Vec<PmdPlace> {
    [3, 7, 8].iter().enumerate().map(|(i, cpu)| PmdPlace { pmd: i as u32, cpu: Some(*cpu), numa: 0 }).collect()
}

fn policy(assign: Assign) -> Policy {
    Policy { assign, isolate: true }
}

/// `core: queues` as the manual prints it.
fn shown(plan: &Plan) -> BTreeMap<usize, Vec<String>> {
    let mut by_core: BTreeMap<usize, Vec<String>> = [(3, vec![]), (7, vec![]), (8, vec![])].into();
    for p in &plan.placements {
        let Some(pmd) = p.pmd else { continue };
        by_core.entry([3, 7, 8][pmd as usize]).or_default().push(format!("P{}Q{}", p.port.0, p.queue));
    }
    by_core
}

fn table(rows: [(usize, &[&str]); 3]) -> BTreeMap<usize, Vec<String>> {
    rows.into_iter().map(|(core, queues)| (core, queues.iter().map(|q| (*q).to_owned()).collect())).collect()
}

#[test]
fn cycles_as_in_the_manual() {
    let plan = plan(&queues(&[(0, 30), (1, 80), (3, 60), (4, 70), (5, 10)]), &cores(), policy(Assign::Cycles));
    assert_eq!(shown(&plan), table([(3, &["P0Q1"]), (7, &["P0Q4", "P0Q5"]), (8, &["P0Q0", "P0Q3"])]));
    assert_eq!(plan.load.into_values().collect::<Vec<_>>(), [80, 80, 90]);
}

#[test]
fn group_as_in_the_manual() {
    let plan = plan(&queues(&[(0, 10), (1, 80), (3, 50), (4, 70), (5, 10)]), &cores(), policy(Assign::Group));
    assert_eq!(shown(&plan), table([(3, &["P0Q1"]), (7, &["P0Q4"]), (8, &["P0Q0", "P0Q3", "P0Q5"])]));
    assert_eq!(plan.load.into_values().collect::<Vec<_>>(), [80, 70, 70]);
}

#[test]
fn roundrobin_as_in_the_manual() {
    let queue = |(port, queue)| RxqUse { port: DpPort(port), queue, numa: 0, cycles: u64::from(queue), pinned: None };
    let queues: Vec<_> = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)].map(queue).into();
    let plan = plan(&queues, &cores(), policy(Assign::RoundRobin));
    assert_eq!(shown(&plan), table([(3, &["P0Q0", "P1Q1"]), (7, &["P0Q1", "P1Q2"]), (8, &["P1Q0"])]));
}

/// Queues 0 to 3 pinned as `0:3,1:7,3:8`.
fn pinned(pins: &str) -> Vec<RxqUse> {
    let pins: Affinity = pins.parse().unwrap();
    let mut queues = queues(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    queues.iter_mut().for_each(|q| q.pinned = pins.of(q.queue));
    queues
}

#[test]
fn pinned_by_hand_as_in_the_manual() {
    let four: Vec<_> = cores().into_iter().chain([PmdPlace { pmd: 3, cpu: Some(9), numa: 0 }]).collect();
    for assign in Assign::ALL {
        let plan = plan(&pinned("0:3,1:7,3:8"), &four, policy(assign));
        let to: Vec<_> = plan.placements.iter().map(|p| (p.queue, p.pmd, p.pinned)).collect();
        assert_eq!(to, [(0, Some(0), true), (1, Some(1), true), (2, Some(3), false), (3, Some(2), true)]);
        assert_eq!(plan.isolated.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn without_a_pmd_that_is_not_isolated_other_queues_are_not_polled() {
    let plan = plan(&pinned("0:3,1:7,3:8"), &cores(), Policy::default());
    assert_eq!(plan.pmd_of(DpPort(0), 2), None);
    assert_eq!(plan.pmd_of(DpPort(0), 3), Some(2));
}

#[test]
fn isolation_can_be_turned_off_with_group_only() {
    for (assign, isolated) in [(Assign::Group, 0), (Assign::Cycles, 3), (Assign::RoundRobin, 3)] {
        let plan = plan(&pinned("0:3,1:7,3:8"), &cores(), Policy { assign, isolate: false });
        assert_eq!((plan.isolated.len(), plan.pmd_of(DpPort(0), 2).is_some()), (isolated, isolated == 0));
    }
}

#[test]
fn the_load_of_pinned_queues_counts_where_they_isolate_nobody() {
    let mut queues = queues(&[(0, 90), (1, 10), (2, 20)]);
    queues[0].pinned = Some(3);
    let plan = plan(&queues, &cores()[..2], Policy { assign: Assign::Group, isolate: false });
    assert_eq!([0, 1, 2].map(|q| plan.pmd_of(DpPort(0), q)), [Some(0), Some(1), Some(1)]);
}

#[test]
fn a_queue_pinned_to_a_missing_core_goes_to_one_that_stays_shared() {
    let plan = plan(&pinned("0:3,1:99"), &cores(), Policy::default());
    let lost = plan.placements[1];
    assert!(lost.pin_failed && !lost.pinned);
    assert!(matches!(lost.pmd, Some(1 | 2)), "{lost:?}");
    assert_eq!(plan.isolated.into_iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn queues_without_load_spread_by_group_too() {
    let plan = plan(&queues(&[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]), &cores(), policy(Assign::Group));
    assert!(shown(&plan).values().all(|queues| queues.len() == 2), "{plan:?}");
}

#[test]
fn queues_stay_on_their_node_and_foreign_ones_take_nodes_in_turn() {
    let pmds: Vec<_> = (0..4u32).map(|pmd| PmdPlace { pmd, cpu: Some(pmd as usize), numa: pmd / 2 }).collect();
    let queue = |queue: u16, numa| RxqUse { port: DpPort(0), queue, numa, cycles: 0, pinned: None };
    let local = plan(&[queue(0, 0), queue(1, 1), queue(2, 1), queue(3, 0)], &pmds, policy(Assign::RoundRobin));
    assert_eq!([0, 1, 2, 3].map(|q| local.pmd_of(DpPort(0), q)), [Some(0), Some(2), Some(3), Some(1)]);
    assert!(local.placements.iter().all(|p| !p.crosses_numa));
    let foreign = plan(&[queue(0, 7), queue(1, 7), queue(2, 7)], &pmds, policy(Assign::RoundRobin));
    assert_eq!([0, 1, 2].map(|q| foreign.pmd_of(DpPort(0), q)), [Some(0), Some(2), Some(1)]);
    assert!(foreign.placements.iter().all(|p| p.crosses_numa));
}

#[test]
fn a_node_whose_pmds_are_all_isolated_sends_its_queues_elsewhere() {
    let pmds = [PmdPlace { pmd: 0, cpu: Some(0), numa: 0 }, PmdPlace { pmd: 1, cpu: Some(1), numa: 1 }];
    let queue = |queue, pinned| RxqUse { port: DpPort(0), queue, numa: 0, cycles: 0, pinned };
    let plan = plan(&[queue(0, Some(0)), queue(1, None)], &pmds, Policy::default());
    assert_eq!((plan.pmd_of(DpPort(0), 1), plan.placements[1].crosses_numa), (Some(1), true));
}

#[test]
fn without_pmds_nothing_is_polled() {
    let plan = plan(&queues(&[(0, 1), (1, 2)]), &[], Policy::default());
    assert!(plan.placements.iter().all(|p| p.pmd.is_none()) && plan.placements.len() == 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every queue is there once; pins are heeded; isolated PMDs have pinned queues only; loads add up; the
    /// same input gives the same plan.
    #[test]
    fn a_plan_is_whole(
        queues in proptest::collection::btree_map((0u32..4, 0u16..4), (0u64..100, 0u32..2, proptest::option::of(0usize..6)), 0..14),
        pmds in proptest::collection::btree_map(0usize..6, 0u32..2, 0..6),
        assign in proptest::sample::select(Assign::ALL.to_vec()),
        isolate: bool,
    ) {
        let queues: Vec<_> = queues.into_iter().map(|((port, queue), (cycles, numa, pinned))| RxqUse {
            port: DpPort(port), queue, numa, cycles, pinned,
        }).collect();
        let pmds: Vec<_> =
            pmds.into_iter().enumerate().map(|(i, (cpu, numa))| PmdPlace { pmd: i as u32, cpu: Some(cpu), numa }).collect();
        let policy = Policy { assign, isolate };
        let made = plan(&queues, &pmds, policy);
        prop_assert_eq!(made.placements.len(), queues.len());
        let mut load: BTreeMap<u32, u64> = pmds.iter().map(|p| (p.pmd, 0)).collect();
        for (queue, to) in queues.iter().zip(&made.placements) {
            prop_assert_eq!((queue.port, queue.queue), (to.port, to.queue));
            let pin = queue.pinned.and_then(|cpu| pmds.iter().find(|p| p.cpu == Some(cpu)));
            prop_assert_eq!(to.pinned, pin.is_some());
            prop_assert_eq!(to.pin_failed, queue.pinned.is_some() && pin.is_none());
            if let Some(pin) = pin {
                prop_assert_eq!(to.pmd, Some(pin.pmd));
            } else if let Some(pmd) = to.pmd {
                prop_assert!(!made.isolated.contains(&pmd));
                let free_at_home = pmds.iter().any(|p| p.numa == queue.numa && !made.isolated.contains(&p.pmd));
                prop_assert_eq!(to.crosses_numa, !free_at_home);
            } else {
                prop_assert!(pmds.iter().all(|p| made.isolated.contains(&p.pmd)));
            }
            if let Some(pmd) = to.pmd {
                *load.entry(pmd).or_default() += queue.cycles;
            }
        }
        prop_assert_eq!(&load, &made.load);
        prop_assert_eq!(plan(&queues, &pmds, policy), made);
    }
}
