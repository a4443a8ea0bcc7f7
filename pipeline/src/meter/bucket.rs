//! A token bucket in one word: no lock, no division for a packet, no float.
//!
//! The word is the time at which the bucket will be full again (generic cell rate algorithm, ITU-T I.371): a packet moves it
//! on by the time that its tokens take to come back, and conforms while it stays within the bucket's depth of now. One
//! compare-and-swap a packet makes it exact for any number of threads: never more tokens go out than came in.

use flow::clock::Time;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Instants and spans are in units of 2^-10 nanoseconds, and wrap after 208 days. That much finer than the clock, so that
/// a packet's share of a fast meter is not lost in rounding.
const FRACTION: u32 = 10;

/// Costs have this many bits more.
const COST_FRACTION: u32 = 20;

const SECOND: u64 = 1_000_000_000 << FRACTION;

/// The deepest bucket: 26 days. Deeper ones would meet the wrap.
const DEEPEST: u64 = 1 << 61;

/// How far the clocks of two threads may be apart (18 minutes). A bucket that is full again later than its depth and this ahead
/// was last used before the wrap: it is full.
const SKEW: u64 = 1 << 50;

/// A token bucket. Starts full.
#[derive(Debug)]
pub(super) struct Bucket {
    /// When it will be full.
    full_at: AtomicU64,
    /// Time that one unit (a byte or a packet) takes to come back, in 2^-30 ns.
    cost: u64,
    /// Time that all of it takes to come back.
    depth: u64,
}

impl Bucket {
    /// A bucket into which `per_second` units come, and which holds what `burst` / `rate` seconds bring. None of them is 0.
    pub(super) fn new(per_second: u64, rate: u32, burst: u32, now: Time) -> Bucket {
        let cost = (u128::from(SECOND) << COST_FRACTION) / u128::from(per_second.max(1));
        let depth = u128::from(burst) * u128::from(SECOND) / u128::from(rate.max(1));
        Bucket {
            full_at: AtomicU64::new(instant(now)),
            cost: u64::try_from(cost).unwrap_or(u64::MAX),
            depth: u64::try_from(depth).unwrap_or(DEEPEST).min(DEEPEST),
        }
    }

    /// Take `units` out, if they are there. What is larger than the bucket never conforms.
    #[inline]
    pub(super) fn take(&self, now: Time, units: u32) -> bool {
        self.charge(now, units, |after| (after <= self.depth).then_some(after))
    }

    /// Take out as much of `units` as there is.
    #[inline]
    pub(super) fn drain(&self, now: Time, units: u32) {
        self.charge(now, units, |after| Some(after.min(self.depth)));
    }

    /// Add the cost of `units` to the time until it is full, as far as `limit` lets it.
    #[inline]
    fn charge(&self, now: Time, units: u32, limit: impl Fn(u64) -> Option<u64>) -> bool {
        let now = instant(now);
        let cost = (u128::from(self.cost) * u128::from(units)) >> COST_FRACTION;
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let ahead = full_at.wrapping_sub(now);
            let missing = if ahead <= self.depth + SKEW { ahead } else { 0 };
            let Some(after) = limit(missing.saturating_add(cost)) else { return false };
            // A thread whose clock is behind gives nothing back.
            let after = after.max(missing);
            match self.full_at.compare_exchange_weak(full_at, now.wrapping_add(after), Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => full_at = other,
            }
        }
    }
}

fn instant(time: Time) -> u64 {
    time.0 << FRACTION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ns(ns: u64) -> Time {
        Time(ns)
    }

    #[test]
    fn it_holds_its_burst_and_fills_at_its_rate() {
        // 1000 units a second, 100 deep.
        let bucket = Bucket::new(1000, 10, 1, at_ns(0));
        assert!(bucket.take(at_ns(0), 100));
        assert!(!bucket.take(at_ns(999_999), 1));
        assert!(bucket.take(at_ns(1_000_000), 1));
        assert!(!bucket.take(at_ns(1_000_000), 1));
        assert!(bucket.take(at_ns(51_000_000), 50));
        // Never more than its depth.
        assert!(!bucket.take(at_ns(10_000_000_000), 101));
        assert!(bucket.take(at_ns(10_000_000_000), 100));
        // Draining takes what there is, and no debt remains.
        bucket.drain(at_ns(10_010_000_000), 5000);
        assert!(!bucket.take(at_ns(10_010_000_000), 1));
        assert!(bucket.take(at_ns(10_011_000_000), 1));
    }

    #[test]
    fn a_thread_whose_clock_is_behind_gains_nothing() {
        let bucket = Bucket::new(1000, 10, 1, at_ns(0));
        assert!(bucket.take(at_ns(1_000_000_000), 100));
        assert!(!bucket.take(at_ns(999_000_000), 1));
        assert!(!bucket.take(at_ns(0), 1));
        assert!(bucket.take(at_ns(1_001_000_000), 1));
    }

    #[test]
    fn after_any_silence_it_is_full() {
        for days in [1u64, 60, 103, 104, 105, 150, 200, 207, 210, 365, 1000] {
            let bucket = Bucket::new(1000, 10, 1, at_ns(0));
            assert!(bucket.take(at_ns(0), 100));
            assert!(bucket.take(at_ns(days * 86_400_000_000_000), 100), "{days} days");
        }
    }

    #[test]
    fn extremes_neither_overflow_nor_drift() {
        // 4.3 Tbit/s and 0.1 ms of burst, offered 10 Tbit/s in frames of 64 bytes for 1 ms.
        let (rate, per_second) = (u32::MAX, u64::from(u32::MAX) * 125);
        let bucket = Bucket::new(per_second, rate, rate / 10_000, at_ns(0));
        let passed: u64 = (0..20_000_000).map(|i| u64::from(bucket.take(at_ns(i / 20), 64))).sum();
        let want = per_second / 1000 + per_second / 10_000;
        assert!((passed * 64).abs_diff(want) <= want / 100, "{} of {want} bytes", passed * 64);
        // 1 kbit/s and 1 packet/s with the largest burst.
        for per_second in [1, 125] {
            let bucket = Bucket::new(per_second, 1, u32::MAX, at_ns(0));
            assert!((0..1000).all(|_| bucket.take(at_ns(0), 1500)));
        }
    }
}
