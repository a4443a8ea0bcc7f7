//! What can be changed in one batch.

use crate::port::PortUpdate;
use crate::rule::RuleChange;
use flow::OfPort;
use flow::dp::BridgeId;
use flow::group::{Bucket, GroupSpec};
use flow::meter::MeterSpec;

/// One change of a batch (OpenFlow: one message of a bundle).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all changes are of rules")]
pub enum Change {
    Rule(RuleChange),
    Group(GroupChange),
    Meter(MeterChange),
    Port { bridge: BridgeId, port: OfPort, update: PortUpdate },
}

impl From<RuleChange> for Change {
    fn from(change: RuleChange) -> Change {
        Change::Rule(change)
    }
}

impl From<GroupChange> for Change {
    fn from(change: GroupChange) -> Change {
        Change::Group(change)
    }
}

impl From<MeterChange> for Change {
    fn from(change: MeterChange) -> Change {
        Change::Meter(change)
    }
}

/// One change of a bridge's groups (ofp_group_mod).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Add a group; its number must be free.
    Add { bridge: BridgeId, group: GroupSpec },
    /// Replace type and buckets of a group. Counters start anew, the duration goes on. `may_create`: add it when it is not there
    /// (`mod-group --may-create`).
    Modify { bridge: BridgeId, group: GroupSpec, may_create: bool },
    /// Remove a group, or all of them, with the rules that send to it. Nothing when it is not there.
    Delete { bridge: BridgeId, group: Option<u32> },
    /// Put buckets into a group: before all, after all, or after one. Type and selection stay.
    InsertBuckets { bridge: BridgeId, group: u32, buckets: Vec<Bucket>, place: BucketPlace },
    /// Take buckets out of a group.
    RemoveBuckets { bridge: BridgeId, group: u32, place: BucketPlace },
}

/// Which bucket of a group (OpenFlow 1.5, `command_bucket_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BucketPlace {
    First,
    Last,
    /// All of them; inserting there puts buckets first, as OVS does.
    All,
    Id(u32),
}

/// One change of a bridge's meters (ofp_meter_mod).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterChange {
    /// Add a meter; its number must be free.
    Add { bridge: BridgeId, meter: MeterSpec },
    /// Replace the bands of a meter. Counters stay.
    Modify { bridge: BridgeId, meter: MeterSpec },
    /// Remove a meter, or all of them, with the rules that use it. Nothing when it is not there.
    Delete { bridge: BridgeId, meter: Option<u32> },
}
