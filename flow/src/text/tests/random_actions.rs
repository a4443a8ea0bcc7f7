//! Random lists of every action: what is printed of them is read back as the same list.

use crate::action::{
    Action, Bundle, BundleAlgorithm, Controller, Ct, CtAlg, CtZone, HashFields, Learn, LearnSource, LearnSpec,
    LearnTarget, Nat, NatRange, PacketInReason, Sample, SubField,
};
use crate::field::FieldId;
use crate::group::{Bucket, GroupKind, GroupSpec, Selection};
use crate::port::OfPort;
use crate::rule::RuleSpec;
use crate::text::{NoPorts, RuleStats, format_dump, format_group, parse_flow, parse_group};
use crate::value::Value;
use proptest::prelude::*;
use std::net::IpAddr;

/// 32-bit fields that packets of the test's match have, and that can be set.
const FIELDS: [FieldId; 5] = [FieldId::Reg0, FieldId::Reg7, FieldId::Ipv4Src, FieldId::PktMark, FieldId::TunSrc];

fn part() -> impl Strategy<Value = SubField> {
    (prop::sample::select(&FIELDS[..]), 0u16..32, 1u16..=32).prop_map(|(field, first, bits)| SubField {
        field,
        first,
        bits: bits.min(32 - first),
    })
}

fn half() -> impl Strategy<Value = SubField> {
    (prop::sample::select(&FIELDS[..]), 0u16..=16).prop_map(|(field, first)| SubField { field, first, bits: 16 })
}

fn bit() -> impl Strategy<Value = SubField> {
    part().prop_map(|p| SubField { bits: 1, ..p })
}

fn port() -> impl Strategy<Value = OfPort> {
    prop_oneof![(0u16..0xff00).prop_map(OfPort), Just(OfPort::LOCAL), Just(OfPort::IN_PORT)]
}

fn load(part: SubField, value: u32) -> Action {
    let mask = part.mask();
    Action::Load { field: part.field, value: Value(u128::from(value) << part.first & mask.0), mask }
}

fn nat() -> impl Strategy<Value = Nat> {
    let range = (1u32..u32::MAX, 0u32..1000, prop::option::of((1u16..u16::MAX, 0u16..1000)), any::<bool>(), 0..3)
        .prop_map(|(first, more, ports, persistent, kind)| NatRange {
            addresses: Some((IpAddr::V4(first.into()), IpAddr::V4(first.saturating_add(more).into()))),
            ports: ports.map(|(first, more)| (first, first.saturating_add(more))),
            persistent,
            hash: kind == 1,
            random: kind == 2,
        });
    let any = any::<bool>().prop_map(|random| NatRange { random, ..NatRange::default() });
    (prop_oneof![range, any], 0..3).prop_map(|(range, kind)| match kind {
        0 => Nat::Existing,
        1 => Nat::Source(range),
        _ => Nat::Destination(range),
    })
}

fn ct() -> impl Strategy<Value = Action> {
    let zone = prop_oneof![any::<u16>().prop_map(CtZone::Fixed), half().prop_map(CtZone::Field)];
    let set = prop_oneof![
        any::<u32>().prop_map(|v| Action::SetField {
            field: FieldId::CtMark,
            value: Value::from(v),
            mask: Value::ones(32)
        }),
        (0u16..31, any::<u32>()).prop_map(|(first, v)| load(SubField { field: FieldId::CtMark, first, bits: 1 }, v)),
        (part(), 0u16..96).prop_map(|(from, first)| Action::Move {
            from,
            to: SubField { field: FieldId::CtLabel, first, bits: from.bits }
        }),
    ];
    let exec = prop::collection::vec(set, 0..4);
    (any::<[bool; 3]>(), zone, prop::option::of(0u8..255), prop::option::of(nat()), exec, 0usize..4).prop_map(
        |([commit, force, alg], zone, table, nat, exec, at)| {
            let commit = commit || !exec.is_empty() || !matches!(nat, None | Some(Nat::Existing));
            let nat_at = if nat.is_some() { at.min(exec.len()) } else { 0 };
            let alg = alg.then_some(CtAlg::Ftp);
            Action::Ct(Box::new(Ct { commit, force: force && commit, zone, table, alg, nat, nat_at, exec }))
        },
    )
}

