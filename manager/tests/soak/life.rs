//! What both kinds of life have: a switch with its rules, frames for it, and frames that left.

use crate::changes::{Changes, meter};
use crate::ledger::Ledger;
use crate::recorded::Frame;
use crate::reference::Reference;
use crate::rig::{Drive, Outside, Plan, Rig};
use crate::tally::Tally;
use crate::traffic::{Leaving, Sent, Traffic, serial_of};
use flow::DpPort;
use pipeline::testing::Rng;
use std::collections::BTreeMap;

/// Frames of one flow in a row that keep a queue backlogged: several bursts of a PMD.
const ROW: usize = 64;

/// A switch from its start to its end.
pub struct Base<'r> {
    pub rng: Rng,
    pub rig: Rig,
    pub changes: Changes,
    pub ledger: Ledger,
    pub source: Source<'r>,
    pub left: Left,
    pub tally: &'r mut Tally,
}

impl<'r> Base<'r> {
    /// A switch that is ready for frames, and the reference for it.
    pub fn new(plan: &Plan, drive: Drive, recorded: &'r [Frame], tally: &'r mut Tally) -> (Base<'r>, Reference) {
        let seed = plan.seed;
        let settled = drive == Drive::Threads;
        let changes = Changes::new(seed, settled);
        let mut traffic = Traffic::new(seed, &changes.all);
        if settled {
            traffic.settle_down();
        }
        let mut rig = Rig::new(plan, drive, &changes.ports);
        rig.control.begin(&changes.groups, meter(1), &changes.rules);
        let reference = Reference::new(&changes.ports, &changes.rules, &changes.groups);
        let mut rng = Rng::new(seed ^ 0x11fe);
        let source = Source { rng: Rng::new(seed ^ 0x50), traffic, recorded, next: rng.below(recorded.len()) };
        (Base { rng, rig, changes, ledger: Ledger::default(), source, left: Left::default(), tally }, reference)
    }

    /// Hold everything that is counted against what had to be. At rest only.
    pub fn look(&mut self) -> Result<(), String> {
        let balance = self.rig.outside.balance();
        self.ledger.fault(&self.rig, &balance).map_or(Ok(()), Err)
    }

    /// End the switch; a fault when it keeps buffers.
    pub fn finish(self) -> Result<(), String> {
        self.tally.handled(&self.rig.outside.nic.stats());
        self.tally.refused += self.rig.outside.balance().refused();
        self.tally.mischief += self.rig.mischief.total();
        match self.rig.finish() {
            [0, 0] => Ok(()),
            out => Err(format!("buffers did not come back: {} of the switch, {} of the NIC", out[0], out[1])),
        }
    }
}

/// Frames without end: made to meet the rules, or recorded.
pub struct Source<'r> {
    rng: Rng,
    pub traffic: Traffic,
    recorded: &'r [Frame],
    next: usize,
}

impl Source<'_> {
    /// The next frame; `None` when it is one that nothing can be said about.
    pub fn frame(&mut self) -> Option<Sent> {
        if self.rng.percent(75) || self.recorded.is_empty() {
            return Some(self.traffic.made());
        }
        let frame = &self.recorded[self.next];
        self.next = (self.next + 1) % self.recorded.len();
        self.traffic.recorded(frame.end, &frame.data)
    }

    /// Many frames of one flow.
    pub fn row(&mut self) -> Vec<Sent> {
        let first = self.traffic.made();
        let mut row: Vec<Sent> = (1..ROW).map(|_| self.traffic.again(&first)).collect();
        row.push(first);
        row
    }
}

/// Frames that left, by their serial numbers.
#[derive(Default)]
pub struct Left(BTreeMap<u64, Vec<(DpPort, Vec<u8>)>>);

impl Left {
    /// Take what left by now.
    pub fn gather(&mut self, outside: &Outside) {
        for (port, bytes) in outside.collect() {
            self.0.entry(serial_of(&bytes)).or_default().push((port, bytes));
        }
    }

    /// What left of a frame, in order.
    pub fn of(&mut self, sent: &Sent) -> Vec<Leaving> {
        let got = self.0.remove(&sent.serial).unwrap_or_default();
        let mut got: Vec<Leaving> = got.into_iter().map(|(port, bytes)| sent.left(port, bytes)).collect();
        got.sort_unstable();
        got
    }

    /// All that left was sent by somebody.
    pub fn end(&mut self) -> Result<(), String> {
        match std::mem::take(&mut self.0).into_iter().next() {
            None => Ok(()),
            Some((serial, frames)) => Err(format!("frames that nobody sent (serial {serial}): {frames:?}")),
        }
    }
}
