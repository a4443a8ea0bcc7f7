//! Packets that are not plain, end to end: in several buffers, long, without their checksum.

use super::*;
use flow::rewrite::{FrameBuf, apply};
use flow::{FieldId, Value, VlanTag};

fn set(field: FieldId, value: u128) -> DpAction {
    DpAction::Set { field, value: Value(value), mask: field.def().ones() }
}

fn changed(bytes: &[u8], actions: &[DpAction]) -> Vec<u8> {
    let mut buf = FrameBuf::new(bytes);
    for action in actions {
        apply(&mut buf, action);
    }
    buf.into_packet()
}

fn collect_mbufs(rig: &mut Rig, port: u32) -> Vec<Mbuf> {
    let mut batch = MbufBatch::new();
    rig.ends[port as usize - 1].1.dequeue(&mut batch);
    batch.drain().collect()
}

#[test]
fn jumbo_frames_keep_their_segments_all_the_way() {
    const LONGEST: usize = 9728;
    let mut rig = Rig::new(3, Config::default());
    for port in 1..=3 {
        rig.dp.set_port(DpPort(port), true, (LONGEST - 22) as u16).unwrap();
    }
    let bytes = frame(1, 2, 3, LONGEST - 42);
    let changes = [set(FieldId::EthDst, 7), set(FieldId::Ipv4Dst, 0x0a01_0203), DpAction::DecTtl];
    let lists = [
        vec![out(2)],
        [&changes[..], &[out(2)]].concat(),
        [&[out(3)], &changes[..], &[out(2)]].concat(),
        [&changes[..], &[DpAction::Clone([out(3)].into()), out(2)]].concat(),
    ];
    for list in lists {
        rig.slowpath.set_rules(FakeSlowpath::all(list.clone()));
        rig.run();
        // Twice: translated, then found.
        for _ in 0..2 {
            let packet = Mbuf::from_bytes(&rig.pool, &bytes).unwrap();
            let segments = packet.segment_count();
            rig.inject_mbuf(1, packet);
            rig.poll();
            let sent = collect_mbufs(&mut rig, 2);
            let changes: &[DpAction] = if list.len() > 1 { &changes } else { &[] };
            assert_eq!((sent.len(), sent[0].segment_count()), (1, segments), "{list:?}");
            assert_eq!(sent[0].to_vec(), changed(&bytes, changes), "{list:?}");
            let others = collect_mbufs(&mut rig, 3);
            let is_first = list[0] == out(3);
            for other in &others {
                assert_eq!(other.to_vec(), if is_first { bytes.clone() } else { changed(&bytes, changes) });
            }
            assert_eq!(others.len(), usize::from(list.len() > 4));
        }
    }
    rig.slowpath.set_rules(FakeSlowpath::all(vec![
        DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1005.into() }),
        out(2),
    ]));
    rig.run();
    rig.inject(1, &bytes);
    rig.poll();
    // One tag too many for the port.
    assert_eq!((rig.collect(2).len(), rig.dp.counters().drops_by(DropReason::TooLong)), (0, 1));
    assert_eq!(rig.pool.in_use(), 0);
}

#[test]
fn unfinished_checksums_are_right_wherever_packets_go() {
    let mut rig = Rig::new(3, Config::default());
    let mut right = frame(1, 2, 3, 99);
    let sum = {
        let mut pseudo = right[26..34].to_vec();
        pseudo.extend([0, 17, 0, 8 + 99]);
        let words = |bytes: &[u8]| flow::wire::checksum::sum(bytes);
        !flow::wire::checksum::fold(words(&pseudo) + words(&right[34..]))
    };
    right[40..42].copy_from_slice(&sum.to_be_bytes());
    let changes = [set(FieldId::Ipv4Src, 0xc0a8_0101), set(FieldId::UdpDst, 53), DpAction::DecTtl];
    let want = changed(&right, &changes);
    rig.slowpath.set_rules(FakeSlowpath::all([&[out(2)], &changes[..], &[out(3), out(2)]].concat()));
    for _ in 0..2 {
        let mut unfinished = right.clone();
        unfinished[40..42].copy_from_slice(&[0x12, 0x34]);
        let mut packet = Mbuf::from_bytes(&rig.pool, &unfinished).unwrap();
        packet.set_l4_checksum_unfinished(true);
        rig.inject_mbuf(1, packet);
        rig.poll();
        assert_eq!(rig.collect(2), [right.clone(), want.clone()]);
        assert_eq!(rig.collect(3), std::slice::from_ref(&want));
    }
    // Without that mark, a wrong checksum stays wrong.
    right[41] ^= 1;
    rig.inject(1, &right);
    rig.poll();
    assert_eq!((&rig.collect(2)[0], rig.collect(3).len()), (&right, 1));
    assert_eq!(rig.pool.in_use(), 0);
}

/// A whole burst of one flow is handed over as it is; order, bytes and drops are counted.
#[test]
fn bursts_of_one_flow_leave_in_order() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    let frames: Vec<_> = (0..200).map(|i| frame(1, 2, i, usize::from(i))).collect();
    for f in &frames {
        rig.inject(1, f);
    }
    while rig.poll() > 0 {}
    assert_eq!(rig.collect(2), frames);
    let view = rig.dp.ports().into_iter().find(|view| view.port == DpPort(2)).unwrap();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    assert_eq!((view.counters.tx_packets, view.counters.tx_bytes), (200, bytes as u64));
    // To a port that is down, and to one that is not there.
    rig.dp.set_port(DpPort(2), false, 1500).unwrap();
    for f in &frames[..64] {
        rig.inject(1, f);
    }
    while rig.poll() > 0 {}
    assert_eq!(rig.dp.counters().drops_by(DropReason::PortDown), 64);
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(9)]));
    rig.run();
    for f in &frames[..64] {
        rig.inject(1, f);
    }
    while rig.poll() > 0 {}
    assert_eq!(rig.dp.counters().drops_by(DropReason::NoSuchPort), 64);
    assert_eq!(rig.pool.in_use(), 0);
}
