//! A persistent set of values with their 64-bit hashes: a trie over the bits of the hash, with leaves of up to
//! [`LEAF`] entries that are searched from end to end.
//!
//! A changed copy shares all but one path with the original; in a copy that shares nothing (a batch of changes works on
//! one) a change happens in place. Small sets, by far the most, are one leaf inside the struct itself. In large ones a search
//! waits for memory at each step, so nodes hold what they consist of in place: their children, or entries.

use smallvec::SmallVec;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Most entries of a leaf, unless they all have the same hash.
const LEAF: usize = 16;
/// Bits of the hash that choose a branch's child.
const BITS: u32 = 4;
const SLOTS: usize = 1 << BITS;
/// The deepest branch: beyond it the hash has no more bits.
const MAX_DEPTH: u32 = (u64::BITS - 1) / BITS;

/// Entries of the leaf that is a small set, those of one hash in the order in which they were put.
type Few<T> = SmallVec<[(u64, T); 2]>;
/// Those of a leaf below a branch.
type Many<T> = SmallVec<[(u64, T); LEAF]>;

/// The entries of a leaf, to be changed.
pub(super) enum Leaf<'l, T> {
    Few(&'l mut Few<T>),
    Many(&'l mut Many<T>),
}

impl<T> Leaf<'_, T> {
    /// Add an entry. Room of small sets grows by few: most never fill up.
    pub(super) fn push(&mut self, entry: (u64, T)) {
        match self {
            Leaf::Few(few) => {
                if few.len() == few.capacity() {
                    few.reserve_exact(4);
                }
                few.push(entry);
            }
            Leaf::Many(many) => many.push(entry),
        }
    }

    /// Take an entry out; those behind it move up.
    pub(super) fn remove(&mut self, at: usize) -> (u64, T) {
        match self {
            Leaf::Few(few) => few.remove(at),
            Leaf::Many(many) => many.remove(at),
        }
    }
}

impl<T: PartialEq> Leaf<'_, T> {
    /// Take out all entries of this item.
    pub(super) fn remove_all(&mut self, item: &T) {
        match self {
            Leaf::Few(few) => few.retain(|(_, i)| i != item),
            Leaf::Many(many) => many.retain(|(_, i)| i != item),
        }
    }
}

impl<T> Deref for Leaf<'_, T> {
    type Target = [(u64, T)];

    fn deref(&self) -> &[(u64, T)] {
        match self {
            Leaf::Few(few) => few,
            Leaf::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Leaf<'_, T> {
    fn deref_mut(&mut self) -> &mut [(u64, T)] {
        match self {
            Leaf::Few(few) => few,
            Leaf::Many(many) => many,
        }
    }
}

#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Many<T>),
    Branch(Branch<T>),
}

/// Which child has the entries whose hash has certain four bits. A child may have several slots: all those that
/// agree in their low bits, so that a full leaf is split in two and not in 16.
#[derive(Clone, Debug)]
struct Branch<T> {
    slots: [u8; SLOTS],
    children: SmallVec<[Arc<Node<T>>; SLOTS]>,
}

#[derive(Clone, Debug)]
enum Root<T> {
    Small(Few<T>),
    Large(Arc<Node<T>>),
}

#[derive(Clone, Debug)]
pub(super) struct HashTrie<T> {
    root: Root<T>,
}

impl<T> Default for HashTrie<T> {
    fn default() -> Self {
        HashTrie { root: Root::Small(Few::new()) }
    }
}

fn slot(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % SLOTS
}

