//! Why the pipeline refuses a change.

use flow::dp::BridgeId;
use flow::{DpPort, FieldId, OfPort};

/// A change that was refused; nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    #[error("bridge {0} does not exist; list them, or add it first")]
    NoBridge(String),
    #[error("bridge {0} exists already; choose another name")]
    BridgeExists(String),
    #[error("port {port} of bridge {bridge} does not exist; list the bridge's ports")]
    NoPort { bridge: String, port: String },
    #[error("port {name} of bridge {bridge} exists already; choose another name")]
    PortExists { bridge: String, name: String },
    #[error("port number {number} of bridge {bridge} belongs to {name}; choose another or none")]
    NumberTaken { bridge: String, number: OfPort, name: String },
    #[error("port number {0} is reserved; choose one from 1 to 65279")]
    NumberReserved(OfPort),
    #[error("bridge {0} has no free port number; remove a port")]
    NumbersExhausted(String),
    #[error("datapath port {dp} belongs to bridge {bridge} already; remove it there first")]
    PortOwned { dp: DpPort, bridge: String },
    #[error("VLAN {0} is out of range; choose one from 0 to 4095")]
    BadVlan(u16),
    #[error("change {index}: {error}")]
    Change {
        /// Which change of the batch, from 0.
        index: usize,
        error: ChangeError,
    },
}

/// Why one change of rules is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("bridge number {} does not exist", .0.0)]
    NoBridge(BridgeId),
    #[error("table {0} does not exist; tables are 0 to 254")]
    BadTable(u8),
    #[error(
        "overlaps a rule of priority {priority} in table {table} (check_overlap); change the priority or the match"
    )]
    Overlap { table: u8, priority: u16 },
    #[error("goto_table:{to} in table {from}: only a later table can follow")]
    GotoBackwards { from: u8, to: u8 },
    #[error("goto_table must be the last action")]
    GotoNotLast,
    #[error("{0} cannot be changed by an action")]
    ReadOnly(FieldId),
    #[error("output to {0} is not possible in a rule; name a port, IN_PORT, NORMAL, FLOOD, ALL, LOCAL or CONTROLLER")]
    BadOutput(OfPort),
    #[error("VLAN id {0} is out of range; choose one from 0 to 4095")]
    BadVlanId(u16),
    #[error("VLAN priority {0} is out of range; choose one from 0 to 7")]
    BadVlanPriority(u8),
    #[error("push_vlan:{0:#06x} is not a VLAN ethertype; use 0x8100 or 0x88a8")]
    BadVlanType(u16),
    #[error(
        "conjunction can only stand beside other conjunctions and notes; move the other actions to a rule with conj_id"
    )]
    ConjunctionMixed,
    #[error("conjunction clause {}/{clauses} is out of range; have 2 to 64 clauses, numbered from 1", u16::from(*.clause) + 1)]
    BadClause { clause: u8, clauses: u8 },
    #[error("{0} cannot be in an action set or a group's bucket; apply it in the rule")]
    NotInSet(String),
    #[error("{0} cannot be in ct(exec(...)); only ct_mark and ct_label can be set there")]
    NotInExec(String),
    #[error("{0} is an instruction of a rule and cannot be inside another action")]
    Instruction(String),
    #[error("the bits named of {0} are not all in it; give a range within the field")]
    BadPart(FieldId),
    #[error("controller(pause) is not supported; send without it, and let a rule go on with the packet")]
    Pause,
    #[error("actions are nested too deeply; use at most 100 levels")]
    TooDeep,
    #[error("group {0:#x} is out of range; choose one up to 0xffffff00")]
    BadGroupId(u32),
    #[error("group {group} is indirect and has {buckets} buckets; give it one")]
    IndirectBuckets { group: u32, buckets: usize },
    #[error("group {0} has a selection method but is not of type select; remove it")]
    SelectionOfOther(u32),
    #[error("group {group} has bucket {bucket} twice; give each bucket its own number")]
    BucketTwice { group: u32, bucket: u32 },
    #[error("bucket {bucket} of fast-failover group {group} watches nothing; give it watch_port or watch_group")]
    NothingWatched { group: u32, bucket: u32 },
    #[error("group {group} would lead back to itself through group {through}; remove that")]
    GroupLoop { group: u32, through: u32 },
}
