//! One table: tuple space search.
//!
//! Rules with the same mask share a [`Subtable`], which is a hash table; subtables are probed in the order of their highest
//! priority, until none that is left can beat the rule found. The bits of all probed masks were looked at, so a
//! packet that is equal in them takes the same way: the megaflow's mask is their union. A subtable tells by stages: a
//! packet whose `eth_type`, say, no rule of it has, is refused before its addresses are looked at.
//!
//! All maps share structure between versions, so that a changed copy costs a path, not a table. Subtables with the
//! same highest priority are probed in the order of their masks: what happens between rules that overlap at
//! equal priority depends on the rules, never on the order in which they came.

mod subtable;
mod words;

use crate::rule::Rule;
use flow::{FlowKey, Mask, Match, Registers};
use std::cmp::Reverse;
use std::sync::Arc;
use subtable::Subtable;
pub(crate) use subtable::overlap;
use words::{WordMask, Words};

#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Highest `max_priority` first.
    subtables: Vec<Arc<Subtable>>,
    len: usize,
}

impl Table {
    /// Number of rules.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The rule for a packet. `look` is told each mask before a decision depends on it.
    pub(crate) fn find(&self, key: &FlowKey, regs: &Registers, mut look: impl FnMut(&Mask)) -> Option<&Arc<Rule>> {
        let words = Words::of(key, regs);
        let mut best: Option<&Arc<Rule>> = None;
        for subtable in &self.subtables {
            let beaten = |r: &&Arc<Rule>| r.spec.priority >= subtable.max_priority;
            if best.as_ref().is_some_and(beaten) {
                break;
            }
            if let Some(rule) = subtable.find(&words, &mut look)
                && best.is_none_or(|b| b.spec.priority < rule.spec.priority)
            {
                best = Some(rule);
            }
        }
        best
    }

    /// The rule with exactly this match and priority.
    pub(crate) fn get(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        self.subtables[self.position(&WordMask::of_match(matching))?].get(matching, priority)
    }

    /// Put a rule in; one with the same match and priority is replaced and handed back.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let at = self.position(&WordMask::of_match(&rule.spec.matching)).unwrap_or_else(|| {
            self.subtables.push(Arc::new(Subtable::new(&rule.spec.matching)));
            self.subtables.len() - 1
        });
        let before = self.subtables[at].max_priority;
        let subtable = Arc::make_mut(&mut self.subtables[at]);
        let was_empty = subtable.is_empty();
        let old = subtable.insert(rule);
        if was_empty || self.subtables[at].max_priority != before {
            self.sort();
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Take out the rule with exactly this match and priority.
    pub(crate) fn remove(&mut self, matching: &Match, priority: u16) -> Option<Arc<Rule>> {
        let at = self.position(&WordMask::of_match(matching))?;
        let subtable = Arc::make_mut(&mut self.subtables[at]);
        let before = subtable.max_priority;
        let gone = subtable.remove(matching, priority)?;
        if subtable.is_empty() {
            self.subtables.remove(at);
        } else if self.subtables[at].max_priority != before {
            self.sort();
        }
        self.len -= 1;
        Some(gone)
    }

    /// The rules that only match packets that `matching` matches too.
    pub(crate) fn within(&self, matching: &Match) -> impl Iterator<Item = &Arc<Rule>> {
        let words = WordMask::of_match(matching);
        let matching = *matching;
        let subtables = self.subtables.iter().filter(move |s| s.words.covers(&words));
        subtables.flat_map(|s| s.rules()).filter(move |r| r.spec.matching.is_within(&matching))
    }

    /// A rule of this priority with another match that some packet meets as well as `matching`.
    pub(crate) fn overlapping(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        self.subtables
            .iter()
            .filter(|s| s.has_priority(priority))
            .flat_map(|s| s.rules())
            .find(|r| r.spec.priority == priority && overlap(&r.spec.matching, matching))
    }

    fn position(&self, words: &WordMask) -> Option<usize> {
        self.subtables.iter().position(|s| s.words == *words)
    }

    fn sort(&mut self) {
        // Nearly sorted already: the stable sort is linear then.
        self.subtables.sort_by(|a, b| (Reverse(a.max_priority), &a.words).cmp(&(Reverse(b.max_priority), &b.words)));
    }
}
