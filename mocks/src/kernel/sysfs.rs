//! sysfs of the fake host: the files that SR-IOV, drivers and network devices have.

use std::io;

use netlink::{Sysfs, SysfsError};

use super::{
    FakeKernel, World,
    fault::{Fault, Op},
    model::Host,
    wire::{EACCES, EINVAL, EIO, ENODEV, ENOENT, EOPNOTSUPP, Refusal, refuse},
};

#[derive(Debug)]
pub(super) struct FakeSysfs(pub(super) FakeKernel);

impl FakeSysfs {
    fn get<T>(
        &self,
        op: &str,
        path: &str,
        cut: impl FnOnce(T, usize) -> T,
        f: impl FnOnce(&Host) -> Option<T>,
    ) -> Result<T, SysfsError> {
        let mut world = self.0.world();
        let fault = world.begin(Op::SysfsRead);
        let fail = |errno| SysfsError::new(op, path, io::Error::from_raw_os_error(errno));
        if let Some(Fault::Refuse { errno, .. }) = fault {
            return Err(fail(errno));
        }
        let value = f(&world.host).ok_or_else(|| fail(ENOENT))?;
        Ok(match fault {
            Some(Fault::Truncate(len)) => cut(value, len),
            _ => value,
        })
    }
}

impl Sysfs for FakeSysfs {
    fn read(&self, path: &str) -> Result<String, SysfsError> {
        let cut = |text: String, len| text.chars().take(len).collect();
        self.get("read", path, cut, |host| read(host, &parts(path)))
    }

