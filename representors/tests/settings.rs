//! Settings of VFs, sub-functions and representors on every kind of driver.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{device, everything, host, quick, spec};
use mocks::kernel::{FakeKernel, Fault, FaultRule, Op, Profile};
use representors::{
    ConvergeError, Desired, FunctionState, Kernel, PlanError, Rollback, SfDesired, VfDesired, VfLinkState, VfRate,
    VfVlan, VlanProto, converge, plan,
};

const VLAN: VfVlan = VfVlan { id: 100, qos: 3, proto: VlanProto::Dot1Q };

fn one(profile: Profile, base: Desired, wish: VfDesired) -> Desired {
    assert_eq!(base.device, device(profile));
    Desired { per_vf: [(0, wish)].into(), ..base }
}

#[test]
fn everything_is_set_and_read_back() {
    for profile in Profile::ALL {
        let (fake, mut kernel) = host(spec(profile));
        let wish = everything(profile);
        let report = converge(&wish, &mut kernel).unwrap_or_else(|e| panic!("{profile:?}: {e}"));
        // On the fake itself, not through what the code under test reads.
        let now = &fake.snapshot()[0];
        let (vf, wanted) = (&now.vfs[0], &wish.per_vf[&0]);
        assert_eq!((Some(vf.mac), vf.rate), (wanted.mac, (0, 500)), "{profile:?}");
        assert_eq!(vf.vlan, if wanted.vlan.is_some() { (100, 3, 0x8100) } else { (0, 0, 0x8100) }, "{profile:?}");
        assert_eq!((vf.trust, vf.link_state == 1), (wanted.trust == Some(true), wanted.link_state.is_some()));
        if let Some(on) = wanted.spoof_check {
            assert_eq!(vf.spoof_check, on, "{profile:?}");
        }
        assert_eq!(now.tc_offload, profile != Profile::Igb);
        if profile != Profile::Igb {
            assert_eq!((vf.representor_mtu, vf.representor_up), (Some(9000), Some(true)), "{profile:?}");
            assert_eq!(now.vfs[1].representor_up, Some(profile != Profile::Ice));
            let reps = report.nic.representors.iter().filter_map(|r| r.netdev.as_ref());
            assert!(reps.clone().all(|d| d.tc_offload == Some(true)) && reps.count() >= 2, "{profile:?}");
        }
        assert!(converge(&wish, &mut kernel).unwrap().steps.is_empty(), "{profile:?}");
    }
}

#[test]
fn each_driver_gets_its_own_way() {
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    converge(&everything(Profile::Mlx5), &mut kernel).unwrap();
    let journal = fake.journal();
    let has = |text: &str| journal.iter().any(|l| l.contains(text));
    assert!(has("function hw_addr [02, 00, 00, 00, 07, 01]") && has("rate 0000:03:00.0 1 Some(0) Some(62500000)"));
    assert!(has("vf 0000:03:00.0 0 state 1") && !has(" 0 mac "), "{journal:?}");

    // Without port functions, and without an eswitch: through the PF's network device.
    let (fake, mut kernel) = host(spec(Profile::Ice));
    converge(&everything(Profile::Ice), &mut kernel).unwrap();
    assert!(fake.journal().iter().any(|l| l.starts_with("vf 0000:03:00.0 0 mac")));
    let (fake, mut kernel) = host(spec(Profile::Igb));
    converge(&everything(Profile::Igb), &mut kernel).unwrap();
    assert!(fake.journal().contains(&"vf 0000:03:00.0 0 rate 0 500".to_owned()), "{:?}", fake.journal());
    // In legacy mode mlx5 has no representors to ask.
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    let wish = VfDesired { mac: Some([2, 0, 0, 0, 0, 1]), trust: Some(true), vlan: Some(VLAN), ..VfDesired::default() };
    converge(&one(Profile::Mlx5, Desired::legacy(device(Profile::Mlx5), 1), wish), &mut kernel).unwrap();
    assert!(fake.journal().iter().any(|l| l.starts_with("vf 0000:03:00.0 0 mac")));
    assert!(fake.snapshot()[0].vfs[0].trust);
}

