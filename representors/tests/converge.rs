//! Converging on the fake kernel: every driver's order, there and back, and what happens when it fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{SWITCHING, device, host, quick, spec};
use mocks::kernel::{FakeKernel, Fault, FaultRule, NicSpec, Op, Profile};
use netlink::KernelAccess;
use representors::{
    Cause, Change, ConvergeError, Desired, EncapMode, EswitchMode, InlineMode, Kernel, PlanError, Rollback, Step,
    VfDesired, VfDriver, Watch, apply, converge, plan,
};

fn steps(desired: &Desired, kernel: &mut Kernel) -> Vec<String> {
    let nic = kernel.nic(&desired.device).unwrap();
    plan(desired, &nic).unwrap().steps.iter().map(ToString::to_string).collect()
}

#[test]
fn each_driver_goes_to_switchdev_and_back_and_then_has_nothing_to_do() {
    for profile in SWITCHING {
        let (fake, mut kernel) = host(spec(profile));
        for (mode, vfs) in [
            (EswitchMode::Switchdev, 4),
            (EswitchMode::Legacy, 4),
            (EswitchMode::Switchdev, 2),
            (EswitchMode::Switchdev, 3),
            (EswitchMode::Legacy, 0),
        ] {
            let desired = Desired { mode: Some(mode), vfs: Some(vfs), ..Desired::new(device(profile)) };
            let report = converge(&desired, &mut kernel).unwrap_or_else(|e| panic!("{profile:?} {mode} {vfs}: {e}"));
            let now = &fake.snapshot()[0];
            assert_eq!(
                (now.switchdev, now.vfs.len()),
                (mode == EswitchMode::Switchdev, usize::from(vfs)),
                "{profile:?}"
            );
            assert_eq!(report.nic.representors.len(), if now.switchdev { now.vfs.len() } else { 0 });
            let before = fake.journal().len();
            assert!(converge(&desired, &mut kernel).unwrap().steps.is_empty(), "{profile:?}");
            assert_eq!(fake.journal().len(), before, "{profile:?}: the second time must change nothing");
        }
    }
}

#[test]
fn orders_are_those_of_the_driver() {
    let (_, mut kernel) = host(spec(Profile::Ice));
    let desired = Desired::switchdev(device(Profile::Ice), 2);
    assert_eq!(steps(&desired, &mut kernel), ["change eswitch mode from legacy to switchdev", "create 2 VFs"]);
    converge(&desired, &mut kernel).unwrap();
    let back = Desired::legacy(device(Profile::Ice), 2);
    assert_eq!(
        steps(&back, &mut kernel),
        ["remove all 2 VFs", "change eswitch mode from switchdev to legacy", "create 2 VFs"]
    );

    // Old mlx5 refuses that order; the other one works.
    let (fake, mut kernel) = host(spec(Profile::Mlx5Old));
    converge(&Desired::switchdev(device(Profile::Mlx5Old), 1), &mut kernel).unwrap();
    assert_eq!(
        fake.journal(),
        [
            "numvfs 0000:03:00.0 1",
            "unbind 0000:03:00.2 from mlx5_core",
            "eswitch 0000:03:00.0 mode 1",
            "bind 0000:03:00.2 to mlx5_core"
        ]
    );

    // netdevsim keeps its VFs.
    let (fake, mut kernel) = host(spec(Profile::Netdevsim));
    converge(&Desired::legacy(device(Profile::Netdevsim), 3), &mut kernel).unwrap();
    converge(&Desired::switchdev(device(Profile::Netdevsim), 3), &mut kernel).unwrap();
    assert_eq!(fake.journal(), ["numvfs netdevsim1 3", "eswitch netdevsim1 mode 1"]);
}

