//! `shuntctl dp`.

use super::pmd::no_pmd;
use crate::client::{Client, percent};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{DpCaches, DpCounters, DpFlowView, DpMisses, DpShow, Handled, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the flow limit, lookups, revalidation and ports
    Show,
    /// List datapath flows and where each is handled
    Flows {
        /// A line each with bytes and idle time, as ovs-appctl dpctl/dump-flows -m prints them
        #[arg(long, short)]
        more: bool,
        #[command(flatten)]
        filter: Filter,
    },
    /// Print counters: packets, lookups, drops by reason
    Counters,
    /// Show the signature cache of each PMD, and its tables by input port
    Caches,
    /// Count packets that were not known by cause
    Misses {
        /// Only those of this PMD
        pmd: Option<u32>,
    },
}

/// Which flows to list.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only those wholly in hardware
    #[arg(long, conflicts_with_all = ["partial", "software"])]
    offloaded: bool,
    /// Only those matched in hardware and acted on in software
    #[arg(long, conflicts_with = "software")]
    partial: bool,
    /// Only those in software
    #[arg(long)]
    software: bool,
    /// Only those with this reason for not being (wholly) in hardware, such as TableFull
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

impl Filter {
    /// The request.
    fn path(&self) -> String {
        let places = [(self.offloaded, "hardware"), (self.partial, "partial"), (self.software, "software")];
        let handled = places.iter().find(|(asked, _)| *asked).map(|(_, place)| format!("handled={place}"));
        let reason = self.reason.as_ref().map(|reason| format!("reason={}", percent(reason)));
        let query: Vec<String> = handled.into_iter().chain(reason).collect();
        if query.is_empty() { paths::DP_FLOWS.to_owned() } else { format!("{}?{}", paths::DP_FLOWS, query.join("&")) }
    }
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show => {
            let answer: DpShow = client.get(paths::DP_SHOW)?;
            out.print(&answer, show)
        }
        Verb::Flows { more, filter } => {
            let flows: Vec<DpFlowView> = client.get(&filter.path())?;
            out.print(&flows, |f| if more { lines(f) } else { list(f) })
        }
        Verb::Counters => {
            let counters: DpCounters = client.get(paths::DP_COUNTERS)?;
            out.print(&counters, text)
        }
        Verb::Caches => {
            let answer: Vec<DpCaches> = client.get(paths::DP_CACHES)?;
            out.print(&answer, |a| caches(a))
        }
        Verb::Misses { pmd } => {
            let mut answer: Vec<DpMisses> = client.get(paths::DP_MISSES)?;
            if pmd.is_some() {
                answer.retain(|m| m.pmd == pmd);
            }
            match (pmd, answer.is_empty()) {
                (Some(pmd), true) => Err(no_pmd(pmd)),
                _ => out.print(&answer, |a| misses(a)),
            }
        }
    }
}

fn show(d: &DpShow) -> String {
    let r = &d.revalidation;
    let rows = [
        ["flows", &format!("{} of {} ({} configured)", d.flows, d.flow_limit, d.flow_limit_configured)],
        ["max idle", &format!("{} ms", d.max_idle_ms)],
        ["masks", &d.masks.to_string()],
        ["lookups", &format!("hit {}, missed {}, not kept {}, lost {}", d.hit, d.missed, d.not_kept, d.lost)],
        ["changes", &format!("{}, {} flows checked for them", r.changes, r.checked)],
        ["gone", &format!("{} wrong, {} idle, {} marks not free yet", r.removed, r.expired, r.marks_waiting)],
    ];
    let ports = d.ports.iter().map(|p| {
        let list = p.tx_shared.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let txqs =
            if list.is_empty() { p.tx_queues.to_string() } else { format!("{} (PMDs {list} share)", p.tx_queues) };
        [
            p.port.to_string(),
            p.name.clone(),
            p.mtu.to_string(),
            p.numa.to_string(),
            p.rx_packets.to_string(),
            p.tx_packets.to_string(),
            p.tx_dropped.to_string(),
            p.rx_queues.to_string(),
            txqs,
        ]
    });
    let ports = table(["port", "name", "mtu", "numa", "rx-pkts", "tx-pkts", "tx-drops", "rxqs", "txqs"], ports);
    format!("{}\n\n{ports}", table(["what", "value"], rows.map(|row| row.map(str::to_owned))))
}

