//! A device that misbehaves by seed: refuses, is busy, is slow, answers in its own order, loses rules.

use offload::{
    Adopted, Backend, Completion, Cookie, DeviceError, DeviceErrorKind, DeviceKey, Done, EthdevId, Op, RteFlowBackend,
    RuleKey,
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

/// A device that misbehaves as this seed says.
pub fn wrap(seed: u64) -> (Wrap, Tally) {
    let tally = Tally::default();
    let counted = tally.clone();
    let wrap = move |inner| -> Box<dyn Backend> {
        let (late, lost) = (VecDeque::new(), HashSet::new());
        Box::new(Chaos { inner, rng: Rng::new(seed ^ 0xc4a05), late, lost, tally: counted })
    };
    (Box::new(wrap), tally)
}

/// Whether a trouble of a run is only what such a device does.
pub fn is_expected(trouble: &str) -> bool {
    // Rules that are accepted and are not there.
    trouble.ends_with(" lost rules")
}

struct Chaos {
    inner: RteFlowBackend,
    rng: Rng,
    /// Completions that are not told yet.
    late: VecDeque<Completion>,
    /// Rules that were accepted and are not there.
    lost: HashSet<RuleKey>,
    tally: Tally,
}

impl Chaos {
    fn mischief(&self) {
        self.tally.0.fetch_add(1, Ordering::Relaxed);
    }

    fn fail(&mut self, op: &Op, kind: DeviceErrorKind) {
        self.mischief();
        let error = DeviceError { kind, message: "as the dice fell".to_owned() };
        self.late.push_back(Completion { id: op.id(), result: Err(error) });
    }
}

impl Backend for Chaos {
    fn submit(&mut self, ops: &[Op]) -> usize {
        // Sometimes it takes nothing, or not all.
        let most = if self.rng.percent(5) { self.rng.below(ops.len() + 1) } else { ops.len() };
        for op in &ops[..most] {
            let dice = self.rng.below(100);
            match op {
                Op::Insert { .. } if dice < 6 => self.fail(op, DeviceErrorKind::Busy),
                Op::Insert { .. } if dice < 8 => self.fail(op, DeviceErrorKind::TableFull),
                Op::Insert { id, key, .. } if dice < 11 => {
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

    fn revive(&mut self, device: DeviceKey, ports: &[EthdevId]) -> Result<(), DeviceError> {
        self.inner.revive(device, ports)
    }
}
