//! Flows by what they have in common: mask, and what their translations depended on.
//!
//! The masked words of a class's keys stand one after another, so that a change is compared with all of its flows by reading
//! a few words of each, and no flow that it does not concern is touched.

use super::sieve::Filter;
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
    width: usize,
    /// Words of a row: those of the key, and numbers of rules behind them ([`super::effects`]).
    stride: usize,
    /// The flow of each row.
    flows: Vec<u32>,
    /// `stride` words a row.
    words: Vec<u64>,
}

impl Class {
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The words of a flow's key that the mask requires, in their order.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> &[u64] {
        let at = row as usize * self.stride;
        self.words.get(at..at + self.width).unwrap_or_default()
    }

    /// What a flow's row has behind them.
    pub(crate) fn numbers(&self, row: u32) -> &[u64] {
        let at = row as usize * self.stride;
        self.words.get(at + self.width..at + self.stride).unwrap_or_default()
    }

    /// Add the flows in rows `from..to` that the filter lets through.
    pub(crate) fn pick(&self, from: usize, to: usize, filter: &Filter, into: &mut Vec<u32>) {
        let to = to.min(self.len());
        let Some(flows) = self.flows.get(from..to) else { return };
        match filter {
            Filter::All => into.extend_from_slice(flows),
            Filter::Some(_) if self.width == 0 => into.extend_from_slice(flows),
            Filter::Some(tests) => {
                let rows = self.words[from * self.stride..to * self.stride].chunks_exact(self.stride);
                for (row, flow) in rows.zip(flows) {
                    if tests.iter().any(|test| test.meets(row)) {
                        into.push(*flow);
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

    /// The class with this content, made when there is none. `width` and `numbers`: the words of a row.
    pub(crate) fn find<'d>(
        &mut self,
        mask: u32,
        deps: impl Iterator<Item = &'d Dep> + Clone,
        written: Option<&Mask>,
        width: usize,
        numbers: usize,
    ) -> u32 {
        let stride = width + numbers;
        let is = |c: &Class| {
            c.mask == mask && c.stride == stride && c.written.as_deref() == written && c.deps.iter().eq(deps.clone())
        };
        if self.get(self.latest).is_some_and(is) {
            return self.latest;
        }
        let mut hasher = self.hasher.build_hasher();
        (mask, stride, written).hash(&mut hasher);
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
        let class = Some(Class { mask, deps, written, hash, width, stride, flows: Vec::new(), words: Vec::new() });
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

    /// Add a flow; its row. `words` are all of its row.
    pub(crate) fn push(&mut self, id: u32, flow: u32, words: &[u64]) -> u32 {
        let Some(Some(class)) = self.classes.get_mut(id as usize) else { return 0 };
        push_slowly(&mut class.flows, std::iter::once(flow));
        push_slowly(&mut class.words, words.iter().copied());
        (class.flows.len() - 1) as u32
    }

    /// Let a flow have these behind the words of its key; as many as there were.
    pub(crate) fn set_numbers(&mut self, id: u32, row: u32, numbers: &[u64]) {
        let Some(Some(class)) = self.classes.get_mut(id as usize) else { return };
        let at = row as usize * class.stride;
        if let Some(place) = class.words.get_mut(at + class.width..at + class.stride) {
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
        let stride = class.stride;
        class.words.copy_within(last * stride..(last + 1) * stride, row * stride);
        class.words.truncate(last * stride);
        if !class.flows.is_empty() {
            if class.flows.capacity() > 1024 && class.flows.len() < class.flows.capacity() / 4 {
                class.flows.shrink_to(class.flows.len() * 2);
                class.words.shrink_to(class.words.len() * 2);
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
