//! Keeping flows right: changes, hits, idle flows, and the long way of a mark back to the free list.
//!
//! One revalidation runs at a time, on whichever thread asks: its own, a barrier's, or a test's.

use crate::flows::FlowEntry;
use crate::pmd::Mail;
use crate::shared::Shared;
use crossbeam::channel;
use flow::clock::Time;
use flow::dp::{Cacheable, Change, DpFlow, FlowId, RecircId, Resume, Translation, WorkerFence};
use hashbrown::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Flows handled under one hold of the registry's lock: workers that miss wait that long at most.
const CHUNK: usize = 256;

/// Rounds in which one run follows changes that its own replays made.
const ROUNDS: usize = 8;

/// A removed flow whose mark is not free yet.
#[derive(Debug)]
struct Grave {
    entry: Arc<FlowEntry>,
    /// Workers that passed this no longer use the flow.
    fence: u64,
    /// The last hits were replayed.
    settled: bool,
    /// Queues that drained past this hold no packet with the mark. Known when hardware has let go of it.
    drain: Option<u64>,
}

/// What revalidation remembers between runs.
#[derive(Debug, Default)]
pub(crate) struct Revalidation {
    graves: HashMap<FlowId, Grave>,
    changes: Vec<Change>,
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

    /// Look again at all flows that depend on what changed.
    fn follow_changes(&mut self, shared: &Shared) {
        for _ in 0..ROUNDS {
            self.changes.clear();
            shared.slowpath.take_changes(&mut self.changes);
            if self.changes.is_empty() {
                return;
            }
            self.report.changes += self.changes.len() as u64;
            let affected = {
                let mut registry = shared.registry.lock();
                let (epoch, affected) = registry.note_changes(&self.changes);
                shared.set_epoch(epoch);
                affected
            };
            let mut wrong = Vec::new();
            for entry in affected {
                self.report.checked += 1;
                let again = translate_again(shared, &entry.flow);
                if !still_right(&entry.flow, &again) {
                    wrong.push(entry);
                } else {
                    shared.registry.lock().set_deps(&entry, &again);
                }
            }
            self.report.removed += self.remove(shared, wrong);
        }
    }

    /// Replay what all flows were hit with, and remove those that are idle.
    fn sweep(&mut self, shared: &Shared, now: Time) {
        let mut from = 1;
        loop {
            let (flows, more, full) = {
                let registry = shared.registry.lock();
                let (flows, more) = registry.chunk(from, CHUNK);
                (flows, more, registry.live() >= registry.limit())
            };
            let idle = if full { shared.config.idle_at_limit } else { shared.config.idle };
            let mut unused = Vec::new();
            for entry in flows {
                self.replay(shared, &entry);
                if now.since(entry.last_used()) > idle {
                    unused.push(entry);
                }
            }
            self.report.expired += self.remove(shared, unused);
            from += CHUNK;
            if !more {
                return;
            }
        }
    }

    /// Remove the flows that `which` chooses.
    pub(crate) fn remove_where(&mut self, shared: &Shared, which: impl Fn(&DpFlow) -> bool) -> u64 {
        let (mut from, mut removed) = (1, 0);
        loop {
            let (mut flows, more) = shared.registry.lock().chunk(from, CHUNK);
            flows.retain(|entry| which(&entry.flow));
            removed += self.remove(shared, flows);
            from += CHUNK;
            if !more {
                return removed;
            }
        }
    }

    fn remove(&mut self, shared: &Shared, flows: Vec<Arc<FlowEntry>>) -> u64 {
        let mut removed = 0;
        for mut chunk in flows.chunks(CHUNK).map(<[_]>::to_vec) {
            {
                let mut registry = shared.registry.lock();
                chunk.retain(|entry| registry.remove(entry));
            }
            for entry in &chunk {
                entry.kill();
                for pmd in shared.pmds.read().iter() {
                    pmd.mailbox.push(Mail::FlowRemoved(entry.flow.mark.0));
                }
            }
            let fence = shared.fences.raise();
            for entry in chunk {
                removed += 1;
                self.replay(shared, &entry);
                let drain = (!shared.config.offload).then_some(fence);
                let (id, flow) = (entry.flow.id, Arc::clone(&entry.flow));
                self.graves.insert(id, Grave { entry, fence, settled: false, drain });
                shared.listener.flow_removed(&flow);
            }
        }
        removed
    }

    fn replay(&mut self, shared: &Shared, entry: &FlowEntry) {
        let hits = entry.take_unreplayed();
        if hits.packets > 0 {
            self.report.replayed += hits.packets;
            shared.slowpath.replay(&entry.flow.effects, &hits);
        }
    }

    /// Settle the last hits of removed flows, and free marks that nothing carries any more.
    fn bury(&mut self, shared: &Shared) {
        let mut drain = None;
        while let Some(id) = shared.gone.pop() {
            if let Some(grave) = self.graves.get_mut(&id)
                && grave.drain.is_none()
            {
                grave.drain = Some(*drain.get_or_insert_with(|| shared.fences.raise()));
            }
        }
        let mut settle = Vec::new();
        for grave in self.graves.values_mut() {
            if !grave.settled && shared.all_pmds(|pmd| pmd.quiescence.has_passed(grave.fence)) {
                grave.settled = true;
                settle.push(Arc::clone(&grave.entry));
            }
        }
        for entry in settle {
            self.replay(shared, &entry);
        }
        let free = |grave: &Grave| {
            grave.settled && grave.drain.is_some_and(|d| shared.all_pmds(|pmd| pmd.quiescence.has_drained(d)))
        };
        let freed: Vec<_> = self.graves.extract_if(|_, grave| free(grave)).collect();
        self.report.released += freed.len() as u64;
        for chunk in freed.chunks(CHUNK) {
            let mut registry = shared.registry.lock();
            for (_, grave) in chunk {
                registry.release(grave.entry.flow.mark);
            }
        }
    }
}

fn translate_again(shared: &Shared, flow: &DpFlow) -> Translation {
    let at = Resume { recirc_id: RecircId(flow.key.recirc_id.get()) };
    shared.slowpath.translate(&at, &flow.key)
}

/// Whether a flow may stay: same deeds, and its mask has all bits that the new translation looked at.
fn still_right(flow: &DpFlow, again: &Translation) -> bool {
    again.cacheable == Cacheable::Yes
        && again.actions == flow.actions
        && again.effects == flow.effects
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

    /// Run on a thread of its own, at the intervals of the configuration, until the handle is dropped.
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
                if now.since(swept) >= config.sweep_interval {
                    swept = now;
                    this.run(now);
                } else {
                    this.run_changes();
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
