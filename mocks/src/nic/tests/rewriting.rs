use super::super::edit::{Edit, Editor};
use super::super::headers::ParserLimits;
use super::parsing::bent_frame;
use super::*;
use proptest::prelude::*;

const EDITOR: Editor = Editor { limits: ParserLimits { vlans: 2, ipv4_options: true }, checksums: true };

fn edited(frame: &[u8], edit: Edit) -> Vec<u8> {
    let mut out = frame.to_vec();
    EDITOR.apply(&mut out, edit);
    out
}

/// Whether all checksums of a whole packet are what etherparse computes from all of its bytes.
fn checksums_are_right(frame: &[u8]) -> bool {
    let packet = etherparse::PacketHeaders::from_ethernet_slice(frame).unwrap();
    let payload = packet.payload.slice();
    let ip_ok = match &packet.net {
        Some(etherparse::NetHeaders::Ipv4(ip, _)) => ip.calc_header_checksum() == ip.header_checksum,
        _ => true,
    };
    let l4_ok = match (&packet.net, &packet.transport) {
        (Some(etherparse::NetHeaders::Ipv4(ip, _)), Some(etherparse::TransportHeader::Tcp(tcp))) => {
            tcp.calc_checksum_ipv4(ip, payload).unwrap() == tcp.checksum
        }
        (Some(etherparse::NetHeaders::Ipv4(ip, _)), Some(etherparse::TransportHeader::Udp(udp))) => {
            udp.calc_checksum_ipv4(ip, payload).unwrap() == udp.checksum
        }
        (Some(etherparse::NetHeaders::Ipv6(ip, _)), Some(etherparse::TransportHeader::Udp(udp))) => {
            udp.calc_checksum_ipv6(ip, payload).unwrap() == udp.checksum
        }
        _ => true,
    };
    ip_ok && l4_ok
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        Just(Edit::PopVlan),
        prop::sample::select(vec![0x8100u16, 0x88a8]).prop_map(Edit::PushVlan),
        (0u16..4096).prop_map(Edit::SetVid),
        (0u8..8).prop_map(Edit::SetPcp),
        any::<[u8; 6]>().prop_map(Edit::SetEthDst),
        any::<[u8; 6]>().prop_map(Edit::SetEthSrc),
        any::<[u8; 4]>().prop_map(Edit::SetIpv4Src),
        any::<[u8; 4]>().prop_map(Edit::SetIpv4Dst),
        any::<[u8; 16]>().prop_map(Edit::SetIpv6Src),
        any::<[u8; 16]>().prop_map(Edit::SetIpv6Dst),
        any::<[u8; 2]>().prop_map(Edit::SetTpSrc),
        any::<[u8; 2]>().prop_map(Edit::SetTpDst),
        any::<u8>().prop_map(Edit::SetTtl),
        Just(Edit::DecTtl),
        (any::<bool>(), any::<u8>(), prop::sample::select(vec![0xfcu8, 3, 0xff]))
            .prop_map(|(v6, value, mask)| Edit::SetTos { v6, value, mask }),
    ]
}

#[test]
fn vlan_edits_give_the_bytes_of_the_standard() {
    let plain = tcp4();
    let mut pushed = edited(&plain, Edit::PushVlan(0x88a8));
    assert_eq!(&pushed[..18], [&MAC_B[..], &MAC_A[..], &[0x88, 0xa8, 0, 0, 8, 0]].concat());
    EDITOR.apply(&mut pushed, Edit::SetVid(0x123)).unwrap();
    EDITOR.apply(&mut pushed, Edit::SetPcp(5)).unwrap();
    assert_eq!(pushed[14..16], [0xa1, 0x23]);
    assert_eq!(edited(&pushed, Edit::PopVlan), plain);
    // The drop-eligible bit stays when id and priority are set, and is not copied to a new tag.
    pushed[14] |= 0x10;
    assert_eq!(edited(&pushed, Edit::SetVid(1))[14..16], [0xb0, 1]);
    assert_eq!(edited(&pushed, Edit::PushVlan(0x8100))[14..16], [0xa1, 0x23]);
    assert_eq!(EDITOR.apply(&mut plain.clone(), Edit::PopVlan), None);
}

