//! Our pipeline with the rules, ports and addresses of a scene.

use super::generate::{Packet, Scene};
use flow::clock::{Time, VirtualClock};
use flow::dp::{BridgeId, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::text::NoPorts;
use flow::{Action, DpPort, OfPort, Value};
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange, Select, VlanMode, VlanSet};
use std::collections::HashMap;
use std::sync::Arc;

pub struct Ours {
    pub pipeline: Pipeline,
    pub bridge: BridgeId,
    pub specs: Vec<RuleSpec>,
    dp: HashMap<u16, u32>,
    rules: HashMap<RuleId, (u8, u64)>,
}

/// VLAN mode and flooding of the ports of the test bridge, by OpenFlow number.
pub fn port_modes() -> [(u16, VlanMode, bool); 5] {
    let set = |ids: &[u16]| ids.iter().copied().collect::<VlanSet>();
    [
        (1, VlanMode::default(), true),
        (2, VlanMode::Access(10), true),
        (3, VlanMode::Trunk(set(&[10, 20])), true),
        (4, VlanMode::NativeUntagged { native: 20, trunks: set(&[30]) }, false),
        (7, VlanMode::NativeTagged { native: 20, trunks: set(&[10]) }, true),
    ]
}

/// A port's VLAN mode in columns of the Port table of ovs-vswitchd.conf.db(5).
pub fn columns(mode: &VlanMode) -> Vec<String> {
    let trunks = |set: &VlanSet| {
        let ids: Vec<String> = set.iter().map(|v| v.to_string()).collect();
        if ids.len() == 4096 { Vec::new() } else { vec![format!("trunks={}", ids.join(","))] }
    };
    match mode {
        VlanMode::Access(tag) => vec![format!("tag={tag}")],
        VlanMode::Trunk(set) => trunks(set),
        VlanMode::NativeTagged { native, trunks: set } => {
            [vec![format!("tag={native}"), "vlan_mode=native-tagged".to_owned()], trunks(set)].concat()
        }
        VlanMode::NativeUntagged { native, trunks: set } => {
            [vec![format!("tag={native}"), "vlan_mode=native-untagged".to_owned()], trunks(set)].concat()
        }
    }
}

impl Ours {
    /// A bridge whose ports have the given datapath numbers.
    pub fn new(ports: &[(u16, VlanMode, bool)], dp: &[(u16, u32)]) -> Ours {
        let pipeline = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
        let bridge = pipeline.add_bridge("br0", FailMode::Secure).expect("a bridge");
        let dp: HashMap<u16, u32> = dp.iter().copied().collect();
        for (number, vlan, flood) in ports {
            let spec = PortSpec::new(format!("p{number}"), DpPort(dp[number]));
            let spec = PortSpec { number: Some(OfPort(*number)), vlan: vlan.clone(), flood: *flood, ..spec };
            pipeline.add_port(bridge, spec).expect("a port");
        }
        if let Some(local) = dp.get(&OfPort::LOCAL.0) {
            let spec = PortSpec { number: Some(OfPort::LOCAL), ..PortSpec::new("br0", DpPort(*local)) };
            pipeline.add_port(bridge, spec).expect("the bridge's own port");
        }
        Ours { pipeline, bridge, specs: Vec::new(), dp, rules: HashMap::new() }
    }

    /// Add the rules of these texts.
    pub fn add_rules<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        let spec = |text: &str| flow::text::parse_flow(text, &NoPorts).unwrap_or_else(|e| panic!("{text}: {e}"));
        let specs: Vec<RuleSpec> = texts.map(spec).collect();
        let adds: Vec<RuleChange> =
            specs.iter().map(|rule| RuleChange::Add { bridge: self.bridge, rule: rule.clone() }).collect();
        self.pipeline.apply(&adds).expect("rules that Open vSwitch took");
        self.specs.extend(specs);
        let all = self.pipeline.dump(self.bridge, &Select::default()).expect("a dump");
        self.rules = all.into_iter().map(|e| (e.id, (e.spec.table, e.spec.cookie))).collect();
    }

    /// Ours for a scene.
    pub fn of(scene: &Scene, dp: &[(u16, u32)]) -> Ours {
        let mut ours = Ours::new(&port_modes(), dp);
        let texts: Vec<String> = scene.rules.iter().map(super::generate::Rule::text).collect();
        ours.add_rules(texts.iter().map(String::as_str));
        for (port, vlan, mac) in &scene.stations {
            let mac = Value::from(*mac).mac();
            let effect = Effect::FdbRefresh { bridge: ours.bridge, vlan: *vlan, mac, port: DpPort(ours.dp[port]) };
            ours.pipeline.replay(&[effect], &Hits { packets: 1, bytes: 60, used: Time(0) });
        }
        ours
    }

    pub fn dp(&self, of: u16) -> u32 {
        self.dp[&of]
    }

    pub fn translate(&self, packet: &Packet) -> Translation {
        let mut key = packet.key;
        key.in_port = self.dp(packet.in_port).into();
        self.pipeline.translate(&Resume::default(), &key)
    }

    /// Table and cookie of the rules that a translation hit; `None`: no rule.
    pub fn hits(&self, t: &Translation) -> Vec<(u8, Option<u64>)> {
        let hit = |effect: &Effect| match effect {
            Effect::Rule(id) => self.rules.get(id).map(|(table, cookie)| (*table, Some(*cookie))),
            Effect::TableMiss(_, table) => Some((*table, None)),
            _ => None,
        };
        t.effects.iter().filter_map(hit).collect()
    }

    /// How many tags the rules that were hit push.
    pub fn pushes(&self, hits: &[(u8, Option<u64>)]) -> usize {
        let hit = |r: &&RuleSpec| hits.contains(&(r.table, Some(r.cookie)));
        let actions = self.specs.iter().filter(hit).flat_map(|r| &r.actions);
        actions.filter(|a| matches!(a, Action::PushVlan(_) | Action::ModVlanVid(_) | Action::ModVlanPcp(_))).count()
    }
}
