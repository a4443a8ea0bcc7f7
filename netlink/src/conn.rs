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
    /// A connection that waits up to five seconds for each answer. Drivers that reset a device in a request (an eswitch mode change)
    /// can take longer: see [`Connection::set_timeout`].
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
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Error::Overrun { what: what.to_owned() }),
                    _ => replies.push(msg),
                }
            }
        }
    }

    /// Dumps all objects of a kind. A dump that the kernel marks as interrupted, or that lost messages, is started again.
    ///
    /// # Errors
    /// [`Error::DumpInterrupted`] when that does not end; else as [`Connection::request`].
    pub fn dump(&mut self, what: &str, kind: u16, payload: &[u8]) -> Result<Vec<Message>> {
        for _ in 0..DUMP_TRIES {
            match self.dump_once(what, kind, payload) {
                Ok(Dump::Complete(messages)) => return Ok(messages),
                Ok(Dump::Interrupted) | Err(Error::Overrun { .. }) => {}
                Err(e) if e.errno() == Some(Errno::INTR.raw_os_error()) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::DumpInterrupted { what: what.to_owned(), tries: DUMP_TRIES })
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
        // 0 is the sequence number of events.
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        let msg = Message { kind, flags, seq: self.seq, payload: payload.to_vec() };
        self.transport.send(&msg.to_bytes()).map_err(|source| Error::Io { op: "send", source })?;
        Ok(self.seq)
    }

    /// The messages of the next datagram that answer `seq`. Late answers to earlier requests are passed over.
    fn receive(&mut self, what: &str, seq: u32, deadline: Instant) -> Result<Vec<Message>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timed_out = || Error::Timeout { what: what.to_owned(), after: self.timeout };
        if left.is_zero() {
            return Err(timed_out());
        }
        let datagram = match self.transport.recv(left) {
            Ok(Some(datagram)) => datagram,
            Ok(None) => return Err(timed_out()),
            Err(e) if e.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                return Err(Error::Overrun { what: what.to_owned() });
            }
            Err(source) => return Err(Error::Io { op: "recv", source }),
        };
        let mut messages = Vec::new();
        for msg in split(&datagram) {
            let msg = msg?;
            if msg.seq == seq {
                messages.push(msg);
            }
        }
        Ok(messages)
    }
}
