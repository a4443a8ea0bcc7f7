//! Random cases: rules, packets that meet them, and changes in the middle of the traffic. All from one seed.

use crate::learning::{self, Gone, Learned, Reading};
use crate::meters::{self, Readings};
use crate::rig::{Count, PORTS, Rig, Run, plain_ports};
use flow::clock::Time;
use flow::extract::{RxMeta, extract};
use flow::meter::MeterSpec;
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, DpPort, FlowKey, OfPort};
use mocks::nic::Faults;
use pipeline::testing::{Model, PacketGen, Rng, RuleGen, RuleOptions, TestPacket, TestPort, dp};
use pipeline::{PortUpdate, RuleChange, Select, VlanMode};
use std::collections::HashMap;
use std::time::Duration;

/// Packets and changes in a case.
const EVENTS: usize = 200;
/// Packets that come again and again, so that their flows are met by more than one.
const HOT: usize = 20;
/// Packets of a short case, and how many different ones.
const SHORT_EVENTS: usize = 20;
const SHORT_HOT: usize = 4;
/// The same of a case for threads.
const UNORDERED_EVENTS: usize = 200;
const UNORDERED_HOT: usize = 8;
/// Share of cases with meters.
const METERING: u8 = 35;
/// Share of cases whose rules learn, and of their events that are time that passes, in short ones per packet.
const LEARNING: u8 = 30;
const PASSING: u8 = 8;
const SHORT_PASSING: u8 = 30;
/// How long an address that is silent is remembered (the pipeline's default).
const AGEING: Duration = Duration::from_secs(300);

/// What happens to the switch.
#[derive(Clone, Debug)]
pub enum Event {
    Packet {
        end: usize,
        packet: Box<TestPacket>,
    },
    Add(RuleSpec),
    Delete(RuleSpec),
    Modify(RuleSpec, Vec<Action>),
    Meter(MeterSpec),
    Port {
        place: usize,
        up: bool,
    },
    /// Not for a switch that runs without offload.
    Offload(bool),
    Wait(Duration),
}

/// What a linear reading of the rules says of a case.
#[derive(Debug, Default)]
pub struct Expected {
    /// By cookie.
    pub rules: HashMap<u64, Count>,
    /// Last counts of the rules that were deleted, in order.
    pub removed: Vec<Count>,
    pub meters: Readings,
    /// Rules that packets made, at the end of the traffic, and all that went; how often one was made, and packets that hit one.
    pub learned: Vec<Learned>,
    pub gone: Vec<Gone>,
    pub made: usize,
    pub learned_hits: usize,
    /// What each packet sends: port and key.
    pub sent: Vec<Vec<(DpPort, FlowKey)>>,
    /// Packets that hit a rule of table 0 that is not the last resort.
    pub hit: usize,
    pub forwarded: usize,
}

/// One case.
pub struct Case {
    pub seed: u64,
    pub ports: Vec<TestPort>,
    pub meters: Vec<MeterSpec>,
    pub rules: Vec<RuleSpec>,
    /// Whether some of them learn.
    pub learns: bool,
    pub events: Vec<Event>,
}

fn varied_ports() -> Vec<TestPort> {
    let modes = [
        VlanMode::default(),
        VlanMode::Access(10),
        VlanMode::Trunk([10, 20].into_iter().collect()),
        VlanMode::NativeUntagged { native: 20, trunks: [30].into_iter().collect() },
        VlanMode::NativeTagged { native: 10, trunks: [20, 30].into_iter().collect() },
    ];
    let port = |(number, vlan): (&OfPort, _)| TestPort { number: *number, vlan, flood: *number != OfPort(4), up: true };
    PORTS.iter().zip(modes).map(port).collect()
}

