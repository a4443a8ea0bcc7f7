//! The action set of OpenFlow 1.1 and later: written along the pipeline, executed at its end.

use super::walk::List;
use super::{Place, Walk};
use crate::trace::TraceStep;
use flow::{Action, OfPort};
use smallvec::SmallVec;

/// What is executed of an action set, in order.
pub(super) type Chosen<'a> = SmallVec<[&'a Action; 8]>;

/// Where an action of a set is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Once, the last of its sort: before the sets, in this order.
    Once(usize),
    /// Each of them, in the order in which they were written.
    Set,
    /// Only the last of those with the highest number; last of all. Without one, nothing is executed.
    Final(u8),
    /// Cannot be in an action set.
    Never,
}

fn class(action: &Action) -> Class {
    match action {
        Action::PopVlan => Class::Once(0),
        Action::PushVlan(_) => Class::Once(1),
        Action::DecTtl | Action::DecTtlControllers(_) => Class::Once(2),
        Action::SetField { .. }
        | Action::Load { .. }
        | Action::Move { .. }
        | Action::SetNwTtl(_)
        | Action::SetTunnel(_)
        | Action::SetQueue(_)
        | Action::ModVlanVid(_)
        | Action::ModVlanPcp(_) => Class::Set,
        Action::Ct(_) => Class::Final(0),
        Action::CtClear => Class::Final(1),
        Action::Resubmit { .. } => Class::Final(2),
        Action::Output(_) => Class::Final(3),
        Action::Group(_) => Class::Final(4),
        _ => Class::Never,
    }
}

/// Whether an action can be in an action set (or a group's bucket, which is one).
pub(crate) fn allowed(action: &Action) -> bool {
    class(action) != Class::Never
}

/// What is executed of a set, in the order of OpenFlow 1.3, section 5.10: a group rather than an output, and only
/// the last of each sort, but all sets.
pub(super) fn in_order<'a>(set: impl Iterator<Item = &'a Action>) -> Chosen<'a> {
    let (mut once, mut sets, mut end) = ([None; 3], Chosen::new(), None);
    for action in set {
        match class(action) {
            Class::Once(i) => once[i] = Some(action),
            Class::Set => sets.push(action),
            Class::Final(rank) if end.is_none_or(|(_, had)| rank >= had) => end = Some((action, rank)),
            Class::Final(_) | Class::Never => {}
        }
    }
    let Some((end, _)) = end else { return Chosen::new() };
    let mut out: Chosen<'a> = once.into_iter().flatten().collect();
    out.extend(sets);
    out.push(end);
    out
}

impl<'a> Walk<'a> {
    pub(super) fn clear_actions(&mut self) {
        self.action_set.clear();
        self.detail(|_| "action set is empty".to_owned());
        self.packet.regs.actset_output = u32::from(OfPort::UNSET.0).into();
    }

    pub(super) fn write_actions(&mut self, list: &'a [Action]) {
        self.action_set.extend(list);
        self.note_output();
        self.detail(|w| match in_order(w.action_set.iter().copied()) {
            list if list.is_empty() => "action set is empty".to_owned(),
            list => {
                let list: Vec<Action> = list.into_iter().cloned().collect();
                format!("action set is: {}", flow::text::format_actions(&list))
            }
        });
    }

    /// `actset_output` is where the action set would send to: no port when it has a group.
    pub(super) fn note_output(&mut self) {
        let mut port = OfPort::UNSET;
        for action in &self.action_set {
            match action {
                Action::Output(to) => port = *to,
                Action::Group(_) => {
                    port = OfPort::UNSET;
                    break;
                }
                _ => {}
            }
        }
        self.packet.regs.actset_output = u32::from(port.0).into();
    }

    /// The end of the pipeline, or of a copy's: execute the action set, unless the packet comes back for it.
    pub(super) fn end(&mut self) {
        if self.goes_on() && !self.action_set.is_empty() {
            let set = std::mem::take(&mut self.action_set);
            let list = in_order(set.iter().copied());
            if !list.is_empty() {
                let within = self.enter(|_| TraceStep::ActionSet);
                self.execute_set(&list, Place::ActionSet, true);
                self.leave(within);
                if !self.action_set.is_empty() {
                    // Written meanwhile: a packet that came back executes it.
                    self.unrolled_error();
                }
                // Coming back is for the copy whose set it is.
                self.exit &= self.freezing.is_none();
            }
        }
        self.finish_freezing();
    }

    /// Execute what [`in_order`] chose.
    pub(super) fn execute_set(&mut self, list: &[&'a Action], place: Place, last: bool) {
        let place = std::mem::replace(&mut self.place, place);
        self.run(List::Chosen(list), last);
        self.place = place;
    }
}
