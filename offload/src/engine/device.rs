//! What the engine knows of each device: room, health, who is in, who waits, and what it refuses.

use super::lists::Ranked;
use super::rate::Rank;
use super::report::DeviceHealth;
use super::room::{Places, Room};
use crate::backend::{DeviceError, DeviceKey};
use crate::caps::CounterKind;
use crate::refusal::Refusal;
use crate::rule::{HwProgram, HwRule, RuleShape};
use crate::world::{EthdevId, World};
use flow::clock::Time;
use flow::dp::{FlowId, Hits};
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a device is believed to have no more room than it said.
const FULL_FOR: Duration = Duration::from_secs(10);

/// A device that is gone.
#[derive(Clone, Debug)]
pub(super) struct Dead {
    pub error: DeviceError,
    pub since: Time,
    /// When it is asked again.
    pub next: Time,
}

/// What passed in and out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub hits: Hits,
    pub inserts: u64,
    pub removes: u64,
    pub updates: u64,
    pub refused: u64,
    pub evictions: u64,
    /// Inserts of the last whole second, and of the one that began then.
    pub rate: u64,
    second: Time,
    counted: u64,
}

impl Traffic {
    pub fn inserted(&mut self, now: Time) {
        self.turn(now);
        self.inserts += 1;
        self.counted += 1;
    }

    pub fn turn(&mut self, now: Time) {
        let passed = now.since(self.second);
        if passed >= Duration::from_secs(1) {
            self.rate = if passed < Duration::from_secs(2) { self.counted } else { 0 };
            (self.second, self.counted) = (now, 0);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Device {
    pub name: String,
    /// Rules in it, or on their way in, and their counters.
    pub used: Places,
    pub limit: Option<u32>,
    /// Counters that it has.
    pub counters: Option<u32>,
    /// Rules of it that stay free: where counters end with their rules, one that leads packets aside goes in before another goes out.
    spare: u32,
    /// It said that it had no room for more than so many, then.
    full: Option<(u32, Time)>,
    pub dead: Option<Dead>,
    /// How often in a row it died or was busy; how long it is left alone grows with it.
    pub deaths: u32,
    pub busy: u32,
    pub busy_until: Option<(Time, DeviceError)>,
    /// Flows whose counter is looked into, how many more may be at present, and until when more are because some were stuck.
    pub tests: u32,
    pub tested: Time,
    pub suspect_until: Time,
    /// Flows that found it full; the last goes in next.
    pub waiting: BTreeSet<(Rank, Reverse<FlowId>)>,
    /// Flows that have room; the first goes out next.
    pub residents: Ranked,
    /// What leaves for others that carry more.
    pub leaving: Places,
    pub reluctance: super::eviction::Reluctance,
    pub traffic: Traffic,
    /// It cannot replace a rule without a gap.
    pub no_update: bool,
}

impl Device {
    /// Most that it can be believed to take.
    pub fn room(&mut self, now: Time) -> Room {
        self.full = self.full.filter(|(_, since)| now.since(*since) < FULL_FOR);
        let rules = match (self.limit, self.full) {
            (Some(limit), Some((full, _))) => Some(limit.min(full)),
            (limit, full) => limit.or(full.map(|(full, _)| full)),
        };
        Room { rules: rules.map(|rules| rules.saturating_sub(self.spare)), counters: self.counters }
    }

    /// It had no room for rules beside those `used`.
    pub fn found_full(&mut self, used: u32, now: Time) {
        self.full = Some((used, now));
    }

    /// A rule went in: whatever was wrong is over.
    pub fn insert_worked(&mut self, now: Time) {
        self.traffic.inserted(now);
        (self.deaths, self.busy, self.busy_until) = (0, 0, None);
    }

    /// Why it takes no rule at present, whatever rule that is.
    pub fn away(&self, now: Time) -> Option<&DeviceError> {
        let busy = self.busy_until.as_ref().filter(|(until, _)| *until > now).map(|(_, error)| error);
        self.dead.as_ref().map(|dead| &dead.error).or(busy)
    }

    pub fn health(&self, now: Time) -> DeviceHealth {
        match (&self.dead, &self.busy_until) {
            (Some(dead), _) => DeviceHealth::Dead { why: dead.error.to_string(), since: dead.since, next: dead.next },
            (None, Some((until, _))) if *until > now => DeviceHealth::Busy { until: *until, times: self.busy },
            _ => DeviceHealth::Works,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Devices {
    /// In the order of their keys; there are few.
    by_key: Vec<(DeviceKey, Device)>,
    refused: HashMap<RuleShape, DeviceError>,
}

impl Devices {
    /// Take names and limits from a world, and forget what was learned: the devices may be others now. One that is dead is asked at
    /// once: what was under way when it died may still be done until it has said that it works again.
    pub fn learn_world(&mut self, world: &World) {
        self.refused.clear();
        for (_, device) in &mut self.by_key {
            device.deaths = 0;
            if let Some(dead) = &mut device.dead {
                dead.next = Time(0);
            }
            (device.busy_until, device.busy) = (None, 0);
            (device.full, device.no_update) = (None, false);
        }
        for info in world.ports.values() {
            let device = self.get(info.device());
            device.name.clone_from(&info.caps.name);
            (device.limit, device.counters) = (info.caps.max_rules, info.caps.limits.counters);
            let transfer = info.caps.transfer.as_ref();
            device.spare = transfer.is_some_and(|t| t.counter == CounterKind::PerRule && t.can_guard()).into();
        }
    }

    pub fn get(&mut self, key: DeviceKey) -> &mut Device {
        let at = self.by_key.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
            let at = self.by_key.partition_point(|(k, _)| *k < key);
            self.by_key.insert(at, (key, Device::default()));
            at
        });
        &mut self.by_key[at].1
    }

    pub fn iter(&self) -> impl Iterator<Item = (&DeviceKey, &Device)> {
        self.by_key.iter().map(|(key, device)| (key, device))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&DeviceKey, &mut Device)> {
        self.by_key.iter_mut().map(|(key, device)| (&*key, device))
    }

    pub fn refused_shapes(&self) -> usize {
        self.refused.len()
    }

    /// Rules that were refused whatever their values: those of packets that come in by `port`, with 0 for each value.
    pub fn refused(&self, port: EthdevId) -> Vec<(HwRule, DeviceError)> {
        let here = self.refused.iter().filter(|(shape, _)| shape.rule().port == port);
        here.map(|(shape, error)| (shape.rule().clone(), error.clone())).collect()
    }

    /// Remember a refusal that holds for all rules of a shape.
    pub fn refuse(&mut self, shape: RuleShape, error: &DeviceError, max: usize) {
        if self.refused.len() >= max {
            self.refused.clear();
        }
        self.refused.insert(shape, error.clone());
    }

    /// What was learned that stands in the program's way.
    pub fn refusal(&self, program: &HwProgram) -> Option<Refusal> {
        if self.refused.is_empty() {
            return None;
        }
        let error = program.rules.iter().find_map(|rule| self.refused.get(&rule.shape()))?;
        Some(Refusal::Device(error.clone()))
    }
}
