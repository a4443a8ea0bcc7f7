//! From packet bytes to a [`FlowKey`].

mod usual;

pub use usual::{
    LINK_WORDS, NEAR_WORDS, PLAIN_WORDS, USUAL_WORDS, extract_usual, link_words, near_words, plain_words, put_plain,
};

use crate::key::{FlowKey, VlanTag};
use crate::port::DpPort;
use crate::wire::{L3, L4, Layout, NeighbourDiscovery, VLAN_AT, VLAN_LEN, chunk};

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RxMeta {
    pub in_port: DpPort,
    /// Tags that the NIC took out of the bytes, outermost first.
    pub stripped: [VlanTag; 2],
}

impl RxMeta {
    /// All that is known is the port.
    #[must_use]
    pub fn from_port(in_port: DpPort) -> RxMeta {
        RxMeta { in_port, stripped: [VlanTag::default(); 2] }
    }

    /// The stripped tags that are there, outermost first.
    pub fn tags(&self) -> impl DoubleEndedIterator<Item = VlanTag> {
        self.stripped.into_iter().filter(VlanTag::is_present)
    }
}

/// The key of a packet of `total_len` bytes whose first contiguous bytes are `head`.
///
/// Any bytes are allowed. A field is zero unless the header that holds it is valid by the rules of [`crate::wire`],
/// which are those of OVS:
///
/// - No Ethernet header: only `in_port`.
/// - `vlans`: tags that the NIC stripped, then those in the bytes, two at most. The drop-eligible bit of a tag in
///   the bytes is lost: that bit is the present bit.
/// - ARP and RARP: addresses, and the opcode in `nw_proto`, 0 when it is above 255.
/// - MPLS: the outermost entry of the label stack, nothing of the others or of what they carry.
/// - IPv4, IPv6: the fields of the header. `nw_proto` is the protocol behind IPv6 extension headers, 44 in
///   a later IPv6 fragment. When an extension header is not valid: only the two addresses.
/// - L4: ports and TCP flags, or ICMP type and code. Nothing for other protocols (IGMP included) and in later
///   fragments.
/// - Neighbour discovery: flags, target, and both link-layer options, whichever of the two messages it is; and the type
///   of the first of those options.
///
/// A packet whose head is shorter than its headers has a shallower key; [`Layout::short_head`] tells.
#[must_use]
#[inline]
pub fn extract(head: &[u8], total_len: usize, meta: &RxMeta) -> FlowKey {
    let mut key = FlowKey::ZERO;
    extract_into(&mut key, head, total_len, meta);
    key
}

/// As [`extract`], into `key`, which must be zero but for metadata; that stays, and `in_port` is set. Also where the headers are.
///
/// When tags were stripped, the layout is that of the bytes as they are; it may say less than after
/// [`crate::rewrite::restore_tags`], never more.
#[inline]
pub fn extract_into(key: &mut FlowKey, head: &[u8], total_len: usize, meta: &RxMeta) -> Layout {
    let stripped = meta.tags().count();
    let layout = Layout::parse(head, total_len, Layout::MAX_TAGS - stripped);
    key.in_port = meta.in_port.0.into();
    link(key, head, &layout, meta);
    network(key, head, &layout);
    transport(key, head, &layout);
    layout
}

#[inline]
fn link(key: &mut FlowKey, head: &[u8], layout: &Layout, meta: &RxMeta) {
    let Some(addresses) = chunk::<12>(head, 0).filter(|_| layout.ethernet) else { return };
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *addresses;
    key.eth_dst = [d0, d1, d2, d3, d4, d5];
    key.eth_src = [s0, s1, s2, s3, s4, s5];
    key.eth_type = layout.eth_type.into();
    let in_bytes = (0..usize::from(layout.tags)).filter_map(|n| chunk::<4>(head, VLAN_AT + n * VLAN_LEN)).map(
        |&[t0, t1, c0, c1]| VlanTag {
            tpid: u16::from_be_bytes([t0, t1]).into(),
            tci: (u16::from_be_bytes([c0, c1]) | VlanTag::PRESENT).into(),
        },
    );
    for (place, tag) in key.vlans.iter_mut().zip(meta.tags().chain(in_bytes)) {
        *place = tag;
    }
}

