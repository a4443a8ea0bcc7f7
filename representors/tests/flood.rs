//! 10,000 events a second, more than sockets hold: what was told in the end adds up to the truth.
//!
//! `SHUNT_FLOOD_SECONDS` says for how long (3).

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use common::everything;
use mocks::kernel::{FakeKernel, NicSpec, Profile};
use netlink::{KernelAccess, LinkClient, Protocol};
use representors::{Desired, DeviceId, Drift, DriftWatch, EswitchMode, Inventory, Kernel, Nic, Report, converge};

/// What is known of a port: its name, MTU and whether it is up. `None` of a port that came since, until it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PortSeen {
    name: Option<String>,
    mtu: Option<u32>,
    up: Option<bool>,
}

/// What is known of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    mode: Option<EswitchMode>,
    vfs: u16,
    ports: BTreeMap<String, PortSeen>,
}

impl Seen {
    fn of(nic: &Nic) -> Self {
        let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref()).map(|d| ("uplink".to_owned(), d));
        let reps = nic.representors.iter().map(|r| (r.key.name.to_string(), r.netdev.as_ref().unwrap()));
        let seen = |d: &representors::Netdev| PortSeen { name: Some(d.name.clone()), mtu: d.mtu, up: Some(d.up) };
        let ports = uplink.into_iter().chain(reps).map(|(name, dev)| (name, seen(dev))).collect();
        Seen { mode: nic.mode, vfs: nic.num_vfs(), ports }
    }

    /// Each drift fits what was told before it.
    fn take(&mut self, drift: Drift) {
        match drift {
            Drift::Mode { from, to } => assert_eq!(std::mem::replace(&mut self.mode, to), from),
            Drift::Vfs { from, to } => assert_eq!(std::mem::replace(&mut self.vfs, to), from),
            Drift::RepresentorCame(name) => {
                assert!(self.ports.insert(name.to_string(), PortSeen::default()).is_none(), "{name} came twice");
            }
            Drift::RepresentorGone(name) => {
                assert!(self.ports.remove(&name.to_string()).is_some(), "{name} went twice")
            }
            Drift::Renamed { port, from, to } => {
                let was = self.ports.get_mut(&port).unwrap().name.replace(to);
                assert!(was.is_none_or(|was| was == from));
            }
            Drift::Up { port, up } => assert_ne!(self.ports.get_mut(&port).unwrap().up.replace(up), Some(up)),
            Drift::Netdev { port, what } => {
                let (from, to) = what.strip_prefix("MTU changed from ").unwrap().split_once(" to ").unwrap();
                let was = self.ports.get_mut(&port).unwrap().mtu.replace(to.parse().unwrap());
                assert!(was.is_none_or(|was| was.to_string() == from));
            }
            Drift::Setting { .. } => {}
            other => panic!("nobody did this: {other}"),
        }
    }

    /// What is known is so.
    fn check(&self, truth: &Seen) {
        assert_eq!((self.mode, self.vfs), (truth.mode, truth.vfs));
        assert_eq!(self.ports.keys().collect::<Vec<_>>(), truth.ports.keys().collect::<Vec<_>>());
        for (port, seen) in &self.ports {
            let is = &truth.ports[port];
            assert!(seen.name.is_none() || seen.name == is.name, "{port}: {seen:?}, is {is:?}");
            assert!(seen.mtu.is_none() || seen.mtu == is.mtu, "{port}: {seen:?}, is {is:?}");
            assert!(seen.up.is_none() || seen.up == is.up, "{port}: {seen:?}, is {is:?}");
        }
    }
}

/// The truth, read by another, and seen from inside the fake as far as that shows it.
fn truth(fake: &FakeKernel) -> Inventory {
    let inventory = other(fake).inventory().unwrap();
    let inside = fake.snapshot();
    assert_eq!(inventory.nics.len(), inside.len());
    for inside in inside {
        let nic = inventory.find(&inside.device).unwrap();
        assert_eq!(nic.mode == Some(EswitchMode::Switchdev), inside.switchdev);
        assert_eq!(nic.vfs.len(), inside.vfs.len());
        for (vf, inside) in (0..).zip(&inside.vfs) {
            let dev = nic.vf_representor(vf).map(|r| r.netdev.as_ref().unwrap());
            assert_eq!((dev.map(|d| d.up), dev.and_then(|d| d.mtu)), (inside.representor_up, inside.representor_mtu));
        }
    }
    inventory
}

