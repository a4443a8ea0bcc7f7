//! NICs: what is wanted of them, and how to ask for it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// Words of a setting, the same on the command line, in JSON and in the kernel's tools.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// Its word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = $name::ALL.iter().copied().find(|v| v.word() == text);
                let words = || $name::ALL.iter().map(|v| v.word()).collect::<Vec<_>>().join(", ");
                found.ok_or_else(|| format!("use one of: {}", words()))
            }
        }
    };
}

words! {
    /// Mode of an eswitch (devlink-eswitch).
    EswitchMode {
        Legacy = "legacy",
        Switchdev = "switchdev",
    }
}

words! {
    /// How much of a packet's headers a VF's driver has to hand to the NIC (devlink-eswitch, `inline-mode`).
    InlineMode {
        None = "none",
        Link = "link",
        Network = "network",
        Transport = "transport",
    }
}

words! {
    /// Whether the eswitch puts packets into tunnels (devlink-eswitch, `encap-mode`).
    EncapMode {
        None = "none",
        Basic = "basic",
    }
}

words! {
    /// The link that a VF sees (ip-link(8), `vf N state`).
    LinkState {
        /// That of the uplink.
        Auto = "auto",
        /// Always up.
        Enable = "enable",
        /// Always down.
        Disable = "disable",
    }
}

words! {
    /// What carries packets between a representor and the switch.
    RepresentorPath {
        /// A packet socket on the representor's network device.
        Kernel = "kernel",
        /// A DPDK port of the NIC's driver.
        Dpdk = "dpdk",
    }
}

/// VLAN of a VF: the NIC tags its packets, unseen by the VF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VfVlan {
    /// 0 to 4094; 0 with `qos` 0: none.
    pub id: u16,
    /// Priority, 0 to 7.
    #[serde(default)]
    pub qos: u8,
    /// `802.1Q` or `802.1ad`.
    #[serde(default = "dot1q")]
    pub proto: String,
}

fn dot1q() -> String {
    "802.1Q".to_owned()
}

/// What is wanted of a VF; what is absent is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VfWish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VfVlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_state: Option<LinkState>,
    /// Guaranteed transmit rate, Mbit/s; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<u32>,
    /// Greatest transmit rate, Mbit/s; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u32>,
    /// Kernel driver; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The representor is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// MTU of the representor, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// What is wanted of a sub-function; what is absent is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SfWish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The function is there for its driver. A new one is, unless this says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The representor is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
}

/// How a NIC should be; what is absent is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NicWish {
    /// `pci/0000:08:00.0`.
    pub pf: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EswitchMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vfs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_mode: Option<InlineMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encap_mode: Option<EncapMode>,
    /// Rules may go into hardware, on the uplink and all representors (`ethtool -K ... hw-tc-offload`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hw_tc_offload: Option<bool>,
    /// All VF representors up, or down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representors_up: Option<bool>,
    /// MTU of all VF representors, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representor_mtu: Option<u32>,
    /// Single VFs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vf: BTreeMap<u32, VfWish>,
    /// Sub-functions that are to be there. Others are left alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sf: BTreeMap<u32, SfWish>,
    /// Sub-functions that are to go; forgotten once they are gone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sf_destroy: BTreeSet<u32>,
}

/// What is to change of an eswitch; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EswitchSet {
    /// `pci/0000:08:00.0`, `0000:08:00.0`, the uplink's network device, or `pf0`.
    pub pf: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EswitchMode>,
    /// Number of VFs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vfs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_mode: Option<InlineMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encap_mode: Option<EncapMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hw_tc_offload: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representors_up: Option<bool>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representor_mtu: Option<u32>,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes VFs from a process or a virtual machine.
    pub disturb: bool,
}

/// What is to change of a VF; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VfSet {
    /// `pf0vf3`, with the PF before it where several NICs have one (`0000:08:00.0/pf0vf3`); its PCI address; the network device of its
    /// representor, or its own.
    pub vf: String,
    /// What to set.
    pub set: VfWish,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes the VF from a process or a virtual machine.
    pub disturb: bool,
}

/// Create a sub-function, or change it when it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SfCreate {
    /// `pci/0000:08:00.0`, `0000:08:00.0`, the uplink's network device, or `pf0`.
    pub pf: String,
    /// Its number.
    pub sf: u32,
    /// What to set.
    pub set: SfWish,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes VFs from a process or a virtual machine.
    pub disturb: bool,
}

/// What is to change of a sub-function; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SfSet {
    /// `pf0sf88`, with the PF before it where several NICs have one (`0000:08:00.0/pf0sf88`), or its representor's network device.
    pub sf: String,
    /// What to set.
    pub set: SfWish,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes VFs from a process or a virtual machine.
    pub disturb: bool,
}

/// Destroy a sub-function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SfDestroy {
    /// As in [`SfSet`].
    pub sf: String,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes VFs from a process or a virtual machine.
    pub disturb: bool,
}

/// Bring NICs to what is desired of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NicConverge {
    /// Which; all of which something is desired when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pf: Option<String>,
    /// Plan only.
    pub dry_run: bool,
    /// Go on even where that takes VFs from a process or a virtual machine.
    pub disturb: bool,
}

/// What was, or would be, done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EswitchPlan {
    /// Of which PF.
    #[serde(default)]
    pub pf: String,
    /// Steps in order; empty when nothing is to do.
    pub steps: Vec<String>,
    /// What people should know first.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether they were done.
    pub applied: bool,
}

/// Make a representor a port of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepAttach {
    /// `pf0vf3`, `uplink`, with the PF before it where several NICs have one (`0000:08:00.0/pf0vf3`), or its network device.
    pub representor: String,
    pub bridge: String,
    /// Name of the port; that of the representor when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Chosen by driver and configuration when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<RepresentorPath>,
    /// OpenFlow port number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ofport: Option<u16>,
    /// Access VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
}
