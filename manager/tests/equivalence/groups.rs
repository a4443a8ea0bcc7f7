//! `select` groups: software chooses buckets by the datapath's hash, and the switch chooses them itself where hardware then takes
//! the flows. Frames, counters of rules, groups and buckets, and learned addresses are the same, with changes of groups, ports
//! and offload in the middle of the traffic.
//!
//! 600 cases, or as `EQUIVALENCE_CASES=N` says, from seed `EQUIVALENCE_FIRST` on.

use crate::chaos;
use crate::many::number;
use crate::rig::{Count, MARKING, PORTS, Rig, Run, plain_ports};
use flow::clock::Time;
use flow::dp::Effect;
use flow::group::{Bucket, GroupKind, GroupSpec, Selection};
use flow::rule::RuleSpec;
use flow::{Action, FieldId, OfPort, Value};
use mocks::nic::Faults;
use offload::Placement;
use pipeline::testing::{PacketGen, Rng, RuleGen, RuleOptions, TestPacket};
use pipeline::{Change, GroupChange, PortUpdate, RuleChange};
use std::collections::HashMap;
use std::time::Duration;

const PROFILES: [&str; 5] = ["connectx", MARKING, "e810", "tiny", "full"];
/// Cases of a switch before it is replaced by a new one.
const LIFE: usize = 500;
/// A group that buckets of others send to.
const NEXT: u32 = 9;
const EVENTS: usize = 40;
/// Different packets of a case.
const HOT: usize = 12;

enum Event {
    Packet(Box<TestPacket>),
    Group(GroupSpec),
    Port { port: OfPort, up: bool },
    Offload(bool),
}

struct Case {
    seed: u64,
    groups: Vec<GroupSpec>,
    rules: Vec<RuleSpec>,
    events: Vec<Event>,
}

fn set(rng: &mut Rng) -> Action {
    let (field, value) = match rng.below(5) {
        0 => (FieldId::EthDst, Value(rng.below(1 << 40) as u128)),
        1 => (FieldId::Ipv4Dst, Value(0x0a00_0000 + rng.below(9) as u128)),
        2 => (FieldId::TcpDst, Value(rng.below(9) as u128)),
        3 => return Action::ModVlanVid(10),
        _ => return Action::DecTtl,
    };
    Action::SetField { field, value, mask: field.def().ones() }
}

