//! Hashes over packet fields, to choose by.

use super::packet::Packet;
use flow::action::HashFields;
use flow::dp::HashSpec;
use flow::field::Prereq;
use flow::wire::ethertype;
use flow::{FieldId, Mask, Value, VlanTag};

/// A hash under way. The same on every machine and in every run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn new(basis: u64) -> Hash {
        Hash(mix(basis ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn add(&mut self, value: u128) {
        self.0 = mix(self.0 ^ mix(value as u64) ^ mix((value >> 64) as u64).rotate_left(32));
    }

    /// 32 bits of the hash and one more number.
    pub(super) fn with(&self, number: u64) -> u32 {
        (mix(self.0 ^ mix(number)) >> 32) as u32
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(v: u64) -> u64 {
    let v = v.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ v >> 31
}

/// The hash over these fields, which are looked at. Those that the packet does not have are left out.
pub(super) fn look_fields(packet: &mut Packet<'_>, fields: HashFields, basis: u64) -> Hash {
    let mut hash = Hash::new(basis);
    let symmetric = |packet: &mut Packet<'_>, hash: &mut Hash, a: FieldId, b: FieldId| {
        let (a, b) = (value(packet, a), value(packet, b));
        hash.add(a.min(b));
        hash.add(a.max(b));
    };
    let addresses = |packet: &mut Packet<'_>, hash: &mut Hash| match packet.key().eth_type.get() {
        0x0800 => symmetric(packet, hash, FieldId::Ipv4Src, FieldId::Ipv4Dst),
        0x86dd => symmetric(packet, hash, FieldId::Ipv6Src, FieldId::Ipv6Dst),
        _ => {}
    };
    match fields {
        HashFields::EthSrc => hash.add(value(packet, FieldId::EthSrc)),
        HashFields::NwSrc | HashFields::NwDst => {
            let ids = match (fields, packet.key().eth_type.get()) {
                (HashFields::NwSrc, 0x0800) => Some(FieldId::Ipv4Src),
                (HashFields::NwSrc, 0x86dd) => Some(FieldId::Ipv6Src),
                (_, 0x0800) => Some(FieldId::Ipv4Dst),
                (_, 0x86dd) => Some(FieldId::Ipv6Dst),
                _ => None,
            };
            if let Some(id) = ids {
                hash.add(value(packet, id));
            }
        }
        HashFields::SymmetricL4 => {
            symmetric(packet, &mut hash, FieldId::EthSrc, FieldId::EthDst);
            let mut tags = Mask::ANY;
            for place in &mut tags.0.vlans {
                place.tci = (VlanTag::PRESENT | 0xfff).into();
            }
            packet.look(&tags);
            for tag in packet.key().vlans {
                hash.add(u128::from(tag.tci.get() & (VlanTag::PRESENT | 0xfff)));
            }
            addresses(packet, &mut hash);
            ports(packet, &mut hash, &[6, 17, 132]);
        }
        HashFields::SymmetricL3L4 => {
            addresses(packet, &mut hash);
            ports(packet, &mut hash, &[6, 132]);
        }
        HashFields::SymmetricL3L4Udp => {
            addresses(packet, &mut hash);
            ports(packet, &mut hash, &[6, 17, 132]);
        }
        HashFields::SymmetricL3 => addresses(packet, &mut hash),
    }
    hash
}

/// The hash that the datapath would compute over the packet as it is now. What it is over is looked at.
pub(super) fn look_spec(packet: &mut Packet<'_>, spec: HashSpec) -> u32 {
    if packet.has(Prereq::Ip) {
        packet.look_at(FieldId::IpProto);
        let [src, dst] = match packet.key().eth_type.get() {
            ethertype::IPV4 => [FieldId::Ipv4Src, FieldId::Ipv4Dst],
            _ => [FieldId::Ipv6Src, FieldId::Ipv6Dst],
        };
        packet.look_at(src);
        packet.look_at(dst);
        if [Prereq::Tcp, Prereq::Udp, Prereq::Sctp].into_iter().any(|l4| packet.has(l4)) && packet.key().nw_frag == 0 {
            packet.look_at(FieldId::TcpSrc);
            packet.look_at(FieldId::TcpDst);
        }
    }
    spec.of(packet.key())
}

fn value(packet: &mut Packet<'_>, field: FieldId) -> u128 {
    packet.look_at(field);
    packet.key().get(field).unwrap_or(Value(0)).0
}

/// Protocol and, of these protocols, ports; a later fragment has none.
fn ports(packet: &mut Packet<'_>, hash: &mut Hash, protocols: &[u8]) {
    if !packet.has(Prereq::Ip) {
        return;
    }
    let proto = value(packet, FieldId::IpProto) as u8;
    hash.add(u128::from(proto));
    if protocols.contains(&proto) && packet.key().nw_frag & flow::key::frag::LATER == 0 {
        let (a, b) = (value(packet, FieldId::TcpSrc), value(packet, FieldId::TcpDst));
        hash.add(a.min(b) << 16 | a.max(b));
    }
}
