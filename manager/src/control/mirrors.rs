//! Mirrors of bridges.

use super::bridges::check_name;
use super::errors::{invalid, no_port, pipeline};
use super::{Control, Inner};
use crate::state::{Change, ObjectKey};
use ::pipeline::{MirrorOutput, MirrorSpec};
use api::{Ack, Error, ErrorKind, Mirror, MirrorView};
use flow::OfPort;
use std::collections::BTreeSet;

impl Control {
    /// The mirrors of a bridge.
    pub fn mirrors(&self, bridge: &str) -> Result<Vec<MirrorView>, Error> {
        self.switch.fold();
        self.mirrors_locked(&self.lock(), bridge)
    }

    pub(super) fn mirrors_locked(&self, inner: &Inner, bridge: &str) -> Result<Vec<MirrorView>, Error> {
        let there = self.switch.pipeline().mirrors(inner.bridge(bridge)?);
        let name = |number: OfPort| {
            let port = inner.ports.values().find(|p| p.bridge == bridge && p.port.ofport == Some(number.0));
            port.map_or_else(|| number.to_string(), |p| p.port.name.clone())
        };
        let names = |ports: &BTreeSet<OfPort>| ports.iter().map(|p| name(*p)).collect();
        let view = |m: &::pipeline::MirrorEntry| MirrorView {
            bridge: bridge.to_owned(),
            mirror: Mirror {
                name: m.spec.name.clone(),
                select_all: m.spec.select_all,
                select_src: names(&m.spec.select_src),
                select_dst: names(&m.spec.select_dst),
                select_vlan: m.spec.select_vlan.as_ref().map(|v| v.iter().collect()).unwrap_or_default(),
                output_port: match m.spec.output {
                    MirrorOutput::Port(port) => Some(name(port)),
                    MirrorOutput::Vlan(_) => None,
                },
                output_vlan: match m.spec.output {
                    MirrorOutput::Port(_) => None,
                    MirrorOutput::Vlan(vlan) => Some(vlan),
                },
                snaplen: Some(m.spec.snaplen).filter(|n| *n != 0),
            },
            packets: m.packets,
            bytes: m.bytes,
        };
        Ok(there.iter().map(view).collect())
    }

    /// Add a mirror.
    pub fn mirror_add(&self, bridge: &str, mirror: &Mirror) -> Result<Ack, Error> {
        let inner = self.change()?;
        self.make_mirror(&inner, bridge, mirror)?;
        let value = serde_json::to_string(mirror).map_err(|e| invalid(format!("mirror {}", mirror.name), e))?;
        let key = ObjectKey::Mirror(mirror.name.clone());
        self.commit(inner, vec![Change::PutObject { bridge: bridge.to_owned(), key, value }], 1)
    }

    /// Make a mirror in the switch.
    pub(super) fn make_mirror(&self, inner: &Inner, bridge: &str, mirror: &Mirror) -> Result<(), Error> {
        let object = format!("mirror {}", mirror.name);
        let id = inner.bridge(bridge)?;
        check_name(&object, &mirror.name)?;
        let number = |name: &String| {
            let port = inner.ports.get(name).filter(|p| p.bridge == bridge);
            port.and_then(|p| p.port.ofport).map(OfPort).ok_or_else(|| {
                let mut e = no_port(bridge, name);
                e.message = format!("{}: {}", e.object, e.message);
                e.object.clone_from(&object);
                e
            })
        };
        let watched = || mirror.select_src.iter().chain(&mirror.select_dst);
        if let Some(port) = mirror.output_port.as_ref().filter(|output| watched().any(|port| port == *output)) {
            return Err(invalid(object, format!("it would copy port {port}, where its copies go, to itself"))
                .remedy("leave the port out of --src and --dst, or choose another --output"));
        }
        let output = match (&mirror.output_port, mirror.output_vlan) {
            (Some(port), None) => MirrorOutput::Port(number(port)?),
            (None, Some(vlan)) => MirrorOutput::Vlan(vlan),
            _ => {
                return Err(invalid(object, "copies need one place to go to")
                    .remedy("add --output PORT or --output-vlan VLAN, one of them"));
            }
        };
        if !mirror.select_all && mirror.select_src.is_empty() && mirror.select_dst.is_empty() {
            return Err(invalid(object, "it copies nothing").remedy("add --all, --src PORTS or --dst PORTS"));
        }
        if let Some(vlan) = mirror.select_vlan.iter().find(|v| **v > 4095) {
            return Err(invalid(object, format!("VLAN {vlan} is out of range")).remedy("use 0 to 4095"));
        }
        if let Some(vlan) = mirror.output_vlan.filter(|v| !(1..=4095).contains(v)) {
            return Err(invalid(object, format!("VLAN {vlan} is out of range")).remedy("use 1 to 4095"));
        }
        if mirror.snaplen.is_some_and(|n| n < 14) {
            return Err(invalid(object, "a copy of fewer than 14 bytes has no Ethernet header")
                .remedy("use a --snaplen of 14 or more, or none"));
        }
        let spec = MirrorSpec {
            name: mirror.name.clone(),
            select_all: mirror.select_all,
            select_src: mirror.select_src.iter().map(number).collect::<Result<_, _>>()?,
            select_dst: mirror.select_dst.iter().map(number).collect::<Result<_, _>>()?,
            select_vlan: (!mirror.select_vlan.is_empty()).then(|| mirror.select_vlan.iter().copied().collect()),
            output,
            snaplen: mirror.snaplen.unwrap_or_default(),
        };
        self.switch.pipeline().add_mirror(id, spec).map(|_| ()).map_err(|e| pipeline(object, &e))
    }

    /// Remove a mirror.
    pub fn mirror_delete(&self, bridge: &str, name: &str) -> Result<Ack, Error> {
        let inner = self.change()?;
        let id = inner.bridge(bridge)?;
        self.switch.pipeline().remove_mirror(id, name).map_err(|_| {
            Error::new(ErrorKind::NotFound, format!("mirror {name}"), format!("bridge {bridge} has no such mirror"))
                .remedy(format!("list them with: shuntctl mirror show {bridge}"))
        })?;
        let key = ObjectKey::Mirror(name.to_owned());
        self.commit(inner, vec![Change::DeleteObject { bridge: bridge.to_owned(), key }], 1)
    }
}
