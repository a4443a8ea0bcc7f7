//! Ports: attach, configure, start, hand out queues, stop, close.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::eal::Eal;
use crate::errno::Errno;
use crate::mempool::Mempool;
use crate::port_types::{Link, PortConfig, PortInfo, PortStats, RxMetadata, RxOffloads, SwitchInfo, TxOffloads};
use crate::queue::{RxQueue, TxQueue};
use crate::ring::{RingConsumer, RingProducer};

/// Most ports that this build of DPDK holds (`RTE_MAX_ETHPORTS`).
pub const MAX_PORTS: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;
const DESCRIPTORS: u16 = 1024;
/// Ethernet header and two tags.
const FRAME_OVER_MTU: usize = 22;

/// Why a port refuses.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PortError {
    /// DPDK has no id left.
    #[error(
        "cannot add port {name:?}: DPDK holds {limit} ports at most (RTE_MAX_ETHPORTS of its build); remove one first"
    )]
    TooManyPorts {
        /// The port that was to be added.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The device could not be probed.
    #[error("cannot attach {devargs:?}: {errno}; {remedy}")]
    Attach {
        /// What was asked for.
        devargs: String,
        /// DPDK's reason.
        errno: Errno,
        /// What to look at.
        remedy: &'static str,
    },
    /// The name holds a NUL byte or is too long.
    #[error("{name:?} is not a name of a device: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A call on the device failed.
    #[error("port {name:?}: {operation} failed: {errno}")]
    Device {
        /// The port.
        name: String,
        /// DPDK's function.
        operation: &'static str,
        /// DPDK's reason.
        errno: Errno,
    },
    /// The device does not do that.
    #[error("port {name:?} (driver {driver}) does not support {what}; leave it out of the configuration")]
    Unsupported {
        /// The port.
        name: String,
        /// Its driver.
        driver: String,
        /// What is missing.
        what: String,
    },
    /// The call does not fit the port's state.
    #[error("port {name:?} is {state}; {remedy}")]
    State {
        /// The port.
        name: String,
        /// Its state.
        state: &'static str,
        /// What has to come first.
        remedy: &'static str,
    },
    /// Queues or handles are still out.
    #[error("port {name:?} is in use by {queues} queues and {handles} other handles; give them back first")]
    InUse {
        /// The port.
        name: String,
        /// Queues not yet dropped.
        queues: usize,
        /// Handles beside this one.
        handles: usize,
    },
}

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
    rx_queues: u16,
    tx_queues: u16,
    tx_offloads: TxOffloads,
    /// How often it was stopped: most drivers forget their flow rules then.
    stops: u64,
    /// Pools that descriptors may point into: kept until the port is closed.
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
        Port(Arc::new(Inner {
            id,
            queues_out: AtomicUsize::new(0),
            name: name.to_owned(),
            control: Mutex::new(Control {
                phase: Phase::Attached,
                rx_queues: 0,
                tx_queues: 0,
                tx_offloads: TxOffloads::empty(),
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
        Ok(port_info(&self.raw_info()?))
    }

    /// Sets queues, MTU and offloads up, with buffers for received packets from `pool`. May be repeated while the port is stopped.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] names what the device lacks; [`PortError::State`] when the port runs.
    pub fn configure(&self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        let mut control = self.control();
        if control.phase == Phase::Started {
            return Err(self.state("running", "stop it before it is configured"));
        }
        let raw = self.raw_info()?;
        let info = port_info(&raw);
        for (asked, most, what) in [
            (config.rx_queues, info.max_rx_queues, "receive queues"),
            (config.tx_queues, info.max_tx_queues, "transmit queues"),
        ] {
            if asked > most {
                return Err(self.unsupported(&info, format!("{asked} {what} (it has {most})")));
            }
        }
        let missing = config.rx_offloads.difference(info.rx_offloads);
        if !missing.is_empty() {
            return Err(self.unsupported(&info, format!("receive offloads {missing:?}")));
        }
        let missing = config.tx_offloads.difference(info.tx_offloads);
        if !missing.is_empty() {
            return Err(self.unsupported(&info, format!("transmit offloads {missing:?}")));
        }

        // SAFETY: plain data, all-zero is the default configuration.
        let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        conf.rxmode.offloads = config.rx_offloads.bits();
        conf.rxmode.mtu = config.mtu.map_or(0, u32::from);
        let tx_offloads = config.tx_offloads | self.segments_needed(config, &info, pool);
        conf.txmode.offloads = tx_offloads.bits();
        let spread = dpdk_sys::ETH_RSS_IP | dpdk_sys::ETH_RSS_TCP | dpdk_sys::ETH_RSS_UDP | dpdk_sys::ETH_RSS_SCTP;
        if config.rx_queues > 1 && info.rss_types & spread != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = info.rss_types & spread;
        }
        control.phase = Phase::Attached;
        // SAFETY: the port is open and stopped; `conf` is copied.
        self.check("rte_eth_dev_configure", unsafe {
            dpdk_sys::rte_eth_dev_configure(self.0.id, config.rx_queues, config.tx_queues, &conf)
        })?;

        let mut rx_desc = config.rx_descriptors.unwrap_or(DESCRIPTORS);
        let mut tx_desc = config.tx_descriptors.unwrap_or(DESCRIPTORS);
        // SAFETY: the numbers are writable; the driver's limits are applied to them.
        self.check("rte_eth_dev_adjust_nb_rx_tx_desc", unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.0.id, &mut rx_desc, &mut tx_desc)
        })?;
        // SAFETY: the port is open.
        let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.0.id) } as u32;
        // Queues may point into the pool from here on, whatever fails later.
        control.pools.push(pool.clone());
        let mut rxconf = raw.default_rxconf;
        rxconf.offloads = conf.rxmode.offloads;
        for queue in 0..config.rx_queues {
            // SAFETY: the port is configured with this many queues; the pool is kept until the port is closed.
            self.check("rte_eth_rx_queue_setup", unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(self.0.id, queue, rx_desc, socket, &rxconf, pool.as_ptr())
            })?;
        }
        let mut txconf = raw.default_txconf;
        txconf.offloads = conf.txmode.offloads;
        for queue in 0..config.tx_queues {
            // SAFETY: as above.
            self.check("rte_eth_tx_queue_setup", unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(self.0.id, queue, tx_desc, socket, &txconf)
            })?;
        }
        if config.promiscuous {
            // SAFETY: the port is open. Drivers without the notion answer ENOTSUP and receive everything anyway.
            match Errno::check(unsafe { dpdk_sys::rte_eth_promiscuous_enable(self.0.id) }) {
                Ok(_) | Err(Errno::ENOTSUP | Errno::ENOSYS) => {}
                Err(errno) => return Err(self.error("rte_eth_promiscuous_enable", errno)),
            }
        }
        (control.rx_queues, control.tx_queues) = (config.rx_queues, config.tx_queues);
        control.tx_offloads = tx_offloads;
        control.phase = Phase::Configured;
        Ok(())
    }

    /// [`TxOffloads::MULTI_SEGS`] when the device has it and packets for the port may need it: it costs some drivers their vector
    /// code, so not for frames that fit one buffer. Rings pass pointers: it costs them nothing.
    fn segments_needed(&self, config: &PortConfig, info: &PortInfo, pool: &Mempool) -> TxOffloads {
        let rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = usize::from(pool.data_room()).saturating_sub(dpdk_sys::RTE_PKTMBUF_HEADROOM as usize);
        let long = config.mtu.is_some_and(|mtu| usize::from(mtu) + FRAME_OVER_MTU > buffer);
        if long || !rings.1.is_empty() { TxOffloads::MULTI_SEGS & info.tx_offloads } else { TxOffloads::empty() }
    }

    /// The transmit offloads that the port was configured with, [`TxOffloads::MULTI_SEGS`] among them when frames of its MTU are
    /// longer than one buffer of its pool and the device has it.
    pub fn tx_offloads(&self) -> TxOffloads {
        self.control().tx_offloads
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
        Ok((
            (0..control.rx_queues).map(|q| RxQueue::new(&self.0, q)).collect(),
            (0..control.tx_queues).map(|q| TxQueue::new(&self.0, q, control.tx_offloads)).collect(),
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

    /// The NUMA node of the device; `None` when it has none or DPDK does not know it.
    pub fn numa_node(&self) -> Option<u32> {
        // SAFETY: the port is open.
        u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.0.id) }).ok()
    }

    /// Counters since the last reset.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn stats(&self) -> Result<PortStats, PortError> {
        // SAFETY: plain data, all-zero is valid.
        let mut s: dpdk_sys::rte_eth_stats = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open, `s` is writable.
        self.check("rte_eth_stats_get", unsafe { dpdk_sys::rte_eth_stats_get(self.0.id, &mut s) })?;
        Ok(PortStats {
            rx_packets: s.ipackets,
            tx_packets: s.opackets,
            rx_bytes: s.ibytes,
            tx_bytes: s.obytes,
            rx_missed: s.imissed,
            rx_errors: s.ierrors,
            tx_errors: s.oerrors,
            rx_no_buffer: s.rx_nombuf,
        })
    }

    /// Sets the counters to zero.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn reset_stats(&self) -> Result<(), PortError> {
        // SAFETY: the port is open.
        self.check("rte_eth_stats_reset", unsafe { dpdk_sys::rte_eth_stats_reset(self.0.id) })
    }

    /// The link's state, without waiting for it.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn link(&self) -> Result<Link, PortError> {
        let mut link = dpdk_sys::dpdk_shim_link::default();
        // SAFETY: the port is open, `link` is writable.
        self.check("rte_eth_link_get_nowait", unsafe { dpdk_sys::dpdk_shim_link_get(self.0.id, &mut link) })?;
        Ok(Link {
            up: link.up,
            speed_mbps: Some(link.speed_mbps).filter(|s| *s != 0 && *s != u32::MAX),
            full_duplex: link.full_duplex,
            autoneg: link.autoneg,
        })
    }

    /// The MAC address.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut mac = dpdk_sys::rte_ether_addr::default();
        // SAFETY: the port is open, `mac` is writable.
        self.check("rte_eth_macaddr_get", unsafe { dpdk_sys::rte_eth_macaddr_get(self.0.id, &mut mac) })?;
        Ok(mac.addr_bytes)
    }

    /// The MTU in bytes.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port is open, `mtu` is writable.
        self.check("rte_eth_dev_get_mtu", unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.0.id, &mut mtu) })?;
        Ok(mtu)
    }

    /// Sets the MTU; some drivers want the port stopped.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        let _serialised = self.control();
        // SAFETY: the port is open.
        self.check("rte_eth_dev_set_mtu", unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.0.id, mtu) })
    }

    /// Tells the driver which flow metadata will be read from packets, before [`Port::configure`]; returns what it will deliver.
    /// A driver without negotiation (ENOTSUP) delivers what its rules leave, so the wish comes back unchanged.
    ///
    /// # Errors
    /// [`PortError::State`] when it comes too late, [`PortError::Device`].
    pub fn negotiate_rx_metadata(&self, wish: RxMetadata) -> Result<RxMetadata, PortError> {
        let control = self.control();
        if control.phase != Phase::Attached {
            return Err(self.state("configured already", "negotiate metadata before the port is configured"));
        }
        let mut features = wish.bits();
        // SAFETY: the port is open, `features` is writable.
        match Errno::check(unsafe { dpdk_sys::rte_eth_rx_metadata_negotiate(self.0.id, &mut features) }) {
            Ok(_) => Ok(RxMetadata::from_bits_truncate(features)),
            Err(Errno::ENOTSUP) => Ok(wish),
            Err(errno) => Err(self.error("rte_eth_rx_metadata_negotiate", errno)),
        }
    }

    /// The port through which transfer rules of this port must go (`rte_flow_pick_transfer_proxy`); itself if the driver has none.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn transfer_proxy(&self) -> Result<u16, PortError> {
        let mut proxy = self.0.id;
        // SAFETY: the port is open, `proxy` is writable, a null error is allowed.
        let ret = unsafe { dpdk_sys::rte_flow_pick_transfer_proxy(self.0.id, &mut proxy, std::ptr::null_mut()) };
        match Errno::check(ret) {
            Ok(_) => Ok(proxy),
            Err(Errno::ENOTSUP | Errno::ENOSYS) => Ok(self.0.id),
            Err(errno) => Err(self.error("rte_flow_pick_transfer_proxy", errno)),
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

fn port_info(raw: &dpdk_sys::rte_eth_dev_info) -> PortInfo {
    let text = |s: *const std::ffi::c_char| {
        if s.is_null() {
            return String::new();
        }
        // SAFETY: a driver's static NUL-terminated string.
        unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
    };
    PortInfo {
        driver: text(raw.driver_name),
        if_index: Some(raw.if_index).filter(|i| *i != 0),
        max_rx_queues: raw.max_rx_queues,
        max_tx_queues: raw.max_tx_queues,
        mtu_range: (raw.min_mtu, raw.max_mtu),
        rx_offloads: RxOffloads::from_bits_retain(raw.rx_offload_capa),
        tx_offloads: TxOffloads::from_bits_retain(raw.tx_offload_capa),
        rss_types: raw.flow_type_rss_offloads,
        keeps_flow_rules: raw.dev_capa & dpdk_sys::ETH_DEV_CAPA_FLOW_RULE_KEEP != 0,
        keeps_shared_actions: raw.dev_capa & dpdk_sys::ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP != 0,
        // RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID is all ones.
        switch: (raw.switch_info.domain_id != u16::MAX).then(|| SwitchInfo {
            name: text(raw.switch_info.name),
            domain_id: raw.switch_info.domain_id,
            port_id: raw.switch_info.port_id,
        }),
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
