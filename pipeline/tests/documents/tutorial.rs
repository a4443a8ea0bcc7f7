//! The advanced tutorial: a VLAN switch with MAC learning in five tables.

use super::lab::{Lab, has_lines};

const TABLE_0: &str = "
    table=0, dl_src=01:00:00:00:00:00/01:00:00:00:00:00, actions=drop
    table=0, dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0, actions=drop
    table=0, priority=0, actions=resubmit(,1)";
const TABLE_1: &str = "
    table=1, priority=0, actions=drop
    table=1, priority=99, in_port=1, actions=resubmit(,2)
    table=1, priority=99, in_port=2, vlan_tci=0, actions=mod_vlan_vid:20, resubmit(,2)
    table=1, priority=99, in_port=3, vlan_tci=0, actions=mod_vlan_vid:30, resubmit(,2)
    table=1, priority=99, in_port=4, vlan_tci=0, actions=mod_vlan_vid:30, resubmit(,2)";
const TABLE_2: &str = "table=2 actions=learn(table=10, NXM_OF_VLAN_TCI[0..11], \
    NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[], load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]), resubmit(,3)";
const TABLE_3: &str = "
    table=3 priority=50 actions=resubmit(,10), resubmit(,4)
    table=3 priority=99 dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,4)";
const TABLE_4: &str = "
    table=4 reg0=1 actions=1
    table=4 reg0=2 actions=strip_vlan,2
    table=4 reg0=3 actions=strip_vlan,3
    table=4 reg0=4 actions=strip_vlan,4
    table=4 reg0=0 priority=99 dl_vlan=20 actions=1,strip_vlan,2
    table=4 reg0=0 priority=99 dl_vlan=30 actions=1,strip_vlan,3,4
    table=4 reg0=0 priority=50            actions=1";

