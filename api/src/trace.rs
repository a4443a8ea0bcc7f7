//! What would be done with a packet.

use crate::{Handled, Reason};
use serde::{Deserialize, Serialize};

/// A packet to be followed through a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// The packet as ovs-ofctl text of a match: `in_port=1,tcp,nw_dst=10.0.0.1`. With `packet`, metadata only.
    pub flow: String,
    /// The packet's bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// Learn what the packet teaches: rules of `learn` actions, and addresses of NORMAL. Nothing is sent or counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generate: bool,
}

/// The way of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceView {
    /// In the form of `ovs-appctl ofproto/trace`, and where hardware would handle it.
    pub text: String,
    /// The first pass, and one for each time that the packet or a copy of it would come back from the datapath.
    pub passes: Vec<TracePass>,
}

/// One pass through the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePass {
    /// ovs-ofctl text of the packet as it comes.
    pub flow: String,
    pub steps: Vec<TraceNode>,
    /// The packet as actions leave it; absent when they leave it as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_flow: Option<String>,
    /// What was looked at.
    pub megaflow: String,
    /// What the datapath would do.
    pub actions: String,
    /// Why no copy goes anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// Whether the datapath would keep the flow; else each packet is translated.
    pub cacheable: bool,
    /// Where the flow is handled; where there is none yet, where it would be, as far as that is known: the device may still refuse a rule.
    pub handled: Handled,
    /// Why it is not, or would not be, fully in hardware.
    pub reasons: Vec<Reason>,
}

/// A step and what happens within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceNode {
    /// `bridge`, `table`, `action` ...
    pub kind: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<TraceNode>,
}
