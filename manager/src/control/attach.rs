//! Ports that come and go.
//!
//! A device may take seconds to be set up or closed, and a PMD may take its time to give queues back. None of that happens under
//! the lock, so everything else is answered meanwhile:
//!
//! - *In*: under the lock the port is claimed (name, numbers, device); without it the device is set up; under it again the port
//!   is made known to the pipeline, and only then polled: no packet comes from a port that the bridge does not know.
//! - *Out*: under the lock its PMDs are asked for its queues, and then the port leaves the pipeline: hardly a packet comes from a port
//!   that the bridge no longer knows. Without the lock the PMDs are waited for, and the device is closed. Until then the port is *draining*: shown, and its name, device and datapath number are not free.

use super::errors::pipeline;
use super::port_checks::vlan_mode;
use super::{Attached, Control, Inner, Locked, kernel_ports};
use crate::switch::DRAIN_TIMEOUT;
use ::kernel_ports::{Absent, KernelPort, MAX_MTU};
use ::pipeline::{PortKind, PortSpec};
use api::{Error, ErrorKind, Port, PortType};
use dpdk::Port as Device;
use flow::{DpPort, OfPort};
use std::time::{Duration, Instant};

/// How long a request waits for another one that is at work on the same port.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the engine may take to take a port's rules out of its device.
pub(super) const RULES_TIMEOUT: Duration = Duration::from_secs(2);

/// Work on a port's device that goes on without the lock. Nobody else changes the port meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// It is to become the port of this number.
    Attach(DpPort),
    /// It is set up anew.
    Change,
    /// It is off its eswitch, which is being changed.
    Eswitch,
}

/// A port that was removed and whose device is open still.
#[derive(Debug)]
pub(super) struct Draining {
    /// Numbers of ports are used again, these are not.
    id: u64,
    pub(super) bridge: String,
    pub(super) port: Port,
    pub(super) dp: DpPort,
    /// Closed with the port's device.
    kernel: Option<KernelPort>,
    ethdev: Option<u16>,
    since: Instant,
    /// Somebody looks whether it is drained, or closes it.
    closing: bool,
}

/// A port's device, set up, and not in the switch yet.
pub(super) struct Made {
    device: Device,
    kernel: Option<KernelPort>,
}

