//! Operations as calls of an [`RteFlowApi`].

use super::lower;
use crate::backend::{Adopted, Backend, Completion, Cookie, Counters, DeviceError, DeviceErrorKind, Done, Op, RuleKey};
use crate::rule::{HwRule, Table};
use rte_flow_rs::{
    Action, ActionHandle, Class, CountQuery, LoweredActions, LoweredFlow, RteFlowApi, RteFlowError, RuleHandle,
};
use std::collections::{HashMap, HashSet};

/// Operations that one `submit` takes: a rule takes a driver some 100 µs, and nobody else is served meanwhile.
const MOST_AT_ONCE: usize = 64;

/// Puts rules in through rte_flow.
pub struct RteFlowBackend {
    api: Box<dyn RteFlowApi>,
    rules: HashMap<RuleKey, Stored>,
    /// The port that transfer rules of a port go through.
    proxies: HashMap<u16, u16>,
    /// Ports that refused an indirect COUNT: their rules count by themselves.
    no_indirect: HashSet<u16>,
    /// Counters that the device did not let go of.
    leftovers: Vec<(u16, ActionHandle)>,
    done: Vec<Completion>,
}

struct Stored {
    port: u16,
    handle: RuleHandle,
    counter: Counter,
}

#[derive(Clone, Copy)]
enum Counter {
    None,
    InRule,
    Indirect(ActionHandle),
}

impl std::fmt::Debug for RteFlowBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RteFlowBackend").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl RteFlowBackend {
    /// A backend that makes its calls through `api`.
    #[must_use]
    pub fn new(api: Box<dyn RteFlowApi>) -> RteFlowBackend {
        RteFlowBackend {
            api,
            rules: HashMap::new(),
            proxies: HashMap::new(),
            no_indirect: HashSet::new(),
            leftovers: Vec::new(),
            done: Vec::new(),
        }
    }

    fn execute(&mut self, op: &Op) -> Result<Done, Failure> {
        match op {
            Op::Insert { key, rule, .. } => {
                self.insert(*key, rule)?;
                Ok(Done::Inserted)
            }
            Op::Remove { key, .. } => self.remove(*key),
            Op::Query { key, .. } => self.query(*key),
            Op::Update { old, new, rule, .. } => {
                self.insert(*new, rule)?;
                self.remove(*old)
            }
        }
    }

    /// The port whose rule table it is.
    fn owner(&mut self, rule: &HwRule) -> Result<u16, RteFlowError> {
        let port = rule.port.0;
        if matches!(rule.table, Table::Ingress { .. }) {
            return Ok(port);
        }
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

    fn insert(&mut self, key: RuleKey, rule: &HwRule) -> Result<(), RteFlowError> {
        let port = self.owner(rule)?;
        let attr = lower::attributes(rule);
        let counter = if rule.count { self.counter(port, attr)? } else { Counter::None };
        let count = match counter {
            Counter::None => None,
            Counter::InRule => Some(Action::Count(0)),
            Counter::Indirect(handle) => Some(Action::Indirect(handle)),
        };
        let lowered = LoweredFlow::new(attr, &lower::pattern(rule), &lower::actions(rule, count));
        match self.api.create(port, &lowered) {
            Ok(handle) => {
                self.rules.insert(key, Stored { port, handle, counter });
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

    fn counter(&mut self, port: u16, attr: rte_flow_rs::Attr) -> Result<Counter, RteFlowError> {
        if self.no_indirect.contains(&port) {
            return Ok(Counter::InRule);
        }
        match self.api.action_create(port, attr, &LoweredActions::new(&[Action::Count(0)])) {
            Ok(handle) => Ok(Counter::Indirect(handle)),
            Err(error) if error.class() == Class::Unsupported => {
                self.no_indirect.insert(port);
                Ok(Counter::InRule)
            }
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, key: RuleKey) -> Result<Done, Failure> {
        let Some(&Stored { port, handle, counter }) = self.rules.get(&key) else { return Err(unknown()) };
        // A counter in the rule dies with it; a reading that fails leaves the last one.
        let before = match counter {
            Counter::InRule => self.api.query_count(port, handle, false).ok(),
            Counter::None | Counter::Indirect(_) => None,
        };
        let destroyed = self.api.destroy(port, handle);
        if let Err(error) = destroyed
            && !matches!(error.class(), Class::NotFound)
        {
            return Err(error.into());
        }
        self.rules.remove(&key);
        let last = match counter {
            Counter::Indirect(counter) => {
                let count = self.api.action_query_count(port, counter, false).ok();
                self.drop_counter(port, counter);
                count
            }
            Counter::None | Counter::InRule => before,
        };
        let exact = !matches!(counter, Counter::InRule);
        Ok(Done::Removed { last: last.and_then(counters), exact })
    }

    fn query(&mut self, key: RuleKey) -> Result<Done, Failure> {
        let Some(&Stored { port, handle, counter }) = self.rules.get(&key) else { return Err(unknown()) };
        let count = match counter {
            Counter::Indirect(counter) => self.api.action_query_count(port, counter, false)?,
            Counter::InRule | Counter::None => self.api.query_count(port, handle, false)?,
        };
        counters(count).map(Done::Counted).ok_or_else(|| {
            let message = format!("the counter of port {port} has no packets or no bytes");
            Failure::Ours(DeviceError { kind: DeviceErrorKind::NotSupported, message })
        })
    }

    fn drop_counter(&mut self, port: u16, handle: ActionHandle) {
        match self.api.action_destroy(port, handle) {
            Err(error) if error.class() == Class::Busy => self.leftovers.push((port, handle)),
            // Anything else will not change by asking again.
            Ok(()) | Err(_) => {}
        }
    }

    /// A dead device's rules are gone.
    fn forget(&mut self, port: u16) {
        self.rules.retain(|_, stored| stored.port != port);
        self.leftovers.retain(|(p, _)| *p != port);
        self.proxies.retain(|_, proxy| *proxy != port);
    }
}

fn counters(count: CountQuery) -> Option<Counters> {
    Some(Counters { packets: count.packets?, bytes: count.bytes? })
}

fn unknown() -> Failure {
    Failure::Ours(DeviceError { kind: DeviceErrorKind::NotFound, message: "no rule has this key".into() })
}

/// Why an operation failed.
enum Failure {
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

impl Backend for RteFlowBackend {
    fn submit(&mut self, ops: &[Op]) -> usize {
        for (port, handle) in std::mem::take(&mut self.leftovers) {
            self.drop_counter(port, handle);
        }
        let taken = &ops[..ops.len().min(MOST_AT_ONCE)];
        for op in taken {
            let result = self.execute(op).map_err(|failure| match failure {
                Failure::Ours(error) => error,
                Failure::Device(error) => {
                    if error.class() == Class::DeviceDead {
                        self.forget(error.port);
                    }
                    DeviceError::from(&error)
                }
            });
            self.done.push(Completion { id: op.id(), result });
        }
        taken.len()
    }

    fn poll(&mut self, done: &mut Vec<Completion>) {
        done.append(&mut self.done);
    }

    /// None: DPDK starts with empty tables.
    fn adopt(&mut self, _: Cookie) -> Vec<Adopted> {
        Vec::new()
    }
}
