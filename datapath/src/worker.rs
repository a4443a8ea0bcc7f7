//! One worker: polls its receive queues, finds each packet's flow, executes, sends. Owned by one thread at a time.

use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::cycles::{INTERVAL, Stage};
use crate::egress::TxPort;
use crate::fastpath::FastPath;
use crate::pmd::{Mail, PmdShared};
use crate::shared::Shared;
use dpdk::{BURST, MbufBatch, RxQueue};
use flow::DpPort;
use flow::clock::Time;
use std::sync::Arc;

/// Mails taken at each poll: removals come in thousands and packets must not wait for them.
const MAILS_A_POLL: usize = 256;

/// A queue that is never found empty has drained when it gave as many packets as any device can have had in it.
const DEEPEST_QUEUE: usize = 1 << 16;

/// A receive queue that this worker polls.
#[derive(Debug)]
struct RxSource {
    port: DpPort,
    queue: RxQueue,
    counters: Arc<PortWorkerCounters>,
    /// Packets received since the drain round began; `None`: found empty since.
    undrained: Option<usize>,
}

/// What a worker owns.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    counters: Arc<WorkerCounters>,
    sources: Vec<RxSource>,
    fast: FastPath,
    /// The fence that the present drain round will have passed.
    drain_target: u64,
    /// The time stamp up to which all time is accounted for.
    stamp: u64,
    /// When the present interval of the histories began.
    interval: Option<Time>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> Worker {
        let counters = Arc::clone(&me.counters);
        Worker {
            fast: FastPath::new(Arc::clone(&shared), Arc::clone(&me)),
            sources: Vec::new(),
            drain_target: 0,
            stamp: dpdk::cycles(),
            interval: None,
            counters,
            shared,
            me,
        }
    }

    /// One round over all queues; returns the number of packets received.
    ///
    /// The caller has announced that this worker is online.
    pub(crate) fn poll(&mut self, now: Time) -> usize {
        let fence = self.shared.fences.current();
        self.me.quiescence.pass(fence);
        let caught_up = self.serve_mail(MAILS_A_POLL);
        let mut received = 0;
        let mut at = dpdk::cycles();
        for i in 0..self.sources.len() {
            received += self.poll_queue(i, now, &mut at);
        }
        self.counters.polls.add(1);
        if received == 0 {
            self.counters.idle_polls.add(1);
            self.me.cycles.count_idle(at.wrapping_sub(self.stamp));
        } else {
            self.me.cycles.count_busy(at.wrapping_sub(self.stamp));
        }
        self.stamp = at;
        self.roll(now);
        if caught_up && self.sources.iter().all(|s| s.undrained.is_none()) {
            self.me.quiescence.drain(self.drain_target);
            self.drain_target = fence;
            for source in &mut self.sources {
                source.undrained = Some(0);
            }
        }
        if received == 0 {
            self.me.note_table(&self.fast.lookup.table, &self.fast.lookup.cache);
        }
        received
    }

    /// Called before polls that others came before: the time since is nobody's work.
    pub(crate) fn resume(&mut self) {
        let now = dpdk::cycles();
        self.me.cycles.count_idle(now.wrapping_sub(self.stamp));
        self.stamp = now;
    }

    /// End the interval of the histories when it is time to.
    #[inline]
    fn roll(&mut self, now: Time) {
        let began = *self.interval.get_or_insert(now);
        if now.since(began) >= INTERVAL {
            self.interval = Some(now);
            self.me.cycles.roll();
        }
    }

    /// Do what others asked for; `false` when some is left.
    pub(crate) fn serve_mail(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(mail) = self.me.mailbox.pop() else { return true };
            match mail {
                Mail::FlowsRemoved(marks) => marks.iter().for_each(|mark| self.fast.lookup.table.remove(*mark)),
                Mail::AddPort(port) => self.add_port(*port),
                Mail::RemovePort { port, left } => {
                    self.sources.retain(|s| s.port != port);
                    self.fast.executor.egress.remove(port);
                    left.fetch_sub(1, std::sync::atomic::Ordering::Release);
                }
                Mail::PortChanged { port, up, max_frame } => {
                    if let Some(tx) = self.fast.executor.egress.port_mut(port) {
                        tx.set(up, max_frame);
                    }
                }
            }
        }
        self.me.mailbox.is_empty()
    }

    fn add_port(&mut self, setup: crate::pmd::PortSetup) {
        for queue in setup.rx {
            let counters = Arc::clone(&setup.counters);
            self.sources.push(RxSource { port: setup.port, queue, counters, undrained: Some(0) });
        }
        if let Some(queue) = setup.tx {
            let tx = TxPort::new(queue, setup.up, setup.max_frame, setup.counters);
            self.fast.executor.egress.add(setup.port, tx);
        }
    }

    /// Receive and handle one burst. `at` is the time stamp before, and after when this returns.
    fn poll_queue(&mut self, i: usize, now: Time, at: &mut u64) -> usize {
        let mut batch = MbufBatch::new();
        let source = &mut self.sources[i];
        self.fast.clock.start_burst(*at);
        let n = source.queue.burst(&mut batch);
        // A device whose vector code rounds down to multiples of eight may have a few more.
        source.undrained = match source.undrained {
            Some(seen) if n + 8 > BURST && seen + n < DEEPEST_QUEUE => Some(seen + n),
            _ => None,
        };
        if n == 0 {
            *at = dpdk::cycles();
            return 0;
        }
        self.fast.clock.mark(Stage::Rx);
        let port = source.port;
        self.counters.rx.add(n as u64);
        source.counters.rx_packets.add(n as u64);
        source.counters.rx_bytes.add(batch.iter().map(|p| p.pkt_len() as u64).sum());
        self.fast.process(port, &mut batch, now);
        self.fast.clock.mark(Stage::Actions);
        self.fast.executor.egress.flush();
        *at = dpdk::cycles();
        self.fast.clock.end_burst(*at, n);
        n
    }
}
