//! Pairs of rule set and packet through both switches.

use super::ask;
use super::daemon::{Ovs, OvsPort};
use super::generate::{Generator, Packet, Rule, Scene};
use super::normalise::{self, Bits, Event};
use super::ours::{Ours, columns, port_modes};
use super::trace::{self, Pass};
use flow::dp::{ActionList, DpAction, DropReason, Translation};
use std::collections::BTreeMap;

pub const BRIDGE: &str = "br0";

/// Open vSwitch with the bridge of the scenes.
pub struct Theirs {
    pub ovs: Ovs,
    pub dp: Vec<(u16, u32)>,
    stations: Vec<super::generate::Station>,
}

/// How one packet fared.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What differs; empty: nothing.
    pub differences: Vec<String>,
    pub hits: Vec<(u8, Option<u64>)>,
    pub forwarded: bool,
    pub our_bits: Bits,
    pub their_bits: Bits,
    /// A difference of the list in docs/guide/differences.md.
    pub excused: Option<&'static str>,
}

impl Theirs {
    pub fn new(mut ovs: Ovs) -> Theirs {
        let ports: Vec<OvsPort> =
            port_modes().iter().map(|(number, mode, _)| OvsPort { number: *number, columns: columns(mode) }).collect();
        ovs.add_bridge(BRIDGE, &ports);
        for (number, _, flood) in port_modes() {
            if !flood {
                ovs.ofctl(&[], "mod-port", BRIDGE, &[&number.to_string(), "no-flood"], "").expect("mod-port");
            }
        }
        // The bridge's own port is down until somebody configures it.
        ovs.ofctl(&[], "mod-port", BRIDGE, &[BRIDGE, "up"], "").expect("mod-port");
        let dp = ovs.dp_ports(BRIDGE);
        Theirs { ovs, dp, stations: Vec::new() }
    }

    /// Make the bridge what the scene says.
    pub fn load(&mut self, scene: &Scene) -> Result<(), String> {
        let texts = |old: bool| -> String {
            let lines = scene.rules.iter().filter(|r| r.old == old).map(|r| format!("add {}\n", r.text()));
            lines.collect()
        };
        // `-`: from standard input.
        for (options, lines) in [(&["-O", "OpenFlow14"][..], format!("delete\n{}", texts(false))), (&[], texts(true))] {
            if !lines.is_empty() {
                let told = |e: String| format!("{e}\nof\n{lines}");
                self.ovs.ofctl(options, "add-flows", BRIDGE, &["-"], &lines).map_err(told)?;
            }
        }
        let control = self.ovs.control();
        let words = |s: &super::generate::Station| (s.1.to_string(), mac(s.2));
        for station in self.stations.drain(..) {
            let (vlan, mac) = words(&station);
            control.call("fdb/del", &[BRIDGE, &vlan, &mac])?;
        }
        for station in &scene.stations {
            let (vlan, mac) = words(station);
            let port = format!("{BRIDGE}p{}", station.0);
            control.call("fdb/add", &[BRIDGE, &port, &vlan, &mac])?;
        }
        self.stations.clone_from(&scene.stations);
        Ok(())
    }

    /// What the bridge would do with these packets.
    pub fn trace(&mut self, packets: &[Packet]) -> Vec<Vec<Pass>> {
        let dp: BTreeMap<u16, u32> = self.dp.iter().copied().collect();
        let all: Vec<Vec<String>> = packets.iter().map(|p| ask::parameters(BRIDGE, p, dp[&p.in_port])).collect();
        let answers = self.ovs.control().call_all("ofproto/trace", &all);
        let parse = |(answer, asked): (Result<String, String>, &Vec<String>)| match answer {
            Ok(text) => trace::parse(&text),
            Err(error) => panic!("ofproto/trace {}: {error}", asked.join(" ")),
        };
        answers.into_iter().zip(&all).map(parse).collect()
    }
}

fn mac(n: u64) -> String {
    let b = n.to_be_bytes();
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
}

/// Compare both answers about one packet. `t` may be the translation of another packet that its mask covers.
pub fn judge(ours: &Ours, t: &Translation, packet: &Packet, passes: &[Pass]) -> Verdict {
    let mut verdict = Verdict { hits: passes[0].hits.clone(), ..Verdict::default() };
    let theirs = match &passes[0].error {
        // Given up: nothing is sent.
        Some(_) => Vec::new(),
        None => normalise::theirs(&passes[0].actions, &packet.key),
    };
    let mine = normalise::ours(&t.actions, &packet.key);
    verdict.forwarded = theirs.iter().any(|e| matches!(e, Event::Output { .. }));
    if mine != theirs {
        verdict.differences.push(format!(
            "actions\n    ours   {}\n    theirs {}\n    seen of ours   {mine:?}\n    seen of theirs {theirs:?}",
            ActionList(&t.actions),
            passes[0].text
        ));
    }
    let hits = ours.hits(t);
    if hits != verdict.hits {
        verdict.differences.push(format!("rules hit\n    ours   {hits:x?}\n    theirs {:x?}", verdict.hits));
    }
    verdict.our_bits = normalise::our_bits(&t.mask);
    verdict.their_bits = normalise::their_bits(&passes[0].megaflow);
    if !verdict.differences.is_empty() {
        let tags = packet.key.vlans.iter().filter(|t| t.is_present()).count() + ours.pushes(&hits);
        verdict.excused = excuse(hits == verdict.hits, tags, &passes[0], t);
    }
    verdict
}

