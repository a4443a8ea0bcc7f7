//! The flows of one input port: a hash table for each mask, and what of packets any of them looks at.

use super::filter::{ALWAYS, Filter, Parts, Wanted};
use super::masks::Masks;
use crate::arena::Arena;
use crate::hash::Seed;
use crate::index::Index;
use crate::window::{self, UnionHash};
use arrayvec::ArrayVec;
use flow::extract::{LINK_WORDS, NEAR_WORDS};
use flow::{FlowKey, Mask};

/// Lookups between rankings of subtables.
const RANK_EVERY: u64 = 1 << 16;

/// Hashes of old that packets are still looked for under.
const EARLIER: usize = 4;

/// Rankings for which the union has to be too wide before it becomes narrower; more each time that this was too early.
const PATIENCE: u32 = 4;
const MOST_PATIENCE: u32 = 1 << 12;

/// How deep flows of a port look into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// At addresses, ethertype and fragment bits at most.
    Link,
    /// At these and IPv4 addresses.
    Near,
    /// Anywhere.
    Full,
}

impl Depth {
    fn of(mask: &Mask) -> Depth {
        let looks_only_at = |at_most: &[usize]| {
            let mut words = mask.0.words().iter().enumerate().skip(1);
            words.all(|(at, word)| *word == [0; 8] || at_most.contains(&at))
        };
        match () {
            () if looks_only_at(&LINK_WORDS) => Depth::Link,
            () if looks_only_at(&NEAR_WORDS) => Depth::Near,
            () => Depth::Full,
        }
    }
}

/// The only flow of a port, when it does not look deeper than [`Depth::Link`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sole {
    pub(crate) number: u32,
    pub(crate) mark: u32,
    /// What the words must be, in these bits.
    bits: [u64; 2],
    want: [u64; 2],
}

impl Sole {
    /// 0 when a packet with these words hits.
    #[inline(always)]
    pub(crate) fn difference(&self, words: [u64; 2]) -> u64 {
        (words[0] & self.bits[0] ^ self.want[0]) | (words[1] & self.bits[1] ^ self.want[1])
    }
}

/// Flows of one mask, by the hash of the masked key.
#[derive(Debug)]
pub(super) struct Subtable {
    pub(super) mask: usize,
    /// What has to be in [`Filter`]; nothing: it is looked into in any case.
    parts: Parts,
    flows: Index,
    /// Hits since the last ranking.
    hits: u64,
}

impl Subtable {
    /// The flow with this hash that `verify` accepts.
    #[inline(always)]
    pub(super) fn find(&self, hash: u32, verify: impl Fn(u32) -> bool) -> Option<u32> {
        self.flows.find(hash, verify)
    }

    /// Tell the CPU that this hash will be looked for.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u32) {
        self.flows.prefetch(hash);
    }
}

/// What one packet may have been cached under before.
pub(crate) type HashesBefore = ArrayVec<u64, EARLIER>;

/// A hash that packets were cached under.
#[derive(Debug)]
struct Earlier {
    hash: UnionHash,
    /// Searches under it that may still fail. As many as there were flows, and it has served its turn.
    patience: usize,
}

/// The flows of a port, or those of all ports for packets that come again.
#[derive(Debug)]
pub(crate) struct PortTable {
    pub(super) subtables: Vec<Subtable>,
    /// The parts of each.
    wanted: Wanted,
    filter: Filter,
    /// What any flow of late looked at.
    union: Mask,
    /// The same without what is equal for all packets that are looked up here.
    hashed: UnionHash,
    /// What packets were cached under before, the latest last.
    earlier: Vec<Earlier>,
    /// Rankings that found `union` too wide, in a row, and how many make it narrower.
    too_wide: u32,
    patience: u32,
    /// It was made narrower, and has not grown since.
    narrowed: bool,
    seed: Seed,
    /// The first word of keys that differs between packets.
    first_word: usize,
    depth: Depth,
    flows: usize,
    sole: Option<Sole>,
    lookups: u64,
    /// Changes with `hashed` and `depth`.
    generation: u32,
}

