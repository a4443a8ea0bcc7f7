//! Changes, a batch at a time: all or nothing.
//!
//! A batch works on its own copy of the state, which shares everything with the present one that it does not touch. What is
//! beside the state (counters by rule id, the meters of the datapath) follows when the batch is committed.

use crate::change::Change;
use crate::changes::{Told, scope_of};
use crate::check::check_actions;
use crate::classifier::Table;
use crate::error::ChangeError;
use crate::fdb::FdbFilter;
use crate::rule::{
    Applied, Counters, RemoveReason, RemovedRule, Rule, RuleChange, Select, StoredSpec, Uses, stored_actions,
};
use crate::state::{Bridge, State, TABLES};
use flow::Action;
use flow::clock::Time;
use flow::dp::{BridgeId, Dep, MeterId, RuleId};
use flow::meter::MeterSpec;
use flow::rule::{RuleFlags, RuleSpec};
use std::sync::Arc;

/// A rule that is gone, and why; `None`: replaced by one with another id.
pub(crate) type Gone = (BridgeId, Arc<Rule>, Option<RemoveReason>);

/// What a batch has done so far to its own copy of the state.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) state: State,
    pub(crate) now: Time,
    next_id: u64,
    /// What the datapath's meters are when the batch is committed.
    pub(crate) meters: Vec<(MeterId, MeterSpec)>,
    /// Those that the datapath forgets then.
    pub(crate) meters_gone: Vec<MeterId>,
    /// Rules to be known by their ids when the batch is committed.
    pub(crate) put: Vec<(BridgeId, Arc<Rule>)>,
    pub(crate) gone: Vec<Gone>,
    /// Addresses to be forgotten then.
    pub(crate) forget: Vec<(BridgeId, FdbFilter)>,
    pub(crate) deps: Told,
    pub(crate) applied: Applied,
    /// Tables and cookies of learned rules whose last learner went.
    orphans: Vec<(BridgeId, u8, u64)>,
}

impl Batch {
    pub(crate) fn new(state: State, now: Time, next_id: u64) -> Batch {
        Batch {
            state,
            now,
            next_id,
            meters: Vec::new(),
            meters_gone: Vec::new(),
            put: Vec::new(),
            gone: Vec::new(),
            forget: Vec::new(),
            deps: Told::default(),
            applied: Applied::default(),
            orphans: Vec::new(),
        }
    }

