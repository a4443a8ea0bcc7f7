//! All flows of the datapath, once each, whichever workers use them: identity, marks, dependencies.
//!
//! One lock guards the registry. It is taken on a miss, by revalidation and to show flows, never for a packet that hits.

use super::arena::Arena;
use super::sync::Mutex;
use super::sync::atomic::{AtomicU64, Ordering};
use crate::hash::Seed;
use crate::program::Program;
use flow::clock::Time;
use flow::dp::{Change, Dep, DepSet, DpFlow, FlowId, Hits, Mark, Translation};
use flow::{FlowKey, Mask};
use hashbrown::{HashMap, HashSet, HashTable};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bits of a mark that are the flow's index; those above are the generation.
const INDEX_BITS: u32 = 18;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATIONS: u32 = 1 << (Mark::BITS - INDEX_BITS);

/// Number of marks that can be in use at once. Index 0 is not used, so that no mark is 0.
pub const MAX_FLOWS: usize = INDEX_MASK as usize;

/// Batches of changes that installs can be checked against; older translations are not installed.
const REMEMBERED_CHANGES: usize = 64;

/// The index in a mark.
#[inline(always)]
pub(crate) fn index_of(mark: u32) -> usize {
    (mark & INDEX_MASK) as usize
}

/// A worker that uses a flow, and how much of what it counted was replayed already.
#[derive(Debug)]
struct Ledger {
    arena: Arc<Arena>,
    replayed: Hits,
}

/// A flow with what may change about it.
#[derive(Debug)]
pub(crate) struct FlowEntry {
    pub(crate) flow: Arc<DpFlow>,
    pub(crate) program: Arc<Program>,
    pub(crate) created: Time,
    /// What the latest translation depended on; the registry's index follows it.
    deps: Mutex<DepSet>,
    written: Mutex<Option<Box<Mask>>>,
    ledgers: Mutex<SmallVec<[Ledger; 1]>>,
    hw_packets: AtomicU64,
    hw_bytes: AtomicU64,
    hw_used: AtomicU64,
}

impl FlowEntry {
    /// Let a worker use the flow. `first` is the packet that brought it, whose effects were replayed already.
    fn begin_on(&self, arena: &Arc<Arena>, first: &Hits) {
        let mut ledgers = self.ledgers.lock();
        match ledgers.iter_mut().find(|ledger| Arc::ptr_eq(&ledger.arena, arena)) {
            Some(ledger) => {
                arena.add(self.flow.mark.0, first);
                ledger.replayed.add(first);
            }
            None => {
                arena.begin(self.flow.mark.0, first);
                ledgers.push(Ledger { arena: Arc::clone(arena), replayed: *first });
            }
        }
    }

    /// Hits on workers that nobody has replayed yet; they count as replayed from now on.
    pub(crate) fn take_unreplayed(&self) -> Hits {
        let mut sum = Hits::default();
        for ledger in self.ledgers.lock().iter_mut() {
            let now = ledger.arena.hits(self.flow.mark.0);
            let delta = Hits {
                packets: now.packets.wrapping_sub(ledger.replayed.packets),
                bytes: now.bytes.wrapping_sub(ledger.replayed.bytes),
                used: now.used,
            };
            ledger.replayed = now;
            sum.add(&delta);
        }
        sum
    }

    /// Hits on workers.
    pub(crate) fn software(&self) -> Hits {
        let mut sum = Hits::default();
        for ledger in self.ledgers.lock().iter() {
            sum.add(&ledger.arena.hits(self.flow.mark.0));
        }
        sum
    }

    /// Hits that hardware reported.
    pub(crate) fn hardware(&self) -> Hits {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Hits { packets: get(&self.hw_packets), bytes: get(&self.hw_bytes), used: Time(get(&self.hw_used)) }
    }

    pub(crate) fn add_hardware(&self, hits: &Hits) {
        self.hw_packets.fetch_add(hits.packets, Ordering::Relaxed);
        self.hw_bytes.fetch_add(hits.bytes, Ordering::Relaxed);
        self.hw_used.fetch_max(hits.used.0, Ordering::Relaxed);
    }

    /// When a packet last used the flow, wherever.
    pub(crate) fn last_used(&self) -> Time {
        self.created.max(self.software().used).max(self.hardware().used)
    }

    /// From now on no worker that looks uses the flow.
    pub(crate) fn kill(&self) {
        for ledger in self.ledgers.lock().iter() {
            ledger.arena.end(self.flow.mark.0);
        }
    }
}

/// Why a flow was not installed. The packet is forwarded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Limit,
    Marks,
    Stale,
}

/// A flow that a worker may use.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) entry: Arc<FlowEntry>,
    pub(crate) new: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Arc<FlowEntry>>,
}

