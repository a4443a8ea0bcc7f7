//! The short way for most packets: TCP or UDP in whole IPv4 or IPv6 packets without extension headers, up to two tags.

use crate::key::FlowKey;
use crate::wire::{ETHERNET_LEN, VLAN_LEN, ethertype, ip_proto};
use std::mem::offset_of;

/// A word of the key, from bytes in memory order: the first is the lowest.
macro_rules! word {
    ($key:expr, $field:ident) => {
        $key[offset_of!(FlowKey, $field) / 8]
    };
}

/// The six bytes of an address, lowest first.
const ADDRESS: u64 = (1 << 48) - 1;

/// As [`super::extract_into`] for packets without stripped tags, if it is a usual one; `false` (and anything in the
/// words of `key` that are written) if not. Of `key`, it writes the words from the Ethernet addresses to the TCP
/// flags, all of them, and leaves the others alone: those before are metadata, those behind must be zero.
#[inline(always)]
#[must_use]
pub fn extract_usual(key: &mut FlowKey, head: &[u8], total_len: usize) -> bool {
    match plain_words(head, total_len) {
        Some(plain) => {
            put_plain(key, plain);
            true
        }
        None => less_usual(key, head, total_len).is_some(),
    }
}

/// Ethernet, IPv4 and TCP headers without tags and options.
const PLAIN: usize = ETHERNET_LEN + 20 + 20;

/// Where [`plain_words`] belong in a key.
pub const PLAIN_WORDS: [usize; 6] = [
    offset_of!(FlowKey, eth_dst) / 8,
    offset_of!(FlowKey, eth_src) / 8,
    offset_of!(FlowKey, vlans) / 8,
    offset_of!(FlowKey, nw_proto) / 8,
    offset_of!(FlowKey, ipv4_src) / 8,
    offset_of!(FlowKey, tp_src) / 8,
];

/// As [`extract_usual`], for TCP and UDP in IPv4 without tags and options, most of what there is: the words at [`PLAIN_WORDS`] of a
/// key, all others that [`extract_usual`] writes being zero. In registers, for who hashes them at once.
#[inline(always)]
#[must_use]
pub fn plain_words(head: &[u8], total_len: usize) -> Option<[u64; 6]> {
    let front: &[u8; PLAIN] = head.first_chunk()?;
    let is_ipv4 = u16::from_be_bytes([front[12], front[13]]) == ethertype::IPV4 && front[14] & 0xf == 5;
    let length = usize::from(u16::from_be_bytes([front[16], front[17]]));
    let fragment = u16::from_be_bytes([front[20], front[21]]) & 0x3fff;
    // An Ethernet header is there.
    if !is_ipv4 || fragment != 0 || length > total_len.wrapping_sub(ETHERNET_LEN) {
        return None;
    }
    let mut transport = u64::from(u32::from_le_bytes([front[34], front[35], front[36], front[37]]));
    match front[23] {
        ip_proto::UDP if length >= 28 => {}
        ip_proto::TCP if length >= 40 && (20..=length - 20).contains(&(usize::from(front[46] >> 4) * 4)) => {
            transport |= u64::from(front[46] & 0xf) << 32 | u64::from(front[47]) << 40;
        }
        _ => return None,
    }
    let protocol = u64::from(front[23]) | u64::from(front[15]) << 8 | u64::from(front[22]) << 16;
    let [high, low] = ethertype::IPV4.to_be_bytes();
    let dst = le64(front, 0) & ADDRESS | u64::from(u16::from_le_bytes([high, low])) << 48;
    Some([dst, le64(front, 6) & ADDRESS, 0, protocol, le64(front, 26), transport].map(u64::from_le))
}

/// Write [`plain_words`] into a key, and zero into the others that [`extract_usual`] writes.
#[inline(always)]
pub fn put_plain(key: &mut FlowKey, plain: [u64; 6]) {
    let words = key.words_mut();
    let ipv6 = offset_of!(FlowKey, ipv6_src) / 8;
    words[ipv6] = [0; 8];
    words[ipv6 + 1] = [0; 8];
    words[ipv6 + 2] = [0; 8];
    words[ipv6 + 3] = [0; 8];
    words[PLAIN_WORDS[0]] = plain[0].to_ne_bytes();
    words[PLAIN_WORDS[1]] = plain[1].to_ne_bytes();
    words[PLAIN_WORDS[2]] = plain[2].to_ne_bytes();
    words[PLAIN_WORDS[3]] = plain[3].to_ne_bytes();
    words[PLAIN_WORDS[4]] = plain[4].to_ne_bytes();
    words[PLAIN_WORDS[5]] = plain[5].to_ne_bytes();
}

