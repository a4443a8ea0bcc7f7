//! From a masked key to an [`HwMatch`]: every bit of the mask is consumed, or refused by the name of its field.

use super::add;
use crate::caps::{FieldCaps, MaskCap, VlanAbsent};
use crate::refusal::{Refusal, Refusals};
use crate::rule::{Bits, HwMatch, InnerTag, L3Match, L4Match, VlanMatch};
use flow::field::{CONNECTION, FIELDS, Place, TUNNEL, datapath_fields};
use flow::key::{KEY_WORDS, frag};
use flow::{FieldId, FlowKey, Mask, Value, VlanTag};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
/// What NICs and software take for a VLAN tag.
const TPIDS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Next headers that are IPv6 extension headers (RFC 8200; IANA registry). Software looks behind them, the base
/// header's next header shows them, so they mean different packets.
const EXTENSION_HEADERS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

/// DSCP, ECN and so on are views of fields named here; a refusal names the view that is in this list.
const L3_FIELDS: Group = Group::of(&[
    FieldId::IpProto,
    FieldId::IpTos,
    FieldId::IpTtl,
    FieldId::IpFrag,
    FieldId::Ipv4Src,
    FieldId::Ipv4Dst,
    FieldId::Ipv6Src,
    FieldId::Ipv6Dst,
    FieldId::Ipv6Label,
]);
const ND_FIELDS: Group = Group::of(&[FieldId::NdTarget, FieldId::NdSll, FieldId::NdTll]);
const L4_FIELDS: Group = Group::of(&[FieldId::TcpSrc, FieldId::TcpDst, FieldId::TcpFlags]);
const IPV4_FIELDS: Group = Group::of(&[FieldId::Ipv4Src, FieldId::Ipv4Dst]);
const IPV6_FIELDS: Group = Group::of(&[FieldId::Ipv6Src, FieldId::Ipv6Dst]);
const TUNNEL_FIELDS: Group = Group::of(&TUNNEL);
const CONNECTION_FIELDS: Group = Group::of(&CONNECTION);
const UNSEEN_FIELDS: Group = Group::of(&[FieldId::PktMark, FieldId::DpHash, FieldId::SkbPriority]);
const MPLS_FIELDS: Group = Group::of(&[FieldId::MplsLabel, FieldId::MplsTc, FieldId::MplsBos, FieldId::MplsTtl]);
const ARP_FIELDS: Group =
    Group::of(&[FieldId::ArpOp, FieldId::ArpSpa, FieldId::ArpTpa, FieldId::ArpSha, FieldId::ArpTha]);

/// Whether a mask, as big-endian bytes of a field of `bits` bits, can be matched.
pub(super) fn allows(cap: MaskCap, mask: &[u8], bits: u16) -> bool {
    let mask = mask.iter().fold(0u128, |v, b| v << 8 | u128::from(*b));
    mask_allowed(cap, mask, bits)
}

fn mask_allowed(cap: MaskCap, mask: u128, bits: u16) -> bool {
    let ones = Value::ones(bits).0;
    mask == 0
        || match cap {
            MaskCap::No => false,
            MaskCap::Exact => mask == ones,
            MaskCap::Prefix => (!mask & ones) & (!mask & ones).wrapping_add(1) == 0,
            MaskCap::Any => true,
        }
}

/// The match in hardware's words, and why it is not all of the flow's match.
pub(super) fn translate(key: &FlowKey, mask: &Mask, caps: &FieldCaps, vlan_absent: VlanAbsent) -> (HwMatch, Refusals) {
    let mut t = Translator { key, left: *mask, busy: busy_words(mask), caps, vlan_absent, refused: Refusals::new() };
    t.metadata();
    let mut out = HwMatch {
        eth_dst: t.mac(FieldId::EthDst),
        eth_src: t.mac(FieldId::EthSrc),
        eth_type: t.eth_type(),
        ..HwMatch::default()
    };
    out.vlan = t.vlan(out.eth_type);
    (out.l3, out.l4) = t.network(out.eth_type);
    t.leftovers();
    (out, t.refused)
}

