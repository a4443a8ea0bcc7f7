//! `shuntctl sf`.

use crate::client::{Client, path};
use crate::commands::nic::{Change, on_off, or_dash, plan, query};
use crate::error::Result;
use crate::output::{Output, table};
use api::{EswitchPlan, NicWish, SfCreate, SfDestroy, SfSet, SfView, SfWish, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a sub-function, active and with a representor; of one that is there, what is named is changed
    Create {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device
        pf: String,
        /// Its number: 88 for pf0sf88
        number: u32,
        /// Ethernet address [default: the function's driver chooses]
        #[arg(long)]
        mac: Option<String>,
        /// Leave it inactive: no driver gets it yet
        #[arg(long)]
        inactive: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Destroy a sub-function, whoever made it
    Destroy {
        /// The sub-function: pf0sf88, 0000:08:00.0/pf0sf88 or its representor's network device
        sf: String,
        #[command(flatten)]
        change: Change,
    },
    /// List sub-functions
    List {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Show a sub-function
    Show {
        /// The sub-function: pf0sf88, 0000:08:00.0/pf0sf88 or its representor's network device
        sf: String,
    },
    /// Change a sub-function
    #[command(group = clap::ArgGroup::new("wish").args(["mac", "active", "up"]).multiple(true).required(true))]
    Set {
        /// The sub-function: pf0sf88, 0000:08:00.0/pf0sf88 or its representor's network device
        sf: String,
        /// Ethernet address; an active sub-function is inactive for a moment
        #[arg(long)]
        mac: Option<String>,
        /// Whether it is there for its driver
        #[arg(long, value_name = "on|off", value_parser = on_off)]
        active: Option<bool>,
        /// Whether its representor is up
        #[arg(long, value_name = "on|off", value_parser = on_off)]
        up: Option<bool>,
        #[command(flatten)]
        change: Change,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Create { pf, number, mac, inactive, change } => {
            let set = SfWish { mac, active: Some(!inactive), up: None };
            let ask = SfCreate { pf, sf: number, set, dry_run: change.dry_run, disturb: change.disturb };
            let done: EswitchPlan = client.patient().post(paths::SFS, &ask)?;
            out.print(&done, plan)
        }
        Verb::Destroy { sf, change } => {
            let ask = SfDestroy { sf, dry_run: change.dry_run, disturb: change.disturb };
            let done: EswitchPlan = client.patient().delete(paths::SFS, Some(&ask))?;
            out.print(&done, plan)
        }
        Verb::List { pf } => {
            let sfs: Vec<SfView> = client.get(&query(paths::SFS, pf.as_deref()))?;
            out.print(&sfs, |sfs| list(sfs))
        }
        Verb::Show { sf } => {
            let sf: SfView = client.get(&path(paths::SF, &[&sf]))?;
            out.print(&sf, show)
        }
        Verb::Set { sf, mac, active, up, change } => {
            let set = SfWish { mac, active, up };
            let ask = SfSet { sf, set, dry_run: change.dry_run, disturb: change.disturb };
            let done: EswitchPlan = client.patient().patch(paths::SFS, &ask)?;
            out.print(&done, plan)
        }
    }
}

fn state(sf: &SfView) -> &'static str {
    match (sf.active, sf.attached) {
        (Some(true), Some(true)) => "active, in use",
        (Some(true), _) => "active",
        (Some(false), _) => "inactive",
        (None, _) => "-",
    }
}

fn link(sf: &SfView) -> String {
    or_dash(sf.representor.as_ref().map(|_| if sf.up { "up" } else { "down" }))
}

fn list(sfs: &[SfView]) -> String {
    table(
        ["sf", "pf", "state", "mac", "representor", "link", "port", "desired"],
        sfs.iter().map(|s| {
            [
                s.name.clone(),
                s.pf.split_once('/').map_or(s.pf.as_str(), |(_, name)| name).to_owned(),
                state(s).to_owned(),
                or_dash(s.mac.as_ref()),
                or_dash(s.representor.as_ref()),
                link(s),
                or_dash(s.port.as_ref()),
                if s.desired { "yes" } else { "no" }.to_owned(),
            ]
        }),
    )
}

fn show(s: &SfView) -> String {
    let rate = match (s.min_rate, s.max_rate) {
        (None, None) => "-".to_owned(),
        (None | Some(0), None | Some(0)) => "none".to_owned(),
        (min, max) => format!("{} to {} Mbit/s", min.unwrap_or_default(), max.unwrap_or_default()),
    };
    let rows = [
        ("sf", format!("{}/{}", s.pf, s.name)),
        ("state", state(s).to_owned()),
        ("mac", or_dash(s.mac.as_ref())),
        ("rate", rate),
        ("representor", or_dash(s.representor.as_ref())),
        ("link", link(s)),
        ("port", or_dash(s.port.as_ref())),
        ("desired", if s.desired { "yes" } else { "no: somebody else made it" }.to_owned()),
    ];
    rows.map(|(name, value)| format!("{name:<12} {value}")).join("\n")
}

/// What is desired of sub-functions, a line each.
pub fn wishes(of: &NicWish) -> Vec<String> {
    let line = |(sf, wish): (&u32, &SfWish)| {
        let words = [
            wish.active.map(|on| if on { "active" } else { "inactive" }.to_owned()),
            wish.mac.as_ref().map(|mac| format!("mac {mac}")),
            wish.up.map(|up| format!("representor {}", if up { "up" } else { "down" })),
        ];
        format!("SF {sf}: {}", words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    };
    let gone = of.sf_destroy.iter().map(|sf| format!("SF {sf}: to be destroyed"));
    of.sf.iter().map(line).chain(gone).collect()
}
