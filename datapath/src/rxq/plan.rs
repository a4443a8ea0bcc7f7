//! The plan: a PMD for each receive queue.

use super::{Assign, Policy};
use flow::DpPort;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A receive queue, as assignment sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxqUse {
    pub port: DpPort,
    pub queue: u16,
    /// NUMA node of its device.
    pub numa: u32,
    /// Cycles that it took in the last minute.
    pub cycles: u64,
    /// The CPU that it is pinned to.
    pub pinned: Option<usize>,
}

/// A PMD, as assignment sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmdPlace {
    pub pmd: u32,
    /// The CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// NUMA node of that.
    pub numa: u32,
}

/// Where a queue goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub port: DpPort,
    pub queue: u16,
    /// `None`: it is not polled, since all PMDs are isolated.
    pub pmd: Option<u32>,
    /// It goes where it is pinned to.
    pub pinned: bool,
    /// It is pinned to a CPU on which no PMD runs, and was assigned like others.
    pub pin_failed: bool,
    /// Its PMD is on another NUMA node than its device.
    pub crosses_numa: bool,
}

/// A PMD for each queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of ports and queues.
    pub placements: Vec<Placement>,
    /// PMDs that poll pinned queues only.
    pub isolated: BTreeSet<u32>,
    /// Cycles of the queues of each PMD in the last minute.
    pub load: BTreeMap<u32, u64>,
}

impl Plan {
    /// The PMD of a queue.
    #[must_use]
    pub fn pmd_of(&self, port: DpPort, queue: u16) -> Option<u32> {
        self.placements.iter().find(|p| (p.port, p.queue) == (port, queue)).and_then(|p| p.pmd)
    }
}

/// A PMD while queues are assigned.
#[derive(Clone, Copy, Debug)]
struct Slot {
    pmd: u32,
    cycles: u64,
    queues: usize,
}

/// The PMDs of a NUMA node that are not isolated, by CPU, and whose turn it is.
#[derive(Debug, Default)]
struct Node {
    slots: Vec<Slot>,
    turn: usize,
    /// Turns go in reverse order.
    reverse: bool,
}

impl Node {
    /// The slot whose turn it is. With `there_and_back`, the ends have two turns in a row: 0 1 2 2 1 0 0 1 2.
    fn next(&mut self, there_and_back: bool) -> usize {
        let (at, last) = (self.turn, self.slots.len().saturating_sub(1));
        if there_and_back {
            match (self.reverse, at) {
                (false, _) if at == last => self.reverse = true,
                (true, 0) => self.reverse = false,
                (false, _) => self.turn += 1,
                (true, _) => self.turn -= 1,
            }
        } else {
            self.turn = if at == last { 0 } else { at + 1 };
        }
        at
    }

    /// The slot with the least load; for a queue without load the one with the fewest queues, so that such queues spread.
    fn least(&self, by_cycles: bool) -> usize {
        let load = |slot: &Slot| if by_cycles { slot.cycles } else { slot.queues as u64 };
        self.slots.iter().enumerate().min_by_key(|(_, slot)| load(slot)).map_or(0, |(at, _)| at)
    }
}

/// Assign all queues. Pinned queues go to the PMD of their CPU, which becomes isolated (unless the policy says otherwise); the
/// others to PMDs that are not isolated, of the NUMA node of their device when it has any, else of the nodes in turn.
#[must_use]
pub fn plan(queues: &[RxqUse], pmds: &[PmdPlace], policy: Policy) -> Plan {
    let isolate = policy.isolate || policy.assign != Assign::Group;
    let mut pmds = pmds.to_vec();
    pmds.sort_by_key(|p| (p.cpu, p.pmd));
    let mut queues: Vec<&RxqUse> = queues.iter().collect();
    queues.sort_by_key(|q| (q.port, q.queue));
    let pin = |q: &RxqUse| q.pinned.and_then(|cpu| pmds.iter().find(|p| p.cpu == Some(cpu)));

    let mut plan = Plan { load: pmds.iter().map(|p| (p.pmd, 0)).collect(), ..Plan::default() };
    let mut queues_of: BTreeMap<u32, usize> = BTreeMap::new();
    let mut waiting = Vec::new();
    for queue in queues {
        let Some(pmd) = pin(queue) else {
            waiting.push(queue);
            continue;
        };
        if isolate {
            plan.isolated.insert(pmd.pmd);
        }
        *plan.load.entry(pmd.pmd).or_default() += queue.cycles;
        *queues_of.entry(pmd.pmd).or_default() += 1;
        plan.placements.push(Placement {
            port: queue.port,
            queue: queue.queue,
            pmd: Some(pmd.pmd),
            pinned: true,
            pin_failed: false,
            crosses_numa: pmd.numa != queue.numa,
        });
    }

    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for pmd in pmds.iter().filter(|p| !plan.isolated.contains(&p.pmd)) {
        let cycles = plan.load.get(&pmd.pmd).copied().unwrap_or_default();
        let queues = queues_of.get(&pmd.pmd).copied().unwrap_or_default();
        nodes.entry(pmd.numa).or_default().slots.push(Slot { pmd: pmd.pmd, cycles, queues });
    }
    if policy.assign != Assign::RoundRobin {
        // Stable: ties stay in the order of ports and queues.
        waiting.sort_by_key(|q| Reverse(q.cycles));
    }
    let mut last_foreign = None;
    for queue in waiting {
        let home = if nodes.contains_key(&queue.numa) {
            Some(queue.numa)
        } else {
            last_foreign = next_node(&nodes, last_foreign);
            last_foreign
        };
        let slot = home.and_then(|home| nodes.get_mut(&home)).map(|node| {
            let at = match policy.assign {
                Assign::Group => node.least(queue.cycles > 0),
                Assign::Cycles => node.next(true),
                Assign::RoundRobin => node.next(false),
            };
            let slot = &mut node.slots[at];
            slot.cycles += queue.cycles;
            slot.queues += 1;
            *slot
        });
        if let Some(slot) = slot {
            *plan.load.entry(slot.pmd).or_default() += queue.cycles;
        }
        plan.placements.push(Placement {
            port: queue.port,
            queue: queue.queue,
            pmd: slot.map(|s| s.pmd),
            pinned: false,
            pin_failed: queue.pinned.is_some(),
            crosses_numa: home.is_some_and(|home| home != queue.numa),
        });
    }
    plan.placements.sort_by_key(|p| (p.port, p.queue));
    plan
}

/// The node behind `last`, in a circle.
fn next_node(nodes: &BTreeMap<u32, Node>, last: Option<u32>) -> Option<u32> {
    let behind = |n: &&u32| last.is_none_or(|last| **n > last);
    nodes.keys().find(behind).or_else(|| nodes.keys().next()).copied()
}
