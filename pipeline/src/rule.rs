//! Rules, their counters, and how changes of rules are said.

use crate::classifier::Packed;
use flow::clock::Time;
use flow::dp::{BridgeId, Hits, RuleId};
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, Match, OfPort};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A rule in a table. Changed by replacing it; the counters stay.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) spec: StoredSpec,
    pub(crate) created: Time,
    /// When its actions were last changed: the hard timeout runs from here.
    pub(crate) modified: Time,
    pub(crate) counters: Arc<Counters>,
}

/// A [`RuleSpec`] as tables keep it: rules of one table with the same mask share it, and nothing has room to spare.
#[derive(Clone, Debug)]
pub(crate) struct StoredSpec {
    pub(crate) matching: Packed,
    pub(crate) actions: Box<[Action]>,
    pub(crate) cookie: u64,
    pub(crate) priority: u16,
    pub(crate) idle_timeout: u16,
    pub(crate) hard_timeout: u16,
    pub(crate) importance: u16,
    pub(crate) flags: RuleFlags,
    pub(crate) table: u8,
}

impl StoredSpec {
    /// `matching`: that of `spec`, packed by the table where the rule will be.
    pub(crate) fn new(spec: &RuleSpec, matching: Packed) -> StoredSpec {
        let RuleSpec { table, priority, matching: _, actions, cookie, idle_timeout, hard_timeout, importance, flags } =
            spec;
        StoredSpec {
            matching,
            actions: actions.as_slice().into(),
            cookie: *cookie,
            priority: *priority,
            idle_timeout: *idle_timeout,
            hard_timeout: *hard_timeout,
            importance: *importance,
            flags: *flags,
            table: *table,
        }
    }

    /// As it was given.
    pub(crate) fn full(&self) -> RuleSpec {
        let StoredSpec { matching, actions, cookie, priority, idle_timeout, hard_timeout, importance, flags, table } =
            self;
        RuleSpec {
            table: *table,
            priority: *priority,
            matching: matching.unpack(),
            actions: actions.to_vec(),
            cookie: *cookie,
            idle_timeout: *idle_timeout,
            hard_timeout: *hard_timeout,
            importance: *importance,
            flags: *flags,
        }
    }
}

impl Rule {
    /// Why the rule has to go at `now`, if it has to.
    pub(crate) fn timed_out(&self, now: Time) -> Option<RemoveReason> {
        let over = |since: Time, seconds: u16| seconds != 0 && now.since(since).as_secs() >= u64::from(seconds);
        if over(self.modified, self.spec.hard_timeout) {
            Some(RemoveReason::HardTimeout)
        } else if over(self.counters.used(), self.spec.idle_timeout) {
            Some(RemoveReason::IdleTimeout)
        } else {
            None
        }
    }

    pub(crate) fn has_timeout(&self) -> bool {
        self.spec.idle_timeout != 0 || self.spec.hard_timeout != 0
    }

    pub(crate) fn sends_to(&self, port: OfPort) -> bool {
        self.spec.actions.iter().any(|a| match a {
            Action::Output(to) => *to == port,
            Action::Controller { .. } => port == OfPort::CONTROLLER,
            _ => false,
        })
    }

    pub(crate) fn entry(&self, bridge: BridgeId) -> RuleEntry {
        RuleEntry { bridge, id: self.id, spec: self.spec.full(), created: self.created, stats: self.counters.read() }
    }
}

/// Counters of a rule, shared by all its versions and by the threads that replay hits.
#[derive(Debug)]
pub(crate) struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicU64,
}

impl Counters {
    pub(crate) fn new(now: Time) -> Counters {
        Counters { packets: AtomicU64::new(0), bytes: AtomicU64::new(0), used: AtomicU64::new(now.0) }
    }

    pub(crate) fn add(&self, hits: &Hits) {
        self.packets.fetch_add(hits.packets, Ordering::Relaxed);
        self.bytes.fetch_add(hits.bytes, Ordering::Relaxed);
        if hits.packets != 0 {
            self.touch(hits.used);
        }
    }

