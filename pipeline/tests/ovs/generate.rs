//! Random scenes: rules as text, addresses known, and packets that meet the rules.
//!
//! Rules are text, so that both switches read the same. To add a kind of match or action, add a row to [`MATCHES`] or
//! [`ACTIONS`]: what the rule must promise about its packets for the kind to be allowed, and how it is written. Values come
//! from small pools, so that rules overlap and packets of one rule meet others.

use flow::rule::RuleSpec;
use flow::{FieldId, FlowKey, Mask, Value, VlanTag};
use pipeline::testing::{Rng, complete};

pub const PORTS: [u16; 5] = [1, 2, 3, 4, 7];
pub const TABLES: usize = 5;

const MACS: [u64; 5] = [0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0103, 0x0e11_0000_0004, 0x0200_00ff_0005];
const GROUP_MACS: [u64; 3] = [0xffff_ffff_ffff, 0x0100_5e00_0001, 0x3333_0000_0001];
const VIDS: [u16; 3] = [10, 20, 30];
const IPV4: [u32; 6] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0101, 0x0a01_0001, 0xc0a8_0001, 0xc0a8_0102];
const L4: [u16; 5] = [80, 81, 443, 1024, 4789];
const TTLS: [u8; 4] = [64, 2, 17, 255];
const DSCP: [u8; 3] = [0, 46, 10];

/// A rule, in parts that can be taken out one by one.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub table: usize,
    pub priority: u16,
    pub cookie: u64,
    pub matches: Vec<String>,
    pub actions: Vec<String>,
    /// Names of the rows that it was made of.
    pub kinds: Vec<&'static str>,
    /// To be sent as OpenFlow 1.0: later versions have no action for `mod_vlan_vid` on a packet that may or may not be tagged, and
    /// ovs-ofctl sends another one.
    pub old: bool,
}

impl Rule {
    pub fn text(&self) -> String {
        let mut out = format!("table={},priority={},cookie={:#x}", self.table, self.priority, self.cookie);
        self.matches.iter().for_each(|m| out.push_str(&format!(",{m}")));
        let actions = if self.actions.is_empty() { "drop".to_owned() } else { self.actions.join(",") };
        out + ",actions=" + &actions
    }
}

/// A packet: OpenFlow input port, and what extraction would say, with `in_port` zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub in_port: u16,
    pub key: FlowKey,
}

/// An address that was learned: port, VLAN, address.
pub type Station = (u16, u16, u64);

#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub rules: Vec<Rule>,
    pub stations: Vec<Station>,
}

/// What a rule's match (and the actions before) promises about its packets: what later actions may be.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    eth_type: u16,
    proto: u8,
    /// Number of tags known to be there.
    tags: u8,
    old: bool,
}

impl Promise {
    fn ip(&self) -> bool {
        matches!(self.eth_type, 0x0800 | 0x86dd)
    }
}

/// A kind of action: name for the coverage, how often among others, whether it may be here, and its text.
struct Kind {
    name: &'static str,
    weight: usize,
    allowed: fn(&Promise) -> bool,
    make: fn(&mut Generator, &mut Promise) -> String,
}

