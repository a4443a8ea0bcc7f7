//! `bundle` and `bundle_load`.

use super::super::context::{Context, writable};
use super::super::error::ParseError;
use super::super::ports::can_send;
use super::Reader;
use crate::action::{Action, Bundle, BundleAlgorithm, HashFields};
use crate::port::OfPort;

/// Most members (OVS: those behind them are not read).
const MOST_MEMBERS: usize = 2048;

/// What a hash is taken over, by name.
pub(in crate::text) const HASHES: [(&str, HashFields); 7] = [
    ("eth_src", HashFields::EthSrc),
    ("symmetric_l4", HashFields::SymmetricL4),
    ("symmetric_l3l4", HashFields::SymmetricL3L4),
    ("symmetric_l3l4+udp", HashFields::SymmetricL3L4Udp),
    ("symmetric_l3", HashFields::SymmetricL3),
    ("nw_src", HashFields::NwSrc),
    ("nw_dst", HashFields::NwDst),
];

/// Algorithms by name.
pub(in crate::text) const ALGORITHMS: [(&str, BundleAlgorithm); 2] =
    [("active_backup", BundleAlgorithm::ActiveBackup), ("hrw", BundleAlgorithm::Hrw)];

/// The next word, as strtok_r(3) cuts it.
fn word<'t>(rest: &mut &'t str, separators: &[char]) -> Option<&'t str> {
    let text = rest.trim_start_matches(separators);
    let (word, behind) = text.split_once(separators).unwrap_or((text, ""));
    *rest = behind;
    (!word.is_empty()).then_some(word)
}

fn named<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

impl Reader<'_> {
    pub(super) fn bundle(&mut self, text: &str, load: bool) -> Result<(), ParseError> {
        let key = if load { "bundle_load" } else { "bundle" };
        let form = if load {
            "bundle_load(FIELDS,BASIS,ALGORITHM,ofport,FIELD[FIRST..LAST],members:PORT,...)"
        } else {
            "bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,...)"
        };
        let mut rest = text;
        let mut next =
            |separators: &[char]| word(&mut rest, separators).ok_or_else(|| ParseError::bad_value(key, text, form));
        let (fields, basis, algorithm, sort) =
            (next(&[',', ' '])?, next(&[',', ' '])?, next(&[',', ' '])?, next(&[',', ' '])?);
        let to = if load { Some(next(&[',', ' '])?) } else { None };
        let members = next(&[':', ' '])?;
        if !members.eq_ignore_ascii_case("members") && !members.eq_ignore_ascii_case("slaves")
            || !sort.eq_ignore_ascii_case("ofport")
        {
            return Err(ParseError::bad_value(key, text, form));
        }
        let mut ports = Vec::new();
        while ports.len() < MOST_MEMBERS
            && let Some(member) = word(&mut rest, &[',', ' ', '[', ']'])
        {
            ports.push(self.port(key, member)?);
        }
        let bundle = Bundle {
            basis: self.atoi(key, basis, 16) as u16,
            fields: named(&HASHES, fields).ok_or_else(|| {
                let accepted = HASHES.map(|(name, _)| name).join(", ");
                ParseError::bad_value(key, fields, accepted)
            })?,
            algorithm: named(&ALGORITHMS, algorithm)
                .ok_or_else(|| ParseError::bad_value(key, algorithm, "active_backup or hrw"))?,
            members: ports,
            load: to.map(|to| self.part(to)).transpose()?,
        };
        check(&bundle, key, &self.context)?;
        self.spend(super::ACTION_BYTES + bundle.members.len() * 2)?;
        self.push(Action::Bundle(Box::new(bundle)))
    }
}

fn check(bundle: &Bundle, key: &str, context: &Context) -> Result<(), ParseError> {
    if let Some(to) = &bundle.load {
        writable(to)?;
        context.check_read(to)?;
        if to.bits < 16 {
            return Err(ParseError::bad_value(key, &to.bits.to_string(), "at least 16 bits for the port's number"));
        }
    }
    match bundle.members.iter().find(|p| **p != OfPort::NONE && (!can_send(**p) || **p == OfPort::CONTROLLER)) {
        Some(port) => Err(ParseError::bad_value(
            key,
            &port.to_string(),
            "members below 65280, by name, or one of IN_PORT, NORMAL, FLOOD, ALL, LOCAL, NONE",
        )),
        None => Ok(()),
    }
}
