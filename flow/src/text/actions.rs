//! Actions.

use super::context::Context;
use super::error::{Note, ParseError, excerpt};
use super::lex::Pairs;
use super::matches::{Part, read_part, unknown};
use super::names::{self, Form, TextField, subfield, text_field, text_of};
use super::number::{int_string, whole_int, whole_u64};
use super::ports::{PortNames, port};
use super::value::{accepted, field_masked, mac, plain_ipv4};
use crate::action::{Action, Controller};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::port::OfPort;
use crate::value::Value;

/// More do not fit one OpenFlow message (64 KiB of 16-byte actions).
pub(super) const MOST_ACTIONS: usize = 4000;

/// Read a list of actions for packets of match `m` in `table`.
pub(super) fn actions(
    text: &str,
    m: &Match,
    table: u8,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<Vec<Action>, ParseError> {
    let mut reader =
        Reader { context: Context::new(m), table, ports, notes, out: Vec::new(), drop: false, other: false };
    for (key, value) in Pairs(text) {
        reader.action(key, value)?;
    }
    if reader.drop && reader.other {
        return Err(ParseError::DropNotAlone);
    }
    Ok(reader.out)
}

struct Reader<'a> {
    context: Context<'a>,
    table: u8,
    ports: &'a dyn PortNames,
    notes: &'a mut Vec<Note>,
    out: Vec<Action>,
    drop: bool,
    other: bool,
}

