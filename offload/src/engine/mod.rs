//! The engine: carries plans out, in order per flow, and knows for every flow where it is and why.
//!
//! [`Engine`] is the outside: a lock-free inbox, one lock, a thread. `Core` is the inside: a deterministic state
//! machine that tests and lockstep runs drive with [`Engine::step`].

mod core;
mod counters;
mod device;
mod entry;
mod eviction;
mod lists;
mod policy;
mod rate;
mod report;
mod room;

#[cfg(test)]
mod ages_tests;
#[cfg(test)]
mod chaos_tests;
#[cfg(test)]
mod encap_tests;
#[cfg(test)]
mod eviction_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod meters_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod prefix_tests;
#[cfg(test)]
pub(crate) mod reason_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble_tests;

pub use policy::{Demotion, DemotionId, Hot, Policy, Which};
pub use report::{
    DeviceHealth, EngineStatus, FlowRank, FlowRate, FlowStatus, HitSink, Placement, PortStatus, RuleStatus, TableUse,
};

use crate::backend::{Backend, Cookie, DeviceError};
use crate::refusal::Refusals;
use crate::rule::{HwRule, Plan};
use crate::world::{EthdevId, WantedMeter, World};
use core::{Core, Event};
use crossbeam::queue::SegQueue;
use flow::FlowKey;
use flow::clock::{Clock, Time};
use flow::dp::{DpFlow, FlowId, FlowListener, HardwareFence, MeterId};
use flow::port::DpPort;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// How the engine works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Events, plans, queries and operations that one step handles at most, each.
    pub batch: usize,
    /// How often a rule's counter is read.
    pub query_interval: Duration,
    /// Counters that may be on their way to the device at once; what changes rules goes before them.
    pub query_budget: usize,
    /// When a device that was busy, or that did not let go of a rule, is asked again; twice as late each time.
    pub retry_interval: Duration,
    /// The same for a rule that was refused for a reason that may pass, was lost, or did not count.
    pub slow_retry: Duration,
    /// The longest of these times.
    pub longest_retry: Duration,
    /// A flow that came in stays for so long, however cold it is, unless it is removed.
    pub residence: Duration,
    /// How long rules of an earlier run wait for flows that take them over.
    pub grace: Duration,
    /// Who puts rules in.
    pub cookie: Cookie,
    /// Of the jitter of retries.
    pub seed: u64,
    /// Rule shapes of which a refusal is remembered; all are forgotten when there are more.
    pub max_shapes: usize,
    /// How long the thread sleeps while it waits for the device, and the least that it sleeps.
    pub idle: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            batch: 256,
            query_interval: Duration::from_millis(500),
            query_budget: 1024,
            retry_interval: Duration::from_millis(100),
            slow_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            residence: Duration::from_secs(1),
            grace: Duration::from_secs(2),
            cookie: Cookie::default(),
            seed: 1,
            max_shapes: 4096,
            idle: Duration::from_millis(1),
        }
    }
}

/// A point in the order of changes: see [`Engine::fence`].
#[derive(Clone, Debug)]
pub struct FenceTicket(Arc<AtomicU64>);

/// Longest sleep of the thread; whatever comes from elsewhere wakes it.
const MOST_REST: Duration = Duration::from_millis(100);

/// Times 50 µs that the thread waits for others to take the lock.
const GIVE_WAY: usize = 20;

/// The ticket's point has not been reached.
const NOT_REACHED: u64 = u64::MAX;

/// The offload engine.
pub struct Engine {
    inbox: SegQueue<Event>,
    core: Mutex<Core>,
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
    stop: AtomicBool,
    /// Others that wait for the lock.
    asking: AtomicUsize,
    idle: Duration,
    /// Of the last step.
    now: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("inbox", &self.inbox.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine without thread. Rules of an earlier run that `backend` finds wait for flows that take them over; see [`EngineConfig::grace`].
    #[must_use]
    pub fn new(config: EngineConfig, world: World, backend: Box<dyn Backend>, sink: Arc<dyn HitSink>) -> Arc<Engine> {
        Arc::new(Engine {
            inbox: SegQueue::new(),
            core: Mutex::new(Core::new(config, world, backend, sink)),
            thread: OnceLock::new(),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asking: AtomicUsize::new(0),
            idle: config.idle,
            now: AtomicU64::new(0),
        })
    }

    /// Start the engine's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(self: &Arc<Self>, clock: Arc<dyn Clock>) -> std::io::Result<EngineThread> {
        let engine = Arc::clone(self);
        let join = std::thread::Builder::new().name("offload".into()).spawn(move || {
            while !engine.stop.load(Ordering::Acquire) {
                if engine.step(clock.now()) {
                    engine.give_way();
                    continue;
                }
                engine.asleep.store(true, Ordering::SeqCst);
                if engine.inbox.is_empty() {
                    std::thread::park_timeout(engine.rest(clock.now()));
                }
                engine.asleep.store(false, Ordering::SeqCst);
            }
        })?;
        // A second thread would be served by the idle time-out only.
        let _ = self.thread.set(join.thread().clone());
        Ok(EngineThread { engine: Arc::clone(self), join: Some(join) })
    }

