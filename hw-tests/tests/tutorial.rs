//! The Open vSwitch advanced tutorial as its readers would type it, and what they meet on the way: traces that learn, loops,
//! packets that cannot be, ports that rules cannot name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{FdbEntry, PortView, TraceView};
use hw_tests::Rig;

/// The tutorial's switch: port 1 a trunk, port 2 in VLAN 20, ports 3 and 4 in VLAN 30.
fn rig() -> Rig {
    let rig = Rig::start("connectx,vfs=4,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (name, devargs) in [("p1", "uplink"), ("p2", "pf0vf0"), ("p3", "pf0vf1"), ("p4", "pf0vf2")] {
        rig.ok(&["port", "add", "br0", name, "--devargs", devargs]).unwrap();
    }
    for flow in [
        "table=0, dl_src=01:00:00:00:00:00/01:00:00:00:00:00, actions=drop",
        "table=0, priority=0, actions=resubmit(,1)",
        "table=1, priority=0, actions=drop",
        "table=1, priority=99, in_port=1, actions=resubmit(,2)",
        "table=1, priority=99, in_port=2, vlan_tci=0, actions=mod_vlan_vid:20, resubmit(,2)",
        "table=1, priority=99, in_port=3, vlan_tci=0, actions=mod_vlan_vid:30, resubmit(,2)",
        "table=1, priority=99, in_port=4, vlan_tci=0, actions=mod_vlan_vid:30, resubmit(,2)",
        "table=2 actions=learn(table=10, NXM_OF_VLAN_TCI[0..11], NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[], \
         load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]), resubmit(,3)",
        "table=3 priority=50 actions=resubmit(,10), resubmit(,4)",
        "table=3 priority=99 dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,4)",
        "table=4 reg0=1 actions=1",
        "table=4 reg0=4 actions=strip_vlan,4",
        "table=4 reg0=0 priority=99 dl_vlan=30 actions=1,strip_vlan,3,4",
        "table=4 reg0=0 priority=50 actions=1",
    ] {
        rig.ok(&["flow", "add", "br0", flow]).unwrap();
    }
    rig
}

fn actions(rig: &Rig, args: &[&str]) -> String {
    let trace: TraceView = rig.json(&[&["flow", "trace", "br0"], args].concat()).unwrap();
    trace.passes.into_iter().map(|p| p.actions).collect::<Vec<_>>().join(" then ")
}

#[test]
fn a_trace_learns_only_when_it_is_told_to() {
    let rig = rig();
    let there = "in_port=1,dl_vlan=30,dl_src=10:00:00:00:00:01,dl_dst=20:00:00:00:00:01";
    let back = "in_port=4,dl_src=20:00:00:00:00:01,dl_dst=10:00:00:00:00:01";
    let learned = |rig: &Rig| rig.ok(&["flow", "dump", "br0", "table=10", "--no-stats"]).unwrap();

    let flooded = actions(&rig, &[there]);
    assert!(flooded.starts_with("pop_vlan,") && flooded.matches(',').count() == 2, "{flooded}");
    assert_eq!(learned(&rig), "");

    assert_eq!(actions(&rig, &[there, "-generate"]), flooded);
    assert_eq!(
        learned(&rig).trim(),
        "table=10, vlan_tci=0x001e/0x0fff,dl_dst=10:00:00:00:00:01 actions=load:0x1->NXM_NX_REG0[0..15]"
    );
    assert_eq!(actions(&rig, &[back, "--generate"]).matches(',').count(), 2, "a tag, and one port");
    let known = actions(&rig, &[there]);
    assert!(known.starts_with("pop_vlan,") && known.matches(',').count() == 1, "{known}");

    // Rules that the packets of traces hit count nothing.
    let dump = rig.ok(&["flow", "dump", "br0"]).unwrap();
    assert!(!dump.lines().any(|line| !line.contains("n_packets=0,")), "{dump}");
}

