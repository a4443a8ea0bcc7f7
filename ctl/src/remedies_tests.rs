//! What messages tell people to type can be typed: commands of remedies, wherever they are written, are read by the parser.

use crate::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands of a text: each goes on to the end of its sentence, or of what is quoted or in brackets.
fn commands(text: &str) -> Vec<String> {
    let ends = [", ", "; ", ": ", ". ", ") ", "`", "\"", "\n", "\\n"];
    let command = |(at, _): (usize, &str)| {
        let rest = &text[at..];
        let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        rest[..end].trim_end_matches([')', '.', ',', ';']).to_owned()
    };
    text.match_indices("shuntctl ").map(command).collect()
}

/// Why a command is none. What a message leaves out, or has a word for, is no fault.
fn fault(command: &str) -> Option<ErrorKind> {
    let error = Cli::try_parse_from(command.split_whitespace()).err()?;
    let faults = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument, ErrorKind::ArgumentConflict];
    faults.contains(&error.kind()).then_some(error.kind())
}

/// The chapter is written from the code, with the remedy of every case of every reason.
#[test]
fn every_command_of_a_remedy_can_be_typed() {
    let chapter = std::fs::read_to_string(root().join("docs/guide/why-not-in-hardware.md")).unwrap();
    let said = |line: &&str| line.trim_start().starts_with("remedy:") || line.contains("it would be in hardware");
    let commands: Vec<String> = chapter.lines().filter(said).flat_map(commands).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in &commands {
        // Nothing is left out in these.
        let parsed = Cli::try_parse_from(command.split_whitespace());
        assert!(parsed.is_ok(), "{command}: {}", parsed.err().unwrap());
    }
}

#[test]
fn every_command_of_a_message_is_one() {
    let mut faults = Vec::new();
    let mut found = 0;
    for dir in [
        "api/src",
        "bond/src",
        "ctl/src",
        "kernel-ports/src",
        "manager/src",
        "offload/src",
        "pipeline/src",
        "representors/src",
    ] {
        for (path, text) in sources(&root().join(dir)) {
            let code = text.lines().filter(|line| line.contains('"') && !line.trim_start().starts_with("//"));
            for command in code.flat_map(commands).filter(|command| !command.starts_with("shuntctl {")) {
                found += 1;
                faults.extend(fault(&command).map(|kind| format!("{}: {command}: {kind:?}", path.display())));
            }
        }
    }
    assert!(found > 50, "{found}");
    assert_eq!(faults, Vec::<String>::new());
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return out };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("remedies_tests.rs") {
            out.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    out
}

#[test]
fn a_command_that_is_none_is_found() {
    assert_eq!(commands("turn it on: shuntctl offload on p1; or not"), ["shuntctl offload on p1"]);
    assert_eq!(commands("if it were on (shuntctl offload on p1)"), ["shuntctl offload on p1"]);
    assert_eq!(fault("shuntctl offload policy all"), Some(ErrorKind::InvalidSubcommand));
    assert_eq!(fault("shuntctl dp flows --hardware"), Some(ErrorKind::UnknownArgument));
    assert_eq!(fault("shuntctl bridge add"), None);
}
