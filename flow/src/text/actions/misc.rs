//! What has no family: dec_ttl, conjunction, note, sample, check_pkt_larger.

use super::super::error::{Note, ParseError, excerpt};
use super::super::lex::Pairs;
use super::super::number::{hex_bytes, scan};
use super::{Reader, arrow};
use crate::action::{Action, Sample};
use crate::port::OfPort;

/// Most clauses of a conjunction.
const MOST_CLAUSES: u8 = 64;

impl Reader<'_> {
    /// `dec_ttl` or `dec_ttl(ID,...)`.
    pub(super) fn dec_ttl(&mut self, text: &str) -> Result<(), ParseError> {
        if text.is_empty() {
            return self.push(Action::DecTtl);
        }
        let mut ids = Vec::new();
        for id in text.split([',', ' ']).filter(|s| !s.is_empty()) {
            ids.push(self.atoi("dec_ttl", id, 16) as u16);
        }
        if ids.is_empty() {
            let accepted = "dec_ttl, or dec_ttl(ID,...) with ids of controllers";
            return Err(ParseError::bad_value("dec_ttl", text, accepted));
        }
        self.spend(ids.len() * 2)?;
        self.push(Action::DecTtlControllers(ids.into()))
    }

    /// `conjunction(ID,CLAUSE/CLAUSES)`.
    pub(super) fn conjunction(&mut self, text: &str) -> Result<(), ParseError> {
        let syntax = || ParseError::bad_value("conjunction", text, "conjunction(ID,CLAUSE/CLAUSES)");
        let (id, odd, rest) = scan(text, 0).ok_or_else(syntax)?;
        let rest = rest.trim_start().strip_prefix(',').ok_or_else(syntax)?;
        let (clause, _, rest) = scan(rest, 10).ok_or_else(syntax)?;
        let rest = rest.trim_start().strip_prefix('/').ok_or_else(syntax)?;
        let (clauses, _, rest) = scan(rest, 10).ok_or_else(syntax)?;
        if !rest.trim_start().is_empty() {
            return Err(syntax());
        }
        if odd || id > u64::from(u32::MAX) {
            self.notes.push(Note::Cut { key: "conjunction".to_owned(), value: excerpt(text), bits: 32 });
        }
        if clause > 255 || clauses > 255 {
            self.notes.push(Note::Cut { key: "conjunction".to_owned(), value: excerpt(text), bits: 8 });
        }
        let (clause, clauses) = (clause as u8, clauses as u8);
        if !(2..=MOST_CLAUSES).contains(&clauses) || clause < 1 || clause > clauses {
            let accepted = format!("2 to {MOST_CLAUSES} clauses, and one of them from 1");
            return Err(ParseError::bad_value("conjunction", text, accepted));
        }
        self.push(Action::Conjunction { id: id as u32, clause: clause - 1, clauses })
    }

    pub(super) fn note(&mut self, text: &str) -> Result<(), ParseError> {
        let accepted = "pairs of hexadecimal digits, like 01.02.0a";
        let mut bytes = hex_bytes(text).ok_or_else(|| ParseError::bad_value("note", text, accepted))?;
        // A message has 6 bytes of note or 8 more; what is not given is zero.
        bytes.resize((bytes.len() + 2).next_multiple_of(8) - 2, 0);
        self.spend(bytes.len())?;
        self.push(Action::Note(bytes.into()))
    }

    pub(super) fn sample(&mut self, text: &str) -> Result<(), ParseError> {
        let mut sample = Sample {
            probability: 0,
            collector_set_id: 0,
            obs_domain_id: 0,
            obs_point_id: 0,
            sampling_port: None,
            egress: None,
        };
        for (key, value) in Pairs(text) {
            match key {
                "probability" => {
                    sample.probability = self.small(key, value, u16::MAX, "1 to 65535")?;
                    if sample.probability == 0 {
                        return Err(ParseError::bad_value(key, value, "1 to 65535"));
                    }
                }
                "collector_set_id" => sample.collector_set_id = self.u32(key, value)?,
                "obs_domain_id" => sample.obs_domain_id = self.u32(key, value)?,
                "obs_point_id" => sample.obs_point_id = self.u32(key, value)?,
                "sampling_port" => {
                    sample.sampling_port = Some(self.port(key, value)?).filter(|p| *p != OfPort::NONE);
                }
                "ingress" => sample.egress = Some(false),
                "egress" => sample.egress = Some(true),
                _ => {
                    let accepted = "probability=, collector_set_id=, obs_domain_id=, obs_point_id=, sampling_port=, \
                                    ingress or egress";
                    return Err(ParseError::bad_value("sample", key, accepted));
                }
            }
        }
        if sample.probability == 0 {
            return Err(ParseError::NoValue { key: "sample".to_owned(), accepted: "probability=1 to 65535" });
        }
        self.spend(super::ACTION_BYTES)?;
        self.push(Action::Sample(Box::new(sample)))
    }

    /// `check_pkt_larger(LENGTH)->FIELD[BIT]`.
    pub(super) fn check_pkt_larger(&mut self, text: &str) -> Result<(), ParseError> {
        const NAME: &str = "check_pkt_larger";
        let (len, to) = arrow(NAME, text)?;
        let len = self.small(NAME, len.strip_suffix(')').unwrap_or(len), u16::MAX, "a length of 0 to 65535")?;
        let result = self.part(to)?;
        if result.bits != 1 {
            return Err(ParseError::bad_value(NAME, to, "one bit, like reg0[0]"));
        }
        self.push(Action::CheckPktLarger { len, result })
    }
}
