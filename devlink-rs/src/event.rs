//! Events of the group `config`.

use std::time::Duration;

use netlink::{EventStream, Family, GenlReply, Message, Notice, Result, Transport};

use crate::{
    client::Devlink,
    types::{DeviceId, Port},
    uapi,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevlinkEvent {
    /// A device came or changed.
    Device(DeviceId),
    /// A device went.
    DeviceGone(DeviceId),
    /// A port came or changed.
    Port(Box<Port>),
    /// A port went. Only its id is certain.
    PortGone(Box<Port>),
    /// Something else about devlink.
    Other {
        /// `DEVLINK_CMD_*`.
        cmd: u8,
    },
    /// Events were lost: read everything again.
    Resync {
        /// Why.
        reason: String,
    },
}

/// A socket that listens to devlink events.
#[derive(Debug)]
pub struct DevlinkEvents {
    stream: EventStream,
    family: Family,
}

impl DevlinkEvents {
    /// Listens on a `NETLINK_GENERIC` transport of its own; `client` knows the family.
    ///
    /// # Errors
    /// [`netlink::Error::NoGroup`], [`netlink::Error::Io`].
    pub fn open(client: &Devlink, transport: Box<dyn Transport>) -> Result<Self> {
        let family = client.family().clone();
        let group = family.group(uapi::MCGRP_CONFIG_NAME)?;
        Ok(DevlinkEvents { stream: EventStream::new(transport, &[group])?, family })
    }

    /// The next event, or `None` when none came within `timeout`. An event that cannot be read is a [`DevlinkEvent::Resync`].
    ///
    /// # Errors
    /// [`netlink::Error::Io`] when the socket fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<DevlinkEvent>> {
        Ok(self.stream.next(timeout)?.map(|notice| match notice {
            Notice::Resync { reason } => DevlinkEvent::Resync { reason },
            Notice::Message(msg) => {
                parse(self.family.id, &msg).unwrap_or_else(|e| DevlinkEvent::Resync { reason: e.to_string() })
            }
        }))
    }
}

fn parse(family: u16, msg: &Message) -> Result<DevlinkEvent> {
    let reply = GenlReply::parse(family, msg)?;
    Ok(match reply.cmd {
        uapi::CMD_NEW => DevlinkEvent::Device(DeviceId::parse(reply.attrs())?),
        uapi::CMD_DEL => DevlinkEvent::DeviceGone(DeviceId::parse(reply.attrs())?),
        uapi::CMD_PORT_NEW => DevlinkEvent::Port(Box::new(Port::parse(&reply.attrs())?)),
        uapi::CMD_PORT_DEL => DevlinkEvent::PortGone(Box::new(Port::parse(&reply.attrs())?)),
        cmd => DevlinkEvent::Other { cmd },
    })
}
