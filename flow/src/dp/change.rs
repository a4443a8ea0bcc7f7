//! What the slow path tells of its changes, and which packets a change can concern.

use super::Dep;
use crate::key::{FlowKey, Mask};
use std::sync::Arc;

/// Something that translations depended on has changed, for all packets or for some.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub dep: Dep,
    /// The packets for which an answer may have changed; `None`: any.
    ///
    /// It speaks of the packet at the time when what is named by `dep` was asked about it. Bits that the translation had
    /// overwritten by then ([`super::Translation::written`]) say nothing about the packet as it came.
    pub scope: Option<Arc<Scope>>,
}

impl From<Dep> for Change {
    fn from(dep: Dep) -> Change {
        Change { dep, scope: None }
    }
}

/// Some bits of one word of a key, and what they have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeWord {
    /// Which word of [`FlowKey::words`].
    pub at: u8,
    /// Never zero.
    pub bits: u64,
    /// Zero outside of `bits`.
    pub value: u64,
}

/// A set of packets: those whose keys have certain values in certain bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope(Box<[ScopeWord]>);

impl Scope {
    /// The packets with the values of `key` in the bits of `mask`; `None` when that is every packet.
    #[must_use]
    pub fn new(key: &FlowKey, mask: &Mask) -> Option<Scope> {
        let parts = (0u8..).zip(key.words().iter().zip(mask.0.words()));
        let words: Box<[ScopeWord]> = parts
            .map(|(at, (value, bits))| (at, u64::from_ne_bytes(*value), u64::from_ne_bytes(*bits)))
            .filter(|(.., bits)| *bits != 0)
            .map(|(at, value, bits)| ScopeWord { at, bits, value: value & bits })
            .collect();
        (!words.is_empty()).then_some(Scope(words))
    }

    /// The words that matter, in the order of the key; at least one.
    #[must_use]
    pub fn words(&self) -> &[ScopeWord] {
        &self.0
    }

    /// Whether a packet of the flow with this key and mask can be in it. `written`: bits that do not count.
    #[must_use]
    pub fn meets(&self, key: &FlowKey, mask: &Mask, written: Option<&Mask>) -> bool {
        let word = |key: &FlowKey, at: u8| u64::from_ne_bytes(key.words()[usize::from(at)]);
        self.0.iter().all(|w| {
            let known = w.bits & word(&mask.0, w.at) & !written.map_or(0, |m| word(&m.0, w.at));
            (word(key, w.at) ^ w.value) & known == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldId;
    use crate::value::Value;

    #[test]
    fn a_scope_meets_flows_that_share_a_packet_with_it() {
        let mut wanted = FlowKey::ZERO;
        wanted.set(FieldId::Ipv4Dst, Value(0x0a00_0001));
        let mut bits = Mask::ANY;
        assert_eq!(Scope::new(&wanted, &bits), None);
        bits.require_bits(FieldId::Ipv4Dst.def(), Value(0xffff_ff00));
        let scope = Scope::new(&wanted, &bits).unwrap();
        assert_eq!(scope.words().len(), 1);

        let mut mask = Mask::ANY;
        let mut key = FlowKey::ZERO;
        key.set(FieldId::Ipv4Dst, Value(0x0a00_0207));
        assert!(scope.meets(&key, &mask, None), "nothing is known of the flow's packets");
        mask.require_bits(FieldId::Ipv4Dst.def(), Value(0xff));
        assert!(scope.meets(&key, &mask, None), "other bits are known");
        mask.require_bits(FieldId::Ipv4Dst.def(), Value(0xff00));
        assert!(!scope.meets(&key, &mask, None));
        let mut written = Mask::ANY;
        written.require(FieldId::Ipv4Dst);
        assert!(scope.meets(&key, &mask, Some(&written)), "what was asked about was another address");
        key.set(FieldId::Ipv4Dst, Value(0x0a00_0007));
        assert!(scope.meets(&key, &mask, None));
    }
}
