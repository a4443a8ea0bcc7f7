//! OpenFlow rules: add, change, remove, replace, show.

mod persist;
mod read;
mod removed;

pub(super) use persist::put;
pub(super) use removed::Removals;

use super::errors::{invalid, pipeline};
use super::{Attached, Control, Inner};
use crate::state::Change;
use ::pipeline::{FlowError, RemovedRule, RuleChange, RuleEntry, Select};
use api::{Ack, Error, FlowView, FlowsAdd, FlowsDelete, FlowsModify, FlowsReplace, FlowsReplaced};
use flow::OfPort;
use flow::clock::Time;
use flow::dp::{BridgeId, Effect, RuleId};
use flow::text;
use std::collections::HashMap;
use std::time::Duration;

impl Inner {
    /// The port names of a bridge, as text may use them.
    pub(super) fn names<'a>(&'a self, control: &'a Control, bridge: &str) -> impl Fn(&str) -> Option<OfPort> + use<'a> {
        let ports = self.bridges.get(bridge).map(|id| control.switch.pipeline().ports(*id)).unwrap_or_default();
        // Ports that wait for their device have their numbers, and what a representor stands for is a name of its port.
        let ours = move |p: &&Attached| p.bridge == bridge;
        let waiting: Vec<_> = self.ports.values().filter(ours).map(|p| &p.port).collect();
        move |name: &str| {
            let there = ports.iter().find(|p| p.name == name).map(|p| p.number);
            let waits = || waiting.iter().find(|p| p.name == name);
            let mut functions = waiting.iter().filter(|p| is_function(p, name));
            let function = || functions.next().filter(|_| functions.next().is_none());
            there.or_else(|| waits().or_else(function)?.ofport.map(OfPort))
        }
    }
}

/// Whether the port is the representor of this function.
fn is_function(port: &api::Port, name: &str) -> bool {
    port.kind == api::PortType::Representor && port.devargs.as_deref() == Some(name)
}

