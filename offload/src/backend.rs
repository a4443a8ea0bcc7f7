//! The seam between the engine and what talks to devices.

use crate::rule::HwRule;
use crate::world::{EswitchDomain, EthdevId};
use flow::dp::MeterId;
use flow::meter::MeterSpec;
use std::sync::Arc;

/// An operation's number; the engine gives them out in order, and never one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A rule's number in the engine; given out in order, and never twice. The backend keeps the device's handle under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey(pub u64);

/// What the engine wants done.
#[derive(Clone, Debug)]
pub enum Op {
    /// Put a rule in.
    Insert { id: OpId, key: RuleKey, rule: Arc<HwRule> },
    /// Put `rule` in under `new`, which is at the place of `old`, then take `old` out (make before break); the answer is
    /// [`Done::Removed`] with the old one's last count. An error means that `old` is in as before and `new` is not.
    /// A device that cannot have two rules at one place answers `NotSupported` or `Exists`.
    Update { id: OpId, old: RuleKey, new: RuleKey, rule: Arc<HwRule> },
    /// Take a rule out. Where its counter outlives it: destroy the rule, read the counter, destroy the counter. Where it does not:
    /// lead its packets to software first.
    Remove { id: OpId, key: RuleKey },
    /// Read a rule's counter.
    Query { id: OpId, key: RuleKey },
}

impl Op {
    /// The operation's number.
    #[must_use]
    pub fn id(&self) -> OpId {
        match self {
            Op::Insert { id, .. } | Op::Update { id, .. } | Op::Remove { id, .. } | Op::Query { id, .. } => *id,
        }
    }
}

/// What a rule has counted since it was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub packets: u64,
    /// Bytes of the frames as received, without FCS.
    pub bytes: u64,
}

/// What a meter of a device has counted since it was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterCounts {
    /// What came to it, as far as the device counts that.
    pub packets: u64,
    pub bytes: u64,
    /// Of that, what it dropped.
    pub dropped_packets: u64,
    pub dropped_bytes: u64,
}

impl MeterCounts {
    /// What came after `before`. A count that went back began anew.
    #[must_use]
    pub fn since(&self, before: &MeterCounts) -> MeterCounts {
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        MeterCounts {
            packets: since(self.packets, before.packets),
            bytes: since(self.bytes, before.bytes),
            dropped_packets: since(self.dropped_packets, before.dropped_packets),
            dropped_bytes: since(self.dropped_bytes, before.dropped_bytes),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Inserted,
    /// `last` is the final count; `exact`: nothing was counted after it was read. `None` for rules that do not count.
    Removed {
        last: Option<Counters>,
        exact: bool,
    },
    /// The answer to a query.
    Counted(Counters),
}

/// The end of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub id: OpId,
    pub result: Result<Done, DeviceError>,
}

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceErrorKind {
    /// ENOTSUP: the device cannot do it. Learned for the rule's shape.
    NotSupported,
    /// ENOSPC or ENOMEM: no room.
    TableFull,
    /// EINVAL: the device finds the rule wrong. Learned for the rule's shape.
    Invalid,
    /// EAGAIN or EBUSY: later.
    Busy,
    /// EEXIST: an equal rule is there.
    Exists,
    /// ENOENT: the rule is not there.
    NotFound,
    /// EIO or ENODEV: the device is gone, and all its rules with it.
    Dead,
    /// Another errno.
    Other(i32),
}

impl DeviceErrorKind {
    /// By errno, as rte_flow functions return it.
    #[must_use]
    pub fn from_errno(errno: i32) -> DeviceErrorKind {
        match errno.saturating_abs() {
            2 => DeviceErrorKind::NotFound,
            5 | 19 => DeviceErrorKind::Dead,
            11 | 16 => DeviceErrorKind::Busy,
            12 | 28 => DeviceErrorKind::TableFull,
            17 => DeviceErrorKind::Exists,
            22 => DeviceErrorKind::Invalid,
            38 | 95 => DeviceErrorKind::NotSupported,
            other => DeviceErrorKind::Other(other),
        }
    }

