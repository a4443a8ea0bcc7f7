//! The way to the kernel: netlink sockets and sysfs, behind seams that a fake can stand in for.
//!
//! # What it is for
//! Every byte that Shunt exchanges with the kernel's control plane passes one of two seams:
//! - [`Transport`]: a netlink socket (send a datagram, wait for a datagram, join a multicast group);
//! - [`Sysfs`]: files and links below `/sys`.
//!
//! [`KernelAccess`] hands out both, so that a process runs on the real kernel ([`RealKernel`]) or on a fake one that speaks the same
//! bytes, without a `cfg` anywhere above. On the seams stand
//! - [`Connection`]: requests with sequence numbers, acknowledgements, the kernel's extended acknowledgement text as a typed error,
//!   and dumps that start again when the kernel says that they were interrupted (`NLM_F_DUMP_INTR`);
//! - [`EventStream`]: multicast events; an overrun (`ENOBUFS`) or an unreadable datagram becomes [`Notice::Resync`], because from then
//!   on only a fresh dump tells the truth;
//! - [`GenlConnection`]: generic netlink families, resolved by name;
//! - [`LinkClient`]: network devices (rtnetlink `RTM_*LINK`), as far as a switch needs them.
//!
//! # Threads
//! Nothing here starts a thread. All calls block, each with a deadline; they belong on a control thread, never on a worker that moves
//! packets. A transport is `Send` but used by one thread at a time (`&mut self`).
//!
//! # Invariants
//! - Bytes from the kernel are not trusted: every parser returns [`Error::Malformed`] in place of a panic, and loops are bounded by a
//!   deadline.
//! - A request whose answer did not arrive ([`Error::Timeout`], [`Error::Overrun`], [`Error::Malformed`]) may have taken effect:
//!   [`Error::outcome_unknown`] says so, and the caller has to read back.
//! - Unknown attributes are kept where a message is turned into a type, and never are an error.
#![forbid(unsafe_code)]

mod access;
mod attr;
mod conn;
mod error;
mod event;
mod genl;
mod link;
mod message;
mod sysfs;
mod transport;

pub use access::{KernelAccess, RealKernel};
pub use attr::{Attr, AttrBuf, Attrs, NLA_F_NESTED, RawAttr};
pub use conn::Connection;
pub use error::{Error, KernelError, Result};
pub use event::{EventStream, Notice};
pub use genl::{Family, GenlConnection, GenlReply};
pub use link::{IFF_UP, Link, LinkChange, LinkClient, RTNLGRP_LINK, parse_link_notice};
pub use message::{Message, Messages, split};
pub use sysfs::{RealSysfs, Sysfs, SysfsError};
pub use transport::{Protocol, SocketTransport, Transport};
