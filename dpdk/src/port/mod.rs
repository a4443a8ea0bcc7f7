//! Ports: attach, configure, start, hand out queues, stop, close.
//!
//! - `types`: what a port is asked for and answers, plain data; `error`: what it refuses;
//! - `setup`: queues, descriptors, MTU, offloads, checked against the device's limits before DPDK hears of them;
//! - `device`: counters, link, addresses, flow control; `events`: what a device tells by itself (link changes, its removal).

mod device;
mod error;
mod events;
mod setup;
mod types;

pub use error::PortError;
pub use events::Removal;
pub use types::{
    DescriptorLimits, FlowControl, Link, PortConfig, PortInfo, PortSetup, PortStats, RxMetadata, RxOffloads,
    SwitchInfo, TxOffloads,
};

use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::eal::Eal;
use crate::errno::Errno;
use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};
use crate::ring::{RingConsumer, RingProducer};

/// Most ports that this build of DPDK holds (`RTE_MAX_ETHPORTS`).
pub const MAX_PORTS: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Attached,
    Configured,
    Started,
    Closed,
}

#[derive(Debug)]
struct Control {
    phase: Phase,
    /// What is in force since the last [`Port::configure`].
    setup: Option<PortSetup>,
    /// What the driver delivers with packets, if it was asked.
    metadata: Option<RxMetadata>,
    /// How often it was stopped: most drivers forget their flow rules then.
    stops: u64,
    /// Pools that descriptors may point into: kept until other queues took their place, or the port is closed.
    pools: Vec<Mempool>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: u16,
    pub(crate) queues_out: AtomicUsize,
    name: String,
    control: Mutex<Control>,
    /// Ends of rings that a ring port uses in their owner's place: only kept.
    rings: Mutex<(Vec<RingConsumer>, Vec<RingProducer>)>,
}

/// A handle to an Ethernet device, `Send + Sync`; clones are handles to the same device. The last one (queues count) closes it and
/// removes its device.
#[derive(Clone, Debug)]
pub struct Port(pub(crate) Arc<Inner>);

/// Which ids have an [`Inner`]; also serialises attach and detach, which DPDK does not allow at the same time.
static OWNED: Mutex<[bool; MAX_PORTS]> = Mutex::new([false; MAX_PORTS]);

fn owned() -> MutexGuard<'static, [bool; MAX_PORTS]> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_room(name: &str) -> Result<(), PortError> {
    // SAFETY: reads a global.
    if usize::from(unsafe { dpdk_sys::rte_eth_dev_count_total() }) >= MAX_PORTS {
        return Err(PortError::TooManyPorts { name: name.to_owned(), limit: MAX_PORTS });
    }
    Ok(())
}

fn c_name(name: &str) -> Result<CString, PortError> {
    let bad = |reason: &str| PortError::BadName { name: name.to_owned(), reason: reason.to_owned() };
    if name.trim().is_empty() {
        return Err(bad("it is empty"));
    }
    CString::new(name).map_err(|_| bad("it holds a NUL byte"))
}

fn attach_remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::EFAULT | Errno::ENODEV | Errno::ENOENT | Errno::EINVAL => {
            "no driver accepts this name and these arguments, or the device is not there: check the spelling, the driver \
             packages (librte-net-*) and, for PCI, the allow list and the kernel driver"
        }
        Errno::EEXIST => "the device is attached already: use its port or choose another name",
        Errno::ENOMEM => "DPDK's memory is used up: give EAL more",
        Errno::EACCES | Errno::EPERM => "the device needs more privileges",
        _ => "DPDK's log has the details",
    }
}

impl Port {
    /// Attaches a device by its devargs: a vdev (`net_pcap0,rx_pcap=x.pcap`), a PCI address with arguments, a representor.
    ///
    /// # Errors
    /// [`PortError::TooManyPorts`], [`PortError::Attach`], [`PortError::BadName`].
    pub fn attach(_eal: &'static Eal, devargs: &str) -> Result<Port, PortError> {
        let c_devargs = c_name(devargs)?;
        let fail = |errno| PortError::Attach { devargs: devargs.to_owned(), errno, remedy: attach_remedy(errno) };
        let mut owned = owned();
        check_room(devargs)?;
        // SAFETY: EAL is initialised, the string is NUL-terminated, the lock serialises probing.
        Errno::check(unsafe { dpdk_sys::rte_dev_probe(c_devargs.as_ptr()) }).map_err(fail)?;
        // SAFETY: as above; the array has RTE_MAX_ETHPORTS entries.
        let found = unsafe { dpdk_sys::dpdk_shim_matching_port(c_devargs.as_ptr(), owned.as_ptr()) };
        let id = Errno::check(found).map_err(fail)? as u16;
        owned[usize::from(id)] = true;
        Ok(Self::adopt(id, devargs, (Vec::new(), Vec::new())))
    }

