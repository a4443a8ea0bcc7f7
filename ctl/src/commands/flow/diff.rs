//! `shuntctl flow diff`.

use super::file;
use crate::client::{Client, path};
use crate::error::{Error, Result};
use crate::output::Output;
use api::{FlowView, PortView, paths};
use flow::OfPort;
use flow::rule::RuleSpec;
use flow::text;
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

/// Where flows are from.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    File(&'a Path),
    Bridge(&'a str),
}

impl<'a> Source<'a> {
    /// As ovs-ofctl tells them: a path, or the name of something that is there, is a file.
    fn of(name: &'a str) -> Source<'a> {
        let path = Path::new(name);
        if name == "-" || name.starts_with('.') || name.contains('/') || path.exists() {
            Source::File(path)
        } else {
            Source::Bridge(name)
        }
    }
}

/// Exit status 0: the same, 1: different.
pub fn run(first: &str, second: &str, client: &Client, out: Output) -> Result<ExitCode> {
    let sources = [Source::of(first), Source::of(second)];
    let bridges = sources.iter().filter_map(|s| match s {
        Source::Bridge(name) => Some(*name),
        Source::File(_) => None,
    });
    // A file that is compared with a bridge may name the bridge's ports.
    let mut names = HashMap::new();
    for bridge in bridges {
        names.extend(ports(client, bridge)?);
    }
    let names = |name: &str| names.get(name).copied();
    let [a, b] = sources.map(|source| match source {
        Source::File(path) => from_file(path, &names),
        Source::Bridge(name) => from_bridge(client, name),
    });
    let (a, b) = (a?, b?);
    let lines: Vec<String> = api::diff_rules(&a, &b).iter().flat_map(api::RuleDifference::lines).collect();
    out.print(&lines, |lines| lines.join("\n"))?;
    Ok(if lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Numbers of a bridge's ports by name.
fn ports(client: &Client, bridge: &str) -> Result<HashMap<String, OfPort>> {
    let all: Vec<PortView> = client.get(paths::PORTS)?;
    Ok(all
        .into_iter()
        .filter(|p| p.bridge == bridge)
        .filter_map(|p| Some((p.port.name, OfPort(p.port.ofport?))))
        .collect())
}

fn from_file(path: &Path, names: &dyn text::PortNames) -> Result<Vec<RuleSpec>> {
    let content = file::read(path)?;
    let read = |(line, flow)| {
        text::parse_rule(flow, names, &mut Vec::new())
            .map_err(|e| Error::Input(format!("{}:{line}: {e}", path.display())))
    };
    file::lines(&content).map(read).collect()
}

fn from_bridge(client: &Client, bridge: &str) -> Result<Vec<RuleSpec>> {
    let flows: Vec<FlowView> = client.get(&path(paths::FLOWS, &[bridge]))?;
    let read = |f: &FlowView| {
        text::parse_rule(&f.text, &text::NoPorts, &mut Vec::new())
            .map_err(|e| Error::Input(format!("flow `{}`: {e}", f.text)))
    };
    flows.iter().map(read).collect()
}
