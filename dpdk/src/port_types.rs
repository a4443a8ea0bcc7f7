//! What a port is asked for and what it answers: plain data.

use bitflags::bitflags;

bitflags! {
    /// Work a NIC may do on receive (`RTE_ETH_RX_OFFLOAD_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxOffloads: u64 {
        /// Takes the VLAN tag out of the bytes ([`crate::Mbuf::stripped_vlan`]).
        const VLAN_STRIP = dpdk_sys::ETH_RX_OFFLOAD_VLAN_STRIP;
        /// Takes two tags out.
        const QINQ_STRIP = dpdk_sys::ETH_RX_OFFLOAD_QINQ_STRIP;
        /// Checks the IPv4 header checksum.
        const IPV4_CKSUM = dpdk_sys::ETH_RX_OFFLOAD_IPV4_CKSUM;
        /// Checks the UDP checksum.
        const UDP_CKSUM = dpdk_sys::ETH_RX_OFFLOAD_UDP_CKSUM;
        /// Checks the TCP checksum.
        const TCP_CKSUM = dpdk_sys::ETH_RX_OFFLOAD_TCP_CKSUM;
        /// Spreads a long frame over several buffers.
        const SCATTER = dpdk_sys::ETH_RX_OFFLOAD_SCATTER;
        /// Delivers the RSS hash.
        const RSS_HASH = dpdk_sys::ETH_RX_OFFLOAD_RSS_HASH;
        const _ = !0;
    }

    /// Work a NIC may do on transmit (`RTE_ETH_TX_OFFLOAD_*`). Fast free is never asked for: packets come from many pools.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TxOffloads: u64 {
        /// Puts a VLAN tag into the bytes.
        const VLAN_INSERT = dpdk_sys::ETH_TX_OFFLOAD_VLAN_INSERT;
        /// Computes the IPv4 header checksum.
        const IPV4_CKSUM = dpdk_sys::ETH_TX_OFFLOAD_IPV4_CKSUM;
        /// Computes the UDP checksum.
        const UDP_CKSUM = dpdk_sys::ETH_TX_OFFLOAD_UDP_CKSUM;
        /// Computes the TCP checksum.
        const TCP_CKSUM = dpdk_sys::ETH_TX_OFFLOAD_TCP_CKSUM;
        /// Takes packets of several segments.
        const MULTI_SEGS = dpdk_sys::ETH_TX_OFFLOAD_MULTI_SEGS;
        const _ = !0;
    }

    /// What flow rules may leave in received packets (`RTE_ETH_RX_METADATA_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxMetadata: u64 {
        /// The FLAG action's flag.
        const FLAG = dpdk_sys::ETH_RX_METADATA_USER_FLAG;
        /// The MARK action's value.
        const MARK = dpdk_sys::ETH_RX_METADATA_USER_MARK;
        /// The identifier of a tunnel that was taken off.
        const TUNNEL_ID = dpdk_sys::ETH_RX_METADATA_TUNNEL_ID;
    }
}

/// How a port is to be set up.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues, usually one a polling thread.
    pub tx_queues: u16,
    /// Descriptors a receive queue; the driver may round it. `None`: 1,024 within the driver's limits.
    pub rx_descriptors: Option<u16>,
    /// Descriptors a transmit queue; as above.
    pub tx_descriptors: Option<u16>,
    /// Largest L3 packet in bytes; `None` leaves the driver's default (1,500).
    pub mtu: Option<u16>,
    /// Receive offloads to switch on; each must be in [`PortInfo::rx_offloads`].
    pub rx_offloads: RxOffloads,
    /// Transmit offloads to switch on; each must be in [`PortInfo::tx_offloads`].
    pub tx_offloads: TxOffloads,
    /// Accept frames to any MAC address, as a switch port must. A driver that cannot is taken as it is.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        PortConfig {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: None,
            tx_descriptors: None,
            mtu: None,
            rx_offloads: RxOffloads::empty(),
            tx_offloads: TxOffloads::empty(),
            promiscuous: true,
        }
    }
}

/// What a device can do and is.
#[derive(Clone, Debug)]
pub struct PortInfo {
    /// The driver, for example `net_mlx5`.
    pub driver: String,
    /// The kernel's interface behind the port (bifurcated drivers, af_packet), if any.
    pub if_index: Option<u32>,
    /// Most receive queues.
    pub max_rx_queues: u16,
    /// Most transmit queues.
    pub max_tx_queues: u16,
    /// Smallest and largest MTU in bytes.
    pub mtu_range: (u16, u16),
    /// Receive offloads there are.
    pub rx_offloads: RxOffloads,
    /// Transmit offloads there are.
    pub tx_offloads: TxOffloads,
    /// RSS hash types there are (`RTE_ETH_RSS_*`); 0: the device does not spread packets over queues.
    pub rss_types: u64,
    /// Whether flow rules survive a stop of the port.
    pub keeps_flow_rules: bool,
    /// Whether indirect actions survive a stop of the port.
    pub keeps_shared_actions: bool,
    /// The switch the port belongs to, when the driver has one.
    pub switch: Option<SwitchInfo>,
}

/// Place of a port in its NIC's switch. Ports with one domain can be targets of one another's transfer rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchInfo {
    /// The driver's name of the switch.
    pub name: String,
    /// Switch domain.
    pub domain_id: u16,
    /// Port in the domain.
    pub port_id: u16,
}

/// Counters of a port since its last reset. Drivers that do not count a value leave 0 (net_ring counts no bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that the hardware dropped because no descriptor was free.
    pub rx_missed: u64,
    /// Packets received with an error.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Receives that failed because the pool was empty.
    pub rx_no_buffer: u64,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Carrier.
    pub up: bool,
    /// Speed in Mbit/s; `None` when unknown.
    pub speed_mbps: Option<u32>,
    /// Both ways at once.
    pub full_duplex: bool,
    /// Whether the speed was negotiated.
    pub autoneg: bool,
}
