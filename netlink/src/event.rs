//! Multicast events, and the signal that some were lost.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::{
    error::{Error, Result},
    message::{Message, split},
    transport::Transport,
};

/// What an event socket delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event.
    Message(Message),
    /// Events were lost (overrun) or could not be read: what is known is stale until a fresh dump.
    Resync {
        /// Why.
        reason: String,
    },
}

/// A socket that only listens.
pub struct EventStream {
    transport: Box<dyn Transport>,
    queue: VecDeque<Notice>,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("queued", &self.queue.len()).finish_non_exhaustive()
    }
}

impl EventStream {
    /// Bytes of events that may wait in the kernel: some thousand events of network devices.
    pub const RECEIVE_BUFFER: u32 = 4 << 20;

    /// Joins `groups` on a transport of its own. Asks for a receive buffer of [`EventStream::RECEIVE_BUFFER`]; a smaller one only
    /// means that overruns come earlier.
    ///
    /// # Errors
    /// [`Error::Io`] when a group cannot be joined.
    pub fn new(mut transport: Box<dyn Transport>, groups: &[u32]) -> Result<Self> {
        let _wish = transport.set_receive_buffer(Self::RECEIVE_BUFFER);
        Self::with_buffer_as_it_is(transport, groups)
    }

    /// As [`EventStream::new`], with the receive buffer that the transport has.
    ///
    /// # Errors
    /// [`Error::Io`] when a group cannot be joined.
    pub fn with_buffer_as_it_is(mut transport: Box<dyn Transport>, groups: &[u32]) -> Result<Self> {
        for &group in groups {
            transport.join(group).map_err(|source| Error::Io { op: "join multicast group", source })?;
        }
        Ok(EventStream { transport, queue: VecDeque::new() })
    }

    /// The next event, or `None` when none came within `timeout`.
    ///
    /// # Errors
    /// [`Error::Io`] when the socket fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Notice>> {
        if let Some(notice) = self.queue.pop_front() {
            return Ok(Some(notice));
        }
        let datagram = match self.transport.recv(timeout) {
            Ok(Some(datagram)) => datagram,
            Ok(None) => return Ok(None),
            Err(e) if e.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                return Ok(Some(Notice::Resync { reason: "the event socket overran".into() }));
            }
            Err(source) => return Err(Error::Io { op: "recv", source }),
        };
        self.queue.extend(split(&datagram).map(|msg| match msg {
            Ok(msg) => Notice::Message(msg),
            Err(e) => Notice::Resync { reason: e.to_string() },
        }));
        Ok(self.queue.pop_front())
    }

    /// Reads and forgets everything that waits, before a fresh dump: what came before the dump is in the dump. Stops after a
    /// tenth of a second when events keep coming.
    ///
    /// # Errors
    /// [`Error::Io`] when the socket fails.
    pub fn drain(&mut self) -> Result<()> {
        self.queue.clear();
        let deadline = Instant::now() + Duration::from_millis(100);
        while Instant::now() < deadline {
            match self.transport.recv(Duration::ZERO) {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(e) if e.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {}
                Err(source) => return Err(Error::Io { op: "recv", source }),
            }
        }
        Ok(())
    }
}
