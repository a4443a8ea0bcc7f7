//! `shuntctl flow watch`.

use crate::client::Client;
use crate::error::Result;
use crate::output::Output;
use api::{Events, FlowRemoved, paths};
use std::time::{Duration, Instant};

/// Seconds that one request waits.
const WAIT: u64 = 30;

pub fn run(
    bridge: Option<&str>,
    count: Option<usize>,
    timeout: Option<u64>,
    client: &Client,
    out: Output,
) -> Result<()> {
    let mut left = count.unwrap_or(usize::MAX);
    let mut after: Option<u64> = None;
    let mut last = Instant::now();
    while left > 0 {
        let idle = timeout.map(|t| Duration::from_secs(t).saturating_sub(last.elapsed()));
        if idle.is_some_and(|t| t.is_zero()) {
            return Ok(());
        }
        let wait = idle.map_or(WAIT, |t| t.as_secs().clamp(1, WAIT));
        let since = after.map(|n| format!("&after={n}")).unwrap_or_default();
        let events: Events = client.get(&format!("{}?wait={wait}{since}", paths::EVENTS))?;
        if let (Some(after), Some(first)) = (after, events.flows_removed.first())
            && first.number > after + 1
        {
            eprintln!(
                "shuntctl: warning: {} events were lost: they came faster than they were read",
                first.number - after - 1
            );
        }
        after = Some(events.newest);
        for event in events.flows_removed.iter().filter(|e| bridge.is_none_or(|b| b == e.bridge)).take(left) {
            out.print(event, line)?;
            left -= 1;
            last = Instant::now();
        }
    }
    Ok(())
}

/// As `ovs-ofctl monitor` prints a flow-removed message, with the bridge.
fn line(e: &FlowRemoved) -> String {
    let matching = match (e.priority, e.matching.as_str()) {
        (::flow::rule::DEFAULT_PRIORITY, m) => m.to_owned(),
        (priority, "") => format!("priority={priority}"),
        (priority, m) => format!("priority={priority},{m}"),
    };
    let table = if e.table == 0 { String::new() } else { format!(" table_id={}", e.table) };
    let cookie = if e.cookie == 0 { String::new() } else { format!(" cookie:{:#x}", e.cookie) };
    format!(
        "{}: {matching} reason={}{table}{cookie} duration{:.3}s idle{} hard{} pkts{} bytes{}",
        e.bridge, e.reason, e.duration, e.idle_timeout, e.hard_timeout, e.packets, e.bytes
    )
    .replace(":  reason", ": reason")
}
