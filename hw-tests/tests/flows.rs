//! Rules through `shuntctl flow`: change, replace, compare, show, and be told of those that went.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Frame, Inject, paths};
use hw_tests::Rig;

fn rig() -> Rig {
    let rig = Rig::start("none,vfs=2,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (name, devargs) in [("uplink", "uplink"), ("vm1", "pf0vf0"), ("vm.2", "pf0vf1")] {
        rig.ok(&["port", "add", "br0", name, "--devargs", devargs]).unwrap();
    }
    rig
}

/// The rules of br0 without what differs from run to run.
fn dump(rig: &Rig) -> Vec<String> {
    let text = rig.ok(&["flow", "dump", "br0", "--no-stats"]).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn file(rig: &Rig, name: &str, text: &str) -> String {
    let path = rig.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn flows_are_changed_loosely_and_strictly() {
    let rig = rig();
    let flows = "cookie=1,priority=5,tcp,actions=drop\ncookie=0x12,priority=6,tcp,tp_dst=80,actions=output:1\nudp,actions=output:1\n";
    rig.ok(&["flow", "add-file", "br0", &file(&rig, "f", flows)]).unwrap();
    assert_eq!(rig.ok(&["flow", "mod", "br0", "tcp,actions=output:vm1"]).unwrap(), "2 flows changed\n");
    assert_eq!(
        dump(&rig),
        [
            "udp actions=output:1",
            "cookie=0x12, priority=6,tcp,tp_dst=80 actions=output:2",
            "cookie=0x1, priority=5,tcp actions=output:2",
        ]
    );
    assert_eq!(
        rig.ok(&["flow", "mod", "br0", "--strict", "priority=5,tcp,actions=IN_PORT"]).unwrap(),
        "1 flow changed\n"
    );
    assert_eq!(rig.ok(&["flow", "mod", "br0", "cookie=0x10/0xf0,actions=NORMAL"]).unwrap(), "1 flow changed\n");
    assert_eq!(rig.ok(&["flow", "mod", "br0", "arp,actions=NORMAL"]).unwrap(), "0 flows changed\n");
    assert_eq!(
        dump(&rig),
        [
            "udp actions=output:1",
            "cookie=0x12, priority=6,tcp,tp_dst=80 actions=NORMAL",
            "cookie=0x1, priority=5,tcp actions=IN_PORT",
        ]
    );
    rig.ok(&["flow", "del", "br0", "out_port=uplink"]).unwrap();
    rig.ok(&["flow", "del", "br0", "--strict", "priority=5,tcp"]).unwrap();
    assert_eq!(dump(&rig), ["cookie=0x12, priority=6,tcp,tp_dst=80 actions=NORMAL"]);
}

#[test]
fn a_file_may_say_what_is_to_be_done_and_is_all_or_nothing() {
    let mut rig = rig();
    let text = "priority=1,ip,actions=drop\nadd priority=2,tcp,actions=drop\n\n# next\nmodify ip actions=output:1\n\
                delete_strict priority=2,tcp\nadd arp,actions=NORMAL\ndelete priority\n";
    let bad = file(&rig, "bad", text);
    let refused = rig.refused(&["flow", "add-file", "br0", "--bundle", &bad]).unwrap();
    assert!(refused.contains("bad:8: "), "{refused}");
    assert!(dump(&rig).is_empty());
    let good = file(&rig, "good", text.rsplit_once("delete").unwrap().0);
    rig.ok(&["flow", "add-file", "br0", "--bundle", &good]).unwrap();
    let want = ["arp actions=NORMAL", "priority=1,ip actions=output:1"];
    assert_eq!(dump(&rig), want);
    rig.restart().unwrap();
    assert_eq!(dump(&rig), want);
}

#[test]
fn replace_makes_the_least_changes_and_diff_tells_them() {
    let mut rig = rig();
    let old = "cookie=5,priority=9,in_port=uplink,actions=drop\ntable=3,ip,actions=output:2\nudp,actions=output:1\n";
    let new = "cookie=5,priority=9,in_port=uplink,actions=drop\ntable=3,ip,actions=output:vm.2\narp,idle_timeout=60,actions=NORMAL\n";
    let (old, new) = (file(&rig, "old", old), file(&rig, "new", new));
    rig.ok(&["flow", "add-file", "br0", &old]).unwrap();
    let frame = Frame { end: 0, at: 1, hex: "020000000001020000000002".to_owned() + &"0".repeat(100) };
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames: vec![frame] }).unwrap();
    assert_eq!(rig.ok(&["flow", "diff", "br0", &old]).unwrap(), "");

    let want = "+arp idle_timeout=60 actions=NORMAL\n-udp actions=output:1\n-table=3 ip actions=output:2\n+table=3 ip actions=output:3\n";
    let out = rig.ctl(&["flow", "diff", "br0", &new]).unwrap();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (Some(1), want, ""));
    assert_eq!(rig.ok(&["flow", "replace", "br0", &new, "--dry-run"]).unwrap(), want);
    assert_eq!(rig.ok(&["flow", "diff", "br0", &old]).unwrap(), "");
    assert_eq!(rig.ok(&["flow", "replace", "br0", &new]).unwrap(), want);
    assert_eq!(rig.ok(&["flow", "replace", "br0", &new]).unwrap(), "");
    assert_eq!(rig.ok(&["flow", "diff", &new, "br0"]).unwrap(), "");
    let flows: Vec<api::FlowView> = rig.json(&["flow", "dump", "br0", "in_port=1"]).unwrap();
    assert_eq!(flows.iter().map(|f| f.packets).collect::<Vec<_>>(), [1], "what stayed kept its counters");
    let before = dump(&rig);
    rig.restart().unwrap();
    assert_eq!(dump(&rig), before);

    let missing = rig.refused(&["flow", "diff", "br0", "./nosuch"]).unwrap();
    assert!(missing.contains("./nosuch"), "{missing}");
    let bad = file(&rig, "bad", "actions=drop\nactions=outptu:1\n");
    let refused = rig.refused(&["flow", "replace", "br0", &bad]).unwrap();
    assert!(refused.contains("bad:2: "), "{refused}");
    assert_eq!(dump(&rig), before);
}

