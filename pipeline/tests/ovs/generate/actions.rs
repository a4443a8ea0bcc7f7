//! Actions.

use super::super::scene::{PATCH, Rule, Setup, mac};
use super::{DSCP, Generator, IPV4, L4, MACS, Promise, TABLES, TTLS, VIDS, ip4, ip6};

/// A kind of action: name for the coverage, how often among others, whether it may be here, and its text.
struct Kind {
    name: &'static str,
    weight: usize,
    allowed: fn(&Promise) -> bool,
    make: fn(&mut Generator, &mut Promise) -> String,
}

const fn any(_: &Promise) -> bool {
    true
}

const fn new(p: &Promise) -> bool {
    !p.old
}

/// Instructions and what leads to more lookups: not within other actions.
const fn top(p: &Promise) -> bool {
    !p.old && !p.nested
}

macro_rules! kinds {
    ($($name:literal, $weight:literal, $allowed:expr, $make:expr;)*) => {
        &[$(Kind { name: $name, weight: $weight, allowed: $allowed, make: $make },)*]
    };
}

/// Changes of the packet or of registers.
const CHANGES: &[Kind] = kinds! {
    "set eth_dst", 2, any, |g, _| format!("set_field:{}->eth_dst", mac(g.rng.pick(&MACS)));
    "set eth_src", 2, any, |g, _| format!("mod_dl_src:{}", mac(g.rng.pick(&MACS)));
    "set eth_dst masked", 1, new, |g, _| format!("set_field:{}/00:00:00:ff:ff:ff->eth_dst", mac(g.rng.pick(&MACS) & 0xff_ffff));
    "load eth_dst bits", 1, any, |g, _| format!("load:{:#x}->NXM_OF_ETH_DST[0..15]", g.rng.below(0x10000));
    "set reg", 5, any, |g, _| format!("load:{:#x}->NXM_NX_REG{}[]", g.rng.below(3), g.rng.below(3));
    "set reg bits", 2, any, |g, _| format!("load:{:#x}->NXM_NX_REG0[0..1]", g.rng.below(4));
    "set reg masked", 2, new, |g, _| format!("set_field:{:#x}/0x2->reg1", g.rng.pick(&[0u8, 2]));
    "set xreg", 1, new, |g, _| format!("set_field:{:#x}->xreg0", g.rng.pick(&[1u64, 0x1_0000_0001, 0x2_0000_0000]));
    "set xxreg", 1, new, |g, _| format!("set_field:{:#x}->xxreg0", g.rng.pick(&[1u64, 0x1_0000_0001, 0x2_0000_0000]));
    "set metadata", 1, new, |g, _| format!("set_field:{:#x}->metadata", g.rng.below(3));
    "set tun_id", 1, any, |g, _| format!("set_tunnel:{:#x}", g.rng.below(3));
    "set tun_dst", 1, new, |g, _| format!("set_field:{}->tun_dst", ip4(g.rng.pick(&IPV4)));
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
    "set tcp_src masked", 3, |p| p.ip() && p.proto == 6 && !p.old, |g, _| format!("set_field:{:#x}/0xff->tcp_src", g.rng.pick(&L4) & 0xff);
    "set udp_src", 3, |p| p.ip() && p.proto == 17 && !p.old, |g, _| format!("set_field:{}->udp_src", g.rng.pick(&L4));
    "set sctp_dst", 3, |p| p.ip() && p.proto == 132 && !p.old, |g, _| format!("set_field:{}->sctp_dst", g.rng.pick(&L4));
    "set arp_tpa", 4, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_tpa", ip4(g.rng.pick(&IPV4)));
    "set arp_spa", 2, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_spa", ip4(g.rng.pick(&IPV4)));
    "set arp_sha", 2, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_sha", mac(g.rng.pick(&MACS)));
    "move arp", 2, |p| p.eth_type == 0x0806 && !p.old, |_, _| "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]".to_owned();
    "set nd_target", 10, |p| p.nd != 0 && !p.old, |g, _| format!("set_field:{}->nd_target", ip6(g.rng.below(4)));
    "set nd_sll", 20, |p| p.nd == 135 && !p.old, |g, _| format!("set_field:{}->nd_sll", mac(g.rng.pick(&MACS)));
    "set nd_tll", 20, |p| p.nd == 136 && !p.old, |g, _| format!("set_field:{}->nd_tll", mac(g.rng.pick(&MACS)));
    "set icmp_code", 8, |p| p.eth_type == 0x0800 && p.proto == 1 && !p.old, |g, _| format!("set_field:{}->icmp_code", g.rng.below(3));
    "set icmpv6_type", 6, |p| p.eth_type == 0x86dd && p.proto == 58 && !p.old, |g, _| format!("set_field:{}->icmpv6_type", 128 + g.rng.below(2));
    "dec_ttl ids", 2, |p| p.ip() && !p.old, |_, _| "dec_ttl(1,2)".to_owned();
    "set ipv6_src masked", 2, |p| p.eth_type == 0x86dd && !p.old, |g, _| format!("set_field:{}/ffff:ffff:ffff:ffff::->ipv6_src", std::net::Ipv6Addr::from(u128::from(ip6(g.rng.below(4))) & !0xffff_ffff_ffff_ffff));
    "set arp_op", 2, |p| p.eth_type == 0x0806 && !p.old, |g, _| format!("set_field:{}->arp_op", 1 + g.rng.below(2));
    "move reg", 2, any, |g, _| g.rng.pick(&["move:NXM_NX_REG0[]->NXM_NX_REG1[]", "move:NXM_NX_REG1[0..1]->NXM_NX_REG0[0..1]"]).to_owned();
    "move eth", 2, any, |g, _| g.rng.pick(&["move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_ETH_SRC[0..7]->NXM_OF_ETH_DST[8..15]"]).to_owned();
    "move eth to reg", 1, any, |_, _| "move:NXM_OF_ETH_DST[0..1]->NXM_NX_REG1[0..1]".to_owned();
    "move in_port", 1, any, |_, _| "move:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15]".to_owned();
    "move reg to eth", 1, any, |_, _| "move:NXM_NX_REG0[0..3]->NXM_OF_ETH_SRC[0..3]".to_owned();
    "move vlan to reg", 3, |p| p.tags > 0, |_, _| "move:NXM_OF_VLAN_TCI[1..2]->NXM_NX_REG0[0..1]".to_owned();
    "move ip", 3, |p| p.eth_type == 0x0800, |g, _| g.rng.pick(&["move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]", "move:NXM_OF_IP_DST[0..1]->NXM_NX_REG1[0..1]"]).to_owned();
    "move tcp port", 4, |p| p.ip() && p.proto == 6, |_, _| "move:NXM_OF_TCP_DST[]->NXM_OF_TCP_SRC[]".to_owned();
    "push and pop", 2, any, |g, _| g.rng.pick(&[
        "push:NXM_NX_REG0[],load:0x2->NXM_NX_REG0[],pop:NXM_NX_REG1[]",
        "push:NXM_OF_ETH_SRC[],push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]",
        "push:NXM_OF_IN_PORT[],pop:NXM_NX_REG2[0..15]",
    ]).to_owned();
    "set_queue", 1, any, |g, _| format!("set_queue:{}", 1 + g.rng.below(2));
    "pop_queue", 1, any, |_, _| "pop_queue".to_owned();
    "note", 1, any, |_, _| "note:01.02".to_owned();
};

