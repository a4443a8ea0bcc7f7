//! What an administrator says of a NIC beyond what is known: limits and claims, in TOML.

use super::{Capabilities, CounterKind, Limits, MaskCap};
use flow::FieldId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Why a capability file cannot be used. Lines and columns count from 1; whoever knows the file's name puts it in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("{line}:{column}: {message}; docs/guide/offload.md, \"Capability files\", says what it may hold")]
    Syntax { line: usize, column: usize, message: String },
    #[error("{line}:{column}: there is no field {name:?}; names are those of flow rules (docs/guide/fields-table.md)")]
    Field { line: usize, column: usize, name: String },
}

/// Limits and claims, as in
///
/// ```toml
/// [limits]
/// rules = 65536            # of the device; rules-per-group, counters, encap-headers, rewrites (a rule), meters
/// [transfer]
/// max-outputs = 4          # rewrite-after-output, meter, encap (bytes), mark, hairpin
/// set = ["ipv6_dst"]       # fields that rules can set, beside those that are known
/// [match]
/// arp_op = "exact"         # no, exact, prefix or any
/// ```
///
/// A claim that the device does not keep ends in its refusal, which is shown as the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CapabilityFile {
    limits: LimitsFile,
    transfer: TransferFile,
    #[serde(rename = "match")]
    matches: BTreeMap<Spanned<String>, MaskFile>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct LimitsFile {
    rules: Option<u32>,
    rules_per_group: Option<u32>,
    counters: Option<u32>,
    encap_headers: Option<u32>,
    rewrites: Option<u32>,
    meters: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct TransferFile {
    max_outputs: Option<usize>,
    rewrite_after_output: Option<bool>,
    meter: Option<bool>,
    encap: Option<u16>,
    mark: Option<bool>,
    hairpin: Option<bool>,
    set: Vec<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MaskFile {
    No,
    Exact,
    Prefix,
    Any,
}

impl CapabilityFile {
    /// From its text.
    ///
    /// # Errors
    /// It is no such file, or names a field that there is not.
    pub fn parse(text: &str) -> Result<CapabilityFile, CapabilityError> {
        let file: CapabilityFile = toml::from_str(text).map_err(|e| {
            let (line, column) = place(text, e.span());
            CapabilityError::Syntax { line, column, message: e.message().split('\n').collect::<Vec<_>>().join(": ") }
        })?;
        let mut names = file.matches.keys().chain(&file.transfer.set);
        match names.find(|name| field(name.get_ref()).is_none()) {
            None => Ok(file),
            Some(unknown) => {
                let (line, column) = place(text, Some(unknown.span()));
                Err(CapabilityError::Field { line, column, name: unknown.get_ref().clone() })
            }
        }
    }

    /// What a device can do with this said of it. What it does not have at all (no embedded switch, no marks) it does not
    /// get by a file.
    #[must_use]
    pub fn apply(&self, mut caps: Capabilities) -> Capabilities {
        let said = self.limits;
        let Limits { rules_per_group, counters, encap_headers, rewrites, meters } = caps.limits;
        caps.limits = Limits {
            rules_per_group: said.rules_per_group.or(rules_per_group),
            counters: said.counters.or(counters),
            encap_headers: said.encap_headers.or(encap_headers),
            rewrites: said.rewrites.or(rewrites),
            meters: said.meters.or(meters),
        };
        // All rules are in one group.
        let rooms = [said.rules.or(caps.max_rules), caps.limits.rules_per_group];
        caps.max_rules = rooms.into_iter().flatten().min();
        if let Some(transfer) = &mut caps.transfer {
            let of = &self.transfer;
            transfer.max_outputs = of.max_outputs.unwrap_or(transfer.max_outputs);
            transfer.rewrite_after_output = of.rewrite_after_output.unwrap_or(transfer.rewrite_after_output);
            transfer.meter = of.meter.unwrap_or(transfer.meter) && caps.limits.meters != Some(0);
            transfer.encap = of.encap.unwrap_or(transfer.encap);
            if caps.limits.encap_headers == Some(0) {
                transfer.encap = 0;
            }
            if caps.limits.counters == Some(0) {
                transfer.counter = CounterKind::None;
            }
            transfer.mark = of.mark.unwrap_or(transfer.mark);
            transfer.hairpin = of.hairpin.unwrap_or(transfer.hairpin);
            for field in of.set.iter().filter_map(|name| field(name.get_ref())) {
                transfer.set = transfer.set.with(field);
            }
        }
        let fields = [caps.transfer.as_mut().map(|c| &mut c.fields), caps.partial.as_mut().map(|c| &mut c.fields)];
        for fields in fields.into_iter().flatten() {
            for (name, cap) in &self.matches {
                let cap = match cap {
                    MaskFile::No => MaskCap::No,
                    MaskFile::Exact => MaskCap::Exact,
                    MaskFile::Prefix => MaskCap::Prefix,
                    MaskFile::Any => MaskCap::Any,
                };
                if let Some(field) = field(name.get_ref()) {
                    *fields = std::mem::take(fields).with(cap, &[field]);
                }
            }
        }
        caps
    }
}

fn field(name: &str) -> Option<FieldId> {
    FieldId::by_name(name)
}

/// Line and column of a place in a text, from 1.
fn place(text: &str, span: Option<Range<usize>>) -> (usize, usize) {
    let at = span.map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or(text);
    (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}
