//! What tells the shapes of rules apart: all that templates are made of, in a few words, and no value of a rule.

use crate::rule::{Bits, HwAction, HwRule, InnerTag, L3Match, L4Match, Table, VlanMatch};
use smallvec::SmallVec;

/// Rules of one port with equal signatures are lowered to the same items, masks, actions and fixed configurations.
pub(super) type Signature = SmallVec<[u64; 12]>;

fn mac(bits: &Bits<[u8; 6]>) -> u64 {
    let [a, b, c, d, e, f] = bits.mask;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

fn wide(bits: &Bits<u128>) -> [u64; 2] {
    [(bits.mask >> 64) as u64, bits.mask as u64]
}

/// The signature of a rule that is put in with an AGE or not, instead of what `out` has.
pub(super) fn sign(rule: &HwRule, ages: bool, out: &mut Signature) {
    out.clear();
    let m = &rule.matches;
    let (transfer, group, priority) = match rule.table {
        Table::Transfer { group, priority } => (true, group, priority),
        Table::Ingress { group, priority } => (false, group, priority),
    };
    out.push(u64::from(group) << 32 | u64::from(priority));
    // Set at the end: which words follow, and what is a yes or a no.
    out.push(0);
    let mut flags = u64::from(transfer) | u64::from(rule.count) << 1 | u64::from(ages) << 2;
    flags |= u64::from(m.eth_type.is_some()) << 3;
    let mut tci = 0;
    match m.vlan {
        VlanMatch::Any => {}
        VlanMatch::Absent { by_pattern } => flags |= u64::from(!by_pattern) << 4,
        VlanMatch::Tagged { tpid, tci: bits, inner } => {
            let more = inner == InnerTag::Absent { by_pattern: false };
            flags |= 1 << 5 | u64::from(tpid.is_some()) << 6 | u64::from(more) << 7;
            tci = bits.mask;
        }
    }
    out.push(mac(&m.eth_dst) << 16 | u64::from(tci));
    out.push(mac(&m.eth_src));
    flags |= network(&m.l3, out) << 8 | transport(&m.l4, out) << 16;
    flags |= (rule.actions.len() as u64) << 24;
    for pair in rule.actions.chunks(2) {
        let [first, second] = [pair.first(), pair.get(1)].map(|a| a.map_or(0, action));
        out.push(u64::from(first) << 32 | u64::from(second));
    }
    out[1] = flags;
}

/// Masks into `out`; the header and what is a yes or a no.
fn network(l3: &L3Match, out: &mut Signature) -> u64 {
    match l3 {
        L3Match::None => 0,
        L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment } => {
            out.push(u64::from(src.mask) << 32 | u64::from(dst.mask));
            out.push(u64::from(tos.mask) | u64::from(ttl.mask) << 8 | u64::from(fragment.mask) << 16);
            1 | u64::from(proto.is_some()) << 2
        }
        L3Match::Ipv6 { src, dst, proto, tos, ttl, label, no_fragment } => {
            out.extend(wide(src));
            out.extend(wide(dst));
            out.push(u64::from(tos.mask) | u64::from(ttl.mask) << 8 | u64::from(label.mask) << 16);
            2 | u64::from(proto.is_some()) << 2 | u64::from(*no_fragment) << 3
        }
        L3Match::Arp { op, spa, tpa, sha, tha } => {
            out.push(u64::from(spa.mask) << 32 | u64::from(tpa.mask));
            out.push(mac(sha));
            out.push(mac(tha));
            3 | u64::from(op.is_some()) << 2
        }
    }
}

fn transport(l4: &L4Match, out: &mut Signature) -> u64 {
    let (kind, masks) = match l4 {
        L4Match::None => return 0,
        L4Match::Tcp { src, dst, flags } => (1, [src.mask, dst.mask, flags.mask]),
        L4Match::Udp { src, dst } => (2, [src.mask, dst.mask, 0]),
        L4Match::Sctp { src, dst } => (3, [src.mask, dst.mask, 0]),
        L4Match::Icmp { kind, code } => (4, [kind.mask.into(), code.mask.into(), 0]),
        L4Match::Icmpv6 { kind, code } => (5, [kind.mask.into(), code.mask.into(), 0]),
    };
    let [a, b, c] = masks.map(u64::from);
    out.push(a | b << 16 | c << 32);
    kind
}

