//! What a port's device can match and do.

use serde::{Deserialize, Serialize};

/// What the device of a port can match and do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadCapabilities {
    pub port: String,
    pub device: String,
    /// The profile or driver that this is known of.
    pub profile: String,
    /// The tables that rules can be put into; the columns of the rows below.
    pub groups: Vec<CapabilityGroup>,
    pub fields: Vec<CapabilityRow>,
    pub actions: Vec<CapabilityRow>,
    /// What there is only so much of, where that is known.
    pub limits: Vec<CapabilityLimit>,
    /// The capability file that had a say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Rules that the device was asked about at its start.
    #[serde(default)]
    pub asked: usize,
    /// What the driver can do when the port is started otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<CapabilityNeed>,
    /// What was claimed, and the device denied then; it is not in the rows above.
    #[serde(default)]
    pub denied: Vec<CapabilityDenied>,
    /// Shapes of rules of this port that the device refused since, the first [`REFUSED_SHOWN`] of `refused_shapes`. Such rules are
    /// not tried again until ports or capabilities change.
    #[serde(default)]
    pub refused: Vec<CapabilityRefused>,
    #[serde(default)]
    pub refused_shapes: usize,
}

/// Refused shapes that are shown at most.
pub const REFUSED_SHOWN: usize = 16;

/// A rule that the device refused, whatever values are in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRefused {
    /// In testpmd's syntax, with 0 for each value.
    pub rule: String,
    /// The device's words.
    pub why: String,
}

/// What a port must be removed and added again for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityNeed {
    /// Such as `the template engine`.
    pub what: String,
    /// What the port's devargs must have, such as `dv_flow_en=2`.
    pub devargs: String,
    /// The same as a sentence, with what it costs.
    pub advice: String,
}

/// A claim that the device does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityDenied {
    /// Such as `match arp_op (exact), transfer`, `action dec_ttl`, `3 outputs`.
    pub claim: String,
    /// The device's words.
    pub why: String,
}

/// What there is only so much of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityLimit {
    /// Such as `rules`, `priorities`, `outputs per rule`.
    pub name: String,
    pub value: u64,
}

/// A table, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityGroup {
    /// `transfer` (the embedded switch) or `ingress` (packets on their way to software), with group numbers.
    pub name: String,
    /// What flows are that it holds: `hardware` or `partial`.
    pub handles: String,
}

/// One field or action, and what each group makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRow {
    pub name: String,
    /// By group: how freely the field is matched (`any`, `prefix`, `exact`, `-`), whether the action can be done.
    pub groups: Vec<String>,
}
