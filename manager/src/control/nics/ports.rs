//! Ports on an eswitch that is changed: off before, back after.

use super::super::attach::Work;
use super::super::{Attached, Control, Inner};
use crate::nic::names::{self, Which};
use ::kernel_ports::Absent;
use ::pipeline::FdbEntry;
use api::{Error, ErrorKind, PortType};
use flow::OfPort;
use flow::dp::HardwareFence;
use representors::{Function, Plan, Step};
use std::time::{Duration, Instant};

/// How long rules may take to leave the hardware.
const RULES_OFF: Duration = Duration::from_secs(10);

/// What a change takes away, even if only for a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// All: the mode changes.
    all: bool,
    /// The representors of all VFs: VFs are removed, and made anew.
    vfs: bool,
    sfs: Vec<u32>,
    /// What will be there after it.
    vfs_after: u16,
    switchdev_after: bool,
}

impl Touched {
    pub(super) fn by(plan: &Plan) -> Touched {
        let mode = plan.desired.mode.or(plan.base.mode);
        let mut touched = Touched {
            vfs_after: plan.desired.vfs.unwrap_or_else(|| plan.base.num_vfs()),
            switchdev_after: mode == Some(representors::EswitchMode::Switchdev),
            ..Touched::default()
        };
        for step in &plan.steps {
            match step {
                Step::SetMode { .. } => touched.all = true,
                Step::SetVfs { from, .. } if *from > 0 => touched.vfs = true,
                Step::RemoveSf { sf } => touched.sfs.push(*sf),
                _ => {}
            }
        }
        touched
    }

    fn takes(&self, which: Which) -> bool {
        match which {
            Which::Uplink => self.all,
            Which::Of(name) => match name.function {
                // Other hosts' functions stay but for a change of the mode.
                Function::Vf(_) if name.controller == 0 => self.all || self.vfs,
                Function::Sf(n) if name.controller == 0 => self.all || self.sfs.contains(&n),
                _ => self.all,
            },
        }
    }

    fn leaves(&self, which: Which) -> bool {
        match which {
            Which::Uplink => true,
            Which::Of(name) => match name.function {
                Function::Vf(n) if name.controller == 0 => self.switchdev_after && n < self.vfs_after,
                Function::Sf(n) if name.controller == 0 => self.switchdev_after && !self.sfs.contains(&n),
                _ => self.switchdev_after,
            },
        }
    }
}

/// A port that is off its eswitch.
#[derive(Debug)]
pub(super) struct Off {
    name: String,
    /// Fixed addresses behind it, which go with it.
    stations: Vec<FdbEntry>,
}

impl Control {
    /// The steps of a change, those of ports included.
    pub(super) fn steps_of(&self, plan: &Plan, touched: &Touched, kernel: &[String]) -> Vec<String> {
        let pf = plan.base.device.to_string();
        let inner = self.lock();
        let on = inner.ports_on(&pf, touched);
        let off = on.iter().map(|(name, which)| format!("take port {name} off {which}"));
        let back = on.iter().map(|(name, which)| match touched.leaves(*which) {
            true => format!("put port {name} back on {which}"),
            false => format!("port {name} waits until there is {which} again"),
        });
        off.chain(kernel.iter().cloned()).chain(back).collect()
    }

