//! Changes of rules, a batch at a time: all or nothing.

use crate::check::check_actions;
use crate::classifier::Table;
use crate::error::ChangeError;
use crate::rule::{Applied, Counters, RemoveReason, RemovedRule, Rule, RuleChange, Select, StoredSpec};
use crate::state::{State, TABLES};
use flow::Action;
use flow::clock::Time;
use flow::dp::{BridgeId, Dep, RuleId};
use flow::rule::{RuleFlags, RuleSpec};
use std::collections::HashSet;
use std::sync::Arc;

/// What a batch has done so far to its own copy of the state.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) state: State,
    now: Time,
    next_id: u64,
    /// Rules to be known by their ids when the batch is committed.
    pub(crate) put: Vec<(BridgeId, Arc<Rule>)>,
    /// Ids to be forgotten then.
    pub(crate) dropped: Vec<RuleId>,
    pub(crate) deps: HashSet<Dep>,
    pub(crate) applied: Applied,
}

impl Batch {
    pub(crate) fn new(state: State, now: Time, next_id: u64) -> Batch {
        Batch {
            state,
            now,
            next_id,
            put: Vec::new(),
            dropped: Vec::new(),
            deps: HashSet::new(),
            applied: Applied::default(),
        }
    }

    /// The first id that is still free.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn change(&mut self, change: &RuleChange) -> Result<(), ChangeError> {
        match change {
            RuleChange::Add { bridge, rule } => self.add(*bridge, rule),
            RuleChange::Modify { bridge, select, actions, cookie, flags } => {
                self.modify(*bridge, select, actions, *cookie, *flags)
            }
            RuleChange::Delete { bridge, select } => self.delete(*bridge, select),
        }
    }

    fn table(&mut self, bridge: BridgeId, table: u8) -> Result<&mut Table, ChangeError> {
        let owner = self.state.bridge_mut(bridge).ok_or(ChangeError::NoBridge(bridge))?;
        owner.table_mut(table).ok_or(ChangeError::BadTable(table))
    }

    fn add(&mut self, bridge: BridgeId, spec: &RuleSpec) -> Result<(), ChangeError> {
        check_actions(spec.table, &spec.actions)?;
        let (now, next_id) = (self.now, self.next_id);
        let table = self.table(bridge, spec.table)?;
        if spec.flags.contains(RuleFlags::CHECK_OVERLAP) && table.overlapping(&spec.matching, spec.priority).is_some() {
            return Err(ChangeError::Overlap { table: spec.table, priority: spec.priority });
        }
        let matching = table.pack(&spec.matching);
        let old = table.get_packed(&matching, spec.priority);
        let kept = old.filter(|_| !spec.flags.contains(RuleFlags::RESET_COUNTS));
        // A rule that takes over the counters takes over the id too: hits that are still on their way find it.
        let (id, counters) = match kept {
            Some(old) => (old.id, old.counters.clone()),
            None => (RuleId(next_id), Arc::new(Counters::new(now))),
        };
        let spec = StoredSpec::new(spec, matching);
        let rule = Arc::new(Rule { id, spec, created: now, modified: now, counters });
        let replaced = table.insert(rule.clone());
        if id.0 == next_id {
            self.next_id += 1;
        }
        match replaced {
            Some(old) => {
                self.applied.modified += 1;
                if old.id != id {
                    self.dropped.push(old.id);
                }
            }
            None => self.applied.added += 1,
        }
        self.note(bridge, rule);
        Ok(())
    }

    fn modify(
        &mut self,
        bridge: BridgeId,
        select: &Select,
        actions: &[Action],
        cookie: Option<u64>,
        flags: RuleFlags,
    ) -> Result<(), ChangeError> {
        for old in self.selected(bridge, select)? {
            check_actions(old.spec.table, actions)?;
            let mut spec = old.spec.clone();
            spec.actions = actions.into();
            spec.cookie = cookie.unwrap_or(spec.cookie);
            let reset = flags.contains(RuleFlags::RESET_COUNTS);
            let counters = if reset { Arc::new(Counters::new(self.now)) } else { old.counters.clone() };
            let rule = Arc::new(Rule { id: old.id, spec, created: old.created, modified: self.now, counters });
            self.table(bridge, rule.spec.table)?.insert(rule.clone());
            self.applied.modified += 1;
            self.note(bridge, rule);
        }
        Ok(())
    }

    fn delete(&mut self, bridge: BridgeId, select: &Select) -> Result<(), ChangeError> {
        for rule in self.selected(bridge, select)? {
            self.remove(bridge, &rule, RemoveReason::Delete)?;
        }
        Ok(())
    }

    /// Take a rule out.
    pub(crate) fn remove(&mut self, bridge: BridgeId, rule: &Rule, why: RemoveReason) -> Result<(), ChangeError> {
        let table = self.table(bridge, rule.spec.table)?;
        if let Some(gone) = table.remove(&rule.spec.matching, rule.spec.priority) {
            let empty = table.len() == 0;
            if empty && let Some(owner) = self.state.bridge_mut(bridge) {
                owner.tables[usize::from(gone.spec.table)] = None;
            }
            self.deps.insert(Dep::Table(bridge, gone.spec.table));
            self.dropped.push(gone.id);
            self.applied.removed.push(RemovedRule { entry: gone.entry(bridge), reason: why });
        }
        Ok(())
    }

    fn note(&mut self, bridge: BridgeId, rule: Arc<Rule>) {
        self.deps.insert(Dep::Table(bridge, rule.spec.table));
        self.put.push((bridge, rule));
    }

    fn selected(&self, bridge: BridgeId, select: &Select) -> Result<Vec<Arc<Rule>>, ChangeError> {
        select_rules(&self.state, bridge, select)
    }
}

/// The rules that are meant, in no order.
pub(crate) fn select_rules(state: &State, bridge: BridgeId, select: &Select) -> Result<Vec<Arc<Rule>>, ChangeError> {
    let owner = state.bridges.get(&bridge).ok_or(ChangeError::NoBridge(bridge))?;
    if let Some(table) = select.table.filter(|t| usize::from(*t) >= TABLES) {
        return Err(ChangeError::BadTable(table));
    }
    let wanted = |i: usize| select.table.is_none_or(|t| usize::from(t) == i);
    let tables = owner.tables.iter().enumerate().filter(|(i, _)| wanted(*i)).filter_map(|(_, t)| t.as_deref());
    let mut found = Vec::new();
    for table in tables {
        match select.strict {
            Some(priority) => found.extend(table.get(&select.matching, priority).cloned()),
            None => found.extend(table.within(&select.matching).cloned()),
        }
    }
    found.retain(|r| select.admits(r));
    Ok(found)
}