fn lab(tables: &[&str]) -> Lab {
    let lab = Lab::new("br0", &[("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4)]);
    tables.iter().for_each(|flows| lab.add(flows));
    lab
}

fn trace(lab: &Lab, packet: &str) -> String {
    lab.pipeline.trace(lab.bridge, &lab.packet(packet)).unwrap().to_string()
}

#[test]
fn table_0_admits() {
    let lab = lab(&[TABLE_0]);
    has_lines(
        &trace(&lab, "in_port=1,dl_dst=01:80:c2:00:00:05"),
        &[
            "bridge(\"br0\")",
            "-------------",
            " 0. dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0, priority 32768",
            "    drop",
            "Final flow: unchanged",
            "Datapath actions: drop",
        ],
    );
    has_lines(
        &trace(&lab, "in_port=1,dl_dst=01:80:c2:00:00:10"),
        &[
            "bridge(\"br0\")",
            " 0. priority 0",
            "    resubmit(,1)",
            " 1. No match.",
            "    drop",
            "Final flow: unchanged",
            "Datapath actions: drop",
        ],
    );
}

#[test]
fn table_1_checks_vlans() {
    let lab = lab(&[TABLE_0, TABLE_1]);
    has_lines(
        &trace(&lab, "in_port=1,dl_vlan=5"),
        &[
            " 0. priority 0",
            "    resubmit(,1)",
            " 1. in_port=1, priority 99",
            "    resubmit(,2)",
            " 2. No match.",
            "    drop",
            "Final flow: unchanged",
            "Datapath actions: drop",
        ],
    );
    let access = trace(&lab, "in_port=2");
    has_lines(
        &access,
        &[
            " 0. priority 0",
            "    resubmit(,1)",
            // The document was made with OpenFlow 1.0; since 1.1 "no tag" is a match on the present bit and the id.
            " 1. in_port=2,vlan_tci=0x0000/0x1fff, priority 99",
            "    mod_vlan_vid:20",
            "    resubmit(,2)",
            " 2. No match.",
            "    drop",
            "Datapath actions: drop",
        ],
    );
    let last = access.lines().find(|l| l.starts_with("Final flow: ")).unwrap();
    assert!(last.contains("in_port=2,dl_vlan=20,dl_vlan_pcp=0"), "{last}");
    has_lines(
        &trace(&lab, "in_port=2,dl_vlan=5"),
        &[" 0. priority 0", "    resubmit(,1)", " 1. priority 0", "    drop", "Datapath actions: drop"],
    );
}

#[test]
fn table_2_learns() {
    let lab = lab(&[TABLE_0, TABLE_1, TABLE_2]);
    has_lines(
        &trace(&lab, "in_port=1,dl_vlan=20,dl_src=50:00:00:00:00:01"),
        &[
            " 2. priority 32768",
            "    learn(table=10,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15])",
            "     -> table=10 vlan_tci=0x0014/0x0fff,dl_dst=50:00:00:00:00:01 priority=32768 actions=load:0x1->NXM_NX_REG0[0..15]",
            "    resubmit(,3)",
            " 3. No match.",
            "    drop",
        ],
    );
    assert!(lab.dump(10).is_empty(), "a trace has no effects");
    assert_eq!(lab.generate("in_port=1,dl_vlan=20,dl_src=50:00:00:00:00:01"), "drop");
    let learned = |port: u8| {
        format!("table:10 vlan_tci=0x0014/0x0fff,dl_dst=50:00:00:00:00:01 actions=load:{port:#x}->NXM_NX_REG0[0..15]")
    };
    let same = |text: String| text.replace("set_field:0x", "load:0x").replace("/0xffff->reg0", "->NXM_NX_REG0[0..15]");
    assert_eq!(lab.dump(10).into_iter().map(same).collect::<Vec<_>>(), [learned(1)]);
    assert_eq!(lab.generate("in_port=2,dl_src=50:00:00:00:00:01"), "drop");
    assert_eq!(lab.dump(10).into_iter().map(same).collect::<Vec<_>>(), [learned(2)], "learned again, on another port");
}

#[test]
fn table_3_looks_up_what_was_learned() {
    let lab = lab(&[TABLE_0, TABLE_1, TABLE_2, TABLE_3]);
    let there = "in_port=1,dl_vlan=20,dl_src=f0:00:00:00:00:01,dl_dst=90:00:00:00:00:01";
    has_lines(
        &trace(&lab, there),
        &[
            " 3. priority 50",
            "    resubmit(,10)",
            "    10. No match.",
            "            drop",
            "    resubmit(,4)",
            " 4. No match.",
            "    drop",
        ],
    );
    lab.generate(there);
    let back = "in_port=2,dl_src=90:00:00:00:00:01,dl_dst=f0:00:00:00:00:01";
    let text = trace(&lab, back);
    has_lines(
        &text,
        &[
            " 3. priority 50",
            "    resubmit(,10)",
            "    10. vlan_tci=0x0014/0x0fff,dl_dst=f0:00:00:00:00:01, priority 32768",
            "            load:0x1->NXM_NX_REG0[0..15]",
            "    resubmit(,4)",
            " 4. No match.",
            "    drop",
        ],
    );
    let last = text.lines().find(|l| l.starts_with("Final flow: ")).unwrap();
    assert!(last.contains("reg0=0x1,in_port=2,dl_vlan=20,dl_vlan_pcp=0"), "{last}");
    lab.generate(back);
    has_lines(
        &trace(&lab, there),
        &[
            "    10. vlan_tci=0x0014/0x0fff,dl_dst=90:00:00:00:00:01, priority 32768",
            "            load:0x2->NXM_NX_REG0[0..15]",
        ],
    );
}

#[test]
fn table_4_sends() {
    let all = [TABLE_0, TABLE_1, TABLE_2, TABLE_3, TABLE_4];
    let flooded = [
        ("in_port=1,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=30", "pop_vlan,3,4"),
        ("in_port=3,dl_dst=ff:ff:ff:ff:ff:ff", "push_vlan(vid=30,pcp=0),1,pop_vlan,4"),
        ("in_port=1,dl_dst=ff:ff:ff:ff:ff:ff", "drop"),
        ("in_port=1,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=55", "drop"),
        ("in_port=1,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=20", "pop_vlan,2"),
        ("in_port=2,dl_dst=ff:ff:ff:ff:ff:ff", "push_vlan(vid=20,pcp=0),1"),
        ("in_port=4,dl_dst=ff:ff:ff:ff:ff:ff", "push_vlan(vid=30,pcp=0),1,pop_vlan,3"),
        ("in_port=4,dl_dst=01:00:00:00:00:00", "push_vlan(vid=30,pcp=0),1,pop_vlan,3"),
        ("in_port=1,dl_dst=90:12:34:56:78:90,dl_vlan=20", "pop_vlan,2"),
        ("in_port=1,dl_dst=90:12:34:56:78:90,dl_vlan=30", "pop_vlan,3,4"),
    ];
    let lab = lab(&all);
    for (packet, actions) in flooded {
        assert_eq!(lab.trace(packet), actions, "{packet}");
    }
    let there = "in_port=1,dl_vlan=30,dl_src=10:00:00:00:00:01,dl_dst=20:00:00:00:00:01";
    assert_eq!(lab.generate(there), "pop_vlan,3,4");
    let back = "in_port=4,dl_src=20:00:00:00:00:01,dl_dst=10:00:00:00:00:01";
    assert_eq!(lab.generate(back), "push_vlan(vid=30,pcp=0),1");
    assert_eq!(lab.generate(there), "pop_vlan,4");
}
