//! The state behind its locks: who may change it, who reads it.

use crate::apply::{Batch, select_rules};
use crate::bridges::BridgeOptions;
use crate::change::Change;
use crate::changes::Changes;
use crate::error::{ChangeError, FlowError};
use crate::learn::LearnCounters;
use crate::meter::MeterTable;
use crate::notice::NoticeQueue;
use crate::rule::{Applied, Registry, RemoveReason, RemovedRule, Rule, RuleChange, RuleEntry, Select};
use crate::state::State;
use crate::translate;
use arc_swap::{ArcSwap, Guard};
use flow::FlowKey;
use flow::clock::{Clock, Time};
use flow::dp::{self, BridgeId, Dep, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Limits. The defaults are those of OVS where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most addresses that a new bridge learns; beyond it, the port with the most of them loses the one that was silent for
    /// longest.
    pub fdb_size: usize,
    /// How long a new bridge remembers a silent address.
    pub fdb_ageing: Duration,
    /// Most notices that wait to be taken.
    pub notices: usize,
}

impl Default for Config {
    fn default() -> Self {
        let BridgeOptions { fdb_size, fdb_ageing, .. } = BridgeOptions::default();
        Config { fdb_size, fdb_ageing, notices: 65_536 }
    }
}

/// How long hits that come late still count for a rule that is gone: in its notice and its table's statistics.
const RETIREMENT: Duration = Duration::from_secs(2);

/// What only writers see.
#[derive(Debug)]
struct Writer {
    next_rule: u64,
    /// Rules with a timeout.
    timed: HashMap<RuleId, (BridgeId, Arc<Rule>)>,
    /// Rules that went lately, and when.
    retired: VecDeque<(Time, BridgeId, Arc<Rule>)>,
}

/// OpenFlow state and its translation. Shared by reference: any number of threads translate and replay while one
/// changes it.
#[derive(Debug)]
pub struct Pipeline {
    clock: Arc<dyn Clock>,
    config: Config,
    state: ArcSwap<State>,
    writer: Mutex<Writer>,
    rules: Registry,
    meters: Arc<MeterTable>,
    changes: Changes,
    recircs: translate::Recircs,
    notices: NoticeQueue,
    learned: LearnCounters,
}

