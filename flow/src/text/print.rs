//! Rules as text.

use super::actions::whole;
use super::context::Context;
use super::format::{Field, Hex, Port};
use super::names::text_of;
use super::print_match::{List, format_match};
use crate::action::Action;
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::port::OfPort;
use crate::rule::{RuleFlags, RuleSpec};
use crate::value::Value;
use std::fmt::{Display, Write};
use std::time::Duration;

/// Whether VLAN actions that add a tag when there is none are printed as such, or as OpenFlow 1.4 has to say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vlan {
    AsMeant,
    Spelled,
}

/// Actions as a dump shows them. What is read back from it is the same list.
#[must_use]
pub fn format_actions(actions: &[Action]) -> String {
    list(&Match::default(), actions, Vlan::AsMeant)
}

/// One action.
pub(super) fn action(action: &Action) -> String {
    format_actions(std::slice::from_ref(action))
}

fn list(m: &Match, actions: &[Action], form: Vlan) -> String {
    if actions.is_empty() {
        return "drop".to_owned();
    }
    let mut context = Context::new(m);
    let mut out = List::default();
    for action in actions {
        let tagged = context.is_tagged();
        let tag = |out: &mut List| {
            if !tagged {
                out.item("push_vlan:0x8100");
            }
        };
        match action {
            Action::ModVlanVid(vid) if form == Vlan::Spelled => {
                tag(&mut out);
                out.item(format_args!("set_field:{}->vlan_vid", vid | VlanTag::PRESENT));
            }
            Action::ModVlanPcp(pcp) if form == Vlan::Spelled => {
                tag(&mut out);
                out.item(format_args!("set_field:{pcp}->vlan_pcp"));
            }
            other => one(other, &mut out),
        }
        context.pass(action);
    }
    out.0
}

fn one(action: &Action, out: &mut List) {
    match action {
        Action::Output(port) if *port < OfPort::MAX => out.item(format_args!("output:{}", port.0)),
        Action::Output(port) => out.item(Port(*port)),
        Action::Controller(c) => out.item(format_args!("CONTROLLER:{}", c.max_len)),
        Action::SetField { field, value, mask } if *mask == whole(*field) => {
            let name = text_of(*field).map_or(field.def().name, |t| t.name());
            out.item(format_args!("set_field:{}->{name}", Field(*field, *value, *mask)));
        }
        Action::SetField { field, value, mask } | Action::Load { field, value, mask } => {
            loads(*field, *value, *mask, out);
        }
        Action::SetNwTtl(ttl) => out.item(format_args!("mod_nw_ttl:{ttl}")),
        Action::ModVlanVid(vid) => out.item(format_args!("mod_vlan_vid:{vid}")),
        Action::ModVlanPcp(pcp) => out.item(format_args!("mod_vlan_pcp:{pcp}")),
        Action::PushVlan(tpid) => out.item(format_args!("push_vlan:{tpid:#x}")),
        Action::PopVlan => out.item("pop_vlan"),
        Action::DecTtl => out.item("dec_ttl"),
        Action::Resubmit { port: Some(port), table: None, .. } => out.item(format_args!("resubmit:{}", Port(*port))),
        Action::Resubmit { port, table, .. } => {
            let port = port.map(|p| Port(p).to_string()).unwrap_or_default();
            let table = table.map(|t| t.to_string()).unwrap_or_default();
            out.item(format_args!("resubmit({port},{table})"));
        }
        Action::GotoTable(table) => out.item(format_args!("goto_table:{table}")),
        other => out.item(format_args!("{other:?}")),
    }
}

/// One `load` for each run of at most 64 bits.
fn loads(field: FieldId, value: Value, mask: Value, out: &mut List) {
    let text = text_of(field);
    let name = text.and_then(|t| t.oxm.first().copied()).unwrap_or(field.def().name);
    // Bits that the key has more or fewer of than OVS count as it counts them.
    let all = text.map_or(field.def().bits, |t| t.bits);
    let ours = whole(field).0 & Value::ones(all).0;
    let mask = mask.0 & Value::ones(all).0;
    let (mut at, value) = (0, value.0 & mask);
    while at < 128 && mask >> at != 0 {
        let first = at + (mask >> at).trailing_zeros();
        let bits = (!(mask >> first)).trailing_zeros().min(64);
        at = first + bits;
        let part = value >> first & Value::ones(bits as u16).0;
        let last = at - 1;
        let covered = mask == ours && bits == ours.count_ones();
        if covered {
            out.item(format_args!("load:{}->{name}[]", Hex(value)));
        } else if bits == 1 {
            out.item(format_args!("load:{}->{name}[{first}]", Hex(part)));
        } else {
            out.item(format_args!("load:{}->{name}[{first}..{last}]", Hex(part)));
        }
    }
}

