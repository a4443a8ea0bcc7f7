//! Ports of the datapath: adding them, changing them, and taking them away without a worker noticing.
//!
//! A port is `Active`, then `Draining` (its workers give the queues back at their next poll; outputs to it are dropped as
//! `no_such_port` from then on), then gone: its flows are removed and the device is handed back to be closed.
//!
//! To be set up anew (MTU, queues, descriptors) it is `Paused` in the same way, and `Active` again with new queues; its flows stay.

use crate::counters::{PortCounters, PortWorkerCounters};
use crate::datapath::Datapath;
use crate::egress::max_frame;
use crate::placement::give_port;
use crate::pmd::{Mail, Pmd};
use crate::rxq::Affinity;
use crate::rxq::shared::{GONE, NOBODY, RxqShared};
use crate::rxq::source::RxSource;
use crate::tx::SharedTx;
use dpdk::{Port, RxQueue, TxQueue};
use flow::DpPort;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Numbers of ports are below this.
pub const MAX_PORT: u32 = 4096;

/// Why a port cannot be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("datapath port {port} ({name}) is there already; choose another number or remove it first")]
    Exists { port: DpPort, name: String },
    #[error("there is no datapath port {port}; list ports to see which there are")]
    Unknown { port: DpPort },
    #[error("datapath port {port} is too large a number; choose one below {MAX_PORT}")]
    Number { port: DpPort },
    #[error("port {name} cannot be added before there is a PMD; add one first")]
    NoPmd { name: String },
    #[error("port {name} has no transmit queue; configure one at least")]
    TxQueues { name: String },
    #[error("port {name} has no receive queue {queue}, it has {have}; name queues below that, or give it more (n_rxq)")]
    NoQueue { name: String, queue: u16, have: usize },
    #[error("there is no PMD {pmd}, there are {there:?}; name one of these")]
    NoSuchPmd { pmd: u32, there: Vec<u32> },
    #[error("PMD {pmd} is the last one and there are ports; add another one first, or remove the ports")]
    LastPmd { pmd: u32 },
    #[error(
        "PMD {pmd} cannot be removed, since it or another PMD does not answer; look whether all of them run, and try again"
    )]
    PmdLate { pmd: u32 },
    #[error(
        "datapath port {port} is being removed: {pmds} PMDs hold queues of it; try again, or look whether they run"
    )]
    Draining { port: DpPort, pmds: usize },
    #[error(transparent)]
    Device(#[from] dpdk::PortError),
}

/// How a port is added.
#[derive(Clone, Debug, Default)]
pub struct PortOptions {
    /// Name to show.
    pub name: String,
    /// Largest L3 packet in bytes; `None`: as the device says. Longer frames are dropped as `too_long`.
    pub mtu: Option<u16>,
    /// Administratively down: packets to it are dropped as `port_down`.
    pub down: bool,
}

/// What a port is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    Active,
    /// So many PMDs still hold its queues.
    Draining {
        pmds: usize,
    },
    /// As above, to come back: see [`Datapath::reconfigure_port`].
    Paused {
        pmds: usize,
    },
}

/// What is to be shown of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView {
    pub port: DpPort,
    pub name: String,
    /// DPDK's id.
    pub device: u16,
    pub mtu: u16,
    pub up: bool,
    pub state: PortState,
    pub rx_queues: usize,
    pub tx_queues: usize,
    /// PMDs that send through a transmit queue that they share with others.
    pub tx_shared: Vec<u32>,
    pub numa: u32,
    pub affinity: Affinity,
    pub counters: PortCounters,
}

/// A receive queue as control knows it.
#[derive(Debug)]
pub(crate) struct RxqRecord {
    pub(crate) shared: Arc<RxqShared>,
    /// The PMD that it was sent to last; it is there when it is the holder.
    pub(crate) target: u32,
    /// The PMD that it is to go to.
    pub(crate) want: u32,
}

