//! The words of a key that packets have as they are received, without a loop over a list of words.
//!
//! TCP and UDP packets differ in ten words of the key: from the Ethernet addresses to the TCP flags. Most masks look
//! at nothing else beside the input port, so that hashing and comparing these ten at fixed places does for nearly all
//! flows; four of them only IPv6 has.

use crate::arena::{NEAR, WINDOW};
use crate::hash::{Seed, finish, fold};
use crate::mask::CompiledMask;
use crate::sync::atomic::{AtomicU64, Ordering};
use flow::extract::{NEAR_WORDS, PLAIN_WORDS, USUAL_WORDS};
use flow::wire::ethertype;
use flow::{FlowKey, Mask};

const _: () = assert!(USUAL_WORDS.end - USUAL_WORDS.start == WINDOW);

/// Those that any IP packet has, those that only IPv6 has.
const COMMON: [usize; 6] = [0, 1, 2, 3, 4, 9];
const IPV6: [usize; 4] = [5, 6, 7, 8];

/// The order in which records have the words: first those that are [`Reach::Near`], then the rest of what is common.
const ORDER: [usize; WINDOW] = [0, 1, 4, 2, 3, 9, 5, 6, 7, 8];
/// What is common ends here.
const COMMON_END: usize = COMMON.len();

/// How much of a record is compared with a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// The words in its first line: of addresses and ethertype, and of IPv4 addresses.
    #[default]
    Near,
    /// What is common.
    Common,
    /// Also what only IPv6 has.
    All,
}

/// The words of a key, each as it lies in memory.
#[inline(always)]
fn window(key: &FlowKey) -> &[[u8; 8]; WINDOW] {
    match key.words()[USUAL_WORDS.start..].first_chunk() {
        Some(words) => words,
        // Not reached: the key is longer.
        None => &[[0; 8]; WINDOW],
    }
}

/// Where a record has a word of the key.
pub(crate) fn place(word: usize) -> Option<usize> {
    let at = word.checked_sub(USUAL_WORDS.start)?;
    ORDER.iter().position(|of| *of == at)
}

/// The words of the window of a key, in the order of records.
#[inline]
pub(crate) fn words(key: &FlowKey) -> impl Iterator<Item = u64> {
    let words = window(key);
    ORDER.iter().map(|at| u64::from_ne_bytes(words[*at]))
}

/// The bits of the window that a mask requires, in the order of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct WindowMask {
    reach: Reach,
    bits: [u64; WINDOW],
}

impl WindowMask {
    pub(crate) fn new(mask: &Mask) -> WindowMask {
        let mut bits = [0; WINDOW];
        bits.iter_mut().zip(words(&mask.0)).for_each(|(bits, word)| *bits = word);
        let reach = match bits.iter().rposition(|bits| *bits != 0) {
            Some(COMMON_END..) => Reach::All,
            Some(NEAR..) => Reach::Common,
            _ => Reach::Near,
        };
        WindowMask { reach, bits }
    }

    /// Whether a mask requires nothing but its place (the first word) and bits of the window.
    pub(crate) fn is_all_of(mask: &Mask) -> bool {
        let mut words = mask.0.words().iter().enumerate().skip(1);
        words.all(|(at, word)| *word == [0; 8] || USUAL_WORDS.contains(&at))
    }

    /// Whether the required bits of a key are these.
    #[inline(always)]
    pub(crate) fn matches(&self, key: &FlowKey, want: &[AtomicU64; WINDOW]) -> bool {
        let words = window(key);
        let difference =
            |i: usize| (u64::from_ne_bytes(words[ORDER[i]]) & self.bits[i]) ^ want[i].load(Ordering::Relaxed);
        let mut differences = difference(0) | difference(1) | difference(2);
        if self.reach > Reach::Near {
            differences |= difference(3) | difference(4) | difference(5);
        }
        if self.reach == Reach::All {
            differences |= difference(6) | difference(7) | difference(8) | difference(9);
        }
        differences == 0
    }
}

