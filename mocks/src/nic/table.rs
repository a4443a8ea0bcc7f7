//! Rule tables: by kind of rule and group, by priority, then by shape (which bits are matched), then by value.

use super::faults::{Fault, Faults};
use super::headers::{Headers, ParserLimits};
use super::item::{self, IMAGE, Image, Registers};
use super::rule::{Domain, Item, Pattern, Source, Spot};
use offload::Numbered;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// A rule's number in the device.
pub type RuleNo = u64;

/// What rules of one shape differ by: source, then every bit that is matched, in words as [`Pick`]s say.
pub type Key = SmallVec<[u64; 8]>;

/// A multiplicative hash of words: keys are short, and nobody chooses them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for at in (0..bytes.len()).step_by(8) {
            self.write_u64(word(bytes, at));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// A map by numbers or keys of ours.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// What of a packet rules of one shape look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    source: bool,
    tags: Option<usize>,
    /// With nothing in their specs.
    items: Vec<Item>,
    /// For each item, the words of its structure that are matched.
    picks: Vec<SmallVec<[Pick; 3]>>,
}

/// Matched bits of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pick {
    /// The first of eight bytes.
    at: usize,
    mask: u64,
}

/// Rules of one shape.
#[derive(Debug)]
struct ShapeTable {
    spot: Spot,
    shape: Shape,
    /// By the hash of their keys, in the order in which they came.
    rules: Map<u64, SmallVec<[RuleNo; 1]>>,
    /// Template tables that keep it though it is empty.
    pins: usize,
}

/// All rules that packets are matched against.
#[derive(Debug, Default)]
pub struct Tables {
    slots: Vec<Option<ShapeTable>>,
    free: Vec<usize>,
    /// What each rule matches.
    keys: Numbered<Key>,
    /// By priority: the lowest number first.
    groups: HashMap<(Domain, u32), BTreeMap<u32, Vec<usize>>>,
}

/// Where a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    slot: usize,
}

/// There is a rule with this match already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision(pub RuleNo);

impl Tables {
    fn slot(&mut self, spot: Spot, shape: &Shape) -> usize {
        let slots = self.groups.entry((spot.domain, spot.group)).or_default().entry(spot.priority).or_default();
        let same =
            |slot: &&usize| self.slots.get(**slot).is_some_and(|t| t.as_ref().is_some_and(|t| t.shape == *shape));
        if let Some(found) = slots.iter().find(same) {
            return *found;
        }
        let table = ShapeTable { spot, shape: shape.clone(), rules: Map::default(), pins: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(table);
                slot
            }
            None => {
                self.slots.push(Some(table));
                self.slots.len() - 1
            }
        };
        slots.push(slot);
        slot
    }

    fn let_go(&mut self, slot: usize) {
        let empty = |t: &ShapeTable| t.rules.is_empty() && t.pins == 0;
        let Some(spot) = self.slots.get(slot).and_then(Option::as_ref).filter(|t| empty(t)).map(|t| t.spot) else {
            return;
        };
        self.slots[slot] = None;
        self.free.push(slot);
        if let Some(priorities) = self.groups.get_mut(&(spot.domain, spot.group)) {
            if let Some(slots) = priorities.get_mut(&spot.priority) {
                slots.retain(|s| *s != slot);
            }
            priorities.retain(|_, slots| !slots.is_empty());
        }
    }

    /// Keep a table for rules of this shape, for [`Tables::insert_at`].
    pub fn pin(&mut self, spot: Spot, shape: &Shape) -> usize {
        let slot = self.slot(spot, shape);
        if let Some(Some(table)) = self.slots.get_mut(slot) {
            table.pins += 1;
        }
        slot
    }

    /// Keep it no longer.
    pub fn unpin(&mut self, slot: usize) {
        if let Some(Some(table)) = self.slots.get_mut(slot) {
            table.pins = table.pins.saturating_sub(1);
        }
        self.let_go(slot);
    }

    /// Put a rule in.
    ///
    /// # Errors
    /// [`Collision`], unless `overlap`: then the older rule goes on matching.
    pub fn insert(&mut self, no: RuleNo, spot: Spot, pattern: &Pattern, overlap: bool) -> Result<Place, Collision> {
        let (shape, key) = split(pattern);
        let slot = self.slot(spot, &shape);
        self.insert_at(no, slot, key, overlap)
    }

    /// Put a rule into a table of its shape.
    ///
    /// # Errors
    /// As [`Tables::insert`].
    pub fn insert_at(&mut self, no: RuleNo, slot: usize, key: Key, overlap: bool) -> Result<Place, Collision> {
        if let Some(Some(table)) = self.slots.get_mut(slot) {
            let rules = table.rules.entry(hash(&key)).or_default();
            let same = |no: &&RuleNo| self.keys.get(**no) == Some(&key);
            if let (Some(old), false) = (rules.iter().find(same), overlap) {
                return Err(Collision(*old));
            }
            rules.push(no);
            self.keys.insert(no, key);
        }
        Ok(Place { slot })
    }

    /// Take a rule out.
    pub fn remove(&mut self, no: RuleNo, place: Place) {
        let Some(key) = self.keys.remove(no) else { return };
        let Some(Some(table)) = self.slots.get_mut(place.slot) else { return };
        let hash = hash(&key);
        let Some(rules) = table.rules.get_mut(&hash) else { return };
        rules.retain(|r| *r != no);
        if rules.is_empty() {
            table.rules.remove(&hash);
            self.let_go(place.slot);
        }
    }

    /// Forget all rules. Pinned tables stay, empty.
    pub fn clear(&mut self) {
        self.keys.clear();
        for slot in 0..self.slots.len() {
            if let Some(Some(table)) = self.slots.get_mut(slot) {
                table.rules.clear();
                self.let_go(slot);
            }
        }
    }

    /// The rule that a packet hits in a group, with its priority; after a rule that passes packets on, of a lower priority.
    pub fn lookup(
        &self,
        (domain, group): (Domain, u32),
        after: Option<u32>,
        source: Source,
        packet: &Packet<'_>,
    ) -> Option<(RuleNo, u32)> {
        let priorities = self.groups.get(&(domain, group))?;
        let mut key = Key::new();
        let from = after.map_or(0, |priority| priority.saturating_add(1));
        priorities.range(from..).find_map(|(priority, slots)| {
            slots.iter().find_map(|slot| {
                let table = self.slots.get(*slot)?.as_ref()?;
                key.clear();
                table.shape.key_of(source, packet, &mut key)?;
                let same = |no: &&RuleNo| self.keys.get(**no) == Some(&key);
                table.rules.get(&hash(&key))?.iter().find(same).map(|no| (*no, *priority))
            })
        })
    }
}

