//! Actions as text.

mod ct;
mod learn;
mod set;

use super::actions::{ALGORITHMS, HASHES, REASONS};
use super::context::{Care, Context};
use super::format::{Hex, Port};
use super::print_match::List;
use crate::action::{Action, Bundle, BundleAlgorithm, Controller, PacketInReason, Sample};
use crate::key::VlanTag;
use crate::matching::Match;
use crate::port::OfPort;

pub(super) use set::Part;

/// In whose words actions are printed that OpenFlow 1.4 has no message for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// As they are: what is read back is the same list.
    Own,
    /// By those that OpenFlow 1.4 has, as ovs-ofctl prints a message.
    OpenFlow14,
}

/// Actions as a dump shows them. What is read back from it is the same list.
#[must_use]
pub fn format_actions(actions: &[Action]) -> String {
    list(Context::new(&Match::default()), actions, Words::Own)
}

/// One action.
pub(super) fn action(action: &Action) -> String {
    format_actions(std::slice::from_ref(action))
}

/// A list of actions for packets of which `context` is known.
pub(super) fn list(mut context: Context, actions: &[Action], words: Words) -> String {
    let mut out = List::default();
    for action in actions {
        if words == Words::Own || !spelled(&context, action, &mut out) {
            one(&context, action, words, &mut out);
        }
        context.pass(action);
    }
    if out.0.is_empty() {
        return "drop".to_owned();
    }
    out.0
}

/// Print an action by others, if OpenFlow 1.4 has to.
fn spelled(context: &Context, action: &Action, out: &mut List) -> bool {
    let tag = |out: &mut List| {
        if !context.is_tagged() {
            out.item("push_vlan:0x8100");
        }
    };
    match action {
        Action::ModVlanVid(vid) => {
            tag(out);
            out.item(format_args!("set_field:{}->vlan_vid", vid | VlanTag::PRESENT));
        }
        Action::ModVlanPcp(pcp) => {
            tag(out);
            out.item(format_args!("set_field:{pcp}->vlan_pcp"));
        }
        Action::SetTunnel(id) => out.item(format_args!("set_field:{}->tun_id", Hex(u128::from(*id)))),
        Action::Enqueue { port, queue } => {
            out.item(format_args!("set_queue:{queue}"));
            output(*port, out);
            out.item("pop_queue");
        }
        // OVS does not print the `ct` of these.
        Action::Resubmit { port: Some(port), table: None, .. } => out.item(format_args!("resubmit:{}", Port(*port))),
        _ => return false,
    }
    true
}

fn output(port: OfPort, out: &mut List) {
    if port < OfPort::MAX { out.item(format_args!("output:{}", port.0)) } else { out.item(Port(port)) }
}

fn one(context: &Context, action: &Action, words: Words, out: &mut List) {
    let inside = |care, actions: &[Action]| list(context.inside(care), actions, words);
    match action {
        Action::Output(port) => output(*port, out),
        Action::OutputField { port, .. } => out.item(format_args!("output:{}", Part(port))),
        Action::OutputTruncated { port, max_len } => {
            out.item(format_args!("output(port={},max_len={max_len})", Port(*port)));
        }
        Action::Enqueue { port, queue } => out.item(format_args!("enqueue:{}:{queue}", Port(*port))),
        Action::Controller(to) => controller(to, out),
        Action::Group(id) => out.item(format_args!("group:{id}")),
        Action::Meter(id) => out.item(format_args!("meter:{id}")),
        Action::SetField { field, value, mask } => set::set_field(*field, *value, *mask, words, out),
        Action::Load { field, value, mask } => set::loads(*field, *value, *mask, out),
        Action::SetNwTtl(ttl) => out.item(format_args!("mod_nw_ttl:{ttl}")),
        Action::ModVlanVid(vid) => out.item(format_args!("mod_vlan_vid:{vid}")),
        Action::ModVlanPcp(pcp) => out.item(format_args!("mod_vlan_pcp:{pcp}")),
        Action::PushVlan(tpid) => out.item(format_args!("push_vlan:{tpid:#x}")),
        Action::PopVlan => out.item("pop_vlan"),
        Action::DecTtl => out.item("dec_ttl"),
        Action::DecTtlControllers(ids) => out.item(format_args!("dec_ttl({})", commas(ids.iter()))),
        Action::Move { from, to } => out.item(format_args!("move:{}->{}", Part(from), Part(to))),
        Action::SetTunnel(id) if u32::try_from(*id).is_ok() => {
            out.item(format_args!("set_tunnel:{}", Hex(u128::from(*id))));
        }
        Action::SetTunnel(id) => out.item(format_args!("set_tunnel64:{id:#x}")),
        Action::SetQueue(queue) => out.item(format_args!("set_queue:{queue}")),
        Action::PopQueue => out.item("pop_queue"),
        Action::Push(part) => out.item(format_args!("push:{}", Part(part))),
        Action::Pop(part) => out.item(format_args!("pop:{}", Part(part))),
        Action::Resubmit { port, table, ct } => resubmit(*port, *table, *ct, out),
        Action::Learn(learn) => out.item(learn::Text(learn)),
        Action::Bundle(bundle) => out.item(bundle_text(bundle)),
        Action::Clone(actions) => out.item(format_args!("clone({})", inside(Care::All, actions))),
        Action::Note(bytes) => out.item(format_args!("note:{}", hex(bytes))),
        Action::Exit => out.item("exit"),
        Action::Conjunction { id, clause, clauses } => {
            out.item(format_args!("conjunction({id},{}/{clauses})", u16::from(*clause) + 1));
        }
        Action::CheckPktLarger { len, result } => {
            out.item(format_args!("check_pkt_larger({len})->{}", Part(result)));
        }
        Action::Ct(ct) => out.item(ct::text(ct, words, |exec| inside(Care::All, exec))),
        Action::CtClear => out.item("ct_clear"),
        Action::Sample(sample) => out.item(sample_text(sample)),
        Action::ClearActions => out.item("clear_actions"),
        Action::WriteActions(actions) => {
            out.item(format_args!("write_actions({})", inside(Care::ActionSet, actions)));
        }
        Action::WriteMetadata { value, mask: u64::MAX } => {
            out.item(format_args!("write_metadata:{}", Hex(u128::from(*value))));
        }
        Action::WriteMetadata { value, mask } => {
            out.item(format_args!("write_metadata:{}/{}", Hex(u128::from(*value)), Hex(u128::from(*mask))));
        }
        Action::GotoTable(table) => out.item(format_args!("goto_table:{table}")),
    }
}

