//! Meters that limit by rate. Packets that software switches, such as the first ones of flows, go through a bucket of software, the
//! others through the device's: what passes depends on who switched what. That is looked at; all the rest is computed.
//!
//! With meters in front of rules, each packet is sent as it would be without, or dropped. Rules, tables and addresses count and
//! learn as if there were no meter. Which packets pass, exact buckets say: two of a meter, of which a packet draws from the one of
//! whoever judged it. So no less passes than one bucket lets pass, and no more than the rates and bursts of two.

use crate::case::{Case, Event};
use crate::meters::Metered;
use crate::rig::{PORTS, PROFILES, Run, plain_ports};
use flow::Action;
use flow::clock::Time;
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use mocks::nic::{Fault, Faults};
use pipeline::testing::{Model, PacketGen, Rng, RuleGen, RuleOptions, TestPacket};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Cases of each profile.
const CASES: u64 = 60;
/// Meters of a case.
const METERS: usize = 2;
/// Packets of a case, and how many different ones.
const EVENTS: usize = 250;
const HOT: usize = 8;
/// All packets have so many bytes, two kilobits. Among equal packets, a second bucket never makes fewer pass.
const LENGTH: usize = 250;
/// From packet to packet.
const STEP: Duration = Duration::from_millis(1);
const SECOND: u64 = 1_000_000_000;

/// A meter that lets some of the packets pass: so many a second, and at a time.
#[derive(Clone, Copy)]
struct Limit {
    rate: u64,
    burst: u64,
}

impl Limit {
    fn spec(self, id: u32, unit: MeterUnit) -> MeterSpec {
        let each = if unit == MeterUnit::Kbps { 2 } else { 1 };
        let [rate, burst_size] = [self.rate, self.burst].map(|n| (n * each) as u32);
        MeterSpec { id, unit, burst: true, stats: true, bands: vec![Band { kind: BandKind::Drop, rate, burst_size }] }
    }
}

/// An exact bucket, in billionths of a packet.
struct Bucket {
    limit: Limit,
    there: u64,
    at: Time,
}

impl Bucket {
    fn full(limit: Limit) -> Bucket {
        Bucket { limit, there: limit.burst * SECOND, at: Time(0) }
    }

    fn passes(&mut self, now: Time) -> bool {
        let came = self.limit.rate * (now.0 - self.at.0);
        (self.there, self.at) = ((self.there + came).min(self.limit.burst * SECOND), now);
        let enough = self.there >= SECOND;
        self.there -= if enough { SECOND } else { 0 };
        enough
    }
}

/// A case, its meters, and the meter that each packet comes to.
struct Limited {
    case: Case,
    limits: HashMap<u32, Limit>,
    meets: Vec<Option<u32>>,
}

impl Limited {
    fn new(seed: u64) -> Limited {
        let mut rng = Rng::new(seed ^ 0x0011_4175);
        let options = RuleOptions {
            tables: 1 + rng.below(3) as u8,
            normal: rng.percent(50),
            controller: false,
            unchecked_sets: rng.percent(15),
        };
        let mut rules = RuleGen::with_options(seed, options).rules(4 + rng.below(12), &PORTS);
        for rule in rules.iter_mut().filter(|rule| rule.table == 0) {
            if rng.percent(70) {
                rule.actions.insert(0, Action::Meter(1 + rng.below(METERS) as u32));
            }
        }
        let mut limits = HashMap::new();
        let meters = (1..=METERS as u32).map(|id| {
            let limit = Limit { rate: [20, 50, 100][rng.below(3)], burst: 1 + rng.below(4) as u64 };
            limits.insert(id, limit);
            limit.spec(id, if rng.percent(50) { MeterUnit::Kbps } else { MeterUnit::Pktps })
        });
        let meters = meters.collect();
        let mut generator = PacketGen::new(seed, &rules, &PORTS);
        let mut hot: Vec<TestPacket> = (0..HOT).map(|_| generator.next_packet()).collect();
        hot.iter_mut().for_each(|packet| packet.frame.resize(LENGTH, 0));
        let packets: Vec<&TestPacket> = (0..EVENTS).map(|_| &hot[rng.below(HOT).min(rng.below(HOT))]).collect();
        let model = Model { ports: plain_ports(), rules: rules.clone(), ..Model::default() };
        // Each comes to one at most: that of its rule in the first table.
        let meter = |packet: &&TestPacket| {
            let outcome = model.run_frame(packet.in_port, &packet.key, LENGTH);
            outcome.metered.first().map(|(id, _)| *id)
        };
        let meets = packets.iter().map(meter).collect();
        let event = |packet: &TestPacket| Event::Packet {
            end: PORTS.iter().position(|port| *port == packet.in_port).unwrap(),
            packet: Box::new(packet.clone()),
        };
        let events = packets.into_iter().map(event).collect();
        Limited { case: Case { seed, ports: plain_ports(), meters, rules, learns: false, events }, limits, meets }
    }

