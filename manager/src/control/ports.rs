//! Ports of bridges.

use super::bridges::check_name;
use super::errors::{invalid, no_port, pipeline};
use super::{Attached, Control, Inner};
use crate::nic;
use crate::state::Change;
use ::pipeline::{PortSpec, VlanMode};
use api::{Ack, Error, ErrorKind, Port, PortType, PortView};
use flow::{DpPort, OfPort};

impl Control {
    /// All ports, as they are.
    pub fn ports(&self) -> Vec<PortView> {
        let inner = self.lock();
        let counters = self.switch.port_counters();
        let view = |a: &Attached| {
            let counted = a.state.as_ref().ok().and_then(|dp| counters.get(dp)).copied().unwrap_or_default();
            PortView {
                bridge: a.bridge.clone(),
                port: a.port.clone(),
                dp_port: a.state.as_ref().map(|dp| dp.0).unwrap_or_default(),
                state: match &a.state {
                    Ok(_) => "up".to_owned(),
                    Err(why) => why.clone(),
                },
                rx_packets: counted.rx_packets,
                rx_bytes: counted.rx_bytes,
                tx_packets: counted.tx_packets,
                tx_bytes: counted.tx_bytes,
                tx_dropped: counted.tx_dropped,
            }
        };
        let mut views: Vec<_> = inner.ports.values().map(view).collect();
        views.sort_by(|a, b| (&a.bridge, a.port.ofport).cmp(&(&b.bridge, b.port.ofport)));
        views
    }

    /// Add a port to a bridge.
    pub fn port_add(&self, bridge: &str, mut port: Port) -> Result<Ack, Error> {
        let object = format!("port {}", port.name);
        check(&object, &port)?;
        let mut inner = self.change()?;
        inner.bridge(bridge)?;
        inner.check_free(&object, bridge, &port)?;
        // Ports whose device is gone keep their numbers: rules name them.
        port.ofport = port.ofport.or_else(|| inner.free_ofport(bridge));
        let number = self.attach(&mut inner, bridge, &port)?;
        port.ofport = Some(number.0);
        if let Some(attached) = inner.ports.get_mut(&port.name) {
            attached.port.ofport = port.ofport;
        }
        inner.desired.ports.insert(port.name.clone(), (bridge.to_owned(), port.clone()));
        self.switch.set_world(inner.world());
        self.commit(inner, vec![Change::PutPort { bridge: bridge.to_owned(), port }], 1)
    }

    /// Remove a port from a bridge.
    pub fn port_delete(&self, bridge: &str, name: &str) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        inner.bridge(bridge)?;
        if inner.ports.get(name).is_none_or(|p| p.bridge != bridge) {
            return Err(no_port(bridge, name));
        }
        self.detach(&mut inner, name);
        inner.desired.ports.remove(name);
        self.commit(inner, vec![Change::DeletePort(name.to_owned())], 1)
    }

    /// Bring a port into the switch: device, datapath, bridge; what was done is undone when the rest fails.
    pub(super) fn attach(&self, inner: &mut Inner, bridge: &str, port: &Port) -> Result<OfPort, Error> {
        let object = format!("port {}", port.name);
        let id = inner.bridge(bridge)?;
        let device = match port.kind {
            PortType::Representor => inner.nic.representor(port.devargs.as_deref().unwrap_or_default()),
            _ => nic::attach(self.switch.eal(), self.switch.pool(), port.devargs.as_deref().unwrap_or_default()),
        }
        .map_err(|e| e.named(&object))?;
        let dp = inner.free_number();
        self.switch.add_port(dp, &port.name, device).map_err(|e| Error::new(ErrorKind::Failed, object.clone(), e))?;
        let mut spec = PortSpec::new(&port.name, dp);
        spec.number = port.ofport.map(OfPort);
        spec.vlan = match port.tag {
            Some(tag) => VlanMode::Access(tag),
            None if port.trunks.is_empty() => VlanMode::default(),
            None => VlanMode::Trunk(port.trunks.iter().copied().collect()),
        };
        match self.switch.pipeline().add_port(id, spec) {
            Ok(number) => {
                let attached = Attached { bridge: bridge.to_owned(), port: port.clone(), state: Ok(dp) };
                inner.ports.insert(port.name.clone(), attached);
                Ok(number)
            }
            Err(e) => {
                self.switch.remove_port(dp);
                Err(pipeline(object, &e))
            }
        }
    }

    /// Take a port out of the switch. Its flows go, its hardware rules too.
    pub(super) fn detach(&self, inner: &mut Inner, name: &str) {
        let Some(attached) = inner.ports.remove(name) else { return };
        let Ok(dp) = attached.state else { return };
        if let Some((bridge, number)) = self.switch.pipeline().owner(dp) {
            // It was found a moment ago, under the lock.
            let _ = self.switch.pipeline().remove_port(bridge, number);
        }
        self.switch.set_world(inner.world());
        if !self.switch.remove_port(dp) {
            inner.draining.push(dp);
        }
    }

    /// End the removal of ports whose worker was late.
    pub(super) fn finish_removals(&self, inner: &mut Inner) {
        inner.draining.retain(|dp| !self.switch.finish_removal(*dp));
    }
}

