//! The hashes of [`DpAction::Hash`](super::DpAction::Hash): the same on every machine and in every run.

use super::{HashAlgorithm, HashSpec};
use crate::key::FlowKey;
use crate::wire::{ethertype, ip_proto};

impl HashSpec {
    /// The hash of a packet with this key; never 0, which says that there is none.
    ///
    /// It is over IP addresses, protocol and the ports of TCP, UDP and SCTP. All fragments of a packet have one hash: ports
    /// count in none of them. Packets that are not IP have one hash, as in OVS.
    /// [`HashAlgorithm::SymmetricL4`] does not change when source and destination are exchanged.
    #[must_use]
    pub fn of(&self, key: &FlowKey) -> u32 {
        let (mut src, mut dst) = match key.eth_type.get() {
            ethertype::IPV4 => (u128::from(key.ipv4_src.get()), u128::from(key.ipv4_dst.get())),
            ethertype::IPV6 => (u128::from_be_bytes(key.ipv6_src), u128::from_be_bytes(key.ipv6_dst)),
            _ => return finish(u64::from(self.basis)),
        };
        let ports = matches!(key.nw_proto, ip_proto::TCP | ip_proto::UDP | ip_proto::SCTP) && key.nw_frag == 0;
        let (mut sport, mut dport) = if ports { (key.tp_src.get(), key.tp_dst.get()) } else { (0, 0) };
        if self.algorithm == HashAlgorithm::SymmetricL4 && (src, sport) > (dst, dport) {
            (src, dst, sport, dport) = (dst, src, dport, sport);
        }
        let l4 = u64::from(key.nw_proto) << 32 | u64::from(sport) << 16 | u64::from(dport);
        let words = [(src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64, l4];
        finish(words.into_iter().fold(u64::from(self.basis), mix))
    }
}

/// Multiply and fold; the constants are those of splitmix64.
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xbf58_476d_1ce4_e5b9;
    (product as u64) ^ (product >> 64) as u64
}

fn finish(hash: u64) -> u32 {
    let hash = mix(hash, 0x94d0_49bb_1331_11eb);
    let hash = (hash ^ hash >> 32) as u32;
    if hash == 0 { 1 } else { hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(src: u32, dst: u32, sport: u16, dport: u16) -> FlowKey {
        let mut key = FlowKey::ZERO;
        key.eth_type = ethertype::IPV4.into();
        key.nw_proto = ip_proto::UDP;
        (key.ipv4_src, key.ipv4_dst) = (src.into(), dst.into());
        (key.tp_src, key.tp_dst) = (sport.into(), dport.into());
        key
    }

    const L4: HashSpec = HashSpec { algorithm: HashAlgorithm::L4, basis: 0 };
    const SYMMETRIC: HashSpec = HashSpec { algorithm: HashAlgorithm::SymmetricL4, basis: 0 };

    #[test]
    fn hashes_are_these_everywhere() {
        let key = key(0x0a00_0001, 0x0a00_0002, 1000, 53);
        let hashes = [L4.of(&key), SYMMETRIC.of(&key), HashSpec { basis: 1, ..L4 }.of(&key), L4.of(&FlowKey::ZERO)];
        assert_eq!(hashes, [1_500_017_035, 1_500_017_035, 3_630_369_917, 3_846_261_681]);
    }

    #[test]
    fn a_symmetric_hash_knows_no_direction_and_the_other_does() {
        for i in 0..1000u32 {
            let (src, dst) = (i * 7919, 0x0a00_0000 | i);
            let (there, back) = (key(src, dst, i as u16, 80), key(dst, src, 80, i as u16));
            assert_eq!(SYMMETRIC.of(&there), SYMMETRIC.of(&back));
            assert!(L4.of(&there) != L4.of(&back) || there == back);
        }
    }

    #[test]
    fn every_field_counts_and_fragments_stay_together() {
        let base = key(1, 2, 3, 4);
        let others = [key(9, 2, 3, 4), key(1, 9, 3, 4), key(1, 2, 9, 4), key(1, 2, 3, 9)];
        assert!(others.iter().all(|other| L4.of(other) != L4.of(&base) && SYMMETRIC.of(other) != SYMMETRIC.of(&base)));
        let (mut first, mut later) = (base, key(1, 2, 0, 0));
        first.nw_frag = crate::key::frag::ANY;
        later.nw_frag = crate::key::frag::ANY | crate::key::frag::LATER;
        assert_eq!(L4.of(&first), L4.of(&later));
        let mut icmp = base;
        icmp.nw_proto = ip_proto::ICMP;
        let mut reply = icmp;
        reply.tp_src = 0.into();
        assert_eq!(L4.of(&icmp), L4.of(&reply));
    }

    /// Sixteen buckets of 4,096 flows: each within a third of its share.
    #[test]
    fn low_bits_spread_evenly() {
        for spec in [L4, SYMMETRIC] {
            let mut buckets = [0u32; 16];
            for i in 0..4096u32 {
                buckets[spec.of(&key(0x0a00_0000 | (i % 64), 0x0a01_0000 | (i / 64), 1024, 80)) as usize % 16] += 1;
            }
            assert!(buckets.iter().all(|n| (171..=341).contains(n)), "{spec:?} {buckets:?}");
        }
    }
}