#[test]
fn dec_ttl_does_not_look() {
    for (before, after) in [(64, 63), (1, 0), (0, 255)] {
        let set = edited(&tcp4(), Edit::SetTtl(before));
        let dec = edited(&set, Edit::DecTtl);
        assert_eq!((dec[22], checksums_are_right(&dec)), (after, true));
        assert_eq!(edited(&edited(&udp6(), Edit::SetTtl(before)), Edit::DecTtl)[21], after);
    }
}

#[test]
fn udp_without_checksum_stays_without_and_a_zero_sum_is_written_as_ones() {
    let mut none = udp4();
    none[40..42].fill(0);
    assert_eq!(edited(&none, Edit::SetIpv4Dst([1, 2, 3, 4]))[40..42], [0, 0]);
    // Choose the port that makes the sum 0: HC' = ~(~HC + ~m + m').
    let udp = udp4();
    let sum = u16::from_be_bytes([udp[40], udp[41]]);
    let port = u16::from_be_bytes([udp[36], udp[37]]);
    let zeroing = (u32::from(port) + u32::from(sum)) % 0xffff;
    let out = edited(&udp, Edit::SetTpDst((zeroing as u16).to_be_bytes()));
    assert_eq!(out[40..42], [0xff, 0xff]);
}

#[test]
fn later_fragments_keep_their_payload() {
    let mut later = tcp4();
    later[21] = 1;
    let out = edited(&later, Edit::SetIpv4Src([1, 2, 3, 4]));
    assert_eq!(out[34..], later[34..]);
    assert_eq!(edited(&later, Edit::SetTpSrc([1, 1])), later);
}

proptest! {
    /// Right checksums stay right, whatever is changed.
    #[test]
    fn checksums_follow(which in 0usize..4, edits in prop::collection::vec(any_edit(), 1..5)) {
        let mut frame = [tcp4(), udp4(), udp6(), tagged(9)][which].clone();
        for edit in edits {
            EDITOR.apply(&mut frame, edit);
        }
        // With more than two tags etherparse sees no network header, and nothing was changed behind them.
        prop_assert!(checksums_are_right(&frame));
    }

    /// A checksum that is wrong by some difference stays wrong by it.
    #[test]
    fn wrong_checksums_stay_wrong(delta in 1u16..0xfffe, to in any::<[u8; 4]>()) {
        let right = tcp4();
        let mut wrong = right.clone();
        let sum = |f: &[u8]| u32::from(u16::from_be_bytes([f[50], f[51]]));
        let off = ((sum(&right) + u32::from(delta)) % 0xffff) as u16;
        wrong[50..52].copy_from_slice(&off.to_be_bytes());
        let (right, wrong) = (edited(&right, Edit::SetIpv4Dst(to)), edited(&wrong, Edit::SetIpv4Dst(to)));
        prop_assert_eq!((sum(&right) + u32::from(delta)) % 0xffff, sum(&wrong) % 0xffff);
    }

    #[test]
    fn any_bytes_can_be_edited(frame in bent_frame(), edits in prop::collection::vec(any_edit(), 0..5)) {
        let mut frame = frame;
        for edit in edits {
            EDITOR.apply(&mut frame, edit);
        }
    }

    /// Setting what is there already changes nothing, not even the checksum's form.
    #[test]
    fn no_change_is_no_change(frame in bent_frame()) {
        let at = |i: usize| frame.get(i).copied().unwrap_or(0);
        if at(12) == 8 {
            prop_assert_eq!(&edited(&frame, Edit::SetIpv4Src([at(26), at(27), at(28), at(29)])), &frame);
            prop_assert_eq!(&edited(&frame, Edit::SetTtl(at(22))), &frame);
        }
    }
}
