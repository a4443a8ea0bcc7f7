//! All flows of the datapath, once each, whichever workers use them: identity, marks, dependencies.
//!
//! One lock guards the registry. It is taken on a miss, by revalidation and to show flows, never for a packet that hits. Nobody
//! holds it for more than some thousand rows, so that a miss does not wait.
//!
//! What many flows have in common is kept once: masks, actions with their programs, patterns of effects ([`intern`],
//! [`effects`]), and sets of dependencies ([`classes`]). A flow itself is numbers, its row of masked words and numbers of
//! rules, and a ledger for each worker.

mod classes;
pub(crate) mod effects;
mod flow;
mod intern;
mod limit;
mod offloaded;
mod owned;
mod rest;
mod sieve;

use effects::Effects;
pub(crate) use flow::{Deed, Removed};
pub(crate) use limit::AdaptiveLimit;
pub(crate) use sieve::{Filter, Sieve};

use self::flow::{Flow, Offloaded};
use super::arena::Arena;
use crate::hash::Seed;
use crate::index::Index;
use crate::mask::CompiledMask;
use crate::program::Program;
use ::flow::clock::Time;
use ::flow::dp::{Change, DepSet, DpAction, DpFlow, FlowId, Hits, Mark, Scope, Translation};
use ::flow::{FlowKey, Mask};
use classes::Classes;
use effects::{Numbers, Pattern};
use hashbrown::DefaultHashBuilder;
use intern::Interner;
use owned::{OWN, Owned, is_own};
pub(crate) use rest::RestIndexes;
use rest::Rests;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// Bits of a mark that are the flow's index; those above are the generation, and the highest says that hardware changes packets.
const INDEX_BITS: u32 = 18;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATIONS: u32 = 1 << (Mark::BITS - 1 - INDEX_BITS);

/// Number of marks that can be in use at once. Index 0 is not used, so that no mark is 0.
pub const MAX_FLOWS: usize = INDEX_MASK as usize;

/// Batches of changes that installs can be checked against; older translations are not installed.
const REMEMBERED_CHANGES: usize = 64;

/// How many flows ahead what their removal takes is asked for.
const REMOVED_AHEAD: usize = 4;

/// The index in a mark.
#[inline(always)]
pub(crate) fn index_of(mark: u32) -> usize {
    (mark & INDEX_MASK) as usize
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
    pub(crate) mark: u32,
    pub(crate) program: Arc<Program>,
    pub(crate) new: bool,
    /// For hardware, when it is new and somebody wants to hear of it.
    pub(crate) flow: Option<Arc<DpFlow>>,
}

/// A miss's outcome, to be kept.
pub(crate) struct Candidate<'a> {
    /// Masked by `mask`.
    pub(crate) key: &'a FlowKey,
    /// That of the translation, with what every flow matches: see [`flow_mask`].
    pub(crate) mask: &'a Mask,
    pub(crate) translation: &'a Translation,
    /// The change epoch before the translation began.
    pub(crate) epoch: u64,
    /// The packet that missed.
    pub(crate) first: Hits,
    /// The records of the worker that missed.
    pub(crate) arena: &'a Arc<Arena>,
    /// The key of a packet that may be the next to miss.
    pub(crate) next: Option<&'a FlowKey>,
}

/// The mask of a flow: input port and recirculation are always exact.
pub(crate) fn flow_mask(translation: &Translation) -> Mask {
    let mut mask = translation.mask;
    mask.0.in_port = u32::MAX.into();
    mask.0.recirc_id = u32::MAX.into();
    mask
}

/// A flow to be looked at again.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) index: u32,
    pub(crate) key: FlowKey,
    pub(crate) mask: Mask,
    pub(crate) deed: Arc<Deed>,
    pub(crate) effects: Effects,
}

/// A live flow, to be shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) flow: Arc<DpFlow>,
    pub(crate) software: Hits,
    pub(crate) hardware: Hits,
    pub(crate) created: Time,
}

/// Hits that are to be replayed.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    /// What they do, a flow each.
    pub(crate) hits: Vec<(Effects, Hits)>,
    /// Flows that nobody used for too long.
    pub(crate) idle: Vec<u32>,
}

