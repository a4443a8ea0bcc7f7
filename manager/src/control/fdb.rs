//! Addresses that bridges know.

use super::errors::{invalid, no_port, pipeline};
use super::{Control, Inner};
use crate::state::{Change, ObjectKey};
use ::pipeline::FdbFilter;
use api::{Ack, Error, FdbAdd, FdbEntry, FdbFlush};
use flow::OfPort;

impl Control {
    /// Addresses that a bridge knows.
    pub fn fdb(&self, bridge: &str) -> Result<Vec<FdbEntry>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        let now = self.switch.clock().now();
        let ports = self.switch.pipeline().ports(id);
        let entry = |e: ::pipeline::FdbEntry| {
            let port = ports.iter().find(|p| p.dp == e.port);
            FdbEntry {
                port: port.map(|p| p.name.clone()).unwrap_or_default(),
                ofport: port.map(|p| p.number.0).unwrap_or_default(),
                vlan: e.vlan,
                mac: text(e.mac),
                age: now.since(e.used).as_secs(),
                fixed: e.is_static,
            }
        };
        let mut entries: Vec<_> = self.switch.pipeline().fdb(id).into_iter().map(entry).collect();
        entries.sort_by(|a, b| (a.ofport, a.vlan, &a.mac).cmp(&(b.ofport, b.vlan, &b.mac)));
        Ok(entries)
    }

    /// The fixed addresses behind a port, to be forgotten with it.
    pub(super) fn stations_locked(&self, inner: &Inner, bridge: &str, port: &str) -> Result<Vec<Change>, Error> {
        let id = inner.bridge(bridge)?;
        let dp = inner.ports.get(port).and_then(|p| p.state.clone().ok());
        let entries = self.switch.pipeline().fdb(id).into_iter().filter(|e| e.is_static && Some(e.port) == dp);
        let change = |e: ::pipeline::FdbEntry| Change::DeleteObject {
            bridge: bridge.to_owned(),
            key: ObjectKey::Station(e.vlan, text(e.mac)),
        };
        Ok(entries.map(change).collect())
    }

    /// Make an address known; it neither ages nor moves.
    pub fn fdb_add(&self, bridge: &str, add: &FdbAdd) -> Result<Ack, Error> {
        let inner = self.change()?;
        let mac = self.fix_station(&inner, bridge, add)?;
        let add = FdbAdd { mac: text(mac), ..add.clone() };
        let value = serde_json::to_string(&add).map_err(|e| invalid(format!("address {}", add.mac), e))?;
        let key = ObjectKey::Station(add.vlan, add.mac);
        self.commit(inner, vec![Change::PutObject { bridge: bridge.to_owned(), key, value }], 1)
    }

    /// Make an address known to the switch.
    pub(super) fn fix_station(&self, inner: &Inner, bridge: &str, add: &FdbAdd) -> Result<[u8; 6], Error> {
        let object = format!("address {}", add.mac);
        let id = inner.bridge(bridge)?;
        let mac = parse(&add.mac).map_err(|e| invalid(&object, e))?;
        if add.vlan > 4095 {
            return Err(invalid(object, format!("VLAN {} is out of range", add.vlan)).remedy("use 0 to 4095"));
        }
        let port =
            inner.ports.get(&add.port).filter(|p| p.bridge == bridge).ok_or_else(|| no_port(bridge, &add.port))?;
        let number = OfPort(port.port.ofport.unwrap_or_default());
        self.switch.pipeline().fdb_add(id, add.vlan, mac, number).map_err(|e| {
            let mut refused = pipeline(object, &e);
            // The address is named once.
            refused.message = refused.message.trim_start_matches(&text(mac)).trim_start().to_owned();
            refused
        })?;
        Ok(mac)
    }

    /// Forget addresses.
    pub fn fdb_flush(&self, bridge: &str, flush: &FdbFlush) -> Result<Ack, Error> {
        let inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let fdb = self.switch.pipeline();
        let before = fdb.fdb(id).len();
        let mut changes = Vec::new();
        match (&flush.mac, flush.vlan) {
            (Some(mac), Some(vlan)) => {
                let object = format!("address {mac}");
                let mac = parse(mac).map_err(|e| invalid(&object, e))?;
                fdb.fdb_remove(id, vlan, mac).map_err(|e| pipeline(object, &e))?;
                let key = ObjectKey::Station(vlan, text(mac));
                changes.push(Change::DeleteObject { bridge: bridge.to_owned(), key });
            }
            (Some(mac), None) => {
                return Err(invalid(format!("address {mac}"), "in which VLAN?").remedy("name it; 0 without a tag"));
            }
            (None, vlan) => {
                let dp = match &flush.port {
                    None => None,
                    Some(name) => {
                        let port = inner.ports.get(name).filter(|p| p.bridge == bridge);
                        port.ok_or_else(|| no_port(bridge, name))?.state.clone().ok()
                    }
                };
                if flush.port.is_none() || dp.is_some() {
                    fdb.fdb_flush_where(id, FdbFilter { port: dp, vlan, and_static: false });
                }
            }
        }
        let gone = before.saturating_sub(fdb.fdb(id).len());
        self.commit(inner, changes, gone)
    }
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

fn parse(text: &str) -> Result<[u8; 6], String> {
    let bad =
        || format!("`{text}` is no Ethernet address: write six pairs of hexadecimal digits with colons between them");
    let bytes: Vec<u8> = text
        .split(':')
        .map(|part| if (1..=2).contains(&part.len()) { u8::from_str_radix(part, 16).ok() } else { None })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    bytes.try_into().map_err(|_| bad())
}