fn mac(n: u64) -> String {
    let b = n.to_be_bytes();
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
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

const fn any(_: &Promise) -> bool {
    true
}

macro_rules! kinds {
    ($($name:literal, $weight:literal, $allowed:expr, $make:expr;)*) => {
        &[$(Kind { name: $name, weight: $weight, allowed: $allowed, make: $make },)*]
    };
}

/// Changes of the packet. What sends it or looks further is [`Generator::end`]'s.
const CHANGES: &[Kind] = kinds! {
    "set eth_dst", 2, any, |g, _| format!("set_field:{}->eth_dst", mac(g.rng.pick(&MACS)));
    "set eth_src", 2, any, |g, _| format!("mod_dl_src:{}", mac(g.rng.pick(&MACS)));
    "set eth_dst masked", 1, |p| !p.old, |g, _| format!("set_field:{}/00:00:00:ff:ff:ff->eth_dst", mac(g.rng.pick(&MACS) & 0xff_ffff));
    "load eth_dst bits", 1, any, |g, _| format!("load:{:#x}->NXM_OF_ETH_DST[0..15]", g.rng.below(0x10000));
    "set reg", 4, any, |g, _| format!("load:{:#x}->NXM_NX_REG{}[]", g.rng.below(3), g.rng.below(2));
    "set reg bits", 2, any, |g, _| format!("load:{:#x}->NXM_NX_REG0[{}..{}]", g.rng.below(4), 0, 1);
    "set reg masked", 2, |p| !p.old, |g, _| format!("set_field:{:#x}/0x2->reg1", g.rng.pick(&[0u8, 2]));
    "set metadata", 1, |p| !p.old, |g, _| format!("set_field:{:#x}->metadata", g.rng.below(3));
    "set tun_id", 1, any, |g, _| format!("set_tunnel:{:#x}", g.rng.below(3));
    "set pkt_mark", 1, any, |g, _| format!("load:{:#x}->NXM_NX_PKT_MARK[]", g.rng.below(3));
    "mod_vlan_vid", 30, |p| p.old, |g, p| { p.tags = p.tags.max(1); format!("mod_vlan_vid:{}", g.rng.pick(&VIDS)) };
    "mod_vlan_pcp", 15, |p| p.old, |g, p| { p.tags = p.tags.max(1); format!("mod_vlan_pcp:{}", g.rng.below(8)) };
    "push_vlan", 3, |p| !p.old && p.tags < 2, |g, p| {
        p.tags += 1;
        format!("push_vlan:{}", g.rng.pick(&["0x8100", "0x8100", "0x88a8"]))
    };
    "pop_vlan", 4, |p| p.tags > 0, |_, p| { p.tags -= 1; "strip_vlan".to_owned() };
    "set vlan_vid", 4, |p| p.tags > 0 && !p.old, |g, _| format!("set_field:{}->vlan_vid", 0x1000 | g.rng.pick(&VIDS));
    "set vlan_pcp", 2, |p| p.tags > 0 && !p.old, |g, _| format!("set_field:{}->vlan_pcp", g.rng.below(8));
    "dec_ttl", 4, Promise::ip, |_, _| "dec_ttl".to_owned();
    "set nw_ttl", 1, |p| p.ip() && !p.old, |g, _| format!("set_field:{}->nw_ttl", g.rng.pick(&TTLS));
    "set nw_tos", 2, Promise::ip, |g, _| format!("mod_nw_tos:{}", g.rng.pick(&DSCP) << 2);
    "set nw_ecn", 1, |p| p.ip() && !p.old, |g, _| format!("mod_nw_ecn:{}", g.rng.below(4));
    "set nw_dst", 3, |p| p.eth_type == 0x0800, |g, _| format!("mod_nw_dst:{}", ip4(g.rng.pick(&IPV4)));
    "set nw_src masked", 2, |p| p.eth_type == 0x0800 && !p.old, |g, _| format!("set_field:{}/255.255.0.0->ip_src", ip4(g.rng.pick(&IPV4) & 0xffff_0000));
    "set ipv6_dst", 3, |p| p.eth_type == 0x86dd && !p.old, |g, _| format!("set_field:{}->ipv6_dst", ip6(g.rng.below(4)));
    "set ipv6_label", 1, |p| p.eth_type == 0x86dd && !p.old, |g, _| format!("set_field:{:#x}->ipv6_label", g.rng.below(3));
    "set tp_dst", 4, |p| p.ip() && matches!(p.proto, 6 | 17), |g, _| format!("mod_tp_dst:{}", g.rng.pick(&L4));
    "set udp_src", 3, |p| p.ip() && p.proto == 17 && !p.old, |g, _| format!("set_field:{}->udp_src", g.rng.pick(&L4));
    "set sctp_dst", 3, |p| p.ip() && p.proto == 132 && !p.old, |g, _| format!("set_field:{}->sctp_dst", g.rng.pick(&L4));
    "set arp_tpa", 4, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_tpa", ip4(g.rng.pick(&IPV4)));
    "set arp_op", 2, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_op", 1 + g.rng.below(2));
};

/// Ways to send a packet.
const SENDS: &[Kind] = kinds! {
    "output", 12, any, |g, _| format!("output:{}", g.port());
    "normal", 5, any, |_, _| "normal".to_owned();
    "flood", 1, any, |_, _| "flood".to_owned();
    "all", 1, any, |_, _| "all".to_owned();
    "in_port", 1, any, |_, _| "in_port".to_owned();
    "local", 1, any, |_, _| "local".to_owned();
    "output to no port", 1, any, |_, _| "output:999".to_owned();
    "controller", 1, any, |g, _| format!("controller(max_len={})", g.rng.pick(&[128, 65535]));
};

pub struct Generator {
    pub rng: Rng,
}

impl Generator {
    /// The generator of scene `number` of a seed.
    pub fn new(seed: u64, number: u64) -> Generator {
        // Through the generator once: its sequences from near seeds overlap.
        let mixed = Rng::new(seed).number() ^ Rng::new(!number).number();
        Generator { rng: Rng::new(mixed) }
    }

    fn port(&mut self) -> u16 {
        self.rng.pick(&PORTS)
    }

    /// About `n` rules and what the bridge has learned.
    pub fn scene(&mut self, n: usize) -> Scene {
        let mut rules: Vec<Rule> = (1..=n as u64).map(|cookie| self.rule(cookie)).collect();
        let rest = if self.rng.percent(50) { "normal".to_owned() } else { format!("output:{}", self.port()) };
        rules.push(Rule { actions: vec![rest], cookie: 0xdef, kinds: vec!["default"], ..Rule::default() });
        let mut stations = Vec::new();
        for vlan in [0, 10, 20] {
            for mac in &MACS[..3] {
                if self.rng.percent(50) {
                    stations.push((self.port(), vlan, *mac));
                }
            }
        }
        Scene { rules, stations }
    }

    fn rule(&mut self, cookie: u64) -> Rule {
        // Half of them where packets start. No two of a table have one priority: which of them is hit is nobody's promise.
        let table = if self.rng.percent(45) { 0 } else { self.rng.below(TABLES) };
        let priority = 1 + (self.rng.below(60) * 64) as u16 + (cookie % 64) as u16;
        let mut rule = Rule { table, priority, cookie, old: self.rng.percent(12), ..Rule::default() };
        let mut promise = Promise { old: rule.old, ..Promise::default() };
        self.matches(&mut rule, &mut promise);
        self.actions(&mut rule, &mut promise);
        rule
    }

    // ---- Matches

    fn matches(&mut self, rule: &mut Rule, promise: &mut Promise) {
        if self.rng.percent(30) {
            rule.add("in_port", format!("in_port={}", self.port()));
        }
        if self.rng.percent(12) {
            let (m, mask) = (self.rng.pick(&MACS), self.rng.pick(&[0xffff_ffff_ffffu64, 0xffff_ff00_0000]));
            rule.add("eth_src", format!("dl_src={}/{}", mac(m & mask), mac(mask)));
        }
        if self.rng.percent(20) {
            let m = if self.rng.percent(80) { self.rng.pick(&MACS) } else { self.rng.pick(&GROUP_MACS) };
            let mask = self.rng.pick(&[0xffff_ffff_ffffu64, 0xffff_ffff_ffff, 0xffff_ff00_0000, 0x0100_0000_0000]);
            rule.add("eth_dst", format!("dl_dst={}/{}", mac(m & mask), mac(mask)));
        }
        self.vlan(rule, promise);
        match self.rng.below(10) {
            0..=4 => self.ipv4(rule, promise),
            5 | 6 => self.ipv6(rule, promise),
            7 => self.arp(rule, promise),
            8 => {
                promise.eth_type = 0x88b5;
                rule.add("eth_type", "dl_type=0x88b5".to_owned());
            }
            _ => {}
        }
        if rule.table > 0 && self.rng.percent(30) {
            let reg = self.rng.below(2);
            let (value, mask) = (self.rng.below(3), self.rng.pick(&[0xffff_ffffu32, 1, 3]));
            rule.add("reg", format!("reg{reg}={:#x}/{mask:#x}", value as u32 & mask));
        }
        if rule.table > 0 && self.rng.percent(8) {
            rule.add("metadata", format!("metadata={:#x}", self.rng.below(2)));
        }
        if self.rng.percent(4) {
            rule.add("tun_id", format!("tun_id={:#x}", self.rng.below(2)));
        }
        if self.rng.percent(4) {
            rule.add("pkt_mark", format!("pkt_mark={:#x}/0x1", self.rng.below(2)));
        }
    }

    fn vlan(&mut self, rule: &mut Rule, promise: &mut Promise) {
        match self.rng.below(20) {
            0 | 1 => rule.add("untagged", "vlan_tci=0".to_owned()),
            2..=4 => {
                promise.tags = 1;
                rule.add("dl_vlan", format!("dl_vlan={}", self.rng.pick(&VIDS)));
                if self.rng.percent(25) {
                    rule.add("dl_vlan_pcp", format!("dl_vlan_pcp={}", self.rng.pick(&[0, 5])));
                }
            }
            5 => {
                promise.tags = 1;
                rule.add("tagged", "vlan_tci=0x1000/0x1000".to_owned());
            }
            6 => {
                promise.tags = 1;
                rule.add("vlan_vid masked", format!("vlan_tci={:#x}/0x1003", 0x1000 | self.rng.pick(&VIDS) & 3));
            }
            _ => {}
        }
    }

    fn arp(&mut self, rule: &mut Rule, promise: &mut Promise) {
        promise.eth_type = 0x0806;
        rule.add("arp", "arp".to_owned());
        if self.rng.percent(40) {
            rule.add("arp_op", format!("arp_op={}", 1 + self.rng.below(2)));
        }
        if self.rng.percent(40) {
            rule.add("arp_tpa", format!("arp_tpa={}/24", ip4(self.rng.pick(&IPV4) & 0xffff_ff00)));
        }
        if self.rng.percent(20) {
            rule.add("arp_spa", format!("arp_spa={}", ip4(self.rng.pick(&IPV4))));
        }
        if self.rng.percent(20) {
            rule.add("arp_sha", format!("arp_sha={}", mac(self.rng.pick(&MACS))));
        }
        if self.rng.percent(10) {
            rule.add("arp_tha", format!("arp_tha={}", mac(self.rng.pick(&MACS))));
        }
    }

    fn ipv4(&mut self, rule: &mut Rule, promise: &mut Promise) {
        promise.eth_type = 0x0800;
        rule.add("ip", "dl_type=0x0800".to_owned());
        for (name, kind, chance) in [("nw_src", "nw_src", 30), ("nw_dst", "nw_dst", 50)] {
            if self.rng.percent(chance) {
                let len = self.rng.pick(&[8, 16, 24, 24, 31, 32]);
                let address = self.rng.pick(&IPV4) & (u32::MAX << (32 - len));
                rule.add(kind, format!("{name}={}/{len}", ip4(address)));
            }
        }
        self.ip(rule, promise, 1);
    }

    fn ipv6(&mut self, rule: &mut Rule, promise: &mut Promise) {
        promise.eth_type = 0x86dd;
        rule.add("ipv6", "dl_type=0x86dd".to_owned());
        for (name, kind, chance) in [("ipv6_src", "ipv6_src", 30), ("ipv6_dst", "ipv6_dst", 50)] {
            if self.rng.percent(chance) {
                let len = self.rng.pick(&[64, 65, 128]);
                let address = ipv6(self.rng.below(4)) & (u128::MAX << (128 - len));
                rule.add(kind, format!("{name}={}/{len}", std::net::Ipv6Addr::from(address)));
            }
        }
        if self.rng.percent(10) {
            rule.add("ipv6_label", format!("ipv6_label={:#x}", self.rng.below(2)));
        }
        self.ip(rule, promise, 58);
    }

    /// What IPv4 and IPv6 have in common; `icmp` is the number of their ICMP.
    fn ip(&mut self, rule: &mut Rule, promise: &mut Promise, icmp: u8) {
        if self.rng.percent(8) {
            rule.add("nw_tos", format!("nw_tos={}", self.rng.pick(&DSCP) << 2));
        }
        if self.rng.percent(4) {
            rule.add("nw_ecn", format!("nw_ecn={}", self.rng.below(4)));
        }
        if self.rng.percent(6) {
            rule.add("nw_ttl", format!("nw_ttl={}", self.rng.pick(&TTLS)));
        }
        let mut later = false;
        if self.rng.percent(8) {
            let frag = self.rng.pick(&["no", "yes", "first", "later", "not_later"]);
            later = frag == "later";
            rule.add("nw_frag", format!("nw_frag={frag}"));
        }
        let pick = self.rng.below(10);
        promise.proto = match pick {
            0..=2 => 6,
            3..=5 => 17,
            6 => 132,
            7 => icmp,
            _ => return,
        };
        let name = match promise.proto {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => "icmp",
        };
        rule.add(name, format!("nw_proto={}", promise.proto));
        if later {
            // No ports to match or to change.
            promise.proto = 0;
            return;
        }
        if promise.proto == icmp {
            return self.icmp(rule, icmp);
        }
        if self.rng.percent(25) {
            rule.add("tp_src", format!("{name}_src={}", self.rng.pick(&L4)));
        }
        if self.rng.percent(50) {
            let mask = self.rng.pick(&[0xffffu16, 0xffff, 0xfffe, 0xfc00]);
            rule.add("tp_dst", format!("{name}_dst={:#x}/{mask:#x}", self.rng.pick(&L4) & mask));
        }
        if promise.proto == 6 && self.rng.percent(15) {
            rule.add("tcp_flags", "tcp_flags=+syn-ack".to_owned());
        }
    }

    fn icmp(&mut self, rule: &mut Rule, icmp: u8) {
        if self.rng.percent(40) {
            return;
        }
        let kind = self.rng.pick(if icmp == 1 { &[8, 0, 3] } else { &[128, 135, 136] });
        let name = if icmp == 1 { "icmp" } else { "icmpv6" };
        rule.add("icmp_type", format!("{name}_type={kind}"));
        if icmp == 1 || self.rng.percent(80) {
            rule.add("icmp_code", format!("{name}_code=0"));
            if matches!(kind, 135 | 136) {
                if self.rng.percent(50) {
                    rule.add("nd_target", format!("nd_target={}", ip6(self.rng.below(4))));
                }
                if self.rng.percent(30) {
                    let name = if kind == 135 { "nd_sll" } else { "nd_tll" };
                    rule.add("nd link address", format!("{name}={}", mac(self.rng.pick(&MACS))));
                }
            }
        }
    }

    // ---- Actions

    fn actions(&mut self, rule: &mut Rule, promise: &mut Promise) {
        if self.rng.percent(7) {
            rule.kinds.push("drop");
            return;
        }
        for _ in 0..self.rng.below(4) {
            self.one(CHANGES, rule, promise);
        }
        let later = TABLES - 1 - rule.table;
        if later > 0 && self.rng.percent(45) {
            let to = rule.table + 1 + self.rng.below(later);
            if self.rng.percent(20) {
                self.one(SENDS, rule, promise);
            }
            if self.rng.percent(50) && !rule.old {
                rule.act("goto_table", format!("goto_table:{to}"));
                return;
            }
            if self.rng.percent(20) {
                rule.act("resubmit port", format!("resubmit({},{to})", self.port()));
            } else {
                rule.act("resubmit", format!("resubmit(,{to})"));
            }
            if self.rng.percent(60) {
                return;
            }
            self.one(CHANGES, rule, promise);
        }
        self.one(SENDS, rule, promise);
        if self.rng.percent(25) {
            self.one(CHANGES, rule, promise);
            self.one(SENDS, rule, promise);
        }
    }

    fn one(&mut self, kinds: &'static [Kind], rule: &mut Rule, promise: &mut Promise) {
        let allowed: Vec<&Kind> = kinds.iter().filter(|k| (k.allowed)(promise)).collect();
        let mut left = self.rng.below(allowed.iter().map(|k| k.weight).sum());
        for kind in allowed {
            if left < kind.weight {
                let text = (kind.make)(self, promise);
                return rule.act(kind.name, text);
            }
            left -= kind.weight;
        }
    }

    // ---- Packets

    /// A packet; most satisfy the match of a rule of table 0, and as far as that leaves room those of later tables.
    pub fn packet(&mut self, rules: &[RuleSpec]) -> Packet {
        let first: Vec<&RuleSpec> = rules.iter().filter(|r| r.table == 0 && r.priority != 0).collect();
        let mut chosen: Vec<&RuleSpec> = Vec::new();
        if !first.is_empty() && self.rng.percent(90) {
            chosen.push(first[self.rng.below(first.len())]);
        }
        for _ in 0..self.rng.below(3) {
            chosen.push(&rules[self.rng.below(rules.len())]);
        }
        let mut key = self.any(chosen.first().copied());
        let mut in_port = self.port();
        for rule in chosen.iter().rev() {
            let m = &rule.matching;
            key = merge(&m.key, &key, &m.mask);
            if m.is_exact(FieldId::InPort) {
                in_port = m.get(FieldId::InPort).0.0 as u16;
            }
        }
        Packet { in_port, key: tidy(&key) }
    }

    /// Another packet that agrees with this one in the bits of `mask`, if one can be found.
    pub fn neighbour(&mut self, packet: &Packet, mask: &Mask, rules: &[RuleSpec]) -> Option<Packet> {
        for _ in 0..8 {
            let mut other = match self.rng.below(3) {
                // One of its fields; another packet of these rules; noise.
                0 => packet.key,
                _ => self.packet(rules).key,
            };
            let words = other.words_mut();
            let flips = self.rng.pick(&[1, 1, 3, 60]);
            for _ in 0..flips {
                words[self.rng.below(flow::key::KEY_WORDS)][self.rng.below(8)] ^= 1 << self.rng.below(8);
            }
            let key = tidy(&merge(&packet.key, &other, mask));
            let mut same = key;
            same.in_port = packet.key.in_port;
            if key != packet.key && same.masked(mask) == packet.key.masked(mask) {
                return Some(Packet { in_port: packet.in_port, key });
            }
        }
        None
    }

    /// Any packet; of the type and protocol that `rule` wants.
    fn any(&mut self, rule: Option<&RuleSpec>) -> FlowKey {
        let wanted = |field: FieldId| {
            let rule = rule.filter(|r| r.matching.is_exact(field))?;
            Some(rule.matching.get(field).0.0)
        };
        let r = &mut self.rng;
        let mut key = FlowKey::ZERO;
        let dst = match r.below(50) {
            0 => 0x0180_c200_0000 + r.below(16) as u64,
            1..=5 => r.pick(&GROUP_MACS),
            _ => r.pick(&MACS),
        };
        key.set(FieldId::EthDst, Value::from(dst));
        key.set(FieldId::EthSrc, Value::from(r.pick(&MACS)));
        for place in 0..[0, 0, 0, 1, 1, 2][r.below(6)] {
            let tpid = if place == 0 { r.pick(&[0x8100u16, 0x8100, 0x8100, 0x88a8]) } else { 0x8100 };
            let vid = if r.percent(15) { 0 } else { r.pick(&VIDS) };
            let tci = VlanTag::PRESENT | vid | r.pick(&[0u16, 0, 5 << 13]);
            key.vlans[place] = VlanTag { tpid: tpid.into(), tci: tci.into() };
        }
        let eth_type = wanted(FieldId::EthType).map(|t| t as u16);
        let eth_type = eth_type.unwrap_or_else(|| r.pick(&[0x0800, 0x0800, 0x0800, 0x86dd, 0x0806, 0x88b5]));
        key.eth_type = eth_type.into();
        key.nw_tos = r.pick(&DSCP) << 2 | r.pick(&[0, 0, 2]);
        key.nw_ttl = r.pick(&TTLS);
        key.nw_frag = r.pick(&[0, 0, 0, 0, 0, 1, 3]);
        key.set(FieldId::Ipv4Src, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv4Dst, Value::from(r.pick(&IPV4)));
        key.set(FieldId::Ipv6Src, Value(ipv6(r.below(4))));
        key.set(FieldId::Ipv6Dst, Value(ipv6(r.below(4))));
        key.set(FieldId::Ipv6Label, Value(r.below(2) as u128));
        key.set(FieldId::ArpSha, Value::from(r.pick(&MACS)));
        key.set(FieldId::ArpTha, Value::from(r.pick(&MACS)));
        key.set(FieldId::NdTarget, Value(ipv6(r.below(4))));
        key.set(FieldId::TcpSrc, Value::from(r.pick(&L4)));
        key.set(FieldId::TcpDst, Value::from(r.pick(&L4)));
        key.set(FieldId::TcpFlags, Value(r.pick(&[2, 0x10, 0x12, 0x18])));
        let icmp = if eth_type == 0x86dd { 58 } else { 1 };
        let proto = wanted(FieldId::IpProto).map(|p| p as u8);
        key.nw_proto = proto.unwrap_or_else(|| r.pick(&[6, 6, 17, 17, 132, icmp, 47]));
        if eth_type == 0x0806 {
            key.nw_proto = 1 + r.below(2) as u8;
        } else if key.nw_proto == icmp {
            key.tp_src = u16::from(r.pick(if icmp == 1 { &[8u8, 0, 3] } else { &[128u8, 135, 136] })).into();
            key.tp_dst = 0.into();
        }
        key
    }
}

impl Rule {
    fn add(&mut self, kind: &'static str, text: String) {
        self.kinds.push(kind);
        self.matches.push(text);
    }

    fn act(&mut self, kind: &'static str, text: String) {
        self.kinds.push(kind);
        self.actions.push(text);
    }
}

/// The key of a packet that can be: what does not go with its type is gone. Metadata stays.
fn tidy(key: &FlowKey) -> FlowKey {
    let mut key = *key;
    for tag in &mut key.vlans {
        // Others are no tags for Open vSwitch.
        if tag.tpid != 0x88a8 {
            tag.tpid = 0x8100.into();
        }
    }
    if key.nw_proto == 0 {
        // Open vSwitch takes protocol (or ARP opcode) 0 for "no such header" and does not change one.
        key.nw_proto = 2;
    }
    let mut out = complete(&key);
    out.pkt_mark = key.pkt_mark;
    if super::ask::is_plain(&out) {
        // The other syntax takes tunnel metadata on tunnel ports only.
        out.tun_id = key.tun_id;
    }
    out
}

/// `a` in the bits of `mask`, `b` in the others.
fn merge(a: &FlowKey, b: &FlowKey, mask: &Mask) -> FlowKey {
    let mut out = *b;
    let parts = a.words().iter().zip(mask.0.words());
    for (to, (from, m)) in out.words_mut().iter_mut().zip(parts) {
        *to = std::array::from_fn(|i| to[i] & !m[i] | from[i] & m[i]);
    }
    out
}
