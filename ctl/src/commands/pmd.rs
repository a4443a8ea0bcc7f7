//! `shuntctl pmd`.

use crate::client::Client;
use crate::error::{Error, Result};
use crate::output::{Output, table};
use api::{Done, PmdView, Rebalanced, RxqView, paths};
use clap::Subcommand;
use std::collections::BTreeMap;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List PMD threads
    Show,
    /// List receive queues and the PMD that polls each
    Rxq {
        /// Only those of this PMD
        pmd: Option<u32>,
    },
    /// Show how packets found their flow, what became of misses, and where cycles went
    Stats {
        /// Only this PMD
        pmd: Option<u32>,
    },
    /// Let statistics of all PMDs begin anew
    Clear,
    /// Assign receive queues to PMDs anew, by their usage of the last minute
    Rebalance,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show => out.print(&pmds(client, None)?, |p| show(p)),
        Verb::Rxq { pmd } => {
            // Named first, so that one that is not there is told.
            let pmds = pmds(client, pmd)?;
            let mut queues: Vec<RxqView> = client.get(paths::RXQS)?;
            queues.retain(|q| pmd.is_none() || q.pmd == pmd);
            out.print(&queues, |q| rxqs(q, &pmds))
        }
        Verb::Stats { pmd } => out.print(&pmds(client, pmd)?, |p| stats(p)),
        Verb::Clear => {
            let done: Done = client.delete(paths::PMDS, None::<&()>)?;
            out.print(&done, |_| String::new())
        }
        Verb::Rebalance => {
            let answer: Rebalanced = client.post(paths::RXQS, &())?;
            out.print(&answer, |a| format!("{} queue{} moved", a.moved, if a.moved == 1 { "" } else { "s" }))
        }
    }
}

/// The PMDs, or one of them.
fn pmds(client: &Client, one: Option<u32>) -> Result<Vec<PmdView>> {
    let mut all: Vec<PmdView> = client.get(paths::PMDS)?;
    if let Some(pmd) = one {
        all.retain(|p| p.pmd == pmd);
        if all.is_empty() {
            return Err(Error::Input(format!("pmd {pmd}: there is no such PMD; list them with: shuntctl pmd show")));
        }
    }
    Ok(all)
}

fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn percent(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v} %"))
}

fn show(pmds: &[PmdView]) -> String {
    table(
        ["pmd", "cpu", "numa", "isolated", "rxqs", "flows", "masks", "cache", "load"],
        pmds.iter().map(|p| {
            [
                p.pmd.to_string(),
                maybe(p.cpu),
                p.numa.to_string(),
                if p.isolated { "yes" } else { "no" }.to_owned(),
                p.rxqs.to_string(),
                p.flows.to_string(),
                p.masks.to_string(),
                format!("{}/{}", p.cache_used, p.cache_capacity),
                percent(p.load),
            ]
        }),
    )
}

fn rxqs(queues: &[RxqView], pmds: &[PmdView]) -> String {
    let mut queues: Vec<_> = queues.iter().collect();
    // Those that nobody polls come last.
    queues.sort_by_key(|q| (q.pmd.is_none(), q.pmd, q.port.clone(), q.queue));
    let cpu_of = |pmd: Option<u32>| pmds.iter().find(|p| Some(p.pmd) == pmd).and_then(|p| p.cpu);
    table(
        ["pmd", "cpu", "port", "queue", "usage", "packets", "pinned", "note"],
        queues.into_iter().map(|q| {
            let notes = [
                (q.pmd.is_none(), "not polled: all PMDs are isolated"),
                (q.pin_failed, "no PMD on that CPU"),
                (q.crosses_numa, "other NUMA node"),
                (q.moving, "moving"),
            ];
            let notes: Vec<_> = notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect();
            [
                maybe(q.pmd),
                maybe(cpu_of(q.pmd)),
                q.port.clone(),
                q.queue.to_string(),
                percent(q.usage),
                q.packets.to_string(),
                q.pin.map_or_else(|| "-".to_owned(), |cpu| format!("CPU {cpu}")),
                notes.join("; "),
            ]
        }),
    )
}

/// Stages in the order of a packet's way.
const STAGES: [&str; 7] = ["rx", "extract", "cache", "megaflow", "translate", "actions", "tx"];

fn stats(pmds: &[PmdView]) -> String {
    let tables: Vec<_> = pmds.iter().map(|p| format!("pmd {}, cpu {}\n{}", p.pmd, maybe(p.cpu), one(p))).collect();
    tables.join("\n\n")
}

fn one(p: &PmdView) -> String {
    let share = |n: u64, of: u64| {
        let share = (u128::from(n) * 1000).checked_div(u128::from(of));
        share.map_or_else(String::new, |s| format!("{}.{} %", s / 10, s % 10))
    };
    let ratio = |n: u64, of: u64| {
        let tenths = (u128::from(n) * 10).checked_div(u128::from(of));
        tenths.map_or_else(|| "-".to_owned(), |t| format!("{}.{}", t / 10, t % 10))
    };
    let row = |name: &str, value: String, share: String| [name.to_owned(), value, share];
    let count = |of: &BTreeMap<String, u64>, name: &str| of.get(name).copied().unwrap_or_default();
    let mut rows = vec![
        row("packets received", p.rx_packets.to_string(), String::new()),
        row("packets sent", p.tx_packets.to_string(), String::new()),
    ];
    let lookups: u64 = p.lookups.values().sum();
    rows.extend(p.lookups.iter().map(|(name, n)| row(&format!("lookup {name}"), n.to_string(), share(*n, lookups))));
    let searched = count(&p.lookups, "megaflow_hit") + count(&p.lookups, "miss");
    rows.push(row("subtables a search", ratio(p.subtables_probed, searched), String::new()));
    let misses = count(&p.lookups, "miss");
    let caused = p.misses.iter().filter(|(_, n)| **n > 0);
    rows.extend(caused.map(|(name, n)| row(&format!("miss {name}"), n.to_string(), share(*n, misses))));
    rows.extend(p.drops.iter().map(|(name, n)| row(&format!("drop {name}"), n.to_string(), String::new())));
    let cycles = p.busy_cycles + p.idle_cycles;
    rows.push(row("cycles busy", p.busy_cycles.to_string(), share(p.busy_cycles, cycles)));
    rows.push(row("cycles idle", p.idle_cycles.to_string(), share(p.idle_cycles, cycles)));
    rows.push(row("busy cycles a packet", ratio(p.busy_cycles, p.rx_packets), String::new()));
    for stage in STAGES {
        let n = count(&p.stages, stage);
        rows.push(row(&format!("  {stage}"), ratio(n, p.rx_packets), share(n, p.busy_cycles)));
    }
    table(["what", "value", "share"], rows)
}
