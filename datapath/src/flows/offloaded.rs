//! What passes between flows and hardware: hits, readings, and how much software still sees.

use super::flow::Offloaded;
use super::{Registry, index_of};
use ::flow::clock::Time;
use ::flow::dp::{DpFlow, FlowId, Hits};

impl Registry {
    fn offloaded(&mut self, flow: &DpFlow) -> Option<&mut Offloaded> {
        let there = self.flow_mut(index_of(flow.mark.0) as u32).filter(|f| f.id == flow.id);
        there.and_then(|f| f.offloaded.as_deref_mut())
    }

    /// Hits that hardware reported; nothing when the flow is gone.
    pub(crate) fn add_hardware(&mut self, flow: &DpFlow, hits: &Hits) {
        if let Some(offloaded) = self.offloaded(flow) {
            offloaded.hits.add(hits);
        }
    }

    /// Until when all of the flow's packets are known, while hardware has it; `None`: software sees them all.
    pub(crate) fn hardware_read(&mut self, flow: &DpFlow, until: Option<Time>) {
        if let Some(offloaded) = self.offloaded(flow) {
            offloaded.read = until;
        }
    }

    /// Packets that software has switched so far, of the flows with an index in `from..from + n` that had some since they were
    /// last sampled. Whether there may be more flows behind.
    pub(crate) fn sample(&mut self, from: usize, n: usize, into: &mut Vec<(FlowId, u64)>) -> bool {
        let end = (from + n).min(self.slots.len());
        for index in from..end {
            let (mark, rests) = (self.mark(index as u32), self.rests.hits(index as u32).packets);
            let Some(flow) = self.flow_mut(index as u32) else { continue };
            let Some(offloaded) = &mut flow.offloaded else { continue };
            let packets = flow.ledgers.hits(mark).packets + rests;
            if packets != offloaded.sampled {
                offloaded.sampled = packets;
                into.push((flow.id, packets));
            }
        }
        end < self.slots.len()
    }
}
