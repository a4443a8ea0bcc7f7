//! Pools of packet buffers.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dpdk_sys::rte_mempool;

use crate::batch::MbufBatch;
use crate::eal::{Eal, heap_bytes};
use crate::errno::Errno;
use crate::hugepages::free_hugepage_mib;
use crate::mbuf::{Mbuf, MbufError};

/// Bytes of headroom in each buffer (`RTE_PKTMBUF_HEADROOM`).
pub const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;

/// Bytes of a buffer that hold data and headroom by default: 128 of headroom and 2,048 of frame.
pub const DEFAULT_DATA_ROOM: u16 = dpdk_sys::RTE_MBUF_DEFAULT_BUF_SIZE as u16;

/// How to make a [`Mempool`].
#[derive(Clone, Copy, Debug)]
pub struct MempoolConfig {
    /// Number of buffers. 2^n - 1 uses memory best.
    pub size: u32,
    /// Bytes a buffer for headroom and data.
    pub data_room: u16,
    /// Buffers a registered thread may keep in its cache (0 to 512, at most `size` / 1.5).
    pub cache: u32,
    /// NUMA node, or `None` for any.
    pub socket: Option<u32>,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        MempoolConfig { size: 8191, data_room: DEFAULT_DATA_ROOM, cache: 256, socket: None }
    }
}

/// Why a pool could not be made.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum MempoolError {
    /// DPDK's memory is used up.
    #[error(
        "mempool {label:?} of {size} buffers needs {need} bytes and {have} bytes of DPDK's memory are free; \
         give EAL more memory or use fewer buffers"
    )]
    NoMemory {
        /// The pool's label.
        label: String,
        /// Buffers asked for.
        size: u32,
        /// Bytes needed.
        need: u64,
        /// Bytes free now (huge pages that EAL could still take included).
        have: u64,
    },
    /// The configuration makes no pool.
    #[error("mempool {label:?}: {reason}")]
    Config {
        /// The pool's label.
        label: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// DPDK refused.
    #[error("mempool {label:?} cannot be created: {errno}")]
    Create {
        /// The pool's label.
        label: String,
        /// The reason.
        errno: Errno,
    },
}

/// A pool of packet buffers: a shared handle.
///
/// When the last handle is dropped the pool is freed if all its buffers are back. Otherwise it is kept for ever, on
/// purpose: a buffer that outlives its pool would be written to after it is freed. Queues and ports keep a handle;
/// single packets do not, since that would cost a counter a packet.
#[derive(Clone, Debug)]
pub struct Mempool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raw: NonNull<rte_mempool>,
    label: String,
    size: u32,
    data_room: u16,
    socket: Option<u32>,
}

// Why a pool may be sent and shared: the pools made here use DPDK's default multi-producer, multi-consumer ring, and
// a per-lcore cache is only touched by the thread that has that lcore id. Audit of every use of `raw` through
// `&self`:
// - alloc, alloc_batch: rte_mempool get, multi-consumer safe;
// - available, in_use: rte_mempool_avail_count reads counters (a snapshot, exact when nobody is working);
// - clone, deep_copy in mbuf.rs: get as above;
// - the fields beside `raw` are immutable. Freeing happens in Drop of the last handle, behind the delay of `graveyard`.

