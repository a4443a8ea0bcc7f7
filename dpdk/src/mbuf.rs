//! A packet: one DPDK buffer or a chain of them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use dpdk_sys::rte_mbuf;

use crate::mempool::Mempool;
use crate::prefetch::prefetch_address;

/// Why a packet could not be made or changed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum MbufError {
    /// No free buffer.
    #[error("mempool {pool:?} has no free buffer; make it larger or drop packets sooner")]
    PoolEmpty {
        /// The pool's label.
        pool: String,
    },
    /// The batch cannot take that many.
    #[error("the batch has room for {have} packets, not {need}")]
    BatchFull {
        /// Asked for.
        need: usize,
        /// Free slots.
        have: usize,
    },
    /// Somebody else sees the same bytes.
    #[error("the packet shares its buffer with a clone; call make_exclusive first")]
    Shared,
    /// Not enough head room, tail room or data.
    #[error("the buffer has {have} bytes where {need} are needed")]
    NoRoom {
        /// Asked for.
        need: usize,
        /// There.
        have: usize,
    },
    /// More than a chain can hold.
    #[error("{need} bytes do not fit in a chain of buffers")]
    TooLong {
        /// Asked for.
        need: usize,
    },
}

/// A packet, owned: dropping it returns its buffers to their pool.
///
/// `Send`: it is the only owner of its header, and the reference count of the bytes is atomic. Bytes shared with clones are
/// read-only. Not `Sync`: DPDK counts a sole owner's first clone without an atomic operation.
#[repr(transparent)]
pub struct Mbuf(pub(crate) NonNull<rte_mbuf>);

// SAFETY: the handle is the only owner of the mbuf's header, pools take buffers from any thread, and buffers shared by clones are
// only read (data_mut, prepend and append check) with an atomic count.
unsafe impl Send for Mbuf {}
macro_rules! header {
    ($($(#[$doc:meta])* $get:ident: $ty:ty = $offset:ident;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $get(self) -> $ty {
            // SAFETY: the offset is that of a member of this type (computed by the C compiler), and the mbuf is live.
            unsafe { self.0.as_ptr().cast::<u8>().add(dpdk_sys::$offset as usize).cast::<$ty>().read() }
        }
    )* };
}

/// One segment of a packet: access to the header's members by offset. A copy of a pointer, used only while the packet is borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Segment(NonNull<rte_mbuf>);

impl Segment {
    header! {
        buf_addr: *mut u8 = MBUF_BUF_ADDR;
        data_off: u16 = MBUF_DATA_OFF;
        nb_segs: u16 = MBUF_NB_SEGS;
        port: u16 = MBUF_PORT;
        ol_flags: u64 = MBUF_OL_FLAGS;
        packet_type: u32 = MBUF_PACKET_TYPE;
        pkt_len: u32 = MBUF_PKT_LEN;
        data_len: u16 = MBUF_DATA_LEN;
        vlan_tci: u16 = MBUF_VLAN_TCI;
        vlan_tci_outer: u16 = MBUF_VLAN_TCI_OUTER;
        rss: u32 = MBUF_RSS_HASH;
        fdir_id: u32 = MBUF_FDIR_ID;
        buf_len: u16 = MBUF_BUF_LEN;
        next: *mut rte_mbuf = MBUF_NEXT;
    }

    /// # Safety
    /// `offset` is that of a member of type `T`, and the packet is borrowed mutably.
    #[inline(always)]
    pub(crate) unsafe fn set<T>(self, offset: u32, value: T) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset as usize).cast::<T>().write(value) }
    }

    #[inline(always)]
    fn data(self) -> NonNull<[u8]> {
        // SAFETY: data_off lies inside the buffer: DPDK's invariant, kept by the methods below.
        let start = unsafe { self.buf_addr().add(usize::from(self.data_off())) };
        // SAFETY: a packet has a buffer: rte_pktmbuf_init and whoever attaches another set its address.
        let start = unsafe { NonNull::new_unchecked(start) };
        NonNull::slice_from_raw_parts(start, usize::from(self.data_len()))
    }

    #[inline(always)]
    fn tailroom(self) -> u16 {
        self.buf_len().saturating_sub(self.data_off()).saturating_sub(self.data_len())
    }

    #[inline(always)]
    fn is_shared(self) -> bool {
        if self.ol_flags() & (dpdk_sys::MBUF_F_INDIRECT | dpdk_sys::MBUF_F_EXTERNAL) == 0 {
            // SAFETY: the member is a u16 that DPDK changes atomically.
            let refs =
                unsafe { &*self.0.as_ptr().cast::<u8>().add(dpdk_sys::MBUF_REFCNT as usize).cast::<AtomicU16>() };
            // Acquire: what a clone read before it let go happens before what the last owner writes.
            refs.load(Ordering::Acquire) != 1
        } else {
            // SAFETY: the mbuf is live; only clones and external buffers come here, so the call is rare.
            let refs = unsafe { dpdk_sys::dpdk_shim_mbuf_data_refs(self.0.as_ptr()) };
            std::sync::atomic::fence(Ordering::Acquire);
            refs != 1
        }
    }

    #[inline(always)]
    fn next_segment(self) -> Option<Segment> {
        NonNull::new(self.next()).map(Segment)
    }
}

