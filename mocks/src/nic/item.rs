//! Pattern items as the model understands them: which fields each has, where those lie in the C structure, and what
//! the structure would hold for a given packet.

use super::headers::{ETH_LEN, Headers, L3, L4, TunnelKind, be16};
use super::rule::Item;
use super::table::Packet;

/// Items of a pattern that stand for headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    Eth,
    Vlan,
    Ipv4,
    Ipv6,
    Arp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Ipv6FragExt,
    Vxlan,
    Geneve,
    GeneveOpt,
    Gre,
    GreKey,
    Tag,
    Meta,
}

/// Registers that rules set and match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    pub tags: [u32; REGISTERS],
    pub meta: u32,
}

/// Number of TAG registers.
pub const REGISTERS: usize = 8;

/// Bytes of the largest structure, `rte_flow_item_ipv6`.
pub const IMAGE: usize = 44;

/// A packet's header in the form of an item's structure; unused bytes are zero.
pub type Image = [u8; IMAGE];

/// A field of an item.
#[derive(Clone, Copy, Debug)]
pub struct ItemField {
    /// The name in profiles.
    pub name: &'static str,
    /// Its first byte in the structure.
    pub at: usize,
    /// Its bits in the bytes from there on.
    pub bits: &'static [u8],
}

const fn field(name: &'static str, at: usize, bits: &'static [u8]) -> ItemField {
    ItemField { name, at, bits }
}

const B1: &[u8] = &[0xff];
const B2: &[u8] = &[0xff; 2];
const B4: &[u8] = &[0xff; 4];
const B6: &[u8] = &[0xff; 6];
const B16: &[u8] = &[0xff; 16];

// Offsets: the wire header comes first in every structure (but ARP's, whose addresses the compiler aligns); bit-fields
// behind it start at the lowest bit of their first byte (System V and AArch64 ABIs on little-endian machines).
const ETH: &[ItemField] =
    &[field("dst", 0, B6), field("src", 6, B6), field("type", 12, B2), field("has_vlan", 14, &[1])];
const VLAN: &[ItemField] = &[
    field("pcp", 0, &[0xe0]),
    field("dei", 0, &[0x10]),
    field("vid", 0, &[0x0f, 0xff]),
    field("inner_type", 2, B2),
    field("has_more_vlan", 4, &[1]),
];
const IPV4: &[ItemField] = &[
    field("version_ihl", 0, B1),
    field("tos", 1, B1),
    field("total_length", 2, B2),
    field("packet_id", 4, B2),
    field("fragment_offset", 6, B2),
    field("ttl", 8, B1),
    field("proto", 9, B1),
    field("src", 12, B4),
    field("dst", 16, B4),
];
const IPV6: &[ItemField] = &[
    field("version", 0, &[0xf0]),
    field("traffic_class", 0, &[0x0f, 0xf0]),
    field("flow_label", 1, &[0x0f, 0xff, 0xff]),
    field("payload_length", 4, B2),
    field("proto", 6, B1),
    field("hop_limits", 7, B1),
    field("src", 8, B16),
    field("dst", 24, B16),
    field("has_hop_ext", 40, &[1]),
    field("has_route_ext", 40, &[2]),
    field("has_frag_ext", 40, &[4]),
    field("has_auth_ext", 40, &[8]),
    field("has_esp_ext", 40, &[0x10]),
    field("has_dest_ext", 40, &[0x20]),
    field("has_mobil_ext", 40, &[0x40]),
    field("has_hip_ext", 40, &[0x80]),
    field("has_shim6_ext", 41, &[1]),
];
const ARP: &[ItemField] =
    &[field("op", 6, B2), field("sha", 8, B6), field("spa", 16, B4), field("tha", 20, B6), field("tpa", 28, B4)];
const TCP: &[ItemField] =
    &[field("src", 0, B2), field("dst", 2, B2), field("flags", 13, B1), field("flags_high", 12, &[0x0f])];
