//! Match keys.

use super::error::{Note, ParseError, excerpt};
use super::names::{self, Form, TextField};
use super::number::{int_string, scan};
use super::ports::{PortNames, wide_port};
use super::value::{Masked, field_masked};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::value::Value;

const PRESENT: u128 = VlanTag::PRESENT as u128;
const VID: u128 = 0x0fff;
const PCP: u128 = 0xe000;

/// Take one key of a match. `Ok(false)`: it is not one.
pub(super) fn match_key(
    m: &mut Match,
    key: &str,
    text: &str,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<bool, ParseError> {
    if let Some((eth_type, proto)) = names::protocol(key) {
        m.set_exact(FieldId::EthType, Value::from(eth_type));
        if proto != 0 {
            m.set_exact(FieldId::IpProto, Value::from(proto));
        }
    } else if key == "eth" {
        // Every packet is Ethernet.
    } else if key == "packet_type" {
        packet_type(text)?;
    } else if let Some(field) = names::text_field(key) {
        let masked = field_masked(field, key, text, ports, notes)?;
        if field.id == FieldId::Ipv6Label && masked.value & masked.mask >> 20 << 20 != 0 {
            return Err(ParseError::bad_value(key, text, "a number up to 0xfffff, or VALUE/MASK"));
        }
        let cut = masked.value & masked.mask & !width(field).0;
        if cut != 0 && !masked_no_tag(field, masked) {
            notes.push(Note::Cut { key: excerpt(key), value: excerpt(text), bits: width(field).0.count_ones() as u16 });
        }
        set(m, field, masked);
    } else if key.contains('[') {
        part(m, key, text)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn masked_no_tag(field: &TextField, masked: Masked) -> bool {
    field.form == Form::DlVlan && masked.value == 0xffff
}

/// `(NAMESPACE,TYPE)`: Ethernet, (0,0), is what every packet is. What follows the parenthesis is not looked at.
fn packet_type(text: &str) -> Result<(), ParseError> {
    if text == "*" {
        return Ok(());
    }
    let read = || {
        let (space, rest) = int_string(text.strip_prefix('(')?, 2).ok()?;
        let (kind, rest) = int_string(rest.strip_prefix(',')?, 2).ok()?;
        rest.starts_with(')').then_some((space, kind))
    };
    match read() {
        Some((0, 0)) => Ok(()),
        Some(_) => Err(ParseError::UnsupportedField(excerpt(&format!("packet_type={text}")))),
        None => Err(ParseError::bad_value("packet_type", text, "(0,0): Ethernet")),
    }
}

/// Bits that a match of this name looks at.
fn width(field: &TextField) -> Value {
    match field.form {
        Form::DlVlan => Value(VID),
        Form::Tos => Value(0xfc),
        Form::Plain | Form::DlVlanPcp => field.def().ones(),
    }
}

/// Require what `masked` says of a field; what was required of it before is replaced.
fn set(m: &mut Match, field: &TextField, masked: Masked) {
    let Masked { value, mask, exact } = masked;
    let wild = mask == 0;
    let (tci, tci_mask) = m.get(FieldId::VlanTci);
    let tag = |m: &mut Match, value: u128, mask: u128| m.set(FieldId::VlanTci, Value(value), Value(mask));
    match (field.id, field.form) {
        (FieldId::VlanVid, _) if wild => {
            // The present bit stays as long as the priority is matched.
            let keep = if tci_mask.0 & PCP == 0 { 0 } else { PCP | PRESENT };
            tag(m, tci.0, tci_mask.0 & keep);
        }
        (FieldId::VlanPcp, _) if wild => {
            let keep = if tci_mask.0 & VID == 0 { 0 } else { VID | PRESENT };
            tag(m, tci.0, tci_mask.0 & keep);
        }
        (FieldId::VlanVid, Form::DlVlan) if value == 0xffff => tag(m, 0, 0xffff),
        (FieldId::VlanVid, Form::DlVlan) => {
            tag(m, tci.0 & PCP | PRESENT | value & VID, tci_mask.0 | PRESENT | VID);
        }
        (FieldId::VlanVid, _) => {
            let mask = mask & (VID | PRESENT);
            tag(m, tci.0 & PCP | value & mask, tci_mask.0 & PCP | mask);
        }
        (FieldId::VlanPcp, _) => tag(m, tci.0 & VID | PRESENT | value << 13, tci_mask.0 | PRESENT | PCP),
        (FieldId::IpTos, _) => {
            let dscp = if wild { Value(0) } else { FieldId::IpDscp.def().ones() };
            m.set(FieldId::IpDscp, Value(value >> 2), dscp);
        }
        // As in OVS, the bits of the TCP flags until the protocol is known.
        (FieldId::NdOptionsType, _) => {
            let mask = if wild { Value(0) } else { FieldId::TcpFlags.def().ones() };
            m.set(FieldId::TcpFlags, Value(value), mask);
        }
        // 16 bits until the protocol is known: with TCP the same key is a port.
        (FieldId::IcmpType | FieldId::Icmpv6Type, _) => m.set(FieldId::TcpSrc, Value(value), Value(mask)),
        (FieldId::IcmpCode | FieldId::Icmpv6Code, _) => m.set(FieldId::TcpDst, Value(value), Value(mask)),
        (id, _) => m.set(id, Value(value), if exact { id.def().ones() } else { Value(mask) }),
    }
}

/// Part of a field: name, first bit, number of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub field: &'static TextField,
    pub first: u16,
    pub bits: u16,
}

/// Read `FIELD`, `FIELD[]`, `FIELD[BIT]` or `FIELD[FIRST..LAST]`.
pub(super) fn read_part(text: &str) -> Result<Part, ParseError> {
    let end = text.find(['[', '-']).unwrap_or(text.len());
    let (name, range) = text.split_at(end);
    let field = names::subfield(name).ok_or_else(|| unknown(name))?;
    let form = || {
        let most = field.bits - 1;
        ParseError::bad_value(name, text, format!("{name}[], {name}[BIT] or {name}[FIRST..LAST] of 0 to {most}"))
    };
    if range.is_empty() || range == "[]" {
        return Ok(Part { field, first: 0, bits: field.bits });
    }
    let inner = range.strip_prefix('[').and_then(|r| r.strip_suffix(']')).ok_or_else(form)?;
    let bit = |s| scan(s, 10).filter(|(_, odd, _)| !odd);
    let (first, _, rest) = bit(inner).ok_or_else(form)?;
    let last = match rest.strip_prefix("..") {
        None if rest.is_empty() => first,
        None => return Err(form()),
        Some(last) => match bit(last).ok_or_else(form)? {
            (last, _, "") => last,
            _ => return Err(form()),
        },
    };
    if first > last || last >= u64::from(field.bits) {
        return Err(form());
    }
    Ok(Part { field, first: first as u16, bits: (last - first + 1) as u16 })
}

/// The error for a name that is no field here.
pub(super) fn unknown(name: &str) -> ParseError {
    if names::is_other_field(name) {
        ParseError::UnsupportedField(excerpt(name))
    } else {
        ParseError::UnknownField { name: excerpt(name), meant: names::nearest_key(name) }
    }
}

/// `FIELD[FIRST..LAST]=NUMBER`: adds to what is required of the field.
fn part(m: &mut Match, key: &str, text: &str) -> Result<(), ParseError> {
    let part = read_part(key)?;
    let field = part.field;
    let value = match int_string(text, field.bytes) {
        Ok((value, "")) if value & !Value::ones(part.bits).0 == 0 => value,
        _ => return Err(ParseError::bad_value(key, text, format!("a number of {} bits", part.bits))),
    };
    let (had, had_mask) = match field.id {
        FieldId::NdOptionsType => m.get(FieldId::TcpFlags),
        id => m.get(id),
    };
    let ones = Value::ones(part.bits).0 << part.first;
    // With the bits that were matched before, it may be all of the field's bytes.
    let mask = had_mask.0 & width(field).0 | ones;
    let bytes = Value::ones(u16::from(field.bytes) * 8).0;
    let whole = mask & bytes == bytes;
    if !whole && (!field.def().maskable || field.form != Form::Plain) {
        return Err(ParseError::BadMask { key: excerpt(key), value: excerpt(text) });
    }
    let mut value = had.0 & !ones | value << part.first;
    if matches!(field.id, FieldId::InPortOxm | FieldId::ActsetOutput) {
        value = u128::from(wide_port(value as u32).0);
    }
    set(m, field, Masked { value, mask, exact: whole });
    Ok(())
}
