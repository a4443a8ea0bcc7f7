//! Changes of rules: replace, modify, delete, time out; snapshots; batches.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Bench, PORTS, bench, drop_reason, ports};
use flow::clock::{Clock, Time};
use flow::dp::{Dep, DpAction, DropReason, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, FieldId, FlowKey, Match, OfPort, Value};
use pipeline::testing::{PacketGen, RuleGen};
use pipeline::{ChangeError, FlowError, RemoveReason, RuleChange, Select};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn out(port: u16) -> Vec<Action> {
    vec![Action::Output(OfPort(port))]
}

fn nw_dst(addr: u32, bits: u32) -> Match {
    let mut m = Match::default();
    m.set_exact(FieldId::EthType, Value(0x0800));
    let mask = u32::MAX << (32 - bits);
    m.set(FieldId::Ipv4Dst, Value::from(addr & mask), Value::from(mask));
    m
}

fn rule(priority: u16, matching: Match, port: u16) -> RuleSpec {
    RuleSpec { priority, matching, actions: out(port), ..RuleSpec::default() }
}

fn to(addr: u32) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.eth_type = 0x0800.into();
    key.ipv4_dst = addr.into();
    key
}

fn sent_to(t: &Translation) -> Vec<u32> {
    t.actions.iter().filter_map(|a| if let DpAction::Output(p) = a { Some(p.0 - 100) } else { None }).collect()
}

impl Bench {
    fn change(&self, change: impl FnOnce(flow::dp::BridgeId) -> RuleChange) -> Result<pipeline::Applied, FlowError> {
        self.pipeline.apply(&[change(self.bridge)])
    }

    fn add(&self, rule: RuleSpec) -> Result<pipeline::Applied, FlowError> {
        self.change(|bridge| RuleChange::Add { bridge, rule })
    }

    fn hit(&self, t: &Translation, packets: u64) {
        self.pipeline.replay(&t.effects, &Hits { packets, bytes: packets * 100, used: self.clock.now() });
    }

    fn count(&self) -> usize {
        self.pipeline.dump(self.bridge, &Select::default()).unwrap().len()
    }
}

#[test]
fn adding_the_same_match_and_priority_replaces_and_keeps_counters_unless_told() {
    let b = bench(vec![rule(5, nw_dst(0x0a00_0000, 8), 1)], ports());
    b.hit(&b.translate(OfPort(3), &to(0x0a00_0001)), 7);
    b.clock.advance(Duration::from_secs(1));
    let applied = b.add(rule(5, nw_dst(0x0a00_0000, 8), 2)).unwrap();
    assert_eq!((applied.added, applied.modified, b.count()), (0, 1, 1));
    let t = b.translate(OfPort(3), &to(0x0a00_0001));
    assert_eq!(sent_to(&t), [2]);
    let entry = &b.pipeline.dump(b.bridge, &Select::default()).unwrap()[0];
    assert_eq!((entry.stats.packets, entry.stats.bytes, entry.created), (7, 700, b.clock.now()));
    let reset = RuleSpec { flags: RuleFlags::RESET_COUNTS, ..rule(5, nw_dst(0x0a00_0000, 8), 4) };
    b.add(reset).unwrap();
    // The rule that t hit is no more; what comes late for it is not given to its successor.
    b.hit(&t, 3);
    assert_eq!(b.pipeline.dump(b.bridge, &Select::default()).unwrap()[0].stats.packets, 0);
}

#[test]
fn the_highest_priority_wins_whatever_the_order_of_adding() {
    let b = bench(
        vec![
            rule(1, Match::default(), 1),
            rule(30, nw_dst(0x0a01_0000, 16), 3),
            rule(20, nw_dst(0x0a01_0100, 24), 2),
            rule(40, nw_dst(0x0a01_0203, 32), 4),
        ],
        ports(),
    );
    let go = |addr| sent_to(&b.translate(OfPort(7), &to(addr)));
    assert_eq!((go(0x0b00_0000), go(0x0a01_0101), go(0x0a01_0203)), (vec![1], vec![3], vec![4]));
    let delete = |b: &Bench, s: RuleSpec| {
        b.change(|bridge| RuleChange::Delete { bridge, select: Select::exactly(&s) }).unwrap();
    };
    delete(&b, rule(30, nw_dst(0x0a01_0000, 16), 0));
    assert_eq!(sent_to(&b.translate(OfPort(7), &to(0x0a01_0101))), [2]);
    delete(&b, rule(20, nw_dst(0x0a01_0100, 24), 0));
    assert_eq!(sent_to(&b.translate(OfPort(7), &to(0x0a01_0101))), [1]);
    delete(&b, rule(1, Match::default(), 0));
    assert_eq!(drop_reason(&b.translate(OfPort(7), &to(0x0a01_0101))), Some(DropReason::NoMatch));
}

