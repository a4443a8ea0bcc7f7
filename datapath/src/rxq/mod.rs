//! Which PMD polls which receive queue: pure functions from queues, PMDs and settings to a plan.
//!
//! The algorithms and their results are those of Open vSwitch (its manual's chapter "PMD Threads", and the examples in it).

mod affinity;
pub(crate) mod balance;
mod plan;
pub(crate) mod shared;
pub(crate) mod source;

#[cfg(test)]
mod balance_tests;
#[cfg(test)]
mod plan_tests;

pub use affinity::{Affinity, AffinityError};
pub use balance::{AutoBalance, AutoLoadBalance, Dropped, LOOK_EVERY, Verdict, improvement, variance};
pub use plan::{Placement, Plan, PmdPlace, RxqUse, plan};

/// How queues that are not pinned are assigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assign {
    /// The busiest first, to the PMDs in order, then in reverse order, and so on: about as many queues on each.
    #[default]
    Cycles,
    /// The busiest first, each to the PMD that has the least load by then.
    Group,
    /// In the order of ports and queues, to the PMDs in order.
    RoundRobin,
}

impl Assign {
    /// All of them.
    pub const ALL: [Assign; 3] = [Assign::Cycles, Assign::Group, Assign::RoundRobin];

    /// Its name as in `pmd-rxq-assign`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Assign::Cycles => "cycles",
            Assign::Group => "group",
            Assign::RoundRobin => "roundrobin",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Assign> {
        Assign::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// How queues are assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub assign: Assign,
    /// Whether PMDs with pinned queues poll nothing else. Turning it off is heeded with [`Assign::Group`] only, as in OVS.
    pub isolate: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { assign: Assign::Cycles, isolate: true }
    }
}
