//! The `ct` action: connection tracking (ovs-actions(7)).

use super::Action;
use super::subfield::SubField;
use std::net::IpAddr;

/// Track the connection of the packet, and go on in `table` when there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ct {
    /// Keep the connection.
    pub commit: bool,
    /// Forget a connection that was begun by the other side first.
    pub force: bool,
    pub zone: CtZone,
    /// Table that the tracked packet goes on in.
    pub table: Option<u8>,
    pub alg: Option<CtAlg>,
    pub nat: Option<Nat>,
    /// How many of `exec` text has before `nat`. Without meaning for packets.
    pub nat_at: usize,
    /// Sets of `ct_mark` and `ct_label` for the connection.
    pub exec: Vec<Action>,
}

/// Where the zone is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CtZone {
    Fixed(u16),
    Field(SubField),
}

impl Default for CtZone {
    fn default() -> Self {
        CtZone::Fixed(0)
    }
}

/// Protocols with related connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CtAlg {
    Ftp,
    Tftp,
}

/// Address translation of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nat {
    /// As the connection was translated when it was committed.
    Existing,
    Source(NatRange),
    Destination(NatRange),
}

/// Addresses and ports to translate to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NatRange {
    /// First and last address; `None`: only the port is translated, or anything is right.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// First and last port.
    pub ports: Option<(u16, u16)>,
    pub persistent: bool,
    pub hash: bool,
    pub random: bool,
}
