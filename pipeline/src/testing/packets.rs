//! Packets that meet rules.

use super::frame::{complete, frame};
use super::rng::Rng;
use super::rules::{GROUPS, IPV4, MACS, PORTS, TOS, TTLS, VIDS, ipv6};
use flow::rule::RuleSpec;
use flow::{FieldId, FlowKey, Mask, OfPort, Value, VlanTag};

/// A packet and the port that it comes in on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPacket {
    pub in_port: OfPort,
    /// What extraction has to find in the frame, but for `in_port`, which is zero.
    pub key: FlowKey,
    /// From destination address to the last byte before the FCS, at least 60 bytes; checksums are right (but in
    /// fragments, where they are those of the fragment).
    pub frame: Vec<u8>,
}

/// A source of packets that meet given rules.
#[derive(Clone, Debug)]
pub struct PacketGen<'r> {
    rng: Rng,
    rules: &'r [RuleSpec],
    ports: &'r [OfPort],
}

impl<'r> PacketGen<'r> {
    /// `ports` are those that packets come in on.
    #[must_use]
    pub fn new(seed: u64, rules: &'r [RuleSpec], ports: &'r [OfPort]) -> PacketGen<'r> {
        // Not the numbers that the rules came from.
        PacketGen { rng: Rng::new(!seed), rules, ports }
    }

    /// The next packet: 9 of 10 satisfy the match of a rule, most of them one of table 0.
    pub fn next_packet(&mut self) -> TestPacket {
        let first: Vec<&RuleSpec> = self.rules.iter().filter(|r| r.table == 0 && r.priority != 0).collect();
        let rule = match self.rng.below(10) {
            0 => None,
            1 | 2 => self.rules.get(self.rng.below(self.rules.len())),
            _ => first.get(self.rng.below(first.len())).copied(),
        };
        let mut key = self.any(rule);
        let mut in_port = self.rng.pick_port(self.ports);
        if let Some(rule) = rule {
            let m = &rule.matching;
            key = merge(&m.key, &key, &m.mask);
            if m.is_exact(FieldId::InPort) {
                in_port = OfPort(m.get(FieldId::InPort).0.0 as u16);
            }
        }
        key.in_port = 0.into();
        key = complete(&key);
        let mut payload = vec![0; self.rng.below(60)];
        payload.fill_with(|| self.rng.number() as u8);
        TestPacket { in_port, key, frame: frame(&key, &payload) }
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
            1..=5 => r.pick(&GROUPS),
            _ => r.pick(&MACS),
        };
        key.set(FieldId::EthDst, Value::from(dst));
        key.set(FieldId::EthSrc, Value::from(r.pick(&MACS)));
        for place in 0..[0, 0, 0, 1, 1, 2][r.below(6)] {
            let tpid = if place == 0 { r.pick(&[0x8100u16, 0x8100, 0x88a8]) } else { 0x8100 };
            let tci = VlanTag::PRESENT | r.pick(&VIDS) | r.pick(&[0u16, 0, 5 << 13]);
            key.vlans[place] = VlanTag { tpid: tpid.into(), tci: tci.into() };
        }
        let eth_type = wanted(FieldId::EthType).map(|t| t as u16);
        let eth_type = eth_type.unwrap_or_else(|| r.pick(&[0x0800, 0x0800, 0x0800, 0x86dd, 0x0806, 0x88b5]));
        key.eth_type = eth_type.into();
        key.nw_tos = r.pick(&TOS);
        key.nw_ttl = r.pick(&TTLS);
        key.nw_frag = r.pick(&[0, 0, 0, 0, 0, 1, 3]);
        key.set(FieldId::Ipv4Src, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv4Dst, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv6Src, Value(ipv6(r.below(4))));
        key.set(FieldId::Ipv6Dst, Value(ipv6(r.below(4))));
        key.set(FieldId::Ipv6Label, Value(r.below(2) as u128));
        key.set(FieldId::ArpSha, Value::from(r.pick(&MACS)));
        key.set(FieldId::ArpTha, Value::from(r.pick(&MACS)));
        key.set(FieldId::NdTarget, Value(ipv6(r.below(4))));
        key.set(FieldId::TcpSrc, Value::from(r.pick(&PORTS)));
        key.set(FieldId::TcpDst, Value::from(r.pick(&PORTS)));
        key.set(FieldId::TcpFlags, Value(r.pick(&[2, 0x10, 0x12, 0x18])));
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

/// `a` in the bits of `mask`, `b` in the others.
fn merge(a: &FlowKey, b: &FlowKey, mask: &Mask) -> FlowKey {
    let mut out = *b;
    let parts = a.words().iter().zip(mask.0.words());
    for (to, (from, m)) in out.words_mut().iter_mut().zip(parts) {
        let (b, a, m) = (u64::from_ne_bytes(*to), u64::from_ne_bytes(*from), u64::from_ne_bytes(*m));
        *to = (b & !m | a & m).to_ne_bytes();
    }
    out
}
