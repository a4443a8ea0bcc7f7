//! The oracle is etherparse: it reads the segments back and computes their checksums in its own way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::checksum::complete;
use crate::vnet::{GsoRequest, PartialChecksum};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// How a frame of the test is made.
#[derive(Clone, Debug)]
struct Case {
    v6: bool,
    tcp: bool,
    vlan: Option<u16>,
    /// Words of TCP options.
    options: usize,
    flags: u8,
    sequence: u32,
    id: u16,
    payload: Vec<u8>,
    size: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let headers = (any::<bool>(), any::<bool>(), proptest::option::of(0..4095u16), 0..10usize, any::<u8>());
    let numbers = (any::<u32>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 1..6000), 50..3000usize);
    (headers, numbers).prop_map(|((v6, tcp, vlan, options, flags), (sequence, id, payload, size))| Case {
        v6,
        tcp,
        vlan,
        options,
        flags,
        sequence,
        id,
        payload,
        size,
    })
}

/// The frame with right checksums, and where its L4 header and its payload are.
fn frame(case: &Case) -> (Vec<u8>, usize, usize) {
    let link = PacketBuilder::ethernet2(MAC, MAC);
    let (a4, b4, a6, b6) = ([10, 0, 0, 1], [10, 9, 8, 7], [0x20; 16], [0xfd; 16]);
    let mut out = Vec::new();
    macro_rules! finish {
        ($ip:expr) => {{
            let ip = $ip;
            if case.tcp {
                let mut header = etherparse::TcpHeader::new(1000, 2000, case.sequence, 4096);
                let options = vec![1; case.options * 4];
                header.set_options_raw(&options).unwrap();
                header.acknowledgment_number = 7;
                (header.cwr, header.ece) = (case.flags & 0x80 != 0, case.flags & 0x40 != 0);
                (header.ack, header.psh, header.fin) = (true, case.flags & 8 != 0, case.flags & 1 != 0);
                ip.tcp_header(header).write(&mut out, &case.payload).unwrap();
            } else {
                ip.udp(1000, 2000).write(&mut out, &case.payload).unwrap();
            }
        }};
    }
    let mut v4 = etherparse::Ipv4Header::new(0, 64, etherparse::ip_number::TCP, a4, b4).unwrap();
    v4.identification = case.id;
    let v4 = etherparse::IpHeaders::Ipv4(v4, etherparse::Ipv4Extensions::default());
    match (case.vlan, case.v6) {
        (None, false) => finish!(link.ip(v4)),
        (None, true) => finish!(link.ipv6(a6, b6, 64)),
        (Some(vlan), false) => finish!(link.single_vlan(vlan.try_into().unwrap()).ip(v4)),
        (Some(vlan), true) => finish!(link.single_vlan(vlan.try_into().unwrap()).ipv6(a6, b6, 64)),
    }
    let l4_at = 14 + if case.vlan.is_some() { 4 } else { 0 } + if case.v6 { 40 } else { 20 };
    let payload_at = out.len() - case.payload.len();
    (out, l4_at, payload_at)
}

fn header(case: &Case, l4_at: usize) -> VnetHeader {
    let kind = match (case.tcp, case.v6) {
        (true, false) => GsoKind::Tcp4,
        (true, true) => GsoKind::Tcp6,
        (false, _) => GsoKind::Udp,
    };
    let offset = if case.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
    VnetHeader {
        checksum: Some(PartialChecksum { start: l4_at, offset }),
        gso: Some(GsoRequest { kind, size: case.size }),
    }
}

