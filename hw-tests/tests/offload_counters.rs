//! Counters through everything that moves flows between hardware and software: what rules counted is what was sent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Collected, DpFlowView, FlowView, Frame, Handled, Inject, MockView, paths};
use hw_tests::Rig;
use hw_tests::frames::udp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// UDP source ports, each with a rule and a flow of its own: more than the profile `tiny` has room for.
const FLOWS: u16 = 12;

fn rig(profile: &str) -> Rig {
    let rig = Rig::start(&format!("{profile},vfs=2")).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    for flow in 0..FLOWS {
        let rule = format!("priority=9,cookie={},in_port=1,udp,tp_src={},actions=output:2", flow + 1, 1000 + flow);
        rig.ok(&["flow", "add", "br0", &rule]).unwrap();
    }
    rig
}

/// Sends until it is told to stop: how many packets of each flow. The first flows have more than the others.
fn send(rig: &Rig, stop: &AtomicBool) -> [u64; FLOWS as usize] {
    let mut sent = [0; FLOWS as usize];
    let mut turn: u16 = 0;
    while !stop.load(Ordering::Relaxed) {
        turn = turn.wrapping_add(1);
        let flows =
            (0..FLOWS).flat_map(|flow| std::iter::repeat_n(flow, if turn.is_multiple_of(flow + 1) { 2 } else { 0 }));
        let flows: Vec<u16> = flows.collect();
        let frame = |flow: &u16| Frame { end: 0, at: 0, hex: api::to_hex(&udp(1, 2, 1000 + flow)) };
        let frames = flows.iter().map(frame).collect();
        let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
        flows.iter().for_each(|flow| sent[usize::from(*flow)] += 1);
        let _: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
    }
    sent
}

/// Wait until nothing is under way.
fn quiet(rig: &Rig, sent: u64) -> MockView {
    let start = Instant::now();
    loop {
        let now: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
        if now.tally.frames_in == sent && now.tally.balances() {
            return now;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{now:?} after {sent} frames");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `flow dump` says after all counters were read: packets and bytes by flow, over the rules that it has had.
fn counted(rig: &Rig) -> Vec<(u64, u64)> {
    let rules: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    let of = |flow: u64| {
        let rules = rules.iter().filter(|r| r.cookie & 0xff == flow + 1);
        rules.fold((0, 0), |sum, r| (sum.0 + r.packets, sum.1 + r.bytes))
    };
    (0..u64::from(FLOWS)).map(of).collect()
}

/// Everything that makes flows go in and out of hardware, one after the other.
fn disturb(rig: &Rig) {
    let pause = || std::thread::sleep(Duration::from_millis(60));
    let ok = |args: &[&str]| drop(rig.ok(args).unwrap());
    let file = rig.dir().join("x.pcap");
    let file = file.to_str().unwrap();
    for round in 0..3 {
        ok(&["offload", "off"]);
        pause();
        ok(&["offload", "on"]);
        pause();
        ok(&["offload", "off", "uplink"]);
        ok(&["offload", "on", "uplink"]);
        ok(&["offload", "policy", "set", "hot", "--rate", "50"]);
        pause();
        ok(&["offload", "policy", "set", "all"]);
        // Flows change what they do, are replaced by others, and are captured.
        for flow in [0, 3, 11] {
            let output = 2 + (round + 1) % 2;
            let rule = format!("in_port=1,udp,tp_src={},actions=output:{output}", 1000 + flow);
            ok(&["flow", "mod", "br0", &rule]);
        }
        let other = format!("cookie={},priority={},in_port=1,udp,tp_src=1001,actions=output:3", 0x102, 20 + round);
        ok(&["flow", "add", "br0", &other]);
        ok(&["offload", "capture", "in_port=1,udp,tp_src=1002", "--pcap", file, "--count", "3", "--seconds", "5"]);
        pause();
    }
}

fn counts_all(profile: &str) {
    let rig = rig(profile);
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&rig, &stop));
        disturb(&rig);
        let flows: Vec<DpFlowView> = rig.json(&["dp", "flows"]).unwrap();
        if ["connectx", "e810", "tiny", "full"].contains(&profile) {
            let hardware = flows.iter().filter(|f| f.handled == Handled::Hardware);
            assert!(hardware.clone().count() > 0, "{profile}: {flows:?}");
            assert!(hardware.clone().all(|f| f.read_age_ms.is_some()), "{profile}: {flows:?}");
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    let total = sent.iter().sum();
    assert!(total > 1000, "only {total} frames were sent");
    let mock = quiet(&rig, total);
    let want: Vec<(u64, u64)> = sent.iter().map(|n| (*n, n * udp(1, 2, 1).len() as u64)).collect();
    assert_eq!(counted(&rig), want, "{profile}: {mock:?}");
    // Once more, with nothing under way and all rules out: what they counted stays counted.
    rig.ok(&["offload", "off"]).unwrap();
    assert_eq!(counted(&rig), want, "{profile}, off");
    assert_eq!(rig.json_of::<MockView>("GET", paths::MOCK_COUNTERS).unwrap().rules, 0);
}

#[test]
fn rules_count_what_was_sent_on_connectx() {
    counts_all("connectx");
}

#[test]
fn rules_count_what_was_sent_on_e810() {
    counts_all("e810");
}

#[test]
fn rules_count_what_was_sent_on_mark_only() {
    counts_all("mark-only");
}

#[test]
fn rules_count_what_was_sent_on_tiny_where_flows_push_each_other_out() {
    counts_all("tiny");
}

#[test]
fn rules_count_what_was_sent_on_full() {
    counts_all("full");
}

#[test]
fn rules_count_what_was_sent_on_none() {
    counts_all("none");
}
