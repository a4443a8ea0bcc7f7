//! Packets of flows that hardware handles, captured.

use serde::{Deserialize, Serialize};

/// Which packets to capture. Their flows go to software for the time of the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureRequest {
    /// A datapath flow by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<u64>,
    /// ovs-ofctl text of a match.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// The bridge that the match's ports are of; none: the one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

/// A capture that has begun. It ends when it is told to, and when nobody took packets for [`CAPTURE_LEASE_S`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStarted {
    pub id: u64,
    /// What is captured: the match as it was given, or the flow.
    pub matching: String,
    /// Flows that went to software for it.
    pub flows: usize,
}

/// Seconds after which a capture ends of which nobody takes packets.
pub const CAPTURE_LEASE_S: u64 = 5;

/// Packets of a capture, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureTaken {
    pub packets: Vec<CapturePacket>,
    /// Packets that came faster than they could be kept.
    pub lost: u64,
}

/// A packet as it came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePacket {
    /// Nanoseconds since the epoch; in lockstep, since the run began.
    pub at: u64,
    pub port: String,
    /// The bytes, in hexadecimal.
    pub hex: String,
}

/// A capture that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureEnded {
    /// Flows that are free to go into hardware again.
    pub flows: usize,
    pub lost: u64,
}
