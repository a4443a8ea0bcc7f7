//! Answers; nothing changes.

use super::Core;
use crate::engine::entry::Installed;
use crate::engine::report::{EngineStatus, FlowStatus, RuleStatus, TableUse};
use crate::plan::plan;
use crate::refusal::Refusals;
use crate::rule::Plan;
use flow::dp::{DpFlow, FlowId, HardwareFence};
use std::sync::Arc;

impl Core {
    pub fn fenced(&self, bound: u64) -> HardwareFence {
        let mut waiting = 0;
        for (_, why) in self.stale.range(..bound) {
            match why {
                Some(why) => return HardwareFence::Failed(why.clone()),
                None => waiting += 1,
            }
        }
        if waiting == 0 { HardwareFence::Fenced } else { HardwareFence::Pending(waiting) }
    }

    pub fn explain(&self, id: FlowId) -> Option<FlowStatus> {
        let entry = self.flows.get(&id)?;
        Some(FlowStatus {
            placement: entry.placement(),
            refusals: entry.refusals.clone(),
            hits: entry.hits,
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
        let Some(entry) = self.flows.get(&id) else { return Vec::new() };
        let status = |installed: &Installed| RuleStatus {
            rule: Arc::clone(&installed.rule),
            counters: installed.rule.count.then_some(entry.last),
        };
        entry.rules.iter().map(status).collect()
    }

    pub fn status(&self) -> EngineStatus {
        let mut status = EngineStatus {
            refused_shapes: self.devices.refused_shapes(),
            counter_anomalies: self.counter_anomalies,
            inexact_counts: self.inexact_counts,
            unknown_completions: self.unknown_completions,
            lost_rules: self.lost_rules,
            stuck_rules: self.stale.values().filter(|why| why.is_some()).count(),
            queued: self.outbox.len() + self.replan.len(),
            in_flight: self.in_flight.len(),
            ..EngineStatus::default()
        };
        for entry in self.flows.values() {
            status.count(entry.placement(), &entry.refusals);
        }
        for (key, device) in self.devices.iter() {
            let (name, used, limit) = (device.name.clone(), device.used, device.limit);
            status.tables.push(TableUse { device: *key, name, used, limit });
            if let Some(error) = &device.dead {
                status.dead.push(format!("{key}: {error}"));
            }
        }
        status
    }
}
