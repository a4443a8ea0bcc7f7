//! `ct` and `nat`.

use super::super::context::Care;
use super::super::error::ParseError;
use super::super::lex::Pairs;
use super::super::number::{scan, whole_int};
use super::tables::table_number;
use super::{Place, Reader};
use crate::action::{Action, Ct, CtAlg, CtZone, Nat, NatRange};
use crate::field::Prereq;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn zone_number(text: &str) -> Option<u16> {
    whole_int(text, 0).and_then(|n| u16::try_from(n).ok())
}

impl Reader<'_> {
    pub(super) fn ct(&mut self, text: &str) -> Result<(), ParseError> {
        let mut ct = Ct::default();
        // Open vSwitch does not hold what is inside against the match when the zone is from a field.
        let from_field = Pairs(text).any(|(key, value)| key == "zone" && zone_number(value).is_none());
        let care = if from_field { Care::Nothing } else { Care::All };
        for (key, value) in Pairs(text) {
            self.ct_key(&mut ct, care, key, value)?;
        }
        if ct.force && !ct.commit {
            return Err(ParseError::Prerequisite {
                what: "force".to_owned(),
                needs: "`commit`",
                remedy: "write `ct(commit,force,...)`",
            });
        }
        let plain_nat = matches!(ct.nat, None | Some(Nat::Existing));
        if !ct.commit && (!ct.exec.is_empty() || !plain_nat) {
            return Err(ParseError::Prerequisite {
                what: if plain_nat { "exec" } else { "nat" }.to_owned(),
                needs: "`commit`",
                remedy: "write `ct(commit,...)`",
            });
        }
        self.check_ct(&ct)?;
        self.spend(2 * super::ACTION_BYTES)?;
        self.push(Action::Ct(Box::new(ct)))
    }

    fn ct_key(&mut self, ct: &mut Ct, care: Care, key: &str, value: &str) -> Result<(), ParseError> {
        match key {
            "commit" => ct.commit = true,
            "force" => ct.force = true,
            "table" => {
                let table = table_number("table", value)?;
                if table == u8::MAX {
                    return Err(ParseError::bad_value("table", value, "a table of 0 to 254"));
                }
                ct.table = Some(table);
            }
            "zone" => match (zone_number(value), ct.zone) {
                // A field stays the zone.
                (Some(_), CtZone::Field(_)) => {}
                (Some(zone), CtZone::Fixed(_)) => ct.zone = CtZone::Fixed(zone),
                (None, _) => {
                    let part = self.part(value)?;
                    if part.bits != 16 {
                        return Err(ParseError::bad_value("zone", value, "0 to 65535, or 16 bits of a field"));
                    }
                    ct.zone = CtZone::Field(part);
                }
            },
            "alg" => {
                ct.alg = Some(match value {
                    "ftp" => CtAlg::Ftp,
                    "tftp" => CtAlg::Tftp,
                    _ => return Err(ParseError::bad_value("alg", value, "ftp or tftp")),
                });
            }
            "nat" => {
                let nat = nat(value)?;
                self.put_nat(ct, nat, 0, care)?;
            }
            "exec" => {
                let mut inner = self.inside(Place::Ct, care)?;
                inner.list(value)?;
                let (actions, nat) = (inner.out, inner.nat);
                if let Some((nat, at)) = nat {
                    self.put_nat(ct, nat, at, care)?;
                }
                ct.exec.extend(actions);
            }
            _ => {
                let accepted = "commit, force, table=, zone=, nat(...), exec(...) or alg=";
                return Err(ParseError::bad_value("ct", key, accepted));
            }
        }
        Ok(())
    }

    /// `nat` as an action: inside `exec` only.
    pub(super) fn nat_action(&mut self, text: &str) -> Result<(), ParseError> {
        if self.place != Place::Ct {
            return Err(ParseError::Misplaced { key: "nat", remedy: "write it inside `ct(...)`" });
        }
        let nat = nat(text)?;
        if self.nat.replace((nat, self.out.len())).is_some() {
            return Err(ParseError::Twice("nat"));
        }
        Ok(())
    }

    fn put_nat(&mut self, ct: &mut Ct, nat: Nat, at: usize, care: Care) -> Result<(), ParseError> {
        if ct.nat.replace(nat).is_some() {
            return Err(ParseError::Twice("nat"));
        }
        ct.nat_at = ct.exec.len() + at;
        let (Nat::Source(range) | Nat::Destination(range)) = nat else { return Ok(()) };
        let needs = match range.addresses {
            Some((IpAddr::V4(_), _)) => Prereq::Ipv4,
            Some((IpAddr::V6(_), _)) => Prereq::Ipv6,
            None => return Ok(()),
        };
        if care == Care::Nothing || !self.context.cares() || self.context.matching().satisfies(needs) {
            return Ok(());
        }
        Err(ParseError::Prerequisite { what: "nat".to_owned(), needs: needs.text(), remedy: "add it to the match" })
    }

    fn check_ct(&self, ct: &Ct) -> Result<(), ParseError> {
        if !self.context.cares() {
            return Ok(());
        }
        let m = self.context.matching();
        let needs = |what: &str, needs| {
            Err(ParseError::Prerequisite { what: what.to_owned(), needs, remedy: "add it to the match" })
        };
        if !m.satisfies(Prereq::Ip) {
            return needs("ct", Prereq::Ip.text());
        }
        if ct.commit && self.context.is_invalid() {
            return Err(ParseError::Prerequisite {
                what: "commit".to_owned(),
                needs: "a connection that may be valid",
                remedy: "remove `+inv` from `ct_state`",
            });
        }
        match ct.alg {
            Some(CtAlg::Ftp) if m.key.nw_proto != 6 => return needs("alg=ftp", "`tcp` or `tcp6`"),
            Some(CtAlg::Tftp) if m.key.nw_proto != 17 => return needs("alg=tftp", "`udp` or `udp6`"),
            _ => {}
        }
        match &ct.zone {
            CtZone::Field(part) => self.context.check_read(part),
            CtZone::Fixed(_) => Ok(()),
        }
    }
}

