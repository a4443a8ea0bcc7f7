//! Memory for packets and DPDK ports, as a user sees them: plans, pools, options, devices that come and go.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{MemPlan, MemView, PortCounters, PortDetails, PortView};
use hw_tests::{Rig, run};
use std::process::Command;
use std::time::{Duration, Instant};

fn rig() -> Rig {
    let rig = Rig::start("none,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig
}

fn plan(file: &str, args: &[&str]) -> MemPlan {
    let out = run("shuntctl", &[&["--json", "mem", "plan", "--config", file], args].concat()).unwrap();
    assert_eq!(out.code, Some(0), "{out:?}");
    serde_json::from_str(&out.stdout).unwrap()
}

#[test]
fn a_plan_needs_no_daemon_and_has_the_figures_of_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shunt.toml");
    let state = format!("state = \"{}\"\n", dir.path().join("none.redb").display());
    let file_name = file.to_str().unwrap();
    let write = |text: &str| std::fs::write(&file, format!("{state}[datapath]\n{text}")).unwrap();

    write("mbufs = 262144\n");
    let shared = plan(file_name, &["--mtu", "1500,1800,6000,9000"]);
    let shown: Vec<_> = shared.pools.iter().map(|p| (p.ports.join(" "), p.mbufs, p.mbuf_size, p.megabytes)).collect();
    assert_eq!(
        shown,
        [
            ("port1 port2".to_owned(), 262_144, 3008, 788),
            ("port3".to_owned(), 262_144, 7104, 1862),
            ("port4".to_owned(), 262_144, 10_176, 2667),
        ]
    );
    // Every buffer holds frame, headroom, mbuf and header, and the plan says what is missing, or that nothing is.
    assert!(shared.pools.iter().all(|p| p.bytes > u64::from(p.mbufs) * u64::from(p.mtu)));
    assert_eq!(shared.command.is_some(), shared.need_mib > shared.have_mib, "{shared:?}");

    write("per_port_memory = true\n");
    for (args, mbufs) in [(["1500", "1", "1"], 22_560), (["6000", "1", "2"], 24_608), (["9000", "2", "2"], 26_656)] {
        let [mtu, rxq, pmds] = args;
        let own = plan(file_name, &["--mtu", mtu, "--n-rxq", rxq, "--pmds", pmds]);
        assert_eq!((own.model.as_str(), own.pools[1].mbufs), ("per-port", mbufs), "{args:?}");
    }

    write("shared_mempool_config = \"9000,1500:1,6000:1\"\nmbufs = 16384\n");
    for (node, mtu, based_on) in [("0", "1500", 9000), ("0", "9300", 9300), ("1", "1500", 1500), ("1", "6000", 6000)] {
        let plan = plan(file_name, &["--mtu", mtu, "--node", node]);
        let pool = plan.pools.iter().find(|p| p.ports == ["port1"]).unwrap();
        assert_eq!(pool.mtu, based_on, "MTU {mtu} on node {node}");
    }

    for (text, args, said) in [
        ("shared_mempool_config = \"9000,x\"\n", &[][..], "`x`"),
        ("", &["--mtu", "10"][..], "MTU of 10"),
        ("", &["--shared-mempool-config", "1:2:3"], "`1:2:3`"),
        ("mbuf = 3\n", &[], "unknown field `mbuf`"),
    ] {
        write(text);
        let out = run("shuntctl", &[&["mem", "plan", "--config", file_name], args].concat()).unwrap();
        assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1), "{out:?}");
        assert!(out.stderr.contains(said), "{out:?}");
    }
}

#[test]
fn a_pool_that_cannot_be_names_need_have_and_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shunt.toml");
    // More than any machine of ours has: 2 TB.
    std::fs::write(&file, "[datapath]\nmbufs = 900000000\nmemory_mib = 64\n").unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let args = ["--mock", "none", "--config", file.to_str().unwrap(), "--socket", &path("s"), "--state", &path("r")];
    let out = run("shuntd", &args).unwrap();
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1), "{out:?}");
    for part in ["900000000 packet buffers", "needs", "and have", "MiB"] {
        assert!(out.stderr.contains(part), "{out:?}");
    }
    assert!(out.stderr.contains("nr_hugepages") || out.stderr.contains("set memory_mib = "), "{out:?}");
}

