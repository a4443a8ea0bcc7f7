//! The datapath as control sees it.

use crate::config::Config;
use crate::counters::{Counters, PortWorkerCounters};
use crate::flows::Shown;
use crate::pmd::{Mail, Pmd, PmdShared, PmdView, PortSetup};
use crate::ports::{MAX_PORT, PortError, PortOptions, PortRecord, PortState, PortView};
use crate::punt::Punts;
use crate::revalidate::{RevalidationReport, Revalidator};
use crate::shared::Shared;
use crate::worker::Worker;
use dpdk::{Mempool, Port};
use flow::DpPort;
use flow::clock::{Clock, Time};
use flow::dp::{DpFlow, FlowListener, Hits, Meters, Slowpath, WorkerFence};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// A listener for datapaths without hardware. Leave [`Config::offload`] off with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHardware;

impl FlowListener for NoHardware {
    fn flow_added(&self, _: &Arc<DpFlow>) {}
    fn flow_removed(&self, _: &Arc<DpFlow>) {}
}

/// What is to be shown of a flow.
#[derive(Clone, Debug)]
pub struct FlowView {
    pub flow: Arc<DpFlow>,
    /// Packets that workers handled, those with a mark included.
    pub software: Hits,
    /// Packets that hardware reported.
    pub hardware: Hits,
    /// When a packet last used it, wherever; its creation when none did.
    pub used: Time,
    /// How long it exists.
    pub age: Duration,
}

/// Most flows at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLimit {
    /// [`Config::flow_limit`], at most [`crate::MAX_FLOWS`].
    pub configured: usize,
    /// Lower than that when a round over all flows took long.
    pub present: usize,
}

/// A software datapath: ports, PMDs, flows.
#[derive(Debug)]
pub struct Datapath {
    shared: Arc<Shared>,
    pmds: Mutex<Vec<Pmd>>,
    ports: Mutex<Vec<PortRecord>>,
}

impl Datapath {
    /// A datapath without ports and PMDs. Copies of packets come from `pool`.
    #[must_use]
    pub fn new(
        slowpath: Arc<dyn Slowpath>,
        listener: Arc<dyn FlowListener>,
        clock: Arc<dyn Clock>,
        pool: Arc<Mempool>,
        config: Config,
    ) -> Datapath {
        let shared = Arc::new(Shared::new(slowpath, listener, None, clock, pool, config));
        Datapath { shared, pmds: Mutex::default(), ports: Mutex::default() }
    }

    /// As [`Datapath::new`], with meters. Without, packets that reach a meter are dropped as `unsupported_action`.
    #[must_use]
    pub fn with_meters(
        slowpath: Arc<dyn Slowpath>,
        listener: Arc<dyn FlowListener>,
        meters: Arc<dyn Meters>,
        clock: Arc<dyn Clock>,
        pool: Arc<Mempool>,
        config: Config,
    ) -> Datapath {
        let shared = Arc::new(Shared::new(slowpath, listener, Some(meters), clock, pool, config));
        Datapath { shared, pmds: Mutex::default(), ports: Mutex::default() }
    }

    /// Add a PMD. All PMDs are added before the first port, since each needs a transmit queue of every port.
    ///
    /// # Errors
    /// [`PortError::TxQueues`] when there are ports that have no queue for it.
    pub fn add_pmd(&self) -> Result<Pmd, PortError> {
        let ports = self.ports.lock();
        let mut pmds = self.pmds.lock();
        if let Some(port) = ports.first() {
            let (have, need) = (port.tx_queues.min(pmds.len()), pmds.len() + 1);
            return Err(PortError::TxQueues { name: port.name.clone(), have, need });
        }
        let number = u32::try_from(pmds.len()).unwrap_or(u32::MAX);
        let me = Arc::new(PmdShared::new(number, self.shared.config.punt_queue));
        let worker = Worker::new(Arc::clone(&self.shared), Arc::clone(&me));
        let pmd = Pmd::new(Arc::clone(&self.shared), Arc::clone(&me), worker);
        self.shared.pmds.write().push(me);
        pmds.push(pmd.clone());
        Ok(pmd)
    }

