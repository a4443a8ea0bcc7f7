//! A packet that a rule is for: a key that its match lets through. What the match leaves open is what common packets have.

use crate::rule::{Bits, HwMatch, InnerTag, L3Match, L4Match, VlanMatch};
use flow::key::frag;
use flow::{FieldId, FlowKey, VlanTag};

/// TTL of the packet, where the rule leaves it open: far from running out.
const TTL: u8 = 64;
/// The tag's type, where the rule leaves it open (IEEE 802.1Q).
const TPID: u16 = 0x8100;
/// "More fragments" and the offset, as [`L3Match::Ipv4`] has them (RFC 791).
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

impl HwMatch {
    /// The key of a packet that matches; without its input port.
    #[must_use]
    pub fn example(&self) -> FlowKey {
        let mut key = FlowKey::ZERO;
        key.eth_dst = self.eth_dst.value;
        key.eth_src = self.eth_src.value;
        key.eth_type = self.eth_type.unwrap_or_default().into();
        if let VlanMatch::Tagged { tpid, tci, inner: InnerTag::Any | InnerTag::Absent { .. } } = self.vlan {
            key.set(FieldId::VlanTci, (tci.value | VlanTag::PRESENT).into());
            key.set(FieldId::VlanTpid, tpid.unwrap_or(TPID).into());
        }
        network(&mut key, &self.l3);
        transport(&mut key, &self.l4);
        key
    }
}

fn network(key: &mut FlowKey, l3: &L3Match) {
    let common = |key: &mut FlowKey, proto: Option<u8>, tos: Bits<u8>, ttl: Bits<u8>| {
        key.nw_proto = proto.unwrap_or_default();
        key.nw_tos = tos.value;
        key.nw_ttl = ttl.value | TTL & !ttl.mask;
    };
    match *l3 {
        L3Match::None => {}
        L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment } => {
            common(key, proto, tos, ttl);
            key.ipv4_src = src.value.into();
            key.ipv4_dst = dst.value.into();
            key.nw_frag = match fragment.value {
                0 => 0,
                first if first & OFFSET == 0 && first & MORE_FRAGMENTS != 0 => frag::ANY,
                _ => frag::ANY | frag::LATER,
            };
        }
        L3Match::Ipv6 { src, dst, proto, tos, ttl, label, no_fragment: _ } => {
            common(key, proto, tos, ttl);
            key.ipv6_src = src.value.to_be_bytes();
            key.ipv6_dst = dst.value.to_be_bytes();
            key.ipv6_label = label.value.into();
        }
        L3Match::Arp { op, spa, tpa, sha, tha } => {
            key.set(FieldId::ArpOp, op.unwrap_or_default().into());
            key.ipv4_src = spa.value.into();
            key.ipv4_dst = tpa.value.into();
            key.arp_sha = sha.value;
            key.arp_tha = tha.value;
        }
    }
}

fn transport(key: &mut FlowKey, l4: &L4Match) {
    let (src, dst, flags) = match *l4 {
        L4Match::None => return,
        L4Match::Tcp { src, dst, flags } => (src.value, dst.value, flags.value),
        L4Match::Udp { src, dst } | L4Match::Sctp { src, dst } => (src.value, dst.value, 0),
        L4Match::Icmp { kind, code } | L4Match::Icmpv6 { kind, code } => {
            (u16::from(kind.value), u16::from(code.value), 0)
        }
    };
    key.tp_src = src.into();
    key.tp_dst = dst.into();
    key.tcp_flags = flags.into();
}

#[cfg(test)]
mod tests {
    use crate::rule::{Plan, RuleRole};
    use crate::testing::{FlowMaker, from, world};
    use crate::{Capabilities, plan};
    use flow::{FieldId, Value};

    /// Flows of all layers.
    fn flows() -> Vec<FlowMaker> {
        let vlan = |tci: u128, mask| from(1).masked(FieldId::VlanTci, tci, mask);
        let v6 = || from(1).field(FieldId::EthType, 0x86ddu16);
        vec![
            from(1),
            from(1).field(FieldId::EthDst, Value(0x0200_0000_0009)).field(FieldId::EthSrc, Value(0x0200_0000_0007)),
            from(1).field(FieldId::EthType, 0x88b5u16),
            vlan(0, 0x1fff),
            vlan(0x1007, 0x1fff).ipv4(),
            vlan(0xf007, 0xffff).field(FieldId::VlanTpid, 0x88a8u16),
            vlan(0x1007, 0x1fff).field(FieldId::Vlan1Tci, 0u16).ipv4(),
            from(1).ipv4().masked(FieldId::Ipv4Src, 0x0a01_0000, 0xffff_0000).field(FieldId::IpTos, 8u8),
            from(1).ipv4().field(FieldId::IpFrag, 1u8),
            from(1).ipv4().field(FieldId::IpTtl, 7u8).field(FieldId::IpProto, 47u8),
            from(1).tcp().field(FieldId::TcpSrc, 5u16).masked(FieldId::TcpDst, 80, 0xfff0),
            from(1).tcp().masked(FieldId::TcpFlags, 2, 0x12),
            from(1).ipv4().field(FieldId::IpProto, 17u8).field(FieldId::IpFrag, 0u8).field(FieldId::UdpDst, 53u16),
            from(1).ipv4().field(FieldId::IpProto, 1u8).field(FieldId::IpFrag, 0u8).field(FieldId::IcmpType, 8u8),
            v6().field(FieldId::Ipv6Src, Value(9 << 100)).field(FieldId::Ipv6Label, 7u32),
            v6().field(FieldId::IpProto, 6u8).field(FieldId::IpFrag, 0u8).field(FieldId::TcpDst, 443u16),
            v6().field(FieldId::IpProto, 132u8).field(FieldId::IpFrag, 0u8).field(FieldId::SctpDst, 9u16),
            v6().field(FieldId::IpProto, 58u8).field(FieldId::IpFrag, 0u8).field(FieldId::Icmpv6Type, 128u8),
            from(1)
                .field(FieldId::EthType, 0x0806u16)
                .field(FieldId::ArpOp, 2u8)
                .field(FieldId::ArpTpa, 0x0a00_0001u32),
        ]
    }

    #[test]
    fn the_packet_of_a_rule_is_one_of_its_flow() {
        let mut planned = 0;
        for profile in Capabilities::PRESETS {
            for (id, maker) in flows().into_iter().enumerate() {
                let flow = maker.output(4).build(id as u64);
                let program = match plan(&flow, &world(profile)) {
                    Plan::Full(program) | Plan::Partial { program, .. } => program,
                    Plan::Software(_) => continue,
                };
                planned += 1;
                let main = program.rules.iter().find(|rule| rule.role == RuleRole::Main).unwrap();
                let mut key = main.matches.example();
                key.in_port = flow.key.in_port;
                assert!(flow.mask.matches(&key, &flow.key), "{profile}, flow {id}: {main:?}\n{key:?}\n{:?}", flow.key);
            }
        }
        assert!(planned > 30, "{planned} plans");
    }
}
