//! Who goes in: plans, wishes, room, and who makes room for whom.

use super::Core;
use crate::backend::{DeviceErrorKind, DeviceKey};
use crate::engine::device::Devices;
use crate::engine::entry::{Next, Phase, PlaceOf, Seat};
use crate::engine::rate::Rank;
use crate::engine::report::HitSink;
use crate::engine::room::Places;
use crate::plan::{fall_back, only_mark, plan};
use crate::refusal::{Refusal, Refusals};
use crate::rule::Plan;
use crate::world::World;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId};
use smallvec::smallvec;
use std::cmp::Reverse;
use std::sync::Arc;

/// Waiting flows that are tried in vain before the rest is left for the next time that room is made.
const MOST_UNFIT: usize = 16;
/// Flows that one step takes out for others, in one device.
const MOST_EVICTIONS: usize = 64;
/// The coldest flows that are looked at for one that may go.
const MOST_LOOKED_AT: usize = 32;

impl Core {
    pub(super) fn plan(&mut self, id: FlowId, now: Time) {
        let plan = self.choose(id, now);
        self.carry_out(id, plan, now);
    }

    /// What is to become of the flow, by what is wished, by what its device is known to refuse, and by room for its outer header; room
    /// for rules and health aside.
    pub(super) fn decide(&self, id: FlowId, now: Time) -> Plan {
        let mut plan = self.prefer(id, now);
        if let Some(entry) = self.flows.get(id)
            && let Some(lack) = self.lacks_header(&entry.flow, &plan)
        {
            self.leave_out_header(&entry.flow, &mut plan, lack);
        }
        plan
    }

    /// The same, to be carried out: the flow waits for the header that it lacks, and for no other.
    #[inline]
    pub(super) fn choose(&mut self, id: FlowId, now: Time) -> Plan {
        let mut plan = self.prefer(id, now);
        if let Some(lack) = self.wait_for_header(id, &plan)
            && let Some(entry) = self.flows.get(id)
        {
            self.leave_out_header(&entry.flow, &mut plan, lack);
        }
        plan
    }

    /// What is left of a plan for whose header there is no room.
    pub(super) fn leave_out_header(&self, flow: &DpFlow, plan: &mut Plan, lack: Refusal) {
        *plan = fall_back(flow, &self.world, smallvec![lack]);
        self.leave_out_refused(flow, plan);
    }

    /// The same without a thought of headers.
    #[inline]
    fn prefer(&self, id: FlowId, now: Time) -> Plan {
        let Some(entry) = self.flows.get(id) else { return Plan::Software(Refusals::new()) };
        let mut plan = plan(&entry.flow, &self.world);
        if !matches!(plan, Plan::Software(_))
            && let Some(objection) = self.wishes.objection(&entry.flow, entry.hot)
        {
            return Plan::Software(smallvec![objection]);
        }
        if let Some(held) = entry.held.as_ref().filter(|held| held.0 > now) {
            return Plan::Software(held.1.clone());
        }
        self.leave_out_refused(&entry.flow, &mut plan);
        plan
    }

    /// What the device is known to refuse of a plan.
    #[inline]
    pub(super) fn leave_out_refused(&self, flow: &DpFlow, plan: &mut Plan) {
        while let Plan::Full(program) | Plan::Partial { program, .. } = &*plan {
            let Some(obstacle) = self.devices.refusal(program) else { break };
            *plan = without(std::mem::replace(plan, Plan::Software(Refusals::new())), obstacle, flow, &self.world);
        }
    }

