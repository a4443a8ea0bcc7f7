//! What must come of a frame: a linear reading of the rules ([`Model`]), rule by rule, without masks, caches and batches.

use crate::changes::Change;
use crate::rig::{ENDS, PORTS};
use crate::traffic::{Leaving, Sent};
use flow::clock::Time;
use flow::rule::RuleSpec;
use flow::{Action, DpPort};
use pipeline::testing::{Model, Outcome, TestPort};
use std::collections::HashMap;
use std::time::Duration;

/// How long an address that is silent is remembered (the pipeline's default).
const AGEING: Duration = Duration::from_secs(300);
/// The model's port for controllers.
const CONTROLLER: DpPort = DpPort(u32::MAX);

/// VLAN and address.
pub type Station = (u16, [u8; 6]);

/// A state of the switch.
#[derive(Clone, Debug)]
pub struct Reference {
    pub model: Model,
    /// All ports, those that are unplugged too.
    ports: [TestPort; ENDS],
    seen: HashMap<Station, Time>,
    /// Cookies of rules that meter.
    pub metering: Vec<u64>,
}

/// Rules without their meters, which never limit.
fn without_meter(actions: &[Action]) -> Vec<Action> {
    actions.iter().filter(|action| !matches!(action, Action::Meter(_))).cloned().collect()
}

fn meters(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Meter(_)))
}

impl Reference {
    /// A switch with these ports and rules.
    pub fn new(ports: &[TestPort], rules: &[RuleSpec], groups: &[flow::group::GroupSpec]) -> Reference {
        let model = Model { ports: ports.to_vec(), groups: groups.to_vec(), ..Model::default() };
        let ports = std::array::from_fn(|place| ports[place].clone());
        let mut this = Reference { model, ports, seen: HashMap::new(), metering: Vec::new() };
        rules.iter().for_each(|rule| this.add(rule));
        this
    }

    fn add(&mut self, rule: &RuleSpec) {
        if meters(&rule.actions) {
            self.metering.push(rule.cookie);
        }
        self.model.rules.push(RuleSpec { actions: without_meter(&rule.actions), ..rule.clone() });
    }

    /// The same change as the switch's.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Add(rule) => self.add(rule),
            Change::Delete(rule) => {
                self.model.rules.retain(|r| r.cookie != rule.cookie);
                self.metering.retain(|cookie| *cookie != rule.cookie);
            }
            Change::Modify(rule, actions) => {
                let of = self.model.rules.iter_mut().find(|r| r.cookie == rule.cookie).unwrap();
                of.actions = without_meter(actions);
                self.metering.retain(|cookie| *cookie != rule.cookie);
                if meters(actions) {
                    self.metering.push(rule.cookie);
                }
            }
            Change::Group(group) => {
                let of = self.model.groups.iter_mut().find(|g| g.id == group.id).unwrap();
                of.clone_from(group);
            }
            Change::Up(place, up) => {
                self.ports[*place].up = *up;
                self.show_port(*place);
            }
            Change::Vlan(place, mode) => {
                if std::mem::replace(&mut self.ports[*place].vlan, mode.clone()) != *mode {
                    self.forget(*place);
                }
                self.show_port(*place);
            }
            Change::Forget => self.model.fdb.clear(),
            Change::Unplug(place) => {
                self.model.ports.retain(|p| p.number != PORTS[*place]);
                self.forget(*place);
            }
            Change::Plug(place) => {
                self.model.ports.push(self.ports[*place].clone());
                self.model.ports.sort_by_key(|p| p.number.0);
            }
            Change::Meter { .. } | Change::Offload(_) | Change::Rebalance => {}
        }
    }

    fn show_port(&mut self, place: usize) {
        if let Some(port) = self.model.ports.iter_mut().find(|p| p.number == PORTS[place]) {
            port.clone_from(&self.ports[place]);
        }
    }

    fn forget(&mut self, place: usize) {
        let gone = self.ports[place].dp();
        self.model.fdb.retain(|_, port| *port != gone);
    }

    /// Let go of addresses that were silent for too long.
    pub fn age(&mut self, now: Time) {
        let seen = &self.seen;
        self.model.fdb.retain(|station, _| now.since(seen[station]) < AGEING);
    }

    /// What a frame does by this state. Nothing is learned.
    pub fn read(&self, sent: &Sent) -> Outcome {
        self.model.run(PORTS[sent.place], &sent.key)
    }

    /// Learn what a frame taught.
    pub fn learn(&mut self, outcome: &Outcome, now: Time) {
        for (vlan, mac, port) in &outcome.learned {
            self.model.fdb.insert((*vlan, *mac), *port);
            self.seen.insert((*vlan, *mac), now);
        }
    }

    /// What helps to see why a frame is wrong.
    pub fn circumstances(&self, outcome: &Outcome) -> String {
        let met = |(table, cookie): &(u8, Option<u64>)| {
            let rule = self.model.rules.iter().find(|r| Some(r.cookie) == *cookie && r.table == *table);
            format!("table {table}: {}", rule.map_or("no rule".to_owned(), flow::text::format_rule))
        };
        let rules: Vec<String> = outcome.hits.iter().map(met).collect();
        format!("rules: {rules:#?}\naddresses: {:?}", self.model.fdb)
    }

    /// What leaves, in order, and how many copies go to controllers.
    pub fn leaving(sent: &Sent, outcome: &Outcome) -> (Vec<Leaving>, u64) {
        let outside = |sent: &&(DpPort, flow::FlowKey)| sent.0 != CONTROLLER;
        let mut out: Vec<Leaving> =
            outcome.sent.iter().filter(outside).map(|(port, key)| sent.leaving(*port, key)).collect();
        out.sort_unstable();
        let punted = outcome.sent.len() - out.len();
        (out, punted as u64)
    }
}
