//! `shuntctl fdb`.

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, FdbAdd, FdbEntry, FdbFlush, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the addresses that a bridge knows
    Show {
        /// Name of the bridge
        bridge: String,
    },
    /// Forget learned addresses; fixed ones stay
    Flush {
        /// Name of the bridge
        bridge: String,
        /// Only those learned on this port
        #[arg(long)]
        port: Option<String>,
    },
    /// Make an address known: it neither ages nor moves
    Add {
        /// Name of the bridge
        bridge: String,
        /// Port that the address is behind
        port: String,
        /// VLAN of the address; 0 without a tag
        vlan: u16,
        /// The address
        mac: String,
    },
    /// Forget a fixed address
    Del {
        /// Name of the bridge
        bridge: String,
        /// VLAN of the address; 0 without a tag
        vlan: u16,
        /// The address
        mac: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show { bridge } => show(&bridge, client, out),
        Verb::Flush { bridge, port } => {
            let ack: Ack =
                client.delete(&path(paths::FDB, &[&bridge]), Some(&FdbFlush { port, ..FdbFlush::default() }))?;
            out.print(&ack, |ack| {
                output::changed(ack, "address").replace("addresss", "addresses").replace("changed", "forgotten")
            })
        }
        Verb::Add { bridge, port, vlan, mac } => {
            let ack: Ack = client.post(&path(paths::FDB, &[&bridge]), &FdbAdd { port, vlan, mac })?;
            out.print(&ack, output::ack)
        }
        Verb::Del { bridge, vlan, mac } => {
            let flush = FdbFlush { vlan: Some(vlan), mac: Some(mac), ..FdbFlush::default() };
            let ack: Ack = client.delete(&path(paths::FDB, &[&bridge]), Some(&flush))?;
            out.print(&ack, output::ack)
        }
    }
}

pub fn show(bridge: &str, client: &Client, out: Output) -> Result<()> {
    let entries: Vec<FdbEntry> = client.get(&path(paths::FDB, &[bridge]))?;
    out.print(&entries, |e| {
        table(
            ["port", "VLAN", "MAC", "age"],
            e.iter().map(|e| {
                let age = if e.fixed { "static".to_owned() } else { e.age.to_string() };
                [e.port.clone(), e.vlan.to_string(), e.mac.clone(), age]
            }),
        )
    })
}
