//! A flow's actions prepared for execution: who may have the packet itself, who shares its bytes, who needs a copy.
//!
//! The last step that uses the packet gets the packet. An output before it gets a second header on the same bytes, unless a
//! later step of the list changes bytes: then it gets bytes of its own. This is known from the list alone, so no packet pays
//! for finding out.

use flow::dp::{DpAction, DropReason, HashSpec, MeterId, PuntReason, RecircId};
use flow::{DpPort, FieldId, Value};

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

/// Steps on a copy: what they change does not show in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nested {
    pub(crate) steps: Box<[Step]>,
    pub(crate) how: Handover,
}

/// One step of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Output {
        port: DpPort,
        max_len: u16,
        how: Handover,
    },
    /// `Set` of a field in the bytes, `DecTtl`, `PushVlan` or `PopVlan`.
    Rewrite(DpAction),
    /// `Set` of a field beside the bytes: what a later pass will find in its key.
    SetMetadata {
        field: FieldId,
        value: Value,
        mask: Value,
    },
    Hash(HashSpec),
    /// Forget the connection.
    CtClear,
    Meter(MeterId),
    Recirc {
        id: RecircId,
        how: Handover,
    },
    Nested(Nested),
    Sample {
        probability: u32,
        actions: Nested,
    },
    CheckLen {
        len: u16,
        greater: Nested,
        rest: Nested,
    },
    Punt {
        reason: PuntReason,
        max_len: u16,
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
    needs_metadata: bool,
}

