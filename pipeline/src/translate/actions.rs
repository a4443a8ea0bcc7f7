//! What each action does.

use super::Walk;
use super::walk::List;
use crate::rule::Rule;
use crate::trace::TraceStep;
use flow::action::{Controller, PacketInReason, SubField};
use flow::dp::{Dep, DpAction, DropReason, MeterId, PuntReason};
use flow::field::Prereq;
use flow::{Action, FieldId, Value};

/// Deepest stack (OVS: 64 KiB of values).
const MAX_STACK: usize = 4096;

impl<'a> Walk<'a> {
    /// Execute one action; `rest` comes after it in its list. `false`: that is not to be executed.
    pub(super) fn execute(&mut self, action: &'a Action, rest: List<'a, '_>, last: bool) -> bool {
        match action {
            Action::Output(port) => self.output(*port, last),
            Action::OutputField { port, max_len } => self.output_field(port, *max_len, last),
            Action::OutputTruncated { port, max_len } => self.output_truncated(*port, *max_len, last),
            Action::Enqueue { port, queue } => self.enqueue(*port, *queue, last),
            Action::Controller(controller) => self.controller(controller),
            Action::Meter(id) => self.meter(*id),
            Action::SetField { .. }
            | Action::Load { .. }
            | Action::SetNwTtl(_)
            | Action::SetTunnel(_)
            | Action::WriteMetadata { .. } => {
                if let Some((field, value, mask)) = action.as_set() {
                    self.packet.set(field, value, mask);
                }
            }
            Action::ModVlanVid(vid) => self.mod_vlan(*vid, 0x0fff),
            Action::ModVlanPcp(pcp) => self.mod_vlan(u16::from(*pcp) << 13, 0xe000),
            Action::PushVlan(tpid) => {
                if !self.packet.push_tag(*tpid) {
                    self.error = Some(DropReason::VlanTooDeep);
                }
            }
            Action::PopVlan => self.packet.pop_tag(),
            Action::DecTtl => self.packet.dec_ttl(&mut self.actions),
            Action::DecTtlControllers(ids) => return self.dec_ttl(ids),
            Action::Move { from, to } => self.copy(from, to),
            Action::SetQueue(queue) => {
                self.packet.set(FieldId::SkbPriority, Value::from(*queue), FieldId::SkbPriority.def().ones());
            }
            Action::PopQueue => self.packet.unset(FieldId::SkbPriority),
            Action::Push(from) => {
                let value = self.packet.read(from);
                if self.stack.len() < MAX_STACK {
                    self.stack.push(value);
                } else {
                    self.error = Some(DropReason::ResubmitLimit);
                }
            }
            Action::Pop(to) => match self.stack.pop() {
                Some(value) => {
                    self.packet.write(to, value);
                }
                None => self.note(|_| TraceStep::Error("stack underflow".to_owned())),
            },
            Action::Resubmit { port, table, ct: false } => self.resubmit(*port, table.unwrap_or(self.table), last),
            Action::Resubmit { port, table, ct: true } => self.resubmit_ct(*port, table.unwrap_or(self.table), last),
            Action::Clone(list) => self.clone(list, last),
            // A conjunction is the lookup's business.
            Action::Note(_) | Action::Conjunction { .. } => {}
            Action::Exit => self.exit = true,
            Action::CheckPktLarger { len, result } => {
                self.check_len(*len, result, rest);
                return false;
            }
            Action::ClearActions => self.clear_actions(),
            Action::WriteActions(list) => self.write_actions(list),
            Action::GotoTable(_) => {}
            // Samples are for collectors, and there are none.
            Action::Sample(_) => {}
            Action::Group(id) => return self.group(*id, last),
            Action::Learn(learn) => self.learn(learn),
            Action::Bundle(bundle) => self.bundle(bundle, last),
            Action::Ct(ct) => self.ct(ct),
            Action::CtClear => self.ct_clear(),
        }
        true
    }

    fn mod_vlan(&mut self, value: u16, mask: u16) {
        if self.packet.has_tag() || self.packet.push_tag(0x8100) {
            self.packet.write_tag(value, mask);
        }
    }

    /// Copy bits between fields that the packet has.
    fn copy(&mut self, from: &SubField, to: &SubField) {
        if self.packet.has(to.field.def().prereq) && self.packet.has(from.field.def().prereq) {
            // Looked at here, so that what matches the copy later does not depend on where it is from.
            let value = self.packet.read(from);
            self.packet.write(to, value);
            self.detail(|w| {
                let now = to.read(w.packet.key(), &w.packet.regs).0;
                if *to == SubField::whole(to.field) {
                    let text = flow::text::field_value(to.field, Value(now), to.field.def().ones());
                    format!("{}[] is now {text}", to.field)
                } else {
                    format!("{}[{}..{}] is now {now:#x}", to.field, to.first, to.first + to.bits - 1)
                }
            });
        }
    }

    /// Decrement the TTL; one that runs out is for controllers. `false`: it has.
    fn dec_ttl(&mut self, controllers: &[u16]) -> bool {
        if !self.packet.has(Prereq::Ip) {
            return true;
        }
        if self.packet.ttl_lasts() {
            self.packet.dec_ttl(&mut self.actions);
            return true;
        }
        for id in controllers {
            self.punt(u16::MAX, PacketInReason::InvalidTtl, *id);
        }
        self.explain(DropReason::TtlExpired);
        false
    }

    fn controller(&mut self, to: &Controller) {
        let reason = self.punt_reason(to.reason);
        match to.meter.and_then(|id| self.meter_of(id)) {
            // The meter is for what is sent to the controller only.
            Some(meter) => {
                self.packet.commit(&mut self.actions);
                let punt = PuntReason::Controller { max_len: to.max_len, reason, id: to.id };
                self.push(DpAction::Clone([DpAction::Meter(meter), DpAction::Punt(punt)].into()));
                self.forwarded = true;
            }
            None => self.punt(to.max_len, reason, to.id),
        }
    }

    /// An action of a table-miss rule sends because there was no match (OpenFlow 1.3, section 5.4).
    pub(super) fn punt_reason(&self, reason: PacketInReason) -> PacketInReason {
        let table_miss = |r: &Rule| r.spec.priority == 0 && r.spec.matching.is_any();
        let missed = reason == PacketInReason::Action && self.rule.is_some_and(table_miss);
        if missed { PacketInReason::NoMatch } else { reason }
    }

    /// An OpenFlow meter stands for one of the datapath; nothing when there is none.
    fn meter(&mut self, id: u32) {
        if let Some(meter) = self.meter_of(id) {
            self.push(DpAction::Meter(meter));
        }
    }

    fn meter_of(&mut self, id: u32) -> Option<MeterId> {
        self.depend(Dep::Meter(self.bridge.id, id));
        self.bridge.meters.get(&id).map(|m| m.id)
    }
}
