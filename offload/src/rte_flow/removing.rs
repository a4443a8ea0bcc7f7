//! Rules on their way out, and their last counts.

use super::backend::{Counter, Failure, RteFlowBackend, Step, Stored, counters, unknown};
use super::lower;
use crate::backend::{Done, OpId, RuleKey};
use crate::rule::Table;
use rte_flow_rs::{Action, ActionHandle, Attr, Class, LoweredFlow, RteFlowError, RuleHandle};

/// What a port did not let go of: tried again with the next operations, in the order in which they were to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leftover {
    Counter(ActionHandle),
    Rule(RuleHandle),
}

/// Where the packets of a rule go that is to be read for the last time.
enum Aside {
    /// To software, by this rule above it.
    Led(RuleHandle),
    /// To software, by a rule that is there for another flow.
    There,
    /// Through the rule, as before.
    Not,
}

impl RteFlowBackend {
    /// Takes a rule out. If it is the old one of an update and stays, `new` goes again.
    pub(super) fn remove(&mut self, id: OpId, key: RuleKey, new: Option<RuleKey>) -> Result<Step, Failure> {
        let step = self.begin_remove(id, key, new);
        if let (Err(_), Some(new)) = (&step, new) {
            self.take_back(new);
        }
        step
    }

    fn begin_remove(&mut self, id: OpId, key: RuleKey, new: Option<RuleKey>) -> Result<Step, Failure> {
        let Some(stored) = self.rules.lock().get(key.0).cloned() else { return Err(unknown()) };
        let Stored { port, handle, .. } = stored;
        if stored.table.is_some() {
            self.queued.remove(self.api.as_mut(), port, handle, id)?;
            self.queued.expect_remove(id, key, port, new);
            return Ok(Step::Later);
        }
        match stored.counter {
            Counter::InRule => self.read_and_remove(key, &stored),
            Counter::None | Counter::Indirect(_) => self.remove_and_read(key, &stored),
        }
        .map(Step::Done)
    }

    /// A counter that outlives its rule is read when nothing can count any more.
    fn remove_and_read(&mut self, key: RuleKey, stored: &Stored) -> Result<Done, Failure> {
        self.destroy(key, stored)?;
        let Counter::Indirect(counter) = stored.counter else { return Ok(Done::Removed { last: None, exact: true }) };
        let last = self.api.action_query_count(stored.port, counter, false).ok();
        self.drop_counter(stored.port, counter);
        Ok(Done::Removed { last: last.and_then(counters), exact: true })
    }

    /// A counter inside a rule ends with it. So a rule above leads the packets to software first: then the counter stands still, and
    /// what it says is all that there is. A device that has no such rule may count some packets more, which nobody learns of.
    fn read_and_remove(&mut self, key: RuleKey, stored: &Stored) -> Result<Done, Failure> {
        let aside = self.lead_aside(stored)?;
        let read = self.api.query_count(stored.port, stored.handle, false);
        let done = match &read {
            // What cannot be read now may be later: the rule stays.
            Err(error) if matches!(error.class(), Class::Busy | Class::DeviceDead) => Err(error.clone()),
            _ => self.destroy(key, stored),
        };
        if let Aside::Led(handle) = aside {
            self.drop_rule(stored.port, handle);
        }
        done?;
        let last = read.ok().and_then(counters);
        Ok(Done::Removed { last, exact: last.is_some() && !matches!(aside, Aside::Not) })
    }

    /// A rule for the same packets, one priority above, that gives them to software.
    fn lead_aside(&mut self, stored: &Stored) -> Result<Aside, RteFlowError> {
        let (port, rule) = (stored.port, &stored.rule);
        let (Table::Transfer { priority: 1.., .. }, false) = (rule.table, self.no_aside.contains(&port)) else {
            return Ok(Aside::Not);
        };
        let attr = lower::attributes(rule);
        let above = Attr { priority: attr.priority - 1, ..attr };
        lower::pattern_into(rule, &mut self.items);
        let flow = LoweredFlow::new(above, &self.items, &[Action::PortRepresentor(rule.port.0)]);
        match self.api.create(port, &flow) {
            Ok(handle) => Ok(Aside::Led(handle)),
            Err(error) => match error.class() {
                // Above flows' rules there is nothing but what leaves packets to software.
                Class::Exists => Ok(Aside::There),
                Class::Busy | Class::DeviceDead => Err(error),
                Class::Unsupported | Class::Invalid => {
                    self.no_aside.insert(port);
                    Ok(Aside::Not)
                }
                Class::NoSpace | Class::NoMemory | Class::NotFound | Class::Other => Ok(Aside::Not),
            },
        }
    }

    fn destroy(&mut self, key: RuleKey, stored: &Stored) -> Result<(), RteFlowError> {
        if let Err(error) = self.api.destroy(stored.port, stored.handle)
            && !matches!(error.class(), Class::NotFound)
        {
            return Err(error);
        }
        self.rules.lock().remove(key.0);
        Ok(())
    }

    /// An update failed when its new rule was in already. What that has counted since is lost.
    pub(super) fn take_back(&mut self, new: RuleKey) {
        let Some(stored) = self.rules.lock().remove(new.0) else { return };
        self.queued.gone(&stored);
        self.drop_rule(stored.port, stored.handle);
        if let Counter::Indirect(counter) = stored.counter {
            self.drop_counter(stored.port, counter);
        }
    }

    fn drop_rule(&mut self, port: u16, handle: RuleHandle) {
        match self.api.destroy(port, handle) {
            // Packets that it matches are software's until it is gone.
            Err(error) if !matches!(error.class(), Class::NotFound | Class::DeviceDead) => {
                self.leftovers.push((port, Leftover::Rule(handle)));
            }
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn drop_counter(&mut self, port: u16, handle: ActionHandle) {
        match self.api.action_destroy(port, handle) {
            Err(error) if error.class() == Class::Busy => self.leftovers.push((port, Leftover::Counter(handle))),
            // Anything else will not change by asking again.
            Ok(()) | Err(_) => {}
        }
    }

    /// Try to be rid of what was left.
    pub(super) fn sweep(&mut self) {
        for (port, left) in std::mem::take(&mut self.leftovers) {
            match left {
                Leftover::Counter(handle) => self.drop_counter(port, handle),
                Leftover::Rule(handle) => self.drop_rule(port, handle),
            }
        }
    }
}