#[test]
fn settings_survive_that_vfs_are_made_anew() {
    for profile in Profile::ALL {
        let (fake, mut kernel) = host(spec(profile));
        converge(&everything(profile), &mut kernel).unwrap();
        let before = fake.snapshot()[0].clone();
        let grow = Desired { vfs: Some(4), ..Desired::new(device(profile)) };
        converge(&grow, &mut kernel).unwrap();
        let after = &fake.snapshot()[0];
        assert_eq!((after.vfs.len(), &after.vfs[..2], &after.sfs), (4, &before.vfs[..2], &before.sfs), "{profile:?}");
    }
}

#[test]
fn what_a_mode_takes_away_is_told_first() {
    let (fake, mut kernel) = host(spec(Profile::Mlx5));
    let wish = VfDesired { vlan: Some(VLAN), trust: Some(true), ..VfDesired::default() };
    let legacy = one(Profile::Mlx5, Desired::legacy(device(Profile::Mlx5), 1), wish.clone());
    converge(&legacy, &mut kernel).unwrap();
    let nic = kernel.nic(&device(Profile::Mlx5)).unwrap();
    let plan = plan(&Desired::switchdev(device(Profile::Mlx5), 1), &nic).unwrap();
    let text = plan.to_string();
    assert!(text.contains("warning: VF 0 loses 'vlan 100 qos 3'") && text.contains("loses 'trust on'"), "{text}");
    // Asked for in that mode, it is refused with what to do instead.
    let e = converge(&one(Profile::Mlx5, Desired::switchdev(device(Profile::Mlx5), 1), wish), &mut kernel).unwrap_err();
    assert!(matches!(e, ConvergeError::Plan(PlanError::LegacyOnly { vf: 0, .. })), "{e}");
    assert!(e.to_string().contains("vlan 100 qos 3") && e.to_string().contains("use flows"), "{e}");
    // A rollback restores them.
    fake.inject(FaultRule::once(Op::EswitchSet, Fault::Refuse { errno: 16, text: "mlx5_core: busy".into() }));
    fake.inject(FaultRule {
        op: Some(Op::EswitchSet),
        skip: 1,
        times: 1,
        fault: Fault::Refuse { errno: 16, text: String::new() },
    });
    let before = fake.snapshot();
    let e = converge(&Desired::switchdev(device(Profile::Mlx5), 1), &mut kernel).unwrap_err();
    assert!(matches!(&e, ConvergeError::Step(f) if matches!(f.rollback, Rollback::Complete(_))), "{e}");
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn bad_wishes_are_refused_before_anything_is_done() {
    let profile = Profile::Netdevsim;
    let (fake, mut kernel) = host(spec(profile));
    let none = VfDesired::default;
    for (wish, text) in [
        (VfDesired { mac: Some([1, 0, 0, 0, 0, 0]), ..none() }, "multicast"),
        (VfDesired { vlan: Some(VfVlan { id: 4095, ..VLAN }), ..none() }, "up to 4094"),
        (VfDesired { rate: Some(VfRate { min: 10, max: 5 }), ..none() }, "above the limit"),
    ] {
        let e = converge(&one(profile, Desired::switchdev(device(profile), 1), wish), &mut kernel).unwrap_err();
        assert!(e.to_string().contains(text), "{e}");
    }
    let needs = |wish: Desired, kernel: &mut Kernel| {
        matches!(converge(&wish, kernel), Err(ConvergeError::Plan(PlanError::NeedsSwitchdev { .. })))
    };
    let legacy = || Desired::legacy(device(profile), 1);
    assert!(needs(Desired { representor_mtu: Some(9000), ..legacy() }, &mut kernel));
    assert!(needs(Desired { sfs: Some([(1, SfDesired::default())].into()), ..legacy() }, &mut kernel));
    assert!(fake.journal().is_empty());
    let (_, mut kernel) = host(spec(Profile::Igb));
    let e = converge(&Desired { hw_tc_offload: Some(true), ..Desired::legacy(device(Profile::Igb), 0) }, &mut kernel);
    assert!(matches!(e, Err(ConvergeError::Plan(PlanError::Unsupported { what: "feature hw-tc-offload", .. }))));
}

#[test]
fn a_setting_that_is_refused_or_does_not_stick_is_rolled_back() {
    for profile in Profile::ALL {
        let (fake, mut kernel) = host(spec(profile));
        let base = Desired { sfs: None, ..everything(profile) };
        converge(&base, &mut kernel).unwrap();
        let before = fake.snapshot();
        let wish = VfDesired {
            mac: Some([2, 9, 9, 9, 9, 9]),
            rate: Some(VfRate { min: 0, max: 900 }),
            ..VfDesired::default()
        };
        let wish = one(profile, Desired { vfs: Some(2), ..Desired::new(device(profile)) }, wish);
        let refuse = || Fault::Refuse { errno: 1, text: "fake: not now".into() };
        let by_devlink = matches!(profile, Profile::Mlx5 | Profile::Mlx5Old);
        // The rate, which comes after the address.
        let rate = if profile == Profile::Igb { (Op::LinkSet, 1) } else { (Op::RateSet, 0) };
        let mac = if by_devlink { Op::PortSet } else { Op::LinkSet };
        for (op, skip, fault) in [
            (rate.0, rate.1, refuse()),
            (rate.0, rate.1, Fault::Ignore),
            (rate.0, rate.1, Fault::Timeout),
            (rate.0, rate.1, Fault::HalfDone { errno: 5 }),
            (mac, 0, refuse()),
            (mac, 0, Fault::HalfDone { errno: 5 }),
        ] {
            fake.inject(FaultRule { op: Some(op), skip, times: 1, fault: fault.clone() });
            let e = converge(&wish, &mut kernel).unwrap_err();
            let ConvergeError::Step(failure) = &e else { panic!("{profile:?} {fault:?}: {e}") };
            assert!(!matches!(failure.rollback, Rollback::Failed { .. }), "{profile:?} {fault:?}: {e}");
            assert_eq!(fake.snapshot(), before, "{profile:?} {op:?} {fault:?}: {e}");
        }
        converge(&wish, &mut kernel).unwrap();
        assert_eq!(fake.snapshot()[0].vfs[0].rate, (0, 900), "{profile:?}");
    }
}

#[test]
fn sub_functions_come_change_and_go() {
    let profile = Profile::Mlx5;
    let (fake, mut kernel) = host(spec(profile));
    converge(&everything(profile), &mut kernel).unwrap();
    let nic = kernel.nic(&device(profile)).unwrap();
    let seen: Vec<_> = nic.sfs().map(|(n, r)| (n, r.key.name.to_string(), r.function_state, r.attached)).collect();
    assert_eq!(
        seen,
        [
            (5, "pf0sf5".to_owned(), Some(FunctionState::Active), Some(true)),
            (88, "pf0sf88".to_owned(), Some(FunctionState::Inactive), Some(false)),
        ]
    );
    // An active one gets another address only through inactive; one goes, one comes.
    let sf = |mac, active| SfDesired { mac, active, ..SfDesired::default() };
    let sfs = [(5, sf(Some([2, 0, 0, 0, 8, 6]), true)), (7, sf(None, true))].into();
    let wish = Desired { sfs: Some(sfs), ..Desired::new(device(profile)) };
    let steps: Vec<String> = plan(&wish, &nic).unwrap().steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "remove SF 88",
            "deactivate SF 5",
            "set SF 5 address 02:00:00:00:08:06",
            "activate SF 5",
            "add SF 7",
            "activate SF 7",
            // As the others have it.
            "turn hw-tc-offload of representor of SF 7 on"
        ]
    );
    converge(&wish, &mut kernel).unwrap();
    let now: Vec<_> = fake.snapshot()[0].sfs.iter().map(|s| (s.number, s.mac[5], s.active)).collect();
    assert_eq!(now, [(5, 6, true), (7, 0, true)]);
    // ice's driver has none here: refused by the kernel, rolled back.
    let (fake, mut kernel) = host(spec(Profile::Ice));
    let before = fake.snapshot();
    let wish = Desired { sfs: Some([(1, SfDesired::default())].into()), ..Desired::switchdev(device(Profile::Ice), 1) };
    let e = converge(&wish, &mut kernel).unwrap_err();
    assert!(e.to_string().contains("(add SF 1) failed") && e.to_string().contains("rolled back"), "{e}");
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn counters_come_from_both_sides() {
    let (fake, mut kernel) = host(spec(Profile::Ice));
    converge(&Desired::switchdev(device(Profile::Ice), 2), &mut kernel).unwrap();
    assert!(fake.count("0000:03:00.0", 1, true, 10, 1000) && fake.count("0000:03:00.0", 1, false, 3, 180));
    let all = kernel.vf_counters(&device(Profile::Ice)).unwrap();
    assert_eq!(all.len(), 2);
    let (function, rep) = (all[1].function.unwrap(), all[1].representor.unwrap());
    assert_eq!((function.rx_packets, function.rx_bytes, function.tx_packets, function.tx_bytes), (10, 1000, 3, 180));
    assert_eq!((rep.tx_packets, rep.tx_bytes, rep.rx_packets, rep.rx_bytes), (10, 1000, 3, 180));
    assert_eq!(all[0].function.unwrap().rx_packets, 0);
}