    /// Take the ports that a change touches out of the switch, and their rules out of the hardware.
    pub(super) fn ports_off(&self, pf: &str, touched: &Touched) -> Result<Vec<Off>, Error> {
        let mut inner = self.lock();
        self.nics.set_off_limits(Some(pf));
        let mut off = Vec::new();
        let names: Vec<String> = inner.ports_on(pf, touched).into_iter().map(|(name, _)| name).collect();
        if names.is_empty() {
            return Ok(off);
        }
        for name in &names {
            inner = self.idle(inner, name).inspect_err(|_| self.nics.set_off_limits(None))?;
        }
        let mut drains = Vec::new();
        for name in names {
            let Some(attached) = inner.ports.get(&name).cloned() else { continue };
            if let Ok(dp) = attached.state {
                let fixed = |e: &FdbEntry| e.is_static && e.port == dp;
                let known = inner.bridge(&attached.bridge).map(|id| self.switch.pipeline().fdb(id));
                let stations = known.unwrap_or_default().into_iter().filter(fixed).collect();
                drains.extend(self.detach(&mut inner, &name));
                let state = Err("its eswitch is being changed".to_owned());
                inner.ports.insert(name.clone(), Attached { state, work: Some(Work::Eswitch), ..attached });
                off.push(Off { name, stations });
            }
        }
        drop(inner);
        self.drain(drains.clone());
        let late = self.lock().draining.iter().find(|d| drains.contains(&d.id())).map(|d| d.port.name.clone());
        if let Some(late) = late {
            self.nics.set_off_limits(None);
            self.ports_back(pf, off);
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("eswitch {pf}"),
                format!("port {late} is on it, and a PMD has not given it back"),
            )
            .remedy("look whether all PMDs run: shuntctl pmd show; then try again"));
        }
        if let Err(e) = self.rules_off(pf) {
            self.nics.set_off_limits(None);
            self.ports_back(pf, off);
            return Err(e);
        }
        Ok(off)
    }

    /// Wait until no rule is in hardware that should not be.
    fn rules_off(&self, pf: &str) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            match self.switch.fence().hardware {
                HardwareFence::Fenced => return Ok(()),
                // Hardware that fails loses its rules with the mode.
                HardwareFence::Failed(why) => {
                    tracing::warn!("eswitch {pf}: its hardware rules cannot be taken out one by one: {why}");
                    return Ok(());
                }
                HardwareFence::Pending(n) if start.elapsed() > RULES_OFF => {
                    let waited = RULES_OFF.as_secs();
                    let message = format!("{n} changes of its hardware rules are still under way after {waited} s");
                    return Err(Error::new(ErrorKind::Conflict, format!("eswitch {pf}"), message)
                        .remedy("see: shuntctl offload status; or turn offload off first: shuntctl offload off"));
                }
                HardwareFence::Pending(_) => {}
            }
        }
    }

    /// Put ports back whose representors are there. Others are shown with the reason, and wait.
    pub(super) fn ports_back(&self, pf: &str, off: Vec<Off>) {
        for Off { name, stations } in off {
            let mut inner = self.lock();
            let Some(attached) = inner.ports.get(&name).cloned() else { continue };
            let back;
            (inner, back) = self.attach(inner, &attached.bridge, &attached.port, Absent::Refuse);
            match back {
                Ok(number) => self.fix_again(&inner, &attached.bridge, number, &stations),
                Err(e) => {
                    tracing::warn!("{e}; the port waits (eswitch {pf})");
                    if let Some(port) = inner.ports.get_mut(&name) {
                        port.state = Err(e.message);
                    }
                }
            }
        }
    }

    fn fix_again(&self, inner: &Inner, bridge: &str, number: OfPort, stations: &[FdbEntry]) {
        let Ok(id) = inner.bridge(bridge) else { return };
        for station in stations {
            if let Err(e) = self.switch.pipeline().fdb_add(id, station.vlan, station.mac, number) {
                tracing::warn!("bridge {bridge}: a fixed address: {e}");
            }
        }
    }

    /// Ports that wait for representors of this NIC are tried.
    pub(super) fn representors_came(&self, pf: &str) {
        let waiting = |inner: &Inner| -> Vec<String> {
            let waits = |p: &&Attached| p.state.is_err() && p.work.is_none() && p.is_on(pf);
            inner.ports.values().filter(waits).map(|p| p.port.name.clone()).collect()
        };
        let names = waiting(&self.lock());
        for name in names {
            let inner = self.lock();
            drop(self.try_again(inner, &name));
        }
    }
}

impl Attached {
    /// What it is on this PF's eswitch: a representor's function, or the uplink when DPDK has the PF itself.
    fn function_of(&self, pf: &str) -> Option<Which> {
        let devargs = self.port.devargs.as_deref()?;
        if self.is_on(pf) {
            return names::which(devargs);
        }
        let (address, rest) = devargs.split_once(',').unwrap_or((devargs, ""));
        let here = self.port.kind == PortType::Dpdk && pf.strip_prefix("pci/") == Some(address);
        let representor = rest.split(',').find_map(|arg| arg.strip_prefix("representor=")).and_then(names::which);
        here.then(|| representor.unwrap_or(Which::Uplink))
    }

    /// Whether it is a port of this PF's eswitch.
    fn is_on(&self, pf: &str) -> bool {
        self.port.kind == PortType::Representor && self.port.nic.as_deref() == Some(pf)
    }
}

impl Inner {
    /// The ports that are there on what a change touches, with what they are.
    fn ports_on(&self, pf: &str, touched: &Touched) -> Vec<(String, Which)> {
        let of = |p: &Attached| {
            let which = p.function_of(pf)?;
            ((p.state.is_ok() || p.work.is_some()) && touched.takes(which)).then(|| (p.port.name.clone(), which))
        };
        self.ports.values().filter_map(of).collect()
    }

    /// The port that a function is, by its name within the NIC.
    pub(super) fn port_of(&self, pf: &str, function: &str) -> Option<&Attached> {
        self.ports.values().find(|p| p.is_on(pf) && p.port.devargs.as_deref() == Some(function))
    }
}