    /// The case without its meters.
    fn free(&self) -> Case {
        let mut rules = self.case.rules.clone();
        for rule in &mut rules {
            rule.actions.retain(|action| !matches!(action, Action::Meter(_)));
        }
        Case {
            seed: self.case.seed,
            ports: plain_ports(),
            meters: Vec::new(),
            rules,
            learns: false,
            events: self.case.events.clone(),
        }
    }

    /// Play it: what came of it, and which packets a meter of the device judged.
    fn play(&self, profile: &str, faults: Faults, offload: bool) -> (Run, Vec<bool>) {
        let mut rig = self.case.rig(profile, faults, offload);
        let (mut now, mut by_device) = (Time(0), Vec::new());
        for event in &self.case.events {
            let Event::Packet { end, packet } = event else { continue };
            now = now.after(STEP);
            rig.advance(now);
            let before = rig.nic.stats().metered;
            rig.inject(*end, &packet.frame);
            by_device.push(rig.nic.stats().metered > before);
        }
        rig.note_placements();
        (rig.finish(), by_device)
    }

    /// Which packets pass, if these were judged by the device.
    fn passing(&self, by_device: &[bool]) -> Vec<bool> {
        let mut buckets: HashMap<(u32, bool), Bucket> = HashMap::new();
        let mut now = Time(0);
        let judge = |(meter, device): (&Option<u32>, &bool)| {
            now = now.after(STEP);
            meter.is_none_or(|id| {
                let bucket = buckets.entry((id, *device)).or_insert_with(|| Bucket::full(self.limits[&id]));
                bucket.passes(now)
            })
        };
        self.meets.iter().zip(by_device).map(judge).collect()
    }

    /// What is wrong with a run, beside the same without meters.
    fn fault(&self, run: &Run, by_device: &[bool], free: &Run) -> Option<String> {
        let passing = self.passing(by_device);
        for (end, (got, all)) in run.left.iter().zip(&free.left).enumerate() {
            let want: Vec<_> = all.iter().filter(|(step, _)| passing[*step]).collect();
            if !got.iter().eq(want.iter().copied()) {
                let at = got.iter().zip(&want).take_while(|(g, w)| g == *w).count();
                let step = |frame: Option<&(usize, Vec<u8>)>| frame.map(|(step, _)| *step);
                let (got, want) = (step(got.get(at)), step(want.get(at).copied()));
                return Some(format!("end {end}: a frame of packet {got:?} instead of {want:?}"));
            }
        }
        let mut counts: HashMap<u32, Metered> = HashMap::new();
        for (id, passes) in self.meets.iter().zip(&passing) {
            let Some(id) = id else { continue };
            let count = counts.entry(*id).or_default();
            let more = |(packets, bytes): (u64, u64), n: u64| (packets + n, bytes + n * LENGTH as u64);
            (count.came, count.dropped) = (more(count.came, 1), more(count.dropped, u64::from(!passes)));
        }
        if let Some((id, got)) = run.meters.iter().find(|(id, got)| *got != counts.get(id).copied().unwrap_or_default())
        {
            return Some(format!("meter {id} counted {got:?}, not {:?}", counts.get(id)));
        }
        if (&run.rules, &run.misses, &run.fdb) != (&free.rules, &free.misses, &free.fdb) {
            return Some(format!("rules, misses, addresses: {:?} {:?} {:?}", run.rules, run.misses, run.fdb));
        }
        run.troubles.first().cloned()
    }

