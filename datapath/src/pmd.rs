//! PMDs: a worker that the caller polls, or that a pinned thread of its own polls.

use crate::cache::FlowCache;
use crate::counters::{Counter, Counters, PortWorkerCounters, WorkerCounters};
use crate::cycles::{CyclesView, PmdCycles};
use crate::fence::Quiescence;
use crate::placement::PmdSpot;
use crate::punt::Punt;
use crate::rxq::source::RxSource;
use crate::shared::Shared;
use crate::table::{FlowTable, PortTableView};
use crate::tx::{SharedTx, TxHandle};
use crate::worker::Worker;
use crossbeam::channel;
use crossbeam::queue::{ArrayQueue, SegQueue};
use dpdk::{Eal, ThreadError, TxQueue};
use flow::DpPort;
use flow::clock::Time;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// A port for one worker. Its receive queues come by [`Mail::TakeRx`].
#[derive(Debug)]
pub(crate) struct PortSetup {
    pub(crate) port: DpPort,
    pub(crate) tx: TxHandle,
    pub(crate) up: bool,
    pub(crate) max_frame: usize,
    pub(crate) counters: Arc<PortWorkerCounters>,
}

/// What a worker gives back at its end.
#[derive(Debug, Default)]
pub(crate) struct Retirement {
    pub(crate) tx: SegQueue<(DpPort, TxHandle)>,
    pub(crate) done: AtomicBool,
}

/// What others ask of a worker. Served at the start of a poll.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Flows with these marks are gone.
    FlowsRemoved(Arc<[u32]>),
    AddPort(Box<PortSetup>),
    /// Poll this queue.
    TakeRx(Box<RxSource>),
    /// Poll this queue no longer, and hand it on; without anybody to give it to, it is parked.
    GiveRx {
        port: DpPort,
        queue: u16,
        to: Option<Arc<PmdShared>>,
    },
    /// Put the transmit queue where others can use it too.
    ShareTx {
        port: DpPort,
        shared: Arc<SharedTx>,
    },
    /// Use this transmit queue instead of a shared one.
    OwnTx {
        port: DpPort,
        queue: TxQueue,
    },
    RemovePort {
        port: DpPort,
        /// Workers that still hold queues.
        left: Arc<AtomicUsize>,
    },
    PortChanged {
        port: DpPort,
        up: bool,
        max_frame: usize,
    },
    /// Give back all transmit queues.
    Retire(Arc<Retirement>),
    /// Say what its tables hold.
    Report(Arc<OnceLock<Vec<PortTableView>>>),
}

/// The side of a worker that others see.
#[derive(Debug)]
pub(crate) struct PmdShared {
    pub(crate) id: u32,
    /// The CPU it is meant to run on, and the NUMA node of that.
    pub(crate) spot: PmdSpot,
    pub(crate) mailbox: SegQueue<Mail>,
    /// Flows with these marks do something else by now. Read before anything is received: a packet that comes later finds them as
    /// they are to be.
    pub(crate) changed: SegQueue<Arc<[u32]>>,
    pub(crate) quiescence: Quiescence,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) cycles: PmdCycles,
    /// Packets for controllers.
    pub(crate) punts: ArrayQueue<Punt>,
    flows: Counter,
    subtables: Counter,
    cache_used: Counter,
    cache_capacity: Counter,
    /// It was asked to end.
    pub(crate) retirement: OnceLock<Arc<Retirement>>,
    /// What was counted when statistics were cleared last.
    cleared: Mutex<(Counters, CyclesView)>,
}

impl PmdShared {
    pub(crate) fn new(id: u32, spot: PmdSpot, punt_queue: usize) -> PmdShared {
        PmdShared {
            id,
            spot,
            mailbox: SegQueue::new(),
            changed: SegQueue::new(),
            quiescence: Quiescence::default(),
            counters: Arc::default(),
            cycles: PmdCycles::default(),
            punts: ArrayQueue::new(punt_queue.max(1)),
            flows: Counter::default(),
            subtables: Counter::default(),
            cache_used: Counter::default(),
            cache_capacity: Counter::default(),
            retirement: OnceLock::new(),
            cleared: Mutex::default(),
        }
    }

    /// Show table sizes.
    pub(crate) fn note_table(&self, table: &FlowTable) {
        self.flows.set(table.live() as u64);
        self.subtables.set(table.subtables() as u64);
    }

    /// Show the cache's use.
    pub(crate) fn note_cache(&self, cache: &FlowCache) {
        self.cache_used.set(cache.used() as u64);
        self.cache_capacity.set(cache.capacity() as u64);
    }

    /// Statistics begin anew.
    pub(crate) fn clear(&self) {
        *self.cleared.lock() = (self.counters.read(), self.cycles.read());
    }

    pub(crate) fn view(&self) -> PmdView {
        let cleared = self.cleared.lock();
        PmdView {
            pmd: self.id,
            spot: self.spot,
            isolated: false,
            counters: self.counters.read().since(&cleared.0),
            cycles: self.cycles.read().since(&cleared.1),
            flows: self.flows.get(),
            subtables: self.subtables.get(),
            cache_used: self.cache_used.get(),
            cache_capacity: self.cache_capacity.get(),
        }
    }
}

