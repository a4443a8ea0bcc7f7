//! Ports of bridges.

use super::errors::{no_port, pipeline};
use super::kernel_ports;
use super::port_checks::{check, check_port_name, vlan_mode};
use super::{Attached, Control, Inner, affinity, devices};
use crate::state::Change;
use ::kernel_ports::{Absent, MAX_MTU};
use ::pipeline::{PortKind, PortSpec, PortUpdate};
use api::{Ack, Error, ErrorKind, Port, PortSet, PortType, PortView};
use datapath::PortState;
use flow::{DpPort, OfPort};

impl Control {
    /// All ports, as they are.
    pub fn ports(&self) -> Vec<PortView> {
        let inner = self.lock();
        let counters = self.switch.port_counters();
        let states = self.switch.port_states();
        let view = |a: &Attached| {
            let counted = a.state.as_ref().ok().and_then(|dp| counters.get(dp)).copied().unwrap_or_default();
            PortView {
                bridge: a.bridge.clone(),
                port: a.port.clone(),
                dp_port: a.state.as_ref().map(|dp| dp.0).unwrap_or_default(),
                state: match &a.state {
                    Ok(dp) if let Some(waits) = waits(states.get(dp)) => waits,
                    Ok(_) if a.port.down => "down".to_owned(),
                    Ok(_) if a.port.kind == PortType::Patch => inner.patch_state(&a.port),
                    Ok(_) => inner.kernel_state(&a.port.name).unwrap_or_else(|| "up".to_owned()),
                    Err(why) => why.clone(),
                },
                rx_packets: counted.rx_packets,
                rx_bytes: counted.rx_bytes,
                tx_packets: counted.tx_packets,
                tx_bytes: counted.tx_bytes,
                tx_dropped: counted.tx_dropped,
                device_counters: inner.device_counters(&a.port.name),
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
        check_port_name(&object, &port.name)?;
        affinity::check(&object, &port)?;
        let mut inner = self.change()?;
        inner.bridge(bridge)?;
        inner.check_free(&object, bridge, &port)?;
        // Ports whose device is gone keep their numbers: rules name them.
        port.ofport = port.ofport.or_else(|| inner.free_ofport(bridge));
        let number = self.attach(&mut inner, bridge, &port, Absent::Refuse)?;
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
        // A later port of the same number would get what the mirror copies.
        let mirror = self.mirrors_locked(&inner, bridge)?.into_iter().find(|m| m.mirror.names(name));
        if let Some(mirror) = mirror {
            let message = format!("mirror {} names it", mirror.mirror.name);
            let remedy = format!("remove the mirror first: shuntctl mirror del {bridge} {}", mirror.mirror.name);
            return Err(Error::new(ErrorKind::Conflict, format!("port {name}"), message).remedy(remedy));
        }
        let stations: Vec<_> = self.stations_locked(&inner, bridge, name)?;
        self.detach(&mut inner, name);
        inner.desired.ports.remove(name);
        let mut changes = vec![Change::DeletePort(name.to_owned())];
        changes.extend(stations);
        self.commit(inner, changes, 1)
    }

    /// Change a port.
    pub fn port_set(&self, bridge: &str, name: &str, set: &PortSet) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let attached = inner.ports.get(name).filter(|p| p.bridge == bridge).ok_or_else(|| no_port(bridge, name))?;
        let object = format!("port {name}");
        let mut port = attached.port.clone();
        let state = attached.state.clone();
        if let Some(tag) = set.tag {
            port.tag = Some(tag).filter(|t| *t != 0);
        }
        if let Some(trunks) = &set.trunks {
            port.trunks = trunks.clone();
        }
        // A mode that the tag alone made goes with the tag.
        port.vlan_mode = set.vlan_mode.or(port.vlan_mode.filter(|_| set.tag != Some(0)));
        port.no_flood = set.flood.map_or(port.no_flood, |flood| !flood);
        port.down = set.up.map_or(port.down, |up| !up);
        let replug = set.peer.is_some() && set.peer != port.peer;
        if replug {
            port.peer = set.peer.clone();
        }
        let device = devices::is_of_device(set);
        let before = port.clone();
        affinity::changed(&mut port, set);
        devices::changed(&mut port, set);
        check(&object, &port)?;
        let pins = affinity::check(&object, &port)?;
        if kernel_ports::kind(port.kind).is_some() && before.options != port.options {
            let message = format!("options of a {} port cannot be changed", port.kind);
            return Err(Error::new(ErrorKind::Unsupported, object, message).remedy("remove the port and add it anew"));
        }
        if let Some(mtu) = set.mtu.filter(|mtu| *mtu > 0) {
            inner.set_kernel_mtu(name, mtu)?;
        }
        if let (Ok(dp), Some(number)) = (state, port.ofport) {
            if device && port.kind == PortType::Dpdk {
                self.change_device(&before, &port, dp)?;
            }
            if set.rxq_affinity.is_some() && port.kind != PortType::Patch {
                self.pin(&object, dp, pins)?;
            }
            if replug {
                self.detach(&mut inner, name);
                self.attach(&mut inner, bridge, &port, Absent::Refuse)?;
            } else {
                let update = PortUpdate {
                    vlan: Some(vlan_mode(&object, &port)?),
                    flood: Some(!port.no_flood),
                    up: Some(!port.down),
                    ..PortUpdate::default()
                };
                let pipeline_ = self.switch.pipeline();
                pipeline_.update_port(id, OfPort(number), update).map_err(|e| pipeline(object, &e))?;
            }
        }
        if let Some(attached) = inner.ports.get_mut(name) {
            attached.port = port.clone();
        }
        inner.desired.ports.insert(name.to_owned(), (bridge.to_owned(), port.clone()));
        self.switch.set_world(inner.world());
        self.commit(inner, vec![Change::PutPort { bridge: bridge.to_owned(), port }], 1)
    }

    /// Bring a port into the switch: device, datapath, bridge; what was done is undone when the rest fails.
    /// `absent` says what becomes of a port whose network device is not there.
    pub(super) fn attach(&self, inner: &mut Inner, bridge: &str, port: &Port, absent: Absent) -> Result<OfPort, Error> {
        let object = format!("port {}", port.name);
        let id = inner.bridge(bridge)?;
        let mut kernel = None;
        let device = match (port.kind, kernel_ports::kind(port.kind)) {
            (PortType::Patch, _) => None,
            (PortType::Representor, _) => Some(inner.nic.representor(port.devargs.as_deref().unwrap_or_default())),
            (_, Some(kind)) => {
                let (device, port) = self.kernel_device(port, kind, absent)?;
                kernel = Some(port);
                Some(Ok(device))
            }
            (_, None) => Some(Ok(self.dpdk_device(port)?)),
        };
        let device = device.transpose().map_err(|e| e.named(&object))?;
        let mut spec = match device {
            None => PortSpec::patch(&port.name, port.peer.clone().unwrap_or_default()),
            Some(device) => {
                let dp = inner.free_number();
                let added = match &kernel {
                    // Their own thread drops what is too long, by the device's MTU as it is at that time.
                    Some(_) => self.switch.add_port_with_mtu(dp, &port.name, device, Some(MAX_MTU)),
                    None => self.switch.add_port_with_mtu(dp, &port.name, device, port.mtu),
                };
                added.map_err(|e| {
                    self.pools.release(&port.name);
                    Error::new(ErrorKind::Failed, object.clone(), e)
                })?;
                PortSpec::new(&port.name, dp)
            }
        };
        spec.number = port.ofport.map(OfPort);
        spec.flood = !port.no_flood;
        spec.up = !port.down;
        if port.kind == PortType::Internal {
            spec.kind = PortKind::Internal;
        }
        let dp = spec.dp;
        let added = vlan_mode(&object, port).and_then(|mode| {
            spec.vlan = mode;
            self.switch.pipeline().add_port(id, spec).map_err(|e| pipeline(object, &e))
        });
        match added {
            Ok(number) => {
                // A patch port gets its datapath number from the pipeline.
                let there = self.switch.pipeline().ports(id).into_iter().find(|p| p.number == number);
                let dp = there.map_or(dp, |p| p.dp);
                let attached = Attached { bridge: bridge.to_owned(), port: port.clone(), state: Ok(dp) };
                inner.ports.insert(port.name.clone(), attached);
                self.pin_again(port, dp);
                inner.kernel.extend(kernel.map(|device| (port.name.clone(), device)));
                Ok(number)
            }
            Err(e) => {
                if port.kind != PortType::Patch {
                    self.switch.remove_port(dp);
                    self.pools.release(&port.name);
                }
                Err(e)
            }
        }
    }

    /// Take a port out of the switch. Its flows go, its hardware rules too.
    pub(super) fn detach(&self, inner: &mut Inner, name: &str) {
        let Some(attached) = inner.ports.remove(name) else { return };
        let Ok(dp) = attached.state else { return };
        if let (Ok(bridge), Some(number)) = (inner.bridge(&attached.bridge), attached.port.ofport) {
            // It was found a moment ago, under the lock.
            let _ = self.switch.pipeline().remove_port(bridge, OfPort(number));
        }
        self.switch.set_world(inner.world());
        if attached.port.kind != PortType::Patch && !self.switch.remove_port(dp) {
            inner.draining.push(dp);
        }
        inner.kernel.remove(name);
        // The device keeps its pool until it is closed.
        self.pools.release(name);
    }

    /// End the removal of ports whose worker was late.
    pub(super) fn finish_removals(&self, inner: &mut Inner) {
        inner.draining.retain(|dp| !self.switch.finish_removal(*dp));
    }
}

/// What a port waits for, when it does.
fn waits(state: Option<&PortState>) -> Option<String> {
    match state {
        Some(PortState::Draining { pmds }) => Some(format!("draining: {pmds} PMDs hold its queues")),
        Some(PortState::Paused { pmds: 0 }) => Some("stopped: its device could not be set up again".to_owned()),
        Some(PortState::Paused { pmds }) => Some(format!("paused: {pmds} PMDs hold its queues")),
        Some(PortState::Active) | None => None,
    }
}

impl Inner {
    /// Whether a patch port is connected: each end has to name the other.
    fn patch_state(&self, port: &Port) -> String {
        let peer = port.peer.as_deref().unwrap_or_default();
        let back = self.ports.get(peer).map(|p| (p.port.kind, p.port.peer.as_deref()));
        match back {
            Some((PortType::Patch, Some(back))) if back == port.name => "up".to_owned(),
            Some((PortType::Patch, back)) => format!("not connected: {peer} names {}", back.unwrap_or("no peer")),
            Some(_) => format!("not connected: {peer} is no patch port"),
            None => format!("not connected: there is no port {peer}"),
        }
    }

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
        let netdev = kernel_ports::ifname(port);
        let same_device = |p: &&Attached| {
            let same = match netdev {
                Some(ifname) => kernel_ports::ifname(&p.port) == Some(ifname),
                None => port.kind != PortType::Patch && p.port.kind == port.kind && p.port.devargs == port.devargs,
            };
            same && p.state.is_ok()
        };
        if let Some(other) = self.ports.values().find(same_device) {
            let device = netdev.or(port.devargs.as_deref()).unwrap_or_default();
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