/// A group; one in ten is not of a sort that is unrolled.
fn group(rng: &mut Rng, id: u32) -> GroupSpec {
    let bucket = |id: usize, rng: &mut Rng| {
        let mut actions: Vec<Action> = (0..rng.below(3)).map(|_| set(rng)).collect();
        actions.push(Action::Output(match rng.below(40) {
            0 => OfPort::IN_PORT,
            1 => OfPort(77),
            _ => PORTS[rng.below(PORTS.len())],
        }));
        match rng.below(30) {
            0 => drop(actions.pop()),
            1 => actions.push(Action::Group(NEXT)),
            // As OVN does.
            2..5 => {
                actions.pop();
                actions.push(Action::Resubmit { port: None, table: Some(1 + rng.below(2) as u8), ct: false });
            }
            _ => {}
        }
        let watch_port = rng.percent(20).then(|| PORTS[rng.below(PORTS.len())]);
        Bucket { id: id as u32, weight: rng.below(5) as u16, watch_port, watch_group: None, actions }
    };
    let buckets = (0..1 + rng.below(5)).map(|id| bucket(id, rng)).collect();
    let selection = match rng.below(10) {
        0..6 => Selection::Default,
        6..9 => Selection::DpHash { param: (rng.below(2) as u64) << 32 | rng.below(3) as u64 },
        _ => Selection::Hash { param: 7, fields: vec![(FieldId::Ipv4Src, FieldId::Ipv4Src.def().ones())] },
    };
    GroupSpec { id, kind: GroupKind::Select, selection, buckets }
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut rng = Rng::new(seed ^ 0x6f07);
        let options = RuleOptions {
            tables: 1 + rng.below(3) as u8,
            normal: rng.percent(30),
            controller: rng.percent(5),
            unchecked_sets: false,
        };
        let mut rules = RuleGen::with_options(seed, options).rules(4 + rng.below(10), &PORTS);
        let actions = vec![set(&mut rng), Action::Output(PORTS[rng.below(PORTS.len())])];
        let only = Bucket { id: 1, weight: 0, watch_port: None, watch_group: None, actions };
        let end = GroupSpec { id: NEXT, kind: GroupKind::Indirect, selection: Selection::Default, buckets: vec![only] };
        let mut groups = vec![end];
        groups.extend((1..=2).map(|id| group(&mut rng, id)));
        let matches = rules.clone();
        for rule in &mut rules {
            if !rng.percent(70) {
                continue;
            }
            let to = Action::Group(1 + rng.below(2) as u32);
            match rule.actions.iter().rposition(|a| matches!(a, Action::Output(_))) {
                // Most groups come last. Others are one of several outputs, or in a copy, or in the action set.
                Some(at) if rng.percent(80) => rule.actions[at] = to,
                Some(at) if rng.percent(30) => rule.actions.insert(at, Action::Clone(vec![set(&mut rng), to])),
                Some(at) if rng.percent(50) => rule.actions.insert(at, to),
                _ if rng.percent(70) && !rule.actions.iter().any(|a| matches!(a, Action::GotoTable(_))) => {
                    rule.actions = vec![Action::WriteActions(vec![set(&mut rng), to])];
                }
                _ => {}
            }
        }
        let mut generator = PacketGen::new(seed, &matches, &PORTS);
        let hot: Vec<TestPacket> = (0..HOT).map(|_| generator.next_packet()).collect();
        let (mut up, mut offload) = ([true; PORTS.len()], true);
        let mut event = |i: usize| match rng.below(60) {
            0 if i > 5 => {
                let id = 1 + rng.below(2) as u32;
                Event::Group(group(&mut rng, id))
            }
            1 if i > 5 => {
                let place = rng.below(PORTS.len());
                up[place] = !up[place];
                Event::Port { port: PORTS[place], up: up[place] }
            }
            2 => {
                offload = !offload;
                Event::Offload(offload)
            }
            _ => Event::Packet(Box::new(hot[rng.below(HOT).min(rng.below(HOT))].clone())),
        };
        let events = (0..EVENTS).map(&mut event).collect();
        Case { seed, groups, rules, events }
    }

    fn play(&self, rig: &mut Rig, now: &mut Time, offload: bool, watched: bool) -> Outcome {
        let bridge = rig.bridge;
        rig.begin(&[], &[]);
        let mut changes: Vec<Change> = vec![GroupChange::Delete { bridge, group: None }.into()];
        changes.extend(self.groups.iter().map(|group| GroupChange::Add { bridge, group: group.clone() }.into()));
        changes.extend(self.rules.iter().map(|rule| RuleChange::Add { bridge, rule: rule.clone() }.into()));
        rig.switch.pipeline().change(&changes).unwrap();
        rig.fence();
        *now = now.after(Duration::from_secs(11));
        rig.advance(*now);
        let mut buckets = Vec::new();
        for event in &self.events {
            match event {
                Event::Packet(packet) => {
                    *now = now.after(Duration::from_millis(1));
                    rig.advance(*now);
                    let end = PORTS.iter().position(|port| *port == packet.in_port).unwrap();
                    if watched {
                        rig.inject_watched(end, &packet.key, &packet.frame);
                    } else {
                        rig.inject(end, &packet.frame);
                    }
                }
                Event::Group(group) => {
                    // What was counted goes with the old buckets.
                    rig.read_counters();
                    rig.switch.fold();
                    buckets.push(counts(rig));
                    let group = group.clone();
                    let change = GroupChange::Modify { bridge, group, may_create: false };
                    rig.switch.pipeline().change(&[change.into()]).unwrap();
                    rig.fence();
                }
                Event::Port { port, up } => set_port(rig, *port, *up),
                Event::Offload(on) if offload => rig.offload(*on),
                Event::Offload(_) => {}
            }
        }
        rig.note_placements();
        let hashed = |f: &&manager::switch::FlowInfo| f.flow.effects.iter().any(|e| matches!(e, Effect::Bucket { .. }));
        let flows = rig.switch.flows();
        let unrolled = flows.iter().filter(|f| f.flow.key.recirc_id.get() == 0).filter(hashed);
        let unrolled = unrolled.filter(|f| rig.placements.get(&f.flow.id) == Some(&Placement::Full)).count();
        rig.read_counters();
        let run = rig.end();
        buckets.push(counts(rig));
        PORTS.iter().for_each(|port| set_port(rig, *port, true));
        if offload {
            rig.offload(true);
        }
        Outcome { run, buckets, unrolled }
    }
}

fn set_port(rig: &mut Rig, port: OfPort, up: bool) {
    let update = PortUpdate { up: Some(up), ..PortUpdate::default() };
    rig.switch.pipeline().update_port(rig.bridge, port, update).unwrap();
    rig.fence();
}

