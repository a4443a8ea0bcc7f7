//! Sub-functions: made, changed, kept, watched, and left alone when they are somebody else's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{
    EswitchMode, EswitchPlan, MockFault, MockKernel, NicView, PortView, RepresentorView, SfCreate, SfDestroy, SfView,
    SfWish, paths,
};
use hw_tests::Rig;
use std::time::{Duration, Instant};

const PF: &str = "pci/0000:03:00.0";

fn kernel(rig: &Rig, what: MockKernel) -> bool {
    rig.post(paths::MOCK_KERNEL, &what).unwrap()
}

fn sfs(rig: &Rig) -> Vec<SfView> {
    rig.json(&["sf", "list"]).unwrap()
}

/// Name, last byte of the address, active, representor up, desired.
fn seen(rig: &Rig) -> Vec<(String, String, bool, bool, bool)> {
    let row = |s: SfView| (s.name, s.mac.unwrap()[15..].to_owned(), s.active.unwrap(), s.up, s.desired);
    sfs(rig).into_iter().map(row).collect()
}

fn row(name: &str, mac: &str, active: bool, up: bool, desired: bool) -> (String, String, bool, bool, bool) {
    (name.to_owned(), mac.to_owned(), active, up, desired)
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

fn somebody_makes(rig: &Rig, sf: u32) {
    let set = SfCreate { pf: PF.to_owned(), sf, ..SfCreate::default() };
    assert!(kernel(rig, MockKernel::Sf { set }));
}

#[test]
fn sub_functions_are_made_set_kept_and_destroyed() {
    let mut rig = Rig::start("connectx,vfs=2").unwrap();
    let create = ["sf", "create", "ens1f0np0", "88", "--mac", "02:00:00:00:00:88"];
    let dry: EswitchPlan = rig.json(&[&create[..], &["--dry-run"]].concat()).unwrap();
    assert_eq!(
        (dry.steps, dry.applied),
        (["add SF 88", "set SF 88 address 02:00:00:00:00:88", "activate SF 88"].map(String::from).to_vec(), false)
    );
    assert_eq!((sfs(&rig), nic(&rig).desired), (Vec::new(), None), "a dry run changes nothing");
    let done: EswitchPlan = rig.json(&create).unwrap();
    assert!(done.applied && done.steps.len() >= 3, "{done:?}");
    assert_eq!(rig.ok(&create).unwrap(), "nothing to do\n");
    rig.ok(&["sf", "create", PF, "7", "--inactive"]).unwrap();
    assert_eq!(seen(&rig), [row("pf0sf7", "00", false, false, true), row("pf0sf88", "88", true, false, true)]);

    // One thing alone leaves the others; an active one gets another address by way of inactive.
    rig.ok(&["sf", "set", "pf0sf7", "--active", "on", "--up", "on"]).unwrap();
    let plan: EswitchPlan = rig.json(&["sf", "set", "0000:03:00.0/pf0sf88", "--mac", "02:00:00:00:00:99"]).unwrap();
    assert_eq!(plan.steps, ["deactivate SF 88", "set SF 88 address 02:00:00:00:00:99", "activate SF 88"]);
    rig.ok(&["sf", "set", "pf0sf7", "--active", "off"]).unwrap();
    let after = [row("pf0sf7", "00", false, true, true), row("pf0sf88", "99", true, false, true)];
    assert_eq!(seen(&rig), after);
    assert!(rig.ok(&["sf", "list"]).unwrap().lines().all(|l| l.len() <= 100));
    let shown = rig.ok(&["sf", "show", "pf0sf88"]).unwrap();
    assert!(shown.contains("state        active, in use") && shown.contains("desired      yes"), "{shown}");
    let reps: Vec<RepresentorView> = rig.json(&["rep", "list"]).unwrap();
    assert_eq!(reps.iter().filter_map(|r| r.sf).collect::<Vec<_>>(), [7, 88]);
    let shown = rig.ok(&["nic", "show", PF]).unwrap();
    assert!(shown.contains("SF 88: active, mac 02:00:00:00:00:99"), "{shown}");

    // The fake kernel ends with the daemon: they are made again at its start.
    rig.restart().unwrap();
    assert_eq!(seen(&rig), after);
    assert_eq!(nic(&rig).state, "as desired");

    // Kept over legacy, in which there are none.
    rig.ok(&["eswitch", "set", PF, "--mode", "legacy"]).unwrap();
    assert_eq!((sfs(&rig), &*nic(&rig).state), (Vec::new(), "as desired"));
    rig.ok(&["eswitch", "set", PF, "--mode", "switchdev"]).unwrap();
    assert_eq!(seen(&rig), after);

    let plan: EswitchPlan = rig.json(&["sf", "destroy", "pf0sf88"]).unwrap();
    assert_eq!(plan.steps, ["deactivate SF 88", "remove SF 88"]);
    assert_eq!(seen(&rig), after[..1]);
    assert!(nic(&rig).desired.unwrap().sf_destroy.is_empty(), "what is gone is forgotten");
    rig.restart().unwrap();
    assert_eq!(seen(&rig), after[..1]);
    for (args, part) in [
        (&["sf", "destroy", "pf0sf88"][..], "no NIC has it"),
        (&["sf", "show", "pf0sf88"], "shuntctl sf create"),
        (&["sf", "set", "pf0vf0", "--up", "on"], "pf0vf0 is no sub-function of this host"),
        (&["sf", "set", "pf0sf7", "--mac", "03:00:00:00:00:01"], "multicast"),
        (&["sf", "set", "pf0sf7", "--mac", "02:00"], "`02:00` is no Ethernet address"),
        (&["sf", "create", "pf9", "1"], "there is no such NIC"),
        (&["rep", "attach", "pf0sf9", "br0"], "shuntctl sf create"),
    ] {
        let line = rig.refused(args).unwrap();
        assert!(line.contains(part), "{args:?}: {line}");
    }
    let log = rig.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn where_there_can_be_none_the_refusal_says_what_to_do() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    for (driver, name, uplink) in [("ice", "0000:05:00.0", "ens3f0"), ("igb", "0000:06:00.0", "ens4f0")] {
        let (driver, name, uplink) = (driver.to_owned(), name.to_owned(), uplink.to_owned());
        assert!(kernel(&rig, MockKernel::AddNic { driver, name, uplink, vfs: 4, lag_ms: 0, pf: 0 }));
    }
    let line = rig.refused(&["sf", "create", "ens3f0", "1"]).unwrap();
    assert!(
        line.contains("SF pf0sf1: there are no sub-functions in mode legacy")
            && line.contains("shuntctl eswitch set pci/0000:05:00.0 --mode switchdev"),
        "{line}"
    );
    let line = rig.refused(&["sf", "create", "ens4f0", "1"]).unwrap();
    assert!(line.contains("driver igb has no eswitch"), "{line}");
    // This driver has none in switchdev either: the kernel's word, and nothing is desired.
    rig.ok(&["eswitch", "set", "ens3f0", "--mode", "switchdev"]).unwrap();
    let line = rig.refused(&["sf", "create", "ens3f0", "1"]).unwrap();
    assert!(line.contains("(add SF 1) failed") && line.contains("see what it can do"), "{line}");
    let all: Vec<NicView> = rig.json(&["nic", "show", "ens3f0"]).unwrap();
    assert!(all[0].desired.as_ref().unwrap().sf.is_empty() && all[0].state == "as desired", "{all:?}");

    // What is desired counts, not what somebody else has just made of it.
    rig.ok(&["eswitch", "set", PF, "--mode", "legacy"]).unwrap();
    let line = rig.refused(&["sf", "create", PF, "1"]).unwrap();
    assert!(line.contains("no sub-functions in mode legacy"), "{line}");
}

#[test]
fn those_of_others_are_left_alone_and_changes_of_ours_are_told() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["sf", "create", PF, "88", "--mac", "02:00:00:00:00:88"]).unwrap();
    within(Duration::from_secs(2), "the watch begins", || {
        let (_, text) = rig.request("GET", paths::METRICS, "").unwrap();
        text.contains(&format!("shunt_nic_as_desired{{pf=\"{PF}\"}} 1"))
    });
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 2 } else { 1 });
    let told = |what: &str| within(limit, what, || nic(&rig).drift.iter().any(|d| d.what.contains(what)));
    somebody_makes(&rig, 5);
    told("representor pf0sf5 came");
    assert_eq!(nic(&rig).state, "as desired", "nobody wanted it away");
    assert_eq!(rig.ok(&["nic", "converge"]).unwrap(), format!("{PF}\n  nothing to do\n"));
    rig.ok(&["vf", "destroy", PF, "--keep", "1"]).unwrap();
    assert_eq!(seen(&rig), [row("pf0sf5", "00", true, false, false), row("pf0sf88", "88", true, false, true)]);

    let gone = SfDestroy { sf: "pf0sf88".to_owned(), ..SfDestroy::default() };
    assert!(kernel(&rig, MockKernel::SfDestroy { sf: gone }));
    // Right after a change of ours, it is told by what is missing.
    within(limit, "told", || {
        let heard = ["representor pf0sf88 went", "found not as desired; to do: add SF 88"];
        nic(&rig).drift.iter().any(|d| heard.iter().any(|h| d.what.contains(h)))
    });
    let now = nic(&rig);
    assert_eq!((&*now.state, now.to_do[0].as_str()), ("not as desired", "add SF 88"), "{now:?}");
    // By its name, though it is not there: it comes back with what else is desired of it.
    rig.ok(&["sf", "set", "pf0sf88", "--up", "on"]).unwrap();
    assert_eq!(seen(&rig)[1], row("pf0sf88", "88", true, true, true));

    // Taken over by saying something of it, and destroyed though somebody else made it.
    let set = SfWish { mac: Some("02:00:00:00:00:05".to_owned()), ..SfWish::default() };
    rig.ok(&["sf", "set", "pf0sf5", "--mac", set.mac.as_deref().unwrap()]).unwrap();
    assert_eq!(seen(&rig)[0], row("pf0sf5", "05", true, false, true));
    somebody_makes(&rig, 6);
    rig.ok(&["sf", "destroy", "pf0sf6"]).unwrap();
    assert_eq!(sfs(&rig).len(), 2);
    // Desired and gone, it can be let go.
    let gone = SfDestroy { sf: "pf0sf5".to_owned(), ..SfDestroy::default() };
    assert!(kernel(&rig, MockKernel::SfDestroy { sf: gone }));
    assert_eq!(rig.ok(&["sf", "destroy", "pf0sf5"]).unwrap(), "nothing to do\n");
    assert_eq!((sfs(&rig).len(), &*nic(&rig).state), (1, "as desired"));
}

