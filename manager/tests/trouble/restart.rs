//! A switch ends and another one begins; the NIC goes on.

use crate::rig::{ENDS, Life, Nic, rules, udp, until};
use mocks::nic::Faults;
use offload::Placement;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Those that do all of such flows.
const PROFILES: [&str; 3] = ["connectx", "e810", "full"];
const FOREIGN: u64 = 0xf0e;

/// A frame for each of these ports comes in; each leaves once where it should, by hardware alone or not.
fn pass(nic: &Nic, life: Option<&Life>, ports: Range<u16>, from: usize, to: usize, by_hardware: bool) {
    for port in ports {
        let (frame, before) = (udp(port), nic.handle.stats());
        assert_eq!(nic.pass(life, from, &frame), [(to, frame)], "port {port}");
        let after = nic.handle.stats();
        assert_eq!(after.hardware - before.hardware, u64::from(by_hardware), "port {port}");
    }
}

/// Rules of the first switch: those that stay, those that change, those that go, and those of a port that goes.
fn first_rules() -> String {
    rules(1..41, 0, 1) + &rules(100..105, 3, 0)
}

fn first(nic: &Nic) -> Life {
    let life = nic.start(1, ENDS, &first_rules());
    pass(nic, Some(&life), 1..41, 0, 1, false);
    pass(nic, Some(&life), 100..105, 3, 0, false);
    assert_eq!(life.placed(Placement::Full), 45);
    pass(nic, Some(&life), 1..41, 0, 1, true);
    assert!(life.counted().values().take(40).all(|packets| *packets == 2));
    life
}

#[test]
fn equal_rules_stay_others_give_way_and_what_is_left_goes() {
    for profile in PROFILES {
        let nic = Nic::new(profile);
        nic.foreign_rule(FOREIGN);
        let foreign = nic.held(FOREIGN);
        drop(first(&nic));
        let before = nic.ours();
        assert!(before.len() >= 45 && before.values().all(|run| *run == 1), "{profile}: {before:?}");

        // Nobody is there, and hardware goes on.
        pass(&nic, None, 1..41, 0, 1, true);
        assert_eq!(nic.ours(), before, "{profile}");

        let life = nic.start(2, ENDS - 1, &(rules(1..21, 0, 1) + &rules(21..31, 0, 2)));
        let status = life.switch.engine().status();
        assert_eq!((status.adopted, status.orphans), (20, 5), "{profile}");
        // Those that are for something else by now are gone at once. What no rule is for any more is dropped, in hardware too.
        let after = nic.ours();
        let stayed = after.keys().filter(|no| before.contains_key(no)).count();
        let new = after.values().filter(|run| **run == 2).count();
        assert!(stayed == 25 && new > 10, "{profile}: {stayed} stayed, {new} are new");
        pass(&nic, Some(&life), 1..21, 0, 1, true);
        pass(&nic, Some(&life), 21..31, 0, 2, true);
        assert!((31..41).all(|port| nic.pass(Some(&life), 0, &udp(port)).is_empty()), "{profile}");
        pass(&nic, Some(&life), 100..105, 3, 0, true);
        // Each since this switch began.
        assert_eq!(life.counted(), (1..31).map(|port| (port, 1)).collect(), "{profile}");

        // The time of grace is over.
        life.later(Duration::from_secs(3));
        assert_eq!((nic.ours().len(), life.switch.engine().status().orphans), (20 + new, 0), "{profile}");
        pass(&nic, Some(&life), 1..21, 0, 1, true);
        pass(&nic, Some(&life), 21..31, 0, 2, true);

        // Once more, with the same rules: nothing is touched.
        let before = nic.ours();
        drop(life);
        let life = nic.start(3, ENDS - 1, &(rules(1..21, 0, 1) + &rules(21..31, 0, 2)));
        life.later(Duration::from_secs(3));
        let kept = before.len() as u64;
        assert_eq!((nic.ours(), life.switch.engine().status().adopted), (before, kept), "{profile}");
        pass(&nic, Some(&life), 1..21, 0, 1, true);
        pass(&nic, Some(&life), 21..31, 0, 2, true);
        assert_eq!(life.counted(), (1..31).map(|port| (port, 1)).collect(), "{profile}");

        life.flush();
        assert_eq!((nic.ours().len(), nic.held(FOREIGN)), (0, foreign), "{profile}");
        pass(&nic, Some(&life), 1..21, 0, 1, false);
        assert_eq!(nic.lost(), 0);
    }
}

#[test]
fn rules_that_nobody_knows_any_more_go_and_those_of_others_stay() {
    for profile in PROFILES {
        let mut nic = Nic::new(profile);
        nic.foreign_rule(FOREIGN);
        let foreign = nic.held(FOREIGN);
        drop(first(&nic));
        nic.forget();
        let life = nic.start(2, ENDS, &first_rules());
        assert_eq!((nic.ours().len(), nic.held(FOREIGN)), (0, foreign), "{profile}");
        pass(&nic, Some(&life), 1..41, 0, 1, false);
        pass(&nic, Some(&life), 1..41, 0, 1, true);
        assert!(nic.ours().values().all(|run| *run == 2), "{profile}");
    }
}

