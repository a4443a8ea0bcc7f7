//! What happens to one packet, step by step: for people who ask why.
//!
//! A [`Trace`] is data; written, it has the form of `ovs-appctl ofproto/trace`.

mod print;

use crate::bridges::find;
use crate::error::FlowError;
use crate::pipeline::Pipeline;
use flow::dp::{Actions, BridgeId, DropReason, RecircId, Translation};
use flow::{FlowKey, Match};

/// The way of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The first pass, and one for each time that the packet or a copy of it came back from the datapath.
    pub passes: Vec<TracePass>,
}

/// One pass through the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracePass {
    /// Why it came back; `None`: it is the first pass.
    pub resumed: Option<Resumed>,
    /// The packet as it came. Its `in_port` is an OpenFlow number.
    pub flow: Match,
    pub steps: Vec<TraceNode>,
    /// What the actions made of it; `None`: nothing else.
    pub final_flow: Option<Match>,
    /// What was looked at.
    pub megaflow: Match,
    /// What the datapath does, without the final drop.
    pub actions: Actions,
    /// Why no copy goes anywhere.
    pub dropped: Option<DropReason>,
    /// The same as the datapath would get it, with what to replay when the packet is meant.
    pub translation: Translation,
}

/// A packet that came back from the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    pub recirc_id: RecircId,
    /// What connection tracking is taken to have told; `None`: it was not asked.
    pub ct_state: Option<u32>,
}

/// A step and what happened within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceNode {
    pub step: TraceStep,
    pub steps: Vec<TraceNode>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceStep {
    /// The packet enters a bridge.
    Bridge(String),
    /// A packet that came back goes on.
    Thaw(String),
    /// It is looked up in a table; the rule found.
    Table { table: u8, rule: Option<Box<TraceRule>> },
    /// The action set is executed.
    ActionSet,
    /// A bucket of a group is executed.
    Bucket(u32),
    /// An action, in text.
    Action(String),
    /// What came of it.
    Detail(String),
    /// Why nothing came of it.
    Warning(String),
    /// Why translation ends.
    Error(String),
}

/// A rule that was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRule {
    pub matching: Match,
    pub priority: u16,
    pub cookie: u64,
}

/// What a trace takes for granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// What connection tracking tells when it is asked, one after the other; then "tracked, new".
    pub ct_states: Vec<u32>,
}

/// A match of all that a packet with this key has; context that is zero is left out.
pub(crate) fn whole(key: &FlowKey, regs: &flow::Registers) -> Match {
    print::whole(key, regs)
}

impl Pipeline {
    /// What happens to a packet that comes in on OpenFlow port `key.in_port` of a bridge, step by step. Nothing is done: what the
    /// packet would do beside being forwarded is in the effects of each pass.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn trace(&self, bridge: BridgeId, key: &FlowKey) -> Result<Trace, FlowError> {
        self.trace_with(bridge, key, &TraceOptions::default())
    }

    /// As [`Pipeline::trace`], with what is to be taken for granted.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn trace_with(&self, bridge: BridgeId, key: &FlowKey, options: &TraceOptions) -> Result<Trace, FlowError> {
        let state = self.state();
        let bridge = find(&state, bridge)?;
        Ok(crate::translate::trace(self.env(), &state, bridge, key, options))
    }
}
