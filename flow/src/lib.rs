//! The language of the switch: fields, masks, matches, actions and their text.
//!
//! Everything here is pure: no I/O, no threads, no clock but the one that a caller hands in.
//! The crate has four layers, each built on those before it:
//!
//! 1. [`field`], [`key`], [`value`]: one table of fields ([`field::FIELDS`]) says where each field
//!    lives in a [`FlowKey`] (what the datapath matches) or in [`Registers`] (what exists only while the
//!    pipeline translates a packet), how wide it is, what it requires and whether it takes a mask.
//! 2. [`matching`], [`action`], [`text`]: OpenFlow matches and actions, and their ovs-ofctl text.
//! 3. [`extract`] and [`rewrite`]: from packet bytes to a [`FlowKey`], and changes of packet bytes with
//!    checksums kept right. Both take any bytes: truncated and lying packets give a shallower key, never
//!    a panic and never a read past the end.
//! 4. [`dp`]: the datapath language, the contract between pipeline, datapath and offload: one flow that
//!    software, partly hardware, or hardware alone can execute.
//!
//! Invariants: multi-byte fields of a key are big-endian, as on the wire, so a field's bytes in the key and
//! in the packet are the same and prefixes are leading bits; unused bytes of a key are zero, so two keys are
//! equal exactly when their bytes are.
#![forbid(unsafe_code)]

pub mod action;
pub mod clock;
pub mod dp;
pub mod extract;
pub mod field;
pub mod group;
pub mod key;
pub mod matching;
mod metadata;
pub mod meter;
pub mod port;
pub mod rewrite;
pub mod rule;
pub mod text;
pub mod value;
pub mod wire;

pub use action::Action;
pub use field::{FieldDef, FieldId};
pub use key::{FlowKey, Mask, Registers, VlanTag};
pub use matching::Match;
pub use port::{DpPort, OfPort};
pub use value::Value;
