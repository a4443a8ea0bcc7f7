//! Netlink attributes (TLVs, `struct nlattr`): a reader that trusts nothing and a writer.

use netlink_packet_core::{NLA_HEADER_SIZE, NlasIterator};

use crate::error::{Error, Result};

/// Marks an attribute whose value is a list of attributes (`NLA_F_NESTED`, linux/netlink.h).
pub const NLA_F_NESTED: u16 = netlink_packet_core::NLA_F_NESTED;

/// An attribute kept as it came, because we have no name for it (or no use).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAttr {
    /// Attribute number without flags.
    pub kind: u16,
    /// The value's bytes.
    pub value: Vec<u8>,
}

/// `struct nla_bitfield32` (linux/netlink.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Bitfield32 {
    /// The bits' values; those outside of `selector` mean nothing.
    pub value: u32,
    /// Which bits are meant.
    pub selector: u32,
}

/// One attribute of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Attribute number without flags.
    pub kind: u16,
    /// The value's bytes.
    pub value: &'a [u8],
}

impl<'a> Attr<'a> {
    fn bad(&self, wanted: &str) -> Error {
        Error::Malformed {
            what: "netlink attribute",
            detail: format!("attribute {} has {} bytes where {wanted} was expected", self.kind, self.value.len()),
        }
    }

    fn array<const N: usize>(&self, wanted: &str) -> Result<[u8; N]> {
        self.value.try_into().map_err(|_| self.bad(wanted))
    }

    /// Value as u8.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 1.
    pub fn u8(&self) -> Result<u8> {
        Ok(self.array::<1>("a u8")?[0])
    }

    /// Value as u16 (host order).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 2.
    pub fn u16(&self) -> Result<u16> {
        Ok(u16::from_ne_bytes(self.array("a u16")?))
    }

    /// Value as u32 (host order).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 4.
    pub fn u32(&self) -> Result<u32> {
        Ok(u32::from_ne_bytes(self.array("a u32")?))
    }

    /// Value as u64 (host order).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 8.
    pub fn u64(&self) -> Result<u64> {
        Ok(u64::from_ne_bytes(self.array("a u64")?))
    }

    /// Value as `struct nla_bitfield32` (linux/netlink.h): the bits' values, and which of them are meant.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 8.
    pub fn bitfield32(&self) -> Result<Bitfield32> {
        let [a, b, c, d, e, f, g, h] = self.array("a bit field of 8 bytes")?;
        Ok(Bitfield32 { value: u32::from_ne_bytes([a, b, c, d]), selector: u32::from_ne_bytes([e, f, g, h]) })
    }

    /// Value as an Ethernet address.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is not 6.
    pub fn mac(&self) -> Result<[u8; 6]> {
        self.array("an Ethernet address")
    }

    /// Value as text: valid UTF-8 with at most one NUL, at its end.
    ///
    /// # Errors
    /// [`Error::Malformed`] otherwise.
    pub fn str(&self) -> Result<&'a str> {
        let bytes = self.value.strip_suffix(&[0]).unwrap_or(self.value);
        if bytes.contains(&0) {
            return Err(self.bad("a text without NUL inside"));
        }
        std::str::from_utf8(bytes).map_err(|_| self.bad("UTF-8 text"))
    }

    /// Value as a list of attributes.
    #[must_use]
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.value)
    }

    /// A copy to keep.
    #[must_use]
    pub fn to_raw(&self) -> RawAttr {
        RawAttr { kind: self.kind, value: self.value.to_vec() }
    }
}

/// Iterator over the attributes in `bytes`. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Attrs<'a> {
    inner: NlasIterator<&'a [u8]>,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attrs<'a> {
    /// Reads `bytes` as a row of attributes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Attrs { inner: NlasIterator::new(bytes), bytes, at: 0 }
    }

    /// The first attribute numbered `kind`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the bytes before it are broken.
    pub fn find(self, kind: u16) -> Result<Option<Attr<'a>>> {
        for attr in self {
            let attr = attr?;
            if attr.kind == kind {
                return Ok(Some(attr));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.inner.next()? {
            Ok(nla) => {
                let (start, end) = (self.at + NLA_HEADER_SIZE, self.at + usize::from(nla.length()));
                // The last attribute may lack its padding.
                self.at = end.next_multiple_of(4);
                let value = self.bytes.get(start..end)?;
                Some(Ok(Attr { kind: nla.kind(), value }))
            }
            Err(e) => Some(Err(Error::Malformed { what: "netlink attributes", detail: e.to_string() })),
        }
    }
}

/// Builds a row of attributes.
///
/// A value longer than an attribute can be (65,531 bytes) is not cut: it is left out and remembered, and
/// [`AttrBuf::check`] refuses the whole row. Clients call it before they send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttrBuf {
    bytes: Vec<u8>,
    too_long: Option<u16>,
}

impl AttrBuf {
    /// An empty row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let Ok(len) = u16::try_from(value.len() + NLA_HEADER_SIZE) else {
            self.too_long.get_or_insert(kind);
            return self;
        };
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends an attribute whose presence is its value.
    pub fn put_flag(&mut self, kind: u16) -> &mut Self {
        self.put(kind, &[])
    }

    /// Appends a u8.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    /// Appends a u16 (host order).
    pub fn put_u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a u32 (host order).
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a u64 (host order).
    pub fn put_u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a bit field.
    pub fn put_bitfield32(&mut self, kind: u16, bits: Bitfield32) -> &mut Self {
        self.put(kind, &[bits.value.to_ne_bytes(), bits.selector.to_ne_bytes()].concat())
    }

    /// Appends a text with its terminating NUL.
    pub fn put_str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Appends a list of attributes under `kind` with the nested flag.
    pub fn put_nested(&mut self, kind: u16, inner: &AttrBuf) -> &mut Self {
        self.too_long = self.too_long.or(inner.too_long);
        self.put(kind | NLA_F_NESTED, &inner.bytes)
    }

    /// Refuses a row in which a value was too long.
    ///
    /// # Errors
    /// [`Error::TooLong`]; `what` names the request.
    pub fn check(&self, what: &str) -> Result<()> {
        match self.too_long {
            None => Ok(()),
            Some(attr) => Err(Error::TooLong { what: what.to_owned(), attr }),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