#[inline]
fn network(key: &mut FlowKey, head: &[u8], layout: &Layout) {
    let at = layout.l3_at();
    match layout.l3 {
        L3::None => {}
        L3::Arp => {
            let Some(arp) = chunk::<28>(head, at) else { return };
            key.nw_proto = if arp[6] == 0 { arp[7] } else { 0 };
            key.arp_sha = [arp[8], arp[9], arp[10], arp[11], arp[12], arp[13]];
            key.ipv4_src = [arp[14], arp[15], arp[16], arp[17]].into();
            key.arp_tha = [arp[18], arp[19], arp[20], arp[21], arp[22], arp[23]];
            key.ipv4_dst = [arp[24], arp[25], arp[26], arp[27]].into();
        }
        L3::Mpls => {
            let Some(entry) = chunk::<4>(head, at) else { return };
            key.mpls_lse = (*entry).into();
        }
        L3::Ipv4 => {
            let Some(ip) = chunk::<20>(head, at) else { return };
            key.nw_frag = layout.frag;
            key.nw_proto = layout.proto;
            key.nw_tos = ip[1];
            key.nw_ttl = ip[8];
            key.ipv4_src = [ip[12], ip[13], ip[14], ip[15]].into();
            key.ipv4_dst = [ip[16], ip[17], ip[18], ip[19]].into();
        }
        L3::Ipv6 | L3::Ipv6Broken => {
            let (Some(ip), Some(src), Some(dst)) = (chunk::<8>(head, at), chunk(head, at + 8), chunk(head, at + 24))
            else {
                return;
            };
            key.ipv6_src = *src;
            key.ipv6_dst = *dst;
            if layout.l3 == L3::Ipv6 {
                key.nw_frag = layout.frag;
                key.nw_proto = layout.proto;
                key.nw_tos = ip[0] << 4 | ip[1] >> 4;
                key.nw_ttl = ip[7];
                key.ipv6_label = [0, ip[1] & 0xf, ip[2], ip[3]].into();
            }
        }
    }
}

#[inline]
fn transport(key: &mut FlowKey, head: &[u8], layout: &Layout) {
    let at = layout.l4_at();
    match layout.l4 {
        L4::None => {}
        L4::Tcp | L4::Udp | L4::Sctp => {
            let Some(&[s0, s1, d0, d1]) = chunk::<4>(head, at) else { return };
            key.tp_src = [s0, s1].into();
            key.tp_dst = [d0, d1].into();
            if layout.l4 == L4::Tcp
                && let Some(&[hi, lo]) = chunk::<2>(head, at + 12)
            {
                key.tcp_flags = [hi & 0xf, lo].into();
            }
        }
        L4::Icmp | L4::Icmpv6 => {
            let Some(&[kind, code]) = chunk::<2>(head, at) else { return };
            key.tp_src = u16::from(kind).into();
            key.tp_dst = u16::from(code).into();
            if let Some(nd) = NeighbourDiscovery::parse(head, layout) {
                neighbour(key, head, &nd);
            }
        }
    }
}

fn neighbour(key: &mut FlowKey, head: &[u8], nd: &NeighbourDiscovery) {
    if let Some(reserved) = chunk::<4>(head, nd.reserved) {
        key.nd_reserved = (*reserved).into();
    }
    key.nd_options_type = nd.first_option;
    if let Some(target) = nd.target.and_then(|at| chunk(head, at)) {
        key.nd_target = *target;
    }
    if let Some(mac) = nd.source_mac.and_then(|at| chunk(head, at)) {
        key.arp_sha = *mac;
    }
    if let Some(mac) = nd.target_mac.and_then(|at| chunk(head, at)) {
        key.arp_tha = *mac;
    }
}

#[cfg(test)]
mod tests;
