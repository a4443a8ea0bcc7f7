//! Offload is turned off and on while frames go through.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Collected, DpFlowView, Explanation, Frame, Handled, Inject, MockView, OffloadStatus, paths};
use hw_tests::Rig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A UDP packet over IPv4 that says its number in its last bytes. `flow` tells flows apart.
fn packet(flow: u8, number: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let sum: u32 = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend([0x10, flow, 0, 99, 0, 26, 0, 0]);
    frame.extend([0; 14]);
    frame.extend(number.to_be_bytes());
    frame
}

fn rig() -> Rig {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--type", "representor", "--devargs", name, "--ofport", &number]).unwrap();
    }
    // One datapath flow for each source port.
    for flow in 0..4 {
        let rule = format!("in_port=1,udp,tp_src={},actions=mod_dl_src:02:00:00:00:00:99,output:2", 0x1000 + flow);
        rig.ok(&["flow", "add", "br0", &rule]).unwrap();
    }
    rig
}

fn flows(rig: &Rig) -> Vec<DpFlowView> {
    rig.json(&["dp", "flows"]).unwrap()
}

fn eventually<T>(what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(why) => assert!(start.elapsed() < Duration::from_secs(20), "{what}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn turning_offload_off_and_on_under_traffic_loses_and_changes_nothing() {
    let rig = rig();
    let stop = AtomicBool::new(false);
    let (sent, frames) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut number, mut collected) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let frame = |n: u32| Frame { end: 0, at: 0, hex: api::to_hex(&packet((n % 4) as u8, n)) };
                let frames = (number..number + 16).map(frame).collect();
                let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
                number += 16;
                let more: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
                collected.extend(more.frames);
                std::thread::sleep(Duration::from_millis(1));
            }
            (number, collected)
        });
        let placed = |want: Handled| {
            eventually("flows move", || {
                let flows = flows(&rig);
                let all = flows.len() == 4 && flows.iter().all(|f| f.handled == want);
                if all { Ok(flows) } else { Err(format!("{flows:?}")) }
            })
        };
        for _ in 0..4 {
            let before: u64 = placed(Handled::Hardware).iter().map(|f| f.hardware_packets).sum();
            eventually("hardware counts", || {
                let now: u64 = flows(&rig).iter().map(|f| f.hardware_packets).sum();
                if now > before + 100 { Ok(()) } else { Err(format!("{before} {now}")) }
            });
            rig.ok(&["offload", "off"]).unwrap();
            // The answer came after hardware had let go.
            let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
            assert_eq!((status.enabled, status.rules, status.full), (false, 0, 0), "{status:?}");
            for flow in placed(Handled::Software) {
                assert_eq!(flow.reasons.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["Disabled"]);
            }
            rig.ok(&["offload", "on"]).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    let view = eventually("all is out", || {
        let view: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).map_err(|e| e.to_string())?;
        if view.tally.frames_in == u64::from(sent) && view.tally.balances() {
            Ok(view)
        } else {
            Err(format!("{view:?}"))
        }
    });
    assert_eq!((view.tally.frames_out, view.tally.frames_dropped), (u64::from(sent), 0));
    assert!(view.tally.hardware > 500 && view.tally.software > 50, "{:?}", view.tally);

    let mut frames = frames;
    let rest: Collected = rig.post(paths::MOCK_COLLECT, &()).unwrap();
    frames.extend(rest.frames);
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    for frame in &frames {
        assert_eq!(frame.end, 1);
        let bytes = api::from_hex(&frame.hex).unwrap();
        let number = u32::from_be_bytes(*bytes.last_chunk().unwrap());
        let mut want = packet((number % 4) as u8, number);
        want[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
        assert_eq!(bytes, want, "frame {number}");
        *seen.entry(number).or_default() += 1;
    }
    assert_eq!((seen.len(), frames.len()), (sent as usize, sent as usize), "each frame once");

    // Rules counted each packet once, wherever it was switched.
    let counted: Vec<api::FlowView> = eventually("counters", || {
        let flows: Vec<api::FlowView> = rig.json(&["flow", "dump", "br0"]).map_err(|e| e.to_string())?;
        let sum: u64 = flows.iter().map(|f| f.packets).sum();
        if sum == u64::from(sent) { Ok(flows) } else { Err(format!("{sum} of {sent}")) }
    });
    for flow in counted {
        assert_eq!((flow.packets, flow.bytes), (u64::from(sent) / 4, u64::from(sent) / 4 * 60), "{}", flow.text);
    }
    let log = rig.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn explain_shows_the_rules_of_a_flow_and_why_others_have_none() {
    let rig = rig();
    rig.ok(&["flow", "add", "br0", "in_port=2,actions=output:1,output:3,output:1"]).unwrap();
    let frames = vec![
        Frame { end: 0, at: 0, hex: api::to_hex(&packet(0, 1)) },
        Frame { end: 1, at: 0, hex: api::to_hex(&packet(0, 1)) },
    ];
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
    let found = eventually("two flows", || {
        let flows = flows(&rig);
        let settled = flows.len() == 2 && flows.iter().all(|f| f.handled != Handled::Pending);
        if settled { Ok(flows) } else { Err(format!("{flows:?}")) }
    });
    let full = found.iter().find(|f| f.handled == Handled::Hardware).unwrap();
    assert!(full.flow.contains("in_port(uplink)") && full.actions.ends_with("pf0vf0"), "{full:?}");
    let all: Vec<Explanation> = rig.json(&["offload", "explain", &full.id.to_string()]).unwrap();
    let rule = all[0].rules.last().unwrap();
    for part in
        ["flow create ", "udp src is 4096", "set_mac_src mac_addr 02:00:00:00:00:99", "represented_port", "(packets "]
    {
        assert!(rule.contains(part), "{rule}");
    }
    let others: Vec<Explanation> = rig.json(&["offload", "explain"]).unwrap();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].reasons[0].name, "TooManyOutputs");
    let text = rig.ok(&["offload", "explain"]).unwrap();
    assert!(text.contains("because: TooManyOutputs: ") && text.contains("remedy: "), "{text}");
}
