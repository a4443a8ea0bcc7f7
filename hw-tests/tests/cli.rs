//! The command line as people and scripts see it: help, tables, JSON, exit status, ovs-ofctl's text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Frame, Inject, paths};
use hw_tests::{Rig, run};
use std::path::Path;
use std::process::Command;

#[test]
fn help_says_what_there_is() {
    let help = |name: &str, args: &[&str]| {
        let out = run(name, &[args, &["--help"]].concat()).unwrap();
        assert_eq!((out.code, out.stderr.as_str()), (Some(0), ""));
        format!("$ {name} {}\n{}", [args, &["--help"]].concat().join(" "), out.stdout)
    };
    let nouns = ["bridge", "port", "flow", "dp", "offload", "nic", "eswitch", "vf", "rep"];
    let verbs: [&[&str]; 11] = [
        &["bridge", "add"],
        &["port", "add"],
        &["flow", "add"],
        &["flow", "add-file"],
        &["flow", "del"],
        &["flow", "dump"],
        &["eswitch", "set"],
        &["vf", "set"],
        &["rep", "attach"],
        &["offload", "explain"],
        &["demo"],
    ];
    let mut all = vec![help("shuntd", &[]), help("shuntctl", &[])];
    all.extend(nouns.iter().map(|noun| help("shuntctl", &[noun])));
    all.extend(verbs.iter().map(|verb| help("shuntctl", verb)));
    insta::assert_snapshot!(all.join("\n"));
}

/// A rig with something of everything to see.
fn rig() -> Rig {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    rig.ok(&["bridge", "add", "br1", "--fail-mode", "secure"]).unwrap();
    let port = |name, vf, extra: &[&str]| {
        rig.ok(&[&["port", "add", "br0", name, "--type", "representor", "--devargs", vf], extra].concat()).unwrap()
    };
    port("wire", "uplink", &[]);
    port("web", "pf0vf0", &["--tag", "30", "--ofport", "7"]);
    port("db", "pf0vf1", &["--trunks", "30,40"]);
    rig.ok(&["flow", "add", "br1", "table=1,priority=7,cookie=0x5,tcp,tp_dst=80,actions=mod_nw_dst:10.0.0.1,output:7"])
        .unwrap();
    rig.ok(&["flow", "add", "br1", "idle_timeout=3600,in_port=2,actions=drop"]).unwrap();
    rig
}

