//! What actions come to in the datapath, as Open vSwitch has it. OpenFlow port n is datapath port n + 100.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Bench, TestPort, bench, dp};
use flow::dp::{DpAction, Effect, OvsActions, RecircId, Resume, Slowpath, Translation};
use flow::group::{Bucket, GroupKind, GroupSpec, Selection};
use flow::text::{NoPorts, parse_flow};
use flow::{Action, FieldId, FlowKey, OfPort, Value};
use pipeline::{ALL_BUCKETS, Change, GroupChange, PortSpec, PortUpdate, RuleChange, Select, VlanMode};

fn switch(groups: &[GroupSpec], rules: &[&str]) -> Bench {
    let port = |n| TestPort { number: OfPort(n), vlan: VlanMode::default(), flood: true, up: true };
    let bench = bench(Vec::new(), (1..=5).map(port).collect());
    let groups = groups.iter().map(|g| GroupChange::Add { bridge: bench.bridge, group: g.clone() }.into());
    bench.pipeline.change(&groups.collect::<Vec<Change>>()).unwrap();
    add(&bench, rules);
    bench
}

fn add(bench: &Bench, rules: &[&str]) {
    let rule = |r: &&str| RuleChange::Add {
        bridge: bench.bridge,
        rule: parse_flow(r, &NoPorts).unwrap_or_else(|e| panic!("{r}: {e}")),
    };
    bench.pipeline.apply(&rules.iter().map(rule).collect::<Vec<_>>()).unwrap();
}

fn tcp() -> FlowKey {
    let mut key = FlowKey::ZERO;
    (key.eth_dst, key.eth_src, key.eth_type) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], 0x0800.into());
    (key.nw_proto, key.nw_ttl) = (6, 64);
    (key.ipv4_src, key.ipv4_dst) = (0x0a00_0001.into(), 0x0a00_0002.into());
    (key.tp_src, key.tp_dst) = (1000.into(), 80.into());
    key
}

fn text(t: &Translation) -> String {
    OvsActions(&t.actions).to_string()
}

fn says(rules: &[&str]) -> String {
    text(&switch(&[], rules).translate(OfPort(1), &tcp()))
}

fn bucket(id: u32, actions: &[Action]) -> Bucket {
    Bucket { id, weight: 0, watch_port: None, watch_group: None, actions: actions.to_vec() }
}

fn out(port: u16) -> Action {
    Action::Output(OfPort(port))
}

fn group(id: u32, kind: GroupKind, buckets: Vec<Bucket>) -> GroupSpec {
    GroupSpec { id, kind, selection: Selection::Default, buckets }
}

#[test]
fn registers_carry_bits_and_the_stack_keeps_them() {
    assert_eq!(says(&["actions=load:2->reg0[],output:reg0[]"]), "102");
    assert_eq!(
        says(&["tcp,actions=move:tcp_dst[0..7]->reg1[8..15],output:reg1[8..15]"]),
        "drop",
        "port 80 is not there"
    );
    assert_eq!(says(&["actions=load:3->reg0[],push:reg0[],load:0->reg0[],pop:reg2[],output:reg2[]"]), "103");
    assert_eq!(says(&["ip,actions=move:nw_src[]->nw_dst[],2"]), "set(ipv4(dst=10.0.0.1)),102");
    let bench = switch(&[], &["ip,actions=move:nw_src[0..7]->reg0[0..7],resubmit(,1)", "table=1,reg0=1,actions=2"]);
    let t = bench.translate(OfPort(1), &tcp());
    assert_eq!((text(&t).as_str(), t.mask.get(FieldId::Ipv4Src).0), ("102", 0xff));
    // Wider and narrower reads of one register.
    assert_eq!(says(&["actions=set_field:0x300000002->xreg0,output:reg1[],output:reg0[]"]), "102,103");
}

#[test]
fn action_sets_are_executed_in_openflow_order_at_the_end() {
    assert_eq!(says(&["ip,actions=write_actions(output:2,set_field:10.0.0.9->ip_dst)"]), "set(ipv4(dst=10.0.0.9)),102");
    assert_eq!(says(&["actions=write_actions(output:2),goto_table:1", "table=1,actions=3"]), "103,102");
    assert_eq!(says(&["actions=write_actions(output:2),goto_table:1", "table=1,actions=clear_actions"]), "drop");
    assert_eq!(
        says(&["actions=write_actions(output:2),goto_table:1", "table=1,actions=write_actions(output:4)"]),
        "104"
    );
    let sent = ["actions=write_actions(output:2),goto_table:1", "table=1,actset_output=2,actions=3"];
    assert_eq!(says(&sent), "103,102");
    // Without an output or a group it does nothing.
    assert_eq!(says(&["ip,actions=write_actions(set_field:10.0.0.9->ip_dst)"]), "drop");
    assert_eq!(says(&["actions=write_metadata:0x5/0xf,goto_table:1", "table=1,metadata=5,actions=2"]), "102");
}

