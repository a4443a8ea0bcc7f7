//! A receive queue with what travels with it from PMD to PMD.

use super::shared::{GONE, RxqShared};
use crate::budget::Budget;
use crate::counters::PortWorkerCounters;
use dpdk::{BURST, MbufBatch, RxQueue};
use flow::DpPort;
use std::sync::Arc;

/// A queue that is never found empty has drained when it gave as many packets as any device can have had in it.
const DEEPEST_QUEUE: usize = 1 << 16;

/// A receive queue. Only its holder has it, so only one PMD polls it at a time.
#[derive(Debug)]
pub(crate) struct RxSource {
    queue: RxQueue,
    /// Behind the queue: dropped after it.
    rxq: Given,
    /// Of the PMD that polls it.
    pub(crate) counters: Arc<PortWorkerCounters>,
    pub(crate) budget: Budget,
    /// The fence that the present drain round will have passed, and packets received since the round began.
    target: u64,
    seen: usize,
}

/// Tells that the queue was given back to its device.
#[derive(Debug)]
struct Given(Arc<RxqShared>);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.set_holder(GONE);
    }
}

impl RxSource {
    pub(crate) fn new(queue: RxQueue, rxq: Arc<RxqShared>) -> RxSource {
        RxSource { queue, rxq: Given(rxq), counters: Arc::default(), budget: Budget::default(), target: 0, seen: 0 }
    }

    #[inline(always)]
    pub(crate) fn shared(&self) -> &RxqShared {
        &self.rxq.0
    }

    #[inline(always)]
    pub(crate) fn port(&self) -> DpPort {
        self.rxq.0.port
    }

    pub(crate) fn is(&self, port: DpPort, queue: u16) -> bool {
        (self.rxq.0.port, self.rxq.0.queue) == (port, queue)
    }

    /// Receive a burst.
    #[inline(always)]
    pub(crate) fn burst(&mut self, batch: &mut MbufBatch) -> usize {
        self.queue.burst(batch)
    }

    /// A burst of `n` packets was handled in a poll that began at `fence`.
    #[inline(always)]
    pub(crate) fn handled(&mut self, n: usize, fence: u64) {
        self.seen += n;
        // A device whose vector code rounds down to multiples of eight may have a few more.
        if n + 8 <= BURST {
            // The queue was empty after the fence was raised.
            self.rxq.0.drain(fence);
        } else if self.seen >= DEEPEST_QUEUE {
            self.rxq.0.drain(self.target);
        } else {
            return;
        }
        (self.target, self.seen) = (fence, 0);
    }
}
