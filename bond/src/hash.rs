//! Which bucket a packet falls into.

use flow::{FieldId, FlowKey};

/// Buckets of a bond, as in Open vSwitch.
pub const BUCKETS: usize = 256;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Source MAC and outer VLAN: all traffic of a station stays on one member, so that the switches around need no aggregation.
#[must_use]
pub fn bucket_slb(key: &FlowKey, basis: u32) -> u16 {
    let [a, b, c, d, e, f] = key.eth_src;
    let vid = if key.vlans[0].is_present() { key.vlans[0].vid() | 0x1000 } else { 0 };
    let [v, w] = vid.to_be_bytes();
    bucket(mix(seed(basis), u64::from_be_bytes([a, b, c, d, e, f, v, w])))
}

/// MACs, VLAN, addresses, protocol and ports. Of a fragmented packet, all fragments go one way: they are hashed without ports.
#[must_use]
pub fn bucket_tcp(key: &FlowKey, basis: u32) -> u16 {
    let mut hash = seed(basis);
    let mut take = |word| hash = mix(hash, word);
    let mac = |m: [u8; 6]| m.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    take(mac(key.eth_src));
    take(mac(key.eth_dst) | u64::from(key.vlans[0].tci.get() & 0x1fff) << 48);
    let eth_type = key.eth_type.get();
    let words = |a: &[u8; 16]| u128::from_be_bytes(*a);
    match eth_type {
        IPV4 => take(u64::from(key.ipv4_src.get()) << 32 | u64::from(key.ipv4_dst.get())),
        IPV6 => {
            for address in [&key.ipv6_src, &key.ipv6_dst] {
                let word = words(address);
                take(word as u64);
                take((word >> 64) as u64);
            }
        }
        _ => {
            take(u64::from(eth_type));
            return bucket(hash);
        }
    }
    take(u64::from(key.nw_proto) << 16 | u64::from(eth_type));
    if has_ports(key) {
        take(u64::from(key.tp_src.get()) << 16 | u64::from(key.tp_dst.get()));
    }
    bucket(hash)
}

/// Fields that [`bucket_slb`] looks at.
#[must_use]
pub fn fields_slb(_key: &FlowKey) -> &'static [FieldId] {
    &[FieldId::EthSrc, FieldId::VlanTci]
}

/// Fields that [`bucket_tcp`] looks at for this packet.
#[must_use]
pub fn fields_tcp(key: &FlowKey) -> &'static [FieldId] {
    use FieldId::{
        EthDst, EthSrc, EthType, IpFrag, IpProto, Ipv4Dst, Ipv4Src, Ipv6Dst, Ipv6Src, SctpDst, SctpSrc, TcpDst, TcpSrc,
        UdpDst, UdpSrc, VlanTci,
    };
    let proto = if has_ports(key) { key.nw_proto } else { 0 };
    match (key.eth_type.get(), proto) {
        (IPV4, TCP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv4Src, Ipv4Dst, IpProto, IpFrag, TcpSrc, TcpDst],
        (IPV4, UDP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv4Src, Ipv4Dst, IpProto, IpFrag, UdpSrc, UdpDst],
        (IPV4, SCTP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv4Src, Ipv4Dst, IpProto, IpFrag, SctpSrc, SctpDst],
        (IPV4, _) => &[EthSrc, EthDst, VlanTci, EthType, Ipv4Src, Ipv4Dst, IpProto, IpFrag],
        (IPV6, TCP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv6Src, Ipv6Dst, IpProto, IpFrag, TcpSrc, TcpDst],
        (IPV6, UDP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv6Src, Ipv6Dst, IpProto, IpFrag, UdpSrc, UdpDst],
        (IPV6, SCTP) => &[EthSrc, EthDst, VlanTci, EthType, Ipv6Src, Ipv6Dst, IpProto, IpFrag, SctpSrc, SctpDst],
        (IPV6, _) => &[EthSrc, EthDst, VlanTci, EthType, Ipv6Src, Ipv6Dst, IpProto, IpFrag],
        _ => &[EthSrc, EthDst, VlanTci, EthType],
    }
}

fn has_ports(key: &FlowKey) -> bool {
    key.nw_frag == 0 && matches!(key.nw_proto, TCP | UDP | SCTP)
}

fn seed(basis: u32) -> u64 {
    mix(0x9e37_79b9_7f4a_7c15, u64::from(basis))
}

/// One round: the finaliser of MurmurHash3 (public domain).
fn mix(hash: u64, word: u64) -> u64 {
    let mut x = hash.rotate_left(23) ^ word;
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

fn bucket(hash: u64) -> u16 {
    (hash % BUCKETS as u64) as u16
}
