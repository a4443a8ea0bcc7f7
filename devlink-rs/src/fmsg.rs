//! Formatted messages of health reporters (`DEVLINK_ATTR_FMSG`): a tree, written as a row of tokens.

use netlink::{Attr, Attrs, Result};

use crate::uapi;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FmsgToken {
    /// An object begins.
    Object,
    /// A name with its value begins.
    Pair,
    /// An array begins.
    Array,
    /// What began last ends.
    End,
    /// A name.
    Name(String),
    /// A value.
    Value(FmsgValue),
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FmsgValue {
    /// Yes or no.
    Bool(bool),
    /// A number (of 8, 32 or 64 bits).
    Number(u64),
    /// A text.
    Text(String),
    /// Bytes, or a value of a type that this version does not know.
    Bytes(Vec<u8>),
}

/// A formatted message: its tokens in order. Readers must not rely on that each end has a beginning: netdevsim
/// writes more ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fmsg {
    /// The tokens.
    pub tokens: Vec<FmsgToken>,
    /// The type of the value to come: a message can be cut into parts between the two.
    pending: Option<u8>,
}

// Types of values, as NLA_* of include/net/netlink.h.
const TYPE_U8: u8 = 1;
const TYPE_U32: u8 = 3;
const TYPE_U64: u8 = 4;
const TYPE_FLAG: u8 = 6;
const TYPE_NUL_STRING: u8 = 10;

impl Fmsg {
    /// Appends the next part of the message.
    pub(crate) fn extend(&mut self, attrs: Attrs<'_>) -> Result<()> {
        for attr in attrs {
            let attr = attr?;
            let token = match attr.kind {
                uapi::ATTR_FMSG_OBJ_NEST_START => FmsgToken::Object,
                uapi::ATTR_FMSG_PAIR_NEST_START => FmsgToken::Pair,
                uapi::ATTR_FMSG_ARR_NEST_START => FmsgToken::Array,
                uapi::ATTR_FMSG_NEST_END => FmsgToken::End,
                uapi::ATTR_FMSG_OBJ_NAME => FmsgToken::Name(attr.str()?.to_owned()),
                uapi::ATTR_FMSG_OBJ_VALUE_TYPE => {
                    self.pending = Some(attr.u8()?);
                    continue;
                }
                uapi::ATTR_FMSG_OBJ_VALUE_DATA => FmsgToken::Value(value(self.pending.take(), &attr)?),
                _ => continue,
            };
            self.tokens.push(token);
        }
        Ok(())
    }
}

fn value(kind: Option<u8>, data: &Attr<'_>) -> Result<FmsgValue> {
    Ok(match kind {
        Some(TYPE_FLAG) => FmsgValue::Bool(data.u8()? != 0),
        Some(TYPE_U8) => FmsgValue::Number(data.u8()?.into()),
        Some(TYPE_U32) => FmsgValue::Number(data.u32()?.into()),
        Some(TYPE_U64) => FmsgValue::Number(data.u64()?),
        Some(TYPE_NUL_STRING) => FmsgValue::Text(data.str()?.to_owned()),
        _ => FmsgValue::Bytes(data.value.to_vec()),
    })
}
