//! Devices of `dpdk` ports: set up, changed while packets flow, looked at, and missed when they go.
//!
//! A device that is taken away from outside is found out by [`Control::watch_devices`]: its port is drained as for a
//! removal, its device is closed, and the port waits, with its number, its rules and the reason, until the device can
//! be attached again.

use super::attach::{RULES_TIMEOUT, Work};
use super::dpdk_options::DpdkOptions;
use super::errors::invalid;
use super::{Attached, Control, Inner, Locked};
use crate::memory;
use crate::nic::{self, device_error};
use api::{
    DeviceView, Error, ErrorKind, MemAsk, MemPlan, MemPool, MemView, PortCounters, PortDetails, PortSet, PortType,
};
use datapath::memory::MemoryError;
use dpdk::{FlowControl, PortConfig, PortInfo, RxOffloads};
use flow::DpPort;
use kernel_ports::Absent;
use std::time::{Duration, Instant};

/// How long a port whose device is not there waits for the first try to attach it again, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// When a port without its device is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    at: Instant,
    wait: Duration,
}

impl Retry {
    fn after(before: Option<Retry>) -> Retry {
        let wait = before.map_or(RETRY.0, |r| (r.wait * 2).min(RETRY.1));
        Retry { at: Instant::now() + wait, wait }
    }
}

impl Control {
    fn pmd_count(&self) -> u16 {
        u16::try_from(self.switch.datapath().pmds().len()).unwrap_or(u16::MAX)
    }

    /// A started device for a port.
    pub(super) fn dpdk_device(&self, port: &api::Port) -> Result<dpdk::Port, Error> {
        let object = format!("port {}", port.name);
        let options = DpdkOptions::of(port)?;
        let devargs = port.devargs.as_deref().unwrap_or_default();
        let device = nic::attach(self.switch.eal(), devargs).map_err(|e| e.named(&object))?;
        let set_up = || -> Result<(), Error> {
            let (config, pool) = self.plan_device(port, &options, &device)?;
            let done = set_up(&device, &options, &config, &pool);
            done.map_err(|e| device_error(devargs, e).named(&object))?;
            self.pools.settle(&port.name, &pool);
            Ok(())
        };
        set_up().inspect_err(|_| self.pools.release(&port.name)).map(|()| device)
    }

    /// How a device is to be set up, and the pool it receives into.
    fn plan_device(
        &self,
        port: &api::Port,
        options: &DpdkOptions,
        device: &dpdk::Port,
    ) -> Result<(PortConfig, dpdk::Mempool), Error> {
        let object = format!("port {}", port.name);
        let failed = |e: dpdk::PortError| device_error(device.name(), e).named(&object);
        let info = device.info().map_err(failed)?;
        let config = options.config(port, self.pmd_count(), &info);
        // Before memory is taken for it.
        check_limits(&object, port, &info)?;
        let mut need = options.need(port, self.pmd_count(), device.numa_node().unwrap_or(0));
        (need.rx_queues, need.tx_queues) = (config.rx_queues, config.tx_queues);
        match self.pools.take(&need) {
            Ok(pool) => Ok((config, pool)),
            Err(MemoryError::NoMemory { need, have, remedy, .. }) if info.rx_offloads.contains(RxOffloads::SCATTER) => {
                tracing::warn!(
                    "{object}: its buffers need {need} MiB, and have {have} MiB: frames lie in several smaller ones; {remedy}"
                );
                Ok((config, self.pools.take_base(&port.name)))
            }
            Err(e) => Err(memory_error(&object, &e)),
        }
    }

