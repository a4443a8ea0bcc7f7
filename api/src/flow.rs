//! OpenFlow rules.

use serde::{Deserialize, Serialize};

/// Rules to add: all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsAdd {
    /// ovs-ofctl text, one flow each.
    pub flows: Vec<String>,
    /// A text may begin with what is to be done, as in a file of `ovs-ofctl add-flows`: `add`, `modify`, `modify_strict`,
    /// `delete` or `delete_strict`, then a space.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub commands: bool,
}

/// Rules whose actions are to change: those that the flow's match covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsModify {
    /// ovs-ofctl text of `mod-flows`. `cookie=V/M` selects, `cookie=V` is the new cookie.
    pub flow: String,
    /// Only the rule with exactly this match and priority.
    #[serde(default)]
    pub strict: bool,
}

/// Rules to remove.
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

/// All rules that a bridge is to have: the others go, those that are the same stay with their counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsReplace {
    /// ovs-ofctl text, one flow each.
    pub flows: Vec<String>,
    /// Only tell what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a replacement changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsReplaced {
    /// `-` and `+` lines in the form of `ovs-ofctl diff-flows`; a rule that changed has both.
    pub changes: Vec<String>,
    /// `None`: a dry run.
    pub ack: Option<crate::Ack>,
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
    /// Milliseconds since hardware's part of `packets` and `bytes` was read, of the flow that was read least lately; none:
    /// hardware switches no packets of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_age_ms: Option<u64>,
    /// Seconds since it was added.
    pub duration: f64,
    /// The whole rule as `ovs-ofctl dump-flows` prints it.
    pub text: String,
}
