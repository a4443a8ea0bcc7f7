//! Ports of bridges.

use super::attach::{Draining, Work};
use super::errors::{no_port, pipeline};
use super::kernel_ports;
use super::port_checks::{check, check_port_name, vlan_mode};
use super::{Attached, Control, Inner, affinity, devices};
use crate::state::Change;
use ::kernel_ports::Absent;
use ::pipeline::PortUpdate;
use api::{Ack, Error, ErrorKind, Port, PortSet, PortType, PortView};
use datapath::{PortCounters, PortState};
use flow::{DpPort, OfPort};
use std::collections::HashMap;

impl Control {
    /// All ports, as they are.
    pub fn ports(&self) -> Vec<PortView> {
        let inner = self.lock();
        let counters = self.switch.port_counters();
        let states = self.switch.port_states();
        let shown = Shown { inner: &inner, states: &states, counters: &counters };
        let gone = |d: &&Draining| !inner.ports.contains_key(&d.port.name);
        let draining =
            inner.draining.iter().filter(gone).map(|d| shown.view(&d.bridge, &d.port, Some(d.dp), shown.drains(d)));
        let mut views: Vec<_> = inner.ports.values().map(|a| shown.attached(a)).chain(draining).collect();
        views.sort_by(|a, b| (&a.bridge, a.port.ofport).cmp(&(&b.bridge, b.port.ofport)));
        views
    }

    /// Add a port to a bridge.
    pub fn port_add(&self, bridge: &str, mut port: Port) -> Result<Ack, Error> {
        let object = format!("port {}", port.name);
        check(&object, &port)?;
        check_port_name(&object, &port.name)?;
        affinity::check(&object, &port)?;
        if port.kind == PortType::Representor {
            self.name_representor(&mut port)?;
        }
        // What is drained by now is in nobody's way.
        self.finish_removals();
        let inner = self.change()?;
        inner.bridge(bridge)?;
        inner.check_free(&object, bridge, &port)?;
        // Ports whose device is gone keep their numbers: rules name them.
        port.ofport = port.ofport.or_else(|| inner.free_ofport(bridge));
        let (mut inner, attached) = self.attach(inner, bridge, &port, Absent::Refuse);
        port.ofport = Some(attached?.0);
        inner.desired.ports.insert(port.name.clone(), (bridge.to_owned(), port.clone()));
        self.commit(inner, vec![Change::PutPort { bridge: bridge.to_owned(), port }], 1)
    }

    /// Remove a port from a bridge.
    pub fn port_delete(&self, bridge: &str, name: &str) -> Result<Ack, Error> {
        let name = &*self.port_name(name);
        let mut inner = self.idle(self.change()?, name)?;
        inner.bridge(bridge)?;
        if inner.ports.get(name).is_none_or(|p| p.bridge != bridge) {
            return Err(inner.being_removed(bridge, name).unwrap_or_else(|| no_port(bridge, name)));
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
        // A port whose device went is drained already, maybe.
        let drains = inner.draining_as(name);
        inner.desired.ports.remove(name);
        let mut changes = vec![Change::DeletePort(name.to_owned())];
        changes.extend(inner.forget_offload_of_gone());
        changes.extend(stations);
        self.commit_after(inner, changes, 1, || self.drain(drains))
    }

    /// Change a port.
    pub fn port_set(&self, bridge: &str, name: &str, set: &PortSet) -> Result<Ack, Error> {
        let name = &*self.port_name(name);
        let mut inner = self.idle(self.change()?, name)?;
        let id = inner.bridge(bridge)?;
        let there = inner.ports.get(name).filter(|p| p.bridge == bridge);
        let missing = || inner.being_removed(bridge, name).unwrap_or_else(|| no_port(bridge, name));
        let attached = there.ok_or_else(missing)?;
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
                let done;
                (inner, done) = self.change_unlocked(inner, &before, &port, dp);
                done?;
            }
            if set.rxq_affinity.is_some() && port.kind != PortType::Patch {
                self.pin(&object, dp, pins)?;
            }
            if replug {
                self.detach(&mut inner, name);
                self.connect(&mut inner, bridge, &port, dp, None)?;
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
        self.renew_world(&inner);
        self.commit(inner, vec![Change::PutPort { bridge: bridge.to_owned(), port }], 1)
    }
}

/// What there is to be shown of ports.
struct Shown<'a> {
    inner: &'a Inner,
    states: &'a HashMap<DpPort, PortState>,
    counters: &'a HashMap<DpPort, PortCounters>,
}

