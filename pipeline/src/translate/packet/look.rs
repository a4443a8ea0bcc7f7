//! Looking at the packet.

use super::Packet;
use crate::classifier::Table;
use crate::rule::Rule;
use flow::action::SubField;
use flow::field::Prereq;
use flow::key::frag;
use flow::{FieldId, Mask, Value, VlanTag};
use std::sync::Arc;

impl Packet<'_> {
    /// Bits of the packet as it is now are looked at.
    pub(in crate::translate) fn look(&mut self, bits: &Mask) {
        if !self.changed && bits.0.vlans == [VlanTag::default(); 2] {
            // All bits are its own. The input port is required from the start.
            self.mask.unite(bits);
            return;
        }
        let mut came = Mask(bits.0.masked(&self.now.own));
        // The input port is an OpenFlow number here; it is exact in every mask.
        came.0.in_port = 0.into();
        came.0.vlans = Default::default();
        if self.now.decrements != 0 && came.0.nw_ttl != 0 {
            came.0.nw_ttl = 0xff;
        }
        for (i, want) in bits.0.vlans.iter().enumerate() {
            if *want != VlanTag::default() {
                self.look_tag(i, want);
            }
        }
        self.mask.unite(&came);
    }

    /// Look the packet up as it is now. Bits that the lookup needs are looked at.
    #[inline]
    pub(in crate::translate) fn find<'t>(&mut self, table: &'t Table) -> Option<&'t Arc<Rule>> {
        let mut rest = None;
        let (mask, own) = (&mut self.mask, !self.changed);
        let rule = table.find(&self.now.key, &self.regs, |bits| {
            if own && bits.0.vlans == [VlanTag::default(); 2] {
                // As in `look`, without a copy.
                mask.unite(bits);
            } else {
                rest = Some(*bits);
            }
        });
        if let Some(bits) = rest {
            self.look(&bits);
        }
        rule
    }

    pub(in crate::translate) fn look_at(&mut self, field: FieldId) {
        self.look_bits(field, field.def().ones());
    }

    /// Some bits of a field are looked at; nothing if it is a register.
    pub(in crate::translate) fn look_bits(&mut self, field: FieldId, bits: Value) {
        if field.def().is_in_key() {
            let mut mask = Mask::ANY;
            mask.require_bits(field.def(), bits);
            self.look(&mask);
        }
    }

    /// Look at a part of a field; its value, 0 when the packet does not have it.
    pub(in crate::translate) fn read(&mut self, from: &SubField) -> Value {
        if !self.has(from.field.def().prereq) {
            return Value(0);
        }
        self.look_bits(from.field, from.mask());
        if from.field == FieldId::InPortOxm {
            // OpenFlow 1.1 and later widen reserved numbers to 32 bits.
            let port = self.now.key.in_port.get();
            let wide = if port >= u32::from(flow::OfPort::MAX.0) { port | 0xffff_0000 } else { port };
            return Value(u128::from(wide) >> from.first & Value::ones(from.bits).0);
        }
        let value = from.read(&self.now.key, &self.regs);
        // `nw_tos` is the DSCP where it is in the traffic class, without the ECN.
        if from.field == FieldId::IpTos { Value(value.0 & 0xfc >> from.first) } else { value }
    }

    fn look_tag(&mut self, i: usize, want: &VlanTag) {
        let (source, tpid, tci) = match self.now.tags.stack.get(i) {
            Some(t) => (t.source, if t.own_tpid { want.tpid.get() } else { 0 }, want.tci.get() & t.own),
            None => match self.now.tags.absent(i) {
                Some(source) => (source, want.tpid.get(), want.tci.get()),
                None => return,
            },
        };
        self.require_tag(source, tpid, tci);
    }

    pub(super) fn require_tag(&mut self, source: usize, tpid: u16, tci: u16) {
        if let Some(tag) = self.mask.0.vlans.get_mut(source) {
            tag.tpid = (tag.tpid.get() | tpid).into();
            tag.tci = (tag.tci.get() | tci).into();
        }
    }

    /// Whether there is a tag. Looks.
    pub(in crate::translate) fn has_tag(&mut self) -> bool {
        self.look_tag(0, &VlanTag { tpid: 0.into(), tci: VlanTag::PRESENT.into() });
        !self.now.tags.stack.is_empty()
    }

    /// Whether the packet is what a field requires. Looks at what decides it.
    pub(in crate::translate) fn has(&mut self, prereq: Prereq) -> bool {
        let eth_type = self.came.eth_type.get();
        let l4 = |p: &mut Packet<'_>, proto: u8| {
            p.look_at(FieldId::IpProto);
            p.now.key.nw_proto == proto && p.now.key.nw_frag & frag::LATER == 0
        };
        let nd = |p: &mut Packet<'_>, types: &[u16]| {
            if eth_type != 0x86dd || !l4(p, 58) {
                return false;
            }
            p.look_at(FieldId::TcpSrc);
            p.look_at(FieldId::TcpDst);
            types.contains(&p.now.key.tp_src.get()) && p.now.key.tp_dst.get() == 0
        };
        match prereq {
            Prereq::None => true,
            Prereq::VlanVid => self.has_tag(),
            Prereq::Arp => matches!(eth_type, 0x0806 | 0x8035),
            Prereq::Ip => self.is_ip(),
            Prereq::Ipv4 => eth_type == 0x0800,
            Prereq::Ipv6 => eth_type == 0x86dd,
            Prereq::Tcp => self.is_ip() && l4(self, 6),
            Prereq::Udp => self.is_ip() && l4(self, 17),
            Prereq::Sctp => self.is_ip() && l4(self, 132),
            Prereq::Icmp => eth_type == 0x0800 && l4(self, 1),
            Prereq::Icmpv6 => eth_type == 0x86dd && l4(self, 58),
            Prereq::Nd => nd(self, &[135, 136]),
            Prereq::NdSolicit => nd(self, &[135]),
            Prereq::NdAdvert => nd(self, &[136]),
            Prereq::Mpls => matches!(eth_type, 0x8847 | 0x8848),
            Prereq::CtIp | Prereq::CtIpv4 | Prereq::CtIpv6 => {
                let family = match prereq {
                    Prereq::CtIpv4 => eth_type == 0x0800,
                    Prereq::CtIpv6 => eth_type == 0x86dd,
                    _ => self.is_ip(),
                };
                if family {
                    self.look_at(FieldId::CtState);
                }
                family && self.now.key.ct_state.get() != 0
            }
        }
    }

    /// Whether the TTL or hop limit is more than 1. Looks at as little as tells it, so that flows do not multiply by TTL.
    pub(in crate::translate) fn ttl_lasts(&mut self) -> bool {
        let ttl = self.now.key.nw_ttl;
        let bits = if self.now.decrements == 0 { lasting(ttl) } else { 0xff };
        self.look_bits(FieldId::IpTtl, Value::from(bits));
        ttl > 1
    }

    /// Whether the packet, whose TTL is its own but for decrements, has come through all of them. Looks.
    pub(in crate::translate) fn ttl_lasted(&mut self) -> bool {
        let (ttl, n) = (self.came.nw_ttl, self.now.decrements);
        if n == 0 {
            // Written since.
            return false;
        }
        self.mask.0.nw_ttl |= if n == 1 { lasting(ttl) } else { 0xff };
        u32::from(ttl) > n
    }
}

/// Bits of a TTL that tell whether it is more than 1: from the top down to the first that is set.
fn lasting(ttl: u8) -> u8 {
    match ttl {
        0 | 1 => 0xfe,
        ttl => (0xff00u16 >> (ttl.leading_zeros() + 1)) as u8,
    }
}
