//! Rules as the state file keeps them.

use crate::state::{Change, rule_key, rule_value};
use ::pipeline::{Applied, Pipeline, RemovedRule, RuleChange, Select};
use flow::dp::BridgeId;
use flow::rule::RuleSpec;
use std::sync::Arc;

/// A rule to be kept.
pub(in super::super) fn put(bridge: &Arc<str>, rule: &RuleSpec) -> Change {
    Change::PutRule { bridge: bridge.clone(), key: rule_key(rule), value: rule_value(rule) }
}

/// A rule to be forgotten.
pub(super) fn delete(bridge: &Arc<str>, rule: &RuleSpec) -> Change {
    Change::DeleteRule { bridge: bridge.clone(), key: rule_key(rule) }
}

/// What is to be written after `changes` of this bridge were applied.
pub(super) fn changes(pipeline: &Pipeline, bridge: &str, changes: &[RuleChange], applied: &Applied) -> Vec<Change> {
    let bridge: Arc<str> = bridge.into();
    let mut out = Vec::with_capacity(changes.len());
    for change in changes {
        match change {
            RuleChange::Add { rule, .. } => out.push(put(&bridge, rule)),
            RuleChange::Modify { bridge: id, select, actions, .. } => {
                // Cookie and output may be other ones now; what has these actions is written as it is.
                let select = Select { cookie: (0, 0), out_port: None, ..select.clone() };
                let rules = pipeline.dump(*id, &select).unwrap_or_default();
                out.extend(rules.iter().filter(|r| r.spec.actions == *actions).map(|r| put(&bridge, &r.spec)));
            }
            RuleChange::Delete { .. } => {}
            // Of no command.
            _ => {}
        }
    }
    // Neighbours in the file are written together. Of two with one name the later stays the later.
    out.sort_by(|a, b| name(a).cmp(name(b)));
    // A rule that was removed may have come back in the same batch.
    let added = changes.iter().any(|c| matches!(c, RuleChange::Add { .. }));
    let there = |id: BridgeId, rule: &RuleSpec| {
        added && pipeline.dump(id, &Select::exactly(rule)).is_ok_and(|found| !found.is_empty())
    };
    out.extend(gone(&bridge, &applied.removed, |id, rule| !there(id, rule)));
    out
}

/// Rules that are to be forgotten, if `really`.
pub(super) fn gone<'a>(
    bridge: &'a Arc<str>,
    removed: &'a [RemovedRule],
    really: impl Fn(BridgeId, &RuleSpec) -> bool + 'a,
) -> impl Iterator<Item = Change> + 'a {
    let rules = removed.iter().map(|r| &r.entry).filter(move |r| really(r.bridge, &r.spec));
    rules.map(|r| delete(bridge, &r.spec))
}

fn name(change: &Change) -> &str {
    match change {
        Change::PutRule { key, .. } | Change::DeleteRule { key, .. } => key,
        _ => "",
    }
}
