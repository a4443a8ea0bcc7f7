//! What the engine knows of each device: room, health, who waits, and what it refuses.

use crate::backend::{DeviceError, DeviceKey};
use crate::refusal::Refusal;
use crate::rule::{HwProgram, RuleShape};
use crate::world::World;
use flow::dp::FlowId;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Device {
    pub name: String,
    /// Rules in it, or on their way in.
    pub used: u32,
    pub limit: Option<u32>,
    pub dead: Option<DeviceError>,
    /// Flows that found it full, oldest first.
    pub waiting: VecDeque<FlowId>,
}

#[derive(Debug, Default)]
pub(super) struct Devices {
    by_key: BTreeMap<DeviceKey, Device>,
    refused: HashMap<RuleShape, DeviceError>,
}

impl Devices {
    /// Take names and limits from a world, and forget what was learned: the devices may be others now.
    pub fn learn_world(&mut self, world: &World) {
        self.refused.clear();
        for device in self.by_key.values_mut() {
            device.dead = None;
            device.waiting.clear();
        }
        for info in world.ports.values() {
            let device = self.by_key.entry(info.device()).or_default();
            device.name.clone_from(&info.caps.name);
            device.limit = info.caps.max_rules;
        }
    }

    pub fn get(&mut self, key: DeviceKey) -> &mut Device {
        self.by_key.entry(key).or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&DeviceKey, &Device)> {
        self.by_key.iter()
    }

    /// Keep queues for full tables from growing with flows that have ended: at most about as long as there are flows.
    pub fn forget_waiting<T>(&mut self, live: &HashMap<FlowId, T>) {
        const SLACK: usize = 1024;
        for device in self.by_key.values_mut().filter(|d| d.waiting.len() > 2 * live.len() + SLACK) {
            let mut seen = HashSet::new();
            device.waiting.retain(|id| live.contains_key(id) && seen.insert(*id));
        }
    }

    pub fn refused_shapes(&self) -> usize {
        self.refused.len()
    }

    /// Remember a refusal that holds for all rules of a shape.
    pub fn refuse(&mut self, shape: RuleShape, error: &DeviceError, max: usize) {
        if self.refused.len() >= max {
            self.refused.clear();
        }
        self.refused.insert(shape, error.clone());
    }

    /// What is known to stand in the program's way, without asking the device.
    pub fn obstacle(&mut self, key: DeviceKey, program: &HwProgram) -> Option<Refusal> {
        if let Some(error) = program.rules.iter().find_map(|rule| self.refused.get(&rule.shape())) {
            return Some(Refusal::Device(error.clone()));
        }
        let device = self.get(key);
        if let Some(error) = &device.dead {
            return Some(Refusal::Device(error.clone()));
        }
        let limit = device.limit?;
        (device.used + program.rules.len() as u32 > limit).then_some(Refusal::TableFull { used: device.used, limit })
    }
}
