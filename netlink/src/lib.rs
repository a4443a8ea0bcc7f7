//! The way to the kernel: netlink sockets and sysfs, behind seams that a fake can stand in for.
//!
//! # What it is for
//! Every byte that Shunt exchanges with the kernel's control plane passes one of two seams:
//! - [`Transport`]: a netlink socket (send a datagram, wait for a datagram, join a multicast group);
//! - [`Sysfs`]: files and links below `/sys`.
//!
//! [`KernelAccess`] hands out both (and who has device files open, [`OpenFile`]), so that a process runs on the real kernel ([`RealKernel`]) or on a fake one that speaks the same
//! bytes, without a `cfg` anywhere above. On the seams stand
//! - [`Connection`]: requests with sequence numbers, acknowledgements, the kernel's extended acknowledgement text as a typed error;
//!   [batches](Connection::batch) of requests; dumps that start again when the kernel says that they were interrupted
//!   (`NLM_F_DUMP_INTR`, `EINTR`), lost (`ENOBUFS`) or that an earlier one is not read to its end (`EBUSY`);
//! - [`EventStream`]: multicast events; an overrun (`ENOBUFS`) or an unreadable datagram becomes [`Notice::Resync`], because from then
//!   on only a fresh dump tells the truth; [`Replica`] keeps a copy of the kernel's objects true across such losses;
//! - [`GenlConnection`]: generic netlink families, resolved by name;
//! - [`LinkClient`]: network devices (rtnetlink `RTM_*LINK`), as far as a switch needs them, and the VFs of PFs with their
//!   settings and counters (`IFLA_VFINFO_LIST`);
//! - [`FeatureClient`]: features of network devices (`ethtool -K`); [`qdiscs`]: what rules hang on;
//! - [`Worker`] and [`Listener`]: the same for async code;
//! - `fake` (feature `fake`): a kernel for tests that answers byte by byte.
//!
//! ```
//! use netlink::{KernelAccess, LinkClient, Protocol, RealKernel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut links = LinkClient::new(RealKernel.open(Protocol::Route)?);
//! for link in links.dump()? {
//!     println!("{} {} {}", link.ifindex, link.name, if link.is_up() { "up" } else { "down" });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//! [`Connection`], [`EventStream`] and what stands on them block, each call with a deadline; they belong on a control thread, never on
//! a worker that moves packets. A transport is `Send` but used by one thread at a time (`&mut self`). [`Worker`] and
//! [`Listener`] start one thread each and are what async code uses: the kernel carries a request out inside
//! `sendmsg`, so a socket that is driven by an async runtime's own threads would hold one of them for as long as a
//! driver takes.
//!
//! # Invariants
//! - Bytes from the kernel are not trusted: every parser returns [`Error::Malformed`] in place of a panic, and loops are bounded by a
//!   deadline.
//! - Only datagrams of the kernel itself are believed (port 0), and only answers to the request at hand (sequence number).
//! - A request whose answer did not arrive ([`Error::Timeout`], [`Error::Overrun`], [`Error::Malformed`]) may have taken effect:
//!   [`Error::outcome_unknown`] says so, and the caller has to read back.
//! - Unknown attributes are kept where a message is turned into a type, and never are an error.
#![forbid(unsafe_code)]

mod access;
mod attr;
mod batch;
mod conn;
mod error;
mod ethtool;
mod event;
#[cfg(feature = "fake")]
pub mod fake;
mod genl;
mod link;
mod listener;
mod mac;
mod message;
mod processes;
mod qdisc;
mod replica;
mod sysfs;
mod transport;
mod worker;

pub use access::{KernelAccess, RealKernel};
pub use attr::{Attr, AttrBuf, Attrs, Bitfield32, NLA_F_NESTED, RawAttr};
pub use batch::Request;
pub use conn::Connection;
pub use error::{Error, KernelError, Result};
pub use ethtool::{Feature, FeatureClient, HW_TC_OFFLOAD};
pub use event::{EventStream, Notice};
pub use genl::{Family, GenlConnection, GenlReply, families};
pub use link::{
    IFF_UP, Link, LinkChange, LinkClient, LinkDetail, LinkInfo, LinkSettings, LinkStats, RTNLGRP_LINK, VfInfo,
    VfLinkState, VfRate, VfSettings, VfStats, VfVlan, VlanProto, parse_link_notice,
};
pub use listener::Listener;
pub use mac::Mac;
pub use message::{Message, Messages, split};
pub use processes::{OpenFile, open_files};
pub use qdisc::{Qdisc, QdiscChange, RTNLGRP_TC, parse_qdisc_notice, qdiscs};
pub use replica::{Delta, Replica};
pub use sysfs::{RealSysfs, Sysfs, SysfsError};
pub use transport::{Protocol, SocketTransport, Transport};
pub use worker::Worker;
