//! Meters in random cases, of those forms that are the same wherever packets are switched.
//!
//! A meter whose packets are split over hardware and software has a bucket in each, so how much it drops by its rate depends on who
//! switched what. Two forms do not: those whose rate nothing exceeds, and those whose bucket is full again before the next packet
//! comes, which drop what is longer than the bucket is deep and nothing else. What limits by its rate is `limits`' matter.

use crate::rig::Rig;
use flow::Action;
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use flow::rule::RuleSpec;
use offload::rte_flow::meters::profile;
use offload::{DeviceKey, MeterObstacle, WantedMeter};
use pipeline::testing::{Model, Rng, TestPacket};
use pipeline::{Change, MeterChange};
use std::collections::HashMap;
use std::sync::Arc;

/// Meters of each table. A packet passes each table once at most, and so does not find a bucket that it has drawn from itself.
const EACH: usize = 3;
/// Share of rules that meter, in cases with meters: of the first table, and of the others. A path with two is software's.
const SHARES: [u8; 2] = [55, 10];
/// Faster than the packets of any case: 500 bytes a microsecond, and as many kilobits as a bucket holds.
const FAST: u32 = 4_000_000;
/// Bytes of a kilobit.
const KILOBIT: usize = 125;
/// How much longer some packets are than what their headers say.
const LONGER: usize = 200;

/// What came to a meter, and what its bands dropped: packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    pub came: (u64, u64),
    pub dropped: (u64, u64),
}

fn band(rate: u32, burst_size: u32) -> Band {
    Band { kind: BandKind::Drop, rate, burst_size }
}

/// One that drops nothing; most of these can be in a device.
fn generous(id: u32, rng: &mut Rng) -> MeterSpec {
    let (unit, burst, bands) = match rng.below(14) {
        0..4 => (MeterUnit::Kbps, false, vec![band(FAST, 0)]),
        4..8 => (MeterUnit::Kbps, true, vec![band(FAST - rng.below(1000) as u32, FAST)]),
        8..12 => (MeterUnit::Pktps, true, vec![band(FAST, FAST)]),
        12 => (MeterUnit::Kbps, true, vec![band(FAST, FAST), band(FAST / 2, FAST)]),
        _ => {
            let kind = BandKind::DscpRemark { prec_level: 1 };
            (MeterUnit::Pktps, false, vec![Band { kind, ..band(FAST, 0) }])
        }
    };
    MeterSpec { id, unit, burst, stats: true, bands }
}

/// One that drops what is longer than one or two kilobits; or nothing, since its one packet is back before the next one comes.
fn by_length(id: u32, rng: &mut Rng) -> MeterSpec {
    let unit = if rng.percent(20) { MeterUnit::Pktps } else { MeterUnit::Kbps };
    let bands = vec![band(FAST, 1 + rng.below(2) as u32)];
    MeterSpec { id, unit, burst: true, stats: true, bands }
}

/// The longest packet that passes a meter of these forms; `None`: all do.
pub fn longest(spec: &MeterSpec) -> Option<usize> {
    let deep = spec.bands.iter().map(|band| band.burst_size as usize * KILOBIT).min().unwrap_or(0);
    (spec.unit == MeterUnit::Kbps && spec.burst && deep < 1000).then_some(deep)
}

/// Another one of the same number.
pub fn other(spec: &MeterSpec, lengths: bool, rng: &mut Rng) -> MeterSpec {
    if lengths && rng.percent(50) { by_length(spec.id, rng) } else { generous(spec.id, rng) }
}

