//! The NIC around its switch: representors as DPDK ports, outside ends as queues.

use super::eswitch::{Delivery, Eswitch, NicStats};
use super::faults::Faults;
use super::headers::{Headers, L3, ParserLimits};
use super::profile::Profile;
use super::rte_flow::MockRteFlow;
use super::rule::{Queues, Source};
use dpdk::{Eal, Mbuf, MbufBatch, MbufError, Mempool, MempoolConfig, MempoolError, Port, PortError};
use dpdk::{RingConsumer, RingError, RingMode, RingProducer, ring};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest frame in bytes: a 64 KiB GSO packet of a capture and its tags fit.
pub const MAX_FRAME: usize = 66_000;
const BURST: usize = 32;

/// An outside end: the wire, or a VF by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    Wire,
    Vf(u16),
}

impl End {
    /// All ends of a NIC with so many VFs: the wire first.
    pub fn all(vfs: u16) -> impl Iterator<Item = End> {
        std::iter::once(End::Wire).chain((0..vfs).map(End::Vf))
    }

    fn place(self) -> usize {
        match self {
            End::Wire => 0,
            End::Vf(n) => usize::from(n) + 1,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Wire => f.write_str("wire"),
            End::Vf(n) => write!(f, "vf{n}"),
        }
    }
}

/// How to make a [`MockNic`].
#[derive(Clone, Debug)]
pub struct MockNicConfig {
    /// Start of the ports' names, 12 bytes at most; unique among the NICs of a process.
    pub name: String,
    pub profile: Profile,
    pub vfs: u16,
    pub faults: Faults,
    /// Seed of everything that happens by chance.
    pub seed: u64,
    /// Queues of each representor, in each direction: one a PMD thread.
    pub queues: u16,
    /// Packets in a representor's ring.
    pub ring_size: u32,
    /// Buffers for packets to representors.
    pub buffers: u32,
    /// Frames that wait at an outside end, in each direction.
    pub end_capacity: usize,
    /// Eswitch domain; unique among the NICs of a process.
    pub domain: u16,
}

impl MockNicConfig {
    /// Defaults for a profile: 4 VFs, 1 queue, no fault.
    #[must_use]
    pub fn new(profile: Profile) -> MockNicConfig {
        MockNicConfig {
            name: "mock".into(),
            profile,
            vfs: 4,
            faults: Faults::none(),
            seed: 0,
            queues: 1,
            ring_size: 1023,
            buffers: 8191,
            end_capacity: 1 << 16,
            domain: 0,
        }
    }
}

/// Why a mock NIC cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    #[error(
        "mock NIC {name}: {vfs} VFs and the wire need {} DPDK ports, and DPDK holds {limit} (RTE_MAX_ETHPORTS of its build); \
         use at most {} VFs", u32::from(*vfs) + 1, limit - 1
    )]
    TooManyPorts { name: String, vfs: u16, limit: usize },
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    #[error("mock NIC: its thread cannot be started: {0}; end other threads or raise the limit")]
    Thread(#[from] std::io::Error),
}

/// Why a frame was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    #[error("the mock NIC has no end {end}; it has the wire and {vfs} VFs")]
    NoSuchEnd { end: End, vfs: u16 },
    #[error("{end}: {waiting} frames are waiting already; let the NIC take some first")]
    Full { end: End, waiting: usize },
    #[error("{end}: frame of {len} bytes; 1 to {MAX_FRAME} are possible")]
    Length { end: End, len: usize },
}

/// A representor: the DPDK port that stands for an end.
#[derive(Clone, Debug)]
pub struct Representor {
    pub end: End,
    pub port: Port,
}

