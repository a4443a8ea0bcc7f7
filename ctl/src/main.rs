//! `shuntctl`: the command line of Shunt.
//!
//! Noun, then verb. Each command is one request to `shuntd` (see crate `api`) and a rendering of its answer: a table
//! for people, or with `--json` the answer itself, one JSON value. `flow parse`, `mem plan --config` and `demo` are
//! the exceptions: the first two need no daemon, the third starts one of its own. One thread; nothing is kept between
//! runs.
//!
//! Exit status: 0 done, 1 refused or failed (one line on stderr, naming the object and the remedy), 2 usage.
#![forbid(unsafe_code)]

mod client;
mod commands;
mod demo;
mod error;
mod interrupt;
mod output;
mod ovs;
#[cfg(test)]
mod remedies_tests;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "shuntctl", version, about = "Manage a Shunt switch", max_term_width = 100)]
struct Cli {
    /// Unix socket of shuntd [default: $SHUNT_SOCKET, else /run/shunt/shuntd.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Everything at a glance
    Show,
    /// Bridges
    #[command(subcommand)]
    Bridge(commands::bridge::Verb),
    /// Ports of bridges
    #[command(subcommand)]
    Port(commands::port::Verb),
    /// OpenFlow rules
    #[command(subcommand)]
    Flow(commands::flow::Verb),
    /// Groups: lists of buckets that rules send to
    #[command(subcommand)]
    Group(commands::group::Verb),
    /// Meters: rate limits that rules share
    #[command(subcommand)]
    Meter(commands::meter::Verb),
    /// Mirrors: copies of chosen packets
    #[command(subcommand)]
    Mirror(commands::mirror::Verb),
    /// Tables of a bridge and their limits
    #[command(subcommand)]
    Table(commands::table::Verb),
    /// Addresses that a bridge has learned
    #[command(subcommand)]
    Fdb(commands::fdb::Verb),
    /// The datapath: its flows and counters
    #[command(subcommand)]
    Dp(commands::dp::Verb),
    /// PMD threads: receive queues, caches, cycles
    #[command(subcommand)]
    Pmd(commands::pmd::Verb),
    /// Memory for packets: mempools in use, and what ports need
    #[command(subcommand)]
    Mem(commands::mem::Verb),
    /// Hardware offload
    #[command(subcommand)]
    Offload(commands::offload::Verb),
    /// NICs: what is desired of them, and whether they are so
    #[command(subcommand)]
    Nic(commands::nic::Verb),
    /// Mode and VFs of a NIC's eswitch
    #[command(subcommand)]
    Eswitch(commands::eswitch::Verb),
    /// VFs: number, settings, counters
    #[command(subcommand)]
    Vf(commands::vf::Verb),
    /// Sub-functions (scalable functions): creating, settings
    #[command(subcommand)]
    Sf(commands::sf::Verb),
    /// Representors, and making them ports
    #[command(subcommand)]
    Rep(commands::rep::Verb),
    /// Replay captures through a mock SmartNIC
    Demo(demo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::try_parse_from(ovs::options(std::env::args_os())).unwrap_or_else(|e| {
        if let Some(clap::error::ContextValue::String(name)) = e.get(clap::error::ContextKind::InvalidSubcommand)
            && let Some(hint) = ovs::hint(name)
        {
            eprintln!("shuntctl: {hint}");
            std::process::exit(2);
        }
        e.exit()
    });
    let out = output::Output { json: cli.json };
    let client = client::Client::new(api::socket_path(cli.socket));
    let done = match cli.noun {
        Noun::Show => commands::show::run(&client, out),
        Noun::Bridge(verb) => commands::bridge::run(verb, &client, out),
        Noun::Port(verb) => commands::port::run(verb, &client, out),
        Noun::Flow(verb) => match commands::flow::run(verb, &client, out) {
            Ok(code) => return code,
            Err(e) => Err(e),
        },
        Noun::Group(verb) => commands::group::run(verb, &client, out),
        Noun::Meter(verb) => commands::meter::run(verb, &client, out),
        Noun::Mirror(verb) => commands::mirror::run(verb, &client, out),
        Noun::Table(verb) => commands::table::run(verb, &client, out),
        Noun::Fdb(verb) => commands::fdb::run(verb, &client, out),
        Noun::Dp(verb) => commands::dp::run(verb, &client, out),
        Noun::Pmd(verb) => commands::pmd::run(verb, &client, out),
        Noun::Mem(verb) => commands::mem::run(verb, &client, out),
        Noun::Offload(verb) => commands::offload::run(verb, &client, out),
        Noun::Nic(verb) => commands::nic::run(verb, &client, out),
        Noun::Eswitch(verb) => commands::eswitch::run(verb, &client, out),
        Noun::Vf(verb) => commands::vf::run(verb, &client, out),
        Noun::Sf(verb) => commands::sf::run(verb, &client, out),
        Noun::Rep(verb) => commands::rep::run(verb, &client, out),
        Noun::Demo(args) => demo::run(&args, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output went away (`shuntctl ... | head`): nothing is wrong.
        Err(error::Error::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("shuntctl: {e}");
            ExitCode::from(1)
        }
    }
}
