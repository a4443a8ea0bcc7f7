//! Outer headers of devices: how many different ones there are, and who waits for another one to leave.
//!
//! A header is in a device for as long as a rule with it is in, or on its way in or out. A flow whose rule is to make way for its next
//! one has the header of that one, too. [`Core::choose`] asks for every plan with a header whether there is room, so that no device is
//! asked for more than it has. A flow that finds none stays in software or is marked, and waits: when the last rule with some header
//! is out, the flow that carries most goes in, and all that have the same header with it. None has to go for another one.

use super::Core;
use crate::backend::{DeviceKey, RuleKey};
use crate::engine::entry::{Entry, Next, Phase};
use crate::engine::rate::Rank;
use crate::refusal::Refusal;
use crate::rule::{HwProgram, HwRule, Plan};
use crate::world::{EthdevId, World};
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId};
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Flows that are tried in one device before others get their turn; the rest follows in the next step.
const MOST_TRIED: usize = 16;
/// How long a device is believed to have no room for more headers than it took. Then it is asked for one.
const FULL_FOR: Duration = Duration::from_secs(10);

type Header = Arc<[u8]>;
type Place = (DeviceKey, Header);

/// What a flow has to do with outer headers.
#[derive(Debug, Default)]
pub(in crate::engine) struct Outer {
    /// That of its rule that is in, or on its way.
    held: Option<Place>,
    /// That of the rule that comes next, for which there is room.
    coming: Option<Place>,
    /// What it waits for.
    wanted: Option<(DeviceKey, Header, Rank)>,
}

/// A header in a device.
#[derive(Debug, Default)]
struct There {
    /// Rules that have it.
    rules: u32,
    /// The device took one of them.
    taken: bool,
}

/// A device that had no room.
#[derive(Clone, Copy, Debug)]
struct Full {
    /// Headers that it took.
    taken: u32,
    since: Time,
    /// It may be asked for one more.
    again: bool,
}

#[derive(Debug, Default)]
struct Table {
    limit: Option<u32>,
    full: Option<Full>,
    there: HashMap<Header, There>,
    /// Flows that wait, the last goes in next; and the same by what they wait for.
    waiting: BTreeSet<(Rank, Reverse<FlowId>)>,
    wanted: HashMap<Header, BTreeSet<FlowId>>,
}

impl Table {
    fn used(&self) -> u32 {
        u32::try_from(self.there.len()).unwrap_or(u32::MAX)
    }

    fn taken(&self) -> u32 {
        u32::try_from(self.there.values().filter(|there| there.taken).count()).unwrap_or(u32::MAX)
    }

    /// Most headers that it can be believed to take.
    fn room(&self) -> Option<u32> {
        let full = self.full.map(|full| full.taken.saturating_add(u32::from(full.again)));
        self.limit.into_iter().chain(full).min()
    }

    fn has_room(&self) -> bool {
        self.room().is_none_or(|room| self.used() < room)
    }
}

#[derive(Debug, Default)]
pub(super) struct Headers {
    by_device: BTreeMap<DeviceKey, Table>,
    /// Those of rules of an earlier run. A port that is yet to come is in no device that is known.
    orphans: HashMap<RuleKey, (EthdevId, Header, Option<DeviceKey>)>,
    /// Flows that wait.
    waiting: usize,
    /// Flows whose header came to be there, by way of another flow.
    called: VecDeque<FlowId>,
    /// There may be something for those who wait.
    changed: bool,
    /// When a device is to be asked again that said it was full.
    again: Option<Time>,
}

/// That of a program: only main rules have one.
#[inline]
fn header_of(program: &HwProgram) -> Option<&Header> {
    program.rules.last()?.encap.as_ref()
}

#[inline]
fn planned(plan: &Plan) -> Option<&Header> {
    match plan {
        Plan::Full(program) | Plan::Partial { program, .. } => header_of(program),
        Plan::Software(_) => None,
    }
}

