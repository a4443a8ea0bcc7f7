//! What a soak has done, to be printed.

use crate::changes::Change;
use crate::traffic::Sent;
use mocks::nic::NicStats;
use pipeline::testing::Outcome;
use std::collections::BTreeMap;

/// Counts of a soak.
#[derive(Debug, Default)]
pub struct Tally {
    pub lives: u64,
    pub frames: u64,
    /// Of them, those from captures.
    recorded: u64,
    /// Those that met a rule of table 0 that is not the last resort.
    met: u64,
    forwarded: u64,
    copies: u64,
    /// Packets whose misses were refused.
    pub refused: u64,
    /// Operations of which a chaotic device made something else.
    pub mischief: u64,
    changes: BTreeMap<&'static str, u64>,
    /// Frames that hardware, hardware and software, and software handled.
    handled: [u64; 3],
}

impl Tally {
    pub fn change(&mut self, change: &Change) {
        *self.changes.entry(change.name()).or_default() += 1;
    }

    pub fn frame(&mut self, sent: &Sent, outcome: &Outcome, out: usize) {
        self.frames += 1;
        self.recorded += u64::from(sent.is_recorded());
        self.met += u64::from(matches!(outcome.hits.first(), Some((0, Some(1..)))));
        self.forwarded += u64::from(out > 0);
        self.copies += out.saturating_sub(1) as u64;
    }

    /// A NIC at its end.
    pub fn handled(&mut self, nic: &NicStats) {
        let of_nic = [nic.hardware, nic.partial, nic.software];
        self.handled.iter_mut().zip(of_nic).for_each(|(sum, n)| *sum += n);
    }

    /// Whether so little happened that passing means nothing.
    pub fn is_idle(&self) -> bool {
        self.met * 2 < self.frames || self.forwarded * 4 < self.frames || self.changes.len() < 6
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |n: u64| n as f64 * 100.0 / self.frames.max(1) as f64;
        let changes: u64 = self.changes.values().sum();
        let [hardware, partial, software] = self.handled;
        write!(
            f,
            "{} switches; {} frames ({} recorded): {:.1} % met a rule, {:.1} % were forwarded, {} copies; \
             {hardware} by hardware, {partial} by both, {software} by software; {} refused; {} operations in chaos; \
             {changes} changes: {:?}",
            self.lives,
            self.frames,
            self.recorded,
            percent(self.met),
            percent(self.forwarded),
            self.copies,
            self.refused,
            self.mischief,
            self.changes
        )
    }
}
