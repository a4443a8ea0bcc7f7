//! A device in memory that does what it is told, or, by seed, does not.

use crate::backend::{
    Adopted, Backend, Completion, Cookie, Counters, DeviceError, DeviceErrorKind, DeviceKey, Done, MeterCounts, Op,
    OpId, RuleKey,
};
use crate::rule::{HwAction, HwRule, RuleRole, Table};
use crate::world::EthdevId;
use flow::dp::MeterId;
use flow::meter::{MeterSpec, MeterUnit};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// What goes wrong, in percent of operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    /// Completions that come later, and out of order.
    pub slow: u64,
    pub refuse: u64,
    /// Inserts that are said to be done and are not.
    pub lose: u64,
    /// Removals that fail until they are tried again.
    pub resist: u64,
    /// Submissions of which only some are taken.
    pub choke: u64,
    /// Inserts that are said to be done and are not, of which the device says nothing later either.
    pub pretend: u64,
    /// Readings that fail.
    pub unreadable: u64,
}

#[derive(Debug)]
pub struct State {
    pub rules: BTreeMap<RuleKey, (Arc<HwRule>, Counters)>,
    /// Meters, and what they count.
    pub meters: HashMap<MeterId, (MeterSpec, MeterCounts)>,
    pub meter_room: usize,
    /// Every meter is refused so.
    pub refuses_meters: Option<DeviceErrorKind>,
    pub meters_set: usize,
    pub chaos: Chaos,
    pub capacity: usize,
    /// Different outer headers of rules that are in at a time, and how often one more was asked for.
    pub header_room: usize,
    pub headers_refused: usize,
    pub dead: bool,
    /// Nothing comes to its end.
    pub silent: bool,
    /// Counters stand where they are.
    pub stuck: bool,
    /// Every insertion is refused so.
    pub refuses: Option<DeviceErrorKind>,
    /// Insertions into the embedded switch are refused so.
    pub refuses_full: Option<DeviceErrorKind>,
    /// Insertions of rules that change packets are refused.
    pub refuses_rewrites: bool,
    /// A rule can be replaced by one of the same place.
    pub replaces: bool,
    pub updates: usize,
    pub revivals: usize,
    ghosts: BTreeMap<RuleKey, Arc<HwRule>>,
    /// What readings say while counters are stuck.
    frozen: BTreeMap<RuleKey, Counters>,
    pub submitted: usize,
    pub lost: usize,
    /// What the engine must never do.
    pub violations: Vec<String>,
    waiting: VecDeque<(u64, Op)>,
    cancelled: Vec<OpId>,
    rng: u64,
}

#[derive(Clone, Debug)]
pub struct Fake(pub Arc<Mutex<State>>);

impl Fake {
    pub fn new(seed: u64, capacity: usize, chaos: Chaos) -> Fake {
        Fake(Arc::new(Mutex::new(State {
            rules: BTreeMap::new(),
            meters: HashMap::new(),
            meter_room: usize::MAX,
            refuses_meters: None,
            meters_set: 0,
            chaos,
            capacity,
            header_room: usize::MAX,
            headers_refused: 0,
            dead: false,
            silent: false,
            stuck: false,
            refuses: None,
            refuses_full: None,
            refuses_rewrites: false,
            replaces: true,
            updates: 0,
            revivals: 0,
            ghosts: BTreeMap::new(),
            frozen: BTreeMap::new(),
            submitted: 0,
            lost: 0,
            violations: Vec::new(),
            waiting: VecDeque::new(),
            cancelled: Vec::new(),
            rng: seed | 1,
        })))
    }

