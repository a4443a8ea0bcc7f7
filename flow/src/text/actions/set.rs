//! Changes of fields and tags: set_field, load, move, and the older `mod_*` actions.

use super::super::error::{Note, ParseError, excerpt};
use super::super::matches::{Part, read_part, unknown};
use super::super::names::{TextField, subfield, text_field};
use super::super::number::int_string;
use super::super::value::{accepted, field_masked, mac, plain_ipv4};
use super::{Reader, arrow, settable};
use crate::action::Action;
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::value::Value;

/// The bits of a field that an action can change.
pub(in crate::text) fn whole(field: FieldId) -> Value {
    if field == FieldId::IpTos { Value(0xfc) } else { field.def().ones() }
}

impl Reader<'_> {
    /// OpenFlow 1.0's and 1.1's actions for one field each.
    pub(super) fn modify(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        match name {
            "mod_dl_src" | "mod_dl_dst" => {
                let field = if name == "mod_dl_src" { FieldId::EthSrc } else { FieldId::EthDst };
                let (address, rest) = mac(value, name, self.notes)
                    .ok_or_else(|| ParseError::bad_value(name, value, "a MAC address like 00:11:22:33:44:55"))?;
                if !rest.is_empty() {
                    self.notes.push(Note::Ignored { key: name.to_owned(), value: excerpt(value) });
                }
                self.set(field, address)
            }
            "mod_nw_src" | "mod_nw_dst" => {
                let field = if name == "mod_nw_src" { FieldId::Ipv4Src } else { FieldId::Ipv4Dst };
                let address = plain_ipv4(value).ok_or_else(|| ParseError::bad_value(name, value, "an IPv4 address"))?;
                self.set(field, address)
            }
            "mod_nw_tos" => {
                let tos = self.small(name, value, 255, "a multiple of 4 from 0 to 252")?;
                if tos & 3 != 0 {
                    return Err(ParseError::bad_value(name, value, "a multiple of 4 from 0 to 252"));
                }
                self.set(FieldId::IpDscp, u128::from(tos >> 2))
            }
            "mod_nw_ecn" => {
                let ecn = self.small(name, value, 3, "0 to 3")?;
                self.set(FieldId::IpEcn, u128::from(ecn))
            }
            "mod_nw_ttl" | "set_nw_ttl" => {
                let ttl = self.small(name, value, 255, "0 to 255")?;
                self.push(Action::SetNwTtl(ttl as u8))
            }
            "mod_vlan_vid" => {
                let vid = self.small(name, value, 4095, "0 to 4095")?;
                self.push(Action::ModVlanVid(vid))
            }
            "mod_vlan_pcp" => {
                let pcp = self.small(name, value, 7, "0 to 7")?;
                self.push(Action::ModVlanPcp(pcp as u8))
            }
            "set_vlan_vid" => {
                let vid = self.small(name, value, 4095, "0 to 4095")?;
                self.set(FieldId::VlanVid, u128::from(vid | VlanTag::PRESENT))
            }
            "set_vlan_pcp" => {
                let pcp = self.small(name, value, 7, "0 to 7")?;
                self.set(FieldId::VlanPcp, u128::from(pcp))
            }
            _ => self.l4_port(name, value),
        }
    }

    fn set(&mut self, field: FieldId, value: u128) -> Result<(), ParseError> {
        self.push(Action::SetField { field, value: Value(value), mask: whole(field) })
    }

    fn l4_port(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        let number = self.small(name, text, u16::MAX, "a port number up to 65535")?;
        let src = name == "mod_tp_src";
        let field = match self.context.l4() {
            Some(6) => [FieldId::TcpDst, FieldId::TcpSrc][usize::from(src)],
            Some(17) => [FieldId::UdpDst, FieldId::UdpSrc][usize::from(src)],
            Some(132) => [FieldId::SctpDst, FieldId::SctpSrc][usize::from(src)],
            _ => {
                return Err(ParseError::Prerequisite {
                    what: name.to_owned(),
                    needs: "`tcp`, `udp` or `sctp`, and no later fragments",
                    remedy: "add it to the match",
                });
            }
        };
        self.set(field, u128::from(number))
    }

    pub(super) fn push_vlan(&mut self, value: &str) -> Result<(), ParseError> {
        match self.small("push_vlan", value, u16::MAX, "0x8100 or 0x88a8")? {
            tpid @ (0x8100 | 0x88a8) => self.push(Action::PushVlan(tpid)),
            _ => Err(ParseError::bad_value("push_vlan", value, "0x8100 or 0x88a8")),
        }
    }

    pub(super) fn set_field(&mut self, text: &str) -> Result<(), ParseError> {
        let (value, name) = arrow("set_field", text)?;
        let field = text_field(name).ok_or_else(|| match subfield(name) {
            Some(f) => ParseError::UnknownField { name: excerpt(name), meant: Some(f.name()) },
            None => unknown(name),
        })?;
        settable(field)?;
        if field.id == FieldId::InPortOxm {
            return Err(ParseError::Misplaced { key: "in_port_oxm", remedy: "set `in_port`" });
        }
        let read = field_masked(field, name, value, self.ports, self.notes)?;
        let whole = whole(field.id);
        if read.value & !whole.0 & !(if field.id == FieldId::InPort { 0xffff } else { 0 }) != 0 {
            return Err(ParseError::bad_value(name, value, accepted(field)));
        }
        if read.exact {
            let present = u128::from(VlanTag::PRESENT);
            if field.id == FieldId::VlanVid && read.value & present == 0 {
                return Err(ParseError::bad_value(name, value, "0x1000 (the present bit) plus an id of 0 to 4095"));
            }
            return self.push(Action::SetField { field: field.id, value: Value(read.value), mask: whole });
        }
        self.loads(field, read.value, read.mask & Value::ones(field.bits).0)
    }

    pub(super) fn load(&mut self, text: &str) -> Result<(), ParseError> {
        let (value, name) = arrow("load", text)?;
        let Part { field, first, bits } = read_part(name)?;
        settable(field)?;
        let bad = || ParseError::bad_value("load", value, format!("a number of {bits} bits"));
        let (number, rest) = int_string(value, field.bytes).map_err(|_| bad())?;
        if number & !Value::ones(bits).0 != 0 {
            return Err(bad());
        }
        if !rest.is_empty() {
            self.notes.push(Note::Ignored { key: "load".to_owned(), value: excerpt(value) });
        }
        self.loads(field, number << first, Value::ones(bits).0 << first)
    }

    /// One `load` for each run of bits in `mask`, of at most 64 bits, lowest first: the form that OpenFlow 1.4 has.
    /// OpenFlow 1.5 has one for all.
    fn loads(&mut self, field: &'static TextField, value: u128, mask: u128) -> Result<(), ParseError> {
        let held = field.def().ones().0;
        let (mut at, mut done, mut kept) = (0, false, 0);
        while at < 128 && mask >> at != 0 {
            let first = at + (mask >> at).trailing_zeros();
            let bits = (!(mask >> first)).trailing_zeros().min(64);
            at = first + bits;
            let run = Value::ones(bits as u16).0 << first;
            if value & run & !held != 0 {
                let value = format!("{:#x}", value & run);
                self.notes.push(Note::Cut { key: field.name().to_owned(), value, bits: held.count_ones() as u16 });
            }
            // A port number has fewer bits in text than in the key: all of them are all of the key's.
            let all = field.id == FieldId::InPort && run == 0xffff;
            let mask = Value(if all { held } else { run & held });
            if self.openflow15 {
                kept |= mask.0;
                done = true;
            } else if mask != Value(0) {
                done = true;
                self.push(Action::Load { field: field.id, value: Value(value & mask.0), mask })?;
            }
        }
        if kept != 0 {
            return self.push(Action::SetField { field: field.id, value: Value(value & kept), mask: Value(kept) });
        }
        if done {
            return Ok(());
        }
        // Even a change of no bit has to be one that is possible.
        let nothing = Action::Load { field: field.id, value: Value(0), mask: Value(0) };
        self.allow(&nothing)?;
        self.context.check(&nothing)
    }

    /// `move`.
    pub(super) fn copy(&mut self, text: &str) -> Result<(), ParseError> {
        let (from, to) = arrow("move", text)?;
        let (from_part, to_part) = (self.part(from)?, self.part(to)?);
        if from_part.bits != to_part.bits {
            let wanted = format!("as many bits on both sides ({} and {} are given)", from_part.bits, to_part.bits);
            return Err(ParseError::bad_value("move", text, wanted));
        }
        self.push(Action::Move { from: from_part, to: to_part })
    }
}
