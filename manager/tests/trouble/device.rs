//! Each trouble that a device can make, with frames: each frame leaves once, the reason is shown, and flows come back.

use crate::rig::{ENDS, Life, Nic, rules, udp};
use mocks::nic::{Fault, Faults};
use offload::{DeviceHealth, Placement};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// With templates, and by single calls.
const PROFILES: [&str; 2] = ["connectx", "e810"];
const FLOWS: Range<u16> = 1..21;
/// Time between frames of a flow.
const GAP: Duration = Duration::from_millis(10);
/// A device that is back has its flows by then: the longest time between tries, and its jitter.
const BACK: Duration = Duration::from_secs(40);

struct Story {
    nic: Nic,
    life: Life,
    sent: u64,
}

impl Story {
    /// A switch with a rule for each flow.
    fn new(profile: &str, faults: Faults) -> Story {
        let nic = Nic::new(profile);
        nic.handle.set_faults(faults);
        let life = nic.start(1, ENDS, &rules(FLOWS, 0, 1));
        Story { nic, life, sent: 0 }
    }

    /// Frames of all flows come for so long.
    fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / GAP.as_millis() {
            self.life.later(GAP);
            FLOWS.for_each(|port| self.nic.inject(0, &udp(port)));
            self.life.settle();
            self.sent += 1;
            let mut left = self.nic.collect();
            left.sort();
            let want: Vec<_> = FLOWS.map(|port| (1, udp(port))).collect();
            assert_eq!(left, want, "after {} rounds", self.sent);
        }
    }

    /// The same until all flows are in hardware, and a while longer.
    fn back(&mut self) {
        let (mut time, mut before, mut software) = (Duration::ZERO, 0, 1);
        // Rules that are not there may be held to be there for a while.
        while self.life.placed(Placement::Full) < FLOWS.len() || software > before {
            before = self.nic.handle.stats().software;
            self.run(GAP * 10);
            software = self.nic.handle.stats().software;
            time += GAP * 10;
            assert!(time < BACK, "not back: {:?}", self.life.reasons());
        }
        self.run(Duration::from_secs(1));
        assert_eq!(self.nic.handle.stats().software, software, "hardware has all of their packets");
        assert_eq!((self.life.reasons(), self.life.health()), (vec![], DeviceHealth::Works));
    }

    /// Each flow's rule counted each frame, and no rule stays in hardware.
    fn end(self) {
        self.end_without(0);
    }

    /// The same, but for so many frames at most that were counted by a device that died before it was read.
    fn end_without(self, most: u64) {
        let all = self.sent - most..=self.sent;
        let counted: BTreeMap<_, _> = self.life.counted();
        assert!(counted.len() == FLOWS.len() && counted.values().all(|n| all.contains(n)), "{all:?}: {counted:?}");
        self.end_uncounted();
    }

    fn end_uncounted(self) {
        self.life.flush();
        assert_eq!((self.nic.handle.rule_count(), self.nic.lost()), (0, 0));
    }
}

#[test]
fn a_device_that_has_no_time() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults { refuse: 1.0, ..Faults::none() });
        story.run(Duration::from_secs(2));
        assert_eq!(story.life.reasons(), ["DeviceBusy"], "{profile}");
        assert!(matches!(story.life.health(), DeviceHealth::Busy { .. }), "{profile}");
        story.nic.handle.set_faults(Faults { refuse: 0.5, ..Faults::none() });
        story.run(Duration::from_secs(2));
        story.nic.handle.set_faults(Faults::none());
        story.back();
        story.end();
    }
}

