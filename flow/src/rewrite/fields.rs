//! Setting fields.

use super::{PacketBuf, Sum, layout_of, replace};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::value::Value;
use crate::wire::{L3, L4, Layout, NdKind, NeighbourDiscovery, VLAN_AT, chunk, chunk_mut, crc32c};

/// Change the bits `mask` of a field to those of `value`, and the checksums that cover them. `false`, and no change,
/// when the packet has no such field, or when it is none that packets carry and actions may change.
///
/// Fields: Ethernet addresses; `vlan_tci`, `vlan_vid`, `vlan_pcp` of the outer tag in the bytes (its drop-eligible bit
/// stays); IPv4 and IPv6 addresses, TOS, DSCP, ECN, TTL, flow label; ports; ICMP type and code; ARP opcode (its low 8
/// bits as [`crate::extract`] has them, the high 8 become 0) and addresses; label, traffic class and TTL of the outermost
/// MPLS entry; neighbour discovery flags and target, source address of a solicitation, target address of an advertisement.
pub fn set_field<P: PacketBuf>(pkt: &mut P, field: FieldId, value: Value, mask: Value) -> bool {
    let layout = layout_of(pkt);
    set_field_at(pkt, &layout, field, value, mask)
}

/// As [`set_field`], with the packet's layout known. It stays right whatever fields are set (not when tags are
/// added or removed).
pub fn set_field_at<P: PacketBuf>(pkt: &mut P, layout: &Layout, field: FieldId, value: Value, mask: Value) -> bool {
    FieldChange::new(field, value, mask).apply(pkt.head_mut(), layout)
}

/// A change of one field, prepared for many packets: which bits of the field's bytes stay, and which are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldChange {
    id: FieldId,
    /// Of the field's bytes, which are the last of these.
    keep: [u8; 16],
    put: [u8; 16],
}

impl FieldChange {
    pub(super) fn new(field: FieldId, value: Value, mask: Value) -> FieldChange {
        let def = field.def();
        let mask = mask.0 & def.ones().0;
        let keep = (!(mask << def.shift)).to_be_bytes();
        FieldChange { id: field, keep, put: ((value.0 & mask) << def.shift).to_be_bytes() }
    }

    /// The addresses of the Ethernet header, when they are what is changed: bits of their 12 bytes to keep and to put.
    pub(super) fn ethernet(&self) -> Option<([u8; 12], [u8; 12])> {
        let at = match self.id {
            FieldId::EthDst => 0,
            FieldId::EthSrc => 6,
            _ => return None,
        };
        let (mut keep, mut put) = ([0xff; 12], [0; 12]);
        keep[at..at + 6].copy_from_slice(&self.keep[10..]);
        put[at..at + 6].copy_from_slice(&self.put[10..]);
        Some((keep, put))
    }

    pub(super) fn is_icmpv6(&self) -> bool {
        matches!(self.id, FieldId::Icmpv6Type | FieldId::Icmpv6Code)
    }

    /// `false`, and no change, when the packet has no such field.
    pub(super) fn apply(&self, head: &mut [u8], layout: &Layout) -> bool {
        Edit { head, layout, change: self }.set().is_some()
    }
}

/// One change of one field of one packet.
struct Edit<'a> {
    head: &'a mut [u8],
    layout: &'a Layout,
    change: &'a FieldChange,
}

