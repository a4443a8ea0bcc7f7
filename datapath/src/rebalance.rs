//! What a new assignment of receive queues would bring, and automatic load balancing, which carries it out when it pays.

use crate::datapath::Datapath;
use crate::placement::{places, queues, want};
use crate::pmd::{Pmd, PmdView};
use crate::ports::PortRecord;
use crate::rxq::balance::{obstacle, spread};
use crate::rxq::{AutoLoadBalance, Dropped, Plan, Policy, RxqUse, Verdict, improvement, plan};
use flow::DpPort;
use std::collections::BTreeMap;

/// A queue that goes to another PMD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub port: DpPort,
    /// The port's name.
    pub name: String,
    pub queue: u16,
    /// `None`: nobody.
    pub from: Option<u32>,
    pub to: Option<u32>,
}

/// A new assignment that was not carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Percent of the last minute that the queues of each PMD took, now and then.
    pub loads: BTreeMap<u32, (u64, u64)>,
    /// Variance of the loads of PMDs that are not isolated, now and then.
    pub before: u64,
    pub after: u64,
    /// Percent by which it falls.
    pub improvement: u64,
    pub moves: Vec<Move>,
    /// Why the variance tells little.
    pub obstacle: Option<Dropped>,
}

/// All that a decision needs.
struct Known {
    queues: Vec<RxqUse>,
    /// The plan in force, with the loads of the last minute.
    now: Plan,
    views: Vec<PmdView>,
    /// Cycles that a PMD had in the last minute.
    all: u64,
}

impl Known {
    fn new(ports: &[PortRecord], pmds: &[Pmd], plan: &Plan) -> Known {
        let (queues, mut now) = (queues(ports), plan.clone());
        now.load = pmds.iter().map(|p| (p.id(), 0)).collect();
        for queue in &queues {
            if let Some(load) = now.pmd_of(queue.port, queue.queue).and_then(|pmd| now.load.get_mut(&pmd)) {
                *load += queue.cycles;
            }
        }
        let views: Vec<_> = pmds.iter().map(|p| p.shared_part().view()).collect();
        let all = views.iter().map(|v| v.cycles.minute.all).max().unwrap_or_default();
        Known { queues, now, views, all }
    }
}

impl Datapath {
    /// What [`Datapath::assign`] would do, with the policy in force or another one.
    #[must_use]
    pub fn estimate(&self, policy: Option<Policy>) -> Estimate {
        let ports = self.ports.lock();
        let pmds = self.pmds.lock();
        let placing = self.placing.lock();
        let policy = policy.unwrap_or(placing.policy);
        let Known { queues, now, all, .. } = Known::new(&ports, &pmds, &placing.plan);
        let places = places(&pmds, None);
        let then = plan(&queues, &places, policy);
        let percent = |plan: &Plan, pmd: u32| {
            let cycles = plan.load.get(&pmd).copied().unwrap_or_default();
            (u128::from(cycles) * 100).checked_div(u128::from(all)).unwrap_or(0) as u64
        };
        let (before, after) = (spread(&now, all), spread(&then, all));
        let mut moves = Vec::new();
        for record in ports.iter().filter(|r| r.left.is_none()) {
            for rxq in &record.rx {
                let (port, queue) = (record.port, rxq.shared.queue);
                let (from, to) = (now.pmd_of(port, queue), then.pmd_of(port, queue));
                if from != to {
                    moves.push(Move { port, name: record.name.clone(), queue, from, to });
                }
            }
        }
        moves.sort_by_key(|m| (m.port, m.queue));
        Estimate {
            loads: places.iter().map(|p| (p.pmd, (percent(&now, p.pmd), percent(&then, p.pmd)))).collect(),
            before,
            after,
            improvement: improvement(before, after),
            moves,
            obstacle: obstacle(policy, &now, &places),
        }
    }

    /// One look of automatic load balancing, to be called every [`crate::LOOK_EVERY`]; carries out what it decides.
    pub fn balance(&self, config: AutoLoadBalance) -> Verdict {
        let mut ports = self.ports.lock();
        let pmds = self.pmds.lock();
        let mut placing = self.placing.lock();
        let Known { queues, now, views, all } = Known::new(&ports, &pmds, &placing.plan);
        let loads: BTreeMap<_, _> =
            views.iter().filter_map(|v| Some((v.pmd, v.cycles.recent.and_then(|l| l.percent())?))).collect();
        let policy = placing.policy;
        let verdict = placing.balance.look(config, policy, &loads, &now, &queues, &places(&pmds, None), all);
        if let Verdict::Rebalance { plan, .. } = &verdict {
            placing.plan = plan.clone();
            drop(placing);
            want(&mut ports, plan);
            self.settle(&mut ports, &pmds);
        }
        verdict
    }
}
