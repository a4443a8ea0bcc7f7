//! The flows that one worker knows: by number (which is the mark), and by key in a tuple space for each input port.
//!
//! The table belongs to its worker: no lock and no atomic but the flow's `dead` flag. A number that is unknown or of another
//! generation finds nothing; a flow that was removed finds nothing from the moment its flag is set, whatever still points to it.

use crate::flows::{FlowEntry, Shard, index_of};
use crate::hash::Seed;
use crate::mask::CompiledMask;
use crate::program::Program;
use flow::{DpPort, FlowKey, Mask};
use hashbrown::HashTable;
use std::sync::Arc;

/// No group of the present burst.
pub(crate) const NO_GROUP: u8 = u8::MAX;

/// A flow as its worker sees it.
#[derive(Debug)]
pub(crate) struct LocalFlow {
    pub(crate) mark: u32,
    pub(crate) in_port: u32,
    /// The group of the present burst that collects packets of this flow.
    pub(crate) group: u8,
    pub(crate) shard: Arc<Shard>,
    pub(crate) program: Arc<Program>,
    mask: Arc<CompiledMask>,
    key: FlowKey,
}

impl LocalFlow {
    /// Whether it is for packets as they are received on this port, not for those that come again.
    #[inline]
    pub(crate) fn is_first_pass_on(&self, port: DpPort) -> bool {
        self.in_port == port.0 && self.key.recirc_id.get() == 0
    }

    #[inline]
    fn is_hit_by(&self, key: &FlowKey) -> bool {
        self.mask.matches(key, &self.key) && !self.shard.is_dead()
    }
}

/// Flows of one mask: hash of the masked key to mark.
#[derive(Debug)]
struct Subtable {
    full_mask: Mask,
    mask: Arc<CompiledMask>,
    flows: HashTable<(u32, u32)>,
    /// Hits since the last ranking.
    hits: u64,
}

/// Spread 32 bits of a stored hash over the 64 that the hash table takes.
#[inline(always)]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// All flows of a worker.
#[derive(Debug)]
pub(crate) struct FlowTable {
    seed: Seed,
    flows: Vec<Option<LocalFlow>>,
    /// By input port.
    ports: Vec<Vec<Subtable>>,
    live: usize,
    lookups: u64,
}

/// Lookups between rankings of subtables.
const RANK_EVERY: u64 = 1 << 16;

impl FlowTable {
    pub(crate) fn new(seed: Seed) -> FlowTable {
        FlowTable { seed, flows: Vec::new(), ports: Vec::new(), live: 0, lookups: 0 }
    }

    /// The live flow with this number.
    #[inline]
    pub(crate) fn get(&self, mark: u32) -> Option<&LocalFlow> {
        let flow = self.flows.get(index_of(mark))?.as_ref()?;
        (flow.mark == mark && !flow.shard.is_dead()).then_some(flow)
    }

    /// A flow that was found in this burst, dead by now or not.
    #[inline]
    pub(crate) fn at_mut(&mut self, mark: u32) -> Option<&mut LocalFlow> {
        self.flows.get_mut(index_of(mark))?.as_mut()
    }

    /// Whether the flow with this number is alive and matches.
    #[inline]
    pub(crate) fn verify(&self, mark: u32, key: &FlowKey) -> bool {
        match self.flows.get(index_of(mark)) {
            Some(Some(flow)) => flow.mark == mark && flow.is_hit_by(key),
            _ => false,
        }
    }

    /// The flow that matches, and how many subtables were probed.
    #[inline]
    pub(crate) fn lookup(&mut self, key: &FlowKey) -> (Option<u32>, usize) {
        let Some(subtables) = self.ports.get_mut(key.in_port.get() as usize) else { return (None, 0) };
        self.lookups += 1;
        if self.lookups.is_multiple_of(RANK_EVERY) {
            rank(subtables);
        }
        let flows = &self.flows;
        for (probed, subtable) in subtables.iter_mut().enumerate() {
            let hash = subtable.mask.hash(self.seed, key) as u32;
            let found = subtable.flows.find(spread(hash), |&(h, mark)| {
                h == hash && matches!(flows.get(index_of(mark)), Some(Some(f)) if f.mark == mark && f.is_hit_by(key))
            });
            if let Some(&(_, mark)) = found {
                subtable.hits += 1;
                return (Some(mark), probed + 1);
            }
        }
        (None, subtables.len())
    }

    /// Add a flow. One with the same index must have been removed.
    pub(crate) fn insert(&mut self, entry: &FlowEntry, shard: Arc<Shard>) {
        let flow = &entry.flow;
        let (mark, port) = (flow.mark.0, flow.in_port().0);
        self.remove_index(index_of(mark));
        let place = port as usize;
        if self.ports.len() <= place {
            self.ports.resize_with(place + 1, Vec::new);
        }
        let subtables = &mut self.ports[place];
        let at = subtables.iter().position(|s| s.full_mask == flow.mask).unwrap_or_else(|| {
            let mask = Arc::new(CompiledMask::new(&flow.mask));
            subtables.push(Subtable { full_mask: flow.mask, mask, flows: HashTable::new(), hits: 0 });
            subtables.len() - 1
        });
        let subtable = &mut subtables[at];
        let hash = subtable.mask.hash(self.seed, &flow.key) as u32;
        subtable.flows.insert_unique(spread(hash), (hash, mark), |&(h, _)| spread(h));
        let local = LocalFlow {
            mark,
            in_port: port,
            group: NO_GROUP,
            shard,
            program: Arc::clone(&entry.program),
            mask: Arc::clone(&subtable.mask),
            key: flow.key,
        };
        let index = index_of(mark);
        if self.flows.len() <= index {
            self.flows.resize_with(index + 1, || None);
        }
        self.flows[index] = Some(local);
        self.live += 1;
    }

    /// Forget a flow, if it is still the one with this number.
    pub(crate) fn remove(&mut self, mark: u32) {
        if let Some(Some(flow)) = self.flows.get(index_of(mark))
            && flow.mark == mark
        {
            self.remove_index(index_of(mark));
        }
    }

    fn remove_index(&mut self, index: usize) {
        let Some(flow) = self.flows.get_mut(index).and_then(Option::take) else { return };
        self.live -= 1;
        let Some(subtables) = self.ports.get_mut(flow.in_port as usize) else { return };
        let Some(at) = subtables.iter().position(|s| Arc::ptr_eq(&s.mask, &flow.mask)) else { return };
        let hash = flow.mask.hash(self.seed, &flow.key) as u32;
        if let Ok(found) = subtables[at].flows.find_entry(spread(hash), |&(_, mark)| mark == flow.mark) {
            found.remove();
        }
        if subtables[at].flows.is_empty() {
            subtables.remove(at);
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Number of subtables of all ports.
    pub(crate) fn subtables(&self) -> usize {
        self.ports.iter().map(Vec::len).sum()
    }
}

/// Put the subtables that are hit most in front, and let old hits fade.
fn rank(subtables: &mut [Subtable]) {
    subtables.sort_by_key(|s| std::cmp::Reverse(s.hits));
    for subtable in subtables {
        subtable.hits /= 2;
    }
}
