//! VFs and representors: settings, names, counters, and what others do to them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{
    CheckResult, EswitchMode, EswitchPlan, EswitchSet, LinkState, MockKernel, NicChecks, NicView, PortView,
    RepresentorView, VfSet, VfView, VfWish, paths,
};
use hw_tests::Rig;
use std::time::{Duration, Instant};

const PF: &str = "pci/0000:03:00.0";

fn kernel(rig: &Rig, what: MockKernel) -> bool {
    rig.post(paths::MOCK_KERNEL, &what).unwrap()
}

fn vf(rig: &Rig, name: &str) -> VfView {
    rig.json(&["vf", "show", name]).unwrap()
}

fn nic(rig: &Rig) -> NicView {
    let all: Vec<NicView> = rig.json(&["nic", "show", PF]).unwrap();
    all.into_iter().next().unwrap()
}

fn within(limit: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn settings_are_made_read_back_kept_and_forgotten_with_their_vf() {
    let mut rig = Rig::start("connectx,vfs=4").unwrap();
    rig.ok(&["eswitch", "set", PF, "--mode", "legacy", "--vfs", "4"]).unwrap();
    let all = [
        "vf",
        "set",
        "pf0vf1",
        "--mac",
        "02:00:00:00:00:11",
        "--vlan",
        "100",
        "--qos",
        "5",
        "--trust",
        "on",
        "--spoof-check",
        "on",
        "--link-state",
        "enable",
        "--max-rate",
        "1000",
    ];
    let dry: EswitchPlan = rig.json(&[&all[..], &["--dry-run"]].concat()).unwrap();
    assert_eq!(dry.steps.len(), 6, "{dry:?}");
    assert_eq!(vf(&rig, "pf0vf1").trust, Some(false));
    let done: EswitchPlan = rig.json(&all).unwrap();
    assert_eq!((done.steps, done.applied), (dry.steps, true));
    assert_eq!(rig.ok(&all).unwrap(), "nothing to do\n");
    let now = vf(&rig, "pf0vf1");
    assert_eq!(now.mac.as_deref(), Some("02:00:00:00:00:11"));
    let vlan = now.vlan.clone().unwrap();
    assert_eq!((vlan.id, vlan.qos, &*vlan.proto), (100, 5, "802.1Q"));
    assert_eq!((now.trust, now.spoof_check, now.link_state), (Some(true), Some(true), Some(LinkState::Enable)));
    assert_eq!((now.min_rate, now.max_rate), (Some(0), Some(1000)));
    // One rate alone leaves the other.
    rig.ok(&["vf", "set", "0000:03:00.0/pf0vf1", "--min-rate", "100"]).unwrap();
    let now = vf(&rig, "pf0vf1");
    assert_eq!((now.min_rate, now.max_rate), (Some(100), Some(1000)));
    rig.restart().unwrap();
    assert_eq!(vf(&rig, "pf0vf1"), now, "settings survive");

    let line = rig.refused(&["eswitch", "set", PF, "--mode", "switchdev"]).unwrap();
    assert!(line.contains("VF 1") && line.contains("legacy only"), "{line}");
    rig.ok(&["vf", "set", "pf0vf1", "--vlan", "none", "--trust", "off", "--spoof-check", "off"]).unwrap();
    rig.ok(&["eswitch", "set", PF, "--mode", "switchdev"]).unwrap();
    let now = vf(&rig, "pf0vf1");
    assert_eq!((now.mac.as_deref(), now.max_rate), (Some("02:00:00:00:00:11"), Some(1000)));
    rig.ok(&["vf", "set", "pf0vf1", "--up", "--mtu", "9000"]).unwrap();
    let rep: RepresentorView = rig.json(&["rep", "show", "pf0vf1"]).unwrap();
    assert_eq!((rep.up, rep.mtu), (true, Some(9000)));

    rig.ok(&["vf", "destroy", PF, "--keep", "1"]).unwrap();
    rig.ok(&["vf", "create", PF, "2"]).unwrap();
    assert_eq!(vf(&rig, "pf0vf1").mac.as_deref(), Some("00:00:00:00:00:00"), "a VF that went took its settings");
    for (args, part) in [
        (&["vf", "create", PF, "1"][..], "there are 2 VFs already"),
        (&["vf", "destroy", PF, "--keep", "3"], "there are 2 VFs only"),
        (&["vf", "set", "pf0vf0", "--mac", "02:00"], "`02:00` is no Ethernet address"),
        (&["vf", "set", "pf0vf0", "--mac", "03:00:00:00:00:01"], "multicast"),
        (&["vf", "set", "pf0vf0", "--min-rate", "5", "--max-rate", "4"], "rate"),
        (&["vf", "set", "pf0vf0", "--trust", "on"], "legacy only"),
    ] {
        let line = rig.refused(args).unwrap();
        assert!(line.contains(part), "{args:?}: {line}");
    }
}

#[test]
fn all_that_is_known_of_a_vf_is_in_its_json() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["rep", "attach", "pf0vf1", "br0", "--name", "web"]).unwrap();
    assert!(kernel(
        &rig,
        MockKernel::Count { nic: "0000:03:00.0".to_owned(), vf: 1, to_vf: true, packets: 3, bytes: 300 }
    ));
    let all: Vec<serde_json::Map<String, serde_json::Value>> = rig.json(&["vf", "list"]).unwrap();
    let fields = [
        "address",
        "counters",
        "driver",
        "holders",
        "iommu_group",
        "link_state",
        "mac",
        "max_rate",
        "min_rate",
        "name",
        "netdev",
        "pf",
        "port",
        "representor",
        "representor_counters",
        "spoof_check",
        "trust",
        "vf",
        "vlan",
    ];
    assert_eq!(all[1].keys().map(String::as_str).collect::<Vec<_>>(), fields);
    let null: Vec<_> = all[1].iter().filter(|(_, v)| v.is_null()).map(|(k, _)| k.as_str()).collect();
    assert!(null.is_empty(), "{null:?} of a VF whose driver says all");
    assert_eq!((&all[1]["port"], &all[1]["representor"]), (&"web".into(), &"eth1".into()));
    let counted = |name: &str, what: &str| all[1][name][what].as_u64().unwrap();
    assert_eq!((counted("counters", "rx_packets"), counted("counters", "rx_bytes")), (3, 300));
    for what in
        ["rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped", "multicast", "broadcast"]
    {
        counted("counters", what);
        counted("representor_counters", what);
    }
}

