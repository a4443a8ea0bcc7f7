//! Representors as ports.

use super::super::errors::invalid;
use super::super::{Control, kernel_ports};
use crate::nic::names::{self, Which};
use ::kernel_ports::{Absent, KernelPort, Kind};
use api::{Ack, Error, ErrorKind, NicWish, Port, PortType, RepAttach, RepresentorPath};
use netlink::{LinkClient, Protocol};
use representors::{DpdkRepresentors, Function, Netdev, Nic, RepName, dpdk_devargs};

impl Control {
    /// Make a representor a port of a bridge.
    pub fn rep_attach(&self, ask: &RepAttach) -> Result<Ack, Error> {
        let all = self.nics.host.inventory()?;
        let (nic, which) = names::function(&all, &ask.representor)?;
        let name = ask.port.clone().unwrap_or_else(|| which.to_string());
        let mut port = Port::new(name, PortType::Representor);
        port.devargs = Some(which.to_string());
        port.nic = Some(nic.device.to_string());
        port.ofport = ask.ofport;
        port.tag = ask.tag;
        if let Some(path) = ask.path {
            port.options.insert("path".to_owned(), path.word().to_owned());
        }
        let there = self.lock().port_of(&nic.device.to_string(), &which.to_string()).cloned();
        if let Some(there) =
            there.filter(|t| t.bridge == ask.bridge && ask.port.as_ref().is_none_or(|p| *p == t.port.name))
        {
            // It is there already: nothing to do, as with all else of NICs.
            if there.state.is_ok() {
                return self.commit(self.change()?, Vec::new(), 0);
            }
        }
        self.port_add(&ask.bridge, port)
    }

    /// A representor is no port any more.
    pub fn rep_detach(&self, name: &str) -> Result<Ack, Error> {
        let port = self.port_by_function(name)?;
        self.port_delete(&port.0, &port.1)
    }

    /// The port that a name means: its own, or that of the function that it is (`pf0vf3`, `0000:08:00.0/pf0vf3`).
    pub(in super::super) fn port_name(&self, name: &str) -> String {
        let function = name.rsplit_once('/').map_or(name, |(_, function)| function);
        if self.lock().ports.contains_key(name) || names::which(function).is_none() {
            return name.to_owned();
        }
        self.port_by_function(name).map_or_else(|_| name.to_owned(), |(_, port)| port)
    }

    /// The port (bridge and name) that a representor is, though the representor be gone.
    fn port_by_function(&self, name: &str) -> Result<(String, String), Error> {
        let found = |pf: &str, which: Which| {
            let inner = self.lock();
            inner.port_of(pf, &which.to_string()).map(|p| (p.bridge.clone(), p.port.name.clone()))
        };
        let no_port = || {
            Error::new(ErrorKind::NotFound, format!("representor {name}"), "it is no port of a bridge")
                .remedy("list them with: shuntctl rep list")
        };
        let error = match names::function(&self.nics.host.inventory()?, name) {
            Ok((nic, which)) => return found(&nic.device.to_string(), which).ok_or_else(no_port),
            Err(e) => e,
        };
        // A port whose representor is gone: by its own words.
        let inner = self.lock();
        let own = |p: &&super::super::Attached| {
            let (nic, function) =
                (p.port.nic.as_deref().unwrap_or_default(), p.port.devargs.as_deref().unwrap_or_default());
            p.port.kind == PortType::Representor && (function == name || name == format!("{nic}/{function}"))
        };
        let mut all = inner.ports.values().filter(own);
        match (all.next(), all.next()) {
            (Some(one), None) => Ok((one.bridge.clone(), one.port.name.clone())),
            _ => Err(error),
        }
    }

    /// Have a representor's port say of which NIC it is, and what it is in the one way of writing it.
    pub(in super::super) fn name_representor(&self, port: &mut Port) -> Result<(), Error> {
        let devargs = port.devargs.clone().unwrap_or_default();
        let named = match &port.nic {
            Some(nic) if !devargs.contains('/') && names::which(&devargs).is_some() => format!("{nic}/{devargs}"),
            _ => devargs,
        };
        let all = self.nics.host.inventory()?;
        let (nic, which) = names::function(&all, &named).map_err(|e| of_port(e, &port.name))?;
        port.nic = Some(nic.device.to_string());
        port.devargs = Some(which.to_string());
        if !self.lock().nic.is_mock(&nic.device.to_string()) {
            let path = path(port)?.unwrap_or_else(|| self.best_path(nic));
            if path == RepresentorPath::Dpdk {
                self.dpdk_devargs(&format!("port {}", port.name), nic, which)?;
            }
            port.options.insert("path".to_owned(), path.word().to_owned());
        }
        Ok(())
    }

