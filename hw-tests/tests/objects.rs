//! Groups, meters, mirrors, patch ports, VLAN modes, tables and addresses through `shuntctl`, with real packets on a virtual
//! clock, and what a restart keeps of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{FlowView, GroupView, MeterView, MirrorView, TableView};
use hw_tests::Rig;
use hw_tests::frames::{tagged, udp, vlan};

/// A bridge with the wire as port 1, VF 0 as port 2, VF 1 as port 3, VF 2 as port 4.
fn rig(mode: &str) -> Rig {
    let rig = Rig::start("connectx,vfs=3,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", mode]).unwrap();
    for (name, devargs) in [("wire", "uplink"), ("vm0", "pf0vf0"), ("vm1", "pf0vf1"), ("vm2", "pf0vf2")] {
        rig.ok(&["port", "add", "br0", name, "--devargs", devargs]).unwrap();
    }
    rig
}

fn flow(rig: &Rig, flow: &str) {
    rig.ok(&["flow", "add", "br0", flow]).unwrap();
}

fn group(rig: &Rig, number: &str) -> GroupView {
    rig.json::<Vec<GroupView>>(&["group", "dump", "br0", number]).unwrap().remove(0)
}

#[test]
fn an_all_group_copies_and_a_failover_group_follows_what_is_up() {
    let mut rig = rig("secure");
    rig.ok(&[
        "group",
        "add",
        "br0",
        "group_id=1,type=all,bucket=output:2,bucket=set_field:02:00:00:00:00:99->eth_dst,output:3",
    ])
    .unwrap();
    rig.ok(&[
        "group",
        "add",
        "br0",
        "group_id=2,type=ff,bucket=watch_port:vm0,output:2,bucket=watch_port:vm1,output:3",
    ])
    .unwrap();
    flow(&rig, "in_port=1,udp,udp_src=1,actions=group:1");
    flow(&rig, "in_port=1,udp,udp_src=2,actions=group:2");
    let mut left = rig.pass(0, 1, &[udp(1, 2, 1)]).unwrap();
    left.sort();
    assert_eq!(left.iter().map(|(end, f)| (*end, f[5])).collect::<Vec<_>>(), [(1, 2), (2, 0x99)]);

    let failover = |rig: &Rig, at: u64| {
        assert_eq!(rig.ends(0, at, &[udp(1, 2, 2)]).unwrap(), [1]);
        rig.ok(&["port", "set", "br0", "vm0", "--down"]).unwrap();
        assert_eq!(rig.ends(0, at, &[udp(1, 2, 2)]).unwrap(), [2]);
        rig.ok(&["port", "set", "br0", "vm1", "--down"]).unwrap();
        assert!(rig.ends(0, at, &[udp(1, 2, 2)]).unwrap().is_empty());
        assert_eq!(group(rig, "2").buckets.iter().map(|b| b.live).collect::<Vec<_>>(), [false, false]);
        rig.ok(&["port", "set", "br0", "vm1", "--up"]).unwrap();
        rig.ok(&["port", "set", "br0", "vm0", "--up"]).unwrap();
        assert_eq!(rig.ends(0, at, &[udp(1, 2, 2)]).unwrap(), [1]);
    };
    failover(&rig, 2);
    let all = group(&rig, "group_id=1");
    assert_eq!((all.packets, all.ref_count, all.buckets.iter().map(|b| b.packets).collect()), (1, 1, vec![1, 1]));
    assert_eq!(group(&rig, "2").buckets.iter().map(|b| b.packets).collect::<Vec<_>>(), [2, 1]);

    let before = rig.ok(&["group", "dump", "br0"]).unwrap();
    rig.restart().unwrap();
    assert_eq!(rig.ok(&["group", "dump", "br0"]).unwrap(), before);
    failover(&rig, 1);
    // Rules go with their group.
    rig.ok(&["group", "del", "br0", "1"]).unwrap();
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    assert_eq!(flows.iter().map(|f| f.actions.as_str()).collect::<Vec<_>>(), ["group:2"]);
    rig.restart().unwrap();
    assert_eq!(rig.ok(&["group", "dump", "br0"]).unwrap().lines().count(), 1);
    assert_eq!(rig.ok(&["flow", "dump", "br0"]).unwrap().lines().count(), 1);
}

