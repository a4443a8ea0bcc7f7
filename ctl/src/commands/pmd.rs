//! `shuntctl pmd`.

use crate::client::Client;
use crate::error::{Error, Result};
use crate::output::{Output, table};
use api::{
    AutoLbView, Done, PmdSet, PmdSettings, PmdView, PmdsChanged, RebalancePlan, Rebalanced, RxqAssign, RxqView, paths,
};
use clap::{Args, Subcommand, ValueEnum};
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
    Rebalance {
        /// Only show what would move, and what it would bring
        #[arg(long)]
        dry_run: bool,
        /// With --dry-run: as if queues were assigned so
        #[arg(long, value_name = "HOW", requires = "dry_run")]
        assign: Option<Assign>,
    },
    /// Show settings, and whether they come from `pmd set` or the configuration
    Settings,
    /// Change settings; they are kept over restarts
    Set(Set),
    /// Automatic load balancing
    #[command(subcommand)]
    AutoLb(AutoLb),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Set {
    /// CPUs of PMD threads, one each: 1-3,5; any: one thread on any CPU, which rests when idle
    #[arg(long, value_name = "LIST", conflicts_with = "cpu_mask")]
    cpus: Option<String>,
    /// The same as a mask in hexadecimal, as pmd-cpu-mask of Open vSwitch: 0x6
    #[arg(long, value_name = "MASK")]
    cpu_mask: Option<String>,
    /// How receive queues are assigned to PMDs, as pmd-rxq-assign of Open vSwitch
    #[arg(long, value_name = "HOW")]
    assign: Option<Assign>,
    /// Whether PMDs with pinned queues poll nothing else (false is heeded with --assign group only)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    isolate: Option<bool>,
    /// First forget all that was set: as the configuration file says
    #[arg(long)]
    reset: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Assign {
    /// By usage, about as many queues on each PMD
    Cycles,
    /// By usage, each to the PMD with the least load
    Group,
    /// In turn
    Roundrobin,
}

impl From<Assign> for RxqAssign {
    fn from(assign: Assign) -> RxqAssign {
        match assign {
            Assign::Cycles => RxqAssign::Cycles,
            Assign::Group => RxqAssign::Group,
            Assign::Roundrobin => RxqAssign::RoundRobin,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum AutoLb {
    /// Show its settings and what it did
    Show,
    /// Turn it on
    On(Thresholds),
    /// Turn it off
    Off,
}

#[derive(Debug, Args)]
pub struct Thresholds {
    /// Load of a PMD, for a minute, that calls for a dry run
    #[arg(long, value_name = "PERCENT")]
    load_threshold: Option<u8>,
    /// By how much a new assignment must lower the variance of loads
    #[arg(long, value_name = "PERCENT")]
    improvement_threshold: Option<u8>,
    /// Least time between two dry runs
    #[arg(long, value_name = "MINUTES")]
    interval: Option<u16>,
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
        Verb::Rebalance { dry_run: false, .. } => {
            let answer: Rebalanced = client.post(paths::RXQS, &())?;
            out.print(&answer, |a| format!("{} moved", queues(a.moved)))
        }
        Verb::Rebalance { assign, .. } => {
            let query = assign.map_or_else(String::new, |a| format!("?assign={}", RxqAssign::from(a).name()));
            let answer: RebalancePlan = client.get(&format!("{}{query}", paths::RXQS_PLAN))?;
            out.print(&answer, plan)
        }
        Verb::Settings => {
            let answer: PmdSettings = client.get(paths::PMD_SETTINGS)?;
            out.print(&answer, settings)
        }
        Verb::Set(Set { cpus, cpu_mask, assign, isolate, reset }) => {
            let set =
                PmdSet { reset, cpus, cpu_mask, assign: assign.map(RxqAssign::from), isolate, ..PmdSet::default() };
            let answer: PmdsChanged = client.patch(paths::PMD_SETTINGS, &set)?;
            out.print(&answer, |a| match (a.started, a.ended) {
                (0, 0) => String::new(),
                (started, ended) => format!("PMDs: {started} started, {ended} ended"),
            })
        }
        Verb::AutoLb(AutoLb::Show) => {
            let answer: AutoLbView = client.get(paths::AUTO_LB)?;
            out.print(&answer, auto_lb)
        }
        Verb::AutoLb(AutoLb::On(Thresholds { load_threshold, improvement_threshold, interval })) => {
            let thresholds = PmdSet { load_threshold, improvement_threshold, interval, ..PmdSet::default() };
            set(client, out, &PmdSet { auto_lb: Some(true), ..thresholds })
        }
        Verb::AutoLb(AutoLb::Off) => set(client, out, &PmdSet { auto_lb: Some(false), ..PmdSet::default() }),
    }
}

/// Set what needs no word when it is done.
fn set(client: &Client, out: Output, set: &PmdSet) -> Result<()> {
    let answer: PmdsChanged = client.patch(paths::PMD_SETTINGS, set)?;
    out.print(&answer, |_| String::new())
}

/// The PMDs, or one of them.
fn pmds(client: &Client, one: Option<u32>) -> Result<Vec<PmdView>> {
    let mut all: Vec<PmdView> = client.get(paths::PMDS)?;
    if let Some(pmd) = one {
        all.retain(|p| p.pmd == pmd);
        if all.is_empty() {
            return Err(no_pmd(pmd));
        }
    }
    Ok(all)
}

/// There is no such PMD.
pub fn no_pmd(pmd: u32) -> Error {
    Error::Input(format!("pmd {pmd}: there is no such PMD; list them with: shuntctl pmd show"))
}

fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn percent(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v} %"))
}

fn show(pmds: &[PmdView]) -> String {
    table(
        ["pmd", "cpu", "numa", "isolated", "rxqs", "flows", "masks", "cache", "load", "note"],
        pmds.iter().map(|p| {
            [
                p.pmd.to_string(),
                maybe(p.cpu),
                p.numa.to_string(),
                yes(p.isolated),
                p.rxqs.to_string(),
                p.flows.to_string(),
                p.masks.to_string(),
                format!("{}/{}", p.cache_used, p.cache_capacity),
                percent(p.load),
                p.stalled.map_or_else(String::new, |s| format!("stands still for {s} s")),
            ]
        }),
    )
}

fn queues(n: usize) -> String {
    format!("{n} queue{}", if n == 1 { "" } else { "s" })
}

/// Why a plan was made or not: two tables, and what they come to.
fn plan(plan: &RebalancePlan) -> String {
    let loads = table(
        ["pmd", "cpu", "load", "then"],
        plan.pmds.iter().map(|p| [p.pmd.to_string(), maybe(p.cpu), percent(Some(p.before)), percent(Some(p.after))]),
    );
    let variance = format!(
        "variance of loads {}, then {}: {} % better",
        plan.variance_before, plan.variance_after, plan.improvement
    );
    let moved = format!("{} would move", queues(plan.moves.len()));
    let mut parts = vec![loads, variance, moved];
    if !plan.moves.is_empty() {
        let row = |m: &api::PlannedMove| [m.port.clone(), m.queue.to_string(), maybe(m.from), maybe(m.to)];
        parts.push(table(["port", "queue", "from", "to"], plan.moves.iter().map(row)));
    }
    parts.extend(plan.note.as_ref().map(|note| format!("automatic load balancing would not look: {note}")));
    parts.join("\n")
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn on(is: bool) -> String {
    if is { "on" } else { "off" }.to_owned()
}

fn settings(s: &PmdSettings) -> String {
    let cpus = match &s.cpus[..] {
        [] => "any".to_owned(),
        cpus => cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let rows = [
        ("cpus", cpus),
        ("assign", s.assign.name().to_owned()),
        ("isolate", yes(s.isolate)),
        ("auto_lb", on(s.auto_lb)),
        ("load_threshold", format!("{} %", s.load_threshold)),
        ("improvement_threshold", format!("{} %", s.improvement_threshold)),
        ("interval", format!("{} min", s.interval)),
    ];
    let from = |name: &str| if s.set.iter().any(|set| set == name) { "set" } else { "configuration" };
    let rows = rows.map(|(name, value)| [name.to_owned(), value, from(name).to_owned()]);
    let trouble = s.trouble.iter().map(|why| format!("not in force: {why}"));
    [table(["setting", "value", "from"], rows)].into_iter().chain(trouble).collect::<Vec<_>>().join("\n")
}

fn auto_lb(lb: &AutoLbView) -> String {
    let mut rows = vec![
        ["auto-lb", &on(lb.on)].map(str::to_owned),
        ["load threshold", &format!("{} %", lb.load_threshold)].map(str::to_owned),
        ["improvement threshold", &format!("{} %", lb.improvement_threshold)].map(str::to_owned),
        ["interval", &format!("{} min", lb.interval)].map(str::to_owned),
        ["looks", &lb.looks.to_string()].map(str::to_owned),
        ["dry runs", &lb.dry_runs.to_string()].map(str::to_owned),
        ["new assignments", &lb.rebalances.to_string()].map(str::to_owned),
    ];
    if let Some(why) = &lb.waits {
        rows.push(["waits", why].map(str::to_owned));
    }
    if let Some(run) = &lb.last {
        let done = if run.done { "carried out" } else { "not carried out" };
        let text = format!(
            "{} s ago: variance {}, then {} ({} % better), {done}",
            run.ago, run.variance_before, run.variance_after, run.improvement
        );
        rows.push(["last dry run", &text].map(str::to_owned));
    }
    table(["what", "value"], rows)
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
                (q.pmd.is_none(), "not polled: all isolated"),
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
