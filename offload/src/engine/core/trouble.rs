//! Devices that die and come back, ask to be left alone, lose rules, or count no packets.

use super::{Core, Doing};
use crate::backend::{DeviceError, DeviceErrorKind, DeviceKey, Op, OpId};
use crate::engine::device::Dead;
use crate::engine::entry::{Next, Phase};
use crate::refusal::{Refusal, Refusals};
use flow::clock::Time;
use flow::dp::FlowId;
use hashbrown::HashSet;
use smallvec::smallvec;
use std::time::Duration;

/// A counter that stands still for so long, though many packets should have come, is looked into.
const STILL: Duration = Duration::from_secs(3);
/// Packets that should have come.
const EXPECTED: u64 = 32;
/// For so long software looks for packets then.
const WATCH: Duration = Duration::from_secs(1);
/// Packets that come to software though hardware has the flow and counts none: the rule is not there. Fewer are those of the move.
const ASTRAY: u64 = 16;
/// A move is over then.
const MOVED: Duration = Duration::from_secs(1);
/// Flows of a device that are looked into within a second: few, as most are just idle; more, when some were stuck of late.
const TESTS: u32 = 16;
const MORE_TESTS: u32 = 1024;
const SUSPECT: Duration = Duration::from_secs(60);

/// SplitMix64 (Steele, Lea, Flood 2014): jitter that a seed repeats.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    /// A little after `at`, so that those who wait do not all come at once.
    pub fn later(&mut self, at: Time, step: Duration) -> Time {
        let most = u64::try_from(step.as_nanos() / 4).unwrap_or(u64::MAX);
        at.after(Duration::from_nanos(self.below(most)))
    }

    /// When to try again after so many failures in a row: twice as late each time, give or take a quarter.
    pub fn back_off(&mut self, now: Time, first: Duration, failures: u32, most: Duration) -> Time {
        let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most);
        self.later(now.after(wait - wait / 4), wait.saturating_mul(2))
    }
}

impl Core {
    /// A device is gone, and all its rules with it.
    pub(super) fn died(&mut self, id: FlowId, error: &DeviceError, now: Time) {
        if let Some(key) = self.flows.get(id).and_then(|entry| entry.device) {
            self.device_died(key, error, now);
        }
    }

    pub(super) fn device_died(&mut self, key: DeviceKey, error: &DeviceError, now: Time) {
        let device = self.devices.get(key);
        device.deaths += 1;
        let next = self.dice.back_off(now, self.config.retry_interval, device.deaths, self.config.longest_retry);
        device.dead = Some(Dead { error: error.clone(), since: now, next });
        self.headers.died(key);
        self.forget_rules(key, error, now);
        self.meters_died(key, error);
    }

    /// No rule of the device is there any more.
    fn forget_rules(&mut self, key: DeviceKey, error: &DeviceError, now: Time) {
        let victims: Vec<FlowId> =
            self.flows.values().filter(|entry| entry.device == Some(key)).map(|entry| entry.flow.id).collect();
        let dead: HashSet<FlowId> = victims.iter().copied().collect();
        let gone: HashSet<OpId> = self
            .in_flight
            .iter()
            .filter(|(_, doing)| match doing {
                Doing::Insert(id) | Doing::Update(id) | Doing::Remove(id) | Doing::Query(id) => dead.contains(id),
                Doing::Orphan(_) => false,
            })
            .map(|(op, _)| OpId(op))
            .collect();
        let queues = self.outbox.iter().chain(&self.readings);
        let unsent: HashSet<OpId> = queues.map(Op::id).filter(|op| gone.contains(op)).collect();
        self.outbox.retain(|op| !unsent.contains(&op.id()));
        self.readings.retain(|op| !unsent.contains(&op.id()));
        self.in_flight.retain(|op, _| !gone.contains(&OpId(op)));
        self.abandoned.extend(gone.difference(&unsent));
        for id in victims {
            self.query_at(id, None);
            let Some(entry) = self.flows.get_mut(id) else { continue };
            // What it counted since the last reading nobody will know.
            entry.inexact |= entry.counted().is_some();
            entry.rules.clear();
            entry.busy = false;
            entry.next = Next::Stay(Box::new(smallvec![Refusal::Device(error.clone())]));
            self.out(id, now);
        }
    }

