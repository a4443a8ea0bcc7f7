//! Conjunctions against a reading of the manual, priority by priority.

use super::{build, find, mix};
use crate::testing::Rng;
use flow::rule::RuleSpec;
use flow::{Action, FieldId, FlowKey, Match, Registers, Value};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FIELDS: [FieldId; 4] = [FieldId::Ipv4Src, FieldId::Ipv4Dst, FieldId::TcpDst, FieldId::TcpSrc];

fn ip() -> Match {
    let mut m = Match::default();
    m.set_exact(FieldId::EthType, Value(0x0800));
    m.set_exact(FieldId::IpProto, Value(6));
    m
}

/// Rules over few values and priorities: dimensions of few conjunctions, their results, and hard rules among them.
fn rules(rng: &mut Rng, n: usize) -> Vec<RuleSpec> {
    let mut rules: Vec<RuleSpec> = Vec::new();
    for cookie in 1..=n as u64 {
        let mut m = ip();
        let field = rng.below(FIELDS.len());
        let mask = Value(if field < 2 { rng.pick(&[0xffff_fffc, 0xffff_ffff]) } else { 0xffff });
        let value = Value(rng.below(4) as u128 & mask.0);
        let priority = 1 + rng.below(4) as u16;
        let actions = match rng.below(10) {
            0 | 1 => {
                m.set_exact(FieldId::ConjId, Value(1 + rng.below(3) as u128));
                if rng.percent(40) {
                    m.set(FIELDS[field], value, mask);
                }
                vec![]
            }
            2 => {
                m.set(FIELDS[field], value, mask);
                vec![Action::DecTtl]
            }
            _ => {
                m.set(FIELDS[field], value, mask);
                let clauses = |id: u32| if id == 3 { 3 } else { 2 };
                let ids: BTreeSet<u32> = (0..1 + rng.below(2)).map(|_| 1 + rng.below(3) as u32).collect();
                // Dimension by field, most of the time.
                let clause = |rng: &mut Rng, id| {
                    let at = if rng.percent(90) { field } else { rng.below(3) };
                    (at % usize::from(clauses(id))) as u8
                };
                let dimension = |id: u32| Action::Conjunction { id, clause: clause(rng, id), clauses: clauses(id) };
                let mut actions: Vec<_> = ids.into_iter().map(dimension).collect();
                if rng.percent(10) {
                    actions.insert(0, Action::Note([1].into()));
                }
                actions
            }
        };
        let rule = RuleSpec { matching: m, priority, cookie, actions, ..RuleSpec::default() };
        if !rules.iter().any(|r| r.priority == priority && r.matching == m) {
            rules.push(rule);
        }
    }
    rules
}

fn packet(rng: &mut Rng) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.eth_type = 0x0800.into();
    key.nw_proto = 6;
    FIELDS.iter().for_each(|f| _ = key.set(*f, Value(rng.below(5) as u128)));
    key
}

fn soft(rule: &RuleSpec) -> bool {
    rule.actions.iter().any(|a| matches!(a, Action::Conjunction { .. }))
}

/// The rules that may be the answer; empty: there is none.
fn answers(rules: &[RuleSpec], key: &FlowKey) -> BTreeSet<u64> {
    let regs = Registers::default();
    let matching: Vec<&RuleSpec> = rules.iter().filter(|r| r.matching.matches(key, &regs)).collect();
    for priority in (0..10u16).rev() {
        let here: Vec<_> = matching.iter().filter(|r| r.priority == priority).collect();
        let hard: BTreeSet<u64> = here.iter().filter(|r| !soft(r)).map(|r| r.cookie).collect();
        if !hard.is_empty() {
            return hard;
        }
        let mut results = BTreeSet::new();
        for id in 1..=3u32 {
            let wanted = if id == 3 { 3u8 } else { 2 };
            let there = |k: u8| {
                let is =
                    |a: &Action| matches!(a, Action::Conjunction { id: i, clause, .. } if *i == id && *clause == k);
                here.iter().any(|r| r.actions.iter().any(is))
            };
            // One rule cannot stand for two dimensions: there have to be as many rules as dimensions.
            if here.len() >= usize::from(wanted) && (0..wanted).all(there) {
                results.extend(second(rules, key, id));
            }
        }
        if !results.is_empty() {
            return results;
        }
    }
    BTreeSet::new()
}

/// The rules for a packet that fulfils a conjunction: hard ones, unless a soft one with the same match hides them.
fn second(rules: &[RuleSpec], key: &FlowKey, id: u32) -> BTreeSet<u64> {
    let regs = Registers { conj_id: id.into(), ..Registers::default() };
    let matching = || rules.iter().filter(|r| r.matching.matches(key, &regs));
    let hidden = |r: &RuleSpec| matching().any(|o| soft(o) && o.matching == r.matching && o.priority > r.priority);
    let seen: Vec<_> = matching().filter(|r| !soft(r) && !hidden(r)).collect();
    let best = seen.iter().map(|r| r.priority).max();
    seen.iter().filter(|r| Some(r.priority) == best).map(|r| r.cookie).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn conjunctions_are_fulfilled_as_the_manual_says(seed: u64, n in 1..60usize) {
        let mut rng = Rng::new(seed);
        let rules = rules(&mut rng, n);
        let table = build(&rules);
        let regs = Registers::default();
        for _ in 0..40 {
            let key = packet(&mut rng);
            let (got, mask) = find(&table, &key, &regs);
            let want = answers(&rules, &key);
            prop_assert!(got.map_or(want.is_empty(), |c| want.contains(&c)), "{key:?}: {got:?}, not of {want:?}");
            for _ in 0..4 {
                let other = mix(&key, &packet(&mut rng), &mask.0);
                prop_assert_eq!(find(&table, &other, &regs), (got, mask));
            }
        }
    }
}

#[test]
fn conjunctions_are_met() {
    let (mut fulfilled, mut all) = (0, 0);
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let rules = rules(&mut rng, 40);
        for _ in 0..40 {
            let got = answers(&rules, &packet(&mut rng));
            let conjunctive =
                |c: &u64| rules.iter().any(|r| r.cookie == *c && r.matching.get(FieldId::ConjId).1.0 != 0);
            all += 1;
            fulfilled += usize::from(got.iter().any(conjunctive));
        }
    }
    assert!(fulfilled * 100 > all * 20, "{fulfilled} of {all}");
}
