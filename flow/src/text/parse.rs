//! Flows and filters: keys of a rule around its match.

use super::actions::{actions, table_number};
use super::context::Care;
use super::error::{FileError, Note, ParseError, excerpt};
use super::lex::Pairs;
use super::matches::{match_key, unknown};
use super::normal::normalise;
use super::number::{whole_int, whole_u64};
use super::ports::{PortNames, port};
use crate::action::{outputs_to_group, outputs_to_port};
use crate::matching::Match;
use crate::port::OfPort;
use crate::rule::{RuleFlags, RuleSpec};

/// Read one flow to add, as `ovs-ofctl add-flow` takes it: `priority=10,ip,nw_dst=10.0.0.0/8,actions=output:2`.
///
/// # Errors
/// What Open vSwitch 3.1 refuses for OpenFlow 1.4, and what this switch does not support, by name.
pub fn parse_flow(text: &str, ports: &dyn PortNames) -> Result<RuleSpec, ParseError> {
    parse_flow_noting(text, ports, &mut Vec::new())
}

/// As [`parse_flow`]; also tells what was changed or left out in silence, as Open vSwitch does it. To warn the user.
///
/// # Errors
/// As [`parse_flow`].
pub fn parse_flow_noting(text: &str, ports: &dyn PortNames, notes: &mut Vec<Note>) -> Result<RuleSpec, ParseError> {
    read_flow(text, Care::All, ports, notes)
}

/// Read one flow to add, as `ovs-ofctl add-flow` without `-O` takes it: beside what [`parse_flow`] takes, `strip_vlan`,
/// `dec_ttl` and `mod_nw_ttl` where the match does not say that there is a tag or an IP header. They do nothing to
/// packets without one (OpenFlow 1.0). Whatever `format_dump` prints can be read back by this.
///
/// # Errors
/// As [`parse_flow`].
pub fn parse_rule(text: &str, ports: &dyn PortNames, notes: &mut Vec<Note>) -> Result<RuleSpec, ParseError> {
    read_flow(text, Care::OpenFlow10, ports, notes)
}

fn read_flow(text: &str, care: Care, ports: &dyn PortNames, notes: &mut Vec<Note>) -> Result<RuleSpec, ParseError> {
    // The first "action" divides the text, wherever it stands, up to the "=" that follows.
    let (head, rest) = text.split_once("action").ok_or(ParseError::NoActions)?;
    let (_, action_text) = rest.split_once('=').ok_or(ParseError::NoActions)?;

    let mut rule = RuleSpec::default();
    for (key, value) in Pairs(head) {
        if let Some(flag) = flag(key) {
            rule.flags |= flag;
        } else if !match_key(&mut rule.matching, key, value, ports, notes)? {
            rule_key(&mut rule, key, value)?;
        }
    }
    normalise(&mut rule.matching, notes)?;
    rule.actions = actions(action_text, &rule.matching, rule.table, care, ports, notes)?;
    Ok(rule)
}

/// Read a file of flows to add: one a line; `#` starts a comment; lines without text do not count.
///
/// # Errors
/// The first line that [`parse_flow`] refuses, with its number.
pub fn parse_flows(text: &str, ports: &dyn PortNames) -> Result<Vec<RuleSpec>, FileError> {
    parse_flows_noting(text, ports, |_, _| {})
}

/// As [`parse_flows`]; calls `note` with line and note for whatever was changed or left out in silence.
///
/// # Errors
/// As [`parse_flows`].
pub fn parse_flows_noting(
    text: &str,
    ports: &dyn PortNames,
    mut note: impl FnMut(usize, &Note),
) -> Result<Vec<RuleSpec>, FileError> {
    let mut rules = Vec::new();
    let mut notes = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.split_once('#').map_or(line, |(flow, _)| flow);
        if line.trim().is_empty() {
            continue;
        }
        let number = i + 1;
        rules.push(parse_flow_noting(line, ports, &mut notes).map_err(|error| FileError { line: number, error })?);
        notes.drain(..).for_each(|n| note(number, &n));
    }
    Ok(rules)
}

