//! From a state and a wish to steps. Pure.

use std::{collections::BTreeMap, fmt};

use devlink_rs::{DeviceId, EncapMode, EswitchMode, InlineMode};

use crate::{
    driver::{Strategy, default_vf_driver, is_userspace, strategies},
    inventory::{Nic, Vf},
    step::{Step, VfDriver},
};

/// What is wanted of a VF; `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VfDesired {
    /// Driver.
    pub driver: Option<VfDriver>,
    /// Hardware address (by devlink; switchdev only).
    pub mac: Option<[u8; 6]>,
    /// Representor up (switchdev only).
    pub representor_up: Option<bool>,
}

/// How a NIC should be; `None` is left as it is. What is not named survives, as far as the kernel lets it, even where VFs
/// have to be created anew: drivers, addresses, and whether representors are up.
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
    /// All VF representors up, or down; `per_vf` overrides it.
    pub representors_up: Option<bool>,
    /// Single VFs.
    pub per_vf: BTreeMap<u16, VfDesired>,
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
            representors_up: None,
            per_vf: BTreeMap::new(),
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
        let vf = |vf: &Vf| {
            let rep = nic.vf_representor(vf.index);
            let wish = VfDesired {
                driver: vf.address.is_some().then(|| VfDriver::of(vf)),
                mac: rep.and_then(|r| r.function_mac),
                representor_up: rep.and_then(|r| r.netdev.as_ref()).map(|d| d.up),
            };
            (vf.index, wish)
        };
        Desired {
            mode: nic.mode,
            vfs: nic.sriov.map(|s| s.vfs),
            inline_mode: nic.inline_mode,
            encap_mode: nic.encap_mode,
            per_vf: nic.vfs.iter().map(vf).collect(),
            disturb_used_vfs: true,
            ..Self::new(nic.device.clone())
        }
    }
}

/// A VF that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfInUse {
    /// VF number.
    pub vf: u16,
    /// PCI address.
    pub address: Option<String>,
    /// The driver that gave it to a process.
    pub driver: String,
}

impl fmt::Display for VfInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VF {} ({}) by {}", self.vf, self.address.as_deref().unwrap_or("no address"), self.driver)
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The wish is about another NIC.
    #[error("{wanted}: the state given is that of {got}")]
    OtherNic {
        /// Wanted.
        wanted: DeviceId,
        /// Given.
        got: DeviceId,
    },
    /// More VFs than the NIC can have.
    #[error(
        "{device}: {wanted} VFs are wanted, but it can have {total}; ask for fewer, or raise the limit in the firmware"
    )]
    TooManyVfs {
        /// NIC.
        device: DeviceId,
        /// Wanted.
        wanted: u16,
        /// Possible.
        total: u16,
    },
    /// The NIC lacks something.
    #[error("{device}: its driver{} has no {what}; leave it out, or use a NIC that has it", driver.as_ref().map(|d| format!(" {d}")).unwrap_or_default())]
    Unsupported {
        /// NIC.
        device: DeviceId,
        /// Driver.
        driver: Option<String>,
        /// What is missing.
        what: &'static str,
    },
    /// A wish about a VF that will not be there.
    #[error("{device}: VF {vf} is named, but there will be only {vfs} VFs")]
    NoSuchVf {
        /// NIC.
        device: DeviceId,
        /// VF.
        vf: u16,
        /// How many there will be.
        vfs: u16,
    },
    /// A wish about representors without switchdev.
    #[error("{device}: {what} needs mode switchdev")]
    NeedsSwitchdev {
        /// NIC.
        device: DeviceId,
        /// What.
        what: &'static str,
    },
    /// VFs are in use and would be taken away.
    #[error("{device}: VFs are in use: {}; stop their users, or allow to disturb them", list(.used))]
    VfsInUse {
        /// NIC.
        device: DeviceId,
        /// Which, and by whom.
        used: Vec<VfInUse>,
    },
}

