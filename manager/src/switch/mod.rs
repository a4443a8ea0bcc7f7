//! Pipeline, datapath and offload engine as one switch.
//!
//! The three do not know each other (docs/adr/0001); here is the glue: the engine hears of the datapath's flows
//! ([`flow::dp::FlowListener`]), the datapath of the engine's hits ([`glue::Hits`]), and a [`Driver`] moves all of them.

mod driver;
mod glue;
mod pmds;
mod punted;
mod rates;
mod tap;
mod unroll;

pub use driver::{Driver, Lockstep, LockstepError};
pub use pmds::PmdsMade;
use punted::Punted;
pub use tap::{Tapped, Taps, Wanted};
use unroll::Unrolling;

use api::DpCounters;
use datapath::{Datapath, PmdSpot, PortCounters, PortOptions, PortState};
use dpdk::{Eal, Mempool, Port};
use flow::clock::Clock;
use flow::dp::{Ack, BridgeId, DpFlow, DropReason, FlowId, HardwareFence, MeterId, Slowpath, WorkerFence};
use flow::{DpPort, FlowKey};
use offload::{Backend, Cookie, Engine, EngineConfig, WantedMeter, World};
use pipeline::Pipeline;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long control waits for workers.
const WORKER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long control waits for hardware.
const HARDWARE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a reading of all hardware counters may take.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a port may take to be drained.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a switch cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    #[error(transparent)]
    Port(#[from] datapath::PortError),
    #[error(transparent)]
    Pmd(#[from] datapath::PmdError),
    #[error("thread: {0}; look at the limit of threads (ulimit -u)")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Nic(#[from] mocks::nic::NicError),
}

/// How a switch is made.
#[expect(missing_debug_implementations, reason = "a backend is a foreign device")]
pub struct Parts {
    pub eal: &'static Eal,
    pub pool: Mempool,
    pub clock: Arc<dyn Clock>,
    /// Where hardware rules go.
    pub backend: Option<Box<dyn Backend>>,
    pub datapath: datapath::Config,
    pub pipeline: pipeline::Config,
    /// MTU of ports; `None`: as the device says.
    pub mtu: Option<u16>,
    /// What hardware rules are known by over restarts.
    pub cookie: Cookie,
}

/// What is to be shown of a datapath flow.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    pub flow: Arc<DpFlow>,
    pub software: flow::dp::Hits,
    pub hardware: flow::dp::Hits,
    pub used: flow::clock::Time,
    pub age: Duration,
}

/// A switch without its threads.
#[derive(Debug)]
pub struct Switch {
    eal: &'static Eal,
    pool: Mempool,
    clock: Arc<dyn Clock>,
    pipeline: Arc<Pipeline>,
    datapath: Arc<Datapath>,
    engine: Arc<Engine>,
    punted: Punted,
    taps: Arc<Taps>,
    mtu: Option<u16>,
    driver: std::sync::OnceLock<Driver>,
    unrolling: Arc<Unrolling>,
    /// There is a device for hardware rules.
    offload: bool,
}

impl Switch {
    /// A switch without bridges and ports, with one PMD on any CPU; nothing moves until it has a driver.
    pub fn new(parts: Parts) -> Result<Arc<Switch>, SwitchError> {
        Switch::with_pmds(parts, &[PmdSpot::default()])
    }

    /// The same with a PMD on each of these spots.
    pub fn with_pmds(parts: Parts, spots: &[PmdSpot]) -> Result<Arc<Switch>, SwitchError> {
        let Parts { eal, pool, clock, backend, datapath: config, pipeline: pipeline_config, mtu, cookie } = parts;
        let pipeline = Arc::new(Pipeline::new(clock.clone(), pipeline_config));
        let hits = Arc::new(glue::Hits::new(pipeline.meter_table().clone()));
        // Without a device nobody has to hear of flows, and none is described for that.
        let offload = backend.is_some();
        let backend = backend.unwrap_or_else(|| Box::new(glue::NoDevice));
        let engine_config =
            EngineConfig { query_interval: Duration::from_millis(100), cookie, ..EngineConfig::default() };
        let engine = Engine::new(engine_config, World::new(), backend, hits.clone());
        let config = datapath::Config { offload, ..config };
        let taps = Arc::new(Taps::new(pipeline.clone()));
        let slowpath: Arc<dyn Slowpath> = taps.clone();
        let meters = pipeline.meter_table().clone();
        let buffers = Arc::new(pool.clone());
        let datapath =
            Arc::new(Datapath::with_meters(slowpath, engine.clone(), meters, clock.clone(), buffers, config));
        hits.connect(&datapath);
        for spot in spots {
            datapath.add_pmd_at(*spot)?;
        }
        let punted = Punted::new(&datapath);
        let driver = std::sync::OnceLock::new();
        let unrolling = Arc::new(Unrolling::new(pipeline.clone()));
        Ok(Arc::new(Switch {
            eal,
            pool,
            clock,
            pipeline,
            datapath,
            engine,
            punted,
            taps,
            mtu,
            driver,
            unrolling,
            offload,
        }))
    }

