//! Things that happen to the fake kernel behind the switch's back.

use super::{Host, converge_error, inventory, names, wish};
use crate::control::invalid;
use api::{Error, ErrorKind, MockFault, MockKernel};
use mocks::kernel::{Fault, FaultRule, NicSpec, Op, Profile};
use std::sync::atomic::Ordering;
use std::time::Duration;

const OPS: [(&str, Op); 16] = [
    ("device_get", Op::DeviceGet),
    ("eswitch_get", Op::EswitchGet),
    ("eswitch_set", Op::EswitchSet),
    ("port_get", Op::PortGet),
    ("port_set", Op::PortSet),
    ("port_new", Op::PortNew),
    ("port_del", Op::PortDel),
    ("rate_get", Op::RateGet),
    ("rate_set", Op::RateSet),
    ("link_get", Op::LinkGet),
    ("link_set", Op::LinkSet),
    ("feature_get", Op::FeatureGet),
    ("feature_set", Op::FeatureSet),
    ("qdisc_get", Op::QdiscGet),
    ("sysfs_read", Op::SysfsRead),
    ("sysfs_write", Op::SysfsWrite),
];

const DRIVERS: [(&str, Profile); 5] = [
    ("mlx5", Profile::Mlx5),
    ("mlx5_old", Profile::Mlx5Old),
    ("ice", Profile::Ice),
    ("netdevsim", Profile::Netdevsim),
    ("igb", Profile::Igb),
];

/// Let it happen; `false`: nothing there that it could happen to.
pub fn happen(host: &Host, what: &MockKernel) -> Result<bool, Error> {
    let Host::Fake(fake, deadline) = host else {
        return Err(Error::new(ErrorKind::Unsupported, "fake kernel", "this daemon has none")
            .remedy("start shuntd with --mock"));
    };
    Ok(match what {
        MockKernel::Fault { op, fault, skip, times } => {
            let op = Some(of("operation", &OPS, op)?);
            fake.inject(FaultRule { op, skip: *skip, times: *times, fault: of_fault(fault) });
            true
        }
        MockKernel::Hold { address, pid, process } => fake.hold(address, *pid, process),
        MockKernel::AddNic { driver, name, uplink, vfs, lag_ms, pf } => {
            let spec = NicSpec::new(of("driver", &DRIVERS, driver)?, name, uplink);
            fake.add_nic(spec.total_vfs(*vfs).lag(Duration::from_millis(*lag_ms)).pf_number(*pf));
            true
        }
        MockKernel::RemoveNic { name } => fake.remove_nic(name),
        MockKernel::RemoveNicAfter { name, operations } => {
            fake.remove_nic_after(name, *operations);
            true
        }
        MockKernel::Rename { from, to } => fake.rename(from, to),
        MockKernel::Qdisc { netdev, kind, present } => {
            let kind = of("qdisc", &[("clsact", "clsact"), ("ingress", "ingress")], kind)?;
            fake.set_qdisc(netdev, kind, *present)
        }
        MockKernel::Eswitch { set } => {
            let mut kernel = host.open()?;
            let nic = names::pf(&inventory(&mut kernel)?, Some(&set.pf))?.clone();
            let desired = wish::desired(&wish::changed(None, &nic, set)?, set.disturb)?;
            representors::converge(&desired, &mut kernel).map_err(|e| converge_error(&nic.device, &e))?;
            true
        }
        MockKernel::Vf { set } => {
            let mut kernel = host.open()?;
            let all = inventory(&mut kernel)?;
            let (nic, vf) = names::vf(&all, &set.vf)?;
            let desired = wish::desired(&wish::changed_vf(None, nic, vf, &set.set)?, set.disturb)?;
            representors::converge(&desired, &mut kernel).map_err(|e| converge_error(&nic.device, &e))?;
            true
        }
        MockKernel::Sf { set } => {
            let mut kernel = host.open()?;
            let nic = names::pf(&inventory(&mut kernel)?, Some(&set.pf))?.clone();
            let desired = wish::desired(&wish::changed_sf(None, &nic, set.sf, &set.set)?, set.disturb)?;
            representors::converge(&desired, &mut kernel).map_err(|e| converge_error(&nic.device, &e))?;
            true
        }
        MockKernel::SfDestroy { sf } => {
            let mut kernel = host.open()?;
            let all = inventory(&mut kernel)?;
            let (nic, number) = names::sf(&all, &sf.sf, |_, _| false)?;
            let desired = wish::desired(&wish::without_sf(None, nic, number), sf.disturb)?;
            representors::converge(&desired, &mut kernel).map_err(|e| converge_error(&nic.device, &e))?;
            true
        }
        MockKernel::Count { nic, vf, to_vf, packets, bytes } => fake.count(nic, *vf, *to_vf, *packets, *bytes),
        MockKernel::Deadline { ms } => {
            deadline.store(*ms, Ordering::Relaxed);
            true
        }
        MockKernel::Calm => {
            fake.calm();
            true
        }
    })
}

fn of<T: Copy>(what: &str, known: &[(&str, T)], name: &str) -> Result<T, Error> {
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        invalid(format!("{what} {name}"), "there is no such thing").remedy(format!("use one of {names}"))
    })
}

fn of_fault(fault: &MockFault) -> Fault {
    match fault {
        MockFault::Refuse { errno, text } => Fault::Refuse { errno: *errno, text: text.clone() },
        MockFault::HalfDone { errno } => Fault::HalfDone { errno: *errno },
        MockFault::Ignore => Fault::Ignore,
        MockFault::Timeout => Fault::Timeout,
        MockFault::LoseReply => Fault::LoseReply,
    }
}
