//! Changing a NIC.

use super::super::Control;
use super::ports::Touched;
use crate::failpoint;
use crate::nic::{converge_error, inventory, names, object, observe_error, plan_error, wish};
use crate::state::Change;
use api::{Ack, Error, EswitchPlan, EswitchSet, NicConverge, NicWish, SfCreate, SfDestroy, SfSet, VfSet};
use representors::{Desired, Kernel, Nic, Phase, Plan};

/// How a change is to be done.
#[derive(Clone, Copy, Debug)]
struct How {
    dry_run: bool,
    disturb: bool,
}

impl Control {
    /// Change an eswitch: mode, number of VFs, what all representors have in common.
    pub fn eswitch_set(&self, set: &EswitchSet) -> Result<EswitchPlan, Error> {
        let how = How { dry_run: set.dry_run, disturb: set.disturb };
        let find = |kernel: &mut Kernel| Ok(names::pf(&inventory(kernel)?, Some(&set.pf))?.clone());
        self.nic_change(how, find, |before, nic| wish::changed(before, nic, set))
    }

    /// Change a VF.
    pub fn vf_set(&self, set: &VfSet) -> Result<EswitchPlan, Error> {
        let how = How { dry_run: set.dry_run, disturb: set.disturb };
        let all = self.nics.host.inventory()?;
        let (nic, vf) = names::vf(&all, &set.vf)?;
        self.nic_change(how, |_| Ok(nic.clone()), |before, nic| wish::changed_vf(before, nic, vf, &set.set))
    }

    /// Create a sub-function, or change one that is there.
    pub fn sf_create(&self, ask: &SfCreate) -> Result<EswitchPlan, Error> {
        let how = How { dry_run: ask.dry_run, disturb: ask.disturb };
        let find = |kernel: &mut Kernel| Ok(names::pf(&inventory(kernel)?, Some(&ask.pf))?.clone());
        self.nic_change(how, find, |before, nic| wish::changed_sf(before, nic, ask.sf, &ask.set))
    }

    /// Change a sub-function.
    pub fn sf_set(&self, set: &SfSet) -> Result<EswitchPlan, Error> {
        let how = How { dry_run: set.dry_run, disturb: set.disturb };
        let (nic, sf) = self.sf_of(&set.sf)?;
        self.nic_change(how, |_| Ok(nic), |before, nic| wish::changed_sf(before, nic, sf, &set.set))
    }

    /// Destroy a sub-function, whoever made it.
    pub fn sf_destroy(&self, ask: &SfDestroy) -> Result<EswitchPlan, Error> {
        let how = How { dry_run: ask.dry_run, disturb: ask.disturb };
        let (nic, sf) = self.sf_of(&ask.sf)?;
        self.nic_change(how, |_| Ok(nic), |before, nic| Ok(wish::without_sf(before, nic, sf)))
    }

    /// The sub-function that a name means: one that is there, or one that is desired.
    fn sf_of(&self, name: &str) -> Result<(Nic, u32), Error> {
        let all = self.nics.host.inventory()?;
        let wanted = |nic: &Nic, sf: u32| {
            let inner = self.lock();
            inner.desired.nics.get(&nic.device.to_string()).is_some_and(|wish| wish.sf.contains_key(&sf))
        };
        names::sf(&all, name, wanted).map(|(nic, sf)| (nic.clone(), sf))
    }

    /// Bring NICs to what is desired of them. All are tried; the first error is told.
    pub fn nic_converge(&self, ask: &NicConverge) -> Result<Vec<EswitchPlan>, Error> {
        let how = How { dry_run: ask.dry_run, disturb: ask.disturb };
        let wished: Vec<NicWish> = self.lock().desired.nics.values().cloned().collect();
        let wished = match &ask.pf {
            None => wished,
            Some(name) => {
                let pf = match wished.iter().find(|w| w.pf == *name) {
                    Some(wish) => wish.pf.clone(),
                    None => names::pf(&self.nics.host.inventory()?, Some(name))?.device.to_string(),
                };
                let of_it: Vec<_> = wished.into_iter().filter(|w| w.pf == pf).collect();
                if of_it.is_empty() {
                    return Err(Error::new(api::ErrorKind::NotFound, format!("NIC {pf}"), "nothing is desired of it")
                        .remedy("say what should be: shuntctl eswitch set"));
                }
                of_it
            }
        };
        let mut plans = Vec::new();
        let mut first = None;
        for wish in wished {
            match self.nic_to_wish(how, &wish) {
                Ok(plan) => plans.push(plan),
                Err(e) => drop(first.get_or_insert(e)),
            }
        }
        first.map_or(Ok(plans), Err)
    }

    fn nic_to_wish(&self, how: How, wish: &NicWish) -> Result<EswitchPlan, Error> {
        let device = wish::desired(wish, false)?.device;
        let find = |kernel: &mut Kernel| kernel.nic(&device).map_err(|e| observe_error(&device, &e));
        self.nic_change(how, find, |before, _| Ok(before.unwrap_or(wish).clone()))
    }

    /// At the start of the daemon, when there are no ports yet: NICs as they are desired. What cannot be is told and stays desired.
    pub(in super::super) fn nics_at_start(&self) {
        if let Err(e) = self.nic_converge(&NicConverge::default()) {
            tracing::error!("{e}");
        }
    }

