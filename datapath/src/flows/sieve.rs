//! Changes, made ready to be compared with many flows at once.

use crate::mask::CompiledMask;
use flow::Mask;
use flow::dp::{Change, Dep, Scope};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

/// The values of some words of a key.
type Values = SmallVec<[u64; 6]>;

/// Scopes that are compared in the same bits are looked up, not compared one by one, when there are more of them than this.
const FEW: usize = 4;

/// Scopes that name the same bits.
#[derive(Debug)]
struct Alike<'c> {
    bits: SmallVec<[(u8, u64); 6]>,
    scopes: Vec<&'c Scope>,
}

/// The changes of one moment.
#[derive(Debug, Default)]
pub(crate) struct Sieve<'c> {
    /// What changed for all packets.
    whole: HashSet<Dep>,
    scoped: HashMap<Dep, Vec<Alike<'c>>>,
}

impl<'c> Sieve<'c> {
    pub(crate) fn new(changes: &'c [Change]) -> Sieve<'c> {
        let mut sieve = Sieve::default();
        for change in changes {
            let Some(scope) = change.scope.as_deref() else {
                sieve.whole.insert(change.dep);
                continue;
            };
            let all = sieve.scoped.entry(change.dep).or_default();
            let bits = || scope.words().iter().map(|w| (w.at, w.bits));
            match all.iter_mut().find(|alike| alike.bits.iter().copied().eq(bits())) {
                Some(alike) => alike.scopes.push(scope),
                None => all.push(Alike { bits: bits().collect(), scopes: vec![scope] }),
            }
        }
        sieve
    }

    /// Everything that changed.
    pub(crate) fn deps(&self) -> impl Iterator<Item = &Dep> {
        self.whole.iter().chain(self.scoped.keys())
    }

    /// Which flows with this mask and these dependencies are concerned.
    pub(crate) fn filter(&self, deps: &[Dep], mask: &CompiledMask, written: Option<&Mask>) -> Filter {
        if deps.iter().any(|dep| self.whole.contains(dep)) {
            return Filter::All;
        }
        let mut tests = Vec::new();
        for alike in deps.iter().filter_map(|dep| self.scoped.get(dep)).flatten() {
            let test = Test::new(alike, mask, written);
            if test.columns.is_empty() {
                return Filter::All;
            }
            tests.push(test);
        }
        Filter::Some(tests)
    }
}

/// Which flows of a class are concerned.
#[derive(Debug)]
pub(crate) enum Filter {
    All,
    /// Those that one of these meets.
    Some(Vec<Test>),
}

impl Filter {
    /// Flows with a packet in one scope.
    pub(crate) fn one(scope: &Scope, mask: &CompiledMask) -> Filter {
        let bits = scope.words().iter().map(|w| (w.at, w.bits)).collect();
        let test = Test::new(&Alike { bits, scopes: vec![scope] }, mask, None);
        if test.columns.is_empty() { Filter::All } else { Filter::Some(vec![test]) }
    }
}

/// Scopes that are compared with flows in the same bits.
#[derive(Debug)]
pub(crate) struct Test {
    /// Which word of a row, and the bits of it.
    columns: SmallVec<[(usize, u64); 6]>,
    few: SmallVec<[Values; FEW]>,
    many: HashSet<Values>,
    /// A bit for each of `many`: most rows are none of them, and this shows it for nearly all of these.
    places: [u64; WORDS],
}

/// Words of a set of places.
const WORDS: usize = 16;

/// Rows that are compared at once.
pub(crate) const LANES: usize = 8;

/// Take one more value into the sum that says where values are.
#[inline(always)]
fn fold(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(29) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The word and the bit of the place of values with this sum.
#[inline(always)]
fn place(sum: u64) -> (usize, u64) {
    ((sum >> 32) as usize % WORDS, 1 << (sum >> 58))
}

impl Test {
    fn new(alike: &Alike<'_>, mask: &CompiledMask, written: Option<&Mask>) -> Test {
        let unwritten = |at: u8| written.map_or(u64::MAX, |m| !u64::from_ne_bytes(m.0.words()[usize::from(at)]));
        let (mut columns, mut places) = (SmallVec::new(), SmallVec::<[usize; 6]>::new());
        // The last words first: addresses and ports tell flows apart, where all came in on one port with one ethertype.
        for (nth, (at, bits)) in alike.bits.iter().enumerate().rev() {
            let Some(column) = mask.position(usize::from(*at)) else { continue };
            let bits = bits & mask.bits(column) & unwritten(*at);
            if bits != 0 {
                columns.push((column, bits));
                places.push(nth);
            }
        }
        let values = |scope: &Scope| -> Values {
            let value =
                |(nth, (_, bits)): (&usize, &(usize, u64))| scope.words().get(*nth).map_or(0, |word| word.value & bits);
            places.iter().zip(&columns).map(value).collect()
        };
        let all = alike.scopes.iter().map(|scope| values(scope));
        let (mut few, mut many) = (SmallVec::new(), HashSet::new());
        if alike.scopes.len() <= FEW {
            few.extend(all);
        } else {
            many.extend(all);
            if many.len() <= FEW {
                few.extend(many.drain());
            }
        }
        let mut marked = [0; WORDS];
        for values in &many {
            let (word, bit) = place(values.iter().copied().fold(0, fold));
            marked[word] |= bit;
        }
        Test { columns, few, many, places: marked }
    }

    /// Which flows of a block of rows a scope meets, a bit each. A block has each word of [`LANES`] rows, and then the next.
    #[inline]
    pub(crate) fn meets(&self, block: &[u64]) -> u8 {
        let (lines, _) = block.as_chunks::<LANES>();
        let line = |column: usize| lines.get(column).unwrap_or(&[0; LANES]);
        if self.many.is_empty() {
            return self.few.iter().fold(0, |met, values| {
                let mut equal = u8::MAX;
                for ((column, bits), value) in self.columns.iter().zip(values) {
                    equal &= lanes(line(*column).map(|word| word & bits == *value));
                    // Most blocks end here, and their other words stay where they are.
                    if equal == 0 {
                        break;
                    }
                }
                met | equal
            });
        }
        let mut sums = [0; LANES];
        for (column, bits) in &self.columns {
            for (sum, word) in sums.iter_mut().zip(line(*column)) {
                *sum = fold(*sum, word & bits);
            }
        }
        let mut met = lanes(sums.map(|sum| {
            let (at, bit) = place(sum);
            self.places[at] & bit != 0
        }));
        let mut left = met;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            let values: Values = self.columns.iter().map(|(column, bits)| line(*column)[lane % LANES] & bits).collect();
            if !self.many.contains(&values) {
                met &= !(1 << lane);
            }
        }
        met
    }
}

/// A bit for each that is true.
#[inline(always)]
fn lanes(are: [bool; LANES]) -> u8 {
    are.into_iter().rev().fold(0, |bits, is| bits << 1 | u8::from(is))
}

#[cfg(test)]
mod tests {
    use super::super::classes::Classes;
    use super::*;
    use flow::dp::BridgeId;
    use flow::{FieldId, FlowKey};
    use proptest::prelude::*;
    use std::sync::Arc;

