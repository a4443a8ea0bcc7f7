//! A packet: one DPDK buffer or a chain of them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use dpdk_sys::rte_mbuf;

use crate::mempool::Mempool;

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
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: the handle is the only owner of the mbuf's header, pools take buffers from any thread, and buffers shared by clones are
// only read (data_mut, prepend and append check) with an atomic count.
unsafe impl Send for Mbuf {}
macro_rules! header {
    ($($(#[$doc:meta])* $get:ident: $ty:ty = $offset:ident;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        fn $get(self) -> $ty {
            // SAFETY: the offset is that of a member of this type (computed by the C compiler), and the mbuf is live.
            unsafe { self.0.as_ptr().cast::<u8>().add(dpdk_sys::$offset as usize).cast::<$ty>().read() }
        }
    )* };
}

/// One segment of a packet: access to the header's members by offset. A copy of a pointer, used only while the packet is borrowed.
#[derive(Clone, Copy)]
struct Segment(NonNull<rte_mbuf>);

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
    unsafe fn set<T>(self, offset: u32, value: T) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset as usize).cast::<T>().write(value) }
    }

    #[inline(always)]
    fn data(self) -> NonNull<[u8]> {
        // SAFETY: data_off lies inside the buffer: DPDK's invariant, kept by the methods below.
        let start = unsafe { self.buf_addr().add(usize::from(self.data_off())) };
        let start = NonNull::new(start).unwrap_or(NonNull::dangling());
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
    fn head(&self) -> Segment {
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

    /// Asks the CPU to load the first bytes of data.
    #[inline(always)]
    pub fn prefetch_data(&self) {
        prefetch(self.head().data().as_ptr().cast::<u8>());
    }

    /// Asks the CPU to load the first line of the header.
    #[inline(always)]
    pub fn prefetch_header(&self) {
        prefetch(self.0.as_ptr().cast::<u8>());
    }
}

/// Metadata: what the NIC found out and what it is asked to do.
impl Mbuf {
    /// The port the driver says the packet came from. net_ring does not set it: trust the queue instead.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        self.head().port()
    }

    /// Sets the input port.
    #[inline(always)]
    pub fn set_port(&mut self, port: u16) {
        // SAFETY: a u16 member of our own header.
        unsafe { self.head().set(dpdk_sys::MBUF_PORT, port) }
    }

    /// All offload flags (`RTE_MBUF_F_*`).
    #[inline(always)]
    pub fn ol_flags(&self) -> u64 {
        self.head().ol_flags()
    }

    /// The hardware's parse result (`RTE_PTYPE_*`), 0 if there is none.
    #[inline(always)]
    pub fn packet_type(&self) -> u32 {
        self.head().packet_type()
    }

    /// The flags that say where the bytes live are not the caller's to change.
    #[inline(always)]
    fn change_flags(&mut self, clear: u64, set: u64) {
        let keep = dpdk_sys::MBUF_F_INDIRECT | dpdk_sys::MBUF_F_EXTERNAL;
        let flags = self.ol_flags();
        // SAFETY: a u64 member of our own header.
        unsafe { self.head().set(dpdk_sys::MBUF_OL_FLAGS, (flags & keep) | (((flags & !clear) | set) & !keep)) }
    }

    /// The TCI of the VLAN tag that the NIC took out of the bytes.
    #[inline(always)]
    pub fn stripped_vlan(&self) -> Option<u16> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_VLAN_STRIPPED != 0).then(|| self.head().vlan_tci())
    }

    /// The TCI of the outer tag, when the NIC took two tags out of the bytes.
    #[inline(always)]
    pub fn stripped_qinq(&self) -> Option<u16> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_QINQ_STRIPPED != 0).then(|| self.head().vlan_tci_outer())
    }

    /// Sets or clears the stripped tag, as a NIC (or a model of one) does on receive.
    pub fn set_stripped_vlan(&mut self, tci: Option<u16>) {
        let flags = dpdk_sys::MBUF_F_RX_VLAN | dpdk_sys::MBUF_F_RX_VLAN_STRIPPED;
        match tci {
            Some(tci) => {
                // SAFETY: a u16 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_VLAN_TCI, tci) };
                self.change_flags(0, flags);
            }
            None => self.change_flags(flags, 0),
        }
    }

    /// The mark that a flow rule's MARK action left (`RX_FDIR_ID`).
    #[inline(always)]
    pub fn mark(&self) -> Option<u32> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_FDIR_ID != 0).then(|| self.head().fdir_id())
    }

    /// Sets or clears the mark.
    #[inline]
    pub fn set_mark(&mut self, mark: Option<u32>) {
        match mark {
            Some(id) => {
                // SAFETY: a u32 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_FDIR_ID, id) };
                self.change_flags(0, dpdk_sys::MBUF_F_RX_FDIR | dpdk_sys::MBUF_F_RX_FDIR_ID);
            }
            None => self.change_flags(dpdk_sys::MBUF_F_RX_FDIR_ID, 0),
        }
    }

    /// Whether a flow rule's FLAG or MARK action met the packet (`RX_FDIR`).
    #[inline(always)]
    pub fn flag(&self) -> bool {
        self.ol_flags() & dpdk_sys::MBUF_F_RX_FDIR != 0
    }

    /// Sets or clears the flag.
    pub fn set_flag(&mut self, on: bool) {
        self.change_flags(dpdk_sys::MBUF_F_RX_FDIR, if on { dpdk_sys::MBUF_F_RX_FDIR } else { 0 });
    }

    /// The NIC's RSS hash.
    #[inline(always)]
    pub fn rss_hash(&self) -> Option<u32> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_RSS_HASH != 0).then(|| self.head().rss())
    }

    /// Sets or clears the RSS hash.
    pub fn set_rss_hash(&mut self, hash: Option<u32>) {
        match hash {
            Some(hash) => {
                // SAFETY: a u32 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_RSS_HASH, hash) };
                self.change_flags(0, dpdk_sys::MBUF_F_RX_RSS_HASH);
            }
            None => self.change_flags(dpdk_sys::MBUF_F_RX_RSS_HASH, 0),
        }
    }

    /// What the NIC says of the IPv4 header checksum: `Some(true)` right, `Some(false)` wrong, `None` not checked.
    #[inline(always)]
    pub fn ip_checksum_ok(&self) -> Option<bool> {
        checksum(
            self.ol_flags() & dpdk_sys::MBUF_F_RX_IP_CKSUM_MASK,
            dpdk_sys::MBUF_F_RX_IP_CKSUM_GOOD,
            dpdk_sys::MBUF_F_RX_IP_CKSUM_BAD,
        )
    }

    /// What the NIC says of the TCP or UDP checksum, as [`Mbuf::ip_checksum_ok`].
    #[inline(always)]
    pub fn l4_checksum_ok(&self) -> Option<bool> {
        checksum(
            self.ol_flags() & dpdk_sys::MBUF_F_RX_L4_CKSUM_MASK,
            dpdk_sys::MBUF_F_RX_L4_CKSUM_GOOD,
            dpdk_sys::MBUF_F_RX_L4_CKSUM_BAD,
        )
    }

    /// Forgets all metadata: marks, tags, hash, checksum states, transmit requests and the packet type. The bytes stay.
    #[inline]
    pub fn clear_metadata(&mut self) {
        self.change_flags(u64::MAX, 0);
        // SAFETY: members of our own header.
        unsafe {
            self.head().set(dpdk_sys::MBUF_PACKET_TYPE, 0u32);
            self.head().set(dpdk_sys::MBUF_TX_OFFLOAD, 0u64);
        }
    }
}

#[inline(always)]
fn checksum(state: u64, good: u64, bad: u64) -> Option<bool> {
    // Both bits mean "none": the packet has no checksum in its bytes but its data is verified (virtio).
    if state == good {
        Some(true)
    } else if state == bad {
        Some(false)
    } else {
        None
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch faults on no address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
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
