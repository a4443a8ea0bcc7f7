//! How control knows that workers have seen a change: fences and quiescent points.
//!
//! A fence is a number. Control changes something, then takes a new number. A worker reads the current number at the start of
//! each poll and announces it: it has left its last poll, and what was changed before the number was taken is visible to it
//! from here on. A worker that is offline (nobody polls it) holds nothing and has passed every fence. This is RCU by
//! quiescent states; the two sequentially consistent fences make "comes online" and "looks who is online" meet.

use super::sync::atomic::{AtomicU64, Ordering, fence};

const OFFLINE: u64 = u64::MAX;

/// The numbers of a datapath.
#[derive(Debug, Default)]
pub(crate) struct Fences(AtomicU64);

impl Fences {
    /// A new fence, behind all changes made by this thread so far.
    pub(crate) fn raise(&self) -> u64 {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        fence(Ordering::SeqCst);
        number
    }

    #[inline(always)]
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// How far one worker has come.
#[derive(Debug)]
pub(crate) struct Quiescence {
    passed: AtomicU64,
    drained: AtomicU64,
}

impl Default for Quiescence {
    fn default() -> Self {
        Quiescence { passed: AtomicU64::new(OFFLINE), drained: AtomicU64::new(0) }
    }
}

impl Quiescence {
    /// Before the first poll of a run.
    pub(crate) fn online(&self, fences: &Fences) {
        self.passed.store(fences.current(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// After the last poll of a run.
    pub(crate) fn offline(&self) {
        self.passed.store(OFFLINE, Ordering::Release);
    }

    /// At the start of a poll.
    #[inline(always)]
    pub(crate) fn pass(&self, fence: u64) {
        if self.passed.load(Ordering::Relaxed) != fence {
            self.passed.store(fence, Ordering::Release);
        }
    }

    /// All mail that was there when this fence was raised has been read.
    pub(crate) fn drain(&self, fence: u64) {
        if self.drained.load(Ordering::Relaxed) != fence {
            self.drained.store(fence, Ordering::Release);
        }
    }

    pub(crate) fn has_passed(&self, fence: u64) -> bool {
        self.passed() >= fence
    }

    /// The newest fence that was passed.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }

    /// The newest fence before which all mail has been read.
    pub(crate) fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }
}
