//! `shuntctl mirror`.

use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Mirror, MirrorView, paths};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Add {
    /// Bridge whose packets are copied
    bridge: String,
    /// Name of the mirror
    name: String,
    /// Copy all packets
    #[arg(long)]
    all: bool,
    /// Copy packets that come in by these ports
    #[arg(long, value_delimiter = ',', value_name = "PORTS")]
    src: Vec<String>,
    /// Copy packets that go out by these ports
    #[arg(long, value_delimiter = ',', value_name = "PORTS")]
    dst: Vec<String>,
    /// Only packets of these VLANs [default: of all]
    #[arg(long, value_delimiter = ',', value_name = "VLANS")]
    vlan: Vec<u16>,
    /// Port that gets the copies, and nothing else
    #[arg(long, value_name = "PORT", conflicts_with = "output_vlan")]
    output: Option<String>,
    /// VLAN that gets the copies
    #[arg(long, value_name = "VLAN")]
    output_vlan: Option<u16>,
    /// Cut copies to so many bytes
    #[arg(long, value_name = "BYTES")]
    snaplen: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Copy chosen packets to a port or a VLAN
    Add(Add),
    /// Remove a mirror
    Del {
        /// Bridge of the mirror
        bridge: String,
        /// Name of the mirror
        name: String,
    },
    /// List mirrors and what they copied
    Show {
        /// Bridge of the mirrors
        bridge: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add(add) => {
            let mirror = Mirror {
                name: add.name,
                select_all: add.all,
                select_src: add.src,
                select_dst: add.dst,
                select_vlan: add.vlan,
                output_port: add.output,
                output_vlan: add.output_vlan,
                snaplen: add.snaplen,
            };
            let ack: Ack = client.post(&path(paths::MIRRORS, &[&add.bridge]), &mirror)?;
            out.print(&ack, output::ack)
        }
        Verb::Del { bridge, name } => {
            let ack: Ack = client.delete(&path(paths::MIRROR, &[&bridge, &name]), None::<&()>)?;
            out.print(&ack, output::ack)
        }
        Verb::Show { bridge } => {
            let mirrors: Vec<MirrorView> = client.get(&path(paths::MIRRORS, &[&bridge]))?;
            out.print(&mirrors, |m| list(m))
        }
    }
}

fn list(mirrors: &[MirrorView]) -> String {
    let numbers = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    table(
        ["mirror", "src", "dst", "vlan", "output", "snaplen", "packets", "bytes"],
        mirrors.iter().map(|m| {
            let ports = |list: &[String]| if m.mirror.select_all { "all".to_owned() } else { or(list.join(","), "-") };
            let output = match (&m.mirror.output_port, m.mirror.output_vlan) {
                (Some(port), _) => port.clone(),
                (None, Some(vlan)) => format!("vlan {vlan}"),
                (None, None) => "-".to_owned(),
            };
            [
                m.mirror.name.clone(),
                ports(&m.mirror.select_src),
                ports(&m.mirror.select_dst),
                or(numbers(&m.mirror.select_vlan), "all"),
                output,
                m.mirror.snaplen.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                m.packets.to_string(),
                m.bytes.to_string(),
            ]
        }),
    )
}
