//! The hash of a subtable's words: a chain of folded multiplications.
//!
//! Each word costs one 64 by 64 bit multiplication, whose two halves are folded together (the step of wyhash and its
//! kin). A crate for hashing would do the same, but stages need the chain itself: the hash of the first stages is where that
//! of the next one starts. The start is secret and random, because `learn` makes rules of what packets say: nobody
//! outside can choose values that meet in one bucket.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Odd, with as many ones as zeros and no pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

static SECRET: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(FACTOR));

/// Where a chain starts. The same as long as the program runs.
pub(super) fn start() -> u64 {
    *SECRET
}

/// The chain with one more word.
#[inline]
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}