#[test]
fn a_select_group_spreads_flows_by_weight_and_keeps_each_on_its_way() {
    let rig = rig("secure");
    rig.ok(&[
        "group",
        "add",
        "br0",
        "group_id=7,type=select,bucket=bucket_id:1,weight:3,output:2,bucket=bucket_id:2,weight:1,output:3",
    ])
    .unwrap();
    flow(&rig, "in_port=1,actions=group:7");
    let frames: Vec<_> = (0..200).map(|port| udp(1, 2, 1000 + port)).collect();
    let once = rig.pass(0, 1, &frames).unwrap();
    let twice = rig.pass(0, 2, &frames).unwrap();
    assert_eq!(once.len(), 200);
    let (mut a, mut b) = (once.clone(), twice);
    a.sort();
    b.sort();
    assert_eq!(a, b, "a flow stays on its way");
    let first = once.iter().filter(|(end, _)| *end == 1).count();
    assert!((110..190).contains(&first), "{first} of 200 with 3/4 of the weight");
    let counted: Vec<_> = group(&rig, "7").buckets.iter().map(|b| b.packets).collect();
    assert_eq!(counted, [2 * first as u64, 2 * (200 - first as u64)]);

    rig.ok(&[
        "group",
        "insert-buckets",
        "br0",
        "group_id=7,command_bucket_id=last,bucket=bucket_id:3,weight:200,output:4",
    ])
    .unwrap();
    let third = rig.ends(0, 3, &frames).unwrap().into_iter().filter(|end| *end == 3).count();
    assert!(third > 150, "{third}");
    rig.ok(&["group", "remove-buckets", "br0", "group_id=7,command_bucket_id=first"]).unwrap();
    rig.ok(&["group", "remove-buckets", "br0", "group_id=7,command_bucket_id=3"]).unwrap();
    assert_eq!(rig.ends(0, 4, &frames[..20]).unwrap(), vec![2; 20]);
    rig.ok(&["group", "mod", "br0", "group_id=7,type=indirect,bucket=output:4"]).unwrap();
    assert_eq!(rig.ends(0, 5, &frames[..20]).unwrap(), vec![3; 20]);
}

#[test]
fn a_meter_limits_on_the_clock_and_counts() {
    let mut rig = rig("secure");
    rig.ok(&["meter", "add", "br0", "meter=5,pktps,burst,stats,bands=type=drop,rate=10,burst_size=10"]).unwrap();
    flow(&rig, "in_port=1,actions=meter:5,output:2");
    let frames: Vec<_> = (0..20).map(|_| udp(1, 2, 9)).collect();
    let meter = |rig: &Rig| rig.json::<Vec<MeterView>>(&["meter", "stats", "br0", "5"]).unwrap().remove(0);
    // The first frame is software's, which has a bucket of its own (docs/guide/meters.md).
    assert_eq!(rig.ends(0, 1, &frames).unwrap().len(), 1 + 10, "the burst");
    assert_eq!(rig.ends(0, 1001, &frames).unwrap().len(), 10, "ten a second");
    assert_eq!(rig.ends(0, 1501, &frames).unwrap().len(), 5);
    let counted = meter(&rig);
    assert_eq!((counted.packets, counted.flow_count, counted.bands[0].packets), (60, 1, 34));
    rig.ok(&["meter", "mod", "br0", "meter=5,pktps,burst,bands=type=drop,rate=1,burst_size=1"]).unwrap();
    assert_eq!(rig.ends(0, 2501, &frames).unwrap().len(), 1);
    assert_eq!(meter(&rig).packets, 80);
    let metrics = rig.request("GET", "/metrics", "").unwrap().1;
    assert!(metrics.contains("shunt_meter_packets_total{bridge=\"br0\",meter=\"5\"} 80"), "{metrics}");

    let before = rig.ok(&["meter", "dump", "br0"]).unwrap();
    rig.restart().unwrap();
    assert_eq!(rig.ok(&["meter", "dump", "br0"]).unwrap(), before);
    assert_eq!(rig.ends(0, 1, &frames).unwrap().len(), 1 + 1);
    rig.ok(&["meter", "del", "br0", "5"]).unwrap();
    assert!(rig.ok(&["flow", "dump", "br0"]).unwrap().is_empty(), "rules go with their meter");
}