impl Mbuf {
    /// # Safety
    /// `raw` is a live packet head that nobody else owns.
    #[inline(always)]
    pub unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Mbuf(raw)
    }

    /// The packet, for a call of DPDK that takes one and keeps nothing of it.
    pub fn as_ptr(&mut self) -> *mut rte_mbuf {
        self.0.as_ptr()
    }

    /// Gives the packet away: the caller (or whoever takes the pointer) frees it.
    #[inline(always)]
    pub fn into_raw(self) -> NonNull<rte_mbuf> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    /// A packet with a copy of `bytes`, in as many segments as the pool's buffers need.
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`], [`MbufError::TooLong`].
    pub fn from_bytes(pool: &Mempool, bytes: &[u8]) -> Result<Mbuf, MbufError> {
        let mut head = pool.alloc()?;
        let first = bytes.len().min(head.tailroom());
        let (now, mut rest) = bytes.split_at(first);
        head.append(first)?.copy_from_slice(now);
        while !rest.is_empty() {
            let mut segment = pool.alloc()?;
            let (now, later) = rest.split_at(rest.len().min(segment.tailroom()));
            segment.append(now.len())?.copy_from_slice(now);
            rest = later;
            let tail = segment.into_raw();
            // SAFETY: both are live heads that only we own; on success the chain owns the tail.
            if unsafe { dpdk_sys::dpdk_shim_mbuf_chain(head.0.as_ptr(), tail.as_ptr()) } != 0 {
                // SAFETY: the chain did not take it.
                drop(unsafe { Mbuf::from_raw(tail) });
                return Err(MbufError::TooLong { need: bytes.len() });
            }
        }
        Ok(head)
    }

    #[inline(always)]
    pub(crate) fn head(&self) -> Segment {
        Segment(self.0)
    }

    fn last(&self) -> Segment {
        let mut segment = self.head();
        while let Some(next) = segment.next_segment() {
            segment = next;
        }
        segment
    }

    /// Bytes of the whole packet.
    #[inline(always)]
    pub fn pkt_len(&self) -> usize {
        self.head().pkt_len() as usize
    }

    /// Number of segments, 1 for most packets.
    #[inline(always)]
    pub fn segment_count(&self) -> usize {
        usize::from(self.head().nb_segs())
    }

    /// Whether all bytes are in the first segment, so that [`Mbuf::data`] is the whole packet.
    #[inline(always)]
    pub fn is_contiguous(&self) -> bool {
        self.head().nb_segs() == 1
    }

    /// The bytes of the first segment.
    #[inline(always)]
    pub fn data(&self) -> &[u8] {
        // SAFETY: initialised memory of the buffer; `&self` keeps it, and writers need an exclusive buffer.
        unsafe { self.head().data().as_ref() }
    }

    /// The bytes of the first segment, writable; `None` when a clone shares the packet.
    #[inline(always)]
    pub fn data_mut(&mut self) -> Option<&mut [u8]> {
        if self.is_shared() {
            return None;
        }
        // SAFETY: as in data; nobody else refers to the buffer (checked) and `self` is borrowed mutably.
        Some(unsafe { self.head().data().as_mut() })
    }

    /// All bytes of the packet, writable, when they are in one segment that nobody shares.
    #[inline(always)]
    pub fn whole_mut(&mut self) -> Option<&mut [u8]> {
        let head = self.head();
        if head.nb_segs() != 1 || head.is_shared() {
            return None;
        }
        // SAFETY: as in data_mut.
        Some(unsafe { head.data().as_mut() })
    }

    /// The segments' bytes in order.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.head()), _packet: std::marker::PhantomData }
    }

    /// Copies bytes from `offset` into `out`, over segment borders; returns how many there were.
    pub fn copy_out(&self, offset: usize, out: &mut [u8]) -> usize {
        let (mut skip, mut done) = (offset, 0);
        for segment in self.segments() {
            let Some(part) = segment.get(skip..) else {
                skip -= segment.len();
                continue;
            };
            skip = 0;
            let n = part.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&part[..n]);
            done += n;
            if done == out.len() {
                break;
            }
        }
        done
    }

    /// The whole packet as a vector (for tests, punts and captures: it allocates).
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.pkt_len());
        for segment in self.segments() {
            out.extend_from_slice(segment);
        }
        out
    }

    /// Whether a clone shares any of the packet's buffers.
    #[inline(always)]
    pub fn is_shared(&self) -> bool {
        let head = self.head();
        if head.nb_segs() == 1 {
            return head.is_shared();
        }
        let mut segment = Some(head);
        while let Some(s) = segment {
            if s.is_shared() {
                return true;
            }
            segment = s.next_segment();
        }
        false
    }

    /// Free bytes before the data of the first segment.
    #[inline(always)]
    pub fn headroom(&self) -> usize {
        usize::from(self.head().data_off())
    }

    /// Free bytes behind the data of the last segment.
    pub fn tailroom(&self) -> usize {
        usize::from(self.last().tailroom())
    }

    /// Adds `n` bytes at the front and returns them (their old content is arbitrary).
    ///
    /// # Errors
    /// [`MbufError::Shared`], [`MbufError::NoRoom`].
    #[inline]
    pub fn prepend(&mut self, n: usize) -> Result<&mut [u8], MbufError> {
        if self.is_shared() {
            return Err(MbufError::Shared);
        }
        let head = self.head();
        let room = head.data_off();
        let Some((n16, data_len)) =
            u16::try_from(n).ok().filter(|n| *n <= room).and_then(|n| Some((n, head.data_len().checked_add(n)?)))
        else {
            return Err(MbufError::NoRoom { need: n, have: usize::from(room) });
        };
        // SAFETY: the members' offsets and types; `self` is borrowed mutably; data_off stays inside the buffer.
        unsafe {
            head.set(dpdk_sys::MBUF_DATA_OFF, room - n16);
            head.set(dpdk_sys::MBUF_DATA_LEN, data_len);
            head.set(dpdk_sys::MBUF_PKT_LEN, head.pkt_len() + u32::from(n16));
        }
        // SAFETY: exclusive (checked), inside the buffer.
        Ok(unsafe { &mut head.data().as_mut()[..n] })
    }

    /// Removes `n` bytes from the front; they must be in the first segment.
    ///
    /// # Errors
    /// [`MbufError::NoRoom`].
    #[inline]
    pub fn adj(&mut self, n: usize) -> Result<(), MbufError> {
        let head = self.head();
        let have = head.data_len();
        let Some(n) = u16::try_from(n).ok().filter(|n| *n <= have) else {
            return Err(MbufError::NoRoom { need: n, have: usize::from(have) });
        };
        // SAFETY: as in prepend; only the header changes, which clones do not share.
        unsafe {
            head.set(dpdk_sys::MBUF_DATA_OFF, head.data_off() + n);
            head.set(dpdk_sys::MBUF_DATA_LEN, have - n);
            head.set(dpdk_sys::MBUF_PKT_LEN, head.pkt_len() - u32::from(n));
        }
        Ok(())
    }

    /// Adds `n` bytes at the end of the last segment and returns them (their old content is arbitrary).
    ///
    /// # Errors
    /// [`MbufError::Shared`], [`MbufError::NoRoom`].
    pub fn append(&mut self, n: usize) -> Result<&mut [u8], MbufError> {
        if self.is_shared() {
            return Err(MbufError::Shared);
        }
        let last = self.last();
        let room = last.tailroom();
        let Some(n16) = u16::try_from(n).ok().filter(|n| *n <= room) else {
            return Err(MbufError::NoRoom { need: n, have: usize::from(room) });
        };
        let old = usize::from(last.data_len());
        // SAFETY: as in prepend; data_off + data_len stays inside the buffer.
        unsafe {
            last.set(dpdk_sys::MBUF_DATA_LEN, last.data_len() + n16);
            self.head().set(dpdk_sys::MBUF_PKT_LEN, self.head().pkt_len() + u32::from(n16));
        }
        // SAFETY: exclusive (checked), inside the buffer.
        Ok(unsafe { &mut last.data().as_mut()[old..] })
    }

    /// Removes `n` bytes from the end; they must be in the last segment.
    ///
    /// # Errors
    /// [`MbufError::NoRoom`].
    pub fn trim(&mut self, n: usize) -> Result<(), MbufError> {
        let last = self.last();
        let have = last.data_len();
        let Some(n) = u16::try_from(n).ok().filter(|n| *n <= have) else {
            return Err(MbufError::NoRoom { need: n, have: usize::from(have) });
        };
        // SAFETY: as in adj.
        unsafe {
            last.set(dpdk_sys::MBUF_DATA_LEN, have - n);
            self.head().set(dpdk_sys::MBUF_PKT_LEN, self.head().pkt_len() - u32::from(n));
        }
        Ok(())
    }

    /// Moves all bytes into the first segment.
    ///
    /// # Errors
    /// [`MbufError::Shared`], [`MbufError::NoRoom`] when the first buffer is too small.
    pub fn linearize(&mut self) -> Result<(), MbufError> {
        if self.is_contiguous() {
            return Ok(());
        }
        if self.is_shared() {
            return Err(MbufError::Shared);
        }
        let (need, have) = (self.pkt_len() - self.data().len(), usize::from(self.head().tailroom()));
        // SAFETY: the packet is live, exclusive and owned.
        match unsafe { dpdk_sys::dpdk_shim_mbuf_linearize(self.0.as_ptr()) } {
            0 => Ok(()),
            _ => Err(MbufError::NoRoom { need, have }),
        }
    }

    /// A second packet that shares this one's bytes (`rte_pktmbuf_clone`), read-only while both live. Header and metadata are its
    /// own, copied now.
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`].
    pub fn clone_ref(&self, pool: &Mempool) -> Result<Mbuf, MbufError> {
        // SAFETY: the packet is live. Its header is only read, but for the atomic count of the buffer.
        let raw = unsafe { dpdk_sys::rte_pktmbuf_clone(self.0.as_ptr(), pool.as_ptr()) };
        NonNull::new(raw).map(Mbuf).ok_or_else(|| pool.empty())
    }

    /// A second packet with its own bytes and a copy of the metadata (`rte_pktmbuf_copy`).
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`].
    pub fn deep_copy(&self, pool: &Mempool) -> Result<Mbuf, MbufError> {
        // SAFETY: the packet is live and only read.
        let raw = unsafe { dpdk_sys::dpdk_shim_pktmbuf_copy(self.0.as_ptr(), pool.as_ptr()) };
        NonNull::new(raw).map(Mbuf).ok_or_else(|| pool.empty())
    }

    /// Makes the bytes writable: replaces the packet by a deep copy if a clone shares them.
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`]; the packet is unchanged then.
    #[inline]
    pub fn make_exclusive(&mut self, pool: &Mempool) -> Result<(), MbufError> {
        if self.is_shared() {
            *self = self.deep_copy(pool)?;
        }
        Ok(())
    }

    /// Asks the CPU to load the first bytes of data. Reads the header: prefetch that before.
    #[inline(always)]
    pub fn prefetch_data(&self) {
        prefetch_address(self.head().data().as_ptr().cast::<u8>());
    }

    /// Asks the CPU to load the first line of the header.
    #[inline(always)]
    pub fn prefetch_header(&self) {
        prefetch_address(self.0.as_ptr().cast::<u8>());
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: we own the packet; clones of it have their own header and a count of the bytes.
        unsafe { dpdk_sys::dpdk_shim_mbuf_free(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.pkt_len())
            .field("segments", &self.segment_count())
            .field("port", &self.port())
            .field("mark", &self.mark())
            .finish_non_exhaustive()
    }
}

/// The segments' bytes; see [`Mbuf::segments`].
pub struct Segments<'a> {
    next: Option<Segment>,
    _packet: std::marker::PhantomData<&'a Mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        self.next = segment.next_segment();
        // SAFETY: initialised memory of a buffer that the borrowed packet keeps.
        Some(unsafe { segment.data().as_ref() })
    }
}

impl std::fmt::Debug for Segments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "mbuf_tests.rs"]
mod tests;
