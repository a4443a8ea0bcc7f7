//! Rules that packets make (`learn`) in random cases: learners, packets that answer others, and a linear reading of what is learned,
//! how long it stays, and what it counts.
//!
//! What was learned is looked up in a table of its own, or stands in front of the rule that made it. Time passes while packets come,
//! so that idle rules go, busy ones stay, and packets that hardware alone saw make the difference.

use crate::rig::{Count, PORTS, Rig};
use flow::action::{Learn, LearnSource, LearnSpec, LearnTarget, SubField};
use flow::clock::Time;
use flow::dp::Effect;
use flow::key::KEY_WORDS;
use flow::rule::RuleSpec;
use flow::{Action, FieldId, Value};
use offload::Placement;
use pipeline::testing::{Model, Rng, TestPacket, complete, frame};
use pipeline::{RemoveReason, RemovedRule, Select};
use std::collections::HashSet;
use std::time::Duration;

/// Where most of what is learned is looked up.
const TABLE: u8 = 7;
/// Learned rules have this cookie or a higher one, the others a lower one.
const COOKIE: u64 = 0x1ea0;
/// Rules of the first table that learn, and of the others, in cases that learn.
const SHARES: [u8; 2] = [45, 25];
/// Milliseconds between packets, where time passes.
const WAITS: [u64; 6] = [200, 400, 700, 900, 1300, 2600];
/// Longer than any timeout: looks for what is too old at the end of a case.
const LOOKS: usize = 6;
/// How often that is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Whether it is the cookie of a learned rule.
pub fn is_learned(cookie: u64) -> bool {
    cookie >= COOKIE
}

/// Let rules learn; whether any does.
pub fn put(rules: &mut [RuleSpec], dice: &mut Rng) -> bool {
    let mut learners = 0;
    for rule in rules {
        if dice.percent(SHARES[usize::from(rule.table > 0)]) {
            learners += 1;
            learner(rule, learners, dice);
        }
    }
    learners > 0
}

fn learner(rule: &mut RuleSpec, number: u16, dice: &mut Rng) {
    let kinds: [fn(&RuleSpec, &mut Rng) -> Vec<LearnSpec>; 3] = [stations, replies, own];
    let kind = dice.below(kinds.len());
    let limit = if dice.percent(25) { 1 + dice.below(2) as u32 } else { 0 };
    let learn = Learn {
        // One's own rule stands in front of the one that made it.
        table: if kind == 2 { rule.table } else { TABLE },
        priority: 100 + number,
        // Some share theirs.
        cookie: COOKIE + u64::from(number % 4),
        idle_timeout: [0, 1, 2, 3][dice.below(4)],
        hard_timeout: [0, 0, 2, 4][dice.below(4)],
        fin_idle_timeout: 0,
        fin_hard_timeout: 0,
        send_flow_rem: false,
        delete_learned: dice.percent(25),
        limit,
        // Later tables match this.
        result: (limit != 0).then_some(SubField { field: FieldId::Reg0, first: 0, bits: 1 }),
        specs: kinds[kind](rule, dice),
    };
    let mut actions = vec![Action::Learn(Box::new(learn))];
    match kind {
        2 => {
            let port = Value::from(u32::from(PORTS[dice.below(PORTS.len())].0));
            actions.insert(0, Action::Load { field: FieldId::Reg1, value: port, mask: Value(0xffff) });
        }
        _ if dice.percent(85) => {
            let look_up = Action::Resubmit { port: None, table: Some(TABLE), ct: false };
            actions.insert(dice.below(2), look_up);
        }
        _ => {}
    }
    let end = rule.actions.iter().position(|a| matches!(a, Action::GotoTable(_))).unwrap_or(rule.actions.len());
    let at = if dice.percent(75) { 0 } else { dice.below(end + 1) };
    rule.actions.splice(at..at, actions);
}

fn copy(from: FieldId, to: LearnTarget, bits: u16) -> LearnSpec {
    LearnSpec { source: LearnSource::Field(SubField { field: from, first: 0, bits }), target: to, bits }
}

fn matches(from: FieldId, to: FieldId) -> LearnSpec {
    let whole = SubField::whole(to);
    copy(from, LearnTarget::Match(whole), whole.bits)
}

