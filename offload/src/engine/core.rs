//! The state machine. One operation per flow is under way at a time, so that a flow's operations keep their
//! order with any backend.

mod completions;
mod questions;

use super::device::Devices;
use super::entry::{Entry, Installed, Next, Phase, Place, place_of};
use super::report::HitSink;
use super::{EngineConfig, FenceTicket, NOT_REACHED};
use crate::backend::{Backend, Completion, Counters, DeviceErrorKind, DeviceKey, Op, OpId, RuleKey};
use crate::plan::{fall_back, plan};
use crate::refusal::{Refusal, Refusals};
use crate::rule::Plan;
use crate::world::World;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId};
use smallvec::smallvec;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What comes through the inbox.
pub(super) enum Event {
    Added(Arc<DpFlow>),
    Removed(Arc<DpFlow>),
    World(Box<World>),
    Refresh,
    Fence(FenceTicket),
}

/// What an operation under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Insert(FlowId),
    Remove(FlowId),
    Query(FlowId),
    /// Takes a rule of an earlier run out.
    Orphan,
}

/// Waiting flows that are tried in vain before the rest is left for the next time that room is made.
const MOST_UNFIT: usize = 16;

pub(super) struct Core {
    config: EngineConfig,
    world: World,
    backend: Box<dyn Backend>,
    sink: Arc<dyn HitSink>,
    flows: HashMap<FlowId, Entry>,
    /// Who has, and who waits for, each place in hardware.
    places: HashMap<Place, (FlowId, VecDeque<FlowId>)>,
    devices: Devices,
    outbox: VecDeque<Op>,
    in_flight: HashMap<OpId, Doing>,
    /// Operations on devices that have died since: their completions mean nothing.
    abandoned: HashSet<OpId>,
    done: Vec<Completion>,
    /// Flows to plan again.
    replan: VecDeque<FlowId>,
    /// Flows that wait for a time: to be planned again, or to have a stuck rule taken out.
    later: BTreeSet<(Time, FlowId)>,
    queries: BTreeSet<(Time, FlowId)>,
    /// Stale rules that are not out yet, by their point in the order of changes; why, where the device resists.
    stale: BTreeMap<u64, Option<String>>,
    fences: Vec<FenceTicket>,
    next_op: u64,
    next_rule: u64,
    next_stale: u64,
    counter_anomalies: u64,
    inexact_counts: u64,
    unknown_completions: u64,
    lost_rules: u64,
}

impl Core {
    pub fn new(config: EngineConfig, world: World, mut backend: Box<dyn Backend>, sink: Arc<dyn HitSink>) -> Core {
        let orphans = backend.adopt();
        let mut devices = Devices::default();
        devices.learn_world(&world);
        let mut core = Core {
            config,
            world,
            backend,
            sink,
            flows: HashMap::new(),
            places: HashMap::new(),
            devices,
            outbox: VecDeque::new(),
            in_flight: HashMap::new(),
            abandoned: HashSet::new(),
            done: Vec::new(),
            replan: VecDeque::new(),
            later: BTreeSet::new(),
            queries: BTreeSet::new(),
            stale: BTreeMap::new(),
            fences: Vec::new(),
            next_op: 1,
            next_rule: orphans.iter().map(|o| o.key.0 + 1).max().unwrap_or(1),
            next_stale: 1,
            counter_anomalies: 0,
            inexact_counts: 0,
            unknown_completions: 0,
            lost_rules: 0,
        };
        for orphan in orphans {
            let id = core.op(Doing::Orphan);
            core.outbox.push_back(Op::Remove { id, key: orphan.key });
        }
        core
    }

    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    pub fn is_quiet(&self) -> bool {
        self.outbox.is_empty() && self.in_flight.is_empty() && self.replan.is_empty() && self.fences.is_empty()
    }

    /// When a waiting flow or counter is due.
    pub fn due(&self) -> Option<Time> {
        let firsts = [self.later.first(), self.queries.first()];
        firsts.into_iter().flatten().map(|(due, _)| *due).min()
    }

