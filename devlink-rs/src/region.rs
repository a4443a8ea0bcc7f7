//! Regions of a device's memory and their snapshots (`devlink region show`).

use netlink::{Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    request::{Request, keep, need},
    uapi,
};

/// A region as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its device.
    pub device: DeviceId,
    /// The port that it belongs to, when it is not the device.
    pub port: Option<u32>,
    /// Name.
    pub name: String,
    /// Size, bytes.
    pub size: u64,
    /// Numbers of the snapshots that there are.
    pub snapshots: Vec<u32>,
    /// How many snapshots there can be.
    pub max_snapshots: Option<u32>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Region {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut name, mut size) = (None, None);
        let mut region = Region {
            device,
            port: None,
            name: String::new(),
            size: 0,
            snapshots: Vec::new(),
            max_snapshots: None,
            other: Vec::new(),
        };
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_PORT_INDEX => region.port = Some(attr.u32()?),
                uapi::ATTR_REGION_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_REGION_SIZE => size = Some(attr.u64()?),
                uapi::ATTR_REGION_MAX_SNAPSHOTS => region.max_snapshots = Some(attr.u32()?),
                uapi::ATTR_REGION_SNAPSHOTS => {
                    for snapshot in attr.nested() {
                        let snapshot = snapshot?;
                        let id = snapshot.nested().find(uapi::ATTR_REGION_SNAPSHOT_ID)?;
                        match (snapshot.kind, id) {
                            (uapi::ATTR_REGION_SNAPSHOT, Some(id)) => region.snapshots.push(id.u32()?),
                            _ => keep(&mut region.other, &snapshot),
                        }
                    }
                }
                _ => keep(&mut region.other, &attr),
            }
        }
        region.name = need(name, &format!("a region of {}", region.device), "name")?;
        // The event that a region went carries no size.
        region.size = size.unwrap_or(0);
        Ok(region)
    }
}

/// All regions of all devices and ports (`devlink region show`).
#[must_use]
pub fn regions() -> Request<Vec<Region>> {
    Request::dump("list devlink regions", uapi::CMD_REGION_GET, Region::parse)
}
