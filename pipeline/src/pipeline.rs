//! The state behind its locks: who may change it, who reads it.

use crate::apply::{Batch, select_rules};
use crate::changes::Changes;
use crate::error::{ChangeError, FlowError};
use crate::fdb::{Fdb, FdbEntry};
use crate::port::{Port, PortSpec, PortUpdate, Ports, VlanMode};
use crate::rule::{Applied, Registry, RemoveReason, RemovedRule, Rule, RuleChange, RuleEntry, Select};
use crate::state::{Bridge, FailMode, State, TABLES};
use crate::translate;
use arc_swap::ArcSwap;
use flow::clock::{Clock, Time};
use flow::dp::{BridgeId, Dep, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FlowKey, OfPort};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Limits. The defaults are those of OVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most addresses that a bridge learns; beyond it the one silent for longest is forgotten.
    pub fdb_size: usize,
    /// How long a silent address is remembered.
    pub fdb_ageing: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { fdb_size: 8192, fdb_ageing: Duration::from_secs(300) }
    }
}

/// What only writers see.
#[derive(Debug)]
struct Writer {
    next_rule: u64,
    next_bridge: u32,
    /// Rules with a timeout.
    timed: HashMap<RuleId, (BridgeId, Arc<Rule>)>,
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
    changes: Changes,
    recircs: translate::Recircs,
}

/// A bridge, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeInfo {
    pub id: BridgeId,
    pub name: String,
    pub fail_mode: FailMode,
    pub ports: Vec<Port>,
    /// Number of rules in all tables.
    pub rules: usize,
}

