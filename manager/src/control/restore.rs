//! After a start: the switch becomes what the state file says.

use super::errors::invalid;
use super::flows::put;
use super::{Attached, Control, Inner, Locked};
use crate::state::{Change, Desired, ObjectKey};
use ::kernel_ports::Absent;
use ::pipeline::{GroupChange, MeterChange, RuleChange, Select};
use api::{Error, FdbAdd, Mirror, Port, PortType, TableSet};
use flow::OfPort;
use flow::text;
use std::collections::BTreeMap;

impl Control {
    /// Bring in desired state. Ports whose device is not there are kept and shown with the reason; a rule that cannot be
    /// understood is an error, because dropping it in silence would forward what it forbids.
    pub fn restore(&self, mut desired: Desired) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.offload = desired.offload.unwrap_or(true);
        inner.desired.nics.clone_from(&desired.nics);
        inner.desired.offload_wish.clone_from(&desired.offload_wish);
        drop(inner);
        self.nics_at_start();
        let unnamed = |p: &&mut (String, Port)| p.1.kind == PortType::Representor && p.1.nic.is_none();
        for (_, port) in desired.ports.values_mut().filter(unnamed) {
            // State of a version that knew one NIC. Where it is not there, the port waits without.
            if let Err(e) = self.name_representor(port) {
                tracing::warn!("{e}");
            }
        }
        let mut inner = self.lock();
        // What was to go and is gone by now is not wanted any more.
        desired.nics.clone_from(&inner.desired.nics);
        for bridge in desired.bridges.values() {
            self.make_bridge(&mut inner, bridge)?;
        }
        // Ports last: a port that is attached has its packets switched at once. Rules need groups, groups meters.
        self.restore_groups(&inner, &desired)?;
        self.restore_rules(&inner, &desired)?;
        let mut inner = self.restore_ports(inner, &desired);
        self.restore_objects(&inner, &desired);
        // Rules and objects are the pipeline's from here on.
        inner.desired = Desired { rules: BTreeMap::new(), objects: BTreeMap::new(), ..desired };
        // State of a version that kept what was said of ports that are gone.
        inner.forget_offload_of_gone();
        self.renew_world(&inner);
        drop(inner);
        self.switch.fence();
        self.switch.take_over();
        Ok(())
    }

    fn restore_ports<'a>(&'a self, mut inner: Locked<'a>, desired: &Desired) -> Locked<'a> {
        let mut ports: Vec<_> = desired.ports.values().collect();
        // Those with the lowest numbers first, as they were added.
        ports.sort_by_key(|(_, port)| port.ofport);
        for (bridge, port) in ports {
            let attached;
            (inner, attached) = self.attach(inner, bridge, port, Absent::Wait);
            if let Err(e) = attached {
                tracing::error!("{e}");
                let absent = Attached::absent(bridge, port, e.message);
                inner.ports.insert(port.name.clone(), absent);
            }
        }
        inner
    }

    /// Meters, tables and groups. As with rules, what cannot be understood is an error.
    fn restore_groups(&self, inner: &Inner, desired: &Desired) -> Result<(), Error> {
        let mut changes: Vec<::pipeline::Change> = Vec::new();
        for ((name, key), value) in &desired.objects {
            let object = || format!("{key} of bridge {name}");
            let afresh = "move the state file away to start afresh, or start the version that wrote it";
            let bad = |e: &dyn std::fmt::Display| invalid(object(), e).remedy(afresh);
            let bridge = inner.bridge(name)?;
            match key {
                ObjectKey::Meter(_) => {
                    let meter = text::parse_meter(value).map_err(|e| bad(&e))?;
                    changes.push(MeterChange::Add { bridge, meter }.into());
                }
                ObjectKey::Group(_) => {
                    let group = text::parse_group(value, &desired_ports(desired)).map_err(|e| bad(&e))?;
                    changes.push(GroupChange::Add { bridge, group }.into());
                }
                ObjectKey::Table(table) => {
                    let set: TableSet = serde_json::from_str(value).map_err(|e| bad(&e))?;
                    self.configure_table(inner, name, *table, &set)?;
                }
                ObjectKey::Mirror(_) | ObjectKey::Station(..) => {}
            }
        }
        self.switch.pipeline().change(&changes).map_err(|e| invalid("state", e))?;
        Ok(())
    }

    /// Mirrors and fixed addresses. What cannot be, because its port is not there, is told of and stays desired.
    fn restore_objects(&self, inner: &Inner, desired: &Desired) {
        for ((bridge, key), value) in &desired.objects {
            let object = || format!("{key} of bridge {bridge}");
            let done = match key {
                ObjectKey::Mirror(_) => serde_json::from_str(value)
                    .map_err(|e| invalid(object(), e))
                    .and_then(|mirror: Mirror| self.make_mirror(inner, bridge, &mirror)),
                ObjectKey::Station(..) => serde_json::from_str(value)
                    .map_err(|e| invalid(object(), e))
                    .and_then(|add: FdbAdd| self.fix_station(inner, bridge, &add).map(|_| ())),
                ObjectKey::Meter(_) | ObjectKey::Group(_) | ObjectKey::Table(_) => Ok(()),
            };
            if let Err(e) = done {
                tracing::error!("{e}");
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
            let rule = text::parse_rule(text, &desired_ports(desired), &mut Vec::new()).map_err(|e| {
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
        rules.iter().map(|r| put(&bridge.into(), &r.spec)).collect()
    }
}

/// Ports by name, whether they are there or not.
fn desired_ports(desired: &Desired) -> impl Fn(&str) -> Option<OfPort> {
    |name| desired.ports.get(name).and_then(|(_, port)| port.ofport).map(OfPort)
}
