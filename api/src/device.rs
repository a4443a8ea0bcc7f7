//! The device behind a port.

use crate::PortView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A port with its device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDetails {
    #[serde(flatten)]
    pub port: PortView,
    /// Absent when the port has none, or it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceView>,
}

/// A DPDK device as it is set up, and what it could do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    pub driver: String,
    /// NUMA node.
    pub node: u32,
    pub mac: String,
    pub link_up: bool,
    /// Mbit/s; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
    pub full_duplex: bool,
    /// The device tells of link changes by interrupt.
    pub link_interrupt: bool,
    pub mtu: u16,
    pub mtu_min: u16,
    pub mtu_max: u16,
    pub rx_queues: u16,
    pub max_rx_queues: u16,
    pub tx_queues: u16,
    pub max_tx_queues: u16,
    /// Descriptors a receive queue.
    pub rx_descriptors: u16,
    /// Descriptors a transmit queue.
    pub tx_descriptors: u16,
    /// Offloads that are on, by name.
    pub rx_offloads: Vec<String>,
    pub tx_offloads: Vec<String>,
    /// Offloads that the device has.
    pub rx_capable: Vec<String>,
    pub tx_capable: Vec<String>,
    /// Pause frames: what is on of `rx`, `tx`, `autoneg`; absent when the driver has no notion of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_control: Option<Vec<String>>,
    /// The mempool that packets are received into.
    pub mempool: String,
    /// Bytes of frame that one of its buffers holds; longer frames lie in several.
    pub buffer: u16,
}

/// Counters of a port by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounters {
    /// What the datapath and the device counted.
    pub counters: BTreeMap<String, u64>,
    /// The driver's own counters (DPDK's xstats), in its order, when they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xstats: Vec<(String, u64)>,
}