impl Pipeline {
    /// A pipeline without bridges.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, config: Config) -> Pipeline {
        Pipeline {
            clock,
            config,
            state: ArcSwap::default(),
            writer: Mutex::new(Writer { next_rule: 1, next_bridge: 1, timed: HashMap::new() }),
            rules: Registry::default(),
            changes: Changes::default(),
            recircs: translate::Recircs::default(),
        }
    }

    fn env(&self) -> translate::Env<'_> {
        translate::Env { recircs: &self.recircs, changes: &self.changes }
    }

    /// Counts committed changes.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.state.load().epoch
    }

    // ---- Bridges

    /// Add a bridge.
    ///
    /// # Errors
    /// The name is taken.
    pub fn add_bridge(&self, name: &str, fail_mode: FailMode) -> Result<BridgeId, FlowError> {
        let mut writer = self.writer.lock();
        let mut state = State::clone(&self.state.load());
        if state.by_name(name).is_some() {
            return Err(FlowError::BridgeExists(name.to_owned()));
        }
        let id = BridgeId(writer.next_bridge);
        writer.next_bridge += 1;
        let bridge = Bridge {
            id,
            name: name.into(),
            fail_mode,
            ports: Arc::default(),
            tables: vec![None; TABLES],
            groups: Default::default(),
            meters: Default::default(),
            mirrors: Default::default(),
            fdb: Arc::new(Fdb::new(self.config.fdb_size, self.config.fdb_ageing)),
            misses: Arc::new(std::array::from_fn(|_| AtomicU64::new(0))),
        };
        state.bridges.insert(id, Arc::new(bridge));
        let mut batch = Batch::new(state, self.clock.now(), writer.next_rule);
        if fail_mode == FailMode::Standalone {
            let normal = RuleSpec { priority: 0, actions: vec![Action::Output(OfPort::NORMAL)], ..RuleSpec::default() };
            batch
                .change(&RuleChange::Add { bridge: id, rule: normal })
                .map_err(|error| FlowError::Change { index: 0, error })?;
        }
        self.commit(&mut writer, batch);
        Ok(id)
    }

    /// Remove a bridge with its ports and rules.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn remove_bridge(&self, id: BridgeId) -> Result<Applied, FlowError> {
        let mut writer = self.writer.lock();
        let state = State::clone(&self.state.load());
        let bridge = find(&state, id)?.clone();
        let mut batch = Batch::new(state, self.clock.now(), writer.next_rule);
        batch
            .change(&RuleChange::Delete { bridge: id, select: Select::default() })
            .map_err(|error| FlowError::Change { index: 0, error })?;
        batch.state.bridges.remove(&id);
        Arc::make_mut(&mut batch.state.owners).retain(|_, (owner, _)| *owner != id);
        batch.deps.insert(Dep::Ports(id));
        batch.deps.extend(bridge.ports.values().map(|p| Dep::PortOwner(p.dp)));
        Ok(self.commit(&mut writer, batch))
    }

    /// The bridge with this name.
    #[must_use]
    pub fn bridge(&self, name: &str) -> Option<BridgeId> {
        self.state.load().by_name(name).map(|b| b.id)
    }

    /// All bridges, oldest first.
    #[must_use]
    pub fn bridges(&self) -> Vec<BridgeInfo> {
        let info = |b: &Arc<Bridge>| BridgeInfo {
            id: b.id,
            name: b.name.to_string(),
            fail_mode: b.fail_mode,
            ports: b.ports.values().map(|p| Port::clone(p)).collect(),
            rules: b.tables.iter().flatten().map(|t| t.len()).sum(),
        };
        self.state.load().bridges.values().map(info).collect()
    }

    // ---- Ports

    /// Add a port; its OpenFlow number is the answer.
    ///
    /// # Errors
    /// No such bridge; the name, the number or the datapath port is taken; a number or VLAN out of range.
    pub fn add_port(&self, bridge: BridgeId, spec: PortSpec) -> Result<OfPort, FlowError> {
        let mut writer = self.writer.lock();
        let mut state = State::clone(&self.state.load());
        check_vlan(&spec.vlan)?;
        if let Some((owner, _)) = state.owners.get(&spec.dp) {
            let bridge = state.bridges.get(owner).map(|b| b.name.to_string()).unwrap_or_default();
            return Err(FlowError::PortOwned { dp: spec.dp, bridge });
        }
        find(&state, bridge)?;
        let Some(owner) = state.bridge_mut(bridge) else { return Err(no_bridge(bridge)) };
        let number = choose_number(owner, &spec)?;
        let (name, dp) = (spec.name, spec.dp);
        let port = Port {
            name,
            number,
            dp,
            kind: spec.kind,
            peer: None,
            vlan: spec.vlan,
            flood: spec.flood,
            up: spec.up,
            enabled: spec.up,
        };
        Arc::make_mut(&mut owner.ports).insert(number, Arc::new(port));
        Arc::make_mut(&mut state.owners).insert(dp, (bridge, number));
        let mut batch = Batch::new(state, self.clock.now(), writer.next_rule);
        batch.deps.extend([Dep::Ports(bridge), Dep::PortOwner(dp)]);
        self.commit(&mut writer, batch);
        Ok(number)
    }

    /// Remove a port and forget what was learned on it.
    ///
    /// # Errors
    /// There is no such bridge or port.
    pub fn remove_port(&self, bridge: BridgeId, number: OfPort) -> Result<Port, FlowError> {
        let mut writer = self.writer.lock();
        let mut state = State::clone(&self.state.load());
        let port = find_port(&state, bridge, number)?;
        if let Some(owner) = state.bridge_mut(bridge) {
            Arc::make_mut(&mut owner.ports).remove(&number);
        }
        Arc::make_mut(&mut state.owners).remove(&port.dp);
        let mut batch = Batch::new(state, self.clock.now(), writer.next_rule);
        batch.deps.extend([Dep::Ports(bridge), Dep::PortOwner(port.dp)]);
        self.commit(&mut writer, batch);
        self.forget(bridge, Some(port.dp));
        Ok(Port::clone(&port))
    }

    /// Change a port. A new VLAN mode forgets what was learned on it.
    ///
    /// # Errors
    /// There is no such bridge or port; a VLAN out of range.
    pub fn update_port(&self, bridge: BridgeId, number: OfPort, update: PortUpdate) -> Result<(), FlowError> {
        let mut writer = self.writer.lock();
        let mut state = State::clone(&self.state.load());
        if let Some(vlan) = &update.vlan {
            check_vlan(vlan)?;
        }
        let old = find_port(&state, bridge, number)?;
        let mut port = Port::clone(&old);
        port.vlan = update.vlan.unwrap_or(port.vlan);
        port.flood = update.flood.unwrap_or(port.flood);
        port.up = update.up.unwrap_or(port.up);
        if port == *old {
            return Ok(());
        }
        let relearn = port.vlan != old.vlan;
        if let Some(owner) = state.bridge_mut(bridge) {
            Arc::make_mut(&mut owner.ports).insert(number, Arc::new(port));
        }
        let mut batch = Batch::new(state, self.clock.now(), writer.next_rule);
        batch.deps.insert(Dep::Ports(bridge));
        self.commit(&mut writer, batch);
        if relearn {
            self.forget(bridge, Some(old.dp));
        }
        Ok(())
    }

    /// The ports of a bridge by number.
    #[must_use]
    pub fn ports(&self, bridge: BridgeId) -> Vec<Port> {
        let state = self.state.load();
        state.bridges.get(&bridge).map(|b| b.ports.values().map(|p| Port::clone(p)).collect()).unwrap_or_default()
    }

    /// To which bridge a datapath port belongs, and its number there.
    #[must_use]
    pub fn owner(&self, dp: DpPort) -> Option<(BridgeId, OfPort)> {
        self.state.load().owners.get(&dp).copied()
    }

    // ---- Rules

    /// Change rules: all of the changes or, when one is refused, none. A translation sees none or all.
    ///
    /// # Errors
    /// [`FlowError::Change`] says which change is refused and why.
    pub fn apply(&self, changes: &[RuleChange]) -> Result<Applied, FlowError> {
        let mut writer = self.writer.lock();
        let mut batch = Batch::new(State::clone(&self.state.load()), self.clock.now(), writer.next_rule);
        for (index, change) in changes.iter().enumerate() {
            batch.change(change).map_err(|error| FlowError::Change { index, error })?;
        }
        Ok(self.commit(&mut writer, batch))
    }

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

    /// Take out rules whose time is over, and addresses silent for too long. Counters of hardware should have been
    /// replayed before. Call about once a second.
    pub fn expire(&self, now: Time) -> Vec<RemovedRule> {
        for bridge in self.state.load().bridges.values() {
            self.note_stations(bridge.id, |tell| bridge.fdb.expire(now, tell));
        }
        let mut writer = self.writer.lock();
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
        self.commit(&mut writer, batch).removed
    }

    // ---- Learned addresses

    /// What a bridge has learned, by VLAN and address.
    #[must_use]
    pub fn fdb(&self, bridge: BridgeId) -> Vec<FdbEntry> {
        self.state.load().bridges.get(&bridge).map(|b| b.fdb.entries()).unwrap_or_default()
    }

    /// Forget what a bridge has learned, on one port or at all.
    pub fn fdb_flush(&self, bridge: BridgeId, port: Option<DpPort>) {
        self.forget(bridge, port);
    }

    fn forget(&self, bridge: BridgeId, port: Option<DpPort>) {
        if let Some(b) = self.state.load().bridges.get(&bridge) {
            self.note_stations(bridge, |tell| b.fdb.flush(port, tell));
        }
    }

    /// Run `change`; the stations that it tells have changed.
    fn note_stations(&self, bridge: BridgeId, change: impl FnOnce(&mut dyn FnMut((u16, [u8; 6])))) {
        let mut deps = Vec::new();
        change(&mut |(vlan, mac)| deps.push(Dep::Fdb(bridge, vlan, mac)));
        if !deps.is_empty() {
            self.changes.add(deps);
        }
    }

    /// Make a batch the present state.
    fn commit(&self, writer: &mut Writer, mut batch: Batch) -> Applied {
        writer.next_rule = batch.next_id();
        // Ids must be known before a translation can name them.
        for (bridge, rule) in batch.put.drain(..) {
            rule.counters.touch(rule.created);
            self.rules.insert(&rule);
            if rule.has_timeout() {
                writer.timed.insert(rule.id, (bridge, rule));
            } else {
                writer.timed.remove(&rule.id);
            }
        }
        batch.state.epoch += 1;
        batch.applied.epoch = batch.state.epoch;
        self.state.store(Arc::new(batch.state));
        for id in &batch.dropped {
            self.rules.remove(*id);
            writer.timed.remove(id);
        }
        self.changes.add(batch.deps);
        batch.applied
    }
}