/// [`extract_usual`] of the rest.
#[inline(never)]
fn less_usual(key: &mut FlowKey, head: &[u8], total_len: usize) -> Option<()> {
    let ethernet: &[u8; ETHERNET_LEN] = head.first_chunk()?;
    let words = key.words_mut();
    let (low, high) = (le64(ethernet, 0), le64(ethernet, 6));
    word!(words, eth_src) = (high & ADDRESS).to_le_bytes();
    let dst = low & ADDRESS;
    let eth_type = [ethernet[12], ethernet[13]];
    match u16::from_be_bytes(eth_type) {
        kind if !ethertype::is_vlan(kind) => {
            word!(words, vlans) = [0; 8];
            network::<ETHERNET_LEN>(words, head, total_len, dst, eth_type)
        }
        _ => tagged(words, head, total_len, dst),
    }
}

/// The words of addresses, ethertype and fragment bits of an untagged packet that begins with `head`, if it is one of those whose
/// fragment bits are easily seen to be zero.
#[inline(always)]
#[must_use]
pub fn link_words(head: &[u8]) -> Option<[u64; 2]> {
    let head: &[u8; 22] = head.first_chunk()?;
    let eth_type = u16::from_le_bytes([head[12], head[13]]);
    let whole = match u16::from_be(eth_type) {
        ethertype::IPV4 => u16::from_be_bytes([head[20], head[21]]) & 0x3fff == 0,
        ethertype::IPV6 => matches!(head[20], ip_proto::TCP | ip_proto::UDP | ip_proto::ICMPV6),
        other => other >= ethertype::MIN && !ethertype::is_vlan(other),
    };
    let dst = le64(head, 0) & ADDRESS | u64::from(eth_type) << 48;
    whole
        .then_some([u64::from_ne_bytes(dst.to_le_bytes()), u64::from_ne_bytes((le64(head, 6) & ADDRESS).to_le_bytes())])
}

/// Ethernet and IPv4 headers without tags and options.
const NEAR: usize = ETHERNET_LEN + 20;

/// Where [`near_words`] belong in a key.
pub const NEAR_WORDS: [usize; 3] = [PLAIN_WORDS[0], PLAIN_WORDS[1], PLAIN_WORDS[4]];

/// The words of addresses, ethertype and fragment bits, and of IPv4 addresses, of a whole IPv4 packet without tags and options, of
/// any protocol.
#[inline(always)]
#[must_use]
pub fn near_words(head: &[u8], total_len: usize) -> Option<[u64; 3]> {
    let front: &[u8; NEAR] = head.first_chunk()?;
    let is_ipv4 = u16::from_be_bytes([front[12], front[13]]) == ethertype::IPV4 && front[14] & 0xf == 5;
    let length = usize::from(u16::from_be_bytes([front[16], front[17]]));
    let fragment = u16::from_be_bytes([front[20], front[21]]) & 0x3fff;
    // Both headers are there.
    if !is_ipv4 || fragment != 0 || !(NEAR - ETHERNET_LEN..=total_len.wrapping_sub(ETHERNET_LEN)).contains(&length) {
        return None;
    }
    let [high, low] = ethertype::IPV4.to_be_bytes();
    let dst = le64(front, 0) & ADDRESS | u64::from(u16::from_le_bytes([high, low])) << 48;
    Some([dst, le64(front, 6) & ADDRESS, le64(front, 26)].map(u64::from_le))
}

/// The words of a key that [`extract_usual`] writes.
pub const USUAL_WORDS: std::ops::Range<usize> = LINK_WORDS[0]..LINK_WORDS[0] + 10;

/// Where [`link_words`] belong in a key.
pub const LINK_WORDS: [usize; 2] = [offset_of!(FlowKey, eth_dst) / 8, offset_of!(FlowKey, eth_src) / 8];

fn tagged(words: &mut Words, head: &[u8], total_len: usize, dst: u64) -> Option<()> {
    const ONE: usize = ETHERNET_LEN + VLAN_LEN;
    const TWO: usize = ONE + VLAN_LEN;
    let &[p0, p1, c0, c1, t0, t1] = head.get(ETHERNET_LEN - 2..)?.first_chunk()?;
    if !ethertype::is_vlan(u16::from_be_bytes([t0, t1])) {
        word!(words, vlans) = u64::from(u32::from_le_bytes([p0, p1, c0 | 0x10, c1])).to_le_bytes();
        return network::<ONE>(words, head, total_len, dst, [t0, t1]);
    }
    let &[d0, d1, i0, i1] = head.get(ONE..)?.first_chunk()?;
    word!(words, vlans) = u64::from_le_bytes([p0, p1, c0 | 0x10, c1, t0, t1, d0 | 0x10, d1]).to_le_bytes();
    network::<TWO>(words, head, total_len, dst, [i0, i1])
}

type Words = [[u8; 8]; crate::key::KEY_WORDS];

#[inline(always)]
fn network<const AT: usize>(
    words: &mut Words,
    head: &[u8],
    total_len: usize,
    dst: u64,
    eth_type: [u8; 2],
) -> Option<()> {
    word!(words, eth_dst) = (dst | u64::from(u16::from_le_bytes(eth_type)) << 48).to_le_bytes();
    match u16::from_be_bytes(eth_type) {
        ethertype::IPV4 => ipv4::<AT>(words, head, total_len),
        ethertype::IPV6 => ipv6::<AT>(words, head, total_len),
        _ => None,
    }
}