/// One bit for each 64-bit word of a mask that has bits.
pub(super) fn busy_words(mask: &Mask) -> u64 {
    const { assert!(KEY_WORDS <= 64) }
    mask.0.words().iter().rev().fold(0, |busy, word| busy << 1 | u64::from(*word != [0; 8]))
}

/// Fields that are looked at together, and the words that they are in.
struct Group {
    fields: &'static [FieldId],
    words: u64,
}

impl Group {
    const fn of(fields: &'static [FieldId]) -> Group {
        let (mut words, mut at) = (0, 0);
        while at < fields.len() {
            words |= words_of(fields[at]);
            at += 1;
        }
        Group { fields, words }
    }
}

/// The words that a field of a key is in.
#[inline(always)]
pub(super) const fn words_of(field: FieldId) -> u64 {
    match FIELDS[field as usize].place {
        Place::Key { offset, bytes } => {
            let (first, last) = (offset / 8, (offset + bytes as u16 - 1) / 8);
            (2 << last) - (1 << first)
        }
        Place::Registers { .. } => 0,
    }
}

struct Translator<'a> {
    key: &'a FlowKey,
    /// Bits of the mask that nothing has consumed yet.
    left: Mask,
    /// Words of it that are not all zero: most fields are in none of them, and need not be looked at.
    busy: u64,
    caps: &'a FieldCaps,
    vlan_absent: VlanAbsent,
    refused: Refusals,
}

