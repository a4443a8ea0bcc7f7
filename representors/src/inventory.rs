//! What there is.

use std::fmt;

use devlink_rs::{DeviceId, EncapMode, EswitchMode, InlineMode, PortId};

use crate::key::{Function, RepKey, RepName};

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
    /// Its network device in this network namespace.
    pub netdev: Option<Netdev>,
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
}

/// A representor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representor {
    /// Identity.
    pub key: RepKey,
    /// devlink port.
    pub port: PortId,
    /// The function belongs to another host.
    pub external: bool,
    /// The representor's network device.
    pub netdev: Option<Netdev>,
    /// Hardware address of the function that it represents, where the driver says.
    pub function_mac: Option<[u8; 6]>,
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
        self.representors.iter().find(|r| !r.external && r.key.name.function == Function::Vf(n))
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
