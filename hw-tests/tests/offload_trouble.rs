//! What nobody should do to offload, done: nothing is lost, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Collected, FlowView, Frame, Inject, MockView, OffloadRun, OffloadStatus, paths};
use hw_tests::Rig;
use hw_tests::frames::udp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn rig(mock: &str) -> Rig {
    set_up(Rig::start(mock).unwrap())
}

fn set_up(rig: Rig) -> Rig {
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    add_port(&rig, "uplink", 1);
    add_port(&rig, "pf0vf0", 2);
    add_port(&rig, "pf0vf1", 3);
    rig
}

fn add_port(rig: &Rig, name: &str, number: u16) {
    rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number.to_string()]).unwrap();
}

/// A rule for each of so many UDP source ports, from 1 on.
fn load(rig: &Rig, rules: u16) {
    let lines = (1..=rules).map(|n| format!("in_port=1,udp,tp_src={n},actions=output:2\n"));
    let file = rig.dir().join("rules");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    rig.ok(&["flow", "add-file", "br0", file.to_str().unwrap()]).unwrap();
}

fn inject(rig: &Rig, ports: impl Iterator<Item = u16>) -> u64 {
    let frames: Vec<_> = ports.map(|n| Frame { end: 0, at: 0, hex: api::to_hex(&udp(1, 2, n)) }).collect();
    let n = frames.len() as u64;
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
    n
}

fn collect(rig: &Rig) -> u64 {
    rig.post::<Collected>(paths::MOCK_COLLECT, &()).unwrap().frames.len() as u64
}

fn mock(rig: &Rig) -> MockView {
    rig.json_of("GET", paths::MOCK_COUNTERS).unwrap()
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn offload_is_turned_off_and_on_1000_times_under_traffic() {
    let rig = rig("connectx,vfs=2");
    load(&rig, 8);
    let stop = AtomicBool::new(false);
    let (sent, mut left) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut sent, mut left) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                sent += inject(&rig, (0..32).map(|n| n % 8 + 1));
                left += collect(&rig);
            }
            (sent, left)
        });
        for n in 0..1000 {
            // For all, and for the one port that there is traffic from, in turn.
            let port = if n % 4 < 2 { "null" } else { r#""uplink""# };
            let body = format!(r#"{{"enabled":{},"port":{port}}}"#, n % 2 == 1);
            let (status, answer) = rig.request("PUT", paths::OFFLOAD, &body).unwrap();
            assert_eq!(status, 200, "{answer}");
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    until("all is out", || {
        left += collect(&rig);
        left == sent
    });
    let tally = mock(&rig).tally;
    assert!(tally.balances() && (tally.frames_in, tally.frames_dropped) == (sent, 0), "{tally:?}");
    let rules: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    assert!(rules.iter().all(|r| r.packets == sent / 8), "{sent} frames: {rules:?}");
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    assert!(status.enabled && status.anomalies.is_empty(), "{status:?}");
    rig.ok(&["offload", "off"]).unwrap();
    assert_eq!(mock(&rig).rules, 0);
    assert!(!rig.log().contains("panicked"), "{}", rig.log());
}

#[test]
fn a_port_goes_with_10000_rules_in_hardware_and_nothing_of_it_stays() {
    const RULES: u16 = 10_000;
    // However long it takes until all are in, none of the first is idle by then.
    let rig = set_up(Rig::configured("connectx,vfs=2", "[datapath]\nmax_idle_ms = 600000\n").unwrap());
    load(&rig, RULES);
    // A busy machine drops some of so many misses at a time: those come again.
    until("rules are in", || {
        for from in (1..=RULES).step_by(500) {
            inject(&rig, from..from + 500);
            until("frames leave", || collect(&rig) > 0);
        }
        mock(&rig).rules == usize::from(RULES)
    });
    let start = Instant::now();
    rig.ok(&["port", "del", "br0", "uplink"]).unwrap();
    until("rules are out", || mock(&rig).rules == 0);
    println!("{RULES} rules went in {:?}", start.elapsed());
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    assert_eq!((status.full, status.rules, status.queued), (0, 0, 0), "{status:?}");
    assert!(status.anomalies.is_empty(), "{status:?}");
    assert_eq!(rig.json::<Vec<api::DpFlowView>>(&["dp", "flows"]).unwrap(), []);
    add_port(&rig, "uplink", 1);
    collect(&rig);
    until("the port works again", || {
        inject(&rig, 7..8);
        collect(&rig) > 0 && mock(&rig).rules > 0
    });
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_a_batch_starts_clean() {
    let mut rig = rig("connectx,vfs=2");
    load(&rig, 4000);
    let run = |rig: &Rig| rig.json::<OffloadStatus>(&["offload", "status"]).unwrap().run;
    let first = run(&rig);
    assert_eq!((first.instance.len(), first.generation), (16, 1));
    for round in 0..3 {
        for from in (1..=4000).step_by(500) {
            inject(&rig, from..from + 500);
        }
        // In the middle: some are in, most are not.
        until("some rules are in", || mock(&rig).rules > 50 * round);
        // The mock NIC dies with the daemon. One that outlives it and its rules is in manager/tests/trouble/restart.rs.
        rig.restart().unwrap();
        // What a device that keeps rules would know them by.
        assert_eq!(run(&rig), OffloadRun { generation: first.generation + round as u64 + 1, ..first.clone() });
        assert_eq!(rig.json::<Vec<FlowView>>(&["flow", "dump", "br0"]).unwrap().len(), 4000);
    }
    inject(&rig, 1..101);
    let mut left = 0;
    until("frames leave", || {
        left += collect(&rig);
        left == 100
    });
    until("and their flows go into hardware", || mock(&rig).rules == 100);
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    assert!(status.anomalies.is_empty(), "{status:?}");
    assert_eq!((status.full, status.rules, status.queued), (100, 100, 0), "{status:?}");
    // Nothing of what was under way when it was killed is counted or done now.
    let counted = rig.json::<Vec<FlowView>>(&["flow", "dump", "br0"]).unwrap();
    let counted: Vec<u64> = counted.iter().map(|rule| rule.packets).filter(|packets| *packets > 0).collect();
    assert_eq!(counted, [1; 100]);
}

#[test]
fn a_stop_with_flush_leaves_no_rule() {
    let mut rig = Rig::start("connectx,vfs=2").unwrap();
    // The state file is made by now.
    rig.ok(&["show"]).unwrap();
    rig.set_args(&["--flush"]);
    rig.set_env("SHUNT_LOG", "info");
    rig.restart().unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    add_port(&rig, "uplink", 1);
    add_port(&rig, "pf0vf0", 2);
    load(&rig, 2000);
    for from in (1..=2000).step_by(500) {
        inject(&rig, from..from + 500);
    }
    until("rules are in", || mock(&rig).rules > 1000);
    rig.terminate();
    assert!(rig.ended(Duration::from_secs(20)));
    let log = rig.log();
    assert!(log.contains("all rules are out of hardware"), "{log}");
}