#[test]
fn connections_of_a_group_keep_their_rules_and_buckets() {
    const LINES: &str = "group_id=1,type=select,bucket=output:2,bucket=output:3\nudp,actions=dec_ttl,group:1\n";
    let nic = Nic::new("connectx");
    let pass = |life: Option<&Life>, by_hardware: u64| -> Vec<Vec<(usize, Vec<u8>)>> {
        let before = nic.handle.stats().hardware;
        let left = (1..33).map(|port| nic.pass(life, 0, &udp(port))).collect();
        assert_eq!(nic.handle.stats().hardware - before, by_hardware);
        left
    };
    let life = nic.start(1, ENDS, LINES);
    let left = pass(Some(&life), 0);
    let ends: std::collections::BTreeSet<usize> = left.iter().flatten().map(|(end, _)| *end).collect();
    assert_eq!((life.placed(Placement::Full), ends), (32, [1, 2].into()));
    let before = nic.ours();
    drop(life);
    assert_eq!(pass(None, 32), left);
    let life = nic.start(2, ENDS, LINES);
    assert_eq!((life.switch.engine().status().adopted, nic.ours()), (32, before));
    assert_eq!(pass(Some(&life), 32), left);
    life.later(Duration::from_secs(3));
    assert_eq!(pass(Some(&life), 32), left);
}

#[test]
fn marks_of_an_earlier_run_go_at_once() {
    let nic = Nic::new("mark-only");
    let life = nic.start(1, ENDS, &rules(1..21, 0, 1));
    pass(&nic, Some(&life), 1..21, 0, 1, false);
    assert_eq!((life.placed(Placement::Partial), nic.ours().len()), (20, 20));
    drop(life);
    let life = nic.start(2, ENDS, "");
    assert_eq!(nic.ours().len(), 0);
    assert!((1..21).all(|port| nic.pass(Some(&life), 0, &udp(port)).is_empty()));
}

/// Wait until no more frames come to software; how many came.
fn at_rest(nic: &Nic) -> u64 {
    let mut software = 0;
    until("software has nothing to do", || {
        let before = std::mem::replace(&mut software, nic.handle.stats().software);
        std::thread::sleep(Duration::from_millis(100));
        software == before
    });
    software
}

#[test]
fn traffic_goes_on_while_switches_come_and_go() {
    const PORTS: Range<u16> = 1..65;
    for profile in PROFILES {
        let nic = Nic::with_thread(profile);
        let mut life = nic.start(1, ENDS, &rules(PORTS, 0, 1));
        let is_in = |life: &Life| until("all flows are in hardware", || life.placed(Placement::Full) == PORTS.len());
        PORTS.for_each(|port| nic.inject(0, &udp(port)));
        is_in(&life);
        let (done, mut sent, mut left) = (AtomicBool::new(false), PORTS.len(), 0);
        let life = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let (mut sent, mut left) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    PORTS.for_each(|port| nic.inject(0, &udp(port)));
                    sent += PORTS.len();
                    left += nic.collect().len();
                    std::thread::sleep(Duration::from_micros(500));
                }
                (sent, left)
            });
            for run in 2..8 {
                let software = at_rest(&nic);
                let drops = life.switch.counters().drops;
                assert!(drops.is_empty(), "{profile}, before run {run}: {drops:?}");
                drop(life);
                std::thread::sleep(Duration::from_millis(30));
                assert_eq!(nic.handle.stats().software, software, "{profile}: software was asked, and was not there");
                // Every other time the rules are others than before.
                let to = 1 + run as usize / 2 % 2;
                life = nic.start(run, ENDS, &rules(PORTS, 0, to));
                is_in(&life);
                let adopted = life.switch.engine().status().adopted;
                assert_eq!(adopted, if run % 2 == 1 { PORTS.len() as u64 } else { 0 }, "{profile}, run {run}");
            }
            done.store(true, Ordering::Relaxed);
            let of_sender = sender.join().unwrap();
            (sent, left) = (sent + of_sender.0, left + of_sender.1);
            life
        });
        until("all frames have left", || {
            left += nic.collect().len();
            left >= sent
        });
        assert_eq!((left, nic.lost()), (sent, 0), "{profile}");
        life.flush();
        assert_eq!(nic.handle.rule_count(), 0, "{profile}");
    }
}

#[test]
fn a_switch_that_ends_in_the_middle_of_a_batch_leaves_nothing_to_the_next() {
    const PORTS: Range<u16> = 1..1001;
    for profile in PROFILES {
        let nic = Nic::with_thread(profile);
        nic.handle.set_faults(Faults { insert_delay: Duration::from_millis(4), ..Faults::none() });
        let pass = || {
            PORTS.for_each(|port| nic.inject(0, &udp(port)));
            let mut left = 0;
            until("each leaves", || {
                left += nic.collect().len();
                left >= PORTS.len()
            });
            assert_eq!((left, nic.lost()), (PORTS.len(), 0), "{profile}");
        };
        let life = nic.start(1, ENDS, &rules(PORTS, 0, 1));
        pass();
        until("some rules are in", || nic.handle.rule_count() > 100);
        assert!(life.placed(Placement::Moving) > 0, "{profile}");
        drop(life);
        nic.handle.set_faults(Faults::none());
        let life = nic.start(2, ENDS, &rules(PORTS, 0, 1));
        pass();
        until("all are in", || life.placed(Placement::Full) == PORTS.len());
        assert!(life.switch.engine().status().adopted > 50, "{profile}");
        // One rule each, and none beside them.
        until("the rest is gone", || nic.ours().len() == PORTS.len() && life.switch.engine().status().orphans == 0);
        assert_eq!(life.switch.engine().status().unknown_completions, 0, "{profile}");
        life.flush();
        assert_eq!(nic.handle.rule_count(), 0, "{profile}");
    }
}
