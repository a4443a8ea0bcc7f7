//! One lookup: the packet, and what of it was looked at.

use super::hash;
use super::prefix_trie::PrefixTrie;
use super::prefixes::{Asked, Lens, Prefix, Tries};
use super::shape::Shape;
use super::words::{require, word};
use flow::{FlowKey, Mask, Registers};

#[derive(Debug)]
pub(super) struct Lookup<'t> {
    pub(super) key: &'t FlowKey,
    pub(super) regs: &'t Registers,
    tries: &'t Tries,
    asked: Asked,
    seen: Mask,
    /// Bits seen of source and destination port.
    ports: u32,
    /// Where hashes start.
    pub(super) start: u64,
}

impl<'t> Lookup<'t> {
    #[inline]
    pub(super) fn new(key: &'t FlowKey, regs: &'t Registers, tries: &'t Tries) -> Lookup<'t> {
        Lookup { key, regs, tries, asked: Asked::default(), seen: Mask::ANY, ports: 0, start: hash::start() }
    }

    /// Look up with other registers.
    pub(super) fn with_registers<R>(&mut self, regs: &Registers, run: impl FnOnce(&mut Lookup<'_>) -> R) -> R {
        let (asked, seen) = (std::mem::take(&mut self.asked), self.seen);
        let mut other = Lookup { regs, asked, seen, ..*self };
        let answer = run(&mut other);
        (self.seen, self.ports) = (other.seen, other.ports);
        self.asked = other.asked;
        answer
    }

    /// Look at bits of a word.
    #[inline]
    pub(super) fn look(&mut self, at: u8, bits: u64) -> u64 {
        self.note(at, bits);
        self.peek(at, bits)
    }

    /// Bits of a word, for an answer that bits seen otherwise give too, or that are noted after.
    #[inline]
    pub(super) fn peek(&self, at: u8, bits: u64) -> u64 {
        word(self.key, self.regs, at.into()) & bits
    }

    /// Bits of a word were looked at.
    #[inline]
    pub(super) fn note(&mut self, at: u8, bits: u64) {
        require(&mut self.seen, at.into(), bits);
    }

    /// Whether what was seen of the addresses so far shows that no rule with these prefixes matches.
    #[inline]
    pub(super) fn has_excluded(&self, prefixes: &Lens) -> bool {
        self.asked.has_excluded(prefixes)
    }

    /// Whether the addresses alone show that no rule of this shape matches.
    #[inline]
    pub(super) fn excluded_by_addresses(&mut self, shape: &Shape) -> bool {
        self.asked.excludes(&shape.prefixes, self.tries, self.key)
    }

    /// Whether the ports alone show that none of a subtable's rules matches. Looks at them from the top, down to the bit
    /// that shows it.
    #[inline]
    pub(super) fn excluded_by_ports(&mut self, trie: &PrefixTrie<u32>, (mask, len): (u32, u8)) -> bool {
        let Some(need) = trie.excluded_by(Prefix::ports(self.key) & mask, len) else { return false };
        let rest = u32::MAX.checked_shr(need.into()).unwrap_or(0);
        self.ports |= mask & !rest;
        true
    }

    /// All that was looked at.
    pub(super) fn seen(&mut self) -> &Mask {
        let mask = &mut self.seen.0;
        self.asked.require(mask);
        mask.tp_src = (mask.tp_src.get() | (self.ports >> 16) as u16).into();
        mask.tp_dst = (mask.tp_dst.get() | self.ports as u16).into();
        &self.seen
    }
}
