//! A flow's actions prepared for execution: who may have the packet itself, who shares its bytes, who needs a copy.
//!
//! The last step that uses the packet gets the packet. An output before it gets a second header on the same bytes, unless a
//! later step of the list changes bytes: then it gets bytes of its own. This is known from the list alone, so no packet pays
//! for finding out.

use flow::DpPort;
use flow::dp::{DpAction, DropReason, PuntReason};

/// What an output or a nested list gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The packet: nothing after needs it.
    Move,
    /// The same bytes under another header: nothing after changes them.
    Share,
    /// Bytes of its own.
    Copy,
}

/// One step of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Output {
        port: DpPort,
        max_len: u16,
        how: Handover,
    },
    /// `Set`, `DecTtl`, `PushVlan` or `PopVlan`.
    Rewrite(DpAction),
    Nested {
        steps: Box<[Step]>,
        how: Handover,
    },
    Drop(DropReason),
}

/// What flows execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    steps: Box<[Step]>,
    /// The only step is an output of the whole packet to this port.
    single: Option<DpPort>,
}

impl Program {
    pub(crate) fn new(actions: &[DpAction]) -> Program {
        let steps = compile(actions);
        let single = match *steps {
            [Step::Output { port, max_len: u16::MAX, .. }] => Some(port),
            _ => None,
        };
        Program { steps, single }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The port, when all that the program does is to send the packet there.
    #[inline]
    pub(crate) fn single_output(&self) -> Option<DpPort> {
        self.single
    }
}

fn compile(actions: &[DpAction]) -> Box<[Step]> {
    let mut steps = Vec::with_capacity(actions.len());
    let mut max_len = u16::MAX;
    for action in actions {
        let step = match action {
            DpAction::Output(port) => {
                Step::Output { port: *port, max_len: std::mem::replace(&mut max_len, u16::MAX), how: Handover::Copy }
            }
            DpAction::Truncate(len) => {
                max_len = *len;
                continue;
            }
            DpAction::Set { .. } | DpAction::DecTtl | DpAction::PushVlan(_) | DpAction::PopVlan => {
                Step::Rewrite(action.clone())
            }
            DpAction::Clone(list) => Step::Nested { steps: compile(list), how: Handover::Copy },
            DpAction::Drop(reason) => Step::Drop(*reason),
            DpAction::Punt(PuntReason::Controller { .. }) => Step::Drop(DropReason::NoController),
            DpAction::Punt(PuntReason::Reserved) => Step::Drop(DropReason::Reserved),
            DpAction::Meter(_)
            | DpAction::Hash(_)
            | DpAction::Ct(_)
            | DpAction::CtClear
            | DpAction::TunnelPush(_)
            | DpAction::TunnelPop(_)
            | DpAction::Recirc(_)
            | DpAction::Sample(_)
            | DpAction::CheckLen(_) => Step::Drop(DropReason::Unsupported),
        };
        let last = matches!(step, Step::Drop(DropReason::Unsupported))
            || matches!(step, Step::Drop(_)) && matches!(action, DpAction::Drop(_));
        steps.push(step);
        if last {
            break;
        }
    }
    hand_over(&mut steps);
    steps.into_boxed_slice()
}

/// Decide from the end who gets what.
fn hand_over(steps: &mut Vec<Step>) {
    // Changes that nobody sees need not be made. A TTL that runs out is seen: it is a drop.
    while matches!(steps.last(), Some(Step::Rewrite(action)) if !matches!(action, DpAction::DecTtl)) {
        steps.pop();
    }
    let mut used_later = false;
    let mut changed_later = false;
    for step in steps.iter_mut().rev() {
        let changes = changes_bytes(step);
        match step {
            Step::Output { how, .. } => *how = choose(used_later, changed_later),
            // What a nested list changes must not show in the packet, if that is used later.
            Step::Nested { how, .. } => *how = choose(used_later, used_later && changes || changed_later),
            Step::Rewrite(_) | Step::Drop(_) => {}
        }
        changed_later |= changes;
        used_later |= !matches!(step, Step::Drop(_));
    }
}

fn choose(used_later: bool, changed: bool) -> Handover {
    match (used_later, changed) {
        (false, _) => Handover::Move,
        (true, false) => Handover::Share,
        (true, true) => Handover::Copy,
    }
}

fn changes_bytes(step: &Step) -> bool {
    match step {
        Step::Rewrite(_) => true,
        Step::Nested { steps, .. } => steps.iter().any(changes_bytes),
        Step::Output { .. } | Step::Drop(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Handover::{Copy, Move, Share};
    use flow::action::PacketInReason;

    fn out(port: u32) -> DpAction {
        DpAction::Output(DpPort(port))
    }

    fn handovers(actions: &[DpAction]) -> Vec<Handover> {
        Program::new(actions)
            .steps()
            .iter()
            .filter_map(|step| match step {
                Step::Output { how, .. } | Step::Nested { how, .. } => Some(*how),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn only_outputs_before_a_change_get_bytes_of_their_own() {
        assert_eq!(handovers(&[out(1)]), [Move]);
        assert_eq!(handovers(&[out(1), out(2), out(3)]), [Share, Share, Move]);
        assert_eq!(handovers(&[out(1), DpAction::DecTtl, out(2), out(3)]), [Copy, Share, Move]);
        assert_eq!(handovers(&[out(1), DpAction::PopVlan]), [Move]);
        let clone = DpAction::Clone(Box::new([DpAction::PopVlan, out(2)]));
        assert_eq!(handovers(&[out(1), clone.clone(), out(3)]), [Copy, Copy, Move]);
        assert_eq!(handovers(&[out(1), clone]), [Copy, Move]);
        let quiet = DpAction::Clone(Box::new([out(2)]));
        assert_eq!(handovers(&[quiet, out(3)]), [Share, Move]);
    }

    #[test]
    fn an_unsupported_action_ends_the_list_and_a_punt_does_not() {
        let steps = Program::new(&[out(1), DpAction::Recirc(flow::dp::RecircId(1)), out(2)]);
        assert_eq!(steps.steps().len(), 2);
        assert_eq!(steps.steps()[1], Step::Drop(DropReason::Unsupported));
        let punt = DpAction::Punt(PuntReason::Controller { max_len: 64, reason: PacketInReason::Action, id: 0 });
        assert_eq!(Program::new(&[punt, out(2)]).steps().len(), 2);
    }

    #[test]
    fn a_whole_packet_to_one_port_is_known() {
        assert_eq!(Program::new(&[out(7)]).single_output(), Some(DpPort(7)));
        assert_eq!(Program::new(&[DpAction::Truncate(9), out(7)]).single_output(), None);
        assert_eq!(Program::new(&[DpAction::DecTtl, out(7)]).single_output(), None);
    }
}