impl Slowpath for Pipeline {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        translate::translate(self.env(), &self.state.load(), at, key)
    }

    fn replay(&self, effects: &[Effect], hits: &Hits) {
        for effect in effects {
            match *effect {
                Effect::Rule(id) => self.rules.hit(id, hits),
                Effect::TableMiss(bridge, table) => {
                    let state = self.state.load();
                    if let Some(misses) = state.bridges.get(&bridge).and_then(|b| b.misses.get(usize::from(table))) {
                        misses.fetch_add(hits.packets, Ordering::Relaxed);
                    }
                }
                Effect::FdbRefresh { bridge, vlan, mac, port } => {
                    let state = self.state.load();
                    let here = state.owners.get(&port).is_some_and(|(owner, _)| *owner == bridge);
                    if let Some(b) = state.bridges.get(&bridge).filter(|_| here && hits.packets != 0) {
                        self.note_stations(bridge, |tell| b.fdb.refresh((vlan, mac), port, hits.used, tell));
                    }
                }
                // Made by no translation of this pipeline.
                Effect::Bucket { .. }
                | Effect::Learn { .. }
                | Effect::Mirror { .. }
                | Effect::BondBucket { .. }
                | Effect::Neighbour { .. } => {}
            }
        }
    }

    fn take_changes(&self, changes: &mut Vec<Dep>) {
        self.changes.take(changes);
    }
}

