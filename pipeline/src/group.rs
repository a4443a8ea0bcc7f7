//! Groups of a bridge and what they have counted.

use flow::clock::Time;
use flow::dp::Hits;
use flow::group::{Bucket, GroupSpec};
use rpds::HashTrieMapSync;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The `bucket` of [`flow::dp::Effect::Bucket`] that counts once for the group and once for each of its buckets: a packet that goes to
/// all of them (OpenFlow's OFPG_BUCKET_ALL).
pub const ALL_BUCKETS: u32 = u32::MAX;

/// The groups of a bridge by number.
pub(crate) type Groups = HashTrieMapSync<u32, Arc<Group>>;

/// A group. Changed by replacing it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) spec: GroupSpec,
    /// When it was first added; modification keeps it.
    pub(crate) created: Time,
    pub(crate) counters: GroupCounters,
    /// The places of buckets in `spec` by hash; made when first asked for.
    slots: OnceLock<Box<[u16]>>,
}

impl Group {
    /// The places of buckets in the list by hash, a power of two of them; none when no hash can choose.
    pub(crate) fn slots(&self) -> &[u16] {
        self.slots.get_or_init(|| crate::translate::slots(&self.spec.buckets))
    }

    pub(crate) fn new(spec: GroupSpec, created: Time) -> Group {
        let buckets = spec.buckets.iter().map(|_| Count::default()).collect();
        Group { spec, created, counters: GroupCounters { all: Count::default(), buckets }, slots: OnceLock::new() }
    }

    /// The bucket with this number.
    pub(crate) fn bucket(&self, id: u32) -> Option<&Bucket> {
        self.spec.buckets.iter().find(|b| b.id == id)
    }

    /// Count for a bucket and the group, or for [`ALL_BUCKETS`].
    pub(crate) fn hit(&self, bucket: u32, hits: &Hits) {
        self.counters.all.add(hits);
        for (spec, count) in self.spec.buckets.iter().zip(&self.counters.buckets) {
            if bucket == ALL_BUCKETS || spec.id == bucket {
                count.add(hits);
            }
        }
    }
}

/// Counters of a group and of each of its buckets, in their order.
#[derive(Debug)]
pub(crate) struct GroupCounters {
    pub(crate) all: Count,
    pub(crate) buckets: Box<[Count]>,
}

/// Packets and bytes.
#[derive(Debug, Default)]
pub(crate) struct Count {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    pub(crate) fn add(&self, hits: &Hits) {
        self.packets.fetch_add(hits.packets, Ordering::Relaxed);
        self.bytes.fetch_add(hits.bytes, Ordering::Relaxed);
    }

    /// Packets and bytes so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
