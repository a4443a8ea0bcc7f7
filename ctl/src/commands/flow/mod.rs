//! `shuntctl flow`.

mod diff;
mod dump;
mod file;
mod watch;

pub use file::{lines, name_flow, name_line, read as read_file};

use crate::client::{Client, path, percent};
use crate::commands::names::PortNames;
use crate::error::{Error, Result};
use crate::output::{self, Output};
use api::{
    Ack, FlowView, FlowsAdd, FlowsDelete, FlowsModify, FlowsReplace, FlowsReplaced, TraceRequest, TraceView, paths,
};
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a flow, in ovs-ofctl's syntax
    Add {
        /// Bridge that gets the flow
        bridge: String,
        /// Such as priority=10,ip,nw_dst=10.0.0.0/8,actions=output:2; - for one flow a line of standard input
        flow: String,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Add all flows of a file (- for standard input), or none of them
    AddFile {
        /// Bridge that gets the flows
        bridge: String,
        /// One flow a line; # begins a comment; a line may begin with add, modify, modify_strict, delete or delete_strict
        file: PathBuf,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Change the actions of flows; adds none
    Mod {
        /// Bridge of the flows
        bridge: String,
        /// Such as ip,nw_dst=10.0.0.0/8,actions=output:2
        flow: String,
        /// Only the flow with exactly this match and priority
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Remove flows; all of them when no match is given
    Del {
        /// Bridge of the flows
        bridge: String,
        /// Such as table=0,ip,nw_dst=10.0.0.0/8; cookie=VALUE/MASK and out_port=PORT select too
        #[arg(default_value = "", hide_default_value = true)]
        matching: String,
        /// Only the flow with exactly this match and priority
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Make the flows of a bridge those of a file, and print what changes
    Replace {
        /// Bridge whose flows are replaced
        bridge: String,
        /// One flow a line; # begins a comment; - for standard input
        file: PathBuf,
        /// Only print what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Print what two sets of flows differ in; exit status 1 when they do
    Diff {
        /// A file, or a bridge when there is no file of this name
        first: String,
        /// A file, or a bridge when there is no file of this name
        second: String,
    },
    /// Print flows as ovs-ofctl dump-flows does
    Dump {
        /// Bridge of the flows
        bridge: String,
        /// Such as table=0,ip,nw_dst=10.0.0.0/8; cookie=VALUE/MASK and out_port=PORT select too [default: all flows]
        #[arg(default_value = "", hide_default_value = true)]
        matching: String,
        #[command(flatten)]
        form: dump::Form,
    },
    /// Print the flows of a file (- for standard input) in their normal form; needs no daemon
    Parse {
        /// One flow a line; # begins a comment
        file: PathBuf,
    },
    /// Follow a packet through a bridge, step by step, as ovs-appctl ofproto/trace does; nothing is sent
    Trace {
        /// Bridge that the packet comes to
        bridge: String,
        /// Such as in_port=1,tcp,nw_dst=10.0.0.1; with a packet's bytes, in_port=1 and other metadata
        flow: String,
        /// The packet's bytes in hexadecimal
        #[arg(value_name = "HEX", conflicts_with = "hex")]
        bytes: Option<String>,
        /// The same as an option
        #[arg(long = "packet", value_name = "HEX")]
        hex: Option<String>,
        /// Learn what the packet teaches, as ofproto/trace's -generate does: rules of learn actions, addresses of NORMAL
        #[arg(long)]
        generate: bool,
        /// Ports by name
        #[arg(long)]
        names: bool,
    },
    /// Print flows with send_flow_rem that went, as they go
    Watch {
        /// Only those of this bridge
        bridge: Option<String>,
        /// End after so many
        #[arg(long, value_name = "N")]
        count: Option<usize>,
        /// End when none went for so many seconds
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
}

/// What ovs-ofctl has to be told and is always so here.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Bundle {
    /// All or nothing; as it always is
    #[arg(long)]
    pub bundle: bool,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<ExitCode> {
    match verb {
        Verb::Add { bridge, flow, .. } if flow == "-" => add_file(client, out, &bridge, &PathBuf::from("-"), false)?,
        Verb::Add { bridge, flow, .. } => {
            let add = FlowsAdd { flows: vec![flow.clone()], commands: false };
            let ack: Ack = client.post(&path(paths::FLOWS, &[&bridge]), &add).map_err(|e| file::name_flow(e, &flow))?;
            out.print(&ack, output::ack)?;
        }
        Verb::AddFile { bridge, file, .. } => add_file(client, out, &bridge, &file, true)?,
        Verb::Mod { bridge, flow, strict, .. } => {
            let modify = FlowsModify { flow: flow.clone(), strict };
            let ack: Ack =
                client.patch(&path(paths::FLOWS, &[&bridge]), &modify).map_err(|e| file::name_flow(e, &flow))?;
            out.print(&ack, |ack| output::changed(ack, "flow"))?;
        }
        Verb::Del { bridge, matching, strict, .. } => {
            let ack: Ack = client.delete(&path(paths::FLOWS, &[&bridge]), Some(&FlowsDelete { matching, strict }))?;
            out.print(&ack, output::ack)?;
        }
        Verb::Replace { bridge, file, dry_run, .. } => {
            let text = file::read(&file)?;
            let flows = file::lines(&text).map(|(_, flow)| flow.to_owned()).collect();
            let done: FlowsReplaced = client
                .put(&path(paths::FLOWS, &[&bridge]), &FlowsReplace { flows, dry_run })
                .map_err(|e| name_line(e, &file, &text))?;
            out.print(&done, |d| {
                let notes = d.ack.as_ref().map(output::ack).unwrap_or_default();
                d.changes.iter().cloned().chain(Some(notes)).collect::<Vec<_>>().join("\n")
            })?;
        }
        Verb::Diff { first, second } => return diff::run(&first, &second, client, out),
        Verb::Dump { bridge, matching, form } => {
            let at = format!("{}?match={}", path(paths::FLOWS, &[&bridge]), percent(&matching));
            let flows: Vec<FlowView> = client.get(&at)?;
            dump::run(flows, &bridge, form, client, out)?;
        }
        Verb::Parse { file } => file::parse(&file, out)?,
        Verb::Trace { bridge, flow, bytes, hex, generate, names } => {
            let request = TraceRequest { flow, packet: bytes.or(hex), generate };
            let trace: TraceView = client.post(&path(paths::TRACE, &[&bridge]), &request)?;
            let names = if names { PortNames::of(client, &bridge)? } else { PortNames::default() };
            out.print(&trace, |t| names.put(&t.text))?;
        }
        Verb::Watch { bridge, count, timeout } => watch::run(bridge.as_deref(), count, timeout, client, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add_file(client: &Client, out: Output, bridge: &str, file: &std::path::Path, commands: bool) -> Result<()> {
    let text = file::read(file)?;
    // Comments and blank lines go, numbers of lines stay: errors name them.
    let flows = file::lines(&text).map(|(_, flow)| flow.to_owned()).collect();
    let add = FlowsAdd { flows, commands };
    let ack: Ack = client.post(&path(paths::FLOWS, &[bridge]), &add).map_err(|e: Error| name_line(e, file, &text))?;
    out.print(&ack, output::ack)
}