    /// Do what is due at `now`, up to a batch of each kind of work. Whether anything was done.
    pub fn step(&self, now: Time) -> bool {
        let mut core = self.take();
        self.now.store(now.0, Ordering::Relaxed);
        let mut worked = false;
        for _ in 0..core.config().batch {
            let Some(event) = self.inbox.pop() else { break };
            core.event(event, now);
            worked = true;
        }
        core.step(now) || worked
    }

    /// How long there is nothing to do unless an event comes.
    fn rest(&self, now: Time) -> Duration {
        let core = self.lock();
        if core.is_quiet() {
            core.due().map_or(MOST_REST, |due| due.since(now).clamp(self.idle, MOST_REST))
        } else {
            self.idle
        }
    }

    /// Whether nothing waits and nothing is under way; what waits for a later time does not count.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.inbox.is_empty() && self.lock().is_quiet()
    }

    /// Step until quiet, at one point in time. `false` when that took more than `max_steps`.
    pub fn settle(&self, now: Time, max_steps: usize) -> bool {
        (0..max_steps).any(|_| !self.step(now) && self.is_quiet())
    }

    /// From now on plan with this world. Flows whose plan changes are moved; learned refusals are forgotten.
    pub fn set_world(&self, world: World) {
        self.send(Event::World(Box::new(world)));
    }

    /// From now on these meters are wanted, and no others. They go into their devices before rules that use them, new rates reach the
    /// device while rules stay, and a meter leaves when no rule goes through it.
    pub fn set_meters(&self, wanted: HashMap<MeterId, WantedMeter>) {
        self.send(Event::Meters(wanted));
    }

    /// Say in a world that is planned with elsewhere which meters are in hardware, and why others are not.
    pub fn tell_meters(&self, world: &mut World) {
        self.lock().tell_meters(world);
    }

    /// Read all meters that are in hardware, and report what they have counted. Waits for the devices.
    pub fn read_meters(&self) {
        self.lock().read_meters();
    }

    /// Say which flows may go in, from now on. The rules of others are taken out; nothing else is touched.
    pub fn set_policy(&self, policy: Policy) {
        self.lock().set_policy(policy);
        self.wake();
    }

    /// What was said last.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.lock().policy().clone()
    }

    /// Let the flows of an input port into hardware, as far as the policy does, or not.
    pub fn set_port(&self, port: DpPort, on: bool) {
        self.lock().switch_port(port, on);
        self.wake();
    }

    /// Input ports whose flows were switched off.
    #[must_use]
    pub fn ports_off(&self) -> BTreeSet<DpPort> {
        self.lock().ports_off().clone()
    }

    /// How many packets software has switched of some flows until `at`. To be told of each flow that had packets, every
    /// 50 ms or so: admission by rate and eviction live on it. Never blocks; looked at by a budget.
    pub fn rates(&self, at: Time, rates: Vec<FlowRate>) {
        if !rates.is_empty() {
            self.send(Event::Rates(at, rates));
        }
    }

    /// For each rule of an earlier run that waits for its flow: a packet of that flow. Hardware switches the flow's packets, so none
    /// comes to software that would tell of it: who makes flows makes those of these packets, before the time of grace is over.
    /// Packets of ports that the world does not have are left out.
    #[must_use]
    pub fn expected(&self) -> Vec<FlowKey> {
        self.lock().expected()
    }

    /// All flows that there are were told of, and their plans carried out (see [`Engine::fence`]): rules of an earlier run that none
    /// has taken over go now, unless their port is still to come.
    pub fn let_go(&self) {
        self.lock().let_go();
        self.wake();
    }

    /// Keep some flows in software until [`Engine::restore`], so that all of their packets can be seen there.
    pub fn demote(&self, which: Which) -> DemotionId {
        let id = self.lock().demote(which);
        self.wake();
        id
    }

    /// How far a demotion has come: all packets of its flows come to software when `pending` is 0. `None`: there is no such one.
    #[must_use]
    pub fn demotion(&self, id: DemotionId) -> Option<Demotion> {
        self.lock().demotion(id)
    }

    /// End a demotion: its flows go back to where they would be. `false`: there is no such one.
    pub fn restore(&self, id: DemotionId) -> bool {
        let found = self.lock().restore(id);
        self.wake();
        found
    }

    /// The flows that carry most, at most `n`, the largest first. Looks at every flow.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<FlowRank> {
        self.lock().top(n)
    }

    /// Take all rules out of hardware, and put none in any more. The ticket is fenced when they are out.
    pub fn flush(&self) -> FenceTicket {
        self.lock().flush();
        self.fence()
    }

    /// Read all counters soon, instead of when they are due.
    pub fn refresh(&self) {
        self.send(Event::Refresh);
    }

    /// A ticket for [`Engine::pending`]: all changes that were handed in before this call.
    #[must_use]
    pub fn fence(&self) -> FenceTicket {
        let ticket = FenceTicket(Arc::new(AtomicU64::new(NOT_REACHED)));
        self.send(Event::Fence(ticket.clone()));
        ticket
    }

    /// Whether any rule that a change before the ticket made stale is still in hardware.
    #[must_use]
    pub fn pending(&self, ticket: &FenceTicket) -> HardwareFence {
        match ticket.0.load(Ordering::Acquire) {
            NOT_REACHED => HardwareFence::Pending(self.inbox.len().max(1)),
            bound => self.lock().fenced(bound),
        }
    }

    /// Where a flow is, and why. `None`: the engine does not have it.
    #[must_use]
    pub fn explain(&self, flow: FlowId) -> Option<FlowStatus> {
        self.lock().explain(flow)
    }

    /// Why a flow that the engine does not have would not be in hardware, or not all of it: for switches whose datapath does
    /// not tell of its flows, because there is no device.
    #[must_use]
    pub fn judge(&self, flow: &DpFlow) -> Refusals {
        self.lock().judge(flow)
    }

    /// What would become of a flow that is not there, if its first packet came now: its plan without what the engine knows to stand
    /// in the way (captures, policy, refusals that it learned, health and room of the device).
    #[must_use]
    pub fn foresee(&self, flow: &DpFlow) -> Plan {
        self.lock().foresee(flow, Time(self.now.load(Ordering::Relaxed)))
    }

    /// Rules that a device refused whatever their values, and that are not tried again until the world changes: those of packets that
    /// come in by `port`, with 0 for each value.
    #[must_use]
    pub fn refused(&self, port: EthdevId) -> Vec<(HwRule, DeviceError)> {
        self.lock().refused(port)
    }

    /// The rules of a flow that are in hardware, in the order in which they were put in. Empty: there are none.
    #[must_use]
    pub fn rules(&self, flow: FlowId) -> Vec<RuleStatus> {
        self.lock().rules(flow)
    }

    /// The engine at a glance. Looks at every flow.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let mut status = self.lock().status(Time(self.now.load(Ordering::Relaxed)));
        status.queued += self.inbox.len();
        status
    }

    fn send(&self, event: Event) {
        self.inbox.push(event);
        self.wake();
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Let those go first who wait for the lock: a thread that always has work would take it again before they are awake.
    fn give_way(&self) {
        for _ in 0..GIVE_WAY {
            if self.asking.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.asking.fetch_add(1, Ordering::Relaxed);
        let core = self.take();
        self.asking.fetch_sub(1, Ordering::Relaxed);
        core
    }

    fn take(&self) -> MutexGuard<'_, Core> {
        // A sink that panicked leaves the core between two whole operations.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FlowListener for Engine {
    fn flow_added(&self, flow: &Arc<DpFlow>) {
        self.send(Event::Added(Arc::clone(flow)));
    }

    fn flow_removed(&self, flow: &Arc<DpFlow>) {
        self.send(Event::Removed(Arc::clone(flow)));
    }
}

/// The engine's thread; stops when dropped. Rules stay in hardware: [`Engine::set_world`] with admission off
/// and a fence take them out.
#[derive(Debug)]
pub struct EngineThread {
    engine: Arc<Engine>,
    join: Option<JoinHandle<()>>,
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.engine.stop.store(true, Ordering::Release);
        if let Some(join) = self.join.take() {
            join.thread().unpark();
            // A panic on it was reported when it happened.
            let _ = join.join();
        }
    }
}
