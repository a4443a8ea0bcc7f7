//! Ports of the datapath: adding them, changing them, and taking them away without a worker noticing.
//!
//! A port is `Active`, then `Draining` (its workers give the queues back at their next poll; outputs to it are dropped as
//! `no_such_port` from then on), then gone: its flows are removed and the device is handed back to be closed.

use crate::counters::{PortCounters, PortWorkerCounters};
use crate::egress::max_frame;
use dpdk::{Eal, Mempool, Port, RxMetadata};
use flow::DpPort;
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
    #[error("port {name} has {have} transmit queues for {need} PMDs; configure {need} queues or use fewer PMDs")]
    TxQueues { name: String, have: usize, need: usize },
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
    pub counters: PortCounters,
}

/// A port as control knows it.
#[derive(Debug)]
pub(crate) struct PortRecord {
    pub(crate) port: DpPort,
    pub(crate) name: String,
    pub(crate) device: Port,
    pub(crate) mtu: u16,
    pub(crate) up: bool,
    pub(crate) rx_queues: usize,
    pub(crate) tx_queues: usize,
    pub(crate) counters: Vec<Arc<PortWorkerCounters>>,
    /// Set when removal began: workers that still hold queues.
    pub(crate) left: Option<Arc<AtomicUsize>>,
}

impl PortRecord {
    pub(crate) fn state(&self) -> PortState {
        match &self.left {
            None => PortState::Active,
            Some(left) => PortState::Draining { pmds: left.load(Ordering::Acquire) },
        }
    }

    pub(crate) fn max_frame(&self) -> usize {
        max_frame(self.mtu)
    }

    pub(crate) fn view(&self) -> PortView {
        let mut counters = PortCounters::default();
        for worker in &self.counters {
            worker.add_to(&mut counters);
        }
        PortView {
            port: self.port,
            name: self.name.clone(),
            device: self.device.id(),
            mtu: self.mtu,
            up: self.up,
            state: self.state(),
            rx_queues: self.rx_queues,
            tx_queues: self.tx_queues,
            counters,
        }
    }
}

/// Attach a device by its devargs, ask for marks in its packets, configure and start it.
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
    port.configure(config, pool)?;
    port.start()?;
    Ok(port)
}
