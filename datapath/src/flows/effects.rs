//! Effects of flows, kept as what many flows have in common and the rules of each.
//!
//! Flows through large tables count for rules that hardly any other flow goes through: their lists of effects differ in the
//! numbers of rules only. Those lie in the flow's row in its class; the list without them is kept once.

use flow::dp::{Effect, Hits, RuleId};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;

/// Most rules whose numbers a row holds. A list with more of them is kept whole: flows that share it save more.
const MOST_RULES: usize = 8;

/// The numbers of rules as a row has them, two a word.
pub(crate) type Numbers = SmallVec<[u64; MOST_RULES / 2]>;

/// A list of effects; of those for rules the rules are elsewhere, unless there are too many.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    list: Box<[Effect]>,
    /// How many rules are elsewhere.
    rules: usize,
}

/// The number of a rule, if it fits into half a word.
fn number_of(effect: &Effect) -> Option<Option<u32>> {
    match effect {
        Effect::Rule(id) => Some(u32::try_from(id.0).ok()),
        _ => None,
    }
}

/// How many rules of a list have their numbers in the row: all or none.
fn rules_apart(effects: &[Effect]) -> usize {
    let (mut rules, mut fit) = (0, true);
    for number in effects.iter().filter_map(number_of) {
        rules += 1;
        fit &= number.is_some();
    }
    if fit && rules <= MOST_RULES { rules } else { 0 }
}

impl Pattern {
    pub(super) fn new(effects: &[Effect]) -> Pattern {
        let rules = rules_apart(effects);
        let without = |effect: &Effect| match effect {
            Effect::Rule(_) if rules > 0 => Effect::Rule(RuleId(0)),
            other => other.clone(),
        };
        Pattern { list: effects.iter().map(without).collect(), rules }
    }

    /// Whether it is that of these effects.
    pub(super) fn is_of(&self, effects: &[Effect]) -> bool {
        let same = |(mine, other): (&Effect, &Effect)| match (mine, other) {
            (Effect::Rule(_), Effect::Rule(_)) if self.rules > 0 => true,
            _ => mine == other,
        };
        self.list.len() == effects.len()
            && self.list.iter().zip(effects).all(same)
            && (self.list.is_empty() || self.rules == rules_apart(effects))
    }

    /// The same for all lists of one pattern.
    pub(super) fn hash_of(effects: &[Effect], hasher: &mut impl Hasher) {
        let rules = rules_apart(effects);
        rules.hash(hasher);
        for effect in effects {
            match effect {
                Effect::Rule(_) if rules > 0 => discriminant(effect).hash(hasher),
                _ => effect.hash(hasher),
            }
        }
    }

    /// How many words of a row the numbers of its rules take.
    pub(super) fn words(&self) -> usize {
        self.rules.div_ceil(2)
    }

    /// The numbers of the rules of these effects, whose pattern it is.
    pub(super) fn numbers<'e>(&self, effects: &'e [Effect]) -> impl Iterator<Item = u64> + 'e {
        let mut rules = effects.iter().filter_map(number_of).flatten().take(self.rules);
        let next = move || rules.next().map(|low| u64::from(low) | u64::from(rules.next().unwrap_or(0)) << 32);
        std::iter::from_fn(next)
    }
}

/// The effects of one flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(super) pattern: Arc<Pattern>,
    pub(super) numbers: Numbers,
}

/// Hits that are to be replayed, of many flows together.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    rules: HashMap<RuleId, Hits>,
    /// By where the pattern is.
    patterns: HashMap<usize, (Arc<Pattern>, Hits)>,
    pub(crate) packets: u64,
}

impl Sums {
    /// Packets of a flow with these effects.
    pub(crate) fn add(&mut self, effects: &Effects, hits: &Hits) {
        self.packets += hits.packets;
        for id in effects.rules() {
            self.rules.entry(id).or_default().add(hits);
        }
        let pattern = &effects.pattern;
        if pattern.rules < pattern.list.len() {
            let place = Arc::as_ptr(pattern).addr();
            self.patterns.entry(place).or_insert_with(|| (Arc::clone(pattern), Hits::default())).1.add(hits);
        }
    }