impl PortTable {
    pub(super) fn for_port(seed: Seed, port: usize) -> PortTable {
        Self::new(seed.apart(port as u32 + 1), 1)
    }

    pub(super) fn for_all_ports(seed: Seed) -> PortTable {
        Self::new(seed, 0)
    }

    fn new(seed: Seed, first_word: usize) -> PortTable {
        PortTable {
            subtables: Vec::new(),
            wanted: Vec::new(),
            filter: Filter::default(),
            union: Mask::ANY,
            hashed: UnionHash::new(seed, &Mask::ANY, first_word),
            earlier: Vec::new(),
            too_wide: 0,
            patience: PATIENCE,
            narrowed: false,
            seed,
            first_word,
            depth: Depth::Link,
            flows: 0,
            sole: None,
            lookups: 0,
            generation: 0,
        }
    }

    pub(super) fn flows(&self) -> usize {
        self.flows
    }

    /// The subtable with this mask.
    pub(super) fn subtable(&self, mask_id: usize) -> Option<&Subtable> {
        self.subtables.iter().find(|subtable| subtable.mask == mask_id)
    }

    /// The hash that a packet is cached under.
    pub(crate) fn hash(&self, key: &FlowKey) -> u64 {
        self.hashed.of(key)
    }

    /// The same, for the key of a packet that has these [`flow::extract::link_words`]; at [`Depth::Link`].
    #[inline(always)]
    pub(crate) fn hash_link(&self, words: [u64; 2]) -> u64 {
        self.hashed.of_link(words)
    }

    /// The same, for the key of a packet that has these [`flow::extract::near_words`]; at [`Depth::Near`].
    #[inline(always)]
    pub(crate) fn hash_near(&self, words: [u64; 3]) -> u64 {
        self.hashed.of_near(words)
    }

    /// The same, for a packet that has these [`flow::extract::plain_words`].
    #[inline(always)]
    pub(crate) fn hash_plain(&self, words: [u64; 6]) -> u64 {
        self.hashed.of_plain(words)
    }

    /// The same, for a packet whose key [`flow::extract::extract_usual`] tells.
    pub(crate) fn hash_usual(&self, key: &FlowKey) -> u64 {
        self.hashed.of_usual(key)
    }

    /// The hashes that this packet may have been cached under before what flows look at changed, the latest first.
    #[inline]
    pub(crate) fn hashes_before(&self, key: &FlowKey) -> HashesBefore {
        self.earlier.iter().rev().map(|earlier| earlier.hash.of(key)).collect()
    }

    /// A packet was not cached under any of these.
    #[inline]
    pub(super) fn note_strange(&mut self) {
        if !self.earlier.is_empty() {
            self.earlier.retain_mut(|earlier| {
                earlier.patience = earlier.patience.saturating_sub(1);
                earlier.patience > 0
            });
        }
    }

    #[inline(always)]
    pub(crate) fn depth(&self) -> Depth {
        self.depth
    }

    #[inline(always)]
    pub(crate) fn sole(&self) -> Option<&Sole> {
        self.sole.as_ref()
    }

    #[inline(always)]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The subtables that may have a flow for this packet, in their order, with their places in it.
    #[inline(always)]
    pub(super) fn candidates(&self, key: &FlowKey) -> impl Iterator<Item = (usize, &Subtable)> {
        let missing = self.filter.missing(key);
        let places = self.wanted.iter().enumerate().filter(move |(_, wanted)| *wanted & missing == 0);
        places.filter_map(|(at, _)| Some((at, self.subtables.get(at)?)))
    }