fn no_bridge(id: BridgeId) -> FlowError {
    FlowError::NoBridge(format!("number {}", id.0))
}

fn find(state: &State, id: BridgeId) -> Result<&Arc<Bridge>, FlowError> {
    state.bridges.get(&id).ok_or_else(|| no_bridge(id))
}

fn find_port(state: &State, bridge: BridgeId, number: OfPort) -> Result<Arc<Port>, FlowError> {
    let owner = find(state, bridge)?;
    owner
        .ports
        .get(&number)
        .cloned()
        .ok_or_else(|| FlowError::NoPort { bridge: owner.name.to_string(), port: number.to_string() })
}

fn check_vlan(mode: &VlanMode) -> Result<(), FlowError> {
    match mode {
        VlanMode::Access(vid)
        | VlanMode::NativeTagged { native: vid, .. }
        | VlanMode::NativeUntagged { native: vid, .. }
            if *vid > 0xfff =>
        {
            Err(FlowError::BadVlan(*vid))
        }
        _ => Ok(()),
    }
}

fn choose_number(bridge: &Bridge, spec: &PortSpec) -> Result<OfPort, FlowError> {
    let ports: &Ports = &bridge.ports;
    let name = || bridge.name.to_string();
    if ports.values().any(|p| p.name == spec.name) {
        return Err(FlowError::PortExists { bridge: name(), name: spec.name.clone() });
    }
    match spec.number {
        Some(number) if !number.is_real() && number != OfPort::LOCAL => Err(FlowError::NumberReserved(number)),
        Some(number) => match ports.get(&number) {
            Some(p) => Err(FlowError::NumberTaken { bridge: name(), number, name: p.name.clone() }),
            None => Ok(number),
        },
        None => (1..OfPort::MAX.0)
            .map(OfPort)
            .find(|n| !ports.contains_key(n))
            .ok_or_else(|| FlowError::NumbersExhausted(name())),
    }
}
