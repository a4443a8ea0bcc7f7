//! Flow → plan → lowering → this model, beside flow → software: where hardware takes a packet, the packet is one of the flow's, and
//! what comes out has the same bytes.

use super::super::profile::ActionName;
use super::*;
use flow::dp::{Actions, DepSet, DpAction, DpFlow, DropReason, FlowId, Mark};
use flow::extract::{RxMeta, extract};
use flow::port::DpPort;
use flow::rewrite::{FrameBuf, Outcome, apply};
use flow::{FieldId, FlowKey, Mask, Value, VlanTag};
use offload::rte_flow::{actions, attributes, pattern};
use offload::{EswitchDomain, EthdevId, HwAction, HwProgram, Plan, PortInfo, PortKind, World, plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a frame is made of: few values, so that frames and flows meet; and what is wrong with it.
#[derive(Clone, Debug)]
struct Spec {
    tags: Vec<(u16, u16)>,
    l3: u8,
    proto: u8,
    tos: u8,
    ttl: u8,
    fragment: u16,
    /// Last bytes of addresses, low bytes of ports.
    low: [u8; 4],
    options: bool,
    flags: u16,
    /// Added to every checksum, so that some are wrong.
    off: u16,
    /// Bytes changed, and cut off at the end.
    bent: Vec<(prop::sample::Index, u8)>,
    cut: usize,
}

fn specs() -> impl Strategy<Value = Spec> {
    let tag =
        (prop::sample::select(vec![0x8100u16, 0x8100, 0x88a8]), prop::sample::select(vec![5u16, 6, 0x2005, 0x1005]));
    let fragment = prop::sample::select(vec![0u16, 0, 0, 0, 0x4000, 0x2000, 0x2001, 1]);
    let bent = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)];
    (
        (
            prop::collection::vec(tag, 0..3),
            0..8u8,
            prop::sample::select(vec![6u8, 6, 17, 17, 1, 58, 132, 47, 0, 60, 44, 43]),
        ),
        (0..3u8, prop::sample::select(vec![0u8, 1, 2, 64, 255]), fragment, any::<bool>()),
        (prop::array::uniform4(0..3u8), prop::sample::select(vec![2u16, 0x10, 0x112])),
        (prop::sample::select(vec![0u16, 0, 0, 1, 0xffff]), bent, prop_oneof![4 => Just(0usize), 1 => 0..40usize]),
    )
        .prop_map(|((tags, l3, proto), (tos, ttl, fragment, options), (low, flags), (off, bent, cut))| Spec {
            tags,
            l3,
            proto,
            tos,
            ttl,
            fragment,
            low,
            options,
            flags,
            off,
            bent,
            cut,
        })
}

impl Spec {
    fn transport(&self, proto: u8) -> Vec<u8> {
        let [_, _, src, dst] = self.low;
        let sum = 0x1234u16.wrapping_mul(self.off).wrapping_add(self.off).to_be_bytes();
        match proto {
            6 => {
                let flags = (self.flags | 0x5000).to_be_bytes();
                [&[0, src, 0, dst, 1, 2, 3, 4, 5, 6, 7, 8][..], &flags, &[1, 1], &sum, &[0, 0, 9]].concat()
            }
            17 => [&[0, src, 0, dst, 0, 11][..], &sum, &[1, 2, 3]].concat(),
            132 => [&[0, src, 0, dst][..], &[7; 12]].concat(),
            1 | 58 => [&[src, dst][..], &sum, &[0; 4]].concat(),
            44 => [&[17, 0, 0, ((self.fragment & 1) as u8 * 8) | 1, 0, 0, 0, 1][..], &self.transport(17)].concat(),
            43 => [&[17, 0, 0, src & 1, 0, 0, 0, 0][..], &self.transport(17)].concat(),
            0 | 60 => [&[17, 0, 1, 4, 0, 0, 0, 0][..], &self.transport(17)].concat(),
            _ => vec![0; 8],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let [a, b, ..] = self.low;
        let mut out = vec![2, 0, 0, 0, 0, a, 2, 0, 0, 0, 1, b];
        for (tpid, tci) in &self.tags {
            out.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat());
        }
        let l4 = self.transport(self.proto);
        match self.l3 {
            0..3 => {
                let options: &[u8] = if self.options && self.tos == 1 { &[1, 1, 1, 0] } else { &[] };
                let header = 20 + options.len();
                out.extend([8, 0, 0x40 + (header / 4) as u8, self.tos]);
                out.extend(((header + l4.len()) as u16).to_be_bytes());
                out.extend([0, 1]);
                out.extend(self.fragment.to_be_bytes());
                out.extend([self.ttl, self.proto, 0, 0, 10, 0, 0, a, 10, 0, 0, b]);
                out.extend(options);
                out.extend(l4);
            }
            3..6 => {
                out.extend([0x86, 0xdd, 0x60 + (self.tos >> 4), self.tos << 4, 0, 7]);
                out.extend((l4.len() as u16).to_be_bytes());
                out.extend([self.proto, self.ttl]);
                let mut addresses = [IP6_A, IP6_B].concat();
                (addresses[15], addresses[31]) = (a, b);
                out.extend(addresses);
                out.extend(l4);
            }
            6 => {
                out.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, self.tos]);
                out.extend([2, 0, 0, 0, 0, a, 10, 0, 0, a, 2, 0, 0, 0, 0, b, 10, 0, 0, b]);
            }
            _ => out.extend([0x88, 0x47, 1, 2, 3, 4]),
        }
        for (at, value) in &self.bent {
            let at = at.index(out.len());
            out[at] = *value;
        }
        out.truncate(out.len() - self.cut.min(out.len() - 1));
        out
    }
}

