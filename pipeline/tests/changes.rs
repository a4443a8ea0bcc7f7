//! Random sequences of changes against a list of rules that is searched from one end to the other: add, modify and delete,
//! strict and loose, cookies, overlap, full tables, eviction, timeouts, groups, meters, learned rules that go with
//! the rule that learns, batches that fail.
//!
//! Matches are few, so each can be known by the set of all packets (of forty) that it matches: "within", "the same" and
//! "overlaps" are sums of sets there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::action::{Learn, SubField};
use flow::clock::{Clock, Time, VirtualClock};
use flow::dp::{BridgeId, Effect, Hits, Slowpath};
use flow::group::{Bucket, GroupKind, GroupSpec, Selection};
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, FieldId, Match, OfPort, Value};
use pipeline::testing::Rng;
use pipeline::{
    Change, ChangeError, Config, FailMode, FlowError, GroupChange, MeterChange, Overflow, Pipeline, RemoveReason,
    RuleChange, Select, TableConfig,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEARNED: u64 = 99;

/// A match: port 0 (any) to 3; 0 any packet, 1 any IPv4 packet, else 29 to 32 bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Small {
    port: u16,
    bits: u32,
    addr: u32,
}

impl Small {
    fn any() -> Small {
        Small { port: 0, bits: 0, addr: 0 }
    }

    fn random(rng: &mut Rng) -> Small {
        let bits = rng.pick(&[0, 1, 29, 30, 31, 32]);
        let addr = if bits > 1 { (rng.below(8) as u32) & (u32::MAX << (32 - bits)) } else { 0 };
        Small { port: rng.below(4) as u16, bits, addr }
    }

    fn matching(self) -> Match {
        let mut m = Match::default();
        if self.port != 0 {
            m.set_exact(FieldId::InPort, Value::from(u32::from(self.port)));
        }
        if self.bits != 0 {
            m.set_exact(FieldId::EthType, Value(0x0800));
        }
        if self.bits > 1 {
            m.set(FieldId::Ipv4Dst, Value::from(self.addr), Value::from(u32::MAX << (32 - self.bits)));
        }
        m
    }

    /// The packets that it matches: four ports; not IPv4, another address, addresses 0 to 7.
    fn packets(self) -> u64 {
        let mut set = 0;
        for port in 0..4 {
            for kind in 0..10u32 {
                let right = match self.bits {
                    0 => true,
                    1 => kind > 0,
                    bits => kind > 1 && (kind - 2) & (u32::MAX << (32 - bits)) == self.addr,
                };
                if (self.port == 0 || self.port == port + 1) && right {
                    set |= 1 << (u32::from(port) * 10 + kind);
                }
            }
        }
        set
    }
}

#[derive(Clone, Debug)]
struct Held {
    id: u64,
    small: Small,
    spec: RuleSpec,
    packets: u64,
    created: Time,
    modified: Time,
    used: Time,
}

#[derive(Clone, Debug, Default)]
struct Naive {
    rules: Vec<Held>,
    next: u64,
    groups: BTreeSet<u32>,
    meters: BTreeSet<u32>,
    tables: BTreeMap<u8, (u32, bool, bool)>,
    removed: Vec<(Held, RemoveReason)>,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    table: Option<u8>,
    small: Small,
    strict: Option<u16>,
    cookie: (u64, u64),
    port: Option<u16>,
    group: Option<u32>,
}

#[derive(Clone, Debug)]
enum Op {
    Add(Small, RuleSpec),
    Modify(Choice, Vec<Action>, Option<u64>, bool),
    ModifyOrAdd(Small, RuleSpec, bool),
    Delete(Choice),
    AddGroup(u32),
    DeleteGroup(Option<u32>),
    AddMeter(u32),
    DeleteMeter(Option<u32>),
}

fn uses(actions: &[Action], wanted: &Action) -> bool {
    actions.contains(wanted)
}

