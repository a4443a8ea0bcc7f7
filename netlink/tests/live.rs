//! The real kernel of the machine that runs the tests: reads only, or inside a network namespace of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{process::Command, time::Duration};

use netlink::{
    Connection, Error, EventStream, GenlConnection, KernelAccess, Link, LinkChange, LinkClient, Notice, Protocol,
    RTNLGRP_LINK, RealKernel, RealSysfs, Request, Sysfs, families, parse_link_notice,
};

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

#[test]
fn families_are_those_that_resolve_one_by_one() {
    let Ok(transport) = RealKernel.open(Protocol::Generic) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    let all = families(&mut Connection::new(transport)).unwrap();
    assert!(all.iter().any(|f| f.name == "nlctrl" && f.id == 0x10));
    for family in all {
        let conn = Connection::new(RealKernel.open(Protocol::Generic).unwrap());
        let resolved = GenlConnection::resolve(conn, &family.name).unwrap();
        assert_eq!(resolved.family(), &family);
    }
}

/// 200 requests of `ip link show`, every other one about a device that is not there.
#[test]
fn a_batch_is_answered_by_the_real_kernel() {
    let Ok(transport) = RealKernel.open(Protocol::Route) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    let request = |n: u32| {
        let mut payload = vec![0; 16];
        payload[4..8].copy_from_slice(&if n.is_multiple_of(2) { 1u32 } else { 0x7fff_fff0 }.to_ne_bytes());
        Request { what: format!("get {n}"), kind: 18, flags: 0, payload }
    };
    let results = Connection::new(transport).batch(&(0..200).map(request).collect::<Vec<_>>());
    assert_eq!(results.len(), 200);
    for (n, result) in results.iter().enumerate() {
        match result {
            Ok(replies) if n % 2 == 0 => assert_eq!(Link::parse(&replies[0].payload).unwrap().name, "lo"),
            Err(e) if n % 2 == 1 => assert_eq!(e.errno(), Some(19), "{e}"),
            other => panic!("{n}: {other:?}"),
        }
    }
}

/// A dump that is given up half-way makes the kernel refuse the next on that socket (`EBUSY`) until it is read.
#[test]
fn a_dump_that_was_given_up_is_read_to_its_end() {
    let Ok(mut transport) = RealKernel.open(Protocol::Generic) else {
        eprintln!("skipped: no netlink sockets here");
        return;
    };
    // GETFAMILY, REQUEST | DUMP: started, and not read.
    let mut dump = 20u32.to_ne_bytes().to_vec();
    dump.extend([0x10, 0, 1, 3, 9, 9, 9, 9, 0, 0, 0, 0, 3, 1, 0, 0]);
    transport.send(&dump).unwrap();
    assert!(!families(&mut Connection::new(transport)).unwrap().is_empty());
}

/// Runs `test` of this file again, inside a network namespace of its own.
fn in_own_namespace(test: &str) {
    let me = std::env::current_exe().unwrap();
    let run = Command::new("unshare").arg("-n").arg(me).args(["--exact", test, "--ignored", "--nocapture"]).output();
    match run {
        Ok(out) if out.status.success() => {}
        Ok(out) if String::from_utf8_lossy(&out.stderr).starts_with("unshare:") => {
            eprintln!("skipped: no network namespace of our own: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(out) => panic!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
        Err(e) => eprintln!("skipped: cannot run unshare: {e}"),
    }
}

#[test]
fn an_overrun_of_the_real_kernel_asks_for_a_resync() {
    in_own_namespace("overrun_in_a_namespace");
}

#[test]
#[ignore = "run by an_overrun_of_the_real_kernel_asks_for_a_resync, inside a namespace"]
fn overrun_in_a_namespace() {
    let mut socket = RealKernel.open(Protocol::Route).unwrap();
    socket.set_receive_buffer(8192).unwrap();
    let mut events = EventStream::with_buffer_as_it_is(socket, &[RTNLGRP_LINK]).unwrap();
    let mut links = LinkClient::new(RealKernel.open(Protocol::Route).unwrap());
    for mtu in 1000..1500 {
        links.set_mtu(1, mtu).unwrap();
    }
    let (mut resync, mut last) = (false, 0);
    while let Some(notice) = events.next(Duration::from_millis(20)).unwrap() {
        match notice {
            Notice::Resync { .. } => resync = true,
            Notice::Message(msg) => match parse_link_notice(&msg).unwrap() {
                Some(LinkChange::Present(link)) => last = link.mtu.unwrap(),
                other => panic!("{other:?}"),
            },
        }
    }
    assert!(resync && last < 1499, "500 events do not fit; the last one seen set {last}");
    assert_eq!(links.get(1).unwrap().mtu, Some(1499));
    // After the queue was read, events come again.
    links.set_mtu(1, 900).unwrap();
    assert!(matches!(events.next(Duration::from_secs(5)).unwrap(), Some(Notice::Message(_))));
    // With a buffer of the usual size nothing is lost.
    let mut events = EventStream::new(RealKernel.open(Protocol::Route).unwrap(), &[RTNLGRP_LINK]).unwrap();
    for mtu in 1000..1500 {
        links.set_mtu(1, mtu).unwrap();
    }
    let count = std::iter::from_fn(|| events.next(Duration::from_millis(20)).unwrap())
        .map(|n| assert!(matches!(n, Notice::Message(_))))
        .count();
    assert_eq!(count, 500);
}