    pub fn event(&mut self, event: Event, now: Time) {
        match event {
            Event::Added(flow) => self.added(flow, now),
            Event::Removed(flow) => self.removed(&flow, now),
            Event::World(world) => {
                self.world = *world;
                self.devices.learn_world(&self.world);
                let mut all: Vec<FlowId> = self.flows.keys().copied().collect();
                // In one order, so that runs repeat.
                all.sort_unstable();
                self.replan = all.into();
            }
            Event::Refresh => {
                let all: Vec<FlowId> = self.queries.iter().map(|(_, id)| *id).collect();
                for id in all {
                    self.query_at(id, Some(now));
                }
            }
            Event::Fence(ticket) => self.fences.push(ticket),
        }
    }

    pub fn step(&mut self, now: Time) -> bool {
        let mut worked = self.complete(now);
        for _ in 0..self.config.batch {
            let Some(id) = self.replan.pop_front() else { break };
            self.world_changed(id, now);
            worked = true;
        }
        if self.replan.is_empty() {
            for ticket in self.fences.drain(..) {
                ticket.0.store(self.next_stale.min(NOT_REACHED - 1), Ordering::Release);
                worked = true;
            }
        }
        worked |= self.wake(now);
        worked |= self.query(now);
        worked |= self.submit();
        // What the backend did at once is done in this step.
        worked | self.complete(now)
    }

    fn complete(&mut self, now: Time) -> bool {
        let mut done = std::mem::take(&mut self.done);
        self.backend.poll(&mut done);
        let any = !done.is_empty();
        for completion in done.drain(..) {
            self.completed(completion, now);
        }
        self.done = done;
        any
    }

    fn wake(&mut self, now: Time) -> bool {
        let mut worked = false;
        for _ in 0..self.config.batch {
            match self.later.first() {
                Some((due, id)) if *due <= now => {
                    let id = *id;
                    self.later.pop_first();
                    self.wait_is_over(id, now);
                    worked = true;
                }
                _ => break,
            }
        }
        worked
    }

    fn query(&mut self, now: Time) -> bool {
        let mut worked = false;
        for _ in 0..self.config.batch {
            let Some((due, id)) = self.queries.first().copied() else { break };
            if due > now {
                break;
            }
            self.queries.pop_first();
            let Some(entry) = self.flows.get_mut(&id) else { continue };
            entry.query_due = None;
            let Some(key) = entry.counted().map(|rule| rule.key) else { continue };
            if entry.busy || entry.phase != Phase::In {
                continue;
            }
            entry.busy = true;
            let op = self.op(Doing::Query(id));
            self.outbox.push_back(Op::Query { id: op, key });
            worked = true;
        }
        worked
    }

    fn submit(&mut self) -> bool {
        let n = self.outbox.len().min(self.config.batch);
        if n == 0 {
            return false;
        }
        let taken = self.backend.submit(&self.outbox.make_contiguous()[..n]).min(n);
        self.outbox.drain(..taken);
        taken > 0
    }

    fn op(&mut self, doing: Doing) -> OpId {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.in_flight.insert(id, doing);
        id
    }

    // Flows

    fn added(&mut self, flow: Arc<DpFlow>, now: Time) {
        let id = flow.id;
        if self.flows.contains_key(&id) {
            return;
        }
        self.flows.insert(id, Entry::new(flow, now));
        self.plan(id, now);
    }

    fn removed(&mut self, flow: &Arc<DpFlow>, now: Time) {
        let Some(entry) = self.flows.get_mut(&flow.id) else {
            return self.sink.hardware_gone(flow);
        };
        if entry.removed {
            return;
        }
        entry.removed = true;
        match entry.phase {
            Phase::Software => self.out(flow.id, now),
            Phase::In => {
                self.mark_stale(flow.id);
                self.take_out(flow.id);
            }
            Phase::Inserting | Phase::Removing => self.mark_stale(flow.id),
        }
    }

    fn mark_stale(&mut self, id: FlowId) {
        if let Some(entry) = self.flows.get_mut(&id)
            && entry.stale.is_none()
        {
            entry.stale = Some(self.next_stale);
            self.stale.insert(self.next_stale, None);
            self.next_stale += 1;
        }
    }

    fn plan(&mut self, id: FlowId, now: Time) {
        if let Some(entry) = self.flows.get(&id) {
            let plan = plan(&entry.flow, &self.world);
            self.carry_out(id, plan, now);
        }
    }

