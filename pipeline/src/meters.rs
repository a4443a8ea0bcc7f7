//! Which meters a bridge has. How they limit is [`crate::meter`]'s.

use crate::apply::Batch;
use crate::change::MeterChange;
use crate::error::ChangeError;
use crate::meter::{MAX_BANDS, MAX_METERS, MeterError, MeterStats};
use crate::pipeline::Pipeline;
use crate::rule::{RemoveReason, Uses};
use flow::Action;
use flow::clock::Time;
use flow::dp::{BridgeId, Dep, MeterId};
use flow::meter::{MAX_METER, MeterSpec};
use rpds::HashTrieMapSync;
use std::collections::VecDeque;
use std::sync::Arc;

/// The meters of a bridge by OpenFlow number.
pub(crate) type Meters = HashTrieMapSync<u32, Arc<Meter>>;

/// A meter. Changed by replacing it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) spec: MeterSpec,
    /// Its number in the datapath: kept when the meter is changed, never that of two meters at a time.
    pub(crate) id: MeterId,
    /// When it was added.
    pub(crate) created: Time,
}

/// Datapath numbers of meters.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeterIds {
    next: u32,
    /// Free again, the one that rested longest first.
    free: VecDeque<u32>,
}

impl MeterIds {
    /// A free number is not given again before so many others: flows that still name it should find nothing.
    const RESTING: usize = 1024;

    fn take(&mut self) -> Option<MeterId> {
        let fresh = (self.next as usize) < MAX_METERS;
        if self.free.len() > Self::RESTING || !fresh {
            return self.free.pop_front().map(MeterId);
        }
        self.next += 1;
        Some(MeterId(self.next - 1))
    }
}

/// A meter as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterEntry {
    pub spec: MeterSpec,
    /// Its number in the datapath.
    pub id: MeterId,
    /// When it was added; its duration runs from here.
    pub created: Time,
    /// What it has counted; its flow count is the number of rules that use it.
    pub stats: MeterStats,
}

impl Pipeline {
    /// The meters of a bridge by number.
    #[must_use]
    pub fn meters(&self, bridge: BridgeId) -> Vec<MeterEntry> {
        let state = self.state();
        let Some(owner) = state.bridges.get(&bridge) else { return Vec::new() };
        let entry = |m: &Arc<Meter>| {
            let mut stats = self.meter_table().stats(m.id, self.now()).unwrap_or_default();
            stats.flow_count = owner.uses.get(&Uses::Meter(m.spec.id)).copied().unwrap_or_default();
            MeterEntry { spec: m.spec.clone(), id: m.id, created: m.created, stats }
        };
        let mut all: Vec<_> = owner.meters.values().map(entry).collect();
        all.sort_unstable_by_key(|m| m.spec.id);
        all
    }
}

impl Batch {
    pub(crate) fn change_meter(&mut self, change: &MeterChange) -> Result<(), ChangeError> {
        match change {
            MeterChange::Add { bridge, meter } => {
                check_meter(meter)?;
                if self.bridge(*bridge)?.meters.contains_key(&meter.id) {
                    return Err(ChangeError::MeterExists(meter.id));
                }
                let id = Arc::make_mut(&mut self.state.meter_ids).take();
                let id = id.ok_or(ChangeError::Meter(MeterError::TooManyMeters { meter: meter.id }))?;
                self.put_meter(*bridge, Meter { spec: meter.clone(), id, created: self.now })
            }
            MeterChange::Modify { bridge, meter } => {
                check_meter(meter)?;
                let old = self.bridge(*bridge)?.meters.get(&meter.id).cloned();
                let Meter { id, created, .. } = *old.ok_or(ChangeError::NoMeter(meter.id))?;
                self.put_meter(*bridge, Meter { spec: meter.clone(), id, created })
            }
            MeterChange::Delete { bridge, meter: Some(id) } => self.delete_meter(*bridge, *id),
            MeterChange::Delete { bridge, meter: None } => {
                let all: Vec<u32> = self.bridge(*bridge)?.meters.keys().copied().collect();
                self.remove_using(*bridge, RemoveReason::MeterDelete, |a| matches!(a, Action::Meter(_)))?;
                all.into_iter().try_for_each(|id| self.delete_meter(*bridge, id))
            }
        }
    }

    fn put_meter(&mut self, bridge: BridgeId, meter: Meter) -> Result<(), ChangeError> {
        let number = meter.spec.id;
        self.meters.push((meter.id, meter.spec.clone()));
        let owner = self.bridge(bridge)?;
        owner.meters.insert_mut(number, Arc::new(meter));
        self.deps.insert(Dep::Meter(bridge, number));
        Ok(())
    }

    fn delete_meter(&mut self, bridge: BridgeId, number: u32) -> Result<(), ChangeError> {
        let owner = self.bridge(bridge)?;
        let Some(id) = owner.meters.get(&number).map(|m| m.id) else { return Ok(()) };
        owner.meters.remove_mut(&number);
        let used = owner.uses.contains_key(&Uses::Meter(number));
        Arc::make_mut(&mut self.state.meter_ids).free.push_back(id.0);
        self.meters_gone.push(id);
        self.deps.insert(Dep::Meter(bridge, number));
        if used {
            self.remove_using(bridge, RemoveReason::MeterDelete, |a| *a == Action::Meter(number))?;
        }
        Ok(())
    }
}

fn check_meter(spec: &MeterSpec) -> Result<(), ChangeError> {
    let meter = spec.id;
    if meter == 0 || meter > MAX_METER {
        return Err(ChangeError::BadMeterNumber(meter));
    }
    if spec.bands.len() > MAX_BANDS {
        return Err(ChangeError::Meter(MeterError::TooManyBands { meter, bands: spec.bands.len() }));
    }
    match spec.bands.iter().position(|b| b.rate == 0) {
        Some(band) => Err(ChangeError::Meter(MeterError::ZeroRate { meter, band })),
        None => Ok(()),
    }
}
