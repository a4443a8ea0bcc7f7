//! An independent reading of rules: one packet, one rule after the other, no masks, no caches, no batches.

use crate::VlanMode;
use flow::action::{Learn, LearnSource, LearnTarget, SubField};
use flow::group::{Bucket, GroupKind, GroupSpec};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FieldId, FlowKey, OfPort, Registers, Value, VlanTag};
use std::collections::HashMap;

/// What a packet does: rules hit as table and cookie (`None`: a miss), addresses learned, copies sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub hits: Vec<(u8, Option<u64>)>,
    pub learned: Vec<(u16, [u8; 6], DpPort)>,
    /// Port and the key that leaves there; the controller is port `u32::MAX`. Sorted.
    pub sent: Vec<(DpPort, FlowKey)>,
    /// Where in [`Model::rules`] the rules that it hits are, in order.
    pub places: Vec<usize>,
    /// Rules that the packet makes, in order, and how many of its table may have its cookie (0: any number).
    pub made: Vec<(RuleSpec, u32)>,
    /// Meters that it reaches, and how long it is then.
    pub metered: Vec<(u32, usize)>,
    /// Whether its TTL runs out on the way: what comes behind is not done, though its rules are hit.
    pub failed: bool,
}

/// A port of the [`Model`].
#[derive(Clone, Debug)]
pub struct TestPort {
    pub number: OfPort,
    pub vlan: VlanMode,
    pub flood: bool,
    pub up: bool,
}

impl TestPort {
    /// Its number in the datapath.
    #[must_use]
    pub fn dp(&self) -> DpPort {
        dp(self.number)
    }
}

/// Datapath ports are numbered otherwise than OpenFlow ports, so that mixing them up fails.
#[must_use]
pub fn dp(number: OfPort) -> DpPort {
    DpPort(u32::from(number.0) + 100)
}

/// A switch as simple as can be. It knows what [`super::RuleGen`] makes.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub ports: Vec<TestPort>,
    pub rules: Vec<RuleSpec>,
    pub fdb: HashMap<(u16, [u8; 6]), DpPort>,
    /// None of them selects by a hash.
    pub groups: Vec<GroupSpec>,
    /// The longest packet that a meter lets pass; the others let all pass. Rates are not read.
    pub longest: HashMap<u32, usize>,
}

/// No port in the action set.
const UNSET: u32 = 0xfff7;

/// A set of actions in the order of OpenFlow 1.3, 5.10, of what is generated.
fn ordered(set: &[Action]) -> Vec<Action> {
    let last = |wanted: fn(&Action) -> bool| set.iter().rev().find(|a| wanted(a)).cloned();
    let end = last(|a| matches!(a, Action::Group(_))).or_else(|| last(|a| matches!(a, Action::Output(_))));
    let Some(end) = end else { return Vec::new() };
    let change = |a: &&Action| {
        !matches!(a, Action::Group(_) | Action::Output(_) | Action::PopVlan | Action::PushVlan(_) | Action::DecTtl)
    };
    let mut out: Vec<Action> = [
        last(|a| matches!(a, Action::PopVlan)),
        last(|a| matches!(a, Action::PushVlan(_))),
        last(|a| matches!(a, Action::DecTtl)),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.extend(set.iter().filter(change).cloned());
    out.push(end);
    out
}

/// Bytes of the tags of a packet.
fn tags(key: &FlowKey) -> usize {
    4 * key.vlans.iter().filter(|tag| tag.is_present()).count()
}

#[derive(Debug)]
struct Run<'m> {
    model: &'m Model,
    /// Bytes of the packet as it came, or as it was sent last: as meters find it, since changes wait for an output.
    len: usize,
    /// Without its tags.
    untagged: usize,
    key: FlowKey,
    regs: Registers,
    dead: bool,
    failed: bool,
    exit: bool,
    stack: Vec<u128>,
    set: Vec<Action>,
    out: Outcome,
}