fn list(used: &[VfInUse]) -> String {
    used.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Steps that make a NIC as desired. Printed, it is a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The wish.
    pub desired: Desired,
    /// The order chosen.
    pub strategy: Strategy,
    /// The state that the plan starts from.
    pub base: Nic,
    /// What to do; empty when the NIC is as desired.
    pub steps: Vec<Step>,
    /// What people should know first.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return write!(f, "{}: as desired", self.base);
        }
        let driver = self.base.driver.as_deref().unwrap_or("no driver");
        write!(f, "{} ({driver}; {})", self.base, self.strategy)?;
        for (n, step) in self.steps.iter().enumerate() {
            write!(f, "\n  {}. {step}", n + 1)?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}

/// Plans in the order that the driver likes best.
///
/// # Errors
/// [`PlanError`] when no steps can lead there.
pub fn plan(desired: &Desired, observed: &Nic) -> Result<Plan, PlanError> {
    let strategy = strategies(observed.driver.as_deref()).first().copied().unwrap_or(Strategy::ModeFirst);
    plan_with(desired, observed, strategy)
}

/// Plans in a given order.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(desired: &Desired, observed: &Nic, strategy: Strategy) -> Result<Plan, PlanError> {
    let target = Target::new(desired, observed)?;
    let mut steps = Vec::new();
    // Which VFs lose what they have: all, when their number or (in some orders) the mode changes.
    let (now, then) = (observed.num_vfs(), target.vfs);
    let mode_change = target.mode.zip(observed.mode).filter(|(to, from)| to != from);
    let set_vfs = |steps: &mut Vec<Step>, from: u16, to: u16| {
        if from > 0 && from != to {
            steps.push(Step::SetVfs { from, to: 0 });
        }
        if to > 0 && from != to {
            steps.push(Step::SetVfs { from: 0, to });
        }
    };
    let mut anew = now != then;
    let mut unbound = false;
    match (mode_change, strategy) {
        (None, _) => {
            target.eswitch_steps(observed, &mut steps);
            set_vfs(&mut steps, now, then);
        }
        (Some((to, from)), Strategy::ModeFirst) => {
            anew = now > 0 || then > 0;
            set_vfs(&mut steps, now, 0);
            steps.push(Step::SetMode { from, to });
            target.eswitch_steps(observed, &mut steps);
            set_vfs(&mut steps, 0, then);
        }
        (Some((to, from)), Strategy::VfsFirst) => {
            set_vfs(&mut steps, now, then);
            if observed.device.bus == "pci" {
                unbound = true;
                let bound = |vf: &u16| anew || observed.vfs.iter().any(|v| v.index == *vf && v.driver.is_some());
                let unbind = |vf| Step::SetVfDriver { vf, driver: VfDriver::Unbound };
                steps.extend((0..then).filter(bound).map(unbind));
            }
            steps.push(Step::SetMode { from, to });
            target.eswitch_steps(observed, &mut steps);
        }
    }
    target.vf_steps(observed, anew, unbound, mode_change.is_some(), &mut steps);
    let taken = |vf: &&Vf| (anew && now > 0) || unbound || target.rebinds(vf);
    let used: Vec<VfInUse> = observed.vfs.iter().filter(taken).filter_map(in_use).collect();
    if !used.is_empty() && !desired.disturb_used_vfs {
        return Err(PlanError::VfsInUse { device: observed.device.clone(), used });
    }
    let mut warnings: Vec<String> = used.iter().map(|u| format!("takes away {u}")).collect();
    for vf in observed.vfs.iter().filter(taken) {
        if let Some(dev) = vf.netdev.as_ref().filter(|d| d.up) {
            warnings.push(format!("interface {} of VF {} is up and will go", dev.name, vf.index));
        }
    }
    Ok(Plan { desired: desired.clone(), strategy, base: observed.clone(), steps, warnings })
}

fn in_use(vf: &Vf) -> Option<VfInUse> {
    let driver = vf.driver.clone().filter(|d| is_userspace(d))?;
    Some(VfInUse { vf: vf.index, address: vf.address.clone(), driver })
}

/// The wish with every gap filled from the state.
struct Target<'a> {
    desired: &'a Desired,
    mode: Option<EswitchMode>,
    vfs: u16,
}

