//! Any list of actions on any frame gives what a model with a copy for each output gives.

use super::*;
use flow::action::PacketInReason;
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, apply};
use flow::{FieldId, Value, VlanTag};
use proptest::prelude::*;

/// What leaves each port, and how many ends the packet had: every output on a buffer of its own.
struct Model {
    sent: Vec<(u32, Vec<u8>)>,
    drops: Vec<DropReason>,
}

impl Model {
    /// `false`: the packet was dropped inside.
    fn run(&mut self, actions: &[DpAction], packet: &mut FrameBuf) {
        let mut cut = usize::MAX;
        for action in actions {
            match action {
                DpAction::Output(port @ DpPort(1..=3)) => {
                    let whole = packet.packet();
                    self.sent
                        .push((port.0, whole[..whole.len().min(std::mem::replace(&mut cut, usize::MAX))].to_vec()));
                }
                DpAction::Output(_) => {
                    cut = usize::MAX;
                    self.drops.push(DropReason::NoSuchPort);
                }
                DpAction::Truncate(n) => cut = usize::from(*n),
                DpAction::Clone(list) => self.run(list, &mut packet.clone()),
                DpAction::Drop(reason) => return self.drops.push(*reason),
                DpAction::Punt(_) => self.drops.push(DropReason::NoController),
                DpAction::Meter(_) => return self.drops.push(DropReason::Unsupported),
                rewrite => {
                    if apply(packet, rewrite) == Outcome::Expired {
                        return self.drops.push(DropReason::TtlExpired);
                    }
                }
            }
        }
    }
}

fn arb_action() -> impl Strategy<Value = DpAction> {
    let set = |field: FieldId, value: u128| {
        let mask = field.def().ones();
        DpAction::Set { field, value: Value(value & mask.0), mask }
    };
    let leaf = prop_oneof![
        6 => (1u32..5).prop_map(out),
        2 => any::<u64>().prop_map(move |v| set(FieldId::EthDst, u128::from(v))),
        2 => any::<u32>().prop_map(move |v| set(FieldId::Ipv4Src, u128::from(v))),
        1 => any::<u16>().prop_map(move |v| set(FieldId::UdpDst, u128::from(v))),
        1 => Just(DpAction::DecTtl),
        2 => (0u16..4096).prop_map(|v| DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: (v | 0x1000).into() })),
        1 => Just(DpAction::PopVlan),
        1 => (14u16..120).prop_map(DpAction::Truncate),
        1 => Just(DpAction::Punt(PuntReason::Controller { max_len: 64, reason: PacketInReason::Action, id: 0 })),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|list| DpAction::Clone(list.into_boxed_slice()))
    })
}

fn arb_actions() -> impl Strategy<Value = Vec<DpAction>> {
    let end = prop_oneof![
        8 => Just(None),
        1 => Just(Some(DpAction::Drop(DropReason::RuleDrop))),
        1 => Just(Some(DpAction::Meter(MeterId(1)))),
    ];
    (prop::collection::vec(arb_action(), 0..7), end).prop_map(|(mut list, end)| {
        list.extend(end);
        list
    })
}

fn arb_frame() -> impl Strategy<Value = Vec<u8>> {
    let valid = (0u8..4, 0u8..4, any::<u16>(), 0usize..200, 0u8..3).prop_map(|(s, d, p, n, ttl)| {
        let mut f = frame(s, d, p, n);
        if ttl > 0 {
            f[22] = ttl;
        }
        f
    });
    let tagged = valid.clone().prop_map(|mut f| {
        f.splice(12..12, [0x81, 0, 0x20, 5]);
        f
    });
    let bytes = prop::collection::vec(any::<u8>(), 0..90);
    let cut = (valid.clone(), 0usize..60).prop_map(|(mut f, n)| {
        f.truncate(n);
        f
    });
    prop_oneof![4 => valid, 1 => tagged, 1 => bytes, 2 => cut]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_output_is_what_a_copy_would_be(
        actions in arb_actions(),
        frames in prop::collection::vec((arb_frame(), any::<bool>()), 1..40),
    ) {
        // One rig for all cases: ports are few.
        static RIG: Mutex<Option<Rig>> = Mutex::new(None);
        let mut guard = RIG.lock();
        let rig = guard.get_or_insert_with(|| Rig::new(3, Config::default()));
        let before = rig.dp.counters();
        rig.slowpath.set_rules(FakeSlowpath::all(actions.clone()));
        rig.run();
        let mut model = Model { sent: Vec::new(), drops: Vec::new() };
        let mut keep = Vec::new();
        for (bytes, shared) in &frames {
            let packet = Mbuf::from_bytes(&rig.pool, bytes).unwrap();
            if *shared {
                // Somebody else still reads these bytes.
                keep.push((packet.clone_ref(&rig.pool).unwrap(), bytes.clone()));
            }
            rig.inject_mbuf(1, packet);
            if bytes.len() < 14 {
                model.drops.push(DropReason::TooShort);
                continue;
            }
            let had = (model.sent.len(), model.drops.len());
            model.run(&actions, &mut FrameBuf::new(bytes));
            if had == (model.sent.len(), model.drops.len()) {
                model.drops.push(DropReason::RuleDrop);
            }
        }
        while rig.poll() > 0 {}
        for port in 1..=3 {
            let want: Vec<_> = model.sent.iter().filter(|(p, _)| *p == port).map(|(_, f)| f.clone()).collect();
            prop_assert_eq!(rig.collect(port), want, "port {}", port);
        }
        for (packet, bytes) in keep {
            prop_assert_eq!(packet.to_vec(), bytes, "shared bytes were changed");
        }
        let after = rig.dp.counters();
        prop_assert_eq!(after.rx - before.rx, frames.len() as u64);
        prop_assert_eq!(after.tx - before.tx, model.sent.len() as u64);
        let dropped: Vec<u64> = (0..DROP_REASONS).map(|i| after.drops[i] - before.drops[i]).collect();
        let mut want = vec![0; DROP_REASONS];
        for reason in model.drops {
            want[reason as usize] += 1;
        }
        prop_assert_eq!(dropped, want);
        let used = rig.pool.in_use();
        prop_assert_eq!(used, 0, "buffers leak");
    }
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