#[test]
fn patch_ports_connect_bridges() {
    let mut rig = rig("secure");
    rig.ok(&["bridge", "add", "br1", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["port", "del", "br0", "vm2"]).unwrap();
    rig.ok(&["port", "add", "br1", "vm2", "--devargs", "pf0vf2", "--ofport", "1"]).unwrap();
    rig.ok(&["port", "add", "br0", "to1", "--type", "patch", "--peer", "to0", "--ofport", "10"]).unwrap();
    flow(&rig, "in_port=1,actions=output:10");
    rig.ok(&["flow", "add", "br1", "in_port=to0,actions=set_field:02:00:00:00:00:77->eth_dst,output:1"]).unwrap_err();
    rig.ok(&["port", "add", "br1", "to0", "--type", "patch", "--peer", "to1"]).unwrap();
    rig.ok(&["flow", "add", "br1", "in_port=to0,actions=set_field:02:00:00:00:00:77->eth_dst,output:1"]).unwrap();
    for at in [1, 2] {
        let left = rig.pass(0, at, &[udp(1, 2, 9)]).unwrap();
        assert_eq!(left.iter().map(|(end, f)| (*end, f[5])).collect::<Vec<_>>(), [(3, 0x77)]);
    }
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br1"]).unwrap();
    assert_eq!(flows.iter().map(|f| f.packets).collect::<Vec<_>>(), [2]);
    rig.restart().unwrap();
    assert_eq!(rig.ends(0, 1, &[udp(1, 2, 9)]).unwrap(), [3]);
    rig.ok(&["port", "del", "br1", "to0"]).unwrap();
    assert!(rig.ends(0, 2, &[udp(1, 2, 9)]).unwrap().is_empty());
    rig.ok(&["bridge", "del", "br0"]).unwrap();
    rig.ok(&["bridge", "del", "br1"]).unwrap();
}

#[test]
fn vlan_modes_of_ports_are_kept_and_changed() {
    let mut rig = rig("standalone");
    rig.ok(&["port", "set", "br0", "vm0", "--tag", "10"]).unwrap();
    rig.ok(&["port", "set", "br0", "vm1", "--tag", "10", "--vlan-mode", "native-untagged", "--trunks", "20"]).unwrap();
    rig.ok(&["port", "set", "br0", "vm2", "--trunks", "20,30"]).unwrap();
    let check = |rig: &Rig, at: u64| {
        let seen = |frame: Vec<u8>| {
            let mut left: Vec<_> = rig.pass(0, at, &[frame]).unwrap().iter().map(|(end, f)| (*end, vlan(f))).collect();
            left.sort_unstable();
            left
        };
        assert_eq!(seen(tagged(10, &udp(1, 0x50, 9))), [(1, None), (2, None)]);
        assert_eq!(seen(tagged(20, &udp(1, 0x50, 9))), [(2, Some(20)), (3, Some(20))]);
        assert_eq!(seen(tagged(30, &udp(1, 0x50, 9))), [(3, Some(30))]);
        assert!(seen(udp(1, 0x50, 9)).is_empty());
        // From the native VLAN to the trunk, with its tag; to the access port, without.
        let mut left: Vec<_> =
            rig.pass(2, at, &[udp(3, 0x50, 9)]).unwrap().iter().map(|(end, f)| (*end, vlan(f))).collect();
        left.sort_unstable();
        assert_eq!(left, [(0, Some(10)), (1, None)]);
    };
    check(&rig, 1);
    rig.restart().unwrap();
    check(&rig, 1);
    rig.ok(&["port", "set", "br0", "vm0", "--flood", "off"]).unwrap();
    rig.ok(&["port", "set", "br0", "vm1", "--tag", "none", "--vlan-mode", "trunk", "--trunks", "all"]).unwrap();
    let left = rig.pass(0, 2, &[tagged(10, &udp(1, 0x50, 9))]).unwrap();
    assert_eq!(left.iter().map(|(end, f)| (*end, vlan(f))).collect::<Vec<_>>(), [(2, Some(10))]);
}

#[test]
fn a_mirror_copies_what_it_selects() {
    let mut rig = rig("secure");
    flow(&rig, "in_port=1,actions=output:2");
    flow(&rig, "in_port=2,actions=output:1");
    rig.ok(&["mirror", "add", "br0", "m", "--src", "wire", "--output", "vm2"]).unwrap();
    let check = |rig: &Rig| {
        let mut left = rig.ends(0, 1, &[udp(1, 2, 9)]).unwrap();
        left.sort_unstable();
        assert_eq!(left, [1, 3]);
        assert_eq!(rig.ends(1, 1, &[udp(2, 1, 9)]).unwrap(), [0]);
    };
    check(&rig);
    let mirrors: Vec<MirrorView> = rig.json(&["mirror", "show", "br0"]).unwrap();
    assert_eq!((mirrors[0].packets, mirrors[0].mirror.select_src.as_slice()), (1, &["wire".to_owned()][..]));
    rig.restart().unwrap();
    check(&rig);
    let refused = rig.refused(&["port", "del", "br0", "vm2"]).unwrap();
    assert!(refused.contains("mirror m"), "{refused}");
    rig.ok(&["mirror", "del", "br0", "m"]).unwrap();
    assert_eq!(rig.ends(0, 2, &[udp(1, 2, 9)]).unwrap(), [1]);
    rig.restart().unwrap();
    assert!(rig.json::<Vec<MirrorView>>(&["mirror", "show", "br0"]).unwrap().is_empty());
}

#[test]
fn learned_rules_work_and_do_not_survive() {
    let mut rig = rig("secure");
    flow(
        &rig,
        "table=0,actions=learn(table=10,hard_timeout=60,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,10)",
    );
    flow(&rig, "table=10,priority=0,actions=FLOOD");
    assert_eq!(rig.ends(1, 1, &[udp(2, 1, 9)]).unwrap().len(), 3);
    assert_eq!(rig.ends(0, 2, &[udp(1, 2, 9)]).unwrap(), [1], "what was learned");
    let learned = |rig: &Rig| rig.json::<Vec<FlowView>>(&["flow", "dump", "br0", "table=10"]).unwrap().len();
    assert_eq!(learned(&rig), 3);
    rig.restart().unwrap();
    assert_eq!(learned(&rig), 1);
}

#[test]
fn tables_are_full_or_evict_and_addresses_are_fixed_or_forgotten() {
    let mut rig = rig("standalone");
    rig.ok(&["table", "set", "br0", "7", "--limit", "2"]).unwrap();
    flow(&rig, "table=7,priority=1,hard_timeout=1000,importance=5,actions=drop");
    flow(&rig, "table=7,priority=2,hard_timeout=1000,importance=1,actions=drop");
    let refused = rig.refused(&["flow", "add", "br0", "table=7,priority=3,actions=drop"]).unwrap();
    assert!(refused.contains("table 7") && refused.contains("full"), "{refused}");
    rig.ok(&["table", "set", "br0", "7", "--eviction", "on"]).unwrap();
    rig.restart().unwrap();
    flow(&rig, "table=7,priority=3,actions=drop");
    let left = |rig: &Rig| {
        let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0", "table=7"]).unwrap();
        flows.iter().map(|f| f.priority).collect::<Vec<_>>()
    };
    assert_eq!(left(&rig), [3, 1], "the one of lowest importance made room");
    rig.restart().unwrap();
    assert_eq!(left(&rig), [3, 1]);
    let tables: Vec<TableView> = rig.json(&["table", "show", "br0"]).unwrap();
    let seven = tables.iter().find(|t| t.table == 7).unwrap();
    assert_eq!((seven.flows, seven.limit, seven.eviction), (2, Some(2), true));

    rig.ok(&["fdb", "add", "br0", "vm1", "0", "02:00:00:00:00:50"]).unwrap();
    assert_eq!(rig.ends(0, 1, &[udp(1, 0x50, 9)]).unwrap(), [2]);
    assert_eq!(rig.ends(1, 2, &[udp(0x50, 1, 9)]).unwrap(), [0], "it does not move");
    assert_eq!(rig.ends(0, 3, &[udp(1, 0x50, 9)]).unwrap(), [2]);
    assert_eq!(rig.ok(&["fdb", "flush", "br0"]).unwrap(), "1 address forgotten\n");
    rig.restart().unwrap();
    let entries: Vec<api::FdbEntry> = rig.json(&["fdb", "show", "br0"]).unwrap();
    assert_eq!(entries.iter().map(|e| (e.port.as_str(), e.fixed)).collect::<Vec<_>>(), [("vm1", true)]);
    rig.ok(&["fdb", "del", "br0", "0", "02:00:00:00:00:50"]).unwrap();
    assert_eq!(rig.ends(0, 1, &[udp(1, 0x50, 9)]).unwrap().len(), 3);
}

#[test]
fn packets_for_controllers_are_counted() {
    let rig = rig("secure");
    flow(&rig, "in_port=1,actions=controller(id=7,max_len=64),output:2");
    flow(&rig, "in_port=2,actions=CONTROLLER");
    rig.pass(0, 1, &[udp(1, 2, 9), udp(1, 2, 9)]).unwrap();
    rig.pass(1, 1, &[udp(2, 1, 9)]).unwrap();
    let bridge: api::BridgeView = rig.json(&["bridge", "show", "br0"]).unwrap();
    assert_eq!(bridge.punted.into_iter().collect::<Vec<_>>(), [(0, 1), (7, 2)]);
    let metrics = rig.request("GET", "/metrics", "").unwrap().1;
    assert!(metrics.contains("shunt_controller_packets_total{bridge=\"br0\",controller=\"7\"} 2"), "{metrics}");
    let view: api::MockView = rig.json_of("GET", api::paths::MOCK_COUNTERS).unwrap();
    assert!(view.tally.balances(), "{view:?}");
}
