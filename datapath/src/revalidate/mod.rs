//! Keeping flows right: changes, hits, idle flows, and the long way of a mark back to the free list.
//!
//! One revalidation runs at a time, on whichever thread asks: its own, a barrier's, or a test's. It holds the registry's lock for
//! a chunk at a time, so that workers that miss do not wait.

mod graves;

use crate::flows::{Filter, Harvest, Removed, Sieve, Suspect};
use crate::pmd::Mail;
use crate::shared::Shared;
use crossbeam::channel;
use flow::clock::Time;
use flow::dp::{Cacheable, Change, RecircId, Resume, Scope, Translation, WorkerFence};
use flow::{DpPort, FieldId, FlowKey, Mask};
use graves::Graves;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Flows handled under one hold of the registry's lock: workers that miss wait that long at most.
const CHUNK: usize = 256;

/// Rows of a class that a change is compared with under one hold: a few words of each are read.
const ROWS: usize = 4096;

/// Rounds in which one run follows changes that its own replays made.
const ROUNDS: usize = 8;

/// What revalidation remembers between runs.
#[derive(Debug, Default)]
pub(crate) struct Revalidation {
    graves: Graves,
    changes: Vec<Change>,
    harvest: Harvest,
    report: RevalidationReport,
}

/// What a run did, or all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevalidationReport {
    /// Changes that the slow path told of.
    pub changes: u64,
    /// Flows translated again.
    pub checked: u64,
    /// Flows removed because they were no longer right.
    pub removed: u64,
    /// Flows removed because nobody used them.
    pub expired: u64,
    /// Packets whose effects were replayed.
    pub replayed: u64,
    /// Marks that became free again.
    pub released: u64,
}

impl RevalidationReport {
    fn since(&self, before: &RevalidationReport) -> RevalidationReport {
        RevalidationReport {
            changes: self.changes - before.changes,
            checked: self.checked - before.checked,
            removed: self.removed - before.removed,
            expired: self.expired - before.expired,
            replayed: self.replayed - before.replayed,
            released: self.released - before.released,
        }
    }
}

impl Revalidation {
    /// Removed flows that still hold their mark.
    pub(crate) fn waiting(&self) -> usize {
        self.graves.len()
    }

    pub(crate) fn total(&self) -> RevalidationReport {
        self.report
    }

    /// Look again at all flows that changes concern.
    fn follow_changes(&mut self, shared: &Shared) {
        for _ in 0..ROUNDS {
            let mut changes = std::mem::take(&mut self.changes);
            changes.clear();
            shared.slowpath.take_changes(&mut changes);
            if !changes.is_empty() {
                self.follow(shared, &changes);
            }
            self.changes = changes;
            if self.changes.is_empty() {
                return;
            }
        }
    }

    fn follow(&mut self, shared: &Shared, changes: &[Change]) {
        self.report.changes += changes.len() as u64;
        let sieve = Sieve::new(changes);
        let (classes, mut suspects) = {
            let mut registry = shared.registry.lock();
            shared.set_epoch(registry.note_changes(changes));
            registry.concerned(&sieve)
        };
        for class in classes {
            let filter = shared.registry.lock().filter(class, &sieve);
            pick(shared, class, filter, &mut suspects);
        }
        suspects.sort_unstable();
        suspects.dedup();
        for chunk in suspects.chunks(CHUNK) {
            let flows: Vec<Suspect> = {
                let registry = shared.registry.lock();
                chunk.iter().filter_map(|index| registry.suspect(*index)).collect()
            };
            self.report.checked += flows.len() as u64;
            let mut wrong = Vec::new();
            let mut right = Vec::new();
            for flow in flows {
                let again = translate_again(shared, &flow);
                if still_right(&flow, &again) {
                    right.push((flow.index, again));
                } else {
                    wrong.push(flow.index);
                }
            }
            if !right.is_empty() {
                let mut registry = shared.registry.lock();
                right.iter().for_each(|(index, again)| registry.set_deps(*index, again));
            }
            self.report.removed += self.remove(shared, &wrong);
        }
    }