/// What rules look at.
#[derive(Debug)]
pub struct Packet<'a> {
    pub frame: &'a [u8],
    pub headers: Headers,
    pub registers: &'a Registers,
    pub limits: ParserLimits,
}

impl Shape {
    /// The shape of a pattern, whatever its values are.
    #[must_use]
    pub fn of(pattern: &Pattern) -> Shape {
        let items: Vec<Item> = pattern.items.iter().map(|i| Item { spec: [0; IMAGE], ..*i }).collect();
        let picks = items.iter().map(picks).collect();
        Shape { source: pattern.source.is_some(), tags: pattern.tags, items, picks }
    }

    /// Appends what an item's structure brings to a rule's key.
    #[inline]
    pub(super) fn push(&self, item: usize, image: &[u8], key: &mut Key) {
        if let Some(picks) = self.picks.get(item) {
            key.extend(picks.iter().map(|pick| word(image, pick.at) & pick.mask));
        }
    }

    /// The key of a rule of this pattern.
    fn key(&self, pattern: &Pattern) -> Key {
        let mut key = Key::new();
        push_source(pattern.source, &mut key);
        for (i, item) in pattern.items.iter().enumerate() {
            self.push(i, &item.spec, &mut key);
        }
        key
    }

    /// What rules of this shape are looked up by in a packet; `None` when it lacks a header.
    fn key_of(&self, source: Source, packet: &Packet<'_>, key: &mut Key) -> Option<()> {
        if self.tags.is_some_and(|tags| tags != packet.headers.tags().len()) {
            return None;
        }
        push_source(self.source.then_some(source), key);
        for (i, item) in self.items.iter().enumerate() {
            let image: Image = item::image(item, packet)?;
            self.push(i, &image, key);
        }
        Some(())
    }
}

/// Words that cover every matched byte of an item's structure once, within the structure where it has a whole word.
fn picks(item: &Item) -> SmallVec<[Pick; 3]> {
    let (mut left, mut picks) = (item.mask, SmallVec::new());
    let size = left.iter().rposition(|bits| *bits != 0).map_or(0, |last| item.kind.size().max(last + 1));
    while let Some(first) = left.iter().position(|bits| *bits != 0) {
        let at = first.min(size.saturating_sub(8));
        picks.push(Pick { at, mask: word(&left, at) });
        left.iter_mut().skip(at).take(8).for_each(|bits| *bits = 0);
    }
    picks
}

/// Eight bytes, with zeros for those behind the end.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

fn hash(key: &Key) -> u64 {
    let mut hasher = WordHasher::default();
    key.iter().for_each(|word| hasher.write_u64(*word));
    hasher.finish()
}

fn split(pattern: &Pattern) -> (Shape, Key) {
    let shape = Shape::of(pattern);
    let key = shape.key(pattern);
    (shape, key)
}

pub(super) fn push_source(source: Option<Source>, key: &mut Key) {
    match source {
        None => {}
        Some(Source::Outside(place)) => key.push((place as u64) << 1),
        Some(Source::Representor(place)) => key.push((place as u64) << 1 | 1),
    }
}

/// The pattern as a device with planted bugs matches it.
pub fn with_faults(pattern: &Pattern, faults: &Faults) -> Pattern {
    let (ignore, widen) = (faults.has(Fault::MatchFieldIgnored), faults.has(Fault::MaskWidened));
    let mut pattern = pattern.clone();
    if faults.has(Fault::MaskByteSwapped) {
        for item in &mut pattern.items {
            swap_mask_bytes(item);
        }
    }
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

/// A mask of whole bytes is read in the wrong order: a prefix of an address becomes its end.
fn swap_mask_bytes(item: &mut Item) {
    for field in item.kind.fields().iter().filter(|f| f.bits.len() > 1 && f.bits.iter().all(|b| *b == 0xff)) {
        let range = field.at..field.at + field.bits.len();
        if let Some(mask) = item.mask.get_mut(range.clone()) {
            mask.reverse();
        }
        for at in range {
            item.spec[at] &= item.mask[at];
        }
    }
}