impl Model {
    /// What a packet does. Nothing is learned from it: that is the caller's.
    ///
    /// # Panics
    /// On actions and fields that [`super::RuleGen`] does not make.
    #[must_use]
    pub fn run(&self, in_port: OfPort, key: &FlowKey) -> Outcome {
        self.run_frame(in_port, key, 0)
    }

    /// The same of a packet of so many bytes, which meters judge.
    ///
    /// # Panics
    /// As [`Model::run`].
    #[must_use]
    pub fn run_frame(&self, in_port: OfPort, key: &FlowKey, len: usize) -> Outcome {
        let mut key = *key;
        key.in_port = u32::from(in_port.0).into();
        let regs = Registers { actset_output: UNSET.into(), ..Registers::default() };
        let mut run = Run {
            model: self,
            len,
            untagged: len.saturating_sub(tags(&key)),
            key,
            regs,
            dead: false,
            failed: false,
            exit: false,
            stack: Vec::new(),
            set: Vec::new(),
            out: Outcome::default(),
        };
        run.table(0, in_port);
        run.end();
        if run.failed {
            run.out.sent.clear();
            run.out.metered.clear();
        }
        run.out.sent.iter_mut().for_each(|(_, k)| k.in_port = 0.into());
        run.out.sent.sort_by_key(|(p, k)| (*p, *k.words()));
        run.out
    }

    /// Whether a learned rule is there as it is, or fewer than `limit` of its table have its cookie.
    #[must_use]
    pub fn has_room(&self, rule: &RuleSpec, limit: u32) -> bool {
        let alike = |r: &&RuleSpec| (r.table, r.cookie) == (rule.table, rule.cookie);
        self.rules.contains(rule) || self.rules.iter().filter(alike).count() < limit as usize
    }
}

