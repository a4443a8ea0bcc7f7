//! The switch at a glance.

use super::Control;
use super::offload::{handled, reason};
use api::{DpCounters, DpFlowView, Error, Show};
use flow::dp::ActionList;

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
        let now = self.switch.clock().now();
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let mut views: Vec<_> = self
            .switch
            .flows()
            .into_iter()
            .map(|f| {
                let status = self.switch.engine().explain(f.flow.id);
                DpFlowView {
                    id: f.flow.id.0,
                    flow: flow::text::format_dp_flow(&f.flow.key, &f.flow.mask),
                    actions: ActionList(&f.flow.actions).to_string(),
                    handled: handled(status.as_ref()),
                    reasons: status.iter().flat_map(|s| &s.refusals).map(reason).collect(),
                    software_packets: f.software.packets,
                    software_bytes: f.software.bytes,
                    hardware_packets: f.hardware.packets,
                    hardware_bytes: f.hardware.bytes,
                    idle_ms: millis(now.since(f.used)),
                    age_ms: millis(f.age),
                }
            })
            .collect();
        views.sort_by_key(|v| v.id);
        views
    }

    /// Counters of all workers.
    pub fn dp_counters(&self) -> DpCounters {
        self.switch.counters()
    }
}
