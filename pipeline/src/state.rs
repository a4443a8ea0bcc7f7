//! The snapshot that translation reads: bridges, ports, tables. Never changed, only replaced.

use crate::bridges::BridgeOptions;
use crate::classifier::Table;
use crate::fdb::Fdb;
use crate::group::Groups;
use crate::hardware::Hardware;
use crate::meters::MeterIds;
use crate::meters::Meters;
use crate::mirror::Mirrors;
use crate::numbers::NumberMap;
use crate::port::{Bonds, Ports};
use crate::rule::Uses;
use crate::table::Configured;
use flow::dp::BridgeId;
use flow::{DpPort, OfPort};
use rpds::HashTrieMapSync;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Number of tables of a bridge: 0 to 254.
pub(crate) const TABLES: usize = 255;

/// What a bridge does without rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// It starts with one rule, `priority=0,actions=NORMAL`: a MAC-learning switch until rules say otherwise.
    #[default]
    Standalone,
    /// It starts without rules and drops.
    Secure,
}

#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub(crate) id: BridgeId,
    pub(crate) name: Arc<str>,
    pub(crate) fail_mode: FailMode,
    pub(crate) ports: Arc<Ports>,
    /// Always [`TABLES`] of them; `None`: empty.
    pub(crate) tables: Vec<Option<Arc<Table>>>,
    pub(crate) groups: Groups,
    pub(crate) meters: Meters,
    pub(crate) mirrors: Mirrors,
    pub(crate) fdb: Arc<Fdb>,
    pub(crate) options: BridgeOptions,
    /// Tables that are not as tables are by default.
    pub(crate) configured: Arc<BTreeMap<u8, Configured>>,
    /// How many rules use each group and meter.
    pub(crate) uses: HashTrieMapSync<Uses, u32>,
    /// How many `learn` actions with `delete_learned` make rules with each table and cookie.
    pub(crate) learners: HashTrieMapSync<(u8, u64), u32>,
    /// Packets that rules matched that are gone.
    pub(crate) matched: Arc<[AtomicU64; TABLES]>,
    /// Packets that no rule of a table matched.
    pub(crate) misses: Arc<[AtomicU64; TABLES]>,
}

impl Bridge {
    pub(crate) fn table(&self, id: u8) -> Option<&Table> {
        self.tables.get(usize::from(id))?.as_deref()
    }

    /// A table to change, in a snapshot that is not in use yet.
    pub(crate) fn table_mut(&mut self, id: u8) -> Option<&mut Table> {
        Some(Arc::make_mut(self.tables.get_mut(usize::from(id))?.get_or_insert_default()))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) epoch: u64,
    pub(crate) bridges: BTreeMap<BridgeId, Arc<Bridge>>,
    pub(crate) owners: Arc<NumberMap<DpPort, (BridgeId, OfPort)>>,
    /// Patch ports by name.
    pub(crate) patches: Arc<HashMap<String, (BridgeId, OfPort)>>,
    pub(crate) next_bridge: u32,
    pub(crate) next_patch: u32,
    pub(crate) next_mirror: u32,
    pub(crate) meter_ids: Arc<MeterIds>,
    pub(crate) bonds: Option<Arc<dyn Bonds>>,
    pub(crate) hardware: Option<Arc<dyn Hardware>>,
}

impl State {
    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Bridge>> {
        self.bridges.values().find(|b| &*b.name == name)
    }

    /// A bridge to change, in a snapshot that is not in use yet.
    pub(crate) fn bridge_mut(&mut self, id: BridgeId) -> Option<&mut Bridge> {
        self.bridges.get_mut(&id).map(Arc::make_mut)
    }
}
