//! Groups.

use serde::{Deserialize, Serialize};

/// Groups to add: all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsAdd {
    /// ovs-ofctl text, one group each: `group_id=1,type=all,bucket=output:1,bucket=output:2`.
    pub groups: Vec<String>,
}

/// Groups to change: all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsModify {
    /// ovs-ofctl text, one group each.
    pub groups: Vec<String>,
    /// Add those that are not there.
    #[serde(default)]
    pub may_create: bool,
}

/// Groups to remove, with the rules that send to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsDelete {
    /// `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

/// A change of a group's buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupBuckets {
    /// ovs-ofctl text of `insert-buckets`: `group_id=1,command_bucket_id=last,bucket=output:3`.
    Insert(String),
    /// ovs-ofctl text of `remove-buckets`: `group_id=1,command_bucket_id=first`.
    Remove(String),
}

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    pub group: u32,
    #[serde(rename = "type")]
    pub kind: String,
    /// As `ovs-ofctl dump-groups` prints it.
    pub text: String,
    /// Rules that send to it.
    pub ref_count: usize,
    pub packets: u64,
    pub bytes: u64,
    /// Seconds since it was added.
    pub duration: f64,
    pub buckets: Vec<BucketView>,
}

/// A bucket of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketView {
    pub bucket: u32,
    pub weight: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_port: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_group: Option<u32>,
    pub actions: String,
    /// Whether what it watches is up.
    pub live: bool,
    pub packets: u64,
    pub bytes: u64,
}
