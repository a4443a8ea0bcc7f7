//! `shuntctl offload policy`.

use crate::client::Client;
use crate::error::{Error, Result};
use crate::output::{self, Output, table};
use api::{Ack, HotPolicy, OffloadPolicy, OffloadPolicyView, paths};
use clap::Subcommand;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the policy, and what is off whatever it says
    Show,
    /// Set the policy; it is kept over restarts
    #[command(subcommand)]
    Set(Set),
}

#[derive(Debug, Subcommand)]
pub enum Set {
    /// All flows that the devices can take
    All,
    /// Flows that are fast enough
    Hot {
        /// Packets a second from which on a flow goes into hardware
        #[arg(long, value_name = "PPS")]
        rate: Option<u64>,
        /// Packets a second below which it leaves again [default: half of rate]
        #[arg(long, value_name = "PPS")]
        cool: Option<u64>,
        /// Flows of which port go first when there is not room for all: the higher, the earlier [default: 0]
        #[arg(long, value_name = "PORT=N")]
        priority: Vec<String>,
    },
    /// Flows that come in on these ports
    Ports {
        /// p1,p2
        #[arg(value_name = "PORT,PORT")]
        ports: String,
    },
    /// None
    Off,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show => {
            let view: OffloadPolicyView = client.get(paths::OFFLOAD_POLICY)?;
            out.print(&view, show)
        }
        Verb::Set(set) => {
            let ack: Ack = client.put(paths::OFFLOAD_POLICY, &policy(set)?)?;
            out.print(&ack, output::ack)
        }
    }
}

fn policy(set: Set) -> Result<OffloadPolicy> {
    Ok(match set {
        Set::All => OffloadPolicy::All,
        Set::Off => OffloadPolicy::Off,
        Set::Ports { ports } => {
            let names = ports.split(',').map(str::trim).filter(|name| !name.is_empty());
            OffloadPolicy::Ports { ports: names.map(str::to_owned).collect::<BTreeSet<_>>() }
        }
        Set::Hot { rate, cool, priority } => {
            let rate = rate.unwrap_or(HotPolicy::default().rate);
            let priorities = priority.iter().map(|text| port_priority(text)).collect::<Result<BTreeMap<_, _>>>()?;
            OffloadPolicy::Hot(HotPolicy { rate, cool: cool.unwrap_or(rate / 2), priorities })
        }
    })
}

fn port_priority(text: &str) -> Result<(String, u8)> {
    let parsed = text.split_once('=').and_then(|(port, n)| Some((port.trim().to_owned(), n.trim().parse().ok()?)));
    parsed
        .filter(|(port, _)| !port.is_empty())
        .ok_or_else(|| Error::Input(format!("--priority {text}: write PORT=N, with N from 0 to 255: --priority p1=10")))
}

/// A policy in a few words.
pub fn words(policy: &OffloadPolicy) -> String {
    match policy {
        OffloadPolicy::All => "all".to_owned(),
        OffloadPolicy::Off => "off".to_owned(),
        OffloadPolicy::Ports { ports } if ports.is_empty() => "ports: all that it named are removed".to_owned(),
        OffloadPolicy::Ports { ports } => format!("ports {}", ports.iter().cloned().collect::<Vec<_>>().join(",")),
        OffloadPolicy::Hot(hot) => {
            let first: Vec<_> = hot.priorities.iter().map(|(port, n)| format!(", {port} priority {n}")).collect();
            format!("hot: in from {} packets/s on, out below {}{}", hot.rate, hot.cool, first.concat())
        }
    }
}

fn show(view: &OffloadPolicyView) -> String {
    let mut rows = vec![
        ["policy".to_owned(), words(&view.policy)],
        ["offload".to_owned(), if view.enabled { "on" } else { "off" }.to_owned()],
    ];
    if !view.ports_off.is_empty() {
        let ports = view.ports_off.iter().cloned().collect::<Vec<_>>().join(",");
        rows.push(["off for ports".to_owned(), ports]);
    }
    table(["what", "value"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_or_refused() {
        assert_eq!(port_priority("p1=7").unwrap(), ("p1".to_owned(), 7));
        for bad in ["p1", "=3", "p1=x", "p1=256"] {
            assert!(port_priority(bad).unwrap_err().to_string().contains("PORT=N"), "{bad}");
        }
    }

    #[test]
    fn flows_leave_at_half_the_rate_unless_it_is_said() {
        let hot = |rate, cool| policy(Set::Hot { rate, cool, priority: Vec::new() }).unwrap();
        assert_eq!(words(&hot(None, None)), "hot: in from 1000 packets/s on, out below 500");
        assert_eq!(words(&hot(Some(10), Some(2))), "hot: in from 10 packets/s on, out below 2");
    }
}
