//! Tables of a bridge.

use serde::{Deserialize, Serialize};

/// A table as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableView {
    pub table: u8,
    /// Rules in it.
    pub flows: usize,
    /// Packets that were looked up here, and those that a rule matched.
    pub lookups: u64,
    pub matches: u64,
    /// Most rules; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whether a rule is evicted for a new one when the table is full; else the new one is refused.
    #[serde(default)]
    pub eviction: bool,
}

/// What is to change of a table; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSet {
    /// Most rules; 0: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction: Option<bool>,
}
