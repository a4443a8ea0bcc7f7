//! What would bring a flow into hardware: single changes, each tried by planning again.

use super::explain::fields_of;
use super::plan;
use crate::caps::Capabilities;
use crate::names::{Names, Numbers, Told};
use crate::refusal::Refusal;
use crate::rule::Plan;
use crate::world::{Admitted, PortInfo, PortKind, World};
use flow::dp::{DpAction, DpActionKind, DpFlow, MeterId};
use flow::port::DpPort;
use flow::{FieldId, Value};
use std::sync::Arc;

/// One change of a flow or of what is around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Offload is turned on.
    TurnOn,
    /// Offload is turned on for this input port.
    TurnOnPort { port: DpPort, name: Box<str> },
    /// The policy is `all`.
    PolicyAll,
    /// The policy names this input port too; those that it names then.
    PolicyPort { port: DpPort, name: Box<str>, ports: Box<str> },
    /// Rules look at this field too; the flow's packets have this value in these bits of it.
    MatchAlso { field: FieldId, value: Value, mask: Value },
    /// Rules look at all bits of this field.
    WholeField(FieldId),
    /// No rule looks at this field.
    WithoutField(FieldId),
    /// The action with this number is not done.
    WithoutAction { number: usize, kind: DpActionKind },
    /// The action with this number sets all bits of its field.
    WholeSet { number: usize, field: FieldId },
    /// Of the outputs, only this one stays.
    OneOutput(DpPort),
    /// The flow is dropped in so many words.
    ExplicitDrop,
    /// The place of this meter is the device.
    MeterInHardware(MeterId),
    /// The NICs are of this kind.
    Profile(&'static str),
}

impl Change {
    /// The flow and the world after the change. `None` where it changes nothing.
    #[must_use]
    pub fn apply(&self, flow: &DpFlow, world: &World) -> Option<(DpFlow, World)> {
        let (mut flow, mut world, port) = (copy(flow), world.clone(), flow.in_port());
        match self {
            Change::TurnOn => world.admission.off = false,
            Change::TurnOnPort { port, .. } => drop(world.admission.ports_off.remove(port)),
            Change::PolicyAll => world.admission.policy = Admitted::All,
            Change::PolicyPort { port, .. } => match &mut world.admission.policy {
                Admitted::Ports(ports) => drop(ports.insert(*port)),
                Admitted::All | Admitted::None => return None,
            },
            Change::MatchAlso { field, value, mask } => {
                flow.mask.require_bits(field.def(), *mask);
                let had = flow.key.get(*field).unwrap_or_default().0 & !mask.0;
                flow.key.set(*field, Value(had | value.0 & mask.0));
            }
            Change::WholeField(field) => flow.mask.require(*field),
            Change::WithoutField(field) => {
                flow.mask.0.set(*field, Value(0));
                flow.key = flow.key.masked(&flow.mask);
            }
            Change::WithoutAction { number, .. } if *number < flow.actions.len() => {
                flow.actions.remove(*number);
            }
            Change::WholeSet { number, field } => match flow.actions.get_mut(*number)? {
                DpAction::Set { mask, .. } => *mask = field.def().ones(),
                _ => return None,
            },
            Change::OneOutput(port) => flow.actions.retain(|a| !matches!(a, DpAction::Output(to) if to != port)),
            Change::ExplicitDrop => flow.actions.push(DpAction::Drop(flow::dp::DropReason::RuleDrop)),
            Change::MeterInHardware(meter) => {
                let device = world.ports.get(&port)?.device();
                world.meters.insert(*meter, device);
            }
            Change::Profile(name) => {
                let caps = Arc::new(Capabilities::preset(name)?);
                for info in world.ports.values_mut().filter(|info| info.kind != PortKind::Virtual) {
                    info.caps = Arc::clone(&caps);
                }
            }
            Change::WithoutAction { .. } => return None,
        }
        Some((flow, world))
    }
}

/// Single changes after which all of the flow would be in hardware, the smallest first. Empty when it is already.
/// Plans some tens of times: for people, not for every flow.
#[must_use]
pub fn what_would_help(flow: &DpFlow, world: &World) -> Vec<Change> {
    let now = plan(flow, world);
    if matches!(now, Plan::Full(_)) {
        return Vec::new();
    }
    let helps = |change: &Change| {
        change.apply(flow, world).is_some_and(|(flow, world)| matches!(plan(&flow, &world), Plan::Full(_)))
    };
    let mut out: Vec<Change> = Vec::new();
    for change in candidates(flow, world, now.refused()) {
        if !out.contains(&change) && helps(&change) {
            out.push(change);
        }
    }
    // Another NIC is the last resort.
    if out.is_empty() {
        let other =
            |name: &&str| world.ports.get(&flow.in_port()).is_some_and(|info: &PortInfo| info.caps.name != **name);
        out.extend(Capabilities::PRESETS.into_iter().filter(other).map(Change::Profile).find(helps));
    }
    out
}

