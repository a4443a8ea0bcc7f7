//! Rules of an earlier run that are still in hardware.
//!
//! They go on switching their packets. A flow that is to have the same rules takes them over; one that is to have others at their
//! place has them taken out first; what no flow has asked for when the time of grace is over goes too.

use super::reasons::tell;
use super::{Core, Doing};
use crate::backend::{Adopted, Counters, DeviceError, DeviceErrorKind, Done, Op, RuleKey};
use crate::engine::entry::{Installed, Place};
use crate::refusal::Refusal;
use crate::rule::{HwAction, HwProgram, HwRule, RuleRole};
use crate::world::EthdevId;
use flow::FlowKey;
use flow::clock::Time;
use flow::dp::FlowId;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

#[derive(Debug)]
struct Orphan {
    key: RuleKey,
    rule: Arc<HwRule>,
    counters: Option<Counters>,
    /// It is on its way out: since when in the order of changes, and who waits for that.
    leaving: Option<u64>,
    waiting: Vec<FlowId>,
}

/// Rules that nobody has taken over yet.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    by_place: HashMap<Place, Orphan>,
    places: HashMap<RuleKey, Place>,
    /// Rules that are of no use: taken out at once.
    useless: Vec<RuleKey>,
    /// Until then they wait.
    grace: Option<Time>,
    /// Rules that the device held on to are asked for again then.
    retry: Time,
    pub adopted: u64,
}

impl Orphans {
    pub fn len(&self) -> usize {
        self.by_place.len()
    }
}

fn spot(rule: &HwRule) -> Place {
    (rule.port, rule.table, rule.matches)
}

impl Core {
    pub(super) fn take_over(&mut self, found: Vec<Adopted>) {
        for Adopted { key, rule, cookie, counters, .. } in found {
            // A mark is the number of a flow that ended with its run; and what is not ours stays.
            if cookie.instance != self.config.cookie.instance {
                continue;
            }
            let marks = rule.actions.iter().any(|action| matches!(action, HwAction::Mark(_)));
            let place = spot(&rule);
            self.headers.keep_orphan(key, &rule, &self.world);
            if marks || self.orphans.by_place.contains_key(&place) {
                self.orphans.useless.push(key);
                continue;
            }
            self.orphans.places.insert(key, place);
            let orphan = Orphan { key, rule, counters, leaving: None, waiting: Vec::new() };
            self.orphans.by_place.insert(place, orphan);
        }
        for key in std::mem::take(&mut self.orphans.useless) {
            let id = self.op(Doing::Orphan(key));
            self.outbox.push_back(Op::Remove { id, key });
        }
    }

    /// For each rule of an earlier run that waits for its flow: a packet of that flow. Not of ports that are not there.
    pub fn expected(&self) -> Vec<FlowKey> {
        let ports: HashMap<_, _> = self.world.ports.iter().map(|(port, info)| (info.ethdev, *port)).collect();
        let waiting = self.orphans.by_place.values().filter(|o| o.leaving.is_none() && o.rule.role == RuleRole::Main);
        let example = |orphan: &Orphan| {
            let mut key = orphan.rule.matches.example();
            key.in_port = ports.get(&orphan.rule.port)?.0.into();
            Some(key)
        };
        waiting.filter_map(example).collect()
    }

    /// All flows that there are were told of: what they have not taken over is not as it should be. Rules of ports that are not
    /// there wait on.
    pub fn let_go(&mut self) {
        let ports: HashSet<EthdevId> = self.world.ports.values().map(|info| info.ethdev).collect();
        let mut stale: Vec<(RuleKey, Place)> = self
            .orphans
            .by_place
            .iter()
            .filter(|(_, o)| ports.contains(&o.rule.port))
            .map(|(p, o)| (o.key, *p))
            .collect();
        stale.sort_unstable_by_key(|(key, _)| *key);
        stale.into_iter().for_each(|(_, place)| self.drop_orphan(place));
    }

    /// Give the flow, which is about to put its program in, the rules of an earlier run if they are the same.
    pub(super) fn adopt_rules(&mut self, id: FlowId, now: Time) -> bool {
        if self.orphans.by_place.is_empty() {
            return false;
        }
        let Some(entry) = self.flows.get_mut(id) else { return false };
        let orphans = &mut self.orphans;
        let same = |rule: &Arc<HwRule>| {
            orphans.by_place.get(&spot(rule)).is_some_and(|o| o.leaving.is_none() && o.rule == *rule)
        };
        if !entry.program.rules.iter().all(same) {
            return false;
        }
        for rule in &entry.program.rules {
            let Some(orphan) = orphans.by_place.remove(&spot(rule)) else { continue };
            orphans.places.remove(&orphan.key);
            self.headers.drop_orphan(orphan.key);
            entry.rules.push(Installed { key: orphan.key, rule: orphan.rule });
            if rule.role == RuleRole::Main {
                entry.last = orphan.counters.unwrap_or_default();
                entry.baseline = orphan.counters.is_none();
                entry.inexact |= entry.baseline;
            }
        }
        orphans.adopted += 1;
        self.is_in(id, now);
        true
    }

