//! `shuntctl offload capture`: flows of the match alone go to software, all of their packets are in the file, and they go back
//! whatever becomes of the reader.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, Handled, MockView, paths};
use hw_tests::frames::udp;
use hw_tests::{Rig, program, run};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn rig() -> Rig {
    let rig = Rig::start("connectx,vfs=2,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    for n in 1..=3 {
        let rule = format!("in_port=1,udp,tp_src={n},actions=mod_dl_src:02:00:00:00:00:99,output:2");
        rig.ok(&["flow", "add", "br0", &rule]).unwrap();
    }
    rig
}

fn pass(rig: &Rig, at: u64) {
    let left = rig.pass(0, at, &[udp(1, 2, 1), udp(1, 2, 2), udp(1, 2, 3)]).unwrap();
    assert_eq!(left.len(), 3, "all of them leave, captured or not");
    assert!(left.iter().all(|(end, frame)| *end == 1 && frame[11] == 0x99), "{left:?}");
}

/// Flows in hardware.
fn offloaded(rig: &Rig) -> usize {
    rig.json::<Vec<DpFlowView>>(&["dp", "flows", "--offloaded"]).unwrap().len()
}

fn captured(rig: &Rig) -> Vec<DpFlowView> {
    rig.json(&["dp", "flows", "--reason", "Captured"]).unwrap()
}

fn start(rig: &Rig, args: &[&str]) -> (Child, PathBuf) {
    let file = rig.dir().join("x.pcap");
    let child = Command::new(program("shuntctl").unwrap())
        .arg("--socket")
        .arg(rig.socket())
        .args(["offload", "capture"])
        .args(args)
        .arg("--pcap")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, file)
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn packets_of_the_match_are_in_the_file_as_they_came_and_other_flows_stay() {
    let rig = rig();
    (1..5).for_each(|at| pass(&rig, at));
    assert_eq!(offloaded(&rig), 3);
    let (child, file) = start(&rig, &["in_port=1,udp,tp_src=2", "--count", "5"]);
    until("the flow goes to software", || offloaded(&rig) == 2);
    let before: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
    (10..13).for_each(|at| pass(&rig, at));
    assert_eq!(offloaded(&rig), 2, "the others are where they were");
    let flows = captured(&rig);
    assert!(flows.len() == 1 && flows[0].handled == Handled::Software, "{flows:?}");
    let now: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
    assert_eq!((now.tally.software - before.tally.software, now.tally.hardware - before.tally.hardware), (3, 6));
    (20..24).for_each(|at| pass(&rig, at));
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.starts_with("5 packets of ") && said.contains("1 flows were in software"), "{said}");
    let frames = api::read_capture("x", &std::fs::read(file).unwrap()).unwrap();
    assert_eq!(frames.len(), 5);
    assert!(frames.iter().all(|f| f.data == udp(1, 2, 2)), "as they came in");
    (30..33).for_each(|at| pass(&rig, at));
    assert_eq!((offloaded(&rig), captured(&rig).len()), (3, 0));
    assert!(!rig.ok(&["dp", "flows"]).unwrap().contains("userspace"));
    let dump = rig.ok(&["flow", "dump", "br0"]).unwrap();
    assert_eq!(dump.matches("n_packets=14,").count(), 3, "{dump}");
}

#[test]
fn a_flow_is_captured_by_its_number_and_goes_back_when_the_client_is_killed() {
    let rig = rig();
    (1..5).for_each(|at| pass(&rig, at));
    let flows: Vec<DpFlowView> = rig.json(&["dp", "flows"]).unwrap();
    let (mut child, _) = start(&rig, &[&flows[0].id.to_string()]);
    until("the flow goes to software", || offloaded(&rig) == 2);
    pass(&rig, 10);
    assert_eq!(captured(&rig).len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the flow goes back", || {
        std::thread::sleep(Duration::from_millis(200));
        pass(&rig, 20);
        offloaded(&rig) == 3
    });
    assert_eq!(captured(&rig), []);
}

#[test]
fn a_capture_that_is_interrupted_ends_in_order() {
    let rig = rig();
    (1..5).for_each(|at| pass(&rig, at));
    for (n, signal) in ["-INT", "-TERM"].into_iter().enumerate() {
        let (child, file) = start(&rig, &["in_port=1,udp,tp_src=2"]);
        until("the flow goes to software", || offloaded(&rig) == 2);
        let at = 10 * (n as u64 + 1);
        (at..at + 3).for_each(|at| pass(&rig, at));
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let told = Instant::now();
        let out = child.wait_with_output().unwrap();
        let took = told.elapsed();
        assert!(took < Duration::from_secs(api::CAPTURE_LEASE_S) / 2, "{took:?}");
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(said.starts_with("3 packets of in_port=1,udp,tp_src=2 captured; 1 flows were"), "{said}");
        assert_eq!(api::read_capture("x", &std::fs::read(file).unwrap()).unwrap().len(), 3);
        // No time passes, and no frame comes, until the flow may be in hardware again.
        assert_eq!(captured(&rig), []);
        pass(&rig, at + 5);
        assert_eq!(offloaded(&rig), 3);
    }
}

#[test]
fn what_cannot_be_captured_is_refused_and_nothing_moves() {
    let rig = rig();
    (1..5).for_each(|at| pass(&rig, at));
    let file = rig.dir().join("y.pcap");
    let file = file.to_str().unwrap();
    let refused = |what: &str, pcap: &str, part: &str| {
        let said = rig.refused(&["offload", "capture", what, "--pcap", pcap, "--seconds", "1"]).unwrap();
        assert!(said.contains(part), "{said}");
    };
    std::fs::write(file, "an earlier capture").unwrap();
    refused("999999", file, "there is no such flow");
    refused("in_port=9,udp", file, "no such port");
    refused("in_port=1,tp_src=2", file, "tp_src");
    refused("frob=1", file, "frob");
    assert_eq!(offloaded(&rig), 3);
    refused("in_port=1", "/nosuch/x.pcap", "/nosuch/x.pcap");
    assert_eq!(captured(&rig), [], "the one without a file has ended");
    pass(&rig, 5);
    assert_eq!(offloaded(&rig), 3);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "an earlier capture");
    let out = run("shuntctl", &["--socket", "/nosuch", "offload", "capture", "in_port=1", "--pcap", file]).unwrap();
    assert_eq!((out.code, std::fs::read_to_string(file).unwrap()), (Some(1), "an earlier capture".to_owned()));
    assert_eq!(rig.ctl(&["offload", "capture", "1", "--pcap", file, "--count", "0"]).unwrap().code, Some(2));
    assert_eq!(offloaded(&rig), 3);
    let (status, body) = rig.request("GET", "/v1/offload/captures/7", "").unwrap();
    assert!(status == 404 && body.contains("capture 7"), "{status} {body}");
}
