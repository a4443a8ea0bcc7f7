//! Groups (ovs-ofctl(8), "Group Syntax").

use super::actions::bucket_actions;
use super::error::{FileError, Note, ParseError, excerpt};
use super::format::{Field, Port};
use super::lex::Pairs;
use super::names::{self, Form, text_of};
use super::number::{whole_int, whole_u64};
use super::ports::{PortNames, port};
use super::print_actions::format_actions;
use super::print_match::List;
use super::value::field_masked;
use crate::field::FieldId;
use crate::group::{Bucket, BucketPlace, GroupKind, GroupMod, GroupSpec, MAX_BUCKET, MAX_GROUP, Selection};
use crate::port::OfPort;
use crate::value::Value;

/// What is to be done with the groups that a text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupCommand {
    /// `add-group`
    Add,
    /// `mod-group`
    Modify,
    /// `mod-group --may-create`
    AddOrModify,
    /// `del-groups`
    Delete,
    /// `insert-buckets`
    InsertBuckets,
    /// `remove-buckets`
    RemoveBuckets,
}

impl GroupCommand {
    /// The words that a line of a file may start with.
    const WORDS: [(&'static str, GroupCommand); 6] = [
        ("add", GroupCommand::Add),
        ("delete", GroupCommand::Delete),
        ("modify", GroupCommand::Modify),
        ("add_or_mod", GroupCommand::AddOrModify),
        ("insert_bucket", GroupCommand::InsertBuckets),
        ("remove_bucket", GroupCommand::RemoveBuckets),
    ];

    fn has_type(self) -> bool {
        matches!(self, GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrModify)
    }

    fn has_place(self) -> bool {
        matches!(self, GroupCommand::InsertBuckets | GroupCommand::RemoveBuckets)
    }
}

/// Read a group to add, as `ovs-ofctl add-group` takes it:
/// `group_id=1,type=select,selection_method=dp_hash,bucket=weight:2,output:1,bucket=output:2`.
///
/// Actions of buckets become those that OpenFlow 1.5 has, as they do when ovs-ofctl sends them.
///
/// # Errors
/// What Open vSwitch 3.1 refuses with OpenFlow 1.5, and actions that are not supported.
pub fn parse_group(text: &str, ports: &dyn PortNames) -> Result<GroupSpec, ParseError> {
    let head = Reader::read(GroupCommand::Add, text, ports)?;
    head.spec(GroupCommand::Add)
}

/// Read what ovs-ofctl's group commands take.
///
/// # Errors
/// As [`parse_group`].
pub fn parse_group_mod(command: GroupCommand, text: &str, ports: &dyn PortNames) -> Result<GroupMod, ParseError> {
    if command == GroupCommand::Delete && text.trim().is_empty() {
        return Ok(GroupMod::Delete(None));
    }
    let read = Reader::read(command, text, ports)?;
    let no_id = || ParseError::bad_value("group_id", "all", "one group: only a deletion takes all");
    Ok(match command {
        GroupCommand::Add => GroupMod::Add(read.spec(command)?),
        GroupCommand::Modify => GroupMod::Modify(read.spec(command)?),
        GroupCommand::AddOrModify => GroupMod::AddOrModify(read.spec(command)?),
        GroupCommand::Delete => GroupMod::Delete(read.id),
        GroupCommand::InsertBuckets | GroupCommand::RemoveBuckets => {
            let group = read.id.ok_or_else(no_id)?;
            match (command, read.place) {
                (GroupCommand::InsertBuckets, Some(place)) => {
                    GroupMod::InsertBuckets { group, place, buckets: read.buckets }
                }
                (GroupCommand::InsertBuckets, None) => {
                    let accepted = "command_bucket_id=first, last or the id of a bucket";
                    return Err(ParseError::NoValue { key: "command_bucket_id".to_owned(), accepted });
                }
                (_, place) => GroupMod::RemoveBuckets { group, place: place.unwrap_or(BucketPlace::All) },
            }
        }
    })
}

/// Read a file of groups: one change a line, `add` unless it starts with another command's word; `#` starts a comment.
///
/// # Errors
/// The first line that [`parse_group_mod`] refuses, with its number.
pub fn parse_groups(text: &str, ports: &dyn PortNames) -> Result<Vec<GroupMod>, FileError> {
    let mut changes = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.split_once('#').map_or(line, |(group, _)| group).trim();
        if line.is_empty() {
            continue;
        }
        let end = line.find([',', ' ', '\t', '\r']).unwrap_or(line.len());
        let word = GroupCommand::WORDS.iter().find(|(word, _)| *word == &line[..end]);
        let (command, rest) = word.map_or((GroupCommand::Add, line), |(_, command)| (*command, &line[end..]));
        let change = parse_group_mod(command, rest, ports).map_err(|error| FileError { line: i + 1, error })?;
        changes.push(change);
    }
    Ok(changes)
}

