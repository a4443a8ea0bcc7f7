//! What the datapath asks of meters.

use super::MeterId;
use crate::clock::Time;

/// What a meter says to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Pass,
    /// Drop it: [`super::DropReason::MeterDrop`].
    Drop,
    /// Raise the drop precedence in its DSCP by so much: [`raise_drop_precedence`].
    Remark { by: u8 },
}

/// The meters of a datapath, shared by its workers.
///
/// Called for each packet: implementations take no lock, allocate nothing and do no system call.
pub trait Meters: Send + Sync {
    /// Count a packet of `bytes` bytes (the frame without FCS) that reaches a meter at `now`, and judge it. A meter that is not
    /// there passes all packets, as in OVS: flows that still name it are about to go.
    fn police(&self, meter: MeterId, now: Time, bytes: u32) -> Verdict;
}

/// The DSCP `dscp` with its drop precedence raised by `by` (OpenFlow 1.3, 5.7.1, `dscp_remark`; RFC 2597, section 6).
///
/// The classes AF1y to AF4y have a drop precedence, 1 to 3, beyond which it does not rise. Every other code
/// point has none and stays as it is.
#[must_use]
pub const fn raise_drop_precedence(dscp: u8, by: u8) -> u8 {
    let (class, precedence) = (dscp >> 3, dscp >> 1 & 3);
    if dscp & 1 != 0 || class == 0 || class > 4 || precedence == 0 {
        return dscp;
    }
    let raised = precedence.saturating_add(by);
    class << 3 | (if raised > 3 { 3 } else { raised }) << 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assured_forwarding_rises_within_its_class_and_nothing_else_changes() {
        // RFC 2597, section 6: AF11 001010, AF12 001100, AF13 001110, ... AF43 100110.
        let af: [[u8; 3]; 4] = [[10, 12, 14], [18, 20, 22], [26, 28, 30], [34, 36, 38]];
        let mut seen = 0;
        for class in af {
            for (i, dscp) in class.into_iter().enumerate() {
                for by in [0, 1, 2, 3, 255] {
                    assert_eq!(raise_drop_precedence(dscp, by), class[(i + usize::from(by)).min(2)]);
                }
                seen |= 1u64 << dscp;
            }
        }
        for dscp in (0..64).filter(|d| seen & 1 << d == 0) {
            assert_eq!(raise_drop_precedence(dscp, 1), dscp);
        }
    }
}
