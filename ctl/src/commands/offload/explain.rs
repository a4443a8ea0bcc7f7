//! `shuntctl offload explain`.

use crate::client::Client;
use crate::error::Result;
use crate::output::Output;
use api::{ExplainRequest, Explanation, Handled, PacketExplanation, PassExplanation, PlanStep, Reason, paths};

pub fn run(what: Option<&str>, bridge: Option<String>, client: &Client, out: Output) -> Result<()> {
    let number = what.map(|text| (text, text.trim().parse::<u64>().ok()));
    match number {
        Some((text, None)) => {
            let request = ExplainRequest { flow: text.to_owned(), bridge };
            let answer: PacketExplanation = client.post(paths::OFFLOAD_EXPLAIN, &request)?;
            out.print(&answer, packet)
        }
        found => {
            let at = match found {
                Some((_, Some(id))) => format!("{}?flow={id}", paths::OFFLOAD_EXPLAIN),
                _ => paths::OFFLOAD_EXPLAIN.to_owned(),
            };
            let found: Vec<Explanation> = client.get(&at)?;
            out.print(&found, |f| f.iter().map(flow).collect::<Vec<_>>().join("\n\n"))
        }
    }
}

fn flow(e: &Explanation) -> String {
    let mut lines = vec![
        format!("flow {}: {}", e.flow.id, e.flow.flow),
        format!("  actions: {}", e.flow.actions),
        format!("  handled: {}", e.flow.handled),
    ];
    if e.flow.inexact {
        lines.push(format!(
            "  inexact: hardware has switched {} packets, or more: rules went whose last count could not be read",
            e.flow.hardware_packets
        ));
    }
    lines.extend(plan(&e.steps, &e.reasons, &e.would_help, &e.rules));
    lines.join("\n")
}

fn packet(e: &PacketExplanation) -> String {
    let passes = e.passes.iter().map(pass);
    [e.trace.clone()].into_iter().chain(passes).collect::<Vec<_>>().join("\n\n")
}

fn pass(p: &PassExplanation) -> String {
    let handled = match p.handled {
        Handled::Hardware => "hardware",
        Handled::Partial => "partial: matched in hardware, acted on in software",
        Handled::Software => "software",
        Handled::Pending => "pending",
    };
    let mut lines = vec![match p.flow {
        Some(id) => format!("flow {id} has such packets: {}", p.megaflow),
        None => format!("no flow has such packets yet; plan for: {}", p.megaflow),
    }];
    lines.extend([format!("  actions: {}", p.actions), format!("  handled: {handled}")]);
    lines.extend(plan(&p.steps, &p.reasons, &p.would_help, &p.rules));
    lines.join("\n")
}

fn plan(steps: &[PlanStep], reasons: &[Reason], would_help: &[String], rules: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        lines.push(format!("  {:2}. {:8}  {}", i + 1, step.done_by, step.what));
        lines.extend(step.reasons.iter().flat_map(|r| because(r, "      ")));
    }
    // Those that no step is to blame for.
    let said = |r: &&Reason| !steps.iter().any(|s| s.reasons.iter().any(|of| of.name == r.name));
    lines.extend(reasons.iter().filter(said).flat_map(|r| because(r, "  ")));
    lines.extend(would_help.iter().map(|change| format!("  it would be in hardware {change}")));
    lines.extend(rules.iter().map(|r| format!("  rule: {r}")));
    lines
}

fn because(reason: &Reason, indent: &str) -> [String; 2] {
    [format!("{indent}because: {}: {}", reason.name, reason.message), format!("{indent}remedy:  {}", reason.remedy)]
}
