//! Places in a device: for rules, and counters for those that count.

use crate::refusal::Refusal;
use crate::rule::HwProgram;

/// What a program takes of a device, or what is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub rules: u32,
    pub counters: u32,
}

impl Places {
    pub fn of(program: &HwProgram) -> Places {
        let counters = program.rules.iter().filter(|rule| rule.count).count();
        Places { rules: program.rules.len() as u32, counters: counters as u32 }
    }

    pub fn plus(self, more: Places) -> Places {
        Places { rules: self.rules + more.rules, counters: self.counters + more.counters }
    }

    pub fn minus(self, less: Places) -> Places {
        Places { rules: self.rules.saturating_sub(less.rules), counters: self.counters.saturating_sub(less.counters) }
    }
}

/// Most that a device can be believed to take; `None` where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub rules: Option<u32>,
    pub counters: Option<u32>,
}

impl Room {
    /// Why there is no room for `more` beside what is taken.
    pub fn lack(self, taken: Places, more: Places) -> Option<Refusal> {
        let over = |taken: u32, more: u32, limit: &u32| more > 0 && taken.saturating_add(more) > *limit;
        if let Some(limit) = self.rules.filter(|limit| over(taken.rules, more.rules, limit)) {
            return Some(Refusal::TableFull { used: taken.rules, limit });
        }
        let limit = self.counters.filter(|limit| over(taken.counters, more.counters, limit))?;
        Some(Refusal::CounterTableFull { used: taken.counters, limit })
    }

    /// Whether there is no room for any rule.
    pub fn is_full(self, taken: Places) -> bool {
        self.rules.is_some_and(|limit| taken.rules >= limit)
    }

    /// Of the two that which is less.
    pub fn least(self) -> Option<u32> {
        self.rules.into_iter().chain(self.counters).min()
    }
}
