//! Lists that are executed on a copy, or on some packets only.

use super::Walk;
use super::walk::List;
use flow::Action;
use flow::action::SubField;
use flow::dp::{Actions, DpAction, DropReason, LenSpec};

/// Whether what these actions do to the packet can be undone by setting fields back (OVS: reversible_actions).
fn reversible(list: &[Action]) -> bool {
    !list.iter().any(|a| matches!(a, Action::Ct(_) | Action::Meter(_) | Action::OutputTruncated { .. }))
}

impl<'a> Walk<'a> {
    /// Do something whose changes of the packet and the registers do not last. The datapath gets a copy only when the
    /// changes could not be undone by setting fields back.
    pub(super) fn scoped(&mut self, inner: impl FnOnce(&mut Self)) {
        let (saved, sent, start) = (self.packet.save(), self.packet.save_sent(), self.actions.len());
        self.unrolled_on_copy(inner);
        // A TTL that runs out ends the list in the datapath, which is to end the copy only.
        if self.actions.iter().skip(start).any(|a| *a == DpAction::DecTtl) {
            self.actions.truncate(self.useful.max(start));
            let list: Vec<DpAction> = self.actions.drain(start..).collect();
            self.useful = self.useful.min(start);
            if !list.is_empty() {
                self.push(DpAction::Clone(list.into()));
            }
            self.packet.restore_sent(&sent);
        }
        self.packet.restore(saved);
    }

    /// Translate into a list of its own, which the datapath executes on a copy.
    fn apart(&mut self, inner: impl FnOnce(&mut Self)) -> Actions {
        let outer = std::mem::take(&mut self.actions);
        let useful = std::mem::take(&mut self.useful);
        let (saved, sent) = (self.packet.save(), self.packet.save_sent());
        self.unrolled_on_copy(inner);
        self.packet.restore(saved);
        self.packet.restore_sent(&sent);
        let mut list = std::mem::replace(&mut self.actions, outer);
        list.truncate(std::mem::replace(&mut self.useful, useful));
        list
    }

    /// Execute on a copy. Stack and action set are copies too; what is in the action set then is executed.
    pub(super) fn clone(&mut self, list: &'a [Action], last: bool) {
        self.copied(list, last, |w, last| {
            w.run(List::Whole(list), last);
            // Coming back is for the copy.
            if w.freezing.is_some() {
                w.end();
                w.exit = false;
            }
        });
    }

    /// Execute something, of which `list` is the first to be executed, on a copy.
    pub(super) fn copied(&mut self, list: &[Action], last: bool, inner: impl FnOnce(&mut Self, bool)) {
        let (stack, set) = (self.stack.clone(), self.action_set.clone());
        self.nest(false, |w| {
            if reversible(list) || last {
                w.scoped(|w| {
                    inner(w, last);
                    w.end();
                });
            } else {
                w.packet.commit(&mut w.actions);
                let tracked = w.tracked;
                let list = w.apart(|w| {
                    inner(w, true);
                    w.end();
                });
                w.tracked = tracked;
                if !list.is_empty() {
                    w.push(DpAction::Clone(list.into_vec().into()));
                }
            }
        });
        (self.stack, self.action_set) = (stack, set);
    }

    /// The rest of the list, and the action set, for packets longer than `len` and for the others.
    pub(super) fn check_len(&mut self, len: u16, result: &SubField, rest: List<'a, '_>) {
        self.packet.commit(&mut self.actions);
        let (stack, set) = (self.stack.clone(), self.action_set.clone());
        let branch = |w: &mut Self, larger: u8| {
            (w.stack, w.action_set) = (stack.clone(), set.clone());
            let tracked = w.tracked;
            let forwarded = std::mem::replace(&mut w.forwarded, false);
            let reason = w.reason.take();
            let mut list = w.apart(|w| {
                w.nest(false, |w| {
                    w.packet.write(result, flow::Value::from(larger));
                    if let Some(table) = w.run(rest, true)
                        && w.goes_on()
                    {
                        w.resubmit(None, table, true);
                    }
                    w.end();
                });
            });
            if !w.forwarded {
                list.push(DpAction::Drop(w.reason.unwrap_or(DropReason::RuleDrop)));
            }
            (w.forwarded, w.tracked) = (forwarded, tracked);
            w.reason = reason.or(w.reason);
            list.into_vec().into()
        };
        let greater = branch(self, 1);
        let exit = std::mem::replace(&mut self.exit, false);
        let rest = branch(self, 0);
        self.exit = exit;
        self.push(DpAction::CheckLen(LenSpec { len, greater, rest }));
        // Each branch tells whether it drops, and has executed the action set.
        self.forwarded = true;
        self.stack = stack;
        self.action_set.clear();
    }
}
