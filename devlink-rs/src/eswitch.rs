//! The eswitch (`devlink dev eswitch`).

use std::fmt;

use netlink::{AttrBuf, Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    names::{EncapMode, EswitchMode, InlineMode},
    request::{Request, keep, need, same},
    uapi,
    words::Words,
};

/// An eswitch as the kernel describes it. Drivers leave out what they do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eswitch {
    /// Its device.
    pub device: DeviceId,
    /// Mode.
    pub mode: EswitchMode,
    /// Inline mode, where the driver has it.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode, where the driver has it.
    pub encap_mode: Option<EncapMode>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Eswitch {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let (mut mode, mut inline_mode, mut encap_mode, mut other) = (None, None, None, Vec::new());
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_ESWITCH_MODE => mode = Some(EswitchMode::from_number(attr.u16()?)),
                uapi::ATTR_ESWITCH_INLINE_MODE => inline_mode = Some(InlineMode::from_number(attr.u8()?)),
                uapi::ATTR_ESWITCH_ENCAP_MODE => encap_mode = Some(EncapMode::from_number(attr.u8()?)),
                _ => keep(&mut other, &attr),
            }
        }
        let mode = need(mode, &device, "eswitch mode")?;
        Ok(Eswitch { device, mode, inline_mode, encap_mode, other })
    }
}

/// What to change of an eswitch; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EswitchChange {
    /// Mode.
    pub mode: Option<EswitchMode>,
    /// Inline mode.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode.
    pub encap_mode: Option<EncapMode>,
}

impl fmt::Display for EswitchChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Words::default();
        words.put("mode", self.mode).put("inline-mode", self.inline_mode).put("encap-mode", self.encap_mode);
        words.fmt(f)
    }
}

/// The eswitch (`devlink dev eswitch show`); `None` when the device has none.
#[must_use]
pub fn eswitch(device: &DeviceId) -> Request<Option<Eswitch>> {
    let asked = device.clone();
    let what = format!("devlink dev eswitch show {device}");
    Request::get_one(what, uapi::CMD_ESWITCH_GET, device.attrs(), move |attrs| {
        let eswitch = Eswitch::parse(attrs)?;
        same(&asked, &eswitch.device)?;
        Ok(eswitch)
    })
    .optional()
}

/// Changes the eswitch (`devlink dev eswitch set`).
#[must_use]
pub fn set_eswitch(device: &DeviceId, change: &EswitchChange) -> Request<()> {
    let mut attrs: AttrBuf = device.attrs();
    if let Some(mode) = change.mode {
        attrs.put_u16(uapi::ATTR_ESWITCH_MODE, mode.number());
    }
    if let Some(inline) = change.inline_mode {
        attrs.put_u8(uapi::ATTR_ESWITCH_INLINE_MODE, inline.number());
    }
    if let Some(encap) = change.encap_mode {
        attrs.put_u8(uapi::ATTR_ESWITCH_ENCAP_MODE, encap.number());
    }
    Request::act(format!("devlink dev eswitch set {device} {change}"), uapi::CMD_ESWITCH_SET, attrs).long()
}
