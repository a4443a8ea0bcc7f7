//! Rules of one table that share a mask.

use super::words::{Masked, WordMask, Words};
use crate::rule::Rule;
use flow::{FieldId, FlowKey, Mask, Match, Registers};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use smallvec::SmallVec;
use std::sync::Arc;

/// Rules with one and the same match, highest priority first.
type Bucket = SmallVec<[Arc<Rule>; 1]>;

/// Fields that are looked at together, cheapest to look at first: what costs no flows (`in_port`, `eth_type`, registers) or
/// few (`nw_proto`), then layer 2, then layer 3. What is left comes last. As OVS's staged lookup, see its
/// lib/classifier.h.
const STAGES: [&[FieldId]; 4] = [
    &[FieldId::InPort, FieldId::RecircId, FieldId::EthType],
    &[FieldId::CtState, FieldId::CtZone, FieldId::IpProto],
    &[FieldId::TunId, FieldId::PktMark, FieldId::EthSrc, FieldId::EthDst, FieldId::VlanTpid, FieldId::VlanTci],
    &[
        FieldId::IpFrag,
        FieldId::IpTos,
        FieldId::Ipv4Src,
        FieldId::Ipv4Dst,
        FieldId::Ipv6Src,
        FieldId::Ipv6Dst,
        FieldId::Ipv6Label,
        FieldId::Vlan1Tpid,
        FieldId::Vlan1Tci,
    ],
];

/// A part of the subtable's mask, and which values its rules have there. A packet that has none of them cannot match,
/// and the rest of the mask is not looked at.
#[derive(Clone, Debug)]
struct Stage {
    look: Mask,
    words: WordMask,
    values: HashTrieMapSync<Masked, u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Subtable {
    look: Mask,
    pub(crate) words: WordMask,
    stages: SmallVec<[Stage; 4]>,
    rules: HashTrieMapSync<Masked, Bucket>,
    /// How many rules have each priority.
    priorities: RedBlackTreeMapSync<u16, u32>,
    /// The highest of them.
    pub(crate) max_priority: u16,
}

impl Subtable {
    /// An empty subtable for the mask of `matching`.
    pub(crate) fn new(matching: &Match) -> Subtable {
        let words = WordMask::of_match(matching);
        let mut stages: SmallVec<[Stage; 4]> = SmallVec::new();
        let mut part = Mask::ANY;
        for fields in STAGES {
            for field in fields {
                part.require_bits(field.def(), matching.mask.get(*field));
            }
            let here = WordMask::of(&part.0, &matching.regs_mask);
            let last = stages.last().map(|s: &Stage| &s.words);
            if !here.is_empty() && here != words && last != Some(&here) {
                stages.push(Stage { look: part, words: here, values: HashTrieMapSync::new_sync() });
            }
        }
        Subtable {
            look: matching.mask,
            words,
            stages,
            rules: HashTrieMapSync::new_sync(),
            priorities: RedBlackTreeMapSync::new_sync(),
            max_priority: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule of highest priority that matches. Bits that were looked at are told to `look` first.
    pub(crate) fn find(&self, words: &Words, look: &mut impl FnMut(&Mask)) -> Option<&Arc<Rule>> {
        for stage in &self.stages {
            look(&stage.look);
            if !stage.values.contains_key(&stage.words.pick(words)) {
                return None;
            }
        }
        look(&self.look);
        self.rules.get(&self.words.pick(words))?.first()
    }

    /// The rule with exactly this match and priority.
    pub(crate) fn get(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        let bucket = self.rules.get(&self.masked(matching))?;
        bucket.iter().find(|r| r.spec.priority == priority)
    }

    /// Put a rule in; one with the same match and priority is replaced and handed back.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let (priority, key) = (rule.spec.priority, self.masked(&rule.spec.matching));
        if let Some(bucket) = self.rules.get_mut(&key) {
            let at = bucket.partition_point(|r| r.spec.priority > priority);
            match bucket.get_mut(at) {
                Some(old) if old.spec.priority == priority => return Some(std::mem::replace(old, rule)),
                _ => bucket.insert(at, rule),
            }
        } else {
            let words = words_of(&rule.spec.matching);
            for stage in &mut self.stages {
                count_up(&mut stage.values, stage.words.pick(&words));
            }
            self.rules.insert_mut(key, Bucket::from_elem(rule, 1));
        }
        match self.priorities.get_mut(&priority) {
            Some(n) => *n += 1,
            None => self.priorities.insert_mut(priority, 1),
        }
        self.max_priority = self.max_priority.max(priority);
        None
    }

    pub(crate) fn remove(&mut self, matching: &Match, priority: u16) -> Option<Arc<Rule>> {
        let key = self.masked(matching);
        let bucket = self.rules.get_mut(&key)?;
        let at = bucket.iter().position(|r| r.spec.priority == priority)?;
        let gone = bucket.remove(at);
        if bucket.is_empty() {
            self.rules.remove_mut(&key);
            let words = words_of(matching);
            for stage in &mut self.stages {
                count_down(&mut stage.values, &stage.words.pick(&words));
            }
        }
        if let Some(n) = self.priorities.get_mut(&priority) {
            *n -= 1;
            if *n == 0 {
                self.priorities.remove_mut(&priority);
            }
        }
        self.max_priority = self.priorities.last().map_or(0, |(p, _)| *p);
        Some(gone)
    }

    pub(crate) fn has_priority(&self, priority: u16) -> bool {
        self.priorities.contains_key(&priority)
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values().flatten()
    }

    fn masked(&self, matching: &Match) -> Masked {
        self.words.pick(&words_of(matching))
    }
}

fn words_of(matching: &Match) -> Words {
    Words::of(&matching.key, &matching.regs)
}

fn count_up(values: &mut HashTrieMapSync<Masked, u32>, key: Masked) {
    match values.get_mut(&key) {
        Some(n) => *n += 1,
        None => values.insert_mut(key, 1),
    }
}

fn count_down(values: &mut HashTrieMapSync<Masked, u32>, key: &Masked) {
    if let Some(n) = values.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            values.remove_mut(key);
        }
    }
}

/// Whether some packet is matched by both.
pub(crate) fn overlap(a: &Match, b: &Match) -> bool {
    let differ = |a: &FlowKey, b: &FlowKey, m: &Mask, n: &Mask| a.masked(m).masked(n) != b.masked(m).masked(n);
    !differ(&a.key, &b.key, &a.mask, &b.mask) && !registers_differ(a, b)
}

fn registers_differ(a: &Match, b: &Match) -> bool {
    use zerocopy::IntoBytes;
    let (am, bm): (&Registers, &Registers) = (&a.regs_mask, &b.regs_mask);
    let masks = am.as_bytes().iter().zip(bm.as_bytes());
    a.regs.as_bytes().iter().zip(b.regs.as_bytes()).zip(masks).any(|((a, b), (m, n))| (a ^ b) & m & n != 0)
}
