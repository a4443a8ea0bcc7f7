//! Meters: before the rules that go through them, after them, and what becomes of both in trouble.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, HitSink, Placement};
use crate::backend::{DeviceErrorKind, MeterCounts};
use crate::plan::tests::able;
use crate::refusal::MeterObstacle;
use crate::testing::{from, world_of};
use crate::world::{Admission, WantedMeter, World};
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, FlowId, FlowListener, HardwareFence, Hits, MeterId};
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use flow::{DpPort, FieldId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const SECOND: u64 = 1_000_000_000;
const METER: MeterId = MeterId(7);

#[derive(Default)]
struct Sink(Mutex<HashMap<MeterId, MeterCounts>>);

impl HitSink for Sink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}

    fn meter_hits(&self, meter: MeterId, hits: MeterCounts) {
        let mut all = self.0.lock().unwrap();
        let sum = all.entry(meter).or_default();
        sum.packets += hits.packets;
        sum.dropped_packets += hits.dropped_packets;
    }
}

struct Rig {
    fake: Fake,
    engine: Arc<Engine>,
    sink: Arc<Sink>,
    world: World,
    now: u64,
}

fn spec(number: u32, rate: u32) -> Arc<MeterSpec> {
    let bands = vec![Band { kind: BandKind::Drop, rate, burst_size: rate }];
    Arc::new(MeterSpec { id: number, unit: MeterUnit::Pktps, burst: true, stats: true, bands })
}

fn metered(id: u64, meter: MeterId) -> Arc<DpFlow> {
    from(1).ipv4().field(FieldId::Ipv4Dst, id as u32).then(DpAction::Meter(meter)).output(2).build(id)
}

impl Rig {
    fn new(room: u32) -> Rig {
        let (fake, sink) = (Fake::new(1, 1000, Chaos::default()), Arc::new(Sink::default()));
        let mut caps = able();
        caps.limits.meters = Some(room);
        let world = world_of(caps);
        let config = EngineConfig::default();
        let engine = Engine::new(config, world.clone(), Box::new(fake.clone()), sink.clone());
        Rig { fake, engine, sink, world, now: 0 }
    }

    fn want(&self, meters: &[(MeterId, Arc<MeterSpec>)]) {
        let place = Ok(self.world.ports[&DpPort(1)].device());
        let want = |(id, spec): &(MeterId, Arc<MeterSpec>)| {
            (*id, WantedMeter { spec: Arc::clone(spec), place: place.clone() })
        };
        self.engine.set_meters(meters.iter().map(want).collect());
    }

    fn settle(&self) {
        assert!(self.engine.settle(Time(self.now), 1000), "quiet");
        assert_eq!(self.fake.with(|state| std::mem::take(&mut state.violations)), [""; 0]);
    }

    fn later(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            self.now += SECOND / 20;
            self.settle();
        }
    }

    fn flow(&self, id: u64, meter: MeterId) {
        self.engine.flow_added(&metered(id, meter));
        self.settle();
    }

    fn placement(&self, id: u64) -> Placement {
        self.engine.explain(FlowId(id)).unwrap().placement
    }

    fn reason(&self, id: u64) -> String {
        let status = self.engine.explain(FlowId(id)).unwrap();
        status.refusals.first().map_or_else(String::new, |refusal| refusal.name().to_owned())
    }

    fn counted(&self, meter: MeterId) -> (u64, u64) {
        let all = self.sink.0.lock().unwrap();
        all.get(&meter).map_or((0, 0), |sum| (sum.packets, sum.dropped_packets))
    }

    fn count(&self, meter: MeterId, packets: u64, dropped: u64) {
        self.fake.with(|state| {
            let counts = &mut state.meters.get_mut(&meter).unwrap().1;
            counts.packets += packets;
            counts.dropped_packets += dropped;
        });
    }
}

