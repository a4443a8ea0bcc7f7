//! Groups: buckets put in and taken out, loops, counters; and 100,000 rules in one batch.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::clock::VirtualClock;
use flow::dp::{BridgeId, Dep, Effect, Hits, Slowpath};
use flow::group::{Bucket, GroupError, GroupKind, GroupSpec, Selection};
use flow::rule::RuleSpec;
use flow::{Action, FieldId, Match, OfPort, Value};
use pipeline::{
    ALL_BUCKETS, BucketPlace, Change, ChangeError, Config, FailMode, FlowError, GroupChange, Pipeline, RuleChange,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn bucket(id: u32, actions: Vec<Action>) -> Bucket {
    Bucket { id, weight: 0, watch_port: None, watch_group: None, actions }
}

fn group(id: u32, kind: GroupKind, buckets: Vec<Bucket>) -> GroupSpec {
    GroupSpec { id, kind, selection: Selection::Default, buckets }
}

fn to(port: u16) -> Vec<Action> {
    vec![Action::Output(OfPort(port))]
}

struct Rig {
    clock: Arc<VirtualClock>,
    p: Pipeline,
    bridge: BridgeId,
}

impl Rig {
    fn new() -> Rig {
        let clock = Arc::new(VirtualClock::default());
        let p = Pipeline::new(clock.clone(), Config::default());
        let bridge = p.add_bridge("br0", FailMode::Secure).unwrap();
        Rig { clock, p, bridge }
    }

    fn change(&self, change: GroupChange) -> Result<(), ChangeError> {
        match self.p.change(&[change.into()]) {
            Ok(_) => Ok(()),
            Err(FlowError::Change { index: 0, error }) => Err(error),
            Err(other) => unreachable!("{other}"),
        }
    }

    fn add(&self, group: GroupSpec) -> Result<(), ChangeError> {
        self.change(GroupChange::Add { bridge: self.bridge, group })
    }

    fn buckets(&self) -> Vec<u32> {
        self.p.groups(self.bridge)[0].spec.buckets.iter().map(|b| b.id).collect()
    }
}

#[test]
fn buckets_go_where_they_are_put() {
    let r = Rig::new();
    r.add(group(1, GroupKind::All, vec![bucket(1, to(1)), bucket(2, to(2))])).unwrap();
    let insert = |ids: &[u32], place| {
        let buckets = ids.iter().map(|id| bucket(*id, to(3))).collect();
        r.change(GroupChange::InsertBuckets { bridge: r.bridge, group: 1, buckets, place })
    };
    let remove = |place| r.change(GroupChange::RemoveBuckets { bridge: r.bridge, group: 1, place });
    insert(&[5, 6], BucketPlace::Id(1)).unwrap();
    insert(&[7], BucketPlace::First).unwrap();
    insert(&[8], BucketPlace::Last).unwrap();
    assert_eq!(r.buckets(), [7, 1, 5, 6, 2, 8]);
    assert_eq!(
        insert(&[5], BucketPlace::Last),
        Err(ChangeError::Group(GroupError::BucketTwice { group: 1, bucket: 5 }))
    );
    assert_eq!(insert(&[9], BucketPlace::Id(77)), Err(ChangeError::NoBucket { group: 1, bucket: 77 }));
    assert_eq!(remove(BucketPlace::Id(77)), Err(ChangeError::NoBucket { group: 1, bucket: 77 }));
    remove(BucketPlace::First).unwrap();
    remove(BucketPlace::Last).unwrap();
    remove(BucketPlace::Id(5)).unwrap();
    assert_eq!(r.buckets(), [1, 6, 2]);
    remove(BucketPlace::All).unwrap();
    remove(BucketPlace::First).unwrap();
    assert_eq!(r.buckets(), [0; 0]);
    let unknown = GroupChange::RemoveBuckets { bridge: r.bridge, group: 9, place: BucketPlace::All };
    assert_eq!(r.change(unknown), Err(ChangeError::NoGroup(9)));
}

#[test]
fn groups_that_cannot_be_are_refused_by_name() {
    let r = Rig::new();
    let chain = |id: u32, next: u32| group(id, GroupKind::Indirect, vec![bucket(0, vec![Action::Group(next)])]);
    // A chain may end in nothing, until it is closed.
    r.add(chain(1, 2)).unwrap();
    r.add(chain(2, 3)).unwrap();
    let error = r.add(chain(3, 1)).unwrap_err();
    assert_eq!(error.to_string(), "groups 3 -> 1 -> 2 -> 3 lead back to themselves; let one of them end elsewhere");
    assert_eq!(r.add(chain(4, 4)), Err(ChangeError::GroupLoop(vec![4, 4])));
    let mut watching = group(3, GroupKind::FastFailover, vec![bucket(0, to(1))]);
    assert_eq!(r.add(watching.clone()), Err(ChangeError::Group(GroupError::NothingWatched { group: 3, bucket: 0 })));
    watching.buckets[0].watch_group = Some(1);
    assert_eq!(r.add(watching), Err(ChangeError::GroupLoop(vec![3, 1, 2, 3])));
    let mut weighted = group(5, GroupKind::All, vec![bucket(0, to(1))]);
    weighted.buckets[0].weight = 1;
    assert_eq!(r.add(weighted), Err(ChangeError::Group(GroupError::Weight { group: 5, bucket: 0 })));
    let two = vec![bucket(0, to(1)), bucket(1, to(2))];
    assert_eq!(
        r.add(group(5, GroupKind::Indirect, two)),
        Err(ChangeError::Group(GroupError::IndirectBuckets { group: 5, buckets: 2 }))
    );
    assert_eq!(r.add(group(u32::MAX, GroupKind::All, vec![])), Err(ChangeError::Group(GroupError::BadId(u32::MAX))));
    let modify = GroupChange::Modify { bridge: r.bridge, group: chain(9, 2), may_create: false };
    assert_eq!(r.change(modify), Err(ChangeError::NoGroup(9)));
    r.change(GroupChange::Modify { bridge: r.bridge, group: chain(9, 2), may_create: true }).unwrap();
    assert!(matches!(r.add(chain(9, 2)), Err(ChangeError::GroupExists(9))));
    let ids: Vec<_> = r.p.groups(r.bridge).iter().map(|g| g.spec.id).collect();
    assert_eq!(ids, [1, 2, 9]);
}

#[test]
fn a_long_chain_of_groups_needs_no_deep_stack() {
    let r = Rig::new();
    let chain = |id: u32| group(id, GroupKind::Indirect, vec![bucket(0, vec![Action::Group(id + 1)])]);
    let adds: Vec<Change> =
        (0..5000).rev().map(|id| GroupChange::Add { bridge: r.bridge, group: chain(id) }.into()).collect();
    // From the end: each addition looks at all that follows; one more at the end closes nothing.
    r.p.change(&adds[4000..]).unwrap();
    r.add(chain(5001)).unwrap();
    assert_eq!(r.p.groups(r.bridge).len(), 1001);
}

#[test]
fn counters_count_buckets_and_start_anew_with_a_change() {
    let r = Rig::new();
    let spec = group(1, GroupKind::All, vec![bucket(10, to(1)), bucket(20, to(2))]);
    r.add(spec.clone()).unwrap();
    let hit = |bucket, packets| {
        let effect = Effect::Bucket { bridge: r.bridge, group: 1, bucket };
        r.p.replay(&[effect], &Hits { packets, bytes: packets * 100, ..Hits::default() });
    };
    hit(10, 3);
    hit(ALL_BUCKETS, 5);
    let g = r.p.groups(r.bridge).remove(0);
    assert_eq!((g.packets, g.bytes, g.buckets), (8, 800, vec![(8, 800), (5, 500)]));
    r.clock.advance(Duration::from_secs(3));
    let mut changes = Vec::new();
    r.p.take_changes(&mut changes);
    changes.clear();
    r.change(GroupChange::Modify { bridge: r.bridge, group: spec, may_create: false }).unwrap();
    r.p.take_changes(&mut changes);
    assert_eq!(changes, [Dep::Group(r.bridge, 1).into()]);
    let changed = r.p.groups(r.bridge).remove(0);
    assert_eq!((changed.packets, changed.created), (0, g.created));
}

#[test]
fn a_batch_mixes_rules_and_groups_in_order() {
    let r = Rig::new();
    let rule = |g| RuleSpec { actions: vec![Action::Group(g)], ..RuleSpec::default() };
    let add_rule: Change = RuleChange::Add { bridge: r.bridge, rule: rule(1) }.into();
    let add_group: Change =
        GroupChange::Add { bridge: r.bridge, group: group(1, GroupKind::All, vec![bucket(0, to(1))]) }.into();
    let missing = r.p.change(&[add_rule.clone(), add_group.clone()]);
    assert_eq!(missing, Err(FlowError::Change { index: 0, error: ChangeError::NoGroup(1) }));
    assert_eq!(r.p.groups(r.bridge), []);
    r.p.change(&[add_group.clone(), add_rule.clone()]).unwrap();
    // The group goes and comes back within one batch: its rule has gone all the same.
    let delete = GroupChange::Delete { bridge: r.bridge, group: Some(1) }.into();
    let applied = r.p.change(&[delete, add_group]).unwrap();
    assert_eq!(applied.removed.len(), 1);
    assert_eq!(r.p.groups(r.bridge)[0].ref_count, 0);
}

#[test]
fn a_hundred_thousand_rules_in_one_batch_are_quick() {
    let r = Rig::new();
    r.add(group(1, GroupKind::All, vec![bucket(0, to(1))])).unwrap();
    let rule = |i: u32| {
        let mut matching = Match::default();
        matching.set_exact(FieldId::EthType, Value(0x0800));
        matching.set_exact(FieldId::Ipv4Dst, Value::from(i));
        let actions = if i.is_multiple_of(100) { vec![Action::Group(1)] } else { to(1) };
        RuleChange::Add { bridge: r.bridge, rule: RuleSpec { matching, actions, ..RuleSpec::default() } }
    };
    let adds: Vec<_> = (0..100_000).map(rule).collect();
    let start = Instant::now();
    r.p.apply(&adds).unwrap();
    let added = start.elapsed();
    let start = Instant::now();
    r.p.change(&[GroupChange::Delete { bridge: r.bridge, group: None }.into()]).unwrap();
    let removed = start.elapsed();
    println!("100,000 adds: {added:?}; a group with 1,000 of them: {removed:?}");
    // Far from what it takes, near to what anything quadratic would.
    assert!(added < Duration::from_secs(10) && removed < Duration::from_secs(5), "{added:?} {removed:?}");
}
