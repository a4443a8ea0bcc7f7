//! One rule as text and API carry it.

use crate::action::Action;
use crate::matching::Match;

/// The priority of a rule that names none (ovs-ofctl(8)).
pub const DEFAULT_PRIORITY: u16 = 0x8000;

/// A rule to add, or the answer of a dump: all that ovs-ofctl's flow syntax can say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleSpec {
    /// Table 0 to 254.
    pub table: u8,
    pub priority: u16,
    pub matching: Match,
    pub actions: Vec<Action>,
    pub cookie: u64,
    /// Seconds without a hit after which the rule goes; 0 never.
    pub idle_timeout: u16,
    /// Seconds after which the rule goes; 0 never.
    pub hard_timeout: u16,
    /// Eviction order: lower goes first.
    pub importance: u16,
    pub flags: RuleFlags,
}

bitflags::bitflags! {
    /// Flags of a rule, with OpenFlow 1.3's numbers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RuleFlags: u16 {
        /// Tell the controller when the rule goes (`send_flow_rem`).
        const SEND_FLOW_REM = 1;
        /// Refuse to add when a rule of equal priority overlaps (`check_overlap`).
        const CHECK_OVERLAP = 2;
        /// Set counters to zero when a rule is replaced (`reset_counts`).
        const RESET_COUNTS = 4;
        /// Keep no packet count.
        const NO_PACKET_COUNTS = 8;
        /// Keep no byte count.
        const NO_BYTE_COUNTS = 16;
    }
}

impl Default for RuleSpec {
    fn default() -> Self {
        RuleSpec {
            table: 0,
            priority: DEFAULT_PRIORITY,
            matching: Match::default(),
            actions: Vec::new(),
            cookie: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            flags: RuleFlags::empty(),
        }
    }
}
