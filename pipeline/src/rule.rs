//! Rules, their counters, and how changes of rules are said.

use crate::classifier::Packed;
use crate::numbers::NumberMap;
use flow::clock::Time;
use flow::dp::{BridgeId, Hits, RuleId};
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, Match, OfPort};
use parking_lot::RwLock;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// Most rules have one; it is then beside what says whether the rule matches.
    pub(crate) actions: SmallVec<[Action; 1]>,
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
            actions: stored_actions(actions),
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

/// Actions as rules keep them, with no room to spare.
pub(crate) fn stored_actions(actions: &[Action]) -> SmallVec<[Action; 1]> {
    let mut stored = SmallVec::new();
    stored.reserve_exact(actions.len());
    stored.extend(actions.iter().cloned());
    stored
}

impl Rule {
    /// Ask for the memory of all that a lookup reads, which is in several lines: it is read one after the other.
    #[inline]
    pub(crate) fn prefetch(&self) {
        // Loads that nothing depends on do not hold up what follows.
        std::hint::black_box((self.id.0, self.spec.priority, Arc::as_ptr(&self.counters)));
    }

    /// Why the rule has to go at `now`, if it has to.
    pub(crate) fn timed_out(&self, now: Time) -> Option<RemoveReason> {
        let over = |since: Time, seconds: u16| seconds != 0 && now.since(since).as_secs() >= u64::from(seconds);
        if over(self.modified(), self.spec.hard_timeout) {
            Some(RemoveReason::HardTimeout)
        } else if over(self.counters.used(), self.spec.idle_timeout) {
            Some(RemoveReason::IdleTimeout)
        } else {
            None
        }
    }

    /// When it was added, last changed, or last learned anew: the hard timeout runs from here.
    pub(crate) fn modified(&self) -> Time {
        self.modified.max(Time(self.counters.refreshed.load(Ordering::Relaxed)))
    }

    /// When it would go by itself if no packet came any more.
    pub(crate) fn expires(&self) -> Option<Time> {
        let after = |since: Time, s: u16| (s != 0).then(|| since.after(Duration::from_secs(u64::from(s))));
        let (hard, idle) =
            (after(self.modified(), self.spec.hard_timeout), after(self.counters.used(), self.spec.idle_timeout));
        hard.into_iter().chain(idle).min()
    }

    pub(crate) fn has_timeout(&self) -> bool {
        self.spec.idle_timeout != 0 || self.spec.hard_timeout != 0
    }

    pub(crate) fn sends_to(&self, port: OfPort) -> bool {
        any_action(&self.spec.actions, &mut |a| match a {
            Action::Output(to) | Action::Enqueue { port: to, .. } => *to == port,
            Action::Controller { .. } => port == OfPort::CONTROLLER,
            _ => false,
        })
    }

    pub(crate) fn uses(&self, used: &Uses) -> bool {
        any_action(&self.spec.actions, &mut |a| Uses::of(a).as_ref() == Some(used))
    }

    pub(crate) fn entry(&self, bridge: BridgeId) -> RuleEntry {
        RuleEntry { bridge, id: self.id, spec: self.spec.full(), created: self.created, stats: self.counters.read() }
    }
}

/// Whether `wanted` holds for an action of the list or of a list in it.
pub(crate) fn any_action(actions: &[Action], wanted: &mut impl FnMut(&Action) -> bool) -> bool {
    let mut found = false;
    for action in actions {
        found |= wanted(action)
            || match action {
                Action::Clone(inner) | Action::WriteActions(inner) => any_action(inner, wanted),
                Action::Ct(ct) => any_action(&ct.exec, wanted),
                _ => false,
            };
    }
    found
}

/// Something else of the bridge that an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Uses {
    Group(u32),
    Meter(u32),
}

impl Uses {
    fn of(action: &Action) -> Option<Uses> {
        match action {
            Action::Group(id) => Some(Uses::Group(*id)),
            Action::Meter(id) => Some(Uses::Meter(*id)),
            _ => None,
        }
    }

    /// All that actions use, each once.
    pub(crate) fn all(actions: &[Action]) -> SmallVec<[Uses; 2]> {
        let mut all = SmallVec::new();
        any_action(actions, &mut |a| {
            all.extend(Uses::of(a).filter(|u| !all.contains(u)));
            false
        });
        all
    }
}

/// Counters of a rule, shared by all its versions and by the threads that replay hits.
#[derive(Debug)]
pub(crate) struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicU64,
    /// When a `learn` action last made the rule again.
    refreshed: AtomicU64,
}

impl Counters {
    pub(crate) fn new(used: Time) -> Counters {
        let zero = || AtomicU64::new(0);
        Counters { packets: zero(), bytes: zero(), used: AtomicU64::new(used.0), refreshed: zero() }
    }

    /// A `learn` action made the rule again as it is.
    pub(crate) fn refresh(&self, at: Time) {
        self.refreshed.fetch_max(at.0, Ordering::Relaxed);
    }

    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, hits: &Hits) {
        self.packets.fetch_add(hits.packets, Ordering::Relaxed);
        self.bytes.fetch_add(hits.bytes, Ordering::Relaxed);
        if hits.packets != 0 {
            self.touch(hits.used);
        }
    }

    /// Ask for the memory: it is to be written soon, and whoever adds waits for it.
    #[inline]
    pub(crate) fn prefetch(&self) {
        // A load that nothing depends on does not hold up what follows.
        std::hint::black_box(self.used.load(Ordering::Relaxed));
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
    /// By a delete, with its bridge, or with the rule that had learned it (`delete_learned`).
    Delete,
    /// With a group that it sent to.
    GroupDelete,
    /// With a meter that it passed through.
    MeterDelete,
    /// To make room in a full table.
    Eviction,
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
    /// Only rules that send to this group.
    pub out_group: Option<u32>,
}

impl Select {
    /// The rule with exactly this table, match and priority.
    #[must_use]
    pub fn exactly(spec: &RuleSpec) -> Select {
        Select { table: Some(spec.table), matching: spec.matching, strict: Some(spec.priority), ..Select::default() }
    }

    /// Whether cookie and output port fit; table, match and priority are the caller's.
    pub(crate) fn admits(&self, rule: &Rule) -> bool {
        (rule.spec.cookie ^ self.cookie.0) & self.cookie.1 == 0
            && self.out_port.is_none_or(|p| rule.sends_to(p))
            && self.out_group.is_none_or(|g| rule.uses(&Uses::Group(g)))
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
    /// As `Modify`, but when no rule is meant, `rule` is added: OpenFlow 1.0's modify. Table, match, actions and
    /// cookie are those of
    /// `rule`; its timeouts, importance and flags, but for [`RuleFlags::RESET_COUNTS`], count only when it is added.
    ModifyOrAdd {
        bridge: BridgeId,
        rule: RuleSpec,
        /// Only the rule with exactly this match and priority.
        strict: bool,
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
pub(crate) struct Registry([RwLock<NumberMap<u64, Arc<Counters>>>; Registry::SHARDS]);

impl Default for Registry {
    fn default() -> Self {
        Registry(std::array::from_fn(|_| RwLock::default()))
    }
}

impl Registry {
    const SHARDS: usize = 64;

    fn shard(&self, id: RuleId) -> &RwLock<NumberMap<u64, Arc<Counters>>> {
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