impl Control {
    /// Rules of a bridge that `matching` (ovs-ofctl text without actions) selects.
    pub fn flows_dump(&self, bridge: &str, matching: &str) -> Result<Vec<FlowView>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        let select = read::select(matching, false, &inner.names(self, bridge))?;
        let now = self.switch.clock().now();
        drop(inner);
        self.switch.fold();
        let object = format!("bridge {bridge}");
        let mut rules = self.switch.pipeline().dump(id, &select).map_err(|e| invalid(object, e))?;
        rules.sort_by_key(|r| (r.spec.table, std::cmp::Reverse(r.spec.priority), r.id));
        let read = self.read_ages();
        Ok(rules.iter().map(|r| view(r, now, read.get(&r.id).copied())).collect())
    }

    /// For rules of which hardware switches packets: how old what it counted is.
    fn read_ages(&self) -> HashMap<RuleId, Duration> {
        let (engine, now) = (self.switch.engine(), self.switch.clock().now());
        let mut ages: HashMap<RuleId, Duration> = HashMap::new();
        for info in self.switch.flows() {
            let Some(read) = engine.explain(info.flow.id).and_then(|status| status.read) else { continue };
            let rules = info.flow.effects.iter().filter_map(|effect| match effect {
                Effect::Rule(id) => Some(*id),
                _ => None,
            });
            for rule in rules {
                let age = ages.entry(rule).or_default();
                *age = (*age).max(now.since(read));
            }
        }
        ages
    }

    /// Add rules, or change and remove some, as each text says: all or none.
    pub fn flows_add(&self, bridge: &str, add: &FlowsAdd) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let number = |i: usize| format!("flow {} of {}", i + 1, add.flows.len());
        let names = inner.names(self, bridge);
        let read = |(i, text): (usize, &String)| {
            let (command, flow) = if add.commands { read::command(text) } else { (read::Command::Add, text.as_str()) };
            command.change(id, flow, &names).map_err(|e| invalid(number(i), e))
        };
        let changes: Vec<RuleChange> = add.flows.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        drop(names);
        let (done, count) = self.apply_rules(&mut inner, bridge, &changes, &number)?;
        self.commit(inner, done, count)
    }

    /// Change the actions of rules. None is added.
    pub fn flows_modify(&self, bridge: &str, modify: &FlowsModify) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let command = if modify.strict { read::Command::ModifyStrict } else { read::Command::Modify };
        let object = |_| "flow 1 of 1".to_owned();
        let change = command.change(id, &modify.flow, &inner.names(self, bridge)).map_err(|e| invalid(object(0), e))?;
        let (done, count) = self.apply_rules(&mut inner, bridge, &[change], &object)?;
        self.commit(inner, done, count)
    }

    /// Remove rules.
    pub fn flows_delete(&self, bridge: &str, del: &FlowsDelete) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let select = read::select(&del.matching, del.strict, &inner.names(self, bridge))?;
        let change = RuleChange::Delete { bridge: id, select };
        let (done, count) = self.apply_rules(&mut inner, bridge, &[change], &|_| format!("bridge {bridge}"))?;
        self.commit(inner, done, count)
    }

    /// Make the rules of a bridge these, with as few changes as there can be.
    pub fn flows_replace(&self, bridge: &str, replace: &FlowsReplace) -> Result<FlowsReplaced, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let number = |i: usize| format!("flow {} of {}", i + 1, replace.flows.len());
        let names = inner.names(self, bridge);
        let read = |(i, text): (usize, &String)| read::flow(text, &names).map_err(|e| invalid(number(i), e));
        let wanted: Vec<_> = replace.flows.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        drop(names);
        let present =
            self.switch.pipeline().dump(id, &Select::default()).map_err(|e| invalid(format!("bridge {bridge}"), e))?;
        let differences = api::diff_rules(present.iter().map(|r| &r.spec), &wanted);
        let lines = differences.iter().flat_map(api::RuleDifference::lines).collect();
        if replace.dry_run {
            return Ok(FlowsReplaced { changes: lines, ack: None });
        }
        let change = |d: &api::RuleDifference<'_>| match (d.old, d.new) {
            (_, Some(new)) => Some(RuleChange::Add { bridge: id, rule: new.clone() }),
            (Some(old), None) => Some(RuleChange::Delete { bridge: id, select: Select::exactly(old) }),
            (None, None) => None,
        };
        // What goes makes room for what comes.
        let (gone, rest): (Vec<_>, Vec<_>) =
            differences.iter().filter_map(change).partition(|c| matches!(c, RuleChange::Delete { .. }));
        let changes = [gone, rest].concat();
        let object = |i: usize| match changes.get(i) {
            Some(RuleChange::Add { rule, .. }) => {
                wanted.iter().position(|w| w == rule).map_or_else(|| format!("bridge {bridge}"), &number)
            }
            _ => format!("bridge {bridge}"),
        };
        let (done, count) = self.apply_rules(&mut inner, bridge, &changes, &object)?;
        let ack = self.commit(inner, done, count)?;
        Ok(FlowsReplaced { changes: lines, ack: Some(ack) })
    }

    /// Change rules of a bridge: what is to be written, and how many rules it is about. `object` names a change by its place.
    fn apply_rules(
        &self,
        inner: &mut Inner,
        bridge: &str,
        changes: &[RuleChange],
        object: &dyn Fn(usize) -> String,
    ) -> Result<(Vec<Change>, usize), Error> {
        let applied = self.switch.pipeline().apply(changes).map_err(|e| refused(&e, bridge, object))?;
        let done = persist::changes(self.switch.pipeline(), bridge, changes, &applied);
        self.note_removed(inner);
        Ok((done, applied.added + applied.modified + applied.removed.len()))
    }

    /// Change groups or meters of a bridge: the rules that went with them, to be written, and their number.
    pub(super) fn apply_changes(
        &self,
        inner: &mut Inner,
        bridge: &str,
        changes: &[::pipeline::Change],
        object: &dyn Fn(usize) -> String,
    ) -> Result<(Vec<Change>, usize), Error> {
        let applied = self.switch.pipeline().change(changes).map_err(|e| refused(&e, bridge, object))?;
        let done = persist::gone(&bridge.into(), &applied.removed, |_, _| true).collect();
        self.note_removed(inner);
        Ok((done, applied.removed.len()))
    }

    /// All rules of a bridge, as after [`::pipeline::Pipeline::set_fail_mode`], to be written instead of `removed`.
    pub(super) fn rules_anew(&self, inner: &mut Inner, bridge: &str, removed: &[RemovedRule]) -> Vec<Change> {
        let mut done: Vec<_> = persist::gone(&bridge.into(), removed, |_, _| true).collect();
        done.extend(self.first_rules(inner, bridge));
        self.note_removed(inner);
        done
    }

    pub(super) fn bridge_name(inner: &Inner, id: BridgeId) -> Option<&String> {
        inner.bridges.iter().find(|(_, there)| **there == id).map(|(name, _)| name)
    }
}

/// What the pipeline says about a change of a batch.
fn refused(e: &FlowError, bridge: &str, object: &dyn Fn(usize) -> String) -> Error {
    match e {
        FlowError::Change { index, error } => {
            let mut refused = pipeline(object(*index), e);
            refused.message = error.to_string();
            refused
        }
        other => pipeline(format!("bridge {bridge}"), other),
    }
}

/// Since `from`, in milliseconds as Open vSwitch keeps it.
pub(super) fn duration(from: Time, now: Time) -> Duration {
    let duration = now.since(from);
    duration - Duration::from_nanos(u64::from(duration.subsec_nanos()) % 1_000_000)
}

/// With `read`: how old hardware's counters of it are.
fn view(rule: &RuleEntry, now: Time, read: Option<Duration>) -> FlowView {
    let duration = duration(rule.created, now);
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
        read_age_ms: read.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        duration: duration.as_secs_f64(),
        text: text::format_dump(&rule.spec, &stats),
    }
}
