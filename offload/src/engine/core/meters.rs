//! Meters of devices: there before the rules that go through them, and taken out after them.
//!
//! What is wanted comes from outside, with a place for each meter or the reason why it has none. The planner is told of those that
//! *are* in a device ([`crate::World::meters`]), so no rule asks for one that is not. A meter that is no longer wanted is first
//! taken from the planner, which moves its flows; when no rule of a flow is left that goes through it, it goes. New rates go to the
//! device while rules stay.

use super::Core;
use crate::backend::{DeviceError, DeviceErrorKind, DeviceKey, MeterCounts};
use crate::refusal::MeterObstacle;
use crate::rule::{HwAction, HwRule};
use crate::world::{WantedMeter, World};
use flow::clock::Time;
use flow::dp::{DpAction, FlowId, MeterId};
use flow::meter::MeterSpec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often meters are read when nobody asks.
const READ: Duration = Duration::from_secs(1);

/// Not before something changes.
const NEVER: Time = Time(u64::MAX);

/// A meter that is in a device.
#[derive(Clone, Debug)]
struct There {
    device: DeviceKey,
    spec: Arc<MeterSpec>,
    /// At the last reading.
    counts: MeterCounts,
}

#[derive(Clone, Debug, Default)]
struct Meter {
    wanted: Option<WantedMeter>,
    there: Option<There>,
    /// Why the device does not have it.
    obstacle: Option<MeterObstacle>,
    /// When it is looked at again.
    due: Time,
    tries: u32,
    /// The device has had another meter than the one that is wanted, since this point in the order of changes.
    stale: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Meters {
    by_id: HashMap<MeterId, Meter>,
    /// When one of them is to be looked at.
    next: Time,
    read: Time,
    /// None is to be in a device: offload is off.
    off: bool,
}

impl Meter {
    /// Where it is to be, and how.
    fn place(&self) -> Option<(DeviceKey, &Arc<MeterSpec>)> {
        let WantedMeter { spec, place } = self.wanted.as_ref()?;
        Some((*place.as_ref().ok()?, spec))
    }