const UDP: &[ItemField] = &[field("src", 0, B2), field("dst", 2, B2), field("length", 4, B2)];
const SCTP: &[ItemField] = &[field("src", 0, B2), field("dst", 2, B2), field("tag", 4, B4)];
const ICMP: &[ItemField] = &[field("type", 0, B1), field("code", 1, B1), field("ident", 4, B2), field("seq", 6, B2)];
const ICMP6: &[ItemField] = &[field("type", 0, B1), field("code", 1, B1)];
const FRAG_EXT: &[ItemField] = &[field("next_header", 0, B1), field("frag_data", 2, B2), field("id", 4, B4)];
const VXLAN: &[ItemField] = &[field("flags", 0, B1), field("vni", 4, &[0xff; 3])];
const GENEVE: &[ItemField] = &[
    field("opt_len", 0, &[0x3f]),
    field("critical", 1, &[0x40]),
    field("protocol", 2, B2),
    field("vni", 4, &[0xff; 3]),
];
// The data stands where the structure has the pointer to it.
const GENEVE_OPT: &[ItemField] =
    &[field("class", 0, B2), field("type", 2, B1), field("length", 3, &[0x1f]), field("data", 4, B16)];
const GRE: &[ItemField] = &[field("flags", 0, &[0xb0, 0x07]), field("protocol", 2, B2)];
const GRE_KEY: &[ItemField] = &[field("key", 0, B4)];
const TAG: &[ItemField] = &[field("data", 0, B4)];
const META: &[ItemField] = &[field("data", 0, B4)];

impl ItemKind {
    /// All kinds, in the order of their names in profiles.
    pub const ALL: [ItemKind; 18] = [
        ItemKind::Eth,
        ItemKind::Vlan,
        ItemKind::Ipv4,
        ItemKind::Ipv6,
        ItemKind::Arp,
        ItemKind::Tcp,
        ItemKind::Udp,
        ItemKind::Sctp,
        ItemKind::Icmp,
        ItemKind::Icmp6,
        ItemKind::Ipv6FragExt,
        ItemKind::Vxlan,
        ItemKind::Geneve,
        ItemKind::GeneveOpt,
        ItemKind::Gre,
        ItemKind::GreKey,
        ItemKind::Tag,
        ItemKind::Meta,
    ];