    /// Packets of 100 bytes for some rules.
    pub fn hit(&self, which: impl Fn(&HwRule) -> bool, packets: u64) {
        self.with(|state| {
            for (_, counters) in state.rules.values_mut().filter(|(rule, _)| which(rule)) {
                counters.packets += packets;
                counters.bytes += packets * 100;
            }
        });
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
}

impl State {
    pub fn random(&mut self, below: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.rng ^= self.rng >> 12;
        self.rng ^= self.rng << 25;
        self.rng ^= self.rng >> 27;
        (self.rng.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.random(100) < percent
    }

    /// Packets of 100 bytes for one rule; how many a main rule got.
    pub fn traffic(&mut self) -> u64 {
        if self.rules.is_empty() || self.dead {
            return 0;
        }
        let (n, packets) = (self.random(self.rules.len() as u64) as usize, 1 + self.random(9));
        let Some((rule, counters)) = self.rules.values_mut().nth(n) else { return 0 };
        counters.packets += packets;
        counters.bytes += packets * 100;
        if rule.role == RuleRole::Main && rule.count { packets } else { 0 }
    }

    /// A meter is there by itself.
    pub fn give_meter(&mut self, id: MeterId) {
        let spec = MeterSpec { id: 1, unit: MeterUnit::Pktps, burst: false, stats: true, bands: Vec::new() };
        self.meters.insert(id, (spec, MeterCounts::default()));
    }

    /// From now on counters stand still, or move again. What was counted meanwhile shows then.
    pub fn stick(&mut self, stuck: bool) {
        self.stuck = stuck;
        self.frozen.clear();
        if stuck {
            self.frozen = self.rules.iter().map(|(key, (_, counters))| (*key, *counters)).collect();
        }
    }

    /// Rules that are said to be there and are not.
    pub fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    /// Different outer headers of the rules that are in.
    pub fn headers(&self) -> BTreeSet<&[u8]> {
        self.rules.values().filter_map(|(rule, _)| rule.encap.as_deref()).collect()
    }

    fn has_header_room(&mut self, rule: &HwRule) -> bool {
        let headers = self.headers();
        let fits = rule.encap.as_deref().is_none_or(|h| headers.contains(h) || headers.len() < self.header_room);
        self.headers_refused += usize::from(!fits);
        fits
    }

    /// All rules are gone, and nobody is told.
    pub fn reset(&mut self) {
        self.rules.clear();
        self.meters.clear();
        self.ghosts.clear();
        self.frozen.clear();
    }

    fn execute(&mut self, op: &Op) -> Result<Done, DeviceError> {
        if self.dead {
            self.reset();
            return refuse(DeviceErrorKind::Dead);
        }
        match op {
            Op::Insert { key, rule, .. } => {
                if let Some(kind) = self.refuses {
                    return refuse(kind);
                }
                if let Some(kind) = self.refuses_full
                    && matches!(rule.table, Table::Transfer { .. })
                {
                    return refuse(kind);
                }
                if self.refuses_rewrites && rule.actions.iter().any(HwAction::is_rewrite) {
                    return refuse(DeviceErrorKind::NotSupported);
                }
                if self.chance(self.chaos.refuse) {
                    let kinds = [DeviceErrorKind::NotSupported, DeviceErrorKind::Busy, DeviceErrorKind::Other(71)];
                    let n = self.random(3) as usize;
                    return refuse(kinds[n]);
                }
                if self.rules.len() >= self.capacity {
                    return refuse(DeviceErrorKind::TableFull);
                }
                if !self.has_header_room(rule) {
                    return refuse(DeviceErrorKind::TableFull);
                }
                if self.chance(self.chaos.lose) {
                    self.lost += 1;
                    return Ok(Done::Inserted);
                }
                if self.chance(self.chaos.pretend) {
                    self.lost += 1;
                    self.ghosts.insert(*key, Arc::clone(rule));
                    return Ok(Done::Inserted);
                }
                for action in &rule.actions {
                    if let HwAction::Meter(meter) = action
                        && !self.meters.contains_key(meter)
                    {
                        self.violations.push(format!("{key:?}: its meter is not there"));
                        return refuse(DeviceErrorKind::NotFound);
                    }
                }
                let same = |r: &HwRule| (r.port, r.table, r.matches) == (rule.port, rule.table, rule.matches);
                if self.rules.values().any(|(r, _)| same(r)) {
                    self.violations.push(format!("{key:?}: two rules in one place"));
                }
                if self.rules.insert(*key, (Arc::clone(rule), Counters::default())).is_some() {
                    self.violations.push(format!("{key:?} used twice"));
                }
                if self.stuck {
                    self.frozen.insert(*key, Counters::default());
                }
                Ok(Done::Inserted)
            }
            Op::Remove { key, .. } => {
                if self.chance(self.chaos.resist) {
                    return refuse(DeviceErrorKind::Busy);
                }
                let frozen = self.frozen.remove(key);
                if self.ghosts.remove(key).is_some() {
                    return Ok(Done::Removed { last: Some(Counters::default()), exact: true });
                }
                let Some((rule, counters)) = self.rules.remove(key) else { return refuse(DeviceErrorKind::NotFound) };
                let counters = frozen.unwrap_or(counters);
                Ok(Done::Removed { last: rule.count.then_some(counters), exact: true })
            }
            Op::Query { .. } if self.chance(self.chaos.unreadable) => refuse(DeviceErrorKind::Busy),
            Op::Query { key, .. } if self.ghosts.contains_key(key) => Ok(Done::Counted(Counters::default())),
            Op::Query { key, .. } => match self.rules.get(key) {
                Some((rule, counters)) if rule.count => Ok(Done::Counted(*self.frozen.get(key).unwrap_or(counters))),
                Some(_) => {
                    self.violations.push(format!("{key:?} does not count"));
                    refuse(DeviceErrorKind::Invalid)
                }
                None => refuse(DeviceErrorKind::NotFound),
            },
            Op::Update { .. } if !self.replaces => refuse(DeviceErrorKind::NotSupported),
            Op::Update { old, new, rule, .. } => {
                if self.chance(self.chaos.refuse) {
                    return refuse(DeviceErrorKind::Busy);
                }
                // The old rule goes when the new one is in.
                if !self.has_header_room(rule) {
                    return refuse(DeviceErrorKind::TableFull);
                }
                let Some((before, counters)) = self.rules.remove(old) else { return refuse(DeviceErrorKind::NotFound) };
                if (before.port, before.table, before.matches) != (rule.port, rule.table, rule.matches) {
                    self.violations.push(format!("{old:?} is replaced at another place"));
                }
                self.updates += 1;
                let counters = self.frozen.remove(old).unwrap_or(counters);
                self.rules.insert(*new, (Arc::clone(rule), Counters::default()));
                Ok(Done::Removed { last: before.count.then_some(counters), exact: true })
            }
        }
    }
}

fn refuse(kind: DeviceErrorKind) -> Result<Done, DeviceError> {
    Err(DeviceError { kind, message: "mlx5_flow: rule not taken".into() })
}

fn key_of(op: &Op) -> RuleKey {
    match op {
        Op::Insert { key, .. } | Op::Remove { key, .. } | Op::Query { key, .. } => *key,
        Op::Update { old, .. } => *old,
    }
}

impl Backend for Fake {
    fn submit(&mut self, ops: &[Op]) -> usize {
        self.with(|state| {
            let n =
                if state.chance(state.chaos.choke) { state.random(ops.len() as u64 + 1) as usize } else { ops.len() };
            for op in &ops[..n] {
                if state.waiting.iter().any(|(_, other)| key_of(other) == key_of(op)) {
                    state.violations.push(format!("two operations on {:?}", key_of(op)));
                }
                let delay = if state.chance(state.chaos.slow) { state.random(12) } else { 0 };
                state.waiting.push_back((delay, op.clone()));
            }
            state.submitted += n;
            n
        })
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        self.with(|state| {
            if state.silent {
                return;
            }
            for id in std::mem::take(&mut state.cancelled) {
                done.push(Completion { id, result: refuse(DeviceErrorKind::Dead) });
            }
            for (delay, op) in std::mem::take(&mut state.waiting) {
                if delay > 0 {
                    state.waiting.push_back((delay - 1, op));
                } else {
                    let result = state.execute(&op);
                    done.push(Completion { id: op.id(), result });
                }
            }
        });
    }

    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted> {
        self.with(|state| {
            state
                .rules
                .iter()
                .map(|(key, (rule, counters))| Adopted {
                    key: *key,
                    port: rule.port,
                    rule: Arc::clone(rule),
                    cookie,
                    counters: Some(*counters),
                })
                .collect()
        })
    }

