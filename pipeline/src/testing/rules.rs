//! Random rules.

use super::rng::Rng;
use crate::classifier::overlap;
use flow::action::Controller;
use flow::rule::RuleSpec;
use flow::{Action, FieldId, Match, OfPort, Value};

pub(super) const MACS: [u64; 5] =
    [0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0103, 0x0e11_0000_0004, 0x0200_00ff_0005];
pub(super) const GROUPS: [u64; 3] = [0xffff_ffff_ffff, 0x0100_5e00_0001, 0x3333_0000_0001];
pub(super) const VIDS: [u16; 3] = [10, 20, 30];
pub(super) const IPV4: [u32; 6] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0101, 0x0a01_0001, 0xc0a8_0001, 0xc0a8_0102];
pub(super) const PORTS: [u16; 5] = [80, 81, 443, 1024, 4789];
pub(super) const TTLS: [u8; 4] = [64, 1, 2, 255];
pub(super) const TOS: [u8; 3] = [0, 0xb8, 0x02];

/// An IPv6 address of the pool.
pub(super) fn ipv6(n: usize) -> u128 {
    0x2001_0db8_0000_0000_0000_0000_0000_0000 | ((n / 2) as u128) << 64 | (n % 2 + 1) as u128
}

/// What the rules may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleOptions {
    /// Number of tables, from table 0 on.
    pub tables: u8,
    /// Whether there are outputs to NORMAL.
    pub normal: bool,
    /// Whether there are outputs to the controller.
    pub controller: bool,
    /// Whether actions may set fields that the rule's match does not promise (ovs-ofctl refuses such rules).
    pub unchecked_sets: bool,
}

impl Default for RuleOptions {
    fn default() -> Self {
        RuleOptions { tables: 3, normal: true, controller: false, unchecked_sets: false }
    }
}

/// What a rule's match promises about its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Promise {
    eth_type: u16,
    proto: u8,
    tagged: bool,
}

/// A source of rules.
#[derive(Clone, Debug)]
pub struct RuleGen {
    pub(super) rng: Rng,
    options: RuleOptions,
}

impl RuleGen {
    #[must_use]
    pub fn new(seed: u64) -> RuleGen {
        RuleGen::with_options(seed, RuleOptions::default())
    }

    #[must_use]
    pub fn with_options(seed: u64, options: RuleOptions) -> RuleGen {
        RuleGen { rng: Rng::new(seed), options }
    }

    /// At most `n` rules (of which no two overlap at equal priority), and a rule for everything else in table 0. A few
    /// outputs go to a port that is not in `ports`.
    pub fn rules(&mut self, n: usize, ports: &[OfPort]) -> Vec<RuleSpec> {
        let mut rules: Vec<RuleSpec> = Vec::new();
        for cookie in 1..=n as u64 {
            let rule = self.rule(cookie, ports);
            let clash = |r: &RuleSpec| {
                r.table == rule.table && r.priority == rule.priority && overlap(&r.matching, &rule.matching)
            };
            if !rules.iter().any(clash) {
                rules.push(rule);
            }
        }
        let rest = if self.options.normal { OfPort::NORMAL } else { self.rng.pick_port(ports) };
        rules.push(RuleSpec { priority: 0, actions: vec![Action::Output(rest)], ..RuleSpec::default() });
        rules
    }

    fn rule(&mut self, cookie: u64, ports: &[OfPort]) -> RuleSpec {
        let tables = usize::from(self.options.tables.max(1));
        // Half of them where packets start.
        let table = if self.rng.percent(50) { 0 } else { self.rng.below(tables) as u8 };
        let (matching, promise) = self.matching(table, ports);
        let actions = self.actions(table, promise, ports);
        let priority = 1 + self.rng.below(40) as u16;
        RuleSpec { table, priority, matching, actions, cookie, ..RuleSpec::default() }
    }

    fn matching(&mut self, table: u8, ports: &[OfPort]) -> (Match, Promise) {
        let mut m = Match::default();
        let mut promise = Promise::default();
        let r = &mut self.rng;
        if r.percent(35) {
            m.set_exact(FieldId::InPort, Value::from(u32::from(r.pick_port(ports).0)));
        }
        if r.percent(12) {
            m.set_exact(FieldId::EthSrc, Value::from(r.pick(&MACS)));
        }
        if r.percent(20) {
            let mac = if r.percent(80) { r.pick(&MACS) } else { r.pick(&GROUPS) };
            let mask = r.pick(&[0xffff_ffff_ffffu64, 0xffff_ffff_ffff, 0xffff_ff00_0000, 0x0100_0000_0000]);
            m.set(FieldId::EthDst, Value::from(mac), Value::from(mask));
        }
        match r.below(10) {
            0 => m.set_exact(FieldId::VlanTci, Value(0)),
            1 | 2 => {
                m.set_exact(FieldId::VlanVid, Value::from(0x1000 | r.pick(&VIDS)));
                promise.tagged = true;
                if r.percent(20) {
                    m.set_exact(FieldId::VlanPcp, Value::from(r.pick(&[0u8, 5])));
                }
            }
            _ => {}
        }
        match r.below(10) {
            0..=5 => self.ipv4(&mut m, &mut promise),
            6 | 7 => self.ipv6(&mut m, &mut promise),
            8 => self.arp(&mut m, &mut promise),
            _ => {}
        }
        if table > 0 && self.rng.percent(30) {
            let (value, mask) = (self.rng.below(3) as u32, self.rng.pick(&[u32::MAX, 1]));
            m.set(FieldId::Reg0, Value::from(value & mask), Value::from(mask));
        }
        (m, promise)
    }

