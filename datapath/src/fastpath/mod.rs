//! One burst of received packets: the flow of each is found, flows are executed.
//!
//! A burst goes through stages, each over all of its packets, so that what the next stage needs of memory is asked for early
//! and arrives while the others are at work:
//!
//! 1. *Extract*: whether there is anything special about the packet; its key, no deeper than flows of the port look; the
//!    hash of what they look at. The line of the cache is asked for.
//! 2. *Cache*: the flow that was remembered under the hash. Its record is asked for.
//! 3. *Actions*: that flow is verified. One that only changes bytes and sends to one port is executed in place.
//! 4. *Actions*, in the packets' order: when all were executed in place and go to one port or nowhere, they are sent at once. If not,
//!    packets of other flows are collected by flow and executed when the burst ends or a packet misses. Packets that the cache
//!    did not know are searched for in the tuple space, and if they are not there, translated by the slow path.
//!
//! A port with one flow that looks no deeper than at addresses and ethertype needs none of this: the whole burst is compared with it.

mod burst;
mod keys;

use crate::arena::{Hot, NO_PORT};
use crate::counters::WorkerCounters;
use crate::cycles::{Stage, StageClock};
use crate::execute::{Executor, change_quickly};
use crate::lookup::Lookup;
use crate::packet;
use crate::pmd::PmdShared;
use crate::program::Forward;
use crate::shared::Shared;
use crate::table::FlowTable;
use burst::Burst;
use dpdk::{BURST, BatchSummary, Mbuf, MbufBatch};
use flow::DpPort;
use flow::clock::Time;
use flow::dp::DropReason;
use flow::extract::link_words;
use keys::Keys;
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
    keys: Keys,
    /// What is known of each packet's flow.
    found: [Found; BURST],
    /// The packets of a burst that are sent, when some are dropped.
    kept: MbufBatch,
}

