//! Hardware offload: how it is, what is wanted, and why not.

mod capabilities;
mod capture;
mod explain;
mod policy;

pub(super) use capture::Captures;

use super::Control;
use ::offload::{DeviceHealth, Placement, REASONS};
use api::{DpFlowView, Handled, OffloadPort, OffloadRun, OffloadStatus};
use flow::DpPort;

impl Control {
    /// Offload at a glance.
    pub fn offload_status(&self) -> OffloadStatus {
        let inner = self.lock();
        let (enabled, policy, device, run) =
            (inner.offload, inner.desired.offload_wish.policy.clone(), inner.nic.describe(), inner.desired.run);
        let world = inner.world();
        drop(inner);
        let status = self.switch.offload_status();
        let anomalies = [
            ("counter_anomalies", status.counter_anomalies),
            ("unknown_completions", status.unknown_completions),
            ("lost_rules", status.lost_rules),
            ("missed_rules", status.missed_rules),
            ("stuck_rules", status.stuck_rules as u64),
            ("stuck_counters", status.stuck_counters),
            ("dead_devices", status.dead.len() as u64),
        ];
        OffloadStatus {
            enabled,
            device,
            full: status.full,
            partial: status.partial,
            software: status.software,
            pending: status.moving,
            rules: status.tables.iter().map(|t| t.used as usize).sum(),
            reasons: status.by_reason.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            anomalies: anomalies.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
            refused_shapes: status.refused_shapes,
            inexact_counts: status.inexact_counts,
            idle_hints: status.idle_hints,
            policy,
            queued: status.queued,
            in_flight: status.in_flight,
            run: OffloadRun {
                instance: format!("{:016x}", run.instance),
                generation: run.generation,
                adopted: status.adopted,
                left_over: status.orphans,
            },
            ports: self.offload_ports(&world, &status),
        }
    }

    /// By port whose device takes rules.
    fn offload_ports(&self, world: &::offload::World, status: &::offload::EngineStatus) -> Vec<OffloadPort> {
        let mut ports: Vec<_> = world.ports.iter().collect();
        ports.sort_by_key(|(port, _)| **port);
        let view = |(port, info): (&DpPort, &::offload::PortInfo)| {
            let of = status.ports.get(port).cloned().unwrap_or_default();
            let table = status.tables.iter().find(|t| t.device == info.device());
            OffloadPort {
                port: info.name.clone(),
                device: info.device().to_string(),
                profile: info.caps.name.clone(),
                health: table.map_or_else(|| "works".to_owned(), |t| health(&t.health)),
                enabled: world.admits(*port).is_ok(),
                full: of.full,
                partial: of.partial,
                software: of.software,
                pending: of.moving,
                rules: of.rules,
                used: table.map_or(0, |t| t.used),
                capacity: info.caps.max_rules,
                hits: of.hits.packets,
                device_hits: table.map_or(0, |t| t.hits.packets),
                insert_rate: table.map_or(0, |t| t.insert_rate),
                evictions: table.map_or(0, |t| t.evictions),
                queued: table.map_or(0, |t| t.waiting),
                reasons: of.by_reason.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            }
        };
        ports.into_iter().map(view).collect()
    }

    /// Flows by where they are handled and why: `handled` and `reason` as users name them.
    pub fn dp_flows_filtered(&self, filter: &api::DpFlowsFilter) -> Result<Vec<DpFlowView>, api::Error> {
        let mut flows = self.dp_flows();
        if let Some(handled) = filter.handled {
            flows.retain(|f| f.handled == handled);
        }
        if let Some(reason) = &filter.reason {
            known_reason(reason, &flows)?;
            flows.retain(|f| f.reasons.iter().any(|r| r.name == *reason));
        }
        Ok(flows)
    }
}

fn health(health: &DeviceHealth) -> String {
    match health {
        DeviceHealth::Works => "works".to_owned(),
        DeviceHealth::Busy { times, .. } => format!("busy, {times} times running"),
        DeviceHealth::Dead { why, .. } => format!("dead: {why}"),
    }
}

/// Whether there is such a reason; one that a flow has is one in any case.
fn known_reason(name: &str, flows: &[DpFlowView]) -> Result<(), api::Error> {
    if REASONS.iter().any(|r| r.name == name) || flows.iter().any(|f| f.reasons.iter().any(|r| r.name == name)) {
        return Ok(());
    }
    let names = || REASONS.iter().map(|r| r.name);
    let like = names().find(|r| r.eq_ignore_ascii_case(name));
    let remedy = match like {
        Some(like) => format!("write it {like}"),
        None => format!("use one of {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(super::errors::invalid(format!("reason {name}"), "there is no such reason").remedy(remedy))
}

/// Where a flow is handled, from the engine's answer.
pub(super) fn handled(placement: Placement) -> Handled {
    match placement {
        Placement::Full => Handled::Hardware,
        Placement::Partial => Handled::Partial,
        Placement::Software => Handled::Software,
        Placement::Moving => Handled::Pending,
    }
}