#[test]
fn copies_keep_their_changes_to_themselves() {
    let rule = "ip,actions=clone(set_field:10.0.0.9->ip_dst,2),3";
    assert_eq!(says(&[rule]), "set(ipv4(dst=10.0.0.9)),102,set(ipv4(dst=10.0.0.2)),103");
    assert_eq!(says(&["ip,actions=clone(dec_ttl,2),3"]), "clone(dec_ttl,102),103");
    assert_eq!(says(&["actions=clone(load:3->reg0[],2),output:reg0[],3"]), "102,103");
    assert_eq!(says(&["ip,actions=clone(ct(commit),2),3"]), "clone(ct(commit),102),103");
}

#[test]
fn all_and_indirect_groups_send_copies() {
    let set = Action::SetField { field: FieldId::Ipv4Dst, value: Value(9), mask: Value(0xffff_ffff) };
    let all = group(1, GroupKind::All, vec![bucket(0, &[set, out(2)]), bucket(1, &[out(3)]), bucket(2, &[out(1)])]);
    let bench = switch(&[all], &["actions=group:1,4"]);
    let t = bench.translate(OfPort(1), &tcp());
    assert_eq!(text(&t), "set(ipv4(dst=0.0.0.9)),102,set(ipv4(dst=10.0.0.2)),103,104");
    let counted = Effect::Bucket { bridge: bench.bridge, group: 1, bucket: ALL_BUCKETS };
    assert!(t.effects.contains(&counted));
    let inner = group(2, GroupKind::Indirect, vec![bucket(0, &[out(5)])]);
    let outer = group(3, GroupKind::All, vec![bucket(0, &[Action::Group(2)]), bucket(1, &[out(2)])]);
    assert_eq!(text(&switch(&[inner, outer], &["actions=group:3"]).translate(OfPort(1), &tcp())), "105,102");
}

#[test]
fn failover_follows_what_it_watches() {
    let watch = |id, port| Bucket { watch_port: Some(OfPort(port)), ..bucket(id, &[out(port)]) };
    let ff = group(1, GroupKind::FastFailover, vec![watch(0, 2), watch(1, 3)]);
    let bench = switch(&[ff], &["actions=group:1"]);
    let sends = || text(&bench.translate(OfPort(1), &tcp()));
    assert_eq!(sends(), "102");
    let down = PortUpdate { up: Some(false), ..PortUpdate::default() };
    bench.pipeline.update_port(bench.bridge, OfPort(2), down.clone()).unwrap();
    assert_eq!(sends(), "103");
    bench.pipeline.update_port(bench.bridge, OfPort(3), down).unwrap();
    assert_eq!(sends(), "drop");
}

fn recirc(t: &Translation) -> RecircId {
    let found = t.actions.iter().find_map(|a| if let DpAction::Recirc(id) = a { Some(*id) } else { None });
    found.unwrap_or_else(|| panic!("{t:?}"))
}

fn resume(bench: &Bench, id: RecircId, key: &FlowKey) -> Translation {
    let mut key = *key;
    (key.in_port, key.recirc_id) = (dp(OfPort(1)).0.into(), id.0.into());
    bench.pipeline.translate(&Resume { recirc_id: id }, &key)
}

