//! Pairs of rule set and packet through both switches.

use super::generate::{Generator, kinds};
use super::judge::{Verdict, agrees_with_some_choice, judge, judge_learned};
use super::ours::Ours;
use super::scene::{DEFAULT, Packet, Rule, Scene};
use super::theirs::Theirs;
use std::collections::BTreeMap;

/// A packet to compare on a scene after others came. `covered`: another one, which the mask of the packet's translation covers, is
/// compared instead, with that translation.
#[derive(Clone, Debug)]
struct Case {
    scene: Scene,
    came: Vec<Packet>,
    packet: Packet,
    covered: Option<Packet>,
}

impl Case {
    /// What differs, on freshly loaded bridges.
    fn differs(&self, theirs: &mut Theirs) -> Option<Vec<String>> {
        let setup = self.scene.setup;
        theirs.load(&self.scene).ok()?;
        let mut ours = Ours::of(&self.scene, theirs.dp(setup));
        for packet in &self.came {
            theirs.receive(setup, packet);
            ours.receive(packet);
        }
        let first = ours.passes(&self.packet, None).remove(0).translation;
        let judged = self.covered.as_ref().unwrap_or(&self.packet);
        // A smaller scene looks at other bits: is it covered still?
        if judged.key.masked(&first.mask) != self.packet.key.masked(&first.mask) {
            return None;
        }
        let passes = theirs.trace(setup, std::slice::from_ref(judged)).remove(0);
        let verdict = judge(&ours, &first, judged, &passes);
        let fine = verdict.differences.is_empty()
            || verdict.excused.is_some()
            || agrees_with_some_choice(theirs, &self.scene, &self.came, judged, &passes);
        (!fine).then_some(verdict.differences)
    }

    /// Cases that are this one with something left out.
    fn smaller(&self) -> Vec<Case> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            all.push(case);
        };
        (0..self.came.len()).rev().for_each(|i| with(&|c| _ = c.came.remove(i)));
        (0..self.scene.rules.len()).rev().for_each(|i| with(&|c| drop(c.scene.rules.remove(i))));
        (0..self.scene.groups.len()).rev().for_each(|i| with(&|c| drop(c.scene.groups.remove(i))));
        (0..self.scene.stations.len()).rev().for_each(|i| with(&|c| c.scene.stations.truncate(i)));
        for (g, group) in self.scene.groups.iter().enumerate() {
            (0..group.buckets.len()).rev().for_each(|i| with(&|c| drop(c.scene.groups[g].buckets.remove(i))));
            for (b, bucket) in group.buckets.iter().enumerate() {
                let n = bucket.actions.len();
                (0..n).rev().for_each(|i| with(&|c| drop(c.scene.groups[g].buckets[b].actions.remove(i))));
            }
        }
        for (r, rule) in self.scene.rules.iter().enumerate() {
            (0..rule.actions.len()).rev().for_each(|i| with(&|c| drop(c.scene.rules[r].actions.remove(i))));
            (0..rule.matches.len()).rev().for_each(|i| with(&|c| drop(c.scene.rules[r].matches.remove(i))));
        }
        all
    }

    /// Made small: what can be left out while it still fails, is.
    fn shrink(self, theirs: &mut Theirs) -> String {
        let mut case = self;
        let mut found = case.differs(theirs).unwrap_or_else(|| vec!["only after the packets before".to_owned()]);
        let mut progress = true;
        while progress {
            progress = false;
            let mut i = 0;
            // After a success, what was next is in its place.
            while let Some(smaller) = case.smaller().into_iter().nth(i) {
                match smaller.differs(theirs) {
                    Some(differences) => (case, found, progress) = (smaller, differences, true),
                    None => i += 1,
                }
            }
        }
        let asked = |p: &Packet| theirs.parameters(case.scene.setup, p).join(" ");
        let mut out = case.scene.text();
        case.came.iter().for_each(|p| out.push_str(&format!("  came   {}\n", asked(p))));
        out.push_str(&format!("  packet {}\n", asked(&case.packet)));
        case.covered.iter().for_each(|p| out.push_str(&format!("  covers {}\n", asked(p))));
        format!("{out}  differ in {}", found.join("\n  and "))
    }
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
    /// Packets for which a select group of ours took another bucket.
    pub chosen: usize,
    /// Packets that came back, and passes of all.
    pub returned: usize,
    /// Rules that packets made.
    pub learned: usize,
    /// Rules hit, by what they are made of.
    pub kinds: BTreeMap<&'static str, usize>,
    pub our_bits: BTreeMap<&'static str, u64>,
    pub their_bits: BTreeMap<&'static str, u64>,
    pub failures: Vec<String>,
}

