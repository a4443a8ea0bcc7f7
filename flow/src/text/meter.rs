//! Meters (ovs-ofctl(8), "Meter Syntax").

use super::error::ParseError;
use super::number::{whole_int, whole_u64};
use crate::meter::{Band, BandKind, MAX_METER, MeterSpec, MeterUnit};
use std::fmt::Write;

const SEPARATORS: [char; 5] = [',', ' ', '\t', '\r', '\n'];

/// Keys and values, as Open vSwitch splits meters: `KEY=VALUE` and words, with commas or white space between them.
struct Words<'t>(&'t str);

impl<'t> Words<'t> {
    fn key(&mut self) -> Option<&'t str> {
        self.cut(&['=', ',', ' ', '\t', '\r', '\n'])
    }

    fn value(&mut self, key: &str) -> Result<&'t str, ParseError> {
        let accepted = "write KEY=VALUE";
        self.cut(&SEPARATORS).ok_or_else(|| ParseError::NoValue { key: super::error::excerpt(key), accepted })
    }

    fn cut(&mut self, separators: &[char]) -> Option<&'t str> {
        let text = self.0.trim_start_matches(separators);
        let (word, rest) = text.split_once(separators).unwrap_or((text, ""));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// Read a meter to add, as `ovs-ofctl add-meter` takes it: `meter=1,kbps,burst,bands=type=drop,rate=5000,burst_size=500`.
///
/// More is taken than Open vSwitch takes: without unit, rates are kbps; and a second `rate=` without `type=` starts
/// another band of the same type, where Open vSwitch would forget the first rate.
///
/// # Errors
/// What Open vSwitch 3.1 refuses otherwise, and its meters `controller` and `slowpath`.
pub fn parse_meter(text: &str) -> Result<MeterSpec, ParseError> {
    let no_bands =
        || ParseError::NoValue { key: "bands".to_owned(), accepted: "end the meter with bands=type=drop,rate=RATE" };
    let (head, bands) = text.split_once("band").ok_or_else(no_bands)?;
    let (_, bands) = bands.split_once('=').ok_or_else(no_bands)?;

    let (mut id, mut unit, mut burst, mut stats) = (None, None, false, false);
    let mut words = Words(head);
    while let Some(word) = words.key() {
        match word {
            "kbps" | "pktps" => {
                let this = if word == "kbps" { MeterUnit::Kbps } else { MeterUnit::Pktps };
                if unit.replace(this).is_some_and(|unit| unit != this) {
                    return Err(ParseError::bad_value("meter", word, "one unit: kbps or pktps"));
                }
            }
            "burst" => burst = true,
            "stats" => stats = true,
            "meter" => id = Some(parse_number(words.value(word)?)?),
            _ => {
                words.value(word)?;
                return Err(ParseError::bad_value("meter", word, "meter=ID, kbps, pktps, burst, stats and bands="));
            }
        }
    }
    let id = id.ok_or_else(|| ParseError::NoValue { key: "meter".to_owned(), accepted: "write meter=ID" })?;
    let spec = MeterSpec { id, unit: unit.unwrap_or(MeterUnit::Kbps), burst, stats, bands: read_bands(bands)? };
    spec.check()?;
    Ok(spec)
}

fn read_bands(text: &str) -> Result<Vec<Band>, ParseError> {
    let mut bands: Vec<Band> = Vec::new();
    let mut words = Words(text);
    let number = |key: &str, value: &str| {
        whole_u64(value)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| ParseError::bad_value(key, value, "a number of 32 bits"))
    };
    while let Some(key) = words.key() {
        let value = words.value(key)?;
        if key == "type" {
            let kind = match value {
                "drop" => BandKind::Drop,
                "dscp_remark" => BandKind::DscpRemark { prec_level: 0 },
                _ => return Err(ParseError::bad_value(key, value, "drop or dscp_remark")),
            };
            bands.push(Band { kind, rate: 0, burst_size: 0 });
            continue;
        }
        let Some(band) = bands.last_mut() else {
            return Err(ParseError::Misplaced { key: "rate", remedy: "a band starts with `type=`" });
        };
        match key {
            "rate" if band.rate != 0 => {
                let next = Band { rate: number(key, value)?, burst_size: 0, ..*band };
                bands.push(next);
            }
            "rate" => band.rate = number(key, value)?,
            "burst_size" => band.burst_size = number(key, value)?,
            "prec_level" => {
                let level = whole_int(value, 0).and_then(|n| u8::try_from(n).ok());
                let level = level.ok_or_else(|| ParseError::bad_value(key, value, "1 to 255"))?;
                match &mut band.kind {
                    BandKind::DscpRemark { prec_level } => *prec_level = level,
                    BandKind::Drop if level == 0 => {}
                    BandKind::Drop => {
                        return Err(ParseError::Misplaced {
                            key: "prec_level",
                            remedy: "only a dscp_remark band has it",
                        });
                    }
                }
            }
            _ => return Err(ParseError::bad_value("bands", key, "type=, rate=, burst_size= and prec_level=")),
        }
    }
    Ok(bands)
}

fn parse_number(text: &str) -> Result<u32, ParseError> {
    whole_u64(text)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|id| (1..=MAX_METER).contains(id))
        .ok_or_else(|| ParseError::bad_value("meter", text, format!("1 to {MAX_METER}")))
}

/// Read what `ovs-ofctl del-meter` and `dump-meter` take: `meter=ID`, or `meter=all` (and nothing) for all: `None`.
///
/// # Errors
/// Other keys, and numbers that no meter has.
pub fn parse_meter_id(text: &str) -> Result<Option<u32>, ParseError> {
    let mut words = Words(text);
    let mut id = None;
    while let Some(key) = words.key() {
        let value = words.value(key)?;
        match (key, value) {
            ("meter", "all") => id = None,
            ("meter", value) => id = Some(parse_number(value)?),
            _ => return Err(ParseError::bad_value("meter", key, "meter=ID or meter=all")),
        }
    }
    Ok(id)
}

/// A meter as `ovs-ofctl -O OpenFlow13 dump-meters` prints it: a line, and one for each band. [`parse_meter`] reads it
/// back.
#[must_use]
pub fn format_meter(meter: &MeterSpec) -> String {
    let unit = match meter.unit {
        MeterUnit::Kbps => "kbps",
        MeterUnit::Pktps => "pktps",
    };
    let mut out = format!("meter={} {unit} ", meter.id);
    for (set, name) in [(meter.burst, "burst "), (meter.stats, "stats ")] {
        out.push_str(if set { name } else { "" });
    }
    out.push_str("bands=");
    for band in &meter.bands {
        let kind = match band.kind {
            BandKind::Drop => "drop",
            BandKind::DscpRemark { .. } => "dscp_remark",
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "\ntype={kind} rate={}", band.rate);
        if meter.burst {
            let _ = write!(out, " burst_size={}", band.burst_size);
        }
        if let BandKind::DscpRemark { prec_level } = band.kind {
            let _ = write!(out, " prec_level={prec_level}");
        }
    }
    out
}
