//! What each function needs after mode and number of VFs are right.

use devlink_rs::{EswitchMode, FunctionState};
use netlink::VfRate;

use crate::{
    desired::{Desired, VfDesired},
    driver::{Facts, facts},
    inventory::{Netdev, Nic, Vf},
    key::Function,
    plan::{NEW_MTU, PlanError},
    setting::{VfSetting, bad_mac},
    step::{Port, Step, VfDriver},
};

/// A wish with its gaps filled, beside the state.
pub(crate) struct Target<'a> {
    kept: &'a Desired,
    nic: &'a Nic,
    facts: &'static Facts,
    pub(crate) mode: Option<EswitchMode>,
    pub(crate) vfs: u16,
}

impl<'a> Target<'a> {
    /// `kept`: as [`Desired::keeping`] gives it.
    pub(crate) fn new(kept: &'a Desired, nic: &'a Nic) -> Self {
        let facts = facts(nic.driver.as_deref());
        Target { kept, nic, facts, mode: kept.mode, vfs: kept.vfs.unwrap_or(0) }
    }

    /// Can there be steps at all?
    pub(crate) fn check(desired: &Desired, nic: &Nic) -> Result<(), PlanError> {
        let device = || nic.device.clone();
        if desired.device != nic.device {
            return Err(PlanError::OtherNic { wanted: desired.device.clone(), got: device() });
        }
        let lacks = |what| PlanError::Unsupported { device: device(), driver: nic.driver.clone(), what };
        let vfs = desired.vfs.unwrap_or_else(|| nic.num_vfs());
        match nic.sriov {
            None if vfs > 0 => return Err(lacks("SR-IOV")),
            Some(sriov) => {
                if let Some(total) = sriov.total.filter(|t| vfs > *t) {
                    return Err(PlanError::TooManyVfs { device: device(), wanted: vfs, total });
                }
            }
            None => {}
        }
        // Without an eswitch, a NIC is what legacy means.
        let mode = match (desired.mode, nic.mode) {
            (Some(EswitchMode::Legacy), None) => None,
            (Some(_), None) => return Err(lacks("eswitch")),
            (wanted, now) => wanted.or(now),
        };
        let switchdev = mode == Some(EswitchMode::Switchdev);
        let needs = |what| Err(PlanError::NeedsSwitchdev { device: device(), what });
        if desired.inline_mode.is_some() && nic.inline_mode.is_none() {
            return Err(lacks("eswitch inline mode"));
        }
        if desired.encap_mode.is_some() && nic.encap_mode.is_none() {
            return Err(lacks("eswitch encapsulation mode"));
        }
        let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
        if desired.hw_tc_offload == Some(true) && uplink.is_some_and(|d| d.tc_offload.is_none()) {
            return Err(lacks("feature hw-tc-offload"));
        }
        let sfs = desired.wanted_sfs();
        if !sfs.is_empty() && !switchdev {
            return needs("a sub-function");
        }
        if desired.representor_mtu.is_some() && !switchdev {
            return needs("a representor's MTU");
        }
        for (sf, wish) in sfs {
            if let Some(what) = wish.mac.and_then(bad_mac) {
                return Err(PlanError::BadSfValue { device: device(), sf, what });
            }
        }
        let facts = facts(nic.driver.as_deref());
        for (&vf, wish) in &desired.per_vf {
            if vf >= vfs {
                return Err(PlanError::NoSuchVf { device: device(), vf, vfs });
            }
            if (wish.representor_up.is_some() || wish.representor_mtu.is_some()) && !switchdev {
                return needs("a representor's state");
            }
            if wish.driver.is_some() && nic.device.bus != "pci" {
                return Err(lacks("drivers for its VFs"));
            }
            for setting in wish.settings() {
                if let Some(what) = setting.bad_value() {
                    return Err(PlanError::BadValue { device: device(), vf, what });
                }
                if !facts.takes(setting, mode) {
                    return Err(PlanError::LegacyOnly { device: device(), vf, what: setting.to_string() });
                }
                // A VF that is there and shows nothing of it could not be verified.
                let known = nic.vf(vf).is_none() || mode != nic.mode || setting.now(nic, vf).is_some();
                if !known {
                    return Err(lacks(setting.name()));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn eswitch_steps(&self, nic: &Nic, steps: &mut Vec<Step>) {
        // A mode change can reset what was set: what is wanted is then checked again at the end.
        steps.extend(self.kept.inline_mode.filter(|m| Some(*m) != nic.inline_mode).map(Step::SetInlineMode));
        steps.extend(self.kept.encap_mode.filter(|m| Some(*m) != nic.encap_mode).map(Step::SetEncapMode));
    }

    pub(crate) fn driver(&self, vf: u16) -> Option<VfDriver> {
        self.kept.per_vf.get(&vf).and_then(|w| w.driver.clone())
    }

    pub(crate) fn default_driver(&self) -> Option<VfDriver> {
        self.facts.vf_driver.map(|d| VfDriver::Named(d.to_owned()))
    }

    pub(crate) fn rebinds(&self, vf: &Vf) -> bool {
        self.driver(vf.index).is_some_and(|d| d != VfDriver::of(vf))
    }

    /// Settings of all VFs come before drivers, which may look at them only once.
    pub(crate) fn vf_steps(&self, anew: bool, unbound: bool, mode_change: bool, steps: &mut Vec<Step>) {
        for vf in 0..self.vfs {
            let wish = self.kept.per_vf.get(&vf);
            for setting in wish.map(VfDesired::settings).unwrap_or_default() {
                let by_then = if anew {
                    setting.of_new_vf(self.facts)
                } else {
                    // A rate is kept elsewhere in the other mode.
                    let moved = mode_change && matches!(setting, VfSetting::Rate(r) if r != VfRate::default());
                    setting.now(self.nic, vf).filter(|_| !moved)
                };
                if by_then != Some(setting) {
                    steps.push(Step::SetVf { vf, setting });
                }
            }
        }
        for vf in 0..self.vfs {
            let node = self.kept.per_vf.get(&vf).and_then(|w| w.rate_parent.as_deref());
            self.parent_step(Function::Vf(vf), anew, mode_change, node, steps);
        }
        for vf in 0..self.vfs {
            // The driver that it has by then; None: we cannot know.
            let by_then = if unbound {
                Some(VfDriver::Unbound)
            } else if anew {
                self.default_driver()
            } else {
                self.nic.vf(vf).map(VfDriver::of)
            };
            // New VFs that had to be unbound for the mode change get the driver that the kernel would have given them.
            let target = self.driver(vf).or_else(|| self.default_driver().filter(|_| unbound));
            if let Some(driver) = target.filter(|t| by_then.as_ref() != Some(t)) {
                steps.push(Step::SetVfDriver { vf, driver });
            }
        }
        if self.mode == Some(EswitchMode::Switchdev) {
            for vf in 0..self.vfs {
                let wish = self.kept.per_vf.get(&vf);
                let (up, mtu) = (wish.and_then(|w| w.representor_up), wish.and_then(|w| w.representor_mtu));
                self.netdev_steps(Function::Vf(vf), anew || mode_change, up, mtu, steps);
            }
        }
    }

    /// MTU and up of a representor; a new one is down.
    fn netdev_steps(&self, of: Function, fresh: bool, up: Option<bool>, mtu: Option<u32>, steps: &mut Vec<Step>) {
        let dev = self.nic.representor_of(of).and_then(|r| r.netdev.as_ref());
        let mtu_by_then = if fresh { Some(NEW_MTU) } else { dev.and_then(|d| d.mtu) };
        if let Some(mtu) = mtu.filter(|m| mtu_by_then != Some(*m)) {
            steps.push(Step::SetRepresentorMtu { of, mtu });
        }
        let up_by_then = if fresh { Some(false) } else { dev.map(|d| d.up) };
        if let Some(up) = up.filter(|up| up_by_then != Some(*up)) {
            steps.push(Step::SetRepresentorUp { of, up });
        }
    }

    /// The rate node that a function's leaf belongs to. What nodes there are after a change of the mode shows only then.
    fn parent_step(&self, of: Function, fresh: bool, mode_change: bool, node: Option<&str>, steps: &mut Vec<Step>) {
        let Some(node) = node.filter(|_| self.mode == Some(EswitchMode::Switchdev) && !mode_change) else { return };
        let rep = self.nic.representor_of(of).filter(|_| !fresh);
        let by_then = rep.and_then(|r| r.rate_parent.as_deref()).unwrap_or_default();
        if node != by_then && (node.is_empty() || self.nic.rate_nodes.contains_key(node)) {
            steps.push(Step::SetRateParent { of, node: node.to_owned() });
        }
    }

    /// Steps that take sub-functions away: those that are not wanted, or `all`.
    pub(crate) fn remove_sfs(&self, all: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for (sf, rep) in self.nic.sfs().filter(|(n, _)| all || self.kept.sf(*n) == Some(None)) {
            if rep.function_state == Some(FunctionState::Active) {
                steps.push(Step::SetSfActive { sf, active: false });
            }
            steps.push(Step::RemoveSf { sf });
        }
        steps
    }

    pub(crate) fn sf_steps(&self, mode_change: bool, steps: &mut Vec<Step>) {
        if self.mode != Some(EswitchMode::Switchdev) {
            return;
        }
        if !mode_change {
            steps.extend(self.remove_sfs(false));
        }
        for (sf, wish) in self.kept.wanted_sfs() {
            let of = Function::Sf(sf);
            let rep = self.nic.representor_of(of).filter(|_| !mode_change);
            let mut active = rep.is_some_and(|r| r.function_state == Some(FunctionState::Active));
            if rep.is_none() {
                steps.push(Step::AddSf { sf });
            }
            let mac_now = rep.map_or(Some([0; 6]), |r| r.function_mac);
            if let Some(mac) = wish.mac.filter(|m| mac_now != Some(*m)) {
                if active {
                    steps.push(Step::SetSfActive { sf, active: false });
                    active = false;
                }
                steps.push(Step::SetSfMac { sf, mac });
            }
            let rate_now = rep.map_or(Some(VfRate::default()), |r| r.rate);
            if let Some(rate) = wish.rate.filter(|r| rate_now != Some(*r)) {
                steps.push(Step::SetSfRate { sf, rate });
            }
            self.parent_step(of, rep.is_none(), mode_change, wish.rate_parent.as_deref(), steps);
            self.netdev_steps(of, rep.is_none(), wish.representor_up, wish.representor_mtu, steps);
            if wish.active != active {
                steps.push(Step::SetSfActive { sf, active: wish.active });
            }
        }
    }

    /// `hw-tc-offload` of the uplink and of the representors that will be there.
    pub(crate) fn offload_steps(&self, anew: bool, mode_change: bool, steps: &mut Vec<Step>) {
        let differs = |dev: &Netdev, on: bool| dev.tc_offload.is_some_and(|now| now != on);
        let uplink = self.nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
        if let Some(on) = self.kept.hw_tc_offload.filter(|on| uplink.is_some_and(|dev| differs(dev, *on))) {
            steps.push(Step::SetTcOffload { port: Port::Uplink, on });
        }
        if self.mode != Some(EswitchMode::Switchdev) {
            return;
        }
        let vfs = (0..self.vfs).map(|vf| {
            let own = self.kept.per_vf.get(&vf).and_then(|w| w.representor_offload);
            (Function::Vf(vf), own)
        });
        // Those that are there and that nobody named are among them.
        let sfs = self.kept.wanted_sfs().into_iter().map(|(sf, wish)| (Function::Sf(sf), wish.representor_offload));
        for (of, own) in vfs.chain(sfs) {
            let Some(on) = own.or(self.kept.hw_tc_offload) else { continue };
            let fresh = mode_change || anew && matches!(of, Function::Vf(_));
            let dev = self.nic.representor_of(of).and_then(|r| r.netdev.as_ref()).filter(|_| !fresh);
            // A new representor has it off with some drivers, on with others: rather set it than guess.
            if dev.map_or(on, |dev| differs(dev, on)) {
                steps.push(Step::SetTcOffload { port: Port::Representor(of), on });
            }
        }
    }
}
