//! Keeping flows right: changes, hits, idle flows, and the long way of a mark back to the free list.
//!
//! One piece of work is done at a time, on whichever thread asks: revalidation's own, a barrier's, or a test's. It
//! holds the registry's lock for a chunk at a time, so that workers that miss do not wait. A round over all flows is
//! many pieces, and changes are followed in between.

mod barrier;
mod graves;
mod thread;

pub(crate) use barrier::Barriers;
pub use thread::RevalidatorThread;

use crate::flows::effects::{Effects, Sums};
use crate::flows::{Filter, Harvest, Registry, Removed, Sieve, Suspect};
use crate::pmd::Mail;
use crate::shared::Shared;
use flow::clock::Time;
use flow::dp::{Cacheable, Change, Hits, RecircId, Resume, Scope, Translation};
use flow::{DpPort, FieldId, FlowKey, Mask};
use graves::Graves;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Flows handled together: those whose removal is told in one mail.
const CHUNK: usize = 256;

/// Flows of a round over all whose hits are read under one hold of the registry's lock.
const READ: usize = 64;

/// Time of a round after which changes are let in between.
const PAUSE: Duration = Duration::from_micros(500);

/// Flows handled before workers that miss may go first: some microseconds.
const FEW: usize = 8;

/// Rows of classes that a change is compared with before that: a few words of each are read.
const ROWS: usize = 1024;

/// Flows that are translated again before what became of them is told: PMDs change so many at a time.
const FOLLOWED: usize = 64;

/// Rounds in which one run follows changes that its own replays made.
const ROUNDS: usize = 8;

/// What revalidation remembers between runs.
#[derive(Debug, Default)]
pub(crate) struct Revalidation {
    graves: Graves,
    changes: Vec<Change>,
    harvest: Harvest,
    sums: Sums,
    report: RevalidationReport,
}

/// What a run did, or all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevalidationReport {
    /// Changes that the slow path told of.
    pub changes: u64,
    /// Flows translated again.
    pub checked: u64,
    /// Flows that match as before and do something else.
    pub changed: u64,
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
            changed: self.changed - before.changed,
            removed: self.removed - before.removed,
            expired: self.expired - before.expired,
            replayed: self.replayed - before.replayed,
            released: self.released - before.released,
        }
    }
}

/// A round over all flows, and how far it has come.
#[derive(Debug)]
struct Sweep {
    now: Time,
    idle: Duration,
    /// The next flow's number.
    from: usize,
    over: bool,
    /// Flows at its beginning.
    flows: usize,
    /// Time that it has worked.
    took: Duration,
}

impl Sweep {
    fn begin(shared: &Shared, now: Time) -> Sweep {
        let mut registry = shared.registry.lock();
        let idle = if registry.take_full() { shared.config.idle_at_limit } else { shared.config.idle };
        Sweep { now, idle, from: 1, over: false, flows: registry.live(), took: Duration::ZERO }
    }

    fn end(self, shared: &Shared) {
        shared.registry.lock().limit_mut().note_round(self.took, self.flows);
    }
}

impl Revalidation {
    /// Removed flows that still hold their mark.
    pub(crate) fn waiting(&self) -> usize {
        self.graves.len()
    }

    /// Removed flows wait for workers or queues only, which nobody tells of.
    fn is_burying(&self) -> bool {
        self.graves.is_burying()
    }

    pub(crate) fn total(&self) -> RevalidationReport {
        self.report
    }

    /// Look again at all flows that the changes made so far concern. `false`: there were none.
    fn follow_changes(&mut self, shared: &Shared) -> bool {
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        shared.slowpath.take_changes(&mut changes);
        let any = !changes.is_empty();
        if any {
            self.follow(shared, &changes);
        }
        self.changes = changes;
        any
    }

    fn follow(&mut self, shared: &Shared, changes: &[Change]) {
        self.report.changes += changes.len() as u64;
        let sieve = Sieve::new(changes);
        let (classes, mut suspects) = {
            let mut registry = shared.registry.lock();
            shared.set_epoch(registry.note_changes(changes));
            registry.concerned(&sieve)
        };
        pick(shared, &classes, |registry, class| registry.filter(class, &sieve), &mut suspects);
        suspects.sort_unstable();
        suspects.dedup();
        for chunk in suspects.chunks(FOLLOWED) {
            let mut flows: Vec<Suspect> = Vec::with_capacity(chunk.len());
            step_by_step(shared, chunk, |registry, index| flows.extend(registry.suspect(*index)));
            self.report.checked += flows.len() as u64;
            let (mut wrong, mut right, mut other) = (Vec::new(), Vec::new(), Vec::new());
            for flow in flows {
                let again = translate_again(shared, &flow);
                if again.cacheable != Cacheable::Yes || !again.mask.is_within(&flow.mask) {
                    wrong.push(flow.index);
                } else if *again.actions == *flow.deed.actions && flow.effects.are(&again.effects) {
                    right.push((flow.index, again));
                } else {
                    other.push((flow.index, again));
                }
            }
            step_by_step(shared, &right, |registry, (index, again)| registry.set_deps(*index, again));
            self.change(shared, &other, &mut wrong);
            self.report.removed += self.remove(shared, &wrong);
        }
    }

