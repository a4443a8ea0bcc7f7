//! rte_flow and rte_mtr made safe.
//!
//! What it is for: the offload backend writes rules as plain Rust values ([`Item`], [`Action`], [`Attr`]), lowers them
//! ([`LoweredFlow`]) into exactly the arrays that DPDK's C interface takes, and hands those to an [`RteFlowApi`]. That trait is the
//! one choke point: every rte_flow and rte_mtr call passes it. [`RealRteFlow`] calls DPDK; a fake NIC implements it too, reads the
//! lowered bytes with its own parser ([`LoweredFlow::items`], [`layout`]) and so checks the lowering as well.
//!
//! There are two ways to put rules in: one call a rule ([`RteFlowApi::create`]), and the asynchronous template engine
//! ([`RteFlowApi::table_create`], [`RteFlowApi::async_create`], [`RteFlowApi::pull`]), where shapes are made once and operations are
//! queued. A device that lacks the second answers ENOTSUP to [`RteFlowApi::engine_info`], and the caller takes the first. What a
//! port must be restarted for is a [`Requirement`], told to the operator and never tried.
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
//! - A rule of a template table is what its templates say, and its queue exists: both are checked here, since drivers do not.
//! - Numbers in items and actions are in host byte order, addresses in wire order; lowering alone knows the difference.

mod action;
mod api;
mod error;
mod item;
pub mod layout;
mod lower;
mod meter;
mod real;
mod real_meter;
mod real_template;
mod real_tunnel;
mod record;
mod shared;
mod template;
mod tunnel;

pub use dpdk::Errno;

pub use action::{Action, Field, ModifyField, ModifyOp, ModifySource, Rss, TunnelActions};
pub use api::{ActionHandle, AgeQuery, Attr, Cookie, CountQuery, FlowInfo, HeldRule, RteFlowApi, RuleHandle};
pub use error::{Cause, Class, ErrorKind, RteFlowError};
pub use item::{
    AnyLayers, ArpEthIpv4, Eth, Ethdev, GENEVE_OPT_DATA, Geneve, GeneveOpt, Gre, GreKey, Icmp, Icmp6, Ipv4, Ipv6,
    Ipv6FragExt, Item, ItemFields, MarkId, Match, Meta, PortId, Raw, Sctp, Tag, Tcp, TunnelItems, Udp, Vlan, Vni,
    Vxlan,
};
pub use lower::{ActionMask, ActionRef, ItemRef, LoweredActions, LoweredFlow, LoweredPattern};
pub use meter::{Colour, DscpColours, MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};
pub use real::RealRteFlow;
pub use record::{ActionBytes, ItemBytes, Record};
pub use shared::SharedRteFlow;
pub use template::{
    ActionsTemplate, AsyncResult, DriverFacts, EngineConfig, EngineInfo, PatternTemplate, Queue, Requirement,
    TemplateAttr, TemplateTable,
};
pub use tunnel::{RestoreInfo, Tunnel, TunnelKind};
