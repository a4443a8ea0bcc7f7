//! The megaflow table finds what a linear scan finds.

use super::*;
use crate::arena::Arena;
use crate::flows::{Candidate, Registry, index_of};
use crate::hash::Seed;
use crate::table::FlowTable;
use proptest::prelude::*;

/// A mask over a few fields, and a key of few values, so that flows overlap in masks and keys.
fn arb_mask() -> impl Strategy<Value = Mask> {
    (0u8..64).prop_map(|bits| {
        let mut mask = Mask::ANY;
        let fields = [
            flow::FieldId::EthSrc,
            flow::FieldId::EthDst,
            flow::FieldId::Ipv4Src,
            flow::FieldId::Ipv4Dst,
            flow::FieldId::UdpDst,
            flow::FieldId::IpTtl,
        ];
        for (i, field) in fields.into_iter().enumerate() {
            if bits & 1 << i != 0 {
                mask.require(field);
            }
        }
        mask
    })
}

fn arb_key() -> impl Strategy<Value = FlowKey> {
    (0u32..3, prop::array::uniform6(0u32..3)).prop_map(|(port, v)| {
        let mut key = FlowKey::ZERO;
        key.in_port = port.into();
        key.eth_src = [0, 0, 0, 0, 0, v[0] as u8];
        key.eth_dst = [0, 0, 0, 0, 0, v[1] as u8];
        key.ipv4_src = v[2].into();
        key.ipv4_dst = v[3].into();
        key.tp_dst = (v[4] as u16).into();
        key.nw_ttl = v[5] as u8;
        key
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lookup_finds_a_flow_exactly_when_a_scan_does(
        steps in prop::collection::vec((arb_key(), arb_mask(), 0u8..8), 1..80),
        probes in prop::collection::vec(arb_key(), 1..40),
    ) {
        let seed = Seed::random();
        let mut registry = Registry::new(seed, 1000, false);
        let arena = Arc::new(Arena::new());
        let mut table = FlowTable::new(seed, Arc::clone(&arena));
        let mut live = Vec::new();
        for (key, mask, what) in steps {
            if what == 0 && !live.is_empty() {
                // Removed everywhere.
                let mark: u32 = live.swap_remove(0);
                let index = index_of(mark) as u32;
                prop_assert!(registry.remove(index).is_some());
                prop_assert!(registry.remove(index).is_none());
                table.remove(mark);
                registry.release(mark);
            } else if what == 1 && !live.is_empty() {
                // Removed, but the worker has not heard of it.
                registry.remove(index_of(live.swap_remove(0)) as u32);
            } else {
                let translation = Translation {
                    mask,
                    actions: [out(1)].into_iter().collect(),
                    // Some of a table, some of addresses of their own.
                    deps: [TABLE, Dep::Fdb(BridgeId(1), 0, key.eth_dst)].into_iter().take(1 + usize::from(what & 1)).collect(),
                    written: None,
                    effects: Default::default(),
                    cacheable: Cacheable::Yes,
                };
                let first = Hits::default();
                let mask = crate::flows::flow_mask(&translation);
                let key = key.masked(&mask);
                let candidate =
                    Candidate { key: &key, mask: &mask, translation: &translation, epoch: 0, first, arena: &arena, next: None };
                let granted = registry.install(&candidate).unwrap();
                if granted.new {
                    prop_assert!(table.insert(granted.mark, &key, &mask, &granted.program));
                    live.push(granted.mark);
                }
            }
        }
        let mut all = Vec::new();
        for class in registry.all_classes() {
            registry.pick(class, 0, usize::MAX, &crate::flows::Filter::All, &mut all);
        }
        all.sort_unstable();
        let mut want: Vec<u32> = live.iter().map(|mark| index_of(*mark) as u32).collect();
        want.sort_unstable();
        prop_assert_eq!(all, want, "each flow has one row");
        let flows: Vec<_> = registry.show(0, 2000).0.into_iter().map(|shown| shown.flow).collect();
        prop_assert_eq!(registry.live(), live.len());
        for key in probes {
            let scan: Vec<u32> =
                flows.iter().filter(|f| f.mask.matches(&key, &f.key)).map(|f| index_of(f.mark.0) as u32).collect();
            match table.lookup(&key).0 {
                Some(number) => prop_assert!(scan.contains(&number)),
                None => prop_assert!(scan.is_empty(), "{:?}", scan),
            }
        }
        for flow in &flows {
            let (mark, port) = (flow.mark.0, flow.in_port());
            prop_assert_eq!(table.by_mark(mark, port), Some(index_of(mark) as u32));
            prop_assert!(table.by_mark(mark ^ 1 << 18, port).is_none());
            prop_assert!(table.by_mark(mark, DpPort(port.0 + 1)).is_none());
        }
        // Taking all out leaves nothing behind.
        for mark in live {
            registry.remove(index_of(mark) as u32);
            table.remove(mark);
        }
        prop_assert_eq!(registry.shared_parts(), [0; 4]);
        prop_assert!(table.lookup(&FlowKey::ZERO).0.is_none());
        prop_assert_eq!(registry.live(), 0);
    }
}

#[test]
fn a_translation_of_the_state_before_a_change_is_not_installed() {
    let mut registry = Registry::new(Seed::random(), 10, false);
    let key = FlowKey::ZERO;
    let translation = |dep: Dep| Translation {
        mask: Mask::ANY,
        actions: [out(1)].into_iter().collect(),
        deps: [dep].into_iter().collect(),
        written: None,
        effects: Default::default(),
        cacheable: Cacheable::Yes,
    };
    let install = |registry: &mut Registry, dep, epoch, port: u32| {
        let mut key = key;
        key.in_port = port.into();
        let translation = translation(dep);
        let mask = crate::flows::flow_mask(&translation);
        let (first, arena) = (Hits::default(), Arc::new(Arena::new()));
        registry
            .install(&Candidate {
                key: &key,
                mask: &mask,
                translation: &translation,
                epoch,
                first,
                arena: &arena,
                next: None,
            })
            .map(|g| g.new)
    };
    let other = Dep::Ports(BridgeId(9));
    assert_eq!(registry.note_changes(&[TABLE.into()]), 1);
    assert_eq!(install(&mut registry, TABLE, 0, 1), Err(crate::flows::Refusal::Stale));
    assert_eq!(install(&mut registry, other, 0, 2), Ok(true));
    assert_eq!(install(&mut registry, TABLE, 1, 1), Ok(true));
    for _ in 0..100 {
        registry.note_changes(&[other.into()]);
    }
    // Too long ago to know.
    assert_eq!(install(&mut registry, TABLE, 1, 3), Err(crate::flows::Refusal::Stale));
    let changes = [TABLE.into()];
    let sieve = crate::flows::Sieve::new(&changes);
    assert_eq!(registry.concerned(&sieve).0.len(), 1, "one class");
}