fn given(value: u128, to: SubField, target: fn(SubField) -> LearnTarget) -> LearnSpec {
    LearnSpec { source: LearnSource::Immediate(Value(value)), target: target(to), bits: to.bits }
}

fn back() -> LearnSpec {
    copy(FieldId::InPort, LearnTarget::Output, 16)
}

/// As switches do: what goes to this address leaves where it came from.
fn stations(_: &RuleSpec, dice: &mut Rng) -> Vec<LearnSpec> {
    let mut specs = vec![matches(FieldId::EthSrc, FieldId::EthDst)];
    if dice.percent(30) {
        let low = SubField { field: FieldId::Reg0, first: 0, bits: 16 };
        specs.push(given(1 + dice.below(2) as u128, low, LearnTarget::Load));
    }
    specs.push(back());
    specs
}

/// As firewalls do: answers are let in.
fn replies(rule: &RuleSpec, dice: &mut Rng) -> Vec<LearnSpec> {
    let m = &rule.matching;
    let exact = |field| m.is_exact(field).then(|| m.get(field).0.0);
    if exact(FieldId::EthType) != Some(0x0800) {
        return stations(rule, dice);
    }
    let whole = SubField::whole;
    let mut specs = vec![
        given(0x0800, whole(FieldId::EthType), LearnTarget::Match),
        matches(FieldId::Ipv4Src, FieldId::Ipv4Dst),
        matches(FieldId::Ipv4Dst, FieldId::Ipv4Src),
    ];
    let ports = match exact(FieldId::IpProto) {
        Some(6) => Some((6, FieldId::TcpSrc, FieldId::TcpDst)),
        Some(17) => Some((17, FieldId::UdpSrc, FieldId::UdpDst)),
        _ => None,
    };
    if let Some((proto, src, dst)) = ports {
        specs.push(given(proto, whole(FieldId::IpProto), LearnTarget::Match));
        specs.extend([matches(src, dst), matches(dst, src)]);
    }
    if dice.percent(30) {
        specs.push(copy(FieldId::EthSrc, LearnTarget::Load(whole(FieldId::EthDst)), 48));
    }
    if dice.percent(50) {
        let low = SubField { field: FieldId::Reg0, first: 0, bits: 16 };
        specs.push(given(1 + dice.below(2) as u128, low, LearnTarget::Load));
    }
    specs.push(back());
    specs
}

/// As load balancers do: the same flow goes where it went first.
fn own(_: &RuleSpec, dice: &mut Rng) -> Vec<LearnSpec> {
    let port = |field| SubField { field, first: 0, bits: 16 };
    let mut specs = vec![
        copy(FieldId::InPort, LearnTarget::Match(port(FieldId::InPort)), 16),
        matches(FieldId::EthSrc, FieldId::EthSrc),
        matches(FieldId::EthDst, FieldId::EthDst),
    ];
    if dice.percent(30) {
        specs.push(given(0x0200_0000_0077, SubField::whole(FieldId::EthSrc), LearnTarget::Load));
    }
    specs.push(copy(FieldId::Reg1, LearnTarget::Output, 16));
    specs
}

/// What the other side sends back, at any port.
pub fn answer(packet: &TestPacket, dice: &mut Rng) -> TestPacket {
    let mut key = packet.key;
    // Nobody sends from the address of a group.
    if key.eth_dst[0] & 1 == 0 {
        (key.eth_src, key.eth_dst) = (key.eth_dst, key.eth_src);
    } else {
        key.eth_dst = key.eth_src;
    }
    (key.ipv4_src, key.ipv4_dst) = (key.ipv4_dst, key.ipv4_src);
    (key.ipv6_src, key.ipv6_dst) = (key.ipv6_dst, key.ipv6_src);
    if key.eth_type == 0x0806 {
        (key.arp_sha, key.arp_tha) = (key.arp_tha, key.arp_sha);
    }
    if [6, 17, 132].contains(&key.nw_proto) {
        (key.tp_src, key.tp_dst) = (key.tp_dst, key.tp_src);
    }
    let key = complete(&key);
    TestPacket { in_port: PORTS[dice.below(PORTS.len())], key, frame: frame(&key, b"answer") }
}