const _: () = {
    assert!(NEAR == 3 && COMMON_END == 6);
    let mut i = 0;
    while i < NEAR {
        assert!(ORDER[i] + USUAL_WORDS.start == NEAR_WORDS[i]);
        i += 1;
    }
};

const _: () = {
    let mut i = 0;
    while i < COMMON.len() {
        assert!(COMMON[i] + USUAL_WORDS.start == PLAIN_WORDS[i]);
        i += 1;
    }
};

/// The hash of what any flow of a port looks at.
#[derive(Debug)]
pub(crate) struct UnionHash {
    bits: [u64; WINDOW],
    salt: [u64; WINDOW],
    /// Any of these bits is of IPv6 addresses.
    ipv6: bool,
    /// What pairs come to when their bits are zero: the second, the second and the third.
    blank: [u64; 2],
    /// Words beyond the window.
    rest: CompiledMask,
    seed: Seed,
}

impl UnionHash {
    /// Hashes what `union` requires, without the words of a key before `first`.
    pub(crate) fn new(seed: Seed, union: &Mask, first: usize) -> UnionHash {
        let mut rest = *union;
        rest.0.words_mut()[USUAL_WORDS].fill([0; 8]);
        let bits = window(&union.0).map(u64::from_ne_bytes);
        let salt: [u64; WINDOW] = std::array::from_fn(|i| seed.salt(i));
        let second = fold(salt[2], salt[3]);
        UnionHash {
            bits,
            salt,
            ipv6: IPV6.iter().any(|i| bits[*i] != 0),
            blank: [second, second.wrapping_add(fold(salt[4], salt[9]))],
            rest: CompiledMask::of_words(&rest, first),
            seed,
        }
    }

    /// The hash of any key.
    pub(crate) fn of(&self, key: &FlowKey) -> u64 {
        // Keys of received TCP and UDP packets are zero in all of these words.
        if self.rest.words(key).all(|word| word == 0) {
            return self.of_usual(key);
        }
        self.of_usual(key) ^ self.rest.hash(self.seed, key)
    }

    /// The same, for a key that is zero (or equal to all others) beyond the window.
    #[inline(always)]
    pub(crate) fn of_usual(&self, key: &FlowKey) -> u64 {
        let words = window(key);
        let word = |i: usize| u64::from_ne_bytes(words[i]);
        // One by one: mapping an array is a call.
        let [a, b, c, d, e, f] = COMMON;
        let mut sum = self.of_common([word(a), word(b), word(c), word(d), word(e), word(f)]);
        if self.ipv6 && key.eth_type.get() == ethertype::IPV6 {
            sum = sum.wrapping_add(self.pair(5, word(5), 6, word(6))).wrapping_add(self.pair(7, word(7), 8, word(8)));
        }
        finish(sum)
    }

    /// The same, for a key with these [`PLAIN_WORDS`]. They are in registers: who loads two words at once from where they were
    /// stored one by one waits until they are in the cache.
    #[inline(always)]
    pub(crate) fn of_plain(&self, words: [u64; 6]) -> u64 {
        finish(self.of_common(words))
    }

    /// The same, when the union looks at the first two words only.
    #[inline(always)]
    pub(crate) fn of_link(&self, words: [u64; 2]) -> u64 {
        finish(self.blank[1].wrapping_add(self.pair(0, words[0], 1, words[1])))
    }

    /// The same, for a key with these [`NEAR_WORDS`], when the union looks at no others.
    #[inline(always)]
    pub(crate) fn of_near(&self, [a, b, c]: [u64; 3]) -> u64 {
        let sum = self.pair(0, a, 1, b).wrapping_add(self.pair(4, c, 9, 0));
        finish(self.blank[0].wrapping_add(sum))
    }

    #[inline(always)]
    fn of_common(&self, [a, b, c, d, e, f]: [u64; 6]) -> u64 {
        self.pair(0, a, 1, b).wrapping_add(self.pair(2, c, 3, d)).wrapping_add(self.pair(4, e, 9, f))
    }

