//! Groups of bridges.

use super::errors::invalid;
use super::{Control, Inner};
use crate::state::{Change, ObjectKey};
use ::pipeline::{BucketPlace, GroupChange, GroupEntry};
use api::{Ack, BucketView, Error, GroupBuckets, GroupView, GroupsAdd, GroupsDelete, GroupsModify};
use flow::dp::BridgeId;
use flow::group::{Bucket, GroupKind, GroupMod, GroupSpec};
use flow::text::{self, GroupCommand};
use std::collections::BTreeSet;

/// Most groups that watch groups in a row.
const WATCHED: u32 = 64;

impl Control {
    /// The groups of a bridge, or one of them.
    pub fn groups(&self, bridge: &str, group: Option<u32>) -> Result<Vec<GroupView>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        drop(inner);
        self.switch.fold();
        let all = self.switch.pipeline().groups(id);
        if let Some(wanted) = group.filter(|wanted| all.iter().all(|g| g.spec.id != *wanted)) {
            return Err(no_group(bridge, wanted));
        }
        let shown = all.iter().filter(|g| group.is_none_or(|wanted| wanted == g.spec.id));
        Ok(shown.map(|g| self.group_view(id, g, &all)).collect())
    }

    fn group_view(&self, bridge: BridgeId, group: &GroupEntry, all: &[GroupEntry]) -> GroupView {
        let ports = self.switch.pipeline().ports(bridge);
        let bucket = |(bucket, (packets, bytes)): (&Bucket, &(u64, u64))| BucketView {
            bucket: bucket.id,
            weight: bucket.weight,
            watch_port: bucket.watch_port.map(|number| {
                ports.iter().find(|p| p.number == number).map_or_else(|| number.to_string(), |p| p.name.clone())
            }),
            watch_group: bucket.watch_group,
            actions: text::format_actions(&bucket.actions),
            live: is_live(bucket, all, &ports, 0),
            packets: *packets,
            bytes: *bytes,
        };
        GroupView {
            group: group.spec.id,
            kind: kind(group.spec.kind).to_owned(),
            text: text::format_group(&group.spec),
            ref_count: group.ref_count as usize,
            packets: group.packets,
            bytes: group.bytes,
            duration: super::flows::duration(group.created, self.switch.clock().now()).as_secs_f64(),
            buckets: group.spec.buckets.iter().zip(&group.buckets).map(bucket).collect(),
        }
    }

    /// Add groups: all or none.
    pub fn groups_add(&self, bridge: &str, add: &GroupsAdd) -> Result<Ack, Error> {
        self.groups_put(bridge, &add.groups, GroupCommand::Add)
    }

    /// Change groups: all or none.
    pub fn groups_modify(&self, bridge: &str, modify: &GroupsModify) -> Result<Ack, Error> {
        let command = if modify.may_create { GroupCommand::AddOrModify } else { GroupCommand::Modify };
        self.groups_put(bridge, &modify.groups, command)
    }

    /// Add buckets to a group, or remove some.
    pub fn group_buckets(&self, bridge: &str, buckets: &GroupBuckets) -> Result<Ack, Error> {
        let (text, command) = match buckets {
            GroupBuckets::Insert(text) => (text, GroupCommand::InsertBuckets),
            GroupBuckets::Remove(text) => (text, GroupCommand::RemoveBuckets),
        };
        self.groups_put(bridge, std::slice::from_ref(text), command)
    }

    fn groups_put(&self, bridge: &str, groups: &[String], command: GroupCommand) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let number = |i: usize| format!("group {} of {}", i + 1, groups.len());
        let names = inner.names(self, bridge);
        let read = |(i, text): (usize, &String)| {
            let wanted = text::parse_group_mod(command, text, &names).map_err(|e| invalid(number(i), e))?;
            Ok(change(id, wanted))
        };
        let changes: Vec<_> = groups.iter().enumerate().map(read).collect::<Result<_, Error>>()?;
        drop(names);
        let (done, count) = self.groups_change(&mut inner, bridge, id, &changes, &number)?;
        self.commit(inner, done, count)
    }

    /// Remove a group or all of them, with the rules that send to them.
    pub fn groups_delete(&self, bridge: &str, delete: &GroupsDelete) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        if let Some(wanted) = delete.group
            && !self.switch.pipeline().groups(id).iter().any(|g| g.spec.id == wanted)
        {
            return Err(no_group(bridge, wanted));
        }
        let change = GroupChange::Delete { bridge: id, group: delete.group };
        let object = |_| format!("bridge {bridge}");
        let (done, count) = self.groups_change(&mut inner, bridge, id, &[change], &object)?;
        self.commit(inner, done, count)
    }

    /// Change groups in the switch: what is to be written, and how many objects changed.
    fn groups_change(
        &self,
        inner: &mut Inner,
        bridge: &str,
        id: BridgeId,
        changes: &[GroupChange],
        object: &dyn Fn(usize) -> String,
    ) -> Result<(Vec<Change>, usize), Error> {
        let before: BTreeSet<u32> = self.switch.pipeline().groups(id).iter().map(|g| g.spec.id).collect();
        let touched: BTreeSet<u32> = changes.iter().filter_map(subject).collect();
        let changes: Vec<_> = changes.iter().cloned().map(::pipeline::Change::Group).collect();
        let (mut done, rules) = self.apply_changes(inner, bridge, &changes, object)?;
        let after = self.switch.pipeline().groups(id);
        let gone = before.iter().filter(|id| !after.iter().any(|g| g.spec.id == **id));
        let gone: Vec<_> = gone.map(|id| delete(bridge, *id)).collect();
        let puts: Vec<_> =
            after.iter().filter(|g| touched.contains(&g.spec.id)).map(|g| put(bridge, &g.spec)).collect();
        let count = gone.len() + puts.len() + rules;
        done.extend(gone);
        done.extend(puts);
        Ok((done, count))
    }
}

