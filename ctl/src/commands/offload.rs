//! `shuntctl offload`.

use crate::client::Client;
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Explanation, OffloadSet, OffloadStatus, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// How many flows are in hardware, and why the others are not
    Status,
    /// Put flows into hardware
    On,
    /// Take all flows out of hardware
    Off,
    /// Why a flow is handled where it is; all flows that are not fully in hardware when none is named
    Explain {
        /// Number of a datapath flow, from `dp flows`
        flow: Option<u64>,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    let set = |enabled| {
        let ack: Ack = client.put(paths::OFFLOAD, &OffloadSet { enabled })?;
        out.print(&ack, output::ack)
    };
    match verb {
        Verb::Status => {
            let status: OffloadStatus = client.get(paths::OFFLOAD)?;
            out.print(&status, text)
        }
        Verb::On => set(true),
        Verb::Off => set(false),
        Verb::Explain { flow } => {
            let at = match flow {
                Some(id) => format!("{}?flow={id}", paths::OFFLOAD_EXPLAIN),
                None => paths::OFFLOAD_EXPLAIN.to_owned(),
            };
            let found: Vec<Explanation> = client.get(&at)?;
            out.print(&found, |f| f.iter().map(explain).collect::<Vec<_>>().join("\n\n"))
        }
    }
}

pub fn text(s: &OffloadStatus) -> String {
    let mut rows = vec![
        ["offload".to_owned(), if s.enabled { "on" } else { "off" }.to_owned()],
        ["device".to_owned(), s.device.clone()],
    ];
    for (name, n) in
        [("full", s.full), ("partial", s.partial), ("software", s.software), ("pending", s.pending), ("rules", s.rules)]
    {
        rows.push([name.to_owned(), n.to_string()]);
    }
    rows.extend(s.reasons.iter().map(|(reason, n)| [format!("reason {reason}"), n.to_string()]));
    rows.extend(s.anomalies.iter().map(|(name, n)| [format!("anomaly {name}"), n.to_string()]));
    table(["what", "value"], rows)
}

fn explain(e: &Explanation) -> String {
    let mut lines = vec![
        format!("flow {}: {}", e.flow.id, e.flow.flow),
        format!("  actions: {}", e.flow.actions),
        format!("  handled: {}", e.flow.handled),
    ];
    for r in &e.reasons {
        lines.push(format!("  because: {}: {}", r.name, r.message));
        lines.push(format!("  remedy:  {}", r.remedy));
    }
    lines.extend(e.rules.iter().map(|r| format!("  rule:    {r}")));
    lines.join("\n")
}
