//! Bridges, ports, learned addresses.

use serde::{Deserialize, Serialize};

/// What a bridge does with packets while no controller speaks to it (ovs-vsctl(8), set-fail-mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailMode {
    /// Starts with one rule: NORMAL.
    #[default]
    Standalone,
    /// Starts with no rule: drops all.
    Secure,
}

/// A bridge to make, or one that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// 1 to 15 characters, no slash, no space.
    pub name: String,
    #[serde(default)]
    pub fail_mode: FailMode,
}

/// A bridge as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeView {
    #[serde(flatten)]
    pub bridge: Bridge,
    pub ports: Vec<String>,
    /// Number of rules in all tables.
    pub flows: usize,
    /// Number of learned addresses.
    pub fdb_entries: usize,
}

/// Where a port's packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortType {
    /// A DPDK port made from devargs.
    Dpdk,
    /// A representor of the NIC: `uplink` or `pf0vf3`.
    Representor,
    Memif,
    VhostUser,
    VhostUserClient,
    Tap,
    AfPacket,
    AfXdp,
    Patch,
    Internal,
}

impl std::fmt::Display for PortType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PortType::Dpdk => "dpdk",
            PortType::Representor => "representor",
            PortType::Memif => "memif",
            PortType::VhostUser => "vhost-user",
            PortType::VhostUserClient => "vhost-user-client",
            PortType::Tap => "tap",
            PortType::AfPacket => "af-packet",
            PortType::AfXdp => "af-xdp",
            PortType::Patch => "patch",
            PortType::Internal => "internal",
        })
    }
}

/// A port to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Unique in the daemon.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: PortType,
    /// DPDK device arguments of a `dpdk` port; the representor (`uplink`, `pf0vf3`) of a `representor` port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devargs: Option<String>,
    /// OpenFlow port number, 1 to 65279; the lowest free one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofport: Option<u16>,
    /// Access VLAN, 1 to 4094. Without it the port is a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// VLANs of a trunk; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<u16>,
}

/// A port as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortView {
    pub bridge: String,
    #[serde(flatten)]
    pub port: Port,
    /// Datapath port number.
    pub dp_port: u32,
    /// `up`, `down`, or why the port is not there.
    pub state: String,
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_dropped: u64,
}

/// One learned address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    pub port: String,
    pub ofport: u16,
    pub vlan: u16,
    pub mac: String,
    /// Seconds since it was last seen.
    pub age: u64,
}
