//! Which masks of a port can match a packet at all, found out without looking into their hash tables.
//!
//! Masks are combinations of few parts: this prefix length of the source with that of the destination, with a port or
//! without. A *part* is what masks want of 32 bits of the key. For each there is a set of the values that flows have there,
//! and a packet is compared with each part once; a mask of which some part has no flow with the packet's value is passed over. With
//! hundreds of masks a packet is left with a few. OVS does as much for address prefixes, with tries (lib/classifier.c).
//!
//! The sets count by hash: one may say that there is a value when there is none, never the other way.

use crate::arena::WINDOW;
use crate::window;
use flow::{FlowKey, Mask};

/// Halves of the words of the window.
const HALVES: usize = 2 * WINDOW;
/// Parts that are told apart; further ones are taken as matching.
const PARTS: usize = 64;
/// Counters of a set.
const VALUES: usize = 1 << 14;

/// A set of parts, as bits.
pub(super) type Parts = u64;

/// What some masks want of one half of a word.
#[derive(Debug)]
struct Part {
    half: usize,
    bits: u32,
    /// Masks with this part; 0: nobody's.
    masks: u32,
    /// How many flows have a value with this hash. Those that reached the most stay there.
    flows: Box<[u8; VALUES]>,
}

impl Part {
    #[inline(always)]
    fn place(&self, halves: &[u32; HALVES]) -> usize {
        let value = halves[self.half % HALVES] & self.bits;
        (u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50) as usize % VALUES
    }
}

/// The parts of a port's masks.
#[derive(Debug, Default)]
pub(super) struct Filter {
    parts: Vec<Part>,
}

/// The window of a key in halves.
#[inline(always)]
fn halves(key: &FlowKey) -> [u32; HALVES] {
    let mut halves = [0; HALVES];
    for (place, word) in halves.chunks_exact_mut(2).zip(window::words(key)) {
        (place[0], place[1]) = (word as u32, (word >> 32) as u32);
    }
    halves
}

impl Filter {
    /// The parts of a mask that will have flows.
    pub(super) fn begin(&mut self, mask: &Mask) -> Parts {
        let mut parts = 0;
        for (half, bits) in halves(&mask.0).into_iter().enumerate().filter(|(_, bits)| *bits != 0) {
            let known = self.parts.iter().position(|part| part.masks > 0 && part.half == half && part.bits == bits);
            let at = known.or_else(|| self.make(half, bits));
            if let Some((at, part)) = at.and_then(|at| Some((at, self.parts.get_mut(at)?))) {
                part.masks += 1;
                parts |= 1 << at;
            }
        }
        parts
    }

    fn make(&mut self, half: usize, bits: u32) -> Option<usize> {
        if let Some(at) = self.parts.iter().position(|part| part.masks == 0) {
            let part = self.parts.get_mut(at)?;
            (part.half, part.bits) = (half, bits);
            part.flows.fill(0);
            return Some(at);
        }
        if self.parts.len() == PARTS {
            return None;
        }
        // Zeroed where it is to stay.
        let flows = vec![0; VALUES].into_boxed_slice().try_into().ok()?;
        self.parts.push(Part { half, bits, masks: 0, flows });
        Some(self.parts.len() - 1)
    }

    /// A mask with these parts has no flows any more.
    pub(super) fn end(&mut self, parts: Parts) {
        for (_, part) in self.parts.iter_mut().enumerate().filter(|(at, _)| parts >> at & 1 == 1) {
            part.masks -= 1;
        }
        // 16 KiB each. Those before one that is used keep their places.
        while self.parts.last().is_some_and(|part| part.masks == 0) {
            self.parts.pop();
        }
    }

    /// A mask with these parts has a flow with this key.
    pub(super) fn add(&mut self, parts: Parts, key: &FlowKey) {
        self.each(parts, key, |flows| *flows = flows.saturating_add(1));
    }

    /// It has one no longer.
    pub(super) fn take_out(&mut self, parts: Parts, key: &FlowKey) {
        // One that reached the most is no count any more.
        self.each(parts, key, |flows| *flows -= u8::from(*flows > 0 && *flows < u8::MAX));
    }

