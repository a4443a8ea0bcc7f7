//! Rules that went by themselves, and who wants to know of it.

use super::persist::gone;
use super::{Control, duration};
use crate::control::Inner;
use crate::state::Change;
use ::pipeline::{FlowRemoved, RemoveReason};
use api::{Error, Events};
use flow::text;
use std::collections::VecDeque;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most events that are kept; the oldest go first.
const KEPT: usize = 4096;
/// Longest wait of one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The newest events, numbered from 1.
#[derive(Debug, Default)]
pub(in super::super) struct Removals {
    newest: u64,
    kept: VecDeque<api::FlowRemoved>,
    pub(in super::super) changed: std::sync::Arc<Condvar>,
}

impl Control {
    /// Take rules whose time is over out of the switch and the state. Called every second or so.
    pub fn expire(&self) -> Result<(), Error> {
        // Hits that were not counted yet keep a rule from idling out.
        self.switch.fold();
        let (mut inner, changes) = self.expire_locked(self.lock());
        // Rules may have gone with no command: replaced by what packets made.
        self.note_removed(&mut inner);
        if changes.is_empty() {
            return Ok(());
        }
        let count = changes.len();
        self.commit(inner, changes, count).map(|_| ())
    }

    /// The same in the switch only; what is gone is to be persisted.
    pub(in super::super) fn expire_locked<'a>(
        &self,
        mut inner: MutexGuard<'a, Inner>,
    ) -> (MutexGuard<'a, Inner>, Vec<Change>) {
        let removed = self.switch.pipeline().expire(self.switch.clock().now());
        let mut changes = Vec::new();
        for rule in &removed {
            if let Some(bridge) = Control::bridge_name(&inner, rule.entry.bridge) {
                changes.extend(gone(&bridge.as_str().into(), std::slice::from_ref(rule), |_, _| true));
            }
        }
        self.note_removed(&mut inner);
        (inner, changes)
    }

    /// Keep an event of each rule that went and wanted one.
    pub(in super::super) fn note_removed(&self, inner: &mut Inner) {
        let notices = self.switch.pipeline().take_notices();
        let some = !notices.removed.is_empty();
        inner.removals.newest += notices.lost;
        for FlowRemoved { entry, reason, at, .. } in notices.removed {
            let spec = &entry.spec;
            // The bridge may have gone with its rules.
            let bridge = Control::bridge_name(inner, entry.bridge).cloned().unwrap_or_default();
            let removals = &mut inner.removals;
            removals.newest += 1;
            if removals.kept.len() >= KEPT {
                removals.kept.pop_front();
            }
            removals.kept.push_back(api::FlowRemoved {
                number: removals.newest,
                bridge,
                reason: name(reason).to_owned(),
                table: spec.table,
                priority: spec.priority,
                cookie: spec.cookie,
                matching: text::format_match(&spec.matching, flow::rule::DEFAULT_PRIORITY),
                packets: entry.stats.packets,
                bytes: entry.stats.bytes,
                duration: duration(entry.created, at).as_secs_f64(),
                idle_timeout: spec.idle_timeout,
                hard_timeout: spec.hard_timeout,
            });
        }
        if some {
            inner.removals.changed.notify_all();
        }
    }

    /// Events after number `after`; when there is none, wait so long for one. `after` absent: from the newest on.
    pub fn events(&self, after: Option<u64>, wait: Duration) -> Events {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let mut inner = self.lock();
        let changed = inner.removals.changed.clone();
        // A number from before a restart is from another count.
        let after = after.unwrap_or(inner.removals.newest).min(inner.removals.newest);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if inner.removals.newest > after || left.is_zero() {
                let flows_removed = inner.removals.kept.iter().filter(|e| e.number > after).cloned().collect();
                return Events { newest: inner.removals.newest, flows_removed };
            }
            inner = changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn name(reason: RemoveReason) -> &'static str {
    match reason {
        RemoveReason::IdleTimeout => "idle",
        RemoveReason::HardTimeout => "hard",
        RemoveReason::Delete => "delete",
        RemoveReason::GroupDelete => "group_delete",
        RemoveReason::MeterDelete => "meter_delete",
        RemoveReason::Eviction => "eviction",
    }
}