    /// Replay what all flows were hit with, and remove those that are idle.
    fn sweep(&mut self, shared: &Shared, now: Time) {
        let start = Instant::now();
        let (full, flows) = {
            let mut registry = shared.registry.lock();
            (registry.take_full(), registry.live())
        };
        let idle = if full { shared.config.idle_at_limit } else { shared.config.idle };
        let (mut from, mut more) = (1, true);
        while more {
            let mut harvest = std::mem::take(&mut self.harvest);
            more = shared.registry.lock().harvest(from, CHUNK, now, idle, &mut harvest);
            for (_, (effects, hits)) in harvest.hits.drain() {
                self.report.replayed += hits.packets;
                shared.slowpath.replay(&effects, &hits);
            }
            self.report.expired += self.remove(shared, &harvest.idle);
            harvest.idle.clear();
            self.harvest = harvest;
            from += CHUNK;
        }
        shared.registry.lock().limit_mut().note_round(start.elapsed(), flows);
    }

    /// Remove the flows of a port.
    pub(crate) fn remove_port(&mut self, shared: &Shared, port: DpPort) -> u64 {
        let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
        key.in_port = port.0.into();
        mask.require(FieldId::InPort);
        let Some(scope) = Scope::new(&key, &mask) else { return 0 };
        let classes = shared.registry.lock().all_classes();
        let mut flows = Vec::new();
        for class in classes {
            let filter = shared.registry.lock().filter_one(class, &scope);
            pick(shared, class, filter, &mut flows);
        }
        self.remove(shared, &flows)
    }

    fn remove(&mut self, shared: &Shared, flows: &[u32]) -> u64 {
        let mut removed = 0;
        for chunk in flows.chunks(CHUNK) {
            let gone: Vec<Removed> = {
                let mut registry = shared.registry.lock();
                chunk.iter().filter_map(|index| registry.remove(*index)).collect()
            };
            let marks: Arc<[u32]> = gone.iter().map(|flow| flow.mark).collect();
            for pmd in shared.pmds.read().iter() {
                pmd.mailbox.push(Mail::FlowsRemoved(Arc::clone(&marks)));
            }
            let fence = shared.fences.raise();
            removed += gone.len() as u64;
            for mut flow in gone {
                let hits = flow.ledgers.take_unreplayed(flow.mark);
                if hits.packets > 0 {
                    self.report.replayed += hits.packets;
                    shared.slowpath.replay(&flow.effects, &hits);
                }
                let told = flow.flow.clone();
                self.graves.add(flow, fence, shared.config.offload);
                if let Some(flow) = told {
                    shared.listener.flow_removed(&flow);
                }
            }
        }
        removed
    }

    /// Settle the last hits of removed flows, and free marks that nothing carries any more.
    fn bury(&mut self, shared: &Shared) {
        let mut drain = None;
        while let Some(id) = shared.gone.pop() {
            self.graves.let_go(id, *drain.get_or_insert_with(|| shared.fences.raise()));
        }
        let passed = shared.pmds.read().iter().map(|pmd| pmd.quiescence.passed()).min().unwrap_or(u64::MAX);
        while let Some((effects, hits)) = self.graves.settle(passed) {
            if hits.packets > 0 {
                self.report.replayed += hits.packets;
                shared.slowpath.replay(&effects, &hits);
            }
        }
        let past = if shared.config.offload { drained(shared) } else { passed };
        loop {
            let marks = self.graves.free(past, CHUNK);
            if marks.is_empty() {
                return;
            }
            self.report.released += marks.len() as u64;
            let mut registry = shared.registry.lock();
            marks.into_iter().for_each(|mark| registry.release(mark));
        }
    }
}

/// The newest fence past which all receive queues have drained, polled or not, and all mail was read.
fn drained(shared: &Shared) -> u64 {
    let mail = shared.pmds.read().iter().map(|pmd| pmd.quiescence.drained()).min();
    let queues = shared.rxqs.read().iter().map(|rxq| rxq.drained()).min();
    mail.unwrap_or(u64::MAX).min(queues.unwrap_or(u64::MAX))
}

