//! DPDK made safe: the environment, memory pools, packets, rings, ports and queues.
//!
//! What it is for: the datapath and the mock NIC use DPDK through this crate without a line of `unsafe`. It adds no policy: every
//! refusal of DPDK is a typed error that names the object and the remedy.
//!
//! # Threads
//! - [`Eal::init`] runs DPDK's initialisation on a thread of its own, so its caller is not pinned to a CPU and does not become
//!   DPDK's main lcore. Threads that poll queues call [`Eal::register_thread`] to get a per-thread mempool cache.
//! - [`Port`] is a control handle, `Send + Sync`, serialised by a lock. [`RxQueue`] and [`TxQueue`] are `Send` but not `Sync`,
//!   and their bursts take `&mut self`: one thread polls one queue, as DPDK demands, and the compiler checks it.
//! - [`Mempool`] may be shared by all threads. [`Mbuf`] is owned by one thread at a time.
//!
//! # Invariants
//! - An [`Mbuf`] or [`MbufBatch`] that is dropped goes back to its pool; what a queue or ring takes is no longer owned here.
//!   Nothing is freed twice, nothing sent is kept.
//! - Bytes of a buffer are writable only when nobody else can see them ([`Mbuf::data_mut`] refuses shared buffers).
//! - A queue keeps its port open; a port keeps its pools and rings alive; a port stops only when all its queues are back.
//! - A pool whose packets are not all back is leaked on purpose rather than freed under them ([`Mempool`]).
//! - Per-packet code calls no C function: mbuf fields are reached by offsets that the C compiler computed. A burst costs one call.

mod batch;
mod clock;
mod eal;
mod errno;
pub mod hugepages;
pub mod log;
mod mbuf;
mod mempool;
mod metadata;
mod port;
mod prefetch;
mod queue;
mod ring;
pub mod testing;
mod thread;

pub use batch::{BURST, Drain, MbufBatch};
pub use clock::{cycles, tsc_hz};
pub use eal::{Eal, EalConfig, EalError, HugePages, LogLevel};
pub use errno::Errno;
pub use mbuf::{Mbuf, MbufError, Segments};
pub use mempool::{DEFAULT_DATA_ROOM, HEADROOM, Mempool, MempoolConfig, MempoolError, memory_left, pools_waiting};
pub use metadata::{BatchSummary, L4Checksum};
pub use port::{
    DescriptorLimits, FlowControl, Link, MAX_PORTS, Port, PortConfig, PortError, PortInfo, PortSetup, PortStats,
    Removal, RxMetadata, RxOffloads, SwitchInfo, TxOffloads,
};
pub use prefetch::prefetch;
pub use queue::{RxQueue, TxQueue};
pub use ring::{RingConsumer, RingError, RingMode, RingProducer, ring};
pub use thread::{RegisteredThread, ThreadError, pin_to_cpu};

/// The release of the DPDK in use, for example `DPDK 22.11.11`.
pub fn version() -> String {
    // SAFETY: rte_version returns a static NUL-terminated string and needs no initialisation.
    unsafe { std::ffi::CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
}
