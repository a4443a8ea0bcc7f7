//! Which flow was handled where, and why.

use crate::error::Result;
use crate::output::{self, Output, table};
use api::{DpFlowView, Handled, MockView};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Flows in the table; the rest is counted.
const ROWS: usize = 40;

#[derive(Debug)]
pub struct Report {
    pub mock: MockView,
    pub flows: Vec<DpFlowView>,
    /// Frames that left the outside ends.
    pub left: usize,
    pub out_dir: Option<PathBuf>,
}

impl Report {
    /// With JSON: one line a flow, then the NIC, last the tally.
    pub fn print(mut self, out: Output) -> Result<()> {
        self.flows.sort_by_key(|f| std::cmp::Reverse(f.hardware_packets + f.software_packets));
        let mut to = std::io::stdout().lock();
        if out.json {
            for flow in &self.flows {
                writeln!(to, "{}", json(flow)?)?;
            }
            writeln!(to, "{}", json(&self.mock)?)?;
            writeln!(to, "{}", json(&self.mock.tally)?)?;
        } else {
            writeln!(to, "{}", self.text())?;
        }
        Ok(to.flush()?)
    }

    fn text(&self) -> String {
        let mut parts = vec![self.flow_table(), self.summary()];
        if let Some(dir) = &self.out_dir {
            let files: Vec<_> = self.mock.ends.iter().map(|e| format!("{e}.pcap")).collect();
            parts.push(format!("what left the NIC: {} frames in {}: {}", self.left, dir.display(), files.join(" ")));
        }
        parts.join("\n\n")
    }

    fn flow_table(&self) -> String {
        let rows = self.flows.iter().take(ROWS).map(|f| {
            let why = match f.handled {
                Handled::Hardware => "-".to_owned(),
                _ => f.reasons.iter().map(|r| r.message.as_str()).collect::<Vec<_>>().join("; "),
            };
            let packets = [f.hardware_packets, f.software_packets].map(|n| n.to_string());
            let [hardware, software] = packets;
            [f.handled.to_string(), hardware, software, output::flow(&f.flow).to_owned(), f.actions.clone(), why]
        });
        let mut text = table(["handled", "hw", "sw", "flow", "actions", "why not (fully) in hardware"], rows);
        if self.flows.len() > ROWS {
            text.push_str(&format!("\n... and {} flows more", self.flows.len() - ROWS));
        }
        text
    }

    fn summary(&self) -> String {
        let t = &self.mock.tally;
        let share = |n: u64| if t.frames_in == 0 { 0.0 } else { 100.0 * n as f64 / t.frames_in as f64 };
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.flows.iter().flat_map(|f| &f.reasons) {
            *reasons.entry(&reason.name).or_default() += 1;
        }
        let mut lines = vec![
            format!(
                "mock NIC {}: {} rules in the device (at most {}), {} flows",
                self.mock.profile,
                self.mock.rules,
                self.mock.rules_peak,
                self.flows.len()
            ),
            format!(
                "handled: {} hardware ({:.0} %), {} partial ({:.0} %), {} software ({:.0} %)",
                t.hardware,
                share(t.hardware),
                t.partial,
                share(t.partial),
                t.software,
                share(t.software)
            ),
            format!(
                "frames: {} in + {} copies = {} out + {} dropped",
                t.frames_in, t.copies, t.frames_out, t.frames_dropped
            ),
        ];
        if !reasons.is_empty() {
            let list: Vec<_> = reasons.iter().map(|(name, n)| format!("{name} {n}")).collect();
            lines.push(format!("flows not fully in hardware, by reason: {}", list.join(", ")));
        }
        lines.join("\n")
    }
}

fn json(value: &impl serde::Serialize) -> std::io::Result<String> {
    serde_json::to_string(value).map_err(std::io::Error::other)
}
