//! The pipeline against Open vSwitch 3.1 itself: Debian's ovs-vswitchd with its dummy datapath, started here, in a
//! private directory, by whoever runs the test. Without network or Debian the tests print `skipped: reason` and pass.
//!
//! - [`pairs`]: random rule sets and packets ([`generate`]). What `ofproto/trace` says is compared with our translation ([`judge`]): the
//!   rules hit, in order; what the datapath actions do to the packet ([`normalise`]), pass by pass where it is recirculated; the rules
//!   that it makes; the same for other packets that our megaflow covers; the number of bits that the masks require ([`bits`]).
//!   What fails is made small and printed with its seed.
//! - [`traffic`]: the benchmark's rules and frames. Frames go through Open vSwitch's ports and datapath, and the counters
//!   of every rule are compared.
//!
//! What differs on purpose is in `docs/guide/differences.md`, and counted here under the same headings.
//!
//! # More of it
//!
//! `SHUNT_OVS_SCENES=5000` rule sets instead of 160 (20 packets each, and two that the mask covers for each of these; about
//! 7 rule sets a second), `SHUNT_OVS_SEED=7` others, `SHUNT_OVS_FAILURES=20` stop later than at the third failure,
//! `SHUNT_OVS_KEEP=1` leave the daemon's directory with its logs under `/tmp`. `--nocapture` shows what was covered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod ask;
mod bits;
mod daemon;
mod generate;
mod judge;
mod normalise;
mod ours;
mod pairs;
mod scene;
mod theirs;
mod trace;
mod traffic;
mod unixctl;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn random_pairs_of_rules_and_packets() {
    let Some(ovs) = daemon::start_or_skip() else { return };
    let mut theirs = theirs::Theirs::new(ovs);
    let plan = pairs::Plan {
        seed: number("SHUNT_OVS_SEED", 1),
        scenes: number("SHUNT_OVS_SCENES", 160),
        packets: 20,
        max_failures: number("SHUNT_OVS_FAILURES", 3) as usize,
    };
    let tally = pairs::run(&mut theirs, &plan);
    tally.print();
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n\n"));
    tally.demand();
}
