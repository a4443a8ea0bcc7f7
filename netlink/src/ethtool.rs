//! Features of network devices (`ethtool -k`, `-K`), over generic netlink (linux/ethtool_netlink.h,
//! Documentation/networking/ethtool-netlink.rst; kernel 5.7).

use std::collections::BTreeMap;

use crate::{
    attr::{Attr, AttrBuf, Attrs},
    conn::Connection,
    error::{Error, Result},
    genl::{GenlConnection, GenlReply},
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
/// `ETHTOOL_FLAG_COMPACT_BITSETS`, `ETHTOOL_FLAG_OMIT_REPLY`.
const COMPACT: u32 = 1;
const OMIT_REPLY: u32 = 2;
const BITSET_NOMASK: u16 = 1;
const BITSET_BITS: u16 = 3;
const BITSET_VALUE: u16 = 4;
const BITS_BIT: u16 = 1;
const BIT_INDEX: u16 = 1;
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
    /// Which bit a feature is: the same for all devices, as long as the kernel runs. `None`: this kernel does not know it.
    bits: BTreeMap<String, Option<u32>>,
}

impl FeatureClient {
    /// A client on a `NETLINK_GENERIC` transport.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the kernel has no ethtool over netlink; else as [`Connection::request`].
    pub fn open(transport: Box<dyn Transport>) -> Result<Self> {
        let genl = GenlConnection::resolve(Connection::new(transport), "ethtool")?;
        Ok(FeatureClient { genl, bits: BTreeMap::new() })
    }

    /// The feature `name` of a device (`ethtool -k`).
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn get(&mut self, ifindex: u32, name: &str) -> Result<Feature> {
        feature(self.verbose(ifindex)?.attrs(), ifindex, name)
    }

    /// All features of a device, with their names.
    fn verbose(&mut self, ifindex: u32) -> Result<GenlReply> {
        let what = format!("get features of network device {ifindex}");
        let mut attrs = AttrBuf::new();
        attrs.put_nested(FEATURES_HEADER, &header(ifindex, 0));
        let replies = self.genl.request(&what, FEATURES_GET, &attrs)?;
        replies.into_iter().next().ok_or_else(|| Error::Malformed {
            what: "features",
            detail: format!("{what}: acknowledged without an answer"),
        })
    }

    /// The feature `name` of all network devices, by interface index, in one request. The names of the bits are asked of the device
    /// `any` first, once.
    ///
    /// # Errors
    /// `ENODEV` when `any` is gone; else as [`Connection::dump`].
    pub fn all(&mut self, any: u32, name: &str) -> Result<BTreeMap<u32, Feature>> {
        let bit = match self.bits.get(name) {
            Some(bit) => *bit,
            None => {
                let bit = bit_of(self.verbose(any)?.attrs(), name)?;
                self.bits.insert(name.to_owned(), bit);
                bit
            }
        };
        let Some(bit) = bit else { return Ok(BTreeMap::new()) };
        let (mut flags, mut attrs) = (AttrBuf::new(), AttrBuf::new());
        flags.put_u32(HEADER_FLAGS, COMPACT);
        attrs.put_nested(FEATURES_HEADER, &flags);
        let replies = self.genl.dump("list features of network devices", FEATURES_GET, &attrs)?;
        replies.iter().map(|reply| compact_feature(reply.attrs(), bit)).collect()
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

/// Which bit `name` is: the bit set of what the hardware could do lists all that the kernel knows.
fn bit_of(attrs: Attrs<'_>, name: &str) -> Result<Option<u32>> {
    let Some(bits) = attrs.find(FEATURES_HW)?.map(|hw| hw.nested().find(BITSET_BITS)).transpose()?.flatten() else {
        return Ok(None);
    };
    for bit in bits.nested() {
        let bit = bit?;
        if bit.kind == BITS_BIT
            && let Some(found) = bit.nested().find(BIT_NAME)?
            && found.str()? == name
        {
            return bit.nested().find(BIT_INDEX)?.map(|index| index.u32()).transpose();
        }
    }
    Ok(None)
}

/// A device's interface index, and one bit of its compact bit sets.
fn compact_feature(attrs: Attrs<'_>, bit: u32) -> Result<(u32, Feature)> {
    let (mut ifindex, mut found, mut fixed) = (None, Feature::default(), false);
    for attr in attrs {
        let attr = attr?;
        match attr.kind {
            FEATURES_HEADER => ifindex = attr.nested().find(HEADER_DEV_INDEX)?.map(|index| index.u32()).transpose()?,
            FEATURES_HW => found.changeable = has_bit(&attr, bit)?,
            FEATURES_ACTIVE => found.active = has_bit(&attr, bit)?,
            FEATURES_NOCHANGE => fixed = has_bit(&attr, bit)?,
            _ => {}
        }
    }
    found.changeable &= !fixed;
    let of = ifindex.ok_or_else(|| Error::Malformed { what: "features", detail: "of no network device".into() })?;
    Ok((of, found))
}

/// Is a bit set in a compact bit set: words of 32 bits in host order?
fn has_bit(set: &Attr<'_>, bit: u32) -> Result<bool> {
    let Some(value) = set.nested().find(BITSET_VALUE)? else { return Ok(false) };
    let word = value.value.chunks_exact(4).nth(bit as usize / 32).and_then(|w| w.try_into().ok());
    Ok(word.is_some_and(|w| u32::from_ne_bytes(w) >> (bit % 32) & 1 == 1))
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
