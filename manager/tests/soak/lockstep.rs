//! Frame by frame and burst by burst on a virtual clock: everything is exact.

use crate::changes::{Changes, meter};
use crate::ledger::Ledger;
use crate::recorded::Frame;
use crate::reference::{Reference, Station};
use crate::rig::{Drive, Plan, Rig};
use crate::tally::Tally;
use crate::traffic::{Leaving, Sent, Traffic, serial_of};
use flow::DpPort;
use pipeline::testing::{Outcome, Rng};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Bursts of a life.
const BURSTS: usize = 1200;
/// Frames that enter at once.
const BURST: usize = 32;
/// Bursts between two looks at the counters.
const LOOK: usize = 60;

/// One switch from its start to its end.
pub struct Life<'r> {
    rng: Rng,
    rig: Rig,
    reference: Reference,
    changes: Changes,
    traffic: Traffic,
    ledger: Ledger,
    recorded: &'r [Frame],
    next_recorded: usize,
    tally: &'r mut Tally,
}

/// Run one switch. What is wrong with it, if anything is.
pub fn live(plan: &Plan, recorded: &[Frame], tally: &mut Tally, ends: &dyn Fn() -> bool) -> Result<(), String> {
    let seed = plan.seed;
    let changes = Changes::new(seed, false);
    let traffic = Traffic::new(seed, &changes.all);
    let mut rig = Rig::new(plan, Drive::Lockstep, &changes.ports);
    rig.control.begin(&changes.groups, meter(1), &changes.rules);
    let mut rng = Rng::new(seed ^ 0x11fe);
    let mut life = Life {
        reference: Reference::new(&changes.ports, &changes.rules, &changes.groups),
        next_recorded: rng.below(recorded.len()),
        rng,
        rig,
        changes,
        traffic,
        ledger: Ledger::default(),
        recorded,
        tally,
    };
    for burst in 1..=BURSTS {
        life.step().map_err(|e| format!("burst {burst}: {e}"))?;
        if burst % LOOK == 0 || burst == BURSTS || ends() {
            life.look().map_err(|e| format!("after burst {burst}: {e}"))?;
        }
        if ends() {
            break;
        }
    }
    life.tally.handled(&life.rig.outside.nic.stats());
    match life.rig.finish() {
        [0, 0] => Ok(()),
        out => Err(format!("buffers did not come back: {} of the switch, {} of the NIC", out[0], out[1])),
    }
}

impl Life<'_> {
    fn look(&mut self) -> Result<(), String> {
        let balance = self.rig.outside.balance();
        self.ledger.fault(&self.rig, &balance).map_or(Ok(()), Err)
    }

    fn step(&mut self) -> Result<(), String> {
        let wait = match self.rng.below(200) {
            0 => Duration::from_millis(1500),
            1 => Duration::from_secs(12),
            2 => Duration::from_secs(301),
            _ => Duration::from_millis(1),
        };
        self.rig.control.advance(self.rig.control.now().after(wait));
        self.reference.age(self.rig.control.now());
        if self.rng.percent(30) {
            let change = self.changes.next_change();
            self.rig.control.apply(&change);
            self.reference.apply(&change);
            self.tally.change(&change);
        }
        self.burst()
    }

    /// A frame for an end whose port is there.
    fn frame(&mut self) -> Option<Sent> {
        let sent = if self.rng.percent(25) && !self.recorded.is_empty() {
            let frame = &self.recorded[self.next_recorded];
            self.next_recorded = (self.next_recorded + 1) % self.recorded.len();
            self.traffic.recorded(frame.end, &frame.data)?
        } else {
            self.traffic.made()
        };
        self.rig.control.plugged()[sent.place].then_some(sent)
    }

    fn burst(&mut self) -> Result<(), String> {
        let (size, now) = (1 + self.rng.below(BURST), self.rig.control.now());
        let before = self.reference.clone();
        let mut taught: HashMap<Station, DpPort> = HashMap::new();
        let mut burst: Vec<(Sent, Outcome)> = Vec::new();
        for _ in 0..size {
            let Some(sent) = self.frame() else { continue };
            let outcome = self.reference.read(&sent);
            // An address that comes in at two ports within a burst may be learned at either: it ends the burst.
            let elsewhere = |(vlan, mac, port): &(u16, [u8; 6], DpPort)| {
                taught.get(&(*vlan, *mac)).is_some_and(|there| there != port)
            };
            if outcome.learned.iter().any(elsewhere) {
                break;
            }
            taught.extend(outcome.learned.iter().map(|(vlan, mac, port)| ((*vlan, *mac), *port)));
            self.reference.learn(&outcome, now);
            self.rig.outside.inject(sent.place, &sent.bytes);
            burst.push((sent, outcome));
        }
        taught.retain(|station, port| before.model.fdb.get(station) != Some(port));
        self.rig.control.settle();
        let mut left: BTreeMap<u64, Vec<(DpPort, Vec<u8>)>> = BTreeMap::new();
        for (port, bytes) in self.rig.outside.collect() {
            left.entry(serial_of(&bytes)).or_default().push((port, bytes));
        }
        for (sent, outcome) in &burst {
            let got = left.remove(&sent.serial).unwrap_or_default();
            let mut got: Vec<Leaving> = got.into_iter().map(|(port, bytes)| sent.left(port, bytes)).collect();
            got.sort_unstable();
            let (want, _) = Reference::leaving(sent, outcome);
            if got != want && !allowed(&before, &taught, sent, &got) {
                return Err(format!(
                    "{sent:?}\nleft as {got:#?}\nnot as {want:#?}\n{}",
                    self.reference.circumstances(outcome)
                ));
            }
            self.tally.frame(sent, outcome, want.len());
            self.ledger.count(sent, &[(outcome.clone(), &self.reference)]);
        }
        match left.into_iter().next() {
            None => Ok(()),
            Some((serial, frames)) => Err(format!("frames that nobody sent (serial {serial}): {frames:?}")),
        }
    }
}

/// Whether a frame did what it does when part of what its burst teaches was known.
fn allowed(before: &Reference, taught: &HashMap<Station, DpPort>, sent: &Sent, got: &[Leaving]) -> bool {
    const EACH: usize = 8;
    let mut news: Vec<_> = taught.iter().collect();
    // Where the frame itself goes to matters most; what is behind the first few is known, or not, together.
    news.sort_by_key(|((_, mac), _)| *mac != sent.key.eth_dst);
    let known = |subset: usize| {
        let mut state = before.clone();
        for (i, (station, port)) in news.iter().enumerate() {
            if subset >> i.min(EACH) & 1 != 0 {
                state.model.fdb.insert(**station, **port);
            }
        }
        Reference::leaving(sent, &state.read(sent)).0 == got
    };
    (0..1usize << news.len().min(EACH + 1)).any(known)
}
