//! Bonds: several ports that are one.
//!
//! # What it is for
//! Deciding which member of a bond a packet leaves by, and which members may be used at all. The semantics are Open
//! vSwitch's (`ovs-vswitchd.conf.db(5)`, table Port: `bond_mode`, `bond_updelay`, `bond_downdelay`, `bond-primary`,
//! `lacp-fallback-ab`) and, for aggregation, those of IEEE 802.1AX.
//!
//! # Threads
//! None. [`Bond`] is a state machine: events ([`Event`]) and time go in, decisions come out. It is changed on a control thread;
//! workers use the [`Choice`] that a translation took from it.
//!
//! # Invariants
//! - No I/O, no clock of its own: the same events at the same times give the same decisions.
//! - A choice names a member that is enabled, or nothing.
//! - Hashed traffic is spread over [`BUCKETS`] buckets. When a member goes, only its buckets move; when one comes, only as many move as
//!   it takes to make the numbers even again. Packets of one flow stay in one bucket.
//! - A choice says which fields it looked at, so that a flow made from it matches at least those.
#![forbid(unsafe_code)]

mod hash;
mod lacp;
mod member;
mod select;

pub use hash::{BUCKETS, bucket_slb, bucket_tcp, fields_slb, fields_tcp};
pub use lacp::{LacpStatus, RxState};
pub use member::{Delays, Event, Member};
pub use select::{Bond, BondError, Choice, Config, Mode};