#[test]
fn dumps_name_ports_and_are_ordered() {
    let rig = rig();
    let flows = "priority=1,in_port=3,actions=output:1\npriority=3,in_port=1,actions=resubmit(2,1),output:3\npriority=2,tcp,actions=output:2\n";
    rig.ok(&["flow", "add-file", "br0", &file(&rig, "f", flows)]).unwrap();
    let named = rig.ok(&["flow", "dump", "br0", "--no-stats", "--names", "--sort"]).unwrap();
    assert_eq!(
        named,
        " priority=1,in_port=\"vm.2\" actions=output:uplink\n priority=2,tcp actions=output:vm1\n priority=3,in_port=uplink actions=resubmit(vm1,1),output:\"vm.2\"\n"
    );
    // What was printed can be added again.
    let again = file(&rig, "again", &named);
    assert_eq!(rig.ok(&["flow", "replace", "br0", &again]).unwrap(), "");
    let by = |option: &str| {
        let flows: Vec<api::FlowView> = rig.json(&["flow", "dump", "br0", option]).unwrap();
        flows.iter().map(|f| f.priority).collect::<Vec<_>>()
    };
    assert_eq!(
        (by("--sort=in_port"), by("--rsort=in_port"), by("--rsort")),
        (vec![3, 1, 2], vec![1, 3, 2], vec![3, 2, 1])
    );
    let refused = rig.refused(&["flow", "dump", "br0", "--sort=nosuch"]).unwrap();
    assert!(refused.contains("--sort=nosuch"), "{refused}");
}

#[test]
fn flows_that_go_are_told_of() {
    let rig = rig();
    rig.ok(&["flow", "add", "br0", "send_flow_rem,cookie=7,hard_timeout=3,udp,actions=drop"]).unwrap();
    rig.ok(&["flow", "add", "br0", "hard_timeout=3,tcp,actions=drop"]).unwrap();
    rig.ok(&["flow", "add", "br0", "send_flow_rem,priority=5,actions=drop"]).unwrap();
    let frame = Frame { end: 0, at: 5_000_000_000, hex: "020000000001020000000002".to_owned() + &"0".repeat(100) };
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames: vec![frame] }).unwrap();
    rig.ok(&["flow", "del", "br0"]).unwrap();
    let events: api::Events = rig.json_of("GET", &format!("{}?after=0", paths::EVENTS)).unwrap();
    let told: Vec<_> = events
        .flows_removed
        .iter()
        .map(|e| (e.number, e.reason.as_str(), e.cookie, e.priority, e.matching.as_str(), e.packets))
        .collect();
    assert_eq!(told, [(1, "hard", 7, 32768, "udp", 0), (2, "delete", 0, 5, "", 1)]);
    // Who waits is told at once.
    let told = std::thread::scope(|scope| {
        let watch = scope.spawn(|| rig.ok(&["flow", "watch", "br0", "--count", "1", "--timeout", "20"]));
        std::thread::sleep(std::time::Duration::from_millis(300));
        while !watch.is_finished() {
            rig.ok(&["flow", "add", "br0", "send_flow_rem,table=4,arp,actions=drop"]).unwrap();
            rig.ok(&["flow", "del", "br0", "table=4"]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        watch.join().unwrap().unwrap()
    });
    assert!(told.starts_with("br0: arp reason=delete table_id=4 duration"), "{told}");
}
