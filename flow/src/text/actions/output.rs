//! Outputs: to ports, to the controller, through queues, through meters.

use super::super::error::{ParseError, excerpt};
use super::super::lex::Pairs;
use super::super::number::hex_bytes;
use super::super::ports::port;
use super::Reader;
use crate::action::{Action, Controller, PacketInReason};
use crate::meter::MAX_METER;
use crate::port::OfPort;

/// The least that a packet can be cut to: an Ethernet header.
const LEAST_LEN: u32 = 14;

const LENGTH: &str = "a number of bytes up to 65535";

/// Reasons by name (ovs-actions(7), "controller").
pub(in crate::text) const REASONS: [(&str, PacketInReason); 6] = [
    ("no_match", PacketInReason::NoMatch),
    ("action", PacketInReason::Action),
    ("invalid_ttl", PacketInReason::InvalidTtl),
    ("action_set", PacketInReason::ActionSet),
    ("group", PacketInReason::Group),
    ("packet_out", PacketInReason::PacketOut),
];

impl Reader<'_> {
    pub(super) fn output(&mut self, text: &str) -> Result<(), ParseError> {
        if text.contains("port") && text.contains("max_len") {
            return self.output_truncated(text);
        }
        if let Some(port) = port(text, self.ports) {
            return self.send(port, u16::MAX);
        }
        match self.part(text) {
            Ok(port) => self.push(Action::OutputField { port, max_len: u16::MAX }),
            Err(ParseError::UnknownField { .. }) => {
                Err(ParseError::UnknownPort { key: "output".to_owned(), port: excerpt(text) })
            }
            Err(error) => Err(error),
        }
    }

    /// An output to a port; `max_len` counts for the controller.
    pub(super) fn send(&mut self, port: OfPort, max_len: u16) -> Result<(), ParseError> {
        self.push(if port == OfPort::CONTROLLER {
            Action::Controller(Box::new(Controller::new(max_len)))
        } else {
            Action::Output(port)
        })
    }

    /// `output(port=PORT,max_len=BYTES)`.
    fn output_truncated(&mut self, text: &str) -> Result<(), ParseError> {
        let (mut to, mut max_len) = (OfPort(0), 0);
        for (key, value) in Pairs(text) {
            match key {
                "port" => to = self.port("output", value)?,
                "max_len" => max_len = self.u32("max_len", value)?,
                _ => return Err(ParseError::bad_value("output", key, "output(port=PORT,max_len=BYTES)")),
            }
        }
        if to >= OfPort::MAX && to != OfPort::LOCAL && to != OfPort::IN_PORT {
            let accepted = "with a length: a port below 65280, LOCAL or IN_PORT";
            return Err(ParseError::bad_value("output", &to.to_string(), accepted));
        }
        if max_len < LEAST_LEN {
            let accepted = format!("at least {LEAST_LEN} bytes, an Ethernet header");
            return Err(ParseError::bad_value("max_len", &max_len.to_string(), accepted));
        }
        self.push(Action::OutputTruncated { port: to, max_len })
    }

    pub(super) fn port(&self, key: &str, text: &str) -> Result<OfPort, ParseError> {
        port(text, self.ports).ok_or_else(|| ParseError::UnknownPort { key: key.to_owned(), port: excerpt(text) })
    }

    /// `enqueue:PORT:QUEUE`, `enqueue(PORT,QUEUE)`, and `q` as separator too, as Open vSwitch has it.
    pub(super) fn enqueue(&mut self, text: &str) -> Result<(), ParseError> {
        const SEPARATORS: [char; 3] = [':', 'q', ','];
        let syntax = || ParseError::bad_value("enqueue", text, "enqueue:PORT:QUEUE or enqueue(PORT,QUEUE)");
        let (port, queue) = text.trim_start_matches(SEPARATORS).split_once(SEPARATORS).ok_or_else(syntax)?;
        if queue.is_empty() {
            return Err(syntax());
        }
        let port = self.port("enqueue", port)?;
        let queue = self.u32("enqueue", queue)?;
        self.push(Action::Enqueue { port, queue })
    }

    pub(super) fn meter(&mut self, text: &str) -> Result<(), ParseError> {
        match self.u32("meter", text)? {
            id @ 1..=MAX_METER => self.push(Action::Meter(id)),
            _ => Err(ParseError::bad_value("meter", text, format!("1 to {MAX_METER}"))),
        }
    }

    pub(super) fn controller(&mut self, text: &str) -> Result<(), ParseError> {
        let mut to = Controller::new(u16::MAX);
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            to.max_len = self.small("controller", text, u16::MAX, LENGTH)?;
        } else {
            for (key, value) in Pairs(text) {
                self.controller_key(&mut to, key, value)?;
            }
        }
        self.spend(to.userdata.len())?;
        self.push(Action::Controller(Box::new(to)))
    }

    fn controller_key(&mut self, to: &mut Controller, key: &str, value: &str) -> Result<(), ParseError> {
        match key {
            "max_len" => to.max_len = self.small(key, value, u16::MAX, LENGTH)?,
            "id" => to.id = self.small(key, value, u16::MAX, "a controller id of 0 to 65535")?,
            "reason" => {
                let reason = REASONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
                let accepted = "no_match, action, invalid_ttl, action_set, group or packet_out";
                to.reason = reason.ok_or_else(|| ParseError::bad_value(key, value, accepted))?.1;
            }
            "userdata" => {
                let bytes = hex_bytes(value);
                let accepted = "pairs of hexadecimal digits, like 01.02.0a";
                to.userdata = bytes.ok_or_else(|| ParseError::bad_value(key, value, accepted))?.into();
            }
            "pause" => to.pause = true,
            // Number 0 is no meter.
            "meter_id" => to.meter = Some(self.u32(key, value)?).filter(|id| *id != 0),
            _ => {
                let accepted = "max_len=BYTES, reason=, id=, userdata=, pause or meter_id=";
                return Err(ParseError::bad_value("controller", key, accepted));
            }
        }
        Ok(())
    }
}
