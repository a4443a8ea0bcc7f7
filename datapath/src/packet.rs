//! Packets in mbufs as the rest of the switch wants them: headers contiguous, tags in the bytes, bytes our own before a change.

use dpdk::{Mbuf, MbufError, Mempool};
use flow::dp::DropReason;
use flow::extract::RxMeta;
use flow::rewrite::{PacketBuf, restore_tags};
use flow::wire::{L3, Layout};
use flow::{DpPort, VlanTag};

/// Headers lie within so many first bytes; that much is made contiguous.
pub(crate) const HEAD: usize = 256;

/// Length of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// An mbuf whose headers can be changed. Make it exclusive before: shared bytes are not given out for writing.
pub(crate) struct Headers<'a>(pub(crate) &'a mut Mbuf);

impl PacketBuf for Headers<'_> {
    fn head(&self) -> &[u8] {
        self.0.data()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.0.data_mut().unwrap_or_default()
    }

    fn total_len(&self) -> usize {
        self.0.pkt_len()
    }

    fn push_front(&mut self, n: usize) -> bool {
        self.0.prepend(n).is_ok()
    }

    fn pull_front(&mut self, n: usize) -> bool {
        self.0.adj(n).is_ok()
    }
}

/// Make a packet received on `in_port` ready to be looked at: its headers in one piece, its tags in the bytes, nothing beside
/// them but whether its L4 checksum is unfinished. Returns the mark that hardware left.
///
/// # Errors
/// [`DropReason::TooShort`]: no Ethernet header. [`DropReason::NoBuffer`].
#[inline(always)]
pub(crate) fn receive_check(packet: &mut Mbuf, in_port: DpPort, pool: &Mempool) -> Result<Option<u32>, DropReason> {
    if packet.is_plain(ETHERNET) { Ok(None) } else { receive_slow(packet, in_port, pool) }
}

#[cold]
fn receive_slow(packet: &mut Mbuf, in_port: DpPort, pool: &Mempool) -> Result<Option<u32>, DropReason> {
    let mark = packet.mark();
    if packet.pkt_len() < ETHERNET {
        return Err(DropReason::TooShort);
    }
    linearize_head(packet, pool)?;
    normalize(packet, in_port, pool)?;
    Ok(mark)
}

/// Make the first [`HEAD`] bytes (or all) contiguous.
///
/// # Errors
/// [`DropReason::NoBuffer`]: neither the packet's own buffer nor one of the pool holds them.
#[inline]
pub(crate) fn linearize_head(packet: &mut Mbuf, pool: &Mempool) -> Result<(), DropReason> {
    if packet.is_contiguous() || packet.data().len() >= HEAD.min(packet.pkt_len()) {
        return Ok(());
    }
    linearize_slow(packet, pool)
}

#[cold]
fn linearize_slow(packet: &mut Mbuf, pool: &Mempool) -> Result<(), DropReason> {
    if packet.linearize().is_ok() {
        return Ok(());
    }
    // Buffers of the pool may be larger, and a copy starts filling them from the front.
    let copy = packet.deep_copy(pool).map_err(|_| DropReason::NoBuffer)?;
    if copy.data().len() < HEAD.min(copy.pkt_len()) {
        return Err(DropReason::NoBuffer);
    }
    *packet = copy;
    Ok(())
}

/// Put tags that the NIC took out back into the bytes, and forget what belongs to the way in: mark, tags, flags.
///
/// # Errors
/// [`DropReason::NoBuffer`]: no room for the tags.
fn normalize(packet: &mut Mbuf, in_port: DpPort, pool: &Mempool) -> Result<(), DropReason> {
    let outer = packet.stripped_qinq();
    let inner = packet.stripped_vlan();
    let unfinished = packet.is_l4_checksum_unfinished();
    packet.clear_metadata();
    if unfinished {
        packet.set_l4_checksum_unfinished(true);
    }
    if inner.is_none() && outer.is_none() {
        return Ok(());
    }
    let tag = |tpid: u16, tci: u16| VlanTag { tpid: tpid.into(), tci: (tci | VlanTag::PRESENT).into() };
    let mut meta = RxMeta::from_port(in_port);
    let outer = outer.map(|tci| tag(0x88a8, tci));
    let inner = inner.map(|tci| tag(0x8100, tci));
    for (place, tag) in meta.stripped.iter_mut().zip(outer.into_iter().chain(inner)) {
        *place = tag;
    }
    packet.make_exclusive(pool).map_err(|_| DropReason::NoBuffer)?;
    if restore_tags(&mut Headers(packet), &mut meta) {
        return Ok(());
    }
    // No headroom: a copy in a buffer of the pool has some.
    *packet = packet.deep_copy(pool).map_err(|_| DropReason::NoBuffer)?;
    if restore_tags(&mut Headers(packet), &mut meta) { Ok(()) } else { Err(DropReason::NoBuffer) }
}

/// Cut a packet to `len` bytes.
///
/// # Errors
/// [`MbufError`] when its end lies in several segments and no buffer holds it.
pub(crate) fn truncate(packet: &mut Mbuf, len: usize, pool: &Mempool) -> Result<(), MbufError> {
    let Some(excess) = packet.pkt_len().checked_sub(len).filter(|n| *n > 0) else { return Ok(()) };
    if packet.trim(excess).is_ok() {
        return Ok(());
    }
    let mut short = pool.alloc()?;
    let mut left = len;
    for segment in packet.segments() {
        let part = &segment[..segment.len().min(left)];
        short.append(part.len())?.copy_from_slice(part);
        left -= part.len();
    }
    *packet = short;
    Ok(())
}

/// Where the headers of a packet with all its tags in the bytes are.
pub(crate) fn layout_of(packet: &Mbuf) -> Layout {
    Layout::parse(packet.data(), packet.pkt_len(), Layout::MAX_TAGS)
}

/// Length of a packet without padding behind its IP packet, which is what OVS compares in `check_pkt_len`.
pub(crate) fn unpadded_len(packet: &Mbuf) -> usize {
    let (head, total) = (packet.data(), packet.pkt_len());
    let layout = layout_of(packet);
    match layout.l3 {
        L3::Ipv4 | L3::Ipv6 => layout.l4_at() + layout.l4_len as usize,
        L3::Ipv6Broken => match head.get(layout.l3_at() + 4..) {
            Some(&[hi, lo, ..]) => layout.l3_at() + 40 + usize::from(u16::from_be_bytes([hi, lo])),
            _ => total,
        },
        L3::None | L3::Arp | L3::Mpls => total,
    }
}