/// Why a difference is right: its heading in docs/guide/differences.md.
fn excuse(same_rules: bool, tags: usize, pass: &Pass, t: &Translation) -> Option<&'static str> {
    // OFPR_INVALID_TTL
    if pass.text.contains("controller(reason=2,") {
        return Some("TTL that runs out");
    }
    if matches!(t.actions.as_slice(), [DpAction::Drop(DropReason::VlanTooDeep)]) && tags > 2 {
        return Some("A third tag");
    }
    if same_rules && pass.normal && tags > 1 {
        return Some("NORMAL and the inner tag");
    }
    None
}

/// The differences of one packet, and of packets that its mask covers, on a freshly loaded scene.
fn differs(theirs: &mut Theirs, scene: &Scene, packet: &Packet, covered: Option<&Packet>) -> Option<Vec<String>> {
    theirs.load(scene).ok()?;
    let ours = Ours::of(scene, &theirs.dp);
    let t = ours.translate(packet);
    let judged = covered.unwrap_or(packet);
    if covered.is_some_and(|c| c.key.masked(&t.mask) != with_port(packet, c).key.masked(&t.mask)) {
        return None;
    }
    let passes = theirs.trace(std::slice::from_ref(judged)).remove(0);
    let verdict = judge(&ours, &t, judged, &passes);
    (!verdict.differences.is_empty() && verdict.excused.is_none()).then_some(verdict.differences)
}

/// `packet` with the input port of `other`'s key, which is zero in both.
fn with_port(packet: &Packet, other: &Packet) -> Packet {
    let mut same = packet.clone();
    same.key.in_port = other.key.in_port;
    same
}

/// A failing pair made small: rules, then actions, then matches are left out while it still fails.
pub fn shrink(theirs: &mut Theirs, scene: &Scene, packet: &Packet, covered: Option<&Packet>) -> String {
    let mut scene = scene.clone();
    let mut found = differs(theirs, &scene, packet, covered).unwrap_or_default();
    let mut attempt = |scene: &mut Scene, smaller: Scene| -> bool {
        let Some(differences) = differs(theirs, &smaller, packet, covered) else { return false };
        found = differences;
        *scene = smaller;
        true
    };
    let without = |list: &[String], i: usize| {
        let mut list = list.to_vec();
        list.remove(i);
        list
    };
    let mut progress = true;
    while progress {
        progress = false;
        for i in (0..scene.rules.len()).rev() {
            let mut smaller = scene.clone();
            smaller.rules.remove(i);
            progress |= attempt(&mut scene, smaller);
        }
        for i in (0..scene.stations.len()).rev() {
            let mut smaller = scene.clone();
            smaller.stations.remove(i);
            progress |= attempt(&mut scene, smaller);
        }
        for r in 0..scene.rules.len() {
            for i in (0..scene.rules[r].actions.len()).rev() {
                let mut smaller = scene.clone();
                smaller.rules[r].actions = without(&smaller.rules[r].actions, i);
                progress |= attempt(&mut scene, smaller);
            }
            for i in (0..scene.rules[r].matches.len()).rev() {
                let mut smaller = scene.clone();
                smaller.rules[r].matches = without(&smaller.rules[r].matches, i);
                progress |= attempt(&mut scene, smaller);
            }
        }
    }
    let rules: Vec<String> = scene.rules.iter().map(|r| format!("  {}", r.text())).collect();
    let asked = ask::parameters(BRIDGE, packet, 0).join(" ");
    let covered = covered.map_or(String::new(), |c| format!("\n  covers {}", ask::parameters(BRIDGE, c, 0).join(" ")));
    format!(
        "{}\n  known {:x?}\n  packet {asked}{covered}\n  differ in {}",
        rules.join("\n"),
        scene.stations,
        found.join("\n  and ")
    )
}

/// What a run has seen.
#[derive(Debug, Default)]
pub struct Tally {
    pub scenes: usize,
    pub pairs: usize,
    /// Packets that hit another rule than the default one.
    pub hit: usize,
    pub forwarded: usize,
    /// Packets that a mask of ours covers beside the one that it was made for.
    pub covered: usize,
    pub excused: BTreeMap<&'static str, usize>,
    /// Rules hit, by what they are made of.
    pub kinds: BTreeMap<&'static str, usize>,
    pub our_bits: BTreeMap<&'static str, u64>,
    pub their_bits: BTreeMap<&'static str, u64>,
    pub failures: Vec<String>,
}

