//! Bridges, ports, learned addresses.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Most addresses that the bridge learns; 8192 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_table_size: Option<u32>,
    /// Seconds after which an address that was not seen is forgotten; 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_aging: Option<u32>,
}

impl Bridge {
    /// A bridge with nothing else said.
    #[must_use]
    pub fn new(name: impl Into<String>, fail_mode: FailMode) -> Bridge {
        Bridge { name: name.into(), fail_mode, mac_table_size: None, mac_aging: None }
    }
}

/// What is to change of a bridge; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSet {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_mode: Option<FailMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_table_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_aging: Option<u32>,
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
    #[serde(default)]
    pub groups: usize,
    #[serde(default)]
    pub meters: usize,
    #[serde(default)]
    pub mirrors: usize,
    /// Packets for controllers, by controller id; those that never got one are left out.
    #[serde(default)]
    pub punted: BTreeMap<u16, u64>,
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
    /// PF whose representor a `representor` port is (`pci/0000:08:00.0`); filled in when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nic: Option<String>,
    /// OpenFlow port number, 1 to 65279, or of an `internal` port 65534 (LOCAL); the lowest free one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofport: Option<u16>,
    /// Access VLAN, 1 to 4094. Without it the port is a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// VLANs of a trunk; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<u16>,
    /// How NORMAL treats VLANs here; when absent, access if there is a tag, else trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_mode: Option<VlanMode>,
    /// Name of the `patch` port at the other end of a `patch` port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Floods do not go out here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_flood: bool,
    /// Administratively down: nothing goes out here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// Largest L3 packet in bytes; as the device says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// What only ports of this type know, by name, as with OVS's `options` of an interface: `n_rxq`, `n_txq`, `n_rxq_desc`,
    /// `n_txq_desc`, `dpdk-lsc-interrupt`, `rx-flow-ctrl`, `tx-flow-ctrl` and `flow-ctrl-autoneg` of `dpdk` ports; `ifname` and `mac`
    /// of `tap`, `internal` and `af-packet` ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Receive queues and the CPUs whose PMDs are to poll them, as `pmd-rxq-affinity` of Open vSwitch: `0:3,1:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rxq_affinity: Option<String>,
}

impl Port {
    /// A port of this type with nothing else said.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: PortType) -> Port {
        Port {
            name: name.into(),
            kind,
            devargs: None,
            nic: None,
            ofport: None,
            tag: None,
            trunks: Vec::new(),
            vlan_mode: None,
            peer: None,
            no_flood: false,
            down: false,
            mtu: None,
            options: BTreeMap::new(),
            rxq_affinity: None,
        }
    }
}

/// How NORMAL treats VLANs on a port (`vlan_mode` of ovs-vswitchd.conf.db(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VlanMode {
    /// In one VLAN, without tags.
    Access,
    /// Carries VLANs with their tags.
    Trunk,
    /// As trunk; packets without a tag are in the native VLAN, which is sent with its tag.
    NativeTagged,
    /// As trunk; packets without a tag are in the native VLAN, which is sent without.
    NativeUntagged,
}

impl std::fmt::Display for VlanMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VlanMode::Access => "access",
            VlanMode::Trunk => "trunk",
            VlanMode::NativeTagged => "native-tagged",
            VlanMode::NativeUntagged => "native-untagged",
        })
    }
}

/// What is to change of a port; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSet {
    /// 0: no tag any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// Empty: all VLANs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunks: Option<Vec<u16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_mode: Option<VlanMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flood: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Of a `patch` port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Largest L3 packet in bytes; 0: as the device says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// As [`Port::rxq_affinity`]; empty: no queue is pinned any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rxq_affinity: Option<String>,
    /// Options to set; an empty value takes the option away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
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
    /// What the device behind the port counted, by name; empty when it counts nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub device_counters: BTreeMap<String, u64>,
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
    /// Added by command: it neither ages nor moves.
    #[serde(default, rename = "static")]
    pub fixed: bool,
}

/// An address to be known without being learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdbAdd {
    /// Name of the port.
    pub port: String,
    /// 0: packets without a tag.
    #[serde(default)]
    pub vlan: u16,
    pub mac: String,
}

/// Which addresses to forget; the default: all that were learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdbFlush {
    /// Only those learned on this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Only this address, though it was added by command; needs `vlan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// VLAN of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
}
