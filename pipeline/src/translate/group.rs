//! Groups: to all buckets, or to the one that hash, weight and liveness choose.

use super::action_set::in_order;
use super::freeze::Freezing;
use super::hash::{Hash, look_fields};
use super::{Place, Walk};
use crate::group::{ALL_BUCKETS, Group};
use crate::trace::TraceStep;
use flow::action::HashFields;
use flow::dp::{Dep, DropReason, Effect, HashAlgorithm, HashSpec};
use flow::group::{Bucket, GroupKind, Selection};
use flow::{FieldId, OfPort, Value};

/// Deepest chain of watched groups (OVS: 128).
const MAX_WATCH: u32 = 128;
/// Most slots of the table that a hash chooses from, when the switch chooses the hash (OVS: 256).
const MAX_DEFAULT_SLOTS: usize = 256;
/// Most slots at all (OVS: 65,536).
const MAX_SLOTS: usize = 65_536;

/// How a select group chooses, when it comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way<'g> {
    /// By a hash that the datapath computes.
    Datapath(HashSpec),
    /// By a hash over these fields.
    Fields(u64, &'g [(FieldId, Value)]),
    /// By a hash over addresses and ports.
    Addresses,
}

fn way(group: &Group) -> Way<'_> {
    let slots = group.slots().len();
    match &group.spec.selection {
        Selection::Default if slots != 0 && slots <= MAX_DEFAULT_SLOTS => {
            Way::Datapath(HashSpec { algorithm: HashAlgorithm::SymmetricL4, basis: 0 })
        }
        Selection::DpHash { param } if slots != 0 => {
            let algorithm = if param >> 32 == 1 { HashAlgorithm::SymmetricL4 } else { HashAlgorithm::L4 };
            Way::Datapath(HashSpec { algorithm, basis: *param as u32 })
        }
        Selection::Hash { param, fields } if !fields.is_empty() => Way::Fields(*param, fields),
        _ => Way::Addresses,
    }
}

/// The buckets of a select group (as places in its list) by hash: each as often as its weight wants (Webster's method, as
/// OVS). Empty when no bucket has a weight, or too many slots were needed.
pub(crate) fn slots(buckets: &[Bucket]) -> Box<[u16]> {
    let least = buckets.iter().map(|b| u64::from(b.weight)).filter(|w| *w != 0).min();
    let total: u64 = buckets.iter().map(|b| u64::from(b.weight)).sum();
    let Some(least) = least else { return Box::default() };
    let wanted = total.div_ceil(least).next_power_of_two().max(16) as usize;
    if wanted > MAX_SLOTS || buckets.len() > usize::from(u16::MAX) {
        return Box::default();
    }
    let mut divisors = vec![1u64; buckets.len()];
    let mut out = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let mut winner = 0;
        for i in 1..buckets.len() {
            // weight / divisor, compared without fractions; the first of equals wins.
            let (mine, best) = (u64::from(buckets[i].weight), u64::from(buckets[winner].weight));
            if mine * divisors[winner] > best * divisors[i] {
                winner = i;
            }
        }
        divisors[winner] += 2;
        out.push(winner as u16);
    }
    out.into()
}

impl<'a> Walk<'a> {
    /// `false`: there is no such group, which ends the list.
    pub(super) fn group(&mut self, id: u32, last: bool) -> bool {
        let Some(group) = self.group_of(id) else {
            self.explain(DropReason::NoSuchGroup);
            return false;
        };
        match group.spec.kind {
            GroupKind::All | GroupKind::Indirect => {
                let end = group.spec.buckets.len();
                self.effects.push(Effect::Bucket { bridge: self.bridge.id, group: id, bucket: ALL_BUCKETS });
                for (i, bucket) in group.spec.buckets.iter().enumerate() {
                    self.bucket(bucket, last && i + 1 == end);
                }
            }
            GroupKind::Select => {
                let bucket = self.select(group);
                self.chosen(id, bucket, last);
            }
            GroupKind::FastFailover => {
                let bucket = group.spec.buckets.iter().find(|b| self.is_live(group, b, 0));
                self.chosen(id, bucket, last);
            }
        }
        true
    }

