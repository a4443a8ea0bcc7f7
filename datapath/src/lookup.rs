//! From a key to a flow's program: cache, megaflow table, slow path.

use crate::arena::Arena;
use crate::cache::FlowCache;
use crate::counters::WorkerCounters;
use crate::flows::{Candidate, Granted, Refusal, flow_mask, index_of};
use crate::program::{Program, Programs};
use crate::shared::Shared;
use crate::table::{FlowTable, HashesBefore};
use flow::clock::Time;
use flow::dp::{Cacheable, DpAction, DropReason, Hits, RecircId, Resume};
use flow::{DpPort, FlowKey, Mask};
use std::sync::Arc;

/// The flows that a worker knows, and the way to those that it does not.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) table: FlowTable,
    pub(crate) cache: FlowCache,
    programs: Programs,
    /// Misses that may still be translated; those beyond are dropped as `miss_budget`.
    pub(crate) misses_left: u32,
    over_budget: Arc<Program>,
    shared: Arc<Shared>,
    counters: Arc<WorkerCounters>,
}

impl Lookup {
    pub(crate) fn new(shared: Arc<Shared>, counters: Arc<WorkerCounters>) -> Lookup {
        let table = FlowTable::new(shared.seed, Arc::new(Arena::new()));
        let cache = FlowCache::new(shared.config.cache_entries);
        let over_budget = Arc::new(Program::new(&[DpAction::Drop(DropReason::MissBudget)]));
        Lookup { table, cache, programs: Programs::default(), misses_left: u32::MAX, over_budget, shared, counters }
    }

    /// The number of the flow that a packet with this key hits.
    #[inline]
    pub(crate) fn classify(&mut self, key: &FlowKey) -> Option<u32> {
        let table = self.table.of(key)?;
        let (hash, before) = (table.hash(key), table.hashes_before(key));
        self.classify_hashed(key, hash, &before)
    }

    /// The hashes that a packet may have been cached under before. Their lines are asked for.
    #[inline]
    pub(crate) fn expect(&self, key: &FlowKey) -> HashesBefore {
        let before = self.table.of(key).map(|table| table.hashes_before(key)).unwrap_or_default();
        before.iter().for_each(|hash| self.cache.prefetch(*hash));
        before
    }

    /// As [`Lookup::classify`], with the hash that the key is cached under, and those before.
    #[inline]
    pub(crate) fn classify_hashed(&mut self, key: &FlowKey, hash: u64, before: &[u64]) -> Option<u32> {
        let table = &self.table;
        if let Some(number) = self.cache.find(hash).find(|number| table.verify(*number, key)) {
            self.counters.cache_hit.add(1);
            return Some(number);
        }
        if let Some(number) = self.cached_before(key, before) {
            self.counters.cache_hit.add(1);
            self.remember(hash, number);
            return Some(number);
        }
        let (found, probed) = self.table.lookup(key);
        self.counters.subtables_probed.add(probed as u64);
        if let Some(number) = found {
            self.counters.megaflow_hit.add(1);
            self.remember(hash, number);
        }
        found
    }

    /// The flow that the packet was cached for before flows of its port began or ended to look at other fields.
    fn cached_before(&mut self, key: &FlowKey, before: &[u64]) -> Option<u32> {
        let table = &self.table;
        let mut hashes = before.iter();
        let found = hashes.find_map(|hash| self.cache.find(*hash).find(|number| table.verify(*number, key)));
        if found.is_none() {
            self.table.note_strange(key);
        }
        found
    }

    /// The program for a packet that comes again under another recirculation. The hit is counted.
    pub(crate) fn another_pass(&mut self, key: &FlowKey, bytes: usize, now: Time) -> Arc<Program> {
        self.counters.recirculated.add(1);
        if let Some(hot) = self.classify(key).and_then(|number| self.table.hot(number))
            && let Some(program) = self.table.program(hot)
        {
            hot.hits.add(1, bytes as u64, now);
            return Arc::clone(program);
        }
        self.miss(key, None, bytes, now)
    }

