//! Mirrors.

use serde::{Deserialize, Serialize};

/// Copies of a bridge's packets for a watcher (`Mirror` of ovs-vswitchd.conf.db(5)). Ports by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Unique in its bridge.
    pub name: String,
    /// All packets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub select_all: bool,
    /// Packets that came in here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub select_src: Vec<String>,
    /// Packets that go out here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub select_dst: Vec<String>,
    /// Only packets of these VLANs; empty: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub select_vlan: Vec<u16>,
    /// Copies go out here. Nothing else does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_port: Option<String>,
    /// Copies go into this VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_vlan: Option<u16>,
    /// Copies are cut to so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<u16>,
}

impl Mirror {
    /// Whether it selects by this port or copies to it.
    #[must_use]
    pub fn names(&self, port: &str) -> bool {
        self.select_src.iter().chain(&self.select_dst).chain(&self.output_port).any(|p| p == port)
    }
}

/// A mirror as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorView {
    pub bridge: String,
    #[serde(flatten)]
    pub mirror: Mirror,
    /// Packets that were copied.
    pub packets: u64,
    pub bytes: u64,
}
