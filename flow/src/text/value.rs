//! Values and masks of fields, from text.

use super::error::{Note, ParseError, excerpt};
use super::names::{Form, TextField};
use super::number::{NumberError, int_string, scan};
use super::ports::{PortNames, port};
use crate::field::Format;
use crate::key::frag;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value as it was written, not yet cut to the field's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masked {
    pub value: u128,
    pub mask: u128,
    /// Every bit of the field's bytes is in the mask.
    pub exact: bool,
}

impl Masked {
    fn exact(value: u128) -> Masked {
        Masked { value, mask: u128::MAX, exact: true }
    }

    fn of(value: u128, mask: u128, bytes: u8) -> Masked {
        Masked { value, mask, exact: mask == byte_ones(bytes) }
    }
}

fn byte_ones(bytes: u8) -> u128 {
    crate::Value::ones(u16::from(bytes) * 8).0
}

pub(super) const TCP_FLAGS: [&str; 12] =
    ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

/// Tunnel flags from bit 0.
pub(super) const TUN_FLAGS: [&str; 1] = ["oam"];

/// Bits of ct_state that OVS 3.1 knows.
pub(super) const CT_STATES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

/// Fragment forms: name, mask, value. Of equal names the first is meant.
pub(super) const FRAGS: [(&str, u8, u8); 7] = [
    ("no", frag::ANY | frag::LATER, 0),
    ("first", frag::ANY | frag::LATER, frag::ANY),
    ("later", frag::ANY | frag::LATER, frag::ANY | frag::LATER),
    ("no", frag::ANY, 0),
    ("yes", frag::ANY, frag::ANY),
    ("not_later", frag::LATER, 0),
    ("later", frag::LATER, frag::LATER),
];

/// What a field's values look like, for errors.
pub(super) fn accepted(field: &TextField) -> &'static str {
    match (field.form, field.def().format) {
        (Form::DlVlan, _) => "0 to 4095, or 0xffff for no tag",
        (Form::DlVlanPcp, _) => "0 to 7",
        (Form::Tos, _) => "a multiple of 4 from 0 to 252",
        _ if field.id == crate::FieldId::CtState => "names like +trk+est-new or trk|new, or VALUE/MASK of 8 bits",
        (_, Format::Mac) => "a MAC address like 00:11:22:33:44:55, or ADDRESS/MASK",
        (_, Format::Ipv4) => "an IPv4 address, ADDRESS/LENGTH (0 to 32) or ADDRESS/MASK",
        (_, Format::Ipv6) => "an IPv6 address, ADDRESS/LENGTH (0 to 128) or ADDRESS/MASK",
        (_, Format::OfPort) => "a port number, a port's name or one like LOCAL",
        (_, Format::Frag) => "no, yes, first, later or not_later",
        (_, Format::TunFlags) => "+oam or -oam",
        (_, Format::TcpFlags) => "names like +syn-ack or syn|ack, or VALUE/MASK of 12 bits",
        (_, Format::Decimal | Format::Hex) => match field.bytes {
            1 => "a number up to 255, or VALUE/MASK",
            2 => "a number up to 65535, or VALUE/MASK",
            4 => "a number up to 0xffffffff, or VALUE/MASK",
            _ => "a number up to 0xffffffffffffffff, or VALUE/MASK",
        },
    }
}

/// Read a field's value and mask. An empty text means any value, as far as the form can say so.
pub(super) fn field_masked(
    field: &TextField,
    key: &str,
    text: &str,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<Masked, ParseError> {
    if text == "*" {
        return Ok(Masked { value: 0, mask: 0, exact: false });
    }
    let bad = || ParseError::bad_value(key, text, accepted(field));
    let s = if text.is_empty() { "0/0" } else { text };
    let read = match field.def().format {
        _ if field.id == crate::FieldId::CtState => flags(s, &CT_STATES).ok_or_else(bad)?,
        Format::TcpFlags => flags(s, &TCP_FLAGS).ok_or_else(bad)?,
        Format::TunFlags => flags(s, &TUN_FLAGS).ok_or_else(bad)?,
        Format::Decimal | Format::Hex => number(s, field.bytes).map_err(|_| bad())?,
        Format::Mac => mac_masked(s, key, notes).ok_or_else(bad)?,
        Format::Ipv4 => ipv4_masked(s, key, notes).ok_or_else(bad)?,
        Format::Ipv6 => ipv6_masked(s).ok_or_else(bad)?,
        Format::OfPort => match port(s, ports) {
            Some(port) => Masked::exact(u128::from(port.0)),
            None if text.is_empty() => {
                return Err(ParseError::NoValue { key: excerpt(key), accepted: accepted(field) });
            }
            None => return Err(ParseError::UnknownPort { key: excerpt(key), port: excerpt(text) }),
        },
        Format::Frag => FRAGS
            .iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(s))
            .map(|(_, mask, value)| Masked {
                value: u128::from(*value),
                mask: u128::from(*mask),
                exact: *mask == frag::ANY | frag::LATER,
            })
            .ok_or_else(bad)?,
    };
    let partial = !read.exact && read.mask != 0;
    if partial && (!field.def().maskable || field.form != Form::Plain) {
        return Err(ParseError::BadMask { key: excerpt(key), value: excerpt(text) });
    }
    Ok(read)
}

