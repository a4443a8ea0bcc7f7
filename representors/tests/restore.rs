//! What a rollback brings back, and what it says of the rest.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{SWITCHING, device, host, spec};
use devlink_rs::{Devlink, RateChange, RateId, RateParent};
use mocks::kernel::{FakeKernel, Fault, FaultRule, Op, Profile};
use netlink::{FeatureClient, HW_TC_OFFLOAD, KernelAccess, LinkClient, Protocol};
use representors::{
    ConvergeError, Desired, EswitchMode, Function, Kernel, RepName, Representor, Rollback, SfDesired, StepFailure,
    VfDesired, VfRate, VfVlan, converge, plan,
};

/// Somebody else's tools.
struct Other {
    devlink: Devlink,
    links: LinkClient,
    features: FeatureClient,
}

impl Other {
    fn on(fake: &FakeKernel) -> Self {
        Other {
            devlink: Devlink::open(fake.open(Protocol::Generic).unwrap()).unwrap(),
            links: LinkClient::new(fake.open(Protocol::Route).unwrap()),
            features: FeatureClient::open(fake.open(Protocol::Generic).unwrap()).unwrap(),
        }
    }

    fn mtu(&mut self, rep: &Representor, mtu: u32) {
        self.links.set_mtu(rep.netdev.as_ref().unwrap().ifindex, mtu).unwrap();
    }

    fn offload(&mut self, rep: &Representor) {
        self.features.set(rep.netdev.as_ref().unwrap().ifindex, HW_TC_OFFLOAD, true).unwrap();
    }

    fn rate(&mut self, rep: &Representor, change: &RateChange) {
        self.devlink.set_rate(&RateId::Leaf(rep.port.clone().unwrap()), change).unwrap();
    }
}

fn rep(kernel: &mut Kernel, profile: Profile, function: Function) -> Representor {
    kernel.nic(&device(profile)).unwrap().representor_of(function).unwrap().clone()
}

fn fails(wish: &Desired, kernel: &mut Kernel) -> (StepFailure, String) {
    match converge(wish, kernel) {
        Err(ConvergeError::Step(failure)) => {
            let text = failure.to_string();
            (*failure, text)
        }
        other => panic!("{other:?}"),
    }
}

const MBIT: u64 = 125_000;

fn has_sfs(profile: Profile) -> bool {
    matches!(profile, Profile::Mlx5 | Profile::Mlx5Old)
}

/// Offload on at one representor only, MTUs that differ, rates of sub-functions: all of it is back after a change to
/// legacy that failed at its last step.
#[test]
fn what_differs_between_representors_is_restored() {
    for profile in SWITCHING {
        let (fake, mut kernel) = host(spec(profile));
        let mut wish = Desired::switchdev(device(profile), 3);
        let sf =
            SfDesired { mac: Some([2, 0, 0, 0, 8, 8]), rate: Some(VfRate { min: 0, max: 70 }), ..SfDesired::default() };
        if has_sfs(profile) {
            wish.per_sf = [(5, Some(SfDesired::default())), (88, Some(sf))].into();
        }
        converge(&wish, &mut kernel).unwrap();
        let mut other = Other::on(&fake);
        let vf1 = rep(&mut kernel, profile, Function::Vf(1));
        other.offload(&vf1);
        other.mtu(&vf1, 4000);
        if has_sfs(profile) {
            let sf88 = rep(&mut kernel, profile, Function::Sf(88));
            other.offload(&sf88);
            other.mtu(&sf88, 5000);
        }
        let before = fake.snapshot();
        assert_eq!(
            (before[0].vfs[1].representor_offload, before[0].vfs[0].representor_offload),
            (Some(true), Some(false))
        );
        let legacy = Desired::legacy(device(profile), 0);
        let steps = plan(&legacy, &kernel.nic(&device(profile)).unwrap()).unwrap().steps.len();
        assert!(steps >= 2, "{profile:?}");
        // The last step of either order: the mode, or the VFs.
        for op in [Op::SysfsWrite, Op::EswitchSet] {
            // netdevsim is in legacy already when the mode is asked for.
            if op == Op::EswitchSet && profile == Profile::Netdevsim {
                continue;
            }
            fake.inject(FaultRule {
                op: Some(op),
                skip: 0,
                times: 2,
                fault: Fault::Refuse { errno: 5, text: String::new() },
            });
            let (failure, text) = fails(&legacy, &mut kernel);
            fake.calm();
            assert!(
                !matches!(failure.rollback, Rollback::Failed { .. } | Rollback::Incomplete { .. }),
                "{profile:?}: {text}"
            );
            assert_eq!(fake.snapshot(), before, "{profile:?} {op:?}: {text}");
        }
        // The same holds where VFs are made anew and nobody named it, and the new ones are left as they come.
        converge(&Desired { vfs: Some(4), ..Desired::new(device(profile)) }, &mut kernel).unwrap();
        let after = &fake.snapshot()[0];
        assert_eq!((&after.vfs[..3], &after.sfs), (&before[0].vfs[..], &before[0].sfs), "{profile:?}");
        assert_eq!(after.vfs[3].representor_offload, Some(false));
    }
}

