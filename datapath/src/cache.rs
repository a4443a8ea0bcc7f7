//! The exact-match cache: from the hash of a whole key to a flow, in front of the megaflow table.
//!
//! An entry is a signature and a mark (the flow's number with its generation), so an entry of a flow that is gone finds
//! nothing, and no entry needs to be cleaned up. Whoever looks up verifies by the flow's own mask: any live flow that matches
//! is right, since live flows that overlap do the same.

/// Ways that a key can be stored in.
const WAYS: usize = 2;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    signature: u32,
    /// 0: empty.
    mark: u32,
}

/// A fixed-size, two-way cache of one PMD.
#[derive(Debug)]
pub(crate) struct FlowCache {
    sets: Box<[[Entry; WAYS]]>,
}

impl FlowCache {
    /// A cache of at least `entries` entries; 0 makes the smallest one.
    pub(crate) fn new(entries: usize) -> FlowCache {
        let sets = (entries / WAYS).max(1).next_power_of_two();
        FlowCache { sets: vec![[Entry::default(); WAYS]; sets].into_boxed_slice() }
    }

    #[inline]
    fn set(&self, hash: u64) -> usize {
        hash as usize & (self.sets.len() - 1)
    }

    #[inline]
    fn signature(hash: u64) -> u32 {
        (hash >> 32) as u32
    }

    /// The first candidate for this hash that `verify` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut verify: impl FnMut(u32) -> bool) -> Option<u32> {
        let signature = Self::signature(hash);
        self.sets[self.set(hash)]
            .iter()
            .find(|e| e.signature == signature && e.mark != 0 && verify(e.mark))
            .map(|e| e.mark)
    }

    /// Remember a flow under this hash: the newest stands first, the oldest of the set goes.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, mark: u32) {
        let entry = Entry { signature: Self::signature(hash), mark };
        let set = self.set(hash);
        let set = &mut self.sets[set];
        if set[0].signature != entry.signature {
            set[1] = set[0];
        }
        set[0] = entry;
    }

    /// Number of entries that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Number of entries in use, those of gone flows included.
    pub(crate) fn used(&self) -> usize {
        self.sets.iter().flatten().filter(|e| e.mark != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_newest_of_a_set_stay_and_verification_decides() {
        let mut cache = FlowCache::new(2);
        let hash = |i: u64| i << 32;
        cache.insert(hash(1), 10);
        cache.insert(hash(2), 20);
        assert_eq!(cache.find(hash(1), |_| true), Some(10));
        assert_eq!(cache.find(hash(2), |_| true), Some(20));
        assert_eq!(cache.find(hash(2), |_| false), None);
        cache.insert(hash(3), 30);
        assert_eq!(cache.find(hash(1), |_| true), None);
        assert_eq!(cache.find(hash(2), |_| true), Some(20));
        cache.insert(hash(3), 31);
        assert_eq!(cache.find(hash(3), |_| true), Some(31));
        assert_eq!((cache.used(), cache.capacity()), (2, 2));
    }
}
