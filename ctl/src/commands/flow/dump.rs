//! `shuntctl flow dump`: order and form of what is printed.

use crate::client::Client;
use crate::commands::names::PortNames;
use crate::error::{Error, Result};
use crate::output::Output;
use api::FlowView;
use flow::text::{NoPorts, parse_match};
use flow::{FieldId, Value};
use std::cmp::Ordering;
use std::io::IsTerminal;

/// How flows are printed; ovs-ofctl's options.
#[derive(Clone, Debug, clap::Args)]
pub struct Form {
    /// Without durations and counters
    #[arg(long)]
    no_stats: bool,
    /// How old hardware's part of the counters is, as read_age=; rules whose packets software switches have none
    #[arg(long, conflicts_with = "no_stats")]
    read_age: bool,
    /// Ports by name [default: on a terminal]
    #[arg(long, overrides_with = "no_names")]
    names: bool,
    /// Ports by number [default: elsewhere]
    #[arg(long)]
    no_names: bool,
    /// In ascending order of priority, table, packets, bytes, duration or a field of the match
    #[arg(long, value_name = "FIELD", num_args = 0..=1, require_equals = true, default_missing_value = "priority")]
    sort: Option<String>,
    /// The same in descending order
    #[arg(
        long,
        value_name = "FIELD",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "priority",
        conflicts_with = "sort"
    )]
    rsort: Option<String>,
}

pub fn run(mut flows: Vec<FlowView>, bridge: &str, form: Form, client: &Client, out: Output) -> Result<()> {
    if let Some(field) = form.sort.as_deref().or(form.rsort.as_deref()) {
        sort(&mut flows, field, form.rsort.is_some())?;
    }
    let named = form.names || !form.no_names && !out.json && std::io::stdout().is_terminal();
    let names = if named { PortNames::of(client, bridge)? } else { PortNames::default() };
    out.print(&flows, |f| {
        let line = |f: &FlowView| {
            let text = match form {
                Form { no_stats: true, .. } => without_stats(f),
                Form { read_age: true, .. } => with_read_age(f),
                _ => f.text.clone(),
            };
            format!(" {}\n", names.put(&text))
        };
        f.iter().map(line).collect()
    })
}

/// The age of hardware's counters behind what was counted.
fn with_read_age(flow: &FlowView) -> String {
    let Some(ms) = flow.read_age_ms else { return flow.text.clone() };
    let counted = format!(" n_bytes={},", flow.bytes);
    flow.text.replacen(&counted, &format!("{counted} read_age={}.{:03}s,", ms / 1000, ms % 1000), 1)
}

/// As `ovs-ofctl --no-stats dump-flows`: a cookie and a table only where they are not 0.
fn without_stats(flow: &FlowView) -> String {
    let skipped = ["cookie=", "duration=", "table=", "n_packets=", "n_bytes=", "idle_age=", "hard_age="];
    let rest: Vec<_> = flow.text.split(", ").filter(|part| !skipped.iter().any(|s| part.starts_with(s))).collect();
    let cookie = if flow.cookie == 0 { String::new() } else { format!("cookie={:#x}, ", flow.cookie) };
    let table = if flow.table == 0 { String::new() } else { format!("table={}, ", flow.table) };
    format!("{cookie}{table}{}", rest.join(", "))
}

/// What flows are ordered by. Those whose match does not say the field come last, in either direction.
fn sort(flows: &mut Vec<FlowView>, by: &str, descending: bool) -> Result<()> {
    type Key = (bool, u128);
    let key: Box<dyn Fn(&FlowView) -> Key> = match by {
        "priority" => Box::new(|f| (false, f.priority.into())),
        "table" => Box::new(|f| (false, f.table.into())),
        "cookie" => Box::new(|f| (false, f.cookie.into())),
        "packets" | "n_packets" => Box::new(|f| (false, f.packets.into())),
        "bytes" | "n_bytes" => Box::new(|f| (false, f.bytes.into())),
        "duration" => Box::new(|f| (false, (f.duration * 1000.0) as u128)),
        other => {
            let field = FieldId::by_name(other).ok_or_else(|| {
                Error::Input(format!(
                    "--sort={other}: there is no such field; use priority, table, cookie, packets, bytes, duration or a field of matches, such as in_port"
                ))
            })?;
            Box::new(move |f| {
                let (value, mask) = parse_match(&f.matching, &NoPorts).map(|m| m.get(field)).unwrap_or_default();
                (mask == Value(0), value.0)
            })
        }
    };
    let mut keyed: Vec<(Key, FlowView)> = flows.drain(..).map(|f| (key(&f), f)).collect();
    keyed.sort_by(|(a, _), (b, _)| {
        a.0.cmp(&b.0).then(if descending { b.1.cmp(&a.1) } else { a.1.cmp(&b.1) }).then(Ordering::Equal)
    });
    flows.extend(keyed.into_iter().map(|(_, f)| f));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(priority: u16, matching: &str) -> FlowView {
        FlowView {
            table: 0,
            priority,
            cookie: 7,
            matching: matching.to_owned(),
            actions: "drop".to_owned(),
            packets: 0,
            bytes: 0,
            read_age_ms: None,
            duration: 0.5,
            text: format!(
                "cookie=0x7, duration=0.5s, table=0, n_packets=0, n_bytes=0, idle_timeout=5, priority={priority},{matching} actions=drop"
            ),
        }
    }

    #[test]
    fn flows_are_ordered_by_priority_or_a_field_and_those_without_it_come_last() {
        let order = |by: &str, descending: bool| {
            let mut flows = vec![flow(5, "in_port=2"), flow(9, "tcp"), flow(7, "in_port=1"), flow(6, "tcp,in_port=3")];
            sort(&mut flows, by, descending).unwrap();
            flows.iter().map(|f| f.priority).collect::<Vec<_>>()
        };
        assert_eq!(order("priority", false), [5, 6, 7, 9]);
        assert_eq!(order("priority", true), [9, 7, 6, 5]);
        assert_eq!(order("in_port", false), [7, 5, 6, 9]);
        assert_eq!(order("in_port", true), [6, 5, 7, 9]);
        assert!(sort(&mut vec![], "nosuch", false).is_err());
    }

    #[test]
    fn the_age_of_counters_is_behind_them() {
        let mut rule = flow(5, "tcp");
        assert_eq!(with_read_age(&rule), rule.text);
        rule.read_age_ms = Some(1002);
        assert!(with_read_age(&rule).contains(", n_bytes=0, read_age=1.002s, idle_timeout=5, "));
    }

    #[test]
    fn without_statistics_the_rule_is_left() {
        assert_eq!(without_stats(&flow(5, "tcp")), "cookie=0x7, idle_timeout=5, priority=5,tcp actions=drop");
    }
}
