//! Frame by frame and burst by burst on a virtual clock: everything is exact.

use crate::life::Base;
use crate::recorded::Frame;
use crate::reference::{Reference, Station};
use crate::rig::{Drive, Plan};
use crate::tally::Tally;
use crate::traffic::{Leaving, Sent};
use flow::DpPort;
use pipeline::testing::Outcome;
use std::collections::HashMap;
use std::time::Duration;

/// Bursts of a life.
const BURSTS: usize = 1200;
/// Frames that enter at once.
const BURST: usize = 32;
/// Bursts between two looks at the counters.
const LOOK: usize = 60;

struct Life<'r> {
    base: Base<'r>,
    reference: Reference,
}

/// Run one switch. What is wrong with it, if anything is.
pub fn live(plan: &Plan, recorded: &[Frame], tally: &mut Tally, ends: &dyn Fn() -> bool) -> Result<(), String> {
    let (base, reference) = Base::new(plan, Drive::Lockstep, recorded, tally);
    let mut life = Life { base, reference };
    for burst in 1..=BURSTS {
        life.step().map_err(|e| format!("burst {burst}: {e}"))?;
        if burst % LOOK == 0 || burst == BURSTS || ends() {
            life.base.look().map_err(|e| format!("after burst {burst}: {e}"))?;
        }
        if ends() {
            break;
        }
    }
    life.base.finish()
}

impl Life<'_> {
    fn step(&mut self) -> Result<(), String> {
        let wait = match self.base.rng.below(200) {
            0 => Duration::from_millis(1500),
            1 => Duration::from_secs(12),
            2 => Duration::from_secs(301),
            _ => Duration::from_millis(1),
        };
        self.base.rig.control.advance(self.base.rig.control.now().after(wait));
        self.reference.age(self.base.rig.control.now());
        if self.base.rng.percent(30) {
            let change = self.base.changes.next_change();
            self.base.rig.control.apply(&change);
            self.reference.apply(&change);
            self.base.tally.change(&change);
        }
        self.burst()
    }

    /// A frame for an end whose port is there.
    fn frame(&mut self) -> Option<Sent> {
        let plugged = self.base.rig.control.plugged();
        self.base.source.frame().filter(|sent| plugged[sent.place])
    }

    fn burst(&mut self) -> Result<(), String> {
        let (size, now) = (1 + self.base.rng.below(BURST), self.base.rig.control.now());
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
            self.base.rig.outside.inject(sent.place, &sent.bytes);
            burst.push((sent, outcome));
        }
        taught.retain(|station, port| before.model.fdb.get(station) != Some(port));
        self.base.rig.control.settle();
        self.base.left.gather(&self.base.rig.outside);
        for (sent, outcome) in &burst {
            let got = self.base.left.of(sent);
            let (want, _) = Reference::leaving(sent, outcome);
            if got != want && !allowed(&before, &taught, sent, &got) {
                return Err(format!(
                    "{sent:?}\nleft as {got:#?}\nnot as {want:#?}\n{}",
                    self.reference.circumstances(outcome)
                ));
            }
            self.base.tally.frame(sent, outcome, want.len());
            self.base.ledger.count(sent, &[(outcome.clone(), &self.reference)], true);
        }
        self.base.left.end()
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
