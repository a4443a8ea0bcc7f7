//! What the pipeline may know of hardware, so that it tells the connections of `select` groups apart where that puts them there.
//!
//! One flow for each connection costs flows. When more than half of all that there may be are there, further connections share
//! flows as they do without hardware, until less than a quarter are there. Those that have flows of their own keep them.

use flow::dp::{DepSet, DpAction, DpFlow, FlowId, Mark};
use flow::{DpPort, FlowKey, Mask};
use offload::{Plan, PortInfo, World, plan};
use pipeline::Pipeline;
use std::sync::{Arc, Mutex, PoisonError};

/// The planner's answers for a world, without its meters: a flow that is metered before its group is not asked about.
#[derive(Clone, Debug, Default, PartialEq)]
struct Planned {
    world: World,
    crowded: bool,
}

/// Keeps the pipeline's view of hardware up to date.
#[derive(Debug)]
pub(super) struct Unrolling {
    pipeline: Arc<Pipeline>,
    known: Mutex<Planned>,
}

impl Unrolling {
    pub fn new(pipeline: Arc<Pipeline>) -> Unrolling {
        Unrolling { pipeline, known: Mutex::default() }
    }

    /// Ports, capabilities or admission are these now.
    pub fn set_world(&self, world: &World) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.world != *world {
            known.world.clone_from(world);
            self.pipeline.set_hardware(Arc::new(known.clone()));
        }
    }

    /// There are so many flows, of so many that there may be.
    pub fn set_flows(&self, flows: usize, limit: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let crowded = if known.crowded { flows > limit / 4 } else { flows > limit / 2 };
        if crowded == known.crowded {
            return;
        }
        known.crowded = crowded;
        if crowded {
            tracing::warn!("{flows} of {limit} flows: new connections of select groups share flows, in software");
            self.pipeline.set_hardware_for_new(Arc::new(known.clone()));
        } else {
            tracing::info!("{flows} of {limit} flows: connections of select groups have flows of their own again");
            self.pipeline.set_hardware(Arc::new(known.clone()));
        }
    }
}

impl pipeline::Hardware for Planned {
    fn switches(&self, from: DpPort) -> bool {
        let admitted = || self.world.admits(from).is_ok();
        let in_eswitch = |port: &PortInfo| port.caps.transfer.is_some() && port.domain.is_some();
        !self.crowded && admitted() && self.world.ports.get(&from).is_some_and(in_eswitch)
    }

    fn takes(&self, key: &FlowKey, mask: &Mask, actions: &[DpAction]) -> bool {
        let flow = DpFlow {
            id: FlowId(0),
            key: key.masked(mask),
            mask: *mask,
            actions: actions.into(),
            deps: DepSet::new(),
            effects: Default::default(),
            mark: Mark(0),
        };
        matches!(plan(&flow, &self.world), Plan::Full(_))
    }
}