fn candidates(flow: &DpFlow, world: &World, refused: &[Refusal]) -> Vec<Change> {
    let mut out = Vec::new();
    for refusal in refused {
        match *refusal {
            Refusal::Disabled => out.push(Change::TurnOn),
            Refusal::PortDisabled { port, ref name } => out.push(Change::TurnOnPort { port, name: name.clone() }),
            Refusal::PolicyOff => out.push(Change::PolicyAll),
            Refusal::PolicyPorts { port, ref name, ref ports } => {
                out.push(Change::PolicyPort { port, name: name.clone(), ports: ports.clone() });
                out.push(Change::PolicyAll);
            }
            Refusal::Prerequisite { on: field, .. } | Refusal::ActionNeedsMatch { field, .. } => {
                also(field, &mut out);
            }
            Refusal::PartialMask { field } => out.push(Change::WholeField(field)),
            Refusal::Reserved => {
                let (value, mask) = (Value(0), Value(1 << 40));
                out.push(Change::MatchAlso { field: FieldId::EthDst, value, mask });
            }
            // A TTL that certainly lasts.
            Refusal::NoGuard => also(FieldId::IpTtl, &mut out),
            Refusal::NoActions => out.push(Change::ExplicitDrop),
            Refusal::MeterSplit { meter } => out.push(Change::MeterInHardware(meter)),
            _ => {}
        }
    }
    for (number, action) in flow.actions.iter().enumerate() {
        if let DpAction::Set { field, .. } = action {
            out.push(Change::WholeSet { number, field: *field });
        }
    }
    for (number, action) in flow.actions.iter().enumerate() {
        out.push(Change::WithoutAction { number, kind: action.kind() });
    }
    for action in &flow.actions {
        if let DpAction::Output(port) = action
            && world.ports.contains_key(port)
        {
            out.push(Change::OneOutput(*port));
        }
    }
    let needed = [FieldId::InPort, FieldId::RecircId];
    out.extend(fields_of(flow).into_iter().filter(|field| !needed.contains(field)).map(Change::WithoutField));
    out
}

/// Values of a field that make sure of what depends on it.
fn also(field: FieldId, out: &mut Vec<Change>) {
    let ones = field.def().ones();
    let whole = |value: u128| Change::MatchAlso { field, value: Value(value), mask: ones };
    match field {
        FieldId::EthType => out.extend([0x0800, 0x86dd, 0x0806].map(whole)),
        FieldId::IpProto => out.extend([6, 17, 1, 58, 132].map(whole)),
        FieldId::VlanTci => {
            let present = Value(u128::from(flow::VlanTag::PRESENT));
            out.extend([Change::MatchAlso { field, value: present, mask: present }, whole(0)]);
        }
        FieldId::IpTtl => out.push(whole(64)),
        _ => out.push(whole(0)),
    }
}

fn copy(flow: &DpFlow) -> DpFlow {
    DpFlow {
        id: flow.id,
        key: flow.key,
        mask: flow.mask,
        actions: flow.actions.clone(),
        deps: flow.deps.clone(),
        effects: flow.effects.clone(),
        mark: flow.mark,
    }
}

impl std::fmt::Display for Change {
    /// A condition: to be read after "it would be in hardware".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tell(&Numbers, f)
    }
}

impl Told for Change {
    fn tell(&self, names: &dyn Names, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::TurnOn => f.write_str("if offload were on (shuntctl offload on)"),
            Change::TurnOnPort { name, .. } => write!(f, "if offload were on for {name} (shuntctl offload on {name})"),
            Change::PolicyAll => f.write_str("if the policy were all (shuntctl offload policy set all)"),
            Change::PolicyPort { name, ports, .. } => {
                write!(f, "if the policy named {name} (shuntctl offload policy set ports {ports})")
            }
            Change::MatchAlso { field, value, mask } => {
                write!(f, "if rules matched {field}={} too", flow::text::field_value(*field, *value, *mask))
            }
            Change::WholeField(field) => write!(f, "if rules matched all bits of {field}"),
            Change::WithoutField(field) => write!(f, "if no rule looked at {field}"),
            Change::WithoutAction { number, kind } => write!(f, "without {kind} (action {})", number + 1),
            Change::WholeSet { number, field } => {
                write!(f, "if action {} set all bits of {field}", number + 1)
            }
            Change::OneOutput(port) => write!(f, "with port {} as the only output", names.port(*port)),
            Change::ExplicitDrop => f.write_str("with an explicit drop"),
            Change::MeterInHardware(meter) => {
                write!(f, "if meter {} were in hardware with all of its flows", names.meter(*meter))
            }
            Change::Profile(name) => write!(f, "in a NIC like {name}"),
        }
    }
}
