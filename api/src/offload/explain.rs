//! Why a flow is handled where it is.

use crate::{DpFlowView, Handled, Reason};
use serde::{Deserialize, Serialize};

/// Why a flow is handled where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub flow: DpFlowView,
    /// Why it is not fully in hardware; empty when it is.
    pub reasons: Vec<Reason>,
    /// The hardware rules that stand for it, as text.
    pub rules: Vec<String>,
    /// How the planner came to its plan, in order.
    #[serde(default)]
    pub steps: Vec<PlanStep>,
    /// Single changes each of which would bring it wholly into hardware; empty when it is, or when there is none.
    #[serde(default)]
    pub would_help: Vec<String>,
}

/// A part of a flow, and where it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Bits of a field that are matched, an action, or the flow as a whole.
    pub what: String,
    /// `hardware` or `software`.
    pub done_by: String,
    /// Why not in hardware, as far as it is this part's fault.
    pub reasons: Vec<Reason>,
}

/// A packet whose way into hardware is to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The packet as ovs-ofctl text of a match: `in_port=1,tcp,nw_dst=10.0.0.1`.
    pub flow: String,
    /// The bridge that it comes to; none: the one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

/// Where a packet that is not there would be handled, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketExplanation {
    pub bridge: String,
    /// The packet's way through the bridge, as text.
    pub trace: String,
    /// One plan for each pass.
    pub passes: Vec<PassExplanation>,
}

/// Where the flow of a pass of a packet is handled: the one that is there, or the one that the packet would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassExplanation {
    /// The datapath flow that has such packets; what follows is of it then. None: no such packet came of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<u64>,
    /// The flow, and what it does, in OVS's form.
    pub megaflow: String,
    pub actions: String,
    pub handled: Handled,
    pub reasons: Vec<Reason>,
    /// The hardware rules that stand for the flow, or that the plan for it has.
    pub rules: Vec<String>,
    pub steps: Vec<PlanStep>,
    pub would_help: Vec<String>,
}
