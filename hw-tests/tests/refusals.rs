//! What cannot be with rules, groups, meters, tables, mirrors, ports and addresses: one line each, and nothing changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use hw_tests::Rig;

/// All of the switch that a refused command must leave alone.
fn state(rig: &Rig) -> String {
    let commands: [&[&str]; 8] = [
        &["bridge", "list"],
        &["port", "list"],
        &["flow", "dump", "br0", "--no-stats"],
        &["group", "dump", "br0"],
        &["meter", "dump", "br0"],
        &["mirror", "show", "br0"],
        &["table", "show", "br0"],
        &["fdb", "show", "br0"],
    ];
    commands.map(|c| rig.ok(c).unwrap()).join("\n")
}

#[test]
fn each_refusal_is_one_line_and_changes_nothing() {
    let rig = Rig::start("none,vfs=2,lockstep").unwrap();
    for setup in [
        &["bridge", "add", "br0", "--fail-mode", "secure"][..],
        &["port", "add", "br0", "wire", "--devargs", "uplink"],
        &["port", "add", "br0", "vm0", "--devargs", "pf0vf0", "--tag", "10"],
        &["port", "add", "br0", "patch0", "--type", "patch", "--peer", "patch1"],
        &["group", "add", "br0", "group_id=1,type=all,bucket=output:1"],
        &["group", "add", "br0", "group_id=2,type=indirect,bucket=group:1"],
        &["meter", "add", "br0", "meter=1,kbps,bands=type=drop,rate=1000"],
        &["mirror", "add", "br0", "m0", "--src", "wire", "--output", "vm0"],
        &["flow", "add", "br0", "table=3,priority=5,tcp,actions=output:1"],
        &["flow", "add", "br0", "table=7,actions=drop"],
        &["table", "set", "br0", "7", "--limit", "1"],
    ] {
        rig.ok(setup).unwrap();
    }
    let before = state(&rig);
    let commands: [&[&str]; 45] = [
        // Rules.
        &["flow", "add", "br0", "table=3,actions=goto_table:3"],
        &["flow", "add", "br0", "table=3,actions=goto_table:1"],
        &["flow", "add", "br0", "actions=goto_table:4,output:1"],
        &["flow", "add", "br0", "arp,actions=dec_ttl"],
        &["flow", "add", "br0", "udp,actions=set_field:80->tcp_dst"],
        &["flow", "add", "br0", "ip,actions=set_field:1->nw_frag"],
        &["flow", "add", "br0", "actions=drop,output:1"],
        &["flow", "add", "br0", "actions=group:9"],
        &["flow", "add", "br0", "actions=meter:9,output:1"],
        &["flow", "add", "br0", "table=3,priority=5,check_overlap,tcp,tp_dst=80,actions=drop"],
        &["flow", "add", "br0", "table=7,priority=9,actions=drop"],
        &["flow", "add", "br0", "conj_id=1,actions=conjunction(1,1/2),output:1"],
        &["flow", "mod", "br0", "table=3,actions=goto_table:2"],
        &["flow", "mod", "br0", "tcp"],
        &["flow", "del", "br0", "priority=5,tcp"],
        &["flow", "trace", "br0", "in_port=1,nw_dts=1.2.3.4"],
        &["flow", "trace", "br0", "in_port=1,ip,nw_dst=10.0.0.0/8"],
        &["flow", "trace", "br0", "in_port=1", "0102"],
        &["flow", "trace", "br0", "in_port=1", "xyz"],
        // Groups.
        &["group", "add", "br0", "group_id=1,type=all,bucket=output:1"],
        &["group", "add", "br0", "group_id=3,type=frob,bucket=output:1"],
        &["group", "add", "br0", "group_id=3,type=indirect"],
        &["group", "add", "br0", "group_id=3,type=ff,bucket=output:1"],
        &["group", "add", "br0", "group_id=4294967041,type=all"],
        &["group", "mod", "br0", "group_id=1,type=all,bucket=group:2"],
        &["group", "mod", "br0", "group_id=8,type=all,bucket=output:1"],
        &["group", "del", "br0", "8"],
        &["group", "insert-buckets", "br0", "group_id=8,command_bucket_id=last,bucket=output:1"],
        &["group", "remove-buckets", "br0", "group_id=1,command_bucket_id=77"],
        &["group", "dump", "br0", "x"],
        // Meters.
        &["meter", "add", "br0", "meter=1,kbps,bands=type=drop,rate=1"],
        &["meter", "add", "br0", "meter=0,kbps,bands=type=drop,rate=1"],
        &["meter", "add", "br0", "meter=2,kbps,bands=type=drop"],
        &["meter", "mod", "br0", "meter=9,kbps,bands=type=drop,rate=1"],
        &["meter", "del", "br0", "9"],
        // Ports, mirrors, tables, addresses.
        &["port", "set", "br0", "wire", "--vlan-mode", "access"],
        &["port", "set", "br0", "nosuch", "--down"],
        &["port", "add", "br0", "p", "--type", "patch", "--peer", "p"],
        &["port", "add", "br0", "p", "--type", "patch"],
        &["port", "del", "br0", "vm0"],
        &["mirror", "add", "br0", "m1", "--src", "wire"],
        &["mirror", "add", "br0", "m1", "--src", "nosuch", "--output", "vm0"],
        &["table", "set", "br0", "255", "--limit", "1"],
        &["fdb", "add", "br0", "wire", "1", "01:00:5e:00:00:01"],
        &["bridge", "set", "br0", "--mac-aging", "1"],
    ];
    let mut all = Vec::new();
    for command in commands {
        let said = rig.refused(command).unwrap();
        assert!(said.len() < 260, "{said}");
        all.push(format!("$ shuntctl {}\n{said}\n", command.join(" ")));
        assert_eq!(state(&rig), before, "{command:?}");
    }
    insta::assert_snapshot!(all.join("\n"));
}
