//! Device parameters (`devlink dev param`).

use std::fmt;

use netlink::{Attr, AttrBuf, Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    names::ParamMode,
    request::{Request, keep, need, same},
    uapi,
};

// Types of values, as NLA_* of include/net/netlink.h.
const TYPE_U8: u8 = 1;
const TYPE_U16: u8 = 2;
const TYPE_U32: u8 = 3;
const TYPE_U64: u8 = 4;
const TYPE_STRING: u8 = 5;
const TYPE_FLAG: u8 = 6;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// A switch.
    Bool(bool),
    /// A number of 8 bits.
    U8(u8),
    /// A number of 16 bits.
    U16(u16),
    /// A number of 32 bits.
    U32(u32),
    /// A number of 64 bits.
    U64(u64),
    /// A text.
    Text(String),
    /// A value of a type that this version does not know.
    Other {
        /// The type's number.
        kind: u8,
        /// The value's bytes.
        bytes: Vec<u8>,
    },
}

impl ParamValue {
    /// A switch that is off is sent as no value at all.
    fn parse(kind: u8, data: Option<Attr<'_>>) -> Result<Option<Self>> {
        let Some(data) = data else { return Ok((kind == TYPE_FLAG).then_some(ParamValue::Bool(false))) };
        Ok(Some(match kind {
            TYPE_FLAG => ParamValue::Bool(true),
            TYPE_U8 => ParamValue::U8(data.u8()?),
            TYPE_U16 => ParamValue::U16(data.u16()?),
            TYPE_U32 => ParamValue::U32(data.u32()?),
            TYPE_U64 => ParamValue::U64(data.u64()?),
            TYPE_STRING => ParamValue::Text(data.str()?.to_owned()),
            kind => ParamValue::Other { kind, bytes: data.value.to_vec() },
        }))
    }

    fn put(&self, attrs: &mut AttrBuf) {
        let data = uapi::ATTR_PARAM_VALUE_DATA;
        let kind = match self {
            ParamValue::Bool(_) => TYPE_FLAG,
            ParamValue::U8(_) => TYPE_U8,
            ParamValue::U16(_) => TYPE_U16,
            ParamValue::U32(_) => TYPE_U32,
            ParamValue::U64(_) => TYPE_U64,
            ParamValue::Text(_) => TYPE_STRING,
            ParamValue::Other { kind, .. } => *kind,
        };
        attrs.put_u8(uapi::ATTR_PARAM_TYPE, kind);
        match self {
            ParamValue::Bool(true) => _ = attrs.put_flag(data),
            ParamValue::Bool(false) => {}
            ParamValue::U8(n) => _ = attrs.put_u8(data, *n),
            ParamValue::U16(n) => _ = attrs.put_u16(data, *n),
            ParamValue::U32(n) => _ = attrs.put_u32(data, *n),
            ParamValue::U64(n) => _ = attrs.put_u64(data, *n),
            ParamValue::Text(text) => _ = attrs.put_str(data, text),
            ParamValue::Other { bytes, .. } => _ = attrs.put(data, bytes),
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamValue::Bool(on) => on.fmt(f),
            ParamValue::U8(n) => n.fmt(f),
            ParamValue::U16(n) => n.fmt(f),
            ParamValue::U32(n) => n.fmt(f),
            ParamValue::U64(n) => n.fmt(f),
            ParamValue::Text(text) => f.write_str(text),
            ParamValue::Other { kind, bytes } => write!(f, "type {kind}: {bytes:02x?}"),
        }
    }
}

/// A device parameter as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its device.
    pub device: DeviceId,
    /// Name.
    pub name: String,
    /// True when the name means the same with every driver (Documentation/networking/devlink/devlink-params.rst).
    pub generic: bool,
    /// Value by mode. `None` where the kernel gives none.
    pub values: Vec<(ParamMode, Option<ParamValue>)>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Param {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs)?;
        let mut outer = Vec::new();
        let mut param = None;
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_PARAM => param = Some(attr.nested()),
                _ => keep(&mut outer, &attr),
            }
        }
        let inner = need(param, &format!("a parameter of {device}"), "description")?;
        let (mut name, mut kind, mut list) = (None, None, None);
        let mut param = Param { device, name: String::new(), generic: false, values: Vec::new(), other: outer };
        for attr in inner {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_PARAM_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_PARAM_GENERIC => param.generic = true,
                uapi::ATTR_PARAM_TYPE => kind = Some(attr.u8()?),
                uapi::ATTR_PARAM_VALUES_LIST => list = Some(attr.nested()),
                _ => keep(&mut param.other, &attr),
            }
        }
        param.name = need(name, &format!("a parameter of {}", param.device), "name")?;
        let kind = need(kind, &format!("parameter {} of {}", param.name, param.device), "type")?;
        for value in list.into_iter().flatten() {
            let value = value?;
            let mode = value.nested().find(uapi::ATTR_PARAM_VALUE_CMODE)?;
            if let (uapi::ATTR_PARAM_VALUE, Some(mode)) = (value.kind, mode) {
                let data = value.nested().find(uapi::ATTR_PARAM_VALUE_DATA)?;
                param.values.push((ParamMode::from_number(mode.u8()?), ParamValue::parse(kind, data)?));
            } else {
                keep(&mut param.other, &value);
            }
        }
        Ok(param)
    }
}

/// All parameters of all devices (`devlink dev param show`).
#[must_use]
pub fn params() -> Request<Vec<Param>> {
    Request::dump("list devlink parameters", uapi::CMD_PARAM_GET, Param::parse)
}

/// One parameter (`devlink dev param show DEV name NAME`).
#[must_use]
pub fn param(device: &DeviceId, name: &str) -> Request<Param> {
    let mut attrs = device.attrs();
    attrs.put_str(uapi::ATTR_PARAM_NAME, name);
    let (asked, asked_name) = (device.clone(), name.to_owned());
    let what = format!("devlink dev param show {device} name {name}");
    Request::get_one(what, uapi::CMD_PARAM_GET, attrs, move |attrs| {
        let param = Param::parse(attrs)?;
        same(&asked, &param.device)?;
        same(&asked_name, &param.name)?;
        Ok(param)
    })
}

/// Sets a parameter (`devlink dev param set`). The value must be of the parameter's type, as [`param`] tells it.
#[must_use]
pub fn set_param(device: &DeviceId, name: &str, value: &ParamValue, mode: ParamMode) -> Request<()> {
    let mut attrs = device.attrs();
    attrs.put_str(uapi::ATTR_PARAM_NAME, name);
    value.put(&mut attrs);
    attrs.put_u8(uapi::ATTR_PARAM_VALUE_CMODE, mode.number());
    let what = format!("devlink dev param set {device} name {name} value {value} cmode {mode}");
    Request::act(what, uapi::CMD_PARAM_SET, attrs).long()
}