/// Read a match alone: no other keys, no actions. The empty text matches everything.
///
/// # Errors
/// As [`parse_flow`].
pub fn parse_match(text: &str, ports: &dyn PortNames) -> Result<Match, ParseError> {
    let (mut m, mut notes) = (Match::default(), Vec::new());
    for (key, value) in Pairs(text) {
        if !match_key(&mut m, key, value, ports, &mut notes)? {
            return Err(out_of_place(key, "give a match only"));
        }
    }
    normalise(&mut m, &mut notes)?;
    Ok(m)
}

/// Which rules to show or to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Of this table only.
    pub table: Option<u8>,
    /// Rules that match no more than this; if strict, exactly this.
    pub matching: Match,
    /// Rules whose cookie equals `cookie` in the bits of `cookie_mask`.
    pub cookie: u64,
    pub cookie_mask: u64,
    /// Rules with an output to this port, lists inside lists included.
    pub out_port: Option<OfPort>,
    /// Rules that send to this group, lists inside lists included.
    pub out_group: Option<u32>,
    /// Only if strict: the rule of this priority.
    pub priority: Option<u16>,
}

impl FlowFilter {
    /// Whether a rule is meant. With a priority the match must be the same (OpenFlow's strict comparison),
    /// otherwise within the filter's.
    #[must_use]
    pub fn selects(&self, rule: &RuleSpec) -> bool {
        self.table.is_none_or(|t| t == rule.table)
            && rule.cookie & self.cookie_mask == self.cookie & self.cookie_mask
            && self.out_port.is_none_or(|port| outputs_to_port(&rule.actions, port))
            && self.out_group.is_none_or(|group| outputs_to_group(&rule.actions, group))
            && match self.priority {
                Some(priority) => rule.priority == priority && rule.matching == self.matching,
                None => rule.matching.is_within(&self.matching),
            }
    }
}

/// Read what `ovs-ofctl dump-flows` and `del-flows` take: a match, `table`, `cookie=VALUE/MASK`, `out_port`, `out_group`; and
/// with `strict` a `priority` (given or not, the filter then has one).
///
/// # Errors
/// As [`parse_flow`]; and keys that a filter does not have.
pub fn parse_filter(text: &str, strict: bool, ports: &dyn PortNames) -> Result<FlowFilter, ParseError> {
    parse_filter_noting(text, strict, ports, &mut Vec::new())
}