fn other(fake: &FakeKernel) -> Kernel {
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    common::quick(&mut kernel);
    kernel
}

/// 1000 events of network devices, then another number of VFs or mode; ten times a second.
fn changes(fake: &FakeKernel, devices: &[DeviceId], seconds: u32) {
    let mut other = other(fake);
    let mut links = LinkClient::new(fake.open(Protocol::Route).unwrap());
    let mut change = |desired: Desired| -> Report { converge(&desired, &mut other).unwrap() };
    let (first, begin) = (fake.events().0, Instant::now());
    for burst in 0..seconds * 10 {
        let all = links.dump().unwrap();
        let mut n = 0;
        while fake.events().0 - first < u64::from(burst + 1) * 1000 {
            let link = &all[n as usize % all.len()];
            match n / 8 % 16 {
                0 => links.set_up(link.ifindex, n % 3 == 0).unwrap(),
                1 => _ = fake.rename(&link.name, &format!("r{}x{burst}", link.ifindex)),
                _ => links.set_mtu(link.ifindex, 1400 + (burst + n) % 100).unwrap(),
            }
            n += 1;
        }
        let vfs = u16::try_from(burst % 9).unwrap();
        change(match burst % 20 {
            13 => Desired::legacy(devices[0].clone(), vfs),
            _ => Desired::switchdev(devices[0].clone(), vfs),
        });
        let next = begin + Duration::from_millis(u64::from(burst + 1) * 100);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn floods_and_overruns_end_at_the_truth() {
    let seconds: u32 = std::env::var("SHUNT_FLOOD_SECONDS").map_or(3, |s| s.parse().unwrap());
    let fake = FakeKernel::new();
    let devices = [DeviceId::new("netdevsim", "netdevsim1"), DeviceId::new("netdevsim", "netdevsim2")];
    for (n, device) in devices.iter().enumerate() {
        fake.add_nic(NicSpec::new(Profile::Netdevsim, &device.name, &format!("p{n}")).total_vfs(32));
    }
    // Another NIC, which nobody touches but to set its interfaces.
    fake.add_nic(common::spec(Profile::Mlx5));
    let mut kernel = other(&fake);
    for device in &devices {
        converge(&Desired::switchdev(device.clone(), 8), &mut kernel).unwrap();
    }
    converge(&everything(Profile::Mlx5), &mut kernel).unwrap();
    let watched: Vec<DeviceId> = devices.iter().cloned().chain([common::device(Profile::Mlx5)]).collect();
    let mut drift = DriftWatch::open(&mut kernel, &watched).unwrap();
    let mut seen: BTreeMap<DeviceId, Seen> =
        watched.iter().map(|d| (d.clone(), Seen::of(&kernel.nic(d).unwrap()))).collect();
    let (before, _) = fake.events();
    let begin = Instant::now();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            changes(&fake, &devices, seconds);
            done.store(true, Ordering::Release);
        });
        let mut last = false;
        loop {
            let drifts = drift.next(&mut kernel, Duration::from_millis(600)).unwrap();
            // On a busy machine there is more to hear after the last change.
            let quiet = drifts.is_empty();
            for (device, drift) in drifts {
                seen.get_mut(&device).unwrap().take(drift);
            }
            if last && quiet {
                break;
            }
            last = done.load(Ordering::Acquire);
        }
    });
    let (events, overruns) = fake.events();
    let sent = events - before;
    eprintln!("{sent} events in {:.1} s, {overruns} overruns", begin.elapsed().as_secs_f64());
    assert!(sent >= u64::from(seconds) * 10_000, "{sent}");
    assert!(overruns > 0, "nothing was lost: nothing was tried");
    let truth = truth(&fake);
    for (device, seen) in seen {
        seen.check(&Seen::of(truth.nic(&device).unwrap()));
    }
}
