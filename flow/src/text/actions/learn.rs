//! `learn`.

use super::super::context::{Context, writable};
use super::super::error::{Note, ParseError, excerpt};
use super::super::lex::Pairs;
use super::super::matches::{Part, read_part};
use super::super::names::text_of;
use super::super::number::{NumberError, int_string, strtoull};
use super::super::value::{accepted, field_masked};
use super::tables::table_number;
use super::{Reader, plain};
use crate::action::{Action, Learn, LearnSource, LearnSpec, LearnTarget, SubField};
use crate::matching::Match;
use crate::rule::DEFAULT_PRIORITY;
use crate::value::Value;

/// Bytes of one element in a message: header, source and destination.
const SPEC_BYTES: usize = 14;

impl Reader<'_> {
    pub(super) fn learn(&mut self, text: &str) -> Result<(), ParseError> {
        let mut learn = Learn {
            table: 1,
            priority: DEFAULT_PRIORITY,
            cookie: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            send_flow_rem: false,
            delete_learned: false,
            limit: 0,
            result: None,
            specs: Vec::new(),
        };
        for (key, value) in Pairs(text) {
            self.learn_key(&mut learn, key, value)?;
        }
        check(&learn, &self.context)?;
        self.spend(2 * super::ACTION_BYTES)?;
        self.push(Action::Learn(Box::new(learn)))
    }

    fn learn_key(&mut self, learn: &mut Learn, key: &str, value: &str) -> Result<(), ParseError> {
        match key {
            "table" => {
                learn.table = table_number("table", value)?;
                if learn.table == u8::MAX {
                    return Err(ParseError::bad_value("table", value, "a table of 0 to 254"));
                }
            }
            "priority" => learn.priority = self.atoi(key, value, 16) as u16,
            "idle_timeout" => learn.idle_timeout = self.atoi(key, value, 16) as u16,
            "hard_timeout" => learn.hard_timeout = self.atoi(key, value, 16) as u16,
            "fin_idle_timeout" => learn.fin_idle_timeout = self.atoi(key, value, 16) as u16,
            "fin_hard_timeout" => learn.fin_hard_timeout = self.atoi(key, value, 16) as u16,
            "limit" => learn.limit = self.atoi(key, value, 32),
            "cookie" => {
                let (cookie, rest) = match strtoull(value, 0) {
                    Ok(read) => read,
                    Err(NumberError::Range) => (u64::MAX, value),
                    Err(NumberError::Syntax) => (0, value),
                };
                if !rest.is_empty() {
                    self.notes.push(Note::Ignored { key: key.to_owned(), value: excerpt(value) });
                }
                learn.cookie = cookie;
            }
            "send_flow_rem" => learn.send_flow_rem = true,
            "delete_learned" => learn.delete_learned = true,
            "result_dst" => {
                let result = self.part(value)?;
                writable(&result)?;
                if result.bits != 1 {
                    return Err(ParseError::bad_value(key, value, "one bit, like reg0[0]"));
                }
                learn.result = Some(result);
            }
            _ => {
                self.spend(SPEC_BYTES)?;
                let spec = self.spec(key, value)?;
                learn.specs.push(spec);
            }
        }
        Ok(())
    }

    fn spec(&mut self, key: &str, value: &str) -> Result<LearnSpec, ParseError> {
        match read_part(key) {
            Ok(to) => self.match_spec(to, key, value),
            Err(_) if key == "load" => self.load_spec(value),
            Err(_) if key == "output" => {
                let from = numbered(self.part(value)?)?;
                Ok(LearnSpec { source: LearnSource::Field(from), target: LearnTarget::Output, bits: from.bits })
            }
            Err(ParseError::UnknownField { name, meant: None }) => Err(ParseError::bad_value(
                "learn",
                &name,
                "a field, `load:VALUE->FIELD`, `output:FIELD`, or a key like `table=`, `priority=`, `idle_timeout=`",
            )),
            Err(error) => Err(error),
        }
    }

    /// `FIELD`, `FIELD=FIELD` or `FIELD=VALUE`.
    fn match_spec(&mut self, to: Part, key: &str, value: &str) -> Result<LearnSpec, ParseError> {
        plain(to.field)?;
        let part = numbered(SubField { field: to.field.id, first: to.first, bits: to.bits })?;
        let spec = |source| LearnSpec { source, target: LearnTarget::Match(part), bits: part.bits };
        if value.is_empty() {
            return Ok(spec(LearnSource::Field(part)));
        }
        if let Ok(from) = self.part(value) {
            let from = numbered(from)?;
            if from.bits != part.bits {
                let wanted = format!("{} bits ({} are given)", part.bits, from.bits);
                return Err(ParseError::bad_value(key, value, wanted));
            }
            return Ok(spec(LearnSource::Field(from)));
        }
        let number = if to.first == 0 && to.bits == to.field.bits {
            let read = field_masked(to.field, key, value, self.ports, self.notes)?;
            if !read.exact {
                return Err(ParseError::BadMask { key: excerpt(key), value: excerpt(value) });
            }
            read.value
        } else {
            match int_string(value, to.field.bytes) {
                Ok((number, "")) if number & !Value::ones(to.bits).0 == 0 => number,
                _ => {
                    return Err(ParseError::bad_value(key, value, format!("a field, or a number of {} bits", to.bits)));
                }
            }
        };
        if number >> (u32::from(to.field.bytes) * 8 - 1) > 1 {
            return Err(ParseError::bad_value(key, value, accepted(to.field)));
        }
        Ok(spec(LearnSource::Immediate(Value(number))))
    }

    /// `load:VALUE->FIELD` or `load:FIELD->FIELD`.
    fn load_spec(&mut self, text: &str) -> Result<LearnSpec, ParseError> {
        let form = || ParseError::bad_value("load", text, "load:VALUE->FIELD or load:FIELD->FIELD");
        let (from, to) = text.split_once("->").filter(|(from, _)| !from.is_empty()).ok_or_else(form)?;
        let (source, target) = match int_string(text, 16) {
            Ok((number, rest)) => {
                let target = numbered(self.part(to)?)?;
                if rest.len() != to.len() + 2 || number & !Value::ones(target.bits).0 != 0 {
                    return Err(ParseError::bad_value("load", text, format!("a number of {} bits", target.bits)));
                }
                (LearnSource::Immediate(Value(number)), target)
            }
            Err(_) => {
                let (from, target) = (numbered(self.part(from)?)?, numbered(self.part(to)?)?);
                if from.bits != target.bits {
                    let wanted = format!("as many bits on both sides ({} and {} are given)", from.bits, target.bits);
                    return Err(ParseError::bad_value("load", text, wanted));
                }
                (LearnSource::Field(from), target)
            }
        };
        Ok(LearnSpec { source, target: LearnTarget::Load(target), bits: target.bits })
    }
}