    const DEP: Dep = Dep::Table(BridgeId(1), 0);

    /// Bits of two fields, from none to all.
    fn bits(dst: u32, port: u16) -> Mask {
        let mut mask = Mask::ANY;
        mask.require(FieldId::InPort);
        (mask.0.ipv4_dst, mask.0.tp_dst) = (dst.into(), port.into());
        mask
    }

    /// Few values, so that many are equal.
    fn key((dst, port): (u32, u16)) -> FlowKey {
        let mut key = FlowKey::ZERO;
        (key.ipv4_dst, key.tp_dst) = (dst.into(), port.into());
        key
    }

    proptest! {
        #[test]
        fn flows_are_picked_that_a_scope_meets(
            mask in (0u32..8, 0u16..4),
            written in prop::option::of((0u32..8, 0u16..4)),
            flows in prop::collection::vec(((0u32..8, 0u16..4), any::<bool>()), 0..60),
            scopes in prop::collection::vec(((0u32..8, 0u16..4), (0u32..8, 1u16..4)), 1..12),
            cuts in (0usize..60, 0usize..60),
        ) {
            let mask = bits(mask.0, mask.1);
            let written = written.map(|(dst, port)| bits(dst, port));
            let compiled = CompiledMask::new(&mask);
            let mut classes = Classes::default();
            let mut id = 0;
            let mut rows: Vec<FlowKey> = Vec::new();
            for (nth, (flow, goes)) in (0u32..).zip(&flows) {
                id = classes.find(0, [DEP].iter(), written.as_ref(), compiled.len(), 1);
                let mut words: Vec<u64> = compiled.words(&key(*flow)).collect();
                words.push(u64::from(nth));
                prop_assert_eq!(classes.push(id, nth, &words) as usize, rows.len());
                rows.push(key(*flow).masked(&mask));
                // One at the front goes, and the last takes its place.
                if *goes && rows.len() > 2 {
                    classes.remove(id, 1);
                    rows.swap_remove(1);
                }
            }
            let changes: Vec<Change> = scopes
                .iter()
                .filter_map(|(of, scope)| Scope::new(&key(*of), &bits(scope.0, scope.1)))
                .map(|scope| Change { dep: DEP, scope: Some(Arc::new(scope)) })
                .collect();
            let filter = Sieve::new(&changes).filter(&[DEP], &compiled, written.as_ref());
            if let Some(class) = classes.get(id) {
                let (from, to) = (cuts.0.min(cuts.1), cuts.0.max(cuts.1).min(rows.len()));
                let mut picked = Vec::new();
                class.pick(from, to, &filter, &mut picked);
                let meets = |key: &FlowKey| {
                    changes.iter().any(|c| c.scope.as_ref().is_some_and(|s| s.meets(key, &mask, written.as_ref())))
                };
                let found: Vec<u64> = picked.iter().map(|flow| u64::from(*flow)).collect();
                // A flow's number says which it is.
                let met = (from..to.max(from)).filter(|row| meets(&rows[*row]));
                prop_assert_eq!(found, met.map(|row| class.numbers(row as u32)[0]).collect::<Vec<_>>());
                for (row, key) in (0..).zip(&rows) {
                    prop_assert!(class.row(row).eq(compiled.words(key)));
                }
            }
        }
    }
}
