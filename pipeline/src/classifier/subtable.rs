//! Rules of one table that share a mask.

use super::hash;
use super::hash_trie::HashTrie;
use super::lookup::Lookup;
use super::prefix_trie::PrefixTrie;
use super::prefixes::Prefix;
use super::shape::{Packed, Piece, Shape};
use super::words::Words;
use crate::rule::Rule;
use smallvec::SmallVec;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Subtable {
    pub(super) shape: Arc<Shape>,
    /// For each stage but the last, the hashes of what rules have there and before. A packet that has none of them cannot
    /// match, and the rest of the mask is not looked at.
    indices: SmallVec<[HashTrie<u32>; 3]>,
    /// By the hash of all stages; of equal matches the highest priority first.
    rules: HashTrie<Arc<Rule>>,
    /// The layer 4 ports of the rules, under the mask.
    ports: PrefixTrie<u32>,
    /// The priority of each rule.
    priorities: PrefixTrie<u16>,
    /// The highest of them.
    pub(super) max_priority: u16,
}

/// What putting in a rule did.
#[derive(Debug)]
pub(super) struct Put {
    /// The rule that was there with the same match and priority.
    pub(super) old: Option<Arc<Rule>>,
    /// Whether there was no rule with this match at any priority.
    pub(super) first: bool,
}

