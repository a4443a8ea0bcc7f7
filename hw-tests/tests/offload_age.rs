//! Idle flows and the ages of hardware rules, through `shuntctl`, on a mock NIC and a virtual clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, Handled, MockView, OffloadStatus, paths};
use hw_tests::Rig;
use hw_tests::frames::udp;

/// How long a flow may be idle, in milliseconds; rules carry it as their age, in whole seconds.
const IDLE: u64 = 3000;
/// UDP source ports: of a flow that falls silent, and of one that goes on.
const SILENT: u16 = 1;
const BUSY: u16 = 2;
/// Milliseconds from packet to packet of the busy flow: often enough for its age, not for each reading to find one.
const GAP: u64 = 1500;

/// uplink and two VFs of a NIC of this profile; both flows are in its hardware, met by packets at 1 and 2 ms.
fn rig(profile: &str) -> Rig {
    let config = format!("[datapath]\nmax_idle_ms = {IDLE}\n");
    let rig = Rig::configured(&format!("{profile},vfs=2,lockstep"), &config).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    for port in [SILENT, BUSY] {
        let rule = format!("in_port=1,udp,tp_src={port},vlan_tci=0,actions=output:2");
        rig.ok(&["flow", "add", "br0", &rule]).unwrap();
    }
    for at in [1, 2] {
        assert_eq!(rig.ends(0, at, &[udp(1, 2, SILENT), udp(1, 2, BUSY)]).unwrap(), [1, 1], "{profile}");
    }
    assert_eq!((hardware(&rig), mock(&rig).rules, mock(&rig).tally.hardware), (vec![SILENT, BUSY], 2, 2), "{profile}");
    rig
}

fn mock(rig: &Rig) -> MockView {
    rig.json_of("GET", paths::MOCK_COUNTERS).unwrap()
}

/// The flow with this source port, if hardware has it.
fn flow(rig: &Rig, port: u16) -> Option<DpFlowView> {
    let flows: Vec<DpFlowView> = rig.json(&["dp", "flows", "--offloaded"]).unwrap();
    assert!(flows.iter().all(|flow| flow.handled == Handled::Hardware), "{flows:?}");
    flows.into_iter().find(|flow| flow.flow.contains(&format!("src={port})")))
}

/// The flows of both that hardware has.
fn hardware(rig: &Rig) -> Vec<u16> {
    [SILENT, BUSY].into_iter().filter(|port| flow(rig, *port).is_some()).collect()
}

/// What devices told of by themselves, as `offload status` and the metrics say.
fn hints(rig: &Rig) -> u64 {
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    let metrics = rig.request("GET", "/metrics", "").unwrap().1;
    let line = format!("shunt_offload_idle_hints_total {}", status.idle_hints);
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
    status.idle_hints
}

/// Let the busy flow's packets come until a time: when the silent one was first not in hardware any more, and the hints by then.
fn until_silent_goes(rig: &Rig, end: u64) -> (u64, u64) {
    let mut gone = None;
    for at in (GAP..=end).step_by(GAP as usize) {
        assert_eq!(rig.ends(0, at, &[udp(1, 2, BUSY)]).unwrap(), [1]);
        // Some while passes before the next one; hardware drops what moves the clock.
        for rest in [GAP / 3, GAP * 2 / 3] {
            assert_eq!(rig.ends(2, at + rest, &[udp(3, 2, 9)]).unwrap(), [0; 0], "nothing is for this one");
            let there = hardware(rig);
            assert!(there.contains(&BUSY), "at {at} ms: {there:?}");
            if !there.contains(&SILENT) && gone.is_none() {
                gone = Some((at + rest, hints(rig)));
            }
            assert!(hints(rig) == 0 || gone.is_some(), "a hint is acted on at once");
        }
    }
    gone.unwrap()
}

#[test]
fn the_device_tells_of_an_idle_rule_and_its_flow_goes_while_one_that_hardware_switches_stays() {
    let rig = rig("connectx");
    assert_eq!(hints(&rig), 0);
    let (gone, told) = until_silent_goes(&rig, 4 * IDLE);
    assert!((IDLE..=IDLE + 2000).contains(&gone), "gone at {gone} ms");
    assert_eq!((told, hints(&rig)), (1, 1), "of the silent rule, and never of the busy one");
    let busy = flow(&rig, BUSY).unwrap();
    assert_eq!(
        (busy.software_packets, busy.hardware_packets),
        (1, 1 + 4 * IDLE / GAP),
        "all but the first in hardware"
    );
    assert_eq!(mock(&rig).rules, 2, "the busy flow's, and that of what moves the clock");
    // It comes back as a new flow.
    assert_eq!(rig.ends(0, 5 * IDLE - 1000, &[udp(1, 2, SILENT)]).unwrap(), [1]);
    assert_eq!((hardware(&rig), mock(&rig).rules), (vec![SILENT, BUSY], 3));
}

#[test]
fn a_device_without_ages_tells_of_nothing_and_counters_decide() {
    let rig = rig("e810");
    let (gone, told) = until_silent_goes(&rig, 2 * IDLE);
    assert!((IDLE..=IDLE + 2000).contains(&gone), "gone at {gone} ms");
    assert_eq!((told, hints(&rig), mock(&rig).rules), (0, 0, 2));
}
