//! `shuntctl port`.

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Port, PortType, PortView, paths};
use clap::{Subcommand, ValueEnum};

/// Port types by their name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    Dpdk,
    Representor,
    Memif,
    VhostUser,
    VhostUserClient,
    Tap,
    AfPacket,
    AfXdp,
    Patch,
    Internal,
}

impl From<Kind> for PortType {
    fn from(kind: Kind) -> PortType {
        match kind {
            Kind::Dpdk => PortType::Dpdk,
            Kind::Representor => PortType::Representor,
            Kind::Memif => PortType::Memif,
            Kind::VhostUser => PortType::VhostUser,
            Kind::VhostUserClient => PortType::VhostUserClient,
            Kind::Tap => PortType::Tap,
            Kind::AfPacket => PortType::AfPacket,
            Kind::AfXdp => PortType::AfXdp,
            Kind::Patch => PortType::Patch,
            Kind::Internal => PortType::Internal,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a port to a bridge
    Add {
        /// Bridge that gets the port
        bridge: String,
        /// Name of the port, unique in the daemon
        name: String,
        /// What is behind the port [default: representor when the devargs name one, else dpdk]
        #[arg(long = "type", value_enum, value_name = "TYPE")]
        kind: Option<Kind>,
        /// DPDK device arguments, or of a representor what it stands for: uplink, pf0vf3
        #[arg(long)]
        devargs: Option<String>,
        /// OpenFlow port number [default: the lowest free one]
        #[arg(long, value_name = "NUMBER")]
        ofport: Option<u16>,
        /// Access VLAN [default: the port is a trunk]
        #[arg(long, conflicts_with = "trunks", value_name = "VLAN")]
        tag: Option<u16>,
        /// VLANs of a trunk [default: all]
        #[arg(long, value_delimiter = ',', value_name = "VLANS")]
        trunks: Vec<u16>,
    },
    /// Remove a port from a bridge
    Del {
        /// Bridge of the port
        bridge: String,
        /// Name of the port
        name: String,
    },
    /// List ports
    List,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add { bridge, name, kind, devargs, ofport, tag, trunks } => {
            let kind = kind.map_or_else(|| kind_of(devargs.as_deref().unwrap_or_default()), PortType::from);
            let port = Port { name, kind, devargs, ofport, tag, trunks };
            let ack: Ack = client.post(&path(paths::BRIDGE_PORTS, &[&bridge]), &port)?;
            out.print(&ack, output::ack)
        }
        Verb::Del { bridge, name } => {
            let ack: Ack = client.delete(&path(paths::BRIDGE_PORT, &[&bridge, &name]), None::<&()>)?;
            out.print(&ack, output::ack)
        }
        Verb::List => {
            let ports: Vec<PortView> = client.get(paths::PORTS)?;
            out.print(&ports, |p| list(p))
        }
    }
}

/// The type of a port that was given none: `uplink` and `pf0vf3` are representors, all else is DPDK's.
fn kind_of(devargs: &str) -> PortType {
    let rest = devargs.strip_prefix("pf").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let function = rest.and_then(|rest| rest.strip_prefix("vf").or_else(|| rest.strip_prefix("sf")));
    let number = function.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if devargs == "uplink" || number { PortType::Representor } else { PortType::Dpdk }
}

pub fn list(ports: &[PortView]) -> String {
    table(
        ["bridge", "port", "ofport", "type", "device", "vlan", "state", "rx", "tx", "tx-dropped"],
        ports.iter().map(|p| {
            let vlan = match (p.port.tag, p.port.trunks.as_slice()) {
                (Some(tag), _) => format!("access {tag}"),
                (None, []) => "trunk".to_owned(),
                (None, some) => format!("trunk {}", some.iter().map(u16::to_string).collect::<Vec<_>>().join(",")),
            };
            [
                p.bridge.clone(),
                p.port.name.clone(),
                p.port.ofport.map(|n| n.to_string()).unwrap_or_default(),
                p.port.kind.to_string(),
                p.port.devargs.clone().unwrap_or_else(|| "-".to_owned()),
                vlan,
                p.state.clone(),
                p.rx_packets.to_string(),
                p.tx_packets.to_string(),
                p.tx_dropped.to_string(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_guessed_from_devargs() {
        for devargs in ["uplink", "pf0vf3", "pf1sf88"] {
            assert_eq!(kind_of(devargs), PortType::Representor, "{devargs}");
        }
        for devargs in ["net_null0", "0000:03:00.0,representor=vf3", "pf0vf", "pf0", "", "pf0vf1x"] {
            assert_eq!(kind_of(devargs), PortType::Dpdk, "{devargs}");
        }
    }
}