impl Reader<'_> {
    fn action(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        let name = if key.len() <= 16 { key.to_ascii_lowercase() } else { String::new() };
        if name == "drop" {
            self.drop = true;
            return Ok(());
        }
        self.other = true;
        match name.as_str() {
            "output" => {
                let port = self.output_port(value)?;
                self.output(port, u16::MAX)
            }
            "controller" => self.controller(value),
            "mod_dl_src" | "mod_dl_dst" => {
                let field = if name == "mod_dl_src" { FieldId::EthSrc } else { FieldId::EthDst };
                let (address, rest) = mac(value, &name, self.notes)
                    .ok_or_else(|| ParseError::bad_value(&name, value, "a MAC address like 00:11:22:33:44:55"))?;
                if !rest.is_empty() {
                    self.notes.push(Note::Ignored { key: name.clone(), value: excerpt(value) });
                }
                self.set(field, address)
            }
            "mod_nw_src" | "mod_nw_dst" => {
                let field = if name == "mod_nw_src" { FieldId::Ipv4Src } else { FieldId::Ipv4Dst };
                let address =
                    plain_ipv4(value).ok_or_else(|| ParseError::bad_value(&name, value, "an IPv4 address"))?;
                self.set(field, address)
            }
            "mod_nw_tos" => {
                let tos = self.small(&name, value, 255, "a multiple of 4 from 0 to 252")?;
                if tos & 3 != 0 {
                    return Err(ParseError::bad_value(&name, value, "a multiple of 4 from 0 to 252"));
                }
                self.set(FieldId::IpDscp, u128::from(tos >> 2))
            }
            "mod_nw_ecn" => {
                let ecn = self.small(&name, value, 3, "0 to 3")?;
                self.set(FieldId::IpEcn, u128::from(ecn))
            }
            "mod_nw_ttl" | "set_nw_ttl" => {
                let ttl = self.small(&name, value, 255, "0 to 255")?;
                self.push(Action::SetNwTtl(ttl as u8))
            }
            "mod_tp_src" | "mod_tp_dst" => self.l4_port(&name, value),
            "mod_vlan_vid" => {
                let vid = self.small(&name, value, 4095, "0 to 4095")?;
                self.push(Action::ModVlanVid(vid))
            }
            "mod_vlan_pcp" => {
                let pcp = self.small(&name, value, 7, "0 to 7")?;
                self.push(Action::ModVlanPcp(pcp as u8))
            }
            "set_vlan_vid" => {
                let vid = self.small(&name, value, 4095, "0 to 4095")?;
                self.set(FieldId::VlanVid, u128::from(vid | VlanTag::PRESENT))
            }
            "set_vlan_pcp" => {
                let pcp = self.small(&name, value, 7, "0 to 7")?;
                self.set(FieldId::VlanPcp, u128::from(pcp))
            }
            "strip_vlan" | "pop_vlan" => self.push(Action::PopVlan),
            "push_vlan" => match self.small(&name, value, u16::MAX, "0x8100 or 0x88a8")? {
                tpid @ (0x8100 | 0x88a8) => self.push(Action::PushVlan(tpid)),
                _ => Err(ParseError::bad_value(&name, value, "0x8100 or 0x88a8")),
            },
            "dec_ttl" if value.is_empty() => self.push(Action::DecTtl),
            "dec_ttl" => Err(ParseError::UnsupportedForm { action: "dec_ttl", form: "controller ids" }),
            "set_tunnel" | "set_tunnel64" => {
                let id = whole_u64(value).ok_or_else(|| ParseError::bad_value(&name, value, "a number of 64 bits"))?;
                self.set(FieldId::TunId, u128::from(id))
            }
            "set_field" => self.set_field(value),
            "load" => self.load(value),
            "resubmit" => self.resubmit(value),
            "goto_table" => self.goto_table(value),
            _ => match (names::other_action(key), port(key, self.ports)) {
                (Some(other), _) => Err(ParseError::UnsupportedAction(other)),
                (None, Some(port)) => self.output(port, 0),
                (None, None) if key.starts_with(|c: char| c.is_ascii_digit()) => {
                    Err(ParseError::UnknownPort { key: "output".to_owned(), port: excerpt(key) })
                }
                (None, None) => {
                    Err(ParseError::UnknownAction { name: excerpt(key), meant: names::nearest_action(key) })
                }
            },
        }
    }

    fn push(&mut self, action: Action) -> Result<(), ParseError> {
        if let Some(Action::GotoTable(_)) = self.out.last() {
            return Err(ParseError::NotLast(super::print::action(&action)));
        }
        if self.out.len() >= MOST_ACTIONS {
            return Err(ParseError::TooManyActions(MOST_ACTIONS));
        }
        self.context.check(&action)?;
        self.context.pass(&action);
        self.out.push(action);
        Ok(())
    }

    fn set(&mut self, field: FieldId, value: u128) -> Result<(), ParseError> {
        self.push(Action::SetField { field, value: Value(value), mask: whole(field) })
    }

    /// A number up to `most`.
    fn small(&self, key: &str, text: &str, most: u16, accepted: &str) -> Result<u16, ParseError> {
        whole_int(text, 0)
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| *n <= most)
            .ok_or_else(|| ParseError::bad_value(key, text, accepted))
    }

    fn output_port(&self, text: &str) -> Result<OfPort, ParseError> {
        if let Some(port) = port(text, self.ports) {
            return Ok(port);
        }
        if text.contains("port") && text.contains("max_len") {
            return Err(ParseError::UnsupportedForm { action: "output", form: "a length" });
        }
        if read_part(text).is_ok() {
            return Err(ParseError::UnsupportedForm { action: "output", form: "a register" });
        }
        Err(ParseError::UnknownPort { key: "output".to_owned(), port: excerpt(text) })
    }

    fn output(&mut self, port: OfPort, max_len: u16) -> Result<(), ParseError> {
        self.push(if port == OfPort::CONTROLLER {
            Action::Controller(Box::new(Controller::new(max_len)))
        } else {
            Action::Output(port)
        })
    }

    fn controller(&mut self, value: &str) -> Result<(), ParseError> {
        let length = |text| self.small("controller", text, u16::MAX, "a number of bytes up to 65535");
        let mut max_len = u16::MAX;
        if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
            max_len = length(value)?;
        } else {
            for (key, value) in Pairs(value) {
                match (key, value) {
                    ("max_len", _) => max_len = length(value)?,
                    ("reason", "action") => {}
                    ("id", _) if whole_int(value, 0) == Some(0) => {}
                    ("reason" | "id" | "userdata" | "pause" | "meter_id", _) => {
                        let form = "a reason, id, userdata, pause or meter_id";
                        return Err(ParseError::UnsupportedForm { action: "controller", form });
                    }
                    _ => return Err(ParseError::bad_value("controller", key, "a number of bytes, or max_len=BYTES")),
                }
            }
        }
        self.push(Action::Controller(Box::new(Controller::new(max_len))))
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

    fn set_field(&mut self, text: &str) -> Result<(), ParseError> {
        let (value, name) = arrow("set_field", text)?;
        let field = text_field(name).ok_or_else(|| match subfield(name) {
            Some(f) => ParseError::UnknownField { name: excerpt(name), meant: Some(f.name()) },
            None => unknown(name),
        })?;
        settable(field)?;
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

    fn load(&mut self, text: &str) -> Result<(), ParseError> {
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
    fn loads(&mut self, field: &'static TextField, value: u128, mask: u128) -> Result<(), ParseError> {
        let held = whole(field.id).0;
        let (mut at, mut done) = (0, false);
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
            if mask != Value(0) {
                done = true;
                self.push(Action::Load { field: field.id, value: Value(value & mask.0), mask })?;
            }
        }
        // Even a change of no bit has to be one that is possible.
        if done {
            Ok(())
        } else {
            self.context.check(&Action::Load { field: field.id, value: Value(0), mask: Value(0) })
        }
    }

    fn resubmit(&mut self, text: &str) -> Result<(), ParseError> {
        let mut parts = text.splitn(4, ',');
        let port = match parts.next() {
            None | Some("") => None,
            Some(s) => Some(
                port(s, self.ports)
                    .ok_or_else(|| ParseError::UnknownPort { key: "resubmit".to_owned(), port: excerpt(s) })?,
            ),
        };
        let port = port.filter(|p| *p != OfPort::IN_PORT);
        let table = match parts.next() {
            None | Some("") => None,
            Some(s) => Some(table_number("resubmit", s)?).filter(|t| *t != u8::MAX),
        };
        match parts.next() {
            None | Some("") => {}
            Some("ct") => return Err(ParseError::UnsupportedForm { action: "resubmit", form: "ct" }),
            Some(other) => return Err(ParseError::bad_value("resubmit", other, "resubmit(PORT,TABLE)")),
        }
        if port.is_none() && table.is_none() {
            return Err(ParseError::NoValue {
                key: "resubmit".to_owned(),
                accepted: "resubmit:PORT, resubmit(,TABLE) or resubmit(PORT,TABLE)",
            });
        }
        self.push(Action::Resubmit { port, table, ct: false })
    }

    fn goto_table(&mut self, text: &str) -> Result<(), ParseError> {
        let to = table_number("goto_table", text)?;
        if to == u8::MAX {
            return Err(ParseError::bad_value("goto_table", text, "a table of 0 to 254"));
        }
        if to <= self.table {
            return Err(ParseError::NotLater { from: self.table, to });
        }
        self.push(Action::GotoTable(to))
    }
}