#[derive(Debug, Default)]
struct EndQueues {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

pub(super) struct Shared {
    eswitch: Mutex<Eswitch>,
    ends: Vec<Mutex<EndQueues>>,
    capacity: usize,
    domain: u16,
    clock: Mutex<NicClock>,
}

/// Where the NIC's time comes from, in nanoseconds.
type NicClock = Box<dyn Fn() -> u64 + Send>;

fn real_time() -> NicClock {
    let start = Instant::now();
    Box::new(move || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("eswitch", &self.eswitch).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn domain(&self) -> u16 {
        self.domain
    }

    pub(super) fn bare(eswitch: Eswitch) -> Shared {
        let clock = Mutex::new(real_time());
        Shared { eswitch: Mutex::new(eswitch), ends: Vec::new(), capacity: 0, domain: 0, clock }
    }

    /// Lets meters and ages know how late it is.
    fn tick(&self) {
        let now = self.clock.lock().unwrap_or_else(PoisonError::into_inner)();
        self.eswitch().set_now(now);
    }

    pub(super) fn eswitch(&self) -> MutexGuard<'_, Eswitch> {
        self.eswitch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(end: &Mutex<EndQueues>) -> MutexGuard<'_, EndQueues> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The NIC's side of a representor's rings.
#[derive(Debug)]
struct Rings {
    ethdev: u16,
    to: Vec<RingProducer>,
    from: Vec<RingConsumer>,
}

/// The mock SmartNIC. Packets move only in [`MockNic::step`].
#[derive(Debug)]
pub struct MockNic {
    shared: Arc<Shared>,
    rings: Vec<Rings>,
    pool: Mempool,
    eal: &'static Eal,
    limits: ParserLimits,
    deliveries: Vec<Delivery>,
}

impl MockNic {
    /// A NIC, and its representors: the wire's first, then the VFs' in order.
    ///
    /// The representors are attached but not configured: their owner does that, as with any port.
    ///
    /// # Errors
    /// [`NicError`]; more VFs than DPDK has ports is one.
    pub fn new(eal: &'static Eal, config: MockNicConfig) -> Result<(MockNic, Vec<Representor>), NicError> {
        if usize::from(config.vfs) + 1 > dpdk::MAX_PORTS {
            return Err(NicError::TooManyPorts { name: config.name, vfs: config.vfs, limit: dpdk::MAX_PORTS });
        }
        let pool_config = MempoolConfig { size: config.buffers, ..MempoolConfig::default() };
        let pool = Mempool::new(eal, &config.name, pool_config)?;
        let (mut rings, mut representors) = (Vec::new(), Vec::new());
        for end in End::all(config.vfs) {
            let name = format!("{}_{end}", config.name);
            let mut side = Rings { ethdev: 0, to: Vec::new(), from: Vec::new() };
            let (mut rx, mut tx) = (Vec::new(), Vec::new());
            for _ in 0..config.queues.max(1) {
                let (nic, port) = ring(eal, &name, config.ring_size, RingMode::SpSc)?;
                side.to.push(nic);
                rx.push(port);
                let (port, nic) = ring(eal, &name, config.ring_size, RingMode::SpSc)?;
                side.from.push(nic);
                tx.push(port);
            }
            let port = Port::from_rings(eal, &name, rx, tx)?;
            side.ethdev = port.id();
            rings.push(side);
            representors.push(Representor { end, port });
        }
        let ethdevs = rings.iter().map(|r| r.ethdev).collect();
        let limits = config.profile.parser;
        let eswitch = Eswitch::new(config.profile, ethdevs, config.faults, config.seed).with_queues(config.queues);
        let shared = Shared {
            eswitch: Mutex::new(eswitch),
            ends: rings.iter().map(|_| Mutex::default()).collect(),
            capacity: config.end_capacity,
            domain: config.domain,
            clock: Mutex::new(real_time()),
        };
        let nic = MockNic { shared: Arc::new(shared), rings, pool, eal, limits, deliveries: Vec::new() };
        Ok((nic, representors))
    }

    /// A handle for whoever sits at the outside ends. Clones are handles to the same NIC.
    #[must_use]
    pub fn handle(&self) -> NicHandle {
        NicHandle { shared: Arc::clone(&self.shared) }
    }

    /// The buffers of packets to representors.
    #[must_use]
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// The way for flow rules into this NIC.
    #[must_use]
    pub fn rte_flow(&self) -> MockRteFlow {
        MockRteFlow::new(Arc::clone(&self.shared))
    }

    /// Move packets: up to 32 of each outside end, wire first, then up to 32 of each representor queue. Always in this order,
    /// so that a run can be repeated. Returns how many packets moved; 0: nothing was there to move.
    pub fn step(&mut self) -> usize {
        let shared = Arc::clone(&self.shared);
        shared.tick();
        let mut moved = 0;
        for (place, end) in shared.ends.iter().enumerate() {
            for _ in 0..BURST {
                let Some(frame) = lock(end).incoming.pop_front() else { break };
                self.forward(&shared, Source::Outside(place), frame);
                moved += 1;
            }
        }
        for place in 0..self.rings.len() {
            for queue in 0..self.rings.get(place).map_or(0, |r| r.from.len()) {
                let mut batch = MbufBatch::new();
                if let Some(from) = self.rings.get_mut(place).and_then(|r| r.from.get_mut(queue)) {
                    from.dequeue_up_to(&mut batch, BURST);
                }
                for packet in batch.drain() {
                    // The bytes are copied, so nobody else who holds the buffer sees what rules do to them.
                    self.forward(&shared, Source::Representor(place), packet.to_vec());
                    moved += 1;
                }
            }
        }
        moved
    }

    /// Whether no packet is inside: neither at the outside ends, nor in a representor's rings.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let rings = |r: &Rings| r.to.iter().all(|q| q.count() == 0) && r.from.iter().all(|q| q.count() == 0);
        self.shared.ends.iter().all(|end| lock(end).incoming.is_empty()) && self.rings.iter().all(rings)
    }

    /// Run [`MockNic::step`] on a thread of its own, until the [`NicThread`] is stopped or dropped.
    ///
    /// # Errors
    /// [`NicError::Thread`].
    pub fn spawn(mut self) -> Result<NicThread, NicError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("mock-nic".into()).spawn(move || {
            // Without registration buffers only come slower.
            let _registered = self.eal.register_thread().ok();
            while !stopped.load(Ordering::Relaxed) {
                if self.step() == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
            self
        })?;
        Ok(NicThread { stop, thread: Some(thread) })
    }

    fn forward(&mut self, shared: &Shared, source: Source, frame: Vec<u8>) {
        let mut deliveries = std::mem::take(&mut self.deliveries);
        shared.eswitch().forward(source, frame, &mut deliveries);
        for delivery in deliveries.drain(..) {
            let lost = match delivery {
                Delivery::Outside { place, frame } => Self::leave(shared, place, frame),
                Delivery::Representor { place, frame, mark, flag, queues } => {
                    self.deliver(place, &frame, mark, flag, &queues)
                }
            };
            if let Err(name) = lost {
                shared.eswitch().stats.drop_one(name);
            }
        }
        self.deliveries = deliveries;
    }

    fn leave(shared: &Shared, place: usize, frame: Vec<u8>) -> Result<(), &'static str> {
        let end = shared.ends.get(place).ok_or("no_such_end")?;
        let mut end = lock(end);
        if end.outgoing.len() >= shared.capacity {
            return Err("end_full");
        }
        end.outgoing.push_back(frame);
        drop(end);
        shared.eswitch().stats.frames_out += 1;
        Ok(())
    }

    fn deliver(
        &mut self,
        place: usize,
        frame: &[u8],
        mark: Option<u32>,
        flag: bool,
        queues: &Queues,
    ) -> Result<(), &'static str> {
        // A packet of a fresh buffer has no mark, no tag and no offload flag.
        let mut packet = Mbuf::from_bytes(&self.pool, frame).map_err(|e| match e {
            MbufError::TooLong { .. } => "too_long",
            _ => "no_buffer",
        })?;
        let side = self.rings.get_mut(place).ok_or("no_such_end")?;
        packet.set_port(side.ethdev);
        packet.set_mark(mark);
        if flag && mark.is_none() {
            packet.set_flag(true);
        }
        let among = |count: usize| if count <= 1 { 0 } else { spread(frame, self.limits) as usize % count };
        let queue = match queues {
            Queues::All => among(side.to.len()),
            Queues::One(queue) => usize::from(*queue),
            Queues::Among(list) => list.get(among(list.len())).map_or(0, |queue| usize::from(*queue)),
        };
        let mut batch = MbufBatch::new();
        batch.push(packet).map_err(|_| "representor_full")?;
        match side.to.get_mut(queue).map(|to| to.enqueue(&mut batch)) {
            Some(1) => Ok(()),
            _ => Err("representor_full"),
        }
    }
}