fn put(bridge: &str, group: &GroupSpec) -> Change {
    Change::PutObject { bridge: bridge.to_owned(), key: ObjectKey::Group(group.id), value: text::format_group(group) }
}

fn delete(bridge: &str, group: u32) -> Change {
    Change::DeleteObject { bridge: bridge.to_owned(), key: ObjectKey::Group(group) }
}

fn no_group(bridge: &str, group: u32) -> Error {
    Error::new(api::ErrorKind::NotFound, format!("group {group}"), format!("bridge {bridge} has no such group"))
        .remedy(format!("list them with: shuntctl group dump {bridge}"))
}

fn kind(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::All => "all",
        GroupKind::Select => "select",
        GroupKind::Indirect => "indirect",
        GroupKind::FastFailover => "ff",
    }
}

/// The change that a text means.
fn change(bridge: BridgeId, wanted: GroupMod) -> GroupChange {
    match wanted {
        GroupMod::Add(group) => GroupChange::Add { bridge, group },
        GroupMod::Modify(group) => GroupChange::Modify { bridge, group, may_create: false },
        GroupMod::AddOrModify(group) => GroupChange::Modify { bridge, group, may_create: true },
        GroupMod::Delete(group) => GroupChange::Delete { bridge, group },
        GroupMod::InsertBuckets { group, place: at, buckets } => {
            GroupChange::InsertBuckets { bridge, group, buckets, place: place(at) }
        }
        GroupMod::RemoveBuckets { group, place: at } => GroupChange::RemoveBuckets { bridge, group, place: place(at) },
    }
}

fn place(place: flow::group::BucketPlace) -> BucketPlace {
    match place {
        flow::group::BucketPlace::First => BucketPlace::First,
        flow::group::BucketPlace::Last => BucketPlace::Last,
        flow::group::BucketPlace::All => BucketPlace::All,
        flow::group::BucketPlace::Id(id) => BucketPlace::Id(id),
    }
}

/// The group that a change is about; `None`: all of them.
fn subject(change: &GroupChange) -> Option<u32> {
    match change {
        GroupChange::Add { group, .. } | GroupChange::Modify { group, .. } => Some(group.id),
        GroupChange::Delete { group, .. } => *group,
        GroupChange::InsertBuckets { group, .. } | GroupChange::RemoveBuckets { group, .. } => Some(*group),
    }
}

/// Whether what a bucket watches is up. `depth`: groups that watch groups, as many as translation follows.
fn is_live(bucket: &Bucket, groups: &[GroupEntry], ports: &[::pipeline::Port], depth: u32) -> bool {
    let port = bucket.watch_port.map(|number| ports.iter().any(|p| p.number == number && p.up));
    let group = bucket.watch_group.map(|id| {
        let group = groups.iter().find(|g| g.spec.id == id).filter(|_| depth < WATCHED);
        group.is_some_and(|g| g.spec.buckets.iter().any(|b| is_live(b, groups, ports, depth + 1)))
    });
    match (port, group) {
        (None, None) => true,
        (port, group) => port == Some(true) || group == Some(true),
    }
}
