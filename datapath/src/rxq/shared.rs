//! What all may see of a receive queue, whoever polls it.

use crate::counters::Counter;
use crate::cycles::History;
use flow::DpPort;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// No PMD polls the queue.
pub(crate) const NOBODY: u32 = u32::MAX;
/// The queue was given back to its device.
pub(crate) const GONE: u32 = u32::MAX - 1;

/// A receive queue as others see it. One writer at a time: its holder.
#[derive(Debug)]
pub(crate) struct RxqShared {
    pub(crate) port: DpPort,
    pub(crate) queue: u16,
    /// The PMD that polls it.
    holder: AtomicU32,
    /// All packets that were in the queue when this fence was raised have been handled.
    drained: AtomicU64,
    pub(crate) usage: History,
    pub(crate) packets: Counter,
}

impl RxqShared {
    pub(crate) fn new(port: DpPort, queue: u16) -> RxqShared {
        RxqShared {
            port,
            queue,
            holder: AtomicU32::new(NOBODY),
            drained: AtomicU64::new(0),
            usage: History::default(),
            packets: Counter::default(),
        }
    }

    pub(crate) fn holder(&self) -> u32 {
        self.holder.load(Ordering::Acquire)
    }

    pub(crate) fn set_holder(&self, pmd: u32) {
        self.holder.store(pmd, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn drain(&self, fence: u64) {
        if self.drained.load(Ordering::Relaxed) != fence {
            self.drained.store(fence, Ordering::Release);
        }
    }

    /// The newest fence past which the queue has drained. One that was given back holds nothing.
    pub(crate) fn drained(&self) -> u64 {
        if self.holder() == GONE { u64::MAX } else { self.drained.load(Ordering::Acquire) }
    }
}