    /// Makes a port of rings (driver net_ring): it receives from `rx` and sends into `tx`, one queue a ring.
    ///
    /// The driver passes packets by pointer: it sets no [`crate::Mbuf::port`], counts no bytes, and leaves metadata as it is.
    ///
    /// # Errors
    /// [`PortError::TooManyPorts`], [`PortError::Attach`], [`PortError::BadName`] (the name has 20 bytes at most and is unique).
    pub fn from_rings(
        _eal: &'static Eal,
        name: &str,
        rx: Vec<RingConsumer>,
        tx: Vec<RingProducer>,
    ) -> Result<Port, PortError> {
        const LONGEST: usize = 20;
        let c_ring_name = c_name(name)?;
        if name.len() > LONGEST {
            let reason = format!("a ring port's name has {LONGEST} bytes at most");
            return Err(PortError::BadName { name: name.to_owned(), reason });
        }
        let fail = |errno| PortError::Attach { devargs: name.to_owned(), errno, remedy: attach_remedy(errno) };
        let mut owned = owned();
        check_room(name)?;
        let rx_raw: Vec<_> = rx.iter().map(RingConsumer::as_ptr).collect();
        let tx_raw: Vec<_> = tx.iter().map(RingProducer::as_ptr).collect();
        // SAFETY: EAL is initialised; the driver copies the name and the arrays, and the rings live as long as the port keeps them.
        let id = unsafe {
            dpdk_sys::rte_eth_from_rings(
                c_ring_name.as_ptr(),
                rx_raw.as_ptr(),
                rx_raw.len() as u32,
                tx_raw.as_ptr(),
                tx_raw.len() as u32,
                0,
            )
        };
        let id = if id < 0 { Err(fail(Errno::last())) } else { Ok(id as u16) }?;
        owned[usize::from(id)] = true;
        Ok(Self::adopt(id, name, (rx, tx)))
    }

    fn adopt(id: u16, name: &str, rings: (Vec<RingConsumer>, Vec<RingProducer>)) -> Port {
        events::listen(id);
        Port(Arc::new(Inner {
            id,
            queues_out: AtomicUsize::new(0),
            name: name.to_owned(),
            control: Mutex::new(Control {
                phase: Phase::Attached,
                setup: None,
                metadata: None,
                stops: 0,
                pools: Vec::new(),
            }),
            rings: Mutex::new(rings),
        }))
    }

    /// DPDK's id of the port.
    pub fn id(&self) -> u16 {
        self.0.id
    }