    /// Change options and MTU of a port whose device is there. Takes as long as the device takes, without the lock.
    pub(super) fn change_unlocked<'a>(
        &'a self,
        mut inner: Locked<'a>,
        old: &api::Port,
        new: &api::Port,
        dp: DpPort,
    ) -> (Locked<'a>, Result<(), Error>) {
        let work = |mut inner: Locked<'a>, work: Option<Work>| {
            if let Some(attached) = inner.ports.get_mut(&new.name) {
                attached.work = work;
            }
            inner
        };
        inner = work(inner, Some(Work::Change));
        let hardware = self.hardware.as_deref().zip(inner.ports.get(&new.name).and_then(|p| p.ethdev));
        let hardware = hardware.filter(|(hardware, id)| hardware.has(*id));
        if hardware.is_some() {
            self.renew_world(&inner);
        }
        drop(inner);
        if hardware.is_some() {
            self.rules_out();
        }
        let done = self.change_device(old, new, dp);
        inner = work(self.lock(), None);
        if let Some((hardware, _)) = hardware {
            if let Ok(device) = self.switch.datapath().device(dp) {
                hardware.again(&device);
            }
            self.renew_world(&inner);
        }
        self.worked.notify_all();
        (inner, done)
    }

    /// Wait until the engine has taken out what it has to.
    fn rules_out(&self) {
        let start = Instant::now();
        while !self.switch.engine().is_quiet() && start.elapsed() < RULES_TIMEOUT {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn change_device(&self, old: &api::Port, new: &api::Port, dp: DpPort) -> Result<(), Error> {
        let object = format!("port {}", new.name);
        let options = DpdkOptions::of(new)?;
        let device = self.switch.datapath().device(dp).map_err(|e| Error::new(ErrorKind::Failed, &object, e))?;
        let (config, pool) = self.plan_device(new, &options, &device)?;
        let reconfigured = |port: &api::Port, options: &DpdkOptions, config: &PortConfig, pool: &dpdk::Mempool| {
            self.switch.reconfigure(dp, port.mtu, |device| {
                device.stop()?;
                set_up(device, options, config, pool)
            })
        };
        let done = reconfigured(new, &options, &config, &pool);
        let Err(e) = done else {
            self.pools.settle(&new.name, &pool);
            return Ok(());
        };
        // As it was.
        let back = || -> Result<dpdk::Mempool, Error> {
            let options = DpdkOptions::of(old)?;
            let (config, pool) = self.plan_device(old, &options, &device)?;
            let done = reconfigured(old, &options, &config, &pool);
            done.map_err(|e| Error::new(ErrorKind::Failed, &object, e))?;
            Ok(pool)
        };
        match back() {
            Ok(pool) => self.pools.settle(&new.name, &pool),
            Err(e) => tracing::error!("{e}; the port does not run: set it up again, or remove it"),
        }
        Err(match e {
            datapath::PortError::Device(e) => device_error(device.name(), e).named(&object),
            other => Error::new(ErrorKind::Failed, object, other),
        })
    }

    /// Find out which devices are gone, and whether gone ones are back. Called every second or so.
    pub fn watch_devices(&self) {
        self.finish_removals();
        let mut inner = self.lock();
        let dpdk = |p: &&Attached| matches!(p.port.kind, PortType::Dpdk | PortType::Representor) && p.work.is_none();
        let there =
            inner.ports.values().filter(dpdk).filter_map(|p| Some((p.port.name.clone(), p.state.clone().ok()?)));
        let mut drains = Vec::new();
        for (name, dp) in there.collect::<Vec<_>>() {
            let removal = self.switch.datapath().device(dp).ok().and_then(|device| device.removal());
            if let Some(why) = removal {
                drains.extend(self.device_gone(&mut inner, &name, &format!("gone: {why}")));
            }
        }
        drop(inner);
        self.drain(drains);
        let mut inner = self.lock();
        let absent: Vec<_> = inner.ports.values().filter(dpdk).filter(|p| p.state.is_err()).cloned().collect();
        for port in absent {
            let name = &port.port.name;
            let retry = inner.retries.get(name).copied();
            if retry.is_some_and(|r| r.at > Instant::now()) {
                continue;
            }
            if retry.is_some() {
                inner = self.try_again(inner, name);
            }
            if inner.ports.get(name).is_some_and(|p| p.state.is_err()) {
                inner.retries.insert(name.clone(), Retry::after(retry));
            } else {
                inner.retries.remove(name);
            }
        }
        let Inner { retries, ports, .. } = &mut *inner;
        retries.retain(|name, _| ports.contains_key(name));
    }

    /// The port waits for its device. What is to be drained.
    pub(super) fn device_gone(&self, inner: &mut Inner, name: &str, why: &str) -> Option<u64> {
        let attached = inner.ports.get(name).cloned()?;
        tracing::warn!("port {name}: {why}");
        let drains = self.detach(inner, name);
        inner.ports.insert(name.to_owned(), Attached { state: Err(why.to_owned()), ..attached });
        drains
    }

    pub(super) fn try_again<'a>(&'a self, mut inner: Locked<'a>, name: &str) -> Locked<'a> {
        // The device may be attached in DPDK still while a worker holds it.
        let held = inner.draining.iter().any(|d| d.port.name == name);
        // While others were tried, it may have been removed, or is tried by somebody else.
        let absent = inner.ports.get(name).filter(|p| p.state.is_err() && p.work.is_none() && !held).cloned();
        let Some(absent) = absent else { return inner };
        let attached;
        (inner, attached) = self.attach(inner, &absent.bridge, &absent.port, Absent::Refuse);
        match attached {
            Ok(_) => tracing::warn!("port {name}: its device is back"),
            Err(e) => tracing::debug!("{e}"),
        }
        inner
    }

    /// A port with its device.
    pub fn port_details(&self, name: &str) -> Result<PortDetails, Error> {
        let name = &*self.port_name(name);
        let object = format!("port {name}");
        let port = self.ports().into_iter().find(|p| p.port.name == name).ok_or_else(|| no_such(&object))?;
        let device = self.device_of(name).filter(|_| super::kernel_ports::kind(port.port.kind).is_none());
        let view = |device: dpdk::Port| device_view(&device).map_err(|e| device_error(name, e).named(&object));
        // Between the two readings it may have gone.
        Ok(PortDetails { port, device: device.and_then(|d| view(d).ok()) })
    }

    /// What was counted on a port, by name.
    pub fn port_stats(&self, name: &str, xstats: bool) -> Result<PortCounters, Error> {
        let name = &*self.port_name(name);
        let object = format!("port {name}");
        let port = self.ports().into_iter().find(|p| p.port.name == name).ok_or_else(|| no_such(&object))?;
        let mut answer = PortCounters::default();
        let own = [
            ("rx_packets", port.rx_packets),
            ("rx_bytes", port.rx_bytes),
            ("tx_packets", port.tx_packets),
            ("tx_bytes", port.tx_bytes),
            ("tx_dropped", port.tx_dropped),
        ];
        answer.counters.extend(own.map(|(name, n)| (name.to_owned(), n)));
        answer.counters.extend(port.device_counters);
        // What DPDK has of a port that faces the kernel is no device, but the way to its thread.
        if super::kernel_ports::kind(port.port.kind).is_some() {
            return Ok(answer);
        }
        let Some(device) = self.device_of(name) else { return Ok(answer) };
        let failed = |e: dpdk::PortError| -> Error { device_error(name, e).named(&object) };
        let stats = device.stats().map_err(failed)?;
        let theirs = [
            ("device_rx_packets", stats.rx_packets),
            ("device_rx_bytes", stats.rx_bytes),
            ("device_rx_missed", stats.rx_missed),
            ("device_rx_errors", stats.rx_errors),
            ("device_rx_no_buffer", stats.rx_no_buffer),
            ("device_tx_packets", stats.tx_packets),
            ("device_tx_bytes", stats.tx_bytes),
            ("device_tx_errors", stats.tx_errors),
        ];
        answer.counters.extend(theirs.map(|(name, n)| (name.to_owned(), n)));
        if xstats {
            answer.xstats = device.xstats().map_err(failed)?;
        }
        Ok(answer)
    }

    fn device_of(&self, name: &str) -> Option<dpdk::Port> {
        let dp = self.lock().ports.get(name)?.state.clone().ok()?;
        self.switch.datapath().device(dp).ok()
    }

    /// Mempools in use.
    pub fn memory(&self) -> MemView {
        let (heap_free, heap) = self.switch.eal().heap();
        let pool = |p: datapath::memory::PoolView| MemPool {
            name: p.name,
            ports: p.ports,
            mtu: p.mtu,
            node: p.node,
            mbufs: p.mbufs,
            in_use: p.in_use,
            free: p.free,
            data_room: p.data_room,
            bytes: p.bytes,
        };
        MemView {
            pools: self.pools.view().into_iter().map(pool).collect(),
            waiting: dpdk::pools_waiting(),
            huge_pages: self.switch.eal().uses_huge_pages(),
            heap,
            heap_free,
        }
    }

    /// The mempools that this daemon's ports, and further ones, need from its start.
    pub fn memory_plan(&self, ask: &MemAsk) -> Result<MemPlan, Error> {
        let settings = memory::asked_settings(self.pools.settings(), ask)?;
        let pmds = ask.pmds.unwrap_or_else(|| self.pmd_count());
        let ports: Vec<_> = self.lock().ports.values().filter(|p| p.port.kind == PortType::Dpdk).cloned().collect();
        let need = |p: &Attached| {
            let device = p.state.clone().ok().and_then(|dp| self.switch.datapath().device(dp).ok());
            Ok(DpdkOptions::of(&p.port)?.need(&p.port, pmds, device.and_then(|d| d.numa_node()).unwrap_or(0)))
        };
        let mut needs = ports.iter().map(need).collect::<Result<Vec<_>, Error>>()?;
        needs.extend(memory::asked_ports(ask, pmds));
        let eal = self.switch.eal();
        let memory = memory::Memory { huge: eal.uses_huge_pages(), mib: eal.memory_mib(), held: eal.heap().1 };
        Ok(memory::plan(&settings, &needs, memory, &dpdk::hugepages::page_sizes()))
    }
}

fn set_up(
    device: &dpdk::Port,
    options: &DpdkOptions,
    config: &PortConfig,
    pool: &dpdk::Mempool,
) -> Result<(), dpdk::PortError> {
    match device.configure(config, pool) {
        // Some drivers want as many receive as transmit queues.
        Err(dpdk::PortError::Device { .. }) if options.leaves_tx_queues() && config.tx_queues > config.rx_queues => {
            device.configure(&PortConfig { tx_queues: config.rx_queues.max(1), ..config.clone() }, pool)?;
        }
        done => done?,
    }
    let now = device.flow_control().ok().flatten().unwrap_or_default();
    if let Some(wish) = options.flow_control(now) {
        device.set_flow_control(wish)?;
    }
    device.start()
}

fn no_such(object: &str) -> Error {
    Error::new(ErrorKind::NotFound, object, "there is no such port").remedy("list them with: shuntctl port list")
}

/// The MTU against the device's limits.
fn check_limits(object: &str, port: &api::Port, info: &PortInfo) -> Result<(), Error> {
    let (min, max) = info.mtu_range;
    match port.mtu.filter(|mtu| !(min..=max).contains(mtu)) {
        Some(mtu) => Err(invalid(object, format!("driver {} does not take an MTU of {mtu}", info.driver))
            .remedy(format!("use {min} to {max}"))),
        None => Ok(()),
    }
}

fn memory_error(object: &str, e: &MemoryError) -> Error {
    match e {
        MemoryError::NoMemory { mtu, mbufs, need, have, remedy } => Error::new(
            ErrorKind::Full,
            object,
            format!("a pool of {mbufs} packet buffers for MTU {mtu} needs {need} MiB, and have {have} MiB"),
        )
        .remedy(remedy),
        MemoryError::Mtu { .. } | MemoryError::Pool(_) => Error::new(ErrorKind::Invalid, object, e),
    }
}

fn device_view(device: &dpdk::Port) -> Result<DeviceView, dpdk::PortError> {
    let info = device.info()?;
    let link = device.link()?;
    let setup = device.setup();
    let setup = setup.as_ref();
    let flow_control = device.flow_control()?.map(|FlowControl { rx, tx, autoneg }| {
        let on = [("rx", rx), ("tx", tx), ("autoneg", autoneg)];
        on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned()).collect()
    });
    Ok(DeviceView {
        node: device.numa_node().unwrap_or(0),
        mac: device.mac()?.map(|b| format!("{b:02x}")).join(":"),
        link_up: link.up,
        speed_mbps: link.speed_mbps,
        full_duplex: link.full_duplex,
        link_interrupt: setup.is_some_and(|s| s.link_interrupt),
        mtu: device.mtu()?,
        mtu_min: info.mtu_range.0,
        mtu_max: info.mtu_range.1,
        rx_queues: setup.map_or(0, |s| s.rx_queues),
        max_rx_queues: info.max_rx_queues,
        tx_queues: setup.map_or(0, |s| s.tx_queues),
        max_tx_queues: info.max_tx_queues,
        rx_descriptors: setup.map_or(0, |s| s.rx_descriptors),
        tx_descriptors: setup.map_or(0, |s| s.tx_descriptors),
        rx_offloads: setup.map(|s| s.rx_offloads.names()).unwrap_or_default(),
        tx_offloads: setup.map(|s| s.tx_offloads.names()).unwrap_or_default(),
        rx_capable: info.rx_offloads.names(),
        tx_capable: info.tx_offloads.names(),
        flow_control,
        mempool: setup.map(|s| s.pool.clone()).unwrap_or_default(),
        buffer: setup.map_or(0, |s| s.buffer),
        driver: info.driver,
    })
}

/// Whether a change is one of the device.
pub(super) fn is_of_device(set: &PortSet) -> bool {
    set.mtu.is_some() || !set.options.is_empty()
}

/// What a change makes of MTU and options.
pub(super) fn changed(port: &mut api::Port, set: &PortSet) {
    if let Some(mtu) = set.mtu {
        port.mtu = Some(mtu).filter(|mtu| *mtu != 0);
    }
    for (name, value) in &set.options {
        if value.is_empty() {
            port.options.remove(name);
        } else {
            port.options.insert(name.clone(), value.clone());
        }
    }
}
