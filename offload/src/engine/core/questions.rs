//! Answers; nothing changes.

use super::Core;
use crate::engine::entry::{Installed, Seat};
use crate::engine::policy::{Demotion, DemotionId};
use crate::engine::report::{EngineStatus, FlowRank, FlowStatus, Placement, PortStatus, RuleStatus, TableUse};
use crate::plan::plan;
use crate::refusal::Refusals;
use crate::rule::Plan;
use crate::world::PortKind;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, HardwareFence};
use std::sync::Arc;

impl Core {
    pub fn fenced(&self, bound: u64) -> HardwareFence {
        let mut waiting = 0;
        for (_, why) in self.stale.range(..bound) {
            match why {
                Some(why) => return HardwareFence::Failed(why.to_string()),
                None => waiting += 1,
            }
        }
        if waiting == 0 { HardwareFence::Fenced } else { HardwareFence::Pending(waiting) }
    }

    pub fn explain(&self, id: FlowId) -> Option<FlowStatus> {
        let entry = self.flows.get(id)?;
        Some(FlowStatus {
            placement: entry.placement(),
            refusals: self.why(entry),
            hits: entry.hits,
            read: entry.known(),
            inexact: entry.inexact,
            pps: entry.pps(),
            since: entry.since,
            rules: entry.rules.len(),
        })
    }

    /// Why a flow that nobody told of would not be in hardware.
    pub fn judge(&self, flow: &DpFlow) -> Refusals {
        match plan(flow, &self.world) {
            Plan::Full(_) => Refusals::new(),
            Plan::Partial { refused, .. } | Plan::Software(refused) => refused,
        }
    }

    pub fn rules(&self, id: FlowId) -> Vec<RuleStatus> {
        let Some(entry) = self.flows.get(id) else { return Vec::new() };
        let status = |installed: &Installed| RuleStatus {
            rule: Arc::clone(&installed.rule),
            counters: installed.rule.count.then_some(entry.last),
            read: entry.read.filter(|_| installed.rule.count),
        };
        entry.rules.iter().map(status).collect()
    }

    pub fn demotion(&self, id: DemotionId) -> Option<Demotion> {
        let which = self.wishes.demotions.get(&id)?;
        let covered = self.flows.values().filter(|entry| which.covers(&entry.flow));
        Some(covered.fold(Demotion::default(), |sum, entry| Demotion {
            flows: sum.flows + 1,
            pending: sum.pending + usize::from(entry.device.is_some()),
        }))
    }

    /// The flows that carry most, the largest first.
    pub fn top(&self, n: usize) -> Vec<FlowRank> {
        let mut all: Vec<_> =
            self.flows.values().map(|entry| (std::cmp::Reverse(entry.pps()), entry.flow.id)).collect();
        if n < all.len() {
            all.select_nth_unstable(n);
            all.truncate(n);
        }
        all.sort_unstable();
        let rank = |(_, id): &(_, FlowId)| {
            let entry = self.flows.get(*id)?;
            Some(FlowRank {
                flow: Arc::clone(&entry.flow),
                pps: entry.pps(),
                placement: entry.placement(),
                refusals: self.why(entry),
                hits: entry.hits,
            })
        };
        all.iter().filter_map(rank).collect()
    }

    pub fn status(&mut self, now: Time) -> EngineStatus {
        let mut status = EngineStatus {
            refused_shapes: self.devices.refused_shapes(),
            counter_anomalies: self.counter_anomalies,
            inexact_counts: self.inexact_counts,
            unknown_completions: self.unknown_completions,
            lost_rules: self.lost_rules,
            missed_rules: self.missed_rules,
            stuck_counters: self.stuck_counters,
            stuck_rules: self.stale.values().filter(|why| why.is_some()).count(),
            orphans: self.orphans.len(),
            adopted: self.orphans.adopted,
            idle_hints: self.idle_hints,
            queued: self.outbox.len() + self.readings.len() + self.replan.len(),
            in_flight: self.in_flight.len(),
            ..EngineStatus::default()
        };
        for (port, info) in &self.world.ports {
            let admitted = self.world.admits(*port).is_ok();
            let device = (info.kind != PortKind::Virtual).then(|| info.device());
            let port_status = PortStatus { name: info.name.clone(), device, admitted, ..PortStatus::default() };
            status.ports.insert(*port, port_status);
        }
        for entry in self.flows.values() {
            let (placement, why) = (entry.placement(), self.why(entry));
            debug_assert!(
                placement == Placement::Full || !why.is_empty(),
                "{:?}: {placement} without reason",
                entry.flow.id
            );
            status.count(placement, &why);
            let port = status.ports.entry(entry.flow.in_port()).or_default();
            port.count(placement, &why);
            port.rules += entry.rules.len();
            port.hits.add(&entry.hits);
        }
        for (key, device) in self.devices.iter_mut() {
            device.traffic.turn(now);
            if let Some(dead) = &device.dead {
                status.dead.push(format!("{key}: {}", dead.error));
            }
            let waiting = device.waiting.len();
            let (encap_headers, encap_limit) = self.headers.usage(*key);
            debug_assert!(
                device
                    .residents
                    .iter()
                    .all(|(_, id)| { self.flows.get(id).is_some_and(|e| e.seat == Some(Seat::Resident(*key))) })
            );
            status.tables.push(TableUse {
                device: *key,
                name: device.name.clone(),
                used: device.used.rules,
                counters: device.used.counters,
                counter_limit: device.counters,
                limit: device.limit,
                encap_headers,
                encap_limit,
                health: device.health(now),
                hits: device.traffic.hits,
                inserts: device.traffic.inserts,
                insert_rate: device.traffic.rate,
                removes: device.traffic.removes,
                updates: device.traffic.updates,
                refused: device.traffic.refused,
                evictions: device.traffic.evictions,
                waiting,
            });
        }
        status
    }
}
