//! OpenFlow rules.

use serde::{Deserialize, Serialize};

/// Rules to add: all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsAdd {
    /// ovs-ofctl text, one flow each.
    pub flows: Vec<String>,
}

/// Rules to change or remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsDelete {
    /// ovs-ofctl text without actions; empty: all rules.
    #[serde(default, rename = "match")]
    pub matching: String,
    /// Only the rule with exactly this match and priority.
    #[serde(default)]
    pub strict: bool,
}

/// One rule as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowView {
    pub table: u8,
    pub priority: u16,
    pub cookie: u64,
    /// ovs-ofctl text of the match.
    #[serde(rename = "match")]
    pub matching: String,
    pub actions: String,
    pub packets: u64,
    pub bytes: u64,
    /// Seconds since it was added.
    pub duration: f64,
    /// The whole rule as `ovs-ofctl dump-flows` prints it.
    pub text: String,
}
