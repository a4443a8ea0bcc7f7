//! Settings of VFs: what they are, how they read, and which way they are made.

use std::fmt;

use devlink_rs::{FunctionChange, RateChange, RateId, RateParent};
use netlink::{Mac, VfInfo, VfLinkState, VfRate, VfSettings, VfVlan};

use crate::{
    driver::Facts,
    error::Cause,
    execute::devlink,
    inventory::{Nic, Representor},
    kernel::Kernel,
    step::missing,
};

/// One setting of a VF with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VfSetting {
    /// Hardware address.
    Mac([u8; 6]),
    /// VLAN.
    Vlan(VfVlan),
    /// Transmit rates, Mbit/s.
    Rate(VfRate),
    /// Spoof check.
    SpoofCheck(bool),
    /// Link state.
    LinkState(VfLinkState),
    /// Trust.
    Trust(bool),
}

/// devlink rates are bytes a second.
const BYTES_OF_MBIT: u64 = 125_000;

/// Upwards: 0 is no limit at all, and less than one Mbit/s is one.
pub(crate) fn mbit(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_OF_MBIT)).unwrap_or(u32::MAX)
}

impl fmt::Display for VfSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        match *self {
            VfSetting::Mac(mac) => write!(f, "address {}", Mac(mac)),
            VfSetting::Vlan(vlan) => vlan.fmt(f),
            VfSetting::Rate(VfRate { min, max }) => write!(f, "rate {min} to {max} Mbit/s"),
            VfSetting::SpoofCheck(v) => write!(f, "spoof check {}", on(v)),
            VfSetting::LinkState(state) => write!(f, "link state {state}"),
            VfSetting::Trust(v) => write!(f, "trust {}", on(v)),
        }
    }
}

