//! One worker: polls its receive queues, finds each packet's flow, executes, sends. Owned by one thread at a time.

use crate::cache::FlowCache;
use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::egress::{Egress, TxPort};
use crate::flows::{Candidate, Refusal};
use crate::packet;
use crate::pmd::{Mail, PmdShared};
use crate::program::Program;
use crate::shared::Shared;
use crate::table::{FlowTable, NO_GROUP};
use arrayvec::ArrayVec;
use dpdk::{BURST, Mbuf, MbufBatch, RxQueue};
use flow::clock::Time;
use flow::dp::{Cacheable, DropReason, Hits, RecircId, Resume};
use flow::extract::{RxMeta, extract};
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
    fn execute(&mut self, table: &mut FlowTable, egress: &mut Egress, now: Time) {
        for group in self.groups.drain(..) {
            let Some(flow) = table.at_mut(group.mark) else { continue };
            flow.group = NO_GROUP;
            flow.shard.hits.add(group.packets, group.bytes, now);
            let mut next = group.first;
            while let Some((packet, follower)) = self.packets.get_mut(usize::from(next)) {
                next = *follower;
                if let Some(packet) = packet.take() {
                    egress.execute(&flow.program, packet);
                }
            }
        }
        self.packets.clear();
    }
}

/// What a worker owns.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    counters: Arc<WorkerCounters>,
    table: FlowTable,
    cache: FlowCache,
    sources: Vec<RxSource>,
    egress: Egress,
    burst: Burst,
    /// The fence that the present drain round will have passed.
    drain_target: u64,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> Worker {
        let counters = Arc::clone(&me.counters);
        Worker {
            table: FlowTable::new(shared.seed),
            cache: FlowCache::new(shared.config.cache_entries),
            egress: Egress::new(Arc::clone(&shared.pool), Arc::clone(&counters)),
            sources: Vec::new(),
            burst: Burst::default(),
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
        self.egress.flush();
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
            self.me.note_table(&self.table, &self.cache);
        }
        received
    }

    /// Do what others asked for; `false` when some is left.
    pub(crate) fn serve_mail(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(mail) = self.me.mailbox.pop() else { return true };
            match mail {
                Mail::FlowRemoved(mark) => self.table.remove(mark),
                Mail::AddPort(port) => self.add_port(*port),
                Mail::RemovePort { port, left } => {
                    self.sources.retain(|s| s.port != port);
                    self.egress.remove(port);
                    left.fetch_sub(1, std::sync::atomic::Ordering::Release);
                }
                Mail::PortChanged { port, up, max_frame } => {
                    if let Some(tx) = self.egress.port_mut(port) {
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
            self.egress.add(setup.port, tx);
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
        self.burst.execute(&mut self.table, &mut self.egress, now);
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
            if self.table.get(mark).is_some_and(|flow| flow.in_port == port.0) {
                self.counters.mark_hit.add(1);
                self.burst.add(&mut self.table, mark, packet);
                return;
            }
            self.counters.mark_unknown.add(1);
        }
        let key = extract(packet.data(), packet.pkt_len(), &RxMeta::from_port(port));
        match self.classify(&key) {
            Some(mark) => self.burst.add(&mut self.table, mark, packet),
            None => {
                // Those before it go first: a miss changes what is known of flows, and order within a flow stays.
                self.burst.execute(&mut self.table, &mut self.egress, now);
                self.miss(&key, packet, now);
            }
        }
    }

    #[inline]
    fn classify(&mut self, key: &FlowKey) -> Option<u32> {
        let hash = self.shared.seed.key(key);
        let table = &self.table;
        if let Some(mark) = self.cache.find(hash, |mark| table.verify(mark, key)) {
            self.counters.emc_hit.add(1);
            return Some(mark);
        }
        let (found, probed) = self.table.lookup(key);
        self.counters.subtables_probed.add(probed as u64);
        if let Some(mark) = found {
            self.counters.megaflow_hit.add(1);
            self.cache.insert(hash, mark);
        }
        found
    }

    #[cold]
    fn miss(&mut self, key: &FlowKey, packet: Mbuf, now: Time) {
        self.counters.miss.add(1);
        let first = Hits { packets: 1, bytes: packet.pkt_len() as u64, used: now };
        // Before translating: what changes from here on is found out at the install.
        let epoch = self.shared.epoch();
        let at = Resume { recirc_id: RecircId(key.recirc_id.get()) };
        let translation = self.shared.slowpath.translate(&at, key);
        self.shared.slowpath.replay(&translation.effects, &first);
        let program = Arc::new(Program::new(&translation.actions));
        if translation.cacheable == Cacheable::Yes {
            let candidate = Candidate { key, translation: &translation, program: Arc::clone(&program), epoch, first };
            match self.shared.install(candidate) {
                Ok(granted) => {
                    let counter = if granted.new { &self.counters.installed } else { &self.counters.adopted };
                    counter.add(1);
                    self.table.insert(&granted.entry, granted.shard);
                    self.cache.insert(self.shared.seed.key(key), granted.entry.flow.mark.0);
                }
                Err(Refusal::Limit) => self.counters.refused_limit.add(1),
                Err(Refusal::Marks) => self.counters.refused_marks.add(1),
                Err(Refusal::Stale) => self.counters.refused_stale.add(1),
            }
        } else {
            self.counters.uncacheable.add(1);
        }
        self.egress.execute(&program, packet);
    }
}
