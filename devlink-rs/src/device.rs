//! Devices (`devlink dev show`, `devlink dev reload`).

use std::{fmt, str::FromStr};

use netlink::{AttrBuf, Attrs, Bitfield32, RawAttr, Result};

use crate::{
    names::{ReloadAction, ReloadLimit, UnknownName},
    request::{Request, keep, malformed, same},
    uapi,
    words::Words,
};

/// A devlink device: bus and name, for example `pci/0000:03:00.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Bus, for example `pci` or `netdevsim`.
    pub bus: String,
    /// Name on the bus.
    pub name: String,
}

impl DeviceId {
    /// From its two parts.
    #[must_use]
    pub fn new(bus: impl Into<String>, name: impl Into<String>) -> Self {
        DeviceId { bus: bus.into(), name: name.into() }
    }

    /// A row of attributes that begins with the handle.
    pub(crate) fn attrs(&self) -> AttrBuf {
        let mut attrs = AttrBuf::new();
        attrs.put_str(uapi::ATTR_BUS_NAME, &self.bus).put_str(uapi::ATTR_DEV_NAME, &self.name);
        attrs
    }

    /// Reads the handle that every devlink message carries.
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let (mut bus, mut name) = (None, None);
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME => bus = Some(attr.str()?),
                uapi::ATTR_DEV_NAME => name = Some(attr.str()?),
                _ => {}
            }
        }
        match (bus, name) {
            (Some(bus), Some(name)) if !bus.is_empty() && !name.is_empty() => Ok(DeviceId::new(bus, name)),
            _ => Err(malformed("no bus and device name".into())),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bus, self.name)
    }
}

impl FromStr for DeviceId {
    type Err = UnknownName;

    fn from_str(s: &str) -> std::result::Result<Self, UnknownName> {
        match s.split_once('/') {
            Some((bus, name)) if !bus.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(DeviceId::new(bus, name))
            }
            _ => Err(UnknownName {
                given: s.to_owned(),
                wanted: "a devlink device; write BUS/NAME, like pci/0000:03:00.0",
            }),
        }
    }
}

/// How often a device was reloaded in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadCount {
    /// What the reload did.
    pub action: ReloadAction,
    /// Under which limit.
    pub limit: ReloadLimit,
    /// How often.
    pub count: u32,
    /// True for reloads that another host of the device asked for.
    pub remote: bool,
}

/// A device as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Identity.
    pub id: DeviceId,
    /// The last reload failed, and the device does not work until one succeeds.
    pub reload_failed: bool,
    /// Reloads so far.
    pub reloads: Vec<ReloadCount>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Device {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let id = DeviceId::parse(attrs)?;
        let mut device = Device { id, reload_failed: false, reloads: Vec::new(), other: Vec::new() };
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_RELOAD_FAILED => device.reload_failed = attr.u8()? != 0,
                uapi::ATTR_DEV_STATS => {
                    for stats in attr.nested() {
                        let stats = stats?;
                        match stats.kind {
                            uapi::ATTR_RELOAD_STATS => reload_counts(stats.nested(), false, &mut device.reloads)?,
                            uapi::ATTR_REMOTE_RELOAD_STATS => reload_counts(stats.nested(), true, &mut device.reloads)?,
                            _ => keep(&mut device.other, &stats),
                        }
                    }
                }
                _ => keep(&mut device.other, &attr),
            }
        }
        Ok(device)
    }
}

/// `RELOAD_ACTION_INFO*` of { `RELOAD_ACTION`, `RELOAD_ACTION_STATS` of { `RELOAD_STATS_ENTRY*` of { limit, value } } }.
fn reload_counts(infos: Attrs<'_>, remote: bool, counts: &mut Vec<ReloadCount>) -> Result<()> {
    for info in infos {
        let info = info?;
        if info.kind != uapi::ATTR_RELOAD_ACTION_INFO {
            continue;
        }
        let (action, stats) =
            (info.nested().find(uapi::ATTR_RELOAD_ACTION)?, info.nested().find(uapi::ATTR_RELOAD_ACTION_STATS)?);
        let (Some(action), Some(stats)) = (action, stats) else { continue };
        let action = ReloadAction::from_number(action.u8()?);
        for entry in stats.nested() {
            let entry = entry?;
            let limit = entry.nested().find(uapi::ATTR_RELOAD_STATS_LIMIT)?;
            let count = entry.nested().find(uapi::ATTR_RELOAD_STATS_VALUE)?;
            if let (uapi::ATTR_RELOAD_STATS_ENTRY, Some(limit), Some(count)) = (entry.kind, limit, count) {
                let limit = ReloadLimit::from_number(limit.u8()?);
                counts.push(ReloadCount { action, limit, count: count.u32()?, remote });
            }
        }
    }
    Ok(())
}

/// All devices (`devlink dev show`).
#[must_use]
pub fn devices() -> Request<Vec<DeviceId>> {
    Request::dump("list devlink devices", uapi::CMD_GET, DeviceId::parse)
}

/// One device, with its reload statistics (`devlink dev show DEV -s`).
#[must_use]
pub fn device(id: &DeviceId) -> Request<Device> {
    let asked = id.clone();
    Request::get_one(format!("devlink dev show {id}"), uapi::CMD_GET, id.attrs(), move |attrs| {
        let device = Device::parse(attrs)?;
        same(&asked, &device.id)?;
        Ok(device)
    })
}

/// Reloads a device (`devlink dev reload`); returns the actions that were carried out. Without an action the driver is
/// reinitialised. Reloading resets what the driver does not keep: netdevsim comes back in legacy mode.
#[must_use]
pub fn reload(id: &DeviceId, action: Option<ReloadAction>, limit: Option<ReloadLimit>) -> Request<Vec<ReloadAction>> {
    let mut attrs = id.attrs();
    // The kernel tells the actions performed only to those who name one.
    attrs.put_u8(uapi::ATTR_RELOAD_ACTION, action.unwrap_or(ReloadAction::DriverReinit).number());
    if let Some(limit) = limit {
        let bit = 1u32.checked_shl(limit.number().into()).unwrap_or(0);
        attrs.put_bitfield32(uapi::ATTR_RELOAD_LIMITS, Bitfield32 { value: bit, selector: bit });
    }
    let mut words = Words::default();
    words.put("action", action).put("limit", limit);
    Request::get(format!("devlink dev reload {id} {words}").trim_end().to_owned(), uapi::CMD_RELOAD, attrs, |replies| {
        // A driver that moved to another network namespace answers nothing.
        let Some(reply) = replies.first() else { return Ok(Vec::new()) };
        let performed = reply.attrs().find(uapi::ATTR_RELOAD_ACTIONS_PERFORMED)?;
        let bits = performed.map_or(Ok(Bitfield32::default()), |p| p.bitfield32())?;
        Ok((1u8..32).filter(|n| bits.value & bits.selector & (1 << n) != 0).map(ReloadAction::from_number).collect())
    })
    .long()
}
