//! The host's NICs and what the drivers do to them.

use std::collections::BTreeMap;

use super::{
    profile::{ModeRule, Profile},
    wire::{EBUSY, EINVAL, ENODEV, EOPNOTSUPP, ERANGE, Refusal, refuse},
};

/// `IFNAMSIZ` without the NUL.
const IFNAME_MAX: usize = 15;

/// A NIC (one physical function) to plug in.
#[derive(Debug, Clone)]
pub struct NicSpec {
    profile: Profile,
    name: String,
    uplink: String,
    total_vfs: u16,
    pf_number: u16,
    external_vfs: u16,
    delay: u32,
}

impl NicSpec {
    /// A NIC at `name` on its bus (`0000:03:00.0`, or `netdevsim1`) whose uplink is called `uplink`.
    #[must_use]
    pub fn new(profile: Profile, name: &str, uplink: &str) -> Self {
        NicSpec {
            profile,
            name: name.to_owned(),
            uplink: uplink.to_owned(),
            total_vfs: profile.default_total_vfs(),
            pf_number: 0,
            external_vfs: 0,
            delay: 0,
        }
    }

    /// How many VFs it can have.
    #[must_use]
    pub fn total_vfs(mut self, n: u16) -> Self {
        self.total_vfs = n;
        self
    }

    /// Its PF number within the NIC.
    #[must_use]
    pub fn pf_number(mut self, n: u16) -> Self {
        self.pf_number = n;
        self
    }

    /// Representors of another host's VFs (a DPU), there whenever the mode is switchdev.
    #[must_use]
    pub fn external_vfs(mut self, n: u16) -> Self {
        self.external_vfs = n;
        self
    }

    /// VFs appear only after so many operations.
    #[must_use]
    pub fn delay(mut self, operations: u32) -> Self {
        self.delay = operations;
        self
    }
}

/// What a NIC is like, for tests to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSnapshot {
    /// Bus and name, as `bus/name`.
    pub device: String,
    /// Switchdev (or legacy).
    pub switchdev: bool,
    /// Inline mode number.
    pub inline_mode: u8,
    /// Encapsulation mode number.
    pub encap_mode: u8,
    /// Its VFs.
    pub vfs: Vec<VfSnapshot>,
}

/// What a VF is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfSnapshot {
    /// The driver it is bound to.
    pub driver: Option<String>,
    /// The hardware address that was given to it; zeros when none was.
    pub mac: [u8; 6],
    /// Whether its representor is up; `None` without one.
    pub representor_up: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Netdev {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) mac: [u8; 6],
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) port_name: Option<String>,
    pub(super) switch_id: Option<Vec<u8>>,
    pub(super) parent: (String, String),
}

#[derive(Debug, Clone)]
pub(super) struct Vf {
    pub(super) address: String,
    pub(super) driver: Option<String>,
    pub(super) driver_override: Option<String>,
    pub(super) mac: [u8; 6],
    pub(super) netdev: Option<u32>,
}

/// Key of a representor: (controller, VF).
pub(super) type RepId = (u32, u16);

#[derive(Debug)]
pub(super) struct Nic {
    pub(super) profile: Profile,
    pub(super) name: String,
    pub(super) pf_number: u16,
    pub(super) total_vfs: u16,
    pub(super) switchdev: bool,
    pub(super) inline_mode: u8,
    pub(super) encap_mode: u8,
    pub(super) autoprobe: bool,
    pub(super) uplink: u32,
    pub(super) vfs: Vec<Vf>,
    pub(super) reps: BTreeMap<RepId, u32>,
    external_vfs: u16,
    /// VFs asked for (`sriov_numvfs`) and, while some are under way, operations until they appear.
    pub(super) num_vfs: u16,
    delay: u32,
    pending: u32,
}

/// A devlink port of the model.
#[derive(Debug, Clone)]
pub(super) struct PortView {
    pub(super) index: u32,
    pub(super) rep: Option<RepId>,
    pub(super) netdev: Option<u32>,
    pub(super) netdev_name: Option<String>,
}

