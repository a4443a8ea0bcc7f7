//! Notices of what happened to rules, for controllers and whoever watches.

use crate::apply::Gone;
use crate::pipeline::Pipeline;
use crate::rule::{RemoveReason, Rule, RuleEntry};
use flow::clock::Time;
use flow::dp::BridgeId;
use flow::rule::RuleFlags;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// A rule is gone (ofp_flow_removed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRemoved {
    /// With its counters as they are when the notice is taken: hits that came in late count.
    pub entry: RuleEntry,
    pub reason: RemoveReason,
    /// When it went; its duration ends here.
    pub at: Time,
    /// Whether the rule asked for it (`send_flow_rem`).
    pub requested: bool,
}

/// What was noticed since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// In the order in which the rules went.
    pub removed: Vec<FlowRemoved>,
    /// How many notices were lost because nobody took them in time.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<(Time, BridgeId, Arc<Rule>, RemoveReason)>,
    lost: u64,
    all: bool,
}

/// Notices that wait to be taken.
#[derive(Debug)]
pub(crate) struct NoticeQueue {
    inner: Mutex<Inner>,
    capacity: usize,
}

impl NoticeQueue {
    pub(crate) fn new(capacity: usize) -> NoticeQueue {
        NoticeQueue { inner: Mutex::default(), capacity }
    }

    pub(crate) fn add(&self, at: Time, gone: &[Gone]) {
        let mut inner = self.inner.lock();
        for (bridge, rule, why) in gone {
            let Some(why) = why else { continue };
            if !inner.all && !rule.spec.flags.contains(RuleFlags::SEND_FLOW_REM) {
                continue;
            }
            if inner.queue.len() >= self.capacity {
                inner.lost += 1;
            } else {
                inner.queue.push_back((at, *bridge, rule.clone(), *why));
            }
        }
    }
}

impl Pipeline {
    /// Take the notices of rules that went: those with `send_flow_rem`, or all after [`Pipeline::notice_all`]. At most
    /// [`crate::Config::notices`] wait; what comes then is lost and counted.
    pub fn take_notices(&self) -> Notices {
        let mut inner = self.notices().inner.lock();
        let (queue, lost) = (std::mem::take(&mut inner.queue), std::mem::take(&mut inner.lost));
        drop(inner);
        let notice = |(at, bridge, rule, reason): (Time, BridgeId, Arc<Rule>, RemoveReason)| FlowRemoved {
            entry: rule.entry(bridge),
            reason,
            at,
            requested: rule.spec.flags.contains(RuleFlags::SEND_FLOW_REM),
        };
        Notices { removed: queue.into_iter().map(notice).collect(), lost }
    }

    /// Whether all rules that go are noticed from now on, or only those that ask for it.
    pub fn notice_all(&self, all: bool) {
        self.notices().inner.lock().all = all;
    }
}
