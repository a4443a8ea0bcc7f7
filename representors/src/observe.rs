//! Reading what there is.

use std::collections::{BTreeMap, BTreeSet};

use devlink_rs::{DeviceId, Flavour, Port, PortId, RateId};
use netlink::{Feature, HW_TC_OFFLOAD, Link, LinkDetail, Sysfs, SysfsError, VfRate};

use crate::{
    driver::is_userspace,
    error::ObserveError,
    inventory::{Holder, Inventory, Lag, Netdev, Nic, RateNode, Representor, Sriov, Uplink, Vf},
    kernel::Kernel,
    key::{Function, RepKey, RepName},
    setting::mbit,
};

/// A device's folder in sysfs.
pub(crate) fn device_path(device: &DeviceId) -> String {
    format!("bus/{}/devices/{}", device.bus, device.name)
}

impl Kernel {
    /// Reads all NICs: PFs that have an eswitch or SR-IOV. VFs are listed under their PF, not by themselves. Who holds
    /// VFs is another question: [`Kernel::find_holders`].
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
            rate_nodes: world.rate_nodes.get(device).cloned().unwrap_or_default(),
        };
        for n in 0..nic.num_vfs() {
            nic.vfs.extend(self.read_vf(device, n, world)?);
        }
        world.add_ports(&mut nic, &*self.sysfs)?;
        self.read_settings(&mut nic)?;
        Ok(Some(nic))
    }

    /// What the PF's network device shows of its VFs.
    fn read_settings(&mut self, nic: &mut Nic) -> Result<(), ObserveError> {
        let Some(dev) = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref()).filter(|_| !nic.vfs.is_empty()) else {
            return Ok(());
        };
        let link = match self.links.get_with(dev.ifindex, LinkDetail { vfs: true, vf_stats: false }) {
            Ok(link) => link,
            // The list of very many VFs does not fit; the device can go meanwhile.
            Err(e) if matches!(e.errno(), Some(EMSGSIZE | ENODEV)) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        for info in link.vfs {
            if let Some(vf) = nic.vfs.iter_mut().find(|v| u32::from(v.index) == info.vf) {
                vf.config = Some(info);
            }
        }
        Ok(())
    }

    fn read_vf(&self, device: &DeviceId, index: u16, world: &World) -> Result<Option<Vf>, ObserveError> {
        let mut vf = Vf {
            index,
            address: None,
            driver: None,
            driver_override: None,
            netdev: None,
            config: None,
            iommu_group: None,
            holders: Vec::new(),
        };
        if device.bus != "pci" {
            return Ok(Some(vf));
        }
        let link = format!("{}/virtfn{index}", device_path(device));
        let Some(address) = present(self.sysfs.readlink(&link))? else { return Ok(None) };
        let file = |name: &str| format!("bus/pci/devices/{address}/{name}");
        vf.driver = present(self.sysfs.readlink(&file("driver")))?;
        if vf.driver.is_none() {
            let due = present(self.sysfs.read(&file("driver_override")))?;
            vf.driver_override = due.filter(|d| !d.is_empty() && d != "(null)");
        }
        let group = present(self.sysfs.readlink(&file("iommu_group")))?;
        vf.iommu_group = group.and_then(|g| g.parse().ok());
        // Features of VFs' own network devices are not looked at.
        let own = world.of_parent(&*self.sysfs, &DeviceId::new("pci", &address))?;
        vf.netdev = own.first().map(|l| Netdev { tc_offload: None, ..world.netdev(l) });
        vf.address = Some(address);
        Ok(Some(vf))
    }

    /// Looks for the processes that hold VFs of these NICs, among all processes: with many of them that takes
    /// milliseconds, so it is done for those who ask only. Where no VF is a userspace driver's there is nothing to look for.
    ///
    /// # Errors
    /// [`ObserveError`] when sysfs could not be read.
    pub fn find_holders<'a>(&self, nics: impl IntoIterator<Item = &'a mut Nic>) -> Result<(), ObserveError> {
        let mut all = None;
        for vf in nics.into_iter().flat_map(|nic| &mut nic.vfs) {
            let Some(address) = vf.address.as_ref().filter(|_| vf.driver.as_deref().is_some_and(is_userspace)) else {
                continue;
            };
            // A group's file, or with iommufd the function's own.
            let own = present(self.sysfs.list(&format!("bus/pci/devices/{address}/vfio-dev")))?.unwrap_or_default();
            let mut paths: Vec<String> = own.iter().map(|name| format!("{VFIO}devices/{name}")).collect();
            paths.extend(vf.iommu_group.map(|g| format!("{VFIO}{g}")));
            let all = all.get_or_insert_with(|| self.access().open_files(VFIO));
            let held = all.iter().filter(|f| paths.contains(&f.path));
            vf.holders = held.map(|f| Holder { pid: f.pid, name: f.name.clone() }).collect();
            vf.holders.dedup();
        }
        Ok(())
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
const EMSGSIZE: i32 = 90;
const VFIO: &str = "/dev/vfio/";

/// What is read once for all NICs.
struct World {
    ports: Vec<Port>,
    /// Rates of functions, and the nodes that they belong to.
    rates: BTreeMap<PortId, (VfRate, Option<String>)>,
    rate_nodes: BTreeMap<DeviceId, BTreeMap<String, RateNode>>,
    links: BTreeMap<u32, Link>,
    /// Whether network devices let rules into hardware.
    offload: BTreeMap<u32, Feature>,
}

impl World {
    fn read(kernel: &mut Kernel) -> Result<Self, ObserveError> {
        let (mut ports, mut rates) = (Vec::new(), BTreeMap::new());
        let mut rate_nodes: BTreeMap<DeviceId, BTreeMap<String, RateNode>> = BTreeMap::new();
        if let Some(devlink) = kernel.devlink()? {
            ports = devlink.ports()?;
            let all = match devlink.rates() {
                // Kernels before 5.14 have none.
                Err(e) if e.is_unsupported() => Vec::new(),
                all => all?,
            };
            for rate in all {
                let limits = VfRate { min: mbit(rate.tx_share), max: mbit(rate.tx_max) };
                match rate.id {
                    RateId::Leaf(port) => _ = rates.insert(port, (limits, rate.parent)),
                    RateId::Node { device, name } => {
                        let node = RateNode { rate: limits, parent: rate.parent };
                        rate_nodes.entry(device).or_default().insert(name, node);
                    }
                }
            }
        }
        let links: BTreeMap<u32, Link> = kernel.links.dump()?.into_iter().map(|l| (l.ifindex, l)).collect();
        let mut offload = BTreeMap::new();
        if let Some(features) = kernel.features()? {
            for any in links.keys() {
                match features.all(*any, HW_TC_OFFLOAD) {
                    // It went meanwhile; another one can tell which bit it is.
                    Err(e) if e.errno() == Some(ENODEV) => {}
                    all => {
                        offload = all?;
                        break;
                    }
                }
            }
        }
        Ok(World { ports, rates, rate_nodes, links, offload })
    }

    /// The network devices of a device. Kernels before 5.14 tell in sysfs only.
    fn of_parent(&self, sysfs: &dyn Sysfs, device: &DeviceId) -> Result<Vec<&Link>, ObserveError> {
        if self.links.values().any(|l| l.parent_bus.is_some()) {
            let parent = Some((device.bus.as_str(), device.name.as_str()));
            let of = |l: &&Link| l.parent_bus.as_deref().zip(l.parent_dev.as_deref()) == parent;
            return Ok(self.links.values().filter(of).collect());
        }
        let names = present(sysfs.list(&format!("{}/net", device_path(device))))?.unwrap_or_default();
        Ok(self.links.values().filter(|l| names.contains(&l.name)).collect())
    }

    fn add_ports(&self, nic: &mut Nic, sysfs: &dyn Sysfs) -> Result<(), ObserveError> {
        for port in self.ports.iter().filter(|p| p.id.device == nic.device) {
            let netdev = port.ifindex.and_then(|i| self.links.get(&i)).map(|l| self.netdev(l));
            let function = match port.flavour {
                Some(Flavour::Physical) => {
                    // A split port has several; the first is the uplink.
                    let lag = port.ifindex.and_then(|i| self.links.get(&i)).and_then(|l| self.lag(l));
                    nic.uplink.get_or_insert(Uplink { port: Some(port.id.clone()), number: port.number, netdev, lag });
                    continue;
                }
                Some(Flavour::PciPf) => Some(Function::Pf),
                Some(Flavour::PciVf) => port.vf.map(Function::Vf),
                Some(Flavour::PciSf) => port.sf.map(Function::Sf),
                _ => None,
            };
            if let (Some(function), Some(pf)) = (function, port.pf) {
                let name = RepName { controller: port.controller.unwrap_or(0), pf, function };
                let (rate, rate_parent) = self.rates.get(&port.id).cloned().unzip();
                nic.representors.push(Representor {
                    key: RepKey { device: nic.device.clone(), name },
                    port: Some(port.id.clone()),
                    external: port.external,
                    netdev,
                    function_mac: port.function.as_ref().and_then(|f| f.hw_addr),
                    function_state: port.function.as_ref().and_then(|f| f.state),
                    attached: port.function.as_ref().and_then(|f| f.attached),
                    rate,
                    rate_parent: rate_parent.flatten(),
                });
            }
        }
        if nic.uplink.is_none() {
            // Without devlink's ports: the PF's own network device, which shows no function's name.
            let own = self.of_parent(sysfs, &nic.device)?;
            let own = own.into_iter().find(|l| port_name(l, 0).is_none());
            nic.uplink =
                own.map(|l| Uplink { port: None, number: None, netdev: Some(self.netdev(l)), lag: self.lag(l) });
        }
        if nic.representors.is_empty() {
            self.add_by_port_name(nic);
        }
        nic.representors.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(())
    }

    /// Drivers of kernels before 5.9 have no devlink ports for VFs: their representors are known by the switch that
    /// they share with the uplink, and by `phys_port_name`. All PFs of a mlx5 card share one switch: what is this
    /// PF's has it as its parent or, with kernels before 5.14, which do not tell parents, has its number.
    fn add_by_port_name(&self, nic: &mut Nic) {
        let own_pf = nic.pf_number();
        let Some(uplink) = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref()) else { return };
        let Some(id) = uplink.switch_id.as_ref() else { return };
        for link in self.links.values().filter(|l| l.phys_switch_id.as_ref() == Some(id)) {
            let name = port_name(link, own_pf);
            let is_mine = |name: &RepName| match (&link.parent_dev, physical_port(uplink)) {
                (Some(parent), _) => *parent == nic.device.name,
                (None, Some(number)) => name.pf == number,
                (None, None) => true,
            };
            if let Some(name) = name.filter(|name| link.ifindex != uplink.ifindex && is_mine(name)) {
                nic.representors.push(Representor {
                    key: RepKey { device: nic.device.clone(), name },
                    port: None,
                    external: name.controller != 0,
                    netdev: Some(self.netdev(link)),
                    function_mac: None,
                    function_state: None,
                    attached: None,
                    rate: None,
                    rate_parent: None,
                });
            }
        }
    }

    fn netdev(&self, link: &Link) -> Netdev {
        let feature = self.offload.get(&link.ifindex).filter(|f| f.changeable || f.active);
        Netdev {
            ifindex: link.ifindex,
            name: link.name.clone(),
            mac: link.mac,
            mtu: link.mtu,
            up: link.is_up(),
            carrier: link.carrier,
            switch_id: link.phys_switch_id.clone(),
            port_name: link.phys_port_name.clone(),
            tc_offload: feature.map(|f| f.active),
        }
    }

    fn lag(&self, uplink: &Link) -> Option<Lag> {
        let bond = self.links.get(&uplink.master?)?;
        let mode = bond.info.bond_mode();
        let is_bond = bond.info.kind.as_deref() == Some("bond");
        is_bond.then(|| Lag {
            ifindex: bond.ifindex,
            name: bond.name.clone(),
            mode,
            active: uplink.info.bond_port_active(),
        })
    }
}