/// Ways to send a packet.
const SENDS: &[Kind] = kinds! {
    "output", 16, any, |g, _| format!("output:{}", g.port());
    "normal", 6, |p| !p.nested, |_, _| "normal".to_owned();
    "flood", 1, any, |_, _| "flood".to_owned();
    "all", 1, any, |_, _| "all".to_owned();
    "in_port", 1, any, |_, _| "in_port".to_owned();
    "local", 1, any, |_, _| "local".to_owned();
    "output to no port", 1, any, |_, _| "output:999".to_owned();
    "controller", 1, any, |g, _| format!("controller(max_len={})", g.rng.pick(&[128, 65535]));
    "controller id", 1, new, |g, _| format!("controller(reason=no_match,max_len=200,id={},userdata=01.02)", g.rng.below(3));
    "bundle hrw", 1, any, |g, _| format!("bundle(eth_src,0,hrw,ofport,members:{})", g.port());
    "bundle_load", 1, any, |g, _| format!("bundle_load(eth_src,50,active_backup,ofport,NXM_NX_REG2[0..15],members:{},{}),output:NXM_NX_REG2[0..15]", g.rng.pick(&[999, 2]), g.port());
    "sample", 1, any, |_, _| "sample(probability=65535,collector_set_id=1)".to_owned();
    "output reg", 2, any, |_, _| "output:NXM_NX_REG2[0..15]".to_owned();
    "output cut", 1, any, |g, _| format!("output(port={},max_len={})", g.port(), g.rng.pick(&[64, 100]));
    // Later versions than OpenFlow 1.0 have no such action: ovs-ofctl sends `set_queue,output,pop_queue`.
    "enqueue", 10, |p| p.old, |g, _| format!("enqueue:{}:{}", g.port(), 1 + g.rng.below(2));
    "bundle", 1, any, |g, _| format!("bundle(eth_src,50,active_backup,ofport,members:{},{})", g.rng.pick(&[999, 1]), g.port());
};

