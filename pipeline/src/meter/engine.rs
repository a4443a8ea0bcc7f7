//! One meter: its bands in force, and what it has counted.

use super::bucket::Bucket;
use super::rate::{RateWindow, Reached};
use super::{MAX_BANDS, MeterError};
use flow::clock::Time;
use flow::dp::Verdict;
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Packets and bytes that a band dropped or remarked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandStats {
    pub packets: u64,
    pub bytes: u64,
}

/// What a meter counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Flows that use it, as last told by [`super::MeterTable::set_flow_count`].
    pub flow_count: u32,
    /// Packets that reached it.
    pub packets_in: u64,
    /// Bytes of their frames, without FCS.
    pub bytes_in: u64,
    /// Since it was added.
    pub duration: Duration,
    /// In the order of the specification.
    pub bands: Vec<BandStats>,
}

#[derive(Debug, Default)]
struct BandCounters {
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// What outlives a change of the meter.
#[derive(Debug)]
struct Totals {
    packets: AtomicU64,
    bytes: AtomicU64,
    flows: AtomicU64,
    added: Time,
}

#[derive(Debug)]
struct BandInForce {
    kind: BandKind,
    /// Bits or packets a second.
    per_second: u64,
    bucket: Bucket,
    counters: Arc<BandCounters>,
}

/// A meter in force. A change makes another one with the same totals.
#[derive(Debug)]
pub(super) struct Meter {
    spec: MeterSpec,
    /// By rising rate.
    bands: SmallVec<[BandInForce; 1]>,
    window: RateWindow,
    totals: Arc<Totals>,
    /// In the order of the specification.
    counters: Vec<Arc<BandCounters>>,
}

/// Bits or packets a second.
fn per_second(unit: MeterUnit, rate: u32) -> u64 {
    match unit {
        MeterUnit::Kbps => u64::from(rate) * 1000,
        MeterUnit::Pktps => u64::from(rate),
    }
}

impl Meter {
    pub(super) fn new(spec: MeterSpec, now: Time) -> Result<Meter, MeterError> {
        let zero = || AtomicU64::new(0);
        let totals = Totals { packets: zero(), bytes: zero(), flows: zero(), added: now };
        let counters = spec.bands.iter().map(|_| Arc::default()).collect();
        Meter::build(spec, now, Arc::new(totals), counters)
    }

    /// The meter with another specification. What it counted stays, of bands too that are what they were; buckets are full.
    pub(super) fn changed(&self, spec: MeterSpec, now: Time) -> Result<Meter, MeterError> {
        let same = |i: usize, band: &Band| {
            let stays = self.spec.unit == spec.unit && self.spec.bands.get(i) == Some(band);
            self.counters.get(i).filter(|_| stays).map(Arc::clone)
        };
        let counters = spec.bands.iter().enumerate().map(|(i, band)| same(i, band).unwrap_or_default()).collect();
        Meter::build(spec, now, Arc::clone(&self.totals), counters)
    }

    fn build(
        spec: MeterSpec,
        now: Time,
        totals: Arc<Totals>,
        counters: Vec<Arc<BandCounters>>,
    ) -> Result<Meter, MeterError> {
        let meter = spec.id;
        if spec.bands.len() > MAX_BANDS {
            return Err(MeterError::TooManyBands { meter, bands: spec.bands.len() });
        }
        if let Some(band) = spec.bands.iter().position(|band| band.rate == 0) {
            return Err(MeterError::ZeroRate { meter, band });
        }
        let mut bands: SmallVec<_> = spec.bands.iter().zip(&counters).map(|(b, c)| band(&spec, b, c, now)).collect();
        // Of equal rates the first of the specification is found first.
        bands.sort_by_key(|band: &BandInForce| band.per_second);
        bands.dedup_by_key(|band: &mut BandInForce| band.per_second);
        let unit = spec.unit;
        let mut made = Meter { spec, bands, window: RateWindow::new(now, NOTHING), totals, counters };
        made.window = RateWindow::new(now, made.reached(unit));
        Ok(made)
    }

