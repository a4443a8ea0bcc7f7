//! One flow as the registry keeps it: numbers of what it shares with others, and who used it how much.

use super::super::arena::Arena;
use super::effects::Effects;
use super::owned::OwnDeps;
use crate::program::Program;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, Hits};
use smallvec::SmallVec;
use std::sync::Arc;

/// Actions and what they are as steps.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) actions: Box<[DpAction]>,
    pub(crate) program: Arc<Program>,
}

/// A worker that uses a flow, and how much of what it counted was replayed already.
#[derive(Debug)]
pub(crate) struct Ledger {
    arena: Arc<Arena>,
    packets: u64,
    bytes: u64,
    /// What its hits do, when the worker does not know yet that the flow does something else by now.
    behind: Option<Box<Effects>>,
}

impl Ledger {
    fn take_unreplayed(&mut self, mark: u32) -> Hits {
        let now = self.arena.hits(mark);
        let packets = now.packets.wrapping_sub(self.packets);
        let bytes = now.bytes.wrapping_sub(self.bytes);
        (self.packets, self.bytes) = (now.packets, now.bytes);
        Hits { packets, bytes, used: now.used }
    }
}

/// The workers that use a flow.
#[derive(Debug, Default)]
pub(crate) struct Ledgers(SmallVec<[Ledger; 1]>);

impl Ledgers {
    /// Let a worker use the flow. `first` is the packet that brought it, whose effects were replayed already.
    pub(crate) fn begin(&mut self, mark: u32, arena: &Arc<Arena>, first: &Hits) {
        match self.0.iter_mut().find(|ledger| Arc::ptr_eq(&ledger.arena, arena)) {
            Some(ledger) => {
                arena.add(mark, first);
                ledger.packets += first.packets;
                ledger.bytes += first.bytes;
            }
            None => {
                arena.begin(mark, first);
                let (packets, bytes) = (first.packets, first.bytes);
                self.0.push(Ledger { arena: Arc::clone(arena), packets, bytes, behind: None });
            }
        }
    }

    /// Hand out the hits that nobody has replayed yet, with their effects, `None` for those that the flow has today; they count as
    /// replayed from now on. Returns when the flow was last hit.
    pub(crate) fn take_unreplayed(&mut self, mark: u32, mut each: impl FnMut(Option<&Effects>, Hits)) -> Time {
        let mut used = Time::default();
        for ledger in &mut self.0 {
            let hits = ledger.take_unreplayed(mark);
            used = used.max(hits.used);
            if hits.packets > 0 {
                each(ledger.behind.as_deref(), hits);
            }
        }
        used
    }

    /// The flow has other effects, but its workers do not know yet.
    pub(crate) fn fall_behind(&mut self, effects: &Effects) {
        for ledger in &mut self.0 {
            ledger.behind.get_or_insert_with(|| Box::new(effects.clone()));
        }
    }

    /// A worker does what the flow does, from now on. The hits that were not replayed, with what it did.
    pub(crate) fn catch_up(&mut self, mark: u32, arena: &Arc<Arena>) -> Option<(Box<Effects>, Hits)> {
        let ledger = self.0.iter_mut().find(|ledger| Arc::ptr_eq(&ledger.arena, arena))?;
        let behind = ledger.behind.take()?;
        Some((behind, ledger.take_unreplayed(mark)))
    }

    /// All hits.
    pub(crate) fn hits(&self, mark: u32) -> Hits {
        let mut sum = Hits::default();
        self.0.iter().for_each(|ledger| sum.add(&ledger.arena.hits(mark)));
        sum
    }

    /// Tell the CPU that the flow with this number will end.
    pub(crate) fn prefetch(&self, index: usize) {
        self.0.iter().for_each(|ledger| ledger.arena.prefetch_mark(index));
    }

    /// From now on no worker that looks uses the flow.
    pub(crate) fn end(&self, mark: u32) {
        self.0.iter().for_each(|ledger| ledger.arena.end(mark));
    }
}

/// What only flows that hardware may have need.
#[derive(Debug)]
pub(crate) struct Offloaded {
    pub(crate) flow: Arc<DpFlow>,
    pub(crate) hits: Hits,
    /// Hardware does all of the flow's work, and all its packets until then are in `hits`.
    pub(crate) read: Option<Time>,
    /// Packets in software when they were last sampled.
    pub(crate) sampled: u64,
}

impl Offloaded {
    pub(crate) fn new(flow: Arc<DpFlow>) -> Offloaded {
        Offloaded { flow, hits: Hits::default(), read: None, sampled: 0 }
    }

    /// Until when it is known whether the flow had packets. Time in which a counter could not be read is no idle time.
    pub(crate) fn known_until(&self, now: Time) -> Time {
        self.read.map_or(now, |read| read.min(now))
    }
}

/// A live flow.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) id: FlowId,
    pub(crate) created: Time,
    /// Its class and the place in it: mask, key, dependencies, and the rules that it counts for.
    pub(crate) class: u32,
    pub(crate) row: u32,
    pub(crate) own: OwnDeps,
    pub(crate) deed: u32,
    /// The pattern of its effects; their rules are in its row.
    pub(crate) effects: u32,
    pub(crate) ledgers: Ledgers,
    pub(crate) offloaded: Option<Box<Offloaded>>,
}

/// A flow that was taken out: what is left to do for it.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) id: FlowId,
    pub(crate) mark: u32,
    pub(crate) effects: Effects,
    pub(crate) ledgers: Ledgers,
    pub(crate) flow: Option<Arc<DpFlow>>,
    /// Bytes by which its packets are longer than they came: see [`shrink`].
    pub(crate) grown: i64,
}

impl Removed {
    /// Hand out the hits that nobody has replayed yet; they count as replayed from now on.
    pub(crate) fn take_unreplayed(&mut self, mut each: impl FnMut(&Effects, &Hits)) {
        let (today, grown) = (&self.effects, self.grown);
        self.ledgers.take_unreplayed(self.mark, |behind, hits| each(behind.unwrap_or(today), &shrink(hits, grown)));
    }
}

/// Hits of packets that were counted when each was so many bytes longer than it came: bytes are of frames as received.
pub(super) fn shrink(hits: Hits, grown: i64) -> Hits {
    Hits { bytes: hits.bytes.wrapping_sub(hits.packets.wrapping_mul(grown as u64)), ..hits }
}