#[derive(Debug)]
pub(super) enum Event {
    Link { gone: bool, dev: Netdev },
    Port { gone: bool, device: (String, String), port: PortView },
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) nics: Vec<Nic>,
    pub(super) netdevs: BTreeMap<u32, Netdev>,
    last_ifindex: u32,
    events: Vec<Event>,
}

impl Nic {
    pub(super) fn bus(&self) -> &'static str {
        self.profile.bus()
    }

    pub(super) fn uplink_port(&self, netdevs: &BTreeMap<u32, Netdev>) -> PortView {
        let netdev_name = netdevs.get(&self.uplink).map(|n| n.name.clone());
        PortView { index: self.profile.uplink_port_index(), rep: None, netdev: Some(self.uplink), netdev_name }
    }

    pub(super) fn rep_port(&self, id: RepId, netdevs: &BTreeMap<u32, Netdev>) -> PortView {
        // External functions follow the local ones.
        let index = self.profile.vf_port_index(id.1) + id.0 * 256;
        let netdev = self.reps.get(&id).copied();
        let netdev_name = netdev.and_then(|i| netdevs.get(&i)).map(|n| n.name.clone());
        PortView { index, rep: Some(id), netdev, netdev_name }
    }

    fn switch_id(&self) -> Vec<u8> {
        let seed = self.name.bytes().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
        vec![seed, 0x0a, 0x42, 0, 3, 0x5c, 0x72, seed ^ 0x55]
    }
}

impl Host {
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn add_nic(&mut self, spec: NicSpec) {
        let nic = Nic {
            profile: spec.profile,
            name: spec.name,
            pf_number: spec.pf_number,
            total_vfs: spec.total_vfs,
            switchdev: false,
            inline_mode: 0,
            encap_mode: u8::from(spec.profile.eswitch_extras()),
            autoprobe: true,
            uplink: 0,
            vfs: Vec::new(),
            reps: BTreeMap::new(),
            external_vfs: spec.external_vfs,
            num_vfs: 0,
            delay: spec.delay,
            pending: 0,
        };
        let parent = (nic.bus().to_owned(), nic.name.clone());
        let port_name = nic.profile.devlink().then(|| format!("p{}", nic.pf_number));
        let uplink = self.add_netdev(Some(spec.uplink), port_name, None, parent);
        let at = self.nics.len();
        self.nics.push(Nic { uplink, ..nic });
        if self.nics[at].profile.devlink() {
            let port = self.nics[at].uplink_port(&self.netdevs);
            self.port_event(at, false, port);
        }
    }

    fn add_netdev(
        &mut self,
        name: Option<String>,
        port_name: Option<String>,
        switch_id: Option<Vec<u8>>,
        parent: (String, String),
    ) -> u32 {
        self.last_ifindex += 1;
        let ifindex = self.last_ifindex + 1;
        let taken = |n: &str| self.netdevs.values().any(|d| d.name == n);
        let name = name
            .filter(|n| n.len() <= IFNAME_MAX && !taken(n))
            .or_else(|| (0..).map(|i| format!("eth{i}")).find(|n| !taken(n)))
            .unwrap_or_default();
        let [a, b, c, d] = ifindex.to_be_bytes();
        let dev =
            Netdev { ifindex, name, mac: [2, 0x5e, a, b, c, d], mtu: 1500, up: false, port_name, switch_id, parent };
        self.events.push(Event::Link { gone: false, dev: dev.clone() });
        self.netdevs.insert(ifindex, dev);
        ifindex
    }

    fn remove_netdev(&mut self, ifindex: u32) {
        if let Some(dev) = self.netdevs.remove(&ifindex) {
            self.events.push(Event::Link { gone: true, dev });
        }
    }

