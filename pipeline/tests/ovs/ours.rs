//! Our pipeline with the bridges, rules, groups and addresses of a scene.

use super::normalise::{self, Event};
use super::scene::{MIRRORS, Packet, Rule, Scene, Setup};
use flow::action::PacketInReason;
use flow::clock::{Clock, VirtualClock};
use flow::dp::{BridgeId, Cacheable, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use flow::group::{Bucket, GroupKind, GroupSpec, Selection};
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use flow::rule::RuleSpec;
use flow::text::NoPorts;
use flow::{Action, DpPort, FieldId, FlowKey, OfPort, Value};
use pipeline::{
    Change, Config, FailMode, GroupChange, MeterChange, MirrorOutput, MirrorSpec, Pipeline, PortSpec, RuleChange,
    Select, VlanMode, VlanSet,
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub struct Ours {
    pub pipeline: Pipeline,
    clock: Arc<VirtualClock>,
    pub bridges: Vec<BridgeId>,
    /// Rules of the first bridge.
    pub specs: Vec<RuleSpec>,
    /// Datapath numbers of the first bridge's ports.
    dp: HashMap<u16, u32>,
    rules: HashMap<RuleId, (u8, u64)>,
}

/// One pass of a packet: what was translated, and what comes of it.
#[derive(Clone, Debug)]
pub struct Pass {
    pub key: FlowKey,
    pub translation: Translation,
    pub events: Vec<Event>,
}

/// OpenFlow and datapath numbers of the ports of a bridge.
pub type DpPorts = Vec<(u16, u32)>;

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
    /// Bridges whose ports have the given datapath numbers; one of `ports` for each.
    pub fn new(setup: Setup, ports: &[Vec<(u16, VlanMode, bool)>], dp: &[DpPorts]) -> Ours {
        let clock = Arc::new(VirtualClock::default());
        let pipeline = Pipeline::new(clock.clone(), Config::default());
        let mut bridges = Vec::new();
        for (i, ports) in ports.iter().enumerate() {
            let name = setup.bridges()[i];
            let bridge = pipeline.add_bridge(name, FailMode::Secure).expect("a bridge");
            bridges.push(bridge);
            let dp: HashMap<u16, u32> = dp[i].iter().copied().collect();
            for (number, vlan, flood) in ports {
                let spec = PortSpec::new(format!("{name}p{number}"), DpPort(dp[number]));
                let spec = PortSpec { number: Some(OfPort(*number)), vlan: vlan.clone(), flood: *flood, ..spec };
                pipeline.add_port(bridge, spec).expect("a port");
            }
            let spec = PortSpec { number: Some(OfPort::LOCAL), ..PortSpec::new(name, DpPort(dp[&OfPort::LOCAL.0])) };
            pipeline.add_port(bridge, spec).expect("the bridge's own port");
            if setup == Setup::Patched {
                let peer = setup.bridges()[1 - i];
                let spec = PortSpec::patch(format!("{name}patch"), format!("{peer}patch"));
                let spec = PortSpec { number: Some(OfPort(super::scene::PATCH)), ..spec };
                pipeline.add_port(bridge, spec).expect("a patch port");
            }
        }
        if setup == Setup::Mirrored {
            for (i, (src, dst, vlans, output)) in MIRRORS.iter().enumerate() {
                let set = |ports: &[u16]| ports.iter().copied().map(OfPort).collect();
                let output = match output {
                    Ok(port) => MirrorOutput::Port(OfPort(*port)),
                    Err(vlan) => MirrorOutput::Vlan(*vlan),
                };
                let spec = MirrorSpec {
                    name: format!("m{i}"),
                    select_all: false,
                    select_src: set(src),
                    select_dst: set(dst),
                    select_vlan: (!vlans.is_empty()).then(|| vlans.iter().copied().collect()),
                    output,
                    snaplen: 0,
                };
                pipeline.add_mirror(bridges[0], spec).expect("a mirror");
            }
        }
        let dp = dp[0].iter().copied().collect();
        Ours { pipeline, clock, bridges, specs: Vec::new(), dp, rules: HashMap::new() }
    }

    /// Add rules to a bridge.
    pub fn add_rules<'t>(&mut self, bridge: usize, texts: impl Iterator<Item = &'t str>) {
        let spec = |text: &str| flow::text::parse_flow(text, &NoPorts).unwrap_or_else(|e| panic!("{text}: {e}"));
        for text in texts {
            let rule = spec(text);
            let add = RuleChange::Add { bridge: self.bridges[bridge], rule: rule.clone() };
            self.pipeline.apply(&[add]).unwrap_or_else(|e| panic!("{text}, which Open vSwitch took: {e}"));
            if bridge == 0 {
                self.specs.push(rule);
            }
        }
        self.number_rules();
    }

    fn number_rules(&mut self) {
        for bridge in &self.bridges {
            let all = self.pipeline.dump(*bridge, &Select::default()).expect("a dump");
            self.rules.extend(all.into_iter().map(|e| (e.id, (e.spec.table, e.spec.cookie))));
        }
    }

    /// Ours for a scene.
    pub fn of(scene: &Scene, dp: &[DpPorts]) -> Ours {
        let bridges = 0..scene.setup.bridges().len();
        let ports: Vec<_> = bridges.clone().map(|b| scene.setup.ports(b)).collect();
        let mut ours = Ours::new(scene.setup, &ports, dp);
        let bridge = ours.bridges[0];
        let mut changes: Vec<Change> =
            meters().into_iter().map(|meter| MeterChange::Add { bridge, meter }.into()).collect();
        changes.extend(scene.groups.iter().map(|g| Change::from(GroupChange::Add { bridge, group: group_spec(g) })));
        ours.pipeline.change(&changes).expect("groups and meters that Open vSwitch took");
        for b in bridges {
            let texts: Vec<String> = scene.rules.iter().filter(|r| r.bridge == b).map(Rule::text).collect();
            ours.add_rules(b, texts.iter().map(String::as_str));
        }
        for (port, vlan, mac) in &scene.stations {
            ours.pipeline.fdb_add(bridge, *vlan, Value::from(*mac).mac(), OfPort(*port)).expect("an address");
        }
        ours
    }

    pub fn dp(&self, of: u16) -> u32 {
        self.dp[&of]
    }

    /// What becomes of a packet, pass by pass, in the order in which it comes back. `first`: the translation of another packet to
    /// use for its first pass.
    pub fn passes(&self, packet: &Packet, first: Option<&Translation>) -> Vec<Pass> {
        let mut key = packet.key;
        key.in_port = self.dp(packet.in_port).into();
        let mut passes = Vec::new();
        let mut queue = VecDeque::from([key]);
        while let Some(key) = queue.pop_front() {
            assert!(passes.len() < 64, "{packet:?} comes back without end");
            let at = Resume { recirc_id: flow::dp::RecircId(key.recirc_id.get()) };
            let translation = match first.filter(|_| passes.is_empty()) {
                Some(t) => t.clone(),
                None => self.pipeline.translate(&at, &key),
            };
            let (events, returns) = normalise::ours(&translation.actions, &key);
            queue.extend(returns);
            passes.push(Pass { key, translation, events });
        }
        passes
    }

    /// Let a packet have come: count, learn.
    pub fn receive(&mut self, packet: &Packet) {
        self.clock.advance(std::time::Duration::from_millis(1));
        for pass in self.passes(packet, None) {
            self.pipeline.replay(&pass.translation.effects, &Hits { packets: 1, bytes: 60, used: self.clock.now() });
        }
        self.number_rules();
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

    /// Rules that a translation would make.
    pub fn learned(t: &Translation) -> Vec<RuleSpec> {
        let learned = |e: &Effect| if let Effect::Learn(l) = e { Some(l.rule.clone()) } else { None };
        t.effects.iter().filter_map(learned).collect()
    }

    /// Datapath number of the port that a mirror has for itself, if there is one.
    pub fn mirror_output(&self) -> Option<u32> {
        self.pipeline.mirrors(self.bridges[0]).iter().find_map(|m| match m.spec.output {
            MirrorOutput::Port(port) => Some(self.dp(port.0)),
            MirrorOutput::Vlan(_) => None,
        })
    }

    /// How many tags the rules that were hit, and groups, may push.
    pub fn pushes(&self, hits: &[(u8, Option<u64>)]) -> usize {
        let pushes = |text: &str| text.matches("PushVlan").count() + text.matches("ModVlan").count();
        let mut n = 0;
        for bridge in &self.bridges {
            let all = self.pipeline.dump(*bridge, &Select::default()).expect("a dump");
            for hit in hits {
                let rule = all.iter().find(|e| *hit == (e.spec.table, Some(e.spec.cookie)));
                n += rule.map_or(0, |e| pushes(&format!("{:?}", e.spec.actions)));
            }
            n += self.pipeline.groups(*bridge).iter().map(|g| pushes(&format!("{:?}", g.spec.buckets))).sum::<usize>();
        }
        n
    }

    pub fn is_cacheable(t: &Translation) -> bool {
        t.cacheable == Cacheable::Yes
    }
}

/// OpenFlow's number of a reason.
pub fn reason_number(reason: PacketInReason) -> u16 {
    match reason {
        PacketInReason::NoMatch => 0,
        PacketInReason::Action => 1,
        PacketInReason::InvalidTtl => 2,
        PacketInReason::ActionSet => 3,
        PacketInReason::Group => 4,
        PacketInReason::PacketOut => 5,
    }
}

/// [`super::scene::METERS`].
fn meters() -> Vec<MeterSpec> {
    let meter = |id, unit, burst, rate, burst_size| {
        let bands = vec![Band { kind: BandKind::Drop, rate, burst_size }];
        MeterSpec { id, unit, burst, stats: false, bands }
    };
    vec![
        meter(1, MeterUnit::Pktps, false, 100, 0),
        meter(2, MeterUnit::Kbps, true, 1000, 500),
        meter(3, MeterUnit::Pktps, true, 500, 50),
    ]
}

fn actions(list: &[String]) -> Vec<Action> {
    let text = format!("actions={}", list.join(","));
    flow::text::parse_flow(&text, &NoPorts).unwrap_or_else(|e| panic!("{text}: {e}")).actions.to_vec()
}

fn group_spec(group: &super::scene::Group) -> GroupSpec {
    let kind = match group.kind {
        "all" => GroupKind::All,
        "select" => GroupKind::Select,
        "indirect" => GroupKind::Indirect,
        _ => GroupKind::FastFailover,
    };
    let exact = |id: FieldId| (id, id.def().ones());
    let selection = match group.selection {
        "" => Selection::Default,
        "dp_hash" => Selection::DpHash { param: 0 },
        "hash,fields(eth_src)" => Selection::Hash { param: 0, fields: vec![exact(FieldId::EthSrc)] },
        _ => Selection::Hash { param: 0, fields: vec![exact(FieldId::Ipv4Src), exact(FieldId::Ipv4Dst)] },
    };
    let bucket = |(id, b): (usize, &super::scene::Bucket)| Bucket {
        id: id as u32,
        weight: b.weight.unwrap_or(u16::from(kind == GroupKind::Select)),
        watch_port: b.watch_port.map(OfPort),
        watch_group: b.watch_group,
        actions: actions(&b.actions),
    };
    GroupSpec { id: group.id, kind, selection, buckets: group.buckets.iter().enumerate().map(bucket).collect() }
}
