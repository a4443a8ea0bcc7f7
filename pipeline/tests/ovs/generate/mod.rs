//! Random scenes, and packets that meet their rules.
//!
//! Rules are text, so that both switches read the same. To add a kind of match or action, add a row to a table in
//! `actions.rs` or a line to `matches.rs`: what the rule must promise about its packets for the kind to be allowed,
//! and how it is written. Values come from small pools, so that rules overlap and packets of one rule meet others.

mod actions;
mod groups;
mod matches;
mod packets;

pub use actions::kinds;

use super::scene::{DEFAULT, PORTS, Rule, Scene, Setup};
use pipeline::testing::Rng;

const TABLES: usize = 5;
const MACS: [u64; 5] = [0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0103, 0x0e11_0000_0004, 0x0200_00ff_0005];
const GROUP_MACS: [u64; 3] = [0xffff_ffff_ffff, 0x0100_5e00_0001, 0x3333_0000_0001];
const VIDS: [u16; 3] = [10, 20, 30];
const IPV4: [u32; 6] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0101, 0x0a01_0001, 0xc0a8_0001, 0xc0a8_0102];
const L4: [u16; 5] = [80, 81, 443, 1024, 4789];
const TTLS: [u8; 5] = [64, 2, 17, 255, 1];
const DSCP: [u8; 3] = [0, 46, 10];

/// What a rule's match (and the actions before) promises about its packets: what later actions may be.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    eth_type: u16,
    proto: u8,
    /// Number of tags known to be there.
    tags: u8,
    /// ICMPv6 type of a neighbour discovery packet, 0 of others.
    nd: u8,
    /// Tracked, and of a known sort.
    tracked: bool,
    /// In OpenFlow 1.0.
    old: bool,
    /// Within another action.
    nested: bool,
}

impl Promise {
    fn ip(&self) -> bool {
        matches!(self.eth_type, 0x0800 | 0x86dd)
    }
}

fn ip4(n: u32) -> std::net::Ipv4Addr {
    n.into()
}

fn ip6(n: usize) -> std::net::Ipv6Addr {
    ipv6(n).into()
}

fn ipv6(n: usize) -> u128 {
    0x2001_0db8_0000_0000_0000_0000_0000_0000 | ((n / 2) as u128) << 64 | (n % 2 + 1) as u128
}

pub struct Generator {
    pub rng: Rng,
    setup: Setup,
    /// Groups that rules may use.
    groups: u32,
    /// Whether packets may be recirculated; otherwise, whether there may be action sets. Open vSwitch 3.1.0 dies of a packet that
    /// has an action set and is recirculated.
    recirculates: bool,
}

impl Generator {
    /// The generator of scene `number` of a seed.
    pub fn new(seed: u64, number: u64) -> Generator {
        // Through the generator once: its sequences from near seeds overlap.
        let mixed = Rng::new(seed).number() ^ Rng::new(!number).number();
        Generator { rng: Rng::new(mixed), setup: Setup::Plain, groups: 0, recirculates: false }
    }

    fn port(&mut self) -> u16 {
        self.rng.pick(&PORTS)
    }

    /// About `n` rules, groups, and what the bridge has learned.
    pub fn scene(&mut self, n: usize) -> Scene {
        self.setup = match self.rng.below(10) {
            0..=6 => Setup::Plain,
            7 | 8 => Setup::Patched,
            _ => Setup::Mirrored,
        };
        self.recirculates = self.rng.percent(50);
        let groups = if self.rng.percent(50) { self.groups() } else { Vec::new() };
        self.groups = groups.len() as u32;
        let mut rules: Vec<Rule> = (1..=n as u64).map(|cookie| self.rule(cookie)).collect();
        if self.rng.percent(25) {
            self.conjunction(&mut rules);
        }
        self.tracked(&mut rules);
        for bridge in 0..self.setup.bridges().len() {
            let rest = if self.rng.percent(50) { "normal".to_owned() } else { format!("output:{}", self.port()) };
            rules.push(Rule { bridge, actions: vec![rest], cookie: DEFAULT, ..Rule::default() });
        }
        let mut stations = Vec::new();
        if self.rng.percent(60) {
            for vlan in [0, 10, 20] {
                for mac in &MACS[..3] {
                    if self.rng.percent(50) {
                        stations.push((self.port(), vlan, *mac));
                    }
                }
            }
        }
        Scene { setup: self.setup, rules, groups, stations }
    }

    fn rule(&mut self, cookie: u64) -> Rule {
        // Half of them where packets start. No two of a table have one priority: which of them is hit is nobody's promise.
        let table = if self.rng.percent(45) { 0 } else { self.rng.below(TABLES) };
        let bridge = usize::from(self.setup == Setup::Patched && self.rng.percent(30));
        let priority = 1 + (self.rng.below(60) * 64) as u16 + (cookie % 64) as u16;
        let old = self.rng.percent(10);
        let mut rule = Rule { bridge, table, priority, cookie, old, ..Rule::default() };
        let mut promise = Promise { old, ..Promise::default() };
        self.matches(&mut rule, &mut promise);
        // Groups are the first bridge's.
        let groups = self.groups;
        self.groups = if bridge == 0 { groups } else { 0 };
        self.actions(&mut rule, &mut promise);
        self.groups = groups;
        rule
    }
}
