//! Eswitches, VFs, representors and devices as they are told to be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Collected, EswitchMode, EswitchPlan, EswitchView, PortView, RepresentorView, VfView, paths};
use hw_tests::Rig;
use std::time::{Duration, Instant};

const PF: &str = "pci/0000:03:00.0";

fn eswitch(rig: &Rig) -> (EswitchMode, u32) {
    let all: Vec<EswitchView> = rig.json(&["eswitch", "show"]).unwrap();
    assert_eq!((all.len(), all[0].pf.as_str()), (1, PF));
    (all[0].mode, all[0].vfs)
}

fn representors(rig: &Rig) -> Vec<String> {
    let all: Vec<RepresentorView> = rig.json(&["rep", "list"]).unwrap();
    all.into_iter().map(|r| r.name).collect()
}

fn set(rig: &Rig, args: &[&str]) -> EswitchPlan {
    rig.json(&[&["eswitch", "set", PF], args].concat()).unwrap()
}

#[test]
fn an_eswitch_goes_to_legacy_and_back_and_stays_where_it_was_told() {
    let mut rig = Rig::start("connectx,vfs=4").unwrap();
    assert_eq!(eswitch(&rig), (EswitchMode::Switchdev, 4));
    assert_eq!(representors(&rig), ["uplink", "pf0vf0", "pf0vf1", "pf0vf2", "pf0vf3"]);

    let dry = set(&rig, &["--mode", "legacy", "--dry-run"]);
    assert!(!dry.applied && dry.steps.len() >= 2, "{dry:?}");
    assert_eq!(eswitch(&rig), (EswitchMode::Switchdev, 4));
    let real = set(&rig, &["--mode", "legacy"]);
    assert!(real.applied);
    assert_eq!(real.steps, dry.steps, "the dry run said what is done");
    assert_eq!(eswitch(&rig), (EswitchMode::Legacy, 4));
    let vfs: Vec<VfView> = rig.json(&["vf", "list"]).unwrap();
    assert_eq!(
        vfs.iter().map(|v| (v.vf, v.representor.is_some())).collect::<Vec<_>>(),
        [0, 1, 2, 3].map(|n| (n, false))
    );
    assert!(!representors(&rig).contains(&"pf0vf0".to_owned()));
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let port = |vf| ["port", "add", "br0", "p0", "--type", "representor", "--devargs", vf];
    assert!(rig.refused(&port("pf0vf0")).unwrap().contains("pf0vf0"));

    // What --mock says is where it begins; what was told since wins after a crash.
    rig.restart().unwrap();
    assert_eq!(eswitch(&rig).0, EswitchMode::Legacy);
    assert!(set(&rig, &["--mode", "switchdev", "--vfs", "2"]).applied);
    assert_eq!(representors(&rig), ["uplink", "pf0vf0", "pf0vf1"]);
    rig.restart().unwrap();
    assert_eq!(eswitch(&rig), (EswitchMode::Switchdev, 2));
    assert_eq!(rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "2"]).unwrap(), "nothing to do\n");

    rig.ok(&port("pf0vf1")).unwrap();
    let reps: Vec<RepresentorView> = rig.json(&["rep", "list"]).unwrap();
    assert_eq!(reps[2].port.as_deref(), Some("p0"));
    let line = rig.refused(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "5"]).unwrap();
    assert!(line.contains('5') && line.contains('4') && line.matches(PF).count() == 1, "{line}");
}

fn port(rig: &Rig, name: &str) -> PortView {
    let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
    ports.into_iter().find(|p| p.port.name == name).unwrap_or_else(|| panic!("no port {name}"))
}

fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A capture with one frame.
fn capture(rig: &Rig) -> (String, Vec<u8>) {
    let path = rig.dir().join("x.pcap");
    let data = [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5], &[7; 50][..]].concat();
    let frame = api::CapturedFrame { at: Duration::ZERO, data: data.clone() };
    std::fs::write(&path, api::write_capture(&[frame]).unwrap()).unwrap();
    (path.to_str().unwrap().to_owned(), data)
}

