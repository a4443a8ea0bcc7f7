//! A fake kernel that speaks netlink byte by byte, for tests (feature `fake`).
//!
//! It is the part of the kernel that every protocol shares (`net/netlink/af_netlink.c`, `net/netlink/genetlink.c`):
//! requests in datagrams, one or many; acknowledgements with extended text; dumps in parts that go on only as they
//! are read, one at a time on a socket (`EBUSY`); receive buffers that fill up (`ENOBUFS`, events lost until the
//! queue is read empty); multicast groups; families that are resolved by name. What the objects are is up to a
//! [`Service`]. It frames and parses with code of its own ([`wire`]), so that a mistake in the clients' codecs is not
//! mirrored here.
//!
//! ```
//! use netlink::{AttrBuf, Connection, GenlConnection, Protocol};
//! use netlink::fake::{Answer, FakeNetlink, FakeRequest, Refusal};
//!
//! let kernel = FakeNetlink::new();
//! kernel.add_family("echo", 1, &["news"], |request: &FakeRequest<'_>| -> Answer {
//!     match request.genl_cmd() {
//!         Some(1) => Ok(vec![request.reply(request.payload.to_vec())]),
//!         _ => Err(Refusal::new(95).text("echo only")),
//!     }
//! });
//! let mut echo = GenlConnection::resolve(Connection::new(kernel.open(Protocol::Generic)), "echo").unwrap();
//! let mut attrs = AttrBuf::new();
//! attrs.put_u32(7, 42);
//! assert_eq!(echo.request("say 42", 1, &attrs).unwrap()[0].attrs, attrs.into_bytes());
//! let refused = echo.request("sing", 2, &AttrBuf::new()).unwrap_err();
//! assert!(refused.to_string().contains("echo only"));
//! ```

mod ctrl;
mod socket;
pub mod wire;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::transport::{Protocol, Transport};
use ctrl::FamilyEntry;
use socket::{FakeSocket, Queue};
pub use wire::FakeRequest;

/// A kernel's refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Positive errno.
    pub errno: i32,
    /// Text of the extended acknowledgement.
    pub text: Option<String>,
    /// Offset of the attribute at fault in the request, bytes.
    pub offset: Option<u32>,
}

impl Refusal {
    /// Without words.
    #[must_use]
    pub fn new(errno: i32) -> Self {
        Refusal { errno, text: None, offset: None }
    }

    /// With the driver's words.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// With the offset of the attribute at fault.
    #[must_use]
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = Some(offset);
        self
    }
}

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeReply {
    /// `nlmsg_type`.
    pub kind: u16,
    /// What follows the header (of generic netlink: `struct genlmsghdr` and attributes).
    pub payload: Vec<u8>,
}

/// What a service answers: the objects, or a refusal.
pub type Answer = Result<Vec<FakeReply>, Refusal>;

/// What stands behind a family or protocol: carries out one request.
pub trait Service: Send {
    /// Carries out `request`; for a dump, returns all objects.
    fn handle(&mut self, request: &FakeRequest<'_>) -> Answer;
}

impl<F: FnMut(&FakeRequest<'_>) -> Answer + Send> Service for F {
    fn handle(&mut self, request: &FakeRequest<'_>) -> Answer {
        self(request)
    }
}

/// Something that goes wrong with the next request (one fault a request, in the order of [`FakeNetlink::inject`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: lets one request pass.
    None,
    /// It is refused without being carried out.
    Refuse(Refusal),
    /// It is carried out; its answer never comes.
    LoseAnswer,
    /// It is carried out; its answer is lost and the socket reports `ENOBUFS`.
    Overrun,
    /// The answer's messages carry `NLM_F_DUMP_INTR`.
    Interrupt,
    /// The first datagram of the answer is cut to so many bytes.
    Cut(usize),
    /// A byte of the answer's first datagram is changed: at this offset (modulo its length), XOR this value.
    Flip(usize, u8),
    /// The answer is preceded by a late one to another request.
    Stale,
}

/// The fake kernel. Clones are handles on the same one.
#[derive(Clone, Default)]
pub struct FakeNetlink {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Events of services, to be sent when their request is carried out.
    pending: Mutex<Vec<(Protocol, u32, Vec<u8>)>>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    sockets: BTreeMap<u64, Queue>,
    next_socket: u64,
    families: Vec<FamilyEntry>,
    next_group: u32,
    route: Option<Box<dyn Service>>,
    faults: VecDeque<Fault>,
    received: Vec<Vec<u8>>,
}

impl fmt::Debug for FakeNetlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("FakeNetlink").field("sockets", &state.sockets.len()).finish_non_exhaustive()
    }
}

impl FakeNetlink {
    /// A kernel with the controller family only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a generic netlink family with its multicast groups; returns its id.
    pub fn add_family(&self, name: &str, version: u8, groups: &[&str], service: impl Service + 'static) -> u16 {
        let mut state = self.state();
        // Ids and groups differ from boot to boot in a real kernel.
        let id = 0x1b + u16::try_from(state.families.len()).unwrap_or(0);
        let groups = groups
            .iter()
            .map(|group| {
                state.next_group += 1;
                ((*group).to_owned(), 5 + state.next_group)
            })
            .collect();
        state.families.push(FamilyEntry { name: name.to_owned(), id, version, groups, service: Box::new(service) });
        id
    }

    /// Sets what answers on `NETLINK_ROUTE`.
    pub fn set_route(&self, service: impl Service + 'static) {
        self.state().route = Some(Box::new(service));
    }

    /// Opens a socket with a receive buffer of 208 KiB (the usual default).
    #[must_use]
    pub fn open(&self, protocol: Protocol) -> Box<dyn Transport> {
        let mut state = self.state();
        state.next_socket += 1;
        let id = state.next_socket;
        state.sockets.insert(id, Queue::new(protocol));
        Box::new(FakeSocket::new(self.clone(), id))
    }

    /// Adds a fault to come.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// The datagrams that were sent to the kernel so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.state().received.clone()
    }

    /// Number of the multicast group `group` of a family.
    #[must_use]
    pub fn group(&self, family: &str, group: &str) -> Option<u32> {
        let state = self.state();
        let family = state.families.iter().find(|f| f.name == family)?;
        family.groups.iter().find_map(|(name, id)| (name == group).then_some(*id))
    }

    /// Sends an event to the sockets that joined `group`. Where the receive buffer is full it is lost, and the socket reports
    /// `ENOBUFS` at its next read.
    pub fn multicast(&self, protocol: Protocol, group: u32, kind: u16, payload: &[u8]) {
        self.queue_event(protocol, group, kind, payload);
        self.state().deliver(self.take_pending());
        self.shared.arrived.notify_all();
    }

    /// For a [`Service`] that is carrying out a request: an event that is sent before the answer.
    pub fn queue_event(&self, protocol: Protocol, group: u32, kind: u16, payload: &[u8]) {
        let event = (protocol, group, wire::message(kind, 0, 0, payload));
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn take_pending(&self) -> Vec<(Protocol, u32, Vec<u8>)> {
        std::mem::take(&mut *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while holding the lock has failed already.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
