//! Keys and registers as words.

use flow::{FlowKey, Mask, Match, Registers};
use zerocopy::{FromBytes, IntoBytes};

const KEY_WORDS: usize = flow::key::KEY_WORDS;
const REGISTER_WORDS: usize = size_of::<Registers>() / 8;
pub(super) const WORDS: usize = KEY_WORDS + REGISTER_WORDS;

const _: () = assert!(size_of::<Registers>().is_multiple_of(8), "registers are compared word by word");
const _: () = assert!(WORDS <= 256, "a word's index is a byte");

/// One word of a key and its registers.
#[inline]
pub(super) fn word(key: &FlowKey, regs: &Registers, at: usize) -> u64 {
    let regs: &[[u8; 8]; REGISTER_WORDS] = zerocopy::transmute_ref!(regs);
    u64::from_ne_bytes(if at < KEY_WORDS { key.words()[at] } else { regs[at - KEY_WORDS] })
}

/// Require bits of a word; nothing when it is one of the registers.
#[inline]
pub(super) fn require(mask: &mut Mask, at: usize, bits: u64) {
    if let Some(word) = mask.0.words_mut().get_mut(at) {
        *word = (u64::from_ne_bytes(*word) | bits).to_ne_bytes();
    }
}

/// A key and its registers, 64 bits at a time, in memory order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words(pub(super) [u64; WORDS]);

impl Words {
    pub(super) const ZERO: Words = Words([0; WORDS]);

    pub(super) fn of(key: &FlowKey, regs: &Registers) -> Words {
        let mut out = [0; WORDS];
        let (front, back) = out.split_at_mut(KEY_WORDS);
        for (to, from) in front.iter_mut().zip(key.words()) {
            *to = u64::from_ne_bytes(*from);
        }
        back.as_mut_bytes().copy_from_slice(regs.as_bytes());
        Words(out)
    }

    /// The values of a match.
    pub(super) fn of_values(matching: &Match) -> Words {
        Words::of(&matching.key, &matching.regs)
    }

    /// The mask of a match.
    pub(super) fn of_mask(matching: &Match) -> Words {
        Words::of(&matching.mask.0, &matching.regs_mask)
    }

    pub(super) fn key(&self) -> FlowKey {
        let mut key = FlowKey::ZERO;
        for (to, from) in key.words_mut().iter_mut().zip(self.0) {
            *to = from.to_ne_bytes();
        }
        key
    }

    pub(super) fn registers(&self) -> Registers {
        Registers::read_from_bytes(self.0[KEY_WORDS..].as_bytes()).unwrap_or_default()
    }

    /// The words that are not zero, and their places.
    pub(super) fn set(&self) -> impl Iterator<Item = (u8, u64)> {
        (0..=u8::MAX).zip(self.0).filter(|(_, word)| *word != 0)
    }
}
