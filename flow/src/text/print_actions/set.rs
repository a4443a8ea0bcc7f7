//! Changes of fields, and parts of fields.

use super::super::actions::whole;
use super::super::format::{Field, Hex};
use super::super::names::text_of;
use super::super::print_match::List;
use super::Words;
use crate::action::SubField;
use crate::field::{FieldId, Format};
use crate::value::Value;
use std::fmt::{self, Display, Formatter};

/// A part of a field by its NXM or OXM name: `NXM_NX_REG0[0..15]`.
pub(in crate::text) struct Part<'a>(pub &'a SubField);

impl Display for Part<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SubField { field, first, bits } = *self.0;
        let text = text_of(field);
        f.write_str(oxm(field))?;
        match bits {
            _ if first == 0 && bits == text.map_or(field.def().bits, |t| t.bits) => f.write_str("[]"),
            0 | 1 => write!(f, "[{first}]"),
            _ => write!(f, "[{first}..{}]", u32::from(first) + u32::from(bits) - 1),
        }
    }
}

fn oxm(field: FieldId) -> &'static str {
    text_of(field).and_then(|t| t.oxm.first().copied()).unwrap_or(field.def().name)
}

/// `set_field`. OpenFlow 1.4 has it for whole fields only, and loads for others.
pub(super) fn set_field(field: FieldId, value: Value, mask: Value, words: Words, out: &mut List) {
    if mask == whole(field) || words == Words::Own {
        let name = text_of(field).map_or(field.def().name, |t| t.name());
        match field.def().format {
            // Other than in a match, the value stays decimal.
            Format::Decimal if mask != whole(field) => {
                out.item(format_args!("set_field:{}/{}->{name}", value.0, Hex(mask.0)));
            }
            _ => out.item(format_args!("set_field:{}->{name}", Field(field, value, mask))),
        }
    } else {
        loads(field, value, mask, out);
    }
}

/// One `load` for each run of at most 64 bits.
pub(super) fn loads(field: FieldId, value: Value, mask: Value, out: &mut List) {
    let text = text_of(field);
    let name = oxm(field);
    // Bits that the key has more or fewer of than OVS count as it counts them.
    let all = text.map_or(field.def().bits, |t| t.bits);
    let ours = field.def().ones().0 & Value::ones(all).0;
    let mask = mask.0 & Value::ones(all).0;
    let (mut at, value) = (0, value.0 & mask);
    while at < 128 && mask >> at != 0 {
        let first = at + (mask >> at).trailing_zeros();
        let bits = (!(mask >> first)).trailing_zeros().min(64);
        at = first + bits;
        let part = value >> first & Value::ones(bits as u16).0;
        let last = at - 1;
        let covered = mask == ours && bits == ours.count_ones();
        if covered {
            out.item(format_args!("load:{}->{name}[]", Hex(value)));
        } else if bits == 1 {
            out.item(format_args!("load:{}->{name}[{first}]", Hex(part)));
        } else {
            out.item(format_args!("load:{}->{name}[{first}..{last}]", Hex(part)));
        }
    }
}