    pub(super) fn touch(&mut self, ifindex: u32) {
        if let Some(dev) = self.netdevs.get(&ifindex) {
            self.events.push(Event::Link { gone: false, dev: dev.clone() });
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        if to.is_empty() || to.len() > IFNAME_MAX || self.netdevs.values().any(|d| d.name == to) {
            return false;
        }
        let Some(dev) = self.netdevs.values_mut().find(|d| d.name == from) else { return false };
        dev.name = to.to_owned();
        let ifindex = dev.ifindex;
        self.touch(ifindex);
        true
    }

    fn port_event(&mut self, at: usize, gone: bool, port: PortView) {
        let device = (self.nics[at].bus().to_owned(), self.nics[at].name.clone());
        self.events.push(Event::Port { gone, device, port });
    }

    pub(super) fn find(&self, bus: &str, name: &str) -> Option<usize> {
        self.nics.iter().position(|n| n.bus() == bus && n.name == name)
    }

    /// The VF at PCI address `address`: (NIC, VF).
    pub(super) fn find_vf(&self, address: &str) -> Option<(usize, usize)> {
        self.nics.iter().enumerate().find_map(|(at, nic)| {
            let vf = nic.vfs.iter().position(|vf| vf.address == address)?;
            nic.profile.pci_vfs().then_some((at, vf))
        })
    }

    /// `devlink dev eswitch set mode`.
    pub(super) fn set_mode(&mut self, at: usize, switchdev: bool) -> Result<(), Refusal> {
        let nic = &self.nics[at];
        if nic.switchdev == switchdev {
            return Ok(());
        }
        match nic.profile.mode_rule() {
            ModeRule::OnlyWithoutVfs { errno, text } if nic.num_vfs > 0 => return Err((errno, text.to_owned())),
            ModeRule::OnlyWithUnboundVfs { errno, text }
                if nic.num_vfs == 0 && switchdev
                    || nic.vfs.iter().any(|vf| vf.driver.is_some())
                    || nic.vfs.len() != usize::from(nic.num_vfs) =>
            {
                return Err((errno, text.to_owned()));
            }
            _ => {}
        }
        self.nics[at].switchdev = switchdev;
        self.update_reps(at);
        Ok(())
    }

    /// A write to `sriov_numvfs`.
    pub(super) fn set_num_vfs(&mut self, at: usize, n: u16) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        if n == nic.num_vfs {
            return Ok(());
        }
        if n > nic.total_vfs {
            return Err(refuse(ERANGE));
        }
        // pci-sysfs.c: from one number to another only through 0.
        if n > 0 && nic.num_vfs > 0 {
            return Err(refuse(EBUSY));
        }
        nic.num_vfs = n;
        nic.pending = nic.delay;
        if n == 0 || nic.pending == 0 {
            self.settle_vfs(at);
        }
        Ok(())
    }

    /// Time passes by one operation.
    pub(super) fn tick(&mut self) {
        for at in 0..self.nics.len() {
            if self.nics[at].pending > 0 {
                self.nics[at].pending -= 1;
                if self.nics[at].pending == 0 {
                    self.settle_vfs(at);
                }
            }
        }
    }

    pub(super) fn finish_pending(&mut self) {
        for at in 0..self.nics.len() {
            self.nics[at].pending = 0;
            self.settle_vfs(at);
        }
    }

    /// Makes the VFs that exist as many as were asked for.
    fn settle_vfs(&mut self, at: usize) {
        let (want, have) = (usize::from(self.nics[at].num_vfs), self.nics[at].vfs.len());
        self.nics[at].pending = 0;
        for n in have..want {
            let address = vf_address(&self.nics[at].name, n);
            self.nics[at].vfs.push(Vf { address, driver: None, driver_override: None, mac: [0; 6], netdev: None });
            if self.nics[at].autoprobe && self.nics[at].profile.pci_vfs() {
                let driver = self.nics[at].profile.vf_driver().to_owned();
                self.bind(at, n, driver);
            }
        }
        for n in want..have {
            self.unbind(at, n);
        }
        self.nics[at].vfs.truncate(want);
        self.update_reps(at);
    }

    pub(super) fn bind(&mut self, at: usize, vf: usize, driver: String) {
        let nic = &self.nics[at];
        let makes_netdev = driver == nic.profile.vf_driver() && nic.profile.pci_vfs();
        let parent = ("pci".to_owned(), nic.vfs[vf].address.clone());
        let name = self.netdevs.get(&nic.uplink).map(|u| format!("{}v{vf}", u.name));
        let netdev = makes_netdev.then(|| self.add_netdev(name, None, None, parent));
        let vf = &mut self.nics[at].vfs[vf];
        vf.driver = Some(driver);
        vf.netdev = netdev;
    }

