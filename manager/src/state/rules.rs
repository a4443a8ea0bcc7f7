//! Rules as the state file keeps them: what makes a rule one rule as the key, the rest as the value. Nothing is kept twice,
//! and keys that are close to each other are written together.

use flow::rule::{DEFAULT_PRIORITY, RuleFlags, RuleSpec};
use flow::text;
use std::fmt::Write;

/// What makes a rule one rule: its table, priority and match.
#[must_use]
pub fn rule_key(rule: &RuleSpec) -> String {
    format!("{:03} {:05} {}", rule.table, rule.priority, text::format_match(&rule.matching, DEFAULT_PRIORITY))
}

/// The rest of a rule. Flags that say how to add it, not what it is, are left out: added again after a restart, in another
/// order, it must not be refused.
#[must_use]
pub fn rule_value(rule: &RuleSpec) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    if rule.cookie != 0 {
        let _ = write!(out, "cookie={:#x},", rule.cookie);
    }
    let numbers =
        [("idle_timeout", rule.idle_timeout), ("hard_timeout", rule.hard_timeout), ("importance", rule.importance)];
    for (name, value) in numbers.into_iter().filter(|(_, value)| *value != 0) {
        let _ = write!(out, "{name}={value},");
    }
    let flags = [
        (RuleFlags::SEND_FLOW_REM, "send_flow_rem,"),
        (RuleFlags::NO_PACKET_COUNTS, "no_packet_counts,"),
        (RuleFlags::NO_BYTE_COUNTS, "no_byte_counts,"),
    ];
    out.extend(flags.into_iter().filter(|(flag, _)| rule.flags.contains(*flag)).map(|(_, name)| name));
    out.push_str("actions=");
    out.push_str(&text::format_actions(&rule.actions));
    out
}

/// The whole rule as flow text; `None` when the key is none of ours.
#[must_use]
pub fn rule_text(key: &str, value: &str) -> Option<String> {
    // Files of the first version hold the whole rule in the form of a dump.
    if value.starts_with("cookie=") && value.contains(", duration=") {
        return Some(value.to_owned());
    }
    let (table, rest) = key.split_once(' ')?;
    let (priority, matching) = rest.split_once(' ')?;
    let comma = if matching.is_empty() { "" } else { "," };
    Some(format!("table={},priority={},{matching}{comma}{value}", number(table), number(priority)))
}

/// Leading zeros would make it octal.
fn number(text: &str) -> &str {
    let digits = text.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::text::{NoPorts, parse_flow};

    #[test]
    fn a_rule_is_read_back_as_it_was() {
        for text in [
            "actions=drop",
            "table=254,priority=0,actions=NORMAL",
            "table=8,priority=65535,cookie=0xffffffffffffffff,in_port=1,tcp,tp_dst=80,actions=output:2,resubmit(,3)",
            "priority=9,idle_timeout=1,hard_timeout=2,importance=3,send_flow_rem,no_packet_counts,no_byte_counts,dl_vlan=5,actions=strip_vlan,goto_table:7",
            "table=7,ipv6,ipv6_src=fe80::/10,actions=write_metadata:0x5/0xff",
        ] {
            let rule = parse_flow(text, &NoPorts).unwrap();
            let again = rule_text(&rule_key(&rule), &rule_value(&rule)).unwrap();
            assert_eq!(parse_flow(&again, &NoPorts).unwrap(), rule, "{again}");
        }
        let rule = parse_flow("priority=8,check_overlap,reset_counts,ip,actions=drop", &NoPorts).unwrap();
        let again = parse_flow(&rule_text(&rule_key(&rule), &rule_value(&rule)).unwrap(), &NoPorts).unwrap();
        assert!(again.flags.is_empty());
    }

    #[test]
    fn files_of_the_first_version_are_read() {
        let old = "cookie=0x5, duration=0s, table=3, n_packets=0, n_bytes=0, priority=7,ip actions=drop";
        assert_eq!(rule_text("003 00007 ip", old).as_deref(), Some(old));
        assert_eq!(rule_text("nonsense", "actions=drop"), None);
    }
}