#[derive(Debug)]
struct MaskEntry {
    mask: Mask,
    compiled: CompiledMask,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

impl Slot {
    /// Tell the CPU that a flow will begin or end here.
    fn prefetch(&self) {
        // In more than one line, in an order that the compiler chose.
        dpdk::prefetch(&self.generation);
        dpdk::prefetch(&self.flow);
    }
}

/// All live flows.
#[derive(Debug)]
pub(crate) struct Registry {
    seed: Seed,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot>,
    /// Indexes to use again, the one that rested longest first.
    free: VecDeque<u32>,
    by_match: Index,
    masks: Interner<MaskEntry>,
    /// The mask of the latest flow: the next one often has it too.
    latest_mask: u32,
    deeds: Interner<Deed>,
    effects: Interner<Pattern>,
    /// Those of the latest flow: the next one often has them too.
    latest_deed: u32,
    latest_effects: u32,
    /// Hits that flows had before they changed, with what they did then.
    settled: Vec<(Effects, Hits)>,
    classes: Classes,
    owned: Owned,
    rests: Rests,
    live: usize,
    limit: AdaptiveLimit,
    /// A flow was refused for the limit since the last round.
    was_full: bool,
    offload: bool,
    next_id: u64,
    recent: VecDeque<(u64, Vec<Change>)>,
    epoch: u64,
}

/// The hash of a flow's match. Its mask's number is enough of the mask.
fn match_hash(seed: Seed, mask: u32, words: impl Iterator<Item = u64>) -> u32 {
    (seed.mix(seed.words(words), u64::from(mask), 0) >> 32) as u32
}

/// The words of a flow's row.
type Row = SmallVec<[u64; 20]>;

/// What packets of a flow do beside being forwarded.
fn effects_of(patterns: &Interner<Pattern>, classes: &Classes, flow: &Flow) -> Option<Effects> {
    effects_at(patterns, classes, flow.effects, flow.class, flow.row)
}

fn effects_at(patterns: &Interner<Pattern>, classes: &Classes, pattern: u32, class: u32, row: u32) -> Option<Effects> {
    let pattern = Arc::clone(patterns.get(pattern)?);
    let numbers = classes.get(class)?.numbers(row);
    Some(Effects { numbers: numbers.get(..pattern.words())?.iter().copied().collect(), pattern })
}

impl Registry {
    /// `offload`: somebody wants to hear of flows.
    pub(crate) fn new(seed: Seed, limit: usize, offload: bool) -> Registry {
        let limit = limit.min(MAX_FLOWS);
        // Room for all from the start, which costs memory only where it is used: nothing is copied under the lock later.
        let room = (limit + limit / 4).min(MAX_FLOWS) + 1;
        let mut slots = Vec::with_capacity(room);
        slots.push(Slot::default());
        Registry {
            seed,
            hasher: DefaultHashBuilder::default(),
            slots,
            free: VecDeque::new(),
            by_match: Index::with_room(limit),
            masks: Interner::default(),
            latest_mask: 0,
            deeds: Interner::default(),
            effects: Interner::default(),
            latest_deed: 0,
            latest_effects: 0,
            settled: Vec::new(),
            classes: Classes::default(),
            owned: Owned::default(),
            rests: Rests::default(),
            live: 0,
            limit: AdaptiveLimit::new(limit),
            was_full: false,
            offload,
            next_id: 1,
            recent: VecDeque::new(),
            epoch: 0,
        }
    }

    /// Which marks may be those of rests, without the lock.
    pub(crate) fn rest_indexes(&self) -> &Arc<RestIndexes> {
        &self.rests.indexes
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn limit(&self) -> &AdaptiveLimit {
        &self.limit
    }

    pub(crate) fn limit_mut(&mut self) -> &mut AdaptiveLimit {
        &mut self.limit
    }

    /// Whether there are as many flows as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.live >= self.limit.present()
    }

    /// Whether there were since this was last asked.
    pub(crate) fn take_full(&mut self) -> bool {
        std::mem::take(&mut self.was_full) || self.is_full()
    }

    fn flow(&self, index: u32) -> Option<&Flow> {
        self.slots.get(index as usize)?.flow.as_ref()
    }

    fn flow_mut(&mut self, index: u32) -> Option<&mut Flow> {
        self.slots.get_mut(index as usize)?.flow.as_mut()
    }

    fn mark(&self, index: u32) -> u32 {
        self.slots.get(index as usize).map_or(0, |slot| slot.generation << INDEX_BITS | index)
    }

