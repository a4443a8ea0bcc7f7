//! VLAN tags: push, pop, and putting stripped ones back.

use super::{Outcome, PacketBuf};
use crate::extract::RxMeta;
use crate::key::VlanTag;
use crate::wire::{ETHERNET_LEN, VLAN_AT, VLAN_LEN, chunk, chunk_mut, ethertype};

/// Add an outer tag. The drop-eligible bit on the wire is 0, as with OVS: in `tag` that bit says "present".
///
/// Any TPID is written; one that is not a tag's by [`ethertype::is_vlan`] makes a frame of that ethertype.
/// [`Outcome::Absent`]: no Ethernet header. [`Outcome::NoRoom`]: no headroom.
pub fn push_vlan<P: PacketBuf>(pkt: &mut P, tag: VlanTag) -> Outcome {
    if pkt.head().len() < ETHERNET_LEN {
        return Outcome::Absent;
    }
    if !pkt.push_front(VLAN_LEN) {
        return Outcome::NoRoom;
    }
    if let Some(head) = chunk_mut::<{ VLAN_AT + VLAN_LEN }>(pkt.head_mut(), 0) {
        head.copy_within(VLAN_LEN.., 0);
        let [t0, t1] = tag.tpid.get().to_be_bytes();
        let [c0, c1] = (tag.tci.get() & !VlanTag::PRESENT).to_be_bytes();
        head[VLAN_AT..].copy_from_slice(&[t0, t1, c0, c1]);
    }
    Outcome::Done
}

/// Remove the outer tag; `false` when there is none.
pub fn pop_vlan<P: PacketBuf>(pkt: &mut P) -> bool {
    let head = pkt.head_mut();
    let tagged = head.len() >= ETHERNET_LEN + VLAN_LEN
        && chunk::<2>(head, VLAN_AT).is_some_and(|tpid| ethertype::is_vlan(u16::from_be_bytes(*tpid)));
    if tagged {
        head.copy_within(..VLAN_AT, VLAN_LEN);
    }
    tagged && pkt.pull_front(VLAN_LEN)
}

/// Put the tags that the NIC stripped back into the bytes; `false` when there is no room for all of them (then
/// those that are left stay in `meta`).
///
/// Afterwards the packet's key is what it was, and changes see all of its tags.
pub fn restore_tags<P: PacketBuf>(pkt: &mut P, meta: &mut RxMeta) -> bool {
    for tag in meta.stripped.iter_mut().rev().filter(|tag| tag.is_present()) {
        if push_vlan(pkt, *tag) != Outcome::Done {
            return false;
        }
        *tag = VlanTag::default();
    }
    true
}