    /// Put a plan's program in, as far as nothing that is known stands in its way. The flow has no rules.
    fn carry_out(&mut self, id: FlowId, mut plan: Plan, now: Time) {
        self.devices.forget_waiting(&self.flows);
        let Some(entry) = self.flows.get_mut(&id) else { return };
        let Some(device) = self.world.ports.get(&entry.flow.in_port()).map(|info| info.device()) else {
            return Self::stay(entry, software(plan), now);
        };
        loop {
            let program = match &plan {
                Plan::Full(program) | Plan::Partial { program, .. } => program,
                Plan::Software(_) => return Self::stay(entry, software(plan), now),
            };
            let Some(obstacle) = self.devices.obstacle(device, program) else { break };
            if matches!(obstacle, Refusal::TableFull { .. }) {
                self.devices.get(device).waiting.push_back(id);
            }
            plan = without(plan, obstacle, &entry.flow, &self.world);
        }
        let (program, full, refusals) = match plan {
            Plan::Full(program) => (program, true, Refusals::new()),
            Plan::Partial { program, refused, .. } => (program, false, refused),
            Plan::Software(refusals) => return Self::stay(entry, refusals, now),
        };
        let Some(main) = program.rules.last() else { return Self::stay(entry, refusals, now) };
        let (owner, waiting) = self.places.entry(place_of(main)).or_insert_with(|| (id, VecDeque::new()));
        if *owner != id {
            // A flow that this one replaces is still there: the device would not know which of the two is meant.
            if !waiting.contains(&id) {
                waiting.push_back(id);
            }
            return;
        }
        entry.phase = Phase::Inserting;
        entry.device = Some(device);
        entry.reserved = program.rules.len() as u32;
        self.devices.get(device).used += entry.reserved;
        (entry.program, entry.full, entry.refusals) = (program, full, refusals);
        entry.next = Next::Replan;
        entry.last = Counters::default();
        entry.since = now;
        self.insert_next(id, now);
    }

    fn stay(entry: &mut Entry, refusals: Refusals, now: Time) {
        if entry.phase != Phase::Software || entry.refusals != refusals {
            entry.since = now;
        }
        entry.phase = Phase::Software;
        entry.refusals = refusals;
    }

    /// Put the next rule of the program in, or be done.
    fn insert_next(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        if let Some(rule) = entry.program.rules.get(entry.rules.len()).cloned() {
            let (key, rule) = (RuleKey(self.next_rule), Arc::new(rule));
            self.next_rule += 1;
            entry.rules.push(Installed { key, rule: Arc::clone(&rule) });
            entry.busy = true;
            let op = self.op(Doing::Insert(id));
            return self.outbox.push_back(Op::Insert { id: op, key, rule });
        }
        entry.phase = Phase::In;
        entry.since = now;
        if entry.counted().is_some() {
            self.query_at(id, Some(now.after(self.config.query_interval)));
        }
    }

