//! Meters.

use serde::{Deserialize, Serialize};

/// A meter to add, or to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterText {
    /// ovs-ofctl text: `meter=1,kbps,burst,bands=type=drop,rate=5000,burst_size=5000`.
    pub meter: String,
}

/// Meters to remove, with the rules that go through them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetersDelete {
    /// `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<u32>,
}

/// A meter as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterView {
    pub meter: u32,
    /// As `ovs-ofctl dump-meters` prints it.
    pub text: String,
    /// Rules that go through it.
    pub flow_count: usize,
    /// What came in, software and hardware together.
    pub packets: u64,
    pub bytes: u64,
    /// Seconds since it was added.
    pub duration: f64,
    pub bands: Vec<BandView>,
}

/// A band of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandView {
    /// `drop`, `dscp_remark`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the meter's unit.
    pub rate: u32,
    pub burst_size: u32,
    /// Packets that it acted on.
    pub packets: u64,
    pub bytes: u64,
}

/// What meters can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterFeatures {
    pub max_meter: u32,
    pub max_bands: u32,
    pub max_color: u32,
    pub band_types: Vec<String>,
    pub capabilities: Vec<String>,
}