#[test]
fn a_device_that_cannot_what_it_claims() {
    let liar = Nic::new("full");
    for profile in ["mark-only", "none"] {
        let nic = Nic::new(profile);
        let mut life = nic.start(1, ENDS, "");
        life.claim(&Arc::new(liar.handle.capabilities()));
        life.change(&rules(FLOWS, 0, 1));
        let mut story = Story { nic, life, sent: 0 };
        story.run(Duration::from_secs(2));
        assert_eq!(story.life.placed(Placement::Full), 0, "{profile}");
        let reasons = story.life.reasons();
        assert!(reasons.iter().any(|r| ["DeviceNotSupported", "DeviceInvalid"].contains(r)), "{profile}: {reasons:?}");
        // The truth is told: nothing is asked of the device that it cannot do.
        let truth = story.nic.caps.clone();
        story.life.claim(&truth);
        story.run(Duration::from_secs(2));
        assert!(!story.life.reasons().iter().any(|r| r.starts_with("Device")), "{profile}: {:?}", story.life.reasons());
        story.end();
    }
}

#[test]
fn a_device_that_takes_rules_and_has_them_not() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults::none().with(Fault::RuleLost));
        story.run(Duration::from_secs(2));
        assert_eq!(story.life.reasons(), ["DeviceRuleLost"], "{profile}");
        story.nic.handle.set_faults(Faults::none());
        story.back();
        story.end();
    }
}

#[test]
fn a_device_that_loses_some_rules() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults { lose: 0.3, ..Faults::none() });
        story.run(Duration::from_secs(5));
        story.nic.handle.set_faults(Faults::none());
        story.back();
        story.end();
    }
}

#[test]
fn a_device_that_counts_no_packets() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults::none());
        story.run(Duration::from_secs(2));
        assert_eq!(story.life.placed(Placement::Full), FLOWS.len(), "{profile}");
        story.nic.handle.set_faults(Faults::none().with(Fault::CounterStuck));
        story.run(Duration::from_secs(5));
        assert!(story.life.reasons().contains(&"CounterStuck"), "{profile}: {:?}", story.life.reasons());
        assert!(story.life.switch.engine().status().stuck_counters >= FLOWS.len() as u64 / 2, "{profile}");
        story.nic.handle.set_faults(Faults::none());
        story.back();
        // What hardware switched and did not count is in no counter.
        story.end_uncounted();
    }
}

#[test]
fn a_port_that_is_reset() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults::none());
        story.run(Duration::from_secs(1));
        assert_eq!(story.life.placed(Placement::Full), FLOWS.len(), "{profile}");
        story.nic.handle.reset_port(story.nic.end(0));
        assert_eq!(story.nic.handle.rule_count(), 0, "{profile}");
        // By its reading; where counters outlive rules, by the packets that come to software, a second after the rule went in.
        story.run(Duration::from_millis(if profile == "connectx" { 1200 } else { 300 }));
        assert_eq!(story.life.reasons(), ["DeviceRuleLost"], "{profile}");
        story.back();
        assert_eq!(story.nic.handle.rule_count(), FLOWS.len(), "{profile}");
        story.end();
    }
}

#[test]
fn a_device_that_is_gone_and_comes_back() {
    for profile in PROFILES {
        let mut story = Story::new(profile, Faults::none());
        story.run(Duration::from_secs(1));
        for _ in 0..2 {
            story.nic.handle.kill();
            story.run(Duration::from_secs(2));
            assert_eq!(story.life.reasons(), ["DeviceDead"], "{profile}");
            assert!(matches!(story.life.health(), DeviceHealth::Dead { .. }), "{profile}");
            story.nic.handle.revive();
            story.back();
            assert_eq!(story.nic.handle.rule_count(), FLOWS.len(), "{profile}");
        }
        story.end();
    }
}

#[test]
fn a_device_that_dies_in_the_middle_of_a_batch() {
    for profile in PROFILES {
        // After so many of its operations, of which there are a few for each rule.
        for operations in [1, 2, 3, 7, 20, 33, 50, 80] {
            let mut story = Story::new(profile, Faults { dies_after: Some(operations), ..Faults::none() });
            story.run(Duration::from_millis(500));
            assert!(story.life.reasons().contains(&"DeviceDead"), "{profile}, {operations} operations");
            story.nic.handle.revive();
            story.back();
            assert_eq!(story.nic.handle.rule_count(), FLOWS.len(), "{profile}, {operations} operations");
            story.end_without(1);
        }
    }
}
