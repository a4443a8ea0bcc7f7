//! The datapath as control sees it.

use crate::arena::Arena;
use crate::config::Config;
use crate::counters::{Counters, PortCounters};
use crate::flows::{Candidate, Shown, flow_mask};
use crate::placement::PmdSpot;
use crate::pmd::{Mail, Pmd};
use crate::ports::{MAX_PORT, PortError, PortOptions, PortRecord, PortState, PortView};
use crate::punt::Punts;
use crate::revalidate::{RevalidationReport, Revalidator};
use crate::rxq::{Affinity, AutoBalance, Plan, Policy};
use crate::shared::Shared;
use dpdk::{Mempool, Port};
use flow::clock::{Clock, Time};
use flow::dp::{Cacheable, DpFlow, FlowId, FlowListener, Hits, Mark, Meters, RecircId, Resume, Slowpath, WorkerFence};
use flow::{DpPort, FlowKey};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
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
    pub(crate) shared: Arc<Shared>,
    /// Records of flows that were made without a packet.
    expected: Arc<Arena>,
    /// Locked in this order: ports, PMDs, placing.
    pub(crate) ports: Mutex<Vec<PortRecord>>,
    pub(crate) pmds: Mutex<Vec<Pmd>>,
    pub(crate) placing: Mutex<Placing>,
}

/// How receive queues are placed.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    pub(crate) policy: Policy,
    /// The plan in force.
    pub(crate) plan: Plan,
    pub(crate) balance: AutoBalance,
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
        Datapath::around(shared)
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
        Datapath::around(shared)
    }

    fn around(shared: Arc<Shared>) -> Datapath {
        let expected = Arc::new(Arena::new());
        Datapath { shared, expected, pmds: Mutex::default(), ports: Mutex::default(), placing: Mutex::default() }
    }

    /// As [`Datapath::add_pmd_at`], on any CPU.
    ///
    /// # Errors
    /// As there.
    pub fn add_pmd(&self) -> Result<Pmd, PortError> {
        self.add_pmd_at(PmdSpot::default())
    }

    /// The PMDs.
    #[must_use]
    pub fn pmds(&self) -> Vec<Pmd> {
        self.pmds.lock().clone()
    }

    /// Handle packets of a started port. All receive queues are assigned to PMDs anew.
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
        if tx.is_empty() {
            return Err(PortError::TxQueues { name });
        }
        let mut record = PortRecord {
            port,
            name,
            mtu,
            up: !down,
            numa: device.numa_node().unwrap_or(0),
            device,
            affinity: Affinity::default(),
            rx: Vec::new(),
            tx_queues: 0,
            spare_tx: Vec::new(),
            tx_by: BTreeMap::new(),
            counters: BTreeMap::new(),
            retired: PortCounters::default(),
            left: None,
            paused: false,
        };
        self.hand_out(&mut record, rx, tx, &pmds);
        ports.push(record);
        self.place(&mut ports, &pmds, None);
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
        record.paused = false;
        self.call_back(record, &self.pmds.lock());
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
            PortState::Active | PortState::Paused { .. } => {
                return Err(PortError::Draining { port, pmds: self.pmds.lock().len() });
            }
        }
        let record = ports.swap_remove(at);
        self.shared.rxqs.write().retain(|rxq| rxq.port != port);
        let device = record.device;
        self.place(&mut ports, &self.pmds.lock(), None);
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

    /// Make the flow that a packet with this key would make, without a packet: nothing is counted or learned. Whether it is there now.
    pub fn expect(&self, key: &FlowKey) -> bool {
        let shared = &self.shared;
        let epoch = shared.epoch();
        let at = Resume { recirc_id: RecircId(key.recirc_id.get()) };
        let translation = shared.slowpath.translate(&at, key);
        if translation.cacheable != Cacheable::Yes {
            return false;
        }
        let mask = flow_mask(&translation);
        let first = Hits { used: shared.clock.now(), ..Hits::default() };
        // No worker has it before a packet comes to one.
        let (key, arena) = (key.masked(&mask), &self.expected);
        let candidate =
            Candidate { key: &key, mask: &mask, translation: &translation, epoch, first, arena, next: None };
        shared.install(&candidate).is_ok()
    }

    /// Hardware has no rule of this removed flow and will report no more hits. Once for each
    /// [`FlowListener::flow_removed`], from any thread, from within the listener too.
    pub fn hardware_gone(&self, flow: &Arc<DpFlow>) {
        self.shared.gone.push(flow.id);
        self.shared.alarm.call();
    }

    /// The mark that hardware is to put on packets of which it does the first `done` actions of a flow: the worker that
    /// receives one goes on behind them, and counts it as it came. They must do no more than change bytes. `None`: there is no
    /// such mark, hardware must not change packets and leave them to software. The same mark again when asked again. Not
    /// from within the listener.
    #[must_use]
    pub fn rest_mark(&self, flow: &Arc<DpFlow>, done: usize) -> Option<Mark> {
        self.shared.registry.lock().rest_of(flow, done)
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

    /// While hardware does all of a flow's work: all of its packets until then were reported, none if there were none. `None`:
    /// software sees all of its packets from now on. A flow expires only for time of which it is known that no packet came.
    pub fn hardware_read(&self, flow: &Arc<DpFlow>, until: Option<Time>) {
        self.shared.registry.lock().hardware_read(flow, until);
    }

    /// How many packets software has switched so far, of each flow that had some since it was last sampled; looks at `most` flows'
    /// places from `from` on. The answer is where to go on; 0 after the last. Flows that hardware never hears of are left out.
    pub fn sample(&self, from: usize, most: usize, into: &mut Vec<(FlowId, u64)>) -> usize {
        const CHUNK: usize = 64;
        let end = from.saturating_add(most);
        let mut from = from;
        while from < end {
            let n = CHUNK.min(end - from);
            if !self.shared.registry.lock().sample(from, n, into) {
                return 0;
            }
            from += n;
        }
        from
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

    /// How long a flow stays without a packet.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.shared.config.idle
    }

    /// Number of removed flows whose mark is not free yet.
    #[must_use]
    pub fn marks_waiting(&self) -> usize {
        self.shared.revalidation.lock().waiting()
    }

    /// What all PMDs counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.shared.retired.lock().clone();
        for pmd in self.shared.pmds.read().iter() {
            sum.add(&pmd.counters.read());
        }
        sum
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