    /// The PMDs.
    #[must_use]
    pub fn pmds(&self) -> Vec<Pmd> {
        self.pmds.lock().clone()
    }

    /// Handle packets of a started port. Receive queue `i` goes to PMD `i` modulo their number, transmit queue `i` to PMD `i`.
    ///
    /// # Errors
    /// [`PortError`] names the port and the remedy; the device is dropped then.
    pub fn add_port(&self, port: DpPort, device: Port, options: PortOptions) -> Result<(), PortError> {
        let PortOptions { name, mtu, down } = options;
        if port.0 >= MAX_PORT {
            return Err(PortError::Number { port });
        }
        let mut ports = self.ports.lock();
        if let Some(there) = ports.iter().find(|p| p.port == port) {
            return Err(PortError::Exists { port, name: there.name.clone() });
        }
        let pmds = self.pmds.lock();
        if pmds.is_empty() {
            return Err(PortError::NoPmd { name });
        }
        let mtu = match mtu {
            Some(mtu) => mtu,
            None => device.mtu()?,
        };
        let (rx, tx) = device.take_queues()?;
        if tx.len() < pmds.len() {
            return Err(PortError::TxQueues { name, have: tx.len(), need: pmds.len() });
        }
        let mut record = PortRecord {
            port,
            name,
            device,
            mtu,
            up: !down,
            rx_queues: rx.len(),
            tx_queues: tx.len(),
            counters: Vec::new(),
            left: None,
        };
        let mut tx = tx.into_iter();
        let mut setups: Vec<PortSetup> = Vec::new();
        for _ in pmds.iter() {
            let counters = Arc::<PortWorkerCounters>::default();
            record.counters.push(Arc::clone(&counters));
            let (up, max_frame) = (record.up, record.max_frame());
            setups.push(PortSetup { port, rx: Vec::new(), tx: tx.next(), up, max_frame, counters });
        }
        for (i, queue) in rx.into_iter().enumerate() {
            let at = i % setups.len();
            setups[at].rx.push(queue);
        }
        for (pmd, setup) in pmds.iter().zip(setups) {
            pmd.shared_part().mailbox.push(Mail::AddPort(Box::new(setup)));
            pmd.serve_if_idle();
        }
        ports.push(record);
        Ok(())
    }

    /// Say whether a port is up, and its MTU in bytes.
    ///
    /// # Errors
    /// [`PortError::Unknown`].
    pub fn set_port(&self, port: DpPort, up: bool, mtu: u16) -> Result<(), PortError> {
        let mut ports = self.ports.lock();
        let record = ports.iter_mut().find(|p| p.port == port).ok_or(PortError::Unknown { port })?;
        (record.up, record.mtu) = (up, mtu);
        let max_frame = record.max_frame();
        for pmd in self.pmds.lock().iter() {
            pmd.shared_part().mailbox.push(Mail::PortChanged { port, up, max_frame });
            pmd.serve_if_idle();
        }
        Ok(())
    }

    /// Begin to remove a port; to be followed by [`Datapath::finish_removal`]. Beginning twice is once.
    ///
    /// # Errors
    /// [`PortError::Unknown`].
    pub fn begin_removal(&self, port: DpPort) -> Result<(), PortError> {
        let mut ports = self.ports.lock();
        let record = ports.iter_mut().find(|p| p.port == port).ok_or(PortError::Unknown { port })?;
        if record.left.is_none() {
            let pmds = self.pmds.lock();
            let left = Arc::new(AtomicUsize::new(pmds.len()));
            record.left = Some(Arc::clone(&left));
            for pmd in pmds.iter() {
                pmd.shared_part().mailbox.push(Mail::RemovePort { port, left: Arc::clone(&left) });
                pmd.serve_if_idle();
            }
        }
        Ok(())
    }

    /// End the removal of a port when all PMDs gave its queues back: removes its flows, hands out the device to be closed.
    ///
    /// # Errors
    /// [`PortError::Draining`] while they have not (or removal has not begun); [`PortError::Unknown`].
    pub fn finish_removal(&self, port: DpPort) -> Result<Port, PortError> {
        let mut ports = self.ports.lock();
        let at = ports.iter().position(|p| p.port == port).ok_or(PortError::Unknown { port })?;
        match ports[at].state() {
            PortState::Draining { pmds: 0 } => {}
            PortState::Draining { pmds } => return Err(PortError::Draining { port, pmds }),
            PortState::Active => return Err(PortError::Draining { port, pmds: self.pmds.lock().len() }),
        }
        let device = ports.swap_remove(at).device;
        drop(ports);
        self.shared.revalidation.lock().remove_port(&self.shared, port);
        Ok(device)
    }

