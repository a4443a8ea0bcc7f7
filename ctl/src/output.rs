//! Tables for people, JSON for programs.

use crate::error::Result;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// Print `value` as JSON, or what `table` makes of it.
    pub fn print<T: Serialize + ?Sized>(self, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(value).map_err(std::io::Error::other)?
        } else {
            table(value).trim_end().to_owned()
        };
        let mut out = std::io::stdout().lock();
        if !text.is_empty() {
            writeln!(out, "{text}")?;
        }
        Ok(out.flush()?)
    }
}

/// A table with a heading, columns apart by spaces; as wide as the terminal when there is one.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    // Cells have a space on either side; the first has none.
    let line = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A datapath flow for people: without what all flows of the first pass have.
pub fn flow(text: &str) -> &str {
    text.strip_prefix("recirc_id(0),").unwrap_or(text)
}

/// What a change answered, with how much it changed.
pub fn changed(answer: &api::Ack, noun: &str) -> String {
    let s = if answer.changed == 1 { "" } else { "s" };
    let notes = ack(answer);
    let notes = if notes.is_empty() { notes } else { format!("; {notes}") };
    format!("{} {noun}{s} changed{notes}", answer.changed)
}

/// What a change answered, in one line; nothing when all of it is done.
pub fn ack(ack: &api::Ack) -> String {
    let mut notes = Vec::new();
    if let api::Workers::TimedOut { pmd } = ack.workers {
        notes.push(format!("pmd {pmd} has not taken the change yet"));
    }
    match &ack.hardware {
        api::Hardware::Fenced => {}
        api::Hardware::Pending(n) => notes.push(format!("{n} hardware operations under way")),
        api::Hardware::Failed(why) => notes.push(format!("hardware: {why}")),
    }
    notes.join("; ")
}