impl Pipeline {
    /// A pipeline without bridges.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, config: Config) -> Pipeline {
        Pipeline {
            clock,
            config,
            state: ArcSwap::default(),
            writer: Mutex::new(Writer { next_rule: 1, timed: HashMap::new(), retired: VecDeque::new() }),
            rules: Registry::default(),
            meters: Arc::default(),
            changes: Changes::default(),
            recircs: translate::Recircs::default(),
            notices: NoticeQueue::new(config.notices),
            learned: LearnCounters::default(),
        }
    }

    /// Counts committed changes.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.state.load().epoch
    }

    /// The meters of all bridges at work: for the datapath.
    #[must_use]
    pub fn meter_table(&self) -> &Arc<MeterTable> {
        &self.meters
    }

    pub(crate) fn env(&self) -> translate::Env<'_> {
        translate::Env { recircs: &self.recircs, changes: &self.changes, first: None }
    }

    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn notices(&self) -> &NoticeQueue {
        &self.notices
    }

    pub(crate) fn learn_counters(&self) -> &LearnCounters {
        &self.learned
    }

    // ---- Changes

    /// Change rules: all of the changes or, when one is refused, none. A translation sees none or all.
    ///
    /// # Errors
    /// [`FlowError::Change`] says which change is refused and why.
    pub fn apply(&self, changes: &[RuleChange]) -> Result<Applied, FlowError> {
        self.each(changes, Batch::change_rule)
    }

    /// Change rules, groups, meters and ports: all of the changes or, when one is refused, none (OpenFlow: an atomic and
    /// ordered bundle). A translation sees none or all. Later changes see what earlier ones did.
    ///
    /// # Errors
    /// [`FlowError::Change`] says which change is refused and why.
    pub fn change(&self, changes: &[Change]) -> Result<Applied, FlowError> {
        self.each(changes, Batch::change)
    }

    fn each<C>(
        &self,
        changes: &[C],
        change: impl Fn(&mut Batch, &C) -> Result<(), ChangeError>,
    ) -> Result<Applied, FlowError> {
        let done = self.run(|batch| {
            let mut all = changes.iter().enumerate();
            all.try_for_each(|(index, c)| change(batch, c).map_err(|error| FlowError::Change { index, error }))
        });
        done.map(|((), applied)| applied)
    }

    /// Do something to a copy of the state, and make that the state unless it fails.
    pub(crate) fn run<T, E>(&self, change: impl FnOnce(&mut Batch) -> Result<T, E>) -> Result<(T, Applied), E> {
        let mut writer = self.writer.lock();
        let mut batch = Batch::new(State::clone(&self.state.load()), self.clock.now(), writer.next_rule);
        let value = change(&mut batch)?;
        Ok((value, self.commit(&mut writer, batch)))
    }

    /// Make a batch the present state.
    fn commit(&self, writer: &mut Writer, mut batch: Batch) -> Applied {
        let now = self.clock.now();
        writer.next_rule = batch.next_id();
        // Numbers must mean something before a translation can name them.
        for (id, spec) in batch.meters.drain(..) {
            // It was checked when it was put into the batch.
            let _ = self.meters.put(id, spec, now);
        }
        for (bridge, rule) in batch.put.drain(..) {
            self.rules.insert(&rule);
            if rule.has_timeout() {
                writer.timed.insert(rule.id, (bridge, rule));
            } else {
                writer.timed.remove(&rule.id);
            }
        }
        batch.state.epoch += 1;
        let applied = batch.applied();
        self.state.store(Arc::new(batch.state));
        for id in &batch.meters_gone {
            self.meters.remove(*id);
        }
        self.notices.add(now, &batch.gone);
        for (bridge, rule, _) in batch.gone {
            writer.timed.remove(&rule.id);
            writer.retired.push_back((now, bridge, rule));
        }
        self.sweep(writer, now);
        self.changes.merge(batch.deps);
        for (bridge, filter) in batch.forget {
            self.fdb_flush_where(bridge, filter);
        }
        applied
    }

    /// Forget rules that went a while ago.
    fn sweep(&self, writer: &mut Writer, now: Time) {
        let state = self.state.load();
        while writer.retired.front().is_some_and(|(at, ..)| now.since(*at) >= RETIREMENT) {
            let Some((_, bridge, rule)) = writer.retired.pop_front() else { return };
            self.rules.remove(rule.id);
            if let Some(owner) = state.bridges.get(&bridge) {
                owner.matched[usize::from(rule.spec.table)].fetch_add(rule.counters.packets(), Ordering::Relaxed);
            }
        }
    }

    /// Call with each rule that went lately.
    pub(crate) fn retired(&self, mut each: impl FnMut(BridgeId, &Rule)) {
        for (_, bridge, rule) in &self.writer.lock().retired {
            each(*bridge, rule);
        }
    }

    /// Take out rules whose time is over, and addresses silent for too long. Counters of hardware should have been
    /// replayed before. Call about once a second.
    pub fn expire(&self, now: Time) -> Vec<RemovedRule> {
        for bridge in self.state.load().bridges.values() {
            self.note_stations(bridge.id, |tell| bridge.fdb.expire(now, tell));
        }
        let mut writer = self.writer.lock();
        self.sweep(&mut writer, now);
        let due: Vec<(BridgeId, Arc<Rule>, RemoveReason)> = writer
            .timed
            .values()
            .filter_map(|(bridge, rule)| Some((*bridge, rule.clone(), rule.timed_out(now)?)))
            .collect();
        if due.is_empty() {
            return Vec::new();
        }
        let mut batch = Batch::new(State::clone(&self.state.load()), now, writer.next_rule);
        for (bridge, rule, why) in due {
            // Refused only when the bridge is gone: then the rule is gone too.
            let _ = batch.remove(bridge, &rule, why);
        }
        let _ = batch.remove_orphans();
        self.commit(&mut writer, batch).removed
    }

    // ---- Rules

    /// The rules meant, by table, then priority from high to low, then age.
    ///
    /// # Errors
    /// There is no such bridge or table.
    pub fn dump(&self, bridge: BridgeId, select: &Select) -> Result<Vec<RuleEntry>, ChangeError> {
        let mut rules = select_rules(&self.state.load(), bridge, select)?;
        rules.sort_unstable_by_key(|r| (r.spec.table, std::cmp::Reverse(r.spec.priority), r.created, r.id));
        Ok(rules.iter().map(|r| r.entry(bridge)).collect())
    }

    /// Packets that no rule of a table matched.
    #[must_use]
    pub fn table_misses(&self, bridge: BridgeId, table: u8) -> u64 {
        let state = self.state.load();
        let misses = state.bridges.get(&bridge).and_then(|b| b.misses.get(usize::from(table)));
        misses.map_or(0, |m| m.load(Ordering::Relaxed))
    }

    /// Run `change`; the stations that it tells have changed.
    pub(crate) fn note_stations(&self, bridge: BridgeId, change: impl FnOnce(&mut dyn FnMut((u16, [u8; 6])))) {
        let mut deps = Vec::new();
        change(&mut |(vlan, mac)| deps.push(Dep::Fdb(bridge, vlan, mac)));
        if !deps.is_empty() {
            self.changes.add(deps);
        }
    }
}