    /// Remove a port, waiting for PMD threads up to `timeout`.
    ///
    /// # Errors
    /// As [`Datapath::finish_removal`]; removal goes on and can be finished later.
    pub fn remove_port(&self, port: DpPort, timeout: Duration) -> Result<Port, PortError> {
        let start = Instant::now();
        self.begin_removal(port)?;
        loop {
            match self.finish_removal(port) {
                Err(PortError::Draining { .. }) if start.elapsed() < timeout => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                other => return other,
            }
        }
    }

    /// Read packets for controllers. While there is a reader, workers queue them; else they are dropped as `no_controller`.
    #[must_use]
    pub fn punts(&self) -> Punts {
        Punts::new(Arc::clone(&self.shared))
    }

    /// The revalidator.
    #[must_use]
    pub fn revalidator(&self) -> Revalidator {
        Revalidator::new(Arc::clone(&self.shared))
    }

    /// As [`Revalidator::barrier`].
    #[must_use]
    pub fn barrier(&self, timeout: Duration) -> WorkerFence {
        self.revalidator().barrier(timeout)
    }

    /// Hardware has no rule of this removed flow and will report no more hits. Once for each
    /// [`FlowListener::flow_removed`], from any thread, from within the listener too.
    pub fn hardware_gone(&self, flow: &Arc<DpFlow>) {
        self.shared.gone.push(flow.id);
    }

    /// Packets that hardware handled alone since the last report, from a successful read of its counter. Packets that
    /// hardware only marked are counted by the worker that gets them and must not be reported. Not from within the listener.
    pub fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: &Hits) {
        if hits.packets == 0 {
            return;
        }
        self.shared.registry.lock().add_hardware(flow, hits);
        self.shared.slowpath.replay(&flow.effects, hits);
    }

    /// All live flows.
    #[must_use]
    pub fn dump(&self) -> Vec<FlowView> {
        const CHUNK: usize = 256;
        let now = self.shared.clock.now();
        let (mut views, mut from, mut more) = (Vec::new(), 0, true);
        while more {
            let chunk;
            (chunk, more) = self.shared.registry.lock().show(from, CHUNK);
            views.extend(chunk.into_iter().map(|flow| view(flow, now)));
            from += CHUNK;
        }
        views
    }

    /// Number of live flows.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.shared.registry.lock().live()
    }

    /// Most flows that there may be: as configured, and at present, when looking through them takes too long.
    #[must_use]
    pub fn flow_limit(&self) -> FlowLimit {
        let registry = self.shared.registry.lock();
        FlowLimit { configured: registry.limit().configured(), present: registry.limit().present() }
    }

    /// Number of removed flows whose mark is not free yet.
    #[must_use]
    pub fn marks_waiting(&self) -> usize {
        self.shared.revalidation.lock().waiting()
    }

    /// What all PMDs counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for pmd in self.shared.pmds.read().iter() {
            sum.add(&pmd.counters.read());
        }
        sum
    }

    /// Each PMD with its counters and caches.
    #[must_use]
    pub fn pmd_views(&self) -> Vec<PmdView> {
        self.shared.pmds.read().iter().map(|pmd| pmd.view()).collect()
    }

    /// The ports.
    #[must_use]
    pub fn ports(&self) -> Vec<PortView> {
        self.ports.lock().iter().map(PortRecord::view).collect()
    }

    /// What revalidation has done since the start.
    #[must_use]
    pub fn revalidation_totals(&self) -> RevalidationReport {
        self.shared.revalidation.lock().total()
    }
}

fn view(shown: Shown, now: Time) -> FlowView {
    let Shown { flow, software, hardware, created } = shown;
    let used = created.max(software.used).max(hardware.used);
    FlowView { flow, software, hardware, used, age: now.since(created) }
}
