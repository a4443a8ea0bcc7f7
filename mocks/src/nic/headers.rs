//! The model's own parser: where the headers of a frame are.
//!
//! Strict, as a NIC's parser is: a header that is cut off or whose lengths do not fit the frame ends the parse, and
//! rules on that layer or above do not match. That is always safe, because a miss goes to software.

/// Length of an Ethernet header in bytes.
pub const ETH_LEN: usize = 14;

const TPIDS: [u16; 2] = [0x8100, 0x88a8];
const ETH_ARP: u16 = 0x0806;
const ETH_IPV4: u16 = 0x0800;
const ETH_IPV6: u16 = 0x86dd;

/// IANA protocol numbers.
pub mod proto {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const GRE: u8 = 47;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const ICMP6: u8 = 58;
    pub const DEST_OPTS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// How far the parser goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserLimits {
    /// VLAN tags understood, 0 to 2. A frame with more has no L3.
    pub vlans: usize,
    /// Whether L4 is found behind IPv4 options.
    pub ipv4_options: bool,
}

impl Default for ParserLimits {
    fn default() -> Self {
        ParserLimits { vlans: 2, ipv4_options: true }
    }
}

/// A network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L3 {
    Arp,
    Ipv4,
    /// With the extension headers seen, as bits in the order of `struct rte_flow_item_ipv6`'s `has_*_ext`.
    Ipv6 {
        extensions: u16,
    },
}

/// Bits of [`L3::Ipv6`]`::extensions`.
pub mod ext {
    pub const HOP: u16 = 1;
    pub const ROUTE: u16 = 1 << 1;
    pub const FRAG: u16 = 1 << 2;
    pub const AUTH: u16 = 1 << 3;
    pub const ESP: u16 = 1 << 4;
    pub const DEST: u16 = 1 << 5;
    pub const MOBIL: u16 = 1 << 6;
    pub const HIP: u16 = 1 << 7;
    pub const SHIM6: u16 = 1 << 8;
}

/// A transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Gre,
}

/// A checksum over the pseudo header, which changes with the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoSum {
    /// Offset of the checksum.
    pub at: usize,
    /// UDP: a checksum of 0 means none (RFC 768).
    pub zero_is_none: bool,
    /// An IPv6 routing header with segments left: the pseudo header has the final destination, not the one in the
    /// fixed header (RFC 8200, section 8.1).
    pub dst_elsewhere: bool,
}

/// Where the headers of a frame are; offsets from its start in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    tags: [usize; 2],
    n_tags: usize,
    /// Ethertype behind the tags.
    pub ether_type: u16,
    /// Network header, with its offset.
    pub l3: Option<(L3, usize)>,
    /// Transport header that a rule can match, with its offset.
    pub l4: Option<(L4, usize)>,
    /// Transport checksum that covers the addresses, also behind extension headers.
    pub pseudo: Option<PseudoSum>,
    /// IPv6's fragment header.
    pub fragment: Option<usize>,
    /// The header of a tunnel.
    pub tunnel: Option<Tunnel>,
}

/// The header of a tunnel: VXLAN (RFC 7348), GENEVE (RFC 8926) by their UDP ports, GRE (RFC 2784, RFC 2890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub kind: TunnelKind,
    /// Where it begins.
    pub at: usize,
    /// Where the inner packet begins.
    pub inner: usize,
    /// EtherType of the inner packet; 0x6558: an Ethernet frame.
    pub protocol: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    Vxlan,
    Geneve,
    Gre,
}

const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;
const ETH_BRIDGED: u16 = 0x6558;

/// Two bytes as a number.
pub fn be16(frame: &[u8], at: usize) -> Option<u16> {
    let b = frame.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([b[0], b[1]]))
}

/// Whether a header with this ethertype is a VLAN tag.
#[must_use]
pub fn is_tpid(ether_type: u16) -> bool {
    TPIDS.contains(&ether_type)
}

impl Headers {
    /// Find the headers; `None` when there is not even an Ethernet header.
    pub fn parse(frame: &[u8], limits: ParserLimits) -> Option<Headers> {
        let ether_type = be16(frame, ETH_LEN - 2)?;
        Some(Headers::parse_from(frame, ether_type, ETH_LEN, limits))
    }