impl Shown<'_> {
    fn attached(&self, a: &Attached) -> PortView {
        let dp = a.state.as_ref().ok().copied();
        let before = self.inner.draining.iter().find(|d| d.port.name == a.port.name);
        let state = match (&a.state, a.work) {
            (Ok(dp), _) if let Some(waits) = waits(self.states.get(dp)) => waits,
            (_, Some(Work::Eswitch)) => "its eswitch is being changed".to_owned(),
            (Ok(_), Some(Work::Change)) => "its device is being set up anew".to_owned(),
            (Ok(_), _) if a.port.down => "down".to_owned(),
            (Ok(_), _) if a.port.kind == PortType::Patch => self.inner.patch_state(&a.port),
            (Ok(_), _) => self.inner.kernel_state(&a.port.name).unwrap_or_else(|| "up".to_owned()),
            (Err(why), _) => match before {
                Some(before) => format!("{why}; {}", self.drains(before)),
                None => why.clone(),
            },
        };
        self.view(&a.bridge, &a.port, dp, state)
    }

    /// What is left of the removal of a port.
    fn drains(&self, draining: &Draining) -> String {
        let waits = waits(self.states.get(&draining.dp));
        waits.unwrap_or_else(|| "draining: its device is being closed".to_owned())
    }

    fn view(&self, bridge: &str, port: &Port, dp: Option<DpPort>, state: String) -> PortView {
        let counted = dp.and_then(|dp| self.counters.get(&dp)).copied().unwrap_or_default();
        PortView {
            bridge: bridge.to_owned(),
            port: port.clone(),
            dp_port: dp.map(|dp| dp.0).unwrap_or_default(),
            state,
            rx_packets: counted.rx_packets,
            rx_bytes: counted.rx_bytes,
            tx_packets: counted.tx_packets,
            tx_bytes: counted.tx_bytes,
            tx_dropped: counted.tx_dropped,
            device_counters: self.inner.device_counters(&port.name),
        }
    }
}

/// What a port waits for, when it does.
fn waits(state: Option<&PortState>) -> Option<String> {
    let hold = |pmds: usize| format!("{pmds} PMD{} its queues", if pmds == 1 { " holds" } else { "s hold" });
    match *state? {
        PortState::Draining { pmds: 0 } => None,
        PortState::Draining { pmds } => Some(format!("draining: {}", hold(pmds))),
        PortState::Paused { pmds: 0 } => Some("stopped: its device could not be set up again".to_owned()),
        PortState::Paused { pmds } => Some(format!("paused: {}", hold(pmds))),
        PortState::Active => None,
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
        let device = device_of(port);
        let there = self.ports.values().filter(|p| p.state.is_ok() || p.work.is_some());
        if let Some(other) = there.map(|p| &p.port).find(|p| device.is_some() && device_of(p) == device) {
            let (.., device) = device.unwrap_or_default();
            return Err(Error::new(ErrorKind::Conflict, object, format!("{device} is port {} already", other.name))
                .remedy("remove that port first, or name another device"));
        }
        let same = |d: &&Draining| d.port.name == port.name || (device.is_some() && device_of(&d.port) == device);
        if let Some(other) = self.draining.iter().find(same) {
            return Err(still_there(object, other));
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

    /// The error about a port that is being removed already.
    fn being_removed(&self, bridge: &str, name: &str) -> Option<Error> {
        let draining = self.draining.iter().find(|d| d.bridge == bridge && d.port.name == name)?;
        Some(still_there(&format!("port {name}"), draining))
    }

    /// What the planner may know of the ports.
    pub(super) fn world(&self) -> offload::World {
        let mut world = offload::World::new();
        (world.admission, world.resume) = (self.admission(), true);
        // One that is set up anew loses its rules.
        for attached in self.ports.values().filter(|p| p.work != Some(Work::Change)) {
            let Ok(dp) = &attached.state else { continue };
            let of =
                (attached.port.kind == PortType::Representor).then_some(attached.port.devargs.as_deref()).flatten();
            if let Some(info) = self.nic.port_info(&attached.port.name, of, attached.ethdev) {
                world = world.with_port(*dp, info);
            }
        }
        world
    }
}

/// What a port takes for itself alone: a network device of the kernel, or a device of DPDK.
fn device_of(port: &Port) -> Option<(Option<&str>, bool, &str)> {
    if let Some(ifname) = kernel_ports::ifname(port) {
        return Some((None, true, ifname));
    }
    let devargs = port.devargs.as_deref()?;
    // Devices that DPDK makes are told apart by their names, others by all that is said of them.
    Some((
        port.nic.as_deref(),
        false,
        devargs.split(',').next().filter(|name| name.starts_with("net_")).unwrap_or(devargs),
    ))
}

fn still_there(object: &str, draining: &Draining) -> Error {
    let name = &draining.port.name;
    let whose =
        if object == format!("port {name}") { "it".to_owned() } else { format!("its device is port {name}, which") };
    let message = format!("{whose} is being removed, and a PMD has not given it back yet");
    let remedy = "try again when `shuntctl port list` does not show it any more; if that PMD is stalled (shuntctl pmd show), \
                  see what takes its CPU or holds it";
    Error::new(ErrorKind::Conflict, object, message).remedy(remedy)
}