/// Which node of the rate tree a function belongs to goes with the VF, and comes back with it.
#[test]
fn parents_of_rates_are_restored_while_their_node_is_there() {
    for profile in [Profile::Mlx5, Profile::Ice] {
        let (fake, mut kernel) = host(spec(profile));
        let mut wish = Desired::switchdev(device(profile), 2);
        if has_sfs(profile) {
            wish.per_sf = [(88, Some(SfDesired::default()))].into();
        }
        converge(&wish, &mut kernel).unwrap();
        let mut other = Other::on(&fake);
        let limit = RateChange { tx_max: Some(500 * MBIT), ..RateChange::default() };
        other.devlink.add_rate_node(&device(profile), "gold", &limit).unwrap();
        let gold = RateChange { parent: Some(RateParent::Node("gold".into())), ..RateChange::default() };
        let one = rep(&mut kernel, profile, Function::Vf(1));
        other.rate(&one, &gold);
        if has_sfs(profile) {
            let sf = rep(&mut kernel, profile, Function::Sf(88));
            other.rate(&sf, &gold);
        }
        let before = fake.snapshot();
        let nic = kernel.nic(&device(profile)).unwrap();
        assert_eq!(nic.vf_representor(1).unwrap().rate_parent.as_deref(), Some("gold"));
        assert_eq!(nic.rate_nodes["gold"].rate, VfRate { min: 0, max: 500 });
        // The kernel keeps the mode while there are nodes: the VFs had gone, and come back to it.
        let legacy = Desired::legacy(device(profile), 2);
        let plan = plan(&legacy, &nic).unwrap();
        assert!(plan.warnings.iter().any(|w| w.contains("rate nodes (gold)")), "{plan}");
        let (failure, text) = fails(&legacy, &mut kernel);
        assert!(matches!(failure.rollback, Rollback::Complete(_)) && text.contains("Rate node(s) exists"), "{text}");
        assert!(text.contains("put representor of VF 1 into rate node gold"), "{text}");
        assert_eq!(fake.snapshot(), before, "{text}");
        // Another number of VFs keeps it, too.
        converge(&Desired { vfs: Some(3), ..Desired::new(device(profile)) }, &mut kernel).unwrap();
        let now = &fake.snapshot()[0];
        assert_eq!(
            (&now.vfs[..2], &now.sfs, &now.rate_nodes),
            (&before[0].vfs[..], &before[0].sfs, &before[0].rate_nodes)
        );
    }
}

/// netdevsim falls back to legacy without VFs, which takes the nodes along: nobody makes them again.
#[test]
fn what_cannot_be_restored_is_told() {
    let profile = Profile::Netdevsim;
    let (fake, mut kernel) = host(spec(profile));
    converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap();
    let mut other = Other::on(&fake);
    other.devlink.add_rate_node(&device(profile), "gold", &RateChange::default()).unwrap();
    let gold = RateChange { parent: Some(RateParent::Node("gold".into())), ..RateChange::default() };
    let one = rep(&mut kernel, profile, Function::Vf(1));
    other.rate(&one, &gold);
    fake.inject(FaultRule {
        op: Some(Op::SysfsWrite),
        skip: 1,
        times: 1,
        fault: Fault::Refuse { errno: 12, text: String::new() },
    });
    let (failure, text) = fails(&Desired { vfs: Some(3), ..Desired::new(device(profile)) }, &mut kernel);
    let Rollback::Incomplete { lost, .. } = &failure.rollback else { panic!("{text}") };
    assert_eq!(
        lost[..],
        ["transmit rates: node gold went", "transmit rates: pf0vf1 node changed from gold to none"],
        "{text}"
    );
    assert!(text.contains("; not restored: transmit rates: node gold went"), "{text}");
    assert!(!text.contains("NOT rolled back"), "{text}");
}

