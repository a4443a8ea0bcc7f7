//! Bytes in, bytes out: against the kernel's documented answers.

use std::time::Duration;

use netlink::{KernelAccess, Protocol};

use super::{FakeKernel, Fault, FaultRule, NicSpec, Op, Profile};

fn host(profile: Profile) -> FakeKernel {
    let kernel = FakeKernel::new();
    let name = if profile == Profile::Netdevsim { "netdevsim1" } else { "0000:03:00.0" };
    kernel.add_nic(NicSpec::new(profile, name, "p0"));
    kernel
}

fn le(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// `CTRL_CMD_GETFAMILY devlink` as `genl ctrl get name devlink` sends it.
#[test]
fn the_controller_family_answers() {
    let kernel = host(Profile::Mlx5);
    let mut socket = kernel.open(Protocol::Generic).unwrap();
    let mut request = le(&[32, 0x0005_0010, 7, 0]);
    request.extend([3, 1, 0, 0, 12, 0, 2, 0]);
    request.extend(b"devlink\0");
    socket.send(&request).unwrap();
    let answer = socket.recv(Duration::ZERO).unwrap().unwrap();
    assert_eq!(&answer[8..12], 7u32.to_ne_bytes());
    assert_eq!(&answer[16..20], [1, 2, 0, 0]);
    assert!(answer.windows(7).any(|w| w == b"config\0"));
    // The acknowledgement: NLMSG_ERROR with code 0.
    let ack = socket.recv(Duration::ZERO).unwrap().unwrap();
    assert_eq!(&ack[4..6], [2, 0]);
    assert_eq!(&ack[16..20], [0; 4]);
    assert_eq!(socket.recv(Duration::ZERO).unwrap(), None);
}

#[test]
fn numvfs_follows_pci_sysfs() {
    let kernel = host(Profile::Mlx5);
    let sysfs = kernel.sysfs();
    let file = "bus/pci/devices/0000:03:00.0/sriov_numvfs";
    let errno = |r: Result<(), netlink::SysfsError>| r.unwrap_err().source.raw_os_error();
    assert_eq!(sysfs.read("bus/pci/devices/0000:03:00.0/sriov_totalvfs").unwrap(), "16");
    assert_eq!(errno(sysfs.write(file, "17")), Some(34));
    sysfs.write(file, "2").unwrap();
    assert_eq!(errno(sysfs.write(file, "3")), Some(16));
    assert_eq!(errno(sysfs.write(file, "x")), Some(22));
    assert_eq!(sysfs.readlink("bus/pci/devices/0000:03:00.0/virtfn1").unwrap(), "0000:03:00.3");
    assert_eq!(sysfs.readlink("bus/pci/devices/0000:03:00.3/physfn").unwrap(), "0000:03:00.0");
    assert_eq!(sysfs.readlink("bus/pci/devices/0000:03:00.3/driver").unwrap(), "mlx5_core");
    sysfs.write("bus/pci/drivers/mlx5_core/unbind", "0000:03:00.3").unwrap();
    assert!(sysfs.readlink("bus/pci/devices/0000:03:00.3/driver").unwrap_err().is_missing());
    sysfs.write("bus/pci/devices/0000:03:00.3/driver_override", "vfio-pci").unwrap();
    sysfs.write("bus/pci/drivers_probe", "0000:03:00.3").unwrap();
    assert_eq!(sysfs.readlink("bus/pci/devices/0000:03:00.3/driver").unwrap(), "vfio-pci");
    sysfs.write(file, "0").unwrap();
    assert!(sysfs.readlink("bus/pci/devices/0000:03:00.0/virtfn0").unwrap_err().is_missing());
}

#[test]
fn functions_appear_late_when_told_to() {
    let kernel = FakeKernel::new();
    kernel.add_nic(NicSpec::new(Profile::Ice, "0000:03:00.0", "p0").delay(3));
    let sysfs = kernel.sysfs();
    sysfs.write("bus/pci/devices/0000:03:00.0/sriov_numvfs", "2").unwrap();
    let tries = (1..10).find(|_| sysfs.readlink("bus/pci/devices/0000:03:00.0/virtfn1").is_ok());
    assert_eq!(tries, Some(3));
}

#[test]
fn faults_strike_where_they_are_aimed() {
    let kernel = host(Profile::Ice);
    let sysfs = kernel.sysfs();
    let file = "bus/pci/devices/0000:03:00.0/sriov_numvfs";
    kernel.inject(FaultRule::once(Op::SysfsWrite, Fault::Ignore));
    sysfs.write(file, "2").unwrap();
    assert_eq!(sysfs.read(file).unwrap(), "0");
    kernel.inject(FaultRule {
        op: Some(Op::SysfsRead),
        skip: 1,
        times: 1,
        fault: Fault::Refuse { errno: 5, text: String::new() },
    });
    assert!(sysfs.read(file).is_ok());
    assert_eq!(sysfs.read(file).unwrap_err().source.raw_os_error(), Some(5));
    assert!(sysfs.read(file).is_ok());
    assert_eq!(kernel.operations(), 5);
}

#[test]
fn garbage_is_ignored_or_refused() {
    let kernel = host(Profile::Netdevsim);
    for protocol in [Protocol::Route, Protocol::Generic] {
        let mut socket = kernel.open(protocol).unwrap();
        for datagram in [&[][..], &[1, 2, 3], &[0xff; 40]] {
            socket.send(datagram).unwrap();
            assert_eq!(socket.recv(Duration::ZERO).unwrap(), None);
        }
        // A request of a type that does not exist.
        socket.send(&le(&[16, 0x0001_0099, 1, 0])).unwrap();
        let answer = socket.recv(Duration::ZERO).unwrap().unwrap();
        assert_eq!(&answer[16..20], (-2i32).to_ne_bytes());
    }
}