fn resubmit(port: Option<OfPort>, table: Option<u8>, ct: bool, out: &mut List) {
    match (port, table) {
        (Some(port), None) if !ct => out.item(format_args!("resubmit:{}", Port(port))),
        _ => {
            let port = port.map(|p| Port(p).to_string()).unwrap_or_default();
            let table = table.map(|t| t.to_string()).unwrap_or_default();
            out.item(format_args!("resubmit({port},{table}{})", if ct { ",ct" } else { "" }));
        }
    }
}

fn controller(to: &Controller, out: &mut List) {
    if to.is_plain() {
        return out.item(format_args!("CONTROLLER:{}", to.max_len));
    }
    let mut keys = List::default();
    if let Some((name, _)) = REASONS.iter().find(|(_, r)| *r == to.reason && *r != PacketInReason::Action) {
        keys.pair("reason", name);
    }
    if to.max_len != u16::MAX {
        keys.pair("max_len", to.max_len);
    }
    if to.id != 0 {
        keys.pair("id", to.id);
    }
    if !to.userdata.is_empty() {
        keys.pair("userdata", hex(&to.userdata));
    }
    if to.pause {
        keys.item("pause");
    }
    if let Some(meter) = to.meter {
        keys.pair("meter_id", meter);
    }
    out.item(format_args!("controller({})", keys.0));
}

fn bundle_text(bundle: &Bundle) -> String {
    let hash = HASHES.iter().find(|(_, h)| *h == bundle.fields).map_or("", |(name, _)| name);
    let algorithm =
        ALGORITHMS.iter().find(|(_, a)| *a == bundle.algorithm).map_or("", |(name, _): &(&str, BundleAlgorithm)| name);
    let (name, load) = match &bundle.load {
        Some(part) => ("bundle_load", format!("{},", Part(part))),
        None => ("bundle", String::new()),
    };
    let members = commas(bundle.members.iter().map(|p| Port(*p)));
    format!("{name}({hash},{},{algorithm},ofport,{load}members:{members})", bundle.basis)
}

fn sample_text(sample: &Sample) -> String {
    let mut keys = List::default();
    keys.pair("probability", sample.probability);
    keys.pair("collector_set_id", sample.collector_set_id);
    keys.pair("obs_domain_id", sample.obs_domain_id);
    keys.pair("obs_point_id", sample.obs_point_id);
    if let Some(port) = sample.sampling_port {
        keys.pair("sampling_port", Port(port));
    }
    if let Some(egress) = sample.egress {
        keys.item(if egress { "egress" } else { "ingress" });
    }
    format!("sample({})", keys.0)
}

fn commas(items: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut list = List::default();
    items.for_each(|item| list.item(item));
    list.0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(".")
}
