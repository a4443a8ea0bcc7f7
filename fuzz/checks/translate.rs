//! What must hold for any rules and any packet. Shared by the fuzz target and the replay of its findings. Panics when
//! something does not hold.

use flow::clock::VirtualClock;
use flow::dp::{DpAction, RecircId, Resume, Slowpath, Translation};
use flow::extract::{RxMeta, extract};
use flow::text::{NoPorts, parse_flow};
use flow::{DpPort, FlowKey, OfPort, VlanTag};
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange};
use std::sync::Arc;

/// Check everything: rules, one a line, up to a line of `--`, then the bytes of a packet.
pub fn check(data: &[u8]) {
    let end = data.windows(4).position(|w| w == b"\n--\n");
    let (rules, packet) = end.map_or((data, &[][..]), |at| (&data[..at], &data[at + 4..]));
    let Ok(rules) = std::str::from_utf8(rules) else { return };

    let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).expect("there is none yet");
    for n in 1..=4 {
        let spec = PortSpec { number: Some(OfPort(n)), ..PortSpec::new(format!("p{n}"), DpPort(u32::from(n))) };
        pipeline.add_port(bridge, spec).expect("its number is free");
    }
    for line in rules.lines().take(64) {
        if let Ok(rule) = parse_flow(line, &NoPorts) {
            // Refusals are answers too.
            if let Err(refusal) = pipeline.apply(&[RuleChange::Add { bridge, rule }]) {
                assert!(!refusal.to_string().is_empty());
            }
        }
    }

    let key = extract(packet, packet.len(), &RxMeta::from_port(DpPort(1)));
    let mut at = Resume::default();
    for pass in 0..4 {
        let key = FlowKey { recirc_id: at.recirc_id.0.into(), dp_hash: pass.into(), ..key };
        let t = pipeline.translate(&at, &key);
        assert!(!t.actions.is_empty(), "a packet that goes nowhere says why");
        check_mask(&pipeline, &at, &key, &t);
        match t.actions.iter().find_map(returns) {
            Some(id) => at = Resume { recirc_id: id },
            None => break,
        }
    }
    let number = FlowKey { in_port: 1.into(), ..key };
    let trace = pipeline.trace(bridge, &number).expect("the bridge is there");
    assert!(trace.to_string().starts_with("Flow: "));
}

/// Packets that differ where the mask does not look have the same translation.
fn check_mask(pipeline: &Pipeline, at: &Resume, key: &FlowKey, t: &Translation) {
    for noise in [0x00u8, 0xff, 0x55, 0xaa, 0x01] {
        let mut other = *key;
        for (word, mask) in other.words_mut().iter_mut().zip(t.mask.0.words()) {
            for (byte, mask) in word.iter_mut().zip(mask) {
                *byte = *byte & mask | noise & !mask;
            }
        }
        // Only keys that a packet can have: tags that are there, nothing in the padding.
        if !other.vlans[0].is_present() {
            other.vlans = [VlanTag::default(); 2];
        } else if !other.vlans[1].is_present() {
            other.vlans[1] = VlanTag::default();
        }
        if other.masked(&t.mask) == key.masked(&t.mask) {
            assert_eq!(pipeline.translate(at, &other), *t, "{key:?} and {other:?}");
        }
    }
}

fn returns(action: &DpAction) -> Option<RecircId> {
    match action {
        DpAction::Recirc(id) => Some(*id),
        DpAction::Clone(list) => list.iter().find_map(returns),
        _ => None,
    }
}
