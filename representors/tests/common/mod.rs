//! A fake host with one NIC.

use std::time::Duration;

use mocks::kernel::{FakeKernel, NicSpec, Profile};
use representors::{DeviceId, Kernel, Pace};

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

/// Nothing in the fake takes time: only failures wait.
pub fn quick(kernel: &mut Kernel) {
    kernel.set_pace(Pace { deadline: Duration::from_millis(40), poll: Duration::from_millis(1) });
}