/// As [`parse_filter`], and tells what was changed in silence: a field that was left out makes a filter select more.
///
/// # Errors
/// As [`parse_filter`].
pub fn parse_filter_noting(
    text: &str,
    strict: bool,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<FlowFilter, ParseError> {
    let mut filter = FlowFilter::default();
    if strict {
        filter.priority = Some(crate::rule::DEFAULT_PRIORITY);
    }
    for (key, value) in Pairs(text) {
        if match_key(&mut filter.matching, key, value, ports, notes)? {
            continue;
        }
        match key {
            "no_readonly_table" | "allow_hidden_fields" => continue,
            "table" | "out_port" | "out_group" | "cookie" | "priority" if value.is_empty() => {
                return Err(no_value(key));
            }
            "table" => filter.table = Some(table_number("table", value)?).filter(|t| *t != u8::MAX),
            "out_port" => {
                let port = port(value, ports)
                    .ok_or_else(|| ParseError::UnknownPort { key: "out_port".to_owned(), port: excerpt(value) })?;
                filter.out_port = Some(port).filter(|p| *p != OfPort::NONE);
            }
            "out_group" => filter.out_group = group_number(value)?,
            "cookie" => {
                let bad = || ParseError::bad_value("cookie", value, "VALUE/MASK (VALUE/-1 for exactly that cookie)");
                let (cookie, mask) = value.split_once('/').ok_or_else(bad)?;
                filter.cookie = whole_u64(cookie).ok_or_else(bad)?;
                filter.cookie_mask = whole_u64(mask).ok_or_else(bad)?;
            }
            "priority" if strict => filter.priority = Some(number16(key, value)?),
            "priority" => {
                let remedy = "only a strict filter, which means one rule, has a priority";
                return Err(ParseError::Misplaced { key: "priority", remedy });
            }
            _ if is_statistic(key) && !value.is_empty() => {}
            _ => {
                return Err(out_of_place(
                    key,
                    "a filter has a match, `table`, `cookie=VALUE/MASK`, `out_port` and `out_group`",
                ));
            }
        }
    }
    normalise(&mut filter.matching, notes)?;
    Ok(filter)
}

/// A group to send to; `any` is no condition.
fn group_number(text: &str) -> Result<Option<u32>, ParseError> {
    const ALL: u32 = 0xffff_fffc;
    match text {
        _ if text.eq_ignore_ascii_case("any") => Ok(None),
        _ if text.eq_ignore_ascii_case("all") => Ok(Some(ALL)),
        _ => whole_int(text, 10)
            .and_then(|n| u32::try_from(n).ok())
            .map(|n| Some(n).filter(|n| *n != u32::MAX))
            .ok_or_else(|| ParseError::bad_value("out_group", text, "a number of 32 bits, or any")),
    }
}

fn flag(key: &str) -> Option<RuleFlags> {
    Some(match key {
        "send_flow_rem" => RuleFlags::SEND_FLOW_REM,
        "check_overlap" => RuleFlags::CHECK_OVERLAP,
        "reset_counts" => RuleFlags::RESET_COUNTS,
        "no_packet_counts" => RuleFlags::NO_PACKET_COUNTS,
        "no_byte_counts" => RuleFlags::NO_BYTE_COUNTS,
        "no_readonly_table" | "allow_hidden_fields" => RuleFlags::empty(),
        _ => return None,
    })
}

/// Parts of a dump that are skipped, so that a dump can be read back.
fn is_statistic(key: &str) -> bool {
    matches!(key, "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age")
}

fn rule_key(rule: &mut RuleSpec, key: &str, value: &str) -> Result<(), ParseError> {
    match key {
        "table" | "priority" | "idle_timeout" | "hard_timeout" | "importance" | "cookie" if value.is_empty() => {
            return Err(no_value(key));
        }
        // 255 is any table, which for an addition is the first.
        "table" => rule.table = Some(table_number("table", value)?).filter(|t| *t != u8::MAX).unwrap_or(0),
        "priority" => rule.priority = number16(key, value)?,
        "idle_timeout" => rule.idle_timeout = number16(key, value)?,
        "hard_timeout" => rule.hard_timeout = number16(key, value)?,
        "importance" => rule.importance = number16(key, value)?,
        "cookie" => {
            let accepted = "a number of 64 bits (a mask only selects rules to show or remove)";
            rule.cookie = whole_u64(value).ok_or_else(|| ParseError::bad_value("cookie", value, accepted))?;
        }
        _ if is_statistic(key) && !value.is_empty() => {}
        _ => return Err(out_of_place(key, "it selects rules to show or remove")),
    }
    Ok(())
}

fn number16(key: &str, value: &str) -> Result<u16, ParseError> {
    whole_int(value, 0)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| ParseError::bad_value(key, value, "0 to 65535"))
}

fn no_value(key: &str) -> ParseError {
    ParseError::NoValue { key: excerpt(key), accepted: "write KEY=NUMBER" }
}

/// The error for a key that is no match key.
fn out_of_place(key: &str, remedy: &'static str) -> ParseError {
    match super::names::KEYS.iter().find(|k| **k == key) {
        Some(known) => ParseError::Misplaced { key: known, remedy },
        None => unknown(key),
    }
}
