//! A plan step by step: what becomes of each field of the match and of each action, and why.

use super::help::{Change, what_would_help};
use super::plan_translated;
use crate::refusal::{Refusal, Refusals, Subject};
use crate::rule::Plan;
use crate::world::World;
use flow::dp::{Cacheable, DpActionKind, DpFlow};
use flow::field::datapath_fields;
use flow::{FieldId, Value};

/// What one step is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOf {
    /// Bits of a field that the flow matches.
    Match { field: FieldId, text: String },
    /// The action with this number, from 0 on.
    Action { number: usize, text: String },
    /// The flow as a whole: offload policy, ports, limits, what the device said.
    Whole,
}

/// Where a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Hardware,
    Software,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub of: StepOf,
    pub at: Where,
    /// Why not in hardware, as far as it is this step's fault. Steps without fault go where the plan goes.
    pub refused: Refusals,
}

/// All there is to say of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub plan: Plan,
    /// The match field by field, then the actions, then the flow as a whole where something is to be said of it.
    pub steps: Vec<Step>,
    /// Single changes after which all of the flow would be in hardware.
    pub help: Vec<Change>,
}

/// Explain a flow. `more`: reasons that the planner does not know, because the device gave them or the engine. Pure.
#[must_use]
pub fn explain(flow: &DpFlow, world: &World, more: &[Refusal]) -> Explained {
    let kept = if more.contains(&Refusal::NotCacheable) { Cacheable::No } else { Cacheable::Yes };
    let plan = plan_translated(flow, kept, world);
    let mut refused: Refusals = plan.refused().iter().cloned().collect();
    for refusal in more {
        super::add(&mut refused, refusal.clone());
    }
    let in_full = matches!(plan, Plan::Full(_)) && more.is_empty();
    let (matched, done) = match &plan {
        Plan::Full(_) if in_full => (true, flow.actions.len()),
        Plan::Full(_) | Plan::Software(_) => (false, 0),
        Plan::Partial { done, .. } => (true, *done),
    };
    let place = |hardware: bool| if hardware { Where::Hardware } else { Where::Software };
    let mut steps = Vec::new();
    let mut told = Refusals::new();
    for field in fields_of(flow) {
        let refused = about(&refused, &mut told, |subject| matches!(subject, Subject::Field(f) if covers(field, f)));
        steps.push(Step { of: StepOf::Match { field, text: field_text(flow, field) }, at: place(matched), refused });
    }
    for (number, action) in flow.actions.iter().enumerate() {
        let kinds = kinds(action);
        let refused = about(&refused, &mut told, |subject| match subject {
            Subject::Action(kind) => kinds.iter().any(|own| same(*own, kind)),
            Subject::Port(port) => sends_to(action, port),
            Subject::Meter(meter) => *action == flow::dp::DpAction::Meter(meter),
            Subject::Field(_) | Subject::Flow => false,
        });
        steps.push(Step { of: StepOf::Action { number, text: action.to_string() }, at: place(number < done), refused });
    }
    let rest: Refusals = refused.iter().filter(|r| !told.contains(r)).cloned().collect();
    if !rest.is_empty() {
        steps.push(Step { of: StepOf::Whole, at: place(in_full), refused: rest });
    }
    let help = if in_full || kept == Cacheable::No { Vec::new() } else { what_would_help(flow, world) };
    Explained { plan, steps, help }
}

/// Of `refused`, those about something; all that were told of are collected.
fn about(refused: &Refusals, told: &mut Refusals, is: impl Fn(Subject) -> bool) -> Refusals {
    let found: Refusals = refused.iter().filter(|refusal| is(refusal.subject())).cloned().collect();
    for refusal in &found {
        super::add(told, refusal.clone());
    }
    found
}

