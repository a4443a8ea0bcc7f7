//! Counters: of rules, read from devices by a budget, and of software, as they are told.

use super::{Core, Doing, RATES_A_STEP};
use crate::backend::{Counters, Op, RuleKey};
use crate::engine::counters;
use crate::engine::entry::{Phase, Seat};
use crate::engine::policy::Policy;
use flow::clock::Time;
use flow::dp::FlowId;
use std::time::Duration;

/// How often devices are asked which rules are idle.
const AGES: Duration = Duration::from_secs(1);

impl Core {
    pub(super) fn query_at(&mut self, id: FlowId, due: Option<Time>) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.query_due = due;
        if let Some(due) = due {
            self.queries.insert(due, id);
        }
    }

    /// Ask for the counters that are due, as many as the budget allows.
    pub(super) fn query(&mut self, now: Time) -> bool {
        let mut worked = false;
        let mut left = self.config.query_budget.saturating_sub(self.readings.len());
        while left > 0 {
            let Some((due, id)) = self.queries.pop(now) else { break };
            let Some(entry) = self.flows.get_mut(id).filter(|entry| entry.query_due == Some(due)) else { continue };
            left -= 1;
            entry.query_due = None;
            let Some(key) = entry.counted().map(|rule| rule.key) else { continue };
            if entry.busy || entry.phase != Phase::In {
                continue;
            }
            entry.busy = true;
            let op = self.op(Doing::Query(id));
            self.readings.push_back(Op::Query { id: op, key });
            worked = true;
        }
        worked
    }

    /// Rules that the device found idle are read soon: whether they are, their counters say. Devices count seconds of idleness, so
    /// they are asked once a second.
    pub(super) fn look_at_aged(&mut self, now: Time) -> bool {
        if now < self.ages_due {
            return false;
        }
        self.ages_due = now.after(AGES);
        let mut idle: Vec<RuleKey> = Vec::new();
        self.backend.aged(&mut idle);
        if idle.is_empty() {
            return false;
        }
        let idle: hashbrown::HashSet<RuleKey> = idle.into_iter().collect();
        let due: Vec<FlowId> = self
            .flows
            .values()
            .filter(|e| e.query_due.is_some() && e.counted().is_some_and(|rule| idle.contains(&rule.key)))
            .map(|e| e.flow.id)
            .collect();
        self.idle_hints += due.len() as u64;
        for id in due {
            self.query_at(id, Some(now));
        }
        true
    }

    /// A counter was read.
    pub(super) fn count(&mut self, id: FlowId, counters: Counters, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if std::mem::take(&mut entry.baseline) {
            entry.last = counters;
        }
        match counters::delta(entry.last, counters, now) {
            Some(hits) => {
                entry.hard.add(hits.packets, now);
                // What software saw of the flow before sinks meanwhile.
                entry.soft.add(0, now);
                if hits.packets > 0 {
                    entry.hits.add(&hits);
                    (entry.moved, entry.astray, entry.tested, entry.faults) = (now, 0, false, 0);
                    entry.before = entry.hard.quick();
                    if let Some(device) = entry.device {
                        self.devices.get(device).traffic.hits.add(&hits);
                    }
                    self.sink.hardware_hits(&entry.flow, hits);
                }
                if entry.phase == Phase::In && entry.full {
                    self.sink.hardware_read(&entry.flow, Some(now));
                }
            }
            None => self.counter_anomalies += 1,
        }
        entry.last = counters;
        entry.read = Some(now);
        self.rank(id);
        if !self.look_into(id, now) {
            self.heat(id, now);
        }
    }

    /// Software's counters, as many as one step may look at.
    pub(super) fn look_at_rates(&mut self) -> bool {
        let mut left = self.config.batch.saturating_mul(RATES_A_STEP);
        let mut worked = false;
        while left > 0 {
            let Some((at, rates)) = self.rates.front_mut() else { break };
            let (at, next) = (*at, rates.next());
            worked = true;
            match next {
                Some(rate) => self.told(rate.flow, rate.packets, at),
                None => drop(self.rates.pop_front()),
            }
            left -= 1;
        }
        worked
    }

    /// So many packets of the flow did software switch until then.
    fn told(&mut self, id: FlowId, packets: u64, at: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        // Lists can overtake one another; a count that is lower is older.
        let Some(fresh) = packets.checked_sub(entry.told) else { return };
        entry.told = packets;
        entry.soft.add(fresh, at);
        if entry.phase == Phase::Software {
            entry.hard.add(0, at);
            entry.before = entry.soft.quick();
        }
        if fresh > 0 {
            self.came_to_software(id, fresh, at);
        }
        self.rank(id);
        self.heat(id, at);
    }

    /// Let the policy `hot` have its say.
    fn heat(&mut self, id: FlowId, now: Time) {
        if !matches!(self.wishes.policy, Policy::Hot(_)) {
            return;
        }
        let Some(entry) = self.flows.get_mut(id) else { return };
        let is_in = matches!(entry.seat, Some(Seat::Resident(_)));
        if is_in && now.since(entry.since) < self.config.residence {
            return;
        }
        let hot = self.wishes.is_hot(entry.pps(), is_in);
        if std::mem::replace(&mut entry.hot, hot) != hot {
            self.replan.insert(id);
        }
    }
}
