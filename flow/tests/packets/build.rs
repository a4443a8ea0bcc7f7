//! From a key and a shape to the packet that has that key, with all checksums computed from scratch: etherparse
//! writes the headers and sums, so that nothing of the code under test is used.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, SingleVlanHeader, TcpHeader, UdpHeader, VlanId,
    VlanPcp,
};
use flow::FlowKey;
use proptest::prelude::*;

/// What of a packet is not in its key.
#[derive(Clone, Debug)]
pub struct Shape {
    pub net: Net,
    /// IPv4 options, in units of 4 bytes.
    pub options: usize,
    pub extensions: Vec<Extension>,
    pub l4: Transport,
    pub fragment: Fragment,
    /// 802.3 length and SNAP instead of an ethertype.
    pub snap: bool,
    /// Whether UDP has a checksum.
    pub udp_sum: bool,
    /// What is there of tags: TPIDs.
    pub tags: Vec<u16>,
    pub payload: Vec<u8>,
    /// Bytes behind the IP packet.
    pub padding: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    Arp,
    Rarp,
    Ipv4,
    Ipv6,
    /// A stack of labels; the entries behind the outermost are the payload.
    Mpls {
        multicast: bool,
    },
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    HopByHop(u8),
    Destination(u8),
    Routing {
        left: u8,
    },
    Authentication(u8),
    /// A fragment header of a packet that is not fragmented.
    Atomic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp {
        options: u8,
    },
    Udp,
    Sctp,
    Icmp,
    /// Neighbour discovery, with the two link-layer options.
    Nd {
        source: bool,
        target: bool,
    },
    Other(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    No,
    First,
    Later,
}

/// Where L4 checksums think a packet with routing headers goes.
const FINAL_DESTINATION: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xdc, 0xba, 0x98];

pub fn shape() -> impl Strategy<Value = Shape> {
    let net = prop_oneof![
        1 => Just(Net::Arp), 1 => Just(Net::Rarp), 6 => Just(Net::Ipv4), 6 => Just(Net::Ipv6), 1 => Just(Net::Other),
        1 => any::<bool>().prop_map(|multicast| Net::Mpls { multicast })
    ];
    let extension = prop_oneof![
        (0u8..4).prop_map(Extension::HopByHop),
        (0u8..4).prop_map(Extension::Destination),
        (0u8..3).prop_map(|left| Extension::Routing { left }),
        (0u8..6).prop_map(Extension::Authentication),
        Just(Extension::Atomic),
    ];
    let l4 = prop_oneof![
        (0u8..11).prop_map(|options| Transport::Tcp { options }),
        Just(Transport::Udp),
        Just(Transport::Sctp),
        Just(Transport::Icmp),
        any::<(bool, bool)>().prop_map(|(source, target)| Transport::Nd { source, target }),
        prop_oneof![Just(2u8), Just(47), Just(50), Just(59), Just(255)].prop_map(Transport::Other),
    ];
    let fragment = prop_oneof![4 => Just(Fragment::No), 1 => Just(Fragment::First), 1 => Just(Fragment::Later)];
    let tags = prop::collection::vec(prop_oneof![Just(0x8100u16), Just(0x88a8)], 0..3);
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.8));
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    (net, 0usize..11, prop::collection::vec(extension, 0..4), l4, fragment, flags, tags, bytes(100), bytes(20))
        .prop_map(|(net, options, extensions, l4, fragment, (snap, udp_sum), tags, payload, padding)| {
            let extensions = if net == Net::Ipv6 { extensions } else { Vec::new() };
            let l4 = match (l4, net) {
                // Options of neighbour discovery are messages of IPv6, and nothing comes behind them.
                (Transport::Nd { .. }, Net::Ipv4) => Transport::Icmp,
                (l4, _) => l4,
            };
            let payload = if matches!(l4, Transport::Nd { .. }) { Vec::new() } else { payload };
            Shape { net, options, extensions, l4, fragment, snap, udp_sum, tags, payload, padding }
        })
}

