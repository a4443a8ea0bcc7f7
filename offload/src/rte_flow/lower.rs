//! From an [`HwRule`] to rte_flow items and actions. Total: every rule that the planner makes can be said.

use crate::rule::{Bits, HwAction, HwRule, InnerTag, L3Match, L4Match, Table, VlanMatch};
use flow::FieldId;
use rte_flow_rs::{
    Action, ArpEthIpv4, Attr, Eth, Ethdev, Field, Icmp, Icmp6, Ipv4, Ipv6, Item, Match, ModifyField, ModifyOp,
    ModifySource, Rss, Sctp, Tcp, Udp, Vlan,
};

/// Direction, group and priority.
#[must_use]
pub fn attributes(rule: &HwRule) -> Attr {
    match rule.table {
        Table::Transfer { group, priority } => Attr { group, priority, transfer: true, ..Attr::default() },
        Table::Ingress { group, priority } => Attr { group, priority, ingress: true, ..Attr::default() },
    }
}

/// What packets must look like. Transfer rules begin with where packets come from: the entity that the input
/// ethdev stands for (`RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT`).
#[must_use]
pub fn pattern(rule: &HwRule) -> Vec<Item> {
    let mut out = Vec::new();
    pattern_into(rule, &mut out);
    out
}

/// The same, instead of what `out` has.
pub(super) fn pattern_into(rule: &HwRule, out: &mut Vec<Item>) {
    out.clear();
    if matches!(rule.table, Table::Transfer { .. }) {
        let spec = Ethdev { port_id: rule.port.0 };
        out.push(Item::RepresentedPort(Match::Masked { spec, mask: Ethdev { port_id: u16::MAX } }));
    }
    ethernet(rule, out);
    network(&rule.matches.l3, out);
    transport(&rule.matches.l4, out);
}

/// A header with no bit that counts needs no values.
fn masked<T: Default + PartialEq>(spec: T, mask: T) -> Match<T> {
    if mask == T::default() { Match::Any } else { Match::Masked { spec, mask } }
}

fn exact(value: Option<u16>) -> Bits<u16> {
    value.map_or(Bits::default(), |value| Bits { value, mask: u16::MAX })
}

fn ethernet(rule: &HwRule, out: &mut Vec<Item>) {
    let m = &rule.matches;
    let behind = exact(m.eth_type);
    let ether_type = match m.vlan {
        VlanMatch::Tagged { tpid, .. } => exact(tpid),
        VlanMatch::Any | VlanMatch::Absent { .. } => behind,
    };
    let spec = Eth { dst: m.eth_dst.value, src: m.eth_src.value, ether_type: ether_type.value, has_vlan: false };
    let mask = Eth {
        dst: m.eth_dst.mask,
        src: m.eth_src.mask,
        ether_type: ether_type.mask,
        has_vlan: m.vlan == VlanMatch::Absent { by_pattern: false },
    };
    out.push(Item::Eth(masked(spec, mask)));
    if let VlanMatch::Tagged { tci, inner, .. } = m.vlan {
        let spec = Vlan { tci: tci.value, inner_type: behind.value, has_more_vlan: false };
        let has_more_vlan = inner == InnerTag::Absent { by_pattern: false };
        out.push(Item::Vlan(masked(spec, Vlan { tci: tci.mask, inner_type: behind.mask, has_more_vlan })));
    }
}

fn network(l3: &L3Match, out: &mut Vec<Item>) {
    let number = |n: Option<u8>| n.map_or((0, 0), |n| (n, u8::MAX));
    match l3 {
        L3Match::None => {}
        L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment } => {
            let (proto, proto_mask) = number(*proto);
            let header = |src: u32, dst: u32, proto, tos, ttl, fragment_offset| Ipv4 {
                version_ihl: 0,
                tos,
                fragment_offset,
                ttl,
                proto,
                src: src.to_be_bytes(),
                dst: dst.to_be_bytes(),
            };
            out.push(Item::Ipv4(masked(
                header(src.value, dst.value, proto, tos.value, ttl.value, fragment.value),
                header(src.mask, dst.mask, proto_mask, tos.mask, ttl.mask, fragment.mask),
            )));
        }
        L3Match::Ipv6 { src, dst, proto, tos, ttl, label, no_fragment } => {
            let (proto, proto_mask) = number(*proto);
            let header = |src: u128, dst: u128, proto, tos: u8, hop_limit, label: u32, has_frag_ext| Ipv6 {
                vtc_flow: u32::from(tos) << 20 | label,
                proto,
                hop_limit,
                src: src.to_be_bytes(),
                dst: dst.to_be_bytes(),
                has_frag_ext,
            };
            out.push(Item::Ipv6(masked(
                header(src.value, dst.value, proto, tos.value, ttl.value, label.value, false),
                header(src.mask, dst.mask, proto_mask, tos.mask, ttl.mask, label.mask, *no_fragment),
            )));
        }
        L3Match::Arp { op, spa, tpa, sha, tha } => {
            let op = exact(*op);
            let header = |op, sha, spa: u32, tha, tpa: u32| ArpEthIpv4 {
                op,
                sha,
                spa: spa.to_be_bytes(),
                tha,
                tpa: tpa.to_be_bytes(),
            };
            out.push(Item::Arp(masked(
                header(op.value, sha.value, spa.value, tha.value, tpa.value),
                header(op.mask, sha.mask, spa.mask, tha.mask, tpa.mask),
            )));
        }
    }
}

