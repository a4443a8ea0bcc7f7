//! Values of fields as text, in the forms of OVS.

use super::names::{Form, text_of};
use super::value::{CT_STATES, FRAGS, TCP_FLAGS, TUN_FLAGS};
use crate::field::{FieldId, Format};
use crate::port::OfPort;
use crate::value::Value;
use std::fmt::{self, Display, Formatter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Hexadecimal as C's `%#x`: zero has no prefix.
#[derive(Clone, Copy)]
pub(super) struct Hex(pub u128);

impl Display for Hex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// A MAC address.
#[derive(Clone, Copy)]
pub(super) struct Mac(pub [u8; 6]);

impl Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A MAC address with its mask.
pub(super) struct MacMasked(pub Value, pub Value);

impl Display for MacMasked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Mac(self.0.mac()).fmt(f)?;
        if self.1 == Value::ones(48) { Ok(()) } else { write!(f, "/{}", Mac(self.1.mac())) }
    }
}

/// An IPv4 address with its mask: as a length if it is one.
pub(super) struct Ipv4Masked(pub Value, pub Value);

impl Display for Ipv4Masked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (address, mask) = (Ipv4Addr::from(self.0.0 as u32), self.1.0 as u32);
        write!(f, "{address}")?;
        match mask {
            u32::MAX => Ok(()),
            _ if mask.leading_ones() == mask.count_ones() => write!(f, "/{}", mask.count_ones()),
            _ => write!(f, "/{}", Ipv4Addr::from(mask)),
        }
    }
}

/// An IPv6 address as inet_ntop(3) writes it: other than in RFC 5952, addresses below ::1:0:0 that need more than
/// 16 bits end as IPv4 addresses do.
#[derive(Clone, Copy)]
pub(super) struct Ipv6(pub u128);

impl Display for Ipv6 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(low) if low > 0xffff => write!(f, "::{}", Ipv4Addr::from(low)),
            _ => write!(f, "{}", Ipv6Addr::from(self.0)),
        }
    }
}

/// An IPv6 address with its mask: as a length if it is one.
pub(super) struct Ipv6Masked(pub Value, pub Value);

impl Display for Ipv6Masked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mask = self.1.0;
        Ipv6(self.0.0).fmt(f)?;
        match mask {
            u128::MAX => Ok(()),
            _ if mask.leading_ones() == mask.count_ones() => write!(f, "/{}", mask.count_ones()),
            _ => write!(f, "/{}", Ipv6(mask)),
        }
    }
}

/// A port as OVS names it.
#[derive(Clone, Copy)]
pub(super) struct Port(pub OfPort);

impl Display for Port {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // One number has two names; OVS prints the newer.
        if self.0 == OfPort::NONE { f.write_str("ANY") } else { self.0.fmt(f) }
    }
}

/// Flags: `a|b` if all known ones are in the mask, else `+a-b`.
pub(super) struct Flags<'a> {
    pub names: &'a [&'a str],
    pub value: u128,
    pub mask: u128,
}

impl Display for Flags<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = (1u128 << self.names.len()) - 1;
        let bits = |set: u128| self.names.iter().enumerate().filter(move |(i, _)| set >> i & 1 != 0);
        if self.mask & all != all {
            if self.mask & all == 0 {
                return f.write_str("0/0");
            }
            return bits(self.mask).try_for_each(|(i, name)| {
                f.write_char(if self.value >> i & 1 == 0 { '-' } else { '+' })?;
                f.write_str(name)
            });
        }
        if self.value & all == 0 {
            return f.write_str("0");
        }
        bits(self.value).enumerate().try_for_each(|(n, (_, name))| {
            f.write_str(if n == 0 { "" } else { "|" })?;
            f.write_str(name)
        })
    }
}

/// TCP flags.
pub(super) fn tcp_flags(value: Value, mask: Value) -> impl Display {
    Flags { names: &TCP_FLAGS, value: value.0, mask: mask.0 }
}

