//! Eswitches, VFs and representors.

use super::Control;
use crate::state::Change;
use api::{Error, EswitchPlan, EswitchSet, EswitchView, RepresentorView, VfView};

impl Control {
    /// All eswitches.
    pub fn eswitches(&self) -> Result<Vec<EswitchView>, Error> {
        self.lock().nic.eswitches()
    }

    /// All VFs.
    pub fn vfs(&self) -> Result<Vec<VfView>, Error> {
        self.lock().nic.vfs()
    }

    /// All representors, with the switch port that uses each.
    pub fn representors(&self) -> Result<Vec<RepresentorView>, Error> {
        let mut inner = self.lock();
        let mut all = inner.nic.representors()?;
        for rep in &mut all {
            let uses = |p: &&super::Attached| p.state.is_ok() && p.port.devargs.as_deref() == Some(rep.name.as_str());
            rep.port = inner.ports.values().find(uses).map(|p| p.port.name.clone());
        }
        Ok(all)
    }

    /// Plan, and unless it is a dry run do, what brings an eswitch where it should be.
    ///
    /// Ports on its representors must be removed first when a mode change or fewer VFs would take them away.
    pub fn eswitch_set(&self, set: EswitchSet) -> Result<EswitchPlan, Error> {
        let mut inner = self.change()?;
        let steps = inner.nic.plan(&set)?;
        if set.dry_run {
            return Ok(EswitchPlan { steps, applied: false });
        }
        // What is desired stays desired until something else is: a set without VFs leaves their number.
        let kept = inner.desired.eswitches.get(&set.pf).and_then(|before| before.vfs);
        let wish = EswitchSet { vfs: set.vfs.or(kept), ..set.clone() };
        if steps.is_empty() {
            inner.desired.eswitches.insert(wish.pf.clone(), wish.clone());
            self.commit(inner, vec![Change::Eswitch(wish)], 0)?;
            return Ok(EswitchPlan { steps, applied: false });
        }
        let used: Vec<_> = inner
            .ports
            .values()
            .filter(|p| p.state.is_ok() || p.work.is_some())
            .map(|p| &p.port)
            .chain(inner.draining.iter().map(|d| &d.port))
            .filter(|p| p.kind == api::PortType::Representor)
            .map(|p| p.name.clone())
            .collect();
        if !used.is_empty() {
            return Err(Error::new(
                api::ErrorKind::Conflict,
                format!("eswitch {}", set.pf),
                format!("its representors are in use by ports {}", used.join(", ")),
            )
            .remedy("remove these ports first; --dry-run shows the plan"));
        }
        let steps = inner.nic.converge(&set)?;
        inner.desired.eswitches.insert(wish.pf.clone(), wish.clone());
        self.commit(inner, vec![Change::Eswitch(wish)], 1)?;
        Ok(EswitchPlan { steps, applied: true })
    }
}
