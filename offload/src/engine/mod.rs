//! The engine: carries plans out, in order per flow, and knows for every flow where it is and why.
//!
//! [`Engine`] is the outside: a lock-free inbox, one lock, a thread. `Core` is the inside: a deterministic state
//! machine that tests and lockstep runs drive with [`Engine::step`].

mod core;
mod counters;
mod device;
mod entry;
mod report;

#[cfg(test)]
mod chaos_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use report::{EngineStatus, FlowStatus, HitSink, Placement, RuleStatus, TableUse};

use crate::backend::Backend;
use crate::refusal::Refusals;
use crate::world::World;
use core::{Core, Event};
use crossbeam::queue::SegQueue;
use flow::clock::{Clock, Time};
use flow::dp::{DpFlow, FlowId, FlowListener, HardwareFence};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// When a device that was busy, or that did not let go of a rule, is asked again.
    pub retry_interval: Duration,
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
            retry_interval: Duration::from_millis(100),
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

/// The ticket's point has not been reached.
const NOT_REACHED: u64 = u64::MAX;

/// The offload engine.
pub struct Engine {
    inbox: SegQueue<Event>,
    core: Mutex<Core>,
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
    stop: AtomicBool,
    idle: Duration,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("inbox", &self.inbox.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine without thread. Rules of an earlier run that `backend` finds are taken out.
    #[must_use]
    pub fn new(config: EngineConfig, world: World, backend: Box<dyn Backend>, sink: Arc<dyn HitSink>) -> Arc<Engine> {
        Arc::new(Engine {
            inbox: SegQueue::new(),
            core: Mutex::new(Core::new(config, world, backend, sink)),
            thread: OnceLock::new(),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            idle: config.idle,
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
        let mut core = self.lock();
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

    /// The rules of a flow that are in hardware, in the order in which they were put in. Empty: there are none.
    #[must_use]
    pub fn rules(&self, flow: FlowId) -> Vec<RuleStatus> {
        self.lock().rules(flow)
    }

    /// The engine at a glance. Looks at every flow.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let mut status = self.lock().status();
        status.queued += self.inbox.len();
        status
    }

    fn send(&self, event: Event) {
        self.inbox.push(event);
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
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
