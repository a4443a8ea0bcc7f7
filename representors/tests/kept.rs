//! What nobody named: kept where VFs are made anew, found where it is watched, refused where it cannot be.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::{SWITCHING, device, everything, host, quick, spec};
use devlink_rs::{Devlink, EswitchChange, FunctionChange};
use mocks::kernel::{FakeKernel, Fault, FaultRule, NicSpec, Op, Profile};
use netlink::{KernelAccess, Protocol};
use representors::{
    ConvergeError, Desired, DeviceId, DriftWatch, EncapMode, FunctionState, InlineMode, Kernel, PlanError, SfDesired,
    VfDesired, VfDriver, converge, plan,
};

#[test]
fn new_representors_get_the_offload_of_the_others() {
    for profile in SWITCHING {
        for on in [true, false] {
            let (_, mut kernel) = host(spec(profile));
            converge(&Desired { hw_tc_offload: Some(on), ..everything(profile) }, &mut kernel).unwrap();
            let grow = Desired { vfs: Some(4), ..Desired::new(device(profile)) };
            let nic = converge(&grow, &mut kernel).unwrap().nic;
            let reps: Vec<_> = nic.representors.iter().map(|r| r.netdev.as_ref().unwrap().tc_offload).collect();
            assert!(reps.len() >= 4 && reps.iter().all(|r| *r == Some(on)), "{profile:?}: {reps:?}");
        }
    }
}

#[test]
fn sub_functions_that_are_not_named_get_the_offload_too() {
    let profile = Profile::Mlx5;
    let (_, mut kernel) = host(spec(profile));
    converge(&Desired { hw_tc_offload: Some(false), ..everything(profile) }, &mut kernel).unwrap();
    let on = Desired { hw_tc_offload: Some(true), ..Desired::new(device(profile)) };
    let nic = converge(&on, &mut kernel).unwrap().nic;
    assert_eq!((nic.tc_offload(), nic.sfs().count()), (Some(true), 2));
}

#[test]
fn a_multicast_address_of_a_sub_function_is_refused_before_anything_is_done() {
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    let sf = SfDesired { mac: Some([3, 0, 0, 0, 0, 1]), ..SfDesired::default() };
    let wish = Desired { sfs: Some([(9, sf)].into()), ..Desired::switchdev(device(Profile::Mlx5), 1) };
    let e = converge(&wish, &mut kernel).unwrap_err();
    assert!(matches!(e, ConvergeError::Plan(PlanError::BadSfValue { sf: 9, .. })), "{e}");
    assert!(e.to_string().contains("SF 9: address 03:00:00:00:00:01 is a multicast address"), "{e}");
    assert!(fake.journal().is_empty());
}

#[test]
fn modes_of_the_eswitch_and_sub_functions_are_watched() {
    let profile = Profile::Mlx5;
    let (fake, mut kernel) = host(spec(profile));
    converge(&everything(profile), &mut kernel).unwrap();
    let mut drift = DriftWatch::open(&mut kernel, &[device(profile)]).unwrap();
    let mut found = |kernel: &mut Kernel| -> Vec<String> {
        let found = drift.next(kernel, Duration::from_secs(1)).unwrap();
        assert!(found.iter().all(|(_, d)| d.needs_repair()));
        found.iter().map(|(_, d)| d.to_string()).collect()
    };
    let mut other = Devlink::open(fake.open(Protocol::Generic).unwrap()).unwrap();
    let change = EswitchChange { inline_mode: Some(InlineMode::Transport), ..EswitchChange::default() };
    other.set_eswitch(&device(profile), &change).unwrap();
    assert_eq!(found(&mut kernel), ["eswitch inline mode changed from none to transport"]);
    let change = EswitchChange { encap_mode: Some(EncapMode::None), ..EswitchChange::default() };
    other.set_eswitch(&device(profile), &change).unwrap();
    assert_eq!(found(&mut kernel), ["eswitch encapsulation mode changed from basic to none"]);
    let port = kernel.nic(&device(profile)).unwrap().sfs().next().unwrap().1.port.clone().unwrap();
    let change = FunctionChange { state: Some(FunctionState::Inactive), ..FunctionChange::default() };
    other.set_function(&port, &change).unwrap();
    assert_eq!(found(&mut kernel), ["SF 5: state changed from active to inactive"]);
    let change = FunctionChange { hw_addr: Some([2, 0, 0, 0, 0, 7]), ..FunctionChange::default() };
    other.set_function(&port, &change).unwrap();
    assert_eq!(found(&mut kernel), ["SF 5: address changed from 02:00:00:00:08:05 to 02:00:00:00:00:07"]);
}

