//! Changes: a translation of the old state is in the registry when the change looks there, or refused; behind the fence nobody uses
//! it. Flows are taken out, or do something else in their place; then each packet counts for what was done with it.

use super::arena::Arena;
use super::explore;
use super::fence::{Fences, Quiescence};
use super::flows::{Candidate, Harvest, Registry, Sieve, flow_mask};
use super::sync::Mutex;
use super::sync::atomic::{AtomicU64, Ordering};
use crate::hash::Seed;
use flow::clock::Time;
use flow::dp::{BridgeId, Cacheable, Change, Dep, DpAction, Effect, Hits, RuleId, Translation};
use flow::{DpPort, FlowKey, Mask};
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

const TABLE: Dep = Dep::Table(BridgeId(1), 0);

/// A step that is left out, or done at the wrong time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// The epoch is read after translating.
    LateEpoch,
    /// Flows are looked for before the change is noted, so that installs in between are not refused.
    UnnotedChange,
    /// Changes are told of before they can be seen.
    EarlyNews,
    /// Flows that are wrong are taken out of the registry, and workers go on with them.
    NotKilled,
    /// A worker reads which flows changed before it reads the fence.
    EarlyReading,
    /// A worker does what a flow does by now, and its hits from before count for that too.
    Unsettled,
}

/// What becomes of a flow that is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Removed,
    InPlace,
}

struct Switch {
    /// The state of the slow path: a port to send to.
    port: AtomicU64,
    told: Mutex<Vec<Dep>>,
    registry: Mutex<Registry>,
    epoch: AtomicU64,
    fences: Fences,
    quiescence: Quiescence,
    arena: std::sync::Arc<Arena>,
    acknowledged: AtomicU64,
    /// Marks of flows that changed in their place.
    changed: Mutex<Vec<u32>>,
}

impl Switch {
    fn new() -> Switch {
        Switch {
            port: AtomicU64::new(0),
            told: Mutex::default(),
            registry: Mutex::new(Registry::new(Seed::random(), 8, false)),
            epoch: AtomicU64::new(0),
            fences: Fences::default(),
            quiescence: Quiescence::default(),
            arena: std::sync::Arc::new(Arena::new()),
            acknowledged: AtomicU64::new(0),
            changed: Mutex::default(),
        }
    }

    fn translate(&self) -> Translation {
        let port = DpPort(self.port.load(Ordering::Acquire) as u32);
        Translation {
            mask: Mask::ANY,
            actions: [DpAction::Output(port)].into_iter().collect(),
            deps: [TABLE].into_iter().collect(),
            written: None,
            effects: [Effect::Rule(RuleId(port.0.into()))].into_iter().collect(),
            cacheable: Cacheable::Yes,
        }
    }

    /// A packet that misses; the mark of its flow, if that was installed, and the port that the packet goes to.
    fn miss(&self, mistake: Mistake) -> (Option<u32>, u64) {
        let mut epoch = self.epoch.load(Ordering::SeqCst);
        let translation = self.translate();
        if mistake == Mistake::LateEpoch {
            epoch = self.epoch.load(Ordering::SeqCst);
        }
        let candidate = Candidate {
            key: &FlowKey::ZERO,
            mask: &flow_mask(&translation),
            translation: &translation,
            epoch,
            first: Hits { packets: 1, bytes: 60, used: Time(1) },
            arena: &self.arena,
            next: None,
        };
        let granted = self.registry.lock().install(&candidate);
        let DpAction::Output(port) = translation.actions[0] else { panic!("nothing else is made") };
        (granted.ok().map(|granted| granted.mark), u64::from(port.0))
    }

    /// The change of the state and its way to its acknowledgement.
    fn change(&self, way: Way, mistake: Mistake) {
        if mistake == Mistake::EarlyNews {
            self.told.lock().push(TABLE);
            self.revalidate(way, mistake);
            self.port.store(1, Ordering::Release);
        } else {
            self.port.store(1, Ordering::Release);
            self.told.lock().push(TABLE);
            self.revalidate(way, mistake);
        }
        let fence = self.fences.raise();
        while !self.quiescence.has_passed(fence) {
            thread::yield_now();
        }
        self.acknowledged.store(1, Ordering::Release);
    }

    fn revalidate(&self, way: Way, mistake: Mistake) {
        let changes: Vec<Change> = self.told.lock().drain(..).map(Change::from).collect();
        let mut affected = Vec::new();
        if mistake == Mistake::UnnotedChange {
            affected.push(1);
        } else {
            let sieve = Sieve::new(&changes);
            let mut registry = self.registry.lock();
            self.epoch.store(registry.note_changes(&changes), Ordering::SeqCst);
            for class in registry.concerned(&sieve).0 {
                if let Some((filter, rows)) = registry.filter(class, &sieve) {
                    registry.pick(class, 0, rows, &filter, &mut affected);
                }
            }
        }
        for index in affected {
            let Some(suspect) = self.registry.lock().suspect(index) else { continue };
            let again = self.translate();
            if *again.actions == *suspect.deed.actions {
                continue;
            }
            if way == Way::InPlace {
                let mark = self.registry.lock().change(index, &again);
                self.changed.lock().extend(mark);
            } else {
                let removed = self.registry.lock().remove(index);
                if let Some(removed) = removed.filter(|_| mistake == Mistake::NotKilled) {
                    // As if it had not been.
                    self.arena.begin(removed.mark, &Hits::default());
                }
            }
        }
    }

