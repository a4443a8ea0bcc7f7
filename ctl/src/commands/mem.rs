//! `shuntctl mem`.

use crate::client::Client;
use crate::demo::program;
use crate::error::{Error, Result};
use crate::output::{Output, table};
use api::{MemAsk, MemPlan, MemPool, MemView, PlannedPool, paths};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::Command;

const MIB: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Compute the mempools that ports need, and whether there is memory for them
    Plan(Plan),
    /// Show the mempools in use
    Show,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// Plan by this configuration file, without a daemon [default: ask the daemon]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// MTUs: one port more for each
    #[arg(long = "mtu", value_delimiter = ',', value_name = "MTUS")]
    mtus: Vec<u16>,
    /// NUMA node of these ports
    #[arg(long, value_name = "NODE", default_value_t = 0)]
    node: u32,
    /// Receive queues of these ports [default: 1]
    #[arg(long, value_name = "NUMBER")]
    n_rxq: Option<u16>,
    /// Descriptors a receive queue of these ports [default: 2048]
    #[arg(long, value_name = "NUMBER")]
    n_rxq_desc: Option<u16>,
    /// Descriptors a transmit queue of these ports [default: 2048]
    #[arg(long, value_name = "NUMBER")]
    n_txq_desc: Option<u16>,
    /// PMDs [default: those of the daemon, else 1]
    #[arg(long, value_name = "NUMBER")]
    pmds: Option<u16>,
    /// Whether each port has a pool of its own [default: as configured]
    #[arg(long, value_name = "true|false")]
    per_port_memory: Option<bool>,
    /// MTUs that shared pools are made for, such as 9000,1500:1 [default: as configured]
    #[arg(long, value_name = "MTUS")]
    shared_mempool_config: Option<String>,
    /// Buffers of each shared pool [default: as configured, else by the formula]
    #[arg(long, value_name = "NUMBER")]
    mbufs: Option<u32>,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show => {
            let view: MemView = client.get(paths::MEM)?;
            out.print(&view, show)
        }
        Verb::Plan(plan) => {
            let config = plan.config;
            let ask = MemAsk {
                mtus: plan.mtus,
                node: plan.node,
                n_rxq: plan.n_rxq,
                n_rxq_desc: plan.n_rxq_desc,
                n_txq_desc: plan.n_txq_desc,
                pmds: plan.pmds,
                per_port_memory: plan.per_port_memory,
                shared_mempool_config: plan.shared_mempool_config,
                mbufs: plan.mbufs,
            };
            let answer: MemPlan = match config {
                Some(config) => offline(&config, &ask)?,
                None => client.post(paths::MEM_PLAN, &ask)?,
            };
            out.print(&answer, text)
        }
    }
}

/// Let the daemon's program compute the plan: the configuration and the sizes of DPDK's buffers are its to know.
fn offline(config: &std::path::Path, ask: &MemAsk) -> Result<MemPlan> {
    let program = program();
    let failed = |why: String| Error::Plan(why);
    let ask = serde_json::to_string(ask).map_err(|e| failed(e.to_string()))?;
    let done = Command::new(&program)
        .arg("--config")
        .arg(config)
        .args(["--plan-memory", &ask])
        .output()
        .map_err(|e| failed(format!("cannot start {}: {e}", program.display())))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let line = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("shuntd said nothing");
        return Err(failed(line.trim_start_matches("shuntd: ").trim_start_matches("memory plan: ").to_owned()));
    }
    serde_json::from_slice(&done.stdout).map_err(|e| failed(e.to_string()))
}

fn ports(ports: &[String]) -> String {
    if ports.is_empty() { "-".to_owned() } else { ports.join(" ") }
}

