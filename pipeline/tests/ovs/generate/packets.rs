//! Packets that meet rules.

use super::super::ask;
use super::super::scene::{Packet, Setup};
use super::{DSCP, GROUP_MACS, Generator, IPV4, L4, MACS, TTLS, VIDS, ipv6};
use flow::rule::RuleSpec;
use flow::{FieldId, FlowKey, Mask, Value, VlanTag};
use pipeline::testing::complete;

/// `trk` of `ct_state`.
const TRACKED: u32 = 0x20;

impl Generator {
    /// A packet; most satisfy the match of a rule of table 0, and as far as that leaves room those of later tables.
    pub fn packet(&mut self, rules: &[RuleSpec]) -> Packet {
        let first: Vec<&RuleSpec> = rules.iter().filter(|r| r.table == 0 && r.priority != 0).collect();
        let mut chosen: Vec<&RuleSpec> = Vec::new();
        if !first.is_empty() && self.rng.percent(90) {
            chosen.push(first[self.rng.below(first.len())]);
        }
        for _ in 0..self.rng.below(3) {
            chosen.push(&rules[self.rng.below(rules.len())]);
        }
        let mut key = self.any(chosen.first().copied());
        let mut in_port = self.port();
        for rule in chosen.iter().rev() {
            let m = &rule.matching;
            key = merge(&m.key, &key, &m.mask);
            if m.is_exact(FieldId::InPort) {
                in_port = m.get(FieldId::InPort).0.0 as u16;
            }
        }
        if self.setup == Setup::Mirrored && in_port == 4 && self.rng.percent(80) {
            // A mirror's output takes nothing in.
            in_port = 1;
        }
        Packet { in_port, key: tidy(&key) }
    }

    /// Another packet that agrees with this one in the bits of `mask`, if one can be found.
    pub fn neighbour(&mut self, packet: &Packet, mask: &Mask, rules: &[RuleSpec]) -> Option<Packet> {
        for _ in 0..8 {
            let mut other = match self.rng.below(3) {
                // One of its fields; another packet of these rules; noise.
                0 => packet.key,
                _ => self.packet(rules).key,
            };
            let words = other.words_mut();
            let flips = self.rng.pick(&[1, 1, 3, 60]);
            for _ in 0..flips {
                words[self.rng.below(flow::key::KEY_WORDS)][self.rng.below(8)] ^= 1 << self.rng.below(8);
            }
            let key = tidy(&merge(&packet.key, &other, mask));
            let mut same = key;
            same.in_port = packet.key.in_port;
            if key != packet.key && same.masked(mask) == packet.key.masked(mask) {
                return Some(Packet { in_port: packet.in_port, key });
            }
        }
        None
    }

