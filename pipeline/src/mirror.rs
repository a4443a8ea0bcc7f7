//! Mirrors: copies of chosen packets to a port or a VLAN (ovs-vswitchd.conf.db(5), table Mirror).

use crate::group::Count;
use crate::port::VlanSet;
use flow::OfPort;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A mirror to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSpec {
    /// Unique in its bridge.
    pub name: String,
    /// All packets that come in or go out by any port.
    pub select_all: bool,
    /// Packets that come in by these ports.
    pub select_src: BTreeSet<OfPort>,
    /// Packets that go out by these ports.
    pub select_dst: BTreeSet<OfPort>,
    /// Only packets in these VLANs; `None`: in any.
    pub select_vlan: Option<VlanSet>,
    pub output: MirrorOutput,
    /// Most bytes of each copy; 0: all.
    pub snaplen: u16,
}

/// Where a mirror's copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MirrorOutput {
    /// To this port, which then carries nothing but copies.
    Port(OfPort),
    /// To all ports that carry this VLAN, 1 to 4095, with its tag (RSPAN).
    Vlan(u16),
}

/// A mirror of a bridge.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Its number in [`flow::dp::Effect::Mirror`]: never used twice in a bridge.
    pub(crate) id: u32,
    pub(crate) spec: MirrorSpec,
    pub(crate) count: Count,
}

/// The mirrors of a bridge, in the order in which they were added.
pub(crate) type Mirrors = Arc<[Arc<Mirror>]>;
