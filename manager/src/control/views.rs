//! The switch at a glance.

use super::Control;
use super::offload::handled;
use api::{DpCounters, DpFlowView, Error, Show};

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
        let names = self.names();
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let mut views: Vec<_> = self
            .switch
            .flows()
            .into_iter()
            .map(|f| {
                let (placement, refusals) = self.switch.placement(&f.flow);
                let status = self.switch.engine().explain(f.flow.id);
                let read = status.as_ref().and_then(|status| status.read);
                DpFlowView {
                    id: f.flow.id.0,
                    flow: names.flow(&f.flow),
                    actions: names.actions(&f.flow.actions),
                    handled: handled(placement),
                    reasons: refusals.iter().map(|r| names.reason(r)).collect(),
                    software_packets: f.software.packets,
                    software_bytes: f.software.bytes,
                    hardware_packets: f.hardware.packets,
                    hardware_bytes: f.hardware.bytes,
                    idle_ms: millis(now.since(f.used)),
                    age_ms: millis(f.age),
                    read_age_ms: read.map(|at| millis(now.since(at))),
                    inexact: status.is_some_and(|status| status.inexact),
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