    /// Let the switch be driven; once.
    pub fn drive(&self, driver: Driver) {
        // A second driver has nothing to drive: it is dropped, and its threads end.
        let _ = self.driver.set(driver);
        self.clear_cpus();
    }

    pub fn eal(&self) -> &'static Eal {
        self.eal
    }

    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn clock_handle(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Where a flow is handled, and why not in hardware. One that the engine has not heard of yet is on its way.
    pub fn placement(&self, flow: &DpFlow) -> (offload::Placement, offload::Refusals) {
        if !self.offload {
            return (offload::Placement::Software, self.engine.judge(flow));
        }
        let on_its_way = || (offload::Placement::Moving, offload::Refusals::from_iter([offload::Refusal::Inserting]));
        self.engine.explain(flow.id).map_or_else(on_its_way, |status| (status.placement, status.refusals))
    }

    /// The engine at a glance; without a device, what it would say of the flows that there are.
    pub fn offload_status(&self) -> offload::EngineStatus {
        let mut status = self.engine.status();
        if !self.offload {
            for info in self.flows() {
                status.count(offload::Placement::Software, &self.engine.judge(&info.flow));
            }
        }
        status
    }

    /// Packets for controllers so far, by controller id.
    pub fn punted(&self, bridge: BridgeId) -> BTreeMap<u16, u64> {
        self.punted.of(bridge)
    }

    /// Packets for controllers so far, whatever bridge they are from.
    pub fn punted_total(&self) -> u64 {
        self.punted.total()
    }

    /// Take the packets for controllers that wait, and count them. Called every second or so.
    pub fn drain_punted(&self) {
        self.punted.drain(&self.pipeline, &self.taps);
    }

    /// Copies of chosen packets.
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// The lockstep driver, when there is one.
    pub fn lockstep(&self) -> Option<&Lockstep> {
        match self.driver.get() {
            Some(Driver::Lockstep(lockstep)) => Some(lockstep),
            _ => None,
        }
    }

    /// Poll a port's packets from now on.
    pub fn add_port(&self, port: DpPort, name: &str, device: Port) -> Result<(), SwitchError> {
        self.add_port_with_mtu(port, name, device, None)
    }

    /// The same, with an MTU in bytes that was asked for; `None`: that of the switch, or as the device says.
    pub fn add_port_with_mtu(
        &self,
        port: DpPort,
        name: &str,
        device: Port,
        mtu: Option<u16>,
    ) -> Result<(), SwitchError> {
        let options = PortOptions { name: name.to_owned(), mtu: mtu.or(self.mtu), down: false };
        Ok(self.datapath.add_port(port, device, options)?)
    }

    /// Set a port's device up anew, with its queues called back meanwhile.
    pub fn reconfigure(
        &self,
        port: DpPort,
        mtu: Option<u16>,
        setup: impl FnOnce(&Port) -> Result<(), dpdk::PortError>,
    ) -> Result<(), datapath::PortError> {
        self.datapath.reconfigure_port(port, mtu.or(self.mtu), DRAIN_TIMEOUT, setup)
    }

    /// What each port is doing.
    pub fn port_states(&self) -> HashMap<DpPort, PortState> {
        self.datapath.ports().into_iter().map(|p| (p.port, p.state)).collect()
    }

    /// Poll a port no longer; its flows are gone when this returns. `false`: a worker still holds it and gives it back later.
    pub fn remove_port(&self, port: DpPort) -> bool {
        let removed = self.datapath.remove_port(port, DRAIN_TIMEOUT);
        if let Err(e) = &removed {
            tracing::error!("{e}");
        }
        removed.is_ok()
    }

    /// Begin to remove a port; [`Switch::finish_removal`] ends it.
    pub fn begin_removal(&self, port: DpPort) {
        if let Err(e) = self.datapath.begin_removal(port) {
            tracing::error!("{e}");
        }
    }

    /// Go on with a removal; whether it has ended. The device is closed then.
    pub fn finish_removal(&self, port: DpPort) -> bool {
        !matches!(self.datapath.finish_removal(port), Err(datapath::PortError::Draining { .. }))
    }

    /// Say which meters are wanted, and where. In force with the next fence.
    pub fn set_meters(&self, wanted: HashMap<MeterId, WantedMeter>) {
        if self.offload {
            self.engine.set_meters(wanted);
        }
    }

    /// Tell the planner of ports and admission.
    pub fn set_world(&self, world: World) {
        if self.offload {
            self.unrolling.set_world(&world);
        }
        self.engine.set_world(world);
        if let Some(lockstep) = self.lockstep()
            && let Err(e) = lockstep.settle()
        {
            tracing::error!("{e}");
        }
    }

    /// Go on with hardware rules of an earlier run: make the flows that they are for, so that equal rules stay, others give way to
    /// those, and the others go. To be called once bridges, ports and rules are as they are to be. How many rules waited.
    pub fn take_over(&self) -> usize {
        if !self.offload {
            return 0;
        }
        // The engine knows the ports from here on.
        self.fence();
        let expected = self.engine.expected();
        let made = expected.iter().filter(|key| self.datapath.expect(key)).count();
        if !expected.is_empty() {
            tracing::info!("{} hardware rules of an earlier run; {made} of them are of flows of now", expected.len());
            // Where hardware is slow, the time of grace decides.
            if self.fence().hardware == HardwareFence::Fenced {
                self.engine.let_go();
                self.fence();
            }
        }
        expected.len()
    }

    /// Wait, within bounds, until all changes so far are in force everywhere.
    pub fn fence(&self) -> Ack {
        let epoch = self.pipeline.epoch();
        let workers = match self.lockstep() {
            Some(lockstep) => match lockstep.settle() {
                Ok(()) => WorkerFence::Fenced,
                Err(e) => {
                    tracing::error!("{e}");
                    WorkerFence::TimedOut { pmd: 0 }
                }
            },
            None => self.datapath.barrier(WORKER_TIMEOUT),
        };
        Ack { epoch, workers, hardware: self.hardware_fence() }
    }

    fn hardware_fence(&self) -> HardwareFence {
        if !self.offload {
            return HardwareFence::Fenced;
        }
        let start = Instant::now();
        let ticket = self.engine.fence();
        if let Some(lockstep) = self.lockstep()
            && let Err(e) = lockstep.settle()
        {
            return HardwareFence::Failed(e.to_string());
        }
        loop {
            let state = self.engine.pending(&ticket);
            if !matches!(state, HardwareFence::Pending(_)) || start.elapsed() > HARDWARE_TIMEOUT {
                return state;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Bring the hits of all flows into the rules' counters.
    pub fn fold(&self) {
        self.drain_punted();
        let now = self.clock.now();
        match self.lockstep() {
            Some(lockstep) => {
                if let Err(e) = lockstep.settle() {
                    tracing::error!("{e}");
                }
            }
            None => {
                self.engine.refresh();
                let start = Instant::now();
                // Counters of a slow device are missing then; they come with the next reading.
                while !self.engine.is_quiet() && start.elapsed() < READ_TIMEOUT {
                    std::thread::sleep(Duration::from_micros(200));
                }
                self.datapath.revalidator().run(now);
            }
        }
    }

    /// All datapath flows.
    pub fn flows(&self) -> Vec<FlowInfo> {
        let info = |v: datapath::FlowView| FlowInfo {
            flow: v.flow,
            software: v.software,
            hardware: v.hardware,
            used: v.used,
            age: v.age,
        };
        self.datapath.dump().into_iter().map(info).collect()
    }

    /// The flow that packets like this one are of. Looks at every flow.
    pub fn flow_of(&self, packet: &FlowKey) -> Option<Arc<DpFlow>> {
        self.datapath.dump().into_iter().map(|v| v.flow).find(|flow| flow.key == packet.masked(&flow.mask))
    }

    /// The hardware rules of a flow in testpmd's syntax, with what each that counts had counted when it was last read.
    pub fn hardware_rules(&self, flow: FlowId) -> Vec<String> {
        let text = |r: offload::RuleStatus| match r.counters {
            Some(c) => format!("{} (packets {}, bytes {})", r.rule, c.packets, c.bytes),
            None => r.rule.to_string(),
        };
        self.engine.rules(flow).into_iter().map(text).collect()
    }

    /// What the datapath counted on each port.
    pub fn port_counters(&self) -> HashMap<DpPort, PortCounters> {
        self.datapath.ports().into_iter().map(|p| (p.port, p.counters)).collect()
    }

    /// What all workers counted.
    pub fn counters(&self) -> DpCounters {
        let all = self.datapath.counters();
        let drops = DropReason::ALL.iter().map(|r| (r.name().to_owned(), all.drops_by(*r))).filter(|(_, n)| *n > 0);
        let base = ["rx", "tx", "copies"];
        let ways = ["mark_hit", "mark_unknown", "cache_hit", "megaflow_hit", "subtables_probed", "miss"];
        let others = all.named().filter(|(name, n)| !base.contains(name) && *n > 0);
        let pmds = self.datapath.pmd_views();
        let (lookups, events): (BTreeMap<_, _>, BTreeMap<_, _>) =
            others.map(|(name, n)| (name.to_owned(), n)).partition(|(name, _)| ways.contains(&name.as_str()));
        DpCounters {
            rx_packets: all.rx,
            tx_packets: all.tx,
            copies: all.copies,
            drops: drops.collect(),
            lookups,
            events,
            flows: self.datapath.flow_count(),
            cycles: dpdk::cycles(),
            cycles_per_second: dpdk::tsc_hz(self.eal),
            busy_cycles: pmds.iter().map(|p| p.cycles.busy).sum(),
            idle_cycles: pmds.iter().map(|p| p.cycles.idle).sum(),
            masks: pmds.iter().map(|p| usize::try_from(p.subtables).unwrap_or(usize::MAX)).sum(),
        }
    }
}