impl Headers {
    /// Take limits from a world, and the devices of ports that have come.
    pub fn learn(&mut self, world: &World) {
        self.again = None;
        for table in self.by_device.values_mut() {
            table.full = None;
        }
        for info in world.ports.values() {
            self.by_device.entry(info.device()).or_default().limit = None;
        }
        for info in world.ports.values() {
            let table = self.by_device.entry(info.device()).or_default();
            table.limit = table.limit.into_iter().chain(info.caps.limits.encap_headers).min();
        }
        let mut found = Vec::new();
        for (port, header, place) in self.orphans.values_mut().filter(|(.., place)| place.is_none()) {
            *place = world.ports.values().find(|info| info.ethdev == *port).map(|info| info.device());
            found.extend(place.map(|device| (device, Arc::clone(header))));
        }
        found.iter().for_each(|place| self.add(place, true));
    }

    pub fn is_quiet(&self) -> bool {
        !self.changed
    }

    /// Headers of a device, and room where it is known.
    pub fn usage(&self, device: DeviceKey) -> (u32, Option<u32>) {
        self.by_device.get(&device).map_or((0, None), |table| (table.used(), table.limit))
    }

    /// One more rule has it.
    fn add(&mut self, (device, header): &Place, taken: bool) {
        let table = self.by_device.entry(*device).or_default();
        let there = table.there.entry(Arc::clone(header)).or_default();
        there.rules += 1;
        there.taken |= taken;
        if there.rules == 1
            && let Some(flows) = table.wanted.get(header)
        {
            self.called.extend(flows);
            self.changed = true;
        }
    }

    /// One rule less has it.
    fn sub(&mut self, (device, header): &Place) {
        let Some(table) = self.by_device.get_mut(device) else { return };
        let Some(there) = table.there.get_mut(header) else { return };
        there.rules -= 1;
        if there.rules == 0 {
            table.there.remove(header);
            self.changed |= !table.waiting.is_empty();
        }
    }

    /// Why no rule can have it.
    fn lack(&self, device: DeviceKey, header: &Header) -> Option<Refusal> {
        let table = self.by_device.get(&device)?;
        let (used, limit) = (table.used(), table.room()?);
        (used >= limit && !table.there.contains_key(header)).then_some(Refusal::EncapTableFull { used, limit })
    }

    /// Its rules make way for others with this header, which get it now. `false`: there is no room for it beside what is there.
    fn book(&mut self, entry: &mut Entry, place: Place) -> bool {
        if self.lack(place.0, &place.1).is_some() {
            return false;
        }
        self.add(&place, false);
        if let Some(before) = entry.outer.get_or_insert_default().coming.replace(place) {
            self.sub(&before);
        }
        true
    }

    /// Its program is going in.
    #[inline]
    pub fn hold(&mut self, entry: &mut Entry, device: DeviceKey) {
        if entry.outer.is_some() || header_of(&entry.program).is_some() {
            self.hold_header(entry, device);
        }
    }

    fn hold_header(&mut self, entry: &mut Entry, device: DeviceKey) {
        let header = header_of(&entry.program);
        let place = header.map(|header| (device, Arc::clone(header)));
        let outer = entry.outer.get_or_insert_default();
        if outer.coming != place {
            place.iter().for_each(|place| self.add(place, false));
            outer.coming.iter().for_each(|place| self.sub(place));
        }
        debug_assert!(outer.held.is_none());
        (outer.held, outer.coming) = (place, None);
    }

    /// Its last rule went in.
    #[inline]
    pub fn taken(&mut self, entry: &Entry) {
        let Some((device, header)) = entry.outer.as_ref().and_then(|outer| outer.held.as_ref()) else { return };
        if entry.rules.last().is_none_or(|rule| rule.rule.encap.is_none()) {
            return;
        }
        let Some(table) = self.by_device.get_mut(device) else { return };
        if let Some(there) = table.there.get_mut(header) {
            there.taken = true;
        }
        // It has room again.
        if table.full.is_some_and(|full| table.taken() > full.taken) {
            table.full = None;
            self.changed = true;
        }
    }

    /// The device had no room for its last rule. Whether that was for the header: it has taken no rule with that before, so it is the
    /// likelier of the two; a full table of rules refuses others, too, and says so then. The flow waits.
    pub fn refused(&mut self, entry: &mut Entry, priority: u8, now: Time) -> bool {
        if entry.rules.last().is_none_or(|rule| rule.rule.encap.is_none()) {
            return false;
        }
        let Some((device, header)) = entry.outer.as_ref().and_then(|outer| outer.held.clone()) else { return false };
        let Some(table) = self.by_device.get_mut(&device) else { return false };
        if table.there.get(&header).is_none_or(|there| there.taken) {
            return false;
        }
        table.full = Some(Full { taken: table.taken(), since: now, again: false });
        let again = now.after(FULL_FOR);
        self.again = Some(self.again.map_or(again, |before| before.min(again)));
        self.wait(entry, device, &header, priority);
        true
    }