impl Naive {
    fn chosen(&self, c: &Choice) -> Vec<u64> {
        let fits = |h: &&Held| {
            c.table.is_none_or(|t| t == h.spec.table)
                && match c.strict {
                    Some(p) => h.spec.priority == p && h.small.packets() == c.small.packets(),
                    None => h.small.packets() & !c.small.packets() == 0,
                }
                && h.spec.cookie & c.cookie.1 == c.cookie.0 & c.cookie.1
                && c.port.is_none_or(|p| uses(&h.spec.actions, &Action::Output(OfPort(p))))
                && c.group.is_none_or(|g| uses(&h.spec.actions, &Action::Group(g)))
        };
        self.rules.iter().filter(fits).map(|h| h.id).collect()
    }

    fn go(&mut self, id: u64, why: RemoveReason) {
        if let Some(i) = self.rules.iter().position(|h| h.id == id) {
            let gone = self.rules.remove(i);
            self.removed.push((gone, why));
        }
    }

    fn check(&self, actions: &[Action]) -> Result<(), String> {
        for a in actions {
            match a {
                Action::Group(g) if !self.groups.contains(g) => return Err("NoGroup".into()),
                Action::Meter(m) if !self.meters.contains(m) => return Err("NoMeter".into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn expires(h: &Held) -> Option<u64> {
        let hard = (h.spec.hard_timeout != 0).then(|| h.modified.0 + u64::from(h.spec.hard_timeout) * 1_000_000_000);
        let idle = (h.spec.idle_timeout != 0).then(|| h.used.0 + u64::from(h.spec.idle_timeout) * 1_000_000_000);
        hard.into_iter().chain(idle).min()
    }

    fn victim(&self, table: u8, by_port: bool) -> Option<u64> {
        let group = |h: &Held| if by_port { h.small.port } else { 0 };
        let can: Vec<&Held> =
            self.rules.iter().filter(|h| h.spec.table == table && Self::expires(h).is_some()).collect();
        let mut sizes: BTreeMap<u16, usize> = BTreeMap::new();
        can.iter().for_each(|h| *sizes.entry(group(h)).or_default() += 1);
        let largest = sizes.iter().max_by_key(|(k, n)| (**n, std::cmp::Reverse(**k)))?.0;
        let of = can.iter().filter(|h| group(h) == *largest);
        of.min_by_key(|h| (h.spec.importance, Self::expires(h), h.id)).map(|h| h.id)
    }

    fn add(&mut self, small: Small, spec: &RuleSpec, now: Time) -> Result<(), String> {
        self.check(&spec.actions)?;
        let same = |h: &&mut Held| {
            h.spec.table == spec.table && h.spec.priority == spec.priority && h.small.packets() == small.packets()
        };
        if let Some(h) = self.rules.iter_mut().find(same) {
            (h.spec, h.created, h.modified) = (spec.clone(), now, now);
            if spec.flags.contains(RuleFlags::RESET_COUNTS) {
                (h.packets, h.id) = (0, self.next);
                self.next += 1;
            }
            return Ok(());
        }
        let overlaps = |h: &Held| {
            h.spec.table == spec.table && h.spec.priority == spec.priority && h.small.packets() & small.packets() != 0
        };
        if spec.flags.contains(RuleFlags::CHECK_OVERLAP) && self.rules.iter().any(overlaps) {
            return Err("Overlap".into());
        }
        if let Some((limit, evict, by_port)) = self.tables.get(&spec.table).copied() {
            let n = self.rules.iter().filter(|h| h.spec.table == spec.table).count();
            if n >= limit as usize {
                match self.victim(spec.table, by_port).filter(|_| evict) {
                    Some(id) => self.go(id, RemoveReason::Eviction),
                    None => return Err("TableFull".into()),
                }
            }
        }
        let (id, spec) = (self.next, spec.clone());
        self.next += 1;
        self.rules.push(Held { id, small, spec, packets: 0, created: now, modified: now, used: now });
        Ok(())
    }

    fn modify(
        &mut self,
        c: &Choice,
        actions: &[Action],
        cookie: Option<u64>,
        reset: bool,
        now: Time,
    ) -> Result<usize, String> {
        let chosen = self.chosen(c);
        if !chosen.is_empty() {
            self.check(actions)?;
        }
        // New numbers in the order in which rules are found, which is nobody's business: one at a time only.
        for id in &chosen {
            let h = self.rules.iter_mut().find(|h| h.id == *id).unwrap();
            (h.spec.actions, h.modified) = (actions.to_vec(), now);
            h.spec.cookie = cookie.unwrap_or(h.spec.cookie);
            if reset {
                (h.packets, h.id) = (0, self.next);
                self.next += 1;
            }
        }
        Ok(chosen.len())
    }

    fn learners(&self) -> bool {
        self.rules.iter().any(|h| h.spec.actions.iter().any(|a| matches!(a, Action::Learn(_))))
    }

    fn settle(&mut self, before: bool) {
        if before && !self.learners() {
            let all: Vec<u64> =
                self.rules.iter().filter(|h| h.spec.table == 1 && h.spec.cookie == LEARNED).map(|h| h.id).collect();
            all.into_iter().for_each(|id| self.go(id, RemoveReason::Delete));
        }
    }

    fn apply(&mut self, op: &Op, now: Time) -> Result<(), String> {
        let before = self.learners();
        match op {
            Op::Add(small, spec) => self.add(*small, spec, now)?,
            Op::Modify(c, actions, cookie, reset) => drop(self.modify(c, actions, *cookie, *reset, now)?),
            Op::ModifyOrAdd(small, spec, strict) => {
                let c = Choice {
                    table: Some(spec.table),
                    small: *small,
                    strict: strict.then_some(spec.priority),
                    cookie: (0, 0),
                    port: None,
                    group: None,
                };
                if self.modify(&c, &spec.actions, Some(spec.cookie), false, now)? == 0 {
                    self.add(*small, spec, now)?;
                }
            }
            Op::Delete(c) => self.chosen(c).into_iter().for_each(|id| self.go(id, RemoveReason::Delete)),
            Op::AddGroup(g) => {
                if !self.groups.insert(*g) {
                    return Err("GroupExists".into());
                }
            }
            Op::AddMeter(m) => {
                if !self.meters.insert(*m) {
                    return Err("MeterExists".into());
                }
            }
            Op::DeleteGroup(which) => {
                self.groups.retain(|g| which.is_some_and(|w| w != *g));
                let hit = |a: &Action| matches!(a, Action::Group(g) if which.is_none_or(|w| w == *g));
                let all: Vec<u64> =
                    self.rules.iter().filter(|h| h.spec.actions.iter().any(hit)).map(|h| h.id).collect();
                all.into_iter().for_each(|id| self.go(id, RemoveReason::GroupDelete));
            }
            Op::DeleteMeter(which) => {
                self.meters.retain(|m| which.is_some_and(|w| w != *m));
                let hit = |a: &Action| matches!(a, Action::Meter(m) if which.is_none_or(|w| w == *m));
                let all: Vec<u64> =
                    self.rules.iter().filter(|h| h.spec.actions.iter().any(hit)).map(|h| h.id).collect();
                all.into_iter().for_each(|id| self.go(id, RemoveReason::MeterDelete));
            }
        }
        self.settle(before);
        Ok(())
    }

    fn expire(&mut self, now: Time) {
        let before = self.learners();
        let over = |since: Time, s: u16| s != 0 && now.0 - since.0 >= u64::from(s) * 1_000_000_000;
        for h in self.rules.clone() {
            if over(h.modified, h.spec.hard_timeout) {
                self.go(h.id, RemoveReason::HardTimeout);
            } else if over(h.used, h.spec.idle_timeout) {
                self.go(h.id, RemoveReason::IdleTimeout);
            }
        }
        self.settle(before);
    }
}

fn learner() -> Action {
    Action::Learn(Box::new(Learn {
        table: 1,
        priority: 1,
        cookie: LEARNED,
        idle_timeout: 0,
        hard_timeout: 0,
        fin_idle_timeout: 0,
        fin_hard_timeout: 0,
        send_flow_rem: false,
        delete_learned: true,
        limit: 0,
        result: None,
        specs: Vec::new(),
    }))
}

fn actions(rng: &mut Rng) -> Vec<Action> {
    match rng.below(10) {
        0 | 1 => vec![Action::Group(1 + rng.below(3) as u32)],
        2 => vec![Action::Meter(1 + rng.below(2) as u32), Action::Output(OfPort(1))],
        3 => vec![learner()],
        4 => vec![],
        _ => vec![Action::Output(OfPort(1 + rng.below(2) as u16))],
    }
}

fn rule(rng: &mut Rng, small: Small) -> RuleSpec {
    let mut flags = RuleFlags::empty();
    for flag in [RuleFlags::CHECK_OVERLAP, RuleFlags::RESET_COUNTS, RuleFlags::SEND_FLOW_REM] {
        flags.set(flag, rng.percent(20));
    }
    RuleSpec {
        table: rng.below(2) as u8,
        priority: rng.below(3) as u16,
        matching: small.matching(),
        actions: actions(rng),
        cookie: rng.pick(&[1, 2, 3, LEARNED]),
        idle_timeout: rng.pick(&[0, 0, 3, 7]),
        hard_timeout: rng.pick(&[0, 0, 5, 9]),
        importance: rng.below(3) as u16,
        flags,
    }
}

fn choice(rng: &mut Rng) -> Choice {
    Choice {
        table: rng.pick(&[None, Some(0), Some(1)]),
        small: if rng.percent(30) { Small::any() } else { Small::random(rng) },
        strict: rng.percent(50).then(|| rng.below(3) as u16),
        cookie: rng.pick(&[(0, 0), (0, 0), (1, 1), (2, u64::MAX)]),
        port: rng.percent(15).then(|| 1 + rng.below(2) as u16),
        group: rng.percent(10).then(|| 1 + rng.below(3) as u32),
    }
}

fn op(rng: &mut Rng) -> Op {
    let small = Small::random(rng);
    match rng.below(20) {
        0..=9 => Op::Add(small, rule(rng, small)),
        10 | 11 => {
            let mut c = choice(rng);
            let reset = rng.percent(20);
            if reset {
                (c.strict, c.table) = (Some(rng.below(3) as u16), Some(rng.below(2) as u8));
            }
            (c.port, c.group) = (None, None);
            Op::Modify(c, actions(rng), rng.percent(30).then_some(3), reset)
        }
        12 => {
            let mut spec = rule(rng, small);
            spec.flags -= RuleFlags::RESET_COUNTS;
            Op::ModifyOrAdd(small, spec, rng.percent(50))
        }
        13 | 14 => Op::Delete(choice(rng)),
        15 | 16 => Op::AddGroup(1 + rng.below(3) as u32),
        17 => Op::DeleteGroup(rng.percent(80).then(|| 1 + rng.below(3) as u32)),
        18 => Op::AddMeter(1 + rng.below(2) as u32),
        _ => Op::DeleteMeter(rng.percent(80).then(|| 1 + rng.below(2) as u32)),
    }
}

fn select(c: &Choice) -> Select {
    Select {
        table: c.table,
        matching: c.small.matching(),
        strict: c.strict,
        cookie: c.cookie,
        out_port: c.port.map(OfPort),
        out_group: c.group,
    }
}

fn change(bridge: BridgeId, op: &Op) -> Change {
    match op {
        Op::Add(_, rule) => RuleChange::Add { bridge, rule: rule.clone() }.into(),
        Op::Modify(c, actions, cookie, reset) => {
            let mut flags = RuleFlags::empty();
            flags.set(RuleFlags::RESET_COUNTS, *reset);
            RuleChange::Modify { bridge, select: select(c), actions: actions.clone(), cookie: *cookie, flags }.into()
        }
        Op::ModifyOrAdd(_, rule, strict) => {
            RuleChange::ModifyOrAdd { bridge, rule: rule.clone(), strict: *strict }.into()
        }
        Op::Delete(c) => RuleChange::Delete { bridge, select: select(c) }.into(),
        Op::AddGroup(id) => {
            let bucket = Bucket {
                id: 0,
                weight: 0,
                watch_port: None,
                watch_group: None,
                actions: vec![Action::Output(OfPort(1))],
            };
            let group =
                GroupSpec { id: *id, kind: GroupKind::All, selection: Selection::Default, buckets: vec![bucket] };
            GroupChange::Add { bridge, group }.into()
        }
        Op::DeleteGroup(group) => GroupChange::Delete { bridge, group: *group }.into(),
        Op::AddMeter(id) => {
            let bands = vec![Band { kind: BandKind::Drop, rate: 1, burst_size: 0 }];
            let meter = MeterSpec { id: *id, unit: MeterUnit::Pktps, burst: false, stats: true, bands };
            MeterChange::Add { bridge, meter }.into()
        }
        Op::DeleteMeter(meter) => MeterChange::Delete { bridge, meter: *meter }.into(),
    }
}

fn kind(error: &ChangeError) -> &'static str {
    match error {
        ChangeError::NoGroup(_) => "NoGroup",
        ChangeError::NoMeter(_) => "NoMeter",
        ChangeError::Overlap { .. } => "Overlap",
        ChangeError::TableFull { .. } => "TableFull",
        ChangeError::GroupExists(_) => "GroupExists",
        ChangeError::MeterExists(_) => "MeterExists",
        _ => "another",
    }
}

type Line = (u8, u16, u64, u64, u64, Time, u16, usize);

fn line(spec: &RuleSpec, packets: u64, set: u64, created: Time) -> Line {
    let actions = spec.actions.iter().map(|a| format!("{a:?}").len()).sum();
    (spec.table, spec.priority, spec.cookie, set, packets, created, spec.idle_timeout, actions)
}

fn set_of(m: &Match) -> u64 {
    let port = m.get(FieldId::InPort).0.0 as u16;
    let (addr, mask) = m.get(FieldId::Ipv4Dst);
    let typed = m.get(FieldId::EthType).1.0 != 0;
    let bits = if mask.0 != 0 { (mask.0 as u32).count_ones() } else { u32::from(typed) };
    Small { port, bits, addr: addr.0 as u32 }.packets()
}

/// Two lists that must be equal, sorted.
fn same<T: Ord + std::fmt::Debug>(mut a: Vec<T>, mut b: Vec<T>, what: &str) {
    a.sort();
    b.sort();
    assert!(a == b, "{what}:\n{a:?}\n{b:?}");
}

#[test]
fn random_changes_leave_what_a_list_of_rules_says() {
    let mut counts = BTreeMap::new();
    for seed in 0..1000 {
        sequence(seed, &mut counts);
    }
    // Each thing that can happen has happened often.
    for what in ["ok", "NoGroup", "NoMeter", "Overlap", "TableFull", "GroupExists", "MeterExists"].into_iter().chain([
        "IdleTimeout",
        "HardTimeout",
        "Delete",
        "GroupDelete",
        "MeterDelete",
        "Eviction",
    ]) {
        assert!(counts.get(what).copied().unwrap_or(0) > 50, "{what}: {counts:?}");
    }
}

fn sequence(seed: u64, counts: &mut BTreeMap<String, usize>) {
    let mut rng = Rng::new(seed);
    let clock = Arc::new(VirtualClock::default());
    let p = Pipeline::new(clock.clone(), Config::default());
    let bridge = p.add_bridge("br0", FailMode::Secure).unwrap();
    p.notice_all(true);
    let mut model = Naive { next: 1, ..Naive::default() };
    let mut hits: BTreeMap<u8, u64> = BTreeMap::new();
    for step in 0..50 {
        clock.advance(Duration::from_millis(rng.below(1500) as u64));
        let now = clock.now();
        let context = format!("seed {seed}, step {step}");
        model.removed.clear();
        match rng.below(12) {
            0 => {
                let table = rng.below(2) as u8;
                let (limit, evict, by_port) = (2 + rng.below(6) as u32, rng.percent(70), rng.percent(40));
                let config = TableConfig {
                    name: None,
                    limit: Some(limit),
                    overflow: if evict { Overflow::Evict } else { Overflow::Refuse },
                    groups: if by_port { vec![SubField::whole(FieldId::InPort)] } else { Vec::new() },
                };
                p.set_table_config(bridge, table, config).unwrap();
                model.tables.insert(table, (limit, evict, by_port));
                let before = model.learners();
                let n = model.rules.iter().filter(|h| h.spec.table == table).count();
                for _ in limit as usize..n.max(limit as usize) {
                    if let Some(id) = model.victim(table, by_port).filter(|_| evict) {
                        model.go(id, RemoveReason::Eviction);
                    }
                }
                model.settle(before);
            }
            1 => {
                clock.advance(Duration::from_secs(rng.below(4) as u64));
                let now = clock.now();
                let gone = p.expire(now);
                model.expire(now);
                assert_eq!(gone.len(), model.removed.len(), "{context}");
            }
            2 | 3 if !model.rules.is_empty() => {
                let i = rng.below(model.rules.len());
                let h = &mut model.rules[i];
                let strict = Select {
                    table: Some(h.spec.table),
                    matching: h.small.matching(),
                    strict: Some(h.spec.priority),
                    ..Select::default()
                };
                let entry = p.dump(bridge, &strict).unwrap().remove(0);
                let n = 1 + rng.below(5) as u64;
                p.replay(&[Effect::Rule(entry.id)], &Hits { packets: n, bytes: 60 * n, used: now });
                (h.packets, h.used) = (h.packets + n, now);
                *hits.entry(h.spec.table).or_default() += n;
            }
            _ => {
                let ops: Vec<Op> = (0..rng.pick(&[1, 1, 1, 3])).map(|_| op(&mut rng)).collect();
                let changes: Vec<Change> = ops.iter().map(|op| change(bridge, op)).collect();
                let (epoch, mut after) = (p.epoch(), model.clone());
                let expected = ops.iter().enumerate().try_for_each(|(i, op)| after.apply(op, now).map_err(|e| (i, e)));
                let got = match p.change(&changes) {
                    Ok(_) => Ok(()),
                    Err(FlowError::Change { index, error }) => Err((index, kind(&error).to_owned())),
                    Err(error) => Err((99, error.to_string())),
                };
                assert_eq!(got, expected, "{context}: {ops:?}");
                let what = expected.as_ref().err().map_or("ok".to_owned(), |(_, e)| e.clone());
                *counts.entry(what).or_default() += 1;
                assert_eq!(p.epoch() - epoch, u64::from(expected.is_ok()), "{context}");
                if expected.is_ok() {
                    model = after;
                }
            }
        }
        let dump = p.dump(bridge, &Select::default()).unwrap();
        let ours = dump.iter().map(|e| line(&e.spec, e.stats.packets, set_of(&e.spec.matching), e.created)).collect();
        let theirs = model.rules.iter().map(|h| line(&h.spec, h.packets, h.small.packets(), h.created)).collect();
        same(ours, theirs, &context);
        let notices = p.take_notices();
        assert_eq!(notices.lost, 0);
        let ours = notices.removed.iter().map(|n| {
            assert_eq!(n.requested, n.entry.spec.flags.contains(RuleFlags::SEND_FLOW_REM));
            let e = &n.entry;
            (line(&e.spec, e.stats.packets, set_of(&e.spec.matching), e.created), format!("{:?}", n.reason))
        });
        let theirs = model.removed.iter().map(|(h, why)| {
            *counts.entry(format!("{why:?}")).or_default() += 1;
            (line(&h.spec, h.packets, h.small.packets(), h.created), format!("{why:?}"))
        });
        same(ours.collect(), theirs.collect(), &context);
        for s in p.table_stats(bridge) {
            let there = model.rules.iter().filter(|h| h.spec.table == s.table).count();
            assert_eq!((s.active, s.matches), (there, hits.get(&s.table).copied().unwrap_or(0)), "{context}");
        }
        for g in p.groups(bridge) {
            let uses = model.rules.iter().filter(|h| h.spec.actions.contains(&Action::Group(g.spec.id))).count();
            assert_eq!(g.ref_count as usize, uses, "{context}");
        }
        same(p.groups(bridge).iter().map(|g| g.spec.id).collect(), model.groups.iter().copied().collect(), &context);
        for m in p.meters(bridge) {
            let uses = model.rules.iter().filter(|h| h.spec.actions.contains(&Action::Meter(m.spec.id))).count();
            assert_eq!(m.stats.flow_count as usize, uses, "{context}");
            assert_eq!(p.meter_table().spec(m.id), Some(m.spec), "{context}");
        }
        same(p.meters(bridge).iter().map(|m| m.spec.id).collect(), model.meters.iter().copied().collect(), &context);
    }
}
