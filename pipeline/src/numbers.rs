//! Hashing of numbers that this process has given out: nobody outside can choose them to collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such numbers.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Odd, with as many ones as zeros and no pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// One multiplication a number; consecutive ones come far apart in the high bits and the low ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        let product = u128::from(self.0 ^ n) * u128::from(FACTOR);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn numbers_in_a_row_fill_places_evenly() {
        let build = BuildHasherDefault::<NumberHasher>::default();
        for step in [1u64, 64, 4096] {
            let (mut low, mut high) = ([0u32; 256], [0u32; 128]);
            for n in 0..4096 {
                let hash = build.hash_one(n * step);
                low[hash as usize % 256] += 1;
                high[(hash >> 57) as usize] += 1;
            }
            assert!(low.iter().all(|n| (4..=40).contains(n)), "{step}: {low:?}");
            assert!(high.iter().all(|n| (12..=60).contains(n)), "{step}: {high:?}");
        }
    }
}