impl Program {
    pub(crate) fn new(actions: &[DpAction]) -> Program {
        let steps = compile(actions);
        let single = match *steps {
            [Step::Output { port, max_len: u16::MAX, .. }] => Some(port),
            _ => None,
        };
        let needs_metadata = steps.iter().any(needs_metadata);
        Program { steps, single, needs_metadata }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The port, when all that the program does is to send the packet there.
    #[inline]
    pub(crate) fn single_output(&self) -> Option<DpPort> {
        self.single
    }

    /// Whether somebody after it is told what is known of the packet beside its bytes: another pass, or a controller. Else
    /// nobody keeps it.
    #[inline]
    pub(crate) fn needs_metadata(&self) -> bool {
        self.needs_metadata
    }
}

fn compile(actions: &[DpAction]) -> Box<[Step]> {
    let mut steps = Vec::with_capacity(actions.len());
    let mut max_len = u16::MAX;
    // Decided when the whole list is known.
    let how = Handover::Copy;
    let nested = |actions: &[DpAction]| Nested { steps: compile(actions), how };
    for action in actions {
        let step = match action {
            DpAction::Output(port) => {
                Step::Output { port: *port, max_len: std::mem::replace(&mut max_len, u16::MAX), how }
            }
            DpAction::Truncate(len) => {
                max_len = *len;
                continue;
            }
            DpAction::Set { field, value, mask } if field.def().is_metadata() => {
                Step::SetMetadata { field: *field, value: *value, mask: *mask }
            }
            DpAction::Set { .. } | DpAction::DecTtl | DpAction::PushVlan(_) | DpAction::PopVlan => {
                Step::Rewrite(action.clone())
            }
            DpAction::Hash(spec) => Step::Hash(*spec),
            DpAction::CtClear => Step::CtClear,
            DpAction::Meter(id) => Step::Meter(*id),
            DpAction::Recirc(id) => Step::Recirc { id: *id, how },
            DpAction::Clone(list) => Step::Nested(nested(list)),
            DpAction::Sample(sample) => {
                Step::Sample { probability: sample.probability, actions: nested(&sample.actions) }
            }
            DpAction::CheckLen(check) => {
                Step::CheckLen { len: check.len, greater: nested(&check.greater), rest: nested(&check.rest) }
            }
            DpAction::Punt(reason @ PuntReason::Controller { max_len, .. }) => {
                Step::Punt { reason: *reason, max_len: *max_len, how }
            }
            DpAction::Punt(PuntReason::Reserved) => Step::Drop(DropReason::Reserved),
            DpAction::Drop(reason) => Step::Drop(*reason),
            DpAction::Ct(_) | DpAction::TunnelPush(_) | DpAction::TunnelPop(_) => Step::Drop(DropReason::Unsupported),
        };
        let last = matches!(step, Step::Drop(DropReason::Unsupported)) || matches!(action, DpAction::Drop(_));
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
    while steps.last().is_some_and(is_unseen_at_end) {
        steps.pop();
    }
    let mut used_later = false;
    let mut changed_later = false;
    for step in steps.iter_mut().rev() {
        let changes = changes_bytes(step);
        // What a nested list changes must not show in the packet, if that is used later. What a later pass or a meter may
        // change is not known here: whoever changes shared bytes copies them first.
        let inner = choose(used_later, used_later && changes || changed_later);
        let outer = choose(used_later, changed_later);
        match step {
            Step::Output { how, .. } | Step::Punt { how, .. } | Step::Recirc { how, .. } => *how = outer,
            Step::Nested(nested) | Step::Sample { actions: nested, .. } => nested.how = inner,
            Step::CheckLen { greater, rest, .. } => (greater.how, rest.how) = (inner, inner),
            Step::Rewrite(_)
            | Step::SetMetadata { .. }
            | Step::Hash(_)
            | Step::CtClear
            | Step::Meter(_)
            | Step::Drop(_) => {}
        }
        changed_later |= changes;
        used_later |= !matches!(step, Step::Drop(_) | Step::SetMetadata { .. } | Step::CtClear);
    }
}

fn choose(used_later: bool, changed: bool) -> Handover {
    match (used_later, changed) {
        (false, _) => Handover::Move,
        (true, false) => Handover::Share,
        (true, true) => Handover::Copy,
    }
}

fn is_unseen_at_end(step: &Step) -> bool {
    match step {
        Step::Rewrite(action) => !matches!(action, DpAction::DecTtl),
        Step::SetMetadata { .. } | Step::Hash(_) | Step::CtClear => true,
        _ => false,
    }
}

fn any_nested(step: &Step, which: fn(&Step) -> bool) -> bool {
    match step {
        Step::Nested(nested) | Step::Sample { actions: nested, .. } => nested.steps.iter().any(which),
        Step::CheckLen { greater, rest, .. } => greater.steps.iter().chain(&*rest.steps).any(which),
        _ => false,
    }
}

fn changes_bytes(step: &Step) -> bool {
    matches!(step, Step::Rewrite(_)) || any_nested(step, changes_bytes)
}

fn needs_metadata(step: &Step) -> bool {
    matches!(step, Step::Recirc { .. } | Step::Punt { .. }) || any_nested(step, needs_metadata)
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
                Step::Output { how, .. } | Step::Recirc { how, .. } | Step::Nested(Nested { how, .. }) => Some(*how),
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
        let steps = Program::new(&[out(1), DpAction::Ct(Box::default()), out(2)]);
        assert_eq!(steps.steps().len(), 2);
        assert_eq!(steps.steps()[1], Step::Drop(DropReason::Unsupported));
        let punt = DpAction::Punt(PuntReason::Controller { max_len: 64, reason: PacketInReason::Action, id: 0 });
        assert_eq!(Program::new(&[punt, out(2)]).steps().len(), 2);
    }

    #[test]
    fn another_pass_gets_a_share_and_what_it_would_not_see_is_not_done() {
        let recirc = DpAction::Recirc(RecircId(1));
        let mark = |value| DpAction::Set { field: FieldId::PktMark, value: Value(value), mask: Value(0xff) };
        assert_eq!(handovers(&[recirc.clone(), out(1)]), [Share, Move]);
        assert_eq!(handovers(&[out(1), mark(1), recirc.clone()]), [Share, Move]);
        assert_eq!(handovers(&[recirc.clone(), DpAction::PopVlan, out(1)]), [Copy, Move]);
        assert_eq!(handovers(&[recirc.clone(), mark(1), DpAction::CtClear]), [Move]);
        assert!(Program::new(&[DpAction::Clone(Box::new([recirc])), out(1)]).needs_metadata());
        assert!(!Program::new(&[mark(1), out(1)]).needs_metadata());
    }

    #[test]
    fn a_whole_packet_to_one_port_is_known() {
        assert_eq!(Program::new(&[out(7)]).single_output(), Some(DpPort(7)));
        assert_eq!(Program::new(&[DpAction::Truncate(9), out(7)]).single_output(), None);
        assert_eq!(Program::new(&[DpAction::DecTtl, out(7)]).single_output(), None);
    }
}
