//! `select` groups that are unrolled for hardware: flows by connection, in the buckets of the datapath's hash, where hardware takes
//! them, and as few flows as ever elsewhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{Dep, DpAction, HashAlgorithm, HashSpec, Resume, Slowpath, Translation};
use flow::text::{NoPorts, parse_flow, parse_group};
use flow::{DpPort, FieldId, FlowKey, Mask, OfPort, Value};
use pipeline::testing::Rng;
use pipeline::{Config, FailMode, GroupChange, Hardware, Pipeline, PortSpec, RuleChange};
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
            other => matches!(other, DpAction::Set { .. } | DpAction::DecTtl),
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
