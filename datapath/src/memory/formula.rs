//! The arithmetic of pools: sizes by MTU, numbers by model.
//!
//! Formulas and constants are those of Open vSwitch's manual, "DPDK Device Memory Models" (Documentation/topics/dpdk/memory.rst):
//! the same ports get as many buffers as there. [`mbuf_size`] is that page's figure, for comparing; Shunt keeps less beside the
//! frame, so its buffers of the same room are smaller ([`dpdk::Mempool::bytes_a_buffer`]).

use dpdk::HEADROOM;

/// MTU of a port that asks for none (IEEE 802.3).
pub const DEFAULT_MTU: u16 = 1500;
/// Smallest MTU of a pool: that of IPv4 (RFC 791, section 3.2).
pub const MIN_MTU: u16 = 68;
/// Largest MTU of a pool: what leaves room for [`FRAME_OVERHEAD`] in a frame of 9,728 bytes, the longest of common NICs.
pub const MAX_MTU: u16 = 9728 - FRAME_OVERHEAD;
/// Bytes of a frame beyond its MTU: Ethernet header 14, two VLAN tags 8, FCS 4.
pub const FRAME_OVERHEAD: u16 = 14 + 8 + 4;
/// Room for a frame is a multiple of this many bytes (`NETDEV_DPDK_MBUF_ALIGN`).
const ALIGN: u16 = 1024;
/// What Open vSwitch keeps beside the frame: mbuf and metadata of a packet, headroom, the pool's header; 3008 - 2048.
const BESIDE: u32 = 960;

/// Buffers of a shared pool for MTUs from [`DEFAULT_MTU`] on (`MAX_NB_MBUF`).
pub const SHARED_MBUFS: u32 = 262_144;
/// Buffers of a shared pool for smaller MTUs; fewest that halving may lead to; what a pool of one port has for corner cases
/// (`MIN_NB_MBUF`).
pub const MIN_MBUFS: u32 = 16_384;
/// Descriptors of a queue when nothing is asked for (`NIC_PORT_DEFAULT_RXQ_SIZE`, `NIC_PORT_DEFAULT_TXQ_SIZE`).
pub const DESCRIPTORS: u16 = 2048;
/// Most packets of a burst (`NETDEV_MAX_BURST`).
const MAX_BURST: u32 = 32;

/// Bytes of frame that a buffer for this MTU holds.
#[must_use]
pub fn frame_room(mtu: u16) -> u32 {
    (u32::from(mtu) + u32::from(FRAME_OVERHEAD)).next_multiple_of(u32::from(ALIGN))
}

/// Bytes of headroom and frame of a buffer for this MTU; `None` when no buffer can be so large (65,535 bytes).
#[must_use]
pub fn data_room(mtu: u16) -> Option<u16> {
    u16::try_from(frame_room(mtu) + u32::from(HEADROOM)).ok()
}

/// Bytes of a buffer in Open vSwitch.
#[must_use]
pub fn mbuf_size(mtu: u16) -> u32 {
    frame_room(mtu) + BESIDE
}

/// Buffers of a pool that ports share.
#[must_use]
pub fn shared_mbufs(mtu: u16) -> u32 {
    if mtu >= DEFAULT_MTU { SHARED_MBUFS } else { MIN_MBUFS }
}

/// Buffers of a pool of one port: what fills its receive queues, what may wait in the transmit queues of others, a burst, and some
/// for corner cases.
///
/// The manual's words count a burst for each receive queue, its example of two queues (26,656 buffers) one in all; the example is
/// followed. The difference is 32 buffers a queue beside [`MIN_MBUFS`] of reserve.
#[must_use]
pub fn per_port_mbufs(rx_queues: u16, rx_descriptors: u16, tx_queues: u16, tx_descriptors: u16) -> u32 {
    u32::from(rx_queues)
        .saturating_mul(u32::from(rx_descriptors))
        .saturating_add(u32::from(tx_queues).saturating_mul(u32::from(tx_descriptors)))
        .saturating_add(MAX_BURST + MIN_MBUFS)
}

/// Megabytes (millions of bytes, rounded down, as the manual has them) of so many buffers of this MTU in Open vSwitch.
#[must_use]
pub fn megabytes(mbufs: u32, mtu: u16) -> u64 {
    u64::from(mbufs) * u64::from(mbuf_size(mtu)) / 1_000_000
}