#[test]
fn a_representor_of_a_sub_function_is_a_port_that_waits_for_it() {
    let rig = Rig::start("none,vfs=0").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let (driver, name) = ("mlx5".to_owned(), "0000:04:00.0".to_owned());
    let add = MockKernel::AddNic { driver, name, uplink: "x0".to_owned(), vfs: 4, lag_ms: 0, pf: 0 };
    assert!(kernel(&rig, add));
    rig.ok(&["eswitch", "set", "x0", "--mode", "switchdev"]).unwrap();
    rig.ok(&["sf", "create", "x0", "88"]).unwrap();
    // Packets pass through a device of this host that has the representor's name.
    let rename = |from: &str, to: &str| kernel(&rig, MockKernel::Rename { from: from.to_owned(), to: to.to_owned() });
    let netdev = |rig: &Rig| sfs(rig)[0].representor.clone().unwrap();
    assert!(rename(&netdev(&rig), "lo"));
    rig.ok(&["rep", "attach", "pf0sf88", "br0"]).unwrap();
    let state = |rig: &Rig| -> String {
        let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        assert_eq!((ports.len(), &*ports[0].port.name), (1, "pf0sf88"));
        ports[0].state.clone()
    };
    assert_eq!(state(&rig), "up");
    let sf = sfs(&rig).remove(0);
    assert_eq!((sf.port.as_deref(), sf.up), (Some("pf0sf88"), true), "it was set up for its port");

    let plan: EswitchPlan = rig.json(&["sf", "destroy", "x0/pf0sf88"]).unwrap();
    assert_eq!(plan.steps.first().map(String::as_str), Some("take port pf0sf88 off pf0sf88"));
    assert_eq!(plan.steps.last().map(String::as_str), Some("port pf0sf88 waits until there is pf0sf88 again"));
    assert!(state(&rig).contains("there is no representor pf0sf88"), "{}", state(&rig));
    // Wanted down, it stays down; the port comes back all the same once there is a device.
    rig.ok(&["sf", "create", "x0", "88"]).unwrap();
    rig.ok(&["sf", "set", "pf0sf88", "--up", "off"]).unwrap();
    assert!(rename(&netdev(&rig), "lo"));
    within(Duration::from_secs(3), "the port is back", || state(&rig) == "up");
    assert!(!sfs(&rig)[0].up);
    rig.ok(&["rep", "detach", "pf0sf88"]).unwrap();
}

