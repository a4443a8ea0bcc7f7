//! Tunnel offload (DPDK guide, "Tunneled traffic offload"): the driver brings items and actions of its own, so that a packet that
//! missed after its outer headers were taken off can be told from others.

use std::net::IpAddr;

/// Kinds of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// VXLAN.
    Vxlan,
    /// GENEVE.
    Geneve,
    /// GRE.
    Gre,
    /// An item type that this crate has no name for.
    Other(u32),
}

/// A tunnel (`rte_flow_tunnel`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Its kind.
    pub kind: TunnelKind,
    /// VNI or key.
    pub id: u64,
    /// Outer source and destination; both of one family.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// Outer UDP ports.
    pub ports: (u16, u16),
    /// TOS or traffic class of the outer header.
    pub tos: u8,
    /// TTL or hop limit of the outer header.
    pub ttl: u8,
}

/// What hardware did with a packet before it missed (`rte_flow_restore_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreInfo {
    /// The tunnel of the packet.
    pub tunnel: Option<Tunnel>,
    /// Whether the outer headers are still there.
    pub encapsulated: bool,
    /// The group that it missed in.
    pub group: Option<u32>,
}
