//! When a new assignment of queues pays: PMD auto load balance of Open vSwitch.
//!
//! A PMD that is loaded above the threshold at each look of a minute calls for a dry run. It is carried out if it lowers the
//! variance of the PMDs' loads by the improvement threshold.

use super::{Assign, Plan, PmdPlace, Policy, RxqUse, plan};
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings of automatic load balancing; the defaults are those of OVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoLoadBalance {
    /// `pmd-auto-lb`.
    pub on: bool,
    /// `pmd-auto-lb-load-threshold`: percent.
    pub load: u8,
    /// `pmd-auto-lb-improvement-threshold`: percent of the variance.
    pub improvement: u8,
    /// `pmd-auto-lb-rebal-interval`: least time between two dry runs.
    pub interval: Duration,
}

impl Default for AutoLoadBalance {
    fn default() -> Self {
        AutoLoadBalance { on: false, load: 95, improvement: 25, interval: Duration::from_secs(60) }
    }
}

/// Time between looks at loads.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks in a row that must find a PMD above the threshold.
const LOOKS: u32 = 6;

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is off.
    Off,
    /// Assignment by `roundrobin` does not look at loads.
    RoundRobin,
    /// There are fewer than two PMDs that are not isolated.
    OnePmd,
    /// No such PMD polls more than one queue.
    OneQueueEach,
    /// A queue is polled from another NUMA node: its cost would change with its PMD.
    CrossNuma,
    /// No PMD was above the load threshold for a minute.
    NotLoaded,
    /// The last dry run was less than the interval ago.
    TooSoon,
}

impl Dropped {
    /// The reason in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Dropped::Off => "it is off",
            Dropped::RoundRobin => "assignment by roundrobin does not look at loads",
            Dropped::OnePmd => "there are fewer than two PMDs that are not isolated",
            Dropped::OneQueueEach => "no PMD that is not isolated polls more than one queue",
            Dropped::CrossNuma => "a queue is polled from another NUMA node",
            Dropped::NotLoaded => "no PMD has been above the load threshold for a minute",
            Dropped::TooSoon => "the last dry run was less than the interval ago",
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to look at.
    Dropped(Dropped),
    /// A dry run did not improve enough.
    Stay { before: u64, after: u64 },
    /// Assign as in this plan.
    Rebalance { before: u64, after: u64, plan: Plan },
}

/// Mean of the squared distances from the mean.
#[must_use]
pub fn variance(loads: &[u64]) -> u64 {
    let n = loads.len() as u128;
    let sum: u128 = loads.iter().map(|l| u128::from(*l)).sum();
    let Some(mean) = sum.checked_div(n) else { return 0 };
    let squares: u128 = loads.iter().map(|l| u128::from(*l).abs_diff(mean).pow(2)).sum();
    u64::try_from(squares / n).unwrap_or(u64::MAX)
}

/// Looks at loads every ten seconds and remembers for how long they have been high.
#[derive(Clone, Debug, Default)]
pub struct AutoBalance {
    high: BTreeMap<u32, u32>,
    /// Ten-second looks since the last dry run.
    since: Option<Duration>,
}

impl AutoBalance {
    /// One look, every ten seconds. `loads` are the PMDs' in percent of these; `now` is the plan in force, `all` the cycles that a
    /// PMD had in the last minute.
    #[expect(clippy::too_many_arguments, reason = "a decision about all that is known")]
    pub fn look(
        &mut self,
        config: AutoLoadBalance,
        policy: Policy,
        loads: &BTreeMap<u32, u64>,
        now: &Plan,
        queues: &[RxqUse],
        pmds: &[PmdPlace],
        all: u64,
    ) -> Verdict {
        self.since = self.since.map(|since| since + LOOK_EVERY);
        if !config.on {
            *self = AutoBalance::default();
            return Verdict::Dropped(Dropped::Off);
        }
        self.high.retain(|pmd, _| loads.get(pmd).is_some_and(|load| *load >= u64::from(config.load)));
        for (pmd, _) in loads.iter().filter(|(_, load)| **load >= u64::from(config.load)) {
            *self.high.entry(*pmd).or_default() += 1;
        }
        let loaded = self.high.iter().any(|(pmd, looks)| *looks >= LOOKS && !now.isolated.contains(pmd));
        if !loaded {
            return Verdict::Dropped(Dropped::NotLoaded);
        }
        if self.since.is_some_and(|since| since < config.interval) {
            return Verdict::Dropped(Dropped::TooSoon);
        }
        if let Some(why) = obstacle(policy, now, pmds) {
            return Verdict::Dropped(why);
        }
        self.since = Some(Duration::ZERO);
        self.high.clear();
        let then = plan(queues, pmds, policy);
        let (before, after) = (spread(now, all), spread(&then, all));
        let improved = improvement(before, after);
        if improved >= u64::from(config.improvement) && improved > 0 {
            Verdict::Rebalance { before, after, plan: then }
        } else {
            Verdict::Stay { before, after }
        }
    }
}

/// Percent by which a variance falls; 0 where it does not.
#[must_use]
pub fn improvement(before: u64, after: u64) -> u64 {
    before.saturating_sub(after).saturating_mul(100).checked_div(before).unwrap_or(0)
}

/// What keeps a dry run from telling anything.
pub(crate) fn obstacle(policy: Policy, now: &Plan, pmds: &[PmdPlace]) -> Option<Dropped> {
    if policy.assign == Assign::RoundRobin {
        return Some(Dropped::RoundRobin);
    }
    let free = |pmd: u32| !now.isolated.contains(&pmd);
    if pmds.iter().filter(|p| free(p.pmd)).count() < 2 {
        return Some(Dropped::OnePmd);
    }
    let mut queues_of = BTreeMap::new();
    for pmd in now.placements.iter().filter_map(|p| p.pmd).filter(|pmd| free(*pmd)) {
        *queues_of.entry(pmd).or_insert(0) += 1;
    }
    if queues_of.values().all(|n| *n < 2) {
        return Some(Dropped::OneQueueEach);
    }
    let one_node = pmds.windows(2).all(|two| two[0].numa == two[1].numa);
    if !one_node && now.placements.iter().any(|p| p.crosses_numa) {
        return Some(Dropped::CrossNuma);
    }
    None
}

/// Variance of the loads, in percent, of PMDs that are not isolated.
pub(crate) fn spread(plan: &Plan, all: u64) -> u64 {
    let percent = |cycles: u64| (u128::from(cycles) * 100).checked_div(u128::from(all)).unwrap_or(0) as u64;
    let free = plan.load.iter().filter(|(pmd, _)| !plan.isolated.contains(pmd));
    variance(&free.map(|(_, cycles)| percent(*cycles)).collect::<Vec<_>>())
}
