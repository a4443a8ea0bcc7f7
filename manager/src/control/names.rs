//! Ports and meters as users call them, for all that is said of datapath flows.

use super::Control;
use ::offload::{PortRefusal, Refusal, Told};
use api::Reason;
use flow::dp::{ActionList, DpAction, DpFlow, MeterId};
use flow::{DpPort, FieldId};
use std::collections::HashMap;

/// Names of ports and numbers of meters, as they are now.
#[derive(Debug, Default)]
pub(super) struct Names {
    ports: HashMap<DpPort, String>,
    meters: HashMap<MeterId, u32>,
}

impl ::offload::Names for Names {
    fn port(&self, port: DpPort) -> String {
        self.ports.get(&port).cloned().unwrap_or_else(|| port.to_string())
    }

    fn meter(&self, meter: MeterId) -> u32 {
        self.meters.get(&meter).copied().unwrap_or(meter.0)
    }
}

impl Control {
    /// What users call ports and meters. Takes the lock.
    pub(super) fn names(&self) -> Names {
        let inner = self.lock();
        let port = |p: &super::Attached| Some((p.state.clone().ok()?, p.port.name.clone()));
        let ports = inner.ports.values().filter_map(port).collect();
        let bridges: Vec<_> = inner.bridges.values().copied().collect();
        drop(inner);
        let pipeline = self.switch.pipeline();
        let meters = bridges.into_iter().flat_map(|bridge| pipeline.meters(bridge)).map(|m| (m.id, m.spec.id));
        Names { ports, meters: meters.collect() }
    }
}

impl Names {
    /// Why a flow is where it is.
    pub fn reason(&self, refusal: &Refusal) -> Reason {
        let mut refusal = refusal.clone();
        // The planner knows no ports but those of NICs that take rules.
        if let Refusal::OutputPort { port, why: why @ PortRefusal::Unknown } = &mut refusal
            && self.ports.contains_key(port)
        {
            *why = PortRefusal::NotRepresentor;
        }
        Reason { name: refusal.name().to_owned(), message: refusal.told(self), remedy: refusal.remedy_for(self) }
    }

    /// Key and mask in OVS's form.
    pub fn flow(&self, flow: &DpFlow) -> String {
        let text = flow::text::format_dp_flow(&flow.key, &flow.mask);
        let number = flow.key.get(FieldId::InPort).and_then(|v| u32::try_from(v.0).ok());
        match number.and_then(|n| Some((n, self.ports.get(&DpPort(n))?))) {
            Some((n, name)) => text.replacen(&format!("in_port({n})"), &format!("in_port({name})"), 1),
            None => text,
        }
    }

    /// Actions in OVS's form.
    pub fn actions(&self, actions: &[DpAction]) -> String {
        if actions.is_empty() {
            return ActionList(actions).to_string();
        }
        actions.iter().map(|action| self.action(action)).collect::<Vec<_>>().join(",")
    }

    /// An action in OVS's form.
    pub fn action(&self, action: &DpAction) -> String {
        // Lists are written in braces, in their order, each as by itself.
        let within = |lists: &[&[DpAction]]| {
            let text = action.to_string();
            let (mut out, mut rest) = (String::new(), text.as_str());
            for list in lists {
                if let Some((before, after)) = rest.split_once(&format!("({})", ActionList(list))) {
                    out.push_str(&format!("{before}({})", self.actions(list)));
                    rest = after;
                }
            }
            out + rest
        };
        match action {
            DpAction::Output(port) => ::offload::Names::port(self, *port),
            DpAction::Meter(meter) => format!("meter({})", ::offload::Names::meter(self, *meter)),
            DpAction::Clone(list) => within(&[list]),
            DpAction::Sample(sample) => within(&[&sample.actions]),
            DpAction::CheckLen(check) => within(&[&check.greater, &check.rest]),
            other => ActionList(std::slice::from_ref(other)).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::dp::LenSpec;

    #[test]
    fn names_reach_into_lists_of_actions() {
        let ports = [(DpPort(3), "wire"), (DpPort(4), "vm0")].map(|(port, name)| (port, name.to_owned()));
        let names = Names { ports: ports.into(), meters: [(MeterId(3), 99)].into() };
        let [to, other, meter] =
            [DpAction::Output(DpPort(3)), DpAction::Output(DpPort(4)), DpAction::Meter(MeterId(3))];
        let within = DpAction::Clone([other, meter].into());
        let by_length = LenSpec { len: 3, greater: [within.clone()].into(), rest: [to.clone(), within].into() };
        assert_eq!(
            names.actions(&[DpAction::CheckLen(by_length), to, DpAction::Output(DpPort(5))]),
            "check_pkt_len(size=3,gt(clone(vm0,meter(99))),le(wire,clone(vm0,meter(99)))),wire,5"
        );
    }
}
