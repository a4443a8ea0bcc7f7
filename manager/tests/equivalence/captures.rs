//! Real traffic on every profile, and with a device that misbehaves.

use crate::chaos;
use crate::rig::{PORTS, PROFILES, Rig, Run, plain_ports};
use crate::traffic::{Frame, demo_rules, folders, load};
use flow::rule::RuleSpec;
use flow::{Action, OfPort};
use mocks::nic::Faults;
use pipeline::testing::RuleGen;
use std::time::Instant;

fn run(profile: &str, offload: bool, rules: &[RuleSpec], frames: &[Frame]) -> Run {
    play(Rig::new(profile, Faults::none(), offload, &plain_ports(), rules), frames)
}

fn play(mut rig: Rig, frames: &[Frame]) -> Run {
    for frame in frames {
        rig.advance(frame.at);
        rig.inject(frame.end, &frame.data);
    }
    rig.finish()
}

/// What a device did that misbehaves, and its frames.
type Chaotic = (u64, api::Tally);

/// A run on a device that misbehaves, by seed; the same as one without offload.
fn in_chaos(seed: u64, dies: bool, rules: &[RuleSpec], frames: &[Frame], off: &Run, what: &str) -> Chaotic {
    let (backend, mischief) = chaos::wrap(seed, dies);
    let mut run = play(Rig::with_backend("connectx", Faults::none(), true, &plain_ports(), rules, backend), frames);
    // What the device did is told, as it should be; what packets met is the same all the same.
    run.troubles.retain(|trouble| !chaos::is_expected(trouble) && !trouble.starts_with("hardware handled"));
    if dies {
        // What it had counted since the last reading is lost with it.
        run.take_counts_of(off);
    }
    if let Some(fault) = run.fault(off) {
        panic!("{what}, chaos of seed {seed}{}: {fault}", if dies { " with deaths" } else { "" });
    }
    (mischief.total(), run.tally)
}

/// Compare each profile with a switch without offload, and chaos with or without deaths of the device; how many frames each of them
/// handled in hardware, in part, in software.
fn compare(
    rules: &[RuleSpec],
    frames: &[Frame],
    what: &str,
    seed: u64,
    deaths: &[bool],
) -> (Vec<(&'static str, api::Tally)>, Vec<Chaotic>) {
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
    let chaotic = deaths.iter().map(|dies| in_chaos(seed, *dies, rules, frames, &off, what)).collect();
    (PROFILES.into_iter().map(on).collect(), chaotic)
}

fn all_frames(rules: &[RuleSpec], what: &str) {
    for folder in folders() {
        let (start, frames) = (Instant::now(), load(&folder, usize::MAX));
        let (tallies, chaotic) = compare(rules, &frames, what, 1, &[false, true]);
        println!("{what}, {}: {} frames, {:?}", folder.display(), frames.len(), start.elapsed());
        for (profile, tally) in tallies {
            println!(
                "  {profile:<10} hardware {} partial {} software {}",
                tally.hardware, tally.partial, tally.software
            );
        }
        for (mischief, tally) in chaotic {
            println!("  chaos      hardware {} of {}, {mischief} operations in chaos", tally.hardware, tally.frames_in);
            assert!(mischief > 0 && tally.hardware > 0, "{what}");
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
        let mut chaos = (0, 0);
        for seed in 0..50 {
            let rules = RuleGen::new(seed).rules(20 + seed as usize, &PORTS);
            let (tallies, chaotic) = compare(&rules, &frames, &format!("rules of seed {seed}"), seed, &[seed % 2 == 1]);
            for (mischief, tally) in chaotic {
                (chaos.0, chaos.1) = (chaos.0 + mischief, chaos.1 + tally.hardware);
            }
            for (sum, (_, tally)) in sums.iter_mut().zip(tallies) {
                *sum = (sum.0, sum.1 + tally.hardware, sum.2 + tally.partial, sum.3 + tally.software);
            }
        }
        println!("50 random rule sets, {}: {} frames each, {:?}", folder.display(), frames.len(), start.elapsed());
        println!("  chaos      hardware {} in all, {} operations in chaos", chaos.1, chaos.0);
        assert!(chaos.0 > 100 && chaos.1 > 100);
        for (profile, hardware, partial, software) in sums {
            println!("  {profile:<10} hardware {hardware} partial {partial} software {software}");
        }
    }
}