/// How far the search for a packet's flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing yet.
    Nothing,
    /// A flow with this number had the same hash.
    Candidate(u32),
    /// The flow with this number, by its key or because hardware said so.
    Known(u32),
    /// The flow was executed, but for sending the packet to this port.
    Done(DpPort),
    /// The flow was executed: it drops the packet.
    Dropped,
    /// The packet is not to be looked up.
    Refused(DropReason),
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
            keys: Keys::new(),
            found: [Found::Nothing; BURST],
            kept: MbufBatch::new(),
        }
    }

    /// Handle packets received on `port`, [`BURST`] at most; the batch is empty after. Outputs may wait in the transmit buffers.
    /// `summary`: what they are together.
    pub(crate) fn process(
        &mut self,
        port: DpPort,
        batch: &mut MbufBatch,
        summary: &BatchSummary,
        now: Time,
    ) -> BurstReport {
        if self.whole_burst(port, batch, summary, now) {
            return BurstReport::default();
        }
        let plain = summary.is_plain(packet::ETHERNET);
        self.extract(port, batch, plain);
        self.clock.mark(Stage::Extract);
        let packets = batch.len();
        match self.find_and_change(batch, now) {
            // What was changed in place is as long as before, and as plain.
            Some(to) if plain && batch.len() == packets => self.executor.egress.send_summed(to, batch, summary),
            Some(to) => self.executor.egress.send_batch(to, batch),
            None => return self.act(port, batch, now),
        }
        BurstReport::default()
    }

    /// When the port has one flow that is easily compared and all packets hit it: do it all at once. Else: nothing, `false`.
    #[inline]
    fn whole_burst(&mut self, port: DpPort, batch: &mut MbufBatch, summary: &BatchSummary, now: Time) -> bool {
        let Some(sole) = self.lookup.table.port(port).and_then(|table| table.sole()) else { return false };
        let Some(hot) = self.lookup.table.hot(sole.number).filter(|hot| hot.mark() == sole.mark) else { return false };
        if !summary.is_plain(packet::ETHERNET) {
            return false;
        }
        let mut difference = 0;
        for packet in batch.iter() {
            let Some(words) = link_words(packet.data()) else { return false };
            difference |= sole.difference(words);
        }
        if difference != 0 {
            return false;
        }
        let packets = batch.len() as u64;
        let Some(program) = self.lookup.table.program(hot).filter(|program| !program.needs_metadata()) else {
            return false;
        };
        hot.hits.add(packets, summary.bytes, now);
        self.counters.megaflow_hit.add(packets);
        self.counters.subtables_probed.add(packets);
        match program.forward() {
            Some(Forward { port, rewrite: None }) => self.executor.egress.send_summed(*port, batch, summary),
            _ => self.executor.execute_group(program, batch, now),
        }
        true
    }

    /// Stage 1. `plain`: there is nothing special about any packet.
    #[inline]
    fn extract(&mut self, port: DpPort, batch: &mut MbufBatch, plain: bool) {
        self.found = [Found::Nothing; BURST];
        if !plain {
            self.receive_specials(port, batch);
        }
        let FastPath { lookup, keys, found, .. } = self;
        let table = lookup.table.port(port);
        keys.begin(port, table);
        let Some(table) = table else {
            (0..batch.len()).for_each(|i| keys.skip(i));
            return;
        };
        for (i, (packet, found)) in batch.iter().zip(found).enumerate() {
            if *found == Found::Nothing {
                lookup.cache.prefetch(keys.extract(i, packet, table));
            }
        }
    }

    #[cold]
    fn receive_specials(&mut self, port: DpPort, batch: &mut MbufBatch) {
        for (i, packet) in batch.iter_mut().enumerate().take(BURST) {
            if !packet.is_plain(packet::ETHERNET) {
                self.found[i] = self.receive_special(port, packet);
            }
        }
    }

    /// A packet with anything that most packets have not: a mark, tags beside its bytes, several segments, too few bytes.
    fn receive_special(&mut self, port: DpPort, packet: &mut Mbuf) -> Found {
        let mark = match packet::receive_check(packet, port, &self.shared.pool) {
            Ok(mark) => mark,
            Err(reason) => return Found::Refused(reason),
        };
        match mark.map(|mark| self.lookup.table.by_mark(mark, port)) {
            // Hardware found the flow already, and it is still that flow.
            Some(Some(number)) => {
                self.counters.mark_hit.add(1);
                return Found::Known(number);
            }
            Some(None) => self.counters.mark_unknown.add(1),
            None => {}
        }
        Found::Nothing
    }

    /// Stages 2 to 4. The port that all packets that are left are to be sent to, if that is all that is left to do.
    #[inline]
    fn find_and_change(&mut self, batch: &mut MbufBatch, now: Time) -> Option<DpPort> {
        let packets = batch.len().min(BURST);
        let FastPath { lookup, keys, found, counters, clock, .. } = self;
        let found = &mut found[..packets];
        // The record of each packet's flow: looked up once.
        let mut records = [None; BURST];
        let records = &mut records[..packets];
        look_into_cache(lookup, keys, found, records);
        counters.cache_hit.add(verify(&lookup.table, keys, found, records));
        clock.mark(Stage::Cache);
        let (to, dropped) = change_in_place(&lookup.table, counters, batch, found, records, now);
        if to != NO_PORT && dropped {
            self.drop_from(batch);
        }
        (to != NO_PORT).then_some(DpPort(to))
    }

    /// Take the packets out of a burst whose flows drop them.
    fn drop_from(&mut self, batch: &mut MbufBatch) {
        for (packet, found) in batch.drain().zip(&self.found) {
            if *found != Found::Dropped {
                // As many packets as were in another batch find room.
                drop(self.kept.push(packet));
            }
        }
        batch.append_from(&mut self.kept, BURST);
    }

    /// What is left of stage 4.
    fn act(&mut self, port: DpPort, batch: &mut MbufBatch, now: Time) -> BurstReport {
        let mut report = BurstReport::default();
        for (i, packet) in batch.drain().enumerate() {
            let number = match self.found.get(i).copied().unwrap_or(Found::Nothing) {
                Found::Done(to) => {
                    self.executor.egress.send(to, packet);
                    continue;
                }
                Found::Dropped => continue,
                Found::Known(number) => Some(number),
                Found::Refused(reason) => {
                    self.counters.count_drop(reason);
                    continue;
                }
                Found::Candidate(_) | Found::Nothing => self.search(i, port, &packet),
            };
            match number.and_then(|number| Some((number, self.lookup.table.hot(number)?))) {
                Some((_, hot)) if hot.out() != NO_PORT => {
                    hot.hits.add(1, packet.pkt_len() as u64, now);
                    self.executor.egress.send(DpPort(hot.out()), packet);
                }
                Some((number, hot)) => match self.lookup.table.program(hot) {
                    Some(program) if program.forward().is_some() => {
                        hot.hits.add(1, packet.pkt_len() as u64, now);
                        self.executor.execute(program, packet, now);
                    }
                    _ => self.burst.add(number, hot, packet),
                },
                None => {
                    report.misses += 1;
                    self.miss(i, port, packet, now);
                }
            }
        }
        self.burst.execute(port, &mut self.lookup, &mut self.executor, now);
        report
    }

    #[cold]
    fn miss(&mut self, i: usize, port: DpPort, packet: Mbuf, now: Time) {
        // Those before it go first: a miss changes what is known of flows, and order within a flow stays.
        self.burst.execute(port, &mut self.lookup, &mut self.executor, now);
        self.clock.mark(Stage::Actions);
        self.keys.whole(i, port, &packet);
        // One that is behind the burst's end, or not all there, does no harm: memory is asked for, no more.
        let next = (self.found.get(i + 1) == Some(&Found::Nothing)).then(|| self.keys.key(i + 1));
        let program = self.lookup.miss(self.keys.key(i), next, packet.pkt_len(), now);
        self.clock.mark(Stage::Translate);
        self.executor.execute_deep(&program, packet, port, now, &mut self.lookup);
    }

    /// The flow of a packet that the cache does not know.
    #[cold]
    fn search(&mut self, i: usize, port: DpPort, packet: &Mbuf) -> Option<u32> {
        self.clock.mark(Stage::Actions);
        let found = if self.keys.are_of(self.lookup.table.port(port)) {
            self.lookup.classify_hashed(self.keys.key(i), self.keys.hash(i))
        } else {
            // A miss before it in the burst brought a flow that looks deeper than keys were extracted.
            let key = self.keys.whole(i, port, packet);
            self.lookup.classify(key)
        };
        self.clock.mark(Stage::Megaflow);
        found
    }
}