/// Actions with others inside, and those that end or fork the way.
const NESTS: &[Kind] = kinds! {
    "clone", 4, top, |g, p| {
        let mut inner = Promise { nested: true, ..*p };
        let mut list = g.some(CHANGES, &mut inner, 2);
        list.extend(g.some(SENDS, &mut inner, 1));
        if p.ip() && g.rng.percent(20) {
            list.push(format!("ct(commit,zone={})", g.rng.below(3)));
        }
        format!("clone({})", list.join(","))
    };
    "exit", 1, top, |_, _| "exit".to_owned();
    "ct commit", 6, |p| top(p) && p.ip(), |g, _| {
        let exec = g.rng.pick(&["", ",exec(load:0x1->NXM_NX_CT_MARK[])", ",exec(set_field:0x2/0x3->ct_label)"]);
        format!("ct({},zone={}{exec})", g.rng.pick(&["commit", "commit,force"]), g.rng.below(3))
    };
    "ct nat", 1, |p| top(p) && p.eth_type == 0x0800, |g, _| {
        format!("ct(commit,zone={},nat({}={}))", g.rng.below(2), g.rng.pick(&["src", "dst"]), ip4(g.rng.pick(&IPV4)))
    };
    "ct_clear", 1, |p| top(p) && p.ip(), |_, _| "ct_clear".to_owned();
};

impl Generator {
    pub(super) fn actions(&mut self, rule: &mut Rule, promise: &mut Promise) {
        if self.rng.percent(7) {
            rule.kinds.push("drop");
            return;
        }
        if self.rng.percent(4) && !rule.old && rule.bridge == 0 {
            rule.act("meter", format!("meter:{}", 1 + self.rng.below(3)));
        }
        for _ in 0..self.rng.below(4) {
            self.one(CHANGES, rule, promise);
        }
        // Open vSwitch 3.1.0 executes an action set on both ways and once more behind them.
        if self.rng.percent(2) && self.recirculates && !rule.old {
            rule.act("check_pkt_larger", format!("check_pkt_larger({})->NXM_NX_REG0[0]", self.rng.pick(&[100, 1500])));
        }
        // A packet that comes back is mirrored as one of its new port by Open vSwitch, as one of its old port by us.
        if self.rng.percent(3) && self.setup != Setup::Mirrored {
            rule.act("set in_port", format!("load:{:#x}->NXM_OF_IN_PORT[]", self.rng.pick(&[0u16, 1, 3])));
        }
        if self.rng.percent(16) && !rule.old {
            self.one(NESTS, rule, promise);
        }
        if self.rng.percent(6) && !rule.old && rule.table + 1 < TABLES {
            self.learn(rule, promise);
        }
        let later = TABLES - 1 - rule.table;
        let mut goto = None;
        if later > 0 && self.rng.percent(45) {
            let to = rule.table + 1 + self.rng.below(later);
            if self.rng.percent(20) {
                self.send(rule, promise);
            }
            if self.rng.percent(50) && !rule.old {
                goto = Some(to);
            } else if self.lookup(rule, promise, to) {
                return self.instructions(rule, promise, None);
            } else {
                self.one(CHANGES, rule, promise);
            }
        }
        if goto.is_none() {
            self.send(rule, promise);
            if self.rng.percent(25) {
                self.one(CHANGES, rule, promise);
                self.send(rule, promise);
            }
        }
        self.instructions(rule, promise, goto);
    }

    fn send(&mut self, rule: &mut Rule, promise: &mut Promise) {
        if self.rng.percent(1) && !rule.old && rule.bridge == 0 {
            return rule.act("controller meter", format!("controller(max_len=100,meter_id={})", 1 + self.rng.below(3)));
        }
        if self.groups != 0 && !rule.old && self.rng.percent(25) {
            rule.act("group", format!("group:{}", 1 + self.rng.below(self.groups as usize)));
        } else if self.setup == Setup::Patched && self.rng.percent(25) {
            rule.act("output to patch", format!("output:{PATCH}"));
        } else {
            self.one(SENDS, rule, promise);
        }
    }

