//! `shuntctl nic`, and what the commands about NICs have in common.

use crate::client::{Client, path, percent};
use crate::error::{Error, Result};
use crate::output::{self, Output, table};
use api::{Ack, CheckResult, EswitchPlan, NicChecks, NicConverge, NicView, NicWish, VfWish, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List NICs, and whether they are as desired
    List,
    /// Show a NIC: what is desired of it, what is missing, what others changed
    Show {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Check what stands in the way of switchdev, and how to mend it; exit status 1 when a check fails
    Check {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Bring NICs to what is desired of them
    Converge {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all of which something is desired]
        pf: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Leave a NIC as it is: nothing is desired of it any more
    Forget {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device
        pf: String,
    },
}

/// How a change is made.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Print the steps only
    #[arg(long)]
    pub dry_run: bool,
    /// Take VFs away even from processes and virtual machines that use them
    #[arg(long)]
    pub disturb: bool,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::List => {
            let all: Vec<NicView> = client.get(paths::NICS)?;
            out.print(&all, |all| list(all))
        }
        Verb::Show { pf } => {
            let all: Vec<NicView> = client.get(&query(paths::NICS, pf.as_deref()))?;
            out.print(&all, |all| each(all, show))
        }
        Verb::Forget { pf } => {
            let ack: Ack = client.delete(&path(paths::NIC, &[&pf]), None::<&()>)?;
            out.print(&ack, output::ack)
        }
        Verb::Check { pf } => {
            let all: Vec<NicChecks> = client.get(&query(paths::NICS_CHECK, pf.as_deref()))?;
            out.print(&all, |all| each(all, checks))?;
            failed(&all)
        }
        Verb::Converge { pf, change } => {
            let ask = NicConverge { pf, dry_run: change.dry_run, disturb: change.disturb };
            let plans: Vec<EswitchPlan> = client.patient().post(paths::NICS_CONVERGE, &ask)?;
            let text = |p: &EswitchPlan| format!("{}\n{}", p.pf, indented(&plan(p)));
            out.print(&plans, |plans| match plans.as_slice() {
                [] => "nothing is desired of any NIC; say what should be: shuntctl eswitch set".to_owned(),
                some => some.iter().map(text).collect::<Vec<_>>().join("\n"),
            })
        }
    }
}

/// So that a script learns it from the exit status: what has to be mended first.
fn failed(all: &[NicChecks]) -> Result<()> {
    let fails = |nic: &NicChecks| nic.checks.iter().filter(|c| c.result == CheckResult::Fail).count();
    let nics: Vec<_> = all.iter().filter(|nic| fails(nic) > 0).map(|nic| nic.pf.as_str()).collect();
    match nics.as_slice() {
        [] => Ok(()),
        some => {
            let count: usize = all.iter().map(fails).sum();
            Err(Error::Check(format!("{count} failed, of {}; mend these first", some.join(" and "))))
        }
    }
}

/// The text of each NIC, a blank line between; without any, that there is none.
fn each<T>(all: &[T], text: impl Fn(&T) -> String) -> String {
    if all.is_empty() {
        return "this host has no NIC with SR-IOV or an eswitch; look at: lspci -nn".to_owned();
    }
    all.iter().map(text).collect::<Vec<_>>().join("\n\n")
}

/// The path with the PF asked about.
pub fn query(of: &str, pf: Option<&str>) -> String {
    pf.map_or_else(|| of.to_owned(), |pf| format!("{of}?pf={}", percent(pf)))
}

/// What was, or would be, done.
pub fn plan(plan: &EswitchPlan) -> String {
    let warnings = plan.warnings.iter().map(|w| format!("warning: {w}"));
    let lines: Vec<_> = plan.steps.iter().cloned().chain(warnings).collect();
    if lines.is_empty() { "nothing to do".to_owned() } else { lines.join("\n") }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

pub fn on_off(text: &str) -> std::result::Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("use on or off".to_owned()),
    }
}

pub fn up_down(text: &str) -> std::result::Result<bool, String> {
    match text {
        "up" => Ok(true),
        "down" => Ok(false),
        _ => Err("use up or down".to_owned()),
    }
}

/// A value, or a dash.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// On, off, or a dash.
pub fn switch(value: Option<bool>) -> String {
    or_dash(value.map(|on| if on { "on" } else { "off" }))
}

fn list(all: &[NicView]) -> String {
    table(
        ["pf", "driver", "mode", "vfs", "max-vfs", "uplink", "ports", "state"],
        all.iter().map(|n| {
            [
                n.pf.clone(),
                or_dash(n.driver.as_ref()),
                or_dash(n.mode),
                n.vfs.to_string(),
                or_dash(n.max_vfs),
                or_dash(n.uplink.as_ref()),
                n.ports.len().to_string(),
                n.state.clone(),
            ]
        }),
    )
}