fn lines(flows: &[DpFlowView]) -> String {
    let line = |f: &DpFlowView| {
        let packets = f.software_packets + f.hardware_packets;
        let used = match packets {
            0 => "never".to_owned(),
            _ => format!("{}.{:03}s", f.idle_ms / 1000, f.idle_ms % 1000),
        };
        let offloaded = match f.handled {
            Handled::Hardware => ", offloaded:yes",
            Handled::Partial => ", offloaded:partial",
            Handled::Software | Handled::Pending => "",
        };
        let bytes = f.software_bytes + f.hardware_bytes;
        let inexact = if f.inexact { ", inexact:yes" } else { "" };
        format!(
            "id:{}, {}, packets:{packets}, bytes:{bytes}, used:{used}{offloaded}{inexact}, actions:{}",
            f.id, f.flow, f.actions
        )
    };
    flows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Thousandths as a percentage with one decimal.
fn share(n: u64, of: u64) -> String {
    let share = (u128::from(n) * 1000).checked_div(u128::from(of));
    share.map_or_else(|| "-".to_owned(), |s| format!("{}.{} %", s / 10, s % 10))
}

fn caches(all: &[DpCaches]) -> String {
    let caches = all.iter().map(|c| {
        [
            c.pmd.to_string(),
            c.cpu.map_or_else(|| "-".to_owned(), |cpu| cpu.to_string()),
            format!("{}/{}", c.used, c.capacity),
            c.hits.to_string(),
            c.misses.to_string(),
            share(c.hits, c.hits + c.misses),
            c.filled.to_string(),
            c.replaced.to_string(),
        ]
    });
    let caches = table(["pmd", "cpu", "cache", "hits", "misses", "hit", "filled", "replaced"], caches);
    let mut rows = Vec::new();
    for c in all {
        let pmd = c.pmd.to_string();
        let Some(tables) = &c.tables else {
            rows.push([&pmd, "no answer: it stands still", "", "", "", ""].map(str::to_owned));
            continue;
        };
        for t in tables {
            let looks = match (t.sole, t.deep) {
                (true, _) => "sole flow",
                (false, true) => "all headers",
                (false, false) => "Ethernet",
            };
            let (flows, masks, rehashed) = (t.flows.to_string(), t.masks.to_string(), t.rehashed.to_string());
            let port = t.port.as_deref().unwrap_or("(recirculated)");
            rows.push([&pmd, port, &flows, &masks, looks, &rehashed].map(str::to_owned));
        }
    }
    format!("{caches}\n\n{}", table(["pmd", "port", "flows", "masks", "looks at", "rehashed"], rows))
}

/// Causes and their names for people, in the order in which they are met.
const CACHE: [(&str, &str); 2] = [("no_entry", "no entry"), ("pushed_out", "its line was full")];
const TABLE: [(&str, &str); 8] = [
    ("new_flow", "new flow"),
    ("other_pmd", "known to another PMD"),
    ("changed", "rules changed meanwhile"),
    ("one_packet", "holds for one packet only"),
    ("flow_limit", "flow limit"),
    ("marks", "no mark free"),
    ("masks", "too many masks"),
    ("budget", "miss budget: dropped"),
];

fn misses(all: &[DpMisses]) -> String {
    let mut rows = Vec::new();
    for m in all {
        let pmd = m.pmd.map_or_else(|| "all".to_owned(), |pmd| pmd.to_string());
        for (place, causes, of) in [("cache", &CACHE[..], &m.cache), ("flows", &TABLE[..], &m.table)] {
            let sum = of.values().sum();
            for (name, text) in causes {
                let n = of.get(*name).copied().unwrap_or_default();
                rows.push([&pmd, place, text, &n.to_string(), &share(n, sum)].map(str::to_owned));
            }
        }
        rows.push([&pmd, "flows", "of these: not translatable", &m.untranslatable.to_string(), ""].map(str::to_owned));
    }
    table(["pmd", "not in", "cause", "packets", "share"], rows)
}

/// Packets that hardware switched, as far as is known.
pub fn hardware_packets(f: &DpFlowView) -> String {
    if f.inexact { format!("{} or more", f.hardware_packets) } else { f.hardware_packets.to_string() }
}

pub fn list(flows: &[DpFlowView]) -> String {
    table(
        ["id", "handled", "hw-pkts", "read-age", "sw-pkts", "why", "flow", "actions"],
        flows.iter().map(|f| {
            [
                f.id.to_string(),
                f.handled.to_string(),
                hardware_packets(f),
                f.read_age_ms.map_or_else(|| "-".to_owned(), |ms| format!("{}.{:03}s", ms / 1000, ms % 1000)),
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