    /// The headers of the packet inside of the tunnel, as offsets into the rest of the frame that is answered too.
    pub fn inner<'a>(&self, frame: &'a [u8], limits: ParserLimits) -> Option<(&'a [u8], Headers)> {
        let tunnel = self.tunnel?;
        let rest = frame.get(tunnel.inner..)?;
        match tunnel.protocol {
            ETH_BRIDGED => Some((rest, Headers::parse(rest, limits)?)),
            protocol => Some((rest, Headers::parse_from(rest, protocol, 0, limits))),
        }
    }

    fn parse_from(frame: &[u8], mut ether_type: u16, mut at: usize, limits: ParserLimits) -> Headers {
        let mut found = Headers { ether_type, ..Headers::default() };
        while is_tpid(ether_type) {
            if found.n_tags >= limits.vlans.min(found.tags.len()) {
                return found;
            }
            let Some(inner) = be16(frame, at + 2) else { return found };
            found.tags[found.n_tags] = at;
            found.n_tags += 1;
            ether_type = inner;
            found.ether_type = inner;
            at += 4;
        }
        let rest = frame.get(at..).unwrap_or_default();
        match ether_type {
            ETH_ARP => found.arp(rest, at),
            ETH_IPV4 => found.ipv4(rest, at, limits),
            ETH_IPV6 => found.ipv6(rest, at),
            _ => None,
        };
        found.tunnel = found.find_tunnel(frame);
        found
    }

    fn find_tunnel(&self, frame: &[u8]) -> Option<Tunnel> {
        let (l4, at) = self.l4?;
        if l4 == L4::Gre {
            let flags = be16(frame, at)?;
            // Checksum, key and sequence number take a word each; routing (RFC 1701) and other versions are not known.
            let words = [0x8000u16, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count();
            let inner = at + 4 + 4 * words;
            let known = flags & 0x4007 == 0 && frame.len() >= inner;
            return known.then_some(Tunnel { kind: TunnelKind::Gre, at, inner, protocol: be16(frame, at + 2)? });
        }
        let at = at + 8;
        match be16(frame, at - 6).filter(|_| l4 == L4::Udp)? {
            VXLAN_PORT => {
                frame.get(at..at + 8)?;
                Some(Tunnel { kind: TunnelKind::Vxlan, at, inner: at + 8, protocol: ETH_BRIDGED })
            }
            GENEVE_PORT => {
                let words = usize::from(frame.get(at)? & 0x3f);
                let inner = at + 8 + 4 * words;
                frame.get(at..inner)?;
                Some(Tunnel { kind: TunnelKind::Geneve, at, inner, protocol: be16(frame, at + 2)? })
            }
            _ => None,
        }
    }

    /// Offsets of the tags' control information, outermost first.
    pub fn tags(&self) -> &[usize] {
        self.tags.get(..self.n_tags).unwrap_or_default()
    }

    /// Whether the ethertype in the Ethernet header is a tag's.
    pub fn is_tagged(frame: &[u8]) -> bool {
        be16(frame, ETH_LEN - 2).is_some_and(is_tpid)
    }

    /// Whether another tag follows the tag at `tag`.
    pub fn tag_follows(frame: &[u8], tag: usize) -> bool {
        be16(frame, tag + 2).is_some_and(is_tpid)
    }

    /// RFC 826, for Ethernet and IPv4 only.
    fn arp(&mut self, rest: &[u8], at: usize) -> Option<()> {
        if rest.get(..6)? == [0, 1, 8, 0, 6, 4] && rest.len() >= 28 {
            self.l3 = Some((L3::Arp, at));
        }
        Some(())
    }

    /// RFC 791.
    fn ipv4(&mut self, rest: &[u8], at: usize, limits: ParserLimits) -> Option<()> {
        let header = usize::from(rest.first()? & 15) * 4;
        let total = usize::from(be16(rest, 2)?);
        if rest[0] >> 4 != 4 || header < 20 || total < header || total > rest.len() {
            return None;
        }
        let fragment = be16(rest, 6)?;
        let protocol = *rest.get(9)?;
        self.l3 = Some((L3::Ipv4, at));
        if fragment & 0x1fff != 0 {
            return None;
        }
        let payload = rest.get(header..total)?;
        self.pseudo = pseudo_sum(protocol, payload, at + header, false);
        if header == 20 || limits.ipv4_options {
            self.transport(protocol, payload, at + header, fragment & 0x2000 != 0, false);
        }
        Some(())
    }

    /// RFC 8200. The chain of extension headers must be whole, or the packet has no L3.
    fn ipv6(&mut self, rest: &[u8], at: usize) -> Option<()> {
        let end = 40 + usize::from(be16(rest, 4)?);
        let first = *rest.get(6)?;
        if rest[0] >> 4 != 6 || end > rest.len() {
            return None;
        }
        let rest = rest.get(..end)?;
        let (mut next, mut pos, mut extensions) = (first, 40, 0u16);
        let (mut later, mut dst_elsewhere) = (false, false);
        loop {
            let (bit, len) = match next {
                proto::HOP_BY_HOP => (ext::HOP, ext_len(rest, pos)?),
                proto::DEST_OPTS => (ext::DEST, ext_len(rest, pos)?),
                proto::ROUTING => {
                    dst_elsewhere |= *rest.get(pos + 3)? != 0;
                    (ext::ROUTE, ext_len(rest, pos)?)
                }
                proto::AH => (ext::AUTH, (usize::from(*rest.get(pos + 1)?) + 2) * 4),
                proto::FRAGMENT => {
                    self.fragment = Some(at + pos);
                    later = be16(rest, pos + 2)? & 0xfff8 != 0;
                    (ext::FRAG, 8)
                }
                // Protocols of their own, behind which nothing is looked at.
                proto::ESP | proto::MOBILITY | proto::HIP | proto::SHIM6 => {
                    extensions |= match next {
                        proto::ESP => ext::ESP,
                        proto::MOBILITY => ext::MOBIL,
                        proto::HIP => ext::HIP,
                        _ => ext::SHIM6,
                    };
                    break;
                }
                _ => break,
            };
            extensions |= bit;
            next = *rest.get(pos)?;
            pos += len;
            rest.get(..pos)?;
            if later {
                break;
            }
        }
        self.l3 = Some((L3::Ipv6 { extensions }, at));
        if later {
            return None;
        }
        let payload = rest.get(pos..)?;
        self.pseudo = pseudo_sum(next, payload, at + pos, true).map(|sum| PseudoSum { dst_elsewhere, ..sum });
        if pos == 40 {
            self.transport(next, payload, at + pos, false, true);
        }
        Some(())
    }

    fn transport(&mut self, protocol: u8, payload: &[u8], at: usize, more_fragments: bool, v6: bool) -> Option<()> {
        let l4 = match protocol {
            proto::TCP => {
                let header = usize::from(payload.get(12)? >> 4) * 4;
                (header >= 20 && header <= payload.len()).then_some(L4::Tcp)
            }
            proto::UDP => {
                let len = usize::from(be16(payload, 4)?);
                (payload.len() >= 8 && len >= 8 && (more_fragments || len <= payload.len())).then_some(L4::Udp)
            }
            proto::SCTP => (payload.len() >= 12).then_some(L4::Sctp),
            proto::ICMP if !v6 => (payload.len() >= 8).then_some(L4::Icmp),
            proto::GRE => (payload.len() >= 4).then_some(L4::Gre),
            proto::ICMP6 if v6 => (payload.len() >= 8).then_some(L4::Icmp6),
            _ => None,
        };
        self.l4 = Some((l4?, at));
        Some(())
    }
}

/// Length of an extension header in the common form (RFC 8200, section 4): eight bytes and as many units of eight.
fn ext_len(rest: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(*rest.get(at + 1)?) * 8 + 8)
}

/// The checksum of a header that is whole; lengths of UDP and below are not looked at.
fn pseudo_sum(protocol: u8, payload: &[u8], at: usize, v6: bool) -> Option<PseudoSum> {
    let offset = match protocol {
        proto::TCP => {
            let header = usize::from(payload.get(12)? >> 4) * 4;
            payload.get(20.max(header) - 1)?;
            (header >= 20).then_some(16)?
        }
        proto::UDP => 6,
        proto::ICMP6 if v6 => 2,
        _ => return None,
    };
    payload.get(7)?;
    Some(PseudoSum { at: at + offset, zero_is_none: protocol == proto::UDP, dst_elsewhere: false })
}
