//! A persistent multiset of prefixes, and the question that small masks hang on: of which lengths are there prefixes of
//! a value, and, for each other length, how many leading bits show that there is none?
//!
//! A binary trie that branches only where its prefixes differ, with leaves of up to [`LEAF`] prefixes. One walk answers
//! for all lengths, so that all subtables of a table share it. As OVS's tries (lib/classifier.c, "A longest-prefix match
//! tree"), but told by length: a subtable is never charged for bits that only longer prefixes need.

use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};
use std::sync::Arc;

/// Most prefixes of a leaf.
const LEAF: usize = 16;

/// Values of a certain width, whose first bit is the highest. As a set, bit `n` (from the lowest) stands for length `n + 1`.
pub(super) trait Bits:
    Copy + Debug + Ord + BitAnd<Output = Self> + BitOr<Output = Self> + BitOrAssign + Not<Output = Self>
{
    const NONE: Self;
    const WIDTH: u8;
    /// A byte for each length, by length - 1.
    type PerLength: Copy + Debug + AsRef<[u8]> + AsMut<[u8]>;
    const ZEROS: Self::PerLength;
    /// How many leading bits are the same.
    fn common(self, other: Self) -> u8;
    /// The first `len` bits.
    fn prefix(self, len: u8) -> Self;
    /// Bit `at` from the highest.
    fn bit(self, at: u8) -> bool;
    /// The set of one length, 1 to the width.
    fn one(len: u8) -> Self;
    /// Take the least length out of a set.
    fn pop(&mut self) -> Option<u8>;
}

macro_rules! bits {
    ($($t:ty),*) => {$(
        impl Bits for $t {
            const NONE: Self = 0;
            const WIDTH: u8 = <$t>::BITS as u8;
            type PerLength = [u8; <$t>::BITS as usize];
            const ZEROS: Self::PerLength = [0; <$t>::BITS as usize];
            #[inline]
            fn common(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }
            #[inline]
            fn prefix(self, len: u8) -> Self {
                if len == 0 { 0 } else { self & <$t>::MAX << (Self::WIDTH - len) }
            }
            #[inline]
            fn bit(self, at: u8) -> bool {
                self >> (Self::WIDTH - 1 - at) & 1 != 0
            }
            #[inline]
            fn one(len: u8) -> Self {
                1 << (len - 1)
            }
            #[inline]
            fn pop(&mut self) -> Option<u8> {
                let low = (*self != 0).then(|| self.trailing_zeros() as u8 + 1);
                *self &= self.wrapping_sub(1);
                low
            }
        }
    )*};
}
bits!(u16, u32, u128);

#[derive(Clone, Copy, Debug)]
struct Entry<B> {
    value: B,
    len: u8,
    count: u32,
}

#[derive(Clone, Debug)]
enum Node<B> {
    Leaf(Vec<Entry<B>>),
    Inner(Inner<B>),
}

#[derive(Clone, Debug)]
struct Inner<B> {
    /// The bits that all below agree in.
    value: B,
    /// How many they are: the children differ in the next.
    bit: u8,
    /// All lengths below, `own` included.
    lens: B,
    /// The prefixes that end here: length and count. All are prefixes of `value`.
    own: Vec<(u8, u32)>,
    children: [Arc<Node<B>>; 2],
}

#[derive(Clone, Debug)]
pub(super) struct PrefixTrie<B> {
    root: Node<B>,
}

/// What a [`PrefixTrie`] says about a value.
#[derive(Clone, Debug)]
pub(super) struct Walk<B: Bits> {
    /// The lengths of which there are prefixes of the value.
    matched: B,
    /// For the other lengths that there are, how many bits show it.
    need: B::PerLength,
}

impl<B: Bits> Walk<B> {
    /// How many leading bits of the value show that no prefix of length `len` (which the trie has) matches; `None` when one
    /// does. Never more than `len`.
    #[inline]
    pub(super) fn excluded_by(&self, len: u8) -> Option<u8> {
        (self.matched & B::one(len) == B::NONE).then(|| self.need.as_ref()[usize::from(len) - 1])
    }

    fn need(&mut self, mut lens: B, bits: u8) {
        while let Some(len) = lens.pop() {
            self.need.as_mut()[usize::from(len) - 1] = bits;
        }
    }
}

