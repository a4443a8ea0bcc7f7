//! What the engine tells, and what it is asked.

use crate::backend::{Counters, DeviceKey, MeterCounts};
use crate::refusal::{Refusal, Refusals};
use crate::rule::HwRule;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, Hits, Mark, MeterId};
use flow::port::DpPort;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who hears of packets that hardware switched. Called on the engine's thread with its lock held: must return
/// soon and must not call the engine, except as a [`flow::dp::FlowListener`].
pub trait HitSink: Send + Sync {
    /// Packets of the flow since the last report. `used` is when the counter was read.
    fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: Hits);

    /// The flow, which the datapath removed, has no rule left and its last hits are reported: its mark may be used
    /// again. Exactly once for each removed flow, whether or not it ever was in hardware.
    fn hardware_gone(&self, flow: &Arc<DpFlow>);

    /// The mark for packets of which hardware does the first `done` actions of the flow, and nothing but change bytes: whoever
    /// gets them goes on behind. The same each time, and no other flow's as long as the flow's own mark is not. `None`: there
    /// is none, and packets must come to software as they are.
    fn rest_mark(&self, flow: &Arc<DpFlow>, done: usize) -> Option<Mark> {
        let _ = (flow, done);
        None
    }

    /// `Some`: hardware does all of the flow's work, and all its packets until then are reported; that a packet came later is
    /// not known before the next call. `None`: software sees all of its packets from now on. A flow that hardware has may be
    /// idle only for as long as that is known: never because a counter could not be read.
    fn hardware_read(&self, flow: &Arc<DpFlow>, until: Option<Time>) {
        let _ = (flow, until);
    }

    /// What a meter in hardware has counted since the last report.
    fn meter_hits(&self, meter: MeterId, hits: MeterCounts) {
        let _ = (meter, hits);
    }
}

/// Where a flow is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// All of it in hardware.
    Full,
    /// Matched in hardware, executed in software.
    Partial,
    /// In software.
    Software,
    /// Rules are on their way in or out; software switches it meanwhile.
    Moving,
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Placement::Full => "full",
            Placement::Partial => "partial",
            Placement::Software => "software",
            Placement::Moving => "moving",
        })
    }
}

/// All that is known of one flow's way into hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatus {
    pub placement: Placement,
    /// Why not in hardware, or not all of it.
    pub refusals: Refusals,
    /// What hardware switched so far.
    pub hits: Hits,
    /// When its counter was last read, or its rules went in anew; `None`: it has none, or never yet. What came later is not in `hits`.
    pub read: Option<Time>,
    /// Rules went with packets perhaps uncounted: `hits` may be too low.
    pub inexact: bool,
    /// Packets a second, in hardware and software, as estimated from counters.
    pub pps: u64,
    /// When it came to be where it is.
    pub since: Time,
    /// Rules in hardware.
    pub rules: usize,
}

/// A rule that is in hardware, or on its way out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    pub rule: Arc<HwRule>,
    /// Its counter when it was last read; `None` for a rule that does not count.
    pub counters: Option<Counters>,
    /// When that was.
    pub read: Option<Time>,
}

/// How many packets a flow has had in software so far: [`super::Engine::rates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRate {
    pub flow: FlowId,
    /// Since the flow began; packets that hardware only marked are among them.
    pub packets: u64,
}

/// A flow by its rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRank {
    pub flow: Arc<DpFlow>,
    pub pps: u64,
    pub placement: Placement,
    pub refusals: Refusals,
    /// What hardware switched so far.
    pub hits: Hits,
}

