//! Tables against lists of rules, tries against lists of prefixes.

mod conjunction;

use super::hash_trie::HashTrie;
use super::prefix_trie::PrefixTrie;
use super::{Packed, Table, overlap};
use crate::rule::{Counters, Rule, StoredSpec};
use crate::testing::{PacketGen, Rng, RuleGen};
use flow::clock::Time;
use flow::dp::RuleId;
use flow::rule::RuleSpec;
use flow::{FieldId, FlowKey, Mask, Match, OfPort, Registers, Value};
use proptest::prelude::*;
use std::sync::Arc;
use zerocopy::IntoBytes;

const PORTS: [OfPort; 3] = [OfPort(1), OfPort(2), OfPort(3)];

fn stored(spec: &RuleSpec, matching: Packed) -> Arc<Rule> {
    let spec = StoredSpec::new(spec, matching);
    let counters = Arc::new(Counters::new(Time(0)));
    Arc::new(Rule { id: RuleId(spec.cookie), spec, created: Time(0), modified: Time(0), counters })
}

fn add(table: &mut Table, spec: &RuleSpec) -> Option<u64> {
    let rule = stored(spec, table.pack(&spec.matching));
    table.insert(rule).map(|old| old.spec.cookie)
}

fn remove(table: &mut Table, spec: &RuleSpec) -> Option<u64> {
    let packed = table.pack(&spec.matching);
    table.remove(&packed, spec.priority).map(|old| old.spec.cookie)
}

fn build(rules: &[RuleSpec]) -> Table {
    let mut table = Table::default();
    rules.iter().for_each(|r| assert_eq!(add(&mut table, r), None));
    table
}

/// A rule whose addresses and ports come from wide ranges, in few masks, so that tries and hash tables grow deep.
fn wide(rng: &mut Rng, cookie: u64) -> RuleSpec {
    let mut m = Match::default();
    let v6 = rng.percent(30);
    m.set_exact(FieldId::EthType, Value::from(if v6 { 0x86ddu16 } else { 0x0800 }));
    m.set_exact(FieldId::IpProto, Value(6));
    let (src, dst) = if v6 { (FieldId::Ipv6Src, FieldId::Ipv6Dst) } else { (FieldId::Ipv4Src, FieldId::Ipv4Dst) };
    for (field, lens) in [(src, [0u32, 9, 16]), (dst, [12, 24, 32])] {
        let len = rng.pick(&lens) * if v6 { 4 } else { 1 };
        m.set(field, address(rng, v6), Value(ones(field, len)));
    }
    if rng.percent(50) {
        let mask = rng.pick(&[0xffffu16, 0xfff0, 0x00ff]);
        m.set(FieldId::TcpDst, Value::from(rng.number() as u16 % 2048), Value::from(mask));
    }
    RuleSpec { matching: m, priority: 1 + rng.below(50) as u16, cookie, ..RuleSpec::default() }
}

fn address(rng: &mut Rng, v6: bool) -> Value {
    // Low entropy in the middle: prefixes share long beginnings.
    let n = rng.number();
    let v4 = 0x0a00_0000 | (n as u32 & 0x0003_0f0f);
    if v6 { Value(u128::from(v4) << 96 | u128::from(n >> 32 & 0xf000_000f) << 32) } else { Value::from(v4) }
}

fn ones(field: FieldId, len: u32) -> u128 {
    let width = u32::from(field.def().bits);
    if len == 0 { 0 } else { field.def().ones().0 >> (width - len) << (width - len) }
}

fn wide_packet(rng: &mut Rng, rules: &[RuleSpec]) -> FlowKey {
    let mut key = FlowKey::ZERO;
    let v6 = rng.percent(30);
    key.eth_type = if v6 { 0x86dd } else { 0x0800 }.into();
    key.nw_proto = if rng.percent(90) { 6 } else { 17 };
    let (src, dst) = if v6 { (FieldId::Ipv6Src, FieldId::Ipv6Dst) } else { (FieldId::Ipv4Src, FieldId::Ipv4Dst) };
    key.set(src, address(rng, v6));
    key.set(dst, address(rng, v6));
    key.tp_dst = (rng.number() as u16 % 2048).into();
    match rules.get(rng.below(rules.len())) {
        Some(rule) if rng.percent(70) => mix(&rule.matching.key, &key, &rule.matching.mask.0),
        _ => key,
    }
}

