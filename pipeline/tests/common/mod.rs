//! An independent reading of the same rules: one packet, one rule after the other, no masks.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{BridgeId, DpAction, DropReason, Effect, Resume, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FieldId, FlowKey, OfPort, Registers, Value, VlanTag};
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange, Select, VlanMode};
use std::collections::HashMap;
use std::sync::Arc;

/// What a packet does: rules hit as table and cookie (0: a miss), addresses learned, copies sent, and whether it reached a
/// controller.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub hits: Vec<(u8, Option<u64>)>,
    pub learned: Vec<(u16, [u8; 6], DpPort)>,
    /// Port and the key that leaves there; the controller is port `u32::MAX`. Sorted.
    pub sent: Vec<(DpPort, FlowKey)>,
}

#[derive(Clone, Debug)]
pub struct TestPort {
    pub number: OfPort,
    pub vlan: VlanMode,
    pub flood: bool,
    pub up: bool,
}

impl TestPort {
    pub fn dp(&self) -> DpPort {
        dp(self.number)
    }
}

/// Datapath ports are numbered otherwise than OpenFlow ports, so that mixing them up fails.
pub fn dp(number: OfPort) -> DpPort {
    DpPort(u32::from(number.0) + 100)
}

/// A switch as simple as can be.
pub struct Model {
    pub ports: Vec<TestPort>,
    pub rules: Vec<RuleSpec>,
    pub fdb: HashMap<(u16, [u8; 6]), DpPort>,
}

struct Run<'m> {
    model: &'m Model,
    key: FlowKey,
    regs: Registers,
    came_tags: usize,
    dead: bool,
    failed: bool,
    out: Outcome,
}

impl Model {
    pub fn run(&self, in_port: OfPort, key: &FlowKey) -> Outcome {
        let mut key = *key;
        key.in_port = u32::from(in_port.0).into();
        let regs = Registers::default();
        let mut run = Run { model: self, key, regs, came_tags: 0, dead: false, failed: false, out: Outcome::default() };
        run.table(0, in_port);
        if run.failed {
            run.out.sent.clear();
        }
        run.out.sent.iter_mut().for_each(|(_, k)| k.in_port = 0.into());
        run.out.sent.sort_by_key(|(p, k)| (*p, *k.words()));
        run.out
    }
}

