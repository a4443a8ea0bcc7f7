//! Changes of packet bytes, with checksums kept right.
//!
//! A field exists in a packet by the rules of [`crate::wire`], the same as for [`crate::extract`]; what does not
//! exist is not changed. Checksums are updated from the change alone ([`crate::wire::checksum`],
//! [`crate::wire::crc32c`]): the payload is not read, and a checksum that was wrong stays wrong.
//!
//! | change | checksums that follow |
//! |---|---|
//! | IPv4 addresses | IPv4 header; TCP, UDP |
//! | TOS, TTL of IPv4 | IPv4 header |
//! | IPv6 source | TCP, UDP, ICMPv6 |
//! | IPv6 destination | TCP, UDP, ICMPv6, unless a routing header has segments left |
//! | TCP, UDP, SCTP ports | TCP, UDP, SCTP |
//! | ICMP, ICMPv6 type and code; neighbour discovery | ICMP, ICMPv6 |
//!
//! The first fragment of a packet holds its L4 checksum, so it is updated there; later fragments have no L4 header
//! and no byte behind their IP header is touched. (The CRC of a fragmented SCTP packet cannot follow a port
//! change, as the length of the whole is not known: it is updated as if the first fragment were all, as OVS
//! does, and the receiver drops the packet.)
//!
//! [`apply`] executes one action and is the reference. [`Rewrite`] is a list of actions prepared for many packets, with the same
//! results.
//!
//! All headers must be in the head: otherwise an address could change without the L4 checksum behind it. [`apply`]
//! sees to that; whoever calls the others looks at [`Layout::short_head`] first. All tags must be in the bytes: call
//! [`restore_tags`] first when the NIC stripped some.

mod buf;
mod compiled;
mod fields;
mod vlan;

pub use buf::{FrameBuf, PacketBuf};
pub use compiled::{Quick, QuickRewrite, Rewrite};
pub use fields::{set_field, set_field_at};
pub use vlan::{pop_vlan, push_vlan, restore_tags};

use crate::dp::DpAction;
use crate::wire::checksum::Delta;
use crate::wire::{L3, Layout, chunk, chunk_mut, ethertype};

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The packet is changed (or had the value before).
    Done,
    /// The packet has no such field or header, and is as it was.
    Absent,
    /// TTL or hop limit was 1 or 0: drop the packet ([`crate::dp::DropReason::TtlExpired`]). It is as it was.
    Expired,
    /// No room in front of the packet for a tag. It is as it was.
    NoRoom,
    /// Headers lie beyond the head: make them contiguous and try again. The packet is as it was.
    ShortHead,
    /// The action does not change packet bytes: it is for the datapath.
    NotRewrite,
}

/// What decrementing a TTL came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlOutcome {
    Done,
    /// It was 1 or 0, or the ethertype is IP and there is no valid header: the packet must not be forwarded.
    Expired,
    /// Neither IPv4 nor IPv6.
    NotIp,
}

/// Parse a packet with all its tags in the bytes.
#[must_use]
pub fn layout_of<P: PacketBuf>(pkt: &P) -> Layout {
    Layout::parse(pkt.head(), pkt.total_len(), Layout::MAX_TAGS)
}

/// Execute an action that changes bytes: `Set`, `DecTtl`, `PushVlan`, `PopVlan`.
pub fn apply<P: PacketBuf>(pkt: &mut P, action: &DpAction) -> Outcome {
    match action {
        DpAction::PushVlan(tag) => return push_vlan(pkt, *tag),
        DpAction::PopVlan => return present(pop_vlan(pkt)),
        DpAction::Set { .. } | DpAction::DecTtl => {}
        _ => return Outcome::NotRewrite,
    }
    let layout = layout_of(pkt);
    if layout.short_head {
        return Outcome::ShortHead;
    }
    match action {
        DpAction::Set { field, value, mask } => present(set_field_at(pkt, &layout, *field, *value, *mask)),
        _ => match dec_ttl_at(pkt, &layout) {
            TtlOutcome::Done => Outcome::Done,
            TtlOutcome::Expired => Outcome::Expired,
            TtlOutcome::NotIp => Outcome::Absent,
        },
    }
}

fn present(there: bool) -> Outcome {
    if there { Outcome::Done } else { Outcome::Absent }
}

/// Decrement TTL or hop limit by 1, if more than 1 remains.
///
/// A packet whose ethertype is IP and whose header is not valid counts as expired, as in OVS, where the TTL of
/// its key is 0.
pub fn dec_ttl<P: PacketBuf>(pkt: &mut P) -> TtlOutcome {
    let layout = layout_of(pkt);
    dec_ttl_at(pkt, &layout)
}

/// As [`dec_ttl`], with the packet's layout known.
pub fn dec_ttl_at<P: PacketBuf>(pkt: &mut P, layout: &Layout) -> TtlOutcome {
    dec_ttl_of(pkt.head_mut(), layout)
}

fn dec_ttl_of(head: &mut [u8], layout: &Layout) -> TtlOutcome {
    let at = layout.l3_at();
    match layout.l3 {
        L3::Ipv4 => {
            let Some(&[ttl, proto]) = chunk::<2>(head, at + 8) else { return TtlOutcome::Expired };
            if ttl <= 1 {
                return TtlOutcome::Expired;
            }
            replace(head, at + 8, [ttl - 1, proto], &[Sum::internet(at + 10)]);
            TtlOutcome::Done
        }
        L3::Ipv6 => match head.get_mut(at + 7) {
            Some(limit) if *limit > 1 => {
                *limit -= 1;
                TtlOutcome::Done
            }
            _ => TtlOutcome::Expired,
        },
        L3::None | L3::Arp | L3::Mpls | L3::Ipv6Broken => match layout.eth_type {
            ethertype::IPV4 | ethertype::IPV6 => TtlOutcome::Expired,
            _ => TtlOutcome::NotIp,
        },
    }
}

/// A checksum that covers a change.
#[derive(Clone, Copy, Debug)]
struct Sum {
    at: usize,
    /// UDP: 0 says that there is none, and a computed 0 is written as 0xffff.
    udp: bool,
}

impl Sum {
    fn internet(at: usize) -> Sum {
        Sum { at, udp: false }
    }

    fn update(self, head: &mut [u8], delta: Delta) {
        let Some(place) = chunk_mut::<2>(head, self.at) else { return };
        let old = u16::from_be_bytes(*place);
        if self.udp && old == 0 {
            return;
        }
        let new = delta.apply(old);
        *place = if self.udp && new == 0 { 0xffff } else { new }.to_be_bytes();
    }
}

/// Put `new` at `at`, whole words of every checksum in `sums`, and update those. `false` when the bytes are not there.
fn replace<const N: usize>(head: &mut [u8], at: usize, new: [u8; N], sums: &[Sum]) -> bool {
    let Some(place) = chunk_mut::<N>(head, at) else { return false };
    let delta = Delta::between(place, &new);
    *place = new;
    for sum in sums {
        sum.update(head, delta);
    }
    true
}
