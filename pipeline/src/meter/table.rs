//! All meters of a datapath by number.

use super::engine::{Meter, MeterStats};
use super::{MAX_METERS, MeterError};
use arc_swap::ArcSwap;
use flow::clock::Time;
use flow::dp::{MeterId, Meters, Verdict};
use flow::meter::MeterSpec;
use parking_lot::Mutex;
use rpds::VectorSync;
use std::collections::VecDeque;
use std::sync::Arc;

/// A number that became free is not given again before so many others: packets and flows that still name it should find nothing.
const RESTING: usize = 1024;

type Slots = VectorSync<Option<Arc<Meter>>>;

/// The meters of a datapath. A meter's number here, its [`MeterId`], says nothing about its OpenFlow number or its bridge.
#[derive(Debug, Default)]
pub struct MeterTable {
    meters: ArcSwap<Slots>,
    /// Numbers that are free again, the one that rested longest first. Its lock is held by whoever changes `meters`.
    free: Mutex<VecDeque<u32>>,
}

impl MeterTable {
    /// Add a meter; its buckets are full at `now`.
    ///
    /// # Errors
    /// A band without a rate; too many bands or meters.
    pub fn add(&self, spec: MeterSpec, now: Time) -> Result<MeterId, MeterError> {
        let id = spec.id;
        let meter = Arc::new(Meter::new(spec, now)?);
        let mut free = self.free.lock();
        let mut slots = Slots::clone(&self.meters.load());
        let fresh = slots.len();
        let number = if free.len() <= RESTING && fresh < MAX_METERS {
            slots.push_back_mut(Some(meter));
            fresh as u32
        } else {
            let number = free.pop_front().ok_or(MeterError::TooManyMeters { meter: id })?;
            slots.set_mut(number as usize, Some(meter));
            number
        };
        self.meters.store(Arc::new(slots));
        Ok(MeterId(number))
    }

    /// Change a meter. Its counters stay, of bands too that stay what they are; its buckets are full at `now`.
    ///
    /// # Errors
    /// As [`MeterTable::add`]; there is no such meter.
    pub fn change(&self, id: MeterId, spec: MeterSpec, now: Time) -> Result<(), MeterError> {
        let _writer = self.free.lock();
        let mut slots = Slots::clone(&self.meters.load());
        let old = find(&slots, id).ok_or(MeterError::Unknown(id.0))?;
        let new = Arc::new(old.changed(spec, now)?);
        slots.set_mut(id.0 as usize, Some(new));
        self.meters.store(Arc::new(slots));
        Ok(())
    }

    /// Remove a meter; `false` when there is none. Packets that still name it pass.
    pub fn remove(&self, id: MeterId) -> bool {
        let mut free = self.free.lock();
        let mut slots = Slots::clone(&self.meters.load());
        if find(&slots, id).is_none() {
            return false;
        }
        slots.set_mut(id.0 as usize, None);
        free.push_back(id.0);
        self.meters.store(Arc::new(slots));
        true
    }

    /// What a meter is.
    #[must_use]
    pub fn spec(&self, id: MeterId) -> Option<MeterSpec> {
        find(&self.meters.load(), id).map(|meter| meter.spec().clone())
    }

    /// What a meter has counted.
    #[must_use]
    pub fn stats(&self, id: MeterId, now: Time) -> Option<MeterStats> {
        find(&self.meters.load(), id).map(|meter| meter.stats(now))
    }

    /// Say how many rules use a meter, for its statistics.
    pub fn set_flow_count(&self, id: MeterId, flows: u32) {
        if let Some(meter) = find(&self.meters.load(), id) {
            meter.set_flow_count(flows);
        }
    }

    /// Number of meters.
    #[must_use]
    pub fn len(&self) -> usize {
        let free = self.free.lock();
        self.meters.load().len() - free.len()
    }

    /// Whether there is no meter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn find(slots: &Slots, id: MeterId) -> Option<&Arc<Meter>> {
    slots.get(id.0 as usize)?.as_ref()
}

impl Meters for MeterTable {
    #[inline]
    fn police(&self, meter: MeterId, now: Time, bytes: u32) -> Verdict {
        find(&self.meters.load(), meter).map_or(Verdict::Pass, |meter| meter.police(now, bytes))
    }
}