    fn take_mask(&mut self, mask: &Mask) -> u32 {
        let same = |entry: &MaskEntry| entry.mask.0.words() == mask.0.words();
        if self.masks.take_known(self.latest_mask, same) {
            return self.latest_mask;
        }
        let make = || Arc::new(MaskEntry { mask: *mask, compiled: CompiledMask::new(mask) });
        self.latest_mask = self.masks.take(self.seed.key(&mask.0), same, make);
        self.latest_mask
    }

    /// Keep a translation, or join the flow that another worker made of the same.
    // Inline, with what it consists of: answers would be written to memory in parts and read as a whole, which waits until all that
    // was written before has left for the caches.
    #[inline(always)]
    pub(crate) fn install(&mut self, candidate: &Candidate<'_>) -> Result<Granted, Refusal> {
        let Candidate { key, mask, translation, epoch, first, arena, next } = candidate;
        if self.changed_since(*epoch, candidate) {
            return Err(Refusal::Stale);
        }
        let mask_id = self.take_mask(mask);
        let granted = self.install_under(mask_id, key, translation, first, arena);
        match &granted {
            // The class keeps the mask; one that was there has one user for it.
            Ok((granted, _)) if !granted.new => self.masks.release(mask_id),
            Err(_) => self.masks.release(mask_id),
            Ok(_) => {}
        }
        let (mut granted, index) = granted?;
        self.expect_another(arena, *next);
        if granted.new && self.offload {
            granted.flow = self.offer(index);
        }
        Ok(granted)
    }

    #[inline(always)]
    fn install_under(
        &mut self,
        mask: u32,
        key: &FlowKey,
        translation: &Translation,
        first: &Hits,
        arena: &Arc<Arena>,
    ) -> Result<(Granted, u32), Refusal> {
        let Some(entry) = self.masks.get(mask) else { return Err(Refusal::Marks) };
        let mut words: Row = entry.compiled.words(key).collect();
        let hash = match_hash(self.seed, mask, words.iter().copied());
        let same = |i: u32| {
            let class = self.flow(i).and_then(|f| Some((self.classes.get(f.class)?, f.row)));
            class.is_some_and(|(class, row)| class.mask == mask && class.row(row).eq(words.iter().copied()))
        };
        if let Some(index) = self.by_match.find(hash, same) {
            return self.join(index, translation, first, arena).map(|granted| (granted, index));
        }
        if self.is_full() {
            self.was_full = true;
            return Err(Refusal::Limit);
        }
        let index = self.free_index().ok_or(Refusal::Marks)?;
        let mark = self.mark(index);
        let deed = self.take_deed(&translation.actions);
        let effects = self.take_effects(translation);
        let width = words.len();
        if let Some(pattern) = self.effects.get(effects) {
            words.extend(pattern.numbers(&translation.effects));
        }
        let (class, row, own) = self.place(index, mask, &words, width, translation);
        let mut flow = Flow {
            id: FlowId(self.next_id),
            created: first.used,
            class,
            row,
            own,
            deed,
            effects,
            ledgers: Default::default(),
            offloaded: None,
        };
        flow.ledgers.begin(mark, arena, first);
        self.slots[index as usize].flow = Some(flow);
        self.next_id += 1;
        self.live += 1;
        self.by_match.insert(hash, index);
        let program = self.deeds.get(deed).map(|d| Arc::clone(&d.program)).ok_or(Refusal::Marks)?;
        Ok((Granted { mark, program, new: true, flow: None }, index))
    }

    /// Let another worker use a flow that is there.
    fn join(
        &mut self,
        index: u32,
        translation: &Translation,
        first: &Hits,
        arena: &Arc<Arena>,
    ) -> Result<Granted, Refusal> {
        let mark = self.mark(index);
        let flow = self.slots.get_mut(index as usize).and_then(|slot| slot.flow.as_mut()).ok_or(Refusal::Stale)?;
        let (deed, effects) = (self.deeds.get(flow.deed), effects_of(&self.effects, &self.classes, flow));
        // Another answer for the same match: one of the two is about to be revalidated.
        let deed = deed.filter(|d| *d.actions == *translation.actions).ok_or(Refusal::Stale)?;
        effects.filter(|e| e.are(&translation.effects)).ok_or(Refusal::Stale)?;
        flow.ledgers.begin(mark, arena, first);
        Ok(Granted { mark, program: Arc::clone(&deed.program), new: false, flow: None })
    }

