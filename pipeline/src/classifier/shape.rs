//! The mask that the rules of a subtable share, and in which order its bits are looked at.

use super::hash;
use super::prefixes::{Lens, PREFIXES, Prefix};
use super::words::{Words, word};
use flow::{FieldId, FlowKey, Mask, Match, Registers};
use smallvec::SmallVec;
use std::sync::{Arc, LazyLock};
use zerocopy::IntoBytes;

/// Fields that are looked at together, cheapest first: those that cost no flows (every mask has them, or they are no
/// part of a packet; all registers belong here), those that cost few, the other metadata, layer 2, layer 3.
/// What is in none of them comes last. As OVS's staged lookup, see its lib/classifier.h, with two stages before it.
const STAGES: [&[FieldId]; 5] = [
    &[FieldId::InPort, FieldId::RecircId, FieldId::EthType],
    &[FieldId::CtState, FieldId::CtZone, FieldId::CtNwProto, FieldId::IpProto, FieldId::IpFrag],
    &[
        FieldId::TunId,
        FieldId::TunSrc,
        FieldId::TunDst,
        FieldId::TunIpv6Src,
        FieldId::TunIpv6Dst,
        FieldId::TunFlags,
        FieldId::TunGbpId,
        FieldId::TunGbpFlags,
        FieldId::PktMark,
        FieldId::SkbPriority,
        FieldId::DpHash,
        FieldId::CtMark,
        FieldId::CtLabel,
    ],
    &[
        FieldId::EthSrc,
        FieldId::EthDst,
        FieldId::VlanTpid,
        FieldId::VlanTci,
        FieldId::Vlan1Tpid,
        FieldId::Vlan1Tci,
        FieldId::MplsLabel,
        FieldId::MplsTc,
        FieldId::MplsBos,
        FieldId::MplsTtl,
    ],
    &[
        FieldId::IpTos,
        FieldId::IpTtl,
        FieldId::Ipv4Src,
        FieldId::Ipv4Dst,
        FieldId::Ipv6Src,
        FieldId::Ipv6Dst,
        FieldId::Ipv6Label,
        FieldId::CtNwSrc,
        FieldId::CtNwDst,
        FieldId::CtIpv6Src,
        FieldId::CtIpv6Dst,
    ],
];
/// The stage of addresses: their tries are asked before it.
const ADDRESSES: usize = 4;
const LAST: usize = STAGES.len();

/// The bits of each stage, the last included.
static STAGE_BITS: LazyLock<[Words; LAST + 1]> = LazyLock::new(|| {
    let mut left = Words([u64::MAX; super::words::WORDS]);
    let mut bits = [Words::ZERO; LAST + 1];
    for (i, (stage, fields)) in bits.iter_mut().zip(STAGES).enumerate() {
        let mut mask = Mask::ANY;
        fields.iter().for_each(|field| mask.require(*field));
        let mut regs = Registers::default();
        if i == 0 {
            regs.as_mut_bytes().fill(0xff);
        }
        for ((to, left), word) in stage.0.iter_mut().zip(&mut left.0).zip(Words::of(&mask.0, &regs).0) {
            *to = word & *left;
            *left &= !word;
        }
    }
    bits[LAST] = left;
    bits
});

/// Part of a word that is looked at in one go.
pub(super) type Piece = (u8, u64);

/// One stage of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Which of the pieces.
    pub(super) from: u8,
    pub(super) to: u8,
    /// Whether address prefixes are among them.
    pub(super) addresses: bool,
}

/// A mask over keys and registers.
#[derive(Debug)]
pub(super) struct Shape {
    /// All bits, in the order of the stages.
    pub(super) pieces: Box<[Piece]>,
    /// At least one.
    pub(super) stages: SmallVec<[Stage; 4]>,
    /// How many leading bits of each of [`PREFIXES`] are required; 0: none, or not a prefix.
    pub(super) prefixes: Lens,
    /// The bits of layer 4 source and destination port, as one number, and how far down they reach; 0: none.
    pub(super) ports: (u32, u8),
    pub(super) hash: u64,
    bits: u32,
}

