//! The random numbers of a worker: cheap, and the same in every run.

/// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of this worker.
    pub(crate) fn new(worker: u32) -> Random {
        Random(u64::from(worker) << 32)
    }

    /// `true` about `probability` / 2^32 times; always for the largest.
    pub(crate) fn is_within(&mut self, probability: u32) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = ((z ^ z >> 31) >> 32) as u32;
        number < probability || probability == u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_was_asked_for() {
        for worker in 0..3 {
            for (probability, want) in [(0, 0), (u32::MAX / 100, 1000), (1 << 31, 50_000), (u32::MAX, 100_000)] {
                let mut random = Random::new(worker);
                let got = (0..100_000).filter(|_| random.is_within(probability)).count();
                assert!(got.abs_diff(want) <= want / 20, "{got} of {want}");
            }
        }
        let row = |worker| (0..64).map(|_| Random::new(worker).is_within(1 << 31)).collect::<Vec<_>>();
        assert_eq!(row(1), row(1));
    }
}
