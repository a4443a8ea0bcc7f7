//! Packet traps, their groups and policers (`devlink trap show`).

use netlink::{Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    names::{TrapAction, TrapType},
    request::{Request, keep, need},
    uapi,
};

/// What was trapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrapStats {
    /// Packets that reached the CPU.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that did not reach it, where the device counts them.
    pub dropped: Option<u64>,
}

impl TrapStats {
    fn parse(attrs: Attrs<'_>, other: &mut Vec<RawAttr>) -> Result<Self> {
        let mut stats = TrapStats::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_STATS_RX_PACKETS => stats.packets = attr.u64()?,
                uapi::ATTR_STATS_RX_BYTES => stats.bytes = attr.u64()?,
                uapi::ATTR_STATS_RX_DROPPED => stats.dropped = Some(attr.u64()?),
                _ => keep(other, &attr),
            }
        }
        Ok(stats)
    }
}

/// A trap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Its device.
    pub device: DeviceId,
    /// Name.
    pub name: String,
    /// Its group.
    pub group: Option<String>,
    /// Why packets are trapped.
    pub kind: TrapType,
    /// What becomes of them.
    pub action: TrapAction,
    /// True when the name means the same with every driver.
    pub generic: bool,
    /// What was trapped.
    pub stats: TrapStats,
    /// Everything else, as it came (which metadata come with a packet is here).
    pub other: Vec<RawAttr>,
}

impl Trap {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut name, mut kind, mut action, mut group) = (None, None, None, None);
        let (mut generic, mut stats, mut other) = (false, TrapStats::default(), Vec::new());
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_TRAP_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_TRAP_GROUP_NAME => group = Some(attr.str()?.to_owned()),
                uapi::ATTR_TRAP_TYPE => kind = Some(TrapType::from_number(attr.u8()?)),
                uapi::ATTR_TRAP_ACTION => action = Some(TrapAction::from_number(attr.u8()?)),
                uapi::ATTR_TRAP_GENERIC => generic = true,
                uapi::ATTR_STATS => stats = TrapStats::parse(attr.nested(), &mut other)?,
                uapi::ATTR_TRAP_METADATA => other.push(attr.to_raw()),
                _ => keep(&mut other, &attr),
            }
        }
        let name = need(name, &format!("a trap of {device}"), "name")?;
        let (kind, action) = (need(kind, &name, "trap type")?, need(action, &name, "trap action")?);
        Ok(Trap { device, name, group, kind, action, generic, stats, other })
    }
}

/// A group of traps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapGroup {
    /// Its device.
    pub device: DeviceId,
    /// Name.
    pub name: String,
    /// True when the name means the same with every driver.
    pub generic: bool,
    /// Number of the policer that it is bound to.
    pub policer: Option<u32>,
    /// What was trapped.
    pub stats: TrapStats,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl TrapGroup {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut name, mut policer, mut generic) = (None, None, false);
        let (mut stats, mut other) = (TrapStats::default(), Vec::new());
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_TRAP_GROUP_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_TRAP_GENERIC => generic = true,
                uapi::ATTR_TRAP_POLICER_ID => policer = Some(attr.u32()?),
                uapi::ATTR_STATS => stats = TrapStats::parse(attr.nested(), &mut other)?,
                _ => keep(&mut other, &attr),
            }
        }
        let name = need(name, &format!("a trap group of {device}"), "name")?;
        Ok(TrapGroup { device, name, generic, policer, stats, other })
    }
}

/// A policer of trapped packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapPolicer {
    /// Its device.
    pub device: DeviceId,
    /// Its number.
    pub id: u32,
    /// Packets a second.
    pub rate: u64,
    /// Packets at once.
    pub burst: u64,
    /// Packets that it dropped, where the device counts them.
    pub dropped: Option<u64>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl TrapPolicer {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let mut id = None;
        let mut policer = TrapPolicer { device, id: 0, rate: 0, burst: 0, dropped: None, other: Vec::new() };
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_TRAP_POLICER_ID => id = Some(attr.u32()?),
                uapi::ATTR_TRAP_POLICER_RATE => policer.rate = attr.u64()?,
                uapi::ATTR_TRAP_POLICER_BURST => policer.burst = attr.u64()?,
                uapi::ATTR_STATS => policer.dropped = TrapStats::parse(attr.nested(), &mut policer.other)?.dropped,
                _ => keep(&mut policer.other, &attr),
            }
        }
        policer.id = need(id, &format!("a trap policer of {}", policer.device), "number")?;
        Ok(policer)
    }
}

/// All traps of all devices (`devlink trap show`).
#[must_use]
pub fn traps() -> Request<Vec<Trap>> {
    Request::dump("list devlink traps", uapi::CMD_TRAP_GET, Trap::parse)
}

/// All groups of traps (`devlink trap group show`).
#[must_use]
pub fn trap_groups() -> Request<Vec<TrapGroup>> {
    Request::dump("list devlink trap groups", uapi::CMD_TRAP_GROUP_GET, TrapGroup::parse)
}

/// All policers of traps (`devlink trap policer show`).
#[must_use]
pub fn trap_policers() -> Request<Vec<TrapPolicer>> {
    Request::dump("list devlink trap policers", uapi::CMD_TRAP_POLICER_GET, TrapPolicer::parse)
}
