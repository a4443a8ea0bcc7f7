//! What there is.

use std::{collections::BTreeMap, fmt};

use devlink_rs::{DeviceId, EncapMode, EswitchMode, FunctionState, InlineMode, PortId};
use netlink::{VfInfo, VfRate};

use crate::{
    key::{Function, RepKey, RepName},
    step::VfDriver,
};

/// A network device, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netdev {
    /// Interface index.
    pub ifindex: u32,
    /// Name now; no identity.
    pub name: String,
    /// Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// MTU, bytes.
    pub mtu: Option<u32>,
    /// Administratively up.
    pub up: bool,
    /// Carrier.
    pub carrier: Option<bool>,
    /// Identity of the switch it is a port of.
    pub switch_id: Option<Vec<u8>>,
    /// Name within that switch (`phys_port_name`).
    pub port_name: Option<String>,
    /// Whether rules may go into hardware (`hw-tc-offload`); `None` when it has no such feature, and where it is not looked at: on
    /// VFs' own network devices.
    pub tc_offload: Option<bool>,
}

/// The bond that an uplink belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Interface index of the bond.
    pub ifindex: u32,
    /// Its name now.
    pub name: String,
    /// Its mode (linux/if_bonding.h: 1 active-backup, 4 802.3ad).
    pub mode: Option<u8>,
    /// Does this uplink carry traffic (or is it a backup)?
    pub active: Option<bool>,
}

/// A process that has a VF's device file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Process name.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// SR-IOV of a PF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sriov {
    /// How many VFs there can be; `None` when the device does not say.
    pub total: Option<u16>,
    /// How many were asked for (`sriov_numvfs`).
    pub vfs: u16,
}

/// A VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vf {
    /// Number, from 0.
    pub index: u16,
    /// PCI address; `None` on a bus without PCI functions.
    pub address: Option<String>,
    /// The driver it is bound to.
    pub driver: Option<String>,
    /// The driver that `driver_override` names: the one that is due when it has none.
    pub driver_override: Option<String>,
    /// Its network device in this network namespace.
    pub netdev: Option<Netdev>,
    /// Settings as the PF's driver shows them (`ip link show PF`); `None` when it does not.
    pub config: Option<VfInfo>,
    /// IOMMU group.
    pub iommu_group: Option<u32>,
    /// The processes that have its VFIO device file open, as far as we may see them; looked for by
    /// [`Kernel::find_holders`](crate::Kernel::find_holders) only.
    pub holders: Vec<Holder>,
}

impl Vf {
    /// The driver that it has, or that it lost while a mode change was under way and is due again.
    pub(crate) fn due_driver(&self) -> VfDriver {
        match (&self.driver, &self.driver_override) {
            (None, Some(due)) => VfDriver::Named(due.clone()),
            _ => VfDriver::of(self),
        }
    }
}

/// The port that faces the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// devlink port, where there is devlink.
    pub port: Option<PortId>,
    /// Port number as printed on the NIC, from 0.
    pub number: Option<u32>,
    /// Its network device.
    pub netdev: Option<Netdev>,
    /// The bond that it belongs to.
    pub lag: Option<Lag>,
}

/// A representor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representor {
    /// Identity.
    pub key: RepKey,
    /// devlink port; `None` with drivers that show representors by `phys_port_name` only.
    pub port: Option<PortId>,
    /// The function belongs to another host.
    pub external: bool,
    /// The representor's network device.
    pub netdev: Option<Netdev>,
    /// Hardware address of the function that it represents, where the driver says.
    pub function_mac: Option<[u8; 6]>,
    /// State of that function, where it has one (SFs).
    pub function_state: Option<FunctionState>,
    /// Is a driver attached to the function, where the kernel says?
    pub attached: Option<bool>,
    /// Transmit rates of the function, Mbit/s, where devlink has a rate leaf for it.
    pub rate: Option<VfRate>,
    /// The rate node that the leaf belongs to.
    pub rate_parent: Option<String>,
}

/// A node of the tree of transmit rates (devlink-rate).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateNode {
    /// Rates of all that belong to it together, Mbit/s.
    pub rate: VfRate,
    /// The node that it belongs to itself.
    pub parent: Option<String>,
}

/// One physical function of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its device.
    pub device: DeviceId,
    /// Its driver.
    pub driver: Option<String>,
    /// Eswitch mode; `None`: it has no eswitch.
    pub mode: Option<EswitchMode>,
    /// Inline mode, where the driver has it.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode, where the driver has it.
    pub encap_mode: Option<EncapMode>,
    /// SR-IOV; `None`: it has none.
    pub sriov: Option<Sriov>,
    /// The port that faces the wire.
    pub uplink: Option<Uplink>,
    /// The VFs that are there; fewer than `sriov.vfs` while they appear.
    pub vfs: Vec<Vf>,
    /// The representors that are there, by key.
    pub representors: Vec<Representor>,
    /// The nodes of its tree of transmit rates, by name.
    pub rate_nodes: BTreeMap<String, RateNode>,
}

