//! Operations that wait in template engines' queues.

use super::backend::{Counter, Failure, RteFlowBackend, Step, Stored, counted, counters};
use super::tables::{self, Engine, QUEUE};
use crate::backend::{Completion, DeviceError, Done, OpId, RuleKey};
use crate::numbered::Numbered;
use hashbrown::HashMap;
use rte_flow_rs::{ActionHandle, AsyncResult, Class, Queue, RteFlowApi, RteFlowError, RuleHandle};

/// The user number of operations whose end says nothing: counters. Operations of the engine begin at 1.
pub(super) const QUIET: u64 = 0;

/// Ends that one pull is asked for.
const PULL: usize = 256;

/// What a queued operation is for.
#[derive(Clone, Copy, Debug)]
enum What {
    /// A rule goes in; then another goes.
    Insert {
        key: RuleKey,
        old: Option<RuleKey>,
    },
    /// A rule goes; `new` is to take its place, and goes itself if it stays.
    Remove {
        key: RuleKey,
        new: Option<RuleKey>,
    },
    Query {
        key: RuleKey,
    },
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    port: u16,
    what: What,
}

/// The template engines of all ports.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// Single calls are wanted.
    pub off: bool,
    /// `None`: the port has no engine.
    engines: HashMap<u16, Option<Engine>>,
    /// By the engine's operation; an update's two halves come one after the other.
    pending: Numbered<Pending>,
    ends: Vec<AsyncResult>,
}

impl Queued {
    /// With engines that are set up.
    pub fn of(engines: HashMap<u16, Option<Engine>>) -> Queued {
        Queued { engines, ..Queued::default() }
    }

    pub fn take(&mut self) -> HashMap<u16, Option<Engine>> {
        std::mem::take(&mut self.engines)
    }

    /// Whether the port's engine can be used; it is asked, and set up, when the first rule comes.
    pub fn is_on(&mut self, api: &mut dyn RteFlowApi, port: u16) -> Result<bool, RteFlowError> {
        if self.off {
            return Ok(false);
        }
        if let Some(engine) = self.engines.get(&port) {
            return Ok(engine.is_some());
        }
        let engine = tables::set_up(api, port)?;
        let is_on = engine.is_some();
        self.engines.insert(port, engine);
        Ok(is_on)
    }

    pub fn engine(&mut self, port: u16) -> Option<&mut Engine> {
        self.engines.get_mut(&port).and_then(Option::as_mut)
    }

    fn posted(&mut self, port: u16) {
        if let Some(engine) = self.engine(port) {
            engine.posted();
        }
    }

    pub fn waiting(&self, port: u16) -> usize {
        self.engines.get(&port).and_then(Option::as_ref).map_or(0, |engine| engine.waiting)
    }

    /// Whether the queue has no room for all that one rule needs: the rule, its counter, and the counter's end.
    pub fn is_full(&self, port: u16) -> bool {
        let engine = self.engines.get(&port).and_then(Option::as_ref);
        engine.is_some_and(|engine| engine.waiting + 3 > engine.size)
    }

    pub fn busy_ports(&self) -> Vec<u16> {
        self.engines.keys().copied().filter(|port| self.waiting(*port) > 0).collect()
    }

    pub fn drop_counter(&mut self, api: &mut dyn RteFlowApi, port: u16, handle: ActionHandle) {
        let queue = Queue { id: QUEUE, postpone: true, user: QUIET };
        match api.async_action_destroy(port, queue, handle) {
            Ok(()) => self.posted(port),
            // The queue is full: a single call then; a counter that stays costs a counter.
            Err(_) => drop(api.action_destroy(port, handle)),
        }
    }

    pub fn remove(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        rule: RuleHandle,
        id: OpId,
    ) -> Result<(), RteFlowError> {
        api.async_destroy(port, Queue { id: QUEUE, postpone: true, user: id.0 }, rule)?;
        self.posted(port);
        Ok(())
    }