struct Reader<'a> {
    ports: &'a dyn PortNames,
    notes: Vec<Note>,
    /// `None`: all.
    id: Option<u32>,
    kind: Option<GroupKind>,
    method: String,
    param: u64,
    fields: Vec<(FieldId, Value)>,
    place: Option<BucketPlace>,
    buckets: Vec<Bucket>,
}

impl<'a> Reader<'a> {
    fn read(command: GroupCommand, text: &str, ports: &'a dyn PortNames) -> Result<Reader<'a>, ParseError> {
        let mut reader = Reader {
            ports,
            notes: Vec::new(),
            id: None,
            kind: None,
            method: String::new(),
            param: 0,
            fields: Vec::new(),
            place: None,
            buckets: Vec::new(),
        };
        // Buckets come last: their defaults depend on what is before them.
        let mut parts = text.split("bucket=");
        let mut had_id = false;
        for (key, value) in Pairs(parts.next().unwrap_or_default()) {
            had_id |= key == "group_id";
            reader.key(command, key, value)?;
        }
        if !had_id {
            return Err(ParseError::NoValue { key: "group_id".to_owned(), accepted: "write group_id=NUMBER" });
        }
        if command.has_type() && reader.kind.is_none() {
            return Err(ParseError::NoValue { key: "type".to_owned(), accepted: "all, select, indirect or ff" });
        }
        if reader.method != "hash" && !reader.fields.is_empty() {
            let remedy = "only with `selection_method=hash`";
            return Err(ParseError::Misplaced { key: "fields", remedy });
        }
        if reader.method.is_empty() && reader.param != 0 {
            let remedy = "only with `selection_method`";
            return Err(ParseError::Misplaced { key: "selection_method_param", remedy });
        }
        for part in parts {
            if matches!(command, GroupCommand::Delete | GroupCommand::RemoveBuckets) {
                return Err(ParseError::Misplaced {
                    key: "bucket",
                    remedy: "only groups to add or change have buckets",
                });
            }
            let bucket = reader.bucket(part)?;
            reader.buckets.push(bucket);
        }
        number_buckets(&mut reader.buckets);
        Ok(reader)
    }

    fn spec(self, command: GroupCommand) -> Result<GroupSpec, ParseError> {
        let all = || ParseError::bad_value("group_id", "all", "one group: only a deletion takes all");
        debug_assert!(command.has_type());
        let selection = match self.method.as_str() {
            "" => Selection::Default,
            "hash" => Selection::Hash { param: self.param, fields: self.fields },
            "dp_hash" => Selection::DpHash { param: self.param },
            other => return Err(ParseError::bad_value("selection_method", other, "hash or dp_hash")),
        };
        let spec = GroupSpec {
            id: self.id.ok_or_else(all)?,
            kind: self.kind.unwrap_or(GroupKind::All),
            selection,
            buckets: self.buckets,
        };
        spec.check()?;
        Ok(spec)
    }

    fn key(&mut self, command: GroupCommand, key: &str, value: &str) -> Result<(), ParseError> {
        match key {
            "group_id" if value == "all" => self.id = None,
            "group_id" => {
                let accepted = format!("0 to {MAX_GROUP}");
                let id = whole_u64(value).and_then(|n| u32::try_from(n).ok()).filter(|id| *id <= MAX_GROUP);
                self.id = Some(id.ok_or_else(|| ParseError::bad_value(key, value, accepted))?);
            }
            "command_bucket_id" if command.has_place() => self.place = Some(place(command, value)?),
            "type" if command.has_type() => {
                self.kind = Some(match value {
                    "all" => GroupKind::All,
                    "select" => GroupKind::Select,
                    "indirect" => GroupKind::Indirect,
                    "ff" | "fast_failover" => GroupKind::FastFailover,
                    _ => return Err(ParseError::bad_value(key, value, "all, select, indirect or ff")),
                });
            }
            "selection_method" if command.has_type() => {
                if !matches!(value, "hash" | "dp_hash") {
                    return Err(ParseError::bad_value(key, value, "hash or dp_hash"));
                }
                value.clone_into(&mut self.method);
            }
            "selection_method_param" if command.has_type() => {
                let bad = || ParseError::bad_value(key, value, "a number of 64 bits");
                self.param = whole_u64(value).ok_or_else(bad)?;
            }
            "fields" if command.has_type() => {
                for (name, value) in Pairs(value) {
                    self.field(name, value)?;
                }
            }
            "command_bucket_id" => {
                return Err(ParseError::Misplaced {
                    key: "command_bucket_id",
                    remedy: "only insertions and removals have it",
                });
            }
            "type" => return Err(ParseError::Misplaced { key: "type", remedy: "a group keeps its type here" }),
            "selection_method" | "selection_method_param" | "fields" => {
                return Err(ParseError::Misplaced {
                    key: "selection_method",
                    remedy: "a group keeps its selection here",
                });
            }
            _ => {
                let accepted = "group_id=, type=, selection_method=, selection_method_param=, fields= and bucket=";
                return Err(ParseError::bad_value("group", key, accepted));
            }
        }
        Ok(())
    }

    /// One of the fields that are hashed, with the bits of it that are.
    fn field(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        let field = names::text_field(name)
            .filter(|f| !matches!(f.form, Form::DlVlan | Form::DlVlanPcp))
            .ok_or_else(|| super::matches::unknown(name))?;
        if self.fields.iter().any(|(id, _)| *id == field.id) {
            return Err(ParseError::bad_value("fields", name, "each field once"));
        }
        let whole = field.def().ones();
        let mask = if value.is_empty() {
            whole
        } else {
            let read = field_masked(field, name, value, self.ports, &mut self.notes)?;
            if !read.exact {
                return Err(ParseError::BadMask { key: excerpt(name), value: excerpt(value) });
            }
            Value(read.value & whole.0)
        };
        if mask == Value(0) {
            return Err(ParseError::bad_value(name, value, "the bits to hash: one at least"));
        }
        if mask != whole && !field.def().maskable {
            return Err(ParseError::BadMask { key: excerpt(name), value: excerpt(value) });
        }
        let at = self.fields.partition_point(|(id, _)| rank(*id) < rank(field.id));
        self.fields.insert(at, (field.id, mask));
        Ok(())
    }

    fn bucket(&mut self, text: &str) -> Result<Bucket, ParseError> {
        let select = self.kind == Some(GroupKind::Select);
        let mut bucket = Bucket {
            id: u32::MAX,
            weight: u16::from(select),
            watch_port: None,
            watch_group: None,
            actions: Vec::new(),
        };
        let mut actions: Vec<String> = Vec::new();
        for (key, value) in Pairs(text) {
            match key.to_ascii_lowercase().as_str() {
                "weight" => {
                    let number = whole_int(value, 0).and_then(|n| u16::try_from(n).ok());
                    bucket.weight = number.ok_or_else(|| ParseError::bad_value(key, value, "0 to 65535"))?;
                }
                "watch_port" => {
                    let accepted = "a port below 65280, by number or name";
                    let watched = port(value, self.ports)
                        .filter(|p| *p < OfPort::MAX || *p == OfPort::NONE || *p == OfPort::CONTROLLER)
                        .ok_or_else(|| ParseError::bad_value(key, value, accepted))?;
                    bucket.watch_port = Some(watched).filter(|p| *p != OfPort::NONE);
                }
                "watch_group" => bucket.watch_group = Some(number(key, value, MAX_GROUP)?),
                "bucket_id" => bucket.id = number(key, value, MAX_BUCKET)?,
                "action" | "actions" => actions.push(value.to_owned()),
                // Of `key(x)->y`, the value has the parenthesis already.
                _ if value.contains(")->") => actions.push(format!("{key}({value}")),
                _ => actions.push(format!("{key}({value})")),
            }
        }
        if actions.is_empty() {
            return Err(ParseError::NoValue {
                key: "bucket".to_owned(),
                accepted: "write bucket=actions=... (or drop)",
            });
        }
        bucket.actions = bucket_actions(&actions.join(","), self.ports, &mut self.notes)?;
        Ok(bucket)
    }
}

fn number(key: &str, text: &str, most: u32) -> Result<u32, ParseError> {
    whole_u64(text)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n <= most)
        .ok_or_else(|| ParseError::bad_value(key, text, format!("0 to {most}")))
}