/// A port as control knows it.
#[derive(Debug)]
pub(crate) struct PortRecord {
    pub(crate) port: DpPort,
    pub(crate) name: String,
    pub(crate) device: Port,
    pub(crate) mtu: u16,
    pub(crate) up: bool,
    pub(crate) numa: u32,
    pub(crate) affinity: Affinity,
    pub(crate) rx: Vec<RxqRecord>,
    pub(crate) tx_queues: usize,
    pub(crate) spare_tx: Vec<TxQueue>,
    /// By PMD: the queue that it shares with others; `None`: it has one alone.
    pub(crate) tx_by: BTreeMap<u32, Option<Arc<SharedTx>>>,
    /// By PMD.
    pub(crate) counters: BTreeMap<u32, Arc<PortWorkerCounters>>,
    /// What PMDs counted that are no more.
    pub(crate) retired: PortCounters,
    /// Set when its queues were called back: workers that still hold some.
    pub(crate) left: Option<Arc<AtomicUsize>>,
    /// They were called back to be handed out again.
    pub(crate) paused: bool,
}

impl PortRecord {
    pub(crate) fn state(&self) -> PortState {
        match &self.left {
            None => PortState::Active,
            Some(left) => {
                // A queue may be on its way from a PMD to another.
                let queues = self.rx.iter().filter(|rxq| rxq.shared.holder() != GONE).count();
                let pmds = left.load(Ordering::Acquire).max(queues);
                if self.paused { PortState::Paused { pmds } } else { PortState::Draining { pmds } }
            }
        }
    }

    /// PMDs that use this queue.
    pub(crate) fn sharers(&self, shared: &Arc<SharedTx>) -> usize {
        self.tx_by.values().flatten().filter(|s| Arc::ptr_eq(s, shared)).count()
    }

    pub(crate) fn max_frame(&self) -> usize {
        max_frame(self.mtu)
    }

    pub(crate) fn view(&self) -> PortView {
        let mut counters = self.retired;
        for worker in self.counters.values() {
            worker.add_to(&mut counters);
        }
        PortView {
            port: self.port,
            name: self.name.clone(),
            device: self.device.id(),
            mtu: self.mtu,
            up: self.up,
            state: self.state(),
            rx_queues: self.rx.len(),
            tx_queues: self.tx_queues,
            tx_shared: self
                .tx_by
                .iter()
                .filter(|(_, s)| s.as_ref().is_some_and(|s| self.sharers(s) > 1))
                .map(|(id, _)| *id)
                .collect(),
            numa: self.numa,
            affinity: self.affinity.clone(),
            counters,
        }
    }
}

impl Datapath {
    /// Give the PMDs a port's new queues: each a transmit queue, or a share of one; receive queues wait to be placed. Counts of
    /// queues that it had before go on.
    pub(crate) fn hand_out(&self, record: &mut PortRecord, rx: Vec<RxQueue>, tx: Vec<TxQueue>, pmds: &[Pmd]) {
        (record.left, record.paused) = (None, false);
        record.tx_queues = tx.len();
        record.spare_tx = tx.into_iter().rev().collect();
        record.tx_by.clear();
        let had = std::mem::take(&mut record.rx);
        let port = record.port;
        self.shared.rxqs.write().retain(|rxq| rxq.port != port);
        for queue in rx {
            let rxq = Arc::new(RxqShared::new(port, queue.index()));
            if let Some(before) = had.iter().find(|before| before.shared.queue == rxq.queue) {
                rxq.packets.add(before.shared.packets.get());
            }
            self.shared.rxqs.write().push(Arc::clone(&rxq));
            self.shared.parked.lock().push(RxSource::new(queue, Arc::clone(&rxq)));
            record.rx.push(RxqRecord { shared: rxq, target: NOBODY, want: NOBODY });
        }
        for pmd in pmds {
            give_port(record, pmd, pmds);
        }
    }

