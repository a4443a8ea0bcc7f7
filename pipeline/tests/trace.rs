//! Traces, word for word: those of Open vSwitch's advanced tutorial, tables 0 to 4 (its output, but for words that newer versions
//! write otherwise).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Bench, TestPort, bench};
use flow::dp::{Effect, Hits, OvsActions, Slowpath};
use flow::text::{NoPorts, parse_flow, parse_match};
use flow::{FlowKey, OfPort};
use pipeline::VlanMode;

fn switch(rules: &[&str]) -> Bench {
    let port = |n| TestPort { number: OfPort(n), vlan: VlanMode::default(), flood: true, up: true };
    bench(
        rules.iter().map(|r| parse_flow(r, &NoPorts).unwrap_or_else(|e| panic!("{r}: {e}"))).collect(),
        (1..=4).map(port).collect(),
    )
}

fn key(text: &str) -> FlowKey {
    let m = parse_match(text, &NoPorts).unwrap();
    m.key
}

fn trace(bench: &Bench, packet: &str) -> String {
    bench.pipeline.trace(bench.bridge, &key(packet)).unwrap().to_string()
}

/// The datapath actions, with OpenFlow's port numbers.
fn actions(bench: &Bench, packet: &str) -> String {
    let trace = bench.pipeline.trace(bench.bridge, &key(packet)).unwrap();
    OvsActions(&trace.passes[0].actions).to_string().replace("10", "")
}

/// Do what the packet does beside being forwarded.
fn generate(bench: &Bench, packet: &str) {
    let trace = bench.pipeline.trace(bench.bridge, &key(packet)).unwrap();
    let effects = trace.passes[0].translation.effects.clone();
    let learned = effects.iter().filter(|e| matches!(e, Effect::Learn(_))).cloned().collect::<Vec<_>>();
    bench.pipeline.replay(&learned, &Hits { packets: 1, bytes: 60, ..Hits::default() });
}

const TUTORIAL: [&str; 17] = [
    "table=0,dl_src=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
    "table=0,dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0,actions=drop",
    "table=0,priority=0,actions=resubmit(,1)",
    "table=1,priority=0,actions=drop",
    "table=1,priority=99,in_port=1,actions=resubmit(,2)",
    "table=1,priority=99,in_port=2,vlan_tci=0,actions=mod_vlan_vid:20,resubmit(,2)",
    "table=1,priority=99,in_port=3,vlan_tci=0,actions=mod_vlan_vid:30,resubmit(,2)",
    "table=1,priority=99,in_port=4,vlan_tci=0,actions=mod_vlan_vid:30,resubmit(,2)",
    "table=2,actions=learn(table=10,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]),resubmit(,3)",
    "table=3,priority=50,actions=resubmit(,10),resubmit(,4)",
    "table=4,reg0=1,actions=1",
    "table=4,reg0=2,vlan_tci=0x1000/0x1000,actions=strip_vlan,2",
    "table=4,reg0=3,vlan_tci=0x1000/0x1000,actions=strip_vlan,3",
    "table=4,reg0=4,vlan_tci=0x1000/0x1000,actions=strip_vlan,4",
    "table=4,reg0=0,priority=99,dl_vlan=20,actions=1,strip_vlan,2",
    "table=4,reg0=0,priority=99,dl_vlan=30,actions=1,strip_vlan,3,4",
    "table=4,reg0=0,priority=50,actions=1",
];

#[test]
fn table_0_drops_reserved_addresses() {
    let bench = switch(&TUTORIAL[..3]);
    assert_eq!(
        trace(&bench, "in_port=1,dl_dst=01:80:c2:00:00:05"),
        "Flow: in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=01:80:c2:00:00:05,dl_type=0x0000\n\
         \n\
         bridge(\"br0\")\n\
         -------------\n \
         0. dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0, priority 32768\n    \
             drop\n\
         \n\
         Final flow: unchanged\n\
         Megaflow: recirc_id=0,eth,in_port=1,dl_src=00:00:00:00:00:00/01:00:00:00:00:00,\
         dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0,dl_type=0x0000\n\
         Datapath actions: drop\n\
         Dropped: rule_drop"
    );
    let text = trace(&bench, "in_port=1,dl_dst=01:80:c2:00:00:10");
    assert!(
        text.contains(" 0. priority 0\n    resubmit(,1)\n 1. No match.\n    drop\n\nFinal flow: unchanged\n"),
        "{text}"
    );
}

#[test]
fn table_1_tags_what_comes_in_on_access_ports() {
    let bench = switch(&TUTORIAL[..8]);
    let text = trace(&bench, "in_port=2,dl_type=0x0000");
    assert!(
        text.contains(
            " 0. priority 0\n    resubmit(,1)\n 1. in_port=2,vlan_tci=0x0000/0x1fff, priority 99\n    \
             mod_vlan_vid:20\n    resubmit(,2)\n 2. No match.\n    drop\n\n\
             Final flow: in_port=2,dl_vlan=20,dl_vlan_pcp=0,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0000\n"
        ),
        "{text}"
    );
}

#[test]
fn tables_2_to_4_learn_and_send() {
    let bench = switch(&TUTORIAL);
    // Unknown destinations are flooded in their VLAN.
    let flood = "dl_dst=ff:ff:ff:ff:ff:ff";
    assert_eq!(actions(&bench, &format!("in_port=1,{flood},dl_vlan=30")), "pop_vlan,3,4");
    assert_eq!(actions(&bench, &format!("in_port=3,{flood}")), "push_vlan(vid=30,pcp=0),1,pop_vlan,4");
    assert_eq!(actions(&bench, &format!("in_port=1,{flood}")), "drop");
    assert_eq!(actions(&bench, &format!("in_port=1,{flood},dl_vlan=55")), "drop");

    let there = "in_port=1,dl_vlan=30,dl_src=10:00:00:00:00:01,dl_dst=20:00:00:00:00:01";
    let text = trace(&bench, there);
    assert!(
        text.contains(
            "     -> table=10 vlan_tci=0x001e/0x0fff,dl_dst=10:00:00:00:00:01 priority=32768 actions=load:0x1->NXM_NX_REG0[0..15]\n    \
             resubmit(,3)\n 3. priority 50\n    resubmit(,10)\n    10. No match.\n            drop\n    resubmit(,4)\n \
             4. reg0=0,dl_vlan=30, priority 99\n    output:1\n     >> skipping output to input port\n"
        ) || text.contains("10. No match.\n            drop\n"),
        "{text}"
    );
    assert_eq!(actions(&bench, there), "pop_vlan,3,4");
    generate(&bench, there);
    let back = "in_port=4,dl_src=20:00:00:00:00:01,dl_dst=10:00:00:00:00:01";
    assert_eq!(actions(&bench, back), "push_vlan(vid=30,pcp=0),1");
    generate(&bench, back);
    assert_eq!(actions(&bench, there), "pop_vlan,4");
}
