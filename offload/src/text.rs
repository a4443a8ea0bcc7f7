//! Rules in the syntax of testpmd's `flow create`, for people: what is shown can be pasted there (DPDK's testpmd guide,
//! "Flow rules management"). Port numbers are ethdev ids.

use crate::rule::{Bits, HwAction, HwMatch, HwRule, InnerTag, L3Match, L4Match, Table, VlanMatch};
use flow::FieldId;
use std::fmt::{Display, Formatter, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

impl Display for HwRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "flow create {}", self.port.0)?;
        match self.table {
            Table::Transfer { group, priority } => {
                let port = self.port.0;
                write!(f, " transfer group {group} priority {priority} pattern")?;
                write!(f, " represented_port ethdev_port_id is {port} /")?;
            }
            Table::Ingress { group, priority } => write!(f, " ingress group {group} priority {priority} pattern")?,
        }
        write!(f, "{} end actions", self.matches)?;
        if self.count {
            f.write_str(" count /")?;
        }
        for action in &self.actions {
            self.action(f, action)?;
        }
        f.write_str(" end")
    }
}

impl HwRule {
    fn action(&self, f: &mut Formatter<'_>, action: &HwAction) -> Result {
        match *action {
            HwAction::Output(port) => write!(f, " represented_port ethdev_port_id {} /", port.0),
            HwAction::Mirror(port) => write!(f, " sample ratio 1 index {} /", port.0),
            HwAction::Meter(meter) => write!(f, " meter mtr_id {} /", meter.0),
            HwAction::Encap => f.write_str(" raw_encap index 0 /"),
            HwAction::ToRepresentor(port) => write!(f, " port_representor port_id {} /", port.0),
            HwAction::Drop => f.write_str(" drop /"),
            HwAction::Set { field, value } => self.set(f, field, value.0),
            HwAction::DecTtl => f.write_str(" dec_ttl /"),
            HwAction::PushVlan { tpid, vid, pcp } => write!(
                f,
                " of_push_vlan ethertype {tpid:#06x} / of_set_vlan_vid vlan_vid {vid} / of_set_vlan_pcp vlan_pcp {pcp} /"
            ),
            HwAction::PopVlan => f.write_str(" of_pop_vlan /"),
            HwAction::Mark(mark) => write!(f, " mark id {} /", mark.0),
            HwAction::Queue(queue) => write!(f, " queue index {queue} /"),
            HwAction::Rss { queues } => {
                f.write_str(" rss queues")?;
                (0..queues).try_for_each(|queue| write!(f, " {queue}"))?;
                f.write_str(" end /")
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fields are as wide as their type")]
    fn set(&self, f: &mut Formatter<'_>, field: FieldId, value: u128) -> Result {
        let mac = Mac(flow::Value(value).mac());
        let (v4, v6) = (Ipv4Addr::from(value as u32), Ipv6Addr::from(value));
        match field {
            FieldId::EthSrc => write!(f, " set_mac_src mac_addr {mac} /"),
            FieldId::EthDst => write!(f, " set_mac_dst mac_addr {mac} /"),
            FieldId::VlanVid => write!(f, " of_set_vlan_vid vlan_vid {} /", value & 0x0fff),
            FieldId::VlanPcp => write!(f, " of_set_vlan_pcp vlan_pcp {value} /"),
            FieldId::Ipv4Src => write!(f, " set_ipv4_src ipv4_addr {v4} /"),
            FieldId::Ipv4Dst => write!(f, " set_ipv4_dst ipv4_addr {v4} /"),
            FieldId::Ipv6Src => write!(f, " set_ipv6_src ipv6_addr {v6} /"),
            FieldId::Ipv6Dst => write!(f, " set_ipv6_dst ipv6_addr {v6} /"),
            FieldId::TcpSrc | FieldId::UdpSrc => write!(f, " set_tp_src port {value} /"),
            FieldId::TcpDst | FieldId::UdpDst => write!(f, " set_tp_dst port {value} /"),
            FieldId::IpTtl => write!(f, " set_ttl ttl_value {value} /"),
            FieldId::IpDscp => {
                let name = if matches!(self.matches.l3, L3Match::Ipv6 { .. }) { "ipv6_dscp" } else { "ipv4_dscp" };
                write!(f, " modify_field op set dst_type {name} src_type value src_value {value:02x} width 6 /")
            }
            // The planner sets no other.
            other => write!(f, " set {other} {value:#x} /"),
        }
    }
}

struct Mac([u8; 6]);

impl Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// One field of an item: `is` when all bits count, `spec` and `mask` when some do, nothing when none do.
fn field<T: Copy + PartialEq, D: Display>(
    f: &mut Formatter<'_>,
    name: &str,
    bits: Bits<T>,
    (none, all): (T, T),
    show: impl Fn(T) -> D,
) -> Result {
    if bits.mask == none {
        Ok(())
    } else if bits.mask == all {
        write!(f, " {name} is {}", show(bits.value))
    } else {
        write!(f, " {name} spec {} {name} mask {}", show(bits.value), show(bits.mask))
    }
}

fn byte(f: &mut Formatter<'_>, name: &str, bits: Bits<u8>) -> Result {
    field(f, name, bits, (0, u8::MAX), |v| v)
}

fn word(f: &mut Formatter<'_>, name: &str, bits: Bits<u16>) -> Result {
    field(f, name, bits, (0, u16::MAX), |v| v)
}

fn hex(f: &mut Formatter<'_>, name: &str, bits: Bits<u16>) -> Result {
    field(f, name, bits, (0, u16::MAX), |v| format!("{v:#06x}"))
}

fn mac(f: &mut Formatter<'_>, name: &str, bits: Bits<[u8; 6]>) -> Result {
    field(f, name, bits, ([0; 6], [0xff; 6]), Mac)
}

fn v4(f: &mut Formatter<'_>, name: &str, bits: Bits<u32>) -> Result {
    field(f, name, bits, (0, u32::MAX), Ipv4Addr::from)
}

fn v6(f: &mut Formatter<'_>, name: &str, bits: Bits<u128>) -> Result {
    field(f, name, bits, (0, u128::MAX), Ipv6Addr::from)
}

fn exact<T>(value: Option<T>, all: T) -> Bits<T>
where
    T: Default,
{
    value.map_or(Bits::default(), |value| Bits { value, mask: all })
}

impl Display for HwMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let behind = exact(self.eth_type, u16::MAX);
        f.write_str(" eth")?;
        mac(f, "dst", self.eth_dst)?;
        mac(f, "src", self.eth_src)?;
        match self.vlan {
            VlanMatch::Any | VlanMatch::Absent { .. } => hex(f, "type", behind)?,
            VlanMatch::Tagged { tpid, .. } => hex(f, "type", exact(tpid, u16::MAX))?,
        }
        if self.vlan == (VlanMatch::Absent { by_pattern: false }) {
            f.write_str(" has_vlan is 0")?;
        }
        f.write_str(" /")?;
        if let VlanMatch::Tagged { tci, inner, .. } = self.vlan {
            f.write_str(" vlan")?;
            hex(f, "tci", tci)?;
            hex(f, "inner_type", behind)?;
            if inner == (InnerTag::Absent { by_pattern: false }) {
                f.write_str(" has_more_vlan is 0")?;
            }
            f.write_str(" /")?;
        }
        network(f, &self.l3)?;
        transport(f, &self.l4)
    }
}

fn network(f: &mut Formatter<'_>, l3: &L3Match) -> Result {
    match *l3 {
        L3Match::None => return Ok(()),
        L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment } => {
            f.write_str(" ipv4")?;
            v4(f, "src", src)?;
            v4(f, "dst", dst)?;
            byte(f, "proto", exact(proto, u8::MAX))?;
            byte(f, "tos", tos)?;
            byte(f, "ttl", ttl)?;
            hex(f, "fragment_offset", fragment)?;
        }
        L3Match::Ipv6 { src, dst, proto, tos, ttl, label, no_fragment } => {
            f.write_str(" ipv6")?;
            v6(f, "src", src)?;
            v6(f, "dst", dst)?;
            byte(f, "proto", exact(proto, u8::MAX))?;
            byte(f, "tc", tos)?;
            byte(f, "hop", ttl)?;
            field(f, "flow", label, (0, 0x000f_ffff), |v| format!("{v:#07x}"))?;
            if no_fragment {
                f.write_str(" has_frag_ext is 0")?;
            }
        }
        L3Match::Arp { op, spa, tpa, sha, tha } => {
            f.write_str(" arp_eth_ipv4")?;
            word(f, "opcode", exact(op, u16::MAX))?;
            mac(f, "sha", sha)?;
            v4(f, "spa", spa)?;
            mac(f, "tha", tha)?;
            v4(f, "tpa", tpa)?;
        }
    }
    f.write_str(" /")
}