impl Subtable {
    /// An empty subtable.
    pub(super) fn new(shape: Arc<Shape>) -> Subtable {
        Subtable {
            indices: (1..shape.stages.len()).map(|_| HashTrie::default()).collect(),
            shape,
            rules: HashTrie::default(),
            ports: PrefixTrie::default(),
            priorities: PrefixTrie::default(),
            max_priority: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule of highest priority that matches. Tells `lookup` what it looks at.
    #[inline]
    pub(super) fn find<'s>(&'s self, lookup: &mut Lookup<'_>) -> Option<&'s Arc<Rule>> {
        let rest = self.reach(lookup)?;
        let (hash, first) = rest.first()?;
        first.prefetch();
        let rules = rest.iter().filter(|(h, _)| h == hash).map(|(_, rule)| rule);
        rules.into_iter().find(|r| r.spec.matching.matches(lookup.key, lookup.regs))
    }

    /// The first rule with the hash of the packet, and some after it, when no stage has excluded it.
    #[inline]
    fn reach(&self, lookup: &mut Lookup<'_>) -> Option<&[(u64, Arc<Rule>)]> {
        let shape = &*self.shape;
        let mut chain = lookup.start;
        for (i, stage) in shape.stages.iter().enumerate() {
            if stage.addresses && lookup.excluded_by_addresses(shape) {
                return None;
            }
            let pieces = &shape.pieces[usize::from(stage.from)..usize::from(stage.to)];
            let Some(index) = self.indices.get(i) else {
                return self.reach_rules(lookup, pieces, chain);
            };
            for (at, bits) in pieces {
                chain = hash::mix(chain, lookup.look(*at, *bits));
            }
            if !index.contains(chain) {
                return None;
            }
        }
        None
    }

    /// The last stage. Where a rule has the packet's hash, its ports are among those of the trie, which has nothing to say then.
    #[inline]
    fn reach_rules(&self, lookup: &mut Lookup<'_>, pieces: &[Piece], mut chain: u64) -> Option<&[(u64, Arc<Rule>)]> {
        let ports = self.shape.ports;
        for (at, bits) in pieces {
            chain = hash::mix(chain, lookup.peek(*at, *bits));
        }
        let rules = self.rules.since(chain);
        if ports.1 != 0 && rules.is_empty() && lookup.excluded_by_ports(&self.ports, ports) {
            return None;
        }
        pieces.iter().for_each(|(at, bits)| lookup.note(*at, *bits));
        Some(rules)
    }

    /// The rule with exactly this match, which has the mask of this subtable, and priority.
    pub(super) fn get(&self, matching: &Packed, priority: u16) -> Option<&Arc<Rule>> {
        let hash = *self.shape.hashes(&matching.values).last()?;
        self.rules.all(hash).find(|r| r.spec.priority == priority && r.spec.matching.values == matching.values)
    }

    /// The next rule with the same match and a lower priority.
    pub(super) fn below(&self, rule: &Rule) -> Option<&Arc<Rule>> {
        let values = &rule.spec.matching.values;
        let hash = *self.shape.hashes(values).last()?;
        let mut rest = self.rules.all(hash).filter(|r| r.spec.matching.values == *values);
        rest.find(|r| r.spec.priority < rule.spec.priority)
    }

    /// Put a rule in.
    pub(super) fn insert(&mut self, rule: Arc<Rule>) -> Put {
        let hashes = self.shape.hashes(&rule.spec.matching.values);
        let Some((last, stages)) = hashes.split_last() else { return Put { old: None, first: false } };
        let priority = rule.spec.priority;
        let values = rule.spec.matching.values.clone();
        let put = self.rules.edit(*last, |leaf| {
            let equal = |r: &Rule| r.spec.matching.values == values;
            let first = !leaf.iter().any(|(h, r)| h == last && equal(r));
            if let Some((_, old)) = leaf.iter_mut().find(|(_, r)| r.spec.priority == priority && equal(r)) {
                return Put { old: Some(std::mem::replace(old, rule)), first };
            }
            let at = leaf.iter().position(|(h, r)| h == last && r.spec.priority < priority);
            leaf.push((*last, rule));
            if let Some(at) = at {
                leaf[at..].rotate_right(1);
            }
            Put { old: None, first }
        });
        if put.first {
            for (index, hash) in self.indices.iter_mut().zip(stages) {
                index.count_up(*hash);
            }
            if self.shape.ports.1 != 0 {
                self.ports.insert(self.ports_of(&values), self.shape.ports.1);
            }
        }
        if put.old.is_none() {
            self.priorities.insert(priority, 16);
            self.max_priority = self.max_priority.max(priority);
        }
        put
    }

    /// Take a rule out. Also told: whether no rule with this match is left.
    pub(super) fn remove(&mut self, matching: &Packed, priority: u16) -> Option<(Arc<Rule>, bool)> {
        let values = &matching.values;
        let hashes = self.shape.hashes(values);
        let (last, stages) = hashes.split_last()?;
        let (gone, left) = self.rules.edit(*last, |leaf| {
            let equal = |r: &Rule| r.spec.matching.values == *values;
            let at = leaf.iter().position(|(_, r)| r.spec.priority == priority && equal(r))?;
            // In order: of equal matches the highest priority stays first.
            let (_, gone) = leaf.remove(at);
            let left = leaf.iter().any(|(_, r)| equal(r));
            Some((gone, left))
        })?;
        if !left {
            for (index, hash) in self.indices.iter_mut().zip(stages) {
                index.count_down(*hash);
            }
            if self.shape.ports.1 != 0 {
                self.ports.remove(self.ports_of(values), self.shape.ports.1);
            }
        }
        self.priorities.remove(priority, 16);
        self.max_priority = self.priorities.max().unwrap_or(0);
        Some((gone, !left))
    }

    pub(super) fn has_priority(&self, priority: u16) -> bool {
        self.priorities.contains(priority, 16)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// A rule of this priority that some packet meets as well as a match with these values and mask.
    pub(super) fn overlapping(&self, values: &Words, mask: &Words, priority: u16) -> Option<&Arc<Rule>> {
        if !self.has_priority(priority) {
            return None;
        }
        if self.shape.is_within(mask) {
            // Wider than the match: only the rule that its values lead to can overlap.
            let hash = *self.shape.hashes(&self.shape.pick(values)).last()?;
            return self.rules.all(hash).find(|r| r.spec.priority == priority && r.spec.matching.agrees(values, mask));
        }
        self.rules().find(|r| r.spec.priority == priority && r.spec.matching.agrees(values, mask))
    }

    fn ports_of(&self, values: &[u64]) -> u32 {
        let mut words = Words::ZERO;
        for ((at, _), value) in self.shape.pieces.iter().zip(values) {
            words.0[usize::from(*at)] |= value;
        }
        Prefix::ports(&words.key())
    }
}