fn learn() -> impl Strategy<Value = Action> {
    let spec = (part(), part(), any::<u32>(), 0..5).prop_map(|(a, b, value, kind)| {
        let bits = a.bits.min(b.bits);
        // Registers only: what is learned has no prerequisites.
        let (from, to) = (SubField { bits, ..a }, SubField { field: FieldId::Reg3, bits, ..b });
        let (source, target) = match kind {
            0 => (LearnSource::Field(from), LearnTarget::Match(to)),
            1 => (LearnSource::Immediate(Value(Value::from(value).0 & Value::ones(bits).0)), LearnTarget::Match(to)),
            2 => (LearnSource::Field(from), LearnTarget::Load(to)),
            3 => (LearnSource::Immediate(Value(Value::from(value).0 & Value::ones(bits).0)), LearnTarget::Load(to)),
            _ => (LearnSource::Field(from), LearnTarget::Output),
        };
        LearnSpec { source, target, bits }
    });
    let numbers = (any::<[u16; 5]>(), any::<u64>(), any::<u32>(), any::<[bool; 2]>(), 0u8..255);
    (numbers, prop::option::of(bit()), prop::collection::vec(spec, 0..5)).prop_map(
        |((n, cookie, limit, [send_flow_rem, delete_learned], table), result, specs)| {
            Action::Learn(Box::new(Learn {
                table,
                priority: n[0],
                cookie,
                idle_timeout: n[1],
                hard_timeout: n[2],
                fin_idle_timeout: n[3],
                fin_hard_timeout: n[4],
                send_flow_rem,
                delete_learned,
                limit,
                result,
                specs,
            }))
        },
    )
}

fn controller() -> impl Strategy<Value = Action> {
    let reasons = [PacketInReason::NoMatch, PacketInReason::Action, PacketInReason::Group, PacketInReason::PacketOut];
    let userdata = prop::collection::vec(any::<u8>(), 0..9);
    (any::<[u16; 2]>(), prop::sample::select(reasons.to_vec()), userdata, any::<bool>(), prop::option::of(1u32..))
        .prop_map(|([max_len, id], reason, userdata, pause, meter)| {
            Action::Controller(Box::new(Controller { max_len, reason, id, userdata: userdata.into(), pause, meter }))
        })
}

fn bundle() -> impl Strategy<Value = Action> {
    let hashes = [HashFields::EthSrc, HashFields::SymmetricL4, HashFields::SymmetricL3L4Udp, HashFields::NwDst];
    let members = prop::collection::vec(port(), 0..5);
    (prop::sample::select(hashes.to_vec()), any::<u16>(), any::<bool>(), members, prop::option::of(half())).prop_map(
        |(fields, basis, hrw, members, load)| {
            let algorithm = if hrw { BundleAlgorithm::Hrw } else { BundleAlgorithm::ActiveBackup };
            Action::Bundle(Box::new(Bundle { fields, basis, algorithm, members, load }))
        },
    )
}

/// Actions that are also those of OpenFlow 1.5, and may be anywhere.
fn plain() -> impl Strategy<Value = Action> {
    prop_oneof![
        port().prop_map(Action::Output),
        prop::sample::select(vec![
            Action::Output(OfPort::NORMAL),
            Action::Output(OfPort::FLOOD),
            Action::PushVlan(0x8100),
            Action::DecTtl,
            Action::PopQueue,
            Action::CtClear,
            Action::Exit,
        ]),
        any::<u32>().prop_map(Action::Group),
        any::<u32>().prop_map(Action::SetQueue),
        any::<u8>().prop_map(Action::SetNwTtl),
        part().prop_map(|port| Action::OutputField { port, max_len: u16::MAX }),
        (port(), 14u32..).prop_map(|(port, max_len)| Action::OutputTruncated { port, max_len }),
        part().prop_map(Action::Push),
        part().prop_map(Action::Pop),
        (half(), half()).prop_map(|(from, to)| Action::Move { from, to }),
        prop::collection::vec(any::<u16>(), 1..5).prop_map(|ids| Action::DecTtlControllers(ids.into())),
        (prop::sample::select(&FIELDS[..]), any::<u32>()).prop_map(|(field, v)| Action::SetField {
            field,
            value: Value::from(v),
            mask: Value::ones(32)
        }),
        (prop::option::of(port().prop_filter("", |p| *p != OfPort::IN_PORT)), 0u8..255, any::<bool>())
            .prop_map(|(port, table, ct)| Action::Resubmit { port, table: Some(table), ct }),
        (port().prop_filter("", |p| *p != OfPort::IN_PORT), any::<bool>()).prop_map(|(port, ct)| Action::Resubmit {
            port: Some(port),
            table: None,
            ct
        }),
        (any::<u16>(), bit()).prop_map(|(len, result)| Action::CheckPktLarger { len, result }),
        (0usize..4)
            .prop_flat_map(|n| prop::collection::vec(any::<u8>(), n * 8 + 6))
            .prop_map(|b| Action::Note(b.into())),
        (1u16.., any::<[u32; 3]>(), prop::option::of(port()), any::<Option<bool>>()).prop_map(
            |(probability, [collector_set_id, obs_domain_id, obs_point_id], sampling_port, egress)| {
                Action::Sample(Box::new(Sample {
                    probability,
                    collector_set_id,
                    obs_domain_id,
                    obs_point_id,
                    sampling_port,
                    egress,
                }))
            }
        ),
        controller(),
        bundle(),
        learn(),
        ct(),
    ]
    .prop_filter("a second tag", |a| !matches!(a, Action::PushVlan(_)))
}