impl Tally {
    fn note(&mut self, scene: &Scene, verdict: &Verdict) {
        self.pairs += 1;
        self.hit += usize::from(verdict.hits.iter().any(|(_, cookie)| cookie.is_some_and(|c| c != 0xdef)));
        self.forwarded += usize::from(verdict.forwarded);
        for (_, cookie) in &verdict.hits {
            let rule = scene.rules.iter().find(|r| Some(r.cookie) == *cookie);
            rule.into_iter().flat_map(|r: &Rule| &r.kinds).for_each(|kind| *self.kinds.entry(kind).or_default() += 1);
        }
        for (to, from) in [(&mut self.our_bits, &verdict.our_bits), (&mut self.their_bits, &verdict.their_bits)] {
            from.iter().for_each(|(name, n)| *to.entry(name).or_default() += u64::from(*n));
        }
    }

    /// Mean number of mask bits: ours, theirs.
    pub fn mean_bits(&self) -> (f64, f64) {
        let mean = |bits: &BTreeMap<&str, u64>| bits.values().sum::<u64>() as f64 / self.pairs.max(1) as f64;
        (mean(&self.our_bits), mean(&self.their_bits))
    }

    /// What a run must reach to have shown something.
    pub fn demand(&self) {
        assert!(self.pairs >= 3000 || self.scenes < 150, "{} pairs", self.pairs);
        assert!(self.hit * 100 >= self.pairs * 60, "{} of {} hit a rule", self.hit, self.pairs);
        assert!(self.forwarded * 100 >= self.pairs * 40, "{} of {} were forwarded", self.forwarded, self.pairs);
        let (mine, theirs) = self.mean_bits();
        assert!(mine <= 1.1 * theirs, "our masks have {mine:.1} bits on average, theirs {theirs:.1}");
        let excused: usize = self.excused.values().sum();
        assert!(excused * 10 <= self.pairs + self.covered, "{excused} known differences: too many to compare anything");
    }

    pub fn print(&self) {
        let percent = |n: usize| 100.0 * n as f64 / self.pairs.max(1) as f64;
        println!("{} pairs of {} rule sets, {} more packets under our masks", self.pairs, self.scenes, self.covered);
        println!(
            "{:.1} % hit a rule that is not the default, {:.1} % were forwarded",
            percent(self.hit),
            percent(self.forwarded)
        );
        let (mine, theirs) = self.mean_bits();
        println!("mean bits of a mask: ours {mine:.1}, theirs {theirs:.1}, ratio {:.3}", mine / theirs);
        for name in self.our_bits.keys().chain(self.their_bits.keys().filter(|n| !self.our_bits.contains_key(*n))) {
            let mean = |bits: &BTreeMap<&str, u64>| {
                bits.get(name).copied().unwrap_or_default() as f64 / self.pairs.max(1) as f64
            };
            println!("  {name:12} ours {:6.2} theirs {:6.2}", mean(&self.our_bits), mean(&self.their_bits));
        }
        let list =
            |map: &BTreeMap<&str, usize>| map.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", ");
        println!("rules hit, by kind of match and action: {}", list(&self.kinds));
        if !self.excused.is_empty() {
            println!("known differences: {}", list(&self.excused));
        }
    }
}

/// Run scenes `from..to` of a seed; stops after `max_failures`.
pub fn run(theirs: &mut Theirs, seed: u64, scenes: std::ops::Range<u64>, packets: usize, max_failures: usize) -> Tally {
    let mut tally = Tally::default();
    for number in scenes {
        let mut generator = Generator::new(seed, number);
        let size = 5 + generator.rng.below(45);
        let scene = generator.scene(size);
        theirs.load(&scene).unwrap_or_else(|e| panic!("Open vSwitch refuses a rule of scene {number}: {e}"));
        let ours = Ours::of(&scene, &theirs.dp);
        tally.scenes += 1;
        let mut asked: Vec<(Packet, Option<usize>)> = Vec::new();
        let mut translations = Vec::new();
        for i in 0..packets {
            let packet = generator.packet(&ours.specs);
            let t = ours.translate(&packet);
            for _ in 0..2 {
                if t.cacheable == flow::dp::Cacheable::Yes
                    && let Some(other) = generator.neighbour(&packet, &t.mask, &ours.specs)
                {
                    asked.push((other, Some(i)));
                }
            }
            asked.push((packet, None));
            translations.push(t);
        }
        let traced = theirs.trace(&asked.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>());
        let firsts: Vec<Packet> = asked.iter().filter(|(_, of)| of.is_none()).map(|(p, _)| p.clone()).collect();
        let mut own = 0;
        for ((packet, of), passes) in asked.iter().zip(&traced) {
            let t = &translations[of.unwrap_or(own)];
            let verdict = judge(&ours, t, packet, passes);
            match of {
                Some(_) => tally.covered += 1,
                None => {
                    own += 1;
                    tally.note(&scene, &verdict);
                }
            }
            if let Some(why) = verdict.excused {
                *tally.excused.entry(why).or_default() += 1;
            } else if !verdict.differences.is_empty() {
                let small = match of {
                    Some(i) => shrink(theirs, &scene, &firsts[*i], Some(packet)),
                    None => shrink(theirs, &scene, packet, None),
                };
                tally.failures.push(format!("scene {number} of seed {seed}:\n{small}"));
                if tally.failures.len() >= max_failures {
                    return tally;
                }
                theirs.load(&scene).expect("loaded before");
            }
        }
    }
    tally
}