/// A table number, 255 included.
pub(super) fn table_number(key: &str, text: &str) -> Result<u8, ParseError> {
    let number = if text.starts_with('-') { None } else { whole_int(text, 10) };
    number
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| ParseError::bad_value(key, text, "a table number of 0 to 254"))
}

/// The bits of a field that an action can change.
pub(super) fn whole(field: FieldId) -> Value {
    if field == FieldId::IpTos { Value(0xfc) } else { field.def().ones() }
}

/// The two sides of `VALUE->FIELD`.
fn arrow<'t>(action: &'static str, text: &'t str) -> Result<(&'t str, &'t str), ParseError> {
    text.split_once("->").filter(|(_, name)| !name.is_empty()).ok_or_else(|| {
        let form = if action == "load" { "NUMBER->FIELD[FIRST..LAST]" } else { "VALUE->FIELD" };
        ParseError::bad_value(action, text, form)
    })
}

fn settable(field: &TextField) -> Result<(), ParseError> {
    match field.form {
        Form::DlVlan => Err(ParseError::Misplaced { key: "dl_vlan", remedy: "set `vlan_vid`, or use `mod_vlan_vid`" }),
        Form::DlVlanPcp => {
            Err(ParseError::Misplaced { key: "dl_vlan_pcp", remedy: "set `vlan_pcp`, or use `mod_vlan_pcp`" })
        }
        _ if !field.def().writable => Err(ParseError::ReadOnly(text_of(field.id).map_or("", |f| f.name()))),
        _ => Ok(()),
    }
}
