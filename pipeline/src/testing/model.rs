//! An independent reading of rules: one packet, one rule after the other, no masks, no caches, no batches.

use crate::VlanMode;
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FieldId, FlowKey, OfPort, Registers, Value, VlanTag};
use std::collections::HashMap;

/// What a packet does: rules hit as table and cookie (`None`: a miss), addresses learned, copies sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub hits: Vec<(u8, Option<u64>)>,
    pub learned: Vec<(u16, [u8; 6], DpPort)>,
    /// Port and the key that leaves there; the controller is port `u32::MAX`. Sorted.
    pub sent: Vec<(DpPort, FlowKey)>,
}

/// A port of the [`Model`].
#[derive(Clone, Debug)]
pub struct TestPort {
    pub number: OfPort,
    pub vlan: VlanMode,
    pub flood: bool,
    pub up: bool,
}

impl TestPort {
    /// Its number in the datapath.
    #[must_use]
    pub fn dp(&self) -> DpPort {
        dp(self.number)
    }
}

/// Datapath ports are numbered otherwise than OpenFlow ports, so that mixing them up fails.
#[must_use]
pub fn dp(number: OfPort) -> DpPort {
    DpPort(u32::from(number.0) + 100)
}

/// A switch as simple as can be. It knows what [`super::RuleGen`] makes.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub ports: Vec<TestPort>,
    pub rules: Vec<RuleSpec>,
    pub fdb: HashMap<(u16, [u8; 6]), DpPort>,
}

#[derive(Debug)]
struct Run<'m> {
    model: &'m Model,
    key: FlowKey,
    regs: Registers,
    dead: bool,
    failed: bool,
    out: Outcome,
}

impl Model {
    /// What a packet does. Nothing is learned from it: that is the caller's.
    ///
    /// # Panics
    /// On actions and fields that [`super::RuleGen`] does not make.
    #[must_use]
    pub fn run(&self, in_port: OfPort, key: &FlowKey) -> Outcome {
        let mut key = *key;
        key.in_port = u32::from(in_port.0).into();
        let regs = Registers::default();
        let mut run = Run { model: self, key, regs, dead: false, failed: false, out: Outcome::default() };
        run.table(0, in_port);
        if run.failed {
            run.out.sent.clear();
        }
        run.out.sent.iter_mut().for_each(|(_, k)| k.in_port = 0.into());
        run.out.sent.sort_by_key(|(p, k)| (*p, *k.words()));
        run.out
    }
}

