//! One lookup: the packet, and what of it was looked at.

use super::prefix_trie::PrefixTrie;
use super::prefixes::{Asked, Prefix, Tries};
use super::words::Words;
use flow::{FlowKey, Mask};

#[derive(Debug)]
pub(super) struct Lookup<'t> {
    pub(super) words: &'t Words,
    key: &'t FlowKey,
    seen: Words,
    pub(super) addresses: Asked<'t>,
    /// Bits seen of source and destination port.
    ports: u32,
}

impl<'t> Lookup<'t> {
    pub(super) fn new(words: &'t Words, key: &'t FlowKey, tries: &'t Tries) -> Lookup<'t> {
        Lookup { words, key, seen: Words::ZERO, addresses: Asked::new(tries, key), ports: 0 }
    }

    /// Look at bits of a word.
    #[inline]
    pub(super) fn look(&mut self, at: u8, bits: u64) -> u64 {
        let at = usize::from(at);
        self.seen.0[at] |= bits;
        self.words.0[at] & bits
    }

    /// Whether the ports alone show that none of a subtable's rules matches. Looks at them from the top, down to the bit
    /// that shows it.
    #[inline]
    pub(super) fn excluded_by_ports(&mut self, trie: &PrefixTrie<u32>, (mask, len): (u32, u8)) -> bool {
        let Some(need) = trie.walk(Prefix::ports(self.key) & mask).excluded_by(len) else { return false };
        let rest = u32::MAX.checked_shr(need.into()).unwrap_or(0);
        self.ports |= mask & !rest;
        true
    }

    /// All that was looked at.
    pub(super) fn seen(&self) -> Mask {
        let mut mask = self.seen.key();
        self.addresses.require(&mut mask);
        mask.tp_src = (mask.tp_src.get() | (self.ports >> 16) as u16).into();
        mask.tp_dst = (mask.tp_dst.get() | self.ports as u16).into();
        Mask(mask)
    }
}