    /// `key`: masked.
    pub(super) fn add(&mut self, number: u32, hash: u32, key: &FlowKey, mask_id: usize, mask: &Mask) {
        let known = self.subtables.iter().position(|s| s.mask == mask_id);
        let at = known.unwrap_or_else(|| {
            let parts = if self.subtables.len() < ALWAYS { 0 } else { self.filter.begin(mask) };
            self.subtables.push(Subtable { mask: mask_id, parts, flows: Index::default(), hits: 0 });
            self.wanted.push(parts);
            self.subtables.len() - 1
        });
        if let Some(subtable) = self.subtables.get_mut(at) {
            self.filter.add(subtable.parts, key);
            subtable.flows.insert(hash, number);
        }
        self.flows += 1;
        // The masks of the other flows are in it.
        if known.is_none() && !mask.is_within(&self.union) {
            let mut union = self.union;
            union.unite(mask);
            if std::mem::take(&mut self.narrowed) {
                self.patience = (self.patience * 2).min(MOST_PATIENCE);
            }
            self.look_at(union);
        }
    }

    /// `key`: what was given to [`PortTable::add`], asked for if it is needed.
    pub(super) fn take_out(&mut self, number: u32, hash: u32, key: impl FnOnce() -> FlowKey, mask_id: usize) {
        let Some(at) = self.subtables.iter().position(|s| s.mask == mask_id) else { return };
        let subtable = &mut self.subtables[at];
        if subtable.flows.remove(hash, number) {
            subtable.flows.shrink();
            self.flows -= 1;
            if subtable.parts != 0 {
                self.filter.take_out(subtable.parts, &key());
            }
        }
        if subtable.flows.is_empty() {
            self.filter.end(subtable.parts);
            self.subtables.remove(at);
            self.wanted.remove(at);
        }
        if self.flows == 0 {
            self.look_at(Mask::ANY);
            self.earlier.clear();
        }
    }

    fn look_at(&mut self, union: Mask) {
        self.union = union;
        self.too_wide = 0;
        let hash = std::mem::replace(&mut self.hashed, UnionHash::new(self.seed, &union, self.first_word));
        if self.earlier.len() == EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push(Earlier { hash, patience: self.flows });
        self.depth = Depth::of(&union);
        self.generation = self.generation.wrapping_add(1);
    }

    /// Find out whether there is one flow only.
    pub(super) fn note_sole(&mut self, arena: &Arena, masks: &Masks) {
        self.sole = None;
        let ([subtable], 1, true) = (&*self.subtables, self.flows, self.first_word == 1) else { return };
        let Some(mask) = masks.full(subtable.mask).filter(|mask| Depth::of(mask) == Depth::Link) else { return };
        let Some(number) = subtable.flows.numbers().next() else { return };
        let Some(hot) = arena.get(number as usize).filter(|hot| hot.mark() != 0) else { return };
        let want = LINK_WORDS.map(|word| window::place(word).map_or(0, |place| hot.word(place)));
        let bits = LINK_WORDS.map(|word| mask.0.words().get(word).map_or(0, |w| u64::from_ne_bytes(*w)));
        self.sole = Some(Sole { number, mark: hot.mark(), bits, want });
    }

    /// Whether it is time to rank; counts a lookup.
    #[inline]
    pub(super) fn is_to_be_ranked(&self) -> bool {
        self.lookups >= RANK_EVERY
    }

    #[inline]
    pub(super) fn count_hit(&mut self, nth: usize) {
        self.lookups += 1;
        if let Some(subtable) = self.subtables.get_mut(nth) {
            subtable.hits += 1;
        }
    }

    /// Put the subtables that are hit most in front, and let old hits fade. Forget what only flows of old looked at,
    /// if that has been so for long: rules that come and go would change the union to and fro.
    pub(super) fn rank(&mut self, full: impl Fn(&Subtable) -> Mask) {
        self.lookups = 0;
        self.subtables.sort_by_key(|s| std::cmp::Reverse(s.hits));
        self.wanted.clear();
        self.wanted.extend(self.subtables.iter().map(|s| s.parts));
        let mut union = Mask::ANY;
        for subtable in &mut self.subtables {
            subtable.hits /= 2;
            union.unite(&full(subtable));
        }
        self.too_wide = if union == self.union { 0 } else { self.too_wide + 1 };
        if self.too_wide > self.patience {
            self.narrowed = true;
            self.look_at(union);
        }
    }
}
