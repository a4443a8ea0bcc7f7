//! One burst of received packets: the flow of each is found, flows are executed.

mod burst;

use crate::counters::WorkerCounters;
use crate::cycles::StageClock;
use crate::execute::Executor;
use crate::hash::RARE;
use crate::lookup::Lookup;
use crate::packet;
use crate::pmd::PmdShared;
use crate::shared::Shared;
use burst::Burst;
use dpdk::{Mbuf, MbufBatch};
use flow::clock::Time;
use flow::extract::{RxMeta, extract_into};
use flow::{DpPort, FlowKey};
use std::sync::Arc;

/// What a worker needs from a received burst to its packets' ends.
#[derive(Debug)]
pub(crate) struct FastPath {
    pub(crate) lookup: Lookup,
    pub(crate) executor: Executor,
    /// Begun and ended by the poll loop; stages are marked here.
    pub(crate) clock: StageClock,
    shared: Arc<Shared>,
    counters: Arc<WorkerCounters>,
    burst: Burst,
    /// The key of the packet at hand.
    key: FlowKey,
}

/// What became of a burst, for whoever decides what is polled next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BurstReport {
    /// Packets that were translated by the slow path.
    pub(crate) misses: u32,
}

impl FastPath {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> FastPath {
        let counters = Arc::clone(&me.counters);
        FastPath {
            clock: StageClock::new(Arc::clone(&me.cycles.stages)),
            lookup: Lookup::new(Arc::clone(&shared), Arc::clone(&counters)),
            executor: Executor::new(Arc::clone(&shared), me),
            shared,
            counters,
            burst: Burst::default(),
            key: FlowKey::ZERO,
        }
    }

    /// Handle packets received on `port`; the batch is empty after. Outputs may wait in the transmit buffers.
    pub(crate) fn process(&mut self, port: DpPort, batch: &mut MbufBatch, now: Time) -> BurstReport {
        let mut report = BurstReport::default();
        for packet in batch.drain() {
            self.receive(port, packet, now, &mut report);
        }
        self.burst.execute(&mut self.lookup, &mut self.executor, now);
        report
    }

    #[inline]
    fn receive(&mut self, port: DpPort, mut packet: Mbuf, now: Time, report: &mut BurstReport) {
        let mark = match packet::receive_check(&mut packet, port, &self.shared.pool) {
            Ok(mark) => mark,
            Err(reason) => {
                self.counters.count_drop(reason);
                return;
            }
        };
        if let Some(mark) = mark {
            // Hardware found the flow already, if it is still that flow.
            if self.lookup.table.get(mark).is_some_and(|flow| flow.is_first_pass_on(port)) {
                self.counters.mark_hit.add(1);
                self.burst.add(&mut self.lookup.table, mark, packet);
                return;
            }
            self.counters.mark_unknown.add(1);
        }
        // Extraction leaves the words behind these alone.
        self.key.words_mut()[..RARE].fill([0; 8]);
        extract_into(&mut self.key, packet.data(), packet.pkt_len(), &RxMeta::from_port(port));
        match self.lookup.classify(&self.key) {
            Some(mark) => self.burst.add(&mut self.lookup.table, mark, packet),
            None => {
                report.misses += 1;
                // Those before it go first: a miss changes what is known of flows, and order within a flow stays.
                self.burst.execute(&mut self.lookup, &mut self.executor, now);
                let program = self.lookup.miss(&self.key, packet.pkt_len(), now);
                self.executor.execute_deep(&program, packet, port, now, &mut self.lookup);
            }
        }
    }
}
