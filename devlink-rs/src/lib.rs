//! devlink: the kernel's interface to a NIC as a device (not as a network interface).
//!
//! # What it is for
//! A client of the generic netlink family `devlink`: devices (what they are, reload, parameters, resources), the
//! eswitch (legacy or switchdev, inline mode, encapsulation), ports with their flavour and PCI numbers, the functions
//! behind them (hardware address, state, capabilities), sub-functions, transmit rates, health reporters, regions and
//! traps, and the events about all that. Numbers and meanings are those of `include/uapi/linux/devlink.h` and
//! `Documentation/networking/devlink/`.
//!
//! ```no_run
//! use devlink_rs::{Devlink, EswitchChange, EswitchMode};
//! use netlink::{KernelAccess, Protocol, RealKernel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut devlink = Devlink::open(RealKernel.open(Protocol::Generic)?)?;
//! for device in devlink.devices()? {
//!     let change = EswitchChange { mode: Some(EswitchMode::Switchdev), ..EswitchChange::default() };
//!     // Refused? The error has the driver's own words.
//!     devlink.set_eswitch(&device, &change)?;
//! }
//! for port in devlink.ports()? {
//!     println!("{} {:?} pf {:?} vf {:?} {:?}", port.id, port.flavour, port.pf, port.vf, port.netdev);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//! - [`request`]: each operation as data ([`request::Request`]): the bytes to send, and the reading of the answer. No input or
//!   output, so all of it is tested on bytes.
//! - [`Devlink`] carries requests out and blocks; [`AsyncDevlink`] does it for async code. Both have a method for each operation, and
//!   [`Devlink::batch`] for many at a time.
//! - [`DevlinkEvents`]: what happens, as it happens. [`PortWatch`]: the ports of the host, kept true even where events were
//!   lost. Both become a [`netlink::Listener`] for async code.
//!
//! ```no_run
//! use devlink_rs::{AsyncDevlink, DevlinkEvents};
//! use netlink::{KernelAccess, Protocol, RealKernel};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let devlink = AsyncDevlink::open(RealKernel.open(Protocol::Generic)?).await?;
//! let events = DevlinkEvents::of_family(devlink.family(), RealKernel.open(Protocol::Generic)?)?;
//! let mut events = events.into_listener()?;
//! println!("{:?}", devlink.ports().await?);
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//! [`Devlink`], [`DevlinkEvents`] and [`PortWatch`] have none; their calls block and belong on a control thread. The kernel carries a
//! request out inside `sendmsg`: setting the eswitch mode makes drivers rebuild the device there, and no deadline
//! ends that. Deadlines ([`request::Request::TIMEOUT`], [`request::Request::LONG_TIMEOUT`]) are for the answer.
//! [`AsyncDevlink`] has one thread, which is why it exists: sent from a runtime's own thread, such a request would
//! hold it.
//!
//! # Invariants
//! - What the kernel sends is not trusted: an answer that cannot be read, or that is about another object than was asked about, is
//!   [`netlink::Error::Malformed`], never a panic and never a default value where a real one was expected.
//! - Attributes and enum values that we do not know are kept (`other`, `Other(..)`): a newer kernel is not an error. What an older
//!   kernel or the driver leaves out is `None`.
//! - A refusal carries the request in the words of iproute2's `devlink`, and the driver's own words (extended acknowledgement).
//! - A port's identity is [`PortId`] (device and port index) and, for people, its PCI numbers; the network device's name is an
//!   attribute that may change at any time.
#![forbid(unsafe_code)]

mod client;
mod device;
mod eswitch;
mod event;
mod fmsg;
mod health;
mod info;
mod names;
mod param;
mod port;
mod rate;
mod region;
pub mod request;
mod resource;
mod trap;
mod uapi;
mod watch;
mod words;

pub use client::{AsyncDevlink, Devlink};
pub use device::{Device, DeviceId, ReloadCount};
pub use eswitch::{Eswitch, EswitchChange};
pub use event::{DevlinkEvent, DevlinkEvents};
pub use fmsg::{Fmsg, FmsgToken, FmsgValue};
pub use health::{HealthReporter, ReporterChange, ReporterId};
pub use info::{Info, Version, VersionKind};
pub use names::{
    EncapMode, EswitchMode, Flavour, FunctionState, HealthState, InlineMode, ParamMode, PortType, ReloadAction,
    ReloadLimit, ResourceUnit, TrapAction, TrapType, UnknownName,
};
pub use param::{Param, ParamValue};
pub use port::{FunctionChange, NewPort, Port, PortFunction, PortId};
pub use rate::{Rate, RateChange, RateId, RateParent};
pub use region::Region;
pub use resource::Resource;
pub use trap::{Trap, TrapGroup, TrapPolicer, TrapStats};
pub use watch::{PortChange, PortWatch};
