//! Why a flow is not, or not wholly, in hardware: what was found when its plan was carried out, and what its way adds to that.

use super::Core;
use crate::backend::DeviceError;
use crate::engine::entry::{Entry, Next, Phase};
use crate::engine::lists::Flows;
use crate::plan::add;
use crate::refusal::{Refusal, Refusals};
use crate::rule::Plan;
use flow::clock::Time;
use flow::dp::FlowId;
use smallvec::smallvec;

impl Core {
    /// Empty for a flow that is wholly in hardware, and for no other.
    pub(super) fn why(&self, entry: &Entry) -> Refusals {
        match entry.phase {
            Phase::Software | Phase::In | Phase::Updating => entry.refusals.clone(),
            Phase::Inserting => {
                let mut why = entry.refusals.clone();
                add(&mut why, Refusal::Inserting);
                why
            }
            Phase::Removing => self.why_leaving(entry),
        }
    }

    /// What the flow leaves for, and that it is still there where that is all, or where the device resists.
    fn why_leaving(&self, entry: &Entry) -> Refusals {
        let error = self.resisted(entry);
        let (mut why, stays) = match &entry.next {
            _ if entry.removed => (Refusals::new(), false),
            Next::FallBack(why) | Next::Stay(why) | Next::Retry(why, _) | Next::Wait(why) => ((**why).clone(), true),
            Next::Watch => (smallvec![Refusal::CounterStuck], true),
            // Nothing that is in hardware is held back for a time.
            Next::Replan => match self.decide(entry.flow.id, Time(u64::MAX)) {
                Plan::Software(why) => (why, true),
                Plan::Partial { refused, .. } => (refused, false),
                Plan::Full(_) => (Refusals::new(), false),
            },
        };
        if error.is_some() || !stays {
            add(&mut why, Refusal::OldRule { error });
        }
        why
    }

    /// Why the device did not let go of a rule of the flow when last asked.
    pub(super) fn resisted(&self, entry: &Entry) -> Option<DeviceError> {
        self.stale.get(&entry.stale?)?.clone()
    }

    /// The device did not let go of a rule of the flow: say so of those that wait for its place.
    pub(super) fn tell_who_waits(&mut self, id: FlowId, error: &DeviceError) {
        let place = self.flows.get(id).and_then(Entry::place);
        if let Some(waiting) = place.and_then(|place| self.place_wanted.get(&place)) {
            tell(&mut self.flows, waiting, error);
        }
    }
}

/// Flows that wait for an older rule to leave learn why it does not.
pub(super) fn tell(flows: &mut Flows, waiting: &[FlowId], error: &DeviceError) {
    for id in waiting {
        let Some(entry) = flows.get_mut(*id) else { continue };
        for refusal in &mut entry.refusals {
            if let Refusal::OldRule { error: last } = refusal {
                *last = Some(error.clone());
            }
        }
    }
}