    /// Ask dead devices whether they are back.
    pub(super) fn revive(&mut self, now: Time) -> bool {
        let due = |dead: &Option<Dead>| dead.as_ref().is_some_and(|dead| dead.next <= now);
        let keys: smallvec::SmallVec<[DeviceKey; 2]> =
            self.devices.iter().filter(|(_, device)| due(&device.dead)).map(|(key, _)| *key).collect();
        let any = !keys.is_empty();
        for key in keys {
            let mut ports: Vec<_> = self.world.ports.values().filter(|p| p.device() == key).map(|p| p.ethdev).collect();
            ports.sort_unstable();
            ports.dedup();
            let answer = self.backend.revive(key, &ports);
            let device = self.devices.get(key);
            match answer {
                Ok(()) => {
                    device.dead = None;
                    let world = &self.world;
                    let here = self
                        .flows
                        .values()
                        .filter(|e| world.ports.get(&e.flow.in_port()).is_some_and(|info| info.device() == key));
                    self.replan.extend(here.map(|entry| entry.flow.id));
                    self.meters_back(key);
                }
                Err(error) => {
                    device.deaths += 1;
                    let next =
                        self.dice.back_off(now, self.config.retry_interval, device.deaths, self.config.longest_retry);
                    if let Some(dead) = &mut device.dead {
                        (dead.next, dead.error) = (next, error);
                    }
                }
            }
        }
        any
    }

    /// A counter was read. Whether the flow goes to software because the counter may be stuck.
    pub(super) fn look_into(&mut self, id: FlowId, now: Time) -> bool {
        let Some(entry) = self.flows.get_mut(id) else { return false };
        if entry.phase != Phase::In || !entry.full || entry.tested || entry.removed || entry.busy {
            return false;
        }
        let still = now.since(entry.moved.max(entry.since));
        let expected = u128::from(entry.before) * still.as_millis() / 1000;
        let Some(key) = entry.device.filter(|_| still >= STILL && expected >= u128::from(EXPECTED)) else {
            return false;
        };
        let device = self.devices.get(key);
        if now.since(device.tested) >= Duration::from_secs(1) {
            device.tests = if now < device.suspect_until { MORE_TESTS } else { TESTS };
            device.tested = now;
        }
        if device.tests == 0 {
            return false;
        }
        device.tests -= 1;
        entry.next = Next::Watch;
        self.take_out(id);
        true
    }

    /// The flow's rule is out: do packets come?
    pub(super) fn watch(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        (entry.watched, entry.astray) = (true, 0);
        self.hold(id, smallvec![Refusal::CounterStuck], now.after(WATCH), now);
    }

    /// The flow stays in software until then.
    pub(super) fn hold(&mut self, id: FlowId, why: Refusals, until: Time, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        Self::stay(entry, why.clone(), now);
        entry.held = Some(Box::new((until, why)));
        self.later.insert((until, id));
    }

    /// The time is over for which a flow was to stay in software.
    pub(super) fn end_hold(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if entry.held.as_ref().is_some_and(|held| held.0 > now) {
            return;
        }
        entry.held = None;
        // A watch that saw nothing: the flow is idle.
        entry.tested |= std::mem::take(&mut entry.watched);
        self.try_again(id, now);
    }

    /// Software saw packets of the flow.
    pub(super) fn came_to_software(&mut self, id: FlowId, packets: u64, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if entry.watched && entry.phase == Phase::Software {
            entry.astray += packets;
            if entry.astray > 1 {
                // They would have come by hardware, uncounted.
                entry.watched = false;
                self.stuck_counters += 1;
                let until = self.fault(id, now);
                let device = self.flows.get(id).and_then(|e| self.world.ports.get(&e.flow.in_port()));
                if let Some(key) = device.map(|info| info.device()) {
                    self.devices.get(key).suspect_until = now.after(SUSPECT);
                }
                self.hold(id, smallvec![Refusal::CounterStuck], until, now);
            }
            return;
        }
        // A rule that says by its pattern alone that there is no tag leaves packets with tags to software.
        if entry.phase != Phase::In || !entry.full || entry.rules.iter().any(|rule| rule.rule.matches.is_by_pattern()) {
            return;
        }
        // The first that is told after a move was before it.
        if std::mem::replace(&mut entry.told_since, true) {
            entry.astray += packets;
        }
        let settled = now.since(entry.since) >= MOVED && now.since(entry.moved) >= MOVED;
        if settled && entry.astray >= ASTRAY && !entry.busy {
            self.missed_rules += 1;
            let until = self.fault(id, now);
            let error = DeviceError {
                kind: DeviceErrorKind::NotFound,
                message: "it took the rule, and packets of the flow still come to software".into(),
            };
            if let Some(entry) = self.flows.get_mut(id) {
                entry.next = Next::Retry(Box::new(smallvec![Refusal::Device(error)]), until);
            }
            self.take_out(id);
        }
    }

    /// The flow's rule did not work once more: when to try again.
    pub(super) fn fault(&mut self, id: FlowId, now: Time) -> Time {
        let Some(entry) = self.flows.get_mut(id) else { return now };
        entry.faults += 1;
        self.dice.back_off(now, self.config.slow_retry, entry.faults, self.config.longest_retry)
    }
}
