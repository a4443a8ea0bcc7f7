//! Any lists of actions on any frames give what a model gives.

use super::model::{By, Model, Packet, key_of};
use super::*;
use flow::action::PacketInReason;
use flow::rewrite::{FrameBuf, PacketBuf, apply};
use flow::{FieldId, Value, VlanTag};
use proptest::prelude::*;

/// Recirculations that there are rules for, 0 included.
const PASSES: u32 = 4;

fn boxed(list: Vec<DpAction>) -> Box<[DpAction]> {
    list.into_boxed_slice()
}

pub(super) fn arb_action() -> impl Strategy<Value = DpAction> {
    let set = |field: FieldId, value: u128| {
        let mask = field.def().ones();
        DpAction::Set { field, value: Value(value & mask.0), mask }
    };
    let metadata = |field: FieldId, value: u32, mask: u32| DpAction::Set {
        field,
        value: Value::from(value & mask),
        mask: Value::from(mask),
    };
    let hash = |symmetric: bool, basis: u32| {
        let algorithm = if symmetric { HashAlgorithm::SymmetricL4 } else { HashAlgorithm::L4 };
        DpAction::Hash(HashSpec { algorithm, basis })
    };
    let controller =
        |max_len: u16| DpAction::Punt(PuntReason::Controller { max_len, reason: PacketInReason::Action, id: 0 });
    let leaf = prop_oneof![
        8 => (1u32..5).prop_map(out),
        2 => any::<u64>().prop_map(move |v| set(FieldId::EthDst, u128::from(v))),
        2 => any::<u32>().prop_map(move |v| set(FieldId::Ipv4Src, u128::from(v))),
        1 => any::<u16>().prop_map(move |v| set(FieldId::UdpDst, u128::from(v))),
        1 => Just(DpAction::DecTtl),
        2 => (0u16..4096).prop_map(|v| DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: (v | 0x1000).into() })),
        1 => Just(DpAction::PopVlan),
        1 => (14u16..120).prop_map(DpAction::Truncate),
        2 => prop_oneof![Just(0u16), 14u16..100, Just(u16::MAX)].prop_map(controller),
        2 => (1u32..6).prop_map(|id| DpAction::Meter(MeterId(id))),
        2 => (any::<u32>(), any::<u32>()).prop_map(move |(v, m)| metadata(FieldId::PktMark, v, m)),
        2 => (any::<u32>(), any::<u32>()).prop_map(move |(v, m)| metadata(FieldId::CtMark, v, m)),
        1 => any::<u64>().prop_map(move |v| set(FieldId::TunId, u128::from(v))),
        1 => Just(DpAction::CtClear),
        2 => (any::<bool>(), 0u32..3).prop_map(move |(symmetric, basis)| hash(symmetric, basis)),
        4 => (1..PASSES).prop_map(|id| DpAction::Recirc(RecircId(id))),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..4).prop_map(boxed);
        let sample =
            |(yes, actions)| DpAction::Sample(SampleSpec { probability: if yes { u32::MAX } else { 0 }, actions });
        prop_oneof![
            2 => list().prop_map(DpAction::Clone),
            1 => (any::<bool>(), list()).prop_map(sample),
            1 => (42u16..120, list(), list())
                .prop_map(|(len, greater, rest)| DpAction::CheckLen(LenSpec { len, greater, rest })),
        ]
    })
}

fn arb_actions() -> impl Strategy<Value = Vec<DpAction>> {
    let end = prop_oneof![
        8 => Just(None),
        1 => Just(Some(DpAction::Drop(DropReason::RuleDrop))),
        1 => Just(Some(DpAction::Ct(Box::default()))),
    ];
    (prop::collection::vec(arb_action(), 0..6), end).prop_map(|(mut list, end)| {
        list.extend(end);
        list
    })
}

fn arb_lists() -> impl Strategy<Value = Vec<(By, [Vec<DpAction>; 2])>> {
    let by = prop_oneof![Just(By::Mark), Just(By::CtMark), Just(By::Hash), Just(By::Mac)];
    prop::collection::vec((by, [arb_actions(), arb_actions()]), PASSES as usize)
}

