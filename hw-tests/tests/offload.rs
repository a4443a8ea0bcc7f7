//! `shuntctl offload` and `dp flows` as an operator uses them: what is where, why, and what would change it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{
    CaptureEnded, CaptureRequest, CaptureStarted, DpFlowView, Explanation, Handled, MockDevice, OffloadCapabilities,
    OffloadPolicyView, OffloadStatus, PacketExplanation, PassExplanation, paths,
};
use hw_tests::Rig;
use hw_tests::frames::udp;

/// Widest table, in columns.
const WIDTH: usize = 100;

/// A switch on a mock NIC of this profile, in lockstep: `uplink` is port 1, the VFs are 2 and 3.
fn switch(mock: &str) -> Rig {
    let rig = Rig::start(mock).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    rig
}

/// The switch with traffic: a flow that hardware takes, one that floods, one for a controller.
fn busy(profile: &str) -> Rig {
    let rig = switch(&format!("{profile},vfs=2,lockstep"));
    for rule in [
        "priority=9,in_port=1,udp,tp_src=1,actions=output:2",
        "priority=9,in_port=1,udp,tp_src=2,actions=mod_dl_src:02:00:00:00:00:99,output:2,mod_dl_src:02:00:00:00:00:98,output:3,output:2",
        "priority=9,in_port=2,udp,actions=controller",
    ] {
        rig.ok(&["flow", "add", "br0", rule]).unwrap();
    }
    for n in 0..10 {
        rig.pass(0, 10 + n, &[udp(1, 2, 1), udp(1, 2, 2)]).unwrap();
        rig.pass(1, 10 + n, &[udp(2, 1, 3)]).unwrap();
    }
    rig
}

/// A switch with a rule for each of many UDP ports.
fn more(profile: &str) -> Rig {
    let rig = switch(&format!("{profile},vfs=2,lockstep"));
    for n in 1..40 {
        rig.ok(&["flow", "add", "br0", &format!("in_port=1,udp,tp_src={n},actions=output:2")]).unwrap();
    }
    rig
}

/// Have something be wrong with the NIC from now on.
fn trouble(rig: &Rig, what: MockDevice) {
    rig.post::<()>(paths::MOCK_DEVICE, &what).unwrap();
}

fn flows(rig: &Rig, filter: &[&str]) -> Vec<DpFlowView> {
    rig.json(&[&["dp", "flows"], filter].concat()).unwrap()
}