/// Those that OpenFlow 1.5 says otherwise.
fn older() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0u16..4096).prop_map(Action::ModVlanVid),
        (0u8..8).prop_map(Action::ModVlanPcp),
        any::<u64>().prop_map(Action::SetTunnel),
        (port(), any::<u32>()).prop_map(|(port, queue)| Action::Enqueue { port, queue }),
        (part(), any::<u32>()).prop_map(|(part, value)| load(part, value)),
    ]
}

fn nested(leaf: impl Strategy<Value = Action> + 'static) -> impl Strategy<Value = Action> {
    leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Action::Clone))
}

fn rule_actions() -> impl Strategy<Value = Vec<Action>> {
    let set = prop::collection::vec(
        prop_oneof![
            any::<u32>().prop_map(Action::Group),
            port().prop_map(Action::Output),
            (part(), any::<u32>()).prop_map(|(part, value)| load(part, value)),
            Just(Action::DecTtl),
            Just(Action::PopVlan),
            ct(),
        ],
        1..4,
    );
    let instructions = (
        prop::option::of(1u32..=crate::meter::MAX_METER),
        any::<bool>(),
        prop::option::of(set),
        prop::option::of(any::<(u64, u64)>()),
        prop::option::of(1u8..255),
    );
    let list = prop::collection::vec(nested(prop_oneof![4 => plain(), 1 => older()]), 0..6);
    let ordinary = (list, instructions).prop_map(|(list, (meter, clear, write, metadata, goto))| {
        let mut all: Vec<_> = meter.map(Action::Meter).into_iter().collect();
        all.extend(list);
        all.extend(clear.then_some(Action::ClearActions));
        all.extend(write.map(Action::WriteActions));
        all.extend(metadata.map(|(value, mask)| Action::WriteMetadata { value, mask }));
        all.extend(goto.map(Action::GotoTable));
        all
    });
    let conjunction = (any::<u32>(), 2u8..=64, any::<u8>()).prop_map(|(id, clauses, clause)| Action::Conjunction {
        id,
        clause: clause % clauses,
        clauses,
    });
    prop_oneof![9 => ordinary, 1 => prop::collection::vec(conjunction, 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dump_of_any_actions_is_read_back(actions in rule_actions()) {
        let matching = parse_flow("tcp,ct_state=+trk+est,actions=drop", &NoPorts).unwrap().matching;
        let rule = RuleSpec { matching, actions, ..RuleSpec::default() };
        let dump = format_dump(&rule, &RuleStats::default());
        prop_assert_eq!(parse_flow(&dump, &NoPorts), Ok(rule), "{}", dump);
    }

    #[test]
    fn any_group_is_read_back(
        id in 0..=crate::group::MAX_GROUP,
        lists in prop::collection::vec((prop::collection::vec(nested(plain()), 0..4), any::<u16>()), 0..4),
    ) {
        let watch = |n: usize| n.is_multiple_of(2).then_some(OfPort(7));
        let buckets = lists
            .into_iter()
            .enumerate()
            .map(|(n, (actions, weight))| Bucket {
                id: n as u32 * 3,
                weight,
                watch_port: watch(n),
                watch_group: (n % 3 == 1).then_some(9),
                actions,
            })
            .collect();
        let selection = match id % 3 {
            0 => Selection::Default,
            1 => Selection::DpHash { param: u64::from(id) },
            _ => Selection::Hash { param: 5, fields: vec![(FieldId::Ipv4Src, Value(0xffff_0000)), (FieldId::TcpDst, Value::ones(16))] },
        };
        let group = GroupSpec { id, kind: GroupKind::Select, selection, buckets };
        let text = format_group(&group);
        // The loads inside `ct` are sets in OpenFlow 1.5, and stay that.
        let read = parse_group(&text, &NoPorts).unwrap();
        prop_assert_eq!((read.id, read.buckets.len(), &read.selection), (group.id, group.buckets.len(), &group.selection));
        let text = format_group(&read);
        prop_assert_eq!(parse_group(&text, &NoPorts), Ok(read), "{}", text);
    }
}