    /// The name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ItemKind::Eth => "eth",
            ItemKind::Vlan => "vlan",
            ItemKind::Ipv4 => "ipv4",
            ItemKind::Ipv6 => "ipv6",
            ItemKind::Arp => "arp",
            ItemKind::Tcp => "tcp",
            ItemKind::Udp => "udp",
            ItemKind::Sctp => "sctp",
            ItemKind::Icmp => "icmp",
            ItemKind::Icmp6 => "icmp6",
            ItemKind::Ipv6FragExt => "ipv6_frag_ext",
            ItemKind::Vxlan => "vxlan",
            ItemKind::Geneve => "geneve",
            ItemKind::GeneveOpt => "geneve_opt",
            ItemKind::Gre => "gre",
            ItemKind::GreKey => "gre_key",
            ItemKind::Tag => "tag",
            ItemKind::Meta => "meta",
        }
    }

    /// The fields that the model can match.
    #[must_use]
    pub fn fields(self) -> &'static [ItemField] {
        match self {
            ItemKind::Eth => ETH,
            ItemKind::Vlan => VLAN,
            ItemKind::Ipv4 => IPV4,
            ItemKind::Ipv6 => IPV6,
            ItemKind::Arp => ARP,
            ItemKind::Tcp => TCP,
            ItemKind::Udp => UDP,
            ItemKind::Sctp => SCTP,
            ItemKind::Icmp => ICMP,
            ItemKind::Icmp6 => ICMP6,
            ItemKind::Ipv6FragExt => FRAG_EXT,
            ItemKind::Vxlan => VXLAN,
            ItemKind::Geneve => GENEVE,
            ItemKind::GeneveOpt => GENEVE_OPT,
            ItemKind::Gre => GRE,
            ItemKind::GreKey => GRE_KEY,
            ItemKind::Tag => TAG,
            ItemKind::Meta => META,
        }
    }

    /// The item's layer, 2 to 5: layers do not go down within a packet. 0 for registers.
    #[must_use]
    pub fn layer(self) -> u8 {
        match self {
            ItemKind::Eth | ItemKind::Vlan => 2,
            ItemKind::Ipv4 | ItemKind::Ipv6 | ItemKind::Arp => 3,
            ItemKind::Ipv6FragExt => 3,
            ItemKind::Tcp | ItemKind::Udp | ItemKind::Sctp | ItemKind::Icmp | ItemKind::Icmp6 => 4,
            ItemKind::Vxlan | ItemKind::Geneve | ItemKind::GeneveOpt | ItemKind::Gre | ItemKind::GreKey => 5,
            ItemKind::Tag | ItemKind::Meta => 0,
        }
    }

    /// Whether it is the header of a tunnel, behind which another packet begins.
    #[must_use]
    pub fn is_tunnel(self) -> bool {
        matches!(self, ItemKind::Vxlan | ItemKind::Geneve | ItemKind::Gre)
    }

    /// Size of the C structure in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            ItemKind::Eth | ItemKind::Tcp | ItemKind::Ipv4 => 20,
            ItemKind::Vlan | ItemKind::Udp | ItemKind::Icmp => 8,
            ItemKind::Ipv6 => 44,
            ItemKind::Arp => 32,
            ItemKind::Sctp => 12,
            ItemKind::Icmp6 | ItemKind::Gre | ItemKind::GreKey | ItemKind::Meta => 4,
            ItemKind::Ipv6FragExt | ItemKind::Vxlan | ItemKind::Geneve | ItemKind::Tag => 8,
            // With the pointer.
            ItemKind::GeneveOpt => 16,
        }
    }

    /// What a spec without a mask matches: `rte_flow_item_*_mask` of `rte_flow.h`.
    #[must_use]
    pub fn default_mask(self) -> Image {
        let names: &[&str] = match self {
            ItemKind::Eth | ItemKind::Ipv4 | ItemKind::Ipv6 | ItemKind::Tcp | ItemKind::Udp | ItemKind::Sctp => {
                &["src", "dst"]
            }
            ItemKind::Vlan => &["vid"],
            ItemKind::Arp => &["sha", "spa", "tha", "tpa"],
            ItemKind::Icmp | ItemKind::Icmp6 => &["type", "code"],
            ItemKind::Ipv6FragExt => &[],
            ItemKind::Vxlan | ItemKind::Geneve => &["vni"],
            ItemKind::GeneveOpt => &["type"],
            ItemKind::Gre => &["protocol"],
            ItemKind::GreKey => &["key"],
            ItemKind::Tag | ItemKind::Meta => &["data"],
        };
        let mut mask = [0; IMAGE];
        for f in self.fields().iter().filter(|f| names.contains(&f.name)) {
            f.or_into(&mut mask);
        }
        mask
    }
}

impl ItemField {
    /// Set all of the field's bits.
    pub fn or_into(&self, image: &mut Image) {
        for (place, bits) in image.iter_mut().skip(self.at).zip(self.bits) {
            *place |= bits;
        }
    }

    /// Clear all of the field's bits.
    pub fn clear_in(&self, image: &mut Image) {
        for (place, bits) in image.iter_mut().skip(self.at).zip(self.bits) {
            *place &= !bits;
        }
    }

    /// The field's bits of `image`, as a number with the field's own bits packed to the right.
    #[must_use]
    pub fn read(&self, image: &Image) -> u128 {
        let mut value = 0u128;
        for (byte, bits) in image.iter().skip(self.at).zip(self.bits) {
            for bit in (0..8).rev().filter(|bit| bits >> bit & 1 == 1) {
                value = value << 1 | u128::from(byte >> bit & 1);
            }
        }
        value
    }

    /// Width in bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.bits.iter().map(|b| b.count_ones()).sum()
    }
}

/// What the item's structure would hold for this packet; `None` when the packet has no such header.
pub fn image(item: &Item, packet: &Packet<'_>) -> Option<Image> {
    match item.kind {
        ItemKind::Tag => return Some(word(*packet.registers.tags.get(item.vlan)?)),
        ItemKind::Meta => return Some(word(packet.registers.meta)),
        _ => {}
    }
    let (mut frame, mut headers) = (packet.frame, packet.headers);
    for _ in 0..item.level {
        (frame, headers) = headers.inner(frame, packet.limits)?;
    }
    header_image(item, frame, &headers)
}

fn word(value: u32) -> Image {
    let mut out = [0; IMAGE];
    out[..4].copy_from_slice(&value.to_ne_bytes());
    out
}