    /// Put a flow where its dependencies say. The class takes the mask over when it is new; else the mask has one user less.
    /// `words` are its row, of which `width` words are its key's.
    #[inline(always)]
    fn place(
        &mut self,
        index: u32,
        mask: u32,
        words: &[u64],
        width: usize,
        translation: &Translation,
    ) -> (u32, u32, owned::OwnDeps) {
        let deps = &translation.deps;
        let apart = deps.iter().filter(|dep| is_own(dep)).count() <= OWN;
        let shared = deps.iter().filter(|dep| !apart || !is_own(dep));
        let class = self.classes.find(mask, shared, translation.written.as_deref(), width, words.len() - width);
        let row = self.classes.push(class, index, words);
        if row != 0 {
            self.masks.release(mask);
        }
        let own = self.owned.add(index, deps.iter().filter(|dep| apart && is_own(dep)));
        (class, row, own)
    }

    /// Take a flow out of where [`Registry::place`] put it.
    fn displace(&mut self, index: u32, class: u32, row: u32, own: owned::OwnDeps) {
        let (moved, mask) = self.classes.remove(class, row);
        if let Some(moved) = moved.and_then(|moved| self.flow_mut(moved)) {
            moved.row = row;
        }
        if let Some(mask) = mask {
            self.masks.release(mask);
        }
        let slots = &self.slots;
        let still = |flow: u32, dep: u32| {
            let there = slots.get(flow as usize).and_then(|slot| slot.flow.as_ref());
            flow != index && there.is_some_and(|f| f.own.contains(&dep))
        };
        self.owned.remove(own, still);
    }

    fn take_deed(&mut self, actions: &[DpAction]) -> u32 {
        let same = |deed: &Deed| *deed.actions == *actions;
        if !self.deeds.take_known(self.latest_deed, same) {
            let make = || Arc::new(Deed { actions: actions.into(), program: Arc::new(Program::new(actions)) });
            self.latest_deed = self.deeds.take(self.hasher.hash_one(actions), same, make);
        }
        self.latest_deed
    }

    fn take_effects(&mut self, translation: &Translation) -> u32 {
        let effects = &translation.effects[..];
        let same = |pattern: &Pattern| pattern.is_of(effects);
        if !self.effects.take_known(self.latest_effects, same) {
            let mut hasher = self.hasher.build_hasher();
            Pattern::hash_of(effects, &mut hasher);
            self.latest_effects = self.effects.take(hasher.finish(), same, || Arc::new(Pattern::new(effects)));
        }
        self.latest_effects
    }

    /// Make what hardware is told of a new flow.
    fn offer(&mut self, index: u32) -> Option<Arc<DpFlow>> {
        let flow = self.flow(index)?;
        let made = Arc::new(self.describe(index, flow)?);
        let offloaded = Offloaded::new(Arc::clone(&made));
        self.flow_mut(index)?.offloaded = Some(Box::new(offloaded));
        Some(made)
    }

    /// A flow with all that it shares with others.
    fn describe(&self, index: u32, flow: &Flow) -> Option<DpFlow> {
        let class = self.classes.get(flow.class)?;
        let mut deps: DepSet = class.deps.iter().copied().collect();
        deps.extend(flow.own.iter().filter_map(|id| self.owned.dep(*id)));
        let (key, mask) = self.key_of(flow)?;
        Some(DpFlow {
            id: flow.id,
            key,
            mask,
            actions: self.deeds.get(flow.deed)?.actions.iter().cloned().collect(),
            deps,
            effects: effects_of(&self.effects, &self.classes, flow)?.iter().collect(),
            mark: Mark(self.mark(index)),
        })
    }

    fn key_of(&self, flow: &Flow) -> Option<(FlowKey, Mask)> {
        let class = self.classes.get(flow.class)?;
        let entry = self.masks.get(class.mask)?;
        let mut key = FlowKey::ZERO;
        entry.compiled.fill(&mut key, &class.row(flow.row).collect::<Row>());
        Some((key, entry.mask))
    }

