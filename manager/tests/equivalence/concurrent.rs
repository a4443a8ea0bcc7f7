//! With all threads running, and offload turned off and on meanwhile: rules for which the order of packets means nothing send
//! and count what a linear reading says, as multisets; and byte for byte the frames that a switch without offload sends in lockstep.

use crate::case::{Case, Event};
use crate::rig::{Left, PORTS, PROFILES, Rig, Run, TIGHT, plain_ports};
use flow::clock::Time;
use flow::extract::{RxMeta, extract};
use mocks::nic::Faults;
use pipeline::testing::{Rng, dp};
use std::time::Instant;

/// Cases of each profile.
const CASES: u64 = 30;
/// Packets that are under way at most. Fewer than a burst: a queue whose burst was full is backlogged, and on a machine with much
/// else to do first packets of the others are dropped then (`miss_budget`).
const UNDER_WAY: usize = dpdk::BURST - 1;

/// What left an end, in whatever order.
fn frames(left: &Left) -> Vec<&[u8]> {
    let mut frames: Vec<_> = left.iter().map(|(_, frame)| &frame[..]).collect();
    frames.sort_unstable();
    frames
}

/// What left which end of a switch without offload.
fn in_lockstep(cases: &[Case]) -> Vec<Run> {
    let (mut rig, mut now) = (Rig::new("none", Faults::none(), false, &plain_ports(), &[]), Time(0));
    let play = |case: &Case| {
        let off = case.play(&mut rig, &mut now);
        assert_eq!(case.expected().fault(&off), None, "seed {} in lockstep", case.seed);
        off
    };
    cases.iter().map(play).collect()
}

fn play(rig: &mut Rig, case: &Case, off: &Run) {
    let (expected, mut rng) = (case.expected(), Rng::new(case.seed));
    rig.begin(&case.meters, &case.rules);
    let drops = rig.drops();
    for (n, event) in case.events.iter().enumerate() {
        let Event::Packet { end, packet } = event else { continue };
        rig.send(*end, &packet.frame);
        if rng.percent(3) {
            let on = rng.percent(60);
            rig.offload(on);
        }
        if n % UNDER_WAY == UNDER_WAY - 1 {
            rig.rest();
        }
    }
    rig.offload(true);
    rig.rest();
    let run = rig.end();
    assert_eq!(rig.inexact_counts(), 0, "{}, seed {}", rig.profile, case.seed);
    // Whether hardware kept a promise is a question of order.
    let troubles: Vec<_> = run.troubles.iter().filter(|t| !t.starts_with("hardware handled")).collect();
    assert!(troubles.is_empty(), "seed {}: {troubles:?}", case.seed);
    let mut got = Vec::new();
    for (port, left) in PORTS.iter().zip(&run.left) {
        for (_, frame) in left {
            let mut key = extract(frame, frame.len(), &RxMeta::from_port(dp(*port)));
            key.in_port = 0.into();
            got.push((dp(*port), key));
        }
    }
    let mut want: Vec<_> = expected.sent.iter().flatten().copied().collect();
    let order = |(port, key): &(flow::DpPort, flow::FlowKey)| (*port, *key.words());
    got.sort_by_key(order);
    want.sort_by_key(order);
    let which = format!("{}, seed {}; drops {drops:?}, then {:?}", rig.profile, case.seed, rig.drops());
    assert_eq!(got.len(), want.len(), "{which}");
    assert!(got == want, "{which}: other frames left than should");
    assert!(
        run.left.iter().map(frames).eq(off.left.iter().map(frames)),
        "{which}: frames with other bytes left than without offload"
    );
    let count = |cookie: u64| expected.rules.get(&cookie).copied().unwrap_or_default();
    for ((.., cookie), counted) in &run.rules {
        let want = count(*cookie);
        assert!(*counted == want, "{}, seed {}, rule {cookie:#x}: {counted:?}, not {want:?}", rig.profile, case.seed);
    }
}

#[test]
fn threads_send_and_count_the_same_in_some_order() {
    let cases: Vec<Case> = (0..CASES).map(Case::unordered).collect();
    let off = in_lockstep(&cases);
    for profile in PROFILES.into_iter().chain([TIGHT]) {
        let (start, mut rig) = (Instant::now(), Rig::with_threads(profile));
        for (case, off) in cases.iter().zip(&off) {
            play(&mut rig, case, off);
        }
        let tally = rig.tally();
        println!("{profile:<10} {tally:?}, {:?}", start.elapsed());
        if profile == "connectx" {
            assert!(tally.hardware * 5 > tally.frames_in, "{tally:?}");
        }
    }
}