#[test]
fn what_is_refused_is_not_desired() {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["sf", "create", PF, "1"]).unwrap();
    let before = seen(&rig);
    kernel(&rig, MockKernel::Deadline { ms: 300 });
    let refuse = MockFault::Refuse { errno: 28, text: "mlx5_core: no room for more SFs".to_owned() };
    for (op, what) in
        [("port_new", refuse), ("port_new", MockFault::Ignore), ("port_set", MockFault::HalfDone { errno: 5 })]
    {
        assert!(kernel(&rig, MockKernel::Fault { op: op.to_owned(), fault: what.clone(), skip: 0, times: 1 }));
        let line = rig.refused(&["sf", "create", PF, "2", "--mac", "02:00:00:00:00:02"]).unwrap();
        assert!(line.contains("SF 2") && line.contains("failed"), "{what:?}: {line}");
        kernel(&rig, MockKernel::Calm);
        assert_eq!((seen(&rig), &*nic(&rig).state), (before.clone(), "as desired"), "{what:?}: {line}");
    }
}

#[test]
fn killed_at_any_boundary_it_ends_where_it_was_told_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boundary");
    let mut rig = Rig::start("connectx,vfs=2").unwrap();
    assert_eq!(sfs(&rig), []);
    rig.set_env("SHUNT_FAILPOINT", &format!("nic-boundary:{}", file.display()));
    rig.restart().unwrap();
    let create = ["sf", "create", PF, "2", "--mac", "02:00:00:00:00:02"];
    let destroy = ["sf", "destroy", "pf0sf2"];
    let names = |rig: &Rig| sfs(rig).into_iter().map(|s| s.name).collect::<Vec<_>>();
    rig.ok(&["sf", "create", PF, "1"]).unwrap();
    for (args, wanted) in [(&create[..], &["pf0sf1", "pf0sf2"][..]), (&destroy[..], &["pf0sf1"])] {
        let mut end: u32 = 0;
        loop {
            // As it was before: without it, or with it.
            if args[1] == "create" && names(&rig).len() > 1 {
                rig.ok(&destroy).unwrap();
            } else if args[1] == "destroy" {
                rig.ok(&create).unwrap();
            }
            // Each of making one; of destroying one every other, which takes the machine less time.
            end += if args[1] == "create" { 1 } else { 2 };
            std::fs::write(&file, end.to_string()).unwrap();
            let out = rig.ctl(args).unwrap();
            std::fs::remove_file(&file).unwrap();
            if out.code == Some(0) {
                break;
            }
            assert!(rig.ended(Duration::from_secs(5)), "{args:?} {end}: {out:?}");
            rig.restart().unwrap();
            let now = nic(&rig);
            assert_eq!(
                (names(&rig), &*now.state),
                (wanted.iter().map(|n| (*n).to_owned()).collect(), "as desired"),
                "{args:?} {end}"
            );
            assert!(now.desired.unwrap().sf_destroy.is_empty(), "{args:?} {end}");
            assert_eq!(now.mode, Some(EswitchMode::Switchdev));
        }
        assert!(end > 6, "{args:?}: {end}");
    }
}
