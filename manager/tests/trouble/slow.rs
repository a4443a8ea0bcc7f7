//! A device that takes 10 ms for each rule, with all threads running.

use crate::rig::{ENDS, Nic, rules, udp, until};
use mocks::nic::Faults;
use offload::{Placement, Policy};
use std::ops::Range;
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(10);
const FLOWS: Range<u16> = 1..301;
/// What a question to the engine may take: a few rules, and what a busy machine adds.
const ANSWER: Duration = Duration::from_millis(400);

/// Frames of all flows come for so long; each leaves. The longest time that the engine took to answer.
fn run(nic: &Nic, time: Duration, engine: &offload::Engine) -> Duration {
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < time {
        FLOWS.for_each(|port| nic.inject(0, &udp(port)));
        let mut left = 0;
        until("each frame leaves", || {
            left += nic.collect().len();
            left >= FLOWS.len()
        });
        assert_eq!((left, nic.lost()), (FLOWS.len(), 0));
        let asked = Instant::now();
        let _ = engine.status();
        longest = longest.max(asked.elapsed());
    }
    longest
}

#[test]
fn a_device_that_takes_10_ms_for_each_rule() {
    for profile in ["connectx", "e810"] {
        let nic = Nic::with_thread(profile);
        nic.handle.set_faults(Faults { insert_delay: DELAY, ..Faults::none() });
        let life = nic.start(1, ENDS, &rules(FLOWS, 0, 1));
        let engine = life.switch.engine();
        let start = Instant::now();
        let longest = run(&nic, Duration::from_secs(1), engine);
        let (full, most) = (life.placed(Placement::Full), start.elapsed().as_millis() / DELAY.as_millis());
        println!(
            "{profile}: {full} flows in hardware after {:?}; the engine answered within {longest:?}",
            start.elapsed()
        );
        assert!(full > 10 && full as u128 <= most + 1, "{profile}: {full} flows, at most {most} rules");
        assert!(life.placed(Placement::Moving) > 0, "{profile}");
        assert!(longest < ANSWER, "{profile}: {longest:?}");

        // Turned off in the middle: what is on its way goes in and out again, and no more.
        engine.set_policy(Policy::Off);
        let longest = run(&nic, Duration::from_secs(1), engine);
        until("all is out", || nic.handle.rule_count() == 0 && engine.is_quiet());
        assert!(longest < ANSWER, "{profile}: {longest:?}");

        // The device recovers.
        engine.set_policy(Policy::All);
        run(&nic, Duration::from_millis(500), engine);
        nic.handle.set_faults(Faults::none());
        until("all are in", || life.placed(Placement::Full) == FLOWS.len());
        let software = nic.handle.stats().software;
        run(&nic, Duration::from_millis(200), engine);
        assert_eq!(nic.handle.stats().software, software, "{profile}");
        life.flush();
        assert_eq!(nic.handle.rule_count(), 0, "{profile}");
    }
}
