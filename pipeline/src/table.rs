//! Tables as they are configured: names, limits, and what a full one does.

use crate::apply::{Batch, select_rules};
use crate::error::{ChangeError, FlowError};
use crate::pipeline::Pipeline;
use crate::rule::{RemoveReason, Rule, Select};
use crate::state::{Bridge, TABLES};
use flow::Match;
use flow::action::SubField;
use flow::clock::Time;
use flow::dp::{BridgeId, Dep, RuleId};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a table is configured (ovs-vswitchd.conf.db(5), table Flow_Table).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableConfig {
    /// For display.
    pub name: Option<String>,
    /// Most rules; `None`: as many as there is memory for.
    pub limit: Option<u32>,
    pub overflow: Overflow,
    /// Rules with the same values in these fields are a group: eviction takes from the largest. None: one group.
    pub groups: Vec<SubField>,
}

/// What a full table does with one more rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// It refuses.
    #[default]
    Refuse,
    /// It removes a rule with a timeout: of the largest group the one of lowest importance, and of those the one
    /// that would go first by itself. Rules without timeout never make room.
    Evict,
}

/// A table, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    pub table: u8,
    pub config: TableConfig,
    /// Rules in it.
    pub active: usize,
    /// Packets that were looked up in it: those that matched and those that did not.
    pub lookups: u64,
    /// Packets that a rule matched.
    pub matches: u64,
}

/// The values of the grouping fields; nothing for a rule that has no such field.
type GroupKey = Arc<[Option<u128>]>;

/// Where a rule stands in its group: importance, time when it would go (as far as known), id.
type Rank = (u16, Time, RuleId);

/// A configured table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    pub(crate) config: TableConfig,
    /// Rules that can make room, when the table evicts. Ranks may be too early, never too late: they are looked at again when
    /// they come up.
    groups: HashTrieMapSync<GroupKey, RedBlackTreeMapSync<Rank, Arc<Rule>>>,
    /// Sizes of groups, largest first.
    sizes: RedBlackTreeSetSync<(Reverse<usize>, GroupKey)>,
    ranks: HashTrieMapSync<RuleId, (GroupKey, Rank)>,
}

impl Configured {
    fn key(&self, rule: &Rule) -> GroupKey {
        if self.config.groups.is_empty() {
            return Arc::from([]);
        }
        let matching = rule.spec.matching.unpack();
        let value = |f: &SubField| {
            let there = matching.satisfies(f.field.def().prereq);
            there.then(|| f.read(&matching.key, &matching.regs).0)
        };
        self.config.groups.iter().map(value).collect()
    }

    fn resize(&mut self, key: &GroupKey, change: impl FnOnce(&mut RedBlackTreeMapSync<Rank, Arc<Rule>>)) {
        let mut group = self.groups.get(key).cloned().unwrap_or_else(RedBlackTreeMapSync::new_sync);
        self.sizes.remove_mut(&(Reverse(group.size()), key.clone()));
        change(&mut group);
        if group.is_empty() {
            self.groups.remove_mut(key);
        } else {
            self.sizes.insert_mut((Reverse(group.size()), key.clone()));
            self.groups.insert_mut(key.clone(), group);
        }
    }

    fn rank(&mut self, rule: &Arc<Rule>) {
        let Some(at) = rule.expires().filter(|_| self.config.overflow == Overflow::Evict) else { return };
        let (key, rank) = (self.key(rule), (rule.spec.importance, at, rule.id));
        self.resize(&key, |group| group.insert_mut(rank, rule.clone()));
        self.ranks.insert_mut(rule.id, (key, rank));
    }

    fn unrank(&mut self, id: RuleId) {
        let Some((key, rank)) = self.ranks.get(&id).cloned() else { return };
        self.ranks.remove_mut(&id);
        self.resize(&key, |group| {
            group.remove_mut(&rank);
        });
    }

    /// The rule that makes room, if one can.
    fn victim(&mut self) -> Option<Arc<Rule>> {
        loop {
            let (_, key) = self.sizes.first()?;
            let (rank, rule) = self.groups.get(key)?.first()?;
            let (rank, rule) = (*rank, rule.clone());
            match rule.expires() {
                // It was used in the meantime.
                Some(at) if at > rank.1 => {
                    self.unrank(rule.id);
                    self.rank(&rule);
                }
                _ => return Some(rule),
            }
        }
    }