impl Run<'_> {
    fn table(&mut self, table: u8, in_port: OfPort) {
        let mut seen = self.key;
        seen.in_port = u32::from(in_port.0).into();
        let best = self
            .model
            .rules
            .iter()
            .filter(|r| r.table == table && r.matching.matches(&seen, &self.regs))
            .max_by_key(|r| r.priority);
        self.out.hits.push((table, best.map(|r| r.cookie)));
        let Some(rule) = best else { return };
        for action in &rule.actions {
            if self.failed {
                return;
            }
            match action {
                Action::Output(port) => self.output(*port),
                Action::Controller { .. } => self.send(DpPort(u32::MAX)),
                Action::SetField { field, value, mask } => self.set(*field, value.0, mask.0),
                Action::ModVlanVid(vid) => self.mod_vlan(*vid, 0xfff),
                Action::ModVlanPcp(pcp) => self.mod_vlan(u16::from(*pcp) << 13, 0xe000),
                Action::PushVlan(tpid) => self.push(*tpid),
                Action::PopVlan => {
                    self.key.vlans = [self.key.vlans[1], VlanTag::default()];
                }
                Action::DecTtl => {
                    if self.ip() {
                        self.dead |= self.key.nw_ttl <= 1;
                        self.key.nw_ttl = self.key.nw_ttl.saturating_sub(1);
                    }
                }
                Action::Resubmit { port, table: to } => {
                    self.table(to.unwrap_or(table), port.unwrap_or(self.in_port()));
                }
                Action::GotoTable(to) => self.table(*to, self.in_port()),
                other => panic!("{other:?} is not generated"),
            }
        }
    }

    fn in_port(&self) -> OfPort {
        OfPort(self.key.in_port.get() as u16)
    }

    fn ip(&self) -> bool {
        [0x0800, 0x86dd].contains(&self.key.eth_type.get())
    }

    fn tag(&mut self, value: u16, mask: u16) {
        let old = self.key.vlans[0].tci.get();
        self.key.vlans[0].tci = (old & !mask | value & mask).into();
    }

    fn push(&mut self, tpid: u16) {
        if self.key.vlans[1].is_present() {
            self.failed = true;
            return;
        }
        let old = self.key.vlans[0];
        let tci = VlanTag::PRESENT | old.tci.get();
        self.key.vlans = [VlanTag { tpid: tpid.into(), tci: tci.into() }, old];
    }

    fn mod_vlan(&mut self, value: u16, mask: u16) {
        if !self.key.vlans[0].is_present() {
            self.push(0x8100);
        }
        self.tag(value, mask);
    }

    fn set(&mut self, field: FieldId, value: u128, mask: u128) {
        let l4 = self.ip() && self.key.nw_frag & 2 == 0;
        let fits = match field {
            FieldId::VlanVid => self.key.vlans[0].is_present(),
            FieldId::Ipv4Src | FieldId::Ipv4Dst => self.key.eth_type == 0x0800,
            FieldId::Ipv6Src | FieldId::Ipv6Dst => self.key.eth_type == 0x86dd,
            FieldId::IpDscp | FieldId::IpTtl => self.ip(),
            FieldId::TcpDst => l4 && self.key.nw_proto == 6,
            FieldId::UdpSrc => l4 && self.key.nw_proto == 17,
            FieldId::EthSrc | FieldId::EthDst | FieldId::Reg0 => true,
            other => panic!("{other} is not generated"),
        };
        if fits {
            let def = field.def();
            let old = def.get(&self.key, &self.regs).0;
            def.set(&mut self.key, &mut self.regs, Value(old & !mask | value & mask));
        }
    }

    fn send(&mut self, to: DpPort) {
        if !self.dead {
            self.out.sent.push((to, self.key));
        }
    }

    fn port(&self, number: OfPort) -> Option<TestPort> {
        self.model.ports.iter().find(|p| p.number == number).cloned()
    }

    fn output(&mut self, to: OfPort) {
        match to {
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD | OfPort::ALL => {
                for port in self.model.ports.clone() {
                    if port.number != self.in_port() && port.up && (port.flood || to == OfPort::ALL) {
                        self.send(port.dp());
                    }
                }
            }
            to if to == self.in_port() => {}
            to => {
                let to = if to == OfPort::IN_PORT { self.in_port() } else { to };
                if self.port(to).is_some_and(|p| p.up) {
                    self.send(dp(to));
                }
            }
        }
    }

    fn normal(&mut self) {
        let (src, dst) = (self.key.eth_src, self.key.eth_dst);
        if dst[..5] == [1, 0x80, 0xc2, 0, 0] && dst[5] < 16 {
            return;
        }
        let Some(from) = self.port(self.in_port()) else { return };
        let Some(vlan) = from.vlan.input(self.key.vlans[0].vid()) else { return };
        if src[0] & 1 == 0 {
            self.out.learned.push((vlan, src, from.dp()));
        }
        let known = self.model.fdb.get(&(vlan, dst)).filter(|_| dst[0] & 1 == 0);
        for to in self.model.ports.clone() {
            let wanted = match known {
                Some(dp) => to.dp() == *dp,
                None => to.flood && to.vlan.carries(vlan),
            };
            if wanted && to.up && to.number != from.number {
                let kept = self.key.vlans;
                match (self.key.vlans[0].is_present(), to.vlan.tags(vlan)) {
                    (true, false) => self.key.vlans = [self.key.vlans[1], VlanTag::default()],
                    (false, true) => self.mod_vlan(vlan, 0xfff),
                    (true, true) => self.tag(vlan, 0xfff),
                    (false, false) => {}
                }
                self.send(to.dp());
                self.key.vlans = kept;
            }
        }
    }
}

/// Execute datapath actions on a key.
pub fn execute(actions: &[DpAction], came: &FlowKey) -> Vec<(DpPort, FlowKey)> {
    let mut key = *came;
    key.in_port = 0.into();
    let mut sent = Vec::new();
    for action in actions {
        match action {
            DpAction::Output(port) => sent.push((*port, key)),
            DpAction::Punt(_) => sent.push((DpPort(u32::MAX), key)),
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
    sent.sort_by_key(|(p, k)| (*p, *k.words()));
    sent
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
    let adds: Vec<_> = rules.iter().map(|r| RuleChange::Add { bridge, rule: r.clone() }).collect();
    pipeline.apply(&adds).unwrap();
    Bench { clock, pipeline, bridge, model: Model { ports, rules, fdb: HashMap::new() } }
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
            match *effect {
                Effect::Rule(id) => out.hits.push((0, Some(cookies[&id]))),
                Effect::TableMiss(_, table) => out.hits.push((table, None)),
                Effect::FdbRefresh { vlan, mac, port, .. } => out.learned.push((vlan, mac, port)),
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
