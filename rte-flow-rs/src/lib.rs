//! rte_flow and rte_mtr made safe.
//!
//! What it is for: the offload backend writes rules as plain Rust values ([`Item`], [`Action`], [`Attr`]), lowers them
//! ([`LoweredFlow`]) into exactly the arrays that DPDK's C interface takes, and hands those to an [`RteFlowApi`]. That trait is the
//! one choke point: every rte_flow and rte_mtr call passes it. [`RealRteFlow`] calls DPDK; a fake NIC implements it too, reads the
//! lowered bytes with its own parser ([`LoweredFlow::items`], [`layout`]) and so checks the lowering as well.
//!
//! # Threads
//! An [`RteFlowApi`] is `Send` and is called with `&mut self`, from the offload thread. A [`LoweredFlow`] owns all it points to
//! and is `Send + Sync`.
//!
//! # Invariants
//! - Lowered arrays end with END, their buffers are aligned for any member and live as long as the [`LoweredFlow`].
//! - A [`RuleHandle`] or [`ActionHandle`] is a number, checked against the owner's table: a stale or made-up one is an error, never a
//!   wild pointer.
//! - [`RealRteFlow`] holds the ports it writes to, so no rule outlives its port, and what a stopped port forgot is not touched again.
//! - Numbers in items and actions are in host byte order, addresses in wire order; lowering alone knows the difference.

mod action;
mod api;
mod error;
mod item;
pub mod layout;
mod lower;
mod meter;
mod real;

pub use dpdk::Errno;

pub use action::{Action, Field, ModifyField, ModifyOp, Rss};
pub use api::{ActionHandle, Attr, CountQuery, FlowInfo, RteFlowApi, RuleHandle};
pub use error::{Cause, Class, ErrorKind, RteFlowError};
pub use item::{
    AnyLayers, ArpEthIpv4, Eth, Ethdev, Icmp, Icmp6, Ipv4, Ipv6, Item, ItemFields, MarkId, Match, Sctp, Tcp, Udp, Vlan,
};
pub use lower::{ActionRef, ItemRef, LoweredActions, LoweredFlow};
pub use meter::{MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};
pub use real::RealRteFlow;
