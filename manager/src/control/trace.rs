//! Packets followed through a bridge, and whether their flows would go into hardware.

use super::Control;
use super::errors::{invalid, pipeline};
use super::names::Names;
use super::offload::handled;
use ::offload::{Plan, Refusals, World};
use ::pipeline::trace::{TraceNode, TracePass, TraceStep};
use api::{Error, Handled, TraceRequest, TraceView};
use flow::dp::{Cacheable, DpFlow, Effect, FlowId, Hits, Mark, OvsActions, Slowpath};
use flow::extract::{RxMeta, extract_into};
use flow::rule::DEFAULT_PRIORITY;
use flow::text::{self, Note};
use flow::{DpPort, FieldId, FlowKey, Match, OfPort, Value};
use std::sync::Arc;

/// The bit of a VLAN TCI that says that there is a tag.
const TAG_PRESENT: u16 = 0x1000;

impl Control {
    /// What would be done with a packet. Nothing is done, unless learning is asked for.
    pub fn trace(&self, bridge: &str, request: &TraceRequest) -> Result<TraceView, Error> {
        self.trace_passes(bridge, request).map(|(view, _)| view)
    }

    /// The same, with the plan for the flow of each pass.
    pub(super) fn trace_passes(&self, bridge: &str, request: &TraceRequest) -> Result<(TraceView, Vec<Pass>), Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        let key = packet(request, &inner.names(self, bridge))?;
        let world = self.planners_world(&inner);
        drop(inner);
        let trace = self.switch.pipeline().trace(id, &key).map_err(|e| pipeline(format!("bridge {bridge}"), &e))?;
        if request.generate {
            self.generate(&trace);
        }
        let ports = self.switch.pipeline().ports(id);
        let datapath_port = |number: OfPort| ports.iter().find(|p| p.number == number).map_or(DpPort::NONE, |p| p.dp);
        let mut out = String::new();
        let names = self.names();
        let (mut passes, mut planned) = (Vec::new(), Vec::new());
        for pass in &trace.passes {
            let judged = self.judge(pass, datapath_port, &world);
            let shown = view(pass, &judged, &names);
            out.push_str(&format!("{pass}\n{}\n", offload(&shown)));
            passes.push(shown);
            planned.push(judged);
        }
        Ok((TraceView { text: out.trim_end().to_owned(), passes }, planned))
    }
}

impl Control {
    /// Where the flow of a pass is handled: the one that is there, or the one that the packet would make.
    fn judge(&self, pass: &TracePass, datapath_port: impl Fn(OfPort) -> DpPort, world: &World) -> Pass {
        let (packet, mut flow) = flow_of(pass, datapath_port);
        let cacheable = pass.translation.cacheable;
        if cacheable == Cacheable::Yes
            && let Some(live) = self.switch.flow_of(&packet)
        {
            let (placement, refusals) = self.switch.placement(&live);
            let plan = Plan::Software(Refusals::new());
            return Pass { flow, plan, handled: handled(placement), refusals, live: Some(live) };
        }
        let plan = match cacheable {
            Cacheable::Yes => {
                // Flows are narrower where some of their packets are captured.
                self.switch.taps().narrow(&packet, &mut flow.mask);
                flow.key = packet.masked(&flow.mask);
                self.switch.engine().foresee(&flow)
            }
            Cacheable::No => ::offload::plan_translated(&flow, cacheable, world),
        };
        let handled = match &plan {
            Plan::Full(_) => Handled::Hardware,
            Plan::Partial { .. } => Handled::Partial,
            Plan::Software(_) => Handled::Software,
        };
        let refusals = plan.refused().iter().cloned().collect();
        Pass { flow, plan, handled, refusals, live: None }
    }

    /// Learn what the packet teaches. Rules and buckets do not count it: it was not there.
    fn generate(&self, trace: &::pipeline::trace::Trace) {
        let hits = Hits { packets: 1, bytes: 0, used: self.switch.clock().now() };
        let teaches = |e: &&Effect| matches!(e, Effect::Learn(_) | Effect::FdbRefresh { .. });
        for pass in &trace.passes {
            let effects: Vec<Effect> = pass.translation.effects.iter().filter(teaches).cloned().collect();
            self.switch.pipeline().replay(&effects, &hits);
        }
    }
}

/// A tag that is said without its present bit (`vlan_tci=5`, as tutorials do) is a tag all the same.
fn tagged(text: &str) -> String {
    let tagged = |part: &str| {
        let value = part.strip_prefix("vlan_tci=")?;
        let hex = value.strip_prefix("0x").map(|digits| u16::from_str_radix(digits, 16));
        let tci = hex.unwrap_or_else(|| value.parse()).ok().filter(|tci| *tci != 0)?;
        Some(format!("vlan_tci=0x{:04x}", tci | TAG_PRESENT))
    };
    let parts = text.split([',', ' ', '\t']).map(|part| tagged(part).unwrap_or_else(|| part.to_owned()));
    parts.collect::<Vec<_>>().join(",")
}

