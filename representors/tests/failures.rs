//! What goes wrong on the way: each ends as desired, or as it was with an error that says why.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::{Duration, Instant};

use common::{SWITCHING, device, everything, host, quick, spec};
use mocks::kernel::{FakeKernel, Fault, FaultRule, NicSpec, Op, Profile};
use representors::{ConvergeError, Desired, Kernel, Pace, Rollback, converge};

fn refuse(errno: i32) -> Fault {
    Fault::Refuse { errno, text: "fake: no".into() }
}

#[test]
fn a_mode_change_that_fails_leaves_all_as_it_was() {
    for profile in SWITCHING {
        for fault in [refuse(16), refuse(95), Fault::Timeout, Fault::Ignore, Fault::HalfDone { errno: 5 }] {
            let (fake, mut kernel) = host(spec(profile));
            converge(&Desired::legacy(device(profile), 2), &mut kernel).unwrap();
            let before = fake.snapshot();
            // Each order that is tried meets it, the way back does not. A half-done change must be taken back by a change.
            let times = if profile == Profile::Ice || !matches!(fault, Fault::Refuse { .. }) { 1 } else { 2 };
            fake.inject(FaultRule { op: Some(Op::EswitchSet), skip: 0, times, fault: fault.clone() });
            let result = converge(&Desired::switchdev(device(profile), 2), &mut kernel);
            match result {
                // The other order came through.
                Ok(_) => {
                    let another = matches!(fault, Fault::HalfDone { .. } | Fault::Timeout);
                    assert!(another && profile != Profile::Ice, "{profile:?} {fault:?}");
                }
                Err(e) => {
                    let ConvergeError::Step(failure) = &e else { panic!("{profile:?} {fault:?}: {e}") };
                    assert!(!matches!(failure.rollback, Rollback::Failed { .. }), "{profile:?} {fault:?}: {e}");
                    assert_eq!(fake.snapshot(), before, "{profile:?} {fault:?}: {e}");
                    assert!(e.to_string().contains("change eswitch mode"), "{e}");
                }
            }
        }
    }
}

/// The first order was rolled back whole; the second one could not be, and that is what counts.
#[test]
fn of_several_orders_the_one_that_is_left_in_between_is_told() {
    for profile in SWITCHING {
        let mut left = 0;
        for writes in 0..40 {
            let (fake, mut kernel) = host(spec(profile));
            converge(&Desired::legacy(device(profile), 2), &mut kernel).unwrap();
            let before = fake.snapshot();
            fake.inject(FaultRule { op: Some(Op::EswitchSet), skip: 0, times: 2, fault: refuse(95) });
            fake.inject(FaultRule { op: Some(Op::SysfsWrite), skip: writes, times: 100, fault: refuse(5) });
            let e = converge(&Desired::switchdev(device(profile), 2), &mut kernel).unwrap_err();
            let ConvergeError::Step(failure) = &e else { panic!("{profile:?}: {e}") };
            let failed = matches!(failure.rollback, Rollback::Failed { .. });
            assert_eq!(failed, fake.snapshot() != before, "{profile:?}, {writes} writes: {e}");
            left += usize::from(failed);
        }
        // netdevsim changes its mode before anything else.
        assert!(left > 0 || profile == Profile::Netdevsim, "{profile:?}");
    }
}

#[test]
fn vfs_that_are_half_made_are_taken_back() {
    for profile in Profile::ALL {
        let (fake, mut kernel) = host(spec(profile));
        let before = fake.snapshot();
        fake.inject(FaultRule::once(Op::SysfsWrite, Fault::HalfDone { errno: 12 }));
        let e = converge(&Desired::legacy(device(profile), 4), &mut kernel).unwrap_err();
        assert!(e.to_string().contains("create 4 VFs") && e.to_string().contains("rolled back"), "{profile:?}: {e}");
        assert_eq!(fake.snapshot(), before, "{profile:?}");
    }
}

