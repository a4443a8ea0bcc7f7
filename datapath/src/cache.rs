//! The signature cache: from the hash of what flows look at to a flow, in front of the megaflow table.
//!
//! A line of 64 bytes holds 16 entries of 32 bits: 12 bits of the hash and the flow's number. Whoever looks up verifies by the
//! flow's own mask: any live flow that matches is right, since live flows that overlap do the same. So an entry that a wrong
//! packet or a later flow of the same number comes to finds nothing, and no entry needs to be cleaned up.
//!
//! What is hashed is not the whole key but the bits that any flow of the port looks at: packets that differ elsewhere share an
//! entry.

use wide::{i8x16, i16x8, u32x4};

/// Entries of a line.
const WAYS: usize = 16;
/// Bits of the flow's number.
const NUMBER_BITS: u32 = 20;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u32; WAYS]);

/// A fixed-size cache of one PMD.
#[derive(Debug)]
pub(crate) struct FlowCache {
    lines: Box<[Line]>,
    /// The entry of a full line to be overwritten next.
    victim: usize,
    /// Entries in use.
    used: usize,
}

impl FlowCache {
    /// A cache of at least `entries` entries; 0 makes the smallest one.
    pub(crate) fn new(entries: usize) -> FlowCache {
        let lines = (entries / WAYS).max(1).next_power_of_two();
        FlowCache { lines: vec![Line([0; WAYS]); lines].into_boxed_slice(), victim: 0, used: 0 }
    }

    #[inline(always)]
    fn line_of(&self, hash: u64) -> usize {
        hash as usize & (self.lines.len() - 1)
    }

    /// The signature, in its place in an entry.
    #[inline(always)]
    fn signature(hash: u64) -> u32 {
        (hash >> 32) as u32 & !NUMBER
    }

    /// Tell the CPU that this hash will be looked up.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(line) = self.lines.get(self.line_of(hash)) {
            dpdk::prefetch(line);
        }
    }

    /// The numbers of flows that were remembered under this hash, as a set of places of its line: to be verified, mostly
    /// one, and taken with [`Candidates::next`].
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Candidates<'_> {
        match self.lines.get(self.line_of(hash)) {
            Some(line) => Candidates { line, places: equal_signatures(&line.0, Self::signature(hash)) },
            None => Candidates { line: &EMPTY, places: 0 },
        }
    }

    /// Remember a flow under this hash. An entry of the same signature stays if `is_live` says that its flow is: it is another
    /// packet's. Whether an entry of another hash was pushed out of a full line.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, number: u32, is_live: impl Fn(u32) -> bool) -> bool {
        let signature = Self::signature(hash);
        let at = self.line_of(hash);
        let Some(Line(line)) = self.lines.get_mut(at) else { return false };
        let of_no_use = |e: &u32| {
            let known = *e & NUMBER;
            known == 0 || *e & !NUMBER == signature && (known == number || !is_live(known))
        };
        let room = line.iter().position(of_no_use);
        let place = room.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % WAYS;
            self.victim
        });
        let entry = &mut line[place % WAYS];
        self.used += usize::from(*entry & NUMBER == 0);
        *entry = signature | number & NUMBER;
        room.is_none()
    }

    /// Number of entries that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.lines.len() * WAYS
    }

    /// Number of entries in use, those of gone flows included.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

static EMPTY: Line = Line([0; WAYS]);

/// Flows to be verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'a> {
    line: &'a Line,
    places: u32,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        while self.places != 0 {
            let place = self.places.trailing_zeros() as usize;
            self.places &= self.places - 1;
            let number = self.line.0[place % WAYS] & NUMBER;
            if number != 0 {
                return Some(number);
            }
        }
        None
    }
}

/// A bit for each entry with this signature.
#[inline(always)]
fn equal_signatures(line: &[u32; WAYS], signature: u32) -> u32 {
    let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = line;
    let signature = u32x4::splat(signature);
    let mask = u32x4::splat(!NUMBER);
    // All ones or zero, which stay so in a half and in a quarter of the bits.
    let equal = |four: [u32; 4]| (u32x4::new(four) & mask).simd_eq(signature);
    let eight = |low, high| i16x8::from_i32x8_saturate(bytemuck::must_cast([equal(low), equal(high)]));
    let (low, high) = (eight([a, b, c, d], [e, f, g, h]), eight([i, j, k, l], [m, n, o, p]));
    i8x16::from_i16x16_saturate(bytemuck::must_cast([low, high])).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(line: &[u32; WAYS], signature: u32) -> u32 {
        line.iter().enumerate().map(|(i, entry)| u32::from(entry & !NUMBER == signature) << i).sum()
    }

    #[test]
    fn as_many_as_a_line_holds_stay_and_the_newest_always() {
        let mut cache = FlowCache::new(16);
        let hash = |i: u64| (i + 1) << 52;
        for i in 0..16 {
            cache.insert(hash(i), i as u32 + 100, |_| true);
        }
        for i in 0..16 {
            assert_eq!(cache.find(hash(i)).collect::<Vec<_>>(), [i as u32 + 100]);
        }
        assert_eq!(cache.find(hash(77)).next(), None);
        for i in 16..64 {
            cache.insert(hash(i), i as u32 + 100, |_| true);
            assert_eq!(cache.find(hash(i)).next(), Some(i as u32 + 100));
        }
        assert_eq!(cache.find(hash(0)).next(), None);
        let all = |cache: &FlowCache| cache.find(hash(63)).collect::<Vec<_>>();
        cache.insert(hash(63), 163, |_| true);
        assert_eq!(all(&cache), [163], "once");
        cache.insert(hash(63), 7, |number| number != 163);
        assert_eq!(all(&cache), [7], "in place of a flow that is gone");
        cache.insert(hash(63), 8, |_| true);
        let mut both = all(&cache);
        both.sort_unstable();
        assert_eq!(both, [7, 8], "beside another packet's");
        assert_eq!((cache.used(), cache.capacity()), (16, 16));
        assert!(cache.insert(hash(99), 5, |_| true), "pushed another out");
        assert!(!FlowCache::new(16).insert(hash(99), 5, |_| true), "there was room");
        assert_eq!(FlowCache::new(0).find(0).next(), None);
    }

    proptest! {
        #[test]
        fn comparing_many_at_once_finds_what_comparing_one_by_one_does(line: [u32; WAYS], pick in 0usize..20, other: u32) {
            let signature = line.get(pick).copied().unwrap_or(other) & !NUMBER;
            prop_assert_eq!(equal_signatures(&line, signature), one_by_one(&line, signature));
        }
    }
}
