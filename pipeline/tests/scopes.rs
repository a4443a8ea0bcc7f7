//! Scopes of changes: a flow that no told change concerns is what a translation of the new state makes of its packets.
//!
//! The flows of random pipelines (several tables, two bridges with a cable between them, groups, `learn`, NORMAL, recirculation)
//! are kept as the datapath keeps them, by dependency and scope, while rules, ports and addresses change. The model is to
//! translate everything again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{PORTS, dp, ports};
use flow::clock::{Clock, Time, VirtualClock};
use flow::dp::{BridgeId, Cacheable, Change, DpAction, Hits, RecircId, Resume, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FlowKey, Mask, OfPort, Value, VlanTag};
use pipeline::testing::{Language, PacketGen, Rng, RuleGen, RuleOptions};
use pipeline::{
    Config, FailMode, GroupChange, Overflow, Pipeline, PortKind, PortSpec, PortUpdate, RuleChange, Select, TableConfig,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// The end of the cable: in one bridge a number of its own, in the other the number of a port of the first.
const CABLE: [OfPort; 2] = [OfPort(8), OfPort(2)];
/// What the datapath numbers ports of the second bridge from.
const SECOND: u32 = 300;

struct Flow {
    key: FlowKey,
    /// As it was made, and what the last look at it depended on.
    made: Translation,
    last: Translation,
}

impl Flow {
    /// `written` is what is under test: whether it is heeded.
    fn is_concerned(&self, change: &Change, heed_written: bool) -> bool {
        let written = self.last.written.as_deref().filter(|_| heed_written);
        let met = |s: &flow::dp::Scope| s.meets(&self.key, &self.made.mask, written);
        self.last.deps.contains(&change.dep) && change.scope.as_deref().is_none_or(met)
    }
}

struct Bench {
    clock: Arc<VirtualClock>,
    pipeline: Pipeline,
    bridges: [BridgeId; 2],
    rules: [Vec<RuleSpec>; 2],
    flows: Vec<Flow>,
    /// Looked at, and not.
    checked: usize,
    spared: usize,
}

/// Rules look up what was learned too.
fn rules(seed: u64, n: usize, all: &[OfPort]) -> (Vec<RuleSpec>, Vec<flow::group::GroupSpec>) {
    let options = RuleOptions { tables: 4, unchecked_sets: true, ..RuleOptions::default() };
    let (mut rules, groups) = RuleGen::with_options(seed, options).language(n, all, Language::All);
    let mut rng = Rng::new(seed);
    for rule in &mut rules {
        if rng.percent(25) {
            rule.actions.retain(|a| !matches!(a, Action::GotoTable(_)));
            rule.actions.push(Action::Resubmit { port: None, table: Some(9), ct: false });
        }
        if rng.percent(20) {
            (rule.idle_timeout, rule.hard_timeout) = (rng.below(3) as u16 * 20, rng.below(2) as u16 * 30);
        }
    }
    (rules, groups)
}

impl Bench {
    fn new(seed: u64, n: usize) -> Bench {
        let clock = Arc::new(VirtualClock::default());
        let pipeline = Pipeline::new(clock.clone(), Config::default());
        let bridges = ["one", "two"].map(|name| pipeline.add_bridge(name, FailMode::Secure).unwrap());
        let mut all = [Vec::new(), Vec::new()];
        for (i, bridge) in bridges.into_iter().enumerate() {
            let names = [format!("cable{i}"), format!("cable{}", 1 - i)];
            for port in ports().into_iter().filter(|p| p.number != CABLE[i]) {
                let number = if i == 0 { port.dp() } else { DpPort(SECOND + u32::from(port.number.0)) };
                let name = format!("p{i}-{}", port.number);
                let spec = PortSpec { number: Some(port.number), vlan: port.vlan, ..PortSpec::new(name, number) };
                pipeline.add_port(bridge, spec).unwrap();
            }
            let kind = PortKind::Patch { peer: names[1].clone() };
            let cable = PortSpec { number: Some(CABLE[i]), kind, ..PortSpec::new(names[0].clone(), DpPort(0)) };
            pipeline.add_port(bridge, cable).unwrap();
            let mut numbers = PORTS.to_vec();
            numbers.extend([CABLE[i]; 3]);
            let (specs, groups) = rules(seed ^ i as u64, n, &numbers);
            let groups: Vec<_> = groups.into_iter().map(|group| GroupChange::Add { bridge, group }.into()).collect();
            pipeline.change(&groups).unwrap();
            // The last third comes later.
            let now: Vec<_> = specs.iter().take(n * 2 / 3 + 1).cloned().collect();
            pipeline.apply(&now.into_iter().map(|rule| RuleChange::Add { bridge, rule }).collect::<Vec<_>>()).unwrap();
            all[i] = specs;
        }
        Bench { clock, pipeline, bridges, rules: all, flows: Vec::new(), checked: 0, spared: 0 }
    }

    /// New flows, and those of packets that come back.
    fn meet(&mut self, rng: &mut Rng, n: usize) {
        for _ in 0..n {
            let side = rng.below(2);
            let p = PacketGen::new(rng.number(), &self.rules[side], &PORTS).next_packet();
            let mut key = p.key;
            let port = if side == 0 { dp(p.in_port).0 } else { SECOND + u32::from(p.in_port.0) };
            key.in_port = port.into();
            let mut ids = self.keep(key);
            for _ in 0..2 {
                let Some(id) = ids.pop() else { break };
                key.recirc_id = id.0.into();
                key.dp_hash = (rng.number() as u32 | 1).into();
                key.ct_state = rng.pick(&[0u32, 0x21, 0x22]).into();
                ids.extend(self.keep(key));
            }
        }
    }

    fn translate(&self, key: &FlowKey) -> Translation {
        self.pipeline.translate(&Resume { recirc_id: RecircId(key.recirc_id.get()) }, key)
    }

    fn keep(&mut self, key: FlowKey) -> Vec<RecircId> {
        let made = self.translate(&key);
        let mut ids = Vec::new();
        returns(&made.actions, &mut ids);
        if made.cacheable == Cacheable::Yes {
            self.flows.push(Flow { key: key.masked(&made.mask), last: made.clone(), made });
        }
        ids
    }

    fn change(&mut self, rng: &mut Rng) {
        let side = rng.below(2);
        let (bridge, rules) = (self.bridges[side], &self.rules[side]);
        let rule = rules[rng.below(rules.len())].clone();
        match rng.below(12) {
            0..=2 => {
                // What is refused changes nothing.
                let _ = self.pipeline.apply(&[RuleChange::Add { bridge, rule }]);
            }
            3 | 4 => {
                let select = Select::exactly(&rule);
                self.pipeline.apply(&[RuleChange::Delete { bridge, select }]).unwrap();
            }
            5 | 6 => {
                let actions = rules[rng.below(rules.len())].actions.clone();
                let select = Select { strict: None, ..Select::exactly(&rule) };
                let _ = self.pipeline.apply(&[RuleChange::Modify {
                    bridge,
                    select,
                    actions,
                    cookie: None,
                    flags: Default::default(),
                }]);
            }
            7 => {
                self.clock.advance(Duration::from_secs(rng.below(20) as u64));
                self.pipeline.expire(self.clock.now());
            }
            8 => {
                let limit = Some(rng.below(rules.len()) as u32);
                let config = TableConfig { limit, overflow: Overflow::Evict, ..TableConfig::default() };
                self.pipeline.set_table_config(bridge, rule.table, config).unwrap();
            }
            9 => {
                let update = PortUpdate { up: Some(rng.percent(70)), ..PortUpdate::default() };
                let _ = self.pipeline.update_port(bridge, PORTS[rng.below(PORTS.len())], update);
            }
            _ if !self.flows.is_empty() => {
                // Learned rules and addresses.
                let effects = self.flows[rng.below(self.flows.len())].last.effects.clone();
                self.pipeline.replay(&effects, &Hits { packets: 1, bytes: 60, used: self.clock.now() });
            }
            _ => {}
        }
    }

    /// What revalidation does.
    fn follow(&mut self, heed_written: bool) {
        let mut changes = Vec::new();
        self.pipeline.take_changes(&mut changes);
        let (pipeline, checked, spared) = (&self.pipeline, &mut self.checked, &mut self.spared);
        self.flows.retain_mut(|flow| {
            let told = changes.iter().any(|c| flow.last.deps.contains(&c.dep));
            if !changes.iter().any(|c| flow.is_concerned(c, heed_written)) {
                *spared += usize::from(told);
                return true;
            }
            *checked += 1;
            let again = pipeline.translate(&Resume { recirc_id: RecircId(flow.key.recirc_id.get()) }, &flow.key);
            let stays = again.cacheable == Cacheable::Yes
                && (&again.actions, &again.effects) == (&flow.made.actions, &flow.made.effects)
                && again.mask.is_within(&flow.made.mask);
            flow.last = again;
            stays
        });
    }

    /// Flows that do something else than their packets are meant to, and the first of them.
    fn wrong(&self, rng: &mut Rng) -> (usize, Option<String>) {
        let (mut wrong, mut first) = (0, None);
        for flow in &self.flows {
            let mut packets = vec![flow.key];
            for _ in 0..2 {
                let side = rng.below(2);
                let other = PacketGen::new(rng.number(), &self.rules[side], &PORTS).next_packet().key;
                let key = possible(mix(&flow.key, &other, &flow.made.mask));
                if key.masked(&flow.made.mask) == flow.key {
                    packets.push(key);
                }
            }
            let bad = packets.into_iter().find_map(|key| {
                let now = self.translate(&key);
                // The same deeds: setting a field to what it is may be said or not.
                let same = deeds(&now.actions, &key) == deeds(&flow.made.actions, &key);
                (!same || now.effects != flow.made.effects).then(|| format!("{key:?}: {:?} became {now:?}", flow.last))
            });
            wrong += usize::from(bad.is_some());
            first = first.or(bad);
        }
        (wrong, first)
    }
}

/// What becomes of a packet: each action that does more than change it, and the packet as it is then.
fn deeds(actions: &[DpAction], key: &FlowKey) -> Vec<(DpAction, FlowKey)> {
    let (mut key, mut done) = (*key, Vec::new());
    for action in actions {
        match action {
            DpAction::Set { field, value, mask } => {
                let had = key.get(*field).unwrap_or_default().0;
                key.set(*field, Value(had & !mask.0 | value.0));
            }
            DpAction::PushVlan(tag) => key.vlans = [*tag, key.vlans[0]],
            DpAction::PopVlan => key.vlans = [key.vlans[1], VlanTag::default()],
            DpAction::DecTtl => {
                done.push((DpAction::DecTtl, key));
                key.nw_ttl = key.nw_ttl.saturating_sub(1);
            }
            DpAction::Clone(list) => done.extend(deeds(list, &key)),
            DpAction::CheckLen(spec) => {
                for list in [&spec.greater, &spec.rest] {
                    done.push((DpAction::PopVlan, key));
                    done.extend(deeds(list, &key));
                }
            }
            other => done.push((other.clone(), key)),
        }
    }
    done
}

fn mix(a: &FlowKey, b: &FlowKey, mask: &Mask) -> FlowKey {
    let mut out = a.masked(mask);
    let parts = b.words().iter().zip(mask.0.words());
    for (to, (b, m)) in out.words_mut().iter_mut().zip(parts) {
        *to = std::array::from_fn(|i| to[i] | b[i] & !m[i]);
    }
    out
}

/// A key that is possible: no inner tag without an outer one.
fn possible(mut key: FlowKey) -> FlowKey {
    if !key.vlans[0].is_present() {
        key.vlans = [VlanTag::default(); 2];
    }
    key
}

fn returns(actions: &[DpAction], ids: &mut Vec<RecircId>) {
    for action in actions {
        match action {
            DpAction::Recirc(id) => ids.push(*id),
            DpAction::Clone(list) => returns(list, ids),
            _ => {}
        }
    }
}

/// Changes, revalidation by scope, and then all flows against the model. How many are wrong, how many were looked at and spared.
fn run(seed: u64, n: usize, heed_written: bool) -> (usize, Option<String>, usize, usize) {
    let mut rng = Rng::new(seed);
    let mut bench = Bench::new(seed, n);
    let mut wrong = (0, None);
    bench.clock.advance_to(Time(1_000_000_000));
    for _ in 0..6 {
        bench.meet(&mut rng, 20);
        for _ in 0..1 + rng.below(3) {
            bench.change(&mut rng);
        }
        bench.follow(heed_written);
        let (n, first) = bench.wrong(&mut rng);
        wrong = (wrong.0 + n, wrong.1.or(first));
    }
    (wrong.0, wrong.1, bench.checked, bench.spared)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flows_that_no_change_concerns_are_right(seed: u64, n in 3..80usize) {
        let (wrong, first, ..) = run(seed, n, true);
        prop_assert_eq!(wrong, 0, "{:?}", first);
    }
}

/// The test above can fail, and scopes are worth their while.
#[test]
fn overwritten_bits_that_are_not_heeded_are_found_out() {
    let (mut wrong, mut checked, mut spared) = (0, 0, 0);
    for seed in 0..60 {
        let (n, first, looked, kept) = run(seed, 50, true);
        assert_eq!(n, 0, "seed {seed}: {first:?}");
        (checked, spared) = (checked + looked, spared + kept);
        wrong += usize::from(run(seed, 50, false).0 > 0);
    }
    println!(
        "{wrong} of 60 runs go wrong without; {checked} flows were looked at, {spared} were spared by their scope"
    );
    assert!(wrong >= 3, "{wrong} runs");
    assert!(spared > checked, "{spared} spared, {checked} checked");
}
