//! A mask as the list of its words that are not zero: what matching and hashing touch.

use crate::hash::Seed;
use arrayvec::ArrayVec;
use flow::key::KEY_WORDS;
use flow::{FlowKey, Mask};

/// The words of a [`Mask`] that require anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompiledMask {
    words: ArrayVec<(u8, u64), KEY_WORDS>,
}

impl CompiledMask {
    pub(crate) fn new(mask: &Mask) -> CompiledMask {
        let words = mask.0.words().iter().map(|w| u64::from_ne_bytes(*w));
        CompiledMask { words: (0u8..).zip(words).filter(|(_, w)| *w != 0).collect() }
    }

    /// Hash of the required bits of a key.
    #[inline]
    pub(crate) fn hash(&self, seed: Seed, key: &FlowKey) -> u64 {
        let words = key.words();
        let masked = |&(i, mask): &(u8, u64)| u64::from_ne_bytes(words[usize::from(i)]) & mask;
        let mut hash = seed.start();
        let mut pairs = self.words.chunks_exact(2);
        for pair in &mut pairs {
            hash = seed.mix(hash, masked(&pair[0]), masked(&pair[1]));
        }
        for word in pairs.remainder() {
            hash = seed.mix(hash, masked(word), 0);
        }
        hash
    }

    /// Whether `key` equals `masked` in all required bits. `masked` has no other bits.
    #[inline]
    pub(crate) fn matches(&self, key: &FlowKey, masked: &FlowKey) -> bool {
        let (key, masked) = (key.words(), masked.words());
        self.words.iter().all(|&(i, mask)| {
            let i = usize::from(i);
            u64::from_ne_bytes(key[i]) & mask == u64::from_ne_bytes(masked[i])
        })
    }
}
