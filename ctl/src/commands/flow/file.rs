//! Files of flows.

use crate::error::{Error, Result};
use crate::output::Output;
use std::io::Read;
use std::path::Path;

/// The flows of a file, each with its line number from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// The one object that was given, instead of its number.
pub fn name_flow(error: Error, flow: &str) -> Error {
    const LONGEST: usize = 60;
    match error {
        Error::Refused(mut e) if e.object.ends_with(" 1 of 1") => {
            let noun = e.object.split(' ').next().unwrap_or_default();
            let shown: String = flow.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
            let more = if flow.chars().nth(LONGEST).is_some() { "..." } else { "" };
            e.object = format!("{noun} `{shown}{more}`");
            Error::Refused(e)
        }
        other => other,
    }
}

/// The daemon counts flows, groups or meters of a request; a person counts lines of the file.
pub fn name_line(error: Error, file: &Path, text: &str) -> Error {
    match error {
        Error::Refused(mut e) => {
            let mut words = e.object.split(' ').skip(1);
            let number = match (words.next(), words.next()) {
                (Some(n), Some("of")) => n.parse::<usize>().ok(),
                _ => None,
            };
            if let Some((line, _)) = number.and_then(|n| lines(text).nth(n.saturating_sub(1))) {
                e.object = format!("{}:{line}", file.display());
            }
            Error::Refused(e)
        }
        other => other,
    }
}

pub fn parse(file: &Path, out: Output) -> Result<()> {
    let text = read(file)?;
    let mut parsed = Vec::new();
    for (line, flow) in lines(&text) {
        let mut notes = Vec::new();
        // As parse-flows of ovs-ofctl with OpenFlow 1.4, whatever `flow add` takes beside.
        let rule = ::flow::text::parse_flow_noting(flow, &::flow::text::NoPorts, &mut notes)
            .map_err(|e| Error::Input(format!("{}:{line}: {e}", file.display())))?;
        notes.iter().for_each(|note| eprintln!("shuntctl: warning: {}:{line}: {note}", file.display()));
        parsed.push(::flow::text::format_rule(&rule));
    }
    out.print(&parsed, |p| p.join("\n"))
}

pub fn read(file: &Path) -> Result<String> {
    let error = |e: std::io::Error| Error::File { path: file.to_owned(), why: e.to_string() };
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(error)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(error)
}
