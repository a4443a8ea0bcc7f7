//! `select` groups that are unrolled for hardware: flows by connection, in the buckets of the datapath's hash, where hardware takes
//! them, and as few flows as ever elsewhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{Dep, DpAction, HashAlgorithm, HashSpec, RecircId, Resume, Slowpath, Translation};
use flow::text::{NoPorts, parse_flow, parse_group};
use flow::{DpPort, FieldId, FlowKey, Mask, OfPort, Value};
use pipeline::testing::Rng;
use pipeline::{
    Config, FailMode, GroupChange, Hardware, MirrorOutput, MirrorSpec, Pipeline, PortKind, PortSpec, RuleChange,
};
use std::sync::Arc;

/// Takes flows that send to ports up to this one, from all ports but the last.
#[derive(Debug)]
struct Reach(u32);

impl Hardware for Reach {
    fn switches(&self, from: DpPort) -> bool {
        from != DpPort(5)
    }

    fn takes(&self, _: &FlowKey, _: &Mask, actions: &[DpAction]) -> bool {
        actions.iter().all(|action| match action {
            DpAction::Output(port) => port.0 <= self.0,
            other => matches!(other, DpAction::Set { .. } | DpAction::DecTtl | DpAction::Drop(_)),
        })
    }
}

struct Rig {
    p: Pipeline,
}

impl Rig {
    fn new(group: &str, rules: &[&str]) -> Rig {
        let p = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
        let bridge = p.add_bridge("br0", FailMode::Secure).unwrap();
        for n in 1..=5u16 {
            let spec = PortSpec { number: Some(OfPort(n)), ..PortSpec::new(format!("p{n}"), DpPort(n.into())) };
            p.add_port(bridge, spec).unwrap();
        }
        let group = parse_group(group, &NoPorts).unwrap();
        p.change(&[GroupChange::Add { bridge, group }.into()]).unwrap();
        let add = |rule: &&str| RuleChange::Add { bridge, rule: parse_flow(rule, &NoPorts).unwrap() };
        p.apply(&rules.iter().map(add).collect::<Vec<_>>()).unwrap();
        Rig { p }
    }

    fn first(&self, key: &FlowKey) -> Translation {
        self.p.translate(&Resume::default(), key)
    }
}

fn packet(rng: &mut Rng) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.in_port = 1.into();
    key.eth_type = 0x0800.into();
    key.nw_ttl = 64;
    key.nw_proto = [6, 17, 132, 1][rng.below(4)];
    (key.ipv4_src, key.ipv4_dst) = ((rng.below(1 << 16) as u32).into(), (rng.below(1 << 16) as u32).into());
    (key.tp_src, key.tp_dst) = ((rng.below(1 << 8) as u16).into(), (rng.below(1 << 8) as u16).into());
    key
}

const RULES: [&str; 2] = ["ip,actions=dec_ttl,mod_nw_dst:10.0.0.1,goto_table:1", "table=1,actions=group:1"];
const GROUP: &str =
    "group_id=1,type=select,bucket=output:2,bucket=weight:3,mod_dl_dst:02:00:00:00:00:03,output:3,bucket=output:4";

fn is_joined(t: &Translation) -> bool {
    t.actions.iter().any(|a| matches!(a, DpAction::Hash(_)))
}

/// What the datapath does with a packet, by coming back if it has to.
fn outcome(rig: &Rig, key: &FlowKey) -> Vec<DpAction> {
    let mut actions: Vec<DpAction> = rig.first(key).actions.into_vec();
    if let [.., DpAction::Hash(spec), DpAction::Recirc(id)] = actions[..] {
        let mut key = *key;
        for action in &actions {
            match action {
                DpAction::Set { field, value, mask } => {
                    let old = key.get(*field).unwrap().0;
                    key.set(*field, Value(old & !mask.0 | value.0));
                }
                DpAction::DecTtl => key.nw_ttl -= 1,
                _ => {}
            }
        }
        (key.recirc_id, key.dp_hash) = (id.0.into(), spec.of(&key).into());
        actions.truncate(actions.len() - 2);
        actions.extend(rig.p.translate(&Resume { recirc_id: id }, &key).actions);
    }
    // Changes of different fields may come in any order.
    actions.sort_by_key(|action| (matches!(action, DpAction::Output(_)), action.to_string()));
    actions
}

