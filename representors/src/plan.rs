//! From a state and a wish to steps. Pure.

use std::fmt;

use devlink_rs::{DeviceId, EswitchMode};

use crate::{
    desired::Desired,
    driver::{Strategy, facts, is_userspace},
    inventory::{Holder, Nic, Vf},
    kernel::Kernel,
    step::{Step, VfDriver},
    target::Target,
};

/// MTU of a representor that was just made, bytes.
pub(crate) const NEW_MTU: u32 = 1500;

/// A VF that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfInUse {
    /// VF number.
    pub vf: u16,
    /// PCI address.
    pub address: Option<String>,
    /// The driver that gave it to a process.
    pub driver: String,
    /// The processes that have its device file open, as far as we may see them.
    pub holders: Vec<Holder>,
}

impl fmt::Display for VfInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VF {} ({}) by {}", self.vf, self.address.as_deref().unwrap_or("no address"), self.driver)?;
        for (n, holder) in self.holders.iter().enumerate() {
            write!(f, "{}{holder}", if n == 0 { ", held by " } else { " and " })?;
        }
        Ok(())
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
    /// The driver refuses a setting of VFs in switchdev.
    #[error(
        "{device}: VF {vf}: {what}: the driver has it in mode legacy only; in switchdev use flows on its representor"
    )]
    LegacyOnly {
        /// NIC.
        device: DeviceId,
        /// VF.
        vf: u16,
        /// Which setting.
        what: String,
    },
    /// A value that no device can take.
    #[error("{device}: VF {vf}: {what}")]
    BadValue {
        /// NIC.
        device: DeviceId,
        /// VF.
        vf: u16,
        /// What is wrong with it, and what to write instead.
        what: String,
    },
    /// A value that no sub-function can take.
    #[error("{device}: SF {sf}: {what}")]
    BadSfValue {
        /// NIC.
        device: DeviceId,
        /// SF.
        sf: u32,
        /// What is wrong with it, and what to use instead.
        what: String,
    },
    /// A wish about a VF that will not be there.
    #[error("{device}: VF {vf} is named, but there will be only {vfs} VFs; leave it out, or ask for more VFs")]
    NoSuchVf {
        /// NIC.
        device: DeviceId,
        /// VF.
        vf: u16,
        /// How many there will be.
        vfs: u16,
    },
    /// A wish about representors without switchdev.
    #[error("{device}: {what} needs mode switchdev; ask for that mode, or leave it out")]
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
    /// The wish with all that shall survive.
    pub(crate) kept: Desired,
    /// The order chosen.
    pub strategy: Strategy,
    /// The state that the plan starts from.
    pub base: Nic,
    /// What to do; empty when the NIC is as desired.
    pub steps: Vec<Step>,
    /// What people should know first.
    pub warnings: Vec<String>,
    /// VFs that it takes from a userspace driver.
    pub used: Vec<VfInUse>,
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
    plan_with(desired, observed, first_order(observed))
}

/// Plans in a given order.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(desired: &Desired, observed: &Nic, strategy: Strategy) -> Result<Plan, PlanError> {
    Target::check(desired, observed)?;
    let (kept, mut warnings) = desired.keeping(observed);
    let target = Target::new(&kept, observed);
    let mut steps = Vec::new();
    // Which VFs lose what they have: all, when their number or (in some orders) the mode changes.
    let (now, then) = (observed.num_vfs(), target.vfs);
    // Between two numbers of VFs there are none, and some drivers then leave switchdev by themselves.
    let leaves = facts(observed.driver.as_deref()).legacy_without_vfs && now > 0 && now != then;
    let from = observed.mode.map(|mode| if leaves && target.mode == Some(mode) { EswitchMode::Legacy } else { mode });
    let mode_change = target.mode.zip(from).filter(|(to, from)| to != from);
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
    if let Some((EswitchMode::Legacy, _)) = mode_change {
        // Sub-functions live on the eswitch: take them down in order.
        steps.extend(target.remove_sfs(true));
    }
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
                let bound = |vf: &u16| anew || observed.vf(*vf).is_some_and(|v| v.driver.is_some());
                let release = |vf| Step::ReleaseVf { vf, rebind: target.driver_at_last(vf) };
                steps.extend((0..then).filter(bound).map(release));
            }
            steps.push(Step::SetMode { from, to });
            target.eswitch_steps(observed, &mut steps);
        }
    }
    target.vf_steps(anew, unbound, mode_change.is_some(), &mut steps);
    target.sf_steps(mode_change.is_some(), &mut steps);
    target.offload_steps(anew, mode_change.is_some(), &mut steps);
    let taken = |vf: &&Vf| (anew && now > 0) || unbound || target.rebinds(vf);
    let used: Vec<VfInUse> = observed.vfs.iter().filter(taken).filter_map(in_use).collect();
    if !used.is_empty() && !desired.disturb_used_vfs {
        return Err(PlanError::VfsInUse { device: observed.device.clone(), used });
    }
    warnings.extend(used.iter().map(|u| format!("takes away {u}")));
    for vf in observed.vfs.iter().filter(taken) {
        if let Some(dev) = vf.netdev.as_ref().filter(|d| d.up) {
            warnings.push(format!("interface {} of VF {} is up and will go", dev.name, vf.index));
        }
    }
    if mode_change.is_some() && !observed.rate_nodes.is_empty() {
        let names: Vec<&str> = observed.rate_nodes.keys().map(String::as_str).collect();
        let names = names.join(", ");
        warnings.push(format!("rate nodes ({names}) go with the mode, or the kernel keeps the mode because of them"));
    }
    Ok(Plan { desired: desired.clone(), kept, strategy, base: observed.clone(), steps, warnings, used })
}

impl Kernel {
    /// Plans as [`plan`] does. Where VFs that are in use would be taken away, the plan or the refusal names who holds them.
    ///
    /// # Errors
    /// [`PlanError`] when no steps can lead there. Holders that cannot be found out are left out.
    pub fn plan(&self, desired: &Desired, observed: &Nic) -> Result<Plan, PlanError> {
        self.plan_with(desired, observed, first_order(observed))
    }

    pub(crate) fn plan_with(&self, desired: &Desired, observed: &Nic, strategy: Strategy) -> Result<Plan, PlanError> {
        let result = plan_with(desired, observed, strategy);
        let takes = match &result {
            Ok(plan) => !plan.used.is_empty(),
            Err(e) => matches!(e, PlanError::VfsInUse { .. }),
        };
        let mut known = observed.clone();
        if !takes || self.find_holders([&mut known]).is_err() {
            return result;
        }
        plan_with(desired, &known, strategy)
    }
}

fn first_order(nic: &Nic) -> Strategy {
    facts(nic.driver.as_deref()).strategies.first().copied().unwrap_or(Strategy::ModeFirst)
}

fn in_use(vf: &Vf) -> Option<VfInUse> {
    let driver = vf.driver.clone().filter(|d| is_userspace(d))?;
    Some(VfInUse { vf: vf.index, address: vf.address.clone(), driver, holders: vf.holders.clone() })
}

impl Target<'_> {
    /// The driver that a VF is to have in the end, for one that is let go meanwhile.
    fn driver_at_last(&self, vf: u16) -> Option<String> {
        match self.driver(vf).or_else(|| self.default_driver()) {
            Some(VfDriver::Named(driver)) => Some(driver),
            Some(VfDriver::Unbound) | None => None,
        }
    }
}
