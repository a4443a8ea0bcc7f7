//! Tables of bridges: limits and what a full one does.

use super::errors::{invalid, pipeline};
use super::{Control, Inner};
use crate::state::{Change, ObjectKey, rule_key};
use ::pipeline::{Overflow, Select, TableConfig};
use api::{Ack, Error, TableSet, TableView};
use flow::dp::BridgeId;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Control {
    /// Tables with rules, packets or a limit.
    pub fn tables(&self, bridge: &str) -> Result<Vec<TableView>, Error> {
        let id = self.lock().bridge(bridge)?;
        self.switch.fold();
        let view = |t: ::pipeline::TableStats| TableView {
            table: t.table,
            flows: t.active,
            lookups: t.lookups,
            matches: t.matches,
            limit: t.config.limit,
            eviction: t.config.overflow == Overflow::Evict,
        };
        Ok(self.switch.pipeline().table_stats(id).into_iter().map(view).collect())
    }

    /// Limit a table, or no longer.
    pub fn table_set(&self, bridge: &str, table: u8, set: &TableSet) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let tables = self.switch.pipeline().table_stats(id);
        let present = tables.into_iter().find(|t| t.table == table).map(|t| t.config).unwrap_or_default();
        let limit = set.limit.map_or(present.limit, |n| Some(n).filter(|n| *n != 0));
        let eviction = set.eviction.unwrap_or(present.overflow == Overflow::Evict);
        let whole = TableSet { limit: Some(limit.unwrap_or_default()), eviction: Some(eviction) };
        let before = self.table_rules(id, table);
        self.configure_table(&inner, bridge, table, &whole)?;
        let key = ObjectKey::Table(table);
        let change = if limit.is_none() && !eviction {
            Change::DeleteObject { bridge: bridge.to_owned(), key }
        } else {
            let value = serde_json::to_string(&whole).map_err(|e| invalid(format!("table {table}"), e))?;
            Change::PutObject { bridge: bridge.to_owned(), key, value }
        };
        // A lower limit may have evicted rules.
        let after: BTreeSet<String> = self.table_rules(id, table).into_iter().collect();
        let bridge: Arc<str> = bridge.into();
        let gone = before.into_iter().filter(|key| !after.contains(key));
        let mut changes: Vec<_> = gone.map(|key| Change::DeleteRule { bridge: bridge.clone(), key }).collect();
        changes.push(change);
        self.note_removed(&mut inner);
        self.commit(inner, changes, 1)
    }

    /// Names of a table's rules.
    fn table_rules(&self, bridge: BridgeId, table: u8) -> Vec<String> {
        let select = Select { table: Some(table), ..Select::default() };
        let rules = self.switch.pipeline().dump(bridge, &select).unwrap_or_default();
        rules.iter().map(|r| rule_key(&r.spec)).collect()
    }

    /// Configure a table of the switch.
    pub(super) fn configure_table(&self, inner: &Inner, bridge: &str, table: u8, set: &TableSet) -> Result<(), Error> {
        let id = inner.bridge(bridge)?;
        let config = TableConfig {
            limit: set.limit.filter(|n| *n != 0),
            overflow: if set.eviction == Some(true) { Overflow::Evict } else { Overflow::Refuse },
            ..TableConfig::default()
        };
        let done = self.switch.pipeline().set_table_config(id, table, config);
        done.map_err(|e| pipeline(format!("table {table}"), &e))
    }
}