    /// What is wrong with the bytes that passed: those of a run with offload, and of one without.
    fn out_of_bounds(&self, on: &Run, off: &Run) -> Option<String> {
        let passed = |metered: Metered| metered.came.1 - metered.dropped.1;
        let time = STEP.as_nanos() as u64 * EVENTS as u64;
        on.meters.iter().zip(&off.meters).find_map(|((id, on), (_, off))| {
            let Limit { rate, burst } = self.limits[id];
            let most = 2 * (burst * LENGTH as u64 + rate * LENGTH as u64 * time / SECOND);
            let (got, least) = (passed(*on), passed(*off));
            (got < least || got > most).then(|| format!("meter {id} let {got} bytes pass, not {least} to {most}"))
        })
    }
}

#[test]
fn meters_pass_their_rate_at_least_and_twice_at_most() {
    let start = Instant::now();
    let mut all: HashMap<&str, (usize, usize, usize)> = HashMap::new();
    for seed in 0..CASES {
        let limited = Limited::new(seed);
        let free = limited.free().run("none", Faults::none(), false);
        let (off, by_device) = limited.play("none", Faults::none(), false);
        assert!(!by_device.contains(&true));
        if let Some(fault) = limited.fault(&off, &by_device, &free) {
            panic!("seed {seed} without offload: {fault}");
        }
        for profile in PROFILES {
            let (on, by_device) = limited.play(profile, Faults::none(), true);
            let fault = limited.fault(&on, &by_device, &free).or_else(|| limited.out_of_bounds(&on, &off));
            if let Some(fault) = fault {
                panic!("seed {seed}, {profile}: {fault}");
            }
            let (judged, passed, more) = all.entry(profile).or_default();
            let passing = limited.passing(&by_device);
            *judged += by_device.iter().filter(|device| **device).count();
            *passed += by_device.iter().zip(passing).filter(|(device, passes)| **device && *passes).count();
            *more += usize::from(on.meters != off.meters);
        }
    }
    for (profile, (judged, passed, more)) in &all {
        println!(
            "{profile:<16} {judged} packets judged by the device, {passed} passed; more in {more} of {CASES} cases"
        );
        let meters = ["connectx", "connectx-marking", "tiny", "full"].contains(profile);
        assert!(meters || (*judged, *more) == (0, 0), "{profile}");
    }
    println!("{:?}", start.elapsed());
    let (judged, passed, more) = all["connectx"];
    assert!(judged * 100 >= CASES as usize * EVENTS * 15);
    assert!(passed * 100 >= judged * 5 && passed * 100 <= judged * 80);
    assert!(more as u64 * 4 >= CASES, "buckets of software and hardware together let more pass in {more} cases");
}

#[test]
fn wrong_meters_are_caught_by_their_limits() {
    for fault in [Fault::MeterDropsGreen, Fault::MeterPassesRed, Fault::MeterNotCounted] {
        let caught = |seed: &u64| {
            let limited = Limited::new(*seed);
            let free = limited.free().run("none", Faults::none(), false);
            let (on, by_device) = limited.play("connectx", Faults::none().with(fault), true);
            limited.fault(&on, &by_device, &free).is_some()
        };
        let cases = (0..CASES / 4).filter(caught).count();
        println!("{fault}: in {cases} of {} cases", CASES / 4);
        assert!(cases > 0, "{fault}");
    }
}
