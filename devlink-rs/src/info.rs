//! Driver, serial numbers and versions (`devlink dev info`).

use netlink::{Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    request::{Request, keep, same},
    uapi,
};

/// Which of a device's versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VersionKind {
    /// Of the board or chip: does not change.
    Fixed,
    /// Of what runs.
    Running,
    /// Of what is in flash and runs after the next activation.
    Stored,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Which.
    pub kind: VersionKind,
    /// Of what, for example `fw.mgmt`.
    pub name: String,
    /// The version.
    pub value: String,
}

/// What a driver says about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The device.
    pub device: DeviceId,
    /// The driver's name.
    pub driver: Option<String>,
    /// Serial number of the device.
    pub serial: Option<String>,
    /// Serial number of the board.
    pub board_serial: Option<String>,
    /// Versions.
    pub versions: Vec<Version>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Info {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let mut info = Info {
            device: DeviceId::parse(attrs)?,
            driver: None,
            serial: None,
            board_serial: None,
            versions: Vec::new(),
            other: Vec::new(),
        };
        for attr in attrs.clone() {
            let attr = attr?;
            let kind = match attr.kind {
                uapi::ATTR_INFO_VERSION_FIXED => Some(VersionKind::Fixed),
                uapi::ATTR_INFO_VERSION_RUNNING => Some(VersionKind::Running),
                uapi::ATTR_INFO_VERSION_STORED => Some(VersionKind::Stored),
                _ => None,
            };
            match (attr.kind, kind) {
                (uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME, _) => {}
                (uapi::ATTR_INFO_DRIVER_NAME, _) => info.driver = Some(attr.str()?.to_owned()),
                (uapi::ATTR_INFO_SERIAL_NUMBER, _) => info.serial = Some(attr.str()?.to_owned()),
                (uapi::ATTR_INFO_BOARD_SERIAL_NUMBER, _) => info.board_serial = Some(attr.str()?.to_owned()),
                (_, Some(kind)) => {
                    let name = attr.nested().find(uapi::ATTR_INFO_VERSION_NAME)?;
                    let value = attr.nested().find(uapi::ATTR_INFO_VERSION_VALUE)?;
                    if let (Some(name), Some(value)) = (name, value) {
                        let (name, value) = (name.str()?.to_owned(), value.str()?.to_owned());
                        info.versions.push(Version { kind, name, value });
                    } else {
                        keep(&mut info.other, &attr);
                    }
                }
                _ => keep(&mut info.other, &attr),
            }
        }
        Ok(info)
    }
}

/// What the drivers say about all devices (`devlink dev info`).
#[must_use]
pub fn infos() -> Request<Vec<Info>> {
    Request::dump("list devlink device information", uapi::CMD_INFO_GET, Info::parse)
}

/// What the driver says about one device; `None` when it says nothing.
#[must_use]
pub fn info(device: &DeviceId) -> Request<Option<Info>> {
    let asked = device.clone();
    Request::get_one(format!("devlink dev info {device}"), uapi::CMD_INFO_GET, device.attrs(), move |attrs| {
        let info = Info::parse(attrs)?;
        same(&asked, &info.device)?;
        Ok(info)
    })
    .optional()
}