#[test]
fn a_trace_through_normal_learns_the_address() {
    let rig = Rig::start("none,vfs=2,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["port", "add", "br0", "a", "--devargs", "pf0vf0", "--tag", "7"]).unwrap();
    let fdb = |rig: &Rig| rig.json::<Vec<FdbEntry>>(&["fdb", "show", "br0"]).unwrap().len();
    rig.ok(&["flow", "trace", "br0", "in_port=a,dl_src=02:00:00:00:00:01"]).unwrap();
    assert_eq!(fdb(&rig), 0);
    rig.ok(&["flow", "trace", "br0", "in_port=a,dl_src=02:00:00:00:00:01", "--generate"]).unwrap();
    assert_eq!(fdb(&rig), 1);
}

#[test]
fn a_tag_is_a_tag_without_its_present_bit() {
    let rig = rig();
    let flow = |text: &str| {
        let trace: TraceView = rig.json(&["flow", "trace", "br0", text]).unwrap();
        trace.passes.into_iter().next().unwrap().flow
    };
    assert!(flow("in_port=1,vlan_tci=5").contains("dl_vlan=5,dl_vlan_pcp=0"), "{}", flow("in_port=1,vlan_tci=5"));
    assert_eq!(flow("in_port=1,vlan_tci=0x0005"), flow("in_port=1,dl_vlan=5"));
    assert_eq!(flow("in_port=1,vlan_tci=0x1005"), flow("in_port=1,dl_vlan=5"));
    assert!(flow("in_port=1,vlan_tci=0").contains("vlan_tci=0x0000"));
}

#[test]
fn a_loop_is_traced_to_its_end() {
    let rig = rig();
    rig.ok(&["flow", "add", "br0", "table=20,actions=resubmit(,20)"]).unwrap();
    rig.ok(&["flow", "add", "br0", "priority=65535,actions=resubmit(,20)"]).unwrap();
    let text = rig.ok(&["flow", "trace", "br0", "in_port=4"]).unwrap();
    assert!(text.contains("Dropped: resubmit_limit"), "{text}");
    // Deeper than many readers of JSON go.
    let json = rig.ok(&["--json", "flow", "trace", "br0", "in_port=4"]).unwrap();
    assert!(json.matches(r#""kind":"table""#).count() >= 64, "{json}");
}

#[test]
fn what_a_packet_cannot_have_and_names_that_rules_cannot_use_are_refused() {
    let rig = rig();
    let refused = |args: &[&str], part: &str| {
        let line = rig.refused(args).unwrap();
        assert!(line.contains(part), "{args:?}: `{line}` does not say `{part}`");
    };
    refused(&["flow", "trace", "br0", "in_port=1,nw_src=1.2.3.4"], "`ip` or `arp`");
    for name in ["12", "0x1f", "LOCAL", "in_port", "a,b", "a(b)", "a\"b"] {
        refused(&["port", "add", "br0", name, "--devargs", "pf0vf3"], "name");
    }
    refused(&["mirror", "add", "br0", "m", "--src", "p1,p2", "--output", "p1"], "to itself");
    refused(&["mirror", "add", "br0", "m", "--all", "--output-vlan", "0"], "1 to 4095");
    for nothing in [&["port", "set", "br0", "p1"][..], &["table", "set", "br0", "1"], &["bridge", "set", "br0"]] {
        assert_eq!(rig.ctl(nothing).unwrap().code, Some(2), "{nothing:?}");
    }
    assert_eq!(rig.json::<Vec<PortView>>(&["port", "list"]).unwrap().len(), 4);
}

#[test]
fn a_patch_port_says_whether_it_is_connected() {
    let rig = rig();
    rig.ok(&["bridge", "add", "br1"]).unwrap();
    let patch = |bridge: &str, name: &str, peer: &str| {
        rig.ok(&["port", "add", bridge, name, "--type", "patch", "--peer", peer]).unwrap();
    };
    let state = |name: &str| {
        let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
        ports.into_iter().find(|p| p.port.name == name).unwrap().state
    };
    patch("br0", "to1", "to0");
    assert_eq!(state("to1"), "not connected: there is no port to0");
    patch("br1", "to0", "to1");
    assert_eq!((state("to1"), state("to0")), ("up".to_owned(), "up".to_owned()));
    patch("br1", "third", "to1");
    assert_eq!(state("third"), "not connected: to1 names to0");
    patch("br1", "wrong", "p1");
    assert_eq!(state("wrong"), "not connected: p1 is no patch port");
}

#[test]
fn a_group_selects_rules_to_show_change_and_remove() {
    let rig = rig();
    rig.ok(&["group", "add", "br0", "group_id=1,type=all,bucket=output:1"]).unwrap();
    rig.ok(&["flow", "add", "br0", "table=30,tcp,actions=group:1"]).unwrap();
    rig.ok(&["flow", "add", "br0", "table=30,udp,actions=output:2"]).unwrap();
    let dump = |rig: &Rig, filter: &str| rig.ok(&["flow", "dump", "br0", "--no-stats", filter]).unwrap();
    assert_eq!(dump(&rig, "out_group=1").trim(), "table=30, tcp actions=group:1");
    rig.ok(&["flow", "mod", "br0", "table=30,out_group=1,actions=group:1,output:3"]).unwrap();
    assert_eq!(dump(&rig, "out_group=1").trim(), "table=30, tcp actions=group:1,output:3");
    rig.ok(&["flow", "del", "br0", "out_group=1"]).unwrap();
    assert_eq!(dump(&rig, "table=30").trim(), "table=30, udp actions=output:2");
    assert_eq!(dump(&rig, "table=4").lines().count(), 4);
}
