//! Helpers for tests of this crate and of those above it.

use std::sync::OnceLock;

use crate::{Eal, EalConfig, HugePages, Mempool, MempoolConfig};

/// The EAL that all tests of a process share: ordinary pages, no PCI, no privileges, 512 MiB.
///
/// # Panics
/// When DPDK cannot be initialised: no test can go on without it.
pub fn eal() -> &'static Eal {
    static SHARED: OnceLock<&'static Eal> = OnceLock::new();
    SHARED.get_or_init(|| {
        let config = EalConfig { huge_pages: HugePages::Never, ..EalConfig::default() };
        #[expect(clippy::panic, reason = "a test cannot go on without DPDK")]
        Eal::init(config).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// A pool of `size` packet buffers with the default data room.
///
/// # Panics
/// When the memory of [`eal`] is used up.
pub fn mempool(size: u32) -> Mempool {
    let config = MempoolConfig { size, ..MempoolConfig::default() };
    #[expect(clippy::panic, reason = "a test cannot go on without buffers")]
    Mempool::new(eal(), "test", config).unwrap_or_else(|e| panic!("{e}"))
}
