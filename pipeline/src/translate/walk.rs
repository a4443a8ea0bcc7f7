//! From table to table, rule to rule, action to action.

use super::{Place, Walk};
use crate::rule::Rule;
use crate::trace::TraceStep;
use flow::dp::{Dep, DropReason, Effect};
use flow::field::Prereq;
use flow::key::frag;
use flow::{Action, FieldId, FlowKey, OfPort};

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
        let (table, rule, within) = (self.table, self.rule, self.within());
        self.table = first;
        if let Some(found) = self.lookup(first, in_port) {
            self.follow(found, last);
        }
        (self.table, self.rule) = (table, rule);
        self.leave(within);
    }

    /// Execute a rule, look up where it says, and so on.
    pub(super) fn follow(&mut self, rule: &'a Rule, last: bool) {
        let mut rule = rule;
        loop {
            self.rule = Some(rule);
            let Some(next) = self.run(List::Whole(&rule.spec.actions), last) else { return };
            if !self.goes_on() || !self.spend() {
                return;
            }
            self.table = next;
            match self.lookup(next, None) {
                Some(found) => rule = found,
                None => return,
            }
        }
    }

    pub(super) fn lookup(&mut self, table: u8, in_port: Option<OfPort>) -> Option<&'a Rule> {
        self.depend(Dep::Table(self.bridge.id, table));
        let original = std::mem::take(&mut self.original);
        let packet = &mut self.packet;
        let fragment = Prereq::Ip.holds(packet.key()) && packet.key().nw_frag & frag::ANY != 0;
        if original || fragment || in_port.is_some() || packet.is_written() {
            let written = self.written.get_or_insert_default();
            packet.add_written(written);
            written.0.in_port = if in_port.is_some() { u32::MAX } else { written.0.in_port.get() }.into();
            if original {
                ORIGINAL.iter().for_each(|(field, _)| written.require(*field));
            }
            if fragment {
                written.require(FieldId::TcpSrc);
                written.require(FieldId::TcpDst);
            }
        }
        let rule = match self.bridge.table(table) {
            Some(t) if original || fragment || in_port.is_some() => {
                let (mut key, regs) = (*packet.key(), packet.regs);
                if let Some(port) = in_port {
                    key.in_port = u32::from(port.0).into();
                }
                if original {
                    exchange(&mut key);
                }
                if fragment {
                    hide_ports(&mut key);
                }
                t.find(&key, &regs, |bits| {
                    let mut bits = *bits;
                    if fragment {
                        hide_ports(&mut bits.0);
                    }
                    if original {
                        exchange(&mut bits.0);
                    }
                    packet.look(&bits);
                })
            }
            Some(t) => packet.find(t),
            None => None,
        };
        self.missed = rule.is_none();
        self.effects.push(match rule {
            Some(rule) => Effect::Rule(rule.id),
            None => Effect::TableMiss(self.bridge.id, table),
        });
        let rule = rule.map(|r| &**r);
        if self.env.first.is_some()
            && let Some(rule) = rule
        {
            rule.counters.prefetch();
            self.counters.push(&rule.counters);
        }
        if self.trace.is_some() {
            self.note_table(table, rule);
        }
        rule
    }

    /// Execute a list; the table to go on with, if it says so. `last`: nothing comes after it.
    pub(super) fn run(&mut self, list: List<'a, '_>, last: bool) -> Option<u8> {
        if self.trace.is_some() && list.len() == 0 {
            self.note(|_| TraceStep::Action("drop".to_owned()));
        }
        let mut i = 0;
        while let Some(action) = list.get(i) {
            if !self.goes_on() {
                break;
            }
            i += 1;
            if self.trace.is_some() {
                self.note_action(action);
            }
            if let Action::GotoTable(to) = action {
                return Some(*to);
            }
            let rest = list.from(i);
            let last = last && rest.len() == 0 && self.action_set.is_empty();
            if self.mirrored != 0 {
                self.mirror_again(action);
            }
            if !self.execute(action, rest, last) {
                break;
            }
            if self.actions.len() > MAX_ACTIONS {
                self.error = Some(DropReason::ResubmitLimit);
            }
            if self.freezing.is_some() {
                self.keep(list, i);
                break;
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
            self.note(|_| TraceStep::Error(format!("over {MAX_RESUBMITS} resubmit actions")));
        }
        self.error.is_none()
    }

    /// Do something that leads to more lookups, within bounds. `deeper`: it may come here again without end.
    pub(super) fn nest(&mut self, deeper: bool, inner: impl FnOnce(&mut Self)) {
        if self.nested >= MAX_NESTED || self.depth >= MAX_DEPTH {
            self.error = Some(DropReason::ResubmitLimit);
            self.note(|_| TraceStep::Error(format!("over max translation depth {MAX_DEPTH}")));
            return;
        }
        self.nested += 1;
        self.depth += u32::from(deeper);
        inner(self);
        self.unrolled_within();
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

/// Fields of a packet and where the original direction of its connection has them.
const ORIGINAL: [(FieldId, FieldId); 7] = [
    (FieldId::IpProto, FieldId::CtNwProto),
    (FieldId::Ipv4Src, FieldId::CtNwSrc),
    (FieldId::Ipv4Dst, FieldId::CtNwDst),
    (FieldId::Ipv6Src, FieldId::CtIpv6Src),
    (FieldId::Ipv6Dst, FieldId::CtIpv6Dst),
    (FieldId::TcpSrc, FieldId::CtTpSrc),
    (FieldId::TcpDst, FieldId::CtTpDst),
];

/// Exchange both halves of each pair.
fn exchange(key: &mut FlowKey) {
    for (a, b) in ORIGINAL {
        if let (Some(x), Some(y)) = (key.get(a), key.get(b)) {
            key.set(a, y);
            key.set(b, x);
        }
    }
}

impl<'a> Walk<'a> {
    /// As [`Walk::resubmit`], with addresses and ports of the connection's original direction; nothing when the packet is not a
    /// tracked one.
    pub(super) fn resubmit_ct(&mut self, port: Option<OfPort>, table: u8, last: bool) {
        if !self.packet.has(Prereq::Ip) {
            return;
        }
        self.packet.look_at(FieldId::CtNwProto);
        if self.packet.key().ct_nw_proto != 0 {
            self.original = true;
            self.resubmit(port, table, last);
            self.original = false;
        }
    }
}

/// Rules see no ports in fragments, not even in the first (OVS: ovs-ofctl(8), `get-frags` normal).
fn hide_ports(key: &mut FlowKey) {
    (key.tp_src, key.tp_dst) = (0.into(), 0.into());
}