/// A shape, and a key that a packet of that shape can have.
pub fn frame() -> impl Strategy<Value = (Shape, FlowKey)> {
    (shape(), any::<[[u8; 16]; 4]>(), any::<[u16; 8]>(), any::<[u8; 8]>()).prop_map(|(shape, long, words, bytes)| {
        let mut key = FlowKey::ZERO;
        key.in_port = 1.into();
        key.eth_dst.copy_from_slice(&long[0][..6]);
        key.eth_src.copy_from_slice(&long[0][6..12]);
        for ((place, tpid), tci) in key.vlans.iter_mut().zip(&shape.tags).zip(words) {
            place.tpid = (*tpid).into();
            place.tci = (tci | 0x1000).into();
        }
        key.eth_type = match shape.net {
            Net::Arp => 0x0806,
            Net::Rarp => 0x8035,
            Net::Ipv4 => 0x0800,
            Net::Ipv6 => 0x86dd,
            Net::Mpls { multicast: false } => 0x8847,
            Net::Mpls { multicast: true } => 0x8848,
            Net::Other => 0x88cc,
        }
        .into();
        match shape.net {
            Net::Arp | Net::Rarp => {
                key.nw_proto = bytes[0];
                key.arp_sha.copy_from_slice(&long[1][..6]);
                key.arp_tha.copy_from_slice(&long[1][6..12]);
            }
            Net::Ipv4 | Net::Ipv6 => {
                key.nw_tos = bytes[1];
                key.nw_ttl = bytes[2];
                key.nw_frag = match shape.fragment {
                    Fragment::No => 0,
                    Fragment::First => 1,
                    Fragment::Later => 3,
                };
                l4_key(&mut key, &shape, &long, &words, &bytes);
            }
            Net::Mpls { .. } => key.mpls_lse = (u32::from(words[2]) << 16 | u32::from(words[3])).into(),
            Net::Other => {}
        }
        if matches!(shape.net, Net::Arp | Net::Rarp | Net::Ipv4) {
            key.ipv4_src = u32::from(words[2]).wrapping_mul(0x1_0003).into();
            key.ipv4_dst = u32::from(words[3]).wrapping_mul(0x1_0007).into();
        }
        if shape.net == Net::Ipv6 {
            key.ipv6_src = long[2];
            key.ipv6_dst = long[3];
            key.ipv6_label = (u32::from(words[4]) << 4 | u32::from(bytes[3] & 0xf)).into();
        }
        (shape, key)
    })
}

fn l4_key(key: &mut FlowKey, shape: &Shape, long: &[[u8; 16]; 4], words: &[u16; 8], bytes: &[u8; 8]) {
    let v6 = shape.net == Net::Ipv6;
    key.nw_proto = protocol(shape);
    if shape.fragment == Fragment::Later {
        key.nw_proto = if v6 { 44 } else { key.nw_proto };
        return;
    }
    match shape.l4 {
        Transport::Tcp { .. } | Transport::Udp | Transport::Sctp => {
            key.tp_src = words[5].into();
            key.tp_dst = words[6].into();
            if key.nw_proto == 6 {
                // etherparse has no fields for the three bits between data offset and NS.
                key.tcp_flags = (words[7] & 0x1ff).into();
            }
        }
        Transport::Icmp => {
            // 128 and above: nothing of neighbour discovery.
            key.tp_src = u16::from(if bytes[4] == 135 || bytes[4] == 136 { 8 } else { bytes[4] }).into();
            key.tp_dst = u16::from(bytes[5]).into();
        }
        Transport::Nd { source, target } => {
            key.tp_src = if bytes[4] & 1 == 0 { 135 } else { 136 }.into();
            key.nd_target = long[1];
            key.nd_reserved = (u32::from(words[5]) << 16 | u32::from(words[6])).into();
            key.nd_options_type = if source { 1 } else { 2 * u8::from(target) };
            if source {
                key.arp_sha.copy_from_slice(&long[0][10..]);
            }
            if target {
                key.arp_tha.copy_from_slice(&long[0][..6]);
            }
        }
        Transport::Other(_) => {}
    }
}

fn protocol(shape: &Shape) -> u8 {
    match (shape.l4, shape.net) {
        (Transport::Tcp { .. }, _) => 6,
        (Transport::Udp, _) => 17,
        (Transport::Sctp, _) => 132,
        (Transport::Icmp, Net::Ipv6) | (Transport::Nd { .. }, _) => 58,
        (Transport::Icmp, _) => 1,
        (Transport::Other(proto), _) => proto,
    }
}

