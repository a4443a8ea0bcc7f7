//! Generic netlink: families resolved by name (linux/genetlink.h).

use crate::{
    attr::{AttrBuf, Attrs},
    batch::Request,
    conn::Connection,
    error::{Error, Result},
    message::Message,
};
use rustix::io::Errno;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_VERSION: u16 = 3;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
const GENL_HEADER_LEN: usize = 4;

/// A generic netlink family as the kernel registered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Name, for example `devlink`.
    pub name: String,
    /// Message type of its messages in this kernel.
    pub id: u16,
    /// Version.
    pub version: u8,
    /// Multicast groups by name.
    pub groups: Vec<(String, u32)>,
}

impl Family {
    /// Number of the multicast group `name`.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub fn group(&self, name: &str) -> Result<u32> {
        self.groups
            .iter()
            .find_map(|(n, id)| (n == name).then_some(*id))
            .ok_or_else(|| Error::NoGroup { family: self.name.clone(), group: name.to_owned() })
    }
}

/// A reply of a generic netlink family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenlReply {
    /// Command (`genlmsghdr.cmd`).
    pub cmd: u8,
    /// The attributes' bytes.
    pub attrs: Vec<u8>,
}

impl GenlReply {
    /// Reads a message as one of family `id`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is of another type or too short.
    pub fn parse(id: u16, msg: &Message) -> Result<Self> {
        let bad = |detail: String| Error::Malformed { what: "generic netlink message", detail };
        if msg.kind != id {
            return Err(bad(format!("type {} where {id} was expected", msg.kind)));
        }
        let (Some(&cmd), Some(attrs)) = (msg.payload.first(), msg.payload.get(GENL_HEADER_LEN..)) else {
            return Err(bad(format!("only {} bytes", msg.payload.len())));
        };
        Ok(GenlReply { cmd, attrs: attrs.to_vec() })
    }

    /// The attributes.
    #[must_use]
    pub fn attrs(&self) -> Attrs<'_> {
        Attrs::new(&self.attrs)
    }
}

/// A connection to one generic netlink family.
#[derive(Debug)]
pub struct GenlConnection {
    conn: Connection,
    family: Family,
}

impl GenlConnection {
    /// Resolves the family `name` over `conn`.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the kernel does not have it; else as [`Connection::request`].
    pub fn resolve(mut conn: Connection, name: &str) -> Result<Self> {
        let mut attrs = AttrBuf::new();
        attrs.put_str(CTRL_ATTR_FAMILY_NAME, name);
        let what = format!("resolve generic netlink family {name}");
        let replies = match conn.request(&what, GENL_ID_CTRL, 0, &payload(CTRL_CMD_GETFAMILY, 1, &attrs)) {
            Err(Error::Kernel(e)) if e.errno == Errno::NOENT.raw_os_error() => {
                return Err(Error::NoFamily { name: name.to_owned() });
            }
            other => other?,
        };
        let reply = replies.first().ok_or_else(|| Error::Malformed {
            what: "generic netlink family",
            detail: "acknowledged without an answer".into(),
        })?;
        let family = parse_family(name, &GenlReply::parse(GENL_ID_CTRL, reply)?)?;
        Ok(GenlConnection { conn, family })
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// The connection below, for its settings.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// A request with acknowledgement.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn request(&mut self, what: &str, cmd: u8, attrs: &AttrBuf) -> Result<Vec<GenlReply>> {
        attrs.check(what)?;
        let replies = self.conn.request(what, self.family.id, 0, &payload(cmd, self.family.version, attrs))?;
        replies.iter().map(|m| GenlReply::parse(self.family.id, m)).collect()
    }

    /// Many requests at a time, as [`Connection::batch`]: what it is called, command and attributes of each.
    pub fn batch(&mut self, requests: &[(String, u8, AttrBuf)]) -> Vec<Result<Vec<GenlReply>>> {
        if let Some((at, e)) = requests.iter().enumerate().find_map(|(i, (w, _, a))| Some((i, a.check(w).err()?))) {
            // Nothing is sent when a part cannot be: a batch that starts is carried through as far as the kernel lets it.
            let mut bad = Some(e);
            let error = |(i, (what, _, _)): (usize, &(String, u8, AttrBuf))| match bad.take_if(|_| i == at) {
                Some(e) => Err(e),
                None => Err(Error::NotSent { what: what.clone() }),
            };
            return requests.iter().enumerate().map(error).collect();
        }
        let (id, version) = (self.family.id, self.family.version);
        let requests: Vec<_> = requests
            .iter()
            .map(|(what, cmd, attrs)| Request {
                what: what.clone(),
                kind: id,
                flags: 0,
                payload: payload(*cmd, version, attrs),
            })
            .collect();
        let read = |messages: Vec<Message>| messages.iter().map(|m| GenlReply::parse(id, m)).collect();
        self.conn.batch(&requests).into_iter().map(|r| r.and_then(read)).collect()
    }

    /// A dump.
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn dump(&mut self, what: &str, cmd: u8, attrs: &AttrBuf) -> Result<Vec<GenlReply>> {
        attrs.check(what)?;
        let replies = self.conn.dump(what, self.family.id, &payload(cmd, self.family.version, attrs))?;
        replies.iter().map(|m| GenlReply::parse(self.family.id, m)).collect()
    }
}

/// All families that the kernel has now (`genl ctrl list`).
///
/// # Errors
/// As [`Connection::dump`].
pub fn families(conn: &mut Connection) -> Result<Vec<Family>> {
    let body = payload(CTRL_CMD_GETFAMILY, 1, &AttrBuf::new());
    let replies = conn.dump("list generic netlink families", GENL_ID_CTRL, &body)?;
    replies.iter().map(|m| parse_family("?", &GenlReply::parse(GENL_ID_CTRL, m)?)).collect()
}

fn payload(cmd: u8, version: u8, attrs: &AttrBuf) -> Vec<u8> {
    let mut bytes = vec![cmd, version, 0, 0];
    bytes.extend_from_slice(attrs.as_bytes());
    bytes
}

fn parse_family(name: &str, reply: &GenlReply) -> Result<Family> {
    let mut family = Family { name: name.to_owned(), id: 0, version: 1, groups: Vec::new() };
    for attr in reply.attrs() {
        let attr = attr?;
        match attr.kind {
            CTRL_ATTR_FAMILY_NAME => family.name = attr.str()?.to_owned(),
            CTRL_ATTR_FAMILY_ID => family.id = attr.u16()?,
            CTRL_ATTR_VERSION => family.version = u8::try_from(attr.u32()?).unwrap_or(1),
            CTRL_ATTR_MCAST_GROUPS => {
                for group in attr.nested() {
                    let group = group?;
                    let name = group.nested().find(CTRL_ATTR_MCAST_GRP_NAME)?;
                    let id = group.nested().find(CTRL_ATTR_MCAST_GRP_ID)?;
                    if let (Some(name), Some(id)) = (name, id) {
                        family.groups.push((name.str()?.to_owned(), id.u32()?));
                    }
                }
            }
            _ => {}
        }
    }
    // Ids below 16 are control messages: a family there is a lie.
    if family.id < GENL_ID_CTRL {
        return Err(Error::Malformed {
            what: "generic netlink family",
            detail: format!("{name} has id {}", family.id),
        });
    }
    Ok(family)
}
