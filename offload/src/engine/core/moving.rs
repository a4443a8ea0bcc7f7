//! A flow's way into hardware and out of it.

use super::admission::known;
use super::{Core, Doing};
use crate::backend::{Counters, DeviceKey, Op, RuleKey};
use crate::engine::entry::{Entry, Installed, Next, Phase, PlaceOf, Seat};
use crate::engine::room::Places;
use crate::plan::{fall_back, only_mark};
use crate::refusal::Refusals;
use crate::rule::{HwProgram, Plan};
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId};
use std::sync::Arc;

impl Core {
    pub(super) fn added(&mut self, flow: Arc<DpFlow>, now: Time) {
        let id = flow.id;
        if self.flows.contains(id) {
            return;
        }
        let mut entry = Box::new(Entry::new(flow, now));
        entry.hot = self.wishes.is_hot(0, false);
        self.flows.insert(entry);
        self.plan(id, now);
    }

    pub(super) fn removed(&mut self, flow: &Arc<DpFlow>, now: Time) {
        let Some(entry) = self.flows.get_mut(flow.id) else {
            return self.sink.hardware_gone(flow);
        };
        if entry.removed {
            return;
        }
        entry.removed = true;
        self.headers.stop_waiting(entry);
        match entry.phase {
            Phase::Software => self.out(flow.id, now),
            Phase::In => {
                self.mark_stale(flow.id);
                self.take_out(flow.id);
            }
            Phase::Inserting | Phase::Updating | Phase::Removing => self.mark_stale(flow.id),
        }
    }

    pub(super) fn mark_stale(&mut self, id: FlowId) {
        if let Some(entry) = self.flows.get_mut(id)
            && entry.stale.is_none()
        {
            entry.stale = Some(self.next_stale);
            self.stale.insert(self.next_stale, None);
            self.next_stale += 1;
        }
    }

    pub(super) fn no_longer_stale(&mut self, id: FlowId) {
        if let Some(point) = self.flows.get_mut(id).and_then(|entry| entry.stale.take()) {
            self.stale.remove(&point);
        }
    }

    pub(super) fn stay(entry: &mut Entry, refusals: Refusals, now: Time) {
        if entry.phase != Phase::Software || entry.refusals != refusals {
            entry.since = now;
        }
        entry.phase = Phase::Software;
        entry.refusals = refusals;
    }