fn segments(plan: &Plan, frame: &[u8]) -> Vec<Vec<u8>> {
    let one = |index| {
        let mut out = vec![0xee; plan.len(index)];
        plan.write(frame, index, &mut out);
        out
    };
    (0..plan.count()).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn segments_are_what_a_sender_would_have_sent(case in case()) {
        let (mut whole, l4_at, payload_at) = frame(&case);
        let header = header(&case, l4_at);
        // What the kernel leaves in the checksum's place is no business of ours.
        let place = l4_at + header.checksum.unwrap().offset;
        whole[place] ^= 0x55;
        let plan = Plan::new(&whole, &header).unwrap();
        let all = segments(&plan, &whole);
        prop_assert_eq!(all.len(), case.payload.len().div_ceil(case.size));
        let mut payload = Vec::new();
        for (index, bytes) in all.iter().enumerate() {
            let last = index + 1 == all.len();
            prop_assert!(last || bytes.len() == payload_at + case.size);
            prop_assert_eq!(&bytes[..14], &whole[..14]);
            let packet = SlicedPacket::from_ethernet(bytes).unwrap();
            let net = packet.net.clone().unwrap();
            if let NetSlice::Ipv4(ip) = &net {
                let ip = ip.header();
                prop_assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
                prop_assert_eq!(ip.identification(), case.id.wrapping_add(index as u16));
                prop_assert_eq!(usize::from(ip.total_len()), bytes.len() - (l4_at - 20));
            }
            match packet.transport.unwrap() {
                TransportSlice::Tcp(tcp) => {
                    let head = tcp.to_header();
                    let right = match &net {
                        NetSlice::Ipv4(ip) => head.calc_checksum_ipv4_raw(
                            ip.header().source(), ip.header().destination(), tcp.payload()),
                        NetSlice::Ipv6(ip) => head.calc_checksum_ipv6_raw(
                            ip.header().source(), ip.header().destination(), tcp.payload()),
                        _ => panic!("no IP"),
                    };
                    // 0 and 0xffff are one number.
                    prop_assert_eq!(head.checksum % 0xffff, right.unwrap() % 0xffff);
                    prop_assert_eq!(head.sequence_number, case.sequence.wrapping_add((index * case.size) as u32));
                    prop_assert_eq!(head.fin, last && case.flags & 1 != 0);
                    prop_assert_eq!(head.psh, last && case.flags & 8 != 0);
                    prop_assert_eq!(head.cwr, index == 0 && case.flags & 0x80 != 0);
                    prop_assert_eq!(head.ece, case.flags & 0x40 != 0);
                    payload.extend_from_slice(tcp.payload());
                }
                TransportSlice::Udp(udp) => {
                    let head = udp.to_header();
                    let right = match &net {
                        NetSlice::Ipv4(ip) => head.calc_checksum_ipv4_raw(
                            ip.header().source(), ip.header().destination(), udp.payload()),
                        NetSlice::Ipv6(ip) => head.calc_checksum_ipv6_raw(
                            ip.header().source(), ip.header().destination(), udp.payload()),
                        _ => panic!("no IP"),
                    };
                    prop_assert_eq!(head.checksum, right.unwrap());
                    prop_assert_eq!(usize::from(head.length), bytes.len() - l4_at);
                    payload.extend_from_slice(udp.payload());
                }
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(payload, case.payload);
    }

    #[test]
    fn an_unfinished_checksum_becomes_the_right_one(case in case()) {
        let (right, l4_at, _) = frame(&case);
        let checksum = header(&case, l4_at).checksum.unwrap();
        let place = l4_at + checksum.offset;
        // The pseudo-header's sum (RFC 9293, section 3.1), word by word.
        let addresses = if case.v6 { &right[l4_at - 32..l4_at] } else { &right[l4_at - 8..l4_at] };
        let mut sum: u32 = addresses.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
        sum += if case.tcp { 6 } else { 17 } + (right.len() - l4_at) as u32;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let mut frame = right.clone();
        frame[place..place + 2].copy_from_slice(&(sum as u16).to_be_bytes());
        complete(&mut frame, checksum).unwrap();
        let number = |f: &[u8]| u16::from_be_bytes([f[place], f[place + 1]]);
        prop_assert_eq!(number(&frame) % 0xffff, number(&right) % 0xffff);
        prop_assert_ne!(number(&frame), 0);
    }

    #[test]
    fn no_header_and_no_frame_makes_us_panic_or_write_elsewhere(
        header in any::<[u8; crate::vnet::LEN]>(),
        gso in proptest::sample::select(vec![0u8, 1, 4, 5, 0x81]),
        case in case(),
        cut in 0..200usize,
        noise in proptest::collection::vec((0..120usize, any::<u8>()), 0..4),
        near in any::<bool>(),
    ) {
        let (mut frame, l4_at, _) = frame(&case);
        for (at, byte) in noise {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(frame.len().saturating_sub(if near { 0 } else { cut }).max(cut.min(frame.len())));
        let mut header = header;
        header[0] |= 1;
        header[1] = gso;
        if near {
            // Almost right: the checks behind the first are reached too.
            header[6..8].copy_from_slice(&(l4_at as u16).to_ne_bytes());
            header[8..10].copy_from_slice(&(if case.tcp { 16u16 } else { 6 }).to_ne_bytes());
        }
        let header = VnetHeader::parse(&header).unwrap();
        if let Some(checksum) = header.checksum {
            let mut copy = frame.clone();
            let done = complete(&mut copy, checksum);
            prop_assert_eq!(done.is_ok(), checksum.start + checksum.offset + 2 <= frame.len());
        }
        if let Ok(plan) = Plan::new(&frame, &header) {
            prop_assert!(plan.count() <= MAX_SEGMENTS);
            let all = segments(&plan, &frame);
            let bytes: usize = all.iter().map(|s| s.len() - plan.payload_at).sum();
            prop_assert_eq!(bytes, frame.len() - plan.payload_at);
        }
    }
}

#[test]
fn tunnels_and_tiny_segments_are_refused() {
    let case = Case {
        v6: false,
        tcp: true,
        vlan: None,
        options: 3,
        flags: 0,
        sequence: 1,
        id: 1,
        payload: vec![0; 5000],
        size: 1000,
    };
    let (frame, l4_at, _) = frame(&case);
    let good = header(&case, l4_at);
    assert!(Plan::new(&frame, &good).is_ok());
    let gso = |kind, size| VnetHeader { gso: Some(GsoRequest { kind, size }), ..good };
    let inner = VnetHeader { checksum: Some(PartialChecksum { start: l4_at + 50, offset: 16 }), ..good };
    for (header, error) in [
        (gso(GsoKind::Tcp6, 1000), SegmentError::Unsupported),
        (gso(GsoKind::Udp, 1000), SegmentError::Unsupported),
        (gso(GsoKind::Tcp4, 0), SegmentError::Inconsistent),
        (gso(GsoKind::Tcp4, 2), SegmentError::Inconsistent),
        (inner, SegmentError::Unsupported),
        (VnetHeader { checksum: None, ..good }, SegmentError::Inconsistent),
    ] {
        assert_eq!(Plan::new(&frame, &header).unwrap_err(), error, "{header:?}");
    }
}