impl Run<'_> {
    #[expect(clippy::panic, reason = "a reading that leaves something out would agree with anything")]
    fn table(&mut self, table: u8, in_port: OfPort) {
        let mut seen = self.key;
        seen.in_port = u32::from(in_port.0).into();
        if seen.nw_frag != 0 {
            (seen.tp_src, seen.tp_dst) = (0.into(), 0.into());
        }
        let best = self
            .model
            .rules
            .iter()
            .filter(|r| r.table == table && r.matching.matches(&seen, &self.regs))
            .max_by_key(|r| r.priority);
        self.out.hits.push((table, best.map(|r| r.cookie)));
        let Some(rule) = best else { return };
        for action in &rule.actions {
            if self.failed {
                return;
            }
            match action {
                Action::Output(port) => self.output(*port),
                Action::Controller { .. } => self.send(DpPort(u32::MAX)),
                Action::SetField { field, value, mask } => self.set(*field, value.0, mask.0),
                Action::ModVlanVid(vid) => self.mod_vlan(*vid, 0xfff),
                Action::ModVlanPcp(pcp) => self.mod_vlan(u16::from(*pcp) << 13, 0xe000),
                Action::PushVlan(tpid) => self.push(*tpid),
                Action::PopVlan => {
                    self.key.vlans = [self.key.vlans[1], VlanTag::default()];
                }
                Action::DecTtl => {
                    if self.ip() {
                        self.dead |= self.key.nw_ttl <= 1;
                        self.key.nw_ttl = self.key.nw_ttl.saturating_sub(1);
                    }
                }
                Action::Resubmit { port, table: to, .. } => {
                    self.table(to.unwrap_or(table), port.unwrap_or(self.in_port()));
                }
                Action::GotoTable(to) => self.table(*to, self.in_port()),
                other => panic!("{other:?} is not generated"),
            }
        }
    }

    fn in_port(&self) -> OfPort {
        OfPort(self.key.in_port.get() as u16)
    }

    fn ip(&self) -> bool {
        [0x0800, 0x86dd].contains(&self.key.eth_type.get())
    }

    fn tag(&mut self, value: u16, mask: u16) {
        let old = self.key.vlans[0].tci.get();
        self.key.vlans[0].tci = (old & !mask | value & mask).into();
    }

    fn push(&mut self, tpid: u16) {
        if self.key.vlans[1].is_present() {
            self.failed = true;
            return;
        }
        let old = self.key.vlans[0];
        self.key.vlans = [VlanTag { tpid: tpid.into(), tci: VlanTag::PRESENT.into() }, old];
    }

    fn mod_vlan(&mut self, value: u16, mask: u16) {
        if !self.key.vlans[0].is_present() {
            self.push(0x8100);
        }
        self.tag(value, mask);
    }

    #[expect(clippy::panic, reason = "a reading that leaves something out would agree with anything")]
    fn set(&mut self, field: FieldId, value: u128, mask: u128) {
        let l4 = self.ip() && self.key.nw_frag & 2 == 0;
        let fits = match field {
            FieldId::VlanVid => self.key.vlans[0].is_present(),
            FieldId::Ipv4Src | FieldId::Ipv4Dst => self.key.eth_type == 0x0800,
            FieldId::Ipv6Src | FieldId::Ipv6Dst => self.key.eth_type == 0x86dd,
            FieldId::IpDscp | FieldId::IpTtl => self.ip(),
            FieldId::TcpDst => l4 && self.key.nw_proto == 6,
            FieldId::UdpSrc => l4 && self.key.nw_proto == 17,
            FieldId::EthSrc | FieldId::EthDst | FieldId::Reg0 => true,
            other => panic!("{other} is not generated"),
        };
        if fits {
            let def = field.def();
            let old = def.get(&self.key, &self.regs).0;
            def.set(&mut self.key, &mut self.regs, Value(old & !mask | value & mask));
        }
    }

    fn send(&mut self, to: DpPort) {
        if !self.dead {
            self.out.sent.push((to, self.key));
        }
    }

    fn port(&self, number: OfPort) -> Option<TestPort> {
        self.model.ports.iter().find(|p| p.number == number).cloned()
    }

    fn output(&mut self, to: OfPort) {
        match to {
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD | OfPort::ALL => {
                for port in self.model.ports.clone() {
                    if port.number != self.in_port() && port.up && (port.flood || to == OfPort::ALL) {
                        self.send(port.dp());
                    }
                }
            }
            to if to == self.in_port() => {}
            to => {
                let to = if to == OfPort::IN_PORT { self.in_port() } else { to };
                if self.port(to).is_some_and(|p| p.up) {
                    self.send(dp(to));
                }
            }
        }
    }

    fn normal(&mut self) {
        let (src, dst) = (self.key.eth_src, self.key.eth_dst);
        if dst[..5] == [1, 0x80, 0xc2, 0, 0] && dst[5] < 16 {
            return;
        }
        let Some(from) = self.port(self.in_port()) else { return };
        let Some(vlan) = from.vlan.input(self.key.vlans[0].vid()) else { return };
        if src[0] & 1 == 0 {
            self.out.learned.push((vlan, src, from.dp()));
        }
        let known = self.model.fdb.get(&(vlan, dst)).filter(|_| dst[0] & 1 == 0);
        for to in self.model.ports.clone() {
            let wanted = match known {
                Some(dp) => to.dp() == *dp,
                None => to.flood && to.vlan.carries(vlan),
            };
            if wanted && to.up && to.number != from.number {
                let kept = self.key.vlans;
                let access = matches!(to.vlan, VlanMode::Access(_));
                if access && known.is_none() && self.key.vlans[1].vid() != 0 {
                    continue;
                }
                // A priority stays where tags go.
                let native = matches!(&to.vlan, VlanMode::NativeUntagged { native: 0, .. });
                let keeps = vlan == 0 && !access && !native && self.key.vlans[0].tci.get() & 0xe000 != 0;
                match (self.key.vlans[0].is_present(), to.vlan.tags(vlan) || keeps) {
                    (true, false) => self.key.vlans = [self.key.vlans[1], VlanTag::default()],
                    (false, true) => self.mod_vlan(vlan, 0xfff),
                    (true, true) => self.tag(vlan, 0xfff),
                    (false, false) => {}
                }
                self.send(to.dp());
                self.key.vlans = kept;
            }
        }
    }
}