/// The kind of an action, with its configuration where the template has that.
fn action(action: &HwAction) -> u32 {
    let (kind, fixed) = match action {
        HwAction::Output(_) => (1, 0),
        HwAction::Mirror(port) => (2, port.0),
        HwAction::ToRepresentor(_) => (3, 0),
        HwAction::Drop => (4, 0),
        HwAction::Set { field, .. } => (5, *field as u16),
        HwAction::DecTtl => (6, 0),
        HwAction::PushVlan { .. } => (7, 0),
        HwAction::PopVlan => (8, 0),
        HwAction::Meter(_) => (9, 0),
        HwAction::Encap => (10, 0),
        HwAction::Mark(_) => (11, 0),
        HwAction::Queue(_) => (12, 0),
        HwAction::Rss { queues } => (13, *queues),
    };
    kind << 16 | u32::from(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rte_flow::lower;
    use crate::rule::{HwMatch, Plan, RuleRole};
    use crate::testing::{from, world};
    use crate::world::EthdevId;
    use flow::dp::{Mark, MeterId};
    use flow::{FieldId, Value};
    use proptest::prelude::*;
    use rte_flow_rs::{Action, ActionHandle, Attr, LoweredPattern};

    fn bits<T: Default + Copy + std::fmt::Debug + 'static>(some: T, ones: T) -> BoxedStrategy<Bits<T>> {
        // Values do not go into a template, so any will do, even outside of the mask.
        let mask = prop_oneof![Just(T::default()), Just(some), Just(ones)];
        let value = prop_oneof![Just(T::default()), Just(some), Just(ones)];
        (value, mask).prop_map(|(value, mask)| Bits { value, mask }).boxed()
    }

    fn number<T: Copy + std::fmt::Debug + 'static>(a: T, b: T) -> BoxedStrategy<Option<T>> {
        prop_oneof![Just(None), Just(Some(a)), Just(Some(b))].boxed()
    }

    fn vlan() -> impl Strategy<Value = VlanMatch> {
        let inner =
            prop_oneof![Just(InnerTag::Any), any::<bool>().prop_map(|by_pattern| InnerTag::Absent { by_pattern })];
        prop_oneof![
            Just(VlanMatch::Any),
            any::<bool>().prop_map(|by_pattern| VlanMatch::Absent { by_pattern }),
            (number(0x8100, 0x88a8), bits(0x0fff, 0xffff), inner).prop_map(|(tpid, tci, inner)| VlanMatch::Tagged {
                tpid,
                tci,
                inner
            }),
        ]
    }

    fn l3() -> impl Strategy<Value = L3Match> {
        let (ip, wide) = (bits(0xffff_ff00u32, u32::MAX), bits(u128::MAX << 64, u128::MAX));
        let (byte, mac) = (bits(0xfcu8, 0xff), bits([0xff, 0xff, 0xff, 0, 0, 0], [0xff; 6]));
        let v4 = (ip.clone(), ip.clone(), number(6, 17), byte.clone(), byte.clone(), bits(0x1fff, 0x3fff));
        let v6 = (wide.clone(), wide, number(6, 17), byte.clone(), byte, bits(0xff, 0xf_ffff), any::<bool>());
        prop_oneof![
            Just(L3Match::None),
            v4.prop_map(|(src, dst, proto, tos, ttl, fragment)| L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment }),
            v6.prop_map(|(src, dst, proto, tos, ttl, label, no_fragment)| L3Match::Ipv6 {
                src,
                dst,
                proto,
                tos,
                ttl,
                label,
                no_fragment
            }),
            (number(1, 2), ip.clone(), ip, mac.clone(), mac).prop_map(|(op, spa, tpa, sha, tha)| L3Match::Arp {
                op,
                spa,
                tpa,
                sha,
                tha
            }),
        ]
    }

    fn l4() -> impl Strategy<Value = L4Match> {
        let (port, byte) = (bits(0xff00u16, 0xffff), bits(0xf0u8, 0xff));
        prop_oneof![
            Just(L4Match::None),
            (port.clone(), port.clone(), bits(0x017, 0xfff)).prop_map(|(src, dst, flags)| L4Match::Tcp {
                src,
                dst,
                flags
            }),
            (port.clone(), port.clone()).prop_map(|(src, dst)| L4Match::Udp { src, dst }),
            (port.clone(), port).prop_map(|(src, dst)| L4Match::Sctp { src, dst }),
            (byte.clone(), byte.clone()).prop_map(|(kind, code)| L4Match::Icmp { kind, code }),
            (byte.clone(), byte).prop_map(|(kind, code)| L4Match::Icmpv6 { kind, code }),
        ]
    }

    fn action() -> impl Strategy<Value = HwAction> {
        let field = prop_oneof![
            Just(FieldId::EthSrc),
            Just(FieldId::VlanVid),
            Just(FieldId::Ipv4Dst),
            Just(FieldId::Ipv6Dst),
            Just(FieldId::TcpDst),
            Just(FieldId::UdpDst),
            Just(FieldId::IpDscp),
        ];
        prop_oneof![
            (1..3u16).prop_map(|port| HwAction::Output(EthdevId(port))),
            (1..3u16).prop_map(|port| HwAction::Mirror(EthdevId(port))),
            (1..3u16).prop_map(|port| HwAction::ToRepresentor(EthdevId(port))),
            Just(HwAction::Drop),
            (field, 0..3u128).prop_map(|(field, value)| HwAction::Set { field, value: Value(value) }),
            Just(HwAction::DecTtl),
            (1..3u16).prop_map(|vid| HwAction::PushVlan { tpid: 0x8100, vid, pcp: 1 }),
            Just(HwAction::PopVlan),
            (1..3u32).prop_map(|meter| HwAction::Meter(MeterId(meter))),
            Just(HwAction::Encap),
            (1..3u32).prop_map(|mark| HwAction::Mark(Mark(mark))),
            (1..3u16).prop_map(HwAction::Queue),
            (1..3u16).prop_map(|queues| HwAction::Rss { queues }),
        ]
    }

    fn matches() -> impl Strategy<Value = HwMatch> {
        let mac = bits([1, 0, 0, 0, 0, 0], [0xff; 6]);
        (mac.clone(), mac, number(0x0800, 0x86dd), vlan(), l3(), l4())
            .prop_map(|(eth_dst, eth_src, eth_type, vlan, l3, l4)| HwMatch { eth_dst, eth_src, eth_type, vlan, l3, l4 })
    }

    fn rule() -> impl Strategy<Value = HwRule> {
        let table = prop_oneof![
            (0..2u32, 0..2u32).prop_map(|(group, priority)| Table::Transfer { group, priority }),
            (0..2u32, 0..2u32).prop_map(|(group, priority)| Table::Ingress { group, priority }),
        ];
        (table, matches(), proptest::collection::vec(action(), 0..5), any::<bool>()).prop_map(
            |(table, matches, actions, count)| HwRule {
                role: RuleRole::Main,
                table,
                port: EthdevId(1),
                matches,
                actions: actions.into_iter().collect(),
                encap: Some(vec![0; 14].into()),
                count,
            },
        )
    }

    /// All that a template has of a rule.
    type Template = (Attr, Vec<(u32, Option<Vec<u8>>)>, Vec<(u32, Option<Action>)>);

    fn template(rule: &HwRule) -> Template {
        let counter = rule.count.then_some(Action::Indirect(ActionHandle(1)));
        let pattern = LoweredPattern::new(&lower::pattern(rule));
        let items = pattern.iter().map(|item| (item.ty, item.mask.map(<[u8]>::to_vec))).collect();
        let fixed = |a: &Action| matches!(a, Action::Rss(_) | Action::Sample { .. });
        let actions = lower::actions(rule, counter).into_iter().map(|a| (a.type_id(), fixed(&a).then_some(a)));
        (lower::attributes(rule), items, actions.collect())
    }

    fn signed(rule: &HwRule) -> Signature {
        let mut out = Signature::new();
        sign(rule, false, &mut out);
        out
    }

    /// Takes one part of a rule from another.
    fn mixed(mut rule: HwRule, other: &HwRule, part: usize) -> HwRule {
        let (m, o) = (&mut rule.matches, &other.matches);
        match part {
            0 => rule.table = other.table,
            1 => m.eth_dst = o.eth_dst,
            2 => m.eth_src = o.eth_src,
            3 => m.eth_type = o.eth_type,
            4 => m.vlan = o.vlan,
            5 => m.l3 = o.l3,
            6 => m.l4 = o.l4,
            7 => rule.actions.clone_from(&other.actions),
            8 => rule.count = other.count,
            _ => {}
        }
        rule
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn equal_signatures_are_equal_templates(a in rule(), b in rule(), part in 0..10usize) {
            for other in [mixed(a.clone(), &b, part), b] {
                let same = template(&a) == template(&other);
                if signed(&a) == signed(&other) {
                    prop_assert!(same, "{:?}\n{:?}", a, other);
                }
                // There are more signatures than templates only by fields that one action sets.
                let sets = |rule: &HwRule| rule.actions.iter().any(|a| matches!(a, HwAction::Set { .. }));
                if same && !sets(&a) {
                    prop_assert_eq!(signed(&a), signed(&other));
                }
            }
        }
    }

    #[test]
    fn an_age_is_another_shape() {
        let flow = from(1).tcp().output(3).build(1);
        let Plan::Full(program) = crate::plan(&flow, &world("connectx")) else { panic!("{flow:?}") };
        let rule = &program.rules[0];
        let mut aged = Signature::new();
        sign(rule, true, &mut aged);
        assert_ne!(signed(rule), aged);
    }
}
