//! Rules, selections and changes as text.

use super::super::errors::invalid;
use ::pipeline::{RuleChange, Select};
use api::Error;
use flow::dp::BridgeId;
use flow::rule::RuleSpec;
use flow::text::{self, Note};

/// What a line of a file wants done (ovs-ofctl(8), add-flows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Modify,
    ModifyStrict,
    Delete,
    DeleteStrict,
}

/// The word that a text begins with, if it is a command, and the rest.
pub(super) fn command(text: &str) -> (Command, &str) {
    let text = text.trim_start();
    let (word, rest) = text.split_once([' ', '\t', ',']).unwrap_or((text, ""));
    let command = match word {
        "add" => Command::Add,
        "modify" => Command::Modify,
        "modify_strict" => Command::ModifyStrict,
        "delete" => Command::Delete,
        "delete_strict" => Command::DeleteStrict,
        _ => return (Command::Add, text),
    };
    (command, rest)
}

impl Command {
    /// The change that the text means.
    pub(super) fn change(
        self,
        bridge: BridgeId,
        text: &str,
        names: &dyn text::PortNames,
    ) -> Result<RuleChange, String> {
        let strict = matches!(self, Command::ModifyStrict | Command::DeleteStrict);
        match self {
            Command::Add => Ok(RuleChange::Add { bridge, rule: flow(text, names)? }),
            Command::Delete | Command::DeleteStrict => {
                Ok(RuleChange::Delete { bridge, select: filter(text, strict, names)? })
            }
            Command::Modify | Command::ModifyStrict => {
                let (selecting, changing) = divide(text, strict);
                let select = filter(&selecting, strict, names)?;
                let rule = flow(&changing, names)?;
                let cookie = keys(text).any(|(key, value)| key == "cookie" && !value.contains('/'));
                let cookie = cookie.then_some(rule.cookie);
                Ok(RuleChange::Modify { bridge, select, actions: rule.actions, cookie, flags: rule.flags })
            }
        }
    }
}

/// Keys before the actions, with their values.
fn keys(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let head = text.split("action").next().unwrap_or(text);
    head.split([',', ' ', '\t']).filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// A modification as the filter of what it changes, and as a flow that says how. Timeouts and importance of rules stay as
/// they are, and a loose modification has no priority, so these are read and mean nothing, as in ovs-ofctl.
fn divide(text: &str, strict: bool) -> (String, String) {
    let (head, actions) = text.split_at(text.find("action").unwrap_or(text.len()));
    let masked = |part: &str| part.starts_with("cookie=") && part.contains('/');
    let selects = |part: &&str| match part.split('=').next().unwrap_or(part) {
        "cookie" => masked(part),
        "priority" => strict,
        "idle_timeout" | "hard_timeout" | "importance" | "send_flow_rem" | "check_overlap" | "reset_counts"
        | "no_packet_counts" | "no_byte_counts" => false,
        _ => true,
    };
    let parts = || head.split([',', ' ', '\t']).filter(|part| !part.is_empty());
    let join = |parts: Vec<&str>| parts.join(",");
    let selecting = join(parts().filter(selects).collect());
    let output = |part: &str| part.starts_with("out_port=") || part.starts_with("out_group=");
    let changing = join(parts().filter(|part| !masked(part) && !output(part)).collect());
    (selecting, format!("{changing},{actions}"))
}

/// Which rules a text without actions means, as an error about the match.
pub(super) fn select(matching: &str, strict: bool, names: &dyn text::PortNames) -> Result<Select, Error> {
    filter(matching, strict, names).map_err(|e| invalid(format!("match `{matching}`"), e))
}

fn filter(matching: &str, strict: bool, names: &dyn text::PortNames) -> Result<Select, String> {
    let mut notes = Vec::new();
    let filter = text::parse_filter_noting(matching, strict, names, &mut notes).map_err(|e| e.to_string())?;
    if let Some(note) = notes.first() {
        return Err(said(matching, note));
    }
    Ok(Select {
        table: filter.table,
        matching: filter.matching,
        strict: filter.priority,
        cookie: (filter.cookie, filter.cookie_mask),
        out_port: filter.out_port,
        out_group: filter.out_group,
    })
}

/// Read a flow. ovs-ofctl leaves out a match whose prerequisite is missing, and says so in a note; here that is refused, because
/// the flow would match more than was written.
pub(super) fn flow(text: &str, names: &dyn text::PortNames) -> Result<RuleSpec, String> {
    let mut notes = Vec::new();
    let rule = text::parse_rule(text, names, &mut notes).map_err(|e| e.to_string())?;
    notes.first().map_or(Ok(rule), |note| Err(said(text, note)))
}

/// What ovs-ofctl would have changed in silence, as an error.
fn said(text: &str, note: &Note) -> String {
    match note {
        Note::LeftOut { field, needs } => {
            let field = written(text, field);
            format!("`{field}` needs {needs} in the match too; without it the flow would match more than it says")
        }
        Note::Cut { key, value, bits } => format!("`{value}` for `{key}` does not fit its {bits} bits"),
        other => format!("{other}; leave that end away"),
    }
}

/// The field as the flow's author wrote it: `tcp_dst` is another name of `tp_dst`.
fn written<'a>(text: &'a str, field: &'a str) -> &'a str {
    let end = field.rsplit('_').next().unwrap_or(field);
    let matching = text.split("actions").next().unwrap_or(text);
    let mut keys = matching.split([',', ' ', '\t']).map(|part| part.split('=').next().unwrap_or(part));
    let same = |key: &&str| {
        *key == field
            || field.starts_with("tp_") && key.strip_suffix(end).is_some_and(|k| ["tcp_", "udp_", "sctp_"].contains(&k))
    };
    keys.find(same).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::text::NoPorts;

    #[test]
    fn lines_may_begin_with_a_command() {
        assert_eq!(command("modify_strict ip,actions=drop"), (Command::ModifyStrict, "ip,actions=drop"));
        assert_eq!(command(" delete"), (Command::Delete, ""));
        assert_eq!(command("delete,ip"), (Command::Delete, "ip"));
        assert_eq!(command("ip,actions=drop"), (Command::Add, "ip,actions=drop"));
    }

    fn modify(text: &str, command: Command) -> (Select, Option<u64>, usize) {
        match command.change(BridgeId(1), text, &NoPorts).unwrap() {
            RuleChange::Modify { select, actions, cookie, .. } => (select, cookie, actions.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cookie_with_a_mask_selects_and_one_without_is_new() {
        let (select, cookie, actions) =
            modify("cookie=0x10/0xf0,table=3,tcp,tp_dst=80,idle_timeout=5,actions=output:1,output:2", Command::Modify);
        assert_eq!((select.cookie, select.table, select.strict), ((0x10, 0xf0), Some(3), None));
        assert_eq!((cookie, actions), (None, 2));
        let (select, cookie, _) = modify("cookie=7,priority=9,out_port=3,ip actions=drop", Command::ModifyStrict);
        assert_eq!((select.cookie, select.table, select.strict), ((0, 0), None, Some(9)));
        assert_eq!((select.out_port, cookie), (Some(flow::OfPort(3)), Some(7)));
    }
}