/// What groups and buckets have counted.
type Counts = Vec<(u32, Count, Vec<Count>)>;

fn counts(rig: &Rig) -> Counts {
    let groups = rig.switch.pipeline().groups(rig.bridge);
    groups.into_iter().map(|g| (g.spec.id, (g.packets, g.bytes), g.buckets)).collect()
}

struct Outcome {
    run: Run,
    /// Before each change of a group, and at the end.
    buckets: Vec<Counts>,
    /// Flows in hardware, at the end, with a bucket that the switch chose.
    unrolled: usize,
}

fn play_all(cases: &[Case], profile: &str, offload: bool) -> Vec<Outcome> {
    let mut rig = Rig::new(profile, Faults::none(), offload, &plain_ports(), &[]);
    let mut now = Time(0);
    cases.iter().map(|case| case.play(&mut rig, &mut now, offload, true)).collect()
}

/// On a device that misbehaves. How often it did, and packets that it switched all the same.
fn play_in_chaos(cases: &[Case], off: &[Outcome], dies: bool) -> (u64, u64) {
    let (backend, mischief) = chaos::wrap(cases[0].seed, dies);
    let mut rig = Rig::with_backend(MARKING, Faults::none(), true, &plain_ports(), &[], backend);
    let (mut now, mut switched) = (Time(0), 0);
    for (case, off) in cases.iter().zip(off) {
        // Packets that a dead device counted are told of when it is back, and an address that has moved meanwhile moves back.
        if dies && case.rules.iter().any(|rule| rule.actions.contains(&Action::Output(OfPort::NORMAL))) {
            continue;
        }
        let mut on = case.play(&mut rig, &mut now, true, false);
        on.run.troubles.retain(|trouble| !chaos::is_expected(trouble));
        switched += on.run.tally.hardware;
        // A counter that is read late counts for the bucket that has the number then.
        let settled = !case.events.iter().any(|event| matches!(event, Event::Group(_)));
        if dies {
            // What it had counted since the last reading is lost with it.
            on.run.take_counts_of(&off.run);
        } else if settled {
            assert_eq!(on.buckets, off.buckets, "seed {} (of those from {} on) in chaos", case.seed, cases[0].seed);
        }
        if let Some(fault) = on.run.fault(&off.run) {
            panic!("seed {} (of those from {} on) in chaos, dies: {dies}: {fault}", case.seed, cases[0].seed);
        }
    }
    (mischief.total(), switched)
}

#[test]
fn buckets_are_the_same_whoever_hashes() {
    let (first, cases) = (number("EQUIVALENCE_FIRST", 5_000_000), number("EQUIVALENCE_CASES", 600));
    let mut unrolled: HashMap<&str, usize> = HashMap::new();
    let (mut met, mut mischief, mut chaotic) = (0, 0, 0);
    let seeds: Vec<u64> = (first..first + cases).collect();
    for life in seeds.chunks(LIFE) {
        let cases: Vec<Case> = life.iter().map(|seed| Case::new(*seed)).collect();
        let off = play_all(&cases, "none", false);
        met += off.iter().flat_map(|o| o.buckets.last()).flatten().filter(|(_, (packets, _), _)| *packets > 0).count();
        for (case, off) in cases.iter().zip(&off) {
            assert_eq!(off.run.troubles, [""; 0], "seed {} without offload", case.seed);
        }
        for profile in PROFILES {
            for ((case, off), on) in cases.iter().zip(&off).zip(play_all(&cases, profile, true)) {
                if let Some(fault) = on.run.fault(&off.run) {
                    panic!("seed {} (of those from {} on), {profile}: {fault}", case.seed, life[0]);
                }
                assert_eq!(on.buckets, off.buckets, "seed {} (of those from {} on), {profile}", case.seed, life[0]);
                *unrolled.entry(profile).or_default() += on.unrolled;
            }
        }
        for dies in [false, true] {
            let (times, packets) = play_in_chaos(&cases, &off, dies);
            (mischief, chaotic) = (mischief + times, chaotic + packets);
        }
    }
    println!("{cases} cases from seed {first} on: packets in {met} groups; unrolled flows in hardware: {unrolled:?}");
    println!("{mischief} operations went wrong in the chaotic device, which switched {chaotic} packets");
    assert!(mischief > cases / 4 && chaotic > cases, "hardly any chaos: {mischief}, {chaotic}");
    for profile in ["connectx", "full"] {
        assert!(unrolled[profile] as u64 > cases / 2, "hardly any group was in hardware: {unrolled:?}");
    }
    assert!(met as u64 > cases / 2, "hardly any packet came to a group: {met}");
}