#[test]
fn a_dry_run_reads_well_and_changes_nothing() {
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    converge(&Desired::legacy(device(Profile::Mlx5), 2), &mut kernel).unwrap();
    let before = fake.journal();
    let nic = kernel.nic(&device(Profile::Mlx5)).unwrap();
    let desired = Desired { representors_up: Some(true), ..Desired::switchdev(device(Profile::Mlx5), 2) };
    assert_eq!(
        plan(&desired, &nic).unwrap().to_string(),
        "pci/0000:03:00.0 mode legacy vfs 2 (mlx5_core; mode first, then VFs)\n  \
         1. remove all 2 VFs\n  2. change eswitch mode from legacy to switchdev\n  3. create 2 VFs\n  \
         4. bring representor of VF 0 up\n  5. bring representor of VF 1 up"
    );
    assert_eq!(fake.journal(), before);
}

#[test]
fn everything_wished_of_a_vf_and_the_eswitch_is_done() {
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    let mac = [2, 0, 0, 0, 0, 9];
    let wish = VfDesired {
        driver: Some(VfDriver::Named("vfio-pci".into())),
        mac: Some(mac),
        representor_up: Some(false),
        ..VfDesired::default()
    };
    let desired = Desired {
        inline_mode: Some(InlineMode::Transport),
        encap_mode: Some(EncapMode::None),
        representors_up: Some(true),
        per_vf: [(1, wish)].into(),
        ..Desired::switchdev(device(Profile::Mlx5), 2)
    };
    converge(&desired, &mut kernel).unwrap();
    let now = &fake.snapshot()[0];
    assert_eq!((now.inline_mode, now.encap_mode), (3, 0));
    assert_eq!(now.vfs[0].driver.as_deref(), Some("mlx5_core"));
    assert_eq!(now.vfs[0].representor_up, Some(true));
    assert_eq!(
        (now.vfs[1].driver.as_deref(), now.vfs[1].mac, now.vfs[1].representor_up),
        (Some("vfio-pci"), mac, Some(false))
    );

    // What is not named survives that VFs are made anew.
    let grow = Desired { vfs: Some(3), disturb_used_vfs: true, ..Desired::new(device(Profile::Mlx5)) };
    converge(&grow, &mut kernel).unwrap();
    let grown = &fake.snapshot()[0];
    assert_eq!(grown.vfs[..2], now.vfs[..2]);
}

#[test]
fn vfs_in_use_are_named_and_spared() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    let wish = VfDesired { driver: Some(VfDriver::Named("vfio-pci".into())), ..VfDesired::default() };
    let start = Desired { per_vf: [(1, wish)].into(), ..Desired::legacy(device(Profile::Ice), 2) };
    converge(&start, &mut kernel).unwrap();
    let before = fake.snapshot();
    let mut desired = Desired::switchdev(device(Profile::Ice), 2);
    let e = converge(&desired, &mut kernel).unwrap_err();
    assert!(
        matches!(&e, ConvergeError::Plan(PlanError::VfsInUse { used, .. }) if used.len() == 1 && used[0].vf == 1),
        "{e}"
    );
    assert!(e.to_string().contains("VF 1 (0000:03:00.3) by vfio-pci"), "{e}");
    assert_eq!(fake.snapshot(), before);
    desired.disturb_used_vfs = true;
    converge(&desired, &mut kernel).unwrap();
    assert_eq!(fake.snapshot()[0].vfs[1].driver.as_deref(), Some("vfio-pci"));
}

