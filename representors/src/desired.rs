//! What is wanted of a NIC.

use std::collections::BTreeMap;

use devlink_rs::{DeviceId, EncapMode, EswitchMode, FunctionState, InlineMode};
use netlink::{VfLinkState, VfRate, VfVlan};

use crate::{
    driver::facts,
    inventory::{Netdev, Nic, Representor, Vf},
    key::Function,
    setting::{VfSetting, bad_mac},
    step::VfDriver,
};

/// What is wanted of a VF; `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VfDesired {
    /// Driver.
    pub driver: Option<VfDriver>,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// VLAN that the NIC tags the VF's packets with, unseen by the VF.
    pub vlan: Option<VfVlan>,
    /// Guaranteed and greatest transmit rate, Mbit/s.
    pub rate: Option<VfRate>,
    /// Spoof check.
    pub spoof_check: Option<bool>,
    /// Link state that the VF sees.
    pub link_state: Option<VfLinkState>,
    /// Trust.
    pub trust: Option<bool>,
    /// Representor up (switchdev only).
    pub representor_up: Option<bool>,
    /// MTU of the representor, bytes (switchdev only).
    pub representor_mtu: Option<u32>,
    /// `hw-tc-offload` of the representor (switchdev only).
    pub representor_offload: Option<bool>,
    /// The rate node that it belongs to (switchdev only); empty: to none.
    pub rate_parent: Option<String>,
}

impl VfDesired {
    /// The settings that are named, in the order in which the kernel sees them.
    pub(crate) fn settings(&self) -> Vec<VfSetting> {
        [
            self.mac.map(VfSetting::Mac),
            // Without id and priority there is no tag, so no protocol of it.
            self.vlan.map(|v| VfSetting::Vlan(if (v.id, v.qos) == (0, 0) { VfVlan::default() } else { v })),
            self.rate.map(VfSetting::Rate),
            self.spoof_check.map(VfSetting::SpoofCheck),
            self.link_state.map(VfSetting::LinkState),
            self.trust.map(VfSetting::Trust),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn keep(&mut self, setting: VfSetting) {
        match setting {
            VfSetting::Mac(v) => _ = self.mac.get_or_insert(v),
            VfSetting::Vlan(v) => _ = self.vlan.get_or_insert(v),
            VfSetting::Rate(v) => _ = self.rate.get_or_insert(v),
            VfSetting::SpoofCheck(v) => _ = self.spoof_check.get_or_insert(v),
            VfSetting::LinkState(v) => _ = self.link_state.get_or_insert(v),
            VfSetting::Trust(v) => _ = self.trust.get_or_insert(v),
        }
    }

    fn names(&self, setting: VfSetting) -> bool {
        self.settings().iter().any(|s| s.same_kind(setting))
    }
}

/// What is wanted of a sub-function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SfDesired {
    /// Hardware address; `None` is left as it is.
    pub mac: Option<[u8; 6]>,
    /// Active: the function is there for its driver.
    pub active: bool,
    /// Representor up; `None` is left as it is.
    pub representor_up: Option<bool>,
    /// MTU of the representor, bytes; `None` is left as it is.
    pub representor_mtu: Option<u32>,
    /// `hw-tc-offload` of the representor; `None` is left as it is.
    pub representor_offload: Option<bool>,
    /// Guaranteed and greatest transmit rate, Mbit/s; `None` is left as it is.
    pub rate: Option<VfRate>,
    /// The rate node that it belongs to; empty: to none; `None` is left as it is.
    pub rate_parent: Option<String>,
}

impl Default for SfDesired {
    fn default() -> Self {
        SfDesired {
            mac: None,
            active: true,
            representor_up: None,
            representor_mtu: None,
            representor_offload: None,
            rate: None,
            rate_parent: None,
        }
    }
}

impl SfDesired {
    /// As this one is. An address that no device takes is none that could be set again.
    fn like(rep: &Representor) -> Self {
        let dev = rep.netdev.as_ref();
        SfDesired {
            mac: rep.function_mac.filter(|mac| bad_mac(*mac).is_none()),
            active: rep.function_state == Some(FunctionState::Active),
            representor_up: dev.map(|d| d.up),
            representor_mtu: dev.and_then(|d| d.mtu),
            representor_offload: dev.and_then(|d| d.tc_offload),
            rate: rep.rate,
            rate_parent: parent(rep),
        }
    }
}

/// The rate node that a function belongs to, empty without one; `None` where it has no rates.
fn parent(rep: &Representor) -> Option<String> {
    rep.rate.map(|_| rep.rate_parent.clone().unwrap_or_default())
}

/// How a NIC should be; `None` is left as it is. What is not named survives, as far as the kernel lets it, even where VFs
/// have to be created anew: drivers, addresses and other settings, and whether representors are up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Which NIC.
    pub device: DeviceId,
    /// Eswitch mode.
    pub mode: Option<EswitchMode>,
    /// Number of VFs.
    pub vfs: Option<u16>,
    /// Inline mode.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode.
    pub encap_mode: Option<EncapMode>,
    /// Rules may go into hardware (`ethtool -K ... hw-tc-offload`), on the uplink and all representors; `per_vf` and `per_sf`
    /// override it.
    pub hw_tc_offload: Option<bool>,
    /// All VF representors up, or down; `per_vf` overrides it.
    pub representors_up: Option<bool>,
    /// MTU of all VF representors, bytes; `per_vf` overrides it.
    pub representor_mtu: Option<u32>,
    /// Single VFs.
    pub per_vf: BTreeMap<u16, VfDesired>,
    /// Exactly these sub-functions of this host, by number (switchdev only), and those of `per_sf`; others are removed.
    pub sfs: Option<BTreeMap<u32, SfDesired>>,
    /// Single sub-functions of this host (switchdev only), which override `sfs`; `None`: it is not to be there.
    pub per_sf: BTreeMap<u32, Option<SfDesired>>,
    /// Go on even where that takes VFs from a userspace driver (a virtual machine, DPDK).
    pub disturb_used_vfs: bool,
}

