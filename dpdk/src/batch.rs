//! A small, fixed array of packets: what a burst fills and empties.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use crate::mbuf::Mbuf;

/// The most packets that one receive burst asks for.
pub const BURST: usize = 32;
const CAPACITY: usize = 64;

/// Up to 64 packets in place; dropping it frees those still inside with one call. Behaves as a slice of [`Mbuf`].
pub struct MbufBatch {
    len: usize,
    slots: [MaybeUninit<Mbuf>; CAPACITY],
}

impl MbufBatch {
    /// The most packets a batch holds.
    pub const CAPACITY: usize = CAPACITY;

    /// An empty batch.
    pub const fn new() -> Self {
        MbufBatch { len: 0, slots: [const { MaybeUninit::uninit() }; CAPACITY] }
    }

    /// Whether nothing more fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// How many more packets fit.
    #[inline]
    pub fn room(&self) -> usize {
        CAPACITY - self.len
    }

    /// Appends a packet, or gives it back when the batch is full.
    #[inline]
    pub fn push(&mut self, packet: Mbuf) -> Result<(), Mbuf> {
        match self.slots.get_mut(self.len) {
            Some(slot) => {
                slot.write(packet);
                self.len += 1;
                Ok(())
            }
            None => Err(packet),
        }
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the slot was initialised and is outside of the batch from now on.
        Some(unsafe { self.slots[self.len].assume_init_read() })
    }

    /// Takes packet `index`, putting the last one in its place; `None` when there is no such packet.
    #[inline]
    pub fn swap_remove(&mut self, index: usize) -> Option<Mbuf> {
        if index >= self.len {
            return None;
        }
        let last = self.len - 1;
        self.slots.swap(index, last);
        self.pop()
    }

    /// Frees all packets with one call.
    pub fn clear(&mut self) {
        self.free_first(self.len);
    }

    /// Frees the first `n` packets (at most all) with one call; the others move to the front.
    pub fn free_first(&mut self, n: usize) {
        let n = n.min(self.len);
        if n > 0 {
            // SAFETY: the first n slots are owned packets; they leave the batch right after.
            unsafe { dpdk_sys::rte_pktmbuf_free_bulk(self.slots.as_mut_ptr().cast(), n as u32) };
            // SAFETY: those packets are gone.
            unsafe { self.forget_first(n) };
        }
    }

    /// Takes all packets out in order, leaving the batch empty. What the iterator does not yield is freed with it.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        // Empty from now on, so that nothing is owned twice if the iterator is forgotten.
        let end = std::mem::take(&mut self.len);
        Drain { next: 0, end, batch: self }
    }

    /// Moves up to `n` packets from the front of `other` behind those of this batch, as many as fit; returns how many.
    #[inline]
    pub fn append_from(&mut self, other: &mut MbufBatch, n: usize) -> usize {
        let n = n.min(other.len).min(self.room());
        let (from, to) = (other.slots.as_ptr(), self.spare().as_mut_ptr());
        // SAFETY: two batches are two arrays; `n` packets are there in one and fit into the other.
        unsafe { std::ptr::copy_nonoverlapping(from, to, n) };
        // SAFETY: the packets copied are forgotten by the other batch right after.
        unsafe { self.grow(n) };
        // SAFETY: this batch owns them now.
        unsafe { other.forget_first(n) };
        n
    }

    /// The uninitialised slots behind the last packet.
    #[inline]
    pub(crate) fn spare(&mut self) -> &mut [MaybeUninit<Mbuf>] {
        &mut self.slots[self.len..]
    }

    /// # Safety
    /// The first `n` slots of [`MbufBatch::spare`] hold packets that nobody else owns.
    #[inline]
    pub(crate) unsafe fn grow(&mut self, n: usize) {
        debug_assert!(n <= self.room());
        self.len += n;
    }

    /// Removes the first `n` packets without freeing them and closes the gap.
    ///
    /// # Safety
    /// Somebody else owns (or has freed) those packets now, and `n` is at most the length.
    #[inline]
    pub(crate) unsafe fn forget_first(&mut self, n: usize) {
        debug_assert!(n <= self.len);
        let left = self.len - n;
        if n != 0 && left != 0 {
            self.slots.copy_within_uninit(n, left);
        }
        self.len = left;
    }
}

/// Moving slots without caring whether they are initialised: a plain copy of bits.
trait CopyWithinUninit {
    fn copy_within_uninit(&mut self, from: usize, count: usize);
}

