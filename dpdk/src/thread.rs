//! Threads that poll: registration with DPDK and pinning.

use std::marker::PhantomData;

use crate::eal::Eal;
use crate::errno::Errno;

/// Why a thread could not be prepared.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ThreadError {
    /// The calling thread already has an lcore id.
    #[error("this thread is already registered with DPDK as lcore {lcore}; keep the first registration")]
    AlreadyRegistered {
        /// Its lcore id.
        lcore: u32,
    },
    /// `rte_thread_register` refused: too many threads, or a DPDK secondary process is attached.
    #[error("DPDK cannot register a thread: {errno}; it has ids for {limit} threads", limit = dpdk_sys::RTE_MAX_LCORE)]
    Register {
        /// The reason.
        errno: Errno,
    },
    /// The CPU does not exist or this process may not use it.
    #[error("cannot pin a thread to CPU {cpu}: {errno}; choose one of /sys/fs/cgroup/cpuset.cpus.effective")]
    Pin {
        /// The CPU.
        cpu: usize,
        /// The reason.
        errno: Errno,
    },
}

/// The calling thread's registration with DPDK; ends when dropped. It stays on its thread (not `Send`).
#[derive(Debug)]
pub struct RegisteredThread {
    lcore: u32,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl Eal {
    /// Registers the calling thread (`rte_thread_register`): it gets an lcore id and with it a cache in every mempool.
    ///
    /// # Errors
    /// [`ThreadError::AlreadyRegistered`], [`ThreadError::Register`].
    pub fn register_thread(&self) -> Result<RegisteredThread, ThreadError> {
        // SAFETY: reads a thread-local integer.
        let lcore = unsafe { dpdk_sys::dpdk_shim_lcore_id() };
        if lcore != dpdk_sys::LCORE_ID_ANY {
            return Err(ThreadError::AlreadyRegistered { lcore });
        }
        // SAFETY: EAL is initialised and this thread is not registered.
        if unsafe { dpdk_sys::rte_thread_register() } < 0 {
            return Err(ThreadError::Register { errno: Errno::last() });
        }
        // SAFETY: as above.
        let lcore = unsafe { dpdk_sys::dpdk_shim_lcore_id() };
        Ok(RegisteredThread { lcore, _stays_on_its_thread: PhantomData })
    }
}

impl RegisteredThread {
    /// The lcore id DPDK gave to this thread.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // SAFETY: this thread registered itself (not Send) and ends it once. Its mempool caches are its own until then; without
        // the flush their buffers would be out of reach until another thread gets the same lcore id.
        unsafe {
            dpdk_sys::dpdk_shim_mempool_flush_caches();
            dpdk_sys::rte_thread_unregister();
        }
    }
}

/// Pins the calling thread to one CPU.
///
/// # Errors
/// [`ThreadError::Pin`] when the CPU is not there or not allowed.
pub fn pin_to_cpu(cpu: usize) -> Result<(), ThreadError> {
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(ThreadError::Pin { cpu, errno: Errno::EINVAL });
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).map_err(|e| ThreadError::Pin { cpu, errno: Errno(e.raw_os_error()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_thread_registers_once_and_can_come_back() {
        let eal = testing::eal();
        std::thread::spawn(move || {
            let first = eal.register_thread().unwrap();
            assert!(first.lcore() < dpdk_sys::RTE_MAX_LCORE);
            let again = eal.register_thread().unwrap_err();
            assert_eq!(again, ThreadError::AlreadyRegistered { lcore: first.lcore() });
            drop(first);
            assert!(eal.register_thread().is_ok());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn pinning_to_a_missing_cpu_names_it() {
        assert!(matches!(pin_to_cpu(1_000_000), Err(ThreadError::Pin { cpu: 1_000_000, .. })));
    }
}
