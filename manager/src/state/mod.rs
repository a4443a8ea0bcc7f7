//! The desired state: what the switch is told to be, kept over restarts.

mod objects;
mod rules;
mod run;
mod store;

pub use objects::ObjectKey;
pub use rules::{rule_key, rule_text, rule_value};
pub use run::Run;
pub use store::{Change, Store, StoreError, Ticket};

use api::{Bridge, NicWish, OffloadWish, PmdSet, Port};
use std::collections::BTreeMap;

/// All that is persisted. The names are the keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub bridges: BTreeMap<String, Bridge>,
    /// Ports by name, with the name of their bridge.
    pub ports: BTreeMap<String, (String, Port)>,
    /// ovs-ofctl text of each rule, by bridge and [`rule_key`].
    pub rules: BTreeMap<(String, String), String>,
    /// Meters, groups, tables, mirrors and fixed addresses, by bridge and name.
    pub objects: BTreeMap<(String, ObjectKey), String>,
    /// Whether flows go into hardware; on when never set.
    pub offload: Option<bool>,
    /// Which flows go into hardware.
    pub offload_wish: OffloadWish,
    /// Settings of PMDs.
    pub pmds: PmdSet,
    /// By PF.
    pub nics: BTreeMap<String, NicWish>,
    /// The run that was last on this state.
    pub run: Run,
}
