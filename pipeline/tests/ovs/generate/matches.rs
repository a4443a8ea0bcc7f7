//! Matches.

use super::super::scene::{Rule, mac};
use super::{DSCP, GROUP_MACS, Generator, IPV4, L4, MACS, Promise, TABLES, TTLS, VIDS, ip4, ip6, ipv6};

impl Generator {
    pub(super) fn matches(&mut self, rule: &mut Rule, promise: &mut Promise) {
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
            8 => self.others(rule, promise),
            _ => {}
        }
        if rule.table > 0 && self.rng.percent(30) {
            self.registers(rule);
        }
        self.metadata(rule, promise);
    }

    /// Neither IP nor ARP.
    fn others(&mut self, rule: &mut Rule, promise: &mut Promise) {
        match self.rng.below(4) {
            0 => {
                promise.eth_type = 0x8847;
                rule.add("mpls", "dl_type=0x8847".to_owned());
                match self.rng.below(5) {
                    0 | 1 => rule.add("mpls_label", format!("mpls_label={}", 16 + self.rng.below(2))),
                    2 => rule.add("mpls_tc", format!("mpls_tc={}", self.rng.below(2))),
                    3 => rule.add("mpls_bos", "mpls_bos=1".to_owned()),
                    _ => {}
                }
            }
            1 => {
                promise.eth_type = 0x05ff;
                rule.add("eth_type 802.3", "dl_type=0x05ff".to_owned());
            }
            _ => {
                promise.eth_type = 0x88b5;
                rule.add("eth_type", "dl_type=0x88b5".to_owned());
            }
        }
    }

    /// What other rules have written.
    fn registers(&mut self, rule: &mut Rule) {
        let value = self.rng.below(3);
        match self.rng.below(9) {
            8 if !rule.old => rule.add("actset_output", format!("actset_output={}", self.port())),
            0 => rule.add("metadata", format!("metadata={value:#x}/0x3")),
            1 if !rule.old => rule.add("xreg", format!("xreg0=0x{:x}0000000{value:x}/0x3ffffffff", self.rng.below(3))),
            2 if !rule.old => {
                rule.add("xxreg", format!("xxreg0=0x{value:x}000000000000000000000000/0x3000000000000000000000000"))
            }
            3 => rule.add("reg", format!("reg2={value:#x}")),
            n => {
                let mask = self.rng.pick(&[0xffff_ffffu32, 1, 3]);
                rule.add("reg", format!("reg{}={:#x}/{mask:#x}", n % 2, value as u32 & mask));
            }
        }
    }

    /// What comes with the packet beside its bytes.
    fn metadata(&mut self, rule: &mut Rule, promise: &mut Promise) {
        if self.rng.percent(4) {
            rule.add("tun_id", format!("tun_id={:#x}", self.rng.below(2)));
        }
        if self.rng.percent(3) {
            rule.add("tun_src", format!("tun_src={}/24", ip4(self.rng.pick(&IPV4) & 0xffff_ff00)));
        }
        if self.rng.percent(1) {
            rule.add("tun_ipv6_dst", format!("tun_ipv6_dst={}", ip6(self.rng.below(2))));
        }
        if self.rng.percent(2) {
            rule.add("tun_dst", format!("tun_dst={}", ip4(self.rng.pick(&IPV4))));
        }
        if self.rng.percent(4) {
            rule.add("pkt_mark", format!("pkt_mark={:#x}/0x1", self.rng.below(2)));
        }
        // Later tables are where tracked packets come back to.
        if self.rng.percent(if rule.table > 0 { 18 } else { 4 }) {
            let state =
                self.rng.pick(&["+trk", "-trk", "+trk+new", "+trk+est", "+new-est+trk", "-new+trk", "+trk-inv"]);
            promise.tracked = ["+trk+new", "+trk+est"].contains(&state);
            rule.add("ct_state", format!("ct_state={state}"));
            match self.rng.below(6) {
                0 => rule.add("ct_zone", format!("ct_zone={}", self.rng.below(3))),
                1 => rule.add("ct_mark", format!("ct_mark={:#x}/0x3", self.rng.below(3))),
                2 => rule.add("ct_label", format!("ct_label={:#x}/0xf", self.rng.below(3))),
                3 | 4 if promise.tracked && promise.eth_type == 0x0800 => {
                    rule.add("ct_nw_src", format!("ct_nw_src={}/24", ip4(self.rng.pick(&IPV4) & 0xffff_ff00)));
                    if self.rng.percent(50) {
                        rule.add("ct_tp_dst", format!("ct_nw_proto=6,ct_tp_dst={}", self.rng.pick(&L4)));
                    }
                }
                _ => {}
            }
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
        for (name, chance) in [("nw_src", 30), ("nw_dst", 50)] {
            if self.rng.percent(chance) {
                let len = self.rng.pick(&[8, 16, 24, 24, 31, 32]);
                let address = self.rng.pick(&IPV4) & (u32::MAX << (32 - len));
                rule.add(name, format!("{name}={}/{len}", ip4(address)));
            }
        }
        if self.rng.percent(3) {
            rule.add("nw_dst bits", format!("nw_dst={}/0.0.255.255", ip4(self.rng.pick(&IPV4) & 0xffff)));
        }
        self.ip(rule, promise, 1);
    }

    fn ipv6(&mut self, rule: &mut Rule, promise: &mut Promise) {
        promise.eth_type = 0x86dd;
        rule.add("ipv6", "dl_type=0x86dd".to_owned());
        for (name, chance) in [("ipv6_src", 30), ("ipv6_dst", 50)] {
            if self.rng.percent(chance) {
                let len = self.rng.pick(&[64, 65, 128]);
                let address = ipv6(self.rng.below(4)) & (u128::MAX << (128 - len));
                rule.add(name, format!("{name}={}/{len}", std::net::Ipv6Addr::from(address)));
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
        let proto = match self.rng.below(10) {
            0..=2 => 6,
            3..=5 => 17,
            6 => 132,
            7 => icmp,
            8 if icmp == 58 => icmp,
            _ => return,
        };
        let name = match proto {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => "icmp",
        };
        rule.add(name, format!("nw_proto={proto}"));
        if later {
            // No ports to match or to change.
            return;
        }
        promise.proto = proto;
        if proto == icmp {
            return self.icmp(rule, promise, icmp);
        }
        if self.rng.percent(25) {
            rule.add("tp_src", format!("{name}_src={}", self.rng.pick(&L4)));
        }
        if self.rng.percent(50) {
            let mask = self.rng.pick(&[0xffffu16, 0xffff, 0xfffe, 0xfc00]);
            rule.add("tp_dst", format!("{name}_dst={:#x}/{mask:#x}", self.rng.pick(&L4) & mask));
        }
        if proto == 6 && self.rng.percent(15) {
            rule.add("tcp_flags", "tcp_flags=+syn-ack".to_owned());
        }
    }

    fn icmp(&mut self, rule: &mut Rule, promise: &mut Promise, icmp: u8) {
        if self.rng.percent(40) {
            return;
        }
        let kind = self.rng.pick(if icmp == 1 { &[8, 0, 3] } else { &[128, 135, 136, 135, 136] });
        let name = if icmp == 1 { "icmp" } else { "icmpv6" };
        rule.add("icmp_type", format!("{name}_type={kind}"));
        if icmp == 1 || self.rng.percent(90) {
            rule.add("icmp_code", format!("{name}_code=0"));
            if matches!(kind, 135 | 136) {
                promise.nd = kind;
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

    /// What later tables do with packets that no other rule wants, when tracking has told about them.
    pub(super) fn tracked(&mut self, rules: &mut Vec<Rule>) {
        for table in 1..TABLES {
            if self.rng.percent(40) {
                let mut rule = Rule { table, cookie: 0x300 + table as u64, ..Rule::default() };
                rule.add("ct_state", "ct_state=+trk".to_owned());
                self.actions(&mut rule, &mut Promise::default());
                rules.push(rule);
            }
        }
    }

    /// Rules of a conjunction: several matches in each of two or three dimensions, and a rule for packets that are in all.
    pub(super) fn conjunction(&mut self, rules: &mut Vec<Rule>) {
        let (id, table, priority) = (7, self.rng.below(2), 1 + (61 * 64 + self.rng.below(64)) as u16);
        let clauses = 2 + self.rng.below(2);
        for clause in 1..=clauses {
            for n in 0..2 + self.rng.below(2) {
                let cookie = (0x100 + clause * 16 + n) as u64;
                let mut rule = Rule { table, priority, cookie, ..Rule::default() };
                rule.add("conjunctive match", "dl_type=0x0800".to_owned());
                // Each dimension has matches of its own, so no two rules are one; within it they may overlap.
                match clause {
                    1 => rule.matches.push(format!("nw_src={}/{}", ip4(IPV4[n] & 0xffff_ff00 | n as u32), 30 + n)),
                    2 => rule.matches.push(format!(
                        "nw_dst={}/{}",
                        ip4(IPV4[n + 2] & (u32::MAX << (8 + 2 * n))),
                        24 - 2 * n
                    )),
                    _ => rule.matches.push(format!("nw_proto=17,udp_dst={}", L4[n])),
                }
                rule.matches[1] = fixed(&rule.matches[1]);
                rule.act("conjunction", format!("conjunction({id},{clause}/{clauses})"));
                rules.push(rule);
            }
        }
        let mut rule =
            Rule { table, priority: priority - self.rng.below(2) as u16 * 2000, cookie: 0x1ff, ..Rule::default() };
        let mut promise = Promise { eth_type: 0x0800, ..Promise::default() };
        rule.add("conj_id", format!("conj_id={id},dl_type=0x0800"));
        self.actions(&mut rule, &mut promise);
        rules.push(rule);
    }
}

/// An address with a prefix, with the bits behind the prefix cleared.
fn fixed(text: &str) -> String {
    let Some((name, rest)) = text.split_once('=') else { return text.to_owned() };
    let Some((address, len)) = rest.split_once('/') else { return text.to_owned() };
    let (address, len): (std::net::Ipv4Addr, u32) = (address.parse().expect("IPv4"), len.parse().expect("a length"));
    format!("{name}={}/{len}", ip4(address.to_bits() & u32::MAX.checked_shl(32 - len).unwrap_or(0)))
}
