//! `shuntctl table`.

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, TableSet, TableView, paths};
use clap::{Subcommand, ValueEnum};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Eviction {
    /// A rule of low importance makes room
    On,
    /// The new rule is refused
    Off,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List tables with rules, packets or a limit
    Show {
        /// Bridge of the tables
        bridge: String,
    },
    /// Limit a table
    #[command(group = clap::ArgGroup::new("change").args(["limit", "eviction"]).multiple(true).required(true))]
    Set {
        /// Bridge of the table
        bridge: String,
        /// 0 to 254
        table: u8,
        /// Most rules; 0 for no limit
        #[arg(long, value_name = "RULES")]
        limit: Option<u32>,
        /// What happens when the table is full
        #[arg(long, value_enum)]
        eviction: Option<Eviction>,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show { bridge } => {
            let tables: Vec<TableView> = client.get(&path(paths::TABLES, &[&bridge]))?;
            out.print(&tables, |t| list(t))
        }
        Verb::Set { bridge, table, limit, eviction } => {
            let set = TableSet { limit, eviction: eviction.map(|e| matches!(e, Eviction::On)) };
            let ack: Ack = client.patch(&path(paths::TABLE, &[&bridge, &table.to_string()]), &set)?;
            out.print(&ack, output::ack)
        }
    }
}

fn list(tables: &[TableView]) -> String {
    table(
        ["table", "flows", "limit", "eviction", "lookups", "matches"],
        tables.iter().map(|t| {
            [
                t.table.to_string(),
                t.flows.to_string(),
                t.limit.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                if t.eviction { "on" } else { "off" }.to_owned(),
                t.lookups.to_string(),
                t.matches.to_string(),
            ]
        }),
    )
}
