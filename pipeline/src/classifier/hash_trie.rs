//! A persistent set of values with their 64-bit hashes: a trie over the bits of the hash, with leaves of up to
//! [`LEAF`] entries that are searched from end to end.
//!
//! A changed copy shares all but one path with the original; in a copy that shares nothing (a batch of changes works on
//! one) a change happens in place. Small sets, by far the most, are one leaf inside the struct itself.

use smallvec::SmallVec;
use std::sync::Arc;

/// Most entries of a leaf, unless they all have the same hash.
const LEAF: usize = 16;
/// Bits of the hash that choose a branch's child.
const BITS: u32 = 4;
const SLOTS: usize = 1 << BITS;
/// The deepest branch: beyond it the hash has no more bits.
const MAX_DEPTH: u32 = (u64::BITS - 1) / BITS;

/// Entries of one leaf, those of one hash in the order in which they were put.
pub(super) type Leaf<T> = SmallVec<[(u64, T); 2]>;

#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Leaf<T>),
    Branch(Branch<T>),
}

/// Which child has the entries whose hash has certain four bits. A child may have several slots: all those that
/// agree in their low bits, so that a full leaf is split in two and not in 16.
#[derive(Clone, Debug)]
struct Branch<T> {
    slots: [u8; SLOTS],
    children: Vec<Arc<Node<T>>>,
}

#[derive(Clone, Debug)]
pub(super) struct HashTrie<T> {
    root: Node<T>,
}

impl<T> Default for HashTrie<T> {
    fn default() -> Self {
        HashTrie { root: Node::Leaf(Leaf::new()) }
    }
}

fn slot(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % SLOTS
}

impl<T: Clone> HashTrie<T> {
    /// The entries among which those with this hash are.
    #[inline]
    fn leaf(&self, hash: u64) -> &[(u64, T)] {
        let (mut node, mut rest) = (&self.root, hash);
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
    pub(super) fn edit<R>(&mut self, hash: u64, change: impl FnOnce(&mut Leaf<T>) -> R) -> R {
        edit(&mut self.root, hash, 0, change)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.root, Node::Leaf(leaf) if leaf.is_empty())
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter { branches: Vec::new(), leaf: [].iter(), first: Some(&self.root) }
    }
}

impl HashTrie<u32> {
    /// Count one more with this hash.
    pub(super) fn count_up(&mut self, hash: u64) {
        self.edit(hash, |leaf| match leaf.iter_mut().find(|(h, _)| *h == hash) {
            Some((_, n)) => *n += 1,
            None => push(leaf, (hash, 1)),
        });
    }

    /// Count one less.
    pub(super) fn count_down(&mut self, hash: u64) {
        self.edit(hash, |leaf| {
            if let Some(at) = leaf.iter().position(|(h, _)| *h == hash) {
                leaf[at].1 -= 1;
                if leaf[at].1 == 0 {
                    leaf.swap_remove(at);
                }
            }
        });
    }
}

/// Add an entry. Room grows by few: most leaves never fill up.
pub(super) fn push<T>(leaf: &mut Leaf<T>, entry: (u64, T)) {
    if leaf.len() == leaf.capacity() {
        leaf.reserve_exact(4);
    }
    leaf.push(entry);
}

fn edit<T: Clone, R>(node: &mut Node<T>, hash: u64, depth: u32, change: impl FnOnce(&mut Leaf<T>) -> R) -> R {
    match node {
        Node::Leaf(leaf) => {
            let answer = change(leaf);
            if is_full(leaf, depth) {
                let children = vec![Arc::new(Node::Leaf(std::mem::take(leaf)))];
                let mut branch = Branch { slots: [0; SLOTS], children };
                branch.split(0, depth);
                *node = Node::Branch(branch);
            }
            answer
        }
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
fn is_full<T>(leaf: &Leaf<T>, depth: u32) -> bool {
    leaf.len() > LEAF && depth < MAX_DEPTH && leaf.iter().any(|(h, _)| *h != leaf[0].0)
}

impl<T: Clone> Branch<T> {
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
            let below = Node::Leaf(std::mem::take(leaf));
            let mut branch = Branch { slots: [0; SLOTS], children: vec![Arc::new(below)] };
            branch.split(0, depth + 1);
            *child = Node::Branch(branch);
            return;
        }
        // The slots of a child agree in their low bits; the next bit divides them.
        let bit = SLOTS / count;
        let mut upper = Leaf::new();
        let mut lower = Leaf::new();
        for entry in std::mem::take(leaf) {
            let side = if slot(entry.0, depth) & bit == 0 { &mut lower } else { &mut upper };
            push(side, entry);
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
    fn united(&self) -> Option<Leaf<T>> {
        let mut all = Leaf::new();
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
