//! A device that misbehaves by seed: refuses, is busy, is slow, answers in its own order, loses rules, and dies if it may.

use flow::dp::MeterId;
use flow::meter::MeterSpec;
use offload::{
    Adopted, Backend, Completion, Cookie, DeviceError, DeviceErrorKind, DeviceKey, Done, EthdevId, MeterCounts, Op,
    OpId, RteFlowBackend, RuleKey, RuleRole,
};
use pipeline::testing::Rng;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the device did something of its own.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicU64>);

impl Tally {
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What wraps a backend into a device that misbehaves.
pub type Wrap = Box<dyn FnOnce(RteFlowBackend) -> Box<dyn Backend>>;

/// A device that misbehaves as this seed says; whether it may die, too.
pub fn wrap(seed: u64, dies: bool) -> (Wrap, Tally) {
    let tally = Tally::default();
    let counted = tally.clone();
    let wrap = move |inner| -> Box<dyn Backend> {
        Box::new(Chaos {
            inner,
            rng: Rng::new(seed ^ 0xc4a05),
            late: VecDeque::new(),
            lost: HashSet::new(),
            there: HashSet::new(),
            meters: HashSet::new(),
            dies,
            dead: false,
            tally: counted,
        })
    };
    (Box::new(wrap), tally)
}

/// Whether a trouble of a run is only what such a device does.
pub fn is_expected(trouble: &str) -> bool {
    // Rules that are accepted and are not there, and a device that is not back yet at the end.
    [" lost rules", " dead devices"].iter().any(|what| trouble.ends_with(what))
}

struct Chaos {
    inner: RteFlowBackend,
    rng: Rng,
    /// Completions that are not told yet.
    late: VecDeque<Completion>,
    /// Rules that were accepted and are not there.
    lost: HashSet<RuleKey>,
    /// Rules that went to the inner device.
    there: HashSet<RuleKey>,
    meters: HashSet<MeterId>,
    dies: bool,
    dead: bool,
    tally: Tally,
}

impl Chaos {
    fn mischief(&self) {
        self.tally.0.fetch_add(1, Ordering::Relaxed);
    }

    fn fail(&mut self, op: &Op, kind: DeviceErrorKind) {
        self.mischief();
        self.late.push_back(Completion { id: op.id(), result: Err(fallen(kind)) });
    }
}

fn fallen(kind: DeviceErrorKind) -> DeviceError {
    DeviceError { kind, message: "as the dice fell".to_owned() }
}

/// Numbers of operations of its own, which the engine does not come to.
const OWN: u64 = 1 << 60;

impl Chaos {
    /// All rules and meters are gone at once.
    fn die(&mut self) {
        self.mischief();
        self.dead = true;
        let own = self.there.drain().zip(OWN..);
        let removals: Vec<Op> = own.map(|(key, n)| Op::Remove { id: OpId(n), key }).collect();
        let (mut left, mut done) = (&removals[..], Vec::new());
        // What was under way comes to its end first; a rule that is not in is not found.
        self.inner.poll(&mut done);
        done.clear();
        for _ in 0..1000 {
            left = &left[self.inner.submit(left)..];
            self.inner.poll(&mut done);
            if done.len() >= removals.len() {
                break;
            }
        }
        assert!(done.len() >= removals.len(), "{} of {} rules did not go", done.len(), removals.len());
        self.lost.clear();
        for meter in self.meters.drain() {
            self.inner.remove_meter(meter).unwrap();
        }
    }
}

impl Backend for Chaos {
    fn submit(&mut self, ops: &[Op]) -> usize {
        // Sometimes it takes nothing, or not all.
        let most = if self.rng.percent(5) { self.rng.below(ops.len() + 1) } else { ops.len() };
        for op in &ops[..most] {
            let dice = self.rng.below(100);
            if self.dies && !self.dead && self.rng.below(50) == 0 {
                self.die();
            }
            match op {
                _ if self.dead => self.fail(op, DeviceErrorKind::Dead),
                Op::Insert { .. } if dice < 6 => self.fail(op, DeviceErrorKind::Busy),
                Op::Insert { .. } if dice < 8 => self.fail(op, DeviceErrorKind::TableFull),
                // Not of guards: nobody can know then which packets they should have left to software (docs/guide/offload-engine.md).
                Op::Insert { id, key, rule } if dice < 11 && rule.role == RuleRole::Main => {
                    self.mischief();
                    self.lost.insert(*key);
                    self.late.push_back(Completion { id: *id, result: Ok(Done::Inserted) });
                }
                Op::Query { key, .. } | Op::Remove { key, .. } if self.lost.contains(key) => {
                    self.fail(op, DeviceErrorKind::NotFound);
                    if let Op::Remove { key, .. } = op {
                        self.lost.remove(key);
                    }
                }
                Op::Update { old, .. } if self.lost.contains(old) => self.fail(op, DeviceErrorKind::NotSupported),
                // Counters that are read late bring back addresses that have moved meanwhile (docs/guide/offload.md).
                // Removals are not refused: a rule that is stale and stays does what it did, which nobody can help.
                _ => {
                    match op {
                        Op::Insert { key, .. } | Op::Update { new: key, .. } => drop(self.there.insert(*key)),
                        Op::Remove { .. } | Op::Query { .. } => {}
                    }
                    self.inner.submit(std::slice::from_ref(op));
                }
            }
        }
        most
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        let mut found = Vec::new();
        self.inner.poll(&mut found);
        self.late.extend(found);
        // It tells when it likes, in its own order.
        if self.rng.percent(30) {
            return;
        }
        while let Some(completion) = self.late.pop_front() {
            if self.rng.percent(10) {
                self.late.push_back(completion);
                break;
            }
            done.push(completion);
        }
    }

    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted> {
        self.inner.adopt(cookie)
    }

    fn aged(&mut self, idle: &mut Vec<RuleKey>) {
        self.inner.aged(idle);
    }

    fn set_meter(&mut self, port: EthdevId, meter: MeterId, spec: &MeterSpec) -> Result<(), DeviceError> {
        match self.rng.below(100) {
            _ if self.dead => Err(fallen(DeviceErrorKind::Dead)),
            dice @ 0..15 => {
                self.mischief();
                Err(fallen(if dice < 10 { DeviceErrorKind::Busy } else { DeviceErrorKind::TableFull }))
            }
            _ => {
                self.inner.set_meter(port, meter, spec)?;
                self.meters.insert(meter);
                Ok(())
            }
        }
    }

    fn remove_meter(&mut self, meter: MeterId) -> Result<(), DeviceError> {
        if self.dead {
            return Err(fallen(DeviceErrorKind::Dead));
        }
        self.inner.remove_meter(meter)?;
        self.meters.remove(&meter);
        Ok(())
    }

    fn meter_counts(&mut self, meter: MeterId) -> Result<MeterCounts, DeviceError> {
        if self.dead {
            return Err(fallen(DeviceErrorKind::Dead));
        }
        self.inner.meter_counts(meter)
    }

    fn revive(&mut self, device: DeviceKey, ports: &[EthdevId]) -> Result<(), DeviceError> {
        if self.dead && self.rng.percent(50) {
            return Err(DeviceError { kind: DeviceErrorKind::Dead, message: "still gone".to_owned() });
        }
        self.dead = false;
        self.inner.revive(device, ports)
    }
}
