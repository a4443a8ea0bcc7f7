//! Making, changing and removing ports.

use crate::device::Device;
use crate::error::KernelPortError;
use crate::io::{Io, Order};
use crate::pump::Pump;
use crate::spec::{Kind, Spec, check_mtu};
use crate::state::{Shared, State};
use crate::watch::{Ports, Watch, follow, links};
use dpdk::{Eal, Mempool, Port, PortConfig, RingMode, RingProducer, ring};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Packets that each of a port's two rings holds.
const RING: u32 = 1023;
/// Transmit queues, one for each worker of the switch: what the driver of ring ports has at most.
pub const TX_QUEUES: u16 = 16;
/// How long the removal of a port may take.
const REMOVAL: Duration = Duration::from_secs(2);

/// What to do about a device that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is an error.
    Refuse,
    /// The port is there, down, and its device is opened as soon as it can be.
    Wait,
}

/// All ports that face the kernel. Their threads start with the first port and end with this.
#[derive(Debug)]
pub struct KernelPorts {
    eal: &'static Eal,
    pool: Mempool,
    threads: Mutex<Option<Threads>>,
    watched: Ports,
}

/// Dropped in this order: the watch orders from the I/O thread.
#[derive(Debug)]
struct Threads {
    _watch: Watch,
    io: Arc<Io>,
}

/// A port. Its device is closed, and removed if we made it, when this is dropped.
#[derive(Debug)]
pub struct KernelPort {
    shared: Arc<Shared>,
    io: Arc<Io>,
    watched: Ports,
}

impl KernelPorts {
    /// No ports yet. Frames from the kernel go into buffers of `pool`.
    #[must_use]
    pub fn new(eal: &'static Eal, pool: Mempool) -> KernelPorts {
        KernelPorts { eal, pool, threads: Mutex::default(), watched: Ports::default() }
    }

    /// Make a port: its device, and a started DPDK port of one receive queue and [`TX_QUEUES`] transmit queues, which a
    /// datapath polls. When it fails nothing is left.
    ///
    /// # Errors
    /// [`KernelPortError`].
    pub fn add(&self, spec: Spec, absent: Absent) -> Result<(Port, KernelPort), KernelPortError> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        spec.check()?;
        let io = self.io()?;
        let shared = Arc::new(Shared::new(SERIAL.fetch_add(1, Ordering::Relaxed), spec));
        let device = match open(&shared) {
            Ok(device) => Some(device),
            Err(e) if absent == Absent::Wait => {
                shared.set_state(State::Down(e.to_string()));
                None
            }
            Err(e) => return Err(e),
        };
        let name = format!("kport{}", shared.id);
        let (to_switch, rx) = ring(self.eal, &name, RING, RingMode::SpSc)?;
        let (tx, from_switch) = ring(self.eal, &name, RING, RingMode::MpMc)?;
        let more = (1..TX_QUEUES).filter_map(|_| tx.try_clone());
        let mut queues: Vec<RingProducer> = more.collect();
        queues.push(tx);
        let config = PortConfig { tx_queues: TX_QUEUES, promiscuous: false, ..PortConfig::default() };
        let port = Port::from_rings(self.eal, &name, vec![rx], queues)?;
        port.configure(&config, &self.pool)?;
        port.start()?;
        io.order(Order::Add(Box::new(Pump::new(
            Arc::clone(&shared),
            device,
            to_switch,
            from_switch,
            self.pool.clone(),
        ))));
        self.watched.lock().push(Arc::clone(&shared));
        Ok((port, KernelPort { shared, io, watched: Arc::clone(&self.watched) }))
    }

    fn io(&self) -> Result<Arc<Io>, KernelPortError> {
        let mut threads = self.threads.lock();
        if let Some(threads) = &*threads {
            return Ok(Arc::clone(&threads.io));
        }
        let io = Arc::new(Io::start(self.eal).map_err(KernelPortError::Thread)?);
        let watch = Watch::start(Arc::clone(&self.watched), Arc::clone(&io)).map_err(KernelPortError::Thread)?;
        *threads = Some(Threads { _watch: watch, io: Arc::clone(&io) });
        Ok(io)
    }
}

/// Open a port's device for the first time.
fn open(shared: &Shared) -> Result<Device, KernelPortError> {
    let spec = shared.spec();
    if let (Kind::AfPacket, Some(mtu)) = (spec.kind, spec.mtu) {
        check_device_mtu(&spec.ifname, mtu)?;
    }
    let device = Device::open(&spec)?;
    shared.set_device(device.ifindex());
    match (spec.kind, device.ifindex()) {
        (Kind::AfPacket, Some(index)) => follow(shared, index),
        _ => shared.set_state(State::Up),
    }
    Ok(device)
}

/// Whether somebody else's device has this MTU at least.
fn check_device_mtu(ifname: &str, mtu: u16) -> Result<(), KernelPortError> {
    let failed = |e: std::io::Error| KernelPortError::os(ifname, "ask for its MTU", e);
    let Some(index) = crate::device::index_of(ifname)? else { return Ok(()) };
    let link = links().map_err(failed)?.get(index);
    let link = link.map_err(|source| KernelPortError::Netlink { ifname: ifname.to_owned(), source })?;
    match link.mtu {
        Some(have) if have < u32::from(mtu) => Err(KernelPortError::DeviceMtu { ifname: ifname.to_owned(), mtu, have }),
        _ => Ok(()),
    }
}

impl KernelPort {
    /// Whether frames go through.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// What was counted, by name.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.shared.counters.by_name()
    }

    /// Change the MTU, in bytes: of the device when we made it, else only of what goes through. A device that was moved to
    /// another network namespace keeps its own.
    ///
    /// # Errors
    /// [`KernelPortError::Mtu`], [`KernelPortError::DeviceMtu`], or what the kernel says; nothing is changed then.
    pub fn set_mtu(&self, mtu: u16) -> Result<(), KernelPortError> {
        check_mtu(mtu)?;
        let ifname = self.shared.ifname();
        match (self.shared.kind(), self.shared.ifindex()) {
            (_, None) => {}
            (Kind::AfPacket, Some(_)) => check_device_mtu(ifname, mtu)?,
            (Kind::Tap | Kind::Internal, Some(index)) => {
                let mut links = links().map_err(|e| KernelPortError::os(ifname, "set its MTU", e))?;
                // Numbers are of a namespace: the name tells whether the device is still in ours.
                if links.get(index).is_ok_and(|link| link.name == ifname) {
                    let set = links.set_mtu(index, u32::from(mtu));
                    set.map_err(|source| KernelPortError::Netlink { ifname: ifname.to_owned(), source })?;
                }
            }
        }
        self.shared.set_asked_mtu(mtu);
        Ok(())
    }
}

impl Drop for KernelPort {
    fn drop(&mut self) {
        self.watched.lock().retain(|port| port.id != self.shared.id);
        let (done, wait) = channel();
        self.io.order(Order::Remove(self.shared.id, done));
        // The device's name is free when this returns.
        if wait.recv_timeout(REMOVAL).is_err() {
            tracing::error!("network device {}: not closed within {REMOVAL:?}", self.shared.ifname());
        }
    }
}