#[test]
fn loose_and_strict_deletes_take_what_they_say() {
    let all = || {
        let mut rules = vec![
            rule(5, nw_dst(0x0a00_0000, 8), 1),
            rule(6, nw_dst(0x0a01_0000, 16), 2),
            rule(7, nw_dst(0x0a01_0000, 16), 3),
            RuleSpec { table: 3, ..rule(7, nw_dst(0x0a01_0100, 24), 1) },
            rule(1, Match::default(), 1),
        ];
        for (cookie, rule) in (0x10..).zip(&mut rules) {
            rule.cookie = cookie;
        }
        bench(rules, ports())
    };
    let left = |select: Select| {
        let b = all();
        let removed = b.change(|bridge| RuleChange::Delete { bridge, select }).unwrap().removed;
        assert!(removed.iter().all(|r| r.reason == RemoveReason::Delete));
        assert_eq!(removed.len() + b.count(), 5);
        let mut cookies: Vec<u64> = b.cookies().into_values().collect();
        cookies.sort_unstable();
        cookies
    };
    let loose = |matching| Select { matching, ..Select::default() };
    assert_eq!(left(Select::default()), []);
    assert_eq!(left(loose(nw_dst(0x0a00_0000, 8))), [0x14]);
    assert_eq!(left(loose(nw_dst(0x0a01_0000, 16))), [0x10, 0x14]);
    assert_eq!(left(Select { table: Some(0), ..loose(nw_dst(0x0a01_0000, 16)) }), [0x10, 0x13, 0x14]);
    let strict = Select { strict: Some(6), ..loose(nw_dst(0x0a01_0000, 16)) };
    assert_eq!(left(strict.clone()), [0x10, 0x12, 0x13, 0x14]);
    assert_eq!(left(Select { strict: Some(8), ..strict }), [0x10, 0x11, 0x12, 0x13, 0x14]);
    assert_eq!(left(Select { cookie: (0x12, 0xfe), ..Select::default() }), [0x10, 0x11, 0x14]);
    assert_eq!(left(Select { out_port: Some(OfPort(1)), ..Select::default() }), [0x11, 0x12]);
}

#[test]
fn modify_changes_actions_and_keeps_the_rest() {
    let timed = RuleSpec { idle_timeout: 9, cookie: 1, ..rule(5, nw_dst(0x0a00_0000, 8), 1) };
    let b = bench(vec![timed.clone(), rule(6, nw_dst(0x0a01_0000, 16), 1), rule(1, Match::default(), 1)], ports());
    b.hit(&b.translate(OfPort(3), &to(0x0a00_0001)), 4);
    let modify = |select, cookie, flags| {
        b.change(|bridge| RuleChange::Modify { bridge, select, actions: out(2), cookie, flags }).unwrap()
    };
    let select = Select { matching: nw_dst(0x0a00_0000, 8), ..Select::default() };
    let before = b.cookies();
    assert_eq!(modify(select.clone(), None, RuleFlags::empty()).modified, 2);
    assert_eq!(b.cookies(), before, "ids and cookies stay");
    assert_eq!(sent_to(&b.translate(OfPort(3), &to(0x0a00_0001))), [2]);
    assert_eq!(sent_to(&b.translate(OfPort(3), &to(0x0b00_0001))), [1]);
    let entry = |b: &Bench| b.pipeline.dump(b.bridge, &Select::exactly(&timed)).unwrap().remove(0);
    assert_eq!((entry(&b).stats.packets, entry(&b).spec.idle_timeout), (4, 9));
    modify(select, Some(77), RuleFlags::RESET_COUNTS);
    assert_eq!((entry(&b).stats.packets, entry(&b).spec.cookie), (0, 77));
    let nothing = Select { matching: nw_dst(0x7f00_0000, 8), ..Select::default() };
    assert_eq!(modify(nothing, None, RuleFlags::empty()).modified, 0);
}

#[test]
fn check_overlap_refuses_at_equal_priority_only() {
    let b = bench(vec![rule(5, nw_dst(0x0a00_0000, 8), 1)], ports());
    let checked = |priority, matching| RuleSpec { flags: RuleFlags::CHECK_OVERLAP, ..rule(priority, matching, 1) };
    let mut from = Match::default();
    from.set_exact(FieldId::InPort, Value(1));
    let refused = b.add(checked(5, from));
    let error = ChangeError::Overlap { table: 0, priority: 5 };
    assert_eq!(refused, Err(FlowError::Change { index: 0, error }));
    b.add(checked(6, from)).unwrap();
    b.add(checked(5, nw_dst(0x0b00_0000, 8))).unwrap();
    b.add(RuleSpec { table: 1, ..checked(5, from) }).unwrap();
    assert_eq!(b.count(), 4);
}