    fn arp(&mut self, m: &mut Match, promise: &mut Promise) {
        promise.eth_type = 0x0806;
        m.set_exact(FieldId::EthType, Value::from(promise.eth_type));
        let r = &mut self.rng;
        if r.percent(40) {
            m.set_exact(FieldId::ArpOp, Value(1 + r.below(2) as u128));
        }
        if r.percent(40) {
            m.set(FieldId::ArpTpa, Value::from(r.pick(&IPV4) & 0xffff_ff00), Value(0xffff_ff00));
        }
        if r.percent(20) {
            m.set_exact(FieldId::ArpSha, Value::from(r.pick(&MACS)));
        }
    }

    fn ipv4(&mut self, m: &mut Match, promise: &mut Promise) {
        promise.eth_type = 0x0800;
        m.set_exact(FieldId::EthType, Value::from(promise.eth_type));
        for (field, chance) in [(FieldId::Ipv4Src, 30), (FieldId::Ipv4Dst, 50)] {
            if self.rng.percent(chance) {
                let mask = self.rng.pick(&[0xff00_0000u32, 0xffff_0000, 0xffff_ff00, 0xffff_ffff]);
                m.set(field, Value::from(self.rng.pick(&IPV4) & mask), Value::from(mask));
            }
        }
        self.ip(m, promise, 1);
    }

    fn ipv6(&mut self, m: &mut Match, promise: &mut Promise) {
        promise.eth_type = 0x86dd;
        m.set_exact(FieldId::EthType, Value::from(promise.eth_type));
        for (field, chance) in [(FieldId::Ipv6Src, 30), (FieldId::Ipv6Dst, 50)] {
            if self.rng.percent(chance) {
                let mask = u128::MAX << self.rng.pick(&[64u32, 63, 0]);
                m.set(field, Value(ipv6(self.rng.below(4)) & mask), Value(mask));
            }
        }
        if self.rng.percent(10) {
            m.set_exact(FieldId::Ipv6Label, Value(self.rng.below(2) as u128));
        }
        self.ip(m, promise, 58);
    }

    /// What IPv4 and IPv6 have in common; `icmp` is the number of their ICMP.
    fn ip(&mut self, m: &mut Match, promise: &mut Promise, icmp: u8) {
        let r = &mut self.rng;
        if r.percent(10) {
            m.set_exact(FieldId::IpDscp, Value::from(r.pick(&TOS) >> 2));
        }
        if r.percent(8) {
            m.set_exact(FieldId::IpTtl, Value::from(r.pick(&TTLS)));
        }
        if r.percent(8) {
            let (value, mask) = r.pick(&[(0u8, 3u8), (1, 1), (3, 3), (1, 3), (0, 2)]);
            m.set(FieldId::IpFrag, Value::from(value), Value::from(mask));
        }
        let (src, dst) = match r.below(10) {
            0..=2 => {
                promise.proto = 6;
                if r.percent(15) {
                    m.set(FieldId::TcpFlags, Value(2), Value(0x12));
                }
                (FieldId::TcpSrc, FieldId::TcpDst)
            }
            3..=5 => {
                promise.proto = 17;
                (FieldId::UdpSrc, FieldId::UdpDst)
            }
            6 => {
                promise.proto = 132;
                (FieldId::SctpSrc, FieldId::SctpDst)
            }
            7 => {
                promise.proto = icmp;
                let (kind, code) = if icmp == 1 {
                    (FieldId::IcmpType, FieldId::IcmpCode)
                } else {
                    (FieldId::Icmpv6Type, FieldId::Icmpv6Code)
                };
                m.set_exact(FieldId::IpProto, Value::from(icmp));
                if r.percent(50) {
                    m.set_exact(kind, Value::from(r.pick(if icmp == 1 { &[8u8, 0] } else { &[128u8, 135] })));
                    m.set_exact(code, Value(0));
                    if icmp == 58 && m.get(FieldId::Icmpv6Type).0.0 == 135 && r.percent(50) {
                        m.set_exact(FieldId::NdTarget, Value(ipv6(r.below(4))));
                    }
                }
                return;
            }
            _ => return,
        };
        m.set_exact(FieldId::IpProto, Value::from(promise.proto));
        if r.percent(25) {
            m.set_exact(src, Value::from(r.pick(&PORTS)));
        }
        if r.percent(50) {
            let mask = r.pick(&[0xffffu16, 0xffff, 0xfffe, 0xfc00]);
            m.set(dst, Value::from(r.pick(&PORTS) & mask), Value::from(mask));
        }
    }

