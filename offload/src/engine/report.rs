//! What the engine tells, and what it is asked.

use crate::backend::Counters;
use crate::refusal::{Refusal, Refusals};
use crate::rule::HwRule;
use flow::clock::Time;
use flow::dp::{DpFlow, Hits};
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
    /// Rules that a device does not let go of; tried again.
    pub stuck_rules: usize,
    /// Devices that died.
    pub dead: Vec<String>,
    /// Events not yet looked at, and operations under way.
    pub queued: usize,
    pub in_flight: usize,
}

/// How full a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableUse {
    pub device: crate::backend::DeviceKey,
    pub name: String,
    pub used: u32,
    pub limit: Option<u32>,
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
        let mut names: Vec<&'static str> = refusals.iter().map(Refusal::name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *self.by_reason.entry(name).or_default() += 1;
        }
    }
}
