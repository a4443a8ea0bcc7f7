//! Several PFs of one card, and what a reading costs.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use common::{device, quick, spec};
use mocks::kernel::{FakeKernel, NicSpec, Profile};
use netlink::{KernelAccess, OpenFile, Protocol, Sysfs, Transport};
use representors::{ConvergeError, Desired, DeviceId, Function, Kernel, PlanError, VfDesired, VfDriver, converge};

/// The PFs of a mlx5 card are ports of one switch: what tells their functions apart is the devlink port, or with old
/// drivers the device that a representor belongs to.
#[test]
fn pfs_that_share_a_switch_keep_their_functions_apart() {
    for hide in [false, true] {
        let fake = FakeKernel::new();
        let devices = [0u16, 1].map(|pf| DeviceId::new("pci", format!("0000:03:00.{pf}")));
        for (pf, device) in (0u16..).zip(&devices) {
            let spec = NicSpec::new(Profile::Mlx5, &device.name, &format!("ens1f{pf}np{pf}"));
            let spec = spec.pf_number(pf).switch_id(&[0xb8, 0xce, 0xf6, 3, 0, 1, 2, 3]);
            fake.add_nic(if hide { spec.hide_vf_ports() } else { spec });
        }
        let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
        quick(&mut kernel);
        for (vfs, device) in [2, 3].into_iter().zip(&devices) {
            let mac = VfDesired { mac: Some([2, 0, 0, 0, 0, u8::try_from(vfs).unwrap()]), ..VfDesired::default() };
            let wish = Desired { per_vf: [(1, mac)].into(), ..Desired::switchdev(device.clone(), vfs) };
            converge(&wish, &mut kernel).unwrap();
            assert!(converge(&wish, &mut kernel).unwrap().steps.is_empty(), "{device}");
        }
        let all = kernel.inventory().unwrap();
        let keys = |device: &DeviceId| -> Vec<String> {
            all.nic(device).unwrap().representors.iter().map(|r| r.key.to_string()).collect()
        };
        assert_eq!(keys(&devices[0]), ["pci/0000:03:00.0/pf0vf0", "pci/0000:03:00.0/pf0vf1"], "ports hidden: {hide}");
        assert_eq!(
            keys(&devices[1]),
            ["pci/0000:03:00.1/pf1vf0", "pci/0000:03:00.1/pf1vf1", "pci/0000:03:00.1/pf1vf2"],
            "ports hidden: {hide}"
        );
        let devs = || all.nics.iter().flat_map(|n| &n.representors).filter_map(|r| r.netdev.as_ref());
        let mut ids: Vec<_> = devs().map(|d| d.switch_id.clone()).collect();
        ids.dedup();
        assert_eq!((ids.len(), devs().count()), (1, 5), "one switch");
        let mut numbers: Vec<_> = devs().map(|d| d.ifindex).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 5, "no network device stands for two functions");
        let inside = fake.snapshot();
        assert_eq!((inside[0].vfs[1].mac[5], inside[1].vfs[1].mac[5]), (2, 3));
        assert_eq!(all.nic(&devices[1]).unwrap().vf_mac(1), Some([2, 0, 0, 0, 0, 3]));
        assert!(all.nic(&devices[0]).unwrap().representor_of(Function::Vf(2)).is_none());
    }
}

/// A kernel that counts how often all processes are looked through.
#[derive(Debug, Clone)]
struct Counting(FakeKernel, Arc<AtomicU32>);

impl KernelAccess for Counting {
    fn open(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        self.0.open(protocol)
    }

    fn sysfs(&self) -> Box<dyn Sysfs> {
        self.0.sysfs()
    }

    fn open_files(&self, prefix: &str) -> Vec<OpenFile> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open_files(prefix)
    }
}

#[test]
fn processes_are_looked_through_only_for_those_who_ask() {
    let profile = Profile::Ice;
    let looked = Arc::new(AtomicU32::new(0));
    let fake = FakeKernel::new();
    fake.add_nic(spec(profile).total_vfs(128));
    let mut kernel = Kernel::new(Box::new(Counting(fake.clone(), looked.clone()))).unwrap();
    quick(&mut kernel);
    let count = || looked.load(Ordering::Relaxed);
    let vfio = VfDesired { driver: Some(VfDriver::Named("vfio-pci".into())), ..VfDesired::default() };
    let wish =
        Desired { per_vf: (0..128).map(|vf| (vf, vfio.clone())).collect(), ..Desired::legacy(device(profile), 128) };
    converge(&wish, &mut kernel).unwrap();
    kernel.inventory().unwrap();
    converge(&wish, &mut kernel).unwrap();
    let mac = VfDesired { mac: Some([2, 0, 0, 0, 0, 1]), ..vfio };
    converge(&Desired { per_vf: [(5, mac)].into(), ..Desired::new(device(profile)) }, &mut kernel).unwrap();
    assert_eq!(count(), 0, "nothing of this takes a VF from anybody");

    // 128 VFs, one look.
    let mut all = kernel.inventory().unwrap();
    assert!(fake.hold(all.nics[0].vfs[7].address.as_deref().unwrap(), 4242, "qemu"));
    kernel.find_holders(&mut all.nics).unwrap();
    assert_eq!((count(), all.nics[0].vfs[7].holders.len(), all.nics[0].vfs[6].holders.len()), (1, 1, 0));
    // A change that would take them away names who has them.
    let fewer = Desired::legacy(device(profile), 1);
    let e = converge(&fewer, &mut kernel).unwrap_err();
    assert!(
        matches!(e, ConvergeError::Plan(PlanError::VfsInUse { .. })) && e.to_string().contains("qemu (pid 4242)"),
        "{e}"
    );
    assert_eq!(count(), 2);
    let nic = kernel.nic(&device(profile)).unwrap();
    let plan = kernel.plan(&Desired { disturb_used_vfs: true, ..fewer }, &nic).unwrap();
    assert!(plan.warnings.iter().any(|w| w.contains("takes away VF 7") && w.contains("qemu")), "{plan}");
    assert_eq!((count(), plan.used.len()), (3, 128));
}
