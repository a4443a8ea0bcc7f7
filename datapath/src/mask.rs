//! A mask as the list of its words that are not zero: what matching and hashing touch.

use crate::hash::Seed;
use arrayvec::ArrayVec;
use flow::key::KEY_WORDS;
use flow::{FlowKey, Mask};

/// A word of the key, and the bits of it that are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    at: usize,
    bits: u64,
}

impl Word {
    /// What is required, of this key.
    #[inline(always)]
    fn of(self, key: &FlowKey) -> u64 {
        // Always there; without a branch that could panic.
        key.words().get(self.at).map_or(0, |word| u64::from_ne_bytes(*word) & self.bits)
    }
}

/// The words of a [`Mask`] that require anything, in their order. In place: another pointer would be another wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompiledMask(ArrayVec<Word, KEY_WORDS>);

impl CompiledMask {
    pub(crate) fn new(mask: &Mask) -> CompiledMask {
        Self::of_words(mask, 0)
    }

    /// As [`CompiledMask::new`], without the words before `first`.
    pub(crate) fn of_words(mask: &Mask, first: usize) -> CompiledMask {
        let words = mask.0.words().iter().enumerate().skip(first);
        let words = words.map(|(at, word)| Word { at, bits: u64::from_ne_bytes(*word) });
        CompiledMask(words.filter(|word| word.bits != 0).collect())
    }

    /// The masked words of a key that are required, in their order.
    #[inline(always)]
    pub(crate) fn words(&self, key: &FlowKey) -> impl Iterator<Item = u64> {
        self.0.iter().map(|word| word.of(key))
    }

    /// Which word of the key is in this place of the list.
    pub(crate) fn at(&self, place: usize) -> Option<usize> {
        self.0.get(place).map(|word| word.at)
    }

    /// The required bits of the word in this place of the list.
    pub(crate) fn bits(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, |word| word.bits)
    }

    /// Write the words of the list into a key.
    pub(crate) fn fill(&self, key: &mut FlowKey, words: &[u64]) {
        for (word, value) in self.0.iter().zip(words) {
            if let Some(place) = key.words_mut().get_mut(word.at) {
                *place = value.to_ne_bytes();
            }
        }
    }

    /// How many words are required.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place in the list of a word of the key.
    pub(crate) fn position(&self, word: usize) -> Option<usize> {
        self.0.iter().position(|w| w.at == word)
    }

    /// Hash of the required bits of a key: that of [`Seed::words`].
    #[inline(always)]
    pub(crate) fn hash(&self, seed: Seed, key: &FlowKey) -> u64 {
        let mut state = seed.begin();
        let mut pairs = self.0.chunks_exact(2);
        for pair in &mut pairs {
            state.add(pair[0].of(key), pair[1].of(key));
        }
        if let [last] = pairs.remainder() {
            state.add(last.of(key), 0);
        }
        state.end()
    }

    /// Whether the required words of `key` are those that `want` gives by their place in the list.
    #[inline(always)]
    pub(crate) fn matches(&self, key: &FlowKey, want: impl Iterator<Item = u64>) -> bool {
        let differ = self.0.iter().zip(want).fold(0, |differ, (word, want)| differ | (word.of(key) ^ want));
        differ == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::FieldId;

    #[test]
    fn hashing_at_once_and_word_by_word_is_the_same() {
        let seed = Seed::random();
        let mut mask = Mask::ANY;
        let mut key = FlowKey::ZERO;
        for (i, byte) in key.words_mut().as_flattened_mut().iter_mut().enumerate() {
            *byte = i as u8;
        }
        for field in [FieldId::InPort, FieldId::EthSrc, FieldId::Ipv4Dst, FieldId::TcpFlags, FieldId::NdTarget] {
            mask.require(field);
            let compiled = CompiledMask::new(&mask);
            assert_eq!(compiled.hash(seed, &key), seed.words(compiled.words(&key)));
            assert!(compiled.matches(&key, compiled.words(&key)));
            assert!(!compiled.matches(&key, compiled.words(&FlowKey::ZERO)));
            assert_eq!(compiled.position(0), Some(0));
        }
    }
}