fn transport(f: &mut Formatter<'_>, l4: &L4Match) -> Result {
    let ports = |f: &mut Formatter<'_>, name, src, dst| {
        write!(f, " {name}")?;
        word(f, "src", src)?;
        word(f, "dst", dst)
    };
    let icmp = |f: &mut Formatter<'_>, name, kind, code| {
        write!(f, " {name}")?;
        byte(f, "type", kind)?;
        byte(f, "code", code)
    };
    match *l4 {
        L4Match::None => return Ok(()),
        L4Match::Tcp { src, dst, flags } => {
            ports(f, "tcp", src, dst)?;
            field(f, "flags", flags, (0, 0x0fff), |v| format!("{v:#05x}"))?;
        }
        L4Match::Udp { src, dst } => ports(f, "udp", src, dst)?,
        L4Match::Sctp { src, dst } => ports(f, "sctp", src, dst)?,
        L4Match::Icmp { kind, code } => icmp(f, "icmp", kind, code)?,
        L4Match::Icmpv6 { kind, code } => icmp(f, "icmp6", kind, code)?,
    }
    f.write_str(" /")
}

#[cfg(test)]
mod tests {
    use crate::Plan;
    use crate::testing::{FlowMaker, from, world};
    use flow::dp::DpAction;
    use flow::{FieldId, VlanTag};