    /// The devargs or the name it was made with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn error(&self, operation: &'static str, errno: Errno) -> PortError {
        PortError::Device { name: self.0.name.clone(), operation, errno }
    }

    fn check(&self, operation: &'static str, ret: i32) -> Result<(), PortError> {
        Errno::check(ret).map(drop).map_err(|errno| self.error(operation, errno))
    }

    fn state(&self, state: &'static str, remedy: &'static str) -> PortError {
        PortError::State { name: self.0.name.clone(), state, remedy }
    }

    fn unsupported(&self, info: &PortInfo, what: String) -> PortError {
        PortError::Unsupported { name: self.0.name.clone(), driver: info.driver.clone(), what }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.0.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raw_info(&self) -> Result<dpdk_sys::rte_eth_dev_info, PortError> {
        // SAFETY: plain data, all-zero is valid.
        let mut info: dpdk_sys::rte_eth_dev_info = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open, `info` is writable.
        self.check("rte_eth_dev_info_get", unsafe { dpdk_sys::rte_eth_dev_info_get(self.0.id, &mut info) })?;
        Ok(info)
    }

    /// What the device can do.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn info(&self) -> Result<PortInfo, PortError> {
        Ok(PortInfo::from_raw(&self.raw_info()?))
    }

    /// Starts the device.
    ///
    /// # Errors
    /// [`PortError::State`] unless it is configured, [`PortError::Device`].
    pub fn start(&self) -> Result<(), PortError> {
        let mut control = self.control();
        match control.phase {
            Phase::Started => return Err(self.state("running", "it need not be started again")),
            Phase::Configured => {}
            Phase::Attached | Phase::Closed => {
                return Err(self.state("not configured", "configure it before the start"));
            }
        }
        // SAFETY: the port is configured.
        self.check("rte_eth_dev_start", unsafe { dpdk_sys::rte_eth_dev_start(self.0.id) })?;
        control.phase = Phase::Started;
        Ok(())
    }

    /// Hands out all queues of the running port, in order. They can be taken again when all of them were dropped.
    ///
    /// # Errors
    /// [`PortError::State`] unless it runs, [`PortError::InUse`] while queues are out.
    pub fn take_queues(&self) -> Result<(Vec<RxQueue>, Vec<TxQueue>), PortError> {
        let control = self.control();
        if control.phase != Phase::Started {
            return Err(self.state("not running", "start it before its queues are used"));
        }
        self.check_no_queues()?;
        let Some(setup) = &control.setup else { return Ok((Vec::new(), Vec::new())) };
        Ok((
            (0..setup.rx_queues).map(|q| RxQueue::new(&self.0, q)).collect(),
            (0..setup.tx_queues).map(|q| TxQueue::new(&self.0, q, setup.tx_offloads)).collect(),
        ))
    }

    fn check_no_queues(&self) -> Result<(), PortError> {
        // Acquire pairs with the release of a queue that comes back.
        let queues = self.0.queues_out.load(Ordering::Acquire);
        if queues == 0 {
            return Ok(());
        }
        let handles = Arc::strong_count(&self.0).saturating_sub(1 + queues);
        Err(PortError::InUse { name: self.0.name.clone(), queues, handles })
    }

    /// Stops the device. All queues must be back, since nobody may poll a stopped port.
    ///
    /// # Errors
    /// [`PortError::InUse`], [`PortError::Device`].
    pub fn stop(&self) -> Result<(), PortError> {
        let mut control = self.control();
        if control.phase != Phase::Started {
            return Ok(());
        }
        self.check_no_queues()?;
        // SAFETY: the port is started and no queue is out; the lock keeps it so.
        self.check("rte_eth_dev_stop", unsafe { dpdk_sys::rte_eth_dev_stop(self.0.id) })?;
        control.phase = Phase::Configured;
        control.stops += 1;
        Ok(())
    }

    /// Runs `f` while no other thread configures, starts or stops the port, with the number of stops so far. Flow rules made
    /// before a stop are gone after it, unless [`PortInfo::keeps_flow_rules`].
    pub fn serialised<R>(&self, f: impl FnOnce(u64) -> R) -> R {
        let control = self.control();
        f(control.stops)
    }

    /// Stops and closes the port and removes its device, telling what went wrong (dropping the last handle does it silently).
    ///
    /// # Errors
    /// [`PortError::InUse`] when other handles or queues exist: the port stays open with them.
    pub fn close(self) -> Result<(), PortError> {
        let name = self.0.name.clone();
        let queues = self.0.queues_out.load(Ordering::Acquire);
        let handles = Arc::strong_count(&self.0).saturating_sub(1 + queues);
        match Arc::into_inner(self.0) {
            Some(mut inner) => inner.shut().map_err(|(operation, errno)| PortError::Device { name, operation, errno }),
            None => Err(PortError::InUse { name, queues, handles }),
        }
    }
}

impl Inner {
    /// Stops, closes, removes. Called once, when no queue is out (they hold the port).
    fn shut(&mut self) -> Result<(), (&'static str, Errno)> {
        let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        if control.phase == Phase::Closed {
            return Ok(());
        }
        let started = std::mem::replace(&mut control.phase, Phase::Closed) == Phase::Started;
        let mut owned = owned();
        let mut result = Ok(());
        let mut note = |operation, ret| {
            if let (Err(errno), true) = (Errno::check(ret), result.is_ok()) {
                result = Err((operation, errno));
            }
        };
        // SAFETY: plain data, all-zero is valid.
        let mut info: dpdk_sys::rte_eth_dev_info = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open; `owned` serialises attach and detach; no queue is out.
        unsafe {
            events::unlisten(self.id);
            let have_info = dpdk_sys::rte_eth_dev_info_get(self.id, &mut info) == 0;
            // A device with other ports (representors) stays until its last port.
            let alone = have_info && dpdk_sys::dpdk_shim_sibling_ports(self.id) <= 1;
            if started {
                note("rte_eth_dev_stop", dpdk_sys::rte_eth_dev_stop(self.id));
            }
            note("rte_eth_dev_close", dpdk_sys::rte_eth_dev_close(self.id));
            if alone && !info.device.is_null() {
                note("rte_dev_remove", dpdk_sys::dpdk_shim_remove_device_of(info.device));
            }
        }
        owned[usize::from(self.id)] = false;
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to tell; `Port::close` is for those who want to know.
        let _ = self.shut();
    }
}

#[cfg(test)]
mod tests;