/// Let rules go through meters: the meters. `lengths`: some of them drop what is long.
pub fn put(rules: &mut [RuleSpec], lengths: bool, rng: &mut Rng) -> Vec<MeterSpec> {
    let mut meters: HashMap<u32, MeterSpec> = HashMap::new();
    for rule in rules.iter_mut().filter(|rule| !rule.actions.is_empty()) {
        // Packets whose TTL runs out are software's: such a rule's meter is, too.
        let splits = rule.actions.contains(&Action::DecTtl) && rng.percent(80);
        if splits || !rng.percent(SHARES[usize::from(rule.table > 0)]) {
            continue;
        }
        let id = 1 + u32::from(rule.table) * EACH as u32 + rng.below(EACH) as u32;
        let meter = generous(id, rng);
        let meter = other(&meter, lengths, rng);
        meters.entry(id).or_insert(meter);
        // Mostly in front; but not behind the end of the rule.
        let end = rule.actions.iter().position(|a| matches!(a, Action::GotoTable(_))).unwrap_or(rule.actions.len());
        let at = if rng.percent(80) { 0 } else { rng.below(end + 1) };
        rule.actions.insert(at, Action::Meter(id));
    }
    let mut meters: Vec<MeterSpec> = meters.into_values().collect();
    meters.sort_by_key(|meter| meter.id);
    meters
}

/// Make some packets longer, with bytes behind what their headers speak of.
pub fn stretch(mut packet: TestPacket, rng: &mut Rng) -> TestPacket {
    if rng.percent(50) {
        packet.frame.extend((0..rng.below(LONGER)).map(|i| i as u8));
    }
    packet
}

/// What a linear reading says of meters.
#[derive(Debug, Default)]
pub struct Readings {
    pub specs: HashMap<u32, MeterSpec>,
    pub counts: HashMap<u32, Metered>,
}

impl Readings {
    /// There is such a meter now. What it dropped is forgotten with a band that is another now.
    pub fn put(&mut self, spec: &MeterSpec, model: &mut Model) {
        match longest(spec) {
            Some(most) => drop(model.longest.insert(spec.id, most)),
            None => drop(model.longest.remove(&spec.id)),
        }
        let count = self.counts.entry(spec.id).or_default();
        if let Some(old) = self.specs.insert(spec.id, spec.clone())
            && (old.unit, old.bands.first()) != (spec.unit, spec.bands.first())
        {
            count.dropped = (0, 0);
        }
    }

    /// What a packet went through.
    pub fn count(&mut self, through: &[(u32, usize)]) {
        for (id, len) in through {
            let (count, len) = (self.counts.entry(*id).or_default(), *len);
            let add = |(packets, bytes): (u64, u64)| (packets + 1, bytes + len as u64);
            count.came = add(count.came);
            if self.specs.get(id).and_then(longest).is_some_and(|most| len > most) {
                count.dropped = add(count.dropped);
            }
        }
    }
}

impl Rig {
    /// Say where each meter is to be, as control does: in the device, where that can be.
    pub fn place_meters(&self, device: Option<DeviceKey>) {
        let Some(device) = device else { return };
        let place = |spec: &MeterSpec| match profile(spec) {
            Ok(_) => Ok(device),
            Err(_) => Err(MeterObstacle::Bands { bands: spec.bands.len() }),
        };
        let all = self.switch.pipeline().meters(self.bridge);
        let wanted = all.into_iter().map(|m| (m.id, WantedMeter { place: place(&m.spec), spec: Arc::new(m.spec) }));
        self.switch.set_meters(wanted.collect());
    }

    /// Give a meter other bands, as control does.
    pub fn change_meter(&mut self, spec: &MeterSpec) {
        // What hardware has counted is of the meter as it was.
        self.switch.engine().read_meters();
        let change = Change::Meter(MeterChange::Modify { bridge: self.bridge, meter: spec.clone() });
        self.switch.pipeline().change(&[change]).unwrap();
        self.place_meters(self.device());
        self.fence();
    }

    /// What meters have counted by now, wherever they are.
    pub fn meters(&self) -> Vec<(u32, Metered)> {
        self.switch.engine().read_meters();
        let all = self.switch.pipeline().meters(self.bridge);
        let one = |m: pipeline::MeterEntry| {
            let sum = |of: fn(&pipeline::meter::BandStats) -> u64| m.stats.bands.iter().map(of).sum();
            let dropped = (sum(|band| band.packets), sum(|band| band.bytes));
            (m.spec.id, Metered { came: (m.stats.packets_in, m.stats.bytes_in), dropped })
        };
        all.into_iter().map(one).collect()
    }
}
