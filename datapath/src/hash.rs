//! Hashing of key words: multiply and fold, two words a step, seeded against crafted collisions.

use flow::FlowKey;
use std::hash::{BuildHasher, RandomState};
use std::mem::offset_of;

/// The first word of those that no packet has as it is received: tunnel and connection, behind what is in its bytes.
pub(crate) const RARE: usize = offset_of!(FlowKey, tun_src) / 8;

/// The seed of a datapath's hashes; different in each process, so that nobody can prepare packets that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64, u64);

impl Seed {
    pub(crate) fn random() -> Seed {
        let state = RandomState::new();
        Seed(state.hash_one(1u8) | 1, state.hash_one(2u8))
    }

    /// Mix one or two words into a hash.
    #[inline(always)]
    pub(crate) fn mix(self, hash: u64, a: u64, b: u64) -> u64 {
        let product = u128::from(a ^ self.0) * u128::from(b ^ hash);
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// Where hashing starts.
    #[inline(always)]
    pub(crate) fn start(self) -> u64 {
        self.1
    }

    /// The hash of a packet's key. What only tunnels and tracked connections have counts when the packet has been through
    /// something already: of others it is zero.
    ///
    /// Pairs of words are multiplied independently of each other, each with a seed of its own, so that the multiplications
    /// of a key overlap.
    #[inline]
    pub(crate) fn packet(self, key: &FlowKey) -> u64 {
        let words = key.words();
        let again = key.recirc_id.get() != 0 || key.tun_dst.get() != 0;
        let (usual, rare) = words.split_at(RARE);
        let mut hash = self.pairs(self.0, usual);
        if again {
            hash ^= self.pairs(self.1, rare);
        }
        self.mix(self.start(), hash, 0)
    }

    #[inline(always)]
    fn pairs(self, mut seed: u64, words: &[[u8; 8]]) -> u64 {
        let mut hash = 0u64;
        for pair in words.chunks(2) {
            let a = u64::from_ne_bytes(pair[0]);
            let b = pair.get(1).map_or(0, |word| u64::from_ne_bytes(*word));
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let product = u128::from(a ^ seed) * u128::from(b ^ seed.rotate_left(32));
            hash = hash.wrapping_add((product as u64) ^ ((product >> 64) as u64));
        }
        hash
    }

    /// The hash of all words of a key.
    pub(crate) fn key(self, key: &FlowKey) -> u64 {
        let mut hash = self.start();
        let mut pairs = key.words().chunks_exact(2);
        for pair in &mut pairs {
            hash = self.mix(hash, u64::from_ne_bytes(pair[0]), u64::from_ne_bytes(pair[1]));
        }
        for word in pairs.remainder() {
            hash = self.mix(hash, u64::from_ne_bytes(*word), 0);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_one_bit_hash_apart() {
        let seed = Seed::random();
        let mut seen = std::collections::HashSet::new();
        for word in 0..flow::key::KEY_WORDS {
            for bit in 0..64 {
                let mut key = FlowKey::ZERO;
                key.words_mut()[word] = (1u64 << bit).to_ne_bytes();
                assert!(seen.insert(seed.key(&key)), "word {word} bit {bit}");
                key.recirc_id = (key.recirc_id.get() ^ 1).into();
                assert!(seen.insert(seed.packet(&key)) || word == 0, "word {word} bit {bit}");
            }
        }
    }
}