impl Inner {
    /// The lowest datapath port number that no port has, nor one that is still being drained.
    fn free_number(&self) -> DpPort {
        let taken =
            |n: u32| self.draining.contains(&DpPort(n)) || self.ports.values().any(|p| p.state == Ok(DpPort(n)));
        DpPort((1..).find(|n| !taken(*n)).unwrap_or(u32::MAX - 1))
    }

    /// The lowest OpenFlow number that no port of the bridge has, whether its device is there or not.
    fn free_ofport(&self, bridge: &str) -> Option<u16> {
        let taken = |n: u16| self.ports.values().any(|p| p.bridge == bridge && p.port.ofport == Some(n));
        (1..OfPort::MAX.0).find(|n| !taken(*n))
    }

    fn check_free(&self, object: &str, bridge: &str, port: &Port) -> Result<(), Error> {
        if let Some(there) = self.ports.get(&port.name) {
            return Err(Error::new(ErrorKind::Conflict, object, format!("bridge {} has it already", there.bridge))
                .remedy("choose another name, or remove that one first"));
        }
        if let Some(other) =
            self.ports.values().find(|p| p.port.kind == port.kind && p.port.devargs == port.devargs && p.state.is_ok())
        {
            let device = port.devargs.as_deref().unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Conflict,
                object,
                format!("{device} is port {} already", other.port.name),
            )
            .remedy("remove that port first, or name another device"));
        }
        if let Some(other) =
            self.ports.values().find(|p| p.bridge == bridge && p.port.ofport.is_some() && p.port.ofport == port.ofport)
        {
            let number = port.ofport.unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Conflict,
                object,
                format!("port number {number} belongs to {}", other.port.name),
            )
            .remedy("choose another number, or none"));
        }
        Ok(())
    }

    /// What the planner may know of the ports.
    pub(super) fn world(&self) -> offload::World {
        let mut world = offload::World::new();
        world.admission = if self.offload { offload::Admission::All } else { offload::Admission::Off };
        for attached in self.ports.values().filter(|p| p.port.kind == PortType::Representor) {
            let (Ok(dp), Some(name)) = (&attached.state, &attached.port.devargs) else { continue };
            if let Some(info) = self.nic.port_info(&attached.port.name, name) {
                world = world.with_port(*dp, info);
            }
        }
        world
    }
}

/// What can be said about a port without looking at the switch.
fn check(object: &str, port: &Port) -> Result<(), Error> {
    check_name(object, &port.name)?;
    match port.kind {
        PortType::Dpdk | PortType::Representor => {
            if port.devargs.as_deref().unwrap_or_default().trim().is_empty() {
                let example = if port.kind == PortType::Dpdk { "net_tap0" } else { "pf0vf0" };
                return Err(invalid(object, format!("a {} port needs devargs", port.kind))
                    .remedy(format!("add --devargs, such as --devargs {example}")));
            }
        }
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                object,
                format!("ports of type {other} cannot be made yet"),
            )
            .remedy("use type dpdk or representor"));
        }
    }
    if let Some(number) = port.ofport.filter(|n| !OfPort(*n).is_real()) {
        return Err(invalid(object, format!("port number {number} is out of range")).remedy("use 1 to 65279, or none"));
    }
    if let Some(tag) = port.tag.into_iter().chain(port.trunks.iter().copied()).find(|v| !(1..=4094).contains(v)) {
        return Err(invalid(object, format!("VLAN {tag} is out of range")).remedy("use 1 to 4094"));
    }
    Ok(())
}