    /// Let flows do what they were translated to. Those of which hardware was told are wrong: it learns of flows by new ones.
    fn change(&mut self, shared: &Shared, flows: &[(u32, Translation)], wrong: &mut Vec<u32>) {
        if flows.is_empty() {
            return;
        }
        let mut marks = Vec::with_capacity(flows.len());
        step_by_step(shared, flows, |registry, (index, again)| match registry.change(*index, again) {
            Some(mark) => marks.push(mark),
            None => wrong.push(*index),
        });
        self.report.changed += marks.len() as u64;
        let marks: Arc<[u32]> = marks.into();
        for pmd in shared.pmds.read().iter().filter(|_| !marks.is_empty()) {
            pmd.changed.push(Arc::clone(&marks));
        }
        self.count_settled(shared);
        self.replay(shared);
    }

    /// Take up the hits that flows had before they changed.
    fn count_settled(&mut self, shared: &Shared) {
        loop {
            let settled = shared.registry.lock().take_settled(READ);
            settled.iter().for_each(|(effects, hits)| self.count(effects, hits));
            if settled.len() < READ {
                return;
            }
        }
    }

    /// Replay what some flows were hit with, and remove those of them that are idle.
    fn sweep(&mut self, shared: &Shared, sweep: &mut Sweep) {
        let start = Instant::now();
        self.count_settled(shared);
        loop {
            let mut harvest = std::mem::take(&mut self.harvest);
            let mut more = true;
            for from in (sweep.from..sweep.from + CHUNK).step_by(READ) {
                more = shared.registry.lock().harvest(from, READ, sweep.now, sweep.idle, &mut harvest);
            }
            for (effects, hits) in harvest.hits.drain(..) {
                self.count(&effects, &hits);
            }
            self.replay(shared);
            self.report.expired += self.remove(shared, &harvest.idle);
            harvest.idle.clear();
            self.harvest = harvest;
            sweep.from += CHUNK;
            sweep.over = !more;
            if sweep.over || start.elapsed() >= PAUSE {
                break;
            }
        }
        sweep.took += start.elapsed();
    }

    /// Remove the flows of a port.
    pub(crate) fn remove_port(&mut self, shared: &Shared, port: DpPort) -> u64 {
        let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
        key.in_port = port.0.into();
        mask.require(FieldId::InPort);
        let Some(scope) = Scope::new(&key, &mask) else { return 0 };
        let classes = shared.registry.lock().all_classes();
        let mut flows = Vec::new();
        pick(shared, &classes, |registry, class| registry.filter_one(class, &scope), &mut flows);
        self.remove(shared, &flows)
    }

    fn remove(&mut self, shared: &Shared, flows: &[u32]) -> u64 {
        let mut removed = 0;
        for chunk in flows.chunks(CHUNK) {
            let mut gone: Vec<Removed> = Vec::with_capacity(chunk.len());
            step_by_step(shared, chunk, |registry, index| gone.extend(registry.remove(*index)));
            let fence = tell_workers(shared, &gone);
            removed += gone.len() as u64;
            for mut flow in gone {
                flow.take_unreplayed(|effects, hits| self.count(effects, hits));
                let told = flow.flow.clone();
                self.graves.add(flow, fence, shared.config.offload);
                if let Some(flow) = told {
                    shared.listener.flow_removed(&flow);
                }
            }
        }
        if removed > 0 && shared.config.offload {
            // Those of packets that came changed.
            self.count_settled(shared);
        }
        self.replay(shared);
        removed
    }

    /// End what was left of flows whose marks are free: no packet comes for it any more.
    fn end_rests(&mut self, shared: &Shared, ended: Vec<Removed>) {
        if ended.is_empty() {
            return;
        }
        let fence = tell_workers(shared, &ended);
        for mut rest in ended {
            rest.take_unreplayed(|effects, hits| self.count(effects, hits));
            self.graves.add(rest, fence, false);
        }
        self.replay(shared);
    }

    /// Take hits of a flow up, to be replayed with those of others.
    fn count(&mut self, effects: &Effects, hits: &Hits) {
        if hits.packets > 0 {
            self.sums.add(effects, hits);
        }
    }

    /// Do what was taken up.
    fn replay(&mut self, shared: &Shared) {
        self.report.replayed += self.sums.packets;
        self.sums.replay(|effects, hits| shared.slowpath.replay(effects, hits));
    }

