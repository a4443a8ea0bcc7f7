//! Ports of a bridge, and their VLAN modes.

use flow::dp::BridgeId;
use flow::{DpPort, FlowKey, Mask, OfPort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of VLAN ids.
#[derive(Clone, PartialEq, Eq)]
pub struct VlanSet(Box<[u64; 64]>);

impl VlanSet {
    /// All ids, 0 (untagged) included.
    #[must_use]
    pub fn all() -> VlanSet {
        VlanSet(Box::new([u64::MAX; 64]))
    }

    #[must_use]
    pub fn contains(&self, vlan: u16) -> bool {
        self.0[usize::from(vlan & 0xfff) / 64] >> (vlan % 64) & 1 != 0
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..4096).filter(|v| self.contains(*v))
    }
}

impl FromIterator<u16> for VlanSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> VlanSet {
        let mut set = [0; 64];
        for id in ids {
            set[usize::from(id & 0xfff) / 64] |= 1 << (id % 64);
        }
        VlanSet(Box::new(set))
    }
}

impl std::fmt::Debug for VlanSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == VlanSet::all() { f.write_str("all") } else { f.debug_set().entries(self.iter()).finish() }
    }
}

/// How NORMAL treats VLANs on a port (OVS: `vlan_mode`, `tag`, `trunks` of ovs-vswitchd.conf.db(5)). Other actions do not
/// look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanMode {
    /// In one VLAN, without tags. Packets with a tag, but for VLAN 0, are dropped.
    Access(u16),
    /// Carries these VLANs tagged, and untagged packets as VLAN 0.
    Trunk(VlanSet),
    /// As trunk, but packets without a tag are in the native VLAN, and it is sent with its tag.
    NativeTagged { native: u16, trunks: VlanSet },
    /// As trunk, but packets without a tag are in the native VLAN, and it is sent without.
    NativeUntagged { native: u16, trunks: VlanSet },
}

impl Default for VlanMode {
    /// All VLANs, as a port of OVS that says nothing.
    fn default() -> Self {
        VlanMode::Trunk(VlanSet::all())
    }
}

impl VlanMode {
    /// The VLAN of a packet that comes in with this VLAN id, 0 when it has no tag; `None`: not allowed here.
    #[must_use]
    pub fn input(&self, vid: u16) -> Option<u16> {
        match self {
            VlanMode::Access(tag) => (vid == 0).then_some(*tag),
            VlanMode::Trunk(set) => set.contains(vid).then_some(vid),
            VlanMode::NativeTagged { native, trunks } | VlanMode::NativeUntagged { native, trunks } => match vid {
                0 => Some(*native),
                vid => (vid == *native || trunks.contains(vid)).then_some(vid),
            },
        }
    }

    /// Whether packets of this VLAN go out here.
    #[must_use]
    pub fn carries(&self, vlan: u16) -> bool {
        match self {
            VlanMode::Access(tag) => *tag == vlan,
            VlanMode::Trunk(set) => set.contains(vlan),
            VlanMode::NativeTagged { native, trunks } | VlanMode::NativeUntagged { native, trunks } => {
                *native == vlan || trunks.contains(vlan)
            }
        }
    }

    /// Whether packets of this VLAN go out with a tag.
    #[must_use]
    pub fn tags(&self, vlan: u16) -> bool {
        match self {
            VlanMode::Access(_) => false,
            VlanMode::Trunk(_) | VlanMode::NativeTagged { .. } => vlan != 0,
            VlanMode::NativeUntagged { native, .. } => vlan != 0 && vlan != *native,
        }
    }
}

/// Whether packets that leave in no VLAN keep their priority in a tag with VLAN id 0 (OVS: `other_config:priority-tags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PriorityTags {
    #[default]
    Never,
    /// When the priority is not 0.
    IfNonzero,
    /// When the priority is not 0, or the packet came with such a tag and goes out by a port that carries tags.
    Always,
}