impl Nic {
    /// The representor called `name`.
    #[must_use]
    pub fn representor(&self, name: RepName) -> Option<&Representor> {
        self.representors.iter().find(|r| r.key.name == name)
    }

    /// The representor of VF `n` of this host.
    #[must_use]
    pub fn vf_representor(&self, n: u16) -> Option<&Representor> {
        self.representor_of(Function::Vf(n))
    }

    /// The representor of a function of this host.
    #[must_use]
    pub fn representor_of(&self, function: Function) -> Option<&Representor> {
        self.representors.iter().find(|r| !r.external && r.key.name.function == function)
    }

    /// The sub-functions of this host, by number, with their representors.
    pub fn sfs(&self) -> impl Iterator<Item = (u32, &Representor)> {
        self.representors.iter().filter(|r| !r.external).filter_map(|r| match r.key.name.function {
            Function::Sf(n) => Some((n, r)),
            _ => None,
        })
    }

    /// VF `n`, when it is there.
    #[must_use]
    pub fn vf(&self, n: u16) -> Option<&Vf> {
        self.vfs.iter().find(|v| v.index == n)
    }

    /// The address that VF `n` was given: of its function where devlink shows it, else as the PF's driver shows it.
    #[must_use]
    pub fn vf_mac(&self, n: u16) -> Option<[u8; 6]> {
        let function = self.vf_representor(n).and_then(|r| r.function_mac);
        function.or_else(|| self.vf(n)?.config.as_ref()?.mac)
    }

    /// The transmit rates of VF `n`: of devlink's rate leaf where there is one, else as the PF's driver shows them.
    #[must_use]
    pub fn vf_rate(&self, n: u16) -> Option<VfRate> {
        let leaf = self.vf_representor(n).and_then(|r| r.rate);
        leaf.or_else(|| self.vf(n)?.config.as_ref()?.rate)
    }

    /// Whether rules may go into hardware, where uplink and representors agree about it.
    #[must_use]
    pub fn tc_offload(&self) -> Option<bool> {
        let uplink = self.uplink.as_ref()?.netdev.as_ref()?.tc_offload?;
        let mut reps = self.representors.iter().filter(|r| !r.external).filter_map(|r| r.netdev.as_ref());
        reps.all(|d| d.tc_offload == Some(uplink)).then_some(uplink)
    }

    /// Whether there are network devices that stand for functions of this host.
    pub(crate) fn has_representors(&self) -> bool {
        self.representors.iter().any(|r| !r.external && r.netdev.is_some())
    }

    /// Its PF number within the NIC: that of its functions, or the last digit of its PCI address.
    #[must_use]
    pub fn pf_number(&self) -> u16 {
        let of_function = self.representors.iter().find(|r| !r.external).map(|r| r.key.name.pf);
        let of_address = || self.device.name.rsplit_once('.').and_then(|(_, f)| f.parse().ok());
        of_function.or_else(|| of_address().filter(|_| self.device.bus == "pci")).unwrap_or(0)
    }

    /// How many VFs were asked for.
    #[must_use]
    pub fn num_vfs(&self) -> u16 {
        self.sriov.map_or(0, |s| s.vfs)
    }

    /// What is still under way: VFs or representors that do not exist yet, or still do. `None`: all is there.
    #[must_use]
    pub fn unsettled(&self) -> Option<String> {
        let want = usize::from(self.num_vfs());
        if self.vfs.len() != want {
            return Some(format!("{} of {want} VFs are there", self.vfs.len()));
        }
        let mode = self.mode?;
        let is_local_vf = |r: &&Representor| !r.external && matches!(r.key.name.function, Function::Vf(_));
        let reps = self.representors.iter().filter(is_local_vf).filter(|r| r.netdev.is_some()).count();
        let want = if mode == EswitchMode::Switchdev { want } else { 0 };
        (reps != want).then(|| format!("{reps} of {want} VF representors are there"))
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.device)?;
        match self.mode {
            Some(mode) => write!(f, " mode {mode}")?,
            None => write!(f, " no eswitch")?,
        }
        write!(f, " vfs {}", self.num_vfs())
    }
}

/// All NICs of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// PFs, by device.
    pub nics: Vec<Nic>,
}

impl Inventory {
    /// The PF `device`.
    #[must_use]
    pub fn nic(&self, device: &DeviceId) -> Option<&Nic> {
        self.nics.iter().find(|n| n.device == *device)
    }

    /// The PF that `name` means: a device (`pci/0000:03:00.0`), its name without the bus, or its uplink's interface now.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Nic> {
        let by_uplink = |n: &&Nic| n.uplink.as_ref().and_then(|u| u.netdev.as_ref()).is_some_and(|d| d.name == name);
        self.nics
            .iter()
            .find(|n| n.device.to_string() == name || n.device.name == name)
            .or_else(|| self.nics.iter().find(by_uplink))
    }
}
