//! Hashing of key words: multiply and fold, two words a step, seeded against crafted collisions.

use flow::FlowKey;
use std::hash::{BuildHasher, RandomState};

/// Odd numbers whose bits look random: the golden ratio's, and that of the square root of 3. Seeds of the two factors of a
/// product must not be shifts of each other: bits at that distance would cancel out.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER_STEP: u64 = 0xbb67_ae85_84ca_a73b;

/// The seed of a datapath's hashes; different in each process, so that nobody can prepare packets that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64, u64);

impl Seed {
    pub(crate) fn random() -> Seed {
        let state = RandomState::new();
        Seed(state.hash_one(1u8) | 1, state.hash_one(2u8))
    }

    /// The seed of hashes that are to differ from others of the same words.
    pub(crate) fn apart(self, n: u32) -> Seed {
        Seed(self.0, self.1 ^ u64::from(n).wrapping_mul(STEP))
    }

    /// Mix one or two words into a hash.
    #[inline(always)]
    pub(crate) fn mix(self, hash: u64, a: u64, b: u64) -> u64 {
        fold(a ^ self.0, b ^ hash)
    }

    /// The hash of a few words.
    #[inline(always)]
    pub(crate) fn words(self, mut words: impl Iterator<Item = u64>) -> u64 {
        let mut state = self.begin();
        while let Some(a) = words.next() {
            state.add(a, words.next().unwrap_or(0));
        }
        state.end()
    }

    #[inline(always)]
    pub(crate) fn begin(self) -> State {
        State { seed: self.0, other: self.1, hash: 0 }
    }

    /// A number to mix the `i`-th word with. Words next to each other are to be multiplied.
    pub(crate) fn salt(self, i: usize) -> u64 {
        let (seed, step) = if i & 1 == 0 { (self.0, STEP) } else { (self.1, OTHER_STEP) };
        seed.wrapping_add(step.wrapping_mul(i as u64 + 1))
    }

    /// The hash of all words of a key.
    pub(crate) fn key(self, key: &FlowKey) -> u64 {
        self.words(key.words().iter().map(|w| u64::from_ne_bytes(*w)))
    }
}

/// A hash under way. Pairs of words are multiplied independently of each other, each with seeds of its own, so that the
/// multiplications overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    seed: u64,
    other: u64,
    hash: u64,
}

impl State {
    #[inline(always)]
    pub(crate) fn add(&mut self, a: u64, b: u64) {
        self.seed = self.seed.wrapping_add(STEP);
        self.other = self.other.wrapping_add(OTHER_STEP);
        self.hash = self.hash.wrapping_add(fold(a ^ self.seed, b ^ self.other));
    }

    #[inline(always)]
    pub(crate) fn end(self) -> u64 {
        finish(self.hash)
    }
}

/// The hash that a sum of products comes to.
#[inline(always)]
pub(crate) fn finish(sum: u64) -> u64 {
    fold(sum, STEP)
}

/// Both halves of the product, folded.
#[inline(always)]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_one_bit_hash_apart() {
        for _ in 0..200 {
            let seed = Seed::random();
            let mut seen = std::collections::HashMap::new();
            for word in 0..flow::key::KEY_WORDS {
                for bit in 0..64 {
                    let mut key = FlowKey::ZERO;
                    key.words_mut()[word] = (1u64 << bit).to_ne_bytes();
                    let before = seen.insert(seed.key(&key), (word, bit));
                    assert_eq!(before, None, "and word {word} bit {bit}, seed {seed:?}");
                }
            }
        }
    }

    #[test]
    fn words_that_differ_in_a_few_low_bits_spread_over_sets_and_signatures() {
        let seed = Seed::random();
        let mut sets = vec![0u32; 1 << 10];
        for n in 0..1u64 << 14 {
            sets[seed.words([7, n & 0x7f | (n & !0x7f) << 25].into_iter()) as usize & 0x3ff] += 1;
        }
        // 16 on average.
        assert!(sets.iter().all(|n| *n < 48), "{:?}", sets.iter().max());
    }
}