    fn nic_change(
        &self,
        how: How,
        find: impl FnOnce(&mut Kernel) -> Result<Nic, Error>,
        make: impl FnOnce(Option<&NicWish>, &Nic) -> Result<NicWish, Error>,
    ) -> Result<EswitchPlan, Error> {
        let mut kernel = self.nics.host.open()?;
        let nic = find(&mut kernel)?;
        let _turn = if how.dry_run { None } else { Some(self.nics.turns.take(&object(&nic))?) };
        // While others had their turn, it may have become another.
        let nic = kernel.nic(&nic.device).map_err(|e| observe_error(&nic.device, &e))?;
        let pf = nic.device.to_string();
        let before = self.lock().desired.nics.get(&pf).cloned();
        let wish = make(before.as_ref(), &nic)?;
        let desired = wish::desired(&wish, how.disturb)?;
        let plan = kernel.plan(&desired, &nic).map_err(|e| plan_error(&nic.device, &e))?;
        let touched = Touched::by(&plan);
        let mut answer = EswitchPlan { pf, warnings: plan.warnings.clone(), ..EswitchPlan::default() };
        if how.dry_run {
            answer.steps = self.steps_of(&plan, &touched, &plan_steps(&plan));
            return Ok(answer);
        }
        let nothing = NicWish { pf: answer.pf.clone(), ..NicWish::default() };
        // A wish for nothing is none.
        let some = |wish: NicWish| Some(wish).filter(|w| *w != nothing);
        let in_the_end = some(wish::fulfilled(wish.clone()));
        let kept = if plan.is_empty() { in_the_end.clone() } else { some(wish) };
        if before != kept {
            self.keep_wish(&answer.pf, kept.as_ref())?;
        }
        failpoint::nic_boundary("what is desired is on disk");
        if plan.is_empty() {
            self.nics.is_as_desired(&answer.pf);
            self.representors_came(&answer.pf);
            return Ok(answer);
        }
        match self.nic_apply(&mut kernel, &desired, &plan, &touched) {
            Ok(steps) => {
                self.nics.is_as_desired(&answer.pf);
                answer.steps = steps;
                answer.applied = true;
                if in_the_end != kept {
                    self.keep_wish(&answer.pf, in_the_end.as_ref())?;
                }
                Ok(answer)
            }
            Err(e) => {
                if before != kept {
                    self.keep_wish(&answer.pf, before.as_ref())?;
                }
                Err(e)
            }
        }
    }

    /// Do what a plan says, with the ports out of the way. What was done.
    fn nic_apply(
        &self,
        kernel: &mut Kernel,
        desired: &Desired,
        plan: &Plan,
        touched: &Touched,
    ) -> Result<Vec<String>, Error> {
        let device = &desired.device;
        let off = self.ports_off(&device.to_string(), touched)?;
        failpoint::nic_boundary("ports are off");
        kernel.on_boundary(|at| {
            let phase = match at.phase {
                Phase::Before => "before",
                Phase::Requested => "asked for",
                Phase::Verified => "seen",
            };
            failpoint::nic_boundary(format_args!("{phase}: {}", at.step));
        });
        let done = representors::converge(desired, kernel);
        let result = match &done {
            Ok(report) => {
                for step in &report.steps {
                    let note = step.note.as_ref().map(|n| format!("; {n}")).unwrap_or_default();
                    tracing::info!("eswitch {device}: {} ({:?}{note})", step.step, step.took);
                }
                let steps: Vec<_> = report.steps.iter().map(|s| s.step.to_string()).collect();
                Ok(self.steps_of(plan, touched, &steps))
            }
            Err(e) => Err(converge_error(device, e)),
        };
        self.nics.set_off_limits(None);
        self.ports_back(&device.to_string(), off);
        self.representors_came(&device.to_string());
        failpoint::nic_boundary("ports are back");
        result
    }

    /// Nothing is desired of a NIC any more. It stays as it is, and is watched no longer.
    pub fn nic_forget(&self, name: &str) -> Result<Ack, Error> {
        let known = self.lock().desired.nics.contains_key(name);
        // One that is gone has the name only that its wish has.
        let pf = if known {
            name.to_owned()
        } else {
            names::pf(&self.nics.host.inventory()?, Some(name))?.device.to_string()
        };
        let _turn = self.nics.turns.take(&format!("eswitch {pf}"))?;
        if !self.lock().desired.nics.contains_key(&pf) {
            return self.commit(self.change()?, Vec::new(), 0);
        }
        let mut inner = self.change()?;
        inner.desired.nics.remove(&pf);
        self.nics.watched().remove(&pf);
        self.commit(inner, vec![Change::ForgetNic(pf)], 1)
    }

    /// Have a wish on disk, before it is acted on.
    fn keep_wish(&self, pf: &str, wish: Option<&NicWish>) -> Result<(), Error> {
        let mut inner = self.change()?;
        let change = match wish {
            Some(wish) => {
                inner.desired.nics.insert(pf.to_owned(), wish.clone());
                Change::Nic(wish.clone())
            }
            None => {
                inner.desired.nics.remove(pf);
                Change::ForgetNic(pf.to_owned())
            }
        };
        self.commit(inner, vec![change], 1).map(drop)
    }

    /// Make the mock NIC's eswitch what `--mock` says: switchdev, with its VFs.
    pub fn converge_mock(&self) -> Result<(), Error> {
        let Some(set) = self.lock().nic.mock().map(|m| m.eswitch()) else { return Ok(()) };
        let mut kernel = self.nics.host.open()?;
        let nic = names::pf(&inventory(&mut kernel)?, Some(&set.pf))?.clone();
        let desired = wish::desired(&wish::changed(None, &nic, &set)?, false)?;
        representors::converge(&desired, &mut kernel).map_err(|e| converge_error(&desired.device, &e)).map(drop)
    }
}

fn plan_steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}
