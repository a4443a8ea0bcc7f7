//! Recirculation: a packet leaves for the datapath in the middle of its way, and comes back to go on.
//!
//! What it has to go on with is a [`Frozen`] state, kept under a number in [`Recircs`]. Equal states have one number, so that
//! packets of a flow share their second pass too.
//!
//! Lifetime: states are used when a translation freezes to them or resumes from them. At most [`Recircs::LIMIT`] are kept;
//! beyond that the ones that were not used for longest go, an eighth at a time. A flow that recirculates to one
//! of them depends on it ([`Dep::Recirc`]) and is translated again; a packet that comes back meanwhile is dropped
//! with [`flow::dp::DropReason::StaleRecirc`]. Numbers are not used again before all others were.

use super::walk::List;
use super::{Place, Walk};
use crate::trace::TraceStep;
use flow::dp::{BridgeId, Dep, DpAction, HashSpec, RecircId};
use flow::{Action, FieldId, OfPort, Registers, Value};
use parking_lot::RwLock;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a packet goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frozen {
    pub(crate) bridge: BridgeId,
    /// Where to look up, if there is nothing in `rest`.
    pub(crate) table: u8,
    pub(super) in_port: OfPort,
    pub(super) regs: Registers,
    /// What was written into tunnel fields: value and mask.
    pub(super) tunnel: SmallVec<[(FieldId, Value, Value); 2]>,
    pub(super) stack: SmallVec<[Value; 4]>,
    pub(super) action_set: Vec<Action>,
    /// What is left of the lists that were being executed, the innermost first, each with its table.
    pub(super) rest: Vec<(u8, Vec<Action>)>,
    /// Whether tracking has told about the packet; `None`: ask it.
    pub(super) tracked: Option<bool>,
    /// Whether the packet has a hash.
    pub(super) hashed: bool,
    pub(super) place: Place,
    /// Mirrors that the packet was sent to.
    pub(super) mirrored: u32,
}

#[derive(Debug)]
struct Held {
    frozen: Arc<Frozen>,
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    ids: HashMap<Arc<Frozen>, RecircId>,
    states: HashMap<RecircId, Held>,
    last: u32,
}

/// The frozen states by number. Any thread may call anything.
#[derive(Debug, Default)]
pub(crate) struct Recircs {
    inner: RwLock<Inner>,
    /// Counts uses.
    uses: AtomicU64,
}

impl Recircs {
    /// Most states that are kept.
    pub(crate) const LIMIT: usize = 65_536;

    /// The number of a state, and those that had to make room for it.
    pub(crate) fn intern(&self, frozen: Frozen) -> (RecircId, Vec<RecircId>) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        {
            let inner = self.inner.read();
            if let Some(id) = inner.ids.get(&frozen) {
                if let Some(held) = inner.states.get(id) {
                    held.used.store(now, Ordering::Relaxed);
                }
                return (*id, Vec::new());
            }
        }
        let mut inner = self.inner.write();
        if let Some(id) = inner.ids.get(&frozen) {
            return (*id, Vec::new());
        }
        let gone = if inner.states.len() >= Self::LIMIT { inner.make_room() } else { Vec::new() };
        let id = inner.next();
        let frozen = Arc::new(frozen);
        inner.ids.insert(frozen.clone(), id);
        inner.states.insert(id, Held { frozen, used: AtomicU64::new(now) });
        (id, gone)
    }

    /// The state with this number.
    pub(crate) fn get(&self, id: RecircId) -> Option<Arc<Frozen>> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.read();
        let held = inner.states.get(&id)?;
        held.used.store(now, Ordering::Relaxed);
        Some(held.frozen.clone())
    }
}

impl Inner {
    fn next(&mut self) -> RecircId {
        loop {
            self.last = self.last.wrapping_add(1);
            let id = RecircId(self.last);
            if id.0 != 0 && !self.states.contains_key(&id) {
                return id;
            }
        }
    }

    fn make_room(&mut self) -> Vec<RecircId> {
        let mut by_use: Vec<_> = self.states.iter().map(|(id, h)| (h.used.load(Ordering::Relaxed), *id)).collect();
        let go = by_use.len() / 8 + 1;
        by_use.sort_unstable_by_key(|(used, id)| (*used, id.0));
        let gone: Vec<RecircId> = by_use.into_iter().take(go).map(|(_, id)| id).collect();
        for id in &gone {
            if let Some(held) = self.states.remove(id) {
                self.ids.remove(&held.frozen);
            }
        }
        gone
    }
}