    /// Put a plan's program in, as far as nothing that is known stands in its way. The flow has no rules.
    pub(super) fn carry_out(&mut self, id: FlowId, mut plan: Plan, now: Time) {
        self.sit(id, None);
        let Some(entry) = self.flows.get_mut(id) else { return };
        let Some(device) = self.world.ports.get(&entry.flow.in_port()).map(|info| info.device()) else {
            return Self::stay(entry, software(plan), now);
        };
        let mut retry = None;
        loop {
            let program = match &plan {
                Plan::Full(program) | Plan::Partial { program, .. } => program,
                Plan::Software(_) => {
                    Self::stay(entry, software(plan), now);
                    if let Some(at) = retry {
                        self.later.insert((at, id));
                    }
                    return;
                }
            };
            let size = Places::of(program);
            if let Some(refusal) = self.devices.refusal(program) {
                plan = without(plan, refusal, &entry.flow, &self.world);
                continue;
            }
            let here = self.devices.get(device);
            if let Some(dead) = &here.dead {
                plan = Plan::Software(smallvec![Refusal::Device(dead.error.clone())]);
                continue;
            }
            if let Some((until, error)) = here.busy_until.as_ref().filter(|(until, _)| *until > now) {
                plan = Plan::Software(smallvec![Refusal::Device(error.clone())]);
                retry = Some(self.dice.later(*until, self.config.retry_interval));
                continue;
            }
            let Some(refusal) = here.room(now).lack(here.used, size) else { break };
            Self::stay(entry, left_out(plan, refusal), now);
            entry.wants = size;
            return self.sit(id, Some(Seat::Waiting(device)));
        }
        let (program, full, mut refusals) = match known(plan, &entry.flow, &self.world, &self.devices, &*self.sink) {
            Plan::Full(program) => (program, true, Refusals::new()),
            Plan::Partial { program, refused, .. } => (program, false, refused),
            Plan::Software(refusals) => return Self::stay(entry, refusals, now),
        };
        let waits = self.is_in_the_way(id, &program);
        let Some(entry) = self.flows.get_mut(id) else { return };
        if let Some(old) = waits {
            crate::plan::add(&mut refusals, old);
            return Self::stay(entry, refusals, now);
        }
        let Some(main) = program.rules.last() else { return Self::stay(entry, refusals, now) };
        let place = PlaceOf::of(main);
        let owner = *self.places.entry(place).or_insert(id);
        if owner != id {
            // A flow that this one replaces is still there: the device would not know which of the two is meant.
            let waiting = self.place_wanted.entry(PlaceOf::of(main)).or_default();
            if !waiting.contains(&id) {
                waiting.push(id);
            }
            let error = self.flows.get(owner).and_then(|entry| self.resisted(entry));
            crate::plan::add(&mut refusals, Refusal::OldRule { error });
            let Some(entry) = self.flows.get_mut(id) else { return };
            return Self::stay(entry, refusals, now);
        }
        self.put_in(id, device, program, full, refusals, now);
    }

    /// The flow waits for room where it was.
    pub(super) fn wait_for_room(&mut self, id: FlowId) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        let Some(device) = self.world.ports.get(&entry.flow.in_port()).map(|info| info.device()) else { return };
        entry.wants = Places::of(&entry.program);
        self.sit(id, Some(Seat::Waiting(device)));
    }

    /// Give a flow another seat.
    pub(super) fn sit(&mut self, id: FlowId, seat: Option<Seat>) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        match entry.seat {
            Some(Seat::Resident(device)) => self.devices.get(device).residents.remove(entry.rank, entry.ticket),
            Some(Seat::Waiting(device)) => drop(self.devices.get(device).waiting.remove(&(entry.rank, Reverse(id)))),
            None => {}
        }
        entry.seat = seat;
        let Some(seat) = seat else { return };
        entry.rank = Rank::new(self.wishes.priority(entry.flow.in_port()), entry.steady());
        match seat {
            Seat::Resident(device) => entry.ticket = self.devices.get(device).residents.insert(entry.rank, id),
            Seat::Waiting(device) => drop(self.devices.get(device).waiting.insert((entry.rank, Reverse(id)))),
        }
    }

    /// The flow's rate is another.
    pub(super) fn rank(&mut self, id: FlowId) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        let rank = Rank::new(self.wishes.priority(entry.flow.in_port()), entry.steady());
        self.headers.rank(entry, rank);
        let seat = entry.seat;
        if seat.is_some() && rank != entry.rank {
            self.sit(id, seat);
        }
    }

    /// Let those in who wait, as far as there is room. One that needs more than there is does not keep smaller ones out.
    pub(super) fn fill(&mut self, key: DeviceKey, now: Time) {
        loop {
            let device = self.devices.get(key);
            if device.waiting.is_empty() || device.room(now).is_full(device.used) {
                return;
            }
            let next: smallvec::SmallVec<[FlowId; MOST_UNFIT]> =
                device.waiting.iter().rev().take(MOST_UNFIT).map(|(_, Reverse(id))| *id).collect();
            let before = device.waiting.len();
            for id in next {
                let device = self.devices.get(key);
                if device.room(now).is_full(device.used) {
                    return;
                }
                self.plan(id, now);
            }
            if self.devices.get(key).waiting.len() >= before {
                return;
            }
        }
    }

    /// Have cold flows go for hot ones where room is short.
    pub(super) fn make_room(&mut self, now: Time) -> bool {
        let keys: smallvec::SmallVec<[DeviceKey; 4]> = self
            .devices
            .iter()
            .filter(|(_, d)| !d.waiting.is_empty() && d.dead.is_none())
            .map(|(key, _)| *key)
            .collect();
        let mut worked = false;
        for key in keys {
            for _ in 0..MOST_EVICTIONS {
                let Some((victim, why)) = self.victim(key, now) else { break };
                self.evict(key, victim, why, now);
                worked = true;
            }
            let device = self.devices.get(key);
            if !device.room(now).is_full(device.used) {
                let before = device.waiting.len();
                self.fill(key, now);
                worked |= self.devices.get(key).waiting.len() != before;
            }
        }
        worked
    }

    /// A flow that should go for the hottest that waits, and what there is no room for.
    fn victim(&mut self, key: DeviceKey, now: Time) -> Option<(FlowId, Refusal)> {
        let residence = self.config.residence;
        let device = self.devices.get(key);
        let room = device.room(now);
        device.reluctance.pass(room.least()?, now);
        if !device.reluctance.has_token() {
            return None;
        }
        let (rank, Reverse(coming)) = device.waiting.last().copied()?;
        let coming = self.flows.get(coming)?;
        let why = room.lack(device.used.minus(device.leaving), coming.wants)?;
        let needs_counter = matches!(why, Refusal::CounterTableFull { .. });
        for (cold, id) in device.residents.iter().take(MOST_LOOKED_AT) {
            let Some(going) = self.flows.get(id) else { continue };
            if going.phase != Phase::In || now.since(going.since) < residence || going.removed {
                continue;
            }
            if needs_counter && going.reserved.counters == 0 {
                continue;
            }
            let more = rank.priority > cold.priority
                || rank.priority == cold.priority && device.reluctance.allows(coming.steady(), going.steady());
            if !more {
                return None;
            }
            let evicted = coming.evicted;
            device.reluctance.spend(evicted, now);
            return Some((id, why));
        }
        None
    }

    fn evict(&mut self, key: DeviceKey, id: FlowId, why: Refusal, now: Time) {
        let device = self.devices.get(key);
        device.traffic.evictions += 1;
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.leaving = entry.reserved;
        device.leaving = device.leaving.plus(entry.reserved);
        entry.evicted = Some(now);
        entry.next = Next::Wait(Box::new(smallvec![why]));
        // It stays in its seat, where nobody looks at it again, until it is out.
        self.take_out(id);
    }
}