/// Numbers that differ from run to run.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        // The engine may just be told of the last change.
        let line = if line.starts_with("queued ") { "queued     -" } else { line };
        let words = line.split(", ").map(|part| match part.trim_start().split_once('=') {
            Some(("duration", _)) => "duration=0.000s".to_owned(),
            _ => part.to_owned(),
        });
        let line = words.collect::<Vec<_>>().join(", ");
        let line = if line.starts_with("shuntd ") { line.split(" on ").next().unwrap_or_default() } else { &line };
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn tables_are_neat() {
    let empty = Rig::start("none,vfs=0").unwrap();
    let mut all = vec!["an empty switch".to_owned(), steady(&empty.ok(&["show"]).unwrap())];
    let rig = rig();
    let commands: [&[&str]; 15] = [
        &["show"],
        &["bridge", "list"],
        &["port", "list"],
        &["flow", "dump", "br1"],
        &["flow", "dump", "br1", "tcp"],
        &["bridge", "fdb", "br0"],
        &["offload", "status"],
        &["eswitch", "show"],
        &["eswitch", "set", "pci/0000:03:00.0", "--mode", "legacy", "--dry-run"],
        &["vf", "list"],
        &["vf", "show", "pf0vf1"],
        &["rep", "list"],
        &["rep", "show", "uplink"],
        &["nic", "list"],
        &["nic", "show"],
    ];
    for command in commands {
        all.push(format!("$ shuntctl {}\n{}", command.join(" "), steady(&rig.ok(command).unwrap())));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn every_verb_prints_one_json_value() {
    let rig = rig();
    let frames = vec![Frame { end: 0, at: 0, hex: "020000000001020000000002".to_owned() + &"0".repeat(100) }];
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
    let file = rig.dir().join("f");
    std::fs::write(&file, "priority=1,actions=drop\npriority=2,actions=drop\n").unwrap();
    let file = file.to_str().unwrap();
    let commands: [&[&str]; 30] = [
        &["show"],
        &["bridge", "list"],
        &["bridge", "add", "br2"],
        &["bridge", "fdb", "br0"],
        &["bridge", "del", "br2"],
        &["port", "list"],
        &["port", "add", "br1", "n", "--type", "dpdk", "--devargs", "net_null0,no-rx=1"],
        &["port", "del", "br1", "n"],
        &["flow", "add", "br1", "actions=drop"],
        &["flow", "add-file", "br1", file],
        &["flow", "dump", "br1"],
        &["flow", "del", "br1", "tcp"],
        &["flow", "parse", file],
        &["dp", "flows"],
        &["dp", "counters"],
        &["offload", "status"],
        &["offload", "off"],
        &["offload", "on"],
        &["offload", "explain"],
        &["eswitch", "show"],
        &["vf", "list"],
        &["vf", "show", "pf0vf0"],
        &["vf", "set", "pf0vf0", "--max-rate", "100"],
        &["rep", "list"],
        &["rep", "show", "pf0vf0"],
        &["rep", "detach", "pf0vf0"],
        &["rep", "attach", "pf0vf0", "br1"],
        &["nic", "list"],
        &["nic", "show", "0000:03:00.0"],
        &["nic", "converge", "--dry-run"],
    ];
    for command in commands {
        // Fails unless exactly one value is printed.
        let value: serde_json::Value = rig.json(command).unwrap();
        assert!(value.is_object() || value.is_array(), "{command:?}: {value}");
    }
    let plan: api::EswitchPlan =
        rig.json(&["eswitch", "set", "pci/0000:03:00.0", "--mode", "legacy", "--dry-run"]).unwrap();
    assert!(!plan.steps.is_empty());
}

#[test]
fn exit_status_is_0_1_or_2() {
    let rig = Rig::start("none,vfs=0").unwrap();
    let code = |args: &[&str]| rig.ctl(args).unwrap().code;
    assert_eq!(code(&["bridge", "add", "br0"]), Some(0));
    assert_eq!(code(&["bridge", "add", "br0"]), Some(1));
    let out = rig.ctl(&["add-br", "br1"]).unwrap();
    assert_eq!(
        (out.code, out.stderr.as_str()),
        (Some(2), "shuntctl: add-br of Open vSwitch is here: shuntctl bridge add BRIDGE\n")
    );
    for usage in [&["bridge", "add"][..], &["bridges"], &[], &["port", "add", "br0", "x", "--type", "nosuch"]] {
        let out = rig.ctl(usage).unwrap();
        assert_eq!((out.code, out.stdout.as_str()), (Some(2), ""), "{usage:?}");
    }
    let out = run("shuntctl", &["--socket", "/nosuch/s", "show"]).unwrap();
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1));
    assert!(out.stderr.contains("/nosuch/s") && out.stderr.contains("shuntd running"), "{out:?}");
    let out = run("shuntctl", &["flow", "parse", "/nosuch"]).unwrap();
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1));
}

#[test]
fn refusals_name_the_object_once() {
    let rig = rig();
    let mut all = Vec::new();
    let commands: [&[&str]; 20] = [
        &["bridge", "add", "br0"],
        &["bridge", "del", "br9"],
        &["port", "del", "br0", "nosuch"],
        &["port", "add", "br1", "web", "--type", "representor", "--devargs", "pf0vf0"],
        &["port", "add", "br1", "x", "--type", "representor", "--devargs", "pf0vf0"],
        &["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_null0", "--ofport", "7"],
        &["port", "add", "br1", "x", "--type", "representor", "--devargs", "vf0"],
        &["port", "add", "br1", "x", "--type", "dpdk", "--devargs", "net_nosuch0"],
        &["port", "add", "br1", "x", "--type", "dpdk", "--devargs", "net_pcap0,rx_pcap=/nosuch.pcap"],
        &["port", "add", "br1", "x", "--type", "dpdk", "--devargs", "net_null0,nosuch=1"],
        &["flow", "add", "br1", "nw_dts=1.2.3.4,actions=drop"],
        &["flow", "add", "br1", "tcp_dst=80,actions=drop"],
        &["flow", "add", "br1", "actions=group:1"],
        &["eswitch", "set", "pci/0000:ff:00.0", "--mode", "legacy"],
        &["eswitch", "set", "pci/0000:03:00.0", "--vfs", "99"],
        &["vf", "show", "pf0vf9"],
        &["vf", "set", "uplink", "--trust", "on"],
        &["rep", "attach", "pf0vf9", "br1"],
        &["nic", "converge", "ens1f0np0"],
        &["offload", "explain", "77"],
    ];
    for command in commands {
        all.push(format!("$ shuntctl {}\n{}\n", command.join(" "), rig.refused(command).unwrap()));
    }
    insta::assert_snapshot!(all.join("\n"));
}

