//! OpenFlow rules.

use super::errors::{invalid, pipeline};
use super::{Control, Inner};
use crate::state::{Change, rule_key};
use ::pipeline::{FlowError, RuleChange, RuleEntry, Select};
use api::{Ack, Error, FlowView, FlowsAdd, FlowsDelete};
use flow::OfPort;
use flow::clock::Time;
use flow::rule::{RuleFlags, RuleSpec};
use flow::text::{self, Note};
use std::sync::MutexGuard;
use std::time::Duration;

impl Inner {
    /// The port names of a bridge, as text may use them.
    fn names<'a>(&'a self, control: &'a Control, bridge: &str) -> impl Fn(&str) -> Option<OfPort> + use<'a> {
        let ports = self.bridges.get(bridge).map(|id| control.switch.pipeline().ports(*id)).unwrap_or_default();
        move |name: &str| ports.iter().find(|p| p.name == name).map(|p| p.number)
    }
}

impl Control {
    /// Rules of a bridge that `matching` (ovs-ofctl text without actions) selects.
    pub fn flows_dump(&self, bridge: &str, matching: &str) -> Result<Vec<FlowView>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        let select = self.select(&inner, bridge, matching, false)?;
        let now = self.switch.clock().now();
        drop(inner);
        self.switch.fold();
        let object = format!("bridge {bridge}");
        let mut rules = self.switch.pipeline().dump(id, &select).map_err(|e| invalid(object, e))?;
        rules.sort_by_key(|r| (r.spec.table, std::cmp::Reverse(r.spec.priority), r.id));
        Ok(rules.iter().map(|r| view(r, now)).collect())
    }

    /// Add rules: all or none.
    pub fn flows_add(&self, bridge: &str, add: &FlowsAdd) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let number = |i: usize| format!("flow {} of {}", i + 1, add.flows.len());
        let names = inner.names(self, bridge);
        let parse = |(i, text): (usize, &String)| parse(text, &names).map_err(|e| invalid(number(i), e));
        let rules: Vec<RuleSpec> = add.flows.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        drop(names);
        let puts: Vec<_> = rules.iter().map(|rule| put(bridge, rule)).collect();
        let changes: Vec<_> = rules.into_iter().map(|rule| RuleChange::Add { bridge: id, rule }).collect();
        self.switch.pipeline().apply(&changes).map_err(|e| match &e {
            FlowError::Change { index, error } => {
                let mut refused = pipeline(number(*index), &e);
                refused.message = error.to_string();
                refused
            }
            other => pipeline(format!("bridge {bridge}"), other),
        })?;
        for change in &puts {
            if let Change::PutRule { bridge, key, text } = change {
                inner.desired.rules.insert((bridge.clone(), key.clone()), text.clone());
            }
        }
        let count = puts.len();
        self.commit(inner, puts, count)
    }

    /// Remove rules.
    pub fn flows_delete(&self, bridge: &str, del: &FlowsDelete) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let select = self.select(&inner, bridge, &del.matching, del.strict)?;
        let applied = self
            .switch
            .pipeline()
            .apply(&[RuleChange::Delete { bridge: id, select }])
            .map_err(|e| pipeline(format!("bridge {bridge}"), &e))?;
        let changes: Vec<_> = applied.removed.iter().map(|r| delete(bridge, &r.entry.spec)).collect();
        forget(&mut inner, &changes);
        let count = changes.len();
        self.commit(inner, changes, count)
    }

    /// Take rules whose time is over out of the switch and the state. Called every second or so.
    pub fn expire(&self) -> Result<(), Error> {
        // Hits that were not counted yet keep a rule from idling out.
        self.switch.fold();
        let mut inner = self.lock();
        self.finish_removals(&mut inner);
        let (inner, changes) = self.expire_locked(inner);
        if changes.is_empty() {
            return Ok(());
        }
        let count = changes.len();
        self.commit(inner, changes, count).map(|_| ())
    }

    /// What has to go because of its age, gone from the switch; to be committed.
    pub(super) fn expire_locked<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> (MutexGuard<'a, Inner>, Vec<Change>) {
        let removed = self.switch.pipeline().expire(self.switch.clock().now());
        let changes: Vec<_> = removed
            .iter()
            .filter_map(|r| {
                let (name, _) = inner.bridges.iter().find(|(_, id)| **id == r.entry.bridge)?;
                Some(delete(name, &r.entry.spec))
            })
            .collect();
        forget(&mut inner, &changes);
        (inner, changes)
    }

    fn select(&self, inner: &Inner, bridge: &str, matching: &str, strict: bool) -> Result<Select, Error> {
        let object = || format!("match `{matching}`");
        let mut notes = Vec::new();
        let filter = text::parse_filter_noting(matching, strict, &inner.names(self, bridge), &mut notes)
            .map_err(|e| invalid(object(), e))?;
        if let Some(note) = notes.first() {
            return Err(invalid(object(), said(matching, note)));
        }
        Ok(Select {
            table: filter.table,
            matching: filter.matching,
            strict: filter.priority,
            cookie: (filter.cookie, filter.cookie_mask),
            out_port: filter.out_port,
            out_group: None,
        })
    }
}

