//! `shuntctl dp`.

use crate::client::Client;
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{DpCounters, DpFlowView, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List datapath flows and where each is handled
    Flows,
    /// Print counters: packets, lookups, drops by reason
    Counters,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Flows => {
            let flows: Vec<DpFlowView> = client.get(paths::DP_FLOWS)?;
            out.print(&flows, |f| list(f))
        }
        Verb::Counters => {
            let counters: DpCounters = client.get(paths::DP_COUNTERS)?;
            out.print(&counters, text)
        }
    }
}

pub fn list(flows: &[DpFlowView]) -> String {
    table(
        ["id", "handled", "hw-pkts", "sw-pkts", "why", "flow", "actions"],
        flows.iter().map(|f| {
            [
                f.id.to_string(),
                f.handled.to_string(),
                f.hardware_packets.to_string(),
                f.software_packets.to_string(),
                f.reasons.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(" "),
                output::flow(&f.flow).to_owned(),
                f.actions.clone(),
            ]
        }),
    )
}

fn text(c: &DpCounters) -> String {
    let fixed = [
        ("rx_packets", c.rx_packets),
        ("tx_packets", c.tx_packets),
        ("copies", c.copies),
        ("flows", c.flows as u64),
        ("masks", c.masks as u64),
    ];
    let rows = fixed.iter().map(|(name, n)| [(*name).to_owned(), n.to_string()]);
    let lookups = c.lookups.iter().map(|(name, n)| [format!("lookup {name}"), n.to_string()]);
    let drops = c.drops.iter().map(|(name, n)| [format!("drop {name}"), n.to_string()]);
    let events = c.events.iter().map(|(name, n)| [name.clone(), n.to_string()]);
    table(["counter", "value"], rows.chain(lookups).chain(drops).chain(events))
}
