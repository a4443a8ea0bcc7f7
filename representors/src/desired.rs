//! What is wanted of a NIC.

use std::collections::BTreeMap;

use devlink_rs::{DeviceId, EncapMode, EswitchMode, FunctionState, InlineMode};
use netlink::{VfLinkState, VfRate, VfVlan};

use crate::{
    driver::facts,
    inventory::{Nic, Vf},
    key::Function,
    setting::VfSetting,
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
}

impl Default for SfDesired {
    fn default() -> Self {
        SfDesired { mac: None, active: true, representor_up: None }
    }
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
    /// Rules may go into hardware (`ethtool -K ... hw-tc-offload`), on the uplink and all representors.
    pub hw_tc_offload: Option<bool>,
    /// All VF representors up, or down; `per_vf` overrides it.
    pub representors_up: Option<bool>,
    /// MTU of all VF representors, bytes; `per_vf` overrides it.
    pub representor_mtu: Option<u32>,
    /// Single VFs.
    pub per_vf: BTreeMap<u16, VfDesired>,
    /// Exactly these sub-functions of this host, by number (switchdev only).
    pub sfs: Option<BTreeMap<u32, SfDesired>>,
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

    /// Exactly as `nic` was: what a rollback wants.
    pub(crate) fn restoring(nic: &Nic) -> Self {
        let facts = facts(nic.driver.as_deref());
        let vf = |vf: &Vf| {
            let dev = nic.vf_representor(vf.index).and_then(|r| r.netdev.as_ref());
            let mut wish = VfDesired {
                // One that a change took away and that did not end is due again.
                driver: vf.address.is_some().then(|| vf.due_driver()),
                representor_up: dev.map(|d| d.up),
                representor_mtu: dev.and_then(|d| d.mtu),
                ..VfDesired::default()
            };
            for setting in VfSetting::all_of(nic, vf.index) {
                if facts.takes(setting, nic.mode) {
                    wish.keep(setting);
                }
            }
            (vf.index, wish)
        };
        let sf = |(number, rep): (u32, &crate::inventory::Representor)| {
            let wish = SfDesired {
                mac: rep.function_mac,
                active: rep.function_state == Some(FunctionState::Active),
                representor_up: rep.netdev.as_ref().map(|d| d.up),
            };
            (number, wish)
        };
        Desired {
            mode: nic.mode,
            vfs: nic.sriov.map(|s| s.vfs),
            inline_mode: nic.inline_mode,
            encap_mode: nic.encap_mode,
            hw_tc_offload: nic.tc_offload(),
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
        let mut warnings = Vec::new();
        for vf in 0..kept.vfs.unwrap_or(0) {
            let mut wish = self.per_vf.get(&vf).cloned().unwrap_or_default();
            if let Some(was) = nic.vf(vf) {
                wish.driver = wish.driver.or_else(|| was.address.is_some().then(|| was.due_driver()));
                for setting in VfSetting::all_of(nic, vf) {
                    let new = setting.of_new_vf(facts);
                    if new == Some(setting) || wish.names(setting) {
                        continue;
                    }
                    if facts.takes(setting, mode) {
                        wish.keep(setting);
                    } else if mode != nic.mode {
                        warnings.push(format!("VF {vf} loses '{setting}': the driver has no such thing in {}", {
                            mode.map_or_else(|| "this mode".to_owned(), |m| format!("mode {m}"))
                        }));
                    }
                }
            }
            if switchdev {
                let dev = nic.representor_of(Function::Vf(vf)).and_then(|r| r.netdev.as_ref());
                wish.representor_up = wish.representor_up.or(self.representors_up).or(dev.map(|d| d.up));
                let mtu = wish.representor_mtu.or(self.representor_mtu);
                wish.representor_mtu = mtu.or(dev.and_then(|d| d.mtu).filter(|m| *m != crate::plan::NEW_MTU));
            }
            if wish != VfDesired::default() {
                kept.per_vf.insert(vf, wish);
            }
        }
        (kept, warnings)
    }
}