#[test]
fn names_are_understood_everywhere_and_those_of_two_nics_are_told_apart() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["rep", "attach", "eth1", "br0", "--name", "web"]).unwrap();
    rig.ok(&["rep", "attach", "pf0vf1", "br0"]).unwrap();
    let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
    assert_eq!(ports.len(), 1, "attached already");
    assert_eq!((ports[0].port.devargs.as_deref(), ports[0].port.nic.as_deref()), (Some("pf0vf1"), Some(PF)));
    for args in [
        &["port", "show", "pf0vf1"][..],
        &["port", "stats", "0000:03:00.0/pf0vf1"],
        &["port", "set", "br0", "pf0vf1", "--tag", "7"],
        &["flow", "add", "br0", "in_port=pf0vf1,actions=drop"],
        &["vf", "show", "0000:03:00.3"],
        &["rep", "show", "eth1"],
        &["rep", "show", "ens1f0np0/uplink"],
        &["eswitch", "show", "pf0"],
        &["eswitch", "show", "ens1f0np0"],
    ] {
        rig.ok(args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
    }
    let add = MockKernel::AddNic {
        driver: "ice".to_owned(),
        name: "0000:05:00.0".to_owned(),
        uplink: "ens3f0".to_owned(),
        vfs: 8,
        lag_ms: 0,
        pf: 0,
    };
    assert!(kernel(&rig, add));
    rig.ok(&["eswitch", "set", "ens3f0", "--mode", "switchdev", "--vfs", "2"]).unwrap();
    for args in [
        &["vf", "show", "pf0vf1"][..],
        &["rep", "show", "pf0vf1"],
        &["rep", "attach", "pf0vf0", "br0"],
        &["vf", "list", "pf0"],
    ] {
        let line = rig.refused(args).unwrap();
        assert!(
            line.contains("several fit: pci/0000:03:00.0") && line.contains("pci/0000:05:00.0"),
            "{args:?}: {line}"
        );
    }
    assert_eq!(vf(&rig, "0000:05:00.0/pf0vf1").driver.as_deref(), Some("iavf"));
    let vfs: Vec<VfView> = rig.json(&["vf", "list", "ens3f0"]).unwrap();
    assert_eq!(vfs.len(), 2);
    rig.ok(&["rep", "detach", "0000:03:00.0/pf0vf1"]).unwrap();
    let line = rig.refused(&["rep", "detach", "0000:03:00.0/pf0vf1"]).unwrap();
    assert!(line.contains("it is no port of a bridge"), "{line}");
}

