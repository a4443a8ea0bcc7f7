//! `shuntctl offload top`: flows by rate.

use crate::client::Client;
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{DpFlowView, paths};
use serde::Serialize;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// To the upper left corner, and clear the screen (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Look once, over one interval, and end
    #[arg(long)]
    once: bool,
    /// Flows to show
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    rows: usize,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let valid = text.parse().ok().filter(|s| (0.05..=3600.0).contains(s));
    valid.ok_or_else(|| "use 0.05 to 3600 seconds".to_owned())
}

/// A flow with its rates.
#[derive(Debug, Serialize)]
struct Row {
    /// Packets and bits a second, of hardware and software together.
    packets_per_second: u64,
    bits_per_second: u64,
    /// Percent of these packets that hardware switched alone.
    hardware_percent: u64,
    #[serde(flatten)]
    flow: DpFlowView,
}

pub fn run(args: &Args, client: &Client, out: Output) -> Result<()> {
    let (mut before, mut then) = (counts(client)?, Instant::now());
    loop {
        std::thread::sleep(Duration::from_secs_f64(args.interval));
        let flows: Vec<DpFlowView> = client.get(paths::DP_FLOWS)?;
        let (now, took) = (Instant::now(), then.elapsed());
        let next = flows.iter().map(|f| (f.id, counted(f))).collect();
        let (total, mut rows) = rates(flows, &before, took);
        rows.truncate(args.rows);
        out.print(&rows, |rows| {
            let clear = if !args.once && std::io::stdout().is_terminal() { CLEAR } else { "" };
            format!("{clear}{}\n", show(&total, rows))
        })?;
        if args.once {
            return Ok(());
        }
        (before, then) = (next, now);
    }
}

/// Packets by hardware, packets and bytes by both.
type Counted = (u64, u64, u64);

fn counted(f: &DpFlowView) -> Counted {
    (f.hardware_packets, f.hardware_packets + f.software_packets, f.hardware_bytes + f.software_bytes)
}

fn counts(client: &Client) -> Result<HashMap<u64, Counted>> {
    let flows: Vec<DpFlowView> = client.get(paths::DP_FLOWS)?;
    Ok(flows.iter().map(|f| (f.id, counted(f))).collect())
}

/// Sums of all flows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    flows: usize,
    packets: u64,
    hardware: u64,
}

fn rates(flows: Vec<DpFlowView>, before: &HashMap<u64, Counted>, took: Duration) -> (Total, Vec<Row>) {
    let micros = took.as_micros().max(1);
    let rate = |n: u64| u64::try_from(u128::from(n) * 1_000_000 / micros).unwrap_or(u64::MAX);
    let mut total = Total { flows: flows.len(), ..Total::default() };
    let row = |flow: DpFlowView| {
        let (was, is) = (before.get(&flow.id).copied().unwrap_or_default(), counted(&flow));
        let (hardware, packets) = (is.0.saturating_sub(was.0), is.1.saturating_sub(was.1));
        total.packets += packets;
        total.hardware += hardware;
        Row {
            packets_per_second: rate(packets),
            bits_per_second: rate(is.2.saturating_sub(was.2).saturating_mul(8)),
            hardware_percent: (hardware * 100).checked_div(packets).unwrap_or(0),
            flow,
        }
    };
    let mut rows: Vec<Row> = flows.into_iter().map(row).collect();
    rows.sort_by_key(|r| (std::cmp::Reverse((r.packets_per_second, r.bits_per_second)), r.flow.id));
    (Total { packets: rate(total.packets), hardware: rate(total.hardware), ..total }, rows)
}

fn show(total: &Total, rows: &[Row]) -> String {
    let share = (total.hardware * 100).checked_div(total.packets).unwrap_or(0);
    let head = format!("{} flows, {} packets/s, {share} % of them by hardware", total.flows, total.packets);
    let rows = rows.iter().map(|r| {
        let why: Vec<&str> = r.flow.reasons.iter().map(|reason| reason.name.as_str()).collect();
        [
            r.packets_per_second.to_string(),
            format!("{}.{:03}", r.bits_per_second / 1_000_000, r.bits_per_second / 1000 % 1000),
            format!("{} %", r.hardware_percent),
            r.flow.handled.to_string(),
            r.flow.id.to_string(),
            why.join(" "),
            output::flow(&r.flow.flow).to_owned(),
            r.flow.actions.clone(),
        ]
    });
    format!("{head}\n{}", table(["pkts/s", "Mbit/s", "hw", "handled", "id", "why", "flow", "actions"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Handled;

    fn flow(id: u64, hardware: u64, software: u64) -> DpFlowView {
        DpFlowView {
            id,
            flow: format!("recirc_id(0),in_port(p{id})"),
            actions: "p9".to_owned(),
            handled: if hardware > 0 { Handled::Hardware } else { Handled::Software },
            reasons: Vec::new(),
            software_packets: software,
            software_bytes: software * 100,
            hardware_packets: hardware,
            hardware_bytes: hardware * 100,
            idle_ms: 0,
            age_ms: 0,
            read_age_ms: None,
            inexact: false,
        }
    }

    #[test]
    fn the_fastest_flow_comes_first_and_rates_are_of_the_time_between() {
        let before = [(1, (0, 500, 50_000)), (2, (100, 100, 10_000))].into();
        let flows = vec![flow(1, 0, 700), flow(2, 1000, 100), flow(3, 0, 10)];
        let (total, rows) = rates(flows, &before, Duration::from_millis(500));
        assert_eq!(total, Total { flows: 3, packets: 2420, hardware: 1800 });
        let got: Vec<_> =
            rows.iter().map(|r| (r.flow.id, r.packets_per_second, r.bits_per_second, r.hardware_percent)).collect();
        assert_eq!(got, [(2, 2000, 1_600_000, 90), (1, 400, 320_000, 0), (3, 20, 16_000, 0)]);
        assert!(show(&total, &rows).starts_with("3 flows, 2420 packets/s, 74 % of them by hardware\npkts/s"));
    }

    #[test]
    fn intervals_have_bounds() {
        assert!(seconds("1").is_ok() && seconds("0.1").is_ok());
        assert!(seconds("0").is_err() && seconds("x").is_err() && seconds("-1").is_err() && seconds("NaN").is_err());
    }
}