/// Fields that a flow may match, each with the bits of it.
fn masks() -> impl Strategy<Value = Vec<(FieldId, u128)>> {
    use FieldId as F;
    let whole = [
        F::EthSrc,
        F::EthDst,
        F::EthType,
        F::EthType,
        F::EthType,
        F::VlanTci,
        F::VlanTci,
        F::VlanVid,
        F::VlanTpid,
        F::Vlan1Tci,
        F::IpProto,
        F::IpProto,
        F::IpTos,
        F::IpTtl,
        F::IpFrag,
        F::IpFrag,
        F::Ipv4Src,
        F::Ipv4Dst,
        F::Ipv6Src,
        F::Ipv6Dst,
        F::Ipv6Label,
        F::ArpOp,
        F::ArpSpa,
        F::ArpTha,
        F::TcpSrc,
        F::TcpDst,
        F::TcpFlags,
        F::UdpSrc,
        F::UdpDst,
        F::SctpDst,
        F::IcmpType,
        F::Icmpv6Type,
        F::Icmpv6Code,
    ];
    let one = (prop::sample::select(whole.to_vec()), prop_oneof![5 => Just(u128::MAX), 1 => any::<u128>()]);
    (prop::collection::vec(one, 0..8), any::<bool>()).prop_map(|(mut fields, exact_start)| {
        // As translations do: ethertype, tags and fragment are nearly always looked at.
        if exact_start {
            fields.extend([F::EthType, F::VlanTci, F::IpProto, F::IpFrag].map(|f| (f, u128::MAX)));
        }
        fields
    })
}

fn one_action() -> impl Strategy<Value = DpAction> {
    use FieldId as F;
    let fields = vec![
        F::EthSrc,
        F::EthDst,
        F::VlanVid,
        F::VlanPcp,
        F::VlanTci,
        F::Ipv4Src,
        F::Ipv4Dst,
        F::Ipv6Src,
        F::Ipv6Dst,
        F::TcpSrc,
        F::TcpDst,
        F::UdpSrc,
        F::UdpDst,
        F::IpTtl,
        F::IpDscp,
        F::IpTos,
    ];
    let set = (prop::sample::select(fields), any::<u128>()).prop_map(|(field, value)| {
        let ones = field.def().ones();
        let mask = if field == F::IpTos { Value(0xfc) } else { ones };
        let present = if matches!(field, F::VlanVid | F::VlanTci) { 0x1000 } else { 0 };
        DpAction::Set { field, value: Value((value | present) & mask.0), mask }
    });
    prop_oneof![
        6 => set,
        2 => Just(DpAction::DecTtl),
        1 => (0..4096u16).prop_map(|vid| DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: (vid | 0x3000).into() })),
        1 => Just(DpAction::PopVlan),
    ]
}

fn action_lists() -> impl Strategy<Value = Actions> {
    let end = prop_oneof![
        5 => (1..5u32).prop_map(|p| DpAction::Output(DpPort(p))),
        1 => Just(DpAction::Drop(DropReason::RuleDrop)),
    ];
    (prop::collection::vec(one_action(), 0..4), prop::collection::vec(end, 1..3)).prop_map(|(mut list, mut end)| {
        if end.iter().any(|a| matches!(a, DpAction::Drop(_))) {
            end.truncate(1);
        }
        list.extend(end);
        list.into_iter().collect()
    })
}

