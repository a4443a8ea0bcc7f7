//! Netlink bytes as the kernel writes and reads them. Kept apart from the clients' codecs on purpose.

pub(super) const ENOENT: i32 = 2;
pub(super) const EIO: i32 = 5;
pub(super) const EACCES: i32 = 13;
pub(super) const EBUSY: i32 = 16;
pub(super) const EEXIST: i32 = 17;
pub(super) const ENODEV: i32 = 19;
pub(super) const EINVAL: i32 = 22;
pub(super) const ERANGE: i32 = 34;
pub(super) const EPROTONOSUPPORT: i32 = 93;
pub(super) const EOPNOTSUPP: i32 = 95;
pub(super) const ENOBUFS: i32 = 105;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_MULTI: u16 = 0x2;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A refusal: positive errno and the driver's words.
pub(super) type Refusal = (i32, String);

/// A refusal without words.
pub(super) fn refuse(errno: i32) -> Refusal {
    (errno, String::new())
}

/// A request, cut up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) kind: u16,
    flags: u16,
    seq: u32,
    header: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Request<'a> {
    /// The kernel ignores what is not a request.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = datagram.get(..16)?;
        let len = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
        let flags = u16::from_ne_bytes(header[6..8].try_into().ok()?);
        let seq = u32::from_ne_bytes(header[8..12].try_into().ok()?);
        let payload = datagram.get(16..len)?;
        (flags & NLM_F_REQUEST != 0).then_some(Request { kind, flags, seq, header, payload })
    }

    pub(super) fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// The datagrams that answer the request.
    pub(super) fn answer(&self, result: Result<Vec<Reply>, Refusal>, interrupt: bool) -> Vec<Vec<u8>> {
        match result {
            Err((errno, text)) => vec![self.error(errno, &text)],
            Ok(replies) if self.is_dump() => {
                let intr = if interrupt { NLM_F_DUMP_INTR } else { 0 };
                let mut datagrams: Vec<Vec<u8>> = replies
                    .chunks(3)
                    .map(|some| {
                        some.iter().flat_map(|r| message(r.kind, NLM_F_MULTI | intr, self.seq, &r.payload)).collect()
                    })
                    .collect();
                datagrams.push(message(NLMSG_DONE, NLM_F_MULTI | intr, self.seq, &[0; 4]));
                datagrams
            }
            Ok(replies) => {
                let mut datagrams: Vec<Vec<u8>> =
                    replies.iter().map(|r| message(r.kind, 0, self.seq, &r.payload)).collect();
                if self.flags & NLM_F_ACK != 0 {
                    datagrams.push(self.error(0, ""));
                }
                datagrams
            }
        }
    }

    fn error(&self, errno: i32, text: &str) -> Vec<u8> {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend_from_slice(self.header);
        let mut flags = NLM_F_CAPPED;
        if !text.is_empty() {
            flags |= NLM_F_ACK_TLVS;
            put_str(&mut payload, 1, text);
        }
        message(NLMSG_ERROR, flags, self.seq, &payload)
    }
}

/// One object of an answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

pub(super) fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
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

pub(super) fn put(buf: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    buf.extend(len.to_ne_bytes());
    buf.extend(kind.to_ne_bytes());
    buf.extend_from_slice(value);
    pad(buf);
}

pub(super) fn put_str(buf: &mut Vec<u8>, kind: u16, value: &str) {
    put(buf, kind, &[value.as_bytes(), &[0]].concat());
}

pub(super) fn put_u16(buf: &mut Vec<u8>, kind: u16, value: u16) {
    put(buf, kind, &value.to_ne_bytes());
}

pub(super) fn put_u32(buf: &mut Vec<u8>, kind: u16, value: u32) {
    put(buf, kind, &value.to_ne_bytes());
}

pub(super) fn put_nested(buf: &mut Vec<u8>, kind: u16, inner: &[u8]) {
    put(buf, kind | 0x8000, inner);
}

/// The attributes in `bytes`, or the kernel's answer to broken ones.
pub(super) fn attrs(mut bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, Refusal> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        let value = bytes.get(4..len).ok_or_else(|| refuse(EINVAL))?;
        found.push((kind, value));
        bytes = bytes.get(len.div_ceil(4) * 4..).unwrap_or_default();
    }
    Ok(found)
}

pub(super) fn find<'a>(attrs: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    attrs.iter().find_map(|(k, v)| (*k == kind).then_some(*v))
}

/// A text attribute as the kernel's policy wants it: ended by NUL.
pub(super) fn text(value: &[u8]) -> Result<&str, Refusal> {
    let bytes = value.strip_suffix(&[0]).ok_or_else(|| refuse(ERANGE))?;
    std::str::from_utf8(bytes).map_err(|_| refuse(EINVAL))
}

pub(super) fn u32_of(value: &[u8]) -> Result<u32, Refusal> {
    value.try_into().map(u32::from_ne_bytes).map_err(|_| refuse(ERANGE))
}

pub(super) fn u64_of(value: &[u8]) -> Result<u64, Refusal> {
    value.try_into().map(u64::from_ne_bytes).map_err(|_| refuse(ERANGE))
}

pub(super) fn u16_of(value: &[u8]) -> Result<u16, Refusal> {
    value.try_into().map(u16::from_ne_bytes).map_err(|_| refuse(ERANGE))
}

pub(super) fn u8_of(value: &[u8]) -> Result<u8, Refusal> {
    match value {
        [v] => Ok(*v),
        _ => Err(refuse(ERANGE)),
    }
}

/// Makes the length of the `nth` attribute of the first message greater by `by`. `offset` is where the attributes start.
pub(super) fn lie(datagram: &mut [u8], offset: usize, nth: usize, by: u16) {
    let mut at = 16 + offset;
    for n in 0.. {
        let Some(len) = datagram.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]])) else { return };
        if n == nth {
            datagram[at..at + 2].copy_from_slice(&len.wrapping_add(by).to_ne_bytes());
            return;
        }
        at += usize::from(len).max(4).div_ceil(4) * 4;
    }
}
