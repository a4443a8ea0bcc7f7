//! A prepared list of changes gives what its actions give one by one.

use crate::build::{Extension, Fragment, Net, Shape, Transport, frame, packet};
use flow::dp::DpAction;
use flow::field::datapath_fields;
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, Quick, Rewrite, apply};
use flow::{FieldId, FlowKey, Value, VlanTag};
use proptest::prelude::*;

fn action() -> impl Strategy<Value = DpAction> {
    let fields: Vec<FieldId> = datapath_fields().map(|def| def.id).collect();
    let field = prop_oneof![
        2 => Just(FieldId::EthDst), 2 => Just(FieldId::EthSrc), 1 => Just(FieldId::IpTtl), 6 => prop::sample::select(fields)
    ];
    let set = (field, any::<u128>(), any::<u128>(), any::<bool>()).prop_map(|(field, value, mask, exact)| {
        let ones = field.def().ones().0;
        let mask = if exact { ones } else { mask & ones };
        DpAction::Set { field, value: Value(value & mask), mask: Value(mask) }
    });
    let tag = |(tpid, tci): (u16, u16)| DpAction::PushVlan(VlanTag { tpid: tpid.into(), tci: (tci | 0x1000).into() });
    let tpid = prop_oneof![4 => Just(0x8100u16), 2 => Just(0x88a8), 1 => Just(0x9100)];
    prop_oneof![
        6 => set,
        2 => Just(DpAction::DecTtl),
        1 => (tpid, any::<u16>()).prop_map(tag),
        1 => Just(DpAction::PopVlan),
    ]
}

/// A packet as it was built, with lies, cut, or in pieces.
fn buffer() -> impl Strategy<Value = FrameBuf> {
    let ttl = prop_oneof![3 => Just(None), 1 => (0u8..3).prop_map(Some)];
    let lies = prop_oneof![2 => Just(0), 1 => 0usize..4];
    let places = any::<[(prop::sample::Index, u8); 3]>();
    let cut = prop_oneof![5 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    let head = prop_oneof![3 => Just(usize::MAX), 1 => 14usize..120];
    (frame(), ttl, lies, places, cut, head, 0usize..12).prop_map(
        |((shape, mut key), ttl, lies, places, cut, head, room)| {
            if let Some(ttl) = ttl {
                key.nw_ttl = ttl;
            }
            let mut bytes = packet(&shape, &key);
            for (at, bits) in &places[..lies] {
                let at = at.index(bytes.len().min(80));
                bytes[at] ^= bits;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            FrameBuf::with_headroom(&bytes, room).split_at(head)
        },
    )
}

/// As a datapath does it: a packet without room for a tag is copied into a buffer with room.
fn with_room(pkt: &FrameBuf) -> FrameBuf {
    FrameBuf::new(pkt.packet()).split_at(pkt.head().len())
}

fn one_by_one(pkt: &mut FrameBuf, list: &[DpAction]) -> Result<(), Outcome> {
    for action in list {
        let mut outcome = apply(pkt, action);
        if outcome == Outcome::NoRoom {
            *pkt = with_room(pkt);
            outcome = apply(pkt, action);
        }
        if !matches!(outcome, Outcome::Done | Outcome::Absent) {
            return Err(outcome);
        }
    }
    Ok(())
}

fn prepared(pkt: &mut FrameBuf, list: &Rewrite) -> Result<(), Outcome> {
    let mut from = 0;
    loop {
        match list.run(pkt, from) {
            Err((Outcome::NoRoom, at)) => (*pkt, from) = (with_room(pkt), at),
            Err((outcome, _)) => return Err(outcome),
            Ok(()) => return Ok(()),
        }
    }
}

fn quick(pkt: &FrameBuf, list: &Rewrite) -> (Quick, Vec<u8>) {
    let mut bytes = pkt.packet().to_vec();
    (list.quick(&mut bytes), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_prepared_list_is_its_actions_one_by_one(pkt in buffer(), list in prop::collection::vec(action(), 0..7)) {
        let rewrite = Rewrite::new(&list).unwrap();
        let (mut want, mut got) = (pkt.clone(), pkt.clone());
        let outcome = one_by_one(&mut want, &list);
        prop_assert_eq!(prepared(&mut got, &rewrite), outcome);
        if outcome.is_ok() {
            prop_assert_eq!(got.packet(), want.packet());
        }
    }

    #[test]
    fn the_quick_way_is_the_same_way(
        pkt in buffer(),
        macs in prop::collection::vec((any::<bool>(), any::<u64>(), any::<u64>()), 0..4),
        ttl: bool,
    ) {
        let mut list: Vec<DpAction> = macs
            .iter()
            .map(|(dst, value, mask)| {
                let field = if *dst { FieldId::EthDst } else { FieldId::EthSrc };
                let mask = u128::from(*mask) & field.def().ones().0;
                DpAction::Set { field, value: Value(u128::from(*value) & mask), mask: Value(mask) }
            })
            .collect();
        if ttl {
            list.insert(list.len() / 2, DpAction::DecTtl);
        }
        // All of its bytes are there.
        let pkt = pkt.split_at(usize::MAX);
        let mut want = pkt.clone();
        let outcome = one_by_one(&mut want, &list);
        match quick(&pkt, &Rewrite::new(&list).unwrap()) {
            (Quick::Done, got) => prop_assert!(outcome.is_ok() && got == want.packet()),
            (Quick::Expired, got) => prop_assert!(outcome == Err(Outcome::Expired) && got == pkt.packet()),
            (Quick::Other, got) => prop_assert_eq!(&got[..], pkt.packet()),
        }
    }

    #[test]
    fn common_packets_go_the_quick_way((shape, key) in frame()) {
        let shape = Shape {
            options: 0,
            extensions: Vec::new(),
            fragment: Fragment::No,
            snap: false,
            tags: shape.tags[..shape.tags.len().min(1)].to_vec(),
            ..shape
        };
        let listed = match (shape.net, &shape.l4) {
            (Net::Ipv4, _) => true,
            (Net::Ipv6, l4) => !matches!(l4, Transport::Other(_)),
            _ => false,
        };
        let mac = DpAction::Set { field: FieldId::EthDst, value: Value(7), mask: FieldId::EthDst.def().ones() };
        let pkt = FrameBuf::new(&packet(&shape, &key));
        let went = quick(&pkt, &Rewrite::new(&[mac, DpAction::DecTtl]).unwrap()).0;
        prop_assert_eq!(went != Quick::Other, listed, "{:?}", shape);
    }
}

#[test]
fn other_lists_and_uncommon_headers_do_not_go_the_quick_way() {
    let key = FlowKey { nw_ttl: 9, eth_type: 0x86dd.into(), ..FlowKey::ZERO };
    let shape = Shape {
        net: Net::Ipv6,
        options: 0,
        extensions: vec![Extension::Atomic],
        l4: Transport::Udp,
        fragment: Fragment::No,
        snap: false,
        udp_sum: true,
        tags: Vec::new(),
        payload: vec![1, 2, 3],
        padding: Vec::new(),
    };
    let pkt = FrameBuf::new(&packet(&shape, &key));
    let of = |list: &[DpAction]| quick(&pkt, &Rewrite::new(list).unwrap()).0;
    assert_eq!(of(&[DpAction::DecTtl]), Quick::Other);
    assert_eq!(of(&[DpAction::PopVlan]), Quick::Other);
    assert!(Rewrite::new(&[DpAction::DecTtl, DpAction::CtClear]).is_none());
}
