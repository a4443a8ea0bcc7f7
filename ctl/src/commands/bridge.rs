//! `shuntctl bridge`.

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Bridge, BridgeView, FailMode, FdbEntry, paths};
use clap::{Subcommand, ValueEnum};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// One rule to begin with: NORMAL
    Standalone,
    /// No rule to begin with
    Secure,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a bridge
    Add {
        /// Name of the bridge
        name: String,
        /// What the bridge begins with: standalone, one rule NORMAL; secure, no rule
        #[arg(long, value_enum, default_value = "standalone")]
        fail_mode: Mode,
    },
    /// Remove a bridge with its ports and rules
    Del {
        /// Name of the bridge
        name: String,
    },
    /// List bridges
    List,
    /// List learned addresses
    Fdb {
        /// Name of the bridge
        name: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add { name, fail_mode } => {
            let fail_mode = match fail_mode {
                Mode::Standalone => FailMode::Standalone,
                Mode::Secure => FailMode::Secure,
            };
            let ack: Ack = client.post(paths::BRIDGES, &Bridge { name, fail_mode })?;
            out.print(&ack, output::ack)
        }
        Verb::Del { name } => {
            let ack: Ack = client.delete(&path(paths::BRIDGE, &[&name]), None::<&()>)?;
            out.print(&ack, output::ack)
        }
        Verb::List => {
            let bridges: Vec<BridgeView> = client.get(paths::BRIDGES)?;
            out.print(&bridges, |b| list(b))
        }
        Verb::Fdb { name } => {
            let entries: Vec<FdbEntry> = client.get(&path(paths::FDB, &[&name]))?;
            out.print(&entries, |e| {
                table(
                    ["port", "VLAN", "MAC", "age"],
                    e.iter().map(|e| [e.port.clone(), e.vlan.to_string(), e.mac.clone(), e.age.to_string()]),
                )
            })
        }
    }
}

pub fn list(bridges: &[BridgeView]) -> String {
    table(
        ["bridge", "fail-mode", "flows", "fdb", "ports"],
        bridges.iter().map(|b| {
            let mode = match b.bridge.fail_mode {
                FailMode::Standalone => "standalone",
                FailMode::Secure => "secure",
            };
            let counts = [b.flows, b.fdb_entries].map(|n| n.to_string());
            let [flows, fdb] = counts;
            [b.bridge.name.clone(), mode.to_owned(), flows, fdb, b.ports.join(" ")]
        }),
    )
}
