//! `shuntctl vf`.

use crate::client::{Client, path};
use crate::commands::nic::{Change, on_off, or_dash, plan, query, switch};
use crate::error::{Error, Result};
use crate::output::{Output, table};
use api::{EswitchPlan, EswitchSet, FunctionCounters, LinkState, NicView, VfSet, VfView, VfVlan, VfWish, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create VFs, so that there are this many
    Create {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device
        pf: String,
        /// How many VFs there are to be
        number: u32,
        #[command(flatten)]
        change: Change,
    },
    /// Destroy VFs, all or down to a number
    Destroy {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device
        pf: String,
        /// How many VFs stay
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        keep: u32,
        #[command(flatten)]
        change: Change,
    },
    /// List VFs
    List {
        /// The PF: pci/0000:08:00.0, 0000:08:00.0 or its network device [default: all]
        pf: Option<String>,
    },
    /// Show a VF: settings, driver, who holds it, counters
    Show {
        /// The VF: pf0vf3, 0000:08:00.0/pf0vf3, its PCI address or a network device
        vf: String,
    },
    /// Change a VF
    #[command(group = clap::ArgGroup::new("wish").args(["mac", "vlan", "trust", "spoof_check", "link_state", "min_rate", "max_rate", "driver", "up", "down", "mtu"]).multiple(true).required(true))]
    Set {
        /// The VF: pf0vf3, 0000:08:00.0/pf0vf3, its PCI address or a network device
        vf: String,
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, clap::Args)]
pub struct Wish {
    /// Ethernet address
    #[arg(long)]
    mac: Option<String>,
    /// VLAN that the NIC puts the VF into, unseen by it; none for none
    #[arg(long, value_name = "VLAN", value_parser = vlan_id)]
    vlan: Option<u16>,
    /// Priority of that VLAN's tags, 0 to 7
    #[arg(long, requires = "vlan", default_value_t = 0)]
    qos: u8,
    /// Its tags: 802.1Q or 802.1ad
    #[arg(long, value_name = "PROTOCOL", requires = "vlan", default_value = "802.1Q")]
    vlan_proto: String,
    /// Whether the VF may change its address and receive what is not for it
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    trust: Option<bool>,
    /// Whether packets with another source address than its own are dropped
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    spoof_check: Option<bool>,
    /// Link that the VF sees: auto, enable or disable
    #[arg(long, value_name = "STATE")]
    link_state: Option<LinkState>,
    /// Guaranteed transmit rate; 0: none
    #[arg(long, value_name = "MBIT/S")]
    min_rate: Option<u32>,
    /// Greatest transmit rate; 0: none
    #[arg(long, value_name = "MBIT/S")]
    max_rate: Option<u32>,
    /// Kernel driver, such as vfio-pci; none for none
    #[arg(long)]
    driver: Option<String>,
    /// Bring the representor up
    #[arg(long, conflicts_with = "down")]
    up: bool,
    /// Take the representor down
    #[arg(long)]
    down: bool,
    /// MTU of the representor
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
}

impl Wish {
    fn wish(self) -> VfWish {
        VfWish {
            mac: self.mac,
            vlan: self.vlan.map(|id| VfVlan { id, qos: self.qos, proto: self.vlan_proto }),
            trust: self.trust,
            spoof_check: self.spoof_check,
            link_state: self.link_state,
            min_rate: self.min_rate,
            max_rate: self.max_rate,
            driver: self.driver.map(|d| if d == "none" { String::new() } else { d }),
            up: if self.up || self.down { Some(self.up) } else { None },
            mtu: self.mtu,
        }
    }
}

fn vlan_id(text: &str) -> std::result::Result<u16, String> {
    if text == "none" {
        return Ok(0);
    }
    text.parse()
        .ok()
        .filter(|v| (0..=4094).contains(v))
        .ok_or_else(|| "a VLAN is a number from 1 to 4094, or none".to_owned())
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Create { pf, number, change } => {
            let now = number_of_vfs(client, &pf)?;
            if now > number {
                return Err(Error::Input(format!(
                    "NIC {pf}: there are {now} VFs already; to have fewer: shuntctl vf destroy {pf} --keep {number}"
                )));
            }
            set_number(client, out, pf, number, &change)
        }
        Verb::Destroy { pf, keep, change } => {
            let now = number_of_vfs(client, &pf)?;
            if now < keep {
                return Err(Error::Input(format!(
                    "NIC {pf}: there are {now} VFs only; to have more: shuntctl vf create {pf} {keep}"
                )));
            }
            set_number(client, out, pf, keep, &change)
        }
        Verb::List { pf } => {
            let vfs: Vec<VfView> = client.get(&query(paths::VFS, pf.as_deref()))?;
            out.print(&vfs, |vfs| list(vfs))
        }
        Verb::Show { vf } => {
            let vf: VfView = client.get(&path(paths::VF, &[&vf]))?;
            out.print(&vf, show)
        }
        Verb::Set { vf, wish, change } => {
            let set = VfSet { vf, set: wish.wish(), dry_run: change.dry_run, disturb: change.disturb };
            let done: EswitchPlan = client.patient().patch(paths::VFS, &set)?;
            out.print(&done, plan)
        }
    }
}