#[test]
fn the_switch_chooses_the_bucket_that_the_datapath_would() {
    for group in [GROUP.to_owned(), GROUP.replace("select", "select,selection_method=dp_hash,selection_method_param=7")]
    {
        let (with, without) = (Rig::new(&group, &RULES), Rig::new(&group, &RULES));
        with.p.set_hardware(Arc::new(Reach(4)));
        let mut rng = Rng::new(1);
        let mut ports = std::collections::BTreeSet::new();
        for i in 0..500 {
            let key = packet(&mut rng);
            let t = with.first(&key);
            assert!(!is_joined(&t) && is_joined(&without.first(&key)));
            assert_eq!(outcome(&with, &key), outcome(&without, &key), "packet {i}: {key:?}");
            ports.extend(
                t.actions.iter().filter_map(|a| if let DpAction::Output(port) = a { Some(*port) } else { None }),
            );
            // All packets that the mask covers have this translation.
            let mut other = packet(&mut rng);
            for ((o, k), m) in other.words_mut().iter_mut().zip(key.words()).zip(t.mask.0.words()) {
                *o = (u64::from_ne_bytes(*o) & !u64::from_ne_bytes(*m)
                    | u64::from_ne_bytes(*k) & u64::from_ne_bytes(*m))
                .to_ne_bytes();
            }
            assert_eq!(with.first(&other), t, "packet {i}: {key:?} {other:?}");
        }
        assert_eq!(ports.len(), 3, "each bucket is somebody's");
    }
}

#[test]
fn connections_share_a_flow_where_hardware_takes_none() {
    let rig = Rig::new(GROUP, &RULES);
    let mut rng = Rng::new(2);
    let masks = |rig: &Rig, rng: &mut Rng| -> Vec<Translation> {
        let mut all: Vec<Translation> = (0..200).map(|_| rig.first(&packet(rng))).collect();
        all.dedup_by_key(|t| t.mask);
        all
    };
    assert!(masks(&rig, &mut rng).len() == 1, "without hardware one mask");
    // A bucket that can be taken: each connection for itself, in hardware or not.
    rig.p.set_hardware(Arc::new(Reach(2)));
    let all: Vec<Translation> = (0..200).map(|_| rig.first(&packet(&mut rng))).collect();
    let (joined, unrolled): (Vec<_>, Vec<_>) = all.iter().partition(|t| is_joined(t));
    assert!(joined.len() > 100 && !unrolled.is_empty(), "{} {}", joined.len(), unrolled.len());
    let exact = |t: &Translation| t.mask.0.get(FieldId::Ipv4Src) == Some(Value::ones(32));
    assert!(all.iter().all(exact), "no flow takes in another connection");
    // None: one flow for each protocol.
    rig.p.set_hardware(Arc::new(Reach(1)));
    for _ in 0..200 {
        let t = rig.first(&packet(&mut rng));
        assert!(is_joined(&t) && t.mask.0.ipv4_src.get() == 0 && t.mask.0.tp_src.get() == 0, "{t:?}");
    }
    // From a port of no device: as without hardware.
    rig.p.set_hardware(Arc::new(Reach(4)));
    let key = FlowKey { in_port: 5.into(), ..packet(&mut rng) };
    let t = rig.first(&key);
    assert!(is_joined(&t) && t.mask.0.nw_proto == 0);
    // What was sent before, or is tagged, stays whole.
    for before in ["output:4,group:1", "push_vlan:0x8100,group:1"] {
        let rig = Rig::new(GROUP, &[&format!("ip,actions={before}")]);
        rig.p.set_hardware(Arc::new(Reach(4)));
        assert!(is_joined(&rig.first(&packet(&mut rng))), "{before}");
    }
}