/// The key of the packet that is meant; its input port is an OpenFlow number.
fn packet(request: &TraceRequest, names: &dyn text::PortNames) -> Result<FlowKey, Error> {
    let object = || format!("packet `{}`", request.flow);
    let said = tagged(&request.flow);
    let matching = text::parse_match(&said, names).map_err(|e| invalid(object(), e))?;
    let mut notes = Vec::new();
    text::parse_filter_noting(&said, false, names, &mut notes).map_err(|e| invalid(object(), e))?;
    if let Some(note) = notes.first() {
        return Err(match note {
            Note::LeftOut { field, needs } => invalid(object(), format!("only a packet with {needs} has `{field}`"))
                .remedy(format!("say {needs} too, or leave `{field}` away")),
            other => invalid(object(), other),
        });
    }
    exact(&matching)
        .map_err(|e| invalid(object(), e).remedy("a packet has one value in each field: leave the masks away"))?;
    let mut key = matching.key;
    if matching.get(FieldId::InPort).1 == Value(0) {
        key.in_port.set(OfPort::NONE.0.into());
    }
    let Some(hex) = &request.packet else { return Ok(key) };
    let digits: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = api::from_hex(digits.strip_prefix("0x").unwrap_or(&digits)).filter(|b| !b.is_empty());
    let bytes = bytes.ok_or_else(|| {
        invalid("packet", "its bytes are not hexadecimal")
            .remedy("give two digits for each byte, as tcpdump -xx prints them")
    })?;
    if bytes.len() < 14 {
        return Err(invalid("packet", format!("{} bytes are no Ethernet frame", bytes.len())).remedy("give 14 or more"));
    }
    if key.metadata() != key {
        return Err(invalid(object(), "it says what the packet's bytes say")
            .remedy("give metadata only beside the bytes: in_port, tun_id ..."));
    }
    let port = DpPort(key.in_port.get());
    extract_into(&mut key, &bytes, bytes.len(), &RxMeta::from_port(port));
    Ok(key)
}

/// Whether each field that is said is said as a whole.
fn exact(matching: &Match) -> Result<(), String> {
    let masked = flow::field::datapath_fields().find(|def| {
        let mask = matching.get(def.id).1;
        // VLAN id, priority and presence are parts of one word; so are flags.
        let parts = [FieldId::VlanTci, FieldId::VlanVid, FieldId::IpFrag];
        mask != Value(0) && mask != def.ones() && !parts.contains(&def.id)
    });
    masked.map_or(Ok(()), |def| Err(format!("`{}` has a mask", def.name)))
}

/// The datapath flow that a pass of a trace would make, and where it is handled.
#[derive(Debug)]
pub(super) struct Pass {
    pub flow: DpFlow,
    /// What would be done with it; nothing where there is a flow.
    pub plan: Plan,
    pub handled: Handled,
    /// Why it is not, or would not be, fully in hardware.
    pub refusals: Refusals,
    /// The flow that has packets like this one.
    pub live: Option<Arc<DpFlow>>,
}

/// The packet as the datapath knows it, and its flow.
fn flow_of(pass: &TracePass, datapath_port: impl Fn(OfPort) -> DpPort) -> (FlowKey, DpFlow) {
    let translation = &pass.translation;
    let mut key = pass.flow.key;
    let number = OfPort(u16::try_from(key.in_port.get()).unwrap_or(u16::MAX));
    key.in_port.set(datapath_port(number).0);
    let flow = DpFlow {
        id: FlowId(0),
        key: key.masked(&translation.mask),
        mask: translation.mask,
        actions: translation.actions.clone(),
        deps: translation.deps.clone(),
        effects: translation.effects.clone(),
        mark: Mark(1),
    };
    (key, flow)
}

fn view(pass: &TracePass, judged: &Pass, names: &Names) -> api::TracePass {
    let text = |m: &Match| text::format_match(m, DEFAULT_PRIORITY);
    api::TracePass {
        flow: text(&pass.flow),
        steps: pass.steps.iter().map(node).collect(),
        final_flow: pass.final_flow.as_ref().map(text),
        megaflow: text(&pass.megaflow),
        actions: OvsActions(&pass.actions).to_string(),
        dropped: pass.dropped.map(|d| d.to_string()),
        cacheable: pass.translation.cacheable == Cacheable::Yes,
        handled: judged.handled,
        reasons: judged.refusals.iter().map(|r| names.reason(r)).collect(),
    }
}

fn node(node: &TraceNode) -> api::TraceNode {
    let kind = match &node.step {
        TraceStep::Bridge(_) => "bridge",
        TraceStep::Thaw(_) => "thaw",
        TraceStep::Table { .. } => "table",
        TraceStep::ActionSet => "action_set",
        TraceStep::Bucket(_) => "bucket",
        TraceStep::Action(_) => "action",
        TraceStep::Detail(_) => "detail",
        TraceStep::Warning(_) => "warning",
        TraceStep::Error(_) => "error",
    };
    api::TraceNode {
        kind: kind.to_owned(),
        text: node.step.to_string(),
        steps: node.steps.iter().map(self::node).collect(),
    }
}

/// Whether and why the flow would or would not go into hardware.
fn offload(pass: &api::TracePass) -> String {
    let place = match pass.handled {
        Handled::Hardware => return "Offload: hardware".to_owned(),
        Handled::Partial => "partial: matched in hardware, acted on in software",
        Handled::Software => "software",
        Handled::Pending => "pending",
    };
    let reasons = pass.reasons.iter().map(|r| format!("\n  {}: {}; {}", r.name, r.message, r.remedy));
    format!("Offload: {place}{}", reasons.collect::<String>())
}
