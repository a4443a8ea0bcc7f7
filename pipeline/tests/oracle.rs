//! Translation against an independent linear reading of the same rules, and its masks against other packets.

mod common;

use common::{Bench, Outcome, PORTS, bench_with, ports};
use flow::clock::Time;
use flow::dp::{Cacheable, Change, DpAction, Effect, Hits, RecircId, Resume, Slowpath, Translation};
use flow::{FlowKey, VlanTag};
use pipeline::testing::{Language, PacketGen, Rng, RuleGen, RuleOptions};
use pipeline::{PortUpdate, RuleChange, Select};
use proptest::prelude::*;
use std::collections::HashMap;

fn options() -> impl Strategy<Value = RuleOptions> {
    (1..5u8, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(tables, normal, controller, unchecked_sets)| {
        RuleOptions { tables, normal, controller, unchecked_sets }
    })
}

/// A switch with random rules, some ports down, some addresses known.
fn random_bench(seed: u64, n: usize, options: RuleOptions, language: Option<Language>) -> Bench {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let mut ports = ports();
    for port in &mut ports {
        port.up = rng.percent(90);
    }
    let (rules, groups) = match language {
        Some(language) => RuleGen::with_options(seed, options).language(n, &PORTS, language),
        None => (RuleGen::with_options(seed, options).rules(n, &PORTS), Vec::new()),
    };
    let mut bench = bench_with(groups, rules, ports);
    for low in 1..4u8 {
        for vlan in [0, 10, 20] {
            if rng.percent(50) {
                let port = PORTS[rng.below(PORTS.len())];
                bench.learn(vlan, [2, 0, 0, 0, 0, low], port);
            }
        }
    }
    bench
}

/// The oracle's outcome in the translation's terms, which name no table or place for a hit and do not say whether a TTL ran out.
fn without_tables(mut outcome: Outcome) -> Outcome {
    for hit in &mut outcome.hits {
        if hit.1.is_some() {
            hit.0 = 0;
        }
    }
    outcome.places.clear();
    outcome.failed = false;
    outcome
}

/// Whether a change is told that may concern packets of this flow.
fn concerns(changes: &[Change], key: &FlowKey, t: &Translation) -> bool {
    changes.iter().any(|c| {
        t.deps.contains(&c.dep) && c.scope.as_ref().is_none_or(|s| s.meets(key, &t.mask, t.written.as_deref()))
    })
}

fn mix(a: &FlowKey, b: &FlowKey, mask: &FlowKey) -> FlowKey {
    let mut out = FlowKey::ZERO;
    let parts = a.words().iter().zip(b.words()).zip(mask.words());
    for (to, ((a, b), m)) in out.words_mut().iter_mut().zip(parts) {
        *to = std::array::from_fn(|i| a[i] & m[i] | b[i] & !m[i]);
    }
    out
}

/// A key that is possible: no inner tag without an outer one, nothing in a tag that is not there.
fn possible(mut key: FlowKey) -> FlowKey {
    if !key.vlans[0].is_present() {
        key.vlans = [VlanTag::default(); 2];
    } else if !key.vlans[1].is_present() {
        key.vlans[1] = VlanTag::default();
    }
    (key.pad0, key.pad2) = (0.into(), 0);
    key
}

