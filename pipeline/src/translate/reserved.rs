//! The addresses 01:80:c2:00:00:00 to 01:80:c2:00:00:0f (IEEE 802.1D, table 7-10): LACP, LLDP, spanning tree.
//!
//! Packets to them always reach the slow path: their translations are not kept, and no kept mask may cover one. A
//! kept mask has to require at least one bit of `eth_dst` in which its packet differs from all sixteen. When the
//! translation has looked at such a bit anyway, nothing is added. Otherwise bits are looked at in a fixed order, up
//! to the first that differs: the group bit, which settles it for every unicast address, then from the top. An order
//! common to all packets keeps masks disjoint, which "any one differing bit" would not.

use flow::{FieldId, Mask, Value};

const RESERVED: u64 = 0x0180_c200_0000;
/// The bits that all sixteen have in common.
const COMMON: u64 = 0xffff_ffff_fff0;
const GROUP: u64 = 0x0100_0000_0000;

fn number(mac: [u8; 6]) -> u64 {
    mac.iter().fold(0, |v, b| v << 8 | u64::from(*b))
}

pub(super) fn is_reserved(mac: [u8; 6]) -> bool {
    number(mac) & COMMON == RESERVED
}

/// Make `mask`, of a packet to `came_to`, tell it from packets to reserved addresses.
pub(super) fn exclude(mask: &mut Mask, came_to: [u8; 6]) {
    let differs = (number(came_to) ^ RESERVED) & COMMON;
    let had = number(mask.0.eth_dst);
    if had & differs != 0 {
        return;
    }
    if differs & GROUP != 0 {
        mask.0.eth_dst[0] |= 1;
        return;
    }
    // All bits from the top down to the first that differs; to the last common one for a reserved address.
    let first = if differs == 0 { 4 } else { 63 - differs.leading_zeros() };
    let bits = GROUP | COMMON & (u64::MAX << first);
    mask.require_bits(FieldId::EthDst.def(), Value::from(bits));
}