    pub(super) fn unbind(&mut self, at: usize, vf: usize) {
        self.nics[at].vfs[vf].driver = None;
        if let Some(ifindex) = self.nics[at].vfs[vf].netdev.take() {
            self.remove_netdev(ifindex);
        }
    }

    /// Makes the representors those that mode and VFs ask for.
    fn update_reps(&mut self, at: usize) {
        let nic = &self.nics[at];
        let (switchdev, id) = (nic.switchdev, nic.switch_id());
        if let Some(uplink) = self.netdevs.get_mut(&nic.uplink) {
            uplink.switch_id = switchdev.then(|| id.clone());
        }
        let local = u16::try_from(nic.vfs.len()).unwrap_or(u16::MAX);
        let want: Vec<RepId> = if switchdev {
            (0..local).map(|vf| (0, vf)).chain((0..nic.external_vfs).map(|vf| (1, vf))).collect()
        } else {
            Vec::new()
        };
        let gone: Vec<RepId> = nic.reps.keys().filter(|k| !want.contains(k)).copied().collect();
        for key in gone {
            let port = self.nics[at].rep_port(key, &self.netdevs);
            self.port_event(at, true, port);
            if let Some(ifindex) = self.nics[at].reps.remove(&key) {
                self.remove_netdev(ifindex);
            }
        }
        for key in want {
            let nic = &self.nics[at];
            if nic.reps.contains_key(&key) {
                continue;
            }
            let controller = if key.0 == 0 { String::new() } else { format!("c{}", key.0) };
            let port_name = format!("{controller}pf{}vf{}", nic.pf_number, key.1);
            let name = self
                .netdevs
                .get(&nic.uplink)
                .filter(|_| !nic.profile.kernel_names())
                .map(|u| format!("{}n{port_name}", u.name));
            let parent = (nic.bus().to_owned(), nic.name.clone());
            let ifindex = self.add_netdev(name, Some(port_name), Some(id.clone()), parent);
            self.nics[at].reps.insert(key, ifindex);
            let port = self.nics[at].rep_port(key, &self.netdevs);
            self.port_event(at, false, port);
        }
    }

    /// `devlink port function set hw_addr`.
    pub(super) fn set_function_mac(&mut self, at: usize, index: u32, mac: [u8; 6]) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        if !nic.profile.eswitch_extras() {
            return Err((EOPNOTSUPP, "Port doesn't support function attributes".to_owned()));
        }
        let key = nic.reps.keys().find(|k| nic.profile.vf_port_index(k.1) + k.0 * 256 == index).copied();
        match key {
            Some((0, vf)) => {
                if mac[0] & 1 != 0 {
                    return Err((EINVAL, "Provided mac is multicast".to_owned()));
                }
                let vf = nic.vfs.get_mut(usize::from(vf)).ok_or_else(|| refuse(ENODEV))?;
                vf.mac = mac;
                Ok(())
            }
            Some(_) => Err(refuse(EOPNOTSUPP)),
            None => Err(refuse(ENODEV)),
        }
    }

    pub(super) fn snapshot(&self) -> Vec<NicSnapshot> {
        self.nics
            .iter()
            .map(|nic| NicSnapshot {
                device: format!("{}/{}", nic.bus(), nic.name),
                switchdev: nic.switchdev,
                inline_mode: nic.inline_mode,
                encap_mode: nic.encap_mode,
                vfs: (0u16..)
                    .zip(&nic.vfs)
                    .map(|(n, vf)| VfSnapshot {
                        driver: vf.driver.clone(),
                        mac: vf.mac,
                        representor_up: nic.reps.get(&(0, n)).and_then(|i| self.netdevs.get(i)).map(|d| d.up),
                    })
                    .collect(),
            })
            .collect()
    }
}

/// PCI address of VF `n`: functions behind the PFs' own, 64 set aside for each PF (in hardware: routing by offset and stride).
fn vf_address(pf: &str, n: usize) -> String {
    let Some((base, function)) = pf.rsplit_once(':') else { return format!("{pf}-vf{n}") };
    let function: usize = function.rsplit_once('.').and_then(|(_, f)| f.parse().ok()).unwrap_or(0);
    let at = 2 + function * 64 + n;
    format!("{base}:{:02x}.{}", at / 8, at % 8)
}
