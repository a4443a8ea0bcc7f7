//! A pipeline beside an independent reading of the same rules.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{BridgeId, DpAction, DropReason, Effect, Resume, Slowpath, Translation};
use flow::group::GroupSpec;
use flow::rule::RuleSpec;
use flow::{DpPort, FieldId, FlowKey, OfPort, Value, VlanTag};
pub use pipeline::testing::{Model, Outcome, TestPort, dp};
use pipeline::{Config, FailMode, GroupChange, Pipeline, PortSpec, RuleChange, Select, VlanMode};
use std::collections::HashMap;
use std::sync::Arc;

/// Execute datapath actions on a key.
pub fn execute(actions: &[DpAction], came: &FlowKey) -> Vec<(DpPort, FlowKey)> {
    let mut key = *came;
    key.in_port = 0.into();
    let mut sent = Vec::new();
    run(actions, &mut key, &mut sent);
    sent.sort_by_key(|(p, k)| (*p, *k.words()));
    sent
}

fn run(actions: &[DpAction], key: &mut FlowKey, sent: &mut Vec<(DpPort, FlowKey)>) {
    for action in actions {
        match action {
            DpAction::Output(port) => sent.push((*port, *key)),
            DpAction::Punt(_) => sent.push((DpPort(u32::MAX), *key)),
            DpAction::Clone(list) => run(list, &mut key.clone(), sent),
            DpAction::Set { field, value, mask } => {
                let old = key.get(*field).unwrap().0;
                assert_eq!(value.0 & !mask.0, 0, "{action}");
                let is_tag = matches!(field, FieldId::VlanVid | FieldId::VlanPcp);
                assert!(!is_tag || key.vlans[0].is_present(), "{action} without a tag");
                key.set(*field, Value(old & !mask.0 | value.0));
            }
            DpAction::PushVlan(tag) => {
                assert!(!key.vlans[1].is_present());
                key.vlans = [*tag, key.vlans[0]];
            }
            DpAction::PopVlan => {
                assert!(key.vlans[0].is_present());
                key.vlans = [key.vlans[1], VlanTag::default()];
            }
            DpAction::DecTtl => {
                if key.nw_ttl <= 1 {
                    break;
                }
                key.nw_ttl -= 1;
            }
            DpAction::Drop(_) => assert!(sent.is_empty()),
            other => panic!("{other} is not made"),
        }
    }
}

pub struct Bench {
    pub clock: Arc<VirtualClock>,
    pub pipeline: Pipeline,
    pub bridge: BridgeId,
    pub model: Model,
}

pub const PORTS: [OfPort; 5] = [OfPort(1), OfPort(2), OfPort(3), OfPort(4), OfPort(7)];

/// Five ports of all sorts.
pub fn ports() -> Vec<TestPort> {
    let port = |n: usize, vlan| TestPort { number: PORTS[n], vlan, flood: n != 3, up: true };
    vec![
        port(0, VlanMode::default()),
        port(1, VlanMode::Access(10)),
        port(2, VlanMode::Trunk([10, 20].into_iter().collect())),
        port(3, VlanMode::NativeUntagged { native: 20, trunks: [30].into_iter().collect() }),
        TestPort { number: PORTS[4], vlan: VlanMode::Access(20), flood: true, up: true },
    ]
}

pub fn bench(rules: Vec<RuleSpec>, ports: Vec<TestPort>) -> Bench {
    bench_with(Vec::new(), rules, ports)
}

pub fn bench_with(groups: Vec<GroupSpec>, rules: Vec<RuleSpec>, ports: Vec<TestPort>) -> Bench {
    let clock = Arc::new(VirtualClock::default());
    let pipeline = Pipeline::new(clock.clone(), Config::default());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
    for port in &ports {
        let spec = PortSpec {
            number: Some(port.number),
            vlan: port.vlan.clone(),
            flood: port.flood,
            up: port.up,
            ..PortSpec::new(format!("p{}", port.number), port.dp())
        };
        pipeline.add_port(bridge, spec).unwrap();
    }
    let add_group = |g: &GroupSpec| GroupChange::Add { bridge, group: g.clone() }.into();
    pipeline.change(&groups.iter().map(add_group).collect::<Vec<_>>()).unwrap();
    let adds: Vec<_> = rules.iter().map(|r| RuleChange::Add { bridge, rule: r.clone() }).collect();
    pipeline.apply(&adds).unwrap();
    Bench { clock, pipeline, bridge, model: Model { ports, rules, groups, ..Model::default() } }
}

impl Bench {
    pub fn translate(&self, in_port: OfPort, key: &FlowKey) -> Translation {
        let mut key = *key;
        key.in_port = dp(in_port).0.into();
        self.pipeline.translate(&Resume::default(), &key)
    }

    pub fn learn(&mut self, vlan: u16, mac: [u8; 6], port: OfPort) {
        let effect = Effect::FdbRefresh { bridge: self.bridge, vlan, mac, port: dp(port) };
        let hits = flow::dp::Hits { packets: 1, bytes: 60, used: flow::clock::Clock::now(&*self.clock) };
        self.pipeline.replay(&[effect], &hits);
        self.model.fdb.insert((vlan, mac), dp(port));
    }

    pub fn cookies(&self) -> HashMap<flow::dp::RuleId, u64> {
        let all = self.pipeline.dump(self.bridge, &Select::default()).unwrap();
        all.into_iter().map(|e| (e.id, e.spec.cookie)).collect()
    }

    /// What a translation says about this packet.
    pub fn outcome(&self, t: &Translation, key: &FlowKey, cookies: &HashMap<flow::dp::RuleId, u64>) -> Outcome {
        let mut out = Outcome { sent: execute(&t.actions, key), ..Outcome::default() };
        // Rules say no table: the oracle's order does.
        for effect in &t.effects {
            match effect {
                Effect::Rule(id) => out.hits.push((0, Some(cookies[id]))),
                Effect::TableMiss(_, table) => out.hits.push((*table, None)),
                Effect::FdbRefresh { vlan, mac, port, .. } => out.learned.push((*vlan, *mac, *port)),
                Effect::Learn(learned) => out.made.push((learned.rule.clone(), learned.limit)),
                Effect::Bucket { .. } => {}
                other => panic!("{other:?} is not made"),
            }
        }
        out
    }
}

pub fn drop_reason(t: &Translation) -> Option<DropReason> {
    match t.actions.as_slice() {
        [DpAction::Drop(reason)] => Some(*reason),
        _ => None,
    }
}
