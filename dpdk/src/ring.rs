//! Rings of packets between threads.

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk_sys::rte_ring;

use crate::batch::{BURST, MbufBatch};
use crate::eal::{Eal, heap_bytes};
use crate::errno::Errno;

/// How many threads may use each end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingMode {
    /// One producer, one consumer: no atomic read-modify-write. The ends cannot be cloned.
    SpSc,
    /// Any number of producers and consumers.
    MpMc,
}

/// Why a ring could not be made.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RingError {
    /// DPDK refused.
    #[error("ring {label:?} of {size} entries cannot be created: {errno}; {free} bytes of DPDK's memory are free")]
    Create {
        /// The ring's label.
        label: String,
        /// Entries asked for.
        size: u32,
        /// The reason.
        errno: Errno,
        /// Free bytes in DPDK's heap.
        free: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Inner {
    raw: NonNull<rte_ring>,
    mode: RingMode,
}

// SAFETY: the ring's memory is shared by design. Each end's operations are only reachable through RingProducer and RingConsumer
// with `&mut self`; in SpSc mode there is one of each (a port that took an end uses it in its place), in MpMc mode DPDK
// synchronises. Counting reads two indices.
unsafe impl Send for Inner {}
// SAFETY: see above.
unsafe impl Sync for Inner {}

impl Inner {
    fn burst_out(&self, batch: &mut MbufBatch, max: usize) -> usize {
        let n = max.min(batch.room());
        // SAFETY: `spare` has room for n pointers; the caller is the (or a) consumer.
        let got = unsafe {
            dpdk_sys::dpdk_shim_ring_dequeue_burst(self.raw.as_ptr(), batch.spare().as_mut_ptr().cast(), n as u32)
        } as usize;
        // SAFETY: the ring gave away `got` packets, which only the batch has now.
        unsafe { batch.grow(got) };
        got
    }

    fn count(&self) -> usize {
        // SAFETY: the ring is live.
        unsafe { dpdk_sys::dpdk_shim_ring_count(self.raw.as_ptr()) as usize }
    }

    fn capacity(&self) -> usize {
        // SAFETY: the ring is live.
        unsafe { dpdk_sys::dpdk_shim_ring_capacity(self.raw.as_ptr()) as usize }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut rest = MbufBatch::new();
        while self.burst_out(&mut rest, BURST) > 0 {
            rest.clear();
        }
        // SAFETY: the last handle; no end and no port uses the ring any more.
        unsafe { dpdk_sys::rte_ring_free(self.raw.as_ptr()) };
    }
}

/// The end that packets go into. `Send`, not `Sync`.
#[derive(Debug)]
pub struct RingProducer {
    inner: Arc<Inner>,
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

/// The end that packets come out of. `Send`, not `Sync`.
#[derive(Debug)]
pub struct RingConsumer {
    inner: Arc<Inner>,
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

/// Makes a ring for at least `size` packets (rounded up to 2^n - 1). `label` is for errors and need not be unique.
///
/// The packets still inside are freed with the last end.
///
/// # Errors
/// [`RingError::Create`].
pub fn ring(
    _eal: &'static Eal,
    label: &str,
    size: u32,
    mode: RingMode,
) -> Result<(RingProducer, RingConsumer), RingError> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let fail = |errno| RingError::Create { label: label.to_owned(), size, errno, free: heap_bytes().0 };
    let slots = size.checked_add(1).and_then(u32::checked_next_power_of_two).ok_or_else(|| fail(Errno::EINVAL))?;
    let name = CString::new(format!("shunt_ring{}", SERIAL.fetch_add(1, Ordering::Relaxed)))
        .map_err(|_| fail(Errno::EINVAL))?;
    let flags = match mode {
        RingMode::SpSc => dpdk_sys::RING_F_SP_ENQ | dpdk_sys::RING_F_SC_DEQ,
        RingMode::MpMc => 0,
    };
    let create = || {
        // SAFETY: EAL is initialised, the name is NUL-terminated and copied.
        let raw = unsafe { dpdk_sys::rte_ring_create(name.as_ptr(), slots.max(2), -1, flags) };
        NonNull::new(raw).ok_or_else(Errno::last)
    };
    let raw = match create() {
        Err(Errno::ENOMEM) if crate::mempool::wait_for_freed_pools() => create(),
        other => other,
    };
    let raw = raw.map_err(fail)?;
    let inner = Arc::new(Inner { raw, mode });
    Ok((
        RingProducer { inner: Arc::clone(&inner), _not_sync: PhantomData },
        RingConsumer { inner, _not_sync: PhantomData },
    ))
}

impl RingProducer {
    /// Moves packets from the front of the batch into the ring; what did not fit stays in the batch. Returns how many went.
    #[inline]
    pub fn enqueue(&mut self, batch: &mut MbufBatch) -> usize {
        // SAFETY: the batch's packets are initialised pointers; we are the (or a) producer.
        let sent = unsafe {
            dpdk_sys::dpdk_shim_ring_enqueue_burst(
                self.inner.raw.as_ptr(),
                batch.as_mut_ptr().cast(),
                batch.len() as u32,
            )
        } as usize;
        // SAFETY: the ring owns the first `sent` packets now.
        unsafe { batch.forget_first(sent) };
        sent
    }

    /// Another producer of the same ring; `None` when the ring allows only one.
    pub fn try_clone(&self) -> Option<Self> {
        (self.inner.mode == RingMode::MpMc)
            .then(|| RingProducer { inner: Arc::clone(&self.inner), _not_sync: PhantomData })
    }

    /// Packets inside now.
    pub fn count(&self) -> usize {
        self.inner.count()
    }

    /// The most packets it holds.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_ring {
        self.inner.raw.as_ptr()
    }
}

impl RingConsumer {
    /// Appends up to 32 packets to the batch; returns how many came.
    #[inline]
    pub fn dequeue(&mut self, batch: &mut MbufBatch) -> usize {
        self.inner.burst_out(batch, BURST)
    }

    /// Appends up to `max` packets to the batch; returns how many came.
    #[inline]
    pub fn dequeue_up_to(&mut self, batch: &mut MbufBatch, max: usize) -> usize {
        self.inner.burst_out(batch, max)
    }

    /// Another consumer of the same ring; `None` when the ring allows only one.
    pub fn try_clone(&self) -> Option<Self> {
        (self.inner.mode == RingMode::MpMc)
            .then(|| RingConsumer { inner: Arc::clone(&self.inner), _not_sync: PhantomData })
    }

    /// Packets inside now.
    pub fn count(&self) -> usize {
        self.inner.count()
    }

    /// The most packets it holds.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_ring {
        self.inner.raw.as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_rest_stays_with_the_sender_and_order_is_kept() {
        let pool = testing::mempool(255);
        let (mut tx, mut rx) = ring(testing::eal(), "t", 7, RingMode::SpSc).unwrap();
        assert_eq!(tx.capacity(), 7);
        assert!(tx.try_clone().is_none() && rx.try_clone().is_none());
        let mut batch = MbufBatch::new();
        pool.alloc_batch(&mut batch, 10).unwrap();
        for (i, p) in batch.iter_mut().enumerate() {
            p.set_port(i as u16);
        }
        assert_eq!((tx.enqueue(&mut batch), batch.len(), rx.count()), (7, 3, 7));
        assert_eq!(batch[0].port(), 7);
        let mut out = MbufBatch::new();
        assert_eq!(rx.dequeue_up_to(&mut out, 4), 4);
        assert_eq!(out.iter().map(|p| p.port()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        drop((tx, rx, out, batch));
        assert!(pool.is_full(), "the ring's rest was not freed");
    }

    #[test]
    fn many_producers_lose_nothing() {
        const EACH: usize = 20_000;
        let pool = testing::mempool(2047);
        let (tx, mut rx) = ring(testing::eal(), "t", 255, RingMode::MpMc).unwrap();
        let producers: Vec<_> = (0..3)
            .map(|_| {
                let (mut tx, pool) = (tx.try_clone().unwrap(), pool.clone());
                std::thread::spawn(move || {
                    let _registered = testing::eal().register_thread().unwrap();
                    let mut batch = MbufBatch::new();
                    let mut made = 0;
                    while made < EACH || !batch.is_empty() {
                        if made < EACH && !batch.is_full() && pool.alloc_batch(&mut batch, 1).is_ok() {
                            made += 1;
                        }
                        if tx.enqueue(&mut batch) == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut seen = 0;
        let mut out = MbufBatch::new();
        while seen < 3 * EACH {
            match rx.dequeue(&mut out) {
                0 => std::thread::yield_now(),
                n => seen += n,
            }
            out.clear();
        }
        producers.into_iter().for_each(|p| p.join().unwrap());
        assert_eq!(rx.count(), 0);
        assert!(pool.is_full());
    }
}