impl Tally {
    fn note(&mut self, scene: &Scene, verdict: &Verdict) {
        self.pairs += 1;
        self.returned += usize::from(verdict.passes > 1);
        self.hit += usize::from(verdict.hits.iter().any(|(_, cookie)| cookie.is_some_and(|c| c != DEFAULT)));
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
        let unseen: Vec<&str> = kinds().filter(|k| !self.kinds.contains_key(k)).collect();
        assert!(unseen.is_empty() || self.scenes < 150, "kinds of actions that no packet met: {unseen:?}");
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

/// How a run is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub scenes: u64,
    /// Of each scene; some of them come in the middle, so that the switches learn from them.
    pub packets: usize,
    pub max_failures: usize,
}

/// Run scenes; stops after enough failures.
pub fn run(theirs: &mut Theirs, plan: &Plan) -> Tally {
    let mut tally = Tally::default();
    for number in 0..plan.scenes {
        let mut generator = Generator::new(plan.seed, number);
        let size = 5 + generator.rng.below(45);
        let scene = generator.scene(size);
        theirs.load(&scene).unwrap_or_else(|e| panic!("Open vSwitch refuses a rule of scene {number}: {e}"));
        let mut ours = Ours::of(&scene, theirs.dp(scene.setup));
        tally.scenes += 1;
        // Addresses that were told do not move; otherwise both learn.
        let mut came = Vec::new();
        let rounds = if scene.stations.is_empty() { 2 } else { 1 };
        for round in 0..rounds {
            let packets: Vec<Packet> = (0..plan.packets / rounds).map(|_| generator.packet(&ours.specs)).collect();
            let agreed = one_round(theirs, plan, &mut tally, &mut generator, (number, &scene, &came), &ours, &packets);
            if tally.failures.len() >= plan.max_failures {
                return tally;
            }
            if round + 1 < rounds {
                // Where they differ, and may, they would learn otherwise.
                for packet in packets.iter().zip(agreed).filter(|(_, agreed)| *agreed).map(|(p, _)| p).take(4) {
                    let passes = theirs.receive(scene.setup, packet);
                    if let Some(difference) = judge_learned(&ours, packet, &passes) {
                        let asked = theirs.parameters(scene.setup, packet).join(" ");
                        tally.failures.push(format!("scene {number} of seed {}: {asked}: {difference}", plan.seed));
                    }
                    tally.learned += passes.iter().map(|p| p.learned.len()).sum::<usize>();
                    ours.receive(packet);
                    came.push(packet.clone());
                }
            }
        }
    }
    tally
}

/// Ask about packets and others that their masks cover; on which of the packets the answers agree.
fn one_round(
    theirs: &mut Theirs,
    plan: &Plan,
    tally: &mut Tally,
    generator: &mut Generator,
    (number, scene, came): (u64, &Scene, &[Packet]),
    ours: &Ours,
    packets: &[Packet],
) -> Vec<bool> {
    let firsts: Vec<_> = packets.iter().map(|p| ours.passes(p, None).remove(0).translation).collect();
    let mut asked: Vec<(Packet, usize, bool)> = Vec::new();
    for (i, packet) in packets.iter().enumerate() {
        asked.push((packet.clone(), i, false));
        for _ in 0..2 {
            if Ours::is_cacheable(&firsts[i])
                && let Some(other) = generator.neighbour(packet, &firsts[i].mask, &ours.specs)
            {
                asked.push((other, i, true));
            }
        }
    }
    let traced = theirs.trace(scene.setup, &asked.iter().map(|(p, ..)| p.clone()).collect::<Vec<_>>());
    let mut agreed = Vec::new();
    for ((packet, of, covered), passes) in asked.iter().zip(&traced) {
        let verdict = judge(ours, &firsts[*of], packet, passes);
        if *covered {
            tally.covered += 1;
        } else {
            tally.note(scene, &verdict);
            agreed.push(verdict.differences.is_empty());
        }
        if verdict.differences.is_empty() {
            continue;
        }
        if let Some(why) = verdict.excused {
            *tally.excused.entry(why).or_default() += 1;
        } else if agrees_with_some_choice(theirs, scene, came, packet, passes) {
            tally.chosen += 1;
        } else {
            let covered = covered.then(|| packet.clone());
            let case = Case { scene: scene.clone(), came: came.to_vec(), packet: packets[*of].clone(), covered };
            tally.failures.push(format!("scene {number} of seed {}:\n{}", plan.seed, case.shrink(theirs)));
            if tally.failures.len() >= plan.max_failures {
                return agreed;
            }
            // As it was.
            theirs.load(scene).expect("loaded before");
            came.iter().for_each(|p| drop(theirs.receive(scene.setup, p)));
        }
    }
    agreed
}
