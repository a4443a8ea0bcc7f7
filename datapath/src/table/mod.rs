//! The flows that one worker knows: by number, and by key in a tuple space for each input port.
//!
//! The table belongs to its worker: no lock. What is shared of a flow is its record in the [`Arena`]: a flow that was removed
//! finds nothing from the moment its mark is taken out of the record, whatever still points to it.

mod filter;
mod masks;
mod port;
mod programs;
mod view;

pub(crate) use port::{Depth, HashesBefore, PortTable};
pub use view::PortTableView;

use crate::arena::{Arena, FAR, Hot, NO_PORT, WINDOW};
use crate::flows::index_of;
use crate::hash::Seed;
use crate::mask::CompiledMask;
use crate::program::Program;
use crate::window;
use flow::{DpPort, FlowKey, Mask};
use hashbrown::HashMap;
use masks::Masks;
use port::Subtable;
use programs::{InPlace, Programs};
use smallvec::SmallVec;
use std::sync::Arc;

/// In place of a mask's number: no key leads here, only a mark. There are never so many masks.
const NO_MASK: u16 = u16::MAX;

/// How far ahead records of removed flows are asked for.
const AHEAD: usize = 8;

/// All flows of a worker.
#[derive(Debug)]
pub(crate) struct FlowTable {
    seed: Seed,
    arena: Arc<Arena>,
    masks: Masks,
    programs: Programs,
    /// For packets as they are received, by input port.
    ports: Vec<PortTable>,
    /// For packets that come again.
    again: PortTable,
    /// The mark that this worker knows under each number, 0: none.
    known: Vec<u32>,
    /// What does not fit into the records of flows with many words.
    wide: HashMap<u32, Box<[u64]>>,
    live: usize,
}

/// The hash of the required words of a flow's key, as a subtable stores it.
fn stored_hash(seed: Seed, words: impl Iterator<Item = u64>) -> u32 {
    (seed.words(words) >> 32) as u32
}

/// The port, when sending the packet there is all that is done.
fn port_of(program: &Program) -> u32 {
    program.single_output().map_or(NO_PORT, |port| port.0)
}

fn words_of<'t>(
    masks: &Masks,
    wide: &'t HashMap<u32, Box<[u64]>>,
    number: u32,
    hot: &'t Hot,
    mask_id: usize,
    mask: &'t CompiledMask,
) -> impl Iterator<Item = u64> + use<'t> {
    let near = hot.near();
    let in_window = near != FAR && masks.window(mask_id).is_some();
    let wide = if in_window { None } else { wide.get(&number) };
    (0..mask.len()).map(move |nth| match (mask.at(nth), nth.checked_sub(WINDOW)) {
        (Some(0), _) if in_window => place_of_near(near),
        (Some(at), _) if in_window => window::place(at).map_or(0, |place| hot.word(place)),
        (_, None) => hot.word(nth),
        (_, Some(rest)) => wide.and_then(|words| words.get(rest)).copied().unwrap_or(0),
    })
}

/// Input port and recirculation of a flow's packets.
fn where_is(hot: &Hot) -> [u32; 2] {
    match hot.near() {
        // It is required of all flows, so it is the first in the list.
        FAR => place_in(hot.word(0)),
        near => [near.into(), 0],
    }
}

impl FlowTable {
    pub(crate) fn new(seed: Seed, arena: Arc<Arena>) -> FlowTable {
        FlowTable {
            seed,
            arena,
            masks: Masks::default(),
            programs: Programs::default(),
            ports: Vec::new(),
            again: PortTable::for_all_ports(seed),
            known: Vec::new(),
            wide: HashMap::new(),
            live: 0,
        }
    }

    pub(crate) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// The record with this number.
    #[inline(always)]
    pub(crate) fn hot(&self, number: u32) -> Option<&Hot> {
        self.arena.get(number as usize)
    }

    /// Whether there is a live flow with this number.
    #[inline(always)]
    pub(crate) fn is_live(&self, number: u32) -> bool {
        self.hot(number).is_some_and(|hot| hot.mark() != 0)
    }

    /// The flow with this mark, if it is alive and for packets as they are received on this port.
    #[inline]
    pub(crate) fn by_mark(&self, mark: u32, port: DpPort) -> Option<u32> {
        let number = index_of(mark);
        let hot = self.arena.get(number)?;
        let near = u32::from(hot.near());
        (hot.mark() == mark && mark != 0 && near == port.0 && near != u32::from(FAR)).then_some(number as u32)
    }