impl CopyWithinUninit for [MaybeUninit<Mbuf>; CAPACITY] {
    #[inline]
    fn copy_within_uninit(&mut self, from: usize, count: usize) {
        assert!(from + count <= CAPACITY);
        let base = self.as_mut_ptr();
        // SAFETY: both ranges are inside the array (asserted) and memmove allows overlap.
        unsafe { std::ptr::copy(base.add(from), base, count) };
    }
}

impl Default for MbufBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for MbufBatch {
    type Target = [Mbuf];
    #[inline]
    fn deref(&self) -> &[Mbuf] {
        // SAFETY: the first `len` slots are initialised; MaybeUninit<Mbuf> has the layout of Mbuf.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for MbufBatch {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: as in deref, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.slots.as_mut_ptr().cast(), self.len) }
    }
}

impl Extend<Mbuf> for MbufBatch {
    /// Appends packets; those that do not fit are freed.
    fn extend<I: IntoIterator<Item = Mbuf>>(&mut self, packets: I) {
        for packet in packets {
            drop(self.push(packet));
        }
    }
}

impl Drop for MbufBatch {
    fn drop(&mut self) {
        self.clear();
    }
}

impl std::fmt::Debug for MbufBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Packets leaving a batch; see [`MbufBatch::drain`].
#[derive(Debug)]
pub struct Drain<'a> {
    next: usize,
    end: usize,
    /// Its length is 0: packets from `next` to `end` are the iterator's.
    batch: &'a mut MbufBatch,
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.end {
            return None;
        }
        // SAFETY: slots from `next` to `end` are initialised; this one is skipped from now on.
        let packet = unsafe { self.batch.slots.get_unchecked(self.next).assume_init_read() };
        self.next += 1;
        Some(packet)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Drain<'_> {}

impl Drop for Drain<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.next != self.end {
            // SAFETY: the first `next` packets were given to the caller; the others are back in the batch, which frees them.
            unsafe {
                self.batch.len = self.end;
                self.batch.forget_first(self.next);
            }
            self.batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn nothing_is_lost_whatever_way_packets_leave() {
        let pool = testing::mempool(255);
        let mut batch = MbufBatch::new();
        pool.alloc_batch(&mut batch, 64).unwrap();
        assert!(batch.is_full() && batch.room() == 0);
        assert!(pool.alloc_batch(&mut batch, 1).is_err());
        let spare = pool.alloc().unwrap();
        assert!(batch.push(spare).is_err());

        for (i, packet) in batch.iter_mut().enumerate() {
            packet.set_port(i as u16);
        }
        assert_eq!(batch.pop().unwrap().port(), 63);
        assert_eq!(batch.swap_remove(0).unwrap().port(), 0);
        assert_eq!((batch[0].port(), batch.len()), (62, 62));
        batch.free_first(2);
        assert_eq!((batch[0].port(), batch.len()), (2, 60));

        let mut drain = batch.drain();
        assert_eq!(drain.len(), 60);
        let kept: Vec<Mbuf> = drain.by_ref().take(10).collect();
        drop(drain);
        assert!(batch.is_empty());
        assert_eq!(pool.in_use(), 10);
        batch.extend(kept);
        assert_eq!(batch.last().unwrap().port(), 11);
        drop(batch);
        assert!(pool.is_full());
    }

    #[test]
    fn packets_move_between_batches_as_far_as_there_is_room() {
        let pool = testing::mempool(127);
        let (mut from, mut to) = (MbufBatch::new(), MbufBatch::new());
        pool.alloc_batch(&mut from, 40).unwrap();
        pool.alloc_batch(&mut to, 50).unwrap();
        for (i, packet) in from.iter_mut().enumerate() {
            packet.set_port(i as u16);
        }
        assert_eq!(to.append_from(&mut from, 4), 4);
        assert_eq!(to.append_from(&mut from, usize::MAX), 10);
        assert_eq!((to.len(), from.len()), (64, 26));
        assert_eq!((to[50].port(), to[63].port(), from[0].port()), (0, 13, 14));
        assert_eq!(to.append_from(&mut from, 1), 0);
        // A forgotten iterator leaks its packets: they are in neither place twice.
        let first = std::mem::ManuallyDrop::new(from.drain()).next().unwrap();
        assert!(from.is_empty());
        drop((first, from, to));
        assert_eq!(pool.in_use(), 25);
    }
}
