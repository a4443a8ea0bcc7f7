//! `shuntctl group`.

use crate::client::{Client, path};
use crate::commands::flow::{lines, name_flow, name_line, read_file};
use crate::commands::names::PortNames;
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, GroupBuckets, GroupView, GroupsAdd, GroupsDelete, GroupsModify, paths};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a group, in ovs-ofctl's syntax
    Add {
        /// Bridge that gets the group
        bridge: String,
        /// Such as group_id=1,type=select,bucket=weight:2,output:1,bucket=output:2; - for one group a line of standard input
        group: String,
    },
    /// Add all groups of a file (- for standard input), or none of them
    AddFile {
        /// Bridge that gets the groups
        bridge: String,
        /// One group a line; # begins a comment
        file: PathBuf,
    },
    /// Change a group; its rules stay
    Mod {
        /// Bridge of the group
        bridge: String,
        /// As for add
        group: String,
        /// Add the group if it is not there
        #[arg(long)]
        may_create: bool,
    },
    /// Remove a group, or all, with the flows that send to them
    Del {
        /// Bridge of the group
        bridge: String,
        /// Number of the group, or group_id=NUMBER [default: all groups]
        group: Option<String>,
    },
    /// Print groups as ovs-ofctl dump-groups does
    Dump {
        /// Bridge of the groups
        bridge: String,
        /// Number of the group, or group_id=NUMBER [default: all groups]
        group: Option<String>,
        /// Ports by name
        #[arg(long)]
        names: bool,
    },
    /// Print what groups have counted
    Stats {
        /// Bridge of the groups
        bridge: String,
        /// Number of the group, or group_id=NUMBER [default: all groups]
        group: Option<String>,
    },
    /// Add buckets to a group
    InsertBuckets {
        /// Bridge of the group
        bridge: String,
        /// Such as group_id=1,command_bucket_id=last,bucket=output:3
        buckets: String,
    },
    /// Remove buckets of a group
    RemoveBuckets {
        /// Bridge of the group
        bridge: String,
        /// Such as group_id=1,command_bucket_id=first; all, first, last or a number
        buckets: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    let add_file = |bridge: &str, file: PathBuf| {
        let text = read_file(&file)?;
        let groups = lines(&text).map(|(_, group)| group.to_owned()).collect();
        let ack: Ack = client
            .post(&path(paths::GROUPS, &[bridge]), &GroupsAdd { groups })
            .map_err(|e| name_line(e, &file, &text))?;
        out.print(&ack, output::ack)
    };
    let buckets = |bridge: &str, text: &str, buckets: GroupBuckets| {
        let ack: Ack = client.post(&path(paths::GROUP_BUCKETS, &[bridge]), &buckets).map_err(|e| name_flow(e, text))?;
        out.print(&ack, output::ack)
    };
    match verb {
        Verb::Add { bridge, group } if group == "-" => add_file(&bridge, PathBuf::from(group)),
        Verb::AddFile { bridge, file } => add_file(&bridge, file),
        Verb::Add { bridge, group } => {
            let add = GroupsAdd { groups: vec![group.clone()] };
            let ack: Ack = client.post(&path(paths::GROUPS, &[&bridge]), &add).map_err(|e| name_flow(e, &group))?;
            out.print(&ack, output::ack)
        }
        Verb::Mod { bridge, group, may_create } => {
            let modify = GroupsModify { groups: vec![group.clone()], may_create };
            let ack: Ack = client.patch(&path(paths::GROUPS, &[&bridge]), &modify).map_err(|e| name_flow(e, &group))?;
            out.print(&ack, output::ack)
        }
        Verb::Del { bridge, group } => {
            let delete = GroupsDelete { group: number(group.as_deref(), "group_id", "group")? };
            let ack: Ack = client.delete(&path(paths::GROUPS, &[&bridge]), Some(&delete))?;
            out.print(&ack, output::ack)
        }
        Verb::Dump { bridge, group, names } => {
            let groups = get(client, &bridge, group.as_deref())?;
            let names = if names { PortNames::of(client, &bridge)? } else { PortNames::default() };
            out.print(&groups, |g| g.iter().map(|g| format!(" {}\n", names.put(&g.text))).collect())
        }
        Verb::Stats { bridge, group } => out.print(&get(client, &bridge, group.as_deref())?, |g| stats(g)),
        Verb::InsertBuckets { bridge, buckets: text } => buckets(&bridge, &text, GroupBuckets::Insert(text.clone())),
        Verb::RemoveBuckets { bridge, buckets: text } => buckets(&bridge, &text, GroupBuckets::Remove(text.clone())),
    }
}

fn get(client: &Client, bridge: &str, group: Option<&str>) -> Result<Vec<GroupView>> {
    let at = path(paths::GROUPS, &[bridge]);
    client.get(&match number(group, "group_id", "group")? {
        Some(group) => format!("{at}?group={group}"),
        None => at,
    })
}

/// A number that may have its key in front, as ovs-ofctl wants it.
pub fn number(text: Option<&str>, key: &str, noun: &str) -> Result<Option<u32>> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.strip_prefix(key).map_or(text, |rest| rest.trim_start_matches('='));
    if ["all", "any"].contains(&digits) {
        return Ok(None);
    }
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.map(Some).map_err(|_| {
        crate::error::Error::Input(
            format!("{noun} `{text}`: no number; give one as {noun} list shows it, or none for all")
                .replace(" list ", " dump "),
        )
    })
}

fn stats(groups: &[GroupView]) -> String {
    let seconds = |s: f64| format!("{s:.3}");
    let rows = groups.iter().flat_map(|g| {
        let head = [
            g.group.to_string(),
            g.kind.clone(),
            "-".to_owned(),
            String::new(),
            g.ref_count.to_string(),
            g.packets.to_string(),
            g.bytes.to_string(),
            seconds(g.duration),
        ];
        let bucket = |b: &api::BucketView| {
            [
                g.group.to_string(),
                String::new(),
                b.bucket.to_string(),
                if b.live { "live" } else { "dead" }.to_owned(),
                String::new(),
                b.packets.to_string(),
                b.bytes.to_string(),
                String::new(),
            ]
        };
        std::iter::once(head).chain(g.buckets.iter().map(bucket).collect::<Vec<_>>())
    });
    table(["group", "type", "bucket", "state", "flows", "packets", "bytes", "seconds"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_their_key() {
        let read = |text| number(Some(text), "group_id", "group").unwrap();
        assert_eq!((read("7"), read("group_id=7"), read("0x10"), read("all")), (Some(7), Some(7), Some(16), None));
        assert!(number(Some("x"), "group_id", "group").is_err());
    }
}