/// Another host's representor is made anew with the mode; its VFs are not ours to set.
#[test]
fn other_hosts_representors_are_told_of_when_they_come_back_as_new() {
    let profile = Profile::Mlx5;
    let (fake, mut kernel) = host(spec(profile).external_vfs(1));
    converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap();
    let external = RepName { controller: 1, pf: 0, function: Function::Vf(0) };
    let external = kernel.nic(&device(profile)).unwrap().representor(external).unwrap().clone();
    Other::on(&fake).mtu(&external, 4000);
    // VFs go, the mode changes, and new VFs fail: all of it is undone.
    fake.inject(FaultRule {
        op: Some(Op::SysfsWrite),
        skip: 1,
        times: 1,
        fault: Fault::Refuse { errno: 12, text: String::new() },
    });
    let (failure, text) = fails(&Desired::legacy(device(profile), 1), &mut kernel);
    let Rollback::Incomplete { lost, done } = &failure.rollback else { panic!("{text}") };
    assert_eq!(lost[..], ["interface of c1pf0vf0: MTU changed from 4000 to 1500"], "{text}");
    assert!(!done.is_empty());
    let nic = kernel.nic(&device(profile)).unwrap();
    assert_eq!((nic.mode, nic.num_vfs()), (Some(EswitchMode::Switchdev), 2));
}

/// A value that no request could set, told by a driver, is nobody's wish.
#[test]
fn values_that_only_a_driver_tells_stop_nothing() {
    for profile in [Profile::Igb, Profile::Netdevsim, Profile::Ice] {
        let (fake, mut kernel) = host(spec(profile));
        let mode = if profile == Profile::Igb { EswitchMode::Legacy } else { EswitchMode::Switchdev };
        let to = |vfs| Desired { mode: Some(mode), ..Desired::legacy(device(profile), vfs) };
        converge(&to(2), &mut kernel).unwrap();
        let pf = device(profile).name;
        assert!(fake.tell_vlan(&pf, 1, 4095, 0));
        assert!(converge(&to(2), &mut kernel).unwrap().steps.is_empty(), "{profile:?}");
        let mac = VfDesired { mac: Some([2, 0, 0, 0, 0, 9]), ..VfDesired::default() };
        let wish = Desired { per_vf: [(1, mac)].into(), ..to(2) };
        converge(&wish, &mut kernel).unwrap();
        assert_eq!((fake.snapshot()[0].vfs[1].mac[5], fake.snapshot()[0].vfs[1].vlan.0), (9, 4095), "{profile:?}");
        // Made anew, the VF is without it, and that is said first.
        let plan = plan(&to(3), &kernel.nic(&device(profile)).unwrap()).unwrap();
        assert!(plan.warnings.iter().any(|w| w.contains("VF 1 may lose") && w.contains("4095")), "{profile:?}: {plan}");
        converge(&to(3), &mut kernel).unwrap();
        assert_eq!(fake.snapshot()[0].vfs[1].vlan.0, 0);
        // Wanted, it is refused as ever.
        let vlan = VfDesired { vlan: Some(VfVlan { id: 4095, ..VfVlan::default() }), ..VfDesired::default() };
        let e = converge(&Desired { per_vf: [(1, vlan)].into(), ..to(3) }, &mut kernel).unwrap_err();
        assert!(matches!(e, ConvergeError::Plan(_)), "{e}");
    }
}

/// Sub-functions that the wish does not name are somebody else's.
#[test]
fn sub_functions_of_others_are_left_alone() {
    let profile = Profile::Mlx5;
    let (fake, mut kernel) = host(spec(profile));
    let named = |n: u32, sf| Desired { per_sf: [(n, sf)].into(), ..Desired::switchdev(device(profile), 1) };
    converge(&named(5, Some(SfDesired { mac: Some([2, 0, 0, 0, 0, 5]), ..SfDesired::default() })), &mut kernel)
        .unwrap();
    converge(&named(88, Some(SfDesired { active: false, ..SfDesired::default() })), &mut kernel).unwrap();
    let seen =
        |fake: &FakeKernel| fake.snapshot()[0].sfs.iter().map(|s| (s.number, s.mac[5], s.active)).collect::<Vec<_>>();
    assert_eq!(seen(&fake), [(5, 5, true), (88, 0, false)]);
    // They survive what makes VFs anew, and one goes when it is named.
    converge(&Desired::switchdev(device(profile), 3), &mut kernel).unwrap();
    assert_eq!(seen(&fake), [(5, 5, true), (88, 0, false)]);
    converge(&named(88, None), &mut kernel).unwrap();
    assert_eq!(seen(&fake), [(5, 5, true)]);
    assert!(converge(&named(88, None), &mut kernel).unwrap().steps.is_empty());
    // In legacy there are none, which is what is wanted of it.
    let gone = Desired { per_sf: [(5, None)].into(), ..Desired::legacy(device(profile), 1) };
    converge(&gone, &mut kernel).unwrap();
    assert_eq!(seen(&fake), []);
}