#[test]
fn packets_whose_ttl_runs_out_have_flows_of_their_own() {
    let rig = Rig::new(GROUP, &RULES);
    rig.p.set_hardware(Arc::new(Reach(4)));
    let mut rng = Rng::new(3);
    let (dying, living) = (FlowKey { nw_ttl: 1, ..packet(&mut rng) }, packet(&mut rng));
    let t = rig.first(&dying);
    assert!(is_joined(&t) && t.mask.0.ipv4_src.get() == 0);
    assert_ne!(living.masked(&t.mask).nw_ttl, dying.masked(&t.mask).nw_ttl);
    assert!(!is_joined(&rig.first(&living)));
}

#[test]
fn flows_that_asked_are_told_when_hardware_is_another_unless_they_may_stay() {
    let rig = Rig::new(GROUP, &RULES);
    let key = packet(&mut Rng::new(4));
    let mut changes = Vec::new();
    rig.p.take_changes(&mut changes);
    assert!(rig.first(&key).deps.contains(&Dep::Hardware));
    for (tell, hardware) in [(true, Reach(4)), (false, Reach(1)), (true, Reach(4))] {
        changes.clear();
        if tell {
            rig.p.set_hardware(Arc::new(hardware));
        } else {
            rig.p.set_hardware_for_new(Arc::new(hardware));
        }
        rig.p.take_changes(&mut changes);
        assert_eq!(changes.iter().any(|c| c.dep == Dep::Hardware), tell);
        let t = rig.first(&key);
        assert!(t.deps.contains(&Dep::Hardware));
        assert_eq!(is_joined(&t), !tell);
    }
    let spec = HashSpec { algorithm: HashAlgorithm::SymmetricL4, basis: 0 };
    rig.p.set_hardware(Arc::new(Reach(0)));
    assert!(rig.first(&key).actions.contains(&DpAction::Hash(spec)));
}

/// Takes all that a device could: copies, too.
#[derive(Debug)]
struct Everything;

impl Hardware for Everything {
    fn switches(&self, _: DpPort) -> bool {
        true
    }

    fn takes(&self, _: &FlowKey, _: &Mask, actions: &[DpAction]) -> bool {
        actions.iter().all(|action| match action {
            DpAction::Clone(list) => self.takes(&FlowKey::ZERO, &Mask::ANY, list),
            other => matches!(
                other,
                DpAction::Output(_)
                    | DpAction::Set { .. }
                    | DpAction::DecTtl
                    | DpAction::PushVlan(_)
                    | DpAction::PopVlan
            ),
        })
    }
}

/// Two bridges with a cable between their ports 9; the datapath's ports of the second are 21 to 24. Port 4 takes copies of what goes
/// out of ports 2 and 3.
fn cabled(groups: &[&str], rules: &[&str], second: &[&str], mirror: bool) -> Pipeline {
    let p = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridges = ["br0", "br1"].map(|name| p.add_bridge(name, FailMode::Secure).unwrap());
    for (i, bridge) in bridges.into_iter().enumerate() {
        for n in 1..=4u16 {
            let dp = DpPort(20 * i as u32 + u32::from(n));
            let spec = PortSpec { number: Some(OfPort(n)), ..PortSpec::new(format!("p{i}-{n}"), dp) };
            p.add_port(bridge, spec).unwrap();
        }
        let kind = PortKind::Patch { peer: format!("cable{}", 1 - i) };
        let cable = PortSpec { number: Some(OfPort(9)), kind, ..PortSpec::new(format!("cable{i}"), DpPort(0)) };
        p.add_port(bridge, cable).unwrap();
        for group in groups {
            let group = parse_group(group, &NoPorts).unwrap_or_else(|e| panic!("{group}: {e}"));
            p.change(&[GroupChange::Add { bridge, group }.into()]).unwrap();
        }
        let rules = if i == 0 { rules } else { second };
        for rule in rules {
            // Some set fields that their packets do not have.
            if let Ok(rule) = parse_flow(rule, &NoPorts) {
                let _ = p.apply(&[RuleChange::Add { bridge, rule }]);
            }
        }
    }
    if mirror {
        let spec = MirrorSpec {
            name: "m".into(),
            select_all: false,
            select_src: [].into(),
            select_dst: [OfPort(2), OfPort(3)].into(),
            select_vlan: None,
            output: MirrorOutput::Port(OfPort(4)),
            snaplen: 0,
        };
        p.add_mirror(bridges[0], spec).unwrap();
    }
    p
}

