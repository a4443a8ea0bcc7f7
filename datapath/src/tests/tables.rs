//! The megaflow table finds what a linear scan finds.

use super::*;
use crate::arena::Arena;
use crate::flows::{Candidate, Registry, index_of};
use crate::hash::Seed;
use crate::program::Program;
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
        let mut registry = Registry::new(seed, 1000);
        let arena = Arc::new(Arena::new());
        let mut table = FlowTable::new(seed, Arc::clone(&arena));
        let mut live = Vec::new();
        for (key, mask, what) in steps {
            if what == 0 && !live.is_empty() {
                // Removed everywhere.
                let entry: Arc<crate::flows::FlowEntry> = live.swap_remove(0);
                prop_assert!(registry.remove(&entry));
                prop_assert!(!registry.remove(&entry));
                entry.kill();
                table.remove(entry.flow.mark.0);
                registry.release(entry.flow.mark);
            } else if what == 1 && !live.is_empty() {
                // Removed, but the worker has not heard of it.
                let entry = live.swap_remove(0);
                registry.remove(&entry);
                entry.kill();
            } else {
                let translation = Translation {
                    mask,
                    actions: [out(1)].into_iter().collect(),
                    deps: DepSet::new(),
                    written: None,
                    effects: Default::default(),
                    cacheable: Cacheable::Yes,
                };
                let program = Arc::new(Program::new(&translation.actions));
                let first = Hits::default();
                let candidate =
                    Candidate { key: &key, translation: &translation, program, epoch: 0, first, arena: &arena };
                let granted = registry.install(candidate).unwrap();
                if granted.new {
                    let flow = &granted.entry.flow;
                    prop_assert!(table.insert(flow.mark.0, &flow.key, &flow.mask, &granted.entry.program));
                    live.push(granted.entry);
                }
            }
        }
        prop_assert_eq!(registry.live(), live.len());
        for key in probes {
            let scan: Vec<u32> =
                live.iter().filter(|e| e.flow.mask.matches(&key, &e.flow.key)).map(|e| index_of(e.flow.mark.0) as u32).collect();
            match table.lookup(&key).0 {
                Some(number) => prop_assert!(scan.contains(&number)),
                None => prop_assert!(scan.is_empty(), "{:?}", scan),
            }
        }
        for entry in &live {
            let (mark, port) = (entry.flow.mark.0, entry.flow.in_port());
            prop_assert_eq!(table.by_mark(mark, port), Some(index_of(mark) as u32));
            prop_assert!(table.by_mark(mark ^ 1 << 18, port).is_none());
            prop_assert!(table.by_mark(mark, DpPort(port.0 + 1)).is_none());
        }
        // Taking all out leaves nothing behind.
        for entry in live {
            registry.remove(&entry);
            entry.kill();
            table.remove(entry.flow.mark.0);
        }
        prop_assert_eq!(registry.note_changes(&[TABLE.into()]).1.len(), 0);
        prop_assert!(table.lookup(&FlowKey::ZERO).0.is_none());
        prop_assert_eq!(registry.live(), 0);
    }
}

#[test]
fn a_translation_of_the_state_before_a_change_is_not_installed() {
    let mut registry = Registry::new(Seed::random(), 10);
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
        let program = Arc::new(Program::new(&translation.actions));
        let (first, arena) = (Hits::default(), Arc::new(Arena::new()));
        registry
            .install(Candidate { key: &key, translation: &translation, program, epoch, first, arena: &arena })
            .map(|g| g.new)
    };
    let other = Dep::Ports(BridgeId(9));
    assert_eq!(registry.note_changes(&[TABLE.into()]).0, 1);
    assert_eq!(install(&mut registry, TABLE, 0, 1), Err(crate::flows::Refusal::Stale));
    assert_eq!(install(&mut registry, other, 0, 2), Ok(true));
    assert_eq!(install(&mut registry, TABLE, 1, 1), Ok(true));
    for _ in 0..100 {
        registry.note_changes(&[other.into()]);
    }
    // Too long ago to know.
    assert_eq!(install(&mut registry, TABLE, 1, 3), Err(crate::flows::Refusal::Stale));
    assert_eq!(registry.note_changes(&[TABLE.into()]).1.len(), 1);
}