/// The packet of that shape with that key.
pub fn packet(shape: &Shape, key: &FlowKey) -> Vec<u8> {
    let mut eth_type = if shape.snap { 0x0040 } else { key.eth_type.get() };
    let mut tags = Vec::new();
    for (tag, tpid) in key.vlans.iter().zip(&shape.tags).rev() {
        let header = SingleVlanHeader {
            pcp: VlanPcp::try_new((tag.tci.get() >> 13) as u8).unwrap(),
            drop_eligible_indicator: false,
            vlan_id: VlanId::try_new(tag.vid()).unwrap(),
            ether_type: EtherType(eth_type),
        };
        tags.splice(0..0, header.to_bytes());
        eth_type = *tpid;
    }
    let ethernet = Ethernet2Header { source: key.eth_src, destination: key.eth_dst, ether_type: EtherType(eth_type) };
    let mut out = ethernet.to_bytes().to_vec();
    out.extend(tags);
    if shape.snap {
        out.extend([0xaa, 0xaa, 3, 0, 0, 0]);
        out.extend(key.eth_type.get().to_be_bytes());
    }
    match shape.net {
        Net::Arp | Net::Rarp => {
            out.extend([0, 1, 8, 0, 6, 4, 0, key.nw_proto]);
            out.extend(key.arp_sha);
            out.extend(key.ipv4_src.to_bytes());
            out.extend(key.arp_tha);
            out.extend(key.ipv4_dst.to_bytes());
        }
        Net::Ipv4 => out.extend(ipv4(shape, key)),
        Net::Ipv6 => out.extend(ipv6(shape, key)),
        Net::Mpls { .. } => {
            out.extend(key.mpls_lse.get().to_be_bytes());
            out.extend(&shape.payload);
        }
        Net::Other => out.extend(&shape.payload),
    }
    out.extend(&shape.padding);
    out
}

fn ipv4(shape: &Shape, key: &FlowKey) -> Vec<u8> {
    let pseudo = Sum16BitWords::new().add_slice(&key.ipv4_src.to_bytes()).add_slice(&key.ipv4_dst.to_bytes());
    let segment = segment(shape, key, pseudo);
    let mut header = Ipv4Header::new(
        segment.len() as u16,
        0,
        IpNumber(protocol(shape)),
        key.ipv4_src.to_bytes(),
        key.ipv4_dst.to_bytes(),
    )
    .unwrap();
    header.options = vec![1u8; shape.options * 4].as_slice().try_into().unwrap();
    header.set_payload_len(segment.len()).unwrap();
    header.dscp = (key.nw_tos >> 2).try_into().unwrap();
    header.ecn = (key.nw_tos & 3).try_into().unwrap();
    header.time_to_live = key.nw_ttl;
    header.identification = 0x4321;
    header.more_fragments = shape.fragment == Fragment::First;
    header.fragment_offset = if shape.fragment == Fragment::Later { 0x123 } else { 0 }.try_into().unwrap();
    header.header_checksum = header.calc_header_checksum();
    let mut out = header.to_bytes().to_vec();
    out.extend(segment);
    out
}

