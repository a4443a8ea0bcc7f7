//! The fields whose prefixes are kept in tries, and what is seen of them in one lookup.

use super::prefix_trie::{PrefixTrie, Walk};
use super::shape::Packed;
use flow::{FlowKey, Mask};
use std::sync::Arc;

/// An address field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Ipv4Src,
    Ipv4Dst,
    Ipv6Src,
    Ipv6Dst,
}

/// All of them, by number.
pub(super) const PREFIXES: [Prefix; 4] = [Prefix::Ipv4Src, Prefix::Ipv4Dst, Prefix::Ipv6Src, Prefix::Ipv6Dst];

/// The length of each of them; 0: none.
pub(super) type Lens = [u8; PREFIXES.len()];

fn ipv4(key: &FlowKey, which: Prefix) -> u32 {
    if which == Prefix::Ipv4Src { key.ipv4_src.get() } else { key.ipv4_dst.get() }
}

fn ipv6(key: &FlowKey, which: Prefix) -> u128 {
    u128::from_be_bytes(if which == Prefix::Ipv6Src { key.ipv6_src } else { key.ipv6_dst })
}

impl Prefix {
    /// How many leading bits a mask requires; 0 when it is none, or not a prefix.
    pub(super) fn len(self, mask: &Mask) -> u8 {
        match self {
            Prefix::Ipv4Src | Prefix::Ipv4Dst => {
                let bits = ipv4(&mask.0, self);
                let len = bits.leading_ones();
                if bits.count_ones() == len { len as u8 } else { 0 }
            }
            Prefix::Ipv6Src | Prefix::Ipv6Dst => {
                let bits = ipv6(&mask.0, self);
                let len = bits.leading_ones();
                if bits.count_ones() == len { len as u8 } else { 0 }
            }
        }
    }

    /// Require leading bits.
    fn require(self, mask: &mut FlowKey, len: u8) {
        let v4 = u32::MAX.checked_shr(len.into()).map_or(u32::MAX, |rest| !rest);
        let v6 = (u128::MAX.checked_shr(len.into()).map_or(u128::MAX, |rest| !rest)).to_be_bytes();
        let unite = |a: &mut [u8; 16]| a.iter_mut().zip(v6).for_each(|(a, b)| *a |= b);
        match self {
            Prefix::Ipv4Src => mask.ipv4_src = (mask.ipv4_src.get() | v4).into(),
            Prefix::Ipv4Dst => mask.ipv4_dst = (mask.ipv4_dst.get() | v4).into(),
            Prefix::Ipv6Src => unite(&mut mask.ipv6_src),
            Prefix::Ipv6Dst => unite(&mut mask.ipv6_dst),
        }
    }

    /// Layer 4 source and destination port as one number.
    pub(super) fn ports(key: &FlowKey) -> u32 {
        u32::from(key.tp_src.get()) << 16 | u32::from(key.tp_dst.get())
    }
}

/// The prefixes of all rules of a table; those of equal rules count once.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    v4: [Arc<PrefixTrie<u32>>; 2],
    v6: [Arc<PrefixTrie<u128>>; 2],
}

impl Tries {
    /// Put in what a match requires.
    pub(super) fn insert(&mut self, matching: &Packed) {
        let shape = &*matching.shape;
        if shape.prefixes == [0; PREFIXES.len()] {
            return;
        }
        let key = &matching.unpack().key;
        for (i, len) in shape.prefixes.into_iter().enumerate().filter(|(_, len)| *len != 0) {
            match PREFIXES[i] {
                p @ (Prefix::Ipv4Src | Prefix::Ipv4Dst) => Arc::make_mut(&mut self.v4[i]).insert(ipv4(key, p), len),
                p @ (Prefix::Ipv6Src | Prefix::Ipv6Dst) => Arc::make_mut(&mut self.v6[i - 2]).insert(ipv6(key, p), len),
            }
        }
    }

    /// Take it out again.
    pub(super) fn remove(&mut self, matching: &Packed) {
        let shape = &*matching.shape;
        if shape.prefixes == [0; PREFIXES.len()] {
            return;
        }
        let key = &matching.unpack().key;
        for (i, len) in shape.prefixes.into_iter().enumerate().filter(|(_, len)| *len != 0) {
            match PREFIXES[i] {
                p @ (Prefix::Ipv4Src | Prefix::Ipv4Dst) => Arc::make_mut(&mut self.v4[i]).remove(ipv4(key, p), len),
                p @ (Prefix::Ipv6Src | Prefix::Ipv6Dst) => Arc::make_mut(&mut self.v6[i - 2]).remove(ipv6(key, p), len),
            }
        }
    }
}

