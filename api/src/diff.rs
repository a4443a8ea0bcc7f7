//! What two sets of rules differ in, as `ovs-ofctl diff-flows` tells it.

use ::flow::Match;
use ::flow::rule::RuleSpec;
use ::flow::text;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A rule that is not the same in both sets.
#[derive(Clone, Copy, Debug)]
pub struct RuleDifference<'a> {
    /// In the first set.
    pub old: Option<&'a RuleSpec>,
    /// In the second set.
    pub new: Option<&'a RuleSpec>,
}

impl RuleDifference<'_> {
    /// The lines: `-` for what only the first has, `+` for what only the second has.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let line = |sign: char, rule: Option<&RuleSpec>| rule.map(|r| format!("{sign}{}", rule_text(r)));
        [line('-', self.old), line('+', self.new)].into_iter().flatten()
    }
}

/// Compare two sets of rules. A rule is told by table, priority and match; it differs when actions, cookie,
/// timeouts or importance do. The later of two equal rules in a set counts. Ordered by table, then priority from high
/// to low, then match.
#[must_use]
pub fn diff_rules<'a>(
    old: impl IntoIterator<Item = &'a RuleSpec>,
    new: impl IntoIterator<Item = &'a RuleSpec>,
) -> Vec<RuleDifference<'a>> {
    let (old, new) = (by_name(old), by_name(new));
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, rule)| (name, Some(*rule), None));
    let come = new.iter().filter_map(|(name, rule)| {
        let before = old.get(name).copied();
        (!before.is_some_and(|b| same(b, rule))).then_some((name, before, Some(*rule)))
    });
    let mut all: Vec<_> = gone.chain(come).collect();
    all.sort_by(|a, b| a.0.cmp(b.0));
    all.into_iter().map(|(_, old, new)| RuleDifference { old, new }).collect()
}

type Name = (u8, std::cmp::Reverse<u16>, String);

fn by_name<'a>(rules: impl IntoIterator<Item = &'a RuleSpec>) -> BTreeMap<Name, &'a RuleSpec> {
    rules.into_iter().map(|r| ((r.table, std::cmp::Reverse(r.priority), match_text(&r.matching)), r)).collect()
}

fn match_text(matching: &Match) -> String {
    text::format_match(matching, ::flow::rule::DEFAULT_PRIORITY)
}

fn same(a: &RuleSpec, b: &RuleSpec) -> bool {
    a.actions == b.actions
        && a.cookie == b.cookie
        && a.idle_timeout == b.idle_timeout
        && a.hard_timeout == b.hard_timeout
        && a.importance == b.importance
}

/// A rule as `ovs-ofctl diff-flows` prints it behind the sign.
fn rule_text(rule: &RuleSpec) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    if rule.table != 0 {
        let _ = write!(out, "table={} ", rule.table);
    }
    out.push_str(&text::format_match(&rule.matching, rule.priority));
    if rule.cookie != 0 {
        let _ = write!(out, " cookie={:#x}", rule.cookie);
    }
    let numbers =
        [("idle_timeout", rule.idle_timeout), ("hard_timeout", rule.hard_timeout), ("importance", rule.importance)];
    for (name, value) in numbers.into_iter().filter(|(_, value)| *value != 0) {
        let _ = write!(out, " {name}={value}");
    }
    let _ = write!(out, " actions={}", text::format_actions(&rule.actions));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<RuleSpec> {
        text::parse_flows(text, &text::NoPorts).unwrap()
    }

    #[test]
    fn differences_are_told_as_ovs_ofctl_does() {
        let a = rules("priority=5,tcp,actions=drop\ntable=2,ip,actions=output:1\ncookie=7,udp,actions=drop\n");
        let b = rules("priority=5,tcp,actions=drop\ntable=2,ip,actions=output:2\nidle_timeout=9,arp,actions=NORMAL\n");
        let lines: Vec<_> = diff_rules(&a, &b).iter().flat_map(RuleDifference::lines).collect();
        assert_eq!(
            lines,
            [
                "+arp idle_timeout=9 actions=NORMAL",
                "-udp cookie=0x7 actions=drop",
                "-table=2 ip actions=output:1",
                "+table=2 ip actions=output:2",
            ]
        );
        assert!(diff_rules(&a, &a).is_empty());
    }
}
