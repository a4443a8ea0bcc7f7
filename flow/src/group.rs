//! Groups of OpenFlow 1.1 and later: lists of buckets (ovs-ofctl(8), "Group Syntax").

use crate::action::{Action, is_instruction};
use crate::field::FieldId;
use crate::port::OfPort;
use crate::value::Value;

/// Highest number of a group (OFPG_MAX).
pub const MAX_GROUP: u32 = 0xffff_ff00;

/// Highest number of a bucket (OFPG_BUCKET_MAX).
pub const MAX_BUCKET: u32 = 0xffff_ff00;

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

/// A change of groups, as ovs-ofctl's commands make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupMod {
    Add(GroupSpec),
    /// Replace one that is there.
    Modify(GroupSpec),
    /// Replace it, or add it when it is not there.
    AddOrModify(GroupSpec),
    /// `None`: all groups.
    Delete(Option<u32>),
    InsertBuckets {
        group: u32,
        place: BucketPlace,
        buckets: Vec<Bucket>,
    },
    RemoveBuckets {
        group: u32,
        place: BucketPlace,
    },
}

/// Which buckets a change is about (`command_bucket_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BucketPlace {
    First,
    Last,
    /// To remove only.
    All,
    /// This one; buckets are inserted behind it.
    Id(u32),
}

/// Why there cannot be such a group (OpenFlow 1.5.1, section 6.7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A number beyond [`MAX_GROUP`].
    #[error("group {0} cannot be: numbers go from 0 to {MAX_GROUP}")]
    BadId(u32),
    /// An indirect group without bucket, or with several.
    #[error("indirect group {group} has {buckets} buckets: it must have one (use type=all or type=select)")]
    IndirectBuckets { group: u32, buckets: usize },
    /// A selection method of a group that does not select.
    #[error("group {0} has a selection method: only select groups have one")]
    NotSelect(u32),
    /// A weight in a group that does not select.
    #[error("bucket {bucket} of group {group} has a weight: only select groups weigh")]
    Weight { group: u32, bucket: u32 },
    /// A bucket of a failover group that watches nothing.
    #[error("bucket {bucket} of failover group {group} watches nothing: give it watch_port or watch_group")]
    NothingWatched { group: u32, bucket: u32 },
    /// A bucket that watches, of a group that uses all its buckets.
    #[error("bucket {bucket} of group {group} watches a port or group: only select and failover groups choose by that")]
    Watches { group: u32, bucket: u32 },
    /// A watched group that cannot be.
    #[error("bucket {bucket} of group {group} watches group {watched}: numbers go from 0 to {MAX_GROUP}")]
    BadWatchedGroup { group: u32, bucket: u32, watched: u32 },
    /// A number of a bucket beyond [`MAX_BUCKET`].
    #[error("group {group} cannot have a bucket {bucket}: numbers go from 0 to {MAX_BUCKET}")]
    BadBucketId { group: u32, bucket: u32 },
    /// Two buckets with one number.
    #[error("group {group} has bucket {bucket} twice: give each its own bucket_id")]
    BucketTwice { group: u32, bucket: u32 },
    /// An instruction in a bucket.
    #[error("bucket {bucket} of group {group} has an instruction: buckets hold actions only")]
    Instruction { group: u32, bucket: u32 },
}

impl GroupSpec {
    /// Whether there can be such a group. Other groups, and what the switch supports, are not asked.
    ///
    /// # Errors
    /// What OpenFlow forbids, naming group and bucket.
    pub fn check(&self) -> Result<(), GroupError> {
        let group = self.id;
        if group > MAX_GROUP {
            return Err(GroupError::BadId(group));
        }
        if self.kind != GroupKind::Select && self.selection != Selection::Default {
            return Err(GroupError::NotSelect(group));
        }
        let mut ids = std::collections::HashSet::with_capacity(self.buckets.len());
        for bucket in &self.buckets {
            bucket.check(group, self.kind)?;
            if !ids.insert(bucket.id) {
                return Err(GroupError::BucketTwice { group, bucket: bucket.id });
            }
        }
        if self.kind == GroupKind::Indirect && self.buckets.len() != 1 {
            return Err(GroupError::IndirectBuckets { group, buckets: self.buckets.len() });
        }
        Ok(())
    }
}

impl Bucket {
    fn check(&self, group: u32, kind: GroupKind) -> Result<(), GroupError> {
        let bucket = self.id;
        let watches = self.watch_port.is_some() || self.watch_group.is_some();
        if bucket > MAX_BUCKET {
            return Err(GroupError::BadBucketId { group, bucket });
        }
        if let Some(watched) = self.watch_group.filter(|id| *id > MAX_GROUP) {
            return Err(GroupError::BadWatchedGroup { group, bucket, watched });
        }
        if self.actions.iter().any(|a| is_instruction(a) && !matches!(a, Action::Meter(_))) {
            return Err(GroupError::Instruction { group, bucket });
        }
        match kind {
            GroupKind::Select => Ok(()),
            _ if self.weight != 0 => Err(GroupError::Weight { group, bucket }),
            GroupKind::FastFailover if !watches => Err(GroupError::NothingWatched { group, bucket }),
            GroupKind::All | GroupKind::Indirect if watches => Err(GroupError::Watches { group, bucket }),
            _ => Ok(()),
        }
    }
}