fn number_of_vfs(client: &Client, pf: &str) -> Result<u32> {
    let nics: Vec<NicView> = client.get(&query(paths::NICS, Some(pf)))?;
    Ok(nics.first().map(|n| n.vfs).unwrap_or_default())
}

fn set_number(client: &Client, out: Output, pf: String, number: u32, change: &Change) -> Result<()> {
    let (dry_run, disturb) = (change.dry_run, change.disturb);
    let set = EswitchSet { pf, vfs: Some(number), dry_run, disturb, ..EswitchSet::default() };
    let done: EswitchPlan = client.patient().put(paths::ESWITCH, &set)?;
    out.print(&done, plan)
}

/// A VLAN in a word: `100`, `100:5` with a priority, `100 (802.1ad)`.
pub fn vlan(vlan: &VfVlan) -> String {
    if (vlan.id, vlan.qos) == (0, 0) {
        return "none".to_owned();
    }
    let qos = if vlan.qos == 0 { String::new() } else { format!(":{}", vlan.qos) };
    let proto = if vlan.proto == "802.1Q" { String::new() } else { format!(" ({})", vlan.proto) };
    format!("{}{qos}{proto}", vlan.id)
}

/// Rates in a word: `none`, `0-1000`, `100-` without a limit.
fn rate(vf: &VfView) -> String {
    match (vf.min_rate, vf.max_rate) {
        (None, None) => "-".to_owned(),
        (None | Some(0), None | Some(0)) => "none".to_owned(),
        (min, None | Some(0)) => format!("{}-", min.unwrap_or_default()),
        (min, Some(max)) => format!("{}-{max}", min.unwrap_or_default()),
    }
}

fn list(vfs: &[VfView]) -> String {
    table(
        ["vf", "pf", "driver", "mac", "vlan", "rate", "trust", "spoof", "link", "port"],
        vfs.iter().map(|v| {
            [
                v.name.clone(),
                v.pf.split_once('/').map_or(v.pf.as_str(), |(_, name)| name).to_owned(),
                or_dash(v.driver.as_ref()),
                or_dash(v.mac.as_ref()),
                or_dash(v.vlan.as_ref().map(vlan)),
                rate(v),
                switch(v.trust),
                switch(v.spoof_check),
                or_dash(v.link_state),
                or_dash(v.port.as_ref()),
            ]
        }),
    )
}

fn show(v: &VfView) -> String {
    let holders: Vec<_> = v.holders.iter().map(|h| format!("{} (pid {})", h.process, h.pid)).collect();
    let rate = match rate(v).as_str() {
        plain @ ("-" | "none") => plain.to_owned(),
        range => format!("{range} Mbit/s"),
    };
    let rows = [
        ("vf", format!("{}/{}", v.pf, v.name)),
        ("address", or_dash(v.address.as_ref())),
        ("driver", or_dash(v.driver.as_ref())),
        ("netdev", or_dash(v.netdev.as_ref())),
        ("iommu group", or_dash(v.iommu_group)),
        ("held by", if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") }),
        ("representor", or_dash(v.representor.as_ref())),
        ("port", or_dash(v.port.as_ref())),
        ("mac", or_dash(v.mac.as_ref())),
        ("vlan", or_dash(v.vlan.as_ref().map(vlan))),
        ("rate", rate),
        ("trust", switch(v.trust)),
        ("spoof check", switch(v.spoof_check)),
        ("link state", or_dash(v.link_state)),
    ];
    let rows = rows.map(|(name, value)| format!("{name:<12} {value}")).join("\n");
    let counters = [("function", v.counters), ("representor", v.representor_counters)];
    let counted = table(
        ["counted by", "rx", "rx-bytes", "rx-dropped", "tx", "tx-bytes", "tx-dropped", "multicast"],
        counters.into_iter().filter_map(|(who, c)| Some(row(who, c?))),
    );
    format!("{rows}\n\n{counted}")
}

fn row(who: &str, c: FunctionCounters) -> [String; 8] {
    let [a, b, d, e, f, g, h] =
        [c.rx_packets, c.rx_bytes, c.rx_dropped, c.tx_packets, c.tx_bytes, c.tx_dropped, c.multicast]
            .map(|n| n.to_string());
    [who.to_owned(), a, b, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_and_rates_are_short_words() {
        let of = |id, qos, proto: &str| vlan(&VfVlan { id, qos, proto: proto.to_owned() });
        assert_eq!(
            [of(0, 0, "802.1Q"), of(100, 0, "802.1Q"), of(100, 5, "802.1Q"), of(7, 0, "802.1ad")],
            ["none", "100", "100:5", "7 (802.1ad)"]
        );
        let of = |min_rate, max_rate| rate(&VfView { min_rate, max_rate, ..VfView::default() });
        assert_eq!(of(None, None), "-");
        assert_eq!([of(Some(0), Some(0)), of(Some(0), Some(1000)), of(Some(100), Some(0))], ["none", "0-1000", "100-"]);
        assert_eq!(vlan_id("none"), Ok(0));
        assert!(vlan_id("4095").is_err());
    }
}
