//! What can be said about actions without looking at a packet: what is refused when a rule or a group is changed.
//!
//! Limits that depend on packets (resubmits, the stack, VLAN tags) are kept by translation.

use crate::error::ChangeError;
use crate::state::TABLES;
use crate::translate::allowed_in_set;
use flow::action::{CtZone, LearnSource, LearnTarget, SubField};
use flow::{Action, FieldId, OfPort};

/// Deepest nesting of actions within actions (OVS: MAX_OFPACT_PARSE_DEPTH).
const MAX_NESTING: usize = 100;
/// Dimensions that a conjunction may have (ovs-actions(7)).
const CLAUSES: std::ops::RangeInclusive<u8> = 2..=64;

/// Where a list of actions is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Rule {
        table: u8,
    },
    /// In a clone.
    Nested {
        depth: usize,
    },
    /// In an action set or a group's bucket.
    Set,
    /// In `ct(exec(...))`.
    Exec,
}

/// Whether a rule of this table can have these actions.
pub(crate) fn check_actions(table: u8, actions: &[Action]) -> Result<(), ChangeError> {
    check_list(actions, Place::Rule { table })?;
    let conjunctions = actions.iter().filter(|a| matches!(a, Action::Conjunction { .. })).count();
    let notes = actions.iter().filter(|a| matches!(a, Action::Note(_))).count();
    if conjunctions != 0 && conjunctions + notes != actions.len() {
        return Err(ChangeError::ConjunctionMixed);
    }
    Ok(())
}

/// Whether a bucket of a group can have these actions.
pub(crate) fn check_bucket(actions: &[Action]) -> Result<(), ChangeError> {
    check_list(actions, Place::Set)
}

fn check_list(actions: &[Action], place: Place) -> Result<(), ChangeError> {
    for (i, action) in actions.iter().enumerate() {
        match place {
            Place::Set if !allowed_in_set(action) => return Err(ChangeError::NotInSet(name(action))),
            Place::Exec if !matches!(written(action), Some(FieldId::CtMark | FieldId::CtLabel)) => {
                return Err(ChangeError::NotInExec(name(action)));
            }
            _ => {}
        }
        if let Some(field) = written(action) {
            let tracked = matches!(field, FieldId::CtMark | FieldId::CtLabel);
            if !field.def().writable || tracked && place != Place::Exec {
                return Err(ChangeError::ReadOnly(field));
            }
        }
        for part in parts(action).into_iter().flatten() {
            if part.bits == 0 || u32::from(part.first) + u32::from(part.bits) > u32::from(part.field.def().bits) {
                return Err(ChangeError::BadPart(part.field));
            }
        }
        check(action, i + 1 == actions.len(), place)?;
    }
    Ok(())
}

