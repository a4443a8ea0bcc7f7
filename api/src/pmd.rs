//! PMD threads and the receive queues that they poll.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A PMD as it is, with what it counted since statistics were cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PmdView {
    pub pmd: u32,
    /// The CPU that its thread is pinned to; none: any.
    pub cpu: Option<usize>,
    /// NUMA node of that.
    pub numa: u32,
    /// It polls queues only that are pinned to its CPU.
    pub isolated: bool,
    /// Receive queues that it polls.
    pub rxqs: usize,
    /// Megaflows in its table, and their masks, counted for each input port.
    pub flows: u64,
    pub masks: u64,
    /// Entries of its signature cache in use, and all of them.
    pub cache_used: u64,
    pub cache_capacity: u64,
    pub rx_packets: u64,
    pub tx_packets: u64,
    /// How packets found their flow: `mark_hit`, `cache_hit`, `megaflow_hit`, `miss`.
    pub lookups: BTreeMap<String, u64>,
    /// Subtables probed in the megaflow table, for hits and misses.
    pub subtables_probed: u64,
    /// What became of misses: `installed`, `adopted` (another PMD had the flow), `uncacheable`, `refused_limit`,
    /// `refused_marks`, `refused_stale`.
    pub misses: BTreeMap<String, u64>,
    /// Drops by reason; reasons that never happened are left out.
    pub drops: BTreeMap<String, u64>,
    /// Cycles in polls that found packets, and in those that found none.
    pub busy_cycles: u64,
    pub idle_cycles: u64,
    /// Busy cycles by stage of the work on packets; measured for one burst in 16 and scaled.
    pub stages: BTreeMap<String, u64>,
    /// Percent of cycles in the last minute that were busy; none when nothing was measured yet.
    pub load: Option<u64>,
}

/// A receive queue and who polls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxqView {
    pub port: String,
    pub queue: u16,
    /// None: nobody polls it, since all PMDs are isolated.
    pub pmd: Option<u32>,
    /// The CPU that it is pinned to.
    pub pin: Option<usize>,
    /// No PMD runs on that CPU, so the queue is assigned as if it were not pinned.
    #[serde(default)]
    pub pin_failed: bool,
    /// Its PMD is on another NUMA node than its device.
    #[serde(default)]
    pub crosses_numa: bool,
    /// It is on its way to its PMD.
    #[serde(default)]
    pub moving: bool,
    /// Packets received since the port was added.
    pub packets: u64,
    /// Percent of its PMD's cycles in the last minute; none when nothing was measured yet.
    pub usage: Option<u64>,
}

/// The answer to a new assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebalanced {
    /// Queues that go to another PMD.
    pub moved: usize,
}

/// That a request was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}