/// `a` where `mask` is set, `b` elsewhere.
fn mix(a: &FlowKey, b: &FlowKey, mask: &FlowKey) -> FlowKey {
    let mut out = *b;
    for (to, (a, m)) in out.as_mut_bytes().iter_mut().zip(a.as_bytes().iter().zip(mask.as_bytes())) {
        *to = *to & !m | a & m;
    }
    out
}

/// Rules of both kinds, no two with the same match and priority, cookies from 1.
fn some_rules(seed: u64, n: usize) -> Vec<RuleSpec> {
    let mut rng = Rng::new(seed);
    let mut rules = if rng.percent(50) { RuleGen::new(seed).rules(n, &PORTS) } else { Vec::new() };
    if rules.is_empty() {
        rules.extend((0..n).map(|_| wide(&mut rng, 0)));
    }
    let mut kept: Vec<RuleSpec> = Vec::new();
    for rule in rules {
        if !kept.iter().any(|k| k.priority == rule.priority && k.matching == rule.matching) {
            kept.push(RuleSpec { cookie: kept.len() as u64 + 1, table: 0, ..rule });
        }
    }
    kept
}

fn some_packet(rng: &mut Rng, gen_: &mut PacketGen<'_>, rules: &[RuleSpec]) -> (FlowKey, Registers) {
    let mut key = if rng.percent(50) { gen_.next_packet().key } else { wide_packet(rng, rules) };
    key.in_port = (1 + rng.below(3) as u32).into();
    let mut regs = Registers::default();
    regs.regs[0] = (rng.below(3) as u32).into();
    (key, regs)
}

fn find(table: &Table, key: &FlowKey, regs: &Registers) -> (Option<u64>, Mask) {
    let mut seen = Mask::ANY;
    let rule = table.find(key, regs, |mask| seen.unite(mask));
    (rule.map(|r| r.spec.cookie), seen)
}

/// The highest priority of the rules that match, and which those of it are.
fn linear(rules: &[RuleSpec], key: &FlowKey, regs: &Registers) -> Vec<u64> {
    let matching: Vec<_> = rules.iter().filter(|r| r.matching.matches(key, regs)).collect();
    let best = matching.iter().map(|r| r.priority).max();
    matching.iter().filter(|r| Some(r.priority) == best).map(|r| r.cookie).collect()
}