/// Add the flows of a class that a filter lets through. From the last row to the first: a flow that is taken out meanwhile has its
/// place taken by one that was looked at.
fn pick(shared: &Shared, class: u32, filter: Option<(Filter, usize)>, into: &mut Vec<u32>) {
    let Some((filter, rows)) = filter else { return };
    if matches!(&filter, Filter::Some(tests) if tests.is_empty()) {
        return;
    }
    let mut to = rows;
    while to > 0 {
        let from = to.saturating_sub(ROWS);
        shared.registry.lock().pick(class, from, to, &filter, into);
        to = from;
    }
}

fn translate_again(shared: &Shared, flow: &Suspect) -> Translation {
    let at = Resume { recirc_id: RecircId(flow.key.recirc_id.get()) };
    shared.slowpath.translate(&at, &flow.key)
}

/// Whether a flow may stay: same deeds, and its mask has all bits that the new translation looked at.
fn still_right(flow: &Suspect, again: &Translation) -> bool {
    again.cacheable == Cacheable::Yes
        && *again.actions == *flow.deed.actions
        && *again.effects == *flow.effects
        && again.mask.is_within(&flow.mask)
}

/// Runs revalidation, inline or on a thread.
#[derive(Clone, Debug)]
pub struct Revalidator {
    shared: Arc<Shared>,
}

impl Revalidator {
    pub(crate) fn new(shared: Arc<Shared>) -> Revalidator {
        Revalidator { shared }
    }

    /// Everything: replay hits, remove idle flows, follow changes, free marks. Returns what was done.
    pub fn run(&self, now: Time) -> RevalidationReport {
        let mut state = self.shared.revalidation.lock();
        let before = state.report;
        state.sweep(&self.shared, now);
        state.follow_changes(&self.shared);
        state.bury(&self.shared);
        state.report.since(&before)
    }

    /// Follow changes only.
    pub fn run_changes(&self) -> RevalidationReport {
        let mut state = self.shared.revalidation.lock();
        let before = state.report;
        state.follow_changes(&self.shared);
        state.report.since(&before)
    }

    /// Follow changes, and free marks of flows that went.
    fn tick(&self) {
        let mut state = self.shared.revalidation.lock();
        state.follow_changes(&self.shared);
        state.bury(&self.shared);
    }

    /// Follow all changes made so far and wait until no worker uses a flow from before. Packets received after
    /// [`WorkerFence::Fenced`] never meet a stale flow.
    pub fn barrier(&self, timeout: Duration) -> WorkerFence {
        let start = Instant::now();
        self.run_changes();
        let fence = self.shared.fences.raise();
        loop {
            let late = self.shared.pmds.read().iter().find(|pmd| !pmd.quiescence.has_passed(fence)).map(|pmd| pmd.id);
            match late {
                None => return WorkerFence::Fenced,
                Some(pmd) if start.elapsed() >= timeout => return WorkerFence::TimedOut { pmd },
                Some(_) => std::thread::sleep(Duration::from_micros(20)),
            }
        }
    }

    /// Run on a thread of its own, at the intervals of the configuration, until the handle is dropped. While the flow limit is
    /// reached, idle flows are removed as often as they can have become idle.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn spawn(&self) -> std::io::Result<RevalidatorThread> {
        let (stop, stopped) = channel::bounded::<()>(0);
        let this = self.clone();
        let thread = std::thread::Builder::new().name("revalidator".to_owned()).spawn(move || {
            let config = &this.shared.config;
            let mut swept = this.shared.clock.now();
            while let Err(channel::RecvTimeoutError::Timeout) = stopped.recv_timeout(config.change_interval) {
                let now = this.shared.clock.now();
                let full = this.shared.registry.lock().is_full();
                let interval = if full { config.idle_at_limit / 4 } else { config.sweep_interval };
                if now.since(swept) >= interval.min(config.sweep_interval) {
                    swept = now;
                    this.run(now);
                } else {
                    this.tick();
                }
            }
        })?;
        Ok(RevalidatorThread { stop: Some(stop), thread: Some(thread) })
    }
}

/// A running revalidator thread; dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct RevalidatorThread {
    stop: Option<channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RevalidatorThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
