//! Bridges and learned addresses.

use super::errors::{invalid, no_bridge, pipeline};
use super::{Control, Inner};
use crate::state::Change;
use api::{Ack, Bridge, BridgeView, Error, ErrorKind, FailMode, FdbEntry};
use flow::dp::BridgeId;

impl Inner {
    pub(super) fn bridge(&self, name: &str) -> Result<BridgeId, Error> {
        self.bridges.get(name).copied().ok_or_else(|| no_bridge(name))
    }
}

impl Control {
    /// All bridges.
    pub fn bridges(&self) -> Vec<BridgeView> {
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
        for rule in self.first_rules(&inner, &bridge.name) {
            if let Change::PutRule { bridge, key, text } = &rule {
                inner.desired.rules.insert((bridge.clone(), key.clone()), text.clone());
            }
            changes.push(rule);
        }
        inner.desired.bridges.insert(bridge.name.clone(), bridge);
        self.commit(inner, changes, 1)
    }

    /// Make a bridge in the switch.
    pub(super) fn make_bridge(&self, inner: &mut Inner, bridge: &Bridge) -> Result<(), Error> {
        let mode = match bridge.fail_mode {
            FailMode::Standalone => pipeline::FailMode::Standalone,
            FailMode::Secure => pipeline::FailMode::Secure,
        };
        let id = self
            .switch
            .pipeline()
            .add_bridge(&bridge.name, mode)
            .map_err(|e| pipeline(format!("bridge {}", bridge.name), &e))?;
        inner.bridges.insert(bridge.name.clone(), id);
        Ok(())
    }

    /// Remove a bridge with its ports and rules.
    pub fn bridge_delete(&self, name: &str) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(name)?;
        let ports: Vec<_> = inner.ports.values().filter(|p| p.bridge == name).map(|p| p.port.name.clone()).collect();
        for port in &ports {
            self.detach(&mut inner, port);
        }
        self.switch.pipeline().remove_bridge(id).map_err(|e| pipeline(format!("bridge {name}"), &e))?;
        inner.bridges.remove(name);
        inner.desired.bridges.remove(name);
        inner.desired.ports.retain(|_, (bridge, _)| bridge != name);
        inner.desired.rules.retain(|(bridge, _), _| bridge != name);
        self.commit(inner, vec![Change::DeleteBridge(name.to_owned())], 1 + ports.len())
    }

    /// Learned addresses of a bridge.
    pub fn fdb(&self, bridge: &str) -> Result<Vec<FdbEntry>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        let now = self.switch.clock().now();
        let ports = self.switch.pipeline().ports(id);
        let entry = |e: pipeline::FdbEntry| {
            let port = ports.iter().find(|p| p.dp == e.port);
            FdbEntry {
                port: port.map(|p| p.name.clone()).unwrap_or_default(),
                ofport: port.map(|p| p.number.0).unwrap_or_default(),
                vlan: e.vlan,
                mac: e.mac.map(|b| format!("{b:02x}")).join(":"),
                age: now.since(e.used).as_secs(),
            }
        };
        let mut entries: Vec<_> = self.switch.pipeline().fdb(id).into_iter().map(entry).collect();
        entries.sort_by(|a, b| (a.ofport, a.vlan, &a.mac).cmp(&(b.ofport, b.vlan, &b.mac)));
        Ok(entries)
    }
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
