//! One table: tuple space search with staged lookup and prefix tries.
//!
//! Rules with the same mask share a [`Subtable`], which is a hash table; subtables are probed in the order of their highest
//! priority, until none that is left can beat the rule found. The bits of all that was probed were looked at, so a
//! packet that is equal in them takes the same way: the megaflow's mask is their union. Three things keep it small:
//!
//! - **Stages** ([`shape`]): a packet whose `eth_type`, say, no rule of a subtable has, is refused before its addresses are
//!   looked at.
//! - **Address prefixes** ([`prefixes`]): a trie for each address field of the table tells how many leading bits show
//!   that no rule with a prefix of some length matches.
//! - **Ports** ([`lookup`]): a trie for each subtable tells the same of layer 4 ports.
//!
//! Rules with `conjunction` actions are no answers; see [`conjunction`].
//!
//! Each of the three stops at the first bit that decides, in an order that depends only on bits seen before: the crate's "a
//! mask is a path".
//!
//! All structures share what they can between versions, so that a changed copy costs a path, not a table; a copy that is
//! not shared yet is changed in place. Subtables with the same highest priority are probed in the order of their
//! masks: what happens between rules that overlap at equal priority depends on the rules, never on the order in which
//! they came.

mod conjunction;
mod hash;
mod hash_trie;
mod lookup;
mod prefix_trie;
mod prefixes;
mod shape;
mod subtable;
#[cfg(test)]
mod tests;
mod words;

use crate::rule::Rule;
use conjunction::{Softs, is_soft};
use flow::{FlowKey, Mask, Match, Registers};
use hash_trie::HashTrie;
use lookup::Lookup;
use prefixes::{Lens, Tries};
pub(crate) use shape::Packed;
use shape::Shape;
use std::cmp::Ordering;
use std::sync::Arc;
use subtable::Subtable;
use words::Words;

#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Subtables in no order; `None`: free.
    slots: Vec<Option<Arc<Subtable>>>,
    /// In the order of probing.
    order: Vec<Probe>,
    /// The slots by the hash of the shape.
    shapes: HashTrie<u32>,
    tries: Tries,
    len: usize,
}

/// What is known of a subtable without going there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    /// The highest priority in it.
    priority: u16,
    /// Its address prefixes.
    prefixes: Lens,
    slot: u32,
}

impl Table {
    /// Number of rules.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The rule for a packet. `look` is told what was looked at, once.
    pub(crate) fn find(&self, key: &FlowKey, regs: &Registers, mut look: impl FnMut(&Mask)) -> Option<&Arc<Rule>> {
        let mut lookup = Lookup::new(key, regs, &self.tries);
        let mut softs = Softs::new();
        let hard = self.search(&mut lookup, &mut |rule, subtable| softs.push((rule, subtable)));
        let found = if softs.is_empty() { hard } else { self.resolve(&mut lookup, softs, hard) };
        look(lookup.seen());
        found
    }

