//! Bridges: adding, removing, and how they are set.

use crate::change::{GroupChange, MeterChange};
use crate::error::FlowError;
use crate::fdb::{Fdb, FdbEntry, FdbFilter, FdbStats};
use crate::pipeline::Pipeline;
use crate::port::Port;
use crate::rule::{Applied, RuleChange, Select};
use crate::state::{Bridge, FailMode, State, TABLES};
use flow::dp::{BridgeId, Dep};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, OfPort};
use rpds::HashTrieMapSync;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How a bridge is set. The defaults are those of OVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Most addresses that it learns (`mac-table-size`); beyond it, the port with the most of them loses one.
    pub fdb_size: usize,
    /// How long a silent address is remembered (`mac-aging-time`).
    pub fdb_ageing: Duration,
    /// Whether NORMAL forwards packets to reserved addresses (`forward-bpdu`).
    pub forward_bpdu: bool,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        BridgeOptions { fdb_size: 8192, fdb_ageing: Duration::from_secs(300), forward_bpdu: false }
    }
}

/// A bridge, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeInfo {
    pub id: BridgeId,
    pub name: String,
    pub fail_mode: FailMode,
    pub options: BridgeOptions,
    pub ports: Vec<Port>,
    /// Number of rules in all tables.
    pub rules: usize,
}

/// The rule of a bridge that nobody controls: it learns addresses.
fn standalone() -> RuleSpec {
    RuleSpec { priority: 0, actions: vec![Action::Output(OfPort::NORMAL)], ..RuleSpec::default() }
}

impl State {
    /// A bridge to change, in a snapshot that is not in use yet.
    pub(crate) fn known(&mut self, id: BridgeId) -> Result<&mut Bridge, FlowError> {
        self.bridge_mut(id).ok_or_else(|| FlowError::NoBridge(format!("number {}", id.0)))
    }
}

impl Pipeline {
    /// Add a bridge.
    ///
    /// # Errors
    /// The name is taken.
    pub fn add_bridge(&self, name: &str, fail_mode: FailMode) -> Result<BridgeId, FlowError> {
        let options = BridgeOptions {
            fdb_size: self.config().fdb_size,
            fdb_ageing: self.config().fdb_ageing,
            ..Default::default()
        };
        let done = self.run(|batch| {
            if batch.state.by_name(name).is_some() {
                return Err(FlowError::BridgeExists(name.to_owned()));
            }
            batch.state.next_bridge += 1;
            let id = BridgeId(batch.state.next_bridge);
            let counters = || Arc::new(std::array::from_fn::<_, TABLES, _>(|_| AtomicU64::new(0)));
            let bridge = Bridge {
                id,
                name: name.into(),
                fail_mode,
                options,
                ports: Arc::default(),
                tables: vec![None; TABLES],
                configured: Arc::default(),
                groups: HashTrieMapSync::new_sync(),
                meters: HashTrieMapSync::new_sync(),
                uses: HashTrieMapSync::new_sync(),
                learners: HashTrieMapSync::new_sync(),
                mirrors: Arc::from([]),
                fdb: Arc::new(Fdb::new(options.fdb_size, options.fdb_ageing)),
                matched: counters(),
                misses: counters(),
            };
            batch.state.bridges.insert(id, Arc::new(bridge));
            if fail_mode == FailMode::Standalone {
                batch.change_rule(&RuleChange::Add { bridge: id, rule: standalone() }).map_err(first)?;
            }
            Ok(id)
        });
        done.map(|(id, _)| id)
    }