impl Run<'_> {
    fn table(&mut self, table: u8, in_port: OfPort) {
        let mut seen = self.key;
        seen.in_port = u32::from(in_port.0).into();
        if seen.nw_frag != 0 {
            (seen.tp_src, seen.tp_dst) = (0.into(), 0.into());
        }
        let best = self
            .model
            .rules
            .iter()
            .enumerate()
            .filter(|(_, r)| r.table == table && r.matching.matches(&seen, &self.regs))
            .max_by_key(|(_, r)| r.priority);
        self.out.hits.push((table, best.map(|(_, r)| r.cookie)));
        let Some((place, rule)) = best else { return };
        self.out.places.push(place);
        let actions = rule.actions.clone();
        self.list(table, &actions);
    }

    #[expect(clippy::panic, reason = "a reading that leaves something out would agree with anything")]
    fn list(&mut self, table: u8, actions: &[Action]) {
        for action in actions {
            if self.failed || self.exit {
                return;
            }
            match action {
                Action::Output(port) => self.output(*port),
                Action::Controller { .. } => self.send(DpPort(u32::MAX)),
                Action::SetField { field, value, mask } | Action::Load { field, value, mask } => {
                    self.set(*field, value.0, mask.0);
                }
                Action::ModVlanVid(vid) => self.mod_vlan(*vid, 0xfff),
                Action::ModVlanPcp(pcp) => self.mod_vlan(u16::from(*pcp) << 13, 0xe000),
                Action::PushVlan(tpid) => self.push(*tpid),
                Action::PopVlan => {
                    self.key.vlans = [self.key.vlans[1], VlanTag::default()];
                }
                Action::DecTtl => {
                    if self.ip() {
                        self.dead |= self.key.nw_ttl <= 1;
                        self.out.failed |= self.dead;
                        self.key.nw_ttl = self.key.nw_ttl.saturating_sub(1);
                    }
                }
                Action::DecTtlControllers(ids) if self.ip() => {
                    if self.key.nw_ttl <= 1 {
                        ids.iter().for_each(|_| self.send(DpPort(u32::MAX)));
                        return;
                    }
                    self.key.nw_ttl -= 1;
                }
                Action::DecTtlControllers(_) => {}
                // What it drops is dropped; its rules, those behind the meter too, are hit, and teach.
                Action::Meter(id) if !self.dead => {
                    self.out.metered.push((*id, self.len));
                    self.dead = self.model.longest.get(id).is_some_and(|longest| self.len > *longest);
                }
                Action::Meter(_) => {}
                Action::Resubmit { port, table: to, .. } => {
                    self.table(to.unwrap_or(table), port.unwrap_or(self.in_port()));
                }
                Action::GotoTable(to) => self.table(*to, self.in_port()),
                Action::Move { from, to } => {
                    if self.has(from.field) && self.has(to.field) {
                        let value = self.read(from);
                        self.set(to.field, value << to.first, to.mask().0);
                    }
                }
                Action::Push(from) => {
                    let value = if self.has(from.field) { self.read(from) } else { 0 };
                    self.stack.push(value);
                }
                Action::Pop(to) => {
                    if let Some(value) = self.stack.pop() {
                        self.set(to.field, value << to.first & to.mask().0, to.mask().0);
                    }
                }
                Action::Clone(list) => {
                    let saved = (self.key, self.regs, self.dead, self.stack.clone(), self.set.clone());
                    self.list(table, list);
                    self.end();
                    (self.key, self.regs, self.dead, self.stack, self.set) = saved;
                }
                Action::WriteActions(list) => {
                    self.set.extend(list.iter().cloned());
                    self.told();
                }
                Action::ClearActions => {
                    self.set.clear();
                    self.told();
                }
                Action::WriteMetadata { value, mask } => {
                    self.set(FieldId::Metadata, u128::from(*value), u128::from(*mask));
                }
                Action::Exit => self.exit = true,
                Action::Group(id) => {
                    if !self.group(*id) {
                        return;
                    }
                }
                Action::Learn(learn) => self.learn(learn),
                Action::OutputField { port, .. } => {
                    let port = self.read(port) as u16;
                    self.output(OfPort(port));
                }
                Action::SetQueue(queue) => self.key.skb_priority = (*queue).into(),
                Action::Enqueue { port, queue } => {
                    let old = self.key.skb_priority;
                    self.key.skb_priority = (*queue).into();
                    self.output(*port);
                    self.key.skb_priority = old;
                }
                Action::PopQueue => self.key.skb_priority = 0.into(),
                Action::Bundle(bundle) => {
                    let live = bundle.members.iter().find(|m| self.port(**m).is_some_and(|p| p.up));
                    let chosen = live.copied().unwrap_or(OfPort::NONE);
                    match &bundle.load {
                        Some(to) => self.set(to.field, u128::from(chosen.0) << to.first, to.mask().0),
                        None => self.output(chosen),
                    }
                }
                other => panic!("{other:?} is not generated"),
            }
        }
    }

    fn has(&self, field: FieldId) -> bool {
        field.def().prereq.holds(&self.key)
    }

    fn read(&self, from: &SubField) -> u128 {
        from.field.def().get(&self.key, &self.regs).0 >> from.first & ((1u128 << from.bits) - 1)
    }

    /// Where the action set sends to.
    fn told(&mut self) {
        let group = self.set.iter().any(|a| matches!(a, Action::Group(_)));
        let mut ports =
            self.set.iter().filter_map(|a| if let Action::Output(p) = a { Some(u32::from(p.0)) } else { None });
        let last = ports.next_back().filter(|_| !group);
        self.regs.actset_output = last.unwrap_or(UNSET).into();
    }

    /// The end of the pipeline, or of a copy's.
    fn end(&mut self) {
        let set = std::mem::take(&mut self.set);
        let list = ordered(&set);
        self.list(0, &list);
    }

    fn group(&mut self, id: u32) -> bool {
        let Some(group) = self.model.groups.iter().find(|g| g.id == id) else { return false };
        let watched = |b: &&Bucket| b.watch_port.is_none_or(|p| self.port(p).is_some_and(|p| p.up));
        let buckets: Vec<&Bucket> = match group.kind {
            GroupKind::FastFailover => group.buckets.iter().find(watched).into_iter().collect(),
            _ => group.buckets.iter().collect(),
        };
        for bucket in buckets {
            let saved = (self.key, self.regs, self.dead);
            self.list(0, &ordered(&bucket.actions));
            (self.key, self.regs, self.dead) = saved;
            self.exit = false;
        }
        true
    }

    fn learn(&mut self, learn: &Learn) {
        let mut rule = RuleSpec {
            table: learn.table,
            priority: learn.priority,
            cookie: learn.cookie,
            idle_timeout: learn.idle_timeout,
            hard_timeout: learn.hard_timeout,
            ..RuleSpec::default()
        };
        for spec in &learn.specs {
            let value = match &spec.source {
                LearnSource::Field(from) if !self.has(from.field) => 0,
                LearnSource::Field(from) => self.read(from),
                LearnSource::Immediate(value) => value.0,
            };
            match &spec.target {
                // A port is matched as a whole, though OpenFlow 1.0 names 16 bits of it.
                LearnTarget::Match(to) if to.field == FieldId::InPort => {
                    rule.matching.set_exact(to.field, Value(value))
                }
                LearnTarget::Match(to) => rule.matching.set(to.field, Value(value << to.first), to.mask()),
                LearnTarget::Load(to) => {
                    let (field, mask) = (to.field, to.mask());
                    rule.actions.push(Action::Load { field, value: Value(value << to.first), mask });
                }
                LearnTarget::Output => rule.actions.push(Action::Output(OfPort(value as u16))),
            }
        }
        let room = learn.limit == 0 || self.model.has_room(&rule, learn.limit);
        if let Some(to) = &learn.result {
            self.set(to.field, u128::from(room) << to.first, to.mask().0);
        }
        if room {
            self.out.made.push((rule, learn.limit));
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
        self.key.vlans = [VlanTag { tpid: tpid.into(), tci: VlanTag::PRESENT.into() }, old];
    }

    fn mod_vlan(&mut self, value: u16, mask: u16) {
        if !self.key.vlans[0].is_present() {
            self.push(0x8100);
        }
        self.tag(value, mask);
    }

    #[expect(clippy::panic, reason = "a reading that leaves something out would agree with anything")]
    fn set(&mut self, field: FieldId, value: u128, mask: u128) {
        let l4 = self.ip() && self.key.nw_frag & 2 == 0;
        let fits = match field {
            FieldId::VlanVid => self.key.vlans[0].is_present(),
            FieldId::Ipv4Src | FieldId::Ipv4Dst => self.key.eth_type == 0x0800,
            FieldId::Ipv6Src | FieldId::Ipv6Dst => self.key.eth_type == 0x86dd,
            FieldId::IpDscp | FieldId::IpTtl => self.ip(),
            FieldId::TcpDst => l4 && self.key.nw_proto == 6,
            FieldId::UdpSrc => l4 && self.key.nw_proto == 17,
            FieldId::EthSrc | FieldId::EthDst => true,
            other if !other.def().is_in_key() => true,
            other => panic!("{other} is not generated"),
        };
        if fits {
            let def = field.def();
            let old = def.get(&self.key, &self.regs).0;
            def.set(&mut self.key, &mut self.regs, Value(old & !mask | value & mask));
        }
    }

    fn send(&mut self, to: DpPort) {
        self.len = self.untagged + tags(&self.key);
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
        // Which packet is sent last decides how long a meter behind finds it.
        let (mut ports, tagged) = (self.model.ports.clone(), self.key.vlans[0].is_present());
        ports.sort_by_key(|to| to.vlan.tags(vlan) != tagged);
        for to in ports {
            let wanted = match known {
                Some(dp) => to.dp() == *dp,
                None => to.flood && to.vlan.carries(vlan),
            };
            if wanted && to.up && to.number != from.number {
                let kept = self.key.vlans;
                let access = matches!(to.vlan, VlanMode::Access(_));
                if access && known.is_none() && self.key.vlans[1].vid() != 0 {
                    continue;
                }
                // A priority stays where tags go.
                let native = matches!(&to.vlan, VlanMode::NativeUntagged { native: 0, .. });
                let keeps = vlan == 0 && !access && !native && self.key.vlans[0].tci.get() & 0xe000 != 0;
                match (self.key.vlans[0].is_present(), to.vlan.tags(vlan) || keeps) {
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
