//! Transmit rates of functions and groups of them (`devlink port function rate`).

use std::fmt;

use netlink::{AttrBuf, Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    port::PortId,
    request::{Request, keep, malformed, need, same},
    uapi,
    words::Words,
};

/// A rate object: the leaf of a port, made by the driver, or a node (a group), made by us.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateId {
    /// The leaf of a port.
    Leaf(PortId),
    /// A node by its name. Names of digits only are refused by the kernel: they would be port indices.
    Node {
        /// Its device.
        device: DeviceId,
        /// Its name.
        name: String,
    },
}

impl RateId {
    /// The device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        match self {
            RateId::Leaf(port) => &port.device,
            RateId::Node { device, .. } => device,
        }
    }

    fn attrs(&self) -> AttrBuf {
        match self {
            RateId::Leaf(port) => port.attrs(),
            RateId::Node { device, name } => {
                let mut attrs = device.attrs();
                attrs.put_str(uapi::ATTR_RATE_NODE_NAME, name);
                attrs
            }
        }
    }
}

impl fmt::Display for RateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateId::Leaf(port) => port.fmt(f),
            RateId::Node { device, name } => write!(f, "{device}/{name}"),
        }
    }
}

/// A rate object as the kernel describes it. Rates are bytes a second; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Identity.
    pub id: RateId,
    /// Rate that is shared out to it at least, bytes a second.
    pub tx_share: u64,
    /// Rate that it may not exceed, bytes a second.
    pub tx_max: u64,
    /// Strict priority among its siblings; higher goes first (kernel 6.3).
    pub tx_priority: Option<u32>,
    /// Weight among siblings of one priority (kernel 6.3).
    pub tx_weight: Option<u32>,
    /// The node that it belongs to.
    pub parent: Option<String>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Rate {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut kind, mut port, mut node) = (None, None, None);
        let id = RateId::Node { device: device.clone(), name: String::new() };
        let mut rate =
            Rate { id, tx_share: 0, tx_max: 0, tx_priority: None, tx_weight: None, parent: None, other: Vec::new() };
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_RATE_TYPE => kind = Some(attr.u16()?),
                uapi::ATTR_PORT_INDEX => port = Some(attr.u32()?),
                uapi::ATTR_RATE_NODE_NAME => node = Some(attr.str()?.to_owned()),
                uapi::ATTR_RATE_TX_SHARE => rate.tx_share = attr.u64()?,
                uapi::ATTR_RATE_TX_MAX => rate.tx_max = attr.u64()?,
                uapi::ATTR_RATE_TX_PRIORITY => rate.tx_priority = Some(attr.u32()?),
                uapi::ATTR_RATE_TX_WEIGHT => rate.tx_weight = Some(attr.u32()?),
                uapi::ATTR_RATE_PARENT_NODE_NAME => rate.parent = Some(attr.str()?.to_owned()),
                _ => keep(&mut rate.other, &attr),
            }
        }
        rate.id = match need(kind, &format!("a rate object of {device}"), "type")? {
            uapi::RATE_TYPE_LEAF => {
                RateId::Leaf(PortId { index: need(port, &format!("a rate leaf of {device}"), "port")?, device })
            }
            uapi::RATE_TYPE_NODE => {
                RateId::Node { name: need(node, &format!("a rate node of {device}"), "name")?, device }
            }
            other => return Err(malformed(format!("a rate object of {device} is of type {other}"))),
        };
        Ok(rate)
    }
}

/// The node that a rate object is to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateParent {
    /// This one.
    Node(String),
    /// None.
    Nobody,
}

/// What to change of a rate object; `None` is left as it is. Rates are bytes a second; 0 takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateChange {
    /// Rate that is shared out to it at least.
    pub tx_share: Option<u64>,
    /// Rate that it may not exceed.
    pub tx_max: Option<u64>,
    /// Strict priority among its siblings.
    pub tx_priority: Option<u32>,
    /// Weight among siblings of one priority.
    pub tx_weight: Option<u32>,
    /// The node that it is to belong to.
    pub parent: Option<RateParent>,
}

impl RateChange {
    fn put(&self, attrs: &mut AttrBuf) {
        for (kind, rate) in [(uapi::ATTR_RATE_TX_SHARE, self.tx_share), (uapi::ATTR_RATE_TX_MAX, self.tx_max)] {
            if let Some(rate) = rate {
                attrs.put_u64(kind, rate);
            }
        }
        for (kind, n) in [(uapi::ATTR_RATE_TX_PRIORITY, self.tx_priority), (uapi::ATTR_RATE_TX_WEIGHT, self.tx_weight)]
        {
            if let Some(n) = n {
                attrs.put_u32(kind, n);
            }
        }
        match &self.parent {
            Some(RateParent::Node(name)) => _ = attrs.put_str(uapi::ATTR_RATE_PARENT_NODE_NAME, name),
            // An empty name takes the parent away.
            Some(RateParent::Nobody) => _ = attrs.put_str(uapi::ATTR_RATE_PARENT_NODE_NAME, ""),
            None => {}
        }
    }
}

impl fmt::Display for RateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |rate: Option<u64>| rate.map(|r| format!("{r}Bps"));
        let mut words = Words::default();
        words.put("tx_share", bytes(self.tx_share)).put("tx_max", bytes(self.tx_max));
        words.put("tx_priority", self.tx_priority).put("tx_weight", self.tx_weight);
        match &self.parent {
            Some(RateParent::Node(name)) => _ = words.put("parent", Some(name)),
            Some(RateParent::Nobody) => _ = words.put("noparent", Some("")),
            None => {}
        }
        f.write_str(words.to_string().trim_end())
    }
}

/// All rate objects of all devices (`devlink port function rate show`).
#[must_use]
pub fn rates() -> Request<Vec<Rate>> {
    Request::dump("list devlink rate objects", uapi::CMD_RATE_GET, Rate::parse)
}

/// One rate object.
#[must_use]
pub fn rate(id: &RateId) -> Request<Rate> {
    let asked = id.clone();
    let what = format!("devlink port function rate show {id}");
    Request::get_one(what, uapi::CMD_RATE_GET, id.attrs(), move |attrs| {
        let rate = Rate::parse(attrs)?;
        same(&asked, &rate.id)?;
        Ok(rate)
    })
}

/// Changes a rate object (`devlink port function rate set`).
#[must_use]
pub fn set_rate(id: &RateId, change: &RateChange) -> Request<()> {
    let mut attrs = id.attrs();
    change.put(&mut attrs);
    Request::act(format!("devlink port function rate set {id} {change}"), uapi::CMD_RATE_SET, attrs)
}

/// Adds a node (`devlink port function rate add`).
#[must_use]
pub fn add_rate_node(device: &DeviceId, name: &str, change: &RateChange) -> Request<()> {
    let id = RateId::Node { device: device.clone(), name: name.to_owned() };
    let mut attrs = id.attrs();
    change.put(&mut attrs);
    let what = format!("devlink port function rate add {id} {change}").trim_end().to_owned();
    Request::act(what, uapi::CMD_RATE_NEW, attrs)
}

/// Deletes a node (`devlink port function rate del`). The kernel refuses while something belongs to it (`EBUSY`).
#[must_use]
pub fn delete_rate_node(device: &DeviceId, name: &str) -> Request<()> {
    let id = RateId::Node { device: device.clone(), name: name.to_owned() };
    Request::act(format!("devlink port function rate del {id}"), uapi::CMD_RATE_DEL, id.attrs())
}
