//! `shuntctl rep`.

use crate::client::{Client, path};
use crate::commands::nic::{or_dash, query, switch};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, RepAttach, RepresentorPath, RepresentorView, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List uplinks and representors
    List {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Show a representor
    Show {
        /// The representor: pf0vf3, uplink, 0000:08:00.0/pf0vf3 or a network device
        representor: String,
    },
    /// Make a representor a port of a bridge
    Attach {
        /// The representor: pf0vf3, uplink, 0000:08:00.0/pf0vf3 or a network device
        representor: String,
        /// Bridge that gets the port
        bridge: String,
        /// Name of the port [default: as the representor, pf0vf3]
        #[arg(long)]
        name: Option<String>,
        /// What carries its packets: kernel or dpdk [default: dpdk where driver and configuration have it]
        #[arg(long)]
        path: Option<RepresentorPath>,
        /// OpenFlow port number [default: the lowest free one]
        #[arg(long, value_name = "NUMBER")]
        ofport: Option<u16>,
        /// Access VLAN [default: the port is a trunk]
        #[arg(long, value_name = "VLAN")]
        tag: Option<u16>,
    },
    /// Take a representor's port out of its bridge
    Detach {
        /// The representor: pf0vf3, uplink, 0000:08:00.0/pf0vf3 or a network device
        representor: String,
    },
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::List { pf } => {
            let reps: Vec<RepresentorView> = client.get(&query(paths::REPRESENTORS, pf.as_deref()))?;
            out.print(&reps, |reps| list(reps))
        }
        Verb::Show { representor } => {
            let rep: RepresentorView = client.get(&path(paths::REPRESENTOR, &[&representor]))?;
            out.print(&rep, show)
        }
        Verb::Attach { representor, bridge, name, path, ofport, tag } => {
            let ask = RepAttach { representor, bridge, port: name, path, ofport, tag };
            let ack: Ack = client.patient().post(paths::REPRESENTORS, &ask)?;
            out.print(&ack, output::ack)
        }
        Verb::Detach { representor } => {
            let ack: Ack = client.delete(&path(paths::REPRESENTOR, &[&representor]), None::<&()>)?;
            out.print(&ack, output::ack)
        }
    }
}

fn netdev(rep: &RepresentorView) -> Option<&String> {
    Some(&rep.netdev).filter(|n| !n.is_empty())
}

fn list(reps: &[RepresentorView]) -> String {
    table(
        ["representor", "pf", "netdev", "ifindex", "link", "mtu", "offload", "port"],
        reps.iter().map(|r| {
            [
                r.name.clone(),
                r.pf.clone(),
                or_dash(netdev(r)),
                or_dash(netdev(r).map(|_| r.ifindex)),
                or_dash(netdev(r).map(|_| if r.up { "up" } else { "down" })),
                or_dash(r.mtu),
                switch(r.hw_tc_offload),
                or_dash(r.port.as_ref()),
            ]
        }),
    )
}

fn show(r: &RepresentorView) -> String {
    let rows = [
        ("representor", format!("{}/{}", r.pf, r.name)),
        ("netdev", or_dash(netdev(r))),
        ("ifindex", or_dash(netdev(r).map(|_| r.ifindex))),
        ("link", or_dash(netdev(r).map(|_| if r.up { "up" } else { "down" }))),
        ("mtu", or_dash(r.mtu)),
        ("offload", switch(r.hw_tc_offload)),
        ("function", if r.external { "of another host" } else { "of this host" }.to_owned()),
        ("port", or_dash(r.port.as_ref())),
        ("devargs", or_dash(r.devargs.as_ref())),
    ];
    rows.map(|(name, value)| format!("{name:<12} {value}")).join("\n")
}