    fn reached(&self, unit: MeterUnit) -> Reached {
        let (packets, bytes) = (self.totals.packets.load(Relaxed), self.totals.bytes.load(Relaxed));
        reached(unit, packets, bytes)
    }

    pub(super) fn spec(&self) -> &MeterSpec {
        &self.spec
    }

    pub(super) fn set_flow_count(&self, flows: u32) {
        self.totals.flows.store(u64::from(flows), Relaxed);
    }

    /// What was policed elsewhere: it came, and of that the only band dropped some.
    pub(super) fn add(&self, came: BandStats, dropped: BandStats) {
        self.totals.packets.fetch_add(came.packets, Relaxed);
        self.totals.bytes.fetch_add(came.bytes, Relaxed);
        if let Some(band) = self.counters.first() {
            band.packets.fetch_add(dropped.packets, Relaxed);
            band.bytes.fetch_add(dropped.bytes, Relaxed);
        }
    }

    pub(super) fn stats(&self, now: Time) -> MeterStats {
        MeterStats {
            flow_count: u32::try_from(self.totals.flows.load(Relaxed)).unwrap_or(u32::MAX),
            packets_in: self.totals.packets.load(Relaxed),
            bytes_in: self.totals.bytes.load(Relaxed),
            duration: now.since(self.totals.added),
            bands: self
                .counters
                .iter()
                .map(|c| BandStats { packets: c.packets.load(Relaxed), bytes: c.bytes.load(Relaxed) })
                .collect(),
        }
    }

    /// Count a packet and judge it.
    #[inline]
    pub(super) fn police(&self, now: Time, bytes: u32) -> Verdict {
        let packets_before = self.totals.packets.fetch_add(1, Relaxed);
        let bytes_before = self.totals.bytes.fetch_add(u64::from(bytes), Relaxed);
        let unit = self.spec.unit;
        let units = match unit {
            MeterUnit::Kbps => bytes,
            MeterUnit::Pktps => 1,
        };
        let acting = match self.bands.len() {
            0 => return Verdict::Pass,
            1 => 0,
            _ => {
                let before = reached(unit, packets_before, bytes_before);
                self.window.acting(now, before, self.bands.iter().map(|b| b.per_second))
            }
        };
        let Some(band) = self.bands.get(acting) else { return Verdict::Pass };
        let verdict = if band.bucket.take(now, units) {
            Verdict::Pass
        } else {
            band.counters.packets.fetch_add(1, Relaxed);
            band.counters.bytes.fetch_add(u64::from(bytes), Relaxed);
            match band.kind {
                BandKind::Drop => return Verdict::Drop,
                BandKind::DscpRemark { prec_level } => Verdict::Remark { by: prec_level },
            }
        };
        for (_, other) in self.bands.iter().enumerate().filter(|(i, _)| *i != acting) {
            other.bucket.drain(now, units);
        }
        verdict
    }
}

const NOTHING: Reached = Reached { packets: 0, volume: 0 };

fn reached(unit: MeterUnit, packets: u64, bytes: u64) -> Reached {
    let volume = match unit {
        MeterUnit::Kbps => bytes.wrapping_mul(8),
        MeterUnit::Pktps => packets,
    };
    Reached { packets, volume }
}

fn band(spec: &MeterSpec, band: &Band, counters: &Arc<BandCounters>, now: Time) -> BandInForce {
    let burst = if spec.burst && band.burst_size != 0 { band.burst_size } else { band.rate };
    let per_second = per_second(spec.unit, band.rate);
    // Buckets of kbps meters are in bytes.
    let tokens = match spec.unit {
        MeterUnit::Kbps => per_second / 8,
        MeterUnit::Pktps => per_second,
    };
    let bucket = Bucket::new(tokens, band.rate, burst, now);
    BandInForce { kind: band.kind, per_second, bucket, counters: Arc::clone(counters) }
}
