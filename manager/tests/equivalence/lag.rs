//! A device whose counters lag by a reading: nothing is lost, and at the end all adds up. What packets make lasts for as long as
//! packets are told of in time, so learned rules notice.

use crate::case::Case;
use crate::chaos;
use crate::rig::{Rig, Run, plain_ports};
use flow::Action;
use flow::clock::Time;
use flow::dp::MeterId;
use flow::meter::MeterSpec;
use mocks::nic::Faults;
use offload::{
    Adopted, Backend, Completion, Cookie, Counters, DeviceError, DeviceKey, Done, EthdevId, MeterCounts, Op, OpId,
    RteFlowBackend, RuleKey,
};
use std::collections::HashMap;
use std::time::Instant;

/// Seeds that are tried, of which those count whose rules learn and do not use NORMAL: addresses tell of lateness, too.
const SEEDS: std::ops::Range<u64> = 2_000_000..2_000_600;

struct Lag {
    inner: RteFlowBackend,
    asked: HashMap<OpId, RuleKey>,
    /// What was found at the reading before.
    found: HashMap<RuleKey, Counters>,
}

impl Backend for Lag {
    fn submit(&mut self, ops: &[Op]) -> usize {
        let taken = self.inner.submit(ops);
        for op in &ops[..taken] {
            if let Op::Query { id, key } = op {
                self.asked.insert(*id, *key);
            }
        }
        taken
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        let new = done.len();
        self.inner.poll(done);
        for completion in &mut done[new..] {
            let key = self.asked.remove(&completion.id);
            if let (Some(key), Ok(Done::Counted(counters))) = (key, &mut completion.result) {
                let now = *counters;
                *counters = self.found.insert(key, now).unwrap_or_default();
            }
        }
    }

    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted> {
        self.inner.adopt(cookie)
    }

    fn aged(&mut self, idle: &mut Vec<RuleKey>) {
        self.inner.aged(idle);
    }

    fn set_meter(&mut self, port: EthdevId, meter: MeterId, spec: &MeterSpec) -> Result<(), DeviceError> {
        self.inner.set_meter(port, meter, spec)
    }

    fn remove_meter(&mut self, meter: MeterId) -> Result<(), DeviceError> {
        self.inner.remove_meter(meter)
    }

    fn meter_counts(&mut self, meter: MeterId) -> Result<MeterCounts, DeviceError> {
        self.inner.meter_counts(meter)
    }

    fn revive(&mut self, device: DeviceKey, ports: &[EthdevId]) -> Result<(), DeviceError> {
        self.inner.revive(device, ports)
    }
}

fn play_all(cases: &[Case], mut rig: Rig) -> Vec<Run> {
    let mut now = Time(0);
    cases.iter().map(|case| case.play(&mut rig, &mut now)).collect()
}

/// How the lagging device shows, by case.
fn faults(cases: &[Case]) -> Vec<Option<String>> {
    let lag: chaos::Wrap =
        Box::new(|inner| Box::new(Lag { inner, asked: HashMap::new(), found: HashMap::new() }) as Box<dyn Backend>);
    let off = play_all(cases, Rig::new("none", Faults::none(), false, &plain_ports(), &[]));
    let right = play_all(cases, Rig::new("connectx", Faults::none(), true, &plain_ports(), &[]));
    let on = play_all(cases, Rig::with_backend("connectx", Faults::none(), true, &plain_ports(), &[], lag));
    for ((case, off), right) in cases.iter().zip(&off).zip(&right) {
        assert_eq!(right.fault(off), None, "seed {} without lag", case.seed);
    }
    on.iter().zip(&off).map(|(on, off)| on.fault(off)).collect()
}

#[test]
fn counters_that_lag_are_noticed_by_learned_rules_alone() {
    let start = Instant::now();
    let normal = |case: &Case| case.rules.iter().any(|r| r.actions.contains(&Action::Output(flow::OfPort::NORMAL)));
    let mut cases: Vec<Case> = SEEDS.map(Case::short).filter(|case| case.learns && !normal(case)).collect();
    let found = faults(&cases);
    let caught = found.iter().flatten().count();
    let first = cases.iter().zip(&found).find_map(|(case, how)| Some((case.seed, how.as_ref()?)));
    let first = first.map(|(seed, how)| (seed, how.chars().take(300).collect::<String>()));
    for case in &mut cases {
        case.rules.iter_mut().for_each(|rule| rule.actions.retain(|action| !matches!(action, Action::Learn(_))));
    }
    let without: Vec<_> = cases.iter().zip(faults(&cases)).filter_map(|(case, how)| Some((case.seed, how?))).collect();
    println!("lag was seen in {caught} of {} cases, {:?}; first: {first:?}", cases.len(), start.elapsed());
    assert_eq!(without, [], "lag was seen without learning");
    assert!(caught * 100 >= cases.len() * 5, "{caught} of {}", cases.len());
}
