//! One worker: polls its receive queues, finds each packet's flow, executes, sends. Owned by one thread at a time.

use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::egress::TxPort;
use crate::execute::Executor;
use crate::hash::RARE;
use crate::lookup::Lookup;
use crate::packet;
use crate::pmd::{Mail, PmdShared};
use crate::shared::Shared;
use crate::table::{FlowTable, NO_GROUP};
use arrayvec::ArrayVec;
use dpdk::{BURST, Mbuf, MbufBatch, RxQueue};
use flow::clock::Time;
use flow::dp::DropReason;
use flow::extract::{RxMeta, extract_into};
use flow::{DpPort, FlowKey};
use std::sync::Arc;

/// Mails taken at each poll: removals come in thousands and packets must not wait for them.
const MAILS_A_POLL: usize = 256;

/// A queue that is never found empty has drained when it gave as many packets as any device can have had in it.
const DEEPEST_QUEUE: usize = 1 << 16;

const NONE: u8 = u8::MAX;

/// A receive queue that this worker polls.
#[derive(Debug)]
struct RxSource {
    port: DpPort,
    queue: RxQueue,
    counters: Arc<PortWorkerCounters>,
    /// Packets received since the drain round began; `None`: found empty since.
    undrained: Option<usize>,
}

/// Packets of a burst that hit the same flow, as a chain through the burst.
#[derive(Debug)]
struct Group {
    mark: u32,
    first: u8,
    last: u8,
    packets: u64,
    bytes: u64,
}

/// The packets of a burst whose flow is known, waiting for it to be executed.
#[derive(Debug, Default)]
struct Burst {
    packets: ArrayVec<(Option<Mbuf>, u8), BURST>,
    groups: ArrayVec<Group, BURST>,
}

impl Burst {
    /// Add a packet behind those of its flow.
    #[inline]
    fn add(&mut self, table: &mut FlowTable, mark: u32, packet: Mbuf) {
        let bytes = packet.pkt_len() as u64;
        let at = self.packets.len() as u8;
        self.packets.push((Some(packet), NONE));
        let Some(flow) = table.at_mut(mark) else { return };
        match self.groups.get_mut(usize::from(flow.group)) {
            Some(group) => {
                self.packets[usize::from(group.last)].1 = at;
                group.last = at;
                group.packets += 1;
                group.bytes += bytes;
            }
            None => {
                flow.group = self.groups.len() as u8;
                self.groups.push(Group { mark, first: at, last: at, packets: 1, bytes });
            }
        }
    }

    /// Execute the flows, in the order in which they were first met.
    fn execute(&mut self, lookup: &mut Lookup, executor: &mut Executor, now: Time) {
        for group in self.groups.drain(..) {
            let Some(flow) = lookup.table.at_mut(group.mark) else { continue };
            flow.group = NO_GROUP;
            flow.shard.hits.add(group.packets, group.bytes, now);
            let mut next = group.first;
            if flow.program.needs_metadata() {
                // It may look up and install flows itself.
                let (program, port) = (Arc::clone(&flow.program), DpPort(flow.in_port));
                while let Some(packet) = take(&mut self.packets, &mut next) {
                    executor.execute_deep(&program, packet, port, now, lookup);
                }
            } else {
                while let Some(packet) = take(&mut self.packets, &mut next) {
                    executor.execute(&flow.program, packet, now);
                }
            }
        }
        self.packets.clear();
    }
}

/// The packet at `next`, which goes on to the one behind it in its group.
#[inline]
fn take(packets: &mut ArrayVec<(Option<Mbuf>, u8), BURST>, next: &mut u8) -> Option<Mbuf> {
    let (packet, follower) = packets.get_mut(usize::from(*next))?;
    *next = *follower;
    packet.take()
}

/// What a worker owns.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    counters: Arc<WorkerCounters>,
    lookup: Lookup,
    sources: Vec<RxSource>,
    executor: Executor,
    burst: Burst,
    /// The key of the packet at hand.
    key: FlowKey,
    /// The fence that the present drain round will have passed.
    drain_target: u64,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> Worker {
        let counters = Arc::clone(&me.counters);
        Worker {
            lookup: Lookup::new(Arc::clone(&shared), Arc::clone(&counters)),
            executor: Executor::new(Arc::clone(&shared), Arc::clone(&me)),
            sources: Vec::new(),
            burst: Burst::default(),
            key: FlowKey::ZERO,
            drain_target: 0,
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
        for i in 0..self.sources.len() {
            received += self.poll_queue(i, now);
        }
        self.executor.egress.flush();
        self.counters.polls.add(1);
        if received == 0 {
            self.counters.idle_polls.add(1);
        }
        if caught_up && self.sources.iter().all(|s| s.undrained.is_none()) {
            self.me.quiescence.drain(self.drain_target);
            self.drain_target = fence;
            for source in &mut self.sources {
                source.undrained = Some(0);
            }
        }
        if received == 0 {
            self.me.note_table(&self.lookup.table, &self.lookup.cache);
        }
        received
    }

    /// Do what others asked for; `false` when some is left.
    pub(crate) fn serve_mail(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(mail) = self.me.mailbox.pop() else { return true };
            match mail {
                Mail::FlowRemoved(mark) => self.lookup.table.remove(mark),
                Mail::AddPort(port) => self.add_port(*port),
                Mail::RemovePort { port, left } => {
                    self.sources.retain(|s| s.port != port);
                    self.executor.egress.remove(port);
                    left.fetch_sub(1, std::sync::atomic::Ordering::Release);
                }
                Mail::PortChanged { port, up, max_frame } => {
                    if let Some(tx) = self.executor.egress.port_mut(port) {
                        (tx.up, tx.max_frame) = (up, max_frame);
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
            let tx = TxPort {
                queue,
                batch: MbufBatch::new(),
                up: setup.up,
                max_frame: setup.max_frame,
                counters: setup.counters,
            };
            self.executor.egress.add(setup.port, tx);
        }
    }

    fn poll_queue(&mut self, i: usize, now: Time) -> usize {
        let mut batch = MbufBatch::new();
        let source = &mut self.sources[i];
        let n = source.queue.burst(&mut batch);
        // A device whose vector code rounds down to multiples of eight may have a few more.
        source.undrained = match source.undrained {
            Some(seen) if n + 8 > BURST && seen + n < DEEPEST_QUEUE => Some(seen + n),
            _ => None,
        };
        if n == 0 {
            return 0;
        }
        let port = source.port;
        self.counters.rx.add(n as u64);
        source.counters.rx_packets.add(n as u64);
        source.counters.rx_bytes.add(batch.iter().map(|p| p.pkt_len() as u64).sum());
        for packet in batch.drain() {
            self.receive(port, packet, now);
        }
        self.burst.execute(&mut self.lookup, &mut self.executor, now);
        n
    }

    #[inline]
    fn receive(&mut self, port: DpPort, mut packet: Mbuf, now: Time) {
        let mark = packet.mark();
        let ready = if packet.pkt_len() < packet::ETHERNET {
            Err(DropReason::TooShort)
        } else {
            packet::linearize_head(&mut packet, &self.shared.pool)
                .and_then(|()| packet::normalize(&mut packet, port, &self.shared.pool))
        };
        if let Err(reason) = ready {
            self.counters.count_drop(reason);
            return;
        }
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
                // Those before it go first: a miss changes what is known of flows, and order within a flow stays.
                self.burst.execute(&mut self.lookup, &mut self.executor, now);
                let program = self.lookup.miss(&self.key, packet.pkt_len(), now);
                self.executor.execute_deep(&program, packet, port, now, &mut self.lookup);
            }
        }
    }
}
