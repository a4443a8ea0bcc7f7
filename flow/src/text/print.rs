//! Rules as text.

use super::context::Context;
use super::print_actions::{Words, format_actions, list};
use super::print_match::format_match;
use crate::rule::{RuleFlags, RuleSpec};
use std::fmt::{Display, Write};
use std::time::Duration;

/// A rule as `ovs-ofctl -O OpenFlow14 parse-flows` prints it behind its `ADD `.
///
/// OpenFlow 1.4 has no action that adds a VLAN tag only when there is none: `mod_vlan_vid:5` is printed as
/// `push_vlan:0x8100,set_field:4101->vlan_vid` unless the match or an action before it says that there is a tag.
/// [`format_dump`] prints the action itself.
#[must_use]
pub fn format_rule(rule: &RuleSpec) -> String {
    let mut out = String::new();
    let mut word = |word: &dyn Display| {
        let _ = write!(out, "{word} ");
    };
    if rule.table != 0 {
        word(&format_args!("table:{}", rule.table));
    }
    let matching = format_match(&rule.matching, rule.priority);
    if !matching.is_empty() {
        word(&matching);
    }
    // All ones mean "leave the cookie" in OpenFlow.
    if rule.cookie != 0 && rule.cookie != u64::MAX {
        word(&format_args!("cookie:{:#x}", rule.cookie));
    }
    for (name, value) in [("idle", rule.idle_timeout), ("hard", rule.hard_timeout), ("importance", rule.importance)] {
        if value != 0 {
            word(&format_args!("{name}:{value}"));
        }
    }
    flags(rule.flags).for_each(|name| word(&name));
    out.push_str("actions=");
    out.push_str(&list(Context::new(&rule.matching), &rule.actions, Words::OpenFlow14));
    out
}

fn flags(flags: RuleFlags) -> impl Iterator<Item = &'static str> {
    [
        (RuleFlags::SEND_FLOW_REM, "send_flow_rem"),
        (RuleFlags::CHECK_OVERLAP, "check_overlap"),
        (RuleFlags::RESET_COUNTS, "reset_counts"),
        (RuleFlags::NO_PACKET_COUNTS, "no_packet_counts"),
        (RuleFlags::NO_BYTE_COUNTS, "no_byte_counts"),
    ]
    .into_iter()
    .filter(move |(flag, _)| flags.contains(*flag))
    .map(|(_, name)| name)
}

/// What a dump says of a rule beside the rule itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    pub packets: u64,
    pub bytes: u64,
    /// Since it was added.
    pub duration: Duration,
    /// Since a packet last hit it (or since it was added). Not printed when `None`.
    pub idle_age: Option<Duration>,
}

/// A rule as a line of `ovs-ofctl dump-flows`, without the leading space. [`super::parse_flow`] reads it back: it
/// skips the statistics.
#[must_use]
pub fn format_dump(rule: &RuleSpec, stats: &RuleStats) -> String {
    let mut out = format!("cookie={:#x}, duration={}, ", rule.cookie, Seconds(stats.duration));
    let RuleStats { packets, bytes, .. } = stats;
    let _ = write!(out, "table={}, n_packets={packets}, n_bytes={bytes}, ", rule.table);
    for (name, value) in [("idle_timeout", rule.idle_timeout), ("hard_timeout", rule.hard_timeout)] {
        if value != 0 {
            let _ = write!(out, "{name}={value}, ");
        }
    }
    for name in flags(rule.flags) {
        let _ = write!(out, "{name} ");
    }
    if rule.importance != 0 {
        let _ = write!(out, "importance={}, ", rule.importance);
    }
    if let Some(age) = stats.idle_age {
        let _ = write!(out, "idle_age={}, ", age.as_secs());
    }
    let matching = format_match(&rule.matching, rule.priority);
    if !matching.is_empty() {
        let _ = write!(out, "{matching} ");
    }
    let _ = write!(out, "actions={}", format_actions(&rule.actions));
    out
}

/// Seconds, with as many decimals as say them exactly, three at least when there are any.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match nanos {
            0 => write!(f, "{whole}s"),
            _ if nanos % 1_000_000 == 0 => write!(f, "{whole}.{:03}s", nanos / 1_000_000),
            _ => write!(f, "{whole}.{}s", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}