#[test]
fn a_meter_is_there_before_its_rules_and_goes_after_them() {
    let mut rig = Rig::new(16);
    rig.flow(1, METER);
    rig.flow(2, METER);
    assert_eq!((rig.placement(1), rig.reason(1)), (Placement::Partial, "MeterSplit".into()), "nobody has told of it");
    rig.want(&[(METER, spec(1, 100))]);
    rig.settle();
    assert_eq!((rig.placement(1), rig.placement(2)), (Placement::Full, Placement::Full));

    // New rates: the rules are the same ones.
    let keys = || rig.fake.with(|state| state.rules.keys().copied().collect::<Vec<_>>());
    let before = keys();
    rig.count(METER, 10, 3);
    rig.want(&[(METER, spec(1, 200))]);
    let ticket = rig.engine.fence();
    rig.settle();
    assert_eq!(rig.engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!((keys(), rig.fake.with(|s| s.meters[&METER].0.bands[0].rate)), (before, 200));
    assert_eq!(rig.counted(METER), (10, 3), "read before the change");

    // Its rules do not leave at once, and it waits for them; a fence says so.
    rig.fake.with(|state| state.chaos.resist = 100);
    rig.count(METER, 5, 5);
    rig.want(&[]);
    rig.settle();
    let ticket = rig.engine.fence();
    rig.settle();
    assert!(!matches!(rig.engine.pending(&ticket), HardwareFence::Fenced));
    assert!(rig.fake.with(|state| state.meters.contains_key(&METER)));
    rig.fake.with(|state| state.chaos.resist = 0);
    rig.later(5);
    assert_eq!(rig.engine.pending(&ticket), HardwareFence::Fenced);
    assert!(rig.fake.with(|state| state.meters.is_empty()));
    assert_eq!((rig.placement(1), rig.reason(1)), (Placement::Partial, "MeterSplit".into()));
    assert_eq!(rig.counted(METER), (15, 8), "the last count is not lost");
}

#[test]
fn meters_without_a_place_have_a_reason() {
    let rig = Rig::new(16);
    rig.flow(1, METER);
    for (why, name) in [(MeterObstacle::Bands { bands: 2 }, "MeterBands"), (MeterObstacle::Ports, "MeterPorts")] {
        rig.engine.set_meters([(METER, WantedMeter { spec: spec(1, 9), place: Err(why) })].into());
        rig.settle();
        assert_eq!(rig.reason(1), name);
        assert!(rig.fake.with(|state| state.meters.is_empty()));
    }
    rig.want(&[(METER, spec(1, 9))]);
    rig.settle();
    assert_eq!(rig.placement(1), Placement::Full);
    // Back again.
    rig.engine.set_meters([(METER, WantedMeter { spec: spec(1, 9), place: Err(MeterObstacle::Ports) })].into());
    rig.settle();
    assert_eq!((rig.placement(1), rig.reason(1)), (Placement::Partial, "MeterPorts".into()));
    assert!(rig.fake.with(|state| state.meters.is_empty()));
}

#[test]
fn a_meter_more_than_there_is_room_for_waits_in_software() {
    let mut rig = Rig::new(1);
    rig.want(&[(MeterId(1), spec(1, 9)), (MeterId(2), spec(2, 9))]);
    rig.settle();
    rig.flow(1, MeterId(1));
    rig.flow(2, MeterId(2));
    assert_eq!((rig.placement(1), rig.reason(2)), (Placement::Full, "MeterTableFull".into()));
    rig.want(&[(MeterId(2), spec(2, 9))]);
    rig.settle();
    assert_eq!((rig.reason(1), rig.placement(2)), ("MeterSplit".into(), Placement::Full));
    // The device has less room than it claimed.
    let rig2 = Rig::new(16);
    rig2.fake.with(|state| state.meter_room = 1);
    rig2.want(&[(MeterId(1), spec(1, 9)), (MeterId(2), spec(2, 9))]);
    rig2.settle();
    rig2.flow(2, MeterId(2));
    assert_eq!(rig2.reason(2), "MeterRefused");
    rig2.want(&[(MeterId(2), spec(2, 9))]);
    rig2.settle();
    assert_eq!(rig2.placement(2), Placement::Full);
    rig.later(1);
}

#[test]
fn a_refused_meter_is_asked_again_if_that_may_help() {
    let mut rig = Rig::new(16);
    rig.fake.with(|state| state.refuses_meters = Some(DeviceErrorKind::Other(71)));
    rig.want(&[(METER, spec(1, 9))]);
    rig.settle();
    rig.flow(1, METER);
    assert_eq!(rig.reason(1), "MeterRefused");
    rig.fake.with(|state| state.refuses_meters = None);
    rig.later(5);
    assert_eq!(rig.placement(1), Placement::Full);

    // New rates that it refuses: the old ones must not go on.
    rig.fake.with(|state| state.refuses_meters = Some(DeviceErrorKind::NotSupported));
    rig.want(&[(METER, spec(1, 10))]);
    rig.settle();
    assert_eq!((rig.placement(1), rig.reason(1)), (Placement::Partial, "MeterRefused".into()));
    assert!(rig.fake.with(|state| state.meters.is_empty()));
    rig.fake.with(|state| state.refuses_meters = None);
    rig.later(120);
    assert_eq!(rig.reason(1), "MeterRefused", "it would be the same again");
    rig.want(&[(METER, spec(1, 11))]);
    rig.settle();
    assert_eq!(rig.placement(1), Placement::Full);
}

#[test]
fn a_device_that_dies_gets_its_meters_back_before_its_rules() {
    let mut rig = Rig::new(16);
    rig.want(&[(METER, spec(1, 9))]);
    rig.settle();
    rig.flow(1, METER);
    rig.count(METER, 4, 1);
    rig.later(2);
    assert_eq!((rig.placement(1), rig.counted(METER)), (Placement::Full, (4, 1)), "read by itself");
    rig.fake.with(|state| state.dead = true);
    rig.later(2);
    assert_eq!((rig.placement(1), rig.reason(1)), (Placement::Software, "DeviceDead".into()));
    rig.fake.with(|state| state.dead = false);
    rig.later(60);
    assert_eq!(rig.placement(1), Placement::Full);
    rig.count(METER, 3, 2);
    rig.engine.refresh();
    rig.settle();
    assert_eq!(rig.counted(METER), (7, 3), "the new one counts from 0");
}

#[test]
fn a_meter_that_the_device_lost_is_put_in_again() {
    let mut rig = Rig::new(16);
    rig.want(&[(METER, spec(1, 9))]);
    rig.settle();
    rig.fake.with(|state| state.meters.clear());
    rig.engine.flow_added(&metered(1, METER));
    assert!(rig.engine.settle(Time(rig.now), 1000));
    assert_eq!(rig.fake.with(|state| std::mem::take(&mut state.violations)).len(), 1, "the rule asked for it");
    rig.later(10);
    assert_eq!(rig.placement(1), Placement::Full);
}

#[test]
fn with_offload_off_no_meter_is_in_the_device() {
    let mut rig = Rig::new(16);
    rig.want(&[(METER, spec(1, 9))]);
    rig.flow(1, METER);
    assert_eq!(rig.placement(1), Placement::Full);
    let mut off = rig.world.clone();
    off.admission = Admission::off();
    rig.engine.set_world(off);
    rig.settle();
    assert_eq!((rig.reason(1), rig.fake.with(|s| s.meters.len())), ("Disabled".into(), 0));
    rig.engine.set_world(rig.world.clone());
    rig.settle();
    assert_eq!(rig.placement(1), Placement::Full);
    let ticket = rig.engine.flush();
    rig.later(1);
    assert_eq!(rig.engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!(rig.fake.with(|s| (s.meters.len(), s.rules.len())), (0, 0));
}
