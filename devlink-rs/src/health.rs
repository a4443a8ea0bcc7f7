//! Health reporters (`devlink health`) and their formatted messages.

use netlink::{AttrBuf, Attrs, GenlReply, RawAttr, Result};

use crate::{
    device::DeviceId,
    fmsg::Fmsg,
    names::HealthState,
    request::{Request, keep, need},
    uapi,
    words::Words,
};

/// A reporter's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReporterId {
    /// Its device.
    pub device: DeviceId,
    /// The port that it reports about, when it is not the device.
    pub port: Option<u32>,
    /// Name, for example `tx` or `fw_fatal`.
    pub name: String,
}

impl ReporterId {
    fn attrs(&self) -> AttrBuf {
        let mut attrs = self.device.attrs();
        if let Some(port) = self.port {
            attrs.put_u32(uapi::ATTR_PORT_INDEX, port);
        }
        attrs.put_str(uapi::ATTR_HEALTH_REPORTER_NAME, &self.name);
        attrs
    }

    fn words(&self, verb: &str) -> String {
        let port = self.port.map_or(String::new(), |p| format!("/{p}"));
        format!("devlink health {verb} {}{port} reporter {}", self.device, self.name)
    }
}

/// A health reporter as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReporter {
    /// Identity.
    pub id: ReporterId,
    /// State.
    pub state: HealthState,
    /// Errors so far.
    pub errors: u64,
    /// Recoveries so far.
    pub recoveries: u64,
    /// Shortest time between two recoveries, milliseconds.
    pub grace_period_ms: Option<u64>,
    /// Recovers by itself.
    pub auto_recover: Option<bool>,
    /// Keeps a dump of each error by itself.
    pub auto_dump: Option<bool>,
    /// When the dump that is kept was made, nanoseconds since 1970.
    pub dump_time_ns: Option<u64>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl HealthReporter {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut port, mut nested, mut other) = (None, None, Vec::new());
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_PORT_INDEX => port = Some(attr.u32()?),
                uapi::ATTR_HEALTH_REPORTER => nested = Some(attr.nested()),
                _ => keep(&mut other, &attr),
            }
        }
        let nested = need(nested, &format!("a health reporter of {device}"), "description")?;
        let (mut name, mut state) = (None, None);
        let mut reporter = HealthReporter {
            id: ReporterId { device, port, name: String::new() },
            state: HealthState::Healthy,
            errors: 0,
            recoveries: 0,
            grace_period_ms: None,
            auto_recover: None,
            auto_dump: None,
            dump_time_ns: None,
            other,
        };
        for attr in nested {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_HEALTH_REPORTER_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_HEALTH_REPORTER_STATE => state = Some(HealthState::from_number(attr.u8()?)),
                uapi::ATTR_HEALTH_REPORTER_ERR_COUNT => reporter.errors = attr.u64()?,
                uapi::ATTR_HEALTH_REPORTER_RECOVER_COUNT => reporter.recoveries = attr.u64()?,
                uapi::ATTR_HEALTH_REPORTER_GRACEFUL_PERIOD => reporter.grace_period_ms = Some(attr.u64()?),
                uapi::ATTR_HEALTH_REPORTER_AUTO_RECOVER => reporter.auto_recover = Some(attr.u8()? != 0),
                uapi::ATTR_HEALTH_REPORTER_AUTO_DUMP => reporter.auto_dump = Some(attr.u8()? != 0),
                uapi::ATTR_HEALTH_REPORTER_DUMP_TS_NS => reporter.dump_time_ns = Some(attr.u64()?),
                _ => keep(&mut reporter.other, &attr),
            }
        }
        reporter.id.name = need(name, &format!("a health reporter of {}", reporter.id.device), "name")?;
        reporter.state = need(state, &format!("health reporter {}", reporter.id.name), "state")?;
        Ok(reporter)
    }
}

/// What to change of a reporter; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReporterChange {
    /// Shortest time between two recoveries, milliseconds.
    pub grace_period_ms: Option<u64>,
    /// Recover by itself.
    pub auto_recover: Option<bool>,
    /// Keep a dump of each error.
    pub auto_dump: Option<bool>,
}

/// All health reporters of all devices and ports (`devlink health show`).
#[must_use]
pub fn health_reporters() -> Request<Vec<HealthReporter>> {
    Request::dump("list devlink health reporters", uapi::CMD_HEALTH_REPORTER_GET, HealthReporter::parse)
}

/// Changes a reporter (`devlink health set`).
#[must_use]
pub fn set_reporter(id: &ReporterId, change: &ReporterChange) -> Request<()> {
    let mut attrs = id.attrs();
    if let Some(ms) = change.grace_period_ms {
        attrs.put_u64(uapi::ATTR_HEALTH_REPORTER_GRACEFUL_PERIOD, ms);
    }
    for (kind, on) in [
        (uapi::ATTR_HEALTH_REPORTER_AUTO_RECOVER, change.auto_recover),
        (uapi::ATTR_HEALTH_REPORTER_AUTO_DUMP, change.auto_dump),
    ] {
        if let Some(on) = on {
            attrs.put_u8(kind, on.into());
        }
    }
    let mut words = Words::default();
    words.put("grace_period", change.grace_period_ms).put("auto_recover", change.auto_recover);
    words.put("auto_dump", change.auto_dump);
    Request::act(format!("{} {words}", id.words("set")), uapi::CMD_HEALTH_REPORTER_SET, attrs)
}

/// Recovers from the reporter's error (`devlink health recover`).
#[must_use]
pub fn recover_reporter(id: &ReporterId) -> Request<()> {
    Request::act(id.words("recover"), uapi::CMD_HEALTH_REPORTER_RECOVER, id.attrs()).long()
}

/// Lets the reporter report an error, as a test (`devlink health test`).
#[must_use]
pub fn test_reporter(id: &ReporterId) -> Request<()> {
    Request::act(id.words("test"), uapi::CMD_HEALTH_REPORTER_TEST, id.attrs()).long()
}

/// What the reporter finds now (`devlink health diagnose`).
#[must_use]
pub fn diagnose_reporter(id: &ReporterId) -> Request<Fmsg> {
    Request::get(id.words("diagnose"), uapi::CMD_HEALTH_REPORTER_DIAGNOSE, id.attrs(), read_fmsg).long()
}

/// The dump that the reporter keeps, made now if there is none (`devlink health dump show`).
#[must_use]
pub fn reporter_dump(id: &ReporterId) -> Request<Fmsg> {
    let what = id.words("dump show");
    Request::get(what, uapi::CMD_HEALTH_REPORTER_DUMP_GET, id.attrs(), read_fmsg).long().dumped()
}

/// Forgets the dump that the reporter keeps (`devlink health dump clear`).
#[must_use]
pub fn clear_reporter_dump(id: &ReporterId) -> Request<()> {
    Request::act(id.words("dump clear"), uapi::CMD_HEALTH_REPORTER_DUMP_CLEAR, id.attrs())
}

fn read_fmsg(replies: Vec<GenlReply>) -> Result<Fmsg> {
    let mut fmsg = Fmsg::default();
    for reply in &replies {
        for attr in reply.attrs() {
            let attr = attr?;
            if attr.kind == uapi::ATTR_FMSG {
                fmsg.extend(attr.nested())?;
            }
        }
    }
    Ok(fmsg)
}
