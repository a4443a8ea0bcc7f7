//! Rules as text.

use super::actions::whole;
use super::context::Context;
use super::format::{Field, Hex, Ipv4Masked, Ipv6Masked, MacMasked, Port, ct_state, frag_name, tcp_flags};
use super::names::text_of;
use crate::action::Action;
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::port::OfPort;
use crate::rule::{DEFAULT_PRIORITY, RuleFlags, RuleSpec};
use crate::value::Value;
use std::fmt::{Display, Write};
use std::time::Duration;

/// Items with commas between them. Writing to a string cannot fail.
#[derive(Default)]
struct List(String);

impl List {
    fn item(&mut self, item: impl Display) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}{item}");
    }

    fn pair(&mut self, key: &str, value: impl Display) {
        self.item(format_args!("{key}={value}"));
    }
}

/// A match in the form and order of OVS, with the priority in front when it is not the default. Empty if it is the
/// default and everything is matched.
#[must_use]
pub fn format_match(m: &Match, priority: u16) -> String {
    let mut out = List::default();
    if priority != DEFAULT_PRIORITY {
        out.pair("priority", priority);
    }
    metadata(m, &mut out);
    let eth_type = m.key.eth_type.get();
    let type_matched = m.get(FieldId::EthType).1 != Value(0);
    let proto_matched = m.get(FieldId::IpProto).1 != Value(0);
    let shorthand = if type_matched { shorthand(eth_type, proto_matched.then_some(m.key.nw_proto)) } else { None };
    if let Some((name, _)) = shorthand {
        out.item(name);
    }
    registers(m, &mut out);
    vlan(m, &mut out);
    masked(m, &mut out, "dl_src", FieldId::EthSrc, MacMasked);
    masked(m, &mut out, "dl_dst", FieldId::EthDst, MacMasked);
    if type_matched && shorthand.is_none() {
        out.pair("dl_type", format_args!("{eth_type:#06x}"));
    }
    let proto_said = shorthand.is_some_and(|(_, with_proto)| with_proto);
    l3(m, eth_type, proto_matched && !proto_said, &mut out);
    l4(m, eth_type, &mut out);
    out.0
}

fn metadata(m: &Match, out: &mut List) {
    hex(m, out, "pkt_mark", FieldId::PktMark);
    hex(m, out, "recirc_id", FieldId::RecircId);
    hex(m, out, "dp_hash", FieldId::DpHash);
    masked(m, out, "ct_state", FieldId::CtState, ct_state);
    decimal(m, out, "ct_zone", FieldId::CtZone);
    hex(m, out, "ct_mark", FieldId::CtMark);
    // OVS takes a match of `recirc_id` for a datapath's, where packets may start with another layer, and says that
    // these are Ethernet.
    let ethernet = [FieldId::EthSrc, FieldId::EthDst, FieldId::EthType, FieldId::VlanTci];
    if m.get(FieldId::RecircId).1 != Value(0) && ethernet.iter().any(|id| m.get(*id).1 != Value(0)) {
        out.item("eth");
    }
}

fn registers(m: &Match, out: &mut List) {
    for id in (FieldId::Reg0 as usize..=FieldId::Reg15 as usize).map(|i| crate::field::FIELDS[i].id) {
        hex(m, out, id.def().name, id);
    }
    hex(m, out, "tun_id", FieldId::TunId);
    hex(m, out, "metadata", FieldId::Metadata);
    masked(m, out, "in_port", FieldId::InPort, |port, _| Port(OfPort(port.0 as u16)));
}

fn vlan(m: &Match, out: &mut List) {
    let (tci, mask) = m.get(FieldId::VlanTci);
    let (tci, mask) = (tci.0 as u16, mask.0 as u16);
    if mask == 0 {
        return;
    }
    let (vid, pcp) = (mask & 0x0fff, mask & 0xe000);
    let tagged = mask & tci & VlanTag::PRESENT != 0;
    if tagged && matches!(vid, 0 | 0x0fff) && matches!(pcp, 0 | 0xe000) && vid | pcp != 0 {
        if vid != 0 {
            out.pair("dl_vlan", tci & 0x0fff);
        }
        if pcp != 0 {
            out.pair("dl_vlan_pcp", tci >> 13);
        }
    } else if mask == 0xffff {
        out.pair("vlan_tci", format_args!("{tci:#06x}"));
    } else {
        out.pair("vlan_tci", format_args!("{tci:#06x}/{mask:#06x}"));
    }
}