fn holds(rules: &[RuleSpec], key: &FlowKey, regs: &Registers, got: Option<u64>) -> bool {
    let want = linear(rules, key, regs);
    got.map_or(want.is_empty(), |cookie| want.contains(&cookie))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_table_finds_what_a_list_does_and_its_mask_says_why(seed: u64, n in 1..400usize) {
        let rules = some_rules(seed, n);
        let table = build(&rules);
        let (mut rng, mut packets) = (Rng::new(!seed), PacketGen::new(seed, &rules, &PORTS));
        for _ in 0..60 {
            let (key, regs) = some_packet(&mut rng, &mut packets, &rules);
            let (got, mask) = find(&table, &key, &regs);
            prop_assert!(holds(&rules, &key, &regs, got), "{key:?}: {got:?}");
            for round in 0..6 {
                let mut other = some_packet(&mut rng, &mut packets, &rules).0;
                if round % 2 == 0 {
                    let words = other.words_mut();
                    (words[rng.below(flow::key::KEY_WORDS)], words[0]) = (rng.number().to_ne_bytes(), [0; 8]);
                }
                let other = mix(&key, &other, &mask.0);
                prop_assert_eq!(find(&table, &other, &regs), (got, mask), "{:?} and {:?}", key, other);
            }
        }
    }

    #[test]
    fn a_changed_table_is_as_one_made_afresh(seed: u64, n in 1..300usize, steps in 1..400usize) {
        let rules = some_rules(seed, n);
        let mut rng = Rng::new(!seed);
        let (mut table, mut there) = (Table::default(), Vec::<RuleSpec>::new());
        // Versions still in use must not change.
        let mut older = Vec::new();
        for step in 0..steps {
            let rule = &rules[rng.below(rules.len())];
            let at = there.iter().position(|r| r.priority == rule.priority && r.matching == rule.matching);
            prop_assert_eq!(
                table.get(&rule.matching, rule.priority).map(|r| r.spec.cookie),
                at.map(|at| there[at].cookie)
            );
            if rng.percent(60) {
                let rule = RuleSpec { cookie: rule.cookie + 1000 * step as u64, ..rule.clone() };
                prop_assert_eq!(add(&mut table, &rule), at.map(|at| there.swap_remove(at).cookie));
                there.push(rule);
            } else {
                prop_assert_eq!(remove(&mut table, rule), at.map(|at| there.swap_remove(at).cookie));
            }
            prop_assert_eq!(table.len(), there.len());
            if rng.percent(3) {
                older.push((table.clone(), there.clone()));
            }
        }
        older.push((table, there));
        for (table, there) in &older {
            let fresh = build(there);
            let mut packets = PacketGen::new(seed, &rules, &PORTS);
            for _ in 0..20 {
                let (key, regs) = some_packet(&mut rng, &mut packets, &rules);
                let got = find(table, &key, &regs);
                prop_assert!(holds(there, &key, &regs, got.0));
                prop_assert_eq!(got, find(&fresh, &key, &regs));
            }
        }
        let (mut table, there) = older.pop().unwrap();
        for rule in &there {
            prop_assert_eq!(remove(&mut table, rule), Some(rule.cookie));
        }
        prop_assert_eq!(table.len(), 0);
        prop_assert!(table.order.is_empty() && table.shapes.is_empty() && table.slots.iter().all(Option::is_none));
    }

    #[test]
    fn selections_are_those_of_a_list(seed: u64, n in 1..200usize) {
        let rules = some_rules(seed, n);
        let table = build(&rules);
        let mut rng = Rng::new(!seed);
        for _ in 0..20 {
            // A rule's own match, or one that is wider by some of its words.
            let mut of = rules[rng.below(rules.len())].matching;
            for at in 0..flow::key::KEY_WORDS {
                if rng.percent(30) {
                    of.mask.0.words_mut()[at] = [0; 8];
                    of.key.words_mut()[at] = [0; 8];
                }
            }
            let mut got: Vec<_> = table.within(&of).map(|r| r.spec.cookie).collect();
            got.sort_unstable();
            let want: Vec<_> = rules.iter().filter(|r| r.matching.is_within(&of)).map(|r| r.cookie).collect();
            prop_assert_eq!(got, want);
            let priority = 1 + rng.below(50) as u16;
            let got = table.overlapping(&of, priority).map(|r| r.spec.cookie);
            let overlaps = |r: &&RuleSpec| r.priority == priority && overlap(&r.matching, &of);
            let want: Vec<_> = rules.iter().filter(overlaps).map(|r| r.cookie).collect();
            prop_assert!(got.map_or(want.is_empty(), |c| want.contains(&c)), "{got:?} {want:?}");
        }
        for rule in &rules {
            prop_assert_eq!(table.pack(&rule.matching).unpack(), rule.matching);
        }
    }

    #[test]
    fn a_prefix_trie_says_how_many_bits_it_takes(
        start in prop::collection::vec((any::<u32>(), 1..=32u8), 1..300),
        entropy in prop::sample::select(vec![u32::MAX, 0xf00f_00ff, 0x0000_ffff, 0xff00_0003]),
        asked in prop::collection::vec(any::<u32>(), 30),
        gone in 0..300usize,
    ) {
        let prefix = |v: u32, len: u8| v & entropy & u32::MAX << (32 - len);
        let mut all: Vec<_> = start.iter().map(|(v, len)| (prefix(*v, *len), *len)).collect();
        let mut trie = PrefixTrie::default();
        all.iter().for_each(|(v, len)| trie.insert(*v, *len));
        let before = trie.clone();
        for (v, len) in all.split_off(all.len() - gone.min(all.len())) {
            trie.remove(v, len);
        }
        for (trie, all) in [(before, start.iter().map(|(v, len)| (prefix(*v, *len), *len)).collect()), (trie, all)] {
            let near = all.iter().map(|(v, len)| v | 1 << (32 - len) >> 1);
            for v in asked.iter().map(|v| v & entropy).chain(near) {
                let walk = trie.walk(v);
                for (len, same) in (1..=32u8).map(|len| (len, all.iter().filter(move |(_, l)| *l == len))) {
                    let common = same.map(|(p, l)| ((p ^ v).leading_zeros() as u8).min(*l)).max();
                    let Some(common) = common else { continue };
                    prop_assert_eq!(walk.excluded_by(len), (common < len).then_some(common + 1));
                }
            }
            for (v, len) in &all {
                prop_assert!(trie.contains(*v, *len));
            }
        }
    }

    #[test]
    fn a_prefix_trie_of_one_length_is_an_ordered_set(values in prop::collection::vec(0..2000u16, 1..400), asked: u16) {
        let mut trie = PrefixTrie::<u16>::default();
        values.iter().for_each(|v| trie.insert(*v, 16));
        let mut left = values.clone();
        for v in &values {
            prop_assert_eq!(trie.max(), left.iter().copied().max());
            let common = left.iter().map(|l| (l ^ asked).leading_zeros() as u8).max().unwrap();
            prop_assert_eq!(trie.excluded_by(asked, 16), (common < 16).then_some(common + 1));
            trie.remove(*v, 16);
            left.swap_remove(left.iter().position(|l| l == v).unwrap());
            prop_assert_eq!(trie.contains(*v, 16), left.contains(v));
        }
        prop_assert_eq!(trie.max(), None);
    }

    /// Hashes with few bits, so that many entries meet.
    #[test]
    fn a_hash_trie_keeps_entries_apart(
        steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..600),
        bits in prop::sample::select(vec![0x7u64, 0xff, 0xf00f, 1 << 63 | 3, 0xff00_0000_0000_0000, 0xfff]),
    ) {
        let (mut trie, mut list) = (HashTrie::<u32>::default(), Vec::<(u64, u32)>::new());
        for (item, (hash, put)) in (0u32..).zip(&steps) {
            let hash = hash & bits;
            if *put || list.is_empty() {
                trie.edit(hash, |leaf| leaf.push((hash, item)));
                list.push((hash, item));
            } else {
                let (hash, item) = list.swap_remove(hash as usize % list.len());
                trie.edit(hash, |leaf| leaf.remove_all(&item));
            }
        }
        prop_assert_eq!(trie.is_empty(), list.is_empty());
        let sorted = |mut v: Vec<u32>| { v.sort_unstable(); v };
        prop_assert_eq!(sorted(trie.iter().copied().collect()), sorted(list.iter().map(|e| e.1).collect()));
        for (hash, _) in &steps {
            let hash = hash & bits;
            let want: Vec<_> = list.iter().filter(|e| e.0 == hash).map(|e| e.1).collect();
            prop_assert_eq!(trie.contains(hash), !want.is_empty());
            prop_assert_eq!(sorted(trie.all(hash).copied().collect()), sorted(want));
        }
    }
}

#[test]
fn rules_and_packets_meet() {
    let (mut hit, mut all) = (0, 0);
    for seed in 0..40 {
        let rules = some_rules(seed, 200);
        let (mut rng, mut packets) = (Rng::new(!seed), PacketGen::new(seed, &rules, &PORTS));
        for _ in 0..50 {
            let (key, regs) = some_packet(&mut rng, &mut packets, &rules);
            all += 1;
            hit += usize::from(rules.iter().any(|r| r.priority != 0 && r.matching.matches(&key, &regs)));
        }
    }
    assert!(hit * 100 > all * 40, "{hit} of {all}");
}
