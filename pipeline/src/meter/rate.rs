//! The measured rate of a meter, as the index of the band that acts.

use flow::clock::Time;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A window is at least so long, in nanoseconds ...
const SHORTEST: u64 = 250_000_000;

/// ... and has at least so many packets, since few of them say little about a rate ...
const ENOUGH_PACKETS: u64 = 64;

/// ... unless it is so long, in nanoseconds.
const LONGEST: u64 = 1_000_000_000;

/// What had reached the meter when the window began. A window begins and ends with a packet; the packet that ends one
/// belongs to the next. So pauses between bursts count, wherever they lie.
#[derive(Debug)]
pub(super) struct RateWindow {
    start: AtomicU64,
    packets: AtomicU64,
    /// In the meter's unit: bits, or packets.
    volume: AtomicU64,
    acting: AtomicU32,
}

/// What has reached a meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) packets: u64,
    /// Bits or packets.
    pub(super) volume: u64,
}

impl RateWindow {
    pub(super) fn new(now: Time, reached: Reached) -> RateWindow {
        RateWindow {
            start: AtomicU64::new(now.0),
            packets: AtomicU64::new(reached.packets),
            volume: AtomicU64::new(reached.volume),
            acting: AtomicU32::new(0),
        }
    }

    /// The index of the highest of `rates` that the last window exceeded, or else 0. `rates`, in units a second, rise.
    /// `before`: what had reached the meter before the packet at `now`.
    #[inline]
    pub(super) fn acting(&self, now: Time, before: Reached, rates: impl Iterator<Item = u64>) -> usize {
        let start = self.start.load(Relaxed);
        let long = now.0.saturating_sub(start);
        if long >= SHORTEST {
            let packets = before.packets.wrapping_sub(self.packets.load(Relaxed));
            if long >= LONGEST || packets >= ENOUGH_PACKETS {
                self.roll(start, now, before, rates);
            }
        }
        self.acting.load(Relaxed) as usize
    }

    /// End the window. One of the threads that see its end does it.
    #[cold]
    fn roll(&self, start: u64, now: Time, before: Reached, rates: impl Iterator<Item = u64>) {
        if self.start.compare_exchange(start, now.0, Relaxed, Relaxed).is_err() {
            return;
        }
        let volume = before.volume.wrapping_sub(self.volume.swap(before.volume, Relaxed));
        self.packets.store(before.packets, Relaxed);
        let (volume, long) = (u128::from(volume) * 1_000_000_000, u128::from(now.0 - start));
        let exceeded = rates.take_while(|rate| u128::from(*rate) * long < volume).count();
        self.acting.store(exceeded.saturating_sub(1) as u32, Relaxed);
    }
}
