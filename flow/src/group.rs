//! Groups of OpenFlow 1.1 and later: lists of buckets (ovs-ofctl(8), "Group Syntax").

use crate::action::Action;
use crate::field::FieldId;
use crate::port::OfPort;
use crate::value::Value;

/// Highest number of a group (OFPG_MAX).
pub const MAX_GROUP: u32 = 0xffff_ff00;

/// A group to add, or as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// 0 to [`MAX_GROUP`].
    pub id: u32,
    pub kind: GroupKind,
    /// How a select group chooses.
    pub selection: Selection,
    pub buckets: Vec<Bucket>,
}

/// What a group does with its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// A copy for each.
    All,
    /// One, chosen by hash and weight.
    Select,
    /// The only one.
    Indirect,
    /// The first that is live.
    FastFailover,
}

/// How a select group chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// By the switch's own choice of hash.
    #[default]
    Default,
    /// By a hash of the datapath over the 5-tuple (`selection_method=dp_hash`).
    DpHash {
        /// Start of the hash; `selection_method_param` carries algorithm (high half) and basis (low half).
        param: u64,
    },
    /// By a hash over chosen fields and bits (`selection_method=hash`).
    Hash { param: u64, fields: Vec<(FieldId, Value)> },
}

/// One list of actions of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Unique in its group.
    pub id: u32,
    /// Share of a select group's packets; 0: none.
    pub weight: u16,
    /// Live as long as this port is up.
    pub watch_port: Option<OfPort>,
    /// Live as long as this group has a live bucket.
    pub watch_group: Option<u32>,
    pub actions: Vec<Action>,
}