#[test]
fn options_of_a_dpdk_port_are_checked_shown_changed_and_kept() {
    let mut rig = rig();
    let add = ["port", "add", "br0", "n0", "--type", "dpdk", "--devargs", "net_null0,no-rx=1"];
    let with = |more: &[&'static str]| [&add[..], more].concat();
    for (args, said) in [
        (with(&["--n-rxq", "5000"]), "5000 receive queues"),
        (with(&["--mtu", "10"]), "MTU of 10"),
        (with(&["--option", "frobnicate=1"]), "n_rxq"),
        (with(&["--option", "n_rxq=many"]), "many"),
        (with(&["--lsc-interrupt", "on"]), "link interrupts"),
        (with(&["--rx-flow-ctrl", "on"]), "flow control"),
    ] {
        let line = rig.refused(&args).unwrap();
        assert!(line.contains("port n0") && line.contains(said), "{line}");
        assert!(rig.json::<Vec<PortView>>(&["port", "list"]).unwrap().is_empty());
    }
    rig.ok(&with(&["--n-rxq", "2", "--n-rxq-desc", "512", "--mtu", "2000"])).unwrap();
    let show = |rig: &Rig| {
        let details: PortDetails = rig.json(&["port", "show", "n0"]).unwrap();
        (details.port.state.clone(), details.device.unwrap())
    };
    let (state, device) = show(&rig);
    assert_eq!((state.as_str(), device.driver.as_str()), ("up", "net_null"));
    assert_eq!((device.rx_queues, device.rx_descriptors, device.tx_descriptors, device.mtu), (2, 512, 2048, 2000));
    assert_eq!(device.mac.len(), 17);
    assert!(
        device.tx_offloads.contains(&"multi-segs".to_owned()) == device.tx_capable.contains(&"multi-segs".to_owned())
    );

    rig.ok(&["port", "set", "br0", "n0", "--mtu", "1400", "--n-rxq", "1", "--n-rxq-desc", "0"]).unwrap();
    let (_, device) = show(&rig);
    assert_eq!((device.rx_queues, device.rx_descriptors, device.mtu), (1, 2048, 1400));
    // Refused: as it was, and it runs.
    let line = rig.refused(&["port", "set", "br0", "n0", "--n-rxq", "5000"]).unwrap();
    assert!(line.contains("5000 receive queues"), "{line}");
    assert_eq!(show(&rig), ("up".to_owned(), device));

    let stats: PortCounters = rig.json(&["port", "stats", "n0", "--xstats"]).unwrap();
    assert!(stats.counters.contains_key("device_rx_packets") && stats.counters.contains_key("tx_dropped"));
    assert!(stats.xstats.iter().any(|(name, _)| name == "rx_good_packets"), "{stats:?}");
    let plain: PortCounters = rig.json(&["port", "stats", "n0"]).unwrap();
    assert!(plain.xstats.is_empty());
    assert!(rig.refused(&["port", "show", "n7"]).unwrap().contains("n7"));

    rig.restart().unwrap();
    let (state, device) = show(&rig);
    assert_eq!((state.as_str(), device.rx_queues, device.mtu), ("up", 1, 1400));
}

#[test]
fn pools_follow_ports_and_nothing_is_left_of_those_that_went() {
    let rig = rig();
    let pools = |rig: &Rig| -> Vec<(String, String)> {
        let view: MemView = rig.json(&["mem", "show"]).unwrap();
        assert!(view.pools.iter().all(|p| p.in_use + p.free == p.mbufs));
        view.pools.into_iter().map(|p| (p.name, p.ports.join(" "))).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(pools(&rig), [pair("packets", "")]);
    for round in 0..5 {
        rig.ok(&["port", "add", "br0", "n0", "--type", "dpdk", "--devargs", "net_null0,no-rx=1"]).unwrap();
        rig.ok(&["port", "add", "br0", "n1", "--type", "dpdk", "--devargs", "net_null1,no-rx=1", "--mtu", "3000"])
            .unwrap();
        assert_eq!(pools(&rig), [pair("packets", "n0"), pair("mtu3000", "n1")], "round {round}");
        rig.ok(&["port", "set", "br0", "n0", "--mtu", "2900"]).unwrap();
        assert_eq!(pools(&rig), [pair("packets", ""), pair("mtu3000", "n1 n0")], "round {round}");
        rig.ok(&["port", "del", "br0", "n1"]).unwrap();
        rig.ok(&["port", "set", "br0", "n0", "--mtu", "0"]).unwrap();
        assert_eq!(pools(&rig), [pair("packets", "n0")], "round {round}");
        rig.ok(&["port", "del", "br0", "n0"]).unwrap();
    }
    let start = Instant::now();
    loop {
        let view: MemView = rig.json(&["mem", "show"]).unwrap();
        if view.waiting == 0 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{} pools were never freed", view.waiting);
        std::thread::sleep(Duration::from_millis(50));
    }
    // The plan of a running daemon knows its ports.
    rig.ok(&["port", "add", "br0", "n0", "--type", "dpdk", "--devargs", "net_null0,no-rx=1"]).unwrap();
    let plan: MemPlan = rig.json(&["mem", "plan", "--mtu", "9000"]).unwrap();
    let shown: Vec<_> = plan.pools.iter().map(|p| (p.name.as_str(), p.ports.join(" "))).collect();
    assert_eq!(shown, [("packets", "n0".to_owned()), ("mtu9000", "port1".to_owned())]);
    assert!(rig.ok(&["mem", "plan"]).unwrap().contains("model: shared"));
    assert!(rig.ok(&["mem", "show"]).unwrap().contains("DPDK's memory"));
}

/// Removes the interface, if it is there.
struct Veth(String);

impl Veth {
    fn add(&self) -> bool {
        let peer = format!("{}p", self.0);
        let ip = |args: &[&str]| Command::new("ip").args(args).output().is_ok_and(|o| o.status.success());
        ip(&["link", "add", &self.0, "type", "veth", "peer", "name", &peer]) && ip(&["link", "set", &self.0, "up"])
    }

    fn del(&self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        self.del();
    }
}

#[test]
fn a_device_that_is_taken_away_is_missed_and_taken_up_again_when_it_is_back() {
    let veth = Veth(format!("shm{}", std::process::id() % 1_000_000));
    if !veth.add() {
        eprintln!("skipped: no right to make a veth interface");
        return;
    }
    let rig = rig();
    let devargs = format!("net_af_packet0,iface={}", veth.0);
    rig.ok(&["port", "add", "br0", "wire", "--devargs", &devargs, "--ofport", "7"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=wire,actions=drop"]).unwrap();
    let state = || rig.json::<PortDetails>(&["port", "show", "wire"]).unwrap();
    assert_eq!(state().port.state, "up");
    let wait = |what: &str, done: &dyn Fn(&PortDetails) -> bool| {
        let start = Instant::now();
        loop {
            let now = state();
            if done(&now) {
                return now;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: {now:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    veth.del();
    let gone = wait("gone", &|p| p.port.state.starts_with("gone: "));
    assert!(gone.device.is_none() && gone.port.port.ofport == Some(7), "{gone:?}");
    assert!(rig.ok(&["flow", "dump", "br0"]).unwrap().contains("in_port"));
    assert!(veth.add());
    let back = wait("back", &|p| p.port.state == "up");
    assert_eq!((back.port.port.ofport, back.device.unwrap().driver.as_str()), (Some(7), "net_af_packet"));
    // Away again, and removed while it is.
    veth.del();
    wait("gone again", &|p| p.port.state.starts_with("gone: "));
    rig.ok(&["port", "del", "br0", "wire"]).unwrap();
    let view: MemView = rig.json(&["mem", "show"]).unwrap();
    assert!(view.pools.iter().all(|p| p.ports.is_empty()), "{view:?}");
}
