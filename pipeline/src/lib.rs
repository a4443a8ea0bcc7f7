//! OpenFlow state and its translation into datapath flows.
//!
//! A [`Pipeline`] holds bridges: their ports, their tables of rules, and what they have learned. Asked about a packet, it
//! goes through the tables and answers with a [`flow::dp::Translation`]: what the datapath has to do with this
//! packet and with all others that are equal in the bits that were looked at.
//!
//! # Two kinds of state
//!
//! Bridges, ports, rules, groups, meters and mirrors are one immutable snapshot behind an atomic pointer. A change makes a new
//! one that shares all but the changed paths with the old ([`Pipeline::change`]: a batch, all or nothing), and a
//! translation works on one snapshot from beginning to end. Learned addresses and counters change with packets, not with
//! commands: they are concurrent state beside the snapshot. Rules that packets make (`learn`) are rules of the
//! snapshot; a packet that makes one that is there as it should be only touches its counters. What rules that went
//! have counted is kept for two seconds more, so that hits that come late count in their notices and their tables.
//!
//! # Threads
//!
//! Any thread may call anything. Translation takes no lock but a shared one on the FDB of a bridge that uses NORMAL;
//! writers of the snapshot take turns on a mutex that readers never touch.
//!
//! # Invariants
//!
//! - Translation changes nothing. What a packet does beside being forwarded (counts, learned addresses) is named in the
//!   answer's effects and done by [`flow::dp::Slowpath::replay`].
//! - **A mask is a path.** Translation is a function of the bits that it looked at and of nothing else, and which
//!   bit it looks at next depends only on those seen before. So every packet that agrees with a translated one in
//!   the mask has the very same translation, mask included, and two masked flows of one state are equal or disjoint.
//! - `in_port`, `recirc_id` and `eth_type` are always exact, and `nw_frag` on IP packets: the meaning of the other fields hangs on
//!   them. `nw_proto` is exact where something asked for a layer 4 field, VLAN presence where something asked for or
//!   changed a tag.
//! - A bit that an action has overwritten is no longer the packet's: looking at it adds nothing to the mask. Setting a
//!   field does not look at it either: the set is executed even on packets that have the value already.
//! - Registers, metadata, the stack and learned rules hold constants only: bits of the packet are looked at when they are copied there.
//! - What a clone, a bucket or a patch port's bridge did to the packet is undone behind it, by setting fields back (then those are
//!   looked at) or by a copy of the datapath.
//! - A packet that has to come back (for a hash, or from connection tracking) leaves with a number for what it has to go on with: equal
//!   states have one number, and a flow depends on the numbers it sends to. See `translate/freeze.rs`.
//! - The TTL is never looked at by `dec_ttl`; the datapath checks it. Rules behind a `dec_ttl` count packets whose TTL
//!   ran out there too.
//! - Reserved addresses (01:80:c2:00:00:0x) are never cached, and every other translation's mask tells its packet from
//!   them: see `translate/reserved.rs`.
//! - A change is told by [`flow::dp::Slowpath::take_changes`] after it can be seen by translation.
#![forbid(unsafe_code)]

mod apply;
mod bridges;
mod change;
mod changes;
mod check;
mod classifier;
mod error;
mod fdb;
mod group;
mod hardware;
mod learn;
pub mod meter;
mod meters;
mod mirror;
mod notice;
mod numbers;
mod pipeline;
mod port;
mod ports;
mod rule;
mod state;
mod table;
pub mod testing;
pub mod trace;
mod translate;

pub use bridges::{BridgeInfo, BridgeOptions};
pub use change::{BucketPlace, Change, GroupChange, MeterChange};
pub use error::{ChangeError, ErrorClass, FlowError};
pub use fdb::{FdbEntry, FdbFilter, FdbStats};
pub use group::{ALL_BUCKETS, GroupEntry};
pub use hardware::Hardware;
pub use learn::LearnStats;
pub use meters::MeterEntry;
pub use mirror::{MAX_MIRRORS, MirrorEntry, MirrorOutput, MirrorSpec};
pub use notice::{FlowRemoved, Notices};
pub use pipeline::{Config, Pipeline};
pub use port::{Admission, BondRef, Bonds, Port, PortKind, PortSpec, PortUpdate, PriorityTags, VlanMode, VlanSet};
pub use rule::{Applied, RemoveReason, RemovedRule, RuleChange, RuleEntry, RuleStats, Select};
pub use state::FailMode;
pub use table::{Overflow, TableConfig, TableStats};