impl Case {
    /// The case of this seed.
    pub fn new(seed: u64) -> Case {
        let mut rng = Rng::new(seed ^ 0xca5e);
        let options = RuleOptions {
            tables: 1 + rng.below(4) as u8,
            normal: rng.percent(85),
            controller: rng.percent(15),
            unchecked_sets: rng.percent(15),
        };
        let mut all = RuleGen::with_options(seed, options).rules(10 + rng.below(50), &PORTS);
        let (meters, mut dice) = with_meters(seed, &mut all, true);
        let (learns, mut passing) = with_learning(seed, &mut all);
        let (mut later, rules): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|rule| rule.cookie != 0 && rng.percent(20));
        let mut generator = PacketGen::new(seed, &all, &PORTS);
        let mut next_packet = |dice: &mut Rng| match &meters[..] {
            [] => generator.next_packet(),
            _ => meters::stretch(generator.next_packet(), dice),
        };
        let mut hot: Vec<TestPacket> = (0..HOT).map(|_| next_packet(&mut dice)).collect();
        if learns {
            learning::talk(&mut hot, &mut passing);
        }
        let mut live = rules.clone();
        let (mut up, mut offload) = ([true; PORTS.len()], true);
        let mut events = Vec::new();
        while events.len() < EVENTS {
            if learns && passing.percent(PASSING) {
                events.push(Event::Wait(learning::wait(&mut passing)));
                continue;
            }
            let changeable = live.iter().position(|r| r.cookie != 0);
            events.push(match rng.below(300) {
                // Off for a few packets only.
                _ if !offload && rng.percent(15) => {
                    offload = true;
                    Event::Offload(true)
                }
                0..8 if !later.is_empty() => {
                    let rule = later.swap_remove(rng.below(later.len()));
                    live.push(rule.clone());
                    Event::Add(rule)
                }
                8..13 if changeable.is_some() => {
                    let rule = live.swap_remove(rng.below(live.len()));
                    if rule.cookie == 0 {
                        live.push(rule);
                        continue;
                    }
                    later.push(rule.clone());
                    Event::Delete(rule)
                }
                13..20 if changeable.is_some() => {
                    let of = live[rng.below(live.len())].clone();
                    let same: Vec<_> = all.iter().filter(|r| r.table == of.table && r.cookie != 0).collect();
                    if of.cookie == 0 || same.is_empty() {
                        continue;
                    }
                    let actions = same[rng.below(same.len())].actions.clone();
                    Event::Modify(of, actions)
                }
                20..22 => {
                    let place = rng.below(PORTS.len());
                    up[place] = !up[place];
                    Event::Port { place, up: up[place] }
                }
                22..24 if offload => {
                    offload = false;
                    Event::Offload(false)
                }
                24..27 => Event::Wait(Duration::from_millis([50, 1500, 12_000, 301_000][rng.below(4)])),
                27..30 if !meters.is_empty() => {
                    Event::Meter(meters::other(&meters[dice.below(meters.len())], true, &mut dice))
                }
                27..40 => packet(next_packet(&mut dice)),
                // Some of them more often than others.
                _ => packet(hot[rng.below(HOT).min(rng.below(HOT))].clone()),
            });
        }
        Case {
            seed,
            ports: if rng.percent(50) { plain_ports() } else { varied_ports() },
            meters,
            rules,
            learns,
            events,
        }
    }

    /// A short case without changes, to be one of many: a few rules, and packets that meet them.
    pub fn short(seed: u64) -> Case {
        let mut rng = Rng::new(seed ^ 0x5407);
        let options = RuleOptions {
            tables: 1 + rng.below(3) as u8,
            normal: rng.percent(50),
            controller: rng.percent(10),
            unchecked_sets: rng.percent(15),
        };
        let mut rules = RuleGen::with_options(seed, options).rules(4 + rng.below(12), &PORTS);
        let (meters, mut dice) = with_meters(seed, &mut rules, true);
        let (learns, mut passing) = with_learning(seed, &mut rules);
        let mut generator = PacketGen::new(seed, &rules, &PORTS);
        let mut few: Vec<TestPacket> = (0..SHORT_HOT).map(|_| generator.next_packet()).collect();
        if !meters.is_empty() {
            few = few.into_iter().map(|packet| meters::stretch(packet, &mut dice)).collect();
        }
        if learns {
            learning::talk(&mut few, &mut passing);
        }
        let mut events = Vec::new();
        for i in 0..SHORT_EVENTS {
            // Each comes twice or more often: the first makes the flow, the others meet it.
            events.push(packet(few[if i < SHORT_HOT { i } else { rng.below(SHORT_HOT) }].clone()));
            if learns && passing.percent(SHORT_PASSING) {
                events.push(Event::Wait(learning::wait(&mut passing)));
            }
        }
        Case { seed, ports: plain_ports(), meters, rules, learns, events }
    }

    /// The same with rules whose packets may come in any order: nothing is learned, and a meter that is full drops none of them.
    pub fn unordered(seed: u64) -> Case {
        let mut rng = Rng::new(seed ^ 0x0d0e);
        let options = RuleOptions {
            tables: 1 + rng.below(3) as u8,
            normal: false,
            controller: false,
            unchecked_sets: rng.percent(15),
        };
        let mut rules = RuleGen::with_options(seed, options).rules(4 + rng.below(12), &PORTS);
        let (meters, _) = with_meters(seed, &mut rules, false);
        let mut generator = PacketGen::new(seed, &rules, &PORTS);
        let few: Vec<TestPacket> = (0..UNORDERED_HOT).map(|_| generator.next_packet()).collect();
        let events = (0..UNORDERED_EVENTS).map(|_| packet(few[rng.below(UNORDERED_HOT)].clone()));
        Case { seed, ports: plain_ports(), meters, rules, learns: false, events: events.collect() }
    }

    /// Play it on a switch that others were played on before, from `now` on.
    pub fn play(&self, rig: &mut Rig, now: &mut Time) -> Run {
        rig.begin(&self.meters, &self.rules);
        // So that a device that was full, busy or dead in an earlier case is asked again.
        *now = now.after(Duration::from_secs(11));
        rig.advance(*now);
        rig.start = *now;
        for event in &self.events {
            match event {
                Event::Packet { end, packet } => {
                    *now = now.after(Duration::from_millis(1));
                    rig.advance(*now);
                    rig.inject(*end, &packet.frame);
                }
                Event::Wait(time) => {
                    *now = now.after(*time);
                    rig.advance(*now);
                }
                _ => {}
            }
        }
        rig.note_placements();
        rig.read_counters();
        if self.learns {
            *now = rig.end_learning();
        }
        rig.end()
    }

    /// A switch to play it on.
    pub fn rig(&self, profile: &str, faults: Faults, offload: bool) -> Rig {
        let mut rig = Rig::new(profile, faults, offload, &self.ports, &[]);
        rig.begin(&self.meters, &self.rules);
        rig
    }

    /// Run it.
    pub fn run(&self, profile: &str, faults: Faults, offload: bool) -> Run {
        let mut rig = self.rig(profile, faults, offload);
        let mut now = Time(0);
        for event in &self.events {
            match event {
                Event::Packet { end, packet } => {
                    now = now.after(Duration::from_millis(1));
                    rig.advance(now);
                    rig.inject_watched(*end, &packet.key, &packet.frame);
                }
                Event::Wait(time) => {
                    now = now.after(*time);
                    rig.advance(now);
                }
                change => rig.event(change, offload),
            }
        }
        if self.learns {
            rig.end_learning();
        }
        rig.finish()
    }

    /// What must come of it, by an independent reading.
    pub fn expected(&self) -> Expected {
        let mut out = Expected::default();
        let mut model = Model { ports: self.ports.clone(), rules: self.rules.clone(), ..Model::default() };
        self.meters.iter().for_each(|meter| out.meters.put(meter, &mut model));
        let (mut now, mut seen, mut reading) = (Time(0), HashMap::new(), Reading::default());
        for event in &self.events {
            let pass = match event {
                Event::Packet { .. } => Duration::from_millis(1),
                Event::Wait(time) => *time,
                _ => Duration::ZERO,
            };
            now = now.after(pass);
            if !pass.is_zero() && reading.pass(pass, &mut model) {
                model.fdb.retain(|station, _| now.since(seen[station]) < AGEING);
            }
            let owners = learning::owners(&model.rules);
            match event {
                Event::Packet { packet, .. } => {
                    let outcome = model.run_frame(packet.in_port, &packet.key, packet.frame.len());
                    out.meters.count(&outcome.metered);
                    for place in &outcome.places {
                        reading.hit(&model.rules[*place], packet.frame.len());
                    }
                    for (rule, limit) in outcome.made {
                        reading.make(rule, limit, &mut model);
                    }
                    for cookie in outcome.hits.iter().filter_map(|hit| hit.1) {
                        let count = out.rules.entry(cookie).or_default();
                        *count = (count.0 + 1, count.1 + packet.frame.len() as u64);
                    }
                    for (vlan, mac, port) in outcome.learned {
                        model.fdb.insert((vlan, mac), port);
                        seen.insert((vlan, mac), now);
                    }
                    out.hit += usize::from(matches!(outcome.hits.first(), Some((0, Some(1..)))));
                    let sent: Vec<_> = outcome.sent.into_iter().filter(|(port, _)| port.0 != u32::MAX).collect();
                    out.forwarded += usize::from(!sent.is_empty());
                    out.sent.push(sent);
                }
                Event::Add(rule) => model.rules.push(rule.clone()),
                Event::Delete(rule) => {
                    model.rules.retain(|r| r.cookie != rule.cookie);
                    out.removed.push(out.rules.remove(&rule.cookie).unwrap_or_default());
                }
                Event::Modify(rule, actions) => {
                    let rule = model.rules.iter_mut().find(|r| r.cookie == rule.cookie).unwrap();
                    rule.actions.clone_from(actions);
                }
                Event::Meter(meter) => out.meters.put(meter, &mut model),
                Event::Port { place, up } => model.ports[*place].up = *up,
                Event::Offload(_) | Event::Wait(_) => {}
            }
            reading.changed(&owners, &mut model);
        }
        out.learned = reading.end(&mut model);
        (out.made, out.learned_hits) = (reading.made, reading.hits);
        out.gone = reading.gone;
        out
    }
}

