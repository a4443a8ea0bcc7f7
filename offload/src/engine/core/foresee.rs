//! What would become of a flow that is not there.

use super::Core;
use super::admission::left_out;
use crate::backend::DeviceError;
use crate::engine::entry::PlaceOf;
use crate::engine::room::Places;
use crate::plan::plan;
use crate::refusal::{Refusal, Refusals};
use crate::rule::{HwRule, Plan};
use crate::world::EthdevId;
use flow::clock::Time;
use flow::dp::DpFlow;
use smallvec::smallvec;

impl Core {
    /// The flow's plan without what stands in its way now: captures, the policy (no packet has come yet), what its device refused
    /// before, the device's health, room in it, and a rule of a flow before it.
    pub fn foresee(&mut self, flow: &DpFlow, now: Time) -> Plan {
        let mut plan = plan(flow, &self.world);
        if matches!(plan, Plan::Software(_)) {
            return plan;
        }
        if let Some(objection) = self.wishes.objection(flow, self.wishes.is_hot(0, false)) {
            return Plan::Software(smallvec![objection]);
        }
        self.leave_out_refused(flow, &mut plan);
        if let Some(lack) = self.lacks_header(flow, &plan) {
            self.leave_out_header(flow, &mut plan, lack);
        }
        let program = match &plan {
            Plan::Full(program) | Plan::Partial { program, .. } => program,
            Plan::Software(_) => return plan,
        };
        let Some(key) = self.world.ports.get(&flow.in_port()).map(|info| info.device()) else { return plan };
        let device = self.devices.get(key);
        if let Some(error) = device.away(now) {
            return Plan::Software(Refusals::from_iter([Refusal::Device(error.clone())]));
        }
        if let Some(refusal) = device.room(now).lack(device.used, Places::of(program)) {
            return Plan::Software(left_out(plan, refusal));
        }
        // A flow that has such packets is there, or it leaves: there is one place.
        if let Some(owner) = program.rules.last().and_then(|main| self.places.get(&PlaceOf::of(main))) {
            let error = self.flows.get(*owner).and_then(|entry| self.resisted(entry));
            return Plan::Software(left_out(plan, Refusal::OldRule { error }));
        }
        plan
    }

    pub fn refused(&self, port: EthdevId) -> Vec<(HwRule, DeviceError)> {
        self.devices.refused(port)
    }
}
