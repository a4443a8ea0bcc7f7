//! Matches as text.

use super::format::{Hex, Ipv4Masked, Ipv6Masked, MacMasked, Port, ct_state, frag_name, tcp_flags};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::port::OfPort;
use crate::rule::DEFAULT_PRIORITY;
use crate::value::Value;
use std::fmt::{Display, Write};

/// Items with commas between them. Writing to a string cannot fail.
#[derive(Default)]
pub(super) struct List(pub String);

impl List {
    pub fn item(&mut self, item: impl Display) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}{item}");
    }

    pub fn pair(&mut self, key: &str, value: impl Display) {
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
    decimal(m, out, "conj_id", FieldId::ConjId);
    masked(m, out, "actset_output", FieldId::ActsetOutput, |port, _| Port(OfPort(port.0 as u16)));
    masked(m, out, "ct_state", FieldId::CtState, ct_state);
    decimal(m, out, "ct_zone", FieldId::CtZone);
    hex(m, out, "ct_mark", FieldId::CtMark);
    hex(m, out, "ct_label", FieldId::CtLabel);
    masked(m, out, "ct_nw_src", FieldId::CtNwSrc, Ipv4Masked);
    masked(m, out, "ct_ipv6_src", FieldId::CtIpv6Src, Ipv6Masked);
    masked(m, out, "ct_nw_dst", FieldId::CtNwDst, Ipv4Masked);
    masked(m, out, "ct_ipv6_dst", FieldId::CtIpv6Dst, Ipv6Masked);
    decimal(m, out, "ct_nw_proto", FieldId::CtNwProto);
    decimal(m, out, "ct_tp_src", FieldId::CtTpSrc);
    decimal(m, out, "ct_tp_dst", FieldId::CtTpDst);
    // OVS takes a match of `recirc_id` for a datapath's, where packets may start with another layer, and says that
    // these are Ethernet.
    let ethernet = [FieldId::EthSrc, FieldId::EthDst, FieldId::EthType, FieldId::VlanTci, FieldId::CtNwProto];
    if m.get(FieldId::RecircId).1 != Value(0) && ethernet.iter().any(|id| m.get(*id).1 != Value(0)) {
        out.item("eth");
    }
}

fn registers(m: &Match, out: &mut List) {
    for id in (FieldId::Reg0 as usize..=FieldId::Reg15 as usize).map(|i| crate::field::FIELDS[i].id) {
        hex(m, out, id.def().name, id);
    }
    hex(m, out, "tun_id", FieldId::TunId);
    masked(m, out, "tun_src", FieldId::TunSrc, Ipv4Masked);
    masked(m, out, "tun_dst", FieldId::TunDst, Ipv4Masked);
    masked(m, out, "tun_ipv6_src", FieldId::TunIpv6Src, Ipv6Masked);
    masked(m, out, "tun_ipv6_dst", FieldId::TunIpv6Dst, Ipv6Masked);
    decimal(m, out, "tun_gbp_id", FieldId::TunGbpId);
    hex(m, out, "tun_gbp_flags", FieldId::TunGbpFlags);
    // Always with its sign: ovs-ofctl's flags have more bits than can be matched.
    masked(m, out, "tun_flags", FieldId::TunFlags, |flags, _| if flags.0 == 0 { "-oam" } else { "+oam" });
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
    for id in [FieldId::MplsLabel, FieldId::MplsTc, FieldId::MplsTtl, FieldId::MplsBos] {
        decimal(m, out, id.def().name, id);
    }
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
                decimal(m, out, "nd_reserved", FieldId::NdReserved);
                decimal(m, out, "nd_options_type", FieldId::NdOptionsType);
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