    /// Its main rule was replaced.
    pub fn replaced(&mut self, entry: &mut Entry) {
        let Some(outer) = &mut entry.outer else { return };
        let before = std::mem::replace(&mut outer.held, outer.coming.take());
        before.iter().for_each(|place| self.sub(place));
        self.taken(entry);
    }

    /// Its rule with a header is out.
    pub fn let_go(&mut self, entry: &mut Entry) {
        if let Some(held) = entry.outer.as_mut().and_then(|outer| outer.held.take()) {
            self.sub(&held);
        }
    }

    /// Nothing of it comes next.
    pub fn unbook(&mut self, entry: &mut Entry) {
        if let Some(coming) = entry.outer.as_mut().and_then(|outer| outer.coming.take()) {
            self.sub(&coming);
        }
    }

    /// It waits for this header, and for no other.
    fn wait(&mut self, entry: &mut Entry, device: DeviceKey, header: &Header, priority: u8) {
        let rank = Rank::new(priority, entry.steady());
        let same = |(d, h, _): &(DeviceKey, Header, Rank)| *d == device && h == header;
        if entry.outer.as_ref().and_then(|outer| outer.wanted.as_ref()).is_some_and(same) {
            return self.rank(entry, rank);
        }
        self.stop_waiting(entry);
        let id = entry.flow.id;
        let table = self.by_device.entry(device).or_default();
        table.waiting.insert((rank, Reverse(id)));
        table.wanted.entry(Arc::clone(header)).or_default().insert(id);
        entry.outer.get_or_insert_default().wanted = Some((device, Arc::clone(header), rank));
        self.waiting += 1;
    }

    /// It waits no longer. What it waited for.
    pub fn stop_waiting(&mut self, entry: &mut Entry) -> Option<Place> {
        let (device, header, rank) = entry.outer.as_mut()?.wanted.take()?;
        let id = entry.flow.id;
        self.waiting -= 1;
        let table = self.by_device.entry(device).or_default();
        table.waiting.remove(&(rank, Reverse(id)));
        if let Some(flows) = table.wanted.get_mut(&header) {
            flows.remove(&id);
            if flows.is_empty() {
                table.wanted.remove(&header);
            }
        }
        Some((device, header))
    }

    /// Its rate is another.
    pub fn rank(&mut self, entry: &mut Entry, rank: Rank) {
        let id = entry.flow.id;
        let Some((device, _, before)) = entry.outer.as_mut().and_then(|outer| outer.wanted.as_mut()) else { return };
        if let Some(table) = self.by_device.get_mut(device).filter(|_| *before != rank) {
            table.waiting.remove(&(*before, Reverse(id)));
            table.waiting.insert((rank, Reverse(id)));
            *before = rank;
        }
    }

    /// A rule of an earlier run that is in its device.
    pub fn keep_orphan(&mut self, key: RuleKey, rule: &HwRule, world: &World) {
        let Some(header) = &rule.encap else { return };
        let device = world.ports.values().find(|info| info.ethdev == rule.port).map(|info| info.device());
        if let Some(device) = device {
            self.add(&(device, Arc::clone(header)), true);
        }
        self.orphans.insert(key, (rule.port, Arc::clone(header), device));
    }

    /// It is out, or a flow's.
    pub fn drop_orphan(&mut self, key: RuleKey) {
        if let Some((_, header, Some(device))) = self.orphans.remove(&key) {
            self.sub(&(device, header));
        }
    }

    /// Its rules are gone. Those of flows let go by themselves.
    pub fn died(&mut self, device: DeviceKey) {
        let gone: Vec<RuleKey> =
            self.orphans.iter().filter(|(_, (.., place))| *place == Some(device)).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| self.drop_orphan(key));
        if let Some(table) = self.by_device.get_mut(&device) {
            table.full = None;
        }
    }

    /// Devices that were full for a while may have room for one more.
    fn ask_again(&mut self, now: Time) {
        if self.again.is_none_or(|again| again > now) {
            return;
        }
        self.again = None;
        for table in self.by_device.values_mut() {
            let Some(full) = &mut table.full else { continue };
            if now.since(full.since) >= FULL_FOR && !full.again {
                full.again = true;
                self.changed |= !table.waiting.is_empty();
            } else if !full.again {
                let again = full.since.after(FULL_FOR);
                self.again = Some(self.again.map_or(again, |before| before.min(again)));
            }
        }
    }

    /// The flow that goes in next, if there is room.
    fn next(&self, device: DeviceKey) -> Option<FlowId> {
        let table = self.by_device.get(&device).filter(|table| table.has_room())?;
        table.waiting.last().map(|(_, Reverse(id))| *id)
    }
}