impl Shape {
    pub(super) fn new(mask: &Match) -> Shape {
        let words = Words::of_mask(mask);
        let mut pieces = Vec::new();
        let mut stages = SmallVec::new();
        let prefixes = PREFIXES.map(|p| p.len(&mask.mask));
        for (i, bits) in STAGE_BITS.iter().enumerate() {
            let from = pieces.len();
            pieces.extend(words.set().map(|(at, word)| (at, word & bits.0[usize::from(at)])).filter(|(_, w)| *w != 0));
            if pieces.len() != from || (i == LAST && stages.is_empty()) {
                let addresses = i == ADDRESSES && prefixes.iter().any(|len| *len != 0);
                stages.push(Stage { from: from as u8, to: pieces.len() as u8, addresses });
            }
        }
        let ports = Prefix::ports(&mask.mask.0);
        Shape {
            bits: pieces.iter().map(|(_, word)| word.count_ones()).sum(),
            pieces: pieces.into(),
            stages,
            prefixes,
            ports: (ports, (u32::BITS - ports.trailing_zeros()) as u8),
            hash: hash_of(&words),
        }
    }

    /// The shape of a match that may have one already, among those of the same hash.
    pub(super) fn is_of(&self, words: &Words) -> bool {
        let mut left = *words;
        self.pieces.iter().for_each(|(at, word)| left.0[usize::from(*at)] ^= word);
        left == Words::ZERO
    }

    /// Whether both are the same mask.
    pub(super) fn is(&self, other: &Shape) -> bool {
        self.hash == other.hash && self.pieces == other.pieces
    }

    /// Number of bits, then the bits themselves: an order of shapes that depends on nothing else.
    pub(super) fn rank(&self) -> (u32, &[Piece]) {
        (self.bits, &self.pieces)
    }

    /// Whether every bit of `mask` is required.
    pub(super) fn covers(&self, mask: &Words) -> bool {
        let mut left = *mask;
        self.pieces.iter().for_each(|(at, word)| left.0[usize::from(*at)] &= !word);
        left == Words::ZERO
    }

    /// Whether every bit that is required is one of `mask`.
    pub(super) fn is_within(&self, mask: &Words) -> bool {
        self.pieces.iter().all(|(at, word)| word & !mask.0[usize::from(*at)] == 0)
    }

    /// What is left of a key and its registers under the mask.
    pub(super) fn pick(&self, from: &Words) -> Values {
        let mut values = Values::new();
        values.reserve_exact(self.pieces.len());
        values.extend(self.pieces.iter().map(|(at, word)| from.0[usize::from(*at)] & word));
        values
    }

    /// The hashes of picked values, one for each stage.
    pub(super) fn hashes(&self, values: &[u64]) -> SmallVec<[u64; 8]> {
        let mut chain = hash::start();
        let stage = |stage: &Stage| {
            let part = &values[usize::from(stage.from)..usize::from(stage.to)];
            chain = part.iter().fold(chain, |chain, word| hash::mix(chain, *word));
            chain
        };
        self.stages.iter().map(stage).collect()
    }
}

/// The hash of a mask.
pub(super) fn hash_of(mask: &Words) -> u64 {
    mask.set().fold(hash::start(), |chain, (at, word)| hash::mix(hash::mix(chain, at.into()), word))
}

/// The values of a match, one a piece of its shape.
pub(super) type Values = SmallVec<[u64; 4]>;

/// A match as rules keep it: its values only, under a mask that is shared.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(super) shape: Arc<Shape>,
    /// One a piece. In place, as far as most matches go: what a lookup compares.
    pub(super) values: Values,
}

impl Packed {
    pub(super) fn new(shape: Arc<Shape>, matching: &Match) -> Packed {
        let values = shape.pick(&Words::of_values(matching));
        Packed { shape, values }
    }

    /// The match itself.
    pub(crate) fn unpack(&self) -> Match {
        let (mut values, mut mask) = (Words::ZERO, Words::ZERO);
        for ((at, bits), value) in self.shape.pieces.iter().zip(&self.values) {
            values.0[usize::from(*at)] |= value;
            mask.0[usize::from(*at)] |= bits;
        }
        Match { key: values.key(), mask: Mask(mask.key()), regs: values.registers(), regs_mask: mask.registers() }
    }

    /// Whether it matches every packet.
    pub(crate) fn is_any(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether both require the same of the bits of `mask` that both look at.
    pub(super) fn agrees(&self, values: &Words, mask: &Words) -> bool {
        self.shape.pieces.iter().zip(&self.values).all(|((at, bits), value)| {
            let at = usize::from(*at);
            (value ^ values.0[at]) & bits & mask.0[at] == 0
        })
    }

    /// Whether a packet is matched.
    #[inline]
    pub(super) fn matches(&self, key: &FlowKey, regs: &Registers) -> bool {
        let mut parts = self.shape.pieces.iter().zip(&self.values);
        parts.all(|((at, bits), value)| word(key, regs, usize::from(*at)) & bits == *value)
    }
}
