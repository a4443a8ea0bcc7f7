//! Features of network devices (`ethtool -k`, `-K`), over generic netlink (linux/ethtool_netlink.h,
//! Documentation/networking/ethtool-netlink.rst; kernel 5.7).

use crate::{
    attr::{Attr, AttrBuf, Attrs},
    conn::Connection,
    error::{Error, Result},
    genl::GenlConnection,
    transport::Transport,
};

/// The feature that lets tc rules go into hardware.
pub const HW_TC_OFFLOAD: &str = "hw-tc-offload";

const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
const FEATURES_HEADER: u16 = 1;
const FEATURES_HW: u16 = 2;
const FEATURES_WANTED: u16 = 3;
const FEATURES_ACTIVE: u16 = 4;
const FEATURES_NOCHANGE: u16 = 5;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_FLAGS: u16 = 3;
/// `ETHTOOL_FLAG_OMIT_REPLY`.
const OMIT_REPLY: u32 = 2;
const BITSET_NOMASK: u16 = 1;
const BITSET_BITS: u16 = 3;
const BITS_BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;

/// One feature of a network device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feature {
    /// On now.
    pub active: bool,
    /// The driver lets it be changed.
    pub changeable: bool,
}

/// Reads and sets features of network devices.
#[derive(Debug)]
pub struct FeatureClient {
    genl: GenlConnection,
}

impl FeatureClient {
    /// A client on a `NETLINK_GENERIC` transport.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the kernel has no ethtool over netlink; else as [`Connection::request`].
    pub fn open(transport: Box<dyn Transport>) -> Result<Self> {
        Ok(FeatureClient { genl: GenlConnection::resolve(Connection::new(transport), "ethtool")? })
    }

    /// The feature `name` of a device (`ethtool -k`).
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn get(&mut self, ifindex: u32, name: &str) -> Result<Feature> {
        let what = format!("get features of network device {ifindex}");
        let mut attrs = AttrBuf::new();
        attrs.put_nested(FEATURES_HEADER, &header(ifindex, 0));
        let replies = self.genl.request(&what, FEATURES_GET, &attrs)?;
        let reply = replies.first().ok_or_else(|| Error::Malformed {
            what: "features",
            detail: format!("{what}: acknowledged without an answer"),
        })?;
        feature(reply.attrs(), ifindex, name)
    }

    /// Sets the feature `name` of a device (`ethtool -K`). The kernel says yes to what it then does not do (a fixed feature): read
    /// it back.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn set(&mut self, ifindex: u32, name: &str, on: bool) -> Result<()> {
        let what = format!("set feature {name} of network device {ifindex} {}", if on { "on" } else { "off" });
        let (mut bit, mut bits, mut set, mut attrs) = (AttrBuf::new(), AttrBuf::new(), AttrBuf::new(), AttrBuf::new());
        bit.put_str(BIT_NAME, name);
        if on {
            bit.put_flag(BIT_VALUE);
        }
        bits.put_nested(BITS_BIT, &bit);
        set.put_nested(BITSET_BITS, &bits);
        attrs.put_nested(FEATURES_HEADER, &header(ifindex, OMIT_REPLY)).put_nested(FEATURES_WANTED, &set);
        self.genl.request(&what, FEATURES_SET, &attrs).map(drop)
    }
}

fn header(ifindex: u32, flags: u32) -> AttrBuf {
    let mut header = AttrBuf::new();
    header.put_u32(HEADER_DEV_INDEX, ifindex);
    if flags != 0 {
        header.put_u32(HEADER_FLAGS, flags);
    }
    header
}

fn feature(attrs: Attrs<'_>, ifindex: u32, name: &str) -> Result<Feature> {
    let mut found = Feature::default();
    let mut fixed = false;
    for attr in attrs {
        let attr = attr?;
        match attr.kind {
            FEATURES_HEADER => match attr.nested().find(HEADER_DEV_INDEX)? {
                Some(index) if index.u32()? != ifindex => {
                    let detail = format!("asked about interface {ifindex}, told about {}", index.u32()?);
                    return Err(Error::Malformed { what: "features", detail });
                }
                _ => {}
            },
            FEATURES_HW => found.changeable = has(&attr, name)?,
            FEATURES_ACTIVE => found.active = has(&attr, name)?,
            FEATURES_NOCHANGE => fixed = has(&attr, name)?,
            _ => {}
        }
    }
    found.changeable &= !fixed;
    Ok(found)
}

/// Is `name` set in a verbose bit set? With a mask, bits that are not set are listed, too, without value.
fn has(set: &Attr<'_>, name: &str) -> Result<bool> {
    let list_only = set.nested().find(BITSET_NOMASK)?.is_some();
    let Some(bits) = set.nested().find(BITSET_BITS)? else { return Ok(false) };
    for bit in bits.nested() {
        let bit = bit?;
        if bit.kind == BITS_BIT
            && let Some(found) = bit.nested().find(BIT_NAME)?
            && found.str()? == name
        {
            return Ok(list_only || bit.nested().find(BIT_VALUE)?.is_some());
        }
    }
    Ok(false)
}