/// Meters for some cases. By dice of their own, so that rules and packets are those that the seed gives in any case.
fn with_meters(seed: u64, rules: &mut [RuleSpec], lengths: bool) -> (Vec<MeterSpec>, Rng) {
    let mut dice = Rng::new(seed ^ 0x3e7e);
    let meters = if dice.percent(METERING) { meters::put(rules, lengths, &mut dice) } else { Vec::new() };
    (meters, dice)
}

/// Rules that learn, for some cases; by dice of their own, too.
fn with_learning(seed: u64, rules: &mut [RuleSpec]) -> (bool, Rng) {
    let mut dice = Rng::new(seed ^ 0x1ea2);
    (dice.percent(LEARNING) && learning::put(rules, &mut dice), dice)
}

fn packet(packet: TestPacket) -> Event {
    let end = PORTS.iter().position(|port| *port == packet.in_port).unwrap();
    Event::Packet { end, packet: Box::new(packet) }
}

impl Expected {
    /// How a run is not what a linear reading says; `None`: all is well.
    pub fn fault(&self, run: &Run) -> Option<String> {
        let want = |cookie: u64| self.rules.get(&cookie).copied().unwrap_or_default();
        if let Some((rule, count)) = run.rules.iter().find(|((.., cookie), count)| *count != want(*cookie)) {
            return Some(format!("rule {rule:?} counted {count:?}, not {:?}", want(rule.2)));
        }
        if run.removed != self.removed {
            return Some(format!("removed rules counted {:?}, not {:?}", run.removed, self.removed));
        }
        if let Some(fault) = learning::fault((&run.learned, &run.gone), (&self.learned, &self.gone)) {
            return Some(fault);
        }
        if let Some((id, count)) = run.meters.iter().find(|(id, count)| *count != self.meters.counts[id]) {
            return Some(format!("meter {id} counted {count:?}, not {:?}", self.meters.counts[id]));
        }
        let mut got: Vec<Vec<(DpPort, FlowKey)>> = vec![Vec::new(); self.sent.len()];
        for (port, left) in PORTS.iter().zip(&run.left) {
            for (step, frame) in left {
                let mut key = extract(frame, frame.len(), &RxMeta::from_port(dp(*port)));
                key.in_port = 0.into();
                got[*step].push((dp(*port), key));
            }
        }
        for (step, (got, want)) in got.iter_mut().zip(&self.sent).enumerate() {
            got.sort_by_key(|(port, key)| (*port, *key.words()));
            if got != want {
                return Some(format!("packet {step}: {got:?} left, not {want:?}"));
            }
        }
        None
    }
}

impl Rig {
    /// A change of rules, ports or offload; the last one only where `offload` may be.
    pub fn event(&mut self, event: &Event, offload: bool) {
        let bridge = self.bridge;
        match event {
            Event::Packet { .. } | Event::Wait(_) => {}
            Event::Add(rule) => self.change(RuleChange::Add { bridge, rule: rule.clone() }),
            Event::Delete(rule) => self.change(RuleChange::Delete { bridge, select: Select::exactly(rule) }),
            Event::Modify(rule, actions) => {
                let (select, actions) = (Select::exactly(rule), actions.clone());
                self.change(RuleChange::Modify { bridge, select, actions, cookie: None, flags: RuleFlags::empty() });
            }
            Event::Meter(meter) => self.change_meter(meter),
            Event::Port { place, up } => {
                let update = PortUpdate { up: Some(*up), ..PortUpdate::default() };
                self.switch.pipeline().update_port(bridge, PORTS[*place], update).unwrap();
                self.fence();
            }
            Event::Offload(on) if offload => self.offload(*on),
            Event::Offload(_) => {}
        }
    }
}