fn show(nic: &NicView) -> String {
    let vfs = match nic.max_vfs {
        Some(max) => format!("{} of {max}", nic.vfs),
        None => nic.vfs.to_string(),
    };
    let ports = if nic.ports.is_empty() { "none".to_owned() } else { nic.ports.join(" ") };
    let bond = nic.bond.as_ref().map(|b| format!(", in bond {b}")).unwrap_or_default();
    let rows = [
        ("pf", nic.pf.clone()),
        ("driver", or_dash(nic.driver.as_ref())),
        ("mode", nic.mode.map_or_else(|| "no eswitch".to_owned(), |m| m.to_string())),
        ("vfs", vfs),
        ("uplink", format!("{}{bond}", or_dash(nic.uplink.as_ref()))),
        ("ports", ports),
        ("state", nic.state.clone()),
        ("desired", nic.desired.as_ref().map_or_else(|| "nothing".to_owned(), wish)),
    ];
    let mut lines: Vec<_> = rows.iter().map(|(name, value)| format!("{name:<8} {value}")).collect();
    if let Some(desired) = &nic.desired {
        lines.extend(desired.vf.iter().map(|(vf, of)| format!("{:<8} VF {vf}: {}", "", vf_wish(of))));
        lines.extend(super::sf::wishes(desired).into_iter().map(|sf| format!("{:<8} {sf}", "")));
    }
    lines.extend(nic.to_do.iter().map(|step| format!("{:<8} {step}", "to do")));
    if !nic.repair.is_empty() {
        lines.push(format!("{:<8} {}", "repair", nic.repair));
    }
    lines.extend(nic.drift.iter().map(|d| format!("{:<8} {} s ago: {}", "drift", d.ago, d.what)));
    lines.join("\n")
}

/// Columns that text may take.
const WIDTH: usize = 100;

fn checks(nic: &NicChecks) -> String {
    let mut lines = vec![nic.pf.clone()];
    for check in &nic.checks {
        let head = format!("  {:<4}  {:<12} ", check.result.to_string(), check.name);
        lines.extend(wrapped(&head, &check.found));
        if let Some(fix) = &check.fix {
            lines.extend(wrapped(&" ".repeat(head.len()), &format!("-> {fix}")));
        }
    }
    lines.join("\n")
}

/// Text in lines of [`WIDTH`], the first behind `head`, the others below its end. Words longer than a line stay whole.
fn wrapped(head: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = head.to_owned();
    for word in text.split(' ') {
        if line.trim_end().len() > head.trim_end().len() && line.len() + word.len() > WIDTH {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(head.len());
        }
        line.push_str(word);
        line.push(' ');
    }
    lines.push(line.trim_end().to_owned());
    lines
}

fn wish(wish: &NicWish) -> String {
    let words = [
        wish.mode.map(|m| m.to_string()),
        wish.vfs.map(|n| format!("{n} VFs")),
        wish.inline_mode.map(|m| format!("inline mode {m}")),
        wish.encap_mode.map(|m| format!("encap mode {m}")),
        wish.hw_tc_offload.map(|on| format!("hw-tc-offload {}", switch(Some(on)))),
        wish.representors_up.map(|up| format!("representors {}", if up { "up" } else { "down" })),
        wish.representor_mtu.map(|mtu| format!("representors' MTU {mtu}")),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() { "as it is".to_owned() } else { words.join(", ") }
}

fn vf_wish(of: &VfWish) -> String {
    let words = [
        of.mac.clone().map(|mac| format!("mac {mac}")),
        of.vlan.as_ref().map(|v| format!("vlan {}", super::vf::vlan(v))),
        of.trust.map(|on| format!("trust {}", switch(Some(on)))),
        of.spoof_check.map(|on| format!("spoof check {}", switch(Some(on)))),
        of.link_state.map(|s| format!("link state {s}")),
        of.max_rate.map(|max| format!("rate {} to {max} Mbit/s", of.min_rate.unwrap_or_default())),
        of.driver.clone().map(|d| if d.is_empty() { "no driver".to_owned() } else { format!("driver {d}") }),
        of.up.map(|up| format!("representor {}", if up { "up" } else { "down" })),
        of.mtu.map(|mtu| format!("representor's MTU {mtu}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Check;

    #[test]
    fn checks_are_wrapped_below_their_beginning() {
        let check = |name: &str, found: &str, fix: Option<&str>| Check {
            name: name.to_owned(),
            result: CheckResult::Warn,
            found: found.to_owned(),
            fix: fix.map(str::to_owned),
        };
        let long = "word ".repeat(30);
        let nic = NicChecks {
            pf: "pci/x".to_owned(),
            checks: vec![check("iommu", long.trim(), Some("mend it")), check("a", "b", None)],
        };
        let text = checks(&nic);
        assert!(text.lines().all(|l| l.len() <= WIDTH), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(
            lines[1].starts_with("  warn  iommu        word") && lines[2].starts_with("                     word"),
            "{text}"
        );
        assert_eq!(lines[3], "                     -> mend it");
        assert_eq!(lines[4], "  warn  a            b");
    }
}
