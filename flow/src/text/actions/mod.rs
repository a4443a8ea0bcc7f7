//! Actions.
//!
//! One file a family: `output`, `set` (fields and tags), `tables` (resubmit, goto_table), `learn`, `ct`, `bundle`,
//! `misc`. This one splits a list, keeps its rules of order and nesting, and counts.

mod bundle;
mod ct;
mod learn;
mod misc;
pub(super) mod names;
mod output;
mod set;
mod tables;

use super::context::{Care, Context};
use super::error::{Note, ParseError, excerpt};
use super::lex::Pairs;
use super::matches::{Part, read_part};
use super::names::{Form, TextField, text_of};
use super::number::{scan, whole_int, whole_u64};
use super::ports::{PortNames, port};
use crate::action::{Action, SubField};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::matching::Match;
use crate::value::Value;

pub(super) use bundle::{ALGORITHMS, HASHES};
pub(super) use output::REASONS;
pub(super) use set::whole;
pub(super) use tables::table_number;

/// More do not fit one OpenFlow message (64 KiB of 16-byte actions).
pub(super) const MOST_ACTIONS: usize = 4000;

/// Bytes of the smallest action in a message.
const ACTION_BYTES: usize = 16;

/// Lists inside lists, the outermost included.
const MOST_DEPTH: usize = 100;

/// Read a list of actions and instructions for packets of match `m` in `table`.
pub(super) fn actions(
    text: &str,
    m: &Match,
    table: u8,
    care: Care,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<Vec<Action>, ParseError> {
    read(text, m, table, Place::Rule, care, ports, notes)
}

/// Read the actions of a group's bucket: no instructions, and nothing is known of the packet.
pub(super) fn bucket_actions(
    text: &str,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<Vec<Action>, ParseError> {
    read(text, &Match::default(), 0, Place::Bucket, Care::Nothing, ports, notes)
}

fn read(
    text: &str,
    m: &Match,
    table: u8,
    place: Place,
    care: Care,
    ports: &dyn PortNames,
    notes: &mut Vec<Note>,
) -> Result<Vec<Action>, ParseError> {
    let mut left = MOST_ACTIONS * ACTION_BYTES;
    let context = Context::new(m).inside(care);
    let mut reader = Reader::new(context, table, place, ports, notes, &mut left);
    reader.list(text)?;
    Ok(reader.out)
}

/// Where a list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Rule,
    Bucket,
    Clone,
    WriteActions,
    /// `exec` of `ct`.
    Ct,
}

/// Steps of a rule in OpenFlow 1.3's order: its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Meter,
    Apply,
    Clear,
    Write,
    Metadata,
    Goto,
}

impl Step {
    fn of(action: &Action) -> Step {
        match action {
            Action::Meter(_) => Step::Meter,
            Action::ClearActions => Step::Clear,
            Action::WriteActions(_) => Step::Write,
            Action::WriteMetadata { .. } => Step::Metadata,
            Action::GotoTable(_) => Step::Goto,
            _ => Step::Apply,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Step::Meter => "meter",
            Step::Apply => "actions",
            Step::Clear => "clear_actions",
            Step::Write => "write_actions",
            Step::Metadata => "write_metadata",
            Step::Goto => "goto_table",
        }
    }
}

struct Reader<'a> {
    context: Context<'a>,
    table: u8,
    place: Place,
    /// Whether actions become those that OpenFlow 1.5 has: those of groups do, which are sent by it.
    openflow15: bool,
    depth: usize,
    ports: &'a dyn PortNames,
    notes: &'a mut Vec<Note>,
    /// Bytes left in the message.
    left: &'a mut usize,
    out: Vec<Action>,
    step: Option<Step>,
    drop: bool,
    other: bool,
    conjunction: bool,
    /// Something else than `conjunction` and `note`.
    ordinary: bool,
    /// In `exec` of `ct`: its `nat`, and how many actions come before that.
    nat: Option<(crate::action::Nat, usize)>,
}

