//! What lists of actions reach, lists inside them included.

use super::Action;
use crate::port::OfPort;

/// Whether a list sends to this port by its number, as Open vSwitch counts it: by `output`, `enqueue` or `controller`,
/// also inside `clone`, `ct` and `write_actions`; not by a register, a bundle, or cut to a length.
#[must_use]
pub fn outputs_to_port(actions: &[Action], port: OfPort) -> bool {
    any(actions, &mut |action| match action {
        Action::Output(to) | Action::Enqueue { port: to, .. } => *to == port,
        Action::Controller(_) => port == OfPort::CONTROLLER,
        _ => false,
    })
}

/// Whether a list sends to this group, also inside `clone` and `write_actions`.
#[must_use]
pub fn outputs_to_group(actions: &[Action], group: u32) -> bool {
    any(actions, &mut |action| *action == Action::Group(group))
}

/// Whether the action is an instruction of OpenFlow 1.3 beside apply-actions.
#[must_use]
pub fn is_instruction(action: &Action) -> bool {
    matches!(
        action,
        Action::Meter(_)
            | Action::ClearActions
            | Action::WriteActions(_)
            | Action::WriteMetadata { .. }
            | Action::GotoTable(_)
    )
}

fn any(actions: &[Action], found: &mut impl FnMut(&Action) -> bool) -> bool {
    actions.iter().any(|action| {
        found(action)
            || match action {
                Action::Clone(inner) | Action::WriteActions(inner) => any(inner, found),
                Action::Ct(ct) => any(&ct.exec, found),
                _ => false,
            }
    })
}
