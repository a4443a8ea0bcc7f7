//! Flows by what they have in common: mask, and what their translations depended on.
//!
//! The masked words of a class's keys stand together, each word of eight flows in a line, so that a change is
//! compared with all flows by reading the few words that it names. No other word and no flow that it does not concern
//! is touched: what is read comes out of the caches of workers.

use super::sieve::{Filter, LANES};
use flow::Mask;
use flow::dp::Dep;
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::{BuildHasher, Hash, Hasher};

/// Flows with one mask and one set of dependencies.
#[derive(Debug)]
pub(crate) struct Class {
    /// The mask's number.
    pub(crate) mask: u32,
    /// Those that flows have of their own apart ([`super::owned`]).
    pub(crate) deps: Box<[Dep]>,
    pub(crate) written: Option<Box<Mask>>,
    hash: u64,
    /// Words of a key.
    width: usize,
    /// Numbers of rules a flow ([`super::effects`]).
    counts: usize,
    /// The flow of each row.
    flows: Vec<u32>,
    /// Blocks of [`LANES`] rows: of each word of the key, those of all rows of the block.
    keys: Vec<u64>,
    /// `counts` numbers a row.
    numbers: Vec<u64>,
}

/// Where the first word of a row's key is; the next ones are [`LANES`] apart.
fn place(width: usize, row: usize) -> usize {
    row / LANES * LANES * width + row % LANES
}

impl Class {
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The words of a flow's key that the mask requires, in their order.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> impl Iterator<Item = u64> {
        let words = self.keys.get(place(self.width, row as usize)..).unwrap_or_default();
        words.iter().step_by(LANES).take(self.width).copied()
    }

    /// The numbers of rules that a flow counts for.
    pub(crate) fn numbers(&self, row: u32) -> &[u64] {
        let at = row as usize * self.counts;
        self.numbers.get(at..at + self.counts).unwrap_or_default()
    }

    /// Add the flows in rows `from..to` that the filter lets through.
    pub(crate) fn pick(&self, from: usize, to: usize, filter: &Filter, into: &mut Vec<u32>) {
        let to = to.min(self.len());
        let Some(flows) = self.flows.get(from..to) else { return };
        match filter {
            Filter::All => into.extend_from_slice(flows),
            Filter::Some(_) if self.width == 0 => into.extend_from_slice(flows),
            Filter::Some(tests) => {
                let first = from / LANES;
                let blocks = self.keys.chunks_exact(LANES * self.width);
                for (nth, block) in blocks.enumerate().take(to.div_ceil(LANES)).skip(first) {
                    let mut met = tests.iter().fold(0u8, |met, test| met | test.meets(block));
                    while met != 0 {
                        let row = nth * LANES + met.trailing_zeros() as usize;
                        met &= met - 1;
                        into.extend(row.checked_sub(from).and_then(|at| flows.get(at)));
                    }
                }
            }
        }
    }
}

/// Add to a list that may get long, growing it by a quarter: doubling would leave as much again unused.
fn push_slowly<T>(list: &mut Vec<T>, more: impl ExactSizeIterator<Item = T>) {
    if list.capacity() - list.len() < more.len() {
        list.reserve_exact(more.len().max(list.len() / 4));
    }
    list.extend(more);
}

/// All classes.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    classes: Vec<Option<Class>>,
    free: Vec<u32>,
    by_content: HashTable<u32>,
    by_dep: HashMap<Dep, Vec<u32>>,
    hasher: DefaultHashBuilder,
    /// The class of the latest flow: the next one is often of it too.
    latest: u32,
}

impl Classes {
    pub(crate) fn get(&self, id: u32) -> Option<&Class> {
        self.classes.get(id as usize)?.as_ref()
    }