    /// The reason to wait, where rules of an earlier run that are not to stay are where the program goes. They are taken out then.
    pub(super) fn is_in_the_way(&mut self, id: FlowId, program: &HwProgram) -> Option<Refusal> {
        if self.orphans.by_place.is_empty() {
            return None;
        }
        let places: smallvec::SmallVec<[(Place, bool); 2]> = program
            .rules
            .iter()
            .filter_map(|rule| {
                let orphan = self.orphans.by_place.get(&spot(rule))?;
                Some((spot(rule), orphan.leaving.is_none() && orphan.rule == *rule))
            })
            .collect();
        if places.len() == program.rules.len() && places.iter().all(|(_, same)| *same) {
            return None;
        }
        let mut error = None;
        for (place, _) in &places {
            self.drop_orphan(*place);
            let Some(orphan) = self.orphans.by_place.get_mut(place) else { continue };
            if !orphan.waiting.contains(&id) {
                orphan.waiting.push(id);
            }
            let said = orphan.leaving.and_then(|point| self.stale.get(&point).cloned().flatten());
            error = error.or(said);
        }
        (!places.is_empty()).then_some(Refusal::OldRule { error })
    }

    fn drop_orphan(&mut self, place: Place) {
        let Some(orphan) = self.orphans.by_place.get_mut(&place) else { return };
        if orphan.leaving.is_some() {
            return;
        }
        orphan.leaving = Some(self.next_stale);
        self.stale.insert(self.next_stale, None);
        self.next_stale += 1;
        let key = orphan.key;
        let id = self.op(Doing::Orphan(key));
        self.outbox.push_back(Op::Remove { id, key });
    }

    pub(super) fn orphan_gone(&mut self, key: RuleKey, result: Result<Done, DeviceError>, now: Time) {
        let Some(place) = self.orphans.places.get(&key).copied() else {
            if let Err(error) = result
                && !matches!(error.kind, DeviceErrorKind::NotFound | DeviceErrorKind::Dead)
            {
                self.orphans.useless.push(key);
            } else {
                self.headers.drop_orphan(key);
            }
            return;
        };
        let stays =
            matches!(&result, Err(error) if !matches!(error.kind, DeviceErrorKind::NotFound | DeviceErrorKind::Dead));
        if stays {
            if let (Some(orphan), Err(error)) = (self.orphans.by_place.get(&place), result) {
                tell(&mut self.flows, &orphan.waiting, &error);
                if let Some(point) = orphan.leaving {
                    self.stale.insert(point, Some(error));
                }
            }
            self.orphans.useless.push(key);
            return;
        }
        self.orphans.places.remove(&key);
        self.headers.drop_orphan(key);
        if let Some(orphan) = self.orphans.by_place.remove(&place) {
            if let Some(point) = orphan.leaving {
                self.stale.remove(&point);
            }
            for id in orphan.waiting {
                self.try_again(id, now);
            }
        }
    }

    /// The time of grace is over for rules that nobody has taken over; and those that the device held on to are asked for again.
    pub(super) fn drop_orphans(&mut self, now: Time) -> bool {
        if self.orphans.by_place.is_empty() && self.orphans.useless.is_empty() {
            return false;
        }
        let grace = *self.orphans.grace.get_or_insert_with(|| now.after(self.config.grace));
        let mut worked = false;
        if self.orphans.retry <= now && !self.orphans.useless.is_empty() {
            self.orphans.retry = now.after(self.config.retry_interval);
            for key in std::mem::take(&mut self.orphans.useless) {
                let id = self.op(Doing::Orphan(key));
                self.outbox.push_back(Op::Remove { id, key });
            }
            worked = true;
        }
        if now >= grace || self.wishes.flush {
            let mut left: Vec<(RuleKey, Place)> =
                self.orphans.by_place.iter().filter(|(_, o)| o.leaving.is_none()).map(|(p, o)| (o.key, *p)).collect();
            left.sort_unstable_by_key(|(key, _)| *key);
            left.truncate(self.config.batch);
            worked |= !left.is_empty();
            left.into_iter().for_each(|(_, place)| self.drop_orphan(place));
        }
        worked
    }
}
