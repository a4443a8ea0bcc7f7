use super::*;
use crate::FieldId;

fn key(packet: &[u8]) -> FlowKey {
    extract(packet, packet.len(), &RxMeta::from_port(DpPort(7)))
}

#[test]
fn a_packet_without_ethernet_header_has_only_its_port() {
    let mut want = FlowKey::ZERO;
    want.in_port = 7.into();
    assert_eq!(key(&[0xff; 13]), want);
    assert_eq!(key(&[]), want);
}

#[test]
fn tags_of_the_nic_stand_before_those_of_the_bytes_and_a_third_is_the_ethertype() {
    let mut packet = vec![2; 12];
    packet.extend([0x81, 0, 0x20, 5, 0x88, 0xa8, 0, 6, 0x81, 0, 0, 7, 8, 0]);
    let plain = key(&packet);
    assert_eq!(plain.vlans.map(|t| t.tpid.get()), [0x8100, 0x88a8]);
    assert_eq!(plain.vlans.map(|t| t.tci.get()), [0x3005, 0x1006]);
    assert_eq!(plain.eth_type.get(), 0x8100);

    let mut meta = RxMeta::from_port(DpPort(7));
    meta.stripped[0] = VlanTag { tpid: 0x88a8.into(), tci: 0x1009.into() };
    let stripped = extract(&packet, packet.len(), &meta);
    assert_eq!(stripped.vlans.map(|t| t.vid()), [9, 5]);
    assert_eq!(stripped.eth_type.get(), 0x88a8);
    assert_eq!(stripped.get(FieldId::VlanVid), Some(0x1009u16.into()));
}

mod usual {
    use super::*;
    use crate::extract::extract_usual;
    use proptest::prelude::*;

    /// Packets that are usual or nearly so: tags, IPv4 or IPv6, TCP, UDP or something else, with a few bytes changed, cut or
    /// padded.
    fn arb_packet() -> impl Strategy<Value = (Vec<u8>, usize)> {
        let tag =
            prop_oneof![4 => Just(None), 1 => Just(Some(0x8100u16)), 1 => Just(Some(0x88a8)), 1 => Just(Some(0x9100))];
        let proto =
            prop_oneof![3 => Just(17u8), 3 => Just(6u8), 1 => Just(1), 1 => Just(58), 1 => Just(0), 1 => any::<u8>()];
        let changes = prop::collection::vec((0usize..90, any::<u8>()), 0..4);
        (
            prop::array::uniform2(tag),
            any::<bool>(),
            proto,
            prop::collection::vec(any::<u8>(), 80),
            changes,
            0usize..30,
            0..40usize,
        )
            .prop_map(|(tags, v6, proto, noise, changes, cut, padding)| {
                let mut p = noise[..12].to_vec();
                for tag in tags.into_iter().flatten() {
                    p.extend(tag.to_be_bytes());
                    p.extend([noise[12], noise[13]]);
                }
                let l4 = &noise[40..];
                let len = l4.len() as u16;
                if v6 {
                    p.extend([
                        0x86,
                        0xdd,
                        0x60 | noise[14] & 0xf,
                        noise[15],
                        noise[16],
                        noise[17],
                        0,
                        len as u8,
                        proto,
                        64,
                    ]);
                    p.extend(&noise[..32]);
                } else {
                    p.extend([8, 0, 0x45, noise[14], 0, len as u8 + 20, 0, 1, 0, 0, 64, proto, 0, 0]);
                    p.extend(&noise[20..28]);
                }
                let l4_at = p.len();
                p.extend(l4);
                p[l4_at + 12] = 0x50 | p[l4_at + 12] & 0xf;
                p.extend(vec![0; padding]);
                for (at, byte) in changes {
                    if let Some(place) = p.get_mut(at) {
                        *place = byte;
                    }
                }
                let total = p.len();
                // Only some of the bytes are in the head, or the packet is cut.
                if cut < 10 {
                    p.truncate(total - cut * 4);
                }
                let total = if cut % 2 == 0 { p.len() } else { total };
                (p, total)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_short_way_gives_what_the_long_way_gives((packet, total) in arb_packet(), before: [u8; 80]) {
            let mut want = FlowKey::ZERO;
            let layout = extract_into(&mut want, &packet, total, &RxMeta::from_port(DpPort(7)));
            if let Some(words) = crate::extract::near_words(&packet, total) {
                for (at, word) in crate::extract::NEAR_WORDS.into_iter().zip(words) {
                    prop_assert_eq!(word.to_ne_bytes(), want.words()[at]);
                }
            }
            if let Some(words) = crate::extract::link_words(&packet) {
                for (at, word) in crate::extract::LINK_WORDS.into_iter().zip(words) {
                    prop_assert_eq!(word.to_ne_bytes(), want.words()[at]);
                }
                prop_assert_eq!(want.vlans, [VlanTag::default(); 2]);
            }
            // Whatever an earlier packet left in the words that are written.
            let mut got = FlowKey::ZERO;
            got.in_port = 7.into();
            for (word, before) in got.words_mut()[5..15].iter_mut().zip(before.chunks(8)) {
                word.copy_from_slice(before);
            }
            if extract_usual(&mut got, &packet, total) {
                prop_assert_eq!(got, want);
            } else {
                let unusual = layout.l4 != crate::wire::L4::Udp && layout.l4 != crate::wire::L4::Tcp;
                let near_end = total != packet.len() || layout.tags > 0 || packet.len() < layout.l4_at() + 20;
                prop_assert!(
                    unusual || near_end || layout.frag != 0 || layout.l4_at() != layout.l3_at() + if layout.l3 == L3::Ipv4 { 20 } else { 40 },
                    "{:?} is usual", layout
                );
            }
        }
    }
}
