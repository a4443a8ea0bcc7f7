//! NICs, VFs and representors as they are.

use super::super::Control;
use crate::nic::{inventory, names, observe_error, view};
use api::{Error, EswitchView, NicView, RepresentorView, SfView, VfView};
use representors::{Inventory, Kernel, Nic};

impl Control {
    /// All eswitches, or that of one PF.
    pub fn eswitches(&self, pf: Option<&str>) -> Result<Vec<EswitchView>, Error> {
        let all = self.nics.host.inventory()?;
        Ok(chosen(&all, pf)?.into_iter().filter_map(view::eswitch).collect())
    }

    /// All NICs, or one, with what is desired of them.
    pub fn nic_views(&self, pf: Option<&str>) -> Result<Vec<NicView>, Error> {
        let all = self.nics.host.inventory()?;
        let changing = self.nics.turns.now();
        let mut views: Vec<NicView> =
            chosen(&all, pf)?.into_iter().map(|nic| self.nic_view(nic, changing.as_deref())).collect();
        // What is desired of NICs that are gone.
        let inner = self.lock();
        let gone = inner.desired.nics.values().filter(|w| all.nics.iter().all(|n| n.device.to_string() != w.pf));
        for wish in gone.filter(|_| pf.is_none()) {
            views.push(NicView {
                pf: wish.pf.clone(),
                desired: Some(wish.clone()),
                state: "gone".to_owned(),
                ..NicView::default()
            });
        }
        Ok(views)
    }

    fn nic_view(&self, nic: &Nic, changing: Option<&str>) -> NicView {
        let mut view = view::nic(nic);
        let inner = self.lock();
        let on = |p: &&super::super::Attached| p.port.nic.as_deref() == Some(view.pf.as_str()) && p.state.is_ok();
        view.ports = inner.ports.values().filter(on).map(|p| p.port.name.clone()).collect();
        view.desired = inner.desired.nics.get(&view.pf).cloned();
        drop(inner);
        let todo = view.desired.as_ref().map(|wish| to_do(wish, nic));
        view.state = match &todo {
            _ if changing == Some(crate::nic::object(nic).as_str()) => "being changed",
            None => "not managed",
            Some(steps) if steps.is_empty() => "as desired",
            Some(_) => "not as desired",
        }
        .to_owned();
        view.to_do = todo.unwrap_or_default();
        self.nics.show_drift(&mut view);
        view
    }

    /// All VFs, or those of one PF.
    pub fn vfs(&self, pf: Option<&str>) -> Result<Vec<VfView>, Error> {
        let mut kernel = self.nics.host.open()?;
        let all = inventory(&mut kernel)?;
        let mut views = Vec::new();
        for nic in chosen(&all, pf)? {
            views.extend(self.vfs_of(&mut kernel, nic.clone())?);
        }
        Ok(views)
    }

    /// One VF.
    pub fn vf(&self, name: &str) -> Result<VfView, Error> {
        let mut kernel = self.nics.host.open()?;
        let all = inventory(&mut kernel)?;
        let (nic, vf) = names::vf(&all, name)?;
        let found = self.vfs_of(&mut kernel, nic.clone())?.into_iter().find(|v| v.vf == u32::from(vf));
        found.ok_or_else(|| {
            Error::new(api::ErrorKind::NotFound, format!("VF {name}"), "it has just gone")
                .remedy("list them with: shuntctl vf list")
        })
    }

    fn vfs_of(&self, kernel: &mut Kernel, mut nic: Nic) -> Result<Vec<VfView>, Error> {
        let counters = kernel.vf_counters(&nic.device).map_err(|e| observe_error(&nic.device, &e))?;
        kernel.find_holders([&mut nic]).map_err(|e| observe_error(&nic.device, &e))?;
        let mut views = view::vfs(&nic, &counters);
        let inner = self.lock();
        for view in &mut views {
            view.port = inner.port_of(&view.pf, &view.name).map(|p| p.port.name.clone());
        }
        Ok(views)
    }

    /// All sub-functions, or those of one PF.
    pub fn sfs(&self, pf: Option<&str>) -> Result<Vec<SfView>, Error> {
        let all = self.nics.host.inventory()?;
        let nics = chosen(&all, pf)?;
        Ok(nics.into_iter().flat_map(|nic| self.sfs_of(nic)).collect())
    }

    /// One sub-function.
    pub fn sf(&self, name: &str) -> Result<SfView, Error> {
        let all = self.nics.host.inventory()?;
        let (nic, sf) = names::sf(&all, name, |_, _| false)?;
        self.sfs_of(nic).into_iter().find(|v| v.sf == sf).ok_or_else(|| {
            Error::new(api::ErrorKind::NotFound, format!("SF {name}"), "it has just gone")
                .remedy("list them with: shuntctl sf list")
        })
    }

    fn sfs_of(&self, nic: &Nic) -> Vec<SfView> {
        let mut views = view::sfs(nic);
        let inner = self.lock();
        for view in &mut views {
            view.port = inner.port_of(&view.pf, &view.name).map(|p| p.port.name.clone());
            view.desired = inner.desired.nics.get(&view.pf).is_some_and(|wish| wish.sf.contains_key(&view.sf));
        }
        views
    }

    /// All uplinks and representors, or those of one PF, with the switch port that uses each.
    pub fn representors(&self, pf: Option<&str>) -> Result<Vec<RepresentorView>, Error> {
        let all = self.nics.host.inventory()?;
        let nics = chosen(&all, pf)?;
        Ok(nics.into_iter().flat_map(|nic| self.representors_of(nic)).collect())
    }

    /// One uplink or representor.
    pub fn representor(&self, name: &str) -> Result<RepresentorView, Error> {
        let all = self.nics.host.inventory()?;
        let (nic, which) = names::function(&all, name)?;
        let found = self.representors_of(nic).into_iter().find(|r| r.name == which.to_string());
        found.ok_or_else(|| {
            Error::new(api::ErrorKind::NotFound, format!("representor {name}"), "the function has no representor")
                .remedy(format!(
                    "representors are there in switchdev: shuntctl eswitch set {} --mode switchdev",
                    nic.device
                ))
        })
    }

    fn representors_of(&self, nic: &Nic) -> Vec<RepresentorView> {
        let mut views = view::representors(nic);
        let inner = self.lock();
        for view in &mut views {
            let which = names::which(&view.name);
            view.devargs = which.and_then(|which| self.dpdk_devargs("", nic, which).ok());
            view.port = inner.port_of(&view.pf, &view.name).map(|p| p.port.name.clone());
        }
        views
    }
}

/// The steps that are missing to what is desired, or why it cannot be.
fn to_do(wish: &api::NicWish, nic: &Nic) -> Vec<String> {
    let plan = crate::nic::wish::desired(wish, true)
        .and_then(|desired| representors::plan(&desired, nic).map_err(|e| crate::nic::plan_error(&nic.device, &e)));
    match plan {
        Ok(plan) => plan.steps.iter().map(ToString::to_string).collect(),
        Err(e) => vec![e.to_string()],
    }
}

/// The NIC that is named, or all.
fn chosen<'a>(all: &'a Inventory, pf: Option<&str>) -> Result<Vec<&'a Nic>, Error> {
    match pf {
        None => Ok(all.nics.iter().collect()),
        Some(name) => Ok(vec![names::pf(all, Some(name))?]),
    }
}