    fn write(&self, path: &str, value: &str) -> Result<(), SysfsError> {
        let mut world = self.0.world();
        let result = match world.begin(Op::SysfsWrite) {
            Some(Fault::Refuse { errno, .. }) => Err(refuse(errno)),
            Some(Fault::Ignore) => Ok(()),
            Some(Fault::HalfDone { errno }) => {
                let parts = parts(path);
                // Of many VFs half are made.
                let value = value.trim();
                let half = value.parse().ok().filter(|_| parts.last() == Some(&"sriov_numvfs"));
                let value = half.map_or_else(|| value.to_owned(), |n: u32| n.div_ceil(2).to_string());
                world.write(&parts, &value).and(Err(refuse(errno)))
            }
            _ => world.write(&parts(path), value.trim()),
        };
        world.publish();
        result.map_err(|(errno, _)| {
            SysfsError::new(format!("write '{value}' to"), path, io::Error::from_raw_os_error(errno))
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, SysfsError> {
        // A cut list would be a lie that no reader could notice; the kernel does not tell it.
        let mut names = self.get("list", path, |names, _| names, |host| list(host, &parts(path)))?;
        names.sort_unstable();
        Ok(names)
    }

    fn readlink(&self, path: &str) -> Result<String, SysfsError> {
        self.get("read link", path, |target, _| target, |host| link(host, &parts(path)))
    }
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

fn vf_number(name: &str) -> Option<usize> {
    name.strip_prefix("virtfn")?.parse().ok()
}

fn read(host: &Host, path: &[&str]) -> Option<String> {
    match *path {
        ["bus", bus, "devices", dev, file] => {
            if let Some(at) = host.find(bus, dev) {
                let nic = &host.nics[at];
                return match file {
                    "sriov_numvfs" => Some(nic.num_vfs.to_string()),
                    "sriov_totalvfs" if nic.profile.pci_vfs() => Some(nic.total_vfs.to_string()),
                    "sriov_drivers_autoprobe" if nic.profile.pci_vfs() => Some(u8::from(nic.autoprobe).to_string()),
                    _ => None,
                };
            }
            let (at, vf) = host.find_vf(dev).filter(|_| bus == "pci")?;
            let vf = &host.nics[at].vfs[vf];
            (file == "driver_override").then(|| vf.driver_override.clone().unwrap_or_else(|| "(null)".to_owned()))
        }
        ["class", "net", name, file] => {
            let dev = host.netdevs.values().find(|d| d.name == name)?;
            match file {
                "ifindex" => Some(dev.ifindex.to_string()),
                "mtu" => Some(dev.mtu.to_string()),
                "phys_port_name" => dev.port_name.clone(),
                "phys_switch_id" => dev.switch_id.as_ref().map(|id| id.iter().map(|b| format!("{b:02x}")).collect()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn list(host: &Host, path: &[&str]) -> Option<Vec<String>> {
    match *path {
        ["bus", bus, "devices"] => {
            let nics = host.nics.iter().filter(|n| n.bus() == bus);
            let vfs = host.nics.iter().filter(|n| bus == "pci" && n.profile.pci_vfs()).flat_map(|n| &n.vfs);
            let all: Vec<String> = nics.map(|n| n.name.clone()).chain(vfs.map(|vf| vf.address.clone())).collect();
            (!all.is_empty()).then_some(all)
        }
        ["bus", bus, "devices", dev, "net"] => {
            let of = |d: &&super::model::Netdev| d.parent == (bus.to_owned(), dev.to_owned());
            let names: Vec<String> = host.netdevs.values().filter(of).map(|d| d.name.clone()).collect();
            (!names.is_empty()).then_some(names)
        }
        ["class", "net"] => Some(host.netdevs.values().map(|d| d.name.clone()).collect()),
        _ => None,
    }
}

fn link(host: &Host, path: &[&str]) -> Option<String> {
    match *path {
        ["bus", "pci", "devices", dev, "iommu_group"] => iommu_group(host, dev).map(|n| n.to_string()),
        ["bus", bus, "devices", dev, file] => {
            if let Some(at) = host.find(bus, dev) {
                let nic = &host.nics[at];
                if file == "driver" {
                    return Some(nic.profile.driver().to_owned());
                }
                let vf = vf_number(file).filter(|_| nic.profile.pci_vfs())?;
                return nic.vfs.get(vf).map(|vf| vf.address.clone());
            }
            let (at, vf) = host.find_vf(dev).filter(|_| bus == "pci")?;
            match file {
                "driver" => host.nics[at].vfs[vf].driver.clone(),
                "physfn" => Some(host.nics[at].name.clone()),
                _ => None,
            }
        }
        ["class", "net", name, "device"] => host.netdevs.values().find(|d| d.name == name).map(|d| d.parent.1.clone()),
        _ => None,
    }
}

/// PFs come first, 64 to each with its VFs.
pub(super) fn iommu_group(host: &Host, address: &str) -> Option<usize> {
    match host.find("pci", address) {
        Some(at) => Some(at * 64),
        None => host.find_vf(address).map(|(at, vf)| at * 64 + 1 + vf),
    }
}

impl World {
    fn write(&mut self, path: &[&str], value: &str) -> Result<(), Refusal> {
        match *path {
            ["bus", bus, "devices", dev, file] => {
                if let Some(at) = self.host.find(bus, dev) {
                    return self.write_nic(at, file, value);
                }
                let (at, vf) = self.host.find_vf(dev).filter(|_| bus == "pci").ok_or_else(|| refuse(ENOENT))?;
                if file != "driver_override" {
                    return Err(refuse(EACCES));
                }
                self.host.nics[at].vfs[vf].driver_override = (!value.is_empty()).then(|| value.to_owned());
                Ok(())
            }
            ["bus", "pci", "drivers", driver, action] => {
                let (at, vf) = self.host.find_vf(value).ok_or_else(|| refuse(ENODEV))?;
                let bound = self.host.nics[at].vfs[vf].driver.clone();
                match (action, bound) {
                    ("unbind", Some(d)) if d == driver => {
                        self.host.unbind(at, vf);
                        self.journal.push(format!("unbind {value} from {driver}"));
                        Ok(())
                    }
                    ("bind", None) if self.matching_driver(at, vf).as_deref() == Some(driver) => {
                        self.host.bind(at, vf, driver.to_owned());
                        self.journal.push(format!("bind {value} to {driver}"));
                        Ok(())
                    }
                    ("bind" | "unbind", _) => Err(refuse(ENODEV)),
                    _ => Err(refuse(ENOENT)),
                }
            }
            ["bus", "pci", "drivers_probe"] => {
                let (at, vf) = self.host.find_vf(value).ok_or_else(|| refuse(ENODEV))?;
                if self.host.nics[at].vfs[vf].driver.is_none()
                    && let Some(driver) = self.matching_driver(at, vf)
                {
                    self.journal.push(format!("bind {value} to {driver}"));
                    self.host.bind(at, vf, driver);
                }
                Ok(())
            }
            _ => Err(refuse(ENOENT)),
        }
    }

    fn write_nic(&mut self, at: usize, file: &str, value: &str) -> Result<(), Refusal> {
        let pci = self.host.nics[at].profile.pci_vfs();
        match file {
            "sriov_numvfs" => {
                let n = value.parse().map_err(|_| refuse(EINVAL))?;
                self.host.set_num_vfs(at, n)?;
                self.journal.push(format!("numvfs {} {n}", self.host.nics[at].name));
                Ok(())
            }
            "sriov_drivers_autoprobe" if pci => {
                self.host.nics[at].autoprobe = match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(refuse(EINVAL)),
                };
                Ok(())
            }
            "sriov_totalvfs" => Err(refuse(EACCES)),
            "sriov_offset" => Err(refuse(EIO)),
            "reset" => Err(refuse(EOPNOTSUPP)),
            _ => Err(refuse(ENOENT)),
        }
    }

    /// The driver that the PCI core would choose: the override, else the one whose id table fits.
    fn matching_driver(&self, at: usize, vf: usize) -> Option<String> {
        let nic = &self.host.nics[at];
        let vf = &nic.vfs[vf];
        Some(vf.driver_override.clone().unwrap_or_else(|| nic.profile.vf_driver().to_owned()))
    }
}