    fn text(flow: FlowMaker, profile: &str) -> Vec<String> {
        match crate::plan(&flow.build(1), &world(profile)) {
            Plan::Full(program) | Plan::Partial { program, .. } => {
                program.rules.iter().map(ToString::to_string).collect()
            }
            Plan::Software(refused) => panic!("{refused:?}"),
        }
    }

    #[test]
    fn rules_read_as_testpmd_writes_them() {
        let tcp = from(2)
            .tcp()
            .masked(FieldId::Ipv4Dst, 0x0a01_0200, 0xffff_ff00)
            .field(FieldId::TcpDst, 443u16)
            .field(FieldId::VlanTci, 0u16)
            .set(FieldId::EthSrc, 0x0200_0000_0007u64)
            .then(DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x7064.into() }))
            .output(3);
        let udp6 = from(1)
            .field(FieldId::EthType, 0x86ddu16)
            .masked(FieldId::VlanTci, 0x1064, 0x1fff)
            .field(FieldId::IpProto, 17u8)
            .field(FieldId::UdpSrc, 53u16)
            .then(DpAction::PopVlan)
            .output(2);
        let udp = from(1).ipv4().field(FieldId::IpProto, 17u8).field(FieldId::IpFrag, 0u8).output(2);
        let all: Vec<_> = [(tcp, "connectx"), (udp6, "connectx"), (udp, "mark-only")]
            .into_iter()
            .flat_map(|(flow, profile)| text(flow, profile))
            .collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
