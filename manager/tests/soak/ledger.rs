//! What has been counted, and what had to be: rules, table, meter, buffers.

use crate::reference::Reference;
use crate::rig::{Balance, MISS_BUDGET, Rig};
use crate::traffic::Sent;
use offload::{FlowRank, Placement};
use pipeline::Select;
use pipeline::testing::Outcome;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long hits may take to reach their rules.
const PATIENCE: Duration = Duration::from_secs(5);

/// Packets and bytes.
type Count = (u64, u64);

/// Least and most that a counter may show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    least: Count,
    most: Count,
}

impl Bounds {
    fn hold(&self, count: Count) -> bool {
        (self.least.0..=self.most.0).contains(&count.0) && (self.least.1..=self.most.1).contains(&count.1)
    }
}

/// What had to be counted, by the reference. Rules are known by their cookies, which no two rules of a life share.
#[derive(Debug, Default)]
pub struct Ledger {
    rules: HashMap<u64, Bounds>,
    /// Counts of rules that are gone.
    removed: HashMap<u64, Count>,
    meter: Bounds,
    punted: Bounds,
    /// Readings of hardware that were not exact, and packets that were not told of for that.
    untellable: u64,
    untold: u64,
}

impl Ledger {
    /// A frame of which one of these outcomes comes, or part of one when that is not certain.
    pub fn count(&mut self, sent: &Sent, outcomes: &[(Outcome, &Reference)], certain: bool) {
        let bytes = sent.bytes.len() as u64;
        let mut least: HashMap<u64, u64> = HashMap::new();
        let mut most: HashMap<u64, u64> = HashMap::new();
        let (mut metered, mut punted) = ((u64::MAX, 0), (u64::MAX, 0));
        for (i, (outcome, state)) in outcomes.iter().enumerate() {
            let mut hits: HashMap<u64, u64> = HashMap::new();
            outcome.hits.iter().filter_map(|hit| hit.1).for_each(|cookie| *hits.entry(cookie).or_default() += 1);
            let through: u64 = state.metering.iter().filter_map(|cookie| hits.get(cookie)).sum();
            // A packet that fails on the way may not come as far as its meters, but its rules count.
            let sure = if outcome.failed || outcome.sent.is_empty() { 0 } else { through };
            metered = (metered.0.min(sure), metered.1.max(through));
            let to_controllers = Reference::leaving(sent, outcome).1;
            punted = (punted.0.min(to_controllers), punted.1.max(to_controllers));
            for (cookie, n) in &hits {
                let seen = most.entry(*cookie).or_default();
                *seen = (*seen).max(*n);
            }
            if i == 0 {
                least = hits;
            } else {
                least.retain(|cookie, _| hits.contains_key(cookie));
                least.iter_mut().for_each(|(cookie, n)| *n = (*n).min(hits[cookie]));
            }
        }
        if !certain {
            least.clear();
            (metered.0, punted.0) = (0, 0);
        }
        let add = |count: &mut Count, n: u64| *count = (count.0 + n, count.1 + n * bytes);
        for (cookie, n) in least {
            add(&mut self.rules.entry(cookie).or_default().least, n);
        }
        for (cookie, n) in most {
            add(&mut self.rules.entry(cookie).or_default().most, n);
        }
        add(&mut self.meter.least, metered.0);
        add(&mut self.meter.most, metered.1);
        add(&mut self.punted.least, punted.0);
        add(&mut self.punted.most, punted.1);
    }