/// Lines that ovs-ofctl takes, one idea each.
const FLOWS: &str = "\
# comment
priority=10,ip,nw_dst=10.0.0.0/8,actions=dec_ttl,output:2

table=3,in_port=1,tcp,tp_dst=80 actions=mod_nw_dst:1.2.3.4,resubmit(,4)
  cookie=0x12,idle_timeout=10,hard_timeout=20,arp,arp_tpa=10.0.0.1,actions=FLOOD # trailing
dl_vlan=5,dl_vlan_pcp=3,actions=strip_vlan,NORMAL
dl_type=0x86dd,nw_proto=58,icmpv6_type=135,actions=drop
ipv6,ipv6_src=fe80::/10,actions=IN_PORT
udp,tp_src=0x100/0xff00,actions=output:LOCAL
send_flow_rem,check_overlap,priority=0,actions=CONTROLLER:128
tp_dst=80,actions=drop
dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=mod_dl_src:02:00:00:00:00:01,goto_table:2
actions=
sctp,tp_dst=1,actions=push_vlan:0x88a8,set_field:0x1005->vlan_vid,output:3
ipv6,in_port=LOCAL,vlan_tci=0x1000/0x1000,actions=set_field:2::1->ipv6_dst
";

fn ovs_ofctl(file: &Path) -> Option<std::process::Output> {
    match Command::new("ovs-ofctl").args(["-O", "OpenFlow14", "parse-flows"]).arg(file).output() {
        Ok(out) => Some(out),
        Err(_) => {
            println!("skipped: no ovs-ofctl");
            None
        }
    }
}

#[test]
fn flow_parse_prints_and_refuses_as_ovs_ofctl_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.flows");
    let mut cases = vec![FLOWS.to_owned()];
    let bad = [
        "nw_dts=1.2.3.4,actions=drop",
        "ip,nw_dst=10.0.0.0/8",
        "actions=frobnicate",
        "actions=output:99999",
        "cookie=1/1,actions=drop",
        "table=256,actions=drop",
        "in_port=LOCAL,actions=set_field:2::1->ipv6_dst",
        "dl_src=1:2:3,actions=drop",
        "priority=65536,actions=drop",
        // `flow add` takes these two, as add-flow without -O does.
        "reg0=2,actions=strip_vlan,output:2",
        "actions=dec_ttl,output:2",
    ];
    cases.extend(bad.map(|line| format!("actions=drop\n{line}\n")));
    for (i, text) in cases.iter().enumerate() {
        std::fs::write(&file, text).unwrap();
        let ours = run("shuntctl", &["flow", "parse", file.to_str().unwrap()]).unwrap();
        let Some(theirs) = ovs_ofctl(&file) else { return };
        assert_eq!(ours.code == Some(0), theirs.status.success(), "{text}: {ours:?} {theirs:?}");
        if ours.code == Some(0) {
            let theirs = String::from_utf8(theirs.stdout).unwrap();
            let adds: Vec<_> =
                theirs.lines().filter_map(|line| line.split_once(": ADD ").map(|(_, flow)| flow)).collect();
            assert_eq!(ours.stdout.lines().collect::<Vec<_>>(), adds);
            assert_eq!((i, adds.len()), (0, 13));
            // The one line that ovs-ofctl changes, with its number.
            assert_eq!(ours.stderr.lines().count(), 1, "{}", ours.stderr);
            assert!(
                ours.stderr.starts_with("shuntctl: warning: ") && ours.stderr.contains("f.flows:11: "),
                "{}",
                ours.stderr
            );
        } else {
            assert_eq!((ours.code, ours.stdout.as_str()), (Some(1), ""), "{text}");
            assert!(ours.stderr.lines().last().unwrap().contains("f.flows:2: "), "{text}: {}", ours.stderr);
        }
    }
}
