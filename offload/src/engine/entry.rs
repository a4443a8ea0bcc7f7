//! What the engine keeps for each flow.

use super::core::headers::Outer;
use super::lists::Ticket;
use super::rate::{Meter, Rank};
use super::report::Placement;
use super::room::Places;
use crate::backend::{Counters, DeviceKey, RuleKey};
use crate::refusal::Refusals;
use crate::rule::{HwMatch, HwProgram, HwRule, L3Match, L4Match, RuleRole, Table};
use crate::world::EthdevId;
use flow::clock::Time;
use flow::dp::{DpFlow, Hits};
use smallvec::SmallVec;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

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
    /// All of the program is in, and its main rule is being replaced by another.
    Updating,
    /// The last of `rules` is going out, or waits for a query or for the time to try again.
    Removing,
}

/// What is next when the last rule is out. Reasons are boxed here: most flows that have rules never need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Plan again, with the world as it is then.
    Replan,
    /// The device refused the program, which is more than a mark: what is left.
    FallBack(Box<Refusals>),
    /// Stay in software.
    Stay(Box<Refusals>),
    /// Stay in software until then, and try again.
    Retry(Box<Refusals>, Time),
    /// Wait for room in the device's table.
    Wait(Box<Refusals>),
    /// Look whether software sees packets that the device should have counted.
    Watch,
}

/// Where a flow is in its device's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// It has room in the device's table.
    Resident(DeviceKey),
    /// It waits for room.
    Waiting(DeviceKey),
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
    /// What its program has reserved in the device.
    pub reserved: Places,
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
    pub query_due: Option<Time>,
    /// The main rule's counter when it was last read.
    pub last: Counters,
    pub read: Option<Time>,
    pub inexact: bool,
    pub hits: Hits,
    pub since: Time,
    /// The policy `hot` lets it in.
    pub hot: bool,
    /// Packets that software switched, as last told.
    pub told: u64,
    pub soft: Meter,
    pub hard: Meter,
    pub rank: Rank,
    pub seat: Option<Seat>,
    /// Where it is among residents of its rank.
    pub ticket: Ticket,
    /// What it waits to have room for.
    pub wants: Places,
    /// What of its own leaves for another flow.
    pub leaving: Places,
    /// The rule that is to replace the main one.
    pub coming: Option<Installed>,
    /// When it had to make room for another.
    pub evicted: Option<Time>,
    /// Attempts in a row that the device refused.
    pub tries: u32,
    /// Rules in a row that were lost or did not count.
    pub faults: u32,
    /// It stays in software until then.
    pub held: Option<Box<(Time, Refusals)>>,
    /// Software's count was told since it went in.
    pub told_since: bool,
    /// When its counter last moved, and packets that came to software since.
    pub moved: Time,
    pub astray: u64,
    /// Packets a second when its counter last moved.
    pub before: u64,
    /// Its counter stood still, so software looks for its packets.
    pub watched: bool,
    /// That was done, and none came.
    pub tested: bool,
    /// The next reading says from where to count: the rule is older than the flow.
    pub baseline: bool,
    /// Outer headers of its rules, once one had one.
    pub outer: Option<Box<Outer>>,
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
            reserved: Places::default(),
            refusals: Refusals::new(),
            next: Next::Replan,
            removed: false,
            replan: false,
            stale: None,
            busy: false,
            query_due: None,
            last: Counters::default(),
            read: None,
            inexact: false,
            hits: Hits::default(),
            since: now,
            hot: true,
            told: 0,
            soft: Meter::new(now),
            hard: Meter::new(now),
            rank: Rank::default(),
            seat: None,
            ticket: Ticket::default(),
            wants: Places::default(),
            leaving: Places::default(),
            coming: None,
            evicted: None,
            tries: 0,
            faults: 0,
            held: None,
            told_since: false,
            moved: now,
            astray: 0,
            before: 0,
            watched: false,
            tested: false,
            baseline: false,
            outer: None,
        }
    }

    pub fn placement(&self) -> Placement {
        match self.phase {
            Phase::Software => Placement::Software,
            Phase::In | Phase::Updating if self.full => Placement::Full,
            Phase::In | Phase::Updating => Placement::Partial,
            Phase::Inserting | Phase::Removing => Placement::Moving,
        }
    }

    /// Until when all that hardware switched is in `hits`. A flow that came back is so since then: what its earlier rules counted was
    /// read when they went.
    pub fn known(&self) -> Option<Time> {
        self.read.or_else(|| (self.hits.packets > 0).then_some(self.since))
    }

    /// The rule that counts.
    pub fn counted(&self) -> Option<&Installed> {
        self.rules.iter().find(|r| r.rule.count)
    }

    /// The place of its main rule.
    pub fn place(&self) -> Option<PlaceOf> {
        self.program.rules.last().map(PlaceOf::of)
    }

    /// Packets a second of late, wherever they are switched.
    pub fn pps(&self) -> u64 {
        self.soft.quick().saturating_add(self.hard.quick())
    }

    /// Packets a second over some seconds, in 1/16.
    pub fn steady(&self) -> u64 {
        self.soft.steady().saturating_add(self.hard.steady())
    }
}

