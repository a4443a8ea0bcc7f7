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

/// The word and the bit of the place of these values.
#[inline]
fn place(values: impl Iterator<Item = u64>) -> (usize, u64) {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = values.fold(0u64, |sum, value| (sum.rotate_left(29) ^ value).wrapping_mul(ODD));
    ((sum >> 32) as usize % WORDS, 1 << (sum >> 58))
}

impl Test {
    fn new(alike: &Alike<'_>, mask: &CompiledMask, written: Option<&Mask>) -> Test {
        let unwritten = |at: u8| written.map_or(u64::MAX, |m| !u64::from_ne_bytes(m.0.words()[usize::from(at)]));
        let (mut columns, mut places) = (SmallVec::new(), Values::new());
        for (nth, (at, bits)) in (0u64..).zip(&alike.bits) {
            let Some(column) = mask.position(usize::from(*at)) else { continue };
            let bits = bits & mask.bits(column) & unwritten(*at);
            if bits != 0 {
                columns.push((column, bits));
                places.push(nth);
            }
        }
        let values = |scope: &Scope| -> Values {
            let value = |(nth, (_, bits)): (&u64, &(usize, u64))| {
                scope.words().get(*nth as usize).map_or(0, |word| word.value & bits)
            };
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
            let (word, bit) = place(values.iter().copied());
            marked[word] |= bit;
        }
        Test { columns, few, many, places: marked }
    }

    /// Whether a scope meets the flow with these words.
    #[inline]
    pub(crate) fn meets(&self, row: &[u64]) -> bool {
        let word = |column: usize| row.get(column).copied().unwrap_or(0);
        if self.many.is_empty() {
            let one = |values: &Values| self.columns.iter().zip(values).all(|((c, bits), v)| word(*c) & bits == *v);
            return self.few.iter().any(one);
        }
        let values = self.columns.iter().map(|(column, bits)| word(*column) & bits);
        let (at, bit) = place(values.clone());
        self.places[at] & bit != 0 && self.many.contains(&values.collect::<Values>())
    }
}
