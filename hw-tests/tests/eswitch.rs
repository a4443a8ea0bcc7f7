//! Eswitches that change under ports: what is taken off comes back, what is refused changes nothing, what was begun
//! is ended after a crash.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{
    Collected, EswitchMode, EswitchPlan, EswitchView, FdbEntry, Frame, Inject, MockFault, MockKernel, NicView,
    OffloadStatus, PortView, paths,
};
use hw_tests::Rig;
use std::time::{Duration, Instant};

const PF: &str = "pci/0000:03:00.0";

fn kernel(rig: &Rig, what: MockKernel) -> bool {
    rig.post(paths::MOCK_KERNEL, &what).unwrap()
}

fn fault(rig: &Rig, op: &str, fault: MockFault, times: u64) {
    assert!(kernel(rig, MockKernel::Fault { op: op.to_owned(), fault, skip: 0, times }));
}

fn states(rig: &Rig) -> Vec<(String, Option<u16>, String)> {
    let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
    ports.into_iter().map(|p| (p.port.name, p.port.ofport, p.state)).collect()
}

fn nic(rig: &Rig) -> NicView {
    let all: Vec<NicView> = rig.json(&["nic", "show", PF]).unwrap();
    all.into_iter().next().unwrap()
}

fn eswitch(rig: &Rig) -> (EswitchMode, u32) {
    let all: Vec<EswitchView> = rig.json(&["eswitch", "show", PF]).unwrap();
    (all[0].mode, all[0].vfs)
}

fn set(rig: &Rig, args: &[&str]) -> EswitchPlan {
    rig.json(&[&["eswitch", "set", PF], args].concat()).unwrap()
}

/// A bridge whose rules send from VF 0 to the wire and back, with VF 3 beside.
fn switch(mock: &str) -> Rig {
    let rig = Rig::start(mock).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (name, representor, number) in [("wire", "uplink", "1"), ("web", "pf0vf0", "2"), ("db", "pf0vf3", "9")] {
        rig.ok(&["rep", "attach", representor, "br0", "--name", name, "--ofport", number]).unwrap();
    }
    rig.ok(&["flow", "add", "br0", "in_port=web,actions=output:wire"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:web"]).unwrap();
    rig
}

/// A frame into an end; which ends it leaves by.
fn pass(rig: &Rig, end: usize) -> Vec<usize> {
    let _: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
    let frames = vec![Frame { end, at: 0, hex: "020000000001020000000002".to_owned() + &"0".repeat(100) }];
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
    let start = Instant::now();
    loop {
        let collected: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
        if !collected.frames.is_empty() || start.elapsed() > Duration::from_secs(3) {
            return collected.frames.into_iter().map(|f| f.end).collect();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ports_leave_their_eswitch_and_come_back_to_their_numbers() {
    let mut rig = switch("connectx,vfs=4");
    assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]));
    let before = states(&rig);

    let dry = set(&rig, &["--mode", "legacy", "--vfs", "2", "--dry-run"]);
    assert!(!dry.applied);
    assert_eq!(states(&rig), before, "a dry run changes nothing");
    let done = set(&rig, &["--mode", "legacy", "--vfs", "2"]);
    assert_eq!(done.steps, dry.steps, "the dry run said what is done");
    assert_eq!(done.steps[..3], ["take port db off pf0vf3", "take port web off pf0vf0", "take port wire off uplink"]);
    assert_eq!(
        done.steps[done.steps.len() - 3..],
        [
            "port db waits until there is pf0vf3 again",
            "port web waits until there is pf0vf0 again",
            "put port wire back on uplink"
        ]
    );
    let now = states(&rig);
    assert_eq!(
        now.iter().map(|p| (&*p.0, p.1)).collect::<Vec<_>>(),
        [("wire", Some(1)), ("web", Some(2)), ("db", Some(9))]
    );
    assert_eq!(now[0].2, "up");
    assert!(now[1].2.contains("there is no representor pf0vf0"), "{now:?}");
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    assert_eq!(status.rules, 0, "{status:?}");
    // Rules may still name a port that waits.
    rig.ok(&["flow", "add", "br0", "priority=7,in_port=web,tcp,actions=output:wire"]).unwrap();

    // Back in two steps: the mode first, then all VFs.
    let done = set(&rig, &["--mode", "switchdev"]);
    assert!(done.applied, "{done:?}");
    let now = states(&rig);
    assert_eq!((&*now[1].2, now[1].1), ("up", Some(2)), "{now:?}");
    assert!(now[2].2.contains("pf0vf3"), "{now:?}");
    assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]));
    rig.ok(&["vf", "create", PF, "4"]).unwrap();
    assert_eq!(states(&rig), before);
    assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]));
    assert_eq!(rig.ok(&["vf", "create", PF, "4"]).unwrap(), "nothing to do\n");
    assert_eq!(nic(&rig).state, "as desired");

    rig.restart().unwrap();
    assert_eq!((states(&rig), eswitch(&rig)), (before, (EswitchMode::Switchdev, 4)));
    assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]));
    let log = rig.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_change_that_fails_is_undone_with_its_ports() {
    let mut rig = switch("connectx,vfs=4");
    set(&rig, &["--mode", "switchdev", "--vfs", "4"]);
    let before = states(&rig);
    let refuse = |errno, text: &str| MockFault::Refuse { errno, text: text.to_owned() };
    kernel(&rig, MockKernel::Deadline { ms: 300 });
    // Two tries: the driver's two orders.
    let cases = [
        (
            "eswitch_set",
            refuse(16, "mlx5_core: device is busy"),
            2,
            "mlx5_core: device is busy",
            "see who uses the NIC: shuntctl nic check",
        ),
        (
            "eswitch_set",
            refuse(95, "mlx5_core: not with this firmware"),
            2,
            "not with this firmware",
            "see what it can do",
        ),
        ("eswitch_set", MockFault::Ignore, 1, "accepted, but after", "dmesg"),
        ("eswitch_set", MockFault::HalfDone { errno: 5 }, 1, "rolled back", "dmesg"),
        ("eswitch_set", MockFault::Timeout, 2, "step 2 of", "dmesg"),
        ("sysfs_write", refuse(12, ""), 1, "sriov_numvfs", "dmesg"),
    ];
    for (op, what, times, says, remedy) in cases {
        fault(&rig, op, what.clone(), times);
        let line = rig
            .refused(&["eswitch", "set", PF, "--mode", "legacy", "--vfs", "1"])
            .unwrap_or_else(|e| panic!("{what:?}: {e}"));
        assert!(line.contains(says) && line.contains(remedy) && line.contains("step "), "{what:?}: {line}");
        assert!(line.starts_with(&format!("shuntctl: eswitch {PF}: step")), "{line}");
        kernel(&rig, MockKernel::Calm);
        assert_eq!((states(&rig), eswitch(&rig)), (before.clone(), (EswitchMode::Switchdev, 4)), "{what:?}");
        assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]), "{what:?}");
        assert_eq!(nic(&rig).state, "as desired", "what was refused is not desired");
    }
    // An answer that gets lost is no failure.
    fault(&rig, "eswitch_set", MockFault::LoseReply, 1);
    assert!(set(&rig, &["--mode", "legacy", "--vfs", "1"]).applied);
    rig.restart().unwrap();
    assert_eq!(eswitch(&rig), (EswitchMode::Legacy, 1));
}

