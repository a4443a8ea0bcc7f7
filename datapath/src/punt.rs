//! Packets for a controller: a bounded queue of each worker, and the way to read them.

use crate::shared::Shared;
use dpdk::Mbuf;
use flow::FlowKey;
use flow::clock::Time;
use flow::dp::PuntReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A packet in a worker's queue.
#[derive(Debug)]
pub(crate) struct Punt {
    pub(crate) packet: Mbuf,
    pub(crate) total_len: u32,
    pub(crate) metadata: FlowKey,
    pub(crate) reason: PuntReason,
    pub(crate) at: Time,
}

/// Number of readers: while there is none, packets for controllers are dropped as `no_controller`.
#[derive(Debug, Default)]
pub(crate) struct Readers(AtomicUsize);

impl Readers {
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// A packet for a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PuntedPacket {
    /// Its first bytes, as many as the action asked for.
    pub data: Vec<u8>,
    /// Length of the whole packet in bytes, without FCS.
    pub total_len: usize,
    /// Input port, tunnel, mark, connection, as the actions before left them. Fields in the bytes are zero.
    pub metadata: FlowKey,
    pub reason: PuntReason,
    /// When the packet was received.
    pub at: Time,
}

/// Reads packets for controllers. While one of these is there, workers queue such packets.
#[derive(Debug)]
pub struct Punts {
    shared: Arc<Shared>,
}

impl Punts {
    pub(crate) fn new(shared: Arc<Shared>) -> Punts {
        shared.punt_readers.0.fetch_add(1, Ordering::Relaxed);
        Punts { shared }
    }

    /// Move up to `most` packets of all workers' queues to the end of `packets`. Does not wait. Order is kept within a worker.
    pub fn take(&self, most: usize, packets: &mut Vec<PuntedPacket>) {
        let mut left = most;
        for pmd in self.shared.pmds.read().iter() {
            while left > 0
                && let Some(punt) = pmd.punts.pop()
            {
                left -= 1;
                packets.push(PuntedPacket {
                    data: punt.packet.to_vec(),
                    total_len: punt.total_len as usize,
                    metadata: punt.metadata,
                    reason: punt.reason,
                    at: punt.at,
                });
            }
        }
    }
}

impl Drop for Punts {
    fn drop(&mut self) {
        if self.shared.punt_readers.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Buffers go back; those that a worker queues at this moment wait for the next reader.
            for pmd in self.shared.pmds.read().iter() {
                while pmd.punts.pop().is_some() {}
            }
        }
    }
}
