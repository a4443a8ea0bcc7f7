//! Requests about network devices.

use super::{
    Link,
    settings::{LinkSettings, VfSettings, ifinfo},
    uapi::{
        IFINFO_LEN, IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_IFNAME, RTEXT_FILTER_SKIP_STATS, RTEXT_FILTER_VF, RTM_GETLINK,
        RTM_NEWLINK, RTM_SETLINK,
    },
};
use crate::{
    attr::AttrBuf,
    conn::Connection,
    error::{Error, Result},
    message::Message,
    transport::Transport,
};

/// `IFNAMSIZ` without the NUL: longer names are alternative ones.
const IFNAME_MAX: usize = 15;

/// What to ask for beside the attributes that always come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkDetail {
    /// The VFs of PFs ([`Link::num_vf`], [`Link::vfs`]). The kernel puts all of a PF's VFs into one attribute of at
    /// most 64 KiB: with more than some 200 VFs ask without `vf_stats`.
    pub vfs: bool,
    /// The counters of each VF, where `vfs` is asked for. Some drivers ask the firmware for each.
    pub vf_stats: bool,
}

impl LinkDetail {
    fn attrs(self) -> AttrBuf {
        let vfs = if self.vfs { RTEXT_FILTER_VF } else { 0 };
        let stats = if self.vf_stats { 0 } else { RTEXT_FILTER_SKIP_STATS };
        let mut attrs = AttrBuf::new();
        attrs.put_u32(IFLA_EXT_MASK, vfs | stats);
        attrs
    }
}

/// Requests about network devices. Refusals carry the request in the words of iproute2, and the kernel's extended acknowledgement.
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

    /// The connection below, for its settings.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// All network devices (`ip link show`), without VFs.
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn dump(&mut self) -> Result<Vec<Link>> {
        self.dump_with(LinkDetail::default())
    }

    /// All network devices.
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn dump_with(&mut self, detail: LinkDetail) -> Result<Vec<Link>> {
        let payload = [&[0; IFINFO_LEN][..], detail.attrs().as_bytes()].concat();
        let messages = self.conn.dump("list network devices", RTM_GETLINK, &payload)?;
        messages.iter().filter(|m| m.kind == RTM_NEWLINK).map(|m| Link::parse(&m.payload)).collect()
    }

    /// One network device, without VFs.
    ///
    /// # Errors
    /// `ENODEV` when there is none; else as [`Connection::request`].
    pub fn get(&mut self, ifindex: u32) -> Result<Link> {
        self.get_with(ifindex, LinkDetail::default())
    }

    /// One network device.
    ///
    /// # Errors
    /// As [`LinkClient::get`].
    pub fn get_with(&mut self, ifindex: u32, detail: LinkDetail) -> Result<Link> {
        let what = format!("get network device {ifindex}");
        let link = self.get_one(&what, ifindex, &detail.attrs())?;
        if link.ifindex == ifindex {
            return Ok(link);
        }
        let detail = format!("asked about interface {ifindex}, told about {}", link.ifindex);
        Err(Error::Malformed { what: "link message", detail })
    }

    /// The network device called `name`; alternative names count, too.
    ///
    /// # Errors
    /// As [`LinkClient::get`].
    pub fn find(&mut self, name: &str) -> Result<Link> {
        let mut attrs = LinkDetail::default().attrs();
        // Names of both kinds are found either way; only the attribute for alternative ones has room for long names.
        attrs.put_str(if name.len() > IFNAME_MAX { IFLA_ALT_IFNAME } else { IFLA_IFNAME }, name);
        let what = format!("get network device '{name}'");
        attrs.check(&what)?;
        self.get_one(&what, 0, &attrs)
    }

    fn get_one(&mut self, what: &str, ifindex: u32, attrs: &AttrBuf) -> Result<Link> {
        let payload = [&ifinfo(ifindex, 0, 0)[..], attrs.as_bytes()].concat();
        let replies = self.conn.request(what, RTM_GETLINK, 0, &payload)?;
        let is_link = |m: &&Message| m.kind == RTM_NEWLINK;
        let reply = replies.iter().find(is_link).ok_or_else(|| Error::Malformed {
            what: "link message",
            detail: format!("{what}: acknowledged without an answer"),
        })?;
        Link::parse(&reply.payload)
    }

    /// Changes a network device (`ip link set`).
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set(&mut self, ifindex: u32, settings: &LinkSettings) -> Result<()> {
        let what = format!("set network device {ifindex}{settings}");
        self.act(&what, &settings.payload(ifindex))
    }

    /// `ip link set IFINDEX up` or `down`.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set_up(&mut self, ifindex: u32, up: bool) -> Result<()> {
        self.set(ifindex, &LinkSettings { up: Some(up), ..LinkSettings::default() })
    }

    /// `ip link set IFINDEX mtu BYTES`.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set_mtu(&mut self, ifindex: u32, mtu: u32) -> Result<()> {
        self.set(ifindex, &LinkSettings { mtu: Some(mtu), ..LinkSettings::default() })
    }

    /// Changes VF number `vf` of the PF whose network device is `ifindex` (`ip link set PF vf N ...`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` when the driver cannot; `EINVAL` when there is no such VF (with most drivers); else as [`Connection::request`].
    pub fn set_vf(&mut self, ifindex: u32, vf: u32, settings: &VfSettings) -> Result<()> {
        let what = format!("set network device {ifindex} vf {vf}{settings}");
        self.act(&what, &settings.payload(ifindex, vf))
    }

    fn act(&mut self, what: &str, (header, attrs): &(Vec<u8>, AttrBuf)) -> Result<()> {
        attrs.check(what)?;
        let payload = [header, attrs.as_bytes()].concat();
        self.conn.request(what, RTM_SETLINK, 0, &payload).map(drop)
    }
}
