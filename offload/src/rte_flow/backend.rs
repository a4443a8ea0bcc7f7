//! Operations as calls of an [`RteFlowApi`].

use super::lower;
use super::memory::RteFlowMemory;
use super::meters;
use super::queued::{QUIET, Queued};
use super::removing::Leftover;
use super::tables::Coming;
use crate::backend::{
    Adopted, Backend, Completion, Cookie, Counters, DeviceError, DeviceErrorKind, DeviceKey, Done, MeterCounts, Op,
    OpId, RuleKey,
};
use crate::rule::{HwRule, Table};
use crate::world::EthdevId;
use flow::dp::MeterId;
use flow::meter::MeterSpec;
use hashbrown::{HashMap, HashSet};
use rte_flow_rs::{
    Action, ActionHandle, Class, CountQuery, Item, LoweredActions, LoweredFlow, RteFlowApi, RteFlowError, RuleHandle,
    TemplateTable,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Operations that one `submit` takes where each is a call that waits: a rule takes a driver some 100 µs, and nobody else is
/// served meanwhile.
const MOST_AT_ONCE: usize = 64;

/// With a slow device they are as many as this takes.
const LONG: Duration = Duration::from_millis(10);

/// How long a backend that ends waits for what is queued: whoever comes after it knows nothing of that.
const HAND_OVER: Duration = Duration::from_secs(2);

/// The same where operations are queued.
const MOST_QUEUED: usize = 512;

/// Puts rules in through rte_flow: through the template engine where the device has one, by single calls otherwise.
pub struct RteFlowBackend {
    pub(super) api: Box<dyn RteFlowApi>,
    pub(super) rules: RteFlowMemory,
    /// The port that transfer rules of a port go through.
    proxies: HashMap<u16, u16>,
    /// Ports that refused an indirect COUNT: their rules count by themselves.
    no_indirect: HashSet<u16>,
    /// What the ports did not let go of.
    pub(super) leftovers: Vec<(u16, Leftover)>,
    /// Ports that take no rule which leads packets aside.
    pub(super) no_aside: HashSet<u16>,
    pub(super) done: Vec<Completion>,
    pub(super) queued: Queued,
    /// Seconds after which the device reports a rule as idle, and ports that cannot.
    age: Option<u32>,
    no_age: HashSet<u16>,
    /// Ports that rules were put in on.
    ports: HashSet<u16>,
    last_port: Option<u16>,
    /// Meters, and the ports that they were made on.
    meters: HashMap<MeterId, u16>,
    /// A rule on its way down, in memory that is used again.
    pub(super) items: Vec<Item>,
    list: Vec<Action>,
    count: LoweredActions,
}

/// A rule in a device.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub port: u16,
    pub handle: RuleHandle,
    pub counter: Counter,
    /// The template table that it is in.
    pub table: Option<TemplateTable>,
    pub rule: Arc<HwRule>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Counter {
    None,
    InRule,
    Indirect(ActionHandle),
}

/// How far an operation got.
pub(super) enum Step {
    Done(Done),
    /// Its end comes from the queue.
    Later,
}

impl std::fmt::Debug for RteFlowBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RteFlowBackend").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl Drop for RteFlowBackend {
    /// Rules stay: the backend after it may go on with them.
    fn drop(&mut self) {
        let start = Instant::now();
        loop {
            let busy = self.queued.busy_ports();
            if busy.is_empty() || start.elapsed() > HAND_OVER {
                break;
            }
            let before: usize = busy.iter().map(|port| self.queued.waiting(*port)).sum();
            busy.iter().for_each(|port| self.turn(*port));
            if busy.iter().map(|port| self.queued.waiting(*port)).sum::<usize>() >= before {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        *self.rules.engines() = self.queued.take();
    }
}

impl RteFlowBackend {
    /// A backend that makes its calls through `api`.
    #[must_use]
    pub fn new(api: Box<dyn RteFlowApi>) -> RteFlowBackend {
        RteFlowBackend::with_memory(api, RteFlowMemory::default())
    }

    /// A backend that knows what an earlier one of this process put in, for [`Backend::adopt`].
    #[must_use]
    pub fn with_memory(api: Box<dyn RteFlowApi>, memory: RteFlowMemory) -> RteFlowBackend {
        let queued = Queued::of(std::mem::take(&mut *memory.engines()));
        RteFlowBackend {
            api,
            rules: memory,
            proxies: HashMap::new(),
            no_indirect: HashSet::new(),
            leftovers: Vec::new(),
            no_aside: HashSet::new(),
            done: Vec::new(),
            queued,
            age: None,
            no_age: HashSet::new(),
            ports: HashSet::new(),
            last_port: None,
            meters: HashMap::new(),
            items: Vec::new(),
            list: Vec::new(),
            count: LoweredActions::new(&[Action::Count(0)]),
        }
    }

    /// By single calls only, whatever the device can do.
    #[must_use]
    pub fn without_templates(mut self) -> RteFlowBackend {
        self.queued.off = true;
        self
    }

    /// Rules that count ask the device to report them when nothing hit them for so many seconds, where it can.
    #[must_use]
    pub fn with_age(mut self, seconds: u32) -> RteFlowBackend {
        self.age = Some(seconds.clamp(1, 0x00ff_ffff));
        self
    }

    /// What it knows of its rules: for the backend after it.
    #[must_use]
    pub fn memory(&self) -> RteFlowMemory {
        self.rules.clone()
    }

    fn execute(&mut self, op: &Op) -> Result<Step, Failure> {
        match op {
            Op::Insert { id, key, rule } => self.insert(*id, *key, rule, None),
            Op::Update { id, old, new, rule } => self.insert(*id, *new, rule, Some(*old)),
            Op::Remove { id, key } => self.remove(*id, *key, None),
            Op::Query { id, key } => self.begin_query(*id, *key),
        }
    }

    /// The port whose rule table it is.
    fn owner(&mut self, rule: &HwRule) -> Result<u16, RteFlowError> {
        let port = rule.port.0;
        if matches!(rule.table, Table::Ingress { .. }) {
            return Ok(port);
        }
        self.proxy(port)
    }

    /// The port that transfer rules of a port go through; its meters are the ones that these find.
    fn proxy(&mut self, port: u16) -> Result<u16, RteFlowError> {
        if let Some(proxy) = self.proxies.get(&port) {
            return Ok(*proxy);
        }
        let proxy = match self.api.pick_transfer_proxy(port) {
            Ok(proxy) => proxy,
            // A driver without proxies takes transfer rules on any port.
            Err(error) if error.class() == Class::Unsupported => port,
            Err(error) => return Err(error),
        };
        self.proxies.insert(port, proxy);
        Ok(proxy)
    }

    /// Puts a rule in; with `old`, which is at the same place, that one goes then.
    fn insert(&mut self, id: OpId, key: RuleKey, rule: &Arc<HwRule>, old: Option<RuleKey>) -> Result<Step, Failure> {
        let port = self.owner(rule)?;
        if self.last_port.replace(port) != Some(port) {
            self.ports.insert(port);
        }
        if self.queued.is_on(self.api.as_mut(), port)? && self.queue_insert(id, key, port, rule, old)? {
            return Ok(Step::Later);
        }
        self.insert_now(key, port, rule, None)?;
        match old {
            None => Ok(Step::Done(Done::Inserted)),
            Some(old) => self.remove(id, old, Some(key)),
        }
    }

    /// A rule by a single call, with the counter that it has already, if it has one.
    pub(super) fn insert_now(
        &mut self,
        key: RuleKey,
        port: u16,
        rule: &Arc<HwRule>,
        counter: Option<Counter>,
    ) -> Result<(), RteFlowError> {
        let attr = lower::attributes(rule);
        let counter = match counter {
            Some(counter) => counter,
            None if rule.count => self.counter(port, attr)?,
            None => Counter::None,
        };
        lower::pattern_into(rule, &mut self.items);
        let age = self.age_of(key, port, rule);
        let aged = age.is_some();
        actions(rule, counter, age, &mut self.list);
        let lowered = LoweredFlow::new(attr, &self.items, &self.list);
        let created = match self.api.create(port, &lowered) {
            Err(error) if aged && matches!(error.class(), Class::Unsupported | Class::Invalid) => {
                actions(rule, counter, None, &mut self.list);
                let lowered = LoweredFlow::new(attr, &self.items, &self.list);
                let again = self.api.create(port, &lowered);
                // It was the AGE; a rule that is refused without it says nothing of it.
                if again.is_ok() {
                    self.no_age.insert(port);
                }
                again
            }
            other => other,
        };
        match created {
            Ok(handle) => {
                let stored = Stored { port, handle, counter, table: None, rule: Arc::clone(rule) };
                self.rules.lock().insert(key.0, stored);
                Ok(())
            }
            Err(error) => {
                if let Counter::Indirect(handle) = counter {
                    self.drop_counter(port, handle);
                }
                Err(error)
            }
        }
    }

    fn age_of(&self, key: RuleKey, port: u16, rule: &HwRule) -> Option<Action> {
        let timeout = self.age.filter(|_| rule.count && !self.no_age.contains(&port))?;
        Some(Action::Age { timeout, context: key.0 })
    }

    /// Into a template table's queue; `false` when rules of its shape go by single calls.
    fn queue_insert(
        &mut self,
        id: OpId,
        key: RuleKey,
        port: u16,
        rule: &Arc<HwRule>,
        old: Option<RuleKey>,
    ) -> Result<bool, Failure> {
        let attr = lower::attributes(rule);
        if rule.count && self.no_indirect.contains(&port) {
            return Ok(false);
        }
        let age = self.age_of(key, port, rule);
        let ages = age.is_some();
        let Some(engine) = self.queued.engine(port) else { return Ok(false) };
        let mut counter = Counter::None;
        if rule.count {
            match engine.counter(self.api.as_mut(), port, attr, (&self.count, QUIET)) {
                Ok(handle) => counter = Counter::Indirect(handle),
                Err(error) if error.class() == Class::Unsupported => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        actions(rule, counter, age, &mut self.list);
        lower::pattern_into(rule, &mut self.items);
        let coming = Coming { rule, attr, items: &self.items, list: &self.list, ages };
        match engine.insert(self.api.as_mut(), port, &coming, id.0) {
            Ok(Some((handle, table))) => {
                let stored = Stored { port, handle, counter, table: Some(table), rule: Arc::clone(rule) };
                self.rules.lock().insert(key.0, stored);
                self.queued.expect_insert(id, key, port, old);
                Ok(true)
            }
            answer => {
                if let Counter::Indirect(handle) = counter {
                    self.queued.drop_counter(self.api.as_mut(), port, handle);
                }
                match answer {
                    Ok(_) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    fn counter(&mut self, port: u16, attr: rte_flow_rs::Attr) -> Result<Counter, RteFlowError> {
        if self.no_indirect.contains(&port) {
            return Ok(Counter::InRule);
        }
        match self.api.action_create(port, attr, &self.count) {
            Ok(handle) => Ok(Counter::Indirect(handle)),
            Err(error) if error.class() == Class::Unsupported => {
                self.no_indirect.insert(port);
                Ok(Counter::InRule)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a counter: with many others, where the device has a queue for that.
    fn begin_query(&mut self, id: OpId, key: RuleKey) -> Result<Step, Failure> {
        let there = self.rules.lock().get(key.0).map(|stored| (stored.port, stored.counter, stored.table));
        if let Some((port, Counter::Indirect(counter), Some(_))) = there
            && self.queued.query(self.api.as_mut(), port, counter, (id, key))?
        {
            return Ok(Step::Later);
        }
        self.query(key).map(Step::Done)
    }

    pub(super) fn query(&mut self, key: RuleKey) -> Result<Done, Failure> {
        let Some(stored) = self.rules.lock().get(key.0).cloned() else { return Err(unknown()) };
        let Stored { port, handle, counter, .. } = stored;
        let count = match counter {
            Counter::Indirect(counter) => self.api.action_query_count(port, counter, false)?,
            Counter::InRule | Counter::None => self.api.query_count(port, handle, false)?,
        };
        counted(port, count)
    }

    /// A dead device's rules are gone, and what was queued ends.
    pub(super) fn forget(&mut self, port: u16, error: &DeviceError) {
        self.rules.lock().retain(|_, stored| stored.port != port);
        self.leftovers.retain(|(p, _)| *p != port);
        self.proxies.retain(|_, proxy| *proxy != port);
        self.no_indirect.remove(&port);
        self.no_age.remove(&port);
        self.no_aside.remove(&port);
        self.meters.retain(|_, owner| *owner != port);
        for id in self.queued.forget(port) {
            self.done.push(Completion { id, result: Err(error.clone()) });
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) -> DeviceError {
        match failure {
            Failure::Ours(error) => error,
            Failure::Device(error) => {
                let ours = DeviceError::from(&error);
                if error.class() == Class::DeviceDead {
                    self.forget(error.port, &ours);
                }
                ours
            }
        }
    }
}

fn actions(rule: &HwRule, counter: Counter, age: Option<Action>, out: &mut Vec<Action>) {
    let count = match counter {
        Counter::None => None,
        Counter::InRule => Some(Action::Count(0)),
        Counter::Indirect(handle) => Some(Action::Indirect(handle)),
    };
    out.clear();
    out.extend(age);
    lower::actions_into(rule, count, out);
}

pub(super) fn counted(port: u16, count: CountQuery) -> Result<Done, Failure> {
    counters(count).map(Done::Counted).ok_or_else(|| {
        let message = format!("the counter of port {port} has no packets or no bytes");
        Failure::Ours(DeviceError { kind: DeviceErrorKind::NotSupported, message })
    })
}

pub(super) fn counters(count: CountQuery) -> Option<Counters> {
    Some(Counters { packets: count.packets?, bytes: count.bytes? })
}

fn no_meter() -> DeviceError {
    DeviceError { kind: DeviceErrorKind::NotFound, message: "no device has this meter".into() }
}

pub(super) fn unknown() -> Failure {
    Failure::Ours(DeviceError { kind: DeviceErrorKind::NotFound, message: "no rule has this key".into() })
}

/// Why an operation failed.
pub(super) enum Failure {
    Device(RteFlowError),
    Ours(DeviceError),
}

impl From<RteFlowError> for Failure {
    fn from(error: RteFlowError) -> Failure {
        Failure::Device(error)
    }
}

impl From<&RteFlowError> for DeviceError {
    fn from(error: &RteFlowError) -> DeviceError {
        let kind = match error.class() {
            Class::Unsupported => DeviceErrorKind::NotSupported,
            Class::Exists => DeviceErrorKind::Exists,
            Class::NoSpace | Class::NoMemory => DeviceErrorKind::TableFull,
            Class::Invalid => DeviceErrorKind::Invalid,
            Class::DeviceDead => DeviceErrorKind::Dead,
            Class::NotFound => DeviceErrorKind::NotFound,
            Class::Busy => DeviceErrorKind::Busy,
            Class::Other => DeviceErrorKind::Other(error.errno.0),
        };
        DeviceError { kind, message: error.to_string() }
    }
}

/// A cookie in 128 bits.
fn packed(cookie: Cookie) -> rte_flow_rs::Cookie {
    rte_flow_rs::Cookie(u128::from(cookie.instance) << 64 | u128::from(cookie.generation))
}

fn unpacked(cookie: rte_flow_rs::Cookie) -> Cookie {
    Cookie { instance: (cookie.0 >> 64) as u64, generation: cookie.0 as u64 }
}

impl Backend for RteFlowBackend {
    fn submit(&mut self, ops: &[Op]) -> usize {
        self.sweep();
        let (mut taken, mut calls, start) = (0, 0, Instant::now());
        for op in ops.iter().take(MOST_QUEUED) {
            if calls >= MOST_AT_ONCE || calls > 0 && start.elapsed() >= LONG {
                break;
            }
            let mut step = self.execute(op);
            if let Err(Failure::Device(error)) = &step
                && error.class() == Class::Busy
                && self.queued.is_full(error.port)
            {
                // The queue is full: what has come to its end makes room.
                let port = error.port;
                self.turn(port);
                step = self.execute(op);
                if matches!(&step, Err(Failure::Device(e)) if e.class() == Class::Busy) && self.queued.waiting(port) > 0
                {
                    break;
                }
            }
            taken += 1;
            match step {
                Ok(Step::Later) => {}
                Ok(Step::Done(done)) => {
                    calls += usize::from(!matches!(op, Op::Query { .. }));
                    self.done.push(Completion { id: op.id(), result: Ok(done) });
                }
                Err(failure) => {
                    calls += 1;
                    let error = self.failed(failure);
                    self.done.push(Completion { id: op.id(), result: Err(error) });
                }
            }
        }
        self.push();
        taken
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        for port in self.queued.busy_ports() {
            self.turn(port);
        }
        done.append(&mut self.done);
    }

    /// Rules that the device still holds and that the memory knows. Others of the same instance, which nobody can go on with, are
    /// taken out. DPDK's devices start with empty tables, so they hold none.
    fn adopt(&mut self, cookie: Cookie) -> Vec<Adopted> {
        let held = self.api.held();
        self.api.mark_rules(packed(cookie));
        let known: HashMap<RuleHandle, (RuleKey, Stored)> =
            self.rules.lock().iter().map(|(key, stored)| (stored.handle, (RuleKey(key), stored.clone()))).collect();
        let mut adopted = Vec::new();
        for rule in held {
            let Some(theirs) = rule.cookie.map(unpacked).filter(|theirs| theirs.instance == cookie.instance) else {
                continue;
            };
            match known.get(&rule.rule) {
                Some((key, stored)) => adopted.push(Adopted {
                    key: *key,
                    port: stored.rule.port,
                    rule: Arc::clone(&stored.rule),
                    cookie: theirs,
                    counters: match self.query(*key) {
                        Ok(Done::Counted(counters)) => Some(counters),
                        _ => None,
                    },
                }),
                // One that stays in spite of this is hit until the device is reset; its packets are counted nowhere.
                None => drop(self.api.destroy(rule.port, rule.rule)),
            }
        }
        let there: HashSet<RuleKey> = adopted.iter().map(|a| a.key).collect();
        self.rules.lock().retain(|key, _| there.contains(&RuleKey(key)));
        adopted
    }

    fn aged(&mut self, idle: &mut Vec<RuleKey>) {
        if self.age.is_none() {
            return;
        }
        for port in self.ports.iter().filter(|port| !self.no_age.contains(*port)) {
            if let Ok(contexts) = self.api.aged(*port, MOST_QUEUED) {
                idle.extend(contexts.into_iter().map(RuleKey));
            }
        }
    }

    fn set_meter(&mut self, port: EthdevId, meter: MeterId, spec: &MeterSpec) -> Result<(), DeviceError> {
        let done = self.proxy(port.0).map_err(meters::MeterRefusal::Device).and_then(|owner| {
            meters::set(self.api.as_mut(), owner, meter, spec)?;
            Ok(owner)
        });
        match done {
            Ok(owner) => {
                self.meters.insert(meter, owner);
                Ok(())
            }
            Err(meters::MeterRefusal::Device(error)) => Err(self.failed(Failure::Device(error))),
            Err(refusal @ meters::MeterRefusal::Bands(..)) => {
                Err(DeviceError { kind: DeviceErrorKind::NotSupported, message: refusal.to_string() })
            }
        }
    }

    fn remove_meter(&mut self, meter: MeterId) -> Result<(), DeviceError> {
        let owner = *self.meters.get(&meter).ok_or_else(no_meter)?;
        meters::remove(self.api.as_mut(), owner, meter).map_err(|error| self.failed(Failure::Device(error)))?;
        self.meters.remove(&meter);
        Ok(())
    }

    fn meter_counts(&mut self, meter: MeterId) -> Result<MeterCounts, DeviceError> {
        let owner = *self.meters.get(&meter).ok_or_else(no_meter)?;
        let stats = meters::stats(self.api.as_mut(), owner, meter);
        stats.map(|stats| meters::counts(&stats)).map_err(|error| self.failed(Failure::Device(error)))
    }

    fn revive(&mut self, device: DeviceKey, ports: &[EthdevId]) -> Result<(), DeviceError> {
        let gone = DeviceError { kind: DeviceErrorKind::Dead, message: format!("{device} was gone") };
        for port in ports {
            self.api.info(port.0).map_err(|error| DeviceError::from(&error))?;
            match self.api.flush(port.0) {
                Err(error) if error.class() != Class::Unsupported => return Err(DeviceError::from(&error)),
                Ok(()) | Err(_) => self.forget(port.0, &gone),
            }
        }
        Ok(())
    }
}
