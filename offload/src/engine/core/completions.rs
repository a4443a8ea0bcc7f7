//! What happens when an operation comes to its end.

use super::{Core, Doing};
use crate::backend::{Completion, Counters, DeviceError, DeviceErrorKind, Done};
use crate::engine::entry::{Next, Phase};
use crate::refusal::Refusal;
use flow::clock::Time;
use flow::dp::FlowId;
use smallvec::smallvec;

impl Core {
    pub(super) fn completed(&mut self, completion: Completion, now: Time) {
        let Some(doing) = self.in_flight.remove(completion.id.0) else {
            if !self.abandoned.remove(&completion.id) {
                self.unknown_completions += 1;
            }
            return;
        };
        match doing {
            Doing::Insert(id) => self.inserted(id, completion.result, now),
            Doing::Update(id) => self.updated(id, completion.result, now),
            Doing::Remove(id) => self.taken_out(id, completion.result, now),
            Doing::Query(id) => self.queried(id, completion.result, now),
            Doing::Orphan(key) => self.orphan_gone(key, completion.result, now),
        }
    }

    fn inserted(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.busy = false;
        let error = match result {
            Ok(_) => {
                if let Some(device) = entry.device {
                    self.devices.get(device).insert_worked(now);
                }
                self.headers.taken(entry);
                // Half of a program that is stale already goes no further in.
                if entry.removed || entry.replan {
                    entry.next = Next::Replan;
                    return self.take_out(id);
                }
                return self.insert_next(id, now);
            }
            Err(error) => error,
        };
        if error.kind == DeviceErrorKind::Dead {
            return self.died(id, &error, now);
        }
        self.meter_missed(id, &error);
        let Some(entry) = self.flows.get_mut(id) else { return };
        let (Some(failed), Some(device)) = (entry.rules.last().map(|rule| rule.rule.shape()), entry.device) else {
            return;
        };
        if error.kind.is_of_shape() {
            self.devices.refuse(failed, &error, self.config.max_shapes);
        }
        let (reserved, there) = (entry.reserved.rules, entry.rules.len() as u32 - 1);
        let here = self.devices.get(device);
        here.traffic.refused += 1;
        let mut refusals = entry.refusals.clone();
        crate::plan::add(&mut refusals, Refusal::Device(error.clone()));
        entry.next = match error.kind {
            DeviceErrorKind::Busy => {
                here.busy += 1;
                let until = self.dice.back_off(now, self.config.retry_interval, here.busy, self.config.longest_retry);
                here.busy_until = Some((until, error));
                Next::Retry(refusals.into(), self.dice.later(until, self.config.retry_interval))
            }
            _ if entry.replan => Next::Replan,
            DeviceErrorKind::TableFull
                if self.headers.refused(entry, self.wishes.priority(entry.flow.in_port()), now) =>
            {
                Next::FallBack(refusals.into())
            }
            DeviceErrorKind::TableFull => {
                here.found_full(here.used.rules.saturating_sub(reserved - there), now);
                Next::Wait(refusals.into())
            }
            _ if error.kind.is_of_shape() && (entry.full || entry.program.is_prefix()) => {
                Next::FallBack(refusals.into())
            }
            _ if error.kind.is_of_shape() => Next::Stay(refusals.into()),
            _ => {
                entry.tries += 1;
                let wait = self.config.slow_retry;
                Next::Retry(refusals.into(), self.dice.back_off(now, wait, entry.tries, self.config.longest_retry))
            }
        };
        self.pop_rule(id, now);
    }

    fn updated(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.busy = false;
        let coming = entry.coming.take();
        let Some(device) = entry.device else { return };
        match result {
            Ok(done) => {
                self.devices.get(device).traffic.updates += 1;
                // The old rule's last count belongs to the old rule.
                self.last_count(id, done, now);
                let Some(entry) = self.flows.get_mut(id) else { return };
                if let (Some(coming), Some(last)) = (coming, entry.rules.last_mut()) {
                    *last = coming;
                }
                self.headers.replaced(entry);
                (entry.last, entry.read, entry.baseline) = (Counters::default(), None, false);
                entry.phase = Phase::In;
                if entry.removed {
                    return self.take_out(id);
                }
                let again = std::mem::take(&mut entry.replan);
                self.no_longer_stale(id);
                self.is_in(id, now);
                if again {
                    self.world_changed(id, now);
                }
            }
            Err(error) if error.kind == DeviceErrorKind::Dead => self.died(id, &error, now),
            Err(error) => {
                // The old rule is there as before: out with it, and the new one goes in by itself.
                let cannot = matches!(error.kind, DeviceErrorKind::NotSupported | DeviceErrorKind::Exists);
                let here = self.devices.get(device);
                here.no_update |= cannot;
                here.traffic.refused += u64::from(!cannot);
                entry.next = Next::Replan;
                self.take_out(id);
            }
        }
    }

    fn taken_out(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.busy = false;
        let device = entry.device;
        match result {
            Ok(done) => {
                self.last_count(id, done, now);
                if let Some(device) = device {
                    self.devices.get(device).traffic.removes += 1;
                }
                self.pop_rule(id, now);
            }
            Err(error) if error.kind == DeviceErrorKind::NotFound => {
                self.lost_rules += 1;
                self.pop_rule(id, now);
            }
            Err(error) if error.kind == DeviceErrorKind::Dead => self.died(id, &error, now),
            Err(error) => {
                entry.tries += 1;
                let at = self.dice.back_off(now, self.config.retry_interval, entry.tries, self.config.longest_retry);
                if let Some(device) = device {
                    self.devices.get(device).traffic.refused += 1;
                }
                self.mark_stale(id);
                if let Some(point) = self.flows.get(id).and_then(|entry| entry.stale) {
                    self.stale.insert(point, Some(error.clone()));
                }
                self.tell_who_waits(id, &error);
                self.later.insert((at, id));
            }
        }
    }

    /// What a rule that is gone had counted.
    fn last_count(&mut self, id: FlowId, done: Done, now: Time) {
        let Done::Removed { last, exact } = done else { return };
        let Some(entry) = self.flows.get_mut(id) else { return };
        if entry.rules.last().is_some_and(|rule| rule.rule.count) && (!exact || last.is_none()) {
            self.inexact_counts += 1;
            entry.inexact = true;
        }
        if let Some(last) = last {
            self.count(id, last, now);
        }
    }

    fn queried(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.busy = false;
        match result {
            Ok(Done::Counted(counters)) => self.count(id, counters, now),
            Ok(_) => self.counter_anomalies += 1,
            Err(error) if error.kind == DeviceErrorKind::Dead => return self.died(id, &error, now),
            Err(error) if error.kind == DeviceErrorKind::NotFound => {
                // The device took the rule and lost it. The guards go; software switches the flow, and it is tried again.
                self.lost_rules += 1;
                if entry.phase == Phase::In {
                    let at = self.fault(id, now);
                    let Some(entry) = self.flows.get_mut(id) else { return };
                    entry.next = Next::Retry(Box::new(smallvec![Refusal::Device(error)]), at);
                }
                let Some(entry) = self.flows.get_mut(id) else { return };
                entry.phase = Phase::Removing;
                self.query_at(id, None);
                return self.pop_rule(id, now);
            }
            // A failed reading is no reading: the next one tells all.
            Err(_) => {}
        }
        match self.flows.get(id).map(|entry| entry.phase) {
            Some(Phase::Removing) => self.take_out(id),
            Some(Phase::In) => self.query_at(id, Some(now.after(self.config.query_interval))),
            _ => {}
        }
    }
}