impl<T: Clone> HashTrie<T> {
    /// The entries among which those with this hash are.
    #[inline]
    fn leaf(&self, hash: u64) -> &[(u64, T)] {
        let (mut node, mut rest) = match &self.root {
            Root::Small(few) => return few,
            Root::Large(node) => (&**node, hash),
        };
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Branch(branch) => {
                    node = &branch.children[usize::from(branch.slots[rest as usize % SLOTS])];
                    rest >>= BITS;
                }
            }
        }
    }

    /// Whether there is an entry with this hash.
    #[inline]
    pub(super) fn contains(&self, hash: u64) -> bool {
        self.leaf(hash).iter().any(|(h, _)| *h == hash)
    }

    /// The entries with this hash, in the order in which they were put.
    #[inline]
    pub(super) fn all(&self, hash: u64) -> impl Iterator<Item = &T> {
        self.leaf(hash).iter().filter(move |(h, _)| *h == hash).map(|(_, item)| item)
    }

    /// The first entry with this hash and all behind it in its leaf; none when there is none.
    #[inline]
    pub(super) fn since(&self, hash: u64) -> &[(u64, T)] {
        let leaf = self.leaf(hash);
        let first = leaf.iter().position(|(h, _)| *h == hash);
        first.and_then(|first| leaf.get(first..)).unwrap_or_default()
    }

    /// Change the leaf that has, or would have, the entries with this hash.
    pub(super) fn edit<R>(&mut self, hash: u64, change: impl FnOnce(&mut Leaf<'_, T>) -> R) -> R {
        match &mut self.root {
            Root::Small(few) => {
                let answer = change(&mut Leaf::Few(few));
                if is_full(few, 0) {
                    self.root = Root::Large(Arc::new(Node::Branch(Branch::of(std::mem::take(few).into_iter(), 0))));
                }
                answer
            }
            Root::Large(node) => {
                let node = Arc::make_mut(node);
                let answer = edit(node, hash, 0, change);
                if let Node::Leaf(leaf) = node {
                    self.root = Root::Small(std::mem::take(leaf).into_iter().collect());
                }
                answer
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.root, Root::Small(few) if few.is_empty())
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        match &self.root {
            Root::Small(few) => Iter { branches: Vec::new(), leaf: few.iter(), first: None },
            Root::Large(node) => Iter { branches: Vec::new(), leaf: [].iter(), first: Some(node) },
        }
    }
}

impl HashTrie<u32> {
    /// Count one more with this hash.
    pub(super) fn count_up(&mut self, hash: u64) {
        self.edit(hash, |leaf| match leaf.iter_mut().find(|(h, _)| *h == hash) {
            Some((_, n)) => *n += 1,
            None => leaf.push((hash, 1)),
        });
    }

    /// Count one less.
    pub(super) fn count_down(&mut self, hash: u64) {
        self.edit(hash, |leaf| {
            if let Some(at) = leaf.iter().position(|(h, _)| *h == hash) {
                leaf[at].1 -= 1;
                if leaf[at].1 == 0 {
                    leaf.remove(at);
                }
            }
        });
    }
}

fn edit<T: Clone, R>(node: &mut Node<T>, hash: u64, depth: u32, change: impl FnOnce(&mut Leaf<'_, T>) -> R) -> R {
    match node {
        // Its branch splits it.
        Node::Leaf(leaf) => change(&mut Leaf::Many(leaf)),
        Node::Branch(branch) => {
            let at = usize::from(branch.slots[slot(hash, depth)]);
            let child = Arc::make_mut(&mut branch.children[at]);
            let answer = edit(child, hash, depth + 1, change);
            match child {
                Node::Leaf(leaf) if is_full(leaf, depth) => branch.split(at, depth),
                Node::Leaf(leaf) if leaf.len() <= 1 => {
                    if let Some(leaf) = branch.united() {
                        *node = Node::Leaf(leaf);
                    }
                }
                _ => {}
            }
            answer
        }
    }
}

/// Whether a leaf below a branch of this depth should be split.
fn is_full<T>(leaf: &[(u64, T)], depth: u32) -> bool {
    leaf.len() > LEAF && depth < MAX_DEPTH && leaf.iter().any(|(h, _)| *h != leaf[0].0)
}

impl<T: Clone> Branch<T> {
    /// A branch with the entries of a leaf that is full.
    fn of(leaf: impl Iterator<Item = (u64, T)>, depth: u32) -> Branch<T> {
        let mut branch = Branch { slots: [0; SLOTS], children: SmallVec::new() };
        branch.children.push(Arc::new(Node::Leaf(leaf.collect())));
        branch.split(0, depth);
        branch
    }

    /// Split the full leaf `at`, until none is full.
    fn split(&mut self, at: usize, depth: u32) {
        let mine = |s: &usize| usize::from(self.slots[*s]) == at;
        let count = (0..SLOTS).filter(mine).count();
        let Some(lowest) = (0..SLOTS).find(mine) else { return };
        let child = Arc::make_mut(&mut self.children[at]);
        let Node::Leaf(leaf) = child else { return };
        if !is_full(leaf, depth) {
            return;
        }
        if count == 1 {
            *child = Node::Branch(Branch::of(std::mem::take(leaf).into_iter(), depth + 1));
            return;
        }
        // The slots of a child agree in their low bits; the next bit divides them.
        let bit = SLOTS / count;
        let mut upper = Many::new();
        let mut lower = Many::new();
        for entry in std::mem::take(leaf) {
            let side = if slot(entry.0, depth) & bit == 0 { &mut lower } else { &mut upper };
            side.push(entry);
        }
        *leaf = lower;
        let other = self.children.len();
        self.children.push(Arc::new(Node::Leaf(upper)));
        for s in (lowest..SLOTS).step_by(bit).filter(|s| s & bit != 0) {
            self.slots[s] = other as u8;
        }
        self.split(at, depth);
        self.split(other, depth);
    }

    /// All entries as one leaf, when they are few.
    fn united(&self) -> Option<Many<T>> {
        let mut all = Many::new();
        for child in &self.children {
            match &**child {
                Node::Leaf(leaf) if all.len() + leaf.len() <= LEAF / 2 => all.extend(leaf.iter().cloned()),
                _ => return None,
            }
        }
        Some(all)
    }
}

/// The items of a [`HashTrie`], in no order.
#[derive(Debug)]
pub(super) struct Iter<'a, T> {
    branches: Vec<std::slice::Iter<'a, Arc<Node<T>>>>,
    leaf: std::slice::Iter<'a, (u64, T)>,
    first: Option<&'a Node<T>>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some((_, item)) = self.leaf.next() {
                return Some(item);
            }
            let node = match self.first.take() {
                Some(root) => root,
                None => match self.branches.last_mut()?.next() {
                    Some(child) => child,
                    None => {
                        self.branches.pop();
                        continue;
                    }
                },
            };
            match node {
                Node::Leaf(leaf) => self.leaf = leaf.iter(),
                Node::Branch(branch) => self.branches.push(branch.children.iter()),
            }
        }
    }
}