    /// Settle the last hits of removed flows, and free marks that nothing carries any more.
    fn bury(&mut self, shared: &Shared) {
        let mut drain = None;
        while let Some(id) = shared.gone.pop() {
            self.graves.let_go(id, *drain.get_or_insert_with(|| shared.fences.raise()));
        }
        let passed = shared.pmds.read().iter().map(|pmd| pmd.quiescence.passed()).min().unwrap_or(u64::MAX);
        self.count_settled(shared);
        let sums = &mut self.sums;
        while self.graves.settle(passed, |effects, hits| sums.add(effects, hits)) {}
        self.replay(shared);
        let past = if shared.config.offload { drained(shared) } else { passed };
        loop {
            let marks = self.graves.free(past, CHUNK);
            if marks.is_empty() {
                return;
            }
            self.report.released += marks.len() as u64;
            let mut ended = Vec::new();
            let mut registry = shared.registry.lock();
            for mark in marks {
                registry.end_rests(mark, &mut ended);
                registry.release(mark);
            }
            drop(registry);
            self.end_rests(shared, ended);
        }
    }
}

/// Have workers forget flows. Those that have passed the answer's fence do not use them any more.
fn tell_workers(shared: &Shared, gone: &[Removed]) -> u64 {
    let marks: Arc<[u32]> = gone.iter().map(|flow| flow.mark).collect();
    for pmd in shared.pmds.read().iter() {
        pmd.mailbox.push(Mail::FlowsRemoved(Arc::clone(&marks)));
    }
    shared.fences.raise()
}

/// The newest fence past which all receive queues have drained, polled or not, and all mail was read.
fn drained(shared: &Shared) -> u64 {
    let mail = shared.pmds.read().iter().map(|pmd| pmd.quiescence.drained()).min();
    let queues = shared.rxqs.read().iter().map(|rxq| rxq.drained()).min();
    mail.unwrap_or(u64::MAX).min(queues.unwrap_or(u64::MAX))
}

/// Add the flows of classes that their filters let through. Of a large class from the last row to the first: a flow that is taken
/// out meanwhile has its place taken by one that was looked at.
fn pick(
    shared: &Shared,
    classes: &[u32],
    filter: impl Fn(&Registry, u32) -> Option<(Filter, usize)>,
    into: &mut Vec<u32>,
) {
    let mut registry = shared.registry.lock();
    for class in classes {
        shared.registry.give_way(&mut registry);
        let Some((filter, mut to)) = filter(&registry, *class) else { continue };
        if matches!(&filter, Filter::Some(tests) if tests.is_empty()) {
            continue;
        }
        while to > 0 {
            let from = to.saturating_sub(ROWS);
            registry.pick(*class, from, to, &filter, into);
            shared.registry.give_way(&mut registry);
            to = from;
        }
    }
}

/// Do something with the registry for each of these; workers go first in between.
fn step_by_step<T>(shared: &Shared, all: &[T], mut each: impl FnMut(&mut Registry, &T)) {
    if all.is_empty() {
        return;
    }
    let mut registry = shared.registry.lock();
    for few in all.chunks(FEW) {
        few.iter().for_each(|one| each(&mut registry, one));
        shared.registry.give_way(&mut registry);
    }
}

fn translate_again(shared: &Shared, flow: &Suspect) -> Translation {
    let at = Resume { recirc_id: RecircId(flow.key.recirc_id.get()) };
    shared.slowpath.translate(&at, &flow.key)
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

    /// Everything: replay hits, remove idle flows, follow changes, free marks. Returns what was done, by others meanwhile too.
    pub fn run(&self, now: Time) -> RevalidationReport {
        let _one = self.shared.sweeping.lock();
        let mut sweep = Sweep::begin(&self.shared, now);
        let mut state = self.shared.revalidation.lock();
        let before = state.report;
        while !sweep.over {
            state.sweep(&self.shared, &mut sweep);
            // A barrier does not wait for the whole round.
            MutexGuard::bump(&mut state);
        }
        sweep.end(&self.shared);
        self.follow_until_none(&mut state);
        state.bury(&self.shared);
        state.report.since(&before)
    }

    /// Follow changes only, those that this makes itself (by what hits are replayed to) included.
    pub fn run_changes(&self) -> RevalidationReport {
        let mut state = self.shared.revalidation.lock();
        let before = state.report;
        self.follow_until_none(&mut state);
        state.report.since(&before)
    }

    fn follow_until_none(&self, state: &mut MutexGuard<'_, Revalidation>) {
        for _ in 0..ROUNDS {
            if !state.follow_changes(&self.shared) {
                return;
            }
            // While changes keep coming, each barrier has its turn.
            MutexGuard::bump(state);
        }
    }

    /// Follow the changes made so far, and none that come meanwhile: whoever waits for these waits for no others.
    fn follow_once(&self) {
        self.shared.revalidation.lock().follow_changes(&self.shared);
    }

    /// Follow changes, unless barriers do, and free marks of flows that went.
    fn tick(&self) {
        let barriers = self.shared.barriers.are_busy();
        let mut state = self.shared.revalidation.lock();
        if !barriers {
            state.follow_changes(&self.shared);
        }
        state.bury(&self.shared);
    }
}