fn number(s: &str, bytes: u8) -> Result<Masked, NumberError> {
    let (value, rest) = int_string(s, bytes)?;
    if rest.is_empty() {
        return Ok(Masked::exact(value));
    }
    let mask = rest.strip_prefix('/').ok_or(NumberError::Syntax)?;
    let (mask, rest) = int_string(mask, bytes)?;
    if rest.is_empty() { Ok(Masked::of(value, mask, bytes)) } else { Err(NumberError::Syntax) }
}

/// Six hexadecimal bytes, and what follows them. A byte of more digits is cut, as OVS does, and noted.
pub(super) fn mac<'a>(s: &'a str, key: &str, notes: &mut Vec<Note>) -> Option<(u128, &'a str)> {
    let (mut value, mut rest) = (0, s);
    for i in 0..6 {
        if i > 0 {
            rest = rest.strip_prefix(':')?;
        }
        let (byte, odd, behind) = scan(rest, 16)?;
        if odd || byte > 255 {
            notes.push(Note::Cut { key: excerpt(key), value: excerpt(s), bits: 8 });
        }
        value = value << 8 | u128::from(byte as u8);
        rest = behind;
    }
    Some((value, rest))
}

fn mac_masked(s: &str, key: &str, notes: &mut Vec<Note>) -> Option<Masked> {
    let (value, rest) = mac(s, key, notes)?;
    if rest.is_empty() {
        return Some(Masked::exact(value));
    }
    let (mask, rest) = mac(rest.strip_prefix('/')?, key, notes)?;
    rest.is_empty().then(|| Masked::of(value, mask, 6))
}

/// Four decimal bytes, and what follows them. A larger one is cut, as OVS does, and noted.
fn ipv4<'a>(s: &'a str, key: &str, notes: &mut Vec<Note>) -> Option<(u32, &'a str)> {
    let (mut value, mut rest) = (0, s);
    for i in 0..4 {
        if i > 0 {
            rest = rest.strip_prefix('.')?;
        }
        let (byte, odd, behind) = scan(rest, 10)?;
        if odd || byte > 255 {
            notes.push(Note::Cut { key: excerpt(key), value: excerpt(s), bits: 8 });
        }
        value = value << 8 | u32::from(byte as u8);
        rest = behind;
    }
    Some((value, rest))
}

fn ipv4_masked(s: &str, key: &str, notes: &mut Vec<Note>) -> Option<Masked> {
    let (value, rest) = ipv4(s, key, notes)?;
    if rest.is_empty() {
        return Some(Masked::exact(u128::from(value)));
    }
    let mask = rest.strip_prefix('/')?;
    let mask = match ipv4(mask, key, &mut Vec::new()) {
        Some((_, "")) => ipv4(mask, key, notes)?.0,
        Some(_) => return None,
        None => {
            let length = prefix_length(mask, 32)?;
            u32::MAX.checked_shl(32 - length).unwrap_or(0)
        }
    };
    Some(Masked::of(u128::from(value), u128::from(mask), 4))
}

/// A whole text as a prefix length of at most `most`.
fn prefix_length(s: &str, most: u32) -> Option<u32> {
    let (length, odd, rest) = scan(s, 10)?;
    if odd || !rest.is_empty() {
        return None;
    }
    u32::try_from(length).ok().filter(|l| *l <= most)
}

fn ipv6_masked(s: &str) -> Option<Masked> {
    let (address, mask) = s.split_once('/').map_or((s, None), |(a, m)| (a, Some(m)));
    let value = u128::from(address.parse::<Ipv6Addr>().ok()?);
    let Some(mask) = mask else { return Some(Masked::exact(value)) };
    let mask = if scan(mask, 10).is_some_and(|(_, _, rest)| rest.is_empty()) {
        u128::MAX.checked_shl(128 - prefix_length(mask, 128)?).unwrap_or(0)
    } else {
        u128::from(mask.parse::<Ipv6Addr>().ok()?)
    };
    Some(Masked::of(value, mask, 16))
}