    /// Any packet; of the type and protocol that `rule` wants.
    fn any(&mut self, rule: Option<&RuleSpec>) -> FlowKey {
        let wanted = |field: FieldId| {
            let rule = rule.filter(|r| r.matching.is_exact(field))?;
            Some(rule.matching.get(field).0.0)
        };
        let r = &mut self.rng;
        let mut key = FlowKey::ZERO;
        let dst = match r.below(50) {
            0 => 0x0180_c200_0000 + r.below(16) as u64,
            1..=5 => r.pick(&GROUP_MACS),
            _ => r.pick(&MACS),
        };
        key.set(FieldId::EthDst, Value::from(dst));
        key.set(FieldId::EthSrc, Value::from(r.pick(&MACS)));
        for place in 0..[0, 0, 0, 1, 1, 2][r.below(6)] {
            let tpid = if place == 0 { r.pick(&[0x8100u16, 0x8100, 0x8100, 0x88a8]) } else { 0x8100 };
            let vid = if r.percent(15) { 0 } else { r.pick(&VIDS) };
            let tci = VlanTag::PRESENT | vid | r.pick(&[0u16, 0, 5 << 13]);
            key.vlans[place] = VlanTag { tpid: tpid.into(), tci: tci.into() };
        }
        let eth_type = wanted(FieldId::EthType).map(|t| t as u16);
        let eth_type = eth_type.unwrap_or_else(|| r.pick(&[0x0800, 0x0800, 0x0800, 0x86dd, 0x0806, 0x88b5, 0x8847]));
        key.eth_type = eth_type.into();
        key.nw_tos = r.pick(&DSCP) << 2 | r.pick(&[0, 0, 2]);
        key.nw_ttl = r.pick(&TTLS);
        key.nw_frag = r.pick(&[0, 0, 0, 0, 0, 1, 3]);
        key.set(FieldId::Ipv4Src, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv4Dst, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv6Src, Value(ipv6(r.below(4))));
        key.set(FieldId::Ipv6Dst, Value(ipv6(r.below(4))));
        key.mpls_lse = (r.pick(&[16u32, 17]) << 12 | r.pick(&[0u32, 1]) << 9 | 0x140).into();
        key.set(FieldId::Ipv6Label, Value(r.below(2) as u128));
        key.set(FieldId::ArpSha, Value::from(r.pick(&MACS)));
        key.set(FieldId::ArpTha, Value::from(r.pick(&MACS)));
        key.set(FieldId::NdTarget, Value(ipv6(r.below(4))));
        key.set(FieldId::TcpSrc, Value::from(r.pick(&L4)));
        key.set(FieldId::TcpDst, Value::from(r.pick(&L4)));
        key.set(FieldId::TcpFlags, Value(r.pick(&[2, 0x10, 0x12, 0x18])));
        if r.percent(20) {
            key.ct_state = r.pick(&[0x21u32, 0x22, 0x2a, 0x30]).into();
            key.ct_zone = r.pick(&[0u16, 1, 2]).into();
            key.ct_mark = r.pick(&[0u32, 1, 2]).into();
            key.ct_nw_proto = r.pick(&[6, 17]);
            (key.ct_nw_src, key.ct_nw_dst) = (r.pick(&IPV4).into(), r.pick(&IPV4).into());
            (key.ct_tp_src, key.ct_tp_dst) = (r.pick(&L4).into(), r.pick(&L4).into());
        }
        if r.percent(6) {
            key.tun_id = r.pick(&[0u64, 1, 2]).into();
            key.set(FieldId::TunSrc, Value::from(r.pick(&IPV4)));
            key.set(FieldId::TunDst, Value::from(r.pick(&IPV4)));
        }
        let icmp = if eth_type == 0x86dd { 58 } else { 1 };
        let proto = wanted(FieldId::IpProto).map(|p| p as u8);
        key.nw_proto = proto.unwrap_or_else(|| r.pick(&[6, 6, 17, 17, 132, icmp, 47]));
        if eth_type == 0x0806 {
            key.nw_proto = 1 + r.below(2) as u8;
        } else if key.nw_proto == icmp {
            key.tp_src = u16::from(r.pick(if icmp == 1 { &[8u8, 0, 3] } else { &[128u8, 135, 136] })).into();
            key.tp_dst = 0.into();
        }
        key
    }
}

/// The key of a packet that can be: what does not go with its type is gone.
fn tidy(key: &FlowKey) -> FlowKey {
    let mut key = *key;
    for tag in &mut key.vlans {
        // Others are no tags for Open vSwitch.
        if tag.tpid != 0x88a8 {
            tag.tpid = 0x8100.into();
        }
    }
    if key.nw_proto == 0 {
        // Open vSwitch takes protocol (or ARP opcode) 0 for "no such header" and does not change one.
        key.nw_proto = 2;
    }
    let mut out = complete(&key);
    let mut fields = vec![FieldId::PktMark];
    if out.eth_type == 0x8847 {
        // One label, the last.
        key.mpls_lse = (key.mpls_lse.get() | 0x100).into();
        fields.extend([FieldId::MplsLabel, FieldId::MplsTc, FieldId::MplsBos, FieldId::MplsTtl]);
    }
    if key.ct_state.get() & TRACKED != 0 {
        key.ct_state = (key.ct_state.get() & 0xff).into();
        fields.extend([FieldId::CtState, FieldId::CtZone, FieldId::CtMark, FieldId::CtLabel]);
        // Of a known connection only: new, established, a reply.
        if out.eth_type == 0x0800 && ask::is_plain(&out) && key.ct_state.get() & 0x0b != 0 {
            // The protocol of the original direction, with ports for those that have some.
            if ![6, 17].contains(&key.ct_nw_proto) {
                key.ct_nw_proto = 6;
            }
            fields.extend([FieldId::CtNwProto, FieldId::CtNwSrc, FieldId::CtNwDst, FieldId::CtTpSrc, FieldId::CtTpDst]);
        }
    }
    if ask::is_plain(&out) {
        // The other syntax takes tunnel metadata on tunnel ports only.
        fields.extend([FieldId::TunId, FieldId::TunSrc, FieldId::TunDst]);
        if key.tun_dst == 0 {
            fields.extend([FieldId::TunIpv6Src, FieldId::TunIpv6Dst]);
        }
    }
    for field in fields {
        out.set(field, key.get(field).unwrap_or_default());
    }
    out
}

/// `a` in the bits of `mask`, `b` in the others.
fn merge(a: &FlowKey, b: &FlowKey, mask: &Mask) -> FlowKey {
    let mut out = *b;
    let parts = a.words().iter().zip(mask.0.words());
    for (to, (from, m)) in out.words_mut().iter_mut().zip(parts) {
        *to = std::array::from_fn(|i| to[i] & !m[i] | from[i] & m[i]);
    }
    out
}
