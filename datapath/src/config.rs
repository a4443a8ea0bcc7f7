//! What can be chosen about a datapath.

use std::time::Duration;

/// Settings of a datapath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most flows at a time; at most [`crate::MAX_FLOWS`]. Packets beyond are translated one by one.
    pub flow_limit: usize,
    /// A flow without a packet for this long, in software and in hardware, is removed.
    pub idle: Duration,
    /// The same while the flow limit is reached.
    pub idle_at_limit: Duration,
    /// Entries of the signature cache of each PMD: 4 bytes each.
    pub cache_entries: usize,
    /// Most packets for controllers that wait in each PMD; more are dropped as `no_controller`. Each holds a buffer.
    pub punt_queue: usize,
    /// Whether somebody reports [`crate::Datapath::hardware_gone`] for every removed flow. If not, marks are free again as
    /// soon as the receive queues have drained.
    pub offload: bool,
    /// Whether PMD threads drop misses as `miss_budget` when another of their queues is backlogged and misses have had their
    /// share of the time (docs/adr/0013). Off: every miss is translated, however long known flows wait.
    pub miss_budget: bool,
    /// How often the revalidator thread looks for changes.
    pub change_interval: Duration,
    /// How often it reads all flows' hits and removes idle flows.
    pub sweep_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            flow_limit: 200_000,
            idle: Duration::from_secs(10),
            idle_at_limit: Duration::from_millis(100),
            cache_entries: 1 << 18,
            punt_queue: 256,
            offload: false,
            miss_budget: true,
            change_interval: Duration::from_millis(1),
            sweep_interval: Duration::from_millis(500),
        }
    }
}