/// Connection state.
pub(super) fn ct_state(value: Value, mask: Value) -> impl Display {
    Flags { names: &CT_STATES, value: value.0, mask: mask.0 }
}

/// The name of a fragment form.
pub(super) fn frag_name(value: Value, mask: Value) -> &'static str {
    let form = FRAGS.iter().find(|(_, m, v)| u128::from(*m) == mask.0 && u128::from(*v) == value.0 & mask.0);
    form.map_or("<error>", |(name, ..)| name)
}

/// A field's value as text, with its mask when it is not all ones (ovs-fields(7); `set_field` prints it so).
#[must_use]
pub fn field_value(field: FieldId, value: Value, mask: Value) -> String {
    Field(field, value, mask).to_string()
}

/// As [`field_value`], to be written.
pub(super) struct Field(pub FieldId, pub Value, pub Value);

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Field(field, value, mask) = *self;
        let def = field.def();
        if mask == Value(0) {
            return f.write_str("ANY");
        }
        let tos = text_of(field).is_some_and(|t| t.form == Form::Tos) && mask == Value(0xfc);
        let exact = mask == def.ones() || tos;
        match def.format {
            Format::Mac => MacMasked(value, mask).fmt(f),
            Format::Ipv4 => Ipv4Masked(value, mask).fmt(f),
            Format::Ipv6 => Ipv6Masked(value, mask).fmt(f),
            Format::Frag => f.write_str(frag_name(value, mask)),
            Format::TcpFlags => tcp_flags(value, mask).fmt(f),
            Format::TunFlags => Flags { names: &TUN_FLAGS, value: value.0, mask: mask.0 }.fmt(f),
            _ if field == FieldId::CtState => ct_state(value, mask).fmt(f),
            Format::OfPort if exact && value.0 <= 0xffff => Port(OfPort(value.0 as u16)).fmt(f),
            // Decimal in OVS, though a mask of it is not.
            Format::Decimal if exact => value.0.fmt(f),
            Format::OfPort if exact => value.0.fmt(f),
            Format::Hex if exact && field == FieldId::VlanVid => value.0.fmt(f),
            _ if exact => Hex(value.0).fmt(f),
            _ => write!(f, "{}/{}", Hex(value.0), Hex(mask.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_ovs_writes_them() {
        let all = |f: FieldId| f.def().ones();
        let show = |f: FieldId, v: u128| field_value(f, Value(v), all(f));
        assert_eq!(show(FieldId::EthDst, 0x0011_2233_4455), "00:11:22:33:44:55");
        assert_eq!(show(FieldId::Ipv4Src, 0x0a00_0001), "10.0.0.1");
        assert_eq!(show(FieldId::Ipv6Src, 1), "::1");
        assert_eq!(show(FieldId::Ipv6Src, 0x0102_0304), "::1.2.3.4");
        assert_eq!(show(FieldId::Ipv6Src, 0xffff_0102_0304), "::ffff:1.2.3.4");
        assert_eq!(show(FieldId::Reg0, 0), "0");
        assert_eq!(show(FieldId::Reg0, 255), "0xff");
        assert_eq!(show(FieldId::VlanVid, 4101), "4101");
        assert_eq!(show(FieldId::TcpDst, 80), "80");
        assert_eq!(show(FieldId::InPort, 0xfffe), "LOCAL");
        assert_eq!(field_value(FieldId::Ipv4Src, Value(0x0a00_0000), Value(0xff00_0000)), "10.0.0.0/8");
        assert_eq!(field_value(FieldId::Ipv4Src, Value(0x0a00_0000), Value(0xff00_ff00)), "10.0.0.0/255.0.255.0");
        assert_eq!(field_value(FieldId::TcpDst, Value(0x50), Value(0xfff0)), "0x50/0xfff0");
        assert_eq!(field_value(FieldId::TcpFlags, Value(2), Value(0x12)), "+syn-ack");
        assert_eq!(field_value(FieldId::IpFrag, Value(3), Value(3)), "later");
        assert_eq!(field_value(FieldId::Reg0, Value(0), Value(0)), "ANY");
    }
}
