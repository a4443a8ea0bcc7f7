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

impl RxOffloads {
    /// Names of those in the set that this crate knows, small letters and hyphens.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.iter_names().map(|(name, _)| in_small(name)).collect()
    }
}

impl TxOffloads {
    /// Names of those in the set that this crate knows, small letters and hyphens.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.iter_names().map(|(name, _)| in_small(name)).collect()
    }
}

fn in_small(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
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
    /// The device tells by interrupt that its link changed; else it is asked each time.
    pub link_interrupt: bool,
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
            link_interrupt: false,
            promiscuous: true,
        }
    }
}

impl PortConfig {
    /// With what a switch wants of the device when it can: check received checksums in hardware. `net_tap` checks
    /// them by the CPU, so there it is left out. VLAN tags stay in the bytes: the switch would put most of them back.
    #[must_use]
    pub fn with_useful_offloads(mut self, info: &PortInfo) -> PortConfig {
        if info.driver != "net_tap" {
            let checksums = RxOffloads::IPV4_CKSUM | RxOffloads::UDP_CKSUM | RxOffloads::TCP_CKSUM;
            self.rx_offloads |= info.rx_offloads & checksums;
        }
        self
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
    /// Descriptors a receive queue.
    pub rx_descriptors: DescriptorLimits,
    /// Descriptors a transmit queue.
    pub tx_descriptors: DescriptorLimits,
    /// Whether the device tells by interrupt that its link changed.
    pub link_interrupt: bool,
    /// Whether the device tells that it was removed.
    pub removal_interrupt: bool,
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

/// How many descriptors a queue may have (`rte_eth_desc_lim`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimits {
    /// Fewest.
    pub min: u16,
    /// Most; 0: no limit is told.
    pub max: u16,
    /// The number is a multiple of this; 0: of 1.
    pub align: u16,
}

impl DescriptorLimits {
    /// Whether a queue may have `n` descriptors.
    #[must_use]
    pub fn allows(&self, n: u16) -> bool {
        n >= self.min.max(1) && (self.max == 0 || n <= self.max) && n.is_multiple_of(self.align.max(1))
    }

    /// The number that a queue may have closest to `n` from below, or the fewest.
    #[must_use]
    pub fn nearest(&self, n: u16) -> u16 {
        let most = if self.max == 0 { n } else { n.min(self.max) };
        let align = self.align.max(1);
        (most / align * align).max(self.min.max(1).next_multiple_of(align))
    }
}

/// What is in force on a configured port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSetup {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors a receive queue, as the driver's limits left them.
    pub rx_descriptors: u16,
    /// Descriptors a transmit queue.
    pub tx_descriptors: u16,
    /// Largest L3 packet in bytes.
    pub mtu: u16,
    /// Receive offloads that are on.
    pub rx_offloads: RxOffloads,
    /// Transmit offloads that are on: what packets may ask of the device.
    pub tx_offloads: TxOffloads,
    /// Whether the device tells by interrupt that its link changed.
    pub link_interrupt: bool,
    /// Label of the pool that received packets come from.
    pub pool: String,
    /// Bytes of frame that a buffer of that pool holds.
    pub buffer: u16,
}

/// Pause frames (IEEE 802.3 annex 31B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowControl {
    /// Pauses that the peer asks for are kept.
    pub rx: bool,
    /// The peer is asked to pause when the device is full.
    pub tx: bool,
    /// The two are negotiated with the peer.
    pub autoneg: bool,
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

impl PortInfo {
    pub(super) fn from_raw(raw: &dpdk_sys::rte_eth_dev_info) -> PortInfo {
        let text = |s: *const std::ffi::c_char| {
            if s.is_null() {
                return String::new();
            }
            // SAFETY: a driver's static NUL-terminated string.
            unsafe { std::ffi::CStr::from_ptr(s) }.to_string_lossy().into_owned()
        };
        let limits =
            |l: &dpdk_sys::rte_eth_desc_lim| DescriptorLimits { min: l.nb_min, max: l.nb_max, align: l.nb_align };
        // SAFETY: the driver's own flags, null or live as long as the device is.
        let flags = unsafe { raw.dev_flags.as_ref() }.copied().unwrap_or_default();
        PortInfo {
            driver: text(raw.driver_name),
            if_index: Some(raw.if_index).filter(|i| *i != 0),
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
            mtu_range: (raw.min_mtu, raw.max_mtu),
            rx_descriptors: limits(&raw.rx_desc_lim),
            tx_descriptors: limits(&raw.tx_desc_lim),
            link_interrupt: flags & dpdk_sys::ETH_DEV_INTR_LSC != 0,
            removal_interrupt: flags & dpdk_sys::ETH_DEV_INTR_RMV != 0,
            rx_offloads: RxOffloads::from_bits_retain(raw.rx_offload_capa),
            tx_offloads: TxOffloads::from_bits_retain(raw.tx_offload_capa),
            rss_types: raw.flow_type_rss_offloads,
            keeps_flow_rules: raw.dev_capa & dpdk_sys::ETH_DEV_CAPA_FLOW_RULE_KEEP != 0,
            keeps_shared_actions: raw.dev_capa & dpdk_sys::ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP != 0,
            // RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID is all ones.
            switch: (raw.switch_info.domain_id != u16::MAX).then(|| SwitchInfo {
                name: text(raw.switch_info.name),
                domain_id: raw.switch_info.domain_id,
                port_id: raw.switch_info.port_id,
            }),
        }
    }
}