#[test]
fn impossible_wishes_are_refused_with_a_remedy() {
    let (_, mut kernel) = host(spec(Profile::Netdevsim));
    let e = converge(&Desired::switchdev(device(Profile::Mlx5), 1), &mut kernel).unwrap_err();
    assert!(e.to_string().contains("no such NIC"), "{e}");
    let mut desired = Desired::switchdev(device(Profile::Netdevsim), 1);
    desired.encap_mode = Some(EncapMode::Basic);
    assert!(matches!(converge(&desired, &mut kernel), Err(ConvergeError::Plan(PlanError::Unsupported { .. }))));

    let (_, mut kernel) = host(spec(Profile::Igb));
    let igb = device(Profile::Igb);
    assert!(matches!(
        converge(&Desired::switchdev(igb.clone(), 1), &mut kernel),
        Err(ConvergeError::Plan(PlanError::Unsupported { what: "eswitch", .. }))
    ));
    assert!(matches!(
        converge(&Desired::legacy(igb.clone(), 8), &mut kernel),
        Err(ConvergeError::Plan(PlanError::TooManyVfs { wanted: 8, total: 7, .. }))
    ));
    assert_eq!(converge(&Desired::legacy(igb, 7), &mut kernel).unwrap().nic.vfs.len(), 7);
}

#[test]
fn a_refused_step_is_rolled_back_and_told() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    let legacy = Desired::legacy(device(Profile::Ice), 3);
    converge(&legacy, &mut kernel).unwrap();
    let before = fake.snapshot();
    let refusal = Fault::Refuse { errno: 16, text: "ice: Uplink port cannot be part of a bridge".into() };
    fake.inject(FaultRule::once(Op::EswitchSet, refusal));
    let e = converge(&Desired::switchdev(device(Profile::Ice), 3), &mut kernel).unwrap_err();
    let ConvergeError::Step(failure) = &e else { panic!("{e}") };
    assert_eq!((failure.number, failure.of), (2, 3));
    assert!(matches!(failure.rollback, Rollback::Complete(ref steps) if steps == &[Step::SetVfs { from: 0, to: 3 }]));
    let text = e.to_string();
    assert!(text.contains("step 2 of 3 (change eswitch mode from legacy to switchdev) failed"), "{text}");
    assert!(
        text.contains("Uplink port cannot be part of a bridge") && text.contains("rolled back (create 3 VFs)"),
        "{text}"
    );
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_yes_without_a_deed_is_noticed() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    let before = fake.snapshot();
    fake.inject(FaultRule::once(Op::EswitchSet, Fault::Ignore));
    let e = converge(&Desired::switchdev(device(Profile::Ice), 3), &mut kernel).unwrap_err();
    let ConvergeError::Step(failure) = &e else { panic!("{e}") };
    assert!(
        matches!(failure.cause, Cause::NotVerified { .. }) && matches!(failure.rollback, Rollback::NothingToDo),
        "{e}"
    );
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_lost_answer_is_no_failure_when_the_deed_was_done() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    fake.inject(FaultRule::once(Op::EswitchSet, Fault::LoseReply));
    let report = converge(&Desired::switchdev(device(Profile::Ice), 1), &mut kernel).unwrap();
    assert!(report.steps[0].note.as_ref().unwrap().contains("but it was done"));
}

#[test]
fn a_rollback_that_fails_says_so() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    converge(&Desired::legacy(device(Profile::Ice), 1), &mut kernel).unwrap();
    fake.inject(FaultRule::always(Op::EswitchSet, Fault::Refuse { errno: 5, text: "ice: dead".into() }));
    // The first write (no VFs) works, all others fail.
    fake.inject(FaultRule {
        op: Some(Op::SysfsWrite),
        skip: 1,
        times: u64::MAX,
        fault: Fault::Refuse { errno: 5, text: String::new() },
    });
    let e = converge(&Desired::switchdev(device(Profile::Ice), 1), &mut kernel).unwrap_err();
    assert!(
        e.to_string().contains("NOT rolled back") && e.to_string().contains("now: pci/0000:03:00.0 mode legacy vfs 0"),
        "{e}"
    );
}

#[test]
fn functions_that_come_late_are_waited_for() {
    for profile in SWITCHING {
        let (fake, mut kernel) = host(spec(profile).delay(40));
        kernel.set_pace(representors::Pace { deadline: std::time::Duration::from_secs(5), ..Default::default() });
        let report = converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap();
        assert_eq!(report.nic.unsettled(), None);
        assert_eq!(fake.snapshot()[0].vfs.len(), 2);
    }
}

