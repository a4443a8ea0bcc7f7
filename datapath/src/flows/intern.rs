//! Equal values kept once, under a number, for as long as somebody uses them.

use hashbrown::HashTable;
use std::sync::Arc;

#[derive(Debug)]
struct Entry<T: ?Sized> {
    value: Arc<T>,
    hash: u64,
    users: u32,
}

/// Values with their numbers.
#[derive(Debug)]
pub(crate) struct Interner<T: ?Sized> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    by_value: HashTable<u32>,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Interner { entries: Vec::new(), free: Vec::new(), by_value: HashTable::new() }
    }
}

impl<T: ?Sized> Interner<T> {
    /// The number of the value with this hash of which `is` holds, which has one more user now; made when there is none.
    pub(crate) fn take(&mut self, hash: u64, is: impl Fn(&T) -> bool, make: impl FnOnce() -> Arc<T>) -> u32 {
        let entries = &mut self.entries;
        let found = self.by_value.find(hash, |id| {
            entries.get(*id as usize).and_then(Option::as_ref).is_some_and(|e| e.hash == hash && is(&e.value))
        });
        if let Some(entry) = found.and_then(|id| entries.get_mut(*id as usize)?.as_mut().map(|e| (*id, e))) {
            entry.1.users += 1;
            return entry.0;
        }
        let new = Some(Entry { value: make(), hash, users: 1 });
        let id = match self.free.pop() {
            Some(id) => {
                entries[id as usize] = new;
                id
            }
            None => {
                entries.push(new);
                (entries.len() - 1) as u32
            }
        };
        let hash_of = |id: &u32| entries.get(*id as usize).and_then(Option::as_ref).map_or(0, |e| e.hash);
        self.by_value.insert_unique(hash, id, hash_of);
        id
    }

    /// As [`Interner::take`] where the value may be the one with this number; `false`: it is not.
    pub(crate) fn take_known(&mut self, id: u32, is: impl Fn(&T) -> bool) -> bool {
        match self.entries.get_mut(id as usize) {
            Some(Some(entry)) if is(&entry.value) => {
                entry.users += 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Arc<T>> {
        Some(&self.entries.get(id as usize)?.as_ref()?.value)
    }

    /// A value has one user less.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(place) = self.entries.get_mut(id as usize) else { return };
        let Some(entry) = place else { return };
        entry.users -= 1;
        if entry.users == 0 {
            if let Ok(found) = self.by_value.find_entry(entry.hash, |i| *i == id) {
                found.remove();
            }
            *place = None;
            self.free.push(id);
        }
    }

    /// Number of values.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_value.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_number_until_nobody_uses_it() {
        let mut interner = Interner::<str>::default();
        // All of one hash.
        let take = |i: &mut Interner<str>, s: &str| i.take(7, |v| v == s, || Arc::from(s));
        let (a, b) = (take(&mut interner, "a"), take(&mut interner, "b"));
        assert_eq!((take(&mut interner, "a"), interner.len()), (a, 2));
        interner.release(a);
        assert_eq!(interner.get(a).map(|v| &**v), Some("a"));
        interner.release(a);
        assert_eq!((interner.get(a), interner.len()), (None, 1));
        assert_eq!(take(&mut interner, "c"), a);
        assert_eq!((interner.get(b).map(|v| &**v), interner.get(a).map(|v| &**v)), (Some("b"), Some("c")));
    }
}
