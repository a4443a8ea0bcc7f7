//! Things by numbers that are given out in order.
//!
//! Operations, rules and counters have numbers that only grow, so that a table of pages finds them without a hash and grows
//! without moving what is in it.

use std::collections::VecDeque;

/// Things of one page.
const PAGE: u64 = 64;

/// A map by numbers that are given out in order, and not again. Numbers may go in out of order, and come out in any; it takes 32
/// bytes for each 64 numbers between the lowest and the highest that are in.
#[derive(Clone, Debug)]
pub struct Numbered<T> {
    pages: VecDeque<Page<T>>,
    /// The number of the first page.
    first: u64,
    len: usize,
    /// Memory of a page that is empty.
    spare: Vec<Option<T>>,
}

#[derive(Clone, Debug)]
struct Page<T> {
    /// None of them, or as many as a page has.
    slots: Vec<Option<T>>,
    live: u32,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered { pages: VecDeque::new(), first: 0, len: 0, spare: Vec::new() }
    }
}

fn split(number: u64) -> (u64, usize) {
    (number / PAGE, (number % PAGE) as usize)
}

impl<T> Numbered<T> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The thing with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&T> {
        let (page, at) = split(number);
        let page = self.pages.get(page.checked_sub(self.first)? as usize)?;
        page.slots.get(at)?.as_ref()
    }

    /// The same, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (page, at) = split(number);
        let page = self.pages.get_mut(page.checked_sub(self.first)? as usize)?;
        page.slots.get_mut(at)?.as_mut()
    }

    /// Whether there is one with this number.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    /// Put one in; what had the number before.
    #[inline]
    pub fn insert(&mut self, number: u64, thing: T) -> Option<T> {
        let (page, at) = split(number);
        let index = self.index(page);
        let page = self.pages.get_mut(index)?;
        if page.slots.is_empty() {
            page.slots = std::mem::take(&mut self.spare);
            if page.slots.is_empty() {
                page.slots.reserve_exact(PAGE as usize);
                page.slots.extend((0..PAGE).map(|_| None));
            }
        }
        let old = page.slots.get_mut(at)?.replace(thing);
        if old.is_none() {
            page.live += 1;
            self.len += 1;
        }
        old
    }

    /// Where a page is; it is there then.
    #[inline]
    fn index(&mut self, page: u64) -> usize {
        if self.pages.is_empty() {
            self.first = page;
        }
        while page < self.first {
            self.first -= 1;
            self.pages.push_front(Page { slots: Vec::new(), live: 0 });
        }
        let index = (page - self.first) as usize;
        while index >= self.pages.len() {
            self.pages.push_back(Page { slots: Vec::new(), live: 0 });
        }
        index
    }

    /// Take one out.
    #[inline]
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let (page, at) = split(number);
        let page = self.pages.get_mut(page.checked_sub(self.first)? as usize)?;
        let thing = page.slots.get_mut(at)?.take()?;
        page.live -= 1;
        self.len -= 1;
        if page.live == 0 {
            self.spare = std::mem::take(&mut page.slots);
            while self.pages.front().is_some_and(|page| page.live == 0) {
                self.pages.pop_front();
                self.first += 1;
            }
        }
        Some(thing)
    }

    /// Take all out.
    pub fn clear(&mut self) {
        *self = Numbered::default();
    }

    /// All, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.pages.iter().zip(self.first..).flat_map(|(page, n)| {
            page.slots.iter().zip(n * PAGE..).filter_map(|(slot, number)| Some((number, slot.as_ref()?)))
        })
    }

    /// Keep those of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(u64, &T) -> bool) {
        let gone: Vec<u64> = self.iter().filter(|(number, thing)| !keep(*number, thing)).map(|(n, _)| n).collect();
        for number in gone {
            self.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u32),
        Remove(u64),
        Retain(u32),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = prop_oneof![0..2000u64, 60..70u64, 1_000_000..1_000_200u64];
        prop_oneof![
            10 => (number.clone(), any::<u32>()).prop_map(|(n, v)| Step::Insert(n, v)),
            8 => number.prop_map(Step::Remove),
            1 => (2..5u32).prop_map(Step::Retain),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec(step(), 1..300)) {
            let (mut map, mut model) = (Numbered::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(n, v) => prop_assert_eq!(map.insert(n, v), model.insert(n, v)),
                    Step::Remove(n) => prop_assert_eq!(map.remove(n), model.remove(&n)),
                    Step::Retain(by) => {
                        map.retain(|n, v| (n as u32 ^ v).is_multiple_of(by));
                        model.retain(|n, v| (*n as u32 ^ *v).is_multiple_of(by));
                    }
                    Step::Clear => {
                        map.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert!(map.iter().eq(model.iter().map(|(n, v)| (*n, v))));
                for n in [0, 63, 64, 65, 1999, 1_000_000, u64::MAX] {
                    prop_assert_eq!(map.get(n), model.get(&n));
                    prop_assert_eq!(map.get_mut(n), model.get_mut(&n));
                    prop_assert_eq!(map.contains(n), model.contains_key(&n));
                }
            }
        }
    }

    #[test]
    fn numbers_that_go_by_leave_nothing_behind() {
        let mut map = Numbered::default();
        for n in 0..10_000u64 {
            map.insert(n, n);
            assert_eq!(n.checked_sub(100).and_then(|old| map.remove(old)), n.checked_sub(100));
        }
        assert!(map.pages.len() <= 3, "{}", map.pages.len());
    }
}
