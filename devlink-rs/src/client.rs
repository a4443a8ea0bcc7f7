//! Requests.

use std::time::Duration;

use netlink::{AttrBuf, Connection, Error, Family, GenlConnection, GenlReply, Result, Transport};

use crate::{
    types::{DeviceId, Eswitch, EswitchChange, FunctionChange, Port, PortId},
    uapi,
};

/// A devlink client.
#[derive(Debug)]
pub struct Devlink {
    genl: GenlConnection,
}

impl Devlink {
    /// Deadline of an eswitch mode change: drivers tear the device down and build it again inside the call, VF by VF.
    pub const MODE_CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A client on a `NETLINK_GENERIC` transport.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the kernel has no devlink; else as [`Connection::request`].
    pub fn open(transport: Box<dyn Transport>) -> Result<Self> {
        Ok(Devlink { genl: GenlConnection::resolve(Connection::new(transport), uapi::GENL_NAME)? })
    }

    pub(crate) fn family(&self) -> &Family {
        self.genl.family()
    }

    /// All devices (`devlink dev show`).
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn devices(&mut self) -> Result<Vec<DeviceId>> {
        let replies = self.genl.dump("list devlink devices", uapi::CMD_GET, &AttrBuf::new())?;
        // Kernels answer with CMD_NEW; which command they put there has changed before, so the attributes decide.
        replies.iter().map(|r| DeviceId::parse(r.attrs())).collect()
    }

    /// The eswitch (`devlink dev eswitch show`); `None` when the device has none.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn eswitch(&mut self, device: &DeviceId) -> Result<Option<Eswitch>> {
        let mut attrs = AttrBuf::new();
        device.put(&mut attrs);
        let what = format!("devlink dev eswitch show {device}");
        match self.genl.request(&what, uapi::CMD_ESWITCH_GET, &attrs) {
            Ok(replies) => {
                let eswitch = Eswitch::parse(&one("devlink eswitch", &replies)?.attrs())?;
                if eswitch.device != *device {
                    return Err(other_object("devlink eswitch", device, &eswitch.device));
                }
                Ok(Some(eswitch))
            }
            Err(e) if e.is_unsupported() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Changes the eswitch (`devlink dev eswitch set`).
    ///
    /// # Errors
    /// [`Error::Kernel`] with the driver's words when refused; else as [`Connection::request`].
    pub fn set_eswitch(&mut self, device: &DeviceId, change: &EswitchChange) -> Result<()> {
        let mut attrs = AttrBuf::new();
        device.put(&mut attrs);
        if let Some(mode) = change.mode {
            attrs.put_u16(uapi::ATTR_ESWITCH_MODE, mode.number());
        }
        if let Some(inline) = change.inline_mode {
            attrs.put_u8(uapi::ATTR_ESWITCH_INLINE_MODE, inline.number());
        }
        if let Some(encap) = change.encap_mode {
            attrs.put_u8(uapi::ATTR_ESWITCH_ENCAP_MODE, encap.number());
        }
        self.genl.connection().set_timeout(Self::MODE_CHANGE_TIMEOUT);
        let what = format!("devlink dev eswitch set {device} {change}");
        let result = self.genl.request(&what, uapi::CMD_ESWITCH_SET, &attrs);
        self.genl.connection().set_timeout(Self::TIMEOUT);
        result.map(drop)
    }

    /// All ports of all devices (`devlink port show`).
    ///
    /// # Errors
    /// As [`Connection::dump`].
    pub fn ports(&mut self) -> Result<Vec<Port>> {
        let replies = self.genl.dump("list devlink ports", uapi::CMD_PORT_GET, &AttrBuf::new())?;
        replies.iter().map(|r| Port::parse(&r.attrs())).collect()
    }

    /// One port.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub fn port(&mut self, id: &PortId) -> Result<Port> {
        let mut attrs = AttrBuf::new();
        id.device.put(&mut attrs);
        attrs.put_u32(uapi::ATTR_PORT_INDEX, id.index);
        let replies = self.genl.request(&format!("devlink port show {id}"), uapi::CMD_PORT_GET, &attrs)?;
        let port = Port::parse(&one("devlink port", &replies)?.attrs())?;
        if port.id != *id {
            return Err(other_object("devlink port", id, &port.id));
        }
        Ok(port)
    }

    /// Changes the function behind a port (`devlink port function set`).
    ///
    /// # Errors
    /// [`Error::Kernel`] with the driver's words when refused; else as [`Connection::request`].
    pub fn set_function(&mut self, id: &PortId, change: &FunctionChange) -> Result<()> {
        let (mut attrs, mut function, mut what) =
            (AttrBuf::new(), AttrBuf::new(), format!("devlink port function set {id}"));
        if let Some(mac) = change.hw_addr {
            function.put(uapi::PORT_FUNCTION_ATTR_HW_ADDR, &mac);
            let [a, b, c, d, e, f] = mac;
            what += &format!(" hw_addr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        }
        if let Some(state) = change.state {
            function.put_u8(uapi::PORT_FN_ATTR_STATE, state.number());
            what += &format!(" state {state}");
        }
        id.device.put(&mut attrs);
        attrs.put_u32(uapi::ATTR_PORT_INDEX, id.index).put_nested(uapi::ATTR_PORT_FUNCTION, &function);
        self.genl.request(&what, uapi::CMD_PORT_SET, &attrs).map(drop)
    }
}

fn one<'a>(what: &'static str, replies: &'a [GenlReply]) -> Result<&'a GenlReply> {
    replies.first().ok_or_else(|| Error::Malformed { what, detail: "acknowledged without an answer".into() })
}

fn other_object(what: &'static str, asked: &dyn std::fmt::Display, got: &dyn std::fmt::Display) -> Error {
    Error::Malformed { what, detail: format!("asked about {asked}, told about {got}") }
}
