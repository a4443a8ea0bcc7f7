//! With all threads running: frames go in without a pause while changes are made.
//!
//! A frame that came to its end before a change began did what the state before says; one that went in after the
//! change was acknowledged does what the state after it says; one between the two does either. Nothing says when a
//! frame that is dropped came to its end, so now and then everything comes to rest.
//!
//! What a frame teaches would make the next one's way depend on the threads' order. So each station stays at its end while frames
//! are under way, only one rule sends to NORMAL, without having changed anything, and a frame there may find its destination known
//! at a place where the station was since the last rest, or not known.

use crate::changes::Change;
use crate::life::{Base, Source};
use crate::recorded::Frame;
use crate::reference::Reference;
use crate::rig::{Control, Drive, PORTS, Plan, Rig};
use crate::tally::Tally;
use crate::traffic::{Leaving, Sent};
use flow::DpPort;
use pipeline::testing::{Outcome, Rng, dp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rests of a life.
const RESTS: usize = 100;
/// Most changes between two rests.
const CHANGES: usize = 3;
/// Rests between two looks at the counters.
const LOOK: usize = 10;
/// Frames under way at most, so that no ring has to refuse one: each may be copied to all ports.
const UNDER_WAY: u64 = 128;
/// Frames that go in at once.
const BURST: usize = 32;

/// A state that frames may meet.
#[derive(Clone)]
struct State {
    reference: Arc<Reference>,
    /// A port that goes or comes just then: what is sent to it may be lost.
    unsure: Option<DpPort>,
}

/// Where each station may be known.
type Places = HashMap<[u8; 6], BTreeSet<DpPort>>;

struct Life<'r> {
    base: Base<'r>,
    places: Places,
    /// What a frame that goes in now meets.
    now: Arc<Reference>,
    /// Frames that went in since the last rest, and the states that each may have met.
    sent: Vec<(Sent, Vec<State>)>,
    /// Misses may be refused.
    budget: bool,
    /// Packets that were, up to the last rest.
    refused: u64,
}

/// Run one switch. What is wrong with it, if anything is.
pub fn live(plan: &Plan, recorded: &[Frame], tally: &mut Tally, ends: &dyn Fn() -> bool) -> Result<(), String> {
    let (base, reference) = Base::new(plan, Drive::Threads, recorded, tally);
    let mut life = Life {
        base,
        places: Places::new(),
        now: Arc::new(reference),
        sent: Vec::new(),
        budget: plan.miss_budget,
        refused: 0,
    };
    life.note_places();
    for rest in 1..=RESTS {
        life.between_rests().map_err(|e| format!("before rest {rest}: {e}"))?;
        life.rest().map_err(|e| format!("rest {rest}: {e}"))?;
        if rest % LOOK == 0 || rest == RESTS || ends() {
            life.look().map_err(|e| format!("at rest {rest}: {e}"))?;
        }
        if ends() {
            break;
        }
    }
    life.base.finish()
}

/// What goes in at once; where misses have a budget, many of one flow now and then, so that others have to do with it.
fn next(source: &mut Source<'_>, rng: &mut Rng, budget: bool) -> Vec<Sent> {
    if budget && rng.percent(60) {
        return source.row();
    }
    (0..BURST).filter_map(|_| source.frame()).collect()
}