    fn is_full(&self, rules: usize) -> bool {
        self.config.limit.is_some_and(|limit| rules >= limit as usize)
    }
}

impl Bridge {
    fn configured(&mut self, table: u8) -> Option<&mut Configured> {
        self.configured.contains_key(&table).then(|| Arc::make_mut(&mut self.configured).get_mut(&table)).flatten()
    }

    /// A rule was put into its table.
    pub(crate) fn rank(&mut self, rule: &Arc<Rule>) {
        if let Some(table) = self.configured(rule.spec.table) {
            table.rank(rule);
        }
    }

    /// A rule was taken out of its table.
    pub(crate) fn unrank(&mut self, rule: &Rule) {
        if let Some(table) = self.configured(rule.spec.table) {
            table.unrank(rule.id);
        }
    }

    fn rules_in(&self, table: u8) -> usize {
        self.table(table).map_or(0, |t| t.len())
    }
}

impl Batch {
    /// See that one more rule fits into a table.
    pub(crate) fn make_room(&mut self, bridge: BridgeId, table: u8) -> Result<(), ChangeError> {
        let owner = self.bridge(bridge)?;
        let rules = owner.rules_in(table);
        let Some(configured) = owner.configured(table).filter(|c| c.is_full(rules)) else { return Ok(()) };
        match configured.victim() {
            Some(rule) => self.remove(bridge, &rule, RemoveReason::Eviction),
            None => Err(ChangeError::TableFull { table, limit: configured.config.limit.unwrap_or_default() }),
        }
    }

    fn set_table_config(&mut self, bridge: BridgeId, table: u8, config: TableConfig) -> Result<(), ChangeError> {
        if usize::from(table) >= TABLES {
            return Err(ChangeError::BadTable(table));
        }
        let select = Select { table: Some(table), ..Select::default() };
        let rules = select_rules(&self.state, bridge, &select)?;
        let owner = self.bridge(bridge)?;
        let all = Arc::make_mut(&mut owner.configured);
        if config == TableConfig::default() {
            all.remove(&table);
            return Ok(());
        }
        let mut configured = Configured { config, ..Configured::default() };
        rules.iter().for_each(|rule| configured.rank(rule));
        let limit = configured.config.limit;
        all.insert(table, configured);
        // A limit below what is there: room is made as far as rules may go.
        let over = limit.map_or(0, |limit| rules.len().saturating_sub(limit as usize));
        for _ in 0..over {
            let Some(rule) = self.bridge(bridge)?.configured(table).and_then(Configured::victim) else { break };
            self.remove(bridge, &rule, RemoveReason::Eviction)?;
        }
        self.deps.insert(Dep::Table(bridge, table));
        self.remove_orphans()
    }
}

impl Pipeline {
    /// Configure a table; [`TableConfig::default`] takes the configuration away. When a limit is below the number of rules that are
    /// there, an evicting table is brought down as far as it can be; a refusing one keeps what it has.
    ///
    /// # Errors
    /// There is no such bridge or table.
    pub fn set_table_config(&self, bridge: BridgeId, table: u8, config: TableConfig) -> Result<(), FlowError> {
        let done = self.run(|batch| batch.set_table_config(bridge, table, config));
        done.map(drop).map_err(|error| FlowError::Change { index: 0, error })
    }

    /// All tables that have rules, a configuration, or were looked up in.
    #[must_use]
    pub fn table_stats(&self, bridge: BridgeId) -> Vec<TableStats> {
        let state = self.state();
        let Some(owner) = state.bridges.get(&bridge) else { return Vec::new() };
        let mut retired = vec![0; TABLES];
        self.retired(|id, rule| {
            if id == bridge {
                retired[usize::from(rule.spec.table)] += rule.counters.packets();
            }
        });
        let stats = |table: u8| {
            let i = usize::from(table);
            let live: u64 =
                owner.table(table).map_or(0, |t| t.within(&Match::default()).map(|r| r.counters.packets()).sum());
            let matches = live + retired[i] + owner.matched[i].load(Ordering::Relaxed);
            TableStats {
                table,
                config: owner.configured.get(&table).map(|c| c.config.clone()).unwrap_or_default(),
                active: owner.rules_in(table),
                lookups: matches + owner.misses[i].load(Ordering::Relaxed),
                matches,
            }
        };
        let used = |s: &TableStats| s.active != 0 || s.lookups != 0 || s.config != TableConfig::default();
        (0..TABLES as u8).map(stats).filter(used).collect()
    }
}