/// Flags as `+set-unset`, `one|other`, `VALUE` or `VALUE/MASK`. Bit i is called `names[i]`; there are no others.
fn flags(s: &str, names: &[&str]) -> Option<Masked> {
    let allowed = (1u64 << names.len()) - 1;
    let within = |v: u64| (v & !allowed == 0).then_some(v);
    if let Some((value, false, rest)) = scan(s, 0)
        && let Some(mask) = rest.strip_prefix('/')
        && let Some((mask, false, rest)) = scan(mask, 0)
    {
        let (value, mask) = (within(value)?, within(mask)?);
        // A mask of all known flags is none of all the bytes, but matches the same.
        let masked = Masked { value: u128::from(value), mask: u128::from(mask), exact: false };
        return rest.is_empty().then_some(masked);
    }
    if s.starts_with(['+', '-']) {
        let (mut value, mut mask, mut rest) = (0u64, 0u64, s);
        while let Some(sign) = rest.chars().next() {
            let flag = rest.strip_prefix(['+', '-'])?;
            let end = flag.find(['+', '-']).unwrap_or(flag.len());
            let bit = 1 << names.iter().position(|n| *n == &flag[..end])?;
            if mask & bit != 0 {
                return None;
            }
            mask |= bit;
            value |= if sign == '+' { bit } else { 0 };
            rest = &flag[end..];
        }
        return Some(Masked { value: u128::from(value), mask: u128::from(mask), exact: false });
    }
    let (mut value, mut rest) = (0, s);
    while !rest.is_empty() {
        if let Some((number, _, behind)) = scan(rest, 0) {
            value |= within(number)?;
            rest = behind.strip_prefix('|').unwrap_or(behind);
        } else {
            let end = rest.find('|').unwrap_or(rest.len());
            value |= 1 << names.iter().position(|n| *n == &rest[..end])?;
            rest = rest[end..].strip_prefix('|').unwrap_or_default();
        }
    }
    Some(Masked { value: u128::from(value), mask: u128::MAX, exact: true })
}

/// A dotted address without mask, strictly four numbers up to 255.
pub(super) fn plain_ipv4(s: &str) -> Option<u128> {
    s.parse::<Ipv4Addr>().ok().map(|a| u128::from(u32::from(a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(s: &str) -> Option<(u128, u128)> {
        ipv4_masked(s, "k", &mut Vec::new()).map(|m| (m.value, if m.exact { u128::from(u32::MAX) } else { m.mask }))
    }

    #[test]
    fn addresses_take_lengths_and_masks() {
        assert_eq!(v4("10.0.0.1"), Some((0x0a00_0001, 0xffff_ffff)));
        assert_eq!(v4("10.0.0.0/8"), Some((0x0a00_0000, 0xff00_0000)));
        assert_eq!(v4("10.0.0.0/0"), Some((0x0a00_0000, 0)));
        assert_eq!(v4("10.0.0.0/33"), None);
        assert_eq!(v4("10.0.0.0/-1"), None);
        assert_eq!(v4("10.0.0.0/255.0.255.0"), Some((0x0a00_0000, 0xff00_ff00)));
        assert_eq!(v4("10.0.0.0/255.0.255.0x"), None);
        assert_eq!(v4("10.0.0"), None);
        assert_eq!(ipv6_masked("::1/64").map(|m| m.mask), Some(u128::MAX << 64));
        assert_eq!(ipv6_masked("::1/0").map(|m| m.mask), Some(0));
        assert_eq!(ipv6_masked("::1/129"), None);
        assert_eq!(ipv6_masked("::1/ffff::").map(|m| m.mask), Some(0xffff << 112));
    }

    #[test]
    fn flags_have_four_forms() {
        let read = |s| flags(s, &TCP_FLAGS).map(|m| (m.value, m.mask, m.exact));
        assert_eq!(read("+syn-ack"), Some((0x2, 0x12, false)));
        assert_eq!(read("syn|ack"), Some((0x12, u128::MAX, true)));
        assert_eq!(read("0x12"), Some((0x12, u128::MAX, true)));
        assert_eq!(read("2/0x12"), Some((0x2, 0x12, false)));
        assert_eq!(read("0x1000"), None);
        assert_eq!(read("+syn+syn"), None);
        assert_eq!(read("+what"), None);
        assert_eq!(read("what"), None);
    }

    #[test]
    fn numbers_that_overflow_a_byte_are_noted() {
        let mut notes = Vec::new();
        assert_eq!(ipv4("300.2.3.4", "nw_dst", &mut notes), Some((0x2c02_0304, "")));
        assert_eq!(notes.len(), 1);
    }
}
