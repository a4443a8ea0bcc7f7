//! Reading what there is.

use std::collections::{BTreeMap, BTreeSet};

use devlink_rs::{DeviceId, Flavour, Port};
use netlink::{Link, SysfsError};

use crate::{
    error::ObserveError,
    inventory::{Inventory, Netdev, Nic, Representor, Sriov, Uplink, Vf},
    kernel::Kernel,
    key::{Function, RepKey, RepName},
};

/// A device's folder in sysfs.
pub(crate) fn device_path(device: &DeviceId) -> String {
    format!("bus/{}/devices/{}", device.bus, device.name)
}

impl Kernel {
    /// Reads all NICs: PFs that have an eswitch or SR-IOV. VFs are listed under their PF, not by themselves.
    ///
    /// # Errors
    /// [`ObserveError`] when something there could not be read. What is not there is no error.
    pub fn inventory(&mut self) -> Result<Inventory, ObserveError> {
        let mut devices = BTreeSet::new();
        if let Some(devlink) = self.devlink()? {
            devices.extend(devlink.devices()?);
        }
        for name in present(self.sysfs.list("bus/pci/devices"))?.unwrap_or_default() {
            let device = DeviceId::new("pci", name);
            let path = device_path(&device);
            let sriov = present(self.sysfs.read(&format!("{path}/sriov_totalvfs")))?.is_some();
            // Disks have SR-IOV, too: NICs have network devices.
            if sriov && present(self.sysfs.list(&format!("{path}/net")))?.is_some() {
                devices.insert(device);
            }
        }
        let world = World::read(self)?;
        let mut nics = Vec::new();
        for device in devices {
            nics.extend(self.read_nic(&device, &world)?);
        }
        Ok(Inventory { nics })
    }

    /// Reads one NIC.
    ///
    /// # Errors
    /// [`ObserveError::NoSuchNic`] when there is none; else as [`Kernel::inventory`].
    pub fn nic(&mut self, device: &DeviceId) -> Result<Nic, ObserveError> {
        let world = World::read(self)?;
        self.read_nic(device, &world)?.ok_or_else(|| ObserveError::NoSuchNic(device.clone()))
    }

    /// `None` when it is not a PF: a VF, or something without eswitch and SR-IOV.
    fn read_nic(&mut self, device: &DeviceId, world: &World) -> Result<Option<Nic>, ObserveError> {
        let path = device_path(device);
        if present(self.sysfs.readlink(&format!("{path}/physfn")))?.is_some() {
            return Ok(None);
        }
        let eswitch = match self.devlink()? {
            Some(devlink) => match devlink.eswitch(device) {
                Ok(eswitch) => eswitch,
                Err(e) if e.errno() == Some(ENODEV) => None,
                Err(e) => return Err(e.into()),
            },
            None => None,
        };
        let sriov = match self.number(&format!("{path}/sriov_numvfs"))? {
            Some(vfs) => Some(Sriov { total: self.number(&format!("{path}/sriov_totalvfs"))?, vfs }),
            None => None,
        };
        if eswitch.is_none() && sriov.is_none() {
            return Ok(None);
        }
        let mut nic = Nic {
            device: device.clone(),
            driver: present(self.sysfs.readlink(&format!("{path}/driver")))?,
            mode: eswitch.as_ref().map(|e| e.mode),
            inline_mode: eswitch.as_ref().and_then(|e| e.inline_mode),
            encap_mode: eswitch.as_ref().and_then(|e| e.encap_mode),
            sriov,
            uplink: None,
            vfs: Vec::new(),
            representors: Vec::new(),
        };
        for n in 0..nic.num_vfs() {
            nic.vfs.extend(self.read_vf(device, n, world)?);
        }
        world.add_ports(&mut nic);
        Ok(Some(nic))
    }

    fn read_vf(&self, device: &DeviceId, index: u16, world: &World) -> Result<Option<Vf>, ObserveError> {
        if device.bus != "pci" {
            return Ok(Some(Vf { index, address: None, driver: None, netdev: None }));
        }
        let link = format!("{}/virtfn{index}", device_path(device));
        let Some(address) = present(self.sysfs.readlink(&link))? else { return Ok(None) };
        let driver = present(self.sysfs.readlink(&format!("bus/pci/devices/{address}/driver")))?;
        let netdev = world.of_parent("pci", &address).next().map(netdev);
        Ok(Some(Vf { index, address: Some(address), driver, netdev }))
    }

    fn number(&self, path: &str) -> Result<Option<u16>, ObserveError> {
        match present(self.sysfs.read(path))? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(ObserveError::NoNumber { path: path.to_owned(), text }),
            },
        }
    }
}

const ENODEV: i32 = 19;

/// What is read once for all NICs.
struct World {
    ports: Vec<Port>,
    links: BTreeMap<u32, Link>,
}

impl World {
    fn read(kernel: &mut Kernel) -> Result<Self, ObserveError> {
        let ports = match kernel.devlink()? {
            Some(devlink) => devlink.ports()?,
            None => Vec::new(),
        };
        let links = kernel.links.dump()?.into_iter().map(|l| (l.ifindex, l)).collect();
        Ok(World { ports, links })
    }

    fn of_parent(&self, bus: &str, name: &str) -> impl Iterator<Item = &Link> {
        self.links
            .values()
            .filter(move |l| l.parent_bus.as_deref() == Some(bus) && l.parent_dev.as_deref() == Some(name))
    }

    fn add_ports(&self, nic: &mut Nic) {
        for port in self.ports.iter().filter(|p| p.id.device == nic.device) {
            let netdev = port.ifindex.and_then(|i| self.links.get(&i)).map(netdev);
            let function = match port.flavour {
                Some(Flavour::Physical) => {
                    // A split port has several; the first is the uplink.
                    nic.uplink.get_or_insert(Uplink { port: Some(port.id.clone()), number: port.number, netdev });
                    continue;
                }
                Some(Flavour::PciPf) => Some(Function::Pf),
                Some(Flavour::PciVf) => port.vf.map(Function::Vf),
                Some(Flavour::PciSf) => port.sf.map(Function::Sf),
                _ => None,
            };
            if let (Some(function), Some(pf)) = (function, port.pf) {
                let name = RepName { controller: port.controller.unwrap_or(0), pf, function };
                nic.representors.push(Representor {
                    key: RepKey { device: nic.device.clone(), name },
                    port: port.id.clone(),
                    external: port.external,
                    netdev,
                    function_mac: port.function.as_ref().and_then(|f| f.hw_addr),
                });
            }
        }
        nic.representors.sort_by(|a, b| a.key.cmp(&b.key));
        if nic.uplink.is_none() {
            // Without devlink: the PF's own network device.
            let mut own = self.of_parent(&nic.device.bus, &nic.device.name);
            nic.uplink = own.next().map(|l| Uplink { port: None, number: None, netdev: Some(netdev(l)) });
        }
    }
}

fn netdev(link: &Link) -> Netdev {
    Netdev {
        ifindex: link.ifindex,
        name: link.name.clone(),
        mac: link.mac,
        mtu: link.mtu,
        up: link.is_up(),
        carrier: link.carrier,
        switch_id: link.phys_switch_id.clone(),
    }
}

/// Missing is an answer.
fn present<T>(result: Result<T, SysfsError>) -> Result<Option<T>, SysfsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_missing() => Ok(None),
        Err(e) => Err(e),
    }
}