#[test]
fn select_groups_choose_by_the_datapaths_hash_and_weight() {
    let weigh = |id, weight, port| Bucket { weight, ..bucket(id, &[out(port)]) };
    let select = group(1, GroupKind::Select, vec![weigh(0, 3, 2), weigh(1, 1, 3), weigh(2, 0, 4)]);
    let bench = switch(&[select], &["actions=load:7->reg3[],group:1,output:5", "table=1,actions=2"]);
    let t = bench.translate(OfPort(1), &tcp());
    let id = recirc(&t);
    assert_eq!(text(&t), format!("hash(sym_l4(0)),recirc({:#x})", id.0));
    assert_eq!(recirc(&bench.translate(OfPort(1), &tcp())), id, "the same state has the same number");
    let mut count = [0; 2];
    for hash in 1..=16u32 {
        let mut key = tcp();
        key.dp_hash = (hash | 0x100).into();
        let t = resume(&bench, id, &key);
        assert_eq!(t.mask.get(FieldId::DpHash), Value(15));
        match text(&t).as_str() {
            "102,105" => count[0] += 1,
            "103,105" => count[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(count, [12, 4]);
    assert_eq!(text(&resume(&bench, RecircId(id.0 + 1000), &tcp())), "drop");
    let t = resume(&bench, RecircId(id.0 + 1000), &tcp());
    assert_eq!(common::drop_reason(&t), Some(flow::dp::DropReason::StaleRecirc));
}

#[test]
fn select_groups_by_chosen_fields_look_at_them_only() {
    let weigh = |id, port| Bucket { weight: 1, ..bucket(id, &[out(port)]) };
    let fields = vec![(FieldId::Ipv4Src, Value(0xff))];
    let select = GroupSpec {
        selection: Selection::Hash { param: 0, fields },
        ..group(1, GroupKind::Select, vec![weigh(0, 2), weigh(1, 3), weigh(2, 4)])
    };
    let bench = switch(&[select], &["actions=group:1"]);
    let mut ports = std::collections::HashSet::new();
    for host in 0..64u32 {
        let mut key = tcp();
        key.ipv4_src = (0x0a00_0000 | host).into();
        let t = bench.translate(OfPort(1), &key);
        assert_eq!(t.mask.get(FieldId::Ipv4Src), Value(0xff));
        ports.insert(text(&t));
    }
    assert_eq!(ports.len(), 3);
}

#[test]
fn tracked_packets_come_back_and_the_rest_goes_on_untracked() {
    let bench = switch(
        &[],
        &[
            "ip,ct_state=-trk,actions=load:4->reg0[],ct(commit,zone=7,table=1,nat(src=10.1.1.1),exec(set_field:5/0xf->ct_mark)),3",
            "table=1,ip,ct_state=+trk+new,actions=output:reg0[]",
        ],
    );
    let t = bench.translate(OfPort(1), &tcp());
    let id = recirc(&t);
    assert_eq!(text(&t), format!("ct(commit,zone=7,mark=0x5/0xf,nat(src=10.1.1.1)),recirc({:#x}),103", id.0));
    let mut key = tcp();
    key.ct_state = 0x21.into();
    let t = resume(&bench, id, &key);
    assert_eq!(text(&t), "104");
    key.ct_state = 0x22.into();
    assert_eq!(text(&resume(&bench, id, &key)), "drop");
    assert_eq!(says(&["actions=ct_clear,2"]), "102", "it is not tracked");
}

#[test]
fn packets_are_told_apart_by_length() {
    assert_eq!(
        says(&[
            "actions=check_pkt_larger(1500)->reg0[0],resubmit(,1)",
            "table=1,reg0=1,actions=2",
            "table=1,reg0=0,actions=3"
        ]),
        "check_pkt_len(size=1500,gt(102),le(103))"
    );
}

#[test]
fn queues_truncation_notes_and_exits() {
    assert_eq!(says(&["actions=set_queue:5,2,pop_queue,3"]), "set(skb_priority(0x5)),102,set(skb_priority(0)),103");
    assert_eq!(says(&["actions=enqueue:2:5,3"]), "set(skb_priority(0x5)),102,set(skb_priority(0)),103");
    assert_eq!(says(&["actions=output(port=2,max_len=100),3"]), "trunc(100),102,103");
    assert_eq!(says(&["actions=note:01.02,2,exit,3"]), "102");
    assert_eq!(says(&["actions=resubmit(,1),3", "table=1,actions=2,exit"]), "102");
    assert_eq!(
        says(&["ip,actions=set_field:1->nw_ttl,dec_ttl(3),2"]).split(',').count(),
        4,
        "to the controller, and no more"
    );
}

#[test]
fn bundles_choose_live_members() {
    let bench = switch(&[], &["actions=bundle(eth_src,0,active_backup,ofport,members:2,3)"]);
    assert_eq!(text(&bench.translate(OfPort(1), &tcp())), "102");
    let down = PortUpdate { up: Some(false), ..PortUpdate::default() };
    bench.pipeline.update_port(bench.bridge, OfPort(2), down).unwrap();
    assert_eq!(text(&bench.translate(OfPort(1), &tcp())), "103");
    let load = "actions=bundle_load(eth_src,0,hrw,ofport,reg0[],members:2,3,4),output:reg0[]";
    let bench = switch(&[], &[load]);
    let ports: std::collections::HashSet<String> = (0..50u8)
        .map(|last| {
            let mut key = tcp();
            key.eth_src[5] = last;
            text(&bench.translate(OfPort(1), &key))
        })
        .collect();
    assert_eq!(ports.len(), 3);
}

#[test]
fn patch_ports_lead_through_the_peers_tables_and_back() {
    let bench = switch(&[], &["ip,actions=load:9->reg0[],6,output:2"]);
    let other = bench.pipeline.add_bridge("br1", pipeline::FailMode::Secure).unwrap();
    let patch =
        |name: &str, peer: &str, number| PortSpec { number: Some(OfPort(number)), ..PortSpec::patch(name, peer) };
    bench.pipeline.add_port(bench.bridge, patch("a", "b", 6)).unwrap();
    bench.pipeline.add_port(other, patch("b", "a", 1)).unwrap();
    let far = PortSpec { number: Some(OfPort(3)), ..PortSpec::new("far", flow::DpPort(500)) };
    bench.pipeline.add_port(other, far).unwrap();
    let rule = parse_flow("in_port=1,reg0=0,ip,actions=set_field:10.0.0.9->ip_dst,3", &NoPorts).unwrap();
    bench.pipeline.apply(&[RuleChange::Add { bridge: other, rule }]).unwrap();
    let t = bench.translate(OfPort(1), &tcp());
    assert_eq!(text(&t), "set(ipv4(dst=10.0.0.9)),500,set(ipv4(dst=10.0.0.2)),102");
    assert!(t.deps.contains(&flow::dp::Dep::Table(other, 0)));
    let trace = bench.pipeline.trace(bench.bridge, &FlowKey { in_port: 1.into(), ..tcp() }).unwrap().to_string();
    assert!(trace.contains("bridge(\"br1\")"), "{trace}");
}

#[test]
fn learning_stops_at_its_limit_and_says_so() {
    let learn =
        "actions=learn(table=5,limit=1,result_dst=reg0[0],cookie=0x9,eth_dst=eth_src,output:in_port),output:reg0[]";
    let bench = switch(&[], &[learn]);
    let t = bench.translate(OfPort(1), &tcp());
    assert!(t.effects.iter().any(|e| matches!(e, Effect::Learn(_))));
    assert_eq!(t.mask.get(FieldId::EthSrc).0, 0xffff_ffff_ffff);
    let hits = flow::dp::Hits { packets: 1, bytes: 60, ..Default::default() };
    bench.pipeline.replay(&t.effects, &hits);
    let mut key = tcp();
    key.eth_src[5] = 77;
    let t = bench.translate(OfPort(1), &key);
    assert!(!t.effects.iter().any(|e| matches!(e, Effect::Learn(_))), "{t:?}");
    let t = bench.translate(OfPort(1), &tcp());
    assert!(t.effects.iter().any(|e| matches!(e, Effect::Learn(_))), "the one that is there is kept");
    // From another port it would be another rule in its place, which replay does not make at the limit.
    let t = bench.translate(OfPort(2), &tcp());
    assert!(!t.effects.iter().any(|e| matches!(e, Effect::Learn(_))), "{t:?}");
}

#[test]
fn traces_go_on_where_packets_come_back() {
    let bench = switch(&[], &["ip,ct_state=-trk,actions=ct(table=1)", "table=1,ip,ct_state=+trk+new,actions=2"]);
    let trace = bench.pipeline.trace(bench.bridge, &FlowKey { in_port: 1.into(), ..tcp() }).unwrap();
    assert_eq!(trace.passes.len(), 2);
    let text = trace.to_string();
    assert!(text.contains("recirc(0x1) - resume conntrack with ct_state=new|trk"), "{text}");
    assert!(text.contains("thaw\n        Resuming from table 1\n"), "{text}");
    assert!(text.ends_with("Datapath actions: 102"), "{text}");
}

/// Wherever in a rule's actions the `learn` is, and however late the packet comes to it.
#[test]
fn what_is_learned_in_a_copy_or_behind_a_hash_goes_with_its_rule() {
    let select = group(1, GroupKind::Select, vec![Bucket { weight: 1, ..bucket(0, &[out(2)]) }]);
    let learn = "learn(table=9,cookie=0x7,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])";
    for actions in [format!("clone({learn}),2"), format!("group:1,{learn}")] {
        let rule = format!("actions={actions}");
        let bench = switch(std::slice::from_ref(&select), &[&rule]);
        let mut t = bench.translate(OfPort(1), &tcp());
        if t.actions.iter().any(|a| matches!(a, DpAction::Recirc(_))) {
            t = resume(&bench, recirc(&t), &FlowKey { dp_hash: 0x11.into(), ..tcp() });
        }
        let now = flow::clock::Clock::now(&*bench.clock);
        let came = || bench.pipeline.replay(&t.effects, &flow::dp::Hits { packets: 1, bytes: 60, used: now });
        let learned = || {
            let nine = Select { table: Some(9), ..Select::default() };
            bench.pipeline.dump(bench.bridge, &nine).unwrap().len()
        };
        came();
        assert_eq!(learned(), 1, "{rule}");
        let all = Select { table: Some(0), ..Select::default() };
        bench.pipeline.apply(&[RuleChange::Delete { bridge: bench.bridge, select: all }]).unwrap();
        assert_eq!(learned(), 0, "{rule}");
        // One that was on its way.
        came();
        assert_eq!(learned(), 0, "{rule}");
    }
}