    /// The worker lets flows that changed do what they are to do; what the one that it knows does now.
    fn catch_up(&self, known: &mut Option<(u32, u64)>, mistake: Mistake) {
        let changed: Vec<u32> = self.changed.lock().drain(..).collect();
        for mark in changed {
            let program = self.registry.lock().catch_up(mark, &self.arena);
            if mistake == Mistake::Unsettled {
                self.registry.lock().take_settled(1);
            }
            if let Some((_, port)) = known.as_mut().filter(|(known, _)| *known == mark)
                && let Some(to) = program.and_then(|program| program.single_output())
            {
                *port = u64::from(to.0);
            }
        }
    }

    /// The packets that were counted for each of the two states. The first of a flow was counted when it was translated.
    fn counted(&self) -> [u64; 2] {
        let mut counted = [0; 2];
        let mut registry = self.registry.lock();
        let mut hits = registry.take_settled(8);
        let mut harvest = Harvest::default();
        registry.harvest(0, 8, Time(1), Duration::from_secs(1), &mut harvest);
        hits.append(&mut harvest.hits);
        for (effects, hits) in hits {
            if let Some(Effect::Rule(RuleId(port))) = effects.iter().next() {
                counted[port as usize] += hits.packets;
            }
        }
        counted
    }
}

/// A worker forwards packets of a flow, one in each poll. What it receives after the acknowledgement goes to the new port.
fn a_change_is_acknowledged(way: Way, mistake: Mistake) {
    explore(3, move || {
        let switch = Arc::new(Switch::new());
        let worker = thread::spawn({
            let switch = Arc::clone(&switch);
            move || {
                let mut known: Option<(u32, u64)> = None;
                let mut counted = [0; 2];
                switch.quiescence.online(&switch.fences);
                let polls = if way == Way::InPlace { 3 } else { 2 };
                for _ in 0..polls {
                    if mistake == Mistake::EarlyReading {
                        switch.catch_up(&mut known, mistake);
                        switch.quiescence.pass(switch.fences.current());
                    } else {
                        switch.quiescence.pass(switch.fences.current());
                        switch.catch_up(&mut known, mistake);
                    }
                    // The packet was sent when this was so.
                    let acknowledged = switch.acknowledged.load(Ordering::Acquire);
                    let live = |mark: u32| switch.arena.get(1).filter(|hot| hot.mark() == mark);
                    let port = match known.and_then(|(mark, port)| Some((live(mark)?, port))) {
                        Some((hot, port)) => {
                            hot.hits.add(1, 60, Time(1));
                            counted[port as usize] += 1;
                            port
                        }
                        _ => {
                            let (mark, port) = switch.miss(mistake);
                            known = mark.map(|mark| (mark, port));
                            port
                        }
                    };
                    assert!(port >= acknowledged, "a packet met the old state behind the fence");
                }
                switch.quiescence.offline();
                counted
            }
        });
        switch.change(way, mistake);
        let counted = worker.join().unwrap();
        // What is left in the registry is right.
        if mistake == Mistake::None {
            for shown in switch.registry.lock().show(1, 8).0 {
                assert_eq!(shown.flow.actions, switch.translate().actions);
            }
        }
        if way == Way::InPlace {
            assert_eq!(switch.counted(), counted, "packets and what they count for");
        }
    });
}

#[test]
fn behind_the_fence_nothing_is_stale() {
    a_change_is_acknowledged(Way::Removed, Mistake::None);
}

#[test]
#[should_panic = "old state"]
fn the_epoch_is_noted_before_translating() {
    a_change_is_acknowledged(Way::Removed, Mistake::LateEpoch);
}

#[test]
#[should_panic = "old state"]
fn changes_are_remembered() {
    a_change_is_acknowledged(Way::Removed, Mistake::UnnotedChange);
}

#[test]
#[should_panic = "old state"]
fn changes_are_told_of_when_they_can_be_seen() {
    a_change_is_acknowledged(Way::Removed, Mistake::EarlyNews);
}

#[test]
#[should_panic = "old state"]
fn wrong_flows_are_killed() {
    a_change_is_acknowledged(Way::Removed, Mistake::NotKilled);
}

#[test]
fn behind_the_fence_flows_that_changed_are_not_stale_and_every_packet_counts() {
    a_change_is_acknowledged(Way::InPlace, Mistake::None);
}

#[test]
#[should_panic = "old state"]
fn the_fence_is_read_before_which_flows_changed() {
    a_change_is_acknowledged(Way::InPlace, Mistake::EarlyReading);
}

#[test]
#[should_panic = "count for"]
fn hits_from_before_are_settled() {
    a_change_is_acknowledged(Way::InPlace, Mistake::Unsettled);
}