/// What is to be shown of a PMD. Table sizes are at most 100 ms old, the cache's use five seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PmdView {
    pub pmd: u32,
    pub spot: PmdSpot,
    /// It polls queues only that are pinned to its CPU.
    pub isolated: bool,
    /// Since statistics were cleared.
    pub counters: Counters,
    /// Since statistics were cleared; loads are of the last minute.
    pub cycles: CyclesView,
    /// Flows in its table.
    pub flows: u64,
    /// Masks in its table, counted for each input port.
    pub subtables: u64,
    /// Entries of its cache in use.
    pub cache_used: u64,
    pub cache_capacity: u64,
}

/// A PMD. Whoever polls it owns it for that time; a second one waits.
#[derive(Clone, Debug)]
pub struct Pmd {
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    worker: Arc<Mutex<Worker>>,
}

impl Pmd {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>, worker: Worker) -> Pmd {
        Pmd { shared, me, worker: Arc::new(Mutex::new(worker)) }
    }

    /// The PMD's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.me.id
    }

    /// Where it is meant to run.
    #[must_use]
    pub fn spot(&self) -> PmdSpot {
        self.me.spot
    }

    /// It was to be removed and did not answer in time: it has nothing to poll, and is to be removed again.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.me.retirement.get().is_some()
    }

    /// Poll every queue once on the caller's thread; returns the number of packets received. All of them were sent or dropped
    /// when it returns. Misses have no budget then.
    pub fn poll_once(&self, now: Time) -> usize {
        let mut worker = self.worker.lock();
        self.me.quiescence.online(&self.shared.fences);
        worker.resume();
        let received = worker.poll(now);
        self.me.quiescence.offline();
        received
    }

    /// Serve the mailbox here and now when nobody polls.
    pub(crate) fn serve_if_idle(&self) {
        if let Some(mut worker) = self.worker.try_lock() {
            worker.serve_mail(usize::MAX);
        }
    }

    pub(crate) fn shared_part(&self) -> &Arc<PmdShared> {
        &self.me
    }

    /// Poll on a thread of its own until the handle is dropped.
    ///
    /// # Errors
    /// [`PmdError`]: the thread could not be made, pinned or registered with DPDK.
    pub fn spawn(&self, eal: &'static Eal, config: PmdConfig) -> Result<PmdThread, PmdError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = channel::bounded(1);
        let (pmd, stopping) = (self.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(format!("pmd{}", self.me.id))
            .spawn(move || match prepare(eal, &config) {
                Ok(_registration) => {
                    let _ = ready.send(Ok(()));
                    pmd.run(&stopping, config.rest);
                }
                Err(e) => {
                    let _ = ready.send(Err(e));
                }
            })
            .map_err(|source| PmdError::Spawn { pmd: self.me.id, source })?;
        let thread = PmdThread { stop, thread: Some(thread) };
        match started.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(source)) => Err(PmdError::Prepare { pmd: self.me.id, source }),
            Err(_) => Err(PmdError::Died { pmd: self.me.id }),
        }
    }

    fn run(&self, stop: &AtomicBool, rest: Option<Duration>) {
        const IDLE_POLLS: u32 = 1024;
        // To read the clock costs as much as a packet; a burst takes a microsecond.
        const POLLS_A_TIME: u32 = 4;
        let mut worker = self.worker.lock();
        worker.limited = self.shared.config.miss_budget;
        self.me.quiescence.online(&self.shared.fences);
        worker.resume();
        let (mut idle, mut polls, mut now) = (0, 0, self.shared.clock.now());
        while !stop.load(Ordering::Relaxed) {
            polls += 1;
            if polls >= POLLS_A_TIME {
                (polls, now) = (0, self.shared.clock.now());
            }
            if worker.poll(now) > 0 {
                idle = 0;
            } else if let Some(rest) = rest {
                idle += 1;
                if idle >= IDLE_POLLS {
                    // Offline while asleep, so that no fence waits for it.
                    self.me.quiescence.offline();
                    std::thread::sleep(rest);
                    self.me.quiescence.online(&self.shared.fences);
                    worker.resume();
                    polls = POLLS_A_TIME;
                }
            } else {
                std::hint::spin_loop();
            }
        }
        worker.limited = false;
        self.me.quiescence.offline();
    }

    /// Keep it from being polled, as a debugger would.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> parking_lot::MutexGuard<'_, Worker> {
        self.worker.lock()
    }

    /// Limit misses as a thread does. It depends on real time, so who polls step by step goes without.
    #[cfg(test)]
    pub(crate) fn limit_misses(&self) {
        self.worker.lock().limited = true;
    }
}

fn prepare(eal: &'static Eal, config: &PmdConfig) -> Result<dpdk::RegisteredThread, ThreadError> {
    if let Some(cpu) = config.cpu {
        dpdk::pin_to_cpu(cpu)?;
    }
    eal.register_thread()
}

/// How a PMD thread runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct PmdConfig {
    /// The CPU that it is pinned to; `None` leaves it to the scheduler.
    pub cpu: Option<usize>,
    /// Sleep this long after many polls without a packet: for machines without a CPU to spare. `None`: never.
    pub rest: Option<Duration>,
}

/// Why a PMD thread does not run.
#[derive(Debug, thiserror::Error)]
pub enum PmdError {
    #[error("PMD {pmd}: cannot make its thread: {source}; look at the limit of threads (ulimit -u)")]
    Spawn { pmd: u32, source: std::io::Error },
    #[error("PMD {pmd}: {source}")]
    Prepare { pmd: u32, source: ThreadError },
    #[error("PMD {pmd}: its thread ended before it was ready; look at the log")]
    Died { pmd: u32 },
}

/// A running PMD thread; dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct PmdThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for PmdThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
