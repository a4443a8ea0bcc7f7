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

/// `RTM_GETLINK` of interface 2 with `IFLA_EXT_MASK`, by hand.
fn link_of(kernel: &FakeKernel, mask: u32) -> netlink::Link {
    let mut socket = kernel.open(Protocol::Route).unwrap();
    socket.send(&le(&[40, 0x0005_0012, 1, 0, 0, 2, 0, 0, 0x001d_0008, mask])).unwrap();
    let answer = socket.recv(Duration::ZERO).unwrap().unwrap();
    netlink::Link::parse(&answer[16..]).unwrap()
}

#[test]
fn vf_lists_come_when_asked_for_and_settings_stick() {
    let kernel = host(Profile::Igb);
    kernel.sysfs().write("bus/pci/devices/0000:03:00.0/sriov_numvfs", "2").unwrap();
    assert!(link_of(&kernel, 0).vfs.is_empty());
    let pf = link_of(&kernel, 9);
    assert_eq!((pf.num_vf, pf.vfs.len(), pf.vfs[0].stats), (Some(2), 2, None));
    assert_eq!((pf.vfs[1].spoof_check, pf.vfs[1].trust, pf.vfs[1].rss_query), (Some(true), Some(false), None));
    assert!(link_of(&kernel, 1).vfs[0].stats.is_some());

    // ip link set p0 vf 1 trust on, as iproute2 sends it but for the interface.
    let set = |attr: &[u32]| {
        let mut socket = kernel.open(Protocol::Route).unwrap();
        let len = u32::try_from(attr.len() * 4).unwrap();
        let mut words = vec![40 + len, 0x0005_0013, 1, 0, 0, 2, 0, 0, (22 << 16) | (len + 8), (1 << 16) | (len + 4)];
        words.extend(attr);
        socket.send(&le(&words)).unwrap();
        let answer = socket.recv(Duration::ZERO).unwrap().unwrap();
        -i32::from_ne_bytes(answer[16..20].try_into().unwrap())
    };
    assert_eq!(set(&[0x0009_000c, 1, 1]), 0);
    assert_eq!(link_of(&kernel, 9).vfs[1].trust, Some(true));
    // What the lab's igb said: no link state, no VF 7, no service tag.
    assert_eq!(set(&[0x0005_000c, 0, 1]), 95);
    assert_eq!(set(&[0x0009_000c, 7, 1]), 22);
    assert_eq!(set(&[0x000c_0018, 0x0001_0014, 0, 100, 0, 0x0000_a888]), 93);
    assert_eq!(set(&[0x0002_0010, 0, 100, 3]), 0);
    assert_eq!(kernel.snapshot()[0].vfs[0].vlan, (100, 3, 0x8100));
}

#[test]
fn representors_come_late_out_of_order_and_are_renamed() {
    let kernel = FakeKernel::new();
    kernel.add_nic(NicSpec::new(Profile::Netdevsim, "netdevsim1", "p0").stagger(2));
    kernel.rename_new_after(1);
    kernel.sysfs().write("bus/netdevsim/devices/netdevsim1/sriov_numvfs", "3").unwrap();
    kernel.world().host.set_mode(0, true).unwrap();
    let names = || -> Vec<String> {
        kernel.world().begin(Op::LinkGet);
        kernel.world().host.netdevs.values().map(|d| d.name.clone()).collect()
    };
    let seen: Vec<usize> = (0..8).map(|_| names().len()).collect();
    assert_eq!(seen.last(), Some(&4));
    assert!(seen.windows(2).all(|w| w[0] <= w[1]) && seen[0] < 4, "{seen:?}");
    let port_names: Vec<_> = kernel.world().host.netdevs.values().filter_map(|d| d.port_name.clone()).collect();
    assert_eq!(port_names, ["p0", "pf0vf2", "pf0vf1", "pf0vf0"]);
    assert!(names()[1..].iter().all(|n| n.starts_with("ren")), "{:?}", names());
}

#[test]
fn a_nic_that_is_pulled_out_leaves_nothing() {
    let kernel = host(Profile::Mlx5);
    kernel.world().host.set_mode(0, true).unwrap();
    kernel.sysfs().write("bus/pci/devices/0000:03:00.0/sriov_numvfs", "2").unwrap();
    assert!(kernel.world().host.netdevs.len() > 3);
    kernel.remove_nic_after("0000:03:00.0", 2);
    let sysfs = kernel.sysfs();
    assert!(sysfs.read("bus/pci/devices/0000:03:00.0/sriov_numvfs").is_ok());
    assert!(sysfs.read("bus/pci/devices/0000:03:00.0/sriov_numvfs").unwrap_err().is_missing());
    assert!(kernel.world().host.netdevs.is_empty() && kernel.snapshot().is_empty());
}
