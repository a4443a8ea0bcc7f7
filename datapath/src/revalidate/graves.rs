//! Flows that were removed: their last hits, and the long way of a mark back to the free list.

use crate::flows::Removed;
use crate::flows::effects::Effects;
use flow::dp::{FlowId, Hits};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;

/// A mark that nobody may put on packets any more.
#[derive(Clone, Copy, Debug)]
struct Resting {
    mark: u32,
    /// Workers that passed this no longer use the flow.
    removed: u64,
    /// Queues that drained past this hold no packet with the mark; without hardware no packet has one, and the workers'
    /// passing is enough.
    drained: u64,
}

/// Removed flows whose marks are not free yet, in the order of their removal.
#[derive(Debug, Default)]
pub(super) struct Graves {
    /// Those whose last hits were not replayed, with the fence behind which they have no more.
    unsettled: VecDeque<(u64, Removed)>,
    /// Those that hardware has not let go of: mark and fence of the removal.
    held: HashMap<FlowId, (u32, u64)>,
    /// Hardware let go of them before they were in `held`.
    early: HashSet<FlowId>,
    resting: VecDeque<Resting>,
}

impl Graves {
    /// Number of marks that are not free.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.resting.len()
    }

    /// Whether any waits for workers or queues, not for hardware alone.
    pub(super) fn is_burying(&self) -> bool {
        !self.unsettled.is_empty() || !self.resting.is_empty()
    }

    /// Take in a removed flow. `fence` was raised after its removal.
    pub(super) fn add(&mut self, flow: Removed, fence: u64, offload: bool) {
        if offload && !self.early.remove(&flow.id) {
            self.held.insert(flow.id, (flow.mark, fence));
        } else {
            self.resting.push_back(Resting { mark: flow.mark, removed: fence, drained: fence });
        }
        self.unsettled.push_back((fence, flow));
    }

    /// Hardware has let go of a flow; packets that it marked were received before the queues have drained past `fence`.
    pub(super) fn let_go(&mut self, id: FlowId, fence: u64) {
        match self.held.remove(&id) {
            Some((mark, removed)) => self.resting.push_back(Resting { mark, removed, drained: fence }),
            None => drop(self.early.insert(id)),
        }
    }

    /// The last hits of the next removed flow that no worker can hit any more, to be replayed. `false`: there is no such flow.
    pub(super) fn settle(&mut self, passed: u64, each: impl FnMut(&Effects, &Hits)) -> bool {
        if self.unsettled.front().is_none_or(|(fence, _)| *fence > passed) {
            return false;
        }
        if let Some((_, mut flow)) = self.unsettled.pop_front() {
            flow.take_unreplayed(each);
        }
        true
    }

    /// Marks that are free now: settled, and on no packet. `past`: the fence that the queues, or the workers, have left behind.
    pub(super) fn free(&mut self, past: u64, most: usize) -> Vec<u32> {
        let settled = self.unsettled.front().map_or(u64::MAX, |(fence, _)| fence - 1);
        let mut marks = Vec::new();
        while let Some(next) = self.resting.front()
            && marks.len() < most
            && next.drained <= past
            && next.removed <= settled
        {
            marks.push(next.mark);
            self.resting.pop_front();
        }
        marks
    }
}
