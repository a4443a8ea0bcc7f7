//! Requests, acknowledgements and dumps over one transport.

use std::{
    fmt,
    time::{Duration, Instant},
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
};
use rustix::io::Errno;

use crate::{
    error::{Error, Result},
    message::{Message, parse_done, parse_error, split},
    transport::Transport,
};

const DUMP_TRIES: u32 = 8;
/// How long an earlier dump that was given up is waited for, between two of its datagrams.
const LEFTOVER_WAIT: Duration = Duration::from_millis(50);

/// A request socket: one request at a time, each answered before the next is sent.
pub struct Connection {
    transport: Box<dyn Transport>,
    seq: u32,
    timeout: Duration,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("seq", &self.seq).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// How one attempt at a dump ended.
enum Dump {
    Complete(Vec<Message>),
    Interrupted,
}

impl Connection {
    /// A connection that waits up to five seconds for each answer. Drivers that reset a device in a request (an
    /// eswitch mode change) can take longer: see [`Connection::set_timeout`].
    #[must_use]
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Connection { transport, seq: 0, timeout: Duration::from_secs(5) }
    }

    /// How long to wait for a complete answer.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends a request and waits for its acknowledgement. Returns the messages that came before it.
    /// `what` names the request in errors; `flags` are added to `NLM_F_REQUEST | NLM_F_ACK`.
    ///
    /// # Errors
    /// [`Error::Kernel`] when refused; see [`Error::outcome_unknown`] for the others.
    pub fn request(&mut self, what: &str, kind: u16, flags: u16, payload: &[u8]) -> Result<Vec<Message>> {
        let seq = self.send(kind, flags | NLM_F_REQUEST | NLM_F_ACK, payload)?;
        let deadline = Instant::now() + self.timeout;
        let mut replies = Vec::new();
        loop {
            for msg in self.receive(what, seq, deadline)? {
                match msg.kind {
                    NLMSG_ERROR => {
                        return match parse_error(what, &msg)? {
                            None => Ok(replies),
                            Some(e) => Err(e.into()),
                        };
                    }
                    // Some requests that are no dumps (devlink resources, health) are answered in several parts with an end of
                    // their own; the acknowledgement comes after it.
                    NLMSG_DONE => {
                        if let Some(e) = parse_done(what, &msg) {
                            return Err(e.into());
                        }
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Error::Overrun { what: what.to_owned() }),
                    _ => replies.push(msg),
                }
            }
        }
    }

    /// Dumps all objects of a kind. A dump that the kernel marks as interrupted (`NLM_F_DUMP_INTR`, `EINTR`), or that
    /// lost messages, is started again: what the kernel had sent until then may describe a state that never was, so
    /// nothing of it is kept. An earlier dump on this socket that was given up half-way (`EBUSY`) is read to its end
    /// first.
    ///
    /// # Errors
    /// [`Error::DumpInterrupted`] when that does not end; else as [`Connection::request`].
    pub fn dump(&mut self, what: &str, kind: u16, payload: &[u8]) -> Result<Vec<Message>> {
        let mut busy = None;
        for n in 0..DUMP_TRIES {
            if n > 0 {
                // Let what interrupts (functions that come up one after the other) get ahead: 1, 2, 4 .. 64 ms.
                std::thread::sleep(Duration::from_millis(1 << (n - 1)).min(self.timeout));
            }
            match self.dump_once(what, kind, payload) {
                Ok(Dump::Complete(messages)) => return Ok(messages),
                Ok(Dump::Interrupted) | Err(Error::Overrun { .. }) => {}
                Err(e) if e.errno() == Some(Errno::INTR.raw_os_error()) => {}
                Err(e) if e.errno() == Some(Errno::BUSY.raw_os_error()) => {
                    self.read_leftovers();
                    busy = Some(e);
                    continue;
                }
                Err(e) => return Err(e),
            }
            busy = None;
        }
        Err(busy.unwrap_or_else(|| Error::DumpInterrupted { what: what.to_owned(), tries: DUMP_TRIES }))
    }

    /// Reads and forgets what is left of a dump that was given up: the kernel goes on with it only as it is read.
    fn read_leftovers(&mut self) {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline && !matches!(self.receive_all(LEFTOVER_WAIT), Ok(None) | Err(Error::Io { .. }))
        {
        }
    }

    fn dump_once(&mut self, what: &str, kind: u16, payload: &[u8]) -> Result<Dump> {
        let seq = self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, payload)?;
        let deadline = Instant::now() + self.timeout;
        let (mut messages, mut interrupted) = (Vec::new(), false);
        loop {
            for msg in self.receive(what, seq, deadline)? {
                interrupted |= msg.flags & NLM_F_DUMP_INTR != 0;
                match msg.kind {
                    NLMSG_ERROR => {
                        if let Some(e) = parse_error(what, &msg)? {
                            return Err(e.into());
                        }
                    }
                    NLMSG_DONE => {
                        return match parse_done(what, &msg) {
                            Some(e) => Err(e.into()),
                            None if interrupted => Ok(Dump::Interrupted),
                            None => Ok(Dump::Complete(messages)),
                        };
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Error::Overrun { what: what.to_owned() }),
                    _ => messages.push(msg),
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<u32> {
        let seq = self.reserve_seqs(1);
        let msg = Message { kind, flags, seq, payload: payload.to_vec() };
        self.transport.send(&msg.to_bytes()).map_err(|source| Error::Io { op: "send", source })?;
        Ok(seq)
    }

    /// Takes `count` sequence numbers in a row and returns the first. 0 is the sequence number of events.
    pub(crate) fn reserve_seqs(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let first = if self.seq.checked_add(count).is_some() { self.seq.saturating_add(1) } else { 1 };
        self.seq = first.saturating_add(count.saturating_sub(1));
        first
    }

    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        &mut *self.transport
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The messages of the next datagram that answer `seq`. Late answers to earlier requests are passed over.
    fn receive(&mut self, what: &str, seq: u32, deadline: Instant) -> Result<Vec<Message>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let after = self.timeout;
        let timed_out = || Error::Timeout { what: what.to_owned(), after };
        if left.is_zero() {
            return Err(timed_out());
        }
        let mut messages = match self.receive_all(left) {
            Ok(Some(messages)) => messages,
            Ok(None) => return Err(timed_out()),
            Err(Error::Overrun { .. }) => return Err(Error::Overrun { what: what.to_owned() }),
            Err(e) => return Err(e),
        };
        messages.retain(|m| m.seq == seq);
        Ok(messages)
    }

    /// All messages of the next datagram; `None` when none came within `wait`.
    pub(crate) fn receive_all(&mut self, wait: Duration) -> Result<Option<Vec<Message>>> {
        match self.transport.recv(wait) {
            Ok(Some(datagram)) => split(&datagram).collect::<Result<_>>().map(Some),
            Ok(None) => Ok(None),
            Err(e) if e.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                Err(Error::Overrun { what: "netlink socket".into() })
            }
            Err(source) => Err(Error::Io { op: "recv", source }),
        }
    }
}
