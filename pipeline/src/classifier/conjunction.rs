//! Conjunctive matches (ovs-fields(7), "Conjunctive Match Fields").
//!
//! A rule with `conjunction` actions matches softly: it fulfils dimensions of conjunctions, and no more. When all dimensions of
//! one are fulfilled at one priority, the packet is looked up again with `conj_id`, among the hard rules only.
//! Priorities are taken from high to low; at equal priority a hard rule goes before.

use super::Table;
use super::lookup::Lookup;
use super::subtable::Subtable;
use crate::rule::Rule;
use flow::{Action, Registers};
use smallvec::SmallVec;
use std::sync::Arc;

/// A soft match, and where it is.
type Soft<'t> = (&'t Arc<Rule>, &'t Subtable);
/// All soft matches of a lookup.
pub(super) type Softs<'t> = SmallVec<[Soft<'t>; 8]>;

/// Which dimensions of conjunctions are fulfilled, by id. Those that a conjunction does not have count as fulfilled.
type Fulfilled = SmallVec<[(u32, u64); 8]>;

/// The dimensions that a rule fulfils: id, number of the dimension, how many there are. None: it is a hard rule.
fn dimensions(rule: &Rule) -> impl Iterator<Item = (u32, u8, u8)> {
    rule.spec.actions.iter().filter_map(|action| match action {
        Action::Conjunction { id, clause, clauses } => Some((*id, *clause, *clauses)),
        _ => None,
    })
}

/// Whether a rule matches softly. Beside `conjunction` it has notes at most.
#[inline]
pub(super) fn is_soft(rule: &Rule) -> bool {
    let first = rule.spec.actions.iter().find(|a| !matches!(a, Action::Note(_)));
    matches!(first, Some(Action::Conjunction { .. }))
}

impl Table {
    /// The rule of a packet that these rules match softly and `hard` matches.
    pub(super) fn resolve<'t>(
        &'t self,
        lookup: &mut Lookup<'_>,
        mut softs: Softs<'t>,
        mut hard: Option<&'t Arc<Rule>>,
    ) -> Option<&'t Arc<Rule>> {
        loop {
            softs.retain(|(rule, _)| hard.is_none_or(|h| rule.spec.priority > h.spec.priority));
            let Some(priority) = softs.iter().map(|(rule, _)| rule.spec.priority).max() else { return hard };
            let found = self.fulfilled(lookup, &softs, priority);
            if found.is_some() {
                return found;
            }
            // What the soft rules of this priority hid: rules with the same match and a lower one.
            let mut lower = Softs::new();
            for soft in softs {
                if soft.0.spec.priority != priority {
                    lower.push(soft);
                } else if let Some(rule) = soft.1.below(soft.0) {
                    if is_soft(rule) {
                        lower.push((rule, soft.1));
                    } else if hard.is_none_or(|h| rule.spec.priority > h.spec.priority) {
                        hard = Some(rule);
                    }
                }
            }
            softs = lower;
        }
    }

    /// The rule of the first conjunction that the soft matches of one priority fulfil.
    fn fulfilled<'t>(&'t self, lookup: &mut Lookup<'_>, softs: &Softs<'t>, priority: u16) -> Option<&'t Arc<Rule>> {
        let of_priority = || softs.iter().map(|(rule, _)| *rule).filter(|rule| rule.spec.priority == priority);
        let count = of_priority().count();
        let mut fulfilled = Fulfilled::new();
        for (id, clause, clauses) in of_priority().flat_map(|rule| dimensions(rule)) {
            if usize::from(clauses) > count {
                continue;
            }
            let at = match fulfilled.binary_search_by_key(&id, |(id, _)| *id) {
                Ok(at) => at,
                Err(at) => {
                    fulfilled.insert(at, (id, u64::MAX.checked_shl(clauses.into()).unwrap_or(0)));
                    at
                }
            };
            let had = fulfilled[at].1;
            fulfilled[at].1 |= 1 << (clause % 64);
            if had != u64::MAX
                && fulfilled[at].1 == u64::MAX
                && let Some(rule) = self.find_conjunction(lookup, id)
            {
                return Some(rule);
            }
        }
        None
    }

    /// The hard rule for a packet that fulfils a conjunction.
    fn find_conjunction<'t>(&'t self, lookup: &mut Lookup<'_>, id: u32) -> Option<&'t Arc<Rule>> {
        let regs = Registers { conj_id: id.into(), ..*lookup.regs };
        lookup.with_registers(&regs, |lookup| self.search(lookup, &mut |_, _| {}))
    }
}