    /// Hold everything against what the switch shows, when it is at rest: `None` if all is well.
    pub fn fault(&mut self, rig: &Rig, balance: &Balance) -> Option<String> {
        if !balance.is_even() {
            return Some(format!("frames do not add up: {balance:?}"));
        }
        let injected = rig.outside.injected;
        if balance.frames_in != injected {
            return Some(format!("{injected} frames injected, {} came in", balance.frames_in));
        }
        let refused = if rig.miss_budget { balance.refused() } else { 0 };
        let mut lost = balance.lost();
        lost.retain(|(name, _)| !(rig.miss_budget && *name == MISS_BUDGET));
        if !lost.is_empty() {
            return Some(format!("frames were lost: {lost:?}"));
        }
        // Each frame meets table 0 once, in hardware or in software. Hits of flows reach their rules with the next
        // revalidation, and those of a removed flow some time after its end.
        let (start, switch) = (Instant::now(), rig.control.switch());
        let untold = |flow: &FlowRank| (flow.placement == Placement::Full) != flow.refusals.is_empty();
        if let Some(flow) = switch.engine().top(usize::MAX).into_iter().find(untold) {
            return Some(format!("a flow without a reason, or with one that it should not have: {flow:?}"));
        }
        loop {
            switch.fold();
            let first = switch.pipeline().table_stats(rig.control.bridge).into_iter().find(|stats| stats.table == 0);
            let met = first.map_or(0, |stats| stats.lookups);
            if refused == 0 && met + self.untold == injected {
                break;
            }
            // Which of the refused packets had met table 0 before is not known: then it is right when all is.
            if refused > 0 && (injected.saturating_sub(refused)..=injected).contains(&(met + self.untold)) {
                self.take_removed(rig);
                // No fault: all is well.
                self.look(rig, balance)?;
            }
            // A counter that dies with its rule cannot tell of the packets between its last reading and its end.
            let untellable = switch.engine().status().inexact_counts;
            if untellable > self.untellable && met + self.untold < injected && start.elapsed() > PATIENCE / 5 {
                (self.untellable, self.untold) = (untellable, injected - met);
                break;
            }
            if start.elapsed() > PATIENCE {
                self.take_removed(rig);
                let which = self.look(rig, balance).unwrap_or_default();
                return Some(format!("{injected} frames, and table 0 counted {met} lookups; {which}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.take_removed(rig);
        self.look(rig, balance)
    }

    fn look(&self, rig: &Rig, balance: &Balance) -> Option<String> {
        let (bridge, pipeline) = (rig.control.bridge, rig.control.switch().pipeline());
        let count = |entry: &pipeline::RuleEntry| (entry.spec.cookie, (entry.stats.packets, entry.stats.bytes));
        let live: HashMap<u64, Count> = pipeline.dump(bridge, &Select::default()).unwrap().iter().map(count).collect();
        for (cookie, bounds) in &self.rules {
            let Some(count) = live.get(cookie).or_else(|| self.removed.get(cookie)) else { continue };
            let least = if self.untold == 0 { bounds.least } else { (0, 0) };
            if !(Bounds { least, ..*bounds }).hold(*count) {
                let gone = if live.contains_key(cookie) { "" } else { ", which is gone," };
                return Some(format!("rule {cookie}{gone} counted {count:?}, not {bounds:?}"));
            }
        }
        let idle = live.iter().find(|(cookie, count)| !self.rules.contains_key(cookie) && **count != (0, 0));
        if let Some((cookie, count)) = idle {
            return Some(format!("rule {cookie} counted {count:?}, and no frame meets it"));
        }
        if let Some(meter) = pipeline.meters(bridge).first() {
            let count = (meter.stats.packets_in, meter.stats.bytes_in);
            if count.0 < self.meter.least.0 || count.0 > self.meter.most.0 {
                return Some(format!("the meter counted {count:?}, not {:?}", self.meter));
            }
        }
        if balance.punted < self.punted.least.0 || balance.punted > self.punted.most.0 {
            return Some(format!("{} packets for controllers, not {:?}", balance.punted, self.punted));
        }
        let read = rig.control.switch().punted_total();
        if read != balance.punted {
            return Some(format!("{} packets for controllers, of which {read} were read", balance.punted));
        }
        match rig.buffers_out() {
            [0, 0] => None,
            out => Some(format!("buffers did not come back: {} of the switch, {} of the NIC", out[0], out[1])),
        }
    }

    /// Take the last counts of the rules that went.
    fn take_removed(&mut self, rig: &Rig) {
        let notices = rig.control.switch().pipeline().take_notices();
        assert_eq!(notices.lost, 0);
        for notice in notices.removed {
            let entry = notice.entry;
            self.removed.insert(entry.spec.cookie, (entry.stats.packets, entry.stats.bytes));
        }
    }
}
