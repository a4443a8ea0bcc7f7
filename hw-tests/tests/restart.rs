//! A daemon that dies comes back as it was told to be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{FlowView, OffloadStatus, PortView};
use hw_tests::Rig;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn matches(rig: &Rig) -> BTreeSet<String> {
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    flows.into_iter().map(|f| format!("{} {}", f.matching, f.actions)).collect()
}

#[test]
fn bridges_ports_rules_and_offload_are_back_after_a_crash() {
    let mut rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["bridge", "add", "br1"]).unwrap();
    rig.ok(&["port", "add", "br0", "wire", "--type", "representor", "--devargs", "uplink", "--ofport", "7"]).unwrap();
    rig.ok(&["port", "add", "br0", "vf1", "--type", "representor", "--devargs", "pf0vf1", "--tag", "30"]).unwrap();
    rig.ok(&["flow", "add", "br0", "priority=10,ip,nw_dst=10.0.0.0/8,actions=dec_ttl,output:7"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=7,actions=NORMAL"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=drop"]).unwrap();
    rig.ok(&["flow", "del", "br0", "in_port=1"]).unwrap();
    rig.ok(&["offload", "off"]).unwrap();
    let (rules, ports) = (matches(&rig), rig.json::<Vec<PortView>>(&["port", "list"]).unwrap());
    assert_eq!(rules.len(), 2);
    for round in 0..2 {
        rig.restart().unwrap();
        assert_eq!(matches(&rig), rules, "round {round}");
        let now: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        let identity = |p: &PortView| (p.bridge.clone(), p.port.clone(), p.state.clone());
        assert_eq!(now.iter().map(identity).collect::<Vec<_>>(), ports.iter().map(identity).collect::<Vec<_>>());
        assert!(!rig.json::<OffloadStatus>(&["offload", "status"]).unwrap().enabled);
        // br1 is standalone and keeps its one rule: it is not added twice.
        assert_eq!(rig.json::<Vec<FlowView>>(&["flow", "dump", "br1"]).unwrap().len(), 1);
    }
}

#[test]
fn no_acknowledged_rule_is_lost_in_twenty_crashes_at_random_moments() {
    let mut rig = Rig::start("tiny,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut seed = 0x9e37_79b9_u32;
    let mut number = 0;
    for round in 0..20 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let die_after = Duration::from_millis(u64::from(seed >> 16) % 150 + 5);
        let start = Instant::now();
        let pid = rig.pid().unwrap();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(die_after);
            std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap()
        });
        while start.elapsed() < die_after + Duration::from_millis(20) {
            number += 1;
            let flow = format!("priority={},tcp,tp_dst={},actions=drop", number % 7 + 1, number);
            if rig.ctl(&["flow", "add", "br0", &flow]).unwrap().code == Some(0) {
                acknowledged.insert(number);
            }
        }
        assert!(killer.join().unwrap().success());
        rig.restart().unwrap();
        let there: BTreeSet<u32> = rig
            .json::<Vec<FlowView>>(&["flow", "dump", "br0"])
            .unwrap()
            .iter()
            .filter_map(|f| f.matching.split("tp_dst=").nth(1)?.parse().ok())
            .collect();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?} of {}", acknowledged.len());
    }
    println!("{} rules acknowledged in 20 rounds, none lost", acknowledged.len());
    assert!(acknowledged.len() >= 40, "only {} rules were acknowledged: the test saw too little", acknowledged.len());
}

#[test]
fn flags_that_say_how_to_add_a_rule_do_not_stand_in_the_way_of_a_restart() {
    let mut rig = Rig::start("tiny,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["flow", "add", "br0", "check_overlap,priority=5,tcp,nw_src=10.0.0.1,actions=drop"]).unwrap();
    rig.ok(&["flow", "add", "br0", "priority=5,ip,actions=drop"]).unwrap();
    let before = matches(&rig);
    rig.restart().unwrap();
    assert_eq!(matches(&rig), before);
}

#[test]
fn a_standalone_bridge_whose_first_rule_was_removed_comes_back_without_it() {
    let mut rig = Rig::start("tiny,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["flow", "del", "br0"]).unwrap();
    rig.restart().unwrap();
    assert_eq!(matches(&rig), BTreeSet::new());
}

/// A state file appears whole or not at all, whenever its daemon is killed.
#[test]
fn a_daemon_that_is_killed_at_its_first_start_leaves_no_half_a_state_file() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, state) = (dir.path().join("s.sock"), dir.path().join("state.redb"));
    let program = hw_tests::program("shuntd").unwrap();
    let mut made = 0;
    for round in 0..40 {
        let _ = std::fs::remove_file(&state);
        let mut daemon = std::process::Command::new(&program)
            .args(["--mock", "none,vfs=0", "--socket"])
            .arg(&socket)
            .arg("--state")
            .arg(&state)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A little later each time, until it is surely there.
        std::thread::sleep(Duration::from_micros(1000 + 500 * round));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let Ok(bytes) = std::fs::read(&state) else { continue };
        made += 1;
        // redb's design document: a file begins with its magic number.
        assert!(bytes.starts_with(b"redb"), "after round {round}: {:?}", bytes.get(..8));
    }
    println!("{made} files of 40");
}