fn ipv6(shape: &Shape, key: &FlowKey) -> Vec<u8> {
    let routed = shape.extensions.iter().any(|e| matches!(e, Extension::Routing { left: 1.. }));
    let destination = if routed { FINAL_DESTINATION } else { key.ipv6_dst };
    let pseudo = Sum16BitWords::new().add_slice(&key.ipv6_src).add_slice(&destination);
    let mut payload = segment(shape, key, pseudo);
    let mut next = protocol(shape);
    if shape.fragment != Fragment::No {
        let fragment = if shape.fragment == Fragment::First { 1 } else { 0x123 << 3 };
        payload.splice(0..0, [next, 0, (fragment >> 8) as u8, fragment as u8, 9, 9, 9, 9]);
        next = 44;
    }
    for extension in shape.extensions.iter().rev() {
        let (kind, header) = match *extension {
            Extension::HopByHop(n) => (0, sized(next, n, (usize::from(n) + 1) * 8)),
            Extension::Destination(n) => (60, sized(next, n, (usize::from(n) + 1) * 8)),
            Extension::Authentication(n) => (51, sized(next, n, (usize::from(n) + 2) * 4)),
            Extension::Routing { left } => {
                let mut header = sized(next, 2, 24);
                header[3] = left;
                header[8..].copy_from_slice(&FINAL_DESTINATION);
                (43, header)
            }
            Extension::Atomic => (44, vec![next, 0, 0, 0, 1, 2, 3, 4]),
        };
        payload.splice(0..0, header);
        next = kind;
    }
    let header = Ipv6Header {
        traffic_class: key.nw_tos,
        flow_label: key.ipv6_label.get().try_into().unwrap(),
        payload_length: payload.len() as u16,
        next_header: IpNumber(next),
        hop_limit: key.nw_ttl,
        source: key.ipv6_src,
        destination: key.ipv6_dst,
    };
    let mut out = header.to_bytes().to_vec();
    out.extend(payload);
    out
}

fn sized(next: u8, units: u8, len: usize) -> Vec<u8> {
    let mut header = vec![0; len];
    header[..2].copy_from_slice(&[next, units]);
    header
}

/// The L4 header and what follows it, with its checksum over that and `pseudo` (addresses).
fn segment(shape: &Shape, key: &FlowKey, pseudo: Sum16BitWords) -> Vec<u8> {
    if shape.fragment == Fragment::Later {
        return shape.payload.clone();
    }
    let (src, dst) = (key.tp_src.get(), key.tp_dst.get());
    let (mut out, sum_at) = match shape.l4 {
        Transport::Tcp { options } => {
            let flags = key.tcp_flags.get();
            let flag = |bit: u16| flags & bit != 0;
            let mut tcp = TcpHeader::new(src, dst, 0x1020_3040, 0x2000);
            (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (flag(1), flag(2), flag(4), flag(8));
            (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (flag(0x10), flag(0x20), flag(0x40), flag(0x80));
            tcp.ns = flag(0x100);
            tcp.set_options_raw(&vec![1; usize::from(options) * 4]).unwrap();
            (tcp.to_bytes().to_vec(), Some(16))
        }
        Transport::Udp => {
            let length = (8 + shape.payload.len()) as u16;
            let udp = UdpHeader { source_port: src, destination_port: dst, length, checksum: 0 };
            (udp.to_bytes().to_vec(), shape.udp_sum.then_some(6))
        }
        Transport::Sctp => {
            let mut out = [src.to_be_bytes(), dst.to_be_bytes()].concat();
            out.extend([1, 2, 3, 4, 0, 0, 0, 0]);
            (out, None)
        }
        Transport::Icmp => (vec![src as u8, dst as u8, 0, 0, 1, 2, 3, 4], Some(2)),
        Transport::Nd { source, target } => {
            let mut out = vec![src as u8, dst as u8, 0, 0];
            out.extend(key.nd_reserved.get().to_be_bytes());
            out.extend(key.nd_target);
            // An option that is none of the two, before them.
            out.extend([14, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
            if source {
                out.extend([1, 1]);
                out.extend(key.arp_sha);
            }
            if target {
                out.extend([2, 1]);
                out.extend(key.arp_tha);
            }
            (out, Some(2))
        }
        Transport::Other(_) => (Vec::new(), None),
    };
    out.extend(&shape.payload);
    if let Some(at) = sum_at {
        let mut sum = Sum16BitWords::new();
        if !(shape.l4 == Transport::Icmp && shape.net == Net::Ipv4) {
            sum = pseudo.add_2bytes([0, protocol(shape)]).add_4bytes((out.len() as u32).to_be_bytes());
        }
        sum = sum.add_slice(&out);
        let sum =
            if shape.l4 == Transport::Udp { sum.to_ones_complement_with_no_zero() } else { sum.ones_complement() };
        // etherparse keeps its sums in the machine's byte order.
        out[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    }
    if shape.l4 == Transport::Sctp {
        let crc = crc32c(&out).to_le_bytes();
        out[8..12].copy_from_slice(&crc);
    }
    out
}

/// CRC-32C bit by bit.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}
