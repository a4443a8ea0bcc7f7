//! Keys and registers as words, and the masks that pick some of them.

use flow::{FlowKey, Match, Registers};
use smallvec::SmallVec;
use zerocopy::IntoBytes;

const KEY_WORDS: usize = flow::key::KEY_WORDS;
const WORDS: usize = KEY_WORDS + size_of::<Registers>() / 8;

/// A key and its registers, 64 bits at a time, in memory order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words([u64; WORDS]);

impl Words {
    pub(crate) fn of(key: &FlowKey, regs: &Registers) -> Words {
        let mut out = [0; WORDS];
        let regs = regs.as_bytes().chunks_exact(8).map(|c| <[u8; 8]>::try_from(c).unwrap_or_default());
        for (to, from) in out.iter_mut().zip(key.words().iter().copied().chain(regs)) {
            *to = u64::from_ne_bytes(from);
        }
        Words(out)
    }
}

/// What is left of [`Words`] under a [`WordMask`]: the key of a hash lookup.
pub(crate) type Masked = SmallVec<[u64; 8]>;

/// The words of a mask that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WordMask(SmallVec<[(u8, u64); 8]>);

impl WordMask {
    pub(crate) fn of(key: &FlowKey, regs: &Registers) -> WordMask {
        let words = Words::of(key, regs);
        WordMask((0u8..).zip(words.0).filter(|(_, w)| *w != 0).collect())
    }

    /// The mask of a match.
    pub(crate) fn of_match(matching: &Match) -> WordMask {
        WordMask::of(&matching.mask.0, &matching.regs_mask)
    }

    pub(crate) fn pick(&self, from: &Words) -> Masked {
        self.0.iter().map(|(i, m)| from.0[usize::from(*i)] & m).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every bit of `other` is a bit of `self`.
    pub(crate) fn covers(&self, other: &WordMask) -> bool {
        other.0.iter().all(|(i, m)| self.0.iter().any(|(j, n)| i == j && m & !n == 0))
    }
}