impl<B: Bits> Default for PrefixTrie<B> {
    fn default() -> Self {
        PrefixTrie { root: Node::Leaf(Vec::new()) }
    }
}

impl<B: Bits> PrefixTrie<B> {
    /// Ask about a value.
    #[inline]
    pub(super) fn walk(&self, value: B) -> Walk<B> {
        let mut walk = Walk { matched: B::NONE, need: B::ZEROS };
        let mut node = &self.root;
        // The lengths above that were not seen in the way taken, and how many bits show that.
        let (mut lens, mut bits) = (B::NONE, 0);
        loop {
            match node {
                Node::Leaf(entries) => {
                    for e in entries {
                        // Without branches: which way they go is as good as random.
                        let (one, common) = (B::one(e.len), e.value.common(value));
                        walk.matched |= if common >= e.len { one } else { B::NONE };
                        let need = &mut walk.need.as_mut()[usize::from(e.len) - 1];
                        *need = (*need).max(common + 1);
                        lens = lens & !one;
                    }
                    walk.need(lens, bits);
                    return walk;
                }
                Node::Inner(inner) => {
                    walk.need(lens & !inner.lens, bits);
                    let common = inner.value.common(value);
                    for (len, _) in inner.own.iter().filter(|(len, _)| *len <= common) {
                        walk.matched |= B::one(*len);
                    }
                    if common < inner.bit {
                        walk.need(inner.lens, common + 1);
                        return walk;
                    }
                    (lens, bits) = (inner.lens, inner.bit + 1);
                    node = &inner.children[usize::from(value.bit(inner.bit))];
                }
            }
        }
    }

    /// As [`Walk::excluded_by`], when all prefixes have the same length.
    pub(super) fn excluded_by(&self, value: B, len: u8) -> Option<u8> {
        let (mut node, mut bits) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let common = entries.iter().map(|e| e.value.common(value)).max();
                    return common.is_none_or(|c| c < len).then(|| common.map_or(bits, |c| c + 1));
                }
                Node::Inner(inner) => {
                    let common = inner.value.common(value);
                    if common < inner.bit {
                        return Some(common + 1);
                    }
                    bits = inner.bit + 1;
                    node = &inner.children[usize::from(value.bit(inner.bit))];
                }
            }
        }
    }

    /// Put in one more of a prefix, whose other bits are zero.
    pub(super) fn insert(&mut self, value: B, len: u8) {
        insert(&mut self.root, value, len, 1);
    }

    /// Take out one of a prefix.
    pub(super) fn remove(&mut self, value: B, len: u8) {
        remove(&mut self.root, value, len);
    }

    /// Whether a prefix is there.
    pub(super) fn contains(&self, value: B, len: u8) -> bool {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return entries.iter().any(|e| e.value == value && e.len == len),
                Node::Inner(inner) if len <= inner.bit => {
                    return inner.value.prefix(len) == value && inner.own.iter().any(|(own, _)| *own == len);
                }
                Node::Inner(inner) => node = &inner.children[usize::from(value.bit(inner.bit))],
            }
        }
    }

    /// The highest value, of prefixes that are all as wide as the type.
    pub(super) fn max(&self) -> Option<B> {
        max(&self.root)
    }
}

fn max<B: Bits>(node: &Node<B>) -> Option<B> {
    match node {
        Node::Leaf(entries) => entries.iter().map(|e| e.value).max(),
        Node::Inner(inner) => max(&inner.children[1]).or_else(|| max(&inner.children[0])),
    }
}

impl<B: Bits> Node<B> {
    fn lens(&self) -> B {
        match self {
            Node::Leaf(entries) => entries.iter().fold(B::NONE, |all, e| all | B::one(e.len)),
            Node::Inner(inner) => inner.lens,
        }
    }
}

