//! `learn`.

use super::super::format::{Field, Hex};
use super::super::names::text_of;
use super::set::Part;
use crate::action::{Learn, LearnSource, LearnSpec, LearnTarget, SubField};
use crate::rule::DEFAULT_PRIORITY;
use crate::value::Value;
use std::fmt::{self, Display, Formatter};

/// The action as text.
pub(super) struct Text<'a>(pub &'a Learn);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let learn = self.0;
        write!(f, "learn(table={}", learn.table)?;
        let timeouts = [
            ("idle_timeout", learn.idle_timeout),
            ("hard_timeout", learn.hard_timeout),
            ("fin_idle_timeout", learn.fin_idle_timeout),
            ("fin_hard_timeout", learn.fin_hard_timeout),
        ];
        for (name, seconds) in timeouts.into_iter().filter(|(_, seconds)| *seconds != 0) {
            write!(f, ",{name}={seconds}")?;
        }
        if learn.priority != DEFAULT_PRIORITY {
            write!(f, ",priority={}", learn.priority)?;
        }
        if learn.send_flow_rem {
            f.write_str(",send_flow_rem")?;
        }
        if learn.delete_learned {
            f.write_str(",delete_learned")?;
        }
        if learn.cookie != 0 {
            write!(f, ",cookie={:#x}", learn.cookie)?;
        }
        if learn.limit != 0 {
            write!(f, ",limit={}", learn.limit)?;
        }
        if let Some(result) = &learn.result {
            write!(f, ",result_dst={}", Part(result))?;
        }
        for spec in &learn.specs {
            f.write_str(",")?;
            element(spec, f)?;
        }
        f.write_str(")")
    }
}

fn element(spec: &LearnSpec, f: &mut Formatter<'_>) -> fmt::Result {
    match (&spec.source, &spec.target) {
        (LearnSource::Immediate(value), LearnTarget::Match(part)) if is_whole(part) => {
            let name = text_of(part.field).map_or(part.field.def().name, |t| t.name());
            write!(f, "{name}={}", Field(part.field, *value, part.field.def().ones()))
        }
        (LearnSource::Immediate(value), LearnTarget::Match(part)) => {
            write!(f, "{}={}", Part(part), Hex(low(*value, spec.bits)))
        }
        (LearnSource::Field(from), LearnTarget::Match(part)) if from == part => Part(part).fmt(f),
        (LearnSource::Field(from), LearnTarget::Match(part)) => write!(f, "{}={}", Part(part), Part(from)),
        (LearnSource::Immediate(value), LearnTarget::Load(part)) => {
            write!(f, "load:{}->{}", Hex(low(*value, spec.bits)), Part(part))
        }
        (LearnSource::Field(from), LearnTarget::Load(part)) => write!(f, "load:{}->{}", Part(from), Part(part)),
        (LearnSource::Field(from), LearnTarget::Output) => write!(f, "output:{}", Part(from)),
        // No message and no text can say it: the port's number as a value.
        (LearnSource::Immediate(value), LearnTarget::Output) => write!(f, "output:{}", value.0),
    }
}

fn low(value: Value, bits: u16) -> u128 {
    value.0 & Value::ones(bits).0
}

fn is_whole(part: &SubField) -> bool {
    part.first == 0 && part.bits == text_of(part.field).map_or(part.field.def().bits, |t| t.bits)
}
