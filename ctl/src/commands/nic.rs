//! `shuntctl eswitch`, `vf` and `rep`.

use crate::client::Client;
use crate::error::Result;
use crate::output::{Output, table};
use api::{EswitchMode, EswitchPlan, EswitchSet, EswitchView, RepresentorView, VfView, paths};
use clap::{Subcommand, ValueEnum};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    Legacy,
    Switchdev,
}

#[derive(Debug, Subcommand)]
pub enum EswitchVerb {
    /// List eswitches
    Show,
    /// Bring an eswitch into a mode, with so many VFs
    Set {
        /// The PF: pci/0000:08:00.0
        pf: String,
        /// Mode to bring it into
        #[arg(long, value_enum)]
        mode: Mode,
        /// Number of VFs [default: as it is]
        #[arg(long)]
        vfs: Option<u32>,
        /// Print the plan only
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum VfVerb {
    /// List VFs
    List,
}

#[derive(Debug, Subcommand)]
pub enum RepVerb {
    /// List representors
    List,
}

pub fn eswitch(verb: EswitchVerb, client: &Client, out: Output) -> Result<()> {
    match verb {
        EswitchVerb::Show => {
            let all: Vec<EswitchView> = client.get(paths::ESWITCH)?;
            out.print(&all, |all| {
                table(
                    ["pf", "driver", "mode", "vfs", "max-vfs"],
                    all.iter().map(|e| {
                        [e.pf.clone(), e.driver.clone(), e.mode.to_string(), e.vfs.to_string(), e.max_vfs.to_string()]
                    }),
                )
            })
        }
        EswitchVerb::Set { pf, mode, vfs, dry_run } => {
            let mode = match mode {
                Mode::Legacy => EswitchMode::Legacy,
                Mode::Switchdev => EswitchMode::Switchdev,
            };
            let plan: EswitchPlan = client.put(paths::ESWITCH, &EswitchSet { pf, mode, vfs, dry_run })?;
            out.print(&plan, |p| if p.steps.is_empty() { "nothing to do".to_owned() } else { p.steps.join("\n") })
        }
    }
}

pub fn vf(VfVerb::List: VfVerb, client: &Client, out: Output) -> Result<()> {
    let vfs: Vec<VfView> = client.get(paths::VFS)?;
    out.print(&vfs, |vfs| {
        table(
            ["pf", "vf", "representor", "mac"],
            vfs.iter().map(|v| {
                let text = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".to_owned());
                [v.pf.clone(), v.vf.to_string(), text(&v.representor), text(&v.mac)]
            }),
        )
    })
}

pub fn rep(RepVerb::List: RepVerb, client: &Client, out: Output) -> Result<()> {
    let reps: Vec<RepresentorView> = client.get(paths::REPRESENTORS)?;
    out.print(&reps, |reps| {
        table(
            ["representor", "pf", "netdev", "ifindex", "port"],
            reps.iter().map(|r| {
                let port = r.port.clone().unwrap_or_else(|| "-".to_owned());
                [r.name.clone(), r.pf.clone(), r.netdev.clone(), r.ifindex.to_string(), port]
            }),
        )
    })
}
