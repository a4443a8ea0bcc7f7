//! What happens when an operation comes to its end.

use super::{Core, Doing};
use crate::backend::{Completion, Counters, DeviceError, DeviceErrorKind, Done, Op, OpId};
use crate::engine::counters;
use crate::engine::entry::{Next, Phase};
use crate::refusal::Refusal;
use flow::clock::Time;
use flow::dp::FlowId;
use smallvec::smallvec;
use std::collections::HashSet;

impl Core {
    pub(super) fn completed(&mut self, completion: Completion, now: Time) {
        let Some(doing) = self.in_flight.remove(&completion.id) else {
            if !self.abandoned.remove(&completion.id) {
                self.unknown_completions += 1;
            }
            return;
        };
        match doing {
            Doing::Insert(id) => self.inserted(id, completion.result, now),
            Doing::Remove(id) => self.taken_out(id, completion.result, now),
            Doing::Query(id) => self.queried(id, completion.result, now),
            Doing::Orphan => {}
        }
    }

    fn inserted(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        entry.busy = false;
        let error = match result {
            // Half of a program that is stale already goes no further in.
            Ok(_) if entry.removed || entry.replan => {
                entry.next = Next::Replan;
                return self.take_out(id);
            }
            Ok(_) => return self.insert_next(id, now),
            Err(error) => error,
        };
        if error.kind == DeviceErrorKind::Dead {
            return self.died(id, &error, now);
        }
        let Some(entry) = self.flows.get_mut(&id) else { return };
        let Some(failed) = entry.rules.last().map(|rule| rule.rule.shape()) else { return };
        if error.kind.is_of_shape() {
            self.devices.refuse(failed, &error, self.config.max_shapes);
        }
        if let (DeviceErrorKind::TableFull, Some(device)) = (error.kind, entry.device) {
            self.devices.get(device).waiting.push_back(id);
            entry.found_full = true;
        }
        let mut refusals = entry.refusals.clone();
        crate::plan::add(&mut refusals, Refusal::Device(error.clone()));
        entry.next = match error.kind {
            DeviceErrorKind::Busy => Next::Retry(refusals),
            _ if entry.replan => Next::Replan,
            DeviceErrorKind::TableFull => Next::Stay(refusals),
            _ if entry.full => Next::FallBack(refusals),
            _ => Next::Stay(refusals),
        };
        self.pop_rule(id, now);
    }

    fn taken_out(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        if let Some(entry) = self.flows.get_mut(&id) {
            entry.busy = false;
        }
        match result {
            Ok(done) => {
                if let Done::Removed { last, exact } = done {
                    let counted = self.flows.get(&id).is_some_and(|e| e.rules.last().is_some_and(|r| r.rule.count));
                    self.inexact_counts += u64::from(counted && (!exact || last.is_none()));
                    if let Some(last) = last {
                        self.count(id, last, now);
                    }
                }
                self.pop_rule(id, now);
            }
            Err(error) if error.kind == DeviceErrorKind::NotFound => {
                self.lost_rules += 1;
                self.pop_rule(id, now);
            }
            Err(error) if error.kind == DeviceErrorKind::Dead => self.died(id, &error, now),
            Err(error) => {
                self.mark_stale(id);
                if let Some(point) = self.flows.get(&id).and_then(|entry| entry.stale) {
                    self.stale.insert(point, Some(error.to_string()));
                }
                self.later.insert((now.after(self.config.retry_interval), id));
            }
        }
    }

    fn queried(&mut self, id: FlowId, result: Result<Done, DeviceError>, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        entry.busy = false;
        match result {
            Ok(Done::Counted(counters)) => self.count(id, counters, now),
            Ok(_) => self.counter_anomalies += 1,
            Err(error) if error.kind == DeviceErrorKind::Dead => return self.died(id, &error, now),
            Err(error) if error.kind == DeviceErrorKind::NotFound => {
                // The device took the rule and lost it. The guards go; software switches the flow.
                self.lost_rules += 1;
                if entry.phase == Phase::In {
                    entry.next = Next::Stay(smallvec![Refusal::Device(error)]);
                }
                entry.phase = Phase::Removing;
                self.query_at(id, None);
                return self.pop_rule(id, now);
            }
            // A failed reading is no reading: the next one tells all.
            Err(_) => {}
        }
        match self.flows.get(&id).map(|entry| entry.phase) {
            Some(Phase::Removing) => self.take_out(id),
            Some(Phase::In) => self.query_at(id, Some(now.after(self.config.query_interval))),
            _ => {}
        }
    }

    fn count(&mut self, id: FlowId, counters: Counters, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        match counters::delta(entry.last, counters, now) {
            Some(hits) if hits.packets > 0 => {
                entry.hits.add(&hits);
                self.sink.hardware_hits(&entry.flow, hits);
            }
            Some(_) => {}
            None => self.counter_anomalies += 1,
        }
        entry.last = counters;
    }

    /// A device is gone, and all its rules with it.
    fn died(&mut self, id: FlowId, error: &DeviceError, now: Time) {
        let Some(device) = self.flows.get(&id).and_then(|entry| entry.device) else { return };
        self.devices.get(device).dead = Some(error.clone());
        let mut victims: Vec<FlowId> =
            self.flows.iter().filter(|(_, entry)| entry.device == Some(device)).map(|(id, _)| *id).collect();
        victims.sort_unstable();
        let dead: HashSet<FlowId> = victims.iter().copied().collect();
        let gone: HashSet<OpId> = self
            .in_flight
            .iter()
            .filter(|(_, doing)| match doing {
                Doing::Insert(id) | Doing::Remove(id) | Doing::Query(id) => dead.contains(id),
                Doing::Orphan => false,
            })
            .map(|(op, _)| *op)
            .collect();
        let unsent: HashSet<OpId> = self.outbox.iter().map(Op::id).filter(|op| gone.contains(op)).collect();
        self.outbox.retain(|op| !unsent.contains(&op.id()));
        self.in_flight.retain(|op, _| !gone.contains(op));
        self.abandoned.extend(gone.difference(&unsent));
        for id in victims {
            self.query_at(id, None);
            let Some(entry) = self.flows.get_mut(&id) else { continue };
            entry.rules.clear();
            entry.busy = false;
            entry.next = Next::Stay(smallvec![Refusal::Device(error.clone())]);
            self.out(id, now);
        }
    }
}