fn software(plan: Plan) -> Refusals {
    match plan {
        Plan::Software(refusals) => refusals,
        Plan::Full(_) | Plan::Partial { .. } => Refusals::new(),
    }
}

/// Why a flow is in software for which there is no room.
pub(super) fn left_out(plan: Plan, refusal: Refusal) -> Refusals {
    match plan {
        Plan::Full(_) => smallvec![refusal],
        Plan::Partial { refused: mut refusals, .. } | Plan::Software(mut refusals) => {
            crate::plan::add(&mut refusals, refusal);
            refusals
        }
    }
}

/// The plan with the mark that software knows packets by of which hardware does the first actions. Marks are not for flows that
/// may never go in, so this is asked last.
pub(super) fn known(plan: Plan, flow: &Arc<DpFlow>, world: &World, devices: &Devices, sink: &dyn HitSink) -> Plan {
    let (mut program, resume, done, mut refused) = match plan {
        Plan::Partial { program, resume, done: done @ 1.., refused } => (program, resume, done, refused),
        other => return other,
    };
    if let Some(mark) = sink.rest_mark(flow, done) {
        program.mark_with(mark);
        return Plan::Partial { program, resume, done, refused };
    }
    crate::plan::add(&mut refused, Refusal::NoResume { done });
    let plan = only_mark(flow, world, refused);
    match &plan {
        Plan::Partial { program, .. } => match devices.refusal(program) {
            Some(obstacle) => without(plan, obstacle, flow, world),
            None => plan,
        },
        Plan::Full(_) | Plan::Software(_) => plan,
    }
}

/// The plan without what a refusal that was learned stands in the way of.
fn without(plan: Plan, obstacle: Refusal, flow: &DpFlow, world: &World) -> Plan {
    match (plan, obstacle) {
        (Plan::Full(_), Refusal::Device(error)) if error.kind != DeviceErrorKind::Dead => {
            fall_back(flow, world, smallvec![Refusal::Device(error)])
        }
        (Plan::Full(_), obstacle) => Plan::Software(smallvec![obstacle]),
        (Plan::Partial { program, mut refused, .. }, obstacle) if program.is_prefix() => {
            crate::plan::add(&mut refused, obstacle);
            only_mark(flow, world, refused)
        }
        (Plan::Partial { mut refused, .. } | Plan::Software(mut refused), obstacle) => {
            crate::plan::add(&mut refused, obstacle);
            Plan::Software(refused)
        }
    }
}
