//! Rule tables: by kind of rule and group, by priority, then by shape (which bits are matched), then by value.

use super::faults::{Fault, Faults};
use super::headers::Headers;
use super::item::{self, IMAGE};
use super::rule::{Domain, Item, Pattern, Rule, Source};
use std::collections::{BTreeMap, HashMap};

/// A rule's number in the device.
pub type RuleNo = u64;

/// What of a packet rules of one shape look at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    source: bool,
    tags: Option<usize>,
    /// With nothing in their specs.
    items: Vec<Item>,
}

/// Rules of one shape, by the bytes that must be there.
#[derive(Debug)]
struct ShapeTable {
    shape: Shape,
    rules: HashMap<Vec<u8>, Vec<RuleNo>>,
}

/// All rules that packets are matched against.
#[derive(Debug, Default)]
pub struct Tables {
    /// By priority: the lowest number first.
    groups: HashMap<(Domain, u32), BTreeMap<u32, Vec<ShapeTable>>>,
}

/// There is a rule with this match already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision(pub RuleNo);

impl Tables {
    /// Put a rule in.
    ///
    /// # Errors
    /// [`Collision`], unless `overlap`: then the older rule goes on matching.
    pub fn insert(&mut self, no: RuleNo, rule: &Rule, overlap: bool) -> Result<(), Collision> {
        let (shape, key) = split(&rule.pattern);
        let shapes = self.groups.entry((rule.domain, rule.group)).or_default().entry(rule.priority).or_default();
        let table = match shapes.iter().position(|t| t.shape == shape) {
            Some(found) => &mut shapes[found],
            None => {
                shapes.push(ShapeTable { shape, rules: HashMap::new() });
                let last = shapes.len() - 1;
                &mut shapes[last]
            }
        };
        let rules = table.rules.entry(key).or_default();
        if let (Some(old), false) = (rules.first(), overlap) {
            return Err(Collision(*old));
        }
        rules.push(no);
        Ok(())
    }

    /// Take a rule out.
    pub fn remove(&mut self, no: RuleNo, rule: &Rule) {
        let (shape, key) = split(&rule.pattern);
        let Some(priorities) = self.groups.get_mut(&(rule.domain, rule.group)) else { return };
        let Some(shapes) = priorities.get_mut(&rule.priority) else { return };
        if let Some(table) = shapes.iter_mut().find(|t| t.shape == shape) {
            if let Some(rules) = table.rules.get_mut(&key) {
                rules.retain(|r| *r != no);
                if rules.is_empty() {
                    table.rules.remove(&key);
                }
            }
            shapes.retain(|t| !t.rules.is_empty());
        }
        if shapes.is_empty() {
            priorities.remove(&rule.priority);
        }
    }

    /// Forget all rules.
    pub fn clear(&mut self) {
        self.groups.clear();
    }

    /// The rule that a packet hits in a group.
    pub fn lookup(
        &self,
        domain: Domain,
        group: u32,
        source: Source,
        frame: &[u8],
        headers: &Headers,
    ) -> Option<RuleNo> {
        let priorities = self.groups.get(&(domain, group))?;
        let mut key = Vec::new();
        priorities.values().flatten().find_map(|table| {
            key.clear();
            table.shape.key_of(source, frame, headers, &mut key)?;
            table.rules.get(&key)?.first().copied()
        })
    }
}

impl Shape {
    /// The bytes of a packet that rules of this shape are looked up by; `None` when it lacks a header.
    fn key_of(&self, source: Source, frame: &[u8], headers: &Headers, key: &mut Vec<u8>) -> Option<()> {
        if self.tags.is_some_and(|tags| tags != headers.tags().len()) {
            return None;
        }
        push_source(self.source.then_some(source), key);
        for item in &self.items {
            let image = item::image(item, frame, headers)?;
            key.extend(image.iter().zip(item.mask).map(|(byte, bits)| byte & bits));
        }
        Some(())
    }
}

fn split(pattern: &Pattern) -> (Shape, Vec<u8>) {
    let mut key = Vec::new();
    push_source(pattern.source, &mut key);
    for item in &pattern.items {
        key.extend(item.spec);
    }
    let items = pattern.items.iter().map(|i| Item { spec: [0; IMAGE], ..*i }).collect();
    (Shape { source: pattern.source.is_some(), tags: pattern.tags, items }, key)
}

fn push_source(source: Option<Source>, key: &mut Vec<u8>) {
    let (kind, place) = match source {
        None => return,
        Some(Source::Outside(place)) => (0, place),
        Some(Source::Representor(place)) => (1, place),
    };
    key.push(kind);
    key.extend(place.to_ne_bytes());
}

/// The pattern as a device with planted bugs matches it.
pub fn with_faults(pattern: &Pattern, faults: &Faults) -> Pattern {
    let (ignore, widen) = (faults.has(Fault::MatchFieldIgnored), faults.has(Fault::MaskWidened));
    let mut pattern = pattern.clone();
    if !ignore && !widen {
        return pattern;
    }
    // The field whose loss shows most: of the deepest header, addresses and ports first.
    const FIRST: [&str; 7] = ["dst", "src", "tpa", "spa", "vid", "tha", "sha"];
    let found = pattern.items.iter_mut().rev().find_map(|item| {
        let fields = item.kind.fields();
        let named = FIRST.iter().filter_map(|name| fields.iter().find(|f| f.name == *name));
        let field = named.chain(fields.iter().rev()).find(|f| f.read(&item.mask) != 0)?;
        Some((item, field))
    });
    if let Some((item, field)) = found {
        let mut clear = [0; IMAGE];
        field.or_into(&mut clear);
        if !ignore {
            // Only the last bit of the mask.
            let matched = (0..IMAGE).rev().find(|i| item.mask[*i] & clear[*i] != 0);
            let at = matched.unwrap_or(0);
            let bits = item.mask[at] & clear[at];
            clear = [0; IMAGE];
            clear[at] = bits & bits.wrapping_neg();
        }
        for ((mask, spec), clear) in item.mask.iter_mut().zip(&mut item.spec).zip(clear) {
            *mask &= !clear;
            *spec &= !clear;
        }
    }
    pattern
}
