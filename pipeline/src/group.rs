//! Groups of a bridge and what they have counted.

use crate::apply::Batch;
use crate::change::{BucketPlace, GroupChange};
use crate::check::check_bucket;
use crate::error::ChangeError;
use crate::pipeline::Pipeline;
use crate::rule::{RemoveReason, Uses, any_action};
use flow::Action;
use flow::clock::Time;
use flow::dp::{BridgeId, Dep, Hits};
use flow::group::GroupSpec;
use rpds::HashTrieMapSync;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The `bucket` of [`flow::dp::Effect::Bucket`] that counts once for the group and once for each of its buckets: a
/// packet that goes to all of them (OpenFlow's OFPG_BUCKET_ALL).
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

/// A group as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    pub spec: GroupSpec,
    /// When it was first added; its duration runs from here.
    pub created: Time,
    /// Rules that send to it.
    pub ref_count: u32,
    /// Packets and bytes that came to it since it was last changed.
    pub packets: u64,
    pub bytes: u64,
    /// Packets and bytes of each bucket, in the order of the buckets.
    pub buckets: Vec<(u64, u64)>,
}

impl Pipeline {
    /// The groups of a bridge by number.
    #[must_use]
    pub fn groups(&self, bridge: BridgeId) -> Vec<GroupEntry> {
        let state = self.state();
        let Some(owner) = state.bridges.get(&bridge) else { return Vec::new() };
        let entry = |g: &Arc<Group>| {
            let (packets, bytes) = g.counters.all.read();
            GroupEntry {
                spec: g.spec.clone(),
                created: g.created,
                ref_count: owner.uses.get(&Uses::Group(g.spec.id)).copied().unwrap_or_default(),
                packets,
                bytes,
                buckets: g.counters.buckets.iter().map(Count::read).collect(),
            }
        };
        let mut all: Vec<_> = owner.groups.values().map(entry).collect();
        all.sort_unstable_by_key(|g| g.spec.id);
        all
    }
}

impl Batch {
    pub(crate) fn change_group(&mut self, change: &GroupChange) -> Result<(), ChangeError> {
        match change {
            GroupChange::Add { bridge, group } => {
                if self.bridge(*bridge)?.groups.contains_key(&group.id) {
                    return Err(ChangeError::GroupExists(group.id));
                }
                self.put_group(*bridge, group.clone(), self.now)
            }
            GroupChange::Modify { bridge, group, may_create } => {
                let created = match self.bridge(*bridge)?.groups.get(&group.id) {
                    Some(old) => old.created,
                    None if *may_create => self.now,
                    None => return Err(ChangeError::NoGroup(group.id)),
                };
                self.put_group(*bridge, group.clone(), created)
            }
            GroupChange::Delete { bridge, group: Some(id) } => self.delete_group(*bridge, *id),
            GroupChange::Delete { bridge, group: None } => {
                let all: Vec<u32> = self.bridge(*bridge)?.groups.keys().copied().collect();
                self.remove_using(*bridge, RemoveReason::GroupDelete, |a| matches!(a, Action::Group(_)))?;
                all.into_iter().try_for_each(|id| self.delete_group(*bridge, id))
            }
            GroupChange::InsertBuckets { bridge, group, buckets, place } => {
                let old = self.group(*bridge, *group)?;
                let mut spec = old.spec.clone();
                let at = match place {
                    BucketPlace::First | BucketPlace::All => 0,
                    BucketPlace::Last => spec.buckets.len(),
                    BucketPlace::Id(id) => find_bucket(&spec, *id)? + 1,
                };
                spec.buckets.splice(at..at, buckets.iter().cloned());
                self.put_group(*bridge, spec, old.created)
            }
            GroupChange::RemoveBuckets { bridge, group, place } => {
                let old = self.group(*bridge, *group)?;
                let mut spec = old.spec.clone();
                match place {
                    BucketPlace::All => spec.buckets.clear(),
                    BucketPlace::First => drop(spec.buckets.drain(..spec.buckets.len().min(1))),
                    BucketPlace::Last => drop(spec.buckets.pop()),
                    BucketPlace::Id(id) => drop(spec.buckets.remove(find_bucket(&spec, *id)?)),
                }
                self.put_group(*bridge, spec, old.created)
            }
        }
    }

    fn group(&mut self, bridge: BridgeId, id: u32) -> Result<Arc<Group>, ChangeError> {
        self.bridge(bridge)?.groups.get(&id).cloned().ok_or(ChangeError::NoGroup(id))
    }

    fn put_group(&mut self, bridge: BridgeId, spec: GroupSpec, created: Time) -> Result<(), ChangeError> {
        spec.check()?;
        spec.buckets.iter().try_for_each(|bucket| check_bucket(&bucket.actions))?;
        let owner = self.bridge(bridge)?;
        check_loops(&owner.groups, &spec)?;
        let id = spec.id;
        owner.groups.insert_mut(id, Arc::new(Group::new(spec, created)));
        self.deps.insert(Dep::Group(bridge, id));
        Ok(())
    }

    fn delete_group(&mut self, bridge: BridgeId, id: u32) -> Result<(), ChangeError> {
        let owner = self.bridge(bridge)?;
        if !owner.groups.remove_mut(&id) {
            return Ok(());
        }
        let used = owner.uses.contains_key(&Uses::Group(id));
        self.deps.insert(Dep::Group(bridge, id));
        if used {
            self.remove_using(bridge, RemoveReason::GroupDelete, |a| *a == Action::Group(id))?;
        }
        Ok(())
    }
}

fn find_bucket(spec: &GroupSpec, id: u32) -> Result<usize, ChangeError> {
    let at = spec.buckets.iter().position(|b| b.id == id);
    at.ok_or(ChangeError::NoBucket { group: spec.id, bucket: id })
}

/// The groups that a group leads to: its buckets' actions and those that they watch.
fn leads_to(spec: &GroupSpec) -> Vec<u32> {
    let mut to: Vec<u32> = spec.buckets.iter().filter_map(|b| b.watch_group).collect();
    for bucket in &spec.buckets {
        any_action(&bucket.actions, &mut |a| {
            to.extend(if let Action::Group(id) = a { Some(*id) } else { None });
            false
        });
    }
    to
}

/// Whether a group, put among the others, would lead to itself.
fn check_loops(groups: &Groups, spec: &GroupSpec) -> Result<(), ChangeError> {
    let mut seen = HashSet::new();
    // Each with the way that led to it: the groups still to be left, the last one first.
    let mut way: Vec<(u32, Vec<u32>)> = vec![(spec.id, leads_to(spec))];
    while let Some((_, next)) = way.last_mut() {
        let Some(id) = next.pop() else {
            way.pop();
            continue;
        };
        if id == spec.id {
            let groups = way.iter().map(|(id, _)| *id).chain([id]).collect();
            return Err(ChangeError::GroupLoop(groups));
        }
        if let Some(group) = groups.get(&id)
            && seen.insert(id)
        {
            way.push((id, leads_to(&group.spec)));
        }
    }
    Ok(())
}