/// Two rules of one place would match the same packets: only one may be in.
pub(super) type Place = (EthdevId, Table, HwMatch);

/// The place of a main rule, without a copy of the match.
#[derive(Clone, Debug)]
pub(super) struct PlaceOf {
    /// Of what flows differ in most, so that a map that grows does not look at all rules again.
    hash: u64,
    rule: Arc<HwRule>,
}

impl PlaceOf {
    pub fn of(rule: &Arc<HwRule>) -> PlaceOf {
        debug_assert_eq!(rule.role, RuleRole::Main);
        PlaceOf { hash: hash(rule), rule: Arc::clone(rule) }
    }

    fn place(&self) -> (EthdevId, Table, &HwMatch) {
        (self.rule.port, self.rule.table, &self.rule.matches)
    }
}

impl PartialEq for PlaceOf {
    fn eq(&self, other: &PlaceOf) -> bool {
        Arc::ptr_eq(&self.rule, &other.rule) || self.hash == other.hash && self.place() == other.place()
    }
}

impl Eq for PlaceOf {}

impl Hash for PlaceOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Nobody outside knows these, so nobody can have flows whose hashes collide.
static SECRETS: LazyLock<[u64; 2]> = LazyLock::new(|| [0, 1].map(|n| RandomState::new().hash_one(n) | 1));

/// Over the parts in which flows differ most: all of it is five times as much, and no better. Folded multiplication, as in foldhash.
fn hash(rule: &HwRule) -> u64 {
    let m = &rule.matches;
    let mac = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
    let wide = |ip: u128| (ip >> 64) as u64 ^ (ip as u64).rotate_left(32);
    let (src, dst) = match &m.l3 {
        L3Match::Ipv4 { src, dst, .. } => (pair(src.value, dst.value), 0),
        L3Match::Ipv6 { src, dst, .. } => (wide(src.value), wide(dst.value)),
        L3Match::Arp { tpa, .. } => (tpa.value.into(), 0),
        L3Match::None => (0, 0),
    };
    let ports = match &m.l4 {
        L4Match::Tcp { src, dst, .. } | L4Match::Udp { src, dst } | L4Match::Sctp { src, dst } => {
            pair(src.value.into(), dst.value.into())
        }
        L4Match::Icmp { .. } | L4Match::Icmpv6 { .. } | L4Match::None => 0,
    };
    let words = [rule.port.0.into(), mac(m.eth_dst.value), mac(m.eth_src.value), src, dst, ports];
    let [first, by] = *SECRETS;
    words.iter().fold(first, |hash, word| {
        let product = u128::from(hash ^ word) * u128::from(by);
        product as u64 ^ (product >> 64) as u64
    })
}