#[test]
fn a_stale_plan_is_not_applied() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    let nic = kernel.nic(&device(Profile::Ice)).unwrap();
    let plan = plan(&Desired::switchdev(device(Profile::Ice), 1), &nic).unwrap();
    fake.sysfs().write("bus/pci/devices/0000:03:00.0/sriov_numvfs", "2").unwrap();
    assert!(matches!(apply(&plan, &mut kernel), Err(ConvergeError::Stale { .. })));
    assert_eq!(fake.snapshot()[0].vfs.len(), 2);
}

#[test]
fn representors_are_known_by_key_whatever_they_are_called() {
    let fake = FakeKernel::new();
    fake.add_nic(NicSpec::new(Profile::Mlx5, "0000:03:00.0", "p0").external_vfs(2));
    fake.add_nic(NicSpec::new(Profile::Mlx5, "0000:03:00.1", "p1").pf_number(1));
    fake.add_nic(spec(Profile::Igb).total_vfs(3));
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    for name in ["0000:03:00.0", "0000:03:00.1"] {
        converge(&Desired::switchdev(representors::DeviceId::new("pci", name), 2), &mut kernel).unwrap();
    }
    let keys = |kernel: &mut Kernel| -> Vec<String> {
        let inventory = kernel.inventory().unwrap();
        inventory.nics.iter().flat_map(|n| &n.representors).map(|r| r.key.to_string()).collect()
    };
    let before = keys(&mut kernel);
    assert_eq!(
        before,
        [
            "pci/0000:03:00.0/pf0vf0",
            "pci/0000:03:00.0/pf0vf1",
            "pci/0000:03:00.0/c1pf0vf0",
            "pci/0000:03:00.0/c1pf0vf1",
            "pci/0000:03:00.1/pf1vf0",
            "pci/0000:03:00.1/pf1vf1",
        ]
    );
    let mut watch = Watch::open(&mut kernel).unwrap();
    let name_of = |kernel: &mut Kernel, key: &str| {
        let inventory = kernel.inventory().unwrap();
        let mut all = inventory.nics.iter().flat_map(|n| &n.representors);
        all.find(|r| r.key.to_string() == key).unwrap().netdev.clone().unwrap().name
    };
    // Two representors swap their names, and an uplink loses its.
    let (a, b) = (name_of(&mut kernel, &before[0]), name_of(&mut kernel, &before[4]));
    for (from, to) in [(a.as_str(), "tmp"), (b.as_str(), a.as_str()), ("tmp", b.as_str()), ("p0", "uplink")] {
        assert!(fake.rename(from, to), "{from} -> {to}");
    }
    assert_eq!(keys(&mut kernel), before);
    assert_eq!(name_of(&mut kernel, &before[0]), b);
    assert_eq!(name_of(&mut kernel, &before[4]), a);
    let inventory = kernel.inventory().unwrap();
    assert!(inventory.find("uplink").is_some() && inventory.find("p0").is_none());
    let change = watch.next(std::time::Duration::ZERO).unwrap();
    assert!(matches!(change, Some(Change::Link(_))), "{change:?}");
    assert_eq!(inventory.find("0000:03:00.0").unwrap().vf_representor(0).unwrap().key.to_string(), before[0]);
}

#[test]
fn a_host_without_devlink_still_has_sriov() {
    let fake = FakeKernel::new();
    fake.add_nic(spec(Profile::Igb));
    fake.inject(FaultRule::always(Op::Family, Fault::Refuse { errno: 2, text: String::new() }));
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    let inventory = kernel.inventory().unwrap();
    assert_eq!(inventory.nics.len(), 1);
    assert_eq!((inventory.nics[0].mode, inventory.nics[0].sriov.unwrap().total), (None, Some(7)));
    assert_eq!(inventory.nics[0].uplink.as_ref().unwrap().netdev.as_ref().unwrap().name, "p0");
}
