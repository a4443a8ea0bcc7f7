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
    /// Milliseconds since hardware's counters of it were read; none: it has none there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_age_ms: Option<u64>,
    /// Hardware may have switched more packets than it was seen to count: rules went whose last count could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inexact: bool,
}

/// Which datapath flows to list; all that is not said lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpFlowsFilter {
    #[serde(default)]
    pub handled: Option<Handled>,
    /// A reason's name.
    #[serde(default)]
    pub reason: Option<String>,
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

/// The datapath at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpShow {
    /// Datapath flows, and the most that there may be: at present, and as configured. The limit falls when a look at all
    /// flows takes too long.
    pub flows: usize,
    pub flow_limit: usize,
    pub flow_limit_configured: usize,
    /// Milliseconds without a packet after which a flow goes.
    pub max_idle_ms: u64,
    /// Masks of all PMDs, counted for each input port.
    pub masks: usize,
    /// Packets that found a flow, that were translated, and those of them for which no flow could be kept; dropped for the
    /// miss budget.
    pub hit: u64,
    pub missed: u64,
    pub not_kept: u64,
    pub lost: u64,
    /// What revalidation did since the start.
    pub revalidation: Revalidation,
    pub ports: Vec<DpPortView>,
}

/// What revalidation did since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revalidation {
    /// Changes that it was told of, and flows that it translated again for them.
    pub changes: u64,
    pub checked: u64,
    /// Flows removed because they were wrong, and because nobody used them.
    pub removed: u64,
    pub expired: u64,
    /// Removed flows whose mark is not free yet.
    pub marks_waiting: usize,
}

/// A port as the datapath has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpPortView {
    /// The datapath's number.
    pub port: u32,
    pub name: String,
    /// Bytes.
    pub mtu: u16,
    pub numa: u32,
    pub rx_queues: usize,
    pub tx_queues: usize,
    /// PMDs that share a transmit queue with others.
    pub tx_shared: Vec<u32>,
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

/// The signature cache of a PMD and what its tables hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpCaches {
    pub pmd: u32,
    pub cpu: Option<usize>,
    /// Entries in use, and all of them.
    pub used: u64,
    pub capacity: u64,
    /// Packets that it knew and did not know, since statistics were cleared.
    pub hits: u64,
    pub misses: u64,
    /// Flows that found room in it, and flows that pushed out another one's entry.
    pub filled: u64,
    pub replaced: u64,
    /// Tables by input port; none: the PMD did not answer.
    pub tables: Option<Vec<DpTable>>,
}

/// The flows that a PMD knows of one input port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpTable {
    /// None: packets that come again (recirculation), of all ports.
    pub port: Option<String>,
    pub flows: usize,
    pub masks: usize,
    /// Some flow looks deeper than at Ethernet addresses, ethertype and fragment bits.
    pub deep: bool,
    /// One flow only: bursts are compared with it, without the cache.
    pub sole: bool,
    /// How often the fields by which the cache is asked changed: entries from before are not found again.
    pub rehashed: u32,
}

/// Why packets of a PMD were not known, since statistics were cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpMisses {
    /// None: all PMDs.
    pub pmd: Option<u32>,
    /// Not known to the signature cache: `no_entry`, `pushed_out` (its line was full of other flows).
    pub cache: BTreeMap<String, u64>,
    /// Nor to the megaflow table: `new_flow`, `other_pmd`, `one_packet`, `flow_limit`, `marks`, `masks`, `changed`, `budget`.
    pub table: BTreeMap<String, u64>,
    /// Those of the latter whose translation ended in an error.
    pub untranslatable: u64,
}