/// Why a packet has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freezing {
    /// For a hash.
    Hash(HashSpec),
}

impl<'a> Walk<'a> {
    /// End here; what is left of the lists is to be done when the packet comes back.
    pub(super) fn freeze(&mut self, why: Freezing) {
        self.freezing = Some(why);
        self.exit = true;
    }

    /// A list ends because the packet has to come back: keep its action `i - 1`, if it is the one that wants it, and
    /// what comes after.
    pub(super) fn keep(&mut self, list: List<'a, '_>, i: usize) {
        let from = if self.frames.is_empty() { i.saturating_sub(1) } else { i };
        let rest: Vec<Action> = (from..list.len()).filter_map(|i| list.get(i)).cloned().collect();
        if !rest.is_empty() {
            self.frames.push((self.table, rest));
        }
    }

    /// Let the packet come back for the rest.
    pub(super) fn finish_freezing(&mut self) {
        let Some(why) = self.freezing.take() else { return };
        let rest = std::mem::take(&mut self.frames);
        self.packet.commit(&mut self.actions);
        let Freezing::Hash(spec) = why;
        self.push(DpAction::Hash(spec));
        // What comes after the copy has no hash.
        let hashed = std::mem::replace(&mut self.hashed, true);
        self.recirculate(0, rest, self.tracked, Some(spec));
        self.hashed = hashed;
    }

    /// Let the packet, or a copy when something comes after, look up in `table` when it comes back, or do `rest`.
    pub(super) fn recirculate(
        &mut self,
        table: u8,
        rest: Vec<(u8, Vec<Action>)>,
        tracked: Option<bool>,
        hash: Option<HashSpec>,
    ) {
        let frozen = Frozen {
            bridge: self.bridge.id,
            table,
            in_port: self.in_port(),
            regs: self.packet.regs,
            tunnel: self.packet.tunnel_writes(),
            stack: self.stack.clone(),
            action_set: self.action_set.iter().map(|a| (*a).clone()).collect(),
            rest,
            tracked,
            hashed: self.hashed,
            place: self.place,
            mirrored: self.mirrored,
        };
        let (id, gone) = self.env.recircs.intern(frozen);
        if !gone.is_empty() {
            self.env.changes.add(gone.into_iter().map(Dep::Recirc));
        }
        self.depend(Dep::Recirc(id));
        self.push(DpAction::Recirc(id));
        self.forwarded = true;
        self.note_return(id, hash, hash.is_none());
    }

    /// Go on as a frozen state says.
    pub(super) fn resume(&mut self, from: &'a Frozen) {
        self.packet.regs = from.regs;
        for (field, value, mask) in &from.tunnel {
            self.packet.set(*field, *value, *mask);
        }
        if from.tracked == Some(false) {
            self.packet.clear_tracking();
        }
        self.tracked = from.tracked;
        self.hashed = from.hashed;
        self.stack = from.stack.clone();
        self.action_set = from.action_set.iter().collect();
        self.place = from.place;
        self.mirrored = from.mirrored;
        self.table = from.table;
        let within = self.enter(|_| TraceStep::Thaw("thaw".to_owned()));
        self.note(|_| TraceStep::Thaw(format!("Resuming from table {}", from.table)));
        for (_, list) in &from.rest {
            self.note(|_| TraceStep::Thaw(format!("Restoring actions: {}", flow::text::format_actions(list))));
        }
        self.leave(within);
        if from.rest.is_empty() {
            self.tables(from.table, None, true);
        }
        for (i, (table, list)) in from.rest.iter().enumerate() {
            if self.freezing.is_some() {
                self.frames.push((*table, list.clone()));
            } else if self.goes_on() {
                self.table = *table;
                let last = i + 1 == from.rest.len();
                if let Some(next) = self.run(List::Whole(list), last)
                    && self.goes_on()
                    && self.spend()
                {
                    self.tables(next, None, last);
                }
            }
        }
        self.end();
    }
}