impl VfSetting {
    pub(crate) fn same_kind(self, other: VfSetting) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Why no device could take it; devices have been seen to report such values all the same.
    pub(crate) fn bad_value(self) -> Option<String> {
        match self {
            VfSetting::Mac(mac) => bad_mac(mac),
            VfSetting::Vlan(v) if v.id > 4094 || v.qos > 7 => {
                Some(format!("{self} is none; use an id up to 4094 and a priority up to 7"))
            }
            VfSetting::Rate(r) if r.max != 0 && r.min > r.max => {
                Some(format!("{self}: the guaranteed rate is above the limit; lower it"))
            }
            _ => None,
        }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            VfSetting::Mac(_) => "address of a VF",
            VfSetting::Vlan(_) => "VLAN of a VF",
            VfSetting::Rate(_) => "transmit rate of a VF",
            VfSetting::SpoofCheck(_) => "spoof check of a VF",
            VfSetting::LinkState(_) => "link state of a VF",
            VfSetting::Trust(_) => "trust of a VF",
        }
    }

    /// The settings of VF `vf` as they are read, each from where it is set.
    pub(crate) fn all_of(nic: &Nic, vf: u16) -> Vec<VfSetting> {
        let info = nic.vf(vf).and_then(|v| v.config.as_ref());
        let get = |f: fn(&VfInfo) -> Option<VfSetting>| info.and_then(f);
        [
            nic.vf_mac(vf).map(VfSetting::Mac),
            get(|i| i.vlan.map(VfSetting::Vlan)),
            nic.vf_rate(vf).map(VfSetting::Rate),
            get(|i| i.spoof_check.map(VfSetting::SpoofCheck)),
            get(|i| i.link_state.map(VfSetting::LinkState)),
            get(|i| i.trust.map(VfSetting::Trust)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The same kind of setting as `nic` shows it.
    pub(crate) fn now(self, nic: &Nic, vf: u16) -> Option<VfSetting> {
        VfSetting::all_of(nic, vf).into_iter().find(|s| s.same_kind(self))
    }

    /// What it is on a VF that was just made; `None`: not known.
    pub(crate) fn of_new_vf(self, facts: &Facts) -> Option<VfSetting> {
        match self {
            VfSetting::Mac(_) => Some(VfSetting::Mac([0; 6])),
            VfSetting::Vlan(_) => Some(VfSetting::Vlan(VfVlan::default())),
            VfSetting::Rate(_) => Some(VfSetting::Rate(VfRate::default())),
            VfSetting::SpoofCheck(_) => facts.spoof_check.map(VfSetting::SpoofCheck),
            VfSetting::LinkState(_) => Some(VfSetting::LinkState(VfLinkState::Auto)),
            VfSetting::Trust(_) => Some(VfSetting::Trust(false)),
        }
    }

    /// Makes it, the way that this NIC has: where the representor's port shows the function's address, by devlink
    /// port function; where it has a rate leaf, by devlink rate; all else through the PF's network device.
    pub(crate) fn execute(self, kernel: &mut Kernel, nic: &Nic, vf: u16) -> Result<(), Cause> {
        let rep = nic.vf_representor(vf);
        match self {
            VfSetting::Mac(mac) if rep.is_some_and(|r| r.function_mac.is_some()) => set_function_mac(kernel, rep, mac),
            VfSetting::Rate(rate) if rep.is_some_and(|r| r.rate.is_some()) => set_rate(kernel, rep, rate),
            _ => {
                let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
                let uplink = uplink.ok_or_else(|| missing("the PF's network device"))?;
                kernel.links.set_vf(uplink.ifindex, vf.into(), &self.by_link()).map_err(Cause::Netlink)
            }
        }
    }

    fn by_link(self) -> VfSettings {
        let none = VfSettings::default();
        match self {
            VfSetting::Mac(v) => VfSettings { mac: Some(v), ..none },
            VfSetting::Vlan(v) => VfSettings { vlan: Some(v), ..none },
            VfSetting::Rate(v) => VfSettings { rate: Some(v), ..none },
            VfSetting::SpoofCheck(v) => VfSettings { spoof_check: Some(v), ..none },
            VfSetting::LinkState(v) => VfSettings { link_state: Some(v), ..none },
            VfSetting::Trust(v) => VfSettings { trust: Some(v), ..none },
        }
    }
}

/// `devlink port function set PORT hw_addr`.
pub(crate) fn set_function_mac(kernel: &mut Kernel, rep: Option<&Representor>, mac: [u8; 6]) -> Result<(), Cause> {
    set_function(kernel, rep, FunctionChange { hw_addr: Some(mac), ..FunctionChange::default() })
}

/// Why no device could take an address.
pub(crate) fn bad_mac(mac: [u8; 6]) -> Option<String> {
    (mac[0] & 1 != 0).then(|| format!("address {} is a multicast address; use another", Mac(mac)))
}

/// `devlink port function rate set PORT tx_share ... tx_max ...`.
pub(crate) fn set_rate(kernel: &mut Kernel, rep: Option<&Representor>, rate: VfRate) -> Result<(), Cause> {
    let change = RateChange {
        tx_share: Some(u64::from(rate.min) * BYTES_OF_MBIT),
        tx_max: Some(u64::from(rate.max) * BYTES_OF_MBIT),
        ..RateChange::default()
    };
    set_leaf(kernel, rep, &change)
}

/// `devlink port function rate set PORT parent NODE`, or `noparent`.
pub(crate) fn set_parent(kernel: &mut Kernel, rep: Option<&Representor>, node: &str) -> Result<(), Cause> {
    let parent = if node.is_empty() { RateParent::Nobody } else { RateParent::Node(node.to_owned()) };
    set_leaf(kernel, rep, &RateChange { parent: Some(parent), ..RateChange::default() })
}

fn set_leaf(kernel: &mut Kernel, rep: Option<&Representor>, change: &RateChange) -> Result<(), Cause> {
    let port = rep.and_then(|r| r.port.clone()).ok_or_else(|| missing("the function's devlink port"))?;
    devlink(kernel)?.set_rate(&RateId::Leaf(port), change).map_err(Cause::Netlink)
}

/// `devlink port function set PORT`.
pub(crate) fn set_function(
    kernel: &mut Kernel,
    rep: Option<&Representor>,
    change: FunctionChange,
) -> Result<(), Cause> {
    let port = rep.and_then(|r| r.port.clone()).ok_or_else(|| missing("the function's devlink port"))?;
    devlink(kernel)?.set_function(&port, &change).map_err(Cause::Netlink)
}
