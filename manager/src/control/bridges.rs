//! Bridges and learned addresses.

use super::errors::{invalid, no_bridge, pipeline};
use super::{Control, Inner};
use crate::state::Change;
use ::pipeline::BridgeOptions;
use api::{Ack, Bridge, BridgeSet, BridgeView, Error, ErrorKind, FailMode};
use flow::dp::BridgeId;
use std::time::Duration;

impl Inner {
    pub(super) fn bridge(&self, name: &str) -> Result<BridgeId, Error> {
        self.bridges.get(name).copied().ok_or_else(|| no_bridge(name))
    }
}

impl Control {
    /// One bridge.
    pub fn bridge_view(&self, name: &str) -> Result<BridgeView, Error> {
        self.bridges().into_iter().find(|b| b.bridge.name == name).ok_or_else(|| no_bridge(name))
    }

    /// Change a bridge. Another fail mode takes all rules, groups and meters away, as in Open vSwitch.
    pub fn bridge_set(&self, name: &str, set: &BridgeSet) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(name)?;
        let object = format!("bridge {name}");
        let old = inner.desired.bridges.get(name).cloned().ok_or_else(|| no_bridge(name))?;
        let bridge = Bridge {
            name: old.name.clone(),
            fail_mode: set.fail_mode.unwrap_or(old.fail_mode),
            mac_table_size: set.mac_table_size.or(old.mac_table_size),
            mac_aging: set.mac_aging.or(old.mac_aging),
        };
        self.switch.pipeline().set_bridge_options(id, options(&object, &bridge)?).map_err(|e| pipeline(&object, &e))?;
        let mut changes = Vec::new();
        if bridge.fail_mode != old.fail_mode {
            let done = self.switch.pipeline().set_fail_mode(id, mode(bridge.fail_mode));
            let applied = done.map_err(|e| pipeline(&object, &e))?;
            changes = self.rules_anew(&mut inner, name, &applied.removed);
            changes.push(Change::DeleteObjects { bridge: name.to_owned() });
        }
        changes.push(Change::PutBridge(bridge.clone()));
        inner.desired.bridges.insert(name.to_owned(), bridge);
        self.commit(inner, changes, 1)
    }

    /// All bridges.
    pub fn bridges(&self) -> Vec<BridgeView> {
        self.switch.drain_punted();
        let inner = self.lock();
        let infos = self.switch.pipeline().bridges();
        let view = |(name, bridge): (&String, &Bridge)| {
            let id = inner.bridges.get(name)?;
            let info = infos.iter().find(|i| i.id == *id)?;
            Some(BridgeView {
                bridge: bridge.clone(),
                ports: inner.ports.values().filter(|p| p.bridge == *name).map(|p| p.port.name.clone()).collect(),
                flows: info.rules,
                fdb_entries: self.switch.pipeline().fdb(*id).len(),
                groups: self.switch.pipeline().groups(*id).len(),
                meters: self.switch.pipeline().meters(*id).len(),
                mirrors: self.switch.pipeline().mirrors(*id).len(),
                punted: self.switch.punted(*id),
            })
        };
        inner.desired.bridges.iter().filter_map(view).collect()
    }

    /// Make a bridge.
    pub fn bridge_add(&self, bridge: Bridge) -> Result<Ack, Error> {
        let object = format!("bridge {}", bridge.name);
        check_name(&object, &bridge.name)?;
        let mut inner = self.change()?;
        if inner.bridges.contains_key(&bridge.name) {
            return Err(Error::new(ErrorKind::Conflict, object, "exists already").remedy("choose another name"));
        }
        self.make_bridge(&mut inner, &bridge)?;
        let mut changes = vec![Change::PutBridge(bridge.clone())];
        changes.extend(self.first_rules(&inner, &bridge.name));
        inner.desired.bridges.insert(bridge.name.clone(), bridge);
        self.commit(inner, changes, 1)
    }

    /// Make a bridge in the switch.
    pub(super) fn make_bridge(&self, inner: &mut Inner, bridge: &Bridge) -> Result<(), Error> {
        let object = format!("bridge {}", bridge.name);
        let options = options(&object, bridge)?;
        let pipeline_ = self.switch.pipeline();
        let id = pipeline_.add_bridge(&bridge.name, mode(bridge.fail_mode)).map_err(|e| pipeline(&object, &e))?;
        pipeline_.set_bridge_options(id, options).map_err(|e| pipeline(&object, &e))?;
        inner.bridges.insert(bridge.name.clone(), id);
        Ok(())
    }

    /// Remove a bridge with its ports and rules.
    pub fn bridge_delete(&self, name: &str) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(name)?;
        let at_work = |inner: &Inner| {
            let mut ports = inner.ports.values().filter(|p| p.bridge == name);
            ports.find(|p| p.work.is_some()).map(|p| p.port.name.clone())
        };
        while let Some(port) = at_work(&inner) {
            inner = self.idle(inner, &port)?;
        }
        let ports: Vec<_> = inner.ports.values().filter(|p| p.bridge == name).map(|p| p.port.name.clone()).collect();
        let drains: Vec<_> = ports.iter().filter_map(|port| self.detach(&mut inner, port)).collect();
        self.switch.pipeline().remove_bridge(id).map_err(|e| pipeline(format!("bridge {name}"), &e))?;
        inner.bridges.remove(name);
        inner.desired.bridges.remove(name);
        inner.desired.ports.retain(|_, (bridge, _)| bridge != name);
        let mut changes = vec![Change::DeleteBridge(name.to_owned())];
        changes.extend(inner.forget_offload_of_gone());
        self.commit_after(inner, changes, 1 + ports.len(), || self.drain(drains))
    }
}

fn mode(mode: FailMode) -> ::pipeline::FailMode {
    match mode {
        FailMode::Standalone => ::pipeline::FailMode::Standalone,
        FailMode::Secure => ::pipeline::FailMode::Secure,
    }
}

/// How the pipeline is to treat the bridge. Open vSwitch takes the nearest size or time that it can; here the others are refused.
fn options(object: &str, bridge: &Bridge) -> Result<BridgeOptions, Error> {
    let mut options = BridgeOptions::default();
    if let Some(size) = bridge.mac_table_size {
        if !(10..=1_000_000).contains(&size) {
            return Err(
                invalid(object, format!("a MAC table of {size} addresses cannot be made")).remedy("use 10 to 1000000")
            );
        }
        options.fdb_size = size as usize;
    }
    if let Some(seconds) = bridge.mac_aging {
        if !(15..=3600).contains(&seconds) {
            return Err(invalid(object, format!("addresses cannot age {seconds} seconds")).remedy("use 15 to 3600"));
        }
        options.fdb_ageing = Duration::from_secs(seconds.into());
    }
    Ok(options)
}

/// Names of bridges and ports: what a netdev may be called (Linux dev_valid_name).
pub(super) fn check_name(object: &str, name: &str) -> Result<(), Error> {
    let ok = (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':');
    if ok {
        Ok(())
    } else {
        Err(invalid(object, "the name is not usable")
            .remedy("use 1 to 15 printable ASCII characters without space, slash and colon"))
    }
}