/// Some of the packets answer others.
pub fn talk(packets: &mut [TestPacket], dice: &mut Rng) {
    for at in 1..packets.len() {
        if dice.percent(35) {
            packets[at] = answer(&packets[dice.below(at)], dice);
        }
    }
}

/// Time that passes between packets.
pub fn wait(dice: &mut Rng) -> Duration {
    Duration::from_millis(WAITS[dice.below(WAITS.len())])
}

/// A learned rule; times since the beginning of the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    pub rule: RuleSpec,
    pub count: Count,
    pub created: Duration,
    pub used: Duration,
}

/// A learned rule that is gone: when, why, and its last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub at: Duration,
    pub reason: RemoveReason,
    pub rule: RuleSpec,
    pub count: Count,
}

/// How rules that were learned, and those that went, are others than they should be; `None`: all is well.
pub fn fault(got: (&[Learned], &[Gone]), want: (&[Learned], &[Gone])) -> Option<String> {
    if got.1 != want.1 {
        let at = got.1.iter().zip(want.1).take_while(|(g, w)| g == w).count();
        return Some(format!("learned rule {at} that went: {:?} instead of {:?}", got.1.get(at), want.1.get(at)));
    }
    let at = got.0.iter().zip(want.0).take_while(|(g, w)| g == w).count();
    (got.0 != want.0).then(|| format!("learned rule {at}: {:?} instead of {:?}", got.0.get(at), want.0.get(at)))
}

/// Rules of a table and priority match the same bits.
fn order(rule: &RuleSpec) -> (u8, u16, [[u8; 8]; KEY_WORDS]) {
    (rule.table, rule.priority, *rule.matching.key.words())
}

/// What packets have made of the rules, read one after the other.
#[derive(Debug, Default)]
pub struct Reading {
    now: Duration,
    looked: Duration,
    there: Vec<Entry>,
    pub gone: Vec<Gone>,
    /// Rules that were learned and not there, and packets that hit a learned rule.
    pub made: usize,
    pub hits: usize,
}

#[derive(Debug)]
struct Entry {
    learned: Learned,
    /// The hard timeout runs from here.
    modified: Duration,
}

fn is(a: &RuleSpec, b: &RuleSpec) -> bool {
    (a.table, a.priority) == (b.table, b.priority) && a.matching == b.matching
}

impl Reading {
    /// Time passes; whether it is time to look for what is too old.
    pub fn pass(&mut self, time: Duration, model: &mut Model) -> bool {
        self.now += time;
        if self.now - self.looked < LOOK {
            return false;
        }
        self.looked = self.now;
        let now = self.now;
        self.remove(model, |entry| {
            let over =
                |since: Duration, seconds: u16| seconds > 0 && now - since >= Duration::from_secs(seconds.into());
            let Entry { learned: Learned { rule, used, .. }, modified } = entry;
            match (over(*modified, rule.hard_timeout), over(*used, rule.idle_timeout)) {
                (true, _) => Some(RemoveReason::HardTimeout),
                (false, true) => Some(RemoveReason::IdleTimeout),
                (false, false) => None,
            }
        });
        true
    }

    fn remove(&mut self, model: &mut Model, why: impl Fn(&Entry) -> Option<RemoveReason>) {
        let mut gone = Vec::new();
        self.there.retain(|entry| {
            let Some(reason) = why(entry) else { return true };
            let Learned { rule, count, .. } = entry.learned.clone();
            model.rules.retain(|r| !is(r, &rule));
            gone.push(Gone { at: self.now, reason, rule, count });
            false
        });
        gone.sort_by_key(|g| order(&g.rule));
        self.gone.extend(gone);
    }

    /// A packet hit a rule.
    pub fn hit(&mut self, rule: &RuleSpec, bytes: usize) {
        if let Some(Entry { learned, .. }) = self.there.iter_mut().find(|entry| is(&entry.learned.rule, rule)) {
            learned.used = self.now;
            learned.count = (learned.count.0 + 1, learned.count.1 + bytes as u64);
            self.hits += 1;
        }
    }

