//! The desired state: what the switch is told to be, kept over restarts.

mod store;

pub use store::{Change, Store, StoreError, Ticket};

use api::{Bridge, EswitchSet, Port};
use std::collections::BTreeMap;

/// All that is persisted. The names are the keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub bridges: BTreeMap<String, Bridge>,
    /// Ports by name, with the name of their bridge.
    pub ports: BTreeMap<String, (String, Port)>,
    /// ovs-ofctl text of each rule, by bridge and [`rule_key`].
    pub rules: BTreeMap<(String, String), String>,
    /// Whether flows go into hardware; on when never set.
    pub offload: Option<bool>,
    /// By PF.
    pub eswitches: BTreeMap<String, EswitchSet>,
}

/// What makes a rule one rule: its table, priority and match.
#[must_use]
pub fn rule_key(table: u8, priority: u16, matching: &flow::Match) -> String {
    format!("{table:03} {priority:05} {}", flow::text::format_match(matching, flow::rule::DEFAULT_PRIORITY))
}