impl<'a> Reader<'a> {
    fn new(
        context: Context<'a>,
        table: u8,
        place: Place,
        ports: &'a dyn PortNames,
        notes: &'a mut Vec<Note>,
        left: &'a mut usize,
    ) -> Reader<'a> {
        Reader {
            context,
            table,
            place,
            openflow15: place == Place::Bucket,
            depth: 0,
            ports,
            notes,
            left,
            out: Vec::new(),
            step: None,
            drop: false,
            other: false,
            conjunction: false,
            ordinary: false,
            nat: None,
        }
    }

    /// For a list inside this one, from here.
    fn inside(&mut self, place: Place, care: Care) -> Result<Reader<'_>, ParseError> {
        if self.depth + 1 >= MOST_DEPTH {
            return Err(ParseError::TooDeep(MOST_DEPTH));
        }
        let (context, depth, openflow15) = (self.context.inside(care), self.depth + 1, self.openflow15);
        let mut reader = Reader::new(context, self.table, place, self.ports, self.notes, self.left);
        (reader.depth, reader.openflow15) = (depth, openflow15);
        Ok(reader)
    }

    fn list(&mut self, text: &str) -> Result<(), ParseError> {
        for (key, value) in Pairs(text) {
            self.action(key, value)?;
        }
        if self.drop && self.other {
            return Err(ParseError::DropNotAlone);
        }
        if self.conjunction && self.ordinary {
            return Err(ParseError::ConjunctionNotAlone);
        }
        Ok(())
    }

    fn action(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        let name = if key.len() <= 16 { key.to_ascii_lowercase() } else { String::new() };
        if name == "drop" {
            self.drop = true;
            return Ok(());
        }
        self.other = true;
        match name.as_str() {
            "output" | "output_reg" => self.output(value),
            "controller" => self.controller(value),
            "enqueue" => self.enqueue(value),
            "group" => {
                let id = self.u32(&name, value)?;
                self.push(Action::Group(id))
            }
            "meter" => self.meter(value),
            "bundle" => self.bundle(value, false),
            "bundle_load" => self.bundle(value, true),
            "mod_dl_src" | "mod_dl_dst" | "mod_nw_src" | "mod_nw_dst" | "mod_nw_tos" | "mod_nw_ecn" | "mod_nw_ttl"
            | "set_nw_ttl" | "mod_tp_src" | "mod_tp_dst" | "mod_vlan_vid" | "mod_vlan_pcp" | "set_vlan_vid"
            | "set_vlan_pcp" => self.modify(&name, value),
            "strip_vlan" | "pop_vlan" => self.push(Action::PopVlan),
            "push_vlan" => self.push_vlan(value),
            "dec_ttl" => self.dec_ttl(value),
            "set_tunnel" | "set_tunnel64" => {
                let id = whole_u64(value).ok_or_else(|| ParseError::bad_value(&name, value, "a number of 64 bits"))?;
                self.push(Action::SetTunnel(id))
            }
            "set_field" => self.set_field(value),
            "load" => self.load(value),
            "move" => self.copy(value),
            "push" => {
                let part = self.part(value)?;
                self.push(Action::Push(part))
            }
            "pop" => {
                let part = self.part(value)?;
                self.push(Action::Pop(part))
            }
            "set_queue" => {
                let queue = self.u32(&name, value)?;
                self.push(Action::SetQueue(queue))
            }
            "pop_queue" => self.push(Action::PopQueue),
            "resubmit" => self.resubmit(value),
            "learn" => self.learn(value),
            "conjunction" => self.conjunction(value),
            "clone" => self.clone_action(value),
            "note" => self.note(value),
            "exit" => self.push(Action::Exit),
            "sample" => self.sample(value),
            "check_pkt_larger" => self.check_pkt_larger(value),
            "ct" => self.ct(value),
            "ct_clear" => self.push(Action::CtClear),
            "nat" => self.nat_action(value),
            "clear_actions" => self.push(Action::ClearActions),
            "write_actions" => self.write_actions(value),
            "write_metadata" => self.write_metadata(value),
            "goto_table" => self.goto_table(value),
            "apply_actions" => Err(ParseError::Misplaced {
                key: "apply_actions",
                remedy: "actions outside of `write_actions(...)` are applied: list them without it",
            }),
            _ => match (names::other_action(key), port(key, self.ports)) {
                (Some(other), _) => Err(ParseError::UnsupportedAction(other)),
                (None, Some(port)) => self.send(port, 0),
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
        if self.openflow15 { self.push_as_openflow15(action) } else { self.put(action) }
    }

    /// Put an action, or those that OpenFlow 1.5 has for it.
    fn push_as_openflow15(&mut self, action: Action) -> Result<(), ParseError> {
        let set = |field, value| Action::SetField { field, value: Value(value), mask: whole(field) };
        match action {
            // All of nw_tos is its DSCP.
            Action::Load { field: FieldId::IpTos, value, mask }
            | Action::SetField { field: FieldId::IpTos, value, mask }
                if mask.0 & 0xfc == 0xfc =>
            {
                self.put(set(FieldId::IpTos, value.0 & 0xfc))
            }
            // Text has no mask for some fields, though messages have.
            Action::Load { field, value, mask } | Action::SetField { field, value, mask } => {
                let own = matches!(field, FieldId::IpTos | FieldId::InPortOxm);
                let text = mask == whole(field) || field.def().maskable;
                self.put(if text && !own {
                    Action::SetField { field, value, mask }
                } else {
                    Action::Load { field, value, mask }
                })
            }
            Action::SetTunnel(id) => self.put(set(FieldId::TunId, u128::from(id))),
            Action::ModVlanVid(vid) => {
                self.put(Action::PushVlan(0x8100))?;
                self.put(set(FieldId::VlanVid, u128::from(vid | VlanTag::PRESENT)))
            }
            Action::ModVlanPcp(pcp) => {
                self.put(Action::PushVlan(0x8100))?;
                self.put(set(FieldId::VlanPcp, u128::from(pcp)))
            }
            Action::Enqueue { port, queue } => {
                self.context.check(&action)?;
                self.put(Action::SetQueue(queue))?;
                self.put(Action::Output(port))?;
                self.put(Action::PopQueue)
            }
            other => self.put(other),
        }
    }

    fn put(&mut self, action: Action) -> Result<(), ParseError> {
        self.allow(&action)?;
        self.context.check(&action)?;
        self.spend(ACTION_BYTES)?;
        self.context.pass(&action);
        self.out.push(action);
        Ok(())
    }

    /// Count bytes of a message.
    fn spend(&mut self, bytes: usize) -> Result<(), ParseError> {
        *self.left = self.left.checked_sub(bytes).ok_or(ParseError::TooManyActions(MOST_ACTIONS))?;
        Ok(())
    }

    /// Refuse an action that cannot be here: by its order, by what it is in, by what it is beside.
    fn allow(&mut self, action: &Action) -> Result<(), ParseError> {
        match action {
            Action::Conjunction { .. } => self.conjunction = true,
            Action::Note(_) => {}
            _ => self.ordinary = true,
        }
        let step = Step::of(action);
        let nested =
            |outer, remedy| Err(ParseError::Inside { action: super::print_actions::action(action), outer, remedy });
        const NO_INSTRUCTION: &str = "it is an instruction of the rule: move it out";
        match self.place {
            Place::Rule => {}
            // OpenFlow 1.5, which groups are sent by, has meters as actions.
            Place::Bucket if !matches!(step, Step::Apply | Step::Meter) => return nested("bucket", NO_INSTRUCTION),
            Place::Clone if step != Step::Apply => return nested("clone", NO_INSTRUCTION),
            Place::WriteActions if step != Step::Apply => return nested("write_actions", NO_INSTRUCTION),
            Place::WriteActions if !in_action_set(action) => {
                return nested(
                    "write_actions",
                    "an action set takes output, group, resubmit, ct, sets and tags: apply it",
                );
            }
            Place::Ct if !sets_connection(action) => {
                return nested("exec", "it sets `ct_mark` and `ct_label` only: move it out of `ct`");
            }
            _ => {}
        }
        if self.place != Place::Ct && sets_connection(action) {
            return Err(ParseError::Prerequisite {
                what: target(action).map_or_else(String::new, |f| f.to_string()),
                needs: "a `ct` action around it",
                remedy: "set it inside `ct(commit,exec(...))`",
            });
        }
        if let Some(last) = self.step
            && (step < last || step == last && last != Step::Apply)
        {
            return Err(match (step == last, last) {
                (true, _) if step != Step::Goto => ParseError::Twice(step.name()),
                (_, Step::Goto) => ParseError::NotLast(super::print_actions::action(action)),
                _ => ParseError::OutOfOrder(super::print_actions::action(action), last.name()),
            });
        }
        self.step = Some(step);
        Ok(())
    }

    /// A number up to `most`.
    fn small(&self, key: &str, text: &str, most: u16, accepted: &str) -> Result<u16, ParseError> {
        whole_int(text, 0)
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| *n <= most)
            .ok_or_else(|| ParseError::bad_value(key, text, accepted))
    }

    /// A number of 32 bits; of a longer one the low bits, noted.
    fn u32(&mut self, key: &str, text: &str) -> Result<u32, ParseError> {
        let number = whole_u64(text).ok_or_else(|| ParseError::bad_value(key, text, "a number of 32 bits"))?;
        if u32::try_from(number).is_err() {
            self.notes.push(Note::Cut { key: key.to_owned(), value: excerpt(text), bits: 32 });
        }
        Ok(number as u32)
    }

    /// A decimal number as atoi(3) reads it: what follows it is not read, without digits it is 0. Noted.
    fn atoi(&mut self, key: &str, text: &str, bits: u16) -> u32 {
        let (number, odd, rest) = scan(text, 10).unwrap_or((0, false, text));
        if !rest.is_empty() {
            self.notes.push(Note::Ignored { key: key.to_owned(), value: excerpt(text) });
        }
        let kept = number & Value::ones(bits).0 as u64;
        if odd || kept != number {
            self.notes.push(Note::Cut { key: key.to_owned(), value: excerpt(text), bits });
        }
        kept as u32
    }

    /// `FIELD`, `FIELD[]`, `FIELD[BIT]` or `FIELD[FIRST..LAST]`.
    fn part(&self, text: &str) -> Result<SubField, ParseError> {
        let Part { field, first, bits } = read_part(text)?;
        plain(field)?;
        Ok(SubField { field: field.id, first, bits })
    }
}

