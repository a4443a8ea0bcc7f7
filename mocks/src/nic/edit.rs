//! Rewrites of a frame, as the hardware does them.

use super::checksum::update_at;
use super::headers::{ETH_LEN, Headers, L3, L4, ParserLimits, be16};

/// A change of a frame. A frame without the header in question stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Remove the outer tag.
    PopVlan,
    /// Add an outer tag with this TPID; VLAN id and priority are those of the tag that was outer, or 0 (OpenFlow 1.1,
    /// section 4.9), the drop-eligible bit is 0.
    PushVlan(u16),
    /// VLAN id of the outer tag.
    SetVid(u16),
    /// Priority of the outer tag.
    SetPcp(u8),
    SetEthDst([u8; 6]),
    SetEthSrc([u8; 6]),
    SetIpv4Src([u8; 4]),
    SetIpv4Dst([u8; 4]),
    SetIpv6Src([u8; 16]),
    SetIpv6Dst([u8; 16]),
    /// Source port of TCP or UDP.
    SetTpSrc([u8; 2]),
    /// Destination port of TCP or UDP.
    SetTpDst([u8; 2]),
    /// TTL or hop limit.
    SetTtl(u8),
    /// TTL or hop limit less one, without a look at what is left: 0 becomes 255.
    DecTtl,
    /// The same, less more.
    SubTtl(u8),
    /// Bits `mask` of the traffic class, in IPv4 or in IPv6 packets.
    SetTos {
        v6: bool,
        value: u8,
        mask: u8,
    },
}

/// Does edits on one frame.
#[derive(Debug)]
pub struct Editor {
    /// How far the parser goes.
    pub limits: ParserLimits,
    /// Whether checksums follow.
    pub checksums: bool,
}

impl Editor {
    /// Change the frame. `None`: there was nothing of that kind to change.
    pub fn apply(&self, frame: &mut Vec<u8>, edit: Edit) -> Option<()> {
        let headers = Headers::parse(frame, self.limits)?;
        match edit {
            Edit::PopVlan => {
                let tag = *headers.tags().first()?;
                frame.drain(tag - 2..tag + 2);
                Some(())
            }
            Edit::PushVlan(tpid) => {
                let outer = headers.tags().first().and_then(|at| be16(frame, *at)).unwrap_or(0);
                let [t0, t1] = tpid.to_be_bytes();
                let [c0, c1] = (outer & 0xefff).to_be_bytes();
                frame.splice(ETH_LEN - 2..ETH_LEN - 2, [t0, t1, c0, c1]);
                Some(())
            }
            Edit::SetVid(vid) => tag_bits(frame, &headers, vid, 0x0fff),
            Edit::SetPcp(pcp) => tag_bits(frame, &headers, u16::from(pcp) << 13, 0xe000),
            Edit::SetEthDst(mac) => put(frame, 0, &mac),
            Edit::SetEthSrc(mac) => put(frame, 6, &mac),
            Edit::SetIpv4Src(addr) => self.ipv4(frame, &headers, 12, &addr, true),
            Edit::SetIpv4Dst(addr) => self.ipv4(frame, &headers, 16, &addr, true),
            Edit::SetIpv6Src(addr) => self.ipv6_address(frame, &headers, 8, &addr, true),
            Edit::SetIpv6Dst(addr) => {
                let covered = headers.pseudo.is_some_and(|sum| !sum.dst_elsewhere);
                self.ipv6_address(frame, &headers, 24, &addr, covered)
            }
            Edit::SetTpSrc(port) => self.port(frame, &headers, 0, port),
            Edit::SetTpDst(port) => self.port(frame, &headers, 2, port),
            Edit::SetTtl(ttl) => self.ttl(frame, &headers, |_| ttl),
            Edit::DecTtl => self.ttl(frame, &headers, |ttl| ttl.wrapping_sub(1)),
            Edit::SubTtl(n) => self.ttl(frame, &headers, |ttl| ttl.wrapping_sub(n)),
            Edit::SetTos { v6, value, mask } => self.tos(frame, &headers, v6, value, mask),
        }
    }

