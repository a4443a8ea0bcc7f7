//! Hearing of changes: names, links, ports that come and go.

use std::{
    fmt,
    time::{Duration, Instant},
};

use devlink_rs::{DevlinkEvent, DevlinkEvents};
use netlink::{
    Error, EventStream, LinkChange, Message, Notice, Protocol, QdiscChange, RTNLGRP_LINK, RTNLGRP_TC,
    parse_link_notice, parse_qdisc_notice,
};

use crate::kernel::Kernel;

/// Longest wait that makes sense: an instant far beyond does not exist.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A network device: came, was renamed, went up or down, went.
    Link(Box<LinkChange>),
    /// A qdisc came or went.
    Qdisc(QdiscChange),
    /// A devlink device or port.
    Devlink(DevlinkEvent),
    /// Events were lost: only a fresh [`Kernel::inventory`] tells the truth.
    Resync {
        /// Why.
        reason: String,
    },
}

/// Listens to the kernel. Events are hints to read again, not a log: some get lost, and then [`Change::Resync`] comes.
pub struct Watch {
    links: EventStream,
    devlink: Option<DevlinkEvents>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// How long one socket is waited for while the other may have something.
    const SLICE: Duration = Duration::from_millis(20);

    /// Listens on sockets of its own.
    ///
    /// # Errors
    /// [`Error`] when they cannot be opened.
    pub fn open(kernel: &mut Kernel) -> Result<Self, Error> {
        let open = |kernel: &Kernel, p| kernel.access().open(p).map_err(|source| Error::Io { op: "open", source });
        let links = EventStream::new(open(kernel, Protocol::Route)?, &[RTNLGRP_LINK, RTNLGRP_TC])?;
        let transport = open(kernel, Protocol::Generic)?;
        let devlink = match kernel.devlink()? {
            Some(client) => Some(DevlinkEvents::open(client, transport)?),
            None => None,
        };
        Ok(Watch { links, devlink })
    }

    /// The next change, or `None` when none came within `timeout`.
    ///
    /// # Errors
    /// [`Error::Io`] when a socket fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Change>, Error> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        loop {
            let slice = deadline.saturating_duration_since(Instant::now()).min(Self::SLICE);
            if let Some(event) = self.devlink.as_mut().map(|d| d.next(Duration::ZERO)).transpose()?.flatten() {
                return Ok(Some(match event {
                    DevlinkEvent::Resync { reason } => Change::Resync { reason },
                    event => Change::Devlink(event),
                }));
            }
            match self.links.next(slice)? {
                Some(Notice::Resync { reason }) => return Ok(Some(Change::Resync { reason })),
                Some(Notice::Message(msg)) => match parse(&msg) {
                    Ok(Some(change)) => return Ok(Some(change)),
                    Ok(None) => {}
                    Err(e) => return Ok(Some(Change::Resync { reason: e.to_string() })),
                },
                None => {}
            }
            // Also when events keep coming that are of no interest: an offload engine adds thousands of filters a second.
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }
}

/// `None`: of no interest here (filters and classes share their group with qdiscs).
fn parse(msg: &Message) -> Result<Option<Change>, Error> {
    if let Some(change) = parse_link_notice(msg)? {
        return Ok(Some(Change::Link(Box::new(change))));
    }
    Ok(parse_qdisc_notice(msg)?.map(Change::Qdisc))
}

#[cfg(test)]
mod tests {
    use std::io;

    use netlink::Transport;

    use super::*;

    /// `RTM_NEWTFILTER` without end.
    struct Filters;

    impl Transport for Filters {
        fn send(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
            let words = [16u32, 44, 0, 0];
            Ok(Some(words.iter().flat_map(|w| w.to_ne_bytes()).collect()))
        }

        fn join(&mut self, _: u32) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_filters_ends_at_the_timeout() -> Result<(), Error> {
        let links = EventStream::new(Box::new(Filters), &[RTNLGRP_TC])?;
        let mut watch = Watch { links, devlink: None };
        let begin = Instant::now();
        assert_eq!(watch.next(Duration::from_millis(30))?, None);
        assert!(begin.elapsed() >= Duration::from_millis(30));
        Ok(())
    }
}
