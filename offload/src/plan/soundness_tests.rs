//! A rule never matches a packet that its flow does not match: judged on frames, by a parser of its own.

use super::{matching, plan};
use crate::caps::{Capabilities, FieldCaps, MaskCap, VlanAbsent};
use crate::rule::{Bits, HwAction, HwMatch, InnerTag, L3Match, L4Match, Plan, RuleRole, VlanMatch};
use crate::testing::{world, world_of};
use flow::dp::{Actions, DpAction, DpFlow, DropReason, Encap, FlowId, Mark, MeterId};
use flow::extract::{RxMeta, extract};
use flow::field::{FIELDS, datapath_fields};
use flow::port::DpPort;
use flow::{FieldId, FlowKey, Mask, Value, VlanTag};
use proptest::prelude::*;
use std::ops::{BitAnd, Range};

/// What a frame is made of; few values, so that frames and flows meet often.
#[derive(Clone, Debug)]
struct Frame {
    dst: u8,
    src: u8,
    tags: Vec<(u16, u16)>,
    l3: u8,
    proto: u8,
    tos: u8,
    ttl: u8,
    frag: u16,
    src_ip: u8,
    dst_ip: u8,
    ports: (u8, u8),
    flags: u16,
}

fn frames() -> impl Strategy<Value = Frame> {
    let tags = prop::collection::vec((prop::sample::select(vec![0x8100u16, 0x88a8]), any::<u16>()), 0..3);
    let tags = tags.prop_map(|tags| tags.into_iter().map(|(t, c)| (t, c & 0x3003)).collect());
    let proto = prop::sample::select(vec![1u8, 6, 17, 58, 132, 47, 0, 60]);
    let frag = prop::sample::select(vec![0u16, 0, 0x4000, 0x2000, 0x2001, 0x0001]);
    (
        (0..4u8, 0..3u8, tags, 0..5u8, proto, 0..8u8),
        (0..4u8, frag, 0..3u8, 0..3u8, (0..3u8, 0..3u8), prop::sample::select(vec![2u16, 0x10, 0x112])),
    )
        .prop_map(|((dst, src, tags, l3, proto, tos), (ttl, frag, src_ip, dst_ip, ports, flags))| Frame {
            dst,
            src,
            tags,
            l3,
            proto,
            tos,
            ttl,
            frag,
            src_ip,
            dst_ip,
            ports,
            flags,
        })
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        // The last destination is of the reserved ones: LLDP's.
        let dst = if self.dst == 3 { [1, 0x80, 0xc2, 0, 0, 0xe] } else { [2, 0, 0, 0, 0, self.dst] };
        let mut out = [&dst[..], &[2, 0, 0, 0, 1, self.src]].concat();
        for (tpid, tci) in &self.tags {
            out.extend(tpid.to_be_bytes());
            out.extend(tci.to_be_bytes());
        }
        let mut l4: Vec<u8> = match self.proto {
            6 => {
                let flags = (self.flags | 0x5000).to_be_bytes();
                [&[0, self.ports.0, 0, self.ports.1], &[0; 8][..], &flags, &[0; 6]].concat()
            }
            17 => vec![0, self.ports.0, 0, self.ports.1, 0, 8, 0, 0],
            132 => [&[0, self.ports.0, 0, self.ports.1][..], &[0; 8]].concat(),
            // An extension header (hop-by-hop or destination options), then UDP.
            0 | 60 => [&[17, 0, 1, 4, 0, 0, 0, 0][..], &[0, self.ports.0, 0, self.ports.1, 0, 8, 0, 0]].concat(),
            _ => vec![self.ports.0, self.ports.1, 0, 0, 0, 0, 0, 0],
        };
        match self.l3 {
            0 | 1 => {
                out.extend([8, 0, 0x45, self.tos]);
                out.extend((20 + l4.len() as u16).to_be_bytes());
                out.extend([0, 0]);
                out.extend(self.frag.to_be_bytes());
                out.extend([self.ttl, self.proto, 0, 0, 10, 0, 0, self.src_ip, 10, 0, 0, self.dst_ip]);
            }
            2 => {
                let mut proto = self.proto;
                if self.frag & 0x3fff != 0 || self.frag == 0x4000 {
                    let word = (self.frag & 0x1fff) << 3 | u16::from(self.frag & 0x2000 != 0);
                    l4.splice(0..0, [&[proto, 0][..], &word.to_be_bytes(), &[0; 4]].concat());
                    proto = 44;
                }
                out.extend([0x86, 0xdd, 0x60 | self.tos >> 4, self.tos << 4, 0, self.src]);
                out.extend((l4.len() as u16).to_be_bytes());
                out.extend([proto, self.ttl]);
                out.extend([&[0xfd][..], &[0; 14], &[self.src_ip], &[0xfd], &[0; 14], &[self.dst_ip]].concat());
            }
            3 => {
                out.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, self.ttl, 2, 0, 0, 0, 1, self.src, 10, 0, 0, self.src_ip]);
                out.extend([0, 0, 0, 0, 0, self.dst, 10, 0, 0, self.dst_ip]);
            }
            _ => out.extend([0x88, 0xb5]),
        }
        if self.l3 < 3 {
            out.extend(l4);
        }
        out.resize(out.len().max(60), 0);
        out
    }
}