/// Fields that the flow matches: none whose bits are all another's.
pub(super) fn fields_of(flow: &DpFlow) -> Vec<FieldId> {
    let mut left = flow.mask;
    let mut out = Vec::new();
    // Ethertype and protocol are looked at by what follows, and later rows of the table are views of earlier ones.
    for def in datapath_fields() {
        if left.get(def.id).0 != 0 {
            left.0.set(def.id, Value(0));
            out.push(proper(flow, def.id));
        }
    }
    out
}

/// The name of transport ports that the flow's protocol has.
fn proper(flow: &DpFlow, field: FieldId) -> FieldId {
    use FieldId as F;
    let proto = flow.key.nw_proto;
    match (field, proto) {
        (F::TcpSrc, 17) => F::UdpSrc,
        (F::TcpDst, 17) => F::UdpDst,
        (F::TcpSrc, 132) => F::SctpSrc,
        (F::TcpDst, 132) => F::SctpDst,
        (F::TcpSrc, 1) => F::IcmpType,
        (F::TcpDst, 1) => F::IcmpCode,
        (F::TcpSrc, 58) => F::Icmpv6Type,
        (F::TcpDst, 58) => F::Icmpv6Code,
        (F::IpProto, _) if flow.key.eth_type.get() == 0x0806 => F::ArpOp,
        (F::Ipv4Src, _) if flow.key.eth_type.get() == 0x0806 => F::ArpSpa,
        (F::Ipv4Dst, _) if flow.key.eth_type.get() == 0x0806 => F::ArpTpa,
        _ => field,
    }
}

/// Whether two names mean bits of the same bytes of a key.
fn covers(field: FieldId, other: FieldId) -> bool {
    let bits = |id: FieldId| {
        let mut mask = flow::Mask::ANY;
        mask.require(id);
        mask
    };
    field == other || {
        let (a, b) = (bits(field), bits(other));
        a.0.words().iter().zip(b.0.words()).any(|(a, b)| a.iter().zip(b).any(|(a, b)| a & b != 0))
    }
}

fn same(own: DpActionKind, said: DpActionKind) -> bool {
    match (own, said) {
        (DpActionKind::Set(own), DpActionKind::Set(said)) => covers(own, said),
        _ => own == said,
    }
}

/// The action's sort, and those of actions in it.
fn kinds(action: &flow::dp::DpAction) -> Vec<DpActionKind> {
    let mut out = vec![action.kind()];
    if let flow::dp::DpAction::Clone(list) = action {
        out.extend(list.iter().flat_map(kinds));
    }
    out
}

fn sends_to(action: &flow::dp::DpAction, port: flow::DpPort) -> bool {
    match action {
        flow::dp::DpAction::Output(to) => *to == port,
        flow::dp::DpAction::TunnelPush(encap) => encap.port == port,
        flow::dp::DpAction::Clone(list) => list.iter().any(|action| sends_to(action, port)),
        _ => false,
    }
}

fn field_text(flow: &DpFlow, field: FieldId) -> String {
    let (value, mask) = (flow.key.get(field).unwrap_or_default(), flow.mask.get(field));
    format!("{field}={}", flow::text::field_value(field, Value(value.0 & mask.0), mask))
}

impl std::fmt::Display for StepOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StepOf::Match { text, .. } => write!(f, "match {text}"),
            StepOf::Action { text, .. } => write!(f, "action {text}"),
            StepOf::Whole => f.write_str("the flow"),
        }
    }
}

impl std::fmt::Display for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Where::Hardware => "hardware",
            Where::Software => "software",
        })
    }
}

impl std::fmt::Display for Explained {
    /// A line for each step and reason, then what would help.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for step in &self.steps {
            writeln!(f, "{:8} {}", step.at, step.of)?;
            for refusal in &step.refused {
                writeln!(f, "         because: {}: {refusal}", refusal.name())?;
                writeln!(f, "         remedy:  {}", refusal.remedy())?;
            }
        }
        for change in &self.help {
            writeln!(f, "it would be in hardware {change}")?;
        }
        Ok(())
    }
}
