//! A mask as the list of its words that are not zero: what matching and hashing touch.

use crate::hash::Seed;
use flow::key::KEY_WORDS;
use flow::{FlowKey, Mask};

/// The words of a [`Mask`] that require anything, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompiledMask {
    len: usize,
    at: [u8; KEY_WORDS],
    bits: [u64; KEY_WORDS],
}

impl CompiledMask {
    pub(crate) fn new(mask: &Mask) -> CompiledMask {
        Self::of_words(mask, 0)
    }

    /// As [`CompiledMask::new`], without the words before `first`.
    pub(crate) fn of_words(mask: &Mask, first: usize) -> CompiledMask {
        let mut compiled = CompiledMask { len: 0, at: [0; KEY_WORDS], bits: [0; KEY_WORDS] };
        let words = mask.0.words().iter().map(|w| u64::from_ne_bytes(*w));
        for (at, bits) in (0u8..).zip(words).skip(first).filter(|(_, w)| *w != 0) {
            compiled.at[compiled.len] = at;
            compiled.bits[compiled.len] = bits;
            compiled.len += 1;
        }
        compiled
    }

    /// The masked words of a key that are required, in their order.
    #[inline(always)]
    pub(crate) fn words(&self, key: &FlowKey) -> impl Iterator<Item = u64> {
        let words = key.words();
        self.at.iter().zip(&self.bits).take(self.len).map(|(at, bits)| {
            // Always there; without a branch that could panic.
            words.get(usize::from(*at)).map_or(0, |w| u64::from_ne_bytes(*w) & bits)
        })
    }

    /// The place in the list of a word of the key.
    pub(crate) fn position(&self, word: usize) -> Option<usize> {
        self.at.iter().take(self.len).position(|at| usize::from(*at) == word)
    }

    /// How many words are required.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Hash of the required bits of a key: pairs of words are multiplied independently of each other, so that the
    /// multiplications overlap.
    #[inline(always)]
    pub(crate) fn hash(&self, seed: Seed, key: &FlowKey) -> u64 {
        seed.words(self.words(key))
    }

    /// Whether the required words of `key` are those that `want` gives by their place in the list.
    #[inline(always)]
    pub(crate) fn matches(&self, key: &FlowKey, want: impl Fn(usize) -> u64) -> bool {
        let mut differ = 0;
        for (i, word) in self.words(key).enumerate() {
            differ |= word ^ want(i);
        }
        differ == 0
    }
}
