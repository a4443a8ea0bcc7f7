//! Meters in hardware, through `shuntctl`, on a mock NIC and a virtual clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, FlowView, Handled, MeterView, MockView, paths};
use hw_tests::Rig;
use hw_tests::frames::udp;

const FLOW: &str = "in_port=1,udp,tp_src=1,actions=meter:1,output:2";

fn switch(mock: &str, args: &[&str]) -> Rig {
    let rig = Rig::with_args(&format!("{mock},vfs=2,lockstep"), args).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    rig
}

fn pktps(number: u32, rate: u32, burst: u32) -> String {
    format!("meter={number},pktps,burst,bands=type=drop,rate={rate},burst_size={burst}")
}

/// So many frames of the flow with this port at a time in milliseconds: how many left.
fn send(rig: &Rig, at: u64, port: u16, frames: usize) -> usize {
    rig.ends(0, at, &vec![udp(1, 2, port); frames]).unwrap().len()
}

fn mock(rig: &Rig) -> MockView {
    rig.json_of("GET", paths::MOCK_COUNTERS).unwrap()
}

/// Where the flow with this port is, and the first reason.
fn placed(rig: &Rig, port: u16) -> (Handled, String) {
    let flows: Vec<DpFlowView> = rig.json(&["dp", "flows"]).unwrap();
    let flow = flows.iter().find(|f| f.flow.contains(&format!("src={port})"))).unwrap_or_else(|| panic!("{flows:?}"));
    (flow.handled, flow.reasons.first().map(|r| r.name.clone()).unwrap_or_default())
}

fn full() -> (Handled, String) {
    (Handled::Hardware, String::new())
}

/// Packets that came to the meter, and that its band dropped.
fn stats(rig: &Rig) -> (u64, u64) {
    let meters: Vec<MeterView> = rig.json(&["meter", "stats", "br0", "1"]).unwrap();
    assert_eq!((meters[0].bytes, meters[0].bands[0].bytes), (meters[0].packets * 60, meters[0].bands[0].packets * 60));
    (meters[0].packets, meters[0].bands[0].packets)
}

#[test]
fn a_metered_flow_is_in_hardware_and_what_exceeds_the_rate_is_dropped_there() {
    let rig = switch("connectx", &[]);
    rig.ok(&["meter", "add", "br0", &pktps(1, 10, 20)]).unwrap();
    rig.ok(&["flow", "add", "br0", FLOW]).unwrap();
    assert_eq!(send(&rig, 1, 1, 1), 1, "by software");
    assert_eq!(placed(&rig, 1), full());
    assert_eq!(send(&rig, 1, 1, 100), 20, "the bucket");
    assert_eq!((mock(&rig).tally.hardware, stats(&rig)), (100, (101, 80)));
    assert_eq!(send(&rig, 1001, 1, 30), 10, "what a second brings, by the virtual clock");
    assert_eq!(stats(&rig), (131, 100));
    let rules: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    assert_eq!((rules[0].packets, rules[0].bytes), (131, 131 * 60));

    // New rates reach the device, and the rules stay.
    let before = mock(&rig).rules;
    rig.ok(&["meter", "mod", "br0", &pktps(1, 1000, 50)]).unwrap();
    assert_eq!((placed(&rig, 1), mock(&rig).rules), (full(), before));
    assert_eq!(send(&rig, 1001, 1, 60), 50);
    assert_eq!(mock(&rig).tally.hardware, 190, "all but the first");
    assert_eq!(stats(&rig), (191, 10), "a band that changed counts anew");

    // In software the same meter polices, with a bucket of its own; what was counted stays.
    rig.ok(&["offload", "off", "uplink"]).unwrap();
    assert_eq!(placed(&rig, 1).1, "PortDisabled");
    assert_eq!(send(&rig, 1001, 1, 60), 50);
    assert_eq!(stats(&rig), (251, 20));
    rig.ok(&["offload", "on", "uplink"]).unwrap();
    assert_eq!(placed(&rig, 1), full());

    rig.ok(&["meter", "del", "br0", "1"]).unwrap();
    assert_eq!(mock(&rig).rules, 0);
    assert_eq!(rig.json::<Vec<MeterView>>(&["meter", "stats", "br0"]).unwrap(), []);
    let tally = mock(&rig).tally;
    assert!(tally.balances() && tally.frames_dropped == 120, "{tally:?}");

    // The number is free in the device, too.
    rig.ok(&["meter", "add", "br0", &pktps(1, 10, 5)]).unwrap();
    rig.ok(&["flow", "add", "br0", FLOW]).unwrap();
    send(&rig, 1002, 1, 1);
    assert_eq!(placed(&rig, 1), full());
    assert_eq!(send(&rig, 1002, 1, 9), 5);
    assert_eq!(stats(&rig), (10, 4));
}

