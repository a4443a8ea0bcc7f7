//! Events of the group `config`.

use std::time::Duration;

use netlink::{Error, EventStream, Family, GenlReply, Listener, Message, Notice, RawAttr, Result, Transport};

use crate::{
    device::DeviceId,
    health::HealthReporter,
    param::Param,
    port::Port,
    rate::{Rate, RateId},
    region::Region,
    request::keep,
    uapi,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevlinkEvent {
    /// A device came or changed.
    Device(DeviceId),
    /// A device went.
    DeviceGone(DeviceId),
    /// A port came or changed (a renamed network device included).
    Port(Box<Port>),
    /// A port went. Only its id is certain.
    PortGone(Box<Port>),
    /// A rate object came or changed.
    Rate(Box<Rate>),
    /// A rate object went.
    RateGone(RateId),
    /// A parameter came or changed.
    Param(Box<Param>),
    /// A parameter went.
    ParamGone(Box<Param>),
    /// A region came or changed.
    Region(Box<Region>),
    /// A region, or a snapshot of it, went.
    RegionGone(Box<Region>),
    /// A health reporter reported an error, or recovered.
    Health(Box<HealthReporter>),
    /// Something else about devlink.
    Other {
        /// `DEVLINK_CMD_*`.
        cmd: u8,
        /// All attributes, as they came.
        attrs: Vec<RawAttr>,
    },
    /// Events were lost: read everything again.
    Resync {
        /// Why.
        reason: String,
    },
}

impl DevlinkEvent {
    /// Reads a message of `family`'s multicast group.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(family: &Family, msg: &Message) -> Result<DevlinkEvent> {
        let reply = GenlReply::parse(family.id, msg)?;
        let attrs = reply.attrs();
        Ok(match reply.cmd {
            uapi::CMD_NEW => DevlinkEvent::Device(DeviceId::parse(&attrs)?),
            uapi::CMD_DEL => DevlinkEvent::DeviceGone(DeviceId::parse(&attrs)?),
            uapi::CMD_PORT_NEW => DevlinkEvent::Port(Box::new(Port::parse(&attrs)?)),
            uapi::CMD_PORT_DEL => DevlinkEvent::PortGone(Box::new(Port::parse(&attrs)?)),
            uapi::CMD_RATE_NEW => DevlinkEvent::Rate(Box::new(Rate::parse(&attrs)?)),
            uapi::CMD_RATE_DEL => DevlinkEvent::RateGone(Rate::parse(&attrs)?.id),
            uapi::CMD_PARAM_NEW => DevlinkEvent::Param(Box::new(Param::parse(&attrs)?)),
            uapi::CMD_PARAM_DEL => DevlinkEvent::ParamGone(Box::new(Param::parse(&attrs)?)),
            uapi::CMD_REGION_NEW => DevlinkEvent::Region(Box::new(Region::parse(&attrs)?)),
            uapi::CMD_REGION_DEL => DevlinkEvent::RegionGone(Box::new(Region::parse(&attrs)?)),
            uapi::CMD_HEALTH_REPORTER_RECOVER => DevlinkEvent::Health(Box::new(HealthReporter::parse(&attrs)?)),
            cmd => {
                let mut kept = Vec::new();
                for attr in attrs {
                    keep(&mut kept, &attr?);
                }
                DevlinkEvent::Other { cmd, attrs: kept }
            }
        })
    }
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
    pub fn open(client: &crate::Devlink, transport: Box<dyn Transport>) -> Result<Self> {
        Self::of_family(client.family(), transport)
    }

    /// As [`DevlinkEvents::open`], for the family that either client knows.
    ///
    /// # Errors
    /// [`netlink::Error::NoGroup`], [`netlink::Error::Io`].
    pub fn of_family(family: &Family, transport: Box<dyn Transport>) -> Result<Self> {
        let group = family.group(uapi::MCGRP_CONFIG_NAME)?;
        Ok(DevlinkEvents { stream: EventStream::new(transport, &[group])?, family: family.clone() })
    }

    /// The next event, or `None` when none came within `timeout`. An event that cannot be read is a [`DevlinkEvent::Resync`].
    ///
    /// # Errors
    /// [`netlink::Error::Io`] when the socket fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<DevlinkEvent>> {
        Ok(self.stream.next(timeout)?.map(|notice| match notice {
            Notice::Resync { reason } => DevlinkEvent::Resync { reason },
            Notice::Message(msg) => DevlinkEvent::parse(&self.family, &msg)
                .unwrap_or_else(|e| DevlinkEvent::Resync { reason: e.to_string() }),
        }))
    }

    /// Forgets what waits, before everything is read again.
    ///
    /// # Errors
    /// [`netlink::Error::Io`] when the socket fails.
    pub fn drain(&mut self) -> Result<()> {
        self.stream.drain()
    }

    /// Hands the events on to async code, from a thread of its own.
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be started.
    pub fn into_listener(mut self) -> Result<Listener<DevlinkEvent>> {
        Listener::spawn("devlink-events", move |wait| self.next(wait))
            .map_err(|source| Error::Io { op: "start of a thread", source })
    }
}