pub(super) fn arb_frame() -> impl Strategy<Value = Vec<u8>> {
    let af = prop_oneof![Just(0u8), Just(10), Just(20), Just(28), Just(38), 0u8..64];
    let valid = (0u8..4, 0u8..4, any::<u16>(), 0usize..200, 0u8..3, af).prop_map(|(s, d, p, n, ttl, dscp)| {
        let mut f = FrameBuf::new(&frame(s, d, p, n));
        let mut set = |field: FieldId, value: u8| {
            apply(&mut f, &DpAction::Set { field, value: Value::from(value), mask: field.def().ones() });
        };
        set(FieldId::IpDscp, dscp);
        if ttl > 0 {
            set(FieldId::IpTtl, ttl);
        }
        f.into_packet()
    });
    let tagged = valid.clone().prop_map(|mut f| {
        f.splice(12..12, [0x81, 0, 0x20, 5]);
        f
    });
    let padded = (valid.clone(), 1usize..40).prop_map(|(mut f, n)| {
        f.resize(f.len() + n, 0);
        f
    });
    let bytes = prop::collection::vec(any::<u8>(), 0..90);
    let cut = (valid.clone(), 0usize..60).prop_map(|(mut f, n)| {
        f.truncate(n);
        f
    });
    prop_oneof![4 => valid, 1 => tagged, 2 => padded, 1 => bytes, 2 => cut]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_end_is_what_a_model_says(
        lists in arb_lists(),
        frames in prop::collection::vec((arb_frame(), any::<bool>()), 1..12),
    ) {
        // One rig for all cases: ports are few.
        static RIG: Mutex<Option<(Rig, crate::Punts, u64)>> = Mutex::new(None);
        let mut guard = RIG.lock();
        let (rig, reader, serial) = guard.get_or_insert_with(|| {
            let rig = Rig::new(3, Config { punt_queue: 100, ..Config::default() });
            let reader = rig.dp.punts();
            (rig, reader, 1)
        });
        let mut model = Model { lists: lists.clone(), ..Model::default() };
        for (bytes, _) in &frames {
            model.receive(Packet::received(bytes));
        }
        // As much as rings and pool hold.
        prop_assume!(model.sent.len() < 1000);
        for (_, reason) in model.punted.drain(model.punted.len().min(100)..).zip(std::iter::repeat(DropReason::NoController)) {
            model.drops.push(reason);
        }

        let first = *serial;
        *serial += 2 * lists.len() as u64;
        let rules = (0u32..).zip(&lists).flat_map(|(i, (by, lists))| by.rules(i, first + 2 * u64::from(i), lists));
        rig.slowpath.set_rules(rules.collect());
        rig.run();
        let before = rig.dp.counters();
        *rig.meters.metered.lock() = (0, 0);
        let mut keep = Vec::new();
        for (bytes, shared) in &frames {
            let packet = Mbuf::from_bytes(&rig.pool, bytes).unwrap();
            if *shared {
                // Somebody else still reads these bytes.
                keep.push((packet.clone_ref(&rig.pool).unwrap(), bytes.clone()));
            }
            rig.inject_mbuf(1, packet);
        }
        while rig.poll() > 0 {}
        for port in 1..=3 {
            // Packets of a flow leave in order; two flows of a burst may leave one after the other.
            let mut want: Vec<_> = model.sent.iter().filter(|(p, _)| *p == port).map(|(_, f)| f.clone()).collect();
            let mut got = rig.collect(port);
            if frames.len() > 1 {
                want.sort();
                got.sort();
            }
            prop_assert_eq!(got, want, "port {}", port);
        }
        let mut punted = Vec::new();
        reader.take(usize::MAX, &mut punted);
        let mut got: Vec<_> = punted
            .into_iter()
            .map(|p| (p.data, p.total_len, p.metadata.pkt_mark.get(), p.metadata.dp_hash.get()))
            .collect();
        got.sort();
        if model.punted.len() < 100 {
            model.punted.sort();
            prop_assert_eq!(&got, &model.punted);
        }
        for (packet, bytes) in keep {
            prop_assert_eq!(packet.to_vec(), bytes, "shared bytes were changed");
        }
        let after = rig.dp.counters();
        prop_assert_eq!(after.rx - before.rx, frames.len() as u64);
        prop_assert_eq!(after.tx - before.tx, model.sent.len() as u64);
        prop_assert_eq!(after.punted - before.punted, model.punted.len() as u64);
        let dropped: Vec<u64> = (0..DROP_REASONS).map(|i| after.drops[i] - before.drops[i]).collect();
        let mut want = vec![0; DROP_REASONS];
        for reason in &model.drops {
            want[*reason as usize] += 1;
        }
        prop_assert_eq!(dropped, want);
        prop_assert_eq!(*rig.meters.metered.lock(), model.metered);
        // Each packet counts once for the rule that it hit in each of its passes.
        rig.run();
        for ((recirc, bit), packets) in &model.hits {
            let rule = first + 2 * u64::from(*recirc) + *bit as u64;
            prop_assert_eq!(rig.slowpath.packets(Effect::Rule(RuleId(rule))), *packets, "pass {} bit {}", recirc, bit);
        }
        let passes = model.hits.iter().filter(|((recirc, _), _)| *recirc != 0).map(|(_, n)| n).sum::<u64>();
        prop_assert_eq!(after.recirculated - before.recirculated, passes);
        let used = rig.pool.in_use();
        prop_assert_eq!(used, 0, "buffers leak");
    }
}

