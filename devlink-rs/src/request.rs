//! A request as data: what is sent, and how its answer is read. No input or output happens here.

use std::{fmt, time::Duration};

use netlink::{AttrBuf, Attrs, Error, Family, GenlReply, RawAttr, Result};

use crate::uapi;

pub use crate::{
    device::{device, devices, reload},
    eswitch::{eswitch, set_eswitch},
    health::{
        clear_reporter_dump, diagnose_reporter, health_reporters, recover_reporter, reporter_dump, set_reporter,
        test_reporter,
    },
    info::{info, infos},
    param::{param, params, set_param},
    port::{add_port, delete_port, port, ports, set_function},
    rate::{add_rate_node, delete_rate_node, rate, rates, set_rate},
    region::regions,
    resource::{resources, set_resource},
    trap::{trap_groups, trap_policers, traps},
};

type Read<T> = Box<dyn FnOnce(Result<Vec<GenlReply>>) -> Result<T> + Send>;

/// A devlink request whose answer is a `T`. Made by the functions of this module, carried out by [`crate::Devlink::call`] or
/// [`crate::AsyncDevlink::call`].
///
/// ```
/// use devlink_rs::{DeviceId, EswitchMode, request};
/// use netlink::{AttrBuf, GenlReply};
///
/// let device = DeviceId::new("pci", "0000:03:00.0");
/// let request = request::eswitch(&device);
/// assert_eq!(request.what(), "devlink dev eswitch show pci/0000:03:00.0");
/// // An answer, as a kernel gives it.
/// let mut attrs = AttrBuf::new();
/// attrs.put_str(1, "pci").put_str(2, "0000:03:00.0").put_u16(25, 1);
/// let eswitch = request.read(Ok(vec![GenlReply { cmd: 29, attrs: attrs.into_bytes() }])).unwrap().unwrap();
/// assert_eq!(eswitch.mode, EswitchMode::Switchdev);
/// ```
pub struct Request<T> {
    what: String,
    cmd: u8,
    dump: bool,
    attrs: AttrBuf,
    timeout: Duration,
    read: Read<T>,
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("what", &self.what).field("cmd", &self.cmd).finish_non_exhaustive()
    }
}

impl<T: 'static> Request<T> {
    /// How long an answer is waited for, after the kernel has taken the request.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// The same where drivers tear a device down and build it again.
    pub const LONG_TIMEOUT: Duration = Duration::from_secs(60);

    fn new(what: String, cmd: u8, dump: bool, attrs: AttrBuf, read: Read<T>) -> Self {
        Request { what, cmd, dump, attrs, timeout: Self::TIMEOUT, read }
    }

    /// A request with all its answers.
    pub(crate) fn get<F>(what: String, cmd: u8, attrs: AttrBuf, read: F) -> Self
    where
        F: FnOnce(Vec<GenlReply>) -> Result<T> + Send + 'static,
    {
        Self::new(what, cmd, false, attrs, Box::new(move |replies| read(replies?)))
    }

    /// A request with one answer.
    pub(crate) fn get_one<F>(what: String, cmd: u8, attrs: AttrBuf, read: F) -> Self
    where
        F: FnOnce(&Attrs<'_>) -> Result<T> + Send + 'static,
    {
        let named = what.clone();
        Self::get(what, cmd, attrs, move |replies| match replies.first() {
            Some(reply) => read(&reply.attrs()),
            None => Err(malformed(format!("{named}: acknowledged without an answer"))),
        })
    }

    /// Waits as long as drivers that rebuild a device need.
    pub(crate) fn long(mut self) -> Self {
        self.timeout = Self::LONG_TIMEOUT;
        self
    }

    /// Sends it as a dump, although the parts of the answer make one object.
    pub(crate) fn dumped(mut self) -> Self {
        self.dump = true;
        self
    }

    /// `None` where the kernel says that the driver has no such thing (`EOPNOTSUPP`).
    pub(crate) fn optional(self) -> Request<Option<T>> {
        let read: Read<Option<T>> = Box::new(|replies| match (self.read)(replies) {
            Err(e) if e.is_unsupported() => Ok(None),
            other => other.map(Some),
        });
        Request { what: self.what, cmd: self.cmd, dump: self.dump, attrs: self.attrs, timeout: self.timeout, read }
    }

    /// The request in the words of iproute2's `devlink`; errors carry it.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// `DEVLINK_CMD_*`.
    #[must_use]
    pub fn cmd(&self) -> u8 {
        self.cmd
    }

    /// Is it a dump?
    #[must_use]
    pub fn is_dump(&self) -> bool {
        self.dump
    }

    /// How long an answer is waited for.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits so long for an answer instead.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The attributes.
    #[must_use]
    pub fn attrs(&self) -> &AttrBuf {
        &self.attrs
    }

    /// What follows the netlink header: `struct genlmsghdr` and the attributes.
    #[must_use]
    pub fn payload(&self, family: &Family) -> Vec<u8> {
        [&[self.cmd, family.version, 0, 0], self.attrs.as_bytes()].concat()
    }

    /// Reads the kernel's answers, or its refusal.
    ///
    /// # Errors
    /// The refusal; [`Error::Malformed`] when the answers are not what the kernel's headers say.
    pub fn read(self, replies: Result<Vec<GenlReply>>) -> Result<T> {
        (self.read)(replies)
    }
}

impl<T: 'static> Request<Vec<T>> {
    /// A dump, with `read` for each object. What command the kernel puts into the answers has changed between versions (port dumps
    /// say `DEVLINK_CMD_NEW`): the attributes decide.
    pub(crate) fn dump(what: &str, cmd: u8, read: fn(&Attrs<'_>) -> Result<T>) -> Self {
        let read_all = move |replies: Result<Vec<GenlReply>>| replies?.iter().map(|r| read(&r.attrs())).collect();
        Self::new(what.to_owned(), cmd, true, AttrBuf::new(), Box::new(read_all))
    }
}

impl Request<()> {
    /// A request that is only acknowledged.
    pub(crate) fn act(what: String, cmd: u8, attrs: AttrBuf) -> Self {
        Self::new(what, cmd, false, attrs, Box::new(|replies| replies.map(drop)))
    }
}

pub(crate) fn malformed(detail: String) -> Error {
    Error::Malformed { what: "devlink message", detail }
}

/// Refuses an answer about another object than was asked about.
pub(crate) fn same<I: PartialEq + fmt::Display>(asked: &I, got: &I) -> Result<()> {
    if asked == got { Ok(()) } else { Err(malformed(format!("asked about {asked}, told about {got}"))) }
}

/// The value of an attribute that must be there.
pub(crate) fn need<T>(value: Option<T>, of: &dyn fmt::Display, name: &str) -> Result<T> {
    value.ok_or_else(|| malformed(format!("{of} has no {name}")))
}

/// Keeps an attribute that we have no name for. Padding is not kept.
pub(crate) fn keep(other: &mut Vec<RawAttr>, attr: &netlink::Attr<'_>) {
    if attr.kind != uapi::ATTR_PAD {
        other.push(attr.to_raw());
    }
}
