//! devlink: the kernel's interface to a NIC as a device (not as a network interface).
//!
//! # What it is for
//! A client for the part of devlink that a switch needs: devices, the eswitch (legacy or switchdev, inline mode, encapsulation),
//! ports with their flavour and PCI numbers, port functions (hardware address, state) and the events about them. Numbers and meanings
//! are those of `include/uapi/linux/devlink.h` and `Documentation/networking/devlink/`.
//!
//! # Threads
//! None of its own. Calls block with the deadlines of [`netlink::Connection`]; they belong on a control thread. Setting the eswitch
//! mode makes drivers rebuild the device, so that call has a deadline of its own ([`Devlink::MODE_CHANGE_TIMEOUT`]).
//!
//! # Invariants
//! - What the kernel sends is not trusted: an answer that cannot be read is [`netlink::Error::Malformed`], never a panic and never a
//!   default value where a real one was expected.
//! - Attributes and enum values that we do not know are kept (`other`, `Other(..)`): a newer kernel is not an error.
//! - A port's identity is [`PortId`] (device and port index) and, for people, its PCI numbers; the network device's name is an
//!   attribute that may change at any time.
#![forbid(unsafe_code)]

mod client;
mod event;
mod types;
mod uapi;

pub use client::Devlink;
pub use event::{DevlinkEvent, DevlinkEvents};
pub use types::{
    DeviceId, EncapMode, Eswitch, EswitchChange, EswitchMode, Flavour, FunctionChange, FunctionState, InlineMode, Port,
    PortFunction, PortId, UnknownName,
};
