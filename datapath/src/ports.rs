//! Ports of the datapath: adding them, changing them, and taking them away without a worker noticing.
//!
//! A port is `Active`, then `Draining` (its workers give the queues back at their next poll; outputs to it are dropped as
//! `no_such_port` from then on), then gone: its flows are removed and the device is handed back to be closed.

use crate::counters::{PortCounters, PortWorkerCounters};
use crate::egress::max_frame;
use crate::rxq::Affinity;
use crate::rxq::shared::{GONE, RxqShared};
use crate::tx::SharedTx;
use dpdk::{Eal, Mempool, Port, RxMetadata, TxQueue};
use flow::DpPort;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// Set when removal began: workers that still hold queues.
    pub(crate) left: Option<Arc<AtomicUsize>>,
}

impl PortRecord {
    pub(crate) fn state(&self) -> PortState {
        match &self.left {
            None => PortState::Active,
            Some(left) => {
                // A queue may be on its way from a PMD to another.
                let queues = self.rx.iter().filter(|rxq| rxq.shared.holder() != GONE).count();
                PortState::Draining { pmds: left.load(Ordering::Acquire).max(queues) }
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

/// Attach a device by its devargs, ask for marks in its packets, configure and start it. It gets fewer transmit queues than asked
/// for where it has fewer, one at least: PMDs share them then.
///
/// # Errors
/// DPDK's, which name the device and the remedy.
pub fn attach(
    eal: &'static Eal,
    devargs: &str,
    config: &dpdk::PortConfig,
    pool: &Mempool,
) -> Result<Port, dpdk::PortError> {
    let port = Port::attach(eal, devargs)?;
    port.negotiate_rx_metadata(RxMetadata::MARK | RxMetadata::FLAG)?;
    let info = port.info()?;
    // Queues of a memif are those that both ends agree on when they connect; packets on others are lost.
    let most = if info.driver == "net_memif" { 1 } else { info.max_tx_queues.max(1) };
    let fewer = dpdk::PortConfig { tx_queues: config.tx_queues.min(most), ..config.clone() };
    match port.configure(&fewer, pool) {
        // Some drivers (net_tap) want as many receive as transmit queues.
        Err(_) if fewer.tx_queues > config.rx_queues => {
            port.configure(&dpdk::PortConfig { tx_queues: config.rx_queues, ..fewer }, pool)?;
        }
        done => done?,
    }
    port.start()?;
    Ok(port)
}
