//! Everything at a glance.

use crate::{BridgeView, OffloadStatus, PortView};
use serde::{Deserialize, Serialize};

/// The answer of `show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    pub version: String,
    /// DPDK's own version text.
    pub dpdk: String,
    pub epoch: u64,
    /// Seconds since the daemon started.
    pub uptime: u64,
    /// The mock NIC's profile, when there is one.
    pub mock: Option<String>,
    pub bridges: Vec<BridgeView>,
    pub ports: Vec<PortView>,
    pub offload: OffloadStatus,
}