/// A rule as `ovs-ofctl -O OpenFlow14 parse-flows` prints it behind its `ADD `.
///
/// OpenFlow 1.4 has no action that adds a VLAN tag only when there is none: `mod_vlan_vid:5` is printed as
/// `push_vlan:0x8100,set_field:4101->vlan_vid` unless the match or an action before it says that there is a tag.
/// [`format_dump`] prints the action itself.
#[must_use]
pub fn format_rule(rule: &RuleSpec) -> String {
    let mut out = String::new();
    let mut word = |word: &dyn Display| {
        let _ = write!(out, "{word} ");
    };
    if rule.table != 0 {
        word(&format_args!("table:{}", rule.table));
    }
    let matching = format_match(&rule.matching, rule.priority);
    if !matching.is_empty() {
        word(&matching);
    }
    // All ones mean "leave the cookie" in OpenFlow.
    if rule.cookie != 0 && rule.cookie != u64::MAX {
        word(&format_args!("cookie:{:#x}", rule.cookie));
    }
    for (name, value) in [("idle", rule.idle_timeout), ("hard", rule.hard_timeout), ("importance", rule.importance)] {
        if value != 0 {
            word(&format_args!("{name}:{value}"));
        }
    }
    flags(rule.flags).for_each(|name| word(&name));
    out.push_str("actions=");
    out.push_str(&list(&rule.matching, &rule.actions, Vlan::Spelled));
    out
}

fn flags(flags: RuleFlags) -> impl Iterator<Item = &'static str> {
    [
        (RuleFlags::SEND_FLOW_REM, "send_flow_rem"),
        (RuleFlags::CHECK_OVERLAP, "check_overlap"),
        (RuleFlags::RESET_COUNTS, "reset_counts"),
        (RuleFlags::NO_PACKET_COUNTS, "no_packet_counts"),
        (RuleFlags::NO_BYTE_COUNTS, "no_byte_counts"),
    ]
    .into_iter()
    .filter(move |(flag, _)| flags.contains(*flag))
    .map(|(_, name)| name)
}

/// What a dump says of a rule beside the rule itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    pub packets: u64,
    pub bytes: u64,
    /// Since it was added.
    pub duration: Duration,
    /// Since a packet last hit it (or since it was added). Not printed when `None`.
    pub idle_age: Option<Duration>,
}

/// A rule as a line of `ovs-ofctl dump-flows`, without the leading space. [`super::parse_flow`] reads it back: it
/// skips the statistics.
#[must_use]
pub fn format_dump(rule: &RuleSpec, stats: &RuleStats) -> String {
    let mut out = format!("cookie={:#x}, duration={}, ", rule.cookie, Seconds(stats.duration));
    let RuleStats { packets, bytes, .. } = stats;
    let _ = write!(out, "table={}, n_packets={packets}, n_bytes={bytes}, ", rule.table);
    for (name, value) in [("idle_timeout", rule.idle_timeout), ("hard_timeout", rule.hard_timeout)] {
        if value != 0 {
            let _ = write!(out, "{name}={value}, ");
        }
    }
    for name in flags(rule.flags) {
        let _ = write!(out, "{name} ");
    }
    if rule.importance != 0 {
        let _ = write!(out, "importance={}, ", rule.importance);
    }
    if let Some(age) = stats.idle_age {
        let _ = write!(out, "idle_age={}, ", age.as_secs());
    }
    let matching = format_match(&rule.matching, rule.priority);
    if !matching.is_empty() {
        let _ = write!(out, "{matching} ");
    }
    let _ = write!(out, "actions={}", format_actions(&rule.actions));
    out
}

/// Seconds, with as many decimals as say them exactly, three at least when there are any.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match nanos {
            0 => write!(f, "{whole}s"),
            _ if nanos % 1_000_000 == 0 => write!(f, "{whole}.{:03}s", nanos / 1_000_000),
            _ => write!(f, "{whole}.{}s", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}
