//! Netlink bytes as the kernel writes and reads them. Kept apart from the clients' codec on purpose: neither can hide the
//! other's mistakes.

use super::{FakeReply, Refusal};

pub(super) const NLM_F_REQUEST: u16 = 0x1;
pub(super) const NLM_F_MULTI: u16 = 0x2;
pub(super) const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(super) const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;

/// A request, as the kernel cuts it up.
#[derive(Debug, Clone, Copy)]
pub struct FakeRequest<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub seq: u32,
    /// The header's bytes, for the acknowledgement to quote.
    pub header: &'a [u8],
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> FakeRequest<'a> {
    /// The first message of `datagram`, and what follows it.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = datagram.get(..16)?;
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let seq = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let payload = datagram.get(16..len)?;
        let rest = datagram.get(len.div_ceil(4) * 4..).unwrap_or_default();
        Some((FakeRequest { kind: half(4), flags: half(6), seq, header, payload }, rest))
    }

    /// Is it a dump?
    #[must_use]
    pub fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// `genlmsghdr.cmd`.
    #[must_use]
    pub fn genl_cmd(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// The attributes behind `struct genlmsghdr`, or the kernel's refusal of broken ones.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn genl_attrs(&self) -> Result<Vec<(u16, &'a [u8])>, Refusal> {
        attrs(self.payload.get(4..).ok_or_else(|| Refusal::new(22))?)
    }

    /// A reply of the same message type.
    #[must_use]
    pub fn reply(&self, payload: Vec<u8>) -> FakeReply {
        FakeReply { kind: self.kind, payload }
    }

    pub(super) fn acknowledge(&self, refusal: Option<&Refusal>) -> Vec<u8> {
        let mut payload = (-refusal.map_or(0, |r| r.errno)).to_ne_bytes().to_vec();
        payload.extend_from_slice(self.header);
        let mut flags = NLM_F_CAPPED;
        if let Some(text) = refusal.and_then(|r| r.text.as_ref()) {
            flags |= NLM_F_ACK_TLVS;
            put_str(&mut payload, 1, text);
        }
        if let Some(offset) = refusal.and_then(|r| r.offset) {
            flags |= NLM_F_ACK_TLVS;
            put(&mut payload, 2, &offset.to_ne_bytes());
        }
        message(NLMSG_ERROR, flags, self.seq, &payload)
    }
}

/// One message with its header, padded to four.
#[must_use]
pub fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + payload.len()).unwrap_or(u32::MAX);
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    pad(&mut bytes);
    bytes
}

fn pad(bytes: &mut Vec<u8>) {
    while !bytes.len().is_multiple_of(4) {
        bytes.push(0);
    }
}

/// Appends an attribute.
pub fn put(buf: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    buf.extend(len.to_ne_bytes());
    buf.extend(kind.to_ne_bytes());
    buf.extend_from_slice(value);
    pad(buf);
}

/// Appends a text with its NUL.
pub fn put_str(buf: &mut Vec<u8>, kind: u16, value: &str) {
    put(buf, kind, &[value.as_bytes(), &[0]].concat());
}

/// Appends a list of attributes.
pub fn put_nested(buf: &mut Vec<u8>, kind: u16, inner: &[u8]) {
    put(buf, kind | 0x8000, inner);
}

/// The attributes in `bytes` (number without flags, value).
///
/// # Errors
/// `EINVAL` when a length does not fit.
pub fn attrs(mut bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, Refusal> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        let value = bytes.get(4..len).ok_or_else(|| Refusal::new(22).text("Invalid attribute length"))?;
        found.push((kind, value));
        bytes = bytes.get(len.div_ceil(4) * 4..).unwrap_or_default();
    }
    Ok(found)
}

/// The value of the first attribute numbered `kind`.
#[must_use]
pub fn find<'a>(attrs: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    attrs.iter().find_map(|(k, v)| (*k == kind).then_some(*v))
}

/// A text value as the kernel's policy wants it: UTF-8, ended by NUL.
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.strip_suffix(&[0])?).ok()
}
