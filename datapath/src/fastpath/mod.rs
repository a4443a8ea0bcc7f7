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
//! A port with one flow that looks no deeper than at addresses and ethertype needs none of this: the whole burst is
//! compared with it.

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
use crate::table::{FlowTable, HashesBefore};
use burst::Burst;
use dpdk::{BURST, BatchSummary, Mbuf, MbufBatch};
use flow::DpPort;
use flow::clock::Time;
use flow::dp::{DropReason, Mark};
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
    /// What is special about packets whose bit is in `odd`.
    specials: [Special; BURST],
    odd: u32,
    /// The number of each packet's flow, where one was found.
    numbers: [u32; BURST],
    /// What became of each packet.
    ends: [u32; BURST],
    /// What packets that are searched for may have been cached under before.
    before: [HashesBefore; BURST],
    /// The packets of a burst that are sent, when some are dropped.
    kept: MbufBatch,
}

/// A packet that is not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    /// Its flow has this number: hardware said so.
    Known(u32),
    Refused(DropReason),
}

/// What became of a packet that was not changed in place to be sent to a port. No port has such a number.
mod end {
    use super::NO_PORT;

    /// It is not known which flow it hits.
    pub(super) const UNKNOWN: u32 = NO_PORT;
    /// The flow is known, and not executed.
    pub(super) const KNOWN: u32 = NO_PORT - 1;
    /// The flow was executed: it drops the packet.
    pub(super) const DROPPED: u32 = NO_PORT - 2;
    /// It is not to be looked up.
    pub(super) const REFUSED: u32 = NO_PORT - 3;
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
            specials: [Special::Known(0); BURST],
            odd: 0,
            numbers: [0; BURST],
            ends: [end::UNKNOWN; BURST],
            before: Default::default(),
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
        self.odd = 0;
        if !plain {
            self.receive_specials(port, batch);
        }
        let FastPath { lookup, keys, odd, .. } = self;
        let table = lookup.table.port(port);
        keys.begin(port, table);
        if let Some(table) = table {
            keys.extract(batch, table, *odd, |hash| lookup.cache.prefetch(hash));
        }
    }

    #[cold]
    fn receive_specials(&mut self, port: DpPort, batch: &mut MbufBatch) {
        for (i, packet) in batch.iter_mut().enumerate().take(BURST) {
            if !packet.is_plain(packet::ETHERNET)
                && let Some(special) = self.receive_special(port, packet)
            {
                self.specials[i] = special;
                self.odd |= 1 << i;
            }
        }
    }

    /// A packet with anything that most packets have not: a mark, tags beside its bytes, several segments, too few bytes.
    fn receive_special(&mut self, port: DpPort, packet: &mut Mbuf) -> Option<Special> {
        let mark = match packet::receive_check(packet, port, &self.shared.pool) {
            Ok(mark) => mark,
            Err(reason) => return Some(Special::Refused(reason)),
        };
        let mark = mark?;
        let changed = Mark(mark).is_of_changed();
        let known = self.lookup.table.by_mark(mark, port);
        let known = known.or_else(|| if changed { self.lookup.rest(mark, port) } else { None });
        match known {
            // Hardware found the flow already, and it is still that flow.
            Some(number) => {
                self.counters.mark_hit.add(1);
                self.counters.mark_resumed.add(changed.into());
                Some(Special::Known(number))
            }
            None => {
                self.counters.mark_unknown.add(1);
                // By its bytes a packet that was changed would be taken for another's.
                changed.then_some(Special::Refused(DropReason::StaleMark))
            }
        }
    }

    /// Stages 2 to 4. The port that all packets that are left are to be sent to, if that is all that is left to do.
    #[inline]
    fn find_and_change(&mut self, batch: &mut MbufBatch, now: Time) -> Option<DpPort> {
        let packets = batch.len().min(BURST);
        let FastPath { lookup, keys, specials, odd, numbers, ends, counters, clock, .. } = self;
        let (numbers, ends) = (&mut numbers[..packets], &mut ends[..packets]);
        // The record of each packet's flow: looked up once.
        let mut records = [None; BURST];
        let records = &mut records[..packets];
        look_into_cache(lookup, keys, numbers, records);
        if *odd != 0 {
            // What their keys are is of earlier packets.
            odd_ones(*odd, packets).for_each(|i| records[i] = None);
        }
        counters.cache_hit.add(verify(&lookup.table, keys, numbers, records));
        if *odd != 0 {
            for i in odd_ones(*odd, packets) {
                if let Special::Known(number) = specials[i] {
                    (numbers[i], records[i]) = (number, lookup.table.hot(number));
                }
            }
        }
        clock.mark(Stage::Cache);
        let (to, dropped) = change_in_place(&lookup.table, counters, batch, ends, records, now);
        if *odd != 0 {
            for i in odd_ones(*odd, packets) {
                if matches!(specials[i], Special::Refused(_)) {
                    ends[i] = end::REFUSED;
                }
            }
        }
        if to != NO_PORT && dropped {
            self.drop_from(batch);
        }
        (to != NO_PORT).then_some(DpPort(to))
    }

    /// Take the packets out of a burst whose flows drop them.
    fn drop_from(&mut self, batch: &mut MbufBatch) {
        for (packet, end) in batch.drain().zip(&self.ends) {
            if *end != end::DROPPED {
                // As many packets as were in another batch find room.
                drop(self.kept.push(packet));
            }
        }
        batch.append_from(&mut self.kept, BURST);
    }

    /// What is left of stage 4.
    fn act(&mut self, port: DpPort, batch: &mut MbufBatch, now: Time) -> BurstReport {
        let mut report = BurstReport::default();
        for (i, end) in self.ends.iter().enumerate().take(batch.len()) {
            if *end == end::UNKNOWN {
                self.before[i] = self.lookup.expect(self.keys.key(i));
            }
        }
        for (i, packet) in batch.drain().enumerate() {
            let i = i % BURST;
            let number = match self.ends[i] {
                end::DROPPED => continue,
                end::KNOWN => Some(self.numbers[i]),
                end::UNKNOWN => self.search(i, port, &packet),
                end::REFUSED => {
                    if let Special::Refused(reason) = self.specials[i] {
                        self.counters.count_drop(reason);
                    }
                    continue;
                }
                to => {
                    self.executor.egress.send(DpPort(to), packet);
                    continue;
                }
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
        let next = (self.ends.get(i + 1) == Some(&end::UNKNOWN)).then(|| self.keys.key(i + 1));
        let program = self.lookup.miss(self.keys.key(i), next, packet.pkt_len(), now);
        self.clock.mark(Stage::Translate);
        self.executor.execute_deep(&program, packet, port, now, &mut self.lookup);
    }

    /// The flow of a packet that the cache does not know.
    #[cold]
    fn search(&mut self, i: usize, port: DpPort, packet: &Mbuf) -> Option<u32> {
        self.clock.mark(Stage::Actions);
        let found = if self.keys.are_of(self.lookup.table.port(port)) {
            self.lookup.classify_hashed(self.keys.key(i), self.keys.hash(i), &self.before[i % BURST])
        } else {
            // A miss before it in the burst brought a flow that looks deeper than keys were extracted.
            let key = self.keys.whole(i, port, packet);
            self.lookup.classify(key)
        };
        self.clock.mark(Stage::Megaflow);
        found
    }
}

/// The packets of a burst whose bit is set.
fn odd_ones(odd: u32, packets: usize) -> impl Iterator<Item = usize> {
    (0..packets.min(BURST)).filter(move |i| odd >> i & 1 != 0)
}

/// Stage 2.
#[inline(always)]
fn look_into_cache<'t>(lookup: &'t Lookup, keys: &Keys, numbers: &mut [u32], records: &mut [Option<&'t Hot>]) {
    let is_near = keys.are_near();
    for ((number, record), hash) in numbers.iter_mut().zip(records).zip(keys.hashes()) {
        if let Some(candidate) = lookup.cache.find(*hash).next()
            && let Some(hot) = lookup.table.hot(candidate)
        {
            hot.prefetch(is_near);
            (*number, *record) = (candidate, Some(hot));
        }
    }
}

/// Stage 3. Apart from the next one, so that the CPU waits for many records at once. Returns how many were right.
#[inline(always)]
fn verify(table: &FlowTable, keys: &Keys, numbers: &[u32], records: &mut [Option<&Hot>]) -> u64 {
    let near = keys.near();
    let mut hits = 0;
    for ((number, record), key) in numbers.iter().zip(records).zip(keys.keys()) {
        if let Some(hot) = *record {
            if table.matches(*number, hot, key, near) {
                if let Some(act) = table.in_place(hot) {
                    dpdk::prefetch(act);
                }
                hits += 1;
            } else {
                *record = None;
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
    ends: &mut [u32],
    records: &[Option<&Hot>],
    now: Time,
) -> (u32, bool) {
    // The lowest and the highest port that a packet goes to.
    let (mut lowest, mut highest, mut dropped) = (NO_PORT, 0, false);
    for (packet, (end, record)) in batch.iter_mut().zip(ends.iter_mut().zip(records)) {
        let mut to = end::UNKNOWN;
        if let Some(hot) = *record {
            to = execute_in_place(table, hot, packet);
            if to != NO_PORT {
                hot.hits.add(1, packet.pkt_len() as u64, now);
            } else if let Some(reason) = table.program(hot).and_then(|program| program.only_drops()) {
                hot.hits.add(1, packet.pkt_len() as u64, now);
                counters.count_drop(reason);
                *end = end::DROPPED;
                dropped = true;
                continue;
            } else {
                to = end::KNOWN;
            }
        }
        *end = to;
        lowest = lowest.min(to);
        highest = highest.max(to);
    }
    (if lowest == highest && highest < end::REFUSED { lowest } else { NO_PORT }, dropped)
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
