//! Whatever is cached, a packet gets what a fresh translation gives.

use super::*;
use flow::extract::{RxMeta, extract};
use flow::{FieldId, Value};
use proptest::prelude::*;

fn arb_rule() -> impl Strategy<Value = (u8, [u8; 4], u32)> {
    (any::<u8>(), prop::array::uniform4(0u8..3), 1u32..4)
}

fn rule(id: u64, (bits, v, port): (u8, [u8; 4], u32)) -> Rule {
    let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
    let mut want = |field: FieldId, value: u128, ones: u128| {
        mask.require_bits(field.def(), Value(ones));
        key.set(field, Value(key.get(field).unwrap().0 | value & ones));
    };
    if bits & 1 != 0 {
        want(FieldId::Ipv4Src, 0x0a00_0000 | u128::from(v[0]), if bits & 2 != 0 { 0xffff_ffff } else { 0xff00_0001 });
    }
    if bits & 4 != 0 {
        want(FieldId::Ipv4Dst, 0x0a00_0000 | u128::from(v[1]), if bits & 8 != 0 { 0xffff_ffff } else { 0xffff_fffe });
    }
    if bits & 16 != 0 {
        want(FieldId::UdpDst, u128::from(v[2]), if bits & 32 != 0 { 0xffff } else { 0xfff1 });
    }
    if bits & 64 != 0 {
        want(FieldId::InPort, u128::from(v[3]) % 3 + 1, 0xffff_ffff);
    }
    Rule { id, mask, key, actions: vec![out(port)] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_get_what_a_fresh_translation_gives(
        rounds in prop::collection::vec(
            (prop::collection::vec(arb_rule(), 0..8),
             prop::collection::vec((1u32..4, 0u8..3, 0u8..3, 0u16..3), 1..80)),
            1..5),
    ) {
        static RIG: Mutex<Option<(Rig, u64)>> = Mutex::new(None);
        let mut guard = RIG.lock();
        let (rig, serial) =
            guard.get_or_insert_with(|| (Rig::new(3, Config { cache_entries: 16, ..Config::default() }), 0));
        for (rules, packets) in rounds {
            let rules: Vec<Rule> = rules.into_iter().map(|r| { *serial += 1; rule(*serial, r) }).collect();
            rig.slowpath.set_rules(rules.clone());
            rig.run();
            let mut want: [Vec<Vec<u8>>; 3] = Default::default();
            let mut counted: HashMap<Effect, u64> = HashMap::new();
            rig.slowpath.replayed.lock().clear();
            for (port, src, dst, tp) in packets {
                let bytes = frame(src, dst, tp, 4);
                let key = extract(&bytes, bytes.len(), &RxMeta::from_port(DpPort(port)));
                let fresh = rig.slowpath.translate(&Resume::default(), &key);
                *counted.entry(fresh.effects[0].clone()).or_default() += 1;
                if let DpAction::Output(to) = fresh.actions[0] {
                    want[to.0 as usize - 1].push(bytes.clone());
                }
                rig.inject(port, &bytes);
                rig.clock.advance(SHORT);
            }
            while rig.poll() > 0 {}
            for (i, mut want) in want.into_iter().enumerate() {
                // Between input ports order is free.
                let mut got = rig.collect(i as u32 + 1);
                got.sort();
                want.sort();
                prop_assert_eq!(got, want);
            }
            rig.run();
            for (effect, packets) in counted {
                prop_assert_eq!(rig.slowpath.packets(effect), packets, "each packet's effects exactly once");
            }
        }
    }
}
