//! Drift: what others change is noticed within a second, with its name, and not twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::{Duration, Instant};

use common::{SWITCHING, device, everything, host, spec};
use mocks::kernel::{FakeKernel, Profile};
use netlink::{KernelAccess, LinkClient, Protocol, VfSettings};
use representors::{Desired, Drift, DriftWatch, EswitchMode, Kernel, converge};

const SECOND: Duration = Duration::from_secs(1);

/// The drifts of the next report, as text; it must come within a second.
fn noticed(drift: &mut DriftWatch, kernel: &mut Kernel) -> Vec<String> {
    let start = Instant::now();
    let found = drift.next(kernel, SECOND).unwrap();
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    found.iter().map(|(_, d)| d.to_string()).collect()
}

fn nothing_more(drift: &mut DriftWatch, kernel: &mut Kernel) {
    assert_eq!(drift.next(kernel, Duration::from_millis(30)).unwrap(), []);
}

fn watched(profile: Profile) -> (FakeKernel, Kernel, DriftWatch) {
    let (fake, mut kernel) = host(spec(profile));
    converge(&everything(profile), &mut kernel).unwrap();
    let drift = DriftWatch::open(&mut kernel, &[device(profile)]).unwrap();
    (fake, kernel, drift)
}

/// Another process, on sockets of its own.
fn other(fake: &FakeKernel) -> Kernel {
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    common::quick(&mut kernel);
    kernel
}

#[test]
fn a_changed_number_of_vfs_is_noticed_even_without_an_event() {
    for profile in Profile::ALL {
        let (fake, mut kernel, mut drift) = watched(profile);
        nothing_more(&mut drift, &mut kernel);
        let (bus, name) = (device(profile).bus, device(profile).name);
        let sysfs = fake.sysfs();
        sysfs.write(&format!("bus/{bus}/devices/{name}/sriov_numvfs"), "0").unwrap();
        let found = noticed(&mut drift, &mut kernel);
        assert!(found.contains(&"number of VFs changed from 2 to 0".to_owned()), "{profile:?}: {found:?}");
        let reps = found.iter().filter(|f| f.starts_with("representor pf0vf") && f.ends_with("went")).count();
        assert_eq!(reps, if profile == Profile::Igb { 0 } else { 2 });
        nothing_more(&mut drift, &mut kernel);
    }
}

#[test]
fn a_flipped_mode_is_noticed() {
    for profile in SWITCHING {
        let (fake, mut kernel, mut drift) = watched(profile);
        converge(&Desired::legacy(device(profile), 2), &mut other(&fake)).unwrap();
        let found = noticed(&mut drift, &mut kernel);
        assert!(found.contains(&"eswitch mode changed from switchdev to legacy".to_owned()), "{profile:?}: {found:?}");
        nothing_more(&mut drift, &mut kernel);
    }
    // Without VFs there is no port whose event could tell.
    let profile = Profile::Netdevsim;
    let (fake, mut kernel) = host(spec(profile));
    let mut drift = DriftWatch::open(&mut kernel, &[device(profile)]).unwrap();
    converge(&Desired::switchdev(device(profile), 0), &mut other(&fake)).unwrap();
    let found = drift.next(&mut kernel, SECOND).unwrap();
    let mode = Drift::Mode { from: Some(EswitchMode::Legacy), to: Some(EswitchMode::Switchdev) };
    assert!(found.contains(&(device(profile), mode)), "{found:?}");
}

#[test]
fn names_qdiscs_and_interfaces_are_watched() {
    let profile = Profile::Mlx5;
    let (fake, mut kernel, mut drift) = watched(profile);
    let nic = kernel.nic(&device(profile)).unwrap();
    let dev = nic.vf_representor(1).unwrap().netdev.clone().unwrap();
    assert!(fake.rename(&dev.name, "pf0vf1_rep"));
    let found = drift.next(&mut kernel, SECOND).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.to_string(), format!("interface of pf0vf1 renamed from {} to pf0vf1_rep", dev.name));
    assert!(!found[0].1.needs_repair());

    // A qdisc that came is nobody's loss.
    assert!(fake.set_qdisc("pf0vf1_rep", "clsact", true));
    nothing_more(&mut drift, &mut kernel);
    assert!(fake.set_qdisc("pf0vf1_rep", "clsact", false));
    assert_eq!(noticed(&mut drift, &mut kernel), ["qdisc clsact of pf0vf1 was removed, and its rules"]);

    let mut links = LinkClient::new(fake.open(Protocol::Route).unwrap());
    links.set_up(dev.ifindex, false).unwrap();
    assert_eq!(noticed(&mut drift, &mut kernel), ["interface of pf0vf1 set down"]);
    links.set_mtu(dev.ifindex, 1400).unwrap();
    assert_eq!(noticed(&mut drift, &mut kernel), ["interface of pf0vf1: MTU changed from 9000 to 1400"]);
    // Repaired by converging again; our own doing is accepted.
    converge(&everything(profile), &mut kernel).unwrap();
    drift.accept(&mut kernel).unwrap();
    nothing_more(&mut drift, &mut kernel);
    assert_eq!(fake.snapshot()[0].vfs[1].representor_mtu, Some(9000));
}

#[test]
fn settings_and_drivers_are_watched() {
    let profile = Profile::Igb;
    let (fake, mut kernel, mut drift) = watched(profile);
    let mut links = LinkClient::new(fake.open(Protocol::Route).unwrap());
    let uplink = kernel.nic(&device(profile)).unwrap().uplink.unwrap().netdev.unwrap().ifindex;
    links.set_vf(uplink, 0, &VfSettings { trust: Some(false), ..VfSettings::default() }).unwrap();
    assert_eq!(noticed(&mut drift, &mut kernel), ["VF 0 changed from trust on to trust off"]);
    fake.sysfs().write("bus/pci/drivers/igbvf/unbind", "0000:03:00.3").unwrap();
    let found = noticed(&mut drift, &mut kernel);
    assert_eq!(found, ["driver of VF 1 changed from igbvf to none"]);
}

#[test]
fn a_device_that_goes_and_comes_back_is_noticed() {
    for profile in Profile::ALL {
        let (fake, mut kernel, mut drift) = watched(profile);
        assert!(fake.remove_nic(&device(profile).name));
        assert_eq!(noticed(&mut drift, &mut kernel), ["the device is gone"], "{profile:?}");
        fake.add_nic(spec(profile));
        assert_eq!(noticed(&mut drift, &mut kernel), ["the device was reset or plugged in again"]);
        // So quick that nobody saw it gone.
        fake.remove_nic(&device(profile).name);
        fake.add_nic(spec(profile));
        let found = noticed(&mut drift, &mut kernel);
        assert_eq!(found, ["the device was reset or plugged in again"], "{profile:?}");
        converge(&everything(profile), &mut kernel).unwrap();
    }
}
