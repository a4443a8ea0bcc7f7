//! `shuntctl bridge`.

use crate::client::{Client, path};
use crate::commands::{fdb, port};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Bridge, BridgeSet, BridgeView, FailMode, PortView, paths};
use clap::{Subcommand, ValueEnum};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// One rule to begin with: NORMAL
    Standalone,
    /// No rule to begin with
    Secure,
}

impl From<Mode> for FailMode {
    fn from(mode: Mode) -> FailMode {
        match mode {
            Mode::Standalone => FailMode::Standalone,
            Mode::Secure => FailMode::Secure,
        }
    }
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
        /// Most addresses to learn [default: 8192]
        #[arg(long, value_name = "ADDRESSES")]
        mac_table_size: Option<u32>,
        /// Time after which an address that was not seen is forgotten [default: 300]
        #[arg(long, value_name = "SECONDS")]
        mac_aging: Option<u32>,
    },
    /// Remove a bridge with its ports and rules
    Del {
        /// Name of the bridge
        name: String,
    },
    /// List bridges
    List,
    /// Show all of one bridge
    Show {
        /// Name of the bridge
        name: String,
    },
    /// Change a bridge
    #[command(group = clap::ArgGroup::new("change").args(["fail_mode", "mac_table_size", "mac_aging"]).multiple(true).required(true))]
    Set {
        /// Name of the bridge
        name: String,
        /// What the bridge begins with after its rules are gone and a restart
        #[arg(long, value_enum)]
        fail_mode: Option<Mode>,
        /// Most addresses to learn
        #[arg(long, value_name = "ADDRESSES")]
        mac_table_size: Option<u32>,
        /// Time after which an address that was not seen is forgotten
        #[arg(long, value_name = "SECONDS")]
        mac_aging: Option<u32>,
    },
    /// List learned addresses; the same as fdb show
    Fdb {
        /// Name of the bridge
        name: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add { name, fail_mode, mac_table_size, mac_aging } => {
            let bridge = Bridge { mac_table_size, mac_aging, ..Bridge::new(name, fail_mode.into()) };
            let ack: Ack = client.post(paths::BRIDGES, &bridge)?;
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
        Verb::Show { name } => {
            let bridge: BridgeView = client.get(&path(paths::BRIDGE, &[&name]))?;
            let ports: Vec<PortView> = client.get(paths::PORTS)?;
            out.print(&bridge, |b| {
                let here: Vec<_> = ports.into_iter().filter(|p| p.bridge == name).collect();
                format!("{}\n\n{}", one(b), port::list(&here))
            })
        }
        Verb::Set { name, fail_mode, mac_table_size, mac_aging } => {
            let set = BridgeSet { fail_mode: fail_mode.map(FailMode::from), mac_table_size, mac_aging };
            let ack: Ack = client.patch(&path(paths::BRIDGE, &[&name]), &set)?;
            out.print(&ack, output::ack)
        }
        Verb::Fdb { name } => fdb::show(&name, client, out),
    }
}

/// All of one bridge but its ports.
fn one(b: &BridgeView) -> String {
    let mut rows = vec![["bridge".to_owned(), b.bridge.name.clone()], ["fail-mode".to_owned(), mode(b).to_owned()]];
    let numbers = [
        ("flows", b.flows),
        ("groups", b.groups),
        ("meters", b.meters),
        ("mirrors", b.mirrors),
        ("fdb", b.fdb_entries),
        ("mac-table-size", b.bridge.mac_table_size.unwrap_or(8192) as usize),
        ("mac-aging", b.bridge.mac_aging.unwrap_or(300) as usize),
    ];
    rows.extend(numbers.map(|(name, n)| [name.to_owned(), n.to_string()]));
    rows.extend(b.punted.iter().map(|(id, n)| [format!("packets for controller {id}"), n.to_string()]));
    table(["what", "value"], rows)
}

fn mode(b: &BridgeView) -> &'static str {
    match b.bridge.fail_mode {
        FailMode::Standalone => "standalone",
        FailMode::Secure => "secure",
    }
}

pub fn list(bridges: &[BridgeView]) -> String {
    table(
        ["bridge", "fail-mode", "flows", "fdb", "ports"],
        bridges.iter().map(|b| {
            let counts = [b.flows, b.fdb_entries].map(|n| n.to_string());
            let [flows, fdb] = counts;
            [b.bridge.name.clone(), mode(b).to_owned(), flows, fdb, b.ports.join(" ")]
        }),
    )
}
