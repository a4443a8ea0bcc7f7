//! Where the headers of a packet are: the one parser behind [`crate::extract`] and [`crate::rewrite`].
//!
//! # What is valid
//!
//! `total` is the length of the whole packet, `head` its first contiguous bytes. Lengths that headers claim are
//! judged against `total`; bytes that are read must be in `head`. A header that is not valid ends the parse: it
//! and everything behind it is absent. The rules are those of `miniflow_extract()` of Open vSwitch (`lib/flow.c`).
//!
//! - **Ethernet**: 14 bytes. Shorter: nothing is valid, not even the addresses.
//! - **VLAN**: the ethertypes 0x8100 and 0x88a8 are tags, others (0x9100, 0x9200) are not, as in OVS and Linux. A
//!   tag counts when 6 bytes are there (its ethertype, its control information, the next ethertype), otherwise
//!   its ethertype is the packet's. At most two are parsed, the stripped ones of the receive metadata included;
//!   the ethertype of a third is the packet's.
//! - **802.3**: a type below 0x0600 is a length (its value is not looked at). With the 8 bytes
//!   `aa aa 03 00 00 00` + type of at least 0x0600 behind it (LLC, SNAP, OUI 0), that type is the packet's and L3
//!   is behind it. Otherwise the ethertype is 0x05ff.
//! - **ARP, RARP** (0x0806, 0x8035): 28 bytes, hardware type 1, protocol type 0x0800, lengths 6 and 4. Any opcode.
//! - **MPLS** (0x8847, 0x8848): the 4 bytes of the outermost entry. Nothing behind it is parsed, whether it is the bottom
//!   of the stack or not: the stack does not say what it carries.
//! - **IPv4** (0x0800): 20 bytes; header length at least 20; header length ≤ total length ≤ bytes that are there.
//!   Neither version nor header checksum is looked at. L4 is what lies between header and total length: padding
//!   behind it is not part of the packet. Fragment: MF or an offset; later fragment: an offset.
//! - **IPv6** (0x86dd): 40 bytes; 40 + payload length ≤ bytes that are there. The version is not looked at; there are
//!   no jumbograms. Extension headers 0, 43, 60, 51 and 44 are walked in any order and number; each needs 8 bytes
//!   and its own length within the payload. One that does not fit leaves the addresses valid and nothing else:
//!   [`L3::Ipv6Broken`]. The last 16 bits of a fragment header not all zero: fragment; offset not zero:
//!   later fragment, whose protocol is 44 and behind which nothing is parsed.
//! - **L4** exists in all but later fragments, within the IP length: TCP of 20 bytes whose data offset is at
//!   least 5 and fits; UDP of 8 (its length field is not looked at); SCTP of 12; ICMP of 8, in IPv4 only;
//!   ICMPv6 of 8, in IPv6 only.
//! - **Neighbour discovery**: ICMPv6 type 135 or 136 with code 0; see [`NeighbourDiscovery::parse`].
//!
//! When a header would be valid but its bytes are not all in `head`, it is absent too, and
//! [`Layout::short_head`] tells that a longer head would show more. Needed of each header: Ethernet 14, tag 6,
//! SNAP 8, MPLS 4, ARP 28, IPv4 20 (not its options), IPv6 40, an extension header its first 8, TCP 20 (not its options),
//! the others as above, and all of a neighbour discovery message.

mod nd;

pub mod checksum;
pub mod crc32c;

pub use nd::{NdKind, NeighbourDiscovery};

use crate::key::frag;

/// Ethertypes that headers are parsed for.
pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const RARP: u16 = 0x8035;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const MPLS: u16 = 0x8847;
    /// MPLS with upstream-assigned labels (RFC 5332), once called multicast.
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// 802.1ad service tag.
    pub const QINQ: u16 = 0x88a8;
    /// Lowest ethertype: below, the bytes are an 802.3 length.
    pub const MIN: u16 = 0x0600;
    /// What a frame without an ethertype has (OpenFlow 1.0, section 3.4).
    pub const NONE: u16 = 0x05ff;

    /// Whether a header with this ethertype is a VLAN tag.
    #[must_use]
    #[inline(always)]
    pub const fn is_vlan(eth_type: u16) -> bool {
        matches!(eth_type, VLAN | QINQ)
    }
}

/// IP protocols that headers are parsed for.
pub mod ip_proto {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION: u8 = 60;
    pub const SCTP: u8 = 132;
}

/// Length of an Ethernet header without tags.
pub const ETHERNET_LEN: usize = 14;
/// Length of a VLAN tag.
pub const VLAN_LEN: usize = 4;
/// Where the outer tag, or else the ethertype, is.
pub const VLAN_AT: usize = 12;

