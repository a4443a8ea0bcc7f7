//! What stands in the way of switchdev, and how to mend it.

use super::super::Control;
use crate::nic::check::{self, Surroundings};
use crate::nic::{inventory, names};
use api::{Check, CheckResult, Error, NicChecks};
use representors::Nic;

impl Control {
    /// The checks of all NICs, or of one.
    pub fn nic_check(&self, pf: Option<&str>) -> Result<Vec<NicChecks>, Error> {
        let mut kernel = self.nics.host.open()?;
        let mut all = inventory(&mut kernel)?;
        kernel.find_holders(&mut all.nics).map_err(|e| Error::new(api::ErrorKind::Failed, "kernel", e))?;
        let nics: Vec<&Nic> = match pf {
            None => all.nics.iter().collect(),
            Some(name) => vec![names::pf(&all, Some(name))?],
        };
        let eal = self.switch.eal();
        let default_route = if self.nics.host.waits() { check::default_route() } else { None };
        let mut answers = Vec::new();
        for nic in nics {
            let pf = nic.device.to_string();
            let wish = self.lock().desired.nics.get(&pf).cloned();
            let firmware = kernel.firmware(&nic.device);
            let around = Surroundings {
                firmware: firmware.as_deref(),
                huge_pages: eal.uses_huge_pages(),
                default_route: default_route.as_deref(),
                dpdk_may: self.nics.pci(&nic.device).is_some(),
                vfs_wanted: wish.as_ref().and_then(|w| w.vfs),
            };
            let mut checks = check::checks(nic, &*kernel.access().sysfs(), &around);
            let to_do = wish.as_ref().map(|_| self.to_do(&pf, &mut kernel));
            let fix = || Some(format!("shuntctl nic converge {pf}"));
            let (result, found, fix) = match to_do {
                None => (CheckResult::Note, "nothing is desired of it yet".to_owned(), {
                    Some(format!("shuntctl eswitch set {pf} --mode switchdev --vfs NUMBER"))
                }),
                Some(Ok(steps)) if steps.is_empty() => (CheckResult::Ok, "as desired".to_owned(), None),
                Some(Ok(steps)) => (CheckResult::Warn, format!("to do: {}", steps.join(", ")), fix()),
                Some(Err(e)) => (CheckResult::Fail, e.message, e.remedy),
            };
            checks.push(Check { name: "desired".to_owned(), result, found, fix });
            answers.push(NicChecks { pf, checks });
        }
        Ok(answers)
    }
}
