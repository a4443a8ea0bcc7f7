//! Many short cases on every profile, on switches that live through all of them: with offload and without, the same; and with a
//! device that misbehaves.
//!
//! 5,000 cases a profile, or as `EQUIVALENCE_CASES=N` says, from seed `EQUIVALENCE_FIRST` on. By night:
//! `EQUIVALENCE_CASES=100000 cargo test -p manager --test equivalence many -- --nocapture`.

use crate::case::Case;
use crate::chaos;
use crate::rig::{MARKING, PROFILES, Rig, Run, plain_ports};
use flow::clock::Time;
use mocks::nic::Faults;
use offload::Placement;
use std::ops::AddAssign;
use std::time::Instant;

/// Cases of a switch before it is replaced by a new one.
const LIFE: usize = 500;
/// Threads that play cases.
const THREADS: u64 = 2;

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// What packets and flows of all cases came to.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    packets: usize,
    hit: usize,
    forwarded: usize,
    /// Of connectx.
    flows: usize,
    full: usize,
    hardware: u64,
    metered: u64,
    /// Packets that hit learned rules, those of them that hardware alone switched (of the flows that were there at last), rules that
    /// went by themselves or with others, and cases whose rules learn.
    learned: usize,
    learned_hits: u64,
    gone: usize,
    learning: usize,
    /// Of the profile whose embedded switch marks: flows, those that hardware begins and software ends, packets of these.
    marking: usize,
    split: usize,
    resumed: u64,
    /// Operations of which the chaotic device made something else.
    mischief: u64,
    /// Packets that it switched all the same.
    chaotic: u64,
}

impl AddAssign for Shares {
    fn add_assign(&mut self, other: Shares) {
        self.packets += other.packets;
        self.hit += other.hit;
        self.forwarded += other.forwarded;
        self.flows += other.flows;
        self.full += other.full;
        self.hardware += other.hardware;
        self.metered += other.metered;
        self.learned += other.learned;
        self.learned_hits += other.learned_hits;
        self.gone += other.gone;
        self.learning += other.learning;
        self.marking += other.marking;
        self.split += other.split;
        self.resumed += other.resumed;
        self.mischief += other.mischief;
        self.chaotic += other.chaotic;
    }
}

/// One case after the other on one switch: what came of each. DPDK has ports for few switches at a time.
fn play_all(cases: &[Case], mut rig: Rig) -> impl Iterator<Item = Run> + '_ {
    let mut now = Time(0);
    cases.iter().map(move |case| case.play(&mut rig, &mut now))
}

/// The cases of these seeds on every profile.
fn run(seeds: &[u64], chaos: bool) -> Shares {
    let mut shares = Shares::default();
    let rig = |profile, offload| Rig::new(profile, Faults::none(), offload, &plain_ports(), &[]);
    for life in seeds.chunks(LIFE) {
        let cases: Vec<Case> = life.iter().map(|seed| Case::short(*seed)).collect();
        let off: Vec<Run> = play_all(&cases, rig("none", false)).collect();
        for (case, off) in cases.iter().zip(&off) {
            assert_eq!(off.troubles, [""; 0], "seed {} without offload", case.seed);
            let expected = case.expected();
            if let Some(fault) = expected.fault(off) {
                panic!("seed {} without offload: {fault}", case.seed);
            }
            shares.packets += expected.sent.len();
            shares.hit += expected.hit;
            shares.forwarded += expected.forwarded;
            shares.learned += expected.learned_hits;
            shares.gone += expected.gone.len();
            shares.learning += usize::from(case.learns);
        }
        let same = |what: &str, case: &Case, run: &Run, off: &Run| {
            if let Some(fault) = run.fault(off) {
                panic!("seed {} (of those from {} on), {what}: {fault}", case.seed, life[0]);
            }
        };
        for profile in PROFILES {
            for ((case, off), run) in cases.iter().zip(&off).zip(play_all(&cases, rig(profile, true))) {
                same(profile, case, &run, off);
                if profile == "connectx" {
                    shares.flows += run.placements.len();
                    shares.full += run.placements.values().filter(|p| **p == Placement::Full).count();
                    shares.hardware += run.tally.hardware;
                    shares.metered += run.metered;
                    shares.learned_hits += run.learned_hits;
                }
                if profile == MARKING {
                    shares.marking += run.placements.len();
                    shares.split += run.split.len();
                    shares.resumed += run.resumed;
                }
            }
        }
        if !chaos {
            continue;
        }
        for dies in [false, true] {
            let (backend, mischief) = chaos::wrap(life[0], dies);
            let chaotic = Rig::with_backend(MARKING, Faults::none(), true, &plain_ports(), &[], backend);
            for ((case, off), mut run) in cases.iter().zip(&off).zip(play_all(&cases, chaotic)) {
                // What the device did is told, as it should be; what packets met is the same all the same.
                run.troubles.retain(|trouble| !chaos::is_expected(trouble));
                shares.chaotic += run.tally.hardware;
                if dies && case.learns {
                    // What the lost counts would have taught is lost with them.
                    assert_eq!(
                        run.troubles, [""; 0],
                        "seed {} (of those from {} on), chaos with deaths",
                        case.seed, life[0]
                    );
                    continue;
                }
                if dies {
                    // What it had counted since the last reading is lost with it.
                    run.take_counts_of(off);
                }
                same(if dies { "chaos with deaths" } else { "chaos" }, case, &run, off);
            }
            shares.mischief += mischief.total();
        }
    }
    shares
}

