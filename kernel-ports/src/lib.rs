//! Ports that face the kernel: `tap`, `internal` and `af-packet`.
//!
//! A [`KernelPort`] is a network device of the kernel on one side and a DPDK port made of two rings on the other. One thread
//! moves frames between file descriptors and rings, in batches, so that the switch's workers make no system call.
//!
//! # What the kernel leaves undone
//! A sender on the same host leaves checksums to the device (`CHECKSUM_PARTIAL`) and hands over frames of up to 64 KiB (TSO,
//! USO). Each frame comes behind a `virtio_net_hdr` that says so ([`vnet`]). Checksums are completed ([`checksum`]), long
//! frames are cut into segments ([`segment`]), and VLAN tags that a packet socket keeps beside the bytes are put back. So the
//! switch sees frames as they would be on a wire, and nobody needs `ethtool -K tx off`.
//!
//! # Threads
//! - `kernel-io` owns all devices and the kernel's ends of all rings. While frames flow it does not sleep; then it sleeps in
//!   `ppoll`, 20 microseconds at first and 1 millisecond at most: a descriptor wakes it, a ring does not, because that would cost
//!   the worker a system call.
//! - `kernel-watch` looks every 500 milliseconds whether devices are there and up, and opens again what has come back.
//!
//! # Invariants
//! - The kernel's headers are not trusted: nothing that they say makes the crate panic, read outside of the frame, or make more
//!   than [`segment::MAX_SEGMENTS`] packets of one frame.
//! - Every frame that comes to an end here is counted under a name ([`Counter`]).
//! - Frames are read from the kernel only while the ring has room for them: a switch that is too slow holds senders back.
//! - A device that we made goes with its port; one that was there gets its promiscuous mode back when the socket is closed,
//!   after a crash too.
#![forbid(unsafe_code)]

pub mod checksum;
mod counters;
mod device;
mod error;
mod io;
mod ports;
mod pump;
pub mod segment;
mod spec;
mod state;
pub mod vnet;
mod watch;

pub use counters::Counter;
pub use error::KernelPortError;
pub use ports::{Absent, KernelPort, KernelPorts, TX_QUEUES};
pub use spec::{Kind, MAX_MTU, MIN_MTU, Spec};
pub use state::State;