/// Refuse fields whose number does not fit an element: those of experimenters.
fn numbered(part: SubField) -> Result<SubField, ParseError> {
    match text_of(part.field) {
        Some(text) if text.oxm.first().is_some_and(|name| name.starts_with("NXM_") || name.starts_with("OXM_")) => {
            Ok(part)
        }
        _ => Err(ParseError::bad_value("learn", part.field.def().name, "another field: this one cannot be learned")),
    }
}

/// Whether what is learned from is there, and whether the learned rule can match and set what it is to.
fn check(learn: &Learn, context: &Context) -> Result<(), ParseError> {
    if !context.cares() {
        return Ok(());
    }
    let mut learned = Match::default();
    for spec in &learn.specs {
        if let LearnSource::Field(from) = &spec.source {
            context.check_read(from)?;
        }
        match &spec.target {
            LearnTarget::Match(part) => {
                Context::new(&learned).check_read(part)?;
                if let LearnSource::Immediate(value) = spec.source {
                    let (had, mask) = learned.get(part.field);
                    let ones = part.mask().0;
                    let value = had.0 & !ones | value.0 << part.first & ones;
                    learned.set(part.field, Value(value), Value(mask.0 | ones));
                }
            }
            LearnTarget::Load(part) => Context::new(&learned).check_write(part)?,
            LearnTarget::Output => {}
        }
    }
    Ok(())
}
