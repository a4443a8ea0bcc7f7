//! What is known of a packet while the actions of a rule are executed: its match, and the tags put on and taken off.

use super::error::ParseError;
use super::names::text_of;
use super::ports::can_send;
use crate::action::Action;
use crate::field::{FieldId, Prereq};
use crate::key::VlanTag;
use crate::matching::Match;

/// The most tags that are handled.
const TAGS: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    m: &'a Match,
    /// Whether there is surely an outer tag, and one behind it.
    tags: [bool; TAGS],
}

impl<'a> Context<'a> {
    pub fn new(m: &'a Match) -> Context<'a> {
        Context { m, tags: [m.key.vlans[0].is_present(), m.key.vlans[1].is_present()] }
    }

    /// Whether there is surely a tag.
    pub fn is_tagged(&self) -> bool {
        self.tags[0]
    }

    /// IP protocol, if the match says it.
    pub fn l4(&self) -> Option<u8> {
        let proto = self.m.key.nw_proto;
        [Prereq::Tcp, Prereq::Udp, Prereq::Sctp].into_iter().any(|p| self.m.satisfies(p)).then_some(proto)
    }

    /// Refuse an action that needs what the match and the actions before it do not give.
    pub fn check(&self, action: &Action) -> Result<(), ParseError> {
        match action {
            Action::Output(port) if !can_send(*port) => Err(ParseError::bad_value(
                "output",
                &port.to_string(),
                "a number below 65280, a port's name, IN_PORT, TABLE, NORMAL, FLOOD, ALL, CONTROLLER or LOCAL",
            )),
            Action::PushVlan(_) if self.tags[TAGS - 1] => Err(ParseError::TooManyTags(TAGS)),
            Action::PopVlan if !self.is_tagged() => Err(needs_tag("pop_vlan")),
            Action::DecTtl if !self.m.satisfies(Prereq::Ip) => Err(needs("dec_ttl".to_owned(), Prereq::Ip)),
            Action::SetNwTtl(_) if !self.m.satisfies(Prereq::Ip) => Err(needs("mod_nw_ttl".to_owned(), Prereq::Ip)),
            Action::SetField { field, .. } | Action::Load { field, .. } => self.check_set(*field),
            _ => Ok(()),
        }
    }

    fn check_set(&self, field: FieldId) -> Result<(), ParseError> {
        let name = text_of(field).map_or(field.def().name, |t| t.name());
        match field.def().prereq {
            _ if field == FieldId::CtMark => Err(ParseError::Prerequisite {
                what: name.to_owned(),
                needs: "a `ct` action around it",
                remedy: "set it inside `ct(commit,exec(...))`",
            }),
            Prereq::VlanVid if !self.is_tagged() => Err(needs_tag(name)),
            _ if field == FieldId::VlanVid && !self.is_tagged() => Err(needs_tag(name)),
            Prereq::VlanVid => Ok(()),
            prereq if !self.m.satisfies(prereq) => Err(needs(name.to_owned(), prereq)),
            _ => Ok(()),
        }
    }

    /// Go on behind an action.
    pub fn pass(&mut self, action: &Action) {
        match action {
            Action::PushVlan(_) => self.tags = [true, self.tags[0]],
            Action::PopVlan => self.tags = [self.tags[1], false],
            Action::ModVlanVid(_) | Action::ModVlanPcp(_) => self.tags[0] = true,
            Action::SetField { field: FieldId::VlanTci, value, .. }
            | Action::Load { field: FieldId::VlanTci, value, .. } => {
                self.tags[0] = value.0 & u128::from(VlanTag::PRESENT) != 0;
            }
            _ => {}
        }
    }
}

fn needs(what: String, prereq: Prereq) -> ParseError {
    ParseError::Prerequisite { what, needs: prereq.text(), remedy: "add it to the match" }
}

fn needs_tag(what: &str) -> ParseError {
    ParseError::Prerequisite {
        what: what.to_owned(),
        needs: "a VLAN tag",
        remedy: "match `dl_vlan=ID` or `vlan_tci=0x1000/0x1000`, or put `push_vlan:0x8100` before it",
    }
}
