//! From table to table, rule to rule, action to action.

use super::{Place, Walk};
use crate::rule::Rule;
use flow::dp::{Dep, DropReason, Effect};
use flow::{Action, OfPort};

/// Deepest nesting of resubmits to the same or an earlier table (OVS: 64).
const MAX_DEPTH: u32 = 64;
/// Deepest nesting of all: what one packet may take of a thread's stack. A chain through all tables fits.
const MAX_NESTED: u32 = MAX_DEPTH + 255;
/// Most lookups after the first (OVS: 4,096 resubmits).
const MAX_RESUBMITS: u32 = 4096;
/// Most datapath actions.
const MAX_ACTIONS: usize = 16384;

/// Actions to execute: of one rule, or chosen from several.
#[derive(Clone, Copy, Debug)]
pub(super) enum List<'a, 'l> {
    Whole(&'a [Action]),
    Chosen(&'l [&'a Action]),
}

impl<'a> List<'a, '_> {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Whole(list) => list.len(),
            List::Chosen(list) => list.len(),
        }
    }

    pub(super) fn get(&self, i: usize) -> Option<&'a Action> {
        match self {
            List::Whole(list) => list.get(i),
            List::Chosen(list) => list.get(i).copied(),
        }
    }

    /// What comes from place `i` on.
    pub(super) fn from(self, i: usize) -> Self {
        match self {
            List::Whole(list) => List::Whole(list.get(i..).unwrap_or_default()),
            List::Chosen(list) => List::Chosen(list.get(i..).unwrap_or_default()),
        }
    }
}

impl<'a> Walk<'a> {
    /// Look up in a table, execute the rule, go on where it says. `in_port` is for the first lookup only.
    pub(super) fn tables(&mut self, first: u8, in_port: Option<OfPort>, last: bool) {
        let (old_table, old_rule) = (self.table, self.rule);
        let (mut table, mut in_port) = (first, in_port);
        loop {
            self.table = table;
            let Some(rule) = self.lookup(table, in_port.take()) else { break };
            self.rule = Some(rule);
            match self.run(List::Whole(&rule.spec.actions), last) {
                Some(next) if self.goes_on() && self.spend() => table = next,
                _ => break,
            }
        }
        (self.table, self.rule) = (old_table, old_rule);
    }

    fn lookup(&mut self, table: u8, in_port: Option<OfPort>) -> Option<&'a Rule> {
        self.depend(Dep::Table(self.bridge.id, table));
        let mut key = *self.packet.key();
        if let Some(port) = in_port {
            key.in_port = u32::from(port.0).into();
        }
        let regs = self.packet.regs;
        let packet = &mut self.packet;
        let rule = self.bridge.table(table).and_then(|t| t.find(&key, &regs, |bits| packet.look(bits)));
        self.missed = rule.is_none();
        self.effects.push(match rule {
            Some(rule) => Effect::Rule(rule.id),
            None => Effect::TableMiss(self.bridge.id, table),
        });
        rule.map(|r| &**r)
    }

    /// Execute a list; the table to go on with, if it says so. `last`: nothing comes after it.
    pub(super) fn run(&mut self, list: List<'a, '_>, last: bool) -> Option<u8> {
        let mut i = 0;
        while let Some(action) = list.get(i) {
            if !self.goes_on() {
                break;
            }
            i += 1;
            if let Action::GotoTable(to) = action {
                return Some(*to);
            }
            let rest = list.from(i);
            let last = last && rest.len() == 0 && self.action_set.is_empty();
            if !self.execute(action, rest, last) {
                break;
            }
            if self.actions.len() > MAX_ACTIONS {
                self.error = Some(DropReason::ResubmitLimit);
            }
        }
        None
    }

    /// Whether anything more is to be done.
    pub(super) fn goes_on(&self) -> bool {
        self.error.is_none() && !self.exit
    }

    /// Pay for one more lookup.
    pub(super) fn spend(&mut self) -> bool {
        self.resubmits += 1;
        if self.resubmits > MAX_RESUBMITS {
            self.error = Some(DropReason::ResubmitLimit);
        }
        self.error.is_none()
    }

    /// Do something that leads to more lookups, within bounds. `deeper`: it may come here again without end.
    pub(super) fn nest(&mut self, deeper: bool, inner: impl FnOnce(&mut Self)) {
        if self.nested >= MAX_NESTED || self.depth >= MAX_DEPTH {
            self.error = Some(DropReason::ResubmitLimit);
            return;
        }
        self.nested += 1;
        self.depth += u32::from(deeper);
        inner(self);
        self.nested -= 1;
        self.depth -= u32::from(deeper);
    }

    pub(super) fn resubmit(&mut self, port: Option<OfPort>, table: u8, last: bool) {
        if self.spend() {
            let deeper = table <= self.table;
            // IN_PORT means the port that it is in already.
            let port = port.filter(|p| *p != OfPort::IN_PORT);
            self.nest(deeper, |w| {
                let place = w.place;
                if place == Place::Bucket {
                    w.place = Place::Rule;
                }
                w.tables(table, port, last);
                w.place = place;
            });
        }
    }
}
