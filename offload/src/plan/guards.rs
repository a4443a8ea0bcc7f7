//! Rules above the main rule that leave some of its packets to software.

use super::add;
use super::matching::allows;
use crate::caps::{DecTtl, TransferCaps};
use crate::refusal::{Refusal, Refusals};
use crate::rule::{Bits, HwMatch, L3Match, RuleRole};
use flow::FieldId;
use smallvec::SmallVec;

/// 01:80:c2:00:00:00 to 0f: reserved by IEEE 802.1Q, table 8-1, for protocols that never cross a bridge.
const RESERVED: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];
const RESERVED_MASK: [u8; 6] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xf0];

/// The guards of a main rule with this match. `decrements`: it decrements the TTL that the packet came with. `counts`: it counts
/// packets that it drops.
pub(super) fn needed(
    main: &HwMatch,
    decrements: bool,
    counts: bool,
    caps: &TransferCaps,
    refused: &mut Refusals,
) -> SmallVec<[(RuleRole, HwMatch); 2]> {
    let mut out = SmallVec::new();
    match reserved(main) {
        Covers::None => {}
        Covers::Some(guard)
            if caps.can_guard() && allows(caps.fields.get(FieldId::EthDst), &guard.eth_dst.mask, 48) =>
        {
            out.push((RuleRole::ReservedGuard, guard));
        }
        Covers::Some(_) | Covers::All => add(refused, Refusal::Reserved),
    }
    if decrements {
        match expiring(main) {
            Covers::None => {}
            Covers::All => add(refused, Refusal::TtlExpires),
            Covers::Some(_) if counts && caps.dec_ttl == DecTtl::DropsExpired => {}
            Covers::Some(guard) if caps.can_guard() && ttl_mask_allowed(&guard, caps) => {
                out.push((RuleRole::TtlGuard, guard));
            }
            Covers::Some(_) => add(refused, Refusal::NoGuard),
        }
    }
    out
}

/// How much of a match software has to see.
enum Covers {
    None,
    Some(HwMatch),
    All,
}

fn reserved(main: &HwMatch) -> Covers {
    let Bits { value, mask } = main.eth_dst;
    let mut inside = true;
    for i in 0..6 {
        if (value[i] ^ RESERVED[i]) & mask[i] & RESERVED_MASK[i] != 0 {
            return Covers::None;
        }
        inside &= mask[i] & RESERVED_MASK[i] == RESERVED_MASK[i];
    }
    if inside {
        return Covers::All;
    }
    let mut guard = *main;
    for i in 0..6 {
        guard.eth_dst.value[i] |= RESERVED[i];
        guard.eth_dst.mask[i] |= RESERVED_MASK[i];
    }
    Covers::Some(guard)
}

/// TTL 0 or 1.
fn expiring(main: &HwMatch) -> Covers {
    let mut guard = *main;
    let (L3Match::Ipv4 { ttl, .. } | L3Match::Ipv6 { ttl, .. }) = &mut guard.l3 else {
        return Covers::None;
    };
    if ttl.value & 0xfe != 0 {
        return Covers::None;
    }
    if ttl.mask & 0xfe == 0xfe {
        return Covers::All;
    }
    ttl.mask |= 0xfe;
    Covers::Some(guard)
}

fn ttl_mask_allowed(guard: &HwMatch, caps: &TransferCaps) -> bool {
    match &guard.l3 {
        L3Match::Ipv4 { ttl, .. } | L3Match::Ipv6 { ttl, .. } => {
            allows(caps.fields.get(FieldId::IpTtl), &[ttl.mask], 8)
        }
        L3Match::None | L3Match::Arp { .. } => false,
    }
}
