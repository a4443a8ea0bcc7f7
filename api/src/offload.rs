//! Hardware offload.

use crate::{DpFlowView, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Turn offload on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffloadSet {
    pub enabled: bool,
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
}

/// Why a flow is handled where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub flow: DpFlowView,
    /// Why it is not fully in hardware; empty when it is.
    pub reasons: Vec<Reason>,
    /// The hardware rules that stand for it, as text.
    pub rules: Vec<String>,
}