impl Desired {
    /// Leaves everything as it is.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Desired {
            device,
            mode: None,
            vfs: None,
            inline_mode: None,
            encap_mode: None,
            hw_tc_offload: None,
            representors_up: None,
            representor_mtu: None,
            per_vf: BTreeMap::new(),
            sfs: None,
            per_sf: BTreeMap::new(),
            disturb_used_vfs: false,
        }
    }

    /// Switchdev with `vfs` VFs.
    #[must_use]
    pub fn switchdev(device: DeviceId, vfs: u16) -> Self {
        Desired { mode: Some(EswitchMode::Switchdev), vfs: Some(vfs), ..Self::new(device) }
    }

    /// Legacy with `vfs` VFs.
    #[must_use]
    pub fn legacy(device: DeviceId, vfs: u16) -> Self {
        Desired { mode: Some(EswitchMode::Legacy), vfs: Some(vfs), ..Self::new(device) }
    }

    /// What is wanted of a sub-function; inner `None`: it is not to be there; outer: nothing.
    pub(crate) fn sf(&self, number: u32) -> Option<Option<&SfDesired>> {
        let others = || self.sfs.as_ref().map(|sfs| sfs.get(&number));
        self.per_sf.get(&number).map(Option::as_ref).or_else(others)
    }

    /// The sub-functions that are to be there.
    pub(crate) fn wanted_sfs(&self) -> BTreeMap<u32, &SfDesired> {
        let numbers = self.per_sf.keys().chain(self.sfs.iter().flat_map(BTreeMap::keys));
        numbers.filter_map(|&n| Some((n, self.sf(n)??))).collect()
    }

    /// Exactly as `nic` was: what a rollback wants.
    pub(crate) fn restoring(nic: &Nic) -> Self {
        let facts = facts(nic.driver.as_deref());
        let vf = |vf: &Vf| {
            let rep = nic.vf_representor(vf.index);
            let dev = rep.and_then(|r| r.netdev.as_ref());
            let mut wish = VfDesired {
                // One that a change took away and that did not end is due again.
                driver: vf.address.is_some().then(|| vf.due_driver()),
                representor_up: dev.map(|d| d.up),
                representor_mtu: dev.and_then(|d| d.mtu),
                representor_offload: dev.and_then(|d| d.tc_offload),
                rate_parent: rep.and_then(parent),
                ..VfDesired::default()
            };
            for setting in VfSetting::all_of(nic, vf.index) {
                if facts.takes(setting, nic.mode) && setting.bad_value().is_none() {
                    wish.keep(setting);
                }
            }
            (vf.index, wish)
        };
        let sf = |(number, rep): (u32, &Representor)| (number, SfDesired::like(rep));
        let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
        Desired {
            mode: nic.mode,
            vfs: nic.sriov.map(|s| s.vfs),
            inline_mode: nic.inline_mode,
            encap_mode: nic.encap_mode,
            hw_tc_offload: uplink.and_then(|d| d.tc_offload),
            per_vf: nic.vfs.iter().map(vf).collect(),
            sfs: (nic.mode == Some(EswitchMode::Switchdev)).then(|| nic.sfs().map(sf).collect()),
            disturb_used_vfs: true,
            ..Self::new(nic.device.clone())
        }
    }

    /// The wish with its gaps filled from `nic`: what shall survive that VFs are made anew. What cannot survive is told.
    pub(crate) fn keeping(&self, nic: &Nic) -> (Desired, Vec<String>) {
        let facts = facts(nic.driver.as_deref());
        let mode = self.mode.or(nic.mode).filter(|_| nic.mode.is_some());
        let switchdev = mode == Some(EswitchMode::Switchdev);
        let mut kept = Desired { mode, vfs: Some(self.vfs.unwrap_or_else(|| nic.num_vfs())), ..self.clone() };
        // New representors come as their driver likes: they get what the others had.
        kept.hw_tc_offload = self.hw_tc_offload.or_else(|| nic.tc_offload().filter(|_| nic.has_representors()));
        // Where they differ, each keeps its own.
        let offload = |dev: Option<&Netdev>| dev.and_then(|d| d.tc_offload).filter(|_| kept.hw_tc_offload.is_none());
        let mut warnings = Vec::new();
        let (mut per_vf, mut per_sf) = (BTreeMap::new(), self.per_sf.clone());
        let anew = mode != nic.mode || kept.vfs != Some(nic.num_vfs());
        for vf in 0..kept.vfs.unwrap_or(0) {
            let mut wish = self.per_vf.get(&vf).cloned().unwrap_or_default();
            if let Some(was) = nic.vf(vf) {
                wish.driver = wish.driver.or_else(|| was.address.is_some().then(|| was.due_driver()));
                for setting in VfSetting::all_of(nic, vf) {
                    let new = setting.of_new_vf(facts);
                    if new == Some(setting) || wish.names(setting) {
                        continue;
                    }
                    if setting.bad_value().is_some() {
                        if anew {
                            warnings.push(format!("VF {vf} may lose '{setting}': no device takes that"));
                        }
                    } else if facts.takes(setting, mode) {
                        wish.keep(setting);
                    } else if mode != nic.mode {
                        warnings.push(format!("VF {vf} loses '{setting}': the driver has no such thing in {}", {
                            mode.map_or_else(|| "this mode".to_owned(), |m| format!("mode {m}"))
                        }));
                    }
                }
            }
            if switchdev {
                let rep = nic.representor_of(Function::Vf(vf));
                let dev = rep.and_then(|r| r.netdev.as_ref());
                wish.representor_up = wish.representor_up.or(self.representors_up).or(dev.map(|d| d.up));
                let mtu = wish.representor_mtu.or(self.representor_mtu);
                wish.representor_mtu = mtu.or(dev.and_then(|d| d.mtu).filter(|m| *m != crate::plan::NEW_MTU));
                wish.representor_offload = wish.representor_offload.or(offload(dev));
                wish.rate_parent = wish.rate_parent.or(rep.and_then(|r| r.rate_parent.clone()));
            }
            if wish != VfDesired::default() {
                per_vf.insert(vf, wish);
            }
        }
        for (sf, rep) in nic.sfs().filter(|(n, _)| switchdev && self.sf(*n) != Some(None)) {
            let like = SfDesired::like(rep);
            let wish = match self.sf(sf).flatten() {
                None => SfDesired { representor_offload: offload(rep.netdev.as_ref()), ..like },
                Some(named) => SfDesired {
                    mac: named.mac.or(like.mac),
                    active: named.active,
                    representor_up: named.representor_up.or(like.representor_up),
                    representor_mtu: named.representor_mtu.or(like.representor_mtu),
                    representor_offload: named.representor_offload.or(offload(rep.netdev.as_ref())),
                    rate: named.rate.or(like.rate),
                    rate_parent: named.rate_parent.clone().or(like.rate_parent),
                },
            };
            per_sf.insert(sf, Some(wish));
        }
        kept.per_vf.extend(per_vf);
        kept.per_sf = per_sf;
        (kept, warnings)
    }
}
