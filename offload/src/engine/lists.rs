//! Lists of flows: all of them, by the time when something is due, and by rank.

use super::entry::Entry;
use super::rate::Rank;
use crate::numbered::Numbered;
use flow::clock::Time;
use flow::dp::FlowId;
use std::collections::BTreeMap;

/// All flows, by their numbers. Boxed, since most pages of old flows have few left.
#[derive(Debug, Default)]
pub(super) struct Flows(Numbered<Box<Entry>>);

impl Flows {
    pub fn contains(&self, id: FlowId) -> bool {
        self.0.contains(id.0)
    }

    pub fn get(&self, id: FlowId) -> Option<&Entry> {
        self.0.get(id.0).map(|entry| &**entry)
    }

    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Entry> {
        self.0.get_mut(id.0).map(|entry| &mut **entry)
    }

    pub fn insert(&mut self, entry: Box<Entry>) {
        self.0.insert(entry.flow.id.0, entry);
    }

    pub fn remove(&mut self, id: FlowId) {
        self.0.remove(id.0);
    }

    /// By their numbers.
    pub fn values(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().map(|(_, entry)| &**entry)
    }

    /// In no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.0.values_mut().map(|entry| &mut **entry)
    }
}

/// Flows for which something is due at a time. Nothing is taken out before its time: a flow whose time is another by then, which the
/// flow itself knows, is passed over.
#[derive(Debug, Default)]
pub(super) struct Due {
    at: BTreeMap<Time, Vec<FlowId>>,
    /// The time that flows were put in for last: mostly the latest of all.
    last: (Time, Vec<FlowId>),
    spare: Vec<Vec<FlowId>>,
}

/// Lists whose memory is kept.
const SPARE: usize = 16;

impl Due {
    pub fn insert(&mut self, at: Time, id: FlowId) {
        if self.last.0 != at {
            self.turn(at);
        }
        self.last.1.push(id);
    }

    /// Make the list of this time the last.
    fn turn(&mut self, at: Time) {
        let list = self.at.remove(&at).or_else(|| self.spare.pop()).unwrap_or_default();
        let (before, done) = std::mem::replace(&mut self.last, (at, list));
        if !done.is_empty() {
            self.at.insert(before, done);
        } else if self.spare.len() < SPARE {
            self.spare.push(done);
        }
    }

    /// The first time for which there is a flow.
    pub fn first(&self) -> Option<Time> {
        let last = (!self.last.1.is_empty()).then_some(self.last.0);
        self.at.keys().next().copied().into_iter().chain(last).min()
    }

    /// Take a flow of the first time out, when that has come.
    pub fn pop(&mut self, now: Time) -> Option<(Time, FlowId)> {
        let at = self.first().filter(|at| *at <= now)?;
        if self.last.0 != at {
            self.turn(at);
        }
        Some((at, self.last.1.pop()?))
    }

    /// All, each with its time.
    pub fn all(&self) -> impl Iterator<Item = (Time, FlowId)> {
        let lists = self.at.iter().map(|(at, list)| (*at, list)).chain([(self.last.0, &self.last.1)]);
        lists.flat_map(|(at, list)| list.iter().map(move |id| (at, *id)))
    }
}

/// Flows by rank; of one rank in the order in which they came to it.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    by_rank: BTreeMap<Rank, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    flows: Numbered<FlowId>,
    next: u64,
}

/// Where a flow is among those of its rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ranked {
    pub fn insert(&mut self, rank: Rank, id: FlowId) -> Ticket {
        let queue = self.by_rank.entry(rank).or_default();
        let ticket = Ticket(queue.next);
        queue.next += 1;
        queue.flows.insert(ticket.0, id);
        ticket
    }

    pub fn remove(&mut self, rank: Rank, ticket: Ticket) {
        let Some(queue) = self.by_rank.get_mut(&rank) else { return };
        queue.flows.remove(ticket.0);
        if queue.flows.is_empty() {
            self.by_rank.remove(&rank);
        }
    }

    /// From the lowest rank on.
    pub fn iter(&self) -> impl Iterator<Item = (Rank, FlowId)> {
        self.by_rank.iter().flat_map(|(rank, queue)| queue.flows.iter().map(|(_, id)| (*rank, *id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a sorted set, when flows know their times.
        #[test]
        fn what_is_due_comes_at_its_time(steps in proptest::collection::vec((0..40u64, 0..12u64, 0..4u8), 1..300)) {
            let (mut due, mut known, mut now) = (Due::default(), BTreeMap::new(), 0);
            for (n, after, what) in steps {
                let at = Time(now + after);
                match what {
                    0 | 1 => {
                        due.insert(at, FlowId(n));
                        known.insert(FlowId(n), at);
                    }
                    2 => drop(known.remove(&FlowId(n))),
                    _ => {
                        now += after;
                        let mut came = Vec::new();
                        while let Some((at, id)) = due.pop(Time(now)) {
                            prop_assert!(came.last().is_none_or(|(before, _)| *before <= at));
                            if known.get(&id) == Some(&at) {
                                known.remove(&id);
                                came.push((at, id));
                            }
                        }
                        prop_assert!(known.values().all(|at| at.0 > now), "{:?} at {}", known, now);
                    }
                }
                let first = known.values().min().copied();
                prop_assert!(first.is_none_or(|first| due.first().is_some_and(|at| at <= first)));
                let all: Vec<_> = due.all().collect();
                prop_assert!(known.iter().all(|(id, at)| all.contains(&(*at, *id))));
            }
        }
    }

    #[test]
    fn ranks_come_in_order_and_flows_of_one_as_they_came() {
        let mut ranked = Ranked::default();
        let rank = |step| Rank { priority: 0, step };
        let tickets: Vec<Ticket> = (0..5).map(|n| ranked.insert(rank(n as u16 % 2), FlowId(9 - n))).collect();
        let ids = |ranked: &Ranked| ranked.iter().map(|(_, id)| id.0).collect::<Vec<_>>();
        assert_eq!(ids(&ranked), [9, 7, 5, 8, 6]);
        ranked.remove(rank(0), tickets[0]);
        ranked.insert(rank(0), FlowId(9));
        assert_eq!(ids(&ranked), [7, 5, 9, 8, 6]);
        for at in [1, 3] {
            ranked.remove(rank(1), tickets[at]);
        }
        ranked.remove(rank(1), tickets[1]);
        assert_eq!((ids(&ranked), ranked.by_rank.len()), (vec![7, 5, 9], 1));
    }
}
