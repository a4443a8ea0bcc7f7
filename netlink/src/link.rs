//! Network devices over rtnetlink (linux/if_link.h, linux/rtnetlink.h).

use crate::{
    attr::{AttrBuf, Attrs, RawAttr},
    conn::Connection,
    error::{Error, Result},
    message::Message,
    transport::Transport,
};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFINFO_LEN: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_NUM_VF: u16 = 21;
const IFLA_CARRIER: u16 = 33;
const IFLA_PHYS_SWITCH_ID: u16 = 36;
const IFLA_PHYS_PORT_NAME: u16 = 38;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;

/// Administratively up (linux/if.h).
pub const IFF_UP: u32 = 1;
/// Multicast group of link events (linux/rtnetlink.h).
pub const RTNLGRP_LINK: u32 = 1;

/// A network device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Interface index: identity until the device goes.
    pub ifindex: u32,
    /// Name: an attribute, may change at any time.
    pub name: String,
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
    /// Number of VFs (reported by PFs).
    pub num_vf: Option<u32>,
    /// Identity of the switch that the device is a port of; the same on all ports of an eswitch.
    pub phys_switch_id: Option<Vec<u8>>,
    /// Port name within that switch, for example `p0` or `pf0vf3`.
    pub phys_port_name: Option<String>,
    /// Bus of the parent device, for example `pci` (kernel 5.14).
    pub parent_bus: Option<String>,
    /// Name of the parent device on its bus (kernel 5.14).
    pub parent_dev: Option<String>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
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

/// Requests about network devices.
#[derive(Debug)]
pub struct LinkClient {
    conn: Connection,
}

impl LinkClient {
    /// A client on a `NETLINK_ROUTE` transport.
    #[must_use]
    pub fn new(transport: Box<dyn Transport>) -> Self {
        LinkClient { conn: Connection::new(transport) }
    }

    /// All network devices (`ip link show`).
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn dump(&mut self) -> Result<Vec<Link>> {
        let messages = self.conn.dump("list network devices", RTM_GETLINK, &[0; IFINFO_LEN])?;
        messages.iter().filter(|m| m.kind == RTM_NEWLINK).map(|m| Link::parse(&m.payload)).collect()
    }

    /// One network device.
    ///
    /// # Errors
    /// `ENODEV` when there is none; else as [`Connection::request`].
    pub fn get(&mut self, ifindex: u32) -> Result<Link> {
        let what = format!("get network device {ifindex}");
        let replies = self.conn.request(&what, RTM_GETLINK, 0, &ifinfo(ifindex, 0, 0))?;
        let reply = replies.iter().find(|m| m.kind == RTM_NEWLINK).ok_or_else(|| Error::Malformed {
            what: "link message",
            detail: format!("no answer about interface {ifindex}"),
        })?;
        Link::parse(&reply.payload)
    }

    /// `ip link set IFINDEX up` or `down`.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set_up(&mut self, ifindex: u32, up: bool) -> Result<()> {
        let what = format!("set network device {ifindex} {}", if up { "up" } else { "down" });
        let payload = ifinfo(ifindex, if up { IFF_UP } else { 0 }, IFF_UP);
        self.conn.request(&what, RTM_SETLINK, 0, &payload).map(drop)
    }

    /// `ip link set IFINDEX mtu BYTES`.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set_mtu(&mut self, ifindex: u32, mtu: u32) -> Result<()> {
        let mut attrs = AttrBuf::new();
        attrs.put_u32(IFLA_MTU, mtu);
        let mut payload = ifinfo(ifindex, 0, 0).to_vec();
        payload.extend_from_slice(attrs.as_bytes());
        self.conn.request(&format!("set network device {ifindex} mtu {mtu}"), RTM_SETLINK, 0, &payload).map(drop)
    }
}

/// `struct ifinfomsg`.
fn ifinfo(ifindex: u32, flags: u32, change: u32) -> [u8; IFINFO_LEN] {
    let mut bytes = [0; IFINFO_LEN];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}