/// A rule for one recirculation.
fn pass(recirc: u32, actions: Vec<DpAction>) -> Rule {
    let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
    mask.require(FieldId::RecircId);
    key.set(FieldId::RecircId, Value::from(recirc));
    Rule { id: u64::from(recirc), mask, key, actions }
}

fn recirc(id: u32) -> DpAction {
    DpAction::Recirc(RecircId(id))
}

#[test]
fn outputs_of_a_pass_leave_before_those_behind_it_in_the_list() {
    let mut rig = Rig::new(2, Config::default());
    let set = |last: u8| DpAction::Set { field: FieldId::EthDst, value: Value::from(last), mask: Value(0xff) };
    rig.slowpath.set_rules(vec![
        pass(0, vec![set(1), recirc(1), set(2), out(2)]),
        pass(1, vec![out(2), set(3), recirc(2), out(2)]),
        pass(2, vec![set(4), out(2)]),
    ]);
    for _ in 0..3 {
        rig.inject(1, &frame(1, 2, 3, 0));
    }
    rig.poll();
    let order: Vec<u8> = rig.collect(2).iter().map(|f| f[5]).collect();
    assert_eq!(order, [1, 4, 3, 2].repeat(3));
    assert_eq!(rig.dp.flow_count(), 3);
    assert!(rig.dp.dump().iter().all(|view| view.software.packets == 3));
    assert_eq!((rig.dp.counters().recirculated, rig.dp.counters().miss), (6, 3));
}

#[test]
fn recirculation_is_bounded_in_depth_and_in_all() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(vec![pass(0, vec![recirc(1)]), pass(1, vec![out(2), recirc(1)])]);
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.dp.counters().drops_by(DropReason::RecircLimit)), (8, 1));
    // Each pass makes four of the next one.
    rig.slowpath.set_rules(vec![pass(0, vec![recirc(1)]), pass(1, vec![recirc(1), recirc(1), recirc(1), recirc(1)])]);
    rig.run();
    let before = rig.dp.counters();
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    let after = rig.dp.counters();
    assert_eq!(after.recirculated - before.recirculated, 256);
    assert_eq!(rig.pool.in_use(), 0);
}

/// Hardware marks only packets as they are received: the mark of a later pass's flow is a hint that failed.
#[test]
fn the_mark_of_a_later_pass_is_not_believed() {
    let mut rig = Rig::new(3, Config { offload: true, ..Config::default() });
    rig.slowpath.set_rules(vec![pass(0, vec![recirc(1)]), pass(1, vec![out(2)])]);
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    let later = rig.heard.added.lock().iter().find(|flow| flow.key.recirc_id.get() == 1).unwrap().clone();
    let mut packet = Mbuf::from_bytes(&rig.pool, &frame(1, 2, 3, 0)).unwrap();
    packet.set_mark(Some(later.mark.0));
    rig.inject_mbuf(1, packet);
    rig.poll();
    assert_eq!((rig.dp.counters().mark_hit, rig.dp.counters().mark_unknown), (0, 1));
    assert_eq!(rig.dp.counters().recirculated, 2);
}

#[test]
fn a_hash_spreads_flows_and_keeps_each_together() {
    let mut rig = Rig::new(3, Config::default());
    let hash = DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 0 });
    let [even, odd] = By::Hash.rules(1, 10, &[vec![out(2)], vec![out(3)]]);
    rig.slowpath.set_rules(vec![pass(0, vec![hash, recirc(1)]), even, odd]);
    for _ in 0..2 {
        for tp in 0..400 {
            rig.inject(1, &frame(1, 2, tp, 0));
            rig.poll();
        }
    }
    let ports: Vec<Vec<u16>> =
        (2..4).map(|p| rig.collect(p).iter().map(|f| key_of(f).tp_dst.get()).collect()).collect();
    assert_eq!(ports[0].len() + ports[1].len(), 800);
    assert!(ports.iter().all(|p| (300..500).contains(&p.len())), "{} {}", ports[0].len(), ports[1].len());
    assert!(ports[0].iter().all(|tp| !ports[1].contains(tp)));
    // One flow for the first pass, one for each bit that was looked at.
    assert_eq!(rig.dp.flow_count(), 3);
}