/// What becomes of a packet, in no order: copies, drops, and what counts.
#[derive(Debug, Default, PartialEq)]
struct Fate {
    sent: Vec<String>,
    effects: Vec<String>,
}

impl Fate {
    fn of(p: &Pipeline, key: &FlowKey) -> Fate {
        let mut fate = Fate::default();
        fate.pass(p, key);
        fate.sent.sort();
        fate.effects.sort();
        fate
    }

    fn pass(&mut self, p: &Pipeline, key: &FlowKey) {
        let t = p.translate(&Resume { recirc_id: RecircId(key.recirc_id.get()) }, key);
        self.effects.extend(t.effects.iter().map(|e| format!("{e:?}")));
        self.list(p, *key, &t.actions);
    }

    fn list(&mut self, p: &Pipeline, mut key: FlowKey, actions: &[DpAction]) {
        for action in actions {
            match action {
                DpAction::Set { field, value, mask } => {
                    let old = key.get(*field).unwrap_or_default().0;
                    key.set(*field, Value(old & !mask.0 | value.0));
                }
                DpAction::DecTtl if key.nw_ttl <= 1 => {
                    self.sent.push("expired".into());
                    return;
                }
                DpAction::DecTtl => key.nw_ttl -= 1,
                DpAction::PushVlan(tag) => key.vlans = [*tag, key.vlans[0]],
                DpAction::PopVlan => key.vlans = [key.vlans[1], Default::default()],
                DpAction::Hash(spec) => key.dp_hash = spec.of(&key).into(),
                DpAction::Recirc(id) => self.pass(p, &FlowKey { recirc_id: id.0.into(), ..key }),
                DpAction::Clone(list) => self.list(p, key, list),
                DpAction::Output(port) => {
                    let mut frame = key;
                    (frame.dp_hash, frame.recirc_id) = (0.into(), 0.into());
                    self.sent.push(format!("{port} {frame:?}"));
                }
                other => self.sent.push(format!("{other}")),
            }
        }
    }
}

/// The fates of some packets with and without hardware.
fn compare(groups: &[&str], rules: &[&str], second: &[&str], mirror: bool) {
    let rigs = [(); 2].map(|()| cabled(groups, rules, second, mirror));
    rigs[1].set_hardware(Arc::new(Everything));
    let mut rng = Rng::new(5);
    for _ in 0..20 {
        let key = packet(&mut rng);
        let [without, with] = rigs.each_ref().map(|p| Fate::of(p, &key));
        assert_eq!(
            with,
            without,
            "{groups:?} {rules:?} {second:?} {mirror}: {:?}",
            rigs[1].translate(&Resume::default(), &key).actions
        );
    }
}

/// Groups of several sorts; the second sends nowhere.
const EACH: [&str; 5] = [
    "group_id=1,type=select,bucket=output:2,bucket=output:3",
    "group_id=2,type=select,bucket=output:77",
    "group_id=3,type=all,bucket=group:1,bucket=output:3",
    "group_id=4,type=select,bucket=resubmit(,2),bucket=dec_ttl,output:9",
    "group_id=5,type=select,selection_method=dp_hash,selection_method_param=7,bucket=mod_dl_dst:02:00:00:00:00:03,output:2,bucket=output:3",
];