    fn is_as_wanted(&self) -> bool {
        match (&self.there, self.place()) {
            (Some(there), Some((device, spec))) => there.device == device && there.spec == *spec,
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether rules may go through it: it is where it is to be. New rates are on their way meanwhile.
    fn is_open(&self) -> bool {
        let place = self.place().map(|(device, _)| device);
        self.obstacle.is_none() && self.there.as_ref().is_some_and(|there| Some(there.device) == place)
    }
}

impl Core {
    /// From now on these meters are wanted.
    pub fn want_meters(&mut self, mut wanted: HashMap<MeterId, WantedMeter>) {
        if self.wishes.flush {
            wanted.clear();
        }
        let all: HashSet<MeterId> = wanted.keys().chain(self.meters.by_id.keys()).copied().collect();
        for id in all {
            let want = wanted.remove(&id);
            let meter = self.meters.by_id.entry(id).or_default();
            if meter.wanted != want {
                meter.wanted = want;
                self.look_at_meter(id);
            }
        }
        self.show_meters();
    }

    /// The world is another: what was refused may be taken.
    pub(super) fn meters_anew(&mut self) {
        let refused = self.meters.by_id.iter().filter(|(_, meter)| meter.obstacle.is_some());
        let refused: Vec<MeterId> = refused.map(|(id, _)| *id).collect();
        refused.into_iter().for_each(|id| self.look_at_meter(id));
        self.meters.next = Time(0);
        self.show_meters();
    }

    /// What stood in its way may be over; and where the device has another one, changes are not done before it has not.
    fn look_at_meter(&mut self, id: MeterId) {
        let Some(meter) = self.meters.by_id.get_mut(&id) else { return };
        (meter.obstacle, meter.due, meter.tries) = (None, Time(0), 0);
        self.meters.next = Time(0);
        if meter.there.is_none() || meter.is_as_wanted() {
            self.meter_no_longer_stale(id);
        } else if meter.stale.is_none() {
            meter.stale = Some(self.next_stale);
            self.stale.insert(self.next_stale, None);
            self.next_stale += 1;
        }
    }

    /// Tell the planner which meters are in a device, and why others are not; flows of which that changes are planned again.
    pub(super) fn show_meters(&mut self) {
        let off = self.is_off();
        let (before, reasons) = (self.world.meters.clone(), self.world.meter_obstacles.clone());
        let Core { meters, world, .. } = self;
        // What a world says of others stays as it says.
        for (id, meter) in &meters.by_id {
            world.meters.remove(id);
            world.meter_obstacles.remove(id);
            match (&meter.there, &meter.wanted) {
                (Some(there), _) if meter.is_open() && !off => {
                    world.meters.insert(*id, there.device);
                }
                (_, Some(WantedMeter { spec, place })) => {
                    let why = place.as_ref().err().or(meter.obstacle.as_ref());
                    let why = why.cloned().unwrap_or(MeterObstacle::Moving);
                    world.meter_obstacles.insert(*id, (spec.id, why));
                }
                (_, None) => {}
            }
        }
        let after = &self.world;
        let ids = before.keys().chain(after.meters.keys()).chain(reasons.keys()).chain(after.meter_obstacles.keys());
        let changed = ids.filter(|id| {
            before.get(*id) != after.meters.get(*id) || reasons.get(*id) != after.meter_obstacles.get(*id)
        });
        let changed: Vec<MeterId> = changed.copied().collect();
        if !changed.is_empty() {
            let through = self.flows.values().filter(|e| e.flow.actions.iter().any(|a| names_any(a, &changed)));
            self.replan.extend(through.map(|entry| entry.flow.id));
        }
    }

    fn is_off(&self) -> bool {
        self.wishes.flush || self.world.admission.is_off()
    }

    /// The planner's view of meters, for a world that is planned with elsewhere.
    pub fn tell_meters(&self, world: &mut World) {
        world.meters.clone_from(&self.world.meters);
        world.meter_obstacles.clone_from(&self.world.meter_obstacles);
    }

    /// Do what is due. Calls of meters wait for the device.
    pub(super) fn step_meters(&mut self, now: Time) -> bool {
        if self.meters.by_id.is_empty() {
            return false;
        }
        if now >= self.meters.read.after(READ) {
            self.read_meters();
            self.meters.read = now;
        }
        let off = self.is_off();
        if std::mem::replace(&mut self.meters.off, off) != off {
            self.meters.next = Time(0);
            self.show_meters();
        }
        if now < self.meters.next {
            return false;
        }
        let (mut work, mut next) = (Vec::new(), NEVER);
        for (id, meter) in &self.meters.by_id {
            let gone = meter.wanted.is_none() && meter.there.is_none();
            let wrong = if off { meter.there.is_some() } else { !meter.is_as_wanted() || meter.obstacle.is_some() };
            if gone || wrong && meter.due <= now {
                work.push(*id);
            } else if wrong {
                next = next.min(meter.due);
            }
        }
        // The first one first where there is no room for all.
        work.sort_unstable_by_key(|id: &MeterId| id.0);
        // What is worked on now is looked at once more.
        self.meters.next = if work.is_empty() { next } else { Time(0) };
        let mut worked = false;
        for id in work {
            worked |= self.step_meter(id, off, now);
        }
        if worked {
            self.show_meters();
        }
        worked
    }

    fn step_meter(&mut self, id: MeterId, off: bool, now: Time) -> bool {
        let Some(meter) = self.meters.by_id.get_mut(&id) else { return false };
        // One that was refused is out of the way until it is asked for again.
        let place = if off { None } else { meter.place().map(|(device, spec)| (device, Arc::clone(spec))) };
        match (meter.there.as_ref().map(|there| there.device), place) {
            (None, None) => {
                meter.obstacle = None;
                if meter.wanted.is_none() {
                    self.meters.by_id.remove(&id);
                }
                true
            }
            (None, Some((device, spec))) => self.put_meter(id, device, spec, now),
            (Some(there), Some((device, spec))) if there == device && meter.obstacle.is_none() => {
                self.read_meter(id);
                self.put_meter(id, device, spec, now)
            }
            (Some(device), _) => self.take_meter_out(id, device, now),
        }
    }

    /// Put a meter in, or give it new rates.
    fn put_meter(&mut self, id: MeterId, device: DeviceKey, spec: Arc<MeterSpec>, now: Time) -> bool {
        if self.devices.get(device).dead.is_some() {
            if let Some(meter) = self.meters.by_id.get_mut(&id) {
                meter.due = NEVER;
            }
            return false;
        }
        let ports = || self.world.ports.values().filter(|info| info.device() == device);
        let (Some(port), Some(limit)) = (ports().map(|p| p.ethdev).min(), ports().next().map(|p| p.caps.meter_room()))
        else {
            return self.meter_refused(id, MeterObstacle::Moving, now.after(self.config.retry_interval));
        };
        let there = self.meters.by_id.get(&id).and_then(|meter| meter.there.as_ref());
        if there.is_none() {
            let used = self.meters.by_id.values().filter_map(|m| m.there.as_ref()).filter(|t| t.device == device);
            if used.count() >= limit as usize {
                return self.meter_refused(id, MeterObstacle::Full { limit }, NEVER);
            }
        }
        match self.backend.set_meter(port, id, &spec) {
            Ok(()) => {
                let Some(meter) = self.meters.by_id.get_mut(&id) else { return true };
                let counts = match &meter.there {
                    Some(there) => there.counts,
                    // One that an earlier run left has counted already.
                    None => self.backend.meter_counts(id).unwrap_or_default(),
                };
                meter.there = Some(There { device, spec, counts });
                (meter.obstacle, meter.tries) = (None, 0);
                self.meter_no_longer_stale(id);
                true
            }
            Err(error) if error.kind == DeviceErrorKind::Dead => {
                self.device_died(device, &error, now);
                true
            }
            Err(error) => {
                let tries = self.meters.by_id.get_mut(&id).map_or(1, |meter| {
                    meter.tries += 1;
                    meter.tries
                });
                let again = match error.kind {
                    // It would be the same again.
                    kind if kind.is_of_shape() => NEVER,
                    _ => self.dice.back_off(now, self.config.slow_retry, tries, self.config.longest_retry),
                };
                self.meter_refused(id, MeterObstacle::Refused(error), again)
            }
        }
    }

    /// It is in software until then; where the device has it with other rates, it goes.
    fn meter_refused(&mut self, id: MeterId, why: MeterObstacle, again: Time) -> bool {
        let Some(meter) = self.meters.by_id.get_mut(&id) else { return false };
        let changed = meter.obstacle.as_ref() != Some(&why);
        meter.obstacle = Some(why);
        // A meter with the wrong rates is looked at until it is out.
        meter.due = if meter.there.is_some() { Time(0) } else { again };
        changed
    }

    fn take_meter_out(&mut self, id: MeterId, device: DeviceKey, now: Time) -> bool {
        // Flows that are to leave it are planned in this step, and leave by and by.
        if self.devices.get(device).dead.is_some() || !self.replan.is_empty() || self.is_metered(id) {
            return false;
        }
        self.read_meter(id);
        match self.backend.remove_meter(id) {
            Err(error) if error.kind == DeviceErrorKind::Dead => self.device_died(device, &error, now),
            // A rule of an earlier run may go through it still.
            Err(error) if error.kind != DeviceErrorKind::NotFound => {
                let Some(meter) = self.meters.by_id.get_mut(&id) else { return false };
                meter.tries += 1;
                meter.due = self.dice.back_off(now, self.config.retry_interval, meter.tries, self.config.longest_retry);
                if let Some(point) = meter.stale {
                    self.stale.insert(point, Some(error.clone()));
                }
            }
            Ok(()) | Err(_) => {
                if let Some(meter) = self.meters.by_id.get_mut(&id) {
                    (meter.there, meter.tries) = (None, 0);
                    // One whose new rates were refused is tried from time to time.
                    meter.due = match &meter.obstacle {
                        Some(MeterObstacle::Refused(error)) if error.kind.is_of_shape() => NEVER,
                        Some(MeterObstacle::Refused(_)) => now.after(self.config.slow_retry),
                        _ => Time(0),
                    };
                }
                self.meter_no_longer_stale(id);
                self.meters_have_room(device);
            }
        }
        true
    }

    fn meter_no_longer_stale(&mut self, id: MeterId) {
        if let Some(point) = self.meters.by_id.get_mut(&id).and_then(|meter| meter.stale.take()) {
            self.stale.remove(&point);
        }
    }

    fn meters_have_room(&mut self, device: DeviceKey) {
        self.meters.next = Time(0);
        for meter in self.meters.by_id.values_mut() {
            let full = match &meter.obstacle {
                Some(MeterObstacle::Full { .. }) => true,
                Some(MeterObstacle::Refused(error)) => error.kind == DeviceErrorKind::TableFull,
                _ => false,
            };
            if full && meter.place().is_some_and(|(place, _)| place == device) {
                meter.due = Time(0);
            }
        }
    }

    /// Whether a rule of a flow goes through it.
    fn is_metered(&self, id: MeterId) -> bool {
        self.flows.values().any(|entry| entry.rules.iter().chain(&entry.coming).any(|i| goes_through(&i.rule, id)))
    }

    /// All meters of a device are gone, with what they counted since they were last read.
    pub(super) fn meters_died(&mut self, device: DeviceKey, error: &DeviceError) {
        let here = |meter: &Meter| meter.there.as_ref().is_some_and(|there| there.device == device);
        let gone: Vec<MeterId> = self.meters.by_id.iter().filter(|(_, m)| here(m)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(meter) = self.meters.by_id.get_mut(&id) {
                (meter.there, meter.obstacle) = (None, Some(MeterObstacle::Refused(error.clone())));
                meter.due = Time(0);
            }
            self.meter_no_longer_stale(id);
        }
        self.meters.next = Time(0);
        self.show_meters();
    }

    /// A device that was dead works again, and has no meter.
    pub(super) fn meters_back(&mut self, device: DeviceKey) {
        for meter in self.meters.by_id.values_mut() {
            if meter.place().is_some_and(|(place, _)| place == device) {
                (meter.due, meter.tries) = (Time(0), 0);
            }
        }
        self.meters.next = Time(0);
    }

    /// The device did not find what a rule asks for. It may be its meter, which is put in once more then.
    pub(super) fn meter_missed(&mut self, flow: FlowId, error: &DeviceError) {
        let Some(entry) = self.flows.get(flow).filter(|_| error.kind == DeviceErrorKind::NotFound) else { return };
        let Some(id) = entry.rules.last().and_then(|i| i.rule.actions.iter().find_map(metered)) else { return };
        let Some(there) = self.meters.by_id.get(&id).and_then(|meter| meter.there.clone()) else { return };
        let ports = self.world.ports.values().filter(|info| info.device() == there.device);
        if let Some(port) = ports.map(|info| info.ethdev).min() {
            // The rule is tried again in any case.
            let _ = self.backend.set_meter(port, id, &there.spec);
        }
    }

    /// Read all meters, and tell what has come since.
    pub fn read_meters(&mut self) {
        let there: Vec<MeterId> =
            self.meters.by_id.iter().filter(|(_, meter)| meter.there.is_some()).map(|(id, _)| *id).collect();
        there.into_iter().for_each(|id| self.read_meter(id));
    }

    fn read_meter(&mut self, id: MeterId) {
        let Some(there) = self.meters.by_id.get_mut(&id).and_then(|meter| meter.there.as_mut()) else { return };
        // A reading that fails is none: the next one tells all.
        let Ok(counts) = self.backend.meter_counts(id) else { return };
        let hits = counts.since(&there.counts);
        there.counts = counts;
        if hits != MeterCounts::default() {
            self.sink.meter_hits(id, hits);
        }
    }
}

fn metered(action: &HwAction) -> Option<MeterId> {
    match action {
        HwAction::Meter(id) => Some(*id),
        _ => None,
    }
}

fn goes_through(rule: &HwRule, id: MeterId) -> bool {
    rule.actions.iter().any(|action| metered(action) == Some(id))
}

fn names_any(action: &DpAction, ids: &[MeterId]) -> bool {
    match action {
        DpAction::Meter(id) => ids.contains(id),
        DpAction::Clone(list) => list.iter().any(|action| names_any(action, ids)),
        _ => false,
    }
}