/// What RSS stands for here: FNV-1a over the addresses, so that the packets of a pair stay in order.
fn spread(frame: &[u8], limits: ParserLimits) -> u32 {
    let fnv = |hash: u32, bytes: &[u8]| bytes.iter().fold(hash, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193));
    let hash = fnv(0x811c_9dc5, frame.get(..12).unwrap_or_default());
    let addresses = match Headers::parse(frame, limits).and_then(|h| h.l3) {
        Some((L3::Ipv4, at)) => frame.get(at + 12..at + 20),
        Some((L3::Ipv6 { .. }, at)) => frame.get(at + 8..at + 40),
        Some((L3::Arp, _)) | None => None,
    };
    fnv(hash, addresses.unwrap_or_default())
}

/// The outside of a mock NIC: frames in, frames out, what became of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NicHandle {
    shared: Arc<Shared>,
}

impl NicHandle {
    /// A frame arrives at an end. It moves with the next [`MockNic::step`].
    ///
    /// # Errors
    /// [`InjectError`]; the frame is not taken and not counted.
    pub fn inject(&self, end: End, frame: &[u8]) -> Result<(), InjectError> {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(InjectError::Length { end, len: frame.len() });
        }
        let mut queues = self.end(end)?;
        let waiting = queues.incoming.len();
        if waiting >= self.shared.capacity {
            return Err(InjectError::Full { end, waiting });
        }
        queues.incoming.push_back(frame.to_vec());
        Ok(())
    }

    /// As [`NicHandle::inject`], of a packet's bytes: its marks and flags are not part of what arrives.
    ///
    /// # Errors
    /// As [`NicHandle::inject`].
    pub fn inject_mbuf(&self, end: End, packet: &Mbuf) -> Result<(), InjectError> {
        self.inject(end, &packet.to_vec())
    }

    /// All frames that have left at an end since the last call, in their order.
    ///
    /// # Errors
    /// [`InjectError::NoSuchEnd`].
    pub fn collect(&self, end: End) -> Result<Vec<Vec<u8>>, InjectError> {
        Ok(self.end(end)?.outgoing.drain(..).collect())
    }

    fn end(&self, end: End) -> Result<MutexGuard<'_, EndQueues>, InjectError> {
        self.shared.ends.get(end.place()).map(lock).ok_or(InjectError::NoSuchEnd { end, vfs: self.vfs() })
    }

    /// Number of VFs.
    #[must_use]
    pub fn vfs(&self) -> u16 {
        u16::try_from(self.shared.ends.len()).map_or(u16::MAX, |n| n.saturating_sub(1))
    }

    /// Frames that were injected and have not moved yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.ends.iter().map(|end| lock(end).incoming.len()).sum()
    }

    /// What became of frames so far.
    #[must_use]
    pub fn stats(&self) -> NicStats {
        self.shared.eswitch().stats().clone()
    }

    /// What the planner is to be told of every representor of this NIC.
    #[must_use]
    pub fn capabilities(&self) -> offload::Capabilities {
        self.shared.eswitch().profile().capabilities()
    }

    /// Bits of a mark that reach the receiver.
    #[must_use]
    pub fn mark_bits(&self) -> u32 {
        self.shared.eswitch().profile().mark_bits
    }

    /// The eswitch domain of its ports.
    #[must_use]
    pub fn domain(&self) -> offload::EswitchDomain {
        offload::EswitchDomain(self.shared.domain)
    }

    /// Rules in the NIC.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.shared.eswitch().rule_count()
    }

    /// Change what is wrong with the NIC, from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.eswitch().set_faults(faults);
    }

    /// The NIC's time, in nanoseconds, comes from here from now on: a run on a virtual clock gives its own. It never goes back.
    pub fn set_clock(&self, clock: impl Fn() -> u64 + Send + 'static) {
        *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(clock);
    }

    /// Let a device that died work again, with empty tables.
    pub fn revive(&self) {
        self.shared.eswitch().revive();
    }

    /// Reset the port of an end: rules that were made on it are gone, and nobody is told.
    pub fn reset_port(&self, end: End) {
        let mut eswitch = self.shared.eswitch();
        if let Some(ethdev) = eswitch.ethdev(end.place()) {
            eswitch.reset_port(ethdev);
        }
    }

    /// Rules that the NIC holds, in the order in which they came, with what their owner put on them.
    #[must_use]
    pub fn held(&self) -> Vec<super::Held> {
        self.shared.eswitch().held()
    }

    /// A way for flow rules into this NIC, for an engine that is started while the NIC runs.
    #[must_use]
    pub fn rte_flow(&self) -> MockRteFlow {
        MockRteFlow::new(Arc::clone(&self.shared))
    }

    /// Let the device die: rules are gone, calls fail with EIO, all packets go to the representors.
    pub fn kill(&self) {
        self.shared.eswitch().kill();
    }
}

/// A mock NIC that runs on a thread of its own.
#[derive(Debug)]
pub struct NicThread {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<MockNic>>,
}

impl NicThread {
    /// End the thread; the NIC, to go on with by hand. `None` when the thread panicked.
    pub fn stop(mut self) -> Option<MockNic> {
        self.end()
    }

    fn end(&mut self) -> Option<MockNic> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for NicThread {
    fn drop(&mut self) {
        self.end();
    }
}