    fn free_index(&mut self) -> Option<u32> {
        // Fresh indexes first: those that were used rest as long as there is room.
        if self.slots.len() <= self.limit.configured() {
            return self.fresh_index();
        }
        self.free.pop_front().or_else(|| self.fresh_index())
    }

    /// Ask the CPU for what the next new flow takes: new flows come one after another, mostly.
    fn expect_another(&self, arena: &Arena, key: Option<&FlowKey>) {
        let next = match self.free.front() {
            Some(next) if self.slots.len() > self.limit.configured() => *next as usize,
            _ => self.slots.len(),
        };
        arena.prefetch(next);
        if let Some(slot) = self.slots.get(next) {
            slot.prefetch();
        }
        // Its mask will be the same, mostly.
        if let (Some(key), Some(entry)) = (key, self.masks.get(self.latest_mask)) {
            self.by_match.prefetch(match_hash(self.seed, self.latest_mask, entry.compiled.words(key)));
        }
    }

    fn fresh_index(&mut self) -> Option<u32> {
        let index = u32::try_from(self.slots.len()).ok().filter(|i| *i <= INDEX_MASK)?;
        self.slots.push(Slot::default());
        Some(index)
    }

    fn hash_of(&self, index: u32) -> Option<u32> {
        let flow = self.flow(index)?;
        let class = self.classes.get(flow.class)?;
        Some(match_hash(self.seed, class.mask, class.row(flow.row)))
    }

    /// Ask the CPU for what the removal of the flows behind this one takes: idle flows are removed in their order, and many of them
    /// together. What it takes was written by workers, on other CPUs.
    fn expect_removals(&self, index: u32) {
        if let Some(slot) = self.slots.get(index as usize + 2 * REMOVED_AHEAD) {
            slot.prefetch();
        }
        let next = index + REMOVED_AHEAD as u32;
        if let (Some(hash), Some(flow)) = (self.hash_of(next), self.flow(next)) {
            self.by_match.prefetch(hash);
            flow.ledgers.prefetch(next as usize);
        }
    }

    /// Take a flow out. Its mark stays taken until [`Registry::release`]. `None` when it was out already.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Removed> {
        let hash = self.hash_of(index)?;
        self.expect_removals(index);
        self.by_match.remove(hash, index);
        let mark = self.mark(index);
        let flow = self.slots.get_mut(index as usize)?.flow.take()?;
        let kept = effects_of(&self.effects, &self.classes, &flow).unwrap_or_default();
        let Flow { id, class, row, own, deed, effects, ledgers, offloaded, .. } = flow;
        self.live -= 1;
        self.displace(index, class, row, own);
        self.deeds.release(deed);
        self.effects.release(effects);
        ledgers.end(mark);
        self.rests.settle(index, &mut self.settled);
        Some(Removed { id, mark, effects: kept, ledgers, flow: offloaded.map(|o| o.flow), grown: 0 })
    }

