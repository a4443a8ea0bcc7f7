//! What the engine keeps for each flow.

use super::report::Placement;
use crate::backend::{Counters, DeviceKey, RuleKey};
use crate::refusal::Refusals;
use crate::rule::{HwMatch, HwProgram, HwRule, RuleRole, Table};
use crate::world::EthdevId;
use flow::clock::Time;
use flow::dp::{DpFlow, Hits};
use smallvec::SmallVec;
use std::sync::Arc;

/// A rule that is in hardware, or that an operation is under way for.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub key: RuleKey,
    pub rule: Arc<HwRule>,
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No rules.
    Software,
    /// The last of `rules` is going in; more may follow.
    Inserting,
    /// All of the program is in.
    In,
    /// The last of `rules` is going out, or waits for a query or for the time to try again.
    Removing,
}

/// What is next when the last rule is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Plan again, with the world as it is then.
    Replan,
    /// The device refused the full program: what is left.
    FallBack(Refusals),
    /// Stay in software.
    Stay(Refusals),
    /// Stay in software until the device has had some rest.
    Retry(Refusals),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub flow: Arc<DpFlow>,
    pub phase: Phase,
    /// What the program will be, or is; meaningless in phase `Software`.
    pub program: HwProgram,
    /// Whether the program does all of the flow's work.
    pub full: bool,
    /// In the order of the program.
    pub rules: SmallVec<[Installed; 2]>,
    /// Where its rules are.
    pub device: Option<DeviceKey>,
    /// Rules that its program has reserved in the device's table.
    pub reserved: u32,
    /// Why it is not (wholly) in hardware.
    pub refusals: Refusals,
    pub next: Next,
    /// The datapath has removed it.
    pub removed: bool,
    /// The world has changed since it was planned.
    pub replan: bool,
    /// Its rules are stale since this point in the order of changes.
    pub stale: Option<u64>,
    /// An operation on one of its rules is under way.
    pub busy: bool,
    /// The device had no room for its program.
    pub found_full: bool,
    pub query_due: Option<Time>,
    /// The main rule's counter when it was last read.
    pub last: Counters,
    pub hits: Hits,
    pub since: Time,
}

impl Entry {
    pub fn new(flow: Arc<DpFlow>, now: Time) -> Entry {
        Entry {
            flow,
            phase: Phase::Software,
            program: HwProgram::default(),
            full: false,
            rules: SmallVec::new(),
            device: None,
            reserved: 0,
            refusals: Refusals::new(),
            next: Next::Replan,
            removed: false,
            replan: false,
            stale: None,
            busy: false,
            found_full: false,
            query_due: None,
            last: Counters::default(),
            hits: Hits::default(),
            since: now,
        }
    }

    pub fn placement(&self) -> Placement {
        match self.phase {
            Phase::Software => Placement::Software,
            Phase::In if self.full => Placement::Full,
            Phase::In => Placement::Partial,
            Phase::Inserting | Phase::Removing => Placement::Moving,
        }
    }

    /// The rule that counts.
    pub fn counted(&self) -> Option<&Installed> {
        self.rules.iter().find(|r| r.rule.count)
    }

    /// The place of its main rule.
    pub fn place(&self) -> Option<Place> {
        self.program.rules.last().map(place_of)
    }
}

/// Two rules of one place would match the same packets: only one may be in.
pub(super) type Place = (EthdevId, Table, HwMatch);

pub(super) fn place_of(rule: &HwRule) -> Place {
    debug_assert_eq!(rule.role, RuleRole::Main);
    (rule.port, rule.table, rule.matches)
}