    /// The hard rule of highest priority that matches. `soft` is told the soft ones of higher priority.
    #[inline]
    fn search<'t>(
        &'t self,
        lookup: &mut Lookup<'_>,
        soft: &mut impl FnMut(&'t Arc<Rule>, &'t Subtable),
    ) -> Option<&'t Arc<Rule>> {
        let mut best: Option<&Arc<Rule>> = None;
        for probe in &self.order {
            if best.is_some_and(|r| r.spec.priority >= probe.priority) {
                break;
            }
            if lookup.has_excluded(&probe.prefixes) {
                continue;
            }
            let Some(subtable) = self.subtable(probe.slot) else { continue };
            if let Some(rule) = subtable.find(lookup)
                && best.is_none_or(|b| b.spec.priority < rule.spec.priority)
            {
                if is_soft(rule) {
                    soft(rule, subtable);
                } else {
                    best = Some(rule);
                }
            }
        }
        best
    }

    /// A match in the form in which rules of this table keep it.
    pub(crate) fn pack(&self, matching: &Match) -> Packed {
        let mask = Words::of_mask(matching);
        let slots = self.shapes.all(shape::hash_of(&mask));
        let shape = slots.filter_map(|slot| self.subtable(*slot)).map(|s| &s.shape).find(|s| s.is_of(&mask));
        Packed::new(shape.cloned().unwrap_or_else(|| Arc::new(Shape::new(matching))), matching)
    }

    /// The rule with exactly this match and priority.
    pub(crate) fn get(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        self.get_packed(&self.pack(matching), priority)
    }

    /// As [`Table::get`].
    pub(crate) fn get_packed(&self, matching: &Packed, priority: u16) -> Option<&Arc<Rule>> {
        self.subtable(self.slot(&matching.shape)?)?.get(matching, priority)
    }

    /// Put a rule in; one with the same match and priority is replaced and handed back.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let packed = rule.spec.matching.clone();
        let slot = self.slot(&packed.shape).unwrap_or_else(|| self.add_subtable(packed.shape.clone()));
        let subtable = Arc::make_mut(self.slots[slot as usize].as_mut()?);
        let (before, put) = (subtable.max_priority, subtable.insert(rule));
        let after = subtable.max_priority;
        self.reorder(slot, before, after);
        if put.first {
            self.tries.insert(&packed);
        }
        self.len += usize::from(put.old.is_none());
        put.old
    }

    /// Take out the rule with exactly this match and priority.
    pub(crate) fn remove(&mut self, matching: &Packed, priority: u16) -> Option<Arc<Rule>> {
        let slot = self.slot(&matching.shape)?;
        // Nothing is copied for a rule that is not there.
        self.subtable(slot)?.get(matching, priority)?;
        let subtable = Arc::make_mut(self.slots[slot as usize].as_mut()?);
        let before = subtable.max_priority;
        let (gone, last) = subtable.remove(matching, priority)?;
        let (after, empty) = (subtable.max_priority, subtable.is_empty());
        if empty {
            self.remove_subtable(slot);
        } else {
            self.reorder(slot, before, after);
        }
        if last {
            self.tries.remove(matching);
        }
        self.len -= 1;
        Some(gone)
    }

    /// The rules that only match packets that `matching` matches too.
    pub(crate) fn within(&self, matching: &Match) -> impl Iterator<Item = &Arc<Rule>> {
        let (values, mask) = (Words::of_values(matching), Words::of_mask(matching));
        let subtables = self.subtables().filter(move |s| s.shape.covers(&mask));
        subtables.flat_map(Subtable::rules).filter(move |r| r.spec.matching.agrees(&values, &mask))
    }

    /// A rule of this priority with another match that some packet meets as well as `matching`.
    pub(crate) fn overlapping(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        let (values, mask) = (Words::of_values(matching), Words::of_mask(matching));
        self.subtables().find_map(|s| s.overlapping(&values, &mask, priority))
    }

    fn subtables(&self) -> impl Iterator<Item = &Subtable> {
        self.slots.iter().flatten().map(|s| &**s)
    }

    fn subtable(&self, slot: u32) -> Option<&Subtable> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn slot(&self, shape: &Shape) -> Option<u32> {
        self.shapes.all(shape.hash).copied().find(|slot| self.subtable(*slot).is_some_and(|s| s.shape.is(shape)))
    }

    /// An empty subtable, at the end of the order.
    fn add_subtable(&mut self, shape: Arc<Shape>) -> u32 {
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let slot = free as u32;
        self.shapes.edit(shape.hash, |leaf| leaf.push((shape.hash, slot)));
        let at = self.place(0, &shape).unwrap_or_else(|at| at);
        self.order.insert(at, Probe { priority: 0, prefixes: shape.prefixes, slot });
        let new = Some(Arc::new(Subtable::new(shape)));
        match self.slots.get_mut(free) {
            Some(place) => *place = new,
            None => self.slots.push(new),
        }
        slot
    }

    fn remove_subtable(&mut self, slot: u32) {
        let Some(gone) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.order.retain(|probe| probe.slot != slot);
        self.shapes.edit(gone.shape.hash, |leaf| leaf.remove_all(&slot));
    }

    /// Where a subtable is in the order, or would be.
    fn place(&self, priority: u16, shape: &Shape) -> Result<usize, usize> {
        self.order.binary_search_by(|probe| {
            let tie = || self.subtable(probe.slot).map_or(Ordering::Less, |s| s.shape.rank().cmp(&shape.rank()));
            priority.cmp(&probe.priority).then_with(tie)
        })
    }

    /// The highest priority of a subtable has changed.
    fn reorder(&mut self, slot: u32, before: u16, after: u16) {
        if before == after {
            return;
        }
        let Some(shape) = self.subtable(slot).map(|s| s.shape.clone()) else { return };
        if let Ok(at) = self.place(before, &shape) {
            self.order.remove(at);
        }
        let at = self.place(after, &shape).unwrap_or_else(|at| at);
        self.order.insert(at, Probe { priority: after, prefixes: shape.prefixes, slot });
    }
}

/// Whether some packet is matched by both.
pub(crate) fn overlap(a: &Match, b: &Match) -> bool {
    let parts = [Words::of_values(a), Words::of_values(b), Words::of_mask(a), Words::of_mask(b)].map(|w| w.0);
    let [a, b, am, bm] = &parts;
    a.iter().zip(b).zip(am.iter().zip(bm)).all(|((a, b), (m, n))| (a ^ b) & m & n == 0)
}
