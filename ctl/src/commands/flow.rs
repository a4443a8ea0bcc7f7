//! `shuntctl flow`.

use crate::client::{Client, path, percent};
use crate::error::{Error, Result};
use crate::output::{self, Output};
use api::{Ack, FlowView, FlowsAdd, FlowsDelete, paths};
use clap::Subcommand;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a flow, in ovs-ofctl's syntax
    Add {
        /// Bridge that gets the flow
        bridge: String,
        /// Such as priority=10,ip,nw_dst=10.0.0.0/8,actions=output:2
        flow: String,
    },
    /// Add all flows of a file (- for standard input), or none of them
    AddFile {
        /// Bridge that gets the flows
        bridge: String,
        /// One flow a line; # begins a comment
        file: PathBuf,
    },
    /// Remove flows; all of them when no match is given
    Del {
        /// Bridge of the flows
        bridge: String,
        /// Such as table=0,ip,nw_dst=10.0.0.0/8
        #[arg(default_value = "", hide_default_value = true)]
        matching: String,
        /// Only the flow with exactly this match and priority
        #[arg(long)]
        strict: bool,
    },
    /// Print flows as ovs-ofctl dump-flows does
    Dump {
        /// Bridge of the flows
        bridge: String,
        /// Such as table=0,ip,nw_dst=10.0.0.0/8 [default: all flows]
        #[arg(default_value = "", hide_default_value = true)]
        matching: String,
    },
    /// Print the flows of a file (- for standard input) in their normal form; needs no daemon
    Parse {
        /// One flow a line; # begins a comment
        file: PathBuf,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    let add = |bridge: &str, flows| {
        let ack: Ack = client.post(&path(paths::FLOWS, &[bridge]), &FlowsAdd { flows })?;
        out.print(&ack, output::ack)
    };
    match verb {
        Verb::Add { bridge, flow } => add(&bridge, vec![flow.clone()]).map_err(|e| name_flow(e, &flow)),
        Verb::AddFile { bridge, file } => {
            let text = read(&file)?;
            // Comments and blank lines go, numbers of lines stay: errors name them.
            add(&bridge, lines(&text).map(|(_, flow)| flow.to_owned()).collect())
                .map_err(|e| name_line(e, &file, &text))
        }
        Verb::Del { bridge, matching, strict } => {
            let ack: Ack = client.delete(&path(paths::FLOWS, &[&bridge]), Some(&FlowsDelete { matching, strict }))?;
            out.print(&ack, output::ack)
        }
        Verb::Dump { bridge, matching } => {
            let at = format!("{}?match={}", path(paths::FLOWS, &[&bridge]), percent(&matching));
            let flows: Vec<FlowView> = client.get(&at)?;
            out.print(&flows, |f| f.iter().map(|f| format!(" {}\n", f.text)).collect())
        }
        Verb::Parse { file } => parse(&file, out),
    }
}

/// The flows of a file, each with its line number from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// The one flow that was given, instead of its number.
fn name_flow(error: Error, flow: &str) -> Error {
    const LONGEST: usize = 60;
    match error {
        Error::Refused(mut e) if e.object == "flow 1 of 1" => {
            let shown: String = flow.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
            let more = if flow.chars().nth(LONGEST).is_some() { "..." } else { "" };
            e.object = format!("flow `{shown}{more}`");
            Error::Refused(e)
        }
        other => other,
    }
}

/// The daemon counts flows; a person counts lines of the file.
pub fn name_line(error: Error, file: &Path, text: &str) -> Error {
    match error {
        Error::Refused(mut e) => {
            let number = e.object.strip_prefix("flow ").and_then(|n| n.split(' ').next()?.parse::<usize>().ok());
            if let Some((line, _)) = number.and_then(|n| lines(text).nth(n.saturating_sub(1))) {
                e.object = format!("{}:{line}", file.display());
            }
            Error::Refused(e)
        }
        other => other,
    }
}

fn parse(file: &Path, out: Output) -> Result<()> {
    let text = read(file)?;
    let mut parsed = Vec::new();
    for (line, flow) in lines(&text) {
        let mut notes = Vec::new();
        let rule = ::flow::text::parse_flow_noting(flow, &::flow::text::NoPorts, &mut notes)
            .map_err(|e| Error::Input(format!("{}:{line}: {e}", file.display())))?;
        notes.iter().for_each(|note| eprintln!("shuntctl: warning: {}:{line}: {note}", file.display()));
        parsed.push(::flow::text::format_rule(&rule));
    }
    out.print(&parsed, |p| p.join("\n"))
}

fn read(file: &Path) -> Result<String> {
    let error = |e: std::io::Error| Error::File { path: file.to_owned(), why: e.to_string() };
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(error)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(error)
}