    fn group_of(&mut self, id: u32) -> Option<&'a Group> {
        self.depend(Dep::Group(self.bridge.id, id));
        self.bridge.groups.get(&id).map(|g| &**g)
    }

    fn chosen(&mut self, group: u32, bucket: Option<&'a Bucket>, last: bool) {
        match bucket {
            Some(bucket) => {
                self.effects.push(Effect::Bucket { bridge: self.bridge.id, group, bucket: bucket.id });
                self.detail(|_| format!("using bucket {}", bucket.id));
                self.bucket(bucket, last);
            }
            None if self.freezing.is_none() => self.explain(DropReason::NoLiveBucket),
            None => {}
        }
    }

    /// Execute a bucket on a copy: neither its changes nor its end go beyond it.
    fn bucket(&mut self, bucket: &'a Bucket, last: bool) {
        let list = in_order(bucket.actions.iter());
        let within = self.enter(|_| TraceStep::Bucket(bucket.id));
        self.nest(true, |w| {
            w.scoped(|w| {
                w.execute_set(&list, Place::Bucket, last);
                w.finish_freezing();
            });
        });
        self.leave(within);
        self.exit = false;
    }

    fn select(&mut self, group: &'a Group) -> Option<&'a Bucket> {
        let buckets = &group.spec.buckets;
        match way(group) {
            Way::Datapath(spec) if !self.has_hash() && !self.unroll(group, spec) => {
                self.detail(|_| "selection method in use: dp_hash, recirculating".to_owned());
                self.freeze(Freezing::Hash(spec));
                None
            }
            Way::Datapath(_) => {
                if let Some(place) = self.forced.take() {
                    let bucket = buckets.get(place)?;
                    return self.is_live(group, bucket, 0).then_some(bucket);
                }
                let slots = group.slots();
                let mask = slots.len().saturating_sub(1);
                self.packet.look_bits(FieldId::DpHash, Value(mask as u128));
                let hash = self.packet.key().dp_hash.get() as usize;
                (0..slots.len()).find_map(|i| {
                    let bucket = buckets.get(usize::from(*slots.get(hash.wrapping_add(i) & mask)?))?;
                    self.is_live(group, bucket, 0).then_some(bucket)
                })
            }
            Way::Fields(param, fields) => {
                let mut hash = Hash::new(param);
                for (field, bits) in fields {
                    if self.packet.has(field.def().prereq) {
                        self.packet.look_bits(*field, *bits);
                        let value = field.def().get(self.packet.key(), &self.packet.regs);
                        hash.add(value.0 & bits.0);
                    }
                }
                self.weigh(group, hash)
            }
            Way::Addresses => {
                let hash = look_fields(&mut self.packet, HashFields::SymmetricL4, 0);
                self.weigh(group, hash)
            }
        }
    }

    /// Whether the packet has a hash, the datapath's or the same of the switch.
    fn has_hash(&self) -> bool {
        self.hashed || self.packet.has_written_hash()
    }

    /// The live bucket with the highest random weight: when one goes, only its packets go elsewhere.
    fn weigh(&mut self, group: &'a Group, hash: Hash) -> Option<&'a Bucket> {
        let mut best: Option<(u64, &'a Bucket)> = None;
        for bucket in &group.spec.buckets {
            if self.is_live(group, bucket, 0) {
                let score = u64::from(hash.with(u64::from(bucket.id)) & 0xffff) * u64::from(bucket.weight);
                if best.is_none_or(|(had, _)| score >= had) {
                    best = Some((score, bucket));
                }
            }
        }
        best.map(|(_, bucket)| bucket)
    }

    /// Whether what a bucket watches is there. One that watches nothing is live; one of a select group needs a weight.
    fn is_live(&mut self, group: &Group, bucket: &Bucket, depth: u32) -> bool {
        if depth >= MAX_WATCH || group.spec.kind == GroupKind::Select && bucket.weight == 0 {
            return false;
        }
        match (bucket.watch_port, bucket.watch_group) {
            (None, None) => true,
            (port, group) => {
                port.is_some_and(|p| self.port_is_live(p)) || group.is_some_and(|g| self.group_is_live(g, depth + 1))
            }
        }
    }

    pub(super) fn port_is_live(&mut self, port: OfPort) -> bool {
        self.depend(Dep::Ports(self.bridge.id));
        self.bridge.ports.get(&port).is_some_and(|p| p.up)
    }

    fn group_is_live(&mut self, id: u32, depth: u32) -> bool {
        match self.group_of(id) {
            Some(group) => group.spec.buckets.iter().any(|b| self.is_live(group, b, depth)),
            None => false,
        }
    }
}
