//! The NIC: eswitch, VFs, representors.

use serde::{Deserialize, Serialize};

/// Mode of an eswitch (devlink-eswitch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EswitchMode {
    Legacy,
    Switchdev,
}

impl std::fmt::Display for EswitchMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EswitchMode::Legacy => "legacy",
            EswitchMode::Switchdev => "switchdev",
        })
    }
}

/// What an eswitch should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EswitchSet {
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub mode: EswitchMode,
    /// Number of VFs; as it is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vfs: Option<u32>,
    /// Plan only.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was, or would be, done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EswitchPlan {
    /// Steps in order; empty when nothing is to do.
    pub steps: Vec<String>,
    /// Whether they were done.
    pub applied: bool,
}

/// An eswitch as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EswitchView {
    pub pf: String,
    pub driver: String,
    pub mode: EswitchMode,
    pub vfs: u32,
    pub max_vfs: u32,
}

/// A VF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfView {
    pub pf: String,
    pub vf: u32,
    /// Its representor's netdev, when there is one.
    pub representor: Option<String>,
    pub mac: Option<String>,
}

/// A representor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepresentorView {
    /// What it stands for: `uplink`, `pf0vf3`.
    pub name: String,
    pub pf: String,
    /// VF number; `None` for the uplink.
    pub vf: Option<u32>,
    pub netdev: String,
    pub ifindex: u32,
    /// Switch port that uses it.
    pub port: Option<String>,
}
