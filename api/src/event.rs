//! What happened by itself.

use serde::{Deserialize, Serialize};

/// A rule that is gone and was to be told of (`send_flow_rem`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowRemoved {
    /// Counts the events of the daemon from 1; a gap means that some were dropped unread.
    pub number: u64,
    pub bridge: String,
    /// `idle`, `hard`, `delete`, `group_delete`, `meter_delete` or `eviction`.
    pub reason: String,
    pub table: u8,
    pub priority: u16,
    pub cookie: u64,
    /// ovs-ofctl text of the match.
    #[serde(rename = "match")]
    pub matching: String,
    pub packets: u64,
    pub bytes: u64,
    /// Seconds that it was there.
    pub duration: f64,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
}

/// Events after the one that was named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Number of the newest event there is; to be named in the next request.
    pub newest: u64,
    pub flows_removed: Vec<FlowRemoved>,
}
