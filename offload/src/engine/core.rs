//! The state machine. One operation per flow is under way at a time, so that a flow's operations keep their
//! order with any backend.

mod admission;
mod completions;
mod foresee;
pub(super) mod headers;
mod meters;
mod moving;
mod questions;
mod reading;
mod reasons;
mod restart;
mod trouble;

use super::device::Devices;
use super::entry::PlaceOf;
use super::lists::{Due, Flows};
use super::policy::{DemotionId, Policy, Which, Wishes};
use super::report::{FlowRate, HitSink};
use super::{EngineConfig, FenceTicket, NOT_REACHED};
use crate::backend::{Backend, Completion, DeviceError, Op, OpId};
use crate::numbered::Numbered;
use crate::world::{WantedMeter, World};
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, MeterId};
use flow::port::DpPort;
use hashbrown::{HashMap, HashSet};
use restart::Orphans;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What comes through the inbox.
pub(super) enum Event {
    Added(Arc<DpFlow>),
    Removed(Arc<DpFlow>),
    World(Box<World>),
    Meters(std::collections::HashMap<MeterId, WantedMeter>),
    Rates(Time, Vec<FlowRate>),
    Refresh,
    Fence(FenceTicket),
}

/// What an operation under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Insert(FlowId),
    Update(FlowId),
    Remove(FlowId),
    Query(FlowId),
    /// Takes a rule of an earlier run out.
    Orphan(crate::backend::RuleKey),
}

/// Lists of software rates that wait to be looked at; the oldest goes when there are more.
const MOST_RATES: usize = 64;
/// Rates that one step looks at, for each other thing of its batch.
const RATES_A_STEP: usize = 8;

pub(super) struct Core {
    config: EngineConfig,
    world: World,
    wishes: Wishes,
    next_demotion: u64,
    backend: Box<dyn Backend>,
    sink: Arc<dyn HitSink>,
    flows: Flows,
    /// Who has each place in hardware, and who waits for it.
    places: HashMap<PlaceOf, FlowId>,
    place_wanted: HashMap<PlaceOf, Vec<FlowId>>,
    orphans: Orphans,
    devices: Devices,
    meters: meters::Meters,
    headers: headers::Headers,
    /// Changes, and readings of counters, that the backend has not taken yet.
    outbox: VecDeque<Op>,
    readings: VecDeque<Op>,
    in_flight: Numbered<Doing>,
    /// Operations on devices that have died since: their completions mean nothing.
    abandoned: HashSet<OpId>,
    done: Vec<Completion>,
    /// Flows to plan again.
    replan: BTreeSet<FlowId>,
    /// Flows that wait for a time: to be planned again, or to have a stuck rule taken out.
    later: BTreeSet<(Time, FlowId)>,
    /// Counters that are to be read.
    queries: Due,
    /// When devices are asked again which rules are idle, and how many they told of.
    ages_due: Time,
    idle_hints: u64,
    rates: VecDeque<(Time, std::vec::IntoIter<FlowRate>)>,
    /// Stale rules that are not out yet, by their point in the order of changes; why, where the device resists.
    stale: BTreeMap<u64, Option<DeviceError>>,
    fences: Vec<FenceTicket>,
    next_op: u64,
    next_rule: u64,
    next_stale: u64,
    dice: trouble::Dice,
    counter_anomalies: u64,
    inexact_counts: u64,
    unknown_completions: u64,
    lost_rules: u64,
    missed_rules: u64,
    stuck_counters: u64,
}

impl Core {
    pub fn new(config: EngineConfig, world: World, mut backend: Box<dyn Backend>, sink: Arc<dyn HitSink>) -> Core {
        let found = backend.adopt(config.cookie);
        let next_rule = found.iter().map(|o| o.key.0 + 1).max().unwrap_or(1);
        let wishes = Wishes { given: world.admission.clone(), ..Wishes::default() };
        let mut devices = Devices::default();
        devices.learn_world(&world);
        let mut headers = headers::Headers::default();
        headers.learn(&world);
        let mut core = Core {
            config,
            world,
            wishes,
            next_demotion: 1,
            backend,
            sink,
            flows: Flows::default(),
            places: HashMap::new(),
            place_wanted: HashMap::new(),
            orphans: Orphans::default(),
            meters: meters::Meters::default(),
            headers,
            devices,
            outbox: VecDeque::new(),
            readings: VecDeque::new(),
            in_flight: Numbered::default(),
            abandoned: HashSet::new(),
            done: Vec::new(),
            replan: BTreeSet::new(),
            later: BTreeSet::new(),
            queries: Due::default(),
            ages_due: Time(0),
            idle_hints: 0,
            rates: VecDeque::new(),
            stale: BTreeMap::new(),
            fences: Vec::new(),
            next_op: 1,
            next_rule,
            next_stale: 1,
            dice: trouble::Dice::new(config.seed),
            counter_anomalies: 0,
            inexact_counts: 0,
            unknown_completions: 0,
            lost_rules: 0,
            missed_rules: 0,
            stuck_counters: 0,
        };
        core.take_over(found);
        core
    }

    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    pub fn is_quiet(&self) -> bool {
        self.outbox.is_empty()
            && self.readings.is_empty()
            && self.in_flight.is_empty()
            && self.replan.is_empty()
            && self.rates.is_empty()
            && self.fences.is_empty()
            && self.headers.is_quiet()
    }

