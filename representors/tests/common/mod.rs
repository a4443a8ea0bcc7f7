//! A fake host with one NIC.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::time::Duration;

use mocks::kernel::{FakeKernel, NicSpec, Profile};
use representors::{Desired, DeviceId, Kernel, Pace, SfDesired, VfDesired, VfLinkState, VfRate, VfVlan, VlanProto};

pub const SWITCHING: [Profile; 4] = [Profile::Mlx5, Profile::Mlx5Old, Profile::Ice, Profile::Netdevsim];

pub fn device(profile: Profile) -> DeviceId {
    match profile {
        Profile::Netdevsim => DeviceId::new("netdevsim", "netdevsim1"),
        _ => DeviceId::new("pci", "0000:03:00.0"),
    }
}

pub fn spec(profile: Profile) -> NicSpec {
    NicSpec::new(profile, &device(profile).name, "p0")
}

pub fn host(spec: NicSpec) -> (FakeKernel, Kernel) {
    let fake = FakeKernel::new();
    fake.add_nic(spec);
    let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
    quick(&mut kernel);
    (fake, kernel)
}

/// Nothing in the fake takes time: only failures wait. Long enough for a thread that loses its CPU for a while.
pub fn quick(kernel: &mut Kernel) {
    kernel.set_pace(Pace { deadline: Duration::from_millis(120), poll: Duration::from_millis(1) });
}

/// Everything that a driver lets be set, on two VFs (and two sub-functions, where there are some), in the mode for it.
pub fn everything(profile: Profile) -> Desired {
    let vlan = VfVlan { id: 100, qos: 3, proto: VlanProto::Dot1Q };
    let common =
        VfDesired { mac: Some([2, 0, 0, 0, 7, 1]), rate: Some(VfRate { min: 0, max: 500 }), ..VfDesired::default() };
    let full = VfDesired {
        vlan: Some(vlan),
        spoof_check: Some(profile == Profile::Netdevsim),
        link_state: Some(VfLinkState::Enable),
        ..common.clone()
    };
    let (first, second) = match profile {
        Profile::Mlx5 | Profile::Mlx5Old => {
            (VfDesired { link_state: Some(VfLinkState::Enable), ..common.clone() }, VfDesired::default())
        }
        Profile::Ice => (full, VfDesired { representor_up: Some(false), ..VfDesired::default() }),
        Profile::Netdevsim => {
            (VfDesired { trust: Some(true), ..full }, VfDesired { vlan: Some(vlan), ..VfDesired::default() })
        }
        Profile::Igb => (VfDesired { link_state: None, trust: Some(true), ..full }, VfDesired::default()),
    };
    let per_vf = [(0, first), (1, VfDesired { spoof_check: second.spoof_check, ..second })].into();
    if profile == Profile::Igb {
        return Desired { per_vf, ..Desired::legacy(device(profile), 2) };
    }
    let sf = |mac, active| SfDesired { mac, active, representor_up: Some(true), ..SfDesired::default() };
    let sfs = [(5, sf(Some([2, 0, 0, 0, 8, 5]), true)), (88, sf(None, false))].into();
    Desired {
        hw_tc_offload: Some(true),
        representors_up: Some(true),
        representor_mtu: Some(9000),
        sfs: matches!(profile, Profile::Mlx5 | Profile::Mlx5Old).then_some(sfs),
        per_vf,
        ..Desired::switchdev(device(profile), 2)
    }
}
