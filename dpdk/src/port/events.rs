//! What a device tells by itself, and how its unplugging is found out.
//!
//! DPDK calls back on its interrupt thread, where nothing may be closed: the callback leaves a mark, and whoever manages the port
//! asks [`Port::removal`] now and then.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{MAX_PORTS, Port};

/// How a device went that nobody here took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The driver said so (`RTE_ETH_EVENT_INTR_RMV`).
    Reported,
    /// The driver answers that the device does not respond (`rte_eth_dev_is_removed`).
    Silent,
    /// The kernel's interface that the driver works on does not exist any more.
    Interface,
}

impl std::fmt::Display for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Removal::Reported => "the driver reported that the device was removed",
            Removal::Silent => "the device does not respond any more",
            Removal::Interface => "its network interface does not exist any more",
        })
    }
}

struct Marks {
    removed: AtomicBool,
    link_changes: AtomicU64,
}

static MARKS: [Marks; MAX_PORTS] =
    [const { Marks { removed: AtomicBool::new(false), link_changes: AtomicU64::new(0) } }; MAX_PORTS];

const HEARD: [dpdk_sys::rte_eth_event_type; 2] = [dpdk_sys::RTE_ETH_EVENT_INTR_RMV, dpdk_sys::RTE_ETH_EVENT_INTR_LSC];

/// Touches atomics only: it runs on DPDK's interrupt thread, under DPDK's locks.
unsafe extern "C" fn note(
    port: u16,
    event: dpdk_sys::rte_eth_event_type,
    _arg: *mut c_void,
    _ret: *mut c_void,
) -> c_int {
    if let Some(marks) = MARKS.get(usize::from(port)) {
        match event {
            dpdk_sys::RTE_ETH_EVENT_INTR_RMV => marks.removed.store(true, Ordering::Release),
            dpdk_sys::RTE_ETH_EVENT_INTR_LSC => {
                marks.link_changes.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
    0
}

#[cfg(test)]
pub(super) fn note_for_tests(port: u16, event: dpdk_sys::rte_eth_event_type) {
    // SAFETY: the function looks at neither pointer.
    assert_eq!(unsafe { note(port, event, std::ptr::null_mut(), std::ptr::null_mut()) }, 0);
}

/// Hears of a new port's events.
pub(super) fn listen(port: u16) {
    MARKS[usize::from(port)].removed.store(false, Ordering::Release);
    MARKS[usize::from(port)].link_changes.store(0, Ordering::Relaxed);
    for event in HEARD {
        // SAFETY: the port was just made; `note` lives for ever. A failure (no memory) leaves events unheard, and the other ways of
        // `Port::removal` as they are.
        let _ = unsafe { dpdk_sys::rte_eth_dev_callback_register(port, event, Some(note), std::ptr::null_mut()) };
    }
}

/// Hears of them no longer; before the port is closed.
pub(super) fn unlisten(port: u16) {
    for event in HEARD {
        // SAFETY: the port is open. A callback that runs now is harmless: it touches statics only.
        let _ = unsafe { dpdk_sys::rte_eth_dev_callback_unregister(port, event, Some(note), std::ptr::null_mut()) };
    }
}

impl Port {
    /// Whether the device was taken away from under the port, and how that is known. Nothing was closed yet: drain the queues, then
    /// close the port. Asks the device: not for the fast path.
    #[must_use]
    pub fn removal(&self) -> Option<Removal> {
        if MARKS[usize::from(self.0.id)].removed.load(Ordering::Acquire) {
            return Some(Removal::Reported);
        }
        // SAFETY: the port is open.
        if unsafe { dpdk_sys::rte_eth_dev_is_removed(self.0.id) } == 1 {
            return Some(Removal::Silent);
        }
        let info = self.info().ok()?;
        // The other drivers of kernel interfaces work on through files of their own when the interface is moved to
        // another namespace.
        let by_socket = matches!(info.driver.as_str(), "net_af_packet" | "net_af_xdp");
        let gone = by_socket && info.if_index.is_some_and(|index| !interface_exists(index));
        gone.then_some(Removal::Interface)
    }

    /// How often the link changed since the port was attached; counted with [`super::PortConfig::link_interrupt`] only.
    #[must_use]
    pub fn link_changes(&self) -> u64 {
        MARKS[usize::from(self.0.id)].link_changes.load(Ordering::Relaxed)
    }
}

fn interface_exists(index: u32) -> bool {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    // Without a socket nothing can be told: the port stays.
    let Ok(any) = socket(AddressFamily::UNIX, SocketType::DGRAM, None) else { return true };
    !matches!(netdevice::index_to_name(&any, index), Err(rustix::io::Errno::NODEV | rustix::io::Errno::NXIO))
}
