//! `shuntctl offload`.

mod capabilities;
mod capture;
mod explain;
mod policy;
mod status;
mod top;

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output};
use api::{Ack, OffloadCapabilities, OffloadSet, OffloadStatus, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// How many flows are in hardware, by port, and why the others are not
    Status,
    /// Put flows into hardware
    On {
        /// Only those that come in on this port
        port: Option<String>,
    },
    /// Take all flows out of hardware
    Off {
        /// Only those that come in on this port
        port: Option<String>,
    },
    /// Which flows are to go into hardware
    #[command(subcommand)]
    Policy(policy::Verb),
    /// What the device of a port can match and do
    Capabilities {
        /// A port whose device takes hardware rules
        port: String,
    },
    /// Why a flow is handled where it is, and what would change that
    Explain {
        /// A datapath flow's number, or a packet, such as 'in_port=1,tcp' [default: flows not fully in hardware]
        #[arg(value_name = "FLOW|PACKET")]
        what: Option<String>,
        /// Bridge that the packet comes to [default: the one that there is]
        #[arg(long, value_name = "BRIDGE")]
        bridge: Option<String>,
    },
    /// Write packets of flows to a file; hardware leaves those flows to software meanwhile
    Capture(capture::Args),
    /// Flows by rate, and where each is handled, again and again
    Top(top::Args),
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    let set = |enabled, port| {
        let ack: Ack = client.put(paths::OFFLOAD, &OffloadSet { enabled, port })?;
        out.print(&ack, output::ack)
    };
    match verb {
        Verb::Status => {
            let answer: OffloadStatus = client.get(paths::OFFLOAD)?;
            out.print(&answer, status::text)
        }
        Verb::On { port } => set(true, port),
        Verb::Off { port } => set(false, port),
        Verb::Policy(verb) => policy::run(verb, client, out),
        Verb::Capabilities { port } => {
            let answer: OffloadCapabilities = client.get(&path(paths::OFFLOAD_CAPABILITIES, &[&port]))?;
            out.print(&answer, capabilities::text)
        }
        Verb::Explain { what, bridge } => explain::run(what.as_deref(), bridge, client, out),
        Verb::Capture(args) => capture::run(&args, client, out),
        Verb::Top(args) => top::run(&args, client, out),
    }
}

pub use status::summary;