    /// When a waiting flow or counter is due.
    pub fn due(&self) -> Option<Time> {
        let flows = self.later.first().map(|(due, _)| *due).into_iter().chain(self.queries.first());
        let devices = self.devices.iter().filter_map(|(_, device)| device.dead.as_ref().map(|dead| dead.next));
        flows.chain(devices).min()
    }

    pub fn event(&mut self, event: Event, now: Time) {
        match event {
            Event::Added(flow) => self.added(flow, now),
            Event::Removed(flow) => self.removed(&flow, now),
            Event::World(world) => {
                self.wishes.given = world.admission.clone();
                self.world = *world;
                self.devices.learn_world(&self.world);
                self.headers.learn(&self.world);
                self.flows.values_mut().for_each(|entry| entry.held = None);
                self.admit_anew();
                self.meters_anew();
            }
            Event::Meters(wanted) => self.want_meters(wanted),
            Event::Rates(at, rates) => {
                if self.rates.len() >= MOST_RATES {
                    self.rates.pop_front();
                }
                self.rates.push_back((at, rates.into_iter()));
            }
            Event::Refresh => {
                let all: Vec<(Time, FlowId)> = self.queries.all().collect();
                for (due, id) in all {
                    if self.flows.get(id).is_some_and(|entry| entry.query_due == Some(due)) {
                        self.query_at(id, Some(now));
                    }
                }
                self.read_meters();
            }
            Event::Fence(ticket) => self.fences.push(ticket),
        }
    }

    pub fn step(&mut self, now: Time) -> bool {
        let mut worked = self.complete(now);
        worked |= self.step_meters(now);
        for _ in 0..self.config.batch {
            let Some(id) = self.replan.pop_first() else { break };
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
        worked |= self.look_at_rates();
        worked |= self.revive(now);
        worked |= self.make_room(now);
        worked |= self.drop_orphans(now);
        worked |= self.look_at_aged(now);
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
        any | self.offer_headers(now)
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

    /// Changes go before readings, which come again.
    fn submit(&mut self) -> bool {
        let mut taken = 0;
        for queue in [&mut self.outbox, &mut self.readings] {
            let n = queue.len().min(self.config.batch - taken);
            if n == 0 {
                continue;
            }
            let some = self.backend.submit(&queue.make_contiguous()[..n]).min(n);
            queue.drain(..some);
            taken += some;
            if some < n {
                break;
            }
        }
        taken > 0
    }

    fn op(&mut self, doing: Doing) -> OpId {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.in_flight.insert(id.0, doing);
        id
    }

    // Wishes

    pub fn policy(&self) -> &Policy {
        &self.wishes.policy
    }

    pub fn set_policy(&mut self, policy: Policy) {
        self.wishes.policy = policy;
        let Core { wishes, flows, .. } = self;
        for entry in flows.values_mut() {
            entry.hot = wishes.is_hot(entry.pps(), entry.device.is_some());
        }
        self.admit_anew();
    }

    pub fn ports_off(&self) -> &BTreeSet<DpPort> {
        &self.wishes.off
    }

    pub fn switch_port(&mut self, port: DpPort, on: bool) {
        let changed = if on { self.wishes.off.remove(&port) } else { self.wishes.off.insert(port) };
        if !changed {
            return;
        }
        self.world.admission = self.wishes.admission();
        self.replan.extend(self.flows.values().filter(|e| e.flow.in_port() == port).map(|e| e.flow.id));
    }

    pub fn flush(&mut self) {
        self.wishes.flush = true;
        self.admit_anew();
    }

    /// All flows are to be planned with what is wished and known now.
    fn admit_anew(&mut self) {
        self.world.admission = self.wishes.admission();
        self.replan.extend(self.flows.values().map(|entry| entry.flow.id));
    }

    pub fn demote(&mut self, which: Which) -> DemotionId {
        let id = DemotionId(self.next_demotion);
        self.next_demotion += 1;
        self.replan.extend(self.flows.values().filter(|e| which.covers(&e.flow)).map(|e| e.flow.id));
        self.wishes.demotions.insert(id, which);
        id
    }

    pub fn restore(&mut self, id: DemotionId) -> bool {
        let Some(which) = self.wishes.demotions.remove(&id) else { return false };
        self.replan.extend(self.flows.values().filter(|e| which.covers(&e.flow)).map(|e| e.flow.id));
        true
    }
}