fn place(command: GroupCommand, text: &str) -> Result<BucketPlace, ParseError> {
    match text {
        "first" => Ok(BucketPlace::First),
        "last" => Ok(BucketPlace::Last),
        "all" if command == GroupCommand::RemoveBuckets => Ok(BucketPlace::All),
        "all" => Err(ParseError::bad_value("command_bucket_id", text, "first, last or the id of a bucket")),
        _ => number("command_bucket_id", text, MAX_BUCKET).map(BucketPlace::Id),
    }
}

/// Give those without number the lowest that are free, each above the one given before.
fn number_buckets(buckets: &mut [Bucket]) {
    let mut taken: std::collections::HashSet<u32> = buckets.iter().map(|b| b.id).collect();
    let mut next = 0;
    for bucket in buckets.iter_mut().filter(|b| b.id == u32::MAX) {
        if taken.contains(&next) {
            next = (0..MAX_BUCKET).find(|id| !taken.contains(id)).unwrap_or_default();
        }
        taken.insert(next);
        bucket.id = next;
        next += 1;
    }
}

/// A group as a line of `ovs-ofctl -O OpenFlow15 dump-groups`, without the leading space. [`parse_group`] reads it back.
#[must_use]
pub fn format_group(group: &GroupSpec) -> String {
    let (kind, weight) = match group.kind {
        GroupKind::All => ("all", 0),
        GroupKind::Select => ("select", 1),
        GroupKind::Indirect => ("indirect", 0),
        GroupKind::FastFailover => ("ff", 0),
    };
    let mut out = List::default();
    out.pair("group_id", group.id);
    out.pair("type", kind);
    let (method, param, fields) = match &group.selection {
        Selection::Default => ("", 0, [].as_slice()),
        Selection::DpHash { param } => ("dp_hash", *param, [].as_slice()),
        Selection::Hash { param, fields } => ("hash", *param, fields.as_slice()),
    };
    if !method.is_empty() {
        out.pair("selection_method", method);
    }
    if param != 0 {
        out.pair("selection_method_param", param);
    }
    match fields {
        [] => {}
        [one] => out.pair("fields", hashed(*one)),
        many => {
            let mut list = List::default();
            many.iter().for_each(|field| list.item(hashed(*field)));
            out.item(format_args!("fields({})", list.0));
        }
    }
    for bucket in &group.buckets {
        out.item(format_args!("bucket=bucket_id:{}", bucket.id));
        if bucket.weight != weight {
            out.item(format_args!("weight:{}", bucket.weight));
        }
        if let Some(port) = bucket.watch_port {
            out.item(format_args!("watch_port:{}", Port(port)));
        }
        if let Some(group) = bucket.watch_group {
            out.item(format_args!("watch_group:{group}"));
        }
        out.item(format_args!("actions={}", format_actions(&bucket.actions)));
    }
    out.0
}