#[test]
fn a_batch_with_one_bad_change_changes_nothing() {
    let b = bench(vec![rule(5, nw_dst(0x0a00_0000, 8), 1)], ports());
    let (before, epoch) = (b.pipeline.dump(b.bridge, &Select::default()).unwrap(), b.pipeline.epoch());
    b.clock.advance(Duration::from_secs(5));
    b.pipeline.take_changes(&mut Vec::new());
    let bad: [(Action, ChangeError); 6] = [
        (Action::GotoTable(0), ChangeError::GotoBackwards { from: 0, to: 0 }),
        (Action::GotoTable(255), ChangeError::BadTable(255)),
        (Action::Output(OfPort(0xff01)), ChangeError::BadOutput(OfPort(0xff01))),
        (Action::ModVlanVid(4096), ChangeError::BadVlanId(4096)),
        (Action::PushVlan(0x0800), ChangeError::BadVlanType(0x0800)),
        (
            Action::SetField { field: FieldId::EthType, value: Value(1), mask: Value(0xffff) },
            ChangeError::ReadOnly(FieldId::EthType),
        ),
    ];
    for (action, error) in bad {
        let broken = RuleSpec { actions: vec![action, Action::DecTtl], ..RuleSpec::default() };
        let changes = [
            RuleChange::Add { bridge: b.bridge, rule: rule(5, nw_dst(0x0a00_0000, 8), 3) },
            RuleChange::Delete { bridge: b.bridge, select: Select::default() },
            RuleChange::Add { bridge: b.bridge, rule: broken },
        ];
        assert_eq!(b.pipeline.apply(&changes), Err(FlowError::Change { index: 2, error }));
    }
    assert_eq!(b.pipeline.dump(b.bridge, &Select::default()).unwrap(), before);
    assert_eq!(b.pipeline.epoch(), epoch);
    let mut changes = Vec::new();
    b.pipeline.take_changes(&mut changes);
    assert_eq!(changes, []);
}

#[test]
fn rules_go_when_idle_or_old() {
    let idle = RuleSpec { idle_timeout: 10, ..rule(5, nw_dst(0x0a00_0000, 8), 1) };
    let hard = RuleSpec { hard_timeout: 25, ..rule(5, nw_dst(0x0b00_0000, 8), 1) };
    let b = bench(vec![idle.clone(), hard.clone(), rule(1, Match::default(), 1)], ports());
    let mut gone = Vec::new();
    for second in 1..=40 {
        b.clock.advance_to(Time(second * 1_000_000_000));
        if second <= 12 {
            b.hit(&b.translate(OfPort(3), &to(0x0a00_0001)), 1);
            b.hit(&b.translate(OfPort(3), &to(0x0b00_0001)), 1);
        }
        for r in b.pipeline.expire(b.clock.now()) {
            gone.push((second, r.entry.spec.clone(), r.reason, r.entry.stats.packets));
        }
    }
    assert_eq!(gone, [(22, idle, RemoveReason::IdleTimeout, 12), (25, hard, RemoveReason::HardTimeout, 12)]);
    assert_eq!(b.count(), 1);
}

#[test]
fn translations_name_the_tables_they_visited_and_changes_are_told_once() {
    let goto = RuleSpec { actions: vec![Action::GotoTable(9)], ..RuleSpec::default() };
    let b = bench(vec![goto], ports());
    let mut changes = Vec::new();
    b.pipeline.take_changes(&mut changes);
    let t = b.translate(OfPort(1), &to(1));
    let (first, last) = (Dep::Table(b.bridge, 0), Dep::Table(b.bridge, 9));
    assert!(t.deps.contains(&first) && t.deps.contains(&last));
    assert_eq!(drop_reason(&t), Some(DropReason::NoMatch));
    b.hit(&t, 3);
    assert_eq!(b.pipeline.table_misses(b.bridge, 9), 3);
    changes.clear();
    b.add(RuleSpec { table: 9, ..rule(1, Match::default(), 1) }).unwrap();
    b.add(RuleSpec { table: 9, ..rule(2, Match::default(), 1) }).unwrap();
    b.pipeline.take_changes(&mut changes);
    assert_eq!(changes, [last.into()]);
    changes.clear();
    b.pipeline.take_changes(&mut changes);
    assert_eq!(changes, []);
}

