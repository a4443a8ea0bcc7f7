//! Netlink messages (`struct nlmsghdr`, linux/netlink.h): framing of datagrams.

use netlink_packet_core::{Emitable, NetlinkBuffer, NetlinkHeader};

use crate::{
    attr::Attrs,
    error::{Error, KernelError, Result},
};

/// Length of `struct nlmsghdr`, bytes.
pub(crate) const HEADER_LEN: usize = 16;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// One netlink message, copied out of its datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`: a control type below 16, an rtnetlink type, or a generic netlink family id.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`; 0 on events.
    pub seq: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Message {
    /// The message as bytes, padded to four.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = HEADER_LEN + self.payload.len();
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(len).unwrap_or(u32::MAX);
        header.message_type = self.kind;
        header.flags = self.flags;
        header.sequence_number = self.seq;
        let mut bytes = vec![0; len.next_multiple_of(4)];
        header.emit(&mut bytes);
        bytes[HEADER_LEN..len].copy_from_slice(&self.payload);
        bytes
    }
}

/// Iterator over the messages of one datagram. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Splits a datagram into its messages.
#[must_use]
pub fn split(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let buf = match NetlinkBuffer::new_checked(rest) {
            Ok(buf) => buf,
            Err(e) => return Some(Err(Error::Malformed { what: "netlink message", detail: e.to_string() })),
        };
        let len = buf.length() as usize;
        let Some(payload) = rest.get(HEADER_LEN..len) else {
            return Some(Err(Error::Malformed { what: "netlink message", detail: format!("length {len}") }));
        };
        self.rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Message {
            kind: buf.message_type(),
            flags: buf.flags(),
            seq: buf.sequence_number(),
            payload: payload.to_vec(),
        }))
    }
}

/// Reads `NLMSG_ERROR`: `Ok(None)` is an acknowledgement, `Ok(Some(..))` the refusal with its extended acknowledgement.
pub(crate) fn parse_error(what: &str, msg: &Message) -> Result<Option<KernelError>> {
    use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED};
    let short = || Error::Malformed { what: "NLMSG_ERROR", detail: format!("only {} bytes", msg.payload.len()) };
    let code = read_i32(&msg.payload).ok_or_else(short)?;
    if code == 0 {
        return Ok(None);
    }
    let tlvs = if msg.flags & NLM_F_ACK_TLVS == 0 {
        &[][..]
    } else {
        // After the code comes our request: its header only when the kernel capped it.
        let quoted = if msg.flags & NLM_F_CAPPED == 0 {
            let len =
                msg.payload.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).ok_or_else(short)?;
            (len as usize).next_multiple_of(4)
        } else {
            HEADER_LEN
        };
        msg.payload.get(4usize.saturating_add(quoted)..).ok_or_else(short)?
    };
    Ok(Some(with_extack(what, code, tlvs)))
}

/// Reads the code and extended acknowledgement that `NLMSG_DONE` carries; `None` is a clean end.
pub(crate) fn parse_done(what: &str, msg: &Message) -> Option<KernelError> {
    // Old kernels send nothing after the header.
    let code = read_i32(&msg.payload).unwrap_or(0);
    (code < 0).then(|| with_extack(what, code, msg.payload.get(4..).unwrap_or_default()))
}

fn with_extack(what: &str, code: i32, tlvs: &[u8]) -> KernelError {
    let mut error = KernelError {
        what: what.to_owned(),
        errno: code.checked_abs().unwrap_or(i32::MAX),
        message: None,
        offset: None,
    };
    // The refusal itself is sound: a broken explanation is shown as far as it can be read.
    for attr in Attrs::new(tlvs).map_while(Result::ok) {
        match attr.kind {
            NLMSGERR_ATTR_MSG => error.message = attr.str().ok().map(|s| s.trim_end().to_owned()),
            NLMSGERR_ATTR_OFFS => error.offset = attr.u32().ok(),
            _ => {}
        }
    }
    error
}

fn read_i32(bytes: &[u8]) -> Option<i32> {
    bytes.get(..4)?.try_into().ok().map(i32::from_ne_bytes)
}