/// A miss's outcome, to be kept.
pub(crate) struct Candidate<'a> {
    pub(crate) key: &'a FlowKey,
    pub(crate) translation: &'a Translation,
    pub(crate) program: Arc<Program>,
    /// The change epoch before the translation began.
    pub(crate) epoch: u64,
    /// The packet that missed.
    pub(crate) first: Hits,
    /// The records of the worker that missed.
    pub(crate) arena: &'a Arc<Arena>,
}

/// Whether a change can concern packets of a flow that depends on it.
fn is_met(change: &Change, key: &FlowKey, mask: &Mask, written: Option<&Mask>) -> bool {
    change.scope.as_ref().is_none_or(|scope| scope.meets(key, mask, written))
}

/// All live flows.
#[derive(Debug)]
pub(crate) struct Registry {
    seed: Seed,
    slots: Vec<Slot>,
    /// Indexes to use again, the one that rested longest first.
    free: VecDeque<u32>,
    by_match: HashTable<u32>,
    by_dep: HashMap<Dep, HashSet<u32>>,
    live: usize,
    limit: usize,
    next_id: u64,
    recent: VecDeque<(u64, Vec<Change>)>,
    epoch: u64,
}

impl Registry {
    pub(crate) fn new(seed: Seed, limit: usize) -> Registry {
        Registry {
            seed,
            slots: vec![Slot::default()],
            free: VecDeque::new(),
            by_match: HashTable::new(),
            by_dep: HashMap::new(),
            live: 0,
            limit: limit.min(MAX_FLOWS),
            next_id: 1,
            recent: VecDeque::new(),
            epoch: 0,
        }
    }

    fn hash(&self, masked: &FlowKey, mask: &Mask) -> u64 {
        self.seed.mix(self.seed.key(masked), self.seed.key(&mask.0), 0)
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Keep a translation, or join the flow that another worker made of the same.
    pub(crate) fn install(&mut self, candidate: Candidate<'_>) -> Result<Granted, Refusal> {
        let translation = candidate.translation;
        let mut mask = translation.mask;
        mask.require(flow::FieldId::InPort);
        mask.require(flow::FieldId::RecircId);
        let key = candidate.key.masked(&mask);
        let concerns = |change: &Change| {
            translation.deps.contains(&change.dep) && is_met(change, &key, &mask, translation.written.as_deref())
        };
        if self.changed_since(candidate.epoch, concerns) {
            return Err(Refusal::Stale);
        }
        let hash = self.hash(&key, &mask);
        let same = |i: &u32| self.entry(*i).is_some_and(|e| e.flow.mask == mask && e.flow.key == key);
        if let Some(entry) = self.by_match.find(hash, same).and_then(|i| self.entry(*i)) {
            // Another answer for the same match: one of the two is about to be revalidated.
            if entry.flow.actions != translation.actions || entry.flow.effects != translation.effects {
                return Err(Refusal::Stale);
            }
            entry.begin_on(candidate.arena, &candidate.first);
            return Ok(Granted { entry: Arc::clone(entry), new: false });
        }
        if self.live >= self.limit {
            return Err(Refusal::Limit);
        }
        let index = self.free_index().ok_or(Refusal::Marks)?;
        let slot = &mut self.slots[index as usize];
        let flow = Arc::new(DpFlow {
            id: FlowId(self.next_id),
            key,
            mask,
            actions: translation.actions.clone(),
            deps: translation.deps.clone(),
            effects: translation.effects.clone(),
            mark: Mark(slot.generation << INDEX_BITS | index),
        });
        let entry = Arc::new(FlowEntry {
            flow,
            program: candidate.program,
            created: candidate.first.used,
            deps: Mutex::new(translation.deps.clone()),
            written: Mutex::new(translation.written.clone()),
            ledgers: Mutex::default(),
            hw_packets: AtomicU64::new(0),
            hw_bytes: AtomicU64::new(0),
            hw_used: AtomicU64::new(0),
        });
        entry.begin_on(candidate.arena, &candidate.first);
        slot.entry = Some(Arc::clone(&entry));
        self.next_id += 1;
        self.live += 1;
        let (slots, seed) = (&self.slots, self.seed);
        self.by_match.insert_unique(hash, index, |i| {
            let entry = slots[*i as usize].entry.as_ref();
            entry.map_or(0, |e| seed.mix(seed.key(&e.flow.key), seed.key(&e.flow.mask.0), 0))
        });
        for dep in &translation.deps {
            self.by_dep.entry(*dep).or_default().insert(index);
        }
        Ok(Granted { entry, new: true })
    }

    fn free_index(&mut self) -> Option<u32> {
        // Fresh indexes first: those that were used rest as long as there is room.
        if self.slots.len() <= self.limit {
            let index = u32::try_from(self.slots.len()).ok()?;
            self.slots.push(Slot::default());
            return Some(index);
        }
        if let Some(index) = self.free.pop_front() {
            return Some(index);
        }
        let index = u32::try_from(self.slots.len()).ok().filter(|i| *i <= INDEX_MASK)?;
        self.slots.push(Slot::default());
        Some(index)
    }

    fn entry(&self, index: u32) -> Option<&Arc<FlowEntry>> {
        self.slots.get(index as usize)?.entry.as_ref()
    }

    /// The live flow, if this is still it.
    pub(crate) fn find(&self, flow: &DpFlow) -> Option<&Arc<FlowEntry>> {
        self.slots.get(index_of(flow.mark.0))?.entry.as_ref().filter(|e| e.flow.id == flow.id)
    }

    /// Take a flow out. Its mark stays taken until [`Registry::release`]. `false` when it was out already.
    pub(crate) fn remove(&mut self, entry: &FlowEntry) -> bool {
        if self.find(&entry.flow).is_none() {
            return false;
        }
        let index = index_of(entry.flow.mark.0);
        self.slots[index].entry = None;
        self.live -= 1;
        let hash = self.hash(&entry.flow.key, &entry.flow.mask);
        if let Ok(found) = self.by_match.find_entry(hash, |i| *i as usize == index) {
            found.remove();
        }
        for dep in entry.deps.lock().iter() {
            self.unlink(*dep, index as u32);
        }
        true
    }

    fn unlink(&mut self, dep: Dep, index: u32) {
        if let Some(flows) = self.by_dep.get_mut(&dep) {
            flows.remove(&index);
            if flows.is_empty() {
                self.by_dep.remove(&dep);
            }
        }
    }

    /// The mark of a removed flow may be used again, under the next generation.
    pub(crate) fn release(&mut self, mark: Mark) {
        let index = index_of(mark.0);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.generation = (slot.generation + 1) % GENERATIONS;
            self.free.push_back(index as u32);
        }
    }