fn insert<B: Bits>(node: &mut Node<B>, value: B, len: u8, count: u32) {
    match node {
        Node::Leaf(entries) => {
            match entries.iter_mut().find(|e| e.value == value && e.len == len) {
                Some(e) => e.count += count,
                None => {
                    if entries.len() == entries.capacity() {
                        entries.reserve_exact(4);
                    }
                    entries.push(Entry { value, len, count });
                }
            }
            if entries.len() > LEAF
                && let Some(inner) = split(entries)
            {
                *node = Node::Inner(inner);
            }
        }
        Node::Inner(inner) => {
            let common = inner.value.common(value).min(len).min(inner.bit);
            if common < len && common < inner.bit {
                inner.branch_at(common, value.bit(common));
            }
            inner.lens |= B::one(len);
            if len > inner.bit {
                let child = &mut inner.children[usize::from(value.bit(inner.bit))];
                return insert(Arc::make_mut(child), value, len, count);
            }
            match inner.own.iter_mut().find(|(own, _)| *own == len) {
                Some((_, n)) => *n += count,
                None => inner.own.push((len, count)),
            }
        }
    }
}

/// Make a leaf an inner node; `None` when its prefixes do not differ but in length.
fn split<B: Bits>(entries: &mut Vec<Entry<B>>) -> Option<Inner<B>> {
    let low = entries.iter().map(|e| e.value).min()?;
    let high = entries.iter().map(|e| e.value).max()?;
    let bit = low.common(high);
    if bit == B::WIDTH {
        return None;
    }
    let lens = entries.iter().fold(B::NONE, |all, e| all | B::one(e.len));
    let (mut own, mut sides) = (Vec::new(), [Vec::new(), Vec::new()]);
    for e in std::mem::take(entries) {
        if e.len <= bit {
            own.push((e.len, e.count));
        } else {
            sides[usize::from(e.value.bit(bit))].push(e);
        }
    }
    Some(Inner { value: low.prefix(bit), bit, lens, own, children: sides.map(|side| Arc::new(Node::Leaf(side))) })
}

impl<B: Bits> Inner<B> {
    /// Branch earlier, at `bit`, where a new value has `side`.
    fn branch_at(&mut self, bit: u8, side: bool) {
        let (up, down): (Vec<_>, Vec<_>) = self.own.iter().partition(|(len, _)| *len <= bit);
        let mut below = Inner { own: down, ..self.clone() };
        below.lens = below.all_lens();
        let (below, leaf) = (Arc::new(Node::Inner(below)), Arc::new(Node::Leaf(Vec::new())));
        self.value = self.value.prefix(bit);
        self.bit = bit;
        self.own = up;
        self.children = if side { [below, leaf] } else { [leaf, below] };
    }

    fn all_lens(&self) -> B {
        let own = self.own.iter().fold(B::NONE, |all, (len, _)| all | B::one(*len));
        own | self.children[0].lens() | self.children[1].lens()
    }

    /// What this node can be when little is left of it.
    fn shrunk(&self) -> Option<Node<B>> {
        match (&*self.children[0], &*self.children[1]) {
            (Node::Leaf(a), Node::Leaf(b)) if a.len() + b.len() + self.own.len() <= LEAF / 2 => {
                let own =
                    self.own.iter().map(|(len, n)| Entry { value: self.value.prefix(*len), len: *len, count: *n });
                Some(Node::Leaf(own.chain(a.iter().copied()).chain(b.iter().copied()).collect()))
            }
            (Node::Leaf(gone), other @ Node::Inner(_)) | (other @ Node::Inner(_), Node::Leaf(gone))
                if gone.is_empty() && self.own.is_empty() =>
            {
                Some(other.clone())
            }
            _ => None,
        }
    }
}

fn remove<B: Bits>(node: &mut Node<B>, value: B, len: u8) {
    match node {
        Node::Leaf(entries) => {
            if let Some(at) = entries.iter().position(|e| e.value == value && e.len == len) {
                entries[at].count -= 1;
                if entries[at].count == 0 {
                    entries.swap_remove(at);
                }
            }
        }
        Node::Inner(inner) => {
            if len > inner.bit {
                remove(Arc::make_mut(&mut inner.children[usize::from(value.bit(inner.bit))]), value, len);
            } else if let Some(at) = inner.own.iter().position(|(own, _)| *own == len) {
                inner.own[at].1 -= 1;
                if inner.own[at].1 == 0 {
                    inner.own.swap_remove(at);
                }
            }
            inner.lens = inner.all_lens();
            if let Some(less) = inner.shrunk() {
                *node = less;
            }
        }
    }
}
