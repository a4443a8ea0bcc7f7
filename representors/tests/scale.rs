//! 128 VFs: how long reading and converging take, and how many requests. On the fake kernel, whose own time is none.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::{Duration, Instant};

use common::device;
use mocks::kernel::{FakeKernel, NicSpec, Profile};
use representors::{Desired, EswitchMode, Kernel, VfDesired, VfRate, converge};

/// Tests without optimization, on machines that do other things, may take so many times as long.
const SLACK: u32 = if cfg!(debug_assertions) { 20 } else { 3 };
const INVENTORY: Duration = Duration::from_millis(100);
const CONVERGE: Duration = Duration::from_secs(3);

fn host(profile: Profile, vfs: u16) -> (FakeKernel, Kernel) {
    let fake = FakeKernel::new();
    fake.add_nic(NicSpec::new(profile, &device(profile).name, "p0").total_vfs(vfs));
    let kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    (fake, kernel)
}

/// Switchdev where there is an eswitch; an address and a rate for each VF, representors up, rules into hardware.
fn wish(profile: Profile, vfs: u16) -> Desired {
    let vf = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let rate = Some(VfRate { min: 0, max: 500 });
        (n, VfDesired { mac: Some([2, 0, 0, 0, high, low]), rate, ..VfDesired::default() })
    };
    let per_vf = (0..vfs).map(vf).collect();
    if profile == Profile::Igb {
        return Desired { per_vf, ..Desired::legacy(device(profile), vfs) };
    }
    Desired {
        per_vf,
        representors_up: Some(true),
        hw_tc_offload: Some(true),
        ..Desired::switchdev(device(profile), vfs)
    }
}

/// What was asked of the kernel, and how long it took.
fn measured<T>(fake: &FakeKernel, f: impl FnOnce() -> T) -> (T, u64, Duration) {
    let (before, start) = (fake.operations(), Instant::now());
    let value = f();
    let took = start.elapsed();
    (value, fake.operations() - before, took)
}

/// Requests of reading all NICs; of converging from nothing; of converging again; of converging back.
fn requests(profile: Profile, vfs: u16) -> [u64; 4] {
    let (fake, mut kernel) = host(profile, vfs);
    let wish = wish(profile, vfs);
    let (report, up, took) = measured(&fake, || converge(&wish, &mut kernel).unwrap());
    assert!(took < CONVERGE * SLACK, "{profile:?}: {vfs} VFs took {took:?}");
    assert_eq!(report.nic.vfs.len(), usize::from(vfs));
    let (inventory, read, took_to_read) = measured(&fake, || kernel.inventory().unwrap());
    assert!(took_to_read < INVENTORY * SLACK, "{profile:?}: an inventory of {vfs} VFs took {took_to_read:?}");
    assert_eq!(inventory.nics.len(), 1);
    assert_eq!(inventory.nics[0], report.nic);
    let (again, same, _) = measured(&fake, || converge(&wish, &mut kernel).unwrap());
    assert_eq!(again.steps, []);
    let (_, down, took_back) = measured(&fake, || converge(&Desired::legacy(device(profile), 0), &mut kernel).unwrap());
    assert!(took_back < CONVERGE * SLACK, "{profile:?}: back took {took_back:?}");
    assert!(fake.snapshot()[0].vfs.is_empty());
    eprintln!(
        "{profile:?}, {vfs} VFs: converge {took:.1?} ({up} requests), again {same}, back {took_back:.1?} ({down}), \
         inventory {took_to_read:.1?} ({read})"
    );
    [read, up, same, down]
}

/// Requests of one reading, beside those for each VF.
const A_READING: u64 = 24;

/// Most requests for each VF in a reading. PCI functions: whose they are, address, driver (or what is due), IOMMU
/// group; as devices on their bus, whether they have VFs themselves.
fn of_each_vf(profile: Profile) -> u64 {
    if profile == Profile::Netdevsim { 0 } else { 6 }
}

#[test]
fn what_is_asked_grows_with_the_vfs_and_not_faster() {
    for profile in Profile::ALL {
        let each = of_each_vf(profile);
        let counts = [32u16, 128].map(|vfs| (u64::from(vfs), requests(profile, vfs)));
        for (vfs, [read, up, same, down]) in counts {
            let reading = A_READING + each * vfs;
            assert!(read <= reading, "{profile:?}, {vfs} VFs: a reading asked {read} times");
            // For each VF two settings, its representor's up and offload; to let go of it and to bind it again, five files.
            let most = 8 * reading + 9 * vfs;
            assert!(up <= most, "{profile:?}, {vfs} VFs: converging asked {up} times, {most} at most");
            assert!(same <= 3 * reading, "{profile:?}, {vfs} VFs: again {same} times");
            assert!(down <= most, "{profile:?}, {vfs} VFs: back {down} times");
        }
        // Four times the VFs, four times the requests at most.
        let [(_, few), (_, many)] = counts;
        for (few, many) in few.iter().zip(many) {
            assert!(many <= few * 4 + 64, "{profile:?}: {few} requests for 32 VFs, {many} for 128");
        }
    }
}

#[test]
fn the_fake_kernel_has_what_was_wished_for_128_vfs() {
    for profile in Profile::ALL {
        let (fake, mut kernel) = host(profile, 128);
        converge(&wish(profile, 128), &mut kernel).unwrap();
        let nic = &fake.snapshot()[0];
        assert_eq!(nic.switchdev, profile != Profile::Igb);
        for (n, vf) in (0u16..).zip(&nic.vfs) {
            let [high, low] = n.to_be_bytes();
            assert_eq!(vf.mac, [2, 0, 0, 0, high, low]);
            assert_eq!(vf.rate, (0, 500));
            assert_eq!(vf.representor_up, nic.switchdev.then_some(true));
        }
        assert_eq!(kernel.nic(&device(profile)).unwrap().mode == Some(EswitchMode::Switchdev), nic.switchdev);
    }
}