impl Slowpath for Pipeline {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        translate::translate(self.env(), &self.state.load(), at, key)
    }

    fn translate_first(&self, at: &Resume, key: &FlowKey, first: &Hits) -> Translation {
        let env = translate::Env { first: Some(first), ..self.env() };
        let translation = translate::translate(env, &self.state.load(), at, key);
        // Rules have counted: their numbers need not be looked up.
        let rest = translation.effects.iter().filter(|effect| !matches!(effect, Effect::Rule(_)));
        rest.for_each(|effect| self.replay(std::slice::from_ref(effect), first));
        translation
    }

    fn replay(&self, effects: &[Effect], hits: &Hits) {
        for effect in effects {
            match effect {
                Effect::Rule(id) => self.rules.hit(*id, hits),
                Effect::TableMiss(bridge, table) => {
                    let state = self.state.load();
                    if let Some(misses) = state.bridges.get(bridge).and_then(|b| b.misses.get(usize::from(*table))) {
                        misses.fetch_add(hits.packets, Ordering::Relaxed);
                    }
                }
                Effect::FdbRefresh { bridge, vlan, mac, port } => {
                    let state = self.state.load();
                    let here = state.owners.get(port).is_some_and(|(owner, _)| owner == bridge);
                    if let Some(b) = state.bridges.get(bridge).filter(|_| here && hits.packets != 0) {
                        self.note_stations(*bridge, |tell| b.fdb.refresh((*vlan, *mac), *port, hits.used, tell));
                    }
                }
                Effect::Bucket { bridge, group, bucket } => {
                    let state = self.state.load();
                    if let Some(group) = state.bridges.get(bridge).and_then(|b| b.groups.get(group)) {
                        group.hit(*bucket, hits);
                    }
                }
                Effect::Learn(learned) => self.learn(learned, hits),
                Effect::Mirror { bridge, mirror } => {
                    let state = self.state.load();
                    let mirrors = state.bridges.get(bridge).map(|b| b.mirrors.iter()).into_iter().flatten();
                    mirrors.filter(|m| m.id == *mirror).for_each(|m| m.count.add(hits));
                }
                // Made by no translation of this pipeline.
                Effect::BondBucket { .. } | Effect::Neighbour { .. } => {}
            }
        }
    }

    fn take_changes(&self, changes: &mut Vec<dp::Change>) {
        self.changes.take(changes);
    }

    fn on_change(&self, call: Box<dyn Fn() + Send + Sync>) -> bool {
        self.changes.on_change(call)
    }
}