/// A rule as the state file keeps it.
pub(super) fn put(bridge: &str, rule: &RuleSpec) -> Change {
    // These say how to add it, not what it is: added again after a restart, in another order, it must not be refused.
    let mut rule = rule.clone();
    rule.flags.remove(RuleFlags::CHECK_OVERLAP | RuleFlags::RESET_COUNTS);
    Change::PutRule {
        bridge: bridge.to_owned(),
        key: rule_key(rule.table, rule.priority, &rule.matching),
        // The form of a dump: the only one that reads back as the very same rule.
        text: text::format_dump(&rule, &text::RuleStats::default()),
    }
}

/// Read a flow. ovs-ofctl leaves out a match whose prerequisite is missing, and says so in a note; here that is refused, because
/// the flow would match more than was written.
fn parse(text: &str, names: &dyn text::PortNames) -> Result<RuleSpec, String> {
    let mut notes = Vec::new();
    let rule = text::parse_flow_noting(text, names, &mut notes).map_err(|e| e.to_string())?;
    notes.first().map_or(Ok(rule), |note| Err(said(text, note)))
}

/// What ovs-ofctl would have changed in silence, as an error.
fn said(text: &str, note: &Note) -> String {
    match note {
        Note::LeftOut { field, needs } => {
            let field = written(text, field);
            format!("`{field}` needs {needs} in the match too; without it the flow would match more than it says")
        }
        Note::Cut { key, value, bits } => format!("`{value}` for `{key}` does not fit its {bits} bits"),
        other => format!("{other}; leave that end away"),
    }
}

/// The field as the flow's author wrote it: `tcp_dst` is another name of `tp_dst`.
fn written<'a>(text: &'a str, field: &'a str) -> &'a str {
    let end = field.rsplit('_').next().unwrap_or(field);
    let matching = text.split("actions").next().unwrap_or(text);
    let mut keys = matching.split([',', ' ', '\t']).map(|part| part.split('=').next().unwrap_or(part));
    let same = |key: &&str| {
        *key == field
            || field.starts_with("tp_") && key.strip_suffix(end).is_some_and(|k| ["tcp_", "udp_", "sctp_"].contains(&k))
    };
    keys.find(same).unwrap_or(field)
}

fn delete(bridge: &str, rule: &RuleSpec) -> Change {
    Change::DeleteRule { bridge: bridge.to_owned(), key: rule_key(rule.table, rule.priority, &rule.matching) }
}

fn forget(inner: &mut Inner, changes: &[Change]) {
    for change in changes {
        if let Change::DeleteRule { bridge, key } = change {
            inner.desired.rules.remove(&(bridge.clone(), key.clone()));
        }
    }
}

fn view(rule: &RuleEntry, now: Time) -> FlowView {
    // In milliseconds, as Open vSwitch keeps it.
    let duration = now.since(rule.created);
    let duration = duration - Duration::from_nanos(u64::from(duration.subsec_nanos()) % 1_000_000);
    let (packets, bytes) = (rule.stats.packets, rule.stats.bytes);
    let stats = text::RuleStats { packets, bytes, duration, idle_age: None };
    FlowView {
        table: rule.spec.table,
        priority: rule.spec.priority,
        cookie: rule.spec.cookie,
        matching: text::format_match(&rule.spec.matching, flow::rule::DEFAULT_PRIORITY),
        actions: text::format_actions(&rule.spec.actions),
        packets,
        bytes,
        duration: duration.as_secs_f64(),
        text: text::format_dump(&rule.spec, &stats),
    }
}
