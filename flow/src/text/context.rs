//! What is known of a packet while the actions of a rule are executed: its match, and the tags put on and taken off.

use super::error::ParseError;
use super::names::text_of;
use super::ports::can_send;
use crate::action::{Action, SubField};
use crate::field::{FieldId, Prereq};
use crate::key::{VlanTag, ct_state};
use crate::matching::Match;
use crate::port::OfPort;

/// The most tags that are handled.
const TAGS: usize = 2;

/// How much of a list is held against the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    All,
    /// As OpenFlow 1.0: taking off a tag and decrementing a TTL do nothing to other packets. So a match may leave open whether
    /// there is a tag or a TTL; one that says that there is none is refused here, though not by Open vSwitch.
    OpenFlow10,
    /// An action set: what it is executed on is not known when it is written.
    ActionSet,
    /// Nothing, as Open vSwitch does it inside `ct` with a zone from a field.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    m: &'a Match,
    /// Whether there is surely an outer tag, and one behind it.
    tags: [bool; TAGS],
    care: Care,
}

impl<'a> Context<'a> {
    pub fn new(m: &'a Match) -> Context<'a> {
        Context { m, tags: [m.key.vlans[0].is_present(), m.key.vlans[1].is_present()], care: Care::All }
    }

    /// For a list inside this one, from here.
    pub fn inside(&self, care: Care) -> Context<'a> {
        let care = match (self.care, care) {
            (Care::OpenFlow10, Care::All) => Care::OpenFlow10,
            (Care::All | Care::OpenFlow10, inner) => inner,
            (outer, _) => outer,
        };
        Context { care, ..*self }
    }

    pub fn matching(&self) -> &'a Match {
        self.m
    }

    /// Whether there is surely a tag.
    pub fn is_tagged(&self) -> bool {
        self.tags[0]
    }

    /// Whether actions are held against the match.
    pub fn cares(&self) -> bool {
        self.care != Care::Nothing
    }

    /// IP protocol, if the match says it.
    pub fn l4(&self) -> Option<u8> {
        let proto = self.m.key.nw_proto;
        [Prereq::Tcp, Prereq::Udp, Prereq::Sctp].into_iter().any(|p| self.m.satisfies(p)).then_some(proto)
    }

    /// Refuse an action that needs what the match and the actions before it do not give.
    pub fn check(&self, action: &Action) -> Result<(), ParseError> {
        match action {
            Action::Output(port) | Action::OutputTruncated { port, .. } if !can_send(*port) => {
                Err(ParseError::bad_value(
                    "output",
                    &port.to_string(),
                    "a number below 65280, a port's name, IN_PORT, TABLE, NORMAL, FLOOD, ALL, CONTROLLER or LOCAL",
                ))
            }
            Action::Enqueue { port, .. }
                if *port >= OfPort::MAX && *port != OfPort::IN_PORT && *port != OfPort::LOCAL =>
            {
                Err(ParseError::bad_value(
                    "enqueue",
                    &port.to_string(),
                    "a number below 65280, a port's name, IN_PORT or LOCAL",
                ))
            }
            Action::CheckPktLarger { result, .. } => writable(result),
            Action::Move { from, to } => self.check_read(from).and_then(|()| self.check_write(to)),
            Action::Pop(part) => self.check_write(part),
            _ if self.care == Care::Nothing => Ok(()),
            Action::PushVlan(_) if self.tags[TAGS - 1] => Err(ParseError::TooManyTags(TAGS)),
            Action::PopVlan if !self.is_tagged() && !self.leaves_open(FieldId::VlanTci, VlanTag::PRESENT.into()) => {
                Err(needs_tag("pop_vlan"))
            }
            Action::DecTtl | Action::DecTtlControllers(_) => self.check_ip("dec_ttl"),
            Action::SetNwTtl(_) => self.check_ip("mod_nw_ttl"),
            Action::SetField { field, .. } | Action::Load { field, .. } => self.check_set(*field),
            Action::OutputField { port, .. } => self.check_read(port),
            Action::Push(part) => self.check_read(part),
            Action::Resubmit { ct: true, .. } if !self.m.satisfies(Prereq::CtIp) => {
                Err(needs("resubmit(...,ct)".to_owned(), Prereq::CtIp))
            }
            _ => Ok(()),
        }
    }

    /// Whether something that these bits of the match would say need not be known.
    fn leaves_open(&self, field: FieldId, bits: u128) -> bool {
        match self.care {
            Care::All => false,
            Care::OpenFlow10 => self.m.get(field).1.0 & bits == 0,
            Care::ActionSet | Care::Nothing => true,
        }
    }

    /// In an action set, dec_ttl and mod_nw_ttl of other packets do nothing.
    fn check_ip(&self, name: &str) -> Result<(), ParseError> {
        if !self.m.satisfies(Prereq::Ip) && !self.leaves_open(FieldId::EthType, 0xffff) {
            return Err(needs(name.to_owned(), Prereq::Ip));
        }
        Ok(())
    }

    fn check_set(&self, field: FieldId) -> Result<(), ParseError> {
        if field == FieldId::VlanVid && !self.is_tagged() {
            return Err(needs_tag("vlan_vid"));
        }
        self.check_exists(field)
    }

    /// Refuse to read bits that the packet may not have.
    pub fn check_read(&self, part: &SubField) -> Result<(), ParseError> {
        if self.care == Care::Nothing { Ok(()) } else { self.check_exists(part.field) }
    }

    /// Refuse to write bits that the packet may not have, or that cannot be written.
    pub fn check_write(&self, part: &SubField) -> Result<(), ParseError> {
        writable(part)?;
        self.check_read(part)
    }

    fn check_exists(&self, field: FieldId) -> Result<(), ParseError> {
        let name = text_of(field).map_or(field.def().name, |t| t.name());
        match field.def().prereq {
            // The id of a packet without tag is there, and 0.
            _ if field == FieldId::VlanVid => Ok(()),
            Prereq::VlanVid if self.is_tagged() => Ok(()),
            Prereq::VlanVid => Err(needs_tag(name)),
            prereq if !self.m.satisfies(prereq) => Err(needs(name.to_owned(), prereq)),
            _ => Ok(()),
        }
    }

    /// Whether the match is for packets of no valid connection only.
    pub fn is_invalid(&self) -> bool {
        self.m.key.ct_state.get() & ct_state::INVALID != 0
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

/// Refuse bits of a field that no action can change.
pub(super) fn writable(part: &SubField) -> Result<(), ParseError> {
    if part.field.def().writable {
        Ok(())
    } else {
        Err(ParseError::ReadOnly(text_of(part.field).map_or("", |f| f.name())))
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