    /// Remove a bridge with its ports and rules.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn remove_bridge(&self, id: BridgeId) -> Result<Applied, FlowError> {
        let done = self.run(|batch| {
            let ports: Vec<OfPort> = batch.state.known(id)?.ports.keys().copied().collect();
            batch.change_rule(&RuleChange::Delete { bridge: id, select: Select::default() }).map_err(first)?;
            batch.change(&MeterChange::Delete { bridge: id, meter: None }.into()).map_err(first)?;
            ports.into_iter().try_for_each(|port| batch.remove_port(id, port).map(drop))?;
            batch.state.bridges.remove(&id);
            batch.deps.insert(Dep::Ports(id));
            Ok(())
        });
        done.map(|((), applied)| applied)
    }

    /// Change what a bridge does without rules. As in OVS without controllers, this removes all rules, groups and meters, and a
    /// standalone bridge gets its NORMAL rule. The present mode changes nothing.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn set_fail_mode(&self, id: BridgeId, fail_mode: FailMode) -> Result<Applied, FlowError> {
        let done = self.run(|batch| {
            let bridge = batch.state.known(id)?;
            if bridge.fail_mode == fail_mode {
                return Ok(());
            }
            bridge.fail_mode = fail_mode;
            batch.change_rule(&RuleChange::Delete { bridge: id, select: Select::default() }).map_err(first)?;
            batch.change(&GroupChange::Delete { bridge: id, group: None }.into()).map_err(first)?;
            batch.change(&MeterChange::Delete { bridge: id, meter: None }.into()).map_err(first)?;
            match fail_mode {
                FailMode::Standalone => {
                    batch.change_rule(&RuleChange::Add { bridge: id, rule: standalone() }).map_err(first)
                }
                FailMode::Secure => Ok(()),
            }
        });
        done.map(|((), applied)| applied)
    }

    /// Set a bridge. As in OVS, the size of the FDB is taken as at least 10 and at most 1,000,000, its ageing as 15 to 3,600
    /// seconds.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn set_bridge_options(&self, id: BridgeId, mut options: BridgeOptions) -> Result<(), FlowError> {
        options.fdb_size = options.fdb_size.clamp(10, 1_000_000);
        options.fdb_ageing = options.fdb_ageing.clamp(Duration::from_secs(15), Duration::from_secs(3600));
        self.run(|batch| {
            batch.state.known(id)?.options = options;
            batch.deps.insert(Dep::Ports(id));
            Ok(())
        })?;
        if let Some(b) = self.state().bridges.get(&id) {
            self.note_stations(id, |tell| b.fdb.configure(options.fdb_size, options.fdb_ageing, tell));
        }
        Ok(())
    }

    /// The bridge with this name.
    #[must_use]
    pub fn bridge(&self, name: &str) -> Option<BridgeId> {
        self.state().by_name(name).map(|b| b.id)
    }

    /// All bridges, oldest first.
    #[must_use]
    pub fn bridges(&self) -> Vec<BridgeInfo> {
        let info = |b: &Arc<Bridge>| BridgeInfo {
            id: b.id,
            name: b.name.to_string(),
            fail_mode: b.fail_mode,
            options: b.options,
            ports: b.ports.values().map(|p| Port::clone(p)).collect(),
            rules: b.tables.iter().flatten().map(|t| t.len()).sum(),
        };
        self.state().bridges.values().map(info).collect()
    }

    // ---- Learned addresses

    /// What a bridge has learned, by VLAN and address.
    #[must_use]
    pub fn fdb(&self, bridge: BridgeId) -> Vec<FdbEntry> {
        self.state().bridges.get(&bridge).map(|b| b.fdb.entries()).unwrap_or_default()
    }

    /// What the learning of a bridge has counted.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn fdb_stats(&self, bridge: BridgeId) -> Result<FdbStats, FlowError> {
        let state = self.state();
        Ok(find(&state, bridge)?.fdb.stats())
    }

    /// Fix an address to a port (`ovs-appctl fdb/add`): it does not age and does not move.
    ///
    /// # Errors
    /// There is no such bridge or port; a group address; a VLAN out of range.
    pub fn fdb_add(&self, bridge: BridgeId, vlan: u16, mac: [u8; 6], port: OfPort) -> Result<(), FlowError> {
        let state = self.state();
        let owner = find(&state, bridge)?;
        if vlan > 0xfff {
            return Err(FlowError::BadVlan(vlan));
        }
        if mac[0] & 1 != 0 {
            return Err(FlowError::GroupAddress(text(mac)));
        }
        let no_port = || FlowError::NoPort { bridge: owner.name.to_string(), port: port.to_string() };
        let dp = owner.ports.get(&port).ok_or_else(no_port)?.dp;
        self.note_stations(bridge, |tell| owner.fdb.fix((vlan, mac), dp, self.now(), tell));
        Ok(())
    }

    /// Forget an address that was fixed to a port (`ovs-appctl fdb/del`).
    ///
    /// # Errors
    /// There is no such bridge or static entry.
    pub fn fdb_remove(&self, bridge: BridgeId, vlan: u16, mac: [u8; 6]) -> Result<(), FlowError> {
        let state = self.state();
        let owner = find(&state, bridge)?;
        if !owner.fdb.unfix((vlan, mac)) {
            return Err(FlowError::NoStaticEntry { bridge: owner.name.to_string(), vlan, mac: text(mac) });
        }
        self.note_stations(bridge, |tell| tell((vlan, mac)));
        Ok(())
    }

    /// Forget what a bridge has learned, on one port or at all. Static entries stay.
    pub fn fdb_flush(&self, bridge: BridgeId, port: Option<DpPort>) {
        self.fdb_flush_where(bridge, FdbFilter { port, ..FdbFilter::default() });
    }

    /// Forget what the filter names.
    pub fn fdb_flush_where(&self, bridge: BridgeId, filter: FdbFilter) {
        if let Some(b) = self.state().bridges.get(&bridge) {
            self.note_stations(bridge, |tell| b.fdb.flush(filter, tell));
        }
    }
}

fn first(error: crate::ChangeError) -> FlowError {
    FlowError::Change { index: 0, error }
}

pub(crate) fn find(state: &State, id: BridgeId) -> Result<&Arc<Bridge>, FlowError> {
    state.bridges.get(&id).ok_or_else(|| FlowError::NoBridge(format!("number {}", id.0)))
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}
