//! Hardware offload: on, off, and why not.

use super::Control;
use crate::state::Change;
use ::offload::{Placement, Refusal};
use api::{Ack, Error, ErrorKind, Explanation, Handled, OffloadSet, OffloadStatus, Reason};

impl Control {
    /// Offload at a glance.
    pub fn offload_status(&self) -> OffloadStatus {
        let inner = self.lock();
        let status = self.switch.offload_status();
        let anomalies = [
            ("counter_anomalies", status.counter_anomalies),
            ("unknown_completions", status.unknown_completions),
            ("lost_rules", status.lost_rules),
            ("stuck_rules", status.stuck_rules as u64),
            ("dead_devices", status.dead.len() as u64),
        ];
        OffloadStatus {
            enabled: inner.offload,
            device: inner.nic.describe(),
            full: status.full,
            partial: status.partial,
            software: status.software,
            pending: status.moving,
            rules: status.tables.iter().map(|t| t.used as usize).sum(),
            reasons: status.by_reason.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            anomalies: anomalies.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
        }
    }

    /// Turn offload on or off. Off takes all rules out of hardware.
    pub fn offload_set(&self, set: OffloadSet) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        inner.offload = set.enabled;
        inner.desired.offload = Some(set.enabled);
        self.switch.set_world(inner.world());
        self.commit(inner, vec![Change::Offload(set.enabled)], 1)
    }

    /// Why a flow is handled where it is; without a flow, all that are not fully in hardware.
    pub fn offload_explain(&self, flow: Option<u64>) -> Result<Vec<Explanation>, Error> {
        let explain = |view: api::DpFlowView| Explanation {
            reasons: view.reasons.clone(),
            rules: self.switch.hardware_rules(flow::dp::FlowId(view.id)),
            flow: view,
        };
        let flows = self.dp_flows();
        match flow {
            None => Ok(flows.into_iter().filter(|f| f.handled != Handled::Hardware).map(explain).collect()),
            Some(id) => {
                let found = flows.into_iter().find(|f| f.id == id).ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, format!("datapath flow {id}"), "there is no such flow")
                        .remedy("list them with: shuntctl dp flows")
                })?;
                Ok(vec![explain(found)])
            }
        }
    }
}

/// Where a flow is handled, from the engine's answer.
pub(super) fn handled(placement: Option<Placement>) -> Handled {
    match placement {
        Some(Placement::Full) => Handled::Hardware,
        Some(Placement::Partial) => Handled::Partial,
        Some(Placement::Software) => Handled::Software,
        Some(Placement::Moving) | None => Handled::Pending,
    }
}

/// A refusal for display.
pub(super) fn reason(refusal: &Refusal) -> Reason {
    Reason { name: refusal.name().to_owned(), message: refusal.to_string(), remedy: refusal.remedy() }
}