    /// Hand everything on.
    pub(crate) fn replay(&mut self, mut replay: impl FnMut(&[Effect], &Hits)) {
        self.packets = 0;
        self.rules.drain().for_each(|(id, hits)| replay(&[Effect::Rule(id)], &hits));
        for (_, (pattern, hits)) in self.patterns.drain() {
            if pattern.rules == 0 {
                replay(&pattern.list, &hits);
                continue;
            }
            let rest = pattern.list.iter().filter(|effect| !matches!(effect, Effect::Rule(_)));
            replay(&rest.cloned().collect::<SmallVec<[Effect; 4]>>(), &hits);
        }
    }
}

impl Effects {
    /// The rules that are not part of the pattern.
    fn rules(&self) -> impl Iterator<Item = RuleId> {
        let halves = self.numbers.iter().flat_map(|word| [word & u64::from(u32::MAX), word >> 32]);
        halves.take(self.pattern.rules).map(RuleId)
    }

    /// The effects as the slow path told them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Effect> {
        let mut rules = self.rules();
        self.pattern.list.iter().map(move |effect| match effect {
            Effect::Rule(id) => Effect::Rule(rules.next().unwrap_or(*id)),
            other => other.clone(),
        })
    }

    /// Whether they are these.
    pub(crate) fn are(&self, effects: &[Effect]) -> bool {
        self.pattern.is_of(effects) && self.pattern.numbers(effects).eq(self.numbers.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::dp::BridgeId;
    use proptest::prelude::*;
    use std::hash::{BuildHasher, RandomState};

    fn arb_effect() -> impl Strategy<Value = Effect> {
        prop_oneof![
            6 => (0u64..4).prop_map(|id| Effect::Rule(RuleId(id))),
            1 => Just(Effect::Rule(RuleId(1 << 32))),
            2 => (0u8..2).prop_map(|table| Effect::TableMiss(BridgeId(1), table)),
        ]
    }

    fn effects_of(list: &[Effect]) -> Effects {
        let pattern = Pattern::new(list);
        let numbers: Numbers = pattern.numbers(list).collect();
        assert_eq!(numbers.len(), pattern.words());
        Effects { pattern: Arc::new(pattern), numbers }
    }

    proptest! {
        #[test]
        fn a_pattern_and_numbers_are_the_list(
            a in prop::collection::vec(arb_effect(), 0..12),
            b in prop::collection::vec(arb_effect(), 0..12),
            like in prop::collection::vec(0u64..4, 12),
        ) {
            let (of_a, of_b) = (effects_of(&a), effects_of(&b));
            prop_assert!(of_a.iter().eq(a.iter().cloned()));
            prop_assert!(of_a.are(&a) && of_b.are(&b));
            prop_assert_eq!(of_a.are(&b), a == b);
            // Through other rules.
            let swap = |(effect, id): (&Effect, &u64)| match effect {
                Effect::Rule(_) => Effect::Rule(RuleId(*id)),
                other => other.clone(),
            };
            let other: Vec<Effect> = a.iter().zip(&like).map(swap).collect();
            prop_assert_eq!(of_a.are(&other), a == other);
            let rules = |list: &[Effect]| list.iter().filter(|e| matches!(e, Effect::Rule(_))).count();
            let small = !a.contains(&Effect::Rule(RuleId(1 << 32))) && rules(&a) <= MOST_RULES;
            prop_assert_eq!(of_a.pattern.is_of(&other), small || a == other);
            let state = RandomState::new();
            let hash = |list: &[Effect]| {
                let mut hasher = state.build_hasher();
                Pattern::hash_of(list, &mut hasher);
                hasher.finish()
            };
            if of_a.pattern.is_of(&other) {
                prop_assert_eq!(hash(&a), hash(&other));
            }
            // Sums count each effect of each flow.
            let (mut sums, mut counted, mut want) = (Sums::default(), HashMap::new(), HashMap::new());
            for (n, list) in [&a, &b, &other].into_iter().enumerate() {
                let hits = Hits { packets: 1 << (8 * n), ..Hits::default() };
                // Flows with one pattern share it.
                let mut effects = effects_of(list);
                if of_a.pattern.is_of(list) {
                    effects.pattern = Arc::clone(&of_a.pattern);
                }
                sums.add(&effects, &hits);
                list.iter().for_each(|effect| *want.entry(effect.clone()).or_insert(0) += hits.packets);
            }
            prop_assert_eq!(sums.packets, 0x01_01_01);
            sums.replay(|effects, hits| {
                effects.iter().for_each(|effect| *counted.entry(effect.clone()).or_insert(0) += hits.packets);
            });
            prop_assert_eq!(counted, want);
        }
    }
}
