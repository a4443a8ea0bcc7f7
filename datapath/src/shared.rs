//! What workers, revalidation and control share.

use crate::alarm::Alarm;
use crate::config::Config;
use crate::counters::Counters;
use crate::courtesy::Courteous;
use crate::fence::Fences;
use crate::flows::{Candidate, Granted, Refusal, Registry, RestIndexes};
use crate::hash::Seed;
use crate::pmd::PmdShared;
use crate::punt::Readers;
use crate::revalidate::{Barriers, Revalidation};
use crate::rxq::shared::RxqShared;
use crate::rxq::source::RxSource;
use crossbeam::queue::SegQueue;
use dpdk::Mempool;
use flow::clock::Clock;
use flow::dp::{FlowId, FlowListener, Meters, Slowpath};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Shared {
    pub(crate) slowpath: Arc<dyn Slowpath>,
    pub(crate) listener: Arc<dyn FlowListener>,
    pub(crate) meters: Option<Arc<dyn Meters>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    pub(crate) pool: Arc<Mempool>,
    pub(crate) seed: Seed,
    pub(crate) fences: Fences,
    pub(crate) registry: Courteous<Registry>,
    /// The registry's.
    pub(crate) rests: Arc<RestIndexes>,
    pub(crate) revalidation: Mutex<Revalidation>,
    /// Held for a round over all flows.
    pub(crate) sweeping: Mutex<()>,
    pub(crate) barriers: Barriers,
    /// Calls the revalidator's thread.
    pub(crate) alarm: Alarm,
    pub(crate) pmds: RwLock<Vec<Arc<PmdShared>>>,
    /// All receive queues, polled or not.
    pub(crate) rxqs: RwLock<Vec<Arc<RxqShared>>>,
    /// Receive queues that no PMD polls.
    pub(crate) parked: Mutex<Vec<RxSource>>,
    /// What PMDs counted that are no more.
    pub(crate) retired: Mutex<Counters>,
    /// Removed flows that hardware is done with.
    pub(crate) gone: SegQueue<FlowId>,
    pub(crate) punt_readers: Readers,
    epoch: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        slowpath: Arc<dyn Slowpath>,
        listener: Arc<dyn FlowListener>,
        meters: Option<Arc<dyn Meters>>,
        clock: Arc<dyn Clock>,
        pool: Arc<Mempool>,
        config: Config,
    ) -> Shared {
        let seed = Seed::random();
        let registry = Registry::new(seed, config.flow_limit, config.offload);
        Shared {
            slowpath,
            listener,
            meters,
            clock,
            pool,
            seed,
            fences: Fences::default(),
            rests: Arc::clone(registry.rest_indexes()),
            registry: Courteous::new(registry),
            revalidation: Mutex::default(),
            sweeping: Mutex::default(),
            barriers: Barriers::default(),
            alarm: Alarm::default(),
            pmds: RwLock::default(),
            rxqs: RwLock::default(),
            parked: Mutex::default(),
            retired: Mutex::default(),
            gone: SegQueue::new(),
            punt_readers: Readers::default(),
            epoch: AtomicU64::new(0),
            config,
        }
    }

    /// The number of the last change that revalidation took up.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Called with the registry locked.
    pub(crate) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::SeqCst);
    }

    /// Keep a translation.
    #[inline(always)]
    pub(crate) fn install(&self, candidate: &Candidate<'_>) -> Result<Granted, Refusal> {
        let mut registry = self.registry.lock_now();
        let installed = registry.install(candidate);
        if let Err(Refusal::Limit) = installed {
            drop(registry);
            // Idle flows have to go now.
            self.alarm.call();
            return installed;
        }
        let granted = installed?;
        if let Some(flow) = &granted.flow {
            // Under the lock, so that nobody can tell of the flow's end before its beginning.
            self.listener.flow_added(flow);
        }
        Ok(granted)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}