    fn set_meter(&mut self, _: EthdevId, meter: MeterId, spec: &MeterSpec) -> Result<(), DeviceError> {
        self.with(|state| {
            let error = |kind| Err(DeviceError { kind, message: "fake".into() });
            match (state.dead, state.refuses_meters) {
                (true, _) => return error(DeviceErrorKind::Dead),
                (false, Some(kind)) => return error(kind),
                (false, None) => {}
            }
            if !state.meters.contains_key(&meter) && state.meters.len() >= state.meter_room {
                return error(DeviceErrorKind::TableFull);
            }
            state.meters_set += 1;
            state.meters.entry(meter).or_insert_with(|| (spec.clone(), MeterCounts::default())).0 = spec.clone();
            Ok(())
        })
    }

    fn remove_meter(&mut self, meter: MeterId) -> Result<(), DeviceError> {
        self.with(|state| {
            let error = |kind| Err(DeviceError { kind, message: "fake".into() });
            if state.dead {
                return error(DeviceErrorKind::Dead);
            }
            if state.rules.values().any(|(rule, _)| rule.actions.contains(&HwAction::Meter(meter))) {
                state.violations.push(format!("{meter:?} is to go, and a rule goes through it"));
                return error(DeviceErrorKind::Busy);
            }
            if state.meters.remove(&meter).is_some() { Ok(()) } else { error(DeviceErrorKind::NotFound) }
        })
    }

    fn meter_counts(&mut self, meter: MeterId) -> Result<MeterCounts, DeviceError> {
        self.with(|state| match state.meters.get(&meter) {
            Some((_, counts)) if !state.dead => Ok(*counts),
            _ => Err(DeviceError { kind: DeviceErrorKind::NotFound, message: "fake".into() }),
        })
    }

    fn revive(&mut self, _: DeviceKey, _: &[EthdevId]) -> Result<(), DeviceError> {
        self.with(|state| {
            state.revivals += 1;
            state.reset();
            // What was under way went down with the device.
            let lost = std::mem::take(&mut state.waiting);
            state.cancelled.extend(lost.into_iter().map(|(_, op)| op.id()));
            if state.dead { refuse(DeviceErrorKind::Dead).map(|_| ()) } else { Ok(()) }
        })
    }
}