#[test]
fn vfs_that_somebody_holds_are_not_taken_away_unless_told_so() {
    let rig = switch("connectx,vfs=4");
    rig.ok(&["vf", "set", "pf0vf2", "--driver", "vfio-pci"]).unwrap();
    let vf: api::VfView = rig.json(&["vf", "show", "pf0vf2"]).unwrap();
    let address = vf.address.clone().unwrap();
    assert_eq!((vf.driver.as_deref(), vf.iommu_group.is_some()), (Some("vfio-pci"), true));
    assert!(kernel(
        &rig,
        MockKernel::Hold { address: address.clone(), pid: 4711, process: "qemu-system-x86".to_owned() }
    ));
    let before = states(&rig);
    let legacy = ["eswitch", "set", PF, "--mode", "legacy"];
    let line = rig.refused(&legacy).unwrap();
    assert!(line.contains("VF 2") && line.contains(&address) && line.contains("qemu-system-x86 (pid 4711)"), "{line}");
    assert_eq!((states(&rig), eswitch(&rig).0), (before, EswitchMode::Switchdev));
    let shown = rig.ok(&["vf", "show", &address]).unwrap();
    assert!(shown.contains("held by      qemu-system-x86 (pid 4711)"), "{shown}");
    let plan: EswitchPlan = rig.json(&[&legacy[..], &["--disturb", "--dry-run"]].concat()).unwrap();
    assert!(plan.warnings.iter().any(|w| w.contains("qemu-system-x86")), "{plan:?}");
    rig.ok(&[&legacy[..], &["--disturb"]].concat()).unwrap();
    assert_eq!(eswitch(&rig), (EswitchMode::Legacy, 4));
}