/// What NORMAL asks about bonds, whose members are ports. The answers may change only together with a call of
/// [`crate::Pipeline::bonds_changed`].
pub trait Bonds: Send + Sync + std::fmt::Debug {
    /// The bond that a port is a member of.
    fn bond_of(&self, bridge: BridgeId, port: OfPort) -> Option<BondRef>;

    /// Whether a packet to this address may come in by a member.
    fn admits(&self, bond: u32, member: OfPort, to: [u8; 6]) -> Admission;

    /// The member that a packet of this VLAN goes out by; `None`: none can send. `look` is told the bits that the choice
    /// depends on.
    fn member(&self, bond: u32, vlan: u16, key: &FlowKey, look: &mut dyn FnMut(&Mask)) -> Option<OfPort>;
}

/// A bond as one of its members sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BondRef {
    pub id: u32,
    /// The member that stands for the bond: addresses are learned on it, and its VLAN mode is the bond's.
    pub lead: OfPort,
}

/// Whether a packet may come in by a member of a bond (OVS: bond_check_admissibility).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    Accept,
    Drop,
    /// Not when its source address was learned elsewhere: it has come back.
    DropIfMoved,
}

/// What is behind a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PortKind {
    /// A port of the datapath.
    #[default]
    Normal,
    /// A port of the datapath that the host itself uses: a bridge's own port, or another internal one.
    Internal,
    /// One end of a cable to another patch port, of this bridge or another. The pair is connected when both ends name each other.
    Patch {
        /// Name of the other end.
        peer: String,
    },
}

/// A port to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    pub name: String,
    /// OpenFlow number; `None`: the lowest that is free. [`OfPort::LOCAL`] for the bridge's own port.
    pub number: Option<OfPort>,
    /// Its number in the datapath. Not looked at for patch ports, which are not in the datapath.
    pub dp: DpPort,
    pub kind: PortKind,
    pub vlan: VlanMode,
    pub priority_tags: PriorityTags,
    /// Whether flooded packets go out here.
    pub flood: bool,
    /// Whether packets can go out at all.
    pub up: bool,
}

impl PortSpec {
    /// A port that is up, floods, and carries all VLANs.
    #[must_use]
    pub fn new(name: impl Into<String>, dp: DpPort) -> PortSpec {
        PortSpec {
            name: name.into(),
            number: None,
            dp,
            kind: PortKind::Normal,
            vlan: VlanMode::default(),
            priority_tags: PriorityTags::default(),
            flood: true,
            up: true,
        }
    }

    /// A patch port to the patch port `peer`, which may come later.
    #[must_use]
    pub fn patch(name: impl Into<String>, peer: impl Into<String>) -> PortSpec {
        PortSpec { kind: PortKind::Patch { peer: peer.into() }, ..PortSpec::new(name, DpPort::NONE) }
    }
}

/// A port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub number: OfPort,
    /// Its number in the datapath. A patch port has one of the numbers from 2^31 on, which the datapath never sees: what is learned
    /// on it is known by that.
    pub dp: DpPort,
    pub kind: PortKind,
    /// The other end of a patch port, when the two name each other.
    pub peer: Option<(BridgeId, OfPort)>,
    pub vlan: VlanMode,
    pub priority_tags: PriorityTags,
    pub flood: bool,
    /// Whether packets can go out: what was said of it, and, for a patch port, whether its peer is there.
    pub up: bool,
    /// What was said of it.
    pub enabled: bool,
}

/// First datapath number of patch ports; datapath ports have smaller ones.
pub(crate) const PATCH_PORTS: u32 = 0x8000_0000;

/// What can be changed of a port; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortUpdate {
    pub vlan: Option<VlanMode>,
    pub priority_tags: Option<PriorityTags>,
    pub flood: Option<bool>,
    pub up: Option<bool>,
}

/// The ports of a bridge by OpenFlow number.
pub(crate) type Ports = BTreeMap<OfPort, Arc<Port>>;