// SAFETY: a pool belongs to no thread, as the audit above shows.
unsafe impl Send for Inner {}
// SAFETY: all that `&self` reaches is safe from several threads at a time, as the audit above shows.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Makes a pool. `label` is for people: it need not be unique.
    ///
    /// # Errors
    /// [`MempoolError`]; a lack of memory tells the bytes needed and free.
    pub fn new(_eal: &'static Eal, label: &str, config: MempoolConfig) -> Result<Self, MempoolError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let bad = |reason: String| MempoolError::Config { label: label.to_owned(), reason };
        if config.size == 0 {
            return Err(bad("it needs at least one buffer".into()));
        }
        let max_cache = dpdk_sys::RTE_MEMPOOL_CACHE_MAX_SIZE;
        if config.cache > max_cache {
            return Err(bad(format!("a cache holds {max_cache} buffers at most, not {}", config.cache)));
        }
        if u32::from(config.data_room) <= dpdk_sys::RTE_PKTMBUF_HEADROOM {
            return Err(bad(format!("data_room must be more than the headroom of {}", dpdk_sys::RTE_PKTMBUF_HEADROOM)));
        }
        // A cache of a pool this small would only hide buffers from the other threads; DPDK refuses more than size / 1.5.
        let cache = config.cache.min(config.size.saturating_mul(2) / 3).min(config.size / 4);
        graveyard::reap();

        let name = CString::new(format!("shunt{}", SERIAL.fetch_add(1, Ordering::Relaxed)))
            .map_err(|_| bad("its name holds a NUL byte".into()))?;
        let socket = config.socket.map_or(-1, |s| s as i32);
        // SAFETY: EAL is initialised (`_eal`), the name is NUL-terminated and copied by DPDK.
        let create = || unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(name.as_ptr(), config.size, cache, 0, config.data_room, socket)
        };
        let no_memory =
            |need| MempoolError::NoMemory { label: label.to_owned(), size: config.size, need, have: memory_left() };
        // Asked for more than there is, DPDK first takes all of it from everybody else.
        let need = Self::bytes_needed(&config);
        if need > memory_left() && !(graveyard::reap_all() && need <= memory_left()) {
            return Err(no_memory(need));
        }
        let mut raw = NonNull::new(create());
        if raw.is_none() && graveyard::reap_all() {
            raw = NonNull::new(create());
        }
        match raw {
            Some(raw) => Ok(Mempool(Arc::new(Inner {
                raw,
                label: label.to_owned(),
                size: config.size,
                data_room: config.data_room,
                socket: config.socket,
            }))),
            // The pool's ring of free buffers answers ENOBUFS for want of memory.
            None => Err(match Errno::last() {
                Errno::ENOMEM | Errno::ENOBUFS => no_memory(need),
                errno => MempoolError::Create { label: label.to_owned(), errno },
            }),
        }
    }

    /// Bytes of DPDK's memory that one buffer takes: the pool's header, the mbuf, the data room, DPDK's padding.
    pub fn bytes_a_buffer(data_room: u16) -> u32 {
        let element = dpdk_sys::MBUF_SIZE + u32::from(data_room);
        // SAFETY: pure computation; a null third argument is allowed.
        unsafe { dpdk_sys::rte_mempool_calc_obj_size(element, 0, std::ptr::null_mut()) }
    }

    /// Bytes of DPDK's memory that a pool takes: buffers, the ring of free ones, the caches.
    pub fn bytes_needed(config: &MempoolConfig) -> u64 {
        let object = Self::bytes_a_buffer(config.data_room);
        let ring = u64::from(config.size).saturating_add(1).next_power_of_two() * 8;
        let caches = if config.cache > 0 { u64::from(dpdk_sys::RTE_MAX_LCORE) * 8 * 1056 } else { 0 };
        u64::from(config.size) * u64::from(object) + ring + caches
    }

    /// The label given when it was made.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Number of buffers in all.
    pub fn size(&self) -> u32 {
        self.0.size
    }

    /// Bytes a buffer for headroom and data.
    pub fn data_room(&self) -> u16 {
        self.0.data_room
    }

    /// Bytes of frame that a buffer holds: its data room without the headroom.
    pub fn frame_room(&self) -> u16 {
        self.0.data_room.saturating_sub(dpdk_sys::RTE_PKTMBUF_HEADROOM as u16)
    }

    /// The NUMA node asked for.
    pub fn socket(&self) -> Option<u32> {
        self.0.socket
    }

    /// Handles to this pool, this one included: those of ports and of whoever makes packets.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Buffers that are free now, those in thread caches included. Walks all caches: not for the fast path.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is live.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Buffers that are out now: in queues, rings, batches.
    pub fn in_use(&self) -> u32 {
        self.0.size.saturating_sub(self.available())
    }

    /// Whether every buffer is back.
    pub fn is_full(&self) -> bool {
        self.available() == self.0.size
    }

    /// One empty packet.
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`].
    pub fn alloc(&self) -> Result<Mbuf, MbufError> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: room for one pointer; the pool is live.
        let ret = unsafe { dpdk_sys::dpdk_shim_mbuf_alloc_bulk(self.as_ptr(), &mut raw, 1) };
        let raw = NonNull::new(raw).filter(|_| ret == 0).ok_or_else(|| self.empty())?;
        // SAFETY: a freshly allocated, initialised mbuf that nobody else has.
        Ok(unsafe { Mbuf::from_raw(raw) })
    }

    /// Appends `n` empty packets to a batch, all or none; one call.
    ///
    /// # Errors
    /// [`MbufError::PoolEmpty`], [`MbufError::BatchFull`].
    pub fn alloc_batch(&self, batch: &mut MbufBatch, n: usize) -> Result<(), MbufError> {
        let room = batch.spare().len();
        if n > room {
            return Err(MbufError::BatchFull { need: n, have: room });
        }
        // SAFETY: `spare` has room for n pointers; the pool is live.
        let ret =
            unsafe { dpdk_sys::dpdk_shim_mbuf_alloc_bulk(self.as_ptr(), batch.spare().as_mut_ptr().cast(), n as u32) };
        if ret != 0 {
            return Err(self.empty());
        }
        // SAFETY: the call above filled n entries with mbufs that nobody else has.
        unsafe { batch.grow(n) };
        Ok(())
    }

    pub(crate) fn empty(&self) -> MbufError {
        MbufError::PoolEmpty { pool: self.0.label.clone() }
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_mempool {
        self.0.raw.as_ptr()
    }
}

/// Pools that nobody has a handle to and whose buffers are not all back yet, or rest: their memory is not free.
pub fn pools_waiting() -> usize {
    graveyard::reap();
    graveyard::waiting()
}

/// Bytes that DPDK can still give: its heap, and the huge pages it could take.
pub fn memory_left() -> u64 {
    let more = if Eal::get().is_some_and(Eal::uses_huge_pages) { free_hugepage_mib() << 20 } else { 0 };
    heap_bytes().0 + more
}

impl Drop for Inner {
    fn drop(&mut self) {
        graveyard::bury(self.raw, self.size);
    }
}

/// Waits for pools that are on their way to be freed; whether there were any, so that it is worth to ask for memory again.
pub(crate) fn wait_for_freed_pools() -> bool {
    graveyard::reap_all()
}

/// Pools without handles, waiting to be freed.
///
/// A pool that looks full may still be inside the last put of another thread: a cache's length grows before its entries are
/// written. So a pool is freed only when it is full and was already full a while ago, longer than any put takes.
mod graveyard {
    use super::*;

    struct Grave {
        raw: NonNull<rte_mempool>,
        size: u32,
        full_since: Option<Instant>,
    }
    // SAFETY: a grave is the only owner of its pool, and the list is behind a mutex.
    unsafe impl Send for Grave {}

    const REST: Duration = Duration::from_millis(50);
    static GRAVES: Mutex<Vec<Grave>> = Mutex::new(Vec::new());

    pub(super) fn bury(raw: NonNull<rte_mempool>, size: u32) {
        GRAVES.lock().unwrap_or_else(PoisonError::into_inner).push(Grave { raw, size, full_since: None });
        reap();
    }

    /// Frees what has rested long enough; returns how many rest and are full.
    pub(super) fn reap() -> usize {
        let mut resting = 0;
        GRAVES.lock().unwrap_or_else(PoisonError::into_inner).retain_mut(|grave| {
            // SAFETY: the pool is live until it is freed below, which also removes it from the list.
            if unsafe { dpdk_sys::rte_mempool_avail_count(grave.raw.as_ptr()) } != grave.size {
                grave.full_since = None;
                return true;
            }
            let since = *grave.full_since.get_or_insert_with(Instant::now);
            if since.elapsed() < REST {
                resting += 1;
                return true;
            }
            // SAFETY: no handle is left, all buffers are back and have been for longer than a put takes.
            unsafe { dpdk_sys::rte_mempool_free(grave.raw.as_ptr()) };
            false
        });
        resting
    }

    pub(super) fn waiting() -> usize {
        GRAVES.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for what rests; says whether anything was, by whomever, freed meanwhile.
    pub(super) fn reap_all() -> bool {
        let resting = reap();
        if resting > 0 {
            std::thread::sleep(REST + Duration::from_millis(1));
            reap();
            return true;
        }
        false
    }

    #[cfg(test)]
    pub(super) fn holds(raw: NonNull<rte_mempool>) -> bool {
        GRAVES.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|g| g.raw == raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn too_large_a_pool_says_need_and_have() {
        let config = MempoolConfig { size: 4_000_000, ..MempoolConfig::default() };
        match Mempool::new(testing::eal(), "huge", config) {
            Err(MempoolError::NoMemory { label, size, need, have }) => {
                assert_eq!((label.as_str(), size), ("huge", 4_000_000));
                assert!(need > 4_000_000 * 2176 && have < need && have > 0, "need {need} have {have}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pool_that_the_estimate_allows_can_be_made_and_it_uses_no_more() {
        let config = MempoolConfig { size: 8191, ..MempoolConfig::default() };
        let need = Mempool::bytes_needed(&config);
        // 128 bytes of mbuf, 2,176 of room, the object header; 5 % for the ring and 1.1 MB for caches.
        let (least, most) = (8191.0 * (128.0 + 2176.0), 8191.0 * (128.0 + 2176.0 + 128.0) * 1.05 + 1.2e6);
        assert!(need as f64 > least && (need as f64) < most, "need {need}, expected {least} to {most}");
        assert!(Mempool::new(testing::eal(), "sized", config).unwrap().is_full());
    }

    #[test]
    fn an_empty_pool_is_an_error_and_dropping_fills_it() {
        let pool = testing::mempool(7);
        let all: Vec<Mbuf> = (0..7).map(|_| pool.alloc().unwrap()).collect();
        assert_eq!(pool.alloc().unwrap_err(), MbufError::PoolEmpty { pool: "test".into() });
        assert_eq!((pool.available(), pool.in_use()), (0, 7));
        drop(all);
        assert!(pool.is_full());
    }

    #[test]
    fn a_pool_outlives_its_handles_while_packets_are_out() {
        let pool = testing::mempool(7);
        let raw = pool.0.raw;
        let mut packet = pool.alloc().unwrap();
        drop(pool);
        graveyard::reap_all();
        assert!(graveyard::holds(raw), "freed under a live packet");
        packet.append(3).unwrap().copy_from_slice(b"abc");
        assert_eq!(packet.data(), b"abc");
        drop(packet);
        for _ in 0..100 {
            graveyard::reap_all();
            if !graveyard::holds(raw) {
                return;
            }
        }
        panic!("never freed");
    }

    #[test]
    fn bad_configurations_are_refused() {
        let eal = testing::eal();
        for config in [
            MempoolConfig { size: 0, ..MempoolConfig::default() },
            MempoolConfig { cache: 1000, ..MempoolConfig::default() },
            MempoolConfig { data_room: 100, ..MempoolConfig::default() },
        ] {
            assert!(matches!(Mempool::new(eal, "bad", config), Err(MempoolError::Config { .. })), "{config:?}");
        }
    }
}
