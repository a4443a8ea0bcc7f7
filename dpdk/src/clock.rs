//! The cycle counter, for busy-time accounting and rate meters.

/// The time stamp counter: one instruction, constant rate ([`tsc_hz`]), not ordered against other instructions.
#[inline(always)]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: rdtsc exists on every x86-64.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads the virtual counter, which Linux lets user space read.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // SAFETY: reads a counter.
        unsafe { dpdk_sys::dpdk_shim_rdtsc() }
    }
}

/// Ticks of [`cycles`] a second, as DPDK measured it. Needs an initialised EAL, hence the argument.
pub fn tsc_hz(_eal: &crate::Eal) -> u64 {
    // SAFETY: reads a global that EAL has set.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}
