//! How many bits masks require, by field.

use super::normalise::number;
use flow::Mask;
use flow::field::Place;
use std::collections::{BTreeMap, HashSet};

/// Number of required bits by field.
pub type Bits = BTreeMap<&'static str, u32>;

/// What is exact on both sides, or internal: not counted. Open vSwitch always matches the whole outer header of a
/// tunnel, of which we know less: what we do not know is not counted either.
const LEFT_OUT: [&str; 9] = [
    "in_port",
    "recirc_id",
    "vlan_tpid",
    "vlan1_tpid",
    "packet_type",
    "tun_tos",
    "tun_ttl",
    "tun_flags",
    "tun_gbp_flags",
];

/// Bits of our mask. Fields that share their place are counted once, under the first one's name.
pub fn our_bits(mask: &Mask) -> Bits {
    let mut taken = HashSet::new();
    let mut bits = Bits::new();
    for def in flow::field::datapath_fields() {
        let Place::Key { offset, bytes } = def.place else { continue };
        if (offset..offset + u16::from(bytes)).all(|b| taken.insert(b)) {
            let n = mask.get(def.id).0.count_ones();
            if n != 0 && !LEFT_OUT.contains(&def.name) {
                bits.insert(def.name, n);
            }
        }
    }
    bits
}

/// Bits of the mask of a megaflow as `ofproto/trace` prints it.
pub fn their_bits(megaflow: &str) -> Bits {
    let mut bits = Bits::new();
    let mut add = |name: &'static str, n: u32| *bits.entry(name).or_default() += n;
    for part in megaflow.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let masked = |width: u32| value.split_once('/').map_or(width, |(_, m)| prefix_or_mask(m, width));
        match name {
            "eth" => {}
            name if LEFT_OUT.contains(&name) => {}
            "ip" | "ipv6" | "arp" | "rarp" | "mpls" | "mplsm" | "dl_type" => add("eth_type", 16),
            "tcp" | "udp" | "sctp" | "icmp" | "tcp6" | "udp6" | "sctp6" | "icmp6" => {
                add("eth_type", 16);
                add("nw_proto", 8);
            }
            "nw_proto" | "arp_op" => add("nw_proto", 8),
            "dl_src" => add("eth_src", masked(48)),
            "dl_dst" => add("eth_dst", masked(48)),
            "vlan_tci" => add("vlan_tci", masked(16)),
            "vlan_tci1" => add("vlan1_tci", masked(16)),
            // Vlan id and priority come with the bit that says that there is a tag.
            "dl_vlan" => add("vlan_tci", 13),
            "dl_vlan1" => add("vlan1_tci", 13),
            "dl_vlan_pcp" => add("vlan_tci", if megaflow.contains("dl_vlan=") { 3 } else { 4 }),
            "dl_vlan_pcp1" => add("vlan1_tci", if megaflow.contains("dl_vlan1=") { 3 } else { 4 }),
            "nw_src" | "arp_spa" => add("nw_src", masked(32)),
            "nw_dst" | "arp_tpa" => add("nw_dst", masked(32)),
            "ipv6_src" => add("ipv6_src", masked(128)),
            "ipv6_dst" => add("ipv6_dst", masked(128)),
            "ipv6_label" => add("ipv6_label", masked(20)),
            "nw_tos" => add("nw_tos", 6),
            "nw_ecn" => add("nw_tos", 2),
            "nw_ttl" => add("nw_ttl", 8),
            "nw_frag" => add("ip_frag", 2),
            "tp_src" => add("tcp_src", masked(16)),
            "tp_dst" => add("tcp_dst", masked(16)),
            "icmp_type" => add("tcp_src", masked(8)),
            "icmp_code" => add("tcp_dst", masked(8)),
            "arp_sha" | "nd_sll" => add("arp_sha", masked(48)),
            "arp_tha" | "nd_tll" => add("arp_tha", masked(48)),
            "nd_target" => add("nd_target", masked(128)),
            // `+syn-ack`, or all of them without a sign.
            "tcp_flags" if value.starts_with(['+', '-']) => {
                add("tcp_flags", value.matches(['+', '-']).count() as u32);
            }
            "tcp_flags" => add("tcp_flags", masked(12)),
            "ct_state" => add("ct_state", value.matches(['+', '-']).count().max(1) as u32),
            "ct_zone" => add("ct_zone", masked(16)),
            "ct_mark" => add("ct_mark", masked(32)),
            "pkt_mark" => add("pkt_mark", masked(32)),
            "ct_label" => add("ct_label", masked(128)),
            "dp_hash" => add("dp_hash", masked(32)),
            "skb_priority" => add("skb_priority", masked(32)),
            "tun_id" => add("tun_id", masked(64)),
            "ct_nw_src" => add("ct_nw_src", masked(32)),
            "ct_nw_dst" => add("ct_nw_dst", masked(32)),
            "ct_nw_proto" => add("ct_nw_proto", 8),
            "ct_tp_src" => add("ct_tp_src", masked(16)),
            "ct_tp_dst" => add("ct_tp_dst", masked(16)),
            "ct_ipv6_src" | "ct_ipv6_dst" => add("ct_ipv6", masked(128)),
            "tun_ipv6_src" => add("tun_ipv6_src", masked(128)),
            "tun_ipv6_dst" => add("tun_ipv6_dst", masked(128)),
            "mpls_label" => add("mpls_label", 20),
            "mpls_tc" => add("mpls_label", 3),
            "mpls_bos" => add("mpls_label", 1),
            "mpls_ttl" => add("mpls_label", 8),
            "mpls_lse1" | "mpls_lse2" => {}
            "nd_reserved" => add("nd_reserved", masked(32)),
            "nd_options_type" => add("nd_options_type", masked(8)),
            "tun_src" => add("tun_src", masked(32)),
            "tun_dst" => add("tun_dst", masked(32)),
            other => panic!("a field that is not counted yet: {other} in {megaflow}"),
        }
    }
    bits
}

/// How many bits `/24`, `/255.0.255.0`, `/0x00ff` or `/ff:00:..` require.
fn prefix_or_mask(mask: &str, width: u32) -> u32 {
    match mask.parse::<u32>() {
        Ok(prefix) => prefix,
        Err(_) => number(mask).count_ones().min(width),
    }
}

#[test]
fn bits_of_a_megaflow_are_counted() {
    let text = "recirc_id=0,eth,tcp,in_port=1,vlan_tci=0x0000/0x1fff,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,\
                nw_src=10.0.0.0/8,nw_frag=no,tp_dst=0x50/0xfff0";
    let bits = their_bits(text);
    let want = [("eth_dst", 1), ("eth_type", 16), ("ip_frag", 2), ("nw_proto", 8), ("nw_src", 8), ("tcp_dst", 12)];
    assert_eq!(bits, want.into_iter().chain([("vlan_tci", 13)]).collect());
}