fn show(view: &MemView) -> String {
    let pool = |p: &MemPool| {
        [
            p.name.clone(),
            p.mtu.to_string(),
            p.node.to_string(),
            p.mbufs.to_string(),
            p.in_use.to_string(),
            p.free.to_string(),
            p.bytes.div_ceil(MIB).to_string(),
            ports(&p.ports),
        ]
    };
    let head = ["pool", "mtu", "node", "mbufs", "in-use", "free", "MiB", "ports"];
    let kind = if view.huge_pages { "huge pages" } else { "ordinary pages" };
    let heap = format!("DPDK's memory: {} MiB in {kind}, {} MiB free", view.heap / MIB, view.heap_free / MIB);
    let waiting = match view.waiting {
        0 => String::new(),
        n => format!("\n{n} pools that no port has any more wait for their last buffers"),
    };
    format!("{}\n\n{heap}{waiting}", table(head, view.pools.iter().map(pool)))
}

fn text(plan: &MemPlan) -> String {
    let pool = |p: &PlannedPool| {
        [
            p.name.clone(),
            p.mtu.to_string(),
            p.node.to_string(),
            p.wanted.map_or_else(|| p.mbufs.to_string(), |w| format!("{} (of {w})", p.mbufs)),
            p.mbuf_size.to_string(),
            p.megabytes.to_string(),
            p.buffer_bytes.to_string(),
            p.bytes.div_ceil(MIB).to_string(),
            ports(&p.ports),
        ]
    };
    let head = ["pool", "mtu", "node", "mbufs", "mbuf-size", "MB", "bytes", "MiB", "ports"];
    let mut lines = vec![table(head, plan.pools.iter().map(pool)), String::new()];
    let shared = match plan.shared_mempool_config.as_str() {
        "" => String::new(),
        text => format!(", shared_mempool_config {text}"),
    };
    lines.push(format!("model: {}{shared}", plan.model));
    if plan.pools.iter().any(|p| p.wanted.is_some()) {
        lines.push("memory is short: shared pools were halved, to 16384 buffers at least".to_owned());
    }
    let pages = format!(
        "{} huge pages of {} KiB; have {} free of {}",
        plan.need_pages, plan.page_kib, plan.free_pages, plan.total_pages
    );
    if plan.huge_pages {
        lines.push(format!("need {} MiB: {pages}", plan.need_mib));
    } else {
        lines.push(format!("need {} MiB, have {} MiB (memory_mib) in ordinary pages", plan.need_mib, plan.have_mib));
        lines.push(format!("in huge pages it would be {pages}"));
    }
    lines.push(match &plan.command {
        Some(command) => format!("to fix it: {command}"),
        None => "enough memory".to_owned(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table_and_what_to_do() {
        let pool = PlannedPool {
            name: "packets".to_owned(),
            ports: vec!["p0".to_owned(), "p1".to_owned()],
            mtu: 1500,
            node: 0,
            mbufs: 131_072,
            wanted: Some(262_144),
            mbuf_size: 3008,
            megabytes: 394,
            buffer_bytes: 2368,
            bytes: 314_572_800,
        };
        let plan = MemPlan {
            model: "shared".to_owned(),
            shared_mempool_config: "9000,1500:1".to_owned(),
            pools: vec![pool],
            huge_pages: true,
            need_mib: 316,
            have_mib: 300,
            page_kib: 2048,
            need_pages: 158,
            free_pages: 150,
            total_pages: 200,
            command: Some("echo 208 > /proc/sys/vm/nr_hugepages".to_owned()),
        };
        let shown = text(&plan);
        for part in [
            "131072 (of 262144)",
            "3008",
            "p0 p1",
            "model: shared, shared_mempool_config 9000,1500:1",
            "memory is short",
            "need 316 MiB: 158 huge pages of 2048 KiB; have 150 free of 200",
            "to fix it: echo 208 > /proc/sys/vm/nr_hugepages",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        let ordinary = MemPlan { huge_pages: false, command: None, ..plan };
        assert!(text(&ordinary).contains("need 316 MiB, have 300 MiB (memory_mib)"));
        assert!(text(&ordinary).ends_with("enough memory"));
    }
}