impl Control {
    /// Bring a port into the switch; what was done is undone when the rest fails. `absent` says what becomes of a port whose
    /// network device is not there. A port that was there without its device stays so when this fails.
    pub(super) fn attach<'a>(
        &'a self,
        mut inner: Locked<'a>,
        bridge: &str,
        port: &Port,
        absent: Absent,
    ) -> (Locked<'a>, Result<OfPort, Error>) {
        let dp = inner.claim(bridge, port);
        let made = if port.kind == PortType::Patch {
            Ok(None)
        } else {
            drop(inner);
            let made = self.make(port, absent);
            inner = self.lock();
            made.map(Some)
        };
        let (made, error) = match made {
            Err(e) => (None, e),
            Ok(mut made) => match self.connect(&mut inner, bridge, port, dp, made.as_mut()) {
                Ok(number) => {
                    self.worked.notify_all();
                    return (inner, Ok(number));
                }
                Err(e) => (made, e),
            },
        };
        // The claim holds until the device is closed.
        drop(inner);
        if let (Some(hardware), Some(made)) = (&self.hardware, &made) {
            hardware.gone(made.device.id());
        }
        drop(made);
        self.pools.release(&port.name);
        inner = self.lock();
        match inner.ports.get_mut(&port.name) {
            Some(attached) if !attached.claimed => attached.work = None,
            _ => drop(inner.ports.remove(&port.name)),
        }
        self.worked.notify_all();
        (inner, Err(error))
    }

    /// A port's device. Takes as long as the device takes.
    fn make(&self, port: &Port, absent: Absent) -> Result<Made, Error> {
        let made = match (port.kind, kernel_ports::kind(port.kind)) {
            (PortType::Representor, _) => {
                let (device, kernel) = self.representor_device(port, absent)?;
                Made { device, kernel }
            }
            (_, Some(kind)) => {
                let (device, kernel) = self.kernel_device(port, kind, absent)?;
                Made { device, kernel: Some(kernel) }
            }
            (_, None) => Made { device: self.dpdk_device(port)?, kernel: None },
        };
        if let Some(hardware) = self.hardware.as_deref().filter(|_| made.kernel.is_none()) {
            hardware.come(&made.device);
        }
        Ok(made)
    }

    /// Make a port known to its bridge, then have it polled: first the bridge, because PMDs poll it at once.
    pub(super) fn connect(
        &self,
        inner: &mut Inner,
        bridge: &str,
        port: &Port,
        dp: DpPort,
        made: Option<&mut Made>,
    ) -> Result<OfPort, Error> {
        let object = format!("port {}", port.name);
        let id = inner.bridge(bridge)?;
        let mut spec = match made {
            None => PortSpec::patch(&port.name, port.peer.clone().unwrap_or_default()),
            Some(_) => PortSpec::new(&port.name, dp),
        };
        spec.number = port.ofport.map(OfPort);
        spec.flood = !port.no_flood;
        spec.up = !port.down;
        spec.vlan = vlan_mode(&object, port)?;
        if port.kind == PortType::Internal {
            spec.kind = PortKind::Internal;
        }
        let pipeline_ = self.switch.pipeline();
        let number = pipeline_.add_port(id, spec).map_err(|e| pipeline(&object, &e))?;
        if let Some(made) = &made {
            // The thread of a port that faces the kernel drops what is too long, by the device's MTU as it is at that time.
            let mtu = if made.kernel.is_some() { Some(MAX_MTU) } else { port.mtu };
            let added = self.switch.add_port_with_mtu(dp, &port.name, made.device.clone(), mtu);
            if let Err(e) = added {
                // It was added a moment ago, under the lock.
                let _ = pipeline_.remove_port(id, number);
                return Err(Error::new(ErrorKind::Failed, object, e));
            }
        }
        // A patch port gets its datapath number from the pipeline.
        let dp = pipeline_.ports(id).into_iter().find(|p| p.number == number).map_or(dp, |p| p.dp);
        let mut port = port.clone();
        port.ofport = Some(number.0);
        self.pin_again(&port, dp);
        let ethdev = made.as_ref().map(|made| made.device.id());
        if let Some(kernel) = made.and_then(|made| made.kernel.take()) {
            inner.kernel.insert(port.name.clone(), kernel);
        }
        let attached = Attached { state: Ok(dp), ethdev, ..Attached::absent(bridge, &port, String::new()) };
        inner.ports.insert(attached.port.name.clone(), attached);
        self.renew_world(inner);
        Ok(number)
    }

    /// Take a port out of the switch. Its device stays open until [`Control::finish_removals`] finds it drained; for whoever
    /// wants to wait for that, its number among those that drain.
    pub(super) fn detach(&self, inner: &mut Inner, name: &str) -> Option<u64> {
        let attached = inner.ports.remove(name)?;
        let dp = attached.state.ok()?;
        if attached.port.kind != PortType::Patch {
            self.switch.begin_removal(dp);
        }
        if let (Ok(bridge), Some(number)) = (inner.bridge(&attached.bridge), attached.port.ofport) {
            // It was found a moment ago, under the lock.
            let _ = self.switch.pipeline().remove_port(bridge, OfPort(number));
        }
        self.renew_world(inner);
        if attached.port.kind == PortType::Patch {
            return None;
        }
        inner.drained += 1;
        let id = inner.drained;
        let kernel = inner.kernel.remove(name);
        let (ethdev, since) = (attached.ethdev, Instant::now());
        let Attached { bridge, port, .. } = attached;
        inner.draining.push(Draining { id, bridge, port, dp, kernel, ethdev, since, closing: false });
        Some(id)
    }

    /// Wait for the PMDs that hold these ports, for as long as removals may take; those that are late are ended later.
    pub(super) fn drain(&self, mut ids: Vec<u64>) {
        let start = Instant::now();
        loop {
            ids.retain(|id| !self.finish_removal(*id));
            if ids.is_empty() {
                return;
            }
            if start.elapsed() >= DRAIN_TIMEOUT {
                for late in self.lock().draining.iter().filter(|d| ids.contains(&d.id)) {
                    tracing::error!(
                        "port {}: its PMDs have not given it back yet; look whether all of them run: shuntctl pmd show",
                        late.port.name
                    );
                }
                return;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// End the removal of ports whose PMDs were late.
    pub(super) fn finish_removals(&self) {
        let ids: Vec<u64> = self.lock().draining.iter().map(|d| d.id).collect();
        for id in ids {
            self.finish_removal(id);
        }
    }

    /// Whether the port is gone, with its device. Closes it when no PMD holds it any more.
    fn finish_removal(&self, id: u64) -> bool {
        let draining = |inner: &Inner| inner.draining.iter().position(|d| d.id == id);
        let (dp, ethdev, since) = {
            let mut inner = self.lock();
            let Some(at) = draining(&inner) else { return true };
            let port = &mut inner.draining[at];
            if std::mem::replace(&mut port.closing, true) {
                return false;
            }
            (port.dp, port.ethdev, port.since)
        };
        let hardware = self.hardware.as_deref().zip(ethdev).filter(|(hardware, id)| hardware.has(*id));
        // Its rules leave the device with their last counts, before it is closed.
        let rules_out = hardware.is_none() || self.switch.engine().is_quiet() || since.elapsed() > RULES_TIMEOUT;
        let drained = rules_out && self.switch.finish_removal(dp);
        let mut inner = self.lock();
        let Some(at) = draining(&inner) else { return true };
        if !drained {
            inner.draining[at].closing = false;
            return false;
        }
        let name = inner.draining[at].port.name.clone();
        let kernel = inner.draining[at].kernel.take();
        drop(inner);
        if let Some((hardware, id)) = self.hardware.as_deref().zip(ethdev) {
            hardware.gone(id);
        }
        drop(kernel);
        self.pools.release(&name);
        // Now the name is free.
        self.lock().draining.retain(|d| d.id != id);
        true
    }

    /// A port that nobody else is at work on, after a wait if need be.
    pub(super) fn idle<'a>(&'a self, inner: Locked<'a>, name: &str) -> Result<Locked<'a>, Error> {
        let busy = |inner: &mut Inner| inner.ports.get(name).is_some_and(|p| p.work.is_some());
        let waited = self.worked.wait_timeout_while(inner, PATIENCE, busy);
        let (mut inner, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        if !busy(&mut inner) {
            return Ok(inner);
        }
        let message = "its device is being set up by another request, which takes long";
        Err(Error::new(ErrorKind::Conflict, format!("port {name}"), message)
            .remedy("try again when it is done; see: shuntctl port list"))
    }
}

impl Draining {
    /// What it is known by while it drains.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Attached {
    /// A port that is not in the switch, for this reason.
    pub(super) fn absent(bridge: &str, port: &Port, why: String) -> Attached {
        Attached {
            bridge: bridge.to_owned(),
            port: port.clone(),
            state: Err(why),
            work: None,
            ethdev: None,
            claimed: false,
        }
    }
}

impl Inner {
    /// Reserve what a port needs: its name, its device, and a datapath number, the lowest that is free.
    fn claim(&mut self, bridge: &str, port: &Port) -> DpPort {
        let dp = self.free_number();
        let work = Some(Work::Attach(dp));
        match self.ports.get_mut(&port.name) {
            Some(absent) => absent.work = work,
            None => {
                let coming = Attached::absent(bridge, port, "its device is being set up".to_owned());
                self.ports.insert(port.name.clone(), Attached { work, claimed: true, ..coming });
            }
        }
        dp
    }

    /// What drains under a name.
    pub(super) fn draining_as(&self, name: &str) -> Vec<u64> {
        self.draining.iter().filter(|d| d.port.name == name).map(|d| d.id).collect()
    }

    /// The lowest datapath port number that no port has or will have, nor one that is still being drained.
    fn free_number(&self) -> DpPort {
        let of = |p: &Attached, dp| p.state == Ok(dp) || p.work == Some(Work::Attach(dp));
        let taken = |dp: DpPort| self.draining.iter().any(|d| d.dp == dp) || self.ports.values().any(|p| of(p, dp));
        (1..).map(DpPort).find(|dp| !taken(*dp)).unwrap_or(DpPort(u32::MAX - 1))
    }
}
