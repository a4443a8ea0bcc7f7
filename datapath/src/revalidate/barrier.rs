//! Barriers: what was changed is in force when they return.
//!
//! Many callers share a round of work. A round that begins after a caller came is good for it, so one of those who wait does the
//! round for all of them, and the others sleep until it is over. A round that follows closely on another begins a little later, so
//! that under a storm of changes rounds take a part of the time only and find more to do each.

use super::Revalidator;
use crate::shared::Shared;
use flow::dp::WorkerFence;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Polls of a worker are shorter than this, mostly.
const SPIN: Duration = Duration::from_micros(20);
/// How often a worker that takes longer is looked at.
const LOOK: Duration = Duration::from_micros(50);
/// Rounds wait for at most so long before they begin.
const MOST_REST: Duration = Duration::from_millis(1);

/// Changes that came without a barrier wait so long for one that comes with others.
const STORM: Duration = Duration::from_millis(1);

/// Who waits for which round.
#[derive(Debug, Default)]
pub(crate) struct Barriers {
    rounds: Mutex<Rounds>,
    over: Condvar,
}

#[derive(Debug)]
struct Rounds {
    /// Callers so far.
    came: u64,
    /// Callers up to this one have had their round; how the last of these rounds ended.
    served: u64,
    outcome: WorkerFence,
    /// Somebody does a round.
    busy: bool,
    /// When the next one may begin.
    next: Option<Instant>,
}

impl Default for Rounds {
    fn default() -> Self {
        Rounds { came: 0, served: 0, outcome: WorkerFence::Fenced, busy: false, next: None }
    }
}

impl Barriers {
    /// Whether somebody is about to follow changes, or did so a moment ago: under a storm of changes the next comes soon.
    pub(super) fn are_busy(&self) -> bool {
        let rounds = self.rounds.lock();
        rounds.busy || rounds.next.is_some_and(|next| Instant::now() < next + STORM)
    }
}

/// Somebody's round; ends it, also when it goes wrong.
struct Round<'b>(&'b Barriers);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.0.rounds.lock().busy = false;
        self.0.over.notify_all();
    }
}

impl Revalidator {
    /// Follow all changes made so far and wait until no worker uses a flow from before. Packets received after
    /// [`WorkerFence::Fenced`] never meet a stale flow. A worker that does not come is waited for until `timeout`, in
    /// a round that other callers began and in one of one's own.
    pub fn barrier(&self, timeout: Duration) -> WorkerFence {
        let barriers = &self.shared.barriers;
        let mut rounds = barriers.rounds.lock();
        rounds.came += 1;
        let me = rounds.came;
        while rounds.busy && rounds.served < me {
            barriers.over.wait(&mut rounds);
        }
        // A later round that failed says nothing of the one before, but is all that is known.
        if rounds.served >= me {
            return rounds.outcome;
        }
        rounds.busy = true;
        let rest = rounds.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()));
        drop(rounds);
        let _round = Round(barriers);
        if !rest.is_zero() {
            std::thread::sleep(rest.min(MOST_REST));
        }
        // All who have come by now made their changes before.
        let served = barriers.rounds.lock().came;
        let start = Instant::now();
        self.follow_once();
        let worked = start.elapsed();
        let outcome = wait(&self.shared, timeout);
        let mut rounds = barriers.rounds.lock();
        (rounds.served, rounds.outcome) = (served, outcome);
        rounds.next = Some(Instant::now() + worked.min(MOST_REST));
        outcome
    }
}

/// Wait until all workers have passed a new fence.
fn wait(shared: &Shared, timeout: Duration) -> WorkerFence {
    let start = Instant::now();
    let fence = shared.fences.raise();
    loop {
        let late = shared.pmds.read().iter().find(|pmd| !pmd.quiescence.has_passed(fence)).map(|pmd| pmd.id);
        match late {
            None => return WorkerFence::Fenced,
            Some(pmd) if start.elapsed() >= timeout => return WorkerFence::TimedOut { pmd },
            Some(_) if start.elapsed() < SPIN => std::hint::spin_loop(),
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}