    fn query_at(&mut self, id: FlowId, due: Option<Time>) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        if let Some(was) = std::mem::replace(&mut entry.query_due, due) {
            self.queries.remove(&(was, id));
        }
        if let Some(due) = due {
            self.queries.insert((due, id));
        }
    }

    /// Begin or go on taking rules out, the last one first.
    fn take_out(&mut self, id: FlowId) {
        self.query_at(id, None);
        let Some(entry) = self.flows.get_mut(&id) else { return };
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
    fn pop_rule(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        entry.rules.pop();
        if entry.rules.is_empty() {
            self.out(id, now);
        } else {
            self.take_out(id);
        }
    }

    /// The flow has no rule left in hardware.
    fn out(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        entry.phase = Phase::Software;
        entry.since = now;
        entry.replan = false;
        let next = std::mem::replace(&mut entry.next, Next::Replan);
        let reserved = std::mem::take(&mut entry.reserved);
        let full = std::mem::take(&mut entry.found_full);
        let device = entry.device.take();
        let place = if reserved > 0 { entry.place() } else { None };
        if let Some(point) = entry.stale.take() {
            self.stale.remove(&point);
        }
        if entry.removed {
            let flow = Arc::clone(&entry.flow);
            self.flows.remove(&id);
            self.sink.hardware_gone(&flow);
        }
        self.vacate(device, place, reserved, full, id, now);
        let Some(entry) = self.flows.get_mut(&id) else { return };
        match next {
            Next::Replan => self.plan(id, now),
            Next::Stay(refusals) => Self::stay(entry, refusals, now),
            Next::Retry(refusals) => {
                Self::stay(entry, refusals, now);
                self.later.insert((now.after(self.config.retry_interval), id));
            }
            Next::FallBack(refusals) => {
                let plan = fall_back(&entry.flow, &self.world, refusals);
                self.carry_out(id, plan, now);
            }
        }
    }

    /// Give room and place back, and let those go on who wait for them. `full`: the room was never there.
    fn vacate(
        &mut self,
        device: Option<DeviceKey>,
        place: Option<Place>,
        reserved: u32,
        full: bool,
        id: FlowId,
        now: Time,
    ) {
        let Some(key) = device else { return };
        self.devices.get(key).used -= reserved.min(self.devices.get(key).used);
        if let Some(place) = place
            && self.places.get(&place).is_some_and(|(owner, _)| *owner == id)
            && let Some((_, waiting)) = self.places.remove(&place)
        {
            for next in waiting {
                self.try_again(next, now);
            }
        }
        if full {
            return;
        }
        let (mut room, mut unfit) = (reserved, 0);
        while room > 0 && unfit < MOST_UNFIT {
            let Some(next) = self.devices.get(key).waiting.pop_front() else { break };
            if !self.flows.get(&next).is_some_and(|entry| entry.phase == Phase::Software && !entry.removed) {
                continue;
            }
            self.plan(next, now);
            match self.flows.get(&next) {
                Some(entry) if entry.phase == Phase::Inserting => room -= entry.reserved.min(room),
                _ => unfit += 1,
            }
        }
    }

    /// Plan a flow again that waited in software.
    fn try_again(&mut self, id: FlowId, now: Time) {
        if self.flows.get(&id).is_some_and(|entry| entry.phase == Phase::Software && !entry.removed) {
            self.plan(id, now);
        }
    }

    fn wait_is_over(&mut self, id: FlowId, now: Time) {
        match self.flows.get(&id).map(|entry| entry.phase) {
            Some(Phase::Removing) => self.take_out(id),
            Some(Phase::Software) => self.try_again(id, now),
            _ => {}
        }
    }

    /// The world is another than the one that the flow was planned with.
    fn world_changed(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(&id) else { return };
        if entry.removed {
            return;
        }
        match entry.phase {
            Phase::Software => self.plan(id, now),
            Phase::Inserting => {
                entry.replan = true;
                self.mark_stale(id);
            }
            Phase::Removing => entry.next = Next::Replan,
            Phase::In => {
                entry.replan = false;
                let same = match plan(&entry.flow, &self.world) {
                    Plan::Full(program) => entry.full && program == entry.program,
                    Plan::Partial { program, refused, .. } => {
                        let same = !entry.full && program == entry.program;
                        if same {
                            entry.refusals = refused;
                        }
                        same
                    }
                    Plan::Software(_) => false,
                };
                if !same {
                    entry.next = Next::Replan;
                    self.mark_stale(id);
                    return self.take_out(id);
                }
                if let Some(point) = entry.stale.take() {
                    self.stale.remove(&point);
                }
                if entry.query_due.is_none() && !entry.busy && entry.counted().is_some() {
                    self.query_at(id, Some(now.after(self.config.query_interval)));
                }
            }
        }
    }
}

fn software(plan: Plan) -> Refusals {
    match plan {
        Plan::Software(refusals) => refusals,
        Plan::Full(_) | Plan::Partial { .. } => Refusals::new(),
    }
}

/// The plan without what an obstacle stands in the way of.
fn without(plan: Plan, obstacle: Refusal, flow: &DpFlow, world: &World) -> Plan {
    match (plan, obstacle) {
        (Plan::Full(_), Refusal::Device(error)) if error.kind != DeviceErrorKind::Dead => {
            fall_back(flow, world, smallvec![Refusal::Device(error)])
        }
        (Plan::Full(_), obstacle) => Plan::Software(smallvec![obstacle]),
        (Plan::Partial { mut refused, .. } | Plan::Software(mut refused), obstacle) => {
            crate::plan::add(&mut refused, obstacle);
            Plan::Software(refused)
        }
    }
}
