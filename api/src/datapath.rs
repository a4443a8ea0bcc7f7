//! Datapath flows and counters.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where packets of a flow are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handled {
    /// In the NIC, fully.
    Hardware,
    /// Matched in the NIC, acted on in software.
    Partial,
    /// In software.
    Software,
    /// Not decided yet.
    Pending,
}

impl std::fmt::Display for Handled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Handled::Hardware => "hardware",
            Handled::Partial => "partial",
            Handled::Software => "software",
            Handled::Pending => "pending",
        })
    }
}

/// Why a flow is not (fully) in hardware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The reason's name: `TableFull`, `MatchField` ...
    pub name: String,
    /// The reason in words.
    pub message: String,
    /// What would change it.
    pub remedy: String,
}

/// One datapath flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpFlowView {
    pub id: u64,
    /// Key and mask in OVS's form.
    pub flow: String,
    pub actions: String,
    pub handled: Handled,
    pub reasons: Vec<Reason>,
    pub software_packets: u64,
    pub software_bytes: u64,
    pub hardware_packets: u64,
    pub hardware_bytes: u64,
    /// Milliseconds since the last packet was seen.
    pub idle_ms: u64,
    /// Milliseconds since the flow was installed.
    pub age_ms: u64,
}

/// Counters of all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpCounters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    /// Outputs beyond the first of each packet.
    pub copies: u64,
    /// Drops by reason; reasons that never happened are left out.
    pub drops: BTreeMap<String, u64>,
    /// How packets found their flow: `mark_hit`, `mark_unknown`, `cache_hit`, `megaflow_hit`, `miss`; those that never
    /// happened are left out.
    pub lookups: BTreeMap<String, u64>,
    /// What else workers counted: flows installed or refused, polls.
    #[serde(default)]
    pub events: BTreeMap<String, u64>,
    pub flows: usize,
    pub masks: usize,
    /// The CPU's time stamp counter when this was read.
    #[serde(default)]
    pub cycles: u64,
    /// How many of them a second has.
    #[serde(default)]
    pub cycles_per_second: u64,
    /// Cycles that PMDs spent on polls that found packets.
    #[serde(default)]
    pub busy_cycles: u64,
    /// Cycles that PMDs spent on polls that found none.
    #[serde(default)]
    pub idle_cycles: u64,
}