/// Refuse names of VLAN fields that are for matches only.
fn plain(field: &TextField) -> Result<(), ParseError> {
    match field.form {
        Form::DlVlan => Err(ParseError::Misplaced { key: "dl_vlan", remedy: "set `vlan_vid`, or use `mod_vlan_vid`" }),
        Form::DlVlanPcp => {
            Err(ParseError::Misplaced { key: "dl_vlan_pcp", remedy: "set `vlan_pcp`, or use `mod_vlan_pcp`" })
        }
        _ => Ok(()),
    }
}

/// Refuse fields that no action can change.
fn settable(field: &TextField) -> Result<(), ParseError> {
    plain(field)?;
    if !field.def().writable {
        return Err(ParseError::ReadOnly(text_of(field.id).map_or("", |f| f.name())));
    }
    Ok(())
}

/// The field that a set or move writes.
fn target(action: &Action) -> Option<FieldId> {
    match action {
        Action::SetField { field, .. } | Action::Load { field, .. } => Some(*field),
        Action::Move { to, .. } => Some(to.field),
        _ => None,
    }
}

fn sets_connection(action: &Action) -> bool {
    matches!(target(action), Some(FieldId::CtMark | FieldId::CtLabel))
}

/// Whether an action set can hold the action.
fn in_action_set(action: &Action) -> bool {
    match action {
        Action::Output(_)
        | Action::Group(_)
        | Action::SetField { .. }
        | Action::Load { .. }
        | Action::SetNwTtl(_)
        | Action::ModVlanVid(_)
        | Action::ModVlanPcp(_)
        | Action::PushVlan(_)
        | Action::PopVlan
        | Action::DecTtl
        | Action::DecTtlControllers(_)
        | Action::Move { .. }
        | Action::SetTunnel(_)
        | Action::SetQueue(_)
        | Action::Resubmit { .. }
        | Action::Ct(_)
        | Action::CtClear => true,
        // As an output to the controller only.
        Action::Controller(c) => c.is_plain(),
        _ => false,
    }
}

/// The two sides of `VALUE->FIELD`.
fn arrow<'t>(action: &'static str, text: &'t str) -> Result<(&'t str, &'t str), ParseError> {
    text.split_once("->").filter(|(_, name)| !name.is_empty()).ok_or_else(|| {
        let form = match action {
            "load" => "NUMBER->FIELD[FIRST..LAST]",
            "move" => "FIELD[FIRST..LAST]->FIELD[FIRST..LAST]",
            "check_pkt_larger" => "(LENGTH)->FIELD[BIT]",
            _ => "VALUE->FIELD",
        };
        ParseError::bad_value(action, text, form)
    })
}
