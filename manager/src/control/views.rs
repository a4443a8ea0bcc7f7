//! The switch at a glance.

use super::Control;
use super::offload::{handled, reason};
use api::{DpCounters, DpFlowView, Error, Show};
use flow::dp::{ActionList, DpAction, DpFlow};
use flow::{DpPort, FieldId};
use std::collections::HashMap;

impl Control {
    /// Everything at a glance.
    pub fn show(&self) -> Result<Show, Error> {
        let mock = self.lock().nic.mock_profile();
        Ok(Show {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: dpdk::version(),
            epoch: self.switch.pipeline().epoch(),
            uptime: self.started.elapsed().as_secs(),
            mock,
            bridges: self.bridges(),
            ports: self.ports(),
            offload: self.offload_status(),
        })
    }

    /// All datapath flows.
    pub fn dp_flows(&self) -> Vec<DpFlowView> {
        self.switch.fold();
        let now = self.switch.clock().now();
        let names = self.port_names();
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let mut views: Vec<_> = self
            .switch
            .flows()
            .into_iter()
            .map(|f| {
                let (placement, refusals) = self.switch.placement(&f.flow);
                let read = self.switch.engine().explain(f.flow.id).and_then(|status| status.read);
                DpFlowView {
                    id: f.flow.id.0,
                    flow: named_flow(&f.flow, &names),
                    actions: named_actions(&f.flow.actions, &names),
                    handled: handled(placement),
                    reasons: refusals.iter().map(reason).collect(),
                    software_packets: f.software.packets,
                    software_bytes: f.software.bytes,
                    hardware_packets: f.hardware.packets,
                    hardware_bytes: f.hardware.bytes,
                    idle_ms: millis(now.since(f.used)),
                    age_ms: millis(f.age),
                    read_age_ms: read.map(|at| millis(now.since(at))),
                }
            })
            .collect();
        views.sort_by_key(|v| v.id);
        views
    }

    pub(super) fn port_names(&self) -> HashMap<DpPort, String> {
        let inner = self.lock();
        inner.ports.values().filter_map(|p| Some((p.state.clone().ok()?, p.port.name.clone()))).collect()
    }

    /// Counters of all workers.
    pub fn dp_counters(&self) -> DpCounters {
        self.switch.counters()
    }
}

/// Key and mask in OVS's form, with the input port's name for its number.
fn named_flow(flow: &DpFlow, names: &HashMap<DpPort, String>) -> String {
    let text = flow::text::format_dp_flow(&flow.key, &flow.mask);
    let number = flow.key.get(FieldId::InPort).and_then(|v| u32::try_from(v.0).ok());
    match number.and_then(|n| Some((n, names.get(&DpPort(n))?))) {
        Some((n, name)) => text.replacen(&format!("in_port({n})"), &format!("in_port({name})"), 1),
        None => text,
    }
}

/// Actions in OVS's form, with ports' names for their numbers.
fn named_actions(actions: &[DpAction], names: &HashMap<DpPort, String>) -> String {
    let text = |action: &DpAction| match action {
        DpAction::Output(port) => names.get(port).cloned().unwrap_or_else(|| port.to_string()),
        other => ActionList(std::slice::from_ref(other)).to_string(),
    };
    if actions.is_empty() {
        ActionList(actions).to_string()
    } else {
        actions.iter().map(text).collect::<Vec<_>>().join(",")
    }
}