fn somebody_sets(rig: &Rig, set: EswitchSet) {
    assert!(kernel(rig, MockKernel::Eswitch { set: EswitchSet { pf: PF.to_owned(), disturb: true, ..set } }));
}

#[test]
fn what_others_change_is_told_within_a_second() {
    let rig = Rig::start("connectx,vfs=4").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["rep", "attach", "pf0vf3", "br0"]).unwrap();
    rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "4"]).unwrap();
    let port = |rig: &Rig| -> String {
        let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        ports[0].state.clone()
    };
    within(Duration::from_secs(2), "the watch begins", || {
        let (_, text) = rig.request("GET", paths::METRICS, "").unwrap();
        text.contains(&format!("shunt_nic_as_desired{{pf=\"{PF}\"}} 1"))
    });
    let limit = Duration::from_secs(1);
    let told = |what: &str| {
        within(limit, what, || nic(&rig).drift.iter().any(|d| d.what.contains(what)));
        assert!(rig.log().contains(what), "{}", rig.log());
    };
    assert!(kernel(
        &rig,
        MockKernel::Vf {
            set: VfSet {
                vf: "pf0vf0".to_owned(),
                set: VfWish { mac: Some("02:00:00:00:00:99".to_owned()), ..VfWish::default() },
                ..VfSet::default()
            }
        }
    ));
    told("VF 0 changed from address 00:00:00:00:00:00 to address 02:00:00:00:00:99");
    assert_eq!(nic(&rig).state, "as desired", "nobody wanted an address");
    assert!(kernel(&rig, MockKernel::Rename { from: "eth3".to_owned(), to: "vm3".to_owned() }));
    told("interface of pf0vf3 renamed from eth3 to vm3");
    assert!(kernel(&rig, MockKernel::Qdisc { netdev: "vm3".to_owned(), kind: "clsact".to_owned(), present: true }));
    std::thread::sleep(Duration::from_millis(700));
    assert!(kernel(&rig, MockKernel::Qdisc { netdev: "vm3".to_owned(), kind: "clsact".to_owned(), present: false }));
    told("qdisc clsact of pf0vf3 was removed");
    assert_eq!(port(&rig), "up");

    somebody_sets(&rig, EswitchSet { mode: Some(EswitchMode::Legacy), vfs: Some(1), ..EswitchSet::default() });
    told("eswitch mode changed from switchdev to legacy");
    told("number of VFs changed from 4 to 1");
    let now = nic(&rig);
    assert_eq!(now.state, "not as desired");
    assert!(now.to_do.iter().any(|s| s == "change eswitch mode from legacy to switchdev"), "{now:?}");
    assert!(now.repair.contains("shuntctl nic converge"), "{now:?}");
    within(limit, "the port is lost", || port(&rig) != "up");
    let (_, metrics) = rig.request("GET", paths::METRICS, "").unwrap();
    assert!(metrics.contains(&format!("shunt_nic_as_desired{{pf=\"{PF}\"}} 0")), "{metrics}");

    let dry: Vec<EswitchPlan> = rig.json(&["nic", "converge", "--dry-run"]).unwrap();
    assert_eq!(dry[0].steps, now.to_do);
    let done: Vec<EswitchPlan> = rig.json(&["nic", "converge"]).unwrap();
    assert!(done[0].applied);
    assert_eq!(nic(&rig).state, "as desired");
    assert_eq!(port(&rig), "up");
    assert_eq!(rig.ok(&["nic", "converge"]).unwrap(), format!("{PF}\n  nothing to do\n"));

    rig.ok(&["nic", "forget", "ens1f0np0"]).unwrap();
    let now = nic(&rig);
    assert_eq!((&*now.state, now.drift.len(), now.mode), ("not managed", 0, Some(EswitchMode::Switchdev)));
    somebody_sets(&rig, EswitchSet { vfs: Some(2), ..EswitchSet::default() });
    std::thread::sleep(Duration::from_millis(700));
    assert!(nic(&rig).drift.is_empty(), "nobody watches it any more");
    rig.ok(&["nic", "forget", PF]).unwrap();
}