fn transport(l4: &L4Match, out: &mut Vec<Item>) {
    match *l4 {
        L4Match::None => {}
        L4Match::Tcp { src, dst, flags } => {
            // The four upper flags share a byte with the data offset.
            let header = |src, dst, flags: u16| Tcp {
                src,
                dst,
                data_off: (flags >> 8) as u8 & 0x0f,
                flags: (flags & 0xff) as u8,
            };
            out.push(Item::Tcp(masked(
                header(src.value, dst.value, flags.value),
                header(src.mask, dst.mask, flags.mask),
            )));
        }
        L4Match::Udp { src, dst } => {
            out.push(Item::Udp(masked(Udp { src: src.value, dst: dst.value }, Udp { src: src.mask, dst: dst.mask })))
        }
        L4Match::Sctp { src, dst } => {
            out.push(Item::Sctp(masked(Sctp { src: src.value, dst: dst.value }, Sctp { src: src.mask, dst: dst.mask })))
        }
        L4Match::Icmp { kind, code } => out.push(Item::Icmp(masked(
            Icmp { icmp_type: kind.value, code: code.value },
            Icmp { icmp_type: kind.mask, code: code.mask },
        ))),
        L4Match::Icmpv6 { kind, code } => out.push(Item::Icmp6(masked(
            Icmp6 { icmp_type: kind.value, code: code.value },
            Icmp6 { icmp_type: kind.mask, code: code.mask },
        ))),
    }
}

/// What happens to packets, in order. `count` is the action that counts, if the rule is counted: it comes first.
#[must_use]
pub fn actions(rule: &HwRule, count: Option<Action>) -> Vec<Action> {
    let mut out = Vec::new();
    actions_into(rule, count, &mut out);
    out
}

/// The same, behind what `out` has.
pub(super) fn actions_into(rule: &HwRule, count: Option<Action>, out: &mut Vec<Action>) {
    out.extend(count);
    for action in &rule.actions {
        match *action {
            HwAction::Output(port) => out.push(Action::RepresentedPort(port.0)),
            HwAction::Mirror(port) => {
                out.push(Action::Sample { ratio: 1, actions: vec![Action::RepresentedPort(port.0)] });
            }
            HwAction::Meter(meter) => out.push(Action::Meter(meter.0)),
            // Without a header it is one that every device refuses.
            HwAction::Encap => out.push(Action::RawEncap(rule.encap.as_deref().unwrap_or_default().to_vec())),
            HwAction::ToRepresentor(port) => out.push(Action::PortRepresentor(port.0)),
            HwAction::Drop => out.push(Action::Drop),
            HwAction::Set { field, value } => out.extend(set(rule, field, value.0)),
            HwAction::DecTtl => out.push(Action::DecTtl),
            HwAction::PushVlan { tpid, vid, pcp } => {
                out.extend([Action::OfPushVlan(tpid), Action::OfSetVlanVid(vid), Action::OfSetVlanPcp(pcp)]);
            }
            HwAction::PopVlan => out.push(Action::OfPopVlan),
            HwAction::Mark(mark) => out.push(Action::Mark(mark.0)),
            HwAction::Queue(queue) => out.push(Action::Queue(queue)),
            HwAction::Rss { queues } => out.push(Action::Rss(Rss { queues: (0..queues).collect(), ..Rss::default() })),
        }
    }
}

/// `None` for a field that the planner never sets.
fn set(rule: &HwRule, field: FieldId, value: u128) -> Option<Action> {
    let mac = flow::Value(value).mac();
    Some(match field {
        FieldId::EthSrc => Action::SetMacSrc(mac),
        FieldId::EthDst => Action::SetMacDst(mac),
        FieldId::VlanVid => Action::OfSetVlanVid(value as u16 & 0x0fff),
        FieldId::VlanPcp => Action::OfSetVlanPcp(value as u8 & 7),
        FieldId::Ipv4Src => Action::SetIpv4Src((value as u32).to_be_bytes()),
        FieldId::Ipv4Dst => Action::SetIpv4Dst((value as u32).to_be_bytes()),
        FieldId::Ipv6Src => Action::SetIpv6Src(value.to_be_bytes()),
        FieldId::Ipv6Dst => Action::SetIpv6Dst(value.to_be_bytes()),
        FieldId::TcpSrc | FieldId::UdpSrc => Action::SetTpSrc(value as u16),
        FieldId::TcpDst | FieldId::UdpDst => Action::SetTpDst(value as u16),
        FieldId::IpTtl => Action::SetTtl(value as u8),
        FieldId::IpDscp => {
            let field = match rule.matches.l3 {
                L3Match::Ipv6 { .. } => Field::Ipv6Dscp,
                _ => Field::Ipv4Dscp,
            };
            // Immediate values of fields narrower than a byte are right-aligned in it.
            let mut bytes = [0; 16];
            bytes[0] = value as u8 & 0x3f;
            let source = ModifySource::Value(bytes);
            Action::ModifyField(ModifyField { op: ModifyOp::Set, field, level: 0, offset: 0, width: 6, source })
        }
        _ => return None,
    })
}
