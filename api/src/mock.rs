//! The outside of the mock NIC. These requests exist only with `shuntd --mock`.

use serde::{Deserialize, Serialize};

/// An outside end: 0 is the wire, 1 and up are VF 0 and up.
pub type End = usize;

/// One frame at an outside end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    pub end: End,
    /// Nanoseconds since the run began; moves the virtual clock of a lockstep daemon.
    #[serde(default)]
    pub at: u64,
    /// The bytes, in hexadecimal.
    pub hex: String,
}

/// Frames to inject, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inject {
    pub frames: Vec<Frame>,
}

/// What left the outside ends since the last time, in order for each end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    pub frames: Vec<Frame>,
}

/// How frames were handled: each frame in is counted once as hardware, partial or software, and
/// `frames_in + copies == frames_out + frames_dropped` once nothing is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub frames_in: u64,
    pub copies: u64,
    pub frames_out: u64,
    pub frames_dropped: u64,
    pub hardware: u64,
    pub partial: u64,
    pub software: u64,
}

impl Tally {
    /// Whether both equations hold: nothing is lost, nothing is under way.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.frames_in + self.copies == self.frames_out + self.frames_dropped
            && self.hardware + self.partial + self.software == self.frames_in
    }
}

/// The mock NIC at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockView {
    pub profile: String,
    /// Names of the outside ends, by number.
    pub ends: Vec<String>,
    pub tally: Tally,
    /// Rules in the device now, and the most there ever were.
    pub rules: usize,
    pub rules_peak: usize,
    /// Whether time is virtual and frames go through one by one.
    pub lockstep: bool,
}

/// What is wrong with the device of the mock NIC. Rules that are in stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MockDevice {
    #[default]
    Works,
    /// It has no time (EAGAIN).
    Busy,
    /// It cannot do any rule (ENOTSUP), whatever it said before.
    Incapable,
    /// It takes rules and does not have them.
    Losing,
    /// It is gone with the next operation, and its rules with it; for good.
    Dead,
}

/// What happens to the fake kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum MockKernel {
    /// An operation goes wrong (`eswitch_set`, `sysfs_write`, `link_set`, ...), so many times, after so many that go well.
    Fault {
        op: String,
        fault: MockFault,
        #[serde(default)]
        skip: u64,
        #[serde(default = "once")]
        times: u64,
    },
    /// A process opens the VFIO group of the function at this PCI address.
    Hold { address: String, pid: u32, process: String },
    /// A NIC is plugged in: legacy mode, no VFs. Its representors are in the fake kernel only: they cannot be ports.
    AddNic {
        /// `mlx5`, `mlx5_old`, `ice`, `netdevsim` or `igb`.
        driver: String,
        /// `0000:04:00.0`.
        name: String,
        uplink: String,
        vfs: u16,
        /// VFs appear so late, in milliseconds.
        #[serde(default)]
        lag_ms: u64,
        /// PF number within its card.
        #[serde(default)]
        pf: u16,
    },
    /// A NIC is pulled out.
    RemoveNic { name: String },
    /// The same, after so many operations of the kernel.
    RemoveNicAfter { name: String, operations: u32 },
    /// A network device gets another name.
    Rename { from: String, to: String },
    /// A qdisc is added to a network device, or taken away.
    Qdisc { netdev: String, kind: String, present: bool },
    /// Somebody else changes an eswitch.
    Eswitch { set: crate::EswitchSet },
    /// Somebody else changes a VF.
    Vf { set: crate::VfSet },
    /// Somebody else makes a sub-function, or changes it.
    Sf { set: crate::SfCreate },
    /// Somebody else takes a sub-function away.
    SfDestroy { sf: crate::SfDestroy },
    /// Packets pass between a VF and software.
    Count { nic: String, vf: u16, to_vf: bool, packets: u64, bytes: u64 },
    /// How long steps are waited for.
    Deadline { ms: u64 },
    /// No faults any more.
    Calm,
}

fn once() -> u64 {
    1
}

/// What goes wrong with an operation of the fake kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MockFault {
    /// It is refused with this error number and the driver's words.
    Refuse { errno: i32, text: String },
    /// It is refused after half of it was done.
    HalfDone { errno: i32 },
    /// The kernel says yes and does nothing.
    Ignore,
    /// There is no answer, and nothing is done.
    Timeout,
    /// It is done, and the answer gets lost.
    LoseReply,
}

/// Bytes in hexadecimal, lower case.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// The bytes of hexadecimal text; `None` when it is not.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| char::from(c).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[a, b]| Some(nibble(*a)? << 4 | nibble(*b)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_refuses_the_rest() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)).unwrap(), bytes);
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("012"), None);
        assert_eq!(from_hex("+1"), None);
    }
}