/// All cases, shared among threads.
fn play(chaos: bool) -> (u64, Shares) {
    let start = Instant::now();
    let (first, cases) = (number("EQUIVALENCE_FIRST", 1_000_000), number("EQUIVALENCE_CASES", 5000));
    let mut all = Shares::default();
    std::thread::scope(|scope| {
        let part = |thread: u64| {
            let seeds: Vec<u64> = (first..first + cases).skip(thread as usize).step_by(THREADS as usize).collect();
            scope.spawn(move || run(&seeds, chaos))
        };
        let parts: Vec<_> = (0..THREADS).map(part).collect();
        for part in parts {
            all += part.join().unwrap_or_else(|e| std::panic::resume_unwind(e));
        }
    });
    println!("{cases} cases a profile from seed {first} on, {} packets each way, {:?}", all.packets, start.elapsed());
    (cases, all)
}

#[test]
fn many_cases_are_the_same_on_every_profile() {
    let (_, all) = play(false);
    let percent = |n: usize, of: usize| n as f64 * 100.0 / of.max(1) as f64;
    println!("{:.1} % of packets hit a rule that is not the default", percent(all.hit, all.packets));
    println!("{:.1} % of packets were forwarded", percent(all.forwarded, all.packets));
    println!("{:.1} % of {} flows were wholly in hardware (connectx)", percent(all.full, all.flows), all.flows);
    println!("{} packets were switched by hardware alone (connectx)", all.hardware);
    println!("{} packets met a meter there", all.metered);
    println!(
        "{} cases learn: {} packets hit learned rules, {} in hardware alone; {} learned rules went",
        all.learning, all.learned, all.learned_hits, all.gone
    );
    println!(
        "{:.1} % of {} flows were begun by hardware and ended by software, {} packets of them ({MARKING})",
        percent(all.split, all.marking),
        all.marking,
        all.resumed
    );
    assert!(percent(all.hit, all.packets) >= 60.0);
    assert!(percent(all.forwarded, all.packets) >= 40.0);
    assert!(percent(all.full, all.flows) >= 50.0);
    assert!(percent(all.split, all.marking) >= 5.0);
    assert!(all.resumed as usize * 100 >= all.packets * 3);
    assert!(all.hardware as usize * 100 >= all.packets * 30);
    assert!(all.metered as usize * 100 >= all.packets * 2);
    assert!(percent(all.learned, all.packets) >= 4.0 && percent(all.gone, all.packets) >= 3.0);
    assert!(all.learned_hits as usize * 100 >= all.learned * 15);
}

#[test]
fn many_cases_are_the_same_in_chaos() {
    let (cases, all) = play(true);
    println!("{} operations went wrong in the chaotic device, which switched {} packets", all.mischief, all.chaotic);
    assert!(all.mischief >= cases / 2);
    // Twice: without deaths, and with them.
    assert!(all.chaotic as usize * 100 >= all.packets * 2 * 15);
}