#[test]
fn endless_resubmits_drop_and_end_soon() {
    let again = Action::Resubmit { port: None, table: None, ct: false };
    let deep = RuleSpec { actions: vec![Action::Output(OfPort(2)), again.clone()], ..RuleSpec::default() };
    let b = bench(vec![deep], ports());
    let t = b.translate(OfPort(1), &to(1));
    assert_eq!(drop_reason(&t), Some(DropReason::ResubmitLimit));
    // Eight times eight tables deep: few levels, many lookups.
    let wide = (0..8).map(|table| RuleSpec {
        table,
        actions: vec![Action::Resubmit { port: None, table: Some(table + 1), ct: false }; 8],
        ..RuleSpec::default()
    });
    let b = bench(wide.collect(), ports());
    let start = Instant::now();
    let t = b.translate(OfPort(1), &to(1));
    assert_eq!(drop_reason(&t), Some(DropReason::ResubmitLimit));
    assert!(t.effects.len() <= 4097 && start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_translation_sees_all_of_a_batch_or_nothing() {
    // Every batch moves both tables to one port; a translation that met a half would send to two.
    let rules = |port: u16| {
        [0, 1].map(|table| RuleSpec {
            table,
            actions: vec![
                Action::Output(OfPort(port)),
                Action::Resubmit { port: None, table: Some(table + 1), ct: false },
            ],
            ..RuleSpec::default()
        })
    };
    let b = bench(rules(2).to_vec(), ports());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0u32.. {
                let adds = rules(2 + (i % 2) as u16).map(|rule| RuleChange::Add { bridge: b.bridge, rule });
                b.pipeline.apply(&adds).unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        // Until the state was seen to change fifty times, but not for ever.
        let (mut last, mut turns, start) = (0, 0, Instant::now());
        while turns < 50 && start.elapsed() < Duration::from_secs(60) {
            let sent = sent_to(&b.translate(OfPort(1), &to(1)));
            if sent[0] != sent[1] {
                turns = 0;
                break;
            }
            turns += usize::from(sent[0] != last);
            last = sent[0];
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(turns, 50);
    });
}

#[test]
fn single_adds_to_many_rules_are_quick() {
    let many = |n: u32| (0..n).map(|i| rule((i % 7) as u16, nw_dst(0x0a00_0000 + i * 256, 24), 1)).collect::<Vec<_>>();
    let b = bench(many(100_000), ports());
    let start = Instant::now();
    for i in 0..5_000 {
        b.add(rule(9, nw_dst(0xc000_0000 + i, 32), 1)).unwrap();
    }
    let took = start.elapsed();
    println!("5,000 single adds to 100,000 rules took {took:?}");
    // A copy of the rules for each would take minutes.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(b.count(), 105_000);
}

#[test]
fn removing_all_rules_one_by_one_leaves_an_empty_switch() {
    let rules = RuleGen::new(3).rules(150, &PORTS);
    let b = bench(rules.clone(), ports());
    let mut packets = PacketGen::new(3, &rules, &PORTS);
    let mut order: Vec<&RuleSpec> = rules.iter().collect();
    order.sort_by_key(|r| r.cookie.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for (i, rule) in order.iter().enumerate() {
        b.change(|bridge| RuleChange::Delete { bridge, select: Select::exactly(rule) }).unwrap();
        assert_eq!(b.count(), rules.len() - i - 1);
        // The rules that are left are found as in a switch that never had the others.
        if i % 10 == 0 {
            let left = bench(order[i + 1..].iter().copied().cloned().collect(), ports());
            for _ in 0..20 {
                let p = packets.next_packet();
                let (t, u) = (b.translate(p.in_port, &p.key), left.translate(p.in_port, &p.key));
                assert_eq!((t.mask, t.actions), (u.mask, u.actions));
            }
        }
    }
    let t = b.translate(OfPort(1), &to(1));
    assert!(t.effects.contains(&Effect::TableMiss(b.bridge, 0)));
    b.pipeline.replay(&[Effect::Rule(RuleId(1))], &Hits { packets: 1, ..Hits::default() });
}

/// Two switches with the same rules: one counts while it translates, the other is told of what it said.
#[test]
fn a_first_packet_counts_as_one_that_is_replayed() {
    let rules = RuleGen::new(11).rules(150, &PORTS);
    let (one, two) = (bench(rules.clone(), ports()), bench(rules.clone(), ports()));
    let mut packets = PacketGen::new(11, &rules, &PORTS);
    for i in 0..400 {
        let p = packets.next_packet();
        let mut key = p.key;
        key.in_port = common::dp(p.in_port).0.into();
        let now = Time(1 + i);
        let hits = Hits { packets: 1, bytes: 60 + i, used: now };
        let t = one.pipeline.translate_first(&Resume::default(), &key, &hits);
        let u = two.pipeline.translate(&Resume::default(), &key);
        two.pipeline.replay(&u.effects, &hits);
        assert_eq!(t, u);
    }
    let counted = |b: &Bench| {
        let rules = b.pipeline.dump(b.bridge, &Select::default()).unwrap();
        let misses: Vec<u64> = (0..=254).map(|table| b.pipeline.table_misses(b.bridge, table)).collect();
        (rules.into_iter().map(|r| r.stats).collect::<Vec<_>>(), misses)
    };
    assert!(counted(&two).0.iter().any(|stats| stats.packets > 1));
    assert_eq!(counted(&one), counted(&two));
}
