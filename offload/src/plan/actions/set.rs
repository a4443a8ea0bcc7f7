//! Setting fields: which action says it, and what of the match makes it certain.

use super::{Tags, Translator, Ttl};
use crate::caps::{FieldCaps, MaskCap};
use crate::refusal::Refusal;
use crate::rule::{Bits, HwAction, L3Match, L4Match, VlanMatch};
use flow::dp::DpActionKind;
use flow::{FieldId, Value, VlanTag};

const ICMPV6: u8 = 58;

impl Translator<'_> {
    pub(super) fn set(&mut self, field: FieldId, value: Value, mask: Value) {
        let kind = DpActionKind::Set(field);
        let value = Value(value.0 & mask.0);
        if mask.0 == 0 {
            return;
        }
        match field {
            FieldId::VlanTci => return self.set_tci(field, value.0 as u16, mask.0 as u16),
            FieldId::VlanVid => return self.set_tci(field, value.0 as u16, mask.0 as u16),
            FieldId::VlanPcp => return self.set_tci(field, (value.0 as u16) << 13, (mask.0 as u16) << 13),
            FieldId::IpTos => {
                return match mask.0 {
                    0xfc => self.set_in_ip(kind, FieldId::IpDscp, Value(value.0 >> 2)),
                    // The two low bits are ECN, which no action sets.
                    m if m & 3 != 0 => self.refuse(Refusal::Action(DpActionKind::Set(FieldId::IpEcn))),
                    _ => self.refuse(Refusal::PartialSet { field }),
                };
            }
            _ => {}
        }
        if mask.0 & field.def().ones().0 != field.def().ones().0 {
            return self.refuse(Refusal::PartialSet { field });
        }
        match field {
            FieldId::EthSrc | FieldId::EthDst => self.out.push(HwAction::Set { field, value }),
            FieldId::IpDscp => self.set_in_ip(kind, field, value),
            FieldId::IpTtl => {
                self.ttl = Ttl::Set(value.0 as u8);
                self.set_in_ip(kind, field, value);
            }
            FieldId::Ipv4Src | FieldId::Ipv4Dst => self.set_address4(kind, field, value),
            FieldId::Ipv6Src | FieldId::Ipv6Dst => self.set_address6(kind, field, value),
            FieldId::TcpSrc | FieldId::TcpDst => self.set_port(kind, field, value, 6),
            FieldId::UdpSrc | FieldId::UdpDst => self.set_port(kind, field, value, 17),
            _ => self.refuse(Refusal::Action(kind)),
        }
    }

    /// `value` and `mask` over the whole tag; the present bit (12) is no bit of the wire.
    fn set_tci(&mut self, field: FieldId, value: u16, mask: u16) {
        let kind = DpActionKind::Set(field);
        if matches!(self.tags, Tags::Unknown | Tags::Exactly(0)) {
            return self.needs(kind, FieldId::VlanTci);
        }
        if mask & VlanTag::PRESENT != 0 && value & VlanTag::PRESENT == 0 {
            return self.refuse(Refusal::Action(kind));
        }
        let (vid, pcp) = (mask & 0x0fff, mask >> 13);
        if !matches!(vid, 0 | 0x0fff) || !matches!(pcp, 0 | 7) {
            return self.refuse(Refusal::PartialSet { field });
        }
        if !self.pushed {
            // Software keeps no drop-eligible bit, hardware does: leave frames that have it to software.
            match &mut self.matches.vlan {
                VlanMatch::Tagged { tci, .. } if self.out.iter().all(|a| *a != HwAction::PopVlan) => {
                    tci.mask |= VlanTag::PRESENT;
                    self.splits_meter = true;
                }
                _ => return self.needs(kind, FieldId::Vlan1Tci),
            }
        }
        if vid != 0 {
            self.out.push(HwAction::Set { field: FieldId::VlanVid, value: Value(u128::from(value & 0x0fff)) });
        }
        if pcp != 0 {
            if !self.caps.set.contains(FieldId::VlanPcp) {
                return self.refuse(Refusal::Action(DpActionKind::Set(FieldId::VlanPcp)));
            }
            self.out.push(HwAction::Set { field: FieldId::VlanPcp, value: Value(u128::from(value >> 13)) });
        }
    }

    fn set_in_ip(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        match self.matches.l3 {
            L3Match::Ipv4 { .. } | L3Match::Ipv6 { .. } => self.out.push(HwAction::Set { field, value }),
            L3Match::None | L3Match::Arp { .. } => self.needs(kind, FieldId::EthType),
        }
    }

    fn set_address4(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        if !matches!(self.matches.l3, L3Match::Ipv4 { .. }) {
            return self.needs(kind, FieldId::EthType);
        }
        if self.unfragmented(kind) {
            self.out.push(HwAction::Set { field, value });
        }
    }

    /// The checksum that covers the address is behind all extension headers: only packets without any are sure.
    fn set_address6(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        match self.matches.l3 {
            // Devices differ in whether they keep ICMPv6's checksum, which covers the addresses too.
            L3Match::Ipv6 { proto: Some(ICMPV6), .. } => {
                return self.refuse(Refusal::Inexact { field: FieldId::IpProto });
            }
            L3Match::Ipv6 { proto: Some(_), .. } => {}
            L3Match::Ipv6 { .. } => return self.needs(kind, FieldId::IpProto),
            _ => return self.needs(kind, FieldId::EthType),
        }
        self.out.push(HwAction::Set { field, value });
    }

    fn set_port(&mut self, kind: DpActionKind, field: FieldId, value: Value, wanted: u8) {
        match self.matches.l3 {
            L3Match::Ipv4 { proto: Some(proto), .. } | L3Match::Ipv6 { proto: Some(proto), .. } if proto == wanted => {}
            _ => return self.needs(kind, FieldId::IpProto),
        }
        if !self.unfragmented(kind) {
            return;
        }
        if self.matches.l4 == L4Match::None {
            let (src, dst) = (Bits::default(), Bits::default());
            self.matches.l4 = match wanted {
                6 => L4Match::Tcp { src, dst, flags: Bits::default() },
                _ => L4Match::Udp { src, dst },
            };
        }
        self.out.push(HwAction::Set { field, value });
    }

    /// Narrow the match to packets that are no fragments: the transport checksum of a fragment covers bytes that
    /// are not in it, and devices differ in what they do then.
    fn unfragmented(&mut self, kind: DpActionKind) -> bool {
        if can_match_fragments(&self.caps.fields) {
            match &mut self.matches.l3 {
                L3Match::Ipv4 { fragment, .. } if fragment.value == 0 => {
                    self.splits_meter |= fragment.mask != 0x3fff;
                    fragment.mask = 0x3fff;
                    return true;
                }
                L3Match::Ipv6 { no_fragment, .. } => {
                    self.splits_meter |= !*no_fragment;
                    *no_fragment = true;
                    return true;
                }
                _ => {}
            }
        }
        self.needs(kind, FieldId::IpFrag);
        false
    }
}

fn can_match_fragments(fields: &FieldCaps) -> bool {
    fields.get(FieldId::IpFrag) != MaskCap::No
}
