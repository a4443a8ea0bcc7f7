//! What a port refuses, and what helps.

use crate::errno::Errno;

/// Why a port refuses.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PortError {
    /// DPDK has no id left.
    #[error(
        "cannot add port {name:?}: DPDK holds {limit} ports at most (RTE_MAX_ETHPORTS of its build); remove one first"
    )]
    TooManyPorts {
        /// The port that was to be added.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The device could not be probed.
    #[error("cannot attach {devargs:?}: {errno}; {remedy}")]
    Attach {
        /// What was asked for.
        devargs: String,
        /// DPDK's reason.
        errno: Errno,
        /// What to look at.
        remedy: &'static str,
    },
    /// The name holds a NUL byte or is too long.
    #[error("{name:?} is not a name of a device: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A call on the device failed.
    #[error("port {name:?}: {operation} failed: {errno}")]
    Device {
        /// The port.
        name: String,
        /// DPDK's function.
        operation: &'static str,
        /// DPDK's reason.
        errno: Errno,
    },
    /// The device does not do that.
    #[error("port {name:?} (driver {driver}) does not support {what}; leave it out of the configuration")]
    Unsupported {
        /// The port.
        name: String,
        /// Its driver.
        driver: String,
        /// What is missing.
        what: String,
    },
    /// A queue cannot have so many descriptors.
    #[error(
        "port {name:?} (driver {driver}): a {queue} queue cannot have {asked} descriptors; use {min} to {max}, a multiple of {align}"
    )]
    Descriptors {
        /// The port.
        name: String,
        /// Its driver.
        driver: String,
        /// `receive` or `transmit`.
        queue: &'static str,
        /// What was asked for.
        asked: u16,
        /// Fewest.
        min: u16,
        /// Most.
        max: u16,
        /// Multiple of this.
        align: u16,
    },
    /// The device does not take this MTU.
    #[error("port {name:?} (driver {driver}): an MTU of {asked} is out of range; use {min} to {max}")]
    Mtu {
        /// The port.
        name: String,
        /// Its driver.
        driver: String,
        /// What was asked for.
        asked: u16,
        /// Smallest.
        min: u16,
        /// Largest.
        max: u16,
    },
    /// A frame does not lie in one buffer, and the device cannot spread it over several.
    #[error(
        "port {name:?} (driver {driver}): frames of MTU {mtu} need {need} bytes and the buffers of pool {pool:?} have {room}; \
         use a pool with larger buffers or a smaller MTU"
    )]
    Buffers {
        /// The port.
        name: String,
        /// Its driver.
        driver: String,
        /// What was asked for.
        mtu: u16,
        /// Bytes of the longest frame.
        need: usize,
        /// Bytes of frame that a buffer holds.
        room: usize,
        /// The pool.
        pool: String,
    },
    /// The call does not fit the port's state.
    #[error("port {name:?} is {state}; {remedy}")]
    State {
        /// The port.
        name: String,
        /// Its state.
        state: &'static str,
        /// What has to come first.
        remedy: &'static str,
    },
    /// Queues or handles are still out.
    #[error("port {name:?} is in use by {queues} queues and {handles} other handles; give them back first")]
    InUse {
        /// The port.
        name: String,
        /// Queues not yet dropped.
        queues: usize,
        /// Handles beside this one.
        handles: usize,
    },
}
