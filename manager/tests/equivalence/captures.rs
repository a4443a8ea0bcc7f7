//! Real traffic on every profile.

use crate::rig::{PORTS, PROFILES, Rig, Run, plain_ports};
use crate::traffic::{Frame, demo_rules, folders, load};
use flow::rule::RuleSpec;
use flow::{Action, OfPort};
use mocks::nic::Faults;
use pipeline::testing::RuleGen;
use std::time::Instant;

fn run(profile: &str, offload: bool, rules: &[RuleSpec], frames: &[Frame]) -> Run {
    let mut rig = Rig::new(profile, Faults::none(), offload, &plain_ports(), rules);
    for frame in frames {
        rig.advance(frame.at);
        rig.inject(frame.end, &frame.data);
    }
    rig.finish()
}

/// Compare each profile with a switch without offload; how many frames each of them handled in hardware, in part, in software.
fn compare(rules: &[RuleSpec], frames: &[Frame], what: &str) -> Vec<(&'static str, api::Tally)> {
    let off = run("none", false, rules, frames);
    assert_eq!(off.troubles, [""; 0], "{what} without offload");
    assert_eq!(off.tally.software, frames.len() as u64, "{what} without offload");
    let on = |profile| {
        let on = run(profile, true, rules, frames);
        if let Some(fault) = on.fault(&off) {
            panic!("{what}, {profile}: {fault}");
        }
        let most = if profile == "tiny" { 8 } else { usize::MAX };
        assert!(on.rules_peak <= most, "{what}, {profile}: {} rules", on.rules_peak);
        (profile, on.tally)
    };
    PROFILES.into_iter().map(on).collect()
}

fn all_frames(rules: &[RuleSpec], what: &str) {
    for folder in folders() {
        let (start, frames) = (Instant::now(), load(&folder, usize::MAX));
        let tallies = compare(rules, &frames, what);
        println!("{what}, {}: {} frames, {:?}", folder.display(), frames.len(), start.elapsed());
        for (profile, tally) in tallies {
            println!(
                "  {profile:<10} hardware {} partial {} software {}",
                tally.hardware, tally.partial, tally.software
            );
        }
    }
}

#[test]
fn the_demos_rules() {
    all_frames(&demo_rules(), "the demo's rules");
}

#[test]
fn normal_alone() {
    let normal = RuleSpec { priority: 0, actions: vec![Action::Output(OfPort::NORMAL)], ..RuleSpec::default() };
    all_frames(&[normal], "NORMAL alone");
}

#[test]
fn fifty_random_rule_sets() {
    for folder in folders() {
        let (start, frames) = (Instant::now(), load(&folder, usize::MAX));
        let mut sums = PROFILES.map(|profile| (profile, 0, 0, 0));
        for seed in 0..50 {
            let rules = RuleGen::new(seed).rules(20 + seed as usize, &PORTS);
            for (sum, (_, tally)) in sums.iter_mut().zip(compare(&rules, &frames, &format!("rules of seed {seed}"))) {
                *sum = (sum.0, sum.1 + tally.hardware, sum.2 + tally.partial, sum.3 + tally.software);
            }
        }
        println!("50 random rule sets, {}: {} frames each, {:?}", folder.display(), frames.len(), start.elapsed());
        for (profile, hardware, partial, software) in sums {
            println!("  {profile:<10} hardware {hardware} partial {partial} software {software}");
        }
    }
}
