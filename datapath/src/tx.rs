//! A PMD's way into a transmit queue: its own, or one that several PMDs share where a device has too few.

use dpdk::{MbufBatch, TxOffloads, TxQueue};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A transmit queue behind a lock. Empty until the PMD that had the queue alone puts it in.
#[derive(Debug, Default)]
pub(crate) struct SharedTx {
    queue: Mutex<Option<TxQueue>>,
    filled: AtomicBool,
}

impl SharedTx {
    pub(crate) fn fill(&self, queue: TxQueue) {
        *self.queue.lock() = Some(queue);
        self.filled.store(true, Ordering::Release);
    }

    /// Take the queue out, when nobody uses it any more.
    pub(crate) fn take(&self) -> Option<TxQueue> {
        self.queue.lock().take()
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }
}

/// A transmit queue of a PMD.
#[derive(Debug)]
pub(crate) enum TxHandle {
    /// No other PMD uses it: no lock.
    Own(TxQueue),
    /// Locked for each burst. Dropping the last handle gives the queue back.
    Shared(Arc<SharedTx>),
}

impl TxHandle {
    /// As [`TxQueue::burst`].
    #[inline]
    pub(crate) fn burst(&mut self, batch: &mut MbufBatch) -> usize {
        match self {
            TxHandle::Own(queue) => queue.burst(batch),
            TxHandle::Shared(shared) => shared.queue.lock().as_mut().map_or(0, |queue| queue.burst(batch)),
        }
    }

    /// As [`TxQueue::offloads`].
    pub(crate) fn offloads(&self) -> TxOffloads {
        match self {
            TxHandle::Own(queue) => queue.offloads(),
            TxHandle::Shared(shared) => shared.queue.lock().as_ref().map_or(TxOffloads::empty(), TxQueue::offloads),
        }
    }

    /// Let others use the queue too.
    pub(crate) fn share(&mut self, shared: &Arc<SharedTx>) {
        if let TxHandle::Own(queue) = std::mem::replace(self, TxHandle::Shared(Arc::clone(shared))) {
            shared.fill(queue);
        }
    }
}
