//! A soak: switches with hardware offload and two PMDs, under random traffic, captures and random changes, for as
//! long as one likes. No frame may be wrong, none lost, no counter off, no buffer gone.
//!
//! * `traffic`: frames, made to meet the rules or recorded, each with a serial number. `changes`: rules, groups, meters, ports,
//!   addresses, offload, queues. `reference`: what must come of a frame, by a linear reading of the rules.
//! * `life`: what both kinds of life have. `ledger`: what must have been counted. `rig`: the switch, as the daemon makes it. `tally`: what was done.
//! * `lockstep`: burst by burst on a virtual clock, where everything is exact. `threads`: with all threads running, where a frame
//!   that is under way during a change may do what it does before or after, and nothing else.
//!
//! Half of the switches have a device that misbehaves by seed (`chaos`, of the equivalence tests).
//!
//! `SHUNT_SOAK_SECONDS` (default 5) is the time that each of the two takes, side by side; `SHUNT_SOAK_SEED` (default: of the clock)
//! where to begin. `make test` soaks for 3 minutes, `make soak SOAK_SECONDS=1800` for longer. A failure prints how to run its
//! switch again.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
#[expect(dead_code, reason = "the equivalence tests use more of it")]
#[path = "../equivalence/chaos.rs"]
mod chaos;
mod ledger;
mod life;
mod lockstep;
#[expect(dead_code, reason = "the equivalence tests use more of it")]
#[path = "../equivalence/traffic.rs"]
mod recorded;
mod reference;
mod rig;
mod tally;
mod threads;
mod traffic;

use mocks::nic::{Fault, Faults};
use rig::Plan;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tally::Tally;

const PROFILES: [&str; 6] = ["connectx", "e810", "mark-only", "tiny", "none", "full"];

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Lives one switch until its end or until it is told that the time is over; says what is wrong with it.
type Live = fn(&Plan, &[recorded::Frame], &mut Tally, &dyn Fn() -> bool) -> Result<(), String>;

fn recorded_frames() -> Vec<recorded::Frame> {
    recorded::folders().iter().flat_map(|folder| recorded::load(folder, usize::MAX)).collect()
}

/// One switch after the other until the time is over, at least one.
fn soak(name: &str, live: Live) {
    let time = Duration::from_secs(number("SHUNT_SOAK_SECONDS").unwrap_or(5));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = number("SHUNT_SOAK_SEED").unwrap_or(now.as_secs() % 1_000_000_000);
    println!("{name}: seed {first}, {time:?}");
    let frames = recorded_frames();
    let (start, mut tally) = (Instant::now(), Tally::default());
    let ends = || start.elapsed() >= time;
    for seed in first.. {
        let profile = PROFILES[(seed % PROFILES.len() as u64) as usize];
        // Neither goes along with the profiles.
        let (chaos, miss_budget) = (seed / 6 % 2 == 1, seed / 12 % 3 == 0);
        let plan = Plan { seed, profile, faults: Faults::none(), miss_budget, chaos };
        if let Err(fault) = live(&plan, &frames, &mut tally, &ends) {
            println!("{name}: {tally}");
            let fault: String = fault.chars().take(8000).collect();
            let how = if chaos { " in chaos" } else { "" };
            panic!(
                "{name}, seed {seed}, {profile}{how}: {fault}\nagain: SHUNT_SOAK_SEED={seed} SHUNT_SOAK_SECONDS=60 \
                 cargo test -p manager --test soak {name} -- --nocapture"
            );
        }
        tally.lives += 1;
        if ends() {
            break;
        }
    }
    println!("{name}: {tally}, {:?}", start.elapsed());
    assert!(tally.frames < 10_000 || !tally.is_idle(), "{name}: too little happened");
}

#[test]
fn lockstep() {
    soak("lockstep", lockstep::live);
}

#[test]
fn threads() {
    soak("threads", threads::live);
}

/// A soak that finds nothing finds nothing because there is nothing.
#[test]
fn planted_bugs_are_caught() {
    let frames = recorded_frames();
    let plan = |seed, fault| Plan {
        seed,
        profile: "connectx",
        faults: Faults::none().with(fault),
        miss_budget: false,
        chaos: false,
    };
    for (live, name) in [(lockstep::live as Live, "lockstep"), (threads::live, "threads")] {
        for fault in [Fault::RewriteSkipped, Fault::CounterDoubled, Fault::RuleAliveAfterRemoval, Fault::StaleMark] {
            let start = Instant::now();
            let ends = || start.elapsed() > Duration::from_secs(20);
            let caught = (1..100).take_while(|_| !ends()).find_map(|seed| {
                let fault = live(&plan(seed, fault), &frames, &mut Tally::default(), &ends).err()?;
                Some((seed, fault))
            });
            let (seed, how) = caught.unwrap_or_else(|| panic!("{name} does not see {fault}"));
            println!("{name} sees {fault} with seed {seed}, {:?}: {}", start.elapsed(), how.lines().next().unwrap());
        }
    }
}
