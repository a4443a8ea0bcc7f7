//! A flow's actions prepared for execution: who may have the packet itself, who shares its bytes, who needs a copy.
//!
//! The last step that uses the packet gets the packet. An output before it gets a second header on the same bytes, unless a
//! later step of the list changes bytes: then it gets bytes of its own. This is known from the list alone, so no packet pays
//! for finding out.

use flow::dp::{Actions, DpAction, DropReason, HashSpec, MeterId, PuntReason, RecircId};
use flow::rewrite::Rewrite;
use flow::{DpPort, FieldId, Value};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

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
    /// `Set` of fields in the bytes, `DecTtl`, `PushVlan` and `PopVlan`, as many as follow one another.
    Rewrite(Rewrite),
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

/// All that most flows do: change bytes, and send the packet to one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) port: DpPort,
    pub(crate) rewrite: Option<Rewrite>,
}

/// What flows execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    forward: Option<Forward>,
    drop: Option<DropReason>,
    needs_metadata: bool,
    steps: Box<[Step]>,
}

impl Program {
    pub(crate) fn new(actions: &[DpAction]) -> Program {
        let steps = compile(actions);
        let forward = match &*steps {
            [Step::Output { port, max_len: u16::MAX, .. }] => Some(Forward { port: *port, rewrite: None }),
            [Step::Rewrite(rewrite), Step::Output { port, max_len: u16::MAX, .. }] => {
                Some(Forward { port: *port, rewrite: Some(rewrite.clone()) })
            }
            _ => None,
        };
        let drop = match &*steps {
            [] => Some(DropReason::RuleDrop),
            [Step::Drop(reason)] => Some(*reason),
            _ => None,
        };
        let needs_metadata = steps.iter().any(needs_metadata);
        Program { forward, drop, needs_metadata, steps }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// All that the program does, when that is to change bytes and to send the whole packet to one port.
    #[inline(always)]
    pub(crate) fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// Why packets are dropped, when that is all that the program does.
    #[inline(always)]
    pub(crate) fn only_drops(&self) -> Option<DropReason> {
        self.drop
    }

    /// The port, when all that the program does is to send the whole packet there.
    #[inline]
    pub(crate) fn single_output(&self) -> Option<DpPort> {
        self.forward.as_ref().filter(|forward| forward.rewrite.is_none()).map(|forward| forward.port)
    }

    /// Whether somebody after it is told what is known of the packet beside its bytes: another pass, or a controller. Else
    /// nobody keeps it.
    #[inline]
    pub(crate) fn needs_metadata(&self) -> bool {
        self.needs_metadata
    }
}

/// The programs of a worker's flows: flows that do the same share one, so that the programs of many flows fit into the CPU's
/// caches, and a new flow that does what others do needs none compiled.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    hasher: DefaultHashBuilder,
    known: HashTable<(Actions, Arc<Program>)>,
    /// Programs that nobody uses are looked for when there are so many.
    full: usize,
}

impl Programs {
    const LEAST: usize = 256;

    /// The program of these actions.
    pub(crate) fn get(&mut self, actions: &[DpAction]) -> Arc<Program> {
        let hash = self.hasher.hash_one(actions);
        if let Some((_, program)) = self.known.find(hash, |(known, _)| known[..] == *actions) {
            return Arc::clone(program);
        }
        if self.known.len() >= self.full {
            self.known.retain(|(_, program)| Arc::strong_count(program) > 1);
            self.full = Self::LEAST.max(2 * self.known.len());
        }
        let program = Arc::new(Program::new(actions));
        let hasher = &self.hasher;
        self.known
            .insert_unique(hash, (actions.into(), Arc::clone(&program)), |(known, _)| hasher.hash_one(&known[..]));
        program
    }
}

fn compile(actions: &[DpAction]) -> Box<[Step]> {
    let mut steps: Vec<Step> = Vec::with_capacity(actions.len());
    let mut max_len = u16::MAX;
    // Decided when the whole list is known.
    let how = Handover::Copy;
    let nested = |actions: &[DpAction]| Nested { steps: compile(actions), how };
    let mut left = actions;
    while let Some((action, rest)) = left.split_first() {
        let (run, behind) = left.split_at(left.iter().take_while(|a| is_rewrite(a)).count());
        if let Some(rewrite) = Rewrite::new(run).filter(|_| !run.is_empty()) {
            steps.push(Step::Rewrite(rewrite));
            left = behind;
            continue;
        }
        left = rest;
        let step = match action {
            DpAction::Output(port) => {
                Step::Output { port: *port, max_len: std::mem::replace(&mut max_len, u16::MAX), how }
            }
            DpAction::Truncate(len) => {
                max_len = *len;
                continue;
            }
            DpAction::Set { field, value, mask } => {
                Step::SetMetadata { field: *field, value: *value, mask: *mask }
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
            DpAction::Ct(_)
            | DpAction::TunnelPush(_)
            | DpAction::TunnelPop(_)
            // Not reached: runs of these are taken above.
            | DpAction::DecTtl
            | DpAction::PushVlan(_)
            | DpAction::PopVlan => Step::Drop(DropReason::Unsupported),
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

fn is_rewrite(action: &DpAction) -> bool {
    match action {
        DpAction::Set { field, .. } => !field.def().is_metadata(),
        DpAction::DecTtl | DpAction::PushVlan(_) | DpAction::PopVlan => true,
        _ => false,
    }
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
        Step::Rewrite(rewrite) => !rewrite.may_drop(),
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
    fn what_only_forwards_is_known() {
        let forward = |actions: &[DpAction]| Program::new(actions).forward().map(|f| (f.port, f.rewrite.is_some()));
        let set = |field: FieldId| DpAction::Set { field, value: Value(1), mask: field.def().ones() };
        assert_eq!(forward(&[out(7)]), Some((DpPort(7), false)));
        assert_eq!(forward(&[set(FieldId::EthDst), DpAction::DecTtl, out(7)]), Some((DpPort(7), true)));
        assert_eq!(forward(&[DpAction::PopVlan, out(7), set(FieldId::EthDst)]), Some((DpPort(7), true)));
        assert_eq!(forward(&[DpAction::Truncate(9), out(7)]), None);
        assert_eq!(forward(&[out(7), DpAction::DecTtl]), None);
        assert_eq!(forward(&[out(7), out(8)]), None);
        assert_eq!(forward(&[set(FieldId::PktMark), out(7)]), None);
    }

    #[test]
    fn flows_that_do_the_same_share_a_program() {
        let mut programs = Programs::default();
        let first = programs.get(&[out(1)]);
        assert!(Arc::ptr_eq(&first, &programs.get(&[out(1)])));
        assert!(!Arc::ptr_eq(&first, &programs.get(&[out(2)])));
        // What nobody uses is let go, what is used stays.
        for port in 0..10_000 {
            programs.get(&[out(port)]);
        }
        assert!(programs.known.len() <= 2 * Programs::LEAST, "{}", programs.known.len());
        assert!(Arc::ptr_eq(&first, &programs.get(&[out(1)])));
    }
}
