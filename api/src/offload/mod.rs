//! Hardware offload.

mod capabilities;
mod capture;
mod explain;
mod policy;

pub use capabilities::*;
pub use capture::*;
pub use explain::*;
pub use policy::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Turn offload on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffloadSet {
    pub enabled: bool,
    /// For flows that come in on this port only; none: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// Offload at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadStatus {
    pub enabled: bool,
    /// The device, or why there is none.
    pub device: String,
    pub full: usize,
    pub partial: usize,
    pub software: usize,
    pub pending: usize,
    /// Rules in the device: more than flows, where a flow takes several.
    pub rules: usize,
    /// Flows that are not fully in hardware, by reason.
    pub reasons: BTreeMap<String, usize>,
    /// Things that the device should not have done, by name.
    pub anomalies: BTreeMap<String, u64>,
    /// Shapes of rules that devices refused, and that are not tried again.
    #[serde(default)]
    pub refused_shapes: usize,
    /// Rules that went with packets perhaps uncounted: their flows' figures are inexact.
    #[serde(default)]
    pub inexact_counts: u64,
    /// Idle rules that devices told of by themselves (AGE); each was read at once.
    #[serde(default)]
    pub idle_hints: u64,
    #[serde(default)]
    pub policy: OffloadPolicy,
    /// Changes that wait to be looked at, and operations that the device has not answered yet.
    #[serde(default)]
    pub queued: usize,
    #[serde(default)]
    pub in_flight: usize,
    #[serde(default)]
    pub run: OffloadRun,
    /// Ports whose device takes rules, by name.
    #[serde(default)]
    pub ports: Vec<OffloadPort>,
}

/// What hardware rules are known by over restarts, and what became of those of earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadRun {
    /// Of the state file, in hexadecimal: another one is another instance.
    pub instance: String,
    /// Starts of a daemon on the state file, this one included.
    pub generation: u64,
    /// Flows that took rules of an earlier run over.
    pub adopted: u64,
    /// Rules of an earlier run that nobody has taken over yet.
    pub left_over: usize,
}

/// Offload of the flows that come in on one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadPort {
    pub port: String,
    /// Whose table its rules are in; ports of one eswitch share it.
    pub device: String,
    /// What the device can do, by profile or driver.
    pub profile: String,
    /// How the device is: `works`, or what is wrong with it.
    pub health: String,
    /// Offload is on, for this port too.
    pub enabled: bool,
    pub full: usize,
    pub partial: usize,
    pub software: usize,
    pub pending: usize,
    /// Rules of flows that come in here.
    pub rules: usize,
    /// Rules in the whole device, and its room for rules where that is known.
    pub used: u32,
    pub capacity: Option<u32>,
    /// Packets that hardware switched alone, of the flows that there are.
    pub hits: u64,
    /// The same of the whole device, over all flows that there ever were.
    pub device_hits: u64,
    /// Rules put in over the last second.
    pub insert_rate: u64,
    /// Flows that went out of the device for others that carry more.
    pub evictions: u64,
    /// Flows that wait for room in the device.
    pub queued: usize,
    /// Flows that are not fully in hardware, by reason.
    pub reasons: BTreeMap<String, usize>,
}