    /// Translate for a packet that hits no flow, and install what is learned from that. The packet counts for the flow.
    /// `next`: the key of a packet that may be the next to miss, so that memory can be asked for meanwhile.
    #[cold]
    pub(crate) fn miss(&mut self, key: &FlowKey, next: Option<&FlowKey>, bytes: usize, now: Time) -> Arc<Program> {
        if self.misses_left == 0 {
            return Arc::clone(&self.over_budget);
        }
        self.misses_left -= 1;
        self.counters.miss.add(1);
        if let Some(next) = next {
            self.table.prefetch(next);
        }
        let first = Hits { packets: 1, bytes: bytes as u64, used: now };
        // Before translating: what changes from here on is found out at the install.
        let epoch = self.shared.epoch();
        let at = Resume { recirc_id: RecircId(key.recirc_id.get()) };
        let translation = self.shared.slowpath.translate_first(&at, key, &first);
        self.counters.untranslatable.add(u64::from(is_error(&translation.actions)));
        if translation.cacheable == Cacheable::Yes {
            let mask = flow_mask(&translation);
            let masked = key.masked(&mask);
            let arena = self.table.arena();
            let candidate =
                Candidate { key: &masked, mask: &mask, translation: &translation, epoch, first, arena, next };
            match self.shared.install(&candidate) {
                Ok(granted) => {
                    let kept = self.learn(key, &masked, &mask, &granted);
                    let counter = match (kept, granted.new) {
                        (false, _) => &self.counters.refused_masks,
                        (true, true) => &self.counters.installed,
                        (true, false) => &self.counters.adopted,
                    };
                    counter.add(1);
                    return granted.program;
                }
                Err(Refusal::Limit) => self.counters.refused_limit.add(1),
                Err(Refusal::Marks) => self.counters.refused_marks.add(1),
                Err(Refusal::Stale) => self.counters.refused_stale.add(1),
            }
        } else {
            self.counters.uncacheable.add(1);
        }
        self.programs.get(&translation.actions)
    }

    /// Keep a flow that was granted to this worker. `false`: its table has no room for another mask.
    fn learn(&mut self, key: &FlowKey, masked: &FlowKey, mask: &Mask, granted: &Granted) -> bool {
        if !self.table.insert(granted.mark, masked, mask, &granted.program) {
            return false;
        }
        if let Some(hash) = self.table.of(key).map(|table| table.hash(key)) {
            self.remember(hash, index_of(granted.mark) as u32);
        }
        true
    }

    /// The number of what is left of a flow for packets that came changed on this port. `None`: nobody knows this mark. Asked for
    /// when this worker does not know it. Takes the registry's lock once for each rest, not for marks of which there is none: a
    /// device may put those on any number of packets.
    #[cold]
    pub(crate) fn rest(&mut self, mark: u32, port: DpPort) -> Option<u32> {
        if !self.shared.rests.may_have(mark) {
            return None;
        }
        let program = self.shared.registry.lock_now().join_rest(mark, port, self.table.arena())?;
        self.table.insert_rest(mark, port, &program)
    }

    /// Let flows that changed do what they are to do by now.
    pub(crate) fn catch_up(&mut self, marks: &[u32]) {
        let mut registry = self.shared.registry.lock_now();
        for mark in marks {
            // Also of flows that the table had no room for: what they count from now on is for the rules of now. It passes over
            // marks that it does not know.
            if let Some(program) = registry.catch_up(*mark, self.table.arena()) {
                self.table.set_program(*mark, &program);
            }
        }
    }

    /// Put a flow into the cache.
    fn remember(&mut self, hash: u64, number: u32) {
        let table = &self.table;
        let pushed = self.cache.insert(hash, number, |other| table.is_live(other));
        let counter = if pushed { &self.counters.cache_replaced } else { &self.counters.cache_filled };
        counter.add(1);
    }
}

/// Whether these are the actions of a translation that failed.
fn is_error(actions: &[DpAction]) -> bool {
    use DropReason::{NoBridge, RecircLimit, ResubmitLimit, StaleRecirc, Unsupported};
    let failed =
        |reason: &DropReason| matches!(reason, NoBridge | RecircLimit | ResubmitLimit | StaleRecirc | Unsupported);
    matches!(actions, [DpAction::Drop(reason)] if failed(reason))
}