fn hashed((field, mask): (FieldId, Value)) -> String {
    let name = text_of(field).map_or(field.def().name, |t| t.name());
    if mask == field.def().ones() {
        return name.to_owned();
    }
    format!("{name}={}", Field(field, mask, field.def().ones()))
}

/// The order in which Open vSwitch lists fields: that of ovs-fields(7).
fn rank(field: FieldId) -> usize {
    use FieldId as F;
    #[rustfmt::skip]
    const ORDER: [FieldId; 92] = [
        F::DpHash, F::RecircId, F::ConjId, F::TunId, F::TunSrc, F::TunDst, F::TunIpv6Src, F::TunIpv6Dst, F::TunFlags,
        F::TunGbpId, F::TunGbpFlags, F::Metadata, F::InPort, F::InPortOxm, F::ActsetOutput, F::SkbPriority, F::PktMark,
        F::CtState, F::CtZone, F::CtMark, F::CtLabel, F::CtNwProto, F::CtNwSrc, F::CtNwDst, F::CtIpv6Src, F::CtIpv6Dst,
        F::CtTpSrc, F::CtTpDst, F::Reg0, F::Reg1, F::Reg2, F::Reg3, F::Reg4, F::Reg5, F::Reg6, F::Reg7, F::Reg8,
        F::Reg9, F::Reg10, F::Reg11, F::Reg12, F::Reg13, F::Reg14, F::Reg15, F::Xreg0, F::Xreg1, F::Xreg2, F::Xreg3,
        F::Xreg4, F::Xreg5, F::Xreg6, F::Xreg7, F::Xxreg0, F::Xxreg1, F::Xxreg2, F::Xxreg3, F::EthSrc, F::EthDst,
        F::EthType, F::VlanTci, F::VlanVid, F::VlanPcp, F::MplsLabel, F::MplsTc, F::MplsBos, F::MplsTtl, F::Ipv4Src,
        F::Ipv4Dst, F::Ipv6Src, F::Ipv6Dst, F::Ipv6Label, F::IpProto, F::IpTos, F::IpDscp, F::IpEcn, F::IpTtl,
        F::IpFrag, F::ArpOp, F::ArpSpa, F::ArpTpa, F::ArpSha, F::ArpTha, F::TcpSrc, F::TcpDst, F::TcpFlags, F::UdpSrc,
        F::UdpDst, F::SctpSrc, F::SctpDst, F::IcmpType, F::IcmpCode, F::Icmpv6Type,
    ];
    ORDER.iter().position(|f| *f == field).unwrap_or(ORDER.len() + field as usize)
}