#[test]
fn packets_of_a_dpdk_port_reach_a_vf_and_the_device_can_be_had_again() {
    let rig = Rig::start("connectx,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["port", "add", "br0", "vf0", "--type", "representor", "--devargs", "pf0vf0", "--ofport", "2"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    let (path, data) = capture(&rig);
    let devargs = format!("net_pcap0,rx_pcap={path},infinite_rx=1");
    let add = ["port", "add", "br0", "gen", "--type", "dpdk", "--devargs", &devargs, "--ofport", "1"];
    for round in 0..3 {
        rig.ok(&add).unwrap();
        assert_eq!(port(&rig, "gen").state, "up");
        eventually("packets flow", || {
            let collected: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
            assert!(collected.frames.iter().all(|f| f.end == 1 && f.hex == api::to_hex(&data)));
            !collected.frames.is_empty()
        });
        let before = port(&rig, "gen").rx_packets;
        eventually("counters grow", || port(&rig, "gen").rx_packets > before + 1000);
        rig.ok(&["port", "del", "br0", "gen"]).unwrap_or_else(|e| panic!("round {round}: {e}"));
        let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        assert_eq!(ports.len(), 1);
    }
    // Its flow is gone with it, and the rule is still there.
    assert_eq!(rig.ok(&["--json", "dp", "flows"]).unwrap(), "[]\n");
    assert_eq!(rig.ok(&["flow", "dump", "br0"]).unwrap().lines().count(), 1);
    let log = rig.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_tap_and_a_null_port_come_and_go() {
    let rig = Rig::start("none,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let mut devices = vec!["net_null0"];
    if std::path::Path::new("/dev/net/tun").exists() {
        devices.push("net_tap0,iface=shunttest0");
    } else {
        println!("skipped: no /dev/net/tun");
    }
    for devargs in devices {
        for _ in 0..2 {
            rig.ok(&["port", "add", "br0", "x", "--type", "dpdk", "--devargs", devargs]).unwrap();
            assert_eq!(port(&rig, "x").state, "up");
            rig.ok(&["port", "del", "br0", "x"]).unwrap();
        }
    }
}

#[test]
fn the_limit_of_ports_is_named() {
    let rig = Rig::start("none,vfs=0").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let mut added = 0;
    let refused = loop {
        let (name, devargs) = (format!("n{added}"), format!("net_null{added},no-rx=1"));
        let args = ["port", "add", "br0", &name, "--type", "dpdk", "--devargs", &devargs];
        if rig.ctl(&args).unwrap().code != Some(0) {
            break rig.refused(&args).unwrap();
        }
        added += 1;
        assert!(added < 40, "no limit");
    };
    assert!(refused.contains("32 ports") && refused.contains(&format!("port n{added}")), "{added}: {refused}");
    assert!(added >= 28, "only {added}: {refused}");
    let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
    assert_eq!(ports.len(), added);
    rig.ok(&["port", "del", "br0", "n3"]).unwrap();
    rig.ok(&["port", "add", "br0", "again", "--type", "dpdk", "--devargs", "net_null3,no-rx=1"]).unwrap();
}

#[test]
fn a_port_whose_device_is_gone_is_shown_with_the_reason_and_comes_back() {
    let mut rig = Rig::start("none,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let (path, _) = capture(&rig);
    let devargs = format!("net_pcap0,rx_pcap={path}");
    rig.ok(&["port", "add", "br0", "gen", "--type", "dpdk", "--devargs", &devargs, "--ofport", "5"]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    rig.restart().unwrap();
    let gone = port(&rig, "gen");
    assert!(gone.state.contains(&path) && gone.port.ofport == Some(5), "{}", gone.state);
    std::fs::write(&path, bytes).unwrap();
    rig.restart().unwrap();
    assert_eq!(port(&rig, "gen").state, "up");
    rig.ok(&["port", "del", "br0", "gen"]).unwrap();
}
