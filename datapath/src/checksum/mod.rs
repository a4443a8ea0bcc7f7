//! L4 checksums that a sender left to whoever sends the packet over a wire.
//!
//! Packets that come over memory (from a guest, from the host's stack) may lack their TCP or UDP checksum: the field holds that
//! of the pseudo header only. It is completed when the packet leaves, by the device where it can and here where it
//! cannot. What actions do to the field meanwhile does not matter: it is computed anew from the packet as it leaves.

use crate::packet::layout_of;
use dpdk::{L4Checksum, Mbuf, TxOffloads};
use flow::wire::{L3, L4, Layout, checksum, ip_proto};

/// Where the checksum is within the L4 header, who computes it, and the protocol.
fn place(l4: L4) -> Option<(usize, L4Checksum, TxOffloads, u8)> {
    match l4 {
        L4::Tcp => Some((16, L4Checksum::Tcp, TxOffloads::TCP_CKSUM, ip_proto::TCP)),
        L4::Udp => Some((6, L4Checksum::Udp, TxOffloads::UDP_CKSUM, ip_proto::UDP)),
        L4::None | L4::Sctp | L4::Icmp | L4::Icmpv6 => None,
    }
}

/// Complete the unfinished L4 checksum of a packet whose bytes nobody shares: ask the device for it when it has the offload,
/// else compute it.
///
/// The packet stays as it is where there is nothing to complete: no TCP or UDP header that is valid and in the first
/// segment, a fragment, a UDP checksum of 0 (there is none, RFC 768), or a routing header (the destination that
/// the checksum covers is not in the IP header).
pub(crate) fn finish(packet: &mut Mbuf, offloads: TxOffloads) {
    packet.set_l4_checksum_unfinished(false);
    let layout = layout_of(packet);
    let Some((offset, kind, offload, proto)) = place(layout.l4).filter(|_| layout.frag == 0 && !layout.routed) else {
        return;
    };
    let at = layout.l4_at() + offset;
    let old = packet.data().get(at..at + 2);
    if old.is_none() || layout.l4 == L4::Udp && old == Some(&[0, 0]) {
        return;
    }
    let pseudo = pseudo_header(packet.data(), &layout, proto);
    let to_device = offloads.contains(offload);
    let value = if to_device {
        checksum::fold(pseudo)
    } else {
        put(packet, at, 0);
        match !checksum::fold(pseudo + segment_sum(packet, layout.l4_at(), layout.l4_len as usize)) {
            0 if layout.l4 == L4::Udp => 0xffff,
            sum => sum,
        }
    };
    put(packet, at, value);
    if to_device {
        let (l2, l3) = (layout.l3_at, layout.l4_at - layout.l3_at);
        packet.request_l4_checksum(kind, layout.l3 == L3::Ipv6, l2 as u16, l3 as u16);
    }
}

fn put(packet: &mut Mbuf, at: usize, value: u16) {
    if let Some(place) = packet.data_mut().and_then(|data| data.get_mut(at..at + 2)) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The sum of the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1).
fn pseudo_header(head: &[u8], layout: &Layout, proto: u8) -> u64 {
    let addresses = match layout.l3 {
        L3::Ipv6 => head.get(layout.l3_at() + 8..layout.l3_at() + 40),
        _ => head.get(layout.l3_at() + 12..layout.l3_at() + 20),
    };
    checksum::sum(addresses.unwrap_or_default()) + u64::from(proto) + u64::from(layout.l4_len)
}

/// The sum of `len` bytes from `at` on, over segments, which may end within a word.
fn segment_sum(packet: &Mbuf, at: usize, len: usize) -> u64 {
    let (mut skip, mut left, mut is_odd, mut sum) = (at, len, false, 0u64);
    for segment in packet.segments() {
        let part = segment.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(segment.len());
        let part = &part[..part.len().min(left)];
        left -= part.len();
        let mut folded = checksum::fold(checksum::sum(part));
        // Bytes behind an odd number of others are the other halves of their words (RFC 1071, section 2).
        if is_odd {
            folded = folded.swap_bytes();
        }
        sum += u64::from(folded);
        is_odd ^= part.len() % 2 == 1;
    }
    sum
}

#[cfg(test)]
mod tests;
