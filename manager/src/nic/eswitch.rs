//! Eswitches, VFs and representors, as the kernel has them.

use super::Nic;
use api::{Error, ErrorKind, EswitchMode, EswitchSet, EswitchView, RepresentorView, VfView};
use representors::{ConvergeError, Desired, DeviceId, Inventory, Kernel, ObserveError, Plan, PlanError};

impl Nic {
    fn kernel(&mut self) -> Result<&mut Kernel, Error> {
        self.kernel.as_mut().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "kernel", "netlink cannot be opened")
                .remedy("run shuntd with CAP_NET_ADMIN, outside of a sandbox without netlink")
        })
    }

    fn inventory(&mut self) -> Result<Inventory, Error> {
        self.kernel()?.inventory().map_err(|e| Error::new(ErrorKind::Failed, "kernel", e))
    }

    /// All eswitches.
    pub fn eswitches(&mut self) -> Result<Vec<EswitchView>, Error> {
        let all = self.inventory()?;
        let view = |nic: representors::Nic| {
            Some(EswitchView {
                pf: nic.device.to_string(),
                driver: nic.driver.clone().unwrap_or_default(),
                mode: mode_to_api(nic.mode?)?,
                vfs: u32::from(nic.num_vfs()),
                max_vfs: nic.sriov.and_then(|s| s.total).map(u32::from).unwrap_or_default(),
            })
        };
        Ok(all.nics.into_iter().filter_map(view).collect())
    }

    /// All VFs.
    pub fn vfs(&mut self) -> Result<Vec<VfView>, Error> {
        let all = self.inventory()?;
        let mut views = Vec::new();
        for nic in &all.nics {
            for vf in &nic.vfs {
                let rep = nic.vf_representor(vf.index);
                let mac = vf.netdev.as_ref().and_then(|d| d.mac).or_else(|| rep.and_then(|r| r.function_mac));
                views.push(VfView {
                    pf: nic.device.to_string(),
                    vf: u32::from(vf.index),
                    representor: rep.and_then(|r| r.netdev.as_ref()).map(|d| d.name.clone()),
                    mac: mac.map(|m| m.map(|b| format!("{b:02x}")).join(":")),
                });
            }
        }
        Ok(views)
    }

    /// The uplinks and all representors, uplink first.
    pub fn representors(&mut self) -> Result<Vec<RepresentorView>, Error> {
        let all = self.inventory()?;
        let mut views = Vec::new();
        for nic in &all.nics {
            let view = |name: String, vf, dev: Option<&representors::Netdev>| RepresentorView {
                name,
                pf: nic.device.to_string(),
                vf,
                netdev: dev.map(|d| d.name.clone()).unwrap_or_default(),
                ifindex: dev.map(|d| d.ifindex).unwrap_or_default(),
                port: None,
            };
            if let Some(uplink) = &nic.uplink {
                views.push(view("uplink".to_owned(), None, uplink.netdev.as_ref()));
            }
            for rep in &nic.representors {
                let vf = match rep.key.name.function {
                    representors::Function::Vf(n) => Some(u32::from(n)),
                    _ => None,
                };
                views.push(view(rep.key.name.to_string(), vf, rep.netdev.as_ref()));
            }
        }
        Ok(views)
    }

    /// The steps that would bring an eswitch where it should be.
    pub fn plan(&mut self, set: &EswitchSet) -> Result<Vec<String>, Error> {
        let desired = desired(set)?;
        let object = format!("eswitch {}", set.pf);
        let kernel = self.kernel()?;
        let nic = kernel.nic(&desired.device).map_err(|e| observe_error(&object, &e))?;
        let plan = representors::plan(&desired, &nic).map_err(|e| plan_error(&object, &e))?;
        Ok(steps(&plan))
    }

    /// Bring an eswitch where it should be; what was done.
    pub fn converge(&mut self, set: &EswitchSet) -> Result<Vec<String>, Error> {
        let desired = desired(set)?;
        let object = format!("eswitch {}", set.pf);
        let report = representors::converge(&desired, self.kernel()?).map_err(|e| match &e {
            ConvergeError::Observe(e) => observe_error(&object, e),
            ConvergeError::Plan(e) => plan_error(&object, e),
            other => about(ErrorKind::Failed, &object, other),
        })?;
        Ok(report.steps.iter().map(|s| s.step.to_string()).collect())
    }
}

fn desired(set: &EswitchSet) -> Result<Desired, Error> {
    let object = || format!("eswitch {}", set.pf);
    let device: DeviceId = set.pf.parse().map_err(|e| Error::new(ErrorKind::Invalid, object(), e))?;
    let vfs = match set.vfs {
        None => None,
        Some(n) => Some(u16::try_from(n).map_err(|_| {
            Error::new(ErrorKind::Invalid, object(), format!("{n} VFs are too many")).remedy("use 0 to 65535")
        })?),
    };
    let mode = match set.mode {
        EswitchMode::Legacy => representors::EswitchMode::Legacy,
        EswitchMode::Switchdev => representors::EswitchMode::Switchdev,
    };
    Ok(Desired { mode: Some(mode), vfs, ..Desired::new(device) })
}

fn mode_to_api(mode: representors::EswitchMode) -> Option<EswitchMode> {
    match mode {
        representors::EswitchMode::Legacy => Some(EswitchMode::Legacy),
        representors::EswitchMode::Switchdev => Some(EswitchMode::Switchdev),
        #[allow(unreachable_patterns, reason = "kernels may know more modes")]
        _ => None,
    }
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).chain(plan.warnings.iter().map(|w| format!("warning: {w}"))).collect()
}

fn observe_error(object: &str, e: &ObserveError) -> Error {
    match e {
        ObserveError::NoSuchNic(_) => Error::new(ErrorKind::NotFound, object, "there is no such NIC")
            .remedy("list them with: shuntctl eswitch show"),
        other => about(ErrorKind::Failed, object, other),
    }
}

fn plan_error(object: &str, e: &PlanError) -> Error {
    let kind = match e {
        PlanError::Unsupported { .. } => ErrorKind::Unsupported,
        PlanError::VfsInUse { .. } => ErrorKind::Conflict,
        _ => ErrorKind::Invalid,
    };
    about(kind, object, e)
}

/// The rooms below name the PF first; `object` has it already.
fn about(kind: ErrorKind, object: &str, message: impl std::fmt::Display) -> Error {
    let message = message.to_string();
    let pf = object.trim_start_matches("eswitch ");
    let rest = message.strip_prefix(pf).map(|rest| rest.trim_start_matches(':').trim_start().to_owned());
    Error::new(kind, object, rest.unwrap_or(message))
}