impl Edit<'_> {
    /// `None` when the packet has no such field.
    fn set(&mut self) -> Option<()> {
        let (l3, l4) = (self.layout.l3_at(), self.layout.l4_at());
        match self.change.id {
            FieldId::EthDst => self.ethernet(0),
            FieldId::EthSrc => self.ethernet(6),
            FieldId::VlanTci | FieldId::VlanVid | FieldId::VlanPcp => self.vlan(),
            FieldId::Ipv4Src => self.ipv4_address(l3 + 12),
            FieldId::Ipv4Dst => self.ipv4_address(l3 + 16),
            FieldId::Ipv6Src => self.ipv6_address(l3 + 8, true),
            FieldId::Ipv6Dst => self.ipv6_address(l3 + 24, !self.layout.routed),
            FieldId::IpTos | FieldId::IpDscp | FieldId::IpEcn => self.traffic_class(),
            FieldId::IpTtl => self.ttl(),
            FieldId::Ipv6Label => self.flow_label(),
            FieldId::TcpSrc => self.port(L4::Tcp, l4),
            FieldId::TcpDst => self.port(L4::Tcp, l4 + 2),
            FieldId::UdpSrc => self.port(L4::Udp, l4),
            FieldId::UdpDst => self.port(L4::Udp, l4 + 2),
            FieldId::SctpSrc => self.sctp_port(0),
            FieldId::SctpDst => self.sctp_port(2),
            FieldId::IcmpType => self.icmp(L4::Icmp, 0),
            FieldId::IcmpCode => self.icmp(L4::Icmp, 1),
            FieldId::Icmpv6Type => self.icmp(L4::Icmpv6, 0),
            FieldId::Icmpv6Code => self.icmp(L4::Icmpv6, 1),
            FieldId::ArpOp => self.arp_opcode(),
            FieldId::ArpSpa => self.arp::<4>(14),
            FieldId::ArpTpa => self.arp::<4>(24),
            FieldId::ArpSha => self.arp::<6>(8),
            FieldId::ArpTha => self.arp::<6>(18),
            FieldId::NdTarget => self.nd::<16>(|nd| nd.target),
            FieldId::NdReserved => self.nd::<4>(|nd| Some(nd.reserved)),
            FieldId::MplsLabel | FieldId::MplsTc | FieldId::MplsTtl => {
                Self::need(self.layout.l3 == L3::Mpls)?;
                self.replace::<4>(l3, &[])
            }
            FieldId::NdSll => self.nd::<6>(|nd| nd.source_mac.filter(|_| nd.kind == NdKind::Solicitation)),
            FieldId::NdTll => self.nd::<6>(|nd| nd.target_mac.filter(|_| nd.kind == NdKind::Advertisement)),
            _ => None,
        }
    }

    /// The bytes that hold a field, changed. `N` is the number of those bytes, 16 at most.
    fn merged<const N: usize>(&self, old: [u8; N]) -> [u8; N] {
        let (keep, put) = (&self.change.keep[16 - N..], &self.change.put[16 - N..]);
        let mut out = old;
        for ((byte, keep), put) in out.iter_mut().zip(keep).zip(put) {
            *byte = *byte & keep | put;
        }
        out
    }

    /// Change the `N` bytes at `at`, which hold the field alone.
    fn replace<const N: usize>(&mut self, at: usize, sums: &[Sum]) -> Option<()> {
        let new = self.merged(*chunk::<N>(self.head, at)?);
        replace(self.head, at, new, sums).then_some(())
    }

    fn need(there: bool) -> Option<()> {
        there.then_some(())
    }

    fn ethernet(&mut self, at: usize) -> Option<()> {
        Self::need(self.layout.ethernet)?;
        self.replace::<6>(at, &[])
    }

    fn vlan(&mut self) -> Option<()> {
        Self::need(self.layout.tags > 0)?;
        let place = chunk_mut::<2>(self.head, VLAN_AT + 2)?;
        let old = *place;
        // The bit of a key that says "present" is the drop-eligible bit of the wire, which no field holds.
        let kept = old[0] & (VlanTag::PRESENT >> 8) as u8;
        let [hi, lo] = self.merged(old);
        let place = chunk_mut::<2>(self.head, VLAN_AT + 2)?;
        *place = [hi & !((VlanTag::PRESENT >> 8) as u8) | kept, lo];
        Some(())
    }

    fn ipv4_address(&mut self, at: usize) -> Option<()> {
        Self::need(self.layout.l3 == L3::Ipv4)?;
        let header = Sum::internet(self.layout.l3_at() + 10);
        match self.layout.l4 {
            L4::Tcp | L4::Udp => {
                let l4 = self.l4_sum()?;
                self.replace::<4>(at, &[header, l4])
            }
            _ => self.replace::<4>(at, &[header]),
        }
    }

    fn ipv6_address(&mut self, at: usize, covered: bool) -> Option<()> {
        Self::need(matches!(self.layout.l3, L3::Ipv6 | L3::Ipv6Broken))?;
        match self.l4_sum() {
            Some(l4) if covered => self.replace::<16>(at, &[l4]),
            _ => self.replace::<16>(at, &[]),
        }
    }

    /// The Internet checksum of the L4 header.
    fn l4_sum(&self) -> Option<Sum> {
        let at = self.layout.l4_at();
        match self.layout.l4 {
            L4::Tcp => Some(Sum::internet(at + 16)),
            L4::Udp => Some(Sum { at: at + 6, udp: true }),
            L4::Icmp | L4::Icmpv6 => Some(Sum::internet(at + 2)),
            L4::Sctp | L4::None => None,
        }
    }

    fn traffic_class(&mut self) -> Option<()> {
        let at = self.layout.l3_at();
        let first = *chunk::<2>(self.head, at)?;
        match self.layout.l3 {
            L3::Ipv4 => {
                let [tos] = self.merged([first[1]]);
                replace(self.head, at, [first[0], tos], &[Sum::internet(at + 10)]).then_some(())
            }
            L3::Ipv6 => {
                let [class] = self.merged([first[0] << 4 | first[1] >> 4]);
                let new = [first[0] & 0xf0 | class >> 4, class << 4 | first[1] & 0xf];
                replace(self.head, at, new, &[]).then_some(())
            }
            _ => None,
        }
    }

    fn ttl(&mut self) -> Option<()> {
        let at = self.layout.l3_at();
        match self.layout.l3 {
            L3::Ipv4 => {
                let [old, proto] = *chunk::<2>(self.head, at + 8)?;
                let [ttl] = self.merged([old]);
                replace(self.head, at + 8, [ttl, proto], &[Sum::internet(at + 10)]).then_some(())
            }
            L3::Ipv6 => self.replace::<1>(at + 7, &[]),
            _ => None,
        }
    }

    fn flow_label(&mut self) -> Option<()> {
        Self::need(self.layout.l3 == L3::Ipv6)?;
        self.replace::<4>(self.layout.l3_at(), &[])
    }

    fn port(&mut self, l4: L4, at: usize) -> Option<()> {
        Self::need(self.layout.l4 == l4)?;
        let sum = self.l4_sum()?;
        self.replace::<2>(at, &[sum])
    }

    fn sctp_port(&mut self, at: usize) -> Option<()> {
        Self::need(self.layout.l4 == L4::Sctp)?;
        let start = self.layout.l4_at();
        let old = *chunk::<2>(self.head, start + at)?;
        self.replace::<2>(start + at, &[])?;
        let new = *chunk::<2>(self.head, start + at)?;
        let behind = self.layout.l4_len.checked_sub(at as u32 + 2)?;
        let delta = crc32c::delta(&[old[0] ^ new[0], old[1] ^ new[1]], behind);
        let crc = chunk_mut::<4>(self.head, start + 8)?;
        *crc = (u32::from_le_bytes(*crc) ^ delta).to_le_bytes();
        Some(())
    }

    /// Change byte `which` of type and code.
    fn icmp(&mut self, l4: L4, which: usize) -> Option<()> {
        Self::need(self.layout.l4 == l4)?;
        let at = self.layout.l4_at();
        let mut both = *chunk::<2>(self.head, at)?;
        [both[which]] = self.merged([both[which]]);
        replace(self.head, at, both, &[Sum::internet(at + 2)]).then_some(())
    }

    fn arp<const N: usize>(&mut self, at: usize) -> Option<()> {
        Self::need(self.layout.l3 == L3::Arp)?;
        self.replace::<N>(self.layout.l3_at() + at, &[])
    }

    fn arp_opcode(&mut self) -> Option<()> {
        Self::need(self.layout.l3 == L3::Arp)?;
        let at = self.layout.l3_at() + 6;
        let [hi, lo] = *chunk::<2>(self.head, at)?;
        if self.change.keep[15] != 0xff {
            let [opcode] = self.merged([if hi == 0 { lo } else { 0 }]);
            *chunk_mut::<2>(self.head, at)? = [0, opcode];
        }
        Some(())
    }

    fn nd<const N: usize>(&mut self, place: impl Fn(&NeighbourDiscovery) -> Option<usize>) -> Option<()> {
        let at = place(&NeighbourDiscovery::parse(self.head, self.layout)?)?;
        self.replace::<N>(at, &[Sum::internet(self.layout.l4_at() + 2)])
    }
}