/// Stage 2.
#[inline(always)]
fn look_into_cache<'t>(lookup: &'t Lookup, keys: &Keys, found: &mut [Found], records: &mut [Option<&'t Hot>]) {
    let is_near = keys.are_near();
    for ((found, record), hash) in found.iter_mut().zip(records).zip(keys.hashes()) {
        match *found {
            Found::Nothing => {
                if let Some(number) = lookup.cache.find(*hash).next()
                    && let Some(hot) = lookup.table.hot(number)
                {
                    hot.prefetch(is_near);
                    *record = Some(hot);
                    *found = Found::Candidate(number);
                }
            }
            Found::Known(number) => *record = lookup.table.hot(number),
            _ => {}
        }
    }
}

/// Stage 3. Apart from the next one, so that the CPU waits for many records at once. Returns how many were right.
#[inline(always)]
fn verify(table: &FlowTable, keys: &Keys, found: &mut [Found], records: &mut [Option<&Hot>]) -> u64 {
    let mut hits = 0;
    for ((found, record), key) in found.iter_mut().zip(records).zip(keys.keys()) {
        if let Found::Candidate(number) = *found
            && let Some(hot) = *record
        {
            if table.matches(number, hot, key) {
                if let Some(act) = table.in_place(hot) {
                    dpdk::prefetch(act);
                }
                hits += 1;
                *found = Found::Known(number);
            } else {
                (*found, *record) = (Found::Nothing, None);
            }
        }
    }
    hits
}

/// Stage 4. The port that all packets that are left are to be sent to, if that is all that is left to do, and whether others are
/// to be dropped.
#[inline(always)]
fn change_in_place(
    table: &FlowTable,
    counters: &WorkerCounters,
    batch: &mut MbufBatch,
    found: &mut [Found],
    records: &[Option<&Hot>],
    now: Time,
) -> (u32, bool) {
    // The lowest and the highest port that a packet goes to.
    let (mut lowest, mut highest, mut dropped) = (NO_PORT, 0, false);
    for (packet, (found, record)) in batch.iter_mut().zip(found.iter_mut().zip(records)) {
        let mut port = NO_PORT;
        if let Some(hot) = *record {
            port = execute_in_place(table, hot, packet);
            if port != NO_PORT {
                hot.hits.add(1, packet.pkt_len() as u64, now);
                *found = Found::Done(DpPort(port));
            } else if let Some(reason) = table.program(hot).and_then(|program| program.only_drops()) {
                hot.hits.add(1, packet.pkt_len() as u64, now);
                counters.count_drop(reason);
                *found = Found::Dropped;
                dropped = true;
                continue;
            }
        }
        lowest = lowest.min(port);
        highest = highest.max(port);
    }
    (if lowest == highest { lowest } else { NO_PORT }, dropped)
}

/// Change the packet as its flow wants, when that is all but for sending it to one port: that port. Else it is as it was, and
/// there is [`NO_PORT`].
#[inline(always)]
fn execute_in_place(table: &FlowTable, hot: &Hot, packet: &mut Mbuf) -> u32 {
    let out = hot.out();
    if out != NO_PORT {
        return out;
    }
    match table.in_place(hot) {
        Some(act) if act.port != NO_PORT && change_quickly(packet, &act.rewrite) => act.port,
        _ => NO_PORT,
    }
}
