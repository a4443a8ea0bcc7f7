//! What a translation may know of hardware: whether it pays to tell the connections of a `select` group apart.
//!
//! Software chooses the bucket of such a group by a hash that the datapath computes in the middle of its work, so that one
//! flow serves all connections. A NIC has no such hash. Where it can switch the packets otherwise, the switch
//! computes the hash itself and makes one flow for each connection: the same bucket, but a flow that fits a rule.

use flow::dp::DpAction;
use flow::{DpPort, FlowKey, Mask};

/// What the NICs can do as things are. When that changes, another one is set with [`crate::Pipeline::set_hardware`].
///
/// Answers must depend on the questions only.
pub trait Hardware: Send + Sync + std::fmt::Debug {
    /// Whether packets that come in on this port may be switched without coming to software.
    fn switches(&self, from: DpPort) -> bool;

    /// Whether hardware can do all that is to be done with the packets of this flow. `key` may have bits that `mask` has not.
    fn takes(&self, key: &FlowKey, mask: &Mask, actions: &[DpAction]) -> bool;
}