#[test]
fn copies_that_would_have_come_back_leave_nothing_behind() {
    // A copy that goes nowhere, before one that goes somewhere.
    compare(&EACH, &["actions=clone(group:2),group:1"], &[], false);
    // The end of the copy is not the packet's, in its action set neither.
    compare(&EACH, &["actions=clone(group:1,exit),output:3"], &[], false);
    compare(&EACH, &["actions=clone(resubmit(,1)),output:3", "table=1,actions=write_actions(group:1)"], &[], false);
    // What is mirrored of the copy is mirrored of the packet, too.
    compare(&EACH, &["actions=clone(group:1),output:3"], &[], true);
    compare(&EACH, &["actions=group:3"], &[], true);
    // What is learned behind it goes with its rule, whichever way the packet took.
    let learn = "actions=group:1,learn(table=3,delete_learned,output:NXM_OF_IN_PORT[])";
    compare(&EACH, &[learn], &[], false);
    // What the action set writes is executed by a packet that came back.
    compare(&EACH, &["ip,actions=write_actions(group:4)", "table=2,actions=write_actions(output:3)"], &[], false);
    compare(&EACH, &["ip,actions=output:9"], &["ip,actions=group:4", "table=2,actions=group:5"], true);
}

/// `UNROLL_CASES=N` cases from `UNROLL_FIRST=N` on.
#[test]
fn random_pipelines_are_the_same() {
    let first: u64 = std::env::var("UNROLL_FIRST").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let cases: u64 = std::env::var("UNROLL_CASES").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    let mut unrolled = 0;
    for seed in first..first + cases {
        let mut rng = Rng::new(seed);
        let atoms = [
            "output:2",
            "output:3",
            "output:4",
            "output:9",
            "output:77",
            "in_port",
            "dec_ttl",
            "mod_dl_dst:02:00:00:00:00:03",
            "mod_nw_dst:10.0.0.1",
            "mod_tp_dst:7",
            "mod_vlan_vid:5",
            "push_vlan:0x8100",
            "push_vlan:0x8100,pop_vlan",
            "resubmit(,1)",
            "resubmit(,2)",
            "group:1",
            "group:2",
            "group:3",
            "group:1",
            "group:2",
            "clone(group:1)",
            "clone(group:2,exit)",
            "clone(dec_ttl,group:1)",
            "clone(output:2)",
            "clone(group:1,output:3)",
            "load:5->NXM_NX_REG0[]",
            "push:NXM_OF_IP_SRC[]",
            "pop:NXM_NX_REG1[]",
            "exit",
            "load:2->NXM_OF_IN_PORT[]",
            "move:NXM_NX_DP_HASH[0..7]->NXM_NX_REG0[0..7]",
            "mod_nw_ttl:2",
            "output:NXM_NX_REG0[]",
            "normal",
            "resubmit(3,2)",
            "learn(table=3,NXM_OF_IN_PORT[],output:NXM_OF_IN_PORT[])",
        ];
        let list = |rng: &mut Rng| -> String {
            let n = 1 + rng.below(4);
            let mut all: Vec<&str> = (0..n).map(|_| atoms[rng.below(atoms.len())]).collect();
            if rng.percent(15) {
                all.push("write_actions(dec_ttl,group:1)");
            } else if rng.percent(10) {
                all.push("write_actions(group:2)");
            }
            all.join(",")
        };
        let buckets = [
            "output:2",
            "output:3",
            "dec_ttl,output:3",
            "output:9",
            "resubmit(,1)",
            "resubmit(,2)",
            "mod_dl_dst:02:00:00:00:00:03,output:2",
            "mod_dl_dst:02:00:00:00:00:09,group:3",
            "output:77",
            "group:2",
            "mod_vlan_vid:7,output:3",
            "group:3",
        ];
        let group = |rng: &mut Rng, id: u32| -> String {
            let kind =
                ["select", "select", "select,selection_method=dp_hash,selection_method_param=7", "all"][rng.below(4)];
            let mut text = format!("group_id={id},type={kind}");
            for _ in 0..1 + rng.below(4) {
                let b = loop {
                    let b = buckets[rng.below(buckets.len())];
                    if id == 1 || !b.contains("group") && id == 3 || id == 2 && !b.contains("group:2") {
                        break b;
                    }
                };
                let weight = if kind == "all" { String::new() } else { format!("weight:{},", rng.below(4)) };
                text += &format!(",bucket={weight}{b}");
            }
            text
        };
        let groups = [group(&mut rng, 3), group(&mut rng, 2), group(&mut rng, 1)];
        let table = |rng: &mut Rng| -> Vec<String> {
            let mut out = vec![
                format!("priority=0,actions={}", list(rng)),
                format!("priority=0,ip,actions={}", list(rng)),
                format!("priority=1,tcp,actions={}", list(rng)),
            ];
            let matches = [
                "tcp",
                "udp",
                "ip,nw_src=0.0.128.0/0.0.128.0",
                "dp_hash=0/1",
                "tcp,tp_dst=7",
                "ip,nw_ttl=1",
                "in_port=2",
                "dl_dst=02:00:00:00:00:03",
            ];
            for (i, m) in matches.iter().enumerate() {
                if rng.percent(25) {
                    out.push(format!("priority={},{m},actions={}", i + 1, list(rng)));
                }
            }
            for t in 1..=2 {
                out.push(format!(
                    "table={t},priority=0,{}actions={}",
                    ["", "ip,", "tcp,", "udp,"][rng.below(4)],
                    list(rng)
                        .replace("resubmit(,1)", "output:2")
                        .replace(if t == 2 { "resubmit(,2)" } else { "!" }, "output:3")
                ));
                for (i, m) in matches.iter().enumerate() {
                    if rng.percent(25) {
                        out.push(format!(
                            "table={t},priority={},{m},actions={}",
                            i + 1,
                            list(rng).replace("resubmit(,1)", "output:2")
                        ));
                    }
                }
            }
            out
        };
        let (one, two) = (table(&mut rng), table(&mut rng));
        let mirror = rng.percent(30);
        let [g, a, b] = [&groups[..], &one, &two].map(|v| v.iter().map(String::as_str).collect::<Vec<_>>());
        let rigs = [(); 2].map(|()| cabled(&g, &a, &b, mirror));
        if rng.percent(70) {
            rigs[1].set_hardware(Arc::new(Everything));
        } else {
            rigs[1].set_hardware(Arc::new(Reach(4)));
        }
        for _ in 0..30 {
            let mut key = packet(&mut rng);
            key.nw_ttl = [64, 64, 64, 3, 2, 1][rng.below(6)];
            match rng.below(10) {
                0 => key.nw_frag = 1,
                1 => (key.nw_frag, key.tp_src, key.tp_dst) = (3, 0.into(), 0.into()),
                2 => {
                    (key.eth_type, key.nw_ttl, key.nw_proto) = (0x0806.into(), 0, 1);
                    (key.tp_src, key.tp_dst) = (0.into(), 0.into());
                }
                _ => {}
            }
            let t = rigs[1].translate(&Resume::default(), &key);
            unrolled +=
                u32::from(t.actions[..] != rigs[0].translate(&Resume::default(), &key).actions[..] && !is_joined(&t));
            let [without, with] = rigs.each_ref().map(|p| Fate::of(p, &key));
            assert_eq!(with, without, "seed {seed}, mirror {mirror}: {g:#?} {a:#?} {b:#?} {key:?}");
        }
    }
    assert!(u64::from(unrolled) > cases, "hardly any group was unrolled: {unrolled}");
}

/// Each pass may nest as deep as it may; one pass for both is too long, and is not taken for a drop.
#[test]
fn a_way_that_is_too_long_for_one_pass_is_gone_in_two() {
    let step = |n: u32| format!("reg0={n},ip,actions=load:{}->NXM_NX_REG0[],resubmit(,0)", n + 1);
    let mut rules: Vec<String> = (0..80).filter(|n| *n != 40).map(step).collect();
    rules.extend(["reg0=40,ip,actions=group:1".to_owned(), "reg0=80,ip,actions=output:2".to_owned()]);
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let group = "group_id=1,type=select,bucket=load:41->NXM_NX_REG0[],resubmit(,0)";
    let (with, without) = (Rig::new(group, &rules), Rig::new(group, &rules));
    with.p.set_hardware(Arc::new(Reach(4)));
    let key = packet(&mut Rng::new(5));
    assert_eq!(outcome(&without, &key), [DpAction::Output(DpPort(2))]);
    assert_eq!(outcome(&with, &key), [DpAction::Output(DpPort(2))]);
    assert!(is_joined(&with.first(&key)));
}