#[test]
fn the_inventory_knows_groups_holders_and_bonds() {
    let profile = Profile::Ice;
    let (fake, mut kernel) = host(spec(profile));
    let vfio = VfDesired { driver: Some(representors::VfDriver::Named("vfio-pci".into())), ..VfDesired::default() };
    let start = Desired { per_vf: [(1, vfio)].into(), ..Desired::legacy(device(profile), 2) };
    converge(&start, &mut kernel).unwrap();
    assert!(fake.hold("0000:03:00.3", 4242, "qemu-system-x86"));
    fake.add_bond("bond0", 4, &["p0"]);
    let mut nic = kernel.nic(&device(profile)).unwrap();
    assert!(nic.vfs.iter().all(|vf| vf.holders.is_empty()), "nobody asked");
    kernel.find_holders([&mut nic]).unwrap();
    assert_ne!(nic.vfs[0].iommu_group, nic.vfs[1].iommu_group);
    assert_eq!((nic.vfs[0].holders.len(), nic.vfs[1].holders[0].to_string()), (0, "qemu-system-x86 (pid 4242)".into()));
    let lag = nic.uplink.as_ref().unwrap().lag.as_ref().unwrap();
    assert_eq!((lag.name.as_str(), lag.mode, lag.active), ("bond0", Some(4), Some(true)));
    let e = converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap_err();
    assert!(e.to_string().contains("VF 1 (0000:03:00.3) by vfio-pci, held by qemu-system-x86 (pid 4242)"), "{e}");
}

