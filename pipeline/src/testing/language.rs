//! Random actions from all over the language, put into random rules.

use super::RuleGen;
use super::rng::Rng;
use super::rules::{IPV4, MACS, PORTS, TTLS, VIDS};
use flow::action::{
    Bundle, BundleAlgorithm, Ct, CtZone, HashFields, Learn, LearnSource, LearnSpec, LearnTarget, SubField,
};
use flow::group::{Bucket, GroupKind, GroupSpec, Selection};
use flow::rule::RuleSpec;
use flow::{Action, FieldId, OfPort, Value};

/// How much of the language there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// What [`super::Model`] reads too.
    Modelled,
    /// All of it but meters.
    All,
}

/// Fields to copy from, with a part that is worth copying.
const SOURCES: [(FieldId, u16); 9] = [
    (FieldId::Reg0, 32),
    (FieldId::Reg1, 32),
    (FieldId::Metadata, 64),
    (FieldId::InPort, 16),
    (FieldId::EthSrc, 48),
    (FieldId::Ipv4Src, 32),
    (FieldId::Ipv4Dst, 32),
    (FieldId::TcpDst, 16),
    (FieldId::Xreg1, 64),
];
/// Fields to copy to.
const TARGETS: [(FieldId, u16); 8] = [
    (FieldId::Reg0, 32),
    (FieldId::Reg1, 32),
    (FieldId::Metadata, 64),
    (FieldId::EthDst, 48),
    (FieldId::Ipv4Dst, 32),
    (FieldId::TcpDst, 16),
    (FieldId::UdpSrc, 16),
    (FieldId::Xreg1, 64),
];

/// Groups 1 to 4 are read by the model, 5 and 6 choose by hashes.
const MODELLED_GROUPS: usize = 4;

impl RuleGen {
    /// As [`RuleGen::rules`], with actions and matches of the whole language among the others, and the groups that they send to.
    pub fn language(&mut self, n: usize, ports: &[OfPort], language: Language) -> (Vec<RuleSpec>, Vec<GroupSpec>) {
        let mut rules = self.rules(n, ports);
        let groups = self.groups(ports, language);
        let rng = &mut self.rng;
        for rule in &mut rules {
            for _ in 0..rng.below(4) {
                let action = rng.action(ports, language, 0);
                let end = rule.actions.iter().position(|a| matches!(a, Action::GotoTable(_)));
                let at = rng.below(end.unwrap_or(rule.actions.len()) + 1);
                rule.actions.insert(at, action);
            }
            if rule.table > 0 && rng.percent(25) {
                match rng.below(3) {
                    0 => rule.matching.set(FieldId::Metadata, Value(rng.below(4) as u128), Value(3)),
                    1 => rule.matching.set(FieldId::Reg1, Value(rng.below(2) as u128), Value(1)),
                    _ => rule.matching.set_exact(FieldId::ActsetOutput, Value::from(rng.pick_port(ports).0)),
                }
            }
        }
        // What was added to matches may have made rules overlap.
        let mut kept: Vec<RuleSpec> = Vec::new();
        for rule in rules {
            let clash = |r: &RuleSpec| {
                r.table == rule.table
                    && r.priority == rule.priority
                    && crate::classifier::overlap(&r.matching, &rule.matching)
            };
            if !kept.iter().any(clash) {
                kept.push(rule);
            }
        }
        (kept, groups)
    }

    fn groups(&mut self, ports: &[OfPort], language: Language) -> Vec<GroupSpec> {
        let rng = &mut self.rng;
        let buckets = |rng: &mut Rng, n: usize, leads: bool| -> Vec<Bucket> {
            let bucket = |id| {
                let mut actions: Vec<Action> = (0..rng.below(3)).map(|_| rng.set()).collect();
                actions.push(Action::Output(rng.pick_port(ports)));
                if leads && id == 1 {
                    actions.push(Action::Group(2));
                }
                Bucket { id, weight: 0, watch_port: None, watch_group: None, actions }
            };
            (1..=n as u32).map(bucket).collect()
        };
        let all = buckets(rng, 3, false);
        let one = buckets(rng, 1, false);
        let mut watched = buckets(rng, 3, false);
        for bucket in &mut watched {
            bucket.watch_port = Some(rng.pick_port(ports));
        }
        let chained = buckets(rng, 2, true);
        let mut weighed = buckets(rng, 3, true);
        for (weight, bucket) in (1..).zip(&mut weighed) {
            bucket.weight = weight;
        }
        let group = |id, kind, buckets| GroupSpec { id, kind, selection: Selection::Default, buckets };
        let mut out = vec![
            group(2, GroupKind::Indirect, one),
            group(1, GroupKind::All, all),
            group(3, GroupKind::FastFailover, watched),
            group(4, GroupKind::All, chained),
        ];
        if language == Language::All {
            let fields = vec![(FieldId::Ipv4Src, Value(0xff)), (FieldId::TcpDst, FieldId::TcpDst.def().ones())];
            let by_fields = Selection::Hash { param: 3, fields };
            out.push(GroupSpec { selection: by_fields, ..group(5, GroupKind::Select, weighed.clone()) });
            out.push(group(6, GroupKind::Select, weighed));
        }
        out
    }
}

impl Rng {
    fn part(&mut self, of: &[(FieldId, u16)], bits: u16) -> SubField {
        let at = self.below(of.len());
        let (field, width) = of.get(at).copied().unwrap_or((FieldId::Reg0, 32));
        let bits = bits.min(width);
        SubField { field, first: self.below(usize::from(width - bits) + 1) as u16, bits }
    }