fn header_image(item: &Item, frame: &[u8], headers: &Headers) -> Option<Image> {
    let mut out = [0; IMAGE];
    let mut copy = |at: usize, len: usize| -> Option<()> {
        out.get_mut(..len)?.copy_from_slice(frame.get(at..at.checked_add(len)?)?);
        Some(())
    };
    match item.kind {
        ItemKind::Eth => {
            copy(0, ETH_LEN)?;
            if item.innermost {
                out[12..14].copy_from_slice(&headers.ether_type.to_be_bytes());
            }
            out[14] = u8::from(Headers::is_tagged(frame));
        }
        ItemKind::Vlan => {
            let tag = *headers.tags().get(item.vlan)?;
            copy(tag, 4)?;
            if item.innermost {
                out[2..4].copy_from_slice(&headers.ether_type.to_be_bytes());
            }
            out[4] = u8::from(Headers::tag_follows(frame, tag));
        }
        ItemKind::Ipv4 => copy(l3_at(headers, |l3| l3 == L3::Ipv4)?, 20)?,
        ItemKind::Arp => {
            copy(l3_at(headers, |l3| l3 == L3::Arp)?, 28)?;
            // The structure aligns the 4-byte addresses, the wire does not.
            out.copy_within(24..28, 28);
            out.copy_within(18..24, 20);
            out.copy_within(14..18, 16);
            out[14..16].fill(0);
            out[26..28].fill(0);
        }
        ItemKind::Ipv6 => {
            let (L3::Ipv6 { extensions }, at) = headers.l3? else { return None };
            copy(at, 40)?;
            out[40..42].copy_from_slice(&extensions.to_le_bytes());
        }
        ItemKind::Tcp => copy(l4_at(headers, L4::Tcp)?, 20)?,
        ItemKind::Udp => copy(l4_at(headers, L4::Udp)?, 8)?,
        ItemKind::Sctp => copy(l4_at(headers, L4::Sctp)?, 12)?,
        ItemKind::Icmp => copy(l4_at(headers, L4::Icmp)?, 8)?,
        ItemKind::Icmp6 => copy(l4_at(headers, L4::Icmp6)?, 4)?,
        ItemKind::Ipv6FragExt => copy(headers.fragment?, 8)?,
        ItemKind::Vxlan => copy(tunnel_at(headers, TunnelKind::Vxlan)?, 8)?,
        ItemKind::Geneve => copy(tunnel_at(headers, TunnelKind::Geneve)?, 8)?,
        ItemKind::GeneveOpt => {
            let (mut at, end) = (tunnel_at(headers, TunnelKind::Geneve)? + 8, headers.tunnel?.inner);
            // The option that the item names by class and type, wherever it stands.
            loop {
                let head = frame.get(at..end)?.first_chunk::<4>()?;
                let len = 4 + 4 * usize::from(head[3] & 0x1f);
                let same = |i: usize| head[i] & item.mask[i] == item.named[i];
                if same(0) && same(1) && same(2) {
                    let option = frame.get(at..at + len)?;
                    let len = len.min(20);
                    out[..len].copy_from_slice(&option[..len]);
                    break;
                }
                at += len;
            }
        }
        ItemKind::Gre => copy(tunnel_at(headers, TunnelKind::Gre)?, 4)?,
        ItemKind::GreKey => {
            let at = tunnel_at(headers, TunnelKind::Gre)?;
            let flags = be16(frame, at)?;
            (flags & 0x2000 != 0).then_some(())?;
            copy(at + if flags & 0x8000 != 0 { 8 } else { 4 }, 4)?;
        }
        ItemKind::Tag | ItemKind::Meta => return None,
    }
    Some(out)
}

fn l3_at(headers: &Headers, is: impl Fn(L3) -> bool) -> Option<usize> {
    headers.l3.filter(|(l3, _)| is(*l3)).map(|(_, at)| at)
}

fn l4_at(headers: &Headers, is: L4) -> Option<usize> {
    headers.l4.filter(|(l4, _)| *l4 == is).map(|(_, at)| at)
}

fn tunnel_at(headers: &Headers, is: TunnelKind) -> Option<usize> {
    headers.tunnel.filter(|tunnel| tunnel.kind == is).map(|tunnel| tunnel.at)
}