#[inline(always)]
fn ipv4<const AT: usize>(words: &mut Words, head: &[u8], total_len: usize) -> Option<()> {
    // With a UDP header.
    let ip: &[u8; 28] = head.get(AT..)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
    if ip[0] & 0xf != 5 || fragment != 0 || length > total_len.checked_sub(AT)? {
        return None;
    }
    let proto = ip[9];
    word!(words, nw_proto) = (u64::from(proto) | u64::from(ip[1]) << 8 | u64::from(ip[8]) << 16).to_le_bytes();
    word!(words, ipv4_src) = le64(ip, 12).to_le_bytes();
    let at = offset_of!(FlowKey, ipv6_src) / 8;
    words[at] = [0; 8];
    words[at + 1] = [0; 8];
    words[at + 2] = [0; 8];
    words[at + 3] = [0; 8];
    transport(words, head.get(AT + 20..)?, proto, length.checked_sub(20)?)
}

#[inline(always)]
fn ipv6<const AT: usize>(words: &mut Words, head: &[u8], total_len: usize) -> Option<()> {
    // With a UDP header.
    let ip: &[u8; 48] = head.get(AT..)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    if length > total_len.checked_sub(AT + 40)? {
        return None;
    }
    let proto = ip[6];
    let class = ip[0] << 4 | ip[1] >> 4;
    let label = u64::from(u32::from_le_bytes([0, ip[1] & 0xf, ip[2], ip[3]]));
    let first = u64::from(proto) | u64::from(class) << 8 | u64::from(ip[7]) << 16;
    word!(words, nw_proto) = (first | label << 32).to_le_bytes();
    word!(words, ipv4_src) = [0; 8];
    let at = offset_of!(FlowKey, ipv6_src) / 8;
    words[at] = le64(ip, 8).to_le_bytes();
    words[at + 1] = le64(ip, 16).to_le_bytes();
    words[at + 2] = le64(ip, 24).to_le_bytes();
    words[at + 3] = le64(ip, 32).to_le_bytes();
    transport(words, head.get(AT + 40..)?, proto, length)
}

/// `l4` has the 8 bytes of a UDP header at least; `len` bytes of it are the packet's.
#[inline(always)]
fn transport(words: &mut Words, l4: &[u8], proto: u8, len: usize) -> Option<()> {
    let &[s0, s1, d0, d1] = l4.first_chunk()?;
    let (mut hi, mut lo) = (0, 0);
    match proto {
        ip_proto::UDP if len >= 8 => {}
        ip_proto::TCP if len >= 20 => {
            let tcp: &[u8; 20] = l4.first_chunk()?;
            let header = usize::from(tcp[12] >> 4) * 4;
            if !(20..=len).contains(&header) {
                return None;
            }
            (hi, lo) = (tcp[12] & 0xf, tcp[13]);
        }
        _ => return None,
    }
    // One store: bytes stored one by one cannot be loaded as a word at once.
    let ports = u64::from(u32::from_le_bytes([s0, s1, d0, d1]));
    word!(words, tp_src) = (ports | u64::from(hi) << 32 | u64::from(lo) << 40).to_le_bytes();
    Some(())
}

/// Eight bytes, the first one lowest.
#[inline(always)]
fn le64(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|b| b.first_chunk()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => 0,
    }
}

const _: () = {
    // What is written are all words from the addresses to the TCP flags, and they are words as assumed.
    assert!(offset_of!(FlowKey, eth_src) / 8 == offset_of!(FlowKey, eth_dst) / 8 + 1);
    assert!(offset_of!(FlowKey, nw_frag) / 8 == offset_of!(FlowKey, eth_src) / 8);
    assert!(offset_of!(FlowKey, vlans) / 8 == offset_of!(FlowKey, eth_src) / 8 + 1);
    assert!(offset_of!(FlowKey, nw_proto) / 8 == offset_of!(FlowKey, vlans) / 8 + 1);
    assert!(offset_of!(FlowKey, nw_proto) % 8 == 0 && offset_of!(FlowKey, ipv6_label) % 8 == 4);
    assert!(offset_of!(FlowKey, ipv4_src) / 8 == offset_of!(FlowKey, nw_proto) / 8 + 1);
    assert!(offset_of!(FlowKey, ipv6_src) / 8 == offset_of!(FlowKey, ipv4_src) / 8 + 1);
    assert!(offset_of!(FlowKey, tp_src) / 8 == offset_of!(FlowKey, ipv6_src) / 8 + 4);
    assert!(offset_of!(FlowKey, tcp_flags) % 8 == 4);
    assert!(offset_of!(FlowKey, tp_src) / 8 + 1 == USUAL_WORDS.end);
};