    /// Whether the flow with this number is alive and matches.
    #[inline(always)]
    pub(crate) fn verify(&self, number: u32, key: &FlowKey) -> bool {
        // Without a closure: it would not be inlined.
        let Some(hot) = self.hot(number) else { return false };
        self.matches(number, hot, key, near_of(key))
    }

    /// The same, of the record with this number, for a key from `near` (see [`near_of`]).
    #[inline(always)]
    pub(crate) fn matches(&self, number: u32, hot: &Hot, key: &FlowKey, near: u16) -> bool {
        let same = match self.masks.window(hot.mask()) {
            Some(mask) if near != FAR => mask.matches(key, hot.words()),
            _ => self.matches_any(number, hot, key),
        };
        same && hot.near() == near && hot.mark() != 0
    }

    #[inline(never)]
    fn matches_any(&self, number: u32, hot: &Hot, key: &FlowKey) -> bool {
        let id = hot.mask();
        self.masks.get(id).is_some_and(|mask| mask.matches(key, self.words(number, hot, id, mask)))
    }

    /// The words of a flow's key that its mask requires, in their order.
    fn words<'t>(
        &'t self,
        number: u32,
        hot: &'t Hot,
        mask_id: usize,
        mask: &'t CompiledMask,
    ) -> impl Iterator<Item = u64> + use<'t> {
        words_of(&self.masks, &self.wide, number, hot, mask_id, mask)
    }

    /// The program of a flow.
    #[inline(always)]
    pub(crate) fn program(&self, hot: &Hot) -> Option<&Arc<Program>> {
        self.programs.get(hot.program())
    }

    /// What a flow's program does in place.
    #[inline(always)]
    pub(crate) fn in_place(&self, hot: &Hot) -> Option<&InPlace> {
        self.programs.in_place(hot.program())
    }

    /// The flows for packets as they are received on this port, when there were any.
    #[inline(always)]
    pub(crate) fn port(&self, port: DpPort) -> Option<&PortTable> {
        self.ports.get(port.0 as usize)
    }

    /// The flows that packets with this key may hit.
    #[inline]
    pub(crate) fn of(&self, key: &FlowKey) -> Option<&PortTable> {
        if key.recirc_id.get() == 0 { self.ports.get(key.in_port.get() as usize) } else { Some(&self.again) }
    }

    /// A packet with this key was not cached before what flows of its port look at changed.
    #[inline]
    pub(crate) fn note_strange(&mut self, key: &FlowKey) {
        let table = place(key.in_port.get(), key.recirc_id.get()).and_then(|at| self.port_at_mut(at));
        if let Some(table) = table {
            table.note_strange();
        }
    }

    /// The flow that matches, and how many subtables were probed.
    #[inline]
    pub(crate) fn lookup(&mut self, key: &FlowKey) -> (Option<u32>, usize) {
        let Some(at) = place(key.in_port.get(), key.recirc_id.get()) else { return (None, 0) };
        let Some(table) = self.port_at(at) else { return (None, 0) };
        if table.is_to_be_ranked() {
            self.rank(at);
        }
        let Some(table) = self.port_at(at) else { return (None, 0) };
        let (mut found, mut probed) = (None, 0);
        for (nth, subtable) in table.candidates(key) {
            let Some(mask) = self.masks.get(subtable.mask) else { continue };
            probed += 1;
            let hash = stored_hash(self.seed, mask.words(key));
            if let Some(number) = subtable.find(hash, |number| self.verify(number, key)) {
                found = Some((number, nth));
                break;
            }
        }
        if let (Some((_, nth)), Some(table)) = (found, self.port_at_mut(at)) {
            table.count_hit(nth);
        }
        (found.map(|(number, _)| number), probed)
    }

    /// Add a flow whose record has begun. `key` is masked by `mask`, which requires input port and recirculation.
    ///
    /// `false` when there are more masks than can be told apart (65,535): nothing is done then, and the flow is not found.
    pub(crate) fn insert(&mut self, mark: u32, key: &FlowKey, mask: &Mask, program: &Arc<Program>) -> bool {
        let index = index_of(mark);
        let Ok(number) = u32::try_from(index) else { return false };
        if self.knows(mark) {
            return true;
        }
        self.forget(index, None);
        let Some(at) = place(key.in_port.get(), key.recirc_id.get()) else { return false };
        let Some(mask_id) = self.masks.take(mask) else { return false };
        let Some(compiled) = self.masks.get(mask_id) else { return false };
        let Some(hot) = self.arena.get(index) else { return false };
        let out = port_of(program);
        let id = u16::try_from(mask_id).unwrap_or(u16::MAX);
        let program = self.programs.take(program);
        let near = match at {
            Some(port) => u16::try_from(port).unwrap_or(FAR),
            None => FAR,
        };
        if near != FAR && self.masks.window(mask_id).is_some() {
            hot.describe(id, program, out, near, window::words(key));
        } else {
            hot.describe(id, program, out, near, compiled.words(key));
            if compiled.len() > WINDOW {
                self.wide.insert(number, compiled.words(key).skip(WINDOW).collect());
            }
        }
        let hash = stored_hash(self.seed, compiled.words(key));
        self.know(mark);
        let (seed, masks) = (self.seed, &self.masks);
        let table = match at {
            Some(port) => {
                while self.ports.len() <= port {
                    self.ports.push(PortTable::for_port(seed, self.ports.len()));
                }
                &mut self.ports[port]
            }
            None => &mut self.again,
        };
        table.add(number, hash, key, mask_id, mask);
        table.note_sole(&self.arena, masks);
        true
    }

    /// Add the rest of a flow for packets that come changed on this port, whose record has begun. Its mark leads to it, and no key.
    pub(crate) fn insert_rest(&mut self, mark: u32, port: DpPort, program: &Arc<Program>) -> Option<u32> {
        let index = index_of(mark);
        let (number, near) = (u32::try_from(index).ok()?, u16::try_from(port.0).ok()?);
        self.forget(index, None);
        let hot = self.arena.get(index)?;
        let out = port_of(program);
        hot.describe(NO_MASK, self.programs.take(program), out, near, std::iter::empty());
        self.know(mark);
        Some(number)
    }

    /// There is one more flow.
    fn know(&mut self, mark: u32) {
        let index = index_of(mark);
        if self.known.len() <= index {
            self.known.resize(index + 1, 0);
        }
        self.known[index] = mark;
        self.live += 1;
    }

    /// Tell the CPU that a packet with this key may be looked up, or a flow put in for it.
    #[inline]
    pub(crate) fn prefetch(&self, key: &FlowKey) {
        let Some(subtable) = self.of(key).and_then(|table| table.subtables.first()) else { return };
        if let Some(mask) = self.masks.get(subtable.mask) {
            subtable.prefetch(stored_hash(self.seed, mask.words(key)));
        }
    }

    /// Forget flows that were removed. Their records lie anywhere, and so do their places in subtables: both are asked for
    /// some flows ahead.
    pub(crate) fn remove_all(&mut self, marks: &[u32]) {
        marks.iter().take(AHEAD).for_each(|mark| self.arena.prefetch(index_of(*mark)));
        let mut rest = marks;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(AHEAD.min(rest.len()));
            later.iter().take(AHEAD).for_each(|mark| self.arena.prefetch(index_of(*mark)));
            let mut hashes = [0; AHEAD];
            for (hash, mark) in hashes.iter_mut().zip(now) {
                *hash = self.expect_removal(*mark);
            }
            for (hash, mark) in hashes.into_iter().zip(now) {
                if self.knows(*mark) {
                    self.forget(index_of(*mark), Some(hash));
                }
            }
            rest = later;
        }
    }

    /// Tell the CPU that a flow will be taken out; its hash.
    fn expect_removal(&self, mark: u32) -> u32 {
        let index = index_of(mark);
        let (Some(hot), Ok(number), true) = (self.arena.get(index), u32::try_from(index), self.knows(mark)) else {
            return 0;
        };
        let mask_id = hot.mask();
        let Some(mask) = self.masks.get(mask_id) else { return 0 };
        let hash = stored_hash(self.seed, self.words(number, hot, mask_id, mask));
        let [in_port, recirc_id] = where_is(hot);
        let table = place(in_port, recirc_id).and_then(|at| self.port_at(at));
        if let Some(subtable) = table.and_then(|table| table.subtable(mask_id)) {
            subtable.prefetch(hash);
        }
        hash
    }

    /// Whether the flow with this mark is known here, alive or not.
    pub(crate) fn knows(&self, mark: u32) -> bool {
        self.known.get(index_of(mark)) == Some(&mark)
    }

    /// Let a flow that is known do something else.
    pub(crate) fn set_program(&mut self, mark: u32, program: &Arc<Program>) {
        let Some(hot) = self.arena.get(index_of(mark)).filter(|_| self.knows(mark)) else { return };
        let out = port_of(program);
        let before = hot.program();
        hot.set_program(self.programs.take(program), out);
        self.programs.release(before);
    }

    /// Forget a flow, if it is still the one with this number.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, mark: u32) {
        if self.knows(mark) {
            self.forget(index_of(mark), None);
        }
    }

    /// `hash`: that of its key, if it is known.
    fn forget(&mut self, index: usize, hash: Option<u32>) {
        let Some(mark) = self.known.get_mut(index).map(std::mem::take).filter(|mark| *mark != 0) else { return };
        // Also when the worker has not seen that it ended.
        self.arena.end(mark);
        let (Some(hot), Ok(number)) = (self.arena.get(index), u32::try_from(index)) else { return };
        self.live -= 1;
        let mask_id = hot.mask();
        if mask_id == usize::from(NO_MASK) {
            return self.programs.release(hot.program());
        }
        let Some(mask) = self.masks.get(mask_id) else { return };
        let words = || words_of(&self.masks, &self.wide, number, hot, mask_id, mask);
        let hash = hash.unwrap_or_else(|| stored_hash(self.seed, words()));
        let key = || {
            let mut key = FlowKey::ZERO;
            mask.fill(&mut key, &words().collect::<SmallVec<[u64; 16]>>());
            key
        };
        let [in_port, recirc_id] = where_is(hot);
        self.programs.release(hot.program());
        if let Some(at) = place(in_port, recirc_id) {
            let table = match at {
                Some(port) => self.ports.get_mut(port),
                None => Some(&mut self.again),
            };
            if let Some(table) = table {
                table.take_out(number, hash, key, mask_id);
                table.note_sole(&self.arena, &self.masks);
            }
        }
        if !self.wide.is_empty() {
            self.wide.remove(&number);
        }
        self.masks.release(mask_id);
    }

    fn port_at(&self, at: Option<usize>) -> Option<&PortTable> {
        match at {
            Some(port) => self.ports.get(port),
            None => Some(&self.again),
        }
    }

    fn port_at_mut(&mut self, at: Option<usize>) -> Option<&mut PortTable> {
        match at {
            Some(port) => self.ports.get_mut(port),
            None => Some(&mut self.again),
        }
    }

    #[cold]
    fn rank(&mut self, at: Option<usize>) {
        let masks = &self.masks;
        let full = |s: &Subtable| masks.full(s.mask).unwrap_or_default();
        match at {
            Some(port) => self.ports.get_mut(port).into_iter().for_each(|t| t.rank(full)),
            None => self.again.rank(full),
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Number of subtables of all ports.
    pub(crate) fn subtables(&self) -> usize {
        self.ports.iter().chain([&self.again]).map(|t| t.subtables.len()).sum()
    }
}

/// Which table: `Some(port)` for packets as they are received, `None` for those that come again.
#[inline(always)]
#[expect(clippy::option_option, reason = "the outer one: there is no such port")]
fn place(in_port: u32, recirc_id: u32) -> Option<Option<usize>> {
    match (recirc_id, in_port < crate::ports::MAX_PORT) {
        (0, true) => Some(Some(in_port as usize)),
        (0, false) => None,
        _ => Some(None),
    }
}

/// The input port of a packet as it is received, or [`FAR`].
#[inline(always)]
pub(crate) fn near_of(key: &FlowKey) -> u16 {
    if key.recirc_id.get() == 0 { u16::try_from(key.in_port.get()).unwrap_or(FAR) } else { FAR }
}

/// The first word of the keys of packets as they are received on this port.
#[inline(always)]
fn place_of_near(in_port: u16) -> u64 {
    let [high, low] = in_port.to_be_bytes();
    u64::from_ne_bytes([0, 0, high, low, 0, 0, 0, 0])
}

fn place_in(word: u64) -> [u32; 2] {
    let mut key = FlowKey::ZERO;
    key.words_mut()[0] = word.to_ne_bytes();
    [key.in_port.get(), key.recirc_id.get()]
}
