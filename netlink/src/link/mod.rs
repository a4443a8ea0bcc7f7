//! Network devices over rtnetlink (linux/if_link.h, linux/rtnetlink.h).

mod client;
mod settings;
mod stats;
mod uapi;
mod vf;

pub use client::{LinkClient, LinkDetail};
pub use settings::{LinkSettings, VfSettings};
pub use stats::LinkStats;
pub use uapi::{IFF_UP, RTNLGRP_LINK};
pub use vf::{VfInfo, VfLinkState, VfRate, VfStats, VfVlan, VlanProto};

use crate::{
    attr::{Attr, Attrs, RawAttr},
    error::{Error, Result},
    message::Message,
};
use uapi::{
    IFINFO_LEN, IFLA_ADDRESS, IFLA_ALT_IFNAME, IFLA_BOND_MODE, IFLA_BOND_SLAVE_STATE, IFLA_CARRIER, IFLA_IFNAME,
    IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_INFO_SLAVE_DATA, IFLA_INFO_SLAVE_KIND, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
    IFLA_NUM_VF, IFLA_OPERSTATE, IFLA_PARENT_DEV_BUS_NAME, IFLA_PARENT_DEV_NAME, IFLA_PHYS_PORT_ID,
    IFLA_PHYS_PORT_NAME, IFLA_PHYS_SWITCH_ID, IFLA_PROP_LIST, IFLA_STATS64, IFLA_VFINFO_LIST, RTM_DELLINK, RTM_NEWLINK,
};

/// A network device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Interface index: identity until the device goes.
    pub ifindex: u32,
    /// Name: an attribute, may change at any time.
    pub name: String,
    /// Other names of it (`ip link property`, kernel 5.5).
    pub alt_names: Vec<String>,
    /// `IFF_*`.
    pub flags: u32,
    /// MTU, bytes.
    pub mtu: Option<u32>,
    /// Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// `IF_OPER_*` (RFC 2863).
    pub oper_state: Option<u8>,
    /// Carrier.
    pub carrier: Option<bool>,
    /// Interface index of the bridge, bond or VRF that it belongs to.
    pub master: Option<u32>,
    /// What kind of device it is, and what kind of port of its master.
    pub info: LinkInfo,
    /// Number of VFs (of PFs, when [`LinkDetail::vfs`] was asked for).
    pub num_vf: Option<u32>,
    /// The VFs as the PF's driver describes them (when [`LinkDetail::vfs`] was asked for); empty when it does not.
    pub vfs: Vec<VfInfo>,
    /// Counters.
    pub stats: Option<LinkStats>,
    /// Identity of the switch that the device is a port of; the same on all ports of an eswitch.
    pub phys_switch_id: Option<Vec<u8>>,
    /// Identity of the port within its NIC; the same on the functions that share a port.
    pub phys_port_id: Option<Vec<u8>>,
    /// Port name within that switch, for example `p0` or `pf0vf3`.
    pub phys_port_name: Option<String>,
    /// Bus of the parent device, for example `pci` (kernel 5.14).
    pub parent_bus: Option<String>,
    /// Name of the parent device on its bus (kernel 5.14).
    pub parent_dev: Option<String>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

/// Kind of a virtual device (`IFLA_LINKINFO`). NICs have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// `bond`, `bridge`, `veth`, ...
    pub kind: Option<String>,
    /// Attributes of that kind, as they came.
    pub data: Option<Vec<u8>>,
    /// What kind of master it belongs to.
    pub port_kind: Option<String>,
    /// Attributes of it as a port of that master, as they came.
    pub port_data: Option<Vec<u8>>,
}

impl LinkInfo {
    fn parse(attrs: Attrs<'_>) -> Result<Self> {
        let mut info = LinkInfo::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                IFLA_INFO_KIND => info.kind = Some(attr.str()?.to_owned()),
                IFLA_INFO_DATA => info.data = Some(attr.value.to_vec()),
                IFLA_INFO_SLAVE_KIND => info.port_kind = Some(attr.str()?.to_owned()),
                IFLA_INFO_SLAVE_DATA => info.port_data = Some(attr.value.to_vec()),
                _ => {}
            }
        }
        Ok(info)
    }

    /// Mode of a bond (`BOND_MODE_*`, linux/if_bonding.h: 1 active-backup, 4 802.3ad); `None` for other kinds.
    #[must_use]
    pub fn bond_mode(&self) -> Option<u8> {
        byte(self.kind.as_deref(), self.data.as_deref(), IFLA_BOND_MODE)
    }

    /// Whether a port of a bond is active (carries traffic) rather than a backup; `None` for other ports.
    #[must_use]
    pub fn bond_port_active(&self) -> Option<bool> {
        byte(self.port_kind.as_deref(), self.port_data.as_deref(), IFLA_BOND_SLAVE_STATE).map(|state| state == 0)
    }
}