    /// Ask the PMDs for a port's queues, once.
    pub(crate) fn call_back(&self, record: &mut PortRecord, pmds: &[Pmd]) {
        if record.left.is_some() {
            return;
        }
        let (port, left) = (record.port, Arc::new(AtomicUsize::new(pmds.len())));
        record.left = Some(Arc::clone(&left));
        record.spare_tx.clear();
        // Shared transmit queues go back with their last user.
        record.tx_by.clear();
        self.shared.parked.lock().retain(|source| source.port() != port);
        for pmd in pmds {
            pmd.shared_part().mailbox.push(Mail::RemovePort { port, left: Arc::clone(&left) });
            pmd.serve_if_idle();
        }
    }

    /// Set a port's device up anew while traffic goes on elsewhere: its PMDs give the queues back, `setup` stops, configures and
    /// starts the device, the PMDs get its new queues. Flows, counters and number stay; packets to it are dropped as
    /// `no_such_port` meanwhile. The MTU becomes the device's, unless `mtu` is another.
    ///
    /// # Errors
    /// [`PortError::Draining`] when a PMD did not give its queues back in time: the port stays paused, and this or its removal can
    /// be tried again. What `setup` says: the port is handed out as the device then is, or stays paused when it does not run.
    pub fn reconfigure_port(
        &self,
        port: DpPort,
        mtu: Option<u16>,
        timeout: Duration,
        setup: impl FnOnce(&Port) -> Result<(), dpdk::PortError>,
    ) -> Result<(), PortError> {
        let start = Instant::now();
        let device = {
            let mut ports = self.ports.lock();
            let record = find(&mut ports, port)?;
            match record.state() {
                PortState::Draining { pmds } => return Err(PortError::Draining { port, pmds }),
                PortState::Active | PortState::Paused { .. } => record.paused = true,
            }
            self.call_back(record, &self.pmds.lock());
            record.device.clone()
        };
        loop {
            let state = find(&mut self.ports.lock(), port)?.state();
            match state {
                PortState::Paused { pmds: 0 } => break,
                PortState::Paused { pmds } if start.elapsed() >= timeout => {
                    return Err(PortError::Draining { port, pmds });
                }
                PortState::Paused { .. } => std::thread::sleep(Duration::from_micros(100)),
                PortState::Draining { pmds } => return Err(PortError::Draining { port, pmds }),
                PortState::Active => return Ok(()),
            }
        }
        // Without the lock: a device may take its time.
        let done = setup(&device);
        let handed = self.resume(port, &device, mtu);
        done?;
        handed
    }

    /// Hand out the queues of a paused port again.
    fn resume(&self, port: DpPort, device: &Port, mtu: Option<u16>) -> Result<(), PortError> {
        let mut ports = self.ports.lock();
        let record = find(&mut ports, port)?;
        if !matches!(record.state(), PortState::Paused { pmds: 0 }) {
            return Err(PortError::Draining { port, pmds: 0 });
        }
        let (rx, tx) = device.take_queues()?;
        if tx.is_empty() {
            return Err(PortError::TxQueues { name: record.name.clone() });
        }
        record.mtu = match mtu {
            Some(mtu) => mtu,
            None => device.mtu()?,
        };
        let pmds = self.pmds.lock();
        self.hand_out(record, rx, tx, &pmds);
        self.place(&mut ports, &pmds, None);
        Ok(())
    }

    /// The device of a port.
    ///
    /// # Errors
    /// [`PortError::Unknown`].
    pub fn device(&self, port: DpPort) -> Result<Port, PortError> {
        Ok(find(&mut self.ports.lock(), port)?.device.clone())
    }
}

fn find(ports: &mut [PortRecord], port: DpPort) -> Result<&mut PortRecord, PortError> {
    ports.iter_mut().find(|p| p.port == port).ok_or(PortError::Unknown { port })
}