    fn each(&mut self, parts: Parts, key: &FlowKey, change: impl Fn(&mut u8)) {
        if parts == 0 {
            return;
        }
        let halves = halves(key);
        for (at, part) in self.parts.iter_mut().enumerate() {
            if parts >> at & 1 == 1 {
                let place = part.place(&halves);
                change(&mut part.flows[place]);
            }
        }
    }

    /// The parts that no flow has with the values of this packet.
    #[inline]
    pub(super) fn missing(&self, key: &FlowKey) -> Parts {
        if self.parts.is_empty() {
            return 0;
        }
        let halves = halves(key);
        let mut missing = 0;
        for (at, part) in self.parts.iter().enumerate().take(PARTS) {
            missing |= u64::from(part.flows[part.place(&halves)] == 0) << at;
        }
        missing
    }
}

/// The parts of each subtable, in the order of subtables.
pub(super) type Wanted = Vec<Parts>;

/// As many masks as are looked into without being asked: parts would cost more than they save.
pub(super) const ALWAYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use flow::{FieldId, Value};
    use proptest::prelude::*;

    fn mask(dst: u32, port: bool) -> Mask {
        let mut mask = Mask::ANY;
        let ones = u128::from(u32::MAX << (31 - dst % 32));
        mask.require_bits(FieldId::Ipv4Dst.def(), Value(ones));
        if port {
            mask.require(FieldId::UdpDst);
        }
        mask
    }

    fn key((dst, port): (u32, u16)) -> FlowKey {
        let mut key = FlowKey::ZERO;
        key.ipv4_dst = (dst << 24 | dst).into();
        key.tp_dst = port.into();
        key
    }

    proptest! {
        #[test]
        fn a_mask_with_a_flow_that_matches_is_never_passed_over(
            flows in prop::collection::vec((0u32..40, any::<bool>(), (0u32..20, 0u16..20), any::<bool>()), 1..100),
            packets in prop::collection::vec((0u32..20, 0u16..20), 1..40),
        ) {
            let mut filter = Filter::default();
            let mut live = Vec::new();
            for (dst, port, of, stays) in flows {
                let mask = mask(dst, port);
                let parts = filter.begin(&mask);
                let flow = key(of).masked(&mask);
                filter.add(parts, &flow);
                if stays {
                    live.push((mask, parts, flow));
                } else {
                    filter.take_out(parts, &flow);
                    filter.end(parts);
                }
            }
            for packet in packets.into_iter().map(key) {
                let missing = filter.missing(&packet);
                for (mask, parts, flow) in &live {
                    if packet.masked(mask) == *flow {
                        prop_assert_eq!(parts & missing, 0);
                    }
                }
            }
            for (_, parts, flow) in &live {
                filter.take_out(*parts, flow);
            }
            prop_assert!(filter.parts.iter().all(|part| part.flows.iter().all(|n| *n == 0)));
            for (_, parts, _) in live {
                filter.end(parts);
            }
            prop_assert!(filter.parts.is_empty());
        }
    }

    #[test]
    fn masks_without_a_flow_for_the_packet_are_passed_over() {
        let mut filter = Filter::default();
        let masks: Vec<_> = (0..16).flat_map(|n| [(2 * n, false), (2 * n, true)]).collect();
        let parts: Vec<_> = masks.iter().map(|(dst, port)| filter.begin(&mask(*dst, *port))).collect();
        for ((dst, port), parts) in masks.iter().zip(&parts) {
            filter.add(*parts, &key((200, 7)).masked(&mask(*dst, *port)));
        }
        let missing = filter.missing(&key((200, 7)));
        assert!(parts.iter().all(|parts| parts & missing == 0));
        let missing = filter.missing(&key((100, 7)));
        assert!(parts.iter().all(|parts| parts & missing != 0), "the first bit differs");
        let missing = filter.missing(&key((200, 8)));
        assert_eq!(parts.iter().filter(|parts| *parts & missing == 0).count(), 16, "those that do not look at ports");
    }
}