#[test]
fn what_is_where_and_why_is_shown() {
    let rig = busy("connectx");
    let commands: [&[&str]; 9] = [
        &["offload", "status"],
        &["offload", "policy", "show"],
        &["offload", "explain"],
        &["offload", "explain", "in_port=1,udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,tp_src=1"],
        &["offload", "explain", "in_port=2,udp,tp_src=1,nw_ttl=64"],
        &["dp", "flows"],
        &["dp", "flows", "--offloaded"],
        &["dp", "flows", "--software", "--reason", "Action"],
        &["dp", "flows", "--partial"],
    ];
    let all = commands.map(|c| format!("$ shuntctl {}\n{}", c.join(" "), rig.ok(c).unwrap()));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn capabilities_fit_100_columns_on_every_profile() {
    let mut all = Vec::new();
    for profile in ["connectx", "e810", "mark-only", "tiny", "none", "full"] {
        let rig = switch(&format!("{profile},vfs=2,lockstep"));
        let text = rig.ok(&["offload", "capabilities", "pf0vf0"]).unwrap();
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > WIDTH).collect();
        assert!(wide.is_empty(), "{wide:?}");
        all.push(format!("$ shuntctl offload capabilities pf0vf0   # {profile}\n{text}"));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn flows_are_filtered_by_place_and_reason() {
    let rig = busy("connectx");
    let all = flows(&rig, &[]);
    assert_eq!(all.len(), 3);
    let mut seen = 0;
    for (option, handled) in
        [("--offloaded", Handled::Hardware), ("--partial", Handled::Partial), ("--software", Handled::Software)]
    {
        let some = flows(&rig, &[option]);
        assert!(some.iter().all(|f| f.handled == handled), "{some:?}");
        seen += some.len();
    }
    assert_eq!(seen, 3);
    assert_eq!(flows(&rig, &["--offloaded"]).len(), 1);
    for flow in &all {
        for reason in &flow.reasons {
            let with = flows(&rig, &["--reason", &reason.name]);
            assert!(with.contains(flow) && with.iter().all(|f| f.reasons.iter().any(|r| r.name == reason.name)));
        }
    }
    assert_eq!(flows(&rig, &["--reason", "MeterSplit"]), []);
}

#[test]
fn a_port_is_turned_off_and_on_and_the_policy_is_kept_over_a_restart() {
    let mut rig = busy("connectx");
    let handled = |rig: &Rig| -> Vec<Handled> { flows(rig, &[]).iter().map(|f| f.handled).collect() };
    let before = handled(&rig);
    assert!(before.contains(&Handled::Hardware));
    rig.ok(&["offload", "off", "uplink"]).unwrap();
    assert!(!handled(&rig).contains(&Handled::Hardware));
    assert!(flows(&rig, &["--reason", "PortDisabled"]).len() >= 2);
    let view: OffloadPolicyView = rig.json(&["offload", "policy", "show"]).unwrap();
    assert_eq!((view.enabled, view.ports_off.len()), (true, 1));
    rig.ok(&["offload", "on", "uplink"]).unwrap();
    assert_eq!(handled(&rig), before);
    let back = flows(&rig, &["--offloaded"]);
    assert!(back.iter().all(|f| f.hardware_packets == 9 && f.read_age_ms.is_some()), "known up to now: {back:?}");

    rig.ok(&["offload", "policy", "set", "ports", "pf0vf0"]).unwrap();
    assert!(!handled(&rig).contains(&Handled::Hardware));
    rig.ok(&["offload", "off", "pf0vf1"]).unwrap();
    let view: OffloadPolicyView = rig.json(&["offload", "policy", "show"]).unwrap();
    rig.restart().unwrap();
    assert_eq!(rig.json::<OffloadPolicyView>(&["offload", "policy", "show"]).unwrap(), view);
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    let on: Vec<_> = status.ports.iter().filter(|p| p.enabled).map(|p| p.port.as_str()).collect();
    assert_eq!(on, ["pf0vf0"]);

    rig.ok(&["offload", "policy", "set", "off"]).unwrap();
    rig.ok(&["offload", "policy", "set", "all"]).unwrap();
    rig.pass(0, 1, &[udp(1, 2, 1), udp(1, 2, 1)]).unwrap();
    assert_eq!(handled(&rig), [Handled::Hardware]);
}

#[test]
fn a_flow_goes_in_when_it_is_hot_and_comes_out_when_it_is_cold() {
    let rig = switch("connectx,vfs=2,lockstep");
    rig.ok(&["flow", "add", "br0", "in_port=1,udp,tp_src=1,actions=output:2"]).unwrap();
    rig.ok(&["offload", "policy", "set", "hot", "--rate", "100"]).unwrap();
    let mut now = 0;
    // So many packets a second, for so long; where the flow is handled then, and why.
    let mut send = |pps: u64, ms: u64| {
        let end = now + ms;
        while now < end {
            now += 1000 / pps;
            assert_eq!(rig.ends(0, now, &[udp(1, 2, 1)]).unwrap(), [1], "a packet at {now} ms");
        }
        let flows = flows(&rig, &[]);
        let [flow] = &flows[..] else { panic!("{flows:?}") };
        (flow.handled, flow.reasons.iter().map(|r| r.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(send(20, 1000), (Handled::Software, vec!["Cold".to_owned()]));
    // Ten times the rate: in within a tenth of a second.
    assert_eq!(send(1000, 100), (Handled::Hardware, vec![]));
    // Above half of the threshold it stays, below it goes.
    assert_eq!(send(70, 5000), (Handled::Hardware, vec![]));
    assert_eq!(send(20, 5000), (Handled::Software, vec!["Cold".to_owned()]));
    assert_eq!(rig.json::<Vec<api::FlowView>>(&["flow", "dump", "br0"]).unwrap()[0].packets, 20 + 100 + 358 + 100);
}

/// A threshold of less than a hundredth of the rate is one.
#[test]
fn a_flow_leaves_below_the_rate_that_was_said() {
    let rig = switch("connectx,vfs=2,lockstep");
    rig.ok(&["flow", "add", "br0", "in_port=1,udp,tp_src=1,actions=output:2"]).unwrap();
    rig.ok(&["offload", "policy", "set", "hot", "--rate", "1000", "--cool", "9"]).unwrap();
    let mut now = 0;
    let mut send = |every: u64, ms: u64| {
        let end = now + ms;
        while now < end {
            now += every;
            rig.pass(0, now, &[udp(1, 2, 1)]).unwrap();
        }
        flows(&rig, &[]).iter().map(|f| f.handled).collect::<Vec<_>>()
    };
    assert_eq!(send(1, 200), [Handled::Hardware]);
    assert_eq!(send(50, 10_000), [Handled::Hardware], "20 a second");
    assert_eq!(send(2000, 16_000), [Handled::Software], "one in two seconds");
}

/// What `offload explain` says of the packet `udp(1, 2, port)` from the wire: where, why, and of which flow.
fn explained(rig: &Rig, port: u16) -> PassExplanation {
    packet_explained(rig, 0, port)
}

fn packet_explained(rig: &Rig, end: usize, port: u16) -> PassExplanation {
    let (from, to) = if end == 0 { (1, 2) } else { (2, 1) };
    let text = format!(
        "in_port={},udp,dl_src=02:00:00:00:00:0{from},dl_dst=02:00:00:00:00:0{to},nw_src=10.0.0.{from},\
         nw_dst=10.0.0.{to},nw_ttl=64,tp_src={port},tp_dst=99",
        end + 1
    );
    let mut explained: PacketExplanation = rig.json(&["offload", "explain", &text]).unwrap();
    let (Some(pass), true) = (explained.passes.pop(), explained.passes.is_empty()) else { panic!("{explained:?}") };
    let word = match pass.handled {
        Handled::Hardware => "Offload: hardware",
        Handled::Partial => "Offload: partial",
        Handled::Software => "Offload: software",
        Handled::Pending => "Offload: pending",
    };
    assert!(explained.trace.contains(word), "{}", explained.trace);
    for reason in &pass.reasons {
        assert!(explained.trace.contains(&reason.message), "{}", explained.trace);
    }
    pass
}

/// A packet is explained as its flow is handled once it has come; where and why that is.
fn comes_true(rig: &Rig, at: u64, end: usize, port: u16) -> (Handled, Vec<String>) {
    let before = packet_explained(rig, end, port);
    let known: Vec<u64> = flows(rig, &[]).iter().map(|f| f.id).collect();
    assert!(before.flow.is_none_or(|id| known.contains(&id)), "{before:?}");
    let (from, to) = if end == 0 { (1, 2) } else { (2, 1) };
    rig.pass(end, at, &[udp(from, to, port)]).unwrap();
    let after = packet_explained(rig, end, port);
    let flow = flows(rig, &[]).into_iter().find(|f| Some(f.id) == after.flow);
    let flow = flow.unwrap_or_else(|| panic!("no flow covers the packet: {after:?}"));
    assert!(before.flow == after.flow || !known.contains(&flow.id), "{before:?} {after:?}");
    assert_eq!((after.handled, &after.reasons), (flow.handled, &flow.reasons), "as `dp flows` has it");
    assert_eq!((before.handled, &before.reasons), (after.handled, &after.reasons), "foreseen");
    let by_flow: Vec<Explanation> = rig.json(&["offload", "explain", &flow.id.to_string()]).unwrap();
    assert_eq!((&by_flow[0].steps, &by_flow[0].rules), (&after.steps, &after.rules));
    assert_eq!(after.rules.is_empty(), matches!(after.handled, Handled::Software), "{after:?}");
    let software = after.steps.iter().all(|step| step.done_by == "software");
    assert_eq!(software, after.handled == Handled::Software, "{after:?}");
    (after.handled, after.reasons.into_iter().map(|r| r.name).collect())
}

#[test]
fn a_packet_is_explained_as_its_flow_is_handled_then() {
    let rig = busy("connectx");
    for (end, port) in [(0, 1), (0, 2), (1, 3)] {
        assert!(packet_explained(&rig, end, port).flow.is_some(), "a flow is there");
        comes_true(&rig, 30, end, port);
    }
    let named = |handled, names: &[&str]| (handled, names.iter().map(|n| (*n).to_owned()).collect());

    // The policy, before and after a packet came.
    let rig = more("connectx");
    rig.ok(&["offload", "policy", "set", "hot"]).unwrap();
    assert_eq!(comes_true(&rig, 1, 0, 1), named(Handled::Software, &["Cold"]));
    rig.ok(&["offload", "policy", "set", "all"]).unwrap();
    assert_eq!(comes_true(&rig, 2, 0, 1), named(Handled::Hardware, &[]));
    assert_eq!(comes_true(&rig, 2, 0, 2), named(Handled::Hardware, &[]));

    // Room.
    let rig = more("tiny");
    let mut placed = Vec::new();
    for n in 1..40 {
        placed.push(comes_true(&rig, u64::from(n), 0, n));
    }
    let full = placed.iter().position(|p| p.0 == Handled::Software).unwrap();
    assert!(full > 0 && placed[..full].iter().all(|p| *p == named(Handled::Hardware, &[])), "{placed:?}");
    assert!(placed[full..].iter().all(|p| *p == named(Handled::Software, &["TableFull"])), "{placed:?}");

    // What the device refused once, for all rules of the shape, and a device that has no time.
    let rig = more("connectx");
    trouble(&rig, MockDevice::Incapable);
    assert_eq!(explained(&rig, 1).handled, Handled::Hardware, "nobody knows yet");
    rig.pass(0, 1, &[udp(1, 2, 1)]).unwrap();
    trouble(&rig, MockDevice::Works);
    assert_eq!(comes_true(&rig, 2, 0, 1), named(Handled::Software, &["DeviceNotSupported"]));
    assert_eq!(comes_true(&rig, 2, 0, 2), named(Handled::Software, &["DeviceNotSupported"]));
    let rig = more("connectx");
    trouble(&rig, MockDevice::Busy);
    rig.pass(0, 1, &[udp(1, 2, 1)]).unwrap();
    assert_eq!(comes_true(&rig, 2, 0, 2), named(Handled::Software, &["DeviceBusy"]));

    // A capture under way: of the packets that it is about, and of no others.
    let rig = switch("connectx,vfs=2,lockstep");
    rig.ok(&["flow", "add", "br0", "in_port=1,udp,actions=output:2"]).unwrap();
    let capture = CaptureRequest { matching: Some("in_port=1,udp,tp_src=2".to_owned()), ..CaptureRequest::default() };
    let started: CaptureStarted = rig.post(paths::CAPTURES, &capture).unwrap();
    assert_eq!(comes_true(&rig, 1, 0, 2), named(Handled::Software, &["Captured"]));
    assert_eq!(comes_true(&rig, 1, 0, 1), named(Handled::Hardware, &[]));
    let at = paths::CAPTURE.replace("{capture}", &started.id.to_string());
    let _: CaptureEnded = rig.json_of("DELETE", &at).unwrap();
    assert_eq!(comes_true(&rig, 2, 0, 2), named(Handled::Hardware, &[]));
}

/// Datapath numbers of ports and meters are nobody's business: here they are no OpenFlow numbers.
#[test]
fn ports_and_meters_are_named_as_users_name_them() {
    let rig = Rig::start("connectx,vfs=2,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (name, devargs, number) in [("wire", "uplink", "100"), ("vm0", "pf0vf0", "101"), ("vm1", "pf0vf1", "102")] {
        rig.ok(&["port", "add", "br0", name, "--devargs", devargs, "--ofport", number]).unwrap();
    }
    rig.ok(&["port", "add", "br0", "t0", "--type", "dpdk", "--devargs", "net_null0,no-rx=1", "--ofport", "103"])
        .unwrap();
    rig.ok(&["meter", "add", "br0", "meter=99,pktps,bands=type=drop,rate=1000"]).unwrap();
    for rule in [
        "in_port=100,udp,tp_src=1,actions=meter:99,dec_ttl,output:101",
        "in_port=100,udp,tp_src=2,actions=output:101,mod_dl_src:02:00:00:00:00:98,output:102,mod_dl_src:02:00:00:00:00:99,output:101",
        "in_port=100,udp,tp_src=3,actions=output:103",
        "in_port=103,udp,actions=output:100",
    ] {
        rig.ok(&["flow", "add", "br0", rule]).unwrap();
    }
    let explain = |packet: &str| rig.ok(&["offload", "explain", packet]).unwrap();
    let packets = [
        "in_port=100,udp,nw_ttl=64,tp_src=1",
        "in_port=wire,udp,nw_ttl=64,tp_src=2",
        "in_port=100,udp,nw_ttl=64,tp_src=3",
        "in_port=t0,udp",
    ];
    let before = packets.map(explain);
    rig.pass(0, 1, &[udp(1, 2, 1), udp(1, 2, 2), udp(1, 2, 3)]).unwrap();
    let flows = rig.ok(&["offload", "explain"]).unwrap();
    rig.ok(&["offload", "off", "wire"]).unwrap();
    let off = explain(packets[0]);
    let said = [before.join("\n"), flows, off].join("\n");
    for part in [
        "match in_port=wire",
        "match in_port=t0",
        "action meter(99)",
        "action vm0",
        "take meter 99 off this path",
        "output port t0 is not a port of an embedded switch",
        "input port t0 takes no hardware rules",
        "with port vm0 as the only output",
        "offload is off for input port wire",
        "shuntctl offload on wire",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Of ports and meters nothing else is said in what is for users; rules are in testpmd's words, and the trace in those of
    // `ofproto/trace`, with their numbers.
    let lines = said.lines().filter(|line| {
        ["because", "remedy", "would be", "action", "match"].iter().any(|word| line.contains(word))
            && !line.contains("rule:")
            && !line.starts_with("Datapath actions:")
    });
    for line in lines {
        let words: Vec<&str> = line.split([' ', '(', ')', ',', '=']).collect();
        let pairs = words.windows(2).filter(|pair| ["port", "in_port", "meter", "action"].contains(&pair[0]));
        let numbers: Vec<_> = pairs.filter(|pair| pair[1].parse().is_ok_and(|n: u32| n < 99)).collect();
        assert!(numbers.is_empty() || line.contains("(action "), "{line}");
    }
    for nowhere in ["in_port=9,udp", "udp", "in_port=4,udp"] {
        let refused = rig.refused(&["offload", "explain", nowhere]).unwrap();
        assert!(refused.contains("comes in on no port of bridge br0") && refused.contains("port list"), "{refused}");
    }
}

#[test]
fn what_devices_refused_lost_and_did_not_count_is_shown() {
    let rig = more("connectx");
    let capabilities = |port: &str| rig.json::<OffloadCapabilities>(&["offload", "capabilities", port]).unwrap();
    trouble(&rig, MockDevice::Incapable);
    rig.pass(0, 1, &[udp(1, 2, 1), udp(1, 2, 2)]).unwrap();
    let (wire, other) = (capabilities("uplink"), capabilities("pf0vf0"));
    assert!((1..=3).contains(&wire.refused_shapes) && wire.refused.len() == wire.refused_shapes, "{wire:?}");
    assert!(wire.refused.iter().all(|r| r.why.contains("this rule cannot be done") && r.rule.contains("udp src is 0")));
    assert_eq!((other.refused_shapes, other.refused.len()), (0, 0), "no rule of that port was tried");
    let text = rig.ok(&["offload", "capabilities", "uplink"]).unwrap();
    assert!(text.contains("refused since") && text.contains(&wire.refused[0].rule), "{text}");
    let text = rig.ok(&["offload", "status"]).unwrap();
    assert!(text.contains("refused rule shapes") && !text.contains("inexact counts"), "{text}");

    // A device that dies takes with it what it has counted since it was read last.
    let rig = more("connectx");
    rig.pass(0, 1, &[udp(1, 2, 1)]).unwrap();
    rig.pass(0, 2, &[udp(1, 2, 1)]).unwrap();
    assert!(!flows(&rig, &[])[0].inexact);
    trouble(&rig, MockDevice::Dead);
    for n in 1..20 {
        rig.pass(0, 2 + 100 * n, &[udp(1, 2, 1)]).unwrap();
    }
    let flow = flows(&rig, &[]).remove(0);
    assert!(flow.inexact && flow.handled == Handled::Software, "{flow:?}");
    let said = format!("{} or more", flow.hardware_packets);
    assert!(rig.ok(&["dp", "flows"]).unwrap().contains(&said));
    assert!(rig.ok(&["dp", "flows", "-m"]).unwrap().contains(", inexact:yes, "));
    let text = rig.ok(&["offload", "explain", &flow.id.to_string()]).unwrap();
    assert!(
        text.contains(&format!("  inexact: hardware has switched {} packets, or more", flow.hardware_packets)),
        "{text}"
    );

    // Rules that a device took and does not have.
    let rig = more("connectx");
    trouble(&rig, MockDevice::Losing);
    for n in 1..60 {
        rig.pass(0, 100 * n, &[udp(1, 2, 1)]).unwrap();
    }
    let status: OffloadStatus = rig.json(&["offload", "status"]).unwrap();
    let lost = ["lost_rules", "missed_rules"].map(|name| status.anomalies.get(name).copied().unwrap_or_default());
    assert!(lost.iter().sum::<u64>() > 0, "{status:?}");
    assert!(rig.ok(&["offload", "status"]).unwrap().contains("anomaly "));
}

#[test]
fn flows_are_listed_by_rate() {
    let rig = busy("connectx");
    let text = rig.ok(&["offload", "top", "--once", "--interval", "0.1"]).unwrap();
    assert!(text.starts_with("3 flows, 0 packets/s, 0 % of them by hardware\npkts/s"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
    let rows: Vec<serde_json::Value> = rig.json(&["offload", "top", "--once", "--interval", "0.1", "-n", "2"]).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|r| r["packets_per_second"] == 0 && r["id"].is_u64()), "{rows:?}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let rig = busy("connectx");
    rig.ok(&["port", "add", "br0", "t0", "--type", "dpdk", "--devargs", "net_null0"]).unwrap();
    let commands: [&[&str]; 14] = [
        &["offload", "off", "nosuch"],
        &["offload", "off", "t0"],
        &["offload", "policy", "set", "ports", "nosuch"],
        &["offload", "policy", "set", "ports", ","],
        &["offload", "policy", "set", "hot", "--rate", "0"],
        &["offload", "policy", "set", "hot", "--rate", "10", "--cool", "10"],
        &["offload", "policy", "set", "hot", "--priority", "uplink"],
        &["offload", "capabilities", "nosuch"],
        &["offload", "capabilities", "t0"],
        &["offload", "explain", "999999"],
        &["offload", "explain", "in_port=1,nw_dst=10.0.0.1"],
        &["offload", "explain", "in_port=1", "--bridge", "br9"],
        &["dp", "flows", "--reason", "tablefull"],
        &["dp", "flows", "--reason", "Nosuch"],
    ];
    let before = rig.ok(&["offload", "policy", "show"]).unwrap();
    let all = commands.map(|c| format!("$ shuntctl {}\n{}", c.join(" "), rig.refused(c).unwrap()));
    assert_eq!(rig.ok(&["offload", "policy", "show"]).unwrap(), before);
    let (status, body) = rig.request("PUT", "/v1/offload/policy", r#"{"mode":"warm"}"#).unwrap();
    assert!(status == 400 && body.contains("warm"), "{status} {body}");
    assert_eq!(rig.ctl(&["dp", "flows", "--partial", "--software"]).unwrap().code, Some(2));
    insta::assert_snapshot!(all.join("\n"));
}

/// A bridge decides on each frame to a reserved address by itself (IEEE 802.1Q, table 8-1): there is no flow to put anywhere.
#[test]
fn a_packet_that_is_decided_alone_is_told_so() {
    let rig = switch("connectx,vfs=2,lockstep");
    let lacp = "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=01:80:c2:00:00:02,dl_type=0x8809";
    let explained: PacketExplanation = rig.json(&["offload", "explain", lacp]).unwrap();
    let [pass] = explained.passes.as_slice() else { panic!("{explained:?}") };
    let names = |reasons: &[api::Reason]| reasons.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
    assert_eq!((pass.handled, names(&pass.reasons)), (Handled::Software, vec!["NotCacheable".to_owned()]));
    assert!(pass.rules.is_empty() && pass.would_help.is_empty(), "{pass:?}");
    assert!(pass.steps.iter().all(|step| step.done_by == "software"), "{pass:?}");
    assert!(pass.steps.iter().any(|step| names(&step.reasons) == ["NotCacheable"]), "{pass:?}");
    let trace = rig.ok(&["flow", "trace", "br0", lacp]).unwrap();
    assert!(trace.contains("Offload: software\n  NotCacheable: "), "{trace}");
}
