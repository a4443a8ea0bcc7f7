//! The real kernel of the machine that runs the tests: reads only, or inside a network namespace of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{process::Command, time::Duration};

use netlink::{
    Connection, Error, EventStream, Feature, FeatureClient, GenlConnection, HW_TC_OFFLOAD, KernelAccess, Link,
    LinkChange, LinkClient, LinkDetail, LinkSettings, Notice, Protocol, Qdisc, QdiscChange, RTNLGRP_LINK, RTNLGRP_TC,
    RealKernel, RealSysfs, Request, Sysfs, VfSettings, families, parse_link_notice, parse_qdisc_notice, qdiscs,
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
fn the_real_kernel_takes_and_shows_settings() {
    in_own_namespace("settings_in_a_namespace");
}

#[test]
#[ignore = "run by the_real_kernel_takes_and_shows_settings, inside a namespace"]
fn settings_in_a_namespace() {
    let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().is_ok_and(|s| s.success());
    if !ip("link add v0 type veth peer name v1") || !ip("link property add dev v0 altname a_name_of_more_than_15") {
        eprintln!("skipped: no veth or no alternative names here");
        return;
    }
    let mut links = LinkClient::new(RealKernel.open(Protocol::Route).unwrap());
    let v0 = links.find("v0").unwrap();
    assert_eq!(v0.info.kind.as_deref(), Some("veth"));
    assert_eq!(v0.alt_names, ["a_name_of_more_than_15"]);
    assert_eq!(links.find("a_name_of_more_than_15").unwrap().ifindex, v0.ifindex);
    assert!(ip("link property add dev v0 altname short"));
    assert_eq!(links.find("short").unwrap().ifindex, v0.ifindex);
    assert_eq!(links.find("nothing").unwrap_err().errno(), Some(19));
    let wish = LinkSettings { mtu: Some(1400), mac: Some([2, 0, 0, 0, 0, 1]), ..LinkSettings::default() };
    links.set(v0.ifindex, &wish).unwrap();
    let name = LinkSettings { name: Some("left".into()), ..LinkSettings::default() };
    links.set(v0.ifindex, &name).unwrap();
    links.set_up(v0.ifindex, true).unwrap();
    let v0 = links.get_with(v0.ifindex, LinkDetail { vfs: true, vf_stats: true }).unwrap();
    assert_eq!((v0.mtu, v0.mac, v0.name.as_str(), v0.is_up()), (Some(1400), Some([2, 0, 0, 0, 0, 1]), "left", true));
    assert!(v0.stats.is_some() && v0.vfs.is_empty() && v0.num_vf.is_none());
    if ip("link add br0 type bridge") {
        let bridge = links.find("br0").unwrap().ifindex;
        links.set(v0.ifindex, &LinkSettings { master: Some(bridge), ..LinkSettings::default() }).unwrap();
        let port = links.get(v0.ifindex).unwrap();
        assert_eq!((port.master, port.info.port_kind.as_deref()), (Some(bridge), Some("bridge")));
        links.set(v0.ifindex, &LinkSettings { master: Some(0), ..LinkSettings::default() }).unwrap();
        assert_eq!(links.get(v0.ifindex).unwrap().master, None);
    }
    // A device without VFs refuses, in words that name the request.
    let e = links.set_vf(v0.ifindex, 1, &VfSettings { trust: Some(true), ..VfSettings::default() }).unwrap_err();
    assert!(e.is_unsupported() && e.to_string().contains("vf 1 trust on"), "{e}");
    let e = links.set_mtu(v0.ifindex, 10).unwrap_err();
    assert!(e.to_string().contains("mtu"), "extended acknowledgement: {e}");

    let mut features = FeatureClient::open(RealKernel.open(Protocol::Generic).unwrap()).unwrap();
    let gro = features.get(v0.ifindex, "rx-gro").unwrap();
    assert!(gro.changeable);
    features.set(v0.ifindex, "rx-gro", !gro.active).unwrap();
    assert_eq!(features.get(v0.ifindex, "rx-gro").unwrap().active, !gro.active);
    assert_eq!(features.get(v0.ifindex, HW_TC_OFFLOAD).unwrap(), Feature { active: false, changeable: false });

    let mut conn = Connection::new(RealKernel.open(Protocol::Route).unwrap());
    assert!(!qdiscs(&mut conn).unwrap().iter().any(Qdisc::holds_rules));
    let tc = |args: &str| Command::new("tc").args(args.split(' ')).status().is_ok_and(|s| s.success());
    let mut events = EventStream::new(RealKernel.open(Protocol::Route).unwrap(), &[RTNLGRP_TC]).unwrap();
    let mut next = || match events.next(Duration::from_secs(5)).unwrap() {
        Some(Notice::Message(msg)) => parse_qdisc_notice(&msg).unwrap(),
        other => panic!("{other:?}"),
    };
    if tc("qdisc add dev left clsact") {
        let clsact = qdiscs(&mut conn).unwrap().into_iter().find(Qdisc::holds_rules).unwrap();
        assert_eq!((clsact.ifindex, clsact.kind.as_str()), (v0.ifindex, "clsact"));
        assert_eq!(next(), Some(QdiscChange::Present(clsact.clone())));
        assert!(tc("qdisc del dev left clsact"));
        assert_eq!(next(), Some(QdiscChange::Gone(clsact)));
    }
}

#[test]
fn open_files_are_found_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("group");
    std::fs::write(&path, "").unwrap();
    let prefix = format!("{}/", dir.path().to_str().unwrap());
    assert!(RealKernel.open_files(&prefix).is_empty());
    let _held = std::fs::File::open(&path).unwrap();
    let found = RealKernel.open_files(&prefix);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].path.as_str(), found[0].pid), (path.to_str().unwrap(), std::process::id()));
    assert!(!found[0].name.is_empty());
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