    /// Asks for a counter; `false`: the device answers by single calls only.
    pub fn query(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        counter: ActionHandle,
        (id, key): (OpId, RuleKey),
    ) -> Result<bool, RteFlowError> {
        if self.engine(port).is_none_or(|engine| engine.no_query) {
            return Ok(false);
        }
        let queue = Queue { id: QUEUE, postpone: true, user: id.0 };
        match api.async_action_query_count(port, queue, counter, false) {
            Ok(()) => {}
            Err(error) if error.class() == Class::Unsupported => {
                if let Some(engine) = self.engine(port) {
                    engine.no_query = true;
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.posted(port);
        self.pending.insert(id.0, Pending { port, what: What::Query { key } });
        Ok(true)
    }

    pub fn expect_insert(&mut self, id: OpId, key: RuleKey, port: u16, old: Option<RuleKey>) {
        self.pending.insert(id.0, Pending { port, what: What::Insert { key, old } });
    }

    pub fn expect_remove(&mut self, id: OpId, key: RuleKey, port: u16, new: Option<RuleKey>) {
        self.pending.insert(id.0, Pending { port, what: What::Remove { key, new } });
    }

    /// A rule is gone from its table.
    pub fn gone(&mut self, stored: &Stored) {
        if let (Some(table), Some(engine)) = (stored.table, self.engine(stored.port)) {
            engine.gone(table);
        }
    }

    /// The port's engine is gone; the operations that will not come to their end.
    pub fn forget(&mut self, port: u16) -> Vec<OpId> {
        self.engines.remove(&port);
        let lost: Vec<OpId> = self.pending.iter().filter(|(_, p)| p.port == port).map(|(id, _)| OpId(id)).collect();
        self.pending.retain(|_, pending| pending.port != port);
        lost
    }
}

impl RteFlowBackend {
    /// Gives the devices what is postponed.
    pub(super) fn push(&mut self) {
        let dirty = |engine: &Option<Engine>| engine.as_ref().is_some_and(|engine| engine.dirty);
        let ports: Vec<u16> = self.queued.engines.iter().filter(|(_, e)| dirty(e)).map(|(port, _)| *port).collect();
        for port in ports {
            if let Some(engine) = self.queued.engine(port) {
                engine.dirty = false;
            }
            if let Err(error) = self.api.push(port, QUEUE)
                && error.class() == Class::DeviceDead
            {
                self.failed(Failure::Device(error));
            }
        }
    }

    /// Pushes and pulls once: what has come to its end is told.
    pub(super) fn turn(&mut self, port: u16) {
        self.push();
        loop {
            let mut ends = std::mem::take(&mut self.queued.ends);
            ends.clear();
            let pulled = self.api.pull(port, QUEUE, &mut ends, PULL);
            if let Some(engine) = self.queued.engine(port) {
                engine.waiting = engine.waiting.saturating_sub(ends.len());
            }
            for end in &ends {
                self.ended(*end);
            }
            self.queued.ends = ends;
            match pulled {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    if error.class() == Class::DeviceDead {
                        self.failed(Failure::Device(error));
                    }
                    break;
                }
            }
        }
        // What was queued by the ends of others.
        self.push();
    }

    fn ended(&mut self, end: AsyncResult) {
        let Some(Pending { port, what }) = self.queued.pending.remove(end.user) else { return };
        let id = OpId(end.user);
        let result = match what {
            What::Insert { key, old } => match self.inserted(id, key, port, old, end.done) {
                Ok(Step::Later) => return,
                Ok(Step::Done(done)) => Ok(done),
                Err(failure) => Err(self.failed(failure)),
            },
            What::Remove { key, new } => {
                let removed = self.removed(key, end.done);
                if let (Err(_), Some(new)) = (&removed, new) {
                    self.take_back(new);
                }
                removed
            }
            // The queue does not say why there is no answer; a single call does, or has it.
            What::Query { key } => match end.count.filter(|_| end.done) {
                Some(count) => counted(port, count).map_err(|failure| self.failed(failure)),
                None => self.query(key).map_err(|failure| self.failed(failure)),
            },
        };
        self.done.push(Completion { id, result });
    }

    fn inserted(
        &mut self,
        id: OpId,
        key: RuleKey,
        port: u16,
        old: Option<RuleKey>,
        done: bool,
    ) -> Result<Step, Failure> {
        if !done {
            let stored = self.rules.lock().remove(key.0);
            // The queue does not say why; a single call does, or the rule is in.
            if let Some(stored) = stored {
                self.queued.gone(&stored);
                self.insert_now(key, port, &stored.rule, Some(stored.counter))?;
            }
        }
        match old {
            None => Ok(Step::Done(Done::Inserted)),
            Some(old) => self.remove(id, old, Some(key)),
        }
    }

    fn removed(&mut self, key: RuleKey, done: bool) -> Result<Done, DeviceError> {
        let Some(stored) = self.rules.lock().get(key.0).cloned() else {
            return Ok(Done::Removed { last: None, exact: false });
        };
        // A rule that a single call does not find either was lost by the device; otherwise it is still there.
        if !done
            && let Err(error) = self.api.destroy(stored.port, stored.handle)
            && error.class() != Class::NotFound
        {
            return Err(self.failed(Failure::Device(error)));
        }
        self.rules.lock().remove(key.0);
        self.queued.gone(&stored);
        let last = match stored.counter {
            Counter::Indirect(counter) => {
                let count = self.api.action_query_count(stored.port, counter, false).ok();
                self.queued.drop_counter(self.api.as_mut(), stored.port, counter);
                count
            }
            Counter::None | Counter::InRule => None,
        };
        Ok(Done::Removed { last: last.and_then(counters), exact: true })
    }
}