fn hit<T: BitAnd<Output = T> + Copy + PartialEq>(bits: Bits<T>, value: T) -> bool {
    value & bits.mask == bits.value
}

fn hit_mac(bits: Bits<[u8; 6]>, value: &[u8]) -> bool {
    (0..6).all(|i| value[i] & bits.mask[i] == bits.value[i])
}

fn be(bytes: &[u8], range: Range<usize>) -> u128 {
    bytes[range].iter().fold(0, |v, b| v << 8 | u128::from(*b))
}

/// Whether a NIC that looks at well-formed headers only would match. `lenient`: as mlx5, tags are skipped where the
/// pattern has no VLAN item.
fn nic(m: &HwMatch, frame: &[u8], lenient: bool) -> bool {
    if !hit_mac(m.eth_dst, frame) || !hit_mac(m.eth_src, &frame[6..]) {
        return false;
    }
    let tpid = |at: usize| matches!(be(frame, at..at + 2), 0x8100 | 0x88a8);
    let mut at = 12;
    match m.vlan {
        VlanMatch::Any if lenient => {
            while tpid(at) {
                at += 4;
            }
        }
        VlanMatch::Any | VlanMatch::Absent { by_pattern: true } => {}
        VlanMatch::Absent { by_pattern: false } if tpid(at) => return false,
        VlanMatch::Absent { by_pattern: false } => {}
        VlanMatch::Tagged { tpid: want, tci, inner } => {
            if !tpid(at)
                || want.is_some_and(|want| be(frame, at..at + 2) != u128::from(want))
                || !hit(tci, be(frame, at + 2..at + 4) as u16)
            {
                return false;
            }
            at += 4;
            if inner == (InnerTag::Absent { by_pattern: false }) && tpid(at) {
                return false;
            }
        }
    }
    if m.eth_type.is_some_and(|want| be(frame, at..at + 2) != u128::from(want)) {
        return false;
    }
    network(m, be(frame, at..at + 2) as u16, &frame[at + 2..])
}