impl Translator<'_> {
    #[cold]
    fn refuse(&mut self, refusal: Refusal) {
        add(&mut self.refused, refusal);
    }

    /// Consume a field: its value and mask. Inlined with a field that is known, it comes down to two loads.
    #[inline(always)]
    fn take(&mut self, field: FieldId) -> (u128, u128) {
        if self.busy & words_of(field) == 0 {
            return (0, 0);
        }
        let mask = self.left.get(field).0;
        if mask == 0 {
            return (0, 0);
        }
        self.left.0.set(field, Value(0));
        let mut words = words_of(field);
        while words != 0 {
            let at = words.trailing_zeros() as usize;
            if self.left.0.words()[at] == [0; 8] {
                self.busy &= !(1 << at);
            }
            words &= words - 1;
        }
        (self.key.get(field).unwrap_or_default().0 & mask, mask)
    }

    /// The same for a field that is one of many.
    #[inline(never)]
    fn take_any(&mut self, field: FieldId) -> (u128, u128) {
        self.take(field)
    }

    /// Consume a field that the device has to match as `named`.
    #[inline(always)]
    fn want_as(&mut self, field: FieldId, named: FieldId) -> (u128, u128) {
        let (value, mask) = self.take(field);
        self.check(named, mask, field.def().bits);
        (value, mask)
    }

    #[inline(always)]
    fn want(&mut self, field: FieldId) -> (u128, u128) {
        self.want_as(field, field)
    }

    #[inline(always)]
    fn check(&mut self, field: FieldId, mask: u128, bits: u16) {
        let cap = self.caps.get(field);
        if mask != 0 && cap == MaskCap::No {
            self.refuse(Refusal::MatchField { field });
        } else if !mask_allowed(cap, mask, bits) {
            self.refuse(Refusal::PartialMask { field });
        }
    }

    /// Consume fields that are zero in the key of every packet that the rest of the match lets through.
    #[inline(always)]
    fn always_zero(&mut self, group: &Group) {
        if self.busy & group.words != 0 {
            self.all_zero(group.fields);
        }
    }

    #[inline(never)]
    fn all_zero(&mut self, fields: &[FieldId]) {
        for field in fields {
            if self.take_any(*field).0 != 0 {
                self.refuse(Refusal::MatchField { field: *field });
            }
        }
    }

    /// Consume fields that no device matches.
    fn never(&mut self, group: &Group) {
        if self.busy & group.words == 0 {
            return;
        }
        for field in group.fields {
            if self.take_any(*field).1 != 0 {
                self.refuse(Refusal::MatchField { field: *field });
            }
        }
    }

    /// Consume fields that mean something only with `on` matched, which it is not.
    fn without(&mut self, group: &Group, on: FieldId) {
        if self.busy & group.words == 0 {
            return;
        }
        for field in group.fields {
            if self.take_any(*field).1 != 0 {
                self.refuse(Refusal::Prerequisite { field: *field, on });
            }
        }
    }

    /// What is known of every packet that comes from outside, before anything was done with it.
    fn metadata(&mut self) {
        if self.take(FieldId::InPort).1 != FieldId::InPort.def().ones().0 {
            self.refuse(Refusal::PartialMask { field: FieldId::InPort });
        }
        if self.take(FieldId::RecircId).0 != 0 {
            self.refuse(Refusal::RecircNotZero);
        }
        self.always_zero(&TUNNEL_FIELDS);
        self.always_zero(&CONNECTION_FIELDS);
        self.always_zero(&UNSEEN_FIELDS);
        self.never(&MPLS_FIELDS);
    }

    #[inline(always)]
    fn mac(&mut self, field: FieldId) -> Bits<[u8; 6]> {
        let (value, mask) = self.want(field);
        Bits { value: Value(value).mac(), mask: Value(mask).mac() }
    }

    #[inline(always)]
    fn eth_type(&mut self) -> Option<u16> {
        let field = FieldId::EthType;
        let (value, mask) = self.want(field);
        match mask as u16 {
            0 => None,
            0xffff => {
                let value = value as u16;
                // Below 0x600 it is a length on the wire; a TPID stands behind more tags than software parses.
                if value < 0x600 || TPIDS.contains(&value) {
                    self.refuse(Refusal::Inexact { field });
                }
                Some(value)
            }
            _ => {
                self.refuse(Refusal::PartialMask { field });
                None
            }
        }
    }

    fn vlan(&mut self, eth_type: Option<u16>) -> VlanMatch {
        let outer = self.tag(FieldId::VlanTci, FieldId::VlanTpid);
        let inner = self.tag(FieldId::Vlan1Tci, FieldId::Vlan1Tpid);
        let by_pattern = self.vlan_absent == VlanAbsent::ByPattern && eth_type.is_some();
        match (outer, inner) {
            (Tag::Any, Tag::Any) => VlanMatch::Any,
            (Tag::Absent, Tag::Any | Tag::Absent) => {
                if self.vlan_absent != VlanAbsent::HasVlanBit && !by_pattern {
                    self.refuse(Refusal::MatchField { field: FieldId::VlanTci });
                }
                VlanMatch::Absent { by_pattern }
            }
            (Tag::Present { tpid, tci }, inner) => {
                self.check(FieldId::VlanVid, u128::from(tci.mask & 0xfff), 12);
                self.check(FieldId::VlanPcp, u128::from(tci.mask >> 13), 3);
                if self.caps.get(FieldId::VlanTci) == MaskCap::No {
                    self.refuse(Refusal::MatchField { field: FieldId::VlanTci });
                }
                if let Some(tpid) = tpid {
                    self.check(FieldId::VlanTpid, 0xffff, 16);
                    if !TPIDS[..3].contains(&tpid) {
                        self.refuse(Refusal::Inexact { field: FieldId::VlanTpid });
                    }
                }
                let inner = match inner {
                    Tag::Any => InnerTag::Any,
                    Tag::Absent if by_pattern => InnerTag::Absent { by_pattern },
                    Tag::Absent => {
                        self.check(FieldId::Vlan1Tci, 0xffff, 16);
                        InnerTag::Absent { by_pattern }
                    }
                    Tag::Present { .. } => {
                        self.refuse(Refusal::MatchField { field: FieldId::Vlan1Tci });
                        InnerTag::Any
                    }
                };
                VlanMatch::Tagged { tpid, tci, inner }
            }
            (Tag::Any | Tag::Absent, _) => {
                self.refuse(Refusal::Prerequisite { field: FieldId::Vlan1Tci, on: FieldId::VlanTci });
                VlanMatch::Any
            }
        }
    }

    /// What a flow says of one tag. An absent tag is all zero and a present one has its present bit set.
    #[inline(always)]
    fn tag(&mut self, tci: FieldId, tpid: FieldId) -> Tag {
        if self.busy & (words_of(tci) | words_of(tpid)) == 0 {
            return Tag::Any;
        }
        let (value, mask) = self.take(tci);
        let (value, mask) = (value as u16, mask as u16);
        let (type_value, type_mask) = self.take(tpid);
        let (type_value, type_mask) = (type_value as u16, type_mask as u16);
        if type_mask != 0 && type_mask != 0xffff {
            self.refuse(Refusal::PartialMask { field: tpid });
        }
        let (on_wire, present) = (mask & !VlanTag::PRESENT, VlanTag::PRESENT);
        if value != 0 || type_value != 0 {
            // Present, unless the flow contradicts itself and matches nothing.
            if mask & present != 0 && value & present == 0 || type_mask == 0xffff && type_value == 0 {
                self.refuse(Refusal::Inexact { field: tci });
            }
            let tpid = (type_mask == 0xffff).then_some(type_value);
            Tag::Present { tpid, tci: Bits { value: value & on_wire, mask: on_wire } }
        } else if mask & present != 0 || type_mask == 0xffff {
            Tag::Absent
        } else if mask != 0 || type_mask != 0 {
            // No tag, or a tag with zeros here: two different patterns.
            self.refuse(Refusal::PartialMask { field: if mask != 0 { tci } else { tpid } });
            Tag::Any
        } else {
            Tag::Any
        }
    }

    fn network(&mut self, eth_type: Option<u16>) -> (L3Match, L4Match) {
        match eth_type {
            Some(IPV4) => {
                self.always_zero(&IPV6_FIELDS);
                // In a word with others that are asked for.
                if self.take(FieldId::Ipv6Label).0 != 0 {
                    self.refuse(Refusal::MatchField { field: FieldId::Ipv6Label });
                }
                self.always_zero(&ND_FIELDS);
                let proto = self.proto(&[]);
                let l3 = L3Match::Ipv4 {
                    src: self.bits32(FieldId::Ipv4Src),
                    dst: self.bits32(FieldId::Ipv4Dst),
                    proto,
                    tos: self.bits8(FieldId::IpTos),
                    ttl: self.bits8(FieldId::IpTtl),
                    fragment: self.fragment4(),
                };
                (l3, self.transport(proto, false))
            }
            Some(IPV6) => {
                self.always_zero(&IPV4_FIELDS);
                let proto = self.proto(&EXTENSION_HEADERS);
                let (label, label_mask) = self.want(FieldId::Ipv6Label);
                let l3 = L3Match::Ipv6 {
                    src: self.bits128(FieldId::Ipv6Src),
                    dst: self.bits128(FieldId::Ipv6Dst),
                    proto,
                    tos: self.bits8(FieldId::IpTos),
                    ttl: self.bits8(FieldId::IpTtl),
                    label: Bits { value: label as u32, mask: label_mask as u32 },
                    no_fragment: self.fragment6(),
                };
                (l3, self.transport(proto, true))
            }
            Some(ARP) => (self.arp(), L4Match::None),
            Some(RARP) => {
                self.never(&ARP_FIELDS);
                self.always_zero(&L3_FIELDS);
                self.always_zero(&L4_FIELDS);
                self.always_zero(&ND_FIELDS);
                (L3Match::None, L4Match::None)
            }
            Some(_) => {
                self.always_zero(&L3_FIELDS);
                self.always_zero(&L4_FIELDS);
                self.always_zero(&ND_FIELDS);
                (L3Match::None, L4Match::None)
            }
            None => {
                self.without(&L3_FIELDS, FieldId::EthType);
                self.without(&L4_FIELDS, FieldId::EthType);
                self.without(&ND_FIELDS, FieldId::EthType);
                (L3Match::None, L4Match::None)
            }
        }
    }

    fn arp(&mut self) -> L3Match {
        let (op, op_mask) = self.want(FieldId::ArpOp);
        let out = L3Match::Arp {
            // A key has the opcode's low 8 bits, and 0 for opcodes above 255.
            op: match (op_mask as u8, op as u16) {
                (0, _) => None,
                (0xff, op) if op != 0 => Some(op),
                _ => {
                    self.refuse(Refusal::Inexact { field: FieldId::ArpOp });
                    None
                }
            },
            spa: self.bits32(FieldId::ArpSpa),
            tpa: self.bits32(FieldId::ArpTpa),
            sha: self.mac(FieldId::ArpSha),
            tha: self.mac(FieldId::ArpTha),
        };
        self.always_zero(&L3_FIELDS);
        self.always_zero(&L4_FIELDS);
        const TARGET: Group = Group::of(&[FieldId::NdTarget]);
        self.always_zero(&TARGET);
        if out
            == (L3Match::Arp {
                op: None,
                spa: Bits::default(),
                tpa: Bits::default(),
                sha: Bits::default(),
                tha: Bits::default(),
            })
        {
            return L3Match::None;
        }
        out
    }

    #[inline(always)]
    fn proto(&mut self, inexact: &[u8]) -> Option<u8> {
        let field = FieldId::IpProto;
        let (value, mask) = self.want(field);
        match mask as u8 {
            0 => None,
            0xff => {
                if inexact.contains(&(value as u8)) {
                    self.refuse(Refusal::Inexact { field });
                }
                Some(value as u8)
            }
            _ => {
                self.refuse(Refusal::PartialMask { field });
                None
            }
        }
    }

    /// Over "more fragments" (0x2000) and the offset (0x1fff) of RFC 791.
    #[inline(always)]
    fn fragment4(&mut self) -> Bits<u16> {
        let (value, mask) = self.take(FieldId::IpFrag);
        self.fragments_matchable(mask);
        match (mask as u8, value as u8) {
            (0, _) => Bits::default(),
            // Not a fragment.
            (m, 0) if m & frag::ANY != 0 => Bits { value: 0, mask: 0x3fff },
            // A first fragment, or none.
            (_, 0) => Bits { value: 0, mask: 0x1fff },
            // A first fragment.
            (m, frag::ANY) if m == frag::ANY | frag::LATER => Bits { value: 0x2000, mask: 0x3fff },
            // "Offset is not zero" is no match on bits.
            _ => {
                self.refuse(Refusal::Inexact { field: FieldId::IpFrag });
                Bits::default()
            }
        }
    }

    /// Only "no fragment header" is sure: an atomic fragment (RFC 6946) has the header and is none to software.
    fn fragment6(&mut self) -> bool {
        let (value, mask) = self.take(FieldId::IpFrag);
        self.fragments_matchable(mask);
        if value != 0 {
            self.refuse(Refusal::Inexact { field: FieldId::IpFrag });
        }
        mask != 0
    }

    #[inline(always)]
    fn fragments_matchable(&mut self, mask: u128) {
        if mask != 0 && self.caps.get(FieldId::IpFrag) == MaskCap::No {
            self.refuse(Refusal::MatchField { field: FieldId::IpFrag });
        }
    }

    fn transport(&mut self, proto: Option<u8>, ipv6: bool) -> L4Match {
        let Some(proto) = proto else {
            self.without(&L4_FIELDS, FieldId::IpProto);
            if ipv6 {
                self.without(&ND_FIELDS, FieldId::IpProto);
            }
            return L4Match::None;
        };
        if proto != TCP {
            const FLAGS: Group = Group::of(&[FieldId::TcpFlags]);
            self.always_zero(&FLAGS);
        }
        let out = match proto {
            TCP => {
                let (flags, flags_mask) = self.want(FieldId::TcpFlags);
                L4Match::Tcp {
                    src: self.port(FieldId::TcpSrc),
                    dst: self.port(FieldId::TcpDst),
                    flags: Bits { value: flags as u16, mask: flags_mask as u16 },
                }
            }
            UDP => L4Match::Udp { src: self.port(FieldId::UdpSrc), dst: self.port(FieldId::UdpDst) },
            SCTP => L4Match::Sctp { src: self.port(FieldId::SctpSrc), dst: self.port(FieldId::SctpDst) },
            ICMP if !ipv6 => L4Match::Icmp { kind: self.byte(FieldId::IcmpType), code: self.byte(FieldId::IcmpCode) },
            ICMPV6 if ipv6 => {
                let kind = self.byte(FieldId::Icmpv6Type);
                let code = self.byte(FieldId::Icmpv6Code);
                self.neighbour(kind);
                L4Match::Icmpv6 { kind, code }
            }
            _ => L4Match::None,
        };
        self.always_zero(&L4_FIELDS);
        if ipv6 {
            self.always_zero(&ND_FIELDS);
        }
        // The protocol number alone says as much, and asks for no transport header.
        if out.is_open() { L4Match::None } else { out }
    }

    /// Neighbour discovery's own fields cannot be matched; in other messages they are zero.
    fn neighbour(&mut self, kind: Bits<u8>) {
        if kind.mask == 0xff && !matches!(kind.value, 135 | 136) {
            return;
        }
        self.never(&ND_FIELDS);
    }

    #[inline(always)]
    fn port(&mut self, field: FieldId) -> Bits<u16> {
        let (value, mask) = self.want(field);
        Bits { value: value as u16, mask: mask as u16 }
    }

    /// ICMP type or code; the byte before it is zero in every key and goes with [`L4_FIELDS`].
    #[inline(always)]
    fn byte(&mut self, field: FieldId) -> Bits<u8> {
        self.bits8(field)
    }

    #[inline(always)]
    fn bits8(&mut self, field: FieldId) -> Bits<u8> {
        let (value, mask) = self.want(field);
        Bits { value: value as u8, mask: mask as u8 }
    }

    #[inline(always)]
    fn bits32(&mut self, field: FieldId) -> Bits<u32> {
        let (value, mask) = self.want(field);
        Bits { value: value as u32, mask: mask as u32 }
    }

    #[inline(always)]
    fn bits128(&mut self, field: FieldId) -> Bits<u128> {
        let (value, mask) = self.want(field);
        Bits { value, mask }
    }

    /// Whatever no layer has consumed.
    fn leftovers(&mut self) {
        if self.busy == 0 {
            return;
        }
        for def in datapath_fields() {
            if self.take_any(def.id).1 != 0 {
                self.refuse(Refusal::MatchField { field: def.id });
            }
        }
        // Bits of no field are zero in every key: a mask over them asks nothing.
        if self.key.masked(&self.left) != FlowKey::ZERO {
            self.refuse(Refusal::NeverMatches);
        }
    }
}

enum Tag {
    Any,
    Absent,
    Present { tpid: Option<u16>, tci: Bits<u16> },
}

impl L4Match {
    /// Whether it looks at nothing but the protocol.
    pub(super) fn is_open(&self) -> bool {
        match self {
            L4Match::None => true,
            L4Match::Tcp { src, dst, flags } => src.mask == 0 && dst.mask == 0 && flags.mask == 0,
            L4Match::Udp { src, dst } | L4Match::Sctp { src, dst } => src.mask == 0 && dst.mask == 0,
            L4Match::Icmp { kind, code } | L4Match::Icmpv6 { kind, code } => kind.mask == 0 && code.mask == 0,
        }
    }
}
