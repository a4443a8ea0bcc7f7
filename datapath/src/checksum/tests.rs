use super::*;
use crate::tests::small_buffers;
use dpdk::testing;
use proptest::prelude::*;

/// The checksum as RFC 1071 says it, byte by byte over pseudo header and segment in one piece.
fn oracle(pseudo: &[u8], segment: &[u8]) -> u16 {
    let mut bytes = [pseudo, segment].concat();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word[1]);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A frame with `field` as its checksum, and the offset and right value of that.
fn build(is_v6: bool, is_tcp: bool, tags: usize, hosts: [u8; 32], payload: &[u8], field: u16) -> (Vec<u8>, usize, u16) {
    let proto = if is_tcp { 6 } else { 17 };
    let mut l4 = if is_tcp { [&[0; 12][..], &[0x50], &[0; 7]].concat() } else { vec![0; 8] };
    l4[..4].copy_from_slice(&hosts[..4]);
    l4.extend_from_slice(payload);
    let len = l4.len() as u16;
    if !is_tcp {
        l4[4..6].copy_from_slice(&len.to_be_bytes());
    }
    let mut f = vec![2; 12];
    f.extend([0x81, 0, 0, 5].repeat(tags));
    let l3 = f.len() + 2;
    let at = if is_tcp { 16 } else { 6 };
    let pseudo = if is_v6 {
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, (len >> 8) as u8, len as u8, proto, 9]);
        f.extend(hosts);
        [&hosts[..], &[0, 0, (len >> 8) as u8, len as u8, 0, 0, 0, proto]].concat()
    } else {
        let total = len + 20;
        f.extend([8, 0, 0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 9, proto, 0, 0]);
        f.extend(&hosts[..8]);
        [&hosts[..8], &[0, proto, (len >> 8) as u8, len as u8]].concat()
    };
    let right = match oracle(&pseudo, &l4) {
        0 if !is_tcp => 0xffff,
        sum => sum,
    };
    l4[at..at + 2].copy_from_slice(&field.to_be_bytes());
    let place = l3 + if is_v6 { 40 } else { 20 } + at;
    f.extend(l4);
    // Padding is not covered.
    f.extend([0xee; 7]);
    (f, place, right)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unfinished_checksum_becomes_that_of_the_packet_as_it_is(
        is_v6: bool,
        is_tcp: bool,
        tags in 0usize..3,
        hosts: [u8; 32],
        payload in prop::collection::vec(any::<u8>(), 0..700),
        field in 1u16..,
        in_pieces: bool,
    ) {
        let pool = if in_pieces { small_buffers() } else { testing::mempool(7) };
        let (mut bytes, at, right) = build(is_v6, is_tcp, tags, hosts, &payload, field);
        let mut packet = Mbuf::from_bytes(&pool, &bytes).unwrap();
        packet.set_l4_checksum_unfinished(true);
        finish(&mut packet, TxOffloads::MULTI_SEGS);
        bytes[at..at + 2].copy_from_slice(&right.to_be_bytes());
        prop_assert_eq!(packet.to_vec(), bytes);
        prop_assert!(!packet.is_l4_checksum_unfinished());
    }
}

#[test]
fn a_device_with_the_offload_gets_the_pseudo_header_and_the_request() {
    let pool = testing::mempool(7);
    let (bytes, at, right) = build(false, true, 1, [3; 32], b"payload", 7);
    let mut packet = Mbuf::from_bytes(&pool, &bytes).unwrap();
    packet.set_l4_checksum_unfinished(true);
    finish(&mut packet, TxOffloads::TCP_CKSUM);
    assert!(packet.requests_l4_checksum());
    // What the device does: the sum of the L4 bytes, the field among them.
    let l4 = &packet.data()[38..38 + 27];
    assert_eq!(oracle(&[], l4), right);
    assert_ne!(packet.data()[at..at + 2], right.to_be_bytes());
    // The other protocol's offload does not help.
    let mut packet = Mbuf::from_bytes(&pool, &bytes).unwrap();
    packet.set_l4_checksum_unfinished(true);
    finish(&mut packet, TxOffloads::UDP_CKSUM);
    assert!(!packet.requests_l4_checksum());
    assert_eq!(packet.data()[at..at + 2], right.to_be_bytes());
}

#[test]
fn what_has_no_checksum_to_complete_stays() {
    let pool = testing::mempool(7);
    let finished = |bytes: &[u8]| {
        let mut packet = Mbuf::from_bytes(&pool, bytes).unwrap();
        packet.set_l4_checksum_unfinished(true);
        finish(&mut packet, TxOffloads::all());
        assert!(packet.is_plain(0));
        packet.to_vec()
    };
    // UDP without checksum.
    let (bytes, ..) = build(false, false, 0, [3; 32], b"payload", 0);
    assert_eq!(finished(&bytes), bytes);
    // A fragment.
    let (mut bytes, ..) = build(false, true, 0, [3; 32], b"payload", 9);
    bytes[20] = 0x20;
    assert_eq!(finished(&bytes), bytes);
    // No L4 header, no packet.
    for len in [0, 5, 14, 33, 40] {
        assert_eq!(finished(&bytes[..len]), bytes[..len]);
    }
}