/// What one lookup has asked the tries, and how many leading bits of each field it has looked at.
#[derive(Debug, Default)]
pub(super) struct Asked {
    v4: [Option<Walk<u32>>; 2],
    v6: [Option<Walk<u128>>; 2],
    seen: Lens,
}

impl Asked {
    /// How many leading bits of field `i` show that no rule with a prefix of `len` matches; `None` when one may.
    #[inline]
    fn excluded_by(&mut self, tries: &Tries, key: &FlowKey, i: usize, len: u8) -> Option<u8> {
        match PREFIXES[i] {
            p @ (Prefix::Ipv4Src | Prefix::Ipv4Dst) => {
                self.v4[i].get_or_insert_with(|| tries.v4[i].walk(ipv4(key, p))).excluded_by(len)
            }
            p @ (Prefix::Ipv6Src | Prefix::Ipv6Dst) => {
                self.v6[i - 2].get_or_insert_with(|| tries.v6[i - 2].walk(ipv6(key, p))).excluded_by(len)
            }
        }
    }

    /// Whether what was seen of the addresses so far shows that no rule with these prefixes matches.
    #[inline]
    pub(super) fn has_excluded(&self, lens: &Lens) -> bool {
        if *lens == [0; PREFIXES.len()] {
            return false;
        }
        let enough = |need: Option<u8>, i: usize| need.is_some_and(|need| need <= self.seen[i]);
        let v4 = |i: usize| lens[i] != 0 && self.v4[i].as_ref().is_some_and(|w| enough(w.excluded_by(lens[i]), i));
        let v6 = |i: usize| lens[i] != 0 && self.v6[i - 2].as_ref().is_some_and(|w| enough(w.excluded_by(lens[i]), i));
        v4(0) || v4(1) || v6(2) || v6(3)
    }

    /// Whether the addresses alone show that no rule with these prefixes matches. Looks at as few of their bits as it can: at
    /// none when those seen before are enough, else first at the field of which the least is left to see.
    pub(super) fn excludes(&mut self, lens: &Lens, tries: &Tries, key: &FlowKey) -> bool {
        // Rules have IPv4 or IPv6 addresses; those of both match nothing, and may be looked at one after the other.
        self.pair_excludes(0, lens, tries, key) || self.pair_excludes(2, lens, tries, key)
    }

    /// As [`Asked::excludes`], of source and destination of one kind.
    #[inline]
    fn pair_excludes(&mut self, src: usize, lens: &Lens, tries: &Tries, key: &FlowKey) -> bool {
        let dst = src + 1;
        match (lens[src], lens[dst]) {
            (0, 0) => false,
            (_, 0) => self.look(src, lens, tries, key),
            (0, _) => self.look(dst, lens, tries, key),
            _ => {
                let enough = |asked: &mut Asked, i: usize| {
                    asked.excluded_by(tries, key, i, lens[i]).is_some_and(|need| need <= asked.seen[i])
                };
                if enough(self, src) || enough(self, dst) {
                    return true;
                }
                let left = |i: usize| lens[i].saturating_sub(self.seen[i]);
                let order = if left(src) <= left(dst) { [src, dst] } else { [dst, src] };
                order.into_iter().any(|i| self.look(i, lens, tries, key))
            }
        }
    }

    /// Look at as many bits of a field as it takes to say whether it excludes a rule with this prefix.
    #[inline]
    fn look(&mut self, i: usize, lens: &Lens, tries: &Tries, key: &FlowKey) -> bool {
        let need = self.excluded_by(tries, key, i, lens[i]);
        self.seen[i] = self.seen[i].max(need.unwrap_or(lens[i]));
        need.is_some()
    }

    /// Add what was looked at to a mask.
    pub(super) fn require(&self, mask: &mut FlowKey) {
        for (prefix, seen) in PREFIXES.iter().zip(self.seen) {
            if seen != 0 {
                prefix.require(mask, seen);
            }
        }
    }
}
