//! All meters of a datapath by number.

use super::engine::{BandStats, Meter, MeterStats};
use super::{MAX_METERS, MeterError};
use arc_swap::ArcSwap;
use flow::clock::Time;
use flow::dp::{MeterId, Meters, Verdict};
use flow::meter::MeterSpec;
use parking_lot::Mutex;
use rpds::VectorSync;
use std::sync::Arc;

type Slots = VectorSync<Option<Arc<Meter>>>;

/// The meters of a datapath by their numbers there, which whoever adds them chooses.
#[derive(Debug, Default)]
pub struct MeterTable {
    meters: ArcSwap<Slots>,
    /// Held by whoever changes `meters`.
    writer: Mutex<()>,
}

impl MeterTable {
    /// Add a meter, or change the one with this number. Buckets are full at `now`. What a meter counted outlives the change, of
    /// bands too that stay what they are.
    ///
    /// # Errors
    /// A band without a rate; too many bands; a number of [`MAX_METERS`] or above.
    pub fn put(&self, id: MeterId, spec: MeterSpec, now: Time) -> Result<(), MeterError> {
        let index = id.0 as usize;
        if index >= MAX_METERS {
            return Err(MeterError::TooManyMeters { meter: spec.id });
        }
        let _writer = self.writer.lock();
        let mut slots = Slots::clone(&self.meters.load());
        let meter = match find(&slots, id) {
            Some(old) => old.changed(spec, now)?,
            None => Meter::new(spec, now)?,
        };
        while slots.len() <= index {
            slots.push_back_mut(None);
        }
        slots.set_mut(index, Some(Arc::new(meter)));
        self.meters.store(Arc::new(slots));
        Ok(())
    }

    /// Remove a meter; `false` when there is none. Packets that still name it pass.
    pub fn remove(&self, id: MeterId) -> bool {
        let _writer = self.writer.lock();
        let mut slots = Slots::clone(&self.meters.load());
        let there = find(&slots, id).is_some();
        if there {
            slots.set_mut(id.0 as usize, None);
            self.meters.store(Arc::new(slots));
        }
        there
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

    /// Count what a meter in hardware let pass and dropped. Such a meter has one band.
    pub fn add(&self, id: MeterId, came: BandStats, dropped: BandStats) {
        if let Some(meter) = find(&self.meters.load(), id) {
            meter.add(came, dropped);
        }
    }

    /// Say how many rules use a meter, for its statistics.
    pub fn set_flow_count(&self, id: MeterId, flows: u32) {
        if let Some(meter) = find(&self.meters.load(), id) {
            meter.set_flow_count(flows);
        }
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
