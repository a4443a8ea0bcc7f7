//! PMDs and receive queues.

use super::Control;
use crate::pmds::policy_with;
use ::datapath::{Move, Stage};
use api::{Done, PlannedLoad, PlannedMove, PmdView, RebalancePlan, Rebalanced, RxqAssign, RxqView};
use flow::dp::DropReason;
use std::collections::BTreeMap;

/// Ways to a flow, and what became of misses, by their names among the counters.
const WAYS: [&str; 4] = ["mark_hit", "cache_hit", "megaflow_hit", "miss"];
const MISSES: [&str; 7] =
    ["installed", "adopted", "uncacheable", "refused_limit", "refused_marks", "refused_masks", "refused_stale"];

impl Control {
    /// All PMDs, with what they counted since statistics were cleared.
    pub fn pmds(&self) -> Vec<PmdView> {
        let rxqs = self.switch.datapath().rxqs();
        let stalled = self.lock().pmds.stalled();
        let views = self.switch.datapath().pmd_views().into_iter();
        views
            .map(|v| {
                let stalled = stalled.get(&v.pmd).copied();
                let named: BTreeMap<_, _> = v.counters.named().collect();
                let some = |names: &[&str]| {
                    let of = |name: &&str| ((*name).to_owned(), named.get(name).copied().unwrap_or_default());
                    names.iter().map(of).collect::<BTreeMap<_, _>>()
                };
                let drops = DropReason::ALL.iter().map(|r| (r.name().to_owned(), v.counters.drops_by(*r)));
                let cycles = v.cycles.stages.scaled_to(v.cycles.busy);
                PmdView {
                    pmd: v.pmd,
                    cpu: v.spot.cpu,
                    numa: v.spot.numa,
                    isolated: v.isolated,
                    rxqs: rxqs.iter().filter(|q| q.pmd == Some(v.pmd)).count(),
                    flows: v.flows,
                    masks: v.subtables,
                    cache_used: v.cache_used,
                    cache_capacity: v.cache_capacity,
                    rx_packets: v.counters.rx,
                    tx_packets: v.counters.tx,
                    lookups: some(&WAYS),
                    subtables_probed: v.counters.subtables_probed,
                    misses: some(&MISSES),
                    drops: drops.filter(|(_, n)| *n > 0).collect(),
                    busy_cycles: v.cycles.busy,
                    idle_cycles: v.cycles.idle,
                    stages: Stage::ALL.iter().map(|s| s.name().to_owned()).zip(cycles).collect(),
                    load: v.cycles.minute.percent(),
                    stalled,
                }
            })
            .collect()
    }

    /// All receive queues, and who polls each.
    pub fn rxqs(&self) -> Vec<RxqView> {
        let views = self.switch.datapath().rxqs().into_iter();
        views
            .map(|v| RxqView {
                port: v.name,
                queue: v.queue,
                pmd: v.pmd,
                pin: v.pin,
                pin_failed: v.pin_failed,
                crosses_numa: v.crosses_numa,
                moving: v.moving,
                packets: v.packets,
                usage: v.load.percent(),
            })
            .collect()
    }

    /// Assign all receive queues anew, by their usage of the last minute.
    pub fn rebalance(&self) -> Rebalanced {
        Rebalanced { moved: self.switch.datapath().assign() }
    }

    /// What that would bring, with this way of assigning or the one in force.
    pub fn rebalance_plan(&self, assign: Option<RxqAssign>) -> RebalancePlan {
        let datapath = self.switch.datapath();
        let estimate = datapath.estimate(assign.map(|assign| policy_with(datapath.policy(), assign)));
        let spots: BTreeMap<_, _> = datapath.pmds().iter().map(|pmd| (pmd.id(), pmd.spot().cpu)).collect();
        let load = |(pmd, (before, after)): (u32, (u64, u64))| {
            let cpu = spots.get(&pmd).copied().flatten();
            PlannedLoad { pmd, cpu, before, after }
        };
        let planned = |m: Move| PlannedMove { port: m.name, queue: m.queue, from: m.from, to: m.to };
        RebalancePlan {
            pmds: estimate.loads.into_iter().map(load).collect(),
            moves: estimate.moves.into_iter().map(planned).collect(),
            variance_before: estimate.before,
            variance_after: estimate.after,
            improvement: estimate.improvement,
            note: estimate.obstacle.map(|why| why.text().to_owned()),
        }
    }

    /// The statistics of all PMDs begin anew.
    pub fn pmds_clear(&self) -> Done {
        self.switch.datapath().clear_pmd_stats();
        Done {}
    }
}
