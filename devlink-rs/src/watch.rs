//! The ports of the host, kept true by events and, where those are lost, by reading again.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use netlink::{Delta, Error, Listener, Replica, Result, Transport};

use crate::{
    client::Devlink,
    event::{DevlinkEvent, DevlinkEvents},
    port::{Port, PortId},
};

/// A change of the host's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChange {
    /// A port came, changed or went.
    Port(Box<Delta<Port>>),
    /// Events were lost. All ports were read again; the differences follow as [`PortChange::Port`].
    Resynced {
        /// Why.
        reason: String,
    },
}

/// A copy of the host's devlink ports that follows the kernel. It begins by reading them, so the first changes are the ports
/// that there are.
#[derive(Debug)]
pub struct PortWatch {
    client: Devlink,
    events: DevlinkEvents,
    replica: Replica<PortId, Port>,
    ready: VecDeque<PortChange>,
    /// The ports have to be read (again).
    stale: bool,
}

impl PortWatch {
    /// Watches over two `NETLINK_GENERIC` transports, one for requests and one for events.
    ///
    /// # Errors
    /// As [`Devlink::open`] and [`DevlinkEvents::open`].
    pub fn open(requests: Box<dyn Transport>, events: Box<dyn Transport>) -> Result<Self> {
        let client = Devlink::open(requests)?;
        // Listening begins before reading: nothing is missed in between.
        let events = DevlinkEvents::open(&client, events)?;
        Ok(PortWatch { client, events, replica: Replica::new(), ready: VecDeque::new(), stale: true })
    }

    /// The ports as they are known now.
    #[must_use]
    pub fn ports(&self) -> &BTreeMap<PortId, Port> {
        self.replica.known()
    }

    /// The next change, or `None` when none came within `timeout`.
    ///
    /// # Errors
    /// As [`Devlink::ports`], when the ports cannot be read; the next call tries again. [`Error::Io`] when the socket fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<PortChange>> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.stale {
                self.events.drain()?;
                let ports = self.client.ports()?;
                self.stale = false;
                let deltas = self.replica.replace(ports.into_iter().map(|p| (p.id.clone(), p)));
                self.ready.extend(deltas.into_iter().map(|d| PortChange::Port(Box::new(d))));
            }
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            let delta = match self.events.next(deadline.saturating_duration_since(Instant::now()))? {
                None => return Ok(None),
                Some(DevlinkEvent::Resync { reason }) => {
                    self.stale = true;
                    return Ok(Some(PortChange::Resynced { reason }));
                }
                Some(DevlinkEvent::Port(port)) => self.replica.set(port.id.clone(), *port),
                Some(DevlinkEvent::PortGone(port)) => self.replica.remove(&port.id),
                Some(_) => None,
            };
            if let Some(delta) = delta {
                return Ok(Some(PortChange::Port(Box::new(delta))));
            }
        }
    }

    /// Hands the changes on to async code, from a thread of its own. It ends at the first error.
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be started.
    pub fn into_listener(mut self) -> Result<Listener<PortChange>> {
        Listener::spawn("devlink-ports", move |wait| self.next(wait))
            .map_err(|source| Error::Io { op: "start of a thread", source })
    }
}