/// Where packets come back.
fn returns(actions: &[DpAction], ids: &mut Vec<RecircId>) {
    for action in actions {
        match action {
            DpAction::Recirc(id) => ids.push(*id),
            DpAction::Clone(list) => returns(list, ids),
            DpAction::CheckLen(spec) => {
                returns(&spec.greater, ids);
                returns(&spec.rest, ids);
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn translation_does_what_a_linear_reading_does(seed: u64, modelled: bool, n in 1..120usize, options in options()) {
        let bench = random_bench(seed, n, options, modelled.then_some(Language::Modelled));
        let cookies = bench.cookies();
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        for _ in 0..40 {
            let p = packets.next_packet();
            let want = without_tables(bench.model.run(p.in_port, &p.key));
            let t = bench.translate(p.in_port, &p.key);
            let got = bench.outcome(&t, &p.key, &cookies);
            prop_assert_eq!(got, want, "{:?} from {}: {}", p.key, p.in_port, flow::dp::ActionList(&t.actions));
        }
    }

    #[test]
    fn packets_that_agree_in_the_mask_have_the_same_translation(seed: u64, all: bool, n in 1..120usize, options in options()) {
        let bench = random_bench(seed, n, options, all.then_some(Language::All));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        let mut rng = Rng::new(seed);
        for _ in 0..15 {
            let p = packets.next_packet();
            let t = bench.translate(p.in_port, &p.key);
            for round in 0..12 {
                // Another packet of the same rules, one bit, or noise, wherever the mask does not look.
                let mut other = packets.next_packet().key;
                if round % 3 == 1 {
                    other = p.key;
                    let words = other.words_mut();
                    words[rng.below(19)][rng.below(8)] ^= 1 << rng.below(8);
                } else if round % 3 == 2 {
                    other.words_mut().iter_mut().for_each(|w| *w = rng.number().to_ne_bytes());
                }
                let q = possible(mix(&p.key, &other, &t.mask.0));
                // Unless making it possible changed what the mask looks at.
                if q.masked(&t.mask) == p.key.masked(&t.mask) {
                    prop_assert_eq!(bench.translate(p.in_port, &q), t.clone(), "{:?} and {:?}", p.key, q);
                }
            }
            for low in 0..16 {
                let mut reserved = p.key;
                reserved.eth_dst = [1, 0x80, 0xc2, 0, 0, low];
                let covered = reserved.masked(&t.mask) == p.key.masked(&t.mask);
                prop_assert!(!covered || t.cacheable == Cacheable::No, "{:?}", p.key);
            }
        }
    }

    #[test]
    fn packets_that_come_back_keep_to_their_masks_too(seed: u64, n in 1..80usize, options in options()) {
        let bench = random_bench(seed, n, options, Some(Language::All));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        let mut rng = Rng::new(seed);
        for _ in 0..15 {
            let p = packets.next_packet();
            let mut ids = Vec::new();
            returns(&bench.translate(p.in_port, &p.key).actions, &mut ids);
            for id in ids.into_iter().take(4) {
                let mut key = packets.next_packet().key;
                (key.in_port, key.recirc_id) = (common::dp(p.in_port).0.into(), id.0.into());
                key.dp_hash = (rng.number() as u32 | 1).into();
                key.ct_state = rng.pick(&[0u32, 0x21, 0x22]).into();
                let at = Resume { recirc_id: id };
                let t = bench.pipeline.translate(&at, &key);
                for _ in 0..6 {
                    let mut other = packets.next_packet().key;
                    (other.dp_hash, other.ct_state) = ((rng.number() as u32).into(), (rng.number() as u32).into());
                    let q = possible(mix(&key, &other, &t.mask.0));
                    if q.masked(&t.mask) == key.masked(&t.mask) {
                        prop_assert_eq!(bench.pipeline.translate(&at, &q), t.clone(), "{:?} and {:?}", key, q);
                    }
                }
            }
        }
    }

    #[test]
    fn translations_are_stale_only_when_something_they_depend_on_has_changed(
        seed: u64, n in 2..60usize, options in options()
    ) {
        let mut bench = random_bench(seed, n, options, Some(Language::All));
        let rules = bench.model.rules.clone();
        let mut packets = PacketGen::new(seed, &rules, &PORTS);
        let known: Vec<_> = (0..25)
            .map(|_| {
                let p = packets.next_packet();
                let t = bench.translate(p.in_port, &p.key);
                (p, t)
            })
            .collect();
        let mut rng = Rng::new(!seed);
        let mut changes = Vec::new();
        bench.pipeline.take_changes(&mut changes);
        for _ in 0..3 {
            // One change of a rule, a port, an address, or whatever a packet learns.
            let bridge = bench.bridge;
            match rng.below(4) {
                0 => {
                    let rule = &rules[rng.below(rules.len())];
                    let select = Select { matching: rule.matching, strict: Some(rule.priority), table: Some(rule.table), ..Select::default() };
                    bench.pipeline.apply(&[RuleChange::Delete { bridge, select }]).unwrap();
                }
                1 => {
                    let up = Some(rng.percent(50));
                    let port = PORTS[rng.below(PORTS.len())];
                    bench.pipeline.update_port(bridge, port, PortUpdate { up, ..PortUpdate::default() }).unwrap();
                }
                2 => bench.learn(10, [2, 0, 0, 0, 0, 1], PORTS[rng.below(PORTS.len())]),
                _ => {
                    let (_, t) = &known[rng.below(known.len())];
                    bench.pipeline.replay(&t.effects, &Hits { packets: 1, bytes: 60, used: Time(1) });
                }
            }
        }
        changes.clear();
        bench.pipeline.take_changes(&mut changes);
        for (p, old) in &known {
            let now = bench.translate(p.in_port, &p.key);
            let told = concerns(&changes, &FlowKey { in_port: common::dp(p.in_port).0.into(), ..p.key }, old);
            let dep_told = old.deps.iter().any(|d| changes.iter().any(|c| c.dep == *d));
            prop_assert!(dep_told || now == *old, "{:?} {:?} became {:?}", p.key, old, now);
            // What is done may be said otherwise when less is looked at: see the tests of scopes.
            prop_assert!(told || now.effects == old.effects, "{:?} {:?} became {:?}", p.key, old, now);
        }
    }

    #[test]
    fn masked_flows_are_equal_or_disjoint(seed: u64, all: bool, n in 1..60usize, options in options()) {
        let bench = random_bench(seed, n, options, all.then_some(Language::All));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        let mut flows: Vec<(FlowKey, flow::Mask)> = Vec::new();
        for _ in 0..60 {
            let p = packets.next_packet();
            let t = bench.translate(p.in_port, &p.key);
            let mut key = p.key;
            key.in_port = common::dp(p.in_port).0.into();
            let flow = (key.masked(&t.mask), t.mask);
            for (other, mask) in &flows {
                let meet = flow.0.masked(mask) == other.masked(&flow.1);
                prop_assert!(!meet || (*other, *mask) == flow, "{:?} meets {:?}", flow, (other, mask));
            }
            flows.push(flow);
        }
    }

    #[test]
    fn rules_count_what_a_linear_reading_counts(seed: u64, modelled: bool, n in 1..80usize, options in options()) {
        let bench = random_bench(seed, n, options, modelled.then_some(Language::Modelled));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        let mut want: HashMap<u64, (u64, u64)> = HashMap::new();
        for at in 0..60 {
            let p = packets.next_packet();
            let bytes = p.frame.len() as u64;
            for cookie in bench.model.run(p.in_port, &p.key).hits.iter().filter_map(|h| h.1) {
                let count = want.entry(cookie).or_default();
                *count = (count.0 + 1, count.1 + bytes);
            }
            // Rules only: learning would change what the next packet does.
            let mut effects = bench.translate(p.in_port, &p.key).effects;
            effects.retain(|e| matches!(e, flow::dp::Effect::Rule(_)));
            bench.pipeline.replay(&effects, &Hits { packets: 1, bytes, used: Time(at) });
        }
        for rule in bench.pipeline.dump(bench.bridge, &Select::default()).unwrap() {
            let got = (rule.stats.packets, rule.stats.bytes);
            prop_assert_eq!(got, want.get(&rule.spec.cookie).copied().unwrap_or_default());
        }
    }
}

#[test]
fn generated_rules_use_the_whole_language() {
    let (mut packets_seen, mut back, mut learned, mut buckets, mut copies) = (0, 0, 0, 0, 0);
    for seed in 0..100 {
        let bench = random_bench(seed, 60, RuleOptions::default(), Some(Language::All));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        for _ in 0..50 {
            let p = packets.next_packet();
            let t = bench.translate(p.in_port, &p.key);
            let mut ids = Vec::new();
            returns(&t.actions, &mut ids);
            packets_seen += 1;
            back += usize::from(!ids.is_empty());
            learned += usize::from(t.effects.iter().any(|e| matches!(e, Effect::Learn(_))));
            buckets += usize::from(t.effects.iter().any(|e| matches!(e, Effect::Bucket { .. })));
            copies += usize::from(t.actions.iter().any(|a| matches!(a, DpAction::Clone(_))));
        }
    }
    println!("{packets_seen} packets: {back} come back, {learned} learn, {buckets} meet buckets, {copies} are copied");
    let least = [(back, 8), (learned, 4), (buckets, 8)];
    assert!(copies > 0);
    assert!(least.iter().all(|(n, percent)| n * 100 >= packets_seen * percent), "{least:?} of {packets_seen}");
}

#[test]
fn generated_packets_are_worth_testing_with() {
    let (mut packets_seen, mut hit, mut sent) = (0, 0, 0);
    for seed in 0..100 {
        let bench = random_bench(seed, 60, RuleOptions::default(), Some(Language::Modelled));
        let mut packets = PacketGen::new(seed, &bench.model.rules, &PORTS);
        for _ in 0..50 {
            let p = packets.next_packet();
            let outcome = bench.model.run(p.in_port, &p.key);
            packets_seen += 1;
            hit += usize::from(matches!(outcome.hits[0], (0, Some(cookie)) if cookie != 0));
            sent += usize::from(!outcome.sent.is_empty());
        }
    }
    println!("{packets_seen} packets, {hit} hit a rule of table 0 that is not the last, {sent} were forwarded");
    assert!(hit * 100 >= packets_seen * 75 && sent * 100 >= packets_seen * 50, "{packets_seen} {hit} {sent}");
}