impl Life<'_> {
    /// The stations are where they are.
    fn note_places(&mut self) {
        let owners = *self.base.source.traffic.owners().unwrap();
        for (mac, port) in owners.into_iter().zip(PORTS) {
            self.places.entry(mac).or_default().insert(dp(port));
        }
    }

    fn between_rests(&mut self) -> Result<(), String> {
        for _ in 0..1 + self.base.rng.below(CHANGES) {
            if self.base.rng.percent(15) {
                self.base.source.traffic.move_stations();
                self.note_places();
            }
            let change = self.base.changes.next_change();
            self.base.tally.change(&change);
            self.change(&change)?;
            // Some that meet the new state only.
            let now = State { reference: Arc::clone(&self.now), unsure: None };
            for _ in 0..self.base.rng.below(4) {
                let plugged = self.base.rig.control.plugged();
                for sent in next(&mut self.base.source, &mut self.base.rng, self.budget)
                    .into_iter()
                    .filter(|sent| plugged[sent.place])
                {
                    self.base.rig.outside.inject(sent.place, &sent.bytes);
                    self.sent.push((sent, vec![now.clone()]));
                }
                self.base.rig.outside.wait(UNDER_WAY);
            }
        }
        Ok(())
    }

    /// Make a change while frames go in.
    fn change(&mut self, change: &Change) -> Result<(), String> {
        let mut after = Reference::clone(&self.now);
        after.apply(change);
        let (end, unsure) = match change {
            Change::Unplug(place) | Change::Plug(place) => (Some(*place), Some(dp(PORTS[*place]))),
            _ => (None, None),
        };
        if end.is_some() {
            // What waits in front of a port that is unplugged would come in when it is plugged again: nothing may wait there.
            self.rest()?;
        }
        let before = State { reference: Arc::clone(&self.now), unsure };
        let after = State { reference: Arc::new(after), unsure };
        self.sent.iter_mut().for_each(|(_, states)| states.push(after.clone()));
        let plugged = self.base.rig.control.plugged();
        let (sent, budget) = (&mut self.sent, self.budget);
        let Base { rig: Rig { control, outside, .. }, source, rng, left, .. } = &mut self.base;
        let done = AtomicBool::new(false);
        // This thread goes on sending.
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                // Whatever becomes of the change, the sender ends.
                let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| control.apply(change)));
                done.store(true, Ordering::Release);
                applied
            });
            while !done.load(Ordering::Acquire) {
                for frame in next(source, rng, budget).into_iter().filter(|s| plugged[s.place] && Some(s.place) != end)
                {
                    outside.inject(frame.place, &frame.bytes);
                    sent.push((frame, vec![before.clone(), after.clone()]));
                }
                left.gather(outside);
                outside.wait(UNDER_WAY);
            }
            changing.join().unwrap().map_err(|panic| match panic.downcast_ref::<String>() {
                Some(text) => format!("{change:?}: {text}"),
                None => format!("{change:?} failed"),
            })
        })?;
        self.now = after.reference;
        Ok(())
    }

    /// Wait until all frames came to their ends, and look at each.
    fn rest(&mut self) -> Result<(), String> {
        let refused = self.base.rig.outside.quiesce().refused();
        let mut unfit = refused - self.refused;
        let certain = unfit == 0;
        self.refused = refused;
        self.base.left.gather(&self.base.rig.outside);
        for (sent, states) in std::mem::take(&mut self.sent) {
            let got = self.base.left.of(&sent);
            let read: Vec<(Outcome, &State)> =
                states.iter().flat_map(|state| self.read(&sent, state).into_iter().map(move |o| (o, state))).collect();
            let fits = read.iter().any(|(outcome, state)| {
                let mut want = Reference::leaving(&sent, outcome).0;
                let whole = got == want;
                want.retain(|leaving| Some(leaving.port()) != state.unsure);
                whole || got == want
            });
            // A refused packet, or a copy of it that is looked up again, ends there.
            let part = |outcome: &Outcome| is_part(&got, &Reference::leaving(&sent, outcome).0);
            if !fits && unfit > 0 && read.iter().any(|(outcome, _)| part(outcome)) {
                unfit -= 1;
            } else if !fits {
                let want: Vec<_> = read.iter().map(|(outcome, _)| Reference::leaving(&sent, outcome).0).collect();
                let circumstances = states[0].reference.circumstances(&read[0].0);
                return Err(format!("{sent:?}\nleft as {got:#?}\nnot as one of {want:#?}\n{circumstances}"));
            }
            self.base.tally.frame(&sent, &read[0].0, got.len());
            let outcomes: Vec<_> = read.into_iter().map(|(outcome, state)| (outcome, &*state.reference)).collect();
            self.base.ledger.count(&sent, &outcomes, certain);
        }
        self.base.left.end()
    }

    /// What a frame may do by a state: its destination may be known where the station was, or not at all.
    fn read(&self, sent: &Sent, state: &State) -> Vec<Outcome> {
        let mut outcomes = vec![state.reference.read(sent)];
        let vlan = sent.key.vlans[0].vid();
        for port in self.places.get(&sent.key.eth_dst).into_iter().flatten() {
            let mut known = Reference::clone(&state.reference);
            known.model.fdb.insert((vlan, sent.key.eth_dst), *port);
            let outcome = known.read(sent);
            if outcome != outcomes[0] {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// At rest: the counters, and where stations are known.
    fn look(&mut self) -> Result<(), String> {
        self.base.look()?;
        let Control { bridge, .. } = self.base.rig.control;
        let known = self.base.rig.control.switch().pipeline().fdb(bridge);
        if let Some(wrong) = known.iter().find(|e| !self.places.get(&e.mac).is_some_and(|p| p.contains(&e.port))) {
            return Err(format!("{:?} was learned at port {}, where it never was", wrong.mac, wrong.port));
        }
        self.places.clear();
        for station in known {
            self.places.entry(station.mac).or_default().insert(station.port);
        }
        self.note_places();
        Ok(())
    }
}

/// Whether each of these is among those, as often.
fn is_part(some: &[Leaving], all: &[Leaving]) -> bool {
    let mut rest = all.to_vec();
    some.iter().all(|leaving| rest.iter().position(|other| other == leaving).map(|at| rest.swap_remove(at)).is_some())
}