    /// The class with this content, made when there is none. `width` and `counts`: the words and the numbers of a row.
    pub(crate) fn find<'d>(
        &mut self,
        mask: u32,
        deps: impl Iterator<Item = &'d Dep> + Clone,
        written: Option<&Mask>,
        width: usize,
        counts: usize,
    ) -> u32 {
        let is = |c: &Class| {
            c.mask == mask && c.counts == counts && c.written.as_deref() == written && c.deps.iter().eq(deps.clone())
        };
        if self.get(self.latest).is_some_and(is) {
            return self.latest;
        }
        let mut hasher = self.hasher.build_hasher();
        (mask, counts, written).hash(&mut hasher);
        deps.clone().for_each(|dep| dep.hash(&mut hasher));
        let hash = hasher.finish();
        let classes = &self.classes;
        let of = |id: &u32| classes.get(*id as usize).and_then(Option::as_ref);
        if let Some(id) = self.by_content.find(hash, |id| of(id).is_some_and(|c| c.hash == hash && is(c))) {
            self.latest = *id;
            return *id;
        }
        let deps: Box<[Dep]> = deps.copied().collect();
        let id = self.free.pop().unwrap_or(self.classes.len() as u32);
        for dep in &deps {
            self.by_dep.entry(*dep).or_default().push(id);
        }
        let written = written.map(|m| Box::new(*m));
        let (flows, keys, numbers) = (Vec::new(), Vec::new(), Vec::new());
        let class = Some(Class { mask, deps, written, hash, width, counts, flows, keys, numbers });
        match self.classes.get_mut(id as usize) {
            Some(place) => *place = class,
            None => self.classes.push(class),
        }
        let classes = &self.classes;
        let hash_of = |id: &u32| classes.get(*id as usize).and_then(Option::as_ref).map_or(0, |c| c.hash);
        self.by_content.insert_unique(hash, id, hash_of);
        self.latest = id;
        id
    }

    /// Add a flow; its row. `words` are those of its key, and the numbers behind them.
    pub(crate) fn push(&mut self, id: u32, flow: u32, words: &[u64]) -> u32 {
        let Some(Some(class)) = self.classes.get_mut(id as usize) else { return 0 };
        let Some((key, numbers)) = words.split_at_checked(class.width) else { return 0 };
        let row = class.flows.len();
        push_slowly(&mut class.flows, std::iter::once(flow));
        push_slowly(&mut class.numbers, numbers.iter().copied());
        if row.is_multiple_of(LANES) {
            push_slowly(&mut class.keys, std::iter::repeat_n(0, LANES * class.width));
        }
        let places = class.keys.get_mut(place(class.width, row)..).unwrap_or_default();
        places.iter_mut().step_by(LANES).zip(key).for_each(|(place, word)| *place = *word);
        row as u32
    }

    /// Let a flow count for the rules with these numbers; as many as there were.
    pub(crate) fn set_numbers(&mut self, id: u32, row: u32, numbers: &[u64]) {
        let Some(Some(class)) = self.classes.get_mut(id as usize) else { return };
        let at = row as usize * class.counts;
        if let Some(place) = class.numbers.get_mut(at..at + class.counts) {
            place.iter_mut().zip(numbers).for_each(|(place, number)| *place = *number);
        }
    }

    /// Take a flow out; the one that has its row now. A class without flows is forgotten: its mask is handed back.
    pub(crate) fn remove(&mut self, id: u32, row: u32) -> (Option<u32>, Option<u32>) {
        let Some(Some(class)) = self.classes.get_mut(id as usize) else { return (None, None) };
        let (row, last) = (row as usize, class.flows.len().saturating_sub(1));
        if row > last || class.flows.is_empty() {
            return (None, None);
        }
        class.flows.swap_remove(row);
        let (from, to) = (place(class.width, last), place(class.width, row));
        for word in 0..class.width {
            class.keys[to + word * LANES] = class.keys[from + word * LANES];
        }
        class.keys.truncate(last.div_ceil(LANES) * LANES * class.width);
        let counts = class.counts;
        class.numbers.copy_within(last * counts..(last + 1) * counts, row * counts);
        class.numbers.truncate(last * counts);
        if !class.flows.is_empty() {
            if class.flows.capacity() > 1024 && class.flows.len() < class.flows.capacity() / 4 {
                class.flows.shrink_to(class.flows.len() * 2);
                class.keys.shrink_to(class.keys.len() * 2);
                class.numbers.shrink_to(class.numbers.len() * 2);
            }
            return (class.flows.get(row).copied(), None);
        }
        let mask = class.mask;
        self.forget(id);
        (None, Some(mask))
    }

    fn forget(&mut self, id: u32) {
        let Some(class) = self.classes.get_mut(id as usize).and_then(Option::take) else { return };
        if let Ok(found) = self.by_content.find_entry(class.hash, |i| *i == id) {
            found.remove();
        }
        for dep in &class.deps {
            if let Entry::Occupied(mut ids) = self.by_dep.entry(*dep) {
                if let Some(at) = ids.get().iter().position(|i| *i == id) {
                    ids.get_mut().swap_remove(at);
                }
                if ids.get().is_empty() {
                    ids.remove();
                }
            }
        }
        self.free.push(id);
    }

    /// The classes that depend on this.
    pub(crate) fn dependents(&self, dep: &Dep) -> &[u32] {
        self.by_dep.get(dep).map(Vec::as_slice).unwrap_or_default()
    }

    /// The numbers of all classes.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.classes).filter(|(_, c)| c.is_some()).map(|(id, _)| id)
    }
}