    /// The first id that is still free.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn change(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Rule(change) => self.change_rule(change),
            Change::Group(change) => {
                self.change_group(change)?;
                self.remove_orphans()
            }
            Change::Meter(change) => {
                self.change_meter(change)?;
                self.remove_orphans()
            }
            Change::Port { bridge, port, update } => self.change_port(*bridge, *port, update).map(drop),
        }
    }

    pub(crate) fn change_rule(&mut self, change: &RuleChange) -> Result<(), ChangeError> {
        match change {
            RuleChange::Add { bridge, rule } => self.add(*bridge, rule)?,
            RuleChange::Modify { bridge, select, actions, cookie, flags } => {
                self.modify(*bridge, select, actions, *cookie, *flags).map(drop)?;
            }
            RuleChange::ModifyOrAdd { bridge, rule, strict } => self.modify_or_add(*bridge, rule, *strict)?,
            RuleChange::Delete { bridge, select } => {
                for rule in select_rules(&self.state, *bridge, select)? {
                    self.remove(*bridge, &rule, RemoveReason::Delete)?;
                }
            }
        }
        self.remove_orphans()
    }

    pub(crate) fn bridge(&mut self, bridge: BridgeId) -> Result<&mut Bridge, ChangeError> {
        self.state.bridge_mut(bridge).ok_or(ChangeError::NoBridge(bridge))
    }

    fn table(&mut self, bridge: BridgeId, table: u8) -> Result<&mut Table, ChangeError> {
        self.bridge(bridge)?.table_mut(table).ok_or(ChangeError::BadTable(table))
    }

    /// Whether all groups and meters that actions use are there (OVS: OFPBAC_BAD_OUT_GROUP, OFPMMFC_INVALID_METER).
    fn check_uses(&self, bridge: BridgeId, actions: &[Action]) -> Result<(), ChangeError> {
        let owner = self.state.bridges.get(&bridge).ok_or(ChangeError::NoBridge(bridge))?;
        for used in Uses::all(actions) {
            match used {
                Uses::Group(id) if !owner.groups.contains_key(&id) => return Err(ChangeError::NoGroup(id)),
                Uses::Meter(id) if !owner.meters.contains_key(&id) => return Err(ChangeError::NoMeter(id)),
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, bridge: BridgeId, spec: &RuleSpec) -> Result<(), ChangeError> {
        check_actions(spec.table, &spec.actions)?;
        self.check_uses(bridge, &spec.actions)?;
        let (now, next_id) = (self.now, self.next_id);
        let table = self.table(bridge, spec.table)?;
        let matching = table.pack(&spec.matching);
        let old = table.get_packed(&matching, spec.priority).cloned();
        if old.is_none() {
            if spec.flags.contains(RuleFlags::CHECK_OVERLAP)
                && table.overlapping(&spec.matching, spec.priority).is_some()
            {
                return Err(ChangeError::Overlap { table: spec.table, priority: spec.priority });
            }
            self.make_room(bridge, spec.table)?;
        }
        let kept = old.as_ref().filter(|_| !spec.flags.contains(RuleFlags::RESET_COUNTS));
        // A rule that takes over the counters takes over the id too: hits that are still on their way find it.
        let (id, counters) = match kept {
            Some(old) => (old.id, old.counters.clone()),
            None => (RuleId(next_id), Arc::new(Counters::new(old.as_ref().map_or(now, |o| o.counters.used())))),
        };
        self.next_id += u64::from(id.0 == next_id);
        let spec = StoredSpec::new(spec, matching);
        match old {
            Some(_) => self.applied.modified += 1,
            None => self.applied.added += 1,
        }
        self.insert(bridge, Arc::new(Rule { id, spec, created: now, modified: now, counters }))
    }

    /// Change rules; how many.
    fn modify(
        &mut self,
        bridge: BridgeId,
        select: &Select,
        actions: &[Action],
        cookie: Option<u64>,
        flags: RuleFlags,
    ) -> Result<usize, ChangeError> {
        let selected = select_rules(&self.state, bridge, select)?;
        if !selected.is_empty() {
            self.check_uses(bridge, actions)?;
        }
        for old in &selected {
            check_actions(old.spec.table, actions)?;
            let mut spec = old.spec.clone();
            spec.actions = stored_actions(actions);
            spec.cookie = cookie.unwrap_or(spec.cookie);
            let (mut id, mut counters) = (old.id, old.counters.clone());
            if flags.contains(RuleFlags::RESET_COUNTS) {
                (id, counters) = (RuleId(self.next_id), Arc::new(Counters::new(old.counters.used())));
                self.next_id += 1;
            }
            self.applied.modified += 1;
            self.insert(bridge, Arc::new(Rule { id, spec, created: old.created, modified: self.now, counters }))?;
        }
        Ok(selected.len())
    }

    pub(crate) fn modify_or_add(&mut self, bridge: BridgeId, rule: &RuleSpec, strict: bool) -> Result<(), ChangeError> {
        let mut select = Select::exactly(rule);
        select.strict = select.strict.filter(|_| strict);
        match self.modify(bridge, &select, &rule.actions, Some(rule.cookie), rule.flags)? {
            0 => self.add(bridge, rule),
            _ => Ok(()),
        }
    }

    /// Put a rule in, in the place of one with the same match and priority.
    fn insert(&mut self, bridge: BridgeId, rule: Arc<Rule>) -> Result<(), ChangeError> {
        let old = self.table(bridge, rule.spec.table)?.insert(rule.clone());
        let owner = self.bridge(bridge)?;
        if let Some(old) = &old {
            owner.unrank(old);
        }
        owner.rank(&rule);
        self.link(bridge, &rule)?;
        if let Some(old) = old {
            self.unlink(bridge, &old)?;
            if old.id != rule.id {
                self.gone.push((bridge, old, None));
            }
        }
        self.told(bridge, &rule);
        self.put.push((bridge, rule));
        Ok(())
    }

    /// Take a rule out, if it is still there.
    pub(crate) fn remove(&mut self, bridge: BridgeId, rule: &Rule, why: RemoveReason) -> Result<(), ChangeError> {
        let number = rule.spec.table;
        let table = self.table(bridge, number)?;
        let gone = table.remove(&rule.spec.matching, rule.spec.priority);
        let empty = table.len() == 0;
        let owner = self.bridge(bridge)?;
        if empty {
            owner.tables[usize::from(number)] = None;
        }
        let Some(gone) = gone else { return Ok(()) };
        owner.unrank(&gone);
        self.unlink(bridge, &gone)?;
        self.told(bridge, &gone);
        self.gone.push((bridge, gone, Some(why)));
        Ok(())
    }

    /// A rule came, changed or went: tell of the packets that it can match.
    fn told(&mut self, bridge: BridgeId, rule: &Rule) {
        let ports = self.state.bridges.get(&bridge).map(|b| &b.ports);
        let port = |number| ports.and_then(|all| Some(all.get(&number)?.dp));
        let scope = || scope_of(&rule.spec.matching.unpack(), port);
        self.deps.insert_scoped(Dep::Table(bridge, rule.spec.table), scope);
    }

    /// Count what a rule uses and what it learns for as long as it is there.
    fn link(&mut self, bridge: BridgeId, rule: &Rule) -> Result<(), ChangeError> {
        let owner = self.bridge(bridge)?;
        for used in Uses::all(&rule.spec.actions) {
            let n = owner.uses.get(&used).copied().unwrap_or_default();
            owner.uses.insert_mut(used, n + 1);
        }
        for learned in learners(&rule.spec.actions) {
            let n = owner.learners.get(&learned).copied().unwrap_or_default();
            owner.learners.insert_mut(learned, n + 1);
        }
        Ok(())
    }

    fn unlink(&mut self, bridge: BridgeId, rule: &Rule) -> Result<(), ChangeError> {
        let mut orphans = Vec::new();
        let owner = self.bridge(bridge)?;
        for used in Uses::all(&rule.spec.actions) {
            match owner.uses.get(&used).copied().unwrap_or_default() {
                0 | 1 => drop(owner.uses.remove_mut(&used)),
                n => owner.uses.insert_mut(used, n - 1),
            }
        }
        for learned in learners(&rule.spec.actions) {
            match owner.learners.get(&learned).copied().unwrap_or_default() {
                0 | 1 => {
                    owner.learners.remove_mut(&learned);
                    orphans.push(learned);
                }
                n => owner.learners.insert_mut(learned, n - 1),
            }
        }
        self.orphans.extend(orphans.into_iter().map(|(table, cookie)| (bridge, table, cookie)));
        Ok(())
    }

    /// At the end of a change: take out what was learned with `delete_learned` by rules that are gone, all of the table with that
    /// cookie, as OVS does.
    pub(crate) fn remove_orphans(&mut self) -> Result<(), ChangeError> {
        while let Some((bridge, table, cookie)) = self.orphans.pop() {
            if self.bridge(bridge)?.learners.contains_key(&(table, cookie)) {
                continue;
            }
            let select = Select { table: Some(table), cookie: (cookie, u64::MAX), ..Select::default() };
            for rule in select_rules(&self.state, bridge, &select)? {
                self.remove(bridge, &rule, RemoveReason::Delete)?;
            }
        }
        Ok(())
    }

    /// Take out the rules with an action of which `wanted` holds.
    pub(crate) fn remove_using(
        &mut self,
        bridge: BridgeId,
        why: RemoveReason,
        wanted: impl Fn(&Action) -> bool,
    ) -> Result<(), ChangeError> {
        for rule in select_rules(&self.state, bridge, &Select::default())? {
            if crate::rule::any_action(&rule.spec.actions, &mut |a| wanted(a)) {
                self.remove(bridge, &rule, why)?;
            }
        }
        Ok(())
    }

    /// What the batch tells about itself.
    pub(crate) fn applied(&mut self) -> Applied {
        let mut applied = std::mem::take(&mut self.applied);
        applied.epoch = self.state.epoch;
        let told = self.gone.iter().filter_map(|(bridge, rule, why)| Some((bridge, rule, (*why)?)));
        applied.removed =
            told.map(|(bridge, rule, reason)| RemovedRule { entry: rule.entry(*bridge), reason }).collect();
        applied
    }
}

/// Table and cookie of what actions learn, when it goes with the rule.
fn learners(actions: &[Action]) -> Vec<(u8, u64)> {
    let mut all = Vec::new();
    crate::rule::any_action(actions, &mut |action| {
        if let Action::Learn(learn) = action
            && learn.delete_learned
        {
            all.push((learn.table, learn.cookie));
        }
        false
    });
    all
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
            None => found.extend(table.within(&select.matching).filter(|r| select.admits(r)).cloned()),
        }
    }
    found.retain(|r| select.admits(r));
    Ok(found)
}
