//! The real kernel of the machine that runs the tests: reads only.

use netlink::{Connection, Error, GenlConnection, KernelAccess, LinkClient, Protocol, RealKernel, RealSysfs, Sysfs};

#[test]
fn loopback_is_found_and_read_back() {
    let Ok(transport) = RealKernel.open(Protocol::Route) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    let mut links = LinkClient::new(transport);
    let all = links.dump().unwrap();
    let lo = all.iter().find(|l| l.name == "lo").expect("every network namespace has lo");
    assert_eq!(lo.ifindex, 1);
    assert_eq!(lo.mac, Some([0; 6]));
    let again = links.get(1).unwrap();
    assert_eq!((again.name.as_str(), again.mtu), ("lo", lo.mtu));
}

#[test]
fn a_missing_device_is_refused() {
    let Ok(transport) = RealKernel.open(Protocol::Route) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    let e = LinkClient::new(transport).get(0x7fff_fff0).unwrap_err();
    assert!(matches!(e, Error::Kernel(ref k) if k.errno == 19), "{e}");
}

#[test]
fn the_controller_family_resolves_and_a_missing_one_does_not() {
    let Ok(transport) = RealKernel.open(Protocol::Generic) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    let ctrl = GenlConnection::resolve(Connection::new(transport), "nlctrl").unwrap();
    assert_eq!(ctrl.family().id, 0x10);
    assert!(ctrl.family().group("notify").is_ok());
    let again = RealKernel.open(Protocol::Generic).unwrap();
    let e = GenlConnection::resolve(Connection::new(again), "shunt-none").unwrap_err();
    assert!(matches!(e, Error::NoFamily { .. }), "{e}");
}

#[test]
fn sysfs_reads_writes_and_stays_inside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("numvfs"), "4\n").unwrap();
    std::os::unix::fs::symlink("../drivers/mlx5_core", dir.path().join("driver")).unwrap();
    let sysfs = RealSysfs::at(dir.path());
    assert_eq!(sysfs.read("numvfs").unwrap(), "4");
    sysfs.write("numvfs", "0").unwrap();
    assert_eq!(sysfs.read("numvfs").unwrap(), "0");
    assert_eq!(sysfs.readlink("driver").unwrap(), "mlx5_core");
    assert_eq!(sysfs.list("").unwrap_err().source.kind(), std::io::ErrorKind::InvalidInput);
    assert!(sysfs.read("../etc/passwd").is_err());
    assert!(sysfs.write("missing", "1").unwrap_err().is_missing());
}
