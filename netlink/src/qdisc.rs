//! Queueing disciplines (rtnetlink `RTM_*QDISC`), as far as noticing their loss needs: hardware rules hang on a port's `clsact` or
//! `ingress` qdisc, and go with it.

use crate::{
    attr::Attrs,
    conn::Connection,
    error::{Error, Result},
    message::Message,
};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
/// Length of `struct tcmsg`.
const TCMSG_LEN: usize = 20;
const TCA_KIND: u16 = 1;

/// Multicast group of qdisc, class and filter events (linux/rtnetlink.h).
pub const RTNLGRP_TC: u32 = 4;

/// A qdisc of a network device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Qdisc {
    /// The device's interface index.
    pub ifindex: u32,
    /// `clsact`, `ingress`, `mq`, ...
    pub kind: String,
    /// Handle, `major << 16 | minor`.
    pub handle: u32,
    /// Where it hangs: another's handle, or `TC_H_ROOT`, `TC_H_CLSACT`.
    pub parent: u32,
}

impl Qdisc {
    /// Do rules on ingress hang on it (`clsact`, `ingress`)?
    #[must_use]
    pub fn holds_rules(&self) -> bool {
        matches!(self.kind.as_str(), "clsact" | "ingress")
    }

    /// Reads the payload of an `RTM_NEWQDISC` or `RTM_DELQDISC` message.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let word = |at: usize| payload.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let (Some(ifindex), Some(handle), Some(parent), Some(attrs)) =
            (word(4), word(8), word(12), payload.get(TCMSG_LEN..))
        else {
            return Err(Error::Malformed { what: "qdisc message", detail: format!("only {} bytes", payload.len()) });
        };
        let kind = match Attrs::new(attrs).find(TCA_KIND)? {
            Some(kind) => kind.str()?.to_owned(),
            None => return Err(Error::Malformed { what: "qdisc message", detail: "no kind".to_owned() }),
        };
        Ok(Qdisc { ifindex, kind, handle, parent })
    }
}

/// A qdisc that came, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QdiscChange {
    /// New, or changed.
    Present(Qdisc),
    /// Gone.
    Gone(Qdisc),
}

/// Reads an event of group [`RTNLGRP_TC`]; `None` when it is about something else (filters, classes).
///
/// # Errors
/// [`Error::Malformed`].
pub fn parse_qdisc_notice(msg: &Message) -> Result<Option<QdiscChange>> {
    Ok(match msg.kind {
        RTM_NEWQDISC => Some(QdiscChange::Present(Qdisc::parse(&msg.payload)?)),
        RTM_DELQDISC => Some(QdiscChange::Gone(Qdisc::parse(&msg.payload)?)),
        _ => None,
    })
}

/// All qdiscs of all network devices (`tc qdisc show`), on a `NETLINK_ROUTE` connection.
///
/// # Errors
/// As [`Connection::dump`].
pub fn qdiscs(conn: &mut Connection) -> Result<Vec<Qdisc>> {
    let messages = conn.dump("list qdiscs", RTM_GETQDISC, &[0; TCMSG_LEN])?;
    messages.iter().filter(|m| m.kind == RTM_NEWQDISC).map(|m| Qdisc::parse(&m.payload)).collect()
}