    #[inline(always)]
    fn pair(&self, i: usize, a: u64, j: usize, b: u64) -> u64 {
        fold(a & self.bits[i] ^ self.salt[i], b & self.bits[j] ^ self.salt[j])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::FieldId;
    use flow::extract::LINK_WORDS;
    use proptest::prelude::*;

    const FIELDS: [FieldId; 12] = [
        FieldId::EthSrc,
        FieldId::EthDst,
        FieldId::EthType,
        FieldId::VlanTci,
        FieldId::IpProto,
        FieldId::Ipv4Src,
        FieldId::Ipv4Dst,
        FieldId::Ipv6Src,
        FieldId::Ipv6Dst,
        FieldId::UdpSrc,
        FieldId::TcpFlags,
        FieldId::NdTarget,
    ];

    fn key_of(bytes: &[u8]) -> FlowKey {
        let mut key = FlowKey::ZERO;
        for (place, byte) in key.words_mut().as_flattened_mut().iter_mut().zip(bytes) {
            *place = *byte;
        }
        key
    }

    fn is_within(mask: &Mask, at_most: &[usize]) -> bool {
        mask.0.words().iter().enumerate().all(|(at, word)| *word == [0; 8] || at_most.contains(&at))
    }

    proptest! {
        #[test]
        fn comparing_and_hashing_the_window_is_as_by_the_list_of_words(
            bytes in prop::collection::vec(any::<u8>(), 120),
            other in prop::collection::vec(any::<u8>(), 120),
            fields in prop::collection::vec(0..FIELDS.len(), 0..4),
            equal: bool,
            ethertype in prop_oneof![Just(ethertype::IPV4), Just(ethertype::IPV6), any::<u16>()],
        ) {
            let mut mask = Mask::ANY;
            for field in fields {
                mask.require(FIELDS[field]);
            }
            let mut key = key_of(&bytes);
            key.eth_type = ethertype.into();
            // Equal where the mask looks, or anything.
            let mut wanted = key_of(&other).masked(&mask);
            if equal {
                wanted = key.masked(&mask);
            }
            let (compiled, short) = (CompiledMask::new(&mask), WindowMask::new(&mask));
            let want: Vec<_> = words(&wanted).map(AtomicU64::new).collect();
            if WindowMask::is_all_of(&mask) {
                prop_assert_eq!(short.matches(&key, want.first_chunk().unwrap()), compiled.matches(&key, compiled.words(&wanted)));
            }
            let hash = UnionHash::new(Seed::random(), &mask, 0);
            // The short ways of a hash, for keys of plain packets and unions that look no further.
            let mut plain = key;
            let at = |at: usize| u64::from_ne_bytes(key.words()[at]);
            (plain.ipv6_src, plain.ipv6_dst, plain.eth_type) = ([0; 16], [0; 16], ethertype::IPV4.into());
            let first = u64::from_ne_bytes(plain.words()[PLAIN_WORDS[0]]);
            let [_, b, c, d, e, f] = PLAIN_WORDS.map(at);
            prop_assert_eq!(hash.of_plain([first, b, c, d, e, f]), hash.of_usual(&plain));
            if is_within(&mask, &NEAR_WORDS) {
                prop_assert_eq!(hash.of_near([first, b, e]), hash.of_usual(&plain));
            }
            if is_within(&mask, &LINK_WORDS) {
                prop_assert_eq!(hash.of_link([first, b]), hash.of_usual(&plain));
            }
            // What the mask does not look at does not count; the ethertype says which words are there.
            if mask.0.eth_type.get() == u16::MAX {
                prop_assert_eq!(hash.of(&key), hash.of(&key.masked(&mask)));
            }
            if key.masked(&mask) != wanted {
                let mut wanted = wanted;
                wanted.eth_type = key.eth_type;
                let seen = |key: &FlowKey| {
                    let mut key = *key;
                    if key.eth_type.get() != ethertype::IPV6 || short.reach < Reach::All {
                        (key.ipv6_src, key.ipv6_dst) = ([0; 16], [0; 16]);
                    }
                    key.masked(&mask)
                };
                prop_assert_eq!(hash.of(&key) == hash.of(&wanted), seen(&key) == seen(&wanted));
            }
        }
    }
}