    fn actions(&mut self, table: u8, promise: Promise, ports: &[OfPort]) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.rng.percent(8) {
            return actions;
        }
        for _ in 0..self.rng.below(4) {
            self.change(promise, &mut actions);
        }
        let later = self.options.tables.saturating_sub(table + 1);
        if later > 0 && self.rng.percent(35) {
            let to = table + 1 + self.rng.below(usize::from(later)) as u8;
            if self.rng.percent(50) {
                if self.rng.percent(20) {
                    self.outputs(ports, &mut actions);
                }
                actions.push(Action::GotoTable(to));
                return actions;
            }
            let port = self.rng.percent(20).then(|| self.rng.pick_port(ports));
            actions.push(Action::Resubmit { port, table: Some(to), ct: false });
            if self.rng.percent(60) {
                return actions;
            }
            self.change(promise, &mut actions);
        }
        self.outputs(ports, &mut actions);
        actions
    }

    fn outputs(&mut self, ports: &[OfPort], actions: &mut Vec<Action>) {
        let to = match self.rng.below(20) {
            0 => OfPort::IN_PORT,
            1 => OfPort::FLOOD,
            2 => OfPort::ALL,
            3..=5 if self.options.normal => OfPort::NORMAL,
            6 => OfPort(999),
            _ => self.rng.pick_port(ports),
        };
        actions.push(Action::Output(to));
        if self.rng.percent(20) {
            self.change(Promise::default(), actions);
            actions.push(Action::Output(self.rng.pick_port(ports)));
        }
        if self.options.controller && self.rng.percent(10) {
            actions.push(Action::Controller(Box::new(Controller::new(128))));
        }
    }

    /// One change of the packet.
    fn change(&mut self, promise: Promise, actions: &mut Vec<Action>) {
        let unchecked = self.options.unchecked_sets;
        let (ip4, ip6) = (promise.eth_type == 0x0800 || unchecked, promise.eth_type == 0x86dd || unchecked);
        let r = &mut self.rng;
        let exact = |field: FieldId, value: Value| Action::SetField { field, value, mask: field.def().ones() };
        actions.push(match r.below(16) {
            0 => exact(FieldId::EthDst, Value::from(r.pick(&MACS))),
            1 => exact(FieldId::EthSrc, Value::from(r.pick(&MACS))),
            2 => {
                let mask = Value(0x0000_00ff_ffff);
                Action::SetField { field: FieldId::EthDst, value: Value::from(r.pick(&MACS) & 0xff_ffff), mask }
            }
            3 => Action::ModVlanVid(r.pick(&VIDS)),
            4 => Action::ModVlanPcp(r.below(8) as u8),
            5 => Action::PushVlan(r.pick(&[0x8100, 0x88a8])),
            6 => Action::PopVlan,
            7 | 8 if ip4 || ip6 => Action::DecTtl,
            9 if ip4 => exact(FieldId::Ipv4Dst, Value::from(r.pick(&IPV4))),
            10 if ip4 => {
                let mask = 0xffff_0000u32;
                Action::SetField {
                    field: FieldId::Ipv4Src,
                    value: Value::from(r.pick(&IPV4) & mask),
                    mask: Value::from(mask),
                }
            }
            9 | 10 if ip6 => exact(FieldId::Ipv6Dst, Value(ipv6(r.below(4)))),
            11 if ip4 || ip6 => exact(FieldId::IpDscp, Value::from(r.pick(&TOS) >> 2)),
            12 if ip4 || ip6 => exact(FieldId::IpTtl, Value::from(r.pick(&TTLS))),
            13 if promise.proto == 6 || unchecked => exact(FieldId::TcpDst, Value::from(r.pick(&PORTS))),
            14 if promise.proto == 17 || unchecked => exact(FieldId::UdpSrc, Value::from(r.pick(&PORTS))),
            15 if promise.tagged || unchecked => exact(FieldId::VlanVid, Value::from(0x1000 | r.pick(&VIDS))),
            _ => exact(FieldId::Reg0, Value(r.below(3) as u128)),
        });
    }
}

impl Rng {
    pub(super) fn pick_port(&mut self, ports: &[OfPort]) -> OfPort {
        ports.get(self.below(ports.len())).copied().unwrap_or(OfPort::NONE)
    }
}