#[test]
fn what_others_change_right_after_a_change_of_ours_is_told_too() {
    let rig = Rig::start("connectx,vfs=4").unwrap();
    for vfs in [3, 2, 4, 1] {
        rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", &vfs.to_string()]).unwrap();
        let before = nic(&rig).drift.len();
        somebody_sets(&rig, EswitchSet { mode: Some(EswitchMode::Legacy), ..EswitchSet::default() });
        within(Duration::from_secs(1), "it is told", || {
            let told = nic(&rig).drift.split_off(before);
            told.iter().any(|d| {
                d.what.contains("eswitch mode changed from switchdev to legacy")
                    || d.what.starts_with("found not as desired; to do: ")
                        && d.what.contains("from legacy to switchdev")
            })
        });
    }
}

#[test]
fn drift_is_repaired_when_the_policy_says_so() {
    let rig = Rig::configured("connectx,vfs=4", "[nic]\ndrift = \"repair\"\n").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["rep", "attach", "pf0vf3", "br0"]).unwrap();
    rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "4"]).unwrap();
    rig.ok(&["vf", "set", "pf0vf3", "--mac", "02:00:00:00:00:33"]).unwrap();
    let up = |rig: &Rig| {
        let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        ports[0].state == "up"
    };
    within(Duration::from_secs(2), "the watch begins", || nic(&rig).state == "as desired");
    std::thread::sleep(Duration::from_millis(500));
    for round in 0..2 {
        somebody_sets(&rig, EswitchSet { mode: Some(EswitchMode::Legacy), vfs: Some(2), ..EswitchSet::default() });
        within(Duration::from_secs(8), "repaired", || {
            nic(&rig).state == "as desired" && nic(&rig).drift.len() > round && up(&rig)
        });
        assert_eq!(vf(&rig, "pf0vf3").mac.as_deref(), Some("02:00:00:00:00:33"));
    }
    let (_, metrics) = rig.request("GET", paths::METRICS, "").unwrap();
    assert!(metrics.contains(&format!("shunt_nic_repairs_total{{pf=\"{PF}\",result=\"done\"}} 2")), "{metrics}");

    // What cannot be repaired is tried ever more rarely, and said.
    kernel(&rig, MockKernel::Deadline { ms: 200 });
    let fault = api::MockFault::Refuse { errno: 16, text: "busy with something".to_owned() };
    somebody_sets(&rig, EswitchSet { mode: Some(EswitchMode::Legacy), ..EswitchSet::default() });
    kernel(&rig, MockKernel::Fault { op: "eswitch_set".to_owned(), fault, skip: 0, times: u64::MAX });
    within(Duration::from_secs(12), "told", || nic(&rig).repair.contains("busy with something"));
    assert!(nic(&rig).repair.starts_with("again in "), "{:?}", nic(&rig));
    kernel(&rig, MockKernel::Calm);
    rig.ok(&["nic", "converge"]).unwrap();
    within(Duration::from_secs(2), "as desired", || nic(&rig).state == "as desired" && up(&rig));
}