    /// The mark of a removed flow may be used again, under the next generation.
    pub(crate) fn release(&mut self, mark: u32) {
        let index = index_of(mark);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.generation = (slot.generation + 1) % GENERATIONS;
            self.free.push_back(index as u32);
        }
    }

    /// A flow was translated again and does the same, maybe for other reasons.
    pub(crate) fn set_deps(&mut self, index: u32, again: &Translation) {
        let Some(flow) = self.flow(index) else { return };
        let Some(class) = self.classes.get(flow.class) else { return };
        // It counts for the same rules.
        let numbers = Numbers::from_slice(class.numbers(flow.row));
        self.move_to(index, again, &numbers);
    }

    /// Let a flow be where a new translation says, and count for the rules of these numbers.
    fn move_to(&mut self, index: u32, again: &Translation, numbers: &[u64]) {
        let Some(flow) = self.flow(index) else { return };
        let Some(class) = self.classes.get(flow.class) else { return };
        let shared = again.deps.iter().filter(|dep| !is_own(dep));
        let own = again.deps.iter().filter(|dep| is_own(dep)).copied();
        let had = flow.own.iter().filter_map(|id| self.owned.dep(*id));
        let (mask, old) = (class.mask, (flow.class, flow.row, flow.own));
        if class.written == again.written
            && class.numbers(flow.row).len() == numbers.len()
            && class.deps.iter().eq(shared)
            && own.eq(had)
        {
            self.classes.set_numbers(old.0, old.1, numbers);
            return;
        }
        let mut words: Row = class.row(flow.row).collect();
        let width = words.len();
        words.extend_from_slice(numbers);
        // One more user while it moves.
        if let Some(entry) = self.masks.get(mask).map(Arc::clone) {
            self.take_mask(&entry.mask);
        }
        self.displace(index, old.0, old.1, old.2);
        let (class, row, own) = self.place(index, mask, &words, width, again);
        if let Some(flow) = self.flow_mut(index) {
            (flow.class, flow.row, flow.own) = (class, row, own);
        }
    }

    // ---- Changes

    /// Let a flow do what it was translated to again; match and mark stay. Its workers do what it did before until each of
    /// them [catches up](Registry::catch_up). Returns the mark. `None`: it is gone, or hardware was told of it.
    pub(crate) fn change(&mut self, index: u32, again: &Translation) -> Option<u32> {
        let flow = self.flow(index).filter(|flow| flow.offloaded.is_none())?;
        let before = effects_of(&self.effects, &self.classes, flow)?;
        let (deed, effects) = (self.take_deed(&again.actions), self.take_effects(again));
        let numbers: Numbers = self.effects.get(effects)?.numbers(&again.effects).collect();
        self.move_to(index, again, &numbers);
        let mark = self.mark(index);
        let flow = self.slots.get_mut(index as usize)?.flow.as_mut()?;
        let deed = std::mem::replace(&mut flow.deed, deed);
        let effects = std::mem::replace(&mut flow.effects, effects);
        if !before.are(&again.effects) {
            let settled = &mut self.settled;
            flow.ledgers.take_unreplayed(mark, |behind, hits| settled.push((behind.unwrap_or(&before).clone(), hits)));
            flow.ledgers.fall_behind(&before);
        }
        self.deeds.release(deed);
        self.effects.release(effects);
        Some(mark)
    }

    /// What a worker does with packets of a flow from now on; called on its thread between two packets. `None`: the flow is gone.
    pub(crate) fn catch_up(&mut self, mark: u32, arena: &Arc<Arena>) -> Option<Arc<Program>> {
        let index = index_of(mark);
        if self.mark(index as u32) != mark {
            return None;
        }
        let flow = self.slots.get_mut(index)?.flow.as_mut()?;
        if let Some((effects, hits)) = flow.ledgers.catch_up(mark, arena)
            && hits.packets > 0
        {
            self.settled.push((*effects, hits));
        }
        self.deeds.get(flow.deed).map(|deed| Arc::clone(&deed.program))
    }

    /// Some hits from before their flows changed, to be replayed; none: there are no more.
    pub(crate) fn take_settled(&mut self, most: usize) -> Vec<(Effects, Hits)> {
        self.settled.split_off(self.settled.len().saturating_sub(most))
    }

    /// Note that these changed: translations begun before are not installed if they are concerned. Returns the new epoch.
    pub(crate) fn note_changes(&mut self, changes: &[Change]) -> u64 {
        self.epoch += 1;
        if self.recent.len() == REMEMBERED_CHANGES {
            self.recent.pop_front();
        }
        self.recent.push_back((self.epoch, changes.to_vec()));
        self.epoch
    }

    fn changed_since(&self, epoch: u64, candidate: &Candidate<'_>) -> bool {
        if epoch == self.epoch {
            return false;
        }
        match self.recent.front() {
            Some((oldest, _)) if *oldest <= epoch + 1 => {}
            _ => return true,
        }
        let Candidate { key, mask, translation, .. } = candidate;
        let written = translation.written.as_deref();
        let concerns = |change: &Change| {
            translation.deps.contains(&change.dep)
                && change.scope.as_ref().is_none_or(|scope| scope.meets(key, mask, written))
        };
        let since = self.recent.iter().rev().take_while(|(e, _)| *e > epoch);
        since.flat_map(|(_, changes)| changes).any(concerns)
    }

    /// The classes that changes concern, each once, and the flows with own dependencies that they concern.
    pub(crate) fn concerned(&self, sieve: &Sieve<'_>) -> (Vec<u32>, Vec<u32>) {
        let (mut classes, mut flows) = (Vec::new(), Vec::new());
        for dep in sieve.deps() {
            classes.extend_from_slice(self.classes.dependents(dep));
            if let Some((id, some)) = self.owned.dependents(dep) {
                flows.extend(some.iter().copied().filter(|i| self.flow(*i).is_some_and(|f| f.own.contains(&id))));
            }
        }
        classes.sort_unstable();
        classes.dedup();
        (classes, flows)
    }

    /// How flows of a class are told apart, and how many there are.
    pub(crate) fn filter(&self, class: u32, sieve: &Sieve<'_>) -> Option<(Filter, usize)> {
        let class = self.classes.get(class)?;
        let mask = &self.masks.get(class.mask)?.compiled;
        Some((sieve.filter(&class.deps, mask, class.written.as_deref()), class.len()))
    }

    /// The flows in rows `from..to` of a class that a filter lets through.
    pub(crate) fn pick(&self, class: u32, from: usize, to: usize, filter: &Filter, into: &mut Vec<u32>) {
        if let Some(class) = self.classes.get(class) {
            class.pick(from, to, filter, into);
        }
    }

    /// The classes there are.
    pub(crate) fn all_classes(&self) -> Vec<u32> {
        self.classes.all().collect()
    }

    /// As [`Registry::filter`], for the flows that packets of this scope meet.
    pub(crate) fn filter_one(&self, class: u32, scope: &Scope) -> Option<(Filter, usize)> {
        let class = self.classes.get(class)?;
        Some((Filter::one(scope, &self.masks.get(class.mask)?.compiled), class.len()))
    }

    /// What is needed to look at a flow again.
    pub(crate) fn suspect(&self, index: u32) -> Option<Suspect> {
        let flow = self.flow(index)?;
        let (key, mask) = self.key_of(flow)?;
        let deed = Arc::clone(self.deeds.get(flow.deed)?);
        let effects = effects_of(&self.effects, &self.classes, flow)?;
        Some(Suspect { index, key, mask, deed, effects })
    }

    // ---- Hits

    /// Gather what was not replayed of the flows with an index in `from..from + n`, and those that were not used for longer
    /// than `idle`. Whether there may be more flows behind.
    pub(crate) fn harvest(
        &mut self,
        from: usize,
        n: usize,
        now: Time,
        idle: std::time::Duration,
        into: &mut Harvest,
    ) -> bool {
        let end = (from + n).min(self.slots.len());
        for index in from..end {
            let Some(slot) = self.slots.get_mut(index) else { break };
            let mark = slot.generation << INDEX_BITS | index as u32;
            let Some(flow) = &mut slot.flow else { continue };
            let (class, row, pattern) = (flow.class, flow.row, flow.effects);
            let used = flow.ledgers.take_unreplayed(mark, |behind, hits| {
                let effects = behind.cloned().or_else(|| effects_at(&self.effects, &self.classes, pattern, class, row));
                into.hits.extend(effects.map(|effects| (effects, hits)));
            });
            let used = used.max(self.rests.settle(index as u32, &mut into.hits));
            let known = flow.offloaded.as_ref();
            let hardware = known.map_or(Time::default(), |o| o.hits.used);
            let until = known.map_or(now, |o| o.known_until(now));
            if until.since(flow.created.max(used).max(hardware)) > idle {
                into.idle.push(index as u32);
            }
        }
        end < self.slots.len()
    }

    /// The live flows with an index in `from..from + n`, and whether there may be more behind.
    pub(crate) fn show(&self, from: usize, n: usize) -> (Vec<Shown>, bool) {
        let end = (from + n).min(self.slots.len());
        let show = |index: usize| {
            let index = index as u32;
            let flow = self.flow(index)?;
            let known = flow.offloaded.as_ref();
            let shown = match known {
                Some(o) => Arc::clone(&o.flow),
                None => Arc::new(self.describe(index, flow)?),
            };
            let mut software = flow.ledgers.hits(self.mark(index));
            software.add(&self.rests.hits(index));
            let hardware = known.map_or(Hits::default(), |o| o.hits);
            Some(Shown { flow: shown, software, hardware, created: flow.created })
        };
        ((from..end).filter_map(show).collect(), end < self.slots.len())
    }

    /// Numbers of distinct masks, lists of actions, lists of effects, and classes.
    #[cfg(test)]
    pub(crate) fn shared_parts(&self) -> [usize; 4] {
        [self.masks.len(), self.deeds.len(), self.effects.len(), self.classes.all().count()]
    }
}