/// Which network header is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L3 {
    /// None that is known, or one that is not valid.
    #[default]
    None,
    /// ARP or RARP for IPv4 over Ethernet.
    Arp,
    Ipv4,
    Ipv6,
    /// MPLS: a label stack with one entry at least.
    Mpls,
    /// IPv6 with an extension header that does not fit: addresses, nothing else.
    Ipv6Broken,
}

/// Which transport header is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4 {
    /// None that is known, one that is not valid, or a later fragment.
    #[default]
    None,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmpv6,
}

/// Where the valid headers of a packet are. Offsets are in bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Whether there is an Ethernet header; if not, nothing else is valid.
    pub ethernet: bool,
    /// VLAN tags in the bytes, 0 to 2; the first is at [`VLAN_AT`].
    pub tags: u8,
    /// Ethertype behind the tags.
    pub eth_type: u16,
    pub l3: L3,
    pub l4: L4,
    /// Bits of [`frag`].
    pub frag: u8,
    /// IPv4 protocol, or IPv6 next header behind the extension headers.
    pub proto: u8,
    /// An IPv6 routing header has segments left: the destination that L4 checksums cover is not in the IP header.
    pub routed: bool,
    /// A header went unparsed only because its bytes are not in the head.
    pub short_head: bool,
    /// Behind Ethernet, tags and SNAP.
    pub l3_at: u32,
    /// Behind the IP header and its extensions; with [`L3::Ipv4`] and [`L3::Ipv6`] only.
    pub l4_at: u32,
    /// From `l4_at` to the end of the IP packet.
    pub l4_len: u32,
}

/// The `N` bytes at `at`, when they are all there.
#[inline]
pub(crate) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// As [`chunk`], to change.
pub(crate) fn chunk_mut<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}

/// The bytes of a packet that may be read, and what is known of the rest.
struct Bytes<'a> {
    head: &'a [u8],
    total: usize,
    short: bool,
}

impl<'a> Bytes<'a> {
    /// `N` bytes at `at` of those before `end`; notes when only the head is too short for them.
    #[inline]
    fn get<const N: usize>(&mut self, at: usize, end: usize) -> Option<&'a [u8; N]> {
        if at + N > end {
            return None;
        }
        let found = chunk(self.head, at);
        self.short |= found.is_none();
        found
    }
}

impl Layout {
    /// The most VLAN tags that are parsed.
    pub const MAX_TAGS: usize = 2;

    /// Parse a packet of `total_len` bytes whose first contiguous bytes are `head`. At most `max_tags` VLAN tags
    /// are parsed (2 at most). Any bytes are allowed.
    #[must_use]
    #[inline]
    pub fn parse(head: &[u8], total_len: usize, max_tags: usize) -> Layout {
        let mut bytes = Bytes { head: &head[..head.len().min(total_len)], total: total_len, short: false };
        let mut layout = Layout::default();
        layout.fill(&mut bytes, max_tags.min(Self::MAX_TAGS));
        layout.short_head = bytes.short;
        layout
    }

    /// L3 offset, as an index.
    #[must_use]
    pub fn l3_at(&self) -> usize {
        self.l3_at as usize
    }

    /// L4 offset, as an index.
    #[must_use]
    pub fn l4_at(&self) -> usize {
        self.l4_at as usize
    }

    /// Whether there is a valid IP header with all its extensions.
    #[must_use]
    pub fn is_ip(&self) -> bool {
        matches!(self.l3, L3::Ipv4 | L3::Ipv6)
    }

    #[inline]
    fn fill(&mut self, bytes: &mut Bytes<'_>, max_tags: usize) -> Option<()> {
        let total = bytes.total;
        let ethernet = bytes.get::<ETHERNET_LEN>(0, total)?;
        let mut eth_type = u16::from_be_bytes([ethernet[12], ethernet[13]]);
        let mut at = ETHERNET_LEN;
        self.ethernet = true;
        while ethertype::is_vlan(eth_type) && usize::from(self.tags) < max_tags {
            let Some(tag) = bytes.get::<VLAN_LEN>(at, total) else { break };
            eth_type = u16::from_be_bytes([tag[2], tag[3]]);
            at += VLAN_LEN;
            self.tags += 1;
        }
        if eth_type < ethertype::MIN {
            eth_type = ethertype::NONE;
            if let Some([0xaa, 0xaa, 0x03, 0, 0, 0, a, b]) = bytes.get::<8>(at, total) {
                let inner = u16::from_be_bytes([*a, *b]);
                if inner >= ethertype::MIN {
                    eth_type = inner;
                }
                at += 8;
            }
        }
        self.eth_type = eth_type;
        self.l3_at = at as u32;
        match eth_type {
            ethertype::IPV4 => self.ipv4(bytes, at),
            ethertype::IPV6 => self.ipv6(bytes, at),
            ethertype::ARP | ethertype::RARP => {
                if let [0, 1, 8, 0, 6, 4, ..] = bytes.get::<28>(at, total)? {
                    self.l3 = L3::Arp;
                }
                None
            }
            ethertype::MPLS | ethertype::MPLS_MULTICAST => {
                bytes.get::<4>(at, total)?;
                self.l3 = L3::Mpls;
                None
            }
            _ => None,
        }
    }

