//! Random cases on every profile: with offload and without, the same; and both as a linear reading says.

use crate::case::{Case, Event};
use crate::rig::{MARKING, PROFILES};
use mocks::nic::Faults;
use offload::Placement;
use pipeline::RemoveReason::{Delete, HardTimeout, IdleTimeout};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

/// Seeds of the cases: 600, or as `EQUIVALENCE_SEEDS=FIRST..END` says.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("EQUIVALENCE_SEEDS") else { return 0..600 };
    let (first, end) = text.split_once("..").expect("EQUIVALENCE_SEEDS=FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

/// Flows by where they were placed.
type Placed = BTreeMap<Placement, usize>;

#[test]
fn offload_changes_nothing_that_can_be_seen() {
    let start = Instant::now();
    let (mut packets, mut hit, mut forwarded) = (0, 0, 0);
    let mut handled: BTreeMap<&str, (api::Tally, Placed, (u64, u64))> = BTreeMap::new();
    let mut changes = 0;
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut split, mut resumed, mut metered) = (0, 0, 0);
    let (mut learning, mut made, mut learned, mut learned_hits, mut gone) = (0, 0, 0, 0, [0; 3]);
    for seed in seeds() {
        let case = Case::new(seed);
        let expected = case.expected();
        let off = case.run("none", Faults::none(), false);
        assert_eq!(off.troubles, [""; 0], "seed {seed} without offload");
        if let Some(fault) = expected.fault(&off) {
            panic!("seed {seed} without offload: {fault}");
        }
        for profile in PROFILES {
            let on = case.run(profile, Faults::none(), true);
            if let Some(fault) = on.fault(&off).or_else(|| expected.fault(&on)) {
                panic!("seed {seed}, {profile}: {fault}");
            }
            let (tally, placed, promised) = handled.entry(profile).or_default();
            tally.hardware += on.tally.hardware;
            tally.partial += on.tally.partial;
            tally.software += on.tally.software;
            *promised = (promised.0 + on.promised.0, promised.1 + on.promised.1);
            if profile == "connectx" {
                metered += on.metered;
                learned_hits += on.learned_hits;
                for (reason, n) in &on.engine.by_reason {
                    *reasons.entry(*reason).or_default() += n;
                }
            }
            if profile == MARKING {
                (split, resumed) = (split + on.split.len(), resumed + on.resumed);
            }
            for placement in on.placements.values() {
                *placed.entry(*placement).or_default() += 1;
            }
        }
        packets += expected.sent.len();
        hit += expected.hit;
        forwarded += expected.forwarded;
        (made, learned) = (made + expected.made, learned + expected.learned_hits);
        learning += usize::from(case.learns);
        for (n, reason) in gone.iter_mut().zip([IdleTimeout, HardTimeout, Delete]) {
            *n += expected.gone.iter().filter(|gone| gone.reason == reason).count();
        }
        changes += case.events.iter().filter(|event| !matches!(event, Event::Packet { .. })).count();
    }
    let percent = |n: usize, of: usize| n as f64 * 100.0 / of.max(1) as f64;
    println!("seeds {:?}, {packets} packets and {changes} changes each profile, {:?}", seeds(), start.elapsed());
    println!("{:.1} % of packets hit a rule that is not the default", percent(hit, packets));
    println!("{:.1} % of packets were forwarded", percent(forwarded, packets));
    for (profile, (tally, placed, promised)) in &handled {
        let flows: usize = placed.values().sum();
        let share = |placement| percent(placed.get(&placement).copied().unwrap_or_default(), flows);
        println!(
            "{profile:<10} {flows} flows: {:.1} % full, {:.1} % partial; packets: {} hardware, {} partial, {} software; \
             hardware kept {} of {} promises",
            share(Placement::Full),
            share(Placement::Partial),
            tally.hardware,
            tally.partial,
            tally.software,
            promised.0,
            promised.1,
        );
    }
    println!("why not wholly in hardware under connectx, of the flows at the end: {reasons:?}");
    println!("{split} flows were begun by hardware and ended by software, {resumed} packets of them ({MARKING})");
    println!("{metered} packets met a meter in hardware (connectx)");
    println!(
        "{learning} cases learn: {made} rules were made, {learned} packets hit one, {learned_hits} in hardware alone (connectx, of the \
         last flows); of those that went {} were idle, {} were too old, {} went with the rule that learned them",
        gone[0], gone[1], gone[2]
    );
    assert!(percent(hit, packets) >= 60.0);
    assert!(percent(forwarded, packets) >= 40.0);
    let (_, placed, promised) = &handled["connectx"];
    let full = placed.get(&Placement::Full).copied().unwrap_or_default();
    assert!(percent(full, placed.values().sum()) >= 50.0);
    assert_eq!(promised.0, promised.1);
    assert!(metered as usize * 100 >= packets * 2);
    let flows: usize = handled[MARKING].1.values().sum();
    assert!(percent(learned, packets) >= 4.0 && learned_hits as usize * 100 >= learned * 5);
    assert!(gone.iter().zip([20, 10, 0]).all(|(n, share)| *n > made * share / 100), "{gone:?}");
    assert!(percent(split, flows) >= 5.0 && resumed as usize * 100 >= packets * 3);
}