    /// Put a program in. The flow has no rules, and its place is its own.
    pub(super) fn put_in(
        &mut self,
        id: FlowId,
        device: DeviceKey,
        program: HwProgram,
        full: bool,
        why: Refusals,
        now: Time,
    ) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.phase = Phase::Inserting;
        entry.device = Some(device);
        entry.reserved = Places::of(&program);
        let here = self.devices.get(device);
        here.used = here.used.plus(entry.reserved);
        (entry.program, entry.full, entry.refusals) = (program, full, why);
        self.headers.hold(entry, device);
        entry.next = Next::Replan;
        (entry.last, entry.read) = (Counters::default(), None);
        // Whatever it was watched or kept in software for is over.
        (entry.watched, entry.held) = (false, None);
        entry.since = now;
        self.sit(id, Some(Seat::Resident(device)));
        if !self.adopt_rules(id, now) {
            self.insert_next(id, now);
        }
    }

    fn new_key(&mut self) -> RuleKey {
        let key = RuleKey(self.next_rule);
        self.next_rule += 1;
        key
    }

    /// Put the next rule of the program in, or be done.
    pub(super) fn insert_next(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if let Some(rule) = entry.program.rules.get(entry.rules.len()).cloned() {
            let key = RuleKey(self.next_rule);
            self.next_rule += 1;
            entry.rules.push(Installed { key, rule: Arc::clone(&rule) });
            entry.busy = true;
            let op = self.op(Doing::Insert(id));
            return self.outbox.push_back(Op::Insert { id: op, key, rule });
        }
        self.is_in(id, now);
    }

    /// All of the flow's program is in hardware.
    pub(super) fn is_in(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.phase = Phase::In;
        entry.since = now;
        (entry.tries, entry.told_since, entry.astray) = (0, false, 0);
        entry.moved = entry.moved.max(now);
        entry.hard.restart(now);
        let counts = entry.counted().is_some();
        if counts && entry.full {
            self.sink.hardware_read(&entry.flow, Some(now));
        }
        self.query_at(id, counts.then(|| now.after(self.config.query_interval)));
    }

    /// Replace the main rule without a gap. `false`: that cannot be done; the flow is as before.
    pub(super) fn replace(&mut self, id: FlowId, program: &HwProgram, full: bool, why: &Refusals) -> bool {
        let key = self.new_key();
        let Some(entry) = self.flows.get_mut(id) else { return false };
        let (Some((main, guards)), Some(device)) = (program.rules.split_last(), entry.device) else { return false };
        let (Some((old, old_guards)), Some(last)) = (entry.program.rules.split_last(), entry.rules.last()) else {
            return false;
        };
        let same_place = (old.port, old.table, old.matches) == (main.port, main.table, main.matches);
        let here = self.devices.get(device);
        if entry.busy || !same_place || guards != old_guards || here.no_update || here.dead.is_some() {
            return false;
        }
        let (old, rule) = (last.key, Arc::clone(main));
        (entry.program, entry.full, entry.refusals) = (program.clone(), full, why.clone());
        entry.coming = Some(Installed { key, rule: Arc::clone(&rule) });
        (entry.phase, entry.busy) = (Phase::Updating, true);
        self.query_at(id, None);
        let op = self.op(Doing::Update(id));
        self.outbox.push_back(Op::Update { id: op, old, new: key, rule });
        true
    }

    /// Begin or go on taking rules out, the last one first.
    pub(super) fn take_out(&mut self, id: FlowId) {
        self.query_at(id, None);
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.phase = Phase::Removing;
        if entry.busy {
            return;
        }
        if let Some(key) = entry.rules.last().map(|rule| rule.key) {
            entry.busy = true;
            let op = self.op(Doing::Remove(id));
            self.outbox.push_back(Op::Remove { id: op, key });
        }
    }

    /// The last rule of the flow is out of hardware.
    pub(super) fn pop_rule(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if entry.rules.pop().is_some_and(|out| out.rule.encap.is_some()) {
            self.headers.let_go(entry);
        }
        if entry.rules.is_empty() {
            self.out(id, now);
        } else {
            self.take_out(id);
        }
    }

    /// The flow has no rule left in hardware.
    pub(super) fn out(&mut self, id: FlowId, now: Time) {
        self.no_longer_stale(id);
        self.sit(id, None);
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.phase = Phase::Software;
        entry.since = now;
        entry.replan = false;
        entry.coming = None;
        let next = std::mem::replace(&mut entry.next, Next::Replan);
        let reserved = std::mem::take(&mut entry.reserved);
        let leaving = std::mem::take(&mut entry.leaving);
        let device = entry.device.take();
        let place = if reserved.rules > 0 { entry.place() } else { None };
        entry.hard.restart(now);
        // A death, or a main rule that was never asked for.
        self.headers.let_go(entry);
        let outer = entry.outer.is_some();
        if entry.removed {
            self.headers.unbook(entry);
            self.headers.stop_waiting(entry);
            let flow = Arc::clone(&entry.flow);
            self.flows.remove(id);
            self.sink.hardware_gone(&flow);
        } else if reserved.rules > 0 && entry.full {
            self.sink.hardware_read(&entry.flow, None);
        }
        if let Some(key) = device {
            let device = self.devices.get(key);
            device.used = device.used.minus(reserved);
            device.leaving = device.leaving.minus(leaving);
            self.vacate(place, id, now);
        }
        self.go_on(id, next, now);
        if outer && let Some(entry) = self.flows.get_mut(id) {
            self.headers.unbook(entry);
        }
        if let Some(key) = device {
            self.fill(key, now);
        }
    }

    fn go_on(&mut self, id: FlowId, next: Next, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        match next {
            Next::Replan => self.plan(id, now),
            Next::Stay(refusals) => Self::stay(entry, *refusals, now),
            Next::Retry(refusals, at) => self.hold(id, *refusals, at, now),
            Next::Watch => self.watch(id, now),
            Next::Wait(refusals) => {
                Self::stay(entry, *refusals, now);
                self.wait_for_room(id);
            }
            Next::FallBack(refusals) => {
                let left = if entry.program.is_prefix() { only_mark } else { fall_back };
                let plan = left(&entry.flow, &self.world, *refusals);
                self.carry_out(id, plan, now);
            }
        }
    }

    /// Give a place back, and let those go on who wait for it.
    fn vacate(&mut self, place: Option<PlaceOf>, id: FlowId, now: Time) {
        if let Some(place) = place
            && self.places.get(&place) == Some(&id)
        {
            self.places.remove(&place);
            let waiting = if self.place_wanted.is_empty() { None } else { self.place_wanted.remove(&place) };
            for next in waiting.into_iter().flatten() {
                self.try_again(next, now);
            }
        }
    }

    /// Plan a flow again that waited in software.
    pub(super) fn try_again(&mut self, id: FlowId, now: Time) {
        if self.flows.get(id).is_some_and(|entry| entry.phase == Phase::Software && !entry.removed) {
            self.plan(id, now);
        }
    }

    pub(super) fn wait_is_over(&mut self, id: FlowId, now: Time) {
        match self.flows.get(id).map(|entry| entry.phase) {
            Some(Phase::Removing) => self.take_out(id),
            Some(Phase::Software) => self.end_hold(id, now),
            _ => {}
        }
    }

    /// The world is another than the one that the flow was planned with.
    pub(super) fn world_changed(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        if entry.removed {
            return;
        }
        match entry.phase {
            Phase::Software => self.plan(id, now),
            Phase::Inserting | Phase::Updating => {
                entry.replan = true;
                self.mark_stale(id);
            }
            Phase::Removing => entry.next = Next::Replan,
            Phase::In => {
                entry.replan = false;
                self.look_again(id, now);
            }
        }
    }

    /// A flow that is in hardware: is that still what is wanted?
    fn look_again(&mut self, id: FlowId, now: Time) {
        let plan = self.choose(id, now);
        let Some(entry) = self.flows.get_mut(id) else { return };
        let plan = known(plan, &entry.flow, &self.world, &self.devices, &*self.sink);
        let (program, full, why) = match plan {
            Plan::Full(program) => (program, true, Refusals::new()),
            Plan::Partial { program, refused, .. } => (program, false, refused),
            Plan::Software(_) => {
                entry.next = Next::Replan;
                self.mark_stale(id);
                return self.take_out(id);
            }
        };
        if full == entry.full && program == entry.program {
            entry.refusals = why;
            self.no_longer_stale(id);
            let Some(entry) = self.flows.get(id) else { return };
            if entry.query_due.is_none() && !entry.busy && entry.counted().is_some() {
                self.query_at(id, Some(now.after(self.config.query_interval)));
            }
            return;
        }
        self.mark_stale(id);
        let beside = self.book_header(id, &program);
        if !beside || !self.replace(id, &program, full, &why) {
            if let Some(entry) = self.flows.get_mut(id) {
                entry.next = Next::Replan;
            }
            self.take_out(id);
        }
    }
}