    /// A change that can be in an action set.
    fn set(&mut self) -> Action {
        let exact = |field: FieldId, value: Value| Action::SetField { field, value, mask: field.def().ones() };
        match self.below(7) {
            0 => exact(FieldId::EthDst, Value::from(self.pick(&MACS))),
            1 => exact(FieldId::Ipv4Dst, Value::from(self.pick(&IPV4))),
            2 => exact(FieldId::TcpDst, Value::from(self.pick(&PORTS))),
            3 => exact(FieldId::IpTtl, Value::from(self.pick(&TTLS))),
            4 => Action::PopVlan,
            5 => Action::ModVlanVid(self.pick(&VIDS)),
            _ => Action::Load { field: FieldId::Reg1, value: Value(self.below(4) as u128), mask: Value(3) },
        }
    }

    fn action(&mut self, ports: &[OfPort], language: Language, depth: usize) -> Action {
        let known = 17;
        match self.below(if language == Language::All { known + 8 } else { known }) {
            0 | 1 => Action::Load { field: FieldId::Reg1, value: Value(self.below(16) as u128 & 5), mask: Value(5) },
            2..=4 => {
                let bits = self.pick(&[1u16, 8, 16, 32]);
                let from = self.part(&SOURCES, bits);
                let to = self.part(&TARGETS, from.bits);
                Action::Move { from: SubField { bits: to.bits, ..from }, to }
            }
            5 => Action::Push(self.part(&SOURCES, 16)),
            6 => Action::Pop(self.part(&TARGETS, 16)),
            7 if depth < 2 => {
                let n = self.below(4);
                Action::Clone((0..n).map(|_| self.inner(ports, language, depth + 1)).collect())
            }
            8 if depth == 0 => {
                let mut list: Vec<Action> = (0..self.below(3)).map(|_| self.set()).collect();
                list.push(if self.percent(20) { Action::Group(1) } else { Action::Output(self.pick_port(ports)) });
                Action::WriteActions(list)
            }
            9 if depth == 0 && self.percent(40) => Action::ClearActions,
            9 | 10 if depth == 0 => Action::WriteMetadata { value: self.below(4) as u64, mask: 3 },
            11 => Action::Group(1 + self.below(MODELLED_GROUPS) as u32),
            12 => Action::Learn(Box::new(self.learn(language))),
            13 => Action::OutputField { port: SubField { field: FieldId::Reg1, first: 0, bits: 4 }, max_len: 128 },
            14 if self.percent(30) => Action::Exit,
            14 => Action::DecTtlControllers([0, 3].into()),
            15 => {
                let queue = self.below(3) as u32;
                if self.percent(50) {
                    Action::SetQueue(queue)
                } else {
                    Action::Enqueue { port: self.pick_port(ports), queue }
                }
            }
            16 => Action::Bundle(Box::new(self.bundle(BundleAlgorithm::ActiveBackup, ports))),
            17 => Action::Group(5),
            18 => Action::Group(6),
            19 | 20 => Action::Ct(Box::new(Ct {
                commit: self.percent(50),
                zone: CtZone::Field(SubField { field: FieldId::Reg1, first: 0, bits: 16 }),
                table: self.percent(70).then_some(1),
                ..Ct::default()
            })),
            21 => Action::CtClear,
            22 => Action::CheckPktLarger { len: 100, result: SubField { field: FieldId::Reg1, first: 0, bits: 1 } },
            23 => Action::Resubmit { port: None, table: Some(2), ct: true },
            24 => Action::Bundle(Box::new(self.bundle(BundleAlgorithm::Hrw, ports))),
            _ => Action::PopQueue,
        }
    }

    fn inner(&mut self, ports: &[OfPort], language: Language, depth: usize) -> Action {
        match self.below(3) {
            0 => Action::Output(self.pick_port(ports)),
            1 => self.set(),
            _ => self.action(ports, language, depth),
        }
    }

    fn bundle(&mut self, algorithm: BundleAlgorithm, ports: &[OfPort]) -> Bundle {
        Bundle {
            fields: if self.percent(50) { HashFields::SymmetricL4 } else { HashFields::NwSrc },
            basis: 0,
            algorithm,
            members: (0..3).map(|_| self.pick_port(ports)).collect(),
            load: self.percent(50).then_some(SubField { field: FieldId::Reg1, first: 0, bits: 16 }),
        }
    }

    fn learn(&mut self, language: Language) -> Learn {
        let whole = |field| SubField::whole(field);
        let low = |field| SubField { field, first: 0, bits: 16 };
        let specs = vec![
            LearnSpec {
                source: LearnSource::Field(whole(FieldId::EthSrc)),
                target: LearnTarget::Match(whole(FieldId::EthDst)),
                bits: 48,
            },
            LearnSpec {
                source: LearnSource::Immediate(Value(self.below(4) as u128)),
                target: LearnTarget::Match(low(FieldId::Reg1)),
                bits: 16,
            },
            LearnSpec {
                source: LearnSource::Field(low(FieldId::InPort)),
                target: LearnTarget::Load(low(FieldId::Reg0)),
                bits: 16,
            },
            LearnSpec { source: LearnSource::Field(low(FieldId::InPort)), target: LearnTarget::Output, bits: 16 },
        ];
        let limit = if language == Language::All { self.below(2) as u32 } else { 0 };
        Learn {
            table: 9,
            priority: 5,
            cookie: 0x1ea,
            idle_timeout: 0,
            hard_timeout: 60,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            send_flow_rem: false,
            delete_learned: false,
            limit,
            result: (limit != 0).then_some(SubField { field: FieldId::Reg1, first: 1, bits: 1 }),
            specs,
        }
    }
}
