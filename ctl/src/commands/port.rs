//! `shuntctl port`.

use super::port_device;
use crate::client::{Client, path};
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, Port, PortCounters, PortDetails, PortSet, PortType, PortView, VlanMode, paths};
use clap::{Subcommand, ValueEnum};
use flow::OfPort;

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
        /// OpenFlow port number, or of an internal port local [default: the lowest free one]
        #[arg(long, value_name = "NUMBER", value_parser = ofport)]
        ofport: Option<u16>,
        /// Access or native VLAN [default: the port is a trunk]
        #[arg(long, value_name = "VLAN")]
        tag: Option<u16>,
        /// VLANs of a trunk [default: all]
        #[arg(long, value_delimiter = ',', value_name = "VLANS")]
        trunks: Vec<u16>,
        /// How VLANs are treated [default: access with a tag, else trunk]
        #[arg(long, value_enum, value_name = "MODE")]
        vlan_mode: Option<Mode>,
        /// Of a patch port: name of the patch port at the other end
        #[arg(long, value_name = "PORT")]
        peer: Option<String>,
        /// Largest L3 packet in bytes [default: as the device says]
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u16>,
        /// What only ports of this type know, such as ifname=veth0 of an af-packet port; may be repeated
        #[arg(long = "option", value_name = "NAME=VALUE", value_parser = option)]
        options: Vec<(String, String)>,
        #[command(flatten)]
        dpdk: Dpdk,
    },
    /// Change a port
    #[command(group = clap::ArgGroup::new("change").args(["tag", "trunks", "vlan_mode", "flood", "up", "down", "peer", "mtu", "rxq_affinity", "options", "n_rxq", "n_txq", "n_rxq_desc", "n_txq_desc", "lsc_interrupt", "rx_flow_ctrl", "tx_flow_ctrl", "flow_ctrl_autoneg"]).multiple(true).required(true))]
    Set {
        /// Bridge of the port
        bridge: String,
        /// Name of the port
        name: String,
        /// Access or native VLAN; none takes it away
        #[arg(long, value_name = "VLAN", value_parser = tag)]
        tag: Option<u16>,
        /// VLANs of a trunk; all for all
        #[arg(long, value_name = "VLANS", value_parser = trunks)]
        trunks: Option<Trunks>,
        /// How VLANs are treated
        #[arg(long, value_enum, value_name = "MODE")]
        vlan_mode: Option<Mode>,
        /// Whether floods go out here
        #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
        flood: Option<Switch>,
        /// Let packets out
        #[arg(long, conflicts_with = "down")]
        up: bool,
        /// Let no packet out
        #[arg(long)]
        down: bool,
        /// Of a patch port: name of the patch port at the other end
        #[arg(long, value_name = "PORT")]
        peer: Option<String>,
        /// Largest L3 packet in bytes; 0: as the device says
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u16>,
        /// Pin receive queues to CPUs of PMDs, such as 0:3,1:7; empty: none is pinned
        #[arg(long, value_name = "QUEUE:CPU")]
        rxq_affinity: Option<String>,
        /// What only ports of this type know; without a value, the default; may be repeated
        #[arg(long = "option", value_name = "NAME=[VALUE]", value_parser = option)]
        options: Vec<(String, String)>,
        #[command(flatten)]
        dpdk: Dpdk,
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
    /// Show a port and its device: link, queues, descriptors, MTU, offloads
    Show {
        /// Name of the port
        name: String,
    },
    /// Show what was counted on a port, by name
    Stats {
        /// Name of the port
        name: String,
        /// The driver's own counters too
        #[arg(long)]
        xstats: bool,
    },
}

/// Options of DPDK ports, by the names of Open vSwitch.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "DPDK ports")]
pub struct Dpdk {
    /// Receive queues [default: 1]
    #[arg(long, value_name = "NUMBER")]
    n_rxq: Option<u16>,
    /// Transmit queues [default: PMDs + 1, or as many as the device has]
    #[arg(long, value_name = "NUMBER")]
    n_txq: Option<u16>,
    /// Descriptors a receive queue [default: 2048 within the device's limits]
    #[arg(long, value_name = "NUMBER")]
    n_rxq_desc: Option<u16>,
    /// Descriptors a transmit queue [default: 2048 within the device's limits]
    #[arg(long, value_name = "NUMBER")]
    n_txq_desc: Option<u16>,
    /// Whether the device tells of link changes by interrupt [default: off, it is asked]
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    lsc_interrupt: Option<Switch>,
    /// Keep the pauses that the peer asks for
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    rx_flow_ctrl: Option<Switch>,
    /// Ask the peer to pause when the device is full
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    tx_flow_ctrl: Option<Switch>,
    /// Negotiate pauses with the peer
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    flow_ctrl_autoneg: Option<Switch>,
}