    /// A flow was translated again and does the same for other reasons.
    pub(crate) fn set_deps(&mut self, entry: &FlowEntry, again: &Translation) {
        let deps = &again.deps;
        if self.find(&entry.flow).is_none() {
            return;
        }
        let index = index_of(entry.flow.mark.0) as u32;
        entry.written.lock().clone_from(&again.written);
        let old = std::mem::replace(&mut *entry.deps.lock(), deps.clone());
        for dep in old.iter().filter(|dep| !deps.contains(dep)) {
            self.unlink(*dep, index);
        }
        for dep in deps {
            self.by_dep.entry(*dep).or_default().insert(index);
        }
    }

    /// Note that these changed: translations begun before are not installed if they depend on them. Returns the new epoch
    /// and the flows to look at again.
    pub(crate) fn note_changes(&mut self, changes: &[Change]) -> (u64, Vec<Arc<FlowEntry>>) {
        self.epoch += 1;
        if self.recent.len() == REMEMBERED_CHANGES {
            self.recent.pop_front();
        }
        self.recent.push_back((self.epoch, changes.to_vec()));
        let mut affected = HashSet::new();
        for change in changes {
            let met = |i: &u32| {
                let entry = self.entry(*i);
                entry.is_some_and(|e| is_met(change, &e.flow.key, &e.flow.mask, e.written.lock().as_deref()))
            };
            let dependents = self.by_dep.get(&change.dep).into_iter().flatten();
            affected.extend(dependents.copied().filter(met));
        }
        let mut affected: Vec<u32> = affected.into_iter().collect();
        affected.sort_unstable();
        (self.epoch, affected.into_iter().filter_map(|i| self.entry(i).cloned()).collect())
    }

    fn changed_since(&self, epoch: u64, concerns: impl Fn(&Change) -> bool) -> bool {
        if epoch == self.epoch {
            return false;
        }
        match self.recent.front() {
            Some((oldest, _)) if *oldest <= epoch + 1 => {}
            _ => return true,
        }
        self.recent.iter().rev().take_while(|(e, _)| *e > epoch).any(|(_, changed)| changed.iter().any(&concerns))
    }

    /// The live flows with an index in `from..from + n`, and whether there may be more behind.
    pub(crate) fn chunk(&self, from: usize, n: usize) -> (Vec<Arc<FlowEntry>>, bool) {
        let end = (from + n).min(self.slots.len());
        let slots = self.slots.get(from..end).unwrap_or_default();
        (slots.iter().filter_map(|s| s.entry.clone()).collect(), end < self.slots.len())
    }
}
