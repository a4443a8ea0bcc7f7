//! Things by numbers that are given out in order.
//!
//! Flows, operations, rules and counters have numbers that only grow, and who is asked for one is mostly asked for its neighbour
//! next. So they are in pages of neighbours: the last page is at hand without a search, and nothing moves when there are more.

use std::collections::BTreeMap;

/// Things of one page.
const PAGE: u64 = 64;
/// Empty pages whose memory is kept.
const SPARE: usize = 8;
/// No page has this number.
const NONE: u64 = u64::MAX;

/// A map by numbers that are given out in order, and not again. Numbers may go in out of order, and come out in any; one that is alone
/// among its neighbours takes the room of 64.
#[derive(Clone, Debug)]
pub struct Numbered<T> {
    /// Where each page is.
    index: BTreeMap<u64, usize>,
    pages: Vec<Page<T>>,
    /// Pages of no number.
    free: Vec<usize>,
    /// The page that was asked for last, and where it is.
    last: (u64, usize),
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    /// None of them, or as many as a page has.
    slots: Vec<Option<T>>,
    live: u32,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered { index: BTreeMap::new(), pages: Vec::new(), free: Vec::new(), last: (NONE, 0), len: 0 }
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

    #[inline]
    fn find(&self, page: u64) -> Option<usize> {
        if self.last.0 == page { Some(self.last.1) } else { self.index.get(&page).copied() }
    }

    /// The thing with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&T> {
        let (page, at) = split(number);
        self.pages.get(self.find(page)?)?.slots.get(at)?.as_ref()
    }

    /// The same, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (page, at) = split(number);
        let index = self.find(page)?;
        self.last = (page, index);
        self.pages.get_mut(index)?.slots.get_mut(at)?.as_mut()
    }

    /// Whether there is one with this number.
    #[inline]
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    /// Put one in; what had the number before.
    #[inline]
    pub fn insert(&mut self, number: u64, thing: T) -> Option<T> {
        let (page, at) = split(number);
        if self.last.0 != page {
            self.open(page);
        }
        let page = self.pages.get_mut(self.last.1)?;
        let old = page.slots.get_mut(at)?.replace(thing);
        if old.is_none() {
            page.live += 1;
            self.len += 1;
        }
        old
    }

    /// Make a page the last that was asked for, whether or not it is there already.
    fn open(&mut self, number: u64) {
        let Numbered { index, pages, free, last, .. } = self;
        let at = *index.entry(number).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                pages.push(Page { slots: Vec::new(), live: 0 });
                pages.len() - 1
            })
        });
        *last = (number, at);
        if let Some(page) = pages.get_mut(at)
            && page.slots.is_empty()
        {
            page.slots.reserve_exact(PAGE as usize);
            page.slots.extend((0..PAGE).map(|_| None));
        }
    }

    /// Take one out.
    #[inline]
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let (number, at) = split(number);
        let index = self.find(number)?;
        self.last = (number, index);
        let page = self.pages.get_mut(index)?;
        let thing = page.slots.get_mut(at)?.take()?;
        page.live -= 1;
        self.len -= 1;
        if page.live == 0 {
            if self.free.len() >= SPARE {
                page.slots = Vec::new();
            }
            self.free.push(index);
            self.index.remove(&number);
            self.last = (NONE, 0);
        }
        Some(thing)
    }

    /// Take all out.
    pub fn clear(&mut self) {
        *self = Numbered::default();
    }

    /// All, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let pages = self.index.iter().filter_map(|(number, at)| Some((*number, self.pages.get(*at)?)));
        pages.flat_map(|(number, page)| {
            page.slots.iter().zip(number * PAGE..).filter_map(|(slot, number)| Some((number, slot.as_ref()?)))
        })
    }

    /// All, to be changed, in no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flat_map(|page| page.slots.iter_mut().flatten())
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
                let mut changed: Vec<u32> = map.values_mut().map(|v| *v).collect();
                changed.sort_unstable();
                let mut all: Vec<u32> = model.values().copied().collect();
                all.sort_unstable();
                prop_assert_eq!(changed, all);
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
        assert!(map.pages.len() <= 4 && map.index.len() <= 3, "{map:?}");
        let mut far = Numbered::default();
        (0..40u64).for_each(|n| assert_eq!(far.insert(n << 50, n), None));
        assert_eq!((far.len(), far.pages.len()), (40, 40));
        (0..40u64).for_each(|n| assert_eq!(far.remove(n << 50), Some(n)));
        assert_eq!(far.pages.iter().filter(|page| !page.slots.is_empty()).count(), SPARE);
    }
}
