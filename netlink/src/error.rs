//! What can go wrong between us and the kernel.

use std::{fmt, io, time::Duration};

/// Result of a netlink operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The kernel's refusal of a request: `NLMSG_ERROR` with its extended acknowledgement, when there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// What was asked, in words, for example `devlink eswitch set pci/0000:03:00.0 mode switchdev`.
    pub what: String,
    /// Positive errno.
    pub errno: i32,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`).
    pub message: Option<String>,
    /// Offset in the request of the attribute that the kernel did not like (`NLMSGERR_ATTR_OFFS`), bytes.
    pub offset: Option<u32>,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, io::Error::from_raw_os_error(self.errno))?;
        if let Some(text) = &self.message {
            write!(f, "; the kernel says: {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for KernelError {}

/// Errors of the transport, the protocol, or the kernel's answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error(
        "netlink socket: {op} failed: {source}; check that the process has CAP_NET_ADMIN and file descriptors left"
    )]
    Io {
        /// Which call.
        op: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// No answer within the deadline. The request may have taken effect.
    #[error("{what}: no answer from the kernel within {after:?}; read the state back before trying again")]
    Timeout {
        /// What was asked.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The bytes received are not what the protocol says. The request may have taken effect.
    #[error("malformed {what} from the kernel: {detail}")]
    Malformed {
        /// Which part of which message.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The dump was interrupted by changes more often than we were ready to start again.
    #[error("{what}: the dump was interrupted by changes {tries} times in a row; try again when the system is quieter")]
    DumpInterrupted {
        /// What was asked.
        what: String,
        /// How many times it was tried.
        tries: u32,
    },
    /// The socket's receive buffer overran (`ENOBUFS`): messages were lost.
    #[error("{what}: the socket overran and messages were lost; a resync is needed")]
    Overrun {
        /// What was being done.
        what: String,
    },
    /// A request of a batch was not sent, because an earlier one of it got no answer. It had no effect.
    #[error(
        "{what}: not sent, because an earlier request of the batch got no answer; read the state back and send the rest again"
    )]
    NotSent {
        /// What was to be asked.
        what: String,
    },
    /// A value is longer than an attribute can be. Nothing was sent.
    #[error("{what}: the value of attribute {attr} is longer than netlink can carry (65,531 bytes); nothing was sent")]
    TooLong {
        /// What was to be asked.
        what: String,
        /// Number of the attribute.
        attr: u16,
    },
    /// The thread that serves the connection has ended (it panicked).
    #[error("{what}: the thread that speaks to the kernel has ended; open a new client")]
    Closed {
        /// What was to be asked.
        what: String,
    },
    /// A generic netlink family is not there.
    #[error("the kernel has no generic netlink family '{name}'; load the module or use a kernel that has it")]
    NoFamily {
        /// Family name.
        name: String,
    },
    /// A multicast group is not there.
    #[error("generic netlink family '{family}' has no multicast group '{group}'")]
    NoGroup {
        /// Family name.
        family: String,
        /// Group name.
        group: String,
    },
}

impl Error {
    /// The errno of the kernel's refusal, if it is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Kernel(k) => Some(k.errno),
            _ => None,
        }
    }

    /// True when the request may have taken effect although it failed for us: the caller has to read back.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Error::Timeout { .. } | Error::Malformed { .. } | Error::Overrun { .. })
    }

    /// True when the kernel answered "not supported" (`EOPNOTSUPP`).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error())
    }
}