/// The number of a physical port: `p1` is 1.
fn physical_port(uplink: &Netdev) -> Option<u16> {
    uplink.port_name.as_deref()?.strip_prefix('p')?.parse().ok()
}

/// What function a network device stands for, by its name within its switch.
fn port_name(link: &Link, own_pf: u16) -> Option<RepName> {
    link.phys_port_name.as_deref().and_then(|n| RepName::of_port_name(n, own_pf))
}

/// Missing is an answer.
fn present<T>(result: Result<T, SysfsError>) -> Result<Option<T>, SysfsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_missing() => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both PFs of a card, in one switch, with two VFs each.
    fn card(parents: bool) -> World {
        let mut links = BTreeMap::new();
        for pf in 0..2u32 {
            for (nth, port) in [format!("p{pf}"), format!("pf{pf}vf0"), format!("pf{pf}vf1")].into_iter().enumerate() {
                let ifindex = 10 * pf + 1 + u32::try_from(nth).unwrap_or(0);
                let link = Link {
                    ifindex,
                    phys_switch_id: Some(vec![1, 2, 3]),
                    phys_port_name: Some(port),
                    parent_bus: parents.then(|| "pci".to_owned()),
                    parent_dev: parents.then(|| format!("0000:03:00.{pf}")),
                    ..Link::default()
                };
                links.insert(ifindex, link);
            }
        }
        World {
            ports: Vec::new(),
            rates: BTreeMap::new(),
            links,
            offload: BTreeMap::new(),
            rate_nodes: BTreeMap::new(),
        }
    }

    #[test]
    fn pfs_of_one_switch_have_their_own_representors() {
        for parents in [true, false] {
            let world = card(parents);
            for pf in 0..2u32 {
                let uplink = world.links.get(&(10 * pf + 1)).map(|link| world.netdev(link));
                let mut nic = Nic {
                    device: DeviceId::new("pci", format!("0000:03:00.{pf}")),
                    driver: None,
                    mode: None,
                    inline_mode: None,
                    encap_mode: None,
                    sriov: None,
                    uplink: Some(Uplink { port: None, number: None, netdev: uplink, lag: None }),
                    vfs: Vec::new(),
                    representors: Vec::new(),
                    rate_nodes: BTreeMap::new(),
                };
                world.add_by_port_name(&mut nic);
                let names: Vec<String> = nic.representors.iter().map(|r| r.key.name.to_string()).collect();
                assert_eq!(names, [format!("pf{pf}vf0"), format!("pf{pf}vf1")], "parents told: {parents}");
            }
        }
    }
}
