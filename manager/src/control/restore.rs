//! After a start: the switch becomes what the state file says.

use super::errors::invalid;
use super::flows::put;
use super::{Attached, Control, Inner};
use crate::state::{Change, Desired};
use ::pipeline::{RuleChange, Select};
use api::Error;
use flow::OfPort;
use flow::text;

impl Control {
    /// Bring in desired state. Ports whose device is not there are kept and shown with the reason; a rule that cannot be
    /// understood is an error, because dropping it in silence would forward what it forbids.
    pub fn restore(&self, desired: Desired) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.offload = desired.offload.unwrap_or(true);
        for set in desired.eswitches.values() {
            if let Err(e) = inner.nic.converge(set) {
                tracing::error!("{e}");
            }
        }
        for bridge in desired.bridges.values() {
            self.make_bridge(&mut inner, bridge)?;
        }
        // Rules first: a port that is attached has its packets switched at once.
        self.restore_rules(&inner, &desired)?;
        self.restore_ports(&mut inner, &desired);
        inner.desired = desired;
        self.switch.set_world(inner.world());
        drop(inner);
        self.switch.fence();
        Ok(())
    }

    fn restore_ports(&self, inner: &mut Inner, desired: &Desired) {
        let mut ports: Vec<_> = desired.ports.values().collect();
        // Those with the lowest numbers first, as they were added.
        ports.sort_by_key(|(_, port)| port.ofport);
        for (bridge, port) in ports {
            if let Err(e) = self.attach(inner, bridge, port) {
                tracing::error!("{e}");
                let absent = Attached { bridge: bridge.clone(), port: port.clone(), state: Err(e.message) };
                inner.ports.insert(port.name.clone(), absent);
            }
        }
    }

    fn restore_rules(&self, inner: &Inner, desired: &Desired) -> Result<(), Error> {
        let mut changes = Vec::with_capacity(desired.rules.len() + desired.bridges.len());
        // A standalone bridge starts with a rule, which desired state has too unless it was removed.
        for id in inner.bridges.values() {
            changes.push(RuleChange::Delete { bridge: *id, select: Select::default() });
        }
        for ((bridge, key), text) in &desired.rules {
            let object = || format!("rule `{key}` of bridge {bridge}");
            let id = inner.bridge(bridge)?;
            let names = |name: &str| {
                let (_, port) = desired.ports.get(name)?;
                port.ofport.map(OfPort)
            };
            let rule = text::parse_flow(text, &names).map_err(|e| {
                invalid(object(), e)
                    .remedy("move the state file away to start afresh, or start the version that wrote it")
            })?;
            changes.push(RuleChange::Add { bridge: id, rule });
        }
        self.switch.pipeline().apply(&changes).map_err(|e| invalid("state", e))?;
        Ok(())
    }

    /// The rules that a new bridge starts with, to be persisted with it.
    pub(super) fn first_rules(&self, inner: &Inner, bridge: &str) -> Vec<Change> {
        let Some(id) = inner.bridges.get(bridge) else { return Vec::new() };
        let rules = self.switch.pipeline().dump(*id, &Select::default()).unwrap_or_default();
        rules.iter().map(|r| put(bridge, &r.spec)).collect()
    }

    /// Make the mock NIC's eswitch what `--mock` says: switchdev, with its VFs.
    pub fn converge_mock(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        let Some(set) = inner.nic.mock().map(|m| m.eswitch()) else { return Ok(()) };
        inner.nic.converge(&set).map(|_| ())
    }
}