/// The name of an ethertype, or of ethertype and protocol, and whether it says the protocol.
fn shorthand(eth_type: u16, proto: Option<u8>) -> Option<(&'static str, bool)> {
    Some(match (eth_type, proto) {
        (0x0800, Some(1)) => ("icmp", true),
        (0x0800, Some(6)) => ("tcp", true),
        (0x0800, Some(17)) => ("udp", true),
        (0x0800, Some(132)) => ("sctp", true),
        (0x0800, _) => ("ip", false),
        (0x86dd, Some(58)) => ("icmp6", true),
        (0x86dd, Some(6)) => ("tcp6", true),
        (0x86dd, Some(17)) => ("udp6", true),
        (0x86dd, Some(132)) => ("sctp6", true),
        (0x86dd, _) => ("ipv6", false),
        (0x0806, _) => ("arp", false),
        (0x8035, _) => ("rarp", false),
        (0x8847, _) => ("mpls", false),
        (0x8848, _) => ("mplsm", false),
        _ => return None,
    })
}

fn l3(m: &Match, eth_type: u16, show_proto: bool, out: &mut List) {
    let arp = matches!(eth_type, 0x0806 | 0x8035);
    if eth_type == 0x86dd {
        masked(m, out, "ipv6_src", FieldId::Ipv6Src, Ipv6Masked);
        masked(m, out, "ipv6_dst", FieldId::Ipv6Dst, Ipv6Masked);
        let (label, mask) = m.get(FieldId::Ipv6Label);
        if mask == FieldId::Ipv6Label.def().ones() {
            out.pair("ipv6_label", format_args!("{:#07x}", label.0));
        } else if mask != Value(0) {
            out.pair("ipv6_label", format_args!("{:#07x}/{:#07x}", label.0, mask.0));
        }
    } else {
        let (src, dst) = if arp { ("arp_spa", "arp_tpa") } else { ("nw_src", "nw_dst") };
        masked(m, out, src, FieldId::Ipv4Src, Ipv4Masked);
        masked(m, out, dst, FieldId::Ipv4Dst, Ipv4Masked);
    }
    if show_proto {
        out.pair(if arp { "arp_op" } else { "nw_proto" }, m.key.nw_proto);
    }
    if arp {
        masked(m, out, "arp_sha", FieldId::ArpSha, MacMasked);
        masked(m, out, "arp_tha", FieldId::ArpTha, MacMasked);
    }
    masked(m, out, "nw_tos", FieldId::IpDscp, |dscp, _| dscp.0 << 2);
    masked(m, out, "nw_ecn", FieldId::IpEcn, |ecn, _| ecn.0);
    masked(m, out, "nw_ttl", FieldId::IpTtl, |ttl, _| ttl.0);
    masked(m, out, "nw_frag", FieldId::IpFrag, frag_name);
}

fn l4(m: &Match, eth_type: u16, out: &mut List) {
    let proto = m.key.nw_proto;
    match (eth_type, proto) {
        (0x0800, 1) | (0x86dd, 58) => {
            decimal(m, out, "icmp_type", FieldId::IcmpType);
            decimal(m, out, "icmp_code", FieldId::IcmpCode);
            if eth_type == 0x86dd {
                masked(m, out, "nd_target", FieldId::NdTarget, Ipv6Masked);
                masked(m, out, "nd_sll", FieldId::NdSll, MacMasked);
                masked(m, out, "nd_tll", FieldId::NdTll, MacMasked);
            }
        }
        _ => {
            decimal(m, out, "tp_src", FieldId::TcpSrc);
            decimal(m, out, "tp_dst", FieldId::TcpDst);
        }
    }
    if matches!(eth_type, 0x0800 | 0x86dd) && proto == 6 {
        masked(m, out, "tcp_flags", FieldId::TcpFlags, tcp_flags);
    }
}

/// A field in its own form, if it is matched.
fn masked<D: Display>(m: &Match, out: &mut List, key: &str, id: FieldId, form: impl Fn(Value, Value) -> D) {
    let (value, mask) = m.get(id);
    if mask != Value(0) {
        out.pair(key, form(value, mask));
    }
}

fn hex(m: &Match, out: &mut List, key: &str, id: FieldId) {
    let (value, mask) = m.get(id);
    if mask == id.def().ones() {
        out.pair(key, Hex(value.0));
    } else if mask != Value(0) {
        out.pair(key, format_args!("{}/{}", Hex(value.0), Hex(mask.0)));
    }
}

/// Decimal; with a mask, both hexadecimal.
fn decimal(m: &Match, out: &mut List, key: &str, id: FieldId) {
    let (value, mask) = m.get(id);
    if mask == id.def().ones() {
        out.pair(key, value.0);
    } else if mask != Value(0) {
        out.pair(key, format_args!("{:#x}/{:#x}", value.0, mask.0));
    }
}

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