fn network(m: &HwMatch, eth_type: u16, ip: &[u8]) -> bool {
    let (behind, at) = match m.l3 {
        L3Match::None => return true,
        L3Match::Ipv4 { src, dst, proto, tos, ttl, fragment } => {
            let word = be(ip, 6..8) as u16;
            if eth_type != 0x0800
                || !hit(src, be(ip, 12..16) as u32)
                || !hit(dst, be(ip, 16..20) as u32)
                || proto.is_some_and(|want| want != ip[9])
                || !hit(tos, ip[1])
                || !hit(ttl, ip[8])
                || !hit(fragment, word)
            {
                return false;
            }
            (if word & 0x1fff == 0 { Some(ip[9]) } else { None }, 20)
        }
        L3Match::Ipv6 { src, dst, proto, tos, ttl, label, no_fragment } => {
            if eth_type != 0x86dd
                || !hit(src, be(ip, 8..24))
                || !hit(dst, be(ip, 24..40))
                || proto.is_some_and(|want| want != ip[6])
                || !hit(tos, ip[0] << 4 | ip[1] >> 4)
                || !hit(ttl, ip[7])
                || !hit(label, be(ip, 0..4) as u32 & 0xf_ffff)
                || no_fragment && ip[6] == 44
            {
                return false;
            }
            (Some(ip[6]), 40)
        }
        L3Match::Arp { op, spa, tpa, sha, tha } => {
            return eth_type == 0x0806
                && op.is_none_or(|op| be(ip, 6..8) == u128::from(op))
                && hit_mac(sha, &ip[8..])
                && hit(spa, be(ip, 14..18) as u32)
                && hit_mac(tha, &ip[18..])
                && hit(tpa, be(ip, 24..28) as u32);
        }
    };
    transport(m, behind, &ip[at..])
}

fn transport(m: &HwMatch, proto: Option<u8>, l4: &[u8]) -> bool {
    let ports = |src, dst| hit(src, be(l4, 0..2) as u16) && hit(dst, be(l4, 2..4) as u16);
    match m.l4 {
        L4Match::None => true,
        L4Match::Tcp { src, dst, flags } => {
            proto == Some(6) && ports(src, dst) && hit(flags, be(l4, 12..14) as u16 & 0xfff)
        }
        L4Match::Udp { src, dst } => proto == Some(17) && ports(src, dst),
        L4Match::Sctp { src, dst } => proto == Some(132) && ports(src, dst),
        L4Match::Icmp { kind, code } => proto == Some(1) && hit(kind, l4[0]) && hit(code, l4[1]),
        L4Match::Icmpv6 { kind, code } => proto == Some(58) && hit(kind, l4[0]) && hit(code, l4[1]),
    }
}

fn key_of(frame: &[u8]) -> FlowKey {
    extract(frame, frame.len(), &RxMeta::from_port(DpPort(1)))
}