#[test]
fn a_check_says_what_to_do_about_each_nic() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    for (driver, name, uplink) in [("ice", "0000:05:00.0", "ens3f0"), ("igb", "0000:06:00.0", "ens4f0")] {
        let (driver, name, uplink) = (driver.to_owned(), name.to_owned(), uplink.to_owned());
        assert!(kernel(&rig, MockKernel::AddNic { driver, name, uplink, vfs: 4, lag_ms: 0, pf: 0 }));
    }
    rig.ok(&["vf", "set", "0000:03:00.0/pf0vf1", "--driver", "vfio-pci"]).unwrap();
    assert!(kernel(
        &rig,
        MockKernel::Hold { address: "0000:03:00.3".to_owned(), pid: 4711, process: "qemu".to_owned() }
    ));
    // One of them cannot be used: the exit status says so, beside the answer.
    let out = rig.ctl(&["--json", "nic", "check"]).unwrap();
    assert_eq!(
        (out.code, out.stderr.trim()),
        (Some(1), "shuntctl: nic check: 1 failed, of pci/0000:06:00.0; mend these first")
    );
    let all: Vec<NicChecks> = serde_json::from_str(&out.stdout).unwrap();
    let of = |pf: &str, name: &str| {
        let nic = all.iter().find(|n| n.pf == pf).unwrap();
        nic.checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name} of {nic:?}")).clone()
    };
    let users = of(PF, "users");
    assert!(users.found.contains("VF 1 (0000:03:00.3) by vfio-pci, held by qemu (pid 4711)"), "{users:?}");
    assert_eq!(of(PF, "eswitch").result, CheckResult::Ok);
    assert_eq!(of(PF, "desired").result, CheckResult::Ok);
    assert!(of("pci/0000:05:00.0", "dpdk").found.contains("DCF mode only"));
    assert_eq!(of("pci/0000:06:00.0", "eswitch").result, CheckResult::Fail);
    assert!(
        all.iter()
            .flat_map(|n| &n.checks)
            .all(|c| c.result == CheckResult::Ok || c.fix.is_some() || c.result == CheckResult::Note)
    );
    let text = rig.ctl(&["nic", "check"]).unwrap().stdout;
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    let one = rig.ctl(&["nic", "check", "ens4f0"]).unwrap().stdout;
    assert!(one.starts_with("pci/0000:06:00.0\n  ok    driver       igb\n"), "{one}");
    let one = rig.ok(&["nic", "check", "ens3f0"]).unwrap();
    assert!(one.starts_with("pci/0000:05:00.0\n  ok    driver       ice, firmware 1.2.3\n"), "{one}");

    // What is not set up for it is refused with the reason, and changes nothing.
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    for (args, part) in [
        (&["eswitch", "set", "ens4f0", "--mode", "switchdev"][..], "no eswitch"),
        (&["eswitch", "set", "ens3f0", "--inline-mode", "link"], "no eswitch inline mode"),
        (&["eswitch", "set", "ens3f0", "--mode", "legacy", "--representors", "up"], "no representors in mode legacy"),
    ] {
        let line = rig.refused(args).unwrap();
        assert!(line.contains(part), "{args:?}: {line}");
    }
    let nics: Vec<NicView> = rig.json(&["nic", "list"]).unwrap();
    assert_eq!(nics.iter().map(|n| n.desired.is_some()).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn what_representors_have_in_common_is_kept_over_legacy() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    let set = |args: &[&str]| rig.ok(&[&["eswitch", "set", PF], args].concat()).unwrap();
    let reps = || -> Vec<RepresentorView> { rig.json(&["rep", "list"]).unwrap() };
    set(&[
        "--mode",
        "switchdev",
        "--representors",
        "up",
        "--representor-mtu",
        "9000",
        "--hw-tc-offload",
        "on",
        "--inline-mode",
        "link",
        "--encap-mode",
        "none",
    ]);
    let there = || {
        let all = reps();
        all.len() == 3 && all[1..].iter().all(|r| (r.up, r.mtu, r.hw_tc_offload) == (true, Some(9000), Some(true)))
    };
    assert!(there(), "{:?}", reps());
    set(&["--mode", "legacy", "--vfs", "0"]);
    assert_eq!(reps().len(), 1);
    set(&["--mode", "switchdev", "--vfs", "2"]);
    assert!(there(), "{:?}", reps());
    let all: Vec<api::EswitchView> = rig.json(&["eswitch", "show"]).unwrap();
    assert_eq!((all[0].inline_mode, all[0].encap_mode), (Some(api::InlineMode::Link), Some(api::EncapMode::None)));
    assert_eq!(nic(&rig).state, "as desired");
}

