//! A copy of the kernel's objects that follows its events.

use std::collections::BTreeMap;

/// A difference between what was known and what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta<V> {
    /// An object came.
    Added(V),
    /// An object is different now.
    Changed {
        /// What was known of it.
        old: V,
        /// What it is.
        new: V,
    },
    /// An object went. What was known of it.
    Removed(V),
}

/// Objects by key, changed by events ([`Replica::set`], [`Replica::remove`]) and put right by dumps ([`Replica::replace`]).
///
/// Feeding it in this order makes it end at the truth, whatever was lost: join the multicast group; after each
/// [`crate::Notice::Resync`], and at the start, [`crate::EventStream::drain`], dump, `replace`; then the events.
/// An event that is older than the dump can bring back an old value for a moment, but then the newer event is in the queue
/// behind it, or a resync is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica<K, V> {
    known: BTreeMap<K, V>,
}

impl<K, V> Default for Replica<K, V> {
    fn default() -> Self {
        Replica { known: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Replica<K, V> {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known.
    #[must_use]
    pub fn known(&self) -> &BTreeMap<K, V> {
        &self.known
    }

    /// An event says that the object is so. `None` when that was known.
    pub fn set(&mut self, key: K, new: V) -> Option<Delta<V>> {
        match self.known.insert(key, new.clone()) {
            None => Some(Delta::Added(new)),
            Some(old) if old == new => None,
            Some(old) => Some(Delta::Changed { old, new }),
        }
    }

    /// An event says that the object went. `None` when there was none.
    pub fn remove(&mut self, key: &K) -> Option<Delta<V>> {
        self.known.remove(key).map(Delta::Removed)
    }

    /// A dump says that these objects are all there are. Returns what that changes: first what went, then by key.
    pub fn replace(&mut self, all: impl IntoIterator<Item = (K, V)>) -> Vec<Delta<V>> {
        let mut fresh: BTreeMap<K, V> = all.into_iter().collect();
        let gone: Vec<K> = self.known.keys().filter(|k| !fresh.contains_key(k)).cloned().collect();
        let mut deltas: Vec<_> = gone.iter().filter_map(|k| self.remove(k)).collect();
        while let Some((key, value)) = fresh.pop_first() {
            deltas.extend(self.set(key, value));
        }
        deltas
    }
}