fn key_of(frame: &[u8]) -> FlowKey {
    extract(frame, frame.len(), &RxMeta::from_port(DpPort(1)))
}

fn make_flow(of: &[u8], fields: &[(FieldId, u128)], actions: Actions) -> DpFlow {
    let mut mask = Mask::ANY;
    mask.require(FieldId::InPort);
    mask.require(FieldId::RecircId);
    // No reserved address may be covered.
    mask.require(FieldId::EthDst);
    for (field, bits) in fields {
        let def = field.def();
        mask.require_bits(def, Value(if def.maskable { bits & def.ones().0 } else { def.ones().0 }));
    }
    let key = key_of(of).masked(&mask);
    DpFlow { id: FlowId(1), key, mask, actions, deps: DepSet::default(), effects: Default::default(), mark: Mark(77) }
}

/// Ports 1 to 4 are the wire and the VFs of a NIC of this profile.
fn world(profile: &Profile) -> World {
    let caps = Arc::new(profile.capabilities());
    let mut world = World::new();
    for (n, ethdev) in ETHDEVS.into_iter().enumerate() {
        let kind = if n == 0 { PortKind::Uplink } else { PortKind::VfRepresentor(n as u16 - 1) };
        let info = PortInfo {
            name: format!("p{n}"),
            kind,
            ethdev: EthdevId(ethdev),
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.ports.insert(DpPort(n as u32 + 1), info);
    }
    world
}

fn install(nic: &mut Eswitch, program: &HwProgram) {
    for rule in &program.rules {
        let count = rule.count.then_some(Action::Count(0));
        let flow = LoweredFlow::new(attributes(rule), &pattern(rule), &actions(rule, count));
        if let Err(refused) = nic.create(&raw_flow(rule.port.0, &flow)) {
            panic!("planned for this device and refused by it: {refused}\n{rule:?}");
        }
    }
}

/// What leaves when software executes the actions: place and bytes.
fn software(frame: &[u8], actions: &[DpAction]) -> Vec<(usize, Vec<u8>)> {
    let mut packet = FrameBuf::new(frame);
    let mut out = Vec::new();
    for action in actions {
        match action {
            DpAction::Output(port) => out.push((port.0 as usize - 1, packet.packet().to_vec())),
            DpAction::Drop(_) => break,
            other => {
                if apply(&mut packet, other) == Outcome::Expired {
                    break;
                }
            }
        }
    }
    out
}

/// Frames that hardware executed, frames that it marked; or how it was wrong.
fn judge(profile: &str, faults: &Faults, cases: u32) -> Result<(usize, usize), String> {
    let profile = Profile::named(profile).unwrap();
    judge_in(&world(&profile), &profile, faults, cases).map(|(executed, marked, _)| (executed, marked))
}

/// The same, and frames that it changed and marked.
fn judge_in(world: &World, profile: &Profile, faults: &Faults, cases: u32) -> Result<(usize, usize, usize), String> {
    let (executed, marked, changed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let strategy = (specs(), masks(), action_lists(), prop::collection::vec(specs(), 0..6));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(frame_of_flow, fields, actions, others)| {
        let flow = make_flow(&frame_of_flow.bytes(), &fields, actions);
        let mut nic = Eswitch::new(profile.clone(), ETHDEVS.to_vec(), faults.clone(), 0);
        let (mut first, mut queues) = (0, Queues::All);
        match plan(&flow, world) {
            Plan::Full(program) => install(&mut nic, &program),
            Plan::Partial { program, done, .. } => {
                install(&mut nic, &program);
                first = done;
                let chosen = program.rules.iter().flat_map(|rule| &rule.actions).find_map(|action| match action {
                    HwAction::Queue(queue) => Some(Queues::One(*queue)),
                    _ => None,
                });
                queues = chosen.unwrap_or_default();
            }
            Plan::Software(_) => return Ok(()),
        }
        for spec in std::iter::once(&frame_of_flow).chain(&others) {
            let frame = spec.bytes();
            let before = nic.stats().clone();
            let deliveries = send(&mut nic, 0, &frame);
            let ours = flow.mask.matches(&key_of(&frame), &flow.key);
            if nic.stats().hardware > before.hardware {
                executed.fetch_add(1, Ordering::Relaxed);
                prop_assert!(ours, "not a packet of the flow: {:02x?}\n{:?}", frame, flow);
                let left: Vec<_> = deliveries
                    .into_iter()
                    .map(|d| match d {
                        Delivery::Outside { place, frame } | Delivery::Representor { place, frame, .. } => {
                            (place, frame)
                        }
                    })
                    .collect();
                prop_assert_eq!(left, software(&frame, &flow.actions), "{:02x?}\n{:?}", frame, flow);
            } else if nic.stats().partial > before.partial {
                marked.fetch_add(1, Ordering::Relaxed);
                prop_assert!(ours, "marked, and not a packet of the flow: {:02x?}\n{:?}", frame, flow);
                changed.fetch_add(usize::from(first > 0), Ordering::Relaxed);
                let mut packet = FrameBuf::new(&frame);
                for action in &flow.actions[..first] {
                    prop_assert_eq!(apply(&mut packet, action), Outcome::Done, "{:02x?}\n{:?}", frame, flow);
                }
                let came = packet.into_packet();
                // Software goes on where hardware left off.
                let rest = software(&came, &flow.actions[first..]);
                prop_assert_eq!(rest, software(&frame, &flow.actions), "{:02x?}\n{:?}", frame, flow);
                let queues = queues.clone();
                let want = Delivery::Representor { place: 0, frame: came, mark: Some(77), flag: true, queues };
                prop_assert_eq!(deliveries, [want], "{:02x?}\n{:?}", frame, flow);
            } else {
                prop_assert_eq!(deliveries, miss(0, &frame), "a miss changes nothing");
            }
        }
        Ok(())
    });
    result.map_err(|failed| failed.to_string())?;
    Ok((executed.into_inner(), marked.into_inner(), changed.into_inner()))
}

fn judged(profile: &str) -> (usize, usize) {
    judge(profile, &Faults::none(), CASES).unwrap_or_else(|failed| panic!("{failed}"))
}

const CASES: u32 = 3000;

#[test]
fn connectx() {
    let (executed, marked) = judged("connectx");
    assert!(executed > 200 && marked > 500, "too few: {executed} executed, {marked} marked");
}

#[test]
fn full() {
    let (executed, marked) = judged("full");
    assert!(executed > 200 && marked > 500, "too few: {executed} executed, {marked} marked");
}

/// Where software goes on behind hardware: the first actions there, and the rest here, are all of them here.
#[test]
fn hardware_begins_and_software_ends() {
    let mut profile = Profile::named("connectx").unwrap();
    profile.transfer.as_mut().unwrap().actions.insert(ActionName::Mark);
    let world = World { resume: true, ..world(&profile) };
    let judged = |faults: &Faults, cases| judge_in(&world, &profile, faults, cases);
    let (executed, marked, changed) = judged(&Faults::none(), 3 * CASES).unwrap_or_else(|failed| panic!("{failed}"));
    assert!(
        executed > 500 && marked > 1000 && changed > 300,
        "{executed} executed, {marked} marked, {changed} changed"
    );
    for fault in [Fault::RewriteSkipped, Fault::ChecksumNotUpdated, Fault::MarkLost, Fault::DecTtlSkipped] {
        assert!(judged(&Faults::none().with(fault), 10 * CASES).is_err(), "{fault}");
    }
}

#[test]
fn e810() {
    let (executed, marked) = judged("e810");
    assert!(executed > 100 && marked > 500, "too few: {executed} executed, {marked} marked");
}

#[test]
fn mark_only() {
    let (executed, marked) = judged("mark-only");
    assert!(executed == 0 && marked > 500, "{executed} executed, {marked} marked");
}

/// The comparison is sharp enough to see every bug that changes packets or where they go.
#[test]
fn planted_bugs_are_found() {
    for fault in [
        Fault::MatchFieldIgnored,
        Fault::MaskWidened,
        Fault::RewriteSkipped,
        Fault::ChecksumNotUpdated,
        Fault::StaleMark,
        Fault::WrongPort,
        Fault::VlanNotPopped,
        Fault::DecTtlSkipped,
        Fault::DropIgnored,
        Fault::MarkLost,
        Fault::VlanOffByOne,
        Fault::TtlOffByOne,
        Fault::MaskByteSwapped,
    ] {
        assert!(judge("connectx", &Faults::none().with(fault), 10 * CASES).is_err(), "{fault}");
    }
}
