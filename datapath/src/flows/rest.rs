//! What is left of a flow's actions for packets that came changed: hardware has done the first of them, and marked the packets.
//!
//! A rest has a number of its own, from those of flows, so that workers find it by its mark as they find a flow, and count in
//! its record; no key leads to it. It is that of one flow and one number of actions done, and it never changes, as the flow
//! does not of which hardware was told. It stays until its flow's mark is free: as long as any queue may hold a packet
//! that was changed for the flow, this is what is left to do to that packet, whatever became of the flow meanwhile.

use super::effects::Effects;
use super::flow::{Ledgers, shrink};
use super::{Arena, MAX_FLOWS, Registry, Removed, effects_of, index_of};
use crate::arena::FAR;
use crate::program::Program;
use ::flow::DpPort;
use ::flow::clock::Time;
use ::flow::dp::{DpAction, DpFlow, FlowId, Hits, Mark};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a VLAN tag.
const TAG: i64 = 4;

#[derive(Debug)]
struct Rest {
    flow: FlowId,
    mark: u32,
    port: DpPort,
    /// Actions that hardware has done, and bytes by which they make a packet longer.
    done: usize,
    grown: i64,
    deed: u32,
    program: Arc<Program>,
    /// Those of the flow: a packet counts once, here or there.
    effects: Effects,
    ledgers: Ledgers,
}

/// Which indexes are those of rests, for workers to see without the registry's lock: a mark of which there is none is unknown.
#[derive(Debug)]
pub(crate) struct RestIndexes(Box<[AtomicU64]>);

impl Default for RestIndexes {
    fn default() -> RestIndexes {
        RestIndexes((0..=MAX_FLOWS / 64).map(|_| AtomicU64::new(0)).collect())
    }
}

impl RestIndexes {
    fn word(&self, mark: u32) -> Option<(&AtomicU64, u64)> {
        let index = index_of(mark);
        Some((self.0.get(index / 64)?, 1 << (index % 64)))
    }

    /// Whether there may be a rest with this mark: the registry knows.
    #[inline]
    pub(crate) fn may_have(&self, mark: u32) -> bool {
        self.word(mark).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Said under the registry's lock, and before anybody hears of the mark.
    fn put(&self, mark: u32) {
        self.word(mark).map(|(word, bit)| word.fetch_or(bit, Ordering::Release));
    }

    fn remove(&self, mark: u32) {
        self.word(mark).map(|(word, bit)| word.fetch_and(!bit, Ordering::Release));
    }
}

/// All rests.
#[derive(Debug, Default)]
pub(super) struct Rests {
    pub(super) indexes: Arc<RestIndexes>,
    by_index: HashMap<u32, Rest>,
    /// By the index of their flow.
    of: HashMap<u32, SmallVec<[u32; 1]>>,
}

impl Rests {
    fn all_of(&self, flow: u32) -> impl Iterator<Item = &Rest> {
        let indexes = if self.of.is_empty() { None } else { self.of.get(&flow) };
        indexes.into_iter().flatten().filter_map(|index| self.by_index.get(index))
    }

    /// Hits of packets of a flow that came changed.
    pub(super) fn hits(&self, flow: u32) -> Hits {
        let mut sum = Hits::default();
        self.all_of(flow).for_each(|rest| sum.add(&shrink(rest.ledgers.hits(rest.mark), rest.grown)));
        sum
    }

    /// Take those that nobody has replayed yet; they count as replayed from now on. Returns when the last packet came.
    pub(super) fn settle(&mut self, flow: u32, into: &mut Vec<(Effects, Hits)>) -> Time {
        let mut used = Time::default();
        if self.of.is_empty() {
            return used;
        }
        for index in self.of.get(&flow).into_iter().flatten() {
            let Some(rest) = self.by_index.get_mut(index) else { continue };
            let (effects, grown) = (&rest.effects, rest.grown);
            let last =
                rest.ledgers.take_unreplayed(rest.mark, |_, hits| into.push((effects.clone(), shrink(hits, grown))));
            used = used.max(last);
        }
        used
    }
}

/// Bytes by which an action makes every packet longer. `None`: it does more than change bytes.
fn grows(action: &DpAction) -> Option<i64> {
    match action {
        DpAction::Set { field, .. } if !field.def().is_metadata() => Some(0),
        DpAction::DecTtl => Some(0),
        DpAction::PushVlan(_) => Some(TAG),
        DpAction::PopVlan => Some(-TAG),
        _ => None,
    }
}

impl Registry {
    /// The mark for packets of a flow of which hardware has done the first `done` actions. `None`: the flow is gone, its first
    /// actions do more than change bytes, nothing is left, or all marks are taken.
    pub(crate) fn rest_of(&mut self, flow: &DpFlow, done: usize) -> Option<Mark> {
        let of = index_of(flow.mark.0) as u32;
        let there = self.flow(of).filter(|there| there.id == flow.id && there.offloaded.is_some())?;
        if let Some(rest) = self.rests.all_of(of).find(|rest| rest.done == done) {
            return Some(Mark(rest.mark));
        }
        let effects = effects_of(&self.effects, &self.classes, there)?;
        let (first, left) = flow.actions.split_at_checked(done).filter(|(a, b)| !a.is_empty() && !b.is_empty())?;
        let grown = first.iter().map(grows).sum::<Option<i64>>()?;
        let port = Some(flow.in_port()).filter(|port| port.0 < u32::from(FAR) && flow.key.recirc_id.get() == 0)?;
        let index = self.free_index()?;
        let mark = self.mark(index) | Mark::CHANGED;
        let deed = self.take_deed(left);
        let program = self.deeds.get(deed).map(|deed| Arc::clone(&deed.program))?;
        let ledgers = Ledgers::default();
        let rest = Rest { flow: flow.id, mark, port, done, grown, deed, program, effects, ledgers };
        self.rests.by_index.insert(index, rest);
        self.rests.indexes.put(mark);
        self.rests.of.entry(of).or_default().push(index);
        Some(Mark(mark))
    }

    /// Let a worker use the rest with this mark, for packets that come in on `port`. `None`: there is none.
    pub(crate) fn join_rest(&mut self, mark: u32, port: DpPort, arena: &Arc<Arena>) -> Option<Arc<Program>> {
        let rest = self.rests.by_index.get_mut(&(index_of(mark) as u32))?;
        if rest.mark != mark || rest.port != port {
            return None;
        }
        rest.ledgers.begin(mark, arena, &Hits::default());
        Some(Arc::clone(&rest.program))
    }

    /// The flow that had this mark is gone, and no packet is left that was changed for it: its rests end.
    pub(crate) fn end_rests(&mut self, mark: u32, into: &mut Vec<Removed>) {
        let Some(indexes) = self.rests.of.remove(&(index_of(mark) as u32)) else { return };
        for rest in indexes.iter().filter_map(|index| self.rests.by_index.remove(index)) {
            let Rest { flow, mark, grown, deed, effects, ledgers, .. } = rest;
            self.rests.indexes.remove(mark);
            self.deeds.release(deed);
            ledgers.end(mark);
            into.push(Removed { id: flow, mark, effects, ledgers, flow: None, grown });
        }
    }
}