impl Dpdk {
    /// As options of the port. A number of 0 is the default again.
    fn options(&self) -> impl Iterator<Item = (String, String)> {
        let number = |n: Option<u16>| n.map(|n| if n == 0 { String::new() } else { n.to_string() });
        let switch = |s: Option<Switch>| s.map(|s| (s == Switch::On).to_string());
        [
            ("n_rxq", number(self.n_rxq)),
            ("n_txq", number(self.n_txq)),
            ("n_rxq_desc", number(self.n_rxq_desc)),
            ("n_txq_desc", number(self.n_txq_desc)),
            ("dpdk-lsc-interrupt", switch(self.lsc_interrupt)),
            ("rx-flow-ctrl", switch(self.rx_flow_ctrl)),
            ("tx-flow-ctrl", switch(self.tx_flow_ctrl)),
            ("flow-ctrl-autoneg", switch(self.flow_ctrl_autoneg)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }
}

/// VLAN modes by their name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// In one VLAN, without tags
    Access,
    /// VLANs with their tags
    Trunk,
    /// Trunk; packets without a tag are in the native VLAN, which is sent with its tag
    NativeTagged,
    /// Trunk; packets without a tag are in the native VLAN, which is sent without
    NativeUntagged,
}

impl From<Mode> for VlanMode {
    fn from(mode: Mode) -> VlanMode {
        match mode {
            Mode::Access => VlanMode::Access,
            Mode::Trunk => VlanMode::Trunk,
            Mode::NativeTagged => VlanMode::NativeTagged,
            Mode::NativeUntagged => VlanMode::NativeUntagged,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Not a plain list: clap would take it for an option that is given many times.
#[derive(Clone, Debug)]
pub struct Trunks(Vec<u16>);

fn vlan(text: &str) -> std::result::Result<u16, String> {
    text.parse().ok().filter(|v| (1..=4094).contains(v)).ok_or_else(|| "a VLAN is a number from 1 to 4094".to_owned())
}

fn tag(text: &str) -> std::result::Result<u16, String> {
    if text == "none" { Ok(0) } else { vlan(text) }
}

fn trunks(text: &str) -> std::result::Result<Trunks, String> {
    let list = if text == "all" { Ok(Vec::new()) } else { text.split(',').map(vlan).collect() };
    list.map(Trunks)
}

fn ofport(text: &str) -> std::result::Result<u16, String> {
    if text.eq_ignore_ascii_case("local") {
        return Ok(OfPort::LOCAL.0);
    }
    text.parse().map_err(|_| "a port number is 1 to 65279, or local".to_owned())
}

fn option(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an option is a name, = and a value, such as ifname=veth0".to_owned()),
    }
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add { bridge, name, kind, devargs, ofport, tag, trunks, vlan_mode, peer, mtu, options, dpdk } => {
            let guess = || match peer {
                Some(_) => PortType::Patch,
                None => kind_of(devargs.as_deref().unwrap_or_default()),
            };
            let kind = kind.map_or_else(guess, PortType::from);
            let vlan_mode = vlan_mode.map(VlanMode::from);
            let options = options.into_iter().chain(dpdk.options()).collect();
            let port = Port { devargs, ofport, tag, trunks, vlan_mode, peer, mtu, options, ..Port::new(name, kind) };
            let ack: Ack = client.post(&path(paths::BRIDGE_PORTS, &[&bridge]), &port)?;
            out.print(&ack, output::ack)
        }
        Verb::Set { bridge, name, tag, trunks, vlan_mode, flood, up, down, peer, mtu, rxq_affinity, options, dpdk } => {
            let set = PortSet {
                tag,
                trunks: trunks.map(|t| t.0),
                vlan_mode: vlan_mode.map(VlanMode::from),
                flood: flood.map(|f| f == Switch::On),
                up: if up || down { Some(up) } else { None },
                peer,
                mtu,
                rxq_affinity,
                options: options.into_iter().chain(dpdk.options()).collect(),
            };
            let ack: Ack = client.patch(&path(paths::BRIDGE_PORT, &[&bridge, &name]), &set)?;
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
        Verb::Show { name } => {
            let details: PortDetails = client.get(&path(paths::PORT, &[&name]))?;
            out.print(&details, port_device::text)
        }
        Verb::Stats { name, xstats } => {
            let query = if xstats { "?xstats=true" } else { "" };
            let stats: PortCounters = client.get(&format!("{}{query}", path(paths::PORT_STATS, &[&name])))?;
            out.print(&stats, port_device::counters)
        }
    }
}

/// VLAN mode and VLANs of a port in a few words.
fn vlans(port: &Port) -> String {
    let mode = port.vlan_mode.unwrap_or(if port.tag.is_some() { VlanMode::Access } else { VlanMode::Trunk });
    let tag = port.tag.filter(|_| mode != VlanMode::Trunk).map(|tag| format!(" {tag}")).unwrap_or_default();
    let trunks = match port.trunks.as_slice() {
        [] => String::new(),
        _ if mode == VlanMode::Access => String::new(),
        some => format!(" {}", some.iter().map(u16::to_string).collect::<Vec<_>>().join(",")),
    };
    let between = if tag.is_empty() || trunks.is_empty() { "" } else { " trunk" };
    format!("{mode}{tag}{between}{trunks}")
}

/// The type of a port that was given none: `uplink` and `pf0vf3` are representors, all else is DPDK's.
fn kind_of(devargs: &str) -> PortType {
    let rest = devargs.strip_prefix("pf").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let function = rest.and_then(|rest| rest.strip_prefix("vf").or_else(|| rest.strip_prefix("sf")));
    let number = function.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if devargs == "uplink" || number { PortType::Representor } else { PortType::Dpdk }
}

/// What is behind a port, in a word or two.
fn device(port: &Port) -> String {
    match (&port.peer, &port.devargs, port.options.get("ifname")) {
        (Some(peer), ..) => format!("peer {peer}"),
        (None, Some(devargs), _) => devargs.clone(),
        (None, None, Some(ifname)) => ifname.clone(),
        _ if matches!(port.kind, PortType::Tap | PortType::Internal | PortType::AfPacket) => port.name.clone(),
        _ => "-".to_owned(),
    }
}

pub fn list(ports: &[PortView]) -> String {
    table(
        ["bridge", "port", "ofport", "type", "device", "vlan", "state", "rx", "tx", "tx-dropped"],
        ports.iter().map(|p| {
            let vlan = vlans(&p.port);
            [
                p.bridge.clone(),
                p.port.name.clone(),
                p.port.ofport.map(|n| OfPort(n).to_string()).unwrap_or_default(),
                p.port.kind.to_string(),
                device(&p.port),
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