    /// Whether every rule of the same shape would get the same answer.
    #[must_use]
    pub fn is_of_shape(self) -> bool {
        matches!(self, DeviceErrorKind::NotSupported | DeviceErrorKind::Invalid)
    }
}

/// A device's refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{message} ({kind:?})")]
pub struct DeviceError {
    pub kind: DeviceErrorKind,
    /// The device's own words (`rte_flow_error.message`, netlink extended acknowledgement), or the errno's.
    pub message: String,
}

/// What shares one table and one fate: an embedded switch, or an ethdev that is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKey {
    Eswitch(EswitchDomain),
    Ethdev(EthdevId),
}

impl std::fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceKey::Eswitch(domain) => write!(f, "eswitch {}", domain.0),
            DeviceKey::Ethdev(port) => write!(f, "ethdev {}", port.0),
        }
    }
}

/// What a rule carries, where the device keeps it (TC's `TCA_ACT_COOKIE`), so that its owner finds it again. rte_flow rules
/// carry none: there a backend that outlives its engine remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cookie {
    /// Ours: the same over restarts, and nobody else's.
    pub instance: u64,
    /// Which run of ours put the rule in.
    pub generation: u64,
}

/// A rule of ours that was found in hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its key from now on. The engine begins its own keys above all of these.
    pub key: RuleKey,
    pub port: EthdevId,
    pub rule: Arc<HwRule>,
    pub cookie: Cookie,
    /// What it has counted, if that could be read.
    pub counters: Option<Counters>,
}

fn no_meters() -> DeviceError {
    DeviceError { kind: DeviceErrorKind::NotSupported, message: "there is no way to bring it a meter".into() }
}

/// Carries operations out. Every operation that was accepted gets exactly one completion, in any order; the
/// engine never has two operations on one rule under way.
pub trait Backend: Send {
    /// Take operations, from the first on; how many were taken. The rest is offered again.
    fn submit(&mut self, ops: &[Op]) -> usize;

    /// Append what has come to its end. Does not block.
    fn poll(&mut self, done: &mut Vec<Completion>);

    /// From now on rules are put in with `cookie`. The answer: rules of the same instance that are in hardware, of whatever
    /// generation; they stay until they are removed by their keys. Rules of others are neither told of nor touched.
    /// Devices that flush at start have none.
    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted>;

    /// Append the rules that the device found idle (hardware AGE). A hint to read their counters, no more.
    fn aged(&mut self, idle: &mut Vec<RuleKey>) {
        let _ = idle;
    }

    /// Put a meter into the device of `port`, or give one that is there new rates: rules that go through it stay. Waits for the device.
    ///
    /// # Errors
    /// Nothing has changed then.
    fn set_meter(&mut self, port: EthdevId, meter: MeterId, spec: &MeterSpec) -> Result<(), DeviceError> {
        let _ = (port, meter, spec);
        Err(no_meters())
    }

    /// Take a meter out that no rule goes through. Waits for the device.
    ///
    /// # Errors
    /// It is still there, unless the device does not know it.
    fn remove_meter(&mut self, meter: MeterId) -> Result<(), DeviceError> {
        let _ = meter;
        Err(no_meters())
    }

    /// What a meter has counted. Waits for the device.
    ///
    /// # Errors
    /// It does not say.
    fn meter_counts(&mut self, meter: MeterId) -> Result<MeterCounts, DeviceError> {
        let _ = meter;
        Err(no_meters())
    }

    /// Whether a device that was said to be dead works again: it answers, no rule of ours is left in it, and nothing that was
    /// under way when it died will still be done.
    ///
    /// # Errors
    /// It does not, or not yet; asked again later.
    fn revive(&mut self, device: DeviceKey, ports: &[EthdevId]) -> Result<(), DeviceError> {
        let _ = (device, ports);
        Ok(())
    }
}