    /// Go on in a later table in another way than by `goto_table`. Whether nothing comes after it.
    fn lookup(&mut self, rule: &mut Rule, promise: &Promise, to: usize) -> bool {
        match self.rng.below(10) {
            0 | 1 => rule.act("resubmit port", format!("resubmit({},{to})", self.port())),
            2 if self.recirculates && promise.ip() && !rule.old => {
                let nat = self.rng.pick(&["", "", ",nat"]);
                rule.act("ct table", format!("ct(table={to},zone={}{nat})", self.rng.below(3)));
            }
            3 if self.recirculates && promise.ip() && !rule.old => {
                let zone = self.rng.pick(&["zone=NXM_NX_REG0[0..15]", "zone=1"]);
                rule.act("ct commit table", format!("ct(commit,{zone},table={to},exec(load:0x2->NXM_NX_CT_MARK[]))"));
            }
            6 if self.rng.percent(15) => rule.act("resubmit itself", format!("resubmit(,{})", rule.table)),
            4 | 5 if promise.ip() && promise.tracked => rule.act("resubmit ct", format!("resubmit(,{to},ct)")),
            _ => rule.act("resubmit", format!("resubmit(,{to})")),
        }
        self.rng.percent(60)
    }

    /// What OpenFlow has behind the list of actions, in its order.
    fn instructions(&mut self, rule: &mut Rule, promise: &mut Promise, goto: Option<usize>) {
        if rule.old {
            return;
        }
        if self.rng.percent(4) {
            rule.act("clear_actions", "clear_actions".to_owned());
        }
        if !self.recirculates && self.rng.percent(if goto.is_some() { 40 } else { 15 }) {
            let mut inner = Promise { nested: true, ..*promise };
            let list = self.set(&mut inner);
            rule.act("write_actions", format!("write_actions({})", list.join(",")));
        }
        if self.rng.percent(6) {
            rule.act("write_metadata", format!("write_metadata:{:#x}/0x3", self.rng.below(3)));
        }
        if let Some(to) = goto {
            rule.act("goto_table", format!("goto_table:{to}"));
        }
    }

    /// Actions of an action set or a bucket.
    pub(super) fn set(&mut self, promise: &mut Promise) -> Vec<String> {
        let mut list = Vec::new();
        for _ in 0..self.rng.below(3) {
            // Of each sort an action set keeps one, and executes it in an order of its own.
            let plain = ["note:", "push:", "move:", "enqueue", "set_queue", "pop_queue"];
            list.extend(self.some(CHANGES, promise, 1).into_iter().filter(|a| !plain.iter().any(|p| a.starts_with(p))));
        }
        if self.groups != 0 && self.rng.percent(15) {
            list.push(format!("group:{}", 1 + self.rng.below(self.groups as usize)));
        } else {
            let to = if self.rng.percent(10) { 999 } else { self.port() };
            list.push(format!("output:{to}"));
        }
        list
    }

    fn learn(&mut self, rule: &mut Rule, promise: &mut Promise) {
        let table = rule.table + 1 + self.rng.below(TABLES - 1 - rule.table);
        let cookie = 0x200 + rule.cookie;
        let mut specs = vec![self.rng.pick(&[
            "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]",
            "NXM_OF_ETH_SRC[]",
            "NXM_OF_VLAN_TCI[0..11]",
            "NXM_OF_IN_PORT[]",
            "NXM_NX_REG0[]=0x1",
        ])];
        if promise.eth_type == 0x0800 {
            specs.push(
                self.rng.pick(&["eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]", "eth_type=0x800,NXM_OF_IP_SRC[]"]),
            );
        }
        specs.push(self.rng.pick(&[
            "output:NXM_OF_IN_PORT[]",
            "output:NXM_OF_IN_PORT[]",
            "load:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15]",
            "load:0x2->NXM_NX_REG1[]",
        ]));
        let priority = 0x8000 + self.rng.below(4);
        let text = format!("learn(table={table},priority={priority},cookie={cookie:#x},{})", specs.join(","));
        rule.act("learn", text);
    }

    fn some(&mut self, kinds: &'static [Kind], promise: &mut Promise, most: usize) -> Vec<String> {
        let n = 1 + self.rng.below(most);
        (0..n).filter_map(|_| self.pick(kinds, promise)).map(|(_, text)| text).collect()
    }

    fn one(&mut self, kinds: &'static [Kind], rule: &mut Rule, promise: &mut Promise) {
        if let Some((name, text)) = self.pick(kinds, promise) {
            rule.act(name, text);
        }
    }

    fn pick(&mut self, kinds: &'static [Kind], promise: &mut Promise) -> Option<(&'static str, String)> {
        let allowed: Vec<&Kind> = kinds.iter().filter(|k| (k.allowed)(promise)).collect();
        let mut left = self.rng.below(allowed.iter().map(|k| k.weight).sum());
        for kind in allowed {
            if left < kind.weight {
                return Some((kind.name, (kind.make)(self, promise)));
            }
            left -= kind.weight;
        }
        None
    }
}

/// Names of all kinds of actions in the tables: each must be seen.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    [CHANGES, SENDS, NESTS].into_iter().flatten().map(|k| k.name)
}
