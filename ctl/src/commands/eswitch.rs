//! `shuntctl eswitch`.

use crate::client::Client;
use crate::commands::nic::{Change, plan, query};
use crate::error::Result;
use crate::output::{Output, table};
use api::{EncapMode, EswitchMode, EswitchPlan, EswitchSet, EswitchView, InlineMode, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List eswitches
    Show {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Bring an eswitch where it should be: mode, VFs, what its representors have in common
    #[command(group = clap::ArgGroup::new("wish").args(["mode", "vfs", "inline_mode", "encap_mode", "hw_tc_offload", "representors", "representor_mtu"]).multiple(true).required(true))]
    Set {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device
        pf: String,
        /// Mode: legacy or switchdev
        #[arg(long)]
        mode: Option<EswitchMode>,
        /// Number of VFs
        #[arg(long)]
        vfs: Option<u32>,
        /// Headers that VFs' drivers hand to the NIC: none, link, network or transport
        #[arg(long, value_name = "MODE")]
        inline_mode: Option<InlineMode>,
        /// Whether the eswitch puts packets into tunnels: none or basic
        #[arg(long, value_name = "MODE")]
        encap_mode: Option<EncapMode>,
        /// Whether rules may go into hardware, on uplink and representors
        #[arg(long, value_name = "on|off", value_parser = super::nic::on_off)]
        hw_tc_offload: Option<bool>,
        /// All representors up, or down
        #[arg(long, value_name = "up|down", value_parser = super::nic::up_down)]
        representors: Option<bool>,
        /// MTU of all representors
        #[arg(long, value_name = "BYTES")]
        representor_mtu: Option<u32>,
        #[command(flatten)]
        change: Change,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Show { pf } => {
            let all: Vec<EswitchView> = client.get(&query(paths::ESWITCH, pf.as_deref()))?;
            out.print(&all, |all| list(all))
        }
        Verb::Set { pf, mode, vfs, inline_mode, encap_mode, hw_tc_offload, representors, representor_mtu, change } => {
            let set = EswitchSet {
                pf,
                mode,
                vfs,
                inline_mode,
                encap_mode,
                hw_tc_offload,
                representors_up: representors,
                representor_mtu,
                dry_run: change.dry_run,
                disturb: change.disturb,
            };
            let done: EswitchPlan = client.patient().put(paths::ESWITCH, &set)?;
            out.print(&done, plan)
        }
    }
}

fn list(all: &[EswitchView]) -> String {
    let word = |w: Option<&'static str>| w.unwrap_or("-").to_owned();
    table(
        ["pf", "driver", "mode", "vfs", "max-vfs", "inline", "encap", "offload", "uplink"],
        all.iter().map(|e| {
            [
                e.pf.clone(),
                e.driver.clone(),
                e.mode.to_string(),
                e.vfs.to_string(),
                e.max_vfs.to_string(),
                word(e.inline_mode.map(InlineMode::word)),
                word(e.encap_mode.map(EncapMode::word)),
                word(e.hw_tc_offload.map(|on| if on { "on" } else { "off" })),
                e.uplink.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        }),
    )
}