#[test]
fn dpdk_representors_are_had_where_driver_and_configuration_have_them() {
    let rig = Rig::configured("none,vfs=0", "[datapath]\npci = [\"0000:04:00.0,dv_flow_en=1\"]\n").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    for (driver, name, uplink) in
        [("mlx5", "0000:04:00.0", "x0"), ("mlx5", "0000:05:00.0", "x1"), ("ice", "0000:06:00.0", "x2")]
    {
        let (driver, name, uplink) = (driver.to_owned(), name.to_owned(), uplink.to_owned());
        assert!(kernel(&rig, MockKernel::AddNic { driver, name: name.clone(), uplink, vfs: 4, lag_ms: 0, pf: 0 }));
        rig.ok(&["eswitch", "set", &name, "--mode", "switchdev", "--vfs", "2"]).unwrap();
    }
    let attach =
        |name: &str, path: &str| rig.refused(&["rep", "attach", name, "br0", "--name", "p", "--path", path]).unwrap();
    for (name, path, part) in [
        ("x2/pf0vf1", "dpdk", "driver ice has DPDK representors in DCF mode only"),
        ("x1/pf0vf1", "dpdk", "add \"0000:05:00.0\" to pci of [datapath]"),
        // There is no such device: DPDK says so about these arguments.
        ("x0/pf0vf1", "dpdk", "DPDK does not take devargs `0000:04:00.0,dv_flow_en=1,representor=pf0vf1`"),
        ("x1/pf0vf1", "kernel", "network device"),
    ] {
        let line = attach(name, path);
        assert!(line.contains(part), "{name} {path}: {line}");
        assert_eq!(rig.ok(&["--json", "port", "list"]).unwrap(), "[]\n");
    }
    // Where both have it, it is the choice.
    let line = rig.refused(&["rep", "attach", "x0/pf0vf0", "br0"]).unwrap();
    assert!(line.contains("representor=pf0vf0"), "{line}");
    let rep: RepresentorView = rig.json(&["rep", "show", "x0/pf0vf1"]).unwrap();
    assert_eq!(rep.devargs.as_deref(), Some("0000:04:00.0,dv_flow_en=1,representor=pf0vf1"));
    assert!(rep.up, "it was set up for its port");
    let rep: RepresentorView = rig.json(&["rep", "show", "x2/pf0vf1"]).unwrap();
    assert_eq!(rep.devargs, None);
}

#[test]
fn more_representors_than_dpdk_holds_are_refused_with_the_reason() {
    let rig = Rig::start("none,vfs=24").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    for vf in 0..24 {
        rig.ok(&["rep", "attach", &format!("pf0vf{vf}"), "br0"]).unwrap();
    }
    // The mock NIC's ports are DPDK's, the uplink's too: 7 are left.
    for n in 0..7 {
        let devargs = format!("net_null{n},no-rx=1");
        rig.ok(&["port", "add", "br0", &format!("n{n}"), "--devargs", &devargs]).unwrap();
    }
    let add = MockKernel::AddNic {
        driver: "ice".to_owned(),
        name: "0000:06:00.0".to_owned(),
        uplink: "lo".to_owned(),
        vfs: 4,
        lag_ms: 0,
        pf: 0,
    };
    assert!(kernel(&rig, add));
    let line = rig.refused(&["rep", "attach", "0000:06:00.0/uplink", "br0", "--name", "more"]).unwrap();
    assert!(line.contains("32 ports") && line.contains("RTE_MAX_ETHPORTS"), "{line}");
}