    /// The device of a representor's port.
    pub(in super::super) fn representor_device(
        &self,
        port: &Port,
        absent: Absent,
    ) -> Result<(dpdk::Port, Option<KernelPort>), Error> {
        let mut port = port.clone();
        if port.nic.is_none() {
            self.name_representor(&mut port)?;
        }
        let object = format!("port {}", port.name);
        let (pf, function) = (port.nic.clone().unwrap_or_default(), port.devargs.clone().unwrap_or_default());
        if self.nics.is_off_limits(&pf) {
            return Err(Error::new(ErrorKind::Conflict, object, format!("eswitch {pf} is being changed"))
                .remedy("try again when it is done; see: shuntctl nic list"));
        }
        let all = self.nics.host.inventory()?;
        let unknown = || invalid(&object, format!("`{function}` names no function of a NIC"));
        let which = names::which(&function).ok_or_else(unknown)?;
        let nic = names::pf(&all, Some(&pf)).map_err(|e| of_port(e, &port.name))?;
        let dev = netdev(nic, which);
        let missing = || {
            Error::new(ErrorKind::NotFound, &object, format!("there is no representor {function}")).remedy(
                "list them with: shuntctl rep list; make VFs with: shuntctl eswitch set PF --mode switchdev --vfs N",
            )
        };
        let mocked = self.lock().nic.is_mock(&pf);
        if mocked {
            if let Which::Of(RepName { function: Function::Sf(_), .. }) = which {
                return Err(Error::new(ErrorKind::Unsupported, object, "the mock NIC has no ports for sub-functions")
                    .remedy("attach a VF of it: pf0vf0"));
            }
            let there = dev.is_some() || which == Which::Uplink;
            let device = self.lock().nic.mock_port(&pf, which).filter(|_| there);
            return device.map(|device| (device, None)).ok_or_else(missing);
        }
        if path(&port)? == Some(RepresentorPath::Dpdk) {
            let devargs = self.dpdk_devargs(&object, nic, which)?;
            let mut on_dpdk = Port::new(port.name.clone(), PortType::Dpdk);
            on_dpdk.devargs = Some(devargs);
            // The device arguments name a function that must be there.
            self.set_up(&pf, which, dev.ok_or_else(missing)?)?;
            return self.dpdk_device(&on_dpdk).map(|device| (device, None));
        }
        let dev = dev.ok_or_else(missing)?;
        self.set_up(&pf, which, dev)?;
        let mut on_kernel = Port::new(port.name.clone(), PortType::AfPacket);
        on_kernel.options.insert("ifname".to_owned(), dev.name.clone());
        kernel_ports::check(&object, &on_kernel, Kind::AfPacket)?;
        let (device, kernel) = self.kernel_device(&on_kernel, Kind::AfPacket, absent)?;
        Ok((device, Some(kernel)))
    }
}

/// What is to carry a representor's packets; `None`: nothing was said, or it is the mock NIC's.
pub(in super::super) fn path(port: &Port) -> Result<Option<RepresentorPath>, Error> {
    let Some(text) = port.options.get("path") else { return Ok(None) };
    let path = text.parse();
    path.map(Some)
        .map_err(|e| invalid(format!("port {}", port.name), format!("`{text}` is no path of packets")).remedy(e))
}

impl Control {
    /// Set the network device of a port up, unless it is wanted down: packets pass only then.
    fn set_up(&self, pf: &str, which: Which, dev: &Netdev) -> Result<(), Error> {
        let wanted_down = {
            let inner = self.lock();
            let wish = inner.desired.nics.get(pf);
            let up = |wish: &NicWish| match which {
                Which::Of(RepName { controller: 0, function: Function::Vf(n), .. }) => {
                    wish.vf.get(&u32::from(n)).and_then(|vf| vf.up).or(wish.representors_up)
                }
                Which::Of(RepName { controller: 0, function: Function::Sf(n), .. }) => wish.sf.get(&n)?.up,
                _ => None,
            };
            wish.and_then(up) == Some(false)
        };
        if dev.up || wanted_down {
            return Ok(());
        }
        self.nics.turns.changed();
        let failed = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Failed, format!("representor {which}"), format!("{} cannot be set up: {e}", dev.name))
                .remedy(format!("try: ip link set {} up", dev.name))
        };
        let kernel = self.nics.host.open()?;
        let socket = kernel.access().open(Protocol::Route).map_err(|e| failed(&e))?;
        LinkClient::new(socket).set_up(dev.ifindex, true).map_err(|e| failed(&e))
    }

    /// DPDK's device arguments for a function.
    pub(super) fn dpdk_devargs(&self, object: &str, nic: &Nic, which: Which) -> Result<String, Error> {
        let driver = nic.driver.as_deref().unwrap_or("none");
        let unsupported = |message: String| {
            Error::new(ErrorKind::Unsupported, object, message).remedy("leave --path away, or use --path kernel")
        };
        match DpdkRepresentors::of(nic.driver.as_deref()) {
            DpdkRepresentors::Yes => {}
            DpdkRepresentors::DcfOnly => {
                return Err(unsupported(format!(
                    "driver {driver} has DPDK representors in DCF mode only, in which the kernel has none"
                )));
            }
            DpdkRepresentors::No => return Err(unsupported(format!("DPDK has no representors of driver {driver}"))),
        }
        let base = self.nics.pci(&nic.device).ok_or_else(|| {
            let address = &nic.device.name;
            Error::new(
                ErrorKind::Forbidden,
                object,
                format!("DPDK may not have {address}: the configuration does not name it"),
            )
            .remedy(format!("add \"{address}\" to pci of [datapath] and start shuntd again, or use --path kernel"))
        })?;
        match which {
            Which::Uplink => Ok(base.to_owned()),
            Which::Of(name) => dpdk_devargs(base, &[name])
                .pop()
                .ok_or_else(|| unsupported(format!("DPDK has no representor of {name}"))),
        }
    }

    /// What is to carry a new representor's packets when nothing was said: DPDK where driver and configuration have it.
    fn best_path(&self, nic: &Nic) -> RepresentorPath {
        let dpdk = DpdkRepresentors::of(nic.driver.as_deref()) == DpdkRepresentors::Yes;
        if dpdk && self.nics.pci(&nic.device).is_some() { RepresentorPath::Dpdk } else { RepresentorPath::Kernel }
    }
}

fn netdev(nic: &Nic, which: Which) -> Option<&Netdev> {
    match which {
        Which::Uplink => nic.uplink.as_ref()?.netdev.as_ref(),
        Which::Of(name) => nic.representor(name)?.netdev.as_ref(),
    }
}

fn of_port(mut e: Error, port: &str) -> Error {
    e.message = format!("{}: {}", e.object, e.message);
    e.object = format!("port {port}");
    e
}