fn byte(kind: Option<&str>, data: Option<&[u8]>, attr: u16) -> Option<u8> {
    let data = data.filter(|_| kind == Some("bond"))?;
    Attrs::new(data).find(attr).ok()??.u8().ok()
}

impl Link {
    /// Administratively up?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Reads the payload of an `RTM_NEWLINK` (or `RTM_DELLINK`) message.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let word = |at: usize| payload.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let (Some(ifindex), Some(flags), Some(attrs)) = (word(4), word(8), payload.get(IFINFO_LEN..)) else {
            return Err(Error::Malformed { what: "link message", detail: format!("only {} bytes", payload.len()) });
        };
        let mut link = Link { ifindex, flags, ..Link::default() };
        for attr in Attrs::new(attrs) {
            let attr = attr?;
            match attr.kind {
                // Tunnels and InfiniBand have addresses of other lengths.
                IFLA_ADDRESS => match attr.mac() {
                    Ok(mac) => link.mac = Some(mac),
                    Err(_) => link.other.push(attr.to_raw()),
                },
                IFLA_IFNAME => link.name = attr.str()?.to_owned(),
                IFLA_MTU => link.mtu = Some(attr.u32()?),
                IFLA_OPERSTATE => link.oper_state = Some(attr.u8()?),
                IFLA_CARRIER => link.carrier = Some(attr.u8()? != 0),
                IFLA_MASTER => link.master = Some(attr.u32()?).filter(|&m| m != 0),
                IFLA_LINKINFO => link.info = LinkInfo::parse(attr.nested())?,
                IFLA_PROP_LIST => link.alt_names = alt_names(&attr)?,
                IFLA_VFINFO_LIST => link.vfs = vf::parse_list(attr.nested())?,
                IFLA_STATS64 => link.stats = Some(LinkStats::parse(attr.value)?),
                IFLA_PHYS_PORT_ID => link.phys_port_id = Some(attr.value.to_vec()),
                IFLA_NUM_VF => link.num_vf = Some(attr.u32()?),
                IFLA_PHYS_SWITCH_ID => link.phys_switch_id = Some(attr.value.to_vec()),
                IFLA_PHYS_PORT_NAME => link.phys_port_name = Some(attr.str()?.to_owned()),
                IFLA_PARENT_DEV_NAME => link.parent_dev = Some(attr.str()?.to_owned()),
                IFLA_PARENT_DEV_BUS_NAME => link.parent_bus = Some(attr.str()?.to_owned()),
                _ => link.other.push(attr.to_raw()),
            }
        }
        if link.ifindex == 0 || link.ifindex > i32::MAX as u32 {
            return Err(Error::Malformed { what: "link message", detail: format!("ifindex {ifindex}") });
        }
        Ok(link)
    }
}

fn alt_names(list: &Attr<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for attr in list.nested() {
        let attr = attr?;
        if attr.kind == IFLA_ALT_IFNAME {
            names.push(attr.str()?.to_owned());
        }
    }
    Ok(names)
}

/// A link that came, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// New, or changed.
    Present(Link),
    /// Gone.
    Gone(Link),
}

/// Reads an event of group [`RTNLGRP_LINK`]; `None` when it is of another kind.
///
/// # Errors
/// [`Error::Malformed`].
pub fn parse_link_notice(msg: &Message) -> Result<Option<LinkChange>> {
    Ok(match msg.kind {
        RTM_NEWLINK => Some(LinkChange::Present(Link::parse(&msg.payload)?)),
        RTM_DELLINK => Some(LinkChange::Gone(Link::parse(&msg.payload)?)),
        _ => None,
    })
}