fn check(action: &Action, last: bool, place: Place) -> Result<(), ChangeError> {
    match action {
        Action::GotoTable(_) | Action::WriteActions(_) | Action::ClearActions | Action::WriteMetadata { .. }
            if !matches!(place, Place::Rule { .. }) =>
        {
            Err(ChangeError::Instruction(name(action)))
        }
        Action::GotoTable(to) => match place {
            Place::Rule { table } if *to <= table => Err(ChangeError::GotoBackwards { from: table, to: *to }),
            _ if usize::from(*to) >= TABLES => Err(ChangeError::BadTable(*to)),
            _ if !last => Err(ChangeError::GotoNotLast),
            _ => Ok(()),
        },
        Action::Resubmit { table: Some(to), .. } if usize::from(*to) >= TABLES => Err(ChangeError::BadTable(*to)),
        Action::Output(to) | Action::OutputTruncated { port: to, .. } | Action::Enqueue { port: to, .. } => {
            check_output(*to)
        }
        Action::Bundle(bundle) => bundle.members.iter().try_for_each(|to| check_output(*to)),
        Action::Controller(controller) if controller.pause => Err(ChangeError::Pause),
        Action::ModVlanVid(vid) if *vid > 0xfff => Err(ChangeError::BadVlanId(*vid)),
        Action::ModVlanPcp(pcp) if *pcp > 7 => Err(ChangeError::BadVlanPriority(*pcp)),
        Action::PushVlan(tpid) if !matches!(tpid, 0x8100 | 0x88a8) => Err(ChangeError::BadVlanType(*tpid)),
        Action::Conjunction { clause, clauses, .. } if !CLAUSES.contains(clauses) || clause >= clauses => {
            Err(ChangeError::BadClause { clause: *clause, clauses: *clauses })
        }
        Action::Clone(list) => match place {
            Place::Nested { depth } if depth >= MAX_NESTING => Err(ChangeError::TooDeep),
            Place::Nested { depth } => check_list(list, Place::Nested { depth: depth + 1 }),
            _ => check_list(list, Place::Nested { depth: 1 }),
        },
        Action::WriteActions(list) => check_list(list, Place::Set),
        Action::Ct(ct) => {
            if let Some(table) = ct.table.filter(|t| usize::from(*t) >= TABLES) {
                return Err(ChangeError::BadTable(table));
            }
            check_list(&ct.exec, Place::Exec)
        }
        Action::Learn(learn) if usize::from(learn.table) >= TABLES => Err(ChangeError::BadTable(learn.table)),
        Action::Learn(learn) => learn.specs.iter().try_for_each(|spec| match spec.target {
            LearnTarget::Load(to) if !to.field.def().writable => Err(ChangeError::ReadOnly(to.field)),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

fn check_output(to: OfPort) -> Result<(), ChangeError> {
    let reserved = [
        OfPort::IN_PORT,
        OfPort::TABLE,
        OfPort::NORMAL,
        OfPort::FLOOD,
        OfPort::ALL,
        OfPort::CONTROLLER,
        OfPort::LOCAL,
        OfPort::NONE,
    ];
    if to.is_real() || reserved.contains(&to) { Ok(()) } else { Err(ChangeError::BadOutput(to)) }
}

/// The field that an action writes.
fn written(action: &Action) -> Option<FieldId> {
    match action {
        Action::Move { to, .. } | Action::Pop(to) => Some(to.field),
        Action::CheckPktLarger { result, .. } => Some(result.field),
        Action::Bundle(bundle) => bundle.load.map(|to| to.field),
        Action::Learn(learn) => learn.result.map(|to| to.field),
        other => other.as_set().map(|(field, ..)| field),
    }
}

/// The parts of fields that an action names; a learn action's are its specs' own.
fn parts(action: &Action) -> [Option<SubField>; 2] {
    match action {
        Action::Move { from, to } => [Some(*from), Some(*to)],
        Action::Push(part) | Action::Pop(part) | Action::OutputField { port: part, .. } => [Some(*part), None],
        Action::CheckPktLarger { result, .. } => [Some(*result), None],
        Action::Bundle(bundle) => [bundle.load, None],
        Action::Learn(learn) => {
            let wrong = learn.specs.iter().flat_map(|s| {
                let source = if let LearnSource::Field(from) = s.source { Some(from) } else { None };
                let target = match s.target {
                    LearnTarget::Match(to) | LearnTarget::Load(to) => Some(to),
                    LearnTarget::Output => None,
                };
                [source, target].into_iter().flatten()
            });
            let beyond = |p: &SubField| u32::from(p.first) + u32::from(p.bits) > u32::from(p.field.def().bits);
            [wrong.into_iter().find(beyond), learn.result]
        }
        Action::Ct(ct) => match ct.zone {
            CtZone::Field(part) => [Some(part), None],
            CtZone::Fixed(_) => [None, None],
        },
        _ => [None, None],
    }
}

/// What text calls an action.
fn name(action: &Action) -> String {
    let text = flow::text::format_actions(std::slice::from_ref(action));
    text.split(['(', ':']).next().unwrap_or_default().to_owned()
}