impl<'a> Target<'a> {
    fn new(desired: &'a Desired, nic: &Nic) -> Result<Self, PlanError> {
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
        if desired.inline_mode.is_some() && nic.inline_mode.is_none() {
            return Err(lacks("eswitch inline mode"));
        }
        if desired.encap_mode.is_some() && nic.encap_mode.is_none() {
            return Err(lacks("eswitch encapsulation mode"));
        }
        for (&vf, wish) in &desired.per_vf {
            if vf >= vfs {
                return Err(PlanError::NoSuchVf { device: device(), vf, vfs });
            }
            let switchdev = mode == Some(EswitchMode::Switchdev);
            if wish.mac.is_some() && !switchdev {
                return Err(PlanError::NeedsSwitchdev { device: device(), what: "a VF's hardware address" });
            }
            if wish.representor_up.is_some() && !switchdev {
                return Err(PlanError::NeedsSwitchdev { device: device(), what: "a representor's state" });
            }
            if wish.driver.is_some() && nic.device.bus != "pci" {
                return Err(lacks("drivers for its VFs"));
            }
        }
        Ok(Target { desired, mode, vfs })
    }

    fn eswitch_steps(&self, nic: &Nic, steps: &mut Vec<Step>) {
        // A mode change can reset what was set: what is wanted is then checked again at the end.
        steps.extend(self.desired.inline_mode.filter(|m| Some(*m) != nic.inline_mode).map(Step::SetInlineMode));
        steps.extend(self.desired.encap_mode.filter(|m| Some(*m) != nic.encap_mode).map(Step::SetEncapMode));
    }

    fn driver(&self, vf: u16, now: Option<&Vf>) -> Option<VfDriver> {
        let wished = self.desired.per_vf.get(&vf).and_then(|w| w.driver.clone());
        wished.or_else(|| now.filter(|v| v.address.is_some()).map(VfDriver::of))
    }

    fn rebinds(&self, vf: &Vf) -> bool {
        self.driver(vf.index, Some(vf)).is_some_and(|d| d != VfDriver::of(vf))
    }

    /// What each VF needs after mode and number are right.
    fn vf_steps(&self, nic: &Nic, anew: bool, unbound: bool, mode_change: bool, steps: &mut Vec<Step>) {
        let default = default_vf_driver(nic.driver.as_deref()).map(|d| VfDriver::Named(d.to_owned()));
        for vf in 0..self.vfs {
            let was = nic.vfs.iter().find(|v| v.index == vf);
            // The driver that it has by then; None: we cannot know.
            let by_then = if unbound {
                Some(VfDriver::Unbound)
            } else if anew {
                default.clone()
            } else {
                was.map(VfDriver::of)
            };
            // New VFs that had to be unbound for the mode change get the driver that the kernel would have given them.
            let target = self.driver(vf, was).or_else(|| default.clone().filter(|_| unbound));
            if let Some(driver) = target.filter(|t| by_then.as_ref() != Some(t)) {
                steps.push(Step::SetVfDriver { vf, driver });
            }
            if self.mode != Some(EswitchMode::Switchdev) {
                continue;
            }
            let rep = nic.vf_representor(vf);
            let wish = self.desired.per_vf.get(&vf);
            // A new function has no address of ours: zeros.
            let mac_now = rep.and_then(|r| r.function_mac);
            let mac = wish.and_then(|w| w.mac).or(mac_now.filter(|m| *m != [0; 6]));
            let mac_by_then = if anew { Some([0; 6]) } else { mac_now };
            if let Some(mac) = mac.filter(|m| mac_by_then != Some(*m)) {
                steps.push(Step::SetVfMac { vf, mac });
            }
            let up_was = rep.and_then(|r| r.netdev.as_ref()).map(|d| d.up);
            let up = wish.and_then(|w| w.representor_up).or(self.desired.representors_up).or(up_was);
            // A new representor is down.
            let up_by_then = if anew || mode_change { Some(false) } else { up_was };
            if let Some(up) = up.filter(|up| up_by_then != Some(*up)) {
                steps.push(Step::SetRepresentorUp { vf, up });
            }
        }
    }
}
