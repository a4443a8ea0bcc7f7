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
    pub fn drain(&mut self) -> Drain {
        let taken = std::mem::take(self);
        Drain { next: 0, batch: taken }
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
        if n != 0 {
            self.slots.copy_within_uninit(n, self.len - n);
            self.len -= n;
        }
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
pub struct Drain {
    next: usize,
    batch: MbufBatch,
}

impl Iterator for Drain {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.batch.len {
            return None;
        }
        // SAFETY: slots from `next` to `len` are initialised; this one is skipped from now on.
        let packet = unsafe { self.batch.slots[self.next].assume_init_read() };
        self.next += 1;
        Some(packet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Drain {}

impl Drop for Drain {
    fn drop(&mut self) {
        // SAFETY: the first `next` packets were given to the caller.
        unsafe { self.batch.forget_first(self.next) };
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
}
