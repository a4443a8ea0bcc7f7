//! Each bug that can be planted in the NIC is caught by the random cases, and by nothing but the bug.

use crate::case::Case;
use mocks::nic::{Fault, Faults};
use std::time::Instant;

/// Cases that are tried for each bug.
const CASES: u64 = 60;

/// A profile on which the bug can do harm.
fn profile(fault: Fault) -> &'static str {
    match fault {
        // With connectx few packets are marked; here nearly all are.
        Fault::StaleMark => "mark-only",
        _ => "connectx",
    }
}

#[test]
fn each_planted_bug_is_caught() {
    let start = Instant::now();
    let mut missed = Vec::new();
    let cases: Vec<Case> = (0..CASES).map(Case::new).collect();
    let off: Vec<_> = cases.iter().map(|case| case.run("none", Faults::none(), false)).collect();
    for fault in Fault::ALL {
        let profile = profile(*fault);
        let mut caught = Vec::new();
        for (case, off) in cases.iter().zip(&off) {
            let right = case.run(profile, Faults::none(), true);
            assert_eq!(right.fault(off), None, "seed {} without {fault}", case.seed);
            if let Some(how) = case.run(profile, Faults::none().with(*fault), true).fault(off) {
                caught.push((case.seed, how));
            }
        }
        match caught.first() {
            Some((seed, how)) => {
                let how: String = how.chars().take(150).collect();
                println!("{fault}: in {} of {CASES} cases; seed {seed}: {how}", caught.len());
            }
            None => missed.push(fault.name()),
        }
    }
    println!("{} bugs, {:?}", Fault::ALL.len(), start.elapsed());
    assert!(Fault::ALL.len() >= 10);
    assert_eq!(missed, [""; 0], "not caught in {CASES} cases");
}