/// What was seen of the first NIC is told when the second one can be read again.
#[test]
fn drift_is_not_lost_when_another_nic_cannot_be_read() {
    let fake = FakeKernel::new();
    let devices = [DeviceId::new("netdevsim", "netdevsim1"), DeviceId::new("netdevsim", "netdevsim2")];
    for (n, device) in devices.iter().enumerate() {
        fake.add_nic(NicSpec::new(Profile::Netdevsim, &device.name, &format!("p{n}")));
    }
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    let mut drift = DriftWatch::open(&mut kernel, &devices).unwrap();
    fake.sysfs().write("bus/netdevsim/devices/netdevsim1/sriov_numvfs", "1").unwrap();
    // The first reading of an eswitch is that of the first NIC.
    fake.inject(FaultRule {
        op: Some(Op::EswitchGet),
        skip: 1,
        times: 1,
        fault: Fault::Refuse { errno: 5, text: String::new() },
    });
    drift.next(&mut kernel, Duration::from_secs(1)).unwrap_err();
    let found = drift.next(&mut kernel, Duration::from_secs(1)).unwrap();
    assert_eq!(
        found.iter().map(|(d, f)| (d, f.to_string())).collect::<Vec<_>>(),
        [(&devices[0], "number of VFs changed from 0 to 1".to_owned())]
    );
}

#[test]
fn a_nic_that_does_not_settle_is_told_once() {
    let (fake, mut kernel) = host(spec(Profile::Ice).lag(Duration::from_secs(60)));
    fake.sysfs().write("bus/pci/devices/0000:03:00.0/sriov_numvfs", "2").unwrap();
    let e = converge(&Desired::new(device(Profile::Ice)), &mut kernel).unwrap_err();
    assert!(e.to_string().ends_with("nothing to change, but after 120ms 0 of 2 VFs are there"), "{e}");
}

/// A driver looks at its function's address once: it is bound when the address was seen, not when it was accepted.
#[test]
fn drivers_are_bound_behind_settings_that_show() {
    let profile = Profile::Mlx5;
    let vfio = VfDriver::Named("vfio-pci".into());
    let vf = VfDesired { mac: Some([2, 0, 0, 0, 0, 1]), driver: Some(vfio), ..VfDesired::default() };
    let wish = Desired { per_vf: [(0, vf)].into(), ..Desired::switchdev(device(profile), 2) };
    for fault in [None, Some(Fault::Ignore)] {
        let (fake, mut kernel) = host(spec(profile));
        if let Some(fault) = &fault {
            fake.inject(FaultRule::once(Op::PortSet, fault.clone()));
        }
        let result = converge(&wish, &mut kernel);
        assert_eq!(result.is_err(), fault.is_some());
        let bound = fake.journal().iter().any(|line| line.contains("vfio-pci"));
        assert_eq!(bound, fault.is_none(), "{:?}", fake.journal());
    }
}

/// Its kernel side falls back to legacy when the last VF goes, and there is no other way to another number.
#[test]
fn netdevsim_goes_back_to_switchdev_after_its_vfs_changed() {
    let profile = Profile::Netdevsim;
    let (_, mut kernel) = host(spec(profile));
    converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap();
    let nic = kernel.nic(&device(profile)).unwrap();
    let steps = |vfs| {
        let plan = plan(&Desired { vfs: Some(vfs), ..Desired::new(device(profile)) }, &nic).unwrap();
        plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let back = "change eswitch mode from legacy to switchdev";
    assert_eq!(steps(4)[..3], ["remove all 2 VFs", "create 4 VFs", back]);
    assert_eq!(steps(0), ["remove all 2 VFs", back]);
    assert!(steps(2).is_empty());
}
