//! What threads share, for the code that makes them agree: fences, records, counters, the registry.
//!
//! These files say `super::sync`, not `crate::sync`, because they are compiled a second time, unchanged, in `tests::models`, where
//! these names are loom's (docs/adr/0012).

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
}

/// Records made at a time.
pub(crate) const ARENA_CHUNK: usize = 1024;