#[test]
fn a_meter_is_shared_by_the_flows_of_its_bridge() {
    let rig = switch("connectx", &[]);
    rig.ok(&["meter", "add", "br0", "meter=1,kbps,burst,bands=type=drop,rate=8,burst_size=8"]).unwrap();
    for port in 1..=4 {
        rig.ok(&["flow", "add", "br0", &format!("in_port=1,udp,tp_src={port},actions=meter:1,output:2")]).unwrap();
    }
    // 8 kilobits are 1000 bytes: 16 frames of 60. Those of software had a bucket of their own.
    assert_eq!((1..=4).map(|port| send(&rig, 1, port, 1)).sum::<usize>(), 4);
    assert_eq!((1..=4).map(|port| send(&rig, 1, port, 10)).sum::<usize>(), 16);
    assert_eq!(stats(&rig), (44, 24));
}

#[test]
fn each_meter_in_software_has_a_reason_and_the_remedy_helps() {
    let rig = switch("e810", &[]);
    rig.ok(&["meter", "add", "br0", &pktps(1, 10, 20)]).unwrap();
    rig.ok(&["flow", "add", "br0", FLOW]).unwrap();
    assert_eq!(send(&rig, 1, 1, 100), 20);
    assert_eq!((placed(&rig, 1), stats(&rig)), ((Handled::Partial, "Action".into()), (100, 80)));

    let rig = switch("connectx", &[]);
    let two = "meter=1,pktps,burst,bands=type=drop,rate=10,burst_size=5,type=drop,rate=20,burst_size=5";
    rig.ok(&["meter", "add", "br0", two]).unwrap();
    rig.ok(&["flow", "add", "br0", FLOW]).unwrap();
    send(&rig, 1, 1, 2);
    assert_eq!(placed(&rig, 1), (Handled::Partial, "MeterBands".into()));
    let text = rig.ok(&["offload", "explain"]).unwrap();
    assert!(
        text.contains("because: MeterBands: meter 1 has 2 bands") && text.contains("give meter 1 one band"),
        "{text}"
    );
    let asked = rig.ok(&["offload", "explain", "in_port=1,udp,tp_src=1,nw_ttl=64"]).unwrap();
    assert!(asked.contains("MeterBands: "), "{asked}");
    rig.ok(&["meter", "mod", "br0", &pktps(1, 10, 20)]).unwrap();
    assert_eq!(placed(&rig, 1), full());
    let asked = rig.ok(&["offload", "explain", "in_port=1,udp,tp_src=1,nw_ttl=64"]).unwrap();
    assert!(asked.contains("handled: hardware"), "{asked}");
    // And back: its flow leaves before the meter does.
    rig.ok(&["meter", "mod", "br0", "meter=1,pktps,bands=type=dscp_remark,rate=10,prec_level=1"]).unwrap();
    assert_eq!(placed(&rig, 1), (Handled::Partial, "MeterBands".into()));
    assert_eq!(send(&rig, 2, 1, 50), 50, "remarked at most");
}

#[test]
fn meters_that_the_device_has_no_room_for_wait() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connectx.toml");
    std::fs::write(&file, "[limits]\nmeters = 1\n").unwrap();
    let rig = switch("connectx", &["--capabilities", folder.path().to_str().unwrap()]);
    for number in 1..=2 {
        rig.ok(&["meter", "add", "br0", &pktps(number, 10, 5)]).unwrap();
        let rule = format!("in_port=1,udp,tp_src={number},actions=meter:{number},output:2");
        rig.ok(&["flow", "add", "br0", &rule]).unwrap();
        send(&rig, 1, number as u16, 1);
    }
    assert_eq!((placed(&rig, 1), placed(&rig, 2).1), (full(), "MeterTableFull".into()));
    rig.ok(&["meter", "del", "br0", "1"]).unwrap();
    assert_eq!(placed(&rig, 2), full());
    assert_eq!(send(&rig, 1, 2, 20), 5);
}

#[test]
fn meters_go_back_into_hardware_after_a_restart() {
    let mut rig = switch("connectx", &[]);
    rig.ok(&["meter", "add", "br0", &pktps(1, 10, 20)]).unwrap();
    rig.ok(&["flow", "add", "br0", FLOW]).unwrap();
    rig.restart().unwrap();
    send(&rig, 1, 1, 1);
    assert_eq!((placed(&rig, 1), send(&rig, 1, 1, 100)), (full(), 20));
    assert_eq!(stats(&rig), (101, 80));
}