/// Fields wanted by a flow: mostly whole, so that the flow is often plannable.
fn masks() -> impl Strategy<Value = Mask> {
    let fields: Vec<FieldId> = datapath_fields().map(|def| def.id).collect();
    let some = prop::collection::vec((prop::sample::select(fields), any::<u128>(), 0..5u8), 0..9);
    (some, any::<bool>(), any::<bool>()).prop_map(|(some, l3, l4)| {
        let mut mask = Mask::ANY;
        mask.require(FieldId::InPort);
        if l3 {
            mask.require(FieldId::EthType);
        }
        if l4 {
            mask.require(FieldId::IpProto);
        }
        for (field, bits, whole) in some {
            let def = field.def();
            let bits = if whole > 0 { def.ones() } else { Value(bits & def.ones().0) };
            mask.require_bits(def, bits);
        }
        mask
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_matches_no_packet_that_its_flow_does_not(
        first in frames(), others in prop::collection::vec(frames(), 1..4), mask in masks(), by_pattern in any::<bool>(),
    ) {
        let all: Vec<FieldId> = datapath_fields().map(|def| def.id).collect();
        let caps = FieldCaps::default().with(MaskCap::Any, &all);
        let absent = if by_pattern { VlanAbsent::ByPattern } else { VlanAbsent::HasVlanBit };
        let key = key_of(&first.bytes()).masked(&mask);
        let (matches, refused) = matching::translate(&key, &mask, &caps, absent);
        if !refused.is_empty() {
            // About six in ten.
            return Ok(());
        }
        for frame in others.iter().flat_map(|other| variants(&first, other)) {
            let bytes = frame.bytes();
            for lenient in [false, !by_pattern] {
                if nic(&matches, &bytes, lenient) {
                    let key_there = key_of(&bytes);
                    prop_assert!(mask.matches(&key_there, &key), "{matches:?}\n{key_there:?}\n{key:?}\n{frame:?}");
                }
            }
        }
    }

    #[test]
    fn any_flow_can_be_planned(key in any::<[[u8; 32]; 9]>(), mask in any::<[[u8; 32]; 9]>(), sparse in any::<u8>(),
                               actions in prop::collection::vec(any::<(u8, u8, u128, u128)>(), 0..6), mark in any::<u32>()) {
        let mut flow = DpFlow {
            id: FlowId(1), key: FlowKey::ZERO, mask: Mask::ANY, actions: Actions::new(), deps: Default::default(),
            effects: Default::default(), mark: Mark(mark),
        };
        for (i, word) in flow.key.words_mut().iter_mut().enumerate() {
            word.copy_from_slice(&key[i / 4][i % 4 * 8..][..8]);
        }
        for (i, word) in flow.mask.0.words_mut().iter_mut().enumerate() {
            if u32::from(sparse) & 1 << (i % 8) == 0 {
                word.copy_from_slice(&mask[i / 4][i % 4 * 8..][..8]);
            }
        }
        flow.key.in_port = u32::from(sparse % 8).into();
        flow.mask.require(FieldId::InPort);
        flow.key = flow.key.masked(&flow.mask);
        flow.actions.extend(actions.into_iter().map(|(what, field, value, mask)| match what % 6 {
            0 => DpAction::Output(DpPort(u32::from(field % 8))),
            1 => DpAction::DecTtl,
            2 => DpAction::PopVlan,
            3 => DpAction::PushVlan(VlanTag { tpid: (value as u16).into(), tci: (mask as u16).into() }),
            4 => DpAction::Drop(DropReason::RuleDrop),
            _ => DpAction::Set { field: FIELDS[usize::from(field) % FIELDS.len()].id, value: Value(value), mask: Value(mask) },
        }));
        for profile in Capabilities::PRESETS {
            let _ = plan(&flow, &world(profile));
        }
    }
}

/// The other frame, and the first with parts of the other.
fn variants(first: &Frame, other: &Frame) -> Vec<Frame> {
    let f = || first.clone();
    vec![
        other.clone(),
        f(),
        Frame { tags: other.tags.clone(), ..f() },
        Frame { proto: other.proto, ports: other.ports, ..f() },
        Frame { frag: other.frag, ..f() },
        Frame { l3: other.l3, ..f() },
        Frame { dst: other.dst, ..f() },
        Frame { src_ip: other.src_ip, ttl: other.ttl, tos: other.tos, ..f() },
        Frame { ports: other.ports, flags: other.flags, ..f() },
    ]
}

/// Actions of all sorts that a plan can have, on frames of all sorts.
fn actions() -> impl Strategy<Value = Actions> {
    let set = prop::sample::select(vec![
        (FieldId::EthSrc, 7u128),
        (FieldId::VlanVid, 0x1005),
        (FieldId::Ipv4Src, 9),
        (FieldId::Ipv6Dst, 9),
        (FieldId::TcpDst, 80),
        (FieldId::IpTtl, 9),
        (FieldId::IpDscp, 3),
        (FieldId::PktMark, 1),
    ]);
    let set = set.prop_map(|(field, value)| DpAction::Set { field, value: Value(value), mask: field.def().ones() });
    let outer = DpAction::TunnelPush(Encap { header: vec![1; 50].into(), port: DpPort(1) });
    let tag = VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() };
    let others = prop::sample::select(vec![
        DpAction::DecTtl,
        DpAction::PopVlan,
        DpAction::PushVlan(tag),
        DpAction::Meter(MeterId(1)),
        DpAction::CtClear,
        outer,
        DpAction::Truncate(64),
    ]);
    let send = || (2..5u32).prop_map(|port| DpAction::Output(DpPort(port)));
    let step = prop_oneof![3 => set, 2 => others, 2 => send()];
    let inner = prop::collection::vec(step.clone(), 0..2);
    let cloned = (inner, send()).prop_map(|(mut list, out)| {
        list.push(out);
        DpAction::Clone(list.into())
    });
    (prop::collection::vec(prop_oneof![6 => step, 1 => cloned], 0..4), send()).prop_map(|(mut list, out)| {
        list.push(out);
        list.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// Whatever actions make of the match, and whatever is split off: no rule takes packets of others, and programs hold
    /// together.
    #[test]
    fn programs_hold_together_and_take_no_packet_of_others(
        first in frames(), others in prop::collection::vec(frames(), 1..4), mask in masks(), actions in actions(),
        resume in any::<bool>(), outputs in 1..5usize, rewrites in prop::option::of(1..4u32), again in any::<bool>(),
    ) {
        let mut caps = super::tests::able();
        let transfer = caps.transfer.as_mut().unwrap();
        (transfer.max_outputs, transfer.rewrite_after_output) = (outputs, again);
        caps.limits.rewrites = rewrites;
        let mut world = world_of(caps);
        world.resume = resume;
        world.meters.insert(MeterId(1), world.ports[&DpPort(1)].device());
        let mut mask = mask;
        mask.require(FieldId::RecircId);
        let flow = DpFlow {
            id: FlowId(1), key: key_of(&first.bytes()).masked(&mask), mask, actions, deps: Default::default(),
            effects: Default::default(), mark: Mark(9),
        };
        let (program, done) = match plan(&flow, &world) {
            Plan::Full(program) => (program, None),
            Plan::Partial { program, done, refused, .. } => {
                prop_assert!(!refused.is_empty());
                prop_assert!(done == 0 || resume && done < flow.actions.len());
                (program, Some(done))
            }
            Plan::Software(refused) => {
                prop_assert!(!refused.is_empty());
                return Ok(());
            }
        };
        let (main, guards) = program.rules.split_last().unwrap();
        prop_assert!(guards.iter().all(|guard| guard.role != RuleRole::Main && !guard.count && guard.encap.is_none()));
        let is_copy = |a: &HwAction| matches!(a, HwAction::Mirror(_));
        let copies = main.actions.iter().filter(|a| is_copy(a)).count();
        let fates = main.actions.iter().filter(|a| matches!(a, HwAction::Output(_))).count();
        let changes = main.actions.iter().filter(|a| a.is_rewrite()).count();
        prop_assert_eq!(main.encap.is_some(), main.actions.contains(&HwAction::Encap));
        prop_assert_eq!(!program.shared.is_empty(), main.actions.contains(&HwAction::Meter(MeterId(1))));
        prop_assert!(rewrites.is_none_or(|max| changes <= max as usize));
        match done {
            None => {
                prop_assert!(main.count && fates == 1 && copies < outputs);
                prop_assert!(matches!(main.actions.last(), Some(HwAction::Output(_))));
                let first_copy = main.actions.iter().position(is_copy).unwrap_or(main.actions.len());
                prop_assert!(again || main.actions[first_copy..].iter().all(|a| !a.is_rewrite()));
            }
            Some(_) => prop_assert!(!main.count && fates + copies == 0 && main.actions.contains(&HwAction::Mark(Mark(9)))),
        }
        let ttl = main.actions.iter().find(|a| matches!(a, HwAction::DecTtl | HwAction::Set { field: FieldId::IpTtl, .. }));
        // A rule that only marks leaves all to software.
        let (decrements, switched) = (ttl == Some(&HwAction::DecTtl), done != Some(0));
        for frame in others.iter().flat_map(|other| variants(&first, other)) {
            let bytes = frame.bytes();
            // What only software may decide, and nothing else, is left to it.
            let expires = decrements && frame.l3 < 3 && frame.ttl < 2;
            let left = guards.iter().any(|guard| nic(&guard.matches, &bytes, true));
            if nic(&main.matches, &bytes, true) {
                prop_assert_eq!(left, switched && (frame.dst == 3 || expires), "{:?}\n{:?}", frame, program);
            }
            prop_assert!(!left || frame.dst == 3 || expires, "{frame:?}\n{program:?}");
            for rule in &program.rules {
                if nic(&rule.matches, &bytes, true) {
                    let there = key_of(&bytes);
                    prop_assert!(mask.matches(&there, &flow.key), "{rule:?}\n{there:?}\n{:?}\n{frame:?}", flow.key);
                }
            }
        }
    }
}