#[test]
fn samples_are_about_as_many_as_asked_for() {
    let mut rig = Rig::new(3, Config::default());
    let actions = boxed(vec![out(3)]);
    rig.slowpath
        .set_rules(FakeSlowpath::all(vec![DpAction::Sample(SampleSpec { probability: 1 << 30, actions }), out(2)]));
    let mut got = (0, 0);
    for _ in 0..40 {
        for _ in 0..100 {
            rig.inject(1, &frame(1, 2, 3, 0));
        }
        while rig.poll() > 0 {}
        got = (got.0 + rig.collect(3).len(), got.1 + rig.collect(2).len());
    }
    assert!((900..1100).contains(&got.0) && got.1 == 4000, "{got:?}");
}

#[test]
fn without_meters_or_readers_packets_for_them_are_dropped_under_a_name() {
    let controller = DpAction::Punt(PuntReason::Controller { max_len: 20, reason: PacketInReason::NoMatch, id: 7 });
    let mut rig = Rig::new(2, Config { punt_queue: 2, ..Config::default() });
    rig.slowpath.set_rules(FakeSlowpath::all(vec![controller.clone(), out(2)]));
    let bytes = frame(1, 2, 3, 0);
    let go = |rig: &mut Rig| {
        rig.inject(1, &bytes);
        rig.poll();
        rig.collect(2).len()
    };
    assert_eq!(go(&mut rig), 1);
    assert_eq!(rig.dp.counters().drops_by(DropReason::NoController), 1);
    let reader = rig.dp.punts();
    rig.clock.advance(SHORT);
    for _ in 0..3 {
        go(&mut rig);
    }
    assert_eq!((rig.dp.counters().drops_by(DropReason::NoController), rig.dp.counters().punted), (2, 2));
    let mut packets = Vec::new();
    reader.take(1, &mut packets);
    let [packet] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!((&packet.data[..], packet.total_len, packet.at), (&bytes[..20], bytes.len(), rig.now()));
    assert_eq!(packet.metadata.in_port.get(), 1);
    assert_eq!(packet.reason, PuntReason::Controller { max_len: 20, reason: PacketInReason::NoMatch, id: 7 });
    // What nobody will read goes back to the pool.
    drop(reader);
    assert_eq!(rig.pool.in_use(), 0);
    go(&mut rig);
    assert_eq!(rig.dp.counters().drops_by(DropReason::NoController), 3);

    let mut rig = Rig::without_meters(2);
    rig.slowpath.set_rules(FakeSlowpath::all(vec![DpAction::Meter(MeterId(1)), out(2)]));
    assert_eq!(go(&mut rig), 0);
    assert_eq!(rig.dp.counters().drops_by(DropReason::Unsupported), 1);
}

#[test]
fn segmented_packets_are_changed_whole() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(1), DpAction::DecTtl, DpAction::Truncate(100), out(2)]));
    let mut bytes = frame(1, 2, 3, 3000);
    let packet = Mbuf::from_bytes(&rig.pool, &bytes).unwrap();
    assert!(packet.segment_count() > 1);
    rig.dp.set_port(DpPort(1), true, 9000).unwrap();
    rig.inject_mbuf(1, packet);
    rig.poll();
    assert_eq!(rig.collect(1), [bytes.clone()]);
    let mut buf = FrameBuf::new(&bytes);
    apply(&mut buf, &DpAction::DecTtl);
    assert_eq!(buf.total_len(), bytes.len());
    bytes = buf.into_packet();
    assert_eq!(rig.collect(2), [bytes[..100].to_vec()]);
}

#[test]
fn stripped_tags_are_part_of_the_packet() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    let plain = frame(1, 2, 3, 10);
    let mut packet = Mbuf::from_bytes(&rig.pool, &plain).unwrap();
    packet.set_stripped_vlan(Some(0x2005));
    rig.inject_mbuf(1, packet);
    rig.poll();
    let mut tagged = plain;
    tagged.splice(12..12, [0x81, 0, 0x20, 5]);
    assert_eq!(rig.collect(2), [tagged]);
}