    #[inline]
    fn ipv4(&mut self, bytes: &mut Bytes<'_>, at: usize) -> Option<()> {
        let total = bytes.total;
        let ip = bytes.get::<20>(at, total)?;
        let header = usize::from(ip[0] & 0xf) * 4;
        let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        if header < 20 || length < header || at + length > total {
            return None;
        }
        let fragment = u16::from_be_bytes([ip[6], ip[7]]);
        self.frag = frag_bits(fragment & 0x3fff != 0, fragment & 0x1fff != 0);
        self.l3 = L3::Ipv4;
        self.proto = ip[9];
        self.l4_at = (at + header) as u32;
        self.l4_len = (length - header) as u32;
        self.transport(bytes)
    }

    fn ipv6(&mut self, bytes: &mut Bytes<'_>, at: usize) -> Option<()> {
        let total = bytes.total;
        let ip = bytes.get::<40>(at, total)?;
        let end = at + 40 + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        if end > total {
            return None;
        }
        let (mut proto, mut at) = (ip[6], at + 40);
        let (mut routed, mut frag) = (false, 0);
        self.l3 = L3::Ipv6Broken;
        loop {
            let len = match proto {
                ip_proto::HOP_BY_HOP | ip_proto::DESTINATION | ip_proto::ROUTING => {
                    let &[next, len, _, left, ..] = bytes.get::<8>(at, end)?;
                    routed |= proto == ip_proto::ROUTING && left > 0;
                    proto = next;
                    (usize::from(len) + 1) * 8
                }
                ip_proto::AUTHENTICATION => {
                    let &[next, len, ..] = bytes.get::<8>(at, end)?;
                    proto = next;
                    (usize::from(len) + 2) * 4
                }
                ip_proto::FRAGMENT => {
                    let &[next, _, hi, lo, ..] = bytes.get::<8>(at, end)?;
                    let fragment = u16::from_be_bytes([hi, lo]);
                    if fragment != 0 {
                        frag = frag_bits(true, fragment & 0xfff8 != 0);
                    }
                    if frag & frag::LATER != 0 {
                        at += 8;
                        break;
                    }
                    proto = next;
                    8
                }
                _ => break,
            };
            at += len;
            if at > end {
                return None;
            }
        }
        self.l3 = L3::Ipv6;
        self.proto = proto;
        self.frag = frag;
        self.routed = routed;
        self.l4_at = at as u32;
        self.l4_len = (end - at) as u32;
        self.transport(bytes)
    }

    #[inline]
    fn transport(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        if self.frag & frag::LATER != 0 {
            return None;
        }
        let at = self.l4_at();
        let end = at + self.l4_len as usize;
        self.l4 = match (self.proto, self.l3) {
            (ip_proto::TCP, _) => {
                let header = usize::from(bytes.get::<20>(at, end)?[12] >> 4) * 4;
                if header < 20 || at + header > end {
                    return None;
                }
                L4::Tcp
            }
            (ip_proto::UDP, _) => bytes.get::<8>(at, end).map(|_| L4::Udp)?,
            (ip_proto::SCTP, _) => bytes.get::<12>(at, end).map(|_| L4::Sctp)?,
            (ip_proto::ICMP, L3::Ipv4) => bytes.get::<8>(at, end).map(|_| L4::Icmp)?,
            (ip_proto::ICMPV6, L3::Ipv6) => {
                let message = bytes.get::<8>(at, end)?;
                bytes.short |= nd::kind([message[0], message[1]]).is_some() && end > bytes.head.len();
                L4::Icmpv6
            }
            _ => L4::None,
        };
        Some(())
    }
}

fn frag_bits(any: bool, later: bool) -> u8 {
    if any { frag::ANY | if later { frag::LATER } else { 0 } } else { 0 }
}