impl Core {
    /// Why the device has no room for the plan's header.
    pub(super) fn lacks_header(&self, flow: &DpFlow, plan: &Plan) -> Option<Refusal> {
        let header = planned(plan)?;
        self.headers.lack(self.world.ports.get(&flow.in_port())?.device(), header)
    }

    /// The same. The flow waits for it from now on; if there is room, it waits for none.
    #[inline]
    pub(super) fn wait_for_header(&mut self, id: FlowId, plan: &Plan) -> Option<Refusal> {
        let header = planned(plan);
        if header.is_none() && self.headers.waiting == 0 { None } else { self.wait_or_not(id, plan, header) }
    }

    fn wait_or_not(&mut self, id: FlowId, plan: &Plan, header: Option<&Header>) -> Option<Refusal> {
        let lack = self.lacks_header(&self.flows.get(id)?.flow, plan);
        let entry = self.flows.get_mut(id)?;
        let device = self.world.ports.get(&entry.flow.in_port()).map(|info| info.device());
        match (&lack, header.zip(device)) {
            (Some(_), Some((header, device))) => {
                self.headers.wait(entry, device, header, self.wishes.priority(entry.flow.in_port()));
            }
            _ => drop(self.headers.stop_waiting(entry)),
        }
        lack
    }

    /// The flow's rules are to make way for those of another program: whether its header has room beside theirs.
    pub(super) fn book_header(&mut self, id: FlowId, program: &HwProgram) -> bool {
        let Some(header) = header_of(program) else { return true };
        let Some(entry) = self.flows.get_mut(id) else { return false };
        let Some(info) = self.world.ports.get(&entry.flow.in_port()) else { return false };
        self.headers.book(entry, (info.device(), Arc::clone(header)))
    }

    /// Let flows go on whose header is there, or has room.
    pub(super) fn offer_headers(&mut self, now: Time) -> bool {
        self.headers.ask_again(now);
        if !self.headers.changed {
            return false;
        }
        let mut worked = false;
        for _ in 0..self.config.batch {
            let Some(id) = self.headers.called.pop_front() else { break };
            self.header_came(id, now);
            worked = true;
        }
        let devices: smallvec::SmallVec<[DeviceKey; 4]> = self.headers.by_device.keys().copied().collect();
        for device in &devices {
            for _ in 0..MOST_TRIED {
                let Some(id) = self.headers.next(*device) else { break };
                self.header_came(id, now);
                worked = true;
            }
        }
        let more = devices.iter().any(|device| self.headers.next(*device).is_some());
        self.headers.changed = more || !self.headers.called.is_empty();
        worked
    }

    /// The header that a flow waits for is there, or has room.
    fn header_came(&mut self, id: FlowId, now: Time) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        let Some(place) = self.headers.stop_waiting(entry) else { return };
        match entry.phase {
            Phase::Software => self.try_again(id, now),
            Phase::In => self.world_changed(id, now),
            // What hardware does of it meanwhile is on its way.
            Phase::Inserting => {
                entry.replan = true;
                self.headers.book(entry, place);
            }
            Phase::Updating => entry.replan = true,
            Phase::Removing if matches!(entry.next, Next::Replan | Next::FallBack(_) | Next::Stay(_)) => {
                entry.next = Next::Replan;
                self.headers.book(entry, place);
            }
            // It is planned again by and by.
            Phase::Removing => {}
        }
    }
}

#[cfg(test)]
impl Core {
    /// Let a flow do something else from now on. The datapath never asks for that; that headers are counted does not depend on it.
    pub fn change_flow(&mut self, flow: &Arc<flow::dp::DpFlow>) {
        if let Some(entry) = self.flows.get_mut(flow.id) {
            entry.flow = Arc::clone(flow);
            self.replan.insert(flow.id);
        }
    }
}
