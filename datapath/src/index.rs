//! From hashes to numbers of flows: a hash table whose places in memory can be asked for before they are needed.
//!
//! Open addressing, place after place: an entry is in the place that its hash says or, when that is taken, in one of
//! those right behind. So what a search reads is one line of memory, mostly; it is known from the hash alone, and it
//! is the line that an entry which was not found goes into. Entries have 32 bits of the hash, so that nothing but the
//! table is read when it grows.

/// Places of the smallest table.
const LEAST: usize = 8;

/// Numbers by hash. One number may be there under several hashes, and several under one.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Hash and number; 0: free. As many as a power of two, or none. At most four in five are taken.
    places: Box<[u64]>,
    len: usize,
}

#[inline(always)]
fn entry(hash: u32, number: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(number)
}

/// The place where the search for an entry begins, before it is taken modulo the number of places.
#[inline(always)]
fn home(entry: u64) -> usize {
    (entry >> 32) as usize
}

impl Index {
    /// A table that does not grow before it has more than so many entries.
    pub(crate) fn with_room(entries: usize) -> Index {
        Index { places: vec![0; places_for(entries)].into_boxed_slice(), len: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first number under this hash that `is` accepts.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let last = self.places.len().wrapping_sub(1);
        let mut at = hash as usize;
        // A place is free, so this ends.
        loop {
            let entry = *self.places.get(at & last)?;
            if entry == 0 {
                return None;
            }
            if home(entry) == hash as usize && is(entry as u32) {
                return Some(entry as u32);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Tell the CPU that this hash will be looked up, or put in.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u32) {
        const LINE: usize = 64 / size_of::<u64>();
        let last = self.places.len().wrapping_sub(1);
        for at in [hash as usize, (hash as usize).wrapping_add(LINE / 2)] {
            if let Some(place) = self.places.get(at & last) {
                dpdk::prefetch(place);
            }
        }
    }

    /// Put a number in, which is not 0.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        if (self.len + 1) * 5 > self.places.len() * 4 {
            self.resize(places_for(self.len + 1));
        }
        self.put(entry(hash, number));
        self.len += 1;
    }

    /// Take a number out. `false`: it is not under this hash.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let last = self.places.len().wrapping_sub(1);
        let gone = entry(hash, number);
        let mut at = home(gone) & last;
        loop {
            match self.places.get(at) {
                None | Some(0) => return false,
                Some(entry) if *entry == gone => break,
                Some(_) => at = (at + 1) & last,
            }
        }
        // Those behind that were pushed off this place move up.
        let (mut hole, mut next) = (at, (at + 1) & last);
        while self.places[next] != 0 {
            let pushed = next.wrapping_sub(home(self.places[next])) & last;
            if pushed >= next.wrapping_sub(hole) & last {
                self.places[hole] = self.places[next];
                hole = next;
            }
            next = (next + 1) & last;
        }
        self.places[hole] = 0;
        self.len -= 1;
        true
    }

    /// Give room back that was needed once.
    pub(crate) fn shrink(&mut self) {
        if self.places.len() > 8 * LEAST && self.len * 16 < self.places.len() {
            self.resize(places_for(self.len * 2));
        }
    }

    /// The numbers, in no order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.places.iter().filter(|entry| **entry != 0).map(|entry| *entry as u32)
    }

    fn put(&mut self, entry: u64) {
        let last = self.places.len().wrapping_sub(1);
        let mut at = home(entry) & last;
        while self.places[at] != 0 {
            at = (at + 1) & last;
        }
        self.places[at] = entry;
    }

    #[cold]
    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, vec![0; places].into_boxed_slice());
        old.iter().filter(|entry| **entry != 0).for_each(|entry| self.put(*entry));
    }
}

/// Places for so many entries.
fn places_for(entries: usize) -> usize {
    (entries + entries.div_ceil(4)).max(LEAST).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Insert,
        Remove,
        Find,
        Shrink,
    }

    proptest! {
        #[test]
        fn it_finds_what_a_list_has(
            room in 0usize..40,
            // Few hashes near the end of small tables: entries are pushed off their places, and around the end.
            acts in prop::collection::vec(
                (prop_oneof![4 => Just(Act::Insert), 3 => Just(Act::Remove), 2 => Just(Act::Find), 1 => Just(Act::Shrink)],
                prop_oneof![0u32..4, 5u32..9, 60u32..70, any::<u32>()], 1u32..12), 1..400),
        ) {
            let mut index = if room == 0 { Index::default() } else { Index::with_room(room) };
            let mut list: Vec<(u32, u32)> = Vec::new();
            for (act, hash, number) in acts {
                match act {
                    Act::Insert => {
                        index.insert(hash, number);
                        list.push((hash, number));
                    }
                    Act::Remove => {
                        let at = list.iter().position(|entry| *entry == (hash, number));
                        prop_assert_eq!(index.remove(hash, number), at.is_some());
                        at.map(|at| list.swap_remove(at));
                    }
                    Act::Find => index.prefetch(hash),
                    Act::Shrink => index.shrink(),
                }
                prop_assert_eq!(index.find(hash, |n| n == number), list.contains(&(hash, number)).then_some(number));
                prop_assert_eq!(index.find(hash, |_| false), None);
                prop_assert_eq!(index.is_empty(), list.is_empty());
                prop_assert!(index.len * 5 <= index.places.len() * 4);
            }
            prop_assert!(list.iter().all(|(hash, number)| index.find(*hash, |n| n == *number).is_some()));
            let (mut has, mut want): (Vec<u32>, Vec<u32>) = (index.numbers().collect(), list.iter().map(|(_, n)| *n).collect());
            has.sort_unstable();
            want.sort_unstable();
            prop_assert_eq!(has, want);
        }
    }

    #[test]
    fn it_has_room_for_what_it_was_told_and_gives_it_back() {
        let mut index = Index::with_room(1000);
        let places = index.places.len();
        (1..=1000u32).for_each(|n| index.insert(n.wrapping_mul(0x9e37_79b9), n));
        assert_eq!(index.places.len(), places);
        (2..=1000u32).for_each(|n| assert!(index.remove(n.wrapping_mul(0x9e37_79b9), n)));
        index.shrink();
        assert!(index.places.len() <= 8 * LEAST, "{}", index.places.len());
        assert_eq!(index.find(0x9e37_79b9, |_| true), Some(1));
    }
}