#[test]
fn a_nic_that_vanishes_is_told_of_and_what_is_desired_stays() {
    let rig = switch("connectx,vfs=4");
    set(&rig, &["--mode", "switchdev"]);
    kernel(&rig, MockKernel::Deadline { ms: 300 });
    kernel(&rig, MockKernel::RemoveNicAfter { name: "0000:03:00.0".to_owned(), operations: 40 });
    let line = rig.refused(&["eswitch", "set", PF, "--mode", "legacy"]).unwrap();
    assert!(line.contains(PF) && line.contains("nic list"), "{line}");
    let all: Vec<NicView> = rig.json(&["nic", "list"]).unwrap();
    assert_eq!((all.len(), &*all[0].state, all[0].pf.as_str()), (1, "gone", PF));
    assert_eq!(all[0].desired.as_ref().and_then(|d| d.mode), Some(EswitchMode::Switchdev));
    assert!(rig.ok(&["bridge", "list"]).unwrap().contains("br0"));
    let log = rig.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn everything_else_is_answered_while_the_kernel_takes_its_time() {
    let rig = switch("connectx,vfs=4");
    let add = MockKernel::AddNic {
        driver: "mlx5".to_owned(),
        name: "0000:04:00.0".to_owned(),
        uplink: "ens2f0np0".to_owned(),
        vfs: 8,
        lag_ms: 5_000,
        pf: 0,
    };
    assert!(kernel(&rig, add));
    let (slow, longest) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let start = Instant::now();
            rig.ok(&["eswitch", "set", "ens2f0np0", "--mode", "switchdev", "--vfs", "4"]).unwrap();
            start.elapsed()
        });
        std::thread::sleep(Duration::from_millis(500));
        let mut longest = Duration::ZERO;
        let mut asked = 0;
        let line = rig.refused(&["rep", "attach", "ens2f0np0/uplink", "br0", "--name", "x"]).unwrap();
        assert!(line.contains("port x: eswitch pci/0000:04:00.0 is being changed"), "{line}");
        while !slow.is_finished() {
            let name = format!("b{asked}");
            for command in [
                &["show"][..],
                &["bridge", "add", &name],
                &["nic", "list"],
                &["vf", "list", PF],
                &["bridge", "del", &name],
            ] {
                let start = Instant::now();
                rig.ok(command).unwrap();
                longest = longest.max(start.elapsed());
            }
            asked += 1;
        }
        assert!(asked > 3, "{asked}");
        (slow.join().unwrap(), longest)
    });
    assert!(slow > Duration::from_secs(5), "{slow:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let all: Vec<EswitchView> = rig.json(&["eswitch", "show", "0000:04:00.0"]).unwrap();
    assert_eq!((all[0].mode, all[0].vfs), (EswitchMode::Switchdev, 4));
}

#[test]
fn killed_at_any_boundary_it_ends_where_it_was_told_to_go() {
    let mut rig = switch("connectx,vfs=4");
    let wish = ["eswitch", "set", PF, "--mode", "legacy", "--vfs", "3"];
    rig.set_env("SHUNT_FAILPOINT", "nic-boundary:0");
    rig.restart().unwrap();
    rig.ok(&wish).unwrap();
    let boundaries = rig.log().lines().filter(|l| l.starts_with("failpoint nic-boundary:")).count();
    assert!(boundaries > 8, "{}", rig.log());
    rig.set_env("SHUNT_FAILPOINT", "");
    rig.restart().unwrap();
    for end in 1..=boundaries {
        rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "4"]).unwrap();
        // The fake kernel ends with the daemon, and the next one begins as the mock NIC does: in switchdev with 4
        // VFs. At its start the daemon comes to what is desired by one boundary.
        rig.set_env("SHUNT_FAILPOINT", &format!("nic-boundary:{}", end + 1));
        rig.restart().unwrap();
        let out = rig.ctl(&wish).unwrap();
        assert!(out.code != Some(0) && rig.ended(Duration::from_secs(5)), "{end}: {out:?}");
        rig.set_env("SHUNT_FAILPOINT", "");
        rig.restart().unwrap();
        assert_eq!(eswitch(&rig), (EswitchMode::Legacy, 3), "boundary {end} of {boundaries}");
        assert_eq!(nic(&rig).state, "as desired");
        let now = states(&rig);
        assert_eq!((&*now[0].2, now.len()), ("up", 3), "{now:?}");
    }
    rig.ok(&["eswitch", "set", PF, "--mode", "switchdev", "--vfs", "4"]).unwrap();
    assert!(states(&rig).iter().all(|p| p.2 == "up"), "{:?}", states(&rig));
    assert_eq!((pass(&rig, 1), pass(&rig, 0)), (vec![0], vec![1]));
}

#[test]
fn fixed_addresses_come_back_with_their_port() {
    let rig = switch("connectx,vfs=4");
    let fdb = |rig: &Rig| -> Vec<FdbEntry> { rig.json(&["fdb", "show", "br0"]).unwrap() };
    rig.ok(&["fdb", "add", "br0", "web", "0", "02:00:00:00:00:77"]).unwrap();
    let before = fdb(&rig);
    assert_eq!(before.len(), 1, "{before:?}");
    set(&rig, &["--vfs", "3"]);
    assert_eq!(fdb(&rig), before);
}