/// `nat`, `nat(src=RANGE,...)` or `nat(dst=RANGE,...)`.
fn nat(text: &str) -> Result<Nat, ParseError> {
    let accepted = "nat, nat(src=ADDRESS[-ADDRESS][:PORT[-PORT]]) or nat(dst=...), with persistent, hash or random";
    let bad = || ParseError::bad_value("nat", text, accepted);
    let (mut source, mut destination, mut range) = (false, false, NatRange::default());
    for (key, value) in Pairs(text) {
        match key {
            "src" | "dst" => {
                source |= key == "src";
                destination |= key == "dst";
                (range.addresses, range.ports) = nat_range(value).ok_or_else(bad)?;
            }
            "persistent" => range.persistent = true,
            "hash" => range.hash = true,
            "random" => range.random = true,
            _ => return Err(bad()),
        }
    }
    match (source, destination) {
        _ if range.hash && range.random => Err(bad()),
        (true, false) => Ok(Nat::Source(range)),
        (false, true) => Ok(Nat::Destination(range)),
        (false, false) if range == NatRange::default() => Ok(Nat::Existing),
        _ => Err(bad()),
    }
}

type Range = (Option<(IpAddr, IpAddr)>, Option<(u16, u16)>);

/// `ADDRESS[-ADDRESS][:PORT[-PORT]]`, or nothing. The unspecified address is no range, port 0 no port.
fn nat_range(text: &str) -> Option<Range> {
    if text.is_empty() {
        return Some((None, None));
    }
    let (first, mut rest) = address(text)?;
    let mut last = None;
    if let Some(behind) = rest.strip_prefix('-') {
        let (address, behind) = address(behind)?;
        if address < first || address.is_ipv4() != first.is_ipv4() {
            return None;
        }
        last = Some(address);
        rest = behind;
    }
    let mut ports = (0, None);
    if let Some(behind) = rest.strip_prefix(':') {
        let (port, _, behind) = scan(behind, 10)?;
        ports.0 = port as u16;
        rest = behind;
        if let Some(behind) = rest.strip_prefix('-') {
            let (port, _, behind) = scan(behind, 10)?;
            if (port as u16) < ports.0 {
                return None;
            }
            ports.1 = Some(port as u16);
            rest = behind;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let any = first.is_unspecified();
    match (last, ports) {
        // A message cannot have an end without a beginning.
        (Some(last), _) if any && !last.is_unspecified() => None,
        (_, (port, end)) if any && (port != 0 || end.is_some_and(|e| e != 0)) => None,
        (_, (0, Some(1..))) => None,
        (_, (port, end)) => {
            let ports = (port != 0).then_some((port, end.unwrap_or(port)));
            Some(((!any).then_some((first, last.unwrap_or(first))), ports))
        }
    }
}

/// An address, and what follows it.
fn address(text: &str) -> Option<(IpAddr, &str)> {
    if let Some((v4, rest)) = ipv4(text) {
        return Some((IpAddr::V4(v4), rest));
    }
    let (inner, bracket) = match text.strip_prefix('[') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let end = inner.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').unwrap_or(inner.len());
    let (address, rest) = inner.split_at(end);
    let rest = if bracket { rest.strip_prefix(']')? } else { rest };
    Some((IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), rest))
}

fn ipv4(text: &str) -> Option<(Ipv4Addr, &str)> {
    let (mut bytes, mut rest) = ([0u8; 4], text);
    for (i, byte) in bytes.iter_mut().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix('.')?;
        }
        let (number, _, behind) = scan(rest, 10)?;
        *byte = number as u8;
        rest = behind;
    }
    Some((Ipv4Addr::from(bytes), rest))
}
