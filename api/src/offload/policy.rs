//! Which flows are to go into hardware.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which flows are to go into hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum OffloadPolicy {
    /// All that the devices can take.
    #[default]
    All,
    /// Those that are fast enough.
    Hot(HotPolicy),
    /// Those that come in on these ports.
    Ports { ports: BTreeSet<String> },
    /// None.
    Off,
}

/// What makes a flow fast enough for hardware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotPolicy {
    /// Packets a second from which on a flow goes into hardware.
    pub rate: u64,
    /// Packets a second below which it leaves again; less than `rate`.
    pub cool: u64,
    /// Ports whose flows go first when there is not room for all: the higher, the earlier. Those not named have 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<String, u8>,
}

impl Default for HotPolicy {
    fn default() -> Self {
        HotPolicy { rate: 1000, cool: 500, priorities: BTreeMap::new() }
    }
}

/// The policy, and the ports for which offload is off whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadPolicyView {
    pub policy: OffloadPolicy,
    /// `offload off` was said last: nothing goes into hardware until `offload on`.
    pub enabled: bool,
    pub ports_off: BTreeSet<String>,
}

/// All that is kept of what was said of offload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadWish {
    #[serde(default)]
    pub policy: OffloadPolicy,
    /// Ports for which it is off.
    #[serde(default)]
    pub ports_off: BTreeSet<String>,
}