#[test]
fn vfs_that_lag_by_five_seconds_are_waited_for() {
    // All at once, so that the time passes once.
    let fake = FakeKernel::new();
    let specs = [(Profile::Mlx5, "0000:03:00.0"), (Profile::Ice, "0000:04:00.0"), (Profile::Netdevsim, "netdevsim1")];
    for (n, (profile, name)) in specs.iter().enumerate() {
        fake.add_nic(NicSpec::new(*profile, name, &format!("p{n}")).lag(Duration::from_secs(5)));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (profile, name) in specs {
            let fake = &fake;
            scope.spawn(move || {
                let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
                kernel.set_pace(Pace { deadline: Duration::from_secs(20), poll: Duration::from_millis(50) });
                let bus = if profile == Profile::Netdevsim { "netdevsim" } else { "pci" };
                let wish = Desired::switchdev(representors::DeviceId::new(bus, name), 3);
                let wish = Desired { representors_up: Some(true), ..wish };
                assert_eq!(converge(&wish, &mut kernel).unwrap().nic.unsettled(), None);
            });
        }
    });
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");
    assert!(fake.snapshot().iter().all(|n| n.vfs.iter().all(|vf| vf.representor_up == Some(true))));
    // Later than the deadline is a failure, and is taken back.
    let (fake, mut kernel) = host(spec(Profile::Ice).lag(Duration::from_millis(300)));
    let e = converge(&Desired::legacy(device(Profile::Ice), 2), &mut kernel).unwrap_err();
    assert!(e.to_string().contains("0 of 2 VFs are there") && e.to_string().contains("rolled back"), "{e}");
    assert!(fake.snapshot()[0].vfs.is_empty());
}

#[test]
fn representors_may_come_out_of_order_and_under_any_name() {
    for profile in SWITCHING {
        for (stagger, rename) in [(3, 1), (1, 4), (7, 0)] {
            let fake = FakeKernel::new();
            fake.add_nic(spec(profile).stagger(stagger));
            if rename > 0 {
                fake.rename_new_after(rename);
            }
            let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
            kernel.set_pace(Pace { deadline: Duration::from_secs(10), poll: Duration::from_millis(1) });
            let wish = everything(profile);
            let report = converge(&wish, &mut kernel).unwrap_or_else(|e| panic!("{profile:?} {stagger} {rename}: {e}"));
            let keys: Vec<String> = report.nic.representors.iter().map(|r| r.key.name.to_string()).collect();
            assert_eq!(keys[..2], ["pf0vf0", "pf0vf1"]);
            assert_eq!(fake.snapshot()[0].vfs[0].mac, [2, 0, 0, 0, 7, 1], "{profile:?}");
            assert_eq!(fake.snapshot()[0].vfs[0].representor_mtu, Some(9000), "{profile:?}");
        }
    }
}

#[test]
fn overruns_are_read_again() {
    for profile in SWITCHING {
        for op in [Op::PortGet, Op::LinkGet, Op::RateGet, Op::EswitchSet] {
            let (fake, mut kernel) = host(spec(profile));
            fake.inject(FaultRule { op: Some(op), skip: 0, times: 2, fault: Fault::Overrun });
            let result = converge(&everything(profile), &mut kernel);
            result.unwrap_or_else(|e| panic!("{profile:?} {op:?}: {e}"));
            assert!(fake.snapshot()[0].switchdev);
        }
    }
}

#[test]
fn a_device_that_vanishes_is_told_by_name() {
    for profile in [Profile::Mlx5, Profile::Netdevsim, Profile::Igb] {
        let mut ends = (0, 0);
        for after in (1..400).step_by(9) {
            let (fake, mut kernel) = host(spec(profile));
            kernel.set_pace(Pace { deadline: Duration::from_millis(5), poll: Duration::from_millis(1) });
            fake.remove_nic_after(&device(profile).name, after);
            match converge(&everything(profile), &mut kernel) {
                Ok(_) => ends.0 += 1,
                Err(e) => {
                    ends.1 += 1;
                    assert!(e.to_string().contains(&device(profile).name), "{e}");
                    if let ConvergeError::Step(failure) = &e {
                        assert!(matches!(failure.rollback, Rollback::Failed { .. }), "{e}");
                        assert!(e.to_string().contains("NOT rolled back"), "{e}");
                    }
                }
            }
        }
        assert!(ends.1 > 5, "{profile:?}: {ends:?}");
    }
}

#[test]
fn a_hundred_vfs_converge_at_once_and_again_for_nothing() {
    let (fake, mut kernel) = host(spec(Profile::Netdevsim).total_vfs(128));
    quick(&mut kernel);
    let wish = Desired { representors_up: Some(true), ..Desired::switchdev(device(Profile::Netdevsim), 128) };
    let report = converge(&wish, &mut kernel).unwrap();
    assert_eq!(report.nic.representors.len(), 128);
    assert!(fake.snapshot()[0].vfs.iter().all(|vf| vf.representor_up == Some(true)));
    assert!(converge(&wish, &mut kernel).unwrap().steps.is_empty());
}
