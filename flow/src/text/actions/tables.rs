//! Going on elsewhere: resubmit, goto_table, and what is told to later tables.

use super::super::context::Care;
use super::super::error::{ParseError, excerpt};
use super::super::number::{whole_int, whole_u64};
use super::super::ports::port;
use super::{Place, Reader};
use crate::action::Action;
use crate::port::OfPort;

impl Reader<'_> {
    pub(super) fn resubmit(&mut self, text: &str) -> Result<(), ParseError> {
        let mut parts = text.split(',');
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
        let ct = match parts.next() {
            None | Some("") => false,
            Some("ct") => true,
            Some(other) => return Err(ParseError::bad_value("resubmit", other, "resubmit(PORT,TABLE,ct)")),
        };
        if port.is_none() && table.is_none() {
            return Err(ParseError::NoValue {
                key: "resubmit".to_owned(),
                accepted: "resubmit:PORT, resubmit(,TABLE) or resubmit(PORT,TABLE)",
            });
        }
        self.push(Action::Resubmit { port, table, ct })
    }

    pub(super) fn goto_table(&mut self, text: &str) -> Result<(), ParseError> {
        let to = table_number("goto_table", text)?;
        if to == u8::MAX {
            return Err(ParseError::bad_value("goto_table", text, "a table of 0 to 254"));
        }
        if self.place == Place::Rule && to <= self.table {
            return Err(ParseError::NotLater { from: self.table, to });
        }
        self.push(Action::GotoTable(to))
    }

    pub(super) fn write_metadata(&mut self, text: &str) -> Result<(), ParseError> {
        let number =
            |s| whole_u64(s).ok_or_else(|| ParseError::bad_value("write_metadata", text, "VALUE or VALUE/MASK"));
        let (value, mask) = match text.split_once('/') {
            Some((value, mask)) => (number(value)?, number(mask)?),
            None => (number(text)?, u64::MAX),
        };
        self.push(Action::WriteMetadata { value, mask })
    }

    /// `write_actions(...)`. Without content it is no instruction, though it has its place in the order.
    pub(super) fn write_actions(&mut self, text: &str) -> Result<(), ParseError> {
        self.allow(&Action::WriteActions(Vec::new()))?;
        let mut inner = self.inside(Place::WriteActions, Care::ActionSet)?;
        inner.list(text)?;
        let actions = inner.out;
        if !actions.is_empty() {
            self.spend(super::ACTION_BYTES)?;
            self.out.push(Action::WriteActions(actions));
        }
        Ok(())
    }

    pub(super) fn clone_action(&mut self, text: &str) -> Result<(), ParseError> {
        let mut inner = self.inside(Place::Clone, Care::All)?;
        inner.list(text)?;
        let actions = inner.out;
        self.push(Action::Clone(actions))
    }
}

/// A table number, 255 included.
pub(in crate::text) fn table_number(key: &str, text: &str) -> Result<u8, ParseError> {
    let number = if text.starts_with('-') { None } else { whole_int(text, 10) };
    number
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| ParseError::bad_value(key, text, "a table number of 0 to 254"))
}
