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
    /// Seconds for which it has not polled: its thread stands still. None: it polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<u64>,
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

/// How receive queues are assigned to PMDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RxqAssign {
    /// By usage, about as many queues on each PMD.
    #[default]
    Cycles,
    /// By usage, each to the PMD that has the least load by then.
    Group,
    /// In turn.
    RoundRobin,
}

impl RxqAssign {
    /// Its name, as in `pmd-rxq-assign` of Open vSwitch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RxqAssign::Cycles => "cycles",
            RxqAssign::Group => "group",
            RxqAssign::RoundRobin => "roundrobin",
        }
    }
}

/// A change of the settings of PMDs; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PmdSet {
    /// First of all, forget what was set before: what the configuration file says holds again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// CPUs of PMDs, one each: `1-3,5`; `any`: one PMD on any CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// The same as a mask in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_mask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assign: Option<RxqAssign>,
    /// Whether PMDs with pinned queues poll nothing else; heeded with `group` only, as in Open vSwitch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolate: Option<bool>,
    /// Automatic load balancing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_lb: Option<bool>,
    /// Percent of a PMD's cycles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_threshold: Option<u8>,
    /// Percent of the variance of the PMDs' loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub improvement_threshold: Option<u8>,
    /// Minutes between two dry runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u16>,
}

/// Settings of PMDs in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PmdSettings {
    /// CPUs of PMDs; none: one PMD on any CPU.
    pub cpus: Vec<usize>,
    pub assign: RxqAssign,
    pub isolate: bool,
    pub auto_lb: bool,
    /// Percent of a PMD's cycles.
    pub load_threshold: u8,
    /// Percent of the variance of the PMDs' loads.
    pub improvement_threshold: u8,
    /// Minutes between two dry runs.
    pub interval: u16,
    /// What of these was set through the API, by the names of [`PmdSet`]; the rest is as the configuration file says.
    pub set: Vec<String>,
    /// Why the CPUs that were set are not in force: those of the configuration are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The answer to a change of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PmdsChanged {
    /// PMDs that were started, and those that were ended.
    pub started: usize,
    pub ended: usize,
    pub settings: PmdSettings,
}

/// Automatic load balancing: its settings and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoLbView {
    pub on: bool,
    /// Percent of a PMD's cycles.
    pub load_threshold: u8,
    /// Percent of the variance of the PMDs' loads.
    pub improvement_threshold: u8,
    /// Minutes between two dry runs.
    pub interval: u16,
    /// Looks at the PMDs' loads, dry runs, and new assignments since the daemon started.
    pub looks: u64,
    pub dry_runs: u64,
    pub rebalances: u64,
    /// Why the last look did not lead to a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// The last dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<DryRun>,
}

/// A dry run of automatic load balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// Seconds since.
    pub ago: u64,
    /// Variance of the PMDs' loads in percent, as it was and as it was estimated.
    pub variance_before: u64,
    pub variance_after: u64,
    /// Percent by which it would fall.
    pub improvement: u64,
    /// It was carried out.
    pub done: bool,
}

/// What a new assignment of receive queues would bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalancePlan {
    pub pmds: Vec<PlannedLoad>,
    /// Queues that would go to another PMD.
    pub moves: Vec<PlannedMove>,
    /// Variance of the loads, in percent, of the PMDs that are not isolated.
    pub variance_before: u64,
    pub variance_after: u64,
    /// Percent by which it would fall.
    pub improvement: u64,
    /// Why these figures tell little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The load of a PMD by its queues, now and after a new assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLoad {
    pub pmd: u32,
    pub cpu: Option<usize>,
    /// Percent of its cycles in the last minute.
    pub before: u64,
    pub after: u64,
}

/// A queue that would go to another PMD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    pub port: String,
    pub queue: u16,
    /// None: nobody.
    pub from: Option<u32>,
    pub to: Option<u32>,
}

/// That a request was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}
