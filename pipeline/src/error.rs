//! Why the pipeline refuses a change.

use crate::meter::MeterError;
use flow::dp::BridgeId;
use flow::group::GroupError;
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
    #[error("patch port {0} cannot be its own peer; name the port at the other end")]
    PatchToItself(String),
    #[error("port number {number} of bridge {bridge} belongs to {name}; choose another or none")]
    NumberTaken { bridge: String, number: OfPort, name: String },
    #[error("port number {0} is reserved; choose one from 1 to 65279")]
    NumberReserved(OfPort),
    #[error("bridge {0} has no free port number; remove a port")]
    NumbersExhausted(String),
    #[error("datapath port {dp} belongs to bridge {bridge} already; remove it there first")]
    PortOwned { dp: DpPort, bridge: String },
    #[error("datapath port number {0} is out of range; choose one below 2147483648")]
    BadDpPort(DpPort),
    #[error("VLAN {0} is out of range; choose one from 0 to 4095")]
    BadVlan(u16),
    #[error("mirror {mirror} of bridge {bridge} does not exist; list the bridge's mirrors")]
    NoMirror { bridge: String, mirror: String },
    #[error("mirror {mirror} of bridge {bridge} exists already; choose another name")]
    MirrorExists { bridge: String, mirror: String },
    #[error("bridge {0} has 32 mirrors already; remove one")]
    TooManyMirrors(String),
    #[error("{0} is a group address, which is never learned; name the address of a station")]
    GroupAddress(String),
    #[error("bridge {bridge} has no static entry for {mac} in VLAN {vlan}; list its addresses")]
    NoStaticEntry { bridge: String, vlan: u16, mac: String },
    #[error("change {index}: {error}")]
    Change {
        /// Which change of the batch, from 0.
        index: usize,
        error: ChangeError,
    },
}

/// Why one change of a batch is refused.
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
    #[error("table {table} is full: {limit} rules; remove some, raise its limit, or let it evict")]
    TableFull { table: u8, limit: u32 },
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
    /// What is wrong with the group by itself.
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error("group {0} does not exist; add it first")]
    NoGroup(u32),
    #[error("group {0} exists already; modify it, or choose another number")]
    GroupExists(u32),
    #[error("groups {} lead back to themselves; let one of them end elsewhere", path(.0))]
    GroupLoop(
        /// From the group that was changed back to it.
        Vec<u32>,
    ),
    #[error("group {group} has no bucket {bucket}; list its buckets")]
    NoBucket { group: u32, bucket: u32 },
    #[error("meter {0} does not exist; add it first")]
    NoMeter(u32),
    #[error("meter {0} exists already; modify it, or choose another number")]
    MeterExists(u32),
    #[error("meter number {0} is out of range; choose one from 1 to 4294901760")]
    BadMeterNumber(u32),
    #[error("{0}")]
    Meter(MeterError),
    #[error("port {port} does not exist; list the bridge's ports")]
    NoPort { port: OfPort },
    #[error("VLAN {0} is out of range; choose one from 0 to 4095")]
    BadVlan(u16),
}

fn path(groups: &[u32]) -> String {
    groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" -> ")
}

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Something that is named is not there.
    NotFound,
    /// Something is there already.
    Conflict,
    /// There is no room.
    Full,
    /// It can never be right.
    Invalid,
}

impl FlowError {
    /// What sort of refusal it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            FlowError::NoBridge(_)
            | FlowError::NoPort { .. }
            | FlowError::NoMirror { .. }
            | FlowError::NoStaticEntry { .. } => ErrorClass::NotFound,
            FlowError::BridgeExists(_)
            | FlowError::PortExists { .. }
            | FlowError::NumberTaken { .. }
            | FlowError::MirrorExists { .. }
            | FlowError::PortOwned { .. } => ErrorClass::Conflict,
            FlowError::NumbersExhausted(_) | FlowError::TooManyMirrors(_) => ErrorClass::Full,
            FlowError::NumberReserved(_)
            | FlowError::BadVlan(_)
            | FlowError::BadDpPort(_)
            | FlowError::PatchToItself(_)
            | FlowError::GroupAddress(_) => ErrorClass::Invalid,
            FlowError::Change { error, .. } => error.class(),
        }
    }
}

impl ChangeError {
    /// What sort of refusal it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            ChangeError::NoBridge(_)
            | ChangeError::NoGroup(_)
            | ChangeError::NoMeter(_)
            | ChangeError::NoBucket { .. }
            | ChangeError::NoPort { .. } => ErrorClass::NotFound,
            ChangeError::Overlap { .. } | ChangeError::GroupExists(_) | ChangeError::MeterExists(_) => {
                ErrorClass::Conflict
            }
            ChangeError::TableFull { .. } | ChangeError::Meter(MeterError::TooManyMeters { .. }) => ErrorClass::Full,
            _ => ErrorClass::Invalid,
        }
    }
}