    pub(crate) fn touch(&self, at: Time) {
        self.used.fetch_max(at.0, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> Time {
        Time(self.used.load(Ordering::Relaxed))
    }

    pub(crate) fn read(&self) -> RuleStats {
        RuleStats {
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            used: self.used(),
        }
    }
}

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    pub packets: u64,
    /// Bytes of the frames as received, without FCS.
    pub bytes: u64,
    /// When it was last hit; when it was added, before its first hit.
    pub used: Time,
}

/// A rule as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    pub bridge: BridgeId,
    pub id: RuleId,
    pub spec: RuleSpec,
    /// When it was added; its duration runs from here.
    pub created: Time,
    pub stats: RuleStats,
}

/// Why a rule is gone, with OpenFlow's distinctions (ofp_flow_removed_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoveReason {
    IdleTimeout,
    HardTimeout,
    /// By a delete, or with its bridge.
    Delete,
}

/// A rule that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedRule {
    pub entry: RuleEntry,
    pub reason: RemoveReason,
}

/// Which rules of a bridge are meant. The default: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// `None`: all tables.
    pub table: Option<u8>,
    /// Loose: rules that match nothing but packets that this matches too.
    pub matching: Match,
    /// Strict: only the rule with exactly `matching` and this priority.
    pub strict: Option<u16>,
    /// Value and mask of the cookie.
    pub cookie: (u64, u64),
    /// Only rules with an output to this port.
    pub out_port: Option<OfPort>,
}

impl Select {
    /// The rule with exactly this table, match and priority.
    #[must_use]
    pub fn exactly(spec: &RuleSpec) -> Select {
        Select { table: Some(spec.table), matching: spec.matching, strict: Some(spec.priority), ..Select::default() }
    }

    /// Whether cookie and output port fit; table, match and priority are the caller's.
    pub(crate) fn admits(&self, rule: &Rule) -> bool {
        (rule.spec.cookie ^ self.cookie.0) & self.cookie.1 == 0 && self.out_port.is_none_or(|p| rule.sends_to(p))
    }
}

/// One change of a bridge's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleChange {
    /// Add a rule. One with the same table, match and priority is replaced; counters stay unless the new one has
    /// [`RuleFlags::RESET_COUNTS`].
    Add { bridge: BridgeId, rule: RuleSpec },
    /// Change the actions of the rules meant. Timeouts stay. None is added when none is there (OpenFlow 1.1 and later).
    Modify {
        bridge: BridgeId,
        select: Select,
        actions: Vec<Action>,
        /// A new cookie, or the old one.
        cookie: Option<u64>,
        /// Only [`RuleFlags::RESET_COUNTS`] means something.
        flags: RuleFlags,
    },
    /// Take out the rules meant.
    Delete { bridge: BridgeId, select: Select },
}

/// What a batch has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The state after it.
    pub epoch: u64,
    /// Rules that were new.
    pub added: usize,
    /// Rules that were replaced or changed.
    pub modified: usize,
    /// Rules that are gone, with their last counters.
    pub removed: Vec<RemovedRule>,
}

/// Where the counters of a rule are, by its id: what replay looks up.
#[derive(Debug)]
pub(crate) struct Registry([RwLock<HashMap<u64, Arc<Counters>>>; Registry::SHARDS]);

impl Default for Registry {
    fn default() -> Self {
        Registry(std::array::from_fn(|_| RwLock::default()))
    }
}

impl Registry {
    const SHARDS: usize = 64;

    fn shard(&self, id: RuleId) -> &RwLock<HashMap<u64, Arc<Counters>>> {
        &self.0[(id.0 % Self::SHARDS as u64) as usize]
    }

    pub(crate) fn insert(&self, rule: &Rule) {
        self.shard(rule.id).write().insert(rule.id.0, rule.counters.clone());
    }

    pub(crate) fn remove(&self, id: RuleId) {
        self.shard(id).write().remove(&id.0);
    }

    /// Count for a rule; nothing when it is gone.
    pub(crate) fn hit(&self, id: RuleId, hits: &Hits) {
        if let Some(counters) = self.shard(id).read().get(&id.0) {
            counters.add(hits);
        }
    }
}
