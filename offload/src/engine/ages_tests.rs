//! Idle rules that devices tell of by themselves: a hint to read, never a reading.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, HitSink, Placement};
use crate::backend::{Adopted, Backend, Completion, Cookie, Op, RuleKey};
use crate::testing::{from, world};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpFlow, FlowId, FlowListener, Hits};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// A device that tells of idle rules when it is asked; and how often that is.
#[derive(Clone)]
struct Ageing {
    fake: Fake,
    idle: Arc<Mutex<(Vec<RuleKey>, usize)>>,
}

impl Backend for Ageing {
    fn submit(&mut self, ops: &[Op]) -> usize {
        self.fake.submit(ops)
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        self.fake.poll(done);
    }

    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted> {
        self.fake.adopt(cookie)
    }

    fn aged(&mut self, idle: &mut Vec<RuleKey>) {
        let mut told = self.idle.lock().unwrap();
        told.1 += 1;
        idle.append(&mut told.0);
    }
}

/// Until when the flow's hits are known; `None` after a move to software.
#[derive(Default)]
struct Sink(Mutex<Vec<Option<u64>>>);

impl HitSink for Sink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}

    fn hardware_read(&self, _: &Arc<DpFlow>, until: Option<Time>) {
        self.0.lock().unwrap().push(until.map(|until| until.0));
    }
}

#[test]
fn a_hint_has_the_counter_read_and_only_the_reading_counts() {
    let device = Ageing { fake: Fake::new(1, 100, Chaos::default()), idle: Arc::default() };
    let sink = Arc::new(Sink::default());
    // Readings are far apart, as they are where there are many rules.
    let config = EngineConfig { query_interval: Duration::from_secs(100), ..EngineConfig::default() };
    let engine = Engine::new(config, world("connectx"), Box::new(device.clone()), sink.clone());
    engine.flow_added(&from(1).ipv4().field(FieldId::Ipv4Dst, 7u32).output(3).build(1));
    assert!(engine.settle(Time(0), 100));
    assert_eq!(engine.explain(FlowId(1)).unwrap().placement, Placement::Full);
    let told = || std::mem::take(&mut *sink.0.lock().unwrap());
    assert_eq!(told(), [Some(0)], "since the move");
    let key = device.fake.with(|state| *state.rules.keys().last().unwrap());
    let hint = |keys: &[RuleKey]| device.idle.lock().unwrap().0.extend(keys);

    assert!(engine.settle(Time(10 * SECOND), 100));
    assert_eq!(told(), [], "no reading is due");
    hint(&[key, RuleKey(4711)]);
    assert!(engine.settle(Time(11 * SECOND), 100));
    assert_eq!((told(), engine.status().idle_hints), (vec![Some(11 * SECOND)], 1), "read at once");

    // The device says that it is idle, and its counter cannot be read: nobody knows.
    device.fake.with(|state| state.chaos.unreadable = 100);
    hint(&[key]);
    assert!(engine.settle(Time(22 * SECOND), 100));
    assert_eq!((told(), engine.status().idle_hints), (vec![], 2));
    // Readings go on as before.
    device.fake.with(|state| state.chaos.unreadable = 0);
    assert!(engine.settle(Time(122 * SECOND), 100));
    assert_eq!(told(), [Some(122 * SECOND)]);

    let asked = device.idle.lock().unwrap().1;
    for ms in 0..1000 {
        engine.step(Time(200 * SECOND + ms * 1_000_000));
    }
    assert_eq!(device.idle.lock().unwrap().1, asked + 1, "once a second");
}
