//! Why a flow is handled where it is, or would be.

use super::super::Control;
use super::super::errors::invalid;
use super::super::names::Names;
use super::super::trace::Pass;
use crate::switch::Taps;
use ::offload::{HwProgram, Names as _, Plan, Refusal, Step, StepOf, Told, Where, World};
use api::{
    DpFlowView, Error, ErrorKind, ExplainRequest, Explanation, Handled, PacketExplanation, PassExplanation, PlanStep,
    TraceRequest,
};
use flow::dp::{DpFlow, FlowId};
use flow::{DpPort, FieldId};
use std::collections::HashMap;
use std::sync::Arc;

impl Control {
    /// Why a flow is handled where it is; without a flow, all that are not fully in hardware.
    pub fn offload_explain(&self, flow: Option<u64>) -> Result<Vec<Explanation>, Error> {
        let flows = self.dp_flows();
        let world = self.planners_world(&self.lock());
        let names = self.names();
        let known: HashMap<u64, Arc<DpFlow>> =
            self.switch.flows().into_iter().map(|info| (info.flow.id.0, info.flow)).collect();
        let explain = |view: DpFlowView| {
            // What device and engine said, which the planner does not know.
            let more = self.switch.engine().explain(FlowId(view.id)).map(|s| s.refusals).unwrap_or_default();
            let (steps, would_help) = match known.get(&view.id) {
                Some(flow) => told(&Taps::untapped(flow), &world, &more, view.handled, &names),
                None => (Vec::new(), Vec::new()),
            };
            Explanation {
                reasons: view.reasons.clone(),
                rules: self.switch.hardware_rules(FlowId(view.id)),
                steps,
                would_help,
                flow: view,
            }
        };
        match flow {
            None => Ok(flows.into_iter().filter(|f| f.handled != Handled::Hardware).map(explain).collect()),
            Some(id) => {
                let found = flows.into_iter().find(|f| f.id == id).ok_or_else(|| no_flow(id))?;
                Ok(vec![explain(found)])
            }
        }
    }

    /// How a packet that is not there would be handled, pass by pass.
    pub fn offload_explain_packet(&self, request: &ExplainRequest) -> Result<PacketExplanation, Error> {
        let bridge = self.only_bridge(request.bridge.as_deref())?;
        let trace = TraceRequest { flow: request.flow.clone(), ..TraceRequest::default() };
        let (view, passes) = self.trace_passes(&bridge, &trace)?;
        if passes.first().is_some_and(|pass| pass.flow.in_port() == DpPort::NONE) {
            let why = format!("it comes in on no port of bridge {bridge}");
            return Err(invalid(format!("packet `{}`", request.flow), why)
                .remedy("name one that has its device, with in_port=; list them with: shuntctl port list"));
        }
        let names = self.names();
        let world = self.planners_world(&self.lock());
        let passes =
            view.passes.iter().zip(&passes).map(|(shown, pass)| self.explain(shown, pass, &world, &names)).collect();
        Ok(PacketExplanation { bridge, trace: view.text, passes })
    }

    fn explain(&self, shown: &api::TracePass, pass: &Pass, world: &World, names: &Names) -> PassExplanation {
        let flow = Taps::untapped(pass.live.as_deref().unwrap_or(&pass.flow));
        let (steps, would_help) = told(&flow, world, &pass.refusals, pass.handled, names);
        let rules = match (&pass.live, &pass.plan) {
            (Some(live), _) => self.switch.hardware_rules(live.id),
            (None, Plan::Full(program) | Plan::Partial { program, .. }) => texts(program),
            (None, Plan::Software(_)) => Vec::new(),
        };
        PassExplanation {
            flow: pass.live.as_ref().map(|live| live.id.0),
            megaflow: shown.megaflow.clone(),
            actions: names.actions(&flow.actions),
            handled: shown.handled,
            reasons: shown.reasons.clone(),
            rules,
            steps,
            would_help,
        }
    }

    /// The bridge that is named, or the one that there is.
    pub(super) fn only_bridge(&self, named: Option<&str>) -> Result<String, Error> {
        let inner = self.lock();
        if let Some(name) = named {
            return inner.bridge(name).map(|_| name.to_owned());
        }
        let mut names = inner.bridges.keys();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(name.clone()),
            (None, _) => {
                Err(Error::new(ErrorKind::NotFound, "bridge", "there is none")
                    .remedy("add one with: shuntctl bridge add"))
            }
            _ => Err(Error::new(ErrorKind::Invalid, "bridge", "there are several").remedy("name one with --bridge")),
        }
    }
}

pub(super) fn no_flow(id: u64) -> Error {
    Error::new(ErrorKind::NotFound, format!("datapath flow {id}"), "there is no such flow")
        .remedy("list them with: shuntctl dp flows")
}

/// Steps, and what would help, of a flow that is handled there: the planner does not know what else stands in its way.
fn told(
    flow: &DpFlow,
    world: &World,
    refusals: &[Refusal],
    handled: Handled,
    names: &Names,
) -> (Vec<PlanStep>, Vec<String>) {
    let explained = ::offload::explain(flow, world, refusals);
    let done_by = |step: &Step| match (handled, &step.of) {
        (Handled::Software, _) => Where::Software,
        (Handled::Partial, StepOf::Match { .. }) => Where::Hardware,
        _ => step.at,
    };
    let what = |of: &StepOf| match of {
        StepOf::Match { field: FieldId::InPort, .. } => format!("match in_port={}", names.port(flow.in_port())),
        StepOf::Action { number, .. } => {
            format!("action {}", flow.actions.get(*number).map(|action| names.action(action)).unwrap_or_default())
        }
        other => other.to_string(),
    };
    let step = |step: &Step| PlanStep {
        what: what(&step.of),
        done_by: done_by(step).to_string(),
        reasons: step.refused.iter().map(|r| names.reason(r)).collect(),
    };
    (explained.steps.iter().map(step).collect(), explained.help.iter().map(|change| change.told(names)).collect())
}

fn texts(program: &HwProgram) -> Vec<String> {
    program.rules.iter().map(ToString::to_string).collect()
}