/// The engine at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    pub full: usize,
    pub partial: usize,
    pub software: usize,
    pub moving: usize,
    /// Flows by [`crate::Refusal::name`]; one flow may have several.
    pub by_reason: BTreeMap<&'static str, usize>,
    /// By device: its profile's name, rules in it, and room where known.
    pub tables: Vec<TableUse>,
    /// By input port.
    pub ports: BTreeMap<DpPort, PortStatus>,
    /// Rule shapes that a device refused and that are not tried again.
    pub refused_shapes: usize,
    /// Counters that went backwards or told nonsense.
    pub counter_anomalies: u64,
    /// Rules that went with packets perhaps uncounted, as the device's counters die with their rules.
    pub inexact_counts: u64,
    /// Completions of no operation under way.
    pub unknown_completions: u64,
    /// Rules that a device took and no longer has.
    pub lost_rules: u64,
    /// Flows that were taken out because all their packets came to software though a device had taken their rules: it lost
    /// the rules, or all of the packets are of a kind that its parser does not vouch for.
    pub missed_rules: u64,
    /// Flows whose counter stood still while packets came.
    pub stuck_counters: u64,
    /// Rules that a device does not let go of; tried again.
    pub stuck_rules: usize,
    /// Rules of an earlier run that wait for a flow to take them over.
    pub orphans: usize,
    /// Rules of earlier runs that flows took over.
    pub adopted: u64,
    /// Rules of flows that devices found idle by themselves (AGE), and that were read at once.
    pub idle_hints: u64,
    /// Devices that died.
    pub dead: Vec<String>,
    /// Events not yet looked at, and operations under way.
    pub queued: usize,
    pub in_flight: usize,
}

/// Flows that come in on a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortStatus {
    /// As the world names it; empty for a port that is not in it.
    pub name: String,
    /// `None`: the port's device takes no rules.
    pub device: Option<DeviceKey>,
    /// Policy and switches let its flows in.
    pub admitted: bool,
    pub full: usize,
    pub partial: usize,
    pub software: usize,
    pub moving: usize,
    /// Rules of its flows in hardware.
    pub rules: usize,
    /// What hardware switched for its live flows.
    pub hits: Hits,
    pub by_reason: BTreeMap<&'static str, usize>,
}

/// How a device is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceHealth {
    #[default]
    Works,
    /// It asked to be left alone until then, so many times running.
    Busy { until: Time, times: u32 },
    /// It is gone, and its rules with it; asked again at `next`.
    Dead { why: String, since: Time, next: Time },
}

/// How full a device is, and what passes in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableUse {
    pub device: DeviceKey,
    pub name: String,
    pub used: u32,
    pub limit: Option<u32>,
    /// Counters that its rules have, and how many there are where that is known.
    pub counters: u32,
    pub counter_limit: Option<u32>,
    /// Different outer headers of its rules, and room for them where it is known.
    pub encap_headers: u32,
    pub encap_limit: Option<u32>,
    pub health: DeviceHealth,
    /// Packets that its rules counted, over all flows that there ever were.
    pub hits: Hits,
    pub inserts: u64,
    /// Rules put in within the last whole second.
    pub insert_rate: u64,
    pub removes: u64,
    /// Rules that replaced others without a gap.
    pub updates: u64,
    /// Operations that the device refused.
    pub refused: u64,
    /// Flows taken out for others that carry more.
    pub evictions: u64,
    /// Flows that wait for room.
    pub waiting: usize,
}

impl EngineStatus {
    /// Count a flow that is here for these reasons.
    pub fn count(&mut self, placement: Placement, refusals: &[Refusal]) {
        match placement {
            Placement::Full => self.full += 1,
            Placement::Partial => self.partial += 1,
            Placement::Software => self.software += 1,
            Placement::Moving => self.moving += 1,
        }
        count_reasons(&mut self.by_reason, refusals);
    }
}

impl PortStatus {
    /// Count a flow that comes in here.
    pub fn count(&mut self, placement: Placement, refusals: &[Refusal]) {
        match placement {
            Placement::Full => self.full += 1,
            Placement::Partial => self.partial += 1,
            Placement::Software => self.software += 1,
            Placement::Moving => self.moving += 1,
        }
        count_reasons(&mut self.by_reason, refusals);
    }
}

fn count_reasons(into: &mut BTreeMap<&'static str, usize>, refusals: &[Refusal]) {
    let mut names: smallvec::SmallVec<[&'static str; 4]> = refusals.iter().map(Refusal::name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        *into.entry(name).or_default() += 1;
    }
}