    /// Put whole words into an IPv4 header; `pseudo` when the L4 checksum covers them too.
    fn ipv4(&self, frame: &mut [u8], headers: &Headers, at: usize, new: &[u8], pseudo: bool) -> Option<()> {
        let (L3::Ipv4, l3) = headers.l3? else { return None };
        let old = frame.get(l3 + at..l3 + at + new.len())?.to_vec();
        put(frame, l3 + at, new)?;
        if self.checksums {
            update_at(frame, l3 + 10, false, &old, new);
            if let Some(sum) = headers.pseudo.filter(|_| pseudo) {
                update_at(frame, sum.at, sum.zero_is_none, &old, new);
            }
        }
        Some(())
    }

    fn ipv6_address(
        &self,
        frame: &mut [u8],
        headers: &Headers,
        at: usize,
        new: &[u8; 16],
        covered: bool,
    ) -> Option<()> {
        let (L3::Ipv6 { .. }, l3) = headers.l3? else { return None };
        let old = frame.get(l3 + at..l3 + at + 16)?.to_vec();
        put(frame, l3 + at, new)?;
        if let Some(sum) = headers.pseudo.filter(|_| covered && self.checksums) {
            update_at(frame, sum.at, sum.zero_is_none, &old, new);
        }
        Some(())
    }

    fn port(&self, frame: &mut [u8], headers: &Headers, at: usize, new: [u8; 2]) -> Option<()> {
        let (l4, start) = headers.l4?;
        let (sum, zero_is_none) = match l4 {
            L4::Tcp => (16, false),
            L4::Udp => (6, true),
            L4::Sctp | L4::Icmp | L4::Icmp6 | L4::Gre => return None,
        };
        let old = frame.get(start + at..start + at + 2)?.to_vec();
        put(frame, start + at, &new)?;
        if self.checksums {
            update_at(frame, start + sum, zero_is_none, &old, &new);
        }
        Some(())
    }

    fn ttl(&self, frame: &mut [u8], headers: &Headers, new: impl Fn(u8) -> u8) -> Option<()> {
        let (l3, at) = headers.l3?;
        match l3 {
            L3::Arp => None,
            L3::Ipv4 => {
                let (ttl, proto) = (*frame.get(at + 8)?, *frame.get(at + 9)?);
                self.ipv4(frame, headers, 8, &[new(ttl), proto], false)
            }
            L3::Ipv6 { .. } => {
                let limit = frame.get_mut(at + 7)?;
                *limit = new(*limit);
                Some(())
            }
        }
    }

    fn tos(&self, frame: &mut [u8], headers: &Headers, v6: bool, value: u8, mask: u8) -> Option<()> {
        let (l3, at) = headers.l3?;
        let (b0, b1) = (*frame.get(at)?, *frame.get(at + 1)?);
        match l3 {
            L3::Ipv4 if !v6 => self.ipv4(frame, headers, 0, &[b0, b1 & !mask | value & mask], false),
            L3::Ipv6 { .. } if v6 => {
                let class = (b0 << 4 | b1 >> 4) & !mask | value & mask;
                put(frame, at, &[b0 & 0xf0 | class >> 4, class << 4 | b1 & 0x0f])
            }
            _ => None,
        }
    }
}

fn put(frame: &mut [u8], at: usize, new: &[u8]) -> Option<()> {
    frame.get_mut(at..at + new.len())?.copy_from_slice(new);
    Some(())
}

fn tag_bits(frame: &mut [u8], headers: &Headers, value: u16, mask: u16) -> Option<()> {
    let at = *headers.tags().first()?;
    let tci = be16(frame, at)? & !mask | value & mask;
    put(frame, at, &tci.to_be_bytes())
}