#[test]
fn representors_without_devlink_ports_are_known_by_port_name() {
    let fake = FakeKernel::new();
    fake.add_nic(spec(Profile::Mlx5).hide_vf_ports());
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    let first =
        VfDesired { mac: Some([2, 0, 0, 0, 0, 1]), link_state: Some(VfLinkState::Disable), ..VfDesired::default() };
    let base = Desired { representors_up: Some(true), ..Desired::switchdev(device(Profile::Mlx5), 2) };
    let wish = one(Profile::Mlx5, base, first);
    let report = converge(&wish, &mut kernel).unwrap();
    let keys: Vec<String> = report.nic.representors.iter().map(|r| r.key.to_string()).collect();
    assert_eq!(keys, ["pci/0000:03:00.0/pf0vf0", "pci/0000:03:00.0/pf0vf1"]);
    assert!(report.nic.representors.iter().all(|r| r.port.is_none()));
    let now = &fake.snapshot()[0];
    assert_eq!((now.vfs[0].mac, now.vfs[0].representor_up), ([2, 0, 0, 0, 0, 1], Some(true)));
}

/// igb refuses a rate while the link is down, which it is for a moment after each change of the number of VFs.
#[test]
fn what_passes_later_is_tried_again() {
    let profile = Profile::Igb;
    let wish = VfDesired { rate: Some(VfRate { min: 0, max: 100 }), ..VfDesired::default() };
    let wish = one(profile, Desired::legacy(device(profile), 1), wish);
    for errno in [22, 16, 11] {
        let (fake, mut kernel) = host(spec(profile));
        let fault = Fault::Refuse { errno, text: String::new() };
        fake.inject(FaultRule { op: Some(Op::LinkSet), skip: 0, times: 3, fault: fault.clone() });
        converge(&wish, &mut kernel).unwrap();
        assert_eq!(fake.snapshot()[0].vfs[0].rate, (0, 100));
        // For ever is too long.
        let (fake, mut kernel) = host(spec(profile));
        fake.inject(FaultRule::always(Op::LinkSet, fault));
        let e = converge(&wish, &mut kernel).unwrap_err();
        assert!(e.to_string().contains("(set VF 0 rate 0 to 100 Mbit/s) failed"), "{e}");
        assert!(fake.snapshot()[0].vfs.is_empty());
    }
}
