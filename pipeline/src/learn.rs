//! Rules that packets make: what replay does for `learn`.
//!
//! As OVS: a learned rule with the same match and priority as one that is there takes its place; with the same actions, timeouts
//! and cookie it only starts the hard timeout anew, which needs no lock. What hits report late never
//! replaces what was learned, or changed, after the packet came.

use crate::apply::Batch;
use crate::pipeline::Pipeline;
use crate::rule::Rule;
use crate::state::{Bridge, State};
use flow::Match;
use flow::clock::Time;
use flow::dp::{Hits, LearnedRule};
use flow::rule::{RuleFlags, RuleSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of packets that would make a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnStats {
    /// Rules made or changed.
    pub learned: u64,
    /// Not made: as many as the `learn` action may make were there.
    pub limited: u64,
    /// Not made: the table was full, or what the actions need is not there.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct LearnCounters {
    learned: AtomicU64,
    limited: AtomicU64,
    refused: AtomicU64,
}

/// What a learned rule means to the present state.
enum Verdict {
    /// It is there as it should be.
    Same(Arc<Rule>),
    /// The state has moved on since the packet.
    Late,
    /// There are as many as there may be.
    Limited,
    /// It has to be made.
    Make,
}

/// Why none was made.
enum NotMade {
    Late,
    Limited,
    Refused,
}

impl Bridge {
    /// Number of rules of a table with this cookie: what the limit of `learn` counts.
    fn with_cookie(&self, table: u8, cookie: u64) -> usize {
        self.table(table).map_or(0, |t| t.within(&Match::default()).filter(|r| r.spec.cookie == cookie).count())
    }
}

/// Whether learning the rule changes nothing but its age.
pub(crate) fn is_same(there: &Rule, rule: &RuleSpec) -> bool {
    let state = RuleFlags::all() - RuleFlags::RESET_COUNTS - RuleFlags::CHECK_OVERLAP;
    there.spec.idle_timeout == rule.idle_timeout
        && there.spec.hard_timeout == rule.hard_timeout
        && there.spec.importance == rule.importance
        && there.spec.flags & state == rule.flags & state
        && there.spec.cookie == rule.cookie
        && *there.spec.actions == *rule.actions
}

fn judge(state: &State, learned: &LearnedRule, used: Time) -> Verdict {
    let LearnedRule { bridge, rule, goes_with_learner, limit } = learned;
    let Some(bridge) = state.bridges.get(bridge) else { return Verdict::Late };
    // The rule that learns is gone, and what it had learned with it.
    if *goes_with_learner && !bridge.learners.contains_key(&(rule.table, rule.cookie)) {
        return Verdict::Late;
    }
    if let Some(there) = bridge.table(rule.table).and_then(|t| t.get(&rule.matching, rule.priority)) {
        if is_same(there, rule) {
            return Verdict::Same(there.clone());
        }
        if there.modified() > used {
            return Verdict::Late;
        }
    }
    if *limit != 0 && bridge.with_cookie(rule.table, rule.cookie) >= *limit as usize {
        return Verdict::Limited;
    }
    Verdict::Make
}

impl Pipeline {
    /// What became of packets that would make a rule.
    #[must_use]
    pub fn learn_stats(&self) -> LearnStats {
        let c = self.learn_counters();
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        LearnStats { learned: read(&c.learned), limited: read(&c.limited), refused: read(&c.refused) }
    }

    /// Packets came that make this rule.
    pub(crate) fn learn(&self, learned: &LearnedRule, hits: &Hits) {
        if hits.packets == 0 {
            return;
        }
        match judge(&self.state(), learned, hits.used) {
            Verdict::Same(rule) => rule.counters.refresh(hits.used),
            Verdict::Late => {}
            Verdict::Limited => drop(self.learn_counters().limited.fetch_add(1, Ordering::Relaxed)),
            Verdict::Make => self.make(learned, hits.used),
        }
    }

    fn make(&self, learned: &LearnedRule, used: Time) {
        let made = self.run(|batch: &mut Batch| {
            // It is as old as the packet that made it.
            batch.now = batch.now.min(used);
            // Another thread may have been faster.
            match judge(&batch.state, learned, used) {
                Verdict::Make => {
                    let done = batch.modify_or_add(learned.bridge, &learned.rule, true);
                    done.and_then(|()| batch.remove_orphans()).map_err(|_| NotMade::Refused)
                }
                Verdict::Limited => Err(NotMade::Limited),
                Verdict::Same(_) | Verdict::Late => Err(NotMade::Late),
            }
        });
        let counters = self.learn_counters();
        let outcome = match made {
            Ok(_) => &counters.learned,
            Err(NotMade::Limited) => &counters.limited,
            Err(NotMade::Refused) => &counters.refused,
            Err(NotMade::Late) => return,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
    }
}
