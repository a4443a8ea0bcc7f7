//! Rules: as a driver gets them (C structures as bytes), and as the model keeps them.

use super::edit::Edit;
use super::item::{Image, ItemKind};
use super::modify::Modify;
use std::sync::Arc;

/// What a flow rule call carries, with every structure as its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFlow {
    /// The ethdev that the call names.
    pub port: u16,
    pub group: u32,
    pub priority: u32,
    pub ingress: bool,
    pub egress: bool,
    pub transfer: bool,
    pub items: Vec<RawItem>,
    pub actions: Vec<RawAction>,
}

/// One `struct rte_flow_item`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawItem {
    /// `enum rte_flow_item_type`.
    pub kind: u32,
    pub spec: Option<Vec<u8>>,
    pub last: Option<Vec<u8>>,
    pub mask: Option<Vec<u8>>,
    /// What a pointer in `spec` points to.
    pub spec_data: Option<Vec<u8>>,
    /// What a pointer in `mask` points to.
    pub mask_data: Option<Vec<u8>>,
}

/// One `struct rte_flow_action`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawAction {
    /// `enum rte_flow_action_type`.
    pub kind: u32,
    pub conf: Option<Vec<u8>>,
    /// INDIRECT: the handle.
    pub handle: Option<u64>,
    /// What a pointer in `conf` points to: bytes,
    pub data: Option<Vec<u8>>,
    /// queues,
    pub queues: Option<Vec<u16>>,
    /// a pattern,
    pub items: Vec<RawItem>,
    /// or actions.
    pub actions: Vec<RawAction>,
}

/// Why a rule was refused, as `struct rte_flow_error` says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (errno {errno}, error type {kind:?})")]
pub struct Refusal {
    pub kind: RefusalKind,
    /// Positive errno.
    pub errno: i32,
    pub message: String,
}

/// `enum rte_flow_error_type`, as far as the model uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    Unspecified,
    Handle,
    AttrGroup,
    AttrPriority,
    AttrIngress,
    AttrEgress,
    AttrTransfer,
    ItemSpec,
    ItemLast,
    ItemMask,
    Item,
    ActionNum,
    ActionConf,
    Action,
}

impl RefusalKind {
    /// The number in `rte_flow.h`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            RefusalKind::Unspecified => 1,
            RefusalKind::Handle => 2,
            RefusalKind::AttrGroup => 3,
            RefusalKind::AttrPriority => 4,
            RefusalKind::AttrIngress => 5,
            RefusalKind::AttrEgress => 6,
            RefusalKind::AttrTransfer => 7,
            RefusalKind::ItemSpec => 10,
            RefusalKind::ItemLast => 11,
            RefusalKind::ItemMask => 12,
            RefusalKind::Item => 13,
            RefusalKind::ActionNum => 14,
            RefusalKind::ActionConf => 15,
            RefusalKind::Action => 16,
        }
    }
}

/// Errno values that the model answers with.
pub mod errno {
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const ENOSPC: i32 = 28;
    pub const ENOTSUP: i32 = 95;
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, errno: i32, message: impl Into<String>) -> Refusal {
        Refusal { kind, errno, message: message.into() }
    }

    pub(super) fn unsupported(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal::new(kind, errno::ENOTSUP, message)
    }

    pub(super) fn invalid(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal::new(kind, errno::EINVAL, message)
    }
}

/// Which tables a rule is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// The embedded switch.
    Transfer,
    /// What this representor receives.
    Ingress(usize),
}

/// Where a packet enters the embedded switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// From outside: the wire or a VF (what item REPRESENTED_PORT matches).
    Outside(usize),
    /// From the switch, by a representor (what item PORT_REPRESENTOR matches).
    Representor(usize),
}

/// A matched header, or register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    pub kind: ItemKind,
    /// How many tunnel headers are before it: 0 for the outer headers.
    pub level: usize,
    /// Which tag a VLAN item means, from 0; which option of GENEVE; which register.
    pub vlan: usize,
    /// An ethertype in it is the one behind all tags, not the one that comes next on the wire.
    pub innermost: bool,
    /// Class and type of a GENEVE option, masked: which option is looked at. Part of the shape, unlike the spec.
    pub named: [u8; 3],
    /// Masked.
    pub spec: Image,
    pub mask: Image,
}

/// What packets a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub source: Option<Source>,
    /// The packet must have exactly so many tags.
    pub tags: Option<usize>,
    pub items: Vec<Item>,
}

/// Which receive queues of a representor a packet may come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Any, by hash: no rule chose.
    #[default]
    All,
    One(u16),
    /// One of the list, by hash.
    Among(Arc<[u16]>),
}

/// What is done with a packet, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// By the rule's own counter.
    Count,
    /// By a counter of its own life.
    CountIndirect(u64),
    Edit(Edit),
    /// Bits of a field, from a value or another field.
    Modify(Modify),
    Mark(u32),
    Flag,
    /// A register that later rules match.
    SetTag {
        index: usize,
        data: u32,
        mask: u32,
    },
    /// The metadata, which later rules match.
    SetMeta {
        data: u32,
        mask: u32,
    },
    /// Through a meter, whose policy may drop.
    Meter(u32),
    /// Seconds without a hit after which the rule is reported, and by which number.
    Age {
        seconds: u32,
        context: u64,
    },
    /// One packet of `ratio` is copied, and the copy goes this way.
    Sample {
        ratio: u32,
        acts: Arc<[Act]>,
    },
    /// Headers in front of the packet.
    Encap(Arc<[u8]>),
    /// Headers off: up to the inner packet of VXLAN.
    DecapVxlan,
    /// So many bytes off.
    DecapBytes(usize),
    /// To these queues of the representor.
    Queue(Queues),
    /// Out of the switch at this place.
    Output(usize),
    /// To software by this representor.
    ToRepresentor(usize),
    Jump(u32),
    /// On with rules of lower priority.
    Passthru,
    Drop,
}

/// Which rules a rule is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    pub domain: Domain,
    pub group: u32,
    pub priority: u32,
}

/// A rule that the device accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub spot: Spot,
    pub pattern: Pattern,
    pub acts: Arc<[Act]>,
}