    /// A packet makes a rule, of which its table may have so many of that cookie (0: any number).
    pub fn make(&mut self, rule: RuleSpec, limit: u32, model: &mut Model) {
        if limit != 0 && !model.has_room(&rule, limit) {
            return;
        }
        if let Some(entry) = self.there.iter_mut().find(|entry| is(&entry.learned.rule, &rule)) {
            entry.modified = self.now;
            entry.learned.rule = rule.clone();
            model.rules.iter_mut().filter(|r| is(r, &rule)).for_each(|r| r.clone_from(&rule));
        } else {
            model.rules.push(rule.clone());
            let learned = Learned { rule, count: (0, 0), created: self.now, used: self.now };
            self.there.push(Entry { learned, modified: self.now });
            self.made += 1;
        }
    }

    /// The rules are others than `before`: what was learned by rules that are gone is gone, if it goes with them.
    pub fn changed(&mut self, before: &HashSet<(u8, u64)>, model: &mut Model) {
        let left = owners(&model.rules);
        let orphaned = |rule: &RuleSpec| {
            let owner = (rule.table, rule.cookie);
            before.contains(&owner) && !left.contains(&owner)
        };
        self.remove(model, |entry| orphaned(&entry.learned.rule).then_some(RemoveReason::Delete));
    }

    /// The end: what is there, and when it goes.
    pub fn end(&mut self, model: &mut Model) -> Vec<Learned> {
        let mut there: Vec<Learned> = self.there.iter().map(|entry| entry.learned.clone()).collect();
        there.sort_by_key(|learned| order(&learned.rule));
        for _ in 0..LOOKS {
            self.pass(LOOK, model);
        }
        there
    }
}

/// Tables and cookies of what goes with the rules that learn it.
pub fn owners(rules: &[RuleSpec]) -> HashSet<(u8, u64)> {
    let owner = |action: &Action| match action {
        Action::Learn(learn) if learn.delete_learned => Some((learn.table, learn.cookie)),
        _ => None,
    };
    rules.iter().flat_map(|rule| &rule.actions).filter_map(owner).collect()
}

impl Rig {
    /// Rules are gone: those that were not learned, and what is to be known of the others.
    pub fn note_gone(&mut self, removed: Vec<RemovedRule>) -> Vec<RemovedRule> {
        let at = self.switch.clock().now().since(self.start);
        let (learned, others): (Vec<_>, Vec<_>) =
            removed.into_iter().partition(|gone| is_learned(gone.entry.spec.cookie));
        let gone = |RemovedRule { entry, reason }| {
            let count = (entry.stats.packets, entry.stats.bytes);
            Gone { at, reason, rule: entry.spec, count }
        };
        let mut gone: Vec<Gone> = learned.into_iter().map(gone).collect();
        gone.sort_by_key(|g| order(&g.rule));
        self.gone.extend(gone);
        others
    }

    /// Note which rules packets have made, and then wait until all of them that end by themselves have gone; the time then.
    pub fn end_learning(&mut self) -> Time {
        self.note_learned();
        let mut now: Time = self.switch.clock().now();
        for _ in 0..LOOKS {
            now = now.after(LOOK);
            self.advance(now);
        }
        now
    }

    fn note_learned(&mut self) {
        let all = self.switch.pipeline().dump(self.bridge, &Select::default()).unwrap();
        let all: Vec<_> = all.into_iter().filter(|entry| is_learned(entry.spec.cookie)).collect();
        let ids: HashSet<_> = all.iter().map(|entry| entry.id).collect();
        // Those that hardware took part in.
        for info in self.switch.flows() {
            let learned = info.flow.effects.iter().any(|e| matches!(e, Effect::Rule(id) if ids.contains(id)));
            let placement = self.switch.engine().explain(info.flow.id).map(|status| status.placement);
            if learned && placement == Some(Placement::Full) {
                self.learned_hits += info.hardware.packets;
            }
        }
        let learned = |entry: pipeline::RuleEntry| Learned {
            rule: entry.spec,
            count: (entry.stats.packets, entry.stats.bytes),
            created: entry.created.since(self.start),
            used: entry.stats.used.since(self.start),
        };
        self.learned = all.into_iter().map(learned).collect();
        self.learned.sort_by_key(|learned| order(&learned.rule));
    }
}
