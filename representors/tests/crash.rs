//! A process that ends at any boundary of any step: converging again ends in the desired state.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
};

use common::{device, everything, quick, spec};
use mocks::kernel::{FakeKernel, NicSnapshot, Profile, VfSnapshot};
use representors::{Desired, Kernel, Phase, Strategy, VfDesired, VfDriver, apply, converge, plan_with};

fn kernel_of(fake: &FakeKernel) -> Kernel {
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    kernel
}

/// A host that was brought to `start`.
fn start_at(profile: Profile, start: &Desired) -> FakeKernel {
    let fake = FakeKernel::new();
    fake.add_nic(spec(profile));
    converge(start, &mut kernel_of(&fake)).unwrap();
    fake
}

/// Converges and ends like a killed process at boundary `at`; how many boundaries there were, and which phases.
fn run_until(fake: &FakeKernel, wish: &Desired, at: Option<usize>) -> (usize, BTreeSet<Phase>, bool) {
    let mut kernel = kernel_of(fake);
    let seen = Arc::new(Mutex::new((0, BTreeSet::new())));
    let log = seen.clone();
    kernel.on_boundary(move |boundary| {
        let mut seen = log.lock().unwrap();
        let here = seen.0;
        seen.0 += 1;
        seen.1.insert(boundary.phase);
        drop(seen);
        if Some(here) == at {
            // No unwinding code of ours may tidy up: there is none, and a killed process runs none.
            resume_unwind(Box::new("killed"));
        }
    });
    let result = catch_unwind(AssertUnwindSafe(|| converge(wish, &mut kernel)));
    let killed = result.is_err();
    if let Ok(result) = result {
        result.unwrap();
    }
    let seen = seen.lock().unwrap();
    (seen.0, seen.1.clone(), killed)
}

/// What a wish names, of a snapshot: what it does not name is lost when the process ends while there are no VFs.
fn named(wish: &Desired, mut now: NicSnapshot) -> NicSnapshot {
    for (n, vf) in (0u16..).zip(&mut now.vfs) {
        let Some(wish) = wish.per_vf.get(&n) else {
            *vf = VfSnapshot { driver: vf.driver.take(), ..VfSnapshot::default() };
            continue;
        };
        let kept = std::mem::take(vf);
        *vf = VfSnapshot {
            driver: kept.driver,
            mac: wish.mac.map_or([0; 6], |_| kept.mac),
            vlan: wish.vlan.map_or_else(Default::default, |_| kept.vlan),
            rate: wish.rate.map_or_else(Default::default, |_| kept.rate),
            spoof_check: wish.spoof_check.is_some() && kept.spoof_check,
            link_state: wish.link_state.map_or(0, |_| kept.link_state),
            trust: wish.trust.is_some() && kept.trust,
            representor_up: kept.representor_up.filter(|_| wish.representor_up.is_some()),
            representor_mtu: kept.representor_mtu.filter(|_| wish.representor_mtu.is_some()),
            representor_offload: kept.representor_offload.filter(|_| wish.representor_offload.is_some()),
            rate_parent: kept.rate_parent.filter(|_| wish.rate_parent.is_some()),
        };
    }
    if wish.hw_tc_offload.is_none() {
        now.tc_offload = false;
    }
    now
}

fn kill_everywhere(profile: Profile, start: &Desired, wish: &Desired) -> usize {
    let shown = |fake: &FakeKernel| {
        let now = fake.snapshot().remove(0);
        // A wish that names all is compared with all.
        if wish.per_vf.is_empty() { named(wish, now) } else { now }
    };
    let reference = start_at(profile, start);
    let (boundaries, phases, _) = run_until(&reference, wish, None);
    let wanted = shown(&reference);
    assert!(phases.len() == 3 || boundaries == 0, "{phases:?}");
    for at in 0..boundaries {
        let fake = start_at(profile, start);
        let (_, _, killed) = run_until(&fake, wish, Some(at));
        assert!(killed, "{profile:?}: boundary {at} of {boundaries}");
        let report = converge(wish, &mut kernel_of(&fake));
        let report = report.unwrap_or_else(|e| panic!("{profile:?} killed at {at} of {boundaries}: {e}"));
        assert_eq!(shown(&fake), wanted, "{profile:?} killed at {at} of {boundaries}; then {:?}", report.steps);
        // And then there is nothing to do.
        assert!(converge(wish, &mut kernel_of(&fake)).unwrap().steps.is_empty(), "{profile:?} {at}");
    }
    boundaries
}

#[test]
fn a_kill_at_any_boundary_is_made_good() {
    for profile in Profile::ALL {
        let device = || device(profile);
        let wish = everything(profile);
        let bare = Desired::legacy(device(), 0);
        let some_vfs = Desired::legacy(device(), 2);
        let boundaries = kill_everywhere(profile, &bare, &wish);
        assert!(boundaries >= 15, "{profile:?}: {boundaries}");
        kill_everywhere(profile, &some_vfs, &wish);
        kill_everywhere(profile, &wish, &bare);
        if profile != Profile::Igb {
            // More VFs, another mode, other settings.
            let more = Desired { hw_tc_offload: Some(false), ..Desired::switchdev(device(), 3) };
            kill_everywhere(profile, &wish, &Desired { sfs: Some(Default::default()), ..more });
            kill_everywhere(profile, &wish, &Desired::legacy(device(), 2));
        }
    }
}

/// VFs that were unbound for the mode change: which driver they had is known to nobody but the kernel.
#[test]
fn drivers_that_a_mode_change_took_away_come_back() {
    let profile = Profile::Mlx5Old;
    let vfio = VfDesired { driver: Some(VfDriver::Named("vfio-pci".into())), ..VfDesired::default() };
    let unbound = VfDesired { driver: Some(VfDriver::Unbound), ..VfDesired::default() };
    let start = Desired { per_vf: [(1, vfio), (2, unbound)].into(), ..Desired::legacy(device(profile), 3) };
    let wish = Desired { disturb_used_vfs: true, ..Desired::switchdev(device(profile), 3) };
    for at in 0.. {
        let fake = start_at(profile, &start);
        let mut kernel = kernel_of(&fake);
        let nic = kernel.nic(&wish.device).unwrap();
        let plan = plan_with(&wish, &nic, Strategy::VfsFirst).unwrap();
        let mut left = at;
        kernel.on_boundary(move |_| match left {
            0 => resume_unwind(Box::new("killed")),
            _ => left -= 1,
        });
        let killed = catch_unwind(AssertUnwindSafe(|| apply(&plan, &mut kernel).unwrap())).is_err();
        let mut kernel = kernel_of(&fake);
        let nic = kernel.nic(&wish.device).unwrap();
        apply(&plan_with(&wish, &nic, Strategy::VfsFirst).unwrap(), &mut kernel).unwrap();
        let drivers: Vec<Option<String>> = fake.snapshot()[0].vfs.iter().map(|vf| vf.driver.clone()).collect();
        assert_eq!(drivers, [Some("mlx5_core".to_owned()), Some("vfio-pci".to_owned()), None], "killed at {at}");
        if !killed {
            // Two VFs let go, the mode, two VFs bound.
            assert_eq!(at, 15);
            break;
        }
    }
}
